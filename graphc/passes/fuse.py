"""Partition a graph into groups, one kernel each.

Fusing is legal where it leaves the order of groups free of cycles and where the shapes allow one set of loops
(`legality`); it pays where a value need not travel through memory (`profit`). Nodes are visited users first. A node
joins the group of its users when all of them are in that one group: whatever leaves the node then passes through the
group, so no cycle can arise. A node that others need too may join one of its users' groups if no other user leads
there.

In a second round whole groups merge along the values that flow between them, again where no other way leads from one to
the other: reductions over the same rows and all that is computed from them become one kernel (softmax, layer norm,
cross-entropy with its derivative), a contraction gets an epilogue whose parts others need as well.

In a third round groups merge that do not need each other but read the same data in the same loops: mean and maximum of
one array.

Views are not computed: who reads a view reads its source at other indices. Inside a group that is possible where the
view only repeats, permutes or drops axes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from graphc.errors import InternalError
from graphc.ir.graph import Convolution, Elementwise, Graph, Node, Opaque, Random, Reduction, Region, Scatter, Tiled
from graphc.ir.groups import Axes, Decision, Group, GroupKind
from graphc.ir.index import source_of
from graphc.passes.fusion.costs import is_cheap
from graphc.passes.fusion.legality import (
    Draft,
    current,
    is_met,
    reaches,
    read_along,
    reads_target,
    start,
    union,
)
from graphc.passes.fusion.partition import AGAIN, CYCLE, ELSEWHERE, FULL, NEEDS_MEMORY, ROWS, Partition
from graphc.passes.fusion.profit import MAX_NODES, Verdict, amount, can_pay, profit
from graphc.passes.fusion.recompute import recompute
from graphc.target import Target, host

MERGE_TRIES = 8
"""Groups that a group tries to merge with, in each direction."""

SIBLING_TRIES = 2
"""Later readers of the same data that a group tries to merge with."""


def fuse(
    graph: Graph, target: Target | None = None, on_decision: Callable[[Decision], None] | None = None
) -> tuple[Group, ...]:
    """Return the groups of a graph of static shapes, in an order in which they can run.

    `on_decision` is told of every value that one computation makes and another reads, and of data that two read,
    whether one kernel does both and why. `target` is the machine to run on; by default this one.
    """
    return _Fusion(graph, target or host(), on_decision).run()


class _Fusion(Partition):
    def run(self) -> tuple[Group, ...]:
        self.epilogues = self._epilogues()
        for node in reversed(self.computed):
            users = {self.group_of[reader] for reader, _ in self.readers[node]}
            joined = self._join(node, users)
            if joined is None:
                joined = self.group_of[node] = start(node, self.rank[node])
            joined.users |= users - {joined}
            self.spans.add(joined)
        for draft in sorted(set(self.group_of.values()), key=lambda d: d.latest):
            self._merge_into_users(current(draft))
        self._merge_siblings()
        recompute(self, self._drafts())
        drafts = self._drafts()
        if sum(len(d.nodes) for d in drafts) != len(self.computed) + self.copies:
            raise InternalError("fuse: a node is in two groups")
        existing = set(drafts)
        for draft in drafts:
            draft.users = ({current(u) for u in draft.users} & existing) - {draft}
        self.tell()
        return tuple(self._finish(d) for d in _sorted(drafts))

    def _epilogues(self) -> set[Node]:
        """Return what is computed from the result of a contraction, element by element, before anything else reads it.

        Once for each element as an epilogue is less than in each sweep of a reduction that follows.
        """
        found: set[Node] = set()
        for node in self.computed:
            if not isinstance(node.op, Elementwise):
                continue
            for source in map(source_of, node.inputs):
                leads_here = isinstance(source.op, Tiled) or source in found
                if leads_here and source not in self.results and len(self.readers[source]) == 1:
                    found.add(node)
        return found

    def _drafts(self) -> list[Draft]:
        return list(dict.fromkeys(self.group_of[n] for n in self.computed))

    # Joining.

    def _join(self, node: Node, users: set[Draft]) -> Draft | None:
        """Add a node to the group of its users if that is legal and pays."""
        if isinstance(node.op, Opaque | Region | Scatter):
            self.because(self.edges(node), f"{node.op.name} has loops of its own")
            return None
        candidates = {self.group_of[r] for r, o in self.readers[node] if is_met(o, r)}
        if len(candidates) != 1:
            self.because(self.edges(node), "several kernels read it" if candidates else NEEDS_MEMORY)
            return None
        draft = candidates.pop()
        if any(self.group_of[r] is draft and not is_met(o, r) for r, o in self.readers[node]):
            self.because(self.edges(node), NEEDS_MEMORY)
            return None
        if len(draft.nodes) >= MAX_NODES:
            self.because(self.edges(node), FULL)
            return None
        if self.has_twins(draft.nodes, [node]):
            self.because(self.edges(node), AGAIN)
            return None
        is_stored = node in self.results or len(users) > 1
        if is_stored and reaches(users - {draft}, draft, self.spans):
            self.because(self.edges(node), CYCLE)
            return None
        placement = self._placement(node, draft)
        if placement is None:
            self.because(self.edges(node), ELSEWHERE)
            return None
        if isinstance(node.op, Tiled):
            return self._join_contraction(node, draft, placement)
        if isinstance(node.op, Reduction):
            return self._join_reduction(node, draft, placement, is_stored)
        return self._join_elementwise(node, draft, placement, is_stored)

    def _placement(self, node: Node, draft: Draft) -> Axes | None:
        """Return the axes on which all readers in the group meet the node's value; None if they differ."""
        found: Axes | None = None
        for reader, operand in self.readers[node]:
            if self.group_of[reader] is not draft:
                continue
            axes = read_along(reader, operand, draft)
            if axes is None or (found is not None and axes != found):
                return None
            found = axes
        return found

    def _join_elementwise(self, node: Node, draft: Draft, placement: Axes, is_stored: bool) -> Draft | None:
        if draft.hero is not None and isinstance(draft.hero.op, Scatter) and reads_target(node, draft.hero):
            self.because(self.edges(node), "it reads what the scatter writes")
            return None
        present = {a for a in placement if a is not None}
        if present != set(range(len(draft.extents))) and present != draft.kept:
            if is_stored:
                self.because(self.edges(node), "it is smaller than the reader's loops and needed elsewhere too")
                return None
            return self._join_smaller(node, draft, placement)
        if draft.reduced and (is_stored or node in self.epilogues):
            return None  # it may yet be the epilogue of a contraction; if not, the groups merge later
        return self._add(node, draft, placement, "same loops: {} need not travel")

    def _join_smaller(self, node: Node, draft: Draft, placement: Axes) -> Draft | None:
        """Let a value be computed again in each iteration of larger loops where that is cheaper than memory."""
        alone = start(node, self.rank[node])
        before = [self.loops(alone), self.loops(draft)]
        draft.nodes.append(node)
        draft.axes[node] = placement
        is_stored = self.stored_outside(draft)
        after = self.estimate.loops_of(draft, self.ordered(draft), lambda n: n is not node and is_stored(n))
        verdict = profit(before, [after], self.target)
        draft.nodes.pop()
        del draft.axes[node]
        if not verdict.pays:
            self.because(self.edges(node), verdict.reason)
            return None
        return self._add(node, draft, placement, verdict.reason)

    def _join_reduction(self, node: Node, draft: Draft, placement: Axes, is_stored: bool) -> Draft | None:
        if draft.hero is not None:
            self.because(self.edges(node), ROWS)
            return None
        folded = node.attrs["axis"]
        shape = node.inputs[0].shape
        sizes = [shape[k] for k in folded if shape[k] != 1]
        free = [a for a in range(len(draft.extents)) if a not in placement]
        if draft.reduced:
            free = sorted(draft.reduced)
        if len(free) == len(sizes) and all(draft.extents[a] == s for a, s in zip(free, sizes, strict=True)):
            new = list(free)
        elif not free and not draft.reduced:
            new = list(range(len(draft.extents), len(draft.extents) + len(sizes)))
        else:
            self.because(self.edges(node), ROWS)
            return None
        kept = {a for a in placement if a is not None}
        if kept & set(new) or kept | set(new) != set(range(len(draft.extents))) | set(new):
            self.because(self.edges(node), ROWS)
            return None
        along = iter(new)
        outer = iter(placement)
        domain = tuple(
            [(next(along) if shape[k] != 1 else None) if k in folded else next(outer) for k in range(len(shape))]
        )
        if not kept and not self._may_fold_in_one(node, draft, sizes, new, domain):
            return None
        _fold(draft, node, sizes, new, domain)
        return self._add(node, draft, placement, "same rows: {} need not travel")

    def _may_fold_in_one(self, node: Node, draft: Draft, sizes: list[int], new: list[int], domain: Axes) -> bool:
        """Judge a fold of everything to one number that the same kernel goes on with: it cannot be divided."""
        before = [self.loops(start(node, self.rank[node])), self.loops(draft)]
        tried = Draft(draft.latest, draft.earliest, [*draft.nodes, node], list(draft.extents), dict(draft.axes))
        tried.domain, tried.reduced = dict(draft.domain), draft.reduced
        tried.axes[node] = ()
        _fold(tried, node, sizes, new, domain)
        is_stored = self.stored_outside(draft)
        after = self.estimate.loops_of(tried, self.ordered(tried), lambda n: n is not node and is_stored(n))
        verdict = profit(before, [after], self.target)
        if not verdict.pays:
            self.because(self.edges(node), verdict.reason)
        return verdict.pays

    def _join_contraction(self, node: Node, draft: Draft, placement: Axes) -> Draft | None:
        """Let a pointwise group over exactly the result of a contraction become its epilogue."""
        own = tuple(a for a in placement if a is not None)
        if draft.hero is not None:
            self.because(self.edges(node), "the reader is the epilogue of another matrix product")
            return None
        if draft.reduced or own != tuple(range(len(draft.extents))):
            self.because(self.edges(node), "the product is made tile by tile, its reader needs other loops")
            return None
        draft.hero = node
        return self._add(node, draft, placement, "epilogue: {} are used while they are in registers")

    def _add(self, node: Node, draft: Draft, placement: Axes, reason: str) -> Draft:
        draft.axes[node] = placement
        draft.nodes.append(node)
        draft.earliest = self.rank[node]
        self.because(self.edges(node, draft), reason.format(amount(node.tensor_type.nbytes)), fused=True)
        self.group_of[node] = draft
        return draft

    # Merging.

    def _merge_into_users(self, draft: Draft) -> None:
        """Merge a group with those that read it, nearest first, as long as one will have it."""
        refused: set[Draft] = set()
        while len(refused) < MERGE_TRIES:
            users = {current(u) for u in draft.users} - {draft}
            untried = sorted(users - refused, key=lambda d: d.latest)
            if not untried:
                return
            merged = self._merge(draft, untried[0], users)
            if merged is None:
                refused.add(untried[0])
            else:
                draft = merged

    def _merge(self, draft: Draft, user: Draft, users: set[Draft]) -> Draft | None:
        """Return one group of both if that is legal and pays."""
        edges = self._between(draft, user)
        merged = self._merged(draft, user, users)
        if isinstance(merged, str):
            self.because(edges, merged)
            return None
        verdict = self._verdict(draft, user, merged)
        self.because(edges, verdict.reason, fused=verdict.pays)
        return self._replace(draft, user, merged) if verdict.pays else None

    def _between(self, draft: Draft, user: Draft) -> list[tuple[Node, Node]]:
        return [e for n in draft.nodes for e in self.edges(n, user)]

    def _merged(self, draft: Draft, user: Draft, users: set[Draft]) -> Draft | str:
        """Return both groups as one, or why they cannot be."""
        if any(d.hero is not None and not isinstance(d.hero.op, Tiled) for d in (draft, user)):
            return NEEDS_MEMORY
        if draft.hero is not None and user.hero is not None:
            return "two matrix products do not share loops"
        if len(draft.nodes) + len(user.nodes) > MAX_NODES:
            return FULL
        if self.has_twins(draft.nodes, user.nodes):
            return AGAIN
        match = self._match(draft, user)
        if isinstance(match, str):
            return match
        if reaches(users - {user}, user, self.spans):
            return CYCLE
        return self._united(draft, user, match)

    def _united(self, draft: Draft, user: Draft, match: dict[int, int]) -> Draft | str:
        base, other = (user, draft) if len(user.extents) >= len(draft.extents) else (draft, user)
        if draft.hero is not None:
            base, other = draft, user
        if other is user:
            match = {b: a for a, b in match.items()}
        merged = union(base, other, match)
        if merged is None:
            return ROWS
        return self._misfit(merged, {draft, user}) or merged

    def _verdict(self, a: Draft, b: Draft, merged: Draft, *, siblings: bool = False) -> Verdict:
        after = self.estimate.loops_of(merged, self.ordered(merged), self.stored_outside(a, b))
        verdict = profit([self.cost(a), self.cost(b)], [after], self.target, siblings=siblings)
        if verdict.pays:
            self.costs[merged] = after
        return verdict

    def _replace(self, a: Draft, b: Draft, merged: Draft) -> Draft:
        for node in merged.nodes:
            self.group_of[node] = merged
        a.merged_into = b.merged_into = merged
        self.spans.add(merged)
        return merged

    def _match(self, draft: Draft, user: Draft) -> dict[int, int] | str:
        """Return which axes of two groups are the same loops: those along which values pass, and equal leftovers."""
        match: dict[int, int] = {}
        for node in draft.nodes:
            for reader, operand in self.readers[node]:
                if self.group_of[reader] is not user:
                    continue
                if not is_met(operand, reader):
                    return NEEDS_MEMORY
                there = read_along(reader, operand, user)
                if there is None or node not in draft.axes:
                    return ELSEWHERE
                if not _agree(match, draft.axes[node], there):
                    return ELSEWHERE
        return _completed(match, draft, user)

    def _misfit(self, merged: Draft, members: set[Draft]) -> str | None:
        """Return why a group has no loop nest: each value must be a whole array or one number for each row."""
        everything = set(range(len(merged.extents)))
        for node in merged.nodes:
            present = {a for a in merged.axes[node] if a is not None}
            stored = self.is_stored(node, *members)
            if node in merged.domain:
                if present != merged.kept:
                    return ROWS
            elif present not in (everything, merged.kept) and (stored or not is_cheap(node)):
                return "it is computed in smaller loops than those of the reader"
        if merged.hero is not None and (merged.reduced or merged.axes[merged.hero] != _own(merged)):
            return "the product is made tile by tile, its reader needs other loops"
        return None

    # Siblings.

    def _merge_siblings(self) -> None:
        """Merge groups that read the same large data in the same loops."""
        shared: dict[Node, dict[Draft, tuple[Node, Axes]]] = {}
        for draft in self._drafts():
            if draft.hero is not None:
                continue
            for node in draft.nodes:
                for operand in node.inputs:
                    source = source_of(operand)
                    if not source.ndim or self.group_of.get(source) is draft:
                        continue
                    axes = read_along(node, operand, draft)
                    if axes is not None:
                        shared.setdefault(source, {}).setdefault(draft, (node, axes))
        for source in sorted(shared, key=lambda n: -n.tensor_type.nbytes):
            if len(shared[source]) > 1:
                self._merge_readers(source, list(shared[source]))

    def _merge_readers(self, source: Node, drafts: list[Draft]) -> None:
        for k, draft in enumerate(drafts):
            for other in drafts[k + 1 : k + 1 + SIBLING_TRIES]:
                a, b = current(draft), current(other)
                if a is not b:
                    self._merge_pair(source, a, b)

    def _merge_pair(self, source: Node, a: Draft, b: Draft) -> None:
        if len(a.nodes) + len(b.nodes) > MAX_NODES:
            return
        if not can_pay(source, self.cost(a), self.cost(b), self.target):
            return
        readers = [self._reader(source, d) for d in (a, b)]
        if readers[0] is None or readers[1] is None:
            return
        (one, here), (two, there) = readers[0], readers[1]
        match: dict[int, int] = {}
        completed = _completed(match, a, b) if _agree(match, here, there) else ELSEWHERE
        if isinstance(completed, str) or reaches([a], b, self.spans) or reaches([b], a, self.spans):
            return
        merged = self._united(a, b, completed)
        if isinstance(merged, str):
            return
        verdict = self._verdict(a, b, merged, siblings=True)
        if verdict.pays:
            self._replace(a, b, merged)
        self.siblings.append(Decision(one, two, verdict.pays, verdict.reason))

    def _reader(self, source: Node, draft: Draft) -> tuple[Node, Axes] | None:
        """Return a node of a group that reads an array, and the axes along which it does."""
        for node in draft.nodes:
            for operand in node.inputs:
                axes = read_along(node, operand, draft) if source_of(operand) is source else None
                if axes is not None:
                    return node, axes
        return None

    # Groups.

    def _finish(self, draft: Draft) -> Group:
        nodes = tuple(self.ordered(draft))
        own = [n for n in nodes if self.group_of[n] is draft]
        outputs = tuple(n for n in own if (n is draft.hero and not draft.axes) or self.is_stored(n, draft))
        hero = draft.hero
        bodies = {} if hero is None else hero.bodies
        inner = {name: fuse(body, self.target, self.on_decision) for name, body in bodies.items()}
        return Group(
            _kind(draft), nodes, outputs, hero, tuple(draft.extents), draft.axes, draft.domain, draft.reduced, inner
        )


