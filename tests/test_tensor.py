"""The handle: operators, methods, NumPy's protocols, variables."""

import copy
import operator
import threading

import numpy as np
import pytest

import graphc as gx
from tests.running import apply, run

X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
Y = np.array([[2.0, 0.5, -1.0], [1.5, 2.0, 3.0]])
N = np.array([5, -7, 12])


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


ON_FLOATS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "lt", "le", "gt", "ge", "eq", "ne"]
ON_INTEGERS = ["add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift", "lt", "eq"]


@pytest.mark.parametrize("name", ON_FLOATS)
def test_binary_operators(name):
    function = getattr(operator, name)
    np.testing.assert_array_equal(apply(function, X, Y), function(X, Y))
    for other in (2, 2.5, np.float64(1.5), Y, Y.tolist()):
        np.testing.assert_array_equal(apply(lambda x, o=other: function(x, o), X), function(X, np.asarray(other)))
        np.testing.assert_array_equal(apply(lambda x, o=other: function(o, x), X), function(np.asarray(other), X))


@pytest.mark.parametrize("name", ON_INTEGERS)
def test_binary_operators_on_integers(name):
    function = getattr(operator, name)
    for other in (3, np.array([1, 2, 3])):
        np.testing.assert_array_equal(apply(lambda x, o=other: function(x, o), N), function(N, other))
        np.testing.assert_array_equal(apply(lambda x, o=other: function(o, x), np.abs(N)), function(other, np.abs(N)))


def test_other_operators():
    np.testing.assert_allclose(apply(lambda x: x**2, X), X**2)
    np.testing.assert_allclose(apply(lambda x: 2**x, X), 2**X)
    np.testing.assert_allclose(apply(lambda x, y: x @ y.T, X, Y), X @ Y.T)
    np.testing.assert_allclose(apply(lambda y: X @ y.T, Y), X @ Y.T)
    np.testing.assert_allclose(apply(lambda y: X.tolist() @ y.T, Y), X @ Y.T)
    for function in (operator.neg, operator.pos, operator.abs):
        np.testing.assert_array_equal(apply(function, X), function(X))
    np.testing.assert_array_equal(apply(operator.invert, N), ~N)
    np.testing.assert_array_equal(apply(round, X + 0.5), np.round(X + 0.5))
    for k in (0, 1):
        np.testing.assert_array_equal(apply(lambda x, k=k: divmod(x, 2)[k], X), divmod(X, 2)[k])
        np.testing.assert_array_equal(apply(lambda x, k=k: divmod(7, x)[k], X), divmod(7, X)[k])


