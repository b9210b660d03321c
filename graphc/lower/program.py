"""Groups to a program: kernels for each group, their order, and a place in memory for every array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc.errors import InternalError
from graphc.ir.graph import Cumulative, Graph, Node, Opaque, Ordering, known_value
from graphc.ir.groups import Group, GroupKind
from graphc.ir.index import source_of
from graphc.ir.loops import Buffer, Call, Kernel, Program, Region, Slot
from graphc.ir.types import TensorType
from graphc.lower.columns import lower_columns
from graphc.lower.conv import lower_convolution
from graphc.lower.conv_weight import lower_convolution_weight
from graphc.lower.cost import threads_for
from graphc.lower.cumulative import lower_cumulative
from graphc.lower.gemm import lower_contraction
from graphc.lower.layout import Given, Key, arrays_of, key_of, lay_out
from graphc.lower.math import FUNCTIONS
from graphc.lower.memory import Ref, Storage, assign_offsets, live_bytes
from graphc.lower.nest import Nest, folds_columns
from graphc.lower.order import lower_ordering, lower_search
from graphc.lower.parts import lower_in_parts
from graphc.lower.random import lower_random
from graphc.lower.regions import Planned, Regions, copying, placed
from graphc.lower.scatter import lower_scatter
from graphc.lower.schedule import array_of, schedules, writes
from graphc.lower.shared import SharedKernels
from graphc.lower.steps import lower_steps
from graphc.lower.transpose import lower_transposed
from graphc.lower.work import Launch, Loop, LoopSite, Operand, Site, Work
from graphc.ops.conv import convolve_weight
from graphc.ops.ordering import searchsorted
from graphc.target import Target


@dataclass(frozen=True)
class Lowered:
    """A program, the places where it can fail, how near its arena is to the least possible size, the most threads that
    any of its kernels could use, and which group each call of a kernel is for."""

    program: Program
    sites: tuple[Site | LoopSite, ...]
    live_bytes: int
    threads: int
    groups: Mapping[Call, Group]


def lower(graph: Graph, groups: Sequence[Group], target: Target, threads: int | None = None) -> Lowered:
    """Return the program of a graph of static shapes that `materialize` and `fuse` have prepared, for at most `threads`
    threads if given."""
    return _Lowering(graph, target, threads).run(groups)


class _Lowering(Regions):
    def __init__(self, graph: Graph, target: Target, threads: int | None = None) -> None:
        self.graph = graph
        self.target = target
        self.threads = threads
        self.threads_for: dict[Kernel, tuple[int, int]] = {}
        self.constants: list[np.ndarray] = []
        self.constant_refs: dict[Node, Ref] = {}
        self.kernels: dict[Kernel, None] = {}
        self.shared = SharedKernels(self._group)
        self.sites: list[Site | LoopSite] = []
        self.group_of: dict[Launch, Group] = {}
        self.groups: dict[Call, Group] = {}

    def run(self, groups: Sequence[Group]) -> Lowered:
        graph = self.graph
        refs: dict[Key, Ref] = {}
        for k, node in enumerate(graph.inputs):
            refs[node] = Ref(Storage(node.tensor_type.nbytes, Region.INPUT, k))
        for k, node in enumerate(graph.variables):
            refs[node] = Ref(Storage(node.tensor_type.nbytes, Region.STATE, k))
        outputs = {
            source_of(o): Ref(Storage(o.tensor_type.nbytes, Region.OUTPUT, k)) for k, o in enumerate(graph.outputs)
        }
        arena = Storage(0)
        given = Given(refs, outputs, {source_of(v): n for n, v in graph.updates})
        _, planned = self.level(groups, given, arena, 0)
        steps = placed(planned)
        program = Program(
            name=graph.name,
            kernels=tuple(self.kernels),
            steps=steps,
            inputs=tuple(i.tensor_type for i in graph.inputs),
            outputs=tuple(o.tensor_type for o in graph.outputs),
            state=tuple(v.tensor_type for v in graph.variables),
            constants=tuple(self.constants),
            arena_bytes=arena.nbytes,
            functions=FUNCTIONS,
        )
        most = max([threads for threads, _ in self.threads_for.values()], default=1)
        return Lowered(program, tuple(self.sites), arena.needed or 0, most, self.groups)

    # One level: the program itself, or the body of a region.

    def level(
        self, groups: Sequence[Group], given: Given, arena: Storage, depth: int
    ) -> tuple[list[Planned], list[Planned]]:
        """Plan the steps of a level and the memory in `arena` that it needs; of a loop's body, first what is done
        before the loop: the same in every step, such as arranging a weight for a product."""
        bodies = {g.hero: g.bodies for g in groups if g.kind is GroupKind.REGION}
        works = [w for g in groups for w in self._works(g)]
        once = dict.fromkeys(given.done_once(works))
        works = [w for w in works if w not in once]
        lasting = {
            key: Storage(t.nbytes, parent=arena, first=-1, last=len(works))
            for w in once
            for o in writes(w)
            for key, t in arrays_of(o)
        }
        given = replace(given, refs={**given.refs, **{key: Ref(storage) for key, storage in lasting.items()}})
        in_place = {v: n for v, n in given.updates.items() if array_of(v) is v and not _is_empty(v)}
        kept = {array_of(o) for o in (*given.outputs, *in_place)}
        # The first of equals: where it costs no memory, what belongs together stays together.
        layout = min(
            [lay_out(s, given, arena) for s in schedules(works, in_place, kept)],
            key=lambda found: (len(found.copied), found.live_bytes),
        )
        refs = {**given.refs, **layout.refs}
        storages = [*lasting.values(), *layout.storages]
        before = [step for work in once for step in self._launch(work, refs)]
        planned: list[Planned] = []
        for position, work in enumerate(layout.schedule.order):
            if isinstance(work, Launch):
                planned += self._launch(work, refs)
            else:
                scratch = Storage(0, parent=arena, first=position, last=position)
                storages.append(scratch)
                planned += self.region(work.node, bodies[work.node], refs, scratch, depth)
        for value in layout.copied:
            target = refs[key_of(given.updates[value])]
            planned.append(copying(refs[key_of(value)], target, value.tensor_type.nbytes))
        arena.nbytes = assign_offsets(storages)
        arena.needed = live_bytes(storages)
        return before, planned

    def _works(self, group: Group) -> Sequence[Work]:
        if all(_is_empty(o) for o in group.outputs):
            return []
        if group.kind is GroupKind.REGION:
            assert group.hero is not None
            steps = lower_steps(group, self.target)
            if steps is None:
                return [Loop(group.hero)]
            launches = [self.shared.known(steps)]
        else:
            launches = self.shared.launches(group)
        self.group_of.update(dict.fromkeys(launches, group))
        return launches

    def _group(self, group: Group) -> list[Launch]:
        """Lower a group that is like none before."""
        names = list(dict.fromkeys(n.op.name for n in group.nodes))
        name = "_".join(names[:4]) + ("_etc" if len(names) > 4 else "")
        if group.kind is GroupKind.CONTRACTION:
            return lower_contraction(group, name, self.target)
        if group.kind is GroupKind.CONVOLUTION:
            is_weight = group.hero is not None and group.hero.op is convolve_weight
            return (lower_convolution_weight if is_weight else lower_convolution)(group, name, self.target)
        if group.kind is GroupKind.RANDOM:
            return [lower_random(group, name, self.target)]
        if group.kind is GroupKind.SCATTER:
            return [lower_scatter(group, name)]
        if group.kind is GroupKind.OPAQUE:
            return self._opaque(group, name)
        columns = folds_columns(group)
        in_parts = lower_in_parts(group, name, self.target, columns)
        if in_parts is not None:
            return in_parts
        if columns:
            return [lower_columns(group, name, self.target)]
        return [lower_transposed(group, name, self.target) or Nest(group, name).launch()]

    def _opaque(self, group: Group, name: str) -> list[Launch]:
        hero = group.hero
        assert hero is not None
        if isinstance(hero.op, Cumulative):
            return [lower_cumulative(hero, name, self.target)]
        if isinstance(hero.op, Ordering):
            return lower_ordering(hero, name, self.target)
        if hero.op is searchsorted:
            return [lower_search(hero, name)]
        assert isinstance(hero.op, Opaque)
        assert hero.op.nest is not None
        op, attrs = hero.op, hero.attrs

        def buffer(name: str, node: Node) -> Buffer:
            return Buffer(name, TensorType(node.dtype, op.seen(node.tensor_type, **attrs)))

        inputs = tuple([buffer(f"x{k}", i) for k, i in enumerate(hero.inputs)])
        output = buffer("out", hero)
        body = hero.op.nest(inputs, output, **attrs)
        return [Launch(Kernel(name, (*inputs, output), body), (*map(source_of, hero.inputs), hero), frozenset((hero,)))]

    def _launch(self, work: Launch, refs: Mapping[Key, Ref]) -> list[Planned]:
        copies = [
            copying(self.ref(source, refs), self.ref(target, refs), type.nbytes)
            for target, source in work.copied
            for _, type in arrays_of(target)
        ]
        places = tuple(self.ref(o, refs) for o in work.operands)
        return [*copies, lambda: [self._call(work, tuple(r.slot() for r in places))]]

    def ref(self, operand: Operand, refs: Mapping[Key, Ref]) -> Ref:
        operand = source_of(operand) if isinstance(operand, Node) else operand
        found = refs.get(key_of(operand))
        if found is not None:
            return found
        assert isinstance(operand, Node)
        if _is_empty(operand):
            return Ref(Storage(0))  # computed by nothing, read by nothing
        value = known_value(operand)
        if value is None:
            raise InternalError(f"lower: {operand!r} has no memory")
        if operand not in self.constant_refs:
            self.constant_refs[operand] = Ref(Storage(value.nbytes, Region.CONSTANT, len(self.constants)))
            self.constants.append(value)
        return self.constant_refs[operand]

    # Addresses.

    def _call(self, work: Launch, slots: tuple[Slot, ...]) -> Call:
        kernel = work.kernel
        self.kernels[kernel] = None
        if kernel not in self.threads_for:
            self.threads_for[kernel] = threads_for(kernel, self.target, self.threads)
        first = len(self.sites)
        self.sites += work.sites
        call = Call(kernel, slots, tuple(range(first, len(self.sites))), *self.threads_for[kernel])
        self.groups[call] = self.group_of[work]
        return call


def _is_empty(node: Node) -> bool:
    return isinstance(node.type, TensorType) and node.type.size == 0
