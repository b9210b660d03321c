"""Sorting against NumPy: stability, NaN, zeros, all dtypes and sizes on all targets; derivatives; searching."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.graph import Graph, placeholder
from graphc.ir.types import DTYPES, TensorType
from graphc.ops.ordering import argsort, sort
from tests.agreement import assert_identical
from tests.native import TARGETS, NativeGraph
from tests.running import apply, check_gradients

X = np.random.default_rng(0).normal(size=(3, 4, 5)).round(1)
NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_forward(axis):
    for symbolic in (False, True):
        for name in ("sort", "argsort"):
            got = apply(lambda x, n=name: getattr(gx, n)(x, axis), X, symbolic=symbolic)
            np.testing.assert_array_equal(got, getattr(np, name)(X, axis, kind="stable"), strict=True)
        got = apply(lambda x: gx.sort(x, axis, descending=True), X, symbolic=symbolic)
        np.testing.assert_array_equal(got, np.flip(np.sort(X, axis), -1 if axis is None else axis))


def test_derivatives():
    distinct = np.random.default_rng(1).permutation(12).reshape(3, 4) / 7
    for function in (
        lambda x: gx.sort(x, axis=0),
        lambda x: gx.sort(x, descending=True),
        lambda x: gx.topk(x, 2)[0],
        lambda x: gx.topk(x, 2, axis=0, largest=False)[0] ** 2,
        lambda x: gx.sort(x) ** 3,
    ):
        check_gradients(function, distinct)
        check_gradients(function, distinct, order=2, tolerance=1e-5)


def test_the_cotangent_of_ties_goes_where_each_came_from():
    x = gx.placeholder((5,), "float64")
    grad = gx.gradients(gx.sort(x), x, np.arange(1.0, 6.0))
    np.testing.assert_array_equal(gx.compile([x], grad)([2.0, NAN, 2.0, 1.0, 2.0]), [2, 5, 3, 1, 4])


def test_nan_is_larger_than_any_number():
    x = np.array([NAN, 1.0, -NAN, INF, -INF, 0.0, -0.0, 1.0])
    for dtype in (np.float32, np.float64):
        v = gx.placeholder((8,), dtype)
        up, down = gx.argsort(v), gx.argsort(v, descending=True)
        top, low = gx.topk(v, 3)[1], gx.topk(v, 3, largest=False)[1]
        for backend in ("llvm", "eager"):
            found = gx.compile([v], [up, down, top, low, gx.sort(v)], backend=backend)(x.astype(dtype))
            assert found[0].tolist() == [4, 5, 6, 1, 7, 3, 0, 2]
            assert found[1].tolist() == [0, 2, 3, 1, 7, 5, 6, 4]
            assert found[2].tolist() == [0, 2, 3]
            assert found[3].tolist() == [4, 5, 6]
            assert_identical(found[4], x.astype(dtype)[found[0]])


def test_topk():
    values, places = apply(lambda x: gx.topk(x, 2, axis=1), X)
    order = np.flip(np.argsort(np.flip(X, 1), axis=1, kind="stable"), 1)[:, :2]
    np.testing.assert_array_equal(places, 3 - order)
    np.testing.assert_array_equal(values, np.take_along_axis(X, places, 1))
    assert apply(lambda x: gx.topk(x, 0)[0], X).shape == (3, 4, 0)


def test_numpys_functions_and_methods():
    x = gx.placeholder((3, 4), name="x")
    assert np.sort(x, axis=0).shape == (3, 4)
    assert np.argsort(x).node.op is x.argsort().node.op is argsort
    assert np.searchsorted(x[0], x).shape == (3, 4)


def test_errors():
    x = gx.placeholder((3, 4), name="x")
    for name in ("sort", "argsort"):
        with pytest.raises(ShapeError, match=rf"{name}: takes an array of rank 1 or more, got f32\[\]"):
            getattr(gx, name)(gx.placeholder(()))
        with pytest.raises(ArgumentError, match=rf"{name}: axis must be in \[-2, 2\), got 2"):
            getattr(gx, name)(x, 2)
    with pytest.raises(ArgumentError, match="topk: k must be at most 4, the size of axis 1 of"):
        gx.topk(x, 5)
    with pytest.raises(ArgumentError, match="topk: k must be at least 0, got -1"):
        gx.topk(x, -1)
    with pytest.raises(ArgumentError, match="searchsorted: side must be 'left' or 'right', got 'middle'"):
        gx.searchsorted(x[0], x, side="middle")
    with pytest.raises(ShapeError, match=r"searchsorted: x1 must have one axis, got f32\[3, 4\]"):
        gx.searchsorted(x, x)
    late = gx.compile([y := gx.placeholder(("n",), name="y")], gx.topk(y, 3)[0])
    with pytest.raises(ShapeError, match=r"count must be in \[0, 2\]"):
        late(np.zeros(2, np.float32))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint64", "bool"])
def test_searchsorted(dtype, side):
    rng = np.random.default_rng(0)
    for size, shape in ((0, (3,)), (1, ()), (5, (4, 3)), (64, (1030,)), (1000, (7,))):
        table = np.sort(rng.integers(0, 100, size).astype(dtype))
        values = rng.integers(-3, 103, shape).astype(dtype)
        if dtype[0] == "f":
            table[size * 3 // 4 :] = NAN
            values.flat[:2] = (NAN, INF)
        a, b = gx.placeholder(table.shape, dtype), gx.placeholder(shape, dtype)
        found = gx.compile([a, b], gx.searchsorted(a, b, side=side))(table, values)
        np.testing.assert_array_equal(found, np.searchsorted(table, values, side))


def test_searchsorted_through_a_sorter():
    x, v = np.array([3.0, 1.0, 2.0]), np.array([0, 2, 9])
    got = apply(lambda a, b, s: gx.searchsorted(a, b, sorter=s, side="right"), x, v, np.argsort(x))
    np.testing.assert_array_equal(got, np.searchsorted(x, v, "right", np.argsort(x)))


# Machine code: short rows and long ones, all dtypes, all targets.

LENGTHS = (1, 2, 3, 15, 17, 64, 65, 127, 180, 257, 1023, 1024, 2100, 4200)


def values_of(dtype, shape, rng):
    """Return values of which many are equal, the ends of the range among them."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        special = rng.choice(np.array([0.0, -0.0, NAN, -NAN, INF, -INF, 1.5, -1.5, 1e-45, np.finfo(dtype).max]), shape)
        return np.where(rng.random(shape) < 0.4, special, rng.normal(size=shape)).astype(dtype)
    limits = np.iinfo(dtype)
    ends = rng.choice(np.array([limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 77], dtype), shape)
    return np.where(rng.random(shape) < 0.4, ends, rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", DTYPES)
def test_machine_code(name, target):
    rng = np.random.default_rng(0)
    for k, length in enumerate(LENGTHS):
        shape = (3, length) if length < 1000 else (length,)
        x = placeholder(name="x", type=TensorType(DTYPES[name], shape))
        array = values_of(DTYPES[name], shape, rng)
        attrs = {"descending": k % 2 == 1, "count": (length, (length + 1) // 2, max(1, length // 9))[k % 3]}
        graph = Graph((x,), (sort(x, **attrs), argsort(x, **attrs)))
        values, places = NativeGraph(graph, TARGETS[target])([array])
        expected = argsort.reference(array, **attrs)
        np.testing.assert_array_equal(places, expected)
        assert values.tobytes() == np.take_along_axis(array, expected, -1).tobytes()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, NAN, INF, -INF, 2.0]), min_size=1, max_size=300), st.booleans())
