"""The numbers of the optimiser in one run, as Markdown: see scripts/optimizer_report."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import platform
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

# One core for all: jax reads this when it is imported.
os.environ["GRAPHC_CACHE_DIR"] = ""  # what is measured of compiling is not reading from the disk
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import llvmlite
import numpy as np

import graphc as gx
from graphc.capture import capture
from graphc.compiler import prepare
from graphc.ir.graph import Graph
from graphc.ir.intern import bodies_of
from graphc.ir.journal import Journal
from graphc.lower.program import lower
from graphc.options import Options
from graphc.target import host
from scripts.benchmarks.graphs import GRAPHS, layers
from scripts.benchmarks.library import Program, flat
from scripts.benchmarks.peers.with_graphc import build
from scripts.benchmarks.programs import programs_of

try:
    from scripts.benchmarks.peers import with_jax
except ImportError:
    with_jax = None

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/optimizer-report.md"

ROUNDS, ROUND_SECONDS = 11, 0.02
SIZES = (100, 1000, 10_000)
DEPTHS = (10, 50, 200)
QUICK_ROUNDS, QUICK_SIZES, QUICK_DEPTHS = 2, (50, 200), (2, 8)

TOLERANCE = 2e-4
"""Largest difference between graphc and jax, relative to the largest element, that rounding explains."""

PROGRAMS = (
    "softmax 1024 x 1024",
    "layer norm 1024 x 768",
    "cross-entropy with gradient, 512 x 1000",
    "GELU MLP 256-1024-256, batch 64",
    "Adam over 50 parameters",
    "attention, 4 heads, 8 x 64 x 256, forward",
    "attention, 4 heads, 8 x 64 x 256, gradients",
)
"""The programs of the report, by their names among the benchmarks."""

OPTIMIZE_TARGET, LAYERS_TARGET, ARENA_TARGET = 0.1, 3.0, 1.15


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/optimizer_report", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small graphs and few repetitions")
    parser.add_argument(
        "--out",
        type=Path,
        nargs="?",
        const=PAGE,
        help=f"write the report to a file (default: {PAGE.relative_to(ROOT)})",
    )
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gx.compile([], gx.constant(1.0) + 1)  # LLVM starts
    lines = [*preface(), *programs(QUICK_ROUNDS if options.quick else ROUNDS)]
    lines += passes(QUICK_SIZES if options.quick else SIZES, 1 if options.quick else 3)
    lines += equal_layers(QUICK_DEPTHS if options.quick else DEPTHS, 1 if options.quick else 3)
    lines += arenas()
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


def preface() -> Iterator[str]:
    jax = with_jax.Jax.version if with_jax else None
    target = host()
    yield "# What the optimiser achieves\n"
    yield "Written by `scripts/optimizer_report --out`; every number below was counted or measured in that one run.\n"
    yield (
        f"{platform.system()} {platform.machine()}, {target.cpu}, vectors of {target.vector_bytes * 8} bits, "
        f"first-level cache {target.l1_bytes >> 10} KiB, second {target.l2_bytes >> 10} KiB, one core. "
        f"Python {platform.python_version()}, numpy {np.__version__}, llvmlite {llvmlite.__version__}, "
        f"{'jax ' + jax if jax else 'no jax: its columns are left out'}.\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: the first column is text, the others are numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


# Programs.


def programs(rounds: int) -> Iterator[str]:
    """Yield what the programs launch, move and take, with jax beside where it is there."""
    yield "## Kernels and memory traffic\n"
    yield (
        "Of graphc, launches are runs of a loop nest, bytes what each reads and writes, every array of it once "
        "(`exe.cost()`). The bound is inputs, variables and results once: a variable that is updated is read once and "
        "written once. Flops leave out exp, log and the like."
    )
    yield (
        "Of jax, launches are the instructions of the optimised program that do work (fusions, products, calls, "
        "copies), bytes and flops are its own cost analysis; variables that are updated are donated. Both run on the "
        "same core in turn; the ratio is the median of graphc's time over jax's, below 1 where graphc is faster. "
        "Results are compared first, the difference is relative to the largest element.\n"
        if with_jax is not None
        else "\n"
    )
    head = ["program", "kernels", "launches", "MB", "MB / bound", "Mflop", "us"]
    head += (
        ["jax launches", "jax MB", "jax Mflop", "jax us", "time / jax's", "difference"] if with_jax is not None else []
    )
    yield from table(head, [program_row(p, rounds) for p in report_programs()])


def report_programs() -> list[Program]:
    """Return the programs that the report shows."""
    return [p for suite in ("elementwise", "training") for p in programs_of(suite) if p.name in PROGRAMS]


def program_row(program: Program, rounds: int) -> list[str]:
    inputs, outputs, updates = build(program)
    run = gx.compile(inputs, outputs, updates=updates)
    results = [*flat(run(*program.inputs)), *[v.value for v in updates]]
    cost = run.cost()
    bound = sum(a.nbytes for a in (*program.inputs, *program.state, *results))
    row = [program.name, str(cost.kernels), str(cost.launches), f"{cost.bytes / 1e6:.2f}"]
    row += [f"{cost.bytes / bound:.2f}", f"{cost.flops / 1e6:.1f}"]
    if with_jax is None:
        (seconds,) = in_turn([lambda: run(*program.inputs)], rounds)
        return [*row, f"{statistics.median(seconds) * 1e6:.0f}"]
    peer = with_jax.Jax().prepare(program)
    difference = max(map(relative_difference, results, peer.read(peer.call(*peer.args))))
    if difference > TOLERANCE:
        raise SystemExit(f"optimizer_report: {program.name}: graphc and jax differ by {difference}")
    ours, theirs = in_turn([lambda: run(*program.inputs), lambda: peer.call(*peer.args)], rounds)
    ratio = statistics.median([a / b for a, b in zip(ours, theirs, strict=True)])
    counted = with_jax.counted(program)
    row += [f"{statistics.median(ours) * 1e6:.0f}", str(counted["launches"]), f"{counted['bytes'] / 1e6:.2f}"]
    return [
        *row,
        f"{counted['flops'] / 1e6:.1f}",
        f"{statistics.median(theirs) * 1e6:.0f}",
        f"{ratio:.2f}",
        f"{difference:.0e}",
    ]


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference, relative to the largest element."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def in_turn(functions: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Return seconds of a call of each function, one number a round; they take turns, so that all see one machine."""
    repeats = []
    for function in functions:
        function()
        start = time.perf_counter()
        function()
        repeats.append(max(1, int(ROUND_SECONDS / (time.perf_counter() - start))))
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, count, record in zip(functions, repeats, seconds, strict=True):
            start = time.perf_counter()
            for _ in range(count):
                function()
            record.append((time.perf_counter() - start) / count)
    return seconds


