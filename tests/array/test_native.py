"""Whole families compiled to native code: the same values as node by node."""

import numpy as np
import pytest

import graphc as gx
from tests.array.test_elementwise import BINARY, UNARY
from tests.array.test_reduce import NAMES
from tests.array.test_shape import CASES
from tests.running import inputs_like, run

GRID = np.linspace(-3.0, 3.5, 24).reshape(2, 3, 4)
WHOLE = np.arange(-12, 12).reshape(2, 3, 4)


def same(outputs, inputs, arrays):
    with np.errstate(all="ignore"):
        expected = run(list(outputs.values()), dict(zip(inputs, arrays, strict=True)))
        found = gx.compile(inputs, outputs)(*arrays)
    for (name, got), want in zip(found.items(), expected, strict=True):
        assert got.dtype == want.dtype, name
        np.testing.assert_allclose(
            got, want, rtol=1e-5 if want.dtype == np.float32 else 1e-12, atol=1e-30, err_msg=name
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unary(dtype):
    arrays = [np.concatenate([GRID.ravel(), [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0]]).astype(dtype)]
    inputs = inputs_like(*arrays)
    same({name: getattr(gx, name)(*inputs) for name in UNARY}, inputs, arrays)


def test_binary():
    arrays = [GRID, GRID[:, ::-1] + 0.3]
    inputs = inputs_like(*arrays)
    outputs = {name: getattr(gx, name)(*inputs) for name in BINARY}
    outputs |= {name: getattr(gx, name)(*inputs) for name in ("less", "equal", "greater_equal", "logical_and")}
    same(outputs, inputs, arrays)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64"])
def test_integers(dtype):
    arrays = [np.abs(WHOLE).astype(dtype), WHOLE.T.reshape(2, 3, 4).astype(dtype)]
    inputs = inputs_like(*arrays)
    names = ["add", "subtract", "multiply", "floor_divide", "remainder", "maximum", "bitwise_and", "bitwise_xor"]
    names += ["left_shift", "right_shift", "less", "divide", "logical_xor"]
    outputs = {name: getattr(gx, name)(*inputs) for name in names}
    outputs |= {
        name: getattr(gx, name)(inputs[1]) for name in ("abs", "negative", "sign", "bitwise_invert", "sqrt", "isnan")
    }
    same(outputs, inputs, arrays)


def test_shape():
    inputs = inputs_like(GRID)
    same({name: ours(inputs[0]) for name, (ours, _) in CASES.items()}, inputs, [GRID])


def test_reduce():
    inputs = inputs_like(GRID)
    names = [*NAMES, "logsumexp"]
    cases = {f"{n} {a}": getattr(gx, n)(inputs[0], axis=a) for n in names for a in (None, 0, -1, (0, 2))}
    cases |= {f"{n} {a}": getattr(gx, n)(inputs[0], axis=a) for n in ("argmax", "argmin") for a in (None, 0, -1)}
    same(cases, inputs, [GRID])


def test_training_step():
    rng = np.random.default_rng(0)
    x, y = gx.placeholder(("batch", 8), "float64", name="x"), gx.placeholder(("batch",), "int64", name="y")
    w = gx.variable(rng.normal(size=(8, 3)), name="w")
    loss = gx.nn.cross_entropy(gx.tanh(x @ w), y)
    outputs = {"loss": loss, "dw": gx.gradients(loss, w)}
    for size in (5, 3):
        same(outputs, [x, y], [rng.normal(size=(size, 8)), rng.integers(0, 3, size)])
