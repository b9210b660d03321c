"""cond, while_loop, fori_loop and map: against plain Python, in both derivative modes, natively and node by node."""

from dataclasses import dataclass

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.ir.graph import Graph
from graphc.ir.text import from_text, to_text
from graphc.ops.control import whiles
from graphc.passes.hoist import hoist
from graphc.passes.prune import prune
from tests.running import check_gradients, inputs_like, program

BACKENDS = ("eager", "llvm")


@dataclass
class State:
    value: gx.Tensor
    steps: gx.Tensor


def power(x, n, max_steps=None):
    return gx.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, 1.0), max_steps)[1]


def newton(a, steps=None):
    """Return the square roots of a, until none moves by more than 1e-12."""
    start = (gx.ones_like(a) + a, gx.asarray(True))

    def step(c):
        new = 0.5 * (c[0] + a / c[0])
        return new, gx.any(gx.abs(new - c[0]) > 1e-12)

    return gx.while_loop(lambda c: c[1], step, start, steps)[0]


def collatz(n):
    def step(c):
        return gx.cond(c[0] % 2 == 0, lambda v: v // 2, lambda v: 3 * v + 1, c[0]), c[1] + 1

    return gx.while_loop(lambda c: c[0] != 1, step, (n, 0))[1]


def python_collatz(n):
    steps = 0
    while n != 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


def gcd(a, b):
    return gx.while_loop(lambda c: c["b"] != 0, lambda c: {"a": c["b"], "b": c["a"] % c["b"]}, {"a": a, "b": b})["a"]


def branchy(x, flag):
    return gx.cond(gx.sum(flag) > 0, lambda v: gx.sum(gx.sin(v) * v), lambda v: gx.sum(v * v), x)


def rows(xs):
    """Return for each row how often it can be halved until it is small: a loop in a scan."""

    def body(total, x):
        final = gx.while_loop(lambda c: gx.sum(c * c) > 0.1, lambda c: 0.5 * c * gx.cos(c), x)
        return total + gx.sum(final), final

    total, finals = gx.scan(body, gx.zeros((), dtype="float64"), xs)
    return gx.sum(finals * finals) + total


def inner_scan(x):
    """Return a while_loop whose body is a scan with a cond in it."""

    def step(c):
        def body(a, v):
            return gx.cond(v > 0, lambda a, v: a * v, lambda a, v: a + gx.sin(v), a, v), None

        return c[0] + 1, gx.scan(body, c[1], x)[0]

    return gx.while_loop(lambda c: c[0] < 3, step, (0, gx.asarray(0.9)))[1]


X = np.array([0.7, -1.3, 2.1])
ROWS = np.random.default_rng(1).normal(size=(4, 3))

VALUES = [
    (power, (3.0, 5), 243.0),
    (power, (3.0, 0), 1.0),
    (newton, (X * X,), np.abs(X)),
    (collatz, (27,), python_collatz(27)),
    (gcd, (84, 36), 12),
    (gcd, (17, 0), 17),
    (branchy, (X, np.ones(2)), np.sum(np.sin(X) * X)),
    (branchy, (X, -np.ones(2)), np.sum(X * X)),
    (lambda n: gx.fori_loop(1, n + 1, lambda i, p: p * i, 1), (6,), 720),
    (lambda n: gx.fori_loop(n, 3, lambda i, p: p * i, 1), (7,), 1),
    (lambda x: gx.fori_loop(2, 5, lambda i, p: p + i * x, 0.0), (2.0,), 18.0),
    (lambda x: gx.fori_loop(0, x.shape[0], lambda i, c: c + x[i], 0.0), (X,), X.sum()),
    (lambda x: gx.fori_loop(2, x.shape[0], lambda i, c: c + x[i], 0.0), (X,), X[2]),
    (lambda x: gx.fori_loop(5, x.shape[0], lambda i, c: c + x[i], 0.0), (X,), 0.0),
    (lambda xs: gx.map(lambda x: {"s": gx.sum(x), "m": gx.max(x)}, xs)["m"], (ROWS,), ROWS.max(1)),
    (lambda x: gx.cond(True, lambda v: v + 1, lambda v: v, x), (2.0,), 3.0),
    (lambda x: gx.cond(x > 0, lambda: x, lambda: 0.0), (2.0,), 2.0),
    (lambda x: gx.cond(x > 0, lambda s: State(s.value * 2, s.steps + 1), lambda s: s, State(x, gx.asarray(1))).value,
     (2.0,), 4.0),
    (lambda x: gx.while_loop(lambda s: s.steps < 3, lambda s: State(s.value * x, s.steps + 1), State(1.0, 0)).value,
     (2.0,), 8.0),
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "arrays", "expected"), VALUES)
@pytest.mark.parametrize("symbolic", [False, True])
def test_values(function, arrays, expected, backend, symbolic):
    inputs = inputs_like(*arrays, symbolic=symbolic)
    np.testing.assert_allclose(gx.compile(inputs, function(*inputs), backend=backend)(*arrays), expected, rtol=1e-14)


