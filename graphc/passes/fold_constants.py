"""fold_constants: what depends on constants alone is computed now, by the op's reference, where the result is small."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Leaf, Literal, Node, Op, Region, constant, known_value
from graphc.ir.rewrite import Each, Match, OnFire, Rule, apply_rules, into_bodies
from graphc.ir.types import TensorType
from graphc.ops.elementwise import iota
from graphc.ops.random import random_bits
from graphc.ops.shape import broadcast, embed

FOLD_LIMIT = 1 << 20
"""Bytes that folding may add to the constants of a graph, beyond as much again as they were."""

NEVER = (iota, broadcast, embed, random_bits)
"""Ops that make a large array of little: code computes their elements where they are read."""


def fold_constants(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with constants for what is known now; itself when nothing is.

    Loops are left to run: folding one would take as long as it does. What fails (an index out of bounds) is left to
    fail when the program runs. All folds of one graph together make at most FOLD_LIMIT bytes more than its constants
    already have.
    """
    return into_bodies(lambda g: _fold(g, on_fire))(graph)


def _fold(graph: Graph, on_fire: OnFire | None) -> Graph:
    budget = FOLD_LIMIT + sum([n.tensor_type.nbytes for n in graph.nodes if n.op is constant])

    def fold(m: Match) -> Node | None:
        nonlocal budget
        node = m.node
        if not node.tensor_type.is_static or node.tensor_type.nbytes > budget:
            return None
        value = _value(node)
        if value is None:
            return None
        budget -= value.nbytes
        return Node(constant, (), {"value": Literal(value)}, node.type, node.location)

    return apply_rules(graph, (Rule("fold", Each(Op, _reads_constants), fold),), on_fire)


def _reads_constants(op: Op, inputs: tuple[Op, ...]) -> bool:
    if isinstance(op, Leaf | Region) or op in NEVER:
        return False
    return bool(inputs) and all(i is constant for i in inputs)


def _value(node: Node) -> np.ndarray[Any, Any] | None:
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(node.op.reference(*[known_value(i) for i in node.inputs], **node.attrs))
    except GraphcError:
        return None
    if TensorType(value.dtype, value.shape) != node.type:
        return None
    # The sign of a NaN depends on the processor; a constant must not.
    return np.where(np.isnan(value), value.dtype.type(np.nan), value) if value.dtype.kind == "f" else value
