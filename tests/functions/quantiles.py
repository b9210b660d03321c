"""Cases of graphc/array/quantiles.py."""

from __future__ import annotations

import numpy as np

from graphc.array.quantiles import CONTINUOUS, DISCRETE
from tests.functions.cases import Case, f32, f64, given, i8, i32

METHODS = (*CONTINUOUS, *DISCRETE)
NANS = given([[1.0, np.nan, 3.0, 0.5], [np.nan] * 4, [-np.inf, np.inf, 2.0, 2.0], [5.0, 4.0, 1.0, 1.0]])
Q = np.array([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.77, 1.0])

CASES = [
    Case("median", f64((5,))),
    Case("median", f64((4, 3)), axis=0),
    Case("median", f32((3, 5, 2)), axis=(0, -1), keepdims=True),
    Case("median", f64((2, 3)), axis=()),
    Case("median", i32((3, 4)), axis=1),
    Case("median", i8((3, 3))),
    Case("median", NANS, axis=1, derivative=False),
    Case("median", given([1.0, 2.0, 2.0, 3.0]), derivative=False),
    *(Case("quantile", f64((3, 5)), 0.3, axis=1, method=m) for m in METHODS),
    *(Case("quantile", f64((4, 3)), Q, axis=0, method=m) for m in METHODS),
    *(Case("quantile", i32((7,)), Q, method=m) for m in METHODS),
    Case("quantile", f32((9,)), 0.3),
    Case("quantile", f32((9,)), [0.3]),
    Case("quantile", f32((9,)), f32((2,), 0, 1), derivative=False),
    Case("quantile", f64((9,)), f64((), 0.4, 0.45)),
    Case("quantile", f32((3, 4, 2)), [0.1, 1.0], axis=(0, 2), keepdims=True),
    Case("quantile", NANS, 0.4, axis=1, derivative=False,
         reference=lambda x, q, axis: np.array([np.nan, np.nan, 2.0, 1.6])),
    Case("quantile", f64((6,)), Q, method="inverted_cdf", weights=f64((6,), 0.1, 2), resize=False, derivative=False),
    Case("quantile", f64((3, "n4")), 0.6, axis=1, method="inverted_cdf", weights=f64(("n4",), 0.1, 2),
         derivative=False),
    Case("quantile", f64((2, 4)), [0.0, 0.6], axis=1, method="inverted_cdf", weights=given([0.0, 1.0, 0.0, 2.0]),
         resize=False, derivative=False, batched=False),
    Case("percentile", f64((3, 5)), 30, axis=1),
    Case("percentile", f32((3, 5)), [5, 95.5], axis=0),
    Case("nanquantile", f64((3, 5)), 0.3, axis=1),
    *(Case("nanquantile", given([[1.0, np.nan, 3.0, 0.5], [5.0, 4.0, 1.0, 1.5]]), Q, axis=1, method=m,
           derivative=False) for m in METHODS),
    Case("nanquantile", i32((3, 5)), 0.3, axis=1),
    Case("nanpercentile", f32((3, 5)), [20, 30], axis=0, keepdims=True),
    Case("nanmedian", f64((3, 4)), axis=1),
    Case("nanmedian", given([[1.0, np.nan, 3.0, 0.5], [np.nan, 4.0, 1.0, np.nan]]), axis=0, derivative=False),
]  # fmt: skip
