"""Chains of a hundred thousand nodes: nothing in graphc recurses along a graph, nor takes time beyond its length."""

from __future__ import annotations

import numpy as np

import graphc as gx

LENGTH = 100_000


def chain(x: gx.Tensor, length: int) -> gx.Tensor:
    """Return x after `length` elementwise operations, a tenth of them tanh."""
    for k in range(length // 2):
        x = gx.tanh(x) + 0.1 if k % 5 == 4 else x * 1.001 + 0.01
    return x


def test_a_chain_builds_differentiates_and_compiles() -> None:
    x = gx.placeholder((8,), "float64", name="x")
    y = chain(x, LENGTH)
    gradient = gx.gradients(gx.sum(y), x)
    assert len(gx.compile([x], [y, gradient], backend="eager").graph().nodes) > 1.5 * LENGTH
    # The gradient of all of it compiles too, in a minute; here the chain alone, and the gradient of a tenth.
    point = np.linspace(-1, 1, 8)
    compiled, eager = (gx.compile([x], y, backend=b)(point) for b in ("llvm", "eager"))
    np.testing.assert_allclose(compiled, eager, rtol=1e-12)

    y = chain(x, LENGTH // 10)
    gradient = gx.gradients(gx.sum(y), x)
    compiled, eager = (gx.compile([x], gradient, backend=b)(point) for b in ("llvm", "eager"))
    np.testing.assert_allclose(compiled, eager, rtol=1e-9)
