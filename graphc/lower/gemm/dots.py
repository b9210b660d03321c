"""Products by dot products: vectors run along the sum, which is contiguous in both factors.

    for each block of MR rows and NR columns, in parallel:
        acc[MR * NR, lanes] = 0
        for k (vectors): for m, n (unrolled): for lane (vector): acc[m * NR + n, lane] += a[m, k, lane] * b[n, k, lane]
        for m: for n (vector): store epilogue(sum over lanes of acc[m * NR + n, lane], ...)

The sums over lanes are taken down columns of the registers, for all n at once. For few rows this is cheaper than to
arrange b in panels first.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from graphc.ir.index import Index
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Buffer,
    Const,
    Expr,
    For,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    apply,
    block,
    const,
    linear,
)
from graphc.ir.types import TensorType
from graphc.lower.gemm.labels import Access, Label, Where, decoded, either, nested, positions_of
from graphc.lower.gemm.packing import arrange
from graphc.lower.gemm.problem import Body, Problem
from graphc.lower.gemm.tiles import MAX_UNROLL_K, STEP_MULTIPLICATIONS, Split
from graphc.lower.work import Launch
from graphc.target import Target

COLUMNS = (8, 4, 2, 1)
"""Columns of a block: a power of two, so that their sums fill a vector; no more, as each is a place in memory to read
from."""

MAX_ROWS = 4
"""Rows of a block at most."""

FOLD_CYCLES = 3.0
"""Cycles to sum up the lanes of one accumulator."""


@dataclass(frozen=True)
class Dots:
    """Rows and columns of a block of dot products."""

    rows: int
    columns: int


def choose_dots(rows: int, columns: int, steps: int, target: Target) -> tuple[Dots, float]:
    """Return a block for dot products of `steps` vectors each, and the cycles that all of them take.

    All rows pass by for each block of columns, but for the first time from the second cache, or from beyond it if they
    do not stay nearer.
    """
    vector = target.vector_bytes
    waits = vector / target.bytes_per_cycle(rows * steps * vector) - 1
    found = []
    for n, most in itertools.product(COLUMNS, range(1, MAX_ROWS + 1)):
        m = Split(rows, -(-rows // most)).size
        if (n > columns and n > 1) or m * n + min(m, n) + 1 > target.vector_registers:
            continue
        passes = -(-columns // n)
        step = max(m * n / 2, (m + n) / 2, 4.0) + m * waits * (passes - 1) / passes
        each = steps * step + m * n * FOLD_CYCLES + 10
        found.append((each * -(-rows // m) * passes, Dots(m, n)))
    cycles, dots = min(found, key=lambda pair: pair[0])
    return dots, cycles


def lower_dots(problem: Problem) -> list[Launch]:
    """Return the kernels of a product by dot products; a factor that is not contiguous along the sum is copied."""
    before = []
    last = problem.merged(problem.summed, problem.a, problem.b)[-1]
    if problem.b.stride(last) != 1:
        problem.b, launch = arrange(problem, problem.b, "b")
        before.append(launch)
    return [*before, _Dots(problem).launch()]


class _Dots:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.body = Body(problem)
        rows = problem.merged(problem.rows, problem.a, problem.result)
        columns = problem.merged(problem.columns, problem.b, problem.result)
        *self.far, self.k = problem.merged(problem.summed, problem.a, problem.b)
        self.m = rows.pop() if rows else Label("", ())
        self.n = columns.pop() if columns else Label("", ())
        self.outer = [*problem.merged(problem.batch, problem.a, problem.b, problem.result), *rows, *columns]
        steps = problem.extent(problem.summed) // problem.lanes + 1
        self.dots, _ = choose_dots(self.m.extent, self.n.extent, steps, problem.target)

    def launch(self) -> Launch:
        """Return the loop over blocks, one for all, so that threads can share it."""
        split = Split(self.m.extent, -(-self.m.extent // self.dots.rows))
        whole, rest = divmod(self.n.extent, self.dots.columns)
        extents = [*[loop.extent for loop in self.outer], whole + bool(rest), split.parts]
        total = 1
        for extent in extents:
            total *= extent
        var = Var("block")
        *outer, column, row = decoded(Index.axis(var, total), extents)
        where: dict[str, Index] = {}
        for loop, index in zip(self.outer, outer, strict=True):
            where.update(loop.positions(index))

        def rows(start: Index, size: int) -> Stmt:
            def columns(start_n: Index, size_n: int) -> Stmt:
                return _Block(self, where, start, size, start_n, size_n).stmt()

            width = self.dots.columns
            if not rest:
                return columns(column * width, width)
            if not whole:
                return columns(Index({}), rest)
            return either(column, whole, columns(column * width, width), columns(Index({}, whole * width), rest))

        size = split.size
        if split.is_even:
            body = rows(row * size, size)
        else:
            body = either(row, split.longer, rows(row * size, size), rows(row * (size - 1) + split.longer, size - 1))
        return self.body.launch(For(var, total, body, PARALLEL))


class _Block:
    """The code of one block."""

    def __init__(self, nest: _Dots, where: Where, row: Index, rows: int, column: Index, columns: int) -> None:
        self.nest = nest
        self.body = nest.body
        self.problem = nest.problem
        self.where = where
        self.row, self.rows = row, rows
        self.column, self.columns = column, columns
        self.lanes = self.problem.lanes
        type = TensorType(self.problem.dtype, (rows * columns, self.lanes))
        self.acc = Buffer("acc", type, Space.REGISTER)

    def stmt(self) -> Stmt:
        which, lane = Var("acc"), Var("l")
        zero = For(lane, self.lanes, Store(self.acc, (which, lane), const(0, self.problem.dtype)), VECTOR)
        return block(Alloc(self.acc), For(which, self.rows * self.columns, zero, UNROLL), self._sum(), self._finish())

    def _sum(self) -> Stmt:
        found, variables = positions_of(self.nest.far)
        extent = self.nest.k.extent
        whole, rest = divmod(extent, self.lanes)
        unroll = min(MAX_UNROLL_K, -(-STEP_MULTIPLICATIONS // (self.rows * self.columns)))
        turns, more = divmod(whole, unroll)
        code: list[Stmt] = []
        if turns:
            var, step = Var("k"), Var("ks")
            vector = Index.axis(var, turns) * unroll + Index.axis(step, unroll)
            code.append(For(var, turns, For(step, unroll, self._multiply(found, vector, False), UNROLL), SERIAL))
        if more:
            step = Var("ks")
            vector = Index.axis(step, more) + turns * unroll
            code.append(For(step, more, self._multiply(found, vector, False), UNROLL))
        if rest:
            code.append(self._multiply(found, Index({}, whole), True))
        return nested(self.nest.far, variables, block(*code), SERIAL)

    def _multiply(self, far: Where, vector: Index, is_partial: bool) -> Stmt:
        """Add the products of a vector of steps to all sums; beyond the last step factors are 0."""
        i, j, lane = Var("m"), Var("n"), Var("l")
        step = vector * self.lanes + Index.axis(lane, self.lanes)
        mask = apply("lt", step.to_expr(), Const(self.nest.k.extent)) if is_partial else None
        here = {**self._positions(i, j), **far, **self.nest.k.positions(step)}
        product = self.body.product(self._load(self.problem.a, here, mask), self._load(self.problem.b, here, mask))
        add = Accumulate(self.acc, (linear([(i, self.columns), (j, 1)]), lane), "add", product)
        lanes = For(lane, self.lanes, add, VECTOR)
        return For(i, self.rows, For(j, self.columns, lanes, UNROLL), UNROLL)

    def _load(self, factor: Access, where: Where, mask: Expr | None) -> Expr:
        load = self.body.load(factor.operand, factor.index(where))
        return load if mask is None else Load(load.buffer, load.index, mask, const(0, load.dtype))

    def _finish(self) -> Stmt:
        i, j = Var("m"), Var("n")
        which = linear([(i, self.columns), (j, 1)])
        parts: list[Expr] = [Load(self.acc, (which, Const(k))) for k in range(self.lanes)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [apply("add", x, y) for x, y in zip(parts[:half], parts[half:], strict=True)]
        store = For(j, self.columns, block(*self.body.finish(parts[0], self._positions(i, j))), VECTOR)
        return For(i, self.rows, store, UNROLL)

    def _positions(self, i: Var, j: Var) -> dict[str, Index]:
        where = dict(self.where)
        for loop, start, var, size in (
            (self.nest.m, self.row, i, self.rows), (self.nest.n, self.column, j, self.columns)
        ):  # fmt: skip
            if loop.names:
                where.update(loop.positions(start + Index.axis(var, size)))
        return where
