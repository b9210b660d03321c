"""Functions that read and write at positions that data give: take, put, choose, select, insert, delete, slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import (
    ArrayLike,
    as_node,
    axis_index,
    cast_to,
    common_shape,
    differ,
    listed,
    listing,
    promote,
    scalar,
    spread_to,
)
from graphc.array.found import static_size
from graphc.array.handle import Handle, wrap
from graphc.array.index import At, read
from graphc.array.shape import concat
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, literal
from graphc.ir.types import BOOL, INT64, Shape
from graphc.ops.control import zeros
from graphc.ops.elementwise import check_index, iota, maximum, minimum, remainder, where
from graphc.ops.elementwise import size as size_node
from graphc.ops.index import gather
from graphc.ops.shape import reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor

MODES = ("raise", "wrap", "clip")
"""What an index outside an axis means: an error, one counted around, or the nearest."""


def integers(name: str, indices: Any) -> Node:
    """Return an array of indices as a node; an empty sequence counts as integers."""
    node = as_node(name, indices)
    if not isinstance(indices, Handle) and 0 in node.shape:
        node = cast_to(node, INT64)
    if node.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices must be integers, got {node.type}")
    return node


def in_mode(name: str, index: Node, extent: Size, mode: str) -> Node:
    """Return indices of an axis in which those outside are as `mode` says."""
    if mode not in MODES:
        raise ArgumentError(f"{name}: mode must be one of {', '.join(map(repr, MODES))}, got {mode!r}")
    if mode == "raise":
        return index
    index = cast_to(index, INT64)
    if mode == "clip":
        return minimum(maximum(index, literal(0, INT64)), as_size(extent - 1))
    return remainder(index, as_size(extent))


def as_size(value: Size) -> Node:
    """Return a size as a number."""
    return literal(value, INT64) if isinstance(value, int) else size_node(value=value)


def flattened(node: Node) -> Node:
    """Return the elements of a node as one axis."""
    return node if node.ndim == 1 else reshape(node, shape=(node.tensor_type.size,))


def take(x: ArrayLike, indices: ArrayLike, /, axis: int | None = None, *, mode: str = "raise") -> Tensor:
    """Return the elements of x at integer indices along an axis, or of x flattened where axis is None.

    The axes of `indices` stand in the place of the axis. An index below 0 counts from the end; one out of bounds is an
    OutOfBoundsError when the graph runs. With the mode "wrap" it counts around, with "clip" it is the nearest, 0 where
    it is below 0. Array API 2024.12.

    >>> table = gx.placeholder((1000, 8), name="table")
    >>> gx.take(table, gx.placeholder(("batch", 3), "int64"), axis=0).shape
    (batch, 3, 8)
    """
    node = as_node("take", x)
    if axis is None:
        node, axis = flattened(node), 0
    before = axis_index("take", axis, node.ndim)
    index = in_mode("take", integers("take", indices), node.shape[before], mode)
    return wrap(read(node, (*[slice(None)] * before, wrap(index))))


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, axis: int | None = -1) -> Tensor:
    """Return, for each element of `indices`, the element of x at that index along the axis and at its own place else.

    x and indices have one rank, and broadcast along the other axes. With axis None, x is flattened. Array API 2024.12.

    >>> scores = gx.placeholder(("batch", 10), name="scores")
    >>> gx.take_along_axis(scores, gx.placeholder(("batch", 1), "int64")).shape
    (batch, 1)
    """
    node, index = as_node("take_along_axis", x), integers("take_along_axis", indices)
    if axis is None:
        node, axis = flattened(node), 0
    shape, along_axis = _shape_along("take_along_axis", node, index, axis)
    places = [iota(shape=shape, axis=k, dtype=INT64) for k in range(node.ndim)]
    fixed = [zeros(places[0].tensor_type) if s == 1 else p for p, s in zip(places, node.shape, strict=True)]
    fixed[along_axis] = spread_to(index, shape)
    return wrap(gather(node, *fixed, axes=tuple(range(node.ndim)), wrap=True))


def put_along_axis(x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, axis: int | None = -1) -> Tensor:
    """Return x with values at `indices` along the axis: what `take_along_axis` reads is what this writes.

    indices broadcast to x along the other axes, values to indices. Of several values for one element the last stays.
    With axis None, x is written as if flattened. Unlike NumPy's, it changes nothing but returns a new array.

    >>> x = gx.placeholder((3, 4), name="x")
    >>> gx.put_along_axis(x, gx.argmax(x, axis=1, keepdims=True), 0.0, axis=1).shape
    (3, 4)
    """
    whole, index = as_node("put_along_axis", x), integers("put_along_axis", indices)
    node = whole
    if axis is None:
        node, axis = flattened(whole), 0
    shape, along_axis = _shape_along("put_along_axis", node, index, axis)
    for k, (own, given) in enumerate(zip(node.shape, shape, strict=True)):
        if k != along_axis and differ(own, given):
            raise ShapeError(f"put_along_axis: indices must broadcast to x along axis {k}, got {listed((node, index))}")
    places = [wrap(iota(shape=shape, axis=k, dtype=INT64)) for k in range(node.ndim)]
    places[along_axis] = wrap(spread_to(index, shape))
    return wrap(reshape(At(node)[tuple(places)].set(values).node, shape=whole.shape))


def _shape_along(name: str, node: Node, index: Node, axis: int) -> tuple[Shape, int]:
    """Return the shape that indices along an axis have together with the array, and the axis from the front."""
    if node.ndim != index.ndim or not node.ndim:
        raise ShapeError(f"{name}: x and indices must have one rank, 1 or more, got {node.type}, {index.type}")
    place = axis_index(name, axis, node.ndim)
    own = tuple([index.shape[k] if k == place else s for k, s in enumerate(node.shape)])
    return common_shape(name, [index, zeros(node.tensor_type.with_shape(own))]), place


# Slices whose start is data.


def _starts(name: str, node: Node, starts: Any, extents: Shape) -> list[Node]:
    """Return where a slice starts along each axis, so that it lies inside."""
    given = list(starts) if isinstance(starts, list | tuple) else starts
    if isinstance(given, Handle | np.ndarray):
        vector = wrap(as_node(name, given))
        given = [*vector] if vector.ndim == 1 else starts
    if not isinstance(given, list) or len(given) != node.ndim:
        raise ArgumentError(f"{name}: takes one start for each axis of {node.type}, got {starts!r}")
    found = []
    for k, (start, whole, extent) in enumerate(zip(given, node.shape, extents, strict=True)):
        first = integers(name, start)
        if first.ndim:
            raise ShapeError(f"{name}: the start along axis {k} must have rank 0, got {first.type}")
        if isinstance(whole, int) and isinstance(extent, int) and extent > whole:
            raise ShapeError(f"{name}: {extent} elements along axis {k} do not fit into {node.type}")
        found.append(check_index(first, size=whole - extent + 1, wrap=False))
    return found


def _window(starts: Sequence[Node], extents: Shape) -> tuple[Tensor, ...]:
    """Return the index arrays of a slice from these starts, which broadcast to it."""
    rank = len(extents)
    found = []
    for k, (start, extent) in enumerate(zip(starts, extents, strict=True)):
        along = iota(shape=(extent,), axis=0, dtype=INT64) + start
        found.append(wrap(reshape(along, shape=(*[1] * k, extent, *[1] * (rank - k - 1)))))
    return tuple(found)


def dynamic_slice(x: ArrayLike, /, starts: Any, sizes: Sequence[int | Dim]) -> Tensor:
    """Return the part of x of these sizes that starts at `starts`, one index for each axis, which may be Tensors.

    Where the part does not lie inside x, the run fails with an OutOfBoundsError; jax.lax.dynamic_slice moves it.

    >>> x, i = gx.placeholder((8, 3), name="x"), gx.placeholder((), "int64", name="i")
    >>> gx.dynamic_slice(x, (i, 0), (2, 3)).shape
    (2, 3)
    """
    node = as_node("dynamic_slice", x)
    extents = _sizes("dynamic_slice", node, sizes)
    starts = _starts("dynamic_slice", node, starts, extents)
    return wrap(read(node, _window(starts, extents))) if node.ndim else wrap(node)


def dynamic_update_slice(x: ArrayLike, update: ArrayLike, /, starts: Any) -> Tensor:
    """Return x with the part that starts at `starts`, one index for each axis, replaced by `update`.

    The indices may be Tensors. Where the update does not fit inside x, the run fails with an OutOfBoundsError.

    >>> x, i = gx.placeholder((8, 3), name="x"), gx.placeholder((), "int64", name="i")
    >>> gx.dynamic_update_slice(x, gx.zeros((2, 3), "float32"), (i, 0)).shape
    (8, 3)
    """
    node = as_node("dynamic_update_slice", x)
    new = as_node("dynamic_update_slice", update, node.dtype if isinstance(update, bool | int | float) else None)
    if new.ndim != node.ndim:
        raise ShapeError(f"dynamic_update_slice: x and update must have one rank, got {listed((node, new))}")
    first = _starts("dynamic_update_slice", node, starts, new.shape)
    return At(node)[_window(first, new.shape)].set(wrap(new))


def _sizes(name: str, node: Node, sizes: Any) -> Shape:
    given = tuple(sizes) if isinstance(sizes, list | tuple) else (sizes,)
    if len(given) != node.ndim:
        raise ArgumentError(f"{name}: takes one size for each axis of {node.type}, got {sizes}")
    found = tuple([static_size(name, s) for s in given])
    if None in found:
        raise ArgumentError(f"{name}: sizes are ints and dimensions of tensors, got {sizes}")
    return tuple([s for s in found if s is not None])


# Choice among several arrays.


def choose(a: ArrayLike, choices: ArrayLike | Sequence[ArrayLike], /, *, mode: str = "raise") -> Tensor:
    """Return, at each place, the element of the choice that `a` names there; all broadcast together.

    `mode` says what a number outside [0, number of choices) means, see `take`; with "raise", below 0 is outside too.

    >>> which = gx.placeholder((3,), "int64", name="which")
    >>> gx.choose(which, [gx.zeros(3), gx.ones(3)]).shape
    (3,)
    """
    index = as_node("choose", a)
    index = cast_to(index, INT64) if index.dtype == BOOL else integers("choose", a)
    given = list(choices) if isinstance(choices, list | tuple) else [*wrap(as_node("choose", choices))]
    if not given:
        raise ArgumentError("choose: takes at least one choice, got none")
    nodes = promote("choose", given)
    shape = common_shape("choose", [index, *nodes])
    rows = [reshape(spread_to(n, shape), shape=(1, *shape)) for n in nodes]
    table = concat([wrap(r) for r in rows]).node
    number = in_mode("choose", index, len(nodes), mode)
    if mode == "raise":
        number = check_index(number, size=len(nodes), wrap=False)
    places = [iota(shape=shape, axis=k, dtype=INT64) for k in range(len(shape))]
    return wrap(gather(table, spread_to(number, shape), *places, axes=tuple(range(len(shape) + 1)), wrap=False))


def select(condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0) -> Tensor:
    """Return, at each place, the element of the first choice whose condition holds there, or the default.

    The derivative goes to the choice that is taken.

    >>> x = gx.placeholder((3,), name="x")
    >>> gx.select([x < 0, x < 1], [-x, x * x], 1.0)
    <Tensor f32[3] = where(lt(...), neg(...), where(...))>
    """
    listing("select", "condlist", condlist)
    listing("select", "choicelist", choicelist)
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentError(
            f"select: takes as many conditions as choices, at least one, got {len(condlist)} and {len(choicelist)}"
        )
    conditions = [as_node("select", c) for c in condlist]
    for condition in conditions:
        if condition.dtype != BOOL:
            raise DTypeError(f"select: a condition must be bool, got {condition.type}")
    *values, rest = promote("select", [*choicelist, default])
    shape = common_shape("select", [*conditions, *values, rest])
    found = spread_to(rest, shape)
    for condition, value in zip(reversed(conditions), reversed(values), strict=True):
        found = where(spread_to(condition, shape), spread_to(value, shape), found)
    return wrap(found)


def piecewise(
    x: ArrayLike, condlist: Any, funclist: Sequence[Callable[..., Any] | float], *args: Any, **kw: Any
) -> Tensor:
    """Return, at each place, the function of x whose condition is the last to hold there, as x's dtype.

    Functions are of x, `args` and `kw`; a number is a constant function. One more function than conditions is for where
    none holds, else that is 0. Every function is evaluated everywhere, unlike in NumPy, and where it is not taken its
    derivative is 0.

    >>> x = gx.placeholder((3,), name="x")
    >>> gx.piecewise(x, [x < 0], [lambda x: -x, gx.exp]).shape
    (3,)
    """
    tensor = wrap(as_node("piecewise", x))
    single = isinstance(condlist, Handle | np.ndarray) or not isinstance(condlist, list | tuple)
    conditions = [cast_to(as_node("piecewise", c), BOOL) for c in ([condlist] if single else condlist)]
    if len(listing("piecewise", "funclist", funclist)) not in (len(conditions), len(conditions) + 1):
        raise ArgumentError(
            f"piecewise: takes a function for each of the {len(conditions)} conditions and at most one more, got "
            f"{len(funclist)}"
        )
    values = [f(tensor, *args, **kw) if callable(f) else f for f in funclist]
    nodes = [spread_to(_as_piece(v, tensor.node), tensor.node.shape) for v in values]
    found = nodes[-1] if len(nodes) > len(conditions) else zeros(tensor.node.tensor_type)
    for condition, value in zip(conditions, nodes, strict=False):
        found = where(spread_to(condition, tensor.node.shape), value, found)
    return wrap(found)


def _as_piece(value: Any, like: Node) -> Node:
    if isinstance(value, bool | int | float):
        return scalar("piecewise", like.dtype.type(value).item(), like.dtype)
    return cast_to(as_node("piecewise", value), like.dtype)
