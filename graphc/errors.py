"""The error classes, the one message format, and where in the user's code a thing was written.

A message says operation, requirement, what it got and, on a second line, the user's own file and line:

    matmul: the last dimension of a (f32[60, 784]) must equal the second-to-last of b (f32[783, 64]): 784 != 783
      at train.py:14: h = x @ w
"""

from __future__ import annotations

import linecache
import os
import reprlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Location(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.line).strip()
        place = f"{os.path.basename(self.file)}:{self.line}"
        return f"{place}: {text}" if text else place


class _Inside(dict[str, bool]):
    """Whether a file belongs to graphc, asked for every frame of every node."""

    def __missing__(self, file: str) -> bool:
        self[file] = file.startswith(_PACKAGE)
        return self[file]


_inside = _Inside()


class _Override(threading.local):
    location: Location | None = None


_override = _Override()


def user_location() -> Location | None:
    """Return the innermost line outside graphc, or the one that `located_at` set."""
    if _override.location is not None:
        return _override.location
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        # The __init__ that a dataclass generates has no file of its own, only the globals of its module.
        if not _inside[file] and not (file == "<string>" and frame.f_globals.get("__package__") == "graphc"):
            return Location(file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


@contextmanager
def located_at(location: Location | None) -> Iterator[None]:
    """Attribute what is built inside (derivatives, rewrites) to the line of the node it stems from."""
    previous = _override.location
    _override.location = location
    try:
        yield
    finally:
        _override.location = previous


class _Shown(reprlib.Repr):
    """Short texts of any value: of a sequence its first items, of nests the first levels."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 4, 200, 200, 60
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 8


_shown = _Shown()


def shown(value: object) -> str:
    """Return a value as text for a message, short whatever it is: nests may be deep or hold themselves."""
    try:
        return _shown.repr(value)
    except Exception:  # noqa: BLE001 - whatever the user's object raises, the message must be written
        return f"<{type(value).__name__}>"


class GraphcError(Exception):
    """The base of every error that graphc raises about a user's program or data."""

    def __init__(self, message: str, location: Location | None = None) -> None:
        self.location = location if location is not None else user_location()
        self.message = message
        super().__init__(message if self.location is None else f"{message}\n  at {self.location}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.message, self.location))


class ShapeError(GraphcError, ValueError):
    """Shapes that do not fit the operation."""


class DTypeError(GraphcError, TypeError):
    """A dtype that the operation does not take, or that graphc does not have."""


class ArgumentError(GraphcError, ValueError):
    """An argument outside what the operation allows: an axis, a name, a count, a foreign object."""


class SymbolicValueError(GraphcError, TypeError):
    """A symbolic value was used where Python needs a number now: `if t:`, `float(t)`, `for row in t`."""


class GradientError(GraphcError, ValueError):
    """A derivative that does not exist: not a scalar, unconnected, or not differentiable."""


class InputError(GraphcError, ValueError):
    """An input of a call that is missing, unknown, or of the wrong dtype, rank or size."""


class OutOfBoundsError(GraphcError, IndexError):
    """An index outside its axis, found while building or while running."""


class StepsError(GraphcError, RuntimeError):
    """A loop took more steps than it may."""


class MemoryBudgetError(GraphcError, MemoryError):
    """A program needs more memory than `Options(memory_budget=)` allows, whatever is computed again."""


class NaNError(GraphcError, ArithmeticError):
    """A call under `check_nan` produced a NaN."""


class InternalError(GraphcError):
    """A fault of graphc itself; the message names the pass and shows the IR before and after."""


class MiscompileError(InternalError):
    """With `Options(verify=True)`: a rewrite or a kernel gave another value than the reference. Nothing has changed."""
