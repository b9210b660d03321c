"""Peers that run the same programs, for comparison: jax, where it is installed (the extra `bench` brings it)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.workloads import Library, Workload

try:
    import jax
except ImportError:
    jax = None

Array = np.ndarray[Any, Any]

NO_WORK = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}
"""Instructions of XLA's that only name or arrange values."""


@dataclass(frozen=True)
class Peer:
    """A compiled program of a peer: what it launches and moves, and how to run it."""

    kernels: int
    bytes: int
    flops: int
    results: Sequence[Array]
    run: Callable[[], object]


def version() -> str | None:
    """Return the version of jax, None where there is none."""
    return None if jax is None else str(jax.__version__)


def compile_with_jax(workload: Workload) -> Peer:
    """Return a program compiled by jax.jit; what it updates is donated, so that it may be updated in place."""
    library = Library(jax.numpy, jax.nn.softmax, _gelu, _cross_entropy, _value_and_gradients)
    inputs, state = ([jax.numpy.asarray(a) for a in arrays] for arrays in (workload.inputs, workload.state))
    _, new = jax.eval_shape(lambda i, s: workload.run(library, i, s), inputs, state)
    moving, kept = state[: len(new)], state[len(new) :]
    function = jax.jit(lambda i, moving, kept: workload.run(library, i, [*moving, *kept]), donate_argnums=1)
    compiled = function.lower(inputs, moving, kept).compile()
    cost = compiled.cost_analysis()
    run = _Run(compiled, inputs, moving, kept)
    results = [np.asarray(a) for a in run()]
    return Peer(launches(compiled.as_text()), int(cost["bytes accessed"]), int(cost["flops"]), results, run)


class _Run:
    """Calls of a program, each on the state that the one before has left."""

    def __init__(self, compiled: Any, inputs: list[Any], moving: list[Any], kept: list[Any]) -> None:
        self.compiled, self.inputs, self.moving, self.kept = compiled, inputs, moving, kept

    def __call__(self) -> list[Any]:
        outputs, self.moving = self.compiled(self.inputs, self.moving, self.kept)
        return jax.block_until_ready([*outputs, *self.moving])


def _gelu(x: Any) -> Any:
    return jax.nn.gelu(x, approximate=False)


def _cross_entropy(scores: Any, labels: Any) -> Any:
    chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1)
    return -jax.numpy.mean(chosen)


def _value_and_gradients(f: Callable[[Any], Any], tensors: Any) -> Any:
    return jax.value_and_grad(f)(list(tensors))


def launches(hlo: str) -> int:
    """Return how many instructions of an optimised HLO program do work: fusions, products, calls and the like.

    >>> launches("ENTRY %main {\\n  %p = f32[2]{0} parameter(0)\\n  ROOT %f = f32[2]{0} fusion(%p), kind=kLoop\\n}")
    1
    """
    entry = re.sub(r"/\*.*?\*/", "", hlo[hlo.index("ENTRY") :])
    operations = re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = (?:\([^=]*?\)|\S+) ([a-z][\w-]*)\(", entry, re.MULTILINE)
    return sum(operation not in NO_WORK for operation in operations)
