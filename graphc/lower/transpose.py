"""Pointwise groups that read an array across the rows that they write: transposes, sums with transposed operands.

    y[u, v] = f(x[v, u], ...)

Vectors along v would gather elements of x one by one. Rows of x are read in vectors along u instead, a square of them
at a time, whose columns are vectors along v:

    for squares along u: for squares along v:
        for r: for c (vectors): tile[r, c] = x[v + r, u + c]          in registers
        for c: for r (vectors): y[u + c, v + r] = f(tile[r, c], ...)  columns are shuffled out of the rows

The squares go along the rows that are written: a line of the cache is written at once, if not read at once. Where f
is dear or reads several arrays so, the columns go to the stack first: the code of f then stands there once.
"""

from __future__ import annotations

from functools import reduce
from itertools import product

from graphc.ir.graph import Elementwise, Node
from graphc.ir.groups import Group, GroupKind
from graphc.ir.index import Index, flatten, source_of, trace
from graphc.ir.loops import (
    CHEAP,
    SERIAL,
    UNROLL,
    VECTOR,
    Alloc,
    Buffer,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    apply,
    block,
)
from graphc.ir.types import TensorType
from graphc.lower.axes import Around, Cut, LoopAxis, reads_met
from graphc.lower.nest import Nest
from graphc.lower.phases import Phase, plan
from graphc.lower.work import Launch
from graphc.target import Target

MOST_LANES = 16
"""Widest square: with more lanes, of narrow elements, it would not fit in registers."""

LEAST = 4
"""Extent along u from which rows are read in vectors."""

DIRECT = 4
"""Cheap operations up to which f is written out for each column."""


def lower_transposed(group: Group, name: str, target: Target) -> Launch | None:
    """Return the kernel of a group that reads an array across, None where no array is read so."""
    if group.kind is not GroupKind.POINTWISE or not all(isinstance(n.op, Elementwise) for n in group.nodes):
        return None
    nest = _Transposed(group, name, target)
    return nest.launch() if nest.rows is not None else None


class _Transposed(Nest):
    def __init__(self, group: Group, name: str, target: Target) -> None:
        super().__init__(group, name)
        lanes = target.lanes(max([i.dtype.itemsize for n in group.nodes for i in (n, *n.inputs)]))
        self.side = min(MOST_LANES, lanes)
        self.columns: dict[tuple[Node, Index], Load] = {}
        self.row, self.column = Var("r"), Var("c")
        self.rows = self._rows_axis()

    def _rows_axis(self) -> int | None:
        """Return the outer loop along which most of the arrays that are read across lie in rows."""
        if not self.outer or any(n.attrs.get("size") for n in self.group.nodes if n.op.name == "check_index"):
            return None
        loops = [*self.outer, *self.inner]
        variables = [Var(f"a{k}") for k in range(len(loops))]
        positions: dict[int, Index] = {}
        for loop, var in zip(loops, variables, strict=True):
            positions.update(loop.positions(Index.axis(var, loop.extent)))
        found = [0] * len(self.outer)
        for _, index in dict.fromkeys(reads_met(self.group, positions)):
            if not index.is_affine or abs(index.stride(variables[-1])) < 2:
                continue
            for k, loop in enumerate(self.outer):
                found[k] += index.stride(variables[k]) == 1 and loop.extent >= LEAST
        return max(range(len(found)), key=found.__getitem__) if any(found) else None

    def launch(self) -> Launch:
        """Return the kernel."""
        assert self.rows is not None
        phases = plan(self.group, self._keep)
        others = [loop for k, loop in enumerate(self.outer) if k != self.rows]
        u, v = self.outer[self.rows], self.inner[0]
        across, down = Cut(u.extent, self.side), Cut(v.extent, self.side)
        around = Around([*[loop.extent for loop in others], across.count, down.count])
        *outside, across.number, down.number = around.indices
        for loop, index in zip(others, outside, strict=True):
            self.positions.update(loop.positions(index))
        squares: list[Stmt] = []
        for (width, here_u), (height, here_v) in product(across.parts(), down.parts()):
            body = block(*self._square(u, v, across.start, down.start, width, height, phases[0]))
            conditions = [c for c in (here_u, here_v) if c is not None]
            squares.append(If(reduce(lambda a, b: apply("and", a, b), conditions), body) if conditions else body)
        nest = around.body(block(*squares))
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), nest)
        same = self._same_index(phases)
        return Launch(kernel, tuple(self.operands.buffers), frozenset(self.group.outputs), same)

    def _square(
        self, u: LoopAxis, v: LoopAxis, first_u: Index, first_v: Index, width: int, height: int, phase: Phase
    ) -> list[Stmt]:
        at_u, at_v = first_u + Index.axis(self.column, width), first_v + Index.axis(self.row, height)
        positions = {**u.positions(at_u), **v.positions(at_v)}
        code: list[Stmt] = []
        self.columns = {}
        reads = self._reads_across({**self.positions, **positions})
        direct = len(reads) == 1 and len(phase.computed) <= DIRECT and all(_is_cheap(n) for n in phase.computed)
        for source, index in reads:
            turn = self._turned(source, index, width, height)
            code += turn if direct else self._to_stack(source, index, turn, width, height)
        sweep = block(*self._sweep(phase, {}, positions, Index({})))
        rows = For(self.row, height, sweep, VECTOR)
        return [*code, For(self.column, width, rows, UNROLL if direct else SERIAL)]

    def _reads_across(self, positions: dict[int, Index]) -> list[tuple[Node, Index]]:
        found = dict.fromkeys(reads_met(self.group, positions))
        return [
            (node, index)
            for node, index in found
            if abs(index.along(self.row) or 0) > 1 and index.along(self.column) == 1
        ]

    def _turned(self, source: Node, index: Index, width: int, height: int) -> list[Stmt]:
        """Return the code that reads a square of an array into registers, row by row."""
        tile = Buffer("tile", TensorType(source.dtype, (height, width)), Space.REGISTER)
        load = Load(self.operands.buffer(source), (index.to_expr(),))
        fill = For(self.column, width, Store(tile, (self.row, self.column), load), VECTOR)
        self.columns[source, index] = Load(tile, (self.row, self.column))
        return [Alloc(tile), For(self.row, height, fill, UNROLL)]

    def _to_stack(self, source: Node, index: Index, turn: list[Stmt], width: int, height: int) -> list[Stmt]:
        kept = Buffer("square", TensorType(source.dtype, (width, height)), Space.STACK)
        place = (self.column, self.row)
        leave = For(self.row, height, Store(kept, place, self.columns[source, index]), VECTOR)
        self.columns[source, index] = Load(kept, place)
        return [Alloc(kept), *turn, For(self.column, width, leave, UNROLL)]

    def _operand(self, operand: Node, position: tuple[Index, ...]) -> Expr:
        if source_of(operand) not in self.members:
            source, found = trace(operand, position)
            known = self.columns.get((source, flatten(found, source.shape))) if source.ndim else None
            if known is not None:
                self.operands.last_read[source] = 0
                return known
        return super()._operand(operand, position)


def _is_cheap(node: Node) -> bool:
    return isinstance(node.op, Elementwise) and node.op.scalar in CHEAP


__all__ = ["lower_transposed"]
