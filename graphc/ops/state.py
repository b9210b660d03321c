"""A value that brings a change of a variable with it."""

from __future__ import annotations

from graphc.errors import InternalError
from graphc.ir.graph import Leaf, Node
from graphc.ir.types import TensorType


def _infer(value: TensorType, variable: TensorType, new: TensorType, *, serial: int) -> TensorType:
    if new.dtype != variable.dtype or new.ndim != variable.ndim:
        raise InternalError(f"with_update: the new value must be {variable}, got {new}")
    return value


def _passed(cotangent: Node, *_: Node) -> Node:
    return cotangent


with_update = Leaf(
    "with_update",
    infer=_infer,
    reference=lambda value, variable, new, *, serial: value,
    vjp=(_passed, None, None),
    doc="The value. A graph captured with it in it sets the variable to `new` when a call ends, once for each serial.",
)
