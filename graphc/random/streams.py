"""Streams: random numbers that are others in each run, without keys to pass around."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from graphc.array.control.tracing import steps_around
from graphc.array.handle import wrap
from graphc.array.state import with_updates
from graphc.errors import ArgumentError
from graphc.random import continuous, counts, discrete, gammas, truncated
from graphc.random.keys import bits, fold_in, key
from graphc.tensor import Variable, variable

if TYPE_CHECKING:
    from graphc.tensor import Tensor

P = ParamSpec("P")

SEED, RUNS = 0, 1
"""Places in the state."""


def _drawing(function: Callable[Concatenate[Any, P], Tensor]) -> Callable[Concatenate[Stream, P], Tensor]:
    """Return a method that calls a function with a new key of the stream."""

    def method(self: Stream, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        return function(self.key(), *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"Return `gx.random.{function.__name__}` with a new key of the stream."
    return method


class Stream:
    """Random numbers that are others in each run of a graph, and in each place where they are drawn.

    The methods are those of `gx.random` without their first argument, the key. The state is a variable, uint64[2]: the
    seed, and how many runs there were that drew from it. Every run of an executable that draws advances it by one, in
    the end, together with all other variables: nothing needs to be said in `updates=`. If a run raises, the state is as
    it was. Executables that share a stream continue each other's sequence.

    What is drawn follows from the seed, the number of runs, and the number of draws that were made from this stream
    before in building graphs; inside of a loop (scan, map, fori_loop, while_loop, vmap) also from the step.

    >>> stream = gx.random.Stream(0)
    >>> roll = gx.compile([], stream.randint((3,), 1, 7))
    >>> bool((roll() == roll()).all()), stream.state.value
    (False, array([0, 2], dtype=uint64))
    >>> stream.seed(0)
    >>> first = roll()
    """

    def __init__(self, seed: int = 0, name: str | None = None) -> None:
        self.state: Variable = variable(_state(seed), name=name, trainable=False)
        self._current = with_updates(self.state, {self.state: self.state + np.array([0, 1], np.uint64)})
        self._draws = itertools.count()

    def seed(self, seed: int) -> None:
        """Begin again: with `seed`, as if nothing had run."""
        self.state.assign(_state(seed))

    def key(self) -> Tensor:
        """Return a new key, another one in each run, each call of this method, and each step of a loop around it."""
        found = fold_in(key(self._current[SEED]), self._current[RUNS])
        found = fold_in(found, next(self._draws))
        for step in steps_around():
            found = fold_in(found, wrap(step))
        return found

    bits = _drawing(bits)
    uniform = _drawing(continuous.uniform)
    normal = _drawing(continuous.normal)
    truncated_normal = _drawing(truncated.truncated_normal)
    exponential = _drawing(continuous.exponential)
    gumbel = _drawing(continuous.gumbel)
    laplace = _drawing(continuous.laplace)
    logistic = _drawing(continuous.logistic)
    cauchy = _drawing(continuous.cauchy)
    gamma = _drawing(gammas.gamma)
    loggamma = _drawing(gammas.loggamma)
    chisquare = _drawing(gammas.chisquare)
    student_t = _drawing(gammas.student_t)
    beta = _drawing(gammas.beta)
    dirichlet = _drawing(gammas.dirichlet)
    poisson = _drawing(counts.poisson)
    bernoulli = _drawing(discrete.bernoulli)
    rademacher = _drawing(discrete.rademacher)
    randint = _drawing(discrete.randint)
    categorical = _drawing(discrete.categorical)
    permutation = _drawing(discrete.permutation)
    choice = _drawing(discrete.choice)

    def __repr__(self) -> str:
        seed, runs = self.state.value
        return f"Stream(seed={seed}) after {runs} runs"


def _state(seed: Any) -> np.ndarray[Any, Any]:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not -(2**63) <= seed < 2**64:
        raise ArgumentError(f"Stream: seed must be an int that fits 64 bits, got {seed!r}")
    return np.array([int(seed) % 2**64, 0], np.uint64)
