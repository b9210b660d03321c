"""Folds of outer axes in strips of columns, and kernels of all lengths that share code."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from graphc.codegen.jit import Machine
from graphc.codegen.kernel import emit_kernel
from graphc.eager import evaluate
from graphc.ir.graph import Graph
from graphc.ir.intern import code_key
from graphc.ir.text import from_text
from graphc.target import host
from tests.native import TARGETS, NativeGraph

BODIES = {
    "sum": """
    s = sum(x, axis=(0,))
    return (s,)""",
    "with a map": """
    e = abs(x)
    s = sum(e, axis=(0,))
    m = max(e, axis=(0,))
    return (e, s, m)""",
    "two sweeps": """
    s = sum(x, axis=(0,))
    m = mul(s, {dtype}(0.25))
    c = sub(x, broadcast(m, shape={shape}, axes=(1,)))
    q = mul(c, c)
    v = sum(q, axis=(0,))
    y = mul(c, broadcast(sqrt(v), shape={shape}, axes=(1,)))
    return (y, m)""",
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("shape", [(5, 3), (7, 16), (3, 40), (9, 128), (4, 129), (2, 1100)])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_against_the_reference(target: str, body: str, shape: tuple[int, int], dtype: str) -> None:
    text = BODIES[body].replace("{shape}", str(shape)).replace("{dtype}", dtype)
    graph = from_text(f"def f(x: {dtype}[{shape[0]}, {shape[1]}]):{text}\n")
    x = np.random.default_rng(0).standard_normal(shape).astype("float32" if dtype == "f32" else "float64")
    native = NativeGraph(graph, TARGETS[target])
    assert len(native.groups) == 1
    for found, wanted in zip(native([x]), evaluate(graph, [x], {}), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def flat(size: int) -> Graph:
    return from_text(f"def f(x: f32[{size}], y: f32[{size}]):\n    z = add(x, y)\n    return (mul(z, x),)\n")


@pytest.mark.parametrize(("one", "other", "same"), [
    (4096, 10240, True), (1024, 2048, True), (64, 192, True), (48, 160, True), (64, 1024, False), (31, 30, False),
])  # fmt: skip
def test_lengths_that_share_code(one: int, other: int, same: bool) -> None:
    programs = [NativeGraph(flat(n)).program for n in (one, other)]
    keys = [code_key(p.kernels[0]) for p in programs]
    assert (keys[0] == keys[1]) == same


@pytest.mark.parametrize("target", TARGETS)
def test_shared_code_runs_on_every_length(target: str) -> None:
    sizes = (64, 128, 192, 1024, 3072, 31, 2500, 160)
    params = ", ".join(f"x{k}: f32[{n}]" for k, n in enumerate(sizes))
    lines = "\n".join(f"    y{k} = exp(mul(x{k}, x{k}))" for k in range(len(sizes)))
    graph = from_text(f"def f({params}):\n{lines}\n    return ({', '.join(f'y{k}' for k in range(len(sizes)))})\n")
    inputs = [np.linspace(-1, 1, n, dtype="float32") for n in sizes]
    native = NativeGraph(graph, TARGETS[target])
    assert len({code_key(k) for k in native.program.kernels}) == 5
    for found, x in zip(native(inputs), inputs, strict=True):
        np.testing.assert_allclose(found, np.exp(x * x), rtol=1e-6)


def test_a_kernel_runs_in_parts() -> None:
    """Two ranges of iterations, the later one first, do what all of them do."""
    native = NativeGraph(flat(4096))
    (kernel,) = native.program.kernels
    body, declarations = emit_kernel(kernel, "@k", host(), native.program.functions)
    entry = [
        "define i32 @parts(ptr %a, ptr %b, ptr %c, ptr %failure) {",
        "  %first = call i32 @k(ptr %a, ptr %b, ptr %c, i64 3, i64 4, ptr %failure)",
        "  %second = call i32 @k(ptr %a, ptr %b, ptr %c, i64 0, i64 3, ptr %failure)",
        "  ret i32 %second",
        "}",
    ]
    machine = Machine("\n".join([*body, *entry, *declarations]), "parts", host())
    x, y, out = (np.linspace(k, k + 1, 4096, dtype="float32") for k in range(3))
    run = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 4)(machine.address)
    assert kernel.ways == 4
    assert run(x.ctypes.data, y.ctypes.data, out.ctypes.data, None) == 0
    np.testing.assert_array_equal(out, (x + y) * x)
