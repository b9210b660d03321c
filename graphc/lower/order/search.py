"""Search in a sorted array: many values at a time, each step of all of them one more power of two, or not.

found = 0
for step in ..., 4, 2, 1: found += step where found + step <= n and sorted[found + step - 1] comes before
"""

from __future__ import annotations

import numpy as np

from graphc.ir.graph import Node
from graphc.ir.index import source_of
from graphc.ir.loops import (
    PARALLEL,
    VECTOR,
    Apply,
    Buffer,
    Expr,
    For,
    Kernel,
    Let,
    Load,
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

BLOCK = 1024
"""Values in a part that a thread may take."""


def lower_search(node: Node, name: str) -> Launch:
    """Return the kernel that finds where values belong in a sorted array; both have elements."""
    given, values = node.inputs
    total = int(np.prod(node.shape, dtype=np.int64))
    table = Buffer("sorted", given.tensor_type)
    source = Buffer("values", TensorType(values.dtype, (total,)))
    output = Buffer("out", TensorType(node.dtype, (total,)))

    def part(start: Expr, size: int) -> Stmt:
        j = Var("j")
        place, value = add(start, j), Var("value", source.type.dtype)
        code: list[Stmt] = [Let(value, Load(source, (place,)))]
        found: Expr = const(0)
        for half in _halves(int(given.shape[0])):
            beyond, new = Var("beyond"), Var("found")
            code.append(Let(beyond, add(found, const(half))))
            before = _comes_before(Load(table, (add(beyond, const(-1)),)), value, or_equal=node.attrs["right"])
            code.append(Let(new, apply("select", before, beyond, found)))
            found = new
        return For(j, size, block(*code, Store(output, (place,), found)), VECTOR)

    whole, rest = divmod(total, BLOCK)
    blocks: list[Stmt] = []
    if whole:
        k = Var("k")
        blocks.append(For(k, whole, part(linear([(k, BLOCK)]), BLOCK), PARALLEL))
    if rest:
        blocks.append(part(const(whole * BLOCK), rest))
    kernel = Kernel(name, (table, source, output), block(*blocks))
    return Launch(kernel, (source_of(given), source_of(values), node), frozenset((node,)))


def _halves(size: int) -> list[int]:
    """Return by how much each step may move: half of what is left, and at the end the last element."""
    steps = [1] if size else []
    while size > 1:
        steps.insert(-1, size // 2)
        size -= size // 2
    return steps


def _comes_before(a: Expr, b: Expr, *, or_equal: bool) -> Expr:
    """Return whether a is before b, NaN being last."""
    if a.dtype.kind == "b":
        a, b = (Apply("cast", (e,), np.dtype("uint8")) for e in (a, b))
    ordinary = apply("le" if or_equal else "lt", a, b)
    if a.dtype.kind != "f":
        return ordinary
    last = apply("ne", b, b)
    return apply("or", ordinary, last if or_equal else apply("and", last, apply("eq", a, a)))
