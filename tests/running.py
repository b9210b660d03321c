"""Tensors evaluated node by node, and their derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import graphc as gx
from graphc.eager import evaluate
from graphc.ir.dims import Dim
from graphc.ir.graph import Graph, bind_sizes

Array = np.ndarray[Any, Any]


def program(outputs: Sequence[gx.Tensor], inputs: Sequence[gx.Tensor]) -> Callable[..., tuple[Array, ...]]:
    """Return a function from arrays for `inputs` to the values of `outputs`."""
    graph = Graph(tuple(i.node for i in inputs), tuple(o.node for o in outputs))

    def call(*arrays: Any) -> tuple[Array, ...]:
        given = [np.asarray(a, i.dtype) for a, i in zip(arrays, inputs, strict=True)]
        sizes: dict[str, int] = {}
        for tensor, array in zip(inputs, given, strict=True):
            for size, extent in zip(tensor.shape, array.shape, strict=True):
                if isinstance(size, Dim):
                    assert sizes.setdefault(str(size), extent) == extent
        bound = bind_sizes(graph, sizes)
        results = evaluate(bound, given, {v: v.attrs["state"].array for v in bound.variables})
        for result, node in zip(results, bound.outputs, strict=True):
            assert result.dtype == node.dtype
            assert result.shape == node.shape
        return results

    return call


def run(output: Any, feeds: Mapping[gx.Tensor, Any] | None = None) -> Any:
    """Return the value of a Tensor, or those of a list of them."""
    feeds = feeds or {}
    outputs = output if isinstance(output, list | tuple) else [output]
    results = program(outputs, list(feeds))(*feeds.values())
    return list(results) if isinstance(output, list | tuple) else results[0]


def inputs_like(*arrays: Any, symbolic: bool = False) -> list[gx.Tensor]:
    """Return a placeholder for each array; with `symbolic`, of unknown sizes (equal ones share a name)."""
    shapes = [tuple(f"n{s}" if symbolic else s for s in np.shape(a)) for a in arrays]
    return [
        gx.placeholder(s, np.asarray(a).dtype, name=f"a{k}")
        for k, (s, a) in enumerate(zip(shapes, arrays, strict=True))
    ]


def apply(function: Callable[..., Any], *arrays: Any, symbolic: bool = False) -> Any:
    """Return function(placeholders) evaluated at `arrays`."""
    inputs = inputs_like(*arrays, symbolic=symbolic)
    return run(function(*inputs), dict(zip(inputs, arrays, strict=True)))


def check_gradients(
    function: Callable[..., gx.Tensor], *arrays: Any, step: float = 1e-6, tolerance: float = 1e-6, order: int = 1
) -> None:
    """Compare reverse and forward mode with central differences in float64; with order 2, those of the gradient too."""
    points = [np.asarray(a, np.float64) for a in arrays]
    inputs = inputs_like(*points)
    y = function(*inputs)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 1.5, [int(s) for s in y.shape])
    total = gx.sum(y * weights)
    if order == 2:
        firsts = gx.gradients(total, inputs, unconnected="zero")
        total = sum((gx.sum(g * rng.uniform(0.5, 1.5, g.shape)) for g in firsts), gx.constant(0.0))
    tangents = [rng.uniform(0.5, 1.5, p.shape) for p in points]
    reverse = gx.gradients(total, inputs, unconnected="zero")
    forward = gx.pushforward(total, inputs, tangents)
    *found, along = program([*reverse, forward], inputs)(*points)
    value = program([total], inputs)
    expected = [_differences(value, points, k, step) for k in range(len(points))]
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance)
    directional = sum(float(np.sum(e * t)) for e, t in zip(expected, tangents, strict=True))
    np.testing.assert_allclose(along, directional, rtol=tolerance, atol=10 * tolerance)


def _differences(value: Callable[..., tuple[Array, ...]], points: list[Array], which: int, step: float) -> Array:
    result = np.zeros_like(points[which])
    for place in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = points[which].copy()
            moved[place] += sign * step
            (end,) = value(*points[:which], moved, *points[which + 1 :])
            ends.append(float(end))
        result[place] = (ends[0] - ends[1]) / (2 * step)
    return result
