"""Random programs, compiled through the whole pipeline and run natively, give what the operations' references give.

Values with one right result agree bit for bit. Others may differ as much as the reference itself moves when every
inexact operation in it is disturbed by as much as it may be off.

`HYPOTHESIS_PROFILE=long` runs thousands of new programs; `pytest --hypothesis-seed=N` others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import graphc as gx
from graphc.array.handle import wrap
from graphc.ir.graph import OPS, Contraction, Elementwise, Graph, Node, Reduction, Region
from graphc.ir.intern import bodies_of
from graphc.ir.text import from_text, to_text
from graphc.ir.types import TupleType
from graphc.options import Options
from graphc.pipeline import optimize
from tests.agreement import FUNCTION_STEPS, assert_identical, chooses_zeros, is_exact, wide
from tests.native import NativeGraph
from tests.random_graphs import Program, RandomChoices, random_array, random_program

Array = np.ndarray[Any, Any]

DISTURBED_RUNS = 10
CHOOSING = {"select", "max", "min", "relu", "identity", "neg", "abs"}
"""Operations that return an operand, or its opposite, without rounding."""

SAFETY, ROUNDINGS = 32, 2
"""Differences allowed: so many times the disturbance seen, and so many roundings where disturbances cancelled."""

hypothesis.settings.register_profile(
    "default", max_examples=150, derandomize=True, database=None, deadline=None, print_blob=False
)
hypothesis.settings.register_profile("long", max_examples=5000, deadline=None, database=None)
PROFILE = hypothesis.settings.get_profile("long" if os.environ.get("HYPOTHESIS_PROFILE") == "long" else "default")


# The oracle.


class Oracle:
    """Evaluation by references, disturbed from a seed wherever a value may be off. Nodes in `exact` never are.

    Seeds 2k and 2k + 1 disturb the same way in opposite directions.
    """

    def __init__(self, exact: frozenset[Node], seed: int | None = None) -> None:
        self.exact = exact
        self.sign = 1 if seed is None or seed % 2 else -1
        self.rng = None if seed is None else np.random.default_rng(seed // 2)

    def results(
        self, graph: Graph, inputs: Sequence[Array], variables: Mapping[Node, Array] = MappingProxyType({})
    ) -> tuple[Array, ...]:
        values: dict[Node, Any] = {**dict(zip(graph.inputs, inputs, strict=True)), **variables}
        with np.errstate(all="ignore"):
            for node in graph.nodes:
                if node not in values:
                    values[node] = self._apply(node, [values[i] for i in node.inputs])
        return tuple([np.asarray(values[r]) for r in graph.results])

    def _apply(self, node: Node, arrays: list[Array]) -> Any:
        if isinstance(node.op, Region):
            return node.op.reference(self.results, *arrays, **node.attrs)
        if isinstance(node.type, TupleType) or node.dtype.kind != "f":
            return node.op.reference(*arrays, **node.attrs)
        if isinstance(node.op, Reduction | Contraction):
            # NumPy's own sums may be less exact than ours.
            result = np.asarray(node.op.reference(*[wide(a) for a in arrays], **node.attrs)).astype(node.dtype)
        else:
            result = np.asarray(node.op.reference(*arrays, **node.attrs))
        if chooses_zeros(node):
            result = _with_ordered_zeros(node, arrays, result)
        if self.rng is None or node in self.exact:
            return result
        share = self.rng.uniform(0.5, 1, result.shape) * self.rng.choice([-self.sign, self.sign], result.shape)
        off = (share * _error_bound(node, arrays, result)).astype(result.dtype)
        return np.where(np.isfinite(result), result + off, result)


def _error_bound(node: Node, arrays: Sequence[Array], result: Array) -> Array:
    """Return how much one operation, or rounding its result, may be off."""
    magnitude = np.abs(result)
    if isinstance(node.op, Reduction | Contraction) and not is_exact(node):
        total = np.asarray(node.op.reference(*[np.abs(a) for a in arrays], **node.attrs))
        magnitude = np.where(np.isfinite(total), total, magnitude)
    info = np.finfo(result.dtype)
    if not is_exact(node):
        return FUNCTION_STEPS * (info.eps * magnitude + info.smallest_subnormal)
    rounds = isinstance(node.op, Elementwise) and node.op.scalar not in CHOOSING
    return np.asarray(info.eps * magnitude * rounds)


def _with_ordered_zeros(node: Node, arrays: list[Array], result: Array) -> Array:
    """Take -0 to be less than 0, as native code does; NumPy returns either."""
    largest = getattr(node.op, "scalar", "") in ("max", "relu") or getattr(node.op, "combine", "") == "max"
    if isinstance(node.op, Reduction):
        is_sought = (arrays[0] == 0) & (np.signbit(arrays[0]) != largest)
        sought = is_sought.any(axis=node.attrs["axis"])
    else:
        operands = [*arrays, np.zeros((), result.dtype)] if len(arrays) == 1 else arrays
        sought = np.logical_or(*[(a == 0) & (np.signbit(a) != largest) for a in operands])
    zero = np.asarray(0.0 if largest else -0.0, result.dtype)
    return np.where(result == 0, np.where(sought, zero, -zero), result)


def assert_agrees(program: Program, found: Sequence[Array], inputs: Sequence[Array], variables: Mapping) -> None:
    """Require that `found` are the results of a program."""
    expected, *disturbed = [
        Oracle(program.exact, seed).results(program.graph, inputs, variables) for seed in (None, *range(DISTURBED_RUNS))
    ]
    for k, (node, result, value) in enumerate(zip(program.graph.results, found, expected, strict=True)):
        if node in program.exact or node.dtype.kind != "f":
            assert_identical(result, value)
        else:
            _assert_near(result, value, np.array([d[k] for d in disturbed]), multiplies_products(program.graph))


def multiplies_products(graph: Graph) -> bool:
    """Tell whether a product is a factor of another: the order chosen for them may overflow, or meet inf * 0 or
    inf - inf, where another does not (docs/design/0008)."""
    product: set[Node] = set()
    for node in graph.nodes:
        if isinstance(node.op, Region) and any(multiplies_products(body) for body in bodies_of(node)):
            return True
        if any(i in product for i in node.inputs):
            if isinstance(node.op, Contraction):
                return True
            if not isinstance(node.op, Elementwise):
                product.add(node)
        if isinstance(node.op, Contraction):
            product.add(node)
    return False


def _assert_near(result: Array, expected: Array, disturbed: Array, reordered: bool = False) -> None:
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    with np.errstate(all="ignore"):
        spread = np.max(np.abs(disturbed - expected), axis=0)
        error = np.abs(result.astype(np.float64) - expected)
        # Elsewhere the value says nothing: the tangent of a huge number, say.
        settled = np.isfinite(disturbed).all(axis=0) & np.isfinite(expected) & (spread <= 0.01 * np.abs(expected))
    bad = settled & ~(error <= SAFETY * spread + ROUNDINGS * np.finfo(result.dtype).eps * np.abs(expected))
    always = ~np.isfinite(expected) & (np.isnan(disturbed) == np.isnan(expected)).all(axis=0)
    always &= (np.isnan(expected) | (disturbed == expected)).all(axis=0)
    always &= not reordered
    bad |= always & ~((result == expected) | (np.isnan(result) & np.isnan(expected)))
    where = np.argwhere(bad)[:3]
    assert not bad.any(), [(p.tolist(), result[tuple(p)], expected[tuple(p)], spread[tuple(p)]) for p in where]


# The comparison.


def check(program: Program) -> None:
    """Compare one run of the optimised graph, on guarded memory, with the oracle."""
    optimized = optimize(program.graph, Options(verify=True))
    found = NativeGraph(optimized)(program.inputs, program.variables)
    assert_agrees(program, found, program.inputs, program.variables)


def check_as_user(program: Program) -> None:
    """Compare two calls of what `compile` gives, the second with the variables as the first left them."""
    variables = {n: gx.variable(a, name=n.attrs["name"]) for n, a in program.variables.items()}
    graph = program.graph.rewrite(lambda n, inputs: variables[n].node if n in variables else n.with_inputs(inputs))
    run = gx.compile(
        [wrap(i) for i in graph.inputs],
        [wrap(o) for o in graph.outputs],
        updates={variables[v]: wrap(value) for v, value in graph.updates},
    )
    for _ in range(2):
        before = {n: v.value for n, v in variables.items()}
        outputs = [np.asarray(o) for o in run(*program.inputs)]
        assert_agrees(program, [*outputs, *[variables[v].value for v, _ in graph.updates]], program.inputs, before)


class _Drawn:
    """Decisions by hypothesis."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))


