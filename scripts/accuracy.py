"""Measure the largest error of every elementwise function on floats, and its time beside NumPy; write docs/accuracy.md.

float32 is compared with the operation's reference in float64, at every n-th of all values; float64 with the reference
in extended precision where NumPy has one, and in both the points of `tests/accuracy.py` and the worst ones found are
compared with mpmath.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special

import graphc as gx
from graphc.array.handle import wrap
from graphc.inspect.native import library_calls
from graphc.ir.graph import OPS
from graphc.ir.types import FLOAT32, FLOAT64
from tests.accuracy import COMPOSITIONS, EXACT, ROUNDED, UNARY, Binary, Unary, function_named, worst

Array = np.ndarray[Any, Any]
Function = Callable[..., Array]
Found = tuple[float, tuple[Any, ...]]

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
CHUNK = 1 << 22
SUSPECTS = 8
SIZE = 100_000
"""Elements of the arrays that are timed."""

HEAD = """# Accuracy of elementwise functions

Written by `scripts/accuracy`. Errors are in units in the last place (ULP) of the exact value: 0.5 is what rounding the
exact value would give. The promise is 1.5 in float32 and 2.0 in float64; NaN, infinities, zeros with their signs and
subnormal numbers are as in Annex F of C99. `tests/lower/test_math.py` holds both, on a smaller sample.

"""


def compiled(build: Callable[..., gx.Tensor], dtype: np.dtype[Any], arity: int) -> Function:
    inputs = [gx.placeholder((None,), dtype) for _ in range(arity)]
    return gx.compile(inputs, build(*inputs))


def operation(name: str) -> Callable[..., gx.Tensor]:
    return lambda *tensors: wrap(OPS[name](*[t.node for t in tensors]))


# Errors.


def errors_in_ulps(results: Array, exact: Array, dtype: np.dtype[Any]) -> Array:
    """Return the errors of results next to values of a wider dtype; a NaN where there is a value counts as infinite."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        exponents = np.maximum(np.frexp(exact)[1] - 1, info.minexp)
        units = np.ldexp(exact.dtype.type(1), np.where(np.isfinite(exact), exponents, 0) - info.nmant)
        apart = np.abs(results.astype(exact.dtype) - exact) / units
        same = (results == exact) | (np.isnan(results) & np.isnan(exact))
        same |= np.isinf(results) & (np.abs(exact) >= info.max)
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)).astype(np.float64)


def patterns(every: int) -> Iterator[Array]:
    """Yield every n-th of all float32 values."""
    for start in range(0, 1 << 32, CHUNK * every):
        bits = np.arange(start, min(start + CHUNK * every, 1 << 32), every, dtype=np.uint64)
        yield bits.astype(np.uint32).view(np.float32)


def found_beside(run: Function, reference: Function, wide: Any, columns: Sequence[Array]) -> list[Array]:
    """Return the arguments that seem to have the largest errors; the reference may be wrong, but hardly for all."""
    dtype = columns[0].dtype
    with np.errstate(all="ignore"):
        exact = reference(*[c.astype(wide) for c in columns])
    apart = errors_in_ulps(run(*columns), exact, dtype)
    at = np.argpartition(apart, -SUSPECTS)[-SUSPECTS:] if len(apart) > SUSPECTS else np.arange(len(apart))
    return [c[at] for c in columns]


def largest_error(name: str, known: Unary | Binary, run: Function, dtype: np.dtype[Any], every: int) -> Found:
    """Return the largest error of an operation and where it is, by mpmath."""
    columns = known.arguments(dtype)
    candidates = [columns]
    reference = OPS[name].reference
    is_fast = isinstance(reference, np.ufunc)
    wide = np.float64 if dtype == FLOAT32 else np.longdouble
    if is_fast or dtype == FLOAT32:
        many = known.arguments(dtype, 1_000_000 if is_fast else 5000, seed=1)
        candidates.append(found_beside(run, reference, wide, many))
    if dtype == FLOAT32 and name in UNARY:
        stride = every if is_fast else 100 * every
        candidates += [found_beside(run, reference, wide, (x,)) for x in patterns(stride)]
    suspects = [np.concatenate(parts) for parts in zip(*candidates, strict=True)]
    return worst(known, run(*suspects), *suspects)


def shown(found: Found) -> str:
    error, at = found
    return f"{error:.2f} | {', '.join(f'{float(a):.8g}' for a in at)}"


