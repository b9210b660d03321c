"""Products of one or two rows by sums of rows of b, each times a number: b is read once, in the order that it lies in.

    for each strip of columns, in parallel:
        c[rows, strip] = 0
        for k (some steps at a time): for n in strip (vectors): c[m, n] += a[m, k] * b[k, n] + ...
        for n in strip: store epilogue(c[m, n], ...)

A register tile would read a few vectors of each row and leave the rest of it for later, which no prefetcher follows.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.index import Index
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Buffer,
    For,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.gemm.labels import Label, Where, decoded, either, nested, positions_of
from graphc.lower.gemm.problem import Body, Problem
from graphc.lower.work import Launch

MAX_ROWS = 2
"""Rows up to which memory is what such a product waits for."""

STEPS = 8
"""Rows of b that are added at once."""

STRIP_BYTES = 1024, 8192
"""Bytes of each row of b that one strip reads in a row: at least, and at most."""


def lower_axpy(problem: Problem) -> list[Launch]:
    """Return the kernel of a product of few rows whose other factor is contiguous along the columns."""
    return [_Axpy(problem).launch()]


class _Axpy:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.body = Body(problem)
        rows = problem.merged(problem.rows, problem.a, problem.result)
        columns = problem.merged(problem.columns, problem.b, problem.result)
        *self.far, self.k = problem.merged(problem.summed, problem.a, problem.b)
        self.m = rows.pop() if rows else Label("", ())
        self.n = columns.pop()
        self.outer = [*problem.merged(problem.batch, problem.a, problem.b, problem.result), *rows, *columns]

    def launch(self) -> Launch:
        """Return the loop over strips."""
        width = self._width()
        whole, rest = divmod(self.n.extent, width)
        extents = [*[loop.extent for loop in self.outer], whole + bool(rest)]
        total = 1
        for extent in extents:
            total *= extent
        var = Var("strip")
        *outer, strip = decoded(Index.axis(var, total), extents)
        where: dict[str, Index] = {}
        for loop, index in zip(self.outer, outer, strict=True):
            where.update(loop.positions(index))
        body = self._strip(where, strip * width, width)
        if rest:
            body = either(strip, whole, body, self._strip(where, Index({}, whole * width), rest))
        return self.body.launch(For(var, total, body, PARALLEL))

    def _width(self) -> int:
        """Return the columns of a strip: all if that is not too long, but a share of them for each core."""
        least, most = (nbytes // self.problem.dtype.itemsize for nbytes in STRIP_BYTES)
        lanes = self.problem.lanes
        share = -(-self.n.extent // (self.problem.target.cores * lanes)) * lanes
        return min(self.n.extent, most, max(least, share))

    def _strip(self, where: Where, start: Index, width: int) -> Stmt:
        rows, dtype = self.m.extent, self.problem.dtype
        sums = Buffer("sums", TensorType(dtype, (rows, width)), Space.STACK)

        def across(of_row: list[Stmt], i: Var, j: Var) -> Stmt:
            return For(i, rows, For(j, width, block(*of_row), VECTOR))

        i, j = Var("m"), Var("n")
        clear = across([Store(sums, (i, j), const(0, dtype))], i, j)
        code = [Alloc(sums), clear, self._sum(where, sums, start, width)]
        i, j = Var("m"), Var("n")
        here = self._positions(where, i, start + Index.axis(j, width))
        return block(*code, across(self.body.finish(Load(sums, (i, j)), here), i, j))

    def _sum(self, where: Where, sums: Buffer, start: Index, width: int) -> Stmt:
        found, variables = positions_of(self.far)
        whole, rest = divmod(self.k.extent, STEPS)
        code: list[Stmt] = []
        if whole:
            var = Var("k")
            first = Index.axis(var, whole) * STEPS
            code.append(For(var, whole, self._add({**where, **found}, sums, start, width, first, STEPS)))
        if rest:
            code.append(self._add({**where, **found}, sums, start, width, Index({}, whole * STEPS), rest))
        return nested(self.far, variables, block(*code), SERIAL)

    def _add(self, where: Where, sums: Buffer, start: Index, width: int, first: Index, steps: int) -> Stmt:
        """Add some rows of b to the strip: each element of it is loaded and stored once."""
        rows, body = self.m.extent, self.body
        acc = Buffer("acc", TensorType(sums.type.dtype, (rows,)), Space.REGISTER)
        j, step = Var("n"), Var("ks")

        def each(code: Callable[[Var], Stmt]) -> Stmt:
            i = Var("m")
            return For(i, rows, code(i), UNROLL)

        def term(i: Var) -> Stmt:
            here = self._positions(where, i, start + Index.axis(j, width))
            here.update(self.k.positions(first + Index.axis(step, steps)))
            a, b = self.problem.a, self.problem.b
            product = body.product(body.load(a.operand, a.index(here)), body.load(b.operand, b.index(here)))
            return Accumulate(acc, (i,), "add", product)

        return For(
            j,
            width,
            block(
                Alloc(acc),
                each(lambda i: Store(acc, (i,), Load(sums, (i, j)))),
                For(step, steps, each(term), UNROLL),
                each(lambda i: Store(sums, (i, j), Load(acc, (i,)))),
            ),
            VECTOR,
        )

    def _positions(self, where: Where, row: Var, column: Index) -> dict[str, Index]:
        found = {**where, **self.n.positions(column)}
        if self.m.names:
            found.update(self.m.positions(Index.axis(row, self.m.extent)))
        return found
