"""How far a float is from a real number; what elementwise functions are exactly, and at which arguments that is hard.

A function that is new needs one line in UNARY or BINARY: `tests/lower/test_math.py` and `scripts/accuracy` read them.
"""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np

import graphc as gx
from graphc.ir.graph import OPS, Elementwise
from graphc.ir.types import FLOAT32, TensorType

INF = np.inf


def error_in_ulps(result, exact, dtype, size=None):
    """Return |result - exact| in units of the last place of `size`, if not given that of exact; an infinity counts as
    the next power of two."""
    info = np.finfo(dtype)
    size = exact if size is None else size
    exponent = mp.frexp(size)[1] - 1 if size else info.minexp
    unit = mp.ldexp(1, int(min(max(exponent, info.minexp), info.maxexp - 1)) - info.nmant)
    limit = mp.ldexp(1, int(info.maxexp))
    value = mp.mpf(float(result)) if np.isfinite(result) else mp.sign(float(result)) * limit
    exact = min(max(exact, -limit), limit)
    return float(abs(value - exact) / unit)


def everywhere(*arguments):
    return True


@dataclass(frozen=True)
class Unary:
    """A function of one.

    value     the real function, on numbers of mpmath
    ranges    where most of what happens happens, for either dtype
    seams     where pieces may meet, and where results overflow, become subnormal or vanish
    inside    tells of a float whether the function has a real value there
    limit     beyond it, in either direction, the value is as good as that at the limit, or is the argument itself
    typical   the range that is timed
    size      of what errors are measured by, given the exact value and the argument
    """

    value: Callable
    ranges: tuple
    seams: tuple = ()
    inside: Callable = everywhere
    limit: float = INF
    typical: tuple = (-5, 5)
    size: Callable = lambda exact, x: exact

    def exact(self, x):
        return self.value(min(max(x, -self.limit), self.limit) if x != 0 else x)

    def arguments(self, dtype, count=1000, seed=3):
        """Return arguments: all magnitudes, the ranges, the neighbours of seams, and any bits."""
        rng = np.random.default_rng(seed)
        info = np.finfo(dtype)
        magnitudes = 2.0 ** np.linspace(info.minexp - info.nmant, info.maxexp - 0.01, count)
        spread = [rng.uniform(low, high, count) for low, high in self.ranges]
        near = narrowed(self.seams, dtype)
        with np.errstate(over="ignore", under="ignore"):
            for _ in range(3):
                near = np.concatenate([near, np.nextafter(near, dtype.type(INF)), np.nextafter(near, dtype.type(-INF))])
        near = np.unique(near)
        wide = narrowed(np.concatenate([magnitudes, -magnitudes, *spread]), dtype)
        return (np.concatenate([wide, near, -near, bit_patterns(dtype, count, rng)]),)


