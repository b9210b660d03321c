"""Running folds to loop nests.

Along an axis that is not the last, vectors run over the columns, and the loop over the axis carries one total a column:

    for strip of columns: for k along the axis:
        for j in strip (vectors): total[j] = step(total[j], x[k, j]); y[k, j] = total[j]

Along the last axis, a square of as many rows as lanes is turned in registers, so that a vector holds one element of
each row, and turned back:

    for rows by L: for columns by L:
        t = x[rows, columns].T; for c: total = step(total, t[c]); u[c] = total; y[rows, columns] = u.T

Each row is then folded in order. Of few and long rows, where the fold may be taken in any order, the rows of a square
are L pieces of one row instead: what comes before each piece is combined into it at the end. This way one row is as
fast as many, at the price that a sum of floats rounds in another order, with an error as for `sum`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import Cumulative, Node
from graphc.ir.index import source_of
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Alloc,
    Buffer,
    Expr,
    For,
    Kernel,
    Let,
    Load,
    LoopKind,
    Space,
    Stmt,
    Store,
    Var,
    add,
    apply,
    block,
    const,
    linear,
)
from graphc.ir.types import TensorType
from graphc.lower.work import Launch
from graphc.target import Target

MAX_LANES = 8
"""Side of the largest square that is turned: one of 16 takes four times as long to compile and runs no faster."""

MANY_ROWS = 32
"""Rows from which on squares of rows, each folded in order, are as fast as pieces of one, and shared out as well."""

FEW_ROWS = 3
"""Rows up to which a square is not worth turning: they are folded side by side, one element after the other."""

STRIP_VECTORS = 8
"""Widest strip of columns, in vectors: some cache lines of each row."""


def lower_cumulative(node: Node, name: str, target: Target) -> Launch:
    """Return the kernel of a running fold over arrays that have elements."""
    axis, shape = node.attrs["axis"], [int(s) for s in node.shape]
    outer, length, inner = (int(np.prod(part)) for part in (shape[:axis], shape[axis], shape[axis + 1 :]))
    lanes = target.lanes(node.dtype.itemsize)
    if inner > 1:
        fold: _Fold = _Columns(node, (outer, length, inner), lanes)
    else:
        fold = _Rows(node, (outer, length), min(MAX_LANES, lanes))
    sources = tuple(map(source_of, node.inputs))
    kernel = Kernel(name, (*fold.inputs, fold.output), fold.nest())
    return Launch(kernel, (*sources, node), frozenset((node,)), frozenset(sources))


class _Fold:
    """A running fold over arrays taken as `shape`."""

    def __init__(self, node: Node, shape: tuple[int, ...], lanes: int) -> None:
        assert isinstance(node.op, Cumulative)
        self.op = node.op
        self.reverse = node.attrs["reverse"]
        self.lanes = lanes
        self.shape = shape
        self.dtype = node.dtype
        type = TensorType(node.dtype, shape)
        self.inputs = tuple([Buffer(f"x{k}", type) for k in range(len(node.inputs))])
        self.output = Buffer("out", type)

    def nest(self) -> Stmt:
        raise NotImplementedError

    def register(self, name: str, *shape: int) -> Buffer:
        return Buffer(name, TensorType(self.dtype, shape), Space.REGISTER)

    def at(self, k: Expr, length: int) -> Expr:
        """Return the place along the axis of the k-th of `length` steps."""
        return linear([(k, -1)], length - 1) if self.reverse else k

    def directed(self, count: int) -> Iterable[int]:
        return reversed(range(count)) if self.reverse else range(count)


def identity(op: str, dtype: np.dtype[Any]) -> Expr:
    """Return what leaves every element as it is when combined with it, the sign of zeros included."""
    if op in ("max", "min"):
        largest = op == "min"
        if dtype.kind == "f":
            return const(np.inf if largest else -np.inf, dtype)
        limits = (False, True) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return const(limits[largest], dtype)
    return const(1 if op == "mul" else -0.0 if dtype.kind == "f" else 0, dtype)


class _Columns(_Fold):
    """A fold along an axis with others behind it."""

    def nest(self) -> Stmt:
        outer, _, inner = self.shape
        width = self._width()
        whole, rest = divmod(inner, width)
        row, strip = Var("i"), Var("strip")
        strips: list[Stmt] = []
        if whole:
            strips.append(For(strip, whole, self._strip(row, linear([(strip, width)]), width), PARALLEL))
        if rest:
            strips.append(self._strip(row, const(whole * width), rest))
        return For(row, outer, block(*strips), PARALLEL) if outer > 1 else block(Let(row, const(0)), *strips)

    def _width(self) -> int:
        """Return how many columns are folded together: a few vectors, a part of all if there is one."""
        inner, most = self.shape[-1], self.lanes * STRIP_VECTORS
        widths = [self.lanes * k for k in range(STRIP_VECTORS, 0, -1)]
        return inner if inner <= most else next((w for w in widths if inner % w == 0), most)

    def _strip(self, row: Expr, start: Expr, width: int) -> Stmt:
        length = self.shape[1]
        total, k = self.register("total", width), Var("k")

        def across(place: Expr, is_first: bool) -> Stmt:
            j = Var("j")
            index = (row, place, add(start, j))
            elements = [Load(b, index) for b in self.inputs]
            value = Var("value", self.dtype)
            new = elements[-1] if is_first else self.op.step(Load(total, (j,)), *elements)
            return For(
                j, width, block(Let(value, new), Store(total, (j,), value), Store(self.output, index, value)), VECTOR
            )

        code: list[Stmt] = [Alloc(total), across(self.at(const(0), length), is_first=True)]
        if length > 1:
            code.append(For(k, length - 1, across(self.at(add(k, const(1)), length), is_first=False), SERIAL))
        return block(*code)


class _Rows(_Fold):
    """A fold along the last axis."""

    def nest(self) -> Stmt:
        rows, length = self.shape
        is_long = length >= self.lanes * self.lanes or (rows <= FEW_ROWS and length >= 2 * self.lanes)
        if self._in_any_order() and is_long and rows < MANY_ROWS:
            return self._parallel(rows, lambda row: self._in_pieces(row))
        whole, rest = divmod(rows, self.lanes)
        blocks: list[Stmt] = []
        if whole:
            blocks.append(self._parallel(whole, lambda k: self._rows(linear([(k, self.lanes)]), self.lanes)))
        if rest:
            blocks.append(self._rows(const(whole * self.lanes), rest))
        return block(*blocks)

    def _parallel(self, count: int, build: Callable[[Expr], Stmt]) -> Stmt:
        if count == 1:
            return build(const(0))
        var = Var("i")
        return For(var, count, build(var), PARALLEL)

    def _in_any_order(self) -> bool:
        return self.op.combine is not None and not (self.op.combine == "mul" and self.dtype.kind == "f")

    def _each(self, count: int, kind: LoopKind, build: Callable[[Expr], Sequence[Stmt]]) -> Stmt:
        var = Var("j" if kind is VECTOR else "r")
        return For(var, count, block(*build(var)), kind)

    # Rows side by side, each in order.

    def _rows(self, row: Expr, height: int) -> Stmt:
        _, length = self.shape
        total = self.register("total", height)
        kind = VECTOR if height > FEW_ROWS else UNROLL
        first = self.at(const(0), length)

        def begin(r: Expr) -> list[Stmt]:
            index = (add(row, r), first)
            value = Var("value", self.dtype)
            return [
                Let(value, Load(self.inputs[-1], index)),
                Store(total, (r,), value),
                Store(self.output, index, value),
            ]

        code: list[Stmt] = [Alloc(total), self._each(height, kind, begin)]
        if height <= FEW_ROWS:
            return block(*code, *self._one_by_one(row, height, total, 1, length - 1))
        whole, rest = divmod(length - 1, self.lanes)
        if whole:
            k = Var("k")
            code.append(
                For(k, whole, self._square(row, self._start(k, 1, self.lanes), total, height, self.lanes), SERIAL)
            )
        if rest:
            start = self._start(const(0), 1 + whole * self.lanes, rest)
            code.append(self._square(row, start, total, height, rest))
        return block(*code)

    def _start(self, k: Expr, offset: int, width: int) -> Expr:
        """Return the lowest place of the k-th group of `width` after `offset` steps."""
        if self.reverse:
            return linear([(k, -width)], self.shape[-1] - offset - width)
        return linear([(k, width)], offset)

    def _one_by_one(self, row: Expr, height: int, total: Buffer, offset: int, count: int) -> list[Stmt]:
        """Fold `count` elements of some rows after `offset` others, one after the other."""
        if not count:
            return []
        k = Var("k")
        place = self.at(add(k, const(offset)), self.shape[-1])

        def one(r: Expr) -> list[Stmt]:
            index, value = (add(row, r), place), Var("value", self.dtype)
            new = self.op.step(Load(total, (r,)), *[Load(b, index) for b in self.inputs])
            return [Let(value, new), Store(total, (r,), value), Store(self.output, index, value)]

        return [For(k, count, self._each(height, UNROLL, one), SERIAL)]

    def _square(self, row: Expr, start: Expr, total: Buffer, height: int, width: int) -> Stmt:
        """Fold `width` columns of `height` rows, whose totals are the lanes of a vector."""
        tiles = [self.register(f"tile{n}", height, width) for n in range(len(self.inputs))]
        turned = self.register("turned", width, height)
        code: list[Stmt] = [Alloc(t) for t in (*tiles, turned)]
        for buffer, tile in zip(self.inputs, tiles, strict=True):
            code += [self._load_row(buffer, tile, r, add(row, const(r)), start, width) for r in range(height)]
        for c in self.directed(width):
            j = Var("j")
            value = Var("value", self.dtype)
            new = self.op.step(Load(total, (j,)), *[Load(t, (j, const(c))) for t in tiles])
            body = block(Let(value, new), Store(total, (j,), value), Store(turned, (const(c), j), value))
            code.append(For(j, height, body, VECTOR))
        for r in range(height):
            j = Var("j")
            stored = Store(self.output, (add(row, const(r)), add(start, j)), Load(turned, (j, const(r))))
            code.append(For(j, width, stored, VECTOR))
        return block(*code)

    def _load_row(self, buffer: Buffer, tile: Buffer, r: int, row: Expr, start: Expr, width: int) -> Stmt:
        j = Var("j")
        return For(j, width, Store(tile, (const(r), j), Load(buffer, (row, add(start, j)))), VECTOR)

    # One row in pieces.

    def _in_pieces(self, row: Expr) -> Stmt:
        _, length = self.shape
        combine = self.op.combine
        assert combine is not None
        lanes = self.lanes
        total = self.register("total", 1)
        code: list[Stmt] = [Alloc(total), Store(total, (const(0),), identity(combine, self.dtype))]
        whole, rest = divmod(length, lanes * lanes)
        if whole:
            k = Var("k")
            start = self._start(k, 0, lanes * lanes)
            code.append(For(k, whole, self._pieces(row, start, total, lanes), SERIAL))
        done = whole * lanes * lanes
        count, rest = divmod(rest, lanes)
        if count > 1:
            code.append(self._pieces(row, self._start(const(0), done, count * lanes), total, count))
            done += count * lanes
        return block(*code, *self._one_by_one(row, 1, total, done, length - done))

    def _pieces(self, row: Expr, start: Expr, total: Buffer, count: int) -> Stmt:
        """Fold `count` pieces of as many elements as lanes, each apart; then bring in what comes before each."""
        lanes, combine = self.lanes, self.op.combine
        assert combine is not None
        zero = const(0)
        tile, turned = self.register("tile", count, lanes), self.register("turned", lanes, count)
        code: list[Stmt] = [Alloc(tile), Alloc(turned)]
        (source,) = self.inputs
        for r in range(count):
            code.append(self._load_row(source, tile, r, row, add(start, const(r * lanes)), lanes))
        before: int | None = None
        for c in self.directed(lanes):
            j = Var("j")
            element: Expr = Load(tile, (j, const(c)))
            if before is not None:
                element = apply(combine, Load(turned, (const(before), j)), element)
            code.append(For(j, count, Store(turned, (const(c), j), element), VECTOR))
            before = c
        assert before is not None
        sums: dict[int, Expr] = {}
        sofar: Expr | None = None
        for r in self.directed(count):
            sums[r] = Load(total, (zero,))
            if sofar is not None:
                ahead = Var("ahead", self.dtype)
                code.append(Let(ahead, apply(combine, Load(total, (zero,)), sofar)))
                sums[r] = ahead
            piece, found = Load(turned, (const(before), const(r))), Var("sofar", self.dtype)
            code.append(Let(found, piece if sofar is None else apply(combine, sofar, piece)))
            sofar = found
        for r in range(count):
            j = Var("j")
            value = apply(combine, sums[r], Load(turned, (j, const(r))))
            index = (row, add(add(start, const(r * lanes)), j))
            code.append(For(j, lanes, Store(self.output, index, value), VECTOR))
        assert sofar is not None
        code.append(Store(total, (zero,), apply(combine, Load(total, (zero,)), sofar)))
        return block(*code)


__all__ = ["identity", "lower_cumulative"]
