"""Matrix products and einsum against NumPy."""

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import toposort
from tests.running import apply, check_gradients

RNG = np.random.default_rng(1)


def array(*shape):
    return RNG.normal(size=shape)


MATMULS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)), ((5, 1, 2, 3), (1, 6, 3, 4)),
    ((6, 2, 3), (5, 1, 3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((1, 3), (3, 1)), ((2, 1), (1, 4)),
    ((0, 3), (3, 2)), ((2, 0), (0, 2)), ((1, 1, 3), (1, 3, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), MATMULS, ids=str)
def test_matmul(a, b):
    x, y = array(*a), array(*b)
    for symbolic in (False, True):
        if symbolic and 1 in a + b:
            continue  # an unknown size does not broadcast
        np.testing.assert_allclose(apply(gx.matmul, x, y, symbolic=symbolic), x @ y, rtol=1e-12, atol=1e-14)
    check_gradients(gx.matmul, x, y)


def test_matmul_of_integers():
    x = np.array([[100, 100]], np.int8)
    np.testing.assert_array_equal(apply(lambda a: a @ a.T, x), x @ x.T)
    assert gx.matmul(gx.placeholder((2, 2), "int32"), gx.placeholder((2, 2), "float32")).dtype == np.float64


def test_shared_weights_are_not_repeated():
    x, w = gx.placeholder(("b", "t", 8)), gx.placeholder((8, 5))
    y = x @ w
    assert y.node.inputs == (x.node, w.node)
    assert {n.op.name for n in toposort([(gx.placeholder((1, 2, 3)) @ gx.placeholder((5, 3, 4))).node])} == {
        "placeholder", "reshape", "contract",
    }  # fmt: skip


def test_dot_outer_vecdot():
    for a, b in (((3,), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (5, 3, 4)), ((), (3,)), ((2, 3), (3,))):
        x, y = array(*a), array(*b)
        np.testing.assert_allclose(apply(gx.dot, x, y), np.dot(x, y), rtol=1e-12)
    x, y = array(2, 3), array(4)
    np.testing.assert_allclose(apply(gx.outer, x, y), np.outer(x, y))
    x, y = array(5, 3, 2), array(3, 2)
    np.testing.assert_allclose(apply(gx.vecdot, x, y), np.sum(x * y, -1))
    np.testing.assert_allclose(apply(lambda a, b: gx.vecdot(a, b, axis=-2), x, y), np.sum(x * y, -2))


@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3), (4, 5), 0),
        ((2, 3, 4), (4, 3, 5), ((1, 2), (1, 0))),
        ((2, 3), (3, 4), (-1, 0)),
    ],
)
def test_tensordot(a, b, axes):
    x, y = array(*a), array(*b)
    np.testing.assert_allclose(
        apply(lambda u, v: gx.tensordot(u, v, axes=axes), x, y), np.tensordot(x, y, axes), rtol=1e-12
    )


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("i,i->", (3,), (3,)), ("i,i->i", (3,), (3,)), ("i,j->ij", (3,), (4,)), ("ij->ji", (2, 3)), ("ij->", (2, 3)),
    ("ii->i", (3, 3)), ("ii", (3, 3)), ("iij->ij", (3, 3, 2)), ("ij,ij->", (2, 3), (2, 3)),
    ("ijk,j->ik", (2, 3, 4), (3,)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)), ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)), ("...ij->...ji", (5, 2, 3)),
    ("...ij,jk->...ik", (6, 5, 2, 3), (3, 4)), ("...ij,...jk", (1, 2, 3), (5, 3, 4)), ("ba", (2, 3)),
    ("ij,kj->", (2, 3), (4, 3)),
    ("i...->...", (2, 3, 4)), ("ij,j", (2, 3), (1,)), ("iji,jk->k", (2, 3, 2), (3, 4)),
    (" i j , j -> i ", (2, 3), (3,)),
]  # fmt: skip


@pytest.mark.parametrize("case", EINSUMS, ids=lambda c: c[0])
def test_einsum(case):
    spec, *shapes = case
    arrays = [array(*s) for s in shapes]
    got = apply(lambda *t: gx.einsum(spec, *t), *arrays)
    np.testing.assert_allclose(got, np.einsum(spec, *arrays), rtol=1e-12, atol=1e-13)
    check_gradients(lambda *t: gx.einsum(spec, *t), *arrays)


def test_the_order_that_numpy_would_take():
    shapes = [(2, 30), (30, 4), (4, 50)]
    arrays = [np.ones(s) for s in shapes]
    found, report = gx.einsum_path("ij,jk,kl->il", *map(gx.placeholder, shapes))
    expected, wanted = np.einsum_path("ij,jk,kl->il", *arrays)
    assert (found, report) == (expected, wanted)
    with pytest.raises(gx.ShapeError, match="must be known"):
        gx.einsum_path("i,i", gx.placeholder((None,)), gx.placeholder((3,)))


def test_axes_that_dots_stand_for_stay():
    with pytest.raises(gx.ArgumentError, match="must have"):
        gx.einsum("...i->i", gx.placeholder((2, 3)))
    with pytest.raises(gx.ArgumentError, match="a label is an int"):
        gx.einsum(gx.placeholder((2, 3)), [0, 99])


def test_a_vector_has_three_elements():
    x = gx.placeholder((None, None), "float64")
    run = gx.compile([x], gx.cross(x, x), backend="eager")
    with pytest.raises(gx.GraphcError):
        run(np.ones((2, 4)))
