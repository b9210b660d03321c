"""The report on a compilation: formulas, what it tells about rules, kernels, loops and sizes, and its data."""

import re

import numpy as np
import pytest

import graphc as gx
from graphc.inspect.formulas import formula
from graphc.inspect.native import library_calls
from graphc.lower.math import FUNCTIONS

x, y = gx.placeholder((3, 4), name="x"), gx.placeholder((3, 4), name="y")
w, v = gx.placeholder((4, 5), name="w"), gx.placeholder((4,), name="v")
batch = gx.placeholder((2, 3, 4), name="batch")
flags = gx.placeholder((3, 4), "bool", name="flags")

FORMULAS = [
    (x + y * 2, "x + y * 2"),
    ((x + y) * 2, "(x + y) * 2"),
    (x - (y - 1), "x - (y - 1)"),
    (x - y - 1, "x - y - 1"),
    (x / (x * y), "x / (x * y)"),
    (-(x + y), "-(x + y)"),
    ((-x) ** 2, "(-x)**2"),
    (x @ w, "x @ w"),
    (w.T @ x.T, "w.T @ x.T"),
    ((x + y) @ w, "(x + y) @ w"),
    (batch @ w, "batch @ w"),
    (x + v, "x + v"),
    (gx.where(x > 0, x, 0.0), "where(x > 0, x, 0)"),
    (~flags & (x == y), "~flags & (x == y)"),
    (gx.sum(x, axis=1, keepdims=True), "sum(x, axis=1)"),
    (gx.sum(x), "sum(x)"),
    (gx.exp(gx.exp(gx.exp(gx.exp(gx.exp(x))))), "exp(exp(exp(exp(...))))"),
    (x @ v, "x @ v"),
    (v @ w, "v @ w"),
    (v @ v, "v @ v"),
    (gx.einsum("ij,kj->ik", x, y), "x @ y.T"),
    (gx.einsum("ij,ij->j", x, y), 'einsum("ij,ij->j", x, y)'),
]


@pytest.mark.parametrize(("tensor", "text"), FORMULAS, ids=[t for _, t in FORMULAS])
def test_formula(tensor: gx.Tensor, text: str) -> None:
    assert formula(tensor.node) == text


def test_a_named_value_is_written_as_its_name() -> None:
    inner = x + y
    outer = gx.exp(inner)
    assert formula(outer.node, names={inner.node: "t1", outer.node: "t2"}) == "exp(t1)"


def trained() -> gx.Executable:
    data = gx.placeholder(("n", 4), name="data")
    weights = gx.variable(np.ones((4, 2), np.float32), name="weights")
    loss = gx.sum(gx.nn.relu(data @ weights) * 1.0)
    gradient = gx.gradients(loss, weights)
    return gx.compile([data], loss, updates={weights: weights - 0.5 * gradient}, name="train")


def without_times(text: str) -> str:
    return re.sub(r"[\d.]+ ms", "_ ms", text)


def test_the_report_names_rules_kernels_memory_and_lines() -> None:
    step = trained()
    with pytest.raises(gx.ArgumentError, match="no code has been made yet"):
        step.explain()
    step(np.ones((8, 4), np.float32))
    text = str(step.explain())
    assert without_times(text).startswith("train for n=8: 3 kernels for ")
    assert "mul_one: relu(data @ weights) * 1  ->  relu(data @ weights)\n        at test_explain.py:" in text
    assert "new weights = weights - data.T @ t" in text
    assert "updates    1 variable: weights" in text
    assert "is the least possible" in text
    assert "llvm" in text
    assert repr(step.explain()) != ""


def test_the_report_is_about_the_sizes_called_last() -> None:
    step = trained()
    for n in (8, 3):
        step(np.ones((n, 4), np.float32))
    assert step.explain().sizes == {"n": 3}


