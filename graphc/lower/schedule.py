"""The order of a program's work, and which variables may be written in place.

An update may go straight into its variable when nothing reads the old value afterwards and nothing can fail any more:
the work that writes it waits until all that read the variable, or may fail, are done. Where that would wait for itself
(two variables swapped, say) the new value goes to memory of its own and is copied when all is over.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node, item
from graphc.lower.work import Launch, Operand, Work


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
        return [o for o in work.operands if o not in work.writes] + [source for _, source in work.copied]
    return list(work.node.inputs)


def writes(work: Work) -> list[Operand]:
    return list(work.writes) if isinstance(work, Launch) else [work.node]


def schedule(works: Sequence[Work], updates: Mapping[Node, Node]) -> Schedule:
    """Order work; `updates` maps each new value to the variable it replaces."""
    number = {w: k for k, w in enumerate(works)}
    writer = {o: w for w in works for o in writes(w)}
    users: dict[Work, list[Work]] = {w: [] for w in works}
    needs = dict.fromkeys(works, 0)
    readers: dict[Operand, list[Work]] = {}
    for work in works:
        for source in {writer[array_of(o)] for o in reads(work) if array_of(o) in writer} - {work}:
            users[source].append(work)
            needs[work] += 1
        for operand in reads(work):
            readers.setdefault(operand, []).append(work)

    # Work that writes variables in place waits for `holds[work]` others, if it can.
    fallible = {w for w in works if not isinstance(w, Launch) or w.sites}
    replaced: dict[Work, list[Node]] = {}
    for value, variable in updates.items():
        work = writer[value]
        reads_elsewhere = isinstance(work, Launch) and variable in work.operands and variable not in work.same_index
        if work not in fallible and not reads_elsewhere:
            replaced.setdefault(work, []).append(value)
    holds: dict[Work, set[Work]] = {}
    held_by: dict[Work, list[Work]] = {w: [] for w in works}
    for work, values in replaced.items():
        before = fallible | {r for v in values for r in readers.get(updates[v], ())}
        holds[work] = before - {work}
        for other in holds[work]:
            held_by[other].append(work)

    order: list[Work] = []
    in_place: set[Node] = set()
    done: set[Work] = set()
    ready = [number[w] for w in works if not needs[w] and not holds.get(w)]
    waiting = {w for w in works if not needs[w] and holds.get(w)}
    heapq.heapify(ready)
    while ready or waiting:
        if ready:
            work = works[heapq.heappop(ready)]
            in_place.update(replaced.get(work, ()))
        else:
            work = min(waiting, key=number.__getitem__)
            waiting.discard(work)
        order.append(work)
        done.add(work)
        for user in users[work]:
            needs[user] -= 1
            if not needs[user]:
                if holds.get(user):
                    waiting.add(user)
                else:
                    heapq.heappush(ready, number[user])
        for user in held_by[work]:
            holds[user].discard(work)
            if not holds[user] and user in waiting:
                waiting.discard(user)
                heapq.heappush(ready, number[user])
    return Schedule(tuple(order), frozenset(in_place))
