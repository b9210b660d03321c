"""Scatter groups to loop nests over the updates.

    for i in rows:                     # in order: two rows may be the same place
        at = index[i]                  # checked by the kernel that computed it
        for j in columns:              # a vector: the columns of a row are different places
            out[at, j] = combine(out[at, j], update(i, j))

The target is in the output already when the kernel runs: copied there, unless it is the same memory, or written by
loops in front where it is only a view (zeros, say).
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import InternalError
from graphc.ir.graph import Node
from graphc.ir.groups import Group
from graphc.ir.index import Index, Position, flatten, indexed, is_virtual, known_index, source_of
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    VECTOR,
    Accumulate,
    For,
    Let,
    LoopKind,
    Stmt,
    Store,
    Var,
    block,
)
from graphc.ir.types import INT64
from graphc.lower.axes import LoopAxis, Positions
from graphc.lower.nest import Nest
from graphc.lower.operands import place
from graphc.lower.phases import Phase
from graphc.lower.scalars import cast
from graphc.lower.work import Launch, Operand
from graphc.ops.index import are_distinct, in_range
from graphc.ops.shape import reshape


def lower_scatter(group: Group, name: str) -> Launch:
    """Return the kernel of a scatter group, whose indices are known to be in range."""
    return _Scatter(group, name).launch()


class _Scatter(Nest):
    def __init__(self, group: Group, name: str) -> None:
        assert group.hero is not None
        self.hero = group.hero
        self.target, self.updates, *indices = self.hero.inputs
        self.indices: list[Node] = indices
        self.along: tuple[int, ...] = self.hero.attrs["axes"]
        for axis, index in zip(self.along, indices, strict=True):
            if not in_range(index, self.hero.shape[axis]):
                raise InternalError("lower: a scatter has an index that nothing checks", self.hero.location)
        rows = {a for a in group.axes[self.hero][: indices[0].ndim] if a is not None}
        self.ordered = frozenset() if are_distinct(indices) else frozenset(rows)
        super().__init__(group, name)

    # Loops.

    def _shareable(self) -> int:
        kept = [not self.ordered.isdisjoint(loop.axes) for loop in self.outer]
        return [*kept, True].index(True)

    def _inner_kind(self, loop: LoopAxis) -> LoopKind:
        return VECTOR if self.ordered.isdisjoint(loop.axes) else SERIAL

    def _written(self, node: Node, positions: Positions) -> Index:
        if node is not self.hero:
            return super()._written(node, positions)
        at = [known_index(i, self._row(positions)) for i in self.indices]
        named = [Index.axis(Var("at"), node.shape[a]) if i is None else i for a, i in zip(self.along, at, strict=True)]
        return flatten(indexed(self.along, named, self._column(positions)), node.shape)

    def _row(self, positions: Positions) -> Position:
        return place(self.group.axes[self.hero], positions)[: self.indices[0].ndim]

    def _column(self, positions: Positions) -> Position:
        return place(self.group.axes[self.hero], positions)[self.indices[0].ndim :]

    def _same_index(self, phases: Sequence[Phase]) -> frozenset[Operand]:
        return frozenset()

    # The target.

    def _copied(self) -> tuple[tuple[Operand, Operand], ...]:
        return () if is_virtual(self.target) else ((self.hero, self.target),)

    def _before(self) -> list[Stmt]:
        if not is_virtual(self.target):
            return []
        shape, target = self.hero.shape, self.target
        if source_of(target).tensor_type.size == 1:  # one number for all: one loop
            shape = (int(target.tensor_type.size),)
            target = reshape(target, shape=shape)
        loops = [Var(f"t{k}") for k in range(len(shape))]
        position = tuple(Index.axis(v, n) for v, n in zip(loops, shape, strict=True))
        flat = flatten(position, shape).to_expr()
        body: Stmt = Store(self.operands.buffer(self.hero), (flat,), self.operands.read(target, position))
        for k, (var, extent) in reversed(list(enumerate(zip(loops, shape, strict=True)))):
            kind = VECTOR if k == len(shape) - 1 else PARALLEL if k == 0 else SERIAL
            body = For(var, extent, body, kind)
        return [body]

    # One update.

    def _compute(self, node: Node) -> list[Stmt]:
        if node is not self.hero:
            return super()._compute(node)
        self.values[node] = self._operand(self.updates, place(self.group.axes[node], self.positions))
        return []

    def _store(self, node: Node) -> Stmt:
        if node is not self.hero:
            return super()._store(node)
        row = self._row(self.positions)
        lets: list[Stmt] = []
        at: list[Index] = []
        for axis, index in zip(self.along, self.indices, strict=True):
            found = known_index(index, row)
            if found is None:
                var = Var("at")
                lets.append(Let(var, cast(self.operands.read(index, row), INT64)))
                found = Index.axis(var, node.shape[axis])
            at.append(found)
        return block(*lets, self._combined(indexed(self.along, at, self._column(self.positions))))

    def _combined(self, position: Position) -> Stmt:
        node, value = self.hero, self.values[self.hero]
        combine = node.attrs["combine"]
        if combine == "set":
            return self.operands.store(node, position, value)
        flat = flatten(position, node.shape)
        return Accumulate(self.operands.buffer(node), (flat.to_expr(),), combine, value)


__all__ = ["lower_scatter"]
