"""The text of kernels reads back as the same kernel; the key of a kernel ignores names and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.compiler import compile
from graphc.errors import ArgumentError
from graphc.ir.intern import kernel_key
from graphc.ir.loop_parse import kernel_from_text
from graphc.ir.loop_text import kernel_text, program_text
from graphc.ir.loops import (
    PARALLEL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Block,
    Buffer,
    Check,
    Const,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    apply,
    block,
    const,
    linear,
)
from graphc.ir.types import BOOL, FLOAT32, FLOAT64, INT64, TensorType
from graphc.ir.verify import verify_kernel


def buffer(name: str, dtype: np.dtype, *shape: int, space: Space = Space.ARGUMENT) -> Buffer:
    return Buffer(name, TensorType(dtype, shape), space)


def round_trip(kernel: Kernel) -> str:
    text = kernel_text(kernel)
    again = kernel_from_text(text)
    assert kernel_text(again) == text
    assert kernel_key(again) == kernel_key(kernel)
    return text


X, Y, M = buffer("x", FLOAT32, 8, 16), buffer("y", FLOAT32, 8), buffer("m", BOOL, 3)
ROW, COLUMN = Var("i"), Var("j")
ELEMENT = Load(X, (ROW, COLUMN))


def kernel_of(stmt: Stmt) -> Kernel:
    """Return a kernel with a statement in two loops."""
    return Kernel("k", (X, Y, M), For(ROW, 8, For(COLUMN, 16, stmt)))


def test_the_form() -> None:
    acc, t = buffer("acc", FLOAT32, space=Space.REGISTER), Var("t", FLOAT32)
    square = apply("mul", apply("add", ELEMENT, const(1, FLOAT32)), apply("add", ELEMENT, const(1, FLOAT32)))
    is_early = apply("lt", ROW, const(6))
    kernel = Kernel(
        "row_sum",
        (X, Y),
        For(
            ROW,
            8,
            block(
                Alloc(acc),
                Store(acc, (), const(0, FLOAT32)),
                For(COLUMN, 16, Accumulate(acc, (), "add", square), VECTOR),
                Let(t, Load(acc, (), is_early, const(-1, FLOAT32))),
                Check(apply("ge", ROW, const(0)), 2, ROW),
                If(is_early, block(Accumulate(Y, (ROW,), "max", t))),
            ),
            PARALLEL,
        ),
    )
    assert round_trip(kernel) == (
        "def row_sum(x: f32[8, 16], y: f32[8]):\n"
        "    for i in parallel(8):\n"
        "        acc: register(f32[()])\n"
        "        acc[()] = 0.0\n"
        "        for j in vector(16):\n"
        "            s0 = x[i, j]\n"
        "            acc[()] += (s0 + 1.0) * (s0 + 1.0)\n"
        "        t: f32 = acc[()] if i < 6 else -1.0\n"
        "        check(i >= 0, site=2, value=i)\n"
        "        if i < 6:\n"
        "            y[i].max(t)\n"
    )


def expressions() -> list[Expr]:
    one, half, nothing = const(1, FLOAT32), const(0.5, FLOAT32), const(np.nan, FLOAT32)
    a, b = ELEMENT, apply("exp", ELEMENT)
    integer = linear([(ROW, 3), (COLUMN, -1)], 7)
    mask = apply("and", apply("lt", ROW, COLUMN), Load(M, (const(1),)))
    return [
        one,
        nothing,
        const(-0.0, FLOAT32),
        apply("sub", a, apply("sub", a, b)),
        apply("sub", apply("sub", a, b), a),
        apply("mul", apply("add", a, b), apply("neg", a)),
        apply("neg", apply("neg", a)),
        apply("neg", one),
        apply("add", one, half),
        apply("add", apply("add", one, half), a),
        apply("max", half, a),
        apply("fma", a, const(-2, FLOAT32), half),
        apply("select", mask, one, half),
        apply("select", apply("not", mask), a, nothing),
        apply("select", Const(True, BOOL), a, b),
        Apply("cast", (integer,), FLOAT32),
        Apply("cast", (apply("quot", integer, const(3)),), FLOAT32),
        Apply("bitcast", (Apply("bitcast", (a,), np.dtype("i4")),), FLOAT32),
        Apply("cast", (apply("eq", apply("lt", a, b), apply("lt", b, a)),), FLOAT32),
        Apply("cast", (apply("xor", apply("shl", ROW, const(2)), apply("or", ROW, COLUMN)),), FLOAT32),
        Load(X, (ROW, apply("add", COLUMN, const(1))), apply("lt", COLUMN, const(15)), half),
        Load(X, (ROW, COLUMN), Load(M, (const(0),)), Load(Y, (ROW,), mask, None)),
        Apply("odd", (a, const(3)), FLOAT32),
        Apply("odd", (one, const(3), const(2, FLOAT64)), FLOAT32),
        Apply("cast", (Load(Y, (Apply("cast", (a,), INT64),)),), FLOAT32),
    ]


@pytest.mark.parametrize("expr", expressions(), ids=lambda e: getattr(e, "op", type(e).__name__))
def test_expressions(expr: Expr) -> None:
    round_trip(kernel_of(Store(Y, (ROW,), expr)))
    round_trip(kernel_of(Let(Var("t", expr.dtype), expr)))


def test_shared_and_deep_expressions_are_abbreviated() -> None:
    shared: Expr = ELEMENT
    for _ in range(60):
        shared = apply("add", shared, shared)
    deep: Expr = ELEMENT
    for _ in range(3000):
        deep = apply("exp", apply("neg", deep))
    text = round_trip(kernel_of(block(Store(Y, (ROW,), shared), Store(Y, (ROW,), deep))))
    assert len(text) < 100_000
    assert max(map(len, text.splitlines())) < 150


def test_names_end_with_their_scope() -> None:
    a, b = Var("i"), Var("i")
    inner = For(b, 8, Store(Y, (b,), Load(Y, (a,))))
    kernel = Kernel("k 1", (Y, buffer("y", FLOAT32, 8)), block(For(a, 8, inner), For(Var("i"), 8, Block(()))))
    assert round_trip(kernel) == (
        '@named("k 1")\n'
        'def k_1(y: f32[8], y_1: named("y", f32[8])):\n'
        "    for i in range(8):\n"
        "        for i_1 in range(8):\n"
        "            y[i_1] = y[i]\n"
        "    for i in range(8):\n"
        "        pass\n"
    )


def test_blocks_in_blocks() -> None:
    tiles = [buffer("tile", FLOAT32, 4, space=Space.STACK) for _ in range(2)]
    inner = [Block((Alloc(t), Store(t, (const(0),), const(1, FLOAT32)))) for t in tiles]
    text = round_trip(kernel_of(Block(tuple(inner))))
    assert text.count("with block():") == 2
    assert text.count("tile: stack(f32[4])") == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("y[j] = 1.0", "j is not a value"),
        ("z[i] = 1.0", "z is not a buffer"),
        ("y[i] = y", "y is not a value"),
        ("y[i] = cast(i)", "cast needs a dtype"),
        ("t = y", "y is not a value"),
        ("for k in i: pass", "a loop is: for name in"),
        ("return", "not a statement of the loop IR"),
        ("print(i)", "is not a statement of the loop IR"),
        ("y[i] = [1.0]", "is not an expression of the loop IR"),
        ("a: f33 = i", "is declared neither"),
    ],
)
def test_misprints(line: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"line 3: .*{message}"):
        kernel_from_text(f"def k(y: f32[8]):\n    for i in range(8):\n        {line}\n")


# Keys.


def key(text: str) -> str:
    return kernel_key(kernel_from_text(text))


BASE = "def k(x: f32[8], y: f32[8]):\n    for i in range(8):\n        y[i] = x[i] + x[i]\n"


@pytest.mark.parametrize(
    "same",
    [
        "def other(a: f32[8], b: f32[8]):\n    for n in range(8):\n        b[n] = a[n] + a[n]\n",
        "def k(x: f32[8], y: f32[8]):\n    for i in range(8):\n        s0 = x[i]\n        y[i] = s0 + s0\n",
    ],
)
def test_names_and_sharing_do_not_count(same: str) -> None:
    assert key(same) == key(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("range(8)", "range(7)"),
        ("range", "vector"),
        ("y[i] =", "x[i] ="),
        ("x[i] + x[i]", "x[i] + y[i]"),
        ("x[i] + x[i]", "x[i] - x[i]"),
        ("x[i] + x[i]", "x[i] + 0.0"),
        ("y[i] =", "y[i] +="),
        ("y: f32[8]", "y: f32[9]"),
        ("y: f32[8]", "y: f32[8], z: f32[8]"),
        ("y[i] = x[i] + x[i]", "y[i] = x[i] if i < 3 else 0.0"),
    ],
)
def test_everything_else_counts(old: str, new: str) -> None:
    assert key(BASE.replace(old, new)) != key(BASE)


def test_signs_of_zero_and_nan_count() -> None:
    keys = {kernel_key(kernel_of(Store(Y, (ROW,), const(v, FLOAT32)))) for v in (0.0, -0.0, np.nan, 1.0)}
    assert len(keys) == 4
    assert kernel_key(kernel_of(Store(Y, (ROW,), const(np.nan, FLOAT32)))) in keys


def test_statements_end_where_they_end() -> None:
    store = Store(Y, (ROW,), const(1, FLOAT32))
    inside = Kernel("k", (Y,), For(ROW, 8, block(store, store), UNROLL))
    loop, other = For(ROW, 8, store, UNROLL), Var("o")
    outside = Kernel("k", (Y,), block(loop, For(other, 8, Store(Y, (other,), const(1, FLOAT32)), UNROLL)))
    assert kernel_key(inside) != kernel_key(outside)


# What the compiler makes.


def test_kernels_of_a_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = []
    original = gx.compiler.emit_module
    monkeypatch.setattr("graphc.compiler.emit_module", lambda p, *a, **k: programs.append(p) or original(p, *a, **k))
    x, y = gx.placeholder((12, 6), name="x"), gx.placeholder((12,), "int64", name="y")
    w = gx.variable(np.ones((6, 5), np.float32), name="w")
    loss = gx.nn.cross_entropy(gx.tanh(x @ w), y)
    step = compile([x, y], loss, updates={w: w - 0.1 * gx.gradients(loss, w)})
    step(np.ones((12, 6), np.float32), np.zeros(12, int))
    (program,) = programs
    for kernel in program.kernels:
        verify_kernel(kernel, program.functions)
        round_trip(kernel)
    text = program_text(program)
    assert all(f"def {k.name}(" in text for k in program.kernels)
    assert "def exp(x: f32) -> f32:" in text
    assert f"# arena: {program.arena_bytes} bytes" in text
