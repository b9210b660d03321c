"""Functions of neural networks against SciPy and the formulas as written."""

import math

import numpy as np
import pytest
import scipy.special

import graphc as gx
from tests.running import apply, check_gradients, inputs_like, run

RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 5))
LABELS = np.array([4, 0, 2])


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": scipy.special.expit,
    "silu": lambda x: x * scipy.special.expit(x),
    "gelu": lambda x: x * (1 + scipy.special.erf(x / math.sqrt(2))) / 2,
    "softplus": lambda x: np.log1p(np.exp(x)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    np.testing.assert_allclose(apply(getattr(gx.nn, name), X), ACTIVATIONS[name](X), rtol=1e-13, atol=1e-15)
    check_gradients(getattr(gx.nn, name), X)


def test_gelu_tanh():
    got = apply(lambda x: gx.nn.gelu(x, approximate="tanh"), X)
    expected = 0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    np.testing.assert_allclose(got, apply(gx.nn.gelu, X), atol=1e-3)


def test_relu_at_zero():
    x = gx.placeholder((3,), "float64")
    assert run(gx.gradients(gx.sum(gx.nn.relu(x)), x), {x: [-1, 0, 1]}).tolist() == [0, 0, 1]


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, axis):
    function, reference = getattr(gx.nn, name), getattr(scipy.special, name)
    for x in (X, X * 1e4, X - 1e6, np.where(X > 1, -np.inf, X)):
        np.testing.assert_allclose(apply(lambda v: function(v, axis), x), reference(x, axis), rtol=1e-12, atol=1e-300)
    check_gradients(lambda v: function(v, axis), X)
    check_gradients(lambda v: function(v, axis), X[:2, :3], order=2, tolerance=1e-5)


def cross_entropy(x, labels):
    return -np.take_along_axis(scipy.special.log_softmax(x, -1), labels[..., None], -1)[..., 0]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(reduction):
    def ours(x, labels):
        return gx.nn.cross_entropy(x, labels, reduction)

    expected = cross_entropy(X, LABELS)
    expected = {"mean": expected.mean(), "sum": expected.sum(), "none": expected}[reduction]
    for symbolic in (False, True):
        np.testing.assert_allclose(apply(ours, X, LABELS, symbolic=symbolic), expected, rtol=1e-13)
    check_gradients(lambda x: ours(x, LABELS), X)
    check_gradients(lambda x: ours(x, LABELS), X, order=2, tolerance=1e-5)


def test_cross_entropy_of_more_axes():
    x, labels = RNG.normal(size=(2, 3, 5)), np.array([[0, 1, 2], [4, 3, 2]], np.uint8)
    got = apply(lambda a, b: gx.nn.cross_entropy(a, b, "none"), x, labels)
    np.testing.assert_allclose(got, cross_entropy(x, labels.astype(int)), rtol=1e-13)
    np.testing.assert_allclose(
        apply(gx.nn.cross_entropy, X[0], np.array(3)), cross_entropy(X[0], np.array(3)), rtol=1e-13
    )


def test_cross_entropy_with_probabilities():
    p = scipy.special.softmax(RNG.normal(size=(3, 5)), -1)
    expected = -(p * scipy.special.log_softmax(X, -1)).sum(-1)
    np.testing.assert_allclose(apply(lambda x, q: gx.nn.cross_entropy(x, q, "none"), X, p), expected, rtol=1e-13)
    check_gradients(gx.nn.cross_entropy, X, p)


def test_cross_entropy_far_out():
    x = np.array([[1e4, -1e4, 0.0], [1e4, 1e4, -np.inf]], np.float32)
    got = apply(lambda a, b: gx.nn.cross_entropy(a, b, "none"), x, np.array([1, 0]))
    np.testing.assert_allclose(got, [2e4, math.log(2)], rtol=1e-6)
    logits, labels = inputs_like(x, LABELS[:2])
    gradient = run(gx.gradients(gx.nn.cross_entropy(logits, labels, "sum"), logits), {logits: x, labels: [1, 0]})
    np.testing.assert_allclose(gradient, [[1, -1, 0], [-0.5, 0.5, 0]], atol=1e-7)


@pytest.mark.parametrize("label", [5, -1])
def test_labels_out_of_range(label):
    with pytest.raises(gx.OutOfBoundsError, match=rf"index {label} is out of bounds for an axis of size 5"):
        apply(gx.nn.cross_entropy, X, np.array([0, label, 1]))


def test_binary_cross_entropy():
    x, t = X, RNG.uniform(size=X.shape)
    expected = -(t * scipy.special.log_expit(x) + (1 - t) * scipy.special.log_expit(-x))
    function = gx.nn.binary_cross_entropy_with_logits
    np.testing.assert_allclose(apply(function, x, t), expected.mean(), rtol=1e-13)
    np.testing.assert_allclose(apply(lambda a, b: function(a, b, "none"), x, t), expected, rtol=1e-12)
    assert apply(function, np.array([1e4, -1e4]), np.array([1, 0])) == 0
    check_gradients(function, x, t)


def test_mse_loss():
    y = RNG.normal(size=X.shape)
    np.testing.assert_allclose(apply(gx.nn.mse_loss, X, y), ((X - y) ** 2).mean())
    check_gradients(gx.nn.mse_loss, X, y)


def test_layer_norm():
    x, w, b = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-5) * w + b
    np.testing.assert_allclose(apply(lambda *t: gx.nn.layer_norm(t[0], (3, 4), *t[1:]), x, w, b), expected, rtol=1e-12)
    check_gradients(lambda *t: gx.nn.layer_norm(t[0], (3, 4), *t[1:]), x, w, b)
    assert apply(gx.nn.layer_norm, x.astype(np.float32), symbolic=True).dtype == np.float32


def attention(q, k, v, mask):
    scores = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    return scipy.special.softmax(np.where(mask, scores, -np.inf), -1) @ v


def test_attention():
    q, k, v = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 6))
    function = gx.nn.scaled_dot_product_attention
    np.testing.assert_allclose(apply(function, q, k, v), attention(q, k, v, True), rtol=1e-12)
    mask = RNG.uniform(size=(3, 5)) > 0.4
    mask[:, 0] = True
    np.testing.assert_allclose(
        apply(lambda *t: function(*t[:3], mask=t[3]), q, k, v, mask), attention(q, k, v, mask), rtol=1e-12
    )
    causal = np.tril(np.ones((3, 5), bool))
    got = apply(lambda *t: function(*t, is_causal=True), q, k, v)
    np.testing.assert_allclose(got, attention(q, k, v, causal), rtol=1e-12)
    check_gradients(lambda *t: function(*t, is_causal=True), q, k, v)
    assert apply(function, *[a.astype(np.float32) for a in (q, k, v)]).dtype == np.float32
