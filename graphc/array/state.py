"""Values that bring changes of variables with them, so that whoever computes one also makes the changes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, asarray
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ir.dims import Dim
from graphc.ir.graph import Node
from graphc.ops.state import with_update
from graphc.tensor import Tensor, Variable

_serials = itertools.count()


def with_updates(value: ArrayLike, updates: Mapping[Variable, Any], /) -> Tensor:
    """Return `value`, such that a compiled graph that computes it also makes `updates`, as if `gx.compile` were given
    them.

    It is for state that belongs to a computation rather than to a training step: running statistics, counters. `value`
    has the gradient of `value`; the new values have none. Where `updates=` of `gx.compile` has one of the variables,
    that counts and this does not. Several values may change one variable: in a graph with more than one of them, each
    new value sees, in place of the variable, what the one built before it left there.

    Raises ShapeError or DTypeError where a new value is not like its variable, and compile raises ArgumentError where
    the value is made in each step of a loop or in a branch of cond, as a variable is set once a call.

    >>> calls = gx.variable(0, name="calls")
    >>> x = gx.placeholder((), name="x")
    >>> double = gx.compile([x], gx.with_updates(2 * x, {calls: calls + 1}))
    >>> float(double(3)), float(double(4)), int(calls.value)
    (6.0, 8.0, 2)
    """
    node = as_node("with_updates", value)
    if not isinstance(updates, Mapping):
        raise ArgumentError(f"with_updates: takes a dict from variables to new values, got {updates!r}")
    for variable, new in updates.items():
        state, changed = update_nodes("with_updates", variable, new)
        node = with_update(node, state, changed, serial=next(_serials))
    return wrap(node)


def update_nodes(name: str, variable: Any, value: Any) -> tuple[Node, Node]:
    """Return a variable and its new value as nodes; a number takes the variable's dtype."""
    if not isinstance(variable, Variable):
        raise ArgumentError(f"{name}: updates maps variables to new values, got the key {variable!r}")
    called = f"variable {variable.name}"
    try:
        node = asarray(value, dtype=None if isinstance(value, Tensor | np.ndarray) else variable.dtype).node
    except GraphcError as error:
        raise ArgumentError(f"{name}: the update of {called}: {error.message}") from None
    if node.dtype != variable.dtype:
        raise DTypeError(
            f"{name}: the update of {called} must be {variable.node.type}, got {node.type}; "
            f"convert it with .astype({variable.dtype.name!r})",
            node.location,
        )
    fits = len(node.shape) == len(variable.shape) and all(
        a == b or isinstance(a, Dim) for a, b in zip(node.shape, variable.shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"{name}: the update of {called} must be {variable.node.type}, got {node.type}", node.location)
    return variable.node, node
