"""Initial values of parameters, as NumPy arrays, and the seed that makes them repeatable.

Every function takes a shape and `seed`: an int (or several, such as a key), a NumPy Generator, or None for the one of
this module, which `gx.nn.seed` starts. For a weight [outputs, inputs, ...] fan_in is the product of all sizes but the
first, fan_out that of all but the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.array.convert import count, number
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir.types import as_dtype
from graphc.random.streams import Stream
from graphc.runtime.state import require_memory

Array = np.ndarray[Any, Any]
Seed: TypeAlias = "int | Sequence[int] | np.random.Generator | None"
"""What says where random numbers come from."""


class _Shared:
    """The generator of all that is not given a seed, made when it is first needed: importing NumPy's takes long. And
    the stream of layers that are given none."""

    generator: np.random.Generator | None = None
    stream: Stream | None = None


def seed(value: int | Sequence[int]) -> None:
    """Begin anew with what is not given a seed of its own: first values of parameters, and `gx.nn.stream`.

    >>> gx.nn.seed(0)
    >>> first = gx.nn.Linear(2, 3).weight.value
    >>> gx.nn.seed(0)
    >>> bool((gx.nn.Linear(2, 3).weight.value == first).all())
    True
    """
    _Shared.generator = generator(value)
    _Shared.stream = Stream(int(generator(value).integers(2**63)), name="stream")


def stream() -> Stream:
    """Return the stream of random numbers that layers such as Dropout draw from unless they are given another one.

    `gx.nn.seed` replaces it; layers that are called before keep the one they had. Its state goes with that of a model:
    gx.nn.save({"model": model, "random": gx.nn.stream().state}, path).

    >>> gx.nn.stream() is gx.nn.stream()
    True
    """
    if _Shared.stream is None:
        _Shared.stream = Stream(int(np.random.default_rng().integers(2**63)), name="stream")
    return _Shared.stream


def generator(value: Seed) -> np.random.Generator:
    """Return the generator that a seed means; None is the one that `seed` starts."""
    if value is None:
        if _Shared.generator is None:
            _Shared.generator = np.random.default_rng()
        return _Shared.generator
    if isinstance(value, np.random.Generator):
        return value
    if not isinstance(value, int | np.integer | list | tuple):
        raise ArgumentError(f"seed: takes ints that are not negative, or a Generator, got {shown(value)}")
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"seed: takes ints that are not negative, or a Generator, got {shown(value)}: {error}"
        ) from None


def zeros(shape: Any, dtype: Any = "float32") -> Array:
    """Return zeros.

    >>> gx.nn.init.zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return constant(shape, 0.0, dtype)


def ones(shape: Any, dtype: Any = "float32") -> Array:
    """Return ones.

    >>> gx.nn.init.ones((2,))
    array([1., 1.], dtype=float32)
    """
    return constant(shape, 1.0, dtype)


def constant(shape: Any, value: float, dtype: Any = "float32") -> Array:
    """Return `value` everywhere.

    >>> gx.nn.init.constant((2,), 0.5)
    array([0.5, 0.5], dtype=float32)
    """
    return np.full(_shape("constant", shape), number("constant", "value", value), _floating("constant", dtype))


def normal(shape: Any, mean: float = 0.0, std: float = 1.0, dtype: Any = "float32", seed: Seed = None) -> Array:
    """Return independent normal numbers.

    >>> gx.nn.init.normal((2, 3), std=0.02, seed=0).shape
    (2, 3)
    """
    wanted = _floating("normal", dtype)
    return np.asarray(generator(seed).normal(mean, std, _shape("normal", shape)), wanted)


def truncated_normal(
    shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    dtype: Any = "float32",
    seed: Seed = None,
) -> Array:
    """Return mean + std * z for normal numbers z drawn again until they lie between low and high.

    >>> float(abs(gx.nn.init.truncated_normal((1000,), seed=0)).max()) <= 2
    True
    """
    if not low < high or low > 4 or high < -4:
        raise ArgumentError(f"truncated_normal: low must be below high, and one of them near 0, got {low} and {high}")
    rng, wanted = generator(seed), _floating("truncated_normal", dtype)
    values = rng.normal(size=_shape("truncated_normal", shape))
    outside = (values < low) | (values > high)
    while outside.any():
        values[outside] = rng.normal(size=int(outside.sum()))
        outside = (values < low) | (values > high)
    return np.asarray(mean + std * values, wanted)


