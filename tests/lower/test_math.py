"""Scalar functions: errors in units in the last place, against mpmath and NumPy's tables, and exact special values."""

from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from graphc.ir.interpret import evaluate
from graphc.ir.loops import PRIMITIVES, Apply, Const, Var, walk_expressions
from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math import BINARY, FUNCTIONS
from tests.accuracy import error_in_ulps

BOUNDS = {FLOAT32: 1.5, FLOAT64: 2.0}
INF, NAN = np.inf, np.nan


def scaled_erfc(x):
    return mp.exp(x * x) * mp.erfc(x) if x < 1000 else (1 - 1 / (2 * x * x) + 3 / (4 * x**4)) / (x * mp.sqrt(mp.pi))


EXACT = {
    "exp": mp.exp,
    "exp2": lambda x: mp.power(2, x),
    "expm1": mp.expm1,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.ln2,
    "log10": lambda x: mp.log(x) / mp.ln10,
    "log1p": mp.log1p,
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "erf": mp.erf,
    "erfc": mp.erfc,
    "erfcx": lambda x: scaled_erfc(max(x, -60)),
    "sin": mp.sin,
    "cos": mp.cos,
    "pow": mp.power,
}
GROWING = {"exp", "exp2", "expm1", "sigmoid", "tanh", "softplus", "erf", "erfc"}
"""Beyond 2000 these have reached their limits, or increase with x itself."""

DOMAINS = {
    "exp": [(-110, 90), (-750, 711)],
    "exp2": [(-152, 129), (-1080, 1025)],
    "expm1": [(-40, 90), (-1, 1), (0, 711)],
    "sigmoid": [(-110, 20), (-750, 40)],
    "tanh": [(-12, 12), (-1, 1), (-22, 22)],
    "log": [(0, 3), (0.9, 1.1)],
    "log2": [(0, 3), (0.9, 1.1)],
    "log10": [(0, 3), (0.9, 1.1)],
    "log1p": [(-1, 3), (-0.1, 0.1)],
    "softplus": [(-110, 20), (-750, 40)],
    "erf": [(-4, 4), (-1.1, 1.1), (-6, 6)],
    "erfc": [(-1, 11), (-7, 28), (-1, 1)],
    "erfcx": [(-9.5, 9), (-27, 30), (-1, 1)],
    "sin": [(-10, 10), (-1000, 1000)],
    "cos": [(-10, 10), (-1000, 1000)],
}
# Where pieces meet, and where results overflow, become subnormal or vanish.
SEAMS = {
    "exp": [88.722839, -87.33655, -103.97208, -104, 709.782712893384, -708.3964, -745.1332191019411, -746],
    "exp2": [128, -126, -149, -150, -151, 1024, -1022, -1074, -1075, 0.5, -0.5],
    "expm1": [88.722839, 709.782712893384, -23, -52, 0.34657359, -0.34657359, 2.0**-31, 2.0**-60],
    "sigmoid": [-40, -87.33655, -103.97208, -104, -708.3964, -745.1332191019411, -746],
    "tanh": [0.8, 9.01, 10, 19.0615, 20, 2.0**-31, 2.0**-60],
    "log": [0.70710678, 1, 1.41421356, 2.0**-126, 2.0**-1022],
    "log2": [0.70710678, 1, 1.41421356, 2.0**-126, 2.0**-1022],
    "log10": [0.70710678, 1, 1.41421356, 2.0**-126, 2.0**-1022],
    "log1p": [-0.29289322, 0.41421356, 1.82842712, -1, 2.0**-31, 2.0**-60, 2.0**127, 2.0**1023],
    "softplus": [0, -0.8814, 23, 52, -40, -103.97208, -104, -745.1332191019411, -746],
    "erf": [0.85, 1, 3.83, 3.95, 5.92, 5.95, 2.0**-31, 2.0**-60],
    "erfc": [0.5, 9.19, 10.054, 10.2, 10.5, 26.5, 27.22, 27.3, 28, 2.0**-31, 2.0**-60],
    "erfcx": [0.5, 9.38, 26.628, 16, 64, 2.0**-31, 2.0**-60],
    "sin": [0.75, 0.78539816, 1.57079632679, 3.14159265359, 11.0, 22.0, 355.0, 1e22, 5.319372648326541e255],
    "cos": [0.75, 0.78539816, 1.57079632679, 3.14159265359, 11.0, 22.0, 355.0, 1e22, 5.319372648326541e255],
}
UNARY = sorted(key for key in FUNCTIONS if key[0] not in BINARY)
POWERS = sorted(key for key in FUNCTIONS if key[0] == "pow")


def run(key, *columns):
    function = FUNCTIONS[key]
    return evaluate(function.result, dict(zip(function.params, columns, strict=True)))


