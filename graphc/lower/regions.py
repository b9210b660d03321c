"""Regions to steps: loops whose carries stay where they are, and branches.

    scan          its carries live in the memory of the final ones; slices and stacked results move with each step
    while_loop    its carries likewise; the test writes a flag, the body runs while it holds
    cond          both bodies write the results; their own memory is shared, as only one of them runs

What is the same in every step of a loop, such as arranging a weight for a product, is done before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from graphc.ir.graph import Graph, Node
from graphc.ir.groups import Group
from graphc.ir.index import source_of
from graphc.ir.loops import Branch, Clear, Copy, Repeat, Step, While
from graphc.ir.types import BOOL
from graphc.lower.layout import Given, Key, arrays_of
from graphc.lower.memory import Ref, Storage, assign_offsets, live_bytes
from graphc.lower.work import LoopSite, Operand, Site
from graphc.ops.control import too_long, too_many_steps

Planned = Callable[[], Sequence[Step]]
"""A step whose addresses are not known yet: called when they are."""

Bodies = Mapping[str, Sequence[Group]]
Refs = Mapping[Key, Ref]


def placed(planned: Sequence[Planned]) -> tuple[Step, ...]:
    """Return the steps of a plan, now that all memory has its place."""
    return tuple([step for plan in planned for step in plan()])


def copying(source: Ref, target: Ref, nbytes: int) -> Planned:
    """Return the copy of an array to another place; none if it is there, or empty."""

    def plan() -> list[Step]:
        places = source.slot(), target.slot()
        return [Copy(*places, nbytes)] if nbytes and places[0] != places[1] else []

    return plan


class Regions(ABC):
    """How regions are lowered; a level of steps, and where operands lie, is known to who inherits."""

    sites: list[Site | LoopSite]

    @abstractmethod
    def level(
        self, groups: Sequence[Group], given: Given, arena: Storage, depth: int
    ) -> tuple[list[Planned], list[Planned]]: ...

    @abstractmethod
    def ref(self, operand: Operand, refs: Refs) -> Ref: ...

    def region(self, node: Node, bodies: Bodies, refs: Refs, scratch: Storage, depth: int) -> list[Planned]:
        """Plan a region node within `depth` loops that count, with `scratch` for what its bodies need."""
        lower = {"scan": self._scan, "while_loop": self._while, "cond": self._cond}[node.op.name]
        return lower(node, bodies, refs, scratch, depth)

    def _scan(self, node: Node, bodies: Bodies, refs: Refs, scratch: Storage, depth: int) -> list[Planned]:
        body, attrs = node.attrs["body"], node.attrs
        carries, slices, length, reverse = (attrs[k] for k in ("carries", "slices", "length", "reverse"))
        given = [self.ref(i, refs) for i in node.inputs]
        results = [refs[key] for key, _ in arrays_of(node)]
        planned = _begun(node, given, results, carries)
        if not length:
            return planned

        def moving(ref: Ref, nbytes: int) -> Ref:
            return ref.stepped(depth, nbytes)

        inner = _inner(body, given, results, carries)
        for k, param in enumerate(body.inputs[carries : carries + slices], carries):
            inner[param] = moving(given[k], param.tensor_type.nbytes)
        stacks = list(zip(body.outputs[carries:], results[carries:], strict=True))
        outputs = {source_of(o): moving(ref, o.tensor_type.nbytes) for o, ref in stacks}
        count = given[-1] if attrs.get("counted") else None
        if count is not None:
            planned += [_clearing(ref, length * o.tensor_type.nbytes) for o, ref in stacks]
        fixed = set(body.inputs[carries + slices :])
        level = Given(inner, outputs, _updates(body, carries), fixed, certain=count is None)
        before, steps = self.level(bodies["body"], level, scratch, depth + 1)

        def repeat() -> list[Step]:
            site = 0 if count is None else self._site(node, too_long(length))
            return [Repeat(length, placed(steps), reverse, None if count is None else count.slot(), site)]

        return [*planned, *before, repeat]

    def _while(self, node: Node, bodies: Bodies, refs: Refs, scratch: Storage, depth: int) -> list[Planned]:
        test, body, carries, most = (node.attrs[k] for k in ("test", "body", "carries", "max_steps"))
        given = [self.ref(i, refs) for i in node.inputs]
        results = [refs[key] for key, _ in arrays_of(node)]
        flag, *arenas = (Storage(n, parent=scratch) for n in (BOOL.itemsize, 0, 0))

        def of(graph: Graph, outputs: dict[Node, Ref], updates: Mapping[Node, Node], certain: bool) -> Given:
            fixed = set(graph.inputs[carries:])
            return Given(_inner(graph, given, results, carries), outputs, updates, fixed, certain)

        told = of(test, {source_of(test.outputs[0]): Ref(flag)}, {}, certain=True)
        first, asked = self.level(bodies["test"], told, arenas[0], depth)
        second, steps = self.level(bodies["body"], of(body, {}, _updates(body, carries), False), arenas[1], depth)
        _settle(scratch, [flag, *arenas])

        def loop() -> list[Step]:
            site = 0 if most is None else self._site(node, too_many_steps(most))
            places = Ref(flag).slot(), results[carries].slot()
            return [While(placed(asked), places[0], placed(steps), places[1], most, site)]

        return [*_begun(node, given, results, carries), *first, *second, loop]

    def _cond(self, node: Node, bodies: Bodies, refs: Refs, scratch: Storage, depth: int) -> list[Planned]:
        pred, *given = (self.ref(i, refs) for i in node.inputs)
        results = [refs[key] for key, _ in arrays_of(node)]
        sides: list[list[Planned]] = []
        arenas: list[Storage] = []
        for position, (name, body) in enumerate(node.bodies.items()):
            # Positions do not overlap, so neither needs its memory when the other does.
            arenas.append(Storage(0, parent=scratch, first=position, last=position))
            outputs = {source_of(o): ref for o, ref in zip(body.outputs, results, strict=True)}
            inner: dict[Key, Ref] = dict(zip(body.inputs, given, strict=True))
            sides.append(self.level(bodies[name], Given(inner, outputs, {}), arenas[-1], depth)[1])
        _settle(scratch, arenas)
        names = list(node.bodies)

        def branch() -> list[Step]:
            steps = {name: placed(side) for name, side in zip(names, sides, strict=True)}
            return [Branch(pred.slot(), steps["on_true"], steps["on_false"])]

        return [branch]

    def _site(self, node: Node, message: str) -> int:
        self.sites.append(LoopSite(node.location, message))
        return len(self.sites) - 1


def _begun(node: Node, given: Sequence[Ref], results: Sequence[Ref], carries: int) -> list[Planned]:
    """Return the copies of the first carries to where they live."""
    starts = zip(given[:carries], results[:carries], node.inputs, strict=False)
    return [copying(source, target, i.tensor_type.nbytes) for source, target, i in starts]


def _inner(body: Graph, given: Sequence[Ref], results: Sequence[Ref], carries: int) -> dict[Key, Ref]:
    """Return where the parameters of a body lie: carries where the final ones will be, others where they are given."""
    return dict(zip(body.inputs, [*results[:carries], *given[carries:]], strict=False))


def _updates(body: Graph, carries: int) -> dict[Node, Node]:
    return dict(zip(map(source_of, body.outputs[:carries]), body.inputs[:carries], strict=True))


def _clearing(target: Ref, nbytes: int) -> Planned:
    return lambda: [Clear(target.slot(), nbytes)] if nbytes else []


def _settle(scratch: Storage, parts: Sequence[Storage]) -> None:
    """Give the memory of a region its size, that of its parts."""
    scratch.nbytes = assign_offsets(parts)
    scratch.needed = live_bytes(parts)
