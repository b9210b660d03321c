"""Updates in place: done where that saves a copy, not where an old value is still to be read or a check may fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.errors import OutOfBoundsError
from graphc.ir.loops import Block, Call, Copy, Kernel, Repeat, Step
from graphc.ir.text import from_text
from graphc.ir.types import TensorType
from graphc.lower.layout import Given, lay_out
from graphc.lower.memory import Storage
from graphc.lower.schedule import schedules
from graphc.lower.work import Launch, Temporary
from tests.native import NativeGraph

Array = np.ndarray[Any, Any]


def compiled(text: str) -> NativeGraph:
    return NativeGraph(from_text(text.strip()))


def run(native: NativeGraph, *inputs: Any, **variables: Any) -> tuple[Array, ...]:
    """Run on inputs and on variables by name."""
    arrays = [np.asarray(a, t.dtype) for a, t in zip(inputs, native.program.inputs, strict=True)]
    states = {v: np.asarray(variables[v.attrs["name"]], v.dtype) for v in native.graph.variables}
    return native(arrays, states)


def copies(native: NativeGraph) -> int:
    """Return how many arrays are copied after all kernels have run."""

    def count(steps: tuple[Step, ...]) -> int:
        return sum(count(s.steps) if isinstance(s, Repeat) else isinstance(s, Copy) for s in steps)

    return count(native.program.steps)


def kernels(native: NativeGraph) -> list[str]:
    return [s.kernel.name for s in native.program.steps if isinstance(s, Call)]


# Where no copy is needed.

IN_PLACE = {
    "a step of gradient descent": """
def f(g: f32[5], *, w: f32[5]):
    v0 = mul(g, 0.5)
    v1 = sub(w, v0)
    return (), {w: v1}
""",
    "the epilogue of a contraction": """
def f(x: f32[4, 3], y: f32[3, 5], *, w: f32[4, 5]):
    v0 = contract(x, y, spec="mk,kn->mn")
    v1 = sub(w, v0)
    return (), {w: v1}
""",
    "a variable read before, by a kernel of its own": """
def f(x: f32[5], *, w: f32[5]):
    v0 = sum(w, axis=(0,))
    v1 = neg(x)
    return (v0,), {w: v1}
""",
    "two steps in one kernel": """
def f(g: f32[5], *, m: f32[5], w: f32[5]):
    v0 = mul(m, 0.5)
    v1 = add(v0, g)
    v2 = sub(w, v1)
    return (), {m: v1, w: v2}
""",
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_no_copy(name: str):
    native = compiled(IN_PLACE[name])
    assert copies(native) == 0
    assert native.program.arena_bytes == 0


def test_two_steps_in_one_kernel_give_the_right_numbers():
    m, w = run(compiled(IN_PLACE["two steps in one kernel"]), [1.0] * 5, m=[4.0] * 5, w=[10.0] * 5)
    assert m.tolist() == [3.0] * 5
    assert w.tolist() == [7.0] * 5


# Where memory of its own is needed, or an order.


def test_swapped_variables_are_copied_at_the_end():
    native = compiled("def f(*, a: f32[3], b: f32[3]):\n    return (), {a: b, b: a}")
    a, b = run(native, a=[1, 2, 3], b=[4, 5, 6])
    assert a.tolist() == [4, 5, 6]
    assert b.tolist() == [1, 2, 3]
    assert copies(native) >= 1


def test_computed_swap():
    native = compiled("""
def f(*, a: f32[3], b: f32[3]):
    v0 = add(b, 1.0)
    v1 = mul(a, 2.0)
    return (), {a: v0, b: v1}
""")
    a, b = run(native, a=[1, 2, 3], b=[4, 5, 6])
    assert a.tolist() == [5, 6, 7]
    assert b.tolist() == [2, 4, 6]


def test_a_variable_that_is_read_at_other_places_is_not_written_in_place():
    native = compiled("""
def f(*, w: f32[3, 3]):
    v0 = transpose(w, axes=(1, 0))
    v1 = add(w, v0)
    return (), {w: v1}
""")
    assert copies(native) == 1
    (w,) = run(native, w=np.arange(9).reshape(3, 3))
    assert w.tolist() == [[0, 4, 8], [4, 8, 12], [8, 12, 16]]


def test_an_update_waits_for_those_who_read_the_old_value():
    """The kernel that writes w is written first in the program, and its reader last."""
    native = compiled("""
def f(x: f32[4], y: f32[4, 2], *, w: f32[4]):
    v0 = mul(x, 2.0)
    v1 = contract(w, y, spec="k,kn->n")
    v2 = exp(v1)
    v3 = contract(v2, v2, spec="k,k->")
    return (v3,), {w: v0}
""")
    assert copies(native) == 0
    total, w = run(native, [1, 2, 3, 4], np.zeros((4, 2)), w=[5, 6, 7, 8])
    assert total == 2
    assert w.tolist() == [2, 4, 6, 8]


def test_an_output_that_is_the_old_value_and_one_that_is_the_new():
    native = compiled("""
