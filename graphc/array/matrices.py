"""Matrices by their places: diagonals, triangles, and those made of vectors. Other axes are batch axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphc.array.convert import ArrayLike, as_device, as_node, axis_index, cast_to, count, promote
from graphc.array.cumulative import cumprod
from graphc.array.elementwise import multiply
from graphc.array.handle import wrap
from graphc.array.reduce import sum, summed_dtype
from graphc.array.shape import concat, flip, moved, ravel, shape_of
from graphc.errors import ArgumentError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, literal
from graphc.ir.types import FLOAT64, INT64, MOST_AXES, as_dtype
from graphc.ops.elementwise import eq, ge, iota, le, where
from graphc.ops.index import gather
from graphc.ops.shape import FAR, broadcast, embed, reshape, slice_

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def eye(
    n_rows: int | Dim,
    n_cols: int | Dim | None = None,
    /,
    k: int = 0,
    dtype: Any = None,
    *,
    device: str | None = None,
) -> Tensor:
    """Return ones on the k-th diagonal (above the main one where k > 0) and zeros elsewhere.

    >>> gx.eye(3, 4).shape
    (3, 4)
    """
    as_device("eye", device)
    shape = shape_of("eye", (n_rows, n_rows if n_cols is None else n_cols))
    kind = FLOAT64 if dtype is None else as_dtype(dtype)
    row, column = _rows_and_columns(shape, k)
    return wrap(cast_to(eq(row, column), kind))


def _rows_and_columns(shape: tuple[Size, ...], k: int) -> tuple[Node, Node]:
    """Return, for every element, the row + k and the column it lies in."""
    rank = len(shape)
    row, column = (iota(shape=shape, axis=a, dtype=INT64) for a in (rank - 2, rank - 1))
    shift = _offset("diagonal", "k", k)
    return (row + shift if shift else row), column


def _offset(name: str, what: str, value: Any) -> int:
    """Return by how many places a diagonal is shifted; beyond every axis, all are the same."""
    return count(name, what, max(-FAR, min(FAR, value)) if isinstance(value, int) else value, -FAR)


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


def identity(n: int | Dim, dtype: Any = None) -> Tensor:
    """Return the square matrix with ones on the diagonal.

    >>> gx.identity(3).shape
    (3, 3)
    """
    return eye(n, dtype=dtype)


def tri(n_rows: int | Dim, n_cols: int | Dim | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Return ones on and below the k-th diagonal and zeros above.

    >>> gx.tri(3, 4).shape
    (3, 4)
    """
    row, column = _rows_and_columns(shape_of("tri", (n_rows, n_rows if n_cols is None else n_cols)), k)
    return wrap(cast_to(ge(row, column), FLOAT64 if dtype is None else as_dtype(dtype)))


# Diagonals.


