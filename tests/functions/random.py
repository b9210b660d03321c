"""Cases of graphc/random/: what a key gives, against quantiles of SciPy at the places that its bits stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from graphc.ops.random import philox, random_bits
from tests.functions.cases import Case, f32, f64, given, i64

Array = Any

KEY = np.array([7, 1], np.uint32)
U32, U64 = np.dtype(np.uint32), np.dtype(np.uint64)


def bits(key: Array, shape: Any, dtype: Any = "uint32") -> Array:
    wanted = np.dtype(dtype)
    found = random_bits.reference(key, shape=np.empty(shape).shape, dtype=U64 if wanted == U64 else U32)
    return found.astype(wanted)


def wide(dtype: Any) -> np.dtype:
    return U64 if np.dtype(dtype) == np.float64 else U32


def requested(shape: Any, dtype: Any, *parameters: Array) -> tuple[Any, np.dtype]:
    """Return the shape and dtype that numbers with these parameters have."""
    arrays = [p for p in parameters if isinstance(p, np.ndarray)]
    floats = [p.dtype if p.dtype.kind == "f" else np.dtype(np.float64) for p in arrays]
    wanted = np.dtype(dtype) if dtype else np.result_type(*floats) if floats else np.dtype(np.float32)
    return np.broadcast_shapes(*[p.shape for p in arrays]) if shape is None else shape, wanted


def unit(key: Array, shape: Any, dtype: Any) -> Array:
    digits = 53 if wide(dtype) == U64 else 24
    found = bits(key, shape, wide(dtype)) >> (8 * wide(dtype).itemsize - digits)
    return np.asarray(found * 2.0**-digits, dtype)


def uniform(key: Array, shape: Any = None, dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0) -> Array:
    sizes, wanted = requested(shape, dtype, minval, maxval)
    low, high = (np.asarray(p, wanted) for p in (minval, maxval))
    return np.asarray(low + unit(key, sizes, wanted) * (high - low), wanted)


def of(distribution: Any) -> Callable[..., Array]:
    """Return the function that gives the quantiles of a distribution with a place and a scale."""

    def reference(key: Array, shape: Any = None, dtype: Any = None, loc: Any = 0.0, scale: Any = 1.0) -> Array:
        sizes, wanted = requested(shape, dtype, loc, scale)
        found = bits(key, sizes, wide(wanted))
        width = 8 * found.itemsize
        above = found >= 1 << (width - 1)
        end = (np.where(above, ~found, found) + 0.5) * 2.0**-width
        quantiles = np.where(above, distribution.isf(end), distribution.ppf(end))
        return np.asarray(np.asarray(loc) + np.asarray(scale) * quantiles, wanted)

    return reference


def depth(key: Array, shape: Any, dtype: Any) -> Array:
    """Return exponential numbers in float64, made of as many bits as those of `dtype`: small bits are large numbers."""
    found = bits(key, shape, wide(dtype))
    return -np.log((found + 0.5) * 2.0 ** -(8 * found.itemsize))


def exponential(key: Array, shape: Any = None, dtype: Any = None, scale: Any = 1.0) -> Array:
    sizes, wanted = requested(shape, dtype, scale)
    return np.asarray(np.asarray(scale) * depth(key, sizes, wanted), wanted)


def gumbel(key: Array, shape: Any = None, dtype: Any = None, loc: Any = 0.0, scale: Any = 1.0) -> Array:
    sizes, wanted = requested(shape, dtype, loc, scale)
    return np.asarray(np.asarray(loc) - np.asarray(scale) * np.log(depth(key, sizes, wanted)), wanted)


def bernoulli(key: Array, p: Any = 0.5, shape: Any = None) -> Array:
    sizes, wanted = requested(shape, None, p)
    return unit(key, sizes, wanted) < p


def rademacher(key: Array, shape: Any = (), dtype: Any = "int64") -> Array:
    return np.asarray(1 - 2 * (bits(key, shape) >> 31).astype(np.int64), dtype)


def randint(key: Array, shape: Any, minval: Any, maxval: Any, dtype: Any = "int64") -> Array:
    sizes = np.broadcast_shapes(np.shape(minval), np.shape(maxval)) if shape is None else shape
    span = np.maximum(np.asarray(np.asarray(maxval, object) - np.asarray(minval, object), object), 1)
    if (np.all(span <= 2**32) and np.ndim(minval) + np.ndim(maxval) == 0) or np.dtype(dtype).itemsize <= 4:
        place = bits(key, sizes, U64).astype(object)
        return np.asarray(minval + (place * span >> 64), dtype)
    low = bits(np.array(philox((0, 0, 0, 1), key)[:2]), sizes, U64).astype(object)
    place = (bits(key, sizes, U64).astype(object) << 64) | low
    return np.asarray(minval + (place * span >> 128), dtype)


def categorical(key: Array, logits: Array, axis: int = -1, shape: Any = None) -> Array:
    last = np.moveaxis(np.asarray(logits), axis, -1)
    sizes = last.shape[:-1] if shape is None else shape
    return np.argmax(last + gumbel(key, (*sizes, last.shape[-1]), last.dtype), -1)


def order(key: Array, shape: Any, axis: int = 0) -> Array:
    return np.argsort(bits(key, shape, U64), axis, kind="stable")


def permutation(key: Array, x: Any, axis: int = 0, independent: bool = False) -> Array:
    if isinstance(x, int):
        return order(key, x)
    if independent:
        return np.take_along_axis(x, order(key, x.shape, axis), axis)
    return np.take(x, order(key, x.shape[axis]), axis)


def choice(key: Array, a: Any, shape: Any = (), replace: bool = True, p: Array | None = None, axis: int = 0) -> Array:
    total = a if isinstance(a, int) else a.shape[axis]
    count = int(np.prod(shape, dtype=int))
    if p is None:
        found = randint(key, shape, 0, total) if replace else order(key, total)[:count].reshape(shape)
    elif replace:
        sums = np.cumsum(p)
        found = np.searchsorted(sums, unit(key, shape, p.dtype) * sums[-1], "right")
    else:
        found = np.argsort(exponential(key, total, p.dtype) / p)[:count].reshape(shape)
    return found if isinstance(a, int) else np.take(a, found, axis)


def case(name: str, *args: Any, **named: Any) -> Case:
    """Return a use of a function that is not NumPy's of that name."""
    return Case(f"random.{name}", *args, protocol=False, **named)


