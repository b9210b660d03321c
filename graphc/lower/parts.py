"""Long folds in parts: sums of everything, and sums over the rows of tall matrices.

    for part in parts (PARALLEL):                       for part in parts:
        acc = 0                                             for strip of columns: acc[width] = 0 ...
        for i in part: acc += x[i]                          for i in part: for j: acc[j] += x[i, j]
        partial[part] = acc                                 for j: partial[part, j] = acc[j]

A second kernel folds the partial results, in order, and computes what follows from them. How many parts there are
follows from the shape alone, so results do not depend on how many threads share the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.graph import Elementwise, Node, Reduction
from graphc.ir.groups import Group, GroupKind
from graphc.ir.index import Index
from graphc.ir.loops import (
    SERIAL,
    VECTOR,
    Accumulate,
    Alloc,
    Buffer,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
    linear,
)
from graphc.ir.types import TensorType
from graphc.lower.aliasing import same_row
from graphc.lower.axes import EVEN, Around, Cut, LoopAxis
from graphc.lower.columns import Columns
from graphc.lower.nest import Nest, start_of
from graphc.lower.operands import Operands
from graphc.lower.phases import Phase, plan
from graphc.lower.work import Launch, Temporary
from graphc.target import Target

PART = 8192
"""Elements of a part at least: as much work as it takes to share."""

LEAST_ROWS = 64
"""Rows of a part at least: its partial results are then few beside what it reads."""


@dataclass(frozen=True)
class _Part(LoopAxis):
    """Some iterations of a loop, from `start`."""

    start: Index
    count: int

    @property
    def extent(self) -> int:
        return self.count

    def positions(self, index: Index) -> dict[int, Index]:
        return super().positions(self.start + index)


def lower_in_parts(group: Group, name: str, target: Target, columns: bool) -> list[Launch] | None:
    """Return the kernels of a group with a long fold, None where it is short, or one fold needs another."""
    if group.kind is not GroupKind.REDUCTION or not all(isinstance(n.op, Elementwise | Reduction) for n in group.nodes):
        return None
    if int(np.prod(group.space)) < 2 * PART or any(n.op.name == "check_index" for n in group.nodes):
        return None
    lowering = _PartsOfColumns(group, name, target) if columns else _PartsOfAll(group, name)
    return lowering.launches()


class _PartsOfAll(Nest):
    """Folds of everything."""

    def launches(self) -> list[Launch] | None:
        phases = plan(self.group, self._keep)
        if self.outer or self.saved or not _is_one_sweep(phases):
            return None
        first, *rest = self.inner
        others = int(np.prod([loop.extent for loop in rest]))
        cut = Cut(first.extent, _side(first.extent, -(-PART // others)))
        if cut.count < 2:
            return None
        partial = {n: Temporary(TensorType(n.dtype, (cut.count,))) for n in phases[0].reductions}
        return [self._parts(phases[0], first, rest, cut, partial), self._rest(phases, partial)]

    def _parts(
        self, phase: Phase, first: LoopAxis, rest: Sequence[LoopAxis], cut: Cut, partial: dict[Node, Temporary]
    ) -> Launch:
        around = Around([cut.count])
        (cut.number,) = around.indices
        parts: list[Stmt] = []
        for size, here in cut.parts():
            self.values = {}
            self.inner = [_Part(first.axes, first.extents, cut.start, size), *rest]
            code = self._phase(0, phase)
            place = (cut.number.to_expr(),)
            code += [Store(self.operands.buffer(t), place, self.values[n]) for n, t in partial.items()]
            parts.append(block(*code) if here is None else If(here, block(*code)))
        kernel = Kernel(f"{self.name}_parts", tuple(self.operands.buffers.values()), around.body(block(*parts)))
        return Launch(kernel, tuple(self.operands.buffers), frozenset([*partial.values(), *phase.stored]))

    def _rest(self, phases: Sequence[Phase], partial: dict[Node, Temporary]) -> Launch:
        self.operands, self.values = Operands(), {}
        code: list[Stmt] = []
        for node, temporary in partial.items():
            assert isinstance(node.op, Reduction)
            acc, part = Buffer(f"acc{len(self.values)}", TensorType(node.dtype, ()), Space.REGISTER), Var("part")
            step = Accumulate(acc, (), node.op.combine, Load(self.operands.buffer(temporary), (part,)))
            code += [Alloc(acc), Store(acc, (), const(start_of(node), node.dtype))]
            code.append(For(part, int(temporary.type.shape[0]), step, VECTOR))
            total = Var(f"{node.op.name}{len(self.values)}", node.dtype)
            code.append(Let(total, Load(acc, ())))
            self.values[node] = total
        code += self._phase(1, phases[1])
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), block(*code))
        written = frozenset(o for o in self.group.outputs if o not in phases[0].stored)
        return Launch(kernel, tuple(self.operands.buffers), written)


class _PartsOfColumns(Columns):
    """Folds of the rows of a tall matrix, one for each column."""

    def launches(self) -> list[Launch] | None:
        phases = plan(self.group, self._keep)
        if len(self.outer) != 1 or not _is_one_sweep(phases):
            return None
        columns = self.outer[0].extent
        first, *rest = self.inner
        rows = int(np.prod([loop.extent for loop in rest]))
        strips = -(-columns // self._strip_width(phases))
        cut = Cut(first.extent, _side(first.extent, max(-(-PART // (rows * columns)), -(-LEAST_ROWS // rows))))
        if strips >= EVEN or cut.count < 2:
            return None
        partial = {n: Temporary(TensorType(n.dtype, (cut.count, columns))) for n in phases[0].reductions}
        return [self._parts(phases, first, rest, cut, partial), self._rest(phases, partial, cut.count)]

    def _parts(
        self, phases: list[Phase], first: LoopAxis, rest: list[LoopAxis], cut: Cut, partial: dict[Node, Temporary]
    ) -> Launch:
        def strip() -> Stmt:
            parts: list[Stmt] = []
            for size, here in cut.parts():
                self.tiles, self.values = {}, {}
                self.inner = [_Part(first.axes, first.extents, cut.start, size), *rest]
                code = block(*self._down(phases[0]), self._leave(cut.number, partial))
                parts.append(code if here is None else If(here, code))
            return block(*parts)

        nest = self._strips(phases, strip, [cut])
        kernel = Kernel(f"{self.name}_parts", tuple(self.operands.buffers.values()), nest)
        return Launch(kernel, tuple(self.operands.buffers), frozenset([*partial.values(), *phases[0].stored]))

    def _leave(self, number: Index, partial: dict[Node, Temporary]) -> Stmt:
        def stores() -> list[Stmt]:
            place = self._place(number.to_expr())
            return [Store(self._partial(t), place, self.values[n]) for n, t in partial.items()]

        return self._across(partial, stores)

    def _partial(self, temporary: Temporary) -> Buffer:
        return self.operands.buffer(temporary)

    def _place(self, number: Expr) -> tuple[Expr, ...]:
        """Return where a partial result of the column at hand lies."""
        columns = self.outer[-1].extent
        return (linear([(number, columns), (self.start.to_expr(), 1), (self.lane[0], 1)]),)

    def _rest(self, phases: list[Phase], partial: dict[Node, Temporary], count: int) -> Launch:
        self.operands = Operands()

        def strip() -> Stmt:
            self.tiles, self.values = {}, {}
            tiles = {n: self._tile(n) for n in partial}
            part = Var("part")

            def begin() -> list[Stmt]:
                return [Store(t, self.lane, const(start_of(n), n.dtype)) for n, t in tiles.items()]

            def step() -> list[Stmt]:
                place = self._place(part)
                return [_fold(n, t, self.lane, Load(self._partial(partial[n]), place)) for n, t in tiles.items()]

            self.tiles = {}
            code = [*[Alloc(t) for t in tiles.values()], self._across((), begin)]
            code.append(For(part, count, self._across((), step), SERIAL))
            self.tiles = dict(tiles)
            return block(*code, *self._of_columns(phases[1].rows))

        nest = self._strips(phases, strip)
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), nest)
        written = frozenset(o for o in self.group.outputs if o not in phases[0].stored)
        operands = tuple(self.operands.buffers)
        return Launch(kernel, operands, written, same_row(self.group, phases[1].rows) & frozenset(operands))


def _fold(node: Node, tile: Buffer, lane: tuple[Expr, ...], value: Expr) -> Stmt:
    assert isinstance(node.op, Reduction)
    return Accumulate(tile, lane, node.op.combine, value)


def _is_one_sweep(phases: Sequence[Phase]) -> bool:
    """Whether all folds happen in one sweep, and only numbers for each row are computed from them."""
    if len(phases) != 2 or phases[0].rows:
        return False
    return not phases[1].reductions and not phases[1].stored


def _side(extent: int, least: int) -> int:
    """Return the iterations of a part: for many parts, but not more than are even."""
    return max(least, -(-extent // EVEN))