def f(x: f32[3], *, w: f32[3]):
    v0 = add(w, x)
    return (w, v0), {w: v0}
""")
    old, new, w = run(native, [1, 1, 1], w=[1, 2, 3])
    assert old.tolist() == [1, 2, 3]
    assert new.tolist() == w.tolist() == [2, 3, 4]


# Scatters: into a variable, an output, or what dies there, the target is not copied.

SCATTERED = {
    "into two variables": ("""
def f(i: i64[4], u: f32[4, 3], *, a: f32[9, 3], b: f32[9, 3]):
    v0 = scatter(a, u, i, axes=(0,), wrap=True, combine="add")
    v1 = scatter(b, u, i, axes=(0,), wrap=True, combine="set")
    return (), {a: v0, b: v1}
""", 0),
    "with rows of the variable": ("""
def f(i: i64[4], u: f32[4, 3], *, a: f32[9, 3]):
    v0 = gather(a, i, axes=(0,), wrap=True)
    v1 = mul(v0, u)
    v2 = scatter(a, v1, i, axes=(0,), wrap=True, combine="add")
    return (), {a: v2}
""", 0),
    "into what is computed for it": ("""
def f(i: i64[4], u: f32[4, 3], x: f32[9, 3]):
    v0 = exp(x)
    v1 = scatter(v0, u, i, axes=(0,), wrap=True, combine="add")
    v2 = scatter(v1, u, i, axes=(0,), wrap=True, combine="mul")
    return (v2,)
""", 0),
    "into what others read too": ("""
def f(i: i64[4], u: f32[4, 3], x: f32[9, 3]):
    v0 = exp(x)
    v1 = scatter(v0, u, i, axes=(0,), wrap=True, combine="add")
    v2 = contract(v0, v1, spec="mk,nk->mn")
    return (v2,)
""", 1),
    "into an input": ("""
def f(i: i64[4], u: f32[4, 3], x: f32[9, 3]):
    v0 = scatter(x, u, i, axes=(0,), wrap=True, combine="min")
    return (v0,)
""", 1),
    "into a variable that keeps its value": ("""
def f(i: i64[4], u: f32[4, 3], *, a: f32[9, 3]):
    v0 = scatter(a, u, i, axes=(0,), wrap=True, combine="min")
    v1 = sum(v0, axis=(1,))
    return (v1,)
""", 1),
    "into a carry": ("""
def f(i: i64[4], u: f32[4, 3], x: f32[9, 3]):
    def step(c: f32[9, 3], k: i64[()], r: f32[3]):
        v0 = scatter(c, r, k, axes=(0,), wrap=True, combine="add")
        return (v0,)
    v0 = scan(x, i, u, body=step, carries=1, slices=2, length=4, reverse=False)
    v1 = v0[0]
    return (v1,)
""", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", SCATTERED)
def test_a_scatter_copies_its_target_where_it_must(name: str):
    text, expected = SCATTERED[name]
    native = compiled(text)
    assert copies(native) == expected
    rng = np.random.default_rng(0)
    inputs = [np.array([3, -1, 3, 0]), *[rng.normal(size=i.shape).astype(np.float32) for i in native.graph.inputs[1:]]]
    variables = {v: rng.normal(size=v.shape).astype(np.float32) for v in native.graph.variables}
    wanted = evaluate(native.graph, inputs, variables)
    for found, value in zip(native(inputs, variables), wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)
    inputs[0] = np.array([3, -1, 9, 0])
    with pytest.raises(OutOfBoundsError, match="index 9 is out of bounds for an axis of size 9"):
        native(inputs, variables)


def test_equal_groups_do_not_share_a_kernel_without_a_check():
    native = compiled("""
def f(i: i64[4], j: i64[4], x: f32[9, 3]):
    v0 = check_index(i, size=9, wrap=False)
    v1 = gather(x, v0, axes=(0,), wrap=False)
    v2 = gather(x, j, axes=(0,), wrap=False)
    v3 = gather(x, constant(i64[4], [1, 3, 0, 7]), axes=(0,), wrap=False)
    return (v0, v1, v2, v3)
""")
    x, good = np.zeros((9, 3)), np.array([1, 2, 3, 8])
    run(native, good, good, x)
    for wrong in ((good + 1, good), (good, good + 1), (good, good + (1 << 50))):
        with pytest.raises(OutOfBoundsError):
            run(native, *wrong, x)


# A run that fails moves nothing. `NativeGraph` compares all variables with what they were.

FALLIBLE = {
    "the check reads nothing that is updated": """
def f(i: i64[3], *, w: f32[3], n: i64[3]):
    v0 = check_index(i, size=5, wrap=False)
    v1 = add(w, 1.0)
    v2 = add(n, 1)
    return (v0,), {w: v1, n: v2}
""",
    "the new value is the checked one": """
def f(i: i64[3], *, w: f32[3], n: i64[3]):
    v0 = check_index(i, size=5, wrap=False)
    v1 = add(w, 1.0)
    return (), {n: v0, w: v1}
