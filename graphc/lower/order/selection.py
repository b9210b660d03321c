"""The first few of long rows in order: a list of the best so far, and a look at many elements whether one belongs in.

    for block of row:
        if min(keys of block) < best[-1]: for e in block: if e < best[-1]: best = the first k of best and e, in order

Of elements in random order about k * log(n / k) enter the list. An element is its key with its place, so that equal
keys keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.ir.graph import Node
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Expr,
    For,
    If,
    Let,
    Load,
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
from graphc.ir.types import INT64, TensorType
from graphc.lower.order.keys import bits_of, gives_places, key_of
from graphc.lower.order.radix import Elements

BLOCK = 128
"""Elements that are looked at together."""

MOST = 128
"""Longest list: an element that enters moves it all."""

LEAST_SHARE = 8
"""How many times longer a row must be than the list."""


def can_select(length: int, count: int, dtype: np.dtype[np.generic]) -> bool:
    """Tell whether to select the first `count` of rows: few, of a dtype with a key that no element has."""
    return count <= min(MOST, length // LEAST_SHARE) and (dtype.kind == "f" or dtype.itemsize < 8)


def select_first(node: Node, source: Buffer, output: Buffer) -> Stmt:
    """Return the kernel's body that selects from rows; `source` and `output` are matrices."""
    return _Selection(node, source, output).nest()


class _Selection:
    def __init__(self, node: Node, source: Buffer, output: Buffer) -> None:
        self.elements = Elements(source.type.dtype, node.attrs["descending"], gives_places=True)
        self.gives_places = gives_places(node)
        self.source, self.output = source, output
        self.rows, self.length = source.shape
        self.count = output.shape[1]
        self.row = Var("i")
        self.best = self._lists("best", self.count)
        # One more in front, which comes before all: each place looks at the one before it.
        self.before = self._lists("before", self.count + 1)

    def _lists(self, name: str, size: int) -> list[Buffer]:
        types = enumerate(self.elements.types)
        return [Buffer(f"{name}{n}", TensorType(t, (size,)), Space.STACK) for n, t in types]

    def nest(self) -> Stmt:
        sure = min(self.length, -(-self.count // BLOCK) * BLOCK)
        blocks, rest = divmod(self.length - sure, BLOCK)
        code: list[Stmt] = [Alloc(b) for b in (*self.best, *self.before)]
        code += [self._start(), self._look(const(0), sure)]
        if blocks:
            k = Var("k")
            code.append(For(k, blocks, self._block(linear([(k, BLOCK)], sure)), SERIAL))
        if rest:
            code.append(self._look(const(self.length - rest), rest))
        return For(self.row, self.rows, block(*code, self._finish()), PARALLEL)

    def _start(self) -> Stmt:
        """Fill the list with what comes after all elements."""
        limits = [np.iinfo(t) for t in self.elements.types]

        def filled(lists: Sequence[Buffer], at: Expr, ends: Sequence[int]) -> list[Stmt]:
            return [Store(b, (at,), const(e, b.type.dtype)) for b, e in zip(lists, ends, strict=True)]

        fill = _across(self.count, lambda j: block(*filled(self.best, j, [n.max for n in limits])))
        return block(fill, *filled(self.before, const(0), [n.min for n in limits]))

    def _block(self, start: Expr) -> Stmt:
        """Look at a block one by one if its first element in order would enter the list."""
        word = self.elements.word
        least = Buffer("least", TensorType(word, ()), Space.REGISTER)

        def fold(j: Expr) -> Stmt:
            bits = bits_of(Load(self.source, (self.row, add(start, j))))
            return Accumulate(least, (), "min", key_of(bits, self.elements.dtype, self.elements.descending))

        last: Expr = Load(self.best[0], (const(self.count - 1),))
        first: Expr = Load(least, ())
        if self.elements.is_packed:
            first = apply("shl", Apply("cast", (first,), INT64), const(32))
        enters = If(apply("lt", first, last), self._look(start, BLOCK))
        return block(Alloc(least), Store(least, (), const(np.iinfo(word).max, word)), _across(BLOCK, fold), enters)

    def _look(self, start: Expr, extent: int) -> Stmt:
        j = Var("j")
        place = add(start, j)
        given = self.elements.first(Load(self.source, (self.row, place)), place)
        new = [Var(f"new{n}", g.dtype) for n, g in enumerate(given)]
        enters = apply("lt", new[0], Load(self.best[0], (const(self.count - 1),)))
        lets = [Let(v, g) for v, g in zip(new, given, strict=True)]
        return For(j, extent, block(*lets, If(enters, self._enter(new))), SERIAL)

    def _enter(self, new: Sequence[Expr]) -> Stmt:
        """Put an element into the list: each place keeps what it has, takes the new one, or what was before it."""

        def keep(j: Expr) -> Stmt:
            return block(*[
                Store(b, (add(j, const(1)),), Load(a, (j,))) for a, b in zip(self.best, self.before, strict=True)
            ])  # fmt: skip

        def move(j: Expr) -> Stmt:
            here = [Load(b, (add(j, const(1)),)) for b in self.before]
            ahead = [Load(b, (j,)) for b in self.before]
            stays, moves = (apply("le", key, new[0]) for key in (here[0], ahead[0]))
            chosen = [
                apply("select", stays, h, apply("select", moves, n, a))
                for h, a, n in zip(here, ahead, new, strict=True)
            ]
            return block(*[Store(b, (j,), c) for b, c in zip(self.best, chosen, strict=True)])

        return block(_across(self.count, keep), _across(self.count, move))

    def _finish(self) -> Stmt:
        def give(j: Expr) -> Stmt:
            place = self.elements.last([Load(b, (j,)) for b in self.best])
            value = place if self.gives_places else Load(self.source, (self.row, place))
            return Store(self.output, (self.row, j), value)

        return _across(self.count, give)


def _across(size: int, build: Callable[[Expr], Stmt]) -> Stmt:
    var = Var("j")
    return For(var, size, build(var), VECTOR)
