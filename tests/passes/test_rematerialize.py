"""Values computed again instead of kept: the same values, less memory in use at the peak."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.ir.graph import Graph, Node
from graphc.ir.intern import Interner
from graphc.ir.verify import verify
from graphc.passes import rematerialize as room
from graphc.passes.fuse import fuse
from graphc.passes.materialize import materialize
from graphc.passes.rematerialize import rematerialize
from graphc.pipeline import optimize
from tests.graphs import feeds, random_graph
from tests.native import NativeGraph


@pytest.fixture(autouse=True)
def _at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MIN_PEAK", 0)
    monkeypatch.setattr(room, "MIN_BYTES", 0)


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("exact", [False, True])
def test_random_graphs(seed: int, exact: bool) -> None:
    graph = optimize(random_graph(seed, exact, size=40))
    result = rematerialize(graph)
    verify(result, "rematerialize", interned=False)
    assert rematerialize(result) is result
    inputs, variables = feeds(graph, seed, edges=exact)
    for a, b in zip(evaluate(graph, inputs, variables), evaluate(result, inputs, variables), strict=True):
        np.testing.assert_array_equal(a, b)


def deep(layers: int, width: int) -> Graph:
    x = gx.placeholder((32, width), name="x")
    ws = [gx.placeholder((width, width), name=f"w{k}") for k in range(layers)]
    h = x
    for w in ws:
        h = gx.nn.gelu(h @ w)
    slopes = gx.gradients(gx.sum(h * h), ws)
    return Graph((x.node, *[w.node for w in ws]), tuple(s.node for s in slopes))


def test_a_deep_network_needs_less() -> None:
    graph = optimize(deep(8, 64))
    result = rematerialize(graph)
    before, after = (NativeGraph(g).program.arena_bytes for g in (graph, result))
    assert after < 0.75 * before
    inputs, _ = feeds(graph, 1)
    small = [0.1 * a for a in inputs]
    for a, b in zip(NativeGraph(graph)(small), NativeGraph(result)(small), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_kernel_computes_a_value_and_the_same_again() -> None:
    graph = rematerialize(optimize(deep(4, 64)))
    counts = Counter(id(made) for made in interned(graph).values())
    assert max(counts.values()) == 2
    for group in fuse(materialize(graph)):
        made = interned(Graph(graph.inputs, group.nodes))
        assert len({id(made[n]) for n in group.nodes}) == len(group.nodes)


def interned(graph: Graph) -> dict[Node, Node]:
    table, made = Interner(), dict[Node, Node]()
    for node in graph.nodes:
        made[node] = table.intern(node.with_inputs(tuple([made[i] for i in node.inputs])))
    return made
