"""Modules: objects that hold parameters and other modules as attributes, and what is done with all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from graphc.array.handle import Handle
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.runtime.inputs import may_cast
from graphc.tensor import Variable

Array = np.ndarray[Any, Any]
_Self = TypeVar("_Self", bound="Module")


FROZEN = "_frozen"
"""The attribute with what `freeze` stopped."""


class Mismatch(NamedTuple):
    """The names that a state lacked, and those that it had too many."""

    missing: list[str]
    unexpected: list[str]


class Module:
    """A function with state: variables and other modules, found wherever they are attributes.

    A subclass makes them in `__init__` and says in `forward` what calling it does. Attributes may also be lists, tuples
    and dicts of variables and modules. A variable is called by its way there: "layers.0.weight".

    `training` says whether layers that differ act as in training; it is read when a graph is built, so what was
    compiled (by `gx.compile`, or by `gx.jit` for a signature) stays as it was.

    >>> class Net(gx.nn.Module):
    ...     def __init__(self):
    ...         self.layers = [gx.nn.Linear(4, 8), gx.nn.Linear(8, 2)]
    ...     def forward(self, x):
    ...         return self.layers[1](gx.nn.relu(self.layers[0](x)))
    >>> net = Net()
    >>> [name for name, _ in net.named_parameters()]
    ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
    >>> net(gx.placeholder(("batch", 4))).shape
    (batch, 2)
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what calling the module returns; a subclass defines it."""
        raise ArgumentError(f"{type(self).__name__}: a Module says in forward what calling it does")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # What is in it.

    def named_modules(self) -> list[tuple[str, Module]]:
        """Return itself, called "", and every module below it with its name, each once.

        >>> [name for name, _ in gx.nn.Sequential(gx.nn.Linear(2, 2), gx.nn.ReLU()).named_modules()]
        ['', '0', '1']
        """
        found: dict[int, tuple[str, Module]] = {}
        _add_modules(self, "", found)
        return list(found.values())

    def modules(self) -> list[Module]:
        """Return itself and every module below it, each once.

        >>> len(gx.nn.Sequential(gx.nn.Linear(2, 2), gx.nn.ReLU()).modules())
        3
        """
        return [module for _, module in self.named_modules()]

    def named_variables(self) -> list[tuple[str, Variable]]:
        """Return every variable with its name; one that has several names comes with each.

        >>> [name for name, _ in gx.nn.BatchNorm(3).named_variables()]
        ['weight', 'bias', 'running_mean', 'running_var']
        """
        return [
            (f"{name}.{own}" if name else own, value)
            for name, module in self.named_modules()
            for own, value in module._own()
            if isinstance(value, Variable)
        ]

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """Return every trainable variable with its name, each once.

        >>> [name for name, _ in gx.nn.Linear(2, 3).named_parameters()]
        ['weight', 'bias']
        """
        found: dict[int, tuple[str, Variable]] = {}
        for name, value in self.named_variables():
            if value.trainable:
                found.setdefault(id(value), (name, value))
        return list(found.values())

    def parameters(self) -> list[Variable]:
        """Return every trainable variable, each once: what optimisers, and `weights=` of `gx.grad`, take a Module for.

        >>> [p.shape for p in gx.nn.Linear(2, 3).parameters()]
        [(3, 2), (3,)]
        """
        return [value for _, value in self.named_parameters()]

    def buffers(self) -> list[Variable]:
        """Return every variable that is not trainable, each once: running statistics, and frozen parameters.

        >>> [b.name for b in gx.nn.BatchNorm(3).buffers()]
        ['running_mean', 'running_var']
        """
        return list({id(v): v for _, v in self.named_variables() if not v.trainable}.values())

    def count_parameters(self) -> int:
        """Return how many numbers its trainable variables hold.

        >>> gx.nn.Linear(2, 3).count_parameters()
        9
        """
        return sum(p.cell.array.size for p in self.parameters())

    def _own(self) -> Iterator[tuple[str, Variable | Module]]:
        """Yield variables and modules among the attributes, with their names."""
        for name, value in vars(self).items():
            yield from _entries(name, value)

    # State.

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every variable's value by its name.

        >>> list(gx.nn.Linear(2, 3).state_dict())
        ['weight', 'bias']
        """
        return {name: value.value for name, value in self.named_variables()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Mismatch:
        """Set every variable to the array of its name in `state`; return the names that did not match.

        Raises ArgumentError where names are missing or unexpected, unless not `strict`, and ShapeError or DTypeError
        for an array that does not fit its variable; then nothing has changed.

        >>> a, b = gx.nn.Linear(2, 3), gx.nn.Linear(2, 3)
        >>> b.load_state_dict(a.state_dict())
        Mismatch(missing=[], unexpected=[])
        """
        if not isinstance(state, Mapping):
            raise ArgumentError(f"load_state_dict: takes a dict of arrays by name, got {type(state).__name__}")
        own = dict(self.named_variables())
        missing, unexpected = [n for n in own if n not in state], [n for n in state if n not in own]
        if strict and (missing or unexpected):
            raise ArgumentError(
                f"load_state_dict: {type(self).__name__} has other names: missing {missing}, unexpected {unexpected}; "
                "strict=False leaves them out"
            )
        arrays = {name: _fitting(name, own[name], state[name]) for name in own if name in state}
        for name, array in arrays.items():
            own[name].assign(array)
        return Mismatch(missing, unexpected)

    # Modes.

    def train(self: _Self, mode: bool = True) -> _Self:
        """Set `training` in itself and every module below, and return itself.

        >>> gx.nn.Sequential(gx.nn.Linear(2, 2)).train(False).training
        False
        """
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self: _Self) -> _Self:
        """Set `training` to False in itself and every module below, and return itself.

        >>> gx.nn.Linear(2, 2).eval().training
        False
        """
        return self.train(False)

    def freeze(self: _Self) -> _Self:
        """Let no variable in it be trainable any more, until `unfreeze`, and return itself.

        >>> gx.nn.Linear(2, 2).freeze().parameters()
        []
        """
        for module in self.modules():
            frozen = vars(module).setdefault(FROZEN, _Frozen())
            for _, value in module._own():
                if isinstance(value, Variable) and value.trainable:
                    value.trainable = False
                    frozen.variables.append(value)
        return self

    def unfreeze(self: _Self) -> _Self:
        """Let the variables that `freeze` stopped be trainable again, and return itself.

        >>> len(gx.nn.BatchNorm(2).freeze().unfreeze().parameters())
        2
        """
        for module in self.modules():
            for value in vars(module).pop(FROZEN, _Frozen()).variables:
                value.trainable = True
        return self

    # Text.

    def extra_repr(self) -> str:
        """Return what stands between the parentheses when the module has no others in it."""
        return ""

    def __repr__(self) -> str:
        name = type(self).__name__
        parts = [(own, repr(value)) for own, value in self._shown()]
        if not parts:
            return f"{name}({self.extra_repr()})"
        lines = [f"  ({own}): " + text.replace("\n", "\n  ") for own, text in parts]
        return "\n".join([f"{name}(", *lines, ")"])

    def _shown(self) -> list[tuple[str, Any]]:
        """Return what is shown in its tree."""
        return [(own, value) for own, value in self._own() if isinstance(value, Module)]


