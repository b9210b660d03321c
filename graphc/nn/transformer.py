"""Attention and transformer blocks as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.array.convert import ArrayLike, as_float, count, differ
from graphc.array.handle import wrap
from graphc.array.shape import part, reshape, swapaxes
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.dims import Size
from graphc.nn import init
from graphc.nn.activations import gelu, relu
from graphc.nn.attention import scaled_dot_product_attention
from graphc.nn.dropout import Dropout, checked_rate
from graphc.nn.features import linear
from graphc.nn.init import Seed
from graphc.nn.layers import Linear
from graphc.nn.module import Module
from graphc.nn.norm_layers import LayerNorm
from graphc.tensor import Tensor, variable


class MultiHeadAttention(Module):
    """Attention with several heads: out_proj(heads side by side), each head on its own linear maps of what is given.

    x is [..., time, embed_dim]; the axes in front are batches. The maps of query, key and value lie one after the other
    in in_proj_weight and in_proj_bias, as in PyTorch. `num_kv_heads` below num_heads, which it divides, lets groups of
    heads share keys and values. `dropout` is the probability to leave out, in training, the weight with which a query
    takes a value; numbers come from `gx.nn.stream()`. in_proj_weight starts as xavier_uniform, the biases as zeros,
    out_proj as Linear.

    A bool mask is true where a query may see a key (PyTorch's layer has it the other way round).

    >>> attention = gx.nn.MultiHeadAttention(8, num_heads=2)
    >>> attention(gx.placeholder(("batch", "time", 8)), is_causal=True).shape
    (batch, time, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        num_kv_heads: int | None = None,
        *,
        dropout: float = 0.0,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        name = "MultiHeadAttention"
        self.embed_dim, self.num_heads = count(name, "embed_dim", embed_dim, 1), count(name, "num_heads", num_heads, 1)
        self.num_kv_heads = self.num_heads if num_kv_heads is None else count(name, "num_kv_heads", num_kv_heads, 1)
        if self.embed_dim % self.num_heads or self.num_heads % self.num_kv_heads:
            raise ArgumentError(
                f"{name}: num_heads must divide embed_dim, and num_kv_heads num_heads; got {embed_dim}, {num_heads} "
                f"and {self.num_kv_heads}"
            )
        self.dropout = checked_rate(name, "dropout", dropout)
        rng = init.generator(seed)
        shape = (self.embed_dim + 2 * self._kv_width, self.embed_dim)
        self.in_proj_weight = variable(init.xavier_uniform(shape, dtype=dtype, seed=rng), name="in_proj_weight")
        self.in_proj_bias = variable(init.zeros(shape[:1], dtype), name="in_proj_bias") if bias else None
        self.out_proj = Linear(self.embed_dim, self.embed_dim, bias, dtype=dtype, seed=rng)
        if self.out_proj.bias is not None:
            self.out_proj.bias.assign(np.zeros(self.embed_dim, dtype))

    @property
    def _kv_width(self) -> int:
        return self.embed_dim // self.num_heads * self.num_kv_heads

    def forward(
        self,
        query: ArrayLike,
        key: ArrayLike | None = None,
        value: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return what each query gets from the values.

        query     [..., n, embed_dim]
        key       [..., m, embed_dim], by default query
        value     as key, by default key
        mask      broadcasts to [..., heads, n, m]: bools, true where a query may see a key, or numbers to be added
        """
        q = self._input("query", query)
        k = q if key is None else self._input("key", key)
        v = k if value is None else self._input("value", value)
        counts = (self.num_heads, self.num_kv_heads, self.num_kv_heads)
        widths = (self.embed_dim, self._kv_width, self._kv_width)
        starts = (0, self.embed_dim, self.embed_dim + self._kv_width)
        if q is k and k is v:
            together = self._projected(q, 0, sum(widths))
            parts = [_columns(together, start, width) for start, width in zip(starts, widths, strict=True)]
        else:
            parts = [self._projected(x, *rows) for x, *rows in zip((q, k, v), starts, widths, strict=True)]
        q, k, v = (_by_head(x, n) for x, n in zip(parts, counts, strict=True))
        rate = self.dropout if self.training else 0.0
        drawn = init.stream().key() if rate else None
        found = scaled_dot_product_attention(q, k, v, mask, is_causal, dropout_p=rate, dropout_key=drawn)
        result = swapaxes(found, -2, -3)
        return self.out_proj(reshape(result, (*result.shape[:-2], self.embed_dim)))  # type: ignore[no-any-return]

    def _input(self, what: str, x: ArrayLike) -> Tensor:
        tensor = wrap(as_float("MultiHeadAttention", x))
        if tensor.ndim < 2 or differ(tensor.shape[-1], self.embed_dim):
            raise ShapeError(
                f"MultiHeadAttention: {what} must be [..., time, {self.embed_dim}], got {tensor.node.type}"
            )
        return tensor

    def _projected(self, x: Tensor, start: int, rows: int) -> Tensor:
        """Return the linear map of x by some rows of the weight."""
        weight = wrap(part(self.in_proj_weight.node, 0, start, rows))
        return linear(
            x, weight, None if self.in_proj_bias is None else wrap(part(self.in_proj_bias.node, 0, start, rows))
        )

    def extra_repr(self) -> str:
        shared = "" if self.num_kv_heads == self.num_heads else f", num_kv_heads={self.num_kv_heads}"
        return f"{self.embed_dim}, {self.num_heads}{shared}"

    def __repr__(self) -> str:
        return f"MultiHeadAttention({self.extra_repr()})"


def _columns(x: Tensor, start: int, count: int) -> Tensor:
    return wrap(part(x.node, x.ndim - 1, start, count))


def _by_head(x: Tensor, heads: int) -> Tensor:
    """Return [..., heads, time, features of a head]."""
    shape: tuple[Size, ...] = (*x.shape[:-1], heads, x.shape[-1] // heads)
    return swapaxes(reshape(x, shape), -2, -3)


class TransformerEncoderLayer(Module):
    """A block of a transformer: attention of x to itself, then two linear maps, each added to its input and normalised.

    x is [..., time, d_model]. With norm_first, what goes into each of the two is normalised instead of the sum
    (Xiong et al., arXiv:2002.04745). `dropout` is the probability to leave out, in training, an element of what either
    of the two adds, of what is between the linear maps, and of attention's weights. Parameters have the names that they
    have in PyTorch, with self_attn as in MultiHeadAttention, of which the mask has the meaning.

    >>> block = gx.nn.TransformerEncoderLayer(8, 2, dim_feedforward=32, norm_first=True)
    >>> block(gx.placeholder(("batch", "time", 8)), is_causal=True).shape
    (batch, time, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Callable[[Tensor], Tensor] | str = "relu",
        norm_first: bool = False,
        eps: float = 1e-5,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        known = {"relu": relu, "gelu": gelu}
        if isinstance(activation, str) and activation not in known:
            raise ArgumentError(f"TransformerEncoderLayer: activation must be a function or one of {list(known)}")
        rng = init.generator(seed)
        self.self_attn = MultiHeadAttention(d_model, nhead, bias, dropout=dropout, dtype=dtype, seed=rng)
        self.dropout = Dropout(dropout)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, seed=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, seed=rng)
        self.norm1 = LayerNorm(d_model, eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, eps, bias=bias, dtype=dtype)
        self.activation = known[activation] if isinstance(activation, str) else activation
        self.norm_first = bool(norm_first)

    def forward(self, x: ArrayLike, mask: ArrayLike | None = None, is_causal: bool = False) -> Tensor:
        """Return the block applied to x[..., time, d_model]; see MultiHeadAttention for the mask."""
        given = wrap(as_float("TransformerEncoderLayer", x))
        if self.norm_first:
            seen = given + self._attended(self.norm1(given), mask, is_causal)
            return seen + self._mapped(self.norm2(seen))
        seen = self.norm1(given + self._attended(given, mask, is_causal))
        return self.norm2(seen + self._mapped(seen))  # type: ignore[no-any-return]

    def _attended(self, x: Tensor, mask: ArrayLike | None, is_causal: bool) -> Tensor:
        return self.dropout(self.self_attn(x, mask=mask, is_causal=is_causal))  # type: ignore[no-any-return]

    def _mapped(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.activation(self.linear1(x)))
        return self.dropout(self.linear2(hidden))  # type: ignore[no-any-return]


__all__ = ["MultiHeadAttention", "TransformerEncoderLayer"]
