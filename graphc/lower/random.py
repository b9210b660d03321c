"""Random bits and what is computed from them, element by element, to loop nests.

    for each key: for each block of elements, in parallel:
        for g (unrolled): for lane (a vector): tile[g, words, lane] = philox(the counter of g and lane)
        row = tile, read across
        for each element of row (vectors): store the epilogue

A block makes four words, which are neighbours in the result, but lie in the same lane of four vectors. So as many
vectors as they have lanes are made, a square tile, and read across. Which element a number is for follows from shapes
alone, however many lanes there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.ir.groups import Group
from graphc.ir.index import Index, Position
from graphc.ir.loops import (
    UNROLL,
    VECTOR,
    Alloc,
    Buffer,
    For,
    If,
    Kernel,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.axes import Around, Cut
from graphc.lower.epilogue import Epilogue
from graphc.lower.math.terms import Term
from graphc.lower.operands import Operands
from graphc.lower.philox import UINT32, UINT64, Words, named, rounds
from graphc.lower.work import Launch
from graphc.ops.random import elements_of_block
from graphc.target import Target


def lower_random(group: Group, name: str, target: Target) -> Launch:
    """Return the kernel of a group of random bits."""
    return _Random(group, name, target).launch()


class _Random:
    def __init__(self, group: Group, name: str, target: Target) -> None:
        assert group.hero is not None
        self.group, self.name, self.hero = group, name, group.hero
        self.operands = Operands()
        self.epilogue = Epilogue(group, self.operands)
        self.key = self.hero.inputs[0]
        self.keys = math.prod(self.key.shape[:-1])
        self.count = math.prod(self.hero.attrs["shape"])
        self.words = elements_of_block(self.hero.dtype)
        self.side = self._side(target)
        self.blocks = Cut(self.count, self.side**2)

    def _side(self, target: Target) -> int:
        """Return the lanes of vectors, such that a tile fits registers; fewer where so many elements are not needed."""
        floats = [n.dtype.itemsize for n in self.group.nodes if n.dtype.kind == "f"]
        lanes = target.lanes(max([self.hero.dtype.itemsize, *floats]))
        side = self.words
        while 2 * side <= lanes and side**2 < self.count:
            side *= 2
        return side

    def launch(self) -> Launch:
        around = Around([self.keys, self.blocks.count])
        key, self.blocks.number = around.indices
        body = around.body(block(*self._tile(key), *self._finished(key)))
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), body)
        writes = frozenset(self.group.outputs)
        return Launch(
            kernel, tuple(self.operands.buffers), writes, self.epilogue.same_index(), tuple(self.operands.sites.found)
        )

    def _tile(self, key: Index) -> list[Stmt]:
        """Return what puts the elements of a block into `row`."""
        side, dtype = self.side, self.hero.dtype
        tile = Buffer("tile", TensorType(dtype, (side, side)), Space.REGISTER)
        self.row = Buffer("row", TensorType(dtype, (side * side,)), Space.STACK)
        code: list[Stmt] = [Alloc(tile), Alloc(self.row)]
        keep = named(code)
        at = self.operands.buffer(self.key)
        words = [keep(Term(Load(at, ((key * 2 + k).to_expr(),))).cast(UINT64)) for k in range(2)]
        code += [self._rounds(g, words, tile) for g in range(side // self.words)]
        column, k = Var("column"), Var("k")
        place = Index.axis(column, side) * side + Index.axis(k, side)
        read = Store(self.row, (place.to_expr(),), Load(tile, (k, column)))
        return [*code, For(column, side, For(k, side, read, VECTOR), UNROLL)]

    def _rounds(self, g: int, key: Sequence[Term], tile: Buffer) -> Stmt:
        """Return the loop that fills the rows of one vector of counters: every so many counters, from the g-th on."""
        lane, groups = Var("lane"), self.side // self.words
        number = self.blocks.number * (self.side * groups) + Index.axis(lane, self.side) * groups + g
        code: list[Stmt] = []
        zero = Term(const(0, UINT64))
        counter = Term(number.to_expr()).cast(UINT64)
        high = counter >> 32 if number.range()[1] >> 32 else zero
        words = rounds((counter, high, zero, zero), key, named(code))
        for k, element in enumerate(self._elements_of(words)):
            code.append(Store(tile, (const(g * self.words + k), lane), element.cast(self.hero.dtype).expr))
        return For(lane, self.side, block(*code), VECTOR)

    def _elements_of(self, words: Words) -> Sequence[Term]:
        if self.hero.dtype == UINT32:
            return words
        return [(words[k] & 0xFFFFFFFF) | (words[k + 1] << 32) for k in (0, 2)]

    def _finished(self, key: Index) -> list[Stmt]:
        """Return the loops over the elements of a block."""
        code: list[Stmt] = []
        for size, here in self.blocks.parts():
            j = Var("j")
            at = Index.axis(j, size)
            place = unflattened(key * self.count + self.blocks.start + at, self.hero.shape)
            body = block(*self.epilogue.finish(Load(self.row, (at.to_expr(),)), place))
            loop = For(j, size, body, VECTOR)
            code.append(loop if here is None else If(here, loop))
        return code


def unflattened(flat: Index, shape: Sequence[int]) -> Position:
    """Return the position of an element of a row-major array."""
    position: list[Index] = []
    for extent in reversed(shape[1:]):
        position.insert(0, flat % extent)
        flat = flat // extent
    return (flat, *position) if shape else ()
