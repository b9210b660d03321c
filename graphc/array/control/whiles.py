"""while_loop and fori_loop: loops whose steps may depend on what they compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import nest
from graphc.array.control.scans import loop
from graphc.array.control.tracing import adopted, closed_since, counted, require_same_carry, returned
from graphc.array.convert import as_node, cast_to, function, result_type
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir.dims import Dim, maximum
from graphc.ir.graph import Node, births, items, literal, toposort
from graphc.ir.types import INT64, TensorType
from graphc.ops import control as ops
from graphc.ops.control.parts import require_flag
from graphc.ops.elementwise import add, iota


def while_loop(
    cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any, max_steps: int | None = None
) -> Any:
    """Return the carry when cond_fn(carry) no longer holds: while cond_fn(carry): carry = body_fn(carry).

    The carry starts as `init`, a Tensor or a nest of them (lists, tuples, dicts, dataclasses, None); body_fn returns
    one of the same structure, shapes and dtypes, cond_fn one bool. Both are traced; they may use Tensors and variables
    from outside. Python numbers in `init` take the dtype that the body gives them. Where cond_fn still holds after
    `max_steps` steps, the run fails with a StepsError.

    Both derivative modes pass through. Reverse mode runs the steps once more and keeps carries: those of at most 1024
    steps, else some of them, from which it computes the others again. Without `max_steps` it needs memory for 384
    carries, and fails beyond 2 097 152 steps.

    >>> x = gx.placeholder((), name="x")
    >>> power = gx.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * x), (0, 1.0))[1]
    >>> slope = gx.compile([x], gx.gradients(power, x))
    >>> float(slope(3))
    405.0
    """
    if max_steps is not None and (isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 0):
        raise ArgumentError(
            f"while_loop: max_steps must be None or an int that is not negative, got {shown(max_steps)}"
        )
    function("while_loop", "cond_fn", cond_fn)
    function("while_loop", "body_fn", body_fn)
    starts, structure = nest.flatten(init)
    if not starts:
        raise ArgumentError("while_loop: init must hold a value, or the test could never change")
    birth = births()

    step = ops.parameter("step", TensorType(INT64, ()))

    def body_of(values: Sequence[Node]) -> tuple[list[Node], list[Node], Any]:
        own = [ops.parameter(f"carry{k}", v.tensor_type) for k, v in enumerate(values)]
        given = structure.unflatten([wrap(n) for n in own])
        with counted(step):
            return own, _new_carry(body_fn(given), structure, own), given

    float_dtype = result_type(0.0)
    carry = [as_node("while_loop", s) for s in starts]
    carry = adopted(starts, carry, lambda values: body_of(values)[1], float_dtype)
    own, new, given = body_of(carry)
    require_same_carry("while_loop", nest.paths(init), carry, new)
    with counted(step):
        test = as_node("while_loop", cond_fn(given))
    require_flag("while_loop", test.tensor_type, "what cond_fn returns")
    if step in toposort([test, *new]):
        own, new, carry = [*own, step], [*new, step + 1], [*carry, literal(0, INT64)]
    (closed_test, closed), outside = closed_since([("test", [test]), ("body", new)], own, birth)
    found = items(ops.while_loop(closed_test, closed, carry, outside, max_steps))
    return structure.unflatten([wrap(n) for n in found[: len(starts)]])


def _new_carry(result: Any, structure: nest.Structure, own: Sequence[Node]) -> list[Node]:
    new, found = nest.flatten(result)
    if found != structure:
        raise ArgumentError(f"while_loop: body_fn must return a carry of the structure {structure}, got {found}")
    return [returned("while_loop", n, c) for n, c in zip(new, own, strict=True)]


def fori_loop(lo: Any, hi: Any, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """Return the carry after carry = body(i, carry) for i = lo .. hi-1, an int64; `init` where hi <= lo.

    With bounds that are known, or sizes, it is a `scan`. With Tensors it is a `while_loop`, and its derivative is that
    of one without `max_steps`. The carry is as in `scan`.

    >>> n = gx.placeholder((), "int64", name="n")
    >>> factorial = gx.compile([n], gx.fori_loop(1, n + 1, lambda i, product: product * i, 1))
    >>> int(factorial(5))
    120
    """
    function("fori_loop", "body", body)
    known = [_bound(b) for b in (lo, hi)]
    first, last = known
    if isinstance(first, int | Dim) and isinstance(last, int | Dim):
        length = maximum(last - first, 0)
        steps = add(iota(shape=(length,), axis=0, dtype=INT64), as_node("fori_loop", first, INT64))
        return loop("fori_loop", lambda carry, i: (body(i, carry), None), init, wrap(steps))[0]
    start, end = (wrap(as_node("fori_loop", b, INT64)) for b in known)
    _, carry = while_loop(lambda c: c[0] < end, lambda c: (c[0] + 1, body(c[0], c[1])), (start, init))
    return carry


def _bound(value: Any) -> Any:
    """Return a bound of a loop: an int, a size, or an int64 Tensor."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Dim):
        return value
    node = as_node("fori_loop", value)
    if node.dtype.kind not in "iu":
        raise DTypeError(f"fori_loop: bounds must be integers, got {node.type}")
    if node.ndim:
        raise ShapeError(f"fori_loop: bounds must be one integer each, got {node.type}")
    return wrap(cast_to(node, INT64))
