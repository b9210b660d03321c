"""Scans of pointwise bodies as one kernel: which they are, and that they mean the same, on every tested target."""

import numpy as np
import pytest

from graphc.eager import evaluate
from graphc.ir.graph import Graph
from graphc.ir.loops import Call, Repeat
from graphc.ir.text import from_text
from graphc.ir.verify import verify_kernel
from tests.native import TARGETS, NativeGraph

DECAY = """
def f(c: f32[N], d: f32[N], x: f32[T, N], k: f32[N]):
    def body(c: f32[N], d: f32[N], x: f32[N], k: f32[N]):
        v0 = add(mul(c, k), x)
        v1 = sub(d, c)
        return (v0, v1, c, mul(v1, x))
    v0 = scan(c, d, x, k, body=body, carries=2, slices=1, length=T, reverse=R)
    return (v0[0], v0[1], v0[2], v0[3])
"""
DEAR = """
def f(c: f64[N], x: f64[T, N]):
    def body(c: f64[N], x: f64[N]):
        v0 = tanh(add(c, x))
        return (v0, v0)
    v0 = scan(c, x, body=body, carries=1, slices=1, length=T, reverse=R)
    return (v0[0], v0[1])
"""
WIDE = """
def f(c: f32[N], a: f32[N]):
    def body(c: f32[N], a: f32[N]): return (mul(add(c, div(a, c)), 0.5),)
    v0 = scan(c, a, body=body, carries=1, slices=0, length=T, reverse=R)
    return (v0[0],)
"""
SWAP = """
def f(a: i64[N], b: i64[N]):
    def body(a: i64[N], b: i64[N]): return (b, add(a, 1))
    v0 = scan(a, b, body=body, carries=2, slices=0, length=T, reverse=R)
    return (v0[0], v0[1])
"""
TURNED = """
def f(c: f32[N], x: f32[T, N]):
    def body(c: f32[N], x: f32[N]): return (add(slice(c, start=(LAST,), shape=(N,), step=(-1,)), x),)
    v0 = scan(c, x, body=body, carries=1, slices=1, length=T, reverse=R)
    return (v0[0],)
"""
SUMMED = """
def f(c: f32[N], x: f32[T, N]):
    def body(c: f32[N], x: f32[N]): return (add(broadcast(sum(c, axis=(0,)), shape=(N,), axes=()), x),)
    v0 = scan(c, x, body=body, carries=1, slices=1, length=T, reverse=R)
    return (v0[0],)
"""


def graph_of(text: str, n: int, steps: int, reverse: bool) -> Graph:
    values = {"LAST": n - 1, "N": n, "T": steps, "R": reverse}
    for name, value in values.items():
        text = text.replace(f"[{name}", f"[{value}").replace(f", {name}", f", {value}").replace(f"={name}", f"={value}")
        text = text.replace(f"({name},", f"({value},")
    return from_text(text.strip())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [1, 5, 17, 64])
@pytest.mark.parametrize("text", [DECAY, DEAR, WIDE, SWAP, TURNED, SUMMED])
def test_values(text: str, n: int, reverse: bool, target: str) -> None:
    graph = graph_of(text, n, 6, reverse)
    rng = np.random.default_rng(n)
    inputs = [rng.uniform(1, 3, i.shape).astype(i.dtype) for i in graph.inputs]
    native = NativeGraph(graph, TARGETS[target])
    for kernel in native.program.kernels:
        verify_kernel(kernel, native.program.functions)
    for result, expected in zip(native(inputs), evaluate(graph, inputs), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5)


ONE, MANY = "one kernel", "a loop of kernels"


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [(DECAY, 5, ONE), (DECAY, 64, ONE), (DECAY, 4096, MANY), (DEAR, 8, ONE), (DEAR, 512, MANY), (WIDE, 4096, ONE),
     (SWAP, 40, ONE), (TURNED, 5, MANY), (SUMMED, 5, MANY)],
)  # fmt: skip
def test_which_are_one_kernel(text: str, n: int, expected: str) -> None:
    program = NativeGraph(graph_of(text, n, 6, False), TARGETS["host"]).program
    assert any(isinstance(s, Repeat) for s in program.steps) == (expected == MANY)
    if expected == ONE:
        assert [s for s in program.steps if isinstance(s, Call) and s.kernel.name.startswith("scan")]
