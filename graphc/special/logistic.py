"""The inverse and the logarithm of the logistic function, and sinc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike
from graphc.array.handle import wrap
from graphc.ops.elementwise import abs, atanh, log, log1p, lt, softplus, where
from graphc.ops.special.sinc import sinc as sinc_op
from graphc.special.operands import applied, floats

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def logit(x: ArrayLike, /) -> Tensor:
    """Return log(x / (1 - x)), the inverse of expit: -inf at 0, inf at 1, NaN outside of [0, 1].

    Accurate also near 1/2, where it vanishes. The gradient is 1 / (x (1 - x)).

    >>> gx.special.logit(gx.placeholder((3,), name="p")).shape
    (3,)
    """
    (p,) = floats("logit", x)
    offset = p * 2.0 - 1.0
    return wrap(where(lt(abs(offset), 0.5), atanh(offset) * 2.0, log(p) - log1p(-p)))


def log_expit(x: ArrayLike, /) -> Tensor:
    """Return log(expit(x)) = -log(1 + exp(-x)), without overflow or loss of digits. The gradient is expit(-x).

    >>> gx.special.log_expit(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = neg(softplus(...))>
    """
    (a,) = floats("log_expit", x)
    return wrap(-softplus(-a))


def sinc(x: ArrayLike, /) -> Tensor:
    """Return sin(pi x) / (pi x): 1 at 0, exactly 0 at every other integer, NaN at infinity as in NumPy.

    The derivatives at 0 are right to an order of about 20.

    >>> gx.sinc(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = sinc(x)>
    """
    return applied(sinc_op, x)
