"""Groups: which nodes of a graph become one kernel, and how they share its loops.

A group of elementwise nodes and reductions iterates a `space`, a tuple of extents. Each of its nodes lies on some axes
of the space: axes[node][d] is the space axis that dimension d of the node's value runs along, None for a dimension of
size 1. A reduction reads its operand along domain[node] and folds the axes in `reduced`; all reductions of a group fold
the same axes, so a value is either "full" or, lying outside the reduced axes, one number for each row.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.graph import Node

Axes = tuple["int | None", ...]


class GroupKind(enum.Enum):
    """How a group is lowered."""

    POINTWISE = "pointwise"
    REDUCTION = "reduction"
    CONTRACTION = "contraction"
    CONVOLUTION = "convolution"
    RANDOM = "random"
    SCATTER = "scatter"
    OPAQUE = "opaque"
    REGION = "region"


@dataclass(frozen=True, eq=False)
class Decision:
    """Whether the value of `producer` and its reader `consumer` are computed by one kernel, and why."""

    producer: Node
    consumer: Node
    fused: bool
    reason: str


@dataclass(frozen=True, eq=False)
class Group:
    """Nodes that one kernel computes, inputs before users; `outputs` are those whose value is stored.

    `hero` is the contraction, convolution, random, scatter, opaque or region node; the other nodes of a group with one
    of the first three are its epilogue. A scatter group iterates the updates, which its other nodes compute. `bodies`
    holds the groups of a region's bodies.
    """

    kind: GroupKind
    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]
    hero: Node | None = None
    space: tuple[int, ...] = ()
    axes: Mapping[Node, Axes] = field(default_factory=dict)
    domain: Mapping[Node, Axes] = field(default_factory=dict)
    reduced: frozenset[int] = frozenset()
    bodies: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line: kind, space with the folded axes in parentheses, operations, results; a body's groups below."""
        extents = ", ".join(f"({n})" if axis in self.reduced else str(n) for axis, n in enumerate(self.space))
        names = " ".join(n.op.name for n in self.nodes)
        results = ", ".join(str(o.type) for o in self.outputs)
        lines = [f"{self.kind.value} [{extents}]: {names} -> {results}"]
        for name, groups in self.bodies.items():
            lines += [f"  {name}:"] if len(self.bodies) > 1 else []
            lines += [f"    {line}" for group in groups for line in str(group).splitlines()]
        return "\n".join(lines)
