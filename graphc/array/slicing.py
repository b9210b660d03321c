"""What ints and slices read along one axis, of known and of unknown size."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from graphc.array.handle import Handle
from graphc.array.values import is_concrete
from graphc.errors import ArgumentError, GraphcError, OutOfBoundsError, shown
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ops.elementwise import out_of_bounds


class Along(NamedTuple):
    """What an index reads along one axis: `length` elements from `start`, `step` apart; an int drops the axis."""

    start: Size
    length: Size
    step: int
    kept: bool


def along(x: Node, axis: int, extent: Size, entry: Any) -> Along:
    if isinstance(entry, slice):
        return _along_slice(extent, entry)
    if isinstance(entry, Dim):
        return Along(entry, 1, 1, kept=False)
    position = _integer(entry)
    if isinstance(extent, int) and not -extent <= position < extent:
        raise OutOfBoundsError(f"{out_of_bounds(position, extent, wrap=True)}, at axis {axis} of {x.type}")
    return Along(position if position >= 0 else extent + position, 1, 1, kept=False)


def _integer(entry: Any) -> int:
    if isinstance(entry, Handle) and entry.node.ndim == 0 and entry.node.dtype.kind in "iu" and is_concrete(entry.node):
        return operator.index(entry)  # type: ignore[arg-type]
    if isinstance(entry, Handle | np.ndarray | list | tuple | bool | np.bool_):
        raise ArgumentError(
            "index: the bounds of a slice are ints or sizes, as its length is a part of the result's shape; use "
            f"gx.dynamic_slice for a start that is a Tensor, got {type(entry).__name__}"
        )
    try:
        return operator.index(entry)
    except GraphcError:
        raise
    except Exception:  # noqa: BLE001 - of a foreign object anything may come
        raise ArgumentError(
            f"index: an index is made of ints, slices, integer arrays, masks, ... and None, got {shown(entry)}"
        ) from None


def _along_slice(extent: Size, entry: slice) -> Along:
    step = 1 if entry.step is None else _integer(entry.step)
    if step == 0:
        raise ArgumentError("index: the step of a slice must not be 0")
    start, stop = (None if e is None else e if isinstance(e, Dim) else _integer(e) for e in (entry.start, entry.stop))
    if isinstance(extent, int) and not isinstance(start, Dim) and not isinstance(stop, Dim):
        first, last, _ = slice(start, stop, step).indices(extent)
        return Along(first, len(range(first, last, step)), step, kept=True)
    return _forward(extent, start, stop, step) if step > 0 else _backward(extent, start, stop, step)


def _forward(extent: Size, start: Size | None, stop: Size | None, step: int) -> Along:
    """Read start, start + step, ... before stop. A start beyond the end reads nothing and needs no bound."""
    if isinstance(start, int) and start < 0:
        first = dims.maximum(extent + start, 0)
        last = extent if stop is None else _before(extent, stop)
        distance = dims.minimum(-start, extent) if stop is None else dims.maximum(last - first, 0)
    else:
        first = 0 if start is None else start
        last = extent if stop is None else _before(extent, stop)
        is_whole = stop is None or stop == extent or (isinstance(stop, int) and stop >= 0)
        distance = last if first == 0 and is_whole else dims.maximum(last - first, 0)
    return Along(first, _steps(distance, step), step, kept=True)


def _before(extent: Size, stop: Size) -> Size:
    """Return the end of a forward slice; below 0 it means the start."""
    if isinstance(stop, int) and stop < 0:
        return extent + stop
    return dims.minimum(stop, extent)


def _backward(extent: Size, start: Size | None, stop: Size | None, step: int) -> Along:
    """Read start, start + step, ... after stop, backwards from at most the last element."""
    end = extent - 1
    first = end if start is None else dims.minimum(_from_front(extent, start), end)
    last = -1 if stop is None else dims.maximum(_from_front(extent, stop), -1)
    distance = extent if start is None and stop is None else dims.maximum(first - last, 0)
    return Along(first, _steps(distance, -step), step, kept=True)


def _from_front(extent: Size, bound: Size) -> Size:
    """Return a bound counted from the front; a symbolic one is already."""
    return extent + bound if isinstance(bound, int) and bound < 0 else bound


def _steps(distance: Size, step: int) -> Size:
    return distance if step == 1 else dims.ceildiv(distance, step)
