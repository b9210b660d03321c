"""The scripts that print numbers still run, on small graphs: not how fast, and without the peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_search_for_faults_finds_none() -> None:
    assert run("scripts.fuzz", "--minutes", "0.03", "--seed", "0").endswith("0 faults\n")