# Compile times.


def passes(sizes: Sequence[int], repeats: int) -> Iterator[str]:
    """Yield the time a node takes in each stage before code is emitted, for graphs of different sizes."""
    yield "## Time of the passes\n"
    yield (
        f"Milliseconds for each node of the graph as built, bodies of loops included; the best of {repeats} runs. The "
        f"target for optimising, all passes together, is below {OPTIMIZE_TARGET} at any size, and no growth with it.\n"
    )
    rows = []
    for name, of_size in GRAPHS.items():
        for size in sizes:
            inputs, outputs, updates = of_size(size)
            graph = capture(inputs, outputs, updates, None, None).graph
            count = nodes_of(graph)
            runs = [stages(graph) for _ in range(repeats)]
            best = [min(r[k] for r in runs) / count * 1e3 for k in range(3)]
            rows.append([name, str(count), *[f"{b:.3f}" for b in best]])
    yield from table(["graph", "nodes", "optimise", "fuse", "lower"], rows)


def nodes_of(graph: Graph) -> int:
    """Return how many nodes a graph has, those of bodies included."""
    return sum(1 + sum(nodes_of(body) for body in bodies_of(node)) for node in graph.nodes)


def stages(graph: Graph) -> tuple[float, float, float]:
    """Return the seconds that a graph takes to optimise, to fuse and to lower."""
    journal = Journal()
    gc.collect()
    start = time.perf_counter()
    _, prepared, groups = prepare(graph, Options(), journal)
    middle = time.perf_counter()
    lower(prepared, groups, host())
    end = time.perf_counter()
    return middle - start - journal.seconds["fuse"], journal.seconds["fuse"], end - middle


