"""What an index means: slices, then index arrays on what they leave, and the place of their axes in the result.

A boolean mask is the index array of the places where it is true, along the axes that it covers taken as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.array.convert import as_node, cast_to, common_shape, differ, spread_to
from graphc.array.found import places_of
from graphc.array.handle import Handle
from graphc.array.slicing import Along, along
from graphc.errors import ArgumentError, OutOfBoundsError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Node, known_value, literal
from graphc.ir.types import BOOL, INT64, Shape
from graphc.ops.elementwise import out_of_bounds
from graphc.ops.shape import broadcast, reshape


@dataclass(frozen=True)
class Selection:
    """What an index selects of an array: slices, then index arrays on what they leave, then the order of axes.

    source   the array with the axes of each mask as one axis, and one of size 1 for each mask of rank 0
    alongs   what is read along each axis; everything where an index array reads
    axes     the axes that index arrays read, ints not counted
    indices  the index arrays, all of one shape, the rows
    place    how many of the other axes stand before those of the rows
    others   the sizes of the other axes, new ones of size 1 included
    mask     the mask whose places are the only index array, if that is so
    """

    source: Node
    alongs: tuple[Along, ...]
    axes: tuple[int, ...]
    indices: tuple[Node, ...]
    place: int
    others: Shape
    mask: Node | None

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


@dataclass(frozen=True)
class _Mask:
    """A mask as an entry of an index: flat, for the one axis that takes the place of those it covers."""

    flat: Node
    rank: int


def selection(x: Node, index: Any) -> Selection:
    """Take apart what stands between the brackets in x[...]."""
    given = index if isinstance(index, tuple) else (index,)
    entries = _expanded(x, [_entry(e) for e in given])
    source = _with_masked_axes(x, entries)
    sizes = iter(enumerate(source.shape))
    alongs: list[Along] = []
    arrays: list[tuple[int, Node]] = []
    others: list[Size] = []
    place = None
    for entry in entries:
        if entry is None:
            others.append(1)
            continue
        axis, extent = next(sizes)
        if isinstance(entry, Node | _Mask):
            arrays.append((sum([a.kept for a in alongs]), _index_array(x, axis, extent, entry)))
            alongs.append(Along(0, extent, 1, kept=True))
        else:
            alongs.append(along(source, axis, extent, entry))
        if isinstance(entry, slice):
            others.append(alongs[-1].length)
        elif place is None:
            place = len(others)
    shape = common_shape("index", [i for _, i in arrays])
    indices = tuple([spread_to(i, shape) for _, i in arrays])
    masks = [e.flat for e in entries if isinstance(e, _Mask)]
    return Selection(
        source,
        tuple(alongs),
        tuple([a for a, _ in arrays]),
        indices,
        (place or 0) * _is_together(given),
        tuple(others),
        masks[0] if masks and len(arrays) == 1 else None,
    )


def _is_together(index: tuple[Any, ...]) -> bool:
    """Return whether no slice, new axis or `...` stands between ints and index arrays: then the rows stay there."""
    found = [k for k, e in enumerate(index) if e is not None and e is not Ellipsis and not isinstance(e, slice)]
    return not found or found[-1] - found[0] == len(found) - 1


def _entry(entry: Any) -> Any:
    """Return an entry of an index with arrays as nodes and masks as such."""
    if not isinstance(entry, Handle | np.ndarray | list | tuple | bool | np.bool_):
        return entry
    node = as_node("index", entry)
    if isinstance(entry, list | tuple) and node.shape and 0 in node.shape:
        node = cast_to(node, INT64)  # NumPy takes an empty list to be of floats
    if node.dtype == BOOL:
        return _Mask(node, node.ndim)
    if node.dtype.kind not in "iu":
        raise ArgumentError(
            f"index: an index is made of ints, slices, integer arrays, masks, ... and None, got {node.type}"
        )
    return node


def _expanded(x: Node, entries: Sequence[Any]) -> list[Any]:
    """Return one entry for each axis or group of axes that a mask covers, and None for each new one."""
    needed = sum([_rank(e) for e in entries])
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ArgumentError("index: '...' can stand only once")
    if needed > x.ndim:
        raise OutOfBoundsError(f"index: {x.type} has {x.ndim} axes, got {needed} indices")
    place = dots[0] if dots else len(entries)
    rest = [slice(None)] * (x.ndim - needed)
    return [*entries[:place], *rest, *entries[place + 1 :]]


def _rank(entry: Any) -> int:
    """Return how many axes an entry of an index takes."""
    if entry is None or entry is Ellipsis:
        return 0
    return entry.rank if isinstance(entry, _Mask) else 1


def _with_masked_axes(x: Node, entries: list[Any]) -> Node:
    """Return x with one axis in place of those of each mask, and make the masks in `entries` flat."""
    sizes: list[Size] = []
    shape: list[Size] = []
    axis = 0
    for k, entry in enumerate(entries):
        rank = _rank(entry)
        covered = x.shape[axis : axis + rank]
        axis += rank
        if isinstance(entry, _Mask):
            covered = _covered(x, entry.flat, covered, axis - rank)
            entries[k] = _flat_mask(entry.flat, covered)
            shape.append(dims.product(covered))
        else:
            shape.extend(covered)
        sizes.extend(covered)
    if tuple(sizes) != x.shape:
        x = broadcast(x, shape=tuple(sizes), axes=tuple(range(x.ndim)))  # the call compares sizes
    return x if tuple(shape) == x.shape else reshape(x, shape=tuple(shape))


def _covered(x: Node, mask: Node, covered: Shape, axis: int) -> Shape:
    """Return the sizes of axes that a mask covers, as far as they are known of the array or of the mask."""
    found: list[Size] = []
    for k, (wanted, given) in enumerate(zip(covered, mask.shape, strict=True)):
        if differ(wanted, given):
            raise ShapeError(
                f"index: a mask must have the sizes of the axes that it covers, {mask.type} for axes {axis} to "
                f"{axis + len(covered) - 1} of {x.type}: {given} != {wanted} at axis {axis + k}"
            )
        found.append(given if isinstance(given, int) else wanted)
    return tuple(found)


def _flat_mask(mask: Node, covered: Shape) -> _Mask:
    known = known_value(mask)
    if known is not None:
        return _Mask(literal(known.reshape(-1), BOOL), mask.ndim)
    fitting = mask if mask.shape == covered else broadcast(mask, shape=covered, axes=tuple(range(mask.ndim)))
    return _Mask(fitting if mask.ndim == 1 else reshape(fitting, shape=(dims.product(covered),)), mask.ndim)


def _index_array(x: Node, axis: int, extent: Size, entry: Node | _Mask) -> Node:
    if isinstance(entry, _Mask):
        return places_of(entry.flat)
    known = known_value(entry)
    if known is not None and isinstance(extent, int):
        bad = known[(known >= extent) | (known < -extent)]
        if bad.size:
            raise OutOfBoundsError(f"{out_of_bounds(int(bad.flat[0]), extent, wrap=True)}, at axis {axis} of {x.type}")
    return entry
