"""Transformations of graphs and functions: derivatives, compilation, mapping over an axis."""

from graphc.transforms.along import apply_along_axis, apply_over_axes, vectorize
from graphc.transforms.checking import check_gradients
from graphc.transforms.checkpoint import checkpoint
from graphc.transforms.custom import custom_vjp
from graphc.transforms.derivatives import gradients, pullback, pushforward
from graphc.transforms.functions import grad, hvp, jvp, value_and_grad, vjp
from graphc.transforms.jacobians import hessian, jacfwd, jacrev, vmap
from graphc.transforms.tracing import jit

__all__ = [
    "apply_along_axis",
    "apply_over_axes",
    "check_gradients",
    "checkpoint",
    "custom_vjp",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "pullback",
    "pushforward",
    "value_and_grad",
    "vectorize",
    "vjp",
    "vmap",
]
