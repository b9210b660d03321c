"""Sorting to loop nests: short rows by rank, bools in one walk, the first few of long rows by selection, the others
digit by digit."""

from __future__ import annotations

import math

from graphc.errors import ShapeError
from graphc.ir.graph import Node
from graphc.ir.index import source_of
from graphc.ir.loops import Buffer, Kernel
from graphc.ir.types import BOOL, TensorType
from graphc.lower.order.keys import gives_places
from graphc.lower.order.partition import order_bools
from graphc.lower.order.radix import order_by_digits
from graphc.lower.order.ranks import order_by_rank
from graphc.lower.order.search import lower_search
from graphc.lower.order.selection import can_select, select_first
from graphc.lower.work import Launch
from graphc.target import Target

RANK_VECTORS = 3
"""Vectors of keys in a row, for each byte of a key, up to which counting is quicker than a pass for each byte."""

RANK_SIZES = 32
"""Elements, for each byte of a key, up to which it is at least quicker than to begin: to clear and sum up counts."""

LONGEST = (1 << 31) - 1
"""Elements of the longest row: places are numbers of 32 bits."""


def lower_ordering(node: Node, name: str, target: Target) -> list[Launch]:
    """Return the kernels that order the rows of an array that has elements."""
    (x,) = node.inputs
    *leading, length = [int(s) for s in x.shape]
    if length > LONGEST:
        raise ShapeError(
            f"{node.op.name}: rows of more than {LONGEST} elements come later, got {x.type}", node.location
        )
    rows = math.prod(leading)
    source = Buffer("x", TensorType(x.dtype, (rows, length)))
    output = Buffer("out", TensorType(node.dtype, (rows, int(node.shape[-1]))))
    lanes = target.lanes(x.dtype.itemsize)
    if length <= x.dtype.itemsize * min(RANK_VECTORS * lanes, RANK_SIZES):
        body = order_by_rank(node, source, output, lanes)
    elif x.dtype == BOOL and gives_places(node) and output.shape[1] == length:
        body = order_bools(node, source, output)
    elif can_select(length, output.shape[1], x.dtype):
        body = select_first(node, source, output)
    else:
        return [order_by_digits(node, name, source, output)]
    return [Launch(Kernel(name, (source, output), body), (source_of(x), node), frozenset((node,)))]


__all__ = ["lower_ordering", "lower_search"]
