"""Cases of graphc/array/logic.py: comparisons, truth values, bits, choice."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, Input, bools, f32, f64, given, i8, i16, i32, i64, u8, u32, u64

COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
SIGNED = given([-(2**63), -1, 0, 2**53, 2**53 + 1, 2**63 - 1, 5])
UNSIGNED = given(np.array([2**63, 2**64 - 1, 0, 2**53 + 1, 2**53 + 1, 2**63 - 1, 6], np.uint64))
SPECIAL = given([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -2.5], np.float64)
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")


def mixed(name: str) -> list[Case]:
    """Return cases of a function of two numbers of any dtype."""
    return [
        Case(name, f64((3, "n5")), f64((3, "n5"))),
        Case(name, f32((2, 1, "n4")), i32((3, "n4"))),
        Case(name, i8("n9", -3, 3), u8("n9", 0, 3)),
        Case(name, bools("n9"), bools("n9")),
        Case(name, i64((4, 2), -3, 3), 1),
        Case(name, 0.5, f32((4, 2))),
        Case(name, SPECIAL, SPECIAL),
        Case(name, f64(()), f64(())),
        Case(name, f64((0, 2)), f64((1, 2))),
    ]


def bits(name: str) -> list[Case]:
    pairs = ((i8, i8), (u8, i16), (i64, i32), (u32, u32), (u64, u64))
    return [
        *[Case(name, a(("n3", 4), 0, 99), b(("n3", 4), 0, 7)) for a, b in pairs],
        Case(name, i32((2, 1, "n4"), -99, 99), i32((3, "n4"), 0, 7)),
        Case(name, i16("n9", -999, 999), 3),
        Case(name, 5, u8("n9", 0, 7)),
    ]


CHOICE: list[tuple[Input, object, object]] = [
    (bools((3, "n5")), f64((3, "n5")), f64((3, "n5"))),
    (bools("n5"), f64((3, "n5")), f64((2, 1, 1))),
    (bools((3, 1)), f32((3, "n4")), i32("n4")),
    (i32("n5", 0, 1), f64("n5"), 0),
    (bools("n5"), 1.5, f32("n5")),
    (bools("n5"), i8("n5"), u8("n5")),
    (bools(()), f64("n5"), f64("n5")),
]

CASES = [
    *[case for name in COMPARISONS for case in mixed(name)],
    *[Case(name, a, b) for name in COMPARISONS for a, b in ((SIGNED, UNSIGNED), (UNSIGNED, SIGNED), (i8(7), UNSIGNED),
                                                            (SIGNED, 2**70), (-(2**63) - 1, SIGNED), (u8(7), 256))],
    *[case for name in ("logical_and", "logical_or", "logical_xor") for case in mixed(name)],
    *[Case(name, x) for name in ("isnan", "isinf", "isfinite", "signbit")
      for x in (SPECIAL, f32((3, 4)), f64(()), f32((0, 2)))],
    *[Case(name, i32((3, 4))) for name in ("isnan", "isinf", "isfinite")],
    *[Case("logical_not", x) for x in (bools((3, 4)), f64((3, 4)), i32((3, 4), -1, 1), SPECIAL)],
    *[case for name in (*BITS, "bitwise_left_shift", "bitwise_right_shift") for case in bits(name)],
    *[Case(name, bools("n9"), bools("n9")) for name in BITS],
    *[Case(name, x((3, 4))) for name in ("bitwise_invert", "bitwise_not", "invert") for x in (i8, u32, i64, bools)],
    *[Case(name, given([1, -1, 5, -7] * 3, np.int32), given([0, 31, 32, 40, 5, 6, 100, 31, 32, 33, 63, 64], np.int32))
      for name in ("left_shift", "right_shift")],
    *[Case("where", *args) for args in CHOICE],
]  # fmt: skip
