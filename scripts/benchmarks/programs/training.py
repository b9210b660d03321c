"""Whole training steps in float32: loss, gradients, new parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from scripts.benchmarks.library import Array, Library, Program, Tensors, normal

Result = tuple[Any, Tensors]
RATE = 1e-3
ADAM_RATE, BETA1, BETA2, EPS = 0.01, 0.9, 0.999, 1e-8
HEADS = 4


def descent(loss: Callable[[Library, Tensors, Tensors], Any]) -> Callable[[Library, Tensors, Tensors], Result]:
    """Return the step of gradient descent on loss(library, inputs, parameters)."""

    def run(lib: Library, inputs: Tensors, state: Tensors) -> Result:
        value, gradients = lib.value_and_gradients(lambda parameters: loss(lib, inputs, parameters), state)
        return [value], lib.descended(state, gradients, RATE)

    return run


# Networks of plain layers: parameters are w, b, w, b, ...


def _network(lib: Library, inputs: Tensors, parameters: Tensors) -> Any:
    x, labels = inputs
    *hidden, w, b = parameters
    for k in range(0, len(hidden), 2):
        x = lib.nn.relu(x @ hidden[k] + hidden[k + 1])
    return lib.nn.cross_entropy(x @ w + b, labels)


def _network_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    x, labels = inputs
    weights, biases = state[::2], state[1::2]
    layers = [x]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        layers.append(np.maximum(layers[-1] @ w + b, 0))
    scores = layers[-1] @ weights[-1] + biases[-1]
    rows = np.arange(len(labels))
    g = np.exp(scores - scores.max(1, keepdims=True))
    g /= g.sum(1, keepdims=True)
    value = -np.mean(np.log(g[rows, labels]))
    g[rows, labels] -= 1
    g /= np.float32(len(labels))
    new: list[Array] = []
    for k in reversed(range(len(weights))):
        gw, gb = layers[k].T @ g, g.sum(0)
        if k:
            g = (g @ weights[k].T) * (layers[k] > 0)
        new = [weights[k] - np.float32(RATE) * gw, biases[k] - np.float32(RATE) * gb, *new]
    return [value], new


def network(name: str, batch: int, *widths: int, is_small: bool = False) -> Program:
    def make(rng: np.random.Generator) -> Any:
        parameters = []
        for n, m in pairwise(widths):
            parameters += [normal(rng, n, m, scale=math.sqrt(2 / n)), normal(rng, m, scale=0.1)]
        return [normal(rng, batch, widths[0]), rng.integers(0, widths[-1], batch)], parameters

    return Program(name, descent(_network), make, _network_by_hand, is_small=is_small)


# The network of the examples, wider, with gelu and a squared error.


def _gelu_loss(lib: Library, inputs: Tensors, parameters: Tensors) -> Any:
    x, target = inputs
    w1, b1, w2, b2 = parameters
    difference = lib.nn.gelu(x @ w1 + b1) @ w2 + b2 - target
    return lib.array.mean(difference * difference)


def _gelu_arrays(rng: np.random.Generator) -> Any:
    parameters = [normal(rng, 256, 1024, scale=1 / 16), normal(rng, 1024)]
    parameters += [normal(rng, 1024, 256, scale=1 / 32), normal(rng, 256)]
    return [normal(rng, 64, 256), normal(rng, 64, 256)], parameters


# LeNet.


def _lenet_loss(lib: Library, inputs: Tensors, parameters: Tensors) -> Any:
    x, labels = inputs
    c1, b1, c2, b2, *dense = parameters
    x = lib.nn.max_pool2d(lib.nn.relu(lib.nn.conv2d(x, c1, padding=2) + b1), 2)
    x = lib.nn.max_pool2d(lib.nn.relu(lib.nn.conv2d(x, c2) + b2), 2)
    return _network(lib, [lib.array.reshape(x, (len_of(x), 400)), labels], dense)


def len_of(x: Any) -> int:
    return int(x.shape[0])


def _lenet_arrays(rng: np.random.Generator) -> Any:
    parameters = [normal(rng, 6, 1, 5, 5, scale=0.2), normal(rng, 6, 1, 1, scale=0.1)]
    parameters += [normal(rng, 16, 6, 5, 5, scale=0.1), normal(rng, 16, 1, 1, scale=0.1)]
    for n, m in ((400, 120), (120, 84), (84, 10)):
        parameters += [normal(rng, n, m, scale=math.sqrt(2 / n)), normal(rng, m, scale=0.1)]
    return [normal(rng, 64, 1, 28, 28), rng.integers(0, 10, 64)], parameters


# Attention, and a transformer block of it.


def _attention(lib: Library, x: Any, sizes: tuple[int, int, int], weights: Tensors) -> Any:
    batch, length, width = sizes
    wq, wk, wv, wo = weights

    def heads(w: Any) -> Any:
        return lib.array.permute_dims(lib.array.reshape(x @ w, (batch, length, HEADS, width // HEADS)), (0, 2, 1, 3))

    scores = heads(wq) @ lib.array.permute_dims(heads(wk), (0, 1, 3, 2)) / math.sqrt(width // HEADS)
    mixed = lib.array.permute_dims(lib.nn.softmax(scores) @ heads(wv), (0, 2, 1, 3))
    return lib.array.reshape(mixed, (batch, length, width)) @ wo


SIZES = (8, 64, 256)


def attention(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    return [_attention(lib, inputs[0], SIZES, state)], []


def attention_gradients(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    def loss(weights: Tensors) -> Any:
        y = _attention(lib, inputs[0], SIZES, weights)
        return lib.array.mean(y * y)

    value, gradients = lib.value_and_gradients(loss, state)
    return [value, *gradients], []


def _attention_arrays(rng: np.random.Generator) -> Any:
    return [normal(rng, *SIZES)], [normal(rng, SIZES[2], SIZES[2], scale=1 / 16) for _ in range(4)]


def _norm(lib: Library, x: Any, weight: Any, bias: Any) -> Any:
    centred = x - lib.array.mean(x, axis=-1, keepdims=True)
    variance = lib.array.mean(centred * centred, axis=-1, keepdims=True)
    return centred / lib.array.sqrt(variance + 1e-5) * weight + bias


def _block_loss(sizes: tuple[int, int, int]) -> Callable[[Library, Tensors, Tensors], Any]:
    def loss(lib: Library, inputs: Tensors, parameters: Tensors) -> Any:
        x, target = inputs
        g1, s1, *weights, g2, s2, w1, b1, w2, b2 = parameters
        x = x + _attention(lib, _norm(lib, x, g1, s1), sizes, weights)
        x = x + lib.nn.gelu(_norm(lib, x, g2, s2) @ w1 + b1) @ w2 + b2
        return lib.array.mean(lib.array.square(x - target))

    return loss


def _block_arrays(sizes: tuple[int, int, int]) -> Any:
    d = sizes[2]

    def make(rng: np.random.Generator) -> Any:
        ones, zeros = np.ones(d, np.float32), np.zeros(d, np.float32)
        parameters = [ones, zeros, *[normal(rng, d, d, scale=d**-0.5) for _ in range(4)], ones, zeros]
        parameters += [normal(rng, d, 4 * d, scale=d**-0.5), np.zeros(4 * d, np.float32)]
        parameters += [normal(rng, 4 * d, d, scale=0.5 * d**-0.5), zeros]
        return [normal(rng, *sizes), normal(rng, *sizes)], parameters

    return make


# A recurrent network.


def _recurrent_loss(hidden: int) -> Callable[[Library, Tensors, Tensors], Any]:
    def loss(lib: Library, inputs: Tensors, parameters: Tensors) -> Any:
        xs, start, target = inputs
        wx, wh, b, wn, un, bn = parameters

        def body(h: Any, x: Any) -> tuple[Any, Any]:
            gates = lib.nn.sigmoid(x @ wx + h @ wh + b)
            r, z = gates[:, :hidden], gates[:, hidden:]
            n = lib.array.tanh(x @ wn + bn + r * (h @ un))
            h = n + z * (h - n)
            return h, h

        last, hs = lib.scan(body, start, xs)
        return lib.array.mean(lib.array.square(last - target)) + 1e-3 * lib.array.mean(lib.array.square(hs))

    return loss


def _recurrent_arrays(steps: int, batch: int, width: int, hidden: int) -> Any:
    def make(rng: np.random.Generator) -> Any:
        a, c = width**-0.5, hidden**-0.5
        parameters = [normal(rng, width, 2 * hidden, scale=a), normal(rng, hidden, 2 * hidden, scale=c)]
        parameters += [np.zeros(2 * hidden, np.float32), normal(rng, width, hidden, scale=a)]
        parameters += [normal(rng, hidden, hidden, scale=c), np.zeros(hidden, np.float32)]
        start = np.zeros((batch, hidden), np.float32)
        return [normal(rng, steps, batch, width), start, normal(rng, batch, hidden)], parameters

    return make


# An optimiser.


def adam(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    """Update parameters, first and second moments by given gradients; the last state counts the steps."""
    count = len(inputs)
    *arrays, step = state
    new_step = step + 1
    rate = ADAM_RATE * lib.array.sqrt(1 - BETA2**new_step) / (1 - BETA1**new_step)
    new: list[list[Any]] = [[], [], []]
    for g, p, m, v in zip(inputs, arrays[:count], arrays[count : 2 * count], arrays[2 * count :], strict=True):
        first = BETA1 * m + (1 - BETA1) * g
        second = BETA2 * v + (1 - BETA2) * g * g
        for column, value in zip(new, (p - rate * first / (lib.array.sqrt(second) + EPS), first, second), strict=True):
            column.append(value)
    return [], [*new[0], *new[1], *new[2], new_step]


def _adam_arrays(rng: np.random.Generator) -> Any:
    shapes = [shape for k in range(5) for shape in ((256, 256), (256,), (64, 384 + 16 * k), (784, 32), (10 + k,))]
    shapes += [(128, 100 + k) for k in range(12)] + [(100 + k,) for k in range(13)]
    gradients = [normal(rng, *s) for s in shapes]
    first = [normal(rng, *s, scale=0.1) for s in shapes]
    second = [np.square(normal(rng, *s, scale=0.1)) for s in shapes]
    return gradients, [*[normal(rng, *s) for s in shapes], *first, *second, np.zeros((), np.float32)]


def programs() -> list[Program]:
    """Return the programs of the suite."""
    tiny, block = (2, 8, 16), (8, 64, 256)
    return [
        network("logistic regression 64-10, batch 32", 32, 64, 10, is_small=True),
        network("logistic regression 784-10, batch 128", 128, 784, 10),
        network("MLP 4-8-2, batch 32", 32, 4, 8, 2),
        network("MLP 64-64-10, batch 32", 32, 64, 64, 10, is_small=True),
        network("MLP 784-256-10, batch 128", 128, 784, 256, 10),
        network("MLP 784-512-512-10, batch 256", 256, 784, 512, 512, 10),
        network("MLP 1024-4096-1024, batch 64", 64, 1024, 4096, 1024),
        network("32 layers of 32, batch 64", 64, *[32] * 33),
        Program("GELU MLP 256-1024-256, batch 64", descent(_gelu_loss), _gelu_arrays),
        Program(
            "LeNet, batch 64",
            descent(_lenet_loss),
            _lenet_arrays,
            needs=("nn.conv2d", "nn.max_pool2d"),
        ),
        Program("attention, 4 heads, 8 x 64 x 256, forward", attention, _attention_arrays),
        Program("attention, 4 heads, 8 x 64 x 256, gradients", attention_gradients, _attention_arrays),
        Program("transformer block 2 x 8 x 16", descent(_block_loss(tiny)), _block_arrays(tiny)),
        Program("transformer block 8 x 64 x 256", descent(_block_loss(block)), _block_arrays(block)),
        Program(
            "GRU 16 steps, batch 16, 16 to 32",
            descent(_recurrent_loss(32)),
            _recurrent_arrays(16, 16, 16, 32),
        ),
        Program(
            "GRU 64 steps, batch 32, 64 to 128",
            descent(_recurrent_loss(128)),
            _recurrent_arrays(64, 32, 64, 128),
        ),
        Program("Adam over 50 parameters", adam, _adam_arrays),
    ]
