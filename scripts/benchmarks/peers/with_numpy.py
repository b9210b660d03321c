"""NumPy, as written by hand: the program itself where no derivative is needed, else what its author derived."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from scripts.benchmarks.library import Array, Library, Peer, Prepared, Program, flat, prepared

try:
    from scipy.special import erf
except ImportError:
    erf = None


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def logsumexp(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis=axis)


def cross_entropy(scores: Array, labels: Array) -> Array:
    chosen = np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    return np.mean(logsumexp(scores, axis=-1) - chosen)


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + erf(x * np.float32(0.5**0.5)))


def scatter_add(target: Array, indices: Array, updates: Array) -> Array:
    result = target.copy()
    np.add.at(result, indices, updates)
    return result


def scan(body: Any, init: Any, xs: Any) -> tuple[Any, Any]:
    carry, rows = init, []
    for x in xs:
        carry, y = body(carry, x)
        rows.append(y)
    return carry, None if rows[0] is None else np.stack(rows)


NN = SimpleNamespace(
    relu=lambda x: np.maximum(x, 0),
    sigmoid=lambda x: 1 / (1 + np.exp(-x)),
    softmax=softmax,
    logsumexp=logsumexp,
    cross_entropy=cross_entropy,
    gather=lambda x, indices: x[indices],
    scatter_add=scatter_add,
    **({"gelu": gelu, "erf": erf} if erf is not None else {}),
)
LIBRARY = Library(np, NN, scan=scan)


class NumPy(Peer):
    library, version = LIBRARY, np.__version__

    def prepare(self, program: Program) -> Prepared:
        if program.direct is not None:
            return prepared(program, program.direct(LIBRARY), program.inputs, read_outputs)
        state, by_hand = list(program.state), program.by_hand

        def call(*inputs: Array) -> tuple[Any, Sequence[Array]]:
            outputs, new = by_hand(inputs, state) if by_hand is not None else program.run(LIBRARY, inputs, state)
            state[: len(new)] = new
            return outputs, new

        return prepared(program, call, program.inputs, read_outputs)


def read_outputs(result: Any) -> list[Array]:
    return [np.asarray(a) for a in flat(result)]
