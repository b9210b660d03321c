"""Reductions against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from tests.running import apply, check_gradients, run

X = np.random.default_rng(0).normal(size=(2, 3, 4)).round(3)
NAMES = ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all"]
AXES = [None, 0, -1, (0, 2), (2, 0), (), (-2,)]


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_forward(name, axis):
    for keepdims in (False, True):
        for symbolic in (False, True):
            got = apply(lambda x, k=keepdims: getattr(gx, name)(x, axis=axis, keepdims=k), X, symbolic=symbolic)
            np.testing.assert_allclose(got, getattr(np, name)(X, axis=axis, keepdims=keepdims), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [None, 1, (0, 2), ()], ids=str)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std", "logsumexp"])
def test_gradient(name, axis):
    if name == "std" and axis == ():
        return  # the derivative of sqrt at 0 is infinite
    check_gradients(lambda x: getattr(gx, name)(x, axis=axis), X[:, :2, :2])
    check_gradients(lambda x: getattr(gx, name)(x, axis=axis), X[:, :2, :2], order=2, tolerance=1e-5)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint64", "float32"])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "any", "all", "var", "argmax", "count_nonzero"])
def test_dtypes(name, dtype):
    x = np.array([[0, 1, 3], [1, 1, 0]]).astype(dtype)
    got, expected = apply(lambda v: getattr(gx, name)(v, axis=1), x), getattr(np, name)(x, axis=1)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_given_dtypes():
    x = np.array([[100, 100, 100]], np.int8)
    assert apply(lambda v: gx.sum(v, dtype="int8"), x) == 44
    assert apply(lambda v: gx.mean(v, dtype="float32"), x).dtype == np.float32
    assert apply(lambda v: gx.sum(v, dtype="float64"), x) == 300


@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_correction(correction):
    np.testing.assert_allclose(apply(lambda x: gx.var(x, correction=correction), X), np.var(X, ddof=correction))
    np.testing.assert_allclose(apply(lambda x: gx.std(x, ddof=correction), X), np.std(X, ddof=correction))


def test_correction_that_leaves_nothing():
    assert apply(lambda x: gx.var(x, correction=24), X) == np.inf
    assert apply(lambda x: gx.var(x, correction=30), X) == np.inf


def test_nothing_to_reduce():
    x = np.zeros((2, 0))
    assert apply(gx.sum, x) == 0
    assert apply(gx.prod, x) == 1
    assert apply(gx.all, x)
    assert not apply(gx.any, x)
    assert np.isnan(apply(gx.mean, x))
    assert apply(lambda v: gx.max(v, axis=0), x).shape == (0,)


def test_extremes_keep_nan():
    x = np.array([1.0, np.nan, 3.0])
    assert np.isnan(apply(gx.max, x))
    assert np.isnan(apply(gx.min, x))


def test_ties_share_the_gradient():
    x = gx.placeholder((4,), "float64")
    assert run(gx.gradients(gx.max(x), x), {x: [1, 3, 3, 2]}).tolist() == [0, 0.5, 0.5, 0]


def test_product_with_zeros():
    x = gx.placeholder((3,), "float64")
    gradient = gx.gradients(gx.prod(x), x)
    assert run(gradient, {x: [0, 2, 3]}).tolist() == [6, 0, 0]
    assert run(gradient, {x: [0, 0, 3]}).tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1.0, -1.0, np.nan, np.inf]), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    st.sampled_from([None, 0, 1, -1]),
    st.booleans(),
)
def test_argmax_and_argmin(rows, axis, keepdims):
    x = np.array(rows)
    for name in ("argmax", "argmin"):
        got = apply(lambda v, n=name: getattr(gx, n)(v, axis, keepdims=keepdims), x, symbolic=True)
        expected = getattr(np, name)(x, axis, keepdims=keepdims)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, expected)


def test_argmax_of_other_dtypes():
    for x in (np.array([3, 1, 3], np.uint8), np.array([False, True, True]), np.array(5.0)):
        assert apply(gx.argmax, x) == np.argmax(x)


@pytest.mark.parametrize(
    "x",
    [
        [1.0, 2.0, 3.0], [-np.inf, -np.inf], [-np.inf, 0.0], [np.inf, 1.0], [np.nan, 1.0], [1e4, 1e4], [-1e4, -1e4],
        [np.inf, -np.inf],
    ],
)  # fmt: skip
def test_logsumexp(x):
    np.testing.assert_allclose(apply(gx.logsumexp, np.array(x)), scipy.special.logsumexp(x))


def test_logsumexp_of_axes():
    for axis in (None, 0, (0, 2), ()):
        for keepdims in (False, True):
            got = apply(lambda x, a=axis, k=keepdims: gx.logsumexp(x, axis=a, keepdims=k), X)
            expected = X if axis == () else scipy.special.logsumexp(X, axis=axis, keepdims=keepdims)
            np.testing.assert_allclose(got, expected)


def test_mean_of_unknown_size_stays_float32():
    x = gx.placeholder(("n", 3), "float32")
    assert gx.mean(x).dtype == np.float32
    np.testing.assert_array_equal(run(gx.mean(x, axis=0), {x: np.ones((5, 3))}), np.ones(3, np.float32))


LONG = 300_001


@pytest.mark.parametrize("kind", ["uniform", "tenth", "big and small", "shifted"])
def test_long_sums_lose_little(kind):
    """Errors stay near that of rounding the result once; those of NumPy grow slowly, those of one sum fast."""
    rng = np.random.default_rng(0)
    values = {
        "uniform": rng.random(LONG),
        "tenth": np.full(LONG, 0.1),
        "big and small": np.where(np.arange(LONG) % 2, rng.random(LONG), 1e6),
        "shifted": 1e6 + rng.normal(size=LONG),
    }[kind].astype(np.float32)
    x = gx.placeholder((LONG,), "float32")
    total, middle, spread = gx.compile([x], [gx.sum(x), gx.mean(x), gx.var(x)])(values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(total, exact.sum(), rtol=5e-7)
    np.testing.assert_allclose(middle, exact.mean(), rtol=5e-7)
    np.testing.assert_allclose(spread, exact.var(), rtol=2e-5 if kind == "shifted" else 1e-6, atol=1e-14)


def test_long_sums_of_what_is_not_finite():
    values = np.ones((3, LONG), np.float32)
    values[0, 7], values[1, 5], values[1, -1], values[2, LONG // 2] = np.inf, np.inf, -np.inf, np.nan
    x = gx.placeholder(values.shape, "float32")
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(gx.compile([x], gx.sum(x, axis=1))(values), [np.inf, np.nan, np.nan])
