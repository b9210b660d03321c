"""Elementwise functions against NumPy: values, dtypes and derivatives."""

import itertools

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from tests.running import apply, check_gradients, inputs_like, run

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]
LINE = np.array([-2.5, -1.0, -0.3, 0.4, 1.0, 2.5])
POSITIVE = np.array([0.1, 0.5, 1.0, 2.5, 7.0])
UNIT = np.array([-0.9, -0.3, 0.2, 0.8])
ABOVE_ONE = np.array([1.1, 1.5, 4.0])
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-310, 1e300, -1e300])

# name: (reference, points where it is smooth)
UNARY = {
    "negative": (np.negative, LINE),
    "positive": (np.positive, LINE),
    "abs": (np.abs, LINE),
    "square": (np.square, LINE),
    "reciprocal": (np.reciprocal, LINE),
    "sign": (np.sign, LINE),
    "sqrt": (np.sqrt, POSITIVE),
    "cbrt": (np.cbrt, LINE),
    "exp": (np.exp, LINE),
    "exp2": (np.exp2, LINE),
    "expm1": (np.expm1, LINE),
    "log": (np.log, POSITIVE),
    "log1p": (np.log1p, POSITIVE),
    "log2": (np.log2, POSITIVE),
    "log10": (np.log10, POSITIVE),
    "sin": (np.sin, LINE),
    "cos": (np.cos, LINE),
    "tan": (np.tan, UNIT),
    "asin": (np.arcsin, UNIT),
    "acos": (np.arccos, UNIT),
    "atan": (np.arctan, LINE),
    "sinh": (np.sinh, LINE),
    "cosh": (np.cosh, LINE),
    "tanh": (np.tanh, LINE),
    "asinh": (np.arcsinh, LINE),
    "acosh": (np.arccosh, ABOVE_ONE),
    "atanh": (np.arctanh, UNIT),
    "sigmoid": (scipy.special.expit, LINE),
    "softplus": (lambda x: np.logaddexp(x, 0), LINE),
    "erf": (scipy.special.erf, LINE),
    "erfc": (scipy.special.erfc, LINE),
    "erfcx": (scipy.special.erfcx, LINE),
    "floor": (np.floor, LINE + 0.1),
    "ceil": (np.ceil, LINE + 0.1),
    "trunc": (np.trunc, LINE + 0.1),
    "round": (np.round, LINE + 0.05),
}
BINARY = {
    "add": (np.add, LINE, LINE[::-1]),
    "subtract": (np.subtract, LINE, LINE[::-1]),
    "multiply": (np.multiply, LINE, LINE[::-1]),
    "divide": (np.divide, LINE, LINE[::-1]),
    "pow": (np.power, POSITIVE, LINE[:5]),
    "floor_divide": (np.floor_divide, LINE, LINE[::-1] + 0.05),
    "remainder": (np.remainder, LINE, LINE[::-1] + 0.05),
    "maximum": (np.maximum, LINE, LINE[::-1]),
    "minimum": (np.minimum, LINE, LINE[::-1]),
    "copysign": (np.copysign, LINE, LINE[::-1]),
    "hypot": (np.hypot, LINE, LINE[::-1]),
    "atan2": (np.arctan2, LINE, LINE[::-1]),
    "logaddexp": (np.logaddexp, LINE, LINE[::-1]),
}
ALIASES = {
    "true_divide": "divide", "power": "pow", "mod": "remainder", "absolute": "abs", "around": "round",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "expit": "sigmoid", "bitwise_not": "bitwise_invert", "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift", "amax": "max", "amin": "min",
    "concatenate": "concat",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("name", UNARY)
def test_unary_forward(name):
    reference, points = UNARY[name]
    for dtype in ("float32", "float64"):
        x = np.concatenate([points, EDGES]).astype(dtype)
        np.testing.assert_allclose(
            apply(getattr(gx, name), x), reference(x), rtol=2e-6 if dtype == "float32" else 4e-16
        )


@pytest.mark.parametrize("name", UNARY)
def test_unary_gradient(name):
    points = UNARY[name][1]
    check_gradients(getattr(gx, name), points)
    check_gradients(getattr(gx, name), points, order=2, tolerance=1e-5)


@pytest.mark.parametrize("name", BINARY)
def test_binary_forward(name):
    reference, x, y = BINARY[name]
    function = getattr(gx, name)
    np.testing.assert_allclose(apply(function, x, y), reference(x, y), rtol=4e-16)
    edges = [np.ravel(g) for g in np.meshgrid(EDGES, EDGES)]
    np.testing.assert_allclose(apply(function, *edges), reference(*edges), rtol=4e-16)
    np.testing.assert_allclose(apply(function, x[:, None], y[:3]), reference(x[:, None], y[:3]), rtol=4e-16)


@pytest.mark.parametrize("name", BINARY)
def test_binary_gradient(name):
    _, x, y = BINARY[name]
    check_gradients(getattr(gx, name), x, y)
    check_gradients(getattr(gx, name), x[:2, None], y[:3], order=2, tolerance=1e-5)


def test_logaddexp_at_a_tie():
    # The second derivative of log(exp(a) + exp(b)) at a = b is 1/4.
    a, b = inputs_like(np.zeros(()), np.zeros(()))
    y = gx.logaddexp(a, b)
    first = gx.gradients(y, a)
    assert run([first, gx.gradients(first, a), gx.gradients(first, b)], {a: 0.0, b: 0.0}) == [0.5, 0.25, -0.25]


@pytest.mark.parametrize("alias", ALIASES)
def test_alias(alias):
    assert getattr(gx, alias) is getattr(gx, ALIASES[alias])


# Promotion.


def numpy_result(function, *operands):
    with np.errstate(all="ignore"):
        return np.asarray(function(*operands))


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "divide", "less", "hypot"])
def test_binary_dtypes(name):
    ours, theirs = getattr(gx, name), getattr(np, name)
    for a, b in itertools.product(DTYPES, DTYPES):
        expected = numpy_result(theirs, np.ones(2, a), np.ones(2, b)).dtype
        if expected == np.float16:
            expected = np.dtype("float32")
        assert ours(gx.placeholder((2,), a), gx.placeholder((2,), b)).dtype == expected, (a, b)


