"""Products in register tiles.

    for each block of rows (or panel of columns), in parallel:
        for each panel of columns: for each tile of rows in the block:
            acc[MR, NR] = 0
            for k: for m (unrolled): for n (vectors): acc[m, n] += a[m, k] * b[k, n]
            for m, n: store epilogue(acc[m, n], ...)

Vectors run along the last label of the result. Rows are dealt out so that tiles differ by one at most, which takes two
versions of the code; columns that are left over take a narrower one, or, where b comes in panels that are filled up,
stores of some lanes only. Everything else is a matter of strides: transposed, batched and sliced operands need no copy.

A long sum is cut into blocks, whose sums wait in memory for each other:

    for each block of the sum: ... acc = sums[m, n] unless it is the first; ...; sums[m, n] = acc unless it is the last
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    If,
    Load,
    LoopKind,
    Space,
    Stmt,
    Store,
    Var,
    apply,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.gemm.blocking import Blocks, Size, plan
from graphc.lower.gemm.labels import Access, Label, Where, decoded, either, nested, positions_of
from graphc.lower.gemm.packing import Panels, pack
from graphc.lower.gemm.problem import Body, Problem
from graphc.lower.gemm.tiles import Split, Tile
from graphc.lower.work import Launch, Temporary

Factor = Access | Panels


@dataclass(frozen=True)
class _Part:
    """Elements of one loop: those from `start`, in the panel with number `tile`; `limit` is what there is in all,
    if the last panel has more."""

    loop: Label
    tile: Index
    start: Index
    size: int
    limit: int | None = None


def lower_tiled(problem: Problem) -> list[Launch]:
    """Return the kernels of a product in tiles: those that arrange factors first."""
    return _Tiled(problem).launches()


class _Tiled:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.body = Body(problem)
        self.a: Factor = problem.a
        self.b: Factor = problem.b
        rows = problem.merged(problem.rows, problem.a, problem.result)
        columns = problem.merged(problem.columns, problem.b, problem.result)
        self.summed = problem.merged(problem.summed, problem.a, problem.b)
        self.m = rows.pop() if rows else Label("", ())
        self.n = columns.pop()
        self.outer = [*problem.merged(problem.batch, problem.a, problem.b, problem.result), *rows, *columns]
        self.sums: Temporary | None = None

    def launches(self) -> list[Launch]:
        problem, blocks = self.problem, self._plan()
        before = []
        shared = [c for loop in self.outer for c in loop.names]
        self.width = blocks.tile.vectors * problem.lanes
        if blocks.pack_b:
            tiles = -(-self.n.extent // self.width)
            self.b, launch = pack(problem, problem.b, shared, self.n, "b", self.width, tiles)
            before.append(launch)
        if blocks.pack_a:
            self.a, launch = pack(problem, problem.a, shared, self.m, "a", blocks.tile.rows, blocks.row_tiles)
            before.append(launch)
        self.blocks = blocks
        if blocks.depth > 1:
            self.sums = Temporary(TensorType(problem.dtype, problem.hero.shape))
        return [*before, self.body.launch(self._nest(), self.sums, is_exact=self.sums is None)]

    def _plan(self) -> Blocks:
        problem = self.problem
        last = self.summed[-1]
        outer = 1
        for loop in self.outer:
            outer *= loop.extent
        size = Size(
            rows=self.m.extent,
            columns=self.n.extent,
            depth=problem.extent(problem.summed),
            outer=outer,
            itemsize=problem.dtype.itemsize,
            a_step=problem.a.stride(last),
            a_row=problem.a.stride(self.m),
            b_step=problem.b.stride(last),
            is_simple=len(self.summed) == 1,
        )
        return plan(size, problem.lanes, problem.target, problem.b.stride(self.n) != 1)

    # Loops.

    def _nest(self) -> Stmt:
        """Return the loop over blocks, one for all of their kinds, so that threads can share it."""
        blocks = self.blocks
        row_blocks = blocks.row_tiles // blocks.row_block
        column_tiles = -(-self.n.extent // self.width)
        extents = [*[loop.extent for loop in self.outer], row_blocks, 1 if blocks.all_columns else column_tiles]
        total = 1
        for extent in extents:
            total *= extent
        var = Var("block")
        *outer, row_block, column = decoded(Index.axis(var, total), extents)
        where: dict[str, Index] = {}
        for loop, index in zip(self.outer, outer, strict=True):
            where.update(loop.positions(index))
        if blocks.depth == 1:
            return For(var, total, self._over_columns(where, row_block, column, None), PARALLEL)
        step = Var("kb")
        body = self._over_columns(where, row_block, column, step)
        return For(var, total, For(step, blocks.depth, body), PARALLEL)

    def _over_columns(self, where: Where, row_block: Index, column: Index, step: Var | None) -> Stmt:
        whole, rest = divmod(self.n.extent, self.width)
        tiles = whole + bool(rest)

        def of(tile: Index, size: int) -> Stmt:
            part = _Part(self.n, tile, tile * self.width, size, limit)
            return self._over_rows(where, row_block, part, step)

        is_filled_up = isinstance(self.b, Panels)
        limit = self.n.extent if is_filled_up and rest else None
        if not self.blocks.all_columns:
            if not rest or is_filled_up:
                return of(column, self.width)
            last = Index({}, whole)
            if not whole:
                return of(last, rest)
            return either(column, whole, of(column, self.width), of(last, rest))
        code: list[Stmt] = []
        whole = tiles if is_filled_up else whole
        if whole:
            var = Var("nt")
            code.append(For(var, whole, of(Index.axis(var, whole), self.width)))
        if rest and not is_filled_up:
            code.append(of(Index({}, whole), rest))
        return block(*code)

    def _over_rows(self, where: Where, row_block: Index, columns: _Part, step: Var | None) -> Stmt:
        blocks = self.blocks
        var = Var("mt")
        tile = row_block * blocks.row_block + Index.axis(var, blocks.row_block)
        split = Split(self.m.extent, blocks.row_tiles)
        limit = self.m.extent if isinstance(self.a, Panels) and blocks.row_tiles * split.size > self.m.extent else None

        def of(start: Index, size: int) -> Stmt:
            part = _Part(self.m, tile, start, size, limit)
            return _TileCode(self, where, part, columns, step).stmt()

        if isinstance(self.a, Panels):
            return For(var, blocks.row_block, of(tile * split.size, split.size))
        longer = of(tile * split.size, split.size)
        if split.is_even:
            return For(var, blocks.row_block, longer)
        shorter = of(tile * (split.size - 1) + split.longer, split.size - 1)
        return For(var, blocks.row_block, either(tile, split.longer, longer, shorter))


class _TileCode:
    """The code of one tile."""

    def __init__(self, nest: _Tiled, where: Where, rows: _Part, columns: _Part, step: Var | None) -> None:
        self.nest = nest
        self.body = nest.body
        self.problem = nest.problem
        self.where = where
        self.rows = rows
        self.columns = columns
        self.step = step
        self.type = TensorType(self.problem.dtype, (rows.size, columns.size))
        self.acc = Buffer("acc", self.type, Space.REGISTER)

    def stmt(self) -> Stmt:
        clear = self._each(UNROLL, lambda i, j, _: [Store(self.acc, (i, j), const(0, self.problem.dtype))])
        if self.step is None:
            return block(Alloc(self.acc), clear, *self._sum(Index({})), *self._finish())
        assert self.nest.sums is not None
        sums, last = self.nest.sums, self.nest.blocks.depth - 1
        result = self.problem.result

        def resume(i: Var, j: Var, where: Where) -> list[Stmt]:
            return [Store(self.acc, (i, j), self.body.load(sums, result.index(where)))]

        def wait(i: Var, j: Var, where: Where) -> list[Stmt]:
            return [Store(self.body.operands.buffer(sums), (result.index(where).to_expr(),), Load(self.acc, (i, j)))]

        return block(
            Alloc(self.acc),
            clear,
            If(apply("gt", self.step, Const(0)), self._stored(resume)),
            *self._sum(Index.axis(self.step, last + 1)),
            If(apply("lt", self.step, Const(last)), self._stored(wait)),
            If(apply("eq", self.step, Const(last)), block(*self._finish())),
        )

    # The sum.

    def _sum(self, step: Index) -> list[Stmt]:
        """Return the loops over a block of the sum, of the innermost one some steps in a row.

        Blocks are of equal length; the last one has what is left over besides.
        """
        *outer, last = self.nest.summed
        found, variables = positions_of(outer)
        depth = self.nest.blocks.depth
        count, left = divmod(last.extent, depth)
        unroll = Tile(self.rows.size, -(-self.columns.size // self.problem.lanes)).unroll
        whole, rest = divmod(count, unroll)
        code: list[Stmt] = []

        def steps(start: Index, number: int, kind: LoopKind) -> Stmt:
            var = Var("ks")
            where = {**found, **last.positions(start + Index.axis(var, number))}
            return For(var, number, self._multiply(where), kind)

        start = step * count
        if whole:
            var = Var("k")
            code.append(For(var, whole, steps(start + Index.axis(var, whole) * unroll, unroll, UNROLL), SERIAL))
        if rest:
            code.append(steps(start + whole * unroll, rest, UNROLL))
        if left:
            assert self.step is not None
            code.append(If(apply("eq", self.step, Const(depth - 1)), steps(Index({}, depth * count), left, SERIAL)))
        return [nested(outer, variables, block(*code), SERIAL)]

    def _multiply(self, summed: Where) -> Stmt:
        body = self.body

        def term(i: Var, j: Var, where: Where) -> list[Stmt]:
            here = {**where, **summed}
            a = self._element(self.nest.a, here, self.rows, i)
            b = self._element(self.nest.b, here, self.columns, j)
            return [Accumulate(self.acc, (i, j), "add", body.product(a, b))]

        return self._each(UNROLL, term)

    def _element(self, factor: Factor, where: Where, part: _Part, var: Var) -> Expr:
        if isinstance(factor, Access):
            return self.body.load(factor.operand, factor.index(where))
        return self.body.load(factor.operand, factor.index(where, part.tile, Index.axis(var, part.size)))

    # Elements of the tile.

    def _each(self, kind: LoopKind, code: Callable[[Var, Var, Where], Sequence[Stmt]]) -> Stmt:
        """Return loops over all elements of the tile, in registers."""
        i, j = Var("m"), Var("n")
        inner = For(j, self.columns.size, block(*code(i, j, self._positions(i, j))), VECTOR)
        return For(i, self.rows.size, inner, kind)

    def _positions(self, i: Var, j: Var) -> dict[str, Index]:
        where = dict(self.where)
        for part, var in ((self.rows, i), (self.columns, j)):
            if part.loop.names:
                where.update(part.loop.positions(part.start + Index.axis(var, part.size)))
        return where

    def _stored(self, code: Callable[[Var, Var, Where], Sequence[Stmt]], kind: LoopKind = UNROLL) -> Stmt:
        """Return loops over the elements of the tile that belong to the result."""

        rows, columns = self.rows, self.columns

        def within(i: Var, j: Var, where: Where) -> list[Stmt]:
            stmts = list(code(i, j, where))
            if rows.limit is None:
                return stmts
            row = (rows.start + Index.axis(i, rows.size)).to_expr()
            return [If(apply("lt", row, Const(rows.limit)), block(*stmts))]

        if columns.limit is None:
            return self._each(kind, within)
        limit, width = columns.limit, columns.size

        def masked(i: Var, j: Var, where: Where) -> list[Stmt]:
            column = (columns.start + Index.axis(j, width)).to_expr()
            return [If(apply("lt", column, Const(limit)), block(*within(i, j, where)))]

        if limit < width:
            return self._each(kind, masked)
        return either(columns.tile, limit // width, self._each(kind, within), self._each(kind, masked))

    def _finish(self) -> list[Stmt]:
        if self.body.epilogue.is_short:
            return [self._stored(lambda i, j, where: self.body.finish(Load(self.acc, (i, j)), where))]
        # Too much code to repeat for each register: by way of a small array in the first-level cache.
        spill = Buffer("tile", self.type, Space.STACK)
        return [
            Alloc(spill),
            self._each(UNROLL, lambda i, j, _: [Store(spill, (i, j), Load(self.acc, (i, j)))]),
            self._stored(lambda i, j, where: self.body.finish(Load(spill, (i, j)), where), SERIAL),
        ]
