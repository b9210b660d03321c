"""Updates that values bring with them: when they happen, in which order, and where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx


def counter(start: float = 0.0) -> gx.Variable:
    return gx.variable(start, name="counter")


@pytest.mark.parametrize("backend", ["llvm", "eager"])
def test_a_graph_that_computes_the_value_makes_the_update(backend: str) -> None:
    x, n = gx.placeholder((), "float64", name="x"), counter()
    y = gx.with_updates(x * 2, {n: n + x})
    with_it = gx.compile([x], [y + 1, n], backend=backend)
    without = gx.compile([x], [x * 2, n], backend=backend)
    assert [v.tolist() for v in with_it(3)] == [7, 0]
    assert [v.tolist() for v in without(5)] == [10, 3]
    assert [v.tolist() for v in with_it(4)] == [9, 3]
    assert n.value == 7


def test_several_variables_and_constants() -> None:
    a, b = counter(1.0), gx.variable(np.zeros(2, np.float32), name="b")
    y = gx.with_updates(1.0, {a: 5, b: gx.ones(2, "float32") * a.astype("float32")})
    assert gx.compile([], y)() == 1
    assert a.value == 5
    assert b.value.tolist() == [1, 1]


def test_updates_of_one_variable_follow_each_other() -> None:
    """Each is a step from the state that the last one left: running means, as if called one after the other."""
    x, mean = gx.placeholder((), "float64", name="x"), counter(1.0)

    def observed(value: gx.Tensor) -> gx.Tensor:
        return gx.with_updates(value, {mean: 0.5 * mean + 0.5 * value})

    step = gx.compile([x], observed(x) + observed(3 * x))
    step(2.0)
    assert mean.value == 0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 6


def test_a_value_that_reads_the_variable_stays_as_it_is() -> None:
    n = counter(1.0)
    doubled = gx.with_updates(2 * n, {n: n + 1})
    tripled = gx.with_updates(3 * doubled, {n: n + 10 * doubled})
    assert gx.compile([], tripled)() == 6
    assert n.value == 1 + 1 + 10 * 2


def test_derivatives_make_the_update_once() -> None:
    x, n = gx.placeholder((3,), "float64", name="x"), counter()
    mean = gx.with_updates(gx.mean(x), {n: n + 1})
    loss = gx.sum(gx.log(1 + gx.exp((x - mean) ** 2)))  # a form that is differentiated in another one
    slope = gx.gradients(loss, x)
    curvature = gx.pushforward(slope, x, gx.ones_like(x))
    results = gx.compile([x], [loss, slope, curvature])(np.arange(3.0))
    assert n.value == 1
    gx.compile([x], slope)(np.arange(3.0))
    assert n.value == 2
    plain = gx.placeholder((3,), "float64", name="x")
    expected = gx.sum(gx.log(1 + gx.exp((plain - gx.mean(plain)) ** 2)))
    slopes = gx.gradients(expected, plain)
    wanted = [expected, slopes, gx.pushforward(slopes, plain, gx.ones_like(plain))]
    for a, b in zip(results, gx.compile([plain], wanted)(np.arange(3.0)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_new_values_carry_no_gradient() -> None:
    x, n = gx.placeholder((), "float64", name="x"), counter()
    y = gx.with_updates(x, {n: x**2})
    assert gx.compile([x], gx.gradients(y, x))(3.0) == 1


def test_what_compile_is_given_counts() -> None:
    n, m = counter(), counter()
    inner = gx.with_updates(n + 1, {m: m + 1})
    y = gx.with_updates(n * 2, {n: inner})
    gx.compile([], y, updates={n: n + 100})()
    assert (n.value, m.value) == (100, 0)
    gx.compile([], y)()
    assert (n.value, m.value) == (101, 1)


def test_updates_among_updates_and_with_givens() -> None:
    x, n, m = gx.placeholder((), "float64", name="x"), counter(), counter()
    y = gx.with_updates(x + n, {n: n + x})
    gx.compile([], [], updates={m: y * 10}, givens={x: 2.0})()
    assert (n.value, m.value) == (2, 20)
    assert gx.compile([x], y, givens={n: 7.0})(1.0) == 8
    assert n.value == 2


def test_jit_makes_them_too() -> None:
    n = counter()
    double = gx.jit(lambda x: gx.with_updates(2 * x, {n: n + 1}))
    double(1.0)
    double(2.0)
    gx.grad(lambda x: gx.with_updates(x, {n: n + 1}) ** 2)(1.0)
    assert n.value == 3
    gx.grad(lambda x: gx.with_updates(x, {n: n + 1}) * 2)(1.0)  # a gradient that does not need the value
    assert n.value == 3


def test_unknown_sizes() -> None:
    x, total = gx.placeholder(("n",), "float64", name="x"), gx.variable(np.zeros(2), name="total")
    f = gx.compile([x], gx.with_updates(gx.sum(x), {total: x}))
    f([1.0, 2.0])
    assert total.value.tolist() == [1, 2]
    with pytest.raises(gx.ShapeError, match=r"update of variable total must be f64\[2\], got f64\[3\]"):
        f([1.0, 2.0, 3.0])


def in_scan(n: gx.Variable, x: gx.Tensor) -> gx.Tensor:
    return gx.scan(lambda c, v: (gx.with_updates(c + v, {n: n + 1}), None), 0.0, x)[0]


def in_cond(n: gx.Variable, x: gx.Tensor) -> gx.Tensor:
    return gx.cond(x[0] > 0, lambda: gx.with_updates(x[0], {n: n + 1}), lambda: x[1])


def in_both(n: gx.Variable, x: gx.Tensor) -> gx.Tensor:
    return gx.map(lambda v: gx.cond(v > 0, lambda: gx.with_updates(v, {n: n + v}), lambda: v), x)


@pytest.mark.parametrize("function", [in_scan, in_cond, in_both])
def test_not_inside_of_loops_and_branches(function) -> None:
    x = gx.placeholder((3,), "float64", name="x")
    y = function(counter(), x)
    with pytest.raises(gx.ArgumentError, match="a variable is updated inside of") as info:
        gx.compile([x], y)
    assert "with_updates" in str(info.value)  # the line that did


def test_errors() -> None:
    n = counter()
    with pytest.raises(gx.ArgumentError, match="takes a dict from variables to new values"):
        gx.with_updates(1.0, [n])
    with pytest.raises(gx.ArgumentError, match="updates maps variables to new values, got the key"):
        gx.with_updates(1.0, {n + 1: n})
    with pytest.raises(gx.ShapeError, match=r"update of variable counter must be f64\[\], got f64\[2\]"):
        gx.with_updates(1.0, {n: np.zeros(2)})
    with pytest.raises(gx.DTypeError, match=r"convert it with .astype\('float64'\)"):
        gx.with_updates(1.0, {n: gx.asarray(1.0, "float32")})