def of_shape(key: Array, *parameters: Any, shape: Any = None, dtype: Any = None) -> Array:
    """Return any numbers of the shape and dtype that there must be."""
    sizes, wanted = requested(shape, dtype, *parameters)
    return np.empty(sizes, wanted)


LOCATED = {
    "normal": of(scipy.stats.norm), "laplace": of(scipy.stats.laplace), "logistic": of(scipy.stats.logistic),
    "cauchy": of(scipy.stats.cauchy), "gumbel": gumbel,
}  # fmt: skip

FIXED: dict[str, Any] = {"tolerance": 64, "resize": False, "derivative": False}
REJECTED: dict[str, Any] = {
    "values": False, "reference": of_shape, "resize": False, "derivative": False, "batched": False,
}  # fmt: skip
"""Of these the numbers are tested in tests/random."""

CASES = [
    case("key", i64((), -9, 9), reference=lambda seed: np.array([seed], np.uint64).view(np.uint32)),
    case("split", KEY, 3, reference=lambda key, n: np.stack(philox((np.arange(n), 0, 0, 1), key)[:2], -1)),
    case("fold_in", KEY, i64((), 0, 99), reference=lambda key, k: np.stack(philox((k, 0, 0, 2), key)[:2], -1)),
    case("philox4x32", np.arange(12, dtype=np.uint32).reshape(3, 4), KEY,
         reference=lambda counter, key: np.stack(philox(counter.T, key), -1)),
    case("bits", KEY, (3, 5), reference=bits),
    case("bits", KEY, 7, "uint64", reference=bits),
    case("bits", KEY, (), "uint8", reference=bits),
    case("uniform", KEY, (5,), reference=uniform),
    case("uniform", KEY, minval=f64((3,), -3, 0), maxval=f64((2, 3), 0, 3), reference=uniform),
    case("uniform", KEY, (2, 3), minval=f32((3,), -3, 0), reference=uniform, resize=False),
    *[
        each
        for name, reference in LOCATED.items()
        for each in (
            case(name, KEY, (3, 70), reference=reference, tolerance=64),
            case(name, KEY, loc=f64((5,)), scale=f64((), 0.5, 2), reference=reference, tolerance=64),
            case(name, KEY, (2, 5), "float32", scale=f32((5,), 0.5, 2), reference=reference, **FIXED),
        )
    ],
    case("exponential", KEY, (3, 70), "float64", reference=exponential),
    case("exponential", KEY, scale=f32((9,), 0.5, 2), reference=exponential),
    case("bernoulli", KEY, f64((4, 3), 0, 1), reference=bernoulli, batched=False),
    case("bernoulli", KEY, 0.3, (40,), reference=bernoulli),
    case("rademacher", KEY, (5,), reference=rademacher),
    case("rademacher", KEY, (5,), "float32", reference=rademacher),
    case("randint", KEY, (9,), -3, 8, reference=randint),
    case("randint", KEY, (9,), 0, 256, "uint8", reference=randint),
    case("randint", KEY, (9,), -(2**62), 2**62, reference=randint, tolerance=0),
    case("randint", KEY, None, i64((3,), -9, 0), i64((2, 3), 1, 9), reference=randint),
    case("randint", KEY, None, i64((3,), -9, 9), 4, "int32", reference=randint),
    case("categorical", KEY, f64((3, 5)), reference=categorical),
    case("categorical", KEY, f32((4, 5)), 0, (2, 5), reference=categorical, resize=False),
    case("permutation", KEY, 9, reference=permutation),
    case("permutation", KEY, f64((4, 3)), reference=permutation),
    case("permutation", KEY, f64((4, 3)), 1, True, reference=permutation),
    case("choice", KEY, 5, (3, 4), reference=choice),
    case("choice", KEY, f64((4, 3)), (2,), axis=1, reference=choice),
    case("choice", KEY, f64((7,)), 3, False, reference=choice),
    case("choice", KEY, 4, (9,), p=given([0.1, 0.0, 0.4, 0.5]), reference=choice),
    case("choice", KEY, 4, (2,), False, given([0.1, 0.2, 0.3, 0.4]), reference=choice),
    *[case(name, KEY, f64((3,), 1, 5), **REJECTED) for name in ("gamma", "loggamma", "chisquare", "student_t")],
    case("gamma", KEY, f32((3,), 1, 5), shape=(2, 3), **REJECTED),
    case("beta", KEY, f64((3,), 1, 5), f64((2, 3), 1, 5), **REJECTED),
    case("dirichlet", KEY, f64((2, 3), 1, 5), **REJECTED),
    case("truncated_normal", KEY, f64((3,), -3, 0), f64((2, 3), 0, 3), **REJECTED),
    case("poisson", KEY, f64((3,), 1, 50), **{**REJECTED, "reference": lambda key, lam: np.empty(lam.shape, int)}),
]  # fmt: skip
