"""Machine code on disk: where, when it is used, and that only what the same compiler made for the same machine runs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import cache, llvm
from graphc.codegen import jit, toolchain
from graphc.codegen.jit import Machine, object_key
from graphc.target import host
from tests.machine import MACHINE

POSIX = pytest.mark.skipif(os.name != "posix", reason="the system has other permissions")
ANSWER = "define i32 @answer() {{\n  ret i32 {}\n}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own; what is counted begins at 0."""
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_counts", {"hits": 0, "misses": 0})
    monkeypatch.setattr(cache, "_stores", {})
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def step(rate: float = 0.5) -> gx.Executable:
    x = gx.placeholder((4, 3), name="x")
    w = gx.variable(np.ones((3, 2), np.float32), name="w")
    loss = gx.mean(gx.tanh(x @ w) ** 2)
    return gx.compile([x], loss, updates={w: w - rate * gx.gradients(loss, w)}, name="step")


X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def results(run: gx.Executable) -> list[bytes]:
    return [np.asarray(run(X)).tobytes() for _ in range(3)]


# Use.


def test_the_second_time_comes_from_the_disk(folder: Path) -> None:
    first = results(step())
    found = gx.cache.info()
    assert (found.hits, found.misses, found.entries) == (0, found.misses, found.misses)
    assert found.misses > 0
    assert found.folder == str(folder)
    assert found.bytes == sum(p.stat().st_size for p in entries(folder))
    again = step()
    assert results(again) == first
    assert gx.cache.info().hits > 0
    assert gx.cache.info().misses == found.misses
    assert "define" in again.text("llvm")
    assert "ret" in again.text("asm")


def test_another_program_is_another_entry(folder: Path) -> None:
    first = results(step())
    assert results(step(0.25))[1:] != first[1:]
    assert gx.cache.info().hits <= 1  # what every process needs is there already


def test_clear(folder: Path) -> None:
    run = step()
    before = results(run)
    gx.cache.clear()
    assert entries(folder) == []
    assert results(step()) == before


def test_values_of_constants_do_not_come_from_the_disk(folder: Path) -> None:
    def compiled(table: np.ndarray[Any, Any]) -> gx.Executable:
        x = gx.placeholder((3,), name="x")
        return gx.compile([x], x + gx.asarray(table))

    tables = [np.arange(3.0, dtype=np.float32), np.arange(5.0, 8.0, dtype=np.float32)]
    for table in tables:
        np.testing.assert_array_equal(compiled(table)(np.zeros(3, np.float32)), table)


# Damage.


@pytest.mark.parametrize("place", [0, 20, 60, 90, 300, -1])
def test_damaged_code_is_never_run(folder: Path, place: int) -> None:
    first = results(step())
    for path in entries(folder):
        damaged = bytearray(path.read_bytes())
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
    found = gx.cache.info()
    assert results(step()) == first
    assert gx.cache.info().hits == found.hits
    assert gx.cache.info().entries == found.entries
    assert results(step()) == first
    assert gx.cache.info().hits > found.hits


# What code depends on.


def compiled(text: str) -> int:
    machine = Machine(text, "answer", host())
    return int(ctypes.CFUNCTYPE(ctypes.c_int32)(machine.address)())


def test_other_text_is_another_entry(folder: Path) -> None:
    for answer in (1, 2, 1, 2):
        assert compiled(ANSWER.format(answer)) == answer
    assert gx.cache.info().entries == 2
    assert gx.cache.info().hits == 2


def test_each_fact_of_the_machine_counts_but_its_clock() -> None:
    key = object_key("code", "name", MACHINE)
    for field in fields(MACHINE):
        value = getattr(MACHINE, field.name)
        other = not value if isinstance(value, bool) else value + type(value)(1 if not isinstance(value, str) else "x")
        changed = object_key("code", "name", replace(MACHINE, **{field.name: other}))
        assert (changed == key) == (field.name == "clock"), field.name
    assert object_key("other", "name", MACHINE) != key
    assert object_key("code", "other", MACHINE) != key
    assert object_key("code", "name", MACHINE, jit.LEVEL + 1) != key


