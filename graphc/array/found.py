"""Sizes that only the data of a call tell: where a mask is true, and the size that a count says.

A call finds such a size while it runs (see docs/indexing.md). To the graph it is one more symbolic size, which knows
the node that counts it.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from graphc.array.convert import ArrayLike, as_node, cast_to, scalar
from graphc.array.handle import wrap
from graphc.array.shape import part, stack
from graphc.array.values import is_concrete, value_of
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Elementwise, Node, Reduction, View, known_value, literal, toposort, variable
from graphc.ir.intern import attr_key
from graphc.ir.types import BOOL, INT64
from graphc.ops import ordering
from graphc.ops.elementwise import iota, lt, where
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, embed, reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def found_size(kind: str, count: Node, most: Size | None) -> Size:
    """Return the size that `count` says, which is at most `most`: a number if that is known, else found by each call.

    It is known now if it depends on constants alone. `kind` names it in shapes: a word for what is counted.
    """
    value = told_by_constants(count)
    return int(value) if value is not None else Dim.found(kind, count, most)


def told_by_constants(node: Node) -> np.ndarray[Any, Any] | None:
    """Return the value of a node that depends on constants alone; None for others."""
    value = known_value(node)
    if value is None and not any(n.op is variable for n in toposort([node])) and is_concrete(node):
        value = value_of("size", node, "")
    return value


_places: WeakValueDictionary[Hashable, Node] = WeakValueDictionary()
"""Where masks are true. What is written alike is one mask, so that its size is one: x.at[x > 0].set(f(x[x > 0])).

The keys have the ids of nodes that the values keep alive.
"""


def places_of(mask: Node, size: Size | None = None) -> Node:
    """Return where a mask of one axis is true, in order: as many places as there are, or `size` of them.

    Where fewer are true than `size`, the places where it is false follow.
    """
    value = known_value(mask)
    if value is not None and size is None:
        return literal(np.flatnonzero(value), INT64)
    key = _written(mask, 16)[0]
    places = _places.get(key) if size is None else None
    if places is None:
        # The order is stable: first where it is true, then where it is false.
        ordered = ordering.argsort(mask, descending=True, count=mask.shape[0])
        if size is not None:
            return part(ordered, 0, 0, size)
        places = _places[key] = part(ordered, 0, 0, found_size("true", true_count(mask), mask.shape[0]))
    return places


def _written(node: Node, budget: int) -> tuple[Hashable, int]:
    """Return a key that is equal for values written alike, down to as many operations, and what is left of these."""
    value = known_value(node)
    if value is not None and value.ndim == 0:
        return (value.dtype, value.tobytes()), budget
    if budget <= 0 or not isinstance(node.op, Elementwise | View | Reduction) or not node.inputs:
        return id(node), budget
    parts: list[Hashable] = [node.op.name, node.type, tuple([(k, attr_key(node.attrs[k])) for k in sorted(node.attrs)])]
    for source in node.inputs:
        part_key, budget = _written(source, budget - 1)
        parts.append(part_key)
    return tuple(parts), budget


def true_count(mask: Node) -> Node:
    """Return how many elements of a mask are true."""
    return reduce_sum(cast_to(mask, INT64), axis=tuple(range(mask.ndim)))


def static_size(name: str, size: Any) -> Size | None:
    """Return a `size=` argument: None, an int, or a dimension of another Tensor."""
    if size is None or isinstance(size, Dim):
        return size
    try:
        number = operator.index(size)
    except TypeError:
        raise ArgumentError(f"{name}: size must be an int or a dimension of a tensor, got {size!r}") from None
    if number < 0:
        raise ArgumentError(f"{name}: size must be at least 0, got {number}")
    return number


def resized(node: Node, count: Node, size: Size, fill: Node) -> Node:
    """Return `size` rows: the first `count` of the node's, then `fill` (which broadcasts over a row) for the rest."""
    length = node.shape[0]
    kept = dims.minimum(length, size)
    rows = part(node, 0, 0, kept)
    shape = (size, *node.shape[1:])
    grown = rows
    if kept != size:
        zero = False if node.dtype == BOOL else 0
        grown = embed(rows, shape=shape, start=(0,) * node.ndim, step=(1,) * node.ndim, value=zero)
    is_found = lt(iota(shape=(size,), axis=0, dtype=INT64), count)
    if node.ndim > 1:
        is_found = broadcast(is_found, shape=shape, axes=(0,))
    filling = fill if not fill.ndim else broadcast(fill, shape=shape, axes=tuple(range(1, node.ndim)))
    return where(is_found, grown, filling)


