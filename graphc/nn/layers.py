"""Layers of features: modules with the parameters of functions. Defaults are those of PyTorch.

Every layer that has parameters takes the dtype that they have, and a `seed` (see `gx.nn.init`) for their first values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, count
from graphc.array.handle import wrap
from graphc.array.shape import reshape
from graphc.errors import ArgumentError
from graphc.ir.dims import product
from graphc.nn import init
from graphc.nn.features import embedding, linear
from graphc.nn.init import Seed
from graphc.nn.module import Module
from graphc.tensor import Tensor, Variable, variable


def uniform_parameter(name: str, shape: Any, fan_in: int, dtype: Any, seed: np.random.Generator) -> Variable:
    """Return a parameter that starts with numbers between -1/sqrt(fan_in) and 1/sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(max(fan_in, 1))
    return variable(init.uniform(shape, -bound, bound, dtype, seed), name=name)


class Linear(Module):
    """x @ weight^T + bias, for x[..., in_features].

    weight[out_features, in_features] and bias[out_features] start between -1/sqrt(in_features) and 1/sqrt(in_features).

    >>> layer = gx.nn.Linear(4, 3)
    >>> layer(gx.placeholder(("batch", 4))).shape, layer.weight.shape
    ((batch, 3), (3, 4))
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = "float32", seed: Seed = None
    ) -> None:
        self.in_features = count("Linear", "in_features", in_features, 0)
        self.out_features = count("Linear", "out_features", out_features, 0)
        rng = init.generator(seed)
        self.weight = uniform_parameter("weight", (self.out_features, self.in_features), self.in_features, dtype, rng)
        self.bias = uniform_parameter("bias", (self.out_features,), self.in_features, dtype, rng) if bias else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return the linear map of x[..., in_features]."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{', bias=False' if self.bias is None else ''}"


class Embedding(Module):
    """A row of weight[num_embeddings, embedding_dim] for each integer; it starts with standard normal numbers.

    The row `padding_idx` starts as zeros and gets no gradient.

    >>> gx.nn.Embedding(100, 8)(gx.placeholder(("batch", "time"), "int64")).shape
    (batch, time, 8)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        self.num_embeddings = count("Embedding", "num_embeddings", num_embeddings, 1)
        self.embedding_dim = count("Embedding", "embedding_dim", embedding_dim, 1)
        self.padding_idx = padding_idx
        values = init.normal((self.num_embeddings, self.embedding_dim), dtype=dtype, seed=seed)
        if padding_idx is not None:
            values[axis_index("Embedding", padding_idx, self.num_embeddings)] = 0
        self.weight = variable(values, name="weight")

    def forward(self, indices: ArrayLike) -> Tensor:
        """Return the rows at integer indices."""
        return embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Flatten(Module):
    """The axes from start to end, both included, as one: by default all but the first.

    >>> gx.nn.Flatten()(gx.placeholder(("batch", 3, 8, 8))).shape
    (batch, 192)
    """

    def __init__(self, start: int = 1, end: int = -1) -> None:
        self.start, self.end = start, end

    def forward(self, x: ArrayLike) -> Tensor:
        """Return x with fewer axes."""
        x = wrap(as_node("Flatten", x))
        first, last = (axis_index("Flatten", k, x.ndim) for k in (self.start, self.end))
        if first > last:
            raise ArgumentError(f"Flatten: the first axis, {first}, must not come after the last, {last}")
        return reshape(x, (*x.shape[:first], product(x.shape[first : last + 1]), *x.shape[last + 1 :]))


class Identity(Module):
    """What it is given.

    >>> gx.nn.Identity()(3)
    3
    """

    def forward(self, x: Any) -> Any:
        """Return x."""
        return x


__all__ = ["Embedding", "Flatten", "Identity", "Linear", "uniform_parameter"]
