"""Convolution and correlation of vectors, and polynomials by their coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, as_node, cast_to, choice, count, differ, promote, spread_to
from graphc.array.creation import arange
from graphc.array.elementwise import add, divide, multiply, subtract
from graphc.array.handle import wrap
from graphc.array.shape import concat, flip, part
from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ops.conv import convolve as convolve_op
from graphc.ops.shape import embed

if TYPE_CHECKING:
    from graphc.tensor import Tensor


# Convolution.


def _cut_out(node: Node, start: Size, length: Size) -> Tensor:
    return wrap(part(node, 0, start, length))


def _vectors(name: str, a: ArrayLike, v: ArrayLike) -> tuple[Node, Node]:
    x, w = promote(name, (a, v))
    x, w = (n if n.ndim else wrap(n).reshape((1,)).node for n in (x, w))
    for n in (x, w):
        if n.ndim != 1:
            raise ShapeError(f"{name}: takes vectors, got {n.type}")
        if n.shape[0] == 0:
            raise ShapeError(f"{name}: takes vectors that hold something, got {n.type}")
    return x, w


def _all_products(x: Node, w: Node) -> Node:
    """Return sum over k of x[k] * w[i - k] for all i at which there is a term."""
    kind = x.dtype
    x, w = (cast_to(n, np.dtype("int8")) if kind.kind == "b" else n for n in (x, w))
    n, m = x.shape[0], w.shape[0]
    before = m - 1
    if isinstance(m, Dim):
        x, before = embed(x, shape=(n + 2 * (m - 1),), start=(m - 1,), step=(1,), value=0), 0
    signal = wrap(x).reshape((1, 1, 1, -1)).node
    kernel = flip(wrap(w)).reshape((1, 1, 1, -1)).node
    found = convolve_op(signal, kernel, shape=(1, n + m - 1), stride=(1, 1), dilation=(1, 1), low=(0, before), groups=1)
    return cast_to(wrap(found).reshape((n + m - 1,)).node, kind)


def _cut(name: str, full: Node, mode: str, n: Size, m: Size, same_start: Size) -> Tensor:
    if choice(name, "mode", mode, ("full", "same", "valid")) == "full":
        return wrap(full)
    most, least = dims.maximum(n, m), dims.minimum(n, m)
    if mode == "same":
        return _cut_out(full, same_start, most)
    return _cut_out(full, least - 1, most - least + 1)


def convolve(a: ArrayLike, v: ArrayLike, /, mode: str = "full") -> Tensor:
    """Return the convolution of vectors, sum over k of a[k] * v[i - k].

    "full" has n + m - 1 elements, "same" as many as the longer vector, "valid" what no end influences. Beside elements
    that are not finite the result may be NaN.

    >>> gx.convolve(gx.placeholder((5,)), [1.0, 2.0, 1.0], "same").shape
    (5,)
    """
    x, w = _vectors("convolve", a, v)
    n, m = x.shape[0], w.shape[0]
    return _cut("convolve", _all_products(x, w), mode, n, m, dims.floordiv(dims.minimum(n, m) - 1, 2))


def correlate(a: ArrayLike, v: ArrayLike, /, mode: str = "valid") -> Tensor:
    """Return the cross-correlation of vectors, sum over k of a[i + k] * v[k]; see `convolve` for the modes.

    >>> gx.correlate(gx.placeholder((5,)), [1.0, 2.0, 1.0]).shape
    (3,)
    """
    x, w = _vectors("correlate", a, v)
    n, m = x.shape[0], w.shape[0]
    least = dims.minimum(n, m)
    if mode == "same" and not isinstance(n - m, int):
        raise ShapeError(f"correlate: for mode 'same' it must be known which is longer, got {x.type} and {w.type}")
    is_shorter = isinstance(n - m, int) and n - m < 0
    start = dims.floordiv(least if is_shorter else least - 1, 2)
    return _cut("correlate", _all_products(x, flip(wrap(w)).node), mode, n, m, start)


# Polynomials, given by coefficients of falling powers.


def _coefficients(name: str, p: ArrayLike) -> Tensor:
    node = as_node(name, p)
    if node.ndim > 1:
        raise ShapeError(f"{name}: coefficients must have one axis, got {node.type}")
    return wrap(node) if node.ndim else wrap(node).reshape((1,))


def polyval(p: ArrayLike, x: ArrayLike, /) -> Tensor:
    """Return the polynomial with coefficients p, whose number must be known, at x, by Horner's rule.

    >>> gx.polyval([1.0, 0.0, -1.0], gx.placeholder((3,))).shape
    (3,)
    """
    given = _coefficients("polyval", p)
    number = given.shape[0]
    if not isinstance(number, int):
        raise ShapeError(f"polyval: how many coefficients there are must be known, got {given.node.type}")
    coefficients, at = promote("polyval", (given, x))
    value = multiply(wrap(at), 0)
    for k in range(number):
        value = add(multiply(value, wrap(at)), wrap(part(coefficients, 0, k, 1)).reshape(()))
    return value


def _of_one_length(name: str, p1: ArrayLike, p2: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return coefficients with zeros before the shorter ones."""
    nodes = promote(name, (_coefficients(name, p1), _coefficients(name, p2)))
    length = dims.maximum(nodes[0].shape[0], nodes[1].shape[0])
    a, b = (embed(n, shape=(length,), start=(length - n.shape[0],), step=(1,), value=0) for n in nodes)
    return wrap(a), wrap(b)


