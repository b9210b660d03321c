"""Symbolic sizes: what an unknown dimension is, and the arithmetic of such dimensions.

A `Size` is an int where the number is known and a `Dim` where it is not. A Dim is an integer polynomial in named
symbols and in the opaque terms `a // b`, `max(a, b)` and `min(a, b)`; it is kept in normal form, so two Dims are equal
exactly when they are known to be equal. Arithmetic that ends in a known number gives an int, never a constant Dim.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import total_ordering
from typing import Any, NamedTuple

from graphc.errors import ShapeError, SymbolicValueError

_anonymous = itertools.count()


class Found(NamedTuple):
    """Where a size comes from that only the data of a call tell: the value that is it, and the most that it can be."""

    count: Any
    most: Size | None


@total_ordering
class Atom:
    """A factor of a monomial: a symbol (`args` empty) or an opaque term such as floordiv(a, b)."""

    __slots__ = ("args", "found", "name", "text")

    def __init__(self, name: str, args: tuple[Size, ...] = (), found: Found | None = None) -> None:
        self.name = name
        self.args = args
        self.found = found
        if not args:
            self.text = name
        elif name == "floordiv":
            self.text = f"({args[0]}) // ({args[1]})"
        else:
            self.text = f"{name}({', '.join(str(a) for a in args)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.text == other.text

    def __lt__(self, other: Atom) -> bool:
        return self.text < other.text

    def __hash__(self) -> int:
        return hash(self.text)


Monomial = tuple[Atom, ...]


class Dim:
    """An unknown size. Immutable and hashable; `==` means "known to be equal".

    >>> n = Dim.symbol("n")
    >>> (2 * n + n, (n * 784) // 784, n - n)
    (3*n, n, 0)
    """

    __slots__ = ("_hash", "terms")

    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    @staticmethod
    def symbol(name: str) -> Dim:
        """Return the size called `name`: the same name is the same size everywhere."""
        return Dim((((Atom(name),), 1),))

    @staticmethod
    def anonymous() -> Dim:
        """Return a size equal to no other; its name starts with an underscore."""
        return Dim.symbol(f"_{next(_anonymous)}")

    @staticmethod
    def found(kind: str, count: Any, most: Size | None) -> Dim:
        """Return a new size that is the value of `count`, which a call finds; it is at most `most`, if that is known.

        Its name tells what it is the count of, and starts with an underscore.
        """
        return Dim((((Atom(f"_{kind}{next(_anonymous)}", found=Found(count, most)),), 1),))

    def origins(self) -> dict[str, Found]:
        """Return where the sizes come from that this one depends on and that a call finds, by their names."""
        origins: dict[str, Found] = {}
        for monomial, _ in self.terms:
            for atom in monomial:
                if atom.found is not None:
                    origins[atom.name] = atom.found
                elif atom.args:
                    origins |= origins_of(atom.args)
        return origins

    def symbols(self) -> frozenset[str]:
        """Return the names of the symbols this size depends on."""
        names: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                if atom.args:
                    names |= symbols_of(atom.args)
                else:
                    names.add(atom.name)
        return frozenset(names)

    def bind(self, sizes: Mapping[str, int]) -> Size:
        """Return this size with the symbols in `sizes` replaced by their numbers."""
        total: Size = 0
        for monomial, coefficient in self.terms:
            product: Size = coefficient
            for atom in monomial:
                product = product * _bind_atom(atom, sizes)
            total = total + product
        return total

    def __add__(self, other: object) -> Size:
        if not isinstance(other, int | Dim):
            return NotImplemented
        sums = dict(self.terms)
        for monomial, coefficient in _terms(other):
            sums[monomial] = sums.get(monomial, 0) + coefficient
        return _normal(sums)

    def __mul__(self, other: object) -> Size:
        if not isinstance(other, int | Dim):
            return NotImplemented
        products: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right))
                products[monomial] = products.get(monomial, 0) + a * b
        return _normal(products)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: object) -> Size:
        if not isinstance(other, int | Dim):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: object) -> Size:
        if not isinstance(other, int):
            return NotImplemented
        return (-self) + other

    def __floordiv__(self, other: object) -> Size:
        if not isinstance(other, int | Dim):
            return NotImplemented
        return floordiv(self, other)

    def __rfloordiv__(self, other: object) -> Size:
        if not isinstance(other, int):
            return NotImplemented
        return floordiv(other, self)

    def __mod__(self, other: object) -> Size:
        if not isinstance(other, int | Dim):
            return NotImplemented
        return self - floordiv(self, other) * other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            factors = "*".join(f"({a.text})" if a.name == "floordiv" and a.args else a.text for a in monomial)
            if not monomial:
                parts.append(str(coefficient))
            elif coefficient == 1:
                parts.append(factors)
            else:
                parts.append(f"{coefficient}*{factors}")
        return " + ".join(parts).replace("+ -", "- ")

    def __int__(self) -> int:
        raise SymbolicValueError(f"the size {self} is not known before the call; use it as a symbolic dimension")

    __index__ = __int__
    __float__ = __int__

    def __bool__(self) -> bool:
        raise SymbolicValueError(f"the size {self} is not known before the call, so it has no truth value")


Size = int | Dim


def floordiv(a: Size, b: Size) -> Size:
    """Return a // b, exactly where b divides every term of a. Raises ShapeError where b is 0."""
    if b == 0:
        raise ShapeError(f"a size cannot be divided by 0, got {a} // 0")
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    if a == b:
        return 1
    quotient = _exact_quotient(a, b)
    return quotient if quotient is not None else _opaque("floordiv", a, b)


def ceildiv(a: Size, b: Size) -> Size:
    """Return a / b rounded up."""
    return -floordiv(-a, b)


def maximum(a: Size, b: Size) -> Size:
    """Return the larger size."""
    return _extreme("max", a, b)


def minimum(a: Size, b: Size) -> Size:
    """Return the smaller size."""
    return _extreme("min", a, b)


def product(sizes: Iterable[Size]) -> Size:
    """Return the number of elements of a shape."""
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def bind(size: Size, sizes: Mapping[str, int]) -> Size:
    """Return `size` with known symbols replaced."""
    return size.bind(sizes) if isinstance(size, Dim) else size


def symbols_of(sizes: Iterable[Size]) -> set[str]:
    """Return the names of all symbols in `sizes`."""
    names: set[str] = set()
    for size in sizes:
        if isinstance(size, Dim):
            names |= size.symbols()
    return names


def origins_of(sizes: Iterable[Size]) -> dict[str, Found]:
    """Return where those of the sizes in `sizes` come from that a call finds, by their names."""
    origins: dict[str, Found] = {}
    for size in sizes:
        if isinstance(size, Dim):
            origins |= size.origins()
    return origins


def _extreme(name: str, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b) if name == "max" else min(a, b)
    difference = a - b
    if isinstance(difference, int):
        return a if (difference >= 0) == (name == "max") else b
    # Sizes are never negative: max(n, 0) = n and min(n, 0) = 0 for a plain symbol.
    for size, bound in ((a, b), (b, a)):
        if bound == 0 and isinstance(size, Dim) and _is_symbol(size):
            return size if name == "max" else 0
    return _opaque(name, a, b)


def _is_symbol(size: Dim) -> bool:
    return len(size.terms) == 1 and size.terms[0][1] == 1 and all(not atom.args for atom in size.terms[0][0])


def _bind_atom(atom: Atom, sizes: Mapping[str, int]) -> Size:
    if not atom.args:
        return sizes[atom.name] if atom.name in sizes else Dim((((atom,), 1),))
    a, b = (bind(arg, sizes) for arg in atom.args)
    if atom.name == "floordiv":
        return floordiv(a, b)
    return _extreme(atom.name, a, b)


def _opaque(name: str, a: Size, b: Size) -> Dim:
    return Dim((((Atom(name, (a, b)),), 1),))


def _terms(size: Size) -> Iterable[tuple[Monomial, int]]:
    return size.terms if isinstance(size, Dim) else (((), size),)


def _normal(sums: dict[Monomial, int]) -> Size:
    terms = tuple(sorted((m, c) for m, c in sums.items() if c != 0))
    if not terms:
        return 0
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]
    # The constant sorts first as the empty monomial; it reads better last.
    return Dim(terms[1:] + terms[:1] if not terms[0][0] else terms)


def _exact_quotient(a: Size, b: Size) -> Size | None:
    """Divide every term of a by b when b is a single term that divides them all."""
    divisor = list(_terms(b))
    if len(divisor) != 1 or divisor[0][1] == 0:
        return None
    factors, scale = divisor[0]
    quotient: dict[Monomial, int] = {}
    for monomial, coefficient in _terms(a):
        rest = list(monomial)
        for atom in factors:
            if atom not in rest:
                return None
            rest.remove(atom)
        if coefficient % scale:
            return None
        quotient[tuple(rest)] = coefficient // scale
    return _normal(quotient)
