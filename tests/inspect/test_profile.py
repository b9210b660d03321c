"""Profiles: every step is there, counted right, with the user's lines; variables stay; the trace is valid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.peaks import peaks


def training_step() -> tuple[gx.Executable, gx.Tensor, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    x, y = gx.placeholder(("n", 8), name="x"), gx.placeholder(("n",), "int64", name="y")
    w = gx.variable(rng.standard_normal((8, 4)).astype(np.float32), name="w")
    loss = gx.nn.cross_entropy(gx.tanh(x) @ w, y)
    step = gx.compile([x, y], [loss], updates={w: w - 0.1 * gx.gradients(loss, w)}, name="step")
    return step, w, (rng.random((16, 8), np.float32), rng.integers(0, 4, 16))


def test_a_training_step() -> None:
    step, w, args = training_step()
    before = w.value
    profile = step.profile(*args)
    np.testing.assert_array_equal(w.value, before)
    assert profile.sizes == {"n": 16}
    cost = step.cost()
    assert sum(k.runs for k in profile.kernels) >= cost.launches
    assert sum(k.flops for k in profile.kernels) == cost.flops
    assert sum(k.functions for k in profile.kernels) == cost.transcendentals
    assert sum(k.bytes for k in profile.kernels) == cost.bytes
    assert all(k.seconds >= 0 and 0 <= k.share <= 1 and k.bound > 0 for k in profile.kernels)
    assert sum(k.share for k in profile.kernels) <= 1 + 1e-9
    lines = {line for k in profile.kernels for line in k.lines}
    assert any("gx.tanh(x) @ w" in line and "test_profile.py" in line for line in lines)
    assert any("tanh(x)" in f for k in profile.kernels for f in k.formulas)


def test_the_table_names_the_kernels_longest_first() -> None:
    step, _, args = training_step()
    profile = step.profile(*args)
    text = str(profile)
    assert text.startswith("step for n=16: one call takes ")
    places = [
        text.index(f"  {k.name}, limited by {k.limit}") for k in sorted(profile.kernels, key=lambda k: -k.seconds)
    ]
    assert places[0] == min(places)
    assert "at test_profile.py" in text


def test_a_loop_counts_its_steps() -> None:
    x, w = gx.placeholder((50, 3), name="x"), np.eye(3, dtype=np.float32)
    last, _ = gx.scan(lambda carry, row: (gx.tanh(carry @ w) + row, None), np.zeros(3, np.float32), x)
    profile = gx.compile([x], last).profile(np.ones((50, 3), np.float32))
    assert max(k.runs for k in profile.kernels) == 50
    assert len(profile.events) == sum(k.runs for k in profile.kernels)
    assert profile.dropped == 0


def test_the_trace_is_what_viewers_read(tmp_path: Path) -> None:
    step, _, args = training_step()
    profile = step.profile(*args)
    profile.save_trace(tmp_path / "step.json")
    trace = json.loads((tmp_path / "step.json").read_text())
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(events) == len(profile.events)
    assert all(e["dur"] >= 0 and e["ts"] >= 0 and e["args"]["bytes"] > 0 for e in events)
    assert [e["ts"] for e in events] == sorted(e["ts"] for e in events)


def test_errors_are_those_of_calls() -> None:
    step, _, args = training_step()
    with pytest.raises(gx.InputError, match="missing"):
        step.profile(args[0])
    with pytest.raises(gx.OutOfBoundsError):
        step.profile(args[0], args[1] + 9)
    x = gx.placeholder((2,), name="x")
    with pytest.raises(gx.ArgumentError, match="eager backend"):
        gx.compile([x], x, backend="eager").profile([1, 2])


def test_peaks_are_plausible() -> None:
    found = peaks()
    assert 1e9 < found.flops[8] <= 1.3 * found.flops[4] < 1e13
    assert all(1e8 < rate < 1e13 for _, rate in found.bandwidth)
    assert found.bytes_per_second(1) == found.bandwidth[0][1]
    assert found.bytes_per_second(1 << 40) == found.bandwidth[-1][1]
