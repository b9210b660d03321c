"""The programs in the pages of docs/ run, one after the other, where they stand for themselves or with a few names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import graphc as gx

DOCS = Path(__file__).parent.parent / "docs"

BEFORE = {
    "values": "",
    "seeing": "",
    "random": "step = 3; x = gx.placeholder((5,), name='x'); data = np.ones(5, np.float32)",
    "memory": """
layers = [gx.variable(np.eye(3)) for _ in range(4)]
mlp = lambda weights, x: gx.tanh(x @ weights)
x, y, updates = gx.placeholder((2, 3), "float64"), gx.placeholder((2, 3), "float64"), {}
inputs, loss = x, y
""",
    "indexing": """
x = gx.asarray(np.arange(12.0).reshape(3, 4) - 5)
rows, columns, i, values = gx.asarray([2, 0]), np.array([1, 3]), gx.placeholder((), "int64"), np.ones((2, 4))
""",
}
"""What a page takes for granted, besides np and gx."""


@pytest.mark.parametrize("page", sorted(BEFORE))
def test_the_programs_of_a_page_run(page: str) -> None:
    programs = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert programs
    names: dict[str, object] = {"np": np, "gx": gx}
    for program in programs:
        exec(BEFORE[page], names)
        exec(compile(program, f"docs/{page}.md", "exec"), names)


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CHANGELOG.md"):
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)", prose):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