def errors_of_operations(every: int, only: Sequence[str]) -> str:
    lines = ["| function | float32 | at | float64 | at | how |", "|---|--:|---|--:|---|---|"]
    for name, known in chosen(EXACT, only):
        arity = 1 if name in UNARY else 2
        cells = []
        for dtype in (FLOAT32, FLOAT64):
            cells.append(shown(largest_error(name, known, compiled(operation(name), dtype, arity), dtype, every)))
        lines.append(f"| {name} | {' | '.join(cells)} | {how(name, arity)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def how(name: str, arity: int) -> str:
    called = library_calls(*[operation(name)(*[gx.placeholder((), d)] * arity) for d in (FLOAT32, FLOAT64)])
    return "native" if not called else f"C library, one element at a time: {', '.join(called)}"


def chosen(table: Mapping[str, Any], only: Sequence[str]) -> list[tuple[str, Any]]:
    return [(name, known) for name, known in sorted(table.items()) if not only or name in only]


def errors_of_compositions(only: Sequence[str]) -> str:
    lines = ["| function | float32 | at | float64 | at |", "|---|--:|---|--:|---|"]
    for name, known in chosen(COMPOSITIONS, only):
        function = function_named(name)
        if function is None:
            continue
        cells = []
        for dtype in (FLOAT32, FLOAT64):
            columns = known.arguments(dtype)
            run = compiled(function, dtype, len(columns))
            cells.append(shown(worst(known, run(*columns), *columns)))
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def errors(every: int, only: Sequence[str]) -> str:
    share = "all values" if every == 1 else f"one of {every} values"
    return (
        f"## Errors\n\nThe largest found: in float32 among {share} of a function of one, else among samples of all\n"
        "magnitudes and of the neighbours of seams.\n\n"
        f"{errors_of_operations(every, only)}\n\n"
        f"Exact, or the exact value rounded once: {', '.join(sorted(ROUNDED))}.\n\n"
        "## Errors of compositions\n\n"
        "These are made of the functions above. Where the terms of logaddexp cancel, errors are measured by the\n"
        "largest of arguments and result.\n\n"
        f"{errors_of_compositions(only)}\n\n"
    )


# Times.

SCIPY = {"sigmoid": "expit", "lgamma": "gammaln"}
SECONDS = 0.06


def peer(name: str) -> Function | None:
    reference = OPS[name].reference
    if isinstance(reference, np.ufunc):
        return reference
    found = getattr(scipy.special, SCIPY.get(name, name), None)
    return found if isinstance(found, np.ufunc) else None


def timed(name: str, known: Unary | Binary, dtype: np.dtype[Any]) -> tuple[float, float | None]:
    """Return nanoseconds for an element, of graphc and of its peer, in turns and the least of each."""
    rng = np.random.default_rng(0)
    columns = [rng.uniform(*known.typical, SIZE).astype(dtype) for _ in range(1 if name in UNARY else 2)]
    inputs = [gx.placeholder((SIZE,), dtype) for _ in columns]
    run, other, out = gx.compile(inputs, operation(name)(*inputs)), peer(name), np.empty_like(columns[0])
    best = [np.inf, np.inf]
    end = time.perf_counter() + SECONDS
    with np.errstate(all="ignore"):
        run(*columns)
        while time.perf_counter() < end:
            start = time.perf_counter()
            run(*columns)
            middle = time.perf_counter()
            if other is not None:
                other(*columns, out=out)
            best = [min(best[0], middle - start), min(best[1], time.perf_counter() - middle)]
    ours, theirs = (b / SIZE * 1e9 for b in best)
    return ours, None if other is None else theirs


def times(only: Sequence[str]) -> str:
    gx.set_threads(1)
    lines = ["| function | float32 ns | NumPy | ratio | float64 ns | NumPy | ratio |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, known in chosen(EXACT, only):
        cells = []
        for dtype in (FLOAT32, FLOAT64):
            ours, theirs = timed(name, known, dtype)
            cells += [f"{ours:.2f}", *(["", ""] if theirs is None else [f"{theirs:.2f}", f"{theirs / ours:.2f}"])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return (
        "## Times\n\nNanoseconds for an element of a contiguous array of 100,000, on one thread; NumPy's function, or\n"
        "SciPy's, beside it; how many times faster graphc is. On CPUs with AVX-512 many functions of NumPy are those\n"
        "of Intel's SVML, with errors of up to 4 ULP.\n\n" + "\n".join(lines) + "\n"
    )


def sections(text: str) -> dict[str, str]:
    """Return the parts of a page by their headings."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("errors", "times", "both"), default="both")
    parser.add_argument(
        "--every", type=int, default=61, help="float32 values are compared with so many left out between"
    )
    parser.add_argument("--only", nargs="+", default=(), help="functions to measure")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    parts = sections(options.out.read_text()) if options.out.exists() else {}
    if options.what != "times":
        parts |= sections(errors(options.every, options.only))
    if options.what != "errors":
        parts |= sections(times(options.only))
    options.out.write_text(HEAD + "".join(parts[k].rstrip() + "\n\n" for k in sorted(parts)).rstrip() + "\n")


if __name__ == "__main__":
    main()
