"""Running folds along an axis: sums, products, extremes, and linear recurrences, in which all derivatives end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.graph import Cumulative, Node, Vjp, literal
from graphc.ir.loops import Expr, apply
from graphc.ir.types import INT64, TensorType
from graphc.ops.control import zeros
from graphc.ops.elementwise import ANY, NUMBERS, bitwise_or, eq, iota, mul, ne, where
from graphc.ops.index import scatter
from graphc.ops.shape import embed, slice_


def cumulative(
    name: str,
    kinds: str,
    reference: Callable[..., Any],
    vjp: Vjp,
    *,
    step: Callable[..., Expr],
    combine: str | None = None,
    arity: int = 1,
    doc: str = "",
) -> Cumulative:
    """Define a running fold over `arity` arrays of one type; reference(*arrays, axis) goes from the beginning."""

    def infer(*types: TensorType, axis: int, reverse: bool) -> TensorType:
        x = types[-1]
        if len(types) != arity or any(t.dtype != x.dtype or t.ndim != x.ndim for t in types):
            raise DTypeError(f"{name}: takes {arity} arrays of one dtype and rank, got {', '.join(map(str, types))}")
        if x.dtype.kind not in kinds:
            raise DTypeError(f"{name}: does not take {x.dtype.name}, got {x}")
        if not 0 <= axis < x.ndim:
            raise ShapeError(f"{name}: axis {axis} must be an axis of {x}")
        for other in types[:-1]:
            if any(
                a != b for a, b in zip(other.shape, x.shape, strict=True) if isinstance(a, int) and isinstance(b, int)
            ):
                raise ShapeError(f"{name}: operands must have one shape, got {other} and {x}")
        return x

    def evaluate(*arrays: Any, axis: int, reverse: bool) -> Any:
        given = [np.flip(a, axis) if reverse else a for a in arrays]
        found = reference(*given, axis=axis)
        return np.ascontiguousarray(np.flip(found, axis) if reverse else found, arrays[-1].dtype)

    return Cumulative(name, infer=infer, reference=evaluate, vjp=vjp, step=step, combine=combine, doc=doc)


def _reference_recurrence(a: Any, b: Any, *, axis: int) -> Any:
    a, b = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    result = np.array(b)
    for k in range(1, len(result)):
        result[k] = a[k] * result[k - 1] + b[k]
    return np.moveaxis(result, 0, axis)


def neighbour(x: Node, axis: int, offset: int, edge: float) -> Node:
    """Return for each place the element one place after it (`offset` 1) or before (-1), `edge` where there is none."""
    if x.shape[axis] == 0:
        return x
    kept = slice_(
        x,
        start=_along(x, axis, int(offset > 0)),
        shape=tuple([dims.maximum(s - 1, 0) if k == axis else s for k, s in enumerate(x.shape)]),
        step=(1,) * x.ndim,
    )
    return embed(kept, shape=x.shape, start=_along(x, axis, int(offset < 0)), step=(1,) * x.ndim, value=edge)


def _along(x: Node, axis: int, place: int) -> tuple[int, ...]:
    return tuple([place if k == axis else 0 for k in range(x.ndim)])


def _turned(out: Node) -> dict[str, Any]:
    return {"axis": out.attrs["axis"], "reverse": not out.attrs["reverse"]}


def _next(x: Node, out: Node, edge: float) -> Node:
    """Return for each place the element that a fold comes to next."""
    return neighbour(x, out.attrs["axis"], -1 if out.attrs["reverse"] else 1, edge)


def _last(x: Node, out: Node, edge: float) -> Node:
    """Return for each place the element that a fold has come to before."""
    return neighbour(x, out.attrs["axis"], 1 if out.attrs["reverse"] else -1, edge)


def _vjp_prod(ct: Node, out: Node, x: Node) -> Node:
    """Multiply what comes before an element by what comes after it, which a recurrence adds up: nothing is divided."""
    return mul(_last(out, out, 1), recurrence(_next(x, out, 0), ct, **_turned(out)))


def _vjp_recurrence(ct: Node, out: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """The cotangent of y[k] is what is asked of it and a[k + 1] times that of y[k + 1]: a recurrence backwards."""
    total = recurrence(_next(a, out, 0), ct, **_turned(out))
    return mul(total, _last(out, out, 0)), total


def _vjp_extreme(ct: Node, out: Node, x: Node) -> Node:
    """Give the cotangent of each result to the last element so far that attains it."""
    axis, reverse = out.attrs["axis"], out.attrs["reverse"]
    attains = bitwise_or(eq(x, out), ne(x, x))
    places = [iota(shape=x.shape, axis=k, dtype=INT64) for k in range(x.ndim)]
    never = literal(np.iinfo(np.int64).max if reverse else -1, INT64)
    latest = (cummin if reverse else cummax)(where(attains, places[axis], never), axis=axis, reverse=reverse)
    indices = [latest if k == axis else place for k, place in enumerate(places)]
    start = zeros(x.tensor_type)
    return scatter(start, ct, *indices, axes=tuple(range(x.ndim)), wrap=False, combine="add")


cumsum: Cumulative = cumulative(
    "cumsum",
    NUMBERS,
    lambda x, axis: np.cumsum(x, axis, x.dtype),
    (lambda ct, out, x: cumsum(ct, **_turned(out)),),
    step=lambda total, x: apply("add", total, x),
    combine="add",
)
cumprod: Cumulative = cumulative(
    "cumprod",
    NUMBERS,
    lambda x, axis: np.cumprod(x, axis, x.dtype),
    (_vjp_prod,),
    step=lambda total, x: apply("mul", total, x),
    combine="mul",
)
cummax: Cumulative = cumulative(
    "cummax",
    ANY,
    lambda x, axis: np.maximum.accumulate(x, axis),
    (_vjp_extreme,),
    step=lambda most, x: apply("max", most, x),
    combine="max",
    doc="The largest element so far, NaN once there is one; of tied elements the last has the cotangent.",
)
cummin: Cumulative = cumulative(
    "cummin",
    ANY,
    lambda x, axis: np.minimum.accumulate(x, axis),
    (_vjp_extreme,),
    step=lambda least, x: apply("min", least, x),
    combine="min",
    doc="The smallest element so far, NaN once there is one; of tied elements the last has the cotangent.",
)
recurrence: Cumulative = cumulative(
    "recurrence",
    NUMBERS,
    _reference_recurrence,
    _vjp_recurrence,
    step=lambda before, a, b: apply("add", apply("mul", a, before), b),
    arity=2,
    doc="y[k] = a[k] * y[k - 1] + b[k] from y[0] = b[0]; a[0] is not read.",
)

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "recurrence"]
