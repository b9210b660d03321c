"""The dtypes by name, questions about them, and the constants of the array API standard."""

from __future__ import annotations

import builtins
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from graphc.array.handle import Handle
from graphc.array.info import KINDS
from graphc.errors import ArgumentError, DTypeError, shown
from graphc.ir.types import as_dtype

bool = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float32, float64 = np.dtype("float32"), np.dtype("float64")

e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi


def _dtype_of(value: Any) -> np.dtype[Any]:
    return value.node.dtype if isinstance(value, Handle) else as_dtype(value)


def can_cast(from_: Any, to: Any, /, casting: str = "safe") -> builtins.bool:
    """Return whether a Tensor or dtype casts to another dtype without loss, or by another of NumPy's rules.

    >>> gx.can_cast("int32", "float64"), gx.can_cast("int64", "float32"), gx.can_cast("int64", "float32", "same_kind")
    (True, False, True)
    """
    if not isinstance(casting, str) or casting not in ("no", "equiv", "safe", "same_kind", "unsafe"):
        raise ArgumentError(f"can_cast: casting must be no, equiv, safe, same_kind or unsafe, got {shown(casting)}")
    return np.can_cast(_dtype_of(from_), as_dtype(to), casting)  # type: ignore[arg-type]


def promote_types(type1: Any, type2: Any, /) -> np.dtype[Any]:
    """Return the smallest dtype to which both cast without loss.

    >>> gx.promote_types("int64", "float32")
    dtype('float64')
    """
    return as_dtype(np.promote_types(as_dtype(type1), as_dtype(type2)))


def issubdtype(arg1: Any, arg2: Any, /) -> builtins.bool:
    """Return whether a dtype is another, or of one of NumPy's abstract types, such as np.floating.

    >>> gx.issubdtype("float32", np.floating), gx.issubdtype(gx.int64, gx.int32)
    (True, False)
    """
    try:
        return np.issubdtype(arg1, arg2)
    except TypeError as error:
        raise DTypeError(
            f"issubdtype: takes dtypes and NumPy's abstract types, got {shown(arg1)} and {shown(arg2)}"
        ) from error


@dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating-point dtype, as Python numbers: see `numpy.finfo`."""

    dtype: np.dtype[Any]
    bits: int
    eps: float
    epsneg: float
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    tiny: float
    resolution: float
    precision: int
    nmant: int
    nexp: int
    maxexp: int
    minexp: int


@dataclass(frozen=True)
class IntInfo:
    """The limits of an integer dtype."""

    dtype: np.dtype[Any]
    bits: int
    max: int
    min: int


def finfo(type: Any, /) -> FloatInfo:
    """Return the limits of a floating-point dtype, or of that of a Tensor, as Python numbers.

    >>> gx.finfo("float32").bits, gx.finfo("float32").eps
    (32, 1.1920928955078125e-07)
    """
    dtype = _dtype_of(type)
    if dtype.kind != "f":
        raise DTypeError(f"finfo: takes floating-point dtypes, got {dtype.name}; use iinfo for integers")
    info = np.finfo(dtype)
    whole = ("bits", "precision", "nmant", "nexp", "maxexp", "minexp")
    limits = {f.name: getattr(info, f.name) for f in fields(FloatInfo) if f.name != "dtype"}
    numbers: dict[str, Any] = {name: (int if name in whole else float)(value) for name, value in limits.items()}
    return FloatInfo(dtype, **numbers)


def iinfo(type: Any, /) -> IntInfo:
    """Return the limits of an integer dtype, or of that of a Tensor, as Python numbers.

    >>> gx.iinfo("int8").max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: takes integer dtypes, got {dtype.name}; use finfo for floats")
    info = np.iinfo(dtype)
    return IntInfo(dtype, info.bits, info.max, info.min)


def _any_dtype(value: Any) -> np.dtype[Any]:
    """Return one of NumPy's dtypes, also one that no Tensor has."""
    try:
        found: np.dtype[Any] = np.dtype(value)
        return found
    except Exception:  # noqa: BLE001 - of a foreign object anything may come
        raise DTypeError(
            f"isdtype: a kind is a dtype, a word such as 'integral', or a tuple, got {shown(value)}"
        ) from None


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Return whether a dtype is of a kind: a dtype, "bool", "signed integer", "integral", "numeric", ..., or a tuple.

    >>> gx.isdtype(gx.int64, "integral"), gx.isdtype(gx.bool, ("numeric", "real floating"))
    (True, False)
    """
    for one in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(one, str) and one in KINDS:
            if as_dtype(dtype).kind in KINDS[one]:
                return True
        elif isinstance(one, str):
            raise ArgumentError(f"isdtype: kind must be a dtype or one of {', '.join(KINDS)}, got {one!r}")
        elif as_dtype(dtype) == _any_dtype(one):
            return True
    return False
