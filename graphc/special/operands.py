"""Operands of special functions: floats of one dtype that broadcast together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, align, as_float, promote_floats
from graphc.array.handle import wrap
from graphc.ir.graph import Elementwise, Node

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def floats(name: str, *values: ArrayLike) -> tuple[Node, ...]:
    """Return operands as nodes of one floating dtype, of one shape or rank 0."""
    return align(name, promote_floats(name, values))


def applied(op: Elementwise, x: ArrayLike) -> Tensor:
    """Return an operation of one operand on a value, which it takes as a float."""
    return wrap(op(as_float(op.name, x)))
