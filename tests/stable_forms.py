"""Formulas as they stand in textbooks: how to write them, their exact values and derivatives, and where it gets hard.

`write(m, *args)` uses the functions of a module m, which may be graphc, jax.numpy or torch: exp, log, sqrt, tanh, erf,
and sum, mean, max along the last axis with keepdims. Exact values are computed with mpmath; `slope` gives the
derivatives in each argument of the value (of the sum of values times WEIGHTS, for forms on rows).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath as mp
import numpy as np

import graphc as gx
from tests.accuracy import error_in_ulps

WEIGHTS = (1.0, -2.0, 0.5)
"""What the values of a row count for when rows are differentiated."""

Exact = Callable[..., Any]


@dataclass(frozen=True)
class Form:
    """A formula. `ulps` bounds the errors of the value and the derivative of graphc.

    Where the terms of a sum cancel, errors are in units of the last place not of the result but of the size that
    `scale` (of derivatives) and `size` (of values) return.
    """

    name: str
    write: Callable[..., Any]
    exact: Exact
    slope: Exact
    points: Sequence[Any]
    ulps: tuple[float, float] = (3.0, 4.0)
    is_row: bool = False
    scale: Exact | None = None
    size: Exact | None = None


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)), x >= 0."""
    return mp.log(-mp.expm1(-x)) if x < 1 else mp.log1p(-mp.exp(-x))


TINY = (1e-35, 1e-12, 1e-8, 1e-4)
LINE = (0.0, *TINY, *[-t for t in TINY], 0.3, -0.3, 1.0, -1.0, 3.0, -3.0, 9.0, -9.0, 18.0, -18.0, 40.0, -40.0, 80.0,
        -80.0, 95.0, -95.0, 300.0, -300.0, 720.0, -720.0, 1e5, -1e5, 1e30, -1e30)  # fmt: skip
POSITIVE = tuple(x for x in LINE if x > 0)
SMALL = tuple(x for x in LINE if abs(x) <= 80)
MODERATE = (0.0, *TINY, *[-t for t in TINY], 0.3, -0.3, 0.6, -0.6, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0)
TAIL = (-5.0, -3.0, -1.0, -0.4, -1e-4, 0.0, 1e-4, 0.4, 0.6, 1.0, 3.0, 5.0, 9.0, 12.0, 25.0, 30.0, 100.0, 1e4, 1e15)
PAIRS = (
    (0.0, 0.0),
    (1000.0, 999.0),
    (-1000.0, -1001.0),
    (80.0, -80.0),
    (-5.0, 5.0),
    (1e30, 1.0),
    (-1e5, -1e5),
    (3.0, 1.0),
)
SIDES = ((3.0, 4.0), (1e-30, 1e-30), (1e30, 1e30), (1e-25, 3e-25), (1e25, -2e25), (1.0, 1e-10), (1e38, 1.0))
ROWS = (
    (0.0, 0.0, 0.0),
    (1.0, 2.0, 3.0),
    (1000.0, 999.0, 998.0),
    (-1000.0, -1001.0, -1003.0),
    (100.0, 0.0, -100.0),
    (1e5, 1e5, -1e5),
    (-1e30, 0.0, 20.0),
    (-200.0, -200.0, -200.5),
)

# Functions of a number.

