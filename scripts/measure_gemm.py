"""Measure products of matrices: each kernel against the peak of the machine and against the peers that are installed.

    python scripts/measure_gemm.py [--threads 1] [--seconds 0.05] [--aligned] [part of a name ...]

Prints a table in Markdown. All take turns, and medians are compared. Kernels run many times in one native call, so
what a call costs is not in graphc's numbers; peers write into memory that is there, where they can (jax cannot), and
their numbers have their calls in them. Peers are NumPy (OpenBLAS), PyTorch (MKL) and jax, as far as the interpreter
has them. The peak is that of multiply-adds on the registers of one core, measured in the same turns.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

if __name__ == "__main__":  # before libraries start their threads
    _threads = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[_name] = _threads
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(_threads)])

import numpy as np

import graphc as gx
from graphc.capture import capture
from graphc.codegen.jit import Machine
from graphc.codegen.module import emit_module
from graphc.codegen.pool import emit_pool
from graphc.compiler import prepare
from graphc.ir.journal import Journal
from graphc.ir.loops import (
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Buffer,
    Call,
    For,
    Kernel,
    Load,
    Program,
    Region,
    Repeat,
    Slot,
    Space,
    Store,
    Var,
    apply,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.program import lower
from graphc.options import Options
from graphc.runtime.pool import POOL
from graphc.target import host

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
except ImportError:
    jax = None

Array = np.ndarray[Any, Any]
Run = Callable[[], object]

F32, F64 = np.dtype("float32"), np.dtype("float64")
PEAK_STEPS = 4096
SPREAD = 7


@dataclass(frozen=True)
class Case:
    """A product: shapes of the operands as they lie in memory, which of them are transposed, and what follows."""

    name: str
    a: tuple[int, ...]
    b: tuple[int, ...]
    dtype: np.dtype[Any] = F32
    a_t: bool = False
    b_t: bool = False
    epilogue: str = ""

    @property
    def flops(self) -> int:
        depth = self.a[-2 if self.a_t else -1] if len(self.a) > 1 else self.a[0]
        m = 1 if len(self.a) == 1 else self.a[-1 if self.a_t else -2]
        n = 1 if len(self.b) == 1 else self.b[-2 if self.b_t else -1]
        return 2 * m * n * depth * int(np.prod(self.a[:-2], dtype=np.int64))

    def product(self, a: Any, b: Any, matmul: Callable[..., Any], **out: Any) -> Any:
        """Return the product by a library's matmul."""
        a = a.swapaxes(-1, -2) if self.a_t else a
        b = b.swapaxes(-1, -2) if self.b_t else b
        return matmul(a, b, **out)


def _square(n: int) -> dict[str, Any]:
    return {"a": (n, n), "b": (n, n)}


def cases() -> Iterator[Case]:
    for dtype, name in ((F32, "f32"), (F64, "f64")):
        for n in (16, 24, 31, 32, 48, 64, 65, 96, 100, 127, 128, 192, 255, 256, 257, 384, 500, 512, 513):
            yield Case(f"square {name} {n}", **_square(n), dtype=dtype)
        for n in (768, 1000, 1024, 1025, 1536, 2000, 2048):
            yield Case(f"large {name} {n}", **_square(n), dtype=dtype)
        for n in (31, 64, 128, 256, 512, 1000, 1024, 2048):
            yield Case(f"A^T {name} {n}", **_square(n), dtype=dtype, a_t=True)
            yield Case(f"B^T {name} {n}", **_square(n), dtype=dtype, b_t=True)
        for n in (8, 16, 64):
            yield Case(f"batched {name} 64x{n}", (64, n, n), (64, n, n), dtype)
            yield Case(f"batched B^T {name} 64x{n}", (64, n, n), (64, n, n), dtype, b_t=True)
        for n in (64, 256, 1024, 2048):
            yield Case(f"matvec {name} {n}", (n, n), (n,), dtype)
            yield Case(f"vecmat {name} {n}", (n,), (n, n), dtype)
            yield Case(f"outer {name} {n}", (n, 1), (1, n), dtype)
        for n in (1, 2, 4, 8, 10, 16):
            yield Case(f"narrow {name} 512x512x{n}", (512, 512), (512, n), dtype)
            yield Case(f"flat {name} {n}x512x512", (n, 512), (512, 512), dtype)
            yield Case(f"flat B^T {name} {n}x512x512", (n, 512), (512, 512), dtype, b_t=True)
        yield Case(f"tall {name} 10000x64x64", (10000, 64), (64, 64), dtype)
        yield Case(f"tall {name} 10000x784x100", (10000, 784), (784, 100), dtype)
        yield Case(f"deep {name} 64x10000x64", (10000, 64), (10000, 64), dtype, a_t=True)
        yield Case(f"thin {name} 1024x16x1024", (1024, 16), (16, 1024), dtype)
        yield Case(f"layer {name} 128x784x512", (128, 784), (784, 512), dtype)
        yield Case(f"layer dW {name} 784x128x512", (128, 784), (128, 512), dtype, a_t=True)
        yield Case(f"layer dX {name} 128x512x784", (128, 512), (784, 512), dtype, b_t=True)
        for n in (64, 256, 1024):
            for epilogue in ("bias relu", "bias gelu"):
                yield Case(f"epilogue {name} {n} {epilogue}", **_square(n), dtype=dtype, epilogue=epilogue)


