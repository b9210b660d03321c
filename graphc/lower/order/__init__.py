"""Sorting to loop nests: short rows by rank, long ones digit by digit."""

from __future__ import annotations

import math

from graphc.ir.graph import Node
from graphc.ir.index import source_of
from graphc.ir.loops import Buffer, Kernel
from graphc.ir.types import TensorType
from graphc.lower.order.radix import order_by_digits
from graphc.lower.order.ranks import order_by_rank
from graphc.lower.order.search import lower_search
from graphc.lower.work import Launch
from graphc.target import Target

RANK_VECTORS = 8
"""Rows up to so many vectors of keys are ordered by rank."""


def lower_ordering(node: Node, name: str, target: Target) -> list[Launch]:
    """Return the kernels that order the rows of an array that has elements."""
    (x,) = node.inputs
    *leading, length = [int(s) for s in x.shape]
    rows = math.prod(leading)
    source = Buffer("x", TensorType(x.dtype, (rows, length)))
    output = Buffer("out", TensorType(node.dtype, (rows, int(node.shape[-1]))))
    lanes = target.lanes(x.dtype.itemsize)
    if length <= RANK_VECTORS * lanes:
        body = order_by_rank(node, source, output, lanes)
        kernel = Kernel(name, (source, output), body)
        return [Launch(kernel, (source_of(x), node), frozenset((node,)))]
    return [order_by_digits(node, name, source, output)]


__all__ = ["lower_ordering", "lower_search"]
