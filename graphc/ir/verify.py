"""The verifier: what holds between passes, for graphs and for kernels. A violation is a fault of graphc, not of a user.

Of a graph:
 1. Its inputs are distinct placeholders, and every placeholder that its results need is among them.
 2. An update pairs a variable with a value of exactly its type, each variable once.
 3. Every op is a registered one, every attribute is hashable, every array attribute is read-only.
 4. Every node has as many inputs as its op takes, and the type that the op infers from theirs.
 5. A node with several results is read by `item` only and is no result itself.
 6. The body of a region op is such a graph too, without variables, so it is closed: an outside value is an input.
 7. In an interned graph (after cse), no two nodes are the same.

Of a kernel:
 1. Every variable is bound by a For or Let around or before its use in the same or an enclosing block, and once.
 2. Every buffer is a parameter (an ARGUMENT) or brought into being by an Alloc (STACK or REGISTER), once; its shape is
    static.
 3. A For has an i64 variable and an extent of at least 1.
 4. An index has one i64 expression for each axis. Where it is affine in loop variables and neither masked nor under an
    If, it lies within the buffer.
 5. A scalar operation is a primitive, one of the C library, or a Function of the program, on operands and with a result
    of the dtypes that it takes. A condition, a mask and a check are bool; a fill, a stored or accumulated value and the
    value of a Let have the dtype of what takes them.
 6. An index of a REGISTER buffer is made of constants and UNROLL variables, but for one that may also have a VECTOR
    variable: the last, or in a Load any one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError, InternalError
from graphc.ir.graph import OPS, Graph, Literal, Node, item, placeholder, variable
from graphc.ir.intern import Interner, attr_key, bodies_of, operand_count
from graphc.ir.loops import (
    CHOICES,
    COMPARISONS,
    LIBM,
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
    LoopKind,
    Space,
    Stmt,
    Store,
    Var,
    expressions,
    walk_expressions,
)
from graphc.ir.types import BOOL, INT64, TensorType


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
    count = operand_count(node.op)
    fits = count is None or count == len(node.inputs)
    _require(fits, graph, f"{name} takes {count} operands, not {len(node.inputs)}", node)
    try:
        inferred = node.op.infer(*[i.type for i in node.inputs], **node.attrs)
    except (GraphcError, TypeError, ValueError, KeyError) as e:
        message = e.message if isinstance(e, GraphcError) else str(e)
        raise _Violation(f"{graph.name}: {name} has no valid type: {message}", node.location) from None
    _require(inferred == node.type, graph, f"{name} should have type {inferred}", node)


def _called(node: Node) -> str:
    name = node.attrs.get("name")
    return f"{node.op.name} {name}: {node.type}" if name is not None else f"{node.op.name}: {node.type}"


Functions = Mapping[tuple[str, np.dtype[Any]], Function]

SIGNATURES: dict[str, tuple[int, str]] = {
    **dict.fromkeys(COMPARISONS, (2, "fiub")),
    **dict.fromkeys(("add", "sub", "mul"), (2, "fiu")),
    **dict.fromkeys(("min", "max"), (2, "fiub")),
    **dict.fromkeys(("div", "copysign"), (2, "f")),
    **dict.fromkeys(("neg", "abs"), (1, "fiu")),
    **dict.fromkeys(("quot", "rem", "shl", "shr"), (2, "iu")),
    **dict.fromkeys(("sqrt", "floor", "ceil", "trunc", "rint"), (1, "f")),
    **dict.fromkeys(("and", "or", "xor"), (2, "iub")),
    "fma": (3, "f"),
    "not": (1, "iub"),
    "select": (3, "fiub"),
    "rarely": (3, "fiub"),
    "cast": (1, "fiub"),
    "bitcast": (1, "fiu"),
}
"""How many operands a primitive has, and of which kinds of dtypes."""

ACCUMULATED = ("add", "mul", "min", "max", "and", "or", "xor")


def verify_kernel(kernel: Kernel, functions: Functions | None = None) -> None:
    """Raise InternalError where `kernel` breaks an invariant of this module.

    Without `functions`, every name that is no primitive is taken to be a Function.
    """
    _KernelVerifier(kernel, functions).run()


class _KernelVerifier:
    def __init__(self, kernel: Kernel, functions: Functions | None) -> None:
        self.kernel = kernel
        self.functions = functions
        self.loops: dict[Var, For] = {}
        self.bound: set[Var] = set()
        self.buffers: set[Buffer] = set()
        self.conditions = 0

    def require(self, holds: bool, message: str) -> None:
        if not holds:
            raise InternalError(f"kernel {self.kernel.name}: {message}")

    def run(self) -> None:
        for buffer in self.kernel.params:
            self.require(buffer.space is Space.ARGUMENT, f"parameter {buffer.name} is no ARGUMENT")
            self.declare(buffer)
        self.block(self.kernel.body)

    def declare(self, buffer: Buffer) -> None:
        self.require(buffer not in self.buffers, f"buffer {buffer.name} is declared twice")
        self.require(buffer.type.is_static, f"buffer {buffer.name}: {buffer.type} has an unknown size")
        self.buffers.add(buffer)

    def bind(self, var: Var) -> None:
        self.require(var not in self.bound, f"variable {var.name} is bound twice")
        self.bound.add(var)

    def block(self, stmt: Stmt) -> None:
        bound, buffers = set(self.bound), set(self.buffers)
        for part in stmt.body if isinstance(stmt, Block) else (stmt,):
            self.statement(part)
        self.bound, self.buffers = bound, buffers

    def statement(self, stmt: Stmt) -> None:
        self.expressions(expressions(stmt))
        match stmt:
            case Block():
                self.block(stmt)
            case For():
                self.loop(stmt)
            case If(condition, body):
                self.require(condition.dtype == BOOL, f"a condition is {condition.dtype}")
                self.conditions += 1
                self.block(body)
                self.conditions -= 1
            case Let(var, value):
                self.require(var.dtype == value.dtype, f"variable {var.name} is {var.dtype}, its value {value.dtype}")
                self.bind(var)
            case Alloc(buffer):
                self.require(buffer.space is not Space.ARGUMENT, f"buffer {buffer.name} is an ARGUMENT and allocated")
                self.declare(buffer)
            case Check(ok, site, value):
                self.require(ok.dtype == BOOL, f"check {site} is {ok.dtype}")
                self.require(site >= 0 and value.dtype.kind in "iu", f"check {site} reports a {value.dtype}")
            case Store(buffer, index, value) | Accumulate(buffer, index, _, value):
                self.element(buffer, index, is_masked=False)
                self.register_indices(buffer, index, is_read=False)
                expected = buffer.type.dtype
                self.require(value.dtype == expected, f"buffer {buffer.name} is {buffer.type}, stored {value.dtype}")
                if isinstance(stmt, Accumulate):
                    self.require(stmt.op in ACCUMULATED, f"buffer {buffer.name} accumulates with {stmt.op}")

    def loop(self, loop: For) -> None:
        name = loop.var.name
        self.require(loop.var.dtype == INT64, f"loop variable {name} is {loop.var.dtype}")
        self.require(isinstance(loop.extent, int) and loop.extent >= 1, f"loop {name} has extent {loop.extent}")
        bound = set(self.bound)
        self.bind(loop.var)
        self.loops[loop.var] = loop
        self.block(loop.body)
        self.bound = bound

    def expressions(self, roots: Sequence[Expr]) -> None:
        for expr in walk_expressions(roots):
            match expr:
                case Var():
                    self.require(expr in self.bound, f"variable {expr.name} is used out of scope")
                case Load(buffer, index, mask, fill):
                    self.element(buffer, index, is_masked=mask is not None)
                    self.register_indices(buffer, index, is_read=True)
                    self.require(mask is None or mask.dtype == BOOL, f"buffer {buffer.name}: a mask is no bool")
                    fits = fill is None or fill.dtype == buffer.type.dtype
                    self.require(fits, f"buffer {buffer.name} is {buffer.type} and filled with another dtype")
                case Apply():
                    self.operation(expr)

    def operation(self, expr: Apply) -> None:
        dtypes = [a.dtype for a in expr.args]
        text = f"{expr.op}({', '.join([str(d) for d in dtypes])}) -> {expr.dtype}"
        if expr.op in SIGNATURES:
            count, kinds = SIGNATURES[expr.op]
            self.require(len(dtypes) == count and all(d.kind in kinds + "b" for d in dtypes[:1]), text)
            self.require(all(d.kind in kinds for d in dtypes[expr.op in CHOICES :]), text)
            self.require(_has_result(expr.op, dtypes, expr.dtype), text)
            return
        function = self.functions.get((expr.op, dtypes[0])) if self.functions is not None and dtypes else None
        if function is not None:
            fits = [p.dtype for p in function.params] == dtypes and function.dtype == expr.dtype
            self.require(fits, f"{text} does not fit the function")
        elif expr.op in LIBM:
            is_float = expr.dtype.kind == "f" and all(d == expr.dtype for d in dtypes)
            self.require(is_float, f"{text} of the C library takes and gives one float dtype")
        else:
            self.require(self.functions is None, f"{text}: there is no such operation")

    def element(self, buffer: Buffer, index: Sequence[Expr], is_masked: bool) -> None:
        name, shape = buffer.name, buffer.shape
        self.require(buffer in self.buffers, f"buffer {name} is used out of scope")
        self.require(len(index) == len(shape), f"buffer {name}: {buffer.type} has an index of {len(index)} expressions")
        for axis, (expr, size) in enumerate(zip(index, shape, strict=True)):
            self.require(expr.dtype == INT64, f"buffer {name}: an index is {expr.dtype}")
            affine = _affine(expr)
            is_certain = affine is not None and all(v in self.loops for v in affine[0])
            if affine is not None and is_certain and not is_masked and not self.conditions:
                low, high = self.range(*affine)
                inside = low >= 0 and high < size
                self.require(inside, f"buffer {name}: index {axis} is {low} to {high} on an axis of size {size}")

    def range(self, factors: Mapping[Var, int], offset: int) -> tuple[int, int]:
        ends = [(0, f * (self.loops[v].extent - 1)) for v, f in factors.items()]
        return offset + sum([min(e) for e in ends]), offset + sum([max(e) for e in ends])

    def register_indices(self, buffer: Buffer, index: Sequence[Expr], is_read: bool) -> None:
        if buffer.space is not Space.REGISTER:
            return
        message = f"register {buffer.name}: an index is no constant once loops are unrolled"
        along: list[int] = []
        for axis, expr in enumerate(index):
            affine = _affine(expr)
            self.require(affine is not None, message)
            factors = affine[0] if affine is not None else {}
            kinds = [(self.loops[v].kind if v in self.loops else None, f) for v, f in factors.items() if f]
            others = [(k, f) for k, f in kinds if k is not LoopKind.UNROLL]
            self.require(not others or others == [(LoopKind.VECTOR, 1)], message)
            along += [axis] if others else []
        self.require(not along or (len(along) == 1 and (is_read or along == [len(index) - 1])), message)


def _has_result(op: str, args: Sequence[np.dtype[Any]], result: np.dtype[Any]) -> bool:
    if op == "cast":
        return True
    if op == "bitcast":
        return args[0].itemsize == result.itemsize
    if op in CHOICES:
        return args[0] == BOOL and args[1] == args[2] == result
    return all(d == args[0] for d in args) and result == (BOOL if op in COMPARISONS else args[0])


def _affine(root: Expr) -> tuple[dict[Var, int], int] | None:
    """Return factors and offset if an expression is a sum of variables times constants, None for any other."""
    factors: dict[Var, int] = {}
    offset = 0
    stack = [(root, 1)]
    while stack:
        expr, scale = stack.pop()
        match expr:
            case Const(value, _):
                offset += scale * value
            case Var():
                factors[expr] = factors.get(expr, 0) + scale
            case Apply("add", (a, b), _):
                stack += [(a, scale), (b, scale)]
            case Apply("sub", (a, b), _):
                stack += [(a, scale), (b, -scale)]
            case Apply("neg", (a,), _):
                stack.append((a, -scale))
            case Apply("mul", (a, Const(value, _)), _) | Apply("mul", (Const(value, _), a), _):
                stack.append((a, scale * value))
            case _:
                return None
    return factors, offset
