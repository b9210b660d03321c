"""custom_vjp: the user's rule in every composition."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import graphc as gx

V = np.array([0.5, 1.5, -0.7])


@gx.custom_vjp
def product(x: Any, y: Any) -> Any:
    return gx.sin(x) * y


def product_forward(x: Any, y: Any) -> Any:
    return product(x, y), (gx.cos(x), gx.sin(x), y)


def product_backward(residuals: Any, ct: Any) -> Any:
    cos_x, sin_x, y = residuals
    return ct * cos_x * y, ct * sin_x


product.defvjp(product_forward, product_backward)
clipped = gx.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, ct: (gx.clip(ct, -1, 1),))
doubled = gx.custom_vjp(gx.sin, lambda x: (gx.sin(x), x), lambda x, ct: 2 * ct * gx.cos(x))  # twice the truth


def plain(x: Any, y: Any) -> Any:
    return gx.sin(x) * y


COMPOSED = {
    "value": lambda f: f(V, 2 * V),
    "grad": lambda f: gx.grad(lambda x, y: gx.sum(f(x, y)), argnums=(0, 1))(V, 2 * V),
    "second": lambda f: gx.hessian(lambda x, y: gx.sum(f(x, y)), argnums=(0, 1))(V, 2 * V),
    "reverse over reverse": lambda f: gx.jacrev(gx.grad(f))(0.3, 0.4),
    "third": lambda f: gx.grad(gx.grad(gx.grad(f)))(0.3, 0.4),
    "jvp": lambda f: gx.jvp(f, (V, 2 * V), (2 * V, V)),
    "vmap": lambda f: gx.vmap(f)(V, V),
    "vmap of grad": lambda f: gx.vmap(gx.grad(f))(V, V),
    "grad of vmap": lambda f: gx.grad(lambda x: gx.sum(gx.vmap(f, in_axes=(0, None))(x, 2.0)))(V),
    "jit": lambda f: gx.jit(gx.grad(lambda x: gx.sum(f(x, x))))(V),
    "in a scan": lambda f: gx.hessian(lambda x: gx.scan(lambda c, v: (f(c, v), None), 0.3, x)[0])(V),
    "in a while_loop": lambda f: gx.grad(
        lambda x: gx.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, f(c[1], x)), (0, 0.3))[1]
    )(0.7),
    "in a branch": lambda f: gx.grad(lambda x: gx.cond(x > 0, lambda x: f(x, x), lambda x: x, x))(0.4),
    "in a checkpoint": lambda f: gx.hessian(gx.checkpoint(lambda x: f(x, f(x, x))))(0.4),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_a_true_rule_changes_nothing(name: str) -> None:
    found, expected = (gx.nest.flatten(COMPOSED[name](f))[0] for f in (product, plain))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def test_the_rule_is_what_counts() -> None:
    assert gx.grad(doubled)(0.0) == 2.0
    np.testing.assert_allclose(gx.hessian(doubled)(0.5), -2 * np.sin(0.5))  # of backward's own graph
    np.testing.assert_allclose(gx.jvp(doubled, (0.5,), (1.0,))[1], 2 * np.cos(0.5))


def test_clipping_a_gradient() -> None:
    assert gx.grad(lambda x: gx.sum(clipped(x) ** 2))(np.array([0.25, 3.0, -8.0])).tolist() == [0.5, 1.0, -1.0]
    with pytest.raises(gx.GradientError, match="linear in its cotangent"):
        gx.jvp(clipped, (1.0,), (1.0,))
    with pytest.raises(gx.GradientError, match="linear in its cotangent"):
        gx.jvp(lambda x: gx.map(clipped, x), (V,), (V,))


def test_bounds_as_arguments() -> None:
    """jax's example: the residuals are the bounds, which have no cotangent."""

    @gx.custom_vjp
    def clip_gradient(lo: Any, hi: Any, x: Any) -> Any:
        return x

    def backward(residuals: Any, g: Any) -> Any:
        lo, hi = residuals
        return None, None, gx.clip(g, lo, hi)

    clip_gradient.defvjp(lambda lo, hi, x: (x, (lo, hi)), backward)
    f = gx.grad(lambda x: gx.sin(clip_gradient(-0.75, 0.75, x)))
    np.testing.assert_allclose(gx.vmap(f)(np.linspace(0, 3, 5)), np.clip(np.cos(np.linspace(0, 3, 5)), -0.75, 0.75))


