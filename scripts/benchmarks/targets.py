"""What graphc is to reach, and how far it is: each target as a row, judged from the results."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.benchmarks.library import LIBRARIES, OWN
from scripts.benchmarks.record import Record
from scripts.benchmarks.turns import ratio

PEERS = tuple(name for name in LIBRARIES if name not in OWN)
Programs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A target as a row: cells by library; misses are the programs that fall short, with their numbers."""

    key: str
    what: str
    reach: str
    is_met: bool
    cells: dict[str, str]
    misses: list[str] = field(default_factory=list)


def rows(record: Record) -> Iterator[Row]:
    """Yield the rows of all targets that were measured."""
    runs = list(record.runs())
    for suite, makers in BY_SUITE.items():
        for make in makers:
            found = [make(run["programs"], threads) for of, threads, run in runs if of == suite]
            yield from (row for row in found if row is not None)


def seconds(found: dict[str, Any], name: str) -> float | None:
    """Return the median of a library's samples."""
    samples = found.get(name, {}).get("seconds")
    return statistics.median(samples) if samples else None


def best_peer(found: dict[str, Any], peers: Sequence[str] = PEERS) -> str | None:
    """Return the fastest of some peers."""
    timed = {name: seconds(found, name) for name in peers if seconds(found, name) is not None}
    return min(timed, key=lambda name: timed[name] or 0.0) if timed else None


def against(found: dict[str, Any], name: str) -> float | None:
    """Return how many times as long as graphc a library takes: the median of the rounds."""
    own, theirs = found.get(OWN[0], {}).get("seconds"), found.get(name, {}).get("seconds")
    return ratio(theirs, own).median if own and theirs and len(own) == len(theirs) else None


def against_best(found: dict[str, Any], peers: Sequence[str] = PEERS) -> float | None:
    best = best_peer(found, peers)
    return None if best is None else against(found, best)


def mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean.

    >>> mean([2.0, 8.0])
    4.0
    """
    return math.exp(statistics.fmean(math.log(r) for r in ratios))


def _duration_row(key: str, program: str, what: str, limit: float) -> Callable[[Programs, int], Row | None]:
    def make(programs: Programs, threads: int) -> Row | None:
        found = programs.get(program, {})
        own = seconds(found, OWN[0])
        if own is None or threads > 1:
            return None
        cells = {name: f"{s * 1e6:.2f} us" for name in LIBRARIES if (s := seconds(found, name)) is not None}
        return Row(key, what, f"< {limit * 1e6:g} us", own < limit, cells)

    return make


def _ratio_row(
    key: str,
    what: str,
    is_member: Callable[[str], bool],
    least: float,
    average: float | None,
    peers: Sequence[str] = PEERS,
) -> Callable[[Programs, int], Row | None]:
    """Return the row of a set of programs: none below `least` times the best peer, on average above `average`."""

    def make(programs: Programs, threads: int) -> Row | None:
        members = {name: found for name, found in programs.items() if is_member(name)}
        ratios = {name: r for name, found in members.items() if (r := against_best(found, peers)) is not None}
        if not ratios:
            return None
        misses = [
            f"{name}: ×{r:.2f} of {LIBRARIES[best_peer(members[name], peers) or '']}"
            for name, r in sorted(ratios.items(), key=lambda item: item[1])
            if r < least
        ]
        total = mean(list(ratios.values()))
        words = f"mean ×{total:.2f}, least ×{min(ratios.values()):.2f}, {len(misses)} of {len(ratios)} short"
        cells = {OWN[0]: words, **_means(members, (*OWN[1:], *PEERS))}
        reach = f"none below ×{least:g}" + (f", mean ×{average:g}" if average else "") + " of the best"
        is_met = not misses and (average is None or total >= average)
        return Row(f"{key}, {threads}", f"{what}, {_threads(threads)}", reach, is_met, cells, misses)

    return make


def _means(members: Programs, names: Sequence[str]) -> dict[str, str]:
    cells = {}
    for name in names:
        ratios = [r for found in members.values() if (r := against(found, name)) is not None]
        if ratios:
            cells[name] = f"×{mean(ratios):.2f}"
    return cells


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def _eager_row(key: str, what: str, average: float) -> Callable[[Programs, int], Row | None]:
    def make(programs: Programs, threads: int) -> Row | None:
        ratios = [r for found in programs.values() if (r := against(found, "eager")) is not None]
        if not ratios:
            return None
        cells = {OWN[0]: f"mean ×{mean(ratios):.1f}, least ×{min(ratios):.2f}"}
        title = f"{what}, {_threads(threads)}"
        return Row(f"{key}, {threads}", title, f"mean ×{average:g}", mean(ratios) >= average, cells)

    return make


def _epilogue_row(programs: Programs, threads: int) -> Row | None:
    shares = {}
    for name, found in programs.items():
        layer = re.match(r"(?:relu|gelu)\(x W \+ b\), (.*)", name)
        plain = layer and programs.get(f"A B, {layer[1]}")
        own, alone = seconds(found, OWN[0]), seconds(plain or {}, OWN[0])
        if own is not None and alone is not None:
            shares[name] = own / alone - 1
    if not shares:
        return None
    worst = max(shares.values())
    misses = [f"{name}: {share:+.0%}" for name, share in shares.items() if share > 0.05]
    cells = {OWN[0]: f"{worst:+.0%} at most"}
    return Row(f"epilogue, {threads}", f"bias and activation, {_threads(threads)}", "<= 5 %", not misses, cells, misses)


def _is_square(name: str, is_large: bool) -> bool:
    size = re.fullmatch(r"A(?:\^T)? B(?:\^T)?, (\d+)", name)
    return size is not None and (int(size[1]) >= 512) == is_large


MLP = "MLP 784-256-10, batch 128"


def _compile_row(kind: str, reach: str) -> Callable[[Programs, int], Row | None]:
    def make(programs: Programs, threads: int) -> Row | None:
        found = programs.get(f"{MLP}, {kind}", {})
        own = seconds(found, OWN[0])
        if own is None:
            return None
        cells = {name: f"{s * 1e3:.0f} ms" for name in LIBRARIES if (s := seconds(found, name)) is not None}
        is_met = own <= (seconds(found, "jax") or 0.0) if kind == "cold" else own <= 0.05
        return Row(
            kind, f"{'cold compile' if kind == 'cold' else 'from the disk cache'}, MLP step", reach, is_met, cells
        )

    return make


def _growth_row(programs: Programs, threads: int) -> Row | None:
    """Judge how the time for each node grows from a thousand nodes to ten thousand."""
    growth = {}
    for name, found in programs.items():
        size = re.fullmatch(r"(.*), about 10000 nodes", name)
        small = seconds(programs.get(f"{size[1]}, about 1000 nodes", {}), OWN[0]) if size else None
        large = seconds(found, OWN[0])
        if size and small and large:
            growth[size[1]] = large / small / 10
    if not growth:
        return None
    misses = [f"{name}: ×{g:.2f} a node" for name, g in growth.items() if g > 1.2]
    cells = {OWN[0]: f"×{max(growth.values()):.2f} at most"}
    return Row("growth", "time a node, 10,000 nodes against 1,000", "linear: <= ×1.2", not misses, cells, misses)


def _memory_row(programs: Programs, threads: int) -> Row | None:
    ratios, misses = {}, []
    for name, found in programs.items():
        sizes = {
            library: of["bytes"][0] for library, of in found.items() if "bytes" in of and library in (*PEERS, OWN[0])
        }
        own = sizes.pop(OWN[0], None)
        if own is None or not sizes:
            continue
        best = min(sizes, key=lambda library: sizes[library])
        ratios[name] = sizes[best] / max(own, 1)
        if own > sizes[best] * 1.02:
            misses.append(f"{name}: {own / 1e6:.1f} MB, {LIBRARIES[best]} {sizes[best] / 1e6:.1f} MB")
    if not ratios:
        return None
    cells = {OWN[0]: f"{len(misses)} of {len(ratios)} above the best peer"}
    return Row("memory", "memory of a step", "<= the better peer", not misses, cells, misses)


FUSED = ("jax", "compile")

BY_SUITE: dict[str, tuple[Callable[[Programs, int], Row | None], ...]] = {
    "dispatch": (
        _duration_row("call", "add two arrays of 4", "call of a compiled function on (4,) arrays", 0.5e-6),
        _duration_row("perceptron", "MLP 4-8-1, batch 4, loss and gradients", "4-8-1 MLP, loss and gradients", 2e-6),
    ),
    "products": (
        _ratio_row("large products", "f32 GEMM, 512 and more", lambda n: _is_square(n, True), 1.0, None),
        _ratio_row("small products", "f32 GEMM, below 512", lambda n: _is_square(n, False), 1.2, None),
        _epilogue_row,
        _ratio_row("all products", "all products", lambda n: True, 1.0, None),
    ),
    "elementwise": (
        _ratio_row("elementwise", "fused elementwise, reductions, rows", lambda n: True, 1.0, 1.3, FUSED),
        _ratio_row("elementwise, all peers", "the same, against every peer", lambda n: True, 1.0, 1.3),
    ),
    "convolutions": (_ratio_row("convolutions", "convolutions and pooling", lambda n: True, 1.0, None),),
    "training": (
        _ratio_row("training", "training steps", lambda n: True, 1.0, 2.0),
        _eager_row("training, eager", "training steps against the eager backend", 4.0),
    ),
    "science": (
        _ratio_row("science", "scientific gradients", lambda n: True, 1.0, 2.0),
        _eager_row("science, eager", "scientific gradients against the eager backend", 4.0),
    ),
    "startup": (_compile_row("cold", "<= jax"), _compile_row("cached", "<= 50 ms"), _growth_row),
    "memory": (_memory_row,),
}
