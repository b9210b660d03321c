"""The reference interpreter of the loop IR: statements, scalar operations, and the fused multiply-add."""

from fractions import Fraction

import numpy as np
import pytest

from graphc.errors import InternalError
from graphc.ir.interpret import evaluate, fma, run_kernel
from graphc.ir.loops import (
    CHOICES,
    LIBM,
    PRIMITIVES,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Check,
    Const,
    For,
    Function,
    If,
    Kernel,
    Let,
    Load,
    Space,
    Store,
    Var,
    apply,
    block,
    const,
)
from graphc.ir.types import BOOL, FLOAT32, FLOAT64, INT64, TensorType

INT8, UINT8, INT32, UINT32 = (np.dtype(n) for n in ("int8", "uint8", "int32", "uint32"))


def array_of(name, dtype, *shape):
    return Buffer(name, TensorType(np.dtype(dtype), shape))


# Kernels.


def test_row_sum():
    x, y = array_of("x", "float32", 3, 4), array_of("y", "float32", 3)
    i, j = Var("i"), Var("j")
    loop = For(j, 4, Accumulate(y, (i,), "add", Load(x, (i, j))), VECTOR)
    kernel = Kernel("row_sum", (x, y), For(i, 3, block(Store(y, (i,), const(0, FLOAT32)), loop)))
    data, result = np.arange(12, dtype=np.float32).reshape(3, 4), np.full(3, 7, np.float32)
    assert run_kernel(kernel, [data, result]) is None
    np.testing.assert_array_equal(result, [6, 22, 38])


def test_load_with_a_mask_does_not_look_outside():
    x, y = array_of("x", "int64", 3), array_of("y", "int64", 5)
    i = Var("i")
    before = apply("sub", i, const(1))
    inside = apply("and", apply("ge", before, const(0)), apply("lt", before, const(3)))
    shift = Kernel("shift", (x, y), For(i, 5, Store(y, (i,), Load(x, (before,), inside, const(-1)))))
    result = np.zeros(5, np.int64)
    run_kernel(shift, [np.array([10, 20, 30]), result])
    np.testing.assert_array_equal(result, [-1, 10, 20, 30, -1])
    load = Load(x, (before,), inside, const(-1))
    np.testing.assert_array_equal(evaluate(load, {x: np.array([10, 20, 30]), i: np.arange(5)}), [-1, 10, 20, 30, -1])


def test_load_with_a_false_mask_from_an_empty_array():
    x = array_of("x", "float64", 0)
    assert evaluate(Load(x, (const(0),), const(False, BOOL), const(2.5, FLOAT64)), {x: np.empty(0)}) == 2.5


def test_accumulated_product_is_rounded_once():
    x, y = array_of("x", "float32", 1), array_of("y", "float32", 1)
    product = apply("mul", Load(x, (const(0),)), Load(x, (const(0),)))
    value = np.float32(1 + 2**-12)
    total = np.array([-(value * value)], np.float32)
    run_kernel(Kernel("k", (x, y), Accumulate(y, (const(0),), "add", product)), [np.array([value]), total])
    assert total[0] == 2.0**-24
    run_kernel(Kernel("k", (x, y), Accumulate(y, (const(0),), "max", product)), [np.array([value]), total])
    assert total[0] == value * value


def test_check_ends_the_kernel():
    x, y = array_of("x", "int64", 4), array_of("y", "int64", 4)
    i = Var("i")
    element = Load(x, (i,))
    check = Check(apply("lt", element, const(10)), 3, element)
    kernel = Kernel("checked", (x, y), For(i, 4, block(check, Store(y, (i,), element))))
    result = np.zeros(4, np.int64)
    assert run_kernel(kernel, [np.array([1, 2, 77, 99]), result]) == (3, 77)
    np.testing.assert_array_equal(result, [1, 2, 0, 0])
    assert run_kernel(kernel, [np.array([1, 2, 3, 4]), result]) is None


