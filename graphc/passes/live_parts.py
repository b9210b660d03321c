"""What is left of a region when only some of its results are read, and what stands for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.graph import Node, constant, item, substitute, toposort
from graphc.ir.types import Type
from graphc.ops.shape import broadcast
from graphc.passes.loop_parts import SCAN, WHILE, Choice, Loop, Operand


@dataclass(frozen=True)
class Plan:
    """What a region becomes. Nodes are those of the graph before, or new ones on top of them."""

    node: Node
    operands: tuple[Node, ...]
    attrs: Mapping[str, Any]
    results: Mapping[int, int | Node]
    """For each result that is read: its index in the new region, or the node outside that equals it."""

    @property
    def is_unchanged(self) -> bool:
        pairs = [(self.attrs[name], body) for name, body in self.node.bodies.items()]
        same = all(a.inputs == b.inputs and a.outputs == b.outputs for a, b in pairs)
        return same and self.operands == self.node.inputs

    @property
    def needs(self) -> tuple[Node, ...]:
        """Nodes of the graph before that the new region, or what stands for its results, is made of."""
        outside = [r for r in self.results.values() if isinstance(r, Node)]
        return tuple([n for root in (*self.operands, *outside) for n in (root, *root.inputs)])

    def result(self, old: Node, loop: Node, renewed: Callable[[Node], Node]) -> Node:
        """Return what an item of the old region becomes."""
        found = self.results.get(old.attrs["index"])
        if isinstance(found, Node):
            return renewed(found)
        if found is None:
            return old  # nothing reads it
        return Node(item, (loop,), {"index": found}, old.type, old.location)


def plan_of(node: Node, read: set[int]) -> Plan:
    """Return what is left of a region when of its results only those at the indices `read` are read."""
    if node.op is SCAN:
        return _Scan(node).plan(read)
    return _While(node).plan(read) if node.op is WHILE else _Cond(node).plan(read)


class _Scan(Loop):
    """A scan to be pruned."""

    def plan(self, read: set[int]) -> Plan:
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
        return Plan(self.node, operands, attrs, results)

    def is_invariant(self, index: int, init: Node, carry: Node) -> bool:
        return self.body.outputs[index] is carry and init.type == carry.type

    def outside(self, result: Node, xs: Sequence[Operand], constants: Sequence[Operand]) -> Node | None:
        """Return the stacked result if it needs no loop: an operand itself, or one value in every step."""
        if self.count is not None:
            return None  # where no step was there are zeros
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


class _While(Choice):
    """A while_loop to be pruned."""

    def plan(self, read: set[int]) -> Plan:
        """Return what is left when only the results at the indices `read` are read, the last being the steps."""
        body, test = list(self.outputs["body"]), self.outputs["test"]
        init = self.operands[: self.carries]
        same = {k for k, (value, carry) in enumerate(init) if body[k] is carry and value.type == carry.type}
        results: dict[int, int | Node] = {k: init[k][0] for k in same}
        constants, inlined = _merge([*self.operands[self.carries :], *[init[k] for k in sorted(same)]])
        *body, flag = self.renamed([*body, *test], inlined)
        kept = {k for k in read - same if k < self.carries}
        while True:
            used = set(toposort([flag, *[body[k] for k in sorted(kept)]]))
            more = {k for k, (_, carry) in enumerate(init) if carry in used and k not in same} - kept
            if not more:
                break
            kept |= more
        order = sorted(kept)
        results.update({k: n for n, k in enumerate(order)})
        results[self.carries] = len(order)
        operands = [*[init[k] for k in order], *[o for o in constants if o[1] in used]]
        outputs = {"test": [flag], "body": [body[k] for k in order]}
        return Plan(self.node, *self.assembled(operands, outputs, len(order)), results)


class _Cond(Choice):
    """A cond to be pruned."""

    def plan(self, read: set[int]) -> Plan:
        """Return what is left when only the results at the indices `read` are read."""
        merged, inlined = _merge(self.operands)
        sides = {name: self.renamed(outputs, inlined) for name, outputs in self.outputs.items()}
        results: dict[int, int | Node] = {}
        places: dict[tuple[Node, ...], int] = {}
        for k in sorted(read):
            pair = tuple([outputs[k] for outputs in sides.values()])
            outside = next((v for v, p in merged if pair == (p, p) and v.type == p.type), None)
            results[k] = places.setdefault(pair, len(places)) if outside is None else outside
        outputs = {name: [pair[n] for pair in places] for n, name in enumerate(sides)}
        used = set(toposort([o for pair in places for o in pair]))
        operands = [o for o in merged if o[1] in used]
        return Plan(self.node, *self.assembled(operands, outputs, 0), results)


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
