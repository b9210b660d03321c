"""Columns of register tiles: rows in vectors, read across, through networks of shuffles.

n vectors of n lanes become their transpose in log2(n) steps of n shuffles. Each step takes pairs of rows: first those
that are interleaved within 16 bytes (the highest bit of the row's number first), then those whose pieces of 16 bytes
are put side by side (the lowest bit first). These are the shuffles that CPUs have as single instructions. Called

    lane bits  z.. q..   (piece of 16 bytes, element of it)       row bits  P.. p..

an interleaving moves one p in below the q, whose highest takes its place among the row bits; taking every second piece
of both rows moves one P in above the z, whose lowest takes its place. All done, lanes and rows have changed places.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence

import numpy as np

from graphc.codegen.expressions import ExpressionEmitter
from graphc.codegen.values import DType, Value, arithmetic, llvm_type, scalar_type, splat, vector_of
from graphc.ir.loops import Function
from graphc.ir.types import BOOL
from graphc.target import Target

PIECE_BYTES = 16
"""Bytes within which elements are interleaved by one instruction, whatever the width of a vector."""

MASKED_BYTES = 64
"""Width of vectors from which every instruction can leave out lanes."""

BYTE = np.dtype("uint8")


class ShuffleEmitter(ExpressionEmitter, ABC):
    """Expressions with columns of vectors."""

    def __init__(self, functions: Mapping[tuple[str, DType], Function], target: Target) -> None:
        super().__init__(functions, target)
        # Whether a store can leave out lanes at no cost.
        self.has_masks = target.vector_bytes >= MASKED_BYTES
        # What the networks have computed, by the names of the rows: step and row.
        self._networks: dict[tuple[str, ...], dict[tuple[int, int], Value]] = {}

    def column(self, rows: Sequence[Value], lane: int) -> Value:
        """Return one lane of each row as a vector. Rows are a power of two in number, and so are their lanes."""
        if rows[0].dtype == BOOL and rows[0].lanes > 1:
            found = self.column([self._as_bytes(r) for r in rows], lane)
            test = arithmetic("ne", BYTE, found.lanes, [found.name, splat("0", BYTE, found.lanes)])
            return self.instruct(test, BOOL, found.lanes, found.level)
        height, width = len(rows), rows[0].lanes
        if height == 1:
            return self._lane(rows[0], lane)
        if width > height:
            first = lane // height * height
            rows = [self._shuffle(r, r, range(first, first + height)) for r in rows]
            return self.column(rows, lane - first)
        if width < height:
            half = height // 2
            below, above = self.column(rows[:half], lane), self.column(rows[half:], lane)
            if half == 1:
                return self._pair(below, above)
            return self._shuffle(below, above, range(height))
        network = self._networks.setdefault(tuple([r.name for r in rows]), {})
        return self._transposed(network, rows, height.bit_length() - 1, lane)

    def _transposed(self, network: dict[tuple[int, int], Value], rows: Sequence[Value], steps: int, row: int) -> Value:
        """Return a row after some steps of the network."""
        if not steps:
            return rows[row]
        known = network.get((steps, row))
        if known is not None:
            return known
        count = len(rows).bit_length() - 1
        within = min(len(rows), max(1, PIECE_BYTES // rows[0].dtype.itemsize)).bit_length() - 1
        bit = within - steps if steps <= within else steps - 1
        low = row & ~(1 << bit)
        a, b = (self._transposed(network, rows, steps - 1, r) for r in (low, low | 1 << bit))
        second = row >> bit & 1
        order = _interleaved(count, within, second) if steps <= within else _side_by_side(count, within, second)
        network[steps, row] = self._shuffle(a, b, order)
        return network[steps, row]

    def _shuffle(self, a: Value, b: Value, order: Sequence[int]) -> Value:
        """Return lanes of a, numbered from 0, and of b, numbered on from there; anything for -1."""
        if a.name == b.name == "poison":
            return Value("poison", a.dtype, len(order))
        kind = llvm_type(a)
        lanes = ", ".join(f"i32 {k}" if k >= 0 else "i32 poison" for k in order)
        text = f"shufflevector {kind} {a.name}, {kind} {b.name}, <{len(order)} x i32> <{lanes}>"
        return self.define(text, a.dtype, len(order), max(a.level, b.level))

    def _lane(self, row: Value, lane: int) -> Value:
        if row.lanes == 1:
            return row
        return self.define(f"extractelement {llvm_type(row)} {row.name}, i64 {lane}", row.dtype, 1, row.level)

    def _pair(self, below: Value, above: Value) -> Value:
        kind, whole = scalar_type(below.dtype), Value("poison", below.dtype, 2)
        for k, part in enumerate((below, above)):
            text = f"insertelement {vector_of(kind, 2)} {whole.name}, {kind} {part.name}, i64 {k}"
            whole = self.define(text, part.dtype, 2, max(whole.level, part.level))
        return whole

    def _as_bytes(self, row: Value) -> Value:
        if row.name == "poison":
            return Value("poison", BYTE, row.lanes)
        return self.define(
            f"zext {llvm_type(row)} {row.name} to {vector_of('i8', row.lanes)}", BYTE, row.lanes, row.level
        )


def _interleaved(count: int, within: int, second: int) -> list[int]:
    """Return the order that interleaves the first or second half of each piece of a with that of b."""
    lanes, piece = 1 << count, 1 << within
    half = [p + second * piece // 2 + k for p in range(0, lanes, piece) for k in range(piece // 2)]
    return [lane for k in half for lane in (k, lanes + k)]


def _side_by_side(count: int, within: int, second: int) -> list[int]:
    """Return the order that takes each second piece of a, then of b."""
    lanes, piece = 1 << count, 1 << within
    chosen = [p + k for p in range(second * piece, lanes, 2 * piece) for k in range(piece)]
    return [*chosen, *[lanes + k for k in chosen]]
