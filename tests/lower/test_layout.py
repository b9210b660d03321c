"""Arrays that take over the memory of others: where that is right, how much it saves, and never a wrong number."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler import optimize
from graphc.eager import evaluate
from graphc.ir.loops import Call, Copy, Region, Repeat, Step
from graphc.ir.text import from_text
from tests.agreement import assert_near
from tests.native import TARGETS, LoweredGraph, NativeGraph
from tests.random_graphs import RandomChoices, random_array, random_program

ROW, MATRIX = 4 * 64, 4 * 32 * 32
"""Bytes of f32[64] and of f32[32, 32]."""

PROGRAMS = {
    "columns folded and met by rows": (
        2 * MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = sum(v0, axis=(0,))
    v2 = broadcast(v1, shape=(32, 32), axes=(0,))
    v3 = add(v0, v2)
    v4 = contract(v3, w, spec="mk,kn->mn")
    return (v4,)
""",
    ),
    "columns folded and met by what they were": (
        2 * MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = sum(v0, axis=(0,))
    v2 = broadcast(v1, shape=(32, 32), axes=(1,))
    v3 = add(v0, v2)
    v4 = contract(v3, w, spec="mk,kn->mn")
    return (v4,)
""",
    ),
    "a residual that an epilogue reads": (
        2 * MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = contract(v0, w, spec="mk,kn->mn")
    v2 = tanh(v1)
    v3 = contract(v2, w, spec="mk,kn->mn")
    v4 = add(v0, v3)
    v5 = contract(v4, v4, spec="mk,kn->mn")
    return (v5,)
""",
    ),
    "rows folded and met by what they were": (
        MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = max(v0, axis=(1,))
    v2 = broadcast(v1, shape=(32, 32), axes=(0,))
    v3 = sub(v0, v2)
    v4 = exp(v3)
    v5 = sum(v4, axis=(1,))
    v6 = broadcast(v5, shape=(32, 32), axes=(0,))
    v7 = div(v4, v6)
    v8 = contract(v7, w, spec="mk,kn->mn")
    return (v8,)
""",
    ),
    "what is computed lies where the output will be": (
        0,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = max(v0, axis=(1,))
    v2 = broadcast(v1, shape=(32, 32), axes=(0,))
    v3 = sub(v0, v2)
    return (v3,)
""",
    ),
    "or where the new value of a variable will be": (
        MATRIX,
        """
def f(x: f32[32, 32], *, w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = contract(v0, x, spec="mk,kn->mn")
    v2 = max(v1, axis=(1,))
    v3 = broadcast(v2, shape=(32, 32), axes=(0,))
    v4 = sub(v1, v3)
    return (), {w: v4}
""",
    ),
    "but not while the old value is read": (
        MATRIX,
        """
def f(x: f32[32, 32], *, w: f32[32, 32]):
    v0 = contract(x, x, spec="mk,kn->mn")
    v1 = contract(v0, w, spec="mk,kn->mn")
    v2 = max(v0, axis=(1,))
    v3 = broadcast(v2, shape=(32, 32), axes=(0,))
    v4 = sub(v0, v3)
    return (v1,), {w: v4}
""",
    ),
    "nor before all checks": (
        MATRIX + 64,
        """
def f(x: f32[32, 32], i: i64[3], *, w: f32[32, 32]):
    v0 = contract(x, x, spec="mk,kn->mn")
    v1 = sum(v0, axis=(0, 1))
    v2 = cast(v1, dtype=i64)
    v3 = mul(v2, 0)
    v4 = add(i, v3)
    v5 = check_index(v4, size=20, wrap=True)
    v6 = max(v0, axis=(1,))
    v7 = broadcast(v6, shape=(32, 32), axes=(0,))
    v8 = sub(v0, v7)
    return (v5,), {w: v8}
""",
    ),
    "a row that is read again after a result was stored": (
        3 * MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = max(v0, axis=(1,))
    v2 = broadcast(v1, shape=(32, 32), axes=(0,))
    v3 = sub(v0, v2)
    v4 = exp(v3)
    v5 = sum(v4, axis=(1,))
    v6 = broadcast(v5, shape=(32, 32), axes=(0,))
    v7 = div(v0, v6)
    v8 = contract(v7, v4, spec="mk,kn->mn")
    return (v8,)
""",
    ),
    "read at other elements": (
        2 * MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = transpose(v0, axes=(1, 0))
    v2 = add(v0, v1)
    v3 = contract(v2, w, spec="mk,kn->mn")
    return (v3,)
""",
    ),
    "elements of another width": (
        MATRIX,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = max(v0, axis=(0,))
    v2 = broadcast(v1, shape=(32, 32), axes=(1,))
    v3 = lt(v0, v2)
    return (v3,)
""",
    ),
    "the first value of a carry": (
        ROW,
        """
def f(x: f32[64], w: f32[64, 64], xs: f32[5, 64]):
    def step(c: f32[64], x: f32[64], w: f32[64, 64]):
        v0 = contract(c, w, spec="k,kn->n")
        v1 = add(v0, x)
        return (v1,)
    v0 = contract(x, w, spec="k,kn->n")
    v1 = scan(v0, xs, w, body=step, carries=1, slices=1, length=5, reverse=False)
    v2 = v1[0]
    return (v2,)
""",
    ),
    "two carries that begin alike": (
        ROW,
        """
def f(x: f32[64], w: f32[64, 64], xs: f32[5, 64]):
    def step(c: f32[64], d: f32[64], x: f32[64]):
        v0 = mul(d, x)
        v1 = add(c, x)
        return (v0, v1)
    v0 = contract(x, w, spec="k,kn->n")
    v1 = scan(v0, v0, xs, body=step, carries=2, slices=1, length=5, reverse=False)
    v2 = v1[0]
    v3 = v1[1]
    v4 = add(v2, v3)
    return (v2, v3)
""",
    ),
    "a reshape as an output": (
        0,
        """
def f(x: f32[32, 32], w: f32[32, 32]):
    v0 = contract(x, w, spec="mk,kn->mn")
    v1 = reshape(v0, shape=(4, 8, 32))
    v2 = reshape(v1, shape=(1024,))
    return (v2,)
""",
    ),
}


def compare(native: NativeGraph, inputs: list[np.ndarray], variables: dict, ulps: float = 2000) -> None:
    with np.errstate(all="ignore"):
        expected = evaluate(native.graph, inputs, variables)
    for found, value in zip(native(inputs, variables), expected, strict=True):
        assert_near(found, value, ulps)


def copies(steps: tuple[Step, ...]) -> int:
    return sum(copies(s.steps) if isinstance(s, Repeat) else isinstance(s, Copy) for s in steps)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_memory_and_values(name: str, target: str) -> None:
    arena, text = PROGRAMS[name]
    native = NativeGraph(from_text(text.strip()), TARGETS[target])
    rng = np.random.default_rng(0)
    inputs = [random_array(rng, i.tensor_type, edges=False) for i in native.graph.inputs]
    variables = {v: random_array(rng, v.tensor_type, edges=False) for v in native.graph.variables}
    compare(native, inputs, variables)
    assert (native.program.arena_bytes, native.lowered.live_bytes) == (arena, arena)


def test_the_first_value_of_a_carry_is_not_copied() -> None:
    _, text = PROGRAMS["the first value of a carry"]
    assert copies(LoweredGraph(from_text(text.strip()), TARGETS["host"]).program.steps) == 1  # the new carry


@pytest.mark.parametrize("target", TARGETS)
def test_what_every_step_does_alike_is_done_before_the_loop(target: str) -> None:
    """A product with a turned weight reads a copy that is in order; it is made once, also by a loop in a loop."""
    graph = from_text(
        """
def f(h: f32[64, 32], w: f32[32, 32], xs: f32[5, 64, 32]):
    def inner(h: f32[64, 32], w: f32[32, 32]):
        v0 = contract(h, w, spec="mk,nk->mn")
        v1 = tanh(v0)
        return (v1,)
    def outer(h: f32[64, 32], x: f32[64, 32], w: f32[32, 32]):
        v0 = contract(h, w, spec="mk,nk->mn")
        v1 = add(v0, x)
        v2 = scan(v1, w, body=inner, carries=1, slices=0, length=3, reverse=False)
        v3 = v2[0]
        return (v3,)
    v0 = scan(h, xs, w, body=outer, carries=1, slices=1, length=5, reverse=False)
    v1 = v0[0]
    return (v1,)
""".strip()
    )
    native = NativeGraph(graph, TARGETS[target])
    rng = np.random.default_rng(0)
    compare(native, [0.1 * random_array(rng, i.tensor_type, edges=False) for i in graph.inputs], {})

    def packed(steps: tuple[Step, ...]) -> list[str]:
        return [s.kernel.name for s in steps if isinstance(s, Call) and s.kernel.name.endswith("_b")]

    (loop,) = [s for s in native.program.steps if isinstance(s, Repeat)]
    (within,) = [s for s in loop.steps if isinstance(s, Repeat)]
    assert [len(packed(steps)) for steps in (native.program.steps, loop.steps, within.steps)] == [1, 1, 0]


def test_outputs_that_reshape_what_is_computed_need_no_copy() -> None:
    _, text = PROGRAMS["a reshape as an output"]
    program = LoweredGraph(from_text(text.strip()), TARGETS["host"]).program
    assert len(program.steps) == 1
    assert program.outputs[0].shape == (1024,)


def test_one_computation_for_outputs_in_several_shapes() -> None:
    graph = from_text(
        """
def f(x: f32[6]):
    v0 = exp(x)
    v1 = reshape(v0, shape=(2, 3))
    v2 = reshape(v0, shape=(3, 2))
    return (v1, v0, v2, v0)
""".strip()
    )
    native = NativeGraph(graph)
    found = native([np.arange(6)], {})
    assert [f.shape for f in found] == [(2, 3), (6,), (3, 2), (6,)]
    assert len({f.tobytes() for f in found}) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_random_programs(target: str) -> None:
    """Values on guarded memory for every target; the same arrays are placed within 1.15 of what is in use at once."""
    shared = arena = needed = 0
    for seed in range(60):
        program = random_program(RandomChoices(seed), 25)
        native = NativeGraph(optimize(program.graph), TARGETS[target])
        compare(native, list(program.inputs), program.variables, 1e6)
        arena += native.program.arena_bytes
        needed += native.lowered.live_bytes
        calls = [s for s in native.program.steps if isinstance(s, Call)]
        shared += sum(len({a for a in c.args if a.region is not Region.INPUT}) < len(c.args) for c in calls)
    assert arena <= 1.15 * needed
    assert shared > 10
