"""The state of a partition under construction: which group each node is in, who reads it, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from graphc.ir.graph import Graph, Node, item
from graphc.ir.groups import Decision
from graphc.ir.index import is_alias, source_of
from graphc.ir.intern import Interner
from graphc.ops.elementwise import copy
from graphc.passes.fusion.costs import Costs, Loops
from graphc.passes.fusion.legality import Draft, Spans, is_met, producer_of
from graphc.passes.fusion.profit import MAX_NODES
from graphc.target import Target

FULL = f"the kernel is full: {MAX_NODES} operations"
NEEDS_MEMORY = "its reader needs the whole array in memory"
ELSEWHERE = "it is read at other positions than those at which it is computed"
ROWS = "the reader's loops run over other rows"
TOGETHER = "same loops as others that both share a kernel with"
APART = "each was of more use in a kernel with others"
AGAIN = "it is computed again later, so that it need not be kept until then"
CYCLE = "other values that the reader waits for are computed from this one in between"


class Partition:
    """Groups in the making of all computed nodes.

    group_of      the group that computes a node; one that is computed again elsewhere is in other groups' `axes` too
    readers       readers of a value, through views and items: (the reader, the operand it reads the value through)
    twins         nodes that compute what another does too; no kernel should hold both
    copy_readers  groups that read a value because they compute others again
    """

    def __init__(self, graph: Graph, target: Target, on_decision: Callable[[Decision], None] | None) -> None:
        self.graph = graph
        self.target = target
        self.on_decision = on_decision
        self.results = {source_of(r) for r in graph.results}
        self.computed = [n for n in graph.nodes if not n.is_leaf and not is_alias(n) and n.op is not item]
        self.rank = {n: k for k, n in enumerate(self.computed)}
        self.readers: dict[Node, list[tuple[Node, Node]]] = {n: [] for n in self.computed}
        for node in self.computed:
            for operand in node.inputs:
                source = producer_of(operand)
                if source in self.readers:
                    self.readers[source].append((node, operand))
        self.group_of: dict[Node, Draft] = {}
        self.twins = _twins(graph)
        self.spans = Spans(len(self.computed))
        self.reasons: dict[tuple[Node, Node], tuple[bool, str]] = {}
        self.siblings: list[Decision] = []
        self.copies = 0
        self.copy_readers: dict[Node, set[Draft]] = {}
        self.estimate = Costs(target)
        self.costs: dict[Draft, Loops] = {}

    def has_twins(self, a: Sequence[Node], b: Sequence[Node]) -> bool:
        """Whether some node of one group computes what a node of another group does."""
        twins = self.twins
        if not twins:
            return False
        known = {twins[n] for n in a if n in twins}
        return any(twins.get(n) in known for n in b)

    def because(self, edges: Iterable[tuple[Node, Node]], reason: str, *, fused: bool = False) -> None:
        """Remember why values stay in a kernel or leave it; what is said last counts, if it comes true."""
        if self.on_decision is not None:
            for edge in edges:
                self.reasons[edge] = fused, reason

    def edges(self, node: Node, draft: Draft | None = None) -> list[tuple[Node, Node]]:
        """Return (node, reader) for the readers in a group, or for all."""
        if self.on_decision is None:
            return []
        return [(node, r) for r, _ in self.readers[node] if draft is None or self.group_of[r] is draft]

    def tell(self) -> None:
        if self.on_decision is None:
            return
        for node in self.computed:
            for reader in dict.fromkeys(r for r, _ in self.readers[node]):
                group = self.group_of[reader]
                fused = self.group_of[node] is group or node in group.axes
                self.on_decision(Decision(node, reader, fused, self._reason(node, reader, fused)))
        for decision in self.siblings:
            self.on_decision(decision)

    def _reason(self, node: Node, reader: Node, fused: bool) -> str:
        if not all(is_met(o, r) for r, o in self.readers[node] if r is reader):
            return NEEDS_MEMORY
        decided, reason = self.reasons.get((node, reader), (not fused, ""))
        return reason if decided == fused else TOGETHER if fused else APART

    def loops(self, draft: Draft) -> Loops:
        return self.estimate.loops_of(draft, self.ordered(draft), self.stored_outside(draft))

    def cost(self, draft: Draft) -> Loops:
        """Return what a group costs that no node joins any more."""
        found = self.costs.get(draft)
        if found is None:
            found = self.costs[draft] = self.loops(draft)
        return found

    def ordered(self, draft: Draft) -> list[Node]:
        return sorted(draft.nodes, key=self.rank.__getitem__)

    def stored_outside(self, *members: Draft) -> Callable[[Node], bool]:
        return lambda node: self.is_stored(node, *members)

    def is_stored(self, node: Node, *members: Draft) -> bool:
        """Whether a value of a group, or of several that become one, is needed where it is not computed."""
        if node in self.results:
            return True
        for reader, _ in self.readers[node]:
            group = self.group_of[reader]
            if group not in members and node not in group.axes:
                return True
        return any(d not in members and node not in d.axes for d in self.copy_readers.get(node, ()))


def _twins(graph: Graph) -> dict[Node, Node]:
    """Return, for each node of several that compute the same, the first of them. Copies are meant to be several."""
    table = Interner()
    first: dict[Node, Node] = {}
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        made[node] = table.intern(node.with_inputs(tuple([made[i] for i in node.inputs])))
        first.setdefault(made[node], node)
    again = [(n, first[m]) for n, m in made.items() if first[m] is not n and n.op is not copy]
    return {**dict(again), **{original: original for _, original in again}}
