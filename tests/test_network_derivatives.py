"""First, second and mixed derivatives of a whole network's loss against finite differences, compiled, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphc as gx

STEP = 1e-5


class Network:
    """A small classifier, its parameters as one list of variables."""

    def __init__(self, activation: object) -> None:
        rng = np.random.default_rng(7)
        sizes = (6, 9, 5, 4)
        self.x = gx.placeholder(("batch", sizes[0]), "float64", name="x")
        self.y = gx.placeholder(("batch",), "int64", name="y")
        self.parameters = []
        h = self.x
        for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            w = gx.variable(rng.normal(size=(fan_in, fan_out)), name=f"w{k}")
            b = gx.variable(rng.normal(size=fan_out), name=f"b{k}")
            self.parameters += [w, b]
            h = h @ w + b
            if k < len(sizes) - 2:
                h = activation(h)  # type: ignore[operator]
        self.loss = gx.nn.cross_entropy(h, self.y)
        self.data = (rng.normal(size=(11, sizes[0])), rng.integers(0, sizes[-1], 11))
        self.directions = [rng.normal(size=p.shape) for p in self.parameters]

    def compile(self, outputs: object) -> gx.Executable:
        return gx.compile([self.x, self.y], outputs)

    def along_direction(self, function: gx.Executable) -> list[np.ndarray]:
        """Return the central difference of a function's results as the parameters move along `directions`."""
        start = [p.value for p in self.parameters]
        ends = []
        for sign in (1, -1):
            for p, value, direction in zip(self.parameters, start, self.directions, strict=True):
                p.assign(value + sign * STEP * direction)
            ends.append(function(*self.data))
        for p, value in zip(self.parameters, start, strict=True):
            p.assign(value)
        return [(a - b) / (2 * STEP) for a, b in zip(*ends, strict=True)]


@pytest.fixture(params=[gx.tanh, gx.nn.relu, gx.nn.sigmoid, gx.nn.silu], ids=lambda f: f.__name__)
def network(request: pytest.FixtureRequest) -> Network:
    return Network(request.param)


def assert_close(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def test_first_derivative_in_both_modes(network: Network) -> None:
    directional = gx.pushforward([network.loss], network.parameters, network.directions)
    gradients = gx.gradients(network.loss, network.parameters)
    summed = sum(gx.sum(g * d) for g, d in zip(gradients, network.directions, strict=True))
    wanted = network.along_direction(network.compile([network.loss]))
    assert_close(network.compile(list(directional))(*network.data), wanted)
    assert_close(network.compile([summed])(*network.data), wanted)


def test_second_derivative_reverse_over_reverse(network: Network) -> None:
    gradients = gx.gradients(network.loss, network.parameters)
    slope = sum(gx.sum(g * d) for g, d in zip(gradients, network.directions, strict=True))
    second = gx.gradients(slope, network.parameters)
    assert_close(
        network.compile(list(second))(*network.data), network.along_direction(network.compile(list(gradients)))
    )


def test_second_derivative_forward_over_reverse(network: Network) -> None:
    gradients = gx.gradients(network.loss, network.parameters)
    second = gx.pushforward(gradients, network.parameters, network.directions)
    assert_close(
        network.compile(list(second))(*network.data), network.along_direction(network.compile(list(gradients)))
    )


def test_second_derivative_reverse_over_forward(network: Network) -> None:
    (slope,) = gx.pushforward([network.loss], network.parameters, network.directions)
    second = gx.gradients(slope, network.parameters)
    gradients = gx.gradients(network.loss, network.parameters)
    assert_close(
        network.compile(list(second))(*network.data), network.along_direction(network.compile(list(gradients)))
    )


def test_third_derivative_forward_over_forward_over_reverse(network: Network) -> None:
    gradients = gx.gradients(network.loss, network.parameters)
    second = gx.pushforward(gradients, network.parameters, network.directions)
    third = gx.pushforward(second, network.parameters, network.directions)
    assert_close(network.compile(list(third))(*network.data), network.along_direction(network.compile(list(second))))