def diagonal(x: ArrayLike, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonal of two axes as the last axis; `offset` counts places toward the end of axis2.

    >>> gx.diagonal(gx.placeholder((2, 3, 4)), axis1=1, axis2=2).shape
    (2, 3)
    """
    return wrap(diagonal_of("diagonal", as_node("diagonal", x), offset, axis1, axis2))


def diagonal_of(name: str, node: Node, offset: Any, axis1: int, axis2: int) -> Node:
    """Return the diagonal of two axes of a node as the last axis."""
    if node.ndim < 2:
        raise ShapeError(f"{name}: takes rank 2 or more, got {node.type}")
    row, column = axis_index(name, axis1, node.ndim), axis_index(name, axis2, node.ndim)
    if row == column:
        raise ArgumentError(f"{name}: axis1 and axis2 must be different, got {axis1} and {axis2}")
    shift = _offset(name, "offset", offset)
    node = moved(name, node, (row, column), (node.ndim - 2, node.ndim - 1))
    *batch, rows, columns = node.shape
    down, right = max(-shift, 0), max(shift, 0)
    length = dims.maximum(dims.minimum(rows - down, columns - right), 0)
    if isinstance(columns, int) and isinstance(rows, int):
        # Element k of the diagonal is element down * columns + right + k * (columns + 1) of the matrix in one row.
        flat = reshape(node, shape=(*batch, rows * columns))
        start = (*[0] * len(batch), down * columns + right if length else 0)
        return slice_(flat, start=start, shape=(*batch, length), step=(*[1] * len(batch), columns + 1))
    places = iota(shape=(length,), axis=0, dtype=INT64)
    found = gather(node, places + down, places + right, axes=(node.ndim - 2, node.ndim - 1), wrap=False)
    return moved(name, found, 0, found.ndim - 1)


def trace(x: ArrayLike, /, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
    """Return the sums of the diagonals of two axes, as `dtype` (see `sum`).

    >>> gx.trace(gx.placeholder((3, 3), name="x")).shape
    ()
    """
    return sum(wrap(diagonal_of("trace", as_node("trace", x), offset, axis1, axis2)), axis=-1, dtype=dtype)


def diag(x: ArrayLike, /, k: int = 0) -> Tensor:
    """Return the k-th diagonal of a matrix, or of a vector the matrix that has it there and zeros elsewhere.

    >>> gx.diag(gx.placeholder((3,))).shape, gx.diag(gx.placeholder((3, 4)), k=1).shape
    ((3, 3), (3,))
    """
    node = as_node("diag", x)
    if node.ndim == 2:
        return wrap(diagonal_of("diag", node, k, 0, 1))
    if node.ndim != 1:
        raise ShapeError(f"diag: takes rank 1 or 2, got {node.type}")
    shift = count("diag", "k", k, -(2**62))
    size = node.shape[0] + abs(shift)
    # A row has at most one element of the vector: row i has x[i - down] in column i - down + right.
    start = (max(-shift, 0),)
    entries = embed(node, shape=(size,), start=start, step=(1,), value=0) if shift else node
    inside = iota(shape=(size, size), axis=0, dtype=INT64)
    is_on = eq(inside + shift if shift else inside, iota(shape=(size, size), axis=1, dtype=INT64))
    return wrap(where(is_on, broadcast(entries, shape=(size, size), axes=(0,)), literal(0, node.dtype)))


def diagflat(x: ArrayLike, /, k: int = 0) -> Tensor:
    """Return the matrix that has the flattened x on its k-th diagonal and zeros elsewhere.

    >>> gx.diagflat(gx.placeholder((2, 2))).shape
    (4, 4)
    """
    return diag(ravel(x), k)


# Matrices made of others.


def vander(x: ArrayLike, /, N: int | None = None, increasing: bool = False) -> Tensor:
    """Return the matrix of the powers of a vector's elements: x**(N-1), ..., x, 1 in each row, or in turn.

    >>> gx.vander(gx.placeholder((3,)), 4).shape
    (3, 4)
    """
    node = as_node("vander", x)
    if node.ndim != 1:
        raise ShapeError(f"vander: takes a vector, got {node.type}")
    node = cast_to(node, summed_dtype(node, None)) if node.dtype.kind in "bi" else node
    columns: Size = node.shape[0] if N is None else count("vander", "N", N)
    if columns == 0:
        return wrap(broadcast(literal(0, node.dtype), shape=(node.shape[0], 0), axes=()))
    ones = wrap(broadcast(literal(1, node.dtype), shape=(node.shape[0], 1), axes=()))
    factors = wrap(broadcast(node, shape=(node.shape[0], columns - 1), axes=(0,)))
    powers = cumprod(concat([ones, factors], axis=1), axis=1)
    return powers if increasing else flip(powers, axis=1)


def kron(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the Kronecker product: x2 times each element of x1, in the places of the elements.

    >>> gx.kron(gx.placeholder((2, 3)), gx.placeholder((4, 5))).shape
    (8, 15)
    """
    a, b = promote("kron", (x1, x2))
    rank = max(a.ndim, b.ndim)
    if 2 * rank > MOST_AXES:
        raise ArgumentError(f"kron: takes at most {MOST_AXES // 2} axes, got {rank}")
    sizes_a, sizes_b = ((1,) * (rank - n.ndim) + n.shape for n in (a, b))
    spread_a = reshape(a, shape=tuple(s for m in sizes_a for s in (m, 1)))
    spread_b = reshape(b, shape=tuple(s for n in sizes_b for s in (1, n)))
    product = multiply(wrap(spread_a), wrap(spread_b)).node
    return wrap(reshape(product, shape=tuple(m * n for m, n in zip(sizes_a, sizes_b, strict=True))))
