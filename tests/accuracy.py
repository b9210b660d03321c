"""How far a float is from a real number."""

from __future__ import annotations

import mpmath as mp
import numpy as np


def error_in_ulps(result, exact, dtype):
    """Return |result - exact| in units of the last place of exact; an infinity counts as the next power of two."""
    info = np.finfo(dtype)
    exponent = mp.frexp(exact)[1] - 1 if exact else info.minexp
    unit = mp.ldexp(1, int(min(max(exponent, info.minexp), info.maxexp - 1)) - info.nmant)
    limit = mp.ldexp(1, int(info.maxexp))
    value = mp.mpf(float(result)) if np.isfinite(result) else mp.sign(float(result)) * limit
    exact = min(max(exact, -limit), limit)
    return float(abs(value - exact) / unit)
