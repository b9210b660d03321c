"""What `hoist` takes out of loops: of recurrent networks and their derivatives, and of random bodies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.errors import OutOfBoundsError
from graphc.ir.graph import OPS, Contraction, Graph, Node, items, placeholder
from graphc.ir.text import from_text
from graphc.ir.types import TensorType
from graphc.ir.verify import verify
from graphc.ops.control import parameter, scan
from graphc.passes.hoist import hoist
from graphc.passes.prune import prune
from graphc.pipeline import optimize
from tests.graphs import F64, feeds
from tests.native import NativeGraph

STEPS, BATCH, SIZE = 7, 3, 5


def recurrent(cell: Callable[[gx.Tensor, gx.Tensor, list[gx.Tensor]], gx.Tensor], weights: int) -> Graph:
    """Return the loss of a recurrent network and its derivative for the inputs, the weights and a bias."""
    xs = gx.placeholder((STEPS, BATCH, SIZE), "float64", name="xs")
    ws = [gx.placeholder((SIZE, SIZE), "float64", name=f"w{k}") for k in range(weights)]
    b = gx.placeholder((SIZE,), "float64", name="b")

    def body(h: gx.Tensor, x: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
        new = cell(h, x, [*ws, b])
        return new, new @ ws[0]

    last, ys = gx.scan(body, gx.zeros((BATCH, SIZE), dtype="float64"), xs)
    loss = gx.sum(gx.tanh(ys)) + gx.sum(last)
    wanted = [xs, *ws, b]
    results = [loss, *gx.gradients(loss, wanted)]
    return Graph(tuple(t.node for t in wanted), tuple(r.node for r in results))


def elman(h: gx.Tensor, x: gx.Tensor, p: list[gx.Tensor]) -> gx.Tensor:
    return gx.tanh(x @ p[0] + h @ p[1] + p[-1])


def gru(h: gx.Tensor, x: gx.Tensor, p: list[gx.Tensor]) -> gx.Tensor:
    z, r = gx.sigmoid(x @ p[0] + h @ p[1] + p[-1]), gx.sigmoid(x @ p[2] + h @ p[3])
    return (1 - z) * gx.tanh(x @ p[4] + (r * h) @ p[5]) + z * h


CELLS = {"elman": (elman, 2), "gru": (gru, 6)}


def agree(before: Graph, after: Graph) -> None:
    inputs, variables = feeds(before, 3)
    for a, b in zip(evaluate(before, inputs, variables), evaluate(after, inputs, variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def products(graph: Graph) -> list[int]:
    """Return the number of contractions in the body of each loop."""
    bodies = [n.attrs["body"] for n in graph.nodes if n.op is OPS["scan"]]
    return [sum(isinstance(n.op, Contraction) for n in b.nodes) for b in bodies]


@pytest.mark.parametrize(("name", "least"), [("elman", [1, 1]), ("gru", [3, 3])])
def test_of_a_recurrent_network_only_the_recurrence_stays(name: str, least: list[int]) -> None:
    """Of its derivative too: products with h going forward, with the cotangent of h going back, nothing else."""
    graph = recurrent(*CELLS[name])
    result = optimize(graph)
    assert products(result) == least
    agree(graph, result)
    inputs, _ = feeds(graph, 3)
    for found, expected in zip(NativeGraph(result)(inputs), evaluate(graph, inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives(name: str) -> None:
    xs = gx.placeholder((STEPS, 2, SIZE), "float64", name="xs")
    cell, count = CELLS[name]
    ws = [gx.placeholder((SIZE, SIZE), "float64", name=f"w{k}") for k in range(count)]
    b = gx.placeholder((SIZE,), "float64", name="b")
    last, _ = gx.scan(lambda h, x: (cell(h, x, [*ws, b]), None), gx.zeros((2, SIZE), dtype="float64"), xs)
    slope = gx.gradients(gx.sum(last**2), ws[0])
    curve = gx.gradients(gx.sum(slope**2), [ws[0], xs])
    inputs = [xs, *ws, b]
    graph = Graph(tuple(t.node for t in inputs), tuple(t.node for t in curve))
    agree(graph, optimize(graph))


def test_a_check_in_a_loop_without_steps_does_not_fail() -> None:
    text = """
