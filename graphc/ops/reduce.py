"""Reductions: folds over axes, which are removed from the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.graph import OPS, ZERO_DERIVATIVE, Node, Reduction, Vjp
from graphc.ir.types import BOOL, TensorType
from graphc.ops.elementwise import ANY, NUMBERS, cast, choose, eq, mul


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
    """Multiply the other elements: exact also where some are zero.

    With one zero along the axis only its own derivative is not zero, the product of the rest; with more, none is.
    """
    axis = out.attrs["axis"]
    is_zero = eq(x, 0.0)
    zeros = sum(cast(is_zero, dtype=x.dtype), axis=axis)
    rest = prod(choose(eq(x, 0.0), x * 0.0 + 1.0, x), axis=axis)
    of_zero = spread(ct * choose(eq(zeros, 1.0), rest, 0.0), x, axis)
    of_others = spread(ct * out, x, axis) / choose(is_zero, x * 0.0 + 1.0, x)
    return choose(is_zero, of_zero, of_others)


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
