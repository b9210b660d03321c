"""Which nodes may share loops: groups in the making, the axes on which values meet, and freedom from cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from graphc.ir.graph import Elementwise, Gather, Node, Reduction, Scatter, Tiled, View, item
from graphc.ir.groups import Axes
from graphc.ir.index import is_alias, is_virtual, operands_met, source_of
from graphc.ops.shape import broadcast, inverse, reshape, transpose

SEARCH_LIMIT = 64
"""Groups visited when asking whether fusing would close a cycle; beyond it the answer is taken to be yes."""


@dataclass(eq=False)
class Draft:
    """A group in the making; `extents` of its axes grow as nodes with more axes join.

    `latest` and `earliest` are the places of its nodes in the program, `users` the groups that read its values.
    """

    latest: int
    earliest: int
    nodes: list[Node] = field(default_factory=list)
    extents: list[int] = field(default_factory=list)
    axes: dict[Node, Axes] = field(default_factory=dict)
    domain: dict[Node, Axes] = field(default_factory=dict)
    reduced: frozenset[int] = frozenset()
    hero: Node | None = None
    users: set[Draft] = field(default_factory=set)
    merged_into: Draft | None = None

    @property
    def kept(self) -> frozenset[int]:
        return frozenset(range(len(self.extents))) - self.reduced

    def along(self, reader: Node) -> Axes:
        """Return the axes along which a node of the group reads operands that are no scalars."""
        return self.domain.get(reader) or self.axes[reader]


def current(draft: Draft) -> Draft:
    """Return the group that a group has become part of."""
    while draft.merged_into is not None:
        draft = draft.merged_into
    return draft


def producer_of(operand: Node) -> Node:
    """Return the computed node behind views, or behind the item of one with several results."""
    source = source_of(operand)
    return source.inputs[0] if source.op is item else source


def is_met(operand: Node, reader: Node) -> bool:
    """Whether a node reads an operand one element at a time, at the place where it computes, and nowhere else."""
    return reader.inputs.count(operand) == operands_met(reader).count(operand)


def reads_target(node: Node, scatter: Node) -> bool:
    """Whether a node reads the array that a scatter could write in place, if none of its updates did."""
    target = scatter.inputs[0]
    return not is_virtual(target) and any(source_of(i) is target for i in node.inputs)


def start(node: Node, rank: int) -> Draft:
    """Return a group of one node."""
    draft = Draft(rank, rank, [node])
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
        if isinstance(node.op, Tiled):
            draft.axes[node] = _own_axes(draft, node.shape)
        if isinstance(node.op, Scatter):
            draft.axes[node] = _own_axes(draft, node.inputs[1].shape)  # the loops go over the updates
    return draft


def _own_axes(draft: Draft, shape: tuple[int, ...]) -> Axes:
    """Give each dimension of more than one element an axis of the group."""
    axes: list[int | None] = []
    for extent in shape:
        if extent == 1:
            axes.append(None)
        else:
            axes.append(len(draft.extents))
            draft.extents.append(extent)
    return tuple(axes)


def through_views(operand: Node, along: Axes) -> Axes | None:
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


def read_along(reader: Node, operand: Node, draft: Draft) -> Axes | None:
    """Return the axes along which a node of a group reads what is behind an operand."""
    if not is_met(operand, reader):
        return None
    return through_views(operand, draft.along(reader)[: operand.ndim])


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(s for s in shape if s != 1)


def union(base: Draft, other: Draft, match: dict[int, int]) -> Draft | None:
    """Return both groups on the axes of `base`, where `match` maps the axes of `other` to them; None where the loops
    cannot be the same."""
    if len(match) != len(other.extents):
        return None
    reduced = frozenset(match[a] for a in other.reduced)
    if reduced and base.reduced and reduced != base.reduced:
        return None

    def moved(axes: Axes) -> Axes:
        return tuple(None if a is None else match[a] for a in axes)

    return Draft(
        max(base.latest, other.latest),
        min(base.earliest, other.earliest),
        base.nodes + other.nodes,
        base.extents,
        {**base.axes, **{n: moved(a) for n, a in other.axes.items()}},
        {**base.domain, **{n: moved(a) for n, a in other.domain.items()}},
        reduced | base.reduced,
        base.hero or other.hero,
        users={current(u) for u in base.users | other.users} - {base, other},
    )


def folds_outer_axes(draft: Draft) -> bool:
    """Whether the reductions of a group keep the last axis of what they read, so that a row is a column in memory."""
    for domain in draft.domain.values():
        present = [a for a in domain if a is not None]
        if present and present[-1] not in draft.reduced:
            return True
    return False


class Spans:
    """How far the groups stretch that begin at a place of the program or before it."""

    def __init__(self, places: int) -> None:
        self._furthest = np.arange(places)

    def add(self, draft: Draft) -> None:
        part = self._furthest[draft.earliest : draft.latest + 1]
        np.maximum(part, draft.latest, out=part)

    def horizon(self, place: int) -> int:
        """Return the last place from which values can come back to `place`, by groups with nodes on both sides."""
        furthest = self._furthest
        while furthest[place] > place:
            place = int(furthest[place])
        return place


def reaches(starts: Iterable[Draft], goal: Draft, spans: Spans) -> bool:
    """Whether values flow from some groups to another. Groups that begin beyond the goal's horizon are passed by."""
    horizon = spans.horizon(goal.latest)
    stack = list(starts)
    seen = set(stack)
    while stack:
        draft = stack.pop()
        if draft is goal or len(seen) > SEARCH_LIMIT:
            return True
        for user in map(current, draft.users):
            if user not in seen and user.earliest <= horizon:
                seen.add(user)
                stack.append(user)
    return False
