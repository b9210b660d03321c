"""Reading and writing by integer arrays against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from tests.running import apply, check_gradients, run

X = np.arange(60.0).reshape(3, 4, 5) / 7
A, B, C = np.array([2, 0, -1, 2]), np.array([[1], [-3]]), np.array(2)
INDICES: list[Any] = [
    A, B, C, [0, 2], (A, 0), (0, A), (slice(None), A), (slice(None), A, slice(1, 4)), (A, slice(None), A),
    (A, None, A), (None, A, A), (..., A), (A, ..., A), (slice(None, None, -1), B, A), (B, A, slice(None, None, 2)),
    (0, slice(None), A), (slice(1, None), 2, A), (A, B, C), (C, C, C), (A, 1, slice(None), None), ([], A[:0]),
    (None, C, None, slice(2), None, A),
    np.zeros((2, 0), int), (slice(0, 0), A), A.astype("uint8") % 3, (A.astype("int8"), B.astype("int32")),
]  # fmt: skip


def compiled(make: Any, *arrays: np.ndarray, indices: tuple[np.ndarray, ...] = ()) -> Any:
    inputs = [gx.placeholder(a.shape, a.dtype, name=f"x{k}") for k, a in enumerate((*arrays, *indices))]
    return gx.compile(inputs, make(*inputs))(*arrays, *indices)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_read(index: Any):
    for symbolic in (False, True):
        np.testing.assert_array_equal(apply(lambda x: x[index], X, symbolic=symbolic), X[index])
    np.testing.assert_array_equal(compiled(lambda x: x[index], X), X[index])
    check_gradients(lambda x: x[index], X[:3, :4, :5])


def test_read_by_tensors():
    i, j = A.reshape(2, 2), np.array([1, 3])
    for make in (lambda x, i, j: x[i, :, j], lambda x, i, j: x[:, j, i], lambda x, i, j: x[i - 1][..., j]):
        for found in (compiled(make, X, indices=(i, j)), apply(make, X, i, j), apply(make, X, i, j, symbolic=True)):
            np.testing.assert_array_equal(found, make(X, i, j))


WRITES = {"set": None, "add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}


def written(x: np.ndarray, index: Any, method: str, values: Any) -> np.ndarray:
    x = x.copy()
    ufunc = WRITES[method]
    if ufunc is None:
        x[index] = values
    else:
        ufunc.at(x, index, values)
    return x


@pytest.mark.parametrize(
    "index", [*INDICES, 0, slice(None), (slice(2, 0, -1), ..., slice(1, 4, 2)), (1, 2, 3), ()], ids=str
)
@pytest.mark.parametrize("method", WRITES)
def test_write(index: Any, method: str):
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 8, X[index].shape)
    expected = written(X, index, method, values)
    for symbolic in (False, True):
        found = apply(lambda x: getattr(x.at[index], method)(values), X, symbolic=symbolic)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    found = compiled(lambda x, v: getattr(x.at[index], method)(v), X, values)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    if X[index].size < 200:
        check_gradients(lambda x, v: getattr(x.at[index], method)(v), X[:, :, :5], values, tolerance=1e-5)


@pytest.mark.parametrize("index", [A, (B, A), (slice(1, 3), A)], ids=str)
@pytest.mark.parametrize("method", WRITES)
def test_second_derivatives(index: Any, method: str):
    values = np.random.default_rng(0).uniform(0.4, 1.2, X[index].shape)
    check_gradients(
        lambda x, v: gx.sin(getattr(gx.exp(x / 9).at[index], method)(v * v)), X, values, order=2, tolerance=1e-4
    )


def test_values_broadcast_and_are_cast():
    x = np.zeros((3, 4), np.float32)
    row = np.arange(4)
    np.testing.assert_array_equal(apply(lambda x: x.at[[0, 2]].set(1), x), written(x, [0, 2], "set", 1))
    np.testing.assert_array_equal(apply(lambda x: x.at[[0, 0]].add(row), x), written(x, [0, 0], "add", row))
    flags = np.zeros(3, bool)
    np.testing.assert_array_equal(apply(lambda x: x.at[[1]].set(True), flags), [False, True, False])


def test_the_last_of_several_values_stays():
    index = np.array([1, 0, 1, 1, 0])
    found = compiled(lambda x, i: x.at[i].set(np.arange(5.0)), np.zeros(3), indices=(index,))
    np.testing.assert_array_equal(found, [4.0, 3.0, 0.0])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [A, B, 1, [[0, 1], [1, 0]], []], ids=str)
def test_take(indices: Any, axis: int | None):
    expected = np.take(X, np.asarray(indices, int), axis=axis)
    np.testing.assert_array_equal(apply(lambda x: gx.take(x, indices, axis=axis), X), expected)
    np.testing.assert_array_equal(compiled(lambda x: np.take(x, indices, axis=axis), X), expected)


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 1, 5), (1, 4, 5), (1, 1, 1), (3, 4, 0)])
def test_take_along_axis(shape: tuple[int, ...]):
    for axis in range(3):
        if any(s not in (1, n) for k, (s, n) in enumerate(zip(shape, X.shape, strict=True)) if k != axis):
            continue
        index = np.random.default_rng(0).integers(-X.shape[axis], X.shape[axis], shape)
        expected = np.take_along_axis(X, index, axis)
        make = lambda x, i, a=axis: gx.take_along_axis(x, i, axis=a)  # noqa: E731
        np.testing.assert_array_equal(apply(make, X, index), expected)
        np.testing.assert_array_equal(compiled(make, X, indices=(index,)), expected)
        check_gradients(lambda x, i=index, a=axis: gx.take_along_axis(x, i, axis=a), X)


@pytest.mark.parametrize("wrong", [3, -4, 2**40])
def test_out_of_bounds_fails_at_the_users_line(wrong: int):
    index = np.array([0, wrong, 1])
    for make in (lambda x, i: x[i], lambda x, i: x.at[i].add(1.0), lambda x, i: gx.sum(gx.exp(x)[i * 1])):
        with pytest.raises(gx.OutOfBoundsError, match=rf"index {wrong} is out of bounds for an axis of size 3"):
            apply(make, X, index)
        with pytest.raises(gx.OutOfBoundsError, match=rf"(?s)index {wrong} is out.*test_integer_index.py"):
            compiled(make, X, indices=(index,))
    with pytest.raises(gx.OutOfBoundsError, match="at axis 0 of f64"):
        gx.placeholder((3,), "float64")[index]


def test_an_index_too_large_for_int64_is_no_negative_one():
    for dtype, value in (("uint64", 2**64 - 1), ("uint8", 255)):
        with pytest.raises(gx.OutOfBoundsError):
            compiled(lambda x, i: x[i], X, indices=(np.array([value], dtype),))


def test_a_variable_is_updated_in_place():
    w = gx.variable(np.zeros((100, 8), np.float32))
    i, v = gx.placeholder((5,), "int64"), gx.placeholder((5, 8))
    step = gx.compile([i, v], [], updates={w: w.at[i].add(v + w[i])})
    index = np.array([3, 1, 3, -1, 0])
    expected = w.value
    for _ in range(2):
        step(index, np.ones((5, 8), np.float32))
        np.add.at(expected, index, 1 + expected[index])
        np.testing.assert_array_equal(w.value, expected)
    assert step.cost().arena_bytes < 1024
    before = w.value
    with pytest.raises(gx.OutOfBoundsError):
        step(np.array([3, 1, 100, 0, 0]), np.ones((5, 8), np.float32))
    np.testing.assert_array_equal(w.value, before)


def test_where_stops_a_derivative_through_an_index():
    x = gx.placeholder((4,), "float64", name="x")
    picked = gx.sqrt(x)[np.array([0, 1, 0])]
    safe = gx.where(np.array([True, False, True]), picked, 0.0)
    (found,) = run([gx.gradients(gx.sum(safe), x)], {x: np.array([4.0, 0.0, 0.0, 1.0])})
    np.testing.assert_array_equal(found, [0.5, 0.0, 0.0, 0.0])


_entry = st.sampled_from(
    [0, -1, slice(None), slice(None, None, -1), slice(1, 2), None, A % 2, B % 2, np.array(1), [1, 0, 0, 1]]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_entry, max_size=5), st.integers(-1, 4))
def test_any_index(entries: list[Any], dots: int):
    index = tuple([*entries[:dots], ..., *entries[dots:]] if 0 <= dots <= len(entries) else entries)
    if sum(e is not None and e is not ... for e in index) > 3:
        return
    expected = X[index]
    np.testing.assert_array_equal(apply(lambda x: x[index], X), expected)
    ones = np.ones(expected.shape)
    np.testing.assert_allclose(apply(lambda x: x.at[index].add(ones), X), written(X, index, "add", ones))
