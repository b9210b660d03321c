"""Where the time of a call goes, kernel by kernel, measured: `Executable.profile(*args)`.

print(step.profile(x, y))                   a table, the longest first, with the lines of the user's program
step.profile(x, y).kernels                  the same as data
step.profile(x, y).save_trace("step.json")  one call as events, for Perfetto or chrome://tracing
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_ROWS = 40
"""Kernels that the table lists."""

FORMULA_WIDTH = 60


@dataclass(frozen=True)
class KernelTime:
    """What one step of a program takes in one call.

    name             of the kernel in text("kernels"), or "copy"
    formulas         what it computes
    lines            lines of the user's program that it comes from
    runs             how often it runs in one call
    seconds          of all its runs in one call, the median over calls
    share            of the time of the call
    flops, functions, bytes   of all its runs: operations on floats, values of exp and the like, bytes of its arrays
    bound            seconds that the machine needs at least
    limit            "memory" or "arithmetic": what the bound is from
    library          functions of the C library that it calls for one element at a time
    """

    name: str
    formulas: tuple[str, ...]
    lines: tuple[str, ...]
    runs: int
    seconds: float
    share: float
    flops: int
    functions: int
    bytes: int
    bound: float
    limit: str
    library: tuple[str, ...]

    @property
    def efficiency(self) -> float:
        """The bound over the time: 1 is as fast as the machine can."""
        return self.bound / self.seconds if self.seconds else 1.0


@dataclass(frozen=True)
class Event:
    """A run of a step: which, when it began and ended, in seconds from the beginning of the call."""

    kernel: int
    begin: float
    end: float


@dataclass(frozen=True)
class Profile:
    """Measured times of one compiled function on given arguments; printing it shows a table.

    name, sizes    of the function, and the sizes that its code is for
    seconds        of one call without measuring, the median over `calls`
    kernels        the steps of the program in their order
    events         of one call, as many as were kept
    dropped        events of that call that were not
    """

    name: str
    sizes: Mapping[str, int]
    calls: int
    seconds: float
    kernels: tuple[KernelTime, ...]
    events: tuple[Event, ...]
    dropped: int

    def __str__(self) -> str:
        inside = sum(k.seconds for k in self.kernels)
        sizes = ", ".join(f"{k}={v}" for k, v in self.sizes.items())
        head = f"{self.name}{f' for {sizes}' if sizes else ''}: one call takes {_duration(self.seconds)}"
        lines = [
            head,
            "=" * len(head),
            f"median of {self.calls} calls; {_duration(inside)} of it in {len(self.kernels)} kernels",
            "roof: the least time that this machine needs for the kernel, as a share of its time, and what sets it.",
            "",
            f"{'time':>9} {'share':>6} {'runs':>6} {'Gflop/s':>8} {'GB/s':>7} {'roof':>5}  kernel",
        ]
        ranked = sorted(self.kernels, key=lambda k: -k.seconds)
        for kernel in ranked[:MAX_ROWS]:
            lines += _row(kernel)
        if len(ranked) > MAX_ROWS:
            rest = ranked[MAX_ROWS:]
            lines.append(
                f"{_duration(sum(k.seconds for k in rest)):>9} {'':>6} and {len(rest)} kernels more, in `kernels`"
            )
        return "\n".join(lines) + "\n"

    __repr__ = __str__

    def trace(self) -> dict[str, object]:
        """Return one call in the Trace Event Format (JSON object form), times in microseconds."""
        process = os.getpid()
        begin = min([e.begin for e in self.events], default=0.0)
        events: list[dict[str, object]] = [
            {"name": "process_name", "ph": "M", "pid": process, "args": {"name": f"graphc: {self.name}"}}
        ]
        for event in self.events:
            kernel = self.kernels[event.kernel]
            events.append(
                {
                    "name": kernel.formulas[0] if kernel.formulas else kernel.name,
                    "cat": kernel.limit,
                    "ph": "X",
                    "ts": (event.begin - begin) * 1e6,
                    "dur": (event.end - event.begin) * 1e6,
                    "pid": process,
                    "tid": 0,
                    "args": {
                        "kernel": kernel.name,
                        "computes": list(kernel.formulas),
                        "lines": list(kernel.lines),
                        "flops": kernel.flops // kernel.runs,
                        "bytes": kernel.bytes // kernel.runs,
                        "roof": round(kernel.efficiency, 3),
                    },
                }
            )
        return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"dropped events": self.dropped}}

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Write `trace()` to a file, to be opened at ui.perfetto.dev or chrome://tracing."""
        with open(path, "w") as file:
            json.dump(self.trace(), file)


def _row(kernel: KernelTime) -> list[str]:
    time = kernel.seconds or 1e-12
    rates = f"{kernel.flops / time / 1e9:8.1f} {kernel.bytes / time / 1e9:7.1f}"
    what = _clipped("; ".join(kernel.formulas) or kernel.name)
    slow = f"calls {', '.join(kernel.library)} of the C library one element at a time" if kernel.library else ""
    head = f"{_duration(kernel.seconds):>9} {kernel.share:>6.1%} {kernel.runs:>6} {rates} {kernel.efficiency:>5.0%}"
    return [
        f"{head}  {what}",
        *[f"{'':>48}at {line}" for line in kernel.lines],
        f"{'':>48}{kernel.name}, limited by {kernel.limit}",
        *([f"{'':>48}{slow}"] if slow else []),
    ]


def _clipped(text: str) -> str:
    return text if len(text) <= FORMULA_WIDTH else text[: FORMULA_WIDTH - 3] + "..."


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def shares(seconds: Sequence[float], whole: float) -> list[float]:
    """Return what each of some times is of the whole, or of their sum where that is more."""
    total = max(whole, sum(seconds)) or 1.0
    return [s / total for s in seconds]
