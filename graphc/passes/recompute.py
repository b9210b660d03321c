"""recompute: ways to need less memory, each with what it costs: values are not kept over the peak but computed again.

Training walks the layers twice. What the way back reads of the way there is in use in between, most of it at the turn.
Of that, a way keeps what is in use at some moments, the cuts, and drops what lies between them; on the way back, the
values between two cuts are computed again, from the first of them, when they are due (Chen et al., Training Deep Nets
with Sublinear Memory Cost, 2016). Cuts are where little is in use. The more there are, the more is kept, and the less
is computed at a time.

Ways differ in how far cuts are apart and in how dear operations may be that run again: only those that cost as much as
a load, all that works element by element, or everything but loops. Whoever chooses among them lowers the graph and
looks: what is fused needs no memory, and the order of work is found there. Loops and what they record stay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from graphc.ir.graph import (
    Elementwise,
    Gather,
    Graph,
    Node,
    Reduction,
    Region,
    View,
    constant,
    item,
    placeholder,
    variable,
)
from graphc.ir.index import is_alias, source_of
from graphc.ir.loops import CHEAP
from graphc.ir.types import TensorType
from graphc.passes.fusion.costs import cycles_of
from graphc.target import Target

FEWEST, MOST = 1, 64
"""Cuts: from none to as many, each time half as far apart."""


@dataclass(frozen=True, eq=False)
class Way:
    """A graph that computes values again: the most bytes in use by an estimate, and the cycles that it costs more."""

    graph: Graph
    nbytes: int
    cycles: float
    replaced: Sequence[tuple[Node, Node]]


def _is_cheap(node: Node) -> bool:
    return isinstance(node.op, Elementwise) and node.op.scalar in CHEAP


def _is_pointwise(node: Node) -> bool:
    return isinstance(node.op, Elementwise | View | Gather | Reduction)


def _is_no_loop(node: Node) -> bool:
    return not isinstance(node.op, Region) and node.op is not item


LEVELS: tuple[Callable[[Node], bool], ...] = (_is_cheap, _is_pointwise, _is_no_loop)
"""What may run again."""


def ways_to_recompute(graph: Graph, target: Target) -> Iterator[Way]:
    """Yield graphs of the same results, all of known sizes, that need less memory; the cheapest come first."""
    usage = _Usage(graph)
    kept = [n for n in usage.order[: usage.peak + 1] if usage.last[n] > usage.peak and usage.is_counted(n)]
    total = sum(map(_nbytes, kept))
    found: dict[frozenset[Node], Way] = {}
    for may_run in LEVELS:
        cuts = FEWEST
        while cuts <= min(MOST, len(kept)):
            dropped = usage.dropped(kept, total / cuts, may_run)
            if dropped and frozenset(dropped) not in found:
                found[frozenset(dropped)] = usage.without(dropped, target)
            cuts *= 2
    yield from sorted(found.values(), key=lambda w: (w.cycles, w.nbytes))


class _Usage:
    """Which arrays are in use when, in an order that needs little."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = _order(graph)
        self.time = {n: k for k, n in enumerate(self.order)}
        self.last = dict(self.time)
        for node in self.order:
            for source in map(_array_of, node.inputs):
                self.last[source] = self.time[node]
        self.results = {_array_of(r) for r in graph.results}
        self.last.update(dict.fromkeys(self.results, len(self.order)))
        changes = [0] * (len(self.order) + 2)
        for node in filter(self.is_counted, self.order):
            changes[self.time[node]] += _nbytes(node)
            changes[self.last[node] + 1] -= _nbytes(node)
        in_use = list(accumulate(changes))
        self.most = max(in_use)
        self.peak = in_use.index(self.most)
        self.replaced = {v for v, _ in graph.updates}

    def is_counted(self, node: Node) -> bool:
        """Whether an array takes memory of the program's own."""
        return not node.is_leaf and node not in self.results

    def is_given(self, node: Node) -> bool:
        """Whether an array is there to the end in any case."""
        if node.op is placeholder or node.op is constant or (node.op is variable and node not in self.replaced):
            return True
        return (node.is_leaf and isinstance(node.op, Elementwise)) or node in self.results

    def cuts(self, kept: Sequence[Node], apart: float) -> list[int]:
        """Return moments before the peak, about so many kept bytes apart, at which least is in use that is read before
        the peak again: what comes after a moment is made of that."""
        readers = dict.fromkeys(self.order[: self.peak + 1], 0)
        for node in self.order[: self.peak + 1]:
            for source in map(_array_of, node.inputs):
                readers[source] = self.time[node]
        width = [0] * (self.peak + 2)
        for node in self.order[: self.peak + 1]:
            if self.is_counted(node) and readers[node] > self.time[node]:
                width[self.time[node]] += _nbytes(node)
                width[readers[node]] -= _nbytes(node)
        width = list(accumulate(width))
        times = [self.time[n] for n in kept]
        sums = list(accumulate([_nbytes(n) for n in kept]))
        found, before = list[int](), 0.0
        while sums and before + apart < sums[-1]:
            first, last = (bisect_right(sums, before + part * apart) for part in (0.5, 1.0))
            window = range(times[min(first, len(times) - 1)], times[min(last, len(times) - 1)] + 1)
            at = min(window, key=lambda t: (width[t], -t))
            passed = bisect_right(times, at)
            if found and at <= found[-1]:
                break
            found.append(at)
            before = float(sums[passed - 1]) if passed else before + apart
        return found

    def dropped(self, kept: Sequence[Node], apart: float, may_run: Callable[[Node], bool]) -> dict[Node, None]:
        """Return what runs again, in order: the values between cuts, and what these are made of besides."""
        inside = self.order[: self.peak + 1]
        before: dict[Node, int] = {}
        for node in inside:
            for source in map(_array_of, node.inputs):
                before[source] = self.time[node]
        cuts = self.cuts(kept, apart)
        stays = {n for n in kept for cut in cuts if self.time[n] <= cut < before.get(n, -1)}
        wanted = set(kept)
        again: dict[Node, None] = {}
        for node in inside:
            if node in stays or not self.is_counted(node) or not may_run(node):
                continue
            sources = map(_array_of, node.inputs)
            if all(s in again or self.is_given(s) or s in wanted for s in sources):
                again[node] = None
        return self._needed(again, wanted)

    def _needed(self, again: dict[Node, None], wanted: set[Node]) -> dict[Node, None]:
        """Return of what can run again that which is dropped, or from which something dropped is made."""
        needed: set[Node] = {n for n in again if n in wanted}
        for node in reversed(list(again)):
            if node in needed:
                needed.update(s for s in map(_array_of, node.inputs) if s in again)
        return {n: None for n in again if n in needed}

    def without(self, dropped: dict[Node, None], target: Target) -> Way:
        """Return the graph in which what follows the peak reads values computed again."""
        new: dict[Node, Node] = {}
        pairs: list[tuple[Node, Node]] = []

        def late(root: Node) -> Node:
            """Return a value for readers after the peak."""
            stack = [root]
            while stack:
                node = stack[-1]
                waiting = [] if node in new else [i for i in node.inputs if i not in new] if changes(node) else []
                stack.extend(waiting)
                if waiting:
                    continue
                stack.pop()
                if node in new:
                    continue
                inputs = tuple([new[i] for i in node.inputs]) if changes(node) else node.inputs
                if node in dropped:
                    new[node] = Node(node.op, inputs, node.attrs, node.type, node.location)
                    pairs.append((node, new[node]))
                else:
                    new[node] = node.with_inputs(inputs)
            return new[root]

        def changes(node: Node) -> bool:
            return node in dropped or (_is_name(node) and (_array_of(node) in dropped or _array_of(node) in after))

        after = set(self.order[self.peak + 1 :])
        for node in self.order[self.peak + 1 :]:
            new[node] = node.with_inputs(tuple([late(i) for i in node.inputs]))
        graph = self.graph.replace_results([late(r) if _array_of(r) in after else r for r in self.graph.results])
        cycles = sum([cycles_of(n, target) for _, n in pairs])
        return Way(graph, _Usage(graph).most, cycles, pairs)