@pytest.mark.parametrize("version", ["llvm", "numpy", "sources"])
def test_each_fact_of_the_compiler_counts(version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = object_key("code", "name", MACHINE)
    if version == "llvm":
        monkeypatch.setattr(llvm, "version", lambda: "llvm 99")
    elif version == "numpy":
        monkeypatch.setattr(toolchain.np, "__version__", "99")
    else:
        (tmp_path / "changed.py").write_text("")
        monkeypatch.setattr(toolchain, "_imported", time.time() + 10)
        monkeypatch.setattr(toolchain, "_PACKAGE", str(tmp_path))
    toolchain.toolchain.cache_clear()
    try:
        other = object_key("code", "name", MACHINE)
        assert other is not None
        assert other != key
    finally:
        monkeypatch.undo()
        toolchain.toolchain.cache_clear()
    assert object_key("code", "name", MACHINE) == key


@pytest.mark.parametrize("case", ["changed", "none", "gone"])
def test_no_cache_where_the_sources_are_not_known(
    case: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was written after its import may not be what runs."""
    sources = tmp_path / "sources"
    sources.mkdir()
    if case == "changed":
        (sources / "new.py").write_text("")
    monkeypatch.setattr(toolchain, "_PACKAGE", str(sources if case != "gone" else tmp_path / "gone"))
    toolchain.toolchain.cache_clear()
    try:
        assert compiled(ANSWER.format(3)) == 3
    finally:
        monkeypatch.undo()
        toolchain.toolchain.cache_clear()
    assert entries(folder) == []


# Where.


def folder_for(monkeypatch: pytest.MonkeyPatch, **environment: str | None) -> str | None:
    for name in ("GRAPHC_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        value = environment.get(name)
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache, "_stores", {})
    return gx.cache.info().folder


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home, caches, own = (str(tmp_path / n) for n in ("home", "caches", "own"))
    everything = {"GRAPHC_CACHE_DIR": own, "XDG_CACHE_HOME": caches, "HOME": home}
    assert folder_for(monkeypatch, **everything) == own
    assert folder_for(monkeypatch, **{**everything, "GRAPHC_CACHE_DIR": "own"}) == own
    assert folder_for(monkeypatch, XDG_CACHE_HOME=caches, HOME=home) == os.path.join(caches, "graphc")
    assert folder_for(monkeypatch, HOME=home) == os.path.join(home, ".cache", "graphc")
    assert folder_for(monkeypatch, XDG_CACHE_HOME="relative", HOME=home) == os.path.join(home, ".cache", "graphc")
    assert not Path("relative").exists()


def test_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept where nothing can be, and everything else works."""
    (tmp_path / "file").write_text("")
    cases = [{"GRAPHC_CACHE_DIR": ""}, {"GRAPHC_CACHE_DIR": str(tmp_path / "file" / "cache")}]
    cases += [{"GRAPHC_CACHE_DIR": "a\0b"}] if os.name == "nt" else []
    cases += [{"GRAPHC_CACHE_DIR": "/proc/none"}] if sys.platform == "linux" else []
    cases += [{"HOME": str(tmp_path / "file")}]
    first = results(step())
    for environment in cases:
        assert folder_for(monkeypatch, **environment) is None
        before = gx.cache.info()
        assert results(step()) == first
        assert gx.cache.info() == before
        gx.cache.clear()


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert folder_for(monkeypatch) is None


@POSIX
def test_a_folder_of_others_is_said_once(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="other users can write there"):
        first = results(step())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert results(step()) == first
    assert entries(folder) == []


# Processes.

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.test_cache import results, step
print(b"".join(results(step())).hex())
"""


def test_many_processes_compile_the_same_at_once(folder: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent.parent)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [p.communicate()[0] for p in running]
    assert [p.returncode for p in running] == [0] * 4
    before = gx.cache.info()
    assert set(outputs) == {b"".join(results(step())).hex() + "\n"}
    assert gx.cache.info().hits > 0
    assert gx.cache.info().misses == before.misses


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_compiles_though_its_parent_was_compiling(folder: Path) -> None:
    first = results(step())
    stop = threading.Event()

    def compile_on() -> None:
        while not stop.is_set():
            gx.cache.clear()
            step()

    thread = threading.Thread(target=compile_on)
    thread.start()
    statuses = []
    for k in range(5):
        time.sleep(0.02)
        child = os.fork()
        if not child:
            signal.alarm(30)  # a child that waits for a lock dies, and the test fails
            os._exit(0 if results(step()) == first and results(step(0.1 * k))[0] == first[0] else 1)
        statuses.append(os.waitpid(child, 0)[1])
    stop.set()
    thread.join()
    assert statuses == [0] * 5
