"""Basic indexing against NumPy."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import graphc as gx
from tests.running import apply, check_gradients, inputs_like, run

X = np.arange(60.0).reshape(3, 4, 5)
INDICES = [
    0, -1, slice(1, None), slice(None, None, -1), (0, 1), (..., 2), (slice(None), -2), (None, 1, None, ...), ..., (),
    (slice(2, 0, -1), slice(1, 4, 2)), (0, ..., -1), (0, 0, 0), (np.int64(1), slice(None, -1)), (slice(5, 9),), None,
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_read(index):
    for symbolic in (False, True):
        np.testing.assert_array_equal(apply(lambda x: x[index], X, symbolic=symbolic), X[index])
    check_gradients(lambda x: x[index], X[:, :, 1:4])


_bound = st.none() | st.integers(-7, 7)


@settings(max_examples=150, deadline=None)
@given(_bound, _bound, st.sampled_from([None, 1, 2, 3, -1, -2, -3]), st.integers(0, 6), st.booleans())
@example(-3, None, None, 2, True)
@example(None, -1, None, 0, True)
def test_any_slice(start, stop, step, size, symbolic):
    x = np.arange(size)
    np.testing.assert_array_equal(apply(lambda v: v[start:stop:step], x, symbolic=symbolic), x[start:stop:step])


@settings(max_examples=40, deadline=None)
@given(_bound, _bound, st.sampled_from([None, 2, -1, -2]), st.integers(1, 5))
def test_gradient_of_any_slice(start, stop, step, size):
    x = gx.placeholder(("n",), "float64")
    part = x[start:stop:step]
    (gradient,) = run([gx.gradients(gx.sum(part * part), x)], {x: np.arange(1.0, size + 1)})
    expected = np.zeros(size)
    expected[start:stop:step] = 2 * np.arange(1.0, size + 1)[start:stop:step]
    np.testing.assert_array_equal(gradient, expected)


def test_symbolic_shapes_read_well():
    n = gx.placeholder(("n", 3))
    size = n.shape[0]
    assert n[:, 0].shape == (size,)
    assert n[::-1].shape == n.shape
    assert n[1:].shape == n[:-1].shape
    assert str(n[1:].shape[0]) == "max(n - 1, 0)"
    assert str(n[-3:].shape[0]) == "min(3, n)"
    assert (n[1:] - n[:-1]).shape == n[1:].shape


def test_symbolic_bounds_count_from_the_front():
    (x,) = inputs_like(np.arange(7), symbolic=True)
    n = x.shape[0]
    at = {x: np.arange(7)}
    assert run([x[: n // 2], x[n // 2 :], x[n - 1]], at)[0].tolist() == [0, 1, 2]
    assert run(x[n // 2 :], at).tolist() == [3, 4, 5, 6]
    assert run(x[n - 1], at) == 6
    assert run(x[n - 1 : 2 : -2], at).tolist() == [6, 4]


def test_out_of_bounds_is_an_error():
    x = gx.placeholder((3, 4), name="x")
    with pytest.raises(
        gx.OutOfBoundsError, match=r"index 3 is out of bounds for an axis of size 3.*axis 0 of f32\[3, 4\]"
    ):
        x[3]
    with pytest.raises(IndexError, match=r"index -5 is out of bounds for an axis of size 4"):
        x[0, -5]
    y = gx.placeholder(("n",))
    with pytest.raises(gx.OutOfBoundsError, match="axis of size 2"):
        run(y[2], {y: np.ones(2)})


def test_iteration_and_length():
    x = gx.placeholder((2, 3))
    assert len(x) == 2
    first, second = x
    assert first.shape == second.shape == (3,)


@pytest.mark.parametrize("n", [0, 1, 3, 6])
def test_diff(n):
    for axis in (0, 1, -1):
        for symbolic in (False, True):
            got = apply(lambda x, a=axis: gx.diff(x, axis=a, n=n), X, symbolic=symbolic)
            np.testing.assert_array_equal(got, np.diff(X, n, axis))
    check_gradients(lambda x: gx.diff(x * x, n=n), X[0, :2])


def test_diff_with_ends():
    got = apply(lambda x: gx.diff(x, axis=0, prepend=x[:1], append=x[-1:]), X)
    np.testing.assert_array_equal(got, np.diff(X, axis=0, prepend=X[:1], append=X[-1:]))
    mask = np.array([True, False, False, True])
    np.testing.assert_array_equal(apply(gx.diff, mask), np.diff(mask))


def test_a_value_known_now_bounds_a_slice():
    x = gx.placeholder((5,), "float64")
    ends = gx.asarray([1, 3])
    np.testing.assert_array_equal(run(x[ends[0] : ends[1]], {x: np.arange(5.0)}), [1.0, 2.0])
    with pytest.raises(gx.ArgumentError, match="bounds of a slice"):
        x[: gx.placeholder((), "int64")]
