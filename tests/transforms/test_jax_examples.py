"""The examples of jax's documentation, with the names changed: transforms and control flow, nested, of higher orders.

Each is written for graphc and jax alike: m has the transforms, t the functions of arrays, c the control flow.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nest

try:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
except ImportError:
    jax = None

RNG = np.random.default_rng(0)
V = np.array([0.5, 1.5, -0.7])
X = RNG.normal(size=(4, 3))
W, B = RNG.normal(size=3), 0.3
INPUTS = np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
TARGETS = np.array([1.0, 1.0, 0.0, 1.0])
Layer = namedtuple("Layer", ["w", "b"])


def sigmoid(t: Any, x: Any) -> Any:
    return 0.5 * (t.tanh(x / 2) + 1)


def predict(t: Any, w: Any, b: Any, inputs: Any) -> Any:
    return sigmoid(t, inputs @ w + b)


def logistic(t: Any) -> Callable[..., Any]:
    """Return the loss of the autodiff cookbook."""

    def loss(w: Any, b: Any) -> Any:
        preds = predict(t, w, b, t.asarray(INPUTS))
        labels = preds * TARGETS + (1 - preds) * (1 - TARGETS)
        return -t.sum(t.log(labels))

    return loss


def rnn(t: Any, c: Any) -> Callable[..., Any]:
    def loss(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = t.tanh(h * w + x)
            return h, h

        h, hs = c.scan(step, t.zeros(3), xs)
        return t.sum(h) + t.sum(hs**2)

    return loss


def power(t: Any, c: Any, x: Any, n: int) -> Any:
    return c.fori_loop(0, n, lambda i, p: p * x, t.ones_like(x))


def newton(t: Any, c: Any, a: Any) -> Any:
    """Return a square root by 20 steps of which each decides whether it is needed."""

    def step(x: Any, _: Any) -> Any:
        return c.cond(t.abs(x * x - a) > 1e-12, lambda x: 0.5 * (x + a / x), lambda x: x, x), None

    return c.scan(step, a, None, length=20)[0]


def nested(t: Any, c: Any, x: Any) -> Any:
    """Return a loop in a branch in a loop."""

    def outer(total: Any, v: Any) -> Any:
        inner = c.cond(
            v > 0,
            lambda v: c.fori_loop(0, 3, lambda i, s: t.sin(s) + v * i, v),
            lambda v: c.scan(lambda s, u: (s * u, s), v, x)[0],
            v,
        )
        return total + inner * inner, inner

    total, parts = c.scan(outer, 0.5, x)
    return total * t.sum(parts)


CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    # the autodiff cookbook
    "grad of tanh": lambda m, t, c: m.grad(t.tanh)(2.0),
    "grad of grad of grad": lambda m, t, c: m.grad(m.grad(m.grad(t.tanh)))(2.0),
    "gradients by position": lambda m, t, c: m.grad(logistic(t), (0, 1))(W, B),
    "of a dict": lambda m, t, c: m.grad(lambda p: logistic(t)(p["W"], p["b"]))({"W": W, "b": B}),
    "value and grad": lambda m, t, c: m.value_and_grad(logistic(t), (0, 1))(W, B),
    "value, aux and grad": lambda m, t, c: m.value_and_grad(lambda w: (logistic(t)(w, B), {"w": w}), has_aux=True)(W),
    "hessian": lambda m, t, c: m.hessian(lambda w: logistic(t)(w, B))(W),
    "jacobians": lambda m, t, c: [
        j(lambda w: predict(t, w, B, t.asarray(INPUTS)))(W) for j in (m.jacfwd, m.jacrev)
    ],
    "jacobian of a dict": lambda m, t, c: m.jacrev(lambda p: predict(t, p["W"], p["b"], t.asarray(INPUTS)))(
        {"W": W, "b": B}
    ),
    "jvp": lambda m, t, c: m.jvp(lambda w: predict(t, w, B, t.asarray(INPUTS)), (W,), (V,)),
    "vjp": lambda m, t, c: m.vjp(lambda w: predict(t, w, B, t.asarray(INPUTS)), W)[1](TARGETS),
    "hvp, forward over reverse": lambda m, t, c: m.jvp(m.grad(lambda w: logistic(t)(w, B)), (W,), (V,))[1],
    "hvp, reverse over forward": lambda m, t, c: m.grad(
        lambda w: m.jvp(lambda w: logistic(t)(w, B), (w,), (V,))[1]
    )(W),
    "hvp, reverse over reverse": lambda m, t, c: m.grad(
        lambda w: t.sum(m.grad(lambda w: logistic(t)(w, B))(w) * V)
    )(W),
    "per-example gradients": lambda m, t, c: m.vmap(
        m.grad(lambda w, x, y: (predict(t, w, B, x) - y) ** 2), in_axes=(None, 0, 0)
    )(W, INPUTS, TARGETS),
    "vector-Jacobian products": lambda m, t, c: m.vmap(m.vjp(lambda w: predict(t, w, B, t.asarray(INPUTS)), W)[1])(
        X @ X.T
    ),
    "Jacobian-vector products": lambda m, t, c: m.vmap(
        lambda v: m.jvp(lambda w: predict(t, w, B, t.asarray(INPUTS)), (W,), (v,))[1]
    )(X),
    # vmap
    "convolution": lambda m, t, c: m.vmap(
        lambda x, w: t.stack([t.dot(x[i - 1 : i + 2], w) for i in range(1, len(x) - 1)])
    )(t.asarray(np.stack([np.arange(5.0)] * 2)), t.asarray(np.stack([V, V]))),
    "in_axes and out_axes": lambda m, t, c: m.vmap(t.dot, in_axes=(1, 1), out_axes=0)(X, 2 * X),
    "in_axes of a nest": lambda m, t, c: m.vmap(lambda d, x: d["c"][0] * x + d["c"][1], in_axes=({"c": (0, None)}, 0))(
        {"c": (V, 2.0)}, V
    ),
    "out_axes of what is not mapped": lambda m, t, c: m.vmap(
        lambda a, b: (a + b, b * 2.0), in_axes=(0, None), out_axes=(0, None)
    )(V, 4.0),
    "out_axes of a nest": lambda m, t, c: m.vmap(lambda x: {"a": x, "b": (x * 2,)}, out_axes={"a": 1, "b": (0,)})(X),
    "matrices of vectors of scalars": lambda m, t, c: m.vmap(
        m.vmap(lambda a, b: t.dot(a, b), (0, None)), (None, 1), 1
    )(X, X.T),
    # checkpoint
    "checkpoint": lambda m, t, c: m.grad(m.checkpoint(lambda x: t.sin(t.sin(t.sin(x)))))(3.0),
    "checkpoints in checkpoints": lambda m, t, c: m.hessian(
        m.checkpoint(lambda x: t.sum(m.checkpoint(t.sin)(m.checkpoint(t.cos)(x))))
    )(V),
    # nests of every kind, names, static arguments
    "a namedtuple": lambda m, t, c: m.grad(lambda p: t.sum(t.tanh(X @ p.w + p.b)))(Layer(W, B)),
    "tuples in lists": lambda m, t, c: m.grad(lambda p: sum(t.sum(w * b) for w, b in p))([(V, 2 * V), (3 * V, V)]),
    "arguments by name": lambda m, t, c: m.grad(lambda x, *, scale=1.0: t.sum(x**2) * scale)(V, scale=3.0),
    "static arguments": lambda m, t, c: m.jit(lambda x, n: x**n, static_argnums=1)(V, 3),
    "static arguments by name": lambda m, t, c: m.jit(
        lambda x, how: t.sin(x) if how == "sin" else x, static_argnames="how"
    )(V, how="sin"),
    # control flow
    "cond": lambda m, t, c: [c.cond(p, lambda x: x + 1, lambda x: x - 1, 3.0) for p in (True, False)],
    "grad of cond": lambda m, t, c: m.grad(lambda x: c.cond(x < 3.0, lambda x: 3.0 * x**2, lambda x: -4 * x, x))(2.0),
    "vmap of cond": lambda m, t, c: m.vmap(m.grad(lambda x: c.cond(x > 0, t.sin, lambda x: x**3, x)))(V),
    "while_loop": lambda m, t, c: c.while_loop(lambda i: i < 10, lambda i: i + 1, 0),
    "forward through while_loop": lambda m, t, c: m.jvp(
        lambda x: c.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, t.sin(s[1]) * x), (0, x))[1], (V,), (X[0],)
    ),
    "vmap of while_loop": lambda m, t, c: m.vmap(
        lambda n, x: c.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * x), (0, x))[1]
    )(np.array([0, 3, 1]), V),
    "fori_loop": lambda m, t, c: c.fori_loop(0, 10, lambda i, x: x + i, 5.0),
    "grad of fori_loop": lambda m, t, c: m.grad(lambda x: t.sum(power(t, c, x, 5)))(V),
    "hessian of fori_loop": lambda m, t, c: m.hessian(lambda x: t.sum(power(t, c, x, 5)))(V),
    "map": lambda m, t, c: c.map(lambda x: t.sum(x * x), X),
    "cumsum by scan": lambda m, t, c: c.scan(lambda s, x: (s + x, s + x), 0.0, V),
    "reversed scan": lambda m, t, c: c.scan(lambda s, x: (s * 0.5 + x, s), 0.0, V, reverse=True),
    "a recurrent network": lambda m, t, c: m.value_and_grad(rnn(t, c), (0, 1))(W, X),
    "its hessian": lambda m, t, c: m.hessian(rnn(t, c))(W, X),
    "its third derivative": lambda m, t, c: m.jacfwd(m.hessian(rnn(t, c)))(W, X),
    "vmap of its gradient": lambda m, t, c: m.vmap(m.grad(rnn(t, c)), in_axes=(0, None))(np.stack([W, V]), X),
    "gradient of its vmap": lambda m, t, c: m.grad(
        lambda w: t.sum(m.vmap(rnn(t, c), in_axes=(None, 0))(w, np.stack([X, 2 * X])))
    )(W),
    "decisions in a loop": lambda m, t, c: m.vmap(m.grad(m.grad(lambda a: newton(t, c, a))))(np.array([2.0, 3.0, 9.0])),
    "loops in branches in loops": lambda m, t, c: m.value_and_grad(lambda x: nested(t, c, x))(V),
    "their hessian": lambda m, t, c: m.hessian(lambda x: nested(t, c, x))(V),
    "vmap of their hessian": lambda m, t, c: m.vmap(m.hessian(lambda x: nested(t, c, x)))(np.stack([V, -V])),
    "forward over forward": lambda m, t, c: m.jacfwd(m.jacfwd(lambda x: nested(t, c, x)))(V),
    "checkpoint in a scan": lambda m, t, c: m.hessian(
        lambda w: c.scan(m.checkpoint(lambda h, x: (t.tanh(h * w + x), None)), t.zeros(3), t.asarray(X))[0].sum()
    )(W),
}  # fmt: skip


def flat(value: Any) -> tuple[list[Any], Any]:
    leaves, structure = nest.flatten(value)
    return [np.asarray(v) for v in leaves], structure


@pytest.fixture(scope="module")
def found() -> Callable[[str], Any]:
    cache: dict[str, Any] = {}

    def run(name: str) -> Any:
        if name not in cache:
            result = CASES[name](gx, gx, gx)
            leaves, structure = nest.flatten(result)
            cache[name] = structure.unflatten([gx.compile([], v)() if isinstance(v, gx.Tensor) else v for v in leaves])
        return cache[name]

    return run


@pytest.mark.parametrize("name", CASES)
def test_runs(name: str, found: Callable[[str], Any]) -> None:
    assert all(np.isfinite(v).all() for v in flat(found(name))[0])


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_jax(name: str, found: Callable[[str], Any]) -> None:
    if jax is None:
        pytest.skip("jax is not installed (extra: bench)")
    leaves, structure = flat(found(name))
    expected, other = flat(CASES[name](jax, jnp, jax.lax))
    assert structure == other
    for a, b in zip(leaves, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# What jax does not have, or has otherwise.


def repeated(x: Any, n: Any, max_steps: int | None = None) -> Any:
    return gx.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, gx.ones_like(x)), max_steps)[1]


@pytest.mark.parametrize("max_steps", [None, 9])
def test_reverse_mode_through_a_while_loop(max_steps: int | None) -> None:
    power = partial(repeated, max_steps=max_steps)
    assert gx.grad(power)(3.0, 5) == 405
    assert gx.grad(gx.grad(power))(3.0, 5) == 540
    assert gx.vmap(gx.grad(power), in_axes=(None, 0))(3.0, np.array([0, 1, 5])).tolist() == [0, 1, 405]
    assert gx.vmap(gx.grad(power))(np.array([3.0, 2.0]), np.array([5, 3])).tolist() == [405, 12]


@dataclass
class State:
    position: Any
    speed: Any


def test_dataclasses_through_transforms_and_loops() -> None:
    def flight(start: State) -> Any:
        def step(s: State, _: Any) -> tuple[State, Any]:
            return State(s.position + 0.1 * s.speed, s.speed - 0.981), s.position

        return gx.scan(step, start, None, length=10)[0].position

    found = gx.grad(flight)(State(1.0, 2.0))
    assert isinstance(found, State)
    np.testing.assert_allclose([found.position, found.speed], [1.0, 1.0])


def test_ten_thousand_steps_are_the_code_of_one() -> None:
    def code(steps: int) -> str:
        run = gx.jit(lambda h, x: gx.scan(lambda h, _: (gx.tanh(h * x), None), h, None, length=steps)[0])
        slopes = gx.jit(gx.grad(lambda h, x: gx.sum(run(h, x))))
        return "\n".join(str(f.compiled(V, V).text("llvm")) for f in (run, slopes))

    short, long = code(100), code(10_000)
    assert len(long) < 1.05 * len(short) + 200
