"""Arrays from shapes and numbers, against NumPy; conversion of what users pass."""

import numpy as np
import pytest

import graphc as gx
from tests.running import apply, check_gradients, run

N = gx.placeholder(("n", 2), name="x")
AT = {N: np.zeros((3, 2))}


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_filled(name):
    function = getattr(gx, name)
    assert function((2, 3)).dtype == np.float64
    assert function((2, 3), dtype="int32").dtype == np.int32
    expected = np.ones if name == "ones" else np.zeros
    np.testing.assert_array_equal(run(function((N.shape[0], 4)), AT), expected((3, 4)))
    np.testing.assert_array_equal(run(function(5)), expected(5))
    like = getattr(gx, f"{name}_like")
    assert like(N).dtype == np.float32
    np.testing.assert_array_equal(run(like(N, dtype="int8"), AT), expected((3, 2), np.int8))


def test_full():
    np.testing.assert_array_equal(run(gx.full((2, 2), 7)), np.full((2, 2), 7))
    assert gx.full((2,), 1.5, dtype="float32").dtype == np.float32
    np.testing.assert_array_equal(run(gx.full_like(N, 2.5), AT), np.full((3, 2), 2.5))
    check_gradients(lambda v: gx.full((2, 2), v), np.array(3.0))


@pytest.mark.parametrize("arguments", [(5,), (2, 5), (5, 2, -1), (0, 1, 0.25), (0.5, 3), (3, 1)])
def test_arange(arguments):
    expected = np.arange(*arguments)
    got = run(gx.arange(*arguments))
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_arange_of_sizes():
    np.testing.assert_array_equal(run(gx.arange(N.shape[0]), AT), np.arange(3))
    np.testing.assert_array_equal(run(gx.arange(1, N.shape[0]), AT), np.arange(1, 3))
    np.testing.assert_array_equal(run(gx.arange(N.shape[0], 2 * N.shape[0]), AT), np.arange(3, 6))
    assert gx.arange(N.shape[0], dtype="float32").dtype == np.float32


def test_linspace_eye_meshgrid():
    np.testing.assert_array_equal(run(gx.linspace(0, 1, 7, endpoint=False)), np.linspace(0, 1, 7, endpoint=False))
    for arguments, k in (((3,), 0), ((3, 4), 1), ((4, 3), -2)):
        np.testing.assert_array_equal(run(gx.eye(*arguments, k=k)), np.eye(*arguments, k=k))
    assert run(gx.eye(N.shape[0]), AT).shape == (3, 3)
    vectors = [np.arange(2.0), np.arange(3.0), np.arange(4.0)]
    for indexing in ("xy", "ij"):
        for count in (1, 2, 3):
            grids = run(gx.meshgrid(*vectors[:count], indexing=indexing))
            for got, expected in zip(grids, np.meshgrid(*vectors[:count], indexing=indexing), strict=True):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("k", [-1, 0, 2])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles(name, k):
    x = np.arange(24.0).reshape(2, 3, 4) + 1
    np.testing.assert_array_equal(apply(lambda v: getattr(gx, name)(v, k=k), x, symbolic=True), getattr(np, name)(x, k))


def test_one_hot():
    labels = np.array([[2, 0], [1, 1]])
    np.testing.assert_array_equal(apply(lambda v: gx.one_hot(v, 3), labels), np.eye(3, dtype=np.float32)[labels])
    first = np.moveaxis(np.eye(3)[labels], -1, 0)
    np.testing.assert_array_equal(apply(lambda v: gx.one_hot(v, 3, axis=0), labels), first)
    assert apply(lambda v: gx.one_hot(v, 3, dtype="bool"), np.array(1)).tolist() == [False, True, False]
    with pytest.raises(gx.OutOfBoundsError, match=r"index 3 is out of bounds for an axis of size 3"):
        apply(lambda v: gx.one_hot(v, 3), np.array([0, 3]))


def test_asarray():
    array = np.arange(3.0)
    constant = gx.asarray(array)
    array[0] = 9
    np.testing.assert_array_equal(run(constant), [0, 1, 2])
    assert gx.asarray(N) is N
    assert gx.asarray(N, dtype="float64").dtype == np.float64
    for value in (True, 3, 2.5, [1, 2], [[1.0], [2.0]], np.float32(3), np.arange(4, dtype=">i4"), range(3), 2**63):
        expected = np.asarray(value)
        got = gx.asarray(value)
        assert got.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(run(got), expected)


def test_asarray_of_symbols():
    x = gx.placeholder((), "float32")
    assert run(gx.asarray([x, x * 2, 3]), {x: 1.5}).tolist() == [1.5, 3.0, 3.0]
    assert run(gx.asarray([[x, 1], [2, x]]), {x: 1.5}).tolist() == [[1.5, 1], [2, 1.5]]
    assert run(gx.asarray(N.shape), AT).tolist() == [3, 2]
    assert run(gx.asarray(N.shape[0]), AT) == 3


def test_signed_zeros_and_equal_numbers_stay_apart():
    x = gx.placeholder((), "float64")
    values = run([x * 0.0, x * -0.0, x + 1, x + True], {x: 1.0})
    assert np.signbit(values).tolist() == [False, True, False, False]
    assert (gx.placeholder((), "int32") + True).dtype == np.int32


def test_result_type():
    assert gx.result_type("int8", 1.0) == np.float64
    assert gx.result_type(N, 1) == np.float32
    assert gx.result_type(np.float32(1), np.arange(2)) == np.float64
