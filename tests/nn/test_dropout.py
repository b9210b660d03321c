"""Dropout: how much is left out, in which mode, by which stream; its gradient; layers that use it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx

ONES = np.ones((200, 300), np.float32)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_how_much_is_left_out(p: float, dtype: str) -> None:
    x = gx.placeholder(("n", 300), dtype, name="x")
    y = gx.nn.dropout(x, p, key=gx.random.key(1))
    value, slope = gx.compile([x], [y, gx.gradients(gx.sum(y * y), x)])(ONES.astype(dtype))
    assert value.dtype == dtype
    kept = value != 0
    assert kept.mean() == pytest.approx(1 - p, abs=5 * np.sqrt(p * (1 - p) / kept.size))
    np.testing.assert_allclose(value[kept], 1 / (1 - p) if p < 1 else 0, rtol=1e-6)
    np.testing.assert_allclose(slope, 2 * value**2, rtol=1e-6)


def test_what_is_left_out_is_so_whatever_it_was() -> None:
    x = np.array([np.nan, np.inf] * 50)
    y = gx.jit(lambda x: gx.nn.dropout(x, 0.5, key=gx.random.key(0)))(x)
    assert 20 < np.sum(y == 0) < 80


def test_modes_and_streams() -> None:
    x = gx.placeholder(ONES.shape, name="x")
    gx.nn.seed(0)
    layer = gx.nn.Dropout(0.3)
    run = gx.compile([x], [layer(x), layer(x)])
    first, second = run(ONES), run(ONES)
    masks = [m != 0 for m in (*first, *second)]
    for k in range(4):
        for other in masks[k + 1 :]:
            assert np.mean(masks[k] & other) == pytest.approx(0.49, abs=0.02)
    gx.nn.seed(0)
    again = gx.compile([x], [layer(x), layer(x)])(ONES)
    assert (again[0] == first[0]).all()
    assert (gx.compile([x], layer.eval()(x))(ONES) == 1).all()
    own = [gx.nn.Dropout(0.3, stream=gx.random.Stream(5)) for _ in range(2)]
    a, b = (gx.compile([x], layer(x))(ONES) for layer in own)
    assert (a == b).all()
    assert repr(own[0]) == "Dropout(p=0.3)"


def test_layers_drop_in_training_alone() -> None:
    gru = gx.nn.GRU(4, 8, num_layers=2, dropout=0.5)
    block = gx.nn.TransformerEncoderLayer(4, 2, 8)
    assert block.dropout.p == 0.1
    x = np.ones((3, 2, 4), np.float32)
    for module, function in [(gru, lambda x: gru(x)[0]), (block, block)]:
        train = gx.jit(lambda x, f=function: f(x))
        assert (train(x) != train(x)).any()
        module.eval()
        predict = gx.jit(lambda x, f=function: f(x))
        assert (predict(x) == predict(x)).all()
    assert repr(gru) == "GRU(4, 8, num_layers=2, dropout=0.5)"


def test_in_each_step_of_a_loop() -> None:
    layer = gx.nn.Dropout(0.5, stream=gx.random.Stream(0))
    rows = gx.jit(lambda x: gx.map(layer, x))(ONES)
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: gx.nn.Dropout(1.5), "p must be a number from 0 to 1"),
        (lambda: gx.nn.Dropout(0.5, stream=3), "must be a gx.random.Stream"),
        (lambda: gx.nn.dropout(ONES, key=3), "takes a key"),
    ],
)
def test_errors(run: Any, message: str) -> None:
    with pytest.raises(gx.ArgumentError, match=message):
        run()