def bit_patterns(dtype, count, rng):
    bits = np.finfo(dtype).bits
    values = rng.integers(0, 1 << bits, count, np.dtype(f"uint{bits}")).view(dtype)
    return values[~np.isnan(values)]


def narrowed(values, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(values, np.float64).astype(dtype)


def points(name, dtype):
    """Return arguments of a function of one: all magnitudes, the interesting range, and the neighbours of seams."""
    rng = np.random.default_rng(3)
    info = np.finfo(dtype)
    magnitudes = 2.0 ** np.linspace(info.minexp - info.nmant, info.maxexp - 0.01, 1000)
    spread = [rng.uniform(low, high, 1000) for low, high in DOMAINS[name]]
    near = narrowed(SEAMS[name], dtype)
    with np.errstate(over="ignore", under="ignore"):
        for _ in range(3):
            near = np.concatenate([near, np.nextafter(near, dtype.type(INF)), np.nextafter(near, dtype.type(-INF))])
    near = np.unique(near)
    wide = narrowed(np.concatenate([magnitudes, -magnitudes, *spread]), dtype)
    return np.concatenate([wide, near, -near, bit_patterns(dtype, 1000, rng)])


def pairs(dtype):
    """Return arguments of pow: results of every size, from bases of every size and near 1; integral exponents."""
    rng = np.random.default_rng(5)
    info = np.finfo(dtype)
    bits = bit_patterns(dtype, 1000, rng), bit_patterns(dtype, 1000, rng)
    count = min(map(len, bits))
    bases = np.abs(bits[0][:count])
    bases = bases[np.isfinite(bases) & (bases > 0) & (bases != 1)]
    near_one = narrowed(1 + 2.0 ** rng.uniform(-info.nmant, -1, 1000) * rng.choice([-1, 1], 1000), dtype)
    columns = [(bits[0][:count], bits[1][:count])]
    for x in (bases, near_one, narrowed(rng.uniform(0, 10, 1000), dtype)):
        for low, high in ((info.minexp - info.nmant - 2, info.maxexp + 2), (-4, 4)):
            columns.append((x, narrowed(rng.uniform(low, high, len(x)) / np.log2(x.astype(np.float64)), dtype)))
    columns.append((-near_one, narrowed(np.rint(2.0 ** rng.uniform(0, info.nmant + 2, 1000)), dtype)))
    columns.append((narrowed(rng.integers(-9, 10, 1000), dtype), narrowed(rng.integers(-60, 60, 1000), dtype)))
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def exact_value(name, *arguments):
    """Return the real result at finite arguments inside the domain; far beyond overflow and underflow, just as far."""
    if name == "pow":
        x, y = arguments
        logarithm = mp.log(abs(x)) * y
        if abs(logarithm) < 2000:
            return mp.power(x, int(y) if y == mp.floor(y) else y)
        magnitude = mp.exp(2000 if logarithm > 0 else -2000)
        return -magnitude if x < 0 and y % 2 == 1 else magnitude
    if name == "hypot":
        return mp.hypot(*arguments)
    (x,) = arguments
    if name == "softplus" and x > 2000:
        return x
    return EXACT[name](min(max(x, -2000), 2000) if name in GROWING else x)


def in_domain(name, x, y=None):
    if not np.isfinite(x) or (y is not None and not np.isfinite(y)):
        return False
    if name == "pow":
        return x > 0 or (x < 0 and y == np.floor(y))
    return x > {"log": 0, "log2": 0, "log10": 0, "log1p": -1}.get(name, -INF)


def worst(key, *columns):
    """Return the largest error and the arguments that have it."""
    name, dtype = key
    results = run(key, *columns)
    assert results.dtype == dtype
    errors = [(0.0, ())]
    with mp.workprec(120):
        for result, *arguments in zip(results, *columns, strict=True):
            if in_domain(name, *arguments):
                assert not np.isnan(result), arguments
                exact = exact_value(name, *(mp.mpf(float(a)) for a in arguments))
                errors.append((error_in_ulps(result, exact, dtype), tuple(arguments)))
    return max(errors)


@pytest.mark.parametrize("key", UNARY, ids=lambda key: f"{key[0]}-{key[1]}")
def test_error_of(key):
    name, dtype = key
    error, at = worst(key, points(name, dtype))
    assert error <= BOUNDS[dtype], at


@pytest.mark.parametrize("key", POWERS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_error_of_pow(key):
    error, at = worst(key, *pairs(key[1]))
    assert error <= BOUNDS[key[1]], at


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


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_error_near_multiples_of_half_pi(name, dtype):
    x = near_multiples_of_half_pi(dtype)
    error, at = worst((name, dtype), x)
    assert error <= BOUNDS[dtype], at


def sides(dtype):
    """Return arguments of hypot: all magnitudes, of one size and of others."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    patterns = bit_patterns(dtype, 2000, rng)
    near = narrowed(rng.uniform(-2, 2, (2, 2000)), dtype)
    exponents = rng.integers(info.minexp - info.nmant, info.maxexp - 1, 2000).astype(np.int32)
    columns = [(patterns, np.roll(patterns, 1)), tuple(near), tuple(np.ldexp(near, exponents))]
    columns.append((np.ldexp(near[0], exponents), np.ldexp(near[1], exponents - info.nmant // 2)))
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_error_of_hypot(dtype):
    error, at = worst(("hypot", dtype), *sides(dtype))
    assert error <= 1.0, at


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_special_values_of_hypot(dtype):
    rows = [((INF, NAN), INF), ((NAN, -INF), INF), ((NAN, 1), NAN), ((0.0, -0.0), 0.0), ((-3, 4), 5), ((-0.0, -2), 2)]
    assert_special(("hypot", dtype), [*rows, ((INF, 1), INF), ((2.0**-126, 0), 2.0**-126)])


# NumPy's tables, correctly rounded results at chosen points.

TABLES = Path(np.__file__).parent / "_core" / "tests" / "data"


def table(name):
    rows = [line.split(",") for line in (TABLES / f"umath-validation-set-{name}.csv").read_text().splitlines()]
    rows = [row for row in rows if row[0].startswith("np.")]
    for dtype in (FLOAT32, FLOAT64):
        words = [(int(r[1], 16), int(r[2], 16)) for r in rows if r[0] == f"np.{dtype.name}"]
        yield dtype, *np.array(words, np.dtype(f"uint{8 * dtype.itemsize}")).T.copy().view(dtype)


def steps_apart(a, b):
    """Return how many floats lie between a and b, one of them counted; 0 for two NaNs."""
    integer = np.dtype(f"int{8 * a.dtype.itemsize}")
    ordered = [np.where(v.view(integer) < 0, np.iinfo(integer).min - v.view(integer), v.view(integer)) for v in (a, b)]
    return np.where(np.isnan(a) & np.isnan(b), 0, np.abs(ordered[0].astype(float) - ordered[1].astype(float)))


@pytest.mark.parametrize(
    "name", sorted({"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tanh"})
)
def test_tables_of_numpy(name):
    for dtype, arguments, expected in table(name):
        assert len(arguments) > 90
        apart = steps_apart(run((name, dtype), arguments), expected)
        assert apart.max() <= 1, (dtype, arguments[apart.argmax()])


# Special values: C99, Annex F.9.

SPECIAL = {
    "exp": [(0.0, 1), (-0.0, 1), (-INF, 0.0), (INF, INF), (1e30, INF), (-1e30, 0.0)],
    "exp2": [
        (0.0, 1),
        (-0.0, 1),
        (-INF, 0.0),
        (INF, INF),
        (1e30, INF),
        (-1e30, 0.0),
        (3, 8),
        (-1, 0.5),
        (-126, 2.0**-126),
    ],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (-INF, -1), (INF, INF), (1e30, INF), (-1e30, -1), (1e-40, 1e-40)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (-INF, 0.0), (INF, 1), (-1e30, 0.0), (1e30, 1)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (-INF, -1), (INF, 1), (-1e30, -1), (1e-40, 1e-40)],
    "log": [(0.0, -INF), (-0.0, -INF), (1, 0.0), (-1, NAN), (-1e-40, NAN), (-INF, NAN), (INF, INF)],
    "log2": [(0.0, -INF), (-0.0, -INF), (1, 0.0), (-1, NAN), (-INF, NAN), (INF, INF), (8, 3), (0.25, -2)],
    "log10": [(0.0, -INF), (-0.0, -INF), (1, 0.0), (-1, NAN), (-INF, NAN), (INF, INF), (1000, 3)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1, -INF), (-1.5, NAN), (-INF, NAN), (INF, INF), (-1e-40, -1e-40)],
    "softplus": [(-INF, 0.0), (INF, INF), (-1e30, 0.0), (1e30, 1e30)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (-INF, -1), (INF, 1), (7, 1), (-1e30, -1)],
    "erfc": [(0.0, 1), (-0.0, 1), (-INF, 2), (INF, 0.0), (30, 0.0), (-1e30, 2), (1e30, 0.0)],
    "erfcx": [(0.0, 1), (-0.0, 1), (-INF, INF), (INF, 0.0), (-30, INF), (-1e30, INF)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (1e-40, 1e-40)],
    "cos": [(0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (1e-40, 1)],
}

SPECIAL_POWERS = [
    *[((x, y), 1) for x in (0.0, -0.0, 1, -3, INF, -INF, NAN) for y in (0.0, -0.0)],
    *[((1, y), 1) for y in (2.5, -1e30, INF, -INF, NAN)],
    *[
        ((-1, y), want)
        for y, want in ((INF, 1), (-INF, 1), (2.0**24, 1), (2.0**53, 1), (3, -1), (0.5, NAN), (NAN, NAN))
    ],
    *[
        ((0.0, y), want)
        for y, want in ((-3, INF), (-2, INF), (-0.5, INF), (-INF, INF), (3, 0.0), (0.5, 0.0), (INF, 0.0))
    ],
    *[((-0.0, y), want) for y, want in ((-3, -INF), (-2, INF), (-0.5, INF), (3, -0.0), (2, 0.0), (0.5, 0.0))],
    *[((INF, y), want) for y, want in ((-3, 0.0), (-0.5, 0.0), (3, INF), (0.5, INF), (INF, INF), (-INF, 0.0))],
    *[((-INF, y), want) for y, want in ((-3, -0.0), (-2, 0.0), (-0.5, 0.0), (3, -INF), (2, INF), (0.5, INF))],
    *[((x, INF), want) for x, want in ((0.5, 0.0), (-0.5, 0.0), (2, INF), (-2, INF), (0.0, 0.0), (NAN, NAN))],
    *[((x, -INF), want) for x, want in ((0.5, INF), (-0.5, INF), (2, 0.0), (-2, 0.0), (-0.0, INF))],
    *[((x, 0.5), want) for x, want in ((-2, NAN), (-1e-40, NAN), (NAN, NAN), (4, 2), (2.25, 1.5))],
    *[((x, 3), want) for x, want in ((-2, -8), (1e30, INF), (-1e150, -INF), (1e-30, 0.0), (-1e-150, -0.0))],
]


@pytest.mark.parametrize("key", UNARY, ids=lambda key: f"{key[0]}-{key[1]}")
def test_special_values_of(key):
    assert_special(key, [((x,), want) for x, want in SPECIAL[key[0]]] + [((NAN,), NAN)])


@pytest.mark.parametrize("key", POWERS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_special_values_of_pow(key):
    largest = float(np.finfo(key[1]).max)
    # What does not over- or underflow in float64 is left out there.
    rows = [(a, want) for a, want in SPECIAL_POWERS if key[1] == FLOAT32 or abs(a[0]) not in (1e30, 1e-30)]
    assert_special(key, [*rows, ((largest, 1), largest), ((-largest, 1), -largest), ((NAN, 2), NAN), ((2, NAN), NAN)])


def assert_special(key, rows):
    columns = [narrowed(column, key[1]) for column in zip(*(arguments for arguments, _ in rows), strict=True)]
    results, expected = run(key, *columns), narrowed([want for _, want in rows], key[1])
    for (arguments, _), result, want in zip(rows, results, expected, strict=True):
        assert np.array_equal(result, want, equal_nan=True), (arguments, result)
        assert np.isnan(want) or np.signbit(result) == np.signbit(want), (arguments, result)


# Exact results.


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_powers_of_two_are_exact(dtype):
    info = np.finfo(dtype)
    exponents = np.arange(info.minexp - info.nmant, info.maxexp).astype(dtype)
    powers = np.ldexp(dtype.type(1), exponents.astype(np.int32))
    np.testing.assert_array_equal(run(("exp2", dtype), exponents), powers)
    np.testing.assert_array_equal(run(("log2", dtype), powers), exponents)
    np.testing.assert_array_equal(run(("pow", dtype), np.full_like(exponents, 2), exponents), powers)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_small_integral_powers_are_exact(dtype):
    bases, exponents = (v.ravel() for v in np.meshgrid(np.arange(-7, 8), np.arange(8)))
    expected = (bases**exponents).astype(dtype)
    np.testing.assert_array_equal(run(("pow", dtype), bases.astype(dtype), exponents.astype(dtype)), expected)


@pytest.mark.parametrize("key", [key for key in UNARY if key[0] in {"expm1", "tanh", "log1p", "erf", "sin"}], ids=str)
def test_tiny_arguments_keep_their_value(key):
    tiny = np.finfo(key[1]).smallest_subnormal * np.arange(1, 9, dtype=key[1])
    factor = 2 / np.sqrt(np.pi) if key[0] == "erf" else 1
    np.testing.assert_array_equal(run(key, tiny), np.rint(np.arange(1, 9) * factor).astype(key[1]) * tiny[0])
    np.testing.assert_array_equal(run(key, -tiny), -run(key, tiny))


@pytest.mark.parametrize("key", sorted(FUNCTIONS), ids=lambda key: f"{key[0]}-{key[1]}")
def test_functions_consist_of_primitives(key):
    function = FUNCTIONS[key]
    assert function.name == key[0]
    for expr in walk_expressions([function.result]):
        assert isinstance(expr, Var | Const | Apply)
        if isinstance(expr, Var):
            assert expr in function.params
            assert expr.dtype == key[1]
        if isinstance(expr, Apply):
            assert expr.op in PRIMITIVES