def test_let_alloc_if_and_nested_loops():
    y = array_of("y", "float64", 2, 3)
    tile = Buffer("tile", TensorType(FLOAT64, (3,)), Space.REGISTER)
    i, j, k, twice = Var("i"), Var("j"), Var("k"), Var("twice", INT64)
    body = block(
        Alloc(tile),
        For(
            j,
            3,
            block(Let(twice, apply("mul", j, const(2))), Store(tile, (j,), Apply("cast", (twice,), FLOAT64))),
            UNROLL,
        ),
        For(k, 3, If(apply("ne", k, i), Store(y, (i, k), Load(tile, (k,)))), SERIAL),
    )
    result = np.full((2, 3), -1.0)
    assert run_kernel(Kernel("k", (y,), For(i, 2, body)), [result]) is None
    np.testing.assert_array_equal(result, [[-1, 2, 4], [0, -1, 4]])


def test_undefined_memory_reads_as_garbage():
    y = array_of("y", "float64", 1)
    tile = Buffer("tile", TensorType(FLOAT64, (1,)), Space.STACK)
    kernel = Kernel("k", (y,), block(Alloc(tile), Store(y, (const(0),), Load(tile, (const(0),)))))
    result = np.zeros(1)
    run_kernel(kernel, [result])
    assert np.isnan(result[0])


def test_a_let_ends_with_its_block():
    y = array_of("y", "int64", 1)
    name = Var("name")
    inner = For(Var("i"), 1, block(Let(name, const(1)), Store(y, (const(0),), name)))
    with pytest.raises(KeyError):
        run_kernel(Kernel("k", (y,), block(inner, Store(y, (const(0),), name))), [np.zeros(1, np.int64)])


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_is_an_error(index):
    x = array_of("x", "float64", 3)
    with pytest.raises(InternalError, match=r"x is f64\[3\], indexed at"):
        run_kernel(Kernel("k", (x,), Store(x, (const(index),), const(0, FLOAT64))), [np.zeros(3)])
    with pytest.raises(InternalError, match=r"x is f64\[3\], indexed at"):
        evaluate(Load(x, (const(index),)), {x: np.zeros(3)})


def test_an_array_must_fit_its_buffer():
    x = array_of("x", "float64", 3)
    with pytest.raises(InternalError, match=r"x is f64\[3\], got float32\[3\]"):
        run_kernel(Kernel("k", (x,), Store(x, (const(0),), const(0, FLOAT64))), [np.zeros(3, np.float32)])


# Expressions.


def test_functions_are_found_by_name_and_dtype_and_may_call_each_other():
    x, y = Var("x", FLOAT64), Var("y", FLOAT64)
    functions = {
        ("twice", FLOAT64): Function("twice", (x,), apply("add", x, x)),
        ("four_times", FLOAT64): Function("four_times", (y,), apply("twice", apply("twice", y))),
    }
    assert evaluate(apply("four_times", const(3, FLOAT64)), {}, functions) == 12
    with pytest.raises(InternalError, match="no scalar operation 'twice' for float32"):
        evaluate(apply("twice", const(3, FLOAT32)), {}, functions)


def test_shared_parts_are_computed_once_and_depth_needs_no_recursion():
    x = Var("x", INT64)
    expr = x
    for _ in range(20_000):
        expr = apply("add", expr, expr)
    assert evaluate(expr, {x: np.int64(1)}) == 0  # 2^20000 wraps


def test_a_dtype_that_does_not_follow_is_an_error():
    with pytest.raises(InternalError, match="add of float32, float64 is not float32"):
        evaluate(apply("add", const(1, FLOAT32), const(1, FLOAT64)), {})


NAN, INF = float("nan"), float("inf")

