"""Products that sum: matrix products, inner, outer and cross products, each one contraction or a few."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, axis_index, axis_indices, count, differ, listed, promote
from graphc.array.handle import wrap
from graphc.array.shape import concat, moved, part
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir.graph import Node
from graphc.ops.dot import contract
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor

_BATCH = string.ascii_uppercase
_MOST_AXES = 24
"""Of one operand, so that each axis of two has a letter."""


def numbers(name: str, values: Sequence[ArrayLike]) -> list[Node]:
    """Return operands as nodes of one dtype, which is no bool."""
    nodes = promote(name, values)
    if nodes[0].dtype.kind == "b":
        raise DTypeError(f"{name}: takes numbers, got {nodes[0].type}; use astype to count")
    if any(n.ndim > _MOST_AXES for n in nodes):
        raise ShapeError(f"{name}: an operand has at most {_MOST_AXES} axes, got {listed(nodes)}")
    return nodes


def matmul(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Multiply matrices: [..., m, k] @ [..., k, n] -> [..., m, n].

    Leading axes are batch axes and broadcast; an operand of rank 1 is a row on the left, a column on the right, and
    its axis of size 1 is removed from the result. Rank 0 is refused.

    >>> gx.matmul(gx.placeholder(("batch", 784), name="x"), gx.placeholder((784, 10), name="w"))
    <Tensor f32[batch, 10] = contract(x, w, spec='mk,kn->mn')>
    """
    a, b = numbers("matmul", (x1, x2))
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: operands must have rank 1 or more, got {a.type} and {b.type}; use * with a scalar")
    in_a, in_b = "mk"[-a.ndim :], "kn"[: b.ndim] if b.ndim < 3 else "kn"
    _require_equal("matmul", a, in_a.index("k") - len(in_a), b, in_b.index("k") - len(in_b))
    batch_a, batch_b = a.shape[: a.ndim - len(in_a)], b.shape[: b.ndim - len(in_b)]
    rank = max(len(batch_a), len(batch_b))
    letters = _BATCH[:rank]
    free = in_a.replace("k", "") + in_b.replace("k", "")
    labels_a, labels_b = letters[rank - len(batch_a) :] + in_a, letters[rank - len(batch_b) :] + in_b
    return wrap(contraction("matmul", a, labels_a, b, labels_b, letters + free))


def _require_equal(name: str, a: Node, axis_a: int, b: Node, axis_b: int) -> None:
    m, n = a.shape[axis_a], b.shape[axis_b]
    if differ(m, n):
        raise ShapeError(
            f"{name}: {_axis(axis_a)} of a ({a.type}) must equal {_axis(axis_b)} of b ({b.type}): {m} != {n}"
        )


def _axis(axis: int) -> str:
    if axis >= 0:
        return f"axis {axis}"
    return {-1: "the last dimension", -2: "the second-to-last"}.get(axis, f"axis {axis}")


def contraction(name: str, a: Node, in_a: str, b: Node, in_b: str, out: str) -> Node:
    """Return einsum(in_a, in_b -> out): labels are distinct within an operand, and out's are among theirs.

    An axis of size 1 that meets a larger one leaves the spec instead of being repeated, and a label that only one
    operand has and the result has not is summed before.
    """
    sizes_a, sizes_b = dict(zip(in_a, a.shape, strict=True)), dict(zip(in_b, b.shape, strict=True))
    for c in in_a:
        if c in sizes_b and differ(sizes_a[c], sizes_b[c]) and 1 not in (sizes_a[c], sizes_b[c]):
            raise ShapeError(
                f"{name}: operands must have one size for {c!r} of '{in_a},{in_b}->{out}', "
                f"got {a.type} and {b.type}: {sizes_a[c]} != {sizes_b[c]}"
            )
    a, in_a = _without(a, in_a, [c for c in in_a if sizes_a[c] == 1 and sizes_b.get(c, 1) != 1])
    b, in_b = _without(b, in_b, [c for c in in_b if sizes_b[c] == 1 and sizes_a.get(c, 1) != 1])
    a, in_a = summed(a, in_a, [c for c in in_a if c not in in_b and c not in out])
    b, in_b = summed(b, in_b, [c for c in in_b if c not in in_a and c not in out])
    return contract(a, b, spec=f"{in_a},{in_b}->{out}")


