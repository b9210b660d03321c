"""Reading and writing parts of an array by index, as in NumPy: ints, slices, integer arrays, `...` and `None`.

An index is taken apart into slices, index arrays on what the slices leave, and the place of their axes in the result.
Writing goes the same way back: a scatter into what the slices leave, and that into the array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, cast_to, common_shape, count, differ, spread_to
from graphc.array.handle import Handle, wrap
from graphc.array.shape import concat, part
from graphc.array.slicing import Along, along
from graphc.errors import ArgumentError, DTypeError, OutOfBoundsError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Node, known_value, literal
from graphc.ir.types import BOOL, INT64, Shape
from graphc.ops.control import zeros
from graphc.ops.elementwise import iota, ne, out_of_bounds, where
from graphc.ops.index import ELEMENTWISE, gather, scatter
from graphc.ops.shape import broadcast, embed, inverse, reshape, slice_, transpose

if TYPE_CHECKING:
    from graphc.tensor import Tensor


@dataclass(frozen=True)
class _Selection:
    """What an index selects of an array: slices, then index arrays on what they leave, then the order of axes.

    alongs   what is read along each axis; everything where an index array reads
    axes     the axes that index arrays read, ints not counted
    indices  the index arrays, all of one shape, the rows
    place    how many of the other axes stand before those of the rows
    others   the sizes of the other axes, new ones of size 1 included
    """

    alongs: tuple[Along, ...]
    axes: tuple[int, ...]
    indices: tuple[Node, ...]
    place: int
    others: Shape

    @property
    def rows(self) -> Shape:
        return self.indices[0].shape if self.indices else ()

    @property
    def shape(self) -> Shape:
        """The shape of what is selected."""
        return (*self.others[: self.place], *self.rows, *self.others[self.place :])

    @property
    def order(self) -> tuple[int, ...]:
        """The permutation from rows in front, as a gather has them, to where they belong."""
        rows = len(self.rows)
        others = range(rows, rows + len(self.others))
        return (*others[: self.place], *range(rows), *others[self.place :])

    @property
    def sliced(self) -> Shape:
        """The shape of what the slices leave."""
        return tuple([a.length for a in self.alongs if a.kept])


def read(x: Node, index: Any) -> Node:
    """Return x[index]."""
    return _read(x, _selection(x, index if isinstance(index, tuple) else (index,)))


def _read(x: Node, selection: _Selection) -> Node:
    node = _reshaped(_sliced(x, selection.alongs), selection.sliced)
    if not selection.indices:
        return _reshaped(node, selection.others)
    node = gather(node, *selection.indices, axes=selection.axes, wrap=True)
    return _transposed(_reshaped(node, (*selection.rows, *selection.others)), selection.order)


def _write(x: Node, selection: _Selection, updates: Node, combine: str) -> Node:
    """Return x with updates, of the shape of what is selected, combined into it."""
    lengths = tuple([a.length for a in selection.alongs])
    if not selection.indices:
        return _merged(x, selection.alongs, _reshaped(updates, lengths), combine)
    target = _reshaped(_sliced(x, selection.alongs), selection.sliced)
    kept = tuple([s for a, s in enumerate(selection.sliced) if a not in selection.axes])
    updates = _reshaped(_transposed(updates, inverse(selection.order)), (*selection.rows, *kept))
    new = scatter(target, updates, *selection.indices, axes=selection.axes, wrap=True, combine=combine)
    return new if target is x else _merged(x, selection.alongs, _reshaped(new, lengths), "set")


def _merged(x: Node, alongs: tuple[Along, ...], updates: Node, combine: str) -> Node:
    """Return x with updates combined into what slices read."""
    if not _is_whole(x, alongs):
        where_to = {
            "shape": x.shape,
            "start": tuple([a.start for a in alongs]),
            "step": tuple([a.step for a in alongs]),
        }
        inside = embed(_all_true(updates.shape), **where_to, value=False)
        updates = embed(updates, **where_to, value=0)
        return where(inside, updates if combine == "set" else ELEMENTWISE[combine](x, updates), x)
    return updates if combine == "set" else ELEMENTWISE[combine](x, updates)


def _all_true(shape: Shape) -> Node:
    one = literal(True, BOOL)
    return broadcast(one, shape=shape, axes=()) if shape else one


def _sliced(x: Node, alongs: tuple[Along, ...]) -> Node:
    if _is_whole(x, alongs):
        return x
    return slice_(
        x,
        start=tuple(a.start for a in alongs),
        shape=tuple(a.length for a in alongs),
        step=tuple(a.step for a in alongs),
    )


def _is_whole(x: Node, alongs: tuple[Along, ...]) -> bool:
    return all(a.start == 0 and a.length == s and a.step == 1 for a, s in zip(alongs, x.shape, strict=True))


def _reshaped(node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else reshape(node, shape=shape)


def _transposed(node: Node, axes: tuple[int, ...]) -> Node:
    return node if axes == tuple(range(node.ndim)) else transpose(node, axes=axes)


# Taking an index apart.


def _selection(x: Node, index: tuple[Any, ...]) -> _Selection:
    entries = _expanded(x, index)
    sizes = iter(enumerate(x.shape))
    alongs: list[Along] = []
    arrays: list[tuple[int, Node]] = []
    others: list[Size] = []
    place = None
    for entry in entries:
        if entry is None:
            others.append(1)
            continue
        axis, extent = next(sizes)
        if _is_array(entry):
            arrays.append((sum([a.kept for a in alongs]), _index_array(x, axis, extent, entry)))
            alongs.append(Along(0, extent, 1, kept=True))
        else:
            alongs.append(along(x, axis, extent, entry))
        if isinstance(entry, slice):
            others.append(alongs[-1].length)
        elif place is None:
            place = len(others)
    shape = common_shape("index", [i for _, i in arrays])
    indices = tuple([spread_to(i, shape) for _, i in arrays])
    return _Selection(
        tuple(alongs), tuple([a for a, _ in arrays]), indices, (place or 0) * _is_together(index), tuple(others)
    )


def _is_together(index: tuple[Any, ...]) -> bool:
    """Return whether no slice, new axis or `...` stands between ints and index arrays: then the rows stay there."""
    found = [k for k, e in enumerate(index) if e is not None and e is not Ellipsis and not isinstance(e, slice)]
    return not found or found[-1] - found[0] == len(found) - 1


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


def _is_array(entry: Any) -> bool:
    return isinstance(entry, Handle | np.ndarray | list | tuple | bool | np.bool_)


def _index_array(x: Node, axis: int, extent: Size, entry: Any) -> Node:
    index = as_node("index", entry)
    if isinstance(entry, list | tuple) and index.shape and 0 in index.shape:
        index = cast_to(index, INT64)  # NumPy takes an empty list to be of floats
    if index.dtype.kind == "b":
        raise ArgumentError(
            "index: an index by a boolean mask comes later, since its result has an unknown size; use gx.where "
            f"with the mask, got {index.type}"
        )
    if index.dtype.kind not in "iu":
        raise ArgumentError(f"index: an index is made of ints, slices, integer arrays, ... and None, got {index.type}")
    known = known_value(index)
    if known is not None and isinstance(extent, int):
        bad = known[(known >= extent) | (known < -extent)]
        if bad.size:
            raise OutOfBoundsError(f"{out_of_bounds(int(bad[0]), extent, wrap=True)}, at axis {axis} of {x.type}")
    return index


# Writing.


class At:
    """What `x.at` gives: `x.at[index]` is a part of x, and each of its methods a new array with that part changed.

    The index is what `x[index]` takes, and the values broadcast to the shape of `x[index]`.
    """

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getitem__(self, index: Any) -> Part:
        return Part(self._node, _selection(self._node, index if isinstance(index, tuple) else (index,)))


class Part:
    """A part of an array that a new array is to have other values in."""

    __slots__ = ("_node", "_selection")

    def __init__(self, node: Node, selection: _Selection) -> None:
        self._node = node
        self._selection = selection

    def set(self, values: ArrayLike) -> Tensor:
        """Return the array with these values in the part; where an element is set twice, the last value stays.

        >>> x = gx.placeholder((4, 2), name="x")
        >>> x.at[[0, 2]].set(1.0).shape
        (4, 2)
        """
        return self._changed("set", values)

    def add(self, values: ArrayLike) -> Tensor:
        """Return the array with values added to the part; those for the same element add up."""
        return self._changed("add", values)

    def multiply(self, values: ArrayLike) -> Tensor:
        """Return the array with the part multiplied by values, one after the other where they are for one element."""
        return self._changed("mul", values)

    def min(self, values: ArrayLike) -> Tensor:
        """Return the array with the smaller of what is in the part and the values; tied ones share a cotangent."""
        return self._changed("min", values)

    def max(self, values: ArrayLike) -> Tensor:
        """Return the array with the larger of what is in the part and the values; tied ones share a cotangent."""
        return self._changed("max", values)

    def _changed(self, combine: str, values: Any) -> Tensor:
        x, name = self._node, f"at[...].{'multiply' if combine == 'mul' else combine}"
        is_weak = isinstance(values, bool | int | float) and not (isinstance(values, float) and x.dtype.kind != "f")
        given = as_node(name, values, x.dtype if is_weak else None)
        if not np.can_cast(given.dtype, x.dtype, "same_kind"):
            raise DTypeError(f"{name}: values must have a dtype that casts to that of {x.type}, got {given.type}")
        shape = self._selection.shape
        fitting = common_shape(name, [given, zeros(x.tensor_type.with_shape(shape))])
        if len(fitting) != len(shape) or any(differ(a, b) for a, b in zip(fitting, shape, strict=True)):
            raise ShapeError(f"{name}: values must broadcast to {x.tensor_type.with_shape(shape)}, got {given.type}")
        return wrap(_write(x, self._selection, spread_to(cast_to(given, x.dtype), shape), combine))


# Functions.


def take(x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None) -> Tensor:
    """Return the elements of x at integer indices along an axis, or of x flattened where axis is None.

    The axes of `indices` stand in the place of the axis. An index below 0 counts from the end; one out of bounds is an
    OutOfBoundsError when the graph runs.

    >>> table = gx.placeholder((1000, 8), name="table")
    >>> gx.take(table, gx.placeholder(("batch", 3), "int64"), axis=0).shape
    (batch, 3, 8)
    """
    node = as_node("take", x)
    if axis is None:
        node, axis = reshape(node, shape=(dims.product(node.shape),)), 0
    before = axis_index("take", axis, node.ndim)
    index = indices if isinstance(indices, Handle) else wrap(_integers("take", indices))
    return wrap(read(node, (*[slice(None)] * before, index)))


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """Return, for each element of `indices`, the element of x at that index along the axis and at its own place else.

    x and indices have one rank, and broadcast along the other axes.

    >>> scores = gx.placeholder(("batch", 10), name="scores")
    >>> gx.take_along_axis(scores, gx.placeholder(("batch", 1), "int64")).shape
    (batch, 1)
    """
    node, index = as_node("take_along_axis", x), _integers("take_along_axis", indices)
    if node.ndim != index.ndim or not node.ndim:
        raise ShapeError(f"take_along_axis: x and indices must have one rank, 1 or more, got {node.type}, {index.type}")
    along_axis = axis_index("take_along_axis", axis, node.ndim)
    own = tuple([index.shape[k] if k == along_axis else s for k, s in enumerate(node.shape)])
    shape = common_shape("take_along_axis", [index, zeros(node.tensor_type.with_shape(own))])
    places = [iota(shape=shape, axis=k, dtype=INT64) for k in range(node.ndim)]
    fixed = [zeros(places[0].tensor_type) if s == 1 else p for p, s in zip(places, node.shape, strict=True)]
    fixed[along_axis] = spread_to(index, shape)
    return wrap(gather(node, *fixed, axes=tuple(range(node.ndim)), wrap=True))


def _integers(name: str, indices: Any) -> Node:
    node = as_node(name, indices)
    if not isinstance(indices, Handle) and 0 in node.shape:
        node = cast_to(node, INT64)
    if node.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices must be integers, got {node.type}")
    return node


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
