"""What a caller passes, as the arrays that compiled code takes: by position or name, converted, measured, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import InputError, Location, SymbolicValueError
from graphc.ir.dims import Dim
from graphc.ir.types import TensorType
from graphc.runtime.state import memory_bytes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class InputSpec:
    """One input: its name, its type, and where the user made it."""

    name: str
    type: TensorType
    location: Location | None


def arrange(specs: Sequence[InputSpec], args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values for `specs` in order; raises InputError for one too many, missing, unknown or given twice."""
    if len(args) > len(specs):
        raise InputError(f"{name}: takes {len(specs)} inputs ({_names(specs)}), got {len(args)}")
    values: dict[str, Any] = {spec.name: arg for spec, arg in zip(specs, args, strict=False)}
    for key, value in kwargs.items():
        if key in values:
            raise InputError(f"{name}: input {key!r} is given by position and by name")
        if not any(key == spec.name for spec in specs):
            raise InputError(f"{name}: has no input {key!r}; its inputs are {_names(specs)}")
        values[key] = value
    missing = [spec for spec in specs if spec.name not in values]
    if missing:
        raise InputError(f"{name}: input {_listed(missing)} is missing")
    return [values[spec.name] for spec in specs]


def _names(specs: Sequence[InputSpec]) -> str:
    return ", ".join(spec.name for spec in specs) or "none"


def _listed(specs: Sequence[InputSpec]) -> str:
    return ", ".join(f"{spec.name}: {spec.type}" for spec in specs)


def is_ready(spec: InputSpec, value: Any) -> bool:
    """Whether `value` is an array that compiled code can read as it is, of whatever shape."""
    if type(value) is not np.ndarray or value.dtype != spec.type.dtype:
        return False
    flags = value.flags
    return bool(flags.c_contiguous and flags.aligned)


def convert(spec: InputSpec, value: Any) -> Array:
    """Return `value` as an aligned C-contiguous array of the input's dtype.

    Arrays are cast where NumPy calls the cast safe. Python numbers and nests of them take the input's dtype where no
    value changes its kind (an int may become a float, a float no int) and integers fit.
    """
    dtype = spec.type.dtype
    is_array = isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    try:
        given = np.asarray(value)
    except SymbolicValueError:
        raise InputError(f"input {spec.name}: takes an array, got the symbolic {value!r}") from None
    except Exception as error:  # noqa: BLE001  whatever a foreign object's conversion raises
        raise InputError(f"input {spec.name}: takes {spec.type}, got {_described(value)}: {error}") from None
    if given.dtype.kind not in "biuf":
        raise InputError(f"input {spec.name}: takes {spec.type}, got {_described(value)} of dtype {given.dtype}")
    if given.nbytes > memory_bytes():
        raise InputError(f"input {spec.name}: {given.nbytes} bytes do not fit into memory")
    if not may_cast(given, dtype, is_array):
        raise InputError(
            f"input {spec.name}: takes {spec.type}, got dtype {given.dtype.name}, which cannot be cast to "
            f"{dtype.name} safely; convert it with .astype({dtype.name!r})"
        )
    # A 0-d result of ascontiguousarray would grow a dimension.
    return np.require(given.astype(dtype, copy=False), requirements=["C", "A"]).reshape(given.shape)


def may_cast(given: Array, dtype: np.dtype[Any], is_array: bool) -> bool:
    """Return whether an array casts safely to a dtype; one made of Python numbers may do more (see `convert`)."""
    if np.can_cast(given.dtype, dtype, "safe"):
        return True
    if is_array:
        return False
    if dtype.kind == "f":
        return True
    if dtype.kind in "iu" and given.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return not given.size or (int(given.min()) >= limits.min and int(given.max()) <= limits.max)
    return not given.size and given.ndim > 0


def _described(value: Any) -> str:
    return f"an object of type {type(value).__name__}"


def check_shape(spec: InputSpec, array: Array) -> None:
    """Raise InputError where the rank or a known size differs."""
    shape = spec.type.shape
    if array.ndim != len(shape):
        raise InputError(f"input {spec.name}: takes {spec.type}, got rank {array.ndim}, shape {array.shape}")
    for axis, (wanted, given) in enumerate(zip(shape, array.shape, strict=True)):
        if isinstance(wanted, int) and wanted != given:
            raise InputError(
                f"input {spec.name}: takes {spec.type}, got shape {array.shape}: axis {axis} is {given}, not {wanted}"
            )


def measure(specs: Sequence[InputSpec], arrays: Sequence[Array]) -> dict[str, int]:
    """Return the size of every symbolic dimension; raises InputError where two inputs disagree about one."""
    sizes: dict[str, int] = {}
    owner: dict[str, str] = {}
    compound: list[tuple[InputSpec, int, Dim, int]] = []
    for spec, array in zip(specs, arrays, strict=True):
        for axis, (wanted, given) in enumerate(zip(spec.type.shape, array.shape, strict=True)):
            if not isinstance(wanted, Dim):
                continue
            name = str(wanted)
            if wanted.symbols() != {name}:
                compound.append((spec, axis, wanted, given))
            elif sizes.setdefault(name, given) != given:
                raise InputError(
                    f"dimension {name!r} is {sizes[name]} in input {owner[name]} and {given} in input {spec.name} "
                    f"(axis {axis}, shape {array.shape})"
                )
            else:
                owner.setdefault(name, f"{spec.name} (axis {axis}, shape {array.shape})")
    for spec, axis, wanted, given in compound:
        if wanted.bind(sizes) != given:
            raise InputError(f"input {spec.name}: axis {axis} must be {wanted} = {wanted.bind(sizes)}, got {given}")
    return sizes