def _fold(draft: Draft, node: Node, sizes: list[int], new: list[int], domain: Axes) -> None:
    """Note which axes of a group a reduction folds; ones that are new have the given sizes."""
    if new and new[-1] >= len(draft.extents):
        draft.extents.extend(sizes)
    draft.reduced = frozenset(new)
    draft.domain[node] = domain


def _own(draft: Draft) -> Axes:
    """Return the axes of a contraction's result as its own loops have them."""
    assert draft.hero is not None
    count = iter(range(len(draft.extents)))
    return tuple(None if s == 1 else next(count) for s in draft.hero.shape)


def _agree(match: dict[int, int], here: Axes, there: Axes) -> bool:
    """Note that the axes of two groups are the same loops; tell whether that contradicts what was known."""
    for a, b in zip(here, there, strict=True):
        if a is None or b is None:
            if a is not b:
                return False
        elif match.setdefault(a, b) != b:
            return False
    return True


def _completed(match: dict[int, int], draft: Draft, user: Draft) -> dict[int, int] | str:
    """Pair the loops of two groups that nothing connects, where they are alike."""
    if len(set(match.values())) != len(match):
        return ELSEWHERE
    left = [a for a in range(len(draft.extents)) if a not in match]
    right = [b for b in range(len(user.extents)) if b not in match.values()]
    if left and right:
        if [draft.extents[a] for a in left] != [user.extents[b] for b in right]:
            return ROWS
        match.update(zip(left, right, strict=True))
    return match


