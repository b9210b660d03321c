"""How the elements of an operand lie in the memory behind its views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.errors import InternalError
from graphc.ir.graph import Node
from graphc.ir.index import Index, flatten, trace
from graphc.ir.loops import Expr, Load, Var, const
from graphc.lower.operands import Operands, is_number, number_of
from graphc.lower.work import Operand


@dataclass(frozen=True)
class Strided:
    """An array read at constant strides: element [i, j, ...] is offset + i*strides[0] + j*strides[1] + ... of it."""

    operand: Operand
    strides: tuple[int, ...]
    offset: int = 0

    def index(self, position: Sequence[Index]) -> Index:
        """Return where an element lies; a position may run over the end of an axis into what lies behind it."""
        flat = Index({}, self.offset)
        for place, stride in zip(position, self.strides, strict=True):
            flat = flat + place * stride
        return flat

    def load(self, operands: Operands, position: Sequence[Index]) -> Expr:
        """Return an element, or the number that all elements are."""
        if isinstance(self.operand, Node) and is_number(self.operand):
            return const(number_of(self.operand), self.operand.dtype)
        return Load(operands.buffer(self.operand), (self.index(position).to_expr(),))


def strided(node: Node) -> Strided:
    """Return how an operand of a product lies in memory; `materialize` has seen to it that it can be said."""
    variables = [Var(f"i{k}") for k in range(node.ndim)]
    source, found = trace(node, tuple([Index.axis(v, s) for v, s in zip(variables, node.shape, strict=True)]))
    flat = flatten(found, source.shape)
    if not flat.is_affine:
        raise InternalError(f"lower: {node!r} does not lie at constant strides")
    return Strided(source, tuple([flat.stride(v) for v in variables]), flat.offset)
