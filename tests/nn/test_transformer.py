"""Attention with several heads and transformer blocks against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.nn.torch_peer import compare_layers, needs_torch, torch

RNG = np.random.default_rng(6)


class _Ours(gx.nn.Module):
    def __init__(self, layer: gx.nn.Module, **options: Any) -> None:
        self.layer, self.options = layer, options

    def forward(self, *inputs: gx.Tensor) -> Any:
        return self.layer(*inputs, **self.options)


def theirs(layer: Any, is_attention: bool = True, **options: Any) -> Any:
    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, *inputs: Any) -> Any:
            if not is_attention:
                return self.layer(*inputs, **options)
            given = inputs if len(inputs) == 3 else (inputs[0],) * 3
            return self.layer(*given, need_weights=False, **options)[0]

    return Theirs()


@needs_torch
@pytest.mark.parametrize("is_symbolic", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_attention_to_itself(bias: bool, is_symbolic: bool) -> None:
    ours = _Ours(gx.nn.MultiHeadAttention(6, 3, bias, dtype="float64"))
    peer = theirs(torch.nn.MultiheadAttention(6, 3, bias=bias, batch_first=True))
    compare_layers(ours, peer, RNG.normal(size=(2, 5, 6)), is_symbolic=is_symbolic)


def test_dropout_of_weights() -> None:
    x, key = RNG.normal(size=(5, 40, 4)), gx.random.key(3)
    both = gx.jit(lambda x: [gx.nn.scaled_dot_product_attention(0 * x, x, gx.ones_like(x), dropout_p=p, dropout_key=key)
                             for p in (0.0, 0.25)])  # fmt: skip
    kept, dropped = both(x)
    np.testing.assert_allclose(kept, 1)
    # Of equal weights, each query gets as many as stayed, out of 40, over 0.75: one number in all its features.
    stayed = dropped * 0.75 * 40
    np.testing.assert_allclose(stayed, np.round(stayed), atol=1e-9)
    assert 24 < stayed.mean() < 36
    assert stayed.std() > 1
    layer = gx.nn.MultiHeadAttention(4, 2, dropout=0.5, dtype="float64", seed=0)
    plain = gx.nn.MultiHeadAttention(4, 2, dtype="float64", seed=0)
    train, evaluate = gx.jit(lambda x: layer(x)), gx.jit(lambda x: layer.eval()(x))
    assert (train(x) != train(x)).all()
    np.testing.assert_array_equal(evaluate(x), gx.jit(plain)(x))


@needs_torch
def test_attention_to_something_else() -> None:
    ours = _Ours(gx.nn.MultiHeadAttention(6, 2, dtype="float64"))
    peer = theirs(torch.nn.MultiheadAttention(6, 2, batch_first=True))
    q, k, v = RNG.normal(size=(2, 5, 6)), RNG.normal(size=(2, 4, 6)), RNG.normal(size=(2, 4, 6))
    compare_layers(ours, peer, q, k, v)


@needs_torch
def test_masks() -> None:
    mask = RNG.uniform(size=(5, 5)) > 0.4
    mask[:, 0] = True
    x = RNG.normal(size=(2, 5, 6))
    layer, peer = gx.nn.MultiHeadAttention(6, 2, dtype="float64"), torch.nn.MultiheadAttention(6, 2, batch_first=True)
    compare_layers(_Ours(layer, mask=mask), theirs(peer, attn_mask=torch.tensor(~mask)), x)
    hidden = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    compare_layers(_Ours(layer, is_causal=True), theirs(peer, attn_mask=hidden, is_causal=True), x)
    padding = np.array([[True] * 5, [True, True, False, False, False]])
    compare_layers(_Ours(layer, mask=padding[:, None, None]), theirs(peer, key_padding_mask=torch.tensor(~padding)), x)


def test_heads_that_share_keys_are_heads_with_equal_keys() -> None:
    shared = gx.nn.MultiHeadAttention(8, 4, num_kv_heads=2, dtype="float64", seed=0)
    full = gx.nn.MultiHeadAttention(8, 4, dtype="float64")
    state = shared.state_dict()
    for name in ("in_proj_weight", "in_proj_bias"):
        q, *rest = np.split(state[name], [8, 12])
        repeated = [np.repeat(r.reshape(2, 2, -1), 2, axis=0).reshape(8, *r.shape[1:]) for r in rest]
        state[name] = np.concatenate([q, *repeated])
    full.load_state_dict(state)
    x = RNG.normal(size=(2, 5, 8))
    np.testing.assert_allclose(gx.jit(shared)(x), gx.jit(full)(x), rtol=1e-12)
    np.testing.assert_allclose(gx.jit(lambda x: shared(x, x + 0, x + 0))(x), gx.jit(shared)(x), rtol=1e-12)


@needs_torch
@pytest.mark.parametrize("is_symbolic", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(activation: str, norm_first: bool, is_symbolic: bool) -> None:
    options = {"dim_feedforward": 7, "activation": activation, "norm_first": norm_first}
    ours = gx.nn.TransformerEncoderLayer(6, 2, dropout=0.0, dtype="float64", **options)
    peer = torch.nn.TransformerEncoderLayer(6, 2, dropout=0.0, batch_first=True, **options)
    compare_layers(ours, peer, RNG.normal(size=(2, 5, 6)), is_symbolic=is_symbolic)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: gx.nn.MultiHeadAttention(6, 4), "num_heads must divide embed_dim"),
        (lambda: gx.nn.MultiHeadAttention(6, 2)(gx.placeholder((5, 4))), "query must be"),
        (lambda: gx.nn.TransformerEncoderLayer(6, 2, activation="tanh"), "activation must be"),
    ],
)
def test_errors(run: Any, message: str) -> None:
    with pytest.raises((gx.ArgumentError, gx.ShapeError), match=message):
        run()
