"""Partition a graph into groups, one kernel each.

Fusing is legal where it leaves the order of groups free of cycles and where the shapes allow one set of loops; it pays
where a value need not travel through memory. Nodes are visited users first. A node joins the group of its users when
all of them are in that one group: whatever leaves the node then passes through the group, so no cycle can arise. A node
that others need too may join one of its users' groups if no other user leads there.

In a second round whole groups merge along the values that flow between them, again where no other way leads from one to
the other: reductions over the same rows and all that is computed from them become one kernel (softmax, layer norm,
cross-entropy with its derivative).

Views are not computed: who reads a view reads its source at other indices. Inside a group that is possible where the
view only repeats, permutes or drops axes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.errors import InternalError
from graphc.ir.graph import (
    Contraction,
    Elementwise,
    Gather,
    Graph,
    Node,
    Opaque,
    Reduction,
    Region,
    Scatter,
    View,
    item,
)
from graphc.ir.groups import Axes, Group, GroupKind
from graphc.ir.index import is_alias, is_virtual, operands_met, source_of
from graphc.ir.loops import CHEAP
from graphc.ops.shape import broadcast, inverse, reshape, transpose

RECOMPUTE_LIMIT = 4
"""A value smaller than the loops it would be computed in is recomputed if that takes at most this many operations."""

MERGE_TRIES = 8
"""Users that a group tries to merge with."""

MAX_NODES = 64
"""Most nodes of a group: a longer kernel gains little from fusing more, and the compiler loses much."""

SEQUENTIAL_SIZE = 1 << 14
"""Largest array that is folded to one number and then computed with in one kernel, which no threads can share."""

SEARCH_LIMIT = 256
"""Groups visited when asking whether fusing would close a cycle; beyond it the answer is taken to be yes."""


@dataclass(eq=False)
class _Draft:
    """A group in the making; `extents` of its axes grow as nodes with more axes join."""

    latest: int
    earliest: int
    nodes: list[Node] = field(default_factory=list)
    extents: list[int] = field(default_factory=list)
    axes: dict[Node, Axes] = field(default_factory=dict)
    domain: dict[Node, Axes] = field(default_factory=dict)
    reduced: frozenset[int] = frozenset()
    hero: Node | None = None
    users: set[_Draft] = field(default_factory=set)
    merged_into: _Draft | None = None

    @property
    def kept(self) -> frozenset[int]:
        return frozenset(range(len(self.extents))) - self.reduced


def fuse(graph: Graph) -> tuple[Group, ...]:
    """Return the groups of a graph of static shapes, in an order in which they can run."""
    return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.results = set(graph.results)
        self.computed = [n for n in graph.nodes if not n.is_leaf and not is_alias(n) and n.op is not item]
        self.rank = {n: k for k, n in enumerate(self.computed)}
        # Readers of a value, through views and items: (the reader, the operand it reads the value through).
        self.readers: dict[Node, list[tuple[Node, Node]]] = {n: [] for n in self.computed}
        for node in self.computed:
            for operand in node.inputs:
                source = _producer(operand)
                if source in self.readers:
                    self.readers[source].append((node, operand))
        self.group_of: dict[Node, _Draft] = {}

    def run(self) -> tuple[Group, ...]:
        for node in reversed(self.computed):
            users = {self.group_of[reader] for reader, _ in self.readers[node]}
            joined = self._join(node, users)
            if joined is None:
                joined = self._start(node)
            joined.users |= users - {joined}
        drafts = sorted(set(self.group_of.values()), key=lambda d: d.latest)
        for draft in drafts:
            self._merge_into_users(_current(draft))
        drafts = list(dict.fromkeys(self.group_of[n] for n in self.computed))
        if sum(len(d.nodes) for d in drafts) != len(self.computed):
            raise InternalError("fuse: a node is in two groups")
        for draft in drafts:
            draft.users = {_current(u) for u in draft.users} - {draft}
        return tuple(self._finish(d) for d in _sorted(drafts))

    # Joining.

    def _start(self, node: Node) -> _Draft:
        draft = _Draft(self.rank[node], self.rank[node], [node])
        if isinstance(node.op, Elementwise | View | Gather):
            draft.axes[node] = _own_axes(draft, node.shape)
        elif isinstance(node.op, Reduction):
            domain = _own_axes(draft, node.inputs[0].shape)
            folded = node.attrs["axis"]
            draft.reduced = frozenset(a for k, a in enumerate(domain) if k in folded and a is not None)
            draft.domain[node] = domain
            draft.axes[node] = tuple(a for k, a in enumerate(domain) if k not in folded)
        else:
            draft.hero = node
            if isinstance(node.op, Contraction):
                draft.axes[node] = _own_axes(draft, node.shape)
            if isinstance(node.op, Scatter):
                draft.axes[node] = _own_axes(draft, node.inputs[1].shape)  # the loops go over the updates
        self.group_of[node] = draft
        return draft

    def _join(self, node: Node, users: set[_Draft]) -> _Draft | None:
        """Add a node to the group of its users if that is legal and pays."""
        if isinstance(node.op, Opaque | Region | Scatter):
            return None
        candidates = {self.group_of[r] for r, o in self.readers[node] if _is_met(o, r)}
        if len(candidates) != 1:
            return None
        draft = candidates.pop()
        if any(self.group_of[r] is draft and not _is_met(o, r) for r, o in self.readers[node]):
            return None
        if len(draft.nodes) >= MAX_NODES:
            return None
        is_stored = node in self.results or len(users) > 1
        if is_stored and any(_reaches(other, draft) for other in users - {draft}):
            return None
        placement = self._placement(node, draft)
        if placement is None:
            return None
        if isinstance(node.op, Contraction):
            return self._join_contraction(node, draft, placement)
        if isinstance(node.op, Reduction):
            return self._join_reduction(node, draft, placement, is_stored)
        return self._join_elementwise(node, draft, placement, is_stored)

    def _placement(self, node: Node, draft: _Draft) -> Axes | None:
        """Return the axes on which all readers in the group meet the node's value; None if they differ."""
        found: Axes | None = None
        for reader, operand in self.readers[node]:
            if self.group_of[reader] is not draft:
                continue
            axes = _through_views(operand, _met_along(operand, reader, draft))
            if axes is None or (found is not None and axes != found):
                return None
            found = axes
        return found

    def _join_elementwise(self, node: Node, draft: _Draft, placement: Axes, is_stored: bool) -> _Draft | None:
        if draft.hero is not None and isinstance(draft.hero.op, Scatter) and _reads_target(node, draft.hero):
            return None
        present = {a for a in placement if a is not None}
        everywhere = present == set(range(len(draft.extents)))
        per_row = present == draft.kept
        if not everywhere and not per_row:
            prefix = present == set(range(len(present)))
            cheap = _cost(node) <= 1 and all(source_of(i).is_leaf for i in node.inputs)
            if is_stored or not (cheap or (prefix and not draft.reduced)):
                return None
        if is_stored and draft.reduced and _folds_outer_axes(draft):
            return None
        return self._add(node, draft, placement)

    def _join_reduction(self, node: Node, draft: _Draft, placement: Axes, is_stored: bool) -> _Draft | None:
        if draft.hero is not None:
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
            return None
        kept = {a for a in placement if a is not None}
        if kept & set(new) or kept | set(new) != set(range(len(draft.extents))) | set(new):
            return None
        if new and new[-1] >= len(draft.extents):
            draft.extents.extend(sizes)
        draft.reduced = frozenset(new)
        along = iter(new)
        outer = iter(placement)
        draft.domain[node] = tuple(
            (next(along) if shape[k] != 1 else None) if k in folded else next(outer) for k in range(len(shape))
        )
        return self._add(node, draft, placement)

    def _join_contraction(self, node: Node, draft: _Draft, placement: Axes) -> _Draft | None:
        """Let a pointwise group over exactly the result of a contraction become its epilogue."""
        own = tuple(a for a in placement if a is not None)
        if draft.hero is not None or draft.reduced or own != tuple(range(len(draft.extents))):
            return None
        draft.hero = node
        return self._add(node, draft, placement)

    def _add(self, node: Node, draft: _Draft, placement: Axes) -> _Draft:
        draft.axes[node] = placement
        draft.nodes.append(node)
        draft.earliest = self.rank[node]
        self.group_of[node] = draft
        return draft

    # Merging.

    def _merge_into_users(self, draft: _Draft) -> None:
        """Merge a group with those that read it, nearest first, as long as one will have it."""
        refused: set[_Draft] = set()
        while len(refused) < MERGE_TRIES:
            users = {_current(u) for u in draft.users} - {draft}
            untried = sorted(users - refused, key=lambda d: d.latest)
            if not untried:
                return
            merged = self._merge(draft, untried[0], users)
            if merged is None:
                refused.add(untried[0])
            else:
                draft = merged

    def _merge(self, draft: _Draft, user: _Draft, users: set[_Draft]) -> _Draft | None:
        """Return one group of both if that is legal and pays."""
        if draft.hero is not None or user.hero is not None:
            return None
        if len(draft.nodes) + len(user.nodes) > MAX_NODES:
            return None
        match = self._match(draft, user)
        if match is None or any(_reaches(other, user) for other in users - {user}):
            return None
        if len(user.extents) >= len(draft.extents):
            merged = _union(user, draft, match)
        else:
            merged = _union(draft, user, {b: a for a, b in match.items()})
        if merged is None or not self._pays(merged, {draft, user}):
            return None
        for node in merged.nodes:
            self.group_of[node] = merged
        draft.merged_into = user.merged_into = merged
        return merged

    def _match(self, draft: _Draft, user: _Draft) -> dict[int, int] | None:
        """Return which axes of two groups are the same loops: those along which values pass, and equal leftovers."""
        match: dict[int, int] = {}
        for node in draft.nodes:
            for reader, operand in self.readers[node]:
                if self.group_of[reader] is not user:
                    continue
                if not _is_met(operand, reader):
                    return None
                there = _through_views(operand, _met_along(operand, reader, user))
                if there is None:
                    return None
                for a, b in zip(draft.axes[node], there, strict=True):
                    if (a is None) != (b is None) or (a is not None and match.setdefault(a, b) != b):  # type: ignore[arg-type]
                        return None
        if len(set(match.values())) != len(match):
            return None
        left = [a for a in range(len(draft.extents)) if a not in match]
        right = [b for b in range(len(user.extents)) if b not in match.values()]
        if left and right:
            if [draft.extents[a] for a in left] != [user.extents[b] for b in right]:
                return None
            match.update(zip(left, right, strict=True))
        return match

    def _pays(self, merged: _Draft, members: set[_Draft]) -> bool:
        """Whether every stored value is a whole array or one of a number for each row, in loops that suit memory."""
        everything, whole = set(range(len(merged.extents))), 0
        for node in merged.nodes:
            present = {a for a in merged.axes[node] if a is not None}
            stored = node in self.results or any(self.group_of[r] not in members for r, _ in self.readers[node])
            if node in merged.domain:
                if present != merged.kept:
                    return False
            elif present == everything:
                whole += stored
            elif present != merged.kept and (stored or _cost(node) > 1):
                return False
        if whole and _folds_outer_axes(merged):
            return False
        return bool(merged.kept) or not whole or math.prod(merged.extents) <= SEQUENTIAL_SIZE

    # Groups.

    def _finish(self, draft: _Draft) -> Group:
        nodes = tuple(sorted(draft.nodes, key=self.rank.__getitem__))
        outputs = tuple(
            n
            for n in nodes
            if (n is draft.hero and not draft.axes)
            or n in self.results
            or any(self.group_of[r] is not draft for r, _ in self.readers[n])
        )
        hero = draft.hero
        body = fuse(hero.attrs["body"]) if hero is not None and isinstance(hero.op, Region) else ()
        return Group(
            _kind(draft), nodes, outputs, hero, tuple(draft.extents), draft.axes, draft.domain, draft.reduced, body
        )