@dataclass(frozen=True)
class Binary:
    """A function of two, as Unary, on columns of arguments that `columns(dtype, count, rng)` makes."""

    value: Callable
    columns: Callable
    inside: Callable = everywhere
    typical: tuple = (0.1, 10)
    size: Callable = lambda exact, x, y: exact

    def exact(self, x, y):
        return self.value(x, y)

    def arguments(self, dtype, count=1000, seed=5):
        columns = self.columns(dtype, count, np.random.default_rng(seed))
        return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def narrowed(values, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(values, np.float64).astype(dtype)


def bit_patterns(dtype, count, rng):
    bits = np.finfo(dtype).bits
    values = rng.integers(0, 1 << bits, count, np.dtype(f"uint{bits}")).view(dtype)
    return values[~np.isnan(values)]


def sizes_and_ratios(dtype, count, rng):
    """Yield pairs of all magnitudes, of one size and of others."""
    info = np.finfo(dtype)
    patterns = bit_patterns(dtype, 2 * count, rng)
    near = narrowed(rng.uniform(-2, 2, (2, 2 * count)), dtype)
    exponents = rng.integers(info.minexp - info.nmant, info.maxexp - 1, 2 * count).astype(np.int32)
    yield patterns, np.roll(patterns, 1)
    yield tuple(near)
    yield tuple(np.ldexp(near, exponents))
    yield np.ldexp(near[0], exponents), np.ldexp(near[1], exponents - info.nmant // 2)


def powers(dtype, count, rng):
    """Yield arguments of pow: results of every size, from bases of every size and near 1; integral exponents."""
    info = np.finfo(dtype)
    bits = bit_patterns(dtype, count, rng), bit_patterns(dtype, count, rng)
    fewest = min(map(len, bits))
    bases = np.abs(bits[0][:fewest])
    bases = bases[np.isfinite(bases) & (bases > 0) & (bases != 1)]
    near_one = narrowed(1 + 2.0 ** rng.uniform(-info.nmant, -1, count) * rng.choice([-1, 1], count), dtype)
    yield bits[0][:fewest], bits[1][:fewest]
    for x in (bases, near_one, narrowed(rng.uniform(0, 10, count), dtype)):
        for low, high in ((info.minexp - info.nmant - 2, info.maxexp + 2), (-4, 4)):
            yield x, narrowed(rng.uniform(low, high, len(x)) / np.log2(x.astype(np.float64)), dtype)
    yield -near_one, narrowed(np.rint(2.0 ** rng.uniform(0, info.nmant + 2, count)), dtype)
    yield narrowed(rng.integers(-9, 10, count), dtype), narrowed(rng.integers(-60, 60, count), dtype)


def shapes_and_points(dtype, count, rng):
    """Yield arguments of the incomplete gamma functions near the middle of the distribution."""
    a = 10 ** rng.uniform(-2, 2, count // 10)
    yield narrowed(a, dtype), narrowed(a * np.exp(rng.normal(size=a.shape) / np.sqrt(a + 1)), dtype)


def exact_power(x, y):
    logarithm = mp.log(abs(x)) * y
    if abs(logarithm) < 2000:
        return mp.power(x, int(y) if y == mp.floor(y) else y)
    magnitude = mp.exp(2000 if logarithm > 0 else -2000)  # far beyond overflow and underflow, just as far
    return -magnitude if x < 0 and y % 2 == 1 else magnitude


def scaled_erfc(x):
    return mp.exp(x * x) * mp.erfc(x) if x < 1000 else (1 - 1 / (2 * x * x) + 3 / (4 * x**4)) / (x * mp.sqrt(mp.pi))


def cube_root(x):
    return mp.sign(x) * mp.cbrt(abs(x))


def log_gamma(x):
    if x > 0:
        return mp.loggamma(x)
    return mp.log(mp.pi / abs(x * mp.sinpi(x))) - mp.loggamma(-x)


def digamma(x):
    return mp.digamma(x) if x > 0 else mp.digamma(1 - x) - mp.pi * mp.cospi(x) / mp.sinpi(x)


def trigamma(x):
    if abs(x) > 1e9:
        y = abs(x) + (x < 0)
        far = 1 / y + 1 / (2 * y * y) + 1 / (6 * y**3)
        return far if x > 0 else (mp.pi / mp.sinpi(x)) ** 2 - far
    return mp.polygamma(1, x) if x > 0 else (mp.pi / mp.sinpi(x)) ** 2 - mp.polygamma(1, 1 - x)


def inverse_of_erfc(q):
    if q > 1:
        return -inverse_of_erfc(2 - q)
    if q > 0.5:
        return mp.erfinv(1 - q)
    x, goal = mp.sqrt(-mp.log(q)), mp.log(q)
    for _ in range(100):
        step = (mp.log(mp.erfc(x)) - goal) * mp.erfc(x) * mp.exp(x * x) * mp.sqrt(mp.pi) / 2
        x += step
        if abs(step) < abs(x) * mp.mpf(2) ** -90:
            break
    return x


def inverse_of_erf(x):
    return mp.erfinv(x) if abs(x) < 0.5 else mp.sign(x) * inverse_of_erfc(1 - abs(x))


def log_ndtr(x):
    if x > 0:
        return mp.log1p(-mp.erfc(min(x, 1000) / mp.sqrt(2)) / 2)
    y = -x / mp.sqrt(2)
    return mp.log(mp.erfc(y) / 2) if y < 1000 else mp.log(scaled_erfc(y) / 2) - y * y


def no_pole(x):
    return x > 0 or x != np.floor(x)


def beside_shifts(exact, x):
    """Return the size of the logarithms whose sum vanishes near a root below 0."""
    return abs(exact) if x > 0 else max(abs(exact), 1, mp.log(1 - x))


def positive(x):
    return x > 0


def inside_unit(x):
    return abs(x) <= 1


_TINY = (2.0**-31, 2.0**-60)
_LOG_RANGES, _LOG_SEAMS = ((0, 3), (0.9, 1.1)), (0.70710678, 1, 1.41421356, 2.0**-126, 2.0**-1022)
_ANGLES = ((-10, 10), (-1000, 1000))
_TURNS = (0.75, 0.78539816, 1.57079632679, 3.14159265359, 11.0, 22.0, 355.0, 2.0**16, 2.0**20, 1e22, 5.3193726483e255)
_GROWTH = (88.722839, 89.4159851, 89.45, 709.782712893384, 710.4758600739439, 710.5, 0.34657359, 8.3, 9.0, 18.4, 23, 52)
_HALVES = (0.5, 0.70710678, 0.86602540378, 1, *_TINY)
_ROOTS = (0.34657359, 0.353553390593, 0.36, 0.5, 1, 2.0**16, 2.0**31, 2.0**126, 2.0**1022, *_TINY)

UNARY = {
    "exp": Unary(
        mp.exp, ((-110, 90), (-750, 711)), limit=2000,
        seams=(88.722839, -87.33655, -103.97208, -104, 709.782712893384, -708.3964, -745.1332191019411, -746),
    ),
    "exp2": Unary(
        lambda x: mp.power(2, x), ((-152, 129), (-1080, 1025)), limit=2000,
        seams=(128, -126, -149, -150, -151, 1024, -1022, -1074, -1075, 0.5, -0.5),
    ),
    "expm1": Unary(
        mp.expm1, ((-40, 90), (-1, 1), (0, 711)), limit=2000,
        seams=(88.722839, 709.782712893384, -23, -52, 0.34657359, -0.34657359, *_TINY),
    ),
    "sigmoid": Unary(
        lambda x: 1 / (1 + mp.exp(-x)), ((-110, 20), (-750, 40)), limit=2000,
        seams=(-40, -87.33655, -103.97208, -104, -708.3964, -745.1332191019411, -746),
    ),
    "tanh": Unary(mp.tanh, ((-12, 12), (-1, 1), (-22, 22)), (0.8, 9.01, 10, 19.0615, 20, *_TINY), limit=2000),
    "sinh": Unary(mp.sinh, ((-12, 12), (-1, 1), (-711, 711)), (*_GROWTH, *_TINY), limit=2000),
    "cosh": Unary(mp.cosh, ((-12, 12), (-1, 1), (-711, 711)), (*_GROWTH, *_TINY), limit=2000),
    "log": Unary(mp.log, _LOG_RANGES, _LOG_SEAMS, positive, typical=(0.1, 10)),
    "log2": Unary(lambda x: mp.log(x) / mp.ln2, _LOG_RANGES, _LOG_SEAMS, positive, typical=(0.1, 10)),
    "log10": Unary(lambda x: mp.log(x) / mp.ln10, _LOG_RANGES, _LOG_SEAMS, positive, typical=(0.1, 10)),
    "log1p": Unary(
        mp.log1p, ((-1, 3), (-0.1, 0.1)), inside=lambda x: x > -1, typical=(-0.9, 10),
        seams=(-0.29289322, 0.41421356, 1.82842712, -1, *_TINY, 2.0**127, 2.0**1023),
    ),
    "softplus": Unary(
        lambda x: mp.log1p(mp.exp(x)) if x < 2000 else x, ((-110, 20), (-750, 40)),
        seams=(0, -0.8814, 23, 52, -40, -103.97208, -104, -745.1332191019411, -746),
    ),
    "sqrt": Unary(mp.sqrt, ((0, 4),), (1, 2), lambda x: x >= 0, typical=(0, 10)),
    "cbrt": Unary(cube_root, ((-10, 10), (-1, 1)), (0.70710678, 1, 1.41421356, 2.82842712, 8, 27, *_TINY)),
    "erf": Unary(mp.erf, ((-4, 4), (-1.1, 1.1), (-6, 6)), (0.85, 1, 3.83, 3.95, 5.92, 5.95, *_TINY), limit=2000),
    "erfc": Unary(
        mp.erfc, ((-1, 11), (-7, 28), (-1, 1)), limit=2000,
        seams=(0.5, 9.19, 10.054, 10.2, 10.5, 26.5, 27.22, 27.3, 28, *_TINY),
    ),
    "erfcx": Unary(
        lambda x: scaled_erfc(max(x, -60)), ((-9.5, 9), (-27, 30), (-1, 1)), (0.5, 9.38, 26.628, 16, 64, *_TINY)
    ),
    "erfinv": Unary(
        inverse_of_erf, ((-1, 1), (0.99, 1)), (0.99903, 0.5, 1, *_TINY), lambda x: abs(x) < 1, typical=(-1, 1)
    ),
    "erfcinv": Unary(
        inverse_of_erfc, ((0, 2), (0, 0.01)), (0.5, 1, 0.00097, 2, 1e-16), lambda x: 0 < x < 2, typical=(0.01, 1.99)
    ),
    "ndtri": Unary(
        lambda x: -mp.sqrt(2) * inverse_of_erfc(2 * x), ((0, 1), (0, 0.01)), (0.25, 0.5, 0.00048, 1, 1e-16),
        lambda x: 0 < x < 1, typical=(0.01, 0.99),
    ),
    "lgamma": Unary(
        log_gamma, ((0, 4), (0, 20), (-5, 0)), (0.5, 1, 1.35, 2, 2.5, 1.4616321, *_TINY), no_pole,
        typical=(0.1, 20), size=beside_shifts,
    ),
    "digamma": Unary(
        digamma, ((0, 4), (0, 20), (-5, 0)), (1, 2, 1.4616321, *_TINY), no_pole, typical=(0.1, 20), size=beside_shifts,
    ),
    "trigamma": Unary(trigamma, ((0, 4), (0, 20), (-5, 0)), (1, 2, *_TINY), no_pole, typical=(0.1, 20)),
    "ndtr": Unary(
        lambda x: mp.erfc(-x / mp.sqrt(2)) / 2, ((-40, 9), (-15, 0), (-1, 1)), (5.4, 8.3, 14.1, 37.5, 38.4, 40, *_TINY),
        limit=2000,
    ),
    "log_ndtr": Unary(log_ndtr, ((-40, 40), (-5, 5), (-1, 1)), (5.4, 8.3, 14.1, 37.5, 38.4, 40, *_TINY)),
    "sinc": Unary(mp.sincpi, ((-4, 4), (-0.5, 0.5)), (0.5, 1, *_TINY)),
    "sin": Unary(mp.sin, _ANGLES, _TURNS),
    "cos": Unary(mp.cos, _ANGLES, _TURNS),
    "tan": Unary(mp.tan, _ANGLES, _TURNS),
    "asin": Unary(mp.asin, ((-1, 1), (-0.55, 0.55)), _HALVES, inside_unit, typical=(-1, 1)),
    "acos": Unary(mp.acos, ((-1, 1), (-0.55, 0.55)), _HALVES, inside_unit, typical=(-1, 1)),
    "atan": Unary(mp.atan, ((-1, 1), (-10, 10)), (0.41421356, 0.5, 1, 2, 2.41421356, 2.0**31, 2.0**60, *_TINY)),
    "asinh": Unary(mp.asinh, ((-1, 1), (-10, 10)), _ROOTS),
    "acosh": Unary(
        mp.acosh, ((1, 2), (1, 10), (1, 1.1)), (1.06066017178, *_ROOTS), lambda x: x >= 1, typical=(1, 10),
    ),
    "atanh": Unary(
        mp.atanh, ((-1, 1), (-0.3, 0.3), (0.99, 1)), (0.17157287, 0.2, 0.33333333, 0.5, 0.75, 1, *_TINY),
        lambda x: abs(x) < 1, typical=(-1, 1),
    ),
}  # fmt: skip
"""By name of the operation."""

BINARY = {
    "pow": Binary(exact_power, powers, lambda x, y: x > 0 or (x < 0 and y == np.floor(y))),
    "hypot": Binary(mp.hypot, sizes_and_ratios),
    "gammainc": Binary(lambda a, x: mp.gammainc(a, 0, x, regularized=True), shapes_and_points),
    "gammaincc": Binary(lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True), shapes_and_points),
    "atan2": Binary(mp.atan2, sizes_and_ratios, lambda y, x: y != 0),
}
"""By name of the operation."""

EXACT = {**UNARY, **BINARY}


ROUNDED = frozenset(
    (
        "add", "sub", "mul", "div", "neg", "abs", "sign", "maximum", "minimum", "remainder", "floor_divide", "floor",
        "ceil", "trunc", "rint", "copysign", "nextafter", "relu", "stop_gradient", "copy",
        "gamma_path", "log_gamma_path",  # the second operand
    )
)  # fmt: skip
"""Operations whose value is exact, or the exact one rounded once; their tests compare with NumPy bit for bit."""


def plain_pairs(dtype, count, rng):
    for scale in (1, 30):
        yield tuple(narrowed(rng.uniform(-scale, scale, (2, count)), dtype))


def largest(exact, *arguments):
    return max(abs(v) for v in (exact, *arguments))


COMPOSITIONS = {
    "logaddexp": Binary(lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), plain_pairs, size=largest),
    "logaddexp2": Binary(lambda x, y: mp.log(mp.power(2, x) + mp.power(2, y)) / mp.ln2, plain_pairs, size=largest),
    "logit": Unary(lambda x: mp.log(x) - mp.log1p(-x), ((0, 1), (0.4, 0.6)), inside=lambda x: 0 < x < 1),
    "nn.silu": Unary(lambda x: x / (1 + mp.exp(-x)), ((-20, 20), (-1, 1)), inside=lambda x: abs(x) < 80),
    "nn.gelu": Unary(lambda x: x * mp.ncdf(x), ((-12, 8), (-1, 1)), inside=lambda x: abs(x) < 12),
}  # fmt: skip
"""Functions made of operations, as they are called in graphc or graphc.special. Where terms cancel, errors are measured
by the largest of them."""


def function_named(name):
    """Return a public function of graphc or of graphc.special; None if there is none."""
    for place in (gx, getattr(gx, "special", None)):
        with contextlib.suppress(AttributeError):
            return functools.reduce(getattr, name.split("."), place)
    return None


def float_operations():
    """Yield the name of every elementwise operation on floats alone whose value is a float, and how many it takes."""
    for name, op in OPS.items():
        for count in (1, 2, 3):
            if isinstance(op, Elementwise) and is_float_operation(op, count):
                yield name, count


def is_float_operation(op, count):
    try:
        return op.infer(*[TensorType(FLOAT32, (1,))] * count).dtype == FLOAT32
    except (TypeError, gx.GraphcError):
        return False


def worst(known, results, *columns):
    """Return the largest error of results and the arguments that have it; a NaN where there is a value is infinite."""
    errors = [(0.0, ())]
    with mp.workprec(120):
        for result, *arguments in zip(results, *columns, strict=True):
            if np.isfinite(arguments).all() and known.inside(*arguments):
                reals = [mp.mpf(float(a)) for a in arguments]
                exact = known.exact(*reals)
                size = known.size(exact, *reals)
                error = INF if np.isnan(result) else error_in_ulps(result, exact, results.dtype, size)
                errors.append((error, tuple(arguments)))
    return max(errors)


def near_multiples_of_half_pi(dtype):
    """Return, of every exponent, the floats nearest to a multiple of pi/2: m 2^e with m from a continued fraction."""
    info = np.finfo(dtype)
    nearest = []
    with mp.workprec(2500):
        for e in range(-info.nmant, info.maxexp - info.nmant, 1 if dtype == FLOAT32 else 3):
            rest, (before, m) = mp.ldexp(2 / mp.pi, e), (1, 0)
            while m < 2 ** (info.nmant + 1):
                nearest.append(float(mp.ldexp(m, e)))
                whole = int(mp.floor(rest))
                before, m = m, before + whole * m
                rest = 1 / (rest - whole)
    return narrowed(nearest, dtype)
