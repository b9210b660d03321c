"""Arrays from nothing but shapes and numbers.

A shape takes ints and dimensions of other Tensors (`x.shape[0]`). The dtype is float64 unless given or implied by the
values, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, cast_to, promote, scalar, spread_to
from graphc.array.handle import wrap
from graphc.array.shape import shape_of
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, literal
from graphc.ir.types import FLOAT64, INT64, as_dtype
from graphc.ops.elementwise import check_index, eq, ge, iota, le, where
from graphc.ops.shape import broadcast

if TYPE_CHECKING:
    from graphc.tensor import Tensor

ShapeArgument = int | Dim | Sequence[int | Dim]


def full(shape: ShapeArgument, fill_value: ArrayLike, dtype: Any = None) -> Tensor:
    """Return an array with every element `fill_value`, of rank 0, in its dtype unless another is given.

    >>> gx.full((2, 3), 1.5, dtype="float32").shape
    (2, 3)
    """
    value = as_node("full", fill_value, dtype)
    if value.ndim:
        raise ShapeError(f"full: fill_value must have rank 0, got {value.type}; use broadcast_to")
    return wrap(spread_to(value, shape_of("full", shape)))


def zeros(shape: ShapeArgument, dtype: Any = None) -> Tensor:
    """Return an array of zeros.

    >>> gx.zeros((2, 3)).dtype
    dtype('float64')
    """
    return _filled("zeros", shape, 0, dtype)


def ones(shape: ShapeArgument, dtype: Any = None) -> Tensor:
    """Return an array of ones.

    >>> x = gx.placeholder(("batch", 4))
    >>> gx.ones((x.shape[0], 2)).shape
    (batch, 2)
    """
    return _filled("ones", shape, 1, dtype)


def empty(shape: ShapeArgument, dtype: Any = None) -> Tensor:
    """Return an array to be ignored; its elements are zeros.

    >>> gx.empty((2, 3)).shape
    (2, 3)
    """
    return _filled("empty", shape, 0, dtype)


def _filled(name: str, shape: ShapeArgument, value: int, dtype: Any) -> Tensor:
    kind = FLOAT64 if dtype is None else as_dtype(dtype)
    return wrap(spread_to(scalar(name, value, kind), shape_of(name, shape)))


def _filled_like(name: str, x: ArrayLike, value: ArrayLike, dtype: Any) -> Tensor:
    like = as_node(name, x)
    return wrap(spread_to(as_node(name, value, like.dtype if dtype is None else dtype), like.shape))


def zeros_like(x: ArrayLike, /, dtype: Any = None) -> Tensor:
    """Return zeros of the shape and dtype of x.

    >>> gx.zeros_like(gx.placeholder(("n", 3))).shape
    (n, 3)
    """
    return _filled_like("zeros_like", x, 0, dtype)


def ones_like(x: ArrayLike, /, dtype: Any = None) -> Tensor:
    """Return ones of the shape and dtype of x.

    >>> gx.ones_like(gx.placeholder(("n", 3))).dtype
    dtype('float32')
    """
    return _filled_like("ones_like", x, 1, dtype)


def empty_like(x: ArrayLike, /, dtype: Any = None) -> Tensor:
    """Return an array to be ignored, of the shape and dtype of x; its elements are zeros.

    >>> gx.empty_like(gx.placeholder(("n", 3))).shape
    (n, 3)
    """
    return _filled_like("empty_like", x, 0, dtype)


def full_like(x: ArrayLike, /, fill_value: ArrayLike, dtype: Any = None) -> Tensor:
    """Return an array of the shape and dtype of x with every element `fill_value`.

    >>> gx.full_like(gx.placeholder(("n", 3)), 2).dtype
    dtype('float32')
    """
    return _filled_like("full_like", x, fill_value, dtype)


# Ranges.


def arange(start: float | Dim, /, stop: float | Dim | None = None, step: float = 1, *, dtype: Any = None) -> Tensor:
    """Return start, start + step, ... up to but without `stop`; with one argument, 0, 1, ... without it.

    Numbers must be known, but for `start` and `stop` being sizes with an int step.

    >>> x = gx.placeholder(("n",))
    >>> gx.arange(5).dtype, gx.arange(x.shape[0]).shape
    (dtype('int64'), (n,))
    """
    first, last = (0, start) if stop is None else (start, stop)
    for number in (first, last, step):
        if not isinstance(number, Dim | int | float | np.integer | np.floating):
            raise ArgumentError(f"arange: takes known numbers and sizes, got {number!r}")
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


def linspace(start: float, stop: float, /, num: int, *, dtype: Any = None, endpoint: bool = True) -> Tensor:
    """Return `num` evenly spaced numbers from start to stop, which `endpoint=False` leaves out.

    >>> gx.linspace(0, 1, 5)
    <Tensor f64[5] = constant([0.0, 0.25, 0.5, 0.75, 1.0])>
    """
    for number in (start, stop):
        if not isinstance(number, int | float | np.number) or not math.isfinite(number):
            raise ArgumentError(f"linspace: takes known finite numbers, got {number!r}")
    return wrap(as_node("linspace", np.linspace(start, stop, num, endpoint=endpoint), dtype))


def eye(n_rows: int | Dim, n_cols: int | Dim | None = None, /, *, k: int = 0, dtype: Any = None) -> Tensor:
    """Return ones on the k-th diagonal (above the main one where k > 0) and zeros elsewhere.

    >>> gx.eye(3, 4).shape
    (3, 4)
    """
    shape = shape_of("eye", (n_rows, n_rows if n_cols is None else n_cols))
    kind = FLOAT64 if dtype is None else as_dtype(dtype)
    row, column = _rows_and_columns(shape, k)
    return wrap(cast_to(eq(row, column), kind))


def _rows_and_columns(shape: tuple[Size, ...], k: int) -> tuple[Node, Node]:
    """Return, for every element, the row + k and the column it lies in."""
    rank = len(shape)
    row, column = (iota(shape=shape, axis=a, dtype=INT64) for a in (rank - 2, rank - 1))
    return (row + k if k else row), column


def tril(x: ArrayLike, /, k: int = 0) -> Tensor:
    """Return the last two axes' elements on and below the k-th diagonal, zeros above.

    >>> gx.tril(gx.placeholder((3, 3), name="x")).shape
    (3, 3)
    """
    node = _matrix("tril", x)
    row, column = _rows_and_columns(node.shape, k)
    return wrap(where(ge(row, column), node, literal(0, node.dtype)))


def triu(x: ArrayLike, /, k: int = 0) -> Tensor:
    """Return the last two axes' elements on and above the k-th diagonal, zeros below.

    >>> gx.triu(gx.placeholder((3, 3), name="x")).shape
    (3, 3)
    """
    node = _matrix("triu", x)
    row, column = _rows_and_columns(node.shape, k)
    return wrap(where(le(row, column), node, literal(0, node.dtype)))


def _matrix(name: str, x: ArrayLike) -> Node:
    node = as_node(name, x)
    if node.ndim < 2:
        raise ShapeError(f"{name}: takes rank 2 or more, got {node.type}")
    return node


def meshgrid(*arrays: ArrayLike, indexing: str = "xy") -> list[Tensor]:
    """Return, for each vector, the grid of its coordinates; "xy" has rows along the second vector, "ij" the first.

    >>> [t.shape for t in gx.meshgrid(gx.placeholder((3,)), gx.placeholder((4,)), indexing="ij")]
    [(3, 4), (3, 4)]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    nodes = [as_node("meshgrid", a) for a in arrays]
    for n in nodes:
        if n.ndim != 1:
            raise ShapeError(f"meshgrid: takes vectors, got {n.type}")
    order = list(range(len(nodes)))
    if indexing == "xy" and len(nodes) > 1:
        order[:2] = [1, 0]
    shape = tuple(nodes[k].shape[0] for k in order)
    return [wrap(broadcast(n, shape=shape, axes=(order.index(k),))) for k, n in enumerate(nodes)]


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
        raise ArgumentError(f"one_hot: num_classes must be an int, got {num_classes!r}")
    place = axis_index("one_hot", axis, node.ndim + 1)
    return wrap(cast_to(matches(node, num_classes, place), as_dtype(dtype)))


def matches(labels: Node, classes: Size, axis: int) -> Node:
    """Return whether the checked label is the position along a new axis, as bools."""
    shape = (*labels.shape[:axis], classes, *labels.shape[axis:])
    checked = check_index(labels, size=classes, wrap=False)
    if labels.ndim:
        checked = broadcast(checked, shape=shape, axes=tuple(k for k in range(len(shape)) if k != axis))
    return eq(checked, iota(shape=shape, axis=axis, dtype=INT64))
