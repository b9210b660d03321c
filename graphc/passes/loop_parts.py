"""Regions taken apart and put together: what passes on scans, while_loops and conds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.ir.graph import OPS, Graph, Node, substitute

SCAN, WHILE, COND = OPS["scan"], OPS["while_loop"], OPS["cond"]

Operand = tuple[Node, Node]
"""A value outside and the parameter of the body that stands for it (one slice of it, for xs)."""


def rebuilt(node: Node, operands: Sequence[Node], attrs: Mapping[str, Any]) -> Node:
    """Return a region on other operands and with other attributes, on the user's line of this one."""
    type = node.op.infer(*[o.type for o in operands], **attrs)
    return Node(node.op, tuple(operands), attrs, type, node.location)


class Loop:
    """A scan taken apart: first values of carries, xs and constants with their parameters, and the body's results; of
    a counted one, the number of steps."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.body: Graph = node.attrs["body"]
        self.length: Any = node.attrs["length"]
        self.carries: int = node.attrs["carries"]
        self.count = node.inputs[-1] if node.attrs.get("counted") else None
        given = node.inputs if self.count is None else node.inputs[:-1]
        operands = list(zip(given, self.body.inputs, strict=True))
        ys = self.carries + node.attrs["slices"]
        self.init, self.xs, self.constants = operands[: self.carries], operands[self.carries : ys], operands[ys:]
        self.ys = self.body.outputs[self.carries :]

    def assembled(
        self, init: Sequence[Operand], xs: Sequence[Operand], constants: Sequence[Operand], outputs: Sequence[Node]
    ) -> tuple[tuple[Node, ...], dict[str, Any]]:
        """Return the operands and the attributes of this scan with other parts; outputs are new carries, then ys."""
        operands = [*init, *xs, *constants]
        body = Graph(tuple([p for _, p in operands]), tuple(outputs), name=self.body.name)
        attrs = {**self.node.attrs, "body": body, "carries": len(init), "slices": len(xs)}
        return (*[v for v, _ in operands], *([] if self.count is None else [self.count])), attrs

    def scan(self, operands: Sequence[Node], attrs: dict[str, Any]) -> Node:
        """Return the scan of these operands and attributes, on the user's line of this one."""
        return rebuilt(self.node, operands, attrs)


class Choice:
    """A while_loop or a cond taken apart: its operands with parameters that all bodies share, and what they compute."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.carries: int = node.attrs.get("carries", 0)
        self.given = node.inputs[1:] if node.op is COND else node.inputs
        first, *others = node.bodies.values()
        self.operands: list[Operand] = list(zip(self.given, first.inputs, strict=True))
        shared = [first.outputs, *[substitute(body, first.inputs) for body in others]]
        self.outputs = dict(zip(node.bodies, shared, strict=True))

    def assembled(
        self, operands: Sequence[Operand], outputs: Mapping[str, Sequence[Node]], carries: int
    ) -> tuple[tuple[Node, ...], dict[str, Any]]:
        """Return the operands and the attributes of this region with other parts."""
        params = tuple([p for _, p in operands])
        bodies = self.node.bodies
        attrs = {**self.node.attrs, **{k: Graph(params, tuple(o), name=bodies[k].name) for k, o in outputs.items()}}
        if self.node.op is COND:
            return (self.node.inputs[0], *[v for v, _ in operands]), attrs
        return tuple([v for v, _ in operands]), {**attrs, "carries": carries}

    def renamed(self, outputs: Sequence[Node], instead: Mapping[Node, Node]) -> list[Node]:
        """Return values of bodies with other nodes in the place of some parameters."""
        params = [p for _, p in self.operands]
        return list(substitute(Graph(tuple(params), tuple(outputs)), [instead.get(p, p) for p in params]))
