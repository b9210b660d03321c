"""Options(memory_budget=): programs within a budget, by what is computed again; gx.checkpoint beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.verify import verify
from graphc.passes.recompute import ways_to_recompute
from graphc.passes.release import release
from graphc.pipeline import optimize
from graphc.target import host
from tests.graphs import feeds, random_graph

DEEP, DEPTH, WIDTH, BATCH = 50, 14, 16, 1024
UNIT = BATCH * WIDTH * 4
"""Bytes of the values of one layer."""

RNG = np.random.default_rng(0)
WEIGHTS = [(RNG.normal(size=(WIDTH, WIDTH)) / 16).astype(np.float32) for _ in range(DEEP)]
X = RNG.normal(size=(BATCH, WIDTH)).astype(np.float32)


def training(layer: Callable[[Any], Any] = lambda fn: fn, every: int = 7, **options: Any) -> Any:
    """Return the compiled value and gradient of a chain of layers, with pieces of it in `layer`."""

    def piece(weights: Any, x: Any) -> Any:
        for w in weights:
            x = gx.nn.gelu(x @ w) + x
        return x

    def loss(weights: list[Any], x: Any) -> Any:
        for k in range(0, len(weights), every):
            x = layer(piece)(weights[k : k + every], x)
        return gx.mean(x**2)

    return gx.jit(gx.value_and_grad(loss), options=gx.Options(**options))


def units(function: Any, depth: int = DEPTH) -> float:
    return float(function.compiled(WEIGHTS[:depth], X).cost().arena_bytes / UNIT)


def close(found: Any, expected: Any) -> None:
    for a, b in zip(gx.nest.flatten(found)[0], gx.nest.flatten(expected)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_what_fifty_layers_need() -> None:
    """In units of one layer's values. After a change that needs less, these are to be less."""
    functions = training(), training(gx.checkpoint), training(gx.checkpoint, every=4)
    assert [units(f, DEEP) for f in functions] == pytest.approx([151, 27, 23], rel=0.1)


@pytest.mark.parametrize("budget", [35, 25, 14])
def test_within_the_budget(budget: int) -> None:
    function = training(memory_budget=budget * UNIT)
    assert units(function) <= budget
    few = WEIGHTS[:DEPTH]
    close(function(few, X), training()(few, X))


def test_the_cheapest_way_is_taken() -> None:
    def work(**options: Any) -> int:
        cost = training(**options).compiled(WEIGHTS[:DEPTH], X).cost()
        return int(cost.flops + 20 * cost.transcendentals)

    plain = work()
    assert work(memory_budget=60 * UNIT) == plain
    assert plain <= work(memory_budget=35 * UNIT) < work(memory_budget=25 * UNIT) < work(memory_budget=14 * UNIT)


def test_a_budget_that_cannot_be_met() -> None:
    function = training(memory_budget=5 * UNIT)
    with pytest.raises(gx.MemoryBudgetError, match=r"memory_budget is 327680 bytes, but .* need \d+ bytes \(\d+ where"):
        function(WEIGHTS[:DEPTH], X)
    with pytest.raises(gx.ArgumentError, match="memory_budget must be a number of bytes"):
        gx.Options(memory_budget=-1)
    with pytest.raises(gx.ArgumentError, match="memory_budget must be a number of bytes"):
        gx.Options(memory_budget="1G")  # type: ignore[arg-type]


def test_verified() -> None:
    def loss(weights: Any, x: Any) -> Any:
        for w in weights:
            x = gx.tanh(x @ w)
        return gx.mean(x**2)

    few, x = WEIGHTS[:9], X[:64]
    plain = gx.grad(loss).compiled(few, x).cost().arena_bytes
    options = gx.Options(memory_budget=int(0.7 * plain), verify=True)
    close(gx.jit(gx.grad(loss), options=options)(few, x), gx.grad(loss)(few, x))


@pytest.mark.parametrize("seed", range(40))
def test_all_ways_compute_the_same(seed: int) -> None:
    graph = release(optimize(random_graph(seed, True, size=40)))
    inputs, variables = feeds(graph, seed, edges=True)
    expected = gx.eager.evaluate(graph, inputs, variables)
    for way in ways_to_recompute(graph, host()):
        verify(way.graph, "recompute", interned=False)
        for a, b in zip(gx.eager.evaluate(way.graph, inputs, variables), expected, strict=True):
            np.testing.assert_array_equal(a, b)
