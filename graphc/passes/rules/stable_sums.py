"""Forms of stabilize on reductions: sums of exponentials, softmax, variance."""

from __future__ import annotations

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import Node, known_value
from graphc.ir.rewrite import Attr, Match, call, variables
from graphc.ops.compositions import finite_max, log_sum_exp, meeting
from graphc.ops.elementwise import add, cast, div, exp, log, mul, size, stop_gradient, where
from graphc.ops.reduce import max as reduce_max
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast
from graphc.passes.rules.stable_terms import root_of_square, stable

a, b, x, y = variables("a", "b", "x", "y")
_sum_of_exp = call("sum", call("exp", x), axis=Attr("axis"))


def reduced_below(node: Node, like: Node, axis: tuple[int, ...]) -> Node | None:
    """Return what was repeated along `axis` to meet the elements of `like`; None if the node is something else."""
    if not node.shape:
        return node if len(axis) == like.ndim else None
    kept = tuple([k for k in range(like.ndim) if k not in axis])
    is_spread = node.op is broadcast and node.shape == like.shape and node.attrs["axes"] == kept
    return node.inputs[0] if is_spread else None


def is_max_of(node: Node, x: Node, axis: tuple[int, ...]) -> bool:
    """Tell whether a node is the largest element of x along axes, or 0 where that is not finite."""
    if node.op is where and node.inputs[2].op.name == "constant":
        node = node.inputs[1]
    if node.op is stop_gradient:
        node = node.inputs[0]
    return node.op is reduce_max and node.inputs[0] is x and node.attrs["axis"] == axis


def is_shifted(node: Node, axis: tuple[int, ...]) -> bool:
    """Tell whether a node is x less its largest element along axes."""
    if node.op.name != "sub":
        return False
    source, shift = node.inputs
    reduced = reduced_below(shift, source, axis)
    return reduced is not None and is_max_of(reduced, source, axis)


def _needs_shift(m: Match) -> bool:
    return _has_largest(m["x"], m["axis"]) and not is_shifted(m["x"], m["axis"])


def _has_largest(node: Node, axis: tuple[int, ...]) -> bool:
    return len(axis) > 0 and all(node.shape[k] != 0 for k in axis)


def _log_of_scaled_sum(m: Match) -> Node | None:
    """Divide inside the logarithm: a difference of two logarithms would cancel."""
    return log_sum_exp(m["x"], m["axis"], m["y"]) if _is_count(m["y"]) else None


def _log_of_scaled_sum_by_product(m: Match) -> Node | None:
    return log_sum_exp(m["x"], m["axis"], 1.0 / m["y"]) if _is_count(m["y"]) else None


def _is_count(node: Node) -> bool:
    """Tell whether a node is a positive number, or a size not yet known."""
    if node.shape:
        return False
    value = known_value(node)
    if value is not None:
        return bool(value > 0)
    return node.op is size or (node.op is cast and node.inputs[0].op is size)


def _softmax(m: Match) -> Node | None:
    """exp(x) / sum(exp(x)), shifted."""
    source, total = m["x"], m["y"]
    reduced = _sum_below(source, total)
    if reduced is None:
        return None
    axis = reduced.attrs["axis"]
    if is_shifted(source, axis) or not _has_largest(source, axis):
        return None
    powers = exp(source - meeting(finite_max(source, axis), source, axis))
    result: Node = powers / meeting(reduce_sum(powers, axis=axis), source, axis)
    return result


def _sum_below(source: Node, total: Node) -> Node | None:
    """Return the sum of exp(source) that `total` is, repeated."""
    reduced = total.inputs[0] if total.op is broadcast else total
    if reduced.op is not reduce_sum or reduced.inputs[0].op is not exp or reduced.inputs[0].inputs[0] is not source:
        return None
    axis = reduced.attrs["axis"]
    return reduced if axis and reduced_below(total, source, axis) is reduced else None


def _log_softmax(m: Match) -> Node | None:
    """log(exp(x) / sum(exp(x))) for an x that is shifted already, which the softmax rule makes sure of."""
    source = m["x"]
    reduced = _sum_below(source, m["y"])
    if reduced is None:
        return None
    result: Node = source - meeting(log(reduced), source, reduced.attrs["axis"])
    return result


def _less_log_sum(m: Match) -> Node | None:
    """x - (log(sum(exp(x - m))) + m) is (x - m) - log(...): x and m are of one size, and what remains is small."""
    source, total = m["x"], m["y"]
    reduced = total.inputs[0] if total.op is broadcast else total
    if reduced.op is not add:
        return None
    for logarithm, shift in (reduced.inputs, reduced.inputs[::-1]):
        plain = shift.inputs[1] if shift.op is where else shift
        plain = plain.inputs[0] if plain.op is stop_gradient else plain
        if plain.op is not reduce_max or plain.inputs[0] is not source:
            continue
        axis = plain.attrs["axis"]
        if is_max_of(shift, source, axis) and reduced_below(total, source, axis) is reduced:
            result: Node = source - meeting(shift, source, axis) - meeting(logarithm, source, axis)
            return result
    return None


