"""Scans taken apart and put together: what passes on loops share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.ir.graph import OPS, Graph, Node

SCAN = OPS["scan"]

Operand = tuple[Node, Node]
"""A value outside and the parameter of the body that stands for it (one slice of it, for xs)."""


class Loop:
    """A scan taken apart: first values of carries, xs and constants with their parameters, and the body's results."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.body: Graph = node.attrs["body"]
        self.length: Any = node.attrs["length"]
        self.carries: int = node.attrs["carries"]
        operands = list(zip(node.inputs, self.body.inputs, strict=True))
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
        return tuple([v for v, _ in operands]), attrs

    def scan(self, operands: Sequence[Node], attrs: dict[str, Any]) -> Node:
        """Return the scan of these operands and attributes, on the user's line of this one."""
        type = SCAN.infer(*[o.type for o in operands], **attrs)
        return Node(SCAN, tuple(operands), attrs, type, self.node.location)
