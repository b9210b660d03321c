"""Every operation, one definition each with all its facts."""

from graphc.ops import control, conv, cumulative, dot, elementwise, index, ordering, pool, reduce, shape

__all__ = ["control", "conv", "cumulative", "dot", "elementwise", "index", "ordering", "pool", "reduce", "shape"]
