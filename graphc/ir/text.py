"""The text of graphs: Python syntax that reads back as the same graph, parsed with `ast` and never executed.

    def loss(x: f32[batch, 64], y: i64[batch], *, w: f32[64, 10]):
        v0 = contract(x, w, spec="mk,kn->mn")
        v1 = maximum(v0, 0.0)
        ...
        return (v7,), {w: v9}

- Parameters are the inputs, after `*` the variables; `named("layer 1", f32[3])` where a name is no identifier.
- One line is one node. `v2 = v1[0]` is `item`. The body of a region op is a def before its first use.
- Constants of rank 0 stand in the place of operands; equal ones read back as one node. A bare number takes the dtype of
  the first operand that is not a bare number. Larger constants are `constant(f32[2], [1.0, 2.0])`, or the bytes of the
  array in base64.
- A name in an attribute is the symbol of a size: `shape=(batch, 10)`.
- The result is a tuple of outputs and, if there are any, a dict of updates.
"""

from __future__ import annotations

import ast
import base64
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, GraphcError, Location
from graphc.ir import dims
from graphc.ir.graph import OPS, Graph, Literal, Node, constant, item, placeholder, variable
from graphc.ir.intern import Key, bodies_of, graph_key, operand_count
from graphc.ir.syntax import Names, Unreadable, number_of, number_text, quoted, size_of, type_of, type_text, value_of
from graphc.ir.syntax import value_text as plain_value_text
from graphc.ir.types import DTYPE_NAMES, DTYPES, TensorType

SHORT = 16
"""The most elements of a constant that are written as numbers."""

WIDE = 110
"""The longest header that stays on one line."""


def to_text(graph: Graph, *, elide: bool = False, locations: bool = False, types: bool = False) -> str:
    """Return `graph` as Python source that `from_text` reads.

    With `elide`, long constants are written as `...`, for people: such text cannot be read back. `locations` adds the
    user's file and line to each node as a comment, `types` its type.

    >>> import graphc.ops
    >>> x = placeholder(name="x", type=TensorType(np.dtype("float32"), (3,)))
    >>> print(to_text(Graph((x,), (x * 2.0,), name="double")))
    def double(x: f32[3]):
        v0 = mul(x, 2.0)
        return (v0,)
    """
    names = _body_names(graph)
    return _Printer(names, elide=elide, locations=locations, types=types).graph(graph, set()) + "\n"


def _body_names(graph: Graph) -> dict[Graph, str]:
    """Return the names of a graph and of every body in it; bodies that are alike have the same."""
    defs = Names()
    names = {graph: defs.take(graph.name)}
    alike: dict[tuple[str, Key], str] = {}
    stack = [graph]
    while stack:
        for body in [b for node in stack.pop().nodes for b in bodies_of(node)]:
            if body not in names:
                key = (body.name, graph_key(body))
                if key not in alike:
                    alike[key] = defs.take(body.name)
                names[body] = alike[key]
                stack.append(body)
    return names


