"""jax.jit."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scripts.benchmarks.library import Array, Library, Peer, Prepared, Program, Tensors, flat, prepared

NO_WORK = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}
"""Instructions of XLA's that only name or arrange values."""

jax.config.update("jax_enable_x64", True)  # float64 programs are float64, float32 ones stay float32


def _cross_entropy(scores: Any, labels: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1))


def _conv2d(x: Any, w: Any, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1) -> Any:
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), [(padding, padding)] * 2, rhs_dilation=(dilation, dilation), feature_group_count=groups
    )


def _max_pool2d(x: Any, size: int) -> Any:
    window = (1, 1, size, size)
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")


def _avg_pool2d(x: Any, size: int) -> Any:
    window = (1, 1, size, size)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, window, "VALID") / (size * size)


def _descended(parameters: Tensors, gradients: Tensors, rate: float) -> Tensors:
    return [p - rate * g for p, g in zip(parameters, gradients, strict=True)]


def _value_and_gradients(f: Callable[[Tensors], Any], tensors: Tensors) -> tuple[Any, Tensors]:
    return jax.value_and_grad(f)(list(tensors))


def _pushforward(f: Callable[[Tensors], Any], tensors: Tensors, tangents: Tensors) -> Any:
    return jax.jvp(f, (list(tensors),), (list(tangents),))[1]


def _hessian_vector(f: Callable[[Tensors], Any], tensors: Tensors, vectors: Tensors) -> Tensors:
    return jax.jvp(jax.grad(f), (list(tensors),), (list(vectors),))[1]


NN = SimpleNamespace(
    relu=jax.nn.relu,
    sigmoid=jax.nn.sigmoid,
    gelu=lambda x: jax.nn.gelu(x, approximate=False),
    erf=jax.lax.erf,
    softmax=jax.nn.softmax,
    logsumexp=jax.nn.logsumexp,
    cross_entropy=_cross_entropy,
    conv2d=_conv2d,
    max_pool2d=_max_pool2d,
    avg_pool2d=_avg_pool2d,
    gather=lambda x, indices: x[indices],
    scatter_add=lambda target, indices, updates: target.at[indices].add(updates),
)
LIBRARY = Library(jnp, NN, _value_and_gradients, _descended, jax.lax.scan, _pushforward, _hessian_vector)


class _Run:
    """Calls of a program, each on the state that the one before has left; what it updates is donated."""

    def __init__(self, program: Program) -> None:
        inputs, state = ([jnp.asarray(a) for a in arrays] for arrays in program.arrays)
        _, new = jax.eval_shape(lambda i, s: program.run(LIBRARY, i, s), inputs, state)
        self.inputs, self.moving, self.kept = inputs, state[: len(new)], state[len(new) :]
        self.function = jax.jit(self._program(program), donate_argnums=0)

    def _program(self, program: Program) -> Callable[..., Any]:
        def run(moving: Tensors, kept: Tensors, *inputs: Any, **keywords: Any) -> Any:
            return program.run(LIBRARY, [*inputs, *keywords.values()], [*moving, *kept])

        return run

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        result = self.function(self.moving, self.kept, *inputs, **keywords)
        self.moving = result[1]
        return jax.block_until_ready(result)


class Jax(Peer):
    library, version = LIBRARY, jax.__version__

    def prepare(self, program: Program) -> Prepared:
        run = _Run(program)
        call: Callable[..., Any] = run
        if not program.state:  # nothing between the user and jax.jit
            function = jax.jit(lambda *inputs, **k: program.run(LIBRARY, [*inputs, *k.values()], [])[0])

            def call(*inputs: Any, **keywords: Any) -> Any:
                return jax.block_until_ready(function(*inputs, **keywords))

        def read(result: Any) -> list[Array]:
            return [np.asarray(a) for a in flat(result)]

        return prepared(program, call, run.inputs, read)


def counted(program: Program) -> dict[str, int]:
    """Return what jax's compiled program launches, moves and computes, by its own cost analysis."""
    run = _Run(program)
    compiled = run.function.lower(run.moving, run.kept, *run.inputs).compile()
    cost = compiled.cost_analysis()
    bytes, flops = int(cost["bytes accessed"]), int(cost["flops"])
    return {"launches": launches(compiled.as_text()), "bytes": bytes, "flops": flops}


def launches(hlo: str) -> int:
    """Return how many instructions of an optimised HLO program do work: fusions, products, calls and the like.

    >>> launches("ENTRY %main {\\n  %p = f32[2]{0} parameter(0)\\n  ROOT %f = f32[2]{0} fusion(%p), kind=kLoop\\n}")
    1
    """
    entry = re.sub(r"/\*.*?\*/", "", hlo[hlo.index("ENTRY") :])
    operations = re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = (?:\([^=]*?\)|\S+) ([a-z][\w-]*)\(", entry, re.MULTILINE)
    return sum(operation not in NO_WORK for operation in operations)
