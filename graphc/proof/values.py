"""Nodes evaluated by the reference, each once: what a rewrite is judged by."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.eager import apply_op
from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Leaf, Node, Region, item, placeholder
from graphc.ir.types import TensorType

Array = np.ndarray[Any, Any]


class Values:
    """Values of nodes, from those of the leaves. What fails, as an index out of bounds does, has the value None."""

    def __init__(self, given: Mapping[Node, Array]) -> None:
        self._given = dict(given)
        self._known: dict[Node, Any] = dict(given)

    def of(self, root: Node) -> Any:
        """Return the value of a node: an array, a tuple of arrays, or None where it has none."""
        known, stack = self._known, [root]
        while stack:
            node = stack[-1]
            waiting = [i for i in node.inputs if i not in known] if node not in known else []
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if node not in known:
                known[node] = self._value(node)
        return known[root]

    def forget(self, graph: Graph) -> None:
        """Drop the values of nodes that a graph does not have."""
        kept = set(graph.nodes)
        self._known = {n: v for n, v in self._known.items() if n in kept or n in self._given}

    def enter(self, graph: Graph) -> None:
        """Give the parameters of every body in a graph the values that they have in its first step, or in a branch."""
        for node in graph.nodes:
            if not isinstance(node.op, Region):
                continue
            for body in node.bodies.values():
                for value, parameter in zip(self._first_step(node), body.inputs, strict=True):
                    if value is not None:
                        self._given.setdefault(parameter, value)
                        self._known.setdefault(parameter, value)
                self.enter(body)

    def _first_step(self, region: Node) -> Sequence[Array | None]:
        attrs = region.attrs
        carries, slices = attrs.get("carries", 0), attrs.get("slices", 0)
        at = -1 if attrs.get("reverse") else 0
        first = 1 if region.op.name == "cond" else 0
        operands = region.inputs[first : len(region.inputs) - bool(attrs.get("counted"))]
        found: list[Array | None] = []
        for k, operand in enumerate(operands):
            value = self.of(operand)
            if carries <= k < carries + slices:
                value = value[at] if value is not None and len(value) else None
            found.append(None if value is None else np.asarray(value))
        return found

    def _value(self, node: Node) -> Any:
        if node.op is placeholder:
            return _some_value(node)
        inputs = [self._known[i] for i in node.inputs]
        if any(i is None for i in inputs):
            return None
        if node.op is item:
            return inputs[0][node.attrs["index"]]
        if isinstance(node.op, Leaf) and not inputs and node.op.name == "variable":
            return None
        try:
            with np.errstate(all="ignore"):
                return apply_op(node, inputs)
        except GraphcError:
            return None


def _some_value(parameter: Node) -> Array:
    """Return a value for a parameter of a body of which no step is known: always the same for one type."""
    type = parameter.type
    assert isinstance(type, TensorType)
    rng = np.random.default_rng(zlib.crc32(str(type).encode()))
    if type.dtype.kind == "f":
        return rng.standard_normal(type.shape).astype(type.dtype)
    return rng.integers(0, 2, type.shape).astype(type.dtype)
