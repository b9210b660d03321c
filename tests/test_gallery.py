"""The gallery: every program runs as it is, and its numbers are those that it is known for."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "gallery"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a program of the gallery; return its names."""

    def run(name: str, *arguments: str) -> dict[str, Any]:
        file = str(FOLDER / f"{name}.py")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", [file, *arguments])
        return runpy.run_path(file, run_name="__main__")

    return run


def test_each_program_is_tested_and_has_its_place_in_the_docs() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    names = {f.stem for f in FOLDER.glob("*.py")}
    assert names == {"dot", "linear_model", "matrix", "micro_batches", "no_grad", "paths", "scalar_engine", "sigmoid"}
    assert [n for n in sorted(names) if f"(../examples/gallery/{n}.py)" not in page] == []


def test_the_right_sides_of_the_docs_are_in_the_programs() -> None:
    """Each line of graphc on the page stands in a program too, so that it runs."""
    lines = {line.strip() for f in FOLDER.glob("*.py") for line in f.read_text().splitlines()}
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    right = [cell.split("</pre>")[0] for cell in page.split("<td><pre>")[2::2]]
    assert right
    shown = [line.strip().replace("&lt;", "<").replace("&gt;", ">") for cell in right for line in cell.splitlines()]
    assert [line for line in shown if line and line not in lines] == []


def test_dot(run: Run) -> None:
    found = run("dot")
    assert found["value"] == 28
    assert found["gradient"].tolist() == [0, 4, 8, 12]


def test_scalar_engine(run: Run, tmp_path: Path) -> None:
    names = run("scalar_engine", "--out", str(tmp_path / "pictures"))
    assert names["found"]["z"] == 8
    assert [float(g) for g in names["found"]["gradients"]] == [-3, 2, 1, 4]
    expected = [-0.5 + 40 * np.log(2), -6 / -27, 4, -12]
    np.testing.assert_allclose(names["slopes"], expected, rtol=1e-12)
    for picture in ("forward.svg", "backward.svg"):
        assert ElementTree.parse(tmp_path / "pictures" / picture).getroot().tag.endswith("svg")


def test_linear_model(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("linear_model")
    logits = np.ones(5) @ names["w"].astype(float) + names["b"]
    slope = 1 / (1 + np.exp(-logits)) / 3
    np.testing.assert_allclose(names["value"], np.mean(np.log1p(np.exp(logits))), rtol=1e-6)
    np.testing.assert_allclose(names["db"], slope, rtol=1e-5)
    np.testing.assert_allclose(names["dw"], np.tile(slope, (5, 1)), rtol=1e-5)
    args = (names["x"], names["y"], names["w"], names["b"])
    gx = names["gx"]
    np.testing.assert_allclose(gx.grad(names["both"], argnums=3)(*args), slope + 1, rtol=1e-5)
    np.testing.assert_array_equal(gx.grad(names["stopped"], argnums=3)(*args), names["db"])
    np.testing.assert_array_equal(names["db_aux"], names["db"])
    np.testing.assert_array_equal(names["by_name"]["b"], names["db"])
    np.testing.assert_array_equal(names["by_name"]["w"], names["dw"])
    assert capsys.readouterr().out.count("True") == 3


def test_sigmoid(run: Run, tmp_path: Path) -> None:
    names = run("sigmoid", "--out", str(tmp_path))
    assert [float(s) for s in names["slopes"].values()] == [1, 0, 1, 1, -1, 1, 1, -0.25]
    assert (names["dw"], names["dx"], names["db"]) == (0.25, 0, 0.25)
    assert names["tangents"] == [0.25, 0, 0.25]
    assert names["operations"](names["reverse"]) < sum(map(names["operations"], names["forward"]))
    picture = (tmp_path / "sigmoid.svg").read_text(encoding="utf-8")
    assert picture.count('class="label"') == 8
    assert ">-0.25<" in picture


def test_matrix(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("matrix")
    assert names["grad"].value.tolist() == (2 * np.ones((5, 5)) + 2 * np.eye(5)).tolist()
    assert capsys.readouterr().out.split("\n")[:3] == [
        "once   diagonal 4.0, off the diagonal 2.0",
        "twice  diagonal 8.0, off the diagonal 4.0",
        "zeroed diagonal 4.0, off the diagonal 2.0",
    ]


def test_no_grad(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("no_grad")
    printed = capsys.readouterr().out
    assert "[3. 5. 7.]" in printed
    assert "[1. 4. 9.]" in printed
    assert "[2. 4. 6.]" in printed
    assert "stop_gradient cuts it off (at no_grad.py:14: inside = x * 10)" in printed


def test_micro_batches(run: Run) -> None:
    names = run("micro_batches")
    np.testing.assert_allclose(names["w"].value, names["expected"], rtol=1e-13)
    assert names["total"].value.tolist() == [0] * 6
    assert names["count"].value == 0


def test_paths(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("paths")
    gx, at = names["gx"], (3.0, 2.0)
    expected = {
        "x + 2*y": (1, 2), "x*x": (6, 0), "x*(x + 1)": (7, 0), "x/y": (0.5, -0.75), "1/(x*x + 1)": (-0.06, 0),
        "(x*x + 1)/(y*y - 1)": (2, -40 / 9),
    }  # fmt: skip
    for name, slopes in expected.items():
        np.testing.assert_allclose(gx.grad(names["EXAMPLES"][name], argnums=(0, 1))(*at), slopes, rtol=1e-14)
    assert (names["found"]["de/db"], names["found"]["de/da"]) == (5, 2)
    assert sum(names["found"]["paths"].values()) == 5
    assert names["ways"][names["y"].node] == 2**200
    assert len(names["backward"].nodes) <= 3 * len(names["graph"].nodes)
    assert capsys.readouterr().out.endswith("derivative: 1.0\n")
