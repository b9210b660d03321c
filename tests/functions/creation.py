"""Cases of graphc/array/creation.py: arrays from shapes and numbers."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, bools, f32, f64, given, i8, i64

CASES = [
    *(Case(n, (2, 3)) for n in ("zeros", "ones")),
    *(Case(n, 4, "int8") for n in ("zeros", "ones")),
    *(Case(n, (), dtype="bool") for n in ("zeros", "ones")),
    *(Case(n, (2, 3), dtype="float32", values=False) for n in ("zeros", "empty")),
    *(Case(n, f32((2, 3)), second=False) for n in ("zeros_like", "ones_like")),
    *(Case(n, f64((2, 3)), "int16") for n in ("zeros_like", "ones_like")),
    *(Case(n, i8((2, 3)), shape=(4,), dtype="float32") for n in ("zeros_like", "ones_like")),
    Case("empty_like", f32((2, 3)), values=False, derivative=False),
    Case("full", (2, 3), 1.5),
    Case("full", (2, 3), 7, dtype="uint8"),
    Case("full", (2, 3), f64((3,)), resize=False, protocol=False),
    Case("full", 3, True),
    Case("full_like", f32((2, 3)), 2, second=False),
    Case("full_like", i8((2, 3)), 2.5, dtype="float64"),
    Case("full_like", bools((2, "n3")), f64(("n3",)), dtype="float64"),
    Case("arange", 5),
    Case("arange", 2, 9, 3),
    Case("arange", 1.0, -1.0, -0.25, dtype="float32"),
    Case("arange", 3, 3),
    Case("meshgrid", f64((3,)), f32((4,))),
    Case("meshgrid", f64((3,)), i8((4,)), f64((2,)), indexing="ij"),
    Case("meshgrid", f64((3,)), f64((4,)), sparse=True),
    Case("asarray", [[1, 2], [3, 4]]),
    Case("asarray", [1.0, 2], dtype="float32"),
    Case("constant", given([1.0, 2.0]).values, reference=np.asarray),
    Case("one_hot", i64((3, 2), 0, 4), 5, reference=lambda x, n: np.eye(n, dtype=np.float32)[x]),
    Case("one_hot", i64((3,), 0, 4), 5, dtype="bool", axis=0, reference=lambda x, n, dtype, axis: np.eye(5)[x].T > 0),
]
