"""What the shape of a kernel's code depends on: how many lanes, what folds, what is a tile, how long a body is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.codegen.values import DType
from graphc.ir.loops import (
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Expr,
    For,
    Function,
    Kernel,
    Space,
    Stmt,
    Store,
    Var,
    expressions,
    walk,
    walk_expressions,
)
from graphc.target import Target

SMALL_BODY = 24
"""Scalar operations up to which a vector loop body is repeated to spread the cost of the loop itself."""


def base_lanes(kernel: Kernel, target: Target) -> int:
    """Return the lanes of full vectors: those of the widest float dtype in play, or of the widest integer."""
    dtypes = {b.type.dtype for b in kernel.params}
    dtypes |= {s.buffer.type.dtype for s in walk(kernel.body) if isinstance(s, Alloc)}
    floats = [d.itemsize for d in dtypes if d.kind == "f"]
    others = [d.itemsize for d in dtypes if d.kind != "f"]
    return target.lanes(max(floats or others or [8]))


@dataclass(frozen=True)
class LoopFacts:
    """What the shape of the code for a VECTOR loop depends on.

    reductions   registers from outside that the lanes fold into, and the operation
    uses_tile    whether it indexes a register tile along its variable: then its vectors must be straight code
    is_small     whether its body is so short that the loop itself would cost as much
    """

    reductions: Mapping[Buffer, str]
    uses_tile: bool
    is_small: bool


def loop_facts(stmt: For, functions: Mapping[tuple[str, DType], Function]) -> LoopFacts:
    parts = list(walk(stmt.body))
    inside = {s.buffer for s in parts if isinstance(s, Alloc)}
    written = {
        s.buffer: s
        for s in parts
        if isinstance(s, Store | Accumulate) and s.buffer.space is Space.REGISTER and s.buffer not in inside
    }
    reductions = {b: s.op for b, s in written.items() if isinstance(s, Accumulate) and not _mentions(s.index, stmt.var)}
    uses_tile = bool(written.keys() - reductions.keys()) or _reads_tile(stmt, inside | reductions.keys())
    return LoopFacts(reductions, uses_tile, _operations(stmt.body, functions) <= SMALL_BODY)


def _mentions(index: Iterable[Expr], var: Var) -> bool:
    return any(e is var for e in walk_expressions(index))


def _reads_tile(stmt: For, excluded: Iterable[Buffer]) -> bool:
    """Whether the body reads a register tile along the loop's variable."""
    from_outside = set(excluded)
    for part in walk(stmt.body):
        for expr in walk_expressions(expressions(part)):
            buffer = getattr(expr, "buffer", None)
            in_tile = buffer is not None and buffer.space is Space.REGISTER and buffer not in from_outside
            if in_tile and _mentions(expr.index, stmt.var):  # type: ignore[union-attr]
                return True
    return False


def _operations(stmt: Stmt, functions: Mapping[tuple[str, DType], Function]) -> int:
    """Count scalar operations, those of inlined functions included."""
    count = 0
    for part in walk(stmt):
        count += isinstance(part, Store | Accumulate)
        for expr in walk_expressions(expressions(part)):
            if not isinstance(expr, Apply):
                continue
            function = functions.get((expr.op, expr.args[0].dtype)) if expr.args else None
            count += 20 if function is not None else 1
    return count
