"""Convolutions and pooling of images, forward and with gradients, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.benchmarks.library import Library, Program, normal
from scripts.benchmarks.programs.elementwise import gradient_of, of

# name, x[N, C, H, W], w[O, C / groups, kh, kw], stride, padding, groups
SHAPES: list[tuple[str, tuple[int, ...], tuple[int, ...], int, int, int]] = [
    ("5 x 5, 1 to 6, 28, batch 64", (64, 1, 28, 28), (6, 1, 5, 5), 1, 2, 1),
    ("5 x 5, 6 to 16, 14, batch 64", (64, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1),
    ("3 x 3, 3 to 32, 32, batch 32", (32, 3, 32, 32), (32, 3, 3, 3), 1, 1, 1),
    ("3 x 3, 64 to 64, 28, batch 8", (8, 64, 28, 28), (64, 64, 3, 3), 1, 1, 1),
    ("3 x 3, 128 to 128, 14, batch 8", (8, 128, 14, 14), (128, 128, 3, 3), 1, 1, 1),
    ("3 x 3, stride 2, 64 to 128, 28, batch 8", (8, 64, 28, 28), (128, 64, 3, 3), 2, 1, 1),
    ("1 x 1, 256 to 64, 14, batch 8", (8, 256, 14, 14), (64, 256, 1, 1), 1, 0, 1),
    ("3 x 3, depthwise, 64, 28, batch 8", (8, 64, 28, 28), (64, 1, 3, 3), 1, 1, 64),
]
SMALL = ("3 x 3, 4 to 8, 8, batch 2", (2, 4, 8, 8), (8, 4, 3, 3), 1, 1, 1)


def _convolution(stride: int, padding: int, groups: int) -> Any:
    return lambda lib, x, w: lib.nn.conv2d(x, w, stride=stride, padding=padding, groups=groups)


def programs() -> list[Program]:
    """Return the programs of the suite."""
    made = []
    for name, x, w, stride, padding, groups in (SMALL, *SHAPES):
        f = _convolution(stride, padding, groups)
        out = (x[2] + 2 * padding - w[2]) // stride + 1
        y = (x[0], w[0], out, out)

        def plain(rng: np.random.Generator, x: Any = x, w: Any = w) -> Any:
            return [normal(rng, *x), normal(rng, *w, scale=0.1)], []

        def weighted(rng: np.random.Generator, x: Any = x, w: Any = w, y: Any = y) -> Any:
            return [normal(rng, *x), normal(rng, *w, scale=0.1), normal(rng, *y)], []

        is_small = name == SMALL[0]
        made.append(Program(f"convolution {name}", of(f), plain, needs=("nn.conv2d",), is_small=is_small))
        name = f"convolution with gradients {name}"
        made.append(Program(name, gradient_of(f, 2), weighted, needs=("nn.conv2d",)))
    return [*made, *_pools()]


def _pools() -> list[Program]:
    made = []
    for kind in ("max", "avg"):

        def pool(lib: Library, x: Any, name: str = f"{kind}_pool2d") -> Any:
            return getattr(lib.nn, name)(x, 2)

        def plain(rng: np.random.Generator) -> Any:
            return [normal(rng, 32, 16, 28, 28)], []

        def weighted(rng: np.random.Generator) -> Any:
            return [normal(rng, 32, 16, 28, 28), normal(rng, 32, 16, 14, 14)], []

        needs = (f"nn.{kind}_pool2d",)
        made.append(Program(f"{kind} pooling 2 x 2, 32 x 16 x 28 x 28", of(pool), plain, needs=needs))
        name = f"{kind} pooling 2 x 2 with gradient, 32 x 16 x 28 x 28"
        made.append(Program(name, gradient_of(pool, 1), weighted, needs=needs))
    return made