def _current(draft: _Draft) -> _Draft:
    while draft.merged_into is not None:
        draft = draft.merged_into
    return draft


def _union(base: _Draft, other: _Draft, match: dict[int, int]) -> _Draft | None:
    """Return both groups on the axes of `base`; `match` maps the axes of `other` to them."""
    if len(match) != len(other.extents):
        return None
    reduced = frozenset(match[a] for a in other.reduced)
    if reduced and base.reduced and reduced != base.reduced:
        return None

    def moved(axes: Axes) -> Axes:
        return tuple(None if a is None else match[a] for a in axes)

    return _Draft(
        max(base.latest, other.latest),
        min(base.earliest, other.earliest),
        base.nodes + other.nodes,
        base.extents,
        {**base.axes, **{n: moved(a) for n, a in other.axes.items()}},
        {**base.domain, **{n: moved(a) for n, a in other.domain.items()}},
        reduced | base.reduced,
        users={_current(u) for u in base.users | other.users} - {base, other},
    )


def _kind(draft: _Draft) -> GroupKind:
    if draft.hero is not None:
        if isinstance(draft.hero.op, Contraction):
            return GroupKind.CONTRACTION
        if isinstance(draft.hero.op, Scatter):
            return GroupKind.SCATTER
        return GroupKind.REGION if isinstance(draft.hero.op, Region) else GroupKind.OPAQUE
    return GroupKind.REDUCTION if draft.domain else GroupKind.POINTWISE


