"""The verifier: what holds between passes, for graphs and for kernels. A violation is a fault of graphc, not of a user.

Of a graph:
 1. Its inputs are distinct placeholders, and every placeholder that its results need is among them.
 2. An update pairs a variable with a value of exactly its type, each variable once.
 3. Every op is a registered one, every attribute is hashable, every array attribute is read-only.
 4. Every node has the type that its op infers from the types of its inputs.
 5. A node with several results is read by `item` only and is no result itself.
 6. The body of a region op is such a graph too, without variables, so it is closed: an outside value is an input.
 7. In an interned graph (after cse), no two nodes are the same.
"""

from __future__ import annotations

from graphc.errors import GraphcError, InternalError
from graphc.ir.graph import OPS, Graph, Literal, Node, item, placeholder, variable
from graphc.ir.intern import Interner, attr_key, bodies_of
from graphc.ir.types import TensorType


def verify(graph: Graph, stage: str = "", *, interned: bool = False) -> None:
    """Raise InternalError, naming the stage after which it is so, where `graph` breaks an invariant of this module.

    >>> import graphc.ops
    >>> from graphc.ir.text import from_text
    >>> good = from_text("def f(x: f32[3]): return (mul(x, x),)")
    >>> verify(good)
    >>> verify(Graph((), good.outputs), stage="cse")
    Traceback (most recent call last):
      ...
    graphc.errors.InternalError: after cse: graph: placeholder x: f32[3] is not an input of the graph
      at <text>:1
    """
    try:
        _verify_graph(graph, interned)
    except _Violation as violation:
        where = f"after {stage}: " if stage else ""
        raise InternalError(f"{where}{violation.message}", violation.location) from None


class _Violation(InternalError):
    pass


def _require(holds: bool, graph: Graph, message: str, node: Node | None = None) -> None:
    if not holds:
        raise _Violation(f"{graph.name}: {message}", node.location if node is not None else None)


def _verify_graph(graph: Graph, interned: bool) -> None:
    _verify_interface(graph)
    inputs = set(graph.inputs)
    table = Interner()
    checked: set[Graph] = set()
    for node in graph.nodes:
        if node.op is placeholder:
            _require(node in inputs, graph, f"{_called(node)} is not an input of the graph", node)
        _verify_node(graph, node)
        if interned:
            same = table.intern(node) is node
            _require(same, graph, f"two nodes are the same: {_called(node)}", node)
        for body in bodies_of(node):
            if body not in checked:
                checked.add(body)
                _verify_body(body, interned)


def _verify_body(body: Graph, interned: bool) -> None:
    _require(not body.updates, body, "a body has no updates")
    _require(not body.variables, body, "a body has no variables")
    _verify_graph(body, interned)


def _verify_interface(graph: Graph) -> None:
    for node in graph.inputs:
        _require(node.op is placeholder, graph, f"{_called(node)} is an input but no placeholder", node)
    _require(len(set(graph.inputs)) == len(graph.inputs), graph, "an input is listed twice")
    seen: set[Node] = set()
    for target, value in graph.updates:
        _require(target.op is variable, graph, f"{_called(target)} is updated but no variable", target)
        _require(target not in seen, graph, f"{_called(target)} is updated twice", target)
        same = target.type == value.type
        _require(same, graph, f"{_called(target)} is updated with a value of another type, {value.type}", value)
        seen.add(target)
    for node in graph.results:
        _require(isinstance(node.type, TensorType), graph, f"{_called(node)} has several results and is one", node)


def _verify_node(graph: Graph, node: Node) -> None:
    name = _called(node)
    _require(OPS.get(node.op.name) is node.op, graph, f"{name}: the op is not the registered one", node)
    for key, value in node.attrs.items():
        try:
            hash(attr_key(value))
        except TypeError:
            _require(False, graph, f"{name}: attribute {key} is not hashable", node)
        writeable = isinstance(value, Literal) and value.array.flags.writeable
        _require(not writeable, graph, f"{name}: the array in attribute {key} can be written to", node)
    for source in node.inputs:
        fits = node.op is item or isinstance(source.type, TensorType)
        _require(fits, graph, f"{name} reads {_called(source)}, which has several results, without item", node)
    try:
        inferred = node.op.infer(*[i.type for i in node.inputs], **node.attrs)
    except (GraphcError, TypeError, ValueError, KeyError) as e:
        message = e.message if isinstance(e, GraphcError) else str(e)
        raise _Violation(f"{graph.name}: {name} has no valid type: {message}", node.location) from None
    _require(inferred == node.type, graph, f"{name} should have type {inferred}", node)


def _called(node: Node) -> str:
    name = node.attrs.get("name")
    return f"{node.op.name} {name}: {node.type}" if name is not None else f"{node.op.name}: {node.type}"
