"""Phases: reductions of a group that depend on each other run one sweep over the reduced axes after the other.

for i in rows:                    for i in rows:
    m = max over j of x[i, j]         phase 0: m
    s = sum over j of exp(x - m)      phase 1: e[j] = exp(x - m), s
    y[i, j] = exp(x - m) / s          phase 2: y = e[j] / s
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphc.ir.graph import Node
from graphc.ir.groups import Group
from graphc.ir.index import source_of


@dataclass
class Phase:
    """What one sweep over the reduced axes does."""

    rows: list[Node] = field(default_factory=list)
    computed: list[Node] = field(default_factory=list)
    reloaded: list[Node] = field(default_factory=list)
    reductions: list[Node] = field(default_factory=list)
    stored: list[Node] = field(default_factory=list)


def plan(group: Group, keep: Callable[[Node], bool]) -> list[Phase]:
    """Return the phases of a group; `keep` says whether to read a full value back rather than compute it again."""
    members = set(group.nodes)
    level: dict[Node, int] = {}
    for node in group.nodes:
        before = [source_of(i) for i in node.inputs if source_of(i) in members]
        level[node] = max((level[b] + (b in group.domain) for b in before), default=0)
    phases = [Phase() for _ in range(max(level.values()) + 1 + bool(group.domain))]
    for node in group.nodes:
        if node in group.domain:
            phases[level[node]].reductions.append(node)
            if node in group.outputs:
                phases[level[node] + 1].rows.append(node)
        elif not is_full(group, node):
            phases[level[node]].rows.append(node)
        elif node in group.outputs:
            phases[level[node]].stored.append(node)
    if not (phases[-1].rows or phases[-1].stored or phases[-1].reductions):
        phases.pop()
    first: dict[Node, int] = {}
    for k, phase in enumerate(phases):
        _gather(group, k, phase, first, keep)
    return phases


def is_full(group: Group, node: Node) -> bool:
    """Whether there is more than one number of a value for each row."""
    return not group.reduced or any(a in group.reduced for a in group.axes[node])


def _gather(group: Group, k: int, phase: Phase, first: dict[Node, int], keep: Callable[[Node], bool]) -> None:
    """Find the full values that a phase needs, and which of them an earlier one has left behind."""
    members = set(group.nodes)
    needed: set[Node] = set()
    stack = [*phase.stored, *phase.reductions]
    while stack:
        node = stack.pop()
        if node in needed:
            continue
        needed.add(node)
        if first.get(node, k) < k and keep(node):
            phase.reloaded.append(node)
            continue
        sources = [source_of(i) for i in node.inputs]
        stack.extend(s for s in sources if s in members and is_full(group, s) and s not in group.domain)
    phase.computed = [n for n in group.nodes if n in needed and n not in phase.reloaded and n not in group.domain]
    for node in phase.computed:
        first.setdefault(node, k)
