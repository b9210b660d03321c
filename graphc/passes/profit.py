"""Whether fusing pays: the cycles that kernels take on a machine, before and after.

A kernel takes as long as its arithmetic or its memory traffic, whichever is more, as the two overlap; what does not fit
in registers travels as well. Long kernels are divided among cores as far as their iterations are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Contraction, Elementwise, Gather, Node, Reduction
from graphc.ir.index import source_of
from graphc.ir.loops import CHEAP
from graphc.passes.legality import Draft, folds_outer_axes
from graphc.target import Target

LAUNCH = 60.0
"""Cycles to call a kernel, enter its loops and finish what does not fill a vector."""

FORK = 20_000.0
"""Cycles to hand work to other threads and to wait for them."""

ACCESS = 0.5
"""Cycles of a vector load or store that hits the first cache; two are under way at a time."""

NARROW_ACCESS = 1.0
"""The same for values that must be widened, such as the bytes of a mask."""

DOWN_COLUMNS = 1.2
"""How much longer it takes to go through an array strip by strip, down its columns, than row by row."""

MAX_NODES = 64
"""Most nodes of a group: what one value more saves is by then a few percent of the kernel, and compiling it costs."""

SIBLING_HURDLE = 0.1
"""The part of its time that a kernel must gain from reading data once for two computations that do not need each
other: equal kernels are compiled once, and after merging they are no longer equal."""


@dataclass(frozen=True)
class Loops:
    """A kernel as it would run, in cycles of one core.

    work     arithmetic; `dear` is the operation that takes the most of it
    traffic  arrays read and written
    spills   stores and loads of values for which there is no register
    bursts   whether arithmetic and traffic take turns, as they do where a contraction finishes a tile
    ways     how many parts it can be divided into
    bytes    arrays read and written
    """

    work: float
    traffic: float
    spills: float
    bursts: bool
    ways: int
    bytes: int
    dear: str

    def time(self, target: Target) -> float:
        """Return the cycles from call to return."""
        work = self.work + self.spills
        alone = (work + self.traffic if self.bursts else max(work, self.traffic)) + LAUNCH
        ways = min(target.cores, self.ways)
        return min(alone, FORK + alone / ways) if ways > 1 else alone


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
    if spilled > again:
        return Verdict(False, f"more values at a time than the machine has registers for ({target.vector_registers})")
    return Verdict(
        False, f"doing {after[-1].dear} again for each use costs more than {amount(max(saved, 0))} of traffic"
    )


def can_pay(source: Node, a: Loops, b: Loops, target: Target) -> bool:
    """Whether reading an array once for two kernels could pass the hurdle of siblings at all: a bound without work."""
    nbytes = source.tensor_type.nbytes
    most = nbytes / target.bytes_per_cycle(nbytes) + LAUNCH
    return most > SIBLING_HURDLE * max(a.time(target), b.time(target))


def amount(nbytes: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes} bytes"


def node_cycles(node: Node) -> float:
    """Return the cycles of an operation on one vector."""
    if isinstance(node.op, Gather):
        return 10.0  # one element at a time
    if not isinstance(node.op, Elementwise):
        return ACCESS if isinstance(node.op, Reduction) else 2.0
    return CYCLES.get(node.op.scalar, 0.5 if node.op.scalar in CHEAP else 15.0)


CYCLES: Mapping[str, float] = {"copy": 0.0, "identity": 0.0, "div": 8.0, "sqrt": 10.0, "pow": 40.0, "floor": 0.5}
"""Operations that are neither CHEAP nor a polynomial of some 15 to 30 instructions."""


def _hero_cycles(hero: Node) -> float:
    """Return the multiply-adds of a contraction."""
    assert isinstance(hero.op, Contraction)
    a, b, _ = hero.op.dims(**hero.attrs)
    sizes = dict(zip(a + b, hero.inputs[0].shape + hero.inputs[1].shape, strict=True))
    return 0.5 * float(math.prod(sizes.values()))


def is_cheap(node: Node) -> bool:
    return node_cycles(node) <= 1.0


def loops_of(draft: Draft, nodes: Sequence[Node], is_stored: Callable[[Node], bool], target: Target) -> Loops:
    """Return what a group would cost as a kernel; `nodes` are its nodes in order."""
    iterations = math.prod(draft.extents)
    lanes = target.lanes(max([n.dtype.itemsize for n in draft.nodes if n.dtype.kind == "f"], default=4))
    columns = bool(draft.reduced) and folds_outer_axes(draft)
    row = math.prod([draft.extents[a] for a in draft.reduced]) * 4
    sweeps = _sweeps(draft, nodes, is_stored, keeps=not columns and row <= target.row_bytes)
    members = set(draft.nodes)
    work, most, dear = 0.0, -1.0, "all"
    arrays: dict[Node, int] = {}
    for node in nodes:
        again = _points(draft, node) / lanes * sweeps.get(node, 1)
        wide = max([node.dtype.itemsize, *[i.dtype.itemsize for i in node.inputs]])
        again *= max(1.0, wide * lanes / target.vector_bytes)  # positions are int64: two vectors for one of floats
        is_product = isinstance(node.op, Contraction)
        cycles = _hero_cycles(node) / lanes if is_product else node_cycles(node) * again
        if cycles > most:
            most, dear = cycles, node.op.name
        if is_stored(node):
            arrays[node] = node.tensor_type.nbytes
        for source in map(source_of, node.inputs):
            if source in members or _is_free(source):
                continue
            arrays[source] = min(source.tensor_type.nbytes, iterations * source.dtype.itemsize)
            if not is_product:
                cycles += (ACCESS if source.dtype.itemsize * lanes >= target.vector_bytes else NARROW_ACCESS) * again
        work += cycles
    traffic = sum(n / target.bytes_per_cycle(n) for n in arrays.values()) * (DOWN_COLUMNS if columns else 1.0)
    excess = _live(nodes) - (target.vector_registers - 2)
    spills = max(0, excess) * 2 * ACCESS * iterations / lanes
    ways = math.prod([draft.extents[a] for a in draft.kept]) if draft.reduced else iterations
    if not draft.kept and max(sweeps.values(), default=1) == 1 and not any(_is_full(draft, n) for n in arrays):
        ways = iterations  # parts of a fold can be folded apart
    return Loops(
        work, traffic, spills, any(isinstance(n.op, Contraction) for n in nodes), ways, sum(arrays.values()), dear
    )


def _is_free(source: Node) -> bool:
    """Whether a value is at hand in a register: a number, or a position."""
    return source.is_leaf and (source.ndim == 0 or isinstance(source.op, Elementwise))


def _is_full(draft: Draft, node: Node) -> bool:
    return node in draft.axes and any(a in draft.reduced for a in draft.axes[node])


def _points(draft: Draft, node: Node) -> int:
    """Return how often a node is computed: what does not change in the inner loops is computed outside of them."""
    order = [*sorted(draft.kept), *sorted(draft.reduced)]
    along = {a for a in draft.along(node) if a is not None}
    depth = max([k + 1 for k, a in enumerate(order) if a in along], default=0)
    return math.prod([draft.extents[a] for a in order[:depth]])


def _sweeps(draft: Draft, nodes: Sequence[Node], is_stored: Callable[[Node], bool], keeps: bool) -> dict[Node, int]:
    """Return in how many sweeps over a row each value is computed; `keeps`: dear ones are kept for later sweeps."""
    if not draft.domain:
        return {}
    level: dict[Node, int] = {}
    members = draft.axes
    for node in nodes:
        before = [s for s in map(source_of, node.inputs) if s in members]
        level[node] = max([level[b] + (b in draft.domain) for b in before], default=0)
    needed: dict[Node, set[int]] = {n: set() for n in nodes}
    for node in reversed(nodes):
        if node in draft.domain or is_stored(node):
            needed[node].add(level[node])
        if node not in draft.domain and (is_stored(node) or (keeps and not is_cheap(node))):
            needed[node] = {min(needed[node], default=0)}
        for source in map(source_of, node.inputs):
            if source in members and source not in draft.domain and _is_full(draft, source):
                needed[source] |= needed[node]
    return {n: max(1, len(found)) for n, found in needed.items()}


def _live(nodes: Sequence[Node]) -> int:
    """Return the most values that are needed at one time later on in the loop's body."""
    last: dict[Node, int] = {}
    for k, node in enumerate(nodes):
        for source in map(source_of, node.inputs):
            last[source] = k
    starts = {n: k for k, n in enumerate(nodes)}
    changes = [0] * (len(nodes) + 1)
    for node in nodes:
        end = last.get(node, starts[node])
        changes[starts[node]] += 1
        changes[end] -= 1
    live = most = 0
    for change in changes:
        live += change
        most = max(most, live)
    return most
