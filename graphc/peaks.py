"""What this machine can do at most, measured: arithmetic from registers, and memory traffic by how much is touched.

The measure of a kernel is its roofline (Williams, Waterman and Patterson, 2009): it takes at least as long as its
arithmetic at the peak rate, and as its traffic at the bandwidth of the cache that its data fits in.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.codegen.jit import Machine
from graphc.codegen.module import emit_module
from graphc.ir.loops import (
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Call,
    For,
    Kernel,
    Load,
    Program,
    Region,
    Slot,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
)
from graphc.ir.types import FLOAT32, FLOAT64, TensorType
from graphc.target import FUNCTION_CYCLES, Target, host

SECONDS = 0.01
"""How long each measurement runs, of which the fastest part counts."""

STEPS = 1000
"""Multiply-adds in a row on each register."""


@dataclass(frozen=True)
class Peaks:
    """Rates of one core.

    flops      operations a second by bytes of a float: a multiply-add is two
    functions  values of exp, log, ... a second by bytes of a float, as the target's cycles say
    bandwidth  (bytes touched, bytes a second), from the first-level cache to memory
    """

    flops: dict[int, float]
    functions: dict[int, float]
    bandwidth: tuple[tuple[int, float], ...]

    def bytes_per_second(self, nbytes: int) -> float:
        """Return the bandwidth for a kernel that touches `nbytes`."""
        return next((rate for size, rate in self.bandwidth if nbytes <= size), self.bandwidth[-1][1])

    def seconds(self, flops: int, functions: int, nbytes: int, itemsize: int, threads: int = 1) -> tuple[float, float]:
        """Return how long a kernel takes at least, by its arithmetic and by its traffic.

        Cores have caches of their own; memory they share.
        """
        arithmetic = flops / self.flops[itemsize] + functions / self.functions[itemsize]
        each = nbytes // threads
        sharing = threads if each > self.bandwidth[-2][0] else 1
        return arithmetic / threads, sharing * each / self.bytes_per_second(each)


@lru_cache(maxsize=1)
def peaks() -> Peaks:
    """Measure this machine, once a process; takes about a fifth of a second."""
    target = host()
    flops = {d.itemsize: _flops(target, d) for d in (FLOAT32, FLOAT64)}
    functions = {d.itemsize: target.clock * target.lanes(d.itemsize) / FUNCTION_CYCLES for d in (FLOAT32, FLOAT64)}
    sizes = (target.l1_bytes // 2, target.l2_bytes // 2, 4 * target.l2_bytes, 64 << 20)
    return Peaks(flops, functions, tuple([(size, _bandwidth(target, size)) for size in sizes]))


def _flops(target: Target, dtype: np.dtype[Any]) -> float:
    """Return operations a second of multiply-adds on as many registers as there are."""
    lanes, rows = target.lanes(dtype.itemsize), target.vector_registers - 4
    acc = Buffer("acc", TensorType(dtype, (rows, lanes)), Space.REGISTER)
    out = Buffer("out", TensorType(dtype, (rows, lanes)))
    x = Buffer("x", TensorType(dtype, (lanes,)))
    step, m, n = Var("step"), Var("m"), Var("n")

    def each(body: Stmt) -> Stmt:
        return For(m, rows, For(n, lanes, body, VECTOR), UNROLL)

    factor = Load(x, (n,))
    product = Apply("mul", (factor, factor), dtype)
    body = block(
        Alloc(acc),
        each(Store(acc, (m, n), Load(out, (m, n)))),
        For(step, STEPS, each(Accumulate(acc, (m, n), "add", product)), SERIAL),
        each(Store(out, (m, n), Load(acc, (m, n)))),
    )
    arrays = [np.ones((rows, lanes), dtype), np.full(lanes, 1e-3, dtype)]
    return 2.0 * rows * lanes * STEPS / _fastest(Kernel("flops", (out, x), body), arrays, target)


def _bandwidth(target: Target, nbytes: int) -> float:
    """Return bytes a second of c = a + s * b on arrays that take `nbytes` together."""
    count = nbytes // (3 * FLOAT32.itemsize)
    a, b, c = (Buffer(name, TensorType(FLOAT32, (count,))) for name in "abc")
    repeats = max(1, (1 << 20) // nbytes)
    i, repeat = Var("i"), Var("repeat")
    scaled = Apply("mul", (Load(b, (i,)), const(0.5, FLOAT32)), FLOAT32)
    sweep = For(i, count, Store(c, (i,), Apply("add", (Load(a, (i,)), scaled), FLOAT32)), VECTOR)
    kernel = Kernel("triad", (a, b, c), For(repeat, repeats, sweep, SERIAL))
    arrays = [np.ones(count, np.float32) for _ in range(3)]
    return repeats * 3.0 * count * FLOAT32.itemsize / _fastest(kernel, arrays, target)


def _fastest(kernel: Kernel, arrays: list[np.ndarray[Any, Any]], target: Target) -> float:
    """Return the shortest time of a run of a kernel."""
    slots = tuple([Slot(Region.STATE, k) for k in range(len(arrays))])
    state = tuple([b.type for b in kernel.params])
    program = Program("peak", (kernel,), (Call(kernel, slots),), (), (), state, (), 0)
    machine = Machine(emit_module(program, target), program.symbol, target)
    run = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(machine.address)
    addresses = (ctypes.c_void_p * (len(arrays) + 1))(*[a.ctypes.data for a in arrays])
    failure = (ctypes.c_int64 * 2)()
    run(addresses, failure)
    least, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run(addresses, failure)
        least = min(least, time.perf_counter() - start)
    return least
