"""Where arrays lie: storage in the arena by lifetime, and addresses in everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.loops import Region, Slot

ALIGNMENT = 64
"""Bytes: arrays start on a cache line."""


@dataclass(eq=False)
class Storage:
    """A piece of memory. In the arena `offset` is found by `assign_offsets`, relative to `parent`; `first` and `last`
    are the positions of the steps between which it is in use."""

    nbytes: int
    region: Region = Region.ARENA
    index: int = 0
    offset: int = 0
    parent: Storage | None = None
    first: int = 0
    last: int = 0

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

    def stepped(self, depth: int, offset: int, stride: int) -> Ref:
        """Return the array that moves by `stride` bytes with each iteration of the loop at `depth`."""
        outer = self.strides + (0,) * (depth - len(self.strides))
        return Ref(self.storage, self.offset + offset, (*outer, stride))


def assign_offsets(storages: Sequence[Storage]) -> int:
    """Place storages so that those in use at the same time do not overlap; return the bytes needed in all.

    Largest first, each at the lowest offset where it fits.
    """
    order = sorted(storages, key=lambda s: (-s.nbytes, s.first))
    # Columns of the storages placed so far: first, last, start, end.
    placed = np.zeros((len(order), 4), np.int64)
    total = 0
    for count, storage in enumerate(order):
        nbytes = -(-storage.nbytes // ALIGNMENT) * ALIGNMENT
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


def live_bytes(storages: Sequence[Storage]) -> int:
    """Return the most bytes in use at any one time: no placement can need less."""
    changes: dict[int, int] = {}
    for storage in storages:
        nbytes = -(-storage.nbytes // ALIGNMENT) * ALIGNMENT
        changes[storage.first] = changes.get(storage.first, 0) + nbytes
        changes[storage.last + 1] = changes.get(storage.last + 1, 0) - nbytes
    peak = now = 0
    for position in sorted(changes):
        now += changes[position]
        peak = max(peak, now)
    return peak
