"""Native code against the reference: each kernel on the values that it was given, then the program as a whole.

The program is made twice from the same kernels: as it is, and so that every array that a kernel writes is a result,
with memory of its own. The second shows what each kernel made of what; where the two differ, arrays share memory that
must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from graphc.errors import Location, MiscompileError
from graphc.inspect.formulas import formula
from graphc.ir.graph import Graph, Node, item
from graphc.ir.groups import Group
from graphc.ir.index import source_of
from graphc.ir.journal import PassRun
from graphc.ir.rewrite import Rule
from graphc.ir.types import TensorType, TupleType
from graphc.proof import tolerance
from graphc.proof.rewrites import check_rewrites, finite, graph_values, precise
from graphc.proof.tolerance import Difference
from graphc.proof.values import Values
from graphc.runtime.state import Cell, holding

Array = np.ndarray[Any, Any]
Finish = Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]]


class Runner(Protocol):
    def run(self, arrays: Sequence[Array]) -> Sequence[Array]: ...


def exposed(graph: Graph, groups: Sequence[Group]) -> Graph:
    """Return a graph of which every array that a kernel writes is an output, once, and nothing is updated."""
    items: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.op is item:
            items.setdefault(node.inputs[0], []).append(node)
    written: dict[Node, None] = {}
    for output in [o for g in groups for o in g.outputs]:
        parts = items.get(output, []) if isinstance(output.type, TupleType) else [output]
        distinct = {p.attrs["index"]: p for p in parts}.values() if isinstance(output.type, TupleType) else parts
        written.update(dict.fromkeys(p for p in distinct if p.tensor_type.size))
    return Graph(graph.inputs, tuple(written), (), graph.name)


def spoiled(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of numbers that no program means: what is not written must not be right by chance."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 1 if dtype.kind == "b" else 0x7B
    return array


class ProvenRunner:
    """Runs a program on copies of its variables, and lets them move only when rewrites and kernels are proven.

    known     the graph as the user built it, of known sizes; prepared: as it was lowered, in `groups`
    exposed   `prepared` with every written array as an output
    program   the program, and plain: the one that `exposed` describes; both work on the arrays of `state`
    finish    what has the last word on inputs and outputs, as the search for NaN does
    """

    def __init__(
        self,
        known: Graph,
        prepared: Graph,
        groups: Sequence[Group],
        runs: Sequence[PassRun],
        rules: Mapping[str, Rule],
        shown: Graph,
        program: Runner,
        plain: Runner,
        state: Mapping[Node, Array],
        finish: Finish | None,
    ) -> None:
        self._known, self._prepared, self._groups, self._shown = known, prepared, groups, shown
        self._runs, self._rules = tuple(runs), rules
        self._program, self._plain, self._state, self._finish = program, plain, state, finish
        self._cells: list[Cell] = [v.attrs["state"] for v in known.variables]

    def entry(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Calls cannot go around Python."""

    def run(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs. Raises MiscompileError, with no variable changed, where a value is not as it must be."""
        with holding(self._cells):
            before = {v: v.attrs["state"].array.copy() for v in self._known.variables}
            for variable, array in self._state.items():
                array[...] = before[variable]
            if self._runs:
                check_rewrites(self._runs, self._rules, graph_values(self._known, arrays, before))
                self._runs = ()
            native = dict(zip(self._shown.outputs, self._plain.run(arrays), strict=True))
            check_kernels(self._groups, native, graph_values(self._prepared, arrays, before))
            outputs = self._program.run(arrays)
            self._check_memory(outputs, native)
            if self._finish is not None:
                return self._finish(arrays, outputs)
            for variable, _ in self._prepared.updates:
                variable.attrs["state"].array[...] = self._state[variable]
            return outputs

    def _check_memory(self, outputs: Sequence[Array], native: Mapping[Node, Array]) -> None:
        found = list(zip(self._prepared.outputs, outputs, strict=True))
        found += [(value, self._state[variable]) for variable, value in self._prepared.updates]
        for node, array in found:
            apart = tolerance.exact_difference(native[node], array) if node in native else None
            if apart is not None:
                raise MiscompileError(
                    f"memory: {formula(node)} ({node.type}) is overwritten before it is read, or never written: {apart}"
                    "; the kernels are right, their memory is not",
                    node.location,
                )


def check_kernels(groups: Sequence[Group], native: Mapping[Node, Array], leaves: Mapping[Node, Array]) -> None:
    """Compare what kernels wrote with the reference on what they read. Raises MiscompileError for the first fault."""
    for group in groups:
        members = set(group.nodes)
        given = {**leaves, **{n: v for n, v in native.items() if n not in members and not _is_part(n, members)}}
        values = Values(given)
        for node in native:
            if node in members or _is_part(node, members):
                found = _difference(group, node, native[node], values)
                if found is not None:
                    raise MiscompileError(_message(group, node, found), _location(group, node))


def _is_part(node: Node, members: Iterable[Node]) -> bool:
    return node.op is item and node.inputs[0] in members


def _difference(group: Group, node: Node, native: Array, values: Values) -> Difference | None:
    expected = values.of(node)
    if expected is None:
        return None
    expected = np.asarray(expected)
    if native.dtype.kind != "f" and not tolerance.has_jumps(group.nodes):
        return tolerance.exact_difference(expected, native)
    if tolerance.adds_up(group.nodes):
        expected, native = finite(expected, native)
    operands = [source_of(i) for n in group.nodes for i in n.inputs]
    tensors = [n for n in (*group.nodes, *operands, node) if isinstance(n.type, TensorType)]
    size = tolerance.scale([v for n in dict.fromkeys(tensors) if (v := values.of(n)) is not None])
    allowed = tolerance.KERNEL_ULPS * tolerance.epsilon(native.dtype) * size * tolerance.terms(group.nodes) ** 0.5
    flips = native.size // tolerance.FLIPS if tolerance.has_jumps(group.nodes) else 0
    found = tolerance.difference(expected, native, allowed, flips)
    if found is None or native.dtype.kind != "f" or node.op is item:
        return found
    truth = precise(node, values.of, group.nodes)
    if truth is None:
        return found
    # Where the reference itself is far from the precise value, so may the kernel be.
    with np.errstate(all="ignore"):
        slack = 16 * np.abs(expected.astype(np.asarray(truth).dtype) - truth)
        near = np.abs(native.astype(np.asarray(truth).dtype) - truth) <= slack
    return tolerance.difference(np.where(near, native, expected), native, allowed, flips)


def _message(group: Group, node: Node, found: Difference) -> str:
    place = f" at {list(found.index)}" if found.index else ""
    return (
        f"kernel: {found.after!r} natively, {found.before!r} by the reference{place} ({node.type})\n"
        f"  value:  {formula(node)}\n  kernel: {group}"
    )


def _location(group: Group, node: Node) -> Location | None:
    return node.location or next((n.location for n in group.nodes if n.location is not None), None)
