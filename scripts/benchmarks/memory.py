"""Memory of a step: how far the resident set of a process grows while a compiled program runs."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks.programs import programs_of
from scripts.benchmarks.turns import ROOT, environment
from scripts.benchmarks.worker import peer_named

STEPS = 5
PROGRAMS = (
    ("training", "MLP 784-512-512-10, batch 256"),
    ("training", "MLP 1024-4096-1024, batch 64"),
    ("training", "LeNet, batch 64"),
    ("training", "attention, 4 heads, 8 x 64 x 256, gradients"),
    ("training", "transformer block 8 x 64 x 256"),
    ("training", "GRU 64 steps, batch 32, 64 to 128"),
    ("science", "512 bodies, energy and forces"),
    ("elementwise", "softmax with gradient, 1024 x 1024"),
)
QUICK = PROGRAMS[-1:]


def measured(
    libraries: Sequence[str], is_quick: bool, threads: int, only: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and what was found by library."""
    for suite, name in [p for p in (QUICK if is_quick else PROGRAMS) if not only or only in p[1]]:
        yield name, {library: _alone(library, suite, name, threads) for library in libraries}


def _alone(library: str, suite: str, name: str, threads: int) -> dict[str, Any]:
    # Large arrays come from the system and go back to it, so that the resident set is what is in use.
    env = {**os.environ, **environment(threads), "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", "scripts.benchmarks.memory", library, suite, name]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [""])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# In the process that is measured.


def _growth(library: str, suite: str, name: str) -> dict[str, Any]:
    """Return by how many bytes the resident set grew at most over some steps; compilation does not count."""
    peer = peer_named(library)
    program = next(p for p in programs_of(suite) if p.name == name)
    lacking = peer.library.lacks(program.needs)
    if lacking:
        return {"skipped": f"has no {', '.join(lacking)}"}
    try:
        prepared = peer.prepare(program)
        if library != "graphc":  # whose arena would stay; the others compile at the first call, or start threads there
            prepared.call(*prepared.args)
    except NotImplementedError as error:
        return {"skipped": str(error)}
    _settle()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    for _ in range(STEPS):
        prepared.call(*prepared.args)
    facts = {key: value for key, value in prepared.facts.items() if key == "arena_bytes"}
    return {"bytes": [_status("VmHWM") - before], "facts": facts}


def _settle() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _status(key: str) -> int:
    """Return bytes of /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_growth(*sys.argv[1:])) + "\n")