def test_a_fixed_point_by_implicit_differentiation() -> None:
    """jax's example: the derivative of a fixed point is another fixed point; no step is recorded."""

    @partial(gx.custom_vjp, nondiff_argnums=(0,))
    def fixed_point(f: Any, a: Any, guess: Any) -> Any:
        def step(c: Any) -> Any:
            return c[1], f(a, c[1])

        return gx.while_loop(lambda c: gx.abs(c[0] - c[1]) > 1e-14, step, (guess, f(a, guess)))[1]

    def forward(f: Any, a: Any, guess: Any) -> Any:
        found = fixed_point(f, a, guess)
        return found, (a, found)

    def backward(f: Any, residuals: Any, ct: Any) -> Any:
        a, found = residuals
        _, by_a = gx.vjp(lambda a: f(a, found), a)
        w = fixed_point(partial(adjoint, f), (a, found, ct), ct)
        return by_a(w)[0], gx.zeros_like(found)

    def adjoint(f: Any, packed: Any, u: Any) -> Any:
        a, found, ct = packed
        _, by_x = gx.vjp(lambda x: f(a, x), found)
        return ct + by_x(u)[0]

    fixed_point.defvjp(forward, backward)

    def newton(a: Any) -> Any:
        return fixed_point(lambda a, x: 0.5 * (x + a / x), a, a)

    np.testing.assert_allclose(newton(2.0), np.sqrt(2), rtol=1e-14)
    np.testing.assert_allclose(gx.grad(newton)(2.0), 0.5 / np.sqrt(2), rtol=1e-12)
    np.testing.assert_allclose(gx.grad(gx.grad(newton))(2.0), -0.25 * 2**-1.5, rtol=1e-10)


def test_nests_integers_and_several_results() -> None:
    @gx.custom_vjp
    def f(p: Any, k: Any, name: str = "a") -> Any:
        return {"y": p[name] * k, "k": k + 1}

    def backward(residuals: Any, ct: Any) -> Any:
        assert set(ct) == {"y", "k"}
        return {"a": ct["y"] * residuals["k"], "b": gx.zeros(2)}, None, None

    f.defvjp(lambda p, k, name="a": (f(p, k, name), {"k": k, "static": "s", "n": 3}), backward)
    p = {"a": V, "b": np.ones(2)}
    found = gx.grad(lambda p: gx.sum(f(p, np.array(3))["y"]))(p)
    assert (found["a"].tolist(), found["b"].tolist()) == ([3, 3, 3], [0, 0])
    assert f(p, k=np.array(3))["k"] == 4


def test_what_the_functions_use_from_outside() -> None:
    w = gx.variable(np.array(2.0), name="w")
    f = gx.custom_vjp(lambda x: x * w, lambda x: (f(x), f(x)), lambda out, ct: ct * w + 0 * out)
    assert gx.grad(f)(3.0) == 2.0
    assert gx.grad(gx.grad(lambda x: f(f(x)) * x))(3.0) == 8.0
    with pytest.raises(gx.GradientError, match=r"<lambda>_[0-9]+ uses a Tensor or variable from outside"):
        gx.grad(f, weights=w)(3.0)

    def loop(xs: Any) -> Any:
        def body(c: Any, x: Any) -> Any:
            k = gx.stop_gradient(x)
            g = gx.custom_vjp(lambda v: gx.exp(v) * k, lambda v: (g(v), g(v)), lambda out, ct: ct * out)
            return g(c), None

        return gx.scan(body, 0.3, xs)[0]

    def truth(xs: Any) -> Any:
        return gx.scan(lambda c, x: (gx.exp(c) * gx.stop_gradient(x), None), 0.3, xs)[0]

    for transform in (gx.grad, gx.hessian):
        by_start = (transform(lambda s, f=f: f(np.array([0.5, 0.6])) * s)(1.3) for f in (loop, truth))
        np.testing.assert_allclose(*by_start)


def test_symbolic_sizes() -> None:
    x = gx.placeholder(("n",), "float64")
    slope = gx.compile([x], gx.gradients(gx.sum(product(x, x)), x))
    for n in (1, 3):
        np.testing.assert_allclose(slope(V[:n]), np.cos(V[:n]) * V[:n] + np.sin(V[:n]))


WRONG = [
    (lambda: gx.custom_vjp(gx.sin)(1.0), "no derivative rule; give it one with defvjp"),
    (lambda: gx.custom_vjp(gx.sin, gx.sin), "forward and backward come together"),
    (lambda: gx.custom_vjp(gx.sin, 1, 2), "must be functions"),
    (lambda: gx.custom_vjp(gx.sin, gx.sin, gx.sin)(1.0), "forward must return a pair"),
    (lambda: gx.custom_vjp(gx.sin, lambda x: ((x, x), x), gx.multiply)(1.0), r"structure \*, got \(\*, \*\)"),
    (
        lambda: gx.custom_vjp(lambda x: gx.sum(x), lambda x: (x, x), gx.multiply)(V),
        r"must be f64\[\] as that of fn, got f64",
    ),
    (lambda: gx.custom_vjp(gx.add, lambda x, y: (x + y, x), lambda r, ct: (ct,))(V, V), "for each of 2 arguments"),
    (lambda: gx.custom_vjp(gx.sin, lambda x: (x, x), lambda r, ct: ({"a": ct},))(V), r"must have its structure, \*"),
    (lambda: gx.custom_vjp(gx.sin, lambda x: (x, x), lambda r, ct: (ct[0],))(V), "argument 0 must have the shape"),
    (lambda: gx.custom_vjp(gx.sin, lambda x: (x, x), lambda r, ct: (ct,))(V.astype("f4") * 1), None),
    (lambda: gx.custom_vjp(lambda x: "a", gx.sin, gx.sin)(V), "fn must return arrays"),
]


@pytest.mark.parametrize(("run", "message"), WRONG)
def test_errors(run: Any, message: str | None) -> None:
    if message is None:
        run()
        return
    with pytest.raises(gx.GraphcError, match=message):
        run()
