"""Rules about numbers: arithmetic, powers, choices, bits, casts. Part of simplify, which says what exact means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from graphc.ir.graph import OPS, Node, Op, known_value, literal
from graphc.ir.graph import constant as constant_op
from graphc.ir.rewrite import Apply, Attr, Match, Rule, call, constant, variables
from graphc.ops.elementwise import add, bitwise_not, cast, log, maximum, minimum, sub, where

c, k, p, q = constant("c"), constant("k"), *variables("p", "q")
x, y, z = variables("x", "y", "z")

MANTISSA = {np.dtype("float32"): 24, np.dtype("float64"): 53}
"""Integers below 2 to this power are exact in the dtype."""


def _number(node: Node) -> np.ndarray[Any, Any]:
    value = known_value(node)
    assert value is not None
    return value


def _is_integer(m: Match) -> bool:
    return m.node.dtype.kind in "iu"


def _is_float(m: Match) -> bool:
    return bool(m.node.dtype.kind == "f")


def _has_no_nan(m: Match) -> bool:
    """Tell whether x cannot be NaN because of its dtype."""
    return bool(m["x"].dtype.kind != "f")


def _with(value: Callable[..., object], *names: str) -> Callable[[Match], Node]:
    """Return a right side that is a constant, computed from constants of the left."""

    def build(m: Match) -> Node:
        with np.errstate(all="ignore"):
            return literal(value(*[known_value(m[n]) for n in names]), m.node.dtype)

    return build


# Sums and products.


def _doubles(m: Match) -> bool:
    """Tell whether c, k and c * k are powers of two, 1 or larger, or the opposite of such."""
    if m.node.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        c, k = _number(m["c"]), _number(m["k"])
        factors = (c, k, c * k)
    return all(np.isfinite(f) and abs(f) >= 1 and abs(np.frexp(f)[0]) == 0.5 for f in factors)


def _moves_out(m: Match) -> bool:
    """Tell whether a constant may move out, past what is no constant itself."""
    inner = next((i for i in m.node.inputs if i is not m["y"]), None)
    if inner is None or m["y"].op is constant_op:
        return False
    return bool(m["x"].shape == m.node.shape) and m.is_alone(inner)


def _are_alone(m: Match) -> bool:
    """Tell whether nothing else reads what the pattern takes apart."""
    return all(m.is_alone(i) for i in m.node.inputs)


def _moves_out_integer(m: Match) -> bool:
    return _is_integer(m) and _moves_out(m)


def _are_alone_floats(m: Match) -> bool:
    return _is_float(m) and _are_alone(m)


def _distributing(kind: str, when: Callable[[Match], bool], exact: bool) -> list[Rule]:
    """Return the rules that multiply once: x*y + x*z = x * (y + z)."""

    def saves_work(m: Match) -> bool:
        y, z = m["y"], m["z"]
        meet = y.shape == z.shape or not y.shape or not z.shape
        return when(m) and meet and _are_alone(m)

    def rule(op: Op, k: int, first: Apply, second: Apply) -> Rule:
        after = x * call(op.name, y, z)
        return Rule(f"{kind}_{op.name}_{k}", call(op.name, first, second), after, saves_work, exact)

    pairs = [(first, second) for first in (x * y, y * x) for second in (x * z, z * x)]
    return [rule(op, k, *pair) for op in (add, sub) for k, pair in enumerate(pairs)]


ARITHMETIC = (
    Rule("mul_one", x * 1, x),
    Rule("div_one", x / 1, x),
    # -0 is the identity of float addition: 0 + -0 = 0 and -0 + -0 = -0. For integers it reads 0.
    Rule("add_minus_zero", x + -0.0, x),
    Rule("sub_constant", x - c, lambda m: m["x"] + _with(np.negative, "c")(m)),
    Rule("sub_from_minus_zero", -0.0 - x, -x),
    Rule("mul_minus_one", x * -1, -x),
    Rule("div_minus_one", x / -1, -x),
    Rule("neg_neg", call("neg", -x), x),
    Rule("add_neg", x + (-y), x - y),
    Rule("neg_add", (-x) + y, y - x),
    Rule("sub_neg", x - (-y), x + y),
    # Signs move out of products, to meet a sum, or into a constant.
    Rule("neg_times_constant", (-x) * c, lambda m: m["x"] * _with(np.negative, "c")(m)),
    Rule("neg_of_times_constant", -(x * c), lambda m: m["x"] * _with(np.negative, "c")(m)),
    Rule("neg_over_constant", (-x) / c, lambda m: m["x"] / _with(np.negative, "c")(m)),
    Rule("neg_of_over_constant", -(x / c), lambda m: m["x"] / _with(np.negative, "c")(m)),
    Rule("neg_of_constant_over", -(c / x), lambda m: _with(np.negative, "c")(m) / m["x"]),
    Rule("neg_times", (-x) * y, -(x * y)),
    Rule("times_neg", x * (-y), -(x * y)),
    Rule("neg_over", (-x) / y, -(x / y)),
    Rule("over_neg", x / (-y), -(x / y)),
    # x + y * -2 is x - y * 2: a negative factor turns the sum round.
    Rule("add_negative_product", x + y * c, lambda m: m["x"] - _turned(m), when=lambda m: _is_negative(m["c"])),
    Rule("negative_product_add", y * c + x, lambda m: m["x"] - _turned(m), when=lambda m: _is_negative(m["c"])),
    Rule("sub_negative_product", x - y * c, lambda m: m["x"] + _turned(m), when=lambda m: _is_negative(m["c"])),
    # 1/c is exact, so both sides round the same number once.
    Rule("div_power_of_two", x / c, lambda m: m["x"] * _with(np.reciprocal, "c")(m), when=lambda m: _inverts(m["c"])),
    Rule("integer_mul_zero", x * 0, 0, when=_is_integer),
    Rule("integer_sub_self", x - x, 0, when=_is_integer),
    Rule("integer_neg_sub", -(x - y), y - x, when=_is_integer),
    Rule("integer_add_add", (x + c) + k, lambda m: m["x"] + _with(np.add, "c", "k")(m), when=_is_integer),
    Rule("integer_mul_mul", (x * c) * k, lambda m: m["x"] * _with(np.multiply, "c", "k")(m), when=_is_integer),
    Rule("integer_divide_one", call("floor_divide", x, 1), x, when=_is_integer),
    Rule("integer_remainder_one", call("remainder", x, 1), 0, when=_is_integer),
    # Doubling is exact, also twice; halving is not, where numbers are tiny.
    Rule("mul_mul_doubled", (x * c) * k, lambda m: m["x"] * _with(np.multiply, "c", "k")(m), when=_doubles),
    # Constants move out of sums and products of integers, to meet each other.
    Rule("integer_add_out", (x + c) + y, lambda m: (m["x"] + m["y"]) + m["c"], when=_moves_out_integer),
    Rule("integer_sub_out", (x + c) - y, lambda m: (m["x"] - m["y"]) + m["c"], when=_moves_out_integer),
    Rule("integer_sub_from_out", y - (x + c), lambda m: (m["y"] - m["x"]) - m["c"], when=_moves_out_integer),
    Rule("integer_mul_out", (x * c) * y, lambda m: (m["x"] * m["y"]) * m["c"], when=_moves_out_integer),
    Rule("integer_add_sub", (x + y) - y, x, when=_is_integer),
    Rule("integer_add_sub_first", (x + y) - x, y, when=_is_integer),
    Rule("integer_sub_add", (x - y) + y, x, when=_is_integer),
    Rule("integer_sub_sub", x - (x - y), y, when=_is_integer),
    *_distributing("integer_distribute", _is_integer, exact=True),
    Rule("abs_times_abs", call("abs", x) * call("abs", y), call("abs", x * y), when=_are_alone_floats),
    Rule("abs_square", call("abs", x * x), x * x, when=_is_float),
    *[
        Rule(f"{outer}_{inner}", call(outer, call(inner, x)), call(inner, x))
        for outer in ("abs", "relu")
        for inner in ("exp", "exp2", "cosh", "sigmoid", "softplus")
    ],
    Rule("sign_sign", call("sign", call("sign", x)), call("sign", x)),
    Rule("abs_neg", call("abs", -x), call("abs", x), when=lambda m: m.node.dtype.kind != "u"),
    Rule("abs_abs", call("abs", call("abs", x)), call("abs", x)),
)


def _turned(m: Match) -> Node:
    """Return y times the opposite of c."""
    product: Node = m["y"] * _with(np.negative, "c")(m)
    return product


def _is_negative(node: Node) -> bool:
    """Tell whether a constant is negative and its opposite is not."""
    value = _number(node)
    return bool(value < 0 and -value > 0)


def _inverts(node: Node) -> bool:
    """Tell whether a constant is a power of two whose reciprocal is a number of the dtype too."""
    value = _number(node)
    with np.errstate(all="ignore"):
        inverse = np.reciprocal(value)
        is_power = abs(float(np.frexp(value)[0])) == 0.5
        return is_power and bool(np.isfinite(inverse)) and bool(np.reciprocal(inverse) == value)


# Powers: what pow returns for these exponents, from multiplications that round at most as often as pow may be off.

POWERS = (
    Rule("pow_zero", x**0, 1),
    Rule("pow_minus_zero", x**-0.0, 1),
    Rule("pow_one", x**1, x),
    Rule("pow_two", x**2, x * x, ulps=1),
    Rule("pow_three", x**3, lambda m: m["x"] * m["x"] * m["x"], ulps=2),
    Rule("pow_minus_one", x**-1, 1 / x, ulps=1),
)

# Choices and comparisons.


def _one_bound(compare: Op, bound: np.ufunc, m: Match) -> Node:
    return compare(m["x"], literal(bound(known_value(m["c"]), known_value(m["k"])), m["x"].dtype))


CHOICES = (
    Rule("where_same", call("where", p, x, x), x),
    Rule("where_true", call("where", True, x, y), x),
    Rule("where_false", call("where", False, x, y), y),
    Rule("where_not", call("where", call("bitwise_not", p), x, y), call("where", p, y, x)),
    Rule("where_where_true", call("where", p, call("where", p, x, y), z), call("where", p, x, z)),
    Rule("where_where_false", call("where", p, x, call("where", p, y, z)), call("where", p, x, z)),
    Rule("max_self", call("maximum", x, x), x),
    Rule("min_self", call("minimum", x, x), x),
    Rule("max_lowest", call("maximum", x, -np.inf), x),
    Rule("min_highest", call("minimum", x, np.inf), x),
    Rule("max_max", call("maximum", call("maximum", x, y), y), call("maximum", x, y)),
    Rule("min_min", call("minimum", call("minimum", x, y), y), call("minimum", x, y)),
    Rule("relu_relu", call("relu", call("relu", x)), call("relu", x)),
    # Bounds that are constants meet.
    Rule(
        "max_max_constants",
        call("maximum", call("maximum", x, c), k),
        lambda m: maximum(m["x"], _with(np.maximum, "c", "k")(m)),
    ),
    Rule(
        "min_min_constants",
        call("minimum", call("minimum", x, c), k),
        lambda m: minimum(m["x"], _with(np.minimum, "c", "k")(m)),
    ),
    *[
        Rule(
            f"{name}_{how}_{name}",
            call(f"bitwise_{how}", call(name, x, c), call(name, x, k)),
            partial(_one_bound, OPS[name], stricter if how == "and" else looser),
            when=lambda m: not any(np.isnan(_number(m[n])) for n in "ck"),
        )
        for name, stricter, looser in (
            ("gt", np.maximum, np.minimum),
            ("ge", np.maximum, np.minimum),
            ("lt", np.minimum, np.maximum),
            ("le", np.minimum, np.maximum),
        )
        for how in ("and", "or")
    ],
    Rule("where_one_zero", call("where", p, 1, 0), lambda m: cast(m["p"], dtype=m.node.dtype)),
    Rule("where_zero_one", call("where", p, 0, 1), lambda m: cast(bitwise_not(m["p"]), dtype=m.node.dtype)),
    Rule("where_true_false", call("where", p, True, False), p),
    Rule("where_false_true", call("where", p, False, True), call("bitwise_not", p)),
    Rule("lt_self", call("lt", x, x), False),
    Rule("gt_self", call("gt", x, x), False),
    Rule("le_self", call("le", x, x), True, when=_has_no_nan),
    Rule("ge_self", call("ge", x, x), True, when=_has_no_nan),
    Rule("eq_self", call("eq", x, x), True, when=_has_no_nan),
    Rule("ne_self", call("ne", x, x), False, when=_has_no_nan),
    Rule("not_eq", call("bitwise_not", call("eq", x, y)), call("ne", x, y)),
    Rule("not_ne", call("bitwise_not", call("ne", x, y)), call("eq", x, y)),
    Rule("not_lt", call("bitwise_not", call("lt", x, y)), call("ge", x, y), when=_has_no_nan),
    Rule("not_le", call("bitwise_not", call("le", x, y)), call("gt", x, y), when=_has_no_nan),
    Rule("not_gt", call("bitwise_not", call("gt", x, y)), call("le", x, y), when=_has_no_nan),
    Rule("not_ge", call("bitwise_not", call("ge", x, y)), call("lt", x, y), when=_has_no_nan),
)

# Bits.

BITS = (
    Rule("not_not", call("bitwise_not", call("bitwise_not", x)), x),
    Rule("and_self", call("bitwise_and", x, x), x),
    Rule("or_self", call("bitwise_or", x, x), x),
    Rule("xor_self", call("bitwise_xor", x, x), 0),
    Rule("and_zero", call("bitwise_and", x, 0), 0),
    Rule("or_zero", call("bitwise_or", x, 0), x),
    Rule("xor_zero", call("bitwise_xor", x, 0), x),
    Rule("and_true", call("bitwise_and", x, True), x),
    Rule("and_false", call("bitwise_and", x, False), False),
    Rule("or_true", call("bitwise_or", x, True), True),
    Rule("or_false", call("bitwise_or", x, False), x),
    Rule("xor_true", call("bitwise_xor", x, True), call("bitwise_not", x)),
    Rule("and_and", call("bitwise_and", call("bitwise_and", x, y), y), call("bitwise_and", x, y)),
    Rule("and_and_first", call("bitwise_and", call("bitwise_and", x, y), x), call("bitwise_and", x, y)),
    Rule("or_or", call("bitwise_or", call("bitwise_or", x, y), y), call("bitwise_or", x, y)),
    Rule("or_or_first", call("bitwise_or", call("bitwise_or", x, y), x), call("bitwise_or", x, y)),
    Rule("xor_xor", call("bitwise_xor", call("bitwise_xor", x, y), y), x),
    Rule("xor_xor_first", call("bitwise_xor", call("bitwise_xor", x, y), x), y),
    Rule("and_or", call("bitwise_and", call("bitwise_or", x, y), y), y),
    Rule("and_or_first", call("bitwise_and", call("bitwise_or", x, y), x), x),
    Rule("or_and", call("bitwise_or", call("bitwise_and", x, y), y), y),
    Rule("or_and_first", call("bitwise_or", call("bitwise_and", x, y), x), x),
    Rule("and_not", call("bitwise_and", call("bitwise_not", x), x), lambda m: literal(0, m.node.dtype)),
    Rule("or_not", call("bitwise_or", call("bitwise_not", x), x), lambda m: bitwise_not(literal(0, m.node.dtype))),
    Rule(
        "not_and_not",
        call("bitwise_and", call("bitwise_not", x), call("bitwise_not", y)),
        call("bitwise_not", call("bitwise_or", x, y)),
        when=lambda m: _are_alone(m),
    ),
    Rule(
        "not_or_not",
        call("bitwise_or", call("bitwise_not", x), call("bitwise_not", y)),
        call("bitwise_not", call("bitwise_and", x, y)),
        when=lambda m: _are_alone(m),
    ),
    Rule("shift_left_zero", call("left_shift", x, 0), x),
    Rule("shift_right_zero", call("right_shift", x, 0), x),
    Rule("xor_false", call("bitwise_xor", x, False), x),
)

# Casts and rounding.


def keeps_values(source: np.dtype[np.generic], target: np.dtype[np.generic]) -> bool:
    """Tell whether every value of a dtype is one of another."""
    if target in MANTISSA and source.kind in "iu":
        return source.itemsize * 8 - (source.kind == "i") <= MANTISSA[target]
    return bool(np.can_cast(source, target, "safe"))


def _drops_bits_twice(source: Node, middle: np.dtype[np.generic], target: np.dtype[np.generic]) -> bool:
    """Tell whether integers are cut to their low bits, of which the second cast keeps no more than the first."""
    are_integers = all(d.kind in "iu" for d in (source.dtype, middle, target))
    return are_integers and target.itemsize <= middle.itemsize


def _cast_cast(m: Match) -> Node | None:
    source, middle, target = m["x"], m["middle"], m.node.dtype
    # An integer that target does not hold wraps; by way of a float it would be some number or other.
    by_float = middle.kind == "f" and target.kind in "iu" and source.dtype.kind in "iu"
    if by_float and not keeps_values(source.dtype, target):
        return None
    if keeps_values(source.dtype, middle) or _drops_bits_twice(source, middle, target):
        return cast(source, dtype=target)
    return None


ROUNDINGS = ("floor", "ceil", "trunc", "rint")

CASTS = (
    Rule(
        "cast_where",
        call("cast", call("where", p, c, k)),
        lambda m: where(m["p"], *[cast(m[n], dtype=m.node.dtype) for n in "ck"]),
    ),
    Rule("bool_ne_zero", call("ne", call("cast", x), 0), x, when=lambda m: m["x"].dtype.kind == "b"),
    Rule(
        "bool_eq_zero",
        call("eq", call("cast", x), 0),
        call("bitwise_not", x),
        when=lambda m: m["x"].dtype.kind == "b",
    ),
    Rule("cast_cast", call("cast", call("cast", x, dtype=Attr("middle"))), _cast_cast),
    *[
        Rule(f"{outer}_{inner}", call(outer, call(inner, x)), call(inner, x))
        for outer in ROUNDINGS
        for inner in ROUNDINGS
    ],
)

ELEMENT_RULES = (*ARITHMETIC, *POWERS, *CHOICES, *BITS, *CASTS)

# Rules for fast_math alone.

MOST_SQUARES = 16
"""The largest power that is multiplied out."""


def _is_inner(m: Match, operand: int) -> bool:
    """Tell whether an operand is as large as the result and has no other reader."""
    inner = m.node.inputs[operand]
    return bool(inner.shape == m.node.shape) and m.is_alone(inner)


def _power_by_squares(m: Match) -> Node | None:
    exponent = _number(m["c"])
    if exponent not in range(4, MOST_SQUARES + 1):
        return None
    square, result, left = m["x"], None, int(exponent)
    while left:
        if left & 1:
            result = square if result is None else result * square
        left //= 2
        square = square * square if left else square
    return result


FAST_ELEMENT_RULES = (
    Rule("add_zero", x + 0, x, exact=False),
    Rule("zero_sub", 0 - x, -x, exact=False),
    Rule("mul_zero", x * 0, 0, when=_is_float, exact=False),
    Rule("sub_self", x - x, 0, when=_is_float, exact=False),
    Rule("div_self", x / x, 1, exact=False),
    Rule("zero_div", 0 / x, 0, exact=False),
    Rule("neg_sub", -(x - y), y - x, when=_is_float, exact=False),
    Rule("add_add", (x + c) + k, lambda m: m["x"] + _with(np.add, "c", "k")(m), when=_is_float, exact=False),
    Rule("mul_mul", (x * c) * k, lambda m: m["x"] * _with(np.multiply, "c", "k")(m), when=_is_float, exact=False),
    Rule("div_constant", x / c, lambda m: m["x"] * _with(np.reciprocal, "c")(m), exact=False),
    Rule("pow_half", x**0.5, call("sqrt", x), exact=False),
    Rule("square_of_sqrt", call("sqrt", x) * call("sqrt", x), x, exact=False),
    Rule("pow_small", x**c, lambda m: _power_by_squares(m), exact=False),
    Rule("pow_minus_two", x**-2, lambda m: 1 / (m["x"] * m["x"]), exact=False),
    Rule("div_div", (x / y) / z, x / (y * z), when=lambda m: _is_inner(m, 0), exact=False),
    Rule("div_of_div", x / (y / z), (x * z) / y, when=lambda m: _is_inner(m, 1), exact=False),
    *_distributing("distribute", _is_float, exact=False),
    Rule(
        "mul_out",
        (x * c) * y,
        lambda m: (m["x"] * m["y"]) * m["c"],
        when=lambda m: _is_float(m) and _moves_out(m),
        exact=False,
    ),
    Rule("exp_times_exp", call("exp", x) * call("exp", y), call("exp", x + y), when=_are_alone, exact=False),
    Rule("exp_over_exp", call("exp", x) / call("exp", y), call("exp", x - y), when=_are_alone, exact=False),
    Rule("log_pow", call("log", x**c), lambda m: log(m["x"]) * m["c"], exact=False),
    Rule("log_exp", call("log", call("exp", x)), x, exact=False),
    Rule("exp_log", call("exp", call("log", x)), x, exact=False),
)
