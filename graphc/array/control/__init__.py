"""Control flow on Tensors: Python functions traced into the bodies of region operations."""

from graphc.array.control.conds import cond
from graphc.array.control.scans import map, scan
from graphc.array.control.whiles import fori_loop, while_loop

__all__ = ["cond", "fori_loop", "map", "scan", "while_loop"]
