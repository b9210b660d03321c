"""Reading and writing parts of an array by index, as in NumPy: ints, slices, integer arrays, masks, `...` and `None`.

An index is taken apart into slices, index arrays on what the slices leave, and the place of their axes in the result.
Writing goes the same way back: a scatter into what the slices leave, and that into the array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, cast_to, common_shape, differ, spread_to
from graphc.array.elementwise import divide, negative, pow
from graphc.array.handle import wrap
from graphc.array.selection import Selection, selection
from graphc.array.slicing import Along
from graphc.errors import DTypeError, ShapeError
from graphc.ir.graph import Node, literal
from graphc.ir.types import BOOL, Shape
from graphc.ops.control import zeros
from graphc.ops.elementwise import where
from graphc.ops.index import ELEMENTWISE, gather, scatter
from graphc.ops.shape import broadcast, embed, inverse, reshape, slice_, transpose

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def read(x: Node, index: Any) -> Node:
    """Return x[index]."""
    return _read(selection(x, index))


def _read(selected: Selection) -> Node:
    node = _reshaped(_sliced(selected.source, selected.alongs), selected.sliced)
    if not selected.indices:
        return _reshaped(node, selected.others)
    node = gather(node, *selected.indices, axes=selected.axes, wrap=True)
    return _transposed(_reshaped(node, (*selected.rows, *selected.others)), selected.order)


def _write(selected: Selection, updates: Node, combine: str) -> Node:
    """Return what is selected from with updates, which broadcast to the shape of what is selected, combined into it."""
    x = selected.source
    lengths = tuple([a.length for a in selected.alongs])
    if not selected.indices:
        return _merged(x, selected.alongs, _reshaped(spread_to(updates, selected.shape), lengths), combine)
    target = _reshaped(_sliced(x, selected.alongs), selected.sliced)
    if selected.mask is not None and _is_one_row(selected, updates.shape):
        new = _masked(selected, target, updates, combine)
    else:
        kept = tuple([s for a, s in enumerate(selected.sliced) if a not in selected.axes])
        updates = _transposed(spread_to(updates, selected.shape), inverse(selected.order))
        updates = _reshaped(updates, (*selected.rows, *kept))
        new = scatter(target, updates, *selected.indices, axes=selected.axes, wrap=True, combine=combine)
    return new if target is x else _merged(x, selected.alongs, _reshaped(new, lengths), "set")


def _is_one_row(selected: Selection, shape: Shape) -> bool:
    """Return whether updates are the same for all places where a mask is true."""
    after = len(selected.others) - selected.place
    return len(shape) <= after or bool(shape[len(shape) - after - 1] == 1)


def _masked(selected: Selection, target: Node, updates: Node, combine: str) -> Node:
    """Combine one row of updates into the target wherever a mask is true: no size depends on how often."""
    mask, place, others = selected.mask, selected.place, selected.others
    assert mask is not None
    row = _transposed(spread_to(updates, (*others[:place], 1, *others[place:])), inverse(selected.order))
    spread = spread_to(_reshaped(row, _but(target.shape, selected.axes)), target.shape)
    inside = broadcast(mask, shape=target.shape, axes=selected.axes) if target.ndim > 1 else mask
    return where(inside, spread if combine == "set" else ELEMENTWISE[combine](target, spread), target)


def _but(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple([1 if k in axes else s for k, s in enumerate(shape)])


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


# Writing.


class At:
    """What `x.at` gives: `x.at[index]` is a part of x, and each of its methods a new array with that part changed.

    The index is what `x[index]` takes, and the values broadcast to the shape of `x[index]`.
    """

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getitem__(self, index: Any) -> Part:
        return Part(self._node, selection(self._node, index))


class Part:
    """A part of an array that a new array is to have other values in."""

    __slots__ = ("_node", "_selected")

    def __init__(self, node: Node, selected: Selection) -> None:
        self._node = node
        self._selected = selected

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
        return self._changed("multiply", values)

    def min(self, values: ArrayLike) -> Tensor:
        """Return the array with the smaller of what is in the part and the values; tied ones share a cotangent."""
        return self._changed("min", values)

    def max(self, values: ArrayLike) -> Tensor:
        """Return the array with the larger of what is in the part and the values; tied ones share a cotangent."""
        return self._changed("max", values)

    def get(self) -> Tensor:
        """Return the part as it is: x[index]."""
        return wrap(_read(self._selected))

    def subtract(self, values: ArrayLike) -> Tensor:
        """Return the array with values subtracted from the part, all of those for the same element."""
        return self._changed("subtract", values)

    def divide(self, values: ArrayLike) -> Tensor:
        """Return the array of floats with the part divided by values: by their product, where several are for one
        element."""
        return self._by_factor("divide", divide, values)

    def power(self, values: ArrayLike) -> Tensor:
        """Return the array of floats with the part raised to values: to their product, where several are for one
        element."""
        return self._by_factor("power", pow, values)

    def apply(self, function: Callable[[Tensor], ArrayLike]) -> Tensor:
        """Return the array with function(part) in place of the part, once also where an element is meant twice.

        >>> x = gx.placeholder((4,), name="x")
        >>> x.at[1:3].apply(gx.exp).shape
        (4,)
        """
        return self._changed("set", function(self.get()))

    def _by_factor(self, name: str, function: Callable[..., Tensor], values: Any) -> Tensor:
        if self._node.dtype.kind != "f":
            raise DTypeError(f"at[...].{name}: takes an array of floats, got {self._node.type}")
        one = broadcast(literal(1, self._node.dtype), shape=self._node.shape, axes=())
        factor = Part(one, replace(self._selected, source=_reshaped(one, self._selected.source.shape)))
        return function(wrap(self._node), factor._changed("multiply", values, name))

    def _changed(self, combine: str, values: Any, called: str | None = None) -> Tensor:
        x, name = self._node, f"at[...].{called or combine}"
        is_weak = isinstance(values, bool | int | float) and not (isinstance(values, float) and x.dtype.kind != "f")
        given = as_node(name, values, x.dtype if is_weak else None)
        if not np.can_cast(given.dtype, x.dtype, "same_kind"):
            raise DTypeError(f"{name}: values must have a dtype that casts to that of {x.type}, got {given.type}")
        if x.dtype == BOOL and combine in ("add", "subtract", "multiply"):
            raise DTypeError(f"{name}: does not take bools, got {x.type}; use set, min or max")
        shape = self._selected.shape
        fitting = common_shape(name, [given, zeros(x.tensor_type.with_shape(shape))])
        if len(fitting) != len(shape) or any(differ(a, b) for a, b in zip(fitting, shape, strict=True)):
            raise ShapeError(f"{name}: values must broadcast to {x.tensor_type.with_shape(shape)}, got {given.type}")
        updates = cast_to(given, x.dtype)
        if combine == "subtract":
            updates = negative(wrap(updates)).node
        return wrap(_reshaped(_write(self._selected, updates, _SCALARS.get(combine, combine)), x.shape))


_SCALARS = {"multiply": "mul", "subtract": "add"}
"""What a method does as a scatter, where the names differ."""
