"""Dropout: elements left out at random in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, as_float
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.errors import ArgumentError
from graphc.nn import init
from graphc.nn.module import Module
from graphc.random.discrete import bernoulli
from graphc.random.streams import Stream

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def dropout(x: ArrayLike, p: float = 0.5, *, key: ArrayLike) -> Tensor:
    """Return x with each element zero with probability p, the others divided by 1 - p (arXiv:1207.0580).

    `key` is one of `gx.random`, as gx.random.key(0), or the next of a stream, stream.key(), which is another one in
    each run. The gradient is that of the elements that stayed. p counts in steps of 2^-24.

    >>> drop = gx.jit(lambda x: gx.nn.dropout(x, 0.5, key=gx.random.key(0)))
    >>> sorted(set(drop(np.ones(100)).tolist()))
    [0.0, 2.0]
    """
    node = as_float("dropout", x)
    rate = checked_rate("dropout", "p", p)
    if rate == 0:
        return wrap(node)
    if rate == 1:
        return wrap(node) * 0.0
    stays = bernoulli(key, np.float32(1 - rate), node.shape)
    return where(stays, wrap(node) / (1 - rate), 0.0)


def checked_rate(name: str, what: str, value: float) -> float:
    """Return a probability."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 <= value <= 1:
        raise ArgumentError(f"{name}: {what} must be a number from 0 to 1, got {value!r}")
    return float(value)


class Dropout(Module):
    """dropout in training, nothing in evaluation; other elements are left out in each run.

    `stream` is a gx.random.Stream to draw from, by default `gx.nn.stream()`, which all layers share.

    >>> layer = gx.nn.Dropout(0.5, stream=gx.random.Stream(0))
    >>> x = gx.placeholder((100,), name="x")
    >>> train, predict = gx.compile([x], layer(x)), gx.compile([x], layer.eval()(x))
    >>> ones = np.ones(100, np.float32)
    >>> bool((train(ones) == train(ones)).all()), bool((predict(ones) == 1).all())
    (False, True)
    """

    def __init__(self, p: float = 0.5, stream: Stream | None = None) -> None:
        self.p = checked_rate("Dropout", "p", p)
        if stream is not None and not isinstance(stream, Stream):
            raise ArgumentError(f"Dropout: stream must be a gx.random.Stream, got {stream!r}")
        self.stream = stream

    def forward(self, x: ArrayLike) -> Tensor:
        """Return x with elements left out, or as it is."""
        if not self.training or self.p == 0:
            return wrap(as_float("Dropout", x))
        return dropout(x, self.p, key=(self.stream or init.stream()).key())

    def extra_repr(self) -> str:
        return f"p={self.p}"


__all__ = ["Dropout", "checked_rate", "dropout"]
