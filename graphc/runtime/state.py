"""State that lives between calls: the array of a variable and the lock that its users share.

Variables that one program uses together share one lock, however many they are, so a call takes a single lock: what a
call reads and what it updates happen together, also when several threads call.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.calls import Lock
from graphc.ir.types import TensorType

ALIGNMENT = 64

_merging = threading.Lock()
_cells: weakref.WeakSet[Cell] = weakref.WeakSet()


@lru_cache(maxsize=1)
def memory_bytes() -> int:
    """Return how much memory the machine has; without knowing, more than any has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**50


def require_memory(name: str, nbytes: int) -> None:
    """Raise ShapeError for what this machine cannot hold, which the system might grant, and end the process later."""
    if nbytes > memory_bytes():
        raise ShapeError(f"{name}: needs {nbytes:.3g} bytes of memory, this machine has {memory_bytes():.3g}")


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return an uninitialised C-contiguous array whose first byte lies on a cache line."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(dtype).reshape(shape)


class StateLock:
    """A lock that machine code can look at and take: see `ir.calls.Lock`, of which `words` is one."""

    __slots__ = ("_acquire", "_held", "_release", "words")

    def __init__(self) -> None:
        lock = threading.Lock()
        self._acquire, self._release = lock.acquire, lock.release
        self._held = ctypes.c_int64(0)
        self.words = (ctypes.addressof(self._held), id(self._acquire), id(self._release))

    def acquire(self) -> None:
        self._acquire()
        self._held.value = 1

    def release(self) -> None:
        self._held.value = 0
        self._release()


class Cell:
    """The storage of one variable. The array object stays the same for life; only its elements change.

    `lock_table` tells machine code about the lock and stays where it is, whichever lock it is.
    """

    __slots__ = ("__weakref__", "_lock", "array", "lock_table", "type")

    def __init__(self, value: np.ndarray[Any, Any]) -> None:
        self.type = TensorType(value.dtype, value.shape)
        self.array: np.ndarray[Any, Any] = aligned_empty(value.shape, value.dtype)
        self.array[...] = value
        self.lock_table = np.zeros(len(Lock), np.int64)
        self.lock = StateLock()
        _cells.add(self)

    @property
    def lock(self) -> StateLock:
        return self._lock

    @lock.setter
    def lock(self, lock: StateLock) -> None:
        self._lock = lock
        self.lock_table[:] = lock.words

    def read(self) -> np.ndarray[Any, Any]:
        """Return a copy of the value."""
        with holding((self,)):
            return np.array(self.array, copy=True)

    def write(self, value: np.ndarray[Any, Any]) -> None:
        """Set the value; dtype and shape must already fit."""
        with holding((self,)):
            self.array[...] = value


@contextmanager
def holding(cells: Sequence[Cell]) -> Iterator[None]:
    """Hold the lock of cells that `share_lock` has brought together."""
    if not cells:
        yield
        return
    lock = acquire(cells[0])
    try:
        yield
    finally:
        lock.release()


def acquire(cell: Cell) -> StateLock:
    """Take and return the lock of a cell, which may be merged with another while this thread waits."""
    while True:
        lock = cell.lock
        lock.acquire()
        if cell.lock is lock:
            return lock
        lock.release()


def share_lock(cells: Sequence[Cell]) -> None:
    """Make these cells, and all that already share a lock with one of them, share one lock."""
    with _merging:
        locks = list(dict.fromkeys(c.lock for c in cells))
        if len(locks) <= 1:
            return
        for lock in locks:
            lock.acquire()
        for cell in list(_cells):
            if cell.lock in locks:
                cell.lock = locks[0]
        for lock in locks:
            lock.release()


def _renew_locks() -> None:
    """Give a forked child locks that no vanished thread holds."""
    global _merging
    _merging = threading.Lock()
    fresh: dict[StateLock, StateLock] = {}
    for cell in list(_cells):
        old = cell.lock
        if old not in fresh:
            fresh[old] = StateLock()
        cell.lock = fresh[old]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
