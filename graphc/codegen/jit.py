"""LLVM IR to machine code in this process."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import llvmlite.binding as llvm

from graphc.errors import InternalError
from graphc.target import Target

LEVEL = 1
"""The IR is final, so what level 2 adds finds nothing: code of the same speed in two thirds of the time."""

_lock = threading.Lock()


class Machine:
    """A compiled module. `address` is its entry point, valid as long as this object lives."""

    def __init__(
        self, ir: str, name: str, target: Target, symbols: Mapping[str, int] | None = None, *, level: int = LEVEL
    ) -> None:
        """Compile. `symbols` are addresses of what the code refers to besides functions of libraries; `level` 0 is for
        code of which little runs."""
        with _lock:
            for symbol, address in (symbols or {}).items():
                llvm.add_symbol(symbol, address)
            try:
                module = llvm.parse_assembly(ir)
                module.verify()
            except RuntimeError as error:
                raise InternalError(f"codegen: LLVM does not accept the code of {name}: {error}\n{ir}") from None
            self._tm = _target_machine(target, level)
            self._engine = llvm.create_mcjit_compiler(module, self._tm)
            self._engine.finalize_object()
            self.address = self._engine.get_function_address(name)


def assembly(ir: str, target: Target) -> str:
    """Return the machine's assembly language for a module."""
    with _lock:
        return str(_target_machine(target).emit_assembly(llvm.parse_assembly(ir)))


def _target_machine(target: Target, level: int = LEVEL) -> llvm.TargetMachine:
    kind = llvm.Target.from_triple(target.triple)
    return kind.create_target_machine(cpu=target.cpu, features=target.features, opt=level, jit=True)
