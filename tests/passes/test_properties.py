"""What every pass promises, on random graphs: same values, valid and interned graphs, idempotence, linear time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.eager import evaluate
from graphc.errors import InternalError, OutOfBoundsError
from graphc.ir.graph import OPS, Graph, Node, bind_sizes, literal, placeholder
from graphc.ir.journal import Journal
from graphc.ir.rewrite import Rule, apply_rules, call, constant, variables
from graphc.ir.text import from_text, to_text
from graphc.ir.types import TensorType
from graphc.ir.verify import verify
from graphc.options import Options
from graphc.passes.canonicalize import canonicalize
from graphc.passes.contraction_order import contraction_order
from graphc.passes.cse import cse
from graphc.passes.fold_constants import FOLD_LIMIT, fold_constants
from graphc.passes.hoist import hoist
from graphc.passes.prune import prune
from graphc.passes.rematerialize import rematerialize
from graphc.passes.simplify import simplify
from graphc.passes.stabilize import RULES as STABLE
from graphc.passes.stabilize import stabilize
from graphc.pipeline import COVERED, PIPELINE, optimize, run_pass
from tests.graphs import F32, feeds, random_graph

Pass = Callable[[Graph], Graph]
PASSES: tuple[Pass, ...] = (
    canonicalize, cse, fold_constants, stabilize, simplify, contraction_order, prune, hoist, rematerialize,
)  # fmt: skip
INTERNING = (canonicalize, cse, fold_constants, stabilize, simplify)
passes = pytest.mark.parametrize("apply_pass", PASSES, ids=lambda p: p.__name__)
STABLE_NAMES = {rule.name for rule in STABLE}
seeds = st.integers(0, 2**32 - 1)


def assert_same_values(a: np.ndarray, b: np.ndarray, exact: bool) -> None:
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    if exact:
        np.testing.assert_array_equal(a, b)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(a)])
    else:
        scale = 1 + np.max(np.abs(a), initial=0) if a.dtype.kind == "f" else 1
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * scale)


def assert_close(a: np.ndarray, b: np.ndarray) -> None:
    """Compare where the numbers are ordinary, to a few digits of the largest one."""
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    if a.dtype.kind != "f":
        return  # a comparison or a cast may turn on the last digit
    ordinary = np.isfinite(a) & np.isfinite(b)
    scale = 1 + np.max(np.abs(a[ordinary]), initial=0)
    np.testing.assert_allclose(a[ordinary], b[ordinary], rtol=1e-3, atol=1e-3 * scale)


def replaces_forms(apply_pass: Pass, graph: Graph) -> bool:
    """Tell whether something is put into another form for the sake of its value."""
    journal = Journal(detailed=True)
    if apply_pass is optimize:
        optimize(graph, journal=journal)
    elif apply_pass is stabilize:
        run_pass(stabilize, graph, Options(), journal)
    return any(r.rule in STABLE_NAMES for run in journal.runs for r in run.replacements)


def check_pass(apply_pass: Pass, seed: int, exact: bool) -> None:
    graph = random_graph(seed, exact)
    result = apply_pass(graph)
    verify(result, apply_pass.__name__, interned=apply_pass in INTERNING)
    assert apply_pass(result) is result
    # What a stable form has is the right value, and the other may be any: tests/test_stable_forms.py tells.
    stable = replaces_forms(apply_pass, graph)
    inputs, variables = feeds(graph, seed, edges=exact and not stable)
    before, after = evaluate(graph, inputs, variables), evaluate(result, inputs, variables)
    for a, b in zip(before, after, strict=True):
        assert_close(a, b) if stable else assert_same_values(a, b, exact)


@passes
@settings(max_examples=80, deadline=None)
@given(seed=seeds)
def test_pass_is_exact_where_order_does_not_matter(apply_pass: Pass, seed: int) -> None:
    check_pass(apply_pass, seed, exact=True)


@passes
@settings(max_examples=80, deadline=None)
@given(seed=seeds)
def test_pass_keeps_values_of_sums_and_loops(apply_pass: Pass, seed: int) -> None:
    check_pass(apply_pass, seed, exact=False)


@settings(max_examples=80, deadline=None)
@given(seed=seeds, exact=st.booleans())
def test_pipeline(seed: int, exact: bool) -> None:
    check_pass(optimize, seed, exact)


@passes
@settings(max_examples=60, deadline=None)
@given(seed=seeds, n=st.integers(1, 3), m=st.integers(1, 3), exact=st.booleans())
def test_sizes_may_become_known_after_the_pass(apply_pass: Pass, seed: int, n: int, m: int, exact: bool) -> None:
    graph = random_graph(seed, exact, symbolic=True)
    result = apply_pass(graph)
    verify(result, apply_pass.__name__)
    assert apply_pass(result) is result
    stable = replaces_forms(apply_pass, graph)
    bound, later = (bind_sizes(g, {"n": n, "m": m}) for g in (graph, result))
    inputs, variables = feeds(bound, seed)
    values = {v.attrs["name"]: array for v, array in variables.items()}
    expected = evaluate(bound, inputs, variables)
    found = evaluate(later, inputs, {v: values[v.attrs["name"]] for v in later.variables})
    for a, b in zip(expected, found, strict=True):
        assert_close(a, b) if stable else assert_same_values(a, b, exact=exact)


# Size and time.


def chain(length: int) -> Graph:
    x = placeholder(name="x", type=TensorType(F32, (3,)))
    node: Node = x
    for k in range(length // 2):
        node = 2.0 * node + (x if k % 2 else node)
    return Graph((x,), (node,))


LONG = chain(100_000)


@passes
def test_chain_of_100_000_nodes(apply_pass: Pass) -> None:
    result = apply_pass(LONG)
    assert len(result.nodes) > 90_000


def test_time_is_linear_in_nodes() -> None:
    def seconds(length: int) -> float:
        graph = chain(length)
        start = time.process_time()
        optimize(graph)
        return time.process_time() - start

    seconds(1000)
    # Eight times the nodes; a quadratic pass would take 64 times as long.
    assert min(seconds(8000) for _ in range(4)) < 20 * max(seconds(1000) for _ in range(3))


# What single passes promise.


def test_dead_code_is_what_results_do_not_reach() -> None:
    x = placeholder(name="x", type=TensorType(F32, (3,)))
    kept = OPS["exp"](x)
    OPS["log"](kept)
    graph = Graph((x,), (kept,))
    assert graph.nodes == (x, kept)
    assert len(from_text("def f(x: f32[3]):\n    a = exp(x)\n    b = log(a)\n    return (a,)").nodes) == 2


def test_results_of_unread_updates_are_kept() -> None:
    graph = from_text("def f(*, w: f32[3]):\n    a = mul(w, 1.0)\n    b = exp(a)\n    return (), {w: b}")
    assert [n.op.name for n in optimize(graph).nodes] == ["variable", "exp"]


def test_folding_is_bounded() -> None:
    rows = FOLD_LIMIT // 4 // 1000
    outer = f'contract(constant(f32[{rows}], {[1.0] * rows}), constant(f32[1000], {[2.0] * 1000}), spec="m,n->mn")'
    small = from_text(f"def f(): return ({outer},)")
    assert fold_constants(small).nodes[0].op.name == "constant"
    two = from_text(f"def f(): return ({outer}, exp({outer}))")
    folded = fold_constants(two)
    grown = sum(n.tensor_type.nbytes for n in folded.nodes if n.op.name == "constant")
    assert grown <= FOLD_LIMIT + 2 * sum(n.tensor_type.nbytes for n in two.nodes if n.op.name == "constant")
    assert [n.op.name for n in folded.nodes] == ["constant", "exp"]


def test_an_index_out_of_bounds_fails_when_it_runs() -> None:
    graph = from_text("def f(): return (check_index(i64(7), size=5, wrap=False),)")
    assert fold_constants(graph) is graph
    with pytest.raises(OutOfBoundsError, match="index 7"):
        evaluate(optimize(graph), [])


def test_an_index_that_no_element_reads_does_not_fail() -> None:
    graph = from_text(
        "def f():\n    a = broadcast(i64(7), shape=(0,), axes=())\n    return (check_index(a, size=5, wrap=False),)"
    )
    assert evaluate(canonicalize(graph), [])[0].shape == (0,)


def test_a_sum_of_no_repetitions_is_zero() -> None:
    graph = from_text(
        "def f(x: f32[2]):\n    a = broadcast(x, shape=(0, 2), axes=(1,))\n    return (sum(a, axis=(0,)),)"
    )
    (total,) = evaluate(simplify(graph), [np.array([np.inf, -1], np.float32)])
    assert total.tolist() == [0, 0]


def test_the_largest_of_a_part_that_may_be_empty_is_not_asked_for() -> None:
    graph = from_text("def f(x: f32[n], y: f32[3]):\n    return (max(concat(x, y, axis=0), axis=(0,)),)")
    bound = bind_sizes(optimize(graph), {"n": 0})
    assert evaluate(bound, [np.zeros(0, np.float32), np.array([1, 3, 2], np.float32)])[0] == 3


def test_readers_are_asked_again_when_there_are_fewer() -> None:
    """The product is read twice until its double goes; then its transpose is a product itself."""
    graph = from_text(
        "def f(x: f32[2, 6], y: f32[6, 3]):\n"
        '    a = contract(x, y, spec="mk,kn->mn")\n'
        "    b = transpose(a, axes=(1, 0))\n"
        "    c = sub(a, 0.0)\n"
        "    d = where(bool(True), b, transpose(c, axes=(1, 0)))\n"
        "    return (d,)"
    )
    assert [n.op.name for n in simplify(graph).nodes] == ["placeholder", "placeholder", "contract"]


# The driver of rules.

x, y = variables("x", "y")
c = constant("c")


def test_rules_that_undo_each_other_are_named() -> None:
    rules = (Rule("there", x - y, x + (-y)), Rule("back", x + (-y), x - y))
    graph = from_text("def f(x: f32[3], y: f32[3]): return (sub(x, y),)")
    with pytest.raises(InternalError, match="undo each other: there, back"):
        apply_rules(graph, rules)


def test_rules_that_never_end_are_stopped() -> None:
    graph = from_text("def f(x: f32[3]): return (exp(x),)")
    count = 0

    def fired(*_: object) -> None:
        nonlocal count
        count += 1

    apply_rules(graph, (Rule("grow", call("exp", x), call("exp", call("neg", x))),), fired)
    assert 100 < count < 100_000


def test_numbers_match_bit_for_bit() -> None:
    zero = Rule("zero", x + 0, x)
    minus_zero = Rule("minus_zero", x + -0.0, x)
    text = "def f(x: f32[3]): return (add(x, {}),)"
    plus, minus = from_text(text.format("0.0")), from_text(text.format("-0.0"))
    assert [apply_rules(g, (r,)) is g for g in (plus, minus) for r in (zero, minus_zero)] == [False, True, True, False]


def test_a_scalar_that_replaces_an_array_is_repeated() -> None:
    rule = Rule("left", x + y, x)
    graph = apply_rules(from_text("def f(s: f32[()], x: f32[3]): return (add(s, x),)"), (rule,))
    assert to_text(graph) == (
        "def f(s: f32[()], x: f32[3]):\n    v0 = broadcast(s, shape=(3,), axes=())\n    return (v0,)\n"
    )


def test_a_rule_may_not_change_the_dtype() -> None:
    rule = Rule("wrong", call("lt", x, y), x)
    with pytest.raises(InternalError, match="became"):
        apply_rules(from_text("def f(x: f32[3], y: f32[3]): return (lt(x, y),)"), (rule,))


def test_constant_variables_match_constants_only() -> None:
    rule = Rule("constant_right", x + c, x)
    graph = from_text("def f(x: f32[3], y: f32[3]): return (add(x, y), add(x, 2.0))")
    assert [o.op.name for o in apply_rules(graph, (rule,)).outputs] == ["add", "placeholder"]


def test_equal_variables_need_the_same_node() -> None:
    rule = Rule("same", x + x, x * 2)
    graph = from_text("def f(x: f32[3], y: f32[3]): return (add(x, y), add(x, x))")
    assert [o.op.name for o in apply_rules(graph, (rule,)).outputs] == ["add", "mul"]
    assert literal(2, F32).type == TensorType(F32, ())


def test_the_pipeline_lists_every_pass_once() -> None:
    assert len(set(PIPELINE)) == len(PIPELINE)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("exact", [False, True])
def test_passes_that_need_not_run_again_find_nothing(seed: int, exact: bool) -> None:
    for apply_pass, covered in COVERED.items():
        result = apply_pass(random_graph(seed, exact, size=40))
        assert all(other(result) is result for other in covered)
