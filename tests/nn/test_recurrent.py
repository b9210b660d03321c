"""Recurrent layers against PyTorch's: layers, directions, layouts, states, unknown sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.nn.torch_peer import compare_layers, needs_torch, torch

RNG = np.random.default_rng(5)
LAYERS = ("RNN", "GRU", "LSTM")
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two layers": {"num_layers": 2},
    "both directions": {"bidirectional": True},
    "all": {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True},
}


@needs_torch
@pytest.mark.parametrize("is_symbolic", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, options: str, is_symbolic: bool) -> None:
    layer = getattr(gx.nn, name)(4, 3, dtype="float64", **OPTIONS[options])
    peer = getattr(torch.nn, name)(4, 3, **OPTIONS[options])
    compare_layers(layer, peer, RNG.normal(size=(5, 2, 4)), is_symbolic=is_symbolic)


@needs_torch
@pytest.mark.parametrize("name", LAYERS)
def test_first_states(name: str) -> None:
    def pair(states: tuple[Any, ...]) -> Any:
        return states if name == "LSTM" else states[0]

    class Both(gx.nn.Module):
        def __init__(self) -> None:
            self.layer = getattr(gx.nn, name)(4, 3, 2, dtype="float64")

        def forward(self, x: gx.Tensor, *states: gx.Tensor) -> Any:
            return self.layer(x, pair(states))

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = getattr(torch.nn, name)(4, 3, 2)

        def forward(self, x: Any, *states: Any) -> Any:
            return self.layer(x, pair(states))

    count = 2 if name == "LSTM" else 1
    states = [RNG.normal(size=(2, 6, 3)) for _ in range(count)]
    compare_layers(Both(), Peer(), RNG.normal(size=(5, 6, 4)), *states)
    states = [RNG.normal(size=(2, 3)) for _ in range(count)]
    compare_layers(Both(), Peer(), RNG.normal(size=(5, 4)), *states)


@needs_torch
def test_relu_in_place_of_tanh() -> None:
    layer = gx.nn.RNN(4, 3, nonlinearity="relu", dtype="float64")
    compare_layers(layer, torch.nn.RNN(4, 3, nonlinearity="relu"), RNG.normal(size=(5, 2, 4)))


@needs_torch
def test_initial_values_have_the_range_of_pytorchs() -> None:
    ours, theirs = gx.nn.GRU(10, 100), torch.nn.GRU(10, 100)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    for value in ours.state_dict().values():
        assert 0.09 < abs(value).max() <= 0.1


def test_one_code_for_every_length() -> None:
    x, layer = gx.placeholder(("time", "batch", 4), name="x"), gx.nn.LSTM(4, 3, seed=0)
    run = gx.compile([x], layer(x))
    long = RNG.normal(size=(9, 2, 4)).astype(np.float32)
    outputs = run(long)[0]
    np.testing.assert_allclose(run(long[:4, :1])[0], outputs[:4, :1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: gx.nn.GRU(4, 3)(gx.placeholder((5, 2, 3))), "x must be .time, batch, input."),
        (lambda: gx.nn.GRU(4, 3, batch_first=True)(gx.placeholder((4,))), "x must be .batch, time, input."),
        (lambda: gx.nn.GRU(4, 3)(gx.placeholder((5, 2, 4)), np.zeros((1, 3, 3))), r"the state must be \[1, 2, 3\]"),
        (lambda: gx.nn.LSTM(4, 3)(gx.placeholder((5, 2, 4)), np.zeros((1, 2, 3))), r"must be a pair \(h, c\)"),
        (lambda: gx.nn.RNN(4, 3, nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: gx.nn.GRU(4, 0), "hidden_size must be at least 1"),
    ],
)
def test_errors(run: Any, message: str) -> None:
    with pytest.raises((gx.ShapeError, gx.ArgumentError), match=message):
        run()


def test_text() -> None:
    assert repr(gx.nn.GRU(4, 3, 2, batch_first=True)) == "GRU(4, 3, num_layers=2, batch_first=True)"
