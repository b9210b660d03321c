"""What a run of a program does: operations, memory traffic, memory held. Counted from its loops, not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from graphc.ir.intern import code_key
from graphc.ir.interpret import evaluate
from graphc.ir.loops import (
    CHOICES,
    PRIMITIVES,
    Accumulate,
    Apply,
    Branch,
    Buffer,
    Call,
    Copy,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Program,
    Repeat,
    Step,
    Stmt,
    Var,
    While,
    expressions,
    substatements,
    walk_expressions,
)
from graphc.lower.library import called_by_kernel
from graphc.target import FUNCTION_CYCLES, LAUNCH_CYCLES, Target

FLOP_CYCLES = 0.25
"""Cycles of one operation on a vector where half of them are fused into multiply-adds and two are under way."""


MOST_EVALUATED = 4096
"""Iterations for which a condition on loops is evaluated at most, to count what it keeps from running."""


@dataclass(frozen=True)
class Cost:
    """The cost of one call. A loop that runs until a test fails counts as one step of it, a branch as its dearer body.

    flops            additions, multiplications, comparisons and the like on floats; a sum of products counts two a term
    transcendentals  exp, log, tanh, ...: each stands for 10 to 50 flops
    bytes            read and written by kernels, each array of a kernel once
    arena_bytes      memory for intermediate values; live_bytes is the least that any placement could need
    kernels          distinct loop nests in the code, one for all lengths of a parallel loop; launches: their calls
    threads          the most that pay for any of its kernels; gx.set_threads and Options.threads may allow fewer
    library          functions of the C library that are called for one element at a time, as nothing better is there
    seconds          an estimate for one thread, from all of this and the facts of the machine. It is made to compare
                     programs: measured times were 0.2 (in a large shared cache) to 5 times it (a transpose)
    """

    flops: int
    transcendentals: int
    bytes: int
    arena_bytes: int
    live_bytes: int
    kernels: int
    launches: int
    threads: int
    library: tuple[str, ...]
    seconds: float


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Return the cost of programs that run one after the other, each with memory of its own."""
    columns = {f.name: [getattr(c, f.name) for c in costs] for f in fields(Cost)}
    added = {name: reduce(add, column) for name, column in columns.items()}
    threads, library = max(columns["threads"]), tuple(dict.fromkeys(added["library"]))
    return Cost(**{**added, "threads": threads, "library": library})


def program_cost(program: Program, live_bytes: int, target: Target) -> Cost:
    """Return the cost of one run of a program."""
    counts = _Counts(target)
    counts.steps(program.steps, 1)
    return Cost(
        counts.flops,
        counts.transcendentals,
        counts.bytes,
        program.arena_bytes,
        live_bytes,
        len({code_key(k) for k in program.kernels}),
        counts.launches,
        counts.threads,
        tuple(sorted({name for k in program.kernels for name in called_by_kernel(k, target.has_fma)})),
        counts.cycles / target.clock,
    )


class _Counts:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.flops = self.transcendentals = self.bytes = self.launches = 0
        self.threads = 1
        self.cycles = 0.0
        self._of_kernel: dict[Kernel, tuple[tuple[int, int], tuple[float, float]]] = {}

    def steps(self, steps: Sequence[Step], times: int) -> None:
        for step in steps:
            if isinstance(step, Repeat):
                self.steps(step.steps, times * (step.extent if step.count is None else 1))
            elif isinstance(step, While):
                self.steps((*step.test, *step.steps), times)
            elif isinstance(step, Branch):
                self.branch(step, times)
            elif isinstance(step, Call):
                if step.kernel not in self._of_kernel:
                    self._of_kernel[step.kernel] = _kernel_cost(step.kernel, self.target)
                (flops, transcendentals), cycles = self._of_kernel[step.kernel]
                self.flops += times * flops
                self.transcendentals += times * transcendentals
                self.bytes += times * sum(b.type.nbytes for b in step.kernel.params)
                self.launches += times
                self.threads = max(self.threads, step.threads)
                self.cycles += times * (max(cycles) + LAUNCH_CYCLES)
            else:
                moved = step.nbytes * (2 if isinstance(step, Copy) else 1)
                self.bytes += times * moved
                self.cycles += times * moved / self.target.bytes_per_cycle(moved)

    def branch(self, step: Branch, times: int) -> None:
        sides = [_Counts(self.target) for _ in range(2)]
        for side, steps in zip(sides, (step.on_true, step.on_false), strict=True):
            side.steps(steps, times)
        dearer = max(sides, key=lambda s: s.cycles)
        self.flops += dearer.flops
        self.transcendentals += dearer.transcendentals
        self.bytes += dearer.bytes
        self.launches += dearer.launches
        self.cycles += dearer.cycles


