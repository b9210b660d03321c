"""einsum: sums of products over labelled axes, taken apart into contractions of two operands."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, differ, spread_to
from graphc.array.dot import contraction, numbers, summed
from graphc.array.handle import wrap
from graphc.array.matrices import diagonal_of
from graphc.array.shape import moved
from graphc.errors import ArgumentError, ShapeError, shown
from graphc.ir.dims import Dim
from graphc.ir.graph import Node
from graphc.ops.shape import transpose

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def einsum(subscripts: Any, /, *operands: Any, optimize: Any = True) -> Tensor:
    """Sum products over labelled axes, as numpy.einsum: 'bij,bjk->bik', 'ii', 'i,i', '...ij->...ji'.

    Without '->' the result has the labels that occur once, in alphabetical order. Axes of size 1 broadcast. Labels may
    be given as ints too: einsum(x, [0, 1], y, [1, 2], [0, 2]). More than two operands are multiplied in the order that
    costs least, by the eager backend from left to right, whatever `optimize` says.

    >>> gx.einsum("bik,kj->bij", gx.placeholder(("b", 3, 4)), gx.placeholder((4, 5))).shape
    (b, 3, 5)
    """
    text, arrays = _as_text("einsum", subscripts, operands)
    nodes = numbers("einsum", arrays) if arrays else []
    parts, out = _parsed(text, nodes)
    result, labels = _diagonal(nodes[0], parts[0])
    for k, (node, part) in enumerate(zip(nodes[1:], parts[1:], strict=True), start=2):
        other, other_labels = _diagonal(node, part)
        later = set(out).union(*parts[k:])
        kept = "".join(dict.fromkeys(c for c in labels + other_labels if c in later))
        result, labels = contraction("einsum", result, labels, other, other_labels, kept), kept
    result, labels = summed(result, labels, [c for c in labels if c not in out])
    order = tuple(labels.index(c) for c in out)
    return wrap(result if order == tuple(range(len(out))) else transpose(result, axes=order))


def einsum_path(subscripts: Any, /, *operands: Any, optimize: Any = "greedy") -> tuple[list[Any], str]:
    """Return the order in which NumPy would multiply the operands of an einsum, and a table of what that costs.

    Shapes must be known. graphc finds an order of its own when it compiles.

    >>> gx.einsum_path("ij,jk,kl->il", gx.ones((2, 3)), gx.ones((3, 4)), gx.ones((4, 5)))[0]
    ['einsum_path', (1, 2), (0, 1)]
    """
    text, arrays = _as_text("einsum_path", subscripts, operands)
    nodes = numbers("einsum_path", arrays) if arrays else []
    _parsed(text, nodes)
    for n in nodes:
        if any(isinstance(s, Dim) for s in n.shape):
            raise ShapeError(f"einsum_path: shapes must be known, got {n.type}")
    shapes = [np.broadcast_to(np.float64(0), [int(s) for s in n.shape]) for n in nodes]
    try:
        path, report = np.einsum_path(text, *shapes, optimize=optimize)
    except (TypeError, ValueError, KeyError) as error:
        raise ArgumentError(f"einsum_path: {error}") from None
    return path, report


def _as_text(name: str, subscripts: Any, operands: Sequence[Any]) -> tuple[str, list[ArrayLike]]:
    """Return subscripts as a string, and the operands; labels that are ints become letters."""
    if isinstance(subscripts, str):
        return subscripts, list(operands)
    entries = [subscripts, *operands]
    arrays, labels = entries[: len(entries) // 2 * 2 : 2], entries[1::2]
    text = ",".join(_letters(name, part) for part in labels)
    return (text if len(entries) % 2 == 0 else f"{text}->{_letters(name, entries[-1])}"), arrays


def _letters(name: str, labels: Any) -> str:
    if not isinstance(labels, list | tuple):
        raise ArgumentError(f"{name}: the first argument names the axes, as 'ij,jk->ik', or lists after operands do")
    letters = string.ascii_uppercase + string.ascii_lowercase
    for k in labels:
        if k is not Ellipsis and (isinstance(k, bool) or not isinstance(k, int) or not 0 <= k < len(letters)):
            raise ArgumentError(f"{name}: a label is an int in [0, {len(letters)}) or ..., got {shown(k)}")
    return "".join("..." if k is Ellipsis else letters[k] for k in labels)


def _parsed(subscripts: str, nodes: list[Node]) -> tuple[list[str], str]:
    """Return the labels of every operand and of the result, '...' replaced by upper-case letters of its own."""
    text = subscripts.replace(" ", "")
    before, arrow, after = text.partition("->")
    parts = before.split(",")
    if len(parts) != len(nodes):
        raise ArgumentError(f"einsum: {shown(subscripts)} is for {len(parts)} operands, got {len(nodes)}")
    free = [c for c in reversed(string.ascii_letters) if c not in text]
    ellipsis = [n.ndim - len(p.replace("...", "")) for p, n in zip(parts, nodes, strict=True)]
    batch = "".join(free[: max(0, *ellipsis)])
    labels = [_labelled(subscripts, *p, batch) for p in zip(parts, nodes, ellipsis, strict=True)]
    if not arrow:
        once = [c for c in sorted(set("".join(labels)) - set(batch)) if "".join(labels).count(c) == 1]
        after = ("..." if "..." in before else "") + "".join(once)
    if batch and "..." not in after:
        raise ArgumentError(
            f"einsum: the result of {shown(subscripts)} must have '...', which stands for axes of operands"
        )
    out = after.replace("...", batch if "..." in before else "")
    unknown = [c for c in out if c not in "".join(labels)]
    if unknown or len(set(out)) != len(out):
        wrong = f"{shown(unknown[0])} is in no operand" if unknown else "a label is repeated"
        raise ArgumentError(
            f"einsum: the result of {shown(subscripts)} must have labels of the operands, each once: {wrong}"
        )
    return labels, out


def _labelled(subscripts: str, part: str, node: Node, ellipsis: int, batch: str) -> str:
    plain = part.replace("...", "", 1)
    if not all(c in string.ascii_letters for c in plain):
        raise ArgumentError(f"einsum: labels are letters, got {shown(part)} in {shown(subscripts)}")
    if ellipsis < 0 or (ellipsis and "..." not in part):
        raise ShapeError(f"einsum: {shown(part)} of {shown(subscripts)} does not fit the rank of {node.type}")
    return part.replace("...", batch[len(batch) - ellipsis :])


def _diagonal(node: Node, labels: str) -> tuple[Node, str]:
    """Return the node with every repeated label once, on its diagonal."""
    while len(set(labels)) < len(labels):
        place = next(k for k, c in enumerate(labels) if c in labels[:k])
        first = labels.index(labels[place])
        if differ(node.shape[first], node.shape[place]):
            raise ShapeError(f"einsum: the axes {shown(labels[place])} of {node.type} must have one size")
        square = tuple([node.shape[first] if k == place else s for k, s in enumerate(node.shape)])
        node = diagonal_of("einsum", spread_to(node, square), 0, first, place)  # the call checks unknown sizes
        node = moved("einsum", node, node.ndim - 1, first)
        labels = labels[:place] + labels[place + 1 :]
    return node, labels
