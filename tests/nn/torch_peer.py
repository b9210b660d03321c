"""Layers beside PyTorch's: the same parameters, the same values and the same gradients, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra: bench)")

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-10


def assert_close(ours: Any, theirs: Any) -> None:
    wanted = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
    np.testing.assert_allclose(ours, wanted, rtol=TOLERANCE, atol=TOLERANCE * scale)


def placeholders(arrays: Sequence[Array], is_symbolic: bool) -> list[gx.Tensor]:
    """Return a placeholder for each array; with is_symbolic the first axes, of batch and time, are unknown."""
    found = []
    for k, a in enumerate(arrays):
        known = [n if not is_symbolic or axis > 1 else f"n{n}" for axis, n in enumerate(a.shape)]
        found.append(gx.placeholder(tuple(known), a.dtype, name=f"x{k}"))
    return found


def compare_functions(
    ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: Array, is_symbolic: bool = False
) -> None:
    """Compare values, and gradients with respect to the floating-point arguments."""
    inputs = placeholders(arrays, is_symbolic)
    wrt = [x for x in inputs if x.dtype.kind == "f"]
    _compare(inputs, arrays, ours(*inputs), wrt, theirs, {})


def compare_layers(
    layer: gx.nn.Module, peer: Any, *arrays: Array, is_symbolic: bool = False, names: Callable[[str], str] = str
) -> None:
    """Give a layer the parameters of PyTorch's, and compare values and gradients of inputs and parameters.

    `names` takes a name of PyTorch's to ours.
    """
    peer.double()
    state = {names(k): v for k, v in peer.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert set(layer.state_dict()) == set(state)
    layer.load_state_dict({k: v.numpy() for k, v in state.items()})
    inputs = placeholders(arrays, is_symbolic)
    wrt = [*[x for x in inputs if x.dtype.kind == "f"], *layer.parameters()]
    parameters = {names(k): p for k, p in peer.named_parameters()}
    _compare(inputs, arrays, layer(*inputs), wrt, peer, {k: parameters[k] for k, _ in layer.named_parameters()})


def _compare(
    inputs: Sequence[gx.Tensor],
    arrays: Sequence[Array],
    result: Any,
    wrt: Sequence[gx.Tensor],
    theirs: Callable[..., Any],
    parameters: dict[str, Any],
) -> None:
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    expected = _leaves(theirs(*tensors))
    results = _leaves(result)
    rng = np.random.default_rng(1)
    cotangents = [rng.normal(size=tuple(e.shape)) for e in expected]
    slopes = gx.pullback(results, list(wrt), cotangents)
    values = gx.compile(list(inputs), [results, slopes])(*arrays)
    floats = [t for t in tensors if t.requires_grad]
    gradients = torch.autograd.grad(
        expected, [*floats, *parameters.values()], [torch.tensor(c) for c in cotangents], allow_unused=True
    )
    assert len(values[0]) == len(expected)
    for ours, peer in zip(values[0], expected, strict=True):
        assert ours.shape == tuple(peer.shape)
        assert_close(ours, peer)
    for ours, peer in zip(values[1], gradients, strict=True):
        assert_close(ours, np.zeros_like(ours) if peer is None else peer)


def _leaves(result: Any) -> list[Any]:
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in _leaves(part)]
    return [result]
