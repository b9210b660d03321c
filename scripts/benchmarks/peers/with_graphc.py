"""graphc: compiled, and its eager backend."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import graphc as gx
from scripts.benchmarks.library import Array, Library, Peer, Prepared, Program, Tensors, flat, prepared

Built = tuple[list[gx.Tensor], Any, dict[gx.Tensor, gx.Tensor]]


def _value_and_gradients(f: Callable[[Tensors], Any], tensors: Tensors) -> tuple[Any, Tensors]:
    value = f(tensors)
    return value, gx.gradients(value, list(tensors))


def _descended(parameters: Tensors, gradients: Tensors, rate: float) -> Tensors:
    return [p - rate * g for p, g in zip(parameters, gradients, strict=True)]


def _pushforward(f: Callable[[Tensors], Any], tensors: Tensors, tangents: Tensors) -> Any:
    return gx.pushforward(f(tensors), list(tensors), list(tangents))


def _hessian_vector(f: Callable[[Tensors], Any], tensors: Tensors, vectors: Tensors) -> Tensors:
    gradients = gx.gradients(f(tensors), list(tensors))
    return gx.pushforward(gradients, list(tensors), list(vectors))


def library() -> Library:
    nn = SimpleNamespace(**{name: getattr(gx.nn, name) for name in dir(gx.nn) if not name.startswith("_")})
    nn.erf, nn.logsumexp = gx.erf, gx.logsumexp
    nn.scatter_add = lambda target, indices, updates: target.at[indices].add(updates)
    nn.gather = lambda x, indices: x[indices]
    return Library(gx, nn, _value_and_gradients, _descended, gx.scan, _pushforward, _hessian_vector)


LIBRARY = library()


def build(program: Program, is_widened: bool = False) -> Built:
    """Return the inputs, outputs and updates of a program as a graph; is_widened: float32 becomes float64."""
    inputs, state = ([widen(a) if is_widened else a for a in arrays] for arrays in program.arrays)
    placeholders = [gx.placeholder(a.shape, a.dtype, name=f"x{k}") for k, a in enumerate(inputs)]
    variables = [gx.variable(a, name=f"s{k}") for k, a in enumerate(state)]
    outputs, new = program.run(LIBRARY, placeholders, variables)
    return placeholders, outputs, dict(zip(variables, new, strict=False))


def widen(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


class Graphc(Peer):
    def __init__(self, backend: str = "llvm", is_widened: bool = False) -> None:
        self.library, self.version = LIBRARY, gx.__version__
        self.backend, self.is_widened = backend, is_widened

    def prepare(self, program: Program) -> Prepared:
        inputs, outputs, updates = build(program, self.is_widened)
        run = gx.compile(inputs, outputs, updates=updates, backend=self.backend)
        arrays = [widen(a) if self.is_widened else a for a in program.inputs]

        def read(result: Any) -> list[Array]:
            return [np.asarray(a) for a in (*flat(result), *[v.value for v in updates])]

        facts = {"updates": len(updates), **(self._facts(run) if self.backend == "llvm" else {})}
        return prepared(program, run, arrays, read, facts)

    def _facts(self, run: gx.Executable) -> dict[str, Any]:
        cost = run.cost()
        names = ("flops", "transcendentals", "bytes", "arena_bytes", "kernels", "launches")
        return {"compile seconds": run.compile_seconds, **{name: getattr(cost, name) for name in names}}
