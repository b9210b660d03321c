"""The normal number at a place among all of its kind: what makes normal numbers of random bits.

With x = 2u - 1 for a place u in (0, 1), the number is x times a smooth function of w = -log(1 - x^2), which grows about
like sqrt(w) (M. Giles, Approximating the erfinv function, GPU Computing Gems 2011). x and 1 - x^2 = 4u(1 - u) are made
of the bits as integers, so that nothing cancels at either end: the last of 2^32 places are at 6.3 and -6.3.
"""

from __future__ import annotations

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.logarithm import split_normal
from graphc.lower.math.terms import DType, Term, apply_to, fma, polynomial, rarely, select

# log(1 + f) / f for sqrt(1/2) <= 1 + f <= sqrt(2): relative error 2^-25 and 2^-56.6.
_LOG = {
    FLOAT32: (
        1.0, -0.49999997, 0.33334193, -0.25001353, 0.19955933, -0.16577993, 0.14977401, -0.14269258, 0.08533313,
    ),
    FLOAT64: (
        1.0, -0.5000000000000004, 0.33333333333332743, -0.24999999999974418, 0.20000000000149037, -0.1666666667138451,
        0.14285714273397784, -0.12499999601468635, 0.11111111418906434, -0.10000018224285462, 0.09090917973087682,
        -0.08332850783237133, 0.0769159854322757, -0.07150262128235735, 0.06684296177196371, -0.061900598300090454,
        0.056666906356964954, -0.0570761221260552, 0.0652589937253437, -0.05924149977453325, 0.025489911800405583,
    ),
}  # fmt: skip

LIMIT = 6.25
"""Up to this w, |x| < 0.999, one polynomial in w serves; beyond, others in sqrt(w)."""

# The normal number divided by x, around w = 3.125: relative error 2^-26.0 and 2^-56.8.
_MIDDLE = {
    FLOAT32: (
        2.3386207, 0.33963495, -0.008532916, -0.0010475061, 0.00026411767, -1.9639212e-05, -1.9515783e-06,
        6.019781e-07, -3.6278646e-08, -6.516196e-09, 9.876416e-10,
    ),
    FLOAT64: (
        2.338620710026593, 0.3396349587011389, -0.008532899177267343, -0.001047511569485617, 0.00026408204954061674,
        -1.9632852863696442e-05, -1.931065027529881e-06, 5.988894861277318e-07, -4.111174160550445e-08,
        -5.8161801676714855e-09, 1.4866543569083624e-09, -7.65698113492015e-11, -1.8354802577559388e-11,
        3.7201267209535326e-12, -1.1415427137390895e-13, -5.659687073061811e-14, 9.222558296724625e-15,
        -5.57226748086415e-17, -1.7275519790527177e-16, 2.1935565352484576e-17, 8.591419094975e-19,
        -4.912241660340459e-19, 2.8273805909578654e-20, 4.51702010660485e-21, -5.081556263217504e-22,
    ),
}  # fmt: skip

# The same by s = sqrt(w): around s = 3.575 up to s = 4.65, relative error 2^-27.2.
_END = (
    4.8239617, 1.4252832, 0.0040260507, -0.0025067076, 0.0012336188, -0.00070492545, 0.00045491842, -0.00028900141,
    0.000110788744, 1.2400122e-05, -1.846326e-05,
)  # fmt: skip
# Around s = 3.25 up to s = 4, and from there on around s = 5.35 up to s = 6.7: relative errors 2^-55.4 and 2^-56.2.
_BEFORE_END = (
    4.36127285516533, 1.4216508658102656, 0.007595620204008106, -0.005305009947607792, 0.0035234312034188703,
    -0.0023875821596573117, 0.0013481547470721663, -0.000502099285717319, 3.398532959161743e-05, 9.657252393046758e-05,
    -6.691914910038016e-05, 1.762840845080047e-05, 4.137605900581969e-06, -5.637174612476464e-06, 2.119500361605534e-06,
    -3.8189733148301894e-08, -3.837399354148746e-07, 1.8532351617364632e-07, 9.855996524223803e-10,
    -2.135843669607052e-08,
)  # fmt: skip
_END_LONG = (
    7.358841033325367, 1.428548066577584, -0.0004471223562334546, -0.00018289832140701572, 6.870702786674139e-05,
    -1.736767631145785e-05, 3.8185151834473194e-06, -7.805092404825035e-07, 1.5364280480618666e-07,
    -3.082366830287128e-08, 7.305038614089661e-09, -2.496627856212056e-09, 1.1885233352805745e-09,
    -6.251196418285228e-10, 2.906266218548947e-10, -1.0748161807338549e-10, 4.014067811877247e-11,
    -1.6688316931903245e-11, 2.4702284325998664e-12, 1.6735947966321819e-12, -5.739638014793264e-13,
)  # fmt: skip

_LN_2 = 0.6931471805599453
_SIGNED: dict[int, tuple[DType, DType]] = {4: (np.dtype(np.int32), FLOAT32), 8: (np.dtype(np.int64), FLOAT64)}


def normal_quantile(bits: Term) -> Term:
    """Return the number below which the part (bits + 1/2) / 2^width of a standard normal distribution lies."""
    signed, dtype = _SIGNED[bits.dtype.itemsize]
    width = 8 * bits.dtype.itemsize
    half = 1 << width - 1
    offset = (bits ^ half).bitcast(signed)  # bits - 2^(width - 1)
    scale = 2.0 ** (1 - width)
    x = fma(offset.cast(dtype), scale, scale / 2)
    near_end = (offset ^ (offset >> width - 1)) ^ (half - 1)  # how far it is from the nearer end
    twice = fma(near_end.cast(dtype), scale, scale / 2)  # 2 min(u, 1 - u)
    f, k = split_normal(twice * (2.0 - twice))
    w = -fma(k, _LN_2, f * polynomial(f, _LOG[dtype]))
    middle = polynomial(w - LIMIT / 2, _MIDDLE[dtype])
    return x * rarely(w > LIMIT, _beyond(w), middle)


def _beyond(w: Term) -> Term:
    s = apply_to("sqrt", w)
    if w.dtype == FLOAT32:
        return polynomial(s - 3.575, _END)
    return select(s < 4.0, polynomial(s - 3.25, _BEFORE_END), polynomial(s - 5.35, _END_LONG))
