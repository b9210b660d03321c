"""Write docs/reference/: a page for each family of public names, from their docstrings. See scripts/reference."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import graphc as gx

FOLDER = Path(__file__).parent.parent / "docs" / "reference"

REMAKE = "Written by `scripts/reference` from the docstrings; change those, and run it again."


@dataclass(frozen=True)
class Page:
    """A family: its file, its title, what it is about, and the modules of graphc whose public names it shows."""

    file: str
    title: str
    about: str
    modules: tuple[str, ...]


PAGES = (
    Page("elementwise", "Elementwise functions",
         "Arithmetic, rounding, exponentials, angles. Operands are promoted as in NumPy 2 and broadcast.",
         ("array.elementwise", "array.arithmetic", "array.parts")),
    Page("logic", "Comparisons, logic, bits and choice", "Nothing here but the choices has a gradient.",
         ("array.logic", "array.closeness")),
    Page("reductions", "Reductions, statistics and running folds", "Over any axes, with `keepdims` where NumPy has it.",
         ("array.reduce", "array.cumulative", "array.nans", "array.quantiles", "array.norms", "array.statistics",
          "array.binning", "array.calculus", "array.polynomials")),
    Page("shapes", "Shapes", "What moves elements and changes none.",
         ("array.shape", "array.joining", "array.editing", "array.padding")),
    Page("products", "Products and matrices", "Products over named axes, and matrices made of vectors and diagonals.",
         ("array.dot", "array.einsum", "array.matrices")),
    Page("indexing", "Indexing", "Reading and writing at positions; `x[index]` and `x.at[index]` are the usual way.",
         ("array.index", "array.gathering", "array.places", "array.found")),
    Page("sorting", "Sorting, searching and sets", "Stable, with NaN last.", ("array.ordering", "array.sets")),
    Page("creation", "Creation and dtypes", "Arrays from nothing, numbers and other libraries; facts of dtypes.",
         ("array.creation", "array.ranges", "array.convert", "array.dtypes", "array.info", "ir.types")),
    Page("linalg", "Linear algebra", "The namespace `gx.linalg`.", ("linalg",)),
    Page("fft", "Fourier transforms", "The namespace `gx.fft`.", ("fft",)),
    Page("special", "Special functions", "The namespace `gx.special`, named as in SciPy.", ("special",)),
    Page("random", "Random numbers", "The namespace `gx.random`: keys, streams and distributions.", ("random",)),
    Page("nn", "Neural networks", "The namespace `gx.nn`: functions and modules.", ("nn",)),
    Page("optim", "Optimisers and schedules", "The namespace `gx.optim`.", ("optim",)),
    Page("control", "Control flow", "Loops and branches as nodes of the graph, differentiable in both modes.",
         ("array.control",)),
    Page("transforms", "Derivatives and other transformations", "Functions of functions, and of graphs.",
         ("transforms", "array.handle")),
    Page("running", "Building, compiling and running", "From inputs and variables to a function of arrays.",
         ("compiler", "options", "runtime", "cache", "tensor", "concrete", "array.state")),
    Page("errors", "Errors", "Each is a `GraphcError`, and the error of Python's that fits it.", ("errors",)),
)  # fmt: skip

CONSTANTS = {
    "creation": (
        "bool", "e", "float32", "float64", "inf", "int8", "int16", "int32", "int64", "nan", "newaxis", "pi",
        "uint8", "uint16", "uint32", "uint64",
    ),
    "running": ("__array_api_version__", "__version__"),
}  # fmt: skip
"""The public names that are no functions and no classes."""


def public() -> Iterator[tuple[str, Any]]:
    """Yield every public name, as after `gx.`, with its value; namespaces are gone through."""
    for name in gx.__all__:
        yield from _named(name, getattr(gx, name))


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, ModuleType):
        yield name, value
        return
    own = getattr(value, "__all__", None)
    if own is None:
        own = [n for n, v in vars(value).items() if n[0] != "_" and getattr(v, "__module__", "") == value.__name__]
    for part in own:
        yield from _named(f"{name}.{part}", getattr(value, part))


def page_of(name: str, value: Any) -> Page:
    """Return the page of a public name: that of the module with the longest name in which its definition lies."""
    for file, names in CONSTANTS.items():
        if name in names:
            return next(p for p in PAGES if p.file == file)
    module = getattr(value, "__module__", "").removeprefix("graphc.")
    found = [(len(m), p) for p in PAGES for m in p.modules if module == m or module.startswith(m + ".")]
    if not found:
        raise SystemExit(f"reference: no page has {name}, defined in {module}: add the module to PAGES")
    return max(found, key=lambda pair: pair[0])[1]


def rendered() -> dict[str, str]:
    """Return the text of each page, and of the index, by the name of its file."""
    by_page: dict[Page, dict[int, tuple[Any, list[str]]]] = {p: {} for p in PAGES}
    for name, value in public():
        key = id(value) if callable(value) else id(name)
        by_page[page_of(name, value)].setdefault(key, (value, []))[1].append(name)
    pages = {p: list(found.values()) for p, found in by_page.items() if found}
    texts = {f"{p.file}.md": _page(p, entries) for p, entries in pages.items()}
    return {"index.md": _index(pages), **texts}


def _index(pages: dict[Page, list[tuple[Any, list[str]]]]) -> str:
    count = sum([len(names) for entries in pages.values() for _, names in entries])
    lines = [
        "# Reference",
        "",
        f"{count} public names, each on one page. {REMAKE}",
        "",
        "| page | names |",
        "|---|---|",
    ]
    for page, entries in pages.items():
        links = [f"[{n[0]}]({page.file}.md#{_anchor(n[0])})" for _, n in sorted(entries, key=_first_name)]
        lines.append(f"| [{page.title}]({page.file}.md) | {', '.join(links)} |")
    return "\n".join(lines) + "\n"


def _first_name(entry: tuple[Any, list[str]]) -> str:
    return _ordered(entry[1], entry[0])[0].lower()


def _ordered(names: list[str], value: Any) -> list[str]:
    """Put the name that a function has itself first."""
    own = getattr(value, "__name__", "")
    names.sort(key=lambda n: (n.split(".")[-1] != own, n))
    return names


def _anchor(name: str) -> str:
    return re.sub(r"[^\w-]", "", f"gx.{name}".lower())


def _page(page: Page, entries: list[tuple[Any, list[str]]]) -> str:
    parts = [f"# {page.title}", page.about, f"{REMAKE} [All pages](index.md)."]
    for value, names in sorted(entries, key=_first_name):
        parts += _entry(value, names)
    return "\n\n".join(parts) + "\n"


def _entry(value: Any, names: list[str]) -> Iterator[str]:
    first, *others = _ordered(names, value)
    yield f"## gx.{first}"
    if not callable(value):
        yield f"`{value.name}`, a dtype." if isinstance(value, np.dtype) else f"`{_constant(first, value)}`"
        return
    yield f"```python\n{_signature(first, value)}\n```"
    if others:
        yield f"Also {', '.join(f'`gx.{n}`' for n in others)}."
    yield from _blocks(inspect.getdoc(value) or "")
    if inspect.isclass(value) and not issubclass(value, BaseException):
        methods = _methods(value)
        if methods:
            yield "\n".join(methods)


def _constant(name: str, value: Any) -> str:
    return "the version" if name == "__version__" else repr(value)


def _signature(name: str, value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, BaseException):
        bases = [b.__name__ for b in value.__bases__]
        return f"class gx.{name}({', '.join(bases)})"
    try:
        text = str(inspect.signature(value)).replace("'", "")
    except (TypeError, ValueError):
        text = "(...)"
    line = f"gx.{name}{text}"
    return line if len(line) <= 110 else _broken(line)


def _broken(line: str) -> str:
    """Return a signature with one argument a line."""
    head, _, rest = line.partition("(")
    depth, parts, word = 0, [], ""
    for place, c in enumerate(rest):
        depth += (c in "([{") - (c in ")]}")
        if depth < 0:
            return "\n".join([f"{head}(", *[f"    {p.strip()}," for p in [*parts, word]], f"){rest[place + 1 :]}"])
        if c == "," and depth == 0:
            parts.append(word)
            word = ""
        else:
            word += c
    return line


def _methods(value: type) -> list[str]:
    """Return a line for each public method and property that a class defines."""
    lines = []
    for name, method in vars(value).items():
        doc = inspect.getdoc(method)
        if name[0] != "_" and doc and (callable(method) or isinstance(method, property | classmethod)):
            call = "" if isinstance(method, property) else "()"
            lines.append(f"- `.{name}{call}`: {doc.splitlines()[0]}")
    return lines


def _blocks(doc: str) -> Iterator[str]:
    """Yield a docstring as Markdown: examples and tables of arguments in fences, the rest as it is."""
    for block in re.split(r"\n\s*\n", doc):
        if block.lstrip().startswith(">>>"):
            yield f"```python\n{inspect.cleandoc(block)}\n```"
        elif re.search(r"^\S.*\S {2,}\S|^ {2,}\S", block, re.MULTILINE):
            yield f"```text\n{block}\n```"
        else:
            yield block


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    pages = rendered()
    for old in FOLDER.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(pages)} pages in {FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
