"""Slopes of stabilize: what derivatives are made of, where it cancels or is 0 * inf. They are not differentiated."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Elementwise, Node, Op, literal
from graphc.ir.rewrite import Each, Match, Rule, call, variables
from graphc.ops.elementwise import (
    abs,
    div,
    erf,
    erfc,
    erfcx,
    exp,
    gt,
    log,
    log1p,
    mul,
    neg,
    sigmoid,
    sin,
    sinh,
    where,
)
from graphc.passes.rules.stable_terms import (
    Product,
    are_opposite,
    negated,
    product_of,
    root_of_square,
    same_size,
    stable,
)

x, y = variables("x", "y")
_tanh, _cos, _cosh, _erfc = call("tanh", x), call("cos", x), call("cosh", x), call("erfc", x)


def slope_of_sigmoid(x: Node) -> Node:
    """Return sigmoid(x) * sigmoid(-x) from one exponential."""
    small = exp(-abs(x))
    return small / ((small + 1.0) * (small + 1.0))


def _log_erfc(m: Match) -> Node:
    """log(erfc(x)): beyond 1/2 by the scaled function, whose logarithm is moderate where erfc has vanished."""
    x = m["x"]
    tail = log(erfcx(x)) - x * x
    return where(gt(x, literal(0.5, x.dtype)), tail, log1p(-erf(x)))


def _log_half_erfc(m: Match) -> Node:
    """log(erfc(x) / 2), the logarithm of a normal distribution: below 0 from the other side, which is nearly 1."""
    x = m["x"]
    tail = log(erfcx(x) * 0.5) - x * x
    return where(gt(x, literal(0.0, x.dtype)), tail, log1p(erfc(negated(x)) * -0.5))


# Pairs of factors.


def _slope_in(p: Product) -> Product | None:
    """sigmoid(x) * sigmoid(-x)."""
    pair = _pair(p.above, p.above, lambda s, t: s.op is sigmoid and t.op is sigmoid and are_opposite(*_args(s, t)))
    if pair is None:
        return None
    s, t = pair
    return Product(p.number, [*_without(p.above, s, t), slope_of_sigmoid(s.inputs[0])], p.below)


def _growth_in(p: Product) -> Product | None:
    """exp(x) * sigmoid(-x) is sigmoid(x)."""
    pair = _pair(p.above, p.above, lambda s, t: s.op is exp and t.op is sigmoid and are_opposite(*_args(s, t)))
    if pair is None:
        return None
    s, t = pair
    return Product(p.number, [*_without(p.above, s, t), sigmoid(s.inputs[0])], p.below)


def _tail_in(p: Product) -> Product | None:
    """exp(-x*x) / erfc(x) is 1 / erfcx(x)."""
    pair = _pair(p.above, p.below, lambda s, t: s.op is exp and t.op is erfc and _is_bell(s.inputs[0], t.inputs[0]))
    if pair is None:
        return None
    s, t = pair
    above = _without(p.above, s) or [literal(1, s.dtype)]
    return Product(p.number, above, [*_without(p.below, t), erfcx(t.inputs[0])])


def _is_bell(exponent: Node, x: Node) -> bool:
    root = root_of_square(exponent.inputs[0]) if exponent.op is neg else None
    return root is not None and same_size(root, x)


def _args(s: Node, t: Node) -> tuple[Node, Node]:
    return s.inputs[0], t.inputs[0]


def _pair(first: list[Node], second: list[Node], fits: Callable[[Node, Node], bool]) -> tuple[Node, Node] | None:
    return next(((s, t) for s in first for t in second if s is not t and fits(s, t)), None)


def _without(nodes: list[Node], *gone: Node) -> list[Node]:
    """Return the list without one occurrence of each of some nodes."""
    left = list(nodes)
    for node in gone:
        left.remove(node)
    return left


def _merged(merge: Callable[[Product], Product | None]) -> Callable[[Match], Node | None]:
    """Return a right side that merges two factors of a product."""

    def build(m: Match) -> Node | None:
        merged = merge(product_of(m.node))
        return None if merged is None else merged.node()

    return build


def _product_with(*ops: Op) -> Each:
    """Return a pattern of products with such a factor, or with a product that may have it."""
    return Each(Elementwise, lambda op, inputs: op in (mul, div) and any(i in (*ops, mul, div, neg) for i in inputs))


SLOPES = (
    Rule("slope_of_sigmoid", _product_with(sigmoid), _merged(_slope_in), exact=False, stable=True),
    Rule("exp_times_sigmoid", _product_with(sigmoid), _merged(_growth_in), exact=False, stable=True),
    Rule("tail_of_erfc", _product_with(exp, erfc), _merged(_tail_in), exact=False, stable=True),
    *stable(
        "slope_of_tanh",
        (1 - _tanh * _tanh, 1 - _tanh**2),
        lambda m: slope_of_sigmoid(m["x"] * 2.0) * 4.0,
    ),
    *stable("one_minus_cos", (1 - _cos, -_cos + 1), lambda m: _double_square(sin, m["x"])),
    *stable("cos_minus_one", (_cos - 1, _cos + -1), lambda m: -_double_square(sin, m["x"])),
    *stable("cosh_minus_one", (_cosh - 1, _cosh + -1), lambda m: _double_square(sinh, m["x"])),
    *stable("one_minus_cosh", (1 - _cosh, -_cosh + 1), lambda m: -_double_square(sinh, m["x"])),
    *stable("expm1_plus_one", call("expm1", x) + 1, call("exp", x)),
    *stable("log_erfc", call("log", _erfc), _log_erfc),
    *stable("log_half_erfc", (call("log", _erfc * 0.5), call("log", _erfc / 2)), _log_half_erfc),
)


def _double_square(f: Op, x: Node) -> Node:
    """Return 2 * f(x/2)**2."""
    half = f(x * 0.5)
    result: Node = half * half * 2.0
    return result
