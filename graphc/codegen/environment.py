"""The floating-point environment of a thread: how it rounds, and what it does with denormal numbers.

LLVM has one intrinsic for the register of each architecture; where it has none, environments are all alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.errors import InternalError
from graphc.target import Target


@dataclass(frozen=True)
class Environment:
    """Lines of LLVM IR that read and write the environment, an i64.

    `get` defines %environment. `put` takes it up again, with no exception raised. `flush` is the bits that make
    operations take denormal numbers for zero and give zero for them; None where the CPU is not known to have them.
    """

    get: tuple[str, ...]
    put: tuple[str, ...]
    declarations: tuple[str, ...]
    flush: int | None


_MXCSR = Environment(
    get=(
        "%environment.place = alloca i32",
        "call void @llvm.x86.sse.stmxcsr(ptr %environment.place)",
        "%environment.bits = load i32, ptr %environment.place",
        "%environment = zext i32 %environment.bits to i64",
    ),
    put=(
        "%environment.kept = alloca i32",
        "%environment.low = trunc i64 %environment to i32",
        f"%environment.clear = and i32 %environment.low, {~0x3F}",
        "store i32 %environment.clear, ptr %environment.kept",
        "call void @llvm.x86.sse.ldmxcsr(ptr %environment.kept)",
    ),
    declarations=("declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)"),
    flush=0x8040,
)

_FPCR = Environment(
    get=("%environment = call i64 @llvm.aarch64.get.fpcr()",),
    put=("call void @llvm.aarch64.set.fpcr(i64 %environment)",),
    declarations=("declare i64 @llvm.aarch64.get.fpcr()", "declare void @llvm.aarch64.set.fpcr(i64)"),
    flush=1 << 24,
)

_NONE = Environment(("%environment = add i64 0, 0",), (), (), None)


def can_flush(target: Target) -> bool:
    """Tell whether a machine can take denormal numbers for zero."""
    return environment_of(target).flush is not None


def flushing(name: str, body: str, parameters: str, target: Target) -> tuple[list[str], tuple[str, ...]]:
    """Return the lines of an entry point that runs another one with denormal numbers taken for zero, as long as that
    takes; and what they need declared."""
    environment = environment_of(target)
    if environment.flush is None:
        raise InternalError(f"codegen: {target.triple} cannot flush denormal numbers")
    lines = [
        "define internal void @environment.put(i64 %environment) nounwind noinline {",
        *[f"  {line}" for line in environment.put],
        "  ret void",
        "}",
        f"define i32 {name}({parameters}) nounwind {{",
        *[f"  {line}" for line in environment.get],
        f"  %flushing = or i64 %environment, {environment.flush}",
        "  call void @environment.put(i64 %flushing)",
        f"  %failed = call i32 {body}({parameters})",
        "  call void @environment.put(i64 %environment)",
        "  ret i32 %failed",
        "}",
    ]
    return lines, environment.declarations


def environment_of(target: Target) -> Environment:
    """Return how code for a machine handles its floating-point environment."""
    if target.triple.startswith("x86_64"):
        return _MXCSR
    return _FPCR if target.triple.startswith(("aarch64", "arm64")) else _NONE
