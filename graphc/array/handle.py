"""What a Tensor is to the functions that make one: a hold on a node, and `wrap`, which gives a node its hold.

The class `Tensor` with its methods is built on the functions, so it announces itself here with `handles`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from graphc.ir.graph import Node
from graphc.ops.elementwise import stop_gradient

if TYPE_CHECKING:
    from graphc.tensor import Tensor


class Handle:
    """A user's hold on a node."""

    __slots__ = ("__weakref__", "node")

    node: Node

    def __init__(self, node: Node) -> None:
        self.node = node


class _Building(threading.local):
    """How this thread builds nodes now."""

    carries_gradients = True


_building = _Building()
_tensor: Callable[[Node], Any] = Handle
_Class = TypeVar("_Class", bound=type[Handle])


def handles(cls: _Class) -> _Class:
    """Make `cls` the class that `wrap` gives; a class decorator."""
    global _tensor
    _tensor = cls
    return cls


def wrap(node: Node) -> Tensor:
    """Return the Tensor of a node; inside `no_grad`, of the node without its gradient."""
    if not _building.carries_gradients and node.dtype.kind == "f":
        node = stop_gradient(node)
    return _tensor(node)  # type: ignore[no-any-return]


@contextmanager
def no_grad() -> Iterator[None]:
    """Build Tensors that carry no gradient: inside, every result is passed through `stop_gradient`.

    It concerns what is built inside, by this thread, whenever the derivative is asked for.

    >>> x = gx.placeholder((3,), name="x")
    >>> with gx.no_grad():
    ...     scale = 1 / gx.sum(x)
    >>> gx.gradients(gx.sum(scale * x), x).shape
    (3,)
    """
    before = _building.carries_gradients
    _building.carries_gradients = False
    try:
        yield
    finally:
        _building.carries_gradients = before
