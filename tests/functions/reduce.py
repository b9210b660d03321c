"""Cases of graphc/array/reduce.py: sums, products, extremes, averages, positions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from tests.functions.cases import Case, bools, f32, f64, given, i8, i32, u8

NANS = given([[1.0, np.nan, 3.0], [-np.inf, np.inf, 2.0]])


def silent(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return NumPy's function without its warnings about means of nothing."""

    def call(*args: Any, **named: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(*args, **named)

    return call


def over_axes(name: str, low: float = -2, high: float = 2, **options: Any) -> list[Case]:
    """Return cases of a reduction over one axis, several, none, all, and over axes of size 0 and 1."""
    return [
        Case(name, f64((3, 4), low, high), **options),
        Case(name, f32((3, 4, 2), low, high), axis=1, **options),
        Case(name, f64((3, 4, 2), low, high), axis=(0, -1), keepdims=True, **options),
        Case(name, f64((3, 4), low, high), axis=(), **options),
        Case(name, f64((1, 4), low, high), axis=0, **options),
        Case(name, f64((), low, high), **options),
    ]


def on_integers(name: str, **options: Any) -> list[Case]:
    """Return cases of a reduction of integers and bools, and of an empty axis."""
    return [Case(name, s((3, 4)), axis=1, **options) for s in (i8, u8, i32, bools)]


CASES = [
    *over_axes("sum"),
    *on_integers("sum"),
    Case("sum", f64((0, 3)), axis=0),
    Case("sum", f64((0, 3)), axis=1),
    Case("sum", f32((3, 4)), 0, "float64"),
    Case("sum", f64((3, "n4")), axis=1, initial=2.5, where=bools((3, "n4"))),
    Case("sum", i8((3, 4)), initial=100),
    Case("sum", f64((3, "n4")), axis=0, where=bools(("n4",))),
    *over_axes("prod", 0.5, 2),
    *on_integers("prod"),
    Case("prod", f64((0, 3)), axis=0),
    Case("prod", f64((3, 4)), axis=-1, initial=2.0, keepdims=True),
    Case("prod", f64((3, "n4"), 0.5, 2), where=bools(("n4",))),
    *over_axes("max"),
    *on_integers("max"),
    *over_axes("min"),
    *on_integers("min"),
    *(Case(n, f64((3, 4)), axis=1) for n in ("amax", "amin")),
    *(Case(n, NANS, axis=1, derivative=False) for n in ("max", "min", "sum", "prod", "mean", "var", "std")),
    *(Case(n, f64((3, "n4")), axis=1, initial=0.1) for n in ("max", "min")),
    *(Case(n, f64((0, 4)), axis=0, initial=0.1) for n in ("max", "min")),
    *(Case(n, f64((3, "n4")), initial=0.1, where=bools(("n4",))) for n in ("max", "min")),
    *(Case(n, i32((3, 4)), axis=(0, 1), initial=3) for n in ("max", "min")),
    *(Case(n, s((3, 4)), axis=1) for n in ("any", "all") for s in (bools, i8, f32)),
    *(Case(n, bools((0, 4)), axis=0, keepdims=True) for n in ("any", "all")),
    *(Case(n, bools((3, "n4")), axis=1, where=bools(("n4",))) for n in ("any", "all")),
    Case("count_nonzero", given([[0.0, np.nan, 2.0], [0.0, -0.0, 1.0]]), axis=1),
    Case("count_nonzero", i8((3, 4, 2)), axis=(0, 2), keepdims=True),
    Case("count_nonzero", bools((3, 4))),
    *over_axes("mean"),
    *on_integers("mean"),
    Case("mean", f64((0, 3)), axis=0, reference=silent(np.mean), derivative=False),
    Case("mean", i32((3, 4)), dtype="float32"),
    Case("mean", f64((3, "n4")), axis=0, where=bools(("n4",)), reference=silent(np.mean), derivative=False),
    *over_axes("var", second=False),
    *on_integers("var"),
    Case("var", f64((3, 4)), axis=0, ddof=1),
    Case("var", f64((3, 4)), axis=0, correction=2),
    Case("var", f64((2, 4)), axis=0, correction=3, reference=silent(np.var), derivative=False),
    Case("var", f64((3, 4)), axis=1, mean=f64((3, 1)), keepdims=True),
    Case("var", f64((3, "n4")), where=bools(("n4",))),
    *over_axes("std", second=False)[:3],
    *on_integers("std"),
    Case("std", f64((3, 4)), axis=0, ddof=1, keepdims=True),
    Case("std", f64((3, 4)), axis=0, correction=1.5),
    Case("std", f64((3, 4)), mean=0.25),
    *(Case(n, f64((3, 4))) for n in ("argmax", "argmin")),
    *(Case(n, f64((3, 4)), axis=1) for n in ("argmax", "argmin")),
    *(Case(n, f64((3, 4)), axis=0, keepdims=True) for n in ("argmax", "argmin")),
    *(Case(n, given([[2, 3, 3], [1, 1, 2]]), axis=1) for n in ("argmax", "argmin")),
    *(Case(n, given([1.0, np.nan, 3.0, np.nan])) for n in ("argmax", "argmin")),
    *(Case(n, bools((5,))) for n in ("argmax", "argmin")),
    *over_axes("logsumexp", reference=scipy.special.logsumexp),
    Case("logsumexp", given([[-np.inf, -np.inf], [np.inf, 1.0]]), axis=1, reference=scipy.special.logsumexp,
         derivative=False),
]  # fmt: skip