class _Printer:
    def __init__(self, defs: Mapping[Graph, str], *, elide: bool, locations: bool, types: bool) -> None:
        self.defs = defs
        self.hidden = frozenset(defs.values())
        self.elide = elide
        self.locations = locations
        self.types = types

    def graph(self, graph: Graph, visible: set[str]) -> str:
        names = Names()
        called = {n: names.take(_wanted(n)) for n in (*graph.inputs, *graph.variables)}
        visible = {*visible, self.defs[graph]}
        body: list[str] = []
        number = 0
        for node in graph.nodes:
            if node in called or _stands_inline(node):
                continue
            for inner in bodies_of(node):
                if self.defs[inner] not in visible:
                    body.append(self.graph(inner, visible))
                    visible.add(self.defs[inner])
            while (name := f"v{number}") in self.hidden or names.take(name) != name:
                number += 1
            called[node] = name
            number += 1
            body.append(self.line(node, called))
        body.append(f"return {self.results(graph, called)}")
        head = self.header(graph, called)
        return head + "".join([f"\n    {line}" for part in body for line in part.split("\n")])

    def header(self, graph: Graph, called: Mapping[Node, str]) -> str:
        parts = [self.parameter(n, called[n]) for n in graph.inputs]
        if graph.variables:
            parts += ["*", *[self.parameter(n, called[n]) for n in graph.variables]]
        name = self.defs[graph]
        decorator = "" if name == graph.name else f"@named({quoted(graph.name)})\n"
        one_line = f"{decorator}def {name}({', '.join(parts)}):"
        if len(one_line) <= WIDE:
            return one_line
        return f"{decorator}def {name}(\n" + "".join([f"    {p},\n" for p in parts]) + "):"

    def parameter(self, node: Node, name: str) -> str:
        text = type_text(node.tensor_type, self.hidden)
        given = node.attrs.get("name")
        return f"{name}: {text}" if given == name else f"{name}: named({plain_value_text(given)}, {text})"

    def line(self, node: Node, called: Mapping[Node, str]) -> str:
        text = called[node]
        if self.types and isinstance(node.type, TensorType):
            text += f": {type_text(node.type, self.hidden)}"
        text += f" = {self.expression(node, called)}"
        if self.locations and node.location is not None:
            text += f"  # {os.path.basename(node.location.file)}:{node.location.line}"
        return text

    def expression(self, node: Node, called: Mapping[Node, str]) -> str:
        if node.op is constant:
            return self.constant(node.attrs["value"].array)
        if node.op is item:
            return f"{called[node.inputs[0]]}[{node.attrs['index']}]"
        args = self.operands(node.inputs, called)
        args += [f"{k}={self.value(v)}" for k, v in node.attrs.items()]
        return f"{node.op.name}({', '.join(args)})"

    def operands(self, inputs: Sequence[Node], called: Mapping[Node, str]) -> list[str]:
        leading = next((i.type for i in inputs if i in called), None)
        dtype = leading.dtype if isinstance(leading, TensorType) else None
        return [
            called[i] if i in called else _scalar_text(i, bare=dtype is not None and i.dtype == dtype) for i in inputs
        ]

    def constant(self, array: np.ndarray[Any, Any]) -> str:
        head = type_text(TensorType(array.dtype, array.shape))
        if array.size <= SHORT and _reads_back(array):
            return f"constant({head}, {_nested(array)})"
        if self.elide:
            return f"constant({head}, ...)"
        return f'constant({head}, "{base64.b64encode(array.tobytes()).decode()}")'

    def value(self, value: Any) -> str:
        return self.defs[value] if isinstance(value, Graph) else plain_value_text(value, self.hidden)

    def results(self, graph: Graph, called: Mapping[Node, str]) -> str:
        outputs = [called[o] if o in called else _scalar_text(o, bare=False) for o in graph.outputs]
        text = f"({', '.join(outputs)}{',' if len(outputs) == 1 else ''})"
        if not graph.updates:
            return text
        new = [called[v] if v in called else _scalar_text(v, bare=False) for _, v in graph.updates]
        updates = [f"{called[k]}: {v}" for (k, _), v in zip(graph.updates, new, strict=True)]
        return f"{text}, {{{', '.join(updates)}}}"


def _wanted(node: Node) -> str:
    return str(node.attrs.get("name") or ("w" if node.op is variable else "x"))


def _stands_inline(node: Node) -> bool:
    return node.op is constant and not node.shape and _reads_back(node.attrs["value"].array)


