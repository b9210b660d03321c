"""Order long rows digit by digit, the lowest first, each pass stable: one read of an element a pass and one write.

    for all digits at once: count[digit of x[i]] += 1;  first[digit] = sum of the counts of lower digits
    for each digit: for i in order: to[first[digit of from[i]]++] = from[i]

An element is its bits, from which the digits of its key are found again in each pass, or, where places are asked for,
its key with its place. A digit that is the same in all elements costs a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.graph import Node
from graphc.ir.index import source_of
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
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
    add,
    apply,
    block,
    const,
)
from graphc.ir.types import INT64, TensorType
from graphc.lower.order.keys import bits_of, element_of, gives_places, key_of, word_type
from graphc.lower.work import Launch, Operand, Temporary

INT32 = np.dtype("int32")

DIGIT_BITS = 8
"""Bits of a digit: the heads of as many queues as it has values must stay in the first cache."""

LONG = 1024
"""Elements from which on it is worth looking whether a digit is the same in all."""

STACK_BYTES = 16 << 10
"""Rows up to this size are moved between buffers on the stack."""


@dataclass(frozen=True)
class Elements:
    """What moves in a pass: the parts of an element, each in an array of its own."""

    dtype: np.dtype[Any]
    descending: bool
    gives_places: bool

    @property
    def word(self) -> np.dtype[Any]:
        return word_type(self.dtype)

    @property
    def is_packed(self) -> bool:
        """Whether a key and its place are one number."""
        return self.gives_places and self.word.itemsize <= 4

    @property
    def types(self) -> tuple[np.dtype[Any], ...]:
        if not self.gives_places:
            return (self.word,)
        return (INT64,) if self.is_packed else (self.word, INT32)

    @property
    def digits(self) -> int:
        return max(1, 8 * self.word.itemsize // DIGIT_BITS)

    def first(self, value: Expr, place: Expr) -> tuple[Expr, ...]:
        """Return the parts of an element as it is read."""
        bits = bits_of(value)
        if not self.gives_places:
            return (bits,)
        key = key_of(bits, self.dtype, self.descending)
        if not self.is_packed:
            return key, _cast(place, INT32)
        return (apply("or", apply("shl", _cast(key, INT64), const(32)), place),)

    def key(self, parts: Sequence[Expr]) -> Expr:
        return parts[0] if self.gives_places else key_of(parts[0], self.dtype, self.descending)

    def digit(self, key: Expr, k: int) -> Expr:
        """Return the k-th digit of a key, as an index."""
        low = k * DIGIT_BITS + (32 if self.is_packed else 0)
        shifted = apply("shr", key, const(low, key.dtype)) if low else key
        if k < self.digits - 1:
            return _cast(apply("and", shifted, const((1 << DIGIT_BITS) - 1, key.dtype)), INT64)
        return add(_cast(shifted, INT64), const(1 << (DIGIT_BITS - 1)))

    def last(self, parts: Sequence[Expr]) -> Expr:
        """Return what the result holds for an element."""
        if not self.gives_places:
            return element_of(parts[0], self.dtype)
        return apply("and", parts[0], const(0xFFFFFFFF)) if self.is_packed else _cast(parts[1], INT64)


def _cast(value: Expr, dtype: np.dtype[Any]) -> Expr:
    return value if value.dtype == dtype else Apply("cast", (value,), dtype)


def order_by_digits(node: Node, name: str, source: Buffer, output: Buffer) -> Launch:
    """Return the kernel that orders rows; `source` and `output` are matrices."""
    return _Radix(node, source, output).launch(node, name)


class _Radix:
    def __init__(self, node: Node, source: Buffer, output: Buffer) -> None:
        self.elements = Elements(source.type.dtype, node.attrs["descending"], gives_places(node))
        self.source, self.output = source, output
        self.rows, self.length = source.shape
        self.count = output.shape[1]
        self.row = Var("i")
        digits = self.elements.digits
        self.counts = Buffer("counts", TensorType(INT32, (digits, 1 << DIGIT_BITS)), Space.STACK)
        self.most = Buffer("most", TensorType(INT32, (digits,)), Space.REGISTER)
        self.skips = self.length >= LONG
        self.is_short = self.length * max(t.itemsize for t in self.elements.types) <= STACK_BYTES
        self.between = [self._scratch(k) for k in range(min(2, digits - 1))]

    def _scratch(self, k: int) -> list[Buffer]:
        """Return room for the elements between passes."""
        names = [f"{'ab'[k]}{n}" for n in range(len(self.elements.types))]
        if self.is_short:
            shape: tuple[int, ...] = (self.length,)
            space = Space.STACK
        else:
            shape, space = (self.rows, self.length), Space.ARGUMENT
        return [Buffer(n, TensorType(t, shape), space) for n, t in zip(names, self.elements.types, strict=True)]

    def _index(self, buffer: Buffer, place: Expr) -> tuple[Expr, ...]:
        return (self.row, place) if len(buffer.shape) == 2 else (place,)

    def launch(self, node: Node, name: str) -> Launch:
        scratch = [b for buffers in self.between for b in buffers]
        body: list[Stmt] = [Alloc(self.counts)]
        body += [Alloc(b) for b in scratch if b.space is Space.STACK]
        body += [self._clear(), self._count(), self._sum()]
        digits = self.elements.digits
        for k in range(digits):
            before = self.between[(k - 1) % 2] if k else None
            after = self.between[k % 2] if k < digits - 1 else None
            body.append(self._pass(k, before, after))
        nest: Stmt = block(*body)
        nest = For(self.row, self.rows, nest, PARALLEL)
        temporaries = {b: Temporary(b.type) for b in scratch if b.space is Space.ARGUMENT}
        kernel = Kernel(name, (self.source, self.output, *temporaries), nest)
        operands: tuple[Operand, ...] = (source_of(node.inputs[0]), node, *temporaries.values())
        return Launch(kernel, operands, frozenset((node, *temporaries.values())))

    # The counts.

    def _clear(self) -> Stmt:
        k, d = Var("k"), Var("d")
        inner = For(d, 1 << DIGIT_BITS, Store(self.counts, (k, d), const(0, INT32)), VECTOR)
        return For(k, self.elements.digits, inner, SERIAL)

    def _count(self) -> Stmt:
        i = Var("n")
        parts = self.elements.first(Load(self.source, (self.row, i)), const(0))
        key = Var("key", parts[0].dtype)
        code: list[Stmt] = [Let(key, self.elements.key(parts))]
        for k in range(self.elements.digits):
            code.append(Accumulate(self.counts, (const(k), self.elements.digit(key, k)), "add", const(1, INT32)))
        return For(i, self.length, block(*code), SERIAL)

    def _sum(self) -> Stmt:
        """Turn counts into the places where the elements of each digit begin; note the largest count of each."""
        digits = self.elements.digits
        total = Buffer("total", TensorType(INT32, (digits,)), Space.REGISTER)
        k, d, begin = Var("k"), Var("d"), Var("z")
        one = Var("one", INT32)
        body = block(
            Let(one, Load(self.counts, (k, d))),
            Store(self.counts, (k, d), Load(total, (k,))),
            Accumulate(total, (k,), "add", one),
            *[Accumulate(self.most, (k,), "max", one)] * self.skips,
        )
        starting = [Store(t, (begin,), const(0, INT32)) for t in (total, self.most)]
        return block(
            Alloc(total),
            Alloc(self.most),
            For(begin, digits, block(*starting), UNROLL),
            For(d, 1 << DIGIT_BITS, For(k, digits, body, UNROLL), SERIAL),
        )

    # The passes.

    def _parts(self, before: list[Buffer] | None, i: Expr) -> tuple[list[Stmt], tuple[Expr, ...]]:
        if before is None:
            given = self.elements.first(Load(self.source, (self.row, i)), i)
        else:
            given = tuple([Load(b, self._index(b, i)) for b in before])
        names = [Var(f"part{n}", g.dtype) for n, g in enumerate(given)]
        return [Let(v, g) for v, g in zip(names, given, strict=True)], tuple(names)

    def _store(self, after: list[Buffer] | None, place: Expr, parts: Sequence[Expr]) -> list[Stmt]:
        if after is not None:
            return [Store(b, self._index(b, place), p) for b, p in zip(after, parts, strict=True)]
        store = Store(self.output, (self.row, place), self.elements.last(parts))
        if self.count == self.length:
            return [store]
        return [If(apply("lt", place, const(self.count)), store)]

    def _pass(self, k: int, before: list[Buffer] | None, after: list[Buffer] | None) -> Stmt:
        i, digit, place = Var("n"), Var("digit"), Var("place")
        lets, parts = self._parts(before, i)
        at = (const(k), digit)
        move = block(
            *lets,
            Let(digit, self.elements.digit(self.elements.key(parts), k)),
            Let(place, _cast(Load(self.counts, at), INT64)),
            Store(self.counts, at, _cast(add(place, const(1)), INT32)),
            *self._store(after, place, parts),
        )
        moving = For(i, self.length, move, SERIAL)
        if not self.skips:
            return moving
        j = Var("n")
        lets, parts = self._parts(before, j)
        copying = For(j, self.length, block(*lets, *self._store(after, j, parts)), VECTOR)
        is_same = apply("eq", Load(self.most, (const(k),)), const(self.length, INT32))
        return block(If(is_same, copying), If(apply("not", is_same), moving))


__all__ = ["order_by_digits"]
