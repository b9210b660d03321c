"""Cases of gx.special, and of its names at the top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from tests.functions.cases import Case, f32, f64, given, i32
from tests.functions.elementwise import binary, unary


def typed(reference: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of SciPy with results of the dtype that its arguments have together as floats."""
    return lambda *args: np.asarray(reference(*args)).astype(np.result_type(*args, np.float16))


WHOLE = np.arange(18.0)


def narrow(function: Any) -> Any:
    """Return a function that computes in float64 and rounds once."""
    return lambda *args: np.float32(function(*[np.asarray(a, np.float64) for a in args]))


def exact_sinc(x: Any) -> Any:
    """NumPy's sinc is not 0 at integers, and np.sinc of Tensors is of another kind."""
    return np.where((x == np.rint(x)) & (x != 0), 0, np.sinc(x)).astype(np.result_type(x, np.float16))


NORMAL = [
    *unary("erfinv", -0.95, 0.95, sp.erfinv),
    *unary("special.erfcinv", 0.05, 1.9, sp.erfcinv),
    *unary("special.ndtr", reference=sp.ndtr),
    *unary("log_ndtr", -9, 5, sp.log_ndtr),
    *unary("special.ndtri", 0.02, 0.98, sp.ndtri),
    Case(
        "special.ndtr", given([-np.inf, -40.0, -38.0, 0.0, 40.0, np.inf, np.nan]), reference=sp.ndtr, derivative=False
    ),
    Case("log_ndtr", given([-np.inf, -1e6, -38.0, 0.0, 40.0, np.inf]), reference=sp.log_ndtr, derivative=False),
    Case("erfinv", given([-1.0, -0.0, 0.0, 1e-300, 1.0, 1.5, np.nan]), reference=sp.erfinv, derivative=False),
    Case("special.erfcinv", given([0.0, 1e-300, 1.0, 2.0, -0.1, 2.5]), reference=sp.erfcinv, derivative=False),
    Case("special.ndtri", given([0.0, 1e-300, 0.5, 1.0, -0.1, 1.5]), reference=sp.ndtri, derivative=False),
]

GAMMA = [
    *unary("lgamma", 0.3, 5, sp.gammaln),
    *unary("special.gammaln", -3.9, -3.1, sp.gammaln),
    *unary("digamma", 0.3, 5, sp.digamma),
    *unary("special.psi", -2.8, -2.2, sp.digamma),
    *unary("special.trigamma", 0.4, 5, typed(lambda x: sp.polygamma(1, x)), smoothness=1e-5),
    *unary("special.gamma", 0.4, 5, sp.gamma),
    *unary("special.gamma", -2.8, -2.2, sp.gamma),
    Case("special.gamma", given(WHOLE + 1), reference=sp.gamma, derivative=False, tolerance=0),
    Case("special.gamma", given(np.float32(WHOLE + 1)), reference=narrow(sp.gamma), derivative=False, tolerance=0),
    Case("special.gamma", given([0.0, -0.0, -1.0, np.inf]), reference=sp.gamma, derivative=False),
    Case("special.gamma", f64((20,), 10.1, 171), reference=sp.gamma, tolerance=64),
    *unary("special.factorial", 0.1, 6, typed(sp.factorial)),
    Case("special.factorial", given(WHOLE), reference=sp.factorial, derivative=False, tolerance=0),
    Case("special.factorial", given(np.float32(WHOLE)), reference=narrow(sp.factorial), derivative=False, tolerance=0),
    *[
        Case("special.polygamma", n, f64((9,), low, high), reference=typed(sp.polygamma), smoothness=1e-5)
        for n in (0, 1, 2, 3, 6)
        for low, high in ((0.6, 5), (-2.8, -2.2))
    ],
    Case(
        "special.gammasgn",
        given([-3.5, -2.5, -2.0, 0.0, -0.0, 2.5, np.inf, np.nan]),
        reference=sp.gammasgn,
        derivative=False,
    ),
    Case("lgamma", given([-3.0, 0.0, 1.0, 2.0, 1e306, np.inf, np.nan]), reference=sp.gammaln, derivative=False),
    Case("digamma", given([-3.0, -0.0, 0.0, 1e-300, 1e300, np.inf, np.nan]), reference=sp.digamma, derivative=False),
    *binary("special.betaln", (0.3, 40), (0.4, 60), reference=typed(sp.betaln), second=False),  # it takes long
    Case("special.betaln", f64((2, 3), 0.3, 40), f64((2, 3), 0.4, 60), reference=typed(sp.betaln)),
    *binary("special.beta", (0.3, 4), (0.4, 4), reference=typed(sp.beta), second=False),  # it takes long
    Case("special.beta", f64((2, 3), 0.3, 4), f64((2, 3), 0.4, 4), reference=typed(sp.beta)),
    *binary("special.comb", (5.1, 9), (0.2, 4.9), reference=typed(sp.comb), second=False),  # it takes long
    Case("special.comb", f64((2, 3), 5.1, 9), f64((2, 3), 0.2, 4.9), reference=typed(sp.comb)),
    Case("special.comb", i32((7,), 0, 9), i32((7,), 0, 9), reference=typed(sp.comb)),
    Case("special.comb", given(WHOLE + 10), 9.0, reference=sp.comb, derivative=False, tolerance=0),
    Case("special.comb", given(np.float32(WHOLE + 10)), 9.0, reference=narrow(sp.comb), derivative=False, tolerance=0),
]