def _kind(draft: Draft) -> GroupKind:
    if draft.hero is not None:
        if isinstance(draft.hero.op, Random):
            return GroupKind.RANDOM
        if isinstance(draft.hero.op, Tiled):
            return GroupKind.CONVOLUTION if isinstance(draft.hero.op, Convolution) else GroupKind.CONTRACTION
        if isinstance(draft.hero.op, Scatter):
            return GroupKind.SCATTER
        return GroupKind.REGION if isinstance(draft.hero.op, Region) else GroupKind.OPAQUE
    return GroupKind.REDUCTION if draft.domain else GroupKind.POINTWISE


def _sorted(drafts: Sequence[Draft]) -> list[Draft]:
    """Return groups in an order in which each runs after those it reads, as near to the program's as can be."""
    waiting = dict.fromkeys(drafts, 0)
    for draft in drafts:
        for user in draft.users:
            waiting[user] += 1
    ready = [(d.latest, d.earliest, k) for k, d in enumerate(drafts) if not waiting[d]]
    number = {d: k for k, d in enumerate(drafts)}
    heapq.heapify(ready)
    order: list[Draft] = []
    while ready:
        draft = drafts[heapq.heappop(ready)[2]]
        order.append(draft)
        for user in draft.users:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (user.latest, user.earliest, number[user]))
    if len(order) != len(drafts):
        raise InternalError("fuse: the groups depend on each other in a cycle")
    return order
