"""Elementwise functions where they are singular, saturated or at a tie; integers and bools at the ends of their range.

Compiled code and the eager backend, next to what is documented and to NumPy.
"""

import warnings

import numpy as np
import pytest

import graphc as gx

INF, NAN = np.inf, np.nan

# (function, arguments, gradient with respect to each)
GRADIENTS = [
    ("abs", (0.0,), (0.0,)),
    ("sign", (0.0,), (0.0,)),
    ("sqrt", (0.0,), (INF,)),
    ("sqrt", (INF,), (0.0,)),
    ("cbrt", (0.0,), (INF,)),
    ("cbrt", (-8.0,), (1 / 12,)),
    ("log", (0.0,), (INF,)),
    ("log2", (0.0,), (INF,)),
    ("log10", (0.0,), (INF,)),
    ("log1p", (-1.0,), (INF,)),
    ("asin", (1.0,), (INF,)),
    ("asin", (-1.0,), (INF,)),
    ("acos", (1.0,), (-INF,)),
    ("acos", (-1.0,), (-INF,)),
    ("acosh", (1.0,), (INF,)),
    ("acosh", (1e200,), (1e-200,)),
    ("asinh", (-1e200,), (1e-200,)),
    ("atanh", (1.0,), (INF,)),
    ("atanh", (-1.0,), (INF,)),
    ("atan", (INF,), (0.0,)),
    ("tanh", (500.0,), (0.0,)),
    ("sigmoid", (-800.0,), (0.0,)),
    ("softplus", (800.0,), (1.0,)),
    ("erf", (1e200,), (0.0,)),
    ("erfc", (-1e200,), (0.0,)),
    ("erfcx", (1e200,), (0.0,)),
    ("exp", (-800.0,), (0.0,)),
    ("atan2", (0.0, 0.0), (0.0, 0.0)),
    ("atan2", (0.0, -2.0), (-0.5, 0.0)),
    ("atan2", (1e200, 1e200), (5e-201, -5e-201)),
    ("atan2", (1e-200, 1e-200), (5e199, -5e199)),
    ("hypot", (0.0, 0.0), (0.0, 0.0)),
    ("hypot", (3e200, 4e200), (0.6, 0.8)),
    ("pow", (0.0, 0.0), (0.0, 0.0)),
    ("pow", (0.0, 1.0), (1.0, 0.0)),
    ("pow", (0.0, 2.0), (0.0, 0.0)),
    ("pow", (0.0, 0.5), (INF, 0.0)),
    ("pow", (0.0, -1.0), (-INF, -INF)),
    ("pow", (-2.0, 3.0), (12.0, NAN)),
    ("pow", (2.0, 0.0), (0.0, np.log(2))),
    ("logaddexp", (1.0, 1.0), (0.5, 0.5)),
    ("logaddexp", (-INF, 0.0), (0.0, 1.0)),
    ("maximum", (1.0, 1.0), (0.5, 0.5)),
    ("remainder", (5.0, 3.0), (1.0, -1.0)),
    ("remainder", (-5.0, 3.0), (1.0, 2.0)),
    ("floor_divide", (5.0, 3.0), (0.0, 0.0)),
    ("copysign", (-2.0, 3.0), (-1.0, 0.0)),
    ("nextafter", (1.0, 2.0), (1.0, 0.0)),
]


@pytest.mark.parametrize("backend", ["llvm", "eager"])
def test_gradients_where_functions_are_singular(backend):
    inputs, gradients, expected, given = [], [], [], []
    for name, arguments, want in GRADIENTS:
        xs = [gx.placeholder((), "float64") for _ in arguments]
        inputs += xs
        given += arguments
        gradients += gx.gradients(getattr(gx, name)(*xs), xs, unconnected="zero")
        expected += want
    found = gx.compile(inputs, gradients, backend=backend)(*given)
    places = [(name, arguments) for name, arguments, want in GRADIENTS for _ in want]
    for place, result, want in zip(places, found, expected, strict=True):
        np.testing.assert_allclose(result, want, rtol=1e-14, err_msg=str(place))


