"""Transforms of functions: what they return, how they compose, what they refuse; jax agrees where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

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

rng = np.random.default_rng(0)
P = {"w": rng.standard_normal((3, 4)), "b": np.arange(4.0) / 4}
X = rng.standard_normal((5, 3))
V = np.array([0.5, 1.5, -0.7])
PAIR = np.stack([V, 2 * V])


def mlp(t: Any) -> Callable[..., Any]:
    return lambda p, x: t.sum(t.tanh(x @ p["w"] + p["b"]) ** 2)


def three(t: Any) -> Callable[..., Any]:
    return lambda x: t.stack([t.sin(x[0]) * x[1], x[0] ** 3, t.exp(x[1] * x[2])])


# Each is written for graphc and jax alike: m has the transforms, t the functions of arrays.
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda m, t: m.grad(mlp(t))(P, X),
    "grad of several": lambda m, t: m.grad(mlp(t), argnums=(1, 0))(P, X),
    "grad of the last": lambda m, t: m.grad(mlp(t), argnums=-1)(P, X),
    "value and grad": lambda m, t: m.value_and_grad(mlp(t), argnums=(0, 1))(P, X),
    "aux": lambda m, t: m.grad(lambda x: (t.sum(x**2), {"a": x + 1}), has_aux=True)(V),
    "value and aux": lambda m, t: m.value_and_grad(lambda x: (t.sum(x**2), (x, x * 3)), has_aux=True)(V),
    "second": lambda m, t: m.grad(m.grad(lambda x: t.sin(x) * x**3))(1.3),
    "third": lambda m, t: m.grad(m.grad(m.grad(lambda x: t.tanh(x) * x)))(0.3),
    "closed over in reverse": lambda m, t: m.grad(lambda x: x * m.grad(lambda y: x + y * y)(1.0))(2.0),
    "closed over and given": lambda m, t: m.grad(lambda x: x * m.grad(lambda y: x * y)(x))(2.0),
    "closed over forward": lambda m, t: m.jvp(lambda x: x * m.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (3.0,), (1.0,)),
    "forward of reverse": lambda m, t: m.jvp(m.grad(mlp(t)), (P, X), (P, X))[1],
    "reverse of forward": lambda m, t: m.grad(lambda x: m.jvp(lambda y: t.sum(t.sin(y) * y), (x,), (V,))[1])(V),
    "jacrev": lambda m, t: m.jacrev(three(t))(V),
    "jacfwd": lambda m, t: m.jacfwd(three(t))(V),
    "jacobian of a nest": lambda m, t: m.jacrev(lambda p: {"y": p["w"] @ p["b"], "z": p["b"] ** 2})(P),
    "jacobians in two arguments": lambda m, t: m.jacfwd(lambda a, b: a * t.sum(b), argnums=(0, 1))(V, X),
    "hessian": lambda m, t: m.hessian(mlp(t))(P, X),
    "forward over forward": lambda m, t: m.jacfwd(m.jacfwd(three(t)))(V),
    "reverse over reverse": lambda m, t: m.jacrev(m.jacrev(three(t)))(V),
    "jvp": lambda m, t: m.jvp(mlp(t), (P, X), (P, X)),
    "vmap": lambda m, t: m.vmap(lambda a, b: a @ b, in_axes=(0, None))(X, V),
    "vmap of a gradient": lambda m, t: m.vmap(m.grad(mlp(t)), in_axes=(None, 0))(P, X),
    "vmap along other axes": lambda m, t: m.vmap(m.grad(mlp(t), argnums=1), in_axes=(None, 1), out_axes=1)(
        P, X.T.copy()
    ),
    "vmap in vmap": lambda m, t: m.vmap(m.vmap(lambda a, b: a * t.sin(b), (None, 0)), (0, None))(V, V),
    "vmap of nests": lambda m, t: m.vmap(lambda d, s: {"r": d["a"] * s, "q": d["b"]}, in_axes=({"a": 0, "b": None}, 0))(
        {"a": X, "b": V}, X[:, 0]
    ),
    "vmap by name": lambda m, t: m.vmap(lambda a, b: a + b)(V, b=V),
    "vmap of a Jacobian": lambda m, t: m.vmap(m.jacrev(three(t)))(PAIR),
    "Jacobian of a vmap": lambda m, t: m.jacrev(lambda z: m.vmap(three(t))(z))(PAIR),
    "jit of grad of vmap": lambda m, t: m.jit(m.grad(lambda z: t.sum(m.vmap(three(t))(z)[:, 0] ** 2)))(PAIR),
    "vmap of a hessian": lambda m, t: m.vmap(m.hessian(lambda x: t.sum(x**3 * x[0])))(PAIR),
    "vmap of a row read": lambda m, t: m.vmap(lambda row, k: t.take(row, k))(X, np.array([0, 2, 1, 1, 0])),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_jax(name: str) -> None:
    if jax is None:
        pytest.skip("jax is not installed (extra: bench)")
    found, structure = nest.flatten(CASES[name](gx, gx))
    expected, other = nest.flatten(CASES[name](jax, jnp))
    assert structure == other
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_native_code_agrees_with_eager(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = nest.flatten(CASES[name](gx, gx))
    gx.transforms.functions._gradient_function.forget()
    with monkeypatch.context() as patched:
        compiled = gx.transforms.tracing.compile_graph
        patched.setattr(
            gx.transforms.tracing, "compile_graph", lambda *a, **k: compiled(*a, **{**k, "backend": "eager"})
        )
        expected, _ = nest.flatten(CASES[name](gx, gx))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    gx.transforms.functions._gradient_function.forget()


FUNCTIONS = {
    "a network": (mlp(gx), P, X),
    "a vector": (three(gx), V),
    "several results": (lambda x: {"a": gx.cos(x), "b": [gx.sum(x), 3]}, V),
    "integers beside": (lambda x, k: gx.take(x, k), X, np.array([0, 2])),
    "a loop": (lambda x: gx.scan(lambda c, r: (gx.tanh(c * r), c), x[0], x)[0], X),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_finite_differences(name: str) -> None:
    fn, *args = FUNCTIONS[name]
    gx.check_gradients(fn, *args, order=2)


class TestChecking:
    def test_a_wrong_derivative_is_found(self) -> None:
        with pytest.raises(gx.GradientError, match=r"first derivative, reverse mode, args\[0\]: element \[1\]"):
            gx.check_gradients(lambda x: gx.sum(x * gx.stop_gradient(x)), np.array([0.0, 2.0, 1.0]))

    def test_settings(self) -> None:
        with pytest.raises(gx.ArgumentError, match="order"):
            gx.check_gradients(gx.sin, 1.0, order=3)
        with pytest.raises(gx.ArgumentError, match="modes"):
            gx.check_gradients(gx.sin, 1.0, modes="backward")
        with pytest.raises(gx.ArgumentError, match="no floating-point"):
            gx.check_gradients(lambda k: k, 1)
        with pytest.raises(gx.ArgumentError, match=r"check_gradients: takes results of known sizes, .* sum it"):
            gx.check_gradients(lambda x: x[x > 0] ** 2, np.array([-1.5, 2.0]))
        gx.check_gradients(lambda x: x * gx.stop_gradient(x), 1.0, modes=("forward",), rtol=10.0)


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass(frozen=True)
class Model:
    scale: Any
    name: str = "m"


class TestJit:
    def test_nests_and_names(self) -> None:
        f = gx.jit(lambda p, *, m, flag=None: {"p": Point(p.y, p.x * m.scale), "rest": [flag, m.name]})
        found = f(Point(np.float32(1), np.arange(3)), m=Model(2.0), flag=None)
        assert found["p"].y == 2
        assert found["p"].y.dtype == np.float32
        assert found["p"].x.tolist() == [0, 1, 2]
        assert found["rest"] == [None, "m"]

    def test_a_signature_is_traced_once(self) -> None:
        traced = []

        @gx.jit
        def f(x: Any, k: Any = 1) -> Any:
            traced.append(x.shape)
            return x * k

        for n in (2, 3, 2, 3):
            f(np.ones(n))
            f(np.ones(n), 2)
            f(np.ones(n), k=3)
        assert len(traced) == 6
        f(np.ones(2, np.float32))
        assert len(traced) == 7
        assert "7 signatures" in repr(f)

    def test_what_is_no_array_is_static(self) -> None:
        f = gx.jit(lambda x, how, act: act(x) if how == "plain" else -act(x))
        assert f(1.0, "plain", gx.exp) == -f(1.0, "negated", gx.exp)
        with pytest.raises(gx.ArgumentError, match=r"got how, an object of type set"):
            f(1.0, {1}, gx.exp)

    @pytest.mark.parametrize("which", [{"static_argnums": 1}, {"static_argnums": (-1,)}, {"static_argnames": "n"}])
    def test_static_arguments(self, which: dict[str, Any]) -> None:
        f = gx.jit(lambda x, n: gx.stack([x] * n), **which)
        assert f(1.0, 3).tolist() == f(1.0, n=3).tolist() == [1, 1, 1]

    def test_a_wrong_static_name(self) -> None:
        with pytest.raises(gx.ArgumentError, match="no argument 'm'; there are x, n"):
            gx.jit(lambda x, n: x, static_argnames="m")

    def test_floats_take_the_dtype_beside_them(self) -> None:
        f = gx.jit(lambda x, rate: (x * rate, rate))
        scaled, rate = f(np.ones(2, np.float32), 0.5)
        assert scaled.dtype == rate.dtype == np.float32
        assert f(np.ones(2, np.int64), 0.5)[1].dtype == np.float64

    def test_variables_are_read_at_each_call(self) -> None:
        v = gx.variable(1.0, name="v")
        f = gx.jit(lambda x: x + v)
        assert f(1.0) == 2
        v.assign(5.0)
        assert f(1.0) == 6

    def test_given_tensors_it_builds(self) -> None:
        x = gx.placeholder((3,), name="x")
        y = gx.jit(gx.grad(lambda x: gx.sum(x**2)))(x)
        assert isinstance(y, gx.Tensor)
        assert gx.compile([x], y)([1, 2, 3]).tolist() == [2, 4, 6]

    def test_methods(self) -> None:
        class Scaler:
            def __init__(self, by: float) -> None:
                self.by = by

            @gx.jit
            def run(self, x: Any) -> Any:
                return x * self.by

        assert Scaler(2.0).run(np.ones(2)).tolist() == [2, 2]
        assert Scaler(3.0).run(np.ones(2)).tolist() == [3, 3]

    def test_the_code_can_be_looked_at(self) -> None:
        f = gx.jit(lambda p, x: gx.sum(p["w"] * x))
        assert "f64[3] p_w" in str(f.compiled({"w": V}, V).text("graph")) or "p_w" in f.compiled({"w": V}, V).text(
            "graph"
        )
        with pytest.raises(gx.ArgumentError, match="takes arrays"):
            f.compiled({"w": gx.placeholder((3,))}, V)

    def test_bad_functions(self) -> None:
        with pytest.raises(gx.ArgumentError, match="takes a function"):
            gx.jit(3)  # type: ignore[arg-type]
        with pytest.raises(gx.SymbolicValueError):
            gx.jit(lambda x: 1 if x > 0 else 2)(1.0)


class TestGrad:
    def test_weights(self) -> None:
        w, b = gx.variable(np.array([1.0, 2.0]), name="w"), gx.variable(0.5, name="b")
        f = lambda x: gx.sum(w * x) * b  # noqa: E731
        x = np.array([3.0, 4.0])
        by_x, by_weights = gx.grad(f, weights=[w, b])(x)
        assert by_x.tolist() == [0.5, 1]
        assert [np.asarray(g).tolist() for g in by_weights] == [[1.5, 2], 11]
        value, alone = gx.value_and_grad(f, argnums=None, weights={"w": w})(x)
        assert value == 5.5
        assert alone["w"].tolist() == [1.5, 2]

    def test_what_is_not_reached_has_gradient_zero(self) -> None:
        assert gx.grad(lambda x, y: gx.sum(x), argnums=1)(V, X).tolist() == np.zeros_like(X).tolist()

    @pytest.mark.parametrize(
        ("run", "error", "message"),
        [
            (lambda: gx.grad(gx.sin)(V), gx.GradientError, "must return a scalar, got f64"),
            (lambda: gx.grad(lambda x: x > 0)(1.0), gx.GradientError, "floating-point scalar"),
            (lambda: gx.grad(lambda x: (x, x))(1.0), gx.GradientError, "use has_aux"),
            (lambda: gx.grad(gx.sin)(3), gx.GradientError, "argument 0 must be floating-point"),
            (lambda: gx.grad(lambda p: p["k"])({"k": 1}), gx.GradientError, r"argument 0\['k'\]"),
            (lambda: gx.grad(gx.sin, argnums=1)(3.0), gx.ArgumentError, "argnums has 1"),
            (lambda: gx.grad(gx.sin, argnums=(0, -1))(3.0), gx.ArgumentError, "different"),
            (lambda: gx.grad(gx.sin, argnums="x")(3.0), gx.ArgumentError, "argnums must be"),
            (lambda: gx.grad(gx.sin, argnums=None), gx.ArgumentError, "needs weights"),
            (lambda: gx.grad(gx.sin, weights=[1.0]), gx.ArgumentError, "weights must be variables"),
            (lambda: gx.grad(gx.sin, has_aux=True)(1.0), gx.ArgumentError, "must return a pair"),
            (lambda: gx.vjp(gx.sin, 1.0)[1]((1.0, 2.0)), gx.ArgumentError, "structure of the result"),
            (lambda: gx.vjp(gx.sin, V)[1](np.ones(2)), gx.ShapeError, "cotangent"),
            (lambda: gx.jvp(gx.sin, (V,), (V, V)), gx.ArgumentError, "structure of primals"),
            (lambda: gx.jvp(gx.sin, V, V), gx.ArgumentError, "primals must be a tuple"),
            (lambda: gx.jacrev(lambda x: x > 0)(V), gx.GradientError, "must return floats"),
            (lambda: gx.vmap(gx.sin, in_axes=(0, 0))(V), gx.ArgumentError, "in_axes has 2 entries"),
            (lambda: gx.vmap(gx.sin, in_axes=1)(V), gx.ShapeError, "no axis 1"),
            (lambda: gx.vmap(gx.add)(V, PAIR), gx.ShapeError, "one size, got 3 and 2"),
            (lambda: gx.vmap(gx.sin, in_axes=None)(V), gx.ArgumentError, "axis_size"),
            (lambda: gx.vmap(gx.sin, in_axes="0"), gx.ArgumentError, "in_axes must be ints"),
            (lambda: gx.vmap(gx.sin, out_axes=({},))(V), gx.ArgumentError, "does not match"),
        ],
    )
    def test_errors(self, run: Callable[[], Any], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            run()


def test_vjp_keeps_integer_results_out() -> None:
    out, pull = gx.vjp(lambda x: (x * 2, gx.asarray([1, 2])), V)
    assert out[1].tolist() == [1, 2]
    assert pull((V, np.array([0, 0])))[0].tolist() == (2 * V).tolist()


def test_jvp_of_an_integer_result_is_zero() -> None:
    (_, k), (_, dk) = gx.jvp(lambda x: (x, gx.asarray([1, 2])), (1.0,), (1.0,))
    assert k.tolist() == [1, 2]
    assert dk.tolist() == [0, 0]


def test_vmap_is_no_loop_where_the_body_is_elementwise_and_products() -> None:
    f = gx.vmap(gx.grad(mlp(gx)), in_axes=(None, 0))
    assert "scan" not in f.compiled(P, X).text("optimized")


def test_transforming_again_compiles_nothing_new() -> None:
    def f(x: Any) -> Any:
        return gx.sum(x**2)

    assert gx.grad(f) is gx.grad(f)
    for _ in range(3):
        gx.jvp(f, (V,), (V,))
        gx.vjp(f, V)[1](1.0)
    assert gx.transforms.functions._jvp_function(f, False)._made.__len__() == 1
