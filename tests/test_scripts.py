"""The scripts that print numbers still run, on small graphs: not how fast, and without the peers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks.turns import judged, workers

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_report_of_the_optimiser() -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    text = run("scripts.optimizer_report", "--quick")
    for heading in (
        "Kernels and memory traffic",
        "Time of the passes",
        "Equal layers",
        "Memory for intermediate values",
    ):
        assert f"## {heading}\n" in text
    assert "| softmax 1024 x 1024 | 1 | 1 |" in text


def test_the_measurement_of_errors(tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    for what in ("errors", "times"):
        run("scripts.accuracy", what, "--only", "atan2", "logaddexp", "--out", str(page))
    text = page.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Errors",
        "## Errors of compositions",
        "## Times",
    ]
    assert text.count("\n| atan2 | ") == 2
    assert text.count("\n| logaddexp | ") == 1


def test_the_search_for_faults_finds_none() -> None:
    assert run("scripts.fuzz", "--minutes", "0.03", "--seed", "0").endswith("0 faults\n")


def test_the_benchmarks(tmp_path: Path) -> None:
    arguments = ("scripts.benchmarks", "--quick", "--out", str(tmp_path))
    text = run(*arguments, "--suite", "dispatch", "training", "memory")
    assert "MLP 4-8-1, batch 4, loss and gradients: graphc" in text
    assert "disagrees" not in text
    report = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    for heading in ("What was to reach", "Calls", "Training steps", "Memory of a step"):
        assert f"## {heading}\n" in report
    run(*arguments, "--suite", "products", "--only", "A v")
    results = json.loads((tmp_path / "benchmarks/results.json").read_text(encoding="utf-8"))
    assert set(results["runs"]) == {"dispatch", "training", "memory", "products"}
    (found,) = results["runs"]["products"]["1"]["programs"].values()
    assert set(found) == {"graphc", "eager", "numpy"}
    assert all(of["difference"] <= 1 and len(of["seconds"]) == len(found["graphc"]["seconds"]) for of in found.values())


def test_a_library_that_disagrees_is_not_timed() -> None:
    want = np.asarray([1.0, -2.0])
    assert judged({"results": [np.asarray([1.0, -2.0001], np.float32)]}, [want], [])["difference"] < 1
    assert "disagrees" in judged({"results": [np.asarray([1.0, -2.01], np.float32)]}, [want], [])
    assert "disagrees" in judged({"results": [np.asarray([1.0, np.nan], np.float32)]}, [want], [])
    assert "disagrees" in judged({"results": [np.asarray([[1.0], [-2.0]], np.float32)]}, [want], [])
    # New state may be wrong by a share of its change, not of itself.
    old = want - 1e-3
    assert "disagrees" in judged({"results": [np.asarray(old + 1.01e-3, np.float32)]}, [want], [old])
    assert judged({"results": [np.asarray(want, np.float32)]}, [want], [old])["difference"] < 1


def test_a_library_that_dies_is_started_again() -> None:
    with workers(["numpy"], 1) as (worker,):
        assert worker.missing is None
        assert "results" in worker.ask("prepare", "products", "A B, 16")
        worker.prepared.append(("products", "A B, 16"))
        worker.process.kill()
        assert "ended" in worker.ask("time", "products", "A B, 16", 1)["failed"]
        assert worker.ask("time", "products", "A B, 16", 1)["seconds"] > 0