def uniform(shape: Any, low: float = 0.0, high: float = 1.0, dtype: Any = "float32", seed: Seed = None) -> Array:
    """Return numbers of equal probability between low and high.

    >>> gx.nn.init.uniform((2, 3), -0.1, 0.1, seed=0).shape
    (2, 3)
    """
    wanted = _floating("uniform", dtype)
    if not np.isfinite(low) or not np.isfinite(high):
        raise ArgumentError(f"uniform: low and high must be finite, got {low!r} and {high!r}")
    return np.asarray(generator(seed).uniform(low, high, _shape("uniform", shape)), wanted)


def xavier_uniform(shape: Any, gain: float = 1.0, dtype: Any = "float32", seed: Seed = None) -> Array:
    """Return uniform numbers of the variance gain**2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010).

    >>> gx.nn.init.xavier_uniform((64, 32), seed=0).shape
    (64, 32)
    """
    fan_in, fan_out = fans("xavier_uniform", shape)
    bound = gain * math.sqrt(6.0 / max(fan_in + fan_out, 1))
    return uniform(shape, -bound, bound, dtype, seed)


def xavier_normal(shape: Any, gain: float = 1.0, dtype: Any = "float32", seed: Seed = None) -> Array:
    """Return normal numbers of the variance gain**2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010).

    >>> gx.nn.init.xavier_normal((64, 32), seed=0).shape
    (64, 32)
    """
    fan_in, fan_out = fans("xavier_normal", shape)
    return normal(shape, 0.0, gain * math.sqrt(2.0 / max(fan_in + fan_out, 1)), dtype, seed)


def kaiming_uniform(
    shape: Any, gain: float = math.sqrt(2.0), mode: str = "fan_in", dtype: Any = "float32", seed: Seed = None
) -> Array:
    """Return uniform numbers of the variance gain**2 / fan (He et al., arXiv:1502.01852).

    The gain of sqrt(2) is for relu; of tanh it is 5/3, without an activation 1.

    >>> gx.nn.init.kaiming_uniform((64, 32), seed=0).shape
    (64, 32)
    """
    bound = math.sqrt(3.0) * gain / math.sqrt(_fan("kaiming_uniform", shape, mode))
    return uniform(shape, -bound, bound, dtype, seed)


def kaiming_normal(
    shape: Any, gain: float = math.sqrt(2.0), mode: str = "fan_in", dtype: Any = "float32", seed: Seed = None
) -> Array:
    """Return normal numbers of the variance gain**2 / fan; see kaiming_uniform.

    >>> gx.nn.init.kaiming_normal((64, 32), seed=0).shape
    (64, 32)
    """
    return normal(shape, 0.0, gain / math.sqrt(_fan("kaiming_normal", shape, mode)), dtype, seed)


def orthogonal(shape: Any, gain: float = 1.0, dtype: Any = "float32", seed: Seed = None) -> Array:
    """Return a random matrix whose rows (columns, if these are fewer) are orthogonal and of length gain.

    Axes after the first count as one (Saxe et al., arXiv:1312.6120). All such matrices are equally likely (Mezzadri,
    arXiv:math-ph/0609050).

    >>> w = gx.nn.init.orthogonal((2, 3), dtype="float64", seed=0)
    >>> (w @ w.T).round(12) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    sizes, wanted = _shape("orthogonal", shape), _floating("orthogonal", dtype)
    if len(sizes) < 2:
        raise ShapeError(f"orthogonal: takes a shape of rank 2 or more, got {sizes}")
    rows, columns = sizes[0], math.prod(sizes[1:])
    square = generator(seed).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(square)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(gain * (q if rows >= columns else q.T).reshape(sizes), wanted)


glorot_uniform, glorot_normal = xavier_uniform, xavier_normal
he_uniform, he_normal = kaiming_uniform, kaiming_normal


def fans(name: str, shape: Any) -> tuple[int, int]:
    """Return how many inputs an output of a weight has, and how many outputs an input."""
    sizes = _shape(name, shape)
    if len(sizes) < 2:
        raise ShapeError(f"{name}: takes a shape of rank 2 or more, [outputs, inputs, ...], got {sizes}")
    area = math.prod(sizes[2:])
    return sizes[1] * area, sizes[0] * area


def _fan(name: str, shape: Any, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return max(fans(name, shape)[mode == "fan_out"], 1)


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, list | tuple) else (shape,)
    known = tuple(count(name, "a size", s) for s in sizes)
    require_memory(name, 8 * math.prod(known))
    return known


def _floating(name: str, dtype: Any) -> np.dtype[Any]:
    found = as_dtype(dtype)
    if found.kind != "f":
        raise DTypeError(f"{name}: dtype must be floating-point, got {found.name}")
    return found
