"""When two things are the same: structural keys of nodes, graphs and kernels, and the table that keeps one of each.

Two nodes are the same when they apply the same op with the same attributes to the same nodes and have the same type.
In an interned graph no two nodes are the same, so `is` means equal: hash-consing, kept by every rewrite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from graphc.ir.graph import Graph, Node, Op, constant, placeholder, variable
from graphc.ir.loops import (
    Accumulate,
    Alloc,
    Apply,
    Block,
    Buffer,
    Check,
    Const,
    Expr,
    For,
    Function,
    If,
    Kernel,
    Let,
    Load,
    Stmt,
    Store,
    Var,
    children,
    expressions,
)

Key = tuple[Hashable, ...]

_interned: WeakSet[Graph] = WeakSet()
_graph_keys: WeakKeyDictionary[Graph, Key] = WeakKeyDictionary()
_code_keys: WeakKeyDictionary[Kernel, tuple[str, frozenset[str]]] = WeakKeyDictionary()


def bodies_of(node: Node) -> Sequence[Graph]:
    """Return the graphs among the attributes of a region node; nothing for other nodes."""
    return tuple(node.bodies.values())


def operand_count(op: Op) -> int | None:
    """Return how many operands an op takes, None where its definition does not say: one derivative for each."""
    return len(op.vjp) if isinstance(op.vjp, tuple) else None


def attr_key(value: Any) -> Hashable:
    """Return what stands for an attribute in a key: it tells 0 from 0.0, -0.0 and False, and nan equals nan."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | np.generic):
        return (type(value), str(value))
    if isinstance(value, tuple):
        return tuple([v if type(v) is int else attr_key(v) for v in value])
    if isinstance(value, Graph):
        return graph_key(value)
    return value  # type: ignore[no-any-return]


def node_key(node: Node) -> Key:
    """Return a value that equals that of every node which is the same as this one.

    Inputs and variables are the same as themselves only; so will be random draws and effects once there are any.
    """
    if node.op is placeholder or node.op is variable:
        return (node,)
    attrs = node.attrs
    if not attrs:
        return (node.op, node.inputs, node.type)
    if len(attrs) == 1:
        ((name, value),) = attrs.items()
        return (node.op, node.inputs, node.type, name, attr_key(value))
    return (node.op, node.inputs, node.type, *[(k, attr_key(attrs[k])) for k in sorted(attrs)])


class Interner:
    """One node of each kind: `intern` returns the first node it saw that is the same as the one it is given."""

    def __init__(self) -> None:
        self._nodes: dict[Key, Node] = {}

    def intern(self, node: Node) -> Node:
        """Return the representative of `node`; its inputs must be representatives."""
        return self._nodes.setdefault(node_key(node), node)


def note_interned(graph: Graph) -> Graph:
    """Remember that no two nodes of a graph are the same; return it."""
    _interned.add(graph)
    return graph


def is_interned(graph: Graph) -> bool:
    """Tell whether it is known that no two nodes of a graph are the same."""
    return graph in _interned


def graph_key(graph: Graph) -> Key:
    """Return what identifies a graph without its nodes' identity: the same for graphs that are written alike.

    Where the nodes were written, names and the state of variables do not count, nor does whether equal constants are
    one node.
    """
    key = _graph_keys.get(graph)
    if key is None:
        key = _graph_keys[graph] = _graph_key(graph)
    return key


def _graph_key(graph: Graph) -> Key:
    position: dict[Node, Hashable] = {}
    for leaf in (*graph.inputs, *graph.variables):
        position[leaf] = len(position)
    leaves = tuple([(n.op, n.type) for n in position])
    rows: list[Key] = []
    for node in graph.nodes:
        if node in position:
            continue
        if node.op is constant:
            position[node] = node.attrs["value"]
            continue
        attrs = tuple([(k, attr_key(node.attrs[k])) for k in sorted(node.attrs)])
        position[node] = len(leaves) + len(rows)
        rows.append((node.op, tuple([position[i] for i in node.inputs]), attrs, node.type))
    outputs = tuple([position[o] for o in graph.outputs])
    updates = tuple([(position[k], position[v]) for k, v in graph.updates])
    return (len(graph.inputs), leaves, tuple(rows), outputs, updates)


def same_graph(a: Graph, b: Graph) -> bool:
    """Tell whether two graphs are written alike: inputs, nodes, sharing, results and bodies (see `graph_key`).

    >>> import graphc.ops
    >>> from graphc.ir.text import from_text
    >>> once, twice = (from_text(f"def f(x: f32[3]): return (mul(x, {k}.0),)") for k in (1, 2))
    >>> same_graph(once, once), same_graph(once, twice)
    (True, False)
    """
    return _names(a) == _names(b) and graph_key(a) == graph_key(b)


