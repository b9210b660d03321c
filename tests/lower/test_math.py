"""Scalar functions: errors in units in the last place, against mpmath and NumPy's tables, and exact special values."""

from pathlib import Path

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir.graph import OPS
from graphc.ir.interpret import evaluate
from graphc.ir.loops import (
    PRIMITIVES,
    VECTOR,
    Apply,
    Buffer,
    Const,
    For,
    Kernel,
    Load,
    Store,
    Var,
    block,
    walk_expressions,
)
from graphc.ir.types import FLOAT32, FLOAT64, TensorType
from graphc.lower.math import FUNCTIONS, NUMBERED
from tests.accuracy import (
    COMPOSITIONS,
    EXACT,
    ROUNDED,
    bit_patterns,
    float_operations,
    function_named,
    narrowed,
    near_multiples_of_half_pi,
    worst,
)
from tests.agreement import BY_QUADRATURE, QUADRATURE_STEPS
from tests.native import TARGETS, run_natively

BOUNDS = {FLOAT32: 1.5, FLOAT64: 2.0}
LOOSE = {"nn.gelu": 2.5}
"""Errors of compositions that are larger than those of most: gelu has that of ndtr and that of a product."""

INF, NAN = np.inf, np.nan


KEYS = sorted(key for key in FUNCTIONS if key[1] in BOUNDS and not key[0].startswith(tuple(NUMBERED)))


def run(key, *columns):
    function = FUNCTIONS[key]
    return evaluate(function.result, dict(zip(function.params, columns, strict=True)))


def ids(key):
    return f"{key[0]}-{key[1]}"


@pytest.mark.parametrize("key", [key for key in KEYS if key[0] != "nextafter"], ids=ids)
def test_error_of(key):
    name, dtype = key
    arguments = EXACT[name].arguments(dtype)
    results = run(key, *arguments)
    assert results.dtype == dtype
    error, at = worst(EXACT[name], results, *arguments)
    bound = QUADRATURE_STEPS if name in BY_QUADRATURE and dtype == FLOAT64 else BOUNDS[dtype]
    assert error <= bound, at


def test_every_operation_on_floats_is_measured():
    found = dict(float_operations())
    assert not ROUNDED & EXACT.keys()
    assert found.keys() == ROUNDED | EXACT.keys(), "add what is new to tests/accuracy.py"


@pytest.mark.parametrize("name", sorted(COMPOSITIONS))
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_error_of_a_composition(name, dtype):
    function = function_named(name)
    if function is None:
        pytest.skip(f"there is no {name} yet")
    arguments = COMPOSITIONS[name].arguments(dtype, count=300)
    inputs = [gx.placeholder(a.shape, dtype) for a in arguments]
    results = gx.compile(inputs, function(*inputs))(*arguments)
    error, at = worst(COMPOSITIONS[name], results, *arguments)
    assert error <= LOOSE.get(name, 3.0), at


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_error_near_multiples_of_half_pi(name, dtype):
    x = near_multiples_of_half_pi(dtype)
    error, at = worst(EXACT[name], run((name, dtype), x), x)
    assert error <= BOUNDS[dtype], at


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_nextafter_is_that_of_numpy(dtype):
    steps = np.array([0.0, -0.0, 1, -1, INF, -INF, NAN, *(np.finfo(dtype).smallest_subnormal * np.arange(1, 4))], dtype)
    edges = np.concatenate(
        [steps, -steps, [np.finfo(dtype).max, np.finfo(dtype).tiny], EXACT["cbrt"].arguments(dtype)[0]]
    )
    x, y = (v.ravel() for v in np.meshgrid(edges[:400], edges[:40]))
    with np.errstate(all="ignore"):
        results, expected = run(("nextafter", dtype), x, y), np.nextafter(x, y)
    np.testing.assert_array_equal(results, expected)
    ordered = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(results[ordered]), np.signbit(expected[ordered]))


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@pytest.mark.parametrize("name", ["remainder", "floor_divide", "fmod"])
def test_remainders_are_those_of_numpy(name, dtype):
    rng = np.random.default_rng(11)
    edges = np.array([0.0, -0.0, 1, -1, INF, -INF, NAN, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal], dtype)
    small = narrowed(rng.uniform(-3, 3, 400), dtype)
    columns = [
        tuple(v.ravel() for v in np.meshgrid(edges, edges)),
        (narrowed(rng.uniform(-100, 100, 400), dtype), small),
        (narrowed(small * rng.integers(1, 2**20, 400), dtype), small),  # next to multiples
        (narrowed(rng.integers(-50, 50, 400), dtype), narrowed(rng.integers(-9, 9, 400), dtype)),
        tuple(bit_patterns(dtype, 400, rng)[:380] for _ in range(2)),
    ]
    x, y = (np.concatenate(column) for column in zip(*columns, strict=True))
    inputs = [gx.placeholder(x.shape, dtype), gx.placeholder(x.shape, dtype)]
    results = gx.compile(inputs, getattr(gx, name)(*inputs))(x, y)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x, y)
    np.testing.assert_array_equal(results, expected)
    np.testing.assert_array_equal(np.signbit(results)[~np.isnan(expected)], np.signbit(expected)[~np.isnan(expected)])


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_special_values_of_hypot(dtype):
    rows = [((INF, NAN), INF), ((NAN, -INF), INF), ((NAN, 1), NAN), ((0.0, -0.0), 0.0), ((-3, 4), 5), ((-0.0, -2), 2)]
    assert_special(("hypot", dtype), [*rows, ((INF, 1), INF), ((2.0**-126, 0), 2.0**-126)])


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_special_values_of_atan2(dtype):
    pi = float(dtype.type(np.pi))
    signed = [
        ((0.0, -0.0), pi), ((0.0, 0.0), 0.0), ((0.0, -1), pi), ((0.0, 1), 0.0), ((0.0, -INF), pi), ((0.0, INF), 0.0),
        ((1, 0.0), pi / 2), ((1, -0.0), pi / 2), ((1, -INF), pi), ((1, INF), 0.0), ((INF, 1), pi / 2),
        ((INF, -1), pi / 2), ((INF, -INF), np.arctan2(INF, -INF)), ((INF, INF), np.arctan2(INF, INF)),
        ((INF, 0.0), pi / 2), ((1e-30, -INF), pi), ((1, 1), np.arctan2(1, 1)),
    ]  # fmt: skip
    rows = signed + [((-y, x), -want) for (y, x), want in signed]
    assert_special(
        ("atan2", dtype), [*rows, *[((NAN, x), NAN) for x in (0.0, 1, INF)], *[((y, NAN), NAN) for y in (0.0, INF)]]
    )


