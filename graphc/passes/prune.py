"""prune: loops do and keep only what is read. Dead nodes need no pass; dead parts of a scan need this one.

It drops results that nothing reads (among them the record of carries, which only a derivative needs), carries that feed
nothing but themselves, and operands that the body does not read. What is the same in every step becomes a constant of
the loop: a carry that its step hands on unchanged, a slice of a broadcast. Equal results, slices and constants become
one, a scalar constant moves into the body, and a result that only repeats or copies an operand is made outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.graph import Graph, Node, Region, constant, item, substitute, toposort
from graphc.ir.rewrite import OnFire, with_attrs
from graphc.ir.types import Type
from graphc.ops.shape import broadcast
from graphc.passes.loop_parts import SCAN, Loop, Operand


def prune(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with the dead and the repeated parts of its loops removed, also in bodies; itself if none are.

    A scan of which only the final a is read, b being a carry with no influence on a:

        a, b, y = body(a, b, x)    ->    a = body(a, x)
    """
    if not any(isinstance(n.op, Region) for n in graph.nodes):
        return graph
    while True:
        new = _prune_bodies(_prune_loops(graph, on_fire), on_fire)
        if new is graph:
            return graph
        graph = new


def _prune_bodies(graph: Graph, on_fire: OnFire | None) -> Graph:
    done: dict[Graph, Graph] = {}

    def inner(value: Any) -> Any:
        if not isinstance(value, Graph):
            return value
        if value not in done:
            done[value] = prune(value, on_fire)
        return done[value]

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        new = node.with_inputs(inputs)
        return with_attrs(new, {k: inner(v) for k, v in new.attrs.items()}) if isinstance(new.op, Region) else new

    return graph.rewrite(visit)


def _prune_loops(graph: Graph, on_fire: OnFire | None) -> Graph:
    """Plan users first, since what a loop needs depends on what is read of it; then rebuild inputs first."""
    plans = _plans(graph)
    if not plans:
        return graph
    new: dict[Node, Node] = {}

    def renewed(node: Node) -> Node:
        return new[node] if node in new else node.with_inputs(tuple([renewed(i) for i in node.inputs]))

    for node in graph.nodes:
        plan = plans.get(node)
        source = plans.get(node.inputs[0]) if node.op is item else None
        if plan is not None:
            new[node] = plan.loop([renewed(o) for o in plan.operands])
        elif source is not None:
            new[node] = source.result(node, new[node.inputs[0]], renewed)
            if on_fire is not None:
                on_fire("prune", node, new[node])
        else:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    return graph.replace_results([new[r] for r in graph.results])


def _plans(graph: Graph) -> Mapping[Node, _Plan]:
    plans: dict[Node, _Plan] = {}
    live = set(graph.results)
    read: dict[Node, set[int]] = {}
    for node in reversed(graph.nodes):
        if node not in live:
            continue
        needed: Sequence[Node] = node.inputs
        if node.op is item:
            read.setdefault(node.inputs[0], set()).add(node.attrs["index"])
        elif node.op is SCAN:
            plan = _Prunable(node).plan(read.get(node, set()))
            needed = plan.needs
            if not plan.is_unchanged:
                plans[node] = plan
        live.update(needed)
    return plans


@dataclass(frozen=True)
class _Plan:
    """What a scan becomes. Nodes are those of the graph before, or new ones on top of them."""

    node: Node
    operands: tuple[Node, ...]
    attrs: Mapping[str, Any]
    results: Mapping[int, int | Node]
    """For each result that is read: its index in the new scan, or the node outside that equals it."""

    @property
    def is_unchanged(self) -> bool:
        kept = self.operands == self.node.inputs and self.attrs["body"].inputs == self.node.attrs["body"].inputs
        return kept and self.attrs["body"].outputs == self.node.attrs["body"].outputs

    @property
    def needs(self) -> tuple[Node, ...]:
        """Nodes of the graph before that the new scan, or what stands for its results, is made of."""
        outside = [r for r in self.results.values() if isinstance(r, Node)]
        return tuple([n for root in (*self.operands, *outside) for n in (root, *root.inputs)])

    def loop(self, operands: Sequence[Node]) -> Node:
        return Loop(self.node).scan(operands, dict(self.attrs))

    def result(self, old: Node, loop: Node, renewed: Callable[[Node], Node]) -> Node:
        """Return what an item of the old scan becomes."""
        found = self.results.get(old.attrs["index"])
        if isinstance(found, Node):
            return renewed(found)
        if found is None:
            return old  # nothing reads it
        return Node(item, (loop,), {"index": found}, old.type, old.location)


