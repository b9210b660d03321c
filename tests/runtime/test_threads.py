"""Compiled functions on several threads: the same results to the bit, whoever else calls, forks or ends meanwhile."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import Graph, items
from graphc.ir.loops import Call
from graphc.ir.types import TupleType
from graphc.lower.cost import threads_for
from graphc.runtime.pool import threads_of_environment
from graphc.target import host
from tests.machine import MACHINE
from tests.native import TARGETS, LoweredGraph, NativeGraph
from tests.ops.samples import ALL, Sample
from tests.pools import TestPool
from tests.random_graphs import RandomChoices, random_program

Array = np.ndarray[Any, Any]

COUNTS = (1, 2, 3, 5)
EAGER = {name: replace(target, share_cycles=0.0, cores=8) for name, target in TARGETS.items()}
"""Targets for which every kernel is divided that can be."""


@pytest.fixture(scope="module")
def pool() -> Iterator[TestPool]:
    made = TestPool(1)
    yield made
    made.control()


@pytest.fixture(autouse=True)
def _default_threads() -> Iterator[None]:
    yield
    gx.set_threads(None)


def assert_same(a: Any, b: Any) -> None:
    for x, y in zip(a, b, strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


# The same for every number of threads.


def on_all_counts(native: NativeGraph, pool: TestPool, *given: Any) -> None:
    results = []
    for threads in (*COUNTS, 2):
        pool.header[1] = threads
        try:
            results.append(native(*given))
        except gx.OutOfBoundsError as error:
            results.append((np.frombuffer(str(error).encode(), np.uint8),))
    for result in results[1:]:
        assert_same(result, results[0])


@pytest.mark.parametrize("target", EAGER)
@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int, target: str, pool: TestPool) -> None:
    program = random_program(RandomChoices(seed))
    on_all_counts(NativeGraph(program.graph, EAGER[target], pool.address), pool, program.inputs, program.variables)


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_every_operation(sample: Sample, pool: TestPool) -> None:
    inputs = sample.placeholders()
    node = sample.node(inputs)
    outputs = tuple(items(node)) if isinstance(node.type, TupleType) else (node,)
    on_all_counts(NativeGraph(Graph(tuple(inputs), outputs), EAGER["host"], pool.address), pool, sample.arrays())


X = np.random.default_rng(0).normal(size=(304, 512)).astype(np.float32)
WORKLOADS: dict[str, Callable[[gx.Tensor], list[gx.Tensor]]] = {
    "elementwise": lambda x: [gx.tanh(x) * gx.exp(-x)],
    "softmax": lambda x: [gx.nn.softmax(x)],
    "rows": lambda x: [gx.sum(x * x, axis=1)],
    "columns": lambda x: [gx.sum(gx.exp(x), axis=0)],
    "everything": lambda x: [gx.sum(x), gx.mean(x * x), gx.max(x)],
    "product": lambda x: [gx.tanh(x @ x.T)],
    "transposed": lambda x: [x.T + 1],
    "scan": lambda x: [gx.scan(lambda c, r: (gx.tanh(c + r), gx.sum(c)), gx.zeros(512), x)[1]],
    "gather": lambda x: [gx.take(x, np.arange(400) % 304, axis=0)],
    "scatter": lambda x: [x.at[np.arange(400) % 304].add(1.5)],
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_of_ordinary_size(name: str) -> None:
    x = gx.placeholder(X.shape, name="x")
    f = gx.compile([x], WORKLOADS[name](x))
    gx.set_threads(1)
    expected = f(X)
    for threads in (2, 3, 5, 2):
        gx.set_threads(threads)
        for _ in range(3):
            assert_same(f(X), expected)


def test_many_steps_run_from_a_table(pool: TestPool) -> None:
    """Updates of many variables become a table of calls; some of them may fail."""
    index = gx.placeholder((4,), "int64", name="index")
    variables = {gx.variable(np.full((50 + 20 * k, 33), k, np.float32), name=f"v{k}"): k for k in range(30)}
    updates = {v: gx.tanh(v) * 2 + gx.take(v, index, axis=0)[0] for v in variables}
    graph = Graph((index.node,), (), tuple((v.node, u.node) for v, u in updates.items()))
    native = NativeGraph(graph, EAGER["host"], pool.address)
    assert len(native.program.steps) >= 24
    state = {v.node: v.value for v in variables}
    on_all_counts(native, pool, [np.arange(4)], state)
    on_all_counts(native, pool, [np.array([0, 49, 63, 64])], state)


def test_the_first_fault_is_reported() -> None:
    table, index = gx.placeholder((100, 64), name="table"), gx.placeholder((5000,), "int64", name="index")
    f = gx.compile([table, index], gx.exp(gx.take(table, index, axis=0)))
    assert "threads=" in f.text("kernels")
    rows, numbers = np.ones((100, 64), np.float32), np.arange(5000) % 100
    for bad in ([4000], [10, 4000], [2499, 2500], [4999, 0]):
        wrong = numbers.copy()
        wrong[bad] = 100 + np.array(bad)
        for threads in COUNTS:
            gx.set_threads(threads)
            for _ in range(5):
                with pytest.raises(gx.OutOfBoundsError, match=f"{100 + min(bad)} "):
                    f(rows, wrong)


# How many.


def test_which_kernels_are_divided() -> None:
    def most(*shape: int, target: Any = MACHINE) -> int:
        x = gx.placeholder(shape, name="x")
        native = LoweredGraph(Graph((x.node,), (gx.exp(gx.tanh(gx.sin(x))).node,)), target)
        (step,) = native.program.steps
        assert isinstance(step, Call)
        return step.threads

    counts = [most(1 << k) for k in range(8, 24)]
    assert counts[0] == 1
    assert counts[-1] > 8
    assert counts == sorted(counts)
    assert most(128) == 1 < most(128, target=replace(MACHINE, share_cycles=0.0))


def test_memory_does_not_get_quicker_beyond_the_cores() -> None:
    x = gx.placeholder((1 << 24,), name="x")
    (step,) = LoweredGraph(Graph((x.node,), ((x + 1).node,)), MACHINE).program.steps
    assert isinstance(step, Call)
    assert step.threads == MACHINE.cores
    assert threads_for(step.kernel, MACHINE, 3)[0] == 3
    assert threads_for(step.kernel, MACHINE, 1)[0] == 1
    assert threads_for(step.kernel, replace(MACHINE, share_cycles=1e30), None)[0] == 1


def test_the_limit_of_one_function() -> None:
    x = gx.placeholder(X.shape, name="x")

    def text(threads: int | None) -> str:
        return gx.compile([x], gx.exp(gx.tanh(gx.sin(x))), options=gx.Options(threads=threads)).text("kernels")

    assert "threads=" not in text(1)
    assert "threads=2" in text(2)
    assert int(text(None).split("threads=")[1].split(")")[0]) > 2


@pytest.mark.parametrize("count", [0, -1, 2.0, "2", True])
def test_what_is_no_number_of_threads(count: Any) -> None:
    with pytest.raises(gx.ArgumentError, match=f"set_threads: .* must be a positive int or None, got {count!r}"):
        gx.set_threads(count)
    with pytest.raises(gx.ArgumentError, match=f"Options: threads must be a positive int or None, got {count!r}"):
        gx.Options(threads=count)


def test_the_number_that_was_set() -> None:
    default = gx.get_threads()
    assert 1 <= default <= len(os.sched_getaffinity(0))
    gx.set_threads(3)
    assert gx.get_threads() == 3
    gx.set_threads(100_000)
    assert gx.get_threads() == 256
    gx.set_threads(None)
    assert gx.get_threads() == default


@pytest.mark.parametrize(("text", "count"), [(None, None), ("", None), (" ", None), ("1", 1), (" 12 ", 12)])
def test_the_environment(text: str | None, count: int | None) -> None:
    assert threads_of_environment(text) == count


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "2,2", "\u0662"])
def test_nonsense_in_the_environment(text: str) -> None:
    with pytest.raises(gx.ArgumentError, match="GRAPHC_THREADS: must be a positive integer, got "):
        threads_of_environment(text)


# Processes.


def run(code: str, **environment: str) -> str:
    """Run a program in a process of its own; return what it printed. It must end well, and by itself."""
    given = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + textwrap.dedent(code)],
        env=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


PREPARED = """
import os, threading, time
import numpy as np
import graphc as gx
x = gx.placeholder((1000, 1000), name="x")
a = np.linspace(0, 1, 1000000, dtype=np.float32).reshape(1000, 1000)
compiled = lambda: gx.compile([x], gx.exp(gx.tanh(gx.sin(x))))  # enough arithmetic for any number of threads
tasks = lambda: len(os.listdir("/proc/self/task"))
"""


def test_the_environment_of_a_process() -> None:
    assert run("print(gx.get_threads())", GRAPHC_THREADS="3") == "3"
    code = "b = tasks(); f = compiled(); f(a); print(tasks() - b)"
    assert run(code, GRAPHC_THREADS="4") == "3"
    assert run(code, GRAPHC_THREADS="1") == "0"


def test_no_thread_starts_before_it_is_needed() -> None:
    code = "b = tasks(); f = compiled(); print(tasks() - b); f(a); print(tasks() - b)"
    assert run(code, GRAPHC_THREADS="2").split() == ["0", "1"]


@pytest.mark.parametrize(
    "end",
    [
        "",
        "time.sleep(0.1)",
        "time.sleep(0.1); f(a)",
        "import sys; sys.exit()",
        "import atexit; atexit.register(lambda: f(a))",
        "del f",
        "threading.Thread(target=lambda: [f(a) for _ in range(200)]).start()",
        "import gc; del f; gx.set_threads(5); gc.collect()",
    ],
)
def test_a_process_ends(end: str) -> None:
    run(f"f = compiled()\nfor _ in range(3): f(a)\n{end}", GRAPHC_THREADS="3")


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forks_while_others_call() -> None:
    x = gx.placeholder(X.shape, name="x")
    f = gx.compile([x], gx.exp(x))
    gx.set_threads(3)
    expected = f(X)
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            f(X)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                good = all(f(X).tobytes() == expected.tobytes() for _ in range(10))
                os._exit(0 if good else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert_same([f(X)], [expected])


@forks
def test_a_fork_leaves_no_idle_worker_behind() -> None:
    code = """
    f = compiled(); f(a)
    before = tasks()
    child = os.fork()
    if child == 0:
        f(a); f(a)
        os._exit(0)
    os.waitpid(child, 0)
    after = tasks()
    f(a)
    print(before - after, tasks() - after)
    """
    assert run(code, GRAPHC_THREADS="3") == "2 2"


def _called(f: Any) -> bytes:
    return f(X).tobytes()


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_pool_of_processes() -> None:
    x = gx.placeholder(X.shape, name="x")
    global _function  # the children find it there, as it is not to be sent
    _function = gx.compile([x], gx.nn.softmax(x))
    expected = _function(X).tobytes()
    with multiprocessing.get_context("fork").Pool(3) as processes:
        assert processes.map(_call_function, range(20)) == [expected] * 20


_function: Any = None


def _call_function(_: int) -> bytes:
    return _called(_function)


# At once.


def at_once(work: Callable[[int], None], count: int) -> None:
    faults: list[BaseException] = []

    def guarded(k: int) -> None:
        try:
            work(k)
        except BaseException as fault:  # noqa: BLE001  handed to the main thread
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults


def test_thousands_of_calls_at_once_while_the_number_changes() -> None:
    n = gx.placeholder(("n", 64), name="x")
    f = gx.compile([n], [gx.exp(n), gx.sum(n, axis=1)])
    g = gx.compile([n], gx.nn.softmax(n), options=gx.Options(threads=2))
    inputs = [np.random.default_rng(k).normal(size=(100 + 300 * k, 64)).astype(np.float32) for k in range(4)]
    expected = [[*f(value), g(value)] for value in inputs]

    def call(k: int) -> None:
        for turn in range(1000):
            if k == 0:
                gx.set_threads(1 + turn % 5)
            assert_same([*f(inputs[k]), g(inputs[k])], expected[k])

    at_once(call, 4)


def test_updates_are_not_lost() -> None:
    v = gx.variable(np.zeros((300, 300), np.float32), name="v")
    add = gx.compile([], [], updates={v: v + 1})
    gx.set_threads(3)
    at_once(lambda _: [add() for _ in range(200)] and None, 4)
    assert (v.value == 800).all()


# The floating-point environment.

x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64", "aarch64"), reason="knows no such mode")
TINY = np.full((2000, 500), 1e-41, np.float32)


@x86
@pytest.mark.parametrize("threads", COUNTS)
def test_denormals_are_flushed_on_request_only(threads: int) -> None:
    gx.set_threads(threads)
    x = gx.placeholder(("n", 500), name="x")
    keep = gx.compile([x], [x * 2, gx.sum(x, axis=1)])
    flush = gx.compile([x], [x * 2, gx.sum(x, axis=1)], options=gx.Options(flush_denormals=True))
    for rows in (1, 2000, 2000):
        given = TINY[:rows]
        for _ in range(3):
            assert all((r > 0).all() for r in keep(given))
            assert not any(r.any() for r in flush(given))
            assert (given * np.float32(2) > 0).all()  # the thread that called keeps them


@x86
def test_denormals_come_back_after_a_failure() -> None:
    table, index = gx.placeholder((10,), name="t"), gx.placeholder((), "int64", name="i")
    f = gx.compile([table, index], gx.take(table, index) * 2, options=gx.Options(flush_denormals=True))
    assert f(TINY[0, :10], 3) == 0
    with pytest.raises(gx.OutOfBoundsError):
        f(TINY[0, :10], 10)
    assert (TINY[0] * np.float32(2) > 0).all()


def test_verify_keeps_denormals() -> None:
    x = gx.placeholder((500,), name="x")
    f = gx.compile([x], x * 2, options=gx.Options(flush_denormals=True, verify=True))
    assert (f(TINY[0]) > 0).all()


@pytest.mark.skipif(host().triple.split("-")[0] != "x86_64", reason="the mode's number is that of x86")
def test_workers_round_as_the_caller_does() -> None:
    libm = ctypes.CDLL(None)
    x = gx.placeholder(X.shape, name="x")
    f = gx.compile([x], x / 3)
    results = []
    for mode in (0, 0x800):  # to nearest, upward
        for threads in COUNTS:
            gx.set_threads(threads)
            libm.fesetround(mode)
            try:
                results.append([f(X) for _ in range(3)])
            finally:
                libm.fesetround(0)
    for k in range(len(COUNTS)):
        assert_same(results[k], results[0])
        assert_same(results[len(COUNTS) + k], results[len(COUNTS)])
    assert results[0][0].tobytes() != results[-1][0].tobytes()
