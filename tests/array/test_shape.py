"""Functions that move elements, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from tests.running import apply, check_gradients, run

X = np.arange(24.0).reshape(2, 3, 4)

# What ours does, what NumPy's does, both of X.
CASES = {
    "reshape": (lambda x: gx.reshape(x, (4, 6)), lambda x: np.reshape(x, (4, 6))),
    "reshape -1": (lambda x: gx.reshape(x, (3, -1)), lambda x: np.reshape(x, (3, -1))),
    "reshape int": (lambda x: gx.reshape(x, -1), lambda x: np.reshape(x, -1)),
    "ravel": (gx.ravel, np.ravel),
    "expand_dims": (lambda x: gx.expand_dims(x, axis=-1), lambda x: np.expand_dims(x, -1)),
    "expand_dims two": (lambda x: gx.expand_dims(x, axis=(0, 2)), lambda x: np.expand_dims(x, (0, 2))),
    "squeeze": (lambda x: gx.squeeze(x[:1, :, :1]), lambda x: np.squeeze(x[:1, :, :1])),
    "squeeze axis": (lambda x: gx.squeeze(x[:1, :, :1], axis=-1), lambda x: np.squeeze(x[:1, :, :1], -1)),
    "permute_dims": (lambda x: gx.permute_dims(x, (1, -1, 0)), lambda x: np.transpose(x, (1, 2, 0))),
    "transpose": (gx.transpose, np.transpose),
    "matrix_transpose": (gx.matrix_transpose, lambda x: np.swapaxes(x, -1, -2)),
    "swapaxes": (lambda x: gx.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1)),
    "moveaxis": (lambda x: gx.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1)),
    "moveaxis two": (lambda x: gx.moveaxis(x, (0, 1), (2, 0)), lambda x: np.moveaxis(x, (0, 1), (2, 0))),
    "flip": (gx.flip, np.flip),
    "flip axes": (lambda x: gx.flip(x, axis=(0, -1)), lambda x: np.flip(x, (0, -1))),
    "roll": (lambda x: gx.roll(x, 5), lambda x: np.roll(x, 5)),
    "roll axis": (lambda x: gx.roll(x, -1, axis=1), lambda x: np.roll(x, -1, 1)),
    "roll axes": (lambda x: gx.roll(x, (1, 6), axis=(0, 2)), lambda x: np.roll(x, (1, 6), (0, 2))),
    "broadcast_to": (
        lambda x: gx.broadcast_to(x[:, :1], (5, 2, 3, 4)),
        lambda x: np.broadcast_to(x[:, :1], (5, 2, 3, 4)),
    ),
    "tile": (lambda x: gx.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3))),
    "tile more": (lambda x: gx.tile(x, (2, 1, 1, 2)), lambda x: np.tile(x, (2, 1, 1, 2))),
    "tile fewer": (lambda x: gx.tile(x, 2), lambda x: np.tile(x, 2)),
    "repeat": (lambda x: gx.repeat(x, 2), lambda x: np.repeat(x, 2)),
    "repeat axis": (lambda x: gx.repeat(x, 3, axis=-2), lambda x: np.repeat(x, 3, -2)),
    "concat": (lambda x: gx.concat([x, x[:, :1]], axis=1), lambda x: np.concatenate([x, x[:, :1]], 1)),
    "concat flat": (lambda x: gx.concat([x, x[0]], axis=None), lambda x: np.concatenate([x, x[0]], None)),
    "concat one": (lambda x: gx.concat([x]), lambda x: x),
    "stack": (lambda x: gx.stack([x, x * 2], axis=-1), lambda x: np.stack([x, x * 2], -1)),
    "unstack": (lambda x: gx.unstack(x, axis=1)[2], lambda x: x[:, 2]),
    "split": (lambda x: gx.split(x, 2, axis=2)[1], lambda x: np.split(x, 2, 2)[1]),
    "split places": (lambda x: gx.split(x, (1, 2), axis=1)[1], lambda x: np.split(x, (1, 2), 1)[1]),
    "split beyond": (lambda x: gx.split(x, (1, 9), axis=1)[2], lambda x: np.split(x, (1, 9), 1)[2]),
    "pad": (lambda x: gx.pad(x, 1), lambda x: np.pad(x, 1)),
    "pad value": (
        lambda x: gx.pad(x, ((0, 0), (1, 2), (3, 0)), constant_values=7.0),
        lambda x: np.pad(x, ((0, 0), (1, 2), (3, 0)), constant_values=7.0),
    ),
}  # fmt: skip


KNOWN_SIZES_ONLY = (
    "reshape",
    "reshape -1",
    "broadcast_to",
    "unstack",
    "split",
    "split places",
    "split beyond",
    "squeeze",
)


@pytest.mark.parametrize("name", CASES)
def test_forward(name):
    ours, theirs = CASES[name]
    np.testing.assert_array_equal(apply(ours, X), theirs(X))
    if name not in KNOWN_SIZES_ONLY:
        np.testing.assert_array_equal(apply(ours, X, symbolic=True), theirs(X))


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    check_gradients(CASES[name][0], X)


def test_reshape_with_symbolic_sizes():
    x = gx.placeholder(("n", 3, 4), name="x")
    n = x.shape[0]
    value = np.ones((5, 3, 4))
    for shape, expected in (
        ((n, -1), (5, 12)),
        ((-1, 6), (10, 6)),
        ((n * 12,), (60,)),
        ((4, -1), (4, 15)),
        ((-1,), (60,)),
    ):
        y = gx.reshape(x, shape)
        assert run(y, {x: value}).shape == expected
    assert gx.reshape(x, (n, -1)).shape == (n, 12)
    with pytest.raises(gx.ShapeError, match="reshape"):
        run(gx.reshape(x, (7, n)), {x: value})


def test_broadcast_to_symbolic_sizes():
    x, like = gx.placeholder((1, 3)), gx.placeholder(("n", 3))
    assert run(gx.broadcast_to(x, like.shape), {x: np.ones((1, 3)), like: np.ones((4, 3))}).shape == (4, 3)
    first, second = gx.broadcast_arrays(x, like)
    assert first.shape == second.shape == like.shape


def test_dtypes_promote():
    x, n = gx.placeholder((2,), "float32"), gx.placeholder((2,), "int64")
    assert gx.concat([x, n]).dtype == np.float64
    assert gx.stack([x, [1.0, 2.0]]).dtype == np.float64
    assert gx.concat([x, x]).dtype == np.float32


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(-12, 12), st.booleans())
def test_roll_of_any_size(size, shift, symbolic):
    x = np.arange(size)
    np.testing.assert_array_equal(apply(lambda v: gx.roll(v, shift, axis=0), x, symbolic=symbolic), np.roll(x, shift))


@pytest.mark.parametrize("symbolic", [False, True])
def test_empty_arrays(symbolic):
    x = np.zeros((0, 3))
    for ours, theirs in ((gx.flip, np.flip), (lambda v: gx.tile(v, 2), lambda v: np.tile(v, 2)), (gx.ravel, np.ravel)):
        np.testing.assert_array_equal(apply(ours, x, symbolic=symbolic), theirs(x))


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
@pytest.mark.parametrize(("shapes", "axis"), [
    (((5,), (7,)), 0), (((5000,), (4096,), (1,)), 0), (((600, 1), (600, 1)), 1), (((1000, 3), (1000, 2)), 1),
    (((100, 3), (100, 20)), 1), (((3, 4, 5), (3, 2, 5)), 1), (((3, 4, 5), (3, 4, 1)), 2), (((4, 0), (4, 3)), 1),
])  # fmt: skip
def test_concat_of_rows_and_columns(shapes: tuple[tuple[int, ...], ...], axis: int, dtype: str) -> None:
    """Long, narrow and empty parts are copied in ways of their own."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 2, s).astype(dtype) for s in shapes]
    inputs = [gx.placeholder(s, dtype) for s in shapes]
    found = gx.compile(inputs, gx.concat(inputs, axis=axis))(*arrays)
    np.testing.assert_array_equal(found, np.concatenate(arrays, axis))
