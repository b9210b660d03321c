"""Arrays read across their rows, a square of them at a time."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.codegen.module import emit_module
from graphc.eager import evaluate
from graphc.ir.loops import Space, walk
from graphc.ir.text import from_text
from tests.native import TARGETS, LoweredGraph, NativeGraph

BODIES = {
    "copy": """
    return (copy(transpose(x, axes=(1, 0))),)""",
    "sum": """
    return (add(transpose(x, axes=(1, 0)), y),)""",
    "dear, and two arrays": """
    return (mul(exp(transpose(x, axes=(1, 0))), add(y, transpose(neg(z), axes=(1, 0)))),)""",
    "both ways": """
    t = transpose(x, axes=(1, 0))
    return (mul(add(t, y), t), add(y, y))""",
}


def tiles(native: LoweredGraph) -> int:
    buffers = [getattr(s, "buffer", None) for k in native.program.kernels for s in walk(k.body)]
    return len({b for b in buffers if b is not None and b.space is Space.REGISTER})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("n", "m"), [(16, 16), (4, 4), (5, 70), (70, 5), (33, 48), (100, 4), (3, 40)])
@pytest.mark.parametrize("dtype", ["f32", "f64", "i16"])
def test_against_the_reference(target: str, body: str, n: int, m: int, dtype: str) -> None:
    if dtype == "i16" and "dear" in body:
        pytest.skip("exp is for floats")
    shapes = f"x: {dtype}[{n}, {m}], y: {dtype}[{m}, {n}], z: {dtype}[{n}, {m}]"
    graph = from_text(f"def f({shapes}):{BODIES[body]}\n")
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-9, 9, i.shape).astype(i.dtype) for i in graph.inputs]
    native = NativeGraph(graph, TARGETS[target])
    assert tiles(native) > 0
    for found, wanted in zip(native(arrays), evaluate(graph, arrays, {}), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "perm"), [
    ((2, 3, 5, 7), (0, 2, 3, 1)), ((2, 5, 7, 3), (0, 3, 1, 2)), ((4, 5, 6), (2, 1, 0)), ((4, 20, 6), (1, 2, 0)),
    ((8, 9, 10), (2, 0, 1)), ((3, 17, 18), (0, 2, 1)), ((70, 2, 20, 33), (0, 2, 3, 1)), ((6, 4, 20, 33), (0, 2, 1, 3)),
])  # fmt: skip
def test_permutations(target: str, shape: tuple[int, ...], perm: tuple[int, ...]) -> None:
    sizes = ", ".join(map(str, shape))
    graph = from_text(f"def f(x: f32[{sizes}]):\n    return (copy(transpose(x, axes={perm})),)\n")
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(NativeGraph(graph, TARGETS[target])([x])[0], x.transpose(perm))


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_gathered_element_by_element(target: str) -> None:
    graph = from_text("def f(x: f32[100, 70]):\n    return (copy(transpose(x, axes=(1, 0))),)\n")
    program = LoweredGraph(graph, TARGETS[target]).program
    assert "masked.gather" not in emit_module(program, TARGETS[target])
    assert [k.ways is not None for k in program.kernels] == [True]
