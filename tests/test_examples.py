"""The examples and the README's program run as they are, and show what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent


def run(folder: Path, *command: str) -> str:
    """Return what a Python program prints; it runs in `folder`, where it finds no settings and leaves its files."""
    environment = {**os.environ, "MPLCONFIGDIR": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_graph(tmp_path: Path) -> None:
    printed = run(tmp_path, str(ROOT / "examples/first_graph.py"))
    differences = [float(d) for d in re.findall(r"largest difference .*: +(\S+)", printed)]
    assert len(differences) == 2
    assert differences[0] < 1e-14
    assert differences[1] < 1e-8
    assert printed.index("As built:") < printed.index("As optimised:")


def test_linear_regression(tmp_path: Path) -> None:
    printed = run(tmp_path, str(ROOT / "examples/linear_regression.py"))
    fitted, exact = re.findall(r"(?:fitted weights|least squares ) (.*)", printed)
    assert fitted == exact


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return what the digits example prints and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("digits")
    return run(folder, str(ROOT / "examples/digits.py"), "--out", "out"), folder / "out"


def test_digits_learns(digits: tuple[str, Path]) -> None:
    accuracy = re.search(r"test accuracy +(\S+)", digits[0])
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.97


def test_digits_reports_times_and_sizes(digits: tuple[str, Path]) -> None:
    assert re.search(r"step, batch 64 +\d+ us compiled, \d+ us eager: \d+\.\d x", digits[0])
    assert re.search(r"compile time +\d+\.\d\d s", digits[0])
    sizes = re.search(r"graph +(\d+) nodes as built, (\d+) as optimised", digits[0])
    assert sizes is not None
    assert int(sizes[1]) > int(sizes[2]) > 0


def test_digits_writes_pictures_and_code(digits: tuple[str, Path]) -> None:
    out = digits[1]
    pictures = [f"{name}_{stage}.svg" for name in ("forward", "training_step") for stage in ("as_built", "optimized")]
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["loss.png", "training_step.ll", "training_step.txt", *pictures]
    )
    for picture in pictures:
        assert ElementTree.parse(out / picture).getroot().tag.endswith("svg")
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "define" in (out / "training_step.ll").read_text()


def test_digits_is_repeatable(digits: tuple[str, Path], tmp_path: Path) -> None:
    again = run(tmp_path, str(ROOT / "examples/digits.py"))
    assert again.splitlines()[0] == digits[0].splitlines()[0]


def example(tmp_path: Path, name: str, *options: str) -> str:
    return run(tmp_path, str(ROOT / f"examples/{name}.py"), *options)


def numbers(pattern: str, printed: str) -> list[float]:
    """Return what the groups of a pattern match where it does first, as numbers."""
    found = re.search(pattern, printed)
    assert found is not None, printed
    return [float(g) for g in found.groups()]


def test_digits_conv(tmp_path: Path) -> None:
    printed = example(tmp_path, "digits_conv", "--epochs", "4")
    assert numbers(r"test accuracy (\S+)", printed)[0] >= 0.96
    assert "(0): Conv2d(1, 16, 3, padding=1, bias=False)" in printed


@pytest.mark.parametrize(("name", "bits"), [("char_gru", 4.0), ("char_transformer", 4.4)])
def test_writing_text(name: str, bits: float, tmp_path: Path) -> None:
    """A uniform guess among all characters takes 6.7 bits, their frequencies alone 4.7."""
    printed = example(tmp_path, name, "--steps", "60", "--width", "64", "--write", "50")
    assert numbers(r"bits per character (\S+)", printed)[0] < bits
    assert len(printed.split(" s\n", 1)[1].rstrip("\n")) >= 45


def test_vae_digits(tmp_path: Path) -> None:
    before, after = numbers(
        r"nats per image +(\S+) before, (\S+) after", example(tmp_path, "vae_digits", "--epochs", "12")
    )
    assert before > 40
    assert after < 29


def test_newton_logistic(tmp_path: Path) -> None:
    for penalty in ("1", "0.01"):
        printed = example(tmp_path, "newton_logistic", "--penalty", penalty)
        assert numbers(r"scikit-learn's weights: (\S+)", printed)[0] < 1e-8
        assert len(re.findall(r"gradient", printed)) <= 15


def test_physics_informed(tmp_path: Path) -> None:
    printed = example(tmp_path, "physics_informed", "--steps", "700")
    assert numbers(r"relative error (\S+), largest (\S+),", printed)[0] < 0.02


def test_black_scholes(tmp_path: Path) -> None:
    printed = example(tmp_path, "black_scholes", "--options", "1000")
    rows = re.findall(r"^(\w+) +(\S+) +(\d\S+e-\d+)$", printed, re.MULTILINE)
    assert len(rows) == 9
    assert all(float(difference) < 1e-13 * max(1, float(largest)) for _, largest, difference in rows)


def test_bundle_adjustment(tmp_path: Path) -> None:
    printed = example(tmp_path, "bundle_adjustment", "--cameras", "4", "--points", "60")
    errors = [float(e) for e in re.findall(r"error (\S+) pixels", printed)]
    assert errors[0] > 1
    assert errors[-1] < 1e-9
    assert len(errors) < 15


def test_the_program_in_the_readme(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert program is not None
    assert 0 < float(run(tmp_path, "-c", program[1])) < 1.5