def test_its_data() -> None:
    step = trained()
    step(np.ones((8, 4), np.float32))
    story = step.explain()
    assert {r.name for r in story.passes} >= {"canonicalize", "cse", "simplify", "materialize"}
    fired = {p.rule for r in story.passes for p in r.replacements}
    assert "mul_one" in fired
    assert sum(len(g.nodes) for g in story.groups) <= len(story.prepared.nodes)
    assert story.cost == step.cost()
    assert story.seconds.keys() >= {"fuse", "lower", "llvm"}


def test_diff_shows_a_pass() -> None:
    step = trained()
    step(np.ones((8, 4), np.float32))
    lines = step.explain().diff("simplify").splitlines()
    assert lines[:2] == ["--- before simplify", "+++ after simplify"]
    assert any(re.match(r"-    \w+ = mul\(\w+, 1.0\)", line) for line in lines)
    assert step.explain().diff("prune") == ""
    with pytest.raises(gx.ArgumentError, match="no pass 'simplfy' ran in turn any; these did: canonicalize"):
        step.explain().diff("simplfy")


def test_a_loop_is_told_step_by_step() -> None:
    xs = gx.placeholder((5, 3), name="xs")
    last, ys = gx.scan(lambda c, x: (gx.tanh(c + x), c * 2), gx.zeros((3,)), xs)
    text = str(gx.compile([xs], [last, ys], name="loop").explain())
    assert "in each of 5 steps:" in text
    assert "tanh(" in text


class TestEnvironment:
    def test_print_shows_passes_that_changed_the_graph(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("GRAPHC_PRINT", "simplify, fuse")
        gx.compile([x], gx.sum(x * 1), name="f")
        printed = capfd.readouterr().err
        assert printed.count("# after simplify\ndef f(x: f32[3, 4]):") == 1
        assert "# after fuse\nreduction [(3), (4)]: sum" in printed
        assert "canonicalize" not in printed

    def test_print_of_all(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("GRAPHC_PRINT", "all")
        gx.compile([x], gx.sum(2 * x * 1))
        assert "# after canonicalize" in capfd.readouterr().err

    def test_print_of_an_unknown_pass_says_which_there_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRAPHC_PRINT", "simplfy")
        with pytest.raises(gx.ArgumentError, match=r"GRAPHC_PRINT: no pass is called 'simplfy'; there are .*simplify"):
            gx.compile([x], x * 1)

    def test_time_lists_stages(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("GRAPHC_TIME", "1")
        gx.compile([x], x * 1, name="f")
        printed = capfd.readouterr().err
        assert printed.startswith("# f: compiled in ")
        assert re.search(r"ms +\d+%  llvm\n", printed)

    def test_neither_is_printed_unless_asked(self, capfd: pytest.CaptureFixture[str]) -> None:
        gx.compile([x], x * 1)
        assert capfd.readouterr().err == ""


def test_the_eager_backend_has_nothing_to_explain() -> None:
    run = gx.compile([x], x * 1, backend="eager", name="plain")
    with pytest.raises(gx.ArgumentError, match="plain runs on the eager backend, which makes nothing to show"):
        run.explain()


def test_it_says_what_calls_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    program = gx.compile([x, y], [gx.asinh(x) + 1, gx.fmod(x, y)], name="native")
    assert program.cost().library == ()
    assert "C library" not in str(program.explain())
    assert library_calls(gx.asinh(x), gx.fmod(x, y)) == ()
    monkeypatch.delitem(FUNCTIONS._made, ("asinh", x.dtype))  # type: ignore[attr-defined]
    assert library_calls(gx.exp(gx.asinh(x))) == ("asinh",)
    program = gx.compile([x], gx.asinh(x) - 1, name="foreign")
    assert program.cost().library == ("asinh",)
    text = str(program.explain())
    assert "slow: calls asinh of the C library one element at a time" in text
    assert "calls      asinh of the C library one element at a time" in text
    profile = program.profile(np.ones((3, 4), np.float32))
    assert profile.kernels[0].library == ("asinh",)
    assert "calls asinh of the C library one element at a time" in str(profile)
