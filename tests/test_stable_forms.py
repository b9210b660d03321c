"""Formulas as they stand in textbooks come out right: value and derivative at extreme points, compiled and not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.ir.graph import Graph, toposort
from graphc.passes.stabilize import stabilize
from graphc.pipeline import optimize
from tests.running import check_gradients
from tests.stable_forms import ALL, ELEMENTWISE, GRAPHC, ROWWISE, Form, arguments, errors, graph_of

forms = pytest.mark.parametrize("form", ALL, ids=lambda f: f.name)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def assert_right(form: Form, inputs: list[np.ndarray], results: list[np.ndarray]) -> None:
    found = errors(form, inputs, results[0], results[1:])
    for what, bound, errs in zip(("value", "derivative"), form.ulps, found, strict=True):
        worst = int(np.nanargmax(np.where(np.isnan(errs), np.inf, errs)))
        assert errs[worst] <= bound, f"{what} {worst} of {form.name} at {inputs}: {errs[worst]} ULP, {results}"


@dtypes
@forms
def test_compiled(form: Form, dtype: str) -> None:
    inputs = arguments(form, dtype)
    names, wanted = graph_of(form, inputs)
    assert_right(form, inputs, gx.compile(names, wanted)(*inputs))


@dtypes
@forms
def test_optimized_graph(form: Form, dtype: str) -> None:
    inputs = arguments(form, dtype)
    names, wanted = graph_of(form, inputs)
    graph = optimize(Graph(tuple(t.node for t in names), tuple(t.node for t in wanted)))
    with np.errstate(all="ignore"):
        assert_right(form, inputs, list(evaluate(graph, inputs)))


@pytest.mark.parametrize("form", [f for f in ELEMENTWISE if f.ulps[1] < 100], ids=lambda f: f.name)
@dtypes
def test_random_points(form: Form, dtype: str) -> None:
    rng = np.random.default_rng(11)
    low, high = min(form.points), max(form.points)
    spread = np.concatenate([rng.uniform(-4, 4, 60), rng.normal(size=60) * 10.0 ** rng.uniform(-9, 2, 60)])
    inside = replace(form, points=[x for x in spread if low <= x <= high])
    inputs = arguments(inside, np.dtype(dtype))
    names, wanted = graph_of(inside, inputs)
    # Between the extreme points nothing is exact by luck: two more for each function that a form is made of.
    looser = replace(inside, ulps=(form.ulps[0] + 2, form.ulps[1] + 3))
    assert_right(looser, inputs, gx.compile(names, wanted)(*inputs))


def test_the_page_of_errors_lists_every_form() -> None:
    page = (Path(__file__).parent.parent / "docs" / "stable-forms.md").read_text()
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == [f.name for f in ALL]


def grown(seed: int, x: gx.Tensor) -> gx.Tensor:
    """Return forms of forms: sums, products and quotients of them at arguments made of what was there before."""
    rng = np.random.default_rng(seed)
    values = [x]
    for _ in range(6):
        a, b = (0.2 + 0.7 / (1 + gx.exp(-values[k])) for k in rng.integers(len(values), size=2))
        f, g = (ELEMENTWISE[k] for k in rng.integers(len(ELEMENTWISE), size=2))
        rows = ROWWISE[rng.integers(len(ROWWISE))]
        left, right = f.write(GRAPHC, a), g.write(GRAPHC, b if rng.random() < 0.5 else a)
        combine = [lambda p, q: p * q, lambda p, q: p / (2 + q * q), lambda p, q: p - q * 0.5]
        values.append(combine[rng.integers(3)](left, right))
        values.append(values[-1] + rows.write(GRAPHC, values[rng.integers(len(values))]))
    return values[-1]


@pytest.mark.parametrize("seed", range(40))
def test_forms_of_forms(seed: int) -> None:
    point = np.random.default_rng(seed).normal(size=(2, 3))
    x = gx.placeholder(point.shape, "float64", name="x")
    y = grown(seed, x)
    with np.errstate(all="ignore"):
        (exact,) = evaluate(Graph((x.node,), (y.node,)), [point])
    np.testing.assert_allclose(gx.compile([x], y)(point), exact, rtol=1e-9, atol=1e-9)
    check_gradients(lambda v: grown(seed, v), point, tolerance=1e-5)


# Limits, and where there is no real number.


Function = Callable[[gx.Tensor], gx.Tensor]


def value_and_slope(
    write: Callable[[gx.Tensor], gx.Tensor], points: Sequence[float]
) -> tuple[list[float], list[float]]:
    x = gx.placeholder((len(points),), name="x")
    y = write(x)
    results = gx.compile([x], [y, gx.gradients(gx.sum(y), x)])(points)
    return results[0].tolist(), results[1].tolist()


INF, NAN = np.inf, np.nan
LIMITS: dict[str, tuple[Function, list[float], list[float]]] = {
    "log(1+x)": (lambda x: gx.log(1 + x), [-1, -2, INF, NAN], [-INF, NAN, INF, NAN]),
    "log(1+exp(x))": (lambda x: gx.log(1 + gx.exp(x)), [-INF, INF, NAN], [0, INF, NAN]),
    "log(1-exp(x))": (lambda x: gx.log(1 - gx.exp(x)), [0, -INF, 1, INF, NAN], [-INF, 0, NAN, NAN, NAN]),
    "log(exp(x)-1)": (lambda x: gx.log(gx.exp(x) - 1), [0, INF, -1, -INF, NAN], [-INF, INF, NAN, NAN, NAN]),
    "exp(x)/(1+exp(x))": (lambda x: gx.exp(x) / (1 + gx.exp(x)), [-INF, INF, NAN], [0, 1, NAN]),
    "log(erfc(x))": (lambda x: gx.log(gx.erfc(x)), [-INF, NAN], [np.log(np.float32(2)), NAN]),
    "x/sqrt(x*x)": (lambda x: x / gx.sqrt(x * x), [0, NAN], [NAN, NAN]),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    write, points, expected = LIMITS[name]
    np.testing.assert_array_equal(value_and_slope(write, points)[0], np.array(expected, np.float32))


@pytest.mark.parametrize(("a", "b", "total"), [(INF, INF, INF), (-INF, -INF, -INF), (-INF, 3, 3), (-INF, INF, INF)])
def test_infinite_exponents_add_up(a: float, b: float, total: float) -> None:
    x, y = gx.placeholder((), name="x"), gx.placeholder((), name="y")
    assert gx.compile([x, y], gx.log(gx.exp(x) + gx.exp(y)))(a, b) == total


@pytest.mark.parametrize("backend", ["llvm", "eager"])
@pytest.mark.parametrize("function", [gx.logsumexp, lambda x, axis: gx.log(gx.sum(gx.exp(x), axis=axis))])
def test_rows_of_minus_infinity(function: Callable[..., gx.Tensor], backend: str) -> None:
    x = gx.placeholder((2, 3), name="x")
    y = function(x, axis=1)
    run = gx.compile([x], [y, gx.gradients(gx.sum(y), x)], backend=backend)
    with np.errstate(divide="ignore"):
        value, slope = run([[-INF, -INF, -INF], [-INF, 1, 1]])
    np.testing.assert_allclose(value, [-INF, 1 + np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(slope, [[0, 0, 0], [0, 0.5, 0.5]], rtol=1e-6)


MASKED: dict[str, tuple[Function, list[float]]] = {
    "x*log(x)": (lambda x: gx.where(x > 0, x * gx.log(x), 0.0), [0, 0, 1]),
    "sqrt(x)": (lambda x: gx.where(x > 0, gx.sqrt(x), 0.0), [0, 0, 0.5]),
    "x/sqrt(x*x)": (lambda x: gx.where(x > 0, x / gx.sqrt(x * x), 0.0), [0, 0, 0]),
    "log(exp(x)-1)": (lambda x: gx.where(x > 0, gx.log(gx.exp(x) - 1), 0.0), [0, 0, 1 / (1 - np.exp(-1))]),
}


@pytest.mark.parametrize("name", MASKED)
def test_no_derivative_from_the_side_that_was_not_taken(name: str) -> None:
    write, expected = MASKED[name]
    np.testing.assert_allclose(value_and_slope(write, [-1, 0, 1])[1], expected, rtol=1e-6)


# Differentiation of forms.


def test_a_form_is_not_seen_across_what_is_differentiated_by() -> None:
    x = gx.placeholder((), "float64", name="x")
    power, same = gx.exp(x), gx.exp(x)
    y = gx.log(1 + power) + 2 * same
    run = gx.compile([x], [y, *gx.gradients(y, [x, power, same])])
    e = np.exp(0.5)
    np.testing.assert_allclose(run(0.5), [np.log(1 + e) + 2 * e, e / (1 + e) + 2 * e, 1 / (1 + e), 2], rtol=1e-14)


def test_a_result_that_is_a_form_is_differentiated_by() -> None:
    x = gx.placeholder((), "float64", name="x")
    soft = gx.log(1 + gx.exp(x))
    run = gx.compile([x], gx.gradients(soft * soft, [soft, x]))
    s = np.log1p(np.exp(0.5))
    np.testing.assert_allclose(run(0.5), [2 * s, 2 * s / (1 + np.exp(-0.5))], rtol=1e-14)


def test_derivatives_of_higher_order_at_zero() -> None:
    x = gx.placeholder((), "float64", name="x")
    derivatives = [1 / (1 + gx.exp(-x))]
    for _ in range(3):
        derivatives.append(gx.gradients(derivatives[-1], x))
    np.testing.assert_allclose(gx.compile([x], derivatives)(0.0), [0.5, 0.25, 0, -0.125], atol=1e-16)


def test_forms_in_a_loop() -> None:
    x = gx.placeholder((), name="x")
    last, _ = gx.scan(lambda c, _: (gx.log(1 + gx.exp(c)), c), x, None, length=3)
    value, slope = gx.compile([x], [last, gx.gradients(last, x)])(200.0)
    assert (value, slope) == (200, 1)


def fired(y: gx.Tensor) -> list[str]:
    names: list[str] = []
    stabilize(Graph((), (y.node,)), lambda name, *_: names.append(name))
    return names


def test_sums_that_are_no_means_stay() -> None:
    x = gx.placeholder((5,), name="x")
    for n in (2.0, 4.999, 0.2):
        assert not fired(gx.sum(x * x) / n - (gx.sum(x) / n) ** 2)
    assert fired(gx.sum(x * x) / 5.0 - (gx.sum(x) / 5.0) ** 2) == ["variance"]


def test_variance_of_an_unknown_number() -> None:
    x = gx.placeholder(("n",), "float64", name="x")
    run = gx.compile([x], gx.gradients(gx.mean(x * x) - gx.mean(x) ** 2, x))
    np.testing.assert_allclose(run(1e8 + np.arange(3.0)), [-2 / 3, 0, 2 / 3], rtol=1e-12, atol=1e-12)


def test_nothing_to_sum() -> None:
    x = gx.placeholder((2, 0), name="x")
    y = gx.log(gx.sum(gx.exp(x), axis=1))
    value, slope = gx.compile([x], [y, gx.gradients(gx.sum(y), x)])(np.zeros((2, 0), np.float32))
    assert (value.tolist(), slope.shape) == ([-INF, -INF], (2, 0))


def test_what_looks_alike_stays() -> None:
    x, y = gx.placeholder((3,), name="x"), gx.placeholder((3,), name="y")
    for other in (gx.log(2 + gx.exp(x)), gx.exp(x) - 1.0000001, gx.sqrt(x * y), 1 - gx.tanh(x) * gx.tanh(y)):
        assert not fired(other)


SHIFTED: dict[str, Callable[[gx.Tensor, gx.Tensor], gx.Tensor]] = {
    "softmax": lambda s, top: gx.exp(s) / gx.sum(gx.exp(s), axis=1, keepdims=True),
    "log of softmax": lambda s, top: gx.log(gx.exp(s) / gx.sum(gx.exp(s), axis=1, keepdims=True)),
    "logsumexp": lambda s, top: gx.log(gx.sum(gx.exp(s), axis=1, keepdims=True)) + top,
    "log_softmax": lambda s, top: s - gx.log(gx.sum(gx.exp(s), axis=1, keepdims=True)),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shift_that_cancels_is_not_differentiated(name: str) -> None:
    x = gx.placeholder((2, 3), "float64", name="x")
    top = gx.max(x, axis=1, keepdims=True)
    y = SHIFTED[name](x - top, top)
    slope = gx.gradients(gx.sum(y * y), x)
    assert "eq" not in {n.op.name for n in toposort([slope.node])}


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shift_that_cancels_has_the_right_derivatives(name: str) -> None:
    def write(x: gx.Tensor) -> gx.Tensor:
        top = gx.max(x, axis=1, keepdims=True)
        return SHIFTED[name](x - top, top)

    check_gradients(write, np.array([[1.0, 2.0, 4.0], [3.0, 0.0, -1.0]]), order=2, tolerance=1e-5)
