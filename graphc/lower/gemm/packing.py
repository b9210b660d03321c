"""Factors arranged anew, so that a tile finds what it needs at each step of the summation in a row.

    panels[tile, k, j] = b[k, tile * step + j]

The panels of one tile lie in order of use, on cache lines of their own, however far apart rows are in the factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.index import Index
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Alloc,
    Buffer,
    Const,
    Expr,
    For,
    Kernel,
    Let,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    apply,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.gemm.labels import Access, Label, Where, decoded, either, nested, positions_of, row_major
from graphc.lower.gemm.problem import Problem
from graphc.lower.operands import Operands
from graphc.lower.work import Launch, Temporary

MAX_SQUARE = 16
"""Rows of the squares that go through registers, at most: there are as many vectors in each."""


@dataclass(frozen=True)
class Panels:
    """A factor in panels: `outer` labels, then the panels, then `summed` labels, then the `width` of a panel."""

    operand: Temporary
    outer: tuple[str, ...]
    strides: dict[str, int]
    panel: int
    width: int

    def index(self, where: Where, tile: Index, within: Index) -> Index:
        """Return the place of the element `within` the row of a panel that `where` says."""
        flat = tile * self.panel + within
        for label, stride in self.strides.items():
            flat = flat + where[label] * stride
        return flat


def pack(
    problem: Problem, source: Access, outer: Sequence[str], free: Label, suffix: str, step: int, count: int
) -> tuple[Panels, Launch]:
    """Return `count` panels of a factor, each `step` further along one of its loops, and the launch of the kernel that
    fills them. Panels are whole vectors wide: what is beyond a step belongs to the next panel too, or is nobody's.
    """
    return _Packing(problem, source, outer, free, step, count).run(f"{problem.name}_{suffix}")


def arrange(problem: Problem, source: Access, suffix: str) -> tuple[Access, Launch]:
    """Return a copy of a factor in which the sum is contiguous, and the launch of the kernel that makes it."""
    others = [c for c in source.labels if c not in problem.summed]
    order = "".join([*others, *problem.summed])
    copy = Temporary(TensorType(problem.dtype, tuple([problem.sizes[c] for c in order])))
    target = Access(copy, order, row_major(order, problem.sizes), 0)
    loops = problem.merged(order, source)
    where, variables = positions_of(loops)
    operands = Operands()
    element = Load(operands.buffer(source.operand), (source.index(where).to_expr(),))
    store = Store(operands.buffer(copy), (target.index(where).to_expr(),), element)
    kernel_body = nested(loops, variables, store, PARALLEL, VECTOR)
    kernel = Kernel(f"{problem.name}_{suffix}", tuple(operands.buffers.values()), kernel_body)
    return target, Launch(kernel, tuple(operands.buffers), frozenset((copy,)))


class _Packing:
    def __init__(
        self, problem: Problem, source: Access, outer: Sequence[str], free: Label, step: int, count: int
    ) -> None:
        self.problem = problem
        self.source = source
        self.free = free
        self.step = step
        self.count = count
        self.width = width = -(-step // problem.lanes) * problem.lanes
        self.outer = [c for c in outer if c in source.labels]
        self.summed = problem.summed
        sizes, depth = problem.sizes, problem.extent(problem.summed)
        panel = depth * width
        self.target = Temporary(TensorType(problem.dtype, (problem.extent(self.outer) * self.count * panel,)))
        strides = {**row_major(self.summed, sizes, width), **row_major(self.outer, sizes, self.count * panel)}
        self.panels = Panels(self.target, tuple(self.outer), strides, panel, width)
        self.operands = Operands()

    def run(self, name: str) -> tuple[Panels, Launch]:
        loops = self.problem.merged(self.outer, self.source)
        tiles = self.count * self.problem.extent(self.outer)
        var = Var("p")
        *outer, tile = decoded(Index.axis(var, tiles), [*[loop.extent for loop in loops], self.count])
        where: dict[str, Index] = {}
        for loop, index in zip(loops, outer, strict=True):
            where.update(loop.positions(index))
        body = self._transposed(where, tile) if self._is_across() else self._rows(where, tile)
        kernel = Kernel(name, tuple(self.operands.buffers.values()), For(var, tiles, body, PARALLEL))
        return self.panels, Launch(kernel, tuple(self.operands.buffers), frozenset((self.target,)))

    def _is_across(self) -> bool:
        """Whether elements lie next to each other along the sum, and not along the panel, in squares not too large."""
        if not 1 < self.problem.lanes <= MAX_SQUARE:
            return False
        summed = self.problem.merged(self.summed, self.source)
        is_along = self.source.stride(self.free) == 1 or len(summed) != 1
        return not is_along and self.source.stride(summed[0]) == 1

    def _load(self, where: Where, mask: Expr | None = None) -> Load:
        fill = const(0, self.problem.dtype) if mask is not None else None
        buffer = self.operands.buffer(self.source.operand)
        return Load(buffer, (self.source.index(where).to_expr(),), mask, fill)

    def _store(self, where: Where, tile: Index, within: Index, value: Expr) -> Stmt:
        place = self.panels.index(where, tile, within)
        return Store(self.operands.buffer(self.target), (place.to_expr(),), value)

    def _rows(self, where: Where, tile: Index) -> Stmt:
        """Copy rows of the panel; beyond the last column of the factor they are 0."""
        summed = self.problem.merged(self.summed, self.source)
        found, variables = positions_of(summed)
        whole = min(self.count, max(0, (self.free.extent - self.width) // self.step + 1))

        def copies(masked: bool) -> Stmt:
            var = Var("j")
            column = tile * self.step + Index.axis(var, self.width)
            here = {**where, **found, **self.free.positions(column)}
            mask = apply("lt", column.to_expr(), Const(self.free.extent)) if masked else None
            copy = self._store(here, tile, Index.axis(var, self.width), self._load(here, mask))
            return nested(summed, variables, For(var, self.width, copy, VECTOR), SERIAL)

        if whole == self.count:
            return copies(False)
        if not whole:
            return copies(True)
        return either(tile, whole, copies(False), copies(True))

    def _transposed(self, where: Where, tile: Index) -> Stmt:
        """Copy squares of as many columns and steps of the sum as a vector has lanes, through registers.

        Beyond the last column of the factor the panel repeats it: what is computed from that is not stored.
        """
        (summed,) = self.problem.merged(self.summed, self.source)
        lanes, dtype = self.problem.lanes, self.problem.dtype
        whole, rest = divmod(summed.extent, lanes)
        square = Buffer("square", TensorType(dtype, (lanes, lanes)), Space.REGISTER)
        across = Var("s")
        first = Index.axis(across, self.width // lanes) * lanes

        def copies(start: Index, steps: int) -> Stmt:
            row, lane = Var("r"), Var("c")
            column, known = self._known(tile * self.step + first + Index.axis(row, lanes))
            step = start + Index.axis(lane, lanes)
            here = {**where, **self.free.positions(column), **summed.positions(step)}
            mask = apply("lt", step.to_expr(), Const(summed.extent)) if steps < lanes else None
            fill = For(lane, lanes, Store(square, (row, lane), self._load(here, mask)), VECTOR)
            lane_out, row_out = Var("c"), Var("r")
            there = {**where, **summed.positions(start + Index.axis(lane_out, steps))}
            element = Load(square, (row_out, lane_out))
            drain = For(row_out, lanes, self._store(there, tile, first + Index.axis(row_out, lanes), element), VECTOR)
            filled = For(row, lanes, block(*known, fill), UNROLL)
            return block(Alloc(square), filled, For(lane_out, steps, drain, UNROLL))

        code: list[Stmt] = []
        if whole:
            var = Var("k")
            code.append(For(var, whole, copies(Index.axis(var, whole) * lanes, lanes), SERIAL))
        if rest:
            code.append(copies(Index({}, whole * lanes), rest))
        return For(across, self.width // lanes, block(*code), SERIAL)

    def _known(self, column: Index) -> tuple[Index, list[Stmt]]:
        """Return a column, or the last one for those beyond it, and what computes its number."""
        last = self.free.extent - 1
        if column.range()[1] <= last:
            return column, []
        var = Var("column")
        return Index.axis(var, last + 1), [Let(var, apply("min", column.to_expr(), Const(last)))]
