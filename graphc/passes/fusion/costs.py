"""What a group would cost as a kernel: arithmetic, traffic and spills in cycles, and how far it can be divided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Contraction, Convolution, Elementwise, Gather, Node, Random, Reduction, Tiled
from graphc.ir.index import source_of
from graphc.ir.loops import CHEAP
from graphc.ir.types import TensorType
from graphc.passes.fusion.legality import Draft, folds_outer_axes
from graphc.target import FUNCTION_CYCLES, LAUNCH_CYCLES, Target

FORK = 20_000.0
"""Cycles to hand work to other threads and to wait for them."""

ACCESS = 0.5
"""Cycles of a vector load or store that hits the first cache; two are under way at a time."""

NARROW_ACCESS = 1.0
"""The same for values that must be widened, such as the bytes of a mask."""

RANDOM_CYCLES = 16.0
"""Cycles of the rounds that one element of random bits takes, with one lane."""

DOWN_COLUMNS = 1.2
"""How much longer it takes to go through an array strip by strip, down its columns, than row by row."""

CYCLES: Mapping[str, float] = {"copy": 0.0, "identity": 0.0, "div": 8.0, "sqrt": 10.0, "pow": 40.0, "floor": 0.5}
"""Cycles on one vector of operations that are neither CHEAP nor of FUNCTION_CYCLES."""


@dataclass(frozen=True)
class Loops:
    """A kernel as it would run, in cycles of one core.

    work     arithmetic; `dear` is the elementwise operation that takes the most of it
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
        alone = (work + self.traffic if self.bursts else max(work, self.traffic)) + LAUNCH_CYCLES
        ways = min(target.cores, self.ways)
        return min(alone, FORK + alone / ways) if ways > 1 else alone


def node_cycles(node: Node) -> float:
    """Return the cycles of an operation on one vector."""
    if isinstance(node.op, Gather):
        return 10.0  # one element at a time
    if not isinstance(node.op, Elementwise):
        return ACCESS if isinstance(node.op, Reduction) else 2.0
    return CYCLES.get(node.op.scalar, 0.5 if node.op.scalar in CHEAP else FUNCTION_CYCLES)


def is_cheap(node: Node) -> bool:
    return node_cycles(node) <= 1.0


