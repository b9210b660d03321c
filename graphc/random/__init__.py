"""Random numbers: functions of a key, and streams that need none."""

from graphc.random.continuous import cauchy, exponential, gumbel, laplace, logistic, normal, uniform
from graphc.random.discrete import bernoulli, categorical, choice, permutation, rademacher, randint
from graphc.random.keys import bits, fold_in, key, philox4x32, split
from graphc.random.streams import Stream

__all__ = [
    "Stream",
    "bernoulli",
    "bits",
    "categorical",
    "cauchy",
    "choice",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "laplace",
    "logistic",
    "normal",
    "permutation",
    "philox4x32",
    "rademacher",
    "randint",
    "split",
    "uniform",
]
