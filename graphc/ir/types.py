"""Types: what is known about a value before it exists, its dtype and its shape.

`TensorType` is one array; `TupleType` is the result of a node that has several. Types print as Python syntax:
`f32[batch, 784]`, `i64[]`, `(f32[4], f32[4])`.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GraphcError, shown
from graphc.ir import dims
from graphc.ir.dims import Dim, Size

Shape = tuple[Size, ...]

MOST_AXES = 64
"""NumPy's arrays have no more."""

MOST_ELEMENTS = 2**59
"""Bytes and distances between elements are numbers of 64 bits."""

DTYPE_NAMES: dict[np.dtype[Any], str] = {
    np.dtype(name): short
    for name, short in {
        "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
        "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "float32": "f32", "float64": "f64",
    }.items()
}  # fmt: skip
DTYPES: dict[str, np.dtype[Any]] = {short: dtype for dtype, short in DTYPE_NAMES.items()}
BOOL, INT64, FLOAT32, FLOAT64 = (np.dtype(n) for n in ("bool", "int64", "float32", "float64"))


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype in native byte order, or raise DTypeError when graphc does not have it."""
    try:
        result: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    except Exception:  # noqa: BLE001 - of a foreign object anything may come
        is_later = isinstance(dtype, str) and dtype == "bfloat16"
        reason = "comes in a later version" if is_later else "is not a dtype; use a name such as 'float32'"
        raise DTypeError(f"dtype: {shown(dtype)} {reason}") from None
    if result not in DTYPE_NAMES:
        later = result.kind == "c" or result == np.float16 or result.name == "bfloat16"
        reason = "comes in a later version" if later else "is not a tensor dtype"
        raise DTypeError(f"dtype: {result.name} {reason}; graphc has {', '.join(d.name for d in DTYPE_NAMES)}")
    return DTYPES[DTYPE_NAMES[result]]


@dataclass(frozen=True, slots=True)
class TensorType:
    """One array: dtype and shape. A dimension is an int or, where unknown, a Dim."""

    dtype: np.dtype[Any]
    shape: Shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Size:
        return dims.product(self.shape)

    @property
    def is_static(self) -> bool:
        for size in self.shape:  # noqa: SIM110  asked of every node several times: no generator
            if isinstance(size, Dim):
                return False
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of a static array; raises SymbolicValueError for an unknown size."""
        return int(self.size) * self.dtype.itemsize

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: np.dtype[Any]) -> TensorType:
        return TensorType(dtype, self.shape)

    def bind(self, sizes: Mapping[str, int]) -> TensorType:
        return self if self.is_static else TensorType(self.dtype, tuple(dims.bind(s, sizes) for s in self.shape))

    def __str__(self) -> str:
        return f"{DTYPE_NAMES[self.dtype]}[{', '.join(str(s) for s in self.shape)}]"


@dataclass(frozen=True, slots=True)
class TupleType:
    """Several arrays, the result of one node; `item` takes one out."""

    items: tuple[TensorType, ...]

    def bind(self, sizes: Mapping[str, int]) -> TupleType:
        return TupleType(tuple(t.bind(sizes) for t in self.items))

    def __str__(self) -> str:
        return f"({', '.join(str(t) for t in self.items)}{',' if len(self.items) == 1 else ''})"


Type = TensorType | TupleType


def as_shape(shape: Any) -> Shape:
    """Return what a user wrote as a shape as a tuple of sizes: ints, names, None or Dims."""
    is_number = hasattr(shape, "__index__") and not getattr(shape, "ndim", 0)
    if is_number or shape is None or isinstance(shape, str | Dim):
        shape = (shape,)
    try:
        entries = tuple(itertools.islice(shape, MOST_AXES + 1))
    except GraphcError:
        raise
    except Exception:  # noqa: BLE001 - of a foreign object anything may come
        raise ArgumentError(f"shape: {shown(shape)} is not a sequence of dimensions") from None
    if len(entries) > MOST_AXES:
        raise ArgumentError(f"shape: an array has at most {MOST_AXES} axes, got {shown(shape)}")
    sizes = tuple([_as_size(s) for s in entries])
    if math.prod([s for s in sizes if isinstance(s, int)]) > MOST_ELEMENTS:
        raise ArgumentError(f"shape: {shown(sizes)} has more elements than can be counted")
    return sizes


def _as_size(size: Any) -> Size:
    if size is None:
        return Dim.anonymous()
    if isinstance(size, Dim):
        return size
    if isinstance(size, str):
        if not size.isidentifier() or size.startswith("_") or size in ("max", "min"):
            raise ArgumentError(f"shape: {size!r} cannot name a dimension; use a Python identifier without leading _")
        return Dim.symbol(size)
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        raise ArgumentError(f"shape: a dimension is an int, a name or None, not {shown(size)}")
    try:
        number = operator.index(size)
    except GraphcError:
        raise
    except Exception:  # noqa: BLE001 - an array with several elements, or a foreign object
        raise ArgumentError(f"shape: a dimension is an int, a name or None, not {shown(size)}") from None
    if number < 0:
        raise ArgumentError(f"shape: a dimension must not be negative, got {number}")
    return number
