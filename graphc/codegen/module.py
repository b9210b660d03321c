"""A program to one LLVM module in textual IR: code that several kernels share once, and one entry point."""

from __future__ import annotations

from graphc.codegen.entry import EntryEmitter
from graphc.codegen.environment import flushing
from graphc.codegen.kernel import emit_kernel
from graphc.ir.intern import code_key
from graphc.ir.loops import Kernel, Program
from graphc.ir.program_key import program_key
from graphc.target import Target


def emit_module(
    program: Program,
    target: Target,
    entry_emitter: type[EntryEmitter] = EntryEmitter,
    *,
    flush_denormals: bool = False,
) -> str:
    """Return the LLVM IR of a program; with `flush_denormals`, its operations take denormal numbers for zero."""
    declarations: dict[str, None] = {}
    lines: list[str] = []
    by_code: dict[str, str] = {}
    symbols: dict[Kernel, str] = {}
    for kernel in program.kernels:
        key = code_key(kernel)
        if key in by_code:
            symbols[kernel] = by_code[key]
            continue
        symbol = symbols[kernel] = by_code[key] = f"@k{len(by_code)}"
        body, needed = emit_kernel(kernel, symbol, target, program.functions)
        lines += [f"; {kernel.name}", *body, ""]
        declarations.update(dict.fromkeys(needed))
    name = f"@{program.symbol}"
    inside = f"{name}.flushed" if flush_denormals else name
    entry = entry_emitter(program, symbols, inside)
    lines += entry.emit()
    if flush_denormals:
        around, needed = flushing(name, inside, entry.parameters, target)
        lines += around
        declarations.update(dict.fromkeys(needed))
    head = [f'target triple = "{target.triple}"', ""]
    return "\n".join([*head, *lines, "", *entry.constants, *sorted({**declarations, **entry.declarations}), ""])


def module_key(
    program: Program, entry_emitter: type[EntryEmitter] = EntryEmitter, *, flush_denormals: bool = False
) -> str:
    """Return what tells one result of `emit_module` from others for the same target, without making it."""
    return f"{program_key(program)} {entry_emitter.__name__} flush_denormals={flush_denormals}"
