"""Labels of a contraction as loops, and where its operands have the element that belongs to each iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.ir.graph import Node
from graphc.ir.index import Index, Position, flatten, trace
from graphc.ir.loops import PARALLEL, Const, For, If, LoopKind, Stmt, Var, apply, block
from graphc.lower.work import Operand

Where = Mapping[str, Index]
"""The position along each label."""


@dataclass(frozen=True)
class Label:
    """One or several merged labels of a contraction, as one loop."""

    names: str
    extents: tuple[int, ...]

    @property
    def extent(self) -> int:
        return math.prod(self.extents)

    def positions(self, index: Index) -> dict[str, Index]:
        """Return the position along each of the merged labels."""
        found = {}
        for name, extent in zip(reversed(self.names), reversed(self.extents), strict=True):
            found[name] = index if name == self.names[0] else index % extent
            index = index // extent
        return found


@dataclass(frozen=True)
class Access:
    """An operand in memory: which labels its dimensions (in order) run along, and its stride along each."""

    operand: Operand
    labels: str
    strides: Mapping[str, int]
    offset: int

    def index(self, where: Where) -> Index:
        flat = Index({}, self.offset)
        for label in self.labels:
            flat = flat + where[label] * self.strides[label]
        return flat

    def stride(self, label: Label) -> int:
        """Return the elements from one iteration of a loop to the next."""
        return self.strides.get(label.names[-1], 0) if label.names else 0

    def along(self, labels: str) -> Access:
        """Return the operand at the beginning of all dimensions but these."""
        return replace(self, labels=labels)

    def spanning(self, labels: str) -> Access:
        """Return the operand as if it had every label, with stride 0 along those that it lacks."""
        return replace(self, strides={c: self.strides.get(c, 0) for c in labels})


def access_of(node: Node, labels: str) -> Access:
    """Return how an operand's elements lie in the memory behind its views."""
    variables = [Var(c) for c in labels]
    position: Position = tuple(Index.axis(v, s) for v, s in zip(variables, node.shape, strict=True))
    source, found = trace(node, position)
    flat = flatten(found, source.shape)
    return Access(source, labels, {c: flat.stride(v) for c, v in zip(labels, variables, strict=True)}, flat.offset)


def row_major(labels: Sequence[str], sizes: Mapping[str, int], step: int = 1) -> dict[str, int]:
    """Return the strides of an array whose dimensions have these labels; elements are `step` apart."""
    strides = {}
    for label in reversed(labels):
        strides[label] = step
        step *= sizes[label]
    return strides


def merged(labels: Sequence[str], sizes: Mapping[str, int], *accesses: Access) -> list[Label]:
    """Merge neighbouring labels that all accesses walk through as if they were one."""
    found: list[Label] = []
    for label in labels:
        size = sizes[label]
        if found and all(a.strides[found[-1].names[-1]] == a.strides[label] * size for a in accesses):
            found[-1] = Label(found[-1].names + label, (*found[-1].extents, size))
        else:
            found.append(Label(label, (size,)))
    return found


def positions_of(loops: Sequence[Label]) -> tuple[dict[str, Index], list[Var]]:
    """Return a variable for each loop, and the positions along all labels in terms of them."""
    variables = [Var(loop.names) for loop in loops]
    where: dict[str, Index] = {}
    for loop, var in zip(loops, variables, strict=True):
        where.update(loop.positions(Index.axis(var, loop.extent)))
    return where, variables


def nested(
    loops: Sequence[Label],
    variables: Sequence[Var],
    body: Stmt,
    kind: LoopKind = PARALLEL,
    innermost: LoopKind | None = None,
) -> Stmt:
    """Wrap a statement in loops, all of one kind but perhaps the innermost."""
    for k, (loop, var) in reversed(list(enumerate(zip(loops, variables, strict=True)))):
        own = innermost if innermost is not None and k == len(loops) - 1 else kind
        body = For(var, loop.extent, body, own)
    return body


def decoded(index: Index, extents: Sequence[int]) -> list[Index]:
    """Return the indices of nested loops, outermost first, that one loop over all of their iterations stands for."""
    found = []
    for extent in reversed(extents):
        found.append(index % extent)
        index = index // extent
    return found[::-1]


def either(number: Index, limit: int, below: Stmt, others: Stmt) -> Stmt:
    """Return one of two statements, the first where a number is below a limit."""
    value = number.to_expr()
    return block(If(apply("lt", value, Const(limit)), below), If(apply("ge", value, Const(limit)), others))
