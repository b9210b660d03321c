"""A program to one LLVM module in textual IR: every distinct kernel once, and one entry point.

    i32 NAME(ptr slots, ptr failure)

`slots` points to the addresses of the inputs, outputs, states, constants and the arena, in this order. The result is 0,
or 1 when a Check failed; then failure[0] is its site in the program and failure[1] the value it carries.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.codegen.kernel import emit_kernel
from graphc.ir.loops import Call, Check, Copy, Kernel, Program, Region, Repeat, Slot, Step, walk
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
    entry = _Entry(program, symbols)
    lines += entry.emit()
    head = [f'target triple = "{target.triple}"', ""]
    return "\n".join([*head, *lines, "", *entry.constants, *sorted({**declarations, **entry.declarations}), ""])


class _Entry:
    """The function that runs a program's steps."""

    def __init__(self, program: Program, symbols: dict[Kernel, str]) -> None:
        self.program = program
        self.symbols = symbols
        self.can_fail = {k: any(isinstance(s, Check) for s in walk(k.body)) for k in program.kernels}
        self.lines: list[str] = []
        self.constants: list[str] = []
        self.declarations: dict[str, None] = {}
        self.label = "entry"
        self._count = 0

    def emit(self) -> list[str]:
        program = self.program
        counts = (len(program.inputs), len(program.outputs), len(program.state), len(program.constants), 1)
        position = 0
        self.bases: dict[tuple[Region, int], str] = {}
        for region, count in zip(Region, counts, strict=True):
            for index in range(count):
                place = self._define(f"getelementptr ptr, ptr %slots, i64 {position}")
                self.bases[region, index] = self._define(f"load ptr, ptr {place}")
                position += 1
        self._steps(program.steps, ())
        self.lines.append("  ret i32 0")
        return [f"define i32 @{program.name}(ptr %slots, ptr %failure) nounwind {{", "entry:", *self.lines, "}"]

    def _fresh(self) -> str:
        self._count += 1
        return f"e{self._count}"

    def _define(self, text: str) -> str:
        name = f"%{self._fresh()}"
        self.lines.append(f"  {name} = {text}")
        return name

    def _steps(self, steps: Sequence[Step], counters: tuple[str, ...]) -> None:
        for step in steps:
            if isinstance(step, Call):
                self._call(step, counters)
            elif isinstance(step, Copy):
                self._copy(step, counters)
            else:
                self._repeat(step, counters)

    def _address(self, slot: Slot, counters: tuple[str, ...]) -> str:
        address = self.bases[slot.region, slot.index]
        if slot.offset:
            address = self._define(f"getelementptr i8, ptr {address}, i64 {slot.offset}")
        for stride, counter in zip(slot.strides, counters, strict=False):
            if stride:
                scaled = self._define(f"mul i64 {counter}, {stride}")
                address = self._define(f"getelementptr i8, ptr {address}, i64 {scaled}")
        return address

    def _call(self, step: Call, counters: tuple[str, ...]) -> None:
        args = ", ".join(f"ptr {self._address(slot, counters)}" for slot in step.args)
        separator = ", " if args else ""
        call = f"call i32 {self.symbols[step.kernel]}({args}{separator}ptr %failure)"
        if not self.can_fail[step.kernel]:
            self.lines.append(f"  {call}")
            return
        failed = self._define(call)
        bad = self._define(f"icmp ne i32 {failed}, 0")
        fail, proceed = self._fresh(), self._fresh()
        self.lines += [f"  br i1 {bad}, label %{fail}, label %{proceed}", f"{fail}:"]
        table = f"@sites{len(self.constants)}"
        sites = ", ".join(f"i64 {s}" for s in step.sites)
        self.constants.append(f"{table} = private constant [{len(step.sites)} x i64] [{sites}]")
        local = self._define("load i64, ptr %failure")
        place = self._define(f"getelementptr i64, ptr {table}, i64 {local}")
        site = self._define(f"load i64, ptr {place}")
        self.lines += [f"  store i64 {site}, ptr %failure", "  ret i32 1", f"{proceed}:"]
        self.label = proceed

    def _copy(self, step: Copy, counters: tuple[str, ...]) -> None:
        source, target = self._address(step.source, counters), self._address(step.target, counters)
        name = "@llvm.memcpy.p0.p0.i64"
        self.declarations[f"declare void {name}(ptr, ptr, i64, i1)"] = None
        self.lines.append(f"  call void {name}(ptr {target}, ptr {source}, i64 {step.nbytes}, i1 false)")

    def _repeat(self, step: Repeat, counters: tuple[str, ...]) -> None:
        loop, end, counter, following = (self._fresh() for _ in range(4))
        before = self.label
        at = len(self.lines)
        self.label = loop
        self._steps(step.steps, (*counters, f"%{counter}"))
        head = [
            f"  br label %{loop}",
            f"{loop}:",
            f"  %{counter} = phi i64 [0, %{before}], [%{following}, %{self.label}]",
        ]
        self.lines[at:at] = head
        self.lines.append(f"  %{following} = add nuw nsw i64 %{counter}, 1")
        more = self._define(f"icmp ult i64 %{following}, {step.extent}")
        self.lines += [f"  br i1 {more}, label %{loop}, label %{end}", f"{end}:"]
        self.label = end