def polyadd(p1: ArrayLike, p2: ArrayLike, /) -> Tensor:
    """Return the coefficients of the sum of polynomials, as many as the longer one has.

    >>> gx.polyadd([1.0, 2.0], gx.placeholder((3,))).shape
    (3,)
    """
    return add(*_of_one_length("polyadd", p1, p2))


def polysub(p1: ArrayLike, p2: ArrayLike, /) -> Tensor:
    """Return the coefficients of the difference of polynomials, as many as the longer one has.

    >>> gx.polysub([1.0, 2.0], gx.placeholder((3,))).shape
    (3,)
    """
    return subtract(*_of_one_length("polysub", p1, p2))


def polymul(p1: ArrayLike, p2: ArrayLike, /) -> Tensor:
    """Return the coefficients of the product of polynomials; leading zeros stay, unlike in NumPy.

    >>> gx.polymul([1.0, 2.0], gx.placeholder((3,))).shape
    (4,)
    """
    return convolve(_coefficients("polymul", p1), _coefficients("polymul", p2))


def polyder(p: ArrayLike, /, m: int = 1) -> Tensor:
    """Return the coefficients of the m-th derivative of a polynomial.

    >>> gx.polyder(gx.placeholder((4,))).shape
    (3,)
    """
    found = _coefficients("polyder", p)
    for _ in range(count("polyder", "m", m)):
        length = dims.maximum(found.shape[0] - 1, 0)
        found = multiply(_cut_out(found.node, 0, length), _falling(length))
    return found


def polyint(p: ArrayLike, /, m: int = 1, k: ArrayLike | None = None) -> Tensor:
    """Return the coefficients of the m-th integral of a polynomial, with constants k, one or m, or 0.

    >>> gx.polyint(gx.placeholder((4,))).shape
    (5,)
    """
    found, order = _coefficients("polyint", p), count("polyint", "m", m)
    constants = as_node("polyint", 0.0 if k is None else k)
    if constants.ndim > 1 or (constants.ndim == 1 and differ(constants.shape[0], order)):
        raise ShapeError(f"polyint: k must be one constant or {order}, got {constants.type}")
    row = wrap(spread_to(constants, (order,)))
    for step in range(order):
        found = concat([divide(found, _falling(found.shape[0])), _cut_out(row.node, step, 1)])
    return found


def _falling(length: Size) -> Tensor:
    """Return length, length - 1, ..., 1."""
    return flip(arange(length)) + 1
