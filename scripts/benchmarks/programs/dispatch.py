"""Calls so small that calling is all they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.benchmarks.library import Array, Library, Program, Tensors, normal

Result = tuple[Any, Tensors]


def add(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    return inputs[0] + inputs[1], []


def chain(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    x, y, z = inputs
    return lib.array.tanh(x) * y + z, []


def nested(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    x, y = inputs
    return {"sum": x + y, "parts": [x * 2, (y * 3, x - y)]}, []


def _sum(x: Any, y: Any) -> Any:
    return x + y


def _direct_chain(lib: Library) -> Any:
    tanh = lib.array.tanh
    return lambda x, y, z: tanh(x) * y + z


def _direct_nested(lib: Library) -> Any:
    return lambda x0, x1: {"sum": x0 + x1, "parts": [x0 * 2, (x1 * 3, x0 - x1)]}


def update(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    return [], [state[0] * 0.5 + inputs[0]]


def perceptron(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    x, target = inputs

    def loss(parameters: Tensors) -> Any:
        w1, b1, w2, b2 = parameters
        difference = lib.array.tanh(x @ w1 + b1) @ w2 + b2 - target
        return lib.array.mean(difference * difference)

    value, gradients = lib.value_and_gradients(loss, state)
    return [value, *gradients], []


def perceptron_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    (x, target), (w1, b1, w2, b2) = inputs, state
    h = np.tanh(x @ w1 + b1)
    difference = h @ w2 + b2 - target
    g = difference * np.float32(2 / difference.size)
    gh = (g @ w2.T) * (1 - h * h)
    return [np.mean(difference * difference), x.T @ gh, gh.sum(0), h.T @ g, g.sum(0)], []


def programs() -> list[Program]:
    """Return the programs of the suite."""

    def small(count: int) -> Any:
        return lambda rng: ([normal(rng, 4) for _ in range(count)], [])

    def network(rng: np.random.Generator) -> Any:
        parameters = [normal(rng, 4, 8), normal(rng, 8), normal(rng, 8, 1), normal(rng, 1)]
        return [normal(rng, 4, 4), normal(rng, 4, 1)], parameters

    return [
        Program("add two arrays of 4", add, small(2), direct=lambda lib: _sum, is_small=True),
        Program("tanh(x) * y + z, arrays of 4", chain, small(3), direct=_direct_chain),
        Program("two keywords, four outputs in a dict", nested, small(2), direct=_direct_nested, keywords=True),
        Program("update of a state of 4", update, lambda rng: ([normal(rng, 4)], [normal(rng, 4)])),
        Program("MLP 4-8-1, batch 4, loss and gradients", perceptron, network, perceptron_by_hand, is_small=True),
    ]
