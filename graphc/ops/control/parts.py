"""What the definitions of region operations share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, literal, placeholder
from graphc.ir.types import BOOL, TensorType
from graphc.ops.shape import broadcast

Parts = Sequence[Node | None]
Pullback = Callable[[Sequence[Node], Sequence[Node], Parts, Parts], tuple[list[Node | None], list[Node | None]]]
"""pullback(outputs, wrt, cotangents, masks) -> (cotangents of wrt, their masks). Outside its mask, a cotangent is zero;
None is everywhere."""


def zeros(type: TensorType) -> Node:
    """Return an array of zeros."""
    scalar = literal(0, type.dtype)
    return broadcast(scalar, shape=type.shape, axes=()) if type.shape else scalar


def parameter(name: str, type: TensorType) -> Node:
    """Return an input of a body."""
    return placeholder(name=name, type=type)


def may_equal(a: Size, b: Size) -> bool:
    return a == b or isinstance(a, Dim) or isinstance(b, Dim)


def require_same(op: str, given: TensorType, wanted: TensorType, what: str, where: str = "in every step") -> None:
    """Raise where a value may not stand for one of another type."""
    if given.dtype != wanted.dtype:
        raise DTypeError(f"{op}: {what} must be {wanted} {where}, got {given}")
    fits = given.ndim == wanted.ndim and all(may_equal(a, b) for a, b in zip(given.shape, wanted.shape, strict=True))
    if not fits:
        raise ShapeError(f"{op}: {what} must be {wanted} {where}, got {given}")


def require_count(op: str, types: Sequence[TensorType], expected: Sequence[TensorType]) -> None:
    if len(types) != len(expected):
        raise ShapeError(f"{op}: the body takes {len(expected)} values, got {len(types)}")


def require_flag(op: str, type: TensorType, what: str) -> None:
    """Raise where a value that decides is not one bool."""
    if type.dtype != BOOL:
        raise DTypeError(f"{op}: {what} must be a bool, got {type}; compare, or use astype('bool')")
    if type.ndim:
        raise ShapeError(f"{op}: {what} must be one bool, got {type}; reduce it with gx.all or gx.any")
