"""Whether fusing pays: the cycles that kernels take on a machine, before and after.

A kernel takes as long as its arithmetic or its memory traffic, whichever is more, as the two overlap; what does not fit
in registers travels as well. Long kernels are divided among cores as far as their iterations are independent. What a
kernel takes is estimated in `costs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.passes.fusion.costs import Loops
from graphc.target import LAUNCH_CYCLES, Target

MAX_NODES = 64
"""Most nodes of a group: what one value more saves is by then a few percent of the kernel, and compiling it costs."""

SIBLING_HURDLE = 0.1
"""The part of its time that a kernel must gain from reading data once for two computations that do not need each
other: equal kernels are compiled once, and after merging they are no longer equal."""


@dataclass(frozen=True)
class Verdict:
    pays: bool
    reason: str


def profit(before: Sequence[Loops], after: Sequence[Loops], target: Target, *, siblings: bool = False) -> Verdict:
    """Judge whether kernels that were fused, or that compute a value again, are quicker, and say what decides.

    before    the kernels that would run otherwise; after: those that do the same
    siblings  none of the kernels reads what another one writes: they share only data that they read

    Saved are the traffic of values that need not travel, of data that is read once, and a launch. Against that stand
    operations done again for each iteration that needs the result, values that do not fit in registers, and cores left
    without work. For siblings the gain must exceed SIBLING_HURDLE.

    A peer's model of this kind: XLA's priority fusion (time unfused less time fused); Inductor counts bytes alone.
    """
    alone, together = sum(k.time(target) for k in before), sum(k.time(target) for k in after)
    hurdle = SIBLING_HURDLE * together if siblings else 0.0
    saved = sum(k.bytes for k in before) - sum(k.bytes for k in after)
    if alone - together > hurdle:
        if siblings:
            return Verdict(True, f"same data: {amount(saved)} are read once for both")
        if saved <= 0:
            return Verdict(True, "same loops: one pass less to start")
        return Verdict(True, f"same loops: {amount(saved)} need not travel")
    if siblings:
        return Verdict(False, f"reading {amount(max(saved, 0))} once for both would save too little")
    again = sum(k.work for k in after) - sum(k.work for k in before)
    spilled = sum(k.spills for k in after) - sum(k.spills for k in before)
    ways = min(k.ways for k in after)
    if again <= 0 and spilled <= 0 and ways < min(target.cores, *[k.ways for k in before]):
        return Verdict(False, f"together only {ways} of {target.cores} cores could do it")
    if spilled > max(again, 0):
        return Verdict(False, f"more values at a time than the machine has registers for ({target.vector_registers})")
    if again <= 0:
        return Verdict(False, "together it would take no less time")
    kept = amount(max(saved, 0))
    return Verdict(False, f"doing {after[-1].dear} again for each use costs more than {kept} of traffic")


def can_pay(source: Node, a: Loops, b: Loops, target: Target) -> bool:
    """Whether reading an array once for two kernels could pass the hurdle of siblings at all: a bound without work."""
    nbytes = source.tensor_type.nbytes
    most = nbytes / target.bytes_per_cycle(nbytes) + LAUNCH_CYCLES
    return most > SIBLING_HURDLE * max(a.time(target), b.time(target))


def amount(nbytes: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes} bytes"