ELEMENTWISE = (
    Form("log(1+x)", lambda m, x: m.log(1 + x), mp.log1p, lambda x: 1 / (1 + x),
         [x for x in LINE if x > -0.9] + [-0.5, -0.9990234375]),
    Form("log(1-x)", lambda m, x: m.log(1 - x), lambda x: mp.log1p(-x), lambda x: -1 / (1 - x),
         [-x for x in LINE if x > -0.9] + [0.5, 0.9990234375]),
    Form("exp(x)-1", lambda m, x: m.exp(x) - 1, mp.expm1, mp.exp, LINE),
    Form("1-exp(-x)", lambda m, x: 1 - m.exp(-x), lambda x: -mp.expm1(-x), lambda x: mp.exp(-x), LINE),
    Form("log(1+exp(x))", lambda m, x: m.log(1 + m.exp(x)), softplus, sigmoid, LINE),
    Form("log(1+exp(-x))", lambda m, x: m.log(1 + m.exp(-x)), lambda x: softplus(-x), lambda x: -sigmoid(-x), LINE),
    Form("1/(1+exp(-x))", lambda m, x: 1 / (1 + m.exp(-x)), sigmoid, lambda x: sigmoid(x) * sigmoid(-x), LINE, (2, 5)),
    Form("exp(x)/(1+exp(x))", lambda m, x: m.exp(x) / (1 + m.exp(x)), sigmoid,
         lambda x: sigmoid(x) * sigmoid(-x), LINE, (2, 5)),
    Form("log(sigmoid(x))", lambda m, x: m.log(m.sigmoid(x)), lambda x: -softplus(-x), lambda x: sigmoid(-x), LINE),
    Form("log(1/(1+exp(-x)))", lambda m, x: m.log(1 / (1 + m.exp(-x))), lambda x: -softplus(-x),
         lambda x: sigmoid(-x), LINE),
    Form("1-sigmoid(x)", lambda m, x: 1 - m.sigmoid(x), lambda x: sigmoid(-x),
         lambda x: -sigmoid(x) * sigmoid(-x), LINE, (2, 5)),
    Form("log(1-sigmoid(x))", lambda m, x: m.log(1 - m.sigmoid(x)), lambda x: -softplus(x), lambda x: -sigmoid(x),
         LINE),
    Form("log(1-exp(-x))", lambda m, x: m.log(1 - m.exp(-x)), log1mexp, lambda x: 1 / mp.expm1(x), POSITIVE),
    Form("log(exp(x)-1)", lambda m, x: m.log(m.exp(x) - 1), lambda x: x + log1mexp(x), lambda x: -1 / mp.expm1(-x),
         POSITIVE, size=lambda x: [max(1, abs(x + log1mexp(x)))]),
    Form("sigmoid(x)", lambda m, x: m.sigmoid(x), sigmoid, lambda x: sigmoid(x) * sigmoid(-x), LINE, (2, 5)),
    Form("tanh(x)", lambda m, x: m.tanh(x), mp.tanh, lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x), LINE, (2, 5)),
    Form("1-tanh(x)", lambda m, x: 1 - m.tanh(x), lambda x: 2 * sigmoid(-2 * x),
         lambda x: -4 * sigmoid(2 * x) * sigmoid(-2 * x), LINE, (2, 5)),
    Form("1-tanh(x)*tanh(x)", lambda m, x: 1 - m.tanh(x) * m.tanh(x),
         lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x),
         lambda x: -8 * mp.tanh(x) * sigmoid(2 * x) * sigmoid(-2 * x), LINE, (5, 8)),
    Form("1-cos(x)", lambda m, x: 1 - m.cos(x), lambda x: 2 * mp.sin(x / 2) ** 2, mp.sin,
         [x for x in LINE if 1e-18 < abs(x) < 1e6], (4, 3)),
    Form("cosh(x)-1", lambda m, x: m.cosh(x) - 1, lambda x: 2 * mp.sinh(x / 2) ** 2, mp.sinh,
         [x for x in LINE if 1e-18 < abs(x) < 1e6], (6, 3)),
    Form("1-erf(x)", lambda m, x: 1 - m.erf(x), mp.erfc, lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
         [x for x in TAIL if abs(x) < 10], (2, 130)),
    Form("(1+erf(-x))/2", lambda m, x: 0.5 * (1 + m.erf(-x)), lambda x: mp.erfc(x) / 2,
         lambda x: -1 / mp.sqrt(mp.pi) * mp.exp(-x * x), [x for x in TAIL if abs(x) < 10], (2, 130)),
    Form("log(erfc(x))", lambda m, x: m.log(m.erfc(x)), lambda x: log_erfc(x),
         lambda x: log_erfc_slope(x), TAIL, (3, 4)),
    Form("log((1+erf(-x))/2)", lambda m, x: m.log(0.5 * (1 + m.erf(-x))),
         lambda x: mp.log1p(-mp.erfc(-x) / 2) if x < 0 else log_erfc(x) - mp.ln2, lambda x: log_erfc_slope(x),
         TAIL, (4, 4)),
    Form("log(ndtr(-x))", lambda m, x: m.log(m.ndtr(-x)),
         lambda x: mp.log1p(-mp.erfc(-x / mp.sqrt(2)) / 2) if x < 0 else log_erfc(x / mp.sqrt(2)) - mp.ln2,
         lambda x: log_erfc_slope(x / mp.sqrt(2)) / mp.sqrt(2), TAIL, (3, 60)),
    Form("1-ndtr(x)", lambda m, x: 1 - m.ndtr(x), lambda x: mp.erfc(x / mp.sqrt(2)) / 2,
         lambda x: -mp.npdf(x), [x for x in TAIL if abs(x) < 10], (2, 130)),
    Form("sqrt(x*x)", lambda m, x: m.sqrt(x * x), abs, mp.sign, [x for x in LINE if x]),
    Form("x/sqrt(x*x)", lambda m, x: x / m.sqrt(x * x), mp.sign, lambda x: mp.mpf(0), [x for x in LINE if x]),
    Form("sqrt(x*x+1)", lambda m, x: m.sqrt(x * x + 1), lambda x: mp.hypot(x, 1), lambda x: x / mp.hypot(x, 1), LINE),
)  # fmt: skip


