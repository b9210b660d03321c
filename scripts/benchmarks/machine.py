"""What machine this is, and what its arithmetic and its memory reach: facts without names of hosts."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from graphc.target import Target, host

ACCUMULATORS = 12
"""Chains of dependent multiply-adds: more than the product of their latency and number of units anywhere."""

STEPS = 4_000_000
TRIAD_BYTES = 3 * (1 << 26)
"""Far beyond every cache."""


def facts() -> dict[str, Any]:
    """Return what the machine and the interpreter are."""
    target = host()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": target.cpu,
        "cores": len(os.sched_getaffinity(0)),
        "vector bits": target.vector_bytes * 8,
        "caches": caches(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "llvmlite": llvmlite.__version__,
    }


def caches() -> dict[str, str]:
    """Return the sizes of the data caches by level, as the system gives them."""
    found = {}
    for folder in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        level, kind, size = [Path(folder, name).read_text().strip() for name in ("level", "type", "size")]
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def peaks(threads: int) -> dict[str, float]:
    """Return flops and bytes a second that so many threads reach: multiply-adds in registers, and a = b + 2 c."""
    target = host()
    engine = _compiled(target)
    found = {}
    for name, lanes in (("float", target.lanes(4)), ("double", target.lanes(8))):
        address = engine.get_function_address(f"peak_{name}")
        function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(address)
        flops = STEPS * ACCUMULATORS * lanes * 2 * threads
        key = "flops float32" if name == "float" else "flops float64"
        found[key] = flops / _best([lambda f=function: f(STEPS)] * threads)
    found["bytes"] = TRIAD_BYTES / _best(_triads(engine, threads))
    return found


def _triads(engine: Any, threads: int) -> list[Callable[[], object]]:
    count = TRIAD_BYTES // 12
    arrays = [np.full(count, value, np.float32) for value in (0.0, 1.0, 2.0)]
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)
    function = prototype(engine.get_function_address("triad"))
    part = count // threads // 64 * 64

    def of(k: int) -> Callable[[], object]:
        return lambda: function(*[a.ctypes.data + 4 * part * k for a in arrays], part)

    return [of(k) for k in range(threads)]


def _best(calls: list[Callable[[], object]], rounds: int = 7) -> float:
    """Return the least seconds that all calls take at once; ctypes leaves the interpreter's lock meanwhile."""
    seconds = []
    for _ in range(rounds):
        others = [threading.Thread(target=call) for call in calls[1:]]
        start = time.perf_counter()
        for thread in others:
            thread.start()
        calls[0]()
        for thread in others:
            thread.join()
        seconds.append(time.perf_counter() - start)
    return min(seconds) if len(calls) == 1 else statistics.median(sorted(seconds)[:3])


def _compiled(target: Target) -> Any:
    module = llvm.parse_assembly(_peak("float", target.lanes(4)) + _peak("double", target.lanes(8)) + _triad(target))
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def _peak(element: str, lanes: int) -> str:
    """Return a function of independent chains of multiply-adds, that keep all units busy and touch no memory."""
    vector = f"<{lanes} x {element}>"
    fma = f"@llvm.fma.v{lanes}f{32 if element == 'float' else 64}"
    phis = [f"  %a{k} = phi {vector} [zeroinitializer, %entry], [%n{k}, %loop]" for k in range(ACCUMULATORS)]
    steps = [f"  %n{k} = call {vector} {fma}({vector} %a{k}, {vector} %x, {vector} %y)" for k in range(ACCUMULATORS)]
    sums = [f"  %s{k} = fadd {vector} %s{k - 1}, %n{k}" for k in range(1, ACCUMULATORS)]
    lines = [
        f"declare {vector} {fma}({vector}, {vector}, {vector})",
        f"define double @peak_{element}(i64 %count) {{",
        "entry:",
        f"  %scalar = sitofp i64 %count to {element}",
        f"  %one = insertelement {vector} poison, {element} %scalar, i32 0",
        f"  %x = shufflevector {vector} %one, {vector} poison, <{lanes} x i32> zeroinitializer",
        f"  %y = fdiv {vector} %x, %x",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [0, %entry], [%next, %loop]",
        *phis,
        *steps,
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %count",
        "  br i1 %more, label %loop, label %end",
        "end:",
        f"  %s0 = fadd {vector} %n0, zeroinitializer",
        *sums,
        f"  %first = extractelement {vector} %s{ACCUMULATORS - 1}, i32 0",
        f"  %result = {'fpext float %first to double' if element == 'float' else 'fadd double %first, 0.0'}",
        "  ret double %result",
        "}\n",
    ]
    return "\n".join(lines)


def _triad(target: Target) -> str:
    vector = f"<{target.lanes(4)} x float>"
    return f"""define void @triad(ptr %a, ptr %b, ptr %c, i64 %count) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %pb = getelementptr float, ptr %b, i64 %i
  %pc = getelementptr float, ptr %c, i64 %i
  %pa = getelementptr float, ptr %a, i64 %i
  %x = load {vector}, ptr %pb, align 4
  %y = load {vector}, ptr %pc, align 4
  %twice = fadd {vector} %y, %y
  %z = fadd {vector} %x, %twice
  store {vector} %z, ptr %pa, align 4
  %next = add i64 %i, {target.lanes(4)}
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""
