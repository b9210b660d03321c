"""Measure where the model of fusion is wrong: each graph as it decides, fused wherever legal, and fused nowhere.

    python scripts/measure_fusion.py [part of a name ...]

Prints a table in Markdown. The variants take turns, and the best time of each counts. "Nowhere" means: no decision of
the model says yes; values that pass between equal loops without being needed elsewhere are fused in every variant.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from unittest import mock

import numpy as np

import graphc as gx
from graphc.passes import fuse as fuse_pass
from graphc.passes.fusion import recompute as recompute_pass
from graphc.passes.fusion.profit import Verdict

Build = Callable[[], tuple[list[gx.Tensor], list[gx.Tensor]]]
ROUNDS, SECONDS = 15, 0.02
VARIANTS = ("model", "always", "never")


def array(*shape: int, name: str) -> gx.Tensor:
    return gx.placeholder(shape, name=name)


def softmax(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x, d = array(n, m, name="x"), array(n, m, name="d")
        return [x, d], gx.gradients(gx.sum(gx.nn.softmax(x) * d), [x])

    return build


def layer_norm(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x, w, b, d = array(n, m, name="x"), array(m, name="w"), array(m, name="b"), array(n, m, name="d")
        y = gx.nn.layer_norm(x, m, w, b)
        return [x, w, b, d], [y, *gx.gradients(gx.sum(y * d), [x, w, b])]

    return build


def batch_norm(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x = array(n, m, name="x")
        mean = gx.mean(x, 0, keepdims=True)
        variance = gx.mean((x - mean) * (x - mean), 0, keepdims=True)
        return [x], [(x - mean) / gx.sqrt(variance + 1e-5), mean, variance]

    return build


def bias_gradient(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        z, d = array(n, m, name="z"), array(n, m, name="d")
        g = gx.where(z > 0, d, 0.0)
        return [z, d], [g, gx.sum(g, 0)]

    return build


def moments(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x = array(n, m, name="x")
        return [x], [gx.sum(x), gx.sum(x * x), gx.max(x)]

    return build


def shared_bias(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x, y, b = array(n, m, name="x"), array(n, m, name="y"), array(m, name="b")
        return [x, y, b], [x + b, y * b]

    return build


def dear_row(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x, b = array(n, m, name="x"), array(m, name="b")
        return [x, b], [x * gx.exp(b)]

    return build


def mask_twice(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x, y, z = array(n, m, name="x"), array(n, m, name="y"), array(n, m, name="z")
        mask = x > 0
        total = gx.sum(gx.where(mask, y, x))
        return [x, y, z], [gx.where(mask, z, total)]

    return build


def number_then_map(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x = array(n, m, name="x")
        return [x], [x / gx.sqrt(gx.sum(x * x))]

    return build


def gelu_layer(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        x, w, b = array(n, m, name="x"), array(m, m, name="w"), array(m, name="b")
        z = x @ w + b
        return [x, w, b], [z, gx.nn.gelu(z), gx.mean(z * z)]

    return build


def attention(n: int, m: int) -> Build:
    def build() -> tuple[list[gx.Tensor], list[gx.Tensor]]:
        q, k, v, d = (gx.placeholder((8, n, m), name=s) for s in "qkvd")
        y = gx.nn.scaled_dot_product_attention(q, k, v, is_causal=True)
        return [q, k, v, d], [y, *gx.gradients(gx.sum(y * d), [q, k, v])]

    return build


SIZES = ((64, 64), (512, 1024), (4096, 1024))
CASES: dict[str, Build] = {
    f"{make.__name__.replace('_', ' ')} {n} x {m}": make(n, m)
    for make in (softmax, layer_norm, batch_norm, bias_gradient, moments, shared_bias, dear_row, mask_twice)
    for n, m in SIZES
}
CASES |= {f"number then map {n} x {m}": number_then_map(n, m) for n, m in SIZES}
CASES |= {f"gelu layer {n} x {m}": gelu_layer(n, m) for n, m in ((64, 64), (128, 512))}
CASES |= {f"attention {n} x {m}": attention(n, m) for n, m in ((32, 32), (128, 64))}


def compiled(build: Build, variant: str) -> tuple[gx.Executable, list[np.ndarray]]:
    inputs, outputs = build()
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(i.shape).astype("float32") for i in inputs]
    if variant == "model":
        return gx.compile(inputs, outputs), arrays

    def verdict(*_: object, **__: object) -> Verdict:
        return Verdict(variant == "always", "forced")

    with (
        mock.patch.object(fuse_pass, "profit", verdict),
        mock.patch.object(recompute_pass, "profit", verdict),
        mock.patch.object(fuse_pass, "can_pay", return_value=True),
    ):
        return gx.compile(inputs, outputs), arrays


def best_times(calls: list[Callable[[], object]]) -> list[float]:
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for k, call in enumerate(calls):
            end = time.perf_counter() + SECONDS / len(calls)
            while True:
                start = time.perf_counter()
                call()
                now = time.perf_counter()
                best[k] = min(best[k], now - start)
                if now > end:
                    break
    return best


def main(parts: list[str]) -> None:
    sys.stdout.write("| graph | launches | us | always fused | us | never fused | us | model / best |\n")
    sys.stdout.write("|---|--:|--:|--:|--:|--:|--:|--:|\n")
    for name, build in CASES.items():
        if parts and not any(p in name for p in parts):
            continue
        made = [compiled(build, v) for v in VARIANTS]
        times = best_times([lambda e=e, a=a: e(*a) for e, a in made])
        groups = [e.text("fused") for e, _ in made]
        # Variants that chose the same groups differ by chance alone: the best time is that of all of them.
        times = [min(t for t, g in zip(times, groups, strict=True) if g == own) for own in groups]
        cells = [f"{e.cost().launches} | {t * 1e6:.1f}" for (e, _), t in zip(made, times, strict=True)]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} | {times[0] / min(times):.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
