"""A program to one LLVM module in textual IR: every distinct kernel once, and one entry point."""

from __future__ import annotations

from graphc.codegen.entry import EntryEmitter
from graphc.codegen.kernel import emit_kernel
from graphc.ir.loops import Program
from graphc.target import Target


def emit_module(program: Program, target: Target) -> str:
    """Return the LLVM IR of a program."""
    declarations: dict[str, None] = {}
    lines: list[str] = []
    symbols = {kernel: f"@k{k}" for k, kernel in enumerate(program.kernels)}
    for kernel, symbol in symbols.items():
        body, needed = emit_kernel(kernel, symbol, target, program.functions)
        lines += [f"; {kernel.name}", *body, ""]
        declarations.update(dict.fromkeys(needed))
    entry = EntryEmitter(program, symbols)
    lines += entry.emit()
    head = [f'target triple = "{target.triple}"', ""]
    return "\n".join([*head, *lines, "", *entry.constants, *sorted({**declarations, **entry.declarations}), ""])