def array(rng: Any, shape: tuple[int, ...], dtype: np.dtype[Any], is_aligned: bool) -> Array:
    """Return numbers at a cache line's beginning, or 16 bytes after it, where NumPy's large arrays lie."""
    count = int(np.prod(shape, dtype=np.int64))
    memory = np.empty(count * dtype.itemsize + 128, np.uint8)
    start = -memory.ctypes.data % 64 + (0 if is_aligned else 16)
    found = memory[start : start + count * dtype.itemsize].view(dtype).reshape(shape)
    found[...] = rng.standard_normal(shape)
    return found


# graphc.


class Native:
    """A program whose work is repeated within one call."""

    def __init__(self, program: Program, arrays: Sequence[Array], repeats: int = 1) -> None:
        steps = (Repeat(repeats, program.steps),) if repeats > 1 else program.steps
        program = replace(program, steps=steps)
        start = time.perf_counter()
        self.machine = Machine(emit_module(program, host()), program.symbol, host())
        self.compile_seconds = time.perf_counter() - start
        self.arena = np.empty(program.arena_bytes + 64, np.uint8)
        arena = self.arena.ctypes.data + -self.arena.ctypes.data % 64
        self.kept = [*arrays, *program.constants]
        addresses = [*[a.ctypes.data for a in self.kept], arena, POOL.address]
        self.slots = (ctypes.c_void_p * len(addresses))(*addresses)
        self.failure = (ctypes.c_int64 * 2)()
        self.entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(self.machine.address)

    def __call__(self) -> None:
        assert not self.entry(self.slots, self.failure)


def compiled(case: Case, threads: int = 1) -> Program:
    """Return graphc's program of a product, for so many threads at most."""
    a, b = gx.placeholder(case.a, case.dtype, name="a"), gx.placeholder(case.b, case.dtype, name="b")
    result, inputs = case.product(_Swappable(a), _Swappable(b), lambda x, y: x.tensor @ y.tensor), [a, b]
    if case.epilogue:
        bias = gx.placeholder(case.b[-1:], case.dtype, name="bias")
        inputs.append(bias)
        result = {"bias relu": gx.nn.relu, "bias gelu": gx.nn.gelu}[case.epilogue](result + bias)
    graph = capture(inputs, result, None, None, "measured").graph
    _, prepared, groups = prepare(graph, Options(), Journal())
    return lower(prepared, groups, host(), threads).program


@dataclass(frozen=True)
class _Swappable:
    tensor: gx.Tensor

    def swapaxes(self, _: int, __: int) -> _Swappable:
        return _Swappable(self.tensor.mT)


