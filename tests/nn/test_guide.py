"""The programs in the guide to networks run, one after the other, and its lists are complete."""

from __future__ import annotations

import re
from pathlib import Path

import graphc as gx

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/nn.md").read_text(encoding="utf-8")


def test_the_programs_run() -> None:
    programs = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert len(programs) == 6
    names: dict[str, object] = {"print": lambda *values: str(values)}
    for program in programs:
        exec(compile(program, "docs/nn.md", "exec"), names)
    value = names["value"]
    assert 0 < float(value) < 4  # type: ignore[arg-type]


def test_what_it_names_exists() -> None:
    for name in re.findall(r"`gx\.nn\.(\w+)", GUIDE):
        assert hasattr(gx.nn, name)
    for example in re.findall(r"\(\.\./(examples/\w+\.py)\)", GUIDE):
        assert (ROOT / example).exists()
    listed = set(re.findall(r"`(\w+)`", GUIDE.split("## First values")[1].split("## Files")[0]))
    own = {
        n for n, v in vars(gx.nn.init).items() if getattr(v, "__module__", "") == gx.nn.init.__name__ and n[0] != "_"
    }
    aliases = {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "seed", "stream", "generator", "fans"}
    assert own - aliases <= listed
