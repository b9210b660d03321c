"""Passes on small graphs, as text: tests/passes/goldens/<pass>.txt holds the graph before, ---, the graph after, ===.

After a change, `pytest tests/passes/test_goldens.py --update-golden` rewrites what follows each ---; read the diff.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import graphc.ops  # noqa: F401  (defines the operations that the texts name)
from graphc.ir.graph import Graph
from graphc.ir.text import from_text, to_text
from graphc.ir.verify import verify
from graphc.passes.fuse import fuse
from graphc.passes.materialize import materialize
from graphc.passes.release import release
from graphc.passes.rematerialize import rematerialize
from graphc.passes.simplify import simplify
from graphc.pipeline import PIPELINE, optimize
from tests.machine import MACHINE

FOLDER = Path(__file__).parent / "goldens"
PASSES: dict[str, Callable[[Graph], Graph]] = {
    **{apply_pass.__name__: apply_pass for apply_pass in PIPELINE},
    "release": release,
    "rematerialize": rematerialize,
    "materialize": materialize,
    "fuse": fuse,
    "optimize": optimize,
    "simplify_fast_math": lambda graph: simplify(graph, fast_math=True),
}
"""What the files are named after."""


class Stanza(NamedTuple):
    file: Path
    index: int
    comment: str
    before: str
    after: str


def stanzas(file: Path) -> list[Stanza]:
    found = []
    for k, text in enumerate(file.read_text().split("===\n")):
        before, _, after = text.partition("---\n")
        lines = before.splitlines(keepends=True)
        count = next(n for n, line in enumerate(lines) if not line.startswith("#"))
        found.append(Stanza(file, k, "".join(lines[:count]), "".join(lines[count:]), after))
    return found


ALL = [s for file in sorted(FOLDER.glob("*.txt")) for s in stanzas(file)]


def result_of(stanza: Stanza) -> str:
    graph = from_text(stanza.before)
    verify(graph)
    if stanza.file.stem == "fuse":
        return "".join(f"{group}\n" for group in fuse(materialize(graph), MACHINE))
    result = PASSES[stanza.file.stem](graph)
    verify(result, stanza.file.stem)
    return to_text(result)


@pytest.mark.parametrize("stanza", ALL, ids=lambda s: f"{s.file.stem}-{s.index}")
def test_golden(stanza: Stanza, update_golden: bool) -> None:
    text = result_of(stanza)
    if update_golden and text != stanza.after:
        kept = stanzas(stanza.file)
        kept[stanza.index] = stanza._replace(after=text)
        stanza.file.write_text("===\n".join([f"{s.comment}{s.before}---\n{s.after}" for s in kept]))
        return
    assert text == stanza.after


def test_every_pass_has_a_golden() -> None:
    assert {s.file.stem for s in ALL} == set(PASSES)
