"""Machine code does what the interpreter says a kernel means, for every target that this CPU can run.

`HYPOTHESIS_PROFILE=long` tries thousands of new kernels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import hypothesis
import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import strategies as st

from graphc.codegen.module import emit_module
from graphc.eager import evaluate
from graphc.ir.graph import Graph, items
from graphc.ir.interpret import run_kernel
from graphc.ir.loop_parse import kernel_from_text
from graphc.ir.loop_text import kernel_text
from graphc.ir.loops import For, LoopKind, Program, walk
from graphc.ir.types import TupleType
from graphc.ir.verify import verify_kernel
from graphc.lower.math import FUNCTIONS
from graphc.target import Target
from tests.agreement import assert_agrees
from tests.native import TARGETS, LoweredGraph, NativeGraph, program_of, run_natively
from tests.ops.samples import SAMPLES, Sample
from tests.random_graphs import RandomChoices
from tests.random_kernels import Case, random_kernel

Array = np.ndarray[Any, Any]

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def copies(arrays: Sequence[Array]) -> list[Array]:
    """Return copies of arrays; the same array twice is one copy twice."""
    made = {id(a): a.copy() for a in arrays}
    return [made[id(a)] for a in arrays]


def check(case: Case) -> None:
    verify_kernel(case.kernel, FUNCTIONS)
    expected = copies(case.arrays)
    failure = run_kernel(case.kernel, expected, FUNCTIONS)
    for name, target in TARGETS.items():
        found = copies(case.arrays)
        assert run_natively(case.kernel, found, FUNCTIONS, target) == failure, name
        if failure is None:  # what was written before a failure is nobody's business
            for buffer, a, b in zip(case.kernel.params, found, expected, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{buffer.name} for {name}")


class _Drawn:
    """Decisions by hypothesis."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))


@st.composite
def kernels(draw: Any) -> Case:
    return random_kernel(_Drawn(draw))


@hypothesis.settings(
    max_examples=3000 if IS_LONG else 60,
    derandomize=not IS_LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(kernels())
def test_random_kernels(case: Case):
    hypothesis.note(kernel_text(case.kernel))
    check(case)


def test_random_kernels_are_of_every_kind():
    """The comparison is worth little if what it is to compare never occurs."""
    statements, kinds, failures = set(), set(), 0
    for seed in range(60):
        case = random_kernel(RandomChoices(seed))
        statements |= {type(s).__name__ for s in walk(case.kernel.body)}
        kinds |= {s.kind for s in walk(case.kernel.body) if isinstance(s, For)}
        failures += run_kernel(case.kernel, copies(case.arrays), FUNCTIONS) is not None
    assert statements == {"For", "Let", "Store", "Accumulate", "Alloc", "If", "Check", "Block"}
    assert kinds == set(LoopKind)
    assert failures > 0


# Kernels that are delicate.

KERNELS = {
    "lanes beyond the end neither read nor write": """
def k(x: f32[1], y: f32[1], z: i64[33], b: bool[33]):
    for i in vector(1):
        y[i] = x[i]
    for i in vector(33):
        b[i] = z[i] < 5
""",
    "narrow elements of wide values, one left over": """
def k(x: i64[17], y: i8[17], z: i16[17], w: i32[17]):
    for i in vector(17):
        y[i] = cast(x[i], dtype=i8)
        z[i] = cast(x[i], dtype=i16)
        w[i] = cast(x[i], dtype=i32)
""",
    "a condition of lanes around a fold, a store and a name": """
def k(x: f32[70], y: f32[70], z: f32[1]):
    acc: register(f32[()])
    acc[()] = 0.0
    for i in vector(70):
        if x[i] < 4.0:
            t: f32 = x[i] * 2.0
            y[i] = t
            acc[()] += t * x[i]
    z[0] = acc[()]
""",
    "a condition of the whole around registers": """
def k(x: f32[9], n: i64[9], y: f32[9]):
    for i in range(9):
        acc: register(f32[()])
        acc[()] = 1.0
        if n[i] < 4:
            acc[()] = 2.0
            if n[i] < 2:
                acc[()].max(x[i])
        y[i] = acc[()]
""",
    "a gather some of whose lanes lie outside": """
def k(x: f64[5], n: i64[40], y: f64[40]):
    for i in vector(40):
        y[i] = x[n[i] - 2] if (n[i] >= 2) & (n[i] < 7) else -1.0
""",
    "divisors that are zero where nobody asks": """
def k(x: i32[19], n: i32[19], y: i32[19], z: i32[19]):
    for i in vector(19):
        d: i32 = select(n[i] == 0, 1, n[i])
        y[i] = quot(x[i], d) + rem(x[i], d)
    for i in range(19):
        if n[i] != 0:
            z[i] = quot(x[i], n[i])
""",
    "memory that is written and then read": """
def k(x: f32[40], y: f32[40]):
    for i in vector(40):
        y[i] = x[i] * 2.0
    for i in vector(40):
        y[i] = y[i] + 1.0
    for i in range(39):
        y[i + 1] += y[i]
""",
    "folds of few and of many vectors": """
def k(x: f64[1000], y: f64[2], z: i64[1000], w: i64[1]):
    acc: register(f64[()])
    acc[()] = 3.0
    for i in vector(1000):
        acc[()] += x[i]
    y[0] = acc[()]
    top: register(f64[()])
    top[()] = -100.0
    for i in vector(9):
        top[()].max(x[i])
    y[1] = top[()]
    low: register(i64[()])
    low[()] = 7
    for i in vector(1000):
        low[()].min(z[i])
    w[0] = low[()]
""",
}


def arrays_for(case: str) -> Case:
    kernel = kernel_from_text(KERNELS[case].strip())
    rng = np.random.default_rng(1)
    return Case(kernel, tuple([rng.integers(0, 9, b.shape).astype(b.type.dtype) for b in kernel.params]))


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name: str):
    check(arrays_for(name))


