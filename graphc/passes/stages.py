"""A graph with sizes that a call finds as stages, each an ordinary graph, whose sizes those before it have found.

The count of the trues of a mask, say, is computed by one stage, and what has as many elements by the next. A stage
takes inputs, the values of variables, and what earlier stages gave; it writes no variable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.found import found_in
from graphc.ir.graph import Elementwise, Graph, Node, View, constant, placeholder, toposort, variable
from graphc.ops.shape import embed, slice_


@dataclass(frozen=True)
class Stage:
    """One stage: a graph from the values of nodes `takes` to those of nodes `gives`, nodes of the whole graph.

    symbols   the found sizes that it is made for
    finds     the sizes that are known after it: their names, and the nodes that count them
    """

    graph: Graph
    takes: tuple[Node, ...]
    gives: tuple[Node, ...]
    symbols: tuple[str, ...]
    finds: tuple[tuple[str, Node], ...]


def stages(
    name: str, results: Sequence[Node], counts: Mapping[str, Node], asked: Collection[str] = ()
) -> tuple[Stage, ...]:
    """Return the stages that compute the results, and the sizes `asked` for.

    `counts` are the nodes that say the sizes that a call finds.
    """
    counts = _needed((*results, *[counts[s] for s in asked]), counts) | {s: counts[s] for s in asked}
    order = in_order((*results, *counts.values()), counts)
    level: dict[Node, int] = {}
    for node in order:
        found = [level[counts[s]] + 1 for s in found_in(node, counts)]
        level[node] = max([0, *found, *[level[i] for i in node.inputs]])
    roots: list[dict[Node, None]] = [{} for _ in range(max(level.values(), default=0) + 1)]
    for node in (*results, *counts.values()):
        roots[level[node]][node] = None
    made: list[Stage] = []
    # From the last to the first: what a stage takes, an earlier one gives.
    for number in reversed(range(len(roots))):
        stage = _stage(f"{name}_{number}" if number else name, tuple(roots[number]), number, level, counts)
        for taken in stage.takes:
            if taken.op not in (placeholder, variable):
                roots[level[taken]][taken] = None
        made.append(stage)
    return tuple(reversed(made))


def _needed(results: Sequence[Node], counts: Mapping[str, Node]) -> dict[str, Node]:
    """Return the counts of the sizes that the results have, or what they are computed from."""
    needed: dict[str, Node] = {}
    pending: Sequence[Node] = tuple(results)
    while pending:
        symbols = {s for n in toposort(pending) for s in found_in(n, counts)} - needed.keys()
        pending = [counts[s] for s in symbols]
        needed.update(zip(symbols, pending, strict=True))
    return {s: n for s, n in counts.items() if s in needed}


def in_order(roots: Sequence[Node], counts: Mapping[str, Node]) -> list[Node]:
    """Return all nodes that the roots need, after their inputs and after the counts of the sizes that they have."""

    def needs(node: Node) -> Iterator[Node]:
        return iter((*node.inputs, *[counts[s] for s in found_in(node, counts)]))

    order: dict[Node, None] = {}
    for root in roots:
        stack = [(root, needs(root))]
        while stack:
            node, rest = stack[-1]
            missing = next((n for n in rest if n not in order), None)
            if missing is not None:
                stack.append((missing, needs(missing)))
            else:
                order[node] = None
                stack.pop()
    return list(order)


def _stage(
    name: str, gives: tuple[Node, ...], number: int, level: Mapping[Node, int], counts: Mapping[str, Node]
) -> Stage:
    """Return the stage of this number that computes `gives`."""
    free = {n for n in level if _is_free(n)}
    new: dict[Node, Node] = {}
    takes: dict[Node, Node] = {}
    stack = list(gives)
    while stack:
        node = stack[-1]
        if node in new:
            stack.pop()
        elif node.op in (placeholder, variable) or (level[node] < number and node not in free):
            called = node.attrs["name"] if node.op in (placeholder, variable) else f"t{len(takes)}"
            new[node] = takes[node] = placeholder(name=called, type=node.tensor_type)
        elif missing := [i for i in node.inputs if i not in new]:
            stack.extend(missing)
        else:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    graph = Graph(tuple(takes.values()), tuple([new[g] for g in gives]), name=name)
    symbols = sorted({s for n in (*graph.inputs, *graph.nodes) for s in found_in(n, counts)})
    finds = tuple([(s, n) for s, n in counts.items() if level[n] == number])
    return Stage(graph, tuple(takes), gives, tuple(symbols), finds)


def _is_free(node: Node) -> bool:
    """Return whether a value is made again by each stage that needs it, as it costs nothing: positions, sizes, views.

    A part of an array may be less than the whole; it is one stage that takes it from what another gives.
    """
    if isinstance(node.op, View):
        is_part = node.op in (slice_, embed)
        return not is_part or node.inputs[0].op in (placeholder, variable, constant)
    return node.is_leaf and (node.op is constant or isinstance(node.op, Elementwise))
