"""Modules that hold other modules: one after the other, in a list, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from graphc.errors import ArgumentError, shown
from graphc.nn.module import FROZEN, Module

Layer = Callable[..., Any]
_Self = TypeVar("_Self", bound="_Container")
_Numbers = TypeVar("_Numbers", bound="_Numbered")

_STATE = ("training", FROZEN)
"""Attributes that are no items."""


class _Container(Module):
    """A module whose attributes are its items, in order."""

    def _items(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in _STATE}

    def _put(self, key: Any, value: Any) -> None:
        if not isinstance(key, str) or not key or "." in key or key in _STATE or hasattr(type(self), key):
            raise ArgumentError(
                f"{type(self).__name__}: a name is a string without a dot, and no attribute of a module; got {key!r}"
            )
        if not callable(value):
            raise ArgumentError(f"{type(self).__name__}: takes modules and functions, got {value!r}")
        vars(self)[key] = value

    def __len__(self) -> int:
        return len(self._items())

    def _shown(self) -> list[tuple[str, Any]]:
        return [(k, v if isinstance(v, Module) else _Shown(v)) for k, v in self._items().items()]


class _Shown:
    """A function, written as its name."""

    def __init__(self, function: Layer) -> None:
        self._name = str(getattr(function, "__name__", repr(function)))

    def __repr__(self) -> str:
        return self._name


class _Numbered(_Container):
    """A container whose items are called by their numbers."""

    def __getitem__(self, index: int) -> Any:
        items = list(self)
        try:
            return items[index]
        except (IndexError, TypeError):
            raise ArgumentError(f"{type(self).__name__}: takes an int for one of {len(items)}, got {index!r}") from None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items().values())

    def append(self: _Numbers, module: Layer) -> _Numbers:
        """Put a module at the end, and return itself.

        >>> len(gx.nn.ModuleList().append(gx.nn.Linear(2, 2)))
        1
        """
        self._put(str(len(self)), module)
        return self

    def extend(self: _Numbers, modules: Iterable[Layer]) -> _Numbers:
        """Put modules at the end, and return itself.

        >>> len(gx.nn.Sequential().extend([gx.nn.Linear(2, 2), gx.nn.relu]))
        2
        """
        if not isinstance(modules, Iterable) or hasattr(modules, "ndim"):
            raise ArgumentError(f"{type(self).__name__}: takes modules, got {shown(modules)}")
        for module in modules:
            self.append(module)
        return self


class Sequential(_Numbered):
    """Layers one after the other: each takes what the one before it returned. Functions may be among them.

    >>> net = gx.nn.Sequential(gx.nn.Linear(4, 8), gx.nn.relu, gx.nn.Linear(8, 2))
    >>> net
    Sequential(
      (0): Linear(4, 8)
      (1): relu
      (2): Linear(8, 2)
    )
    >>> net(gx.placeholder(("batch", 4))).shape
    (batch, 2)
    """

    def __init__(self, *layers: Layer) -> None:
        self.extend(layers)

    def forward(self, x: Any) -> Any:
        """Return the layers applied to x, the first one first."""
        for layer in self:
            x = layer(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, which is no function; an attribute that is an ordinary list of modules does the same.

    >>> blocks = gx.nn.ModuleList(gx.nn.Linear(4, 4) for _ in range(3))
    >>> len(blocks), [name for name, _ in blocks[0].named_parameters()]
    (3, ['weight', 'bias'])
    """

    def __init__(self, modules: Iterable[Layer] = ()) -> None:
        self.extend(modules)


class ModuleDict(_Container):
    """Modules by name, which is no function; an attribute that is an ordinary dict of modules does the same.

    >>> heads = gx.nn.ModuleDict({"mean": gx.nn.Linear(4, 2), "scale": gx.nn.Linear(4, 2)})
    >>> heads["mean"](gx.placeholder(("batch", 4))).shape
    (batch, 2)
    """

    def __init__(self, modules: Mapping[str, Layer] | None = None) -> None:
        if modules is not None and not isinstance(modules, Mapping):
            raise ArgumentError(f"ModuleDict: takes a dict of modules, got {shown(modules)}")
        for key, module in (modules or {}).items():
            self._put(key, module)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._items()[key]
        except KeyError:
            raise ArgumentError(f"ModuleDict: there is no {key!r}; there are {list(self._items())}") from None

    def __setitem__(self, key: str, module: Layer) -> None:
        self._put(key, module)

    def __contains__(self, key: str) -> bool:
        return key in self._items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def keys(self) -> list[str]:
        """Return the names.

        >>> gx.nn.ModuleDict({"a": gx.nn.Linear(2, 2)}).keys()
        ['a']
        """
        return list(self._items())

    def values(self) -> list[Any]:
        """Return the modules.

        >>> gx.nn.ModuleDict({"a": gx.nn.Linear(2, 2)}).values()
        [Linear(2, 2)]
        """
        return list(self._items().values())

    def items(self) -> list[tuple[str, Any]]:
        """Return names and modules.

        >>> gx.nn.ModuleDict({"a": gx.nn.Linear(2, 2)}).items()
        [('a', Linear(2, 2))]
        """
        return list(self._items().items())


__all__ = ["ModuleDict", "ModuleList", "Sequential"]