def test_it_is_a_stable_permutation(values, descending):
    x = gx.placeholder((len(values),), "float32")
    found = gx.compile([x], gx.argsort(x, descending=descending))(np.array(values, np.float32))
    assert sorted(found.tolist()) == list(range(len(values)))

    def key(k):
        rank = (1, 0.0) if np.isnan(values[k]) else (0, values[k])
        return tuple(-r for r in rank) if descending else rank

    assert found.tolist() == sorted(range(len(values)), key=key)


@pytest.mark.parametrize("dtype", ["int64", "uint32", "float32"])
def test_digits_that_are_the_same_in_all(dtype):
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 5, 3000), np.full(3000, 7), rng.integers(0, 2, 3000) * 2**30):
        x = gx.placeholder((3000,), dtype)
        array = values.astype(dtype)
        found = gx.compile([x], [gx.sort(x), gx.argsort(x)])(array)
        np.testing.assert_array_equal(found[0], np.sort(array))
        np.testing.assert_array_equal(found[1], np.argsort(array, kind="stable"))


def test_sorted_integers_are_no_positions_that_need_no_check():
    x, i = gx.placeholder((3,), name="x"), gx.placeholder((3,), "int64", name="i")
    take = gx.compile([x, i], [x[gx.sort(i)], x[gx.argsort(i)]])
    assert [r.tolist() for r in take([1, 2, 3], [2, 0, 1])] == [[1, 2, 3], [2, 3, 1]]
    with pytest.raises(gx.OutOfBoundsError, match="index 3 "):
        take([1, 2, 3], [2, 3, 1])


def test_rows_of_a_loop_are_sorted_with_it():
    x = gx.placeholder((4, 9), "float64")
    _, ys = gx.scan(lambda c, row: (c + gx.sort(row), gx.argsort(row)), gx.zeros((9,), "float64"), x)
    array = np.random.default_rng(0).normal(size=(4, 9))
    np.testing.assert_array_equal(gx.compile([x], ys)(array), np.argsort(array))
