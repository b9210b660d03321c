"""Calls straight into machine code: what they serve, what they leave to Python, that they hold on to nothing."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc import compiler
from graphc.codegen.callable import SYMBOL, emit_caller, symbols
from graphc.codegen.jit import Machine
from graphc.ir.calls import Dispatch
from graphc.ir.types import DTYPE_NAMES
from graphc.runtime import native
from graphc.runtime.callpath import reads_arrays, works
from graphc.target import host

MACHINES = {
    by_buffer: Machine(emit_caller(host(), by_buffer), SYMBOL, host(), symbols()) for by_buffer in (False, True)
}


class SlowPathError(Exception):
    """A call was left to Python that machine code should have served."""


@pytest.fixture(params=[False, True], ids=["headers", "buffers"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[gx.Executable], gx.Executable]:
    """Compile for one of the two ways of reading arrays; the function given makes the slow path an error."""
    monkeypatch.setattr(compiler, "caller", lambda: MACHINES[request.param])

    def forbid(*args: Any, **named: Any) -> None:
        raise SlowPathError

    def only_fast(f: gx.Executable) -> gx.Executable:
        f._path.words[Dispatch.SLOW] = id(forbid)
        return f

    return only_fast


Fast = Callable[[gx.Executable], gx.Executable]


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every call release the GIL, however short."""
    monkeypatch.setattr(native, "RELEASE_SECONDS", -1.0)


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Record:
    total: Any
    parts: Any


def vector(dtype: str = "float32", name: str = "x") -> gx.Tensor:
    return gx.placeholder(("n",), dtype, name=name)


