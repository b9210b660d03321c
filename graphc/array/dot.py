"""Products that sum: matrix products, inner and outer products, and einsum, each one contraction or a few."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, axis_index, axis_indices, count, differ, listed, promote
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir.graph import Node, literal
from graphc.ir.types import INT64
from graphc.ops.dot import contract
from graphc.ops.elementwise import eq, iota, where
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import reshape, transpose

if TYPE_CHECKING:
    from graphc.tensor import Tensor

_BATCH = string.ascii_uppercase
_MOST_AXES = 24
"""Of one operand, so that each axis of two has a letter."""


def _numbers(name: str, values: Sequence[ArrayLike]) -> list[Node]:
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
    a, b = _numbers("matmul", (x1, x2))
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: operands must have rank 1 or more, got {a.type} and {b.type}; use * with a scalar")
    in_a, in_b = "mk"[-a.ndim :], "kn"[: b.ndim] if b.ndim < 3 else "kn"
    _require_equal("matmul", a, in_a.index("k") - len(in_a), b, in_b.index("k") - len(in_b))
    batch_a, batch_b = a.shape[: a.ndim - len(in_a)], b.shape[: b.ndim - len(in_b)]
    rank = max(len(batch_a), len(batch_b))
    letters = _BATCH[:rank]
    free = in_a.replace("k", "") + in_b.replace("k", "")
    labels_a, labels_b = letters[rank - len(batch_a) :] + in_a, letters[rank - len(batch_b) :] + in_b
    return wrap(_contraction("matmul", a, labels_a, b, labels_b, letters + free))


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


def _contraction(name: str, a: Node, in_a: str, b: Node, in_b: str, out: str) -> Node:
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
    a, in_a = _summed(a, in_a, [c for c in in_a if c not in in_b and c not in out])
    b, in_b = _summed(b, in_b, [c for c in in_b if c not in in_a and c not in out])
    return contract(a, b, spec=f"{in_a},{in_b}->{out}")


def _without(node: Node, labels: str, dropped: list[str]) -> tuple[Node, str]:
    """Remove axes of size 1."""
    if not dropped:
        return node, labels
    shape = tuple(s for c, s in zip(labels, node.shape, strict=True) if c not in dropped)
    return reshape(node, shape=shape), "".join(c for c in labels if c not in dropped)


def _summed(node: Node, labels: str, summed: list[str]) -> tuple[Node, str]:
    if not summed:
        return node, labels
    kept = "".join(c for c in labels if c not in summed)
    return reduce_sum(node, axis=tuple(k for k, c in enumerate(labels) if c in summed)), kept


def dot(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Multiply as NumPy's dot: `matmul` up to rank 2; above, sum over the last axis of x1 and the second-to-last of x2.

    >>> gx.dot(gx.placeholder((2, 3, 4)), gx.placeholder((5, 4, 6))).shape
    (2, 3, 5, 6)
    """
    a, b = _numbers("dot", (x1, x2))
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
    a, b = _numbers("vecdot", (x1, x2))
    place = axis_index("vecdot", axis, min(a.ndim, b.ndim)) - min(a.ndim, b.ndim)
    _require_equal("vecdot", a, place, b, place)
    rank = max(a.ndim, b.ndim)
    letters = _BATCH[:rank]
    out = letters[: rank + place] + letters[rank + place + 1 :]
    return wrap(_contraction("vecdot", a, letters[rank - a.ndim :], b, letters[rank - b.ndim :], out))


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return all products of an element of x1 with one of x2, both flattened.

    >>> gx.outer(gx.placeholder((3,)), gx.placeholder((4,))).shape
    (3, 4)
    """
    a, b = (n if n.ndim == 1 else reshape(n, shape=(n.tensor_type.size,)) for n in _numbers("outer", (x1, x2)))
    return wrap(contract(a, b, spec="m,n->mn"))


def tensordot(
    x1: ArrayLike, x2: ArrayLike, /, axes: int | tuple[int | Sequence[int], int | Sequence[int]] = 2
) -> Tensor:
    """Sum products over the last `axes` of x1 and the first of x2, or over pairs (axes of x1, axes of x2).

    >>> gx.tensordot(gx.placeholder((2, 3, 4)), gx.placeholder((4, 3, 5)), axes=((1, 2), (1, 0))).shape
    (2, 5)
    """
    a, b = _numbers("tensordot", (x1, x2))
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


# einsum


def einsum(subscripts: str, /, *operands: ArrayLike) -> Tensor:
    """Sum products over labelled axes, as numpy.einsum: 'bij,bjk->bik', 'ii', 'i,i', '...ij->...ji'.

    Without '->' the result has the labels that occur once, in alphabetical order. Axes of size 1 broadcast. More than
    two operands are multiplied in the order that costs least, by the eager backend from left to right.

    >>> gx.einsum("bik,kj->bij", gx.placeholder(("b", 3, 4)), gx.placeholder((4, 5))).shape
    (b, 3, 5)
    """
    nodes = _numbers("einsum", operands) if operands else []
    parts, out = _parsed(subscripts, nodes)
    result, labels = _diagonal(nodes[0], parts[0])
    for k, (node, part) in enumerate(zip(nodes[1:], parts[1:], strict=True), start=2):
        other, other_labels = _diagonal(node, part)
        later = set(out).union(*parts[k:])
        kept = "".join(dict.fromkeys(c for c in labels + other_labels if c in later))
        result, labels = _contraction("einsum", result, labels, other, other_labels, kept), kept
    result, labels = _summed(result, labels, [c for c in labels if c not in out])
    order = tuple(labels.index(c) for c in out)
    return wrap(result if order == tuple(range(len(out))) else transpose(result, axes=order))


def _parsed(subscripts: str, nodes: list[Node]) -> tuple[list[str], str]:
    """Return the labels of every operand and of the result, '...' replaced by upper-case letters of its own."""
    if not isinstance(subscripts, str):
        raise ArgumentError(f"einsum: the first argument names the axes, as 'ij,jk->ik', got {shown(subscripts)}")
    text = subscripts.replace(" ", "")
    before, arrow, after = text.partition("->")
    parts = before.split(",")
    if len(parts) != len(nodes):
        raise ArgumentError(f"einsum: {subscripts!r} is for {len(parts)} operands, got {len(nodes)}")
    free = [c for c in reversed(string.ascii_letters) if c not in text]
    ellipsis = [n.ndim - len(p.replace("...", "")) for p, n in zip(parts, nodes, strict=True)]
    batch = "".join(free[: max(0, *ellipsis)])
    labels = [_labelled(subscripts, *p, batch) for p in zip(parts, nodes, ellipsis, strict=True)]
    if not arrow:
        once = [c for c in sorted(set("".join(labels)) - set(batch)) if "".join(labels).count(c) == 1]
        after = ("..." if "..." in before else "") + "".join(once)
    out = after.replace("...", batch if "..." in before else "")
    unknown = [c for c in out if c not in "".join(labels)]
    if unknown or len(set(out)) != len(out):
        wrong = f"{unknown[0]!r} is in no operand" if unknown else "a label is repeated"
        raise ArgumentError(
            f"einsum: the result of {subscripts!r} must have labels of the operands, each once: {wrong}"
        )
    return labels, out


def _labelled(subscripts: str, part: str, node: Node, ellipsis: int, batch: str) -> str:
    plain = part.replace("...", "", 1)
    if not all(c in string.ascii_letters for c in plain):
        raise ArgumentError(f"einsum: labels are letters, got {part!r} in {subscripts!r}")
    if ellipsis < 0 or (ellipsis and "..." not in part):
        raise ShapeError(f"einsum: {part!r} of {subscripts!r} does not fit the rank of {node.type}")
    return part.replace("...", batch[len(batch) - ellipsis :])


def _diagonal(node: Node, labels: str) -> tuple[Node, str]:
    """Return the node with every repeated label once, on its diagonal."""
    while len(set(labels)) < len(labels):
        place = next(k for k, c in enumerate(labels) if c in labels[:k])
        first = labels.index(labels[place])
        if differ(node.shape[first], node.shape[place]):
            raise ShapeError(f"einsum: the axes {labels[place]!r} of {node.type} must have one size")
        row, column = (iota(shape=node.shape, axis=k, dtype=INT64) for k in (first, place))
        node = reduce_sum(where(eq(row, column), node, literal(0, node.dtype)), axis=(place,))
        labels = labels[:place] + labels[place + 1 :]
    return node, labels