def log_erfc(x: Any) -> Any:
    return mp.log(mp.erfc(x)) if x < 1e4 else -x * x - mp.log(x * mp.sqrt(mp.pi)) + mp.log1p(-1 / (2 * x * x))


def log_erfc_slope(x: Any) -> Any:
    ratio = mp.exp(-x * x) / mp.erfc(x) if x < 1e3 else x * mp.sqrt(mp.pi) * (1 + 1 / (2 * x * x) - 1 / (2 * x**4))
    return -2 / mp.sqrt(mp.pi) * ratio


# Functions of two numbers.


def log_add_exp(a: Any, b: Any) -> Any:
    return max(a, b) + softplus(-abs(a - b))


PAIRWISE = (
    Form("log(exp(a)+exp(b))", lambda m, a, b: m.log(m.exp(a) + m.exp(b)), log_add_exp,
         lambda a, b: (sigmoid(a - b), sigmoid(b - a)), PAIRS),
    Form("sqrt(x*x+y*y)", lambda m, x, y: m.sqrt(x * x + y * y), mp.hypot,
         lambda x, y: (x / mp.hypot(x, y), y / mp.hypot(x, y)), SIDES),
    Form("x/sqrt(x*x+y*y)", lambda m, x, y: x / m.sqrt(x * x + y * y), lambda x, y: x / mp.hypot(x, y),
         lambda x, y: (y * y / mp.hypot(x, y) ** 3, -x * y / mp.hypot(x, y) ** 3),
         [(3.0, 4.0), (1e25, 2e25), (0.5, 1.0)], (3, 9)),
)  # fmt: skip

# Functions of a row.


def _lse(row: Sequence[Any]) -> Any:
    top = max(row)
    return top + mp.log(mp.fsum(mp.exp(x - top) for x in row))


def _softmax(row: Sequence[Any]) -> list[Any]:
    total = _lse(row)
    return [mp.exp(x - total) for x in row]


def _log_softmax(row: Sequence[Any]) -> list[Any]:
    """Exact also where one element is nearly all of the sum."""
    top = row.index(max(row))
    rest = mp.log1p(mp.fsum(mp.exp(x - row[top]) for k, x in enumerate(row) if k != top))
    return [x - row[top] - rest for x in row]


def _log_softmax_slope(row: Sequence[Any]) -> list[Any]:
    total = mp.fsum(WEIGHTS)
    return [w - p * total for w, p in zip(WEIGHTS, _softmax(row), strict=True)]


def _softmax_slope(row: Sequence[Any]) -> list[Any]:
    p = _softmax(row)
    mean = mp.fsum(w * q for w, q in zip(WEIGHTS, p, strict=True))
    return [q * (w - mean) for w, q in zip(WEIGHTS, p, strict=True)]


def _ones(row: Sequence[Any]) -> list[int]:
    return [1] * len(row)


def _at_least_one(row: Sequence[Any]) -> list[Any]:
    return [max(1, abs(x)) for x in _log_softmax(row)]


def _exp(m: Any, x: Any) -> Any:
    return m.exp(x - m.max(x))


def _variance(row: Sequence[Any]) -> Any:
    mean = mp.fsum(row) / len(row)
    return mp.fsum((x - mean) ** 2 for x in row) / len(row)


def _variance_slope(row: Sequence[Any]) -> list[Any]:
    mean = mp.fsum(row) / len(row)
    return [2 * (x - mean) / len(row) for x in row]


