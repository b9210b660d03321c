"""Derivatives where they are hard: at kinks, ties, zeros, infinities and repeated indices, in both modes and orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gx

try:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
except ImportError:
    jax = None

INF = np.inf


@dataclass(frozen=True)
class Kink:
    """A function m of arrays in a namespace t, at a point: the gradient of the sum of 1, 2, 3, ... times its results.

    second    the second derivatives; a vector stands for a diagonal
    as_jax    whether jax has the same; where it has not, the reason stands beside
    """

    function: Callable[[Any], Callable[[Any], Any]]
    at: Any
    first: Any
    second: Any
    as_jax: bool = True


def _of(t: Any, name: str) -> Any:
    """Return a function that jax has elsewhere."""
    if t is gx:
        return getattr(gx, name, None) or getattr(gx.nn, name)
    return getattr(jax.nn, name, None) or getattr(jax.lax, name)


def _hessian(size: int, **entries: float) -> Any:
    """Return a symmetric matrix with entries by place: _01=2 is 2 at [0, 1] and [1, 0]."""
    found = np.zeros((size, size))
    for place, value in entries.items():
        i, j = int(place[1]), int(place[2])
        found[i, j] = found[j, i] = value
    return found


ROWS = np.array([0, 0, 1])

KINKS = {
    # not chosen
    "sqrt not chosen": Kink(lambda t: lambda x: t.where(x > 0, t.sqrt(x), 0.0), [-1, 0, 4], [0, 0, 0.75],
                            [0, 0, -3 / 32], as_jax=False),  # jax: NaN
    "log not chosen": Kink(lambda t: lambda x: t.where(x > 0, x * t.log(x), 0.0), [0, 1, 2],
                           [0, 2, 3 * (1 + np.log(2))], [0, 2, 1.5], as_jax=False),  # jax: NaN
    "norm not chosen": Kink(lambda t: lambda x: t.where(t.sum(x * x) > 0, t.sqrt(t.sum(x * x)), 0.0), [0, 0], [0, 0],
                            [0, 0], as_jax=False),  # jax: NaN
    # kinks
    "abs": Kink(lambda t: lambda x: t.abs(x), [-1, 0, 2], [-1, 0, 3], [0, 0, 0], as_jax=False),  # jax: 1 at 0
    "sign": Kink(lambda t: lambda x: t.sign(x) * x, [-1, 0, 2], [-1, 0, 3], [0, 0, 0]),
    "relu": Kink(lambda t: lambda x: _of(t, "relu")(x), [-1, 0, 2], [0, 0, 3], [0, 0, 0]),
    "maximum at a tie": Kink(lambda t: lambda x: t.maximum(x, 0.0), [-1, 0, 2], [0, 1, 3], [0, 0, 0]),
    "minimum at a tie": Kink(lambda t: lambda x: t.minimum(x, 0.0), [-1, 0, 2], [1, 1, 0], [0, 0, 0]),
    "clip at its bounds": Kink(lambda t: lambda x: t.clip(x, -1.0, 1.0), [-2, -1, 0, 1, 2], [0, 1, 3, 2, 0], [0] * 5),
    "remainder": Kink(lambda t: lambda x: t.remainder(x, 2.0), [-1, 0, 3], [1, 2, 3], [0, 0, 0]),
    "hypot at the origin": Kink(lambda t: lambda x: t.hypot(x[0], x[1]), [0, 0], [0, 0], [0, 0], as_jax=False),
    "hypot on an axis": Kink(lambda t: lambda x: t.hypot(x[0], x[1]), [3, 0], [1, 0], [0, 1 / 3]),
    "atan2 on the cut": Kink(lambda t: lambda x: t.arctan2(x[0], x[1]), [0, -1], [-1, 0], _hessian(2, _01=-1.0)),
    # powers
    "power 2": Kink(lambda t: lambda x: x**2, [-1, 0, 2], [-2, 0, 12], [2, 4, 6]),
    "power 1": Kink(lambda t: lambda x: x**1, [-1, 0, 2], [1, 2, 3], [0, 0, 0]),
    "power 0": Kink(lambda t: lambda x: x**0, [-1, 0, 2], [0, 0, 0], [0, 0, 0]),
    "power 2 in an array": Kink(lambda t: lambda x: x ** t.asarray(np.full(3, 2.0)), [-1, 0, 2], [-2, 0, 12],
                                [2, 4, 6]),
    "power 1 in an array": Kink(lambda t: lambda x: x ** t.asarray(np.full(3, 1.0)), [-1, 0, 2], [1, 2, 3], [0] * 3,
                                as_jax=False),  # jax: NaN in second order
    "power 0 in an array": Kink(lambda t: lambda x: x ** t.asarray(np.full(3, 0.0)), [-1, 0, 2], [0] * 3, [0] * 3,
                                as_jax=False),  # jax: NaN
    "power of zero": Kink(lambda t: lambda x: t.asarray(np.array([0.0, 2.0])) ** x, [2, 0], [0, 2 * np.log(2)],
                          [0, 2 * np.log(2) ** 2]),
    # products
    "prod with a zero": Kink(lambda t: lambda x: t.prod(x), [0, 2, 3], [6, 0, 0], _hessian(3, _01=3.0, _02=2.0)),
    "prod with zeros": Kink(lambda t: lambda x: t.prod(x), [0, 0, 3], [0, 0, 0], _hessian(3, _01=3.0)),
    "prod of zeros": Kink(lambda t: lambda x: t.prod(x), [0, 0, 0], [0, 0, 0], [0, 0, 0]),
    "prod over axes": Kink(lambda t: lambda x: t.prod(t.reshape(x, (2, 2, 1)), axis=(0, 2)), [0, 2, 0, 3],
                           [0, 6, 0, 4], _hessian(4, _02=1.0, _13=2.0)),
    "cumprod with zeros": Kink(lambda t: lambda x: t.cumprod(x), [2, 0, 3], [1, 22, 0],
                               _hessian(3, _01=11.0, _12=6.0)),
    # order
    "max at a tie": Kink(lambda t: lambda x: t.max(x), [2, 1, 2, 0], [0.5, 0, 0.5, 0], [0] * 4),
    "min at a tie": Kink(lambda t: lambda x: t.min(x), [2, 0, 2, 0], [0, 0.5, 0, 0.5], [0] * 4),
    "max of squares at a tie": Kink(lambda t: lambda x: t.max(x * x), [2, 1, -2], [2, 0, -2], [1, 0, 1]),
    "sort at a tie": Kink(lambda t: lambda x: t.sort(x), [2, 1, 2, 0], [3, 2, 4, 1], [0] * 4),
    "cummax at a tie": Kink(lambda t: lambda x: _of(t, "cummax")(x), [1, 1, 0, 2], [1, 5, 0, 4], [0] * 4,
                            as_jax=False),  # jax shares
    # statistics
    "variance of a constant": Kink(lambda t: lambda x: t.var(x), [2, 2], [0, 0], np.array([[0.5, -0.5], [-0.5, 0.5]])),
    "deviation of a constant": Kink(lambda t: lambda x: t.std(x), [2, 2], [0, 0], [0, 0], as_jax=False),  # jax: NaN
    # infinities
    "logaddexp of -inf": Kink(lambda t: lambda x: t.logaddexp(x[0], x[1]), [-INF, -INF], [0.5, 0.5], [0, 0],
                              as_jax=False),  # jax: NaN
    "logaddexp2 of inf": Kink(lambda t: lambda x: t.logaddexp2(x[0], x[1]), [INF, INF], [0.5, 0.5], [0, 0],
                              as_jax=False),  # jax: NaN
    "logsumexp with -inf": Kink(lambda t: lambda x: _of(t, "logsumexp")(x), [-INF, 1, 1], [0, 0.5, 0.5],
                                _hessian(3, _11=0.25, _12=-0.25, _22=0.25)),
    "logsumexp of -inf": Kink(lambda t: lambda x: _of(t, "logsumexp")(x), [-INF, -INF], [0, 0], [0, 0],
                              as_jax=False),  # jax: NaN
    "softmax with -inf": Kink(lambda t: lambda x: _of(t, "softmax")(x), [-INF, 1, 1], [0, -0.25, 0.25], [0] * 3),
    "log_softmax beside -inf": Kink(lambda t: lambda x: _of(t, "log_softmax")(x)[1:], [-INF, 1, 1], [0, -0.5, 0.5],
                                    _hessian(3, _11=-0.75, _12=0.75, _22=-0.75)),
    "softplus": Kink(lambda t: lambda x: _of(t, "softplus")(x), [-1000, 0, 1000, -INF, INF], [0, 1, 3, 0, 5],
                     [0, 0.5, 0, 0, 0]),
    "sigmoid": Kink(lambda t: lambda x: _of(t, "sigmoid")(x), [-1000, 0, INF], [0, 0.5, 0], [0, 0, 0]),
    "tanh": Kink(lambda t: lambda x: t.tanh(x), [-1000, 0, INF], [0, 2, 0], [0, 0, 0]),
    "silu": Kink(lambda t: lambda x: _of(t, "silu")(x), [-1000, 0, 1000], [0, 1, 3], [0, 1, 0]),
    # repeated indices
    "take": Kink(lambda t: lambda x: t.take(x, ROWS) ** 2, [2, 3], [12, 18], [6, 6]),
    "add at": Kink(lambda t: lambda x: t.zeros(2).at[ROWS].add(x) ** 2, [2, 3, 5], [10, 10, 20],
                   _hessian(3, _00=2.0, _01=2.0, _11=2.0, _22=4.0)),
    "set at": Kink(lambda t: lambda x: t.ones(3).at[np.array([0, 2])].set(x) ** 2, [2, 3], [4, 18], [2, 6]),
    "multiply at": Kink(lambda t: lambda x: 2 * t.ones(3).at[np.array([0, 0])].multiply(x), [2, 3], [6, 4],
                        _hessian(2, _01=2.0), as_jax=False),  # jax: only unique indices
    # broadcasting
    "a scalar and a row": Kink(lambda t: lambda x: x[0] * t.asarray(np.ones((2, 2))) * x[1:], [2, 3, 5],
                               [42, 8, 12], _hessian(3, _01=4.0, _02=6.0)),
}  # fmt: skip


def weighted(t: Any, kink: Kink) -> Callable[[Any], Any]:
    """Return the scalar function whose derivatives a kink tells."""

    def scalar(x: Any) -> Any:
        y = kink.function(t)(x)
        shape = tuple(map(int, y.shape))
        return t.sum(y * np.arange(1.0, 1 + int(np.prod(shape))).reshape(shape))

    return scalar


def expected(kink: Kink) -> tuple[Any, Any]:
    second = np.asarray(kink.second, float)
    return np.asarray(kink.first, float), np.diag(second) if second.ndim == 1 else second


@pytest.mark.parametrize("backend", ["eager", "llvm"])
@pytest.mark.parametrize("name", KINKS)
def test_derivatives(name: str, backend: str) -> None:
    kink = KINKS[name]
    at, (first, second) = np.array(kink.at, float), expected(kink)
    f = weighted(gx, kink)
    directions = np.eye(len(at))
    found = gx.jit(
        lambda x: {
            "reverse": gx.grad(f)(x),
            "forward": [gx.jvp(f, (x,), (d,))[1] for d in directions],
            "reverse over reverse": gx.jacrev(gx.grad(f))(x),
            "forward over reverse": gx.jacfwd(gx.grad(f))(x).mT,
        },
        backend=backend,
    )(at)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found["reverse"], first, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found["forward"], first, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found["reverse over reverse"], second, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found["forward over reverse"], second, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [n for n, k in KINKS.items() if k.as_jax])
def test_jax_has_the_same(name: str) -> None:
    if jax is None:
        pytest.skip("jax is not installed (extra: bench)")
    kink = KINKS[name]
    at, (first, second) = jnp.asarray(np.array(kink.at, float)), expected(kink)
    f = weighted(jnp, kink)
    np.testing.assert_allclose(jax.grad(f)(at), first, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(jax.grad(f))(at), second, rtol=1e-10, atol=1e-12)


def test_an_empty_product_and_its_derivative():
    x = gx.placeholder(("n",), "float64")
    slopes = gx.compile([x], [gx.gradients(gx.prod(x), x), gx.gradients(gx.sum(gx.cumprod(x)), x)])
    assert [v.tolist() for v in slopes(np.array([2.0, 3.0]))] == [[3, 2], [4, 2]]
    assert [v.tolist() for v in slopes(np.zeros(0))] == [[], []]


def test_integers_and_bools_carry_no_derivative():
    x = np.array([1.5, 2.5])
    assert gx.grad(lambda x: gx.sum(x * (x > 2)))(x).tolist() == [0, 1]
    assert gx.grad(lambda x: gx.sum(x * gx.astype(x, "int64")))(x).tolist() == [1, 2]
    assert gx.grad(lambda x, k: gx.sum(x * k))(x, np.array([2, 3])).tolist() == [2, 3]
    with pytest.raises(gx.GradientError, match=r"grad: argument 0 must be floating-point, got i64\[2\]"):
        gx.grad(lambda k: gx.sum(k * 1.0))(np.array([2, 3]))
    out, tangent = gx.jvp(lambda x: gx.astype(x, "int64"), (x,), (x,))
    assert (out.tolist(), tangent.tolist()) == ([1, 2], [0, 0])