@pytest.mark.parametrize("scalar", [True, 2, 2.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_python_numbers_are_weak(dtype, scalar):
    x = np.ones(2, dtype)
    for name in ("add", "multiply", "divide", "maximum", "equal", "remainder"):
        ours, theirs = getattr(gx, name), getattr(np, name)
        for swap in (False, True):
            got = apply(lambda v, f=ours, s=swap: f(scalar, v) if s else f(v, scalar), x)
            expected = numpy_result(theirs, *((scalar, x) if swap else (x, scalar)))
            assert got.dtype == expected.dtype, (name, got.dtype, expected.dtype)
            np.testing.assert_array_equal(got, expected)


def test_numpy_scalars_are_not_weak():
    x = gx.placeholder((2,), "float32")
    assert (x + np.float64(1)).dtype == np.float64
    assert (np.float64(1) + x).dtype == np.float64
    assert (x + 1.0).dtype == np.float32


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("bool", "float32"), ("int8", "float32"), ("uint16", "float32"), ("int32", "float64"), ("uint64", "float64")],
)
def test_integers_become_floats(dtype, expected):
    assert gx.exp(gx.placeholder((2,), dtype)).dtype == np.dtype(expected)


def test_sizes_are_weak():
    x = gx.placeholder(("n", 3), "float32")
    for y in (x * x.shape[0], x.shape[0] * x, x / x.size, 1 - x - x.shape[0]):
        assert y.dtype == np.float32
    np.testing.assert_array_equal(run(x / x.shape[0], {x: np.ones((4, 3))}), np.full((4, 3), 0.25))


def test_comparison_with_an_int_that_does_not_fit():
    x = np.array([0, 200], np.uint8)
    np.testing.assert_array_equal(apply(lambda v: v < 300, x), [True, True])
    np.testing.assert_array_equal(apply(lambda v: v > -1, x), [True, True])


# Integers and bools.


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint32"])
def test_integers_wrap(dtype):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 0, 1, 7], dtype)
    for name in ("add", "subtract", "multiply", "floor_divide", "remainder"):
        expected = numpy_result(getattr(np, name), x[:, None], x)
        np.testing.assert_array_equal(apply(getattr(gx, name), x[:, None], x), expected)
    np.testing.assert_array_equal(apply(gx.negative, x), -x)
    np.testing.assert_array_equal(apply(gx.abs, x), np.abs(x))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, 64])
def test_integer_power(exponent):
    x = np.array([-3, -1, 0, 1, 2, 5])
    np.testing.assert_array_equal(apply(lambda v: v**exponent, x), x**exponent)


@pytest.mark.parametrize(
    "name", ["bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor"]
)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16"])
def test_logic(name, dtype):
    x, y = np.array([0, 0, 1, 1], dtype), np.array([0, 1, 0, 1], dtype)
    got = apply(getattr(gx, name), x, y)
    expected = getattr(np, name)(x, y)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "uint64"])
def test_shifts(dtype):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 1, 5], dtype)[:, None]
    y = np.array([0, 1, 7, 8, 31, 63, 64, 100], dtype)
    np.testing.assert_array_equal(apply(lambda a, b: a << b, x, y), x << y)
    np.testing.assert_array_equal(apply(lambda a, b: a >> b, x, y), x >> y)
    np.testing.assert_array_equal(apply(lambda a: a >> 2, x), x >> 2)


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "signbit"])
def test_properties(name):
    np.testing.assert_array_equal(apply(getattr(gx, name), EDGES), getattr(np, name)(EDGES))
    whole = np.array([-1, 0, 3])
    expected = getattr(np, name)(whole.astype("float64"))
    np.testing.assert_array_equal(apply(getattr(gx, name), whole), expected)


