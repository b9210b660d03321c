"""Control flow on Tensors: Python functions traced into the bodies of region operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import nest
from graphc.array.convert import as_node, cast_to, differ, promote, result_type
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Graph, Node, constant, items, toposort
from graphc.ir.types import TensorType
from graphc.ops import control as ops
from graphc.ops.elementwise import cast, iota, size
from graphc.ops.shape import broadcast

PYTHON_NUMBERS = (bool, int, float)


@dataclass(frozen=True)
class _Body:
    """A traced body: its parameters, what it returned, and the structure of the part that is stacked."""

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
    starts, structure = nest.flatten(init)
    places = nest.paths(init)
    slices, xs_structure = nest.flatten(xs)
    arrays = [as_node("scan", x) for x in slices]
    steps = _steps(arrays, nest.paths(xs), length)

    numbers = [type(s) in PYTHON_NUMBERS for s in starts]
    float_dtype = result_type(0.0, *[a.dtype for a in arrays if a.dtype.kind == "f"])
    carry = [as_node("scan", s, float_dtype if type(s) is float else None) for s in starts]
    traced = _traced(body, carry, structure, arrays, xs_structure)
    # A number may first become a float, then take the body's floating dtype.
    for _ in range(2):
        adopted = [
            _adopted(c, new.dtype, float_dtype) if is_number else c
            for is_number, c, new in zip(numbers, carry, traced.carry, strict=True)
        ]
        if adopted != carry:
            carry, traced = adopted, _traced(body, adopted, structure, arrays, xs_structure)
    _require_same_carry(places, carry, traced.carry)

    graph, constants = closed_body([*traced.carry, *traced.ys], traced.parameters, "scan")
    results = items(ops.scan(graph, carry, arrays, constants, steps, bool(reverse)))
    final, stacked = results[: len(carry)], results[len(carry) : len(carry) + len(traced.ys)]
    return (
        structure.unflatten([wrap(n) for n in final]),
        traced.ys_structure.unflatten([wrap(n) for n in stacked]),
    )


def _adopted(start: Node, dtype: np.dtype[Any], float_dtype: np.dtype[Any]) -> Node:
    """Return a number that the carry starts with in the dtype that the body made of it."""
    becomes_float = dtype.kind == "f" and start.dtype.kind != "f"
    return cast_to(start, float_dtype if becomes_float else dtype)


def _steps(arrays: Sequence[Node], places: Sequence[str], length: Any) -> Size:
    """Return the number of steps, on which `length` and the leading sizes of xs must agree."""
    if length is not None and not isinstance(length, Dim) and (isinstance(length, bool) or not isinstance(length, int)):
        raise ArgumentError(f"scan: length must be an int or a symbolic size, got {length!r}")
    if isinstance(length, int) and length < 0:
        raise ArgumentError(f"scan: length must not be negative, got {length}")
    steps: Size | None = length
    for node, place in zip(arrays, places, strict=True):
        if not node.ndim:
            raise ShapeError(f"scan: xs{place} must have a leading axis to step along, got {node.type}")
        if steps is not None and differ(steps, node.shape[0]):
            raise ShapeError(f"scan: the leading size of xs{place} must be {steps}, got {node.type}")
        if steps is None or isinstance(node.shape[0], int):
            steps = node.shape[0]
    if steps is None:
        raise ArgumentError("scan: without xs, length must say how many steps")
    return steps


def _traced(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Sequence[Node],
    structure: nest.Structure,
    arrays: Sequence[Node],
    xs_structure: nest.Structure,
) -> _Body:
    own = [ops.parameter(f"carry{k}", c.tensor_type) for k, c in enumerate(carry)]
    slices = [ops.parameter(f"x{k}", TensorType(a.dtype, a.shape[1:])) for k, a in enumerate(arrays)]
    result = body(structure.unflatten([wrap(n) for n in own]), xs_structure.unflatten([wrap(n) for n in slices]))
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(f"scan: the body must return (carry, y), got {result!r}")
    new, new_structure = nest.flatten(result[0])
    if new_structure != structure:
        raise ArgumentError(f"scan: the body must return a carry of the structure {structure}, got {new_structure}")
    ys, ys_structure = nest.flatten(result[1])
    returned = [_returned(n, c) for n, c in zip(new, own, strict=True)]
    return _Body([*own, *slices], returned, [as_node("scan", y) for y in ys], ys_structure)


def _returned(value: Any, carry: Node) -> Node:
    """Return a new carry as a node; a Python number takes the dtype of the old one where it can."""
    if type(value) in PYTHON_NUMBERS:
        return promote("scan", [value], least=carry.dtype)[0]
    return as_node("scan", value)


def _require_same_carry(places: Sequence[str], carry: Sequence[Node], new: Sequence[Node]) -> None:
    for place, before, after in zip(places, carry, new, strict=True):
        if before.dtype != after.dtype:
            raise DTypeError(f"scan: carry{place} must be {before.type} in every step, the body returned {after.type}")
        if before.ndim != after.ndim or any(differ(a, b) for a, b in zip(before.shape, after.shape, strict=True)):
            raise ShapeError(f"scan: carry{place} must be {before.type} in every step, the body returned {after.type}")


def closed_body(outputs: Sequence[Node], parameters: Sequence[Node], name: str) -> tuple[Graph, list[Node]]:
    """Return a traced body as a graph without free nodes, and the outside nodes that its further inputs stand for.

    What does not depend on the parameters is computed once, outside: each largest such part becomes an input. Numbers,
    positions and sizes stay inside, where they cost nothing.
    """
    order = toposort(outputs)
    inside, cheap = set(parameters), set[Node]()
    for node in order:
        if any(i in inside for i in node.inputs):
            inside.add(node)
        elif _is_cheap(node) and all(i in cheap for i in node.inputs):
            cheap.add(node)
    edges = [i for node in order if node in inside for i in node.inputs]
    outside = list(dict.fromkeys(n for n in (*edges, *outputs) if n not in inside and n not in cheap))
    stand_ins = [ops.parameter(f"c{k}", n.tensor_type) for k, n in enumerate(outside)]
    new = dict(zip([*outside, *parameters], [*stand_ins, *parameters], strict=True))
    for node in order:
        if node not in new and (node in inside or node in cheap):
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    return Graph((*parameters, *stand_ins), tuple(new[o] for o in outputs), name=name), outside


def _is_cheap(node: Node) -> bool:
    """Return whether a node without outside inputs costs nothing in a loop: numbers, positions, sizes, spread out."""
    if node.op is constant:
        return not node.ndim
    return node.op in (iota, size, broadcast, cast)
