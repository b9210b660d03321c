"""The arrays of one level (the program, or the body of a loop): how long each lives, and which takes over another's
memory.

A kernel that reads an array for the last time, and each element only until it writes the one at the same place, may
write where it reads. Such arrays follow one another in a chain with one storage. A chain may end in memory that is
given, an output or a variable updated in place: its members then need no arena at all.

    y = exp(x @ w)        x @ w, exp(.), .+1 lie one after the other where z will be
    z = y + 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from graphc.ir.graph import Node, item, known_value
from graphc.ir.types import TensorType, TupleType
from graphc.lower.memory import Ref, Storage, live_bytes
from graphc.lower.schedule import Schedule, can_fail, reads, writes
from graphc.lower.work import Launch, Operand, Work

Key = object
"""What identifies an array: the operand, or the node of several results and which one."""


def key_of(operand: Operand) -> Key:
    if isinstance(operand, Node) and operand.op is item:
        return operand.inputs[0], operand.attrs["index"]
    return operand


def arrays_of(operand: Operand) -> list[tuple[Key, TensorType]]:
    """Return the arrays that a written operand consists of."""
    if isinstance(operand.type, TupleType):
        return [((operand, k), t) for k, t in enumerate(operand.type.items)]
    return [(operand, operand.type)]


@dataclass(frozen=True)
class Given:
    """The memory that a level is given: arrays it may read, those it must write, and what its updates replace.

    In the body of a loop, `fixed` are those arrays among `refs` that are the same in every step; elsewhere it is None.
    Where the body is `certain` to run, what it does in every step alike may be done before, even if it can fail.
    """

    refs: Mapping[Key, Ref]
    outputs: Mapping[Node, Ref]
    updates: Mapping[Node, Node]
    fixed: AbstractSet[Key] | None = None
    certain: bool = True

    def done_once(self, works: Sequence[Work]) -> list[Launch]:
        """Return the work of a body that does the same in every step."""
        if self.fixed is None:
            return []
        fixed, found = set(self.fixed), list[Launch]()
        kept = {key_of(n) for n in (*self.outputs, *self.updates)}
        for work in works:
            if not isinstance(work, Launch) or not all(key_of(o) in fixed or _is_constant(o) for o in reads(work)):
                continue
            if work.sites and not self.certain:
                continue
            keys = [key for o in writes(work) for key, _ in arrays_of(o)]
            if kept.isdisjoint(keys):
                fixed.update(keys)
                found.append(work)
        return found


def _is_constant(operand: Operand) -> bool:
    return isinstance(operand, Node) and known_value(operand) is not None


@dataclass
class Layout:
    """Where the arrays that a level writes lie; `storages` are the new ones among them, `copied` the updates that are
    written elsewhere and copied when all is done."""

    schedule: Schedule
    refs: dict[Key, Ref] = field(default_factory=dict)
    storages: list[Storage] = field(default_factory=list)
    copied: list[Node] = field(default_factory=list)

    @property
    def live_bytes(self) -> int:
        return live_bytes(self.storages)


def lay_out(schedule: Schedule, given: Given, arena: Storage) -> Layout:
    """Return where each array that the work of a level writes lies."""
    return _Layout(schedule, given, arena).run()


class _Layout:
    def __init__(self, schedule: Schedule, given: Given, arena: Storage) -> None:
        self.schedule = schedule
        self.order = schedule.order
        self.given = given
        self.arena = arena
        self.outputs = {key_of(o): ref for o, ref in given.outputs.items()}
        self.written = {k: p for p, w in enumerate(self.order) for o in writes(w) for k, _ in arrays_of(o)}
        self.types = {k: t for w in self.order for o in writes(w) for k, t in arrays_of(o)}
        self.variable = {key_of(v): given.updates[v] for v in schedule.in_place}
        self.copied = [v for v in given.updates if v not in schedule.in_place and v.tensor_type.size]
        self.last: dict[Key, int] = {}
        for position, work in enumerate(self.order):
            self.last.update({key_of(o): position for o in reads(work)})
        self.last.update({key_of(v): len(self.order) for v in self.copied})
        self.last_fallible = max((p for p, w in enumerate(self.order) if can_fail(w)), default=-1)

    def run(self) -> Layout:
        found = Layout(self.schedule, copied=self.copied)
        heirs = self.heirs()
        # Heirs first: who comes before them goes where they are.
        for key, position in sorted(self.written.items(), key=lambda pair: -pair[1]):
            place = self.place(key, position, heirs, found)
            if place is None:
                storage = Storage(self.types[key].nbytes, parent=self.arena, first=position, last=position)
                found.storages.append(storage)
                place = Ref(storage)
            if place.storage.parent is self.arena:
                place.storage.first = min(place.storage.first, position)
                place.storage.last = max(place.storage.last, self.last.get(key, position))
            found.refs[key] = place
        found.storages.reverse()
        return found

    def place(self, key: Key, position: int, heirs: Mapping[Key, Key], found: Layout) -> Ref | None:
        """Return the memory that waits for an array: what is given for it, or that of its heir."""
        if key in self.outputs:
            return self.outputs[key]
        if key in self.variable:
            return self.given.refs[key_of(self.variable[key])]
        heir = heirs.get(key)
        if heir is None:
            return None
        variable = self.variable.get(heir)
        if variable is not None:
            # The old value goes earlier than the work that writes the new one waited for.
            if max(self.last.get(key_of(variable), -1), self.last_fallible) >= position:
                return None
            self.variable[key] = variable
        return found.refs[heir]

    def heirs(self) -> dict[Key, Key]:
        """Return for arrays that one work reads last the array that may take over their memory there."""
        heirs: dict[Key, Key] = {}
        for position, work in enumerate(self.order):
            dying = {b: a for b, a in _replaceable(work).items() if self.last[b] == position and self.is_own(b)}
            for key, type in [pair for o in writes(work) for pair in arrays_of(o)]:
                before = next((b for b, a in dying.items() if a in (None, key) and self.same_size(b, type)), None)
                if before is not None:
                    heirs[before] = key
                    del dying[before]
        return heirs

    def is_own(self, key: Key) -> bool:
        """Whether this level chooses where an array lies."""
        return key in self.written and key not in self.outputs and key not in self.variable

    def same_size(self, key: Key, type: TensorType) -> bool:
        old = self.types[key]
        return bool(old.size) and old.nbytes == type.nbytes and old.dtype.itemsize == type.dtype.itemsize


def _replaceable(work: Work) -> dict[Key, Key | None]:
    """Return the arrays that a result of the same size may replace as work reads them, and which, if not any may.

    A loop's carries begin as copies of their first values: where these lie there already, nothing is copied.
    """
    if isinstance(work, Launch):
        found: dict[Key, Key | None] = {key_of(s): key_of(t) for t, s in work.copied if s not in work.operands}
        found.update((key_of(o), None) for o in work.operands if o in work.same_index and o not in work.writes)
        return found
    keys = [key_of(o) for o in reads(work)]
    carries = work.node.attrs.get("carries", 0)
    return {k: (work.node, n) for n, k in enumerate(keys[:carries]) if keys.count(k) == 1}
