"""Running folds against NumPy, their derivatives at zeros, ties and infinities, and long rows in machine code."""

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError
from graphc.ir.graph import OPS, Graph, placeholder
from graphc.ir.types import DTYPES, TensorType
from tests.agreement import assert_agrees
from tests.native import TARGETS, NativeGraph
from tests.running import apply, check_gradients

X = np.random.default_rng(0).normal(size=(2, 3, 4)).round(3)
FUNCTIONS = {
    "cumsum": np.cumsum,
    "cumprod": np.cumprod,
    "cummax": np.maximum.accumulate,
    "cummin": np.minimum.accumulate,
    "logcumsumexp": np.logaddexp.accumulate,
}


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_and_derivatives(name, axis):
    for symbolic in (False, True):
        got = apply(lambda x: getattr(gx, name)(x, axis=axis), X, symbolic=symbolic)
        np.testing.assert_allclose(got, FUNCTIONS[name](X, axis=axis), rtol=1e-12)
    check_gradients(lambda x: getattr(gx, name)(x, axis=axis), X[:, :2])
    check_gradients(lambda x: getattr(gx, name)(x, axis=axis), X[:, :2], order=2, tolerance=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_are_those_of_numpy(dtype):
    x = np.array([[0, 1, 3], [1, 100, 2]]).astype(DTYPES[dtype])
    for ours, standard, numpys in (("cumsum", "cumulative_sum", np.cumsum), ("cumprod", "cumulative_prod", np.cumprod)):
        expected = numpys(x, axis=1)
        for name in (ours, standard):
            got = apply(lambda v, n=name: getattr(gx, n)(v, axis=1), x)
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(apply(getattr(gx, ours), x), numpys(x))
        got = apply(lambda v, n=ours: getattr(gx, n)(v, 0, "int16"), x)
        np.testing.assert_array_equal(got, numpys(x, 0, "int16"), strict=True)


def test_the_initial_value():
    x = np.array([[2, 3], [4, 5]], np.int32)
    got = apply(lambda v: gx.cumulative_sum(v, axis=1, include_initial=True), x)
    np.testing.assert_array_equal(got, [[0, 2, 5], [0, 4, 9]])
    got = apply(lambda v: gx.cumulative_prod(v, axis=0, include_initial=True, dtype="float32"), x, symbolic=True)
    np.testing.assert_array_equal(got, np.array([[1, 1], [2, 3], [8, 15]], np.float32), strict=True)
    got = apply(lambda v: gx.cumulative_sum(v, include_initial=True), np.zeros(0, np.float32))
    np.testing.assert_array_equal(got, np.zeros(1, np.float32), strict=True)


def test_numpys_functions_and_methods():
    x = gx.placeholder((3, 4), name="x")
    for built in (np.cumsum(x, axis=1), x.cumsum(1), gx.cumulative_sum(x, axis=1)):
        assert built.node.op.name == "cumsum"
        assert built.node.attrs == {"axis": 1, "reverse": False}
    assert np.cumprod(x).shape == x.cumprod().shape == (12,)


def test_errors():
    x = gx.placeholder((3, 4), name="x")
    with pytest.raises(ArgumentError, match=r"cumulative_sum: axis must be given unless x has one axis, got f32"):
        gx.cumulative_sum(x)
    with pytest.raises(ArgumentError, match=r"cumulative_prod: axis must be in \[-2, 2\), got 2"):
        gx.cumulative_prod(x, axis=2)
    with pytest.raises(ArgumentError, match="cummax: axis must be absent for rank 0, got -1"):
        gx.cummax(gx.placeholder(()))
    with pytest.raises(DTypeError, match="cumsum: does not take bool"):
        gx.cumsum(gx.placeholder((3,), "bool"), dtype="bool")


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (4,), (1, 3), (0, 1, 4)])
def test_products_with_zeros_have_exact_derivatives_of_all_orders(zeros):
    x = np.array([1.5, -0.5, 2.0, 0.7, -1.2])
    x[list(zeros)] = 0.0
    check_gradients(lambda v: gx.cumprod(v, axis=0), x)
    check_gradients(lambda v: gx.cumprod(v, axis=0), x, order=2, tolerance=1e-5)
    y = gx.placeholder((5,), "float64", name="y")
    grad = gx.gradients(gx.cumprod(y, axis=0)[-1], y)
    second = gx.stack([gx.gradients(grad[k], y) for k in range(5)])
    got = gx.compile([y], second)(x)
    rest = np.array([[np.prod(np.delete(x, [i, j])) if i != j else 0 for j in range(5)] for i in range(5)])
    np.testing.assert_allclose(got, rest, rtol=1e-14, atol=0)