OPERATIONS = [
    ("lt", FLOAT32, [(1, 2), (2, 1), (1, 1), (NAN, 1)], [True, False, False, False]),
    ("le", FLOAT32, [(1, 2), (2, 1), (1, 1), (NAN, 1)], [True, False, True, False]),
    ("gt", INT32, [(1, 2), (2, 1), (1, 1)], [False, True, False]),
    ("ge", UINT32, [(1, 2), (2**32 - 1, 1), (1, 1)], [False, True, True]),
    ("eq", FLOAT64, [(1, 1), (NAN, NAN), (0.0, -0.0)], [True, False, True]),
    ("ne", FLOAT64, [(1, 1), (NAN, NAN), (0.0, -0.0)], [False, True, False]),
    ("add", INT8, [(127, 1), (-128, -1)], [-128, 127]),
    ("sub", UINT8, [(0, 1)], [255]),
    ("mul", INT32, [(2**16, 2**16), (3, -5)], [0, -15]),
    ("div", FLOAT32, [(1, 3), (1, 0), (0, 0)], [np.float32(1) / np.float32(3), INF, NAN]),
    ("neg", INT8, [(-128,), (5,)], [-128, -5]),
    ("neg", FLOAT32, [(0.0,)], [-0.0]),
    ("abs", FLOAT64, [(-0.0,), (-INF,)], [0.0, INF]),
    ("min", FLOAT32, [(1, 2), (NAN, 1), (1, NAN)], [1, NAN, NAN]),
    ("max", FLOAT32, [(1, 2), (NAN, 1), (1, NAN)], [2, NAN, NAN]),
    ("max", INT64, [(-3, 2)], [2]),
    ("quot", INT32, [(7, 2), (-7, 2), (7, -2), (-7, -2), (-(2**31), 1)], [3, -3, -3, 3, -(2**31)]),
    ("quot", UINT32, [(2**32 - 1, 2)], [2**31 - 1]),
    ("rem", INT32, [(7, 2), (-7, 2), (7, -2), (-7, -2)], [1, -1, 1, -1]),
    ("fma", FLOAT64, [(2, 3, 4), (INF, 0, 1), (1e300, 1e300, -INF)], [10, NAN, -INF]),
    ("sqrt", FLOAT64, [(4,), (-1,), (-0.0,)], [2, NAN, -0.0]),
    ("floor", FLOAT32, [(-1.5,), (1.5,)], [-2, 1]),
    ("ceil", FLOAT32, [(-1.5,), (-0.5,)], [-1, -0.0]),
    ("trunc", FLOAT32, [(-1.5,), (1.5,)], [-1, 1]),
    ("rint", FLOAT32, [(0.5,), (1.5,), (2.5,), (-0.5,)], [0, 2, 2, -0.0]),
    ("copysign", FLOAT64, [(1, -0.0), (-2, 3)], [-1, 2]),
    ("and", INT32, [(0b1100, 0b1010)], [0b1000]),
    ("or", INT32, [(0b1100, 0b1010)], [0b1110]),
    ("xor", BOOL, [(True, True), (True, False)], [False, True]),
    ("not", INT8, [(0,), (5,)], [-1, -6]),
    ("not", BOOL, [(False,)], [True]),
    ("shl", INT8, [(1, 7), (3, 7)], [-128, -128]),
    ("shr", INT8, [(-128, 7), (64, 1)], [-1, 32]),
    ("shr", UINT8, [(128, 7)], [1]),
]


@pytest.mark.parametrize(
    ("op", "dtype", "arguments", "expected"), OPERATIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_operation(op, dtype, arguments, expected):
    variables = [Var(f"x{k}", dtype) for k in range(len(arguments[0]))]
    expr = apply(op, *variables)
    columns = [np.array(column, dtype) for column in zip(*arguments, strict=True)]
    results = evaluate(expr, dict(zip(variables, columns, strict=True)))
    assert_same(results, np.array(expected, expr.dtype))
    for row, want in zip(arguments, expected, strict=True):
        result = evaluate(apply(op, *(Const(v, dtype) for v in row)), {})
        assert_same(np.atleast_1d(result), np.array([want], expr.dtype))


def test_select_cast_and_bitcast():
    condition, x = Var("c", BOOL), Var("x", FLOAT32)
    env = {condition: np.array([True, False]), x: np.array([-1.75, 300], np.float32)}
    for choice in CHOICES:
        found = evaluate(apply(choice, condition, x, const(0, FLOAT32)), env)
        assert_same(found, np.array([-1.75, 0], np.float32))
    assert_same(evaluate(Apply("cast", (x,), INT32), env), np.array([-1, 300], np.int32))
    assert_same(evaluate(Apply("cast", (x,), BOOL), env), np.array([True, True]))
    assert_same(evaluate(Apply("cast", (condition,), FLOAT64), env), np.array([1.0, 0.0]))
    assert_same(evaluate(Apply("bitcast", (const(1, FLOAT32),), INT32), {}), np.int32(0x3F800000))
    assert_same(evaluate(Apply("bitcast", (x,), INT32), env), env[x].view(np.int32))
    evaluate(Apply("cast", (const(NAN, FLOAT32),), INT32), {})  # some int


def test_every_primitive_is_tested():
    assert {op for op, *_ in OPERATIONS} | {*CHOICES, "cast", "bitcast"} == PRIMITIVES


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@pytest.mark.parametrize("op", sorted(LIBM))
def test_the_c_library_is_there(op, dtype):
    binary = op in ("pow", "atan2", "hypot", "fmod", "nextafter")
    result = evaluate(apply(op, *[const(1.25, dtype)] * (2 if binary else 1)), {})
    assert result.dtype == dtype
    assert np.isnan(result) == (op in ("asin", "acos", "atanh"))


def test_gamma_functions_at_poles():
    x = np.array([0.0, -0.0, -1.0, 400.0, -INF])
    var = Var("x", FLOAT64)
    assert_same(evaluate(apply("lgamma", var), {var: x})[:3], np.array([INF, INF, INF]))
    assert_same(evaluate(apply("tgamma", var), {var: x}), np.array([INF, -INF, NAN, INF, NAN]))


def assert_same(result, expected):
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    if expected.dtype.kind == "f":
        signed = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(result)[signed], np.signbit(expected)[signed])


