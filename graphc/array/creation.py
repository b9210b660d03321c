"""Arrays from nothing but shapes and numbers.

A shape takes ints and dimensions of other Tensors (`x.shape[0]`). The dtype is float64 unless given or implied by the
values, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_device, as_node, axis_index, cast_to, choice, promote, scalar, spread_to
from graphc.array.handle import wrap
from graphc.array.shape import repeated_to, shape_of
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ir.types import FLOAT64, INT64, as_dtype
from graphc.ops.elementwise import check_index, eq, iota
from graphc.ops.shape import broadcast, reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor

ShapeArgument = int | Dim | Sequence[int | Dim]


def full(shape: ShapeArgument, fill_value: ArrayLike, dtype: Any = None, *, device: str | None = None) -> Tensor:
    """Return an array of `fill_value`, repeated to the shape, in its dtype unless another is given.

    >>> gx.full((2, 3), 1.5, dtype="float32").shape
    (2, 3)
    """
    as_device("full", device)
    return wrap(repeated_to("full", as_node("full", fill_value, dtype), shape))


def zeros(shape: ShapeArgument, dtype: Any = None, *, device: str | None = None) -> Tensor:
    """Return an array of zeros.

    >>> gx.zeros((2, 3)).dtype
    dtype('float64')
    """
    return _filled("zeros", shape, 0, dtype, device)


def ones(shape: ShapeArgument, dtype: Any = None, *, device: str | None = None) -> Tensor:
    """Return an array of ones.

    >>> x = gx.placeholder(("batch", 4))
    >>> gx.ones((x.shape[0], 2)).shape
    (batch, 2)
    """
    return _filled("ones", shape, 1, dtype, device)


def empty(shape: ShapeArgument, dtype: Any = None, *, device: str | None = None) -> Tensor:
    """Return an array to be ignored; its elements are zeros.

    >>> gx.empty((2, 3)).shape
    (2, 3)
    """
    return _filled("empty", shape, 0, dtype, device)


def _filled(name: str, shape: ShapeArgument, value: int, dtype: Any, device: Any) -> Tensor:
    as_device(name, device)
    kind = FLOAT64 if dtype is None else as_dtype(dtype)
    return wrap(spread_to(scalar(name, value, kind), shape_of(name, shape)))


def _filled_like(name: str, x: ArrayLike, value: ArrayLike, dtype: Any, device: Any, shape: Any) -> Tensor:
    as_device(name, device)
    like = as_node(name, x)
    filled = as_node(name, value, like.dtype if dtype is None else dtype)
    return wrap(repeated_to(name, filled, like.shape if shape is None else shape))


def zeros_like(
    x: ArrayLike, /, dtype: Any = None, *, device: str | None = None, shape: ShapeArgument | None = None
) -> Tensor:
    """Return zeros of the shape and dtype of x, or others that are given.

    >>> gx.zeros_like(gx.placeholder(("n", 3))).shape
    (n, 3)
    """
    return _filled_like("zeros_like", x, 0, dtype, device, shape)


def ones_like(
    x: ArrayLike, /, dtype: Any = None, *, device: str | None = None, shape: ShapeArgument | None = None
) -> Tensor:
    """Return ones of the shape and dtype of x, or others that are given.

    >>> gx.ones_like(gx.placeholder(("n", 3))).dtype
    dtype('float32')
    """
    return _filled_like("ones_like", x, 1, dtype, device, shape)


def empty_like(
    x: ArrayLike, /, dtype: Any = None, *, device: str | None = None, shape: ShapeArgument | None = None
) -> Tensor:
    """Return an array to be ignored, like x or as given; its elements are zeros.

    >>> gx.empty_like(gx.placeholder(("n", 3))).shape
    (n, 3)
    """
    return _filled_like("empty_like", x, 0, dtype, device, shape)


def full_like(
    x: ArrayLike,
    /,
    fill_value: ArrayLike,
    dtype: Any = None,
    *,
    device: str | None = None,
    shape: ShapeArgument | None = None,
) -> Tensor:
    """Return an array like x, or as given, of `fill_value`, repeated to the shape.

    >>> gx.full_like(gx.placeholder(("n", 3)), 2).dtype
    dtype('float32')
    """
    return _filled_like("full_like", x, fill_value, dtype, device, shape)


# Ranges.


def arange(
    start: float | Dim,
    /,
    stop: float | Dim | None = None,
    step: float = 1,
    dtype: Any = None,
    *,
    device: str | None = None,
) -> Tensor:
    """Return start, start + step, ... up to but without `stop`; with one argument, 0, 1, ... without it.

    Numbers must be known, but for `start` and `stop` being sizes with an int step.

    >>> x = gx.placeholder(("n",))
    >>> gx.arange(5).dtype, gx.arange(x.shape[0]).shape
    (dtype('int64'), (n,))
    """
    as_device("arange", device)
    first, last = (0, start) if stop is None else (start, stop)
    for number in (first, last, step):
        if not isinstance(number, Dim | int | float | np.integer | np.floating):
            raise ArgumentError(f"arange: takes known numbers and sizes, got {shown(number)}")
        if not isinstance(number, Dim) and not math.isfinite(number):
            raise ArgumentError(f"arange: takes finite numbers, got {number}")
    if isinstance(step, int | float | np.number) and step == 0:
        raise ArgumentError("arange: step must not be 0")
    if isinstance(first, Dim) or isinstance(last, Dim):
        return _arange_of_sizes(first, last, step, dtype)
    return wrap(as_node("arange", np.arange(first, last, step), dtype))


def _arange_of_sizes(first: Any, last: Any, step: Any, dtype: Any) -> Tensor:
    if not isinstance(step, int) or step != 1 or isinstance(first, float) or isinstance(last, float):
        raise ArgumentError(f"arange: between sizes the step must be 1, got {first}, {last}, {step}")
    kind = INT64 if dtype is None else as_dtype(dtype)
    places = iota(shape=(last - first,), axis=0, dtype=kind)
    start, _ = promote("arange", (first, wrap(places)))
    return wrap(places if first == 0 else places + start)


def meshgrid(*arrays: ArrayLike, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> list[Tensor]:
    """Return, for each vector, the grid of its coordinates; "xy" has rows along the second vector, "ij" the first.

    With `sparse`, grids have size 1 along all axes but that of their vector. `copy` is there for NumPy's sake.

    >>> [t.shape for t in gx.meshgrid(gx.placeholder((3,)), gx.placeholder((4,)), indexing="ij")]
    [(3, 4), (3, 4)]
    """
    choice("meshgrid", "indexing", indexing, ("xy", "ij"))
    nodes = [n if n.ndim else reshape(n, shape=(1,)) for n in (as_node("meshgrid", a) for a in arrays)]
    for n in nodes:
        if n.ndim != 1:
            raise ShapeError(f"meshgrid: takes vectors, got {n.type}")
    order = list(range(len(nodes)))
    if indexing == "xy" and len(nodes) > 1:
        order[:2] = [1, 0]
    shape = tuple(nodes[k].shape[0] for k in order)
    places = [order.index(k) for k in range(len(nodes))]
    if sparse:
        own = [tuple(s if k == p else 1 for k, s in enumerate(shape)) for p in places]
        return [wrap(reshape(n, shape=s)) for n, s in zip(nodes, own, strict=True)]
    return [wrap(broadcast(n, shape=shape, axes=(p,))) for n, p in zip(nodes, places, strict=True)]


def one_hot(x: ArrayLike, num_classes: int, *, dtype: Any = "float32", axis: int = -1) -> Tensor:
    """Return, along a new axis of size `num_classes`, 1 at the position that x gives and 0 elsewhere.

    x holds integers in [0, num_classes); another value is an OutOfBoundsError when the graph runs.

    >>> gx.one_hot(gx.placeholder(("n",), "int64", name="label"), 10).shape
    (n, 10)
    """
    node = as_node("one_hot", x)
    if node.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: takes integers, got {node.type}")
    if isinstance(num_classes, bool) or not isinstance(num_classes, int | np.integer | Dim):
        raise ArgumentError(f"one_hot: num_classes must be an int, got {shown(num_classes)}")
    place = axis_index("one_hot", axis, node.ndim + 1)
    return wrap(cast_to(matches(node, num_classes, place), as_dtype(dtype)))


def matches(labels: Node, classes: Size, axis: int) -> Node:
    """Return whether the checked label is the position along a new axis, as bools."""
    shape = (*labels.shape[:axis], classes, *labels.shape[axis:])
    checked = check_index(labels, size=classes, wrap=False)
    if labels.ndim:
        checked = broadcast(checked, shape=shape, axes=tuple(k for k in range(len(shape)) if k != axis))
    return eq(checked, iota(shape=shape, axis=axis, dtype=INT64))
