"""The report of results, as Markdown: what was to reach, then a table for each suite."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks import plots, targets
from scripts.benchmarks.library import LIBRARIES, OWN
from scripts.benchmarks.record import Record
from scripts.benchmarks.turns import ROOT, ratio

REMARKS = ROOT / "docs/benchmarks/remarks.json"
"""Why a target is not reached, by its key; kept by hand."""

TITLES = {
    "dispatch": "Calls",
    "elementwise": "Elementwise, reductions, rows, moves",
    "products": "Matrix products",
    "convolutions": "Convolutions and pooling",
    "training": "Training steps",
    "science": "Scientific gradients",
    "startup": "Import and compilation",
    "memory": "Memory of a step",
}


def write(record: Record, folder: Path) -> None:
    """Write benchmarks.md and its pictures."""
    pictures = plots.write(record, folder / "benchmarks")
    text = "\n".join(page(record, pictures)) + "\n"
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")


def page(record: Record, pictures: dict[str, list[str]]) -> Iterator[str]:
    yield "# graphc beside its peers\n"
    yield "Written by `scripts/bench --out docs`; `docs/benchmarks/results.json` holds every sample.\n"
    yield from _machines(record)
    yield from _method()
    yield "## What was to reach\n"
    yield from _targets(record)
    for suite in (s for s in TITLES if s in record.data["runs"]):
        yield f"## {TITLES[suite]}\n"
        for threads, run in sorted(record.data["runs"][suite].items(), key=lambda item: int(item[0])):
            yield from _suite(suite, int(threads), run)
        yield from (f"![{TITLES[suite]}](benchmarks/{name})\n" for name in pictures.get(suite, ()))
    if "roofline" in pictures:
        yield "## Roofline\n"
        yield (
            "Floating-point operations a second of graphc's programs against operations a byte, both by its own count "
            "(`exe.cost()`, each transcendental as one operation), on one thread. The lines are the measured peaks; "
            "above the slanted one lie programs whose arrays stay in a cache.\n"
        )
        yield from (f"![Roofline](benchmarks/{name})\n" for name in pictures["roofline"])


def _machines(record: Record) -> Iterator[str]:
    lines: dict[str, list[str]] = {}
    peaks: dict[int, str] = {}
    versions: dict[str, str] = {}
    for suite, threads, run in record.runs():
        lines.setdefault(_machine(run["machine"]), []).append(suite)
        versions.update(run["versions"])
        p = run["peaks"]
        if p:
            peaks[threads] = (
                f"{p['flops float32'] / 1e9:.0f} Gflop/s in float32, {p['flops float64'] / 1e9:.0f} in float64, "
                f"{p['bytes'] / 1e9:.0f} GB/s"
            )
    for line, suites in lines.items():
        yield line + (f" ({', '.join(dict.fromkeys(suites))})" if len(lines) > 1 else "") + "\n"
    words = [f"{targets._threads(threads)}: {text}" for threads, text in sorted(peaks.items())]
    yield f"Measured peaks: {'; '.join(words)}.\n"
    found = [f"{LIBRARIES[name]} {version}" for name, version in versions.items() if name not in OWN]
    yield f"Peers: {', '.join(found)}. PyTensor runs in its mode NUMBA, with trust_input.\n"


def _machine(facts: dict[str, Any]) -> str:
    caches = ", ".join(f"{level} {size}" for level, size in facts["caches"].items())
    return (
        f"Machine: {facts['system']}, {facts['cpu']}, {facts['cores']} cores, vectors of {facts['vector bits']} bits, "
        f"caches {caches}, {facts['memory GiB']} GiB. Python {facts['python']}, numpy {facts['numpy']}, llvmlite "
        f"{facts['llvmlite']}."
    )


def _method() -> Iterator[str]:
    yield (
        "Every library runs in a process of its own, pinned to as many cores as it may use threads; the others are "
        "stopped meanwhile. A program is written once, with array functions by the names of the array API, and in the "
        "library's own form where that differs. Results are compared first with graphc's eager backend in float64; a "
        "library that disagrees is not timed. Libraries take turns in an order that changes with every round; a ratio "
        "is the median of the rounds' ratios of the library's time to graphc's, so ×2 means that graphc takes half as "
        "long; brackets hold its quartiles. Arrays are each library's own: no conversion is timed.\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: the first column is text, the others are numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _targets(record: Record) -> Iterator[str]:
    rows = list(targets.rows(record))
    names = [n for n in (*targets.PEERS, *OWN[1:]) if any(n in row.cells for row in rows)]
    head = ["what", *[LIBRARIES[n] for n in names], "graphc", "to reach", "met"]
    yield from table(
        head,
        [
            [r.what, *[r.cells.get(n, "") for n in names], r.cells[OWN[0]], r.reach, "yes" if r.is_met else "**no**"]
            for r in rows
        ],
    )
    yield "Peers' cells are times, or geometric means of their ratios to graphc.\n"
    remarks = json.loads(REMARKS.read_text(encoding="utf-8")) if REMARKS.exists() else {}
    for row in rows:
        if row.is_met:
            continue
        yield f"**{row.what}** ({row.cells[OWN[0]]}). {remarks.get(row.key, 'No reason is known yet.')}\n"
        yield from (f"- {miss}" for miss in row.misses[:12])
        if row.misses:
            yield ""


def _suite(suite: str, threads: int, run: dict[str, Any]) -> Iterator[str]:
    programs = run["programs"]
    names = [
        n for n in LIBRARIES if any("seconds" in f.get(n, {}) or "bytes" in f.get(n, {}) for f in programs.values())
    ]
    if not programs:
        return
    if suite == "memory":
        rows = [[name, *[_bytes(found.get(n, {})) for n in names], _arena(found)] for name, found in programs.items()]
        yield from table(["MB", *[LIBRARIES[n] for n in names], "graphc's arena"], rows)
    elif suite == "startup":
        rows = [[name, *[_startup(found.get(n, {})) for n in names]] for name, found in programs.items()]
        yield from table(["ms", *[LIBRARIES[n] for n in names]], rows)
    else:
        rows = [[name, *[_cell(found, n) for n in names], _best(found)] for name, found in programs.items()]
        yield from table([targets._threads(threads), *[LIBRARIES[n] for n in names], "best peer"], rows)
    yield from _absences(programs)


def _cell(found: dict[str, Any], name: str) -> str:
    seconds = targets.seconds(found, name)
    if seconds is None:
        return "disagrees" if "disagrees" in found.get(name, {}) else ""
    times = targets.against(found, name)
    return duration(seconds) + (f" ×{times:.2f}" if times is not None and name != OWN[0] else "")


def _best(found: dict[str, Any]) -> str:
    best = targets.best_peer(found)
    if best is None or targets.against(found, best) is None:
        return ""
    of = ratio(found[best]["seconds"], found[OWN[0]]["seconds"])
    text = f"×{of.median:.2f} [{of.low:.2f}, {of.high:.2f}]"
    return text if of.median >= 1 else f"**{text}**"


def _bytes(found: dict[str, Any]) -> str:
    return f"{found['bytes'][0] / 1e6:.1f}" if "bytes" in found else ""


def _arena(found: dict[str, Any]) -> str:
    size = found.get(OWN[0], {}).get("facts", {}).get("arena_bytes")
    return "" if size is None else f"{size / 1e6:.1f}"


def _startup(found: dict[str, Any]) -> str:
    return f"{statistics.median(found['seconds']) * 1e3:.0f}" if "seconds" in found else ""


def _absences(programs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield which libraries were left out where, and why; equal reasons are told once."""
    reasons: dict[str, list[str]] = {}
    for program, found in programs.items():
        for name, of in found.items():
            why = next((f"{key}: {_short(of[key])}" for key in ("disagrees", "failed", "skipped") if key in of), None)
            if why is not None:
                reasons.setdefault(f"{LIBRARIES.get(name, name)} {why}", []).append(program)
    for why, where in reasons.items():
        yield (
            f"- {why} ({len(where)} programs, first {where[0]})" if len(where) > 2 else f"- {why} ({'; '.join(where)})"
        )
    yield ""


def _short(reason: str) -> str:
    """Return the last line of a reason, such as the error of a traceback."""
    return (reason.strip().splitlines() or [""])[-1].replace("|", "/")[:160]


def duration(seconds: float) -> str:
    """Return a time with three digits.

    >>> duration(2.2e-7), duration(0.01234), duration(2)
    ('0.22 us', '12.3 ms', '2 s')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.2f} us"
