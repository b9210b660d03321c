"""Every rule by itself: the same value before and after, on edge values, and each rule fires somewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from graphc.eager import evaluate
from graphc.errors import GraphcError, OutOfBoundsError
from graphc.ir.graph import OPS, Gather, Graph, Node, Scatter, bind_sizes, literal, placeholder
from graphc.ir.journal import Journal
from graphc.ir.rewrite import Apply, Attr, Pattern, Rule, Variable
from graphc.ir.text import from_text
from graphc.ir.types import TensorType
from graphc.options import Options
from graphc.passes import canonicalize, simplify, stabilize
from graphc.passes.rules import arrays, indices
from graphc.pipeline import RULES as PROMISES
from graphc.pipeline import optimize, run_pass
from graphc.proof.rewrites import check_rewrites, graph_values
from tests.graphs import BOOL, EDGES, F32, F64, I32, I64, U8, feeds
from tests.passes.test_goldens import ALL, PASSES, Stanza

ON_ARRAYS = {
    *arrays.ARRAY_RULES, *arrays.FAST_ARRAY_RULES, *indices.INDEX_RULES, *indices.FAST_INDEX_RULES,
}  # fmt: skip
SCALAR_RULES = [r for r in (*simplify.RULES, *simplify.FAST) if r not in ON_ARRAYS]
WITH_CASTS = [r for r in SCALAR_RULES if "cast(" in repr(r.lhs)]
DTYPES = (F32, F64, I32, I64, U8, BOOL)
CONSTANTS = (2.0, 0.5, -3.0, 0.1, 8.0, 0.0, -0.0, 1e-40, np.inf, np.nan)
INTEGERS = (0, 1, 2, 3, -1, -7, 100)


def variables_of(pattern: object) -> dict[str, Variable]:
    if isinstance(pattern, Variable):
        return {pattern.name: pattern}
    found: dict[str, Variable] = {}
    for arg in pattern.args if isinstance(pattern, Apply) else ():
        found.update(variables_of(arg))
    return found


def values_of(dtype: np.dtype) -> np.ndarray:
    if dtype == BOOL:
        return np.array([False, True])
    if dtype.kind == "f":
        largest = np.finfo(dtype)
        with np.errstate(over="ignore"):
            return np.array([*EDGES, largest.max, largest.tiny, -largest.tiny / 4, 3.0, -1.5], dtype)
    info = np.iinfo(dtype)
    return np.array([v for v in (*INTEGERS, info.min, info.max) if info.min <= v <= info.max], dtype)


def build(pattern: Pattern | bool | int | float, nodes: dict[str, Node], dtype: np.dtype) -> Node:
    if isinstance(pattern, Variable):
        return nodes[pattern.name]
    assert isinstance(pattern, Apply)
    if pattern.op == "where" and isinstance(pattern.args[0], bool):
        args = [literal(pattern.args[0], BOOL), *[build(a, nodes, dtype) for a in pattern.args[1:]]]
    else:
        args = [build(a, nodes, dtype) if isinstance(a, Pattern) else number(a, dtype) for a in pattern.args]
    attrs = {k: (0,) if isinstance(v, Attr) else v for k, v in pattern.attrs.items()}
    return OPS[pattern.op](*args, **attrs)


def number(value: bool | int | float, dtype: np.dtype) -> Node:
    try:
        node = literal(value, dtype)
    except (OverflowError, ValueError) as e:
        raise GraphcError(str(e)) from None
    if dtype.kind != "f" and node.attrs["value"].array != value:
        raise GraphcError("not a number of the dtype")
    return node


def instances(rule: Rule, dtype: np.dtype) -> Iterator[tuple[Graph, list[np.ndarray]]]:
    """Yield graphs that compute the left side on all combinations of edge values, for several constants."""
    names = variables_of(rule.lhs)
    free = [n for n, v in names.items() if not v.constant]
    tables = np.meshgrid(*[values_of(BOOL if n == "p" else dtype) for n in free], indexing="ij")
    inputs = {n: placeholder(name=n, type=TensorType(t.dtype, (t.size,))) for n, t in zip(free, tables, strict=True)}
    constants = [v.name for v in names.values() if v.constant]
    choices = (CONSTANTS if rule.exact else CONSTANTS[:5]) if dtype.kind == "f" else INTEGERS
    for given in itertools.product(choices, repeat=len(constants)):
        try:
            fixed = {n: number(g, dtype) for n, g in zip(constants, given, strict=True)}
            lhs = build(rule.lhs, inputs | fixed, dtype)
        except GraphcError:
            continue  # the operation does not take the dtype
        yield Graph(tuple(inputs.values()), (lhs,)), [t.ravel() for t in tables]


def ulps_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how many floats lie between a and b."""
    bits = np.dtype(f"i{a.itemsize}")
    lowest = np.iinfo(bits).min
    x, y = (np.where(v.view(bits) < 0, lowest - v.view(bits), v.view(bits)) for v in (a, b))
    return np.abs(x - y)


