"""The dtypes by name, questions about them, and the constants of the array API standard."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from graphc.array.handle import Handle
from graphc.ir.types import as_dtype

bool_ = bool = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float32, float64 = np.dtype("float32"), np.dtype("float64")

e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi


def _dtype_of(value: Any) -> np.dtype[Any]:
    return value.node.dtype if isinstance(value, Handle) else as_dtype(value)


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Return whether a Tensor or dtype casts to another dtype without loss, as NumPy's safe casting.

    >>> gx.can_cast("int32", "float64"), gx.can_cast("int64", "float32")
    (True, False)
    """
    return np.can_cast(_dtype_of(from_), as_dtype(to), "safe")


def finfo(type: Any, /) -> np.finfo[Any]:
    """Return the limits of a floating-point dtype, or of that of a Tensor.

    >>> gx.finfo("float32").bits
    32
    """
    return np.finfo(_dtype_of(type))  # type: ignore[no-any-return]


def iinfo(type: Any, /) -> np.iinfo[Any]:
    """Return the limits of an integer dtype, or of that of a Tensor.

    >>> gx.iinfo("int8").max
    127
    """
    return np.iinfo(_dtype_of(type))


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Return whether a dtype is of a kind: a dtype, "bool", "signed integer", "integral", "numeric", ..., or a tuple.

    >>> gx.isdtype(gx.int64, "integral"), gx.isdtype(gx.bool, ("numeric", "real floating"))
    (True, False)
    """
    return np.isdtype(as_dtype(dtype), kind)
