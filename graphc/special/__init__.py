"""Special functions, with the names and meanings of scipy.special; derivatives in both modes and of every order."""

from graphc.array.elementwise import erf, erfc, erfcx, sigmoid
from graphc.array.reduce import logsumexp
from graphc.special.gamma import (
    beta,
    betaln,
    comb,
    digamma,
    factorial,
    gamma,
    gammaln,
    gammasgn,
    lgamma,
    polygamma,
    trigamma,
)
from graphc.special.incomplete import gammainc, gammainc_der_a, gammaincc, random_gamma_grad
from graphc.special.information import entr, kl_div, rel_entr, xlog1py, xlogy
from graphc.special.logistic import log_expit, logit, sinc
from graphc.special.normal import erfcinv, erfinv, log_ndtr, ndtr, ndtri
from graphc.special.rows import log_softmax, softmax

expit = sigmoid
psi = digamma

__all__ = [
    "beta",
    "betaln",
    "comb",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "expit",
    "factorial",
    "gamma",
    "gammainc",
    "gammainc_der_a",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "kl_div",
    "lgamma",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "random_gamma_grad",
    "rel_entr",
    "sinc",
    "softmax",
    "trigamma",
    "xlog1py",
    "xlogy",
]  # fmt: skip
