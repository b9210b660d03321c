"""gradients, pullback, pushforward on Tensors."""

import math

import numpy as np
import pytest

import graphc as gx
from tests.running import check_gradients, run

RNG = np.random.default_rng(3)


def network(x, w, b, v):
    return gx.sum(gx.tanh(x @ w + b) @ v)


NETWORK = (RNG.normal(size=(5, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=(4, 2)))


def test_network():
    check_gradients(network, *NETWORK)
    check_gradients(network, *NETWORK, order=2, tolerance=1e-5)


def test_shapes_of_the_result():
    x, y = gx.placeholder((3,), "float64"), gx.placeholder((), "float64")
    loss = gx.sum(x * y)
    assert gx.gradients(loss, x).shape == (3,)
    one = gx.gradients(loss, [x])
    assert isinstance(one, list)
    assert len(one) == 1
    assert [g.shape for g in gx.gradients(loss, (x, y, x))] == [(3,), (), (3,)]
    assert gx.gradients(loss, []) == []


def test_variables_and_symbolic_sizes():
    x = gx.placeholder(("batch", 3), name="x")
    w, b = gx.variable(np.ones((3, 2), np.float32), name="w"), gx.variable(np.zeros(2, np.float32), name="b")
    dw, db = gx.gradients(gx.mean(x @ w + b), [w, b])
    assert (dw.shape, dw.dtype, db.shape) == ((3, 2), np.float32, (2,))
    values = run([dw, db], {x: np.ones((4, 3))})
    np.testing.assert_array_equal(values[0], np.full((3, 2), 0.5))
    np.testing.assert_array_equal(values[1], np.full(2, 0.5))


def test_cotangent():
    x = gx.placeholder((3,), "float64")
    for cotangent in (np.array([1.0, 2.0, 3.0]), [1, 2, 3], gx.asarray([1.0, 2.0, 3.0])):
        assert run(gx.gradients(x * x, x, cotangent), {x: [1, 1, 1]}).tolist() == [2, 4, 6]
    assert run(gx.gradients(gx.sum(x), x, 2), {x: [1, 1, 1]}).tolist() == [2, 2, 2]


def test_with_respect_to_what_lies_between():
    x = gx.placeholder((), "float64")
    h = x * x
    y = h * h + h
    assert run(gx.gradients(y, [h, x]), {x: 2.0}) == [9, 36]
    assert run(gx.gradients(y, y), {x: 2.0}) == 1


def test_unconnected():
    x, z = gx.placeholder((3,), "float64", name="x"), gx.placeholder((2,), "float64", name="z")
    for y in (gx.sum(z), gx.sum(gx.stop_gradient(x) * 2), gx.sum(x.astype("int32").astype("float64"))):
        with pytest.raises(gx.GradientError, match=r"y does not depend on <Tensor x: f64\[3\]>.*unconnected=\"zero\""):
            gx.gradients(y, x)
        assert run(gx.gradients(y, x, unconnected="zero"), {x: [1, 2, 3], z: [0, 0]}).tolist() == [0, 0, 0]


def test_zero_derivatives_are_zeros_and_not_unconnected():
    x = gx.placeholder((2,), "float64")
    for y in (gx.floor(x), gx.sign(x), gx.where(x > 0, 1.0, gx.round(x)), gx.copysign(1.0, x)):
        assert run(gx.gradients(gx.sum(y), x), {x: [1.5, -2.5]}).tolist() == [0, 0]


def test_pullback_and_pushforward():
    x, y = gx.placeholder((2,), "float64"), gx.placeholder((), "float64")
    at = {x: [1.0, 2.0], y: 3.0}
    outputs = {"product": x * y, "sum": gx.sum(x) + y}
    back = gx.pullback(outputs, [x, y], {"product": np.array([1.0, 10.0]), "sum": 100.0})
    assert [v.tolist() for v in run(back, at)] == [[103, 130], 121]
    forward = gx.pushforward(outputs, (x, y), (np.array([1.0, 10.0]), 100.0))
    assert list(forward) == ["product", "sum"]
    assert run(forward["product"], at).tolist() == [103, 230]
    assert run(forward["sum"], at) == 111
    assert run(gx.pullback(x, y, np.ones(2)), at) == 0
    assert run(gx.pushforward(y, x, np.ones(2)), at) == 0


def test_mixed_second_order():
    x = gx.placeholder((3,), "float64")
    direction = np.array([1.0, -2.0, 0.5])
    y = gx.sum(gx.exp(x) * gx.sin(x[::-1]))
    point = np.array([0.1, 0.2, 0.3])
    reverse = gx.gradients(y, x)
    over = gx.pushforward(reverse, x, direction)
    twice = gx.gradients(gx.sum(reverse * direction), x)
    under = gx.gradients(gx.pushforward(y, x, direction), x)
    first, second, third = run([over, twice, under], {x: point})
    np.testing.assert_allclose(first, second, rtol=1e-12)
    np.testing.assert_allclose(first, third, rtol=1e-12)
    near = run([reverse], {x: point + 1e-6 * direction})[0] - run([reverse], {x: point - 1e-6 * direction})[0]
    np.testing.assert_allclose(first, near / 2e-6, rtol=1e-7)


def test_long_chains():
    x = gx.placeholder((), "float64")
    y = x
    for _ in range(20_000):
        y = y * 1.0001 + 1e-6
    gradient = gx.gradients(y, x)
    np.testing.assert_allclose(run(gradient, {x: 1.0}), 1.0001**20_000, rtol=1e-10)
    del y, gradient


NOT_TAKEN = {
    "sqrt": (lambda x: gx.where(x > 0, gx.sqrt(x), 0), [0, 0, 0.25]),
    "log": (lambda x: gx.where(x > 0, gx.log(x), 0), [0, 0, 0.25]),
    "reciprocal": (lambda x: gx.where(x > 0, 1 / x, 0), [0, 0, -0.0625]),
    "power": (lambda x: gx.where(x > 0, x**0.5, 0), [0, 0, 0.25]),
    "entropy": (lambda x: gx.where(x > 0, x * gx.log(x), 0), [0, 0, 1 + math.log(4)]),
    "overflow": (lambda x: gx.where(x < 3, x, gx.exp(x * -1e3)), [1, 1, 0]),
    "reshaped": (lambda x: gx.where(x.reshape(3, 1) > 0, gx.sqrt(x).reshape(3, 1), 0), [0, 0, 0.25]),
    "repeated": (lambda x: gx.where(x[:, None] > 0, gx.broadcast_to(gx.sqrt(x)[:, None], (3, 2)), 0), [0, 0, 0.5]),
    "nested": (lambda x: gx.where(x > 0, gx.where(x < 5, 1 / x, gx.log(-x)), 1), [0, 0, -0.0625]),
    "mapped": (lambda x: gx.where(x > 0, gx.vmap(gx.sqrt)(x), 0), [0, 0, 0.25]),
    "mapped after": (lambda x: gx.where(x > 0, gx.map(lambda v: 2 * v, gx.sqrt(x)), 0), [0, 0, 0.5]),
    "mapped rows": (
        lambda x: gx.where(gx.sum(x) > 100, gx.sum(gx.vmap(gx.sqrt)(x[:, None])), 1.0) * x,
        [1, 1, 1],
    ),
    "in a branch": (lambda x: gx.where(x > 0, gx.cond(gx.sum(x) > 0, gx.sqrt, gx.log, x), 0), [0, 0, 0.25]),
    "in a checkpoint": (lambda x: gx.where(x > 0, gx.checkpoint(gx.sqrt)(gx.sqrt(x)), 0), [0, 0, 0.25 * 4**-0.75]),
    "in checkpoints": (lambda x: gx.where(x > 0, gx.checkpoint(gx.checkpoint(gx.log))(x), 0), [0, 0, 0.25]),
    "carried": (lambda x: gx.where(x > 0, gx.fori_loop(0, 2, lambda i, c: gx.sqrt(c), x), 0), [0, 0, 0.25 * 4**-0.75]),
    "carried to what is stacked": (
        lambda x: gx.where(x > 0, gx.scan(lambda c, _: (gx.sqrt(c), c), gx.sqrt(x), length=2)[1], 0),
        [0, 0, 0.25 + 0.25 * 4**-0.75],
    ),
    "carried while": (
        lambda x: gx.where(x > 0, gx.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, gx.sqrt(c[1])), (0, x))[1], 0),
        [0, 0, 0.25],
    ),
    "read in every step": (
        lambda x: gx.where(x > 0, (lambda s: gx.fori_loop(0, 3, lambda i, c: c + s, x))(gx.sqrt(x)), 0),
        [0, 0, 1.75],
    ),
    "exchanged by steps": (
        lambda x: gx.where(x > 0, gx.fori_loop(0, 3, lambda i, c: (c[1], gx.sqrt(c[0])), (x, x))[0], 0),
        [0, 0, 0.25],
    ),
    "joined": (lambda x: gx.where(gx.concat([x, x]) > 0, gx.concat([gx.sqrt(x), gx.log(x)]), 0), [0, 0, 0.5]),
    "the smaller": (lambda x: gx.maximum(gx.sqrt(gx.abs(x)), 1.5), [0, 0, 0.25]),
    "the larger": (lambda x: gx.minimum(2.0, 1 / x), [-1, 0, -0.0625]),
    "clipped": (lambda x: gx.clip(gx.log(gx.abs(x)), 0.5, 5), [0, 0, 0.25]),
    "rectified": (lambda x: gx.nn.relu(gx.sqrt(gx.abs(x)) - 1.5), [0, 0, 0.25]),
    "norm": (lambda x: gx.where(gx.sum(x) > 100, gx.sqrt(gx.sum(x * 0)), 1) * x, [1, 1, 1]),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_the_side_not_taken_may_be_singular(name):
    function, expected = NOT_TAKEN[name]
    x = gx.placeholder((3,), "float64")
    y = gx.sum(function(x))
    first = gx.gradients(y, x)
    second = gx.gradients(gx.sum(first), x, unconnected="zero")
    along = gx.pushforward(y, x, np.ones(3))
    with np.errstate(all="ignore"):
        values = run([first, second, along], {x: [-1.0, 0.0, 4.0]})
    np.testing.assert_allclose(values[0], expected, rtol=1e-14)
    assert np.isfinite(values[1]).all()
    np.testing.assert_allclose(values[2], np.sum(expected))
