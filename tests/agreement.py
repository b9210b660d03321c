"""How near a result must be to the reference: bit for bit, but for sums and for functions that have no exact result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import Cumulative, Elementwise, Node, Product, Reduction, Region
from graphc.ir.loops import PRIMITIVES, Apply, Var, walk_expressions
from graphc.lower.scalars import scalar_expr

Array = np.ndarray[Any, Any]

ROUNDED_ONCE = PRIMITIVES | {"fmod", "nextafter"}
"""Scalar operations with one right result."""

FUNCTION_STEPS = 4
"""Floats between the result of any other function and the exact one, at most."""

QUADRATURE_STEPS = 512
"""The same for functions that are computed by quadrature in float64."""

BY_QUADRATURE = ("gammainc", "gammaincc", "gamma_tail")

SUM_ULPS = 4
"""Rounding errors of a sum, relative to the sum of magnitudes, at most."""

REGION_ULPS = 64
"""Rounding errors of a loop's results, relative to the largest element: steps carry errors on."""


def is_exact(node: Node) -> bool:
    """Tell whether an operation has one right result, whatever the order of evaluation."""
    if isinstance(node.op, Region):
        return False
    if node.dtype.kind != "f":
        return True
    if isinstance(node.op, Reduction):
        return node.op.combine not in ("add", "mul")
    if isinstance(node.op, Cumulative):
        return node.op.combine != "add"
    if isinstance(node.op, Product):
        return False
    if not isinstance(node.op, Elementwise) or not node.inputs:
        return True
    expr = scalar_expr(node, tuple([Var("x", i.dtype) for i in node.inputs]))
    return all(e.op in ROUNDED_ONCE for e in walk_expressions([expr]) if isinstance(e, Apply))


def chooses_zeros(node: Node) -> bool:
    """Tell whether an operation may return either of 0 and -0 where it meets both."""
    return getattr(node.op, "scalar", "") in ("max", "min", "relu") or getattr(node.op, "combine", "") in ("max", "min")


def wide(array: Array) -> Array:
    """Return floats in the next wider format."""
    if array.dtype.kind != "f":
        return array
    return array.astype(np.float64 if array.dtype == np.float32 else np.longdouble)


def steps_apart(a: Array, b: Array) -> Array:
    """Return how many floats lie between a and b, one end counted; 0 for two NaNs and for zeros of either sign."""
    places = _place(a), _place(b)
    steps = (np.maximum(*places) - np.minimum(*places)).astype(np.float64)
    return np.where(np.isnan(a) & np.isnan(b), 0, np.where(np.isnan(a) | np.isnan(b), np.inf, steps))


def _place(floats: Array) -> Array:
    """Return unsigned integers in the order of the floats, neighbours of neighbours."""
    bits = (floats + 0.0).view(f"u{floats.dtype.itemsize}")  # 0.0 for -0.0
    sign = bits.dtype.type(1) << bits.dtype.type(8 * bits.dtype.itemsize - 1)
    return np.where(bits & sign, ~bits + 1, bits | sign)


def assert_identical(result: Array, expected: Array, signed_zeros: bool = True) -> None:
    """Require the same dtype, shape and values; NaN equals NaN."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result, expected)
    if result.dtype.kind == "f" and signed_zeros:
        differs = ~np.isnan(expected) & (np.signbit(result) != np.signbit(expected))
        assert not differs.any(), f"signs differ at {np.argwhere(differs)[:5].tolist()}"


def assert_near(result: Array, expected: Array, ulps: float) -> None:
    """Require the same dtype and shape, and errors of at most `ulps` of the largest finite element."""
    if result.dtype.kind != "f":
        return assert_identical(result, expected)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 0.0
    bound = ulps * (np.finfo(result.dtype).eps * scale + np.finfo(result.dtype).smallest_subnormal)
    np.testing.assert_allclose(result, expected, rtol=0, atol=bound)
    return None


def assert_agrees(node: Node, inputs: Sequence[Array], result: Array, expected: Array) -> None:
    """Require that `result` is what `node` means on `inputs`; `expected` is what its reference gave for them."""
    if is_exact(node):
        assert_identical(result, expected, signed_zeros=not chooses_zeros(node))
    elif isinstance(node.op, Region):
        assert_near(result, expected, REGION_ULPS)
    elif isinstance(node.op, Elementwise):
        _assert_function(node, inputs, result)
    else:
        _assert_sum(node, inputs, result)


def _reference(node: Node, arrays: Sequence[Array]) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(node.op.reference(*arrays, **node.attrs))


def _assert_function(node: Node, inputs: Sequence[Array], result: Array) -> None:
    with np.errstate(all="ignore"):
        expected = _reference(node, [wide(a) for a in inputs]).astype(node.dtype)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    steps = steps_apart(result, expected)
    worst = np.unravel_index(int(np.argmax(steps)), steps.shape) if steps.size else ()
    at = [a[worst] if a.shape else a for a in inputs]
    allowed = QUADRATURE_STEPS if node.op.name in BY_QUADRATURE and node.dtype == np.float64 else FUNCTION_STEPS
    assert steps.size == 0 or steps[worst] <= allowed, (at, result[worst], expected[worst])
    zeros = (expected == 0) & (result == 0)
    assert (np.signbit(result) == np.signbit(expected))[zeros].all()


def _assert_sum(node: Node, inputs: Sequence[Array], result: Array) -> None:
    """A product has as many rounding errors as factors; they add up like steps in random directions."""
    expected = _reference(node, [wide(a) for a in inputs])
    magnitude = _reference(node, [np.abs(wide(a)) for a in inputs])
    terms = inputs[0].size / max(1, result.size)
    ulps = SUM_ULPS + (2 * math.sqrt(terms) if getattr(node.op, "combine", "") == "mul" else 0)
    assert result.dtype == node.dtype
    assert result.shape == expected.shape
    errors = np.abs(wide(result) - expected)
    bound = ulps * np.finfo(node.dtype).eps * magnitude
    assert (errors <= bound).all(), (errors.max(), bound[np.unravel_index(errors.argmax(), errors.shape)])