def assert_same(rule: Rule, before: np.ndarray, after: np.ndarray, inputs: list[np.ndarray]) -> None:
    assert before.dtype == after.dtype
    assert before.shape == after.shape
    if before.dtype.kind != "f":
        np.testing.assert_array_equal(before, after)
        return
    is_nan = np.isnan(before)
    if not rule.exact:
        ordinary = np.all([np.isin(i, (1.0, 2.0, 0.5, 3.0)) for i in inputs], axis=0) if before.shape else True
        np.testing.assert_allclose(np.where(ordinary, before, 0), np.where(ordinary, after, 0), rtol=1e-5)
        return
    np.testing.assert_array_equal(is_nan, np.isnan(after))
    if rule.ulps:
        # The reference may be off by one itself.
        assert (ulps_between(before, after)[~is_nan] <= rule.ulps + 1).all()
    else:
        np.testing.assert_array_equal(before, after)
        np.testing.assert_array_equal(np.signbit(before[~is_nan]), np.signbit(after[~is_nan]))


@pytest.mark.parametrize("rule", [r for r in SCALAR_RULES if r not in WITH_CASTS], ids=lambda r: r.name)
def test_rule_keeps_values(rule: Rule) -> None:
    fired = 0
    for dtype in DTYPES:
        for graph, inputs in instances(rule, dtype):
            result = rule.apply(graph.outputs[0])
            if result is None:
                continue
            fired += 1
            assert result.type == graph.outputs[0].type
            (before,), (after,) = evaluate(graph, inputs), evaluate(Graph(graph.inputs, (result,)), inputs)
            assert_same(rule, before, after, inputs)
    assert fired, "no instance of the left side made the rule fire"


