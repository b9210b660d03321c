"""Random numbers from counters: Philox 4x32-10 of a counter of four words and a key of two, all uint32.

Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011). A block is a keyed permutation of
the counter, so every number is computed on its own, in any order and on any thread.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import DTypeError, InternalError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.graph import ZERO_DERIVATIVE, Elementwise, Random
from graphc.ir.types import FLOAT32, FLOAT64, TensorType
from graphc.ops.elementwise import elementwise

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""What the first and the third word of a counter are multiplied by in each round."""
WEYL = (0x9E3779B9, 0xBB67AE85)
"""What is added to the words of a key after each round."""
WORDS = 4
UINT32, UINT64 = np.dtype(np.uint32), np.dtype(np.uint64)
QUANTILE_DTYPES = {UINT32: FLOAT32, UINT64: FLOAT64}


def philox(counter: Any, key: Any) -> tuple[Any, Any, Any, Any]:
    """Return the four words of the block of each counter (four arrays) under a key (two arrays)."""
    a, b, c, d = (np.asarray(w, np.uint64) for w in counter)
    k0, k1 = (np.asarray(w, np.uint64) for w in key)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    first, second = (np.uint64(m) for m in MULTIPLIERS)
    for _ in range(ROUNDS):
        x, y = a * first, c * second
        a, b, c, d = (y >> half) ^ b ^ k0, y & low, (x >> half) ^ d ^ k1, x & low
        k0, k1 = (k0 + np.uint64(WEYL[0])) & low, (k1 + np.uint64(WEYL[1])) & low
    return tuple(np.asarray(w, np.uint32) for w in (a, b, c, d))  # type: ignore[return-value]


def _all_words(name: str, types: tuple[TensorType, ...]) -> np.dtype[Any]:
    if any(t.dtype != UINT32 for t in types):
        raise DTypeError(f"{name}: takes words of uint32, got {' and '.join(str(t) for t in types)}")
    return UINT32


def _word(k: int) -> Elementwise:
    return elementwise(
        f"philox{k}",
        _all_words,
        lambda *words: philox(np.broadcast_arrays(*words[:WORDS]), words[WORDS:])[k],
        ZERO_DERIVATIVE,
        doc=f"Word {k} of the Philox block of a counter of four words under a key of two.",
    )


philox_words: tuple[Elementwise, ...] = tuple(_word(k) for k in range(WORDS))
"""Each word of a block, in terms of the four words of the counter and the two of the key."""


# Normal numbers. The reference is algorithm AS 241 (Wichura, Applied Statistics 37, 1988), correct to about 1e-16.

_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
     3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_NEAR = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
     1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def _ratio(x: Any, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    above, below = (np.polynomial.polynomial.polyval(x, c) for c in coefficients)
    return above / below


def _reference_quantile(bits: Any) -> Any:
    width = 8 * bits.dtype.itemsize
    signed = np.dtype(f"int{width}")
    offset = (bits ^ bits.dtype.type(1 << width - 1)).view(signed)
    from_half = (offset.astype(np.float64) + 0.5) * 2.0**-width
    to_end = ((offset ^ (offset >> width - 1)) ^ np.iinfo(signed).max).astype(np.float64)
    s = np.sqrt(-np.log((to_end + 0.5) * 2.0**-width))
    tail = np.copysign(np.where(s <= 5.0, _ratio(s - 1.6, _NEAR), _ratio(s - 5.0, _FAR)), from_half)
    found = np.where(np.abs(from_half) <= 0.425, from_half * _ratio(0.180625 - from_half * from_half, _CENTRE), tail)
    return np.asarray(found, QUANTILE_DTYPES[bits.dtype])


def _quantile_dtype(name: str, types: tuple[TensorType, ...]) -> np.dtype[Any]:
    if types[0].dtype not in QUANTILE_DTYPES:
        raise DTypeError(f"{name}: takes bits as uint32 or uint64, got {types[0]}")
    return QUANTILE_DTYPES[types[0].dtype]


normal_quantile: Elementwise = elementwise(
    "normal_quantile",
    _quantile_dtype,
    _reference_quantile,
    ZERO_DERIVATIVE,
    doc="The number below which a standard normal distribution has the part (x + 1/2) / 2^width, for integers x of so"
    " many bits: float32 of 32, float64 of 64.",
)


# Bits.


def _infer_bits(key: TensorType, *, shape: tuple[Size, ...], dtype: np.dtype[Any]) -> TensorType:
    if key.dtype != UINT32:
        raise DTypeError(f"random_bits: a key is two words of uint32, got {key}")
    if not key.ndim or key.shape[-1] != 2:
        raise ShapeError(f"random_bits: the last axis of keys has the two words of each, got {key}")
    if dtype not in (UINT32, UINT64):
        raise InternalError(f"random_bits: makes uint32 and uint64, not {dtype}")
    return TensorType(dtype, (*key.shape[:-1], *shape))


def _reference_bits(key: Any, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    count = math.prod(shape)
    number = np.arange(-(-count // elements_of_block(dtype)), dtype=np.uint64)
    counter = (number & np.uint64(0xFFFFFFFF), number >> np.uint64(32), number * 0, number * 0)
    words = np.stack(philox(counter, (key[..., 0, None], key[..., 1, None])), axis=-1)
    flat = words.reshape(*key.shape[:-1], WORDS * len(number))
    if dtype == UINT64:
        flat = flat[..., ::2] | flat[..., 1::2].astype(np.uint64) << np.uint64(32)
    return np.ascontiguousarray(flat[..., :count]).reshape((*key.shape[:-1], *shape))


def elements_of_block(dtype: np.dtype[Any]) -> int:
    """Return how many elements one block makes."""
    return WORDS * UINT32.itemsize // dtype.itemsize


random_bits: Random = Random(
    "random_bits",
    infer=_infer_bits,
    reference=_reference_bits,
    vjp=ZERO_DERIVATIVE,
    doc="For each key, the words of the blocks of the counters 0, 1, 2, ..., as elements in row-major order of `shape`;"
    " two words, the lower first, are one of uint64.",
)

__all__ = [
    "MULTIPLIERS",
    "ROUNDS",
    "WEYL",
    "elements_of_block",
    "normal_quantile",
    "philox",
    "philox_words",
    "random_bits",
]
