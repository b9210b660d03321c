"""Compiling: the stages in order, from the user's Tensors to code that runs.

capture -> bind sizes -> optimise -> materialize -> fuse -> lower -> emit -> jit
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.array.convert import asarray
from graphc.codegen.jit import Machine, assembly
from graphc.codegen.module import emit_module
from graphc.eager import evaluate
from graphc.errors import ArgumentError, DTypeError, GraphcError, NaNError, ShapeError, located_at
from graphc.ir.dims import Dim, symbols_of
from graphc.ir.graph import Graph, Node, bind_sizes, placeholder, toposort
from graphc.ir.loop_text import program_text
from graphc.ir.text import to_text
from graphc.ir.types import TensorType
from graphc.ir.verify import verify
from graphc.lower.cost import program_cost
from graphc.lower.program import lower
from graphc.nest import flatten, paths
from graphc.passes.canonicalize import canonicalize
from graphc.passes.cse import cse
from graphc.passes.empty import replace_empty
from graphc.passes.fold_constants import fold_constants
from graphc.passes.fuse import fuse
from graphc.passes.materialize import materialize
from graphc.passes.prune import prune
from graphc.passes.simplify import simplify
from graphc.runtime.executable import Executable, Specialization
from graphc.runtime.inputs import InputSpec
from graphc.runtime.native import NativeRunner, Signature
from graphc.runtime.state import Cell, holding, share_lock
from graphc.target import host
from graphc.tensor import Tensor, Variable

PIPELINE: tuple[Callable[[Graph], Graph], ...] = (
    replace_empty,  # first: nothing after it has to think of arrays without elements
    canonicalize,  # one form for each thing, so that rules match and cse sees equals; drops stop_gradient
    cse,  # before folding, so that a constant is folded once
    fold_constants,  # before simplify, whose rules look for literal numbers
    simplify,  # leaves new constants and views behind, which the next round tidies
    prune,  # after simplify: results of scans that nothing reads any more
)
"""Passes over the graph, in order; repeated until nothing changes."""

TRANSCENDENTAL_FLOPS = 20
"""What one exp or log counts for when the length of a call is estimated."""

MAX_ROUNDS = 4
"""Rounds of the pipeline; later ones find little."""


@dataclass(frozen=True)
class Options:
    """How to compile. All off by default: results are then those of the eager backend up to rounding of sums.

    threads          at most this many threads for one call; None: as many as the process may use (so far, one is used)
    fast_math        allow rewrites that may change rounding, NaN, infinity or the sign of zero
    check_nan        raise, naming the operation and its line, when a call produces a NaN; variables keep their values
    verify           check the invariants of the program after every pass (also: GRAPHC_VERIFY=1)
    """

    threads: int | None = None
    fast_math: bool = False
    check_nan: bool = False
    verify: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None and (not isinstance(self.threads, int) or self.threads < 1):
            raise ArgumentError(f"Options: threads must be a positive int or None, got {self.threads!r}")


def compile(
    inputs: Sequence[Tensor],
    outputs: Any,
    updates: Mapping[Variable, Any] | None = None,
    givens: Mapping[Tensor, Any] | None = None,
    *,
    name: str | None = None,
    backend: str = "llvm",
    options: Options | None = None,
) -> Executable:
    """Compile a graph to a function of arrays.

    inputs     placeholders, in the order of the function's arguments; by name they are keywords too
    outputs    a Tensor, or any nest of lists, tuples and dicts of Tensors: the function returns the same nest of arrays
    updates    {variable: its new value}: outputs and new values see the variables as they were before the call, then
               all are updated together
    givens     {tensor: replacement}: replaced wherever the outputs and updates use it
    backend    "llvm" (native code) or "eager" (node by node on NumPy, the meaning of every operation)

    Raises ArgumentError, ShapeError or DTypeError for what cannot be compiled.

    >>> x = gx.placeholder((2,), name="x")
    >>> total = gx.variable(0.0, dtype="float32", name="total")
    >>> add = gx.compile([x], total, updates={total: total + gx.sum(x)})
    >>> [float(add([1, 2])), float(add([3, 4])), float(total.value)]
    [0.0, 3.0, 10.0]
    """
    options = _checked_options(options)
    if backend not in ("llvm", "eager"):
        raise ArgumentError(f"compile: backend must be 'llvm' or 'eager', got {backend!r}")
    nodes = _input_nodes(inputs)
    leaves, structure = flatten(outputs)
    results = tuple(_output_node(leaf, path) for leaf, path in zip(leaves, paths(outputs), strict=True))
    pairs = tuple(_update(v, value) for v, value in (updates or {}).items())
    label = re.sub(r"\W", "_", name) if name else "graph"
    graph = Graph(nodes, results, pairs, label)
    if givens:
        graph = _replaced(graph, givens)
    _require_listed(graph)
    cells = [v.attrs["state"] for v in graph.variables]
    share_lock(cells)
    make = _eager if backend == "eager" else _native
    return Executable(
        label,
        [InputSpec(n.attrs["name"], n.tensor_type, n.location) for n in nodes],
        structure.unflatten,
        lambda sizes: make(graph, sizes, options),
        {"graph": lambda: graph, "optimized": lambda: optimize(graph, options), "text": lambda: to_text},
        checked=not _symbols(graph),
    )


def optimize(graph: Graph, options: Options | None = None) -> Graph:
    """Return the graph after all graph-to-graph passes."""
    options = options or Options()
    for _ in range(MAX_ROUNDS):
        before = graph
        for apply_pass in PIPELINE:
            graph = simplify(graph, fast_math=options.fast_math) if apply_pass is simplify else apply_pass(graph)
            if options.verify:
                verify(graph, apply_pass.__name__)
        if graph is before:
            break
    return graph


# Code for one set of sizes.


def _native(graph: Graph, sizes: Mapping[str, int], options: Options) -> Specialization:
    start = time.perf_counter()
    bound = _bound(graph, sizes)
    # To look at new values before they count, compute them as outputs.
    source = Graph(bound.inputs, bound.results, (), bound.name) if options.check_nan else bound
    optimized = optimize(source, options)
    prepared = materialize(optimized)
    if options.verify:
        verify(prepared, "materialize")
    groups = fuse(prepared)
    lowered = lower(prepared, groups, host())
    program = lowered.program
    llvm = emit_module(program, host())
    machine = Machine(llvm, program.name, host())
    cost = program_cost(program, lowered.live_bytes)
    work = cost.flops + TRANSCENDENTAL_FLOPS * cost.transcendentals + cost.bytes
    signature = Signature(program.outputs, program.constants, program.arena_bytes, work)
    cells = _cells(bound if options.check_nan else prepared)
    runner = NativeRunner(
        machine,
        signature,
        _cells(prepared),
        lowered.sites,
        len(program.inputs),
        locked=cells,
        finish=_NaNGuard(bound) if options.check_nan else None,
    )
    stages = {
        "optimized": lambda: optimized,
        "fused": lambda: "\n".join(map(str, groups)),
        "kernels": lambda: program_text(program),
        "llvm": lambda: llvm,
        "asm": lambda: assembly(llvm, host()),
        "cost": lambda: cost,
    }
    return Specialization(sizes, runner, time.perf_counter() - start, stages)


def _eager(graph: Graph, sizes: Mapping[str, int], options: Options) -> Specialization:
    start = time.perf_counter()
    bound = _bound(graph, sizes)
    return Specialization(sizes, _EagerRunner(bound, options), time.perf_counter() - start, {})


def _bound(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    bound = bind_sizes(graph, sizes)
    for variable, value in bound.updates:
        if variable.type != value.type:
            with located_at(value.location):
                raise ShapeError(
                    f"compile: the update of {_called(variable)} must be {variable.type}, got {value.type}"
                )
    return bound


def _cells(graph: Graph) -> list[Cell]:
    return [v.attrs["state"] for v in graph.variables]


class _EagerRunner:
    """The graph itself, node by node."""

    def __init__(self, graph: Graph, options: Options) -> None:
        self._graph = graph
        self._variables = graph.variables
        self._cells = _cells(graph)
        self._guard = _NaNGuard(graph) if options.check_nan else None

    def run(self, arrays: Sequence[np.ndarray[Any, Any]]) -> Sequence[np.ndarray[Any, Any]]:
        graph = self._graph
        with holding(self._cells):
            before = {v: c.array.copy() for v, c in zip(self._variables, self._cells, strict=True)}
            results = evaluate(graph, arrays, before)
            if self._guard is not None:
                return self._guard(arrays, results)
            for (variable, _), value in zip(graph.updates, results[len(graph.outputs) :], strict=True):
                variable.attrs["state"].array[...] = value
        # A result may be a view of an input or of a constant; the caller gets an array of its own.
        return [np.array(r, copy=True) for r in results[: len(graph.outputs)]]


class _NaNGuard:
    """Looks at the results of a call before they count; stores the new values of variables if there is no NaN."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(
        self, arrays: Sequence[np.ndarray[Any, Any]], results: Sequence[np.ndarray[Any, Any]]
    ) -> Sequence[np.ndarray[Any, Any]]:
        graph = self._graph
        if any(_has_nan(r) for r in results):
            raise self._blame(arrays)
        for (variable, _), value in zip(graph.updates, results[len(graph.outputs) :], strict=True):
            variable.attrs["state"].array[...] = value
        return results[: len(graph.outputs)]

    def _blame(self, arrays: Sequence[np.ndarray[Any, Any]]) -> NaNError:
        """Find the first operation that made a NaN out of none, by evaluating node by node."""
        spoiled: set[Node] = set()
        first: list[Node] = []

        def look(node: Node, value: Any) -> None:
            if not isinstance(value, tuple) and _has_nan(value):
                if not any(i in spoiled for i in node.inputs):
                    first.append(node)
                spoiled.add(node)

        evaluate(self._graph, arrays, {v: v.attrs["state"].array for v in self._graph.variables}, look)
        if not first:
            return NaNError(f"{self._graph.name}: a result is NaN")
        node = first[0]
        if "name" in node.attrs:
            return NaNError(f"{self._graph.name}: {_called(node)} contains NaN", node.location)
        return NaNError(f"{self._graph.name}: {node.op.name} gave NaN ({node.type})", node.location)


