"""Pictures of results, as SVG: ratios of every suite, and the roofline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.benchmarks import targets
from scripts.benchmarks.library import LIBRARIES, OWN
from scripts.benchmarks.record import Record

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ImportError:
    mpl = None

COLORS = {"numpy": "#4c78a8", "torch": "#e45756", "compile": "#f58518", "jax": "#54a24b", "pytensor": "#b279a2"}
ROW_INCHES = 0.25
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "graphc", "font.size": 8, "path.simplify_threshold": 1.0}


def write(record: Record, folder: Path) -> dict[str, list[str]]:
    """Draw what can be drawn where matplotlib is installed; return names of files by suite."""
    if mpl is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, list[str]] = {}
    with mpl.rc_context(STYLE):
        for suite, threads, run in record.runs():
            figure = _ratios(run["programs"], threads) if suite not in ("startup", "memory") else None
            if figure is not None:
                drawn.setdefault(suite, []).append(_saved(figure, folder / f"{suite}-{threads}.svg"))
        figure = _roofline(record)
        if figure is not None:
            drawn["roofline"] = [_saved(figure, folder / "roofline.svg")]
    return drawn


def _saved(figure: Figure, path: Path) -> str:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    return path.name


def _ratios(programs: dict[str, dict[str, Any]], threads: int) -> Figure | None:
    """Draw how many times as long as graphc each peer takes: right of the line, graphc is faster."""
    shown = {name: {p: r for p in COLORS if (r := targets.against(found, p))} for name, found in programs.items()}
    shown = {name: ratios for name, ratios in shown.items() if ratios}
    if not shown:
        return None
    figure = Figure(figsize=(6, 0.5 + ROW_INCHES * len(shown)))
    axes = figure.add_subplot()
    peers = [p for p in COLORS if any(p in ratios for ratios in shown.values())]
    height = 0.8 / len(peers)
    for k, peer in enumerate(peers):
        places = [row + (k + 0.5) * height - 0.4 for row, ratios in enumerate(shown.values()) if peer in ratios]
        widths = [ratios[peer] for ratios in shown.values() if peer in ratios]
        # Thick lines from 1, to the left where graphc is slower: as bars they would be ten times as much text.
        axes.hlines(places, 1, widths, COLORS[peer], linewidth=72 * ROW_INCHES * height, label=LIBRARIES[peer])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), list(shown))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel(f"time / graphc's, {targets._threads(threads)}")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


MARKS = {"elementwise": "o", "products": "s", "convolutions": "^", "training": "D", "science": "v"}


def _roofline(record: Record) -> Figure | None:
    """Draw flops a second against flops a byte, on one thread."""
    runs = {suite: run for suite, threads, run in record.runs() if threads == 1 and suite in MARKS and run["peaks"]}
    if not runs:
        return None
    figure = Figure(figsize=(7, 4.5))
    axes = figure.add_subplot()
    peaks = next(iter(runs.values()))["peaks"]
    ends = (0.02, 200.0)
    for key, style in (("flops float32", "-"), ("flops float64", "--")):
        knee = peaks[key] / peaks["bytes"]
        heights = [min(peaks[key], x * peaks["bytes"]) / 1e9 for x in (ends[0], knee, ends[1])]
        axes.plot([ends[0], knee, ends[1]], heights, style, color="black", linewidth=0.8, label=f"peak, {key[6:]}")
    for suite, run in runs.items():
        points = [p for found in run["programs"].values() if (p := _intensity(found)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), MARKS[suite], markersize=4, linestyle="none", label=suite)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations / byte")
    axes.set_ylabel("Gflop/s")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _intensity(found: dict[str, Any]) -> tuple[float, float] | None:
    """Return operations a byte and a second of graphc's program; calls that take no time to speak of are left out."""
    facts, seconds = found.get(OWN[0], {}).get("facts", {}), targets.seconds(found, OWN[0])
    if seconds is None or seconds < 5e-6 or not facts.get("bytes"):
        return None
    operations = facts["flops"] + facts["transcendentals"]
    return (operations / facts["bytes"], operations / seconds / 1e9) if operations else None