def _without(node: Node, labels: str, dropped: list[str]) -> tuple[Node, str]:
    """Remove axes of size 1."""
    if not dropped:
        return node, labels
    shape = tuple(s for c, s in zip(labels, node.shape, strict=True) if c not in dropped)
    return reshape(node, shape=shape), "".join(c for c in labels if c not in dropped)


def summed(node: Node, labels: str, gone: list[str]) -> tuple[Node, str]:
    """Return a node summed over the axes with these labels, and the labels that are left."""
    if not gone:
        return node, labels
    kept = "".join(c for c in labels if c not in gone)
    return reduce_sum(node, axis=tuple(k for k, c in enumerate(labels) if c in gone)), kept


def dot(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Multiply as NumPy's dot: `matmul` up to rank 2; above, sum over the last axis of x1 and the second-to-last of x2.

    >>> gx.dot(gx.placeholder((2, 3, 4)), gx.placeholder((5, 4, 6))).shape
    (2, 3, 5, 6)
    """
    a, b = numbers("dot", (x1, x2))
    if not a.ndim or not b.ndim:
        return wrap(a * b)
    axis_b = max(b.ndim - 2, 0)
    _require_equal("dot", a, -1, b, axis_b - b.ndim)
    return wrap(_over(a, (a.ndim - 1,), b, (axis_b,)))


def _over(a: Node, axes_a: Sequence[int], b: Node, axes_b: Sequence[int]) -> Node:
    """Sum products over pairs of axes; what remains of a comes first."""
    in_a = _BATCH[: a.ndim]
    free = iter(string.ascii_lowercase)
    summed = {k: in_a[j] for j, k in zip(axes_a, axes_b, strict=True)}
    in_b = "".join(summed[k] if k in summed else next(free) for k in range(b.ndim))
    out = "".join(c for c in in_a + in_b if not (c in in_a and c in in_b))
    return contract(a, b, spec=f"{in_a},{in_b}->{out}")


def vecdot(x1: ArrayLike, x2: ArrayLike, /, axis: int = -1) -> Tensor:
    """Return the inner products of vectors along an axis (negative); the other axes broadcast.

    >>> gx.vecdot(gx.placeholder(("n", 3)), gx.placeholder((3,))).shape
    (n,)
    """
    a, b = numbers("vecdot", (x1, x2))
    place = axis_index("vecdot", axis, min(a.ndim, b.ndim)) - min(a.ndim, b.ndim)
    _require_equal("vecdot", a, place, b, place)
    rank = max(a.ndim, b.ndim)
    letters = _BATCH[:rank]
    out = letters[: rank + place] + letters[rank + place + 1 :]
    return wrap(contraction("vecdot", a, letters[rank - a.ndim :], b, letters[rank - b.ndim :], out))


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return all products of an element of x1 with one of x2, both flattened.

    >>> gx.outer(gx.placeholder((3,)), gx.placeholder((4,))).shape
    (3, 4)
    """
    a, b = (n if n.ndim == 1 else reshape(n, shape=(n.tensor_type.size,)) for n in numbers("outer", (x1, x2)))
    return wrap(contract(a, b, spec="m,n->mn"))


def inner(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Sum products over the last axes of both; with a number it is `multiply`.

    >>> gx.inner(gx.placeholder((2, 3)), gx.placeholder((5, 3))).shape
    (2, 5)
    """
    a, b = numbers("inner", (x1, x2))
    if not a.ndim or not b.ndim:
        return wrap(a * b)
    _require_equal("inner", a, -1, b, -1)
    return wrap(_over(a, (a.ndim - 1,), b, (b.ndim - 1,)))


def vdot(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the inner product of both, flattened.

    >>> gx.vdot(gx.placeholder((2, 3)), gx.placeholder((3, 2))).shape
    ()
    """
    a, b = (reshape(n, shape=(n.tensor_type.size,)) for n in numbers("vdot", (x1, x2)))
    _require_equal("vdot", a, 0, b, 0)
    return wrap(contract(a, b, spec="k,k->"))


def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Multiply matrices by vectors: [..., m, k] and [..., k] -> [..., m]; leading axes broadcast.

    >>> gx.matvec(gx.placeholder(("n", 2, 3)), gx.placeholder((3,))).shape
    (n, 2)
    """
    a, b = numbers("matvec", (x1, x2))
    if a.ndim < 2 or not b.ndim:
        raise ShapeError(f"matvec: takes matrices and vectors, got {a.type} and {b.type}")
    _require_equal("matvec", a, -1, b, -1)
    return wrap(_batched("matvec", a, "mk", b, "k", "m"))


def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Multiply vectors by matrices: [..., k] and [..., k, m] -> [..., m]; leading axes broadcast.

    >>> gx.vecmat(gx.placeholder((3,)), gx.placeholder(("n", 3, 2))).shape
    (n, 2)
    """
    a, b = numbers("vecmat", (x1, x2))
    if not a.ndim or b.ndim < 2:
        raise ShapeError(f"vecmat: takes vectors and matrices, got {a.type} and {b.type}")
    _require_equal("vecmat", a, -1, b, -2)
    return wrap(_batched("vecmat", a, "k", b, "km", "m"))


def _batched(name: str, a: Node, in_a: str, b: Node, in_b: str, out: str) -> Node:
    """Return the contraction of the last axes, the others being batch axes that broadcast."""
    batch_a, batch_b = a.ndim - len(in_a), b.ndim - len(in_b)
    rank = max(batch_a, batch_b)
    letters = _BATCH[:rank]
    return contraction(name, a, letters[rank - batch_a :] + in_a, b, letters[rank - batch_b :] + in_b, letters + out)


def cross(x1: ArrayLike, x2: ArrayLike, /, axis: int = -1) -> Tensor:
    """Return the vectors at right angles to pairs of vectors of 3 elements along an axis; other axes broadcast.

    >>> gx.cross(gx.placeholder(("n", 3)), gx.placeholder((3,))).shape
    (n, 3)
    """
    a, b = numbers("cross", (x1, x2))
    ends = []
    for n in (a, b):
        place = axis_index("cross", axis, n.ndim)
        if differ(n.shape[place], 3):
            raise ShapeError(f"cross: axis {axis} must have size 3, got {a.type} and {b.type}")
        turned = moved("cross", n, place, n.ndim - 1)
        # A size that is not known yet is checked by the call.
        ends.append(turned if turned.shape[-1] == 3 else reshape(turned, shape=(*turned.shape[:-1], 3)))
    x, y = ([wrap(part(n, n.ndim - 1, k, 1)) for k in range(3)] for n in ends)
    found = concat([x[i] * y[j] - x[j] * y[i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=-1)
    return wrap(moved("cross", found.node, found.ndim - 1, axis_index("cross", axis, found.ndim)))


def tensordot(
    x1: ArrayLike, x2: ArrayLike, /, axes: int | tuple[int | Sequence[int], int | Sequence[int]] = 2
) -> Tensor:
    """Sum products over the last `axes` of x1 and the first of x2, or over pairs (axes of x1, axes of x2).

    >>> gx.tensordot(gx.placeholder((2, 3, 4)), gx.placeholder((4, 3, 5)), axes=((1, 2), (1, 0))).shape
    (2, 5)
    """
    a, b = numbers("tensordot", (x1, x2))
    if isinstance(axes, int):
        number = count("tensordot", "axes", axes)
        if number > min(a.ndim, b.ndim):
            raise ArgumentError(f"tensordot: axes must be at most the rank of {a.type} and {b.type}, got {axes}")
        axes_a, axes_b = tuple(range(a.ndim - number, a.ndim)), tuple(range(number))
    elif not isinstance(axes, list | tuple) or len(axes) != 2:
        raise ArgumentError(f"tensordot: axes must be an int, or a pair of ints or sequences, got {shown(axes)}")
    else:
        axes_a, axes_b = axis_indices("tensordot", axes[0], a.ndim), axis_indices("tensordot", axes[1], b.ndim)
    if len(axes_a) != len(axes_b):
        raise ArgumentError(f"tensordot: both sides must name equally many axes, got {axes}")
    for m, n in zip(axes_a, axes_b, strict=True):
        _require_equal("tensordot", a, m, b, n)
    return wrap(_over(a, axes_a, b, axes_b))
