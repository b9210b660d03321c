"""Reads the text that graphc.ir.loop_text writes: a kernel from Python syntax, parsed with `ast` and never executed."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir.loop_text import COMPARED, LOOPS, SIGNS, leading_dtype, result_dtype
from graphc.ir.loops import (
    CHOICES,
    Accumulate,
    Alloc,
    Apply,
    Block,
    Buffer,
    Check,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    const,
)
from graphc.ir.syntax import Unreadable, number_of, type_of, value_of
from graphc.ir.types import BOOL, DTYPES, INT64

BINARY = {
    ast.BitOr: "or", ast.BitXor: "xor", ast.BitAnd: "and", ast.LShift: "shl", ast.RShift: "shr",
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
}  # fmt: skip
COMPARISON = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
UNARY = {ast.USub: "neg", ast.Invert: "not"}
assert set(BINARY.values()) == set(SIGNS)
assert set(COMPARISON.values()) == set(COMPARED)


def kernel_from_text(text: str) -> Kernel:
    """Return the kernel that `text` describes; raise ArgumentError, naming the line, for what is none.

    >>> kernel = kernel_from_text('''
    ... def double(x: i64[3]):
    ...     for i in range(3):
    ...         x[i] = i + i
    ... ''')
    >>> kernel.name, kernel.params[0].shape, kernel.body.extent
    ('double', (3,), 3)
    """
    try:
        tree = ast.parse(text)
        if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
            raise Unreadable(tree, "the text must be one def")
        return _Reader().kernel(tree.body[0])
    except SyntaxError as e:
        line, message = e.lineno or 1, e.msg
    except Unreadable as e:
        line, message = e.line, e.message
    raise ArgumentError(f"kernel_from_text: line {line}: {message}")


class _Reader:
    def __init__(self) -> None:
        self.scope: dict[str, Buffer | Expr] = {}

    def kernel(self, tree: ast.FunctionDef) -> Kernel:
        params = [self.parameter(a) for a in tree.args.args]
        name = tree.name
        match tree.decorator_list:
            case [ast.Call(func=ast.Name(id="named"), args=[ast.Constant(value=str(given))])]:
                name = given
        return Kernel(name, tuple(params), self.body(tree.body))

    def parameter(self, argument: ast.arg) -> Buffer:
        name, written = argument.arg, argument.annotation
        match written:
            case ast.Call(func=ast.Name(id="named"), args=[given, written]):
                name = value_of(given, {})
        if not isinstance(written, ast.expr):
            raise Unreadable(argument, f"{argument.arg} needs a type")
        buffer = Buffer(name, type_of(written))
        self.scope[argument.arg] = buffer
        return buffer

    def body(self, trees: Sequence[ast.stmt]) -> Stmt:
        outside = dict(self.scope)
        stmts = [s for t in trees if (s := self.statement(t)) is not None]
        self.scope = outside
        return stmts[0] if len(stmts) == 1 else Block(tuple(stmts))

    def statement(self, tree: ast.stmt) -> Stmt | None:
        match tree:
            case ast.Pass():
                return None
            case ast.For():
                return self.loop(tree)
            case ast.If(test=test, body=body, orelse=[]):
                condition = self.expr(test)
                return If(condition, self.body(body))
            case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="block")))], body=body):
                inner = self.body(body)
                return inner if isinstance(inner, Block) else Block((inner,))
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.scope[name] = self.expr(value)
                return None
            case ast.Assign(targets=[ast.Subscript() as target], value=value):
                buffer, index = self.element(target)
                return Store(buffer, index, self.expr(value, buffer.type.dtype))
            case ast.AugAssign(target=ast.Subscript() as target, op=op, value=value) if type(op) in BINARY:
                buffer, index = self.element(target)
                return Accumulate(buffer, index, BINARY[type(op)], self.expr(value, buffer.type.dtype))
            case ast.AnnAssign(target=ast.Name(id=name)):
                return self.declaration(name, tree)
            case ast.Expr(value=ast.Call() as call):
                return self.command(call)
        raise Unreadable(tree, "not a statement of the loop IR")

    def loop(self, tree: ast.For) -> For:
        match tree:
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=int(extent))]),
            ) if kind in LOOPS:
                var = Var(name)
                outside = dict(self.scope)
                self.scope[name] = var
                body = self.body(tree.body)
                self.scope = outside
                return For(var, extent, body, LOOPS[kind])
        raise Unreadable(tree, f"a loop is: for name in {' | '.join(LOOPS)}(extent)")

    def declaration(self, name: str, tree: ast.AnnAssign) -> Stmt:
        match tree:
            case ast.AnnAssign(annotation=ast.Call(func=ast.Name(id=space), args=[written]), value=None):
                buffer = Buffer(name, type_of(written), Space(space))
                self.scope[name] = buffer
                return Alloc(buffer)
            case ast.AnnAssign(annotation=ast.Name(id=dtype), value=ast.expr() as value) if dtype in DTYPES:
                var = Var(name, DTYPES[dtype])
                result = Let(var, self.expr(value))
                self.scope[name] = var
                return result
        raise Unreadable(tree, f"{name} is declared neither as register(type) or stack(type) nor as dtype = value")

    def command(self, tree: ast.Call) -> Stmt:
        match tree:
            case ast.Call(func=ast.Attribute(value=ast.Subscript() as target, attr=op), args=[value]):
                buffer, index = self.element(target)
                return Accumulate(buffer, index, op, self.expr(value, buffer.type.dtype))
            case ast.Call(
                func=ast.Name(id="check"),
                args=[ok],
                keywords=[ast.keyword(arg="site", value=ast.Constant(value=int(site))), ast.keyword(value=value)],
            ):
                return Check(self.expr(ok), site, self.expr(value))
        raise Unreadable(tree, f"{ast.unparse(tree)} is not a statement of the loop IR")

    def element(self, tree: ast.Subscript) -> tuple[Buffer, tuple[Expr, ...]]:
        buffer = self.scope.get(tree.value.id) if isinstance(tree.value, ast.Name) else None
        if not isinstance(buffer, Buffer):
            raise Unreadable(tree, f"{ast.unparse(tree.value)} is not a buffer")
        index = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        return buffer, tuple([self.expr(i) for i in index])

    def expr(self, tree: ast.expr, dtype: np.dtype[Any] = INT64) -> Expr:
        """Return an expression; `dtype` is that of a bare number in this place."""
        number = number_of(tree)
        if number is not None:
            return const(number, dtype)
        match tree:
            case ast.Name(id=name):
                found = self.scope.get(name)
                if found is None or isinstance(found, Buffer):
                    raise Unreadable(tree, f"{name} is not a value")
                return found
            case ast.Subscript():
                return Load(*self.element(tree))
            case ast.IfExp(test=test, body=ast.Subscript() as element, orelse=orelse):
                buffer, index = self.element(element)
                has_fill = not (isinstance(orelse, ast.Constant) and orelse.value is None)
                fill = self.expr(orelse, buffer.type.dtype) if has_fill else None
                return Load(buffer, index, self.expr(test, BOOL), fill)
        return self.apply(tree)

    def apply(self, tree: ast.expr) -> Expr:
        match tree:
            case ast.BinOp(left=a, op=sign, right=b) if type(sign) in BINARY:
                return self.operation(tree, BINARY[type(sign)], [a, b])
            case ast.Compare(left=a, ops=[comparison], comparators=[b]) if type(comparison) in COMPARISON:
                return self.operation(tree, COMPARISON[type(comparison)], [a, b])
            case ast.UnaryOp(op=unary, operand=a) if type(unary) in UNARY:
                return self.operation(tree, UNARY[type(unary)], [a])
            case ast.Call(func=ast.Name(id=name), args=[a]) if name in DTYPES:
                return self.expr(a, DTYPES[name])
            case ast.Call(func=ast.Name(id=op), args=args, keywords=[]):
                return self.operation(tree, op, args)
            case ast.Call(
                func=ast.Name(id=op), args=args, keywords=[ast.keyword(arg="dtype", value=ast.Name(id=name))]
            ):
                return self.operation(tree, op, args, DTYPES[name])
        raise Unreadable(tree, f"{ast.unparse(tree)} is not an expression of the loop IR")

    def operation(
        self, tree: ast.expr, op: str, trees: Sequence[ast.expr], dtype: np.dtype[Any] | None = None
    ) -> Apply:
        given = [self.expr(t) if number_of(t) is None else None for t in trees]
        leading = leading_dtype(op, [None if g is None else g.dtype for g in given])
        places = [BOOL if op in CHOICES and k == 0 and dtype is None else leading for k in range(len(trees))]
        args = [g if g is not None else self.expr(t, place) for g, t, place in zip(given, trees, places, strict=True)]
        result = dtype or result_dtype(op, [a.dtype for a in args])
        if result is None:
            raise Unreadable(tree, f"{op} needs a dtype: {op}(..., dtype=f32)")
        return Apply(op, tuple(args), result)