ROWWISE = (
    Form("log(sum(exp(x)))", lambda m, x: m.log(m.sum(m.exp(x))), lambda r: [_lse(r)], _softmax, ROWS, (3, 6), True),
    Form("log(mean(exp(x)))", lambda m, x: m.log(m.mean(m.exp(x))), lambda r: [_lse(r) - mp.log(3)], _softmax,
         [r for r in ROWS if any(r)], (3, 6), True),
    Form("log(sum(exp(x-max)))+max", lambda m, x: m.log(m.sum(_exp(m, x))) + m.max(x), lambda r: [_lse(r)], _softmax,
         ROWS, (3, 6), True),
    Form("exp(x)/sum(exp(x))", lambda m, x: m.exp(x) / m.sum(m.exp(x)), _softmax, _softmax_slope, ROWS, (4, 8), True,
         _softmax),
    Form("log(exp(x)/sum(exp(x)))", lambda m, x: m.log(m.exp(x) / m.sum(m.exp(x))), _log_softmax, _log_softmax_slope,
         ROWS, (3, 6), True, _ones, _at_least_one),
    Form("log of shifted softmax", lambda m, x: m.log(_exp(m, x) / m.sum(_exp(m, x))), _log_softmax,
         _log_softmax_slope, ROWS, (3, 6), True, _ones, _at_least_one),
    Form("x-log(sum(exp(x)))", lambda m, x: x - m.log(m.sum(m.exp(x))), _log_softmax, _log_softmax_slope, ROWS, (3, 6),
         True, _ones, _at_least_one),
    Form("mean(x*x)-mean(x)**2", lambda m, x: m.mean(x * x) - m.mean(x) ** 2, lambda r: [_variance(r)],
         _variance_slope,
         [(1.0, 2.0, 3.0), (1000.0, 1001.0, 1002.5), (4096.0, 4097.0, 4100.0), (-4096.0, -4096.5, -4099.0)], (4, 2),
         True, lambda r: [max(r) - min(r)] * 3),
)  # fmt: skip

ALL = (*ELEMENTWISE, *PAIRWISE, *ROWWISE)

# Measuring.


def arguments(form: Form, dtype: Any) -> list[np.ndarray]:
    """Return the points as arrays: one of n numbers for each argument, or one of n rows."""
    points = np.asarray(form.points, np.float64).astype(dtype)
    return list(points.T.copy()) if points.ndim == 2 and not form.is_row else [points]


def errors(
    form: Form, inputs: Sequence[np.ndarray], value: np.ndarray, slopes: Sequence[np.ndarray]
) -> list[list[float]]:
    """Return the errors in ULP of values and derivatives at all points; NaN where a real number is not one."""
    found: list[list[float]] = [[], []]
    dtype = inputs[0].dtype
    slopes_by_point = np.stack(slopes, axis=1).reshape(len(inputs[0]), -1)
    with mp.workdps(60):
        for k, point in enumerate(zip(*inputs, strict=True)):
            args = [[mp.mpf(float(x)) for x in point[0]]] if form.is_row else [mp.mpf(float(x)) for x in point]
            exact, slope = _listed(form.exact(*args)), _listed(form.slope(*args))
            scales = form.scale(*args) if form.scale is not None else slope
            sizes = form.size(*args) if form.size is not None else exact
            found[0] += [_error(a, e, s, dtype) for a, e, s in zip(value[k].reshape(-1), exact, sizes, strict=True)]
            found[1] += [_error(a, e, s, dtype) for a, e, s in zip(slopes_by_point[k], slope, scales, strict=True)]
    return found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _error(result: Any, exact: Any, scale: Any, dtype: Any) -> float:
    if np.isnan(result):
        return float("nan")
    if scale is exact or not scale:
        return error_in_ulps(result, mp.mpf(exact), dtype)
    if np.isinf(result):
        return float("inf")
    # In units of the last place of the scale: as if it were the exact value, off by the same.
    size = mp.mpf(abs(scale))
    unit = error_in_ulps(0.0, size, dtype) / size
    return float(abs(mp.mpf(float(result)) - exact) * unit)


class Rows:
    """The functions that forms use, from a module with NumPy's names."""

    def __init__(self, module: Any, **others: Any) -> None:
        for name in ("exp", "log", "sqrt", "tanh", "cos", "cosh"):
            setattr(self, name, getattr(module, name))
        for name in ("sum", "mean", "max"):
            setattr(self, name, partial(getattr(module, name), axis=-1, keepdims=True))
        self.__dict__.update(others)


def weighed(form: Form, value: Any, ones: Callable[[Any], Any]) -> Any:
    """Return the values of rows times WEIGHTS, so that their sum is what is differentiated."""
    return value * ones(WEIGHTS) if form.is_row and value.shape[-1] == len(WEIGHTS) else value


GRAPHC = Rows(gx, erf=gx.erf, erfc=gx.erfc, ndtr=gx.special.ndtr, sigmoid=gx.sigmoid)


def graph_of(form: Form, inputs: Sequence[np.ndarray]) -> tuple[list[gx.Tensor], list[gx.Tensor]]:
    """Return placeholders for the inputs, and the value and derivatives of a form on them."""
    names = [gx.placeholder(x.shape, x.dtype, name=f"x{k}") for k, x in enumerate(inputs)]
    value = form.write(GRAPHC, *names)
    total = gx.sum(weighed(form, value, lambda w: np.asarray(w, inputs[0].dtype)))
    return names, [value, *gx.gradients(total, names)]
