"""What tells two programs apart for code generation: a digest of all that the code for a program follows from.

It is the same in every process. Names of kernels, variables and buffers do not count, nor do values of constants, which
code reads from memory; everything else does, also what may be added to steps and programs one day.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, get_args

import numpy as np

from graphc.errors import InternalError
from graphc.ir.intern import applied, code_key, function_key
from graphc.ir.loops import Function, Kernel, Program, Slot, Step
from graphc.ir.types import TensorType


def program_key(program: Program) -> str:
    """Return the digest of a program."""
    codes: dict[str, int] = {}
    for kernel in program.kernels:
        codes.setdefault(code_key(kernel), len(codes))
    facts = _Facts({k: codes[code_key(k)] for k in program.kernels})
    rest = [facts.of(getattr(program, f.name)) for f in fields(Program) if f.name not in ("kernels", "functions")]
    text = repr((rest, list(codes), _functions(program.kernels, program.functions)))
    return hashlib.sha256(text.encode()).hexdigest()


def _functions(kernels: Iterable[Kernel], functions: Mapping[tuple[str, np.dtype[Any]], Function]) -> list[str]:
    """Return the functions that kernels use, also within other functions."""
    by_name: dict[str, list[np.dtype[Any]]] = {}
    for name, dtype in functions:
        by_name.setdefault(name, []).append(dtype)
    used: dict[str, None] = {}
    waiting = sorted({name for kernel in kernels for name in applied(kernel)})
    rows = []
    while waiting:
        name = waiting.pop()
        if name in used:
            continue
        used[name] = None
        for dtype in by_name.get(name, ()):
            digest, inner = function_key(functions[name, dtype])
            rows.append(f"{name} {dtype} {digest}")
            waiting += sorted(inner)
    return sorted(rows)


class _Facts:
    """Values as nested tuples of numbers and strings; a kernel is the number of its code and how often it may run."""

    def __init__(self, numbers: Mapping[Kernel, int]) -> None:
        self.plain: dict[type, Callable[[Any], Any]] = {
            **dict.fromkeys((int, str, bool, float, type(None)), lambda value: value),
            tuple: self._tuple,
            Kernel: lambda kernel: (numbers[kernel], kernel.ways),
            np.ndarray: lambda array: (str(array.dtype), array.shape),
            TensorType: str,
            **{kind: self._fields_of(kind) for kind in (Slot, *get_args(Step))},
        }

    def of(self, value: Any) -> Any:
        kind = type(value)
        known = self.plain.get(kind)
        if known is not None:
            return known(value)
        if isinstance(value, enum.Enum):
            self.plain[kind] = attrgetter("_name_")  # several times as quick as `name`
            return value.name
        if isinstance(value, np.dtype):
            return str(value)
        raise InternalError(f"program_key: nothing tells one {kind.__name__} from another")

    def _tuple(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([v if type(v) is int else self.of(v) for v in values]) if values else values

    def _fields_of(self, kind: type) -> Callable[[Any], Any]:
        values = attrgetter(*[f.name for f in fields(kind)])
        return lambda value: (kind.__name__, self._tuple(values(value)))
