"""Measure convolutions and pooling, both ways, against the peers that are installed.

    python scripts/measure_conv.py [--threads 1] [--seconds 0.3] [part of a name ...]

Prints a table in Markdown. All take turns and medians are compared; calls are part of the times. Peers are PyTorch
(oneDNN) and jax, as far as the interpreter has them; results are compared with theirs before anything is timed. The
peak is that of multiply-adds on registers, measured in the same turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

if __name__ == "__main__":  # before libraries start their threads
    _threads = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[_name] = _threads
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(_threads)])

import numpy as np

import graphc as gx

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
except ImportError:
    jax = None

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """A convolution, or where `kernel` has no channels, max pooling."""

    name: str
    x: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    groups: int = 1
    way: str = "forward"

    @property
    def y(self) -> tuple[int, ...]:
        extents = zip(self.x[2:], self.kernel[-2:], strict=True)
        spatial = [(n + 2 * self.padding - k) // self.stride + 1 for n, k in extents]
        return (self.x[0], self.kernel[0] if len(self.kernel) == 4 else self.x[1], *spatial)

    @property
    def flops(self) -> int:
        return 2 * int(np.prod(self.y)) * int(np.prod(self.kernel[1:] if len(self.kernel) == 4 else self.kernel))


LAYERS = [
    ("lenet 1 b32", (32, 1, 28, 28), (6, 1, 5, 5), 1, 2),
    ("lenet 2 b32", (32, 6, 14, 14), (16, 6, 5, 5), 1, 0),
    ("lenet 1 b64", (64, 1, 28, 28), (6, 1, 5, 5), 1, 2),
    ("lenet 2 b64", (64, 6, 14, 14), (16, 6, 5, 5), 1, 0),
    ("3x3 56x56x64", (1, 64, 56, 56), (64, 64, 3, 3), 1, 1),
    ("3x3 56x56x64 b8", (8, 64, 56, 56), (64, 64, 3, 3), 1, 1),
    ("3x3 28x28x128", (4, 128, 28, 28), (128, 128, 3, 3), 1, 1),
    ("3x3 s2 56x56x128", (4, 128, 56, 56), (128, 128, 3, 3), 2, 1),
    ("3x3 14x14x256", (4, 256, 14, 14), (256, 256, 3, 3), 1, 1),
    ("3x3 7x7x512", (4, 512, 7, 7), (512, 512, 3, 3), 1, 1),
    ("1x1 14x14x256", (8, 256, 14, 14), (256, 256, 1, 1), 1, 0),
    ("1x1 s2 56x56x64", (4, 64, 56, 56), (128, 64, 1, 1), 2, 0),
    ("first 7x7 s2 224", (1, 3, 224, 224), (64, 3, 7, 7), 2, 3),
    ("depthwise 112x112x32", (1, 32, 112, 112), (32, 1, 3, 3), 1, 1, 32),
    ("depthwise s2 112x112x32", (1, 32, 112, 112), (32, 1, 3, 3), 2, 1, 32),
    ("grouped 28x28x128/4", (4, 128, 28, 28), (128, 32, 3, 3), 1, 1, 4),
]
POOLS = [
    ("max 2x2 lenet b64", (64, 6, 28, 28), (2, 2), 2, 0),
    ("max 3x3 s2 112x112x64", (1, 64, 112, 112), (3, 3), 2, 1),
    ("max 2x2 56x56x64", (4, 64, 56, 56), (2, 2), 2, 0),
    ("avg 2x2 lenet b64", (64, 6, 28, 28), (2, 2), 2, 0),
    ("avg 7x7 7x7x512", (4, 512, 7, 7), (7, 7), 7, 0),
    ("avg 3x3 s1 28x28x64", (4, 64, 28, 28), (3, 3), 1, 1),
]


def cases() -> Iterator[Case]:
    for name, x, kernel, stride, padding, *groups in LAYERS:
        for way in ("forward", "input", "weight"):
            yield Case(name, x, kernel, stride, padding, groups[0] if groups else 1, way)
    for name, x, kernel, stride, padding in POOLS:
        for way in ("forward", "input"):
            yield Case(name, x, kernel, stride, padding, 1, way)


def arrays(case: Case) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    kernel = case.kernel if len(case.kernel) == 4 else (1,)
    return tuple([rng.standard_normal(s).astype(np.float32) for s in (case.x, kernel, case.y)])  # type: ignore[return-value]


def forward(case: Case, x: Any, w: Any) -> Any:
    if len(case.kernel) == 4:
        return gx.nn.conv2d(x, w, stride=case.stride, padding=case.padding, groups=case.groups)
    pool = gx.nn.max_pool2d if case.name.startswith("max") else gx.nn.avg_pool2d
    return pool(x, case.kernel, case.stride, case.padding)


def ours(case: Case) -> Run:
    x, w, y = arrays(case)
    inputs = [gx.placeholder(a.shape, a.dtype, name=n) for n, a in (("x", x), ("w", w), ("y", y))]
    result = forward(case, inputs[0], inputs[1])
    if case.way == "forward":
        exe, given = gx.compile(inputs[:2] if len(case.kernel) == 4 else inputs[:1], result), (x, w)
    else:
        wrt = inputs[0] if case.way == "input" else inputs[1]
        gradient = gx.gradients(result, wrt, cotangent=inputs[2])
        is_needed = (case.name.startswith("max") or case.way == "weight", len(case.kernel) == 4 and case.way == "input")
        used = [i for i, n in zip((0, 1, 2), (*is_needed, True), strict=True) if n]
        exe, given = gx.compile([inputs[k] for k in used], gradient), tuple([(x, w, y)[k] for k in used])
    if len(case.kernel) == 2 and case.way == "forward":
        given = (x,)
    return lambda: exe(*given)


def torch_run(case: Case) -> Run:
    x, w, y = (torch.from_numpy(a) for a in arrays(case))
    functional = torch.nn.functional
    if len(case.kernel) == 4:
        if case.way == "forward":
            return lambda: functional.conv2d(x, w, None, case.stride, case.padding, 1, case.groups)
        mask = [case.way == "input", case.way == "weight", False]
        which = 0 if case.way == "input" else 1
        s, p = [case.stride] * 2, [case.padding] * 2
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(y, x, w, None, s, p, [1, 1], False, [0, 0], case.groups, mask)[which]
    s, p = [case.stride] * 2, [case.padding] * 2
    if case.name.startswith("max"):
        if case.way == "forward":
            return lambda: functional.max_pool2d(x, case.kernel, case.stride, case.padding)
        index = torch.ops.aten.max_pool2d_with_indices(x, list(case.kernel), s, p)[1]
        return lambda: torch.ops.aten.max_pool2d_with_indices_backward(
            y, x, list(case.kernel), s, p, [1, 1], False, index
        )
    if case.way == "forward":
        return lambda: functional.avg_pool2d(x, case.kernel, case.stride, case.padding)
    return lambda: torch.ops.aten.avg_pool2d_backward(y, x, list(case.kernel), s, p, False, True, None)


def jax_run(case: Case) -> Run:
    x, w, y = (jax.numpy.asarray(a) for a in arrays(case))
    padding = [(case.padding, case.padding)] * 2

    def run(x: Any, w: Any) -> Any:
        if len(case.kernel) == 4:
            return jax.lax.conv_general_dilated(x, w, (case.stride,) * 2, padding, feature_group_count=case.groups)
        window = ((1, 1, *case.kernel), (1, 1, case.stride, case.stride), [(0, 0), (0, 0), *padding])
        if case.name.startswith("max"):
            return jax.lax.reduce_window(x, -np.inf, jax.lax.max, *window)
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, *window) / np.prod(case.kernel)

    if case.way == "forward":
        function = jax.jit(run)
        return lambda: function(x, w).block_until_ready()
    which = 0 if case.way == "input" else 1
    backward = jax.jit(lambda x, w, y: jax.vjp(run, x, w)[1](y)[which])
    return lambda: backward(x, w, y).block_until_ready()


def peak(seconds: float) -> float:
    """Return the floating-point operations a second of a product that fits the second-level cache."""
    a = np.ones((384, 384), np.float32)
    best = np.inf
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, a)
        best = min(best, time.perf_counter() - start)
    return 2 * 384**3 / best


def measure(case: Case, seconds: float) -> str:
    runs: dict[str, Run] = {"graphc": ours(case)}
    if torch is not None:
        runs["torch"] = torch_run(case)
    if jax is not None:
        runs["jax"] = jax_run(case)
    results = {name: np.asarray(run()) for name, run in runs.items()}
    found = results["graphc"]
    scale = float(np.abs(found).max())
    for name, result in results.items():
        difference = float(np.abs(result - found).max()) / scale
        if difference > 1e-4:
            raise SystemExit(f"{case.name} {case.way}: {name} differs by {difference}")
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["graphc"]) < 3:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    own = statistics.median(times["graphc"])
    cells = [f"{own * 1e6:.0f}", f"{case.flops / own / 1e9:.0f}"]
    cells += [f"{statistics.median(times[n]) / own:.2f}" for n in runs if n != "graphc"]
    return f"| {case.name} | {case.way} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(arguments.threads)
        torch.set_grad_enabled(False)
    peers = [name for name, module in (("torch", torch), ("jax", jax)) if module is not None]
    print(f"peak of a product: {peak(0.2) / 1e9:.0f} GF/s")
    print("| case | way | us | GF/s | " + " | ".join(peers) + " |")
    print("|---|---|---|---|" + "---|" * len(peers))
    for case in cases():
        if all(n in f"{case.name} {case.way}" for n in arguments.names):
            print(measure(case, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