class _Frozen:
    """The variables that `freeze` stopped; no container, so that they are not found twice."""

    def __init__(self) -> None:
        self.variables: list[Variable] = []


def _entries(name: str, value: Any) -> Iterator[tuple[str, Variable | Module]]:
    if isinstance(value, Variable | Module):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entries(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value):
            yield from _entries(f"{name}.{k}", item)


def _add_modules(module: Module, name: str, found: dict[int, tuple[str, Module]]) -> None:
    if id(module) in found:
        return
    found[id(module)] = (name, module)
    for own, value in module._own():
        if isinstance(value, Module):
            _add_modules(value, f"{name}.{own}" if name else own, found)


def _fitting(name: str, variable: Variable, value: Any) -> Array:
    """Return a value that can be assigned to a variable."""
    if isinstance(value, Handle):
        raise ArgumentError(f"load_state_dict: {name} must be an array, got the symbolic {value!r}")
    array, wanted = np.asarray(value), variable.cell.type
    if array.shape != wanted.shape:
        raise ShapeError(f"load_state_dict: {name} must be {wanted}, got shape {array.shape}")
    if not may_cast(array, wanted.dtype, is_array=True):
        raise DTypeError(
            f"load_state_dict: {name} must be {wanted}, got {array.dtype.name}; convert it with "
            f".astype({wanted.dtype.name!r})"
        )
    return array


__all__ = ["Mismatch", "Module"]
