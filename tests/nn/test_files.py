"""State in files: training that goes on exactly, files that appear whole, files and names that do not fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.nn import files

try:
    from safetensors.numpy import load_file
except ImportError:
    load_file = None

needs_safetensors = pytest.mark.skipif(load_file is None, reason="safetensors is not installed (extra: io)")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 4)).astype(np.float32), RNG.integers(0, 3, size=8)


class Training:
    """A network with batch normalisation, momentum in its optimiser, and a schedule."""

    def __init__(self) -> None:
        self.model = gx.nn.Sequential(gx.nn.Linear(4, 6), gx.nn.BatchNorm(6), gx.nn.ReLU(), gx.nn.Linear(6, 3))
        self.optimizer = gx.optim.AdamW(gx.optim.cosine_decay(0.05, 20))
        self.seen = gx.variable(0, name="seen", trainable=False)
        x, y = gx.placeholder(("n", 4), name="x"), gx.placeholder(("n",), "int64", name="y")
        loss = gx.nn.cross_entropy(self.model(x), y)
        updates = {**self.optimizer.updates(loss, self.model), self.seen: self.seen + 1}
        self.step = gx.compile([x, y], loss, updates=updates)

    @property
    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "rest": {"optimizer": self.optimizer, "seen": self.seen}}


@needs_safetensors
def test_training_goes_on_exactly(tmp_path: Path) -> None:
    first, path = Training(), tmp_path / "state.safetensors"
    for _ in range(3):
        first.step(X, Y)
    gx.nn.save(first.parts, path, metadata={"epoch": "3"})
    expected = [first.step(X, Y) for _ in range(4)]
    second = Training()
    arrays = gx.nn.load(path, into=second.parts)
    assert second.seen.value == 3
    assert "model.1.running_mean" in arrays
    assert arrays["rest.optimizer.steps"] == 3
    assert [second.step(X, Y) for _ in range(4)] == expected


@needs_safetensors
def test_what_is_in_the_file(tmp_path: Path) -> None:
    layer, path = gx.nn.Linear(4, 3), tmp_path / "layer.safetensors"
    gx.nn.save(layer, path)
    assert sorted(os.listdir(tmp_path)) == ["layer.safetensors"]
    for found in (gx.nn.load(path), load_file(path)):
        assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in layer.state_dict().items()}
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": {"c": np.array(True), "d": 3, "e": np.zeros((0, 2), np.int8)}}
    gx.nn.save(arrays, path)
    found = gx.nn.load(path)
    assert found["a"].tolist() == arrays["a"].tolist()
    assert (found["b.c"], found["b.d"], found["b.e"].shape) == (True, 3, (0, 2))


@needs_safetensors
def test_a_file_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    path, parts = (
        tmp_path / "state.safetensors",
        {"a": gx.nn.Linear(4, 3), "b": gx.nn.Linear(3, 2), "v": gx.variable(1)},
    )
    for other, message in [
        ({"a": gx.nn.Linear(4, 3), "b": gx.nn.Linear(3, 5), "v": 1}, r"weight must be f32\[2, 3\]"),
        ({"a": gx.nn.Linear(4, 3), "b": gx.nn.Linear(3, 2, bias=False), "v": 1}, r"missing \['bias'\]"),
        ({"a": gx.nn.Linear(4, 3), "b": gx.nn.Linear(3, 2)}, "the file has no v"),
        ({"a": gx.nn.Linear(4, 3), "b": gx.nn.Linear(3, 2), "v": 1, "w": 2}, r"more than is to be set: \['w'\]"),
    ]:
        gx.nn.save(other, path)
        before = parts["a"].state_dict()
        with pytest.raises((gx.ArgumentError, gx.ShapeError), match=message):
            gx.nn.load(path, into=parts)
        assert all((v == before[k]).all() for k, v in parts["a"].state_dict().items())


@needs_safetensors
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    gx.nn.save(gx.nn.Linear(4, 3), path)
    content = path.read_bytes()
    for damaged in (b"", b"no", content[:-1], b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(gx.ArgumentError, match="cannot be read as safetensors"):
            gx.nn.load(path)
    with pytest.raises(FileNotFoundError):
        gx.nn.load(tmp_path / "none.safetensors")


@needs_safetensors
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    gx.nn.save({"a": 1}, path)

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        gx.nn.save({"a": 2}, path)
    assert os.listdir(tmp_path) == ["state.safetensors"]
    assert gx.nn.load(path)["a"] == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (3, "takes modules, optimisers"),
        ({"a": "text"}, "a must be an array of numbers"),
        ({"a": gx.placeholder((3,))}, "a must be known now"),
    ],
)
def test_what_cannot_be_saved(what: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(gx.ArgumentError, match=message):
        gx.nn.save(what, tmp_path / "x")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"needs the package safetensors: pip install 'graphc\[io\]'"):
        gx.nn.save(gx.nn.Linear(2, 2), tmp_path / "x")