class TestServed:
    @pytest.mark.parametrize("dtype", [d.name for d in DTYPE_NAMES])
    def test_every_dtype(self, dtype: str, fast: Fast) -> None:
        x, s = vector(dtype), gx.placeholder((), dtype, name="s")
        f = gx.compile([x, s], [x, s])
        given, number = np.arange(5).astype(dtype), np.dtype(dtype).type(1)
        f(given, number)
        fast(f)
        for scalar in (number, np.array(1, dtype)):
            array, same = f(given, scalar)
            np.testing.assert_array_equal(array, given)
            assert array.dtype == given.dtype
            assert type(same) is np.dtype(dtype).type
            assert same == number

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_python_floats(self, dtype: str, fast: Fast) -> None:
        s = gx.placeholder((), dtype, name="s")
        f = fast(gx.compile([s], s + s))
        assert f(1.5) == 3
        assert np.isnan(f(float("nan")))

    def test_names_in_any_order(self, fast: Fast) -> None:
        a, b, c = (gx.placeholder((), name=n) for n in "abc")
        f = fast(gx.compile([a, b, c], a * 100 + b * 10 + c))
        assert f(1.0, 2.0, 3.0) == f(1.0, c=3.0, b=2.0) == f(c=3.0, a=1.0, b=2.0) == 123

    def test_every_nest(self, fast: Fast) -> None:
        x = gx.placeholder((2,), name="x")
        nest = {"z": [x, (x + 1, None, ())], "a": Pair(Record(gx.sum(x), {"q": x}), []), 3: {}}
        f = gx.compile([x], nest)
        slow = f._call(np.ones(2, np.float32))
        found = fast(f)(np.ones(2, np.float32))
        assert repr(found) == repr(slow)
        assert list(found) == ["z", "a", 3]
        assert type(found["a"]) is Pair
        assert type(found["a"].first) is Record

    def test_several_sizes_take_turns(self, fast: Fast) -> None:
        x, y = vector(), gx.placeholder(("n", 2), name="y")
        f = gx.compile([x, y], gx.sum(x) + gx.sum(y))
        for n in range(5):
            f(np.ones(n, np.float32), np.ones((n, 2), np.float32))
        fast(f)
        for n in (3, 0, 4, 1, 2):
            assert f(np.ones(n, np.float32), np.ones((n, 2), np.float32)) == 3 * n

    def test_sizes_that_go_are_made_again(self, fast: Fast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("graphc.runtime.executable.MAX_SPECIALIZATIONS", 2)
        x = vector()
        f = gx.compile([x], gx.sum(x))
        for n in (1, 2, 1, 3):
            f(np.ones(n, np.float32))
        assert [s.sizes["n"] for s in f.specializations] == [1, 3]
        assert f(np.ones(2, np.float32)) == 2
        assert [s.sizes["n"] for s in f.specializations] == [3, 2]

    def test_updates(self, fast: Fast) -> None:
        v = gx.variable(np.zeros(3), name="v")
        add = fast(gx.compile([], v, updates={v: v + 1}))
        assert [add().tolist() for _ in range(2)] == [[0, 0, 0], [1, 1, 1]]
        assert v.value.tolist() == [2, 2, 2]


class TestLeftToPython:
    @pytest.mark.parametrize(
        "value",
        [
            [1, 2, 3],
            np.array([1, 9, 2, 9, 3], np.float32)[::2],
            np.array([1, 2, 3], ">f4"),
            np.array([1, 2, 3], np.int8),
            np.frombuffer(b"\0" + np.array([1, 2, 3], np.float32).tobytes(), np.uint8)[1:].view(np.float32),
            np.array([1, 2, 3], np.float32).view(np.ma.MaskedArray),
        ],
        ids=["list", "strided", "big-endian", "int8", "misaligned", "subclass"],
    )
    def test_values_that_are_converted(self, value: Any, fast: Fast) -> None:
        x = vector()
        f = gx.compile([x], x * 2)
        f(np.ones(3, np.float32))
        np.testing.assert_array_equal(f(value), np.array([2, 4, 6], np.float32))
        np.testing.assert_array_equal(f(x=value), np.array([2, 4, 6], np.float32))
        with pytest.raises(SlowPathError):
            fast(f)(value)

    def test_errors_are_those_of_python(self, fast: Fast) -> None:
        x, y = vector(), vector(name="y")
        f = gx.compile([x, y], x + y)
        one, two = np.ones(1, np.float32), np.ones(2, np.float32)
        for args, named, message in [
            ((one,), {}, "missing"),
            ((one, one, one), {}, "takes 2 inputs"),
            ((one,), {"z": one}, "no input 'z'"),
            ((one,), {"x": one}, "by position and by name"),
            ((one, two), {}, "dimension 'n'"),
            ((one, None), {}, "NoneType"),
        ]:
            with pytest.raises(gx.InputError, match=message):
                f(*args, **named)

    def test_an_index_out_of_bounds(self, fast: Fast) -> None:
        x, k = vector(), gx.placeholder((), "int64", name="k")
        v = gx.variable(0.0, dtype="float32", name="v")
        f = gx.compile([x, k], gx.take(x, k), updates={v: v + 1})
        assert f(np.arange(4, dtype=np.float32), np.int64(3)) == 3
        fast(f)
        for _ in range(3):
            with pytest.raises(gx.OutOfBoundsError, match="4"):
                f(np.arange(4, dtype=np.float32), np.int64(4))
        assert v.value == 1

    def test_no_memory_for_a_result(self, fast: Fast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("graphc.compiler.require_memory", lambda name, nbytes: None)
        v, s = gx.variable(0, name="v"), gx.placeholder((), name="s")
        f = fast(gx.compile([s], [s, gx.broadcast_to(s, (1 << 50,))], updates={v: v + 1}))
        for _ in range(3):
            with pytest.raises(MemoryError):
                f(1.0)
        assert v.value == 0

    def test_too_many_values(self, fast: Fast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("graphc.runtime.executable.MAX_VALUES", 3)
        x = vector()
        f = gx.compile([x], [x, x + 1, x + 2])
        assert f([1])[2] == 3


class TestNothingIsHeld:
    def test_arguments_results_and_failures(self, fast: Fast) -> None:
        x, k = vector(), gx.placeholder((), "int64", name="k")
        f = gx.compile([x, k], {"a": [x, None], "b": (gx.sum(x), gx.take(x, k))})
        given, at, far = np.ones(3, np.float32), np.int64(1), np.int64(7)
        things = [given, at, far, given.dtype, None, f, f._structure.keys, f._path._entries]

        def use() -> None:
            for _ in range(200):
                f(given, k=at)
                f(given, at)
                f([1.0], 0)
                with pytest.raises(gx.OutOfBoundsError):
                    f(given, far)
                with pytest.raises(gx.InputError):
                    f(given, nothing=1)

        use()
        gc.collect()
        before, objects = [sys.getrefcount(t) for t in things], len(gc.get_objects())
        use()
        gc.collect()
        assert len(gc.get_objects()) - objects < 100
        assert all(abs(a - b) < 100 for a, b in zip([sys.getrefcount(t) for t in things], before, strict=True))

    def test_the_function_itself_goes(self, fast: Fast) -> None:
        x = vector()
        f = gx.compile([x], [x + 1])
        f([1])
        call = f.__call__
        gone = weakref.ref(f)
        del f
        gc.collect()
        assert gone() is not None
        assert call(np.ones(1, np.float32)) == [2]
        del call
        gc.collect()
        assert gone() is None


@pytest.mark.usefixtures("released")
class TestWhileOthersRun:
    def run(self, work: Callable[[], None], threads: int = 4) -> None:
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  reported below
                errors.append(error)

        started = [threading.Thread(target=guarded) for _ in range(threads)]
        for t in started:
            t.start()
        for t in started:
            t.join()
        assert errors == []

    def test_calls_do_not_share_memory(self, fast: Fast) -> None:
        x = vector()
        f = gx.compile([x], [gx.nn.softmax(x), gx.sum(gx.exp(x) * x)])

        def work() -> None:
            seed = threading.get_ident() % 1000
            given = np.random.default_rng(seed).standard_normal(5000).astype(np.float32)
            alone = f(given)
            for _ in range(200):
                for a, b in zip(f(given), alone, strict=True):
                    np.testing.assert_array_equal(a, b)

        self.run(work)

    def test_every_update_counts(self, fast: Fast) -> None:
        v, w = gx.variable(np.zeros(2000), name="v"), gx.variable(np.zeros(2000), name="w")
        add = gx.compile([], [v, w], updates={v: v + 1, w: w - 1})
        other = gx.compile([], [], updates={w: w * 1})

        def work() -> None:
            for k in range(300):
                a, b = add()
                np.testing.assert_array_equal(a, -b)
                if k % 50 == 0:
                    other()
                    v.value  # noqa: B018  waits for calls

        self.run(work)
        np.testing.assert_array_equal(v.value, 1200)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_child_of_a_busy_process_can_call(self, fast: Fast) -> None:
        v = gx.variable(np.zeros(1 << 20), name="v")
        add = gx.compile([], [], updates={v: v + 1})
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                add()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(5):
                child = os.fork()
                if child == 0:
                    add()
                    os._exit(0)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            stop.set()
            thread.join()


def test_the_machine_is_as_the_code_takes_it_to_be() -> None:
    assert reads_arrays()
    assert all(works(machine.address) for machine in MACHINES.values())
    assert compiler.caller() is not None


def test_code_that_does_not_work_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for tried in ([False, True], [False, False]):
        answers = iter(tried)
        monkeypatch.setattr(compiler, "works", lambda address, answers=answers: next(answers))
        assert (compiler.caller.__wrapped__() is not None) == any(tried)
    monkeypatch.setattr(compiler, "caller", lambda: None)
    x = vector()
    assert gx.compile([x], gx.sum(x))(np.ones(3, np.float32)) == 3
