"""rematerialize: where most memory is in use, cheap values are not kept for later but computed again when they are due.

    z = x @ w; h = z * s; ...; dw = h.T @ g; dz = g * z     h need not wait: z and s do anyway

A value is computed again by at most MAX_OPS operations that cost about as much as a load, of arrays that are in use at
that moment in any case: inputs, variables that keep their values, what other late readers wait for. So the most that is
in use shrinks by the value's bytes, and time grows by a few operations on what must be read anyway.

The moment is where the arrays alive take most bytes, each from where it is computed to its last reader in the order of
the graph; cheap values count from just before their first reader. Fused values count too, but they live so shortly that
the moment is the same. This pass comes after the last cse, which would undo it. Where a budget of memory is stated,
`recompute` follows, with dearer values.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from graphc.ir.graph import Elementwise, Graph, Node, constant, placeholder, variable
from graphc.ir.index import is_alias, source_of
from graphc.ir.loops import CHEAP
from graphc.ir.rewrite import OnFire
from graphc.ir.types import TensorType

MAX_OPS = 4
"""Operations by which a value may be computed again."""

MIN_BYTES = 4096
"""Arrays below this size are kept."""

MIN_PEAK = 32 << 20
"""Programs that never use more bytes than this stay in the last-level cache: there memory is worth no time."""

MIN_GAIN = 0.02
"""Part of the peak that a turn must save."""

TURNS = 8
"""How often the peak is sought."""


def rematerialize(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with cheap values computed again after the peak of memory; itself where that saves little."""
    if not all(t.is_static for n in graph.nodes for t in _types(n)):
        return graph
    for _ in range(TURNS):
        usage = _Usage(graph)
        if usage.most < MIN_PEAK:
            return graph
        found, replaced = usage.without_cheap_values()
        if not replaced or _Usage(found).most > (1 - MIN_GAIN) * usage.most:
            return graph
        graph = found
        if on_fire is not None:
            for old, new in replaced:
                on_fire("compute_again", old, new)
    return graph


class _Usage:
    """Which arrays are in use when, in the order of a graph's nodes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = _order(graph)
        self.time = {n: k for k, n in enumerate(self.order)}
        self.last = dict(self.time)
        for node in self.order:
            if not is_alias(node):
                for source in map(source_of, node.inputs):
                    self.last[source] = self.time[node]
        # Results have memory of their own.
        self.results = set(map(source_of, graph.results))
        self.last.update(dict.fromkeys(self.results, len(graph.nodes)))
        changes = [0] * (len(graph.nodes) + 2)
        for node in self.order:
            if not is_alias(node) and not node.is_leaf and node not in self.results:
                changes[self.time[node]] += _nbytes(node)
                changes[self.last[node] + 1] -= _nbytes(node)
        in_use = list(accumulate(changes))
        self.most = max(in_use)
        self.peak = in_use.index(self.most)
        self.replaced = {v for v, _ in graph.updates}

    def is_kept(self, node: Node) -> bool:
        """Whether an array is in use at the peak in any case."""
        if node.op is placeholder or node.op is constant or (node.op is variable and node not in self.replaced):
            return True
        return not node.is_leaf and self.time[node] <= self.peak < self.last[node]

    def without_cheap_values(self) -> tuple[Graph, Sequence[tuple[Node, Node]]]:
        """Return the graph in which what follows the peak computes cheap values again, and these values."""
        again: dict[Node, int] = {}
        for node in self.order[: self.peak + 1]:
            worth = _is_cheap(node) and self.last[node] > self.peak and _nbytes(node) >= MIN_BYTES
            if worth and node not in self.results and (count := self.operations(node, again)) <= MAX_OPS:
                again[node] = count
        new: dict[Node, Node] = {}
        pairs: list[tuple[Node, Node]] = []

        def late(root: Node) -> Node:
            """Return a value for readers after the peak."""
            stack = [root]
            while stack:
                node = stack[-1]
                waiting = [i for i in node.inputs if i not in new] if self.changes(node, again) else []
                stack.extend(waiting)
                if waiting:
                    continue
                stack.pop()
                if node in new:
                    continue
                new[node] = node
                if self.changes(node, again):
                    inputs = tuple([new[i] for i in node.inputs])
                    new[node] = Node(node.op, inputs, node.attrs, node.type, node.location)
                    if node in again:
                        pairs.append((node, new[node]))
            return new[root]

        for node in self.order[self.peak + 1 :]:
            if not is_alias(node):
                inputs = tuple([late(i) for i in node.inputs])
                new[node] = node.with_inputs(inputs)
        found = self.graph.replace_results([late(r) for r in self.graph.results])
        return found, pairs

    def changes(self, node: Node, again: dict[Node, int]) -> bool:
        """Whether late readers get another node: a value computed again, or a view of one or of something late."""
        return node in again or (
            is_alias(node) and (source_of(node) in again or self.time[source_of(node)] > self.peak)
        )

    def operations(self, node: Node, again: dict[Node, int]) -> int:
        """Return by how many operations a value can be computed from what is kept; more than MAX_OPS if it cannot."""
        total = 1
        for source in dict.fromkeys(map(source_of, node.inputs)):
            if source in again:
                total += again[source]
            elif not self.is_kept(source) and not _is_free(source):
                return MAX_OPS + 1
        return total


def _order(graph: Graph) -> list[Node]:
    """Return the nodes of a graph in their order, but cheap ones, and views, just before they are read first."""
    place = {n: k for k, n in enumerate(graph.nodes)}
    rank = dict(place)
    for node in reversed(graph.nodes):
        readers = graph.users[node]
        if readers and (_is_cheap(node) or is_alias(node)):
            rank[node] = min([rank[r] for r in readers])
    return sorted(graph.nodes, key=lambda n: (rank[n], place[n]))


def _is_cheap(node: Node) -> bool:
    return isinstance(node.op, Elementwise) and node.op.scalar in CHEAP and bool(node.inputs)


def _is_free(node: Node) -> bool:
    """Whether a leaf takes no memory: positions along an axis."""
    return node.is_leaf and isinstance(node.op, Elementwise)


def _nbytes(node: Node) -> int:
    return sum([t.nbytes for t in _types(node)])


def _types(node: Node) -> Sequence[TensorType]:
    return [node.type] if isinstance(node.type, TensorType) else node.type.items
