"""The order of a program's work, and which variables may be written in place.

An update may go straight into its variable when nothing reads the old value afterwards and nothing can fail any more:
the work that writes it waits until all that read the variable, or may fail, are done. Where that would wait for itself
(two variables swapped, say) the new value goes to memory of its own and is copied when all is over.

The order that work comes in keeps near what belongs together. Others may need less memory: one that makes first what
needs most, and one that takes, of the work that is ready, what leaves the least in use. Who plans memory tries them.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from graphc.ir.graph import Node, item
from graphc.ir.index import source_of
from graphc.ir.types import TupleType
from graphc.lower.work import Launch, Operand, Work

LONG = 256
"""Steps above which two orders are tried instead of four: they take as long as all the rest of lowering."""


@dataclass(frozen=True)
class Schedule:
    """Work in order, and the updates (by value node) that are written in place."""

    order: tuple[Work, ...]
    in_place: frozenset[Node]


def array_of(operand: Operand) -> Operand:
    """Return what is written to memory for an operand: for an item, the node with several results."""
    return operand.inputs[0] if isinstance(operand, Node) and operand.op is item else operand


def reads(work: Work) -> list[Operand]:
    """Return the operands that work reads."""
    if isinstance(work, Launch):
        copied = [source_of(s) if isinstance(s, Node) else s for _, s in work.copied]
        return [o for o in work.operands if o not in work.writes] + copied
    return [source_of(i) for i in work.node.inputs]


def writes(work: Work) -> list[Operand]:
    """Return the operands that work writes, in the order in which the kernel has them; where these are items, the node
    with several results."""
    if isinstance(work, Launch):
        return list(dict.fromkeys([array_of(o) for o in work.operands if o in work.writes]))
    return [work.node]


def can_fail(work: Work) -> bool:
    """Whether a run may end in work; a loop is taken to be able to."""
    return not isinstance(work, Launch) or bool(work.sites)


def schedules(
    works: Sequence[Work], updates: Mapping[Node, Node], kept: AbstractSet[Operand] = frozenset()
) -> tuple[Schedule, ...]:
    """Return orders of work: the given one as far as possible, and others that may need less memory.

    `updates` maps each new value to the variable it replaces; what is `kept` has memory of its own for good.
    """
    graph = _Dependencies(works, updates)
    found = (
        _Order(graph, graph.number).run(),
        _Order(graph, _neediest_first(graph, soonest=True)).run(),
    )
    if len(works) > LONG:
        return found
    return (
        *found,
        _Order(graph, _neediest_first(graph)).run(),
        _Order(graph, graph.number, _Pressure(graph, kept)).run(),
    )


class _Dependencies:
    """Who waits for whom: readers for writers, and work that writes variables in place for all it must not disturb."""

    def __init__(self, works: Sequence[Work], updates: Mapping[Node, Node]) -> None:
        self.works = works
        self.number = {w: k for k, w in enumerate(works)}
        self.writer = {o: w for w in works for o in writes(w)}
        self.sources: dict[Work, tuple[Work, ...]] = {}
        self.users: dict[Work, list[Work]] = {w: [] for w in works}
        readers: dict[Operand, list[Work]] = {}
        for work in works:
            found = dict.fromkeys(self.writer[array_of(o)] for o in reads(work) if array_of(o) in self.writer)
            self.sources[work] = tuple([s for s in found if s is not work])
            for source in self.sources[work]:
                self.users[source].append(work)
            for operand in reads(work):
                readers.setdefault(operand, []).append(work)
        self._hold(updates, readers)

    def _hold(self, updates: Mapping[Node, Node], readers: Mapping[Operand, Sequence[Work]]) -> None:
        """Find the work that may write in place, and what it then waits for."""
        fallible = {w for w in self.works if can_fail(w)}
        self.replaced: dict[Work, list[Node]] = {}
        for value, variable in updates.items():
            work = self.writer[value]
            reads_elsewhere = isinstance(work, Launch) and variable in work.operands and variable not in work.same_index
            if work not in fallible and not reads_elsewhere:
                self.replaced.setdefault(work, []).append(value)
        self.holds: dict[Work, frozenset[Work]] = {}
        self.held_by: dict[Work, list[Work]] = {w: [] for w in self.works}
        for work, values in self.replaced.items():
            before = fallible | {r for v in values for r in readers.get(updates[v], ())}
            self.holds[work] = frozenset(before - {work})
            for other in self.holds[work]:
                self.held_by[other].append(work)


class _Order:
    """An order under construction: of the work that is ready, that of the lowest rank, or of the least pressure."""

    def __init__(self, graph: _Dependencies, rank: Mapping[Work, int], pressure: _Pressure | None = None) -> None:
        self.graph = graph
        self.rank = rank
        self.works = sorted(graph.works, key=rank.__getitem__)
        self.pressure = pressure
        self.needs = {w: len(graph.sources[w]) for w in graph.works}
        self.holds = {w: set(h) for w, h in graph.holds.items()}
        self.ready: list[tuple[int, int]] = []
        self.waiting: set[Work] = set()
        self.done: dict[Work, None] = {}
        self.in_place: set[Node] = set()

    def run(self) -> Schedule:
        for first in self.works:
            if not self.needs[first]:
                self.admit(first)
        while (work := self.next()) is not None:
            self.done[work] = None
            for user in self.graph.users[work]:
                self.needs[user] -= 1
                if not self.needs[user]:
                    self.admit(user)
            for user in self.graph.held_by[work]:
                self.holds[user].discard(work)
                if not self.holds[user] and user in self.waiting:
                    self.waiting.discard(user)
                    self.admit(user)
            if self.pressure is not None:
                for user in self.pressure.finish(work):
                    if not self.needs[user] and user not in self.waiting and user not in self.done:
                        self.admit(user)
        return Schedule(tuple(self.done), frozenset(self.in_place))

    def admit(self, work: Work) -> None:
        """Let work run that needs nothing more; its place in the queue is where it was admitted last."""
        if self.holds.get(work):
            self.waiting.add(work)
        else:
            growth = self.pressure.growth[work] if self.pressure is not None else 0
            heapq.heappush(self.ready, (growth, self.rank[work]))

    def next(self) -> Work | None:
        while self.ready:
            growth, rank = heapq.heappop(self.ready)
            work = self.works[rank]
            if work not in self.done and (self.pressure is None or growth == self.pressure.growth[work]):
                self.in_place.update(self.graph.replaced.get(work, ()))
                return work
        if not self.waiting:
            return None
        work = min(self.waiting, key=self.rank.__getitem__)
        self.waiting.discard(work)
        return work


def _neediest_first(graph: _Dependencies, *, soonest: bool = False) -> dict[Work, int]:
    """Return the rank of work in the order depth first from the end, where each is preceded first by that which needs
    the most memory beyond its result: what is small is not kept while the large is made (Sethi and Ullman, 1970).

    soonest: of all that ends the program, what takes the fewest steps comes first. The weights of the last layer are
    then updated before the derivative reaches the first one, and what only their update needs is not kept until then.
    """
    size = {w: sum(_nbytes(o) for o in writes(w)) for w in graph.works}
    need: dict[Work, int] = {}
    sources: dict[Work, list[Work]] = {}
    level: dict[Work, int] = {}
    for work in _Order(graph, graph.number).run().order:
        level[work] = max([level[s] + 1 for s in graph.sources[work]], default=0)
        sources[work] = sorted(graph.sources[work], key=lambda w: size[w] - need[w])
        held = most = 0
        for source in sources[work]:
            most = max(most, held + need[source])
            held += size[source]
        need[work] = max(most, held + size[work])
    rank: dict[Work, int] = {}
    roots = [w for w in graph.works if not graph.users[w]]
    for root in sorted(roots, key=level.__getitem__) if soonest else roots:
        stack = [(root, iter(sources[root]))]
        while stack:
            work, rest = stack[-1]
            following = next((s for s in rest if s not in rank), None)
            if following is not None:
                stack.append((following, iter(sources[following])))
            else:
                rank.setdefault(work, len(rank))
                stack.pop()
    return rank


class _Pressure:
    """How many bytes more each work leaves in use than there were before it: what it writes less what it reads last."""

    def __init__(self, graph: _Dependencies, kept: AbstractSet[Operand]) -> None:
        readers: dict[Operand, list[Work]] = {}
        for work in graph.works:
            for array in _arrays_read(work, graph, kept):
                readers.setdefault(array, []).append(work)
        self.readers = {a: dict.fromkeys(r) for a, r in readers.items()}
        self.read = {w: _arrays_read(w, graph, kept) for w in graph.works}
        self.growth = {w: sum(_nbytes(o) for o in writes(w) if o not in kept) for w in graph.works}
        for array, found in self.readers.items():
            if len(found) == 1:
                self.growth[next(iter(found))] -= _nbytes(array)

    def finish(self, work: Work) -> list[Work]:
        """Note that work has run; return the work that now is the last to read something."""
        changed: list[Work] = []
        for array in self.read[work]:
            left = self.readers[array]
            del left[work]
            if len(left) == 1:
                last = next(iter(left))
                self.growth[last] -= _nbytes(array)
                changed.append(last)
        return changed


def _arrays_read(work: Work, graph: _Dependencies, kept: AbstractSet[Operand]) -> list[Operand]:
    """Return the arrays that work reads and other work writes to memory of its own."""
    found = dict.fromkeys(array_of(o) for o in reads(work))
    return [a for a in found if a in graph.writer and graph.writer[a] is not work and a not in kept]


def _nbytes(operand: Operand) -> int:
    types = operand.type.items if isinstance(operand.type, TupleType) else (operand.type,)
    return sum(t.nbytes for t in types)
