"""prune: loops and branches do and keep only what is read. Dead nodes need no pass; dead parts of regions need this.

It drops results that nothing reads (among them the record of carries, which only a derivative needs), carries that feed
nothing but themselves, and operands that the body does not read. What is the same in every step becomes a constant of
the loop: a carry that its step hands on unchanged, a slice of a broadcast. Equal results, slices and constants become
one, a scalar constant moves into the body, and a result that only repeats or copies an operand is made outside. A
while_loop keeps the carries that are read or that its test depends on, a cond the results that are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.ir.graph import Graph, Node, Region, item
from graphc.ir.rewrite import OnFire, with_attrs
from graphc.passes.live_parts import Plan, plan_of
from graphc.passes.loop_parts import rebuilt


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
            new[node] = rebuilt(node, [renewed(o) for o in plan.operands], plan.attrs)
        elif source is not None:
            new[node] = source.result(node, new[node.inputs[0]], renewed)
            if on_fire is not None:
                on_fire("prune", node, new[node])
        else:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    return graph.replace_results([new[r] for r in graph.results])


def _plans(graph: Graph) -> Mapping[Node, Plan]:
    plans: dict[Node, Plan] = {}
    live = set(graph.results)
    read: dict[Node, set[int]] = {}
    for node in reversed(graph.nodes):
        if node not in live:
            continue
        needed: Sequence[Node] = node.inputs
        if node.op is item:
            read.setdefault(node.inputs[0], set()).add(node.attrs["index"])
        elif isinstance(node.op, Region):
            plan = plan_of(node, read.get(node, set()))
            needed = plan.needs
            if not plan.is_unchanged:
                plans[node] = plan
        live.update(needed)
    return plans
