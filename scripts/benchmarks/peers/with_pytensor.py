"""PyTensor, compiled through Numba."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import hessian_vector_product
from pytensor.tensor.special import log_softmax, softmax

from scripts.benchmarks.library import Array, Library, Peer, Prepared, Program, Tensors, flat, prepared

MODE = "NUMBA"

NAMES = ["exp", "log", "log1p", "sqrt", "tanh", "sin", "cos", "abs", "where", "square", "reshape", "einsum", "outer"]
NAMES += ["maximum", "sum", "mean", "max", "matrix_transpose", "expand_dims", "take_along_axis"]
"""Functions that have the array API's name and arguments."""

ARRAY = SimpleNamespace(
    **{name: getattr(pt, name) for name in NAMES},
    permute_dims=lambda x, axes: x.transpose(axes),
    concat=lambda xs, axis: pt.concatenate(xs, axis=axis),
    zeros=lambda shape, dtype: pt.zeros(shape, dtype=dtype),
    cumulative_sum=lambda x, axis: pt.cumsum(x, axis=axis),
    sort=lambda x, axis: pt.sort(x, axis=axis),
    argmax=lambda x, axis: pt.argmax(x, axis=axis),
)


def _cross_entropy(scores: Any, labels: Any) -> Any:
    rows = pt.arange(labels.type.shape[0])
    return -pt.mean(log_softmax(scores, axis=-1)[rows, labels])


NN = SimpleNamespace(
    relu=lambda x: pt.maximum(x, 0),
    sigmoid=pt.sigmoid,
    gelu=lambda x: 0.5 * x * (1 + pt.erf(x * np.float32(0.5**0.5))),
    erf=pt.erf,
    softmax=lambda x, axis=-1: softmax(x, axis=axis),
    logsumexp=lambda x, axis, keepdims=False: pt.logsumexp(x, axis=axis, keepdims=keepdims),
    cross_entropy=_cross_entropy,
    gather=lambda x, indices: x[indices],
    scatter_add=lambda target, indices, updates: pt.inc_subtensor(target[indices], updates),
)


def _value_and_gradients(f: Callable[[Tensors], Any], tensors: Tensors) -> tuple[Any, Tensors]:
    value = f(tensors)
    return value, pytensor.grad(value, list(tensors))


def _descended(parameters: Tensors, gradients: Tensors, rate: float) -> Tensors:
    return [p - np.asarray(rate, p.dtype) * g for p, g in zip(parameters, gradients, strict=True)]


def _scan(body: Any, init: Any, xs: Any) -> tuple[Any, Any]:
    def step(x: Any, carry: Any) -> list[Any]:
        return list(body(carry, x))

    carries, ys = pytensor.scan(step, sequences=[xs], outputs_info=[init, None], return_updates=False)
    return carries[-1], ys


def _hessian_vector(f: Callable[[Tensors], Any], tensors: Tensors, vectors: Tensors) -> Tensors:
    result = hessian_vector_product(f(tensors), list(tensors), list(vectors))
    return list(result) if isinstance(result, (list, tuple)) else [result]


LIBRARY = Library(ARRAY, NN, _value_and_gradients, _descended, _scan, None, _hessian_vector)


class PyTensor(Peer):
    library, version = LIBRARY, pytensor.__version__

    def prepare(self, program: Program) -> Prepared:
        pytensor.config.floatX = "float32"
        inputs = [pt.tensor(f"x{k}", dtype=a.dtype, shape=a.shape) for k, a in enumerate(program.inputs)]
        state = [pytensor.shared(a.copy(), name=f"s{k}", shape=a.shape) for k, a in enumerate(program.state)]
        outputs, new = program.run(LIBRARY, inputs, state)
        updates = list(zip(state, [n.astype(s.dtype) for n, s in zip(new, state, strict=False)], strict=False))
        function = pytensor.function(inputs, flat(outputs), updates=updates, mode=MODE, trust_input=True)

        def read(result: Any) -> list[Array]:
            return [np.asarray(a) for a in (*flat(result), *[s.get_value() for s, _ in updates])]

        return prepared(program, function, program.inputs, read)
