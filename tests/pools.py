"""Thread pools for tests: with as many threads as the test wants, and workers that are woken for the least work."""

from __future__ import annotations

import ctypes

from graphc.codegen.jit import Machine
from graphc.codegen.pool import emit_pool
from graphc.target import host


class TestPool:
    """A pool of its own; `address` is that of its header."""

    __test__ = False

    def __init__(self, threads: int, *, wake_nanoseconds: int = 0, futex: bool | None = None) -> None:
        self.header = (ctypes.c_int64 * 2)(0, threads)
        self.address = ctypes.addressof(self.header)
        machine = Machine(emit_pool(host(), wake_nanoseconds=wake_nanoseconds, futex=futex), "pool", host(), level=0)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(machine))
        self._control = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(machine.address)
        self.control()

    def control(self) -> int:
        """Prepare the pool in a new process; end idle workers otherwise."""
        return self._control(self.address)