def _has_nan(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind == "f" and bool(np.isnan(array).any())


# What the user gave.


def _checked_options(options: Options | None) -> Options:
    if options is None:
        options = Options()
    if not isinstance(options, Options):
        raise ArgumentError(f"compile: options must be a gx.Options, got {options!r}")
    if os.environ.get("GRAPHC_VERIFY", "") not in ("", "0"):
        options = replace(options, verify=True)
    return options


def _input_nodes(inputs: Sequence[Tensor]) -> tuple[Node, ...]:
    if isinstance(inputs, Tensor) or not isinstance(inputs, list | tuple):
        raise ArgumentError(f"compile: inputs must be a list of placeholders, got {inputs!r}")
    nodes: dict[str, Node] = {}
    for k, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor) or tensor.node.op is not placeholder:
            hint = "; a variable is state, not an input" if isinstance(tensor, Variable) else ""
            raise ArgumentError(f"compile: input {k} must be a placeholder, got {tensor!r}{hint}")
        name = tensor.node.attrs["name"]
        if name in nodes:
            what = "is listed twice" if nodes[name] is tensor.node else "has the name of another input"
            raise ArgumentError(f"compile: input {k}, {name}, {what}")
        nodes[name] = tensor.node
    return tuple(nodes.values())


def _output_node(leaf: Any, path: str) -> Node:
    try:
        return asarray(leaf).node
    except GraphcError as error:
        raise ArgumentError(f"compile: output{path} must be a Tensor or an array: {error.message}") from None


