"""Control flow on Tensors: Python functions traced into the bodies of region operations."""

from graphc.array.control.cond import cond
from graphc.array.control.scan import map, scan
from graphc.array.control.while_loop import fori_loop, while_loop

__all__ = ["cond", "fori_loop", "map", "scan", "while_loop"]