def fill_node(name: str, value: Any, dtype: np.dtype[Any], default: float = 0) -> Node:
    """Return a fill_value= argument as a node of rank 0."""
    if value is None:
        return scalar(name, default, dtype)
    node = as_node(name, value, dtype if isinstance(value, bool | int | float) else None)
    if node.ndim:
        raise ShapeError(f"{name}: fill_value must have rank 0, got {node.type}")
    if not np.can_cast(node.dtype, dtype, "same_kind"):
        raise DTypeError(f"{name}: fill_value must have a dtype that casts to {dtype.name}, got {node.type}")
    return cast_to(node, dtype)


# Where elements are not zero.


def flatnonzero(x: ArrayLike, /, *, size: int | Dim | None = None, fill_value: ArrayLike | None = None) -> Tensor:
    """Return where the elements of the flattened x are not zero, in order, as int64.

    How many there are is found by each call, see `nonzero`. With `size`, the result has that many: the first ones, then
    `fill_value` (0) where there are fewer.

    >>> mask = gx.placeholder((5,), "bool", name="mask")
    >>> gx.compile([mask], gx.flatnonzero(mask))([True, False, True, True, False])
    array([0, 2, 3])
    >>> gx.compile([mask], gx.flatnonzero(mask, size=4, fill_value=-1))([True, False, True, True, False])
    array([ 0,  2,  3, -1])
    """
    return wrap(_flat_places("flatnonzero", as_node("flatnonzero", x), static_size("flatnonzero", size), fill_value))


def _flat_places(name: str, node: Node, size: Size | None, fill_value: Any) -> Node:
    flat = cast_to(node, BOOL)
    if flat.ndim != 1:
        flat = reshape(flat, shape=(flat.tensor_type.size,))
    if size is None:
        return places_of(flat)
    places = places_of(flat, flat.shape[0])
    return resized(places, true_count(flat), size, fill_node(name, fill_value, INT64))


def nonzero(
    x: ArrayLike, /, *, size: int | Dim | None = None, fill_value: ArrayLike | None = None
) -> tuple[Tensor, ...]:
    """Return where the elements of x are not zero: their indices along each axis, as int64, in row-major order.

    How many there are is a size that each call finds: it shows in shapes as a name with an underscore, and everything
    works on it as on any unknown size. With `size`, the results have that many elements: the first ones, then
    `fill_value` (0) where there are fewer; then the size is known, and no code depends on the data. Raises ShapeError
    for rank 0. Array API 2024.12.

    >>> x = gx.placeholder((2, 3), name="x")
    >>> rows, columns = gx.nonzero(x)
    >>> gx.compile([x], [rows, columns])([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]])
    [array([0, 1, 1]), array([1, 0, 2])]
    """
    node = as_node("nonzero", x)
    if not node.ndim:
        raise ShapeError(f"nonzero: takes an array of rank 1 or more, got {node.type}")
    length = static_size("nonzero", size)
    places = _flat_places("nonzero", node, length, None)
    found = _unravelled(places, node.shape)
    if length is not None and fill_value is not None:
        count, fill = true_count(cast_to(node, BOOL)), fill_node("nonzero", fill_value, INT64)
        is_found = lt(iota(shape=places.shape, axis=0, dtype=INT64), count)
        found = [where(is_found, f, fill) for f in found]
    return tuple([wrap(f) for f in found])


def _unravelled(places: Node, shape: tuple[Size, ...]) -> list[Node]:
    """Return the index along each axis of places in the flattened array."""
    if len(shape) == 1:
        return [places]
    from_flat = wrap(places)
    found: list[Node] = []
    for k in reversed(range(len(shape))):
        found.append((from_flat % dims.maximum(shape[k], 1)).node if k else from_flat.node)
        from_flat = from_flat // dims.maximum(shape[k], 1)
    return found[::-1]


def argwhere(x: ArrayLike, /, *, size: int | Dim | None = None, fill_value: ArrayLike | None = None) -> Tensor:
    """Return the indices of the elements of x that are not zero, one row each, as int64; see `nonzero`.

    >>> x = gx.placeholder((2, 2), name="x")
    >>> gx.compile([x], gx.argwhere(x))([[0.0, 1.0], [2.0, 0.0]])
    array([[0, 1],
           [1, 0]])
    """
    node = as_node("argwhere", x)
    if not node.ndim:
        places = _flat_places("argwhere", node, static_size("argwhere", size), fill_value)
        return wrap(reshape(places, shape=(places.shape[0], 0)))
    return stack(nonzero(wrap(node), size=size, fill_value=fill_value), axis=1)
