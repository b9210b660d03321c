"""Distributions against SciPy's: Kolmogorov and Smirnov, chi-square, moments, ends; derivatives; errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ops.random import normal_quantile
from tests.running import check_gradients

KEY = gx.random.key(2024)
COUNT = 20_000
UNLIKELY = 1e-4
"""Keys are fixed, so a test that passes once always does."""


def run(tensor, backend="llvm"):
    return gx.compile([], tensor, backend=backend)()


CONTINUOUS = {
    "uniform": (lambda n, d: gx.random.uniform(KEY, (n,), d), st.uniform),
    "uniform between": (lambda n, d: gx.random.uniform(KEY, (n,), d, -3.0, 5.0), st.uniform(-3, 8)),
    "normal": (lambda n, d: gx.random.normal(KEY, (n,), d), st.norm),
    "normal moved": (lambda n, d: gx.random.normal(KEY, (n,), d, 2.0, 3.0), st.norm(2, 3)),
    "exponential": (lambda n, d: gx.random.exponential(KEY, (n,), d, 2.0), st.expon(0, 2)),
    "gumbel": (lambda n, d: gx.random.gumbel(KEY, (n,), d), st.gumbel_r),
    "laplace": (lambda n, d: gx.random.laplace(KEY, (n,), d), st.laplace),
    "logistic": (lambda n, d: gx.random.logistic(KEY, (n,), d), st.logistic),
    "cauchy": (lambda n, d: gx.random.cauchy(KEY, (n,), d), st.cauchy),
    "gamma 0.2": (lambda n, d: gx.random.gamma(KEY, 0.2, (n,), d), st.gamma(0.2)),
    "gamma 1": (lambda n, d: gx.random.gamma(KEY, 1.0, (n,), d), st.gamma(1)),
    "gamma 7": (lambda n, d: gx.random.gamma(KEY, 7.0, (n,), d), st.gamma(7)),
    "gamma 5e4": (lambda n, d: gx.random.gamma(KEY, 5e4, (n,), d), st.gamma(5e4)),
    "loggamma": (lambda n, d: gx.random.loggamma(KEY, 0.01, (n,), d), st.loggamma(0.01)),
    "chisquare": (lambda n, d: gx.random.chisquare(KEY, 3.0, (n,), d), st.chi2(3)),
    "student_t": (lambda n, d: gx.random.student_t(KEY, 2.5, (n,), d), st.t(2.5)),
    "beta": (lambda n, d: gx.random.beta(KEY, 0.5, 2.0, (n,), d), st.beta(0.5, 2)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name, dtype):
    draw, distribution = CONTINUOUS[name]
    found = run(draw(COUNT, dtype))
    assert found.dtype == dtype
    assert st.kstest(found.astype(np.float64), distribution.cdf).pvalue > UNLIKELY


@pytest.mark.parametrize("name", ["gamma 0.2", "gamma 7", "student_t", "beta"])
def test_both_backends_make_the_same_numbers(name):
    draw, _ = CONTINUOUS[name]
    np.testing.assert_allclose(run(draw(500, "float64")), run(draw(500, "float64"), "eager"), rtol=1e-12)


def test_dirichlet():
    alpha = np.array([0.3, 1.0, 4.0])
    found = run(gx.random.dirichlet(KEY, alpha, (COUNT,)))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-12)
    for k in range(3):
        assert st.kstest(found[:, k], st.beta(alpha[k], alpha.sum() - alpha[k]).cdf).pvalue > UNLIKELY
    assert run(gx.random.dirichlet(KEY, np.full((2, 4), 1e-4))).sum(-1) == pytest.approx(1)


def chi_square(found, probability):
    """Return how likely counts as uneven as these are, for the probabilities of 0, 1, 2, ... and of all beyond."""
    chances = np.array([*probability, max(0.0, 1 - sum(probability))])
    counts = np.bincount(np.minimum(found, len(probability)), minlength=len(chances))
    assert not counts[chances == 0].any()
    kept = chances * found.size > 5
    counts, expected = (np.append(v[kept], v[~kept].sum()) for v in (counts, chances * found.size))
    used = expected > 0
    return st.chisquare(counts[used], expected[used] * counts.sum() / expected.sum()).pvalue


@pytest.mark.parametrize("lam", [0.03, 1.0, 9.5, 10.0, 30.0, 400.0])
def test_poisson(lam):
    found = run(gx.random.poisson(KEY, lam, (COUNT,)))
    assert found.dtype == np.int64
    assert chi_square(found, st.poisson(lam).pmf(np.arange(int(lam + 6 * lam**0.5 + 6)))) > UNLIKELY


def test_poisson_of_mixed_and_extreme_rates():
    rates = gx.placeholder((7,), "float64", name="rates")
    draw = gx.compile([rates], gx.random.poisson(KEY, rates, (300, 7), "int64"))
    given = [0.0, 2.0, 50.0, 1e12, np.nan, -1.0, np.inf]
    found = draw(given)
    assert (found[:, 0] == 0).all()
    assert (found[:, 4:] == -1).all()
    for k, rate in ((1, 2.0), (2, 50.0), (3, 1e12)):
        assert abs(found[:, k].mean() - rate) < 5 * (rate / 300) ** 0.5
        assert 0.7 < found[:, k].var() / rate < 1.4
    again = gx.compile([rates], gx.random.poisson(KEY, rates, (300, 7)), backend="eager")(given)
    np.testing.assert_array_equal(found, again)


def test_gamma_of_extreme_parameters():
    a = gx.placeholder((6,), "float64", name="a")
    found = gx.compile([a], [gx.random.gamma(KEY, a), gx.random.loggamma(KEY, a)])(
        [0.0, np.inf, np.nan, -1.0, 1e-5, 1e15]
    )
    assert found[0][:2].tolist() == [0, np.inf]
    assert np.isnan(found[0][2:4]).all()
    assert found[1][:2].tolist() == [-np.inf, np.inf]
    assert found[0][4] == 0
    assert -1e8 < found[1][4] < -740
    assert abs(found[0][5] / 1e15 - 1) < 1e-6


def test_blocks_do_not_show():
    """Numbers do not depend on how many are made, with which others, or whether the sizes are known."""
    a = np.linspace(0.1, 20, 9003)
    whole = run(gx.random.gamma(KEY, a))
    np.testing.assert_array_equal(run(gx.random.gamma(KEY, a[:4000])), whole[:4000])
    np.testing.assert_array_equal(run(gx.random.gamma(KEY, a.reshape(3, 3001))), whole.reshape(3, 3001))
    given = gx.placeholder(("n",), "float64", name="a")
    draw = gx.compile([given], gx.random.gamma(KEY, given))
    for n in (0, 10, 4096, 9003):
        np.testing.assert_array_equal(draw(a[:n]), whole[:n])


@pytest.mark.parametrize("p", [0.0, 0.01, 0.5, 0.999, 1.0])
def test_bernoulli(p):
    found = run(gx.random.bernoulli(KEY, p, (COUNT,)))
    assert found.dtype == bool
    if p in (0.0, 1.0):
        assert (found == p).all()
    else:
        assert st.binomtest(int(found.sum()), COUNT, p).pvalue > UNLIKELY


@pytest.mark.parametrize(("low", "high", "dtype"), [(0, 7, "int64"), (-3, 4, "int8"), (250, 256, "uint8")])
def test_randint(low, high, dtype):
    found = run(gx.random.randint(KEY, (COUNT,), low, high, dtype))
    assert found.dtype == dtype
    assert chi_square(found.astype(np.int64) - low, np.full(high - low, 1 / (high - low))) > UNLIKELY


def test_randint_over_whole_dtypes():
    for dtype in ("int8", "uint16", "int32", "int64", "uint64"):
        info = np.iinfo(dtype)
        found = run(gx.random.randint(KEY, (COUNT,), int(info.min), int(info.max) + 1, dtype))
        upper = (found.astype(object) - info.min) * 16 // (int(info.max) - int(info.min) + 1)
        assert chi_square(upper.astype(np.int64), np.full(16, 1 / 16)) > UNLIKELY
    wide = run(gx.random.randint(KEY, (COUNT,), 0, 3 * 2**61))
    assert chi_square(wide // 2**61, np.full(3, 1 / 3)) > UNLIKELY


def test_rademacher():
    found = run(gx.random.rademacher(KEY, (COUNT,)))
    assert set(found.tolist()) == {-1, 1}
    assert st.binomtest(int((found > 0).sum()), COUNT).pvalue > UNLIKELY


def test_categorical():
    logits = np.log(np.array([0.1, 0.0, 0.6, 0.3]) + 0.0, where=[1, 0, 1, 1], out=np.full(4, -np.inf))
    found = run(gx.random.categorical(KEY, logits, shape=(COUNT,)))
    assert chi_square(found, [0.1, 0.0, 0.6, 0.3]) > UNLIKELY
    both = run(gx.random.categorical(KEY, np.stack([logits, logits[::-1]], 1), axis=0, shape=(COUNT, 2)))
    assert chi_square(both[:, 1], [0.3, 0.6, 0.0, 0.1]) > UNLIKELY


def test_permutations_are_equally_likely():
    keys = gx.random.split(KEY, 6000)
    found = run(gx.vmap(lambda key: gx.random.permutation(key, 4))(keys))
    assert (np.sort(found, -1) == np.arange(4)).all()
    codes = np.unique(found @ 4 ** np.arange(4), return_inverse=True)[1]
    assert chi_square(codes, np.full(24, 1 / 24)) > UNLIKELY
    rows = run(gx.random.permutation(KEY, np.tile(np.arange(4), (6000, 1)), axis=1, independent=True))
    assert (np.sort(rows, -1) == np.arange(4)).all()
    assert chi_square(rows[:, 0], np.full(4, 1 / 4)) > UNLIKELY


def test_choice():
    p = np.array([0.1, 0.0, 0.6, 0.3])
    assert chi_square(run(gx.random.choice(KEY, 4, (COUNT,), p=p)), p) > UNLIKELY
    assert chi_square(run(gx.random.choice(KEY, 5, (COUNT,))), np.full(5, 0.2)) > UNLIKELY
    keys = gx.random.split(KEY, 6000)
    pairs = run(gx.vmap(lambda key: gx.random.choice(key, 4, (2,), replace=False, p=p))(keys))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert chi_square(pairs[:, 0], p) > UNLIKELY
    second = [sum(p[j] * p[k] / (1 - p[j]) for j in range(4) if j != k) for k in range(4)]
    assert chi_square(pairs[:, 1], second) > UNLIKELY


# Ends.


def test_the_ends_of_places_are_as_fine_as_floats():
    """The first and the last of 2^32 places, by the same formulas that the distributions use."""
    bits = np.array([0, 2**32 - 1, 2**31 - 1, 2**31], np.uint32)
    given = gx.placeholder((4,), "uint32", name="bits")
    found = gx.compile([given], gx.Tensor(normal_quantile(given.node)))(bits)
    np.testing.assert_allclose(found, st.norm.ppf((bits.astype(float) + 0.5) / 2**32), rtol=5e-7)
    assert found[0] == -found[1]


def test_uniform_numbers_stay_below_the_end():
    one = run(gx.random.uniform(KEY, (COUNT,), "float32"))
    assert one.max() < 1
    assert one.min() >= 0
    assert (one * 2**24 == np.rint(one * 2**24)).all()
    narrow = run(gx.random.uniform(KEY, (COUNT,), "float32", 1.0, np.nextafter(np.float32(1), np.float32(2))))
    assert (narrow == 1).all()
    assert (run(gx.random.uniform(KEY, (9,), minval=2.0, maxval=2.0)) == 2).all()


def test_no_logarithm_of_zero():
    for draw in ("exponential", "gumbel", "logistic", "laplace", "cauchy"):
        found = run(getattr(gx.random, draw)(KEY, (200_000,)))
        assert np.isfinite(found).all()


# Derivatives.


def test_gradients_of_places_and_scales():
    loc, scale = np.array([0.5, -1.0, 2.0]), np.array([0.5, 1.0, 1.5])
    for name in ("normal", "gumbel", "laplace", "logistic", "cauchy"):
        draw = getattr(gx.random, name)
        check_gradients(lambda m, s, f=draw: f(KEY, (4, 3), loc=m, scale=s), loc, scale)
    check_gradients(lambda s: gx.random.exponential(KEY, (4, 3), scale=s), scale)
    check_gradients(lambda a, b: gx.random.uniform(KEY, (4, 3), minval=a, maxval=b), loc, loc + scale)


@pytest.mark.parametrize("a", [0.05, 0.3, 1.0, 2.5, 30.0, 400.0])
def test_gradients_of_gamma_numbers(a):
    """They are those of the quantile at the place of the number, of first and second order and in both modes."""
    given = gx.placeholder((200,), "float64", name="a")
    x, logarithm = gx.random.gamma(KEY, given), gx.random.loggamma(KEY, given)
    slope = gx.gradients(gx.sum(x), given)
    second, of_log = gx.gradients(gx.sum(slope), given), gx.gradients(gx.sum(logarithm), given)
    (forward,) = gx.pushforward([x], [given], [gx.ones((200,), "float64")])
    found = gx.compile([given], [x, slope, second, of_log, forward])(np.full(200, a))
    number = found[0]
    below, above = sp.gammainc(a, number), sp.gammaincc(a, number)

    def quantile(b):
        return np.where(below < 0.5, sp.gammaincinv(b, below), sp.gammainccinv(b, above))

    h = 1e-3 * a
    far, near = quantile(a + 2 * h) - quantile(a - 2 * h), quantile(a + h) - quantile(a - h)
    np.testing.assert_allclose(found[1], (8 * near - far) / (12 * h), rtol=2e-4 if a < 0.1 else 1e-7)
    np.testing.assert_allclose(found[3] * number, found[1], rtol=1e-9)
    np.testing.assert_allclose(found[4], found[1], rtol=1e-9)
    bent = (quantile(a + h) - 2 * number + quantile(a - h)) / h**2
    np.testing.assert_allclose(found[2], bent, rtol=1e-3, atol=1e-5 * np.abs(bent).max())


def test_gradients_of_what_is_made_of_gamma_numbers():
    mean = gx.grad(lambda a: gx.mean(gx.random.beta(KEY, a, 2.0, (COUNT,), "float64")))(3.0)
    assert abs(mean - 2 / 5**2) < 2e-3
    for draw in (gx.random.chisquare, gx.random.student_t, gx.random.dirichlet):
        slope = gx.grad(lambda p, f=draw: gx.sum(f(KEY, p)[:2] ** 2))(np.array([0.7, 3.0, 9.0]))
        assert np.isfinite(slope).all()
        assert slope.any()


BOUNDS = [(-2.0, 2.0), (0.5, 1.0), (-np.inf, -1.0), (3.0, np.inf), (7.9, 8.0), (-30.0, -20.0), (50.0, np.inf)]


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_truncated_normal(low, high):
    for dtype in ("float32", "float64"):
        found = run(gx.random.truncated_normal(KEY, low, high, (5000,), dtype))
        assert found.dtype == dtype
        assert found.min() >= low
        assert found.max() <= high
        if abs(low) < 40 or dtype == "float64":
            side = -1 if low > 0 else 1
            ends = sorted((side * low, side * high))
            logs = [sp.log_ndtr(v) for v in (ends[0], side * found.astype(np.float64), ends[1])]
            place = (np.exp(logs[1] - logs[2]) - np.exp(logs[0] - logs[2])) / (1 - np.exp(logs[0] - logs[2]))
            assert st.kstest(place, st.uniform.cdf).pvalue > UNLIKELY


def test_gradients_of_truncated_normal_numbers():
    low, high = np.array([-1.0, 0.5, 35.0]), np.array([1.0, 3.0, 45.0])
    check_gradients(lambda a, b: gx.random.truncated_normal(KEY, a, b, (4, 3)), low, high)
    open_end = gx.grad(lambda a: gx.sum(gx.random.truncated_normal(KEY, a, 1.0)))(np.array([-np.inf, 0.0]))
    assert open_end[0] == 0
    assert open_end[1] > 0


def test_what_is_chosen_has_no_gradient():
    p = gx.placeholder((), "float64", name="p")
    for drawn in (gx.random.bernoulli(KEY, p, (3,)), gx.random.poisson(KEY, p, (3,))):
        assert float(gx.compile([p], gx.gradients(gx.sum(drawn * p), p))(0.5)) == run_sum(drawn, p)


def run_sum(drawn, p):
    return float(gx.compile([p], gx.sum(drawn.astype("float64")))(0.5))


# Errors.


@pytest.mark.parametrize(
    ("draw", "error", "text"),
    [
        (
            lambda: gx.random.normal(KEY, (3,), "int32"),
            DTypeError,
            "normal: dtype must be float32 or float64, got int32",
        ),
        (lambda: gx.random.uniform(KEY, (-3,)), ArgumentError, "a dimension must not be negative, got -3"),
        (
            lambda: gx.random.uniform(KEY, (2,), minval=np.zeros(3)),
            ShapeError,
            "uniform: the parameters, of shape (3,)",
        ),
        (lambda: gx.random.normal(KEY, (), loc=np.zeros(3)), ShapeError, "must broadcast to shape ()"),
        (lambda: gx.random.bernoulli(KEY, 1.5), ArgumentError, "bernoulli: p must be at most 1, got 1.5"),
        (lambda: gx.random.bernoulli(KEY, [0.5, -0.1]), ArgumentError, "bernoulli: p must be at least 0, got -0.1"),
        (lambda: gx.random.rademacher(KEY, (3,), "uint8"), DTypeError, "rademacher: dtype must be a signed integer"),
        (lambda: gx.random.randint(KEY, (3,), 3, 3), ArgumentError, "randint: maxval must be above minval"),
        (lambda: gx.random.randint(KEY, (3,), 0, 257, "uint8"), ArgumentError, "randint: uint8 holds 0 to 255"),
        (lambda: gx.random.randint(KEY, (3,), 0.0, 3), DTypeError, "randint: bounds must be integers, got f64[]"),
        (lambda: gx.random.randint(KEY, (3,), 0, 3, "float32"), DTypeError, "randint: dtype must be an integer dtype"),
        (lambda: gx.random.categorical(KEY, 1.0), ShapeError, "categorical: logits must have rank 1 or more"),
        (lambda: gx.random.categorical(KEY, np.zeros((3, 0))), ShapeError, "categorical: there must be a category"),
        (lambda: gx.random.categorical(KEY, np.zeros((3, 2)), shape=(2,)), ShapeError, "categorical: the parameters"),
        (lambda: gx.random.permutation(KEY, -1), ArgumentError, "permutation: takes an array or a number"),
        (
            lambda: gx.random.permutation(KEY, 1.0),
            ShapeError,
            "permutation: takes an array of rank 1 or more or an int",
        ),
        (lambda: gx.random.choice(KEY, 0, (1,)), ArgumentError, "choice: 1 of 0 cannot be chosen"),
        (
            lambda: gx.random.choice(KEY, 3, (4,), False),
            ArgumentError,
            "choice: 4 of 3 cannot be chosen without replace",
        ),
        (lambda: gx.random.choice(KEY, 3, p=[0.5, 0.6, 0.1]), ArgumentError, "choice: p must be a distribution"),
        (
            lambda: gx.random.choice(KEY, 3, p=[0.5, 0.5]),
            ShapeError,
            "choice: p must have one probability for each of 3",
        ),
        (lambda: gx.random.choice(KEY, 2, (2,), False, [1.0, 0.0]), ArgumentError, "where 1 have a probability"),
        (lambda: gx.random.truncated_normal(KEY, 1.0, 0.0), ArgumentError, "lower must not be above upper"),
        (lambda: gx.random.gamma(KEY, -1.0), ArgumentError, "gamma: a must be at least 0, got -1"),
        (lambda: gx.random.dirichlet(KEY, 1.0), ShapeError, "dirichlet: alpha must have parameters in a last axis"),
        (lambda: gx.random.poisson(KEY, -1.0), ArgumentError, "poisson: lam must be at least 0, got -1"),
        (lambda: gx.random.poisson(KEY, 1.0, dtype="float32"), DTypeError, "poisson: dtype must be an integer dtype"),
    ],
)
def test_errors(draw, error, text):
    with pytest.raises(error) as raised:
        draw()
    assert isinstance(raised.value, GraphcError)
    assert text in str(raised.value)
