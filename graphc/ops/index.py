"""Reading and writing at positions that data give: gather and scatter, and when an index array needs no check.

Both take one index array for each of the axes in `axes`, all of one shape, the rows. Where the rows are [r...] and the
axes that are not indexed [k...], a gather has shape [r..., k...], and so have the updates of a scatter:

    gather(x, i, j, axes=(0, 2))[r..., k] = x[i[r...], k, j[r...]]

Every other way of indexing is this one with axes transposed, iotas for the axes that rows and source share, and slices
before or after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Gather, Node, Ordering, Scatter, known_value
from graphc.ir.index import source_of
from graphc.ir.types import INT64, Shape, TensorType
from graphc.ops.control import zeros
from graphc.ops.elementwise import ANY, NUMBERS, add, cast, check_index, choose, eq, iota, maximum, minimum, mul
from graphc.ops.shape import broadcast, reshape

Indices = tuple[Node, ...]

# Types.


def _require_indices(name: str, source: TensorType, indices: Sequence[TensorType], axes: tuple[int, ...]) -> Shape:
    """Return the common shape of index arrays that fit `axes` of the source."""
    if not indices or len(indices) != len(axes):
        raise ArgumentError(f"{name}: takes one index array for each of the axes {axes}, got {len(indices)}")
    if sorted(set(axes)) != list(axes) or any(not 0 <= a < source.ndim for a in axes):
        raise ShapeError(f"{name}: axes {axes} must be distinct axes of {source} in order")
    for index in indices:
        if index.dtype.kind not in "iu":
            raise DTypeError(f"{name}: indices must be integers, got {index}")
    shape = indices[0].shape
    for index in indices[1:]:
        if len(index.shape) != len(shape):
            raise ShapeError(f"{name}: index arrays must have one shape, got {indices[0]} and {index}")
        shape = tuple([_agreed(name, a, b, indices[0], index) for a, b in zip(shape, index.shape, strict=True)])
    return shape


def _agreed(name: str, a: Size, b: Size, first: TensorType, second: TensorType) -> Size:
    """Return the one size that two sizes are, as far as it is known."""
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ShapeError(f"{name}: {first} and {second} must have one shape: {a} != {b}")
    return a if isinstance(a, int) else b


def _others(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([a for a in range(ndim) if a not in axes])


def _infer_gather(x: TensorType, *indices: TensorType, axes: tuple[int, ...], wrap: bool) -> TensorType:
    rows = _require_indices("gather", x, indices, axes)
    return x.with_shape((*rows, *[x.shape[a] for a in _others(x.ndim, axes)]))


def _infer_scatter(
    target: TensorType, updates: TensorType, *indices: TensorType, axes: tuple[int, ...], wrap: bool, combine: str
) -> TensorType:
    if combine not in COMBINE:
        raise ArgumentError(f"scatter: combine must be one of {', '.join(COMBINE)}, got {combine!r}")
    rows = _require_indices("scatter", target, indices, axes)
    if updates.dtype != target.dtype:
        raise DTypeError(f"scatter: target and updates must have one dtype, got {target} and {updates}")
    if target.dtype.kind not in COMBINE[combine]:
        raise DTypeError(f"scatter: {combine} does not take {target.dtype.name}, got {target}")
    wanted = target.with_shape((*rows, *[target.shape[a] for a in _others(target.ndim, axes)]))
    if updates.ndim != wanted.ndim:
        raise ShapeError(f"scatter: updates must have the shape of what a gather reads, {wanted}, got {updates}")
    for a, b in zip(wanted.shape, updates.shape, strict=True):
        _agreed("scatter", a, b, wanted, updates)
    return target


# References. An index that reads or writes no element is not looked at.


def _positions(shape: tuple[int, ...], indices: tuple[Any, ...], axes: tuple[int, ...], wrap: bool) -> tuple[Any, ...]:
    return tuple([check_index.reference(i, size=shape[a], wrap=wrap) for i, a in zip(indices, axes, strict=True)])


def _reference_gather(x: Any, *indices: Any, axes: tuple[int, ...], wrap: bool) -> Any:
    shape = np.shape(indices[0]) + tuple([x.shape[a] for a in _others(x.ndim, axes)])
    if not math.prod(shape):
        return np.empty(shape, x.dtype)
    return np.moveaxis(x, axes, range(len(axes)))[_positions(x.shape, indices, axes, wrap)]


def _reference_scatter(
    target: Any, updates: Any, *indices: Any, axes: tuple[int, ...], wrap: bool, combine: str
) -> Any:
    result = np.array(target)
    if not updates.size:
        return result
    along = np.moveaxis(result, axes, range(len(axes)))
    place = _positions(target.shape, indices, axes, wrap)
    if combine == "set":
        rows, places = _last_rows(place, along.shape)
        along[places] = updates.reshape(-1, *along.shape[len(axes) :])[rows]
    else:
        {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}[combine].at(along, place, updates)
    return result


def _last_rows(place: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the last row that writes each place, and the places."""
    shape = shape[: len(place)]
    flat = np.ravel_multi_index([p.reshape(-1) for p in place], shape)
    places, backward = np.unique(flat[::-1], return_index=True)
    return flat.size - 1 - backward, np.unravel_index(places, shape)


# Derivatives.


def _vjp_gather(ct: Node, out: Node, x: Node, *indices: Node) -> tuple[Node | None, ...]:
    start = zeros(x.tensor_type.with_dtype(ct.dtype))
    return (scatter(start, ct, *indices, **out.attrs, combine="add"), *[None] * len(indices))


def _vjp_scatter(ct: Node, out: Node, target: Node, updates: Node, *indices: Node) -> tuple[Node | None, ...]:
    where = {"axes": out.attrs["axes"], "wrap": out.attrs["wrap"]}
    rule = _RULES[out.attrs["combine"]]
    return (*rule(ct, out, target, updates, indices, where), *[None] * len(indices))