DIFFERENTIABLE = [
    (lambda x: power(x, 5), (3.0,)),
    (lambda x: power(x, 5, max_steps=5), (3.0,)),
    (lambda x: power(x, 0), (3.0,)),
    (newton, (X * X,)),
    (lambda a: newton(a, 60), (X * X,)),
    (lambda x: branchy(x, gx.ones((2,))), (X,)),
    (lambda x: branchy(x, -gx.ones((2,))), (X,)),
    (rows, (ROWS,)),
    (inner_scan, (X,)),
    (lambda x: gx.fori_loop(0, 3, lambda i, c: gx.sin(c) * x + i, x), (X,)),
    (lambda x: gx.cond(x[0] > 0, lambda v: power(v[0], 3), lambda v: v[1], x), (X,)),
]


@pytest.mark.parametrize(("function", "arrays"), DIFFERENTIABLE)
def test_derivatives(function, arrays):
    check_gradients(function, *arrays, tolerance=1e-5)


@pytest.mark.parametrize(("function", "arrays"), [DIFFERENTIABLE[k] for k in (0, 1, 5, 8)])
def test_second_derivatives(function, arrays):
    check_gradients(function, *arrays, order=2, tolerance=1e-4)


@pytest.mark.parametrize(("function", "arrays"), DIFFERENTIABLE)
def test_compiled_derivatives(function, arrays):
    inputs = inputs_like(*[np.asarray(a, np.float64) for a in arrays])
    y = function(*inputs)
    found = gx.gradients(gx.sum(y), inputs, unconnected="zero")
    along = gx.pushforward([y], inputs, [gx.ones_like(i) for i in inputs])
    expected = program([*found, *along], inputs)(*arrays)
    for options in (gx.Options(), gx.Options(verify=True)):
        results = gx.compile(inputs, [*found, *along], options=options)(*arrays)
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_derivative_of_many_steps(backend):
    x, n = gx.placeholder((), "float64"), gx.placeholder((), "int64")
    final = gx.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + gx.sin(c[1] * x) / n), (0, 1.0))[1]
    call = gx.compile([x, n], gx.gradients(final, x), backend=backend)
    for steps in (1, 127, 128, 129, 1000):
        value, slope = 1.0, 0.0
        for _ in range(steps):
            value, slope = (
                value + np.sin(value * 0.7) / steps,
                slope + np.cos(value * 0.7) * (value + 0.7 * slope) / steps,
            )
        np.testing.assert_allclose(call(0.7, steps), slope, rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_too_many_steps(backend, monkeypatch):
    x, n = gx.placeholder((), "float64"), gx.placeholder((), "int64")
    y = power(x, n, max_steps=4)
    call = gx.compile([x, n], [y, gx.gradients(y, x)], backend=backend)
    assert call(3.0, 4) == [81, 108]
    with pytest.raises(errors.StepsError, match=r"max_steps = 4 steps(.|\n)*test_control.py:\d+: return gx.while_loop"):
        call(3.0, 5)
    monkeypatch.setattr(whiles, "BLOCK", 2)
    slope = gx.compile([x, n], gx.gradients(power(x, n), x), backend=backend)
    assert slope(3.0, 8) == 8 * 3.0**7
    with pytest.raises(errors.StepsError, match=r"give max_steps\n  at test_control.py:\d+: return gx.while_loop"):
        slope(3.0, 9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_what_is_taken_runs(backend):
    """What the other body, or a step that does not come, would compute may fail: it does not."""
    x, k = gx.placeholder((3,), "float64"), gx.placeholder((), "int64")
    chosen = gx.cond(k < 3, lambda: x[k], lambda: -1.0)
    looped = gx.while_loop(lambda c: c < 0, lambda c: c + x[k], gx.asarray(0.5))
    call = gx.compile([x, k], [chosen, looped, gx.gradients(chosen, x)], backend=backend)
    assert [float(v) for v in call(X, 1)[:2]] == [X[1], 0.5]
    found = call(X, 7)
    assert [float(v) for v in found[:2]] == [-1, 0.5]
    assert found[2].tolist() == [0, 0, 0]


def test_the_branch_not_taken_may_be_singular():
    x = gx.placeholder((), "float64")
    y = gx.cond(x > 0, gx.sqrt, lambda v: 0.0 * v, x)
    assert gx.compile([x], [y, gx.gradients(y, x)])(0.0) == [0, 0]


def test_variables_and_updates():
    v = gx.variable(np.array(2.0), name="v")
    x = gx.placeholder((), "float64")
    new = gx.cond(x > v, lambda: v * 2, lambda: v - 1)
    step = gx.compile([x], new, updates={v: new})
    assert [float(step(3.0)) for _ in range(3)] == [4, 3, 2]


# What the compiler makes of them.


def test_dead_parts_go():
    text = """
def f(a: f64[3], b: f64[3], n: i64[()], p: bool[()]):
    def test(i: i64[()], c: f64[3], d: f64[3], n: i64[()], k: f64[3]): return (lt(i, n),)
    def body(i: i64[()], c: f64[3], d: f64[3], n: i64[()], k: f64[3]): return (add(i, i64(1)), add(c, k), mul(d, c))
    v0 = while_loop(n, a, b, n, b, test=test, body=body, carries=3, max_steps=None)
    v1 = v0[1]
    def yes(u: f64[3], w: f64[3]): return (add(u, w), mul(u, w), u)
    def no(u: f64[3], w: f64[3]): return (sub(u, w), u, u)
    v2 = cond(p, a, b, on_true=yes, on_false=no)
    v3 = v2[2]
    v4 = v2[1]
    return (v1, v3, v4)
"""
    graph = prune(from_text(text.strip()))
    loop = next(n for n in graph.nodes if n.op.name == "while_loop")
    assert loop.attrs["carries"] == 2  # d has no influence on c
    branch = next(n for n in graph.nodes if n.op.name == "cond")
    assert len(branch.type.items) == 1  # the first is not read, the third is an operand
    assert graph.outputs[1] is graph.inputs[0]
    again = from_text(to_text(graph))
    assert to_text(again) == to_text(graph)


def test_what_is_the_same_in_every_step_is_done_before():
    w, x, n = gx.placeholder((8, 8), name="w"), gx.placeholder((8,), name="x"), gx.placeholder((), "int64", name="n")
    loop = gx.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] @ gx.exp(w)), (0, x))
    graph = hoist(Graph((w.node, x.node, n.node), (loop[1].node,)))
    (region,) = [node for node in graph.nodes if node.op.name == "while_loop"]
    assert "exp" not in [node.op.name for node in region.attrs["body"].nodes]
    assert "exp" in [node.op.name for node in graph.nodes]


