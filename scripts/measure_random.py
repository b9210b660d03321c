"""Random numbers against NumPy, and JAX where it is installed: ratios of times, taken in turn.

    python scripts/measure_random.py [--only TEXT] [--count N]

Each line tells the time of graphc for an element, on one thread, and how many times longer the others take: more than 1
is in favour of graphc. NumPy fills an array that is there already where its method can, and allocates one where it
cannot; JAX chooses its threads.
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

Functions = Mapping[str, Callable[[], Any]]
KEY = np.array([1, 2], np.uint32)


def times(functions: Functions) -> dict[str, float]:
    """Return the seconds of each function: the least of several turns, in which each runs after the other."""
    counts, best = {}, dict.fromkeys(functions, float("inf"))
    for name, function in functions.items():
        function()
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


def ours(draw: Callable[[gx.Tensor], gx.Tensor]) -> Callable[[], Any]:
    """Return a function that draws with a key that is given to each call."""
    key = gx.placeholder((2,), "uint32", name="key")
    run = gx.compile([key], draw(key), options=gx.Options(threads=1))
    return lambda: run(KEY)


def cases(count: int) -> Mapping[str, Functions]:
    """Return the functions to compare, by what they draw."""
    shape, rng = (count,), np.random.default_rng(0)
    floats, doubles = np.empty(count, np.float32), np.empty(count)
    single: Any = {"dtype": np.float32}
    jax, jnp = _jax()
    key = jax.random.key(0) if jax else None

    def compared(mine: Any, theirs: Any, peer: Callable[[Any, Any], Any] | None = None) -> Functions:
        found = {"graphc": ours(mine), "numpy": theirs}
        if jax and peer:
            traced = jax.jit(lambda k: peer(jax.random, k))
            found["jax"] = lambda: traced(key).block_until_ready()
        return found

    return {
        "bits uint32": compared(
            lambda k: gx.random.bits(k, shape),
            lambda: rng.integers(0, 2**32, count, np.uint32),
            lambda r, k: r.bits(k, shape, jnp.uint32),
        ),
        "uniform float32": compared(
            lambda k: gx.random.uniform(k, shape),
            lambda: rng.random(out=floats, **single),
            lambda r, k: r.uniform(k, shape),
        ),
        "uniform float64": compared(
            lambda k: gx.random.uniform(k, shape, "float64"),
            lambda: rng.random(out=doubles),
            lambda r, k: r.uniform(k, shape, jnp.float64),
        ),
        "normal float32": compared(
            lambda k: gx.random.normal(k, shape),
            lambda: rng.standard_normal(out=floats, **single),
            lambda r, k: r.normal(k, shape),
        ),
        "normal float64": compared(
            lambda k: gx.random.normal(k, shape, "float64"),
            lambda: rng.standard_normal(out=doubles),
            lambda r, k: r.normal(k, shape, jnp.float64),
        ),
        "exponential float32": compared(
            lambda k: gx.random.exponential(k, shape),
            lambda: rng.standard_exponential(out=floats, **single),
            lambda r, k: r.exponential(k, shape),
        ),
        "gumbel float32": compared(
            lambda k: gx.random.gumbel(k, shape), lambda: rng.gumbel(size=count), lambda r, k: r.gumbel(k, shape)
        ),
        "bernoulli 0.3": compared(
            lambda k: gx.random.bernoulli(k, 0.3, shape),
            lambda: rng.random(count, np.float32) < 0.3,
            lambda r, k: r.bernoulli(k, 0.3, shape),
        ),
        "randint 0 to 99": compared(
            lambda k: gx.random.randint(k, shape, 0, 100),
            lambda: rng.integers(0, 100, count),
            lambda r, k: r.randint(k, shape, 0, 100),
        ),
        "gamma 2.5 float32": compared(
            lambda k: gx.random.gamma(k, 2.5, shape), lambda: rng.standard_gamma(2.5, out=floats, **single)
        ),
        "gamma 2.5 float64": compared(
            lambda k: gx.random.gamma(k, 2.5, shape, "float64"), lambda: rng.standard_gamma(2.5, out=doubles)
        ),
        "poisson 3": compared(lambda k: gx.random.poisson(k, 3.0, shape), lambda: rng.poisson(3.0, count)),
        "poisson 100": compared(lambda k: gx.random.poisson(k, 100.0, shape), lambda: rng.poisson(100.0, count)),
        "permutation": compared(
            lambda k: gx.random.permutation(k, count),
            lambda: rng.permutation(count),
            lambda r, k: r.permutation(k, count),
        ),
    }


def _jax() -> tuple[Any, Any]:
    try:
        jax = importlib.import_module("jax")
    except ImportError:
        return None, None
    jax.config.update("jax_enable_x64", True)
    return jax, importlib.import_module("jax.numpy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--only", default="", help="what the names of the draws contain")
    parser.add_argument("--count", type=int, default=1_000_000)
    given = parser.parse_args()
    for name, functions in cases(given.count).items():
        if given.only in name:
            found = times(functions)
            mine = found.pop("graphc")
            others = "".join(f"   {other} {seconds / mine:6.2f}" for other, seconds in found.items())
            sys.stdout.write(f"{name:22} {1e9 * mine / given.count:7.2f} ns{others}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