def f(x: f64[{n}, 3], i: i64[3]):
    def body(a: f64[3], x: f64[3], i: i64[3]):
        c = check_index(i, size=5, wrap=False)
        d = cast(c, dtype=f64)
        e = exp(d)
        b = mul(a, e)
        g = add(b, x)
        return (g,)
    a = broadcast(f64(0.0), shape=(3,), axes=())
    s = scan(a, x, i, body=body, carries=1, slices=1, length={n}, reverse=False)
    v = s[0]
    return (v,)
"""
    for steps in (0, 1, 4):
        graph = optimize(from_text(text.format(n=steps).strip()))
        inputs = [np.ones((steps, 3)), np.array([1, 9, 1])]
        if not steps:
            assert NativeGraph(graph)(inputs)[0].tolist() == [0, 0, 0]
            continue
        with pytest.raises(OutOfBoundsError, match="index 9"):
            NativeGraph(graph)(inputs)


def test_memory_has_a_limit() -> None:
    """A product that makes much of little, for all steps, would be an array as large as all products together."""
    text = """
def f(h: f32[4096], w: f32[2, 4096], x: f32[400, 2]):
    def body(h: f32[4096], x: f32[2], w: f32[2, 4096]):
        p = contract(x, w, spec="k,kn->n")
        q = mul(h, p)
        n = tanh(q)
        return (n,)
    s = scan(h, x, w, body=body, carries=1, slices=1, length=400, reverse=False)
    v = s[0]
    return (v,)
"""
    graph = from_text(text.strip())
    assert hoist(graph) is graph
    assert hoist(from_text(text.replace("400", "40").strip())) is not graph


# Random bodies.


class Body:
    """A body of products, sums and elementwise operations over carries, slices and constants."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.row, self.matrix = TensorType(F64, (4,)), TensorType(F64, (4, 4))

    def one_of(self, nodes: list[Node]) -> Node:
        return nodes[int(self.rng.integers(len(nodes)))]

    def graph(self) -> Graph:
        rows = [parameter(n, self.row) for n in "abxyk"]
        total, w = parameter("t", self.matrix), parameter("w", self.matrix)
        pool, matrices = list(rows), [w]
        for _ in range(int(self.rng.integers(3, 10))):
            self.grow(pool, matrices)
        outer = OPS["contract"](self.one_of(pool), self.one_of(pool), spec="k,n->kn")
        new = (self.one_of(pool), rows[1] + self.one_of([*pool, OPS["contract"](pool[-1], w, spec="k,kn->n")]))
        body = Graph((*rows[:2], total, *rows[2:4], rows[4], w), (*new, total + outer, self.one_of(pool), pool[-1]))
        length = int(self.rng.integers(0, 5))
        shapes = [(4,), (4,), (4, 4), (length, 4), (length, 4), (4,), (4, 4)]
        outside = [placeholder(name=f"p{k}", type=TensorType(F64, s)) for k, s in enumerate(shapes)]
        loop = scan(body, outside[:3], outside[3:5], outside[5:], length, bool(self.rng.integers(2)))
        results = [n for n in items(loop) if self.rng.random() < 0.7]
        return Graph(tuple(outside), tuple(results) or items(loop))

    def grow(self, pool: list[Node], matrices: list[Node]) -> None:
        kind = int(self.rng.integers(6))
        if kind < 2:
            pool.append(OPS["contract"](self.one_of(pool), self.one_of(matrices), spec="k,kn->n"))
        elif kind == 2:
            pool.append(OPS["tanh"](self.one_of(pool)))
        elif kind == 3:
            matrices.append(OPS["sin"](OPS["transpose"](self.one_of(matrices), axes=(1, 0))))
        elif kind == 4:
            total = OPS["sum"](self.one_of(pool), axis=(0,))
            pool.append(self.one_of(pool) * OPS["tanh"](total))
        else:
            pool.append(self.one_of(pool) * 0.5 + self.one_of(pool))


@pytest.mark.parametrize("seed", range(150))
def test_random_bodies(seed: int) -> None:
    graph = Body(seed).graph()
    for candidate in (graph, prune(graph)):
        result = hoist(candidate)
        verify(result, "hoist")
        assert hoist(result) is result
        agree(graph, result)
    agree(graph, optimize(graph))
