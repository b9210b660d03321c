"""Index arithmetic: affine forms in loop variables, with the divisions that reshape brings simplified away.

An `Index` is offset + sum of coefficient * atom, where an atom is a loop variable of known extent, or the quotient or
remainder of another Index by a number. View ops compute with it as with an int: division rounds down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.graph import Elementwise, Gather, Node, Reduction, Scatter, View, known_value
from graphc.ir.loops import Apply, Const, Expr, Var, linear
from graphc.ir.types import INT64


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop variable and its number of iterations."""

    var: Var
    extent: int


@dataclass(frozen=True, slots=True)
class Division:
    """The quotient ("quot") or remainder ("rem") of an index by a number."""

    op: str
    source: Index
    divisor: int


Atom = Axis | Division


class Index:
    """An index expression; immutable, compared by value."""

    __slots__ = ("offset", "terms")

    def __init__(self, terms: Mapping[Atom, int], offset: int = 0) -> None:
        self.terms = {a: c for a, c in terms.items() if c and not (isinstance(a, Axis) and a.extent == 1)}
        self.offset = offset

    @staticmethod
    def axis(var: Var, extent: int) -> Index:
        return Index({Axis(var, extent): 1})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.terms == other.terms and self.offset == other.offset

    def __hash__(self) -> int:
        return hash((frozenset(self.terms.items()), self.offset))

    @property
    def is_affine(self) -> bool:
        return all(isinstance(a, Axis) for a in self.terms)

    def stride(self, var: Var) -> int:
        """Return the coefficient of a loop variable in an affine index."""
        return next((c for a, c in self.terms.items() if isinstance(a, Axis) and a.var is var), 0)

    def along(self, var: Var) -> int | None:
        """Return by how much the index grows with a loop variable, None where it is divided."""
        if any(isinstance(a, Division) and a.source.along(var) != 0 for a in self.terms):
            return None
        return self.stride(var)

    def range(self) -> tuple[int, int]:
        """Return the least and the greatest value."""
        low = high = self.offset
        for atom, coefficient in self.terms.items():
            least, most = _atom_range(atom)
            low += min(coefficient * least, coefficient * most)
            high += max(coefficient * least, coefficient * most)
        return low, high

    def __add__(self, other: Any) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.offset + other)
        terms = dict(self.terms)
        for atom, coefficient in other.terms.items():
            terms[atom] = terms.get(atom, 0) + coefficient
        return _rejoin(Index(terms, self.offset + other.offset))

    def __mul__(self, factor: int) -> Index:
        return Index({a: c * factor for a, c in self.terms.items()}, self.offset * factor)

    __radd__ = __add__
    __rmul__ = __mul__

    def __sub__(self, other: Index | int) -> Index:
        return self + other * -1

    def __floordiv__(self, divisor: int) -> Index:
        return self._divide(divisor)[0]

    def __mod__(self, divisor: int) -> Index:
        return self._divide(divisor)[1]

    def _divide(self, divisor: int) -> tuple[Index, Index]:
        """Split off the terms that the divisor divides; what is left often is a remainder already."""
        if divisor == 1:
            return self, Index({})
        whole = Index({a: c // divisor for a, c in self.terms.items() if c % divisor == 0}, self.offset // divisor)
        rest = Index({a: c for a, c in self.terms.items() if c % divisor}, self.offset % divisor)
        low, high = rest.range()
        if low < 0:
            # Loop division is toward zero, index division downward: move whole divisors until nothing is negative.
            turns = -(low // divisor)
            whole, rest = whole + -turns, rest + turns * divisor
            low, high = rest.range()
        if high < divisor:
            return whole, rest
        return whole + _quotient(rest, divisor), Index({Division("rem", rest, divisor): 1})

    def to_expr(self) -> Expr:
        """Return the index as a loop expression."""
        return linear([(_atom_expr(a), c) for a, c in self.terms.items()], self.offset)


def divisions(index: Index) -> Iterator[Division]:
    """Yield the quotients and remainders in an index, and those in what they divide."""
    for atom in index.terms:
        if isinstance(atom, Division):
            yield atom
            yield from divisions(atom.source)


Position = tuple[Index, ...]


def is_alias(node: Node) -> bool:
    """Whether a node only renames elements of its input, so that its readers can read the input instead."""
    return isinstance(node.op, View) and node.op.fill is None


def is_virtual(node: Node) -> bool:
    """Whether a node's value is never in memory by itself: a view of something, or positions along an axis."""
    source = source_of(node)
    return source is not node or (source.is_leaf and isinstance(source.op, Elementwise))


def operands_met(node: Node) -> tuple[Node, ...]:
    """Return the inputs that a node reads one element at a time, along the first axes of the place where it computes.

    It reads its other inputs at places of their own: the source of a padding or a gather, the target of a scatter.
    """
    if isinstance(node.op, Elementwise | Reduction):
        return node.inputs
    if isinstance(node.op, Gather):
        return node.inputs[1:]
    return node.inputs[1:2] if isinstance(node.op, Scatter) else ()


def source_of(node: Node) -> Node:
    """Return the node whose elements a chain of aliases renames."""
    while is_alias(node):
        node = node.inputs[0]
    return node


def trace(node: Node, position: Position) -> tuple[Node, Position]:
    """Return the node behind a chain of aliases, and where in it the element at `position` lies."""
    while is_alias(node):
        source = node.inputs[0]
        position = source_position(node, position)
        node = source
    return node, position


def source_position(view: Node, position: Position) -> Position:
    """Return where in its input the element of a view at `position` lies."""
    assert isinstance(view.op, View)
    found = view.op.index(position, view.inputs[0].type, view.type, **view.attrs)
    return tuple(p if isinstance(p, Index) else Index({}, p) for p in found)


def known_index(operand: Node, position: Position) -> Index | None:
    """Return the number that an index array holds at `position` if it needs no memory: a position or a constant."""
    source, found = trace(operand, position)
    if source.is_leaf and isinstance(source.op, Elementwise) and source.op.scalar == "index":
        place = found[source.attrs["axis"]]
        return place if place.range()[1] <= np.iinfo(source.dtype).max else None
    value = known_value(source)
    return Index({}, int(value.reshape(()))) if value is not None and value.size == 1 else None


def indexed(axes: tuple[int, ...], at: Sequence[Index], others: Position) -> Position:
    """Return the position whose entries along `axes` are `at`, and along the other axes `others` in their order."""
    chosen = dict(zip(axes, at, strict=True))
    rest = iter(others)
    return tuple([chosen[a] if a in chosen else next(rest) for a in range(len(axes) + len(others))])


def flatten(position: Position, shape: tuple[int, ...]) -> Index:
    """Return the offset of a position in a row-major array."""
    flat = Index({})
    for place, extent in zip(position, shape, strict=True):
        flat = flat * extent + place
    return flat


def _quotient(source: Index, divisor: int) -> Index:
    """Return source // divisor, with (x // a) // b as x // ab."""
    if len(source.terms) == 1 and source.offset == 0:
        ((atom, coefficient),) = source.terms.items()
        if isinstance(atom, Division) and atom.op == "quot" and coefficient == 1:
            return Index({Division("quot", atom.source, atom.divisor * divisor): 1})
    return Index({Division("quot", source, divisor): 1})


def _rejoin(index: Index) -> Index:
    """Put c*n*(x // n) + c*(x % n) together as c*x."""
    for atom, coefficient in index.terms.items():
        if not isinstance(atom, Division) or atom.op != "rem":
            continue
        ((quotient, _),) = _quotient(atom.source, atom.divisor).terms.items()
        if index.terms.get(quotient) == coefficient * atom.divisor:
            terms = {a: c for a, c in index.terms.items() if a not in (atom, quotient)}
            return Index(terms, index.offset) + atom.source * coefficient
    return index


def _atom_range(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, Axis):
        return 0, atom.extent - 1
    low, high = atom.source.range()
    if atom.op == "quot":
        return low // atom.divisor, high // atom.divisor
    return (0, atom.divisor - 1) if low >= 0 else (1 - atom.divisor, atom.divisor - 1)


def _atom_expr(atom: Atom) -> Expr:
    if isinstance(atom, Axis):
        return atom.var
    return Apply(atom.op, (atom.source.to_expr(), Const(atom.divisor)), INT64)
