"""Cases of graphc/array/cumulative.py: running sums, products and extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.functions.cases import Case, bools, f32, f64, given, i8, i32, u8

HOLES = given([[1.0, np.nan, 3.0], [np.inf, 2.0, -np.inf]])


def log_cumsum_exp(x: Any, axis: int = -1) -> Any:
    return np.logaddexp.accumulate(np.asarray(x), axis)


def extreme(name: str, ufunc: np.ufunc) -> list[Case]:
    def reference(x: Any, axis: int = -1) -> Any:
        return ufunc.accumulate(x, axis)

    inputs = (f64((3, 5)), f32((33,)), i32((4, 3)), u8((2, 3, 4)), bools((3, 4)))
    return [
        *[Case(name, x, reference=reference, tolerance=0) for x in inputs],
        Case(name, f64((3, 5)), axis=0, reference=reference),
        Case(name, f32((2, 3, 4)), 1, reference=reference),
        Case(name, HOLES, reference=reference, derivative=False),
    ]


CASES = [
    *[Case(name, x) for name in ("cumsum", "cumprod")
      for x in (f64((7,)), f32((3, 5)), i8((7,), -3, 3), bools((4, 2)))],
    *[Case(name, f64((3, 5)), axis=axis) for name in ("cumsum", "cumprod") for axis in (0, 1, -1)],
    *[Case(name, f64((2, 0, 3)), axis=1) for name in ("cumsum", "cumprod")],
    *[Case(name, i32((2, 5), 1, 3), 1, "float64") for name in ("cumsum", "cumprod")],
    *[Case(name, f32((2, 5), 1, 3), 0, dtype="float64") for name in ("cumsum", "cumprod")],
    *[Case(name, x) for name in ("cumulative_sum", "cumulative_prod")
      for x in (f64((7,)), i32((5,), 1, 3), f32((33,)))],
    *[Case(name, f64((3, 5)), axis=axis, include_initial=True)
      for name in ("cumulative_sum", "cumulative_prod") for axis in (0, -1)],
    *[Case(name, u8((3, 5), 1, 3), axis=1, dtype="int64") for name in ("cumulative_sum", "cumulative_prod")],
    *extreme("cummax", np.maximum),
    *extreme("cummin", np.minimum),
    *[Case("logcumsumexp", x, reference=log_cumsum_exp) for x in (f64((7,)), f32((3, 33)), f64((2, 3, 4), -9, 9))],
    Case("logcumsumexp", f64((3, 5)), axis=0, reference=log_cumsum_exp),
]  # fmt: skip