@st.composite
def programs(draw: Any, most_steps: int) -> Program:
    return random_program(_Drawn(draw), most_steps)


def random_programs(most_steps: int, share: int) -> Any:
    """Run a test on random programs, one `share`-th as many as the profile says."""
    settings = hypothesis.settings(
        PROFILE, max_examples=PROFILE.max_examples // share, suppress_health_check=list(hypothesis.HealthCheck)
    )
    return lambda test: settings(hypothesis.given(programs(most_steps))(test))


@random_programs(40, 1)
def test_random_programs(program: Program):
    hypothesis.note(to_text(program.graph))
    check(program)


@random_programs(12, 4)
def test_random_programs_as_a_user_runs_them(program: Program):
    hypothesis.note(to_text(program.graph))
    check_as_user(program)


WINDOWED = {"convolve", "convolve_input", "convolve_weight", "max_pool", "pool_index", "pool_take", "pool_put"}
"""Operations on sliding windows: what fits them is rare among random shapes, so their samples and tests/nn vary it."""


TAKEN_OUT = {"again", "checkpoint", "custom_vjp", "with_update"}
"""What is gone before code is made; the tests of transforms and of updates vary it."""

NARROW = {"gamma_tail", "hurwitz_zeta"}
"""Parts of derivatives, with a meaning for few arguments, which random values are not."""