def test_the_last_of_ties_has_the_cotangent():
    x, ct = np.array([1.0, 3.0, 3.0, 2.0, np.nan, 5.0]), np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    for native in (False, True):
        for function, expected in ((gx.cummax, [1, 2, 12, 0, 48, 0]), (gx.cummin, [15, 0, 0, 0, 48, 0])):
            y = gx.placeholder(x.shape, "float64")
            grad = gx.gradients(function(y), y, ct)
            got = gx.compile([y], grad, backend="llvm" if native else "eager")(x)
            np.testing.assert_array_equal(got, expected)


def test_special_values_of_logcumsumexp():
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, -inf, -1000.0, -1001.0, 3.0], [1e4, 1e4, -inf, inf, 0.0], [0.0, nan, 1.0, -inf, 2.0]])
    with np.errstate(all="ignore"):
        expected = np.logaddexp.accumulate(x, axis=1)
    np.testing.assert_allclose(apply(gx.logcumsumexp, x), expected, rtol=1e-14)
    y = gx.placeholder((3,), "float64")
    grad = gx.gradients(gx.sum(gx.logcumsumexp(y)[1:]), y)
    np.testing.assert_allclose(gx.compile([y], grad)([-inf, -1000.0, -1000.0]), [0.0, 1.5, 0.5])
    np.testing.assert_array_equal(gx.compile([y], grad)([-inf, -inf, -inf]), [0.0, 0.0, 0.0])


# Machine code: every way to run it, on every target, both directions.

SHAPES = [
    ((1000,), 0), ((2, 517), 1), ((35, 70), 1), ((33, 20), 1), ((3, 70), 1), ((9, 7), 1), ((40, 1), 1),
    ((5, 3, 130), 1), ((2, 9, 3), 1), ((6, 300), 0), ((1, 4, 129), 0), ((64, 64), 1),
]  # fmt: skip

CASES = [
    ("cumsum", "f32"), ("cumsum", "i64"), ("cumprod", "f64"), ("cummax", "f32"), ("recurrence", "f32"),
    ("cummin", "u8"), ("cummax", "i16"), ("cumprod", "u32"), ("cummax", "bool"),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
def test_machine_code(shape, axis, target):
    rng = np.random.default_rng(0)
    for op, dtype in CASES:
        for reverse in (False, True):
            type = TensorType(DTYPES[dtype], shape)
            x = placeholder(name="x", type=type)
            node = OPS[op](*[x] * (2 if op == "recurrence" else 1), axis=axis, reverse=reverse)
            values = rng.uniform(-1.2, 1.2, shape) if dtype[0] == "f" else rng.integers(0, 200, shape)
            array = values.astype(type.dtype)
            if op in ("cummax", "recurrence") and dtype[0] == "f":
                array.flat[rng.integers(0, array.size, 2)] = (np.nan, -0.0)
            (found,) = NativeGraph(Graph((x,), (node,)), TARGETS[target])([array])
            with np.errstate(all="ignore"):
                expected = node.op.reference(*[array] * len(node.inputs), **node.attrs)
            assert_agrees(node, [array] * len(node.inputs), found, expected)


def test_the_result_may_take_the_place_of_the_operand():
    x = gx.variable(np.arange(300.0).reshape(3, 100), name="x")
    step = gx.compile([], [], updates={x: gx.cumsum(x, axis=1)})
    step()
    np.testing.assert_array_equal(x.value, np.cumsum(np.arange(300.0).reshape(3, 100), axis=1))
    assert "copy" not in step.text("kernels")
