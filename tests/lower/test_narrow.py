"""Folds of rows that do not fill a vector, many rows at a time."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.codegen.module import emit_module
from graphc.eager import evaluate
from graphc.ir.text import from_text
from tests.native import TARGETS, NativeGraph

BODIES = {
    "sum": """
    return (sum(x, axis=(1,)),)""",
    "two folds": """
    return (sum(mul(x, x), axis=(1,)), max(x, axis=(1,)))""",
    "softmax": """
    e = exp(sub(x, broadcast(max(x, axis=(1,)), shape={shape}, axes=(0,))))
    return (div(e, broadcast(sum(e, axis=(1,)), shape={shape}, axes=(0,))),)""",
    "long axis": """
    return (sum(sqrt(abs(x)), axis=(0,)),)""",
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("shape", [(64, 2), (100, 3), (1100, 4), (2049, 3), (70, 8), (66, 1), (63, 3)])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_against_the_reference(target: str, body: str, shape: tuple[int, int], dtype: str) -> None:
    text = BODIES[body].replace("{shape}", str(shape))
    graph = from_text(f"def f(x: {dtype}[{shape[0]}, {shape[1]}]):{text}\n")
    x = np.random.default_rng(0).standard_normal(shape).astype(graph.inputs[0].dtype)
    for found, wanted in zip(NativeGraph(graph, TARGETS[target])([x]), evaluate(graph, [x], {}), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_elements_of_narrow_rows_are_not_gathered(target: str) -> None:
    graph = from_text("def f(x: f32[1000, 3]):\n    return (sum(x, axis=(1,)),)\n")
    native = NativeGraph(graph, TARGETS[target])
    assert "masked.gather" not in emit_module(native.program, TARGETS[target])
    assert native.program.kernels[0].ways is not None
