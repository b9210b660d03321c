"""Long folds in parts that cores can share."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.ir.text import from_text
from tests.native import TARGETS, LoweredGraph, NativeGraph

ALL = {
    "sum": "return (sum(x, axis={all}),)",
    "two, and what follows": "return (mul(sum(x, axis={all}), {dtype}(0.5)), max(mul(x, x), axis={all}))",
    "with a map": "e = abs(x)\n    return (e, sum(e, axis={all}))",
}
COLUMNS = {
    "sum": "return (sum(x, axis=(0,)),)",
    "two, and what follows": "return (mul(sum(x, axis=(0,)), {dtype}(0.5)), max(mul(x, x), axis=(0,)))",
    "with a map": "e = abs(x)\n    return (e, sum(e, axis=(0,)))",
}


def kernels(native: LoweredGraph) -> list[int | None]:
    return [k.ways for k in native.program.kernels]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("body", ALL)
@pytest.mark.parametrize("shape", [(40000,), (16385,), (300, 100)])
def test_folds_of_everything(target: str, dtype: str, body: str, shape: tuple[int, ...]) -> None:
    check(ALL[body].replace("{all}", str(tuple(range(len(shape))))), target, dtype, shape)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("body", COLUMNS)
@pytest.mark.parametrize("shape", [(3000, 17), (300, 100), (129, 200)])
def test_folds_of_columns(target: str, dtype: str, body: str, shape: tuple[int, ...]) -> None:
    check(COLUMNS[body], target, dtype, shape)


def check(body: str, target: str, dtype: str, shape: tuple[int, ...]) -> None:
    sizes = ", ".join(map(str, shape))
    graph = from_text(f"def f(x: {dtype}[{sizes}]):\n    {body.replace('{dtype}', dtype)}\n")
    x = np.random.default_rng(0).standard_normal(shape).astype(graph.inputs[0].dtype)
    native = NativeGraph(graph, TARGETS[target])
    assert len(native.program.kernels) == 2
    assert kernels(native)[0] is not None
    for found, wanted in zip(native([x]), evaluate(graph, [x], {}), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-2)


def test_short_folds_are_one_kernel() -> None:
    for shape in ("1000", "64, 10"):
        axes = tuple(range(shape.count(",") + 1))
        graph = from_text(f"def f(x: f32[{shape}]):\n    return (sum(x, axis={axes}),)\n")
        assert len(LoweredGraph(graph, TARGETS["host"]).program.kernels) == 1


@pytest.mark.parametrize("rows", [60, 5000])
def test_a_bias_is_updated_in_place(rows: int) -> None:
    """Nothing reads the old one after the new one is there, so nothing is copied."""
    x, b = gx.placeholder((rows, 40)), gx.variable(np.ones(40, np.float32))
    step = gx.compile([x], [], updates={b: b - 0.1 * gx.sum(x, axis=0)})
    value = np.random.default_rng(0).standard_normal((rows, 40)).astype(np.float32)
    step(value)
    np.testing.assert_allclose(b.value, 1 - 0.1 * value.sum(0), rtol=1e-3, atol=1e-4)
    assert "copy" not in step.text("kernels")