# NumPy's tables, correctly rounded results at chosen points.

TABLES = Path(np.__file__).parent / "_core" / "tests" / "data"


def table(path):
    rows = [line.split(",") for line in path.read_text().splitlines()]
    rows = [row for row in rows if row[0].startswith("np.")]
    for dtype in (FLOAT32, FLOAT64):
        words = [(int(r[1], 16), int(r[2], 16)) for r in rows if r[0] == f"np.{dtype.name}"]
        yield dtype, *np.array(words, np.dtype(f"uint{8 * dtype.itemsize}")).T.copy().view(dtype)


def steps_apart(a, b):
    """Return how many floats lie between a and b, one of them counted; 0 for two NaNs."""
    integer = np.dtype(f"int{8 * a.dtype.itemsize}")
    ordered = [np.where(v.view(integer) < 0, np.iinfo(integer).min - v.view(integer), v.view(integer)) for v in (a, b)]
    return np.where(np.isnan(a) & np.isnan(b), 0, np.abs(ordered[0] - ordered[1]).view(f"u{integer.name}"))


NAMES = {
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "arccosh": "acosh",
    "arcsinh": "asinh",
    "arctanh": "atanh",
}


@pytest.mark.parametrize(
    "path", sorted(TABLES.glob("umath-validation-set-*.csv")) or [None], ids=lambda p: p and p.stem
)
def test_tables_of_numpy(path):
    if path is None:
        pytest.skip(f"this NumPy comes without its tables of function values: none in {TABLES}")
    name = path.stem.removeprefix("umath-validation-set-")
    for dtype, arguments, expected in table(path):
        assert len(arguments) > 90
        x = gx.placeholder(arguments.shape, dtype)
        for results in (
            run((NAMES.get(name, name), dtype), arguments),
            gx.compile([x], getattr(gx, name)(x))(arguments),
        ):
            apart = steps_apart(results, expected)
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
    "ndtr": [(0.0, 0.5), (-0.0, 0.5), (-INF, 0.0), (INF, 1), (-40, 0.0), (40, 1), (-1e30, 0.0), (1e30, 1)],
    "log_ndtr": [(0.0, -0.6931471805599453), (-INF, -INF), (INF, -0.0), (1e30, -0.0), (-1e200, -INF)],
    "erfinv": [(0.0, 0.0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.5, NAN), (-INF, NAN), (INF, NAN)],
    "erfcinv": [(0.0, INF), (-0.0, INF), (1, 0.0), (2, -INF), (-0.5, NAN), (2.5, NAN), (INF, NAN), (-INF, NAN)],
    "ndtri": [(0.0, -INF), (-0.0, -INF), (0.5, 0.0), (1, INF), (-0.5, NAN), (1.5, NAN), (INF, NAN), (-INF, NAN)],
    "lgamma": [
        *[(x, INF) for x in (0.0, -0.0, -1, -2, -1e30, INF, -INF)],
        *[(1, 0.0), (2, 0.0), (3, 0.6931471805599453)],
    ],
    "digamma": [(0.0, -INF), (-0.0, INF), (-1, NAN), (-1e30, NAN), (-INF, NAN), (INF, INF), (1, -0.5772156649015329)],
    "trigamma": [*[(x, INF) for x in (0.0, -0.0, -1, -2)], (INF, 0.0), (-INF, NAN), (1, 1.6449340668482264)],
    "sinc": [*[(x, 1) for x in (0.0, -0.0, 1e-30)], *[(x, 0.0) for x in (1, 2, -1, -2)], (INF, NAN), (-INF, NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (1e-40, 1e-40)],
    "cos": [(0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (1e-40, 1)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (-1e-40, -1e-40)],
    "asin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (1.001, NAN), (-2, NAN), (-1e-40, -1e-40)],
    "acos": [(1, 0.0), (-1, np.pi), (0.0, np.pi / 2), (-0.0, np.pi / 2), (INF, NAN), (-1.001, NAN), (-INF, NAN)],
    "atan": [(0.0, 0.0), (-0.0, -0.0), (INF, np.pi / 2), (-INF, -np.pi / 2), (1e30, np.pi / 2), (-1e-40, -1e-40)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (-1e30, -INF), (1e-40, 1e-40)],
    "cosh": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (-1e30, INF), (1e-40, 1)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (-1e-40, -1e-40)],
    "acosh": [(1, 0.0), (0.999, NAN), (0.0, NAN), (-1, NAN), (-1e30, NAN), (-INF, NAN), (INF, INF)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.5, NAN), (-INF, NAN), (INF, NAN), (1e-40, 1e-40)],
    "cbrt": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (27, 3), (-0.125, -0.5), (2.0**-126, 2.0**-42)],
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


