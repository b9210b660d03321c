"""What a kernel does with an element of a product while it is at hand: the rest of its group, and the stores."""

from __future__ import annotations

from graphc.ir.graph import Elementwise, Node
from graphc.ir.groups import Group
from graphc.ir.index import Index, Position, flatten, operands_met, source_of
from graphc.ir.loops import CHEAP, Expr, Let, Stmt, Var
from graphc.lower.operands import Operands
from graphc.lower.work import Operand

IN_REGISTERS = 12
"""Cheap operations up to which an epilogue is written out for each register of a tile."""


class Epilogue:
    """The nodes of a product's group after its hero, computed and stored one element at a time."""

    def __init__(self, group: Group, operands: Operands) -> None:
        assert group.hero is not None
        self.group = group
        self.hero = group.hero
        self.operands = operands
        self.stored: dict[Node, set[Index]] = {}

    @property
    def is_short(self) -> bool:
        """Whether it may be written out for each register of a tile: it is not much code."""
        cost = 0
        for node in self.group.nodes:
            if isinstance(node.op, Elementwise):
                cost += 1 if node.op.scalar in CHEAP or node.op.scalar in ("div", "sqrt") else IN_REGISTERS
            elif node is not self.hero:
                cost += 2  # a padding or a gather: an address and a load
        return cost <= IN_REGISTERS

    def finish(self, value: Expr, place: Position) -> list[Stmt]:
        """Return the statements for the element of the hero at `place`, of which `value` is the value."""
        group = self.group
        here = dict(enumerate([p for p, s in zip(place, self.hero.shape, strict=True) if s != 1]))
        code: list[Stmt] = []
        stores: list[Stmt] = []
        values: dict[Node, Expr] = {}
        for node in group.nodes:
            position = tuple([Index({}) if a is None else here[a] for a in group.axes[node]])
            if node is self.hero:
                result = value
            else:
                args = tuple(
                    [
                        values[source_of(i)] if source_of(i) in values else self.operands.read(i, position[: i.ndim])
                        for i in operands_met(node)
                    ]
                )
                checks, result = self.operands.compute(node, args, position)
                code += checks
            var = Var(f"{node.op.name}{len(values)}", node.dtype)
            code.append(Let(var, result))
            values[node] = var
            if node in group.outputs:
                self.stored.setdefault(node, set()).add(flatten(position, node.shape))
                stores.append(self.operands.store(node, position, var))
        # Last: what is written may be the memory of what is read, at this very element.
        return [*code, *stores]

    def same_index(self) -> frozenset[Operand]:
        """Return arrays that only the epilogue reads, and only at the element it writes."""
        factors = {source_of(i) for i in self.hero.inputs}
        written = {i for o in self.group.outputs for i in self.stored.get(o, ()) if o.shape == self.hero.shape}
        read = self.operands.read_exactly.items()
        return frozenset([n for n, found in read if n not in factors and found == written])
