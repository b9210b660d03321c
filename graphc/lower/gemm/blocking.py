"""How the loops of a tiled product are cut, and which factors are arranged anew for it: rules from sizes and caches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.lower.gemm.tiles import Split, Tile, choose_tile
from graphc.target import Target

PAGE_BYTES = 4096
"""Addresses that differ by this much share a place in the first cache."""

MIN_ROWS_TO_PACK = 32
"""Rows that must share a rearranged b for that to pay where it is for speed alone."""

WAYS = 16
"""Iterations of the outermost loop to aim at: enough for an even share on many cores."""


@dataclass(frozen=True)
class Size:
    """The extents of a product, and what is known of its factors: bytes between neighbours in memory.

    `outer` is the number of such products. `a_step` and `b_step` are the elements from one step of the sum to the next,
    `a_row` those from one row of a to the next. A sum `is_simple` if it is over one loop.
    """

    rows: int
    columns: int
    depth: int
    outer: int
    itemsize: int
    a_step: int
    a_row: int
    b_step: int
    is_simple: bool


@dataclass(frozen=True)
class Blocks:
    """A plan for a product in tiles.

    row_tiles    tiles of about `tile.rows` rows each; `row_block` of them are worked on together, for one panel of b
    all_columns  whether an iteration of the outermost loop does all columns, or one tile of them
    depth        blocks of the sum, between which the result waits in memory
    """

    tile: Tile
    row_tiles: int
    row_block: int
    all_columns: bool
    depth: int
    pack_a: bool
    pack_b: bool


def plan(size: Size, lanes: int, target: Target, must_pack_b: bool) -> Blocks:
    """Return how to compute a product in tiles."""
    tile = choose_tile(size.rows, size.columns, size.depth, lanes, target)
    row_tiles = -(-size.rows // tile.rows)
    depth = _depth_blocks(size, target)
    steps = -(-size.depth // depth)
    row_block = _row_block(size, steps, tile, row_tiles, target)
    blocks = -(-row_tiles // row_block)
    column_tiles = -(-size.columns // (tile.vectors * lanes))
    all_columns = True
    if blocks * size.outer < WAYS and column_tiles > blocks:
        all_columns, row_block, blocks = False, row_tiles, 1
    row_tiles = blocks * row_block
    if row_tiles > size.rows:
        row_tiles, row_block = size.rows, 1
    return Blocks(
        Tile(Split(size.rows, row_tiles).size, tile.vectors), row_tiles, row_block, all_columns, depth,
        pack_a=_pays_to_pack_a(size, tile, target),
        pack_b=must_pack_b or _pays_to_pack_b(size, tile, lanes, target),
    )  # fmt: skip


def _depth_blocks(size: Size, target: Target) -> int:
    """Return in how many blocks to sum: one, unless so few rows of a fit into half of the second cache that b would
    have to come from beyond it all the time."""
    most = target.l2_bytes // 2 // (64 * size.itemsize)
    return -(-size.depth // most) if size.is_simple else 1


def _row_block(size: Size, steps: int, tile: Tile, row_tiles: int, target: Target) -> int:
    """Return the tiles of rows to work on together: as many as keep their part of a in half of the second cache."""
    fitting = max(1, target.l2_bytes // 2 // (tile.rows * steps * size.itemsize))
    wanted = max(1, row_tiles * size.outer // WAYS)
    return min(fitting, wanted, row_tiles)


def _pays_to_pack_a(size: Size, tile: Tile, target: Target) -> bool:
    """Whether rows of a tile would throw each other out of the first cache."""
    if size.columns * size.itemsize < 8 * target.vector_bytes:
        return False
    if size.a_step == 1:
        return tile.rows > _capacity(size.a_row * size.itemsize, target)
    return size.depth > _capacity(size.a_step * size.itemsize, target)


def _pays_to_pack_b(size: Size, tile: Tile, lanes: int, target: Target) -> bool:
    """Whether the rows of b that a tile reads would throw each other out of the caches before they are used again."""
    if size.rows < MIN_ROWS_TO_PACK:
        return False
    lines = size.depth * (tile.vectors + 1)
    is_far = size.depth * size.columns * size.itemsize > target.l2_bytes
    return is_far and lines > _capacity(size.b_step * size.itemsize, target)


def _capacity(stride: int, target: Target) -> int:
    """Return how many cache lines that are `stride` bytes apart the first cache holds at once."""
    places = PAGE_BYTES // math.gcd(stride, PAGE_BYTES) if stride else 1
    return places * (target.l1_bytes // PAGE_BYTES)
