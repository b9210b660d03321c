"""Python syntax of names, numbers, sizes, types and attributes, shared by the text of graphs and of kernels.

Everything here is read back from `ast` nodes; nothing is executed. What is written reads back as the same value:
numbers to the last bit, sizes in the same normal form.
"""

from __future__ import annotations

import ast
import json
import keyword
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.types import DTYPE_NAMES, DTYPES, TensorType

RESERVED = frozenset((*DTYPES, *keyword.kwlist, "inf", "nan", "max", "min", "Dim", "named"))
"""Identifiers that mean something wherever a name may stand."""


class Names:
    """Hands out identifiers, each once, as close as possible to the name that was asked for.

    >>> names = Names()
    >>> [names.take(n) for n in ("x", "x", "layer 1", "for")]
    ['x', 'x_1', 'layer_1', 'for_']
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {*taken, *RESERVED}
        self._count: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """Return an unused identifier like `wanted`."""
        name = stem = _identifier(wanted)
        count = self._count.get(stem, 0)
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._count[stem] = count
        self._taken.add(name)
        return name

    def release(self, name: str) -> None:
        """Make a name available again."""
        self._taken.discard(name)
        self._count.clear()


def _identifier(wanted: str) -> str:
    name = re.sub(r"\W", "_", wanted, flags=re.ASCII)
    if not name or name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if name in RESERVED else name


class Unreadable(Exception):
    """Text that cannot be read, with the line at which."""

    def __init__(self, node: ast.AST, message: str) -> None:
        self.line: int = getattr(node, "lineno", 1)
        self.message = message
        super().__init__(message)


# Numbers.


def number_text(value: Any, dtype: np.dtype[Any]) -> str:
    """Return the shortest literal that reads back, in `dtype`, as the same number."""
    if dtype.kind == "b":
        return str(bool(value))
    if dtype.kind != "f":
        return str(int(value))
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    short = str(dtype.type(number))
    return short if float(dtype.type(float(short))) == number else repr(number)


def number_of(node: ast.expr) -> bool | int | float | None:
    """Return the number that a literal with an optional sign stands for, None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = number_of(node.operand)
        return None if number is None else -number
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        return node.value
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return float(node.id)
    return None


# Sizes and types.


def size_text(size: Size, hidden: Collection[str] = ()) -> str:
    """Return a size as an expression; symbols that could be misread, among them `hidden`, are written Dim("name").

    >>> size_text(Dim.symbol("n") * 3 - 1), size_text(Dim.symbol("f32"))
    ('3*n - 1', 'Dim("f32")')
    """
    if isinstance(size, int):
        return str(size)
    text = ""
    for monomial, coefficient in size.terms:
        factors = [_atom_text(atom, hidden) for atom in monomial]
        if not factors or abs(coefficient) != 1:
            factors.insert(0, str(abs(coefficient)))
        sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
        text += sign + "*".join(factors)
    return text


def _atom_text(atom: dims.Atom, hidden: Collection[str]) -> str:
    if not atom.args:
        plain = atom.name.isascii() and atom.name.isidentifier() and atom.name not in RESERVED
        return atom.name if plain and atom.name not in hidden else f"Dim({quoted(atom.name)})"
    a, b = (size_text(arg, hidden) for arg in atom.args)
    return f"(({a}) // ({b}))" if atom.name == "floordiv" else f"{atom.name}({a}, {b})"


def type_text(type: TensorType, hidden: Collection[str] = ()) -> str:
    """Return a type as an expression: f32[n, 784], i64[()]."""
    return f"{DTYPE_NAMES[type.dtype]}[{', '.join([size_text(s, hidden) for s in type.shape]) or '()'}]"


def quoted(text: str) -> str:
    """Return a string literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def size_of(node: ast.expr) -> Size:
    """Return the size that an expression stands for."""
    value = value_of(node, {})
    if isinstance(value, bool) or not isinstance(value, int | Dim):
        raise Unreadable(node, f"{ast.unparse(node)} is not a size")
    return value


def type_of(node: ast.expr) -> TensorType:
    """Return the type that an expression such as f32[n, 784] stands for."""
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in DTYPES):
        raise Unreadable(node, f"{ast.unparse(node)} is not a type; write a type as f32[n, 784]")
    sizes = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return TensorType(DTYPES[node.value.id], tuple([size_of(s) for s in sizes]))


# Attributes.


def value_text(value: Any, hidden: Collection[str] = ()) -> str:
    """Return an attribute as an expression: numbers, strings, sizes, dtypes, types, and tuples of them."""
    match value:
        case None | bool():
            return str(value)
        case str():
            return quoted(value)
        case int() | Dim():
            return size_text(value, hidden)
        case float():
            return str(value)
        case tuple():
            items = [value_text(v, hidden) for v in value]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        case np.dtype():
            return DTYPE_NAMES[value]
        case np.generic():
            return f"{DTYPE_NAMES[value.dtype]}({number_text(value, value.dtype)})"
        case TensorType():
            return type_text(value, hidden)
    raise ArgumentError(f"to_text: an attribute of type {type(value).__name__} has no text")


def value_of(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    """Return the attribute that an expression stands for; `scope` holds names that are no symbols of sizes."""
    number = number_of(node)
    if number is not None:
        return number
    match node:
        case ast.Constant(value=str() | None as value):
            return value
        case ast.Name(id=name):
            return scope[name] if name in scope else DTYPES[name] if name in DTYPES else Dim.symbol(name)
        case ast.Tuple(elts=elements):
            return tuple([value_of(e, scope) for e in elements])
        case ast.Subscript():
            return type_of(node)
        case ast.BinOp() | ast.UnaryOp() | ast.Call():
            return _compound(node, scope)
    raise Unreadable(node, f"{ast.unparse(node)} is not an attribute")


def _compound(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    match node:
        case ast.Call(func=ast.Name(id="Dim"), args=[ast.Constant(value=str(name))]):
            return Dim.symbol(name)
        case ast.Call(func=ast.Name(id="max"), args=[a, b]):
            return dims.maximum(value_of(a, scope), value_of(b, scope))
        case ast.Call(func=ast.Name(id="min"), args=[a, b]):
            return dims.minimum(value_of(a, scope), value_of(b, scope))
        case ast.Call(func=ast.Name(id=name), args=[a]) if name in DTYPES:
            return DTYPES[name].type(number_of(a))
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return -value_of(a, scope)
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return value_of(a, scope) + value_of(b, scope)
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return value_of(a, scope) - value_of(b, scope)
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return value_of(a, scope) * value_of(b, scope)
        case ast.BinOp(left=a, op=ast.FloorDiv(), right=b):
            return dims.floordiv(value_of(a, scope), value_of(b, scope))
    raise Unreadable(node, f"{ast.unparse(node)} is not an attribute")
