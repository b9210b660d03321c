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
from hypothesis import strategies as st

from graphc.compiler import Options, optimize
from graphc.ir.graph import Contraction, Elementwise, Graph, Node, Reduction, Region
from graphc.ir.text import to_text
from graphc.ir.types import TupleType
from tests.agreement import FUNCTION_STEPS, assert_identical, chooses_zeros, is_exact
from tests.native import NativeGraph
from tests.random_graphs import Program, random_program

Array = np.ndarray[Any, Any]

DISTURBED_RUNS = 6
CHOOSING = {"select", "max", "min", "relu", "identity", "neg", "abs"}
"""Operations that return an operand, or its opposite, without rounding."""

SAFETY = 16
"""Differences allowed, in disturbances seen."""

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
        result = node.op.reference(*arrays, **node.attrs)
        if isinstance(node.type, TupleType) or node.dtype.kind != "f":
            return result
        result = np.asarray(result)
        if chooses_zeros(node):
            result = _with_ordered_zeros(node, arrays, result)
        if self.rng is None or node in self.exact:
            return result
        off = _error_bound(node, arrays, result) * self.sign * self.rng.uniform(0.5, 1, result.shape) * self.rng.choice([-1, 1], result.shape)
        return np.where(np.isfinite(result), result + off.astype(result.dtype), result)


def _error_bound(node: Node, arrays: Sequence[Array], result: Array) -> Array:
    """Return how much one operation, or rounding its result, may be off."""
    magnitude = np.abs(result)
    if isinstance(node.op, Reduction | Contraction) and not is_exact(node) and np.isfinite(magnitude).all():
        magnitude = np.asarray(node.op.reference(*[np.abs(a) for a in arrays], **node.attrs))
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
        Oracle(program.exact, seed).results(program.graph, inputs, variables)
        for seed in (None, *range(DISTURBED_RUNS))
    ]
    for k, (node, result, value) in enumerate(zip(program.graph.results, found, expected, strict=True)):
        if node in program.exact or node.dtype.kind != "f":
            assert_identical(result, value)
        else:
            _assert_near(result, value, np.array([d[k] for d in disturbed]))


def _assert_near(result: Array, expected: Array, disturbed: Array) -> None:
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    with np.errstate(all="ignore"):
        spread = np.max(np.abs(disturbed - expected), axis=0)
        error = np.abs(result.astype(np.float64) - expected)
    settled = np.isfinite(disturbed).all(axis=0) & np.isfinite(expected)
    bad = settled & ~(error <= SAFETY * spread)
    always = ~np.isfinite(expected) & (np.isnan(disturbed) == np.isnan(expected)).all(axis=0)
    always &= (np.isnan(expected) | (disturbed == expected)).all(axis=0)
    bad |= always & ~((result == expected) | (np.isnan(result) & np.isnan(expected)))
    where = np.argwhere(bad)[:3]
    assert not bad.any(), [(p.tolist(), result[tuple(p)], expected[tuple(p)], spread[tuple(p)]) for p in where]


# The comparison.


def check(program: Program) -> None:
    """Compare one run of the optimised graph, on guarded memory, with the oracle."""
    optimized = optimize(program.graph, Options(verify=True))
    found = NativeGraph(optimized)(program.inputs, program.variables)
    assert_agrees(program, found, program.inputs, program.variables)


class _Drawn:
    """Decisions by hypothesis."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))


@st.composite
def programs(draw: Any) -> Program:
    return random_program(_Drawn(draw))


def _shown(program: Program) -> str:
    return to_text(program.graph)


@hypothesis.settings(PROFILE, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(programs())
def test_random_programs(program: Program):
    hypothesis.note(_shown(program))
    check(program)
