"""What is left after dividing floats toward zero: C's fmod, exactly."""

from __future__ import annotations

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.terms import Term, apply_to, copysign, fma, format_of, rarely, select, truncated


def fmod(x: Term, y: Term) -> Term:
    """Return x - n y with the sign of x, for the integer n toward zero that makes it less than y.

    A quotient of moderate size is off by at most one, upward, and x - n y is a float. Otherwise the C library divides
    bit by bit: a quotient is rarely that large.
    """
    a, b = abs(x), abs(y)
    quotient = a / b
    rest = fma(-truncated(quotient), b, a)
    rest = select(rest < 0.0, rest + b, rest)
    common = copysign(select(a < b, a, rest), x)
    is_moderate = quotient < 2.0 ** (format_of(x).mantissa - 1)  # neither infinite nor NaN
    exact = apply_to("fmod", x, y) if x.dtype == FLOAT64 else fmod(x.cast(FLOAT64), y.cast(FLOAT64)).cast(FLOAT32)
    return rarely(~is_moderate, exact, common)
