"""What programs are written with, and what a program is: the same lines for every library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Tensors = Sequence[Any]

LIBRARIES = {
    "graphc": "graphc",
    "eager": "graphc's eager backend",
    "numpy": "NumPy by hand",
    "torch": "PyTorch eager",
    "compile": "torch.compile",
    "jax": "jax.jit",
    "pytensor": "PyTensor",
}
"""Names on the command line and in results, and what tables call them."""

OWN = ("graphc", "eager")
"""What is measured, and the meaning of every operation; the others are peers."""


def absent(what: str) -> Callable[..., Any]:
    """Return a function that says what a library does not offer."""

    def raises(*_: Any) -> Any:
        raise NotImplementedError(f"has no {what}")

    return raises


NO_GRADIENTS, NO_SCAN = absent("gradients"), absent("scan")
NO_PUSHFORWARD, NO_HESSIANS = absent("pushforward"), absent("Hessians")


@dataclass(frozen=True)
class Library:
    """What programs are written with.

    array                 functions by the names of the array API
    nn                    functions that the array API does not name, as in gx.nn
    value_and_gradients   (f, tensors) -> f(tensors), a scalar, and its gradients
    descended             (parameters, gradients, rate) -> parameters - rate * gradients
    scan                  (body, init, xs) -> (carry, ys), as gx.scan
    pushforward           (f, tensors, tangents) -> the tangent of f(tensors)
    hessian_vector        (f, tensors, vectors) -> Hessian of the scalar f(tensors) times vectors

    What a library does not offer raises NotImplementedError; names that array or nn may lack are listed by the program.
    """

    array: Any
    nn: SimpleNamespace
    value_and_gradients: Callable[[Callable[[Tensors], Any], Tensors], tuple[Any, Tensors]] = NO_GRADIENTS
    descended: Callable[[Tensors, Tensors, float], Tensors] = NO_GRADIENTS
    scan: Callable[[Any, Any, Any], tuple[Any, Any]] = NO_SCAN
    pushforward: Callable[[Any, Tensors, Tensors], Any] = NO_PUSHFORWARD
    hessian_vector: Callable[[Any, Tensors, Tensors], Tensors] = NO_HESSIANS

    def lacks(self, needs: Sequence[str]) -> list[str]:
        """Return those of the needs, as in array.sort and nn.conv2d, that the library has not."""
        return [need for need in needs if getattr(getattr(self, need.split(".")[0]), need.split(".")[1], None) is None]


Run = Callable[[Library, Tensors, Tensors], tuple[Any, Tensors]]
ByHand = Callable[[Sequence[Array], Sequence[Array]], tuple[Any, Sequence[Array]]]


@dataclass(frozen=True)
class Program:
    """A program: run(library, inputs, state) -> (outputs, new state); state that stays the same is left out.

    make      returns the arrays of inputs and state, always the same
    by_hand   what a user of NumPy would write where derivatives are needed
    direct    what a user of a library that runs at once would call, given the library: no list is packed for it
    needs     names that a library must have, as in nn.conv2d
    is_small  belongs to the quick part of its suite
    keywords  inputs are given by keyword
    """

    name: str
    run: Run
    make: Callable[[np.random.Generator], tuple[Sequence[Array], Sequence[Array]]]
    by_hand: ByHand | None = None
    direct: Callable[[Library], Callable[..., Any]] | None = None
    needs: tuple[str, ...] = ()
    is_small: bool = False
    keywords: bool = False

    @cached_property
    def arrays(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        inputs, state = self.make(np.random.default_rng(0))
        return tuple(inputs), tuple(state)

    @property
    def inputs(self) -> tuple[Array, ...]:
        return self.arrays[0]

    @property
    def state(self) -> tuple[Array, ...]:
        return self.arrays[1]


@dataclass(frozen=True)
class Prepared:
    """A program that a library has compiled: how it is called, and how the arrays of a result are read.

    read gives the outputs and then the new state, as NumPy arrays; facts are what the library tells of its program.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    read: Callable[[Any], list[Array]]
    facts: dict[str, Any]


class Peer:
    """How a library compiles programs. `library` is what they are written with."""

    library: Library
    version: str

    def prepare(self, program: Program) -> Prepared:
        """Compile a program, as far as that can be done before the first call."""
        raise NotImplementedError


def prepared(
    program: Program,
    call: Callable[..., Any],
    inputs: Sequence[Any],
    read: Callable[[Any], list[Array]],
    facts: dict[str, Any] | None = None,
) -> Prepared:
    """Return a program that takes its inputs in order, or by keyword if it is to."""
    if program.keywords:
        return Prepared(call, (), {f"x{k}": a for k, a in enumerate(inputs)}, read, facts or {})
    return Prepared(call, tuple(inputs), {}, read, facts or {})


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0, dtype: str = "float32") -> Array:
    """Return an array of normally distributed numbers."""
    return np.asarray(scale * rng.standard_normal(shape), dtype)


def uniform(rng: np.random.Generator, low: float, high: float, *shape: int, dtype: str = "float32") -> Array:
    return np.asarray(rng.uniform(low, high, shape), dtype)


def flat(nest: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dicts, keys of dicts in order."""
    if isinstance(nest, dict):
        return [leaf for key in sorted(nest) for leaf in flat(nest[key])]
    if isinstance(nest, (list, tuple)):
        return [leaf for item in nest for leaf in flat(item)]
    return [nest]
