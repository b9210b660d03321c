"""Functions of vectors and of elements, done to all of an array, against NumPy's."""

import numpy as np
import pytest

import graphc as gx
from tests.running import apply, check_gradients, run

RNG = np.random.default_rng(7)
X = RNG.normal(size=(2, 3, 4))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("symbolic", [False, True])
def test_along_an_axis(axis, symbolic):
    def found(function):
        return apply(lambda x: gx.apply_along_axis(function, axis, x), X, symbolic=symbolic)

    np.testing.assert_allclose(found(gx.sum), np.apply_along_axis(np.sum, axis, X))
    np.testing.assert_allclose(found(gx.cumsum), np.apply_along_axis(np.cumsum, axis, X))
    np.testing.assert_allclose(
        found(lambda v: gx.outer(v, v[:2])), np.apply_along_axis(lambda v: np.outer(v, v[:2]), axis, X)
    )


def test_what_is_given_besides():
    found = run(np.apply_along_axis(gx.multiply, 0, gx.asarray(X), 2.0))
    np.testing.assert_allclose(found, 2 * X)
    check_gradients(lambda x: gx.apply_along_axis(lambda v: gx.sort(v) ** 2, 1, x), X)
    with pytest.raises(gx.ShapeError, match="rank 1"):
        gx.apply_along_axis(gx.sum, 0, 1.0)


def test_over_axes():
    expected = np.apply_over_axes(np.sum, X, [0, 2])
    np.testing.assert_allclose(apply(lambda x: gx.apply_over_axes(gx.sum, x, [0, 2]), X), expected)
    np.testing.assert_allclose(apply(lambda x: np.apply_over_axes(gx.sum, x, [0, 2]), X), expected)
    with pytest.raises(gx.ShapeError, match="rank 3"):
        gx.apply_over_axes(lambda x, axis: gx.sum(x), X, 0)


def test_element_by_element():
    def one(a, b, scale=1.0):
        return gx.where(a > b, a - b, a + b) * scale

    a, b = X[0, :, :1], X[1, 0]
    function = gx.vectorize(one, excluded=["scale"])
    expected = 3 * np.where(a > b, a - b, a + b)
    np.testing.assert_allclose(apply(lambda x, y: function(x, y, scale=3.0), a, b), expected)
    expected = 3 * np.where(X[0] > b, X[0] - b, X[0] + b)
    np.testing.assert_allclose(apply(lambda x, y: function(x, y, scale=3.0), X[0], b, symbolic=True), expected)
    low, high = gx.vectorize(lambda v: (v - 1, v + 1))(gx.asarray(a))
    np.testing.assert_allclose(run(low) + 2, run(high))
    with pytest.raises(gx.ShapeError, match="rank 0"):
        gx.vectorize(lambda v: gx.stack([v, v]))(gx.asarray(a))
    with pytest.raises(gx.ArgumentError, match="takes a function"):
        gx.vectorize(3)
