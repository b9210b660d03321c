"""What distributions are asked for: a shape, a dtype, and parameters that broadcast to that shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, cast_to, common_shape, differ, floating, result_type, spread_to
from graphc.array.handle import wrap
from graphc.array.shape import shape_of
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim
from graphc.ir.graph import Node, known_value
from graphc.ir.types import FLOAT32, Shape, as_dtype

if TYPE_CHECKING:
    from graphc.tensor import Tensor

WEAK = (bool, int, float, Dim)
"""Python's numbers: they take the dtype of what they meet."""


def float_request(
    name: str, shape: Any, dtype: Any, *parameters: ArrayLike
) -> tuple[Shape, np.dtype[Any], list[Tensor]]:
    """Return the shape, the floating dtype, and the parameters in both, numbers as they are.

    Without a shape it is that of the parameters, without a dtype theirs, float32 if they are Python's numbers.
    """
    wanted = float_dtype(name, dtype, *parameters)
    nodes = [cast_to(as_node(name, p), wanted) for p in parameters]
    sizes, spread = broadcast_request(name, shape, nodes)
    return sizes, wanted, [wrap(n) for n in spread]


def float_dtype(name: str, dtype: Any, *parameters: ArrayLike) -> np.dtype[Any]:
    """Return the floating dtype that is asked for."""
    if dtype is not None:
        wanted = as_dtype(dtype)
        if wanted.kind != "f":
            raise DTypeError(f"{name}: dtype must be float32 or float64, got {wanted.name}")
        return wanted
    strong = [floating(as_node(name, p).dtype) for p in parameters if not isinstance(p, WEAK)]
    return result_type(*strong) if strong else FLOAT32


def broadcast_request(name: str, shape: Any, nodes: Sequence[Node]) -> tuple[Shape, list[Node]]:
    """Return the shape that is asked for, by default that of the parameters, and the parameters in that shape; those
    of rank 0 stay."""
    own = common_shape(name, nodes)
    sizes = own if shape is None else shape_of(name, shape)
    extra = len(sizes) - len(own)
    if extra < 0 or any(a != 1 and differ(a, b) for a, b in zip(own, sizes[extra:], strict=True)):
        raise ShapeError(f"{name}: the parameters, of shape {own}, must broadcast to shape {sizes}")
    return sizes, [spread_to(n, sizes) if n.ndim else n for n in nodes]


def require(name: str, what: str, value: ArrayLike, *, low: float | None = None, high: float | None = None) -> None:
    """Raise ArgumentError where a parameter that is known lies outside of [low, high]. NaN passes, and comes out."""
    known = known_value(as_node(name, value))
    if known is None or known.dtype.kind not in "fiub" or not known.size:
        return
    if low is not None and np.any(known < low):
        raise ArgumentError(f"{name}: {what} must be at least {low:g}, got {np.nanmin(known):g}")
    if high is not None and np.any(known > high):
        raise ArgumentError(f"{name}: {what} must be at most {high:g}, got {np.nanmax(known):g}")
