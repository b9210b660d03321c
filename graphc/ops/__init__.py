"""Every operation, one definition each with all its facts."""

from graphc.ops import control, cumulative, dot, elementwise, index, reduce, shape

__all__ = ["control", "cumulative", "dot", "elementwise", "index", "reduce", "shape"]