""",
    "what is checked is a variable": """
def f(i: i64[3], *, w: f32[3], n: i64[3]):
    v0 = add(n, i)
    v1 = check_index(v0, size=5, wrap=False)
    v2 = add(w, 1.0)
    return (), {n: v1, w: v2}
""",
    "the check is the last of a long chain": """
def f(i: i64[3], *, w: f32[3], n: i64[3]):
    v0 = sum(i, axis=(0,))
    v1 = check_index(v0, size=5, wrap=True)
    v2 = add(n, v1)
    v3 = add(w, 1.0)
    return (v3,), {n: v2, w: v3}
""",
    "the check is in a loop": """
def f(i: i64[3], *, w: f32[3], n: i64[3]):
    def step(c: i64[()], k: i64[()]):
        v0 = check_index(k, size=5, wrap=False)
        v1 = add(c, v0)
        return (v1, v0)
    v0 = sum(n, axis=(0,))
    v1 = scan(v0, i, body=step, carries=1, slices=1, length=3, reverse=False)
    v2 = v1[0]
    v3 = v1[1]
    v4 = add(w, 1.0)
    return (v2,), {w: v4, n: v3}
""",
}


@pytest.mark.parametrize("name", FALLIBLE)
def test_a_run_that_fails_moves_no_variable(name: str):
    native = compiled(FALLIBLE[name])
    run(native, [0, 1, 2], w=[1, 2, 3], n=[0, 0, 0])
    with pytest.raises(OutOfBoundsError, match=r"index 9 is out of bounds for an axis of size 5"):
        run(native, [0, 9, 0], w=[1, 2, 3], n=[0, 0, 0])


def test_the_first_of_two_checks_of_one_kernel_is_named():
    native = compiled("""
def f(i: i64[40], j: i64[40]):
    v0 = check_index(i, size=5, wrap=False)
    v1 = check_index(j, size=7, wrap=True)
    v2 = add(v0, v1)
    return (v2,)
""")
    good = np.zeros(40, int)
    bad = np.where(np.arange(40) == 39, -8, 0)
    (found,) = run(native, good, good - 7)
    assert not found.any()
    with pytest.raises(OutOfBoundsError, match=r"index -8 is out of bounds for an axis of size 7: must be in \[-7"):
        run(native, good, bad)
    with pytest.raises(OutOfBoundsError, match=r"index -8 is out of bounds for an axis of size 5: must be in \[0, 5\)"):
        run(native, bad, good)


def test_a_failing_call_leaves_the_users_variables():
    i = gx.placeholder((3,), "int64", name="i")
    w, n = gx.variable([1.0, 2.0, 3.0], name="w"), gx.variable(0, name="n")
    picked = gx.one_hot(i, 3, dtype="float64") @ w
    step = gx.compile([i], picked, updates={w: w * 2, n: n + 1})
    step([0, 1, 2])
    with pytest.raises(OutOfBoundsError, match=r"test_schedule\.py"):
        step([0, 3, 0])
    assert w.value.tolist() == [2, 4, 6]
    assert n.value == 1
    assert step([2, 1, 0]).tolist() == [6, 4, 2]
    assert n.value == 2


# The order that needs the least memory.

NEEDY = """
def f(x: f32[64, 64], y: f32[64, 512]):
    v0 = contract(x, x, spec="mk,kn->mn")
    v1 = contract(x, y, spec="mk,kn->mn")
    v2 = contract(v1, y, spec="mk,nk->mn")
    v3 = contract(v0, v2, spec="mk,kn->mn")
    return (v3,)
"""


def test_what_is_small_is_not_kept_while_the_large_is_made():
    """Of v0 and v2, which v3 needs, the one that takes a large array is made first."""
    native = compiled(NEEDY)
    large, small = 4 * 64 * 512, 4 * 64 * 64
    assert native.program.arena_bytes == native.lowered.live_bytes == 2 * large + small  # y is copied to be read


def test_work_that_frees_memory_comes_early():
    """Whatever the order that it is given in."""
    made: dict[str, Temporary] = {}

    def launch(name: str, reads: str, kib: int) -> Launch:
        made[name] = Temporary(TensorType(np.dtype("u1"), (kib << 10,)))
        operands = (*[made[r] for r in reads], made[name])
        return Launch(Kernel(name, (), Block(())), operands, frozenset(operands[-1:]))

    works = [launch("a", "", 64), launch("b", "", 64), launch("c", "a", 1), launch("d", "b", 1), launch("e", "cd", 1)]
    found = schedules(works, {})
    assert ["".join([w.kernel.name for w in s.order]) for s in found] == ["abcde", "acbde", "acbde", "acbde"]
    peaks = [lay_out(s, Given({}, {}, {}), Storage(0)).live_bytes >> 10 for s in found]
    assert peaks == [129, 66, 66, 66]


def test_schedules_are_the_same_every_time():
    orders = [kernels(compiled(NEEDY)) for _ in range(3)]
    assert orders[0] == orders[1] == orders[2]
