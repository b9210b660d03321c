"""What threads are worth: the same function on one thread and on several, measured in turn.

    python scripts/measure_threads.py            at which sizes a second thread pays, and what it brings for large ones
    python scripts/measure_threads.py sleep      the same for calls with a pause before each, when workers sleep
    python scripts/measure_threads.py "exp(x)"   some of the functions

Every kernel is divided that can be, whatever its size. The columns: microseconds of a call on one thread and on all,
their ratio (median of rounds, then its quarters), the estimate of the kernels' time on one thread that decides, and
whether it divides any.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

import graphc as gx
from graphc import compiler
from graphc.target import Target, host

EAGER = replace(host(), share_cycles=0.0)
"""A machine for which every kernel is divided that can be."""

ROUNDS = 15
ROUND_SECONDS = 2e-3

Make = Callable[[gx.Tensor], Any]

FUNCTIONS: dict[str, tuple[tuple[int, ...], Make]] = {
    "x * 2 + 1": ((1,), lambda x: x * 2 + 1),
    "exp(x)": ((1,), gx.exp),
    "tanh(sin(x)) * exp(x)": ((1,), lambda x: gx.tanh(gx.sin(x)) * gx.exp(x)),
    "softmax of rows of 256": ((256,), gx.nn.softmax),
    "sum of rows of 256": ((256,), lambda x: gx.sum(x, axis=1)),
    "sum of columns, 256 rows": ((-256,), lambda x: gx.sum(x, axis=0)),
    "sum": ((1,), gx.sum),
    "layer norm of rows of 256": ((256,), lambda x: gx.nn.layer_norm(x, (256,))),
}

SIZES = [1 << k for k in (10, 11, 12, 13, 14, 15, 16, 18, 20, 22)]
SIDES = (16, 32, 48, 64, 96, 128, 192, 256, 512, 1024)


def array(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def cases() -> list[tuple[str, str, Any, Make]]:
    found = []
    for name, ((width,), make) in FUNCTIONS.items():
        for size in SIZES:
            shape = (size,) if width == 1 else (size // width, width) if width > 0 else (-width, -size // width)
            if min(shape) > 0:
                found.append((name, f"{size}", array(shape), make))
    found += [("x @ x", f"{n}^3", array((n, n)), lambda x: x @ x) for n in SIDES]
    return found


def text(x: gx.Tensor, make: Make, target: Target) -> str:
    """Return the kernels, and how they are called, for a machine."""
    with mock.patch.object(compiler, "host", return_value=target):
        return gx.compile([x], make(x)).text("kernels")


def seconds(call: Callable[[], Any], times: int, pause: float) -> float:
    total = 0.0
    for _ in range(times):
        if pause:
            time.sleep(pause)
        start = time.perf_counter()
        call()
        total += time.perf_counter() - start
    return total / times


def batch(call: Callable[[], Any], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def measure(name: str, size: str, value: Any, make: Make, asleep: bool) -> None:
    x = gx.placeholder(value.shape, name="x")
    with mock.patch.object(compiler, "host", return_value=EAGER):
        f = gx.compile([x], make(x))
    threads, rounds = gx.get_threads(), []
    gx.set_threads(1)
    times = max(1, min(2000, int(ROUND_SECONDS / batch(lambda: f(value), 3))))
    for _ in range(ROUNDS):
        both = []
        for count in (1, threads):
            gx.set_threads(count)
            f(value)
            both.append(seconds(lambda: f(value), 10, 1e-3) if asleep else batch(lambda: f(value), times))
        rounds.append(both)
    gx.set_threads(None)
    one, many = (statistics.median(column) for column in zip(*rounds, strict=True))
    low, ratio, high = statistics.quantiles([a / b for a, b in rounds], n=4)
    estimate = f.cost().seconds
    can, does = ("threads=" in text(x, make, target) for target in (EAGER, host()))
    sys.stdout.write(
        f"| {name} | {size} | {one * 1e6:.2f} | {many * 1e6:.2f} | {ratio:.2f} ({low:.2f} to {high:.2f}) "
        f"| {estimate * 1e6:.2f} | {'yes' if does else 'no' if can else 'cannot be'} |\n"
    )
    sys.stdout.flush()


def main() -> None:
    asleep = sys.argv[1:2] == ["sleep"]
    chosen = sys.argv[1 + asleep :] or [*FUNCTIONS, "x @ x"]
    head = "| function | size | one | all | ratio | estimate | divided |\n|---|--:|--:|--:|--:|--:|---|"
    sys.stdout.write(f"{gx.get_threads()} threads\n\n{head}\n")
    for name, size, value, make in cases():
        if name in chosen:
            measure(name, size, value, make, asleep)


if __name__ == "__main__":
    main()
