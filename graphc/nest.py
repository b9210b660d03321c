"""Nests: lists, tuples, named tuples, dicts, dataclasses and None around leaves, taken apart and put together.

Dicts are flattened in the order of their sorted keys, so that two dicts with the same keys have the same structure;
they are put together in the order in which the first had them. None holds no leaf. Anything else is a leaf.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import ArgumentError, shown


@dataclass(frozen=True, slots=True)
class Structure:
    """What a nest is without its leaves. Equal structures hold their leaves at the same paths.

    `make` is None for a leaf, `keys` names the parts (in the order of the leaves) and `order` the parts as written.
    """

    make: type | None
    keys: tuple[Any, ...] = ()
    parts: tuple[Structure, ...] = ()
    order: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def count(self) -> int:
        """The number of leaves."""
        return 1 if self.make is None else sum(p.count for p in self.parts)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """Return the nest with these leaves.

        >>> values, structure = flatten({"b": 1, "a": (2, None)})
        >>> values, structure.unflatten([20, 10])
        ([2, 1], {'b': 10, 'a': (20, None)})
        """
        given = list(leaves)
        if len(given) != self.count:
            raise ArgumentError(f"unflatten: the structure has {self.count} leaves, got {len(given)}")
        return self._build(iter(given))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.make is None:
            return next(leaves)
        if self.make is type(None):
            return None
        return self.join([p._build(leaves) for p in self.parts])

    def join(self, parts: list[Any]) -> Any:
        """Return the nest of these parts, which are nests themselves."""
        assert self.make is not None
        if issubclass(self.make, dict):
            values = dict(zip(self.keys, parts, strict=True))
            return self.make((k, values[k]) for k in self.order)
        if hasattr(self.make, "_fields"):
            return self.make(*parts)
        if dataclasses.is_dataclass(self.make):
            return self.make(**dict(zip(self.keys, parts, strict=True)))
        return self.make(parts)  # type: ignore[call-arg]

    def __str__(self) -> str:
        return str(self.unflatten([_STAR] * self.count))


class _Star:
    def __repr__(self) -> str:
        return "*"


_STAR = _Star()
LEAF = Structure(None)


def flatten(nest: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of a nest in order, and its structure.

    >>> flatten([1, {"x": 2}])[0]
    [1, 2]
    """
    leaves: list[Any] = []
    return leaves, _flatten(nest, leaves)


MOST_LEVELS = 100
"""Levels of a nest; one of more, most likely, holds itself."""


def _flatten(nest: Any, leaves: list[Any], level: int = 0) -> Structure:
    make = type(nest)
    if nest is None:
        return Structure(make)
    parts = _parts(nest)
    if parts is None:
        leaves.append(nest)
        return LEAF
    if level == MOST_LEVELS:
        raise ArgumentError(f"a nest may be {MOST_LEVELS} levels deep, got {shown(nest)}, which holds more")
    keys = tuple(k for k, _ in parts)
    order = tuple(nest) if isinstance(nest, dict) else ()
    return Structure(make, keys, tuple(_flatten(v, leaves, level + 1) for _, v in parts), order)


def _parts(nest: Any) -> list[tuple[Any, Any]] | None:
    """Return the keys and values in a nest, None for a leaf."""
    if type(nest) in (dict, OrderedDict):
        return [(k, nest[k]) for k in _sorted(nest)]
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return list(zip(nest._fields, nest, strict=True))
    if type(nest) in (list, tuple):
        return list(enumerate(nest))
    if dataclasses.is_dataclass(nest) and not isinstance(nest, type):
        return [(f.name, getattr(nest, f.name)) for f in dataclasses.fields(nest) if f.init]
    return None


def _sorted(keys: Iterable[Any]) -> list[Any]:
    """Return keys in an order that does not depend on how they were put in."""
    listed = list(keys)
    try:
        return sorted(listed)
    except TypeError:
        return sorted(listed, key=lambda k: (type(k).__name__, repr(k)))


def paths(nest: Any) -> list[str]:
    """Return where each leaf lies, as Python writes it after the nest's name.

    >>> paths({"layers": [1, 2], "bias": 3})
    ["['bias']", "['layers'][0]", "['layers'][1]"]
    """
    _, structure = flatten(nest)
    return list(_paths(structure, ""))


def _paths(structure: Structure, prefix: str) -> Iterator[str]:
    if structure.make is None:
        yield prefix
        return
    has_names = structure.make is not type(None) and not issubclass(structure.make, dict | list)
    for key, part in zip(structure.keys, structure.parts, strict=True):
        yield from _paths(part, prefix + (f".{key}" if has_names and isinstance(key, str) else f"[{key!r}]"))


def map_leaves(function: Callable[..., Any], nest: Any) -> Any:
    """Return the nest with `function` applied to each leaf.

    >>> map_leaves(lambda v: v + 1, (1, {"x": 2}))
    (2, {'x': 3})
    """
    leaves, structure = flatten(nest)
    return structure.unflatten([function(leaf) for leaf in leaves])