@pytest.mark.parametrize("at", [0, 15, 16, 38])
@pytest.mark.parametrize("kind", ["range", "vector"])
def test_a_check_stops_at_the_first_element_that_fails(kind: str, at: int):
    kernel = kernel_from_text(
        f"def k(n: i64[40], y: i64[40]):\n    for i in {kind}(40):\n"
        "        check(n[i] < 10, site=7, value=n[i])\n        y[i] = n[i]"
    )
    n = np.arange(40) % 10
    n[at], n[39] = 70 + at, 109
    case = Case(kernel, (n, np.zeros(40, np.int64)))
    assert run_kernel(kernel, copies(case.arrays), FUNCTIONS) == (7, n[at])
    check(case)


HOISTED = {
    "a number read in an inner loop": """
def k(n: i64[3], x: f64[10], y: f64[120]):
    for i in range(3):
        for j in {kind}(40):
            at: i64 = n[i]
            check((at >= 0) & (at < 10), site=3, value=at)
            y[i * 40 + j] = x[at]
""",
    "a vector read in an outer loop": """
def k(n: i64[3], x: f64[10], y: f64[120]):
    for i in range(40):
        for j in vector(3):
            at: i64 = n[j]
            check((at >= 0) & (at < 10), site=3, value=at)
            y[i * 3 + j] = x[at]
""",
    "rows": """
def k(n: i64[3], x: f64[400], y: f64[120]):
    for i in range(3):
        for j in {kind}(40):
            at: i64 = n[i]
            check((at >= 0) & (at < 10), site=3, value=at)
            y[i * 40 + j] += x[at * 40 + j]
""",
}


@pytest.mark.parametrize("kind", ["range", "vector"])
@pytest.mark.parametrize("name", HOISTED)
def test_nothing_is_read_at_an_index_before_it_is_checked(name: str, kind: str):
    kernel = kernel_from_text(HOISTED[name].strip().format(kind=kind))
    rng = np.random.default_rng(0)
    for wrong in (None, 10, -1, 1 << 44, -(1 << 60)):
        n = np.array([9, 0, 4 if wrong is None else wrong])
        case = Case(kernel, (n, *[rng.uniform(size=b.shape) for b in kernel.params[1:]]))
        failure = run_kernel(kernel, copies(case.arrays), FUNCTIONS)
        assert failure == (None if wrong is None else (3, wrong))
        check(case)


