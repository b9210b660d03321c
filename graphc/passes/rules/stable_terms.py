"""What the rules of stabilize share: rules in every order of operands, opposite values, squares, factors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc.ir.graph import OPS, Elementwise, Node, known_value
from graphc.ir.rewrite import Apply, Match, Number, Pattern, Rule
from graphc.ops.elementwise import div, mul, neg, pow

MOST_FACTORS = 12
"""Products are taken apart no further."""


def stable(
    name: str,
    lhs: Pattern | Sequence[Pattern],
    rhs: Pattern | Number | Callable[[Match], Node | None],
    when: Callable[[Match], bool] | None = None,
) -> tuple[Rule, ...]:
    """Return a stable rule as one for each left side and each order of the operands of its commutative ops."""
    sides = lhs if isinstance(lhs, Sequence) else (lhs,)
    return tuple([Rule(name, p, rhs, when, exact=False, stable=True) for side in sides for p in _orders(side)])


def _orders(pattern: Pattern | Number) -> Iterator[Pattern]:
    if not isinstance(pattern, Apply):
        yield pattern  # type: ignore[misc]
        return
    op = OPS[pattern.op]
    for args in itertools.product(*[list(_orders(p)) for p in pattern.args]):
        yield replace(pattern, args=args)
        if isinstance(op, Elementwise) and op.commutative and args[0] is not args[1]:
            yield replace(pattern, args=args[::-1])


# Values.


def negated(node: Node) -> Node:
    """Return -node."""
    return node.inputs[0] if node.op is neg else -node


def number(node: Node) -> float | None:
    """Return the value of a constant of rank 0."""
    value = known_value(node) if not node.shape else None
    return None if value is None else float(value)


def are_opposite(a: Node, b: Node) -> bool:
    """Tell whether one node is written as the opposite of the other."""
    if (a.op is neg and a.inputs[0] is b) or (b.op is neg and b.inputs[0] is a):
        return True
    if a.op is not b.op or len(a.inputs) != 2:
        return False
    (p, q), (r, s) = a.inputs, b.inputs
    if a.op is OPS["sub"]:
        return p is s and q is r
    c, d = number(q), number(s)
    return a.op in (mul, div) and p is r and c is not None and d is not None and c == -d


def same_size(a: Node, b: Node) -> bool:
    """Tell whether two nodes are equal or opposite."""
    return a is b or are_opposite(a, b)


def root_of_square(node: Node) -> Node | None:
    """Return x if the node is x * x or x**2."""
    if node.op is mul and node.inputs[0] is node.inputs[1]:
        return node.inputs[0]
    return node.inputs[0] if node.op is pow and number(node.inputs[1]) == 2.0 else None


# Products.


@dataclass
class Product:
    """A product and quotient of nodes, times a number."""

    number: float
    above: list[Node]
    below: list[Node]

    def node(self) -> Node | None:
        """Return it as a node; None if the number is none of the dtype."""
        info = np.finfo(self.above[0].dtype)
        if not info.tiny <= abs(self.number) <= info.max:
            return None
        result = self.above[0]
        for factor in self.above[1:]:
            result = result * factor
        for factor in self.below:
            result = result / factor
        return result if self.number == 1.0 else result * self.number


def product_of(node: Node) -> Product:
    """Return the factors of a product of products and quotients."""
    found = Product(1.0, [], [])
    waiting = [(node, True)]
    while waiting:
        part, is_above = waiting.pop()
        value = number(part)
        if value is not None and math.isfinite(value) and value != 0.0:
            found.number *= value if is_above else 1.0 / value
        elif part.op is neg:
            found.number = -found.number
            waiting.append((part.inputs[0], is_above))
        elif part.op in (mul, div) and len(waiting) + len(found.above) + len(found.below) < MOST_FACTORS:
            waiting.append((part.inputs[1], is_above == (part.op is mul)))
            waiting.append((part.inputs[0], is_above))
        else:
            (found.above if is_above else found.below).append(part)
    return found
