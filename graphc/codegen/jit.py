"""LLVM IR to machine code in this process; what was compiled once is kept on disk for all processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

from graphc import cache, llvm
from graphc.codegen.toolchain import toolchain
from graphc.errors import InternalError
from graphc.target import Target

LEVEL = 1
"""The IR is final, so what level 2 adds finds nothing: code of the same speed in two thirds of the time."""

_lock = threading.RLock()
_at_fork = ExitStack()
"""What is held while this process forks."""


def _before_fork() -> None:
    _at_fork.enter_context(_lock)
    _at_fork.enter_context(llvm.lock())


if hasattr(os, "register_at_fork"):
    # In a child no thread is left that would give a lock back: a process forks when nobody uses LLVM.
    os.register_at_fork(before=_before_fork, after_in_parent=_at_fork.close, after_in_child=_at_fork.close)


class Machine:
    """A compiled module. `address` is its entry point, valid as long as this object lives."""

    def __init__(
        self,
        ir: str | Callable[[], str],
        name: str,
        target: Target,
        symbols: Mapping[str, int] | None = None,
        *,
        key: str | None = None,
        level: int = LEVEL,
    ) -> None:
        """Compile a module, or load what was compiled under the same key before.

        ir        its text, or a function that makes it: called only if there is no code yet
        name      its entry point
        symbols   addresses of what it refers to besides functions of libraries; no address stands in the text itself
        key       what the text follows from, by default the text itself: equal keys promise texts that do the same
        level     LLVM's level of optimisation; 0 is for code of which little runs
        """
        with _lock:
            for symbol, address in (symbols or {}).items():
                llvm.add_symbol(symbol, address)
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine(target))
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(_object(ir, name, target, key, level)))
            self._engine.finalize_object()
            self.address = self._engine.get_function_address(name)


def _object(ir: str | Callable[[], str], name: str, target: Target, key: str | None, level: int) -> bytes:
    """Return a module as an object file, from the cache if it is there."""
    if key is None:
        key = ir if isinstance(ir, str) else ir()
    place = object_key(key, name, target, level)
    known = None if place is None else cache.find(place)
    if known is not None:
        return known
    code = _compiled(ir if isinstance(ir, str) else ir(), name, target, level)
    if place is not None:
        cache.keep(place, code)
    return code


def object_key(key: str, name: str, target: Target, level: int = LEVEL) -> str | None:
    """Return the key of an object file: all that it follows from. None if that cannot be known."""
    compiler = toolchain()
    if compiler is None:
        return None
    facts = [f"{f.name} {getattr(target, f.name)}" for f in fields(target) if f.name != "clock"]
    return "\n".join([compiler, f"level {level}", *facts, f"name {name}", key])


def _compiled(ir: str, name: str, target: Target, level: int) -> bytes:
    try:
        module = llvm.parse_assembly(ir)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"codegen: LLVM does not accept the code of {name}: {error}\n{ir}") from None
    code: bytes = _target_machine(target, level).emit_object(module)
    return code


def assembly(ir: str, target: Target) -> str:
    """Return the machine's assembly language for a module."""
    with _lock:
        return str(_target_machine(target).emit_assembly(llvm.parse_assembly(ir)))


def _target_machine(target: Target, level: int = LEVEL) -> Any:
    kind = llvm.Target.from_triple(target.triple)
    return kind.create_target_machine(cpu=target.cpu, features=target.features, opt=level, jit=True)
