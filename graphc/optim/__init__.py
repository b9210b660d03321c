"""Optimisers and schedules of learning rates."""

from graphc.optim.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSProp,
    clip_by_global_norm,
    global_norm,
)
from graphc.optim.schedules import constant, cosine_decay, exponential_decay, linear, piecewise

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSProp",
    "clip_by_global_norm",
    "constant",
    "cosine_decay",
    "exponential_decay",
    "global_norm",
    "linear",
    "piecewise",
]
