"""Which register tiles a result is computed in."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.target import Target

STEP_MULTIPLICATIONS = 16
"""Vector multiply-adds in a row at least, by writing out steps of the summation: then the loop itself costs little."""

MAX_UNROLL_K = 4
"""Steps of the summation written out in a row at most."""

CODE_SLACK = 1.03
"""How much longer a tile may take than the best one, estimated, if it needs less code: code takes time to compile."""

MAX_VECTORS = 8
"""Widest tile, in vectors: wide ones serve results of one or few rows."""


@dataclass(frozen=True)
class Tile:
    """Rows and vectors of a register tile."""

    rows: int
    vectors: int

    @property
    def unroll(self) -> int:
        """Steps of the summation to write out in a row."""
        return min(MAX_UNROLL_K, -(-STEP_MULTIPLICATIONS // (self.rows * self.vectors)))


@dataclass(frozen=True)
class Split:
    """An extent in `parts` of about equal size: the first `longer` have `size` elements, the others one less."""

    extent: int
    parts: int

    @property
    def size(self) -> int:
        return -(-self.extent // self.parts)

    @property
    def longer(self) -> int:
        return self.extent - self.parts * (self.size - 1)

    @property
    def is_even(self) -> bool:
        return self.longer == self.parts


def choose_tile(rows: int, columns: int, depth: int, lanes: int, target: Target, most_rows: int) -> Tile:
    """Return a register tile of `most_rows` at most for a result of rows x columns summed over depth: of those that
    cost least, to within CODE_SLACK, the one with the least code.

    Accumulators and the vectors of b must leave some registers free for a's elements.
    """
    free = target.vector_registers - (4 if target.vector_registers > 16 else 2)
    vectors = -(-columns // lanes)
    is_near = depth * vectors * target.vector_bytes <= target.l1_bytes
    found: list[tuple[float, int, Tile]] = []
    for v in range(1, min(MAX_VECTORS, vectors) + 1):
        most = min(rows, most_rows, (free - v) // v)
        if most < 1:
            continue
        equal_shares = -(-rows // -(-rows // most))  # no tiny tile at the end
        for m in {equal_shares, next(d for d in range(most, 0, -1) if rows % d == 0)}:
            parts = _parts(rows, vectors, Tile(m, v))
            cost = sum(count * _cycles(tile, depth, is_near) for tile, count in parts)
            found.append((cost, sum(max(t.rows * t.vectors, STEP_MULTIPLICATIONS) for t, _ in parts), Tile(m, v)))
    least = min(cost for cost, _, _ in found)
    return min((code, cost, tile.vectors, tile) for cost, code, tile in found if cost <= CODE_SLACK * least)[-1]


def _parts(rows: int, vectors: int, tile: Tile) -> list[tuple[Tile, int]]:
    """Return the tiles that a result is made of, those at its ends included, and how many of each there are."""
    split = Split(rows, -(-rows // tile.rows))
    return [
        (Tile(height, width), down * across)
        for height, down in ((split.size, split.longer), (split.size - 1, split.parts - split.longer))
        for width, across in ((tile.vectors, vectors // tile.vectors), (vectors % tile.vectors, 1))
        if height and width and down and across
    ]


def _cycles(tile: Tile, depth: int, is_near: bool) -> float:
    """Estimate the cycles that a tile takes.

    A step issues rows * vectors multiply-adds and rows + vectors loads, two of either in a cycle, and takes no less
    than a multiply-add, nor than two cycles for each vector that comes from the second-level cache. Part of the loads
    is not hidden behind the rest. Starting and ending a tile costs about as much as a few steps.
    """
    registers, loads = tile.rows * tile.vectors, tile.rows + tile.vectors
    far = 0.0 if is_near else 2.0 * tile.vectors
    step = max(registers / 2, loads / 2, 4.0, far) + 0.15 * loads + far / 2
    return depth * step + 2 * registers + 8
