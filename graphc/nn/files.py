"""State in files: save and load, in the safetensors format, which other libraries read too and which runs no code.

The package safetensors does it; it is an extra, imported when it is first used.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphc.array.handle import Handle
from graphc.errors import ArgumentError, GraphcError
from graphc.tensor import Variable

Array = np.ndarray[Any, Any]
Location = str | os.PathLike[str]


def save(what: Any, path: Location, metadata: Mapping[str, str] | None = None) -> None:
    """Write the state of `what` to a file in the safetensors format.

    `what` is a Module, an optimiser, a variable, an array, or a dict of such things by name, dicts in dicts included:
    everything from which training goes on exactly where it was. An array of it is called by the way to it, with dots:
    "model.0.weight". The file appears whole or not at all; one of that name is replaced. `metadata` are words to go
    with it. Needs the package safetensors: pip install 'graphc[io]'; ImportError where it is missing.

    >>> model = gx.nn.Linear(4, 2)
    >>> optimizer = gx.optim.Adam(1e-3)
    >>> gx.nn.save({"model": model, "optimizer": optimizer}, "checkpoint.safetensors")  # doctest: +SKIP
    >>> gx.nn.load("checkpoint.safetensors", into={"model": model, "optimizer": optimizer})  # doctest: +SKIP
    """
    arrays = {name: np.array(value, order="C") for name, value in _arrays("", what).items()}
    words = None if metadata is None else {str(k): str(v) for k, v in metadata.items()}
    content: bytes = _safetensors("save").save(arrays, words)
    _write(Path(path), content)


def load(path: Location, into: Any = None) -> dict[str, Array]:
    """Return the arrays of a safetensors file by name; with `into`, also set the state of what was saved to it.

    `into` is like the argument of `save`. Raises ArgumentError where the names in the file are others or an array does
    not fit, with nothing changed, and for a file that is none of that format. Needs the package safetensors.

    >>> gx.nn.load("model.safetensors", into=gx.nn.Linear(4, 2))  # doctest: +SKIP
    """
    arrays = _read(Path(path))
    if into is None:
        return arrays
    targets = _targets("", into)
    given = {prefix: _below(prefix, arrays) for prefix in targets}
    known = {f"{prefix}{name}" for prefix, part in given.items() for name in part}
    unexpected = [name for name in arrays if name not in known]
    if unexpected:
        raise ArgumentError(f"load: {path} has more than is to be set: {unexpected}")
    before = {prefix: _state(target) for prefix, target in targets.items()}
    try:
        for prefix, target in targets.items():
            _set(target, given[prefix], prefix)
    except GraphcError:
        for prefix, target in targets.items():
            _set(target, before[prefix], prefix)
        raise
    return arrays


# What has a state.


def _arrays(prefix: str, what: Any) -> dict[str, Array]:
    """Return the arrays in a nest by their names."""
    if isinstance(what, Mapping):
        parts = [_arrays(f"{prefix}{key}.", part).items() for key, part in what.items()]
        return {name: value for part in parts for name, value in part}
    if hasattr(what, "state_dict"):
        return {f"{prefix}{name}": np.asarray(value) for name, value in what.state_dict().items()}
    if isinstance(what, Handle) and not isinstance(what, Variable):
        raise ArgumentError(f"save: {prefix[:-1] or 'what'} must be known now, got the symbolic {what!r}")
    if not prefix:
        raise ArgumentError(f"save: takes modules, optimisers, and dicts of them, variables and arrays, got {what!r}")
    array = what.value if isinstance(what, Variable) else np.asarray(what)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"save: {prefix[:-1]} must be an array of numbers, got {what!r}")
    return {prefix[:-1]: array}


def _targets(prefix: str, into: Any) -> dict[str, Any]:
    """Return what a state can be given to, by the beginning of its names."""
    if isinstance(into, Mapping):
        parts = [_targets(f"{prefix}{key}.", part).items() for key, part in into.items()]
        return {name: target for part in parts for name, target in part}
    if hasattr(into, "load_state_dict"):
        return {prefix: into}
    if isinstance(into, Variable) and prefix:
        return {prefix[:-1]: into}
    raise ArgumentError(f"load: takes modules, optimisers, and dicts of them and of variables to set, got {into!r}")


def _below(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return what is for one target, by the names that it has there; a variable has its own alone, the empty one."""
    if prefix and not prefix.endswith("."):
        return {"": arrays[prefix]} if prefix in arrays else {}
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}


def _state(target: Any) -> dict[str, Array]:
    return {"": target.value} if isinstance(target, Variable) else target.state_dict()


def _set(target: Any, state: Mapping[str, Array], prefix: str) -> None:
    if not isinstance(target, Variable):
        target.load_state_dict(state)
        return
    if "" not in state:
        raise ArgumentError(f"load: the file has no {prefix}")
    target.assign(state[""])


# Files.


def _safetensors(name: str) -> Any:
    try:
        return importlib.import_module("safetensors.numpy")
    except ImportError as error:
        raise ImportError(f"{name}: needs the package safetensors: pip install 'graphc[io]'") from error


def _write(path: Path, content: bytes) -> None:
    """Let a file appear whole: it is written beside, brought to the disk, and renamed."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _read(path: Path) -> dict[str, Array]:
    package = _safetensors("load")
    content = path.read_bytes()
    try:
        found: dict[str, Array] = package.load(content)
    except Exception as error:
        raise ArgumentError(f"load: {path} cannot be read as safetensors: {error}") from error
    return found


__all__ = ["load", "save"]