def cycles_of(node: Node, target: Target) -> float:
    """Return the cycles of the arithmetic of an operation by itself, whatever it is fused with."""
    if not isinstance(node.type, TensorType):
        return LAUNCH_CYCLES
    lanes = target.lanes(node.dtype.itemsize)
    if isinstance(node.op, Tiled):
        return _multiply_adds(node) / lanes
    most = max([i.tensor_type.nbytes // i.dtype.itemsize for i in (node, *node.inputs)])
    return node_cycles(node) * most / lanes


@dataclass(frozen=True)
class _Facts:
    """What the cost of a node depends on besides its group.

    cycles   for one vector; of a contraction, for all of it with one lane
    sources  the values that it reads, through views
    loads    those that are no numbers or positions: where they are not computed in the group they are loaded
    wide     bytes of the largest element in play
    """

    cycles: float
    sources: tuple[Node, ...]
    loads: tuple[tuple[Node, int, int], ...]
    wide: int
    nbytes: int
    is_product: bool
    is_cheap: bool


def _facts(node: Node) -> _Facts:
    is_product = isinstance(node.op, Tiled)
    sources = tuple([source_of(i) for i in node.inputs])
    loads = [(s, s.tensor_type.nbytes, s.dtype.itemsize) for s in sources if not _is_free(s)]
    wide = max([node.dtype.itemsize, *[i.dtype.itemsize for i in node.inputs]])
    cycles = _multiply_adds(node) if is_product else node_cycles(node)
    return _Facts(cycles, sources, tuple(loads), wide, node.tensor_type.nbytes, is_product, is_cheap(node))


def _is_free(source: Node) -> bool:
    """Whether a value is at hand in a register: a number, or a position."""
    return source.is_leaf and (source.ndim == 0 or isinstance(source.op, Elementwise))


def _multiply_adds(hero: Node) -> float:
    """Return the cycles of what is made in tiles with one lane: two multiply-adds are under way at a time."""
    if isinstance(hero.op, Random):
        return RANDOM_CYCLES * float(hero.tensor_type.size)
    if isinstance(hero.op, Convolution):
        return 0.5 * hero.op.multiply_adds(hero)
    assert isinstance(hero.op, Contraction)
    a, b, _ = hero.op.dims(**hero.attrs)
    sizes = dict(zip(a + b, hero.inputs[0].shape + hero.inputs[1].shape, strict=True))
    return 0.5 * float(math.prod(sizes.values()))


class Costs:
    """Estimates for the groups of one graph."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._known: dict[Node, _Facts] = {}

    def facts(self, node: Node) -> _Facts:
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = _facts(node)
        return found

    def loops_of(self, draft: Draft, nodes: Sequence[Node], is_stored: Callable[[Node], bool]) -> Loops:
        """Return what a group would cost as a kernel; `nodes` are its nodes in order."""
        target = self.target
        facts = [self.facts(n) for n in nodes]
        stored = {n for n in nodes if is_stored(n)}
        lanes = target.lanes(max([n.dtype.itemsize for n in nodes if n.dtype.kind == "f"], default=4))
        columns = bool(draft.reduced) and folds_outer_axes(draft)
        row = math.prod([draft.extents[a] for a in draft.reduced]) * 4
        keeps = not columns and row <= target.row_bytes
        sweeps = _sweeps(draft, nodes, facts, stored, keeps) if draft.domain else {}
        points = _Points(draft)
        iterations = points.upto[-1]
        members = set(nodes)
        work, most, dear = 0.0, -1.0, "all"
        arrays = {n: f.nbytes for n, f in zip(nodes, facts, strict=True) if n in stored}
        for node, fact in zip(nodes, facts, strict=True):
            again = points.of(node) / lanes * sweeps.get(node, 1)
            # Positions are int64: two vectors for one of floats.
            again *= max(1.0, fact.wide * lanes / target.vector_bytes)
            cycles = fact.cycles / lanes if fact.is_product else fact.cycles * again
            if cycles > most and not fact.is_product:
                most, dear = cycles, node.op.name
            for source, nbytes, itemsize in fact.loads:
                if source not in members:
                    arrays[source] = min(nbytes, iterations * itemsize)
                    is_narrow = itemsize * lanes < target.vector_bytes
                    cycles += 0.0 if fact.is_product else (NARROW_ACCESS if is_narrow else ACCESS) * again
            work += cycles
        traffic = sum([n / target.bytes_per_cycle(n) for n in arrays.values()]) * (DOWN_COLUMNS if columns else 1.0)
        excess = 0
        if len(nodes) > target.vector_registers - 2:
            excess = max(0, _live(nodes, facts) - (target.vector_registers - 2))
        ways = points.upto[len(draft.extents) - len(draft.reduced)] if draft.reduced else iterations
        if len(draft.reduced) == len(draft.extents) and _is_one_sweep(draft, sweeps, stored):
            ways = iterations  # parts of a fold can be folded apart
        bursts = any(f.is_product for f in facts)
        return Loops(work, traffic, excess * 2 * ACCESS * iterations / lanes, bursts, ways, sum(arrays.values()), dear)


class _Points:
    """How often values are computed: what does not change in the inner loops is computed outside of them."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        order = [*sorted(draft.kept), *sorted(draft.reduced)]
        self.depth = {a: k + 1 for k, a in enumerate(order)}
        self.upto = [1]
        for axis in order:
            self.upto.append(self.upto[-1] * draft.extents[axis])

    def of(self, node: Node) -> int:
        depth = self.depth
        return self.upto[max([depth[a] for a in self.draft.along(node) if a is not None], default=0)]


def _is_full(draft: Draft, node: Node) -> bool:
    return not draft.reduced.isdisjoint(draft.axes[node])


def _is_one_sweep(draft: Draft, sweeps: Mapping[Node, int], stored: set[Node]) -> bool:
    return max(sweeps.values(), default=1) == 1 and not any(_is_full(draft, n) for n in stored)


def _sweeps(
    draft: Draft, nodes: Sequence[Node], facts: Sequence[_Facts], stored: set[Node], keeps: bool
) -> dict[Node, int]:
    """Return in how many sweeps over a row each value is computed; `keeps`: dear ones are kept for later sweeps."""
    level: dict[Node, int] = {}
    domain = draft.domain
    for node, fact in zip(nodes, facts, strict=True):
        level[node] = max([level[s] + (s in domain) for s in fact.sources if s in level], default=0)
    needed: dict[Node, set[int]] = {n: set() for n in nodes}
    for node, fact in zip(reversed(nodes), reversed(facts), strict=True):
        own = needed[node]
        if node in domain or node in stored:
            own.add(level[node])
        if node not in domain and own and (node in stored or (keeps and not fact.is_cheap)):
            own = needed[node] = {min(own)}
        for source in fact.sources:
            if source in needed and source not in domain and _is_full(draft, source):
                needed[source] |= own
    return {n: max(1, len(found)) for n, found in needed.items()}


def _live(nodes: Sequence[Node], facts: Sequence[_Facts]) -> int:
    """Return the most values that are needed at one time later on in the loop's body."""
    last = {s: k for k, fact in enumerate(facts) for s in fact.sources}
    changes = [0] * (len(nodes) + 1)
    for k, node in enumerate(nodes):
        changes[k] += 1
        changes[last.get(node, k)] -= 1
    live = most = 0
    for change in changes:
        live += change
        most = max(most, live)
    return most
