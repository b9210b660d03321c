"""scan and map: loops along the leading axes of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc import nest
from graphc.array.control.tracing import adopted, closed_body, counted, require_same_carry, returned
from graphc.array.convert import as_node, differ, function, result_type
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, ShapeError, shown
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, items
from graphc.ir.types import INT64, TensorType
from graphc.ops import control as ops
from graphc.ops.elementwise import iota


@dataclass(frozen=True)
class _Body:
    """A traced body: its parameters, of which the last is the number of the step, what it returned, and the structure
    of the part that is stacked."""

    parameters: list[Node]
    carry: list[Node]
    ys: list[Node]
    ys_structure: nest.Structure


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | Dim | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Loop along the leading axis of xs: carry, y = body(carry, x) for each slice x; return (carry, stacked ys).

    The carry starts as `init`. carry, xs and ys are Tensors or nests of them (lists, tuples, dicts, dataclasses, None).
    The body is traced; it returns a carry of the structure, shapes and dtypes of `init`. Python numbers in `init` take
    the dtype that the body gives them, floats at first that of xs. The body may use Tensors and variables from outside.
    Every leaf of xs has the same leading size; without xs, `length` says how many steps. With `reverse`, the last slice
    comes first, and ys lie where their xs do. Both derivative modes pass through; reverse mode keeps the carry of every
    step.

    >>> xs = gx.placeholder(("time", 3), name="xs")
    >>> total, partial = gx.scan(lambda carry, x: (carry + x, carry + x), gx.zeros_like(xs[0]), xs)
    >>> total.shape, partial.shape
    ((3,), (time, 3))
    """
    return loop("scan", body, init, xs, length, reverse)


def loop(
    name: str,
    body: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | Dim | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Return `scan`, which the user calls by this name."""
    function(name, "the body", body)
    starts, structure = nest.flatten(init)
    places = nest.paths(init)
    slices, xs_structure = nest.flatten(xs)
    arrays = [as_node(name, x) for x in slices]
    steps = _steps(name, arrays, nest.paths(xs), length)

    float_dtype = result_type(0.0, *[a.dtype for a in arrays if a.dtype.kind == "f"])
    carry = [as_node(name, s, float_dtype if type(s) is float else None) for s in starts]

    def new_carry(values: Sequence[Node]) -> Sequence[Node]:
        return _traced(name, body, values, structure, arrays, xs_structure).carry

    carry = adopted(starts, carry, new_carry, float_dtype)
    traced = _traced(name, body, carry, structure, arrays, xs_structure)
    arrays.append(iota(shape=(steps,), axis=0, dtype=INT64))
    require_same_carry(name, places, carry, traced.carry)

    graph, constants = closed_body([*traced.carry, *traced.ys], traced.parameters, "scan")
    results = items(ops.scan(graph, carry, arrays, constants, steps, bool(reverse)))
    final, stacked = results[: len(carry)], results[len(carry) : len(carry) + len(traced.ys)]
    return (
        structure.unflatten([wrap(n) for n in final]),
        traced.ys_structure.unflatten([wrap(n) for n in stacked]),
    )


def map(fn: Callable[[Any], Any], xs: Any) -> Any:
    """Return fn(x) for each slice x of xs along its leading axis, stacked: a `scan` that carries nothing.

    xs and what fn returns are Tensors or nests of them; every leaf of xs has the same leading size.

    >>> xs = gx.placeholder(("n", 3), name="xs")
    >>> gx.map(lambda x: gx.sum(x * x), xs).shape
    (n,)
    """
    function("map", "fn", fn)
    return loop("map", lambda _, x: (None, fn(x)), None, xs)[1]


def _steps(name: str, arrays: Sequence[Node], places: Sequence[str], length: Any) -> Size:
    """Return the number of steps, on which `length` and the leading sizes of xs must agree."""
    if length is not None and not isinstance(length, Dim) and (isinstance(length, bool) or not isinstance(length, int)):
        raise ArgumentError(f"{name}: length must be an int or a symbolic size, got {shown(length)}")
    if isinstance(length, int) and length < 0:
        raise ArgumentError(f"{name}: length must not be negative, got {length}")
    steps: Size | None = length
    for node, place in zip(arrays, places, strict=True):
        if not node.ndim:
            raise ShapeError(f"{name}: xs{place} must have a leading axis to step along, got {node.type}")
        if steps is not None and differ(steps, node.shape[0]):
            raise ShapeError(f"{name}: the leading size of xs{place} must be {steps}, got {node.type}")
        if steps is None or isinstance(node.shape[0], int):
            steps = node.shape[0]
    if steps is None:
        raise ArgumentError(f"{name}: without xs, length must say how many steps")
    return steps


def _traced(
    name: str,
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Sequence[Node],
    structure: nest.Structure,
    arrays: Sequence[Node],
    xs_structure: nest.Structure,
) -> _Body:
    own = [ops.parameter(f"carry{k}", c.tensor_type) for k, c in enumerate(carry)]
    slices = [ops.parameter(f"x{k}", TensorType(a.dtype, a.shape[1:])) for k, a in enumerate(arrays)]
    step = ops.parameter("step", TensorType(INT64, ()))
    with counted(step):
        result = body(structure.unflatten([wrap(n) for n in own]), xs_structure.unflatten([wrap(n) for n in slices]))
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(f"{name}: the body must return (carry, y), got {shown(result)}")
    new, new_structure = nest.flatten(result[0])
    if new_structure != structure:
        raise ArgumentError(f"{name}: the body must return a carry of the structure {structure}, got {new_structure}")
    ys, ys_structure = nest.flatten(result[1])
    news = [returned(name, n, c) for n, c in zip(new, own, strict=True)]
    return _Body([*own, *slices, step], news, [as_node(name, y) for y in ys], ys_structure)
