"""Contractions of all layouts, of sizes around the edges of tiles, panels and blocks, for all targets.

Targets with tiny caches cut small products as others cut large ones, and arrange their factors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.capture import capture
from graphc.compiler import prepare
from graphc.eager import evaluate
from graphc.ir.graph import Graph
from graphc.ir.journal import Journal
from graphc.ir.loops import Call, Repeat
from graphc.ir.text import from_text
from graphc.lower.cost import operations
from graphc.lower.program import lower
from graphc.options import Options
from graphc.target import Target
from tests.machine import MACHINE
from tests.native import TARGETS, LoweredGraph, NativeGraph

Array = np.ndarray[Any, Any]

TINY = {f"{name}, tiny caches": replace(t, l1_bytes=4096, l2_bytes=2 << 10) for name, t in TARGETS.items()}
ALL_TARGETS = {**TARGETS, **TINY}

MATRIX_SPECS = ("mk,kn->mn", "km,kn->mn", "mk,nk->mn", "km,nk->mn", "mk,kn->nm", "km,nk->nm")
MATRIX_SIZES = (
    (1, 1, 1), (1, 17, 40), (2, 40, 3), (3, 1, 70), (5, 33, 1), (7, 16, 16), (14, 32, 9), (15, 33, 10), (29, 31, 65),
    (33, 100, 64), (64, 48, 128), (40, 8, 33), (40, 2, 100), (130, 3, 20), (61, 129, 7), (17, 520, 130),
    (70, 100, 40), (45, 200, 100),
)  # fmt: skip
SPECS = (
    "bmk,bkn->bmn", "bmk,bnk->bmn", "bkm,bkn->bmn", "mbk,bkn->bmn", "bmk,bkn->mbn", "bmk,kn->bmn", "mk,bkn->bmn",
    "mk,bkn->mbn", "mk,k->m", "km,k->m", "k,kn->n", "k,nk->n", "m,n->mn", "m,n->nm", "bm,bn->bmn", "k,k->", "bk,bk->b",
    "bk,b->bk", "mab,abn->mn", "mab,ban->mn", "amb,bna->mn", "mk,km->",
    "abk,kcd->abcd", "abk,kcd->cabd", "akb,ckd->acbd",
)  # fmt: skip
SIZES = (
    {"a": 2, "b": 3, "c": 3, "d": 5, "k": 9, "m": 7, "n": 18},
    {"a": 9, "b": 8, "c": 4, "d": 17, "k": 40, "m": 35, "n": 33}
)  # fmt: skip


def product(spec: str, sizes: dict[str, int], dtype: str, after: str = "return (c,)") -> Graph:
    a, b, out = spec.replace("->", ",").split(",")
    x, y, r, v = (", ".join(str(sizes[c]) for c in part) for part in (a, b, out, out[-1:]))
    shapes = [f"x: {dtype}[{x or '()'}]", f"y: {dtype}[{y or '()'}]"]
    if after != "return (c,)":
        shapes += [f"r: {dtype}[{r}]", f"v: {dtype}[{v}]"]
    after = after.format(shape=tuple(sizes[c] for c in out), axis=len(out) - 1)
    return from_text(f"def f({', '.join(shapes)}):\n    c = contract(x, y, spec='{spec}')\n    {after}\n")


def numbers(graph: Graph) -> list[Array]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(i.shape).astype(i.dtype) for i in graph.inputs]


def assert_is_product(spec: str, found: Array, x: Array, y: Array) -> None:
    """The sum of K rounded products is off by at most K roundings of the sum of their absolute values."""
    wide = [a.astype(np.longdouble) for a in (x, y)]
    a, b, out = spec.replace("->", ",").split(",")
    depth = np.prod([s for c, s in zip(a, x.shape, strict=True) if c in b and c not in out])
    bound = np.einsum(spec, *map(abs, wide)) * ((depth + 1) * np.finfo(x.dtype).eps)
    assert (abs(found - np.einsum(spec, *wide)) <= bound).all()


def check(spec: str, sizes: dict[str, int], dtype: str, target: Target) -> None:
    graph = product(spec, sizes, dtype)
    x, y = numbers(graph)
    (found,) = NativeGraph(graph, target)([x, y])
    assert_is_product(spec, found, x, y)


@pytest.mark.parametrize("target", ALL_TARGETS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("spec", MATRIX_SPECS)
def test_matrices(spec: str, dtype: str, target: str) -> None:
    for m, n, k in MATRIX_SIZES[:: 1 if dtype == "f32" else 2]:
        check(spec, {"m": m, "n": n, "k": k}, dtype, ALL_TARGETS[target])


@pytest.mark.parametrize("target", ALL_TARGETS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("spec", SPECS)
def test_other_labels(spec: str, dtype: str, target: str) -> None:
    for sizes in SIZES:
        check(spec, sizes, dtype, ALL_TARGETS[target])


EPILOGUES = {
    "in place of what it reads": """
    s = add(r, r)
    t = relu(add(c, s))
    return (t,)""",
    "several results": """
    t = add(c, broadcast(v, shape={shape}, axes=({axis},)))
    return (c, t, mul(t, r))""",
    "long": """
    t = tanh(add(c, broadcast(v, shape={shape}, axes=({axis},))))
    return (mul(t, exp(r)),)""",
}


@pytest.mark.parametrize("target", ALL_TARGETS)
@pytest.mark.parametrize("after", EPILOGUES)
@pytest.mark.parametrize("spec", ["mk,kn->mn", "km,kn->mn", "mk,nk->mn", "bmk,bnk->bmn", "mk,bkn->mbn"])
def test_epilogues(spec: str, after: str, target: str) -> None:
    for m, n, k in ((1, 40, 60), (9, 33, 70), (35, 50, 100), (64, 5, 80)):
        graph = product(spec, {"m": m, "n": n, "k": k, "b": 3}, "f32", EPILOGUES[after].strip())
        inputs = numbers(graph)
        native = NativeGraph(graph, ALL_TARGETS[target])
        for found, wanted in zip(native(inputs), evaluate(graph, inputs, {}), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("target", ALL_TARGETS)
def test_integers(target: str) -> None:
    for dtype in ("i64", "i32", "u8"):
        graph = product("mk,nk->mn", {"m": 20, "n": 33, "k": 50}, dtype)
        rng = np.random.default_rng(0)
        inputs = [rng.integers(0, 200, i.shape).astype(i.dtype) for i in graph.inputs]
        (found,) = NativeGraph(graph, ALL_TARGETS[target])(inputs)
        np.testing.assert_array_equal(found, inputs[0] @ inputs[1].T)


def test_what_a_loop_does_not_change_is_arranged_once() -> None:
    w, h = gx.placeholder((1024, 1024), name="w"), gx.placeholder((64, 1024), name="h")
    last, _ = gx.scan(lambda c, x: (gx.tanh(c @ w), None), h, None, length=5)
    _, prepared, groups = prepare(capture([w, h], last, None, None, "f").graph, Options(), Journal())
    steps = lower(prepared, groups, MACHINE).program.steps
    (loop,) = [s for s in steps if isinstance(s, Repeat)]
    assert [s.kernel.name for s in steps if isinstance(s, Call)] == ["contract_tanh_b"]
    assert [s.kernel.name for s in loop.steps if isinstance(s, Call)] == ["contract_tanh"]


@pytest.mark.parametrize("target", ALL_TARGETS)
def test_each_kernel_can_be_shared_by_threads(target: str) -> None:
    for spec in MATRIX_SPECS:
        for m, n, k in MATRIX_SIZES:
            graph = product(spec, {"m": m, "n": n, "k": k}, "f32")
            for step in LoweredGraph(graph, ALL_TARGETS[target]).program.steps:
                is_tiny = m * n * k < 1000
                assert isinstance(step, Call)
                assert step.kernel.ways is not None or is_tiny, (spec, m, n, k)


def test_flops_are_counted_once_though_tiles_have_several_versions() -> None:
    for m, n, k in ((130, 100, 20), (64, 64, 64), (513, 80, 33)):
        steps = LoweredGraph(product("mk,kn->mn", {"m": m, "n": n, "k": k}, "f32"), MACHINE).program.steps
        assert sum(operations(s.kernel.body)[0] for s in steps if isinstance(s, Call)) == 2 * m * n * k
