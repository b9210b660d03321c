"""The eager backend: a graph evaluated node by node on NumPy. It is the meaning of every operation, and slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import located_at
from graphc.ir.graph import Graph, Node, Region
from graphc.ir.types import TupleType

Array = np.ndarray[Any, Any]


def evaluate(
    graph: Graph,
    inputs: Sequence[Array],
    variables: Mapping[Node, Array] | None = None,
    observe: Callable[[Node, Any], None] | None = None,
) -> tuple[Array, ...]:
    """Return the results of `graph` (outputs, then updates) on concrete inputs of static shape.

    A value is dropped after its last reader. `observe` is called with every node and its value.
    """
    values: dict[Node, Any] = dict(zip(graph.inputs, inputs, strict=True))
    values.update(variables or {})
    last_reader: dict[Node, Node] = {i: node for node in graph.nodes for i in node.inputs}
    results = set(graph.results)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node not in values:
                values[node] = apply_op(node, [values[i] for i in node.inputs])
            if observe is not None:
                observe(node, values[node])
            for source in set(node.inputs):
                if last_reader[source] is node and source not in results:
                    del values[source]
    return tuple(values[r] for r in graph.results)


def apply_op(node: Node, arrays: list[Any]) -> Any:
    """Return the value of a node on the values of its inputs."""
    with located_at(node.location):
        if isinstance(node.op, Region):
            return node.op.reference(evaluate, *arrays, **node.attrs)
        result = node.op.reference(*arrays, **node.attrs)
    # NumPy gives scalars for rank 0; keep arrays throughout.
    return result if isinstance(node.type, TupleType) else np.asarray(result)