def _update(variable: Variable, value: Any) -> tuple[Node, Node]:
    if not isinstance(variable, Variable):
        raise ArgumentError(f"compile: updates maps variables to new values, got the key {variable!r}")
    try:
        # A number takes the variable's dtype.
        node = asarray(value, dtype=None if isinstance(value, Tensor | np.ndarray) else variable.dtype).node
    except GraphcError as error:
        raise ArgumentError(f"compile: the update of {_called(variable.node)}: {error.message}") from None
    if node.dtype != variable.dtype:
        raise DTypeError(
            f"compile: the update of {_called(variable.node)} must be {variable.node.type}, got {node.type}; "
            f"convert it with .astype({variable.dtype.name!r})",
            node.location,
        )
    fits = len(node.shape) == len(variable.shape) and all(
        a == b or isinstance(a, Dim) for a, b in zip(node.shape, variable.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"compile: the update of {_called(variable.node)} must be {variable.node.type}, got {node.type}",
            node.location,
        )
    return variable.node, node


def _called(node: Node) -> str:
    return f"{node.op.name} {node.attrs['name']}"


def _replaced(graph: Graph, givens: Mapping[Tensor, Any]) -> Graph:
    new: dict[Node, Node] = {}
    for tensor, value in givens.items():
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"compile: givens maps Tensors to replacements, got the key {tensor!r}")
        node = asarray(value, dtype=None if isinstance(value, Tensor | np.ndarray) else tensor.dtype).node
        if node.type != tensor.node.type:
            raise ShapeError(f"compile: the replacement of {tensor!r} must be {tensor.node.type}, got {node.type}")
        new[tensor.node] = node
    given = set(new)
    for node in toposort(graph.results):
        if node not in given:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    updates = tuple((v, new[r]) for v, r in graph.updates)
    return Graph(graph.inputs, tuple(new[o] for o in graph.outputs), updates, graph.name)


def _require_listed(graph: Graph) -> None:
    """Every placeholder that the results need is an input, and every unknown size is measured by one."""
    for node in graph.nodes:
        if node.op is placeholder and node not in graph.inputs:
            raise ArgumentError(
                f"compile: the outputs need {_called(node)} ({node.type}), which is not among the inputs; "
                "list it, or replace it with givens",
                node.location,
            )
    measured = {str(d) for n in graph.inputs for d in n.shape if isinstance(d, Dim)}
    loose = _symbols(graph) - measured
    if loose:
        raise ArgumentError(f"compile: no input has the dimension {', '.join(sorted(loose))}, so it cannot be measured")


def _symbols(graph: Graph) -> set[str]:
    """Return the names of all unknown sizes."""
    names: set[str] = set()
    for node in (*graph.inputs, *graph.nodes):
        for type in _tensor_types(node):
            if not type.is_static:
                names |= symbols_of(type.shape)
    return names


def _tensor_types(node: Node) -> tuple[TensorType, ...]:
    return (node.type,) if isinstance(node.type, TensorType) else node.type.items