def _names(graph: Graph) -> list[Any]:
    return [n.attrs.get("name") for n in (*graph.inputs, *graph.variables)]


def kernel_key(kernel: Kernel) -> str:
    """Return a digest that two kernels share exactly when they differ in names alone.

    Neither does it count whether equal expressions are one object, or whether a single statement is a block. A variable
    or a buffer that is bound in two places is taken to be the same thing in both.
    """
    return _digest([code_key(kernel), str(kernel.ways), *[str(p.type) for p in kernel.params]])


def code_key(kernel: Kernel) -> str:
    """Return a digest that two kernels share exactly when the same code serves both: like `kernel_key`, but how often
    an outermost parallel loop runs does not count, nor with it how long the arrays are."""
    return _coded(kernel)[0]


def applied(kernel: Kernel) -> frozenset[str]:
    """Return the names of the scalar operations in a kernel."""
    return _coded(kernel)[1]


def _coded(kernel: Kernel) -> tuple[str, frozenset[str]]:
    found = _code_keys.get(kernel)
    if found is None:
        found = _code_keys[kernel] = _code_key(kernel)
    return found


def _code_key(kernel: Kernel) -> tuple[str, frozenset[str]]:
    numbers = _KernelKey()
    params = [f"{p.type.dtype} {p.type.shape[1:]}" for p in kernel.params]
    for buffer in kernel.params:
        numbers.of(buffer)
    body = kernel.body
    if kernel.ways is not None:
        assert isinstance(body, For)
        numbers.rows.append(f"range {numbers.of(body.var)}")
        body = body.body
    numbers.nested(body)
    return _digest([*params, *numbers.rows]), frozenset(numbers.applied)


@lru_cache(maxsize=1024)
def function_key(function: Function) -> tuple[str, frozenset[str]]:
    """Return a digest that two functions share exactly when they differ in names alone, and what they apply."""
    numbers = _KernelKey()
    for param in function.params:
        numbers.of(param)
    numbers.expr(function.result)
    return _digest([str(len(function.params)), *numbers.rows]), frozenset(numbers.applied)


def _digest(rows: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


class _KernelKey:
    """A kernel as rows of text in which variables, buffers and expressions are numbers in order of appearance."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.things: dict[Var | Buffer, int] = {}
        self.kinds: dict[Hashable, int] = {}
        self.done: dict[int, int] = {}
        self.applied: set[str] = set()

    def of(self, thing: Var | Buffer) -> int:
        return self.things.setdefault(thing, len(self.things))

    def expr(self, root: Expr) -> int:
        """Return the number of an expression; equal ones have the same."""
        stack = [root]
        while stack:
            expr = stack[-1]
            waiting = [c for c in children(expr) if id(c) not in self.done]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if id(expr) not in self.done:
                key = self.kind(expr)
                if key not in self.kinds:
                    self.kinds[key] = len(self.kinds)
                    self.rows.append(key)
                self.done[id(expr)] = self.kinds[key]
        return self.done[id(root)]

    def kind(self, expr: Expr) -> str:
        parts = [self.done[id(c)] for c in children(expr)]
        match expr:
            case Var():
                return f"var {self.of(expr)} {expr.dtype.str}"
            case Const(value, dtype):
                return f"const {value!r} {dtype.str}"
            case Load(buffer, index, mask, fill):
                return f"load {self.of(buffer)} {len(index)} {mask is not None} {fill is not None} {parts}"
            case Apply(op, _, dtype):
                self.applied.add(op)
                return f"{op} {dtype.str} {parts}"

    def statement(self, stmt: Stmt) -> None:
        parts = [self.expr(e) for e in expressions(stmt)]
        match stmt:
            case For(var, extent, body, kind):
                self.rows.append(f"for {self.of(var)} {extent} {kind.value}")
                self.nested(body)
            case If(_, body):
                self.rows.append(f"if {parts}")
                self.nested(body)
            case Block():
                self.nested(stmt)
            case Let(var, _):
                self.rows.append(f"let {self.of(var)} {var.dtype.str} {parts}")
            case Alloc(buffer):
                self.rows.append(f"alloc {self.of(buffer)} {buffer.type} {buffer.space.value}")
            case Store(buffer, _, _):
                self.rows.append(f"store {self.of(buffer)} {parts}")
            case Accumulate(buffer, _, op, _):
                self.rows.append(f"accumulate {self.of(buffer)} {op} {parts}")
            case Check(_, site, _):
                self.rows.append(f"check {site} {parts}")

    def nested(self, body: Stmt) -> None:
        stmts = body.body if isinstance(body, Block) else (body,)
        for stmt in stmts:
            self.statement(stmt)
        self.rows.append("end")
