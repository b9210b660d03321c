"""Forward and reverse mode of random programs are adjoint: <J u, v> = <u, J^T v>, through loops and branches too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphc.autodiff import pullback, pushforward
from graphc.eager import evaluate
from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Node, placeholder
from tests.random_graphs import RandomChoices, random_program

Array = np.ndarray[Any, Any]


def like(nodes: Sequence[Node], rng: np.random.Generator) -> tuple[list[Node], list[Array]]:
    """Return a placeholder for each node, and values for it."""
    fresh = [placeholder(name=f"{id(n)}", type=n.tensor_type) for n in nodes]
    return fresh, [rng.normal(size=n.shape).astype(n.dtype) for n in nodes]


def inner(pairs: Sequence[tuple[Array, Array]]) -> tuple[float, float]:
    """Return the sum of products, and of their magnitudes."""
    with np.errstate(all="ignore"):
        products = [np.multiply(a, b, dtype=np.float64) for a, b in pairs]
        return sum(float(p.sum()) for p in products), sum(float(np.abs(p).sum()) for p in products)


def compared(seed: int, kinds: set[str]) -> bool | None:
    """Tell whether both modes agree on a random program; None where it has none of these operations, or no finite
    derivative."""
    program = random_program(RandomChoices(seed))
    graph = program.graph
    if not kinds & {n.op.name for n in graph.nodes}:
        return None
    xs = [i for i in graph.inputs if i.dtype.kind == "f"]
    ys = list(dict.fromkeys(o for o in graph.outputs if o.dtype.kind == "f"))
    rng = np.random.default_rng(seed)
    (us, tangents), (vs, cotangents) = like(xs, rng), like(ys, rng)
    try:
        back, forth = pullback(ys, xs, vs), pushforward(ys, xs, us)
    except GraphcError:
        return None
    joined = Graph((*graph.inputs, *us, *vs), tuple([n for n in (*back, *forth) if n is not None]))
    found = iter(evaluate(joined, [*program.inputs, *tangents, *cotangents], program.variables))
    left, size = inner([(next(found), u) for n, u in zip(back, tangents, strict=True) if n is not None])
    right, other = inner([(next(found), v) for n, v in zip(forth, cotangents, strict=True) if n is not None])
    if not np.isfinite(size + other):
        return None
    return abs(left - right) <= 1e-4 * (size + other) + 1e-6


@pytest.mark.parametrize("kinds", [{"cond"}, {"while_loop"}, {"scan"}])
def test_both_modes_are_adjoint(kinds: set[str]) -> None:
    found = {seed: compared(seed, kinds) for seed in range(300)}
    assert not [seed for seed, agrees in found.items() if agrees is False]
    assert sum(agrees is True for agrees in found.values()) >= 10
