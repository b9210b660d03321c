"""Order short rows by counting: an element's place is the number of those before it. No branch, all in vectors.

for i in lanes:
    rank[i] = number of j < i with key[j] <= key[i], and of j > i with key[j] < key[i]
    out[rank[i]] = x[i]
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc.ir.graph import Node
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    VECTOR,
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
)
from graphc.ir.types import INT64, TensorType
from graphc.lower.order.keys import bits_of, gives_places, key_of, word_type

BLOCKS = 8
"""Parts of a row that each have loops of their own."""


def order_by_rank(node: Node, source: Buffer, output: Buffer, lanes: int) -> Stmt:
    """Return the kernel's body that orders rows; `source` and `output` are matrices."""
    rows, length = source.shape
    dtype, count = source.type.dtype, output.shape[1]
    descending, asks_places = node.attrs["descending"], gives_places(node)
    word = word_type(dtype)
    number = word if length <= np.iinfo(word).max else np.dtype("int16")
    keys = Buffer("keys", TensorType(word, (length,)), Space.STACK)
    row = Var("i")
    width = min(length, lanes * -(-length // (lanes * BLOCKS)))

    def key_at(j: Expr) -> Stmt:
        return Store(keys, (j,), key_of(bits_of(Load(source, (row, j))), dtype, descending))

    def among(other: Expr, own: Expr, j: Expr, lane: Expr) -> Expr:
        """Return whether the j-th element of a part comes before the one of a lane."""
        earlier = apply("lt", *[e if e.dtype == number else Apply("cast", (e,), number) for e in (j, lane)])
        return apply("or", apply("lt", other, own), apply("and", apply("le", other, own), earlier))

    def part(start: int, size: int) -> list[Stmt]:
        rank = Buffer(f"rank{start}", TensorType(number, (size,)), Space.REGISTER)
        one = const(1, number)

        def count_over(first: int, extent: int, comes_first: Callable[[Expr, Expr, Expr, Expr], Expr]) -> list[Stmt]:
            if not extent:
                return []
            j, other = Var("j"), Var("other", word)

            def across(lane: Expr) -> Stmt:
                own = Load(keys, (add(lane, const(start)),))
                more = apply("add", Load(rank, (lane,)), one)
                chosen = apply("select", comes_first(other, own, j, lane), more, Load(rank, (lane,)))
                return Store(rank, (lane,), chosen)

            body = block(Let(other, Load(keys, (add(j, const(first)),))), _across(size, across))
            return [For(j, extent, body, SERIAL)]

        def place(lane: Expr) -> Stmt:
            found = Var("place")
            at = add(lane, const(start))
            value = at if asks_places else Load(source, (row, at))
            store: Stmt = Store(output, (row, found), value)
            if count < length:
                store = If(apply("lt", found, const(count)), store)
            return block(Let(found, Apply("cast", (Load(rank, (lane,)),), INT64)), store)

        return [
            Alloc(rank),
            _across(size, lambda lane: Store(rank, (lane,), const(0, number))),
            *count_over(0, start, lambda other, own, j, lane: apply("le", other, own)),
            *count_over(start, size, among),
            *count_over(start + size, length - start - size, lambda other, own, j, lane: apply("lt", other, own)),
            _across(size, place),
        ]

    parts = [s for start in range(0, length, width) for s in part(start, min(width, length - start))]
    body = block(Alloc(keys), _across(length, key_at), *parts)
    return For(row, rows, body, PARALLEL)


def _across(size: int, build: Callable[[Expr], Stmt]) -> Stmt:
    var = Var("l")
    return For(var, size, build(var), VECTOR)
