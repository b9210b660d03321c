"""The verifier names what is wrong, for each invariant that its docstring lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.errors import InternalError
from graphc.ir.graph import OPS, Graph, Literal, Node, constant, items, literal, placeholder, variable
from graphc.ir.loop_parse import kernel_from_text
from graphc.ir.loops import (
    Alloc,
    Apply,
    Buffer,
    Check,
    Const,
    Expr,
    For,
    Function,
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
)
from graphc.ir.text import from_text
from graphc.ir.types import BOOL, FLOAT32, FLOAT64, INT64, TensorType, TupleType
from graphc.ir.verify import verify, verify_kernel
from graphc.ops.control import parameter, scan
from tests.graphs import random_graph

ROW = TensorType(FLOAT32, (3,))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exact=st.booleans(), symbolic=st.booleans())
def test_good_graphs(seed: int, exact: bool, symbolic: bool) -> None:
    verify(random_graph(seed, exact, symbolic=symbolic))


def bad_graphs() -> dict[str, tuple[Graph, str]]:
    x = placeholder(name="x", type=ROW)
    w = variable(name="w", type=ROW, state="w")
    mul = OPS["mul"]
    c, row = parameter("c", TensorType(FLOAT32, ())), parameter("x", TensorType(FLOAT32, ()))
    loop = scan(Graph((c, row), (c + row,)), [literal(0, FLOAT32)], [x], [], 3)
    captured = scan(Graph((c, row), (c + row,)), [literal(0, FLOAT32)], [x], [], 3)
    outside = Graph((c, row), (c + row * parameter("free", TensorType(FLOAT32, ())), c), name="body")
    captured = Node(captured.op, captured.inputs, {**captured.attrs, "body": outside}, captured.type)
    read = Graph((c, row), (c + variable(name="v", type=c.type, state="v"), c), name="body")
    reading = Node(loop.op, loop.inputs, {**loop.attrs, "body": read}, loop.type)
    writeable = Literal(np.zeros(3, np.float32))
    writeable.array.flags.writeable = True
    return {
        "free": (Graph((), (mul(x, x),)), "placeholder x: f32\\[3\\] is not an input"),
        "twice": (Graph((x, x), (x,)), "an input is listed twice"),
        "constant_input": (Graph((literal(1, FLOAT32),), ()), "is an input but no placeholder"),
        "update": (Graph((x,), (), ((x, x),)), "is updated but no variable"),
        "updates": (Graph((), (), ((w, w), (w, w))), "is updated twice"),
        "update_type": (Graph((), (), ((w, literal(1, FLOAT32)),)), "updated with a value of another type, f32\\[\\]"),
        "type": (Graph((x,), (Node(mul, (x, x), {}, TensorType(FLOAT64, (3,))),)), "should have type f32\\[3\\]"),
        "arity": (Graph((x,), (Node(mul, (x,), {}, ROW),)), "mul: f32\\[3\\] takes 2 operands, not 1"),
        "attribute": (Graph((x,), (Node(OPS["sum"], (x,), {"axis": (7,)}, ROW),)), "sum: f32\\[3\\] has no valid type"),
        "missing": (Graph((x,), (Node(OPS["sum"], (x,), {}, ROW),)), "sum: f32\\[3\\] has no valid type"),
        "unhashable": (Graph((x,), (Node(OPS["sum"], (x,), {"axis": [0]}, ROW),)), "axis is not hashable"),
        "writeable": (Graph((), (constant(value=writeable),)), "can be written to"),
        "several": (Graph((x,), (loop,)), "has several results and is one"),
        "no_item": (Graph((x,), (Node(mul, (loop, loop), {}, ROW),)), "reads scan: .* without item"),
        "captured": (Graph((x,), (items(captured)[0],)), "body: placeholder free: f32\\[\\] is not an input"),
        "variable_in_body": (Graph((x,), (items(reading)[0],)), "body: a body has no variables"),
    }


@pytest.mark.parametrize("name", bad_graphs())
def test_bad_graphs(name: str) -> None:
    graph, message = bad_graphs()[name]
    with pytest.raises(InternalError, match=message):
        verify(graph)


def test_the_stage_and_the_line_are_named() -> None:
    graph = from_text("def f(x: f32[3]):\n    a = exp(x)\n    return (a,)")
    (a,) = graph.outputs
    bad = Graph(graph.inputs, (Node(a.op, a.inputs, {}, TupleType((ROW,)), a.location),), name="f")
    with pytest.raises(InternalError, match=r"^after simplify: f: exp: .*has several results(?s:.)*<text>:2"):
        verify(bad, "simplify")


def test_interned() -> None:
    graph = from_text("def f(x: f32[3]): return (exp(x), exp(x))")
    verify(graph)
    with pytest.raises(InternalError, match="two nodes are the same: exp"):
        verify(graph, interned=True)


# Kernels.

GOOD = """
def k(x: f32[8, 16], n: i64[8], y: f32[8]):
    for i in parallel(8):
        acc: register(f32[2, 16])
        row: stack(f32[16])
        for m in unroll(2):
            for j in vector(16):
                acc[m, j] = 0.0
        for j in vector(16):
            row[j] = exp(x[i, j])
            acc[1, j] += x[i, j] * row[j]
        check((n[i] >= 0) & (n[i] < 16), site=0, value=n[i])
        t: f32 = x[i, n[i]]
        if i < 7:
            y[i + 1] = t
        y[i] = x[i, i + 12] if i < 4 else cast(i, dtype=f32)
