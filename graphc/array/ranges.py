"""Numbers in even steps and grids of positions: linear and geometric ranges, indices, windows of a filter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import (
    ArrayLike,
    as_device,
    as_node,
    count,
    promote_floats,
)
from graphc.array.elementwise import abs, add, astype, divide, floor, log10, multiply, pow, sign, subtract
from graphc.array.handle import wrap
from graphc.array.logic import equal, where
from graphc.array.shape import broadcast_arrays, expand_dims, moveaxis, shape_of, stack
from graphc.errors import ArgumentError, shown
from graphc.ir.dims import Dim
from graphc.ir.types import FLOAT64, INT64, as_dtype
from graphc.ops.elementwise import iota

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(v, bool | int | float | np.number) for v in values)


def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    /,
    num: int = 50,
    endpoint: bool = True,
    *,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    device: str | None = None,
) -> Any:
    """Return `num` evenly spaced numbers from start to stop, which `endpoint=False` leaves out.

    Arrays as ends broadcast; the numbers lie along the new `axis`. The dtype is floating-point unless one is given; to
    integers it is rounded down. With `retstep`, a pair: the numbers, and the step between them.

    >>> gx.linspace(0, 1, 5)
    <Tensor f64[5] = constant([0.0, 0.25, 0.5, 0.75, 1.0])>
    """
    as_device("linspace", device)
    number = count("linspace", "num", num)
    numbers, step = _spaced("linspace", start, stop, number, bool(endpoint), dtype)
    spaced = moveaxis(numbers, 0, axis)
    return (spaced, step) if retstep else spaced


def _spaced(name: str, start: Any, stop: Any, number: int, endpoint: bool, dtype: Any = None) -> tuple[Tensor, Tensor]:
    """Return numbers in even steps along a new first axis, and the step."""
    kind = None if dtype is None else as_dtype(dtype)
    steps = number - 1 if endpoint else number
    if _are_numbers(start, stop):
        for end in (start, stop):
            if not math.isfinite(end):
                raise ArgumentError(f"{name}: takes finite numbers, got {shown(end)}")
        known, step = np.linspace(start, stop, number, endpoint=endpoint, dtype=kind, retstep=True)
        return wrap(as_node(name, known)), wrap(as_node(name, step))
    first, last = broadcast_arrays(*[wrap(n) for n in promote_floats(name, (start, stop))])
    step = divide(subtract(last, first), float(steps) if steps else math.nan)
    shape = (number, *first.shape)
    place = wrap(iota(shape=shape, axis=0, dtype=INT64))
    spaced = add(multiply(place.astype(first.dtype), step), first) if steps else add(place, first)
    if endpoint and number > 1:
        spaced = where(equal(place, number - 1), last, spaced)
    if kind is not None and kind.kind != "f":
        spaced = floor(spaced)
    return (spaced if kind is None else astype(spaced, kind)), step


def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    /,
    num: int = 50,
    endpoint: bool = True,
    base: ArrayLike = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """Return base**x for `num` evenly spaced x from start to stop; see `linspace`.

    >>> gx.logspace(0, 2, 3).shape
    (3,)
    """
    number = count("logspace", "num", num)
    if not _are_numbers(base):
        ends = promote_floats("logspace", (start, stop, base))
        start, stop, base = broadcast_arrays(*[wrap(n) for n in ends])
    powers = pow(base, _spaced("logspace", start, stop, number, bool(endpoint))[0])
    return moveaxis(powers if dtype is None else astype(powers, dtype), 0, axis)


def geomspace(
    start: ArrayLike, stop: ArrayLike, /, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """Return `num` numbers from start to stop of which each is the one before times one factor.

    Both ends have one sign and are not 0, else the numbers are NaN or infinite. As in NumPy, the dtype is float64
    unless one is given.

    >>> gx.geomspace(1, 1000, 4).shape
    (4,)
    """
    number = count("geomspace", "num", num)
    if _are_numbers(start, stop) and (start == 0 or stop == 0 or (start < 0) != (stop < 0)):  # type: ignore[operator]
        raise ArgumentError(f"geomspace: start and stop must have one sign and not be 0, got {start} and {stop}")
    ends = [wrap(as_node("geomspace", v, FLOAT64)) for v in (start, stop)]
    first, last = broadcast_arrays(*ends)
    powers, _ = _spaced("geomspace", log10(abs(first)), log10(abs(last)), number, bool(endpoint))
    spaced = multiply(sign(first), pow(10.0, powers))
    place = wrap(iota(shape=spaced.shape, axis=0, dtype=INT64))
    spaced = where(equal(place, 0), first, spaced)
    if endpoint and number > 1:
        spaced = where(equal(place, number - 1), last, spaced)
    return moveaxis(spaced if dtype is None else astype(spaced, dtype), 0, axis)


def indices(dimensions: Sequence[int | Dim], dtype: Any = "int64", sparse: bool = False) -> Any:
    """Return, for each axis of an array of this shape, the position along it, stacked on a new first axis.

    With `sparse`, a tuple of arrays that have size 1 along all axes but their own.

    >>> gx.indices((2, 3)).shape
    (2, 2, 3)
    """
    shape, kind = shape_of("indices", dimensions), as_dtype(dtype)
    if sparse:
        places = [wrap(iota(shape=(s,), axis=0, dtype=kind)) for s in shape]
        rest = [[j for j in range(len(shape)) if j != k] for k in range(len(shape))]
        return tuple(expand_dims(p, tuple(r)) for p, r in zip(places, rest, strict=True))
    if not shape:
        return wrap(as_node("indices", np.zeros((0,), kind)))
    return stack([wrap(iota(shape=shape, axis=k, dtype=kind)) for k in range(len(shape))])


def fromfunction(
    function: Callable[..., Any], shape: Sequence[int | Dim], *, dtype: Any = "float64", **kwargs: Any
) -> Any:
    """Return function(i, j, ...) of the positions along each axis of an array of this shape.

    >>> gx.fromfunction(lambda i, j: i + j, (2, 3)).shape
    (2, 3)
    """
    if not callable(function):
        raise ArgumentError(f"fromfunction: takes a function of the positions, got {shown(function)}")
    sizes, kind = shape_of("fromfunction", shape), as_dtype(dtype)
    return function(*[wrap(iota(shape=sizes, axis=k, dtype=kind)) for k in range(len(sizes))], **kwargs)


# Windows of a known length, as constants.


def _window(name: str, make: Callable[..., Any], length: Any, *options: float) -> Tensor:
    return wrap(as_node(name, make(count(name, "the length", length), *options)))


def bartlett(length: int, /) -> Tensor:
    """Return the triangular window that is 0 at its ends, as float64.

    >>> gx.bartlett(3)
    <Tensor f64[3] = constant([0.0, 1.0, 0.0])>
    """
    return _window("bartlett", np.bartlett, length)


def blackman(length: int, /) -> Tensor:
    """Return the Blackman window, a sum of three cosines, as float64.

    >>> gx.blackman(51).shape
    (51,)
    """
    return _window("blackman", np.blackman, length)


def hamming(length: int, /) -> Tensor:
    """Return the Hamming window, a raised cosine that does not reach 0, as float64.

    >>> gx.hamming(51).shape
    (51,)
    """
    return _window("hamming", np.hamming, length)


def hanning(length: int, /) -> Tensor:
    """Return the Hann window, a raised cosine, as float64.

    >>> gx.hanning(51).shape
    (51,)
    """
    return _window("hanning", np.hanning, length)


def kaiser(length: int, beta: float, /) -> Tensor:
    """Return the Kaiser window of a known shape parameter, as float64.

    >>> gx.kaiser(51, 14.0).shape
    (51,)
    """
    if not _are_numbers(beta) or not math.isfinite(beta):
        raise ArgumentError(f"kaiser: beta must be a known finite number, got {shown(beta)}")
    return _window("kaiser", np.kaiser, length, float(beta))
