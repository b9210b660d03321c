"""Programs to measure: what they compute, written once for graphc and its peers, on which arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx

Array = np.ndarray[Any, Any]
Tensors = Sequence[Any]

RATE, BETA1, BETA2, EPS = 0.01, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Library:
    """What programs are written with: array functions by the names of the array API, and what it does not name.

    value_and_gradients(f, tensors) is f(tensors), a scalar, and its gradients.
    """

    array: Any
    softmax: Callable[[Any], Any]
    gelu: Callable[[Any], Any]
    cross_entropy: Callable[[Any, Any], Any]
    value_and_gradients: Callable[[Callable[[Tensors], Any], Tensors], tuple[Any, Tensors]]


def _value_and_gradients(f: Callable[[Tensors], Any], tensors: Tensors) -> tuple[Any, Tensors]:
    value = f(tensors)
    return value, gx.gradients(value, list(tensors))


GRAPHC = Library(gx, gx.nn.softmax, gx.nn.gelu, gx.nn.cross_entropy, _value_and_gradients)


@dataclass(frozen=True)
class Workload:
    """A program: run(library, inputs, state) -> (outputs, new state); state that stays the same is left out."""

    name: str
    run: Callable[[Library, Tensors, Tensors], tuple[Tensors, Tensors]]
    inputs: tuple[Array, ...]
    state: tuple[Array, ...] = ()

    def build(self) -> tuple[list[gx.Tensor], list[gx.Tensor], dict[gx.Tensor, gx.Tensor]]:
        """Return the inputs, outputs and updates of the program as a graph."""
        inputs = [gx.placeholder(a.shape, a.dtype, name=f"x{k}") for k, a in enumerate(self.inputs)]
        state = [gx.variable(a, name=f"s{k}") for k, a in enumerate(self.state)]
        outputs, new = self.run(GRAPHC, inputs, state)
        return inputs, list(outputs), dict(zip(state, new, strict=False))


# Kernels.


def softmax(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    return [lib.softmax(inputs[0])], []


def layer_norm(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    (x,), (weight, bias) = inputs, state
    centred = x - lib.array.mean(x, axis=-1, keepdims=True)
    variance = lib.array.mean(centred * centred, axis=-1, keepdims=True)
    return [centred / lib.array.sqrt(variance + 1e-5) * weight + bias], []


def cross_entropy_gradient(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    scores, labels = inputs
    value, (gradient,) = lib.value_and_gradients(lambda s: lib.cross_entropy(s[0], labels), [scores])
    return [value, gradient], []


def gelu_step(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    x, target = inputs

    def loss(parameters: Tensors) -> Any:
        w1, b1, w2, b2 = parameters
        difference = lib.gelu(x @ w1 + b1) @ w2 + b2 - target
        return lib.array.mean(difference * difference)

    value, gradients = lib.value_and_gradients(loss, state)
    return [value], [p - RATE * g for p, g in zip(state, gradients, strict=True)]


def adam(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    """Update parameters, first and second moments by given gradients; the last state counts the steps."""
    count = len(inputs)
    *arrays, step = state
    new_step = step + 1
    rate = RATE * lib.array.sqrt(1 - BETA2**new_step) / (1 - BETA1**new_step)
    new: list[list[Any]] = [[], [], []]
    for g, p, m, v in zip(inputs, arrays[:count], arrays[count : 2 * count], arrays[2 * count :], strict=True):
        first = BETA1 * m + (1 - BETA1) * g
        second = BETA2 * v + (1 - BETA2) * g * g
        for column, value in zip(new, (p - rate * first / (lib.array.sqrt(second) + EPS), first, second), strict=True):
            column.append(value)
    return [], [*new[0], *new[1], *new[2], new_step]


HEADS = 4


def _attention(lib: Library, x: Any, weights: Tensors) -> Any:
    batch, length, width = x.shape
    wq, wk, wv, wo = weights

    def heads(w: Any) -> Any:
        return lib.array.permute_dims(lib.array.reshape(x @ w, (batch, length, HEADS, width // HEADS)), (0, 2, 1, 3))

    scores = heads(wq) @ lib.array.permute_dims(heads(wk), (0, 1, 3, 2)) / math.sqrt(width // HEADS)
    mixed = lib.array.permute_dims(lib.softmax(scores) @ heads(wv), (0, 2, 1, 3))
    return lib.array.reshape(mixed, (batch, length, width)) @ wo


def attention(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    return [_attention(lib, inputs[0], state)], []


def attention_gradient(lib: Library, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    def loss(weights: Tensors) -> Any:
        y = _attention(lib, inputs[0], weights)
        return lib.array.mean(y * y)

    value, gradients = lib.value_and_gradients(loss, state)
    return [value, *gradients], []


def workloads() -> list[Workload]:
    """Return the programs of the report, in float32, on random arrays that are always the same."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    shapes = [shape for k in range(5) for shape in ((256, 256), (256,), (64, 384 + 16 * k), (784, 32), (10 + k,))]
    shapes += [(128, 100 + k) for k in range(12)] + [(100 + k,) for k in range(13)]
    weights = tuple([normal(256, 256, scale=1 / 16) for _ in range(4)])
    return [
        Workload("softmax 1024 x 1024", softmax, (normal(1024, 1024),)),
        Workload("layer norm 1024 x 768", layer_norm, (normal(1024, 768),), (normal(768), normal(768))),
        Workload(
            "cross-entropy and gradient, 512 x 1000",
            cross_entropy_gradient,
            (normal(512, 1000), rng.integers(0, 1000, 512).astype(np.int32)),
        ),
        Workload(
            "GELU MLP training step, 64 x 256 x 1024 x 256",
            gelu_step,
            (normal(64, 256), normal(64, 256)),
            (normal(256, 1024, scale=1 / 16), normal(1024), normal(1024, 256, scale=1 / 32), normal(256)),
        ),
        Workload(
            "Adam over 50 parameters",
            adam,
            tuple([normal(*s) for s in shapes]),
            (
                *[normal(*s) for s in shapes],
                *[normal(*s, scale=0.1) for s in shapes],
                *[np.square(normal(*s, scale=0.1)) for s in shapes],
                np.zeros((), np.float32),
            ),
        ),
        Workload("attention, 4 heads, 8 x 64 x 256", attention, (normal(8, 64, 256),), weights),
        Workload("attention, value and gradients", attention_gradient, (normal(8, 64, 256),), weights),
    ]


# Graphs of any size.

Built = tuple[list[gx.Tensor], Any, dict[gx.Tensor, gx.Tensor]]


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