"""


def test_good_kernel() -> None:
    verify_kernel(kernel_from_text(GOOD))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("in vector(16)", "in vector(17)", "index 1 is 0 to 16 on an axis of size 16"),
        ("y[i + 1]", "y[i * 2 + 3]", "never"),
        ("        if i < 7:\n            y[i + 1]", "        y[i + 1]", "index 0 is 1 to 8 on an axis of size 8"),
        ("if i < 4 else cast(i, dtype=f32)", "", "index 1 is 12 to 19"),
        ("parallel(8)", "parallel(0)", "loop i has extent 0"),
        ("row[j] = exp(x[i, j])", "row[j] = x[i, j] < 1.0", "buffer row is f32\\[16\\], stored bool"),
        ("row[j] = exp(x[i, j])", "row[j] = x[i]", "has an index of 1 expressions"),
        ("row[j] = exp(x[i, j])", "row[j] = x[i, x[i, j]]", "an index is float32"),
        ("x[i, j] * row[j]", "x[i, j] & row[j]", "and\\(float32, float32\\)"),
        ("x[i, j] * row[j]", "quot(x[i, j], row[j])", "quot\\(float32, float32\\)"),
        ("x[i, j] * row[j]", "sqrt(x[i, j], row[j])", "sqrt\\(float32, float32\\)"),
        ("x[i, j] * row[j]", "add(x[i, j], n[i])", "add\\(float32, int64\\)"),
        ("x[i, j] * row[j]", "add(x[i, j], row[j], dtype=i64)", "add\\(float32, float32\\) -> int64"),
        ("x[i, j] * row[j]", "bitcast(x[i, j], dtype=f64)", "bitcast\\(float32\\) -> float64"),
        ("x[i, j] * row[j]", "pow(x[i, j], n[i])", "of the C library"),
        ("x[i, j] * row[j]", "select(x[i, j], row[j], row[j])", "select"),
        ("if i < 7:", "if i + 7:", "a condition is int64"),
        ("if i < 4", "if i + 4", "a mask is no bool"),
        ("(n[i] >= 0) & (n[i] < 16), site", "n[i], site", "check 0 is int64"),
        ("value=n[i]", "value=x[i, 0]", "check 0 reports a float32"),
        ("acc[1, j] += x[i, j] * row[j]", "acc[1, j].sub(x[i, j])", "accumulates with sub"),
        ("acc[1, j] += x[i, j] * row[j]", "acc[n[i], j] += x[i, j]", "no constant once loops are unrolled"),
        ("parallel(8)", "parallel(2)", "never"),
        ("acc[1, j] += x[i, j] * row[j]", "acc[1, n[i]] += x[i, j]", "no constant once loops are unrolled"),
        ("acc[m, j] = 0.0", "acc[m + i - i, j] = 0.0", "never"),
        ("row[j] = exp(x[i, j])", "row[j] = acc[j, 1] if j < 2 else exp(x[i, j])", "never"),
        ("acc[1, j] += x[i, j] * row[j]", "acc[0, j] += acc[j, j]", "index 0 is 0 to 15|no constant once"),
        ("acc[1, j] += x[i, j] * row[j]", "acc[1, j * 2] += x[i, j]", "index 1 is 0 to 30|no constant once"),
    ],
)
def test_bad_kernels(old: str, new: str, message: str) -> None:
    assert old in GOOD
    kernel = kernel_from_text(GOOD.replace(old, new))
    if message == "never":  # among them an index that may look outside, under an If
        verify_kernel(kernel)
        return
    with pytest.raises(InternalError, match=f"kernel k: .*({message})"):
        verify_kernel(kernel)


X, Y, I8, T = Buffer("x", ROW), Buffer("y", ROW), Var("i"), Var("t", FLOAT32)
TILE = Buffer("tile", ROW, Space.STACK)


def copy(value: Expr) -> Stmt:
    return For(I8, 3, Store(Y, (I8,), value))


@pytest.mark.parametrize(
    ("stmt", "message"),
    [
        (Store(Y, (I8,), const(1, FLOAT32)), "variable i is used out of scope"),
        (block(copy(const(1, FLOAT32)), Store(Y, (I8,), const(1, FLOAT32))), "variable i is used out of scope"),
        (block(If(Const(True, BOOL), Let(T, const(1, FLOAT32))), copy(T)), "variable t is used out of scope"),
        (copy(T), "variable t is used out of scope"),
        (For(I8, 3, copy(const(1, FLOAT32))), "variable i is bound twice"),
        (Let(T, const(1, INT64)), "variable t is float32, its value int64"),
        (For(T, 3, Check(Const(True, BOOL), 0, const(1))), "loop variable t is float32"),
        (Store(TILE, (const(0),), const(1, FLOAT32)), "buffer tile is used out of scope"),
        (block(Alloc(TILE), Alloc(TILE)), "buffer tile is declared twice"),
        (Alloc(Buffer("z", ROW)), "buffer z is an ARGUMENT and allocated"),
        (copy(Load(X, (I8,), Const(True, BOOL), const(1))), "filled with another dtype"),
        (Check(Const(True, BOOL), -1, const(1)), "check -1"),
        (Store(Y, (const(-1),), const(1, FLOAT32)), "index 0 is -1 to -1 on an axis of size 3"),
    ],
    ids=lambda v: None if isinstance(v, str) else type(v).__name__,
)
def test_bad_statements(stmt: Stmt, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        verify_kernel(Kernel("k", (X, Y), stmt))


def test_bad_parameters() -> None:
    with pytest.raises(InternalError, match="parameter tile is no ARGUMENT"):
        verify_kernel(Kernel("k", (TILE,), block()))
    with pytest.raises(InternalError, match="buffer x is declared twice"):
        verify_kernel(Kernel("k", (X, X), block()))


def test_functions() -> None:
    x = Var("x", FLOAT32)
    twice = Function("twice", (x,), apply("add", x, x))
    functions = {("twice", FLOAT32): twice}
    good = Kernel("k", (X, Y), copy(apply("twice", Load(X, (I8,)))))
    verify_kernel(good, functions)
    with pytest.raises(InternalError, match="there is no such operation"):
        verify_kernel(good, {})
    wrong = Kernel("k", (X, Y), copy(Apply("twice", (Load(X, (I8,)), Load(X, (I8,))), FLOAT32)))
    with pytest.raises(InternalError, match="does not fit the function"):
        verify_kernel(wrong, functions)
