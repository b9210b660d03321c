"""Values that are computed again where they are needed, because that costs less than to store and to load them.

A compare, a cast or a sum of a matrix and a row takes less time than its way through memory if its own operands are
there anyway. Such a value then is in several groups, and none of them stores it.
"""

from __future__ import annotations

from graphc.ir.graph import Elementwise, Node, Tiled
from graphc.ir.groups import Axes
from graphc.ir.index import source_of
from graphc.passes.fusion.costs import is_cheap
from graphc.passes.fusion.legality import Draft, is_met, read_along, through_views
from graphc.passes.fusion.partition import Partition
from graphc.passes.fusion.profit import MAX_NODES, profit


def recompute(partition: Partition, drafts: list[Draft]) -> None:
    """Copy cheap values into the groups that read them where that pays."""
    updated = {v for v, _ in partition.graph.updates}
    for draft in reversed(drafts):
        for node in reversed(partition.ordered(draft)):
            if partition.group_of[node] is draft and _may_be_repeated(partition, node, draft):
                _try(partition, node, draft, updated)


def _may_be_repeated(partition: Partition, node: Node, draft: Draft) -> bool:
    """Whether a value is stored for nothing but loops that could make it themselves, and what it takes is in memory."""
    if node in partition.results or not isinstance(node.op, Elementwise) or not is_cheap(node):
        return False
    if node.tensor_type.nbytes <= partition.target.l1_bytes:
        return False  # there is little to gain
    if node.op.scalar == "check_index" or not partition.is_stored(node, draft) or node in partition.copy_readers:
        return False
    if not all(is_met(o, r) for r, o in partition.readers[node]):
        return False
    sources = [s for s in map(source_of, node.inputs) if s in partition.group_of]
    return all(partition.is_stored(s, partition.group_of[s]) for s in sources)


def _try(partition: Partition, node: Node, home: Draft, updated: set[Node]) -> None:
    groups = dict.fromkeys(partition.group_of[r] for r, _ in partition.readers[node])
    others = [d for d in groups if d is not home]
    places = {d: _placement(partition, node, d, updated) for d in others}
    if any(axes is None or len(d.nodes) >= MAX_NODES for d, axes in places.items()):
        return
    before = [partition.loops(d) for d in (home, *others)]
    for draft, axes in places.items():
        assert axes is not None
        draft.nodes.append(node)
        draft.axes[node] = axes
    is_needed = home in groups
    if not is_needed:
        home.nodes.remove(node)
    touched = [home, *others] if home.nodes else others
    after = [
        partition.estimate.loops_of(d, partition.ordered(d), lambda n, d=d: n is not node and partition.is_stored(n, d))  # type: ignore[misc]
        for d in touched
    ]
    verdict = profit(before, after, partition.target)
    if verdict.pays:
        _settle(partition, node, home, others)
        return
    for draft in others:
        draft.nodes.pop()
        del draft.axes[node]
    if not is_needed:
        home.nodes.append(node)


def _placement(partition: Partition, node: Node, draft: Draft, updated: set[Node]) -> Axes | None:
    """Return the axes on which a group reads a value, if it could compute it there."""
    if draft.hero is not None and not isinstance(draft.hero.op, Tiled):
        return None
    found = {
        read_along(reader, operand, draft)
        for reader, operand in partition.readers[node]
        if partition.group_of[reader] is draft
    }
    if len(found) != 1:
        return None
    (axes,) = found
    if axes is None:
        return None
    members = set(draft.nodes)
    for operand in node.inputs:
        source = source_of(operand)
        there = through_views(operand, axes if operand.ndim else ())
        if source in members and there != draft.axes[source]:
            return None
        if source in updated and not _reads(draft, source):
            return None  # to read it later would keep its update from being written in place
    return axes


def _reads(draft: Draft, source: Node) -> bool:
    return any(source_of(i) is source for n in draft.nodes for i in n.inputs)


def _settle(partition: Partition, node: Node, home: Draft, others: list[Draft]) -> None:
    """Note that a value is computed in several groups."""
    if node in home.nodes:
        partition.copies += len(others)
    else:
        partition.copies += len(others) - 1
        partition.group_of[node] = others[0]
        home.axes.pop(node)
    reason = "computed again by each that reads it: quicker than by way of memory"
    partition.because(partition.edges(node), reason, fused=True)
    for source in map(source_of, node.inputs):
        partition.copy_readers.setdefault(source, set()).update(others)
        if source in partition.group_of:
            partition.group_of[source].users |= set(others)