@pytest.mark.parametrize("key", [key for key in KEYS if key[0] in SPECIAL], ids=ids)
def test_special_values_of(key):
    assert_special(key, [((x,), want) for x, want in SPECIAL[key[0]]] + [((NAN,), NAN)])


@pytest.mark.parametrize("key", [("pow", FLOAT32), ("pow", FLOAT64)], ids=ids)
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


TINY = {"expm1", "tanh", "log1p", "erf", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh"}


@pytest.mark.parametrize("key", [key for key in KEYS if key[0] in TINY], ids=ids)
def test_tiny_arguments_keep_their_value(key):
    tiny = np.finfo(key[1]).smallest_subnormal * np.arange(1, 9, dtype=key[1])
    factor = 2 / np.sqrt(np.pi) if key[0] == "erf" else 1
    np.testing.assert_array_equal(run(key, tiny), np.rint(np.arange(1, 9) * factor).astype(key[1]) * tiny[0])
    np.testing.assert_array_equal(run(key, -tiny), -run(key, tiny))


@pytest.mark.parametrize("key", KEYS, ids=ids)
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


def test_the_reference_of_erfcx_overflows_to_infinity():
    x = np.array([-26.6, -26.628, -26.629, -26.65, -26.7, -1e300])
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(OPS["erfcx"].reference(x), scipy.special.erfcx(x), rtol=1e-12)


# Machine code.


def vector_loops(dtype, count):
    """Return one kernel with a vector loop for every function on a dtype, and its arrays."""
    buffers, loops, arrays = [], [], []
    for name in sorted(name for name, of in FUNCTIONS if of == dtype and name in EXACT):
        rng = np.random.default_rng(17)
        columns = EXACT[name].arguments(dtype, 100)
        chosen = rng.integers(0, len(columns[0]), count - len(EDGES))
        columns = [np.concatenate([rng.permutation(EDGES).astype(dtype), column[chosen]]) for column in columns]
        own = [Buffer(f"{name}{k}", TensorType(dtype, (count,))) for k in range(len(columns) + 1)]
        i = Var("i")
        value = Apply(name, tuple(Load(b, (i,)) for b in own[1:]), dtype)
        loops.append(For(i, count, Store(own[0], (i,), value), VECTOR))
        buffers += own
        arrays += [np.zeros(count, dtype), *columns]
    return Kernel("all", tuple(buffers), block(*loops)), arrays


EDGES = np.array([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 1e-40, 2.0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_machine_code_gives_every_bit(dtype, target):
    kernel, arrays = vector_loops(dtype, 213)
    for loop in kernel.body.body:
        name = loop.body.value.op
        own = [
            k for k, b in enumerate(kernel.params) if b in {loop.body.buffer, *(a.buffer for a in loop.body.value.args)}
        ]
        arrays[own[0]][:] = run((name, dtype), *[arrays[k] for k in own[1:]])
    found = [a.copy() for a in arrays]
    run_natively(kernel, found, FUNCTIONS, TARGETS[target])
    for buffer, expected, result in zip(kernel.params, arrays, found, strict=True):
        np.testing.assert_array_equal(result, expected, err_msg=buffer.name)
        ordered = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(result)[ordered], np.signbit(expected)[ordered], err_msg=buffer.name)
