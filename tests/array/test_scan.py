"""scan: values, structures, closures and derivatives."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import toposort, variable
from tests.running import apply, check_gradients, run

XS = np.random.default_rng(2).normal(size=(4, 3))


class Pair(NamedTuple):
    first: gx.Tensor
    second: gx.Tensor


@dataclass
class State:
    h: gx.Tensor
    steps: gx.Tensor


def cumulative(xs, reverse=False):
    return gx.scan(lambda carry, x: (carry + x, carry * x), gx.zeros_like(xs[0]), xs, reverse=reverse)


@pytest.mark.parametrize("symbolic", [False, True])
def test_values(symbolic):
    total, products = (apply(lambda xs, k=k: cumulative(xs)[k], XS, symbolic=symbolic) for k in (0, 1))
    np.testing.assert_allclose(total, XS.sum(0))
    before = np.concatenate([np.zeros((1, 3)), np.cumsum(XS, 0)[:-1]])
    np.testing.assert_allclose(products, before * XS)


def test_reverse():
    products = apply(lambda xs: cumulative(xs, reverse=True)[1], XS)
    after = np.concatenate([np.cumsum(XS[::-1], 0)[::-1][1:], np.zeros((1, 3))])
    np.testing.assert_allclose(products, after * XS)


def test_nests():
    x = gx.placeholder(("n", 3), "float64")
    init = {"state": State(gx.zeros((3,)), 0), "pair": Pair(gx.ones(()), None), "list": [1.0, (2,)]}

    def body(carry, slices):
        state, pair = carry["state"], carry["pair"]
        new = {
            "list": [carry["list"][0] * 2.0, (carry["list"][1][0] + 1,)],
            "pair": Pair(pair.first * 0.5, None),
            "state": State(state.h + slices["x"], state.steps + 1),
        }
        return new, (state.h, {"sum": gx.sum(slices["x"]), "none": None})

    carry, ys = gx.scan(body, init, {"x": x})
    assert list(carry) == ["state", "pair", "list"]
    assert isinstance(carry["state"], State)
    assert isinstance(carry["pair"], Pair)
    assert carry["pair"].second is None
    assert ys[1]["none"] is None
    values = run(
        [
            carry["state"].h,
            carry["state"].steps,
            carry["pair"].first,
            *[carry["list"][0], carry["list"][1][0]],
            ys[0],
            ys[1]["sum"],
        ],
        {x: XS},
    )
    np.testing.assert_allclose(values[0], XS.sum(0))
    assert [v.item() for v in values[1:5]] == [4, 0.0625, 16.0, 6]
    np.testing.assert_allclose(values[6], XS.sum(1))


def test_length_without_xs():
    carry, ys = gx.scan(lambda c, x: (c * 2, c), 1, length=5)
    assert run(carry) == 32
    assert run(ys).tolist() == [1, 2, 4, 8, 16]
    x = gx.placeholder(("n",))
    assert run(gx.scan(lambda c, _: (c + 1, None), 0, length=x.shape[0])[0], {x: np.ones(3)}) == 3


def test_no_steps():
    xs = gx.placeholder(("n", 3), "float64")
    total, products = cumulative(xs)
    values = run([total, products], {xs: np.zeros((0, 3))})
    assert values[0].tolist() == [0, 0, 0]
    assert values[1].shape == (0, 3)


def test_python_numbers_take_the_dtype_of_the_body():
    xs = gx.placeholder((4,), "float32")
    assert gx.scan(lambda c, x: (c + x, None), 0.0, xs)[0].dtype == np.float32
    assert gx.scan(lambda c, x: (c + x, None), 0, xs)[0].dtype == np.float32
    assert gx.scan(lambda c, x: (1, None), gx.zeros((), dtype="float32"), xs)[0].dtype == np.float32


def test_closures_become_inputs_of_the_body():
    xs = gx.placeholder((4, 3), "float64", name="xs")
    w = gx.variable(np.ones((3, 3)), name="w")
    scale = gx.exp(gx.sum(w)) * 1e-3
    carry, _ = gx.scan(lambda c, x: (gx.tanh(c @ w * scale + x + 1), None), gx.zeros((3,)), xs)
    loop = carry.node.inputs[0]
    body = loop.attrs["body"]
    assert not body.variables
    # The whole of `scale` is one input: it is computed once, outside.
    assert {n.op.name for n in body.nodes} == {"placeholder", "contract", "mul", "add", "tanh", "constant"}
    assert loop.inputs[2:] == (w.node, scale.node)
    check_gradients(
        lambda x, m: gx.scan(lambda c, v: (gx.tanh(c @ m * gx.sum(m) + v), gx.sum(c)), gx.ones((3,)), x)[1],
        XS,
        np.full((3, 3), 0.1),
    )


def test_outside_values_can_be_results():
    xs = gx.placeholder((4, 3), "float64")
    y = gx.placeholder((), "float64")
    carry, ys = gx.scan(lambda c, x: (y, (y, 3.0)), 0.0, xs)
    values = run([carry, ys[0], ys[1]], {xs: XS, y: 2.0})
    assert values[0] == 2
    assert values[1].tolist() == [2] * 4
    assert values[2].tolist() == [3] * 4


def test_nested_scans():
    def outer(c, row):
        inner, _ = gx.scan(lambda a, v: (a + v * c, None), 0.0, row)
        return gx.sin(inner), inner

    check_gradients(lambda xs, c: gx.scan(outer, c, xs)[0], XS, np.array(0.5))
    check_gradients(lambda xs, c: gx.scan(outer, c, xs)[1], XS, np.array(0.5))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients(reverse):
    def function(xs, start):
        carry, ys = gx.scan(lambda c, x: (gx.sin(c) * x + c, c * x), start, xs, reverse=reverse)
        return gx.sum(carry) + gx.sum(ys * ys)

    check_gradients(function, XS, np.array([0.1, 0.2, 0.3]))
    check_gradients(function, XS[:2], np.array([0.1, 0.2, 0.3]), order=2, tolerance=1e-5)


def test_gradient_of_a_closed_over_variable():
    w = gx.variable(np.array(0.5), name="w")
    xs = gx.placeholder(("n",), "float64")
    carry, _ = gx.scan(lambda c, x: (c * w + x, None), 1.0, xs)
    # 0.5**3 + 4/4 + 5/2 + 6 and its derivative in w, 3 w**2 + 2 w 4 + 5
    assert run([carry, gx.gradients(carry, w)], {xs: [4.0, 5.0, 6.0]}) == [9.625, 9.75]
    assert not any(n.op is variable for n in toposort([carry.node.inputs[0].attrs["body"].outputs[0]]))


def test_arrays_without_elements_in_a_body() -> None:
    xs = gx.placeholder((3, 4), "float64", name="xs")
    total, ys = gx.scan(lambda c, x: (c + gx.sum(x[:0]), gx.concat([x[:0], x])), gx.asarray(0.0), xs)
    found = gx.compile([xs], [total, ys])(np.ones((3, 4)))
    assert found[0] == 0
    np.testing.assert_array_equal(found[1], np.ones((3, 4)))
