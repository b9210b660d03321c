"""What fusing promises: a partition that can run in its order, a reason for each decision, few kernels, linear time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from graphc.compiler import optimize
from graphc.eager import evaluate
from graphc.ir.graph import Graph, Node, item
from graphc.ir.groups import Decision, Group
from graphc.ir.index import is_alias
from graphc.ir.text import from_text
from graphc.passes import fuse as fuse_module
from graphc.passes.fuse import fuse
from graphc.passes.fusion import recompute as recompute_module
from graphc.passes.fusion.costs import Loops
from graphc.passes.fusion.legality import producer_of
from graphc.passes.fusion.profit import Verdict, profit
from graphc.passes.materialize import materialize
from graphc.target import host
from tests.machine import MACHINE
from tests.native import NativeGraph
from tests.random_graphs import RandomChoices, random_program

TARGETS = {
    "wide": MACHINE,
    "one core": replace(MACHINE, cores=1),
    "narrow": replace(MACHINE, vector_bytes=16, vector_registers=16, cores=64, l1_bytes=8 << 10, l2_bytes=64 << 10),
}


def partition(graph: Graph, target: str = "wide") -> tuple[Graph, tuple[Group, ...], list[Decision]]:
    prepared = materialize(graph)
    decisions: list[Decision] = []
    return prepared, fuse(prepared, TARGETS[target], decisions.append), decisions


def computed(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes if not n.is_leaf and not is_alias(n) and n.op is not item]


# The partition.


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_value_is_made_before_it_is_read(target: str, seed: int) -> None:
    graph, groups, _ = partition(random_program(RandomChoices(seed)).graph, target)
    stored: set[Node] = set()
    for group in groups:
        made: set[Node] = set()
        for node in group.nodes:
            for operand in node.inputs:
                source = producer_of(operand)
                assert source.is_leaf or source in made or source in stored
            made.add(node)
        assert set(group.outputs) <= made
        assert stored.isdisjoint(group.outputs), "one kernel stores a value"
        stored |= set(group.outputs)
    assert {producer_of(r) for r in graph.results} <= stored


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_node_is_in_two_groups_only_where_it_is_computed_again(seed: int) -> None:
    graph, groups, decisions = partition(random_program(RandomChoices(seed)).graph)
    homes: dict[Node, list[Group]] = {}
    for group in groups:
        for node in group.nodes:
            homes.setdefault(node, []).append(group)
    assert set(homes) == set(computed(graph))
    again = {d.producer for d in decisions if d.reason.startswith("computed again")}
    assert {n for n, found in homes.items() if len(found) > 1} <= again


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_edge_is_decided_with_a_reason(seed: int) -> None:
    graph, groups, decisions = partition(random_program(RandomChoices(seed)).graph)
    edges = {(s, n) for n in computed(graph) for s in map(producer_of, n.inputs) if not s.is_leaf}
    told = {(d.producer, d.consumer): d for d in decisions}
    assert edges <= set(told)
    assert all(d.reason for d in decisions)
    for producer, consumer in edges:
        together = any(producer in g.nodes and consumer in g.nodes for g in groups)
        assert told[producer, consumer].fused == together


def test_decisions_do_not_depend_on_being_told() -> None:
    graph = materialize(random_program(RandomChoices(7)).graph)
    assert list(map(str, fuse(graph, MACHINE))) == list(map(str, fuse(graph, MACHINE, lambda decision: None)))


REASONS = [
    ("y = exp(x)\n    z = neg(y)\n    return (z,)", "exp", "same loops: 2.1 MB need not travel"),
    ("y = sum(x, axis=(1,))\n    z = exp(y)\n    return (z,)", "sum", "same rows: 2.05 kB need not travel"),
    (
        "y = exp(x)\n    z = neg(slice(y, start=(0, 0), shape=(8, 8), step=(1, 1)))\n    return (z, neg(y))",
        "exp",
        "it is read at other positions than those at which it is computed",
    ),
    (
        "y = exp(x)\n    z = contract(y, w, spec=\"mk,kn->mn\")\n    return (z,)",
        "exp",
        "its reader needs the whole array in memory",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "producer", "reason"), REASONS)
def test_reasons(body: str, producer: str, reason: str) -> None:
    graph = from_text(f"def f(x: f32[512, 1024], w: f32[1024, 512]):\n    {body}\n")
    _, _, decisions = partition(graph)
    assert reason in {d.reason for d in decisions if d.producer.op.name == producer}


# The model.

STREAM = Loops(work=1e5, traffic=1e6, spills=0.0, bursts=False, ways=1000, bytes=8_000_000, dear="exp")


@pytest.mark.parametrize(
    ("before", "after", "pays", "says"),
    [
        ([STREAM, STREAM], replace(STREAM, work=2e5), True, "8 MB need not travel"),
        ([STREAM, STREAM], replace(STREAM, work=3e6), False, "exp again"),
        ([STREAM, STREAM], replace(STREAM, work=2e5, spills=3e6), False, "registers"),
        ([STREAM, STREAM], replace(STREAM, work=2e5, ways=1), False, "only 1 of 8 cores"),
    ],
)
def test_profit(before: list[Loops], after: Loops, pays: bool, says: str) -> None:
    verdict = profit(before, [after], MACHINE)
    assert verdict.pays == pays
    assert says in verdict.reason


def test_siblings_must_gain_more() -> None:
    little = replace(STREAM, work=2.08e6, traffic=1.9e6, bytes=15_000_000)
    one = replace(STREAM, work=1.05e6)
    assert profit([one, one], [little], MACHINE).pays
    assert not profit([one, one], [little], MACHINE, siblings=True).pays


# Kernels.


def placeholder(*shape: int, name: str) -> gx.Tensor:
    return gx.placeholder(shape, name=name)


def softmax() -> gx.Executable:
    x, d = placeholder(64, 300, name="x"), placeholder(64, 300, name="d")
    y = gx.nn.softmax(x)
    return gx.compile([x, d], gx.gradients(gx.sum(y * d), [x])[0])


def log_softmax() -> gx.Executable:
    x, d = placeholder(64, 300, name="x"), placeholder(64, 300, name="d")
    y = gx.nn.log_softmax(x)
    return gx.compile([x, d], [y, gx.gradients(gx.sum(y * d), [x])[0]])


def layer_norm() -> gx.Executable:
    x, w, b = placeholder(64, 300, name="x"), placeholder(300, name="w"), placeholder(300, name="b")
    return gx.compile([x, w, b], gx.nn.layer_norm(x, 300, w, b))


def layer_norm_gradient() -> gx.Executable:
    x, w, b = placeholder(64, 300, name="x"), placeholder(300, name="w"), placeholder(300, name="b")
    d = placeholder(64, 300, name="d")
    y = gx.nn.layer_norm(x, 300, w, b)
    return gx.compile([x, w, b, d], [y, *gx.gradients(gx.sum(y * d), [x, w, b])])


def cross_entropy() -> gx.Executable:
    x, y = placeholder(64, 300, name="x"), gx.placeholder((64,), "int64", name="y")
    loss = gx.nn.cross_entropy(x, y)
    return gx.compile([x, y], [loss, *gx.gradients(loss, [x])])


def moments() -> gx.Executable:
    x = placeholder(512, 1024, name="x")
    return gx.compile([x], [gx.sum(x), gx.sum(x * x), gx.max(x)])


def batch_norm() -> gx.Executable:
    x = placeholder(512, 256, name="x")
    mean = gx.mean(x, 0, keepdims=True)
    variance = gx.mean((x - mean) * (x - mean), 0, keepdims=True)
    return gx.compile([x], [(x - mean) / gx.sqrt(variance + 1e-5), mean, variance])


def bias_gradient() -> gx.Executable:
    z, d = placeholder(512, 256, name="z"), placeholder(512, 256, name="d")
    g = gx.where(z > 0, d, 0.0)
    return gx.compile([z, d], [g, gx.sum(g, 0)])


def layer() -> gx.Executable:
    x, w, b = placeholder(64, 32, name="x"), placeholder(32, 48, name="w"), placeholder(48, name="b")
    r = placeholder(64, 48, name="r")
    z = x @ w + b
    return gx.compile([x, w, b, r], [z, gx.nn.gelu(z) * 0.5 + r])


@pytest.mark.parametrize(
    ("build", "launches"),
    [
        (softmax, 1), (log_softmax, 1), (layer_norm, 1), (layer_norm_gradient, 2), (cross_entropy, 2), (batch_norm, 1),
        (layer, 1), (moments, 2), (bias_gradient, 2),  # the second adds up the results of parts
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)  # fmt: skip
def test_launches(build: Callable[[], gx.Executable], launches: int) -> None:
    assert build().cost().launches <= launches


def adam(shapes: list[tuple[int, ...]]) -> gx.Executable:
    updates, inputs = {}, []
    for k, shape in enumerate(shapes):
        p, m, v = (gx.variable(np.zeros(shape, np.float32), name=f"{c}{k}") for c in "pmv")
        g = gx.placeholder(shape, name=f"g{k}")
        inputs.append(g)
        updates[m], updates[v] = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        updates[p] = p - 1e-3 * updates[m] / (gx.sqrt(updates[v]) + 1e-8)
    return gx.compile(inputs, [], updates=updates)


def test_updates_of_many_parameters_share_a_few_kernels() -> None:
    shapes = [s for k in range(25) for s in ((64 + 32 * (k % 5), 128), (64 + 32 * (k % 5),))]
    cost = adam(shapes).cost()
    assert cost.kernels <= 5
    assert cost.launches == len(shapes)


def network(layers: int) -> Graph:
    x = gx.placeholder((32, 64), name="x")
    h, weights = x, []
    for k in range(layers):
        w, b = gx.variable(np.zeros((64, 64), np.float32), name=f"w{k}"), gx.variable(np.zeros(64, np.float32))
        weights += [w, b]
        h = gx.nn.layer_norm(gx.nn.gelu(h @ w + b) + h, 64)
    loss = gx.mean(h * h)
    gradients = gx.gradients(loss, weights)
    updates = tuple([(p.node, (p - 0.1 * d).node) for p, d in zip(weights, gradients, strict=True)])
    return optimize(Graph((x.node,), (loss.node,), updates))


def test_equal_layers_are_equal_kernels() -> None:
    few, many = ([str(g) for g in partition(network(k))[1]] for k in (4, 60))
    assert set(many) == set(few)
    assert len(many) <= 15 * len(few)


def test_time_is_linear() -> None:
    seconds = []
    for layers in (20, 80):
        graph = materialize(network(layers))
        start = time.perf_counter()
        fuse(graph, MACHINE)
        seconds.append((time.perf_counter() - start) / len(graph.nodes))
    assert seconds[1] < 3 * seconds[0]
    assert seconds[1] < 5e-4


# Values computed again, and every legal step taken.


def layered_graph(seed: int) -> Graph:
    """Return a graph of cheap operations on matrices with folds, a product and views between them."""
    random = Random(seed)
    values = [gx.placeholder((40, 40), name=f"x{k}") for k in range(3)]
    for _ in range(random.randint(4, 25)):
        a, b, c = (random.choice(values[-6:]) for _ in range(3))
        kind = random.randint(0, 9)
        if kind < 3:
            new = a + b * 0.5
        elif kind == 3:
            new = gx.where(a > b, c, a)
        elif kind == 4:
            new = gx.maximum(a, b)
        elif kind == 5:
            new = a - gx.mean(b, random.randint(0, 1), keepdims=True)
        elif kind == 6:
            new = a + b.T
        elif kind == 7:
            new = gx.tanh(a)
        elif kind == 8:
            new = (a @ b) * 0.1
        else:
            new = a * gx.max(b)
        values.append(new)
    placeholders = tuple([v.node for v in values[:3]])
    return Graph(placeholders, tuple([v.node for v in random.sample(values[3:], 2)]))


@pytest.mark.parametrize("pays", [True, False])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_judgement_gives_the_same_values(pays: bool, seed: int) -> None:
    graph = layered_graph(seed)
    generator = np.random.default_rng(seed)
    inputs = [generator.standard_normal((40, 40)).astype("float32") for _ in graph.inputs]

    def verdict(*_: object, **__: object) -> Verdict:
        return Verdict(pays, "forced")

    with (
        mock.patch.object(fuse_module, "profit", verdict),
        mock.patch.object(fuse_module, "can_pay", return_value=True),
        mock.patch.object(recompute_module, "profit", verdict),
    ):
        native = NativeGraph(graph, replace(host(), l1_bytes=64))
    for found, wanted in zip(native(inputs), evaluate(graph, inputs, {}), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
