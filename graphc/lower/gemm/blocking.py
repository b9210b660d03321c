"""How the loops of a tiled product are cut, and which factors are arranged anew for it: rules from sizes and caches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.lower.gemm.tiles import Split, Tile, choose_tile
from graphc.target import Target

PAGE_BYTES = 4096
"""Addresses that differ by this much share a place in the first cache."""

LINE_BYTES = 64
"""Bytes of a cache line."""

MIN_ROWS_TO_PACK = 64
"""Rows that must share a rearranged b for that to pay where it is for speed alone."""

MIN_TILES_TO_PACK = 8
"""Tiles of columns that must share a rearranged a."""

EVEN = 8
"""Iterations for each core from which on it does not matter whether all cores get as many."""

SHARE_OF_LAST = 4
"""What one core may count on of the last cache, in sizes of its second one."""


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

    row_tiles    tiles of `tile.rows` rows or one less; `row_block` of them are worked on together, for one panel of b
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
    tile = choose_tile(size.rows, size.columns, size.depth, lanes, target, _most_rows(size, target))
    row_tiles = -(-size.rows // tile.rows)
    depth = _depth_blocks(size, tile, target)
    blocks = -(-row_tiles // _row_block(size, -(-size.depth // depth), tile, target))
    columns = size.outer * -(-size.columns // (tile.vectors * lanes))
    all_columns = columns < EVEN * target.cores and columns % target.cores != 0
    if all_columns and size.outer < EVEN * target.cores:
        blocks = -(-blocks // target.cores) * target.cores
    row_block = -(-row_tiles // min(blocks, row_tiles))
    blocks = -(-row_tiles // row_block)
    if blocks * row_block > size.rows:
        row_block, blocks = 1, size.rows
    return Blocks(
        tile=Tile(Split(size.rows, blocks * row_block).size, tile.vectors),
        row_tiles=blocks * row_block,
        row_block=row_block,
        all_columns=all_columns,
        depth=depth,
        pack_a=_pays_to_pack_a(size, tile, target),
        pack_b=must_pack_b or _pays_to_pack_b(size, tile, target),
    )


def _most_rows(size: Size, target: Target) -> int:
    """Return how many rows of a, read side by side, leave each other and b their place in the first cache."""
    if size.a_step != 1:
        return size.rows
    return max(1, _capacity(size.a_row * size.itemsize, target) * 2 // 3)


def _depth_blocks(size: Size, tile: Tile, target: Target) -> int:
    """Return in how many blocks to sum: as few as leave a panel of b in half of the second cache, since the result has
    to be read and written for each."""
    most = target.l2_bytes // 2 // (tile.vectors * target.vector_bytes)
    return -(-size.depth // most) if size.is_simple else 1


def _row_block(size: Size, steps: int, tile: Tile, target: Target) -> int:
    """Return the tiles of rows to work on together for one panel of b: the more, the less often b comes from memory,
    as long as what they read of a stays in a share of the last cache."""
    return max(1, SHARE_OF_LAST * target.l2_bytes // (tile.rows * steps * size.itemsize))


def _pays_to_pack_a(size: Size, tile: Tile, target: Target) -> bool:
    """Whether what steps of the sum read for a tile would be thrown out of the first cache before the next tile reads
    what is beside it. Rows that are contiguous are read on and on."""
    if size.a_step == 1 or size.columns * size.itemsize < MIN_TILES_TO_PACK * tile.vectors * target.vector_bytes:
        return False
    return size.depth > _capacity(size.a_step * size.itemsize, target)


def _pays_to_pack_b(size: Size, tile: Tile, target: Target) -> bool:
    """Whether the rows of b that a tile reads would throw each other out of the caches before they are used again."""
    stride, nbytes = size.b_step * size.itemsize, size.depth * size.columns * size.itemsize
    near = target.l2_bytes * (1 if stride % PAGE_BYTES == 0 else SHARE_OF_LAST)
    if size.rows < MIN_ROWS_TO_PACK or nbytes < near:
        return False
    return size.depth * (tile.vectors + 1) > _capacity(stride, target)


def _capacity(stride: int, target: Target) -> int:
    """Return how many cache lines that are `stride` bytes apart the first cache holds at once."""
    places = PAGE_BYTES // max(LINE_BYTES, math.gcd(stride, PAGE_BYTES))
    return places * max(1, target.l1_bytes // PAGE_BYTES)
