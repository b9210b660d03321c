"""What this namespace can do, as the array API standard asks it: capabilities, devices, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.array.convert import as_device
from graphc.errors import ArgumentError, shown
from graphc.ir.types import DTYPE_NAMES, FLOAT64, INT64

DTypes = dict[str, np.dtype[Any]]

KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}  # fmt: skip
"""The standard's kinds of dtypes, and the letters of NumPy's kinds in each."""

MAX_RANK = 64
"""What NumPy's arrays, which go in and come out, can have."""


class NamespaceInfo:
    """Answers to the questions of the array API standard 2024.12 about a namespace."""

    def capabilities(self) -> dict[str, Any]:
        """Return which optional parts of the standard are there.

        >>> gx.__array_namespace_info__().capabilities()["max dimensions"]
        64
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": MAX_RANK}

    def default_device(self) -> str:
        """Return the device of new arrays: "cpu"."""
        return "cpu"

    def devices(self) -> list[str]:
        """Return all devices: "cpu" alone."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> DTypes:
        """Return the dtypes of new arrays where none is given. Complex dtypes come later, and have none."""
        as_device("default_dtypes", device)
        return {"real floating": FLOAT64, "integral": INT64, "indexing": INT64}

    def dtypes(self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None) -> DTypes:
        """Return the dtypes there are, by name; with `kind`, those of this kind or of one of several.

        >>> gx.__array_namespace_info__().dtypes(kind="real floating")
        {'float32': dtype('float32'), 'float64': dtype('float64')}
        """
        as_device("dtypes", device)
        kinds = tuple(KINDS) if kind is None else kind if isinstance(kind, tuple) else (kind,)
        for k in kinds:
            if k not in KINDS:
                raise ArgumentError(
                    f"dtypes: kind must be one of {', '.join(KINDS)}, or a tuple of these, got {shown(k)}"
                )
        letters = "".join(KINDS[k] for k in kinds)
        return {d.name: d for d in DTYPE_NAMES if d.kind in letters}


def __array_namespace_info__() -> NamespaceInfo:
    """Return what this namespace can do: its capabilities, devices and dtypes. Array API 2024.12.

    >>> gx.__array_namespace_info__().default_dtypes()["integral"]
    dtype('int64')
    """
    return NamespaceInfo()
