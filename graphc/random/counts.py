"""Poisson numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graphc.array import elementwise as el
from graphc.array.control import while_loop
from graphc.array.convert import ArrayLike
from graphc.array.creation import zeros
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.reduce import any as any_of
from graphc.array.shape import broadcast_to
from graphc.errors import DTypeError
from graphc.ir.types import FLOAT64, as_dtype
from graphc.random.arguments import float_request, require
from graphc.random.continuous import unit
from graphc.random.keys import ShapeArgument, as_key, split
from graphc.random.rejection import accepted, in_blocks

if TYPE_CHECKING:
    from graphc.tensor import Tensor

FEW = 10.0
"""The rate from which numbers are proposed rather than searched for."""

MOST_FEW = 100
"""Numbers that are searched: of the rate FEW, larger ones have a chance below 1e-60."""

LARGEST = 2.0**62
"""The largest rate whose numbers fit int64."""


def poisson(key: ArrayLike, lam: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = "int64") -> Tensor:
    """Return Poisson numbers of the rate `lam`, as integers of `dtype`. The derivative is zero.

    The shape is by default that of lam. A known rate must be in [0, 2^62], else it is an ArgumentError; one that turns
    out not to be, or to be NaN, gives -1. Rates below 10 search the sums of probabilities for a uniform number, others
    propose (Hormann, The transformed rejection method for generating Poisson random variables, 1993).

    >>> gx.random.poisson(gx.random.key(0), [0.5, 3.0, 1000.0], (100, 3)).shape
    (100, 3)
    """
    wanted = as_dtype(dtype)
    if wanted.kind not in "iu":
        raise DTypeError(f"poisson: dtype must be an integer dtype, got {wanted.name}")
    require("poisson", "lam", lam, low=0.0, high=LARGEST)
    sizes, _, (rate,) = float_request("poisson", shape, FLOAT64, lam)
    found = in_blocks(wrap(as_key("poisson", key)), sizes, [el.stop_gradient(rate)], _sample)
    return found.astype(wanted)


def _sample(key: Tensor, size: int, rate: Tensor) -> Tensor:
    few, many = split(key)
    valid = (rate >= 0) & (rate <= LARGEST)
    is_few = rate < FEW
    searched = _searched(few, size, where(is_few & valid, rate, 0))
    rounds = broadcast_to(valid & ~is_few, (size,))
    # Elements that wait for nothing propose too: with a rate that makes no trouble.
    proposed = _proposed(many, size, where(valid & ~is_few, rate, FEW), rounds)
    return where(valid, where(is_few, searched, proposed), -1.0).astype("int64")


def _searched(key: Tensor, size: int, rate: Tensor) -> Tensor:
    """Return how many numbers there are whose probability, and that of all smaller ones, sum to no more than u."""
    u = unit("poisson", key, (size,), FLOAT64)

    def is_open(carry: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        return (carry[0] < MOST_FEW) & any_of(carry[2] <= u)

    def next_number(carry: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        number, chance, total, found = carry
        more = total <= u
        number = number + 1
        chance = chance * (rate / number)
        return number, chance, where(more, total + chance, total), found + more

    none = broadcast_to(el.exp(-rate), (size,))
    found: Tensor = while_loop(is_open, next_number, (zeros(()), none, none, zeros((size,))))[3]
    return found


def _proposed(key: Tensor, size: int, rate: Tensor, waiting: Tensor) -> Tensor:
    """Return numbers by transformed rejection; names are Hormann's (algorithm PTRS)."""
    b = 0.931 + 2.53 * el.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)

    def propose(own: Tensor) -> tuple[Tensor, Tensor]:
        first, second = split(own)
        u = unit("poisson", first, (size,), FLOAT64) - 0.5
        v = unit("poisson", second, (size,), FLOAT64)
        us = 0.5 - el.abs(u)
        k = el.floor((2 * a / us + b) * u + rate + 0.43)
        possible = (k >= 0) & ((us >= 0.013) | (v <= us))
        n = where(possible, k, 0)
        height = v * inverse_alpha / (a / (us * us) + b)
        return n, possible & (((us >= 0.07) & (v <= v_r)) | _is_below(height, n, rate))

    return accepted(key, zeros((size,)), waiting, propose)


def _is_below(height: Tensor, n: Tensor, rate: Tensor) -> Tensor:
    """Return whether log(height) is at most the logarithm of the probability of n.

    That is -rate ((1 + x) log1p(x) - x) - log(2 pi n) / 2 - c(n), n = rate (1 + x), where c(n) is what Stirling's
    formula lacks, by the continued fraction of Stieltjes: nothing large cancels, however large the rate.
    """
    positive = el.maximum(n, 1.0)
    x = (positive - rate) / rate
    rest = 1 / (12 * (positive + 1 / (30 * (positive + 53 / (210 * (positive + 195 / (371 * positive)))))))
    depth = rate * ((1 + x) * el.log1p(x) - x) + rest
    return el.log(height * el.sqrt(where(n > 0, 2 * math.pi * positive, 1.0))) <= where(n > 0, -depth, -rate)


__all__ = ["poisson"]