def equal_layers(depths: Sequence[int], repeats: int) -> Iterator[str]:
    """Yield how compile time grows with the number of equal layers."""
    yield "## Equal layers\n"
    yield (
        "A training step of a network of equal layers (64 wide, batch 32, relu): forward, backward and update of all "
        f"parameters. Milliseconds to compile it, the best of {repeats} runs, by stage. Equal layers share "
        f"their kernels; the target is at most {LAYERS_TARGET:.0f} times as long for {DEPTHS[-1]} layers as for "
        f"{DEPTHS[0]}.\n"
    )
    runs = [min((compiled_layers(depth) for _ in range(repeats)), key=lambda run: run[0]) for depth in depths]
    names = list(dict.fromkeys(name for _, _, seconds in runs for name in seconds))
    rows = []
    for depth, (total, cost, seconds) in zip(depths, runs, strict=True):
        parts = [f"{seconds.get(name, 0.0) * 1e3:.1f}" for name in names]
        row = [str(depth), str(cost.kernels), str(cost.launches), f"{total * 1e3:.0f}", f"{total / runs[0][0]:.1f}"]
        rows.append([*row, *parts])
    yield from table(["layers", "kernels", "launches", "ms", f"times {depths[0]} layers", *names], rows)


def compiled_layers(depth: int) -> tuple[float, Any, dict[str, float]]:
    """Return the seconds to compile so many layers, what a call costs, and the seconds of each stage."""
    inputs, outputs, updates = layers(depth)
    gc.collect()
    run = gx.compile(inputs, outputs, updates=updates)
    return run.compile_seconds, run.cost(), dict(run.explain().seconds)


# Memory.


def arenas() -> Iterator[str]:
    """Yield how near the memory for intermediate values is to the least that any placement could need."""
    yield "## Memory for intermediate values\n"
    yield (
        "The arena of each program, the most bytes of it that are in use at once, and the ratio, whose target is at "
        f"most {ARENA_TARGET}.\n"
    )
    rows = []
    for name, run in (*example_programs(), *compiled_programs()):
        cost = run.cost()
        ratio = f"{cost.arena_bytes / cost.live_bytes:.3f}" if cost.live_bytes else "nothing to keep"
        rows.append([name, f"{cost.arena_bytes / 1e3:.1f}", f"{cost.live_bytes / 1e3:.1f}", ratio])
    yield from table(["program", "arena KB", "in use KB", "ratio"], rows)


def compiled_programs() -> Iterator[tuple[str, gx.Executable]]:
    for program in report_programs():
        inputs, outputs, updates = build(program)
        yield program.name, gx.compile(inputs, outputs, updates=updates)


def example_programs() -> Iterator[tuple[str, gx.Executable]]:
    """Yield what the shortest examples compile and call."""
    for path in [ROOT / "examples" / f"{name}.py" for name in ("digits", "first_graph", "linear_regression")]:
        made: list[gx.Executable] = []
        compile = gx.compile

        def remembered(*args: Any, **kwargs: Any) -> gx.Executable:
            made.append(compile(*args, **kwargs))  # noqa: B023
            return made[-1]  # noqa: B023

        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            arguments = [str(path), *(["--epochs", "1", "--out", folder] if path.stem == "digits" else [])]
            with mock.patch.object(gx, "compile", remembered), mock.patch.object(sys, "argv", arguments):
                runpy.run_path(str(path), run_name="__main__")
        for run in made:
            if run.specializations and "cost" in run.specializations[0].stages:
                yield f"examples/{path.name}: {run.name}", run


if __name__ == "__main__":
    main()
