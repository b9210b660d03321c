"""Reading parts of an array by index: ints, slices with any step, `...` and `None`; and differences of neighbours."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, count
from graphc.array.handle import Handle, wrap
from graphc.array.shape import concat, part
from graphc.errors import ArgumentError, OutOfBoundsError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ops.elementwise import ne, out_of_bounds
from graphc.ops.shape import reshape, slice_

if TYPE_CHECKING:
    from graphc.tensor import Tensor


class Along(NamedTuple):
    """What an index reads along one axis: `length` elements from `start`, `step` apart; an int drops the axis."""

    start: Size
    length: Size
    step: int
    kept: bool


def read(x: Node, index: Any) -> Node:
    """Return x[index]."""
    entries = _expanded(x, index if isinstance(index, tuple) else (index,))
    axes = iter(enumerate(x.shape))
    alongs: list[Along] = []
    shape: list[Size] = []
    for entry in entries:
        if entry is None:
            shape.append(1)
            continue
        axis, extent = next(axes)
        along = _along(x, axis, extent, entry)
        alongs.append(along)
        if along.kept:
            shape.append(along.length)
    node = _sliced(x, alongs)
    return node if node.shape == tuple(shape) else reshape(node, shape=tuple(shape))


def _sliced(x: Node, alongs: list[Along]) -> Node:
    if all(a.start == 0 and a.length == s and a.step == 1 for a, s in zip(alongs, x.shape, strict=True)):
        return x
    return slice_(
        x,
        start=tuple(a.start for a in alongs),
        shape=tuple(a.length for a in alongs),
        step=tuple(a.step for a in alongs),
    )


def _expanded(x: Node, entries: tuple[Any, ...]) -> list[Any]:
    """Return one entry for each axis, and None for each new one."""
    given = [e for e in entries if e is not None and e is not Ellipsis]
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ArgumentError("index: '...' can stand only once")
    if len(given) > x.ndim:
        raise OutOfBoundsError(f"index: {x.type} has {x.ndim} axes, got {len(given)} indices")
    place = dots[0] if dots else len(entries)
    rest = [slice(None)] * (x.ndim - len(given))
    return [*entries[:place], *rest, *entries[place + 1 :]]


def _along(x: Node, axis: int, extent: Size, entry: Any) -> Along:
    if isinstance(entry, slice):
        return _along_slice(extent, entry)
    if isinstance(entry, Dim):
        return Along(entry, 1, 1, kept=False)
    position = _integer(entry)
    if isinstance(extent, int) and not -extent <= position < extent:
        raise OutOfBoundsError(f"{out_of_bounds(position, extent, wrap=True)}, at axis {axis} of {x.type}")
    return Along(position if position >= 0 else extent + position, 1, 1, kept=False)


def _integer(entry: Any) -> int:
    if isinstance(entry, Handle | np.ndarray | list | tuple | bool | np.bool_):
        raise ArgumentError(
            "index: an index by integer tensors or arrays, or by a boolean mask, comes later; "
            f"now an index is made of ints, slices, ... and None, got {type(entry).__name__}"
        )
    try:
        return operator.index(entry)
    except TypeError:
        raise ArgumentError(f"index: an index is made of ints, slices, ... and None, got {entry!r}") from None


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


def diff(
    x: ArrayLike,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Tensor:
    """Return the differences of neighbours along an axis, n times over.

    `prepend` and `append` are arrays to join x with before, of its shape but for the axis. Bools differ where they are
    not equal.

    >>> gx.diff(gx.placeholder((5, 3)), axis=0).shape
    (4, 3)
    """
    node = as_node("diff", x)
    place = axis_index("diff", axis, node.ndim)
    parts = [p for p in (prepend, x, append) if p is not None]
    if len(parts) > 1:
        node = concat(parts, axis=place).node
    for _ in range(count("diff", "n", n)):
        length = dims.maximum(node.shape[place] - 1, 0)
        later, earlier = part(node, place, 1, length), part(node, place, 0, length)
        node = ne(later, earlier) if node.dtype.kind == "b" else later - earlier
    return wrap(node)
