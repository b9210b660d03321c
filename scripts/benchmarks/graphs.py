"""Graphs of any size, for the time that compiling them takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import graphc as gx
from scripts.benchmarks.peers.with_graphc import Built
from scripts.benchmarks.programs.training import RATE


def chain(nodes: int) -> Built:
    """Return a chain of elementwise operations."""
    x = h = gx.placeholder((8, 16), name="x")
    for k in range(nodes // 3):
        h = gx.tanh(h) * (1 + k % 7) + x
    return [x], h, {}


def fan_out(nodes: int) -> Built:
    """Return many readers of one value, and their sum as a tree."""
    x = gx.placeholder((8, 16), name="x")
    level = [gx.exp(x * (1 + k / 7)) for k in range(nodes // 4)]
    while len(level) > 1:
        level = [a + b for a, b in zip(level[::2], level[1::2], strict=False)] + level[len(level) // 2 * 2 :]
    return [x], level[0], {}


def scans(nodes: int) -> Built:
    """Return scans one after the other."""
    x = h = gx.placeholder((4, 16), name="x")

    def body(carry: gx.Tensor, row: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
        new = gx.tanh(carry * 0.5 + row)
        return new, new * carry + gx.exp(row)

    for _ in range(max(1, nodes // 14)):
        _, h = gx.scan(body, gx.zeros((16,), "float32"), h)
    return [x], h, {}


def layers(count: int, width: int = 64, batch: int = 32) -> Built:
    """Return a training step of a network of equal layers: forward, backward, and an update of all parameters."""
    rng = np.random.default_rng(0)
    x = h = gx.placeholder((batch, width), name="x")
    parameters = []
    for _ in range(count):
        w = gx.variable(rng.normal(0, np.sqrt(2 / width), (width, width)).astype(np.float32))
        parameters += [w, gx.variable(np.zeros(width, np.float32))]
        h = gx.nn.relu(h @ w + parameters[-1])
    loss = gx.mean(h * h)
    gradients = gx.gradients(loss, parameters)
    return [x], loss, {p: p - RATE * g for p, g in zip(parameters, gradients, strict=True)}


def mlp(nodes: int) -> Built:
    """Return a training step of a deep network of about so many nodes."""
    return layers(max(1, nodes // 17), width=8, batch=4)


GRAPHS: dict[str, Callable[[int], Built]] = {
    "elementwise chain": chain,
    "deep network, gradient, update": mlp,
    "wide fan-out": fan_out,
    "scans": scans,
}
"""Builders of graphs of about so many nodes."""