def test_random_programs_use_every_operation():
    found: set[str] = set()
    for seed in range(1200):
        graphs = [random_program(RandomChoices(seed)).graph]
        for graph in graphs:
            found |= {n.op.name for n in graph.nodes}
            graphs += [body for n in graph.nodes for body in bodies_of(n)]
    assert found == OPS.keys() - WINDOWED - TAKEN_OUT - NARROW


# Programs that once went wrong, and those that updates make delicate.

PROGRAMS = {
    "an output reads what an update in the same kernel replaces": """
def f(x: f32[17], *, w: f32[17]):
    v0 = mul(x, 2.0)
    v1 = div(v0, w)
    return (v1,), {w: v0}
""",
    "so does the epilogue of a contraction": """
def f(x: f32[17, 5], y: f32[5, 9], *, w: f32[17, 9]):
    v0 = contract(x, y, spec="mk,kn->mn")
    v1 = sub(w, v0)
    v2 = mul(v1, w)
    return (v2,), {w: v1}
""",
    "two variables from each other in one kernel": """
def f(*, a: f32[33], b: f32[33]):
    v0 = mul(b, 2.0)
    v1 = mul(a, 3.0)
    v2 = add(v0, v1)
    return (v2,), {a: v0, b: v1}
""",
    "two variables swapped": """
def f(*, a: f32[33], b: f32[33]):
    return (), {a: b, b: a}
""",
    "three variables in a circle, read besides": """
def f(*, a: f64[5], b: f64[5], c: f64[5]):
    v0 = add(a, b)
    v1 = sum(c, axis=(0,))
    return (v0, v1, a), {a: b, b: c, c: a}
""",
    "an output that is a variable which is updated, twice": """
def f(x: i32[3, 5], *, a: i32[3, 5]):
    v0 = add(a, x)
    return (a, v0, a, v0), {a: v0}
""",
    "outputs that are inputs, constants and views": """
def f(x: f32[3, 5], y: f32[()], *, a: f32[3, 5]):
    v0 = transpose(x, axes=(1, 0))
    v1 = transpose(a, axes=(1, 0))
    v2 = broadcast(y, shape=(4,), axes=())
    v3 = reshape(x, shape=(15,))
    return (x, x, v0, v1, v2, v3, f32(1.5), constant_, y), {a: x}
""",
    "a variable turned round in place": """
def f(*, a: f32[17, 17]):
    v0 = transpose(a, axes=(1, 0))
    v1 = slice(a, start=(16, 0), shape=(17, 17), step=(-1, 1))
    v2 = add(v0, v1)
    return (), {a: v2}
""",
    "a variable multiplied by itself": """
def f(*, a: f32[17, 17]):
    v0 = contract(a, a, spec="mk,kn->mn")
    v1 = contract(v0, a, spec="mk,nk->mn")
    return (v0,), {a: v1}
""",
    "a variable updated by what it is summed to": """
def f(x: f64[7, 33], *, a: f64[7, 33], b: f64[7]):
    v0 = mul(a, x)
    v1 = sum(v0, axis=(1,))
    v2 = broadcast(v1, shape=(7, 33), axes=(0,))
    v3 = sub(a, v2)
    v4 = add(b, v1)
    return (v4,), {a: v3, b: v1}
""",
    "a variable that a loop reads and another that it makes": """
def f(x: f64[4, 3], *, a: f64[3], b: f64[4, 3]):
    def step(c: f64[3], r: f64[3], k: f64[3]):
        v0 = mul(r, k)
        v1 = add(c, v0)
        return (v1, v0)
    v0 = scan(a, x, a, body=step, carries=1, slices=1, length=4, reverse=False)
    v1 = v0[0]
    v2 = v0[1]
    v3 = add(v2, b)
    return (v2, v3), {a: v1, b: v2}
""",
    "a variable without elements": """
def f(x: f32[0, 3], *, a: f32[0, 3]):
    v0 = add(a, x)
    return (v0,), {a: v0}
""",
    "updates of the kinds that need no code": """
def f(x: f32[3], *, a: f32[3], b: f32[3], c: f32[3]):
    v0 = broadcast(f32(2.0), shape=(3,), axes=())
    return (), {a: x, b: b, c: v0}
""",
    "a padded view between a reshape and a fold, backwards": """
def f(x: f32[1, 7, 7]):
    v0 = add(x, x)
    v1 = reshape(v0, shape=(7, 7))
    v2 = embed(v1, shape=(22, 9), start=(1, 8), step=(3, -1), value=1)
    v3 = min(v2, axis=(1,))
    return (v3,)
""",
    "a padded view that rows are folded from twice": """
def f(x: f32[3, 3]):
    v0 = embed(x, shape=(7, 5), start=(1, 4), step=(1, -1), value=1)
    v1 = max(v0, axis=(1,))
    v2 = broadcast(v1, shape=(7, 5), axes=(0,))
    v3 = sub(v0, v2)
    v4 = exp(v3)
    v5 = sum(v4, axis=(1,))
    return (v4, v5)
""",
    "narrow integers whose last vector has one element": """
def f(x: i32[17], y: i64[33]):
    v0 = cast(x, dtype=i8)
    v1 = cast(y, dtype=i16)
    return (v0, v1)
""",
    "a loop over nothing, of computed rows": """
def f(x: f64[0, 3], c: f64[3]):
    def step(c: f64[3], r: f64[3]):
        v0 = add(c, r)
        return (v0, r)
    v0 = mul(x, 2.0)
    v1 = scan(c, v0, body=step, carries=1, slices=1, length=0, reverse=False)
    v2 = v1[0]
    v3 = v1[1]
    return (v2, v3)
""",
}


def program_of(text: str, edges: bool) -> Program:
    graph = from_text(text.strip().replace("constant_", "constant(i64[2], [3, 4])"))
    rng = np.random.default_rng(1)
    values = [random_array(rng, n.tensor_type, edges) for n in (*graph.inputs, *graph.variables)]
    exact: set[Node] = set()
    for node in graph.nodes:
        if not isinstance(node.type, TupleType) and is_exact(node) and all(i in exact for i in node.inputs):
            exact.add(node)
    count = len(graph.inputs)
    variables = dict(zip(graph.variables, values[count:], strict=True))
    return Program(graph, tuple(values[:count]), variables, frozenset(exact))


@pytest.mark.parametrize("edges", [False, True], ids=["moderate", "edges"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, edges: bool):
    program = program_of(PROGRAMS[name], edges)
    check(program)
    check_as_user(program)