METHODS = {
    "sum": (1,),
    "prod": (0,),
    "mean": (1,),
    "var": (1,),
    "std": (1,),
    "max": (1,),
    "min": (0,),
    "argmax": (1,),
    "argmin": (0,),
    "any": (1,),
    "all": (1,),
    "reshape": (3, 2),
    "transpose": (1, 0),
    "swapaxes": (0, 1),
    "ravel": (),
    "flatten": (),
    "squeeze": (),
    "clip": (-1, 2),
    "round": (),
    "repeat": (2, 1),
    "astype": ("int32",),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    arguments = METHODS[name]
    np.testing.assert_allclose(apply(lambda x: getattr(x, name)(*arguments), X), getattr(X, name)(*arguments))


def test_more_methods():
    np.testing.assert_array_equal(apply(lambda x: x.reshape((3, -1)), X), X.reshape(3, 2))
    np.testing.assert_array_equal(apply(lambda x: x.transpose(), X), X.T)
    np.testing.assert_array_equal(apply(lambda x: x.transpose((1, 0)), X), X.T)
    np.testing.assert_array_equal(apply(lambda x: x.T, X), X.T)
    np.testing.assert_array_equal(apply(lambda x: x.mT, X), X.T)
    np.testing.assert_array_equal(apply(lambda x, y: x.dot(y.T), X, Y), X @ Y.T)
    assert apply(lambda x: x.sum(axis=0, keepdims=True), X).shape == (1, 3)
    x = gx.placeholder((2,), "float64")
    assert gx.gradients(gx.sum(x.detach() * x), x).shape == (2,)


def test_facts():
    x = gx.placeholder(("batch", 3), name="x")
    assert (x.ndim, x.dtype, x.name, (x + 1).name) == (2, np.float32, "x", None)
    assert str(x.shape) == "(batch, 3)"
    assert str(x.size) == "3*batch"
    assert gx.placeholder((2, 3)).size == 6
    assert gx.placeholder((None,)).shape != gx.placeholder((None,)).shape
    assert gx.placeholder(("n",)).shape == gx.placeholder(("n",)).shape
    assert gx.placeholder(()).name != gx.placeholder(()).name
    assert gx.placeholder(5).shape == gx.placeholder([5]).shape == (5,)


def test_repr():
    x, w = gx.placeholder(("batch", 784), name="x"), gx.variable(np.zeros((784, 10), np.float32), name="w")
    assert repr(x) == "<Tensor x: f32[batch, 784]>"
    assert repr(w) == "<Variable w: f32[784, 10]>"
    assert repr(x @ w) == "<Tensor f32[batch, 10] = contract(x, w, spec='mk,kn->mn')>"
    assert repr((x * 2).sum() + 1) == "<Tensor f32[] = add(sum(...), 1.0)>"
    assert repr(gx.constant(2)) == "<Tensor i64[] = 2>"
    assert repr(gx.constant(np.zeros(100))) == "<Tensor f64[100] = constant(...)>"
    assert repr(gx.scan(lambda c, v: (c + v, None), 0.0, x[:, 0])[0]) == "<Tensor f32[] = item(scan(...))>"


def test_identity_and_equality():
    x, y = gx.placeholder((2,)), gx.placeholder((2,))
    assert (x == y).dtype == np.bool_
    assert {x: 1, y: 2}[x] == 1
    assert hash(x) == hash(x)
    for foreign in (None, "x", object()):
        assert (x == foreign) is False
        assert (x != foreign) is True
    assert copy.copy(x).node is x.node


# NumPy's protocols.

UFUNCS = [
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.power,
    np.floor_divide,
    np.remainder,
    np.maximum,
    np.minimum,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.equal,
    np.not_equal,
    np.arctan2,
    np.hypot,
    np.copysign,
    np.logaddexp,
    np.nextafter,
    np.logical_and,
    np.logical_or,
    np.logical_xor,
    np.matmul,
]
UNARY_UFUNCS = [
    np.negative,
    np.positive,
    np.absolute,
    np.sign,
    np.square,
    np.reciprocal,
    np.sqrt,
    np.cbrt,
    np.exp,
    np.exp2,
    np.expm1,
    np.log,
    np.log1p,
    np.log2,
    np.log10,
    np.sin,
    np.cos,
    np.tan,
    np.arcsin,
    np.arccos,
    np.arctan,
    np.sinh,
    np.cosh,
    np.tanh,
    np.arcsinh,
    np.arccosh,
    np.arctanh,
    np.floor,
    np.ceil,
    np.trunc,
    np.rint,
    np.isnan,
    np.isinf,
    np.isfinite,
    np.signbit,
    np.logical_not,
]


@pytest.mark.parametrize("ufunc", UFUNCS + UNARY_UFUNCS, ids=lambda f: f.__name__)
def test_ufuncs(ufunc):
    x = np.array([[0.25, 0.5], [1.0, 3.0]])
    arrays = (x, x[::-1].copy())[: ufunc.nin]
    np.testing.assert_allclose(apply(ufunc, *arrays), ufunc(*arrays), rtol=1e-12)


@pytest.mark.parametrize("ufunc", [np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift])
def test_ufuncs_of_integers(ufunc):
    np.testing.assert_array_equal(apply(lambda n: ufunc(n, 3), N), ufunc(N, 3))
    np.testing.assert_array_equal(apply(np.invert, N), ~N)


FUNCTIONS = {
    "sum": lambda x: np.sum(x, axis=1, keepdims=True),
    "sum positional": lambda x: np.sum(x, 0),
    "mean": lambda x: np.mean(x, 0),
    "prod": lambda x: np.prod(x),
    "max": lambda x: np.max(x, axis=1),
    "amin": lambda x: np.amin(x, 0),
    "var": lambda x: np.var(x, ddof=1),
    "std": lambda x: np.std(x, axis=0),
    "any": lambda x: np.any(x),
    "all": lambda x: np.all(x, axis=0),
    "argmax": lambda x: np.argmax(x, 1),
    "argmin": lambda x: np.argmin(x),
    "concatenate": lambda x: np.concatenate([x, X], 1),
    "stack": lambda x: np.stack([X, x]),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "transpose": lambda x: np.transpose(x),
    "where": lambda x: np.where(x > 0, x, 0),
    "clip": lambda x: np.clip(x, -1, 2),
    "dot": lambda x: np.dot(x, Y.T),
    "tensordot": lambda x: np.tensordot(x, Y, 2),
    "outer": lambda x: np.outer(x, Y),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, Y),
    "tile": lambda x: np.tile(x, 2),
    "repeat": lambda x: np.repeat(x, 2, 1),
    "flip": lambda x: np.flip(x, 0),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "pad": lambda x: np.pad(x, 1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "ravel": lambda x: np.ravel(x),
    "zeros_like": lambda x: np.zeros_like(x),
    "full_like": lambda x: np.full_like(x, 2),
    "tril": lambda x: np.tril(x, 1),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "round": lambda x: np.round(x, 1),
    "add.reduce": lambda x: np.add.reduce(x),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=1),
    "shape": lambda x: np.zeros(np.shape(x)),
    "ndim": lambda x: x * np.ndim(x),
    "size": lambda x: x * np.size(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numpy(name):
    function = FUNCTIONS[name]
    np.testing.assert_allclose(apply(lambda x: gx.asarray(function(x)), X), function(X))


def test_arrays_on_the_left_build_nodes():
    x = gx.placeholder((2, 3), "float64")
    for y in (X + x, np.float64(2) * x, X @ x.T, x < X, np.float32(1) - x):
        assert isinstance(y, gx.Tensor)


# Variables.


def test_variable():
    given = np.ones((2, 2))
    v = gx.variable(given, dtype="float32", name="v")
    assert isinstance(v, gx.Tensor)
    assert (v.name, v.shape, v.dtype, v.trainable) == ("v", (2, 2), np.float32, True)
    assert not gx.variable(1.0, trainable=False).trainable
    given[0, 0] = 5
    copy_ = v.value
    copy_[0, 0] = 7
    np.testing.assert_array_equal(v.value, np.ones((2, 2)))
    assert gx.variable(1).name != gx.variable(1).name


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], [3, 4]],
        [[1.5, 2], [3, 4]],
        np.ones((2, 2), np.float32),
        np.ones((2, 2), np.int8),
        np.ones((2, 2), ">f4"),
    ],
)
def test_assign(value):
    v = gx.variable(np.zeros((2, 2), np.float32))
    array = v.cell.array
    v.assign(value)
    np.testing.assert_array_equal(v.value, np.asarray(value))
    assert v.cell.array is array
    np.testing.assert_array_equal(run(v * 2), np.asarray(value) * 2)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (np.zeros((2, 3), np.float32), gx.ShapeError),
        (0.0, gx.ShapeError),
        (np.zeros((2, 2)), gx.DTypeError),
        (np.zeros((2, 2), np.int64), gx.DTypeError),
        ([["a", "b"], ["c", "d"]], gx.ArgumentError),
        (gx.placeholder((2, 2)), gx.SymbolicValueError),
        (np.zeros((2, 2), complex), gx.DTypeError),
        (None, gx.ArgumentError),
    ],
)
def test_refused_assignments_change_nothing(value, error):
    v = gx.variable(np.ones((2, 2), np.float32), name="v")
    with pytest.raises(error):
        v.assign(value)
    np.testing.assert_array_equal(v.value, np.ones((2, 2)))


def test_assign_to_integers():
    v = gx.variable(np.zeros(2, np.int8))
    v.assign([100, -100])
    with pytest.raises(gx.DTypeError):
        v.assign([200, 0])
    with pytest.raises(gx.DTypeError):
        v.assign([0.5, 0.0])
    assert v.value.tolist() == [100, -100]


def test_no_grad_is_of_its_thread():
    x = gx.placeholder((), "float64")
    results = []
    with gx.no_grad():
        thread = threading.Thread(target=lambda: results.append(x * x))
        thread.start()
        thread.join()
    assert results[0].node.op.name == "mul"