def test_a_weight_is_packed_before_the_loop():
    """The product with the same matrix in each step arranges it once."""
    w, x, n = gx.placeholder((256, 256), name="w"), gx.placeholder((64, 256), name="x"), gx.placeholder((), "int64")
    loop = gx.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, gx.tanh(c[1] @ w.T)), (0, x))
    call = gx.compile([w, x, n], loop[1])
    before, inside = call.text("kernels").split("def graph")[1].split("while True")
    assert "(input0, arena" in before
    assert "input0" not in inside
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(256, 256)).astype("f4") * 0.1, rng.normal(size=(64, 256)).astype("f4")
    expected = b
    for _ in range(3):
        expected = np.tanh(expected @ a.T)
    np.testing.assert_allclose(call(a, b, 3), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(call(a, b, 0), b)


def test_many_steps_compile_as_one():
    xs = gx.placeholder(("n", 4), name="xs")
    call = gx.compile([xs], gx.scan(lambda c, x: (gx.tanh(c + x), None), gx.zeros((4,)), xs)[0])
    sizes = []
    for n in (10, 10_000):
        call.specialize(n=n)
        sizes.append(len(call.text("llvm")))
    assert sizes[1] < sizes[0] + 100


# Errors.

x = gx.placeholder((), "float64", name="x")
row = gx.placeholder((3,), name="row")

WRONG = [
    (lambda: gx.cond(x, lambda: 1, lambda: 2), errors.DTypeError, "cond: pred must be a bool, got f64"),
    (lambda: gx.cond(row > 0, lambda: 1, lambda: 2), errors.ShapeError, "cond: pred must be one bool, got bool[3]"),
    (lambda: gx.cond(x > 0, lambda: row, lambda: x), errors.DTypeError, "result is f32[3] of true_fn, f64 of false_fn"),
    (lambda: gx.cond(x > 0, lambda: {"a": row}, lambda: {"a": row[:2]}), errors.ShapeError, "result['a'] is f32[3]"),
    (lambda: gx.cond(x > 0, lambda: (x, x), lambda: x), errors.ArgumentError, "must return one structure"),
    (lambda: gx.while_loop(lambda c: c, lambda c: c, x), errors.DTypeError, "what cond_fn returns must be a bool"),
    (lambda: gx.while_loop(lambda c: c > 0, lambda c: c, row), errors.ShapeError, "what cond_fn returns must be one"),
    (lambda: gx.while_loop(lambda c: c > 0, lambda c: row, x), errors.DTypeError, "carry must be f64 in every step"),
    (lambda: gx.while_loop(lambda c: c[0] > 0, lambda c: c[0], (x, x)), errors.ArgumentError, "of the structure"),
    (lambda: gx.while_loop(lambda c: True, lambda c: c, ()), errors.ArgumentError, "init must hold a value"),
    (lambda: gx.while_loop(lambda c: c > 0, lambda c: c, x, -1), errors.ArgumentError, "max_steps must be None or"),
    (lambda: gx.fori_loop(0, x, lambda i, c: c, x), errors.DTypeError, "fori_loop: bounds must be integers, got f64"),
    (lambda: gx.map(lambda v: v, x), errors.ShapeError, "must have a leading axis"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG)
def test_errors(wrong, error, message):
    with pytest.raises(error) as info:
        wrong()
    assert message in str(info.value)
    assert "test_control.py" in str(info.value)
