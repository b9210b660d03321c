"""Integers divided by zero: the result is NumPy's, 0, and a warning says so, once for each compiled function.

Looked at are divisions whose divisor depends on the data of a call, outside of the bodies of loops and branches. As in
NumPy, `np.errstate(divide="ignore")` around the call keeps the warning back.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import Graph, Node, literal, placeholder, variable
from graphc.ops.elementwise import bitwise_or, eq, floor_divide, remainder
from graphc.ops.reduce import any_

Array = np.ndarray[Any, Any]


def integer_divisions(graph: Graph) -> list[Node]:
    """Return the divisions of integers by what depends on the data of a call."""
    divisions = [n for n in graph.nodes if n.op in (floor_divide, remainder) and n.dtype.kind in "iu"]
    if not divisions:
        return []
    fed: set[Node] = set()
    for node in graph.nodes:
        if node.op in (placeholder, variable) or any(i in fed for i in node.inputs):
            fed.add(node)
    return [n for n in divisions if n.inputs[1] in fed]


def with_flag(graph: Graph, divisions: Sequence[Node]) -> Graph:
    """Return a graph with one more output, the last: whether a divisor is zero."""
    divisors = dict.fromkeys(node.inputs[1] for node in divisions)
    zeros = [eq(divisor, literal(0, divisor.dtype)) for divisor in divisors]
    flags = [any_(z, axis=tuple(range(z.ndim))) if z.ndim else z for z in zeros]
    flag = functools.reduce(bitwise_or, flags)
    return Graph(graph.inputs, (*graph.outputs, flag), graph.updates, graph.name)


class DivisionGuard:
    """Takes the flag off the results of a call, and warns where it is set for the first time."""

    def __init__(self, divisions: Sequence[Node]) -> None:
        self._divisions = divisions
        self._told = False

    def __call__(self, arrays: Sequence[Array], results: Sequence[Array]) -> Sequence[Array]:
        *kept, flag = results
        if flag:
            self.warn(5)
        return kept

    def warn(self, level: int) -> None:
        """Warn of a division by zero, in the name of the caller so many levels up; only once."""
        if self._told or np.geterr()["divide"] == "ignore":
            return
        self._told = True
        names = " or ".join(sorted({node.op.name for node in self._divisions}))
        places = dict.fromkeys(f"\n  at {node.location}" for node in self._divisions if node.location is not None)
        text = f"divide by zero encountered in {names}: integers divided by zero give 0{''.join(places)}"
        warnings.warn(text, RuntimeWarning, stacklevel=level)
