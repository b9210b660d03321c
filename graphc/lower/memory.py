"""Where arrays lie: storage in the arena by lifetime, and addresses in everything else."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc.ir.loops import Region, Slot

ALIGNMENT = 64
"""Bytes: arrays start on a cache line."""


@dataclass(eq=False)
class Storage:
    """A piece of memory. In the arena `offset` is found by `assign_offsets`, relative to `parent`; `first` and `last`
    are the positions of the steps between which it is in use. Of the memory of a loop's body, `needed` is the least
    that it could be, by `live_bytes`."""

    nbytes: int
    region: Region = Region.ARENA
    index: int = 0
    offset: int = 0
    parent: Storage | None = None
    first: int = 0
    last: int = 0
    needed: int | None = None

    @property
    def address(self) -> int:
        return self.offset + (self.parent.address if self.parent is not None else 0)


@dataclass(frozen=True)
class Ref:
    """An array in storage: a byte offset, and bytes per iteration of each enclosing loop."""

    storage: Storage
    offset: int = 0
    strides: tuple[int, ...] = ()

    def slot(self) -> Slot:
        storage = self.storage
        return Slot(storage.region, storage.index, storage.address + self.offset, self.strides)

    def stepped(self, depth: int, stride: int) -> Ref:
        """Return the array that moves by `stride` bytes with each iteration of the loop at `depth`."""
        outer = self.strides + (0,) * (depth - len(self.strides))
        return Ref(self.storage, self.offset, (*outer, stride))


BEST_ORDER_LIMIT = 1024
"""Storages up to which each is compared with all others in use at the same time; more are placed as they come."""

ORDERS: tuple[Callable[[Storage], tuple[int, ...]], ...] = (
    lambda s: (-s.nbytes, s.first),
    lambda s: (-s.nbytes * (s.last - s.first + 1), s.first),
    lambda s: (s.first - s.last, -s.nbytes),
    lambda s: (s.first, -s.nbytes),
)
"""What to place first: the large, the large that live long, those that live long, those that come first."""


def assign_offsets(storages: Sequence[Storage]) -> int:
    """Place storages so that those in use at the same time do not overlap; return the bytes needed in all.

    Finding the best placement is NP-hard. Several are tried until one needs no more than is in use at once.
    """
    least = live_bytes([replace(s, needed=None) for s in storages])
    best: tuple[int, list[int]] | None = None
    for total in _placements(storages):
        if best is None or total < best[0]:
            best = total, [s.offset for s in storages]
        if total <= least:
            break
    assert best is not None
    for storage, offset in zip(storages, best[1], strict=True):
        storage.offset = offset
    return best[0]


def _placements(storages: Sequence[Storage]) -> Iterator[int]:
    """Place all storages in one way after the other; yield the bytes that each needs."""
    yield _as_they_come(storages)
    if len(storages) <= BEST_ORDER_LIMIT:
        for order in ORDERS:
            yield _lowest_fit(sorted(storages, key=order))
        return
    end = max(s.last for s in storages)
    mirrored = [replace(s, first=end - s.last, last=end - s.first) for s in storages]
    total = _as_they_come(mirrored)
    for storage, twin in zip(storages, mirrored, strict=True):
        storage.offset = twin.offset
    yield total


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _lowest_fit(storages: Sequence[Storage]) -> int:
    """Place one after the other, each at the lowest offset where it fits."""
    # Columns of the storages placed so far: first, last, start, end.
    placed = np.zeros((len(storages), 4), np.int64)
    total = 0
    for count, storage in enumerate(storages):
        nbytes = _aligned(storage.nbytes)
        near = placed[:count]
        near = near[(near[:, 0] <= storage.last) & (near[:, 1] >= storage.first)]
        start = 0
        for low, high in near[np.argsort(near[:, 2], kind="stable"), 2:].tolist():
            if low - start >= nbytes:
                break
            start = max(start, high)
        storage.offset = start
        placed[count] = (storage.first, storage.last, start, start + nbytes)
        total = max(total, start + nbytes)
    return total


def _as_they_come(storages: Sequence[Storage]) -> int:
    """Place each, in the order of first use, in the smallest gap that then is free."""
    free: list[tuple[int, int]] = []  # gaps as (start, end), in order, below `total`
    total = 0
    ending: list[tuple[int, int, int]] = []  # (last, start, end) of the storages in use
    for storage in sorted(storages, key=lambda s: (s.first, -s.nbytes)):
        while ending and ending[0][0] < storage.first:
            _, start, end = heapq.heappop(ending)
            _release(free, start, end)
        nbytes = _aligned(storage.nbytes)
        if not nbytes:
            continue
        fitting = [(end - start, k) for k, (start, end) in enumerate(free) if end - start >= nbytes]
        if fitting:
            k = min(fitting)[1]
            start, end = free.pop(k)
            if end - start > nbytes:
                free.insert(k, (start + nbytes, end))
        elif free and free[-1][1] == total:
            start, _ = free.pop()
            total = start + nbytes
        else:
            start, total = total, total + nbytes
        storage.offset = start
        heapq.heappush(ending, (storage.last, start, start + nbytes))
    return total


def _release(free: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a gap, joined with its neighbours."""
    k = bisect.bisect(free, (start, end))
    if k < len(free) and free[k][0] == end:
        end = free.pop(k)[1]
    if k and free[k - 1][1] == start:
        start = free.pop(k - 1)[0]
        k -= 1
    free.insert(k, (start, end))


def live_bytes(storages: Sequence[Storage]) -> int:
    """Return the most bytes in use at any one time: no placement can need less."""
    changes: dict[int, int] = {}
    for storage in storages:
        nbytes = _aligned(storage.nbytes if storage.needed is None else storage.needed)
        changes[storage.first] = changes.get(storage.first, 0) + nbytes
        changes[storage.last + 1] = changes.get(storage.last + 1, 0) - nbytes
    peak = now = 0
    for position in sorted(changes):
        now += changes[position]
        peak = max(peak, now)
    return peak
