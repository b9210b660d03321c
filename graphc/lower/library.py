"""Which operations call the C library, for one element after the other: what has no definition of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphc.ir.graph import Elementwise, Node
from graphc.ir.groups import Group
from graphc.ir.loops import LIBM, Apply, Expr, Function, Kernel, Var, children, expressions, walk
from graphc.lower.math import FUNCTIONS
from graphc.lower.scalars import scalar_expr

LIMITS = ("check_index",)
"""Elementwise operations that are statements, not expressions."""


def called(exprs: Iterable[Expr], has_fma: bool = True) -> tuple[str, ...]:
    """Return the functions of the C library that expressions call, sorted; those that are called rarely left out.

    has_fma: whether the machine multiplies and adds with one rounding.
    """
    found: set[str] = set()
    seen: set[int] = set()
    functions: dict[Function, None] = {}
    stack = list(exprs)
    while stack:
        expr = stack.pop()
        if id(expr) in seen:
            continue
        seen.add(id(expr))
        parts = children(expr)
        if isinstance(expr, Apply):
            function = FUNCTIONS.get((expr.op, expr.args[0].dtype)) if expr.args else None
            if function is not None and function not in functions:
                functions[function] = None
                stack.append(function.result)
            if function is None and (expr.op in LIBM or (expr.op == "fma" and not has_fma)):
                found.add(expr.op)
            if expr.op == "rarely":
                condition, _, common = parts
                parts = (condition, common)
        stack.extend(parts)
    return tuple(sorted(found))


def called_by_kernel(kernel: Kernel, has_fma: bool = True) -> tuple[str, ...]:
    """Return the functions of the C library that a kernel calls for one element after the other."""
    return called([e for stmt in walk(kernel.body) for e in expressions(stmt)], has_fma)


def called_by_nodes(nodes: Iterable[Node], has_fma: bool = True) -> tuple[str, ...]:
    """Return the functions of the C library that elementwise operations call."""
    return called([e for node in nodes for e in _scalar(node)], has_fma)


def called_by_group(group: Group, has_fma: bool = True) -> tuple[str, ...]:
    """Return the functions of the C library that a group's operations call, those in the bodies of a loop included."""
    return called_by_nodes(_nodes(group), has_fma)


def _nodes(group: Group) -> Iterator[Node]:
    yield from group.nodes
    for inner in (g for groups in group.bodies.values() for g in groups):
        yield from _nodes(inner)


def _scalar(node: Node) -> Iterator[Expr]:
    if isinstance(node.op, Elementwise) and node.inputs and node.op.scalar not in LIMITS:
        yield scalar_expr(node, tuple([Var(f"x{k}", i.dtype) for k, i in enumerate(node.inputs)]))
