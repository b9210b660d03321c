"""Copies of arrays one after the other, as loops over rows, of which those of a result are put together."""

from __future__ import annotations

import math

from graphc.ir.loops import (
    PARALLEL,
    VECTOR,
    Buffer,
    Const,
    Expr,
    For,
    If,
    Load,
    Stmt,
    Store,
    Var,
    add,
    apply,
    block,
    linear,
)
from graphc.ir.types import TensorType

COPIED = 4096
"""Elements that are copied at a time."""

NARROW = 8
"""Elements of a row up to which it is its columns that are copied: neighbours are then in one vector."""


def rows(type: TensorType, *, axis: int) -> tuple[int, int]:
    """Return the shape of an array as rows in which `axis` and those after it lie one after the other."""
    sizes = [int(size) for size in type.shape]
    return math.prod(sizes[:axis]), math.prod(sizes[axis:])


def copied_rows(inputs: tuple[Buffer, ...], output: Buffer, *, axis: int) -> Stmt:
    """Return the code that copies rows, blocks of one long row, or blocks of the columns of a narrow array."""
    count, length = output.shape
    steps = COPIED if count == 1 else 1 if length > NARROW else COPIED // NARROW
    row, number, element = Var("i"), Var("b"), Var("j")
    body: list[Stmt] = []
    first = offset = 0
    for source in inputs:
        width = source.shape[1]
        if not width:
            continue
        extent = width if count == 1 else count
        place = linear([(number, steps)], -first * steps)
        for inside, size in _blocks(number, first, extent, steps):
            if count == 1:
                at = add(place, element)
                copied: Stmt = Store(output, (Const(0), add(at, Const(offset))), Load(source, (Const(0), at)))
                body.append(If(inside, For(element, size, copied, VECTOR)))
            elif length > NARROW:
                copied = Store(output, (number, add(element, Const(offset))), Load(source, (number, element)))
                body.append(For(element, width, copied, VECTOR))
            else:
                at = add(place, row)
                body.append(If(inside, block(*[
                    For(row, size, Store(output, (at, Const(offset + k)), Load(source, (at, Const(k)))), VECTOR)
                    for k in range(width)
                ])))  # fmt: skip
        first += -(-extent // steps) if count == 1 else 0
        offset += width
    return For(number, first if count == 1 else -(-count // steps), block(*body), PARALLEL)


def _blocks(number: Var, first: int, extent: int, size: int) -> list[tuple[Expr, int]]:
    """Return the extents of the blocks of a loop, whole ones and the rest, and when a number is that of such a one."""
    whole, rest = divmod(extent, size)
    found: list[tuple[Expr, int]] = []
    if whole:
        inside = apply("and", apply("ge", number, Const(first)), apply("lt", number, Const(first + whole)))
        found.append((inside, size))
    if rest:
        found.append((apply("eq", number, Const(first + whole)), rest))
    return found
