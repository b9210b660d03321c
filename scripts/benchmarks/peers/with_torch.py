"""PyTorch: eager, and torch.compile."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F

from scripts.benchmarks.library import Array, Library, Peer, Prepared, Program, Tensors, flat, prepared


def _sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.sum(x) if axis is None else torch.sum(x, dim=axis, keepdim=keepdims)


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.mean(x) if axis is None else torch.mean(x, dim=axis, keepdim=keepdims)


NAMES = ["exp", "log", "log1p", "sqrt", "tanh", "sin", "cos", "abs", "where", "square", "reshape", "einsum", "outer"]
"""Functions that have the array API's name and arguments."""

ARRAY = SimpleNamespace(
    **{name: getattr(torch, name) for name in NAMES},
    maximum=lambda x, y: torch.maximum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, min=y),
    sum=_sum,
    mean=_mean,
    max=lambda x, axis, keepdims=False: torch.amax(x, dim=axis, keepdim=keepdims),
    permute_dims=torch.permute,
    matrix_transpose=lambda x: x.mT,
    expand_dims=lambda x, axis: torch.unsqueeze(x, axis),
    zeros=lambda shape, dtype: torch.zeros(shape, dtype=getattr(torch, dtype)),
    cumulative_sum=lambda x, axis: torch.cumsum(x, dim=axis),
    sort=lambda x, axis: torch.sort(x, dim=axis)[0],
    argmax=lambda x, axis: torch.argmax(x, dim=axis),
    take_along_axis=lambda x, indices, axis: torch.take_along_dim(x, indices, dim=axis),
    concat=torch.concat,
)


def _cross_entropy(scores: Any, labels: Any) -> Any:
    return F.cross_entropy(scores, labels)


NN = SimpleNamespace(
    relu=torch.relu,
    sigmoid=torch.sigmoid,
    gelu=F.gelu,
    erf=torch.erf,
    softmax=lambda x, axis=-1: torch.softmax(x, dim=axis),
    logsumexp=lambda x, axis, keepdims=False: torch.logsumexp(x, dim=axis, keepdim=keepdims),
    cross_entropy=_cross_entropy,
    layer_norm=lambda x, weight, bias, eps: F.layer_norm(x, x.shape[-1:], weight, bias, eps),
    conv2d=F.conv2d,
    max_pool2d=F.max_pool2d,
    avg_pool2d=F.avg_pool2d,
    gather=lambda x, indices: x[indices],
    scatter_add=lambda target, indices, updates: target.index_add(0, indices, updates),
)


def _scan(body: Any, init: Any, xs: Any) -> tuple[Any, Any]:
    carry, rows = init, []
    for x in xs.unbind(0):
        carry, y = body(carry, x)
        rows.append(y)
    return carry, None if rows[0] is None else torch.stack(rows)


def _descended(parameters: Tensors, gradients: Tensors, rate: float) -> Tensors:
    for p, g in zip(parameters, gradients, strict=True):
        p.sub_(g, alpha=rate)
    return list(parameters)


def _eager_gradients(f: Callable[[Tensors], Any], tensors: Tensors) -> tuple[Any, Tensors]:
    leaves = [t if t.requires_grad else t.detach().requires_grad_() for t in tensors]
    with torch.enable_grad():
        value = f(leaves)
    return value.detach(), torch.autograd.grad(value, leaves)


def _compiled_gradients(f: Callable[[Tensors], Any], tensors: Tensors) -> tuple[Any, Tensors]:
    gradients, value = torch.func.grad_and_value(f)(list(tensors))
    return value, gradients


def _pushforward(f: Callable[[Tensors], Any], tensors: Tensors, tangents: Tensors) -> Any:
    return torch.func.jvp(f, (list(tensors),), (list(tangents),))[1]


def _eager_hessian_vector(f: Callable[[Tensors], Any], tensors: Tensors, vectors: Tensors) -> Tensors:
    leaves = [t.detach().requires_grad_() for t in tensors]
    with torch.enable_grad():
        gradients = torch.autograd.grad(f(leaves), leaves, create_graph=True)
    return torch.autograd.grad(gradients, leaves, vectors)


def _compiled_hessian_vector(f: Callable[[Tensors], Any], tensors: Tensors, vectors: Tensors) -> Tensors:
    return torch.func.jvp(torch.func.grad(f), (list(tensors),), (list(vectors),))[1]


EAGER = Library(ARRAY, NN, _eager_gradients, _descended, _scan, _pushforward, _eager_hessian_vector)
COMPILED = Library(ARRAY, NN, _compiled_gradients, _descended, _scan, _pushforward, _compiled_hessian_vector)


class Torch(Peer):
    version = torch.__version__

    def __init__(self, compiled: bool) -> None:
        torch.set_grad_enabled(False)  # but for the functions below that ask for it
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self.compiled, self.library = compiled, COMPILED if compiled else EAGER

    def prepare(self, program: Program) -> Prepared:
        inputs, state = ([torch.tensor(a) for a in arrays] for arrays in program.arrays)
        _, new = program.run(self.library, [t.clone() for t in inputs], [t.clone() for t in state])
        moving = [] if self.compiled else state[: len(new)]
        for tensor in moving:
            tensor.requires_grad_(tensor.is_floating_point())
        call = self._call(program, state, len(new))

        def read(result: Any) -> list[Array]:
            return [t.detach().numpy() for t in (*flat(result), *state[: len(new)])]

        return prepared(program, call, inputs, read)

    def _call(self, program: Program, state: list[Any], moving: int) -> Callable[..., Any]:
        def run(*inputs: Any, **keywords: Any) -> Any:
            outputs, new = program.run(self.library, [*inputs, *keywords.values()], state)
            for old, value in zip(state[:moving], new, strict=True):
                if value is not old:
                    old.copy_(value)
            return outputs

        called = program.direct(self.library) if program.direct is not None else run
        if not self.compiled:
            return called
        # Code of its own: what is compiled hangs on the code object, and only so many variants of one are kept.
        code = called.__code__.replace()
        own = FunctionType(code, called.__globals__, closure=called.__closure__)
        return torch.compile(own, fullgraph=True, dynamic=False)
