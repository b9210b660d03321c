"""Reductions: folds over axes, which are removed from the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.graph import OPS, ZERO_DERIVATIVE, Node, Reduction, Vjp
from graphc.ir.types import BOOL, TensorType
from graphc.ops.elementwise import ANY, NUMBERS, cast, eq, mul


def reduction(
    name: str,
    kinds: str,
    reference: Callable[..., Any],
    vjp: Vjp,
    *,
    combine: str,
    init: Callable[[np.dtype[Any]], Any],
    doc: str = "",
) -> Reduction:
    """Define a reduction over `axis`, a sorted tuple of axes."""

    def infer(x: TensorType, *, axis: tuple[int, ...]) -> TensorType:
        if x.dtype.kind not in kinds:
            raise DTypeError(f"{name}: does not take {x.dtype.name}, got {x}")
        if sorted(set(axis)) != list(axis) or any(not 0 <= a < x.ndim for a in axis):
            raise ShapeError(f"{name}: axis {axis} must be distinct axes of {x} in order")
        if init(x.dtype) is None and any(x.shape[a] == 0 for a in axis):
            raise ShapeError(f"{name}: an axis of size 0 has no {name}, got {x}")
        return x.with_shape(tuple(s for k, s in enumerate(x.shape) if k not in axis))

    def evaluate(x: Any, *, axis: tuple[int, ...]) -> Any:
        return np.asarray(reference(x, axis=axis), x.dtype)

    return Reduction(name, infer=infer, reference=evaluate, vjp=vjp, doc=doc, combine=combine, init=init)


def spread(reduced: Node, like: Node, axis: tuple[int, ...]) -> Node:
    """Return a reduction's result repeated along the axes it removed from `like`."""
    kept = tuple(k for k in range(like.ndim) if k not in axis)
    return OPS["broadcast"](reduced, shape=like.shape, axes=kept)


def _vjp_extreme(ct: Node, out: Node, x: Node) -> Node:
    """Share the cotangent equally among the elements that attain the extreme."""
    axis = out.attrs["axis"]
    attained = cast(eq(x, spread(out, x, axis)), dtype=x.dtype)
    return mul(attained, spread(ct / sum(attained, axis=axis), x, axis))


def _vjp_prod(ct: Node, out: Node, x: Node) -> Node:
    """Multiply by the product of the other elements, one axis after the other, the last one first."""
    partial = [x]
    for axis in reversed(out.attrs["axis"]):
        partial.append(prod(partial[-1], axis=(axis,)))
    for axis, before in zip(out.attrs["axis"], reversed(partial[:-1]), strict=True):
        ct = mul(spread(ct, before, (axis,)), _others(before, axis))
    return ct


def _others(x: Node, axis: int) -> Node:
    """Return for each element the product of the others along an axis: of those before it and those after it.

    Nothing is divided, so derivatives of every order are right where elements are zero.
    """
    if x.shape[axis] == 0:
        return x
    part = tuple([dims.maximum(s - 1, 0) if k == axis else s for k, s in enumerate(x.shape)])
    step = (1,) * x.ndim

    def folded(first: int, place: int) -> Node:
        at = [tuple([p if k == axis else 0 for k in range(x.ndim)]) for p in (first, place)]
        kept = OPS["slice"](x, start=at[0], shape=part, step=step)
        moved = OPS["embed"](kept, shape=x.shape, start=at[1], step=step, value=1)
        return OPS["cumprod"](moved, axis=axis, reverse=first > 0)

    return mul(folded(0, 1), folded(1, 0))


sum: Reduction = reduction(
    "sum",
    NUMBERS,
    lambda x, axis: np.sum(x, axis=axis, dtype=x.dtype),
    (lambda ct, out, x: spread(ct, x, out.attrs["axis"]),),
    combine="add",
    init=lambda dtype: 0,
)
prod: Reduction = reduction(
    "prod",
    NUMBERS,
    lambda x, axis: np.prod(x, axis=axis, dtype=x.dtype),
    (_vjp_prod,),
    combine="mul",
    init=lambda dtype: 1,
)
max: Reduction = reduction(
    "max",
    ANY,
    np.max,
    (_vjp_extreme,),
    combine="max",
    init=lambda dtype: None,
    doc="The largest element, NaN if any is; tied elements share the cotangent equally.",
)
min: Reduction = reduction(
    "min",
    ANY,
    np.min,
    (_vjp_extreme,),
    combine="min",
    init=lambda dtype: None,
    doc="The smallest element, NaN if any is; tied elements share the cotangent equally.",
)
any_: Reduction = reduction("any", BOOL.kind, np.any, ZERO_DERIVATIVE, combine="or", init=lambda dtype: False)
all_: Reduction = reduction("all", BOOL.kind, np.all, ZERO_DERIVATIVE, combine="and", init=lambda dtype: True)
