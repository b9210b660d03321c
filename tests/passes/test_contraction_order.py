"""The order of contractions: never dearer, best where every order can be tried, and the same values."""

from __future__ import annotations

import itertools
import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.autodiff import pullback
from graphc.compiler import optimize
from graphc.eager import evaluate
from graphc.ir.graph import OPS, Graph, Node, placeholder
from graphc.ir.text import from_text
from graphc.ir.types import TensorType
from graphc.ir.verify import verify
from graphc.passes import contraction_path
from graphc.passes.contraction_order import _cost_of, _Products, contraction_order
from graphc.passes.contraction_path import Network, find_path
from tests.graphs import F64, I32, feeds

seeds = st.integers(0, 2**32 - 1)


def random_network(rng: np.random.Generator, count: int, labels: int) -> Network:
    operands = [int(rng.integers(1, 1 << labels)) & int(rng.integers(0, 1 << labels)) for _ in range(count)]
    for bit in range(labels):  # each label in two of the parts
        for k in rng.permutation(count)[:2]:
            operands[k] |= 1 << bit
    return Network(tuple(operands), int(rng.integers(1 << labels)), tuple(int(s) for s in rng.integers(2, 30, labels)))


def all_costs(network: Network) -> int:
    """Return the least cost of all paths, by trying them."""

    def least(arrays: tuple[int, ...]) -> int:
        if len(arrays) == 1:
            return 0
        best = None
        for i, j in itertools.combinations(range(len(arrays)), 2):
            rest = [a for k, a in enumerate(arrays) if k not in (i, j)]
            needed = network.out
            for a in rest:
                needed |= a
            result = (arrays[i] | arrays[j]) & needed
            cost = network.pair_cost(arrays[i], arrays[j], result) + least((*rest, result))
            best = cost if best is None else min(best, cost)
        assert best is not None
        return best

    return least(network.operands)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, count=st.integers(2, 5))
def test_a_path_of_few_operands_is_the_best(seed: int, count: int) -> None:
    network = random_network(np.random.default_rng(seed), count, 5)
    assert network.cost(find_path(network)) == all_costs(network)


def chain_network(sizes: list[int]) -> Network:
    """Return a chain of matrices in a shuffled order."""
    operands = [(1 << k) | (1 << (k + 1)) for k in range(len(sizes) - 1)]
    order = np.random.default_rng(len(sizes)).permutation(len(operands))
    return Network(tuple(operands[k] for k in order), 1 | (1 << (len(sizes) - 1)), tuple(sizes))


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(2, 40), min_size=6, max_size=10))
def test_chains_are_as_good_as_trying_all_orders(sizes: list[int]) -> None:
    network = chain_network(sizes)
    chain = contraction_path._chain(network)
    assert chain is not None
    best = network.cost(contraction_path._best_of_all(network))
    assert network.cost(contraction_path._best_of_chain(network, chain)) == best


@settings(max_examples=40, deadline=None)
@given(seed=seeds, count=st.integers(3, 14))
def test_greedy_paths_are_whole(seed: int, count: int) -> None:
    network = random_network(np.random.default_rng(seed), count, 8)
    path = contraction_path._greedy(network)
    used = [k for pair in path for k in pair]
    assert sorted(used) == list(range(2 * count - 2))
    assert network.cost(path) > 0


def test_a_long_chain_takes_little_time() -> None:
    rng = np.random.default_rng(0)
    start = time.process_time()
    find_path(chain_network([int(s) for s in rng.integers(2, 500, 300)]))
    assert time.process_time() - start < 3


# Graphs.


