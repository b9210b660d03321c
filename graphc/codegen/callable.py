"""The call path: one function of machine code that Python calls for every compiled function (tables: `ir.calls`).

    PyObject *call(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)

It checks the arguments, finds the code for their sizes, makes the results with NumPy, runs the code and builds the
nest. Whatever is not as it expects goes to the slow path, which converts or raises, with nothing done before. No other
Python code runs between filling the slots and the end of the code, except during code that RELEASES the GIL: that code
is BUSY meanwhile, and a second call of it takes the slow path, which has slots of its own.

Arrays are read as NumPy's headers lay them out, or, where a self-test finds otherwise, through buffers.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

from graphc.codegen.writer import Writer
from graphc.ir.calls import Build, Code, Dispatch, Input, Lock, Output, Part
from graphc.target import Target

TYPE_OFFSET = 8
VALUE_OFFSET = 16
"""Where an object's type stands, and where a NumPy scalar's value and a Python float's: CPython's layout."""

DATA_OFFSET, RANK_OFFSET, SIZES_OFFSET, DTYPE_OFFSET, FLAGS_OFFSET = 16, 24, 32, 56, 64
"""NumPy's layout of an array's header."""

CONTIGUOUS_ALIGNED = 0x1 | 0x100

VIEW_BYTES = 80
VIEW_DATA, VIEW_RANK, VIEW_FORMAT, VIEW_SIZES = 0, 36, 40, 48
C_CONTIGUOUS_WITH_FORMAT = 0x38 | 0x04
"""Py_buffer's layout and the request for one: part of CPython's stable ABI since 3.11, and the same before."""

NEW_ARRAY, NEW_SCALAR = 94, 60
"""Places of PyArray_NewFromDescr and PyArray_Scalar in NumPy's table of functions: fixed as long as its ABI."""

SYMBOL = "graphc_call"


def symbols() -> dict[str, int]:
    """Return the addresses of what the code refers to besides functions of CPython."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = get(_multiarray_umath._ARRAY_API, None)
    functions = (ctypes.c_size_t * (NEW_ARRAY + 1)).from_address(table)
    objects = {"none": None, "true": True, "false": False, "float": float, "array": np.ndarray}
    return {
        "graphc_new_array": functions[NEW_ARRAY],
        "graphc_new_scalar": functions[NEW_SCALAR],
        **{f"graphc_{name}": id(value) for name, value in objects.items()},
    }


def emit_caller(target: Target, by_buffer: bool = False) -> str:
    """Return the module with the function `SYMBOL`."""
    writer = _Caller(by_buffer)
    text = writer.emit()
    objects = [f"@graphc_{name} = external global i8" for name in ("none", "true", "false", "float", "array")]
    return "\n".join([f'target triple = "{target.triple}"', "", *objects, *sorted(writer.declarations), "", text, ""])


@dataclass(frozen=True)
class _Argument:
    """Where an argument's data, and, for arrays, its sizes are."""

    data: str
    sizes: str


