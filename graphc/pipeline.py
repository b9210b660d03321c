"""The passes over a graph, in order, applied until none changes anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from graphc.errors import ArgumentError
from graphc.ir.graph import Graph, Node
from graphc.ir.journal import Journal, PassRun, Replacement
from graphc.ir.rewrite import Rule
from graphc.ir.text import to_text
from graphc.ir.verify import verify
from graphc.options import Options, printed_passes
from graphc.passes.canonicalize import canonical_rules, canonicalize
from graphc.passes.contraction_order import contraction_order
from graphc.passes.cse import cse
from graphc.passes.empty import replace_empty
from graphc.passes.fold_constants import fold_constants
from graphc.passes.hoist import hoist
from graphc.passes.inline import inline
from graphc.passes.prune import prune
from graphc.passes.simplify import FAST, simplify
from graphc.passes.simplify import RULES as SIMPLE_RULES
from graphc.passes.stabilize import RULES as STABLE_RULES
from graphc.passes.stabilize import stabilize

Pass = Callable[..., Graph]
"""pass(graph, on_fire=None) -> graph"""

PIPELINE: tuple[Pass, ...] = (
    inline,  # first: nothing after it has to think of calls
    replace_empty,  # early: nothing after it has to think of arrays without elements
    canonicalize,  # one form for each thing, so that rules match and cse sees equals; drops stop_gradient
    cse,  # before folding, so that a constant is folded once
    fold_constants,  # before simplify, whose rules look for literal numbers
    stabilize,  # before simplify, which turns x - 1 into x + -1 and takes apart what was written
    simplify,  # leaves new constants and views behind, which the next round tidies
    contraction_order,  # after simplify, which leaves no transpose between contractions
    prune,  # after simplify: results of scans that nothing reads any more
    hoist,  # after prune, which leaves loops with what is needed; what it takes out the next round simplifies
)
"""Passes over the graph, in order; repeated until nothing changes."""

RULES: Mapping[str, Rule] = {rule.name: rule for rule in (*canonical_rules(), *STABLE_RULES, *SIMPLE_RULES, *FAST)}
"""What the rules promise, by their names."""

COVERED: Mapping[Pass, tuple[Pass, ...]] = {simplify: (canonicalize, cse)}
"""Passes that find nothing in what another one leaves: simplify applies the rules of canonicalize and interns."""

MAX_ROUNDS = 4
"""Turns of the pipeline; later ones find little."""


def optimize(graph: Graph, options: Options | None = None, journal: Journal | None = None) -> Graph:
    """Return the graph after all graph-to-graph passes; what they did and how long it took goes to the journal."""
    options, journal = options or Options(), journal or Journal()
    left: dict[Pass, Graph] = {}
    for turn in range(1, MAX_ROUNDS + 1):
        first = graph
        for apply_pass in PIPELINE:
            # What a pass has left, or found nothing in, it need not see again.
            if left.get(apply_pass) is not graph:
                graph = run_pass(apply_pass, graph, options, journal, turn)
                left.update(dict.fromkeys((apply_pass, *COVERED.get(apply_pass, ())), graph))
        if graph is first:
            break
    return graph


def run_pass(apply_pass: Pass, graph: Graph, options: Options, journal: Journal, turn: int = 1) -> Graph:
    """Return the graph after one pass, timed and written down in the journal, verified and printed if that is asked."""
    name, original = apply_pass.__name__, apply_pass
    if apply_pass is simplify:
        apply_pass = partial(simplify, fast_math=options.fast_math)
    found: list[Replacement] = []

    def on_fire(rule: str, before: Node, after: Node) -> None:
        found.append(Replacement(rule, before, after))

    start = time.perf_counter()
    with journal.timed(name):
        after = apply_pass(graph, on_fire if journal.detailed else None)
    if journal.detailed:
        seconds = time.perf_counter() - start
        journal.runs.append(PassRun(name, turn, seconds, graph, after, tuple(found), purpose(original)))
    if options.verify:
        verify(after, name)
    if after is not graph:
        print_if_asked(name, lambda: to_text(after))
    return after


def purpose(apply_pass: Pass) -> str:
    """Return the first sentence of the file that a pass stands in."""
    first = (sys.modules[apply_pass.__module__].__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return first.removeprefix(f"{apply_pass.__name__}: ").split(". ")[0].rstrip(".")


def print_if_asked(stage: str, text: Callable[[], str]) -> None:
    """Print what a stage made if GRAPHC_PRINT names it."""
    names = printed_passes()
    if not names:
        return
    known = {p.__name__ for p in PIPELINE} | {"release", "rematerialize", "recompute", "materialize", "fuse", "all"}
    if names - known:
        raise ArgumentError(f"GRAPHC_PRINT: no pass is called {sorted(names - known)[0]!r}; there are {sorted(known)}")
    if stage in names or "all" in names:
        sys.stderr.write(f"# after {stage}\n{text()}\n")