def _scaled(node: Node) -> tuple[Node, Node, bool] | None:
    """Return a sum, its factor, and whether that divides, if the node is the product or quotient of the two."""
    if node.op not in (mul, div):
        return None
    first, second = node.inputs
    if node.op is mul and second.op is reduce_sum:
        first, second = second, first
    return (first, second, node.op is div) if first.op is reduce_sum and _is_count(second) else None


def _is_average(source: Node, axis: tuple[int, ...], factor: Node, divides: bool) -> bool:
    """Tell whether a sum over axes, times or divided by a factor, is the mean."""
    length = dims.product([source.shape[k] for k in axis])
    value = known_value(factor)
    if value is not None and isinstance(length, int) and length > 0:
        ratio = float(value) / length if divides else float(value) * length
        return abs(ratio - 1.0) <= float(np.finfo(source.dtype).eps)
    count = factor.inputs[0] if factor.op is cast else factor
    return divides and count.op is size and bool(count.attrs["value"] == length)


def _variance(m: Match) -> Node | None:
    """mean(x * x) - mean(x)**2 is mean((x - mean(x))**2)."""
    if m.node.dtype.kind != "f":
        return None
    of_squares, mean = _scaled(m["x"]), root_of_square(m["y"])
    if of_squares is None or mean is None:
        return None
    of_values = _scaled(mean)
    if of_values is None or of_squares[1:] != of_values[1:]:
        return None
    total, factor, divides = of_values
    source, axis = total.inputs[0], total.attrs["axis"]
    squares = of_squares[0]
    if not _is_average(source, axis, factor, divides):
        return None
    if root_of_square(squares.inputs[0]) is not source or squares.attrs["axis"] != axis:
        return None
    distance = source - meeting(mean, source, axis)
    spread_out = reduce_sum(distance * distance, axis=axis)
    return spread_out / factor if divides else spread_out * factor


SUMS = (
    *stable("log_sum_exp", call("log", _sum_of_exp), lambda m: log_sum_exp(m["x"], m["axis"]), _needs_shift),
    *stable("log_mean_exp", call("log", _sum_of_exp / y), _log_of_scaled_sum, _needs_shift),
    *stable("log_scaled_sum_exp", call("log", _sum_of_exp * y), _log_of_scaled_sum_by_product, _needs_shift),
    *stable("softmax", call("exp", x) / y, _softmax),
    *stable("log_softmax", call("log", call("exp", x) / y), _log_softmax),
    *stable("less_log_sum_exp", x - y, _less_log_sum),
    *stable("variance", x - y, _variance),
)

# A shift that cancels is a constant to the derivative pass, which else differentiates the largest element for nothing.


def _with_constant_shift(source: Node, axis: tuple[int, ...]) -> Node | None:
    """Return x - max(x) with the largest element as a constant; None if it is one, or the node something else."""
    if not is_shifted(source, axis):
        return None
    x, shift = source.inputs
    reduced = reduced_below(shift, x, axis)
    if reduced is None or reduced.op is not reduce_max:
        return None
    result: Node = x - meeting(stop_gradient(reduced), x, axis)
    return result


def _softmax_of_constant_shift(m: Match) -> Node | None:
    reduced = _sum_below(m["x"], m["y"])
    source = None if reduced is None else _with_constant_shift(m["x"], reduced.attrs["axis"])
    if source is None or reduced is None:
        return None
    powers, axis = exp(source), reduced.attrs["axis"]
    result: Node = powers / meeting(reduce_sum(powers, axis=axis), source, axis)
    return result


def _log_sum_of_constant_shift(m: Match) -> Node | None:
    """log(sum(exp(x - max))) + max"""
    source, axis = _with_constant_shift(m["x"], m["axis"]), m["axis"]
    if source is None or not is_max_of(m["y"], m["x"].inputs[0], axis):
        return None
    result: Node = log(reduce_sum(exp(source), axis=axis)) + stop_gradient(m["y"])
    return result


def _less_log_sum_of_constant_shift(m: Match) -> Node | None:
    """s - log(sum(exp(s))) with s = x - max"""
    total = m["y"].inputs[0] if m["y"].op is broadcast else m["y"]
    reduced = total.inputs[0] if total.op is log else total
    if reduced.op is not reduce_sum or reduced.inputs[0].op is not exp or reduced.inputs[0].inputs[0] is not m["x"]:
        return None
    axis = reduced.attrs["axis"]
    source = _with_constant_shift(m["x"], axis)
    if source is None or total is reduced or reduced_below(m["y"], m["x"], axis) is not total:
        return None
    result: Node = source - meeting(log(reduce_sum(exp(source), axis=axis)), source, axis)
    return result


CONSTANT_SHIFTS = (
    *stable("constant_shift", call("exp", x) / y, _softmax_of_constant_shift),
    *stable("constant_shift", call("log", _sum_of_exp) + y, _log_sum_of_constant_shift),
    *stable("constant_shift", x - y, _less_log_sum_of_constant_shift),
)
