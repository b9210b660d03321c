"""Arrays with other elements: those for which a condition holds, with some inserted or deleted, differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import (
    ArrayLike,
    as_node,
    axis_index,
    cast_to,
    common_shape,
    count,
    differ,
    listed,
    spread_to,
)
from graphc.array.found import fill_node, found_size, places_of, resized, static_size, true_count
from graphc.array.gathering import as_size, flattened, integers, take
from graphc.array.handle import Handle, wrap
from graphc.array.index import read
from graphc.array.shape import concat, part
from graphc.errors import ArgumentError, DTypeError, OutOfBoundsError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, known_value, literal
from graphc.ir.types import BOOL, INT64, TensorType
from graphc.ops.control import zeros
from graphc.ops.cumulative import cumsum
from graphc.ops.elementwise import bitwise_not, check_index, iota, minimum, ne, where
from graphc.ops.index import scatter
from graphc.ops.ordering import argsort, searchsorted
from graphc.ops.ordering import sort as sorted_
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor

# Selections by a condition.


def compress(
    condition: ArrayLike,
    x: ArrayLike,
    /,
    axis: int | None = None,
    *,
    size: int | Dim | None = None,
    fill_value: ArrayLike | None = None,
) -> Tensor:
    """Return the slices of x along an axis for which the condition, of one axis, holds; of x flattened by default.

    How many there are is found by each call, see `nonzero`; with `size` the result has that many, then `fill_value`
    (0). A condition shorter than the axis is as if false beyond its end; a longer one must be false there.

    >>> x = gx.placeholder((3, 2), name="x")
    >>> gx.compile([x], gx.compress([False, True, True], x, axis=0))([[1, 2], [3, 4], [5, 6]])
    array([[3., 4.],
           [5., 6.]], dtype=float32)
    """
    node, mask = as_node("compress", x), cast_to(as_node("compress", condition), BOOL)
    if mask.ndim != 1:
        raise ShapeError(f"compress: the condition must have one axis, got {mask.type}")
    if axis is None:
        node, axis = flattened(node), 0
    place = axis_index("compress", axis, node.ndim)
    length = static_size("compress", size)
    if length is None:
        return wrap(read(node, (*[slice(None)] * place, wrap(places_of(mask)))))
    if mask.shape[0] != node.shape[place]:
        raise ShapeError(
            f"compress: with size, the condition must be as long as axis {place} of {node.type}, got {mask.type}"
        )
    ordered = wrap(read(node, (*[slice(None)] * place, wrap(places_of(mask, mask.shape[0])))))
    front = _moved_front(ordered.node, place)
    kept = resized(front, true_count(mask), length, fill_node("compress", fill_value, node.dtype))
    return wrap(_moved_back(kept, place))


def _moved_front(node: Node, axis: int) -> Node:
    from_front = (axis, *[k for k in range(node.ndim) if k != axis])
    return wrap(node).transpose(from_front).node


def _moved_back(node: Node, axis: int) -> Node:
    rest = iter(range(1, node.ndim))
    return wrap(node).transpose(tuple([0 if k == axis else next(rest) for k in range(node.ndim)])).node


def extract(
    condition: ArrayLike, x: ArrayLike, /, *, size: int | Dim | None = None, fill_value: ArrayLike | None = None
) -> Tensor:
    """Return the elements of the flattened x where the flattened condition holds; see `compress`.

    >>> x = gx.placeholder((2, 2), name="x")
    >>> gx.compile([x], gx.extract(x > 1, x))([[1, 2], [3, 0]])
    array([2., 3.], dtype=float32)
    """
    mask, node = as_node("extract", condition), as_node("extract", x)
    return compress(wrap(flattened(mask)), wrap(flattened(node)), size=size, fill_value=fill_value)


# Repeating.


def repeat(
    x: ArrayLike, repeats: ArrayLike, /, axis: int | None = None, *, total_repeat_length: int | Dim | None = None
) -> Tensor:
    """Repeat each element `repeats` times along an axis, or of the flattened x; one number, or one for each element.

    Where the numbers are a Tensor, each call finds the size of the result, see `nonzero`. With `total_repeat_length`
    the result has that many: the first ones, then copies of the last element where there are fewer, as in jax.numpy.

    >>> gx.repeat(gx.placeholder((3, 2), name="x"), 4, axis=0).shape
    (12, 2)
    >>> gx.compile([], gx.repeat([5, 6, 7], [2, 0, 1]))()
    array([5, 5, 7])
    """
    node, times = as_node("repeat", x), integers("repeat", repeats)
    if axis is None:
        node, axis = flattened(node), 0
    place = axis_index("repeat", axis, node.ndim)
    extent, known = node.shape[place], known_value(times)
    if known is not None and (known < 0).any():
        raise ArgumentError(f"repeat: repeats must be at least 0, got {int(known.min())}")
    size = static_size("repeat", total_repeat_length)
    if known is not None and known.size == 1 and size is None:
        return wrap(_repeated(node, int(known.item()), place))
    if times.ndim > 1 or (times.ndim and times.shape[0] != 1 and differ(times.shape[0], extent)):
        raise ShapeError(
            f"repeat: repeats must be one number or as many as axis {place} of {node.type}, got {times.type}"
        )
    if known is not None and isinstance(extent, int) and size is None:
        return take(wrap(node), np.repeat(np.arange(extent), known), axis=place)
    counted = check_index(spread_to(times, (extent,)), size=_MOST, wrap=False)
    ends = cumsum(counted, axis=0, reverse=False)
    total = reduce_sum(counted, axis=(0,))
    if size is None:
        size = found_size("repeats", total, None)
    source = searchsorted(ends, iota(shape=(size,), axis=0, dtype=INT64), right=True)
    if total_repeat_length is not None:
        source = minimum(source, as_size(extent - 1))
    return take(wrap(node), wrap(source), axis=place)


_MOST = 1 << 31
"""Above the number of times that an element is repeated."""


def _repeated(node: Node, times: int, place: int) -> Node:
    """Return each element repeated along an axis: a row of copies for each, and these one after the other."""
    shape = node.shape
    spread = broadcast(
        node,
        shape=(*shape[: place + 1], times, *shape[place + 1 :]),
        axes=tuple([k if k <= place else k + 1 for k in range(node.ndim)]),
    )
    return reshape(spread, shape=(*shape[:place], shape[place] * times, *shape[place + 1 :]))


# Inserting, deleting, joining.


def append(x: ArrayLike, values: ArrayLike, /, axis: int | None = None) -> Tensor:
    """Return x and then values along an axis, or both flattened.

    >>> gx.append(gx.placeholder((2, 3)), gx.placeholder((1, 3)), axis=0).shape
    (3, 3)
    """
    return concat([x, values], axis=axis)


def insert(x: ArrayLike, obj: Any, values: ArrayLike, /, axis: int | None = None) -> Tensor:
    """Return x with values inserted before the elements `obj` along an axis, or of x flattened.

    `obj` is an int, a slice, a mask of known elements, or a sequence or Tensor of integers, which count in x as it is.
    values, cast to x's dtype, broadcast to what is inserted. Below 0 counts from the end. Out of bounds is an
    OutOfBoundsError.

    >>> gx.compile([], gx.insert([1, 2, 3], 1, 9))()
    array([1, 9, 2, 3])
    """
    node, given = as_node("insert", x), as_node("insert", values)
    if axis is None:
        node, axis = flattened(node), 0
    place = axis_index("insert", axis, node.ndim)
    extent = node.shape[place]
    index = _places_argument("insert", obj, extent)
    if given.ndim > node.ndim:
        raise ShapeError(f"insert: values must have at most the {node.ndim} axes of x, got {given.type}")
    number = index.tensor_type.size
    if number == 1:
        # All of values goes to one place; its first axis is the one if the place is an int: NumPy's rule.
        given = _with_rank(given, node.ndim)
        given = given if index.ndim else _moved_back(given, place)
        number = given.shape[place]
    shape = (*node.shape[:place], number, *node.shape[place + 1 :])
    wanted = zeros(node.tensor_type.with_shape(shape))
    fitting = common_shape("insert", [given, wanted])
    if any(differ(a, b) for a, b in zip(fitting, shape, strict=True)):
        raise ShapeError(f"insert: values must broadcast to {wanted.type}, got {given.type}")
    joined = concat([wrap(node), wrap(spread_to(cast_to(given, node.dtype), shape))], axis=place)
    return take(joined, wrap(_inserted(index, extent, number)), axis=place)


def _inserted(index: Node, extent: Size, number: Size) -> Node:
    """Return where the elements of a row come from: `extent` old ones, and `number` new ones that stand behind them."""
    known = known_value(index)
    if known is not None and isinstance(extent, int) and isinstance(number, int):
        places = np.broadcast_to(known, (number,)) if known.size == 1 else known
        return literal(np.insert(np.arange(extent), places, extent + np.arange(number)), INT64)
    below = wrap(cast_to(index, INT64))
    front = where((below < 0).node, (below + wrap(as_size(extent))).node, below.node)
    before = check_index(front, size=extent + 1, wrap=False)
    before = spread_to(before if before.ndim else reshape(before, shape=(1,)), (number,))
    in_order = sorted_(before, descending=False, count=number)
    order = argsort(before, descending=False, count=number)
    fresh, old = (iota(shape=(n,), axis=0, dtype=INT64) for n in (number, extent))
    # The k-th new one has k new ones before it, an old one those that are to stand before it or an earlier one.
    spots = scatter(zeros(fresh.tensor_type), in_order + fresh, order, axes=(0,), wrap=False, combine="set")
    behind = old + searchsorted(in_order, old, right=True)
    source = zeros(TensorType(INT64, (extent + number,)))
    source = scatter(source, old, behind, axes=(0,), wrap=False, combine="set")
    return scatter(source, fresh + as_size(extent), spots, axes=(0,), wrap=False, combine="set")


def _with_rank(node: Node, rank: int) -> Node:
    return reshape(node, shape=(*[1] * (rank - node.ndim), *node.shape))


def _places_argument(name: str, obj: Any, extent: Size) -> Node:
    """Return what to insert before or to delete as an array of indices."""
    if isinstance(obj, slice):
        if not isinstance(extent, int):
            raise ArgumentError(f"{name}: a slice needs an axis of known size, got {extent}")
        return literal(np.arange(extent)[obj], INT64)
    node = as_node(name, obj)
    if not isinstance(obj, Handle) and 0 in node.shape:
        node = cast_to(node, INT64)
    if node.dtype == BOOL:
        if node.ndim != 1 or differ(node.shape[0], extent):
            raise ShapeError(f"{name}: a mask must be as long as the axis, {extent}, got {node.type}")
        return places_of(node)
    if node.dtype.kind not in "iu" or node.ndim > 1:
        raise ArgumentError(f"{name}: takes an int, a slice, or integers or a mask along one axis, got {node.type}")
    known = known_value(node)
    most = extent if name == "insert" else extent - 1
    if known is not None and isinstance(extent, int):
        bad = known[(known > most) | (known < -extent)]
        if bad.size:
            raise OutOfBoundsError(f"{name}: index {int(bad.flat[0])} is out of bounds for an axis of size {extent}")
    return node


def delete(x: ArrayLike, obj: Any, /, axis: int | None = None) -> Tensor:
    """Return x without the slices `obj` along an axis, or without these elements of x flattened.

    `obj` is an int, a slice, a mask, or a sequence or Tensor of integers. Where it is a Tensor of more than one index,
    or a mask that is not known, each call finds the size of the result: two indices may mean one element. Out of bounds
    is an OutOfBoundsError.

    >>> gx.compile([], gx.delete([1, 2, 3, 4], [0, 2]))()
    array([2, 4])
    """
    node = as_node("delete", x)
    if axis is None:
        node, axis = flattened(node), 0
    place = axis_index("delete", axis, node.ndim)
    extent = node.shape[place]
    mask = as_node("delete", obj) if not isinstance(obj, slice) else None
    if mask is not None and mask.dtype == BOOL and known_value(mask) is None:
        _places_argument("delete", obj, extent)
        return wrap(read(node, (*[slice(None)] * place, wrap(bitwise_not(mask)))))
    index = _places_argument("delete", obj, extent)
    known = known_value(index)
    if known is not None and isinstance(extent, int):
        return take(wrap(node), np.delete(np.arange(extent), known), axis=place)
    if index.tensor_type.size == 1:
        at = check_index(reshape(index, shape=()), size=extent, wrap=True)
        kept = wrap(iota(shape=(dims.maximum(extent - 1, 0),), axis=0, dtype=INT64))
        after = kept >= wrap(at)
        return take(wrap(node), kept + after, axis=place)
    flat = index if index.ndim else reshape(index, shape=(1,))
    everything = spread_to(literal(True, BOOL), (extent,))
    updates = spread_to(literal(False, BOOL), flat.shape)
    left = scatter(everything, updates, flat, axes=(0,), wrap=True, combine="set")
    return wrap(read(node, (*[slice(None)] * place, wrap(left))))


def trim_zeros(x: ArrayLike, /, trim: str = "fb") -> Tensor:
    """Return x, of one axis, without zeros at its front ("f" in `trim`) and back ("b"); each call finds the size.

    >>> gx.compile([], gx.trim_zeros([0, 0, 1, 0, 2, 0]))()
    array([1, 0, 2])
    """
    node = as_node("trim_zeros", x)
    if node.ndim != 1:
        raise ShapeError(f"trim_zeros: takes an array of one axis, got {node.type}")
    if not isinstance(trim, str) or set(trim.lower()) - set("fb"):
        raise ArgumentError(f"trim_zeros: trim must be made of 'f' and 'b', got {trim!r}")
    from_front = wrap(cast_to(node, BOOL))
    counted = from_front.astype("int64").cumsum()
    kept = wrap(spread_to(literal(True, BOOL), node.shape))
    if "f" in trim.lower():
        kept = kept & (counted > 0)
    if "b" in trim.lower():
        # As many so far as in all, and no further one: behind the last.
        total = wrap(true_count(from_front.node))
        kept = kept & ((counted < total) | from_front)
    return wrap(read(node, kept))


# Differences.


def diff(
    x: ArrayLike,
    /,
    n: int = 1,
    axis: int = -1,
    prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Tensor:
    """Return the differences of neighbours along an axis, n times over.

    `prepend` and `append` are arrays to join x with before, of its shape but for the axis; one of rank 0 is repeated.
    Bools differ where they are not equal.

    >>> gx.diff(gx.placeholder((5, 3)), axis=0).shape
    (4, 3)
    """
    node = as_node("diff", x)
    place = axis_index("diff", axis, node.ndim)
    row = (*node.shape[:place], 1, *node.shape[place + 1 :])
    parts: list[ArrayLike] = []
    for end in (prepend, x, append):
        if end is not None:
            joint = as_node("diff", end)
            parts.append(wrap(joint if joint.ndim else spread_to(joint, row)))
    node = concat(parts, axis=place).node
    for _ in range(count("diff", "n", n)):
        length = dims.maximum(node.shape[place] - 1, 0)
        later, earlier = part(node, place, 1, length), part(node, place, 0, length)
        node = ne(later, earlier) if node.dtype.kind == "b" else later - earlier
    return wrap(node)


def ediff1d(x: ArrayLike, /, to_end: ArrayLike | None = None, to_begin: ArrayLike | None = None) -> Tensor:
    """Return the differences of neighbours in the flattened x, after `to_begin` and before `to_end`, in x's dtype.

    >>> gx.compile([], gx.ediff1d([1, 2, 4, 7], to_begin=0))()
    array([0, 1, 2, 3])
    """
    node = flattened(as_node("ediff1d", x))
    ends = []
    for end in (to_begin, to_end):
        given = None if end is None else flattened(as_node("ediff1d", end))
        if given is not None and not np.can_cast(given.dtype, node.dtype, "same_kind"):
            raise DTypeError(f"ediff1d: to_begin and to_end must cast to the dtype of x, got {listed((given, node))}")
        ends.append([] if given is None else [wrap(cast_to(given, node.dtype))])
    return concat([*ends[0], diff(wrap(node)), *ends[1]])
