"""Cases of graphc/array/calculus.py and polynomials.py."""

from __future__ import annotations

import numpy as np

from tests.functions.cases import Case, f32, f64, given, i32

PLACES = np.array([0.0, 0.5, 1.5, 2.0, 4.0])
STEEP = given([0.0, 3.0, 7.0, 7.5, 1.0, -6.0])

CASES = [
    Case("trapezoid", f64((5,))),
    Case("trapezoid", f64((5, 3)), axis=0, dx=0.5),
    Case("trapezoid", f64((3, "n5")), f64(("n5",))),
    Case("trapezoid", f64(("m3", "n5")), f64(("m3", "n5"))),
    Case("trapezoid", i32((4,))),
    Case("gradient", f64((5,))),
    Case("gradient", f32((3, 4))),
    Case("gradient", f64((3, 4)), 0.5, axis=1),
    Case("gradient", f64((3, 4)), 0.5, 2.0, edge_order=2),
    Case("gradient", f64((3, "n5")), f64(("n5",), 0.1, 4), axis=1, derivative=False, tolerance=1e4),
    Case("gradient", f64((5, 3)), PLACES, axis=0, edge_order=2, resize=False),
    Case("gradient", f64((5, 3)), PLACES, 2.0, resize=False),
    Case("gradient", i32((4,)), axis=0),
    Case("interp", f64((7,), -1, 5), PLACES, f64((5,)), resize=False, second=False),
    Case("interp", given([-1.0, 0.0, 0.5, 1.7, 4.0, 9.0, np.nan]), PLACES, f64((5,)), resize=False, derivative=False),
    Case("interp", f64((3, 2), -1, 5), PLACES, f64((5,)), -7.0, right=8.0, resize=False, second=False),
    Case("interp", f64((3, 2), -9, 9), given([3.0, -1.5, 0.25]), f64((3,)), period=5, resize=False, second=False),
    Case("interp", f32((4,)), [1.0], [2.0], derivative=False),
    Case("interp", 1.25, [1.0, 2.0], f64((2,)), resize=False, batched=False),
    Case("unwrap", f64((3, 5))),
    Case("unwrap", STEEP),
    Case("unwrap", STEEP, discont=6.0),
    Case("unwrap", f32((5, 2), -9, 9), axis=0, derivative=False),
    Case("unwrap", given([0, 1, 3, -1, 5, 2]), period=4),
    Case("unwrap", given([0, 1, 3, -1, 5, 2]), period=5),
    *(Case("convolve", f64((7,)), f64((3,)), mode) for mode in ("full", "same", "valid")),
    *(Case("convolve", f64((3,)), f64((4,)), mode=mode) for mode in ("full", "same", "valid")),
    Case("convolve", i32((5,)), i32((2,))),
    Case("convolve", f32((40,)), [1.0, 2.0, 1.0], "same"),
    *(Case("correlate", f64((7,)), f64((4,)), mode, symbolic=mode == "full" or "valid") for mode in ("full", "valid")),
    *(Case("correlate", f64((n,)), f64((m,)), "same", symbolic=False) for n, m in ((7, 4), (7, 3), (3, 6), (4, 5))),
    *(Case("correlate", f64((n,)), f64((m,)), "valid") for n, m in ((3, 6), (4, 4))),
    Case("correlate", i32((5,)), i32((2,))),
    Case("polyval", [2.0, 0.0, -1.5], f64((3, 4))),
    Case("polyval", f64((3,)), f64((5,)), symbolic=False),
    Case("polyval", f32(()), f32((5,)), reference=lambda p, x: np.polyval([p], x).astype(np.float32), protocol=False),
    Case("polyadd", f64((3,)), f64((2,))),
    Case("polysub", f64((2,)), f64((3,))),
    Case("polymul", f64((3,)), f64((2,))),
    Case("polyder", f64((4,))),
    Case("polyder", f64((4,)), 2),
    Case("polyint", f64((4,))),
    Case("polyint", f64((4,)), 2, [1.0, -3.0]),
]