def _reads_back(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether every NaN has the one bit pattern that `nan` reads back as."""
    if array.dtype.kind != "f":
        return True
    odd = array[np.isnan(array)]
    return bool(odd.tobytes() == np.full(odd.shape, np.nan, array.dtype).tobytes())


def _scalar_text(node: Node, bare: bool) -> str:
    text = number_text(node.attrs["value"].array[()], node.dtype)
    return text if bare else f"{DTYPE_NAMES[node.dtype]}({text})"


def _nested(array: np.ndarray[Any, Any]) -> str:
    if not array.ndim:
        return number_text(array[()], array.dtype)
    return f"[{', '.join([_nested(a) for a in array])}]"


def from_text(text: str, variables: Mapping[str, Node] | None = None) -> Graph:
    """Return the graph that `text` describes.

    `variables` gives the variable nodes to use, by the names they have in the text; without one, a variable has its
    name as its state. Types are inferred, and the errors are those of building the graph by hand. Raise ArgumentError,
    naming the line, for what is no graph.

    >>> import graphc.ops
    >>> from_text("def double(x: f32[3]): return (mul(x, 2.0),)").outputs
    (<mul: f32[3]>,)
    """
    reader = _Reader(variables or {})
    try:
        with np.errstate(over="ignore"):
            return reader.graph(*_statements(text, reader), {})
    except SyntaxError as e:
        line, message = e.lineno or 1, e.msg
    except Unreadable as e:
        line, message = e.line, e.message
    raise ArgumentError(f"from_text: line {reader.offset + line}: {message}")


def _statements(text: str, reader: _Reader) -> tuple[ast.FunctionDef, Iterable[ast.stmt]]:
    """Return the header of a def and its statements, parsed one by one: a syntax tree of 100,000 lines is too large.

    A statement begins on a line of the body's own indentation; deeper lines and closing brackets continue it.
    """
    lines = text.rstrip().split("\n")
    end = next((k + 1 for k, line in enumerate(lines) if line.endswith(":")), len(lines))
    several = end < len(lines)
    head = ast.parse("\n".join(lines[:end]) + (" pass" if several else ""))
    if len(head.body) != 1 or not isinstance(head.body[0], ast.FunctionDef):
        raise Unreadable(head, "the text must be one def")
    return head.body[0], _parsed(lines, end, reader) if several else head.body[0].body


def _parsed(lines: list[str], first: int, reader: _Reader) -> Iterator[ast.stmt]:
    body = next(line for line in lines[first:] if line.strip())
    margin = body[: len(body) - len(body.lstrip())]
    while first < len(lines):
        last = first + 1
        while last < len(lines) and _continues(lines[last], lines[last - 1], margin):
            last += 1
        reader.offset = first
        chunk = [line.removeprefix(margin) for line in lines[first:last]]
        yield from ast.parse("\n".join(chunk)).body
        first = last


def _continues(line: str, previous: str, margin: str) -> bool:
    rest = line.removeprefix(margin)
    return not rest.strip() or rest[0] in " )]}" or previous.startswith(f"{margin}@")


class _Reader:
    def __init__(self, variables: Mapping[str, Node]) -> None:
        self.variables = variables
        self.offset = 0
        """Lines before the statement that is being read."""

    def graph(self, tree: ast.FunctionDef, body: Iterable[ast.stmt], outside: Mapping[str, Graph]) -> Graph:
        defs = dict(outside)
        nodes: dict[str, Node] = {}
        scope = _Scope(nodes, defs, self)
        inputs = [self.parameter(a, placeholder) for a in tree.args.args]
        variables = [self.parameter(a, variable) for a in tree.args.kwonlyargs]
        names = [a.arg for a in tree.args.args + tree.args.kwonlyargs]
        nodes.update(zip(names, inputs + variables, strict=True))
        result: Graph | None = None
        offset = self.offset
        for statement in body:
            match statement:
                case ast.FunctionDef(name=name):
                    defs[name] = self.graph(statement, statement.body, defs)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    nodes[name] = scope.node(value)
                case ast.AnnAssign(target=ast.Name(id=name), annotation=written, value=ast.expr() as value):
                    nodes[name] = scope.node(value)
                    if nodes[name].type != type_of(written):
                        raise Unreadable(statement, f"{name} is {nodes[name].type}, not {ast.unparse(written)}")
                case ast.Return(value=ast.expr() as value):
                    outputs, updates = scope.results(value)
                    result = Graph(tuple(inputs), outputs, updates, _graph_name(tree))
                case _:
                    raise Unreadable(statement, "expected an assignment, a def or a return")
        if result is None:
            self.offset = offset
            raise Unreadable(tree, f"{tree.name} does not return")
        return result

    def parameter(self, argument: ast.arg, op: Any) -> Node:
        name: Any = argument.arg
        written = argument.annotation
        if op is variable and name in self.variables:
            return self.variables[name]
        match written:
            case ast.Call(func=ast.Name(id="named"), args=[given, written]):
                name = value_of(given, {})
        if not isinstance(written, ast.expr):
            raise Unreadable(argument, f"{argument.arg} needs a type")
        attrs = {"name": name, "type": type_of(written)}
        if op is variable:
            attrs["state"] = argument.arg
        return Node(op, (), attrs, attrs["type"], self.location(argument))

    def location(self, tree: ast.AST) -> Location:
        return Location("<text>", self.offset + getattr(tree, "lineno", 1))


class _Scope:
    """What the names in one def stand for."""

    def __init__(self, nodes: dict[str, Node], defs: dict[str, Graph], reader: _Reader) -> None:
        self.nodes = nodes
        self.defs = defs
        self.reader = reader
        self.scalars: dict[Literal | tuple[str, np.dtype[Any]], Node] = {}

    def node(self, tree: ast.expr) -> Node:
        if isinstance(tree, ast.Name):
            if tree.id not in self.nodes:
                raise Unreadable(tree, f"{tree.id} is not defined")
            return self.nodes[tree.id]
        match tree:
            case ast.Subscript(value=source, slice=index):
                return self.apply(tree, item.name, [self.node(source)], {"index": size_of(index)})
            case ast.Call(func=ast.Name(id="constant"), args=[written, value]):
                array = _array(type_of(written), value)
                return Node(constant, (), {"value": Literal(array)}, type_of(written), self.reader.location(tree))
            case ast.Call(func=ast.Name(id=name), args=[number]) if name in DTYPES:
                return self.scalar(number, number_of(number), DTYPES[name])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                attrs = {k.arg: value_of(k.value, self.defs) for k in keywords if k.arg is not None}
                return self.apply(tree, name, self.operands(args), attrs)
        raise Unreadable(tree, f"{ast.unparse(tree)} is not a node; write a number with its dtype, as in f32(1.0)")

    def operands(self, trees: list[ast.expr]) -> list[Node]:
        numbers = [number_of(t) for t in trees]
        given = [self.node(t) if n is None else None for t, n in zip(trees, numbers, strict=True)]
        leading = next((n for n in given if n is not None), None)
        if leading is None and trees:
            raise Unreadable(trees[0], "one operand must have a dtype; write a number as f32(1.0)")
        return [
            node if node is not None else self.scalar(tree, number, leading.dtype)  # type: ignore[union-attr]
            for tree, number, node in zip(trees, numbers, given, strict=True)
        ]

    def scalar(self, tree: ast.expr, number: bool | int | float | None, dtype: np.dtype[Any]) -> Node:
        written = (repr(number), dtype)
        if written not in self.scalars:
            value = Literal(_array(TensorType(dtype, ()), tree))
            node = Node(constant, (), {"value": value}, TensorType(dtype, ()), self.reader.location(tree))
            self.scalars[written] = self.scalars.setdefault(value, node)
        return self.scalars[written]

    def apply(self, tree: ast.expr, name: str, inputs: list[Node], attrs: dict[str, Any]) -> Node:
        op = OPS.get(name)
        if op is None:
            raise Unreadable(tree, f"there is no operation {name!r}")
        count = operand_count(op)
        if count is not None and count != len(inputs):
            raise Unreadable(tree, f"{name} takes {count} operands, not {len(inputs)}")
        try:
            type = op.infer(*[i.type for i in inputs], **attrs)
        except TypeError as e:
            if isinstance(e, GraphcError):
                raise
            raise Unreadable(tree, f"{ast.unparse(tree)}: {e}") from None
        return Node(op, tuple(inputs), attrs, type, self.reader.location(tree))

    def results(self, tree: ast.expr) -> tuple[tuple[Node, ...], tuple[tuple[Node, Node], ...]]:
        updates: tuple[tuple[Node, Node], ...] = ()
        match tree:
            case ast.Tuple(elts=[ast.Tuple() as outputs, ast.Dict(keys=keys, values=values)]):
                updates = tuple([(self.node(k), self.node(v)) for k, v in zip(keys, values, strict=True) if k])
            case ast.Tuple() as outputs:
                pass
            case _:
                raise Unreadable(tree, "return a tuple of outputs and, if there are any, a dict of updates")
        return tuple([self.node(o) for o in outputs.elts]), updates


def _graph_name(tree: ast.FunctionDef) -> str:
    match tree.decorator_list:
        case [ast.Call(func=ast.Name(id="named"), args=[ast.Constant(value=str(name))])]:
            return name
    return tree.name


def _array(type: TensorType, tree: ast.expr) -> np.ndarray[Any, Any]:
    match tree:
        case ast.Constant(value=str(encoded)):
            data = base64.b64decode(encoded)
            if len(data) != type.nbytes:
                raise Unreadable(tree, f"a constant {type} has {type.nbytes} bytes, not {len(data)}")
            return np.frombuffer(data, type.dtype).reshape(type.shape)
        case ast.Constant(value=value) if value is ...:
            raise Unreadable(tree, "this constant was left out when the text was made; use to_text without elide")
    numbers = _flat(tree)
    if len(numbers) != dims.product(type.shape):
        raise Unreadable(tree, f"a constant {type} has {type.size} elements, not {len(numbers)}")
    try:
        return np.array(numbers, type.dtype).reshape(type.shape)
    except OverflowError:
        raise Unreadable(tree, f"{ast.unparse(tree)} is out of the range of {type.dtype.name}") from None


def _flat(tree: ast.expr) -> list[bool | int | float]:
    if isinstance(tree, ast.List):
        return [number for element in tree.elts for number in _flat(element)]
    number = number_of(tree)
    if number is None:
        raise Unreadable(tree, f"{ast.unparse(tree)} is not a number")
    return [number]
