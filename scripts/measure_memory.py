"""Measure memory against time: gx.checkpoint and Options(memory_budget=) on a deep network, for docs/memory.md.

    python -m scripts.measure_memory

Value and gradients of a chain of 50 layers x + gelu(x @ w). The variants are timed in turn, one call of each after the
other, and the least of the times counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx

DEPTH, WIDTH, BATCH = 50, 128, 512
SECONDS = 12.0


def loss_of(layer: Callable[[Any], Any], every: int) -> Callable[..., Any]:
    """Return the loss of a chain of layers, with pieces of `every` layers in `layer`."""

    def piece(weights: Any, x: Any) -> Any:
        for w in weights:
            x = gx.nn.gelu(x @ w) + x
        return x

    def loss(weights: list[Any], x: Any) -> Any:
        for k in range(0, DEPTH, every):
            x = layer(piece)(weights[k : k + every], x)
        return gx.mean(x**2)

    return loss


def variants(plain_bytes: Callable[[], int]) -> dict[str, Any]:
    """Return what is measured by its name."""
    found = {"nothing computed again": gx.value_and_grad(loss_of(lambda fn: fn, DEPTH))}
    for every in (1, 4, 7, 10):
        called = f"`gx.checkpoint` around {every} layer{'s' * (every > 1)}"
        found[called] = gx.value_and_grad(loss_of(gx.checkpoint, every))
    for part in (0.75, 0.5, 0.25, 0.15):
        options = gx.Options(memory_budget=int(part * plain_bytes()))
        called = f"`memory_budget` of {part:.0%} of the first"
        found[called] = gx.jit(gx.value_and_grad(loss_of(lambda fn: fn, DEPTH)), options=options)
    return found


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    weights = [(rng.normal(size=(WIDTH, WIDTH)) / 64).astype(np.float32) for _ in range(DEPTH)]
    x = rng.normal(size=(BATCH, WIDTH)).astype(np.float32)
    plain = gx.value_and_grad(loss_of(lambda fn: fn, DEPTH))
    programs = {k: f.compiled(weights, x) for k, f in variants(lambda: arena(plain, weights, x)).items()}
    best = dict.fromkeys(programs, float("inf"))
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for name, run in programs.items():
            start = time.perf_counter()
            run(*weights, x)
            best[name] = min(best[name], time.perf_counter() - start)
    first = next(iter(programs))
    whole = programs[first].cost()
    print("| | intermediate values, MB | of the first | arithmetic | time, ms | of the first |")
    print("|---|---|---|---|---|---|")
    for name, run in programs.items():
        cost = run.cost()
        print(
            f"| {name} | {cost.arena_bytes / 1e6:.1f} | {cost.arena_bytes / whole.arena_bytes:.2f} "
            f"| {cost.flops / whole.flops:.2f} | {best[name] * 1e3:.1f} | {best[name] / best[first]:.2f} |"
        )


def arena(function: Any, weights: Any, x: Any) -> int:
    """Return the bytes of intermediate values of a compiled function."""
    return int(function.compiled(weights, x).cost().arena_bytes)


if __name__ == "__main__":
    main()
