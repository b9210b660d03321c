"""The loops of a kernel: axes of a space walked as one, blocks of a long one, what is read and written along them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.graph import Elementwise, Gather, Node, View
from graphc.ir.groups import Group
from graphc.ir.index import (
    Index,
    Position,
    flatten,
    indexed,
    known_index,
    operands_met,
    source_of,
    source_position,
    trace,
)
from graphc.ir.loops import PARALLEL, SERIAL, Const, Expr, For, Stmt, Var, apply
from graphc.lower.operands import place

BLOCKS = (1024, 256, 64)
"""Elements that a flat pointwise kernel computes at a time: kernels that differ in the number of blocks share code."""

SMALL_BLOCK = 16
"""The same for arrays of less than the largest block."""

EVEN = 64
"""Iterations that can be shared out among cores so that all have about as much to do."""


@dataclass(frozen=True)
class LoopAxis:
    """A loop over one axis of the space or several neighbours merged into one."""

    axes: tuple[int, ...]
    extents: tuple[int, ...]

    @property
    def extent(self) -> int:
        return int(np.prod(self.extents))

    def positions(self, index: Index) -> dict[int, Index]:
        """Return where each axis stands when the loop stands at `index`."""
        found = {}
        for axis, extent in zip(reversed(self.axes), reversed(self.extents), strict=True):
            found[axis] = index % extent if axis != self.axes[0] else index
            index = index // extent
        return found


Positions = Mapping[int, Index]
"""Where each axis of a space stands."""


def axis_variables(space: Sequence[int]) -> tuple[dict[int, Var], dict[int, Index]]:
    """Return a variable for each axis, and the positions that they make."""
    variables = {a: Var(f"a{a}") for a in range(len(space))}
    return variables, {a: Index.axis(v, space[a]) for a, v in variables.items()}


def merged(
    axes: Sequence[int], space: Sequence[int], variables: Mapping[int, Var], accesses: Sequence[Index]
) -> list[LoopAxis]:
    """Merge neighbouring axes that every access walks through as if they were one."""
    loops: list[LoopAxis] = []
    for axis in axes:
        if loops and axis == loops[-1].axes[-1] + 1:
            before = loops[-1].axes[-1]
            if all(
                i.is_affine and i.stride(variables[before]) == i.stride(variables[axis]) * space[axis] for i in accesses
            ):
                loops[-1] = LoopAxis((*loops[-1].axes, axis), (*loops[-1].extents, space[axis]))
                continue
        loops.append(LoopAxis((axis,), (space[axis],)))
    return loops


def accesses(
    group: Group, positions: Positions, written: Callable[[Node, Positions], Index]
) -> Iterator[tuple[Node, Index]]:
    """Yield where a group reads arrays, or only computes an index, and where it writes its outputs."""
    members = set(group.nodes)
    yield from reads_met(group, positions)
    for node in group.nodes:
        position = place(group.domain.get(node, group.axes[node]), positions)
        if isinstance(node.op, View):
            inner = source_position(node, position)
            yield from ((node, i) for i in inner)
            yield from _access(node.inputs[0], inner, members)
        elif isinstance(node.op, Gather):
            yield from _access(node.inputs[0], _gathered_position(node, position), members)
        if node in group.outputs:
            yield node, written(node, positions)


def reads_met(group: Group, positions: Positions) -> Iterator[tuple[Node, Index]]:
    """Yield the reads of arrays at the place where a node computes, see `operands_met`."""
    members = set(group.nodes)
    for node in group.nodes:
        position = place(group.domain.get(node, group.axes[node]), positions)
        for operand in operands_met(node):
            yield from _access(operand, position[: operand.ndim], members)


def _access(operand: Node, position: Position, members: set[Node]) -> Iterator[tuple[Node, Index]]:
    if source_of(operand) in members:
        return
    source, found = trace(operand, position)
    if source.is_leaf and isinstance(source.op, Elementwise):
        yield source, found[source.attrs["axis"]]
    elif source.ndim:
        yield source, flatten(found, source.shape)


def _gathered_position(node: Node, position: Position) -> Position:
    """Return where a gather reads, with variables for what the data say."""
    source, *indices = node.inputs
    axes, rank = node.attrs["axes"], indices[0].ndim
    at = [known_index(i, position[:rank]) for i in indices]
    named = [Index.axis(Var("at"), source.shape[a]) if i is None else i for a, i in zip(axes, at, strict=True)]
    return indexed(axes, named, position[rank:])


Piece = tuple[Index, list[tuple[Var, int]], int]


def pieces(extent: int, size: int, name: str) -> list[Piece]:
    """Split a loop into pieces of one size and a rest: (start, loop over pieces, extent)."""
    whole, rest = divmod(extent, size)
    pieces: list[Piece] = []
    if whole:
        var = Var(name)
        # An axis of one iteration would be left out: the code for one piece shall be that for many.
        pieces.append((Index.axis(var, max(whole, 2)) * size, [(var, whole)], size))
    if rest:
        pieces.append((Index({}, whole * size), [], rest))
    return pieces


def block_of(extent: int) -> int:
    """Return how many elements a flat loop computes at a time: a size that divides it, if there is one."""
    sizes = BLOCKS if extent > BLOCKS[0] else (*BLOCKS, SMALL_BLOCK)
    divisors = [b for b in sizes if extent % b == 0]
    if divisors:
        return divisors[0]
    return BLOCKS[0] if extent > 2 * BLOCKS[0] else extent


class Around:
    """Loops around a body, the outer ones (of the first `most`) as one PARALLEL loop of iterations enough to be shared
    out evenly. `indices` is where each of the loops stands.
    """

    def __init__(self, extents: Sequence[int], name: str = "i", most: int | None = None) -> None:
        count, ways = 0, 1
        while count < (len(extents) if most is None else most) and (ways < EVEN or extents[count] == 1):
            ways *= extents[count]
            count += 1
        shared, self.rest = Var(name), [(Var(f"{name}{k}"), n) for k, n in enumerate(extents[count:])]
        self.ways = (shared, ways) if count else None
        self.indices: list[Index] = []
        # An axis of one iteration would be left out: the code for one shall be that for many.
        index = Index.axis(shared, max(ways, 2))
        for k, extent in reversed(list(enumerate(extents[:count]))):
            self.indices.insert(0, index % extent if k else index)
            index = index // extent
        self.indices += [Index.axis(var, n) for var, n in self.rest]

    def body(self, body: Stmt) -> Stmt:
        """Return the loops with a body."""
        for var, extent in reversed(self.rest):
            body = For(var, extent, body, SERIAL)
        return body if self.ways is None else For(*self.ways, body, PARALLEL)


class Cut:
    """A loop cut into pieces of `side` and a rest, as one loop: `number` is where that loop stands."""

    def __init__(self, extent: int, side: int) -> None:
        self.whole, self.rest = divmod(extent, side)
        self.side = side
        self.count = self.whole + bool(self.rest)
        self.number = Index({})

    @property
    def start(self) -> Index:
        return self.number * self.side

    def parts(self) -> list[tuple[int, Expr | None]]:
        """Return the extents of pieces, and the condition under which the loop stands at such a one."""
        if not self.whole or not self.rest:
            return [(self.side if self.whole else self.rest, None)]
        number = self.number.to_expr()
        last = Const(self.whole)
        return [(self.side, apply("lt", number, last)), (self.rest, apply("eq", number, last))]
