"""Measuring a call step by step: code with a clock around every step, run on copies of the variables."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.codegen.profiled import EVENTS, FIRST, ROOM, STEP_WORDS
from graphc.errors import Location
from graphc.inspect.formulas import formula
from graphc.inspect.profile import Event, KernelTime, Profile, shares
from graphc.ir.graph import Node
from graphc.ir.groups import Group
from graphc.ir.loops import Call, Clear, Copy, leaf_steps
from graphc.lower.cost import operations
from graphc.lower.library import called_by_kernel
from graphc.lower.program import Lowered
from graphc.peaks import Peaks
from graphc.runtime.native import NativeRunner
from graphc.runtime.pool import get_threads
from graphc.target import host

Array = np.ndarray[Any, Any]

SECONDS = 0.3
"""How long calls are repeated, at least LEAST_CALLS and at most MOST_CALLS times."""

LEAST_CALLS, MOST_CALLS = 5, 2000

MAX_EVENTS = 100_000
"""Events kept of one call."""


def profile(
    name: str,
    sizes: Mapping[str, int],
    lowered: Lowered,
    call: Callable[..., Any],
    timed: NativeRunner,
    reset: Callable[[], None],
    arrays: Sequence[Array],
    peaks: Peaks,
) -> Profile:
    """Return the times of a program's steps.

    `call` runs it, `timed` runs the code of `ProfiledEntry`; `reset` gives the variables of both their values again.
    """
    steps = list(leaf_steps(lowered.program.steps))
    words = FIRST + STEP_WORDS * (len(steps) + 1)
    times = np.zeros(words + STEP_WORDS * MAX_EVENTS, np.int64)
    times[ROOM] = MAX_EVENTS
    place = ctypes.c_void_p(times.ctypes.data)
    calls: list[float] = []
    rows: list[Array] = []
    end = time.perf_counter() + SECONDS
    while len(calls) < LEAST_CALLS or (time.perf_counter() < end and len(calls) < MOST_CALLS):
        reset()
        start = time.perf_counter()
        call(*arrays)
        calls.append(time.perf_counter() - start)
        reset()
        times[EVENTS], times[FIRST:words] = 0, 0
        timed.run(arrays, place)
        rows.append(times[FIRST:words].reshape(-1, STEP_WORDS).copy())
    table = np.array(rows[1:] or rows)
    clock = int(table[:, -1, 2].min())  # what the clock takes by itself
    runs = table[0, :-1, 0]
    nanoseconds = np.maximum(np.median(table[:, :-1, 1], axis=0) - runs * clock, 0)
    seconds = [float(ns) * 1e-9 for ns in nanoseconds]
    whole = statistics.median(calls[1:] or calls)
    kernels = [
        _kernel(step, lowered, int(n), s, share, peaks)
        for step, n, s, share in zip(steps, runs, seconds, shares(seconds, whole), strict=True)
    ]
    count, kept = int(times[EVENTS]), min(int(times[EVENTS]), MAX_EVENTS)
    events = times[words : words + STEP_WORDS * kept].reshape(-1, STEP_WORDS)
    first = int(events[0, 1]) if kept else 0
    found = [Event(int(k), (int(b) - first) * 1e-9, (int(e) - first) * 1e-9) for k, b, e in events if k < len(steps)]
    return Profile(name, sizes, len(calls), whole, tuple(kernels), tuple(found), count - kept)


def _kernel(
    step: Call | Copy | Clear, lowered: Lowered, runs: int, seconds: float, share: float, peaks: Peaks
) -> KernelTime:
    if not isinstance(step, Call):
        moved = (2 if isinstance(step, Copy) else 1) * step.nbytes
        bound = runs * moved / peaks.bytes_per_second(moved)
        name = "copy" if isinstance(step, Copy) else "clear"
        return KernelTime(name, (), (), runs, seconds, share, 0, 0, runs * moved, bound, "memory", ())
    group, kernel = lowered.groups[step], step.kernel
    flops, functions = operations(kernel.body)
    nbytes = sum(b.type.nbytes for b in kernel.params)
    itemsize = max([b.type.dtype.itemsize for b in kernel.params if b.type.dtype.kind == "f"], default=4)
    arithmetic, traffic = peaks.seconds(flops, functions, nbytes, itemsize, min(step.threads, get_threads()))
    return KernelTime(
        kernel.name,
        tuple([formula(o) for o in _named(group)]),
        _lines(group),
        runs,
        seconds,
        share,
        flops * runs,
        functions * runs,
        nbytes * runs,
        max(arithmetic, traffic) * runs,
        "arithmetic" if arithmetic > traffic else "memory",
        called_by_kernel(kernel, host().has_fma),
    )


def _named(group: Group) -> Sequence[Node]:
    return group.outputs or group.nodes[-1:]


def _lines(group: Group) -> tuple[str, ...]:
    """Return the lines of the user's program that a group comes from, at most three."""
    found: list[Location] = [n.location for n in group.nodes if n.location is not None]
    return tuple(dict.fromkeys(map(str, found)))[:3]