# The fused multiply-add.


def rounded(exact, dtype):
    """Return a fraction rounded to nearest, ties to even."""
    info = np.finfo(dtype)
    if exact == 0:
        return 0.0
    exponent = abs(exact.numerator).bit_length() - exact.denominator.bit_length()
    if abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, info.minexp) - info.nmant)
    value = round(exact / unit) * unit  # round() of a Fraction is to even
    if abs(value) > Fraction(float(info.max)):
        return INF if value > 0 else -INF
    return float(value) or (-0.0 if exact < 0 else 0.0)


def operands(dtype, kind, count):
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    low, high = info.minexp, info.maxexp
    if kind == "bits":
        integer = np.dtype(f"int{info.bits}")
        return [
            rng.integers(np.iinfo(integer).min, np.iinfo(integer).max, count, integer).view(dtype) for _ in range(3)
        ]
    a, b, c = (rng.uniform(1, 2, count) * rng.choice([-1, 1], count) for _ in range(3))
    e = rng.integers(-20, 20, count)
    if kind == "cancelling":
        near = 1 + rng.integers(-3, 4, count) * float(info.eps)
        return [v.astype(dtype) for v in (a, b, -(a.astype(dtype) * b.astype(dtype)) * near)]
    if kind == "ties":
        small = [rng.integers(-8, 9, count).astype(dtype) for _ in range(3)]
        return [small[0], small[1], np.ldexp(small[2], rng.integers(-info.nmant - 3, info.nmant + 3, count))]
    if kind == "subnormal":
        half = low // 2
        return [np.ldexp(v, k).astype(dtype) for v, k in ((a, half + e), (b, low - half - e - 8), (c, low + e))]
    half = high // 2
    return [np.ldexp(v, k).astype(dtype) for v, k in ((a, half + e), (b, high - half - e - 2), (c, high - 1 - abs(e)))]


@pytest.mark.parametrize("kind", ["bits", "cancelling", "ties", "subnormal", "huge"])
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_fma_is_rounded_once(dtype, kind):
    a, b, c = (np.where(np.isfinite(v), v, 1).astype(dtype) for v in operands(dtype, kind, 2000))
    results = fma(a, b, c)
    assert results.dtype == dtype
    for x, y, z, result in zip(a.tolist(), b.tolist(), c.tolist(), results, strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        if exact != 0:
            assert_same(result, dtype.type(rounded(exact, dtype)))


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_fma_of_zeros_infinities_and_nans(dtype):
    values = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN]
    a, b, c = (v.ravel().astype(dtype) for v in np.meshgrid(values, values, values))
    with np.errstate(all="ignore"):
        assert_same(fma(a, b, c), a * b + c)  # each of these products and sums is exact
    m = float(np.finfo(dtype).max)
    a, b, c = (np.array(v, dtype) for v in ([m, m, -m, m], [m, m, m, -m], [-INF, -m, INF, NAN]))
    assert_same(fma(a, b, c), np.array([-INF, INF, INF, NAN], dtype))


def test_fma_of_scalars_is_a_scalar():
    result = fma(np.float64(3), np.float64(4), np.float64(5))
    assert isinstance(result, np.float64)
    assert result == 17
