"""The pages of docs/reference show every public name once, as its docstring is now."""

from __future__ import annotations

import inspect
import re

import graphc as gx
from scripts.reference import CONSTANTS, FOLDER, PAGES, page_of, public, rendered


def test_the_pages_are_up_to_date():
    pages = rendered()
    assert {p.name for p in FOLDER.glob("*.md")} == set(pages), "run scripts/reference"
    stale = [name for name, text in pages.items() if (FOLDER / name).read_text(encoding="utf-8") != text]
    assert not stale, "run scripts/reference"


def test_every_public_name_is_on_one_page():
    text = "\n".join(text for name, text in rendered().items() if name != "index.md")
    shown = [n.removeprefix("gx.") for n in re.findall(r"^## (\S+)$", text, re.MULTILINE)]
    also = [n for line in re.findall(r"^Also (.*)\.$", text, re.MULTILINE) for n in re.findall(r"`gx\.([\w.]+)`", line)]
    assert sorted([*shown, *also]) == sorted(name for name, _ in public())


def test_the_table_of_pages():
    assert len({p.file for p in PAGES}) == len(PAGES)
    modules = [m for p in PAGES for m in p.modules]
    assert len(set(modules)) == len(modules)
    assert set(CONSTANTS) <= {p.file for p in PAGES}
    assert page_of("exp", gx.exp).file == "elementwise"


def test_every_public_function_says_what_it_does_and_shows_an_example():
    silent = [n for n, v in public() if inspect.isfunction(v) and ">>>" not in (inspect.getdoc(v) or "")]
    assert not [n for n in silent if n not in WITHOUT_EXAMPLE]
    assert not [n for n in WITHOUT_EXAMPLE if n not in silent], "these have examples now: take them off the list"


WITHOUT_EXAMPLE = ("cache.clear", "get_threads", "nn.init.fans", "nn.init.generator")
"""What depends on the machine or serves other functions."""