INFORMATION = [
    *binary("xlogy", (0.1, 3), (0.1, 3), reference=typed(sp.xlogy)),
    *binary("special.xlog1py", (-2, 2), (-0.9, 3), reference=typed(sp.xlog1py)),
    *binary("special.rel_entr", (0.1, 3), (0.1, 3), reference=typed(sp.rel_entr)),
    *binary("special.kl_div", (0.1, 3), (0.1, 3), reference=typed(sp.kl_div)),
    *unary("special.entr", 0.1, 3, sp.entr),
    Case(
        "xlogy",
        given([0.0, 0.0, 0.0, 0.0, 1.0]),
        given([0.0, np.inf, -1.0, np.nan, 0.0]),
        reference=sp.xlogy,
        derivative=False,
    ),
    Case(
        "special.xlog1py",
        given([0.0, 0.0, 0.0, 1.0]),
        given([-1.0, np.inf, np.nan, -1.0]),
        reference=sp.xlog1py,
        derivative=False,
    ),
    Case(
        "special.rel_entr",
        given([0.0, 0.0, 1.0, -1.0, np.nan, 1e300]),
        given([0.0, 2.0, 0.0, 1.0, 1.0, 1e-300]),
        reference=sp.rel_entr,
        derivative=False,
    ),
    Case("special.entr", given([0.0, -1.0, np.nan]), reference=sp.entr, derivative=False),
]

LOGISTIC = [
    *unary("logit", 0.02, 0.98, sp.logit),
    *unary("special.log_expit", -9, 9, sp.log_expit),
    *unary("special.expit", -9, 9, sp.expit),
    *unary("sinc", -3, 3, exact_sinc),
    Case("sinc", given([0.0, 1.0, -2.0, 1e-9, 0.5]), reference=exact_sinc, smoothness=1e-5),
    Case("logit", given([0.0, 1.0, 0.5, -0.1, 1.1, np.nan]), reference=sp.logit, derivative=False),
]

SHARED = [
    *unary("special.erf", reference=sp.erf),
    *unary("special.erfc", reference=sp.erfc),
    *unary("special.erfcx", reference=sp.erfcx),
    Case("special.logsumexp", f64((3, 4)), axis=1, reference=sp.logsumexp),
    Case("special.softmax", f64((3, 4)), axis=1, reference=sp.softmax),
    Case("special.softmax", f64((3, 4)), reference=sp.softmax),
    Case("special.log_softmax", f64((3, 4)), reference=sp.log_softmax),
    Case("special.log_softmax", f32((3, 4)), axis=1, reference=sp.log_softmax),
]


def slope_in_a(a: Any, x: Any) -> Any:
    """The derivative of gammainc in a, by differences of high order."""
    a, x = np.asarray(a, np.float64), np.asarray(x, np.float64)
    h = 0.01 * np.minimum(a, 1)
    values = [sp.gammainc(a + k * h, x) for k in range(-4, 5)]
    weights = (1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280)
    return sum(w * v for w, v in zip(weights, values, strict=True)) / h


def slope_of_sample(a: Any, x: Any) -> Any:
    return -slope_in_a(a, x) / np.exp((a - 1) * np.log(x) - x - sp.gammaln(a))


INCOMPLETE = [
    *binary("special.gammainc", (0.3, 6), (0.3, 7), reference=typed(sp.gammainc), tolerance=1024, second=False),
    *binary("special.gammaincc", (0.3, 6), (0.3, 7), reference=typed(sp.gammaincc), tolerance=1024, second=False),
    Case("special.gammainc", f64((2, 3), 0.3, 6), f64((2, 3), 0.3, 7), reference=sp.gammainc, tolerance=1024),
    Case("special.gammaincc", f64((2, 3), 0.3, 6), f64((2, 3), 0.3, 7), reference=sp.gammaincc, tolerance=1024),
    Case("special.gammainc_der_a", f64((9,), 0.3, 5), f64((9,), 0.3, 6), reference=slope_in_a, tolerance=1e5),
    Case("special.random_gamma_grad", f64((9,), 0.3, 5), f64((9,), 0.3, 6), reference=slope_of_sample, tolerance=1e6),
    Case(
        "special.gammainc",
        given([0.0, 1.0, 1.0, 0.0, np.inf, 1e6, 1e10, -1.0]),
        given([1.0, 0.0, np.inf, 0.0, 1.0, 1e6, 1.00001e10, 1.0]),
        reference=sp.gammainc,
        derivative=False,
        tolerance=1e6,
    ),
    Case(
        "special.gammaincc",
        given([1e-3, 1e-8, 50.0, 2.0, 0.1]),
        given([1e-3, 0.1, 300.0, 1e-5, 0.24]),
        reference=sp.gammaincc,
        derivative=False,
        tolerance=1e4,
    ),
]

CASES = [*INCOMPLETE, *NORMAL, *GAMMA, *INFORMATION, *LOGISTIC, *SHARED]