def peak_program(dtype: np.dtype[Any]) -> Program:
    """Return multiply-adds on registers alone, in chains enough to hide their latency."""
    rows, vectors = 6, 3 if host().vector_registers > 16 else 2
    width = vectors * host().lanes(dtype.itemsize)
    a, b = (Buffer(n, TensorType(dtype, (s,))) for n, s in (("a", rows), ("b", width)))
    c = Buffer("c", TensorType(dtype, (rows, width)))
    acc = Buffer("acc", TensorType(dtype, (rows, width)), Space.REGISTER)

    def each(build: Callable[[Var, Var], Any]) -> For:
        i, j = Var("i"), Var("j")
        return For(i, rows, For(j, width, build(i, j), VECTOR), UNROLL)

    step = each(lambda i, j: Accumulate(acc, (i, j), "add", apply("mul", Load(a, (i,)), Load(b, (j,)))))
    body = block(
        Alloc(acc),
        each(lambda i, j: Store(acc, (i, j), const(0, dtype))),
        For(Var("k"), PEAK_STEPS // 4, For(Var("u"), 4, step, UNROLL), SERIAL),
        each(lambda i, j: Store(c, (i, j), Load(acc, (i, j)))),
    )
    kernel = Kernel("peak", (a, b, c), body)
    slots = tuple([Slot(Region.STATE, k) for k in range(3)])
    types = tuple([x.type for x in kernel.params])
    return Program("peak", (kernel,), (Call(kernel, slots),), (), (), types, (), 0)


def peak_run(dtype: np.dtype[Any]) -> tuple[Native, float]:
    """Return what runs at the peak, and its flops."""
    program = peak_program(dtype)
    arrays = [np.ones(t.shape, dtype) for t in program.state]
    return Native(program, arrays, 10), 20.0 * PEAK_STEPS * arrays[0].size * arrays[1].size


# Peers.


def peers(case: Case, arrays: Sequence[Array], out: Array) -> dict[str, Run]:
    a, b = arrays[:2]
    found: dict[str, Run] = {}
    target = out if out.ndim else None

    def numpy_run() -> object:
        return _followed(case, case.product(a, b, np.matmul, out=target), arrays)

    found["numpy"] = numpy_run
    if torch is not None:
        ta, tb, tc = (torch.from_numpy(x) for x in (a, b, out))
        bias = torch.from_numpy(arrays[2]) if case.epilogue else None

        def torch_run() -> object:
            c = case.product(ta, tb, torch.matmul, out=tc)
            if bias is None:
                return c
            c += bias
            return torch.relu_(c) if case.epilogue == "bias relu" else torch.nn.functional.gelu(c)

        found["torch"] = torch_run
    if jax is not None:
        ja = [jax.numpy.asarray(x) for x in arrays]
        function = jax.jit(lambda *x: _jax(case, *x))
        found["jax"] = lambda: function(*ja).block_until_ready()
    return found


def _jax(case: Case, a: Any, b: Any, bias: Any = None) -> Any:
    c = case.product(a, b, jax.numpy.matmul)
    if bias is None:
        return c
    return jax.nn.relu(c + bias) if case.epilogue == "bias relu" else jax.nn.gelu(c + bias, approximate=False)


def _followed(case: Case, c: Array, arrays: Sequence[Array]) -> Array:
    """Return NumPy's epilogue; it has no erf, so of a gelu only the part that it has."""
    if case.epilogue:
        c += arrays[2]
        np.maximum(c, 0, out=c)
    return c


# Time.


def once(run: Run, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def medians(runs: dict[str, Run], seconds: float) -> dict[str, float]:
    """Return the median time of each, all in turn."""
    counts = {}
    for name, run in runs.items():
        run()
        counts[name] = max(1, int(seconds / SPREAD / max(once(run, 1), 1e-7)))
    times = [{name: once(run, counts[name]) for name, run in runs.items()} for _ in range(SPREAD)]
    return {name: float(np.median([t[name] for t in times])) for name in runs}


def measure(case: Case, options: argparse.Namespace) -> list[str]:
    rng = np.random.default_rng(0)
    arrays = [array(rng, s, case.dtype, options.aligned) for s in (case.a, case.b)]
    if case.epilogue:
        arrays.append(array(rng, case.b[-1:], case.dtype, options.aligned))
    expected = case.product(*[x.astype(F64) for x in arrays[:2]], np.matmul)
    out = array(rng, expected.shape, case.dtype, options.aligned)
    start = time.perf_counter()
    program = compiled(case, options.threads)
    seconds_to_lower = time.perf_counter() - start
    repeats = max(1, int(2e6 / case.flops))
    native = Native(program, [*arrays, out], repeats)
    out[...] = np.nan
    native()
    if not case.epilogue:
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(out, expected, rtol=0, atol=scale * 1e-13 if case.dtype == F64 else scale * 1e-4)
    peak, peak_flops = peak_run(case.dtype)
    found = medians({"graphc": native, "peak": peak, **peers(case, arrays, out)}, options.seconds)
    own = found["graphc"] / repeats
    share = case.flops / own / (peak_flops / found["peak"])
    ratios = [f"{found[p] / own:.2f}" if p in found else "" for p in ("numpy", "torch", "jax")]
    compile_ms = f"{seconds_to_lower * 1e3:.0f} + {native.compile_seconds * 1e3:.0f}"
    return [case.name, f"{own * 1e6:.2f}", f"{case.flops / own / 1e9:.1f}", f"{share:.0%}", *ratios, compile_ms]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/measure_gemm.py", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.05, help="for each of those that take turns")
    parser.add_argument("--aligned", action="store_true", help="operands begin on a cache line")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(options.threads)
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
    if options.threads > 1:
        gx.set_threads(options.threads)
        POOL.prepare(lambda: Machine(emit_pool(host()), "pool", host(), level=0))
    for dtype in (F32, F64):
        peak, flops = peak_run(dtype)
        print(f"peak of one thread: {flops / medians({'peak': peak}, options.seconds)['peak'] / 1e9:.0f} GF/s {dtype}")
    print("\n| product | us | GF/s | of peak | numpy / graphc | torch / graphc | jax / graphc | lower + LLVM ms |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for case in cases():
        if not options.names or any(n in case.name for n in options.names):
            print("| " + " | ".join(measure(case, options)) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
