"""The inverses of erf, erfc and the normal distribution function.

With w = -log(1 - x^2) and s = sqrt(w), erfinv(x)/x is a smooth function of w, and erfinv(x)/s one of s (after M. Giles,
Approximating the erfinv function, 2010). The polynomials interpolate these at Chebyshev's points, in 40 digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.gamma import in_float64, log_parts
from graphc.lower.math.terms import (
    DType,
    Term,
    apply_to,
    as_term,
    copysign,
    equal,
    fma,
    polynomial,
    rarely,
    select,
    two_product,
    two_sum,
)

# erfinv(x) / x as a polynomial in w - 25/8 for w <= 25/4, relative error 2^-32.1 and 2^-58.5.
_CENTRE = {
    FLOAT32: (
        1.6536545627504364, 0.2401581823905672, -0.006033671544084242, -0.0007407021824193681, 0.00018673528439758794,
        -1.3883102114674188e-05, -1.366098269991623e-06, 4.2383731574351034e-07, -2.8903761243865016e-08,
        -4.21900210168652e-09, 1.0313216865427852e-09, -3.780363278701018e-11, -1.2396714980402452e-11,
        1.3642498644590784e-12,
    ),
    FLOAT64: (
        1.6536545626831027, 0.2401581824255883, -0.006033670871426909, -0.0007407025341544301, 0.0001867342080200925,
        -1.3882523394637344e-05, -1.3654691764135042e-06, 4.234788178266526e-07, -2.907039074871087e-08,
        -4.112661266924503e-09, 1.051223070748762e-09, -5.4142609576164565e-11, -1.2978692479994892e-11,
        2.6303859148085384e-12, -8.074665167507013e-14, -3.998852309540432e-14, 6.525767922399858e-15,
        -4.417003393665373e-17, -1.226305743260548e-16, 1.5992591736199305e-17, 6.396664855709971e-19,
        -3.7848217521105335e-19, 1.8739434875095462e-20, 4.357475280244854e-21, -3.3795536525485224e-22,
        -1.9123778045391186e-23,
    ),
}  # fmt: skip
_CENTRE_LOW = -2.1639339883896223e-17

# erfinv(x) / s as a polynomial in (s - c) / (s + c). For float32: c = 5 for 2.5 <= s <= 10.3, relative error 2^-31.9.
# For float64: c = 4 for 2.5 <= s <= 6.1 and c = 13 for 6 <= s <= 27.5, relative error 2^-57.9 and 2^-56.9.
_TAIL32 = (
    0.9699812803452833, 0.08063835935607915, -0.08341285256331119, 0.03763678666196678, 0.025559758744108645,
    -0.09500647354062926, 0.15768792933616882, -0.19369610309880655, 0.24578062063716816, -0.5506423015900695,
    -0.052165659103487805, 5.798331755542938, -9.737103679434977, -9.691891717005369, 24.23639245750645,
)  # fmt: skip
_TAIL = (
    0.9599458953390443, 0.09909805909537465, -0.07904039680772336, -0.01021954188729093, 0.11400604587364516,
    -0.2057018103073898, 0.23767925481020227, -0.057480769239001576, -0.8303309082521021, 3.2510256793089796,
    -5.73320559616725, -4.186645290695321, 50.08302115278519, -90.74191424614155, -136.75081432800906,
    795.2952391911618, -324.7504245865239, -4059.5514318901014, 4948.490657838152, 16829.3373863596,
    -24552.85438227592, -61637.32914829449, 57489.47494557967, 145038.28996566797,
)  # fmt: skip
_FAR_TAIL = (
    0.9927551893327723, 0.023090994167319235, -0.03443012227658292, 0.03797898061598591, -0.03767871826647628,
    0.03434608988423153, -0.028833601872045082, 0.02157336204816165, -0.013022404314891513, 0.003505916048377459,
    0.0066383668369189444, -0.01712943120286246, 0.02769532434148514, -0.03821439639961984, 0.048357871844524516,
    -0.056490500015314284, 0.0642155500079183, -0.08353500997055137, 0.09649535169634788, -0.04101265151278038,
    0.025513937471405748, -0.21697464210670217, 0.2488760020253433,
)  # fmt: skip

_TAIL_LOW = {4.0: 4.2319575046860636e-17, 13.0: 8.554253113429415e-18}
"""What the first coefficients lack, by c."""
_ROOT_TWO, _ROOT_TWO_LOW = 1.4142135623730951, -9.667293313452913e-17


def _inverse(x: Term, rest: Term, precision: DType, scale: int = 1) -> Term:
    """Return sqrt(scale) * erfinv(x), with rest = (1 - x)(1 + x) > 0."""
    log, log_low = log_parts(rest, precision)
    first, *others = _CENTRE[precision]
    t = (-log - 3.125) - log_low
    value, value_low = two_sum(first, fma(t, polynomial(t, others), _CENTRE_LOW))
    if scale == 1:
        near = fma(x, value, x * value_low)
    else:
        scaled, scaled_low = two_product(x, _ROOT_TWO)
        near = fma(scaled, value, fma(x, _ROOT_TWO_LOW, scaled_low) * value + scaled * value_low)
    w, w_low = two_sum(-log, -log_low)
    root = apply_to("sqrt", w * float(scale))
    root_low = (fma(-root, root, w * float(scale)) + w_low * float(scale)) * 0.5 / root
    tail = _tail(w, precision)
    far = fma(root, tail, root_low * tail)
    return rarely(w > 6.25, copysign(far, x), near)


def _tail(w: Term, precision: DType) -> Term:
    if precision == FLOAT32:
        return _tail_around(w, 5.0, _TAIL32)
    return rarely(w > 36.5, _tail_around(w, 13.0, _FAR_TAIL), _tail_around(w, 4.0, _TAIL))


def _tail_around(w: Term, centre: float, coefficients: Sequence[float]) -> Term:
    s = apply_to("sqrt", w)
    first, *others = coefficients
    t = (s - centre) / (s + centre)
    return fma(t, polynomial(t, others), _TAIL_LOW.get(centre, 0.0)) + first


@in_float64
def erfinv(x: Term, precision: DType) -> Term:
    result = _inverse(x, (1.0 - x) * (x + 1.0), precision)
    beyond = select(equal(abs(x), 1.0), x * np.inf, as_term(np.nan, x))
    return select(abs(x) < 1.0, result, beyond)


def _complementary(x: Term, q: Term, precision: DType, scale: int = 1) -> Term:
    """Return sqrt(scale) * erfinv(x) for x = 1 - q or q - 1."""
    result = _inverse(x, q * (2.0 - q), precision, scale)
    beyond = select(equal(q, 0.0) | equal(q, 2.0), x * np.inf, np.nan)
    return select((q > 0.0) & (q < 2.0), result, beyond)


@in_float64
def erfcinv(x: Term, precision: DType) -> Term:
    return _complementary(1.0 - x, x, precision)


@in_float64
def ndtri(x: Term, precision: DType) -> Term:
    q = x + x
    return _complementary(q - 1.0, q, precision, 2)
