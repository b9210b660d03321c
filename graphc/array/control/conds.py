"""cond: one of two functions, as a value of the run decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import nest
from graphc.array.control.tracing import PYTHON_NUMBERS, closed_since
from graphc.array.convert import as_node, differ, function, promote
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.graph import Node, births
from graphc.ops import control as ops
from graphc.ops.control.parts import require_flag


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """Return true_fn(*operands) where pred is true, else false_fn(*operands); only one of them runs.

    `pred` is one bool. Operands and results are Tensors or nests of them (lists, tuples, dicts, dataclasses, None).
    Both functions are traced, and return the same structure, shapes and dtypes; a Python number takes the dtype of what
    the other one returns in its place. They may use Tensors and variables from outside. What a function computes is
    computed only when it is chosen, so an index that would be out of bounds in the other one does no harm. The
    derivative is that of the function that ran.

    >>> x = gx.placeholder((), name="x")
    >>> root = gx.compile([x], gx.cond(x > 0, gx.sqrt, lambda x: 0.0, x))
    >>> float(root(4)), float(root(-4))
    (2.0, 0.0)
    """
    function("cond", "true_fn", true_fn)
    function("cond", "false_fn", false_fn)
    chosen = as_node("cond", pred)
    require_flag("cond", chosen.tensor_type, "pred")
    given, structure = nest.flatten(operands)
    values = [as_node("cond", v) for v in given]
    parameters = [ops.parameter(f"x{k}", v.tensor_type) for k, v in enumerate(values)]
    birth = births()
    results = [fn(*structure.unflatten([wrap(p) for p in parameters])) for fn in (true_fn, false_fn)]
    (one, shape), (other, other_shape) = (nest.flatten(r) for r in results)
    if shape != other_shape:
        raise ArgumentError(f"cond: both functions must return one structure, got {shape} and {other_shape}")
    pairs = [_alike(a, b, place) for a, b, place in zip(one, other, nest.paths(results[0]), strict=True)]
    bodies = [("on_true", [a for a, _ in pairs]), ("on_false", [b for _, b in pairs])]
    (on_true, on_false), outside = closed_since(bodies, parameters, birth)
    found = ops.cond(chosen, on_true, on_false, [*values, *outside]) if pairs else ()
    return shape.unflatten([wrap(n) for n in found])


def _alike(one: Any, other: Any, place: str) -> Sequence[Node]:
    """Return what both functions return in one place as nodes of one type."""
    numbers = [type(v) in PYTHON_NUMBERS for v in (one, other)]
    if any(numbers):
        a, b = promote("cond", [one, other])
        kept = [v for v, is_number in zip((one, other), numbers, strict=True) if not is_number]
        if kept and as_node("cond", kept[0]).dtype != a.dtype:
            a, b = (as_node("cond", v) for v in (one, other))
    else:
        a, b = as_node("cond", one), as_node("cond", other)
    message = (
        f"cond: both functions must return the same, but result{place} is {a.type} of true_fn, {b.type} of false_fn"
    )
    if a.dtype != b.dtype:
        raise DTypeError(f"{message}; cast one with astype")
    if a.ndim != b.ndim or any(differ(m, n) for m, n in zip(a.shape, b.shape, strict=True)):
        raise ShapeError(f"{message}; broadcast_to makes them alike")
    return a, b
