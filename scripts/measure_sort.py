"""Sorting and running folds against NumPy, and JAX where it is installed: ratios of times, taken in turn.

    python scripts/measure_sort.py [--only TEXT]

Each line tells the time of graphc for an element and how many times longer the others take: more than 1 is in favour of
graphc. All run on one thread but JAX, which chooses. NumPy's `kind="stable"` is what graphc's result is defined by;
its default for floats and integers of 32 and 64 bits is an AVX-512 quicksort where the machine has that.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import graphc as gx

SECONDS = 0.02
"""How long each of the functions runs in one turn, about."""

TURNS = 5

SORTED = ((20000, 8), (2000, 64), (1000, 100), (400, 256), (100, 1000), (10, 10000), (100000,), (1000000,))
FOLDED = ((1000, 0), (1000000, 0), ((1000, 1000), 1), ((1000, 1000), 0), ((20000, 16), 1), ((100, 1000, 3), 1))

Functions = Mapping[str, Callable[[], Any]]


def times(functions: Functions) -> dict[str, float]:
    """Return the seconds of each function: the least of several turns, in which each runs after the other."""
    counts, best = {}, dict.fromkeys(functions, float("inf"))
    for name, function in functions.items():
        begin = time.perf_counter()
        function()
        counts[name] = max(1, int(SECONDS / (time.perf_counter() - begin)))
    for _ in range(TURNS):
        for name, function in functions.items():
            begin = time.perf_counter()
            for _ in range(counts[name]):
                function()
            best[name] = min(best[name], (time.perf_counter() - begin) / counts[name])
    return best


def report(title: str, size: int, functions: Functions) -> None:
    found = times(functions)
    ours = found.pop("graphc")
    ratios = "   ".join([f"{name} {seconds / ours:6.2f}" for name, seconds in found.items()])
    sys.stdout.write(f"{title:34s} {ours / size * 1e9:7.2f} ns    {ratios}\n")
    sys.stdout.flush()


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype)


def compiled(function: Callable[[gx.Tensor], Any], array: np.ndarray[Any, Any]) -> Callable[[], Any]:
    x = gx.placeholder(array.shape, array.dtype, name="x")
    run = gx.compile([x], function(x), options=gx.Options())
    return lambda: run(array)


def jitted(jax: Any, function: Callable[[Any], Any], array: np.ndarray[Any, Any]) -> dict[str, Callable[[], Any]]:
    if jax is None:
        return {}
    run, given = jax.jit(function), jax.numpy.asarray(array)
    return {"jax": lambda: jax.block_until_ready(run(given))}


def sorting(jax: Any) -> list[tuple[str, Callable[[], None]]]:
    found = []
    for name, fast, slow in (("sort", gx.sort, np.sort), ("argsort", gx.argsort, np.argsort)):
        for dtype in ("float32", "float64", "int64", "int8"):
            for shape in SORTED:

                def run(
                    name: str = name, fast: Any = fast, slow: Any = slow, dtype: str = dtype, shape: Any = shape
                ) -> None:
                    a = values(shape, dtype)
                    functions = {
                        "graphc": compiled(fast, a),
                        "numpy stable": lambda: slow(a, kind="stable"),
                        "numpy default": lambda: slow(a),
                        **jitted(jax, lambda v: getattr(jax.numpy, name)(v), a),
                    }
                    report(f"{name} {dtype} {shape}", a.size, functions)

                found.append((f"{name} {dtype} {shape}", run))
    return found


def selecting(jax: Any) -> list[tuple[str, Callable[[], None]]]:
    found = []
    for shape, k in (((1000, 50), 5), ((1000, 1000), 10), ((1000000,), 10), ((100, 10000), 100)):

        def run(shape: tuple[int, ...] = shape, k: int = k) -> None:
            a = values(shape, "float32")
            functions = {
                "graphc": compiled(lambda x: list(gx.topk(x, k)), a),
                "numpy argpartition": lambda: np.argpartition(a, -k, -1)[..., -k:],
                **jitted(jax, lambda v: jax.lax.top_k(v, k), a),
            }
            report(f"topk {k} of {shape}", a.size, functions)

        found.append((f"topk {k} of {shape}", run))
    return found


def folding(jax: Any) -> list[tuple[str, Callable[[], None]]]:
    folds = {"cumsum": np.cumsum, "cumprod": np.cumprod, "cummax": np.maximum.accumulate}
    found = []
    for name, slow in folds.items():
        for dtype in ("float32", "float64", "int64"):
            for shape, axis in FOLDED:

                def run(
                    name: str = name, slow: Any = slow, dtype: str = dtype, shape: Any = shape, axis: int = axis
                ) -> None:
                    shape = (shape,) if isinstance(shape, int) else shape
                    a = np.ones(shape, dtype) if dtype == "int64" else np.random.default_rng(0).uniform(0.9, 1.1, shape)
                    a = a.astype(dtype)
                    functions = {
                        "graphc": compiled(lambda x: getattr(gx, name)(x, axis=axis), a),
                        "numpy": lambda: slow(a, axis=axis),
                        **jitted(jax, lambda v: getattr(jax.lax, name)(v, axis=axis), a),
                    }
                    report(f"{name} {dtype} {a.shape} axis {axis}", a.size, functions)

                found.append((f"{name} {dtype} {shape} axis {axis}", run))
    return found


def searching(jax: Any) -> list[tuple[str, Callable[[], None]]]:
    def run(size: int) -> None:
        rng = np.random.default_rng(0)
        table, wanted = np.sort(rng.normal(size=size)).astype("float32"), rng.normal(size=100000).astype("float32")
        a, b = gx.placeholder(table.shape), gx.placeholder(wanted.shape)
        search = gx.compile([a, b], gx.searchsorted(a, b))
        functions = {"graphc": lambda: search(table, wanted), "numpy": lambda: np.searchsorted(table, wanted)}
        functions |= jitted(jax, lambda v: jax.numpy.searchsorted(jax.numpy.asarray(table), v), wanted)
        report(f"searchsorted in {size}", wanted.size, functions)

    return [(f"searchsorted in {n}", lambda n=n: run(n)) for n in (100, 10000, 1000000)]  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="run the lines that contain this text")
    parser.add_argument("--no-jax", action="store_true")
    options = parser.parse_args()
    jax = None
    if not options.no_jax:
        try:
            jax = importlib.import_module("jax")
            jax.config.update("jax_enable_x64", True)
        except ImportError:
            sys.stdout.write("JAX is not installed\n")
    for title, run in (*folding(jax), *sorting(jax), *selecting(jax), *searching(jax)):
        if options.only in title:
            run()


if __name__ == "__main__":
    main()
