"""Every operation, one definition each with all its facts."""

from graphc.ops import control, dot, elementwise, index, reduce, shape

__all__ = ["control", "dot", "elementwise", "index", "reduce", "shape"]