def _producer(operand: Node) -> Node:
    """Return the computed node behind views, or behind the item of one with several results."""
    source = source_of(operand)
    return source.inputs[0] if source.op is item else source


def _is_met(operand: Node, reader: Node) -> bool:
    """Whether a node reads an operand one element at a time, at the place where it computes, and nowhere else."""
    return reader.inputs.count(operand) == operands_met(reader).count(operand)


def _reads_target(node: Node, scatter: Node) -> bool:
    """Whether a node reads the array that a scatter could write in place, if none of its updates did."""
    target = scatter.inputs[0]
    return not is_virtual(target) and any(source_of(i) is target for i in node.inputs)


def _met_along(operand: Node, reader: Node, draft: _Draft) -> Axes:
    """Return the axes of a group along which one of its nodes meets an operand."""
    return (draft.domain.get(reader) or draft.axes[reader])[: operand.ndim]


def _own_axes(draft: _Draft, shape: tuple[int, ...]) -> Axes:
    """Give each dimension of more than one element an axis of the group."""
    axes: list[int | None] = []
    for extent in shape:
        if extent == 1:
            axes.append(None)
        else:
            axes.append(len(draft.extents))
            draft.extents.append(extent)
    return tuple(axes)


def _through_views(operand: Node, along: Axes) -> Axes | None:
    """Return the axes along which the source of a view chain runs when the view runs along `along`."""
    node = operand
    while is_alias(node):
        source = node.inputs[0]
        if node.op is broadcast:
            along = tuple(along[a] if s != 1 else None for a, s in zip(node.attrs["axes"], source.shape, strict=True))
        elif node.op is transpose:
            along = tuple(along[k] for k in inverse(node.attrs["axes"]))
        elif node.op is reshape and _squeezed(node.shape) == _squeezed(source.shape):
            present = iter([a for a, s in zip(along, node.shape, strict=True) if s != 1])
            along = tuple(None if s == 1 else next(present) for s in source.shape)
        else:
            return None
        node = source
    if node.op is item:
        return None
    return tuple(None if s == 1 else a for a, s in zip(along, node.shape, strict=True))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(s for s in shape if s != 1)


