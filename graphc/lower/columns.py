"""Groups that fold outer axes: sums over the rows of a matrix, one for each column.

Memory is contiguous along a kept axis. It is cut into strips a few vectors wide, whose folds stay in registers while
the strip is walked from the first row to the last:

    for each strip of columns:
        acc[width] = 0
        for i in rows: for j in strip (vectors): y[i, j] = f(x[i, j]); acc[j] += y[i, j]
        for j in strip: total[j] = acc[j]

What needs the folds of a sweep comes in the next one over the same strip, as for rows in `nest`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from graphc.ir.graph import Node
from graphc.ir.groups import Group
from graphc.ir.index import Index, source_of
from graphc.ir.loops import (
    SERIAL,
    VECTOR,
    Alloc,
    Buffer,
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
)
from graphc.ir.types import TensorType
from graphc.lower.aliasing import same_row
from graphc.lower.axes import Around, Cut
from graphc.lower.nest import Nest, start_of
from graphc.lower.phases import Phase, plan
from graphc.lower.work import Launch
from graphc.target import Target

MAX_VECTORS = 8
"""Widest strip, in vectors: some cache lines of each row, so that what is fetched of a row is used."""


def lower_columns(group: Group, name: str, target: Target) -> Launch:
    """Return the kernel of a group that folds outer axes."""
    return Columns(group, name, target).launch()


class Columns(Nest):
    def __init__(self, group: Group, name: str, target: Target) -> None:
        super().__init__(group, name)
        self.target = target
        self.tiles: dict[Node, Buffer] = {}
        self.start, self.width = Index({}), 0

    def launch(self) -> Launch:
        """Return the kernel."""
        phases = plan(self.group, self._keep)
        nest = self._strips(phases, lambda: self._strip(phases))
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), nest)
        operands = tuple(self.operands.buffers)
        same = same_row(self.group, phases[-1].rows)
        return Launch(kernel, operands, frozenset(self.group.outputs), same, tuple(self.operands.sites.found))

    def _strips(self, phases: list[Phase], strip: Callable[[], Stmt], before: Sequence[Cut] = ()) -> Stmt:
        """Return the loops over strips, of which `strip` makes one, in pieces of the loops `before`."""
        *outer, columns = self.outer
        cut = Cut(columns.extent, self._strip_width(phases))
        around = Around([*[c.count for c in before], *[loop.extent for loop in outer], cut.count])
        for piece, index in zip(before, around.indices, strict=False):
            piece.number = index
        for loop, index in zip(outer, around.indices[len(before) :], strict=False):
            self.positions.update(loop.positions(index))
        cut.number = around.indices[-1]
        strips: list[Stmt] = []
        for self.width, here in cut.parts():
            self.start = cut.start
            strips.append(strip() if here is None else If(here, strip()))
        return around.body(block(*strips))

    def _strip_width(self, phases: list[Phase]) -> int:
        """Return how many columns have all their folds of a sweep in half of the registers, and leave a strip for each
        core if there are as many vectors."""
        lanes = self.target.lanes(max(n.dtype.itemsize for n in self.group.nodes))
        most = max(len(p.reductions) for p in phases)
        vectors = -(-self.outer[-1].extent // lanes)
        registers = self.target.vector_registers // 2 // max(1, most)
        return lanes * max(1, min(MAX_VECTORS, registers, vectors // self.target.cores))

    def _strip(self, phases: list[Phase]) -> Stmt:
        """Return the sweeps over the columns from `start`."""
        self.tiles, self.values = {}, {}
        code: list[Stmt] = []
        for phase in phases:
            code += self._of_columns(phase.rows)
            if phase.reductions or phase.stored:
                code += self._down(phase)
        return block(*code)

    def _across(self, needs: Iterable[Node], build: Callable[[], list[Stmt]]) -> Stmt:
        """Return the loop over a strip; the values in `needs` come out of their tiles."""
        var = Var("j")
        self.lane = (var,)
        self.positions.update(self.outer[-1].positions(self.start + Index.axis(var, self.width)))
        outside, self.values = self.values, dict(self.values)
        code: list[Stmt] = []
        for node in dict.fromkeys(n for n in needs if n in self.tiles):
            value = Var(f"{node.op.name}{len(self.values)}", node.dtype)
            code.append(Let(value, Load(self.tiles[node], self.lane)))
            self.values[node] = value
        code += build()
        self.values = outside
        return For(var, self.width, block(*code), VECTOR)

    def _tile(self, node: Node) -> Buffer:
        tile = Buffer(f"{node.op.name}_{len(self.tiles)}", TensorType(node.dtype, (self.width,)), Space.REGISTER)
        self.tiles[node] = tile
        return tile

    def _of_columns(self, nodes: list[Node]) -> list[Stmt]:
        """Compute and store values of which there is one for each column."""
        if not nodes:
            return []
        computed = [n for n in nodes if n not in self.group.domain]
        needs = [*_sources(computed), *[n for n in nodes if n in self.group.domain]]

        def build() -> list[Stmt]:
            code: list[Stmt] = []
            for node in nodes:
                if node in computed:
                    code += self._compute(node)
            stores = [self._store(n) for n in nodes if n in self.group.outputs]
            return [*code, *[Store(tiles[n], self.lane, self.values[n]) for n in computed], *stores]

        known = dict(self.tiles)
        tiles = {n: self._tile(n) for n in computed}
        added, self.tiles = self.tiles, known
        loop = self._across(needs, build)
        self.tiles = added
        return [*[Alloc(t) for t in tiles.values()], loop]

    def _down(self, phase: Phase) -> list[Stmt]:
        """Return one sweep down a strip."""
        needs = _sources([*phase.computed, *phase.reductions])
        known = dict(self.tiles)
        accumulators = {n: self._tile(n) for n in phase.reductions}
        added, self.tiles = self.tiles, known
        code: list[Stmt] = [Alloc(t) for t in accumulators.values()]
        if accumulators:
            code.append(self._across((), lambda: [
                Store(t, self.lane, const(start_of(n), n.dtype)) for n, t in accumulators.items()
            ]))  # fmt: skip
        variables = [Var(f"r{k}") for k in range(len(self.inner))]
        positions: dict[int, Index] = {}
        for loop, var in zip(self.inner, variables, strict=True):
            positions.update(loop.positions(Index.axis(var, loop.extent)))
        nest = self._across(needs, lambda: self._sweep(phase, accumulators, positions, Index({})))
        for loop, var in reversed(list(zip(self.inner, variables, strict=True))):
            nest = For(var, loop.extent, nest, SERIAL)
        self.tiles = added
        return [*code, nest]


def _sources(nodes: Iterable[Node]) -> list[Node]:
    return [source_of(i) for n in nodes for i in n.inputs]