class _Caller(Writer):
    def __init__(self, by_buffer: bool) -> None:
        super().__init__(f"ptr @{SYMBOL}(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) nounwind")
        self.by_buffer = by_buffer

    def emit(self) -> str:
        self._enter()
        self._match_keywords()
        self._read_arguments()
        self._find_code()
        self._make_results()
        self._fill_slots()
        self._run()
        self._make_scalars()
        self._build_nest()
        self._ends()
        return self.text()

    def word(self, base: str, index: int, kind: str = "ptr") -> str:
        """Return a word of a table."""
        return self.load(self.at(base, index), 0, kind)

    def field(self, base: str, offset: int, kind: str = "ptr") -> str:
        """Return what stands at a byte offset of an object."""
        return self.load(self.at(base, offset, "i8"), 0, kind)

    def row(self, base: str, words: int, index: str) -> str:
        """Return the address of a table in a row of tables."""
        return self.at(base, self.set(f"mul i64 {index}, {words}"))

    def address(self, place: str) -> str:
        return self.set(f"ptrtoint ptr {place} to i64")

    # Before the code runs.

    def _enter(self) -> None:
        item = self.call("ptr", "PyTuple_GetItem", "ptr %self", "i64 0")
        self.dispatch = self.call("ptr", "PyLong_AsVoidPtr", f"ptr {item}")
        self.inputs = self.word(self.dispatch, Dispatch.INPUTS, "i64")
        self.results = self.word(self.dispatch, Dispatch.RESULTS, "i64")
        self.parts = self.word(self.dispatch, Dispatch.PARTS, "i64")
        self.input = self.word(self.dispatch, Dispatch.INPUT)
        self.given = self.array("ptr", self.inputs)
        self.data = self.array("ptr", self.inputs)
        self.sizes = self.array("ptr", self.inputs)
        self.numbers = self.array("i64", self.inputs)
        self.objects = self.array("ptr", self.results)
        self.scalars = self.array("i64", self.results)
        self.stack = self.array("ptr", self.set(f"add i64 {self.parts}, 1"))
        self.views = self.array(f"[{VIEW_BYTES} x i8]", self.inputs if self.by_buffer else "0")
        self.viewed = self.variable("i64")
        self.top = self.variable("i64")
        self.arguments = self.variable("ptr")
        self.code = self.variable("ptr")
        self.failure = self.variable("i64", 2)
        self.status = self.variable("i32")
        self.store(0, self.viewed)
        self.store(0, self.top)
        self.store("%args", self.arguments, 0, "ptr")

    def _match_keywords(self) -> None:
        """Leave arguments in the order of the inputs."""

        def positional() -> None:
            self.need(self.same("%nargs", self.inputs), "slow")

        def named() -> None:
            count = self.call("i64", "PyTuple_Size", "ptr %kwnames")
            total = self.set(f"add i64 %nargs, {count}")
            self.need(self.same(total, self.inputs), "slow")
            with self.each(self.inputs) as k:
                self.store("null", self.given, k, "ptr")
            with self.each("%nargs") as k:
                self.store(self.load("%args", k, "ptr"), self.given, k, "ptr")
            with self.each(count) as k:
                self._place(k)
            self.store(self.given, self.arguments, 0, "ptr")

        self.choose(self.same("%kwnames", "null", "ptr"), positional, named)

    def _place(self, keyword: str) -> None:
        """Put the argument of a keyword where its input is; keywords are interned, so `is` tells."""
        name = self.call("ptr", "PyTuple_GetItem", "ptr %kwnames", f"i64 {keyword}")
        found = self.variable("i64")
        self.store(-1, found)
        with self.each(self.inputs) as k:
            own = self.word(self.row(self.input, len(Input), k), Input.NAME)
            with self.where(self.same(own, name, "ptr")):
                self.store(k, found)
        place = self.load(found)
        self.leave(self.set(f"icmp slt i64 {place}, 0"), "slow")
        self.need(self.same(self.load(self.given, place, "ptr"), "null", "ptr"), "slow")
        value = self.load("%args", self.set(f"add i64 %nargs, {keyword}"), "ptr")
        self.store(value, self.given, place, "ptr")

    def _read_arguments(self) -> None:
        arguments = self.load(self.arguments, 0, "ptr")
        with self.each(self.inputs) as k:
            value = self.load(arguments, k, "ptr")
            kind = self.field(value, TYPE_OFFSET)
            spec = self.row(self.input, len(Input), k)
            self.choose(
                self.same(kind, "@graphc_array", "ptr"),
                lambda: self._read_array(k, value, spec),
                lambda: self._read_number(k, value, kind, spec),
            )

    def _read_array(self, k: str, value: str, spec: str) -> None:
        rank = self.word(spec, Input.RANK, "i64")
        if self.by_buffer:
            found = self._view(k, value, spec, rank)
        else:
            self.need(self.same(self.field(value, DTYPE_OFFSET), self.word(spec, Input.DTYPE), "ptr"), "slow")
            given = self.set(f"sext i32 {self.field(value, RANK_OFFSET, 'i32')} to i64")
            self.need(self.same(given, rank), "slow")
            flags = self.set(f"and i32 {self.field(value, FLAGS_OFFSET, 'i32')}, {CONTIGUOUS_ALIGNED}")
            self.need(self.same(flags, CONTIGUOUS_ALIGNED, "i32"), "slow")
            found = _Argument(self.field(value, DATA_OFFSET), self.field(value, SIZES_OFFSET))
        self.store(found.data, self.data, k, "ptr")
        self.store(found.sizes, self.sizes, k, "ptr")

    def _view(self, k: str, value: str, spec: str, rank: str) -> _Argument:
        view = self.at(self.views, self.load(self.viewed), f"[{VIEW_BYTES} x i8]")
        got = self.call("i32", "PyObject_GetBuffer", f"ptr {value}", f"ptr {view}", f"i32 {C_CONTIGUOUS_WITH_FORMAT}")
        with self.where(self.set(f"icmp ne i32 {got}, 0")):
            self.call("void", "PyErr_Clear")
            self.go("slow")
            self.block(self.name("unused"))
        self.store(self.set(f"add i64 {self.load(self.viewed)}, 1"), self.viewed)
        letters = self.load(self.field(view, VIEW_FORMAT), 0, "i16")
        wanted = self.set(f"trunc i64 {self.word(spec, Input.FORMAT, 'i64')} to i16")
        self.need(self.same(letters, wanted, "i16"), "slow")
        given = self.set(f"sext i32 {self.field(view, VIEW_RANK, 'i32')} to i64")
        self.need(self.same(given, rank), "slow")
        data = self.field(view, VIEW_DATA)
        off = self.set(f"and i64 {self.address(data)}, 7")
        self.need(self.same(off, 0), "slow")  # perhaps misaligned
        return _Argument(data, self.field(view, VIEW_SIZES))

    def _read_number(self, k: str, value: str, kind: str, spec: str) -> None:
        def scalar() -> None:
            self.store(self.at(value, VALUE_OFFSET, "i8"), self.data, k, "ptr")

        def other() -> None:
            size = self.word(spec, Input.FLOAT, "i64")
            self.need(self.same(kind, "@graphc_float", "ptr"), "slow")
            self.leave(self.same(size, 0), "slow")
            number = self.field(value, VALUE_OFFSET, "double")
            place = self.at(self.numbers, k)
            narrow = self.set(f"fptrunc double {number} to float")
            self.choose(
                self.same(size, 4),
                lambda: self.store(narrow, place, 0, "float"),
                lambda: self.store(number, place, 0, "double"),
            )
            self.store(place, self.data, k, "ptr")

        self.choose(self.same(kind, self.word(spec, Input.SCALAR), "ptr"), scalar, other)

    def _find_code(self) -> None:
        """Leave the code for the sizes of the arguments."""
        self.store(self.word(self.dispatch, Dispatch.CODE), self.code, 0, "ptr")
        self.go("look")
        self.block("look")
        code = self.load(self.code, 0, "ptr")
        self.leave(self.same(code, "null", "ptr"), "slow")
        wanted = self.variable("ptr")
        self.store(self.word(code, Code.SHAPES), wanted, 0, "ptr")
        with self.each(self.inputs) as k:
            rank = self.word(self.row(self.input, len(Input), k), Input.RANK, "i64")
            expected = self.load(wanted, 0, "ptr")
            with self.each(rank) as axis:
                sizes = self.load(self.sizes, k, "ptr")
                self.need(self.same(self.load(sizes, axis), self.load(expected, axis)), "differs")
            self.store(self.at(expected, rank), wanted, 0, "ptr")
        self.go("found")
        self.block("differs")
        self.store(self.word(code, Code.NEXT), self.code, 0, "ptr")
        self.go("look")
        self.block("found")
        clock = self.set(f"add i64 {self.word(self.dispatch, Dispatch.CLOCK, 'i64')}, 1")
        self.store(clock, self.at(self.dispatch, Dispatch.CLOCK))
        self.store(clock, self.at(code, Code.LAST_CALL))
        self.found = code
        self.output = self.word(code, Code.OUTPUT)
        self.call("void", "Py_IncRef", f"ptr {self.word(code, Code.OWNER)}")

    def _make_results(self) -> None:
        """Leave new arrays, null for scalars."""
        with self.each(self.results) as k:
            self.store("null", self.objects, k, "ptr")
        with self.each(self.results) as k:
            spec = self.row(self.output, len(Output), k)
            rank = self.word(spec, Output.RANK, "i64")
            with self.where(self.set(f"icmp ne i64 {rank}, 0")):
                dtype, sizes = self.word(spec, Output.DTYPE), self.word(spec, Output.SIZES)
                self.call("void", "Py_IncRef", f"ptr {dtype}")
                made = self.call(
                    "ptr", "graphc_new_array", "ptr @graphc_array", f"ptr {dtype}",
                    f"i32 {self.set(f'trunc i64 {rank} to i32')}", f"ptr {sizes}", "ptr null", "ptr null", "i32 0",
                    "ptr null",
                )  # fmt: skip
                self.leave(self.same(made, "null", "ptr"), "drop")
                self.store(made, self.objects, k, "ptr")

    def _fill_slots(self) -> None:
        """Making arrays may have run other Python code, so only now look whether the slots and the state are free."""
        code = self.found
        self.leave(self.set(f"icmp ne i64 {self.word(code, Code.BUSY, 'i64')}, 0"), "retry")
        self.lock = self.word(code, Code.LOCK)
        self.has_lock = self.set(f"icmp ne ptr {self.lock}, null")
        with self.where(self.has_lock):
            held = self.load(self.word(self.lock, Lock.HELD))
            self.leave(self.set(f"icmp ne i64 {held}, 0"), "retry")
        self.slots = self.word(code, Code.SLOTS)
        with self.each(self.inputs) as k:
            self.store(self.load(self.data, k, "ptr"), self.slots, k, "ptr")
        with self.each(self.results) as k:
            made = self.load(self.objects, k, "ptr")
            slot = self.set(f"add i64 {self.inputs}, {k}")
            self.choose(
                self.same(made, "null", "ptr"),
                lambda: self.store(self.at(self.scalars, k), self.slots, slot, "ptr"),
                lambda: self.store(self._data_of(made), self.slots, slot, "ptr"),
            )

    def _data_of(self, made: str) -> str:
        """Return where the elements of a new array stand."""
        if not self.by_buffer:
            return self.field(made, DATA_OFFSET)
        view = self.variable(f"[{VIEW_BYTES} x i8]")
        got = self.call("i32", "PyObject_GetBuffer", f"ptr {made}", f"ptr {view}", f"i32 {C_CONTIGUOUS_WITH_FORMAT}")
        self.leave(self.set(f"icmp ne i32 {got}, 0"), "drop")
        data = self.field(view, VIEW_DATA)
        self.call("void", "PyBuffer_Release", f"ptr {view}")  # the array keeps its memory
        return data

    # The code.

    def _run(self) -> None:
        releases = self.set(f"icmp ne i64 {self.word(self.found, Code.RELEASES, 'i64')}, 0")
        self.choose(releases, self._run_released, self._run_held)
        failed = self.set(f"icmp ne i32 {self.load(self.status, 0, 'i32')}, 0")
        self.leave(failed, "fail")

    def _run_held(self) -> None:
        entry = self.word(self.found, Code.ENTRY)
        status = self.set(f"call i32 {entry}(ptr {self.slots}, ptr {self.failure})")
        self.store(status, self.status, 0, "i32")

    def _run_released(self) -> None:
        """Run while other Python threads do; nobody holds the lock or uses the slots, so both are taken at once."""
        busy = self.at(self.found, Code.BUSY)
        with self.where(self.has_lock):
            taken = self._call_object(self.word(self.lock, Lock.ACQUIRE), ["@graphc_false"])
            self.leave(self.same(taken, "null", "ptr"), "drop")
            self.call("void", "Py_DecRef", f"ptr {taken}")  # True is immortal or has other owners
            self.need(self.same(taken, "@graphc_true", "ptr"), "retry")
            self.store(1, self.word(self.lock, Lock.HELD))
        release = self.variable("ptr")
        self.store("null", release, 0, "ptr")
        with self.where(self.has_lock):
            self.store(self.word(self.lock, Lock.RELEASE), release, 0, "ptr")
        self.store(1, busy)
        thread = self.call("ptr", "PyEval_SaveThread")
        self._run_held()
        self.call("void", "PyEval_RestoreThread", f"ptr {thread}")
        self.store(0, busy)
        with self.where(self.has_lock):
            self.store(0, self.word(self.lock, Lock.HELD))
            done = self._call_object(self.load(release, 0, "ptr"), [])
            self.leave(self.same(done, "null", "ptr"), "drop")
            self.call("void", "Py_DecRef", f"ptr {done}")

    def _call_object(self, function: str, args: list[str], named: str = "null") -> str:
        """Return what a Python object returns that is called with objects."""
        places = self.variable("ptr", max(1, len(args)))
        for k, arg in enumerate(args):
            self.store(arg, places, k, "ptr")
        return self.call(
            "ptr", "PyObject_VectorcallDict", f"ptr {function}", f"ptr {places}", f"i64 {len(args)}", f"ptr {named}"
        )

    # After the code.

    def _make_scalars(self) -> None:
        with self.each(self.results) as k, self.where(self.same(self.load(self.objects, k, "ptr"), "null", "ptr")):
            dtype = self.word(self.row(self.output, len(Output), k), Output.DTYPE)
            place = self.at(self.scalars, k)
            made = self.call("ptr", "graphc_new_scalar", f"ptr {place}", f"ptr {dtype}", "ptr null")
            self.leave(self.same(made, "null", "ptr"), "drop")
            self.store(made, self.objects, k, "ptr")

    def _build_nest(self) -> None:
        with self.where(self.same(self.parts, 0)):
            self.store(self.load(self.objects, 0, "ptr"), self.stack, 0, "ptr")
            self.store("null", self.objects, 0, "ptr")
        part = self.word(self.dispatch, Dispatch.PART)
        with self.each(self.parts) as k:
            self._build(self.row(part, len(Part), k))
        self._release_views()
        self.call("void", "Py_DecRef", f"ptr {self.word(self.found, Code.OWNER)}")
        self.line(f"ret ptr {self.load(self.stack, 0, 'ptr')}")

    def _build(self, part: str) -> None:
        kind, count = self.word(part, Part.KIND, "i64"), self.word(part, Part.COUNT, "i64")
        thing = self.word(part, Part.OBJECT)
        following, others = self.name("built"), self.name("kinds")
        labels = {k: self.name(k.name.lower()) for k in Build}
        cases = " ".join(f"i64 {k.value}, label %{label}" for k, label in labels.items())
        self.line(f"switch i64 {kind}, label %{others} [{cases}]")
        self.block(others)
        self.line("unreachable")
        build = {
            Build.RESULT: lambda: self._push_result(count),
            Build.PUSH: lambda: self._push_object(thing),
            Build.TUPLE: lambda: self._push_row("PyTuple", count),
            Build.LIST: lambda: self._push_row("PyList", count),
            Build.CALL: lambda: self._push_called(thing, count),
            Build.DICT: lambda: self._push_dict(thing, count),
        }
        for k, label in labels.items():
            self.block(label)
            build[k]()
            self.go(following)
        self.block(following)

    def _push(self, thing: str) -> None:
        top = self.load(self.top)
        self.store(thing, self.stack, top, "ptr")
        self.store(self.set(f"add i64 {top}, 1"), self.top)

    def _last(self, count: str) -> str:
        """Return the address of the last parts."""
        return self.at(self.stack, self.set(f"sub i64 {self.load(self.top)}, {count}"), "ptr")

    def _drop(self, count: str) -> None:
        self.store(self.set(f"sub i64 {self.load(self.top)}, {count}"), self.top)

    def _push_result(self, k: str) -> None:
        made = self.load(self.objects, k, "ptr")
        self.store("null", self.objects, k, "ptr")
        self._push(made)

    def _push_object(self, thing: str) -> None:
        self.call("void", "Py_IncRef", f"ptr {thing}")
        self._push(thing)

    def _push_row(self, kind: str, count: str) -> None:
        row = self.call("ptr", f"{kind}_New", f"i64 {count}")
        self.leave(self.same(row, "null", "ptr"), "drop")
        last = self._last(count)
        with self.each(count) as k:
            self.call("i32", f"{kind}_SetItem", f"ptr {row}", f"i64 {k}", f"ptr {self.load(last, k, 'ptr')}")
        self._drop(count)
        self._push(row)

    def _release_last(self, last: str, count: str) -> None:
        with self.each(count) as k:
            self.call("void", "Py_DecRef", f"ptr {self.load(last, k, 'ptr')}")
        self._drop(count)

    def _push_called(self, function: str, count: str) -> None:
        last = self._last(count)
        made = self.call("ptr", "PyObject_VectorcallDict", f"ptr {function}", f"ptr {last}", f"i64 {count}", "ptr null")
        self.leave(self.same(made, "null", "ptr"), "drop")
        self._release_last(last, count)
        self._push(made)

    def _push_dict(self, keys: str, count: str) -> None:
        made = self.call("ptr", "PyDict_New")
        self.leave(self.same(made, "null", "ptr"), "drop")
        last = self._last(count)
        with self.each(count) as k:
            key = self.call("ptr", "PyTuple_GetItem", f"ptr {keys}", f"i64 {k}")
            done = self.call("i32", "PyDict_SetItem", f"ptr {made}", f"ptr {key}", f"ptr {self.load(last, k, 'ptr')}")
            with self.where(self.set(f"icmp ne i32 {done}, 0")):
                self.call("void", "Py_DecRef", f"ptr {made}")
                self.go("drop")
                self.block(self.name("unused"))
        self._release_last(last, count)
        self._push(made)

    # Other ends: `slow` with nothing done, `retry` with results made, `fail` after the code, `drop` with an error set.

    def _ends(self) -> None:
        self.block("retry")
        self._release_results()
        self.call("void", "Py_DecRef", f"ptr {self.word(self.found, Code.OWNER)}")
        self.go("slow")
        self.block("slow")
        self._release_views()
        self._call_slow()
        self.block("fail")
        self._raise_failure()
        self.go("drop")
        self.block("drop")
        self._release_results()
        self._release_views()
        self.call("void", "Py_DecRef", f"ptr {self.word(self.load(self.code, 0, 'ptr'), Code.OWNER)}")
        self.line("ret ptr null")

    def _release_results(self) -> None:
        with self.each(self.results) as k:
            made = self.load(self.objects, k, "ptr")
            with self.where(self.set(f"icmp ne ptr {made}, null")):
                self.call("void", "Py_DecRef", f"ptr {made}")
        with self.each(self.load(self.top)) as k:
            self.call("void", "Py_DecRef", f"ptr {self.load(self.stack, k, 'ptr')}")

    def _release_views(self) -> None:
        if not self.by_buffer:
            return
        with self.each(self.load(self.viewed)) as k:
            self.call("void", "PyBuffer_Release", f"ptr {self.at(self.views, k, f'[{VIEW_BYTES} x i8]')}")

    def _call_slow(self) -> None:
        slow = self.word(self.dispatch, Dispatch.SLOW)
        named = self.variable("ptr")
        self.store("null", named, 0, "ptr")
        with self.where(self.set("icmp ne ptr %kwnames, null")):
            made = self.call("ptr", "PyDict_New")
            with self.where(self.same(made, "null", "ptr")):
                self.line("ret ptr null")
                self.block(self.name("unused"))
            count = self.call("i64", "PyTuple_Size", "ptr %kwnames")
            with self.each(count) as k:
                name = self.call("ptr", "PyTuple_GetItem", "ptr %kwnames", f"i64 {k}")
                value = self.load("%args", self.set(f"add i64 %nargs, {k}"), "ptr")
                self.call("i32", "PyDict_SetItem", f"ptr {made}", f"ptr {name}", f"ptr {value}")
            self.store(made, named, 0, "ptr")
        given = self.load(named, 0, "ptr")
        result = self.call("ptr", "PyObject_VectorcallDict", f"ptr {slow}", "ptr %args", "i64 %nargs", f"ptr {given}")
        with self.where(self.set(f"icmp ne ptr {given}, null")):
            self.call("void", "Py_DecRef", f"ptr {given}")
        self.line(f"ret ptr {result}")

    def _raise_failure(self) -> None:
        site = self.call("ptr", "PyLong_FromLongLong", f"i64 {self.load(self.failure)}")
        value = self.call("ptr", "PyLong_FromLongLong", f"i64 {self.load(self.failure, 1)}")
        for number in (site, value):
            self.leave(self.same(number, "null", "ptr"), "drop")
        returned = self._call_object(self.word(self.load(self.code, 0, "ptr"), Code.FAIL), [site, value])
        for thing in (site, value, returned):
            with self.where(self.set(f"icmp ne ptr {thing}, null")):
                self.call("void", "Py_DecRef", f"ptr {thing}")
