"""Arrays as sets."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, f64, given, i32, i64

TIES = given([2.0, np.nan, -1.0, 2.0, 0.0, 0.5, np.inf, np.nan, -1.0])
FOUND = {"derivative": False, "batched": False, "protocol": False}
ALL = {"return_index": True, "return_inverse": True, "return_counts": True}

CASES = [
    Case("unique", i64((3, 4), -2, 2), options=ALL, **FOUND),
    Case("unique", TIES, options=ALL, **FOUND),
    Case("unique", TIES, equal_nan=False, **FOUND),
    Case("unique", i64((6, 2), 0, 1), axis=0, options=ALL, symbolic=False, **FOUND),
    Case("unique", i64((2, 3, 2), 0, 1), axis=1, symbolic=False, **FOUND),
    Case("unique", i64((9,), -2, 2), size=3, reference=lambda x, size: np.unique(x)[:3], protocol=False),
    Case("unique_values", TIES, reference=lambda x: np.unique(x, equal_nan=False), **FOUND),
    Case("unique_counts", TIES, reference=lambda x: np.unique(x, return_counts=True, equal_nan=False), **FOUND),
    Case("unique_inverse", TIES, reference=lambda x: np.unique(x, return_inverse=True, equal_nan=False), **FOUND),
    Case("unique_all", TIES, reference=lambda x: np.unique(x, True, True, True, equal_nan=False), **FOUND),
    Case("isin", i64((3, 4), -3, 3), given([1, -2, 1])),
    Case("isin", TIES, f64((3,)), invert=True),
    Case("union1d", i64((6,), -3, 3), i32((2, 4), 0, 5), **FOUND),
    Case("intersect1d", i64((6,), -3, 3), i64((9,), 0, 5), return_indices=True, **FOUND),
    Case("intersect1d", TIES, given([2.0, np.nan, 0.0]), **FOUND),
    Case("setdiff1d", i64((9,), -3, 3), given([0, 1]), **FOUND),
    Case("setdiff1d", i64((9,), -3, 3), given([0, 1]), assume_unique=True, **FOUND),
    Case("setxor1d", i64((6,), -3, 3), i64((9,), 0, 5), **FOUND),
]
