"""Scalar functions as loop IR: range reduction, a polynomial, and the special values of C99 Annex F.

Where a function has several pieces, all are computed and one is selected, so that a VECTOR loop stays a vector loop;
only what is rarely needed stands behind a branch, which as a rule no lane takes. Formulas rely on the loop IR never
contracting or reassociating float operations.

docs/accuracy.md has the largest errors that scripts/accuracy found: at most 1.5 units in the last place in float32 and
2 in float64.

sin, cos and tan subtract multiples of pi/2 from moderate arguments. Those of 2^20 and more are reduced by the method of
Payne and Hanek: the bits of 2/pi that matter are selected and multiplied as integers, so that they are as exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from graphc.ir.loops import Function, Var
from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.error import erfc, erfcx, hypot, log_ndtr, ndtr
from graphc.lower.math.exponential import erf, exp, exp2, expm1, sigmoid, tanh
from graphc.lower.math.gamma import digamma, hurwitz_zeta, lgamma, sinc, trigamma
from graphc.lower.math.hyperbolic import acosh, asinh, atanh, cosh, sinh
from graphc.lower.math.incomplete import gamma_tail, gammainc, gammaincc
from graphc.lower.math.inverse import acos, asin, atan, atan2
from graphc.lower.math.inverse_error import erfcinv, erfinv, ndtri
from graphc.lower.math.logarithm import log, log1p, log2, log10, softplus
from graphc.lower.math.normal import normal_quantile
from graphc.lower.math.power import cbrt, nextafter, pow
from graphc.lower.math.terms import DType, Term
from graphc.lower.math.trigonometric import cos, sin, tan
from graphc.ops.special.gamma import MOST_POWER
from graphc.ops.special.incomplete import MOST_ORDER


def _function(name: str, definition: Callable[..., Term], params: str, dtype: DType) -> Function:
    variables = tuple(Var(letter, dtype) for letter in params)
    return Function(name, variables, definition(*(Term(v) for v in variables)).expr)


BINARY = ("pow", "hypot", "atan2", "nextafter", "gammainc", "gammaincc")
"""Functions of two variables."""

_DEFINITIONS: dict[str, Callable[..., Term]] = {
    "exp": exp, "exp2": exp2, "expm1": expm1, "sigmoid": sigmoid, "tanh": tanh, "log": log, "log2": log2,
    "log10": log10, "log1p": log1p, "softplus": softplus, "erf": erf, "pow": pow, "sin": sin, "cos": cos,
    "erfc": erfc, "erfcx": erfcx, "hypot": hypot, "tan": tan, "asin": asin, "acos": acos, "atan": atan, "atan2": atan2,
    "sinh": sinh, "cosh": cosh, "asinh": asinh, "acosh": acosh, "atanh": atanh, "cbrt": cbrt, "nextafter": nextafter,
    "normal_quantile": normal_quantile,
    "lgamma": lgamma, "digamma": digamma, "trigamma": trigamma, "erfinv": erfinv, "erfcinv": erfcinv, "ndtri": ndtri,
    "gammainc": gammainc, "gammaincc": gammaincc, "sinc": sinc, "ndtr": ndtr, "log_ndtr": log_ndtr,
}  # fmt: skip

NUMBERED = {"hurwitz_zeta": "power", "gamma_tail": "order"}
"""Families of functions, and the attribute whose value is the last part of the name of each: hurwitz_zeta_2, ..."""

_DEFINITIONS |= {f"hurwitz_zeta_{power}": partial(hurwitz_zeta, power=power) for power in range(2, MOST_POWER + 1)}
_DEFINITIONS |= {f"gamma_tail_{order}": partial(gamma_tail, order=order) for order in range(MOST_ORDER + 1)}


_OF_BITS = {name: (np.dtype(np.uint32), np.dtype(np.uint64)) for name in ("normal_quantile",)}
"""Functions of unsigned integers."""


def _params(name: str) -> str:
    return "xy" if name in BINARY or name.startswith("gamma_tail") else "x"


class _Functions(Mapping[tuple[str, DType], Function]):
    """Functions, each made when it is first needed: a program needs few."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, DType], Function | None] = {
            (name, dtype): None for name in _DEFINITIONS for dtype in _OF_BITS.get(name, (FLOAT32, FLOAT64))
        }

    def __getitem__(self, key: tuple[str, DType]) -> Function:
        found = self._made[key]
        if found is None:
            name, dtype = key
            found = self._made[key] = _function(name, _DEFINITIONS[name], _params(name), dtype)
        return found

    def __iter__(self) -> Iterator[tuple[str, DType]]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def __contains__(self, key: object) -> bool:
        return key in self._made

    def get(self, key: tuple[str, DType], default: Any = None) -> Any:
        return self[key] if key in self._made else default


FUNCTIONS: Mapping[tuple[str, DType], Function] = _Functions()
"""By name of the scalar operation and dtype; operations that are missing fall back to the C library."""
