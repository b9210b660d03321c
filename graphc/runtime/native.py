"""Running machine code on arrays: one native call, the whole step."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.types import TensorType
from graphc.runtime.callpath import Entry
from graphc.runtime.pool import POOL
from graphc.runtime.state import Cell, acquire, aligned_empty

Array = np.ndarray[Any, Any]

RELEASE_SECONDS = 50e-6
"""Estimated time from which on a call lets other Python threads run meanwhile. Getting the GIL back next to a busy
thread may take some 100 us."""


class HasAddress(Protocol):
    """Machine code: the address of its entry point, valid while this object lives."""

    address: int


class FailureSite(Protocol):
    """A place where a run can fail."""

    def error(self, value: int) -> GraphcError: ...


@dataclass(frozen=True)
class Signature:
    """What machine code takes and gives, all of static shape."""

    outputs: tuple[TensorType, ...]
    constants: tuple[Array, ...]
    arena_bytes: int
    seconds: float


class _Frame:
    """The memory of one call under way: the table of addresses, the arena, the place for a failure.

    The last two addresses are those of the arena and of the thread pool.
    """

    __slots__ = ("arena", "failure", "slots")

    def __init__(self, count: int, arena_bytes: int) -> None:
        self.slots = (ctypes.c_void_p * count)()
        self.failure = (ctypes.c_int64 * 2)()
        self.arena = aligned_empty((arena_bytes,), np.dtype("uint8"))
        self.slots[count - 2] = self.arena.ctypes.data
        self.slots[count - 1] = POOL.address


class NativeRunner:
    """Machine code ready to run. Any number of threads may call at once: each takes a frame of its own."""

    def __init__(
        self,
        machine: HasAddress,
        signature: Signature,
        state: Sequence[Array],
        sites: Sequence[FailureSite],
        inputs: int,
        *,
        locked: Sequence[Cell],
        finish: Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]] | None = None,
        allocate: Callable[[Any, np.dtype[Any]], Array] = np.empty,
        further: int = 0,
    ) -> None:
        """`state` is what the code reads and writes, `locked` whose lock a call holds, also during `finish`, which
        gets the inputs and outputs and returns what the caller shall have. `allocate` makes an output. `further` is
        how many arguments the entry point takes besides the slots and the failure."""
        self._machine = machine
        self._signature = signature
        self._locked = tuple(locked)
        self._finish = finish
        self._allocate = allocate
        self._sites = tuple(sites)
        # CFUNCTYPE lets other threads run during the call, PYFUNCTYPE does not and is quicker to enter.
        self._releases = signature.seconds > RELEASE_SECONDS
        prototype = ctypes.CFUNCTYPE if self._releases else ctypes.PYFUNCTYPE
        self._entry = prototype(ctypes.c_int32, *[ctypes.c_void_p] * (2 + further))(machine.address)
        self._outputs = [(t.shape, t.dtype) for t in signature.outputs]
        self._first_output = inputs
        self._first_state = inputs + len(self._outputs)
        self._state = tuple(state)  # kept alive: the code has their addresses
        self._fixed = [a.ctypes.data for a in state] + [c.ctypes.data for c in signature.constants]
        self._frames: list[_Frame] = []

    def _new_frame(self) -> _Frame:
        frame = _Frame(self._first_state + len(self._fixed) + 2, self._signature.arena_bytes)
        for k, address in enumerate(self._fixed):
            frame.slots[self._first_state + k] = address
        return frame

    def entry(self, shapes: Sequence[tuple[int, ...]]) -> Entry | None:
        """Return this code for inputs of these shapes as calls from Python enter it; None where a call needs more."""
        if self._finish is not None or self._allocate is not np.empty:
            return None
        frame = self._new_frame()
        cell = self._locked[0] if self._locked else None
        slots = ctypes.addressof(frame.slots)
        results, kept = self._signature.outputs, (self, frame)
        return Entry(self._machine.address, shapes, results, slots, cell, self.fail, kept, releases=self._releases)

    def fail(self, site: int, value: int) -> NoReturn:
        """Raise the error of a failure."""
        raise self._sites[site].error(value)

    def run(self, arrays: Sequence[Array], *further: ctypes.c_void_p) -> Sequence[Array]:
        """Return the outputs; variables have their new values. A failure raises the error of its site with nothing
        changed.

        `further` arguments are for entry points that take more than the slots and the failure.
        """
        try:
            frame = self._frames.pop()
        except IndexError:
            frame = self._new_frame()
        slots = frame.slots
        for k, array in enumerate(arrays):
            slots[k] = array.__array_interface__["data"][0]
        outputs: list[Array] = []
        for k, (shape, dtype) in enumerate(self._outputs, self._first_output):
            output = self._allocate(shape, dtype)
            slots[k] = output.__array_interface__["data"][0]
            outputs.append(output)
        lock = acquire(self._locked[0]) if self._locked else None
        try:
            if self._entry(slots, frame.failure, *further):
                self.fail(frame.failure[0], frame.failure[1])
            return outputs if self._finish is None else self._finish(arrays, outputs)
        finally:
            if lock is not None:
                lock.release()
            self._frames.append(frame)