def random_products(seed: int, dtype: np.dtype = F64) -> Graph:
    """Return a graph of contractions, outer products, sums and views over them, of which some are shared."""
    rng = np.random.default_rng(seed)
    sizes = [1, 2, 3, 5]
    inputs: list[Node] = []

    def fresh(shape: tuple[int, ...]) -> Node:
        inputs.append(placeholder(name=f"x{len(inputs)}", type=TensorType(dtype, shape)))
        return inputs[-1]

    pool = [fresh(tuple(int(s) for s in rng.choice(sizes, 2))) for _ in range(2)]
    for _ in range(8):
        x = pool[-1] if rng.random() < 0.6 else pool[int(rng.integers(len(pool)))]
        kind = rng.random()
        letters = "abcd"[: x.ndim]
        if kind < 0.5:
            other = "".join(c for c in letters if rng.random() < 0.6) + "xy"[: int(rng.integers(0, 3))]
            kept = [c for c in other if c in letters and rng.random() < 0.4]
            out = [c for c in letters if c not in other or c in kept] + [c for c in other if c not in letters]
            shape = tuple(x.shape[letters.index(c)] if c in letters else int(rng.choice(sizes)) for c in other)
            same = [n for n in pool if n.shape == shape]
            y = same[0] if same and rng.random() < 0.5 else fresh(shape)
            order = "".join(rng.permutation(out)) if out else ""
            if len(order) <= 4:
                pool.append(OPS["contract"](x, y, spec=f"{letters},{other}->{order}"))
        elif kind < 0.65 and x.ndim:
            pool.append(OPS["sum"](x, axis=(int(rng.integers(x.ndim)),)))
        elif kind < 0.8:
            pool.append(OPS["transpose"](x, axes=tuple(int(k) for k in rng.permutation(x.ndim))))
        elif kind < 0.9:
            pool.append(OPS["reshape"](x, shape=(*x.shape[:1], 1, *x.shape[1:])) if x.ndim < 4 else x)
        elif x.ndim < 4:
            pool.append(OPS["broadcast"](x, shape=(3, *x.shape), axes=tuple(range(1, x.ndim + 1))))
    read = {i for n in pool for i in n.inputs}
    outputs = [n for n in pool if n not in read and n.inputs] or [pool[-1]]
    return Graph(tuple(inputs), (*outputs, *[n for n in pool if rng.random() < 0.1]))


def written_cost(graph: Graph) -> int:
    return sum(_cost_of(node) for node in _Products(graph).products)


@settings(max_examples=300, deadline=None)
@given(seed=seeds, simplified=st.booleans())
def test_the_values_stay_and_the_cost_never_grows(seed: int, simplified: bool) -> None:
    graph = random_products(seed)
    graph = optimize(graph) if simplified else graph
    result = contraction_order(graph)
    verify(result, "contraction_order", interned=result is not graph)
    assert contraction_order(result) is result
    assert result is graph or written_cost(result) < written_cost(graph)
    inputs, _ = feeds(graph, seed)
    for a, b in zip(evaluate(graph, inputs), evaluate(result, inputs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * (1 + np.max(np.abs(a), initial=0)))


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_integers_are_exact(seed: int) -> None:
    graph = random_products(seed, I32)
    inputs = [(a.astype(np.int64) * 987654321).astype(np.int32) for a in feeds(graph, seed)[0]]
    for a, b in zip(evaluate(graph, inputs), evaluate(contraction_order(graph), inputs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gradient_of_a_chain_with_a_vector_multiplies_no_matrices() -> None:
    """Its products are of a matrix and a vector each, but for the outer products that are its results."""
    text = "def f(a: f64[9, 8], b: f64[8, 7], c: f64[7, 6], v: f64[6]): return ()"
    a, b, c, v = inputs = from_text(text).inputs
    contract, matmul = OPS["contract"], "mk,kn->mn"
    y = contract(contract(contract(a, b, spec=matmul), c, spec=matmul), v, spec="mk,k->m")
    gradients = pullback([y], inputs, [y])
    graph = optimize(Graph(inputs, tuple(g for g in gradients if g is not None)))
    assert max(n.ndim for n in graph.nodes if n.op is contract) == 1
    # Three products forward, of which the gradients of a and b reuse two, and three back.
    assert sum(n.op is contract for n in graph.nodes) == 6
