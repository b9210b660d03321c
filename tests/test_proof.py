"""Verification finds what is planted, names it and its line, and changes no variable; elsewhere it finds nothing."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.array.handle import wrap
from graphc.ir.graph import Node
from graphc.ir.intern import Interner
from graphc.ir.loops import Apply, Block, Stmt
from graphc.ir.rewrite import Attr, Rule, call, variables
from graphc.lower import nest, operands
from graphc.ops.elementwise import neg
from graphc.passes import fold_constants, prune, simplify, stabilize
from graphc.pipeline import PIPELINE
from tests.random_graphs import RandomChoices, random_program

VERIFY = gx.Options(verify=True)
x, y = variables("x", "y")


def example() -> tuple[gx.Executable, gx.Tensor, np.ndarray]:
    data = gx.placeholder(("n", 6), name="data")
    weights = gx.variable(np.linspace(-1, 1, 18, dtype=np.float32).reshape(6, 3), name="weights")
    hidden = gx.tanh(data @ weights)
    loss = gx.mean(gx.log(1 + gx.exp(hidden)) - hidden * gx.asarray(2.0, dtype="float32") * 1)
    gradient = gx.gradients(loss, weights)
    step = gx.compile([data], [loss, hidden], updates={weights: weights - 0.1 * gradient}, name="step", options=VERIFY)
    return step, weights, np.random.default_rng(0).standard_normal((17, 6)).astype(np.float32)


def planted(match: str) -> str:
    """Run the example; return the message of the fault that must be found."""
    step, weights, data = example()
    before = weights.value
    with pytest.raises(gx.MiscompileError, match=match) as error:
        step(data)
    np.testing.assert_array_equal(weights.value, before)
    assert "test_proof.py" in str(error.value)
    return str(error.value)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    step, weights, data = example()
    plain = example()[0]
    before = weights.value
    for _ in range(3):
        step(data)
    assert not np.array_equal(weights.value, before)
    assert step(data)[0] < plain(data)[0]
    step(data[:5])  # another size is another program


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_found_in_random_programs(seed: int) -> None:
    program = random_program(RandomChoices(seed))
    state = {n: gx.variable(a, name=n.attrs["name"]) for n, a in program.variables.items()}
    graph = program.graph.rewrite(lambda n, inputs: state[n].node if n in state else n.with_inputs(inputs))
    updates = {state[v]: wrap(value) for v, value in graph.updates}
    inputs, outputs = [wrap(i) for i in graph.inputs], [wrap(o) for o in graph.outputs]
    run, plain = (gx.compile(inputs, outputs, updates=updates, options=o) for o in (VERIFY, None))
    first = {v: v.value for v in state.values()}
    found = run(*program.inputs)
    after = {v: v.value for v in state.values()}
    for v, value in first.items():
        v.assign(value)
    with np.errstate(divide="ignore"):  # of integers too
        expected = plain(*program.inputs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for v, value in after.items():
        np.testing.assert_array_equal(v.value, value)


# Wrong rewrites.

WRONG_RULES = {
    "a wrong operand": (simplify, Rule("planted", x - y, x + y)),
    "a wrong function": (simplify, Rule("planted", call("sigmoid", x), call("tanh", x))),
    "a wrong sum": (simplify, Rule("planted", call("sum", x, axis=Attr("axis")), call("max", x, axis=Attr("axis")))),
    "an unstable form": (stabilize, Rule("planted", call("softplus", x), call("relu", x), exact=False, stable=True)),
}


@pytest.mark.parametrize("name", WRONG_RULES)
def test_a_wrong_rule_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room, rule = WRONG_RULES[name]
    monkeypatch.setattr(room, "RULES", (rule, *room.RULES))
    monkeypatch.setattr("graphc.pipeline.RULES", {rule.name: rule})
    monkeypatch.setattr(stabilize, "_INDEX", {})
    message = planted(f"^{room.__name__.split('.')[-1]}: the rule planted changed a value")
    assert "before: " in message
    assert "after: " in message


def test_the_sign_of_zero_counts_for_exact_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify, "RULES", (Rule("planted", x + 0, x), *simplify.RULES))
    data = gx.placeholder((3,), name="data")
    run = gx.compile([data], 1 / (data + 0.0), options=VERIFY)
    np.testing.assert_array_equal(run(np.ones(3, np.float32)), 1)
    run = gx.compile([data], 1 / (data + 0.0), options=VERIFY)
    with pytest.raises(gx.MiscompileError, match="the rule planted changed a value"):
        run(np.array([1, -0.0, 2], np.float32))


def test_a_wrong_fold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fold_constants._value
    monkeypatch.setattr(
        fold_constants, "_value", lambda node: None if (v := right(node)) is None else v + v.dtype.type(1)
    )
    planted("^fold_constants: the rule fold changed a value")


def test_merging_different_nodes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gx.placeholder((4,), name="data")
    step = gx.compile([], gx.constant(0.0), options=VERIFY)
    assert step() == 0
    right = Interner.intern

    def wrong(self: Interner, node: Node) -> Node:
        return right(self, node if node.op.name != "cos" else Node(neg, node.inputs, {}, node.type, node.location))

    monkeypatch.setattr("graphc.passes.cse.Interner.intern", wrong)
    run = gx.compile([data], gx.sin(data) + gx.cos(data), options=VERIFY)
    with pytest.raises(gx.MiscompileError, match=r"test_proof\.py"):
        run(np.arange(4, dtype=np.float32))


def test_a_pass_that_does_not_tell_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(graph, on_fire=None):
        return graph.replace_results([r if r.dtype.kind != "f" else r * 2.0 for r in graph.results])

    silent.__module__ = prune.__name__
    monkeypatch.setattr("graphc.pipeline.PIPELINE", (*PIPELINE, silent))
    planted("^silent: the pass changed result 0")


# Wrong code.


def test_a_wrong_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right = operands.scalar_expr

    def wrong(node, args):
        found = right(node, args)
        return Apply("add", found.args, found.dtype) if isinstance(found, Apply) and found.op == "sub" else found

    monkeypatch.setattr(operands, "scalar_expr", wrong)
    message = planted("^kernel: .* natively, .* by the reference")
    assert "kernel: " in message


def test_a_store_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = nest.Nest._store

    def wrong(self: nest.Nest, node: Node) -> Stmt:
        return Block(()) if node.op.name == "log" else right(self, node)

    monkeypatch.setattr(nest.Nest, "_store", wrong)
    data = gx.placeholder((4,), name="data")
    run = gx.compile([data], gx.log(data) * 1, options=VERIFY)
    with pytest.raises(gx.MiscompileError):
        run(np.arange(1, 5, dtype=np.float32))


def test_a_wrong_plan_of_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_one_place(storages):
        for storage in storages:
            storage.offset = 0
        return max([s.nbytes for s in storages], default=0)

    monkeypatch.setattr("graphc.lower.program.assign_offsets", at_one_place)
    a = gx.placeholder((8, 8), name="a")
    product = (a @ a) @ (gx.exp(a) @ a)
    run = gx.compile([a], product + gx.sum(gx.exp(a) @ a), options=VERIFY)
    with pytest.raises(gx.MiscompileError, match=r"memory: .* is overwritten before it is read"):
        run(np.random.default_rng(0).random((8, 8), np.float32))


def test_check_nan_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    w = gx.variable([1.0, 2.0], name="w")
    data = gx.placeholder((2,), "float64", name="data")
    run = gx.compile([data], w, updates={w: gx.log(data)}, options=gx.Options(verify=True, check_nan=True))
    run([1, 1])
    with pytest.raises(gx.NaNError):
        run([-1, 1])
    assert w.value.tolist() == [0, 0]
