"""Contractions with their epilogue to loop nests: in which form each is computed."""

from __future__ import annotations

from graphc.ir.groups import Group
from graphc.lower.gemm.axpy import MAX_ROWS, lower_axpy
from graphc.lower.gemm.dots import choose_dots, lower_dots
from graphc.lower.gemm.problem import Problem
from graphc.lower.gemm.singles import lower_singles
from graphc.lower.gemm.tiled import lower_tiled
from graphc.lower.work import Launch
from graphc.target import Target

TRANSPOSE_CYCLES = 8.0
"""Cycles to put a vector of a factor across in a panel."""

GATHER_CYCLES = 24.0
"""Cycles to gather a vector of elements that are neither along nor across."""


def lower_contraction(group: Group, name: str, target: Target) -> list[Launch]:
    """Return the kernels of a contraction group."""
    problem = Problem(group, name, target)
    if not problem.summed or not problem.out or problem.out[-1] not in problem.columns:
        return lower_singles(problem)
    if _is_better_across(problem):
        problem.exchange()
    if _waits_for_memory(problem):
        return lower_axpy(problem)
    if _dots_cycles(problem) < _tiled_cycles(problem):
        return lower_dots(problem)
    return lower_tiled(problem)


def _is_better_across(problem: Problem) -> bool:
    """Whether the columns fill less than half a vector and there are rows that lie along one: results are then stored
    some way apart from each other."""
    if not problem.rows or 2 * problem.extent(problem.columns) > problem.lanes:
        return False
    return problem.a.strides[problem.rows[-1]] == 1 and problem.extent(problem.rows) >= problem.lanes


def _waits_for_memory(problem: Problem) -> bool:
    """Whether the rows are so few that it matters most to read b, contiguous along the columns, in order."""
    nbytes = problem.extent([*problem.columns, *problem.summed]) * problem.dtype.itemsize
    is_along = problem.b.strides[problem.columns[-1]] == 1
    return is_along and problem.extent(problem.rows) <= MAX_ROWS and nbytes > problem.target.l1_bytes


def _dots_cycles(problem: Problem) -> float:
    """Estimate the cycles of dot products, infinite where the sum is not contiguous in a."""
    last = problem.merged(problem.summed, problem.a, problem.b)[-1]
    if problem.a.stride(last) != 1 or problem.lanes < 2:
        return float("inf")
    rows, columns, batch = (problem.extent(c) for c in (problem.rows, problem.columns, problem.batch))
    steps = problem.extent(problem.summed) // last.extent * -(-last.extent // problem.lanes)
    copy = 0.0 if problem.b.stride(last) == 1 else GATHER_CYCLES * columns * steps
    return (choose_dots(rows, columns, steps, problem.target)[1] + copy) * batch


def _tiled_cycles(problem: Problem) -> float:
    """Estimate the cycles of register tiles and of the panels that they need."""
    rows, columns, depth = (problem.extent(c) for c in (problem.rows, problem.columns, problem.summed))
    vectors = -(-columns // problem.lanes) * depth * problem.extent(problem.batch)
    product = vectors * max(rows / 2, 1.0) * 1.1
    if problem.b.strides[problem.columns[-1]] == 1:
        return product
    last = problem.merged(problem.summed, problem.a, problem.b)[-1]
    return product + vectors * (TRANSPOSE_CYCLES if problem.b.stride(last) == 1 else GATHER_CYCLES)