class _Prunable(Loop):
    """A scan to be pruned."""

    def plan(self, read: set[int]) -> _Plan:
        """Return what is left of this scan when of its results only those at the indices `read` are read."""
        results: dict[int, int | Node] = {}
        same = {k for k, (init, carry) in enumerate(self.init) if self.is_invariant(k, init, carry)}
        results.update({k: self.init[k][0] for k in same})
        constants = [self.init[k] for k in sorted(same)]
        repeated = {x: row for x, _ in self.xs if (row := _repeated(x)) is not None}
        constants += [(repeated[x], parameter) for x, parameter in self.xs if x in repeated]
        xs, merged = _merge([(x, parameter) for x, parameter in self.xs if x not in repeated])
        constants, inlined = _merge([*self.constants, *constants])

        outputs = substitute(self.body, [{**merged, **inlined}.get(p, p) for p in self.body.inputs])
        places: dict[Node, int] = {}
        for k in sorted(read - same - set(range(self.carries))):
            outside = self.outside(outputs[k], xs, constants)
            if outside is not None:
                results[k] = outside
            else:
                results[k] = places.setdefault(outputs[k], len(places))
        kept, used = self.reach(read - same, places, outputs, same)
        results = {k: r + len(kept) if k >= self.carries and isinstance(r, int) else r for k, r in results.items()}
        results.update({k: n for n, k in enumerate(kept)})
        init = [self.init[k] for k in kept]
        xs, constants = ([o for o in group if o[1] in used] for group in (xs, constants))
        operands, attrs = self.assembled(init, xs, constants, [*[outputs[k] for k in kept], *places])
        return _Plan(self.node, operands, attrs, results)

    def is_invariant(self, index: int, init: Node, carry: Node) -> bool:
        return self.body.outputs[index] is carry and init.type == carry.type

    def outside(self, result: Node, xs: Sequence[Operand], constants: Sequence[Operand]) -> Node | None:
        """Return the stacked result if it needs no loop: an operand itself, or one value in every step."""
        for value, parameter in xs:
            if result is parameter and value.shape[0] == self.node.attrs["length"]:
                return value if value.shape[1:] == parameter.shape else None
        same = result if result.op is constant else next((v for v, p in constants if p is result), None)
        if same is None or same.type != result.type:
            return None
        shape = (self.node.attrs["length"], *same.shape)
        return broadcast(same, shape=shape, axes=tuple(range(1, len(shape))))

    def reach(
        self, read: set[int], ys: Mapping[Node, int], outputs: Sequence[Node], same: set[int]
    ) -> tuple[list[int], set[Node]]:
        """Return the carries that are read, or influence what is, and all body nodes that are needed."""
        kept = {k for k in read if k < self.carries}
        while True:
            used = set(toposort([*ys, *[outputs[k] for k in sorted(kept)]]))
            more = {k for k, (_, carry) in enumerate(self.init) if carry in used and k not in same} - kept
            if not more:
                return sorted(kept), used
            kept |= more


def _is_number(node: Node) -> bool:
    number = node.inputs[0] if node.op is broadcast else node
    return number.op is constant and not number.shape


def _repeated(x: Node) -> Node | None:
    """Return what every slice of x along its first axis is, if x is a broadcast along it."""
    if x.op is not broadcast or 0 in x.attrs["axes"]:
        return None
    source, shape = x.inputs[0], x.shape[1:]
    return (
        source
        if source.shape == shape
        else broadcast(source, shape=shape, axes=tuple([a - 1 for a in x.attrs["axes"]]))
    )


def _merge(operands: Sequence[Operand]) -> tuple[list[Operand], dict[Node, Node]]:
    """Return the operands that differ, and what stands in the body for the parameters of the others."""
    kept: dict[tuple[Node, Type], Node] = {}
    instead: dict[Node, Node] = {}
    for value, parameter in operands:
        if _is_number(value) and value.type == parameter.type:
            instead[parameter] = value
            continue
        first = kept.setdefault((value, parameter.type), parameter)
        if first is not parameter:
            instead[parameter] = first
    return [(value, parameter) for (value, _), parameter in kept.items()], instead
