"""Random numbers: functions of a key, and streams that need none."""

from graphc.random.continuous import cauchy, exponential, gumbel, laplace, logistic, normal, uniform
from graphc.random.counts import poisson
from graphc.random.discrete import bernoulli, categorical, choice, permutation, rademacher, randint
from graphc.random.gammas import beta, chisquare, dirichlet, gamma, loggamma, student_t
from graphc.random.keys import bits, fold_in, key, philox4x32, split
from graphc.random.streams import Stream
from graphc.random.truncated import truncated_normal

__all__ = [
    "Stream",
    "bernoulli",
    "beta",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "laplace",
    "loggamma",
    "logistic",
    "normal",
    "permutation",
    "philox4x32",
    "poisson",
    "rademacher",
    "randint",
    "split",
    "student_t",
    "truncated_normal",
    "uniform",
]
