"""Order: sorting, the first few, where values belong."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.functions.cases import Case, bools, f32, f64, given, i32, i64

TIES = given([2.0, np.nan, -1.0, 2.0, -0.0, 0.0, np.inf, np.nan, -1.0])


def top(x: Any, k: int, axis: int = -1) -> Any:
    """Return the largest and where they are, of elements that all differ."""
    places = np.flip(np.argsort(x, axis), axis).take(range(k), axis)
    return np.take_along_axis(x, places, axis), places


CASES = [
    Case("sort", f64((3, 7))),
    Case("sort", f32((40, 3)), axis=0),
    Case("sort", i32((4, 5)), axis=None),
    Case("sort", bools((9,))),
    Case("sort", TIES, derivative=False),
    Case("sort", f64((3, 7)), descending=True, reference=lambda x, descending: np.sort(x)[:, ::-1], protocol=False),
    Case("argsort", f64((3, 7))),
    Case("argsort", TIES, stable=True),
    Case("argsort", i64((4, 5)), axis=0, stable=True),
    Case("topk", f64((3, 9)), 4, reference=top),
    Case("topk", f32((9, 2)), 2, axis=0, reference=top),
    Case("searchsorted", given([-1.0, 0.0, 0.0, 1.0]), f64((3, 4))),
    Case("searchsorted", given([-1.0, 0.0, 0.0, 1.0]), given([0.0, -1.0, 5.0]), side="right"),
    Case("searchsorted", given([3.0, 1.0, 2.0]), f64((5,)), sorter=given([1, 2, 0])),
    Case("lexsort", [i64(("n9",), -1, 1), i64(("n9",), -1, 1)], protocol=False),
    Case("lexsort", [f64(("n3", "m4")), bools(("n3", "m4"))], axis=0, protocol=False),
    Case("partition", f64((3, 7)), 2, reference=lambda x, kth: np.sort(x), protocol=False),
    Case("argpartition", f64((3, 7)), 2, reference=lambda x, kth: np.argsort(x), protocol=False),
]  # fmt: skip
