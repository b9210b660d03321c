"""Contractions with their epilogue to loop nests: in which form each is computed."""

from __future__ import annotations

from graphc.ir.groups import Group
from graphc.lower.gemm.problem import Problem
from graphc.lower.gemm.singles import lower_singles
from graphc.lower.gemm.tiled import lower_tiled
from graphc.lower.work import Launch
from graphc.target import Target

MIN_ROWS_TO_COPY = 4


def lower_contraction(group: Group, name: str, target: Target) -> list[Launch]:
    """Return the kernels of a contraction group."""
    problem = Problem(group, name, target)
    tiled = bool(problem.out) and problem.out[-1] in problem.columns and bool(problem.summed)
    if tiled and problem.b.strides[problem.out[-1]] != 1 and problem.extent(problem.rows) < MIN_ROWS_TO_COPY:
        tiled = False
    return lower_tiled(problem) if tiled else lower_singles(problem)
