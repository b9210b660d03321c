"""Index arrays: of triangles and diagonals, of open meshes, and between flat indices and one for each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, common_shape, count, listing, spread_to
from graphc.array.found import nonzero, places_of
from graphc.array.gathering import MODES, as_size, in_mode, integers
from graphc.array.handle import wrap
from graphc.array.shape import shape_of
from graphc.errors import ArgumentError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.dims import Dim
from graphc.ir.graph import Node, literal
from graphc.ir.types import BOOL, INT64, Shape
from graphc.ops.elementwise import cast, check_index, floor_divide, ge, iota, le, remainder
from graphc.ops.shape import reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def ix_(*indices: ArrayLike) -> tuple[Tensor, ...]:
    """Return index arrays that read every combination: `x[ix_(rows, columns)]` is those rows and those columns of x.

    Each is of one axis; a mask stands for the places where it is true.

    >>> x = gx.placeholder((5, 4), name="x")
    >>> x[gx.ix_([0, 2], [1, 2, 3])].shape
    (2, 3)
    """
    found = []
    for k, given in enumerate(indices):
        index = as_node("ix_", given)
        if index.ndim != 1:
            raise ShapeError(f"ix_: takes indices along one axis each, got {index.type}")
        index = places_of(index) if index.dtype == BOOL else integers("ix_", given)
        shape = [1] * len(indices)
        found.append(wrap(reshape(index, shape=(*shape[:k], index.shape[0], *shape[k + 1 :]))))
    return tuple(found)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the row and column indices of the lower triangle of an n by m matrix, the k-th diagonal included.

    >>> gx.compile([], gx.tril_indices(2))()
    (array([0, 1, 1]), array([0, 0, 1]))
    """
    return _triangle("tril_indices", n, k, m, is_lower=True)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the row and column indices of the upper triangle of an n by m matrix, the k-th diagonal included.

    >>> gx.compile([], gx.triu_indices(2))()
    (array([0, 0, 1]), array([0, 1, 1]))
    """
    return _triangle("triu_indices", n, k, m, is_lower=False)


def tril_indices_from(x: ArrayLike, /, k: int = 0) -> tuple[Tensor, Tensor]:
    """Return the indices of the lower triangle of a matrix, see `tril_indices`.

    >>> [t.shape for t in gx.tril_indices_from(gx.placeholder((3, 2), name="x"))]
    [(5,), (5,)]
    """
    return tril_indices(*_matrix_sizes("tril_indices_from", x, k))


def triu_indices_from(x: ArrayLike, /, k: int = 0) -> tuple[Tensor, Tensor]:
    """Return the indices of the upper triangle of a matrix, see `triu_indices`.

    >>> [t.shape for t in gx.triu_indices_from(gx.placeholder((3, 2), name="x"))]
    [(3,), (3,)]
    """
    return triu_indices(*_matrix_sizes("triu_indices_from", x, k))


def _matrix_sizes(name: str, x: ArrayLike, k: int) -> tuple[Any, int, Any]:
    node = as_node(name, x)
    if node.ndim != 2:
        raise ShapeError(f"{name}: takes a matrix, got {node.type}")
    return node.shape[0], k, node.shape[1]


def _triangle(name: str, n: Any, k: Any, m: Any, *, is_lower: bool) -> tuple[Tensor, Tensor]:
    offset = count(name, "k", k, -(2**40))
    rows, columns = (s if isinstance(s, Dim) else count(name, "a size", s) for s in (n, n if m is None else m))
    if isinstance(rows, int) and isinstance(columns, int):
        row, column = (np.tril_indices if is_lower else np.triu_indices)(rows, offset, columns)
        return wrap(literal(row, INT64)), wrap(literal(column, INT64))
    row_node, column_node = (iota(shape=(rows, columns), axis=a, dtype=INT64) for a in (0, 1))
    inside = (le if is_lower else ge)(column_node - offset, row_node)
    first, second = nonzero(wrap(inside))
    return first, second


def diag_indices(n: int, ndim: int = 2) -> tuple[Tensor, ...]:
    """Return the indices of the main diagonal of an array of `ndim` axes of size n.

    >>> x = gx.placeholder((3, 3), name="x")
    >>> x.at[gx.diag_indices(3)].set(0.0).shape
    (3, 3)
    """
    size = n if isinstance(n, Dim) else count("diag_indices", "n", n)
    along = wrap(iota(shape=(size,), axis=0, dtype=INT64))
    return (along,) * count("diag_indices", "ndim", ndim)


def diag_indices_from(x: ArrayLike, /) -> tuple[Tensor, ...]:
    """Return the indices of the main diagonal of an array whose axes all have one size.

    >>> [t.shape for t in gx.diag_indices_from(gx.placeholder((3, 3), name="x"))]
    [(3,), (3,)]
    """
    node = as_node("diag_indices_from", x)
    if node.ndim < 2 or any(s != node.shape[0] for s in node.shape):
        raise ShapeError(f"diag_indices_from: takes at least two axes, all of one size, got {node.type}")
    return diag_indices(node.shape[0], node.ndim)


def _dims_of(name: str, shape: Any) -> Shape:
    sizes = shape_of(name, shape)
    if any(isinstance(s, int) and s < 0 for s in sizes):
        raise ArgumentError(f"{name}: sizes must be at least 0, got {shape}")
    return sizes


def unravel_index(indices: ArrayLike, shape: Any, /) -> tuple[Tensor, ...]:
    """Return the index along each axis of flat indices of an array of this shape, as int64.

    An index outside is an OutOfBoundsError, when the graph runs where it is not known before.

    >>> gx.compile([], gx.unravel_index([5, 2], (2, 3)))()
    (array([1, 0]), array([2, 2]))
    """
    sizes = _dims_of("unravel_index", shape)
    flat = check_index(integers("unravel_index", indices), size=dims.product(sizes), wrap=False)
    found: list[Tensor] = []
    for size in reversed(sizes):
        # A size of 0 has no index, which the check has said by now.
        divisor = as_size(dims.maximum(size, 1))
        found.append(wrap(remainder(flat, divisor)))
        flat = floor_divide(flat, divisor)
    return tuple(reversed(found))


def ravel_multi_index(
    multi_index: Sequence[ArrayLike] | ArrayLike, shape: Any, /, mode: str | Sequence[str] = "raise"
) -> Tensor:
    """Return the flat indices, in an array of this shape, of one index for each axis, which broadcast, as int64.

    `mode` says what an index outside an axis means, for all or for each axis: see `take`; with "raise", below 0 is
    outside too.

    >>> gx.compile([], gx.ravel_multi_index(([1, 0], [2, 2]), (2, 3)))()
    array([5, 2])
    """
    sizes = _dims_of("ravel_multi_index", shape)
    given = list(multi_index) if isinstance(multi_index, list | tuple) else [*wrap(as_node("ravel", multi_index))]
    if len(given) != len(sizes):
        raise ArgumentError(f"ravel_multi_index: takes an index for each of {len(sizes)} axes, got {len(given)}")
    modes = (mode,) * len(sizes) if isinstance(mode, str) else listing("ravel_multi_index", "mode", mode)
    if len(modes) != len(sizes) or any(not isinstance(m, str) or m not in MODES for m in modes):
        raise ArgumentError(f"ravel_multi_index: mode is one of {', '.join(map(repr, MODES))}, got {shown(mode)}")
    nodes = [integers("ravel_multi_index", g) for g in given]
    common = common_shape("ravel_multi_index", nodes)
    flat: Node = literal(0, INT64)
    for node, size, how in zip(nodes, sizes, modes, strict=True):
        index = in_mode("ravel_multi_index", cast(node, dtype=INT64), size, how)
        if how == "raise":
            index = check_index(index, size=size, wrap=False)
        flat = flat * as_size(size) + spread_to(index, common)
    return wrap(flat)


__all__ = [
    "diag_indices", "diag_indices_from", "ix_", "ravel_multi_index", "tril_indices", "tril_indices_from",
    "triu_indices", "triu_indices_from", "unravel_index",
]  # fmt: skip
