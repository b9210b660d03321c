"""Reading and writing at positions that data give, and index arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.functions.cases import Case, bools, f32, f64, given, i32, i64, u8


def put_along(x: Any, indices: Any, values: Any, axis: int | None = -1) -> Any:
    x = x.copy()
    np.put_along_axis(x, indices, values, axis)
    return x


def dynamic(x: Any, starts: Any, sizes: Any) -> Any:
    return x[tuple([slice(s, s + n) for s, n in zip(np.asarray(starts), sizes, strict=True)])]


def updated(x: Any, update: Any, starts: Any) -> Any:
    x = x.copy()
    x[tuple([slice(s, s + n) for s, n in zip(np.asarray(starts), np.shape(update), strict=True)])] = update
    return x


def first(found: Any, size: int, fill: Any = 0) -> Any:
    """Return the first `size` rows of an array, or it and rows of `fill`."""
    found = found[:size]
    return np.concatenate([found, np.full((size - len(found), *found.shape[1:]), fill, found.dtype)])


def own(function: Any) -> dict[str, Any]:
    """Return what a case takes that NumPy has no such function for."""
    return {"reference": function, "protocol": False}


CASES = [
    Case("take", f64((5, 3)), given([[0, -1], [4, 2]]), axis=0),
    Case("take", f32((5, 3)), given([0, 14, -1], "int32"), resize=False),
    Case("take", f64((3, 4)), given([-9, 1, 17]), axis=1, mode="wrap"),
    Case("take", f64((3, 4)), given([-9, 1, 17]), axis=1, mode="clip"),
    Case("take_along_axis", f64((4, 5)), given([[0, 1, -1]] * 4), axis=1),
    Case("take_along_axis", f64((4, 5)), given([0, 19, -2]), axis=None, resize=False),
    Case("put_along_axis", f64((3, 4)), given([[1, -1], [0, 3], [2, 1]]), f64((3, 2)), axis=1, **own(put_along)),
    Case("put_along_axis", f64((3, 4)), given([1, 7, 7]), f64((3,)), axis=None, **own(put_along)),
    Case("dynamic_slice", f64((6, 4)), [given(2), given(1)], (3, 2), reference=dynamic),
    Case("dynamic_update_slice", f64((6, 4)), f64((3, 2)), [given(2), given(1)], reference=updated),
    Case("choose", given([[0, 2, 1], [1, 1, 0]]), [f64((2, 3)), f64((3,)), f64()]),
    Case("choose", given([-3, 0, 5]), [f64((3,)), f64((3,))], mode="clip"),
    Case("select", [bools((3, "n4")), bools(("n4",))], [f64((3, "n4")), f64(("n4",))], 7.0),
    Case("select", [bools(("n5",))], [i32(("n5",))], 0),
    Case(
        "piecewise", f64((4, "n3"), 0.1, 2), [bools((4, "n3"))], [np.sqrt, 3.0],
        **own(lambda x, c, f: np.where(c[0], np.sqrt(x), 3.0)),
    ),
    Case("compress", [True, False, True], f64((3, 4)), axis=0, resize=False),
    Case("compress", bools(("n6",)), f64(("n6",)), derivative=False, batched=False),
    Case(
        "compress", bools(("n6",)), f64(("n6", 2)), axis=0, size=4,
        **own(lambda c, x, axis, size: first(np.compress(c, x, axis), size)),
    ),
    Case("extract", bools((3, 4)), f64((3, 4)), derivative=False, batched=False),
    Case(
        "extract", bools(("n3", "m4")), f64(("n3", "m4")), size=20, fill_value=1.5,
        **own(lambda c, x, size, fill_value: first(np.extract(c, x), size, fill_value)),
    ),
    Case("nonzero", i64((3, 4), -1, 1), batched=False),
    Case(
        "nonzero", f64((7,)), size=9, fill_value=-1,
        **own(lambda x, size, fill_value: (first(np.nonzero(x)[0], size, -1),)),
    ),
    Case("flatnonzero", bools((3, 4)), batched=False),
    Case("flatnonzero", bools((3, 4)), size=5, **own(lambda x, size: first(np.flatnonzero(x), size))),
    Case("argwhere", bools((3, 4, 2)), batched=False),
    Case("argwhere", bools((3, 4)), size=3, **own(lambda x, size: first(np.argwhere(x), size))),
    Case("repeat", f64((3, 4)), 3, axis=1),
    Case("repeat", f64((3, 4)), [2, 0, 1], axis=0, resize=False),
    Case("repeat", f64((3,)), given([2, 0, 3]), derivative=False, batched=False, protocol=False),
    Case(
        "repeat", f64((3,)), given([2, 0, 3]), total_repeat_length=4,
        **own(lambda x, r, total_repeat_length: np.repeat(x, r)[:4]),
    ),
    Case("append", f64((2, 3)), f64((2,))),
    Case("append", f64((2, "n3")), f64((1, "n3")), axis=0),
    Case("insert", f64((5,)), 2, f64((3,))),
    Case("insert", f64((4, 3)), [0, 2, 2], f64((4, 1)), axis=1, resize=False),
    Case("insert", f64((4, 3)), -1, 2.5, axis=0),
    Case("insert", f64((5,)), given([4, 0, 4]), f64((3,)), resize=False),
    Case("delete", f64((5, 3)), -2, axis=0),
    Case("delete", f64((5, 3)), [0, 2], axis=1),
    Case("delete", f64((6,)), slice(1, 5, 2), symbolic=False),
    Case("delete", f64((6,)), given([0, 4, -2]), derivative=False, batched=False, protocol=False),
    Case("trim_zeros", given([0, 0, 1, 0, 2, 0.0]), derivative=False, batched=False, protocol=False),
    Case("diff", f64((4, 5)), 2, axis=0),
    Case("diff", f64(("n4", 5)), prepend=1.0, append=f64(("n4", 2))),
    Case("diff", bools((6,))),
    Case("ediff1d", f64((2, 3)), to_begin=f64((2,)), to_end=f64()),
    Case("ix_", given([0, 2]), bools((3,)), batched=False, resize=False),
    Case("ix_", i64((3,)), i64((2,))),
    Case("tril_indices", 4, -1),
    Case("tril_indices", 3, 1, 5),
    Case("triu_indices", 4, 1, 3),
    Case("tril_indices_from", f64((4, 3)), symbolic=True, derivative=False, batched=False),
    Case("triu_indices_from", f64((4, 3)), 1, derivative=False, batched=False),
    Case("diag_indices", 3, 3),
    Case("diag_indices_from", f64((3, 3)), symbolic=False),
    Case("unravel_index", given([[0, 5], [23, 7]]), (2, 3, 4)),
    Case("ravel_multi_index", [given([1, 0, 1]), given([2, 0, 1])], (2, 3)),
    Case("ravel_multi_index", [given([-1, 5, 1]), given([2, 4, -3])], (2, 3), mode=("clip", "wrap")),
    Case("bincount", given([1, 3, 1, 0, 6]), batched=False, protocol=False),
    Case("bincount", given([1, 3, 1, 0, 2]), f32((5,)), minlength=9, batched=False, derivative=False, protocol=False),
    Case(
        "bincount", u8((6,), 0, 4), f64((6,)), length=5, resize=False,
        **own(lambda x, w, length: np.bincount(x, w, length)),
    ),
    Case("digitize", f64((3, 4)), f64((1,))),
    Case("digitize", f64((9,)), given([-1.0, 0.0, 0.5, 1.0]), right=True),
    Case("digitize", f32((9,)), given([1.0, 0.5, -1.0], "float32")),
    Case("histogram", f64((20,)), 4, derivative=False),
    Case("histogram", f32((20,)), given([-1.0, 0.0, 0.5, 2.0], "float32")),
    Case("histogram", f64((20,)), 5, range=(-1, 1), weights=f64((20,)), derivative=False),
    Case("histogram", f64((4, 5)), 5, range=(-1, 1), density=True, derivative=False),
    Case("histogram_bin_edges", f64((20,)), 4),
]  # fmt: skip
