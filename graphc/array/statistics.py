"""Averages with weights, ranges, covariance and correlation, and sums under curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_indices, cast_to
from graphc.array.dot import matmul
from graphc.array.elementwise import clip, divide, maximum, multiply, sqrt, subtract
from graphc.array.handle import wrap
from graphc.array.matrices import diagonal
from graphc.array.quantiles import weights_over
from graphc.array.reduce import Axis, max, mean, min, sum
from graphc.array.shape import concat, expand_dims, matrix_transpose, repeated_to, reshape
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.types import FLOAT64, as_dtype

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def ptp(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the largest less the smallest element along axes; tied elements share the cotangent equally.

    >>> gx.ptp(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    given = wrap(as_node("ptp", x))
    return subtract(max(given, axis, keepdims=keepdims), min(given, axis, keepdims=keepdims))


def average(
    x: ArrayLike,
    /,
    axis: Axis = None,
    weights: ArrayLike | None = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Return sum(x * weights) / sum(weights) along axes: weights have the shape of x, or that of its axes alone.

    Without weights it is `mean`. With `returned`, a pair: the average and the sum of the weights, of one shape. Where
    weights sum to 0 the average is NaN or infinite.

    >>> gx.average(gx.placeholder((3, 4)), axis=1, weights=[1.0, 2.0, 3.0, 4.0]).shape
    (3,)
    """
    node = as_node("average", x)
    axes = axis_indices("average", axis, node.ndim)
    if weights is None:
        found = mean(wrap(node), axes, keepdims=keepdims)
        number = as_node("average", dims.product(node.shape[k] for k in axes), found.dtype)
        return (found, wrap(repeated_to("average", number, found.shape))) if returned else found
    given = as_node("average", weights)
    least = [FLOAT64] if node.dtype.kind in "biu" else []
    kind = np.result_type(node.dtype, given.dtype, *least)
    scale = wrap(weights_over("average", wrap(cast_to(given, kind)), node, axes))
    total = sum(scale, axes, keepdims=keepdims)
    found = divide(sum(multiply(wrap(cast_to(node, kind)), scale), axes, keepdims=keepdims), total)
    return (found, total) if returned else found


# Covariance.


def cov(
    x: ArrayLike,
    /,
    y: ArrayLike | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: ArrayLike | None = None,
    aweights: ArrayLike | None = None,
    *,
    dtype: Any = None,
) -> Tensor:
    """Return the covariances of variables: rows of x, columns with `rowvar=False`, and those of y besides.

    Each is the mean product of two variables' distances from their means, with n - ddof in place of n observations,
    ddof being 1 unless it is given, or 0 with `bias`. Observations count `fweights` times and weigh `aweights`. The
    dtype is float64 unless one is given, as in NumPy. One variable gives rank 0.

    >>> gx.cov(gx.placeholder((3, 10))).shape
    (3, 3)
    """
    rows, kind = _variables("cov", x, y, rowvar, dtype)
    if ddof is not None and ddof != int(ddof):
        raise ArgumentError(f"cov: ddof must be an int, got {shown(ddof)}")
    lost = (0 if bias else 1) if ddof is None else int(ddof)
    weights = _observation_weights(rows, fweights, aweights)
    middle = average(rows, axis=1, weights=weights, keepdims=True)
    scaled = distance = subtract(rows, middle)
    if weights is None:
        norm = subtract(wrap(as_node("cov", rows.shape[1], kind)), lost)
    else:
        total = sum(weights)
        of_weights = 1.0 if aweights is None else sum(multiply(weights, wrap(as_node("cov", aweights, kind)))) / total
        norm = subtract(total, multiply(lost, of_weights))
        scaled = multiply(distance, weights)
    products = divide(matmul(distance, matrix_transpose(scaled)), maximum(norm, 0))
    return reshape(products, ()) if products.shape == (1, 1) else products


def _variables(name: str, x: ArrayLike, y: ArrayLike | None, rowvar: bool, dtype: Any) -> tuple[Tensor, Any]:
    """Return variables as rows of floats."""
    nodes = [as_node(name, v) for v in ((x,) if y is None else (x, y))]
    kind = FLOAT64 if dtype is None else as_dtype(dtype)
    if kind.kind != "f":
        raise DTypeError(f"{name}: dtype must be floating-point, got {kind.name}")
    tables = []
    for node in nodes:
        if node.ndim > 2:
            raise ShapeError(f"{name}: takes rank 1 or 2, got {node.type}")
        table = wrap(cast_to(node, kind))
        if node.ndim < 2:
            tables.append(reshape(table, (1, -1)))
        else:
            tables.append(table if rowvar else matrix_transpose(table))
    return (tables[0] if y is None else concat(tables, axis=0)), kind


def _observation_weights(rows: Tensor, fweights: ArrayLike | None, aweights: ArrayLike | None) -> Tensor | None:
    found: Tensor | None = None
    for what, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is None:
            continue
        node = as_node("cov", weights)
        if node.ndim != 1:
            raise ShapeError(f"cov: {what} must have one axis, got {node.type}")
        if what == "fweights" and node.dtype.kind not in "iu":
            raise DTypeError(f"cov: fweights must be integers, got {node.type}")
        scale = wrap(weights_over("cov", wrap(cast_to(node, rows.dtype)), rows[0].node, (0,)))
        found = scale if found is None else multiply(found, scale)
    return found


def corrcoef(x: ArrayLike, /, y: ArrayLike | None = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    """Return the correlations of variables, their covariances divided by both deviations; see `cov`.

    They lie in [-1, 1]; a variable that does not vary has NaN.

    >>> gx.corrcoef(gx.placeholder((3, 10))).shape
    (3, 3)
    """
    products = cov(x, y, rowvar, dtype=dtype)
    if not products.ndim:
        return divide(products, products)
    deviation = sqrt(diagonal(products))
    found = divide(divide(products, expand_dims(deviation, 1)), expand_dims(deviation, 0))
    return clip(found, -1.0, 1.0)