CASTABLE = [np.dtype(n) for n in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")]


@pytest.mark.parametrize("source", CASTABLE, ids=str)
def test_cast_of_cast(source: np.dtype) -> None:
    (rule,) = [r for r in simplify.RULES if r.name == "cast_cast"]
    values = values_of(source)
    x = placeholder(name="x", type=TensorType(source, values.shape))
    for middle, target in itertools.product(CASTABLE, CASTABLE):
        lhs = OPS["cast"](OPS["cast"](x, dtype=middle), dtype=target)
        result = rule.apply(lhs)
        # A float outside the range of an integer dtype has no defined value there.
        defined = values[np.abs(values) < 100] if source.kind == "f" and target.kind in "iu" else values
        defined = defined[defined >= 0] if source.kind == "f" and target.kind == "u" else defined
        if result is not None:
            (before,), (after,) = evaluate(Graph((x,), (lhs,)), [defined]), evaluate(Graph((x,), (result,)), [defined])
            assert_same(rule, before, after, [defined])


def test_casts_that_lose_values_stay() -> None:
    for text in (
        "def f(x: f64[3]): return (cast(cast(x, dtype=f32), dtype=f64),)",
        "def f(x: i32[3]): return (cast(cast(x, dtype=f32), dtype=i32),)",
        "def f(x: i64[3]): return (cast(cast(x, dtype=f64), dtype=i64),)",
        "def f(x: i8[3]): return (cast(cast(x, dtype=u8), dtype=i32),)",
        "def f(x: i32[3]): return (cast(cast(x, dtype=bool), dtype=i32),)",
    ):
        graph = from_text(text)
        assert simplify.simplify(graph) is graph


VALUED = ("canonicalize", "simplify", "simplify_fast_math", "prune", "stabilize", "optimize")
NAMED = [s for s in ALL if s.file.stem in VALUED]


@pytest.mark.parametrize("stanza", NAMED, ids=lambda s: f"{s.file.stem}-{s.index}")
def test_goldens_keep_values(stanza: Stanza) -> None:
    graph = bind_sizes(from_text(stanza.before), {"n": 2})
    after = PASSES[stanza.file.stem](graph)
    inputs, variables = feeds(graph)
    if any(isinstance(n.op, Gather | Scatter) for n in graph.nodes):
        inputs = [a if a.dtype.kind == "f" else a % 2 for a in inputs]  # indices in range
    try:
        expected = evaluate(graph, inputs, variables)
    except OutOfBoundsError:
        with pytest.raises(OutOfBoundsError):
            evaluate(after, inputs, variables)
        return
    for a, b in zip(expected, evaluate(after, inputs, variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_every_rule_on_arrays_fires_in_a_golden() -> None:
    fired: set[str] = set()
    for stanza in NAMED:
        graph = from_text(stanza.before)
        canonicalize.canonicalize(graph, lambda name, *_: fired.add(name))
        simplify.simplify(graph, lambda name, *_: fired.add(name), fast_math=True)
    rules = (*canonicalize.canonical_rules(), *WITH_CASTS, *ON_ARRAYS)
    assert {r.name for r in rules} - fired == set()


def test_every_stable_rule_fires_in_a_golden() -> None:
    fired: set[str] = set()
    for stanza in [s for s in ALL if s.file.stem == "stabilize"]:
        stabilize.stabilize(from_text(stanza.before), lambda name, *_: fired.add(name))
    assert {r.name for r in stabilize.RULES} == fired


def test_rule_names_are_unique() -> None:
    stable = sorted({r.name for r in stabilize.RULES})  # one name for all orders of operands
    names = [r.name for r in (*canonicalize.canonical_rules(), *simplify.RULES, *simplify.FAST)] + stable
    assert len(set(names)) == len(names)


def test_only_fast_rules_are_inexact() -> None:
    assert all(r.exact for r in (*canonicalize.canonical_rules(), *simplify.RULES))
    assert not any(r.exact for r in simplify.FAST)
    assert all(r.stable and not r.exact for r in stabilize.RULES)


def test_on_fire_tells_rule_and_line() -> None:
    graph = from_text("def f(x: f32[3]):\n    y = mul(x, 1.0)\n    return (neg(y),)")
    seen: list[tuple[str, str, int]] = []
    simplify.simplify(
        graph, on_fire=lambda name, before, after: seen.append((name, after.op.name, before.location.line))
    )
    assert seen == [("mul_one", "placeholder", 2)]


def test_replacements_have_the_location_of_what_they_replace() -> None:
    graph = from_text("def f(x: f32[3]):\n    a = exp(x)\n    b = pow(a, 3.0)\n    return (b,)")
    (cube,) = simplify.simplify(graph).outputs
    assert [n.location.line for n in (cube, cube.inputs[0])] == [3, 3]


def test_fast_math_is_opt_in() -> None:
    graph = from_text("def f(x: f32[3]): return (add(x, 0.0),)")
    assert simplify.simplify(graph) is graph
    assert simplify.simplify(graph, fast_math=True).outputs == graph.inputs


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stanza", [s for s in ALL if s.file.stem != "fuse"], ids=lambda s: f"{s.file.stem}-{s.index}")
def test_every_firing_in_a_golden_keeps_its_value(stanza: Stanza, seed: int) -> None:
    """Rule by rule, on special values too, as verification does it."""
    graph = bind_sizes(from_text(stanza.before), {"n": 2})
    name, journal = stanza.file.stem, Journal(detailed=True)
    if name == "optimize":
        optimize(graph, None, journal)
    else:
        options = Options(fast_math=name == "simplify_fast_math")
        run_pass(simplify.simplify if options.fast_math else PASSES[name], graph, options, journal)
    inputs, state = feeds(graph, seed, edges=seed > 0)
    check_rewrites(journal.runs, PROMISES, graph_values(graph, inputs, state))