@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
def test_comparisons(name):
    grid = np.meshgrid(EDGES, EDGES)
    np.testing.assert_array_equal(apply(getattr(gx, name), *grid), getattr(np, name)(*grid))


def test_nextafter():
    x = np.array([1.0, 0.0, -1.0], np.float32)
    np.testing.assert_array_equal(apply(lambda v: gx.nextafter(v, np.inf), x).dtype, np.float32)
    np.testing.assert_array_equal(apply(lambda v: gx.nextafter(v, 2.0), x), np.nextafter(x, np.float32(2)))


# clip, where, round, astype.


@pytest.mark.parametrize(("low", "high"), [(0, None), (None, 1), (-1, 1), (None, None)])
def test_clip(low, high):
    expected = LINE if low is None and high is None else np.clip(LINE, low, high)
    np.testing.assert_array_equal(apply(lambda x: gx.clip(x, low, high), LINE), expected)


def test_where():
    x, y = LINE, np.arange(6)
    np.testing.assert_array_equal(apply(lambda a, b: gx.where(a > 0, a, b), x, y), np.where(x > 0, x, y))
    np.testing.assert_array_equal(apply(lambda a: gx.where(a, 1, 0), y), np.where(y, 1, 0))
    rows = LINE[:, None]
    np.testing.assert_array_equal(apply(lambda a, b: gx.where(a > 0, a, b), rows, y), np.where(rows > 0, rows, y))
    check_gradients(lambda a, b: gx.where(a > 0, a * a, b * a), LINE, LINE[::-1])


def test_round_to_decimals():
    x = np.array([1.2345, -2.5, 1250.0])
    for decimals in (2, -2):
        np.testing.assert_array_equal(apply(lambda v, d=decimals: gx.round(v, d), x), np.round(x, decimals))


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_astype(source, target):
    x = np.array([0, 1, 3], source)
    np.testing.assert_array_equal(apply(lambda v: v.astype(target), x), x.astype(target))


def test_gradient_conventions():
    x = gx.placeholder((3,), "float64")
    at = {x: [-1.0, 0.0, 1.0]}

    def gradient(y):
        return run(gx.gradients(gx.sum(y), x), at).tolist()

    assert gradient(gx.abs(x)) == [-1, 0, 1]
    assert gradient(gx.maximum(x, 0)) == [0, 0.5, 1]
    assert gradient(gx.clip(x, 0, 1)) == [0, 0.5, 0.5]
    assert gradient(gx.stop_gradient(x) * x) == [-1, 0, 1]
    assert gradient(gx.hypot(x, 0.0)) == [-1, 0, 1]
    assert gradient(x.astype("float32").astype("float64") * x) == [-2, 0, 2]


def test_no_grad():
    x = gx.placeholder((), "float64")
    with gx.no_grad():
        fixed = x * x
    assert run(gx.gradients(fixed * x, x), {x: 3.0}) == 9
    assert run(gx.gradients(x * x, x), {x: 3.0}) == 6


# Broadcasting.

_sides = st.lists(st.sampled_from([1, 2, 3]), max_size=3)


@settings(max_examples=60, deadline=None)
@given(_sides, _sides, st.booleans())
def test_broadcasting_is_that_of_numpy(a, b, symbolic):
    x = np.arange(np.prod(a, dtype=int), dtype=float).reshape(a)
    y = np.arange(np.prod(b, dtype=int), dtype=float).reshape(b)
    try:
        expected = x + 2 * y
    except ValueError:
        with pytest.raises(gx.ShapeError, match="add: operands must have shapes that broadcast"):
            apply(lambda u, v: u + v * 2, x, y)
        return
    np.testing.assert_array_equal(apply(lambda u, v: u + v * 2, x, y), expected)


def test_a_symbolic_size_meets_only_its_equal():
    x, row, one = gx.placeholder(("n", 3)), gx.placeholder((3,)), gx.placeholder((1, 3))
    other = gx.placeholder(("m", 3))
    assert (x + row).shape == x.shape
    assert (one + x).shape == x.shape
    assert (x + other).shape in (x.shape, other.shape)
    with pytest.raises(gx.ShapeError):
        gx.placeholder((4,)) + row
    with pytest.raises(gx.ShapeError):
        x + gx.concat([x, row[None]])
    with pytest.raises(gx.ShapeError):
        run(x + other, {x: np.ones((1, 3)), other: np.ones((2, 3))})
