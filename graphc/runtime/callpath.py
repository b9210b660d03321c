"""Calls from Python straight into machine code: the tables of `ir.calls`, filled for one compiled function.

`Path` holds the tables of an Executable and makes the object that Python calls; each `Entry` is code for one set of
sizes, which is added when it has been made and removed when it goes. Where there is no machine code for calls, or a
function has too many inputs for it, calls take the slow path, which does the same in Python.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from graphc.ir.calls import Build, Code, Dispatch, Input, Output, Part
from graphc.ir.types import TensorType
from graphc.nest import Structure
from graphc.runtime.inputs import InputSpec
from graphc.runtime.state import Cell

MAX_VALUES = 4096
"""Inputs and results of a function that has this path: the call keeps some words for each on the stack."""

Words = np.ndarray[Any, np.dtype[np.int64]]


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


METH_FASTCALL_KEYWORDS = 0x0080 | 0x0002

_definitions: dict[int, _MethodDef] = {}
"""By the address of the machine code. Callables refer to them as long as they live, so they stay."""


def _callable(address: int, dispatch: int, kept: object) -> Callable[..., Any]:
    """Return a Python object whose call runs the machine code at `address`; it keeps `kept` alive."""
    if address not in _definitions:
        _definitions[address] = _MethodDef(b"__call__", address, METH_FASTCALL_KEYWORDS, b"Run the compiled function.")
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    made: Callable[..., Any] = make(ctypes.addressof(_definitions[address]), (dispatch, kept), None)
    return made


def _table(kind: type, count: int = 1) -> Words:
    return np.zeros((count, len(kind)), np.int64)  # type: ignore[arg-type]


def _address(array: np.ndarray[Any, Any]) -> int:
    return array.ctypes.data


class Entry:
    """Code for one set of sizes: its table, and all that the table points to."""

    def __init__(
        self,
        address: int,
        shapes: Sequence[tuple[int, ...]],
        results: Sequence[TensorType],
        slots: int,
        cell: Cell | None,
        fail: Callable[[int, int], Any],
        kept: object,
        *,
        releases: bool,
    ) -> None:
        """`slots` is the address of a table of slots that no other call uses, `kept` what must stay alive."""
        self._sizes = np.array([s for shape in shapes for s in shape], np.int64)
        self._result_sizes = [np.array(t.shape, np.int64) for t in results]
        self._dtypes = [np.dtype(t.dtype.name) for t in results]  # NumPy's own object, which arrays have
        self._outputs = _table(Output, len(results))
        for row, dtype, sizes in zip(self._outputs, self._dtypes, self._result_sizes, strict=True):
            row[Output.DTYPE], row[Output.RANK], row[Output.SIZES] = id(dtype), sizes.size, _address(sizes)
        self._kept = (fail, cell, kept)
        self.words = words = _table(Code)[0]
        words[Code.OWNER] = id(self)
        words[Code.ENTRY] = address
        words[Code.SHAPES] = _address(self._sizes)
        words[Code.OUTPUT] = _address(self._outputs)
        words[Code.SLOTS] = slots
        words[Code.RELEASES] = releases
        words[Code.LOCK] = 0 if cell is None else _address(cell.lock_table)
        words[Code.FAIL] = id(fail)
        _entries.add(self)

    @property
    def last_call(self) -> int:
        """The clock of the function at the last call."""
        return int(self.words[Code.LAST_CALL])

    @last_call.setter
    def last_call(self, clock: int) -> None:
        self.words[Code.LAST_CALL] = clock


_entries: weakref.WeakSet[Entry] = weakref.WeakSet()


def _free_entries() -> None:
    """Calls of threads that a fork left behind use nothing any more."""
    for entry in _entries:
        entry.words[Code.BUSY] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_entries)


class Path:
    """The tables of one compiled function."""

    def __init__(self, inputs: Sequence[InputSpec], structure: Structure, slow: Callable[..., Any]) -> None:
        results = structure.count
        parts, objects = _parts(structure)
        self._inputs, self._parts = _table(Input, len(inputs)), _table(Part, len(parts))
        self._kept = (
            slow,
            objects,
            [np.dtype(s.type.dtype.name) for s in inputs],
            [sys.intern(s.name) for s in inputs],
        )
        for row, spec, dtype, name in zip(self._inputs, inputs, *self._kept[2:], strict=True):
            is_python = dtype.kind == "f" and not spec.type.shape
            row[Input.DTYPE], row[Input.RANK], row[Input.NAME] = id(dtype), len(spec.type.shape), id(name)
            row[Input.SCALAR] = 0 if spec.type.shape else id(dtype.type)
            row[Input.FLOAT] = dtype.itemsize if is_python else 0
            row[Input.FORMAT] = ord(dtype.char)
        self._parts[...] = np.array(parts, np.int64).reshape(-1, len(Part))
        self.words = words = _table(Dispatch)[0]
        words[Dispatch.SLOW] = id(slow)
        words[Dispatch.INPUTS], words[Dispatch.RESULTS] = len(inputs), results
        words[Dispatch.INPUT] = _address(self._inputs)
        words[Dispatch.PARTS] = len(parts)
        words[Dispatch.PART] = _address(self._parts)
        self._entries: tuple[Entry, ...] = ()

    def callable(self, address: int) -> Callable[..., Any]:
        """Return the object to call, which runs the machine code at `address`."""
        return _callable(address, _address(self.words), self)

    def tick(self) -> int:
        """Return the number of calls so far, this one counted."""
        self.words[Dispatch.CLOCK] += 1
        return int(self.words[Dispatch.CLOCK])

    def add(self, entry: Entry) -> None:
        """Let calls with the sizes of this entry run its code."""
        self._link((entry, *self._entries))

    def remove(self, entry: Entry) -> None:
        """Let no further call run the code of this entry."""
        self._link(tuple(e for e in self._entries if e is not entry))

    def _link(self, entries: tuple[Entry, ...]) -> None:
        for before, after in pairwise(entries):
            before.words[Code.NEXT] = _address(after.words)
        if entries:
            entries[-1].words[Code.NEXT] = 0
        self.words[Dispatch.CODE] = _address(entries[0].words) if entries else 0
        self._entries = entries


# How results become a nest.


def _parts(structure: Structure) -> tuple[list[tuple[int, int, int]], list[object]]:
    """Return the steps that build a nest, and the objects that they point to."""
    objects: list[object] = []
    return [] if structure.make is None else _steps(structure, 0, objects), objects


def _steps(structure: Structure, first: int, objects: list[object]) -> list[tuple[int, int, int]]:
    """Return the steps that build a nest whose leaves are the results from `first` on."""
    make, parts = structure.make, structure.parts
    if make is None:
        return [(Build.RESULT, first, 0)]
    starts = accumulate([p.count for p in parts[:-1]], initial=first)
    places = dict(zip(structure.keys, zip(parts, starts, strict=False), strict=True))
    written = structure.order or structure.keys
    steps = [step for key in written for step in _steps(places[key][0], places[key][1], objects)]
    thing: object = None
    if make is type(None):
        kind = Build.PUSH
    elif make in (tuple, list):
        kind = Build.TUPLE if make is tuple else Build.LIST
    elif make is dict:
        kind, thing = Build.DICT, written
    else:
        order = [written.index(key) for key in structure.keys]
        kind, thing = Build.CALL, lambda *found: structure.join([found[k] for k in order])
    objects.append(thing)
    return [*steps, (kind, len(parts), id(thing))]


# Whether all of this works here.


def reads_arrays() -> bool:
    """Tell whether objects and arrays lie in memory as the machine code reads them, by looking."""
    array, number = np.zeros((3, 5), np.float32), np.float64(1.5)
    if object.__basicsize__ != 16 or np.ndarray.__basicsize__ < 72:
        return False
    _, kind, data, rank, sizes, _, _, dtype, flags = (ctypes.c_int64 * 9).from_address(id(array))
    if (kind, data, rank & 0xFFFFFFFF, dtype) != (id(np.ndarray), array.ctypes.data, 2, id(array.dtype)):
        return False
    value = ctypes.c_double.from_address(id(number) + 16).value
    return flags & 0x101 == 0x101 and value == number and tuple((ctypes.c_int64 * 2).from_address(sizes)) == (3, 5)


def works(address: int) -> bool:
    """Tell whether the machine code for calls serves a call as it should, by calling it."""
    seen: list[list[int]] = []

    def run(slots: Any, failure: Any) -> int:
        given = ctypes.cast(slots, ctypes.POINTER(ctypes.c_int64))
        seen.append([given[k] for k in range(4)])
        ctypes.c_float.from_address(given[3]).value = 2.5
        return 0

    entry = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(run)
    code = ctypes.cast(entry, ctypes.c_void_p).value or 0
    f32 = np.dtype(np.float32)
    inputs = [InputSpec("x", TensorType(f32, (2, 3)), None), InputSpec("y", TensorType(f32, ()), None)]
    structure = Structure(dict, ("a", "b"), (Structure(None), Structure(None)), ("a", "b"))
    path = Path(inputs, structure, lambda *args, **named: None)
    slots = (ctypes.c_void_p * 4)()
    results = [TensorType(f32, (4,)), TensorType(f32, ())]
    path.add(Entry(code, [(2, 3), ()], results, ctypes.addressof(slots), None, lambda *f: None, slots, releases=False))
    call = path.callable(address)
    x, y = np.ones((2, 3), np.float32), np.array(1.0, np.float32)
    found = call(x, y=y)
    if not isinstance(found, dict) or list(found) != ["a", "b"] or len(seen) != 1:
        return False
    a, b = found["a"], found["b"]
    fits = isinstance(a, np.ndarray) and a.shape == (4,) and a.dtype == f32 and isinstance(b, np.float32) and b == 2.5
    slow = call(x) is None and call(x.T, y) is None and call(np.ones((2, 3)), y) is None and len(seen) == 1
    return bool(fits and slow and seen[0][:3] == [x.ctypes.data, y.ctypes.data, a.ctypes.data])
