"""Functions made of operations that both functions on Tensors and passes need: sums of exponentials and their kin."""

from __future__ import annotations

import math

import numpy as np

from graphc.ir.graph import Node, literal
from graphc.ops.elementwise import (
    abs,
    bitwise_and,
    choose,
    eq,
    exp,
    expm1,
    gt,
    log,
    log1p,
    lt,
    maximum,
    softplus,
    stop_gradient,
    where,
)
from graphc.ops.reduce import max as reduce_max
from graphc.ops.reduce import spread
from graphc.ops.reduce import sum as reduce_sum


def finite_max(node: Node, axis: tuple[int, ...]) -> Node:
    """Return the largest element as a constant to shift by; 0 where it is infinite or NaN."""
    largest = stop_gradient(reduce_max(node, axis=axis))
    return choose(lt(abs(largest), literal(np.inf, node.dtype)), largest, 0.0)


def meeting(reduced: Node, node: Node, axis: tuple[int, ...]) -> Node:
    """Return a reduction of `node` ready to meet its elements; rank 0 already is."""
    return spread(reduced, node, axis) if reduced.ndim else reduced


def log_sum_exp(node: Node, axis: tuple[int, ...], divisor: Node | None = None) -> Node:
    """Return log(sum(exp(node)) / divisor): any shift cancels, and that by the largest element keeps exp in range.

    Where all elements are -inf, so is the result, and the derivative is 0.
    """
    shift = finite_max(node, axis)
    total = reduce_sum(exp(node - meeting(shift, node, axis)), axis=axis)
    # The largest term is 1, so that a total below is 0: its logarithm is a constant, without a mask for derivatives.
    positive = maximum(total, literal(np.finfo(node.dtype).tiny, node.dtype))
    nothing = choose(eq(total, 0.0), literal(-np.inf, node.dtype), 0.0)
    return log(positive if divisor is None else positive / divisor) + nothing + shift


def log_add_exp(a: Node, b: Node) -> Node:
    """Return log(exp(a) + exp(b)); infinities follow the limit."""
    # Choosing the larger by `where`, not `maximum`, keeps derivatives of every order right at a tie.
    is_less = lt(a, b)
    high, low = where(is_less, b, a), where(is_less, a, b)
    both_infinite = bitwise_and(eq(a, b), eq(abs(a), literal(np.inf, a.dtype)))
    found = high + softplus(where(both_infinite, literal(0, a.dtype), low - high))
    return where(both_infinite, a * 0.5 + b * 0.5, found)  # at this tie too the gradient is 1/2 for each


def log_one_minus_exp(x: Node) -> Node:
    """Return log(1 - exp(x)): by what loses nothing on either side of -log(2) (Maechler, 2012)."""
    turn = literal(-math.log(2.0), x.dtype)
    is_near = gt(x, turn)
    near, far = where(is_near, x, turn), where(is_near, turn, x)
    return where(is_near, log(-expm1(near)), log1p(-exp(far)))


def log_exp_minus_one(x: Node) -> Node:
    """Return log(exp(x) - 1), the inverse of softplus."""
    turn = literal(math.log(2.0), x.dtype)
    is_far = gt(x, turn)
    near, far = where(is_far, turn, x), where(is_far, x, turn)
    return where(is_far, far + log1p(-exp(-far)), log(expm1(near)))


def is_one_side(x: Node) -> bool:
    """Tell whether `x` is an argument that log_one_minus_exp or log_exp_minus_one made for one side."""
    x = x.inputs[0] if x.op.name == "neg" else x
    turns = [literal(t, x.dtype).attrs["value"] for t in (math.log(2.0), -math.log(2.0))]
    return x.op is where and any(i.attrs.get("value") in turns for i in x.inputs[1:])
