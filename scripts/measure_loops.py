"""Measure loops: elementwise, reductions, rows, transposes, gathers, beside jax.jit and NumPy, one thread each.

    python scripts/measure_loops.py [--jax] [--save FILE | --against FILE] [part of a name ...]

Libraries take turns and the best time of each counts; a copy of the same bytes takes its turn too, as the bound. Prints
microseconds, how many times longer than the copy, and how many times faster than each peer. With two files of one
machine, --against tells how many times faster each case has become; only cases measured in one quiet run compare.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np

import graphc as gx

try:
    import jax
except ImportError:
    jax = None

Array = np.ndarray[Any, Any]
ROUNDS, SECONDS = 7, 0.004


@dataclass(frozen=True)
class Case:
    """f(library, *arrays), written with the names of the array API."""

    name: str
    f: Callable[..., Any]
    inputs: tuple[Array, ...]


def floats(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def layer_norm(xp: Any, x: Any, w: Any, b: Any) -> Any:
    d = x - xp.mean(x, axis=-1, keepdims=True)
    return d / xp.sqrt(xp.mean(d * d, axis=-1, keepdims=True) + 1e-5) * w + b


def gelu(xp: Any, x: Any) -> Any:
    return 0.5 * x * (1.0 + xp.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def entropy_gradient(xp: Any, z: Any, hot: Any) -> Any:
    p = softmax(xp, z)
    loss = xp.mean(xp.log(xp.sum(xp.where(hot, p, 0.0), axis=-1)))
    return loss, p - xp.where(hot, 1.0, 0.0)


def embedding(xp: Any, table: Any, rows: Any) -> Any:
    return xp.take(table, rows, axis=0)


def flat(sizes: tuple[int, ...], dtype: str) -> Iterator[Case]:
    for n in sizes:
        x, y = floats(n, dtype=dtype), floats(n, dtype=dtype)
        tag = f"{n} {dtype}"
        yield Case(f"add {tag}", lambda xp, x, y: x + y, (x, y))
        yield Case(f"chain {tag}", lambda xp, x, y: (2.0 * x + 1.0) * y - x * y * y, (x, y))
        yield Case(f"exp {tag}", lambda xp, x: xp.exp(x), (x,))
        yield Case(f"tanh {tag}", lambda xp, x: xp.tanh(x), (x,))
        yield Case(f"sin {tag}", lambda xp, x: xp.sin(x), (x,))
        yield Case(f"sigmoid {tag}", lambda xp, x: 1.0 / (1.0 + xp.exp(-x)), (x,))
        yield Case(f"gelu {tag}", gelu, (x,))
        yield Case(f"where {tag}", lambda xp, x, y: xp.where(x > y, x, 0.0), (x, y))
        yield Case(f"sum {tag}", lambda xp, x: xp.sum(x), (x,))
        yield Case(f"max {tag}", lambda xp, x: xp.max(x), (x,))
        yield Case(f"sum exp {tag}", lambda xp, x: xp.sum(xp.exp(x) * 2.0), (x,))
        yield Case(f"var {tag}", lambda xp, x: xp.var(x), (x,))
        yield Case(f"reverse {tag}", lambda xp, x: x[::-1] + 1.0, (x,))
        yield Case(f"stride 2 {tag}", lambda xp, x: x[::2] + 1.0, (x,))
        yield Case(f"concat {tag}", lambda xp, x, y: xp.concat([x, y]) * 2.0, (x, y))


def matrices(n: int, m: int, dtype: str) -> Iterator[Case]:
    x, y, row, column = (floats(*s, dtype=dtype) for s in ((n, m), (n, m), (m,), (n, 1)))
    tag = f"{n}x{m} {dtype}"
    yield Case(f"sum axis 0 {tag}", lambda xp, x: xp.sum(x, axis=0), (x,))
    yield Case(f"sum axis 1 {tag}", lambda xp, x: xp.sum(x, axis=1), (x,))
    yield Case(f"max axis 0 {tag}", lambda xp, x: xp.max(x, axis=0), (x,))
    yield Case(f"max axis 1 {tag}", lambda xp, x: xp.max(x, axis=1), (x,))
    yield Case(f"mean var axis 0 {tag}", lambda xp, x: (xp.mean(x, axis=0), xp.var(x, axis=0)), (x,))
    yield Case(f"relu bias gradient {tag}", lambda xp, x, y: relu_gradient(xp, x, y), (x, y))
    yield Case(f"row {tag}", lambda xp, x, row: x * row, (x, row))
    yield Case(f"column {tag}", lambda xp, x, column: x * column, (x, column))
    yield Case(f"outer {tag}", lambda xp, row, column: row * column, (row, column))
    yield Case(f"half columns {tag}", lambda xp, x: x[:, : x.shape[1] // 2] + 1.0, (x,))
    yield Case(f"reverse columns {tag}", lambda xp, x: x[:, ::-1] + 1.0, (x,))
    yield Case(f"softmax {tag}", softmax, (x,))
    yield Case(f"layer norm {tag}", layer_norm, (x, row, row))
    hot = np.arange(m) == np.random.default_rng(0).integers(0, m, (n, 1))
    yield Case(f"cross entropy {tag}", entropy_gradient, (x, hot))


def relu_gradient(xp: Any, x: Any, y: Any) -> Any:
    g = xp.where(x > 0, y, 0.0)
    return g, xp.sum(g, axis=0)


def turned(n: int, m: int, dtype: str) -> Iterator[Case]:
    x, y = floats(n, m, dtype=dtype), floats(m, n, dtype=dtype)
    tag = f"{n}x{m} {dtype}"
    yield Case(f"transpose {tag}", lambda xp, x: xp.permute_dims(x, (1, 0)), (x,))
    yield Case(f"add transposed {tag}", lambda xp, x, y: xp.permute_dims(x, (1, 0)) + y, (x, y))
    yield Case(f"exp transposed {tag}", lambda xp, x, y: xp.exp(xp.permute_dims(x, (1, 0))) * y, (x, y))


def images(n: int, c: int, h: int) -> Iterator[Case]:
    x, y = floats(n, c, h, h), floats(n, h, h, c)
    tag = f"{n}x{c}x{h}x{h}"
    yield Case(f"NCHW to NHWC {tag}", lambda xp, x: xp.permute_dims(x, (0, 2, 3, 1)), (x,))
    yield Case(f"NHWC to NCHW {tag}", lambda xp, x: xp.permute_dims(x, (0, 3, 1, 2)), (y,))
    yield Case(f"sum middle {tag}", lambda xp, x: xp.sum(x, axis=1), (x,))
    yield Case(f"sum of channels {tag}", lambda xp, x: xp.sum(x, axis=(0, 2, 3)), (x,))
    yield Case(f"heads {tag}", lambda xp, x: xp.permute_dims(x, (0, 2, 1, 3)), (x,))


def narrow(n: int, m: int, dtype: str) -> Iterator[Case]:
    x, y, row, column = (floats(*s, dtype=dtype) for s in ((n, m), (n, m), (m,), (n, 1)))
    tag = f"{n}x{m} {dtype}"
    yield Case(f"narrow row {tag}", lambda xp, x, row: x * row + row, (x, row))
    yield Case(f"narrow column {tag}", lambda xp, x, column: x * column, (x, column))
    yield Case(f"narrow sum {tag}", lambda xp, x: xp.sum(x, axis=1), (x,))
    yield Case(f"narrow norm {tag}", lambda xp, x: x / xp.sqrt(xp.sum(x * x, axis=1, keepdims=True)), (x,))
    yield Case(f"narrow softmax {tag}", softmax, (x,))
    yield Case(f"narrow part {tag}", lambda xp, x: x[:, 0] * x[:, 1], (x,))
    yield Case(f"narrow stack {tag}", lambda xp, x, y: xp.stack([x, y], axis=1), (x[:, 0].copy(), y[:, 0].copy()))
    yield Case(f"narrow sum axis 0 {tag}", lambda xp, x: xp.sum(x, axis=0), (x,))


def pairs(n: int) -> Iterator[Case]:
    def forces(xp: Any, x: Any) -> Any:
        d = x[:, None, :] - x[None, :, :]
        r = xp.sum(d * d, axis=-1, keepdims=True) + 0.01
        return xp.sum(d / (r * xp.sqrt(r)), axis=1)

    yield Case(f"n-body {n}", forces, (floats(n, 3),))
    yield Case(f"distances {n}", lambda xp, x: xp.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1), (floats(n, 3),))


def lookups(n: int, m: int, k: int) -> Iterator[Case]:
    rows = np.random.default_rng(0).integers(0, n, k)
    table, updates = floats(n, m), floats(k, m)
    tag = f"{n}x{m} [{k}]"
    yield Case(f"embedding {tag}", embedding, (table, rows))
    yield Case(f"embedding gradient {tag}", embedding_gradient, (table, rows, updates))
    yield Case(f"elements {tag}", lambda xp, x, rows: x[rows], (floats(n * m), rows))


def embedding_gradient(xp: Any, table: Any, rows: Any, updates: Any) -> Any:
    if xp is np:
        out = np.zeros_like(table)
        np.add.at(out, rows, updates)
        return out
    if xp is gx:
        return gx.gradients(gx.sum(gx.take(table, rows, axis=0) * updates), [table])[0]
    return xp.zeros_like(table).at[rows].add(updates)


def narrow_types(n: int) -> Iterator[Case]:
    a, b = (np.random.default_rng(k).integers(-100, 100, n) for k in (0, 1))
    for dtype in ("int8", "int32", "int64"):
        x, y = a.astype(dtype), b.astype(dtype)
        yield Case(f"{dtype} add {n}", lambda xp, x, y: x + y, (x, y))
        yield Case(f"{dtype} sum {n}", lambda xp, x: xp.sum(x), (x,))
        yield Case(f"{dtype} max {n}", lambda xp, x: xp.max(x), (x,))
        yield Case(f"{dtype} to float {n}", lambda xp, x: xp.astype(x, np.dtype("float32")) * 0.5, (x,))
    x, mask = floats(n), a > 0
    yield Case(f"mask where {n}", lambda xp, m, x: xp.where(m, x, 0.0), (mask, x))
    yield Case(f"bool and {n}", lambda xp, x, y: (x > 0) & (y > 0), (x, floats(n)))
    yield Case(f"bool any {n}", lambda xp, m: xp.any(m), (mask,))
    yield Case(f"count {n}", lambda xp, x: xp.sum(xp.astype(x > 0, np.dtype("int32"))), (x,))
    yield Case(f"float to int8 {n}", lambda xp, x: xp.astype(x * 10.0, np.dtype("int8")), (x,))
    yield Case(f"float to double {n}", lambda xp, x: xp.astype(x, np.dtype("float64")) * 0.5, (x,))


def cases() -> Iterator[Case]:
    for dtype in ("float32", "float64"):
        yield from flat((16384, 1 << 20, 1 << 23), dtype)
        for n, m in ((256, 256), (2000, 1000), (100000, 64), (64, 50000), (20000, 10)):
            yield from matrices(n, m, dtype)
        for n in (128, 512, 1000, 1024, 2048):
            yield from turned(n, n, dtype)
        yield from turned(100000, 8, dtype)
    for m in (2, 3, 4, 7):
        yield from narrow(100000, m, "float32")
    yield from narrow(100000, 3, "float64")
    yield from images(32, 3, 64)
    yield from images(8, 64, 56)
    yield from pairs(1000)
    yield from lookups(10000, 64, 8192)
    yield from lookups(1000, 512, 4096)
    yield from narrow_types(1 << 20)


def compiled(case: Case) -> Callable[[], Any]:
    inputs = [gx.placeholder(a.shape, a.dtype, name=f"x{k}") for k, a in enumerate(case.inputs)]
    outputs = case.f(gx, *inputs)
    run = gx.compile(inputs, list(outputs) if isinstance(outputs, tuple) else outputs)
    run(*case.inputs)
    return lambda: run(*case.inputs)


def by_jax(case: Case) -> Callable[[], Any]:
    jax.config.update("jax_enable_x64", True)
    run = jax.jit(lambda *arrays: case.f(jax.numpy, *arrays))
    arrays = [jax.device_put(a) for a in case.inputs]
    return lambda: jax.block_until_ready(run(*arrays))


def measure(case: Case, peers: bool) -> dict[str, float]:
    """Return the best time of each, in seconds, and of a copy of as many bytes as are read and written."""
    run = compiled(case)
    with np.errstate(all="ignore"):
        expected = case.f(np, *case.inputs)
    results = run()
    pair = (expected, results) if isinstance(expected, tuple) else ((expected,), (results,))
    for a, b in zip(*pair, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-3, atol=2e-3)
    nbytes = sum(a.nbytes for a in case.inputs) + sum(np.asarray(a).nbytes for a in pair[0])
    source = np.ones(max(64, nbytes // 2), np.uint8)
    target = np.empty_like(source)
    runs = {"graphc": run, "copy": lambda: np.copyto(target, source), "numpy": lambda: case.f(np, *case.inputs)}
    if peers:
        runs["jax"] = by_jax(case)
    return in_turn(runs)


def in_turn(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    counts = {}
    for name, run in runs.items():
        run()
        start = time.perf_counter()
        run()
        counts[name] = max(1, int(SECONDS / (time.perf_counter() - start)))
    best = dict.fromkeys(runs, 1e9)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                run()
            best[name] = min(best[name], (time.perf_counter() - start) / counts[name])
    return best


def main(arguments: list[str]) -> None:
    peers = "--jax" in arguments and jax is not None
    options = {a: arguments[k + 1] for k, a in enumerate(arguments) if a in ("--save", "--against")}
    parts = [a for a in arguments if not a.startswith("--") and a not in options.values()]
    before = json.loads(Path(options["--against"]).read_text()) if "--against" in options else {}
    found: dict[str, dict[str, float]] = {}
    sys.stdout.write("| case | us | of a copy | NumPy | jax | before |\n|---|---|---|---|---|---|\n")
    with np.errstate(all="ignore"):
        for case in cases():
            if parts and not any(p in case.name for p in parts):
                continue
            best = found[case.name] = measure(case, peers)
            mine = best["graphc"]
            columns = [f"{best[p] / mine:.2f}" if p in best else "" for p in ("numpy", "jax")]
            columns.append(f"{before[case.name]['graphc'] / mine:.2f}" if case.name in before else "")
            row = [case.name, f"{mine * 1e6:.1f}", f"{mine / best['copy']:.2f}", *columns]
            sys.stdout.write(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()
    if "--save" in options:
        Path(options["--save"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