def _cost(node: Node) -> int:
    return 1 if isinstance(node.op, Elementwise) and node.op.scalar in CHEAP else RECOMPUTE_LIMIT + 1


def _folds_outer_axes(draft: _Draft) -> bool:
    """Whether the reductions of a group keep the last axis of what they read, so that a row is a column in memory."""
    for domain in draft.domain.values():
        present = [a for a in domain if a is not None]
        if present and present[-1] not in draft.reduced:
            return True
    return False


def _reaches(start: _Draft, goal: _Draft) -> bool:
    """Whether values flow from one group to another.

    No group is passed by for beginning after the goal's end: from there values may come back by way of a group that has
    nodes on both sides.
    """
    stack, seen = [start], {start}
    while stack:
        draft = stack.pop()
        if draft is goal or len(seen) > SEARCH_LIMIT:
            return True
        for user in map(_current, draft.users):
            if user not in seen:
                seen.add(user)
                stack.append(user)
    return False


def _sorted(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Return groups in an order in which each runs after those it reads, as near to the program's as can be."""
    waiting = dict.fromkeys(drafts, 0)
    for draft in drafts:
        for user in draft.users:
            waiting[user] += 1
    ready = [(d.latest, d.earliest, k) for k, d in enumerate(drafts) if not waiting[d]]
    number = {d: k for k, d in enumerate(drafts)}
    heapq.heapify(ready)
    order: list[_Draft] = []
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
