"""Which register tile serves a convolution: how many channels, rows and columns of the result at a time.

Vectors run along the columns of the image. Where rows are much longer than a vector, a tile has one or several of
them with as many vectors each; where they are short, it may run on over several rows and the zeros between them as one
contiguous run, of which the results between rows are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.target import Target

MAX_VECTORS = 8
"""Widest tile, in vectors."""

CODE_SLACK = 1.04
"""How much longer a tile may take than the best one, estimated, if it needs less code."""


@dataclass(frozen=True)
class Tile:
    """`channels` of the result by `lines` rows of `width` elements; if it runs on, the elements of all of its rows lie
    in one run of `width`."""

    channels: int
    lines: int
    width: int
    runs_on: bool

    def vectors(self, lanes: int) -> int:
        return -(-self.width // lanes) * (1 if self.runs_on else self.lines)


@dataclass(frozen=True)
class Shape:
    """Part of a result: channels (of a group), rows and columns, and the products summed for each element.

    pitch  how far apart rows lie for all taps alike, None where a tile cannot run on
    """

    channels: int
    rows: int
    columns: int
    depth: int
    pitch: int | None


def choose_tile(shape: Shape, lanes: int, target: Target, *, divides: bool) -> Tile:
    """Return the tile that costs least, to within CODE_SLACK the one with the least code. With `divides` its channels
    divide those of the result."""
    found = [
        (cycles, code, tile)
        for wide in _wides(shape, lanes)
        for tile in _tall(shape, wide, lanes, target, divides)
        for cycles, code in [_cost(shape, tile, lanes)]
    ]
    least = min(cycles for cycles, _, _ in found)
    candidates = [(code, cycles, k) for k, (cycles, code, _) in enumerate(found) if cycles <= CODE_SLACK * least]
    return found[min(candidates)[2]][2]


def _wides(shape: Shape, lanes: int) -> list[Tile]:
    """Return tiles of one channel."""
    tiles: list[Tile] = []
    divisors = [d for d in range(1, MAX_VECTORS + 1) if shape.rows % d == 0]
    if shape.rows <= 16 and shape.rows not in divisors:
        divisors.append(shape.rows)
    for lines in divisors:
        for vectors in range(1, min(MAX_VECTORS // lines, -(-shape.columns // lanes)) + 1):
            tiles.append(Tile(1, lines, min(vectors * lanes, shape.columns), False))
        if shape.pitch is not None and lines > 1:
            width = (lines - 1) * shape.pitch + shape.columns
            if width <= MAX_VECTORS * lanes:
                tiles.append(Tile(1, lines, width, True))
    return tiles


def _tall(shape: Shape, wide: Tile, lanes: int, target: Target, divides: bool) -> list[Tile]:
    """Return a tile with as many channels as registers hold, or nearly, such that none are left over."""
    free = target.vector_registers - (4 if target.vector_registers > 16 else 2)
    vectors = wide.vectors(lanes)
    most = min(shape.channels, max(1, (free - vectors) // vectors))
    divisor = next(d for d in range(most, 0, -1) if shape.channels % d == 0)
    equal_shares = -(-shape.channels // -(-shape.channels // most))
    heights = {divisor} if divides else {divisor, equal_shares}
    return [Tile(h, wide.lines, wide.width, wide.runs_on) for h in sorted(heights)]


def _cost(shape: Shape, tile: Tile, lanes: int) -> tuple[float, int]:
    """Return the estimated cycles for the whole result, and the multiply-adds written out for all kinds of tiles."""
    whole, rest = divmod(shape.columns, tile.width) if not tile.runs_on else (1, 0)
    widths = [(-(-w // lanes), n) for w, n in ((tile.width, whole), (rest, 1)) if w and n]
    heights = [
        (h, n) for h, n in ((tile.channels, shape.channels // tile.channels), (shape.channels % tile.channels, 1))
    ]
    lines = 1 if tile.runs_on else tile.lines
    cycles, code = 0.0, 0
    for width, across in widths:
        for height, down in heights:
            if not height or not down:
                continue
            vectors = width * lines
            registers, loads = height * vectors, height + vectors
            step = max(registers / 2, loads / 2, 4.0) + 0.15 * loads
            finish = 2.0 * registers + 8
            if tile.runs_on:
                finish += 3 * height * tile.lines * -(-shape.columns // lanes)
            cycles += across * down * (shape.depth * step + finish)
            code += max(registers, 16)
    return cycles * (shape.rows / tile.lines), code
