"""Every operation, one definition each with all its facts."""

from graphc.ops import (
    control,
    conv,
    cumulative,
    dot,
    elementwise,
    index,
    ordering,
    pool,
    random,
    random_paths,
    reduce,
    shape,
    special,
    state,
)

__all__ = [
    "control", "conv", "cumulative", "dot", "elementwise", "index", "ordering", "pool", "random", "random_paths",
    "reduce", "shape", "special", "state",
]  # fmt: skip
