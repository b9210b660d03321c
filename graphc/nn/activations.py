"""Activations: functions of each element, and the softmax family along an axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from graphc.array.convert import ArrayLike, as_float, axis_index, choice, differ, number, operands, promote_floats
from graphc.array.elementwise import abs, expm1, sigmoid, softplus, tanh
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.reduce import repeated, require_elements
from graphc.array.shape import part
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.graph import Node, literal
from graphc.ops import elementwise as ops
from graphc.ops.compositions import finite_max
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast
from graphc.ops.special.normal import ndtr

if TYPE_CHECKING:
    from graphc.tensor import Tensor

# Rectifiers: pieces of lines and curves. At a kink the gradient is that of the piece that the comparison names.


def relu(x: ArrayLike) -> Tensor:
    """Return max(x, 0); the gradient at 0 is 0.

    >>> gx.nn.relu(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = relu(x)>
    """
    return wrap(ops.relu(as_float("relu", x)))


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """Return x where it is positive, else negative_slope * x, which also gives the gradient at 0.

    >>> gx.jit(gx.nn.leaky_relu)(np.array([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """
    tensor = _float("leaky_relu", x)
    return where(tensor > 0, tensor, tensor * negative_slope)


def prelu(x: ArrayLike, weight: ArrayLike) -> Tensor:
    """Return x where it is positive, else weight * x: a learned slope, which also gives the gradient at 0.

    weight is a scalar, or has an element for each channel, along axis 1 of x. He et al., arXiv:1502.01852.

    >>> gx.nn.prelu(gx.placeholder(("n", 3, 8)), gx.placeholder((3,))).shape
    (n, 3, 8)
    """
    node, slope = promote_floats("prelu", (x, weight))
    if slope.ndim:
        if slope.ndim > 1 or node.ndim < 2 or differ(slope.shape[0], node.shape[1]):
            raise ShapeError(
                f"prelu: weight must be a scalar or have an element for each channel, along axis 1 of x; got "
                f"{slope.type} for {node.type}"
            )
        slope = broadcast(slope, shape=node.shape, axes=(1,))
    return where(wrap(node) > 0, wrap(node), wrap(slope) * wrap(node))


def elu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, else alpha * (exp(x) - 1), which also gives the gradient at 0.

    Clevert et al., arXiv:1511.07289.

    >>> gx.jit(gx.nn.elu)(np.array([-100.0, 2.0]))
    array([-1.,  2.])
    """
    tensor = _float("elu", x)
    return where(tensor > 0, tensor, expm1(tensor) * alpha)


def celu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, else alpha * (exp(x / alpha) - 1), whose slope at 0 is 1 for each alpha.

    Barron, arXiv:1704.07483.

    >>> gx.jit(lambda x: gx.nn.celu(x, 0.5))(np.array([-100.0, 2.0]))
    array([-0.5,  2. ])
    """
    if not number("celu", "alpha", alpha):
        raise ArgumentError("celu: alpha must not be 0")
    tensor = _float("celu", x)
    return where(tensor > 0, tensor, expm1(tensor / alpha) * alpha)


# For inputs of mean 0 and variance 1, the output has them too (Klambauer et al., arXiv:1706.02515, appendix A.1).
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(x: ArrayLike) -> Tensor:
    """Return scale * elu(x, alpha) with the two numbers that keep mean 0 and variance 1 from layer to layer.

    Klambauer et al., arXiv:1706.02515. The gradient at 0 is scale * alpha.

    >>> gx.jit(gx.nn.selu)(np.array([-100.0, 0.0])).round(4)
    array([-1.7581,  0.    ])
    """
    return elu(_float("selu", x), _SELU_ALPHA) * _SELU_SCALE


def hardtanh(x: ArrayLike, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Return x where it lies between low and high, else the nearer of them; the gradient at both is 0.

    >>> gx.jit(gx.nn.hardtanh)(np.array([-3.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    if not number("hardtanh", "low", low) < number("hardtanh", "high", high):
        raise ArgumentError(f"hardtanh: low must be less than high, got {low!r} and {high!r}")
    tensor = _float("hardtanh", x)
    return where(tensor <= low, low, where(tensor >= high, high, tensor))


def relu6(x: ArrayLike) -> Tensor:
    """Return min(max(x, 0), 6); the gradient at 0 and at 6 is 0.

    >>> gx.jit(gx.nn.relu6)(np.array([-1.0, 3.0, 7.0]))
    array([0., 3., 6.])
    """
    return hardtanh(_float("relu6", x), 0.0, 6.0)


def hardsigmoid(x: ArrayLike) -> Tensor:
    """Return min(max(x / 6 + 1/2, 0), 1), made of lines; the gradient at -3 and 3 is 0.

    >>> gx.jit(gx.nn.hardsigmoid)(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return relu6(_float("hardsigmoid", x) + 3.0) / 6.0


def hardswish(x: ArrayLike) -> Tensor:
    """Return x * hardsigmoid(x), 0 up to -3 and x from 3 on; the gradient at -3 is 0, at 3 it is 1.

    Howard et al., arXiv:1905.02244.

    >>> gx.jit(gx.nn.hardswish)(np.array([-4.0, 1.0, 4.0])).round(4)
    array([-0.    ,  0.6667,  4.    ])
    """
    tensor = _float("hardswish", x)
    return tensor * hardsigmoid(tensor)


# Smooth activations.


def silu(x: ArrayLike) -> Tensor:
    """Return x * sigmoid(x).

    >>> gx.nn.silu(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = mul(x, sigmoid(...))>
    """
    node = as_float("silu", x)
    return wrap(node * ops.sigmoid(node))


def gelu(x: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """Return x times the probability that a standard normal number is below x.

    approximate="tanh" takes 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) (Hendrycks and Gimpel,
    arXiv:1606.08415), which differs by up to 5e-4.

    >>> gx.nn.gelu(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    node = as_float("gelu", x)
    if choice("gelu", "approximate", approximate, ("none", "tanh")) == "none":
        return wrap(node * ndtr(node))
    inner = (node + node * node * node * 0.044715) * math.sqrt(2 / math.pi)
    return wrap(node * ((ops.tanh(inner) + 1.0) * 0.5))


def mish(x: ArrayLike) -> Tensor:
    """Return x * tanh(softplus(x)) (Misra, arXiv:1908.08681).

    >>> gx.nn.mish(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    tensor = _float("mish", x)
    return tensor * tanh(softplus(tensor))


def softsign(x: ArrayLike) -> Tensor:
    """Return x / (1 + |x|).

    >>> gx.jit(gx.nn.softsign)(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    tensor = _float("softsign", x)
    return tensor / (abs(tensor) + 1.0)


def log_sigmoid(x: ArrayLike) -> Tensor:
    """Return log(sigmoid(x)) = -softplus(-x), which does not overflow.

    >>> gx.jit(gx.nn.log_sigmoid)(np.array([-1000.0, 1000.0]))
    array([-1000.,    -0.])
    """
    return -softplus(-_float("log_sigmoid", x))


def glu(x: ArrayLike, axis: int = -1) -> Tensor:
    """Return a * sigmoid(b) for the halves a and b of x along an axis of even size (Dauphin et al., arXiv:1612.08083).

    >>> gx.nn.glu(gx.placeholder(("batch", 8), name="x")).shape
    (batch, 4)
    """
    node, (along,) = _along("glu", x, axis)
    length = node.shape[along]
    if isinstance(length, int) and length % 2:
        raise ShapeError(f"glu: the size of axis {along} must be even, got {node.type}")
    a, b = part(node, along, 0, length // 2), part(node, along, length // 2, length - length // 2)
    return wrap(a) * sigmoid(wrap(b))


def _float(name: str, x: ArrayLike) -> Tensor:
    return wrap(as_float(name, x))


# Along an axis.


def softmax(x: ArrayLike, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis, without overflow.

    >>> gx.nn.softmax(gx.placeholder(("batch", 10), name="x")).shape
    (batch, 10)
    """
    node, axes = _along("softmax", x, axis)
    powers = ops.exp(shifted("softmax", node, axes))
    return wrap(powers / repeated(reduce_sum(powers, axis=axes), node, axes))


def log_softmax(x: ArrayLike, axis: int = -1) -> Tensor:
    """Return log(softmax(x)) along an axis, accurate also where softmax is nearly 0 or 1.

    >>> gx.nn.log_softmax(gx.placeholder(("batch", 10), name="x")).shape
    (batch, 10)
    """
    node, axes = _along("log_softmax", x, axis)
    scores = shifted("log_softmax", node, axes)
    return wrap(scores - repeated(log_total(scores, axes), node, axes))


def _along(name: str, x: ArrayLike, axis: int) -> tuple[Node, tuple[int, ...]]:
    node = as_float(name, x)
    if not node.ndim:
        raise ShapeError(f"{name}: takes rank 1 or more, got {node.type}")
    return node, (axis_index(name, axis, node.ndim),)


def shifted(name: str, node: Node, axes: tuple[int, ...]) -> Node:
    """Return the node minus its largest element, which softmax and its logarithm do not notice."""
    require_elements(name, node, axes)
    return node - repeated(finite_max(node, axes), node, axes)


def log_total(scores: Node, axes: tuple[int, ...]) -> Node:
    """Return the logarithm of the sum of exponentials of shifted scores."""
    return ops.log(reduce_sum(ops.exp(scores), axis=axes))


def normalize(x: ArrayLike, axis: int = -1, eps: float = 1e-12) -> Tensor:
    """Return x / max(norm of x, eps) along an axis, the norm being the root of the sum of squares.

    Where the norm is less than eps it is a constant: the gradient at 0 is that of x / eps.

    >>> gx.jit(gx.nn.normalize)(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    node, axes = _along("normalize", x, axis)
    return wrap(node / repeated(_norm(node, axes, eps), node, axes))


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, axis: int = -1, eps: float = 1e-8) -> Tensor:
    """Return the cosine of the angle between vectors along an axis: dot(x1, x2) / (max(|x1|, eps) * max(|x2|, eps)).

    Operands promote and broadcast together; `axis` is one of their common shape.

    >>> gx.nn.cosine_similarity(gx.placeholder(("n", 3)), gx.placeholder((3,))).shape
    (n,)
    """
    a, b = operands("cosine_similarity", *[wrap(n) for n in promote_floats("cosine_similarity", (x1, x2))])
    a, b = (n if n.ndim else broadcast(n, shape=max(a.shape, b.shape, key=len), axes=()) for n in (a, b))
    if not a.ndim:
        raise ShapeError(f"cosine_similarity: takes rank 1 or more, got {a.type} and {b.type}")
    axes = (axis_index("cosine_similarity", axis, a.ndim),)
    number("cosine_similarity", "eps", eps)
    return wrap(reduce_sum(a * b, axis=axes) / (_norm(a, axes, eps) * _norm(b, axes, eps)))


def _norm(node: Node, axes: tuple[int, ...], eps: float) -> Node:
    """Return max(norm, eps), as the root of what is never 0."""
    squares = reduce_sum(node * node, axis=axes)
    is_short = ops.le(squares, eps * eps)  # of a NaN it is not
    one, least = literal(1, node.dtype), literal(eps, node.dtype)
    return ops.where(is_short, least, ops.sqrt(ops.where(is_short, one, squares)))


__all__ = [
    "celu", "cosine_similarity", "elu", "gelu", "glu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log_sigmoid", "log_softmax", "mish", "normalize", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "softplus", "softsign", "tanh",
]  # fmt: skip
