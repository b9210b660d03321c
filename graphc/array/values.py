"""The value of a Tensor that depends on no input of a call, asked for while a program is being written.

Such a Tensor is concrete: made of constants and variables only. How it is computed is not known here; the room that
can compile announces itself with `evaluates`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from graphc.errors import ShapeError, SymbolicValueError
from graphc.ir.found import sizes_of
from graphc.ir.graph import Node, known_value, placeholder, toposort

Array = np.ndarray[Any, Any]
Evaluate = Callable[[Sequence[Node]], list[Array]]
_Evaluate = TypeVar("_Evaluate", bound=Evaluate)


def _cannot(nodes: Sequence[Node]) -> list[Array]:
    raise SymbolicValueError("nothing that can compute a value has been loaded; import graphc")


_evaluate: Evaluate = _cannot


def evaluates(function: _Evaluate) -> _Evaluate:
    """Make `function` the one that computes the values of concrete nodes, as arrays; a decorator."""
    global _evaluate
    _evaluate = function
    return function


def open_end(node: Node) -> Node | None:
    """Return what keeps a node from having a value before a call: an input or an unknown size; None if it has one."""
    if known_value(node) is not None:
        return None
    for source in toposort([node]):
        if source.op is placeholder or any(size.symbols() - size.origins().keys() for size in sizes_of(source)):
            return source
    return None


def is_concrete(node: Node) -> bool:
    """Tell whether a node depends on no input of a call, so that it has a value now."""
    return open_end(node) is None


def value_of(what: str, node: Node, remedy: str) -> Array:
    """Return the value of a concrete node, for `what`; it may be read-only and others' too.

    Raises SymbolicValueError, with the remedy, where the node depends on an input of a call.
    """
    return values_of(what, [node], remedy)[0]


def values_of(what: str, nodes: Sequence[Node], remedy: str) -> list[Array]:
    """Return the values of several concrete nodes, computed together (see `value_of`)."""
    for node in nodes:
        cause = open_end(node)
        if cause is not None:
            raise SymbolicValueError(f"{what}: {_unknown(node, cause)}; {remedy}")
    found = [known_value(n) for n in nodes]
    wanted = [n for n, v in zip(nodes, found, strict=True) if v is None]
    missing = iter(_evaluate(wanted) if wanted else ())
    return [next(missing) if v is None else v for v in found]


def _unknown(node: Node, cause: Node) -> str:
    if node is cause and cause.op is placeholder:
        return f"the value of {cause.attrs['name']}, {cause.type}, is not known before a call"
    what = cause.attrs["name"] if cause.op is placeholder else f"the size {next(sizes_of(cause))}"
    return f"the value of this {node.type} depends on {what}, which is not known before a call"


def number_of(what: str, node: Node, remedy: str) -> Any:
    """Return the value of a concrete node of rank 0 as Python's bool, int or float. Raises ShapeError for others."""
    if node.ndim and is_concrete(node):
        hint = "; use gx.any or gx.all" if what == "bool" else ""
        raise ShapeError(f"{what}: takes rank 0, got {node.type}{hint}")
    return value_of(what, node, remedy).item()
