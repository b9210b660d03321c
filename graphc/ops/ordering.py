"""Order: sorted values and where they come from, along the last axis, and where values belong among sorted ones.

NaN is larger than any number. All NaNs are equal, and so are zeros of both signs. Equal elements keep their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.graph import ZERO_DERIVATIVE, Node, Opaque, Ordering, Vjp
from graphc.ir.types import INT64, TensorType
from graphc.ops.control import zeros
from graphc.ops.elementwise import ANY, iota
from graphc.ops.index import scatter


def _ordering(name: str, reference: Callable[..., Any], vjp: Vjp, *, gives_places: bool, doc: str) -> Ordering:
    def infer(x: TensorType, *, descending: bool, count: Size) -> TensorType:
        if x.dtype.kind not in ANY:
            raise DTypeError(f"{name}: does not take {x.dtype.name}, got {x}")
        if not x.ndim:
            raise ShapeError(f"{name}: takes an array of rank 1 or more, got {x}")
        length = x.shape[-1]
        if isinstance(count, int) and isinstance(length, int) and not 0 <= count <= length:
            raise ShapeError(f"{name}: count must be in [0, {length}] for {x}, got {count}")
        return TensorType(INT64 if gives_places else x.dtype, (*x.shape[:-1], count))

    return Ordering(name, infer=infer, reference=reference, vjp=vjp, doc=doc, gives_places=gives_places)


def _reference_argsort(x: Any, *, descending: bool, count: int) -> Any:
    if not descending:
        return np.argsort(x, axis=-1, kind="stable")[..., :count]
    # Backwards twice: so equal elements keep their order.
    found = x.shape[-1] - 1 - np.argsort(np.flip(x, -1), axis=-1, kind="stable")
    return np.ascontiguousarray(np.flip(found, -1)[..., :count])


def _reference_sort(x: Any, *, descending: bool, count: int) -> Any:
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])  # so that an array of any rank has few enough axes
    found = np.take_along_axis(rows, _reference_argsort(rows, descending=descending, count=count), -1)
    return found.reshape(*x.shape[:-1], count)


def _vjp_sort(ct: Node, out: Node, x: Node) -> Node:
    """Give each element the cotangent of the place where it went."""
    source = argsort(x, **out.attrs)
    places = [iota(shape=source.shape, axis=k, dtype=INT64) for k in range(x.ndim - 1)]
    start = zeros(x.tensor_type)
    return scatter(start, ct, *places, source, axes=tuple(range(x.ndim)), wrap=False, combine="add")


sort: Ordering = _ordering(
    "sort",
    _reference_sort,
    (_vjp_sort,),
    gives_places=False,
    doc="The first `count` elements of the last axis in order; the cotangent goes where each came from.",
)
argsort: Ordering = _ordering(
    "argsort",
    _reference_argsort,
    ZERO_DERIVATIVE,
    gives_places=True,
    doc="Where the first `count` elements of the last axis in order come from.",
)

# searchsorted: how many elements of a sorted array are before a value.


def _infer_search(sorted_: TensorType, values: TensorType, *, right: bool) -> TensorType:
    if sorted_.ndim != 1:
        raise ShapeError(f"searchsorted: the sorted array must have one axis, got {sorted_}")
    if sorted_.dtype != values.dtype:
        raise DTypeError(f"searchsorted: operands must have one dtype, got {sorted_} and {values}")
    if sorted_.dtype.kind not in ANY:
        raise DTypeError(f"searchsorted: does not take {sorted_.dtype.name}, got {sorted_}")
    return values.with_dtype(INT64)


searchsorted: Opaque = Opaque(
    "searchsorted",
    infer=_infer_search,
    reference=lambda table, values, *, right: np.asarray(
        np.searchsorted(table, values, "right" if right else "left"), np.int64
    ),
    vjp=ZERO_DERIVATIVE,
    doc="How many elements of a sorted array are before each value, or not after it with `right`.",
)

__all__ = ["argsort", "searchsorted", "sort"]