def _vjp_add(
    ct: Node, out: Node, target: Node, updates: Node, indices: Indices, where: dict[str, Any]
) -> tuple[Node, Node]:
    return ct, gather(ct, *indices, **where)


def _vjp_set(
    ct: Node, out: Node, target: Node, updates: Node, indices: Indices, where: dict[str, Any]
) -> tuple[Node, Node]:
    """Let the cotangent pass to what was there where nothing was written, else to the update that was written last."""
    kept = scatter(ct, zeros(updates.tensor_type), *indices, **where, combine="set")
    read = gather(ct, *indices, **where)
    if are_distinct(indices):
        return kept, read
    rows = indices[0].shape
    number = reshape(iota(shape=(dims.product(rows),), axis=0, dtype=INT64), shape=rows)
    places = TensorType(INT64, tuple([target.shape[a] for a in where["axes"]]))
    among = {**where, "axes": tuple(range(places.ndim))}
    last = gather(scatter(zeros(places), number, *indices, **among, combine="max"), *indices, **among)
    is_last = eq(last, number)
    if updates.ndim > len(rows):
        is_last = broadcast(is_last, shape=updates.shape, axes=tuple(range(len(rows))))
    return kept, choose(is_last, read, 0.0)


def _vjp_mul(
    ct: Node, out: Node, target: Node, updates: Node, indices: Indices, where: dict[str, Any]
) -> tuple[Node, Node]:
    """Multiply the other factors: exact also where some are zero.

    With one zero among the updates of an element only its own derivative is not zero, the product of the rest.
    """
    one = zeros(target.tensor_type) + 1.0
    factor = scatter(one, updates, *indices, **where, combine="mul")
    is_zero = eq(updates, 0.0)
    nonzero = choose(is_zero, zeros(updates.tensor_type) + 1.0, updates)
    count = cast(is_zero, dtype=updates.dtype)
    zero_count = scatter(zeros(target.tensor_type), count, *indices, **where, combine="add")
    rest = scatter(target, nonzero, *indices, **where, combine="mul")
    of_zero = gather(ct * choose(eq(zero_count, 1.0), rest, 0.0), *indices, **where)
    of_others = gather(ct * out, *indices, **where) / nonzero
    return ct * factor, choose(is_zero, of_zero, of_others)


def _vjp_extreme(
    ct: Node, out: Node, target: Node, updates: Node, indices: Indices, where: dict[str, Any]
) -> tuple[Node, Node]:
    """Share the cotangent equally among the values that attain the extreme."""
    stays = cast(eq(target, out), dtype=out.dtype)
    attains = cast(eq(updates, gather(out, *indices, **where)), dtype=out.dtype)
    share = ct / scatter(stays, attains, *indices, **where, combine="add")
    return stays * share, attains * gather(share, *indices, **where)


_RULES = {"set": _vjp_set, "add": _vjp_add, "mul": _vjp_mul, "min": _vjp_extreme, "max": _vjp_extreme}

COMBINE = {"set": ANY, "add": NUMBERS, "mul": NUMBERS, "min": ANY, "max": ANY}
"""How a scatter combines an update with what is there, and the kinds of dtypes for which it can."""

ELEMENTWISE = {"add": add, "mul": mul, "min": minimum, "max": maximum}
"""The operation on two arrays that a scatter folds with; `set` has none."""

gather: Gather = Gather(
    "gather",
    infer=_infer_gather,
    reference=_reference_gather,
    vjp=_vjp_gather,
    doc="Elements of the source at the indices along `axes`; an index outside an axis fails, below 0 it may wrap.",
)
scatter: Scatter = Scatter(
    "scatter",
    infer=_infer_scatter,
    reference=_reference_scatter,
    vjp=_vjp_scatter,
    doc="The target with updates combined into it at the indices along `axes`; where one is set twice, the last stays.",
)


# What is known of index arrays.


def in_range(index: Node, size: Size) -> bool:
    """Tell whether an index array is known to lie in [0, size): positions, constants, checked, or some of these."""
    source = source_of(index)
    while source.op is gather:
        source = source_of(source.inputs[0])
    if isinstance(source.op, Ordering) and source.op.gives_places:
        return bool(source.inputs[0].shape[-1] == size)
    if isinstance(size, Dim):
        return source.op is iota and source.shape[source.attrs["axis"]] == size
    value = known_value(source)
    if value is not None:
        return not value.size or bool(value.min() >= 0 and value.max() < size)
    if source.op is iota:
        extent = source.shape[source.attrs["axis"]]
        limit = 1 << (8 * source.dtype.itemsize - 1)  # beyond it the dtype itself may wrap
        return isinstance(extent, int) and extent <= min(size, limit) and source.dtype.kind in "iu"
    return source.op is check_index and source.attrs["size"] == size


def are_distinct(indices: Sequence[Node]) -> bool:
    """Tell whether no two rows of index arrays are known to be the same place: each axis of them is some iota's."""
    found = {a for index in indices for a in _iota_axes(index)}
    return all(s == 1 or a in found for a, s in enumerate(indices[0].shape))


def _iota_axes(index: Node) -> set[int]:
    """Return the axis of an index array along which it is the position, if there is one."""
    along = list(range(index.ndim))
    while index.op is broadcast:
        along = [along[a] for a in index.attrs["axes"]]
        index = index.inputs[0]
    if index.op is not iota or not in_range(index, index.shape[index.attrs["axis"]]):
        return set()
    return {along[index.attrs["axis"]]}


__all__ = ["COMBINE", "ELEMENTWISE", "are_distinct", "gather", "in_range", "scatter"]
