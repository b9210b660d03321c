"""First and second derivatives of operations that jax has too, in float64, on the samples of the op database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.autodiff import pullback
from graphc.eager import evaluate
from graphc.ir.graph import OPS, Graph, Node, literal, placeholder
from tests.ops.samples import Sample
from tests.ops.test_ops import SMOOTH, results_of

try:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
except ImportError:
    jax = None

SAME_NAME = (
    "add", "sub", "mul", "div", "neg", "pow", "abs", "maximum", "minimum", "remainder", "copysign", "hypot", "sqrt",
    "cbrt", "exp", "expm1", "log", "log1p", "exp2", "log2", "log10", "tanh", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "atan2", "sigmoid", "softplus", "relu", "erf", "erfc",
    "logaddexp", "square", "lgamma", "digamma", "erfinv", "where", "sum", "prod", "max", "min", "cumsum", "cumprod",
    "cummax", "cummin", "contract", "sort", "transpose", "reshape", "broadcast",
)  # fmt: skip
"""Operations that jax has; elsewhere a few have other names."""


def of_jax(op: str) -> Callable[..., Any] | None:
    """Return jax's function for an operation, taking its attributes."""
    names = {"sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative", "pow": "power"}
    if op == "contract":
        return lambda a, b, spec: jnp.einsum(spec, a, b)
    if op == "sort":
        return lambda x, descending, count: jnp.sort(x, descending=descending)[..., :count]
    if op == "transpose":
        return lambda x, axes: jnp.transpose(x, axes)
    if op == "broadcast":
        return lambda x, shape, axes: jax.lax.broadcast_in_dim(x, shape, axes)
    if op in ("cumsum", "cumprod", "cummax", "cummin"):
        return lambda x, axis, reverse: getattr(jax.lax, op)(x, axis=axis, reverse=reverse)
    for room in (jnp, jax.nn, jax.scipy.special):
        if hasattr(room, names.get(op, op)):
            return getattr(room, names.get(op, op))
    return {"lgamma": jax.scipy.special.gammaln}.get(op)


SHARED = [s for op in SAME_NAME for s in [s for s in SMOOTH if s.op == op][:2]]
"""Two samples of each: jax compiles every one anew."""


@pytest.mark.parametrize("sample", SHARED, ids=[f"{s}-{k}" for k, s in enumerate(SHARED)])
def test_derivatives_are_those_of_jax(sample: Sample) -> None:
    if jax is None:
        pytest.skip("jax is not installed (extra: bench)")
    function = of_jax(sample.op)
    assert function is not None
    inputs, arrays = sample.placeholders(), sample.arrays()
    places = [k for k, i in enumerate(inputs) if i.dtype.kind == "f"]
    (output,) = results_of(sample.node(inputs))
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 1.5, output.shape)
    directions = [rng.uniform(0.5, 1.5, inputs[k].shape) for k in places]

    wrt = [inputs[k] for k in places]
    w = placeholder(name="w", type=output.tensor_type)
    first = pullback([output], wrt, [w])
    along = [total(g, d) for g, d in zip(first, directions, strict=True) if g is not None]
    second = pullback(along, wrt, [literal(1, w.dtype)] * len(along))
    wanted = [g for g in (*first, *second) if g is not None]
    found = iter(evaluate(Graph((*inputs, w), tuple(wanted)), [*arrays, weights]))

    def scalar(*floats: Any) -> Any:
        given = list(map(jnp.asarray, arrays))
        for k, value in zip(places, floats, strict=True):
            given[k] = value
        return jnp.sum(function(*given, **sample.attrs) * weights)

    def slope(*floats: Any) -> Any:
        slopes = jax.grad(scalar, argnums=tuple(range(len(places))))(*floats)
        return sum(jnp.sum(g * d) for g, d in zip(slopes, directions, strict=True))

    floats = [jnp.asarray(arrays[k]) for k in places]
    argnums = tuple(range(len(places)))
    expected = (*jax.grad(scalar, argnums)(*floats), *jax.grad(slope, argnums)(*floats))
    for node, value in zip((*first, *second), expected, strict=True):
        result = np.zeros(np.shape(value)) if node is None else next(found)
        scale = float(np.max(np.abs(value), initial=0))
        np.testing.assert_allclose(result, value, rtol=1e-10, atol=1e-10 * scale + 1e-13)


def total(node: Node, weights: Any) -> Node:
    """Return the sum of a node times weights."""
    product = node * literal(weights, node.dtype)
    return OPS["sum"](product, axis=tuple(range(node.ndim))) if node.ndim else product
