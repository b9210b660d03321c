"""Every operation, one definition each with all its facts."""

from graphc.ops import control, dot, elementwise, reduce, shape

__all__ = ["control", "dot", "elementwise", "reduce", "shape"]
