"""Which operands of a kernel may lie where a result goes: those whose every element is read for the last time before
the same element of the result is written, and by the code that writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from graphc.ir.graph import Elementwise, Node, Reduction, View
from graphc.ir.groups import Group
from graphc.ir.index import Index, flatten, source_of, source_position, trace
from graphc.ir.loops import Var
from graphc.lower.operands import place
from graphc.lower.work import Operand

ELSEWHERE = Index({}, -1)
"""An index that nothing is written at."""


def same_index(group: Group, stored: Mapping[Node, int], last_read: Mapping[Operand, int]) -> frozenset[Operand]:
    """Return the operands of a pointwise or reduction group that a result of their size may replace.

    They are read only where a result has its element. Where rows are folded, a row of theirs is read in several sweeps
    by the code that then writes the row: no sweep may read it after the first that stores. `stored` and `last_read`
    tell in which sweep a whole result is stored and an operand read.
    """
    variables = {a: Index.axis(Var(f"a{a}"), extent) for a, extent in enumerate(group.space)}
    whole = [o for o in group.outputs if not group.reduced or any(a in group.reduced for a in group.axes[o])]
    written = {flatten(place(group.axes[o], variables), o.shape) for o in whole}
    if len(written) != 1 or (not group.reduced and len(whole) < len(group.outputs)):
        return frozenset()
    read: dict[Operand, set[Index]] = {}
    for node in group.nodes:
        for source, index in reads_of(group, node, variables):
            read.setdefault(source, set()).add(index)
    first = min(stored[o] for o in whole)
    inside = set(group.nodes)
    return frozenset(
        n for n, found in read.items() if n not in inside and found == written and last_read.get(n, 0) <= first
    )


def same_row(group: Group, rows: Collection[Node]) -> frozenset[Operand]:
    """Return the operands that a result may replace of which there is one number for each row, where these are computed
    last, all before one is stored: such as nothing but `rows` reads, and only where the results have their elements."""
    variables = {a: Index.axis(Var(f"a{a}"), extent) for a, extent in enumerate(group.space)}
    written = {flatten(place(group.axes[o], variables), o.shape) for o in group.outputs if o in rows}
    others = [o for o in group.outputs if o not in rows and not any(a in group.reduced for a in group.axes[o])]
    if len(written) != 1 or others:
        return frozenset()
    read: dict[Operand, set[Index]] = {}
    for node in group.nodes:
        is_late = node in rows and node not in group.domain
        for source, index in reads_of(group, node, variables):
            read.setdefault(source, set()).add(index if is_late else ELSEWHERE)
    inside = set(group.nodes)
    return frozenset(n for n, found in read.items() if n not in inside and found == written)


def reads_of(group: Group, node: Node, positions: dict[int, Index]) -> Iterator[tuple[Node, Index]]:
    """Return what a node reads, and where."""
    position = place(group.domain.get(node, group.axes[node]), positions)
    if isinstance(node.op, View):
        position = source_position(node, position)
    elif not isinstance(node.op, Elementwise | Reduction):
        yield from ((source_of(i), ELSEWHERE) for i in node.inputs)  # where data say
        return
    for operand in node.inputs:
        source, found = trace(operand, position if operand.ndim else ())
        if source.ndim and not (source.is_leaf and isinstance(source.op, Elementwise)):
            yield source, flatten(found, source.shape)
