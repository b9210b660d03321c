"""Cases of graphc/array/statistics.py and nans.py."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, f32, f64, given, i8, i32
from tests.functions.reduce import silent

NANS = given([[1.0, np.nan, 3.0, 0.5], [np.nan, 4.0, 1.0, np.nan], [np.inf, 2.0, np.nan, -1.0]])
NONE = given([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])


def past_nan(name: str) -> list[Case]:
    """Return cases of a reduction that passes over NaN."""
    reference = silent(getattr(np, name))
    return [
        Case(name, f64((3, 4)), axis=1, reference=reference),
        Case(name, f32((3, 4)), reference=reference),
        Case(name, i8((3, 4)), axis=0, reference=reference),
        Case(name, NANS, axis=1, reference=reference, derivative=False),
    ]


def vector_norm(x, ord=None, axis=None, keepdims=False):
    values = np.asarray(x, np.result_type(x, np.float32) if np.asarray(x).dtype.kind == "f" else np.float64)
    if axis is None and not keepdims:
        return np.linalg.norm(values.ravel(), ord)
    return np.linalg.norm(values, ord, axis, keepdims)


NORMS = [
    Case("norm", f64((3, 4)), reference=vector_norm),
    Case("norm", f32((3, 4)), axis=1, keepdims=True, reference=vector_norm),
    *[Case("norm", f64((3, 5), 0.2, 2), ord, axis=0, reference=vector_norm) for ord in (1, 2, 3, 2.5, -1, -2.0)],
    *[Case("norm", f64((3, 5)), ord, axis=0, second=False, reference=vector_norm) for ord in (np.inf, -np.inf)],
    Case("norm", given([0.0, 1.0, 0.0, -2.0]), 0, derivative=False, reference=vector_norm),
    Case("norm", i32((7,)), reference=vector_norm),
]

CASES = [
    *NORMS,
    Case("ptp", f64((3, 4))),
    Case("ptp", f32((3, 4, 2)), axis=(0, 2), keepdims=True),
    Case("ptp", i32((3, 4)), axis=1),
    Case("average", f64((3, 4))),
    Case("average", i32((3, 4)), axis=0),
    Case("average", f64((3, "n4")), axis=1, weights=f64(("n4",), 0.1, 2)),
    Case("average", f64(("m3", "n4")), weights=f64(("m3", "n4"), 0.1, 2)),
    Case("average", f32(("m3", "n4", 2)), axis=(1, 0), weights=f32(("n4", "m3"), 0.1, 2), keepdims=True),
    Case("average", i8((3, "n4")), axis=1, weights=i32(("n4",), 1, 5), returned=True),
    Case("average", f64((3, 4)), axis=1, returned=True),
    Case("cov", f64((3, 5))),
    Case("cov", f64((3, 5)), rowvar=False, ddof=0),
    Case("cov", f32((5,))),
    Case("cov", i32((2, 5)), bias=True),
    Case("cov", f64((2, "n5")), f64((3, "n5"))),
    Case("cov", f64((2, "n5")), fweights=i32(("n5",), 1, 4)),
    Case("cov", f64((2, "n5")), aweights=f64(("n5",), 0.1, 2)),
    Case("cov", f64((2, "n5")), fweights=i32(("n5",), 1, 4), aweights=f64(("n5",), 0.1, 2), ddof=2),
    Case("cov", f64((2, 5)), dtype="float32", tolerance=64, smoothness=1, derivative=False),
    Case("corrcoef", f64((3, 5)), smoothness=1e-5, second=False),
    Case("corrcoef", f64((2, "n5")), f64(("n5",)), smoothness=1e-5, second=False),
    Case("corrcoef", f64((5,)), derivative=False),
    *past_nan("nansum"),
    *past_nan("nanprod"),
    *past_nan("nancumsum"),
    *past_nan("nancumprod"),
    *past_nan("nanmax"),
    *past_nan("nanmin"),
    *past_nan("nanmean"),
    *past_nan("nanvar"),
    *past_nan("nanstd"),
    *past_nan("nanargmax"),
    *past_nan("nanargmin"),
    *(Case(n, NONE, axis=1, reference=silent(getattr(np, n)), derivative=False)
      for n in ("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd")),
    *(Case(n, NONE, axis=1, ddof=1, reference=silent(getattr(np, n)), derivative=False) for n in ("nanvar", "nanstd")),
    *(Case(n, f64((3, 4)), axis=(0, 1), keepdims=True) for n in ("nansum", "nanmax", "nanmean", "nanvar")),
]  # fmt: skip
