"""Cases of graphc/array/elementwise.py: arithmetic, rounding, exponentials, logarithms, angles, error functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from tests.functions.cases import Case, bools, f32, f64, given, i8, i32, i64, u8, u16

Reference = Callable[..., Any]


def unary(
    name: str, low: float = -2, high: float = 2, reference: Reference | None = None, **options: Any
) -> list[Case]:
    """Return cases of a function of floats: both dtypes, an integer that becomes a float, rank 0, no element."""
    options = {"reference": reference, **options}
    return [
        Case(name, f64((3, 5), low, high), **options),
        Case(name, f32((33,), low, high), **options),
        Case(name, i32((4,), max(low, -3), high), **options),
        Case(name, f64((), low, high), **options),
        Case(name, f32((0, 3), low, high), **{**options, "derivative": False}),
    ]


def binary(name: str, *ranges: tuple[float, float], reference: Reference | None = None, **options: Any) -> list[Case]:
    """Return cases of a function of two floats: alike, broadcasting, beside an int array and beside numbers."""
    (a, b), (c, d) = (ranges * 2)[:2] if ranges else ((-2, 2), (-2, 2))
    options = {"reference": reference, **options}
    return [
        Case(name, f64((3, "n5"), a, b), f64((3, "n5"), c, d), **options),
        Case(name, f64((2, 1, "n4"), a, b), f64((3, "n4"), c, d), **options),
        Case(name, f32(("n33",), a, b), f32(("n33",), c, d), **options),
        Case(name, f32((4,), a, b), f64((), c, d), **options),
        Case(name, f32((4,), a, b), (c + d) / 2 + 0.25, **options),
        Case(name, (a + b) / 2 + 0.25, f32((2, 3), c, d), **options),
        Case(name, i32(("n3",), max(a, 0) + 1, b + 1), f32(("n3",), c, d), **options),
    ]


ARITHMETIC = [
    *unary("negative"),
    *unary("positive"),
    *unary("abs", 0.1),
    *unary("absolute", -3, -0.1),
    *unary("square"),
    Case("square", bools((5,))),
    *unary("reciprocal", 0.5, 3, reference=lambda x: np.reciprocal(np.asarray(x, np.result_type(x, np.float16)))),
    *unary("sign", 0.1),
    *binary("add"),
    *binary("subtract"),
    *binary("multiply"),
    *binary("divide", (-2, 2), (0.5, 3)),
    *(Case("divide", u8((5,), 0, 200), n) for n in (256, -3, 2**70)),
    Case("divide", 2**40, i8((5,), 1, 9)),
    *binary("pow", (0.3, 3), (-2, 2)),
    *binary("floor_divide", (0.2, 0.8), (1, 3)),
    *binary("remainder", (0.2, 0.8), (1, 3)),
    *binary("maximum", (-2, 0.1), (0.2, 2)),
    *binary("minimum", (-2, 0.1), (0.2, 2)),
    *binary("copysign", (0.1, 2), (0.1, 2)),
    *binary("nextafter", derivative=False, tolerance=0),
    *binary("hypot", (0.1, 2), (0.1, 2)),
    *[Case(name, x("n7"), y("n7")) for name in ("add", "multiply", "maximum", "minimum")
      for x, y in ((i8, u8), (u16, i64), (i32, bools), (bools, bools))],
    *[Case(name, i8("n7", -99, 99), i8("n7", 1, 9)) for name in ("subtract", "divide", "floor_divide", "remainder")],
    Case("floor_divide", f64("n9", -9, 9), f64("n9", 1, 2), derivative=False),
    Case("remainder", f64("n9", -9, 9), f64("n9", 1, 2), derivative=False),
    Case("pow", f64((3, 2)), 3),
    Case("pow", f64((3, 2)), 2.0),
    Case("clip", f64((3, 5)), -1.5, 1.5, derivative=False),
    Case("clip", f64((3, 5), -1, 1), -1.5, 1.5),
    Case("clip", f32("n7", -1, 1), f32("n7", -4, -3), None),
    Case("clip", f32("n7"), None, f32("n7", -4, -3)),
    Case("clip", i32((4, 2)), 0, 5),
]  # fmt: skip

ROUNDING = [
    *[case for name in ("floor", "ceil", "trunc") for case in unary(name, -9.3, 9.4, derivative=False)],
    *unary("floor", 0.1, 0.9),
    *unary("ceil", 0.1, 0.9),
    *unary("trunc", 0.1, 0.9),
    *unary("round", 0.1, 0.4),
    *unary("rint", -9.3, 9.4, derivative=False, reference=lambda x: np.rint(x)),
    Case("round", f64((3, 5)), 2, derivative=False),
    Case("round", f32((3, 5), -400, 400), decimals=-1, derivative=False),
    *[
        Case("round", x, decimals=d)
        for x in (i32((9,), -400, 400), i8((9,), -99, 99), u8((9,), 0, 240))
        for d in (-1, -2, 1)
    ],
    Case("round", given([25, 35, -25, -35, 15, 5, -5], np.int64), -1),
    Case("astype", f64((3, 4), -99, 99), "int16", reference=lambda x, d: x.astype(d), derivative=False),
    Case("astype", i64((3, 4)), "float32", reference=lambda x, d: x.astype(d)),
    Case("astype", f32((3, 4)), "float64", reference=lambda x, d: x.astype(d)),
    Case("astype", f32((3, 4)), "bool", reference=lambda x, d: x.astype(d)),
]

EXPONENTIALS = [
    *unary("sqrt", 0.1, 4),
    *unary("cbrt", 0.1, 4),
    *unary("exp"),
    *unary("exp2"),
    *unary("expm1"),
    *unary("log", 0.1, 4),
    *unary("log1p", -0.8, 4),
    *unary("log2", 0.1, 4),
    *unary("log10", 0.1, 4),
    *binary("logaddexp"),
    *unary("sigmoid", reference=scipy.special.expit),
    *unary("expit", reference=scipy.special.expit),
    *unary("softplus", reference=lambda x: np.logaddexp(x, np.zeros_like(x))),
    *unary("erf", reference=scipy.special.erf),
    *unary("erfc", reference=scipy.special.erfc),
    *unary("erfcx", reference=scipy.special.erfcx),
]

ANGLES = [
    *unary("sin"),
    *unary("cos"),
    *unary("tan", -1.3, 1.3),
    *unary("asin", -0.9, 0.9),
    *unary("acos", -0.9, 0.9),
    *unary("atan"),
    *unary("sinh"),
    *unary("cosh"),
    *unary("tanh"),
    *unary("asinh"),
    *unary("acosh", 1.2, 4),
    *unary("atanh", -0.9, 0.9),
    *binary("atan2", (0.5, 2), (-2, 2)),
]

ALIASES = [
    *[Case(name, f64((2, 3), -0.9, 0.9)) for name in ("arcsin", "arccos", "arctan", "arcsinh", "arctanh")],
    Case("arccosh", f64((2, 3), 1.2, 4)),
    Case("arctan2", f64("n3"), f64("n3")),
    Case("true_divide", f64("n3"), f64("n3", 1, 2)),
    Case("power", f64("n3", 1, 2), f64("n3")),
    Case("mod", f64("n3", 0.2, 0.8), f64("n3", 1, 2)),
    Case("around", f64((2, 3), 0.1, 0.4)),
    Case("stop_gradient", f64((2, 3)), reference=lambda x: x, derivative=False, tolerance=0),
]

CASES = [*ARITHMETIC, *ROUNDING, *EXPONENTIALS, *ANGLES, *ALIASES]
