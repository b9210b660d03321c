"""The thread pool by itself: parts, failures, waiting, forks. What it divides here are Python functions."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from graphc.codegen.environment import environment_of
from graphc.codegen.pool import emit_pool
from graphc.target import host
from tests.machine import MACHINE
from tests.pools import TestPool

SHARE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)
)
DIVIDE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    SHARE,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.POINTER(ctypes.c_int64),
)
MANY = 1 << 30

Share = Callable[[int, int], "tuple[int, int] | None"]


def divide(pool: TestPool, share: Share, ways: int, threads: int = MANY, nanoseconds: int = MANY) -> list[int] | None:
    """Run share(begin, end) on parts of [0, ways); return what the failure that counts left, if any."""

    def run(_: int, begin: int, end: int, failure: ctypes.Array[ctypes.c_int64]) -> int:
        found = share(begin, end)
        if found is not None:
            failure[0], failure[1] = found
        return found is not None

    failure = (ctypes.c_int64 * 2)()
    failed = DIVIDE(pool.header[0])(pool.address, SHARE(run), None, ways, threads, nanoseconds, failure)
    return list(failure) if failed else None


@pytest.fixture(params=["futex", "condition"])
def kind(request: pytest.FixtureRequest) -> bool:
    if request.param == "futex" and "linux" not in host().triple:
        pytest.skip("the system has no futex")
    return request.param == "futex"


@contextmanager
def pool_of(threads: int, futex: bool | None = None, wake_nanoseconds: int = 0) -> Iterator[TestPool]:
    pool = TestPool(threads, futex=futex, wake_nanoseconds=wake_nanoseconds)
    yield pool
    assert pool.control() == 0
    pool.header[1] = 1


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 300])
@pytest.mark.parametrize("ways", [1, 2, 3, 7, 64, 1000])
def test_parts_are_everything_once_and_nearly_equal(threads: int, ways: int) -> None:
    parts: list[tuple[int, int]] = []
    with pool_of(threads) as pool:
        assert divide(pool, lambda begin, end: parts.append((begin, end)), ways) is None
    parts.sort()
    assert parts[0][0] == 0
    assert parts[-1][1] == ways
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    sizes = [end - begin for begin, end in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == min(threads, ways, 257)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_parts_run_at_the_same_time(threads: int, kind: bool) -> None:
    barrier = threading.Barrier(threads)

    def share(begin: int, end: int) -> None:
        barrier.wait(timeout=30)  # only passed by all of them together

    with pool_of(threads, kind) as pool:
        for pause in (0, 0, 0.01, 0.1, 0):
            time.sleep(pause)
            divide(pool, share, 10 * threads)
            barrier.reset()


def test_a_loop_takes_no_more_threads_than_pay() -> None:
    parts: list[tuple[int, int]] = []
    with pool_of(5) as pool:
        divide(pool, lambda begin, end: parts.append((begin, end)), 100, threads=2)
    assert sorted(parts) == [(0, 50), (50, 100)]


@pytest.mark.parametrize("bad", [(0,), (9,), (5,), (3, 9), (0, 9), (6, 5, 4), (1, 3, 5, 7, 9)])
def test_the_first_failure_counts_whoever_is_quicker(bad: tuple[int, ...], kind: bool) -> None:
    def share(begin: int, end: int) -> tuple[int, int] | None:
        for k in range(begin, end):
            if k in bad:
                time.sleep(0.002 * (10 - k))
                return k, 100 + k
        return None

    for threads in (1, 2, 3, 5):
        with pool_of(threads, kind) as pool:
            for _ in range(3):
                assert divide(pool, share, 10) == [min(bad), 100 + min(bad)]


def test_little_work_does_not_wake_workers_but_much_in_a_row_does() -> None:
    names: set[int] = set()

    def share(begin: int, end: int) -> None:
        names.add(threading.get_native_id())
        time.sleep(1e-5 * (end - begin))

    with pool_of(2, wake_nanoseconds=10_000_000) as pool:
        divide(pool, lambda begin, end: None, 2)  # starts the worker
        time.sleep(0.05)
        for _ in range(20):
            divide(pool, share, 2, nanoseconds=1_000_000)
            time.sleep(0.001)
        assert names == {threading.get_native_id()}
        divide(pool, lambda begin, end: time.sleep(0.02), 2, nanoseconds=10_000_000)
        deadline = time.monotonic() + 30
        while len(names) < 2 and time.monotonic() < deadline:
            divide(pool, share, 2, nanoseconds=10_000_000)
        assert len(names) == 2


def test_a_loop_inside_another_runs_in_its_thread() -> None:
    inner: list[tuple[int, int]] = []

    def share(begin: int, end: int) -> None:
        divide(pool, lambda b, e: inner.append((b, e)), 8)

    with pool_of(3) as pool:
        divide(pool, share, 3)
    assert inner == [(0, 8)] * 3


def test_loops_of_several_threads_at_once(kind: bool) -> None:
    faults: list[object] = []

    def call(k: int) -> None:
        for turn in range(300):
            done = [0] * 17

            def share(begin: int, end: int, done: list[int] = done) -> tuple[int, int] | None:
                for i in range(begin, end):
                    done[i] += 1
                return (begin, k) if begin <= 3 < end and k % 2 else None

            found = divide(pool, share, 17)
            if done != [1] * 17 or (found is None) == bool(k % 2) or (found and found[1] != k):
                faults.append((k, turn, done, found))

    with pool_of(3, kind) as pool:
        callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert faults == []


# What the system sees.

linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not show threads as files")


def tasks() -> set[str]:
    return {p.name for p in Path("/proc/self/task").iterdir()}


def started(pool: TestPool) -> set[str]:
    """Divide a loop; return the names of the threads that this has started."""
    before = tasks()
    divide(pool, lambda begin, end: None, 100)
    return tasks() - before


def field(task: str, name: str) -> str:
    lines = Path(f"/proc/self/task/{task}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).split(":")[1].strip()


@linux
def test_workers_start_with_the_first_loop_and_end_when_told() -> None:
    with pool_of(4) as pool:
        workers = started(pool)
        assert len(workers) == 3
        assert started(pool) == set()
        assert pool.control() == 0
        assert not workers & tasks()
        assert len(started(pool)) == 3


@linux
def test_workers_leave_signals_to_python() -> None:
    with pool_of(2) as pool:
        (worker,) = started(pool)
        blocked = int(field(worker, "SigBlk"), 16)
        assert all(blocked >> (s - 1) & 1 for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD))
        assert int(field(str(threading.get_native_id()), "SigBlk"), 16) == 0


@linux
def test_idle_workers_use_no_time_and_any_cpu(kind: bool) -> None:
    with pool_of(3, kind) as pool:
        workers = started(pool)
        for _ in range(20):
            divide(pool, lambda begin, end: time.sleep(0.001), 100)
        time.sleep(0.05)

        def used() -> int:
            return sum(int(n) for w in workers for n in Path(f"/proc/self/task/{w}/stat").read_text().split()[13:15])

        before = used()
        time.sleep(0.5)
        assert used() - before <= 1  # hundredths of a second
        allowed = field(str(threading.get_native_id()), "Cpus_allowed")
        assert {field(w, "Cpus_allowed") for w in workers} == {allowed}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True])
def test_a_forked_process_starts_anew(busy: bool, kind: bool) -> None:
    with pool_of(3, kind) as pool:
        divide(pool, lambda begin, end: None, 30)
        inside, leave = threading.Event(), threading.Event()

        def share(begin: int, end: int) -> None:
            inside.set()
            leave.wait(30)

        other = threading.Thread(target=divide, args=(pool, share, 3))
        if busy:
            other.start()
            inside.wait(30)
        child = os.fork()
        if child == 0:
            pool.control()
            barrier = threading.Barrier(3)
            divide(pool, lambda begin, end: barrier.wait(30) and None, 3)
            os._exit(7)
        leave.set()
        if busy:
            other.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        divide(pool, lambda begin, end: None, 30)


# Other systems.


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "arm64-apple-darwin", "x86_64-apple-darwin"])
def test_code_for_other_systems_assembles(triple: str) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = replace(MACHINE, triple=triple, cpu="", features="")
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu="", features="", opt=1)
    module = llvm.parse_assembly(emit_pool(target))
    module.verify()
    text = machine.emit_assembly(module)
    assert ("fpcr" in text.lower()) == ("x86" not in triple)
    assert ("pthread_cond_wait" in text) == ("darwin" in triple)


def test_a_system_without_an_environment() -> None:
    target = replace(MACHINE, triple="riscv64-unknown-linux-gnu")
    assert environment_of(target).flush is None
    llvm.parse_assembly(emit_pool(target)).verify()
