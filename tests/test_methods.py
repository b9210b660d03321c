"""The methods of NumPy's arrays on Tensors, against NumPy's arrays."""

import numpy as np
import pytest

import graphc as gx
from tests.running import run

X = np.random.default_rng(3).normal(size=(3, 4))
MASK = np.arange(12).reshape(3, 4) % 3 > 0

# What is asked of an array x, of NumPy's and of ours.
USES = {
    "sum": lambda x: x.sum(0, "float64", initial=1.0, where=MASK),
    "prod": lambda x: x.prod(axis=(0, 1), keepdims=True),
    "mean": lambda x: x.mean(1, where=MASK),
    "var": lambda x: x.var(0, ddof=1),
    "std": lambda x: x.std(axis=1, ddof=2, keepdims=True),
    "max": lambda x: x.max(0, initial=0.0),
    "min": lambda x: x.min(initial=0.0, where=MASK),
    "any": lambda x: (x > 1).any(1, where=MASK),
    "all": lambda x: (x > 1).all(1, keepdims=True),
    "argmax": lambda x: x.argmax(0, keepdims=True),
    "argmin": lambda x: x.argmin(),
    "argsort": lambda x: x.argsort(0),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(),
    "dot": lambda x: x.dot(x.T),
    "clip": lambda x: x.clip(-0.5, 0.5),
    "round": lambda x: x.round(1),
    "conj": lambda x: x.conj() + x.conjugate(),
    "astype": lambda x: x.astype("float32", copy=False),
    "reshape": lambda x: x.reshape(2, -1) + x.reshape((2, 6)),
    "transpose": lambda x: x.transpose(1, 0) + x.T,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: x[:1].squeeze(0),
    "ravel": lambda x: x.ravel() + x.flatten(),
    "repeat": lambda x: x.repeat([1, 0, 2], axis=0),
    "take": lambda x: x.take([0, 2], axis=1),
    "compress": lambda x: x.compress([True, False, True], axis=0),
    "choose": lambda x: (x[0] > 0).astype("int64").choose([x[1], x[2]]),
    "nonzero": lambda x: (x > 0).nonzero()[1],
    "argpartition": lambda x: x[0].argpartition(3)[3:],
    "trace": lambda x: x.trace(offset=1),
    "diagonal": lambda x: x.diagonal(-1),
    "copy": lambda x: x.copy(),
    "real": lambda x: x.real + x.imag,
}


@pytest.mark.parametrize("name", USES)
def test_method(name):
    expected = np.asarray(USES[name](X))
    found = USES[name](gx.asarray(X)).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_sorted_values_are_returned():
    x = gx.asarray(X)
    np.testing.assert_array_equal(run(x.sort(0)), np.sort(X, 0))
    np.testing.assert_array_equal(run(x.sort()[0].searchsorted(0.1)), np.sort(X)[0].searchsorted(0.1))


def test_sizes():
    x = gx.placeholder(("n", 4), "float32")
    assert x.itemsize == 4
    assert x.nbytes == 16 * x.shape[0]
    assert gx.asarray(X).nbytes == X.nbytes


@pytest.mark.parametrize("name", ["fill", "put", "resize"])
def test_nothing_changes_in_place(name):
    with pytest.raises(gx.SymbolicValueError, match="immutable"):
        getattr(gx.asarray(X), name)(0, 1) if name == "put" else getattr(gx.asarray(X), name)(0)