# Columns of register tiles.

TURNED = """
def k(x: {dtype}[{n}, {m}], y: {dtype}[{m}, {n}]):
    tile: register({dtype}[{n}, {m}])
    for i in unroll({n}):
        for j in vector({m}):
            tile[i, j] = x[i, j]
    for c in unroll({m}):
        for r in vector({n}):
            y[c, r] = tile[r, c]
"""


@pytest.mark.parametrize("dtype", ["f32", "f64", "i64", "i32", "i16", "u8", "bool"])
@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 3, 11, 17])
def test_columns_of_a_tile(n: int, dtype: str):
    for m in (n, 4, 16):
        kernel = kernel_from_text(TURNED.strip().format(n=n, m=m, dtype=dtype))
        x, y = (np.zeros(b.shape, b.type.dtype) for b in kernel.params)
        x[...] = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 99, x.shape)
        check(Case(kernel, (x, y)))


@pytest.mark.parametrize(("dtype", "n", "shuffles"), [("f32", 16, 64), ("f64", 8, 24), ("i32", 8, 24), ("f32", 4, 8)])
def test_a_tile_is_turned_in_few_shuffles(dtype: str, n: int, shuffles: int):
    """n vectors in log2(n) steps."""
    program = program_of(kernel_from_text(TURNED.strip().format(n=n, m=n, dtype=dtype)), FUNCTIONS)
    assert emit_module(program, TARGETS["host"]).count("shufflevector") == shuffles or TARGETS["host"].vector_bytes < 64


# Every operation on lesser targets.

LESSER = [name for name in TARGETS if name != "host"]


@pytest.mark.parametrize("target", LESSER)
@pytest.mark.parametrize("op", sorted(SAMPLES))
def test_operation_on_a_lesser_target(op: str, target: str):
    """Up to three samples of each operation, unlike in shape or dtype."""
    unlike = list({str(s): s for s in SAMPLES[op]}.values())
    for sample in unlike[:: -(-len(unlike) // 3)]:
        arrays = sample.arrays()
        graph = graph_of(sample)
        node = graph.outputs[0] if len(graph.outputs) == 1 else graph.outputs[0].inputs[0]
        for result, expected in zip(NativeGraph(graph, TARGETS[target])(arrays), evaluate(graph, arrays), strict=True):
            assert_agrees(node, arrays, result, expected)


def graph_of(sample: Sample) -> Graph:
    inputs = sample.placeholders()
    node = sample.node(inputs)
    return Graph(tuple(inputs), items(node) if isinstance(node.type, TupleType) else (node,))


# Another architecture.

AARCH64 = Target(
    triple="aarch64-unknown-linux-gnu", cpu="generic", features="", vector_bytes=16, vector_registers=32,
    has_fma=True, l1_bytes=32 << 10, l2_bytes=512 << 10, cores=1,
)  # fmt: skip


def assert_assembles(program: Program) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(emit_module(program, AARCH64))
    module.verify()
    machine = llvm.Target.from_triple(AARCH64.triple).create_target_machine(cpu=AARCH64.cpu, opt=1)
    assert f"{program.symbol}:" in machine.emit_assembly(module)


@pytest.mark.parametrize("seed", range(8))
def test_kernels_for_another_architecture_assemble(seed: int):
    assert_assembles(program_of(random_kernel(RandomChoices(seed)).kernel, FUNCTIONS))


@pytest.mark.parametrize(
    "op",
    ["contract", "pow", "sum", "cast", "scan", "remainder", "gather", "scatter", "convolve", "max_pool",
     "convolve_weight", "sort", "argsort", "cumsum", "while_loop", "cond", "sin", "transpose"],
)  # fmt: skip
def test_operations_for_another_architecture_assemble(op: str):
    for sample in SAMPLES[op][:2]:
        assert_assembles(LoweredGraph(graph_of(sample), AARCH64).program)