def test_tangents_where_functions_are_singular():
    for name, arguments, want in GRADIENTS:
        xs = [gx.placeholder((), "float64") for _ in arguments]
        if not any(want) or not np.isfinite(want).all():
            continue
        (tangent,) = gx.pushforward([getattr(gx, name)(*xs)], xs, [gx.ones((), dtype="float64") for _ in xs])
        found = gx.compile(xs, tangent)(*arguments)
        np.testing.assert_allclose(found, sum(want), rtol=1e-14, atol=1e-215, err_msg=f"{name}{arguments}")


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
OF_INTEGERS = [
    "add", "subtract", "multiply", "floor_divide", "remainder", "bitwise_and", "bitwise_or", "bitwise_xor",
    "left_shift", "right_shift", "maximum", "minimum", "equal", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "logical_and", "logical_or", "logical_xor", "negative", "abs", "sign", "square", "invert",
    "floor", "ceil", "trunc", "logical_not", "isnan", "isfinite", "isinf", "signbit",
]  # fmt: skip
OF_BOOLS = [
    "add", "multiply", "floor_divide", "remainder", "bitwise_and", "bitwise_or", "bitwise_xor", "maximum", "minimum",
    "equal", "less", "greater_equal", "logical_and", "logical_or", "logical_xor", "abs", "invert", "logical_not",
]  # fmt: skip


def extremes(dtype):
    """Return every pair of numbers at the ends of the range, around 0 and around the number of bits."""
    if dtype == "bool":
        return np.array([False, False, True, True]), np.array([False, True, False, True])
    info = np.iinfo(dtype)
    near = [0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 100, info.max, info.max - 1, info.max // 2, info.min, info.min + 1]
    some = np.array([n for n in {*near, -1, -2, -7, -64} if info.min <= n <= info.max], dtype)
    x, y = np.meshgrid(some, some)
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("backend", ["llvm", "eager"])
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integers_and_bools_are_those_of_numpy(dtype, backend):
    pair = extremes(dtype)
    x, y = (gx.placeholder(a.shape, dtype) for a in pair)
    names = OF_BOOLS if dtype == "bool" else OF_INTEGERS
    counts = {name: getattr(np, name).nin for name in names}
    results = {name: getattr(gx, name)(*(x, y)[: counts[name]]) for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = gx.compile([x, y], results, backend=backend)(*pair)
        for name, count in counts.items():
            expected = getattr(np, name)(*pair[:count])
            if expected.dtype != np.float16:
                assert found[name].dtype == expected.dtype, name
            np.testing.assert_array_equal(found[name], expected, err_msg=name)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_integer_to_a_negative_power_is_refused(dtype):
    x = gx.placeholder((3,), dtype)
    with pytest.raises((gx.ArgumentError, gx.DTypeError), match="pow: "):
        x**-1
    with pytest.raises(gx.ArgumentError, match="pow: an integer to a negative integer power is no integer"):
        gx.pow(x.astype("int64"), -2)


@pytest.mark.parametrize("backend", ["llvm", "eager"])
def test_integers_divided_by_zero_are_told_once(backend):
    x, y = gx.placeholder((3,), "int32"), gx.placeholder(("n",), "int32")
    total = gx.variable(np.int64(0))
    program = gx.compile([x, y], [x // y[0], x % 2], updates={total: total + gx.sum(x)}, backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program([1, 2, 3], [2])
        with np.errstate(divide="ignore"):
            program([1, 2, 3], [0])
    with pytest.warns(
        RuntimeWarning, match="divide by zero encountered in floor_divide.*\\n  at test_edges.py"
    ) as told:
        quotient, rest = program([1, 2, 3], [0])
    assert told[0].filename == __file__
    assert [*quotient, *rest] == [0, 0, 0, 1, 0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program([1, 2, 3], [0])
    assert total.value == 24


def test_floats_and_known_divisors_are_not_looked_at():
    x = gx.placeholder((3,), "int64")
    program = gx.compile([x], [x // 2, x / x, gx.remainder(x * 1.0, x * 0.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program([0, 1, 2])
    assert "any" not in program.text("optimized")