def _order(graph: Graph) -> list[Node]:
    """Return the arrays of a graph in an order that needs little: depth first from the results that take the fewest
    steps, at each node the source first that needs most beyond its result (Sethi and Ullman, 1970)."""
    nodes = [n for n in graph.nodes if not _is_name(n)]
    need: dict[Node, int] = {}
    level: dict[Node, int] = {}
    sources: dict[Node, list[Node]] = {}
    for node in nodes:
        found = list(dict.fromkeys(map(_array_of, node.inputs)))
        level[node] = 1 + max([level[s] for s in found], default=0)
        sources[node] = sorted(found, key=lambda s: _nbytes(s) - need[s])
        held = most = 0
        for source in sources[node]:
            most = max(most, held + need[source])
            held += 0 if source.is_leaf else _nbytes(source)
        need[node] = max(most, held + _nbytes(node))
    done: dict[Node, None] = {}
    for root in sorted(dict.fromkeys(map(_array_of, graph.results)), key=level.__getitem__):
        stack = [(root, iter(sources[root]))]
        while stack:
            node, rest = stack[-1]
            following = next((s for s in rest if s not in done), None)
            if following is not None:
                stack.append((following, iter(sources[following])))
            else:
                done.setdefault(node)
                stack.pop()
    return list(done)


def _is_name(node: Node) -> bool:
    """Whether a node is another name for an array or for one of several."""
    return is_alias(node) or node.op is item


def _array_of(node: Node) -> Node:
    while _is_name(node):
        node = source_of(node) if is_alias(node) else node.inputs[0]
    return node


def _nbytes(node: Node) -> int:
    types = [node.type] if isinstance(node.type, TensorType) else node.type.items
    return sum([t.nbytes for t in types])


__all__ = ["Way", "ways_to_recompute"]
