"""A budget of memory: of all ways to recompute values, the cheapest whose program is within it."""

from __future__ import annotations

from graphc.errors import MemoryBudgetError
from graphc.ir.graph import Graph
from graphc.ir.rewrite import OnFire
from graphc.lower.program import lower
from graphc.options import Options
from graphc.passes.fuse import fuse
from graphc.passes.materialize import materialize
from graphc.passes.recompute import ways_to_recompute
from graphc.pipeline import Pass
from graphc.target import Target

TURNS = 2
"""How often the least found is looked at for ways to need less yet."""

UNDERESTIMATED = 0.6
"""The part of an estimate below which what a program needs was never found: ways far above the budget are not tried."""


def within_budget(options: Options, target: Target) -> Pass:
    """Return the pass that lets values be computed again until a program is within `options.memory_budget`, if there is
    one; it raises MemoryBudgetError where none is."""

    def recompute(graph: Graph, on_fire: OnFire | None = None) -> Graph:
        budget = options.memory_budget
        if budget is None or (needed := _arena(graph, options, target)) <= budget:
            return graph
        least, first = needed, needed
        for _ in range(TURNS):
            best = graph
            for way in ways_to_recompute(graph, target):
                if way.nbytes * UNDERESTIMATED > max(budget, least):
                    continue
                found = _arena(way.graph, options, target)
                if found < least:
                    least, best = found, way.graph
                    replaced = way.replaced
                if found <= budget:
                    break
            if best is graph:
                break
            graph = best
            if on_fire is not None:
                for old, new in replaced:
                    on_fire("compute_again", old, new)
            if least <= budget:
                return graph
        raise MemoryBudgetError(
            f"compile: memory_budget is {budget} bytes, but the intermediate values of {graph.name} need {least} bytes "
            f"({first} where nothing is computed again); give a larger budget, fewer rows at a time, or gx.checkpoint "
            "around what a loop keeps"
        )

    return recompute


def _arena(graph: Graph, options: Options, target: Target) -> int:
    """Return how many bytes a graph's program needs for intermediate values."""
    prepared = materialize(graph)
    return lower(prepared, fuse(prepared, target), target, options.threads).program.arena_bytes
