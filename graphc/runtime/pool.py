"""How many threads a call may use, and the machine code of the thread pool, which is made when it is first needed.

    GRAPHC_THREADS=4     as set_threads(4) before anything else

The pool itself is machine code (codegen/pool.py), which starts threads when a loop first needs them. Python never sees
them, so they need no place in its shutdown; but the code that they run, and the memory, must never be freed.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from graphc.cores import MAX_THREADS, available_cores
from graphc.errors import ArgumentError
from graphc.options import checked_threads


class HasAddress(Protocol):
    """Machine code: the address of its entry point, valid while this object lives."""

    address: int


class Pool:
    """The thread pool of a process: `address` is that of its header, which all compiled functions are given."""

    def __init__(self) -> None:
        self._header = (ctypes.c_int64 * 2)()  # the function that divides a loop, or 0; how many threads it may use
        self._lock = threading.Lock()
        self._make: Callable[[], HasAddress] | None = None
        self._control: Callable[[], int] | None = None
        self.address = ctypes.addressof(self._header)

    @property
    def threads(self) -> int:
        """The most threads of one call, the caller's among them."""
        if not self._header[1]:
            self._header[1] = min(available_cores(), MAX_THREADS)
        return self._header[1]

    def allow(self, count: int | None) -> None:
        """Set the most threads of one call; None is as many as this process may keep busy."""
        self._header[1] = min(available_cores() if count is None else count, MAX_THREADS)
        self._start()

    def prepare(self, make: Callable[[], HasAddress]) -> None:
        """Get ready for functions that divide loops; `make` returns the machine code of the pool."""
        self._make = self._make or make
        self._start()

    def _start(self) -> None:
        """Make the machine code, unless it is there or there is nothing to divide."""
        with self._lock:
            if self._control is not None or self._make is None or self.threads == 1:
                return
            machine = self._make()
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(machine))  # for ever: threads are in it
            entry = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(machine.address)
            self._control = partial(entry, self.address)
            self._control()

    def before_fork(self) -> None:
        """Let idle workers end: a process with one thread is the better parent."""
        if self._control is not None:
            self._control()

    def after_fork(self) -> None:
        """Forget the workers, which a forked child has not, and whoever held a lock."""
        self._lock = threading.Lock()
        if self._control is not None:
            self._control()


def threads_of_environment(given: str | None) -> int | None:
    """Return what GRAPHC_THREADS says, None where it is missing or empty. Raises ArgumentError."""
    text = (given or "").strip()
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentError(f"GRAPHC_THREADS: must be a positive integer, got {given!r}")
    return int(text) if text else None


POOL = Pool()
if os.environ.get("GRAPHC_THREADS"):
    POOL.allow(threads_of_environment(os.environ["GRAPHC_THREADS"]))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=POOL.before_fork, after_in_child=POOL.after_fork)


def set_threads(count: int | None) -> None:
    """Set how many threads one call may use, in all compiled functions, from the next call on.

    None is the default: as many as the process may keep busy, by the CPUs it is bound to and the quota of its control
    groups. More than 256 are taken for 256. Results do not depend on it. `Options.threads` sets a limit for one
    function. Raises ArgumentError.

    >>> gx.set_threads(1)
    >>> gx.get_threads()
    1
    >>> gx.set_threads(None)
    """
    POOL.allow(checked_threads("set_threads: the number of threads", count))


def get_threads() -> int:
    """Return how many threads one call may use at most."""
    return POOL.threads
