"""Cases of graphc/array/arithmetic.py, parts.py and closeness.py."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, bools, f32, f64, given, i8, i16, i32, i64, u8, u16, u32, u64
from tests.functions.elementwise import binary, unary

EDGES = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 4.0, -4.0, 1e-310, -5e-324, 1e308, np.inf, -np.inf, np.nan]
PAIRS = [np.ravel(g) for g in np.meshgrid(EDGES, EDGES)]
SMALL = [np.float32(v) for v in (0.0, -0.0, 1.5, -1e-40, 1e-45, 3e38, -np.inf, np.nan)]
SHIFTS = [-2100, -1080, -1074, -1022, -969, -1, 0, 3, 1023, 1024, 2098]


def edges(name: str, tolerance: float = 2) -> list[Case]:
    """Return cases of a function of two floats at zeros, infinities and NaN."""
    return [Case(name, given(PAIRS[0]), given(PAIRS[1]), derivative=False, tolerance=tolerance)]


def whole(name: str) -> list[Case]:
    """Return cases of a function of two integers."""
    return [
        Case(name, i32((3, "n4")), i32(("n4",))),
        Case(name, i64((7,), -90, 90), i64((), 5, 12)),
        Case(name, u8((9,), 0, 200), u8((9,), 1, 60)),
        Case(name, i8((5,), -9, 9), i16((5,), 3, 9)),
        Case(name, given(np.array([-128, -128, 0, 6], np.int8)), given(np.array([6, -128, 0, -128], np.int8))),
    ]


CASES = [
    *binary("fmax", (-2, 0.1), (0.2, 2)),
    *edges("fmax"),
    Case("fmax", i32((4,)), i32((4,))),
    *binary("fmin", (-2, 0.1), (0.2, 2)),
    *edges("fmin"),
    Case("fmin", u8((4,)), u8((4,))),
    *binary("fmod", (0.2, 0.8), (1, 3)),
    Case("fmod", f64((5,), -7.9, -6.1), f64((5,), -3, -2)),
    *edges("fmod"),
    Case("fmod", given([0.0, -0.0, 4.0, -4.0]), 2.0, derivative=False),
    Case("fmod", i32((9,)), i32((9,), 1, 4)),
    Case("fmod", i32((9,)), i32((9,), -4, -1)),
    Case("fmod", u16((9,)), u16((9,), 1, 4)),
    Case("fmod", given([5, -5, 0]), given([0, 0, 0])),
    *binary("divmod", (0.2, 0.8), (1, 3)),
    Case("divmod", i64((9,)), i64((9,), 1, 4)),
    *unary("fabs", 0.1),
    Case("fabs", i8((5,)), reference=lambda x: np.fabs(np.asarray(x, np.float32)), protocol=False),
    *unary("fix", 0.1, reference=lambda x: np.trunc(x), protocol=False),
    *(Case("pow", s(("n9",), -9, 9), s(("n9",), 0, 6)) for s in (i8, i16, i32, i64)),
    *(Case("pow", s(("n9",)), s((), 0, 6)) for s in (u8, u16, u32, u64)),
    Case("pow", i32((3, 1)), np.array([0, 1, 5, 31])),
    Case("pow", i32(()), i8((4,), 0, 9)),
    Case("pow", 3, i64((5,), 0, 9)),
    Case("pow", bools((5,)), bools((5,)), reference=lambda a, b: np.power(a.astype(np.int8), b.astype(np.int8))),
    Case("float_power", f32((4,), 0.5, 3), f32((4,))),
    Case("float_power", i32((4,), 1, 9), -2),
    *binary("heaviside", (0.1, 2), (-1, 1), second=False),
    *edges("heaviside"),
    *binary("logaddexp2"),
    *edges("logaddexp2", 4),
    *unary("deg2rad"),
    *unary("rad2deg"),
    Case("radians", f64((4,))),
    Case("degrees", f64((4,))),
    *whole("gcd"),
    *whole("lcm"),
    Case("lcm", given(np.array([-128, 77, 64, -100], np.int8)), given(np.array([127, -50, -128, 96], np.int8))),
    *(Case("bitwise_count", s((11,), 0, 127)) for s in (i8, i16, i32, i64, u8, u16, u32, u64)),
    Case("bitwise_count", given([-1, -(2**63), 2**63 - 1, 0])),
    Case("bitwise_count", given(np.array([2**64 - 1, 5], np.uint64))),
    # Parts.
    Case("ldexp", f64((5,)), 3),
    Case("ldexp", f32((5,)), i32((5,))),
    Case("ldexp", given(np.repeat([0.7, -1.9, 1e-300, 1e300], len(SHIFTS))), given(np.tile(SHIFTS, 4)), tolerance=0,
         derivative=False),
    Case("ldexp", given(np.array([1.7, 1e-38, 3e38], np.float32)), given([-148, -5, -260]), tolerance=0,
         derivative=False),
    Case("frexp", f64((3, "n4"), 0.6, 0.9)),
    Case("frexp", given(EDGES), tolerance=0, derivative=False),
    Case("frexp", given(SMALL), tolerance=0, derivative=False),
    Case("frexp", given(2.0 ** np.arange(-1074, 1024, 7)), tolerance=0, derivative=False),
    Case("modf", f64((3, "n4"), 0.1, 0.9)),
    Case("modf", given(EDGES), tolerance=0, derivative=False),
    Case("spacing", f64((4,), 0.1, 3), second=False),
    Case("spacing", given(EDGES[2:10]), tolerance=0, derivative=False),
    Case("spacing", f32((4,))),
    Case("nan_to_num", f64((3, 4))),
    Case("nan_to_num", given(EDGES), derivative=False),
    Case("nan_to_num", given(SMALL), nan=7.0, posinf=2.0, neginf=-3.0, derivative=False),
    Case("nan_to_num", i32((3,))),
    Case("real", f64((3,))),
    Case("imag", f64((3,)), second=False),
    Case("conj", f64((3,))),
    Case("angle", f64((5,), 0.1, 3), second=False),
    Case("angle", given([-1.5, 2.0, 3.0]), deg=True, derivative=False),
    Case("isreal", f32((3,))),
    Case("iscomplex", f32((3,))),
    # Closeness.
    *(Case(n, given(EDGES)) for n in ("isposinf", "isneginf")),
    Case("isclose", f64((3, "n4")), f64(("n4",))),
    Case("isclose", given(PAIRS[0]), given(PAIRS[1])),
    Case("isclose", given(PAIRS[0]), given(PAIRS[1]), equal_nan=True),
    Case("isclose", given([1.0, 1.0]), given([1.0 + 1e-9, 1.1]), rtol=0.2, atol=0.0),
    Case("isclose", i32((3,)), i64((3,))),
    Case("isclose", f32((3,)), 0.5),
    Case("allclose", f64(("n4",)), f64(("n4",))),
    Case("allclose", given([1.0, np.nan]), given([1.0, np.nan]), equal_nan=True),
    Case("array_equal", f64(("n4",)), f64(("n4",))),
    Case("array_equal", given([1.0, np.nan]), given([1.0, np.nan]), equal_nan=True),
    Case("array_equal", given([1.0, 2.0]), given([1, 2])),
    Case("array_equal", bools((3,)), f64((3, 1)), batched=False),
    Case("array_equiv", given([1.0, 2.0]), given([[1.0, 2.0], [1.0, 2.0]])),
]  # fmt: skip
