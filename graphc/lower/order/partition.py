"""Where the elements of rows of bools come from in order: one walk, as there are but two kinds.

total = number of elements that come first
for i in order: out[before if x[i] comes first else total + i - before] = i;  before += x[i] comes first
"""

from __future__ import annotations

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


def order_bools(node: Node, source: Buffer, output: Buffer) -> Stmt:
    """Return the kernel's body that gives the places of all elements of rows; `source` and `output` are matrices."""
    rows, length = source.shape
    row, place = Var("i"), Var("place")
    total, before = (Buffer(name, TensorType(INT64, ()), Space.REGISTER) for name in ("total", "before"))

    def comes_first(j: Expr) -> Expr:
        """Return 1 for an element that comes first, else 0."""
        number = Apply("cast", (Load(source, (row, j)),), INT64)
        return number if node.attrs["descending"] else apply("sub", const(1), number)

    j, k = Var("j"), Var("k")
    count = For(j, length, Accumulate(total, (), "add", comes_first(j)), VECTOR)
    first = Var("first")
    ahead = Load(before, ())
    behind = apply("sub", add(Load(total, ()), k), ahead)
    move = block(
        Let(first, comes_first(k)),
        Let(place, apply("select", apply("ne", first, const(0)), ahead, behind)),
        Store(output, (row, place), k),
        Store(before, (), add(ahead, first)),
    )
    start: list[Stmt] = [Alloc(total), Store(total, (), const(0)), Alloc(before), Store(before, (), const(0))]
    return For(row, rows, block(*start, count, For(k, length, move, SERIAL)), PARALLEL)
