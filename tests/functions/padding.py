"""Cases of graphc/array/padding.py."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, f32, f64, i8, i32

MOVED = {"tolerance": 0}

CASES = [
    Case("pad", f64((3, 4)), 2, **MOVED),
    Case("pad", f64((3, 4)), ((0, 1), (2, 0)), constant_values=1.5, **MOVED),
    Case("pad", f64((3, 4)), ((1, 1), (2, 1)), constant_values=((1, 2), (3, 4)), **MOVED),
    Case("pad", i8((3,)), (2, 1), constant_values=(5, -5)),
    Case("pad", f64((0, 2)), 1, **MOVED),
    Case("pad", f64((3, 4)), {-1: (1, 2)}, **MOVED),
    *(Case("pad", f64((3, 4)), 2, mode=m, **MOVED) for m in ("edge", "reflect", "symmetric", "wrap")),
    *(Case("pad", f32((4, 2)), ((1, 0), (7, 5)), mode=m, **MOVED) for m in ("edge", "reflect", "symmetric", "wrap")),
    *(Case("pad", i32((1, 3)), 4, mode=m) for m in ("edge", "reflect", "symmetric", "wrap")),
    *(Case("pad", f64((2, 3)), ((0, 0), (9, 11)), mode=m, reflect_type="odd") for m in ("reflect", "symmetric")),
    *(Case("pad", i32((4, 1)), 6, mode=m, reflect_type="odd") for m in ("reflect", "symmetric")),
    *(Case("pad", f64((3,)), 200, mode=m) for m in ("reflect", "wrap")),
    *(Case("pad", f64((3, 4)), ((2, 1), (0, 3)), mode=m) for m in ("maximum", "minimum", "mean", "median")),
    *(Case("pad", f64((5,)), 2, mode=m, stat_length=2) for m in ("maximum", "minimum", "mean", "median")),
    *(Case("pad", i32((4, 5)), 2, mode=m, stat_length=((1, 9), (2, 3)))
      for m in ("maximum", "minimum", "mean", "median")),
    Case("pad", f64((3, 4)), ((2, 1), (0, 3)), mode="linear_ramp"),
    Case("pad", f64((3, 4)), 3, mode="linear_ramp", end_values=((1, 2), (-1, 0.5))),
    Case("pad", i32((3, 4)), 3, mode="linear_ramp", end_values=5),
    Case("pad", f64((3, 4)), 0, mode="linear_ramp", **MOVED),
    Case("pad", f64((3,)), 2, mode="empty", reference=lambda x, w, mode: np.pad(x, w), **MOVED),
]  # fmt: skip
