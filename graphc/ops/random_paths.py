"""Random numbers as functions of their parameters: the number that is given, and how it moves with a parameter."""

from __future__ import annotations

import numpy as np

from graphc.ir.graph import NOT_DIFFERENTIABLE, Elementwise
from graphc.ops.elementwise import FLOATS, elementwise, same

gamma_path: Elementwise = elementwise(
    "gamma_path",
    same(FLOATS),
    lambda a, x: np.broadcast_arrays(a, x)[1].copy(),
    NOT_DIFFERENTIABLE,
    doc="x, which is a number of the gamma distribution of the parameter a.",
)
log_gamma_path: Elementwise = elementwise(
    "log_gamma_path",
    same(FLOATS),
    lambda a, x: np.broadcast_arrays(a, x)[1].copy(),
    NOT_DIFFERENTIABLE,
    doc="x, which is the logarithm of a number of the gamma distribution of the parameter a.",
)

__all__ = ["gamma_path", "log_gamma_path"]
