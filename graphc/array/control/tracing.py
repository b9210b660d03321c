"""From a traced Python function to a graph without free nodes, and what it needs from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphc.array.convert import as_node, cast_to, differ, promote
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.found import found_sizes
from graphc.ir.graph import Graph, Node, constant, placeholder, toposort, variable
from graphc.ops import control as ops
from graphc.ops.elementwise import cast, iota, size
from graphc.ops.shape import broadcast

PYTHON_NUMBERS = (bool, int, float)


class _Loops(threading.local):
    """The loops whose bodies this thread is tracing."""

    steps: tuple[Node, ...] = ()


_loops = _Loops()


@contextmanager
def counted(step: Node) -> Iterator[None]:
    """While inside, a body is traced in which `step` is the number of the step."""
    before = _loops.steps
    _loops.steps = (*before, step)
    try:
        yield
    finally:
        _loops.steps = before


def steps_around() -> tuple[Node, ...]:
    """Return the numbers of the steps in which what is traced now would run, of the outermost loop first."""
    return _loops.steps


Adopt = Callable[[Sequence[Node]], Sequence[Node]]
"""What a body returns as its new carry for parameters that are like these values."""


def adopted(starts: Sequence[Any], carry: list[Node], traced: Adopt, float_dtype: np.dtype[Any]) -> list[Node]:
    """Return the values that a carry starts with, Python numbers in the dtype that the body makes of them.

    A number may first become a float, then take the body's floating dtype.
    """
    numbers = [type(s) in PYTHON_NUMBERS for s in starts]
    if not any(numbers):
        return carry
    for _ in range(2):
        news = traced(carry)
        found = [
            _as_returned(c, new.dtype, float_dtype) if is_number else c
            for is_number, c, new in zip(numbers, carry, news, strict=True)
        ]
        if found == carry:
            break
        carry = found
    return carry


def _as_returned(start: Node, dtype: np.dtype[Any], float_dtype: np.dtype[Any]) -> Node:
    becomes_float = dtype.kind == "f" and start.dtype.kind != "f"
    return cast_to(start, float_dtype if becomes_float else dtype)


def returned(op: str, value: Any, carry: Node) -> Node:
    """Return a new carry as a node; a Python number takes the dtype of the old one where it can."""
    if type(value) in PYTHON_NUMBERS:
        return promote(op, [value], least=carry.dtype)[0]
    return as_node(op, value)


def require_same_carry(op: str, places: Sequence[str], carry: Sequence[Node], new: Sequence[Node]) -> None:
    """Raise where a body returns a carry of another type than it was given."""
    for place, before, after in zip(places, carry, new, strict=True):
        message = f"{op}: carry{place} must be {before.type} in every step, the body returned {after.type}"
        if before.dtype != after.dtype:
            raise DTypeError(f"{message}; cast the first value or the new one with astype")
        if before.ndim != after.ndim or any(differ(a, b) for a, b in zip(before.shape, after.shape, strict=True)):
            raise ShapeError(f"{message}; start with a value of the shape that it keeps (broadcast_to, zeros)")


# Closing bodies.


def closed_body(outputs: Sequence[Node], parameters: Sequence[Node], name: str) -> tuple[Graph, list[Node]]:
    """Return a traced body as a graph without free nodes, and the outside nodes that its further inputs stand for.

    What does not depend on the parameters is computed once, outside: each largest such part becomes an input. Numbers,
    positions and sizes stay inside, where they cost nothing.
    """
    inside = set(parameters)
    inside.update(n for n in toposort(outputs) if any(i in inside for i in n.inputs))
    (graph,), outside = _closed([(name, outputs)], parameters, inside)
    return graph, outside


def closed_since(
    bodies: Sequence[tuple[str, Sequence[Node]]], parameters: Sequence[Node], birth: int
) -> tuple[list[Graph], list[Node]]:
    """Return traced bodies on the same parameters as graphs without free nodes, and the outside nodes that their
    further inputs stand for: those made before `birth`, and variables.

    What a body itself computes stays in it: it may never run, and fail if it did.
    """
    inside = set(parameters)
    for node in toposort([o for _, outputs in bodies for o in outputs]):
        is_new = node.born > birth and node.op not in (placeholder, variable)
        if is_new or any(i in inside for i in node.inputs):
            inside.add(node)
    return _closed(bodies, parameters, inside)


def _closed(
    bodies: Sequence[tuple[str, Sequence[Node]]], parameters: Sequence[Node], inside: set[Node]
) -> tuple[list[Graph], list[Node]]:
    orders = [toposort(outputs) for _, outputs in bodies]
    cheap = set[Node]()
    for node in [n for order in orders for n in order]:
        if node not in inside and _is_cheap(node) and all(i in cheap for i in node.inputs):
            cheap.add(node)
    edges = [i for order in orders for n in order if n in inside for i in n.inputs]
    results = [o for _, outputs in bodies for o in outputs]
    outside = list(dict.fromkeys(n for n in (*edges, *results) if n not in inside and n not in cheap))
    stand_ins = [ops.parameter(f"c{k}", n.tensor_type) for k, n in enumerate(outside)]
    new = dict(zip([*outside, *parameters], [*stand_ins, *parameters], strict=True))
    for node in [n for order in orders for n in order]:
        if node not in new and (node in inside or node in cheap):
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    _require_no_found_sizes([n for order in orders for n in order if n in inside], parameters)
    inputs = (*parameters, *stand_ins)
    return [Graph(inputs, tuple(new[o] for o in outputs), name=name) for name, outputs in bodies], outside


def _require_no_found_sizes(nodes: Sequence[Node], parameters: Sequence[Node]) -> None:
    """Raise where a body has a size that depends on the values of its parameters, so that each step had another."""
    found = found_sizes(nodes)
    if not found:
        return
    depending = set(parameters)
    depending.update(n for n in toposort([f.count for f in found.values()]) if any(i in depending for i in n.inputs))
    for name, origin in found.items():
        if origin.count in depending:
            raise ArgumentError(
                f"a loop or branch cannot have a size that its own data tell ({name.strip('_0123456789')}), as every "
                "step might have another: give size= where it is made, or use gx.where with the mask",
                origin.count.location,
            )


def _is_cheap(node: Node) -> bool:
    """Return whether a node without outside inputs costs nothing in a loop: numbers, positions, sizes, spread out."""
    if node.op is constant:
        return not node.ndim
    return node.op in (iota, size, broadcast, cast)
