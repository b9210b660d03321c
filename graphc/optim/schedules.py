"""Learning rates that change with the steps: functions from the number of steps taken (a Tensor) to a rate.

optimizer = gx.optim.Adam(gx.optim.cosine_decay(1e-3, steps=10_000, warmup=500))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from graphc.array.convert import asarray
from graphc.array.elementwise import clip, cos, floor, minimum
from graphc.array.logic import greater_equal, where
from graphc.errors import ArgumentError, shown
from graphc.tensor import Tensor

Schedule = Callable[[Any], Tensor]


def _fraction(step: Any, steps: int) -> Tensor:
    """Return how much of `steps` has been done, from 0 to 1."""
    return clip(asarray(step).astype("float64") / steps, 0.0, 1.0)


def _checked(name: str, **numbers: float) -> None:
    for what, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
            raise ArgumentError(f"{name}: {what} must be a number of at least 0, got {shown(number)}")


def _warmed(rate: Tensor, step: Any, warmup: int) -> Tensor:
    """Rise linearly to the rate during the first steps."""
    return rate * minimum((asarray(step).astype("float64") + 1.0) / warmup, 1.0) if warmup else rate


def constant(rate: float, warmup: int = 0) -> Schedule:
    """Return the schedule that always gives `rate`, after `warmup` steps of rising to it.

    >>> float(gx.jit(gx.optim.constant(0.1))(7))
    0.1
    """
    _checked("constant", rate=rate, warmup=warmup)
    return lambda step: _warmed(asarray(float(rate)), step, warmup)


def linear(start: float, end: float, steps: int, warmup: int = 0) -> Schedule:
    """Return the schedule that goes from `start` to `end` in `steps` steps, in equal parts, and stays there.

    >>> [round(float(gx.jit(gx.optim.linear(1.0, 0.0, 10))(k)), 3) for k in (0, 5, 20)]
    [1.0, 0.5, 0.0]
    """
    _checked("linear", start=start, end=end, steps=steps, warmup=warmup)
    return lambda step: _warmed(start + (end - start) * _fraction(step, max(steps, 1)), step, warmup)


def cosine_decay(rate: float, steps: int, end: float = 0.0, warmup: int = 0) -> Schedule:
    """Return the schedule that falls from `rate` to `end` in `steps` steps along half a period of a cosine.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, without restarts.

    >>> [round(float(gx.jit(gx.optim.cosine_decay(1.0, 10))(k)), 3) for k in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
    _checked("cosine_decay", rate=rate, steps=steps, end=end, warmup=warmup)
    return lambda step: _warmed(
        end + (rate - end) * 0.5 * (1.0 + cos(math.pi * _fraction(step, max(steps, 1)))), step, warmup
    )


def exponential_decay(rate: float, steps: int, factor: float, staircase: bool = False, warmup: int = 0) -> Schedule:
    """Return the schedule rate * factor ** (step / steps), with the exponent rounded down if `staircase`.

    >>> [round(float(gx.jit(gx.optim.exponential_decay(1.0, 10, 0.5))(k)), 3) for k in (0, 10, 20)]
    [1.0, 0.5, 0.25]
    """
    _checked("exponential_decay", rate=rate, steps=steps, factor=factor, warmup=warmup)

    def schedule(step: Any) -> Tensor:
        exponent = asarray(step).astype("float64") / max(steps, 1)
        return _warmed(rate * factor ** (floor(exponent) if staircase else exponent), step, warmup)

    return schedule


def piecewise(rates: Sequence[float], boundaries: Sequence[int], warmup: int = 0) -> Schedule:
    """Return the schedule that gives rates[k] from step boundaries[k - 1] on; there is one rate more than boundaries.

    >>> [float(gx.jit(gx.optim.piecewise([1.0, 0.1], [5]))(k)) for k in (4, 5)]
    [1.0, 0.1]
    """
    are_lists = isinstance(rates, list | tuple) and isinstance(boundaries, list | tuple)
    if not are_lists or not all(isinstance(v, int | float) for v in (*rates, *boundaries)):
        raise ArgumentError(f"piecewise: takes lists of numbers, got {shown(rates)} and {shown(boundaries)}")
    if len(rates) != len(boundaries) + 1 or list(boundaries) != sorted(set(boundaries)):
        raise ArgumentError(
            f"piecewise: takes rising boundaries and one rate more, got {shown(boundaries)} and {len(rates)} rates"
        )

    def schedule(step: Any) -> Tensor:
        rate = asarray(float(rates[0]))
        for boundary, later in zip(boundaries, rates[1:], strict=True):
            rate = where(greater_equal(step, boundary), float(later), rate)
        return _warmed(rate, step, warmup)

    return schedule