def threads_for(kernel: Kernel, target: Target, most: int | None) -> tuple[int, int]:
    """Return the most threads that pay for a kernel, at most `most`, and an estimate of its nanoseconds on one.

    Each thread must have enough to do. Where memory is the limit, half of the time counts: it is an upper bound, and a
    part of the arrays may lie in another core's cache. Threads beyond the number of cores can only hurt there.
    """
    if kernel.ways is None or most == 1:
        return 1, 0
    _, (work, traffic) = _kernel_cost(kernel, target)
    cycles = max(work, traffic / 2)
    threads = min(kernel.ways, int(cycles / target.share_cycles) if target.share_cycles else kernel.ways)
    if traffic > work:
        threads = min(threads, target.cores)
    return max(1, min(threads, most or threads)), int(cycles / target.clock * 1e9)


def _kernel_cost(kernel: Kernel, target: Target) -> tuple[tuple[int, int], tuple[float, float]]:
    """Return the flops and transcendentals of a kernel, and the cycles of its arithmetic and of its traffic, which
    overlap."""
    flops, transcendentals = operations(kernel.body)
    itemsize = max([b.type.dtype.itemsize for b in kernel.params if b.type.dtype.kind == "f"], default=8)
    vectors = 1.0 / target.lanes(itemsize)
    work = (flops * FLOP_CYCLES + transcendentals * FUNCTION_CYCLES) * vectors
    traffic = sum([b.type.nbytes / target.bytes_per_cycle(b.type.nbytes) for b in kernel.params])
    return (flops, transcendentals), (work, traffic)


def operations(stmt: Stmt) -> tuple[int, int]:
    """Return the flops and transcendentals of a statement; of what runs under conditions on loops alone, in the share
    of their iterations in which it does."""
    flops, transcendentals = _weighed(stmt, {}, ())
    return round(flops), round(transcendentals)


def _weighed(stmt: Stmt, loops: Mapping[Var, int], conditions: tuple[Expr, ...]) -> tuple[float, float]:
    if isinstance(stmt, For):
        flops, transcendentals = _weighed(stmt.body, {**loops, stmt.var: stmt.extent}, conditions)
        return stmt.extent * flops, stmt.extent * transcendentals
    if isinstance(stmt, If) and _free(stmt.condition) <= loops.keys():
        share = _share((*conditions, stmt.condition), loops) / (_share(conditions, loops) or 1.0)
        flops, transcendentals = _weighed(stmt.body, loops, (*conditions, stmt.condition))
        return share * flops, share * transcendentals
    flops = float(isinstance(stmt, Accumulate) and stmt.buffer.type.dtype.kind == "f")
    transcendentals = 0.0
    for expr in walk_expressions(expressions(stmt)):
        if isinstance(expr, Apply) and expr.args[-1].dtype.kind == "f":
            if expr.op in PRIMITIVES:
                flops += expr.op not in ("cast", "bitcast", *CHOICES)
            else:
                transcendentals += 1
    for part in substatements(stmt):
        inner = _weighed(part, loops, conditions)
        flops, transcendentals = flops + inner[0], transcendentals + inner[1]
    return flops, transcendentals


def _free(expr: Expr) -> set[Var | None]:
    """Return the variables of an expression; None stands for what it reads."""
    parts = walk_expressions((expr,))
    return {p if isinstance(p, Var) else None for p in parts if isinstance(p, Var | Load)}


def _share(conditions: Sequence[Expr], loops: Mapping[Var, int]) -> float:
    """Return in how many of all iterations conditions hold, of very many in a sample of them."""
    variables = [v for v in loops if any(v in _free(c) for c in conditions)]
    if not variables:
        return 1.0
    most = max(2, int(MOST_EVALUATED ** (1 / len(variables))))
    points = [np.unique(np.linspace(0, loops[v] - 1, min(loops[v], most)).astype(np.int64)) for v in variables]
    grid: dict[Var | Buffer, Any] = dict(zip(variables, np.meshgrid(*points, indexing="ij"), strict=True))
    return float(np.mean(np.logical_and.reduce(np.broadcast_arrays(*[evaluate(c, grid) for c in conditions]))))
