"""Time until a library has its first result: import, compilation with an empty cache and with a full one."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks.library import Program
from scripts.benchmarks.programs.training import network
from scripts.benchmarks.turns import ROOT, environment
from scripts.benchmarks.worker import peer_named

LIMIT = 300
"""Seconds after which a process is given up."""

MODULES = {"graphc": "graphc", "eager": "graphc", "numpy": "numpy", "jax": "jax", "pytensor": "pytensor.tensor"}
COMPILERS = ("graphc", "compile", "jax", "pytensor")
DEEP_COMPILERS = ("graphc", "jax")
"""Libraries whose compilers are asked for deep networks: the others take minutes."""

SIZES, QUICK_SIZES = (100, 1000, 10_000), (50, 200)


def programs() -> list[Program]:
    """Return the programs whose compilation is timed."""
    return [
        network("MLP 784-256-10, batch 128", 128, 784, 256, 10),
        network("MLP 64-64-10, batch 32", 32, 64, 64, 10, is_small=True),
        *[network(f"{count} layers of 64, batch 32", 32, *[64] * (count + 1)) for count in (10, 50, 200)],
    ]


def measured(
    libraries: Sequence[str], is_quick: bool, rounds: int, only: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and what was found by library: imports, programs cold and cached, graphs by size."""
    if not only:
        yield "import", {name: _repeated(["import", name], {}, rounds) for name in libraries}
    for program in programs():
        if (is_quick and not program.is_small) or (only and only not in program.name):
            continue
        is_deep = "layers" in program.name
        cold, cached = {}, {}
        for name in [n for n in libraries if n in (DEEP_COMPILERS if is_deep else COMPILERS)]:
            cold[name], cached[name] = _cold_and_cached(name, program.name, 1 if name == "pytensor" else rounds)
        yield f"{program.name}, cold", cold
        yield f"{program.name}, cached", cached
    if only or "graphc" not in libraries:
        return
    for kind in ("elementwise chain", "deep network, gradient, update", "wide fan-out", "scans"):
        for size in QUICK_SIZES if is_quick else SIZES:
            found = _repeated(["graph", kind, str(size)], {}, rounds, empty="GRAPHC_CACHE_DIR")
            yield f"{kind}, about {size} nodes", {"graphc": found}


def _cold_and_cached(library: str, program: str, rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the seconds with an empty cache, and those of the processes that come after."""
    cold: list[float] = []
    cached: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for samples in (cold, cached):
                found = _alone(["program", library, program], caches(Path(folder)))
                if "seconds" not in found:
                    return found, found
                samples.append(found["seconds"])
    return {"seconds": cold}, {"seconds": cached}


def caches(folder: Path) -> dict[str, str]:
    """Return what has every library keep what it compiles in a folder."""
    return {
        "GRAPHC_CACHE_DIR": str(folder / "graphc"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }


def _repeated(arguments: list[str], env: dict[str, str], rounds: int, empty: str | None = None) -> dict[str, Any]:
    samples = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found = _alone(arguments, {**env, **({empty: folder} if empty else {})})
        if "seconds" not in found:
            return found
        samples.append(found["seconds"])
    return {"seconds": samples}


def _alone(arguments: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Return what a process of its own measured."""
    command = [sys.executable, "-m", "scripts.benchmarks.startup", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment(2), **env},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {LIMIT} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [""])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# In the process that is measured.


def _seconds_of_import(library: str) -> float:
    module = MODULES.get(library, "torch")
    start = time.perf_counter()
    importlib.import_module(module)
    return time.perf_counter() - start


def _seconds_of_program(library: str, name: str) -> float:
    peer = peer_named(library)
    program = next(p for p in programs() if p.name == name)
    assert program.arrays
    start = time.perf_counter()
    prepared = peer.prepare(program)
    prepared.read(prepared.call(*prepared.args))
    return time.perf_counter() - start


def _seconds_of_graph(kind: str, size: str) -> float:
    gx: Any = importlib.import_module("graphc")
    graphs: Any = importlib.import_module("scripts.benchmarks.graphs")
    gx.compile([], gx.constant(1.0) + 1)  # LLVM starts
    inputs, outputs, updates = graphs.GRAPHS[kind](int(size))
    start = time.perf_counter()
    gx.compile(inputs, outputs, updates=updates)
    return time.perf_counter() - start


KINDS = {"import": _seconds_of_import, "program": _seconds_of_program, "graph": _seconds_of_graph}

if __name__ == "__main__":
    seconds = KINDS[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")
