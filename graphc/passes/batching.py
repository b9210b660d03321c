"""One more axis in front: what the body of a loop computes in each step, computed for all steps at once."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphc.ir.graph import (
    Contraction,
    Convolution,
    Cumulative,
    Elementwise,
    Graph,
    Node,
    Op,
    Ordering,
    Random,
    Reduction,
)
from graphc.ops.dot import contract
from graphc.ops.pool import max_pool, pool_index, pool_put, pool_take
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, embed, reshape, slice_, transpose

Value = tuple[Node, bool]
"""What a node of the body is outside, and whether that has an axis of steps in front."""

Attrs = Mapping[str, Any]


def _moved(axes: Iterable[int]) -> tuple[int, ...]:
    return (0, *[a + 1 for a in axes])


VIEWS: dict[Op, Callable[[Attrs, int], dict[str, Any]]] = {
    broadcast: lambda a, n: {"shape": (n, *a["shape"]), "axes": _moved(a["axes"])},
    transpose: lambda a, n: {"axes": _moved(a["axes"])},
    reshape: lambda a, n: {"shape": (n, *a["shape"])},
    slice_: lambda a, n: {"start": (0, *a["start"]), "shape": (n, *a["shape"]), "step": (1, *a["step"])},
    embed: lambda a, n: {**a, "start": (0, *a["start"]), "shape": (n, *a["shape"]), "step": (1, *a["step"])},
}
"""The attributes of a view of one step's array for that of n steps."""


POOLING = (max_pool, pool_index, pool_put, pool_take)
"""Operations on the last axes, whatever comes before."""


def can_batch(node: Node) -> bool:
    """Whether `batched` knows how to compute an op for all steps at once."""
    is_known = isinstance(node.op, Elementwise | Reduction | Contraction | Convolution | Cumulative | Ordering | Random)
    return is_known or node.op in VIEWS or node.op in POOLING


def batched(body: Graph, roots: Iterable[Node], known: Mapping[Node, Value], length: int) -> dict[Node, Value]:
    """Return what nodes of `body` are outside; `known` has the parameters and whatever else is there already."""
    values = dict(known)
    needed = {r for r in roots if r not in values}
    for node in reversed(body.nodes):
        if node in needed:
            needed.update(i for i in node.inputs if i not in values)
    for node in body.nodes:
        if node in needed:
            inputs = [values[i] for i in node.inputs]
            steps = any(has_steps for _, has_steps in inputs)
            values[node] = (_for_all(node, inputs, length) if steps else node.with_inputs(_plain(inputs)), steps)
    return values


def stacked(value: Value, length: int) -> Node:
    """Return a value with the axis of steps, repeated along it if it is the same in all."""
    node, has_steps = value
    if has_steps:
        return node
    return broadcast(node, shape=(length, *node.shape), axes=tuple(range(1, node.ndim + 1)))


def _plain(inputs: Iterable[Value]) -> tuple[Node, ...]:
    return tuple([node for node, _ in inputs])


def _for_all(node: Node, inputs: list[Value], length: int) -> Node:
    op, attrs = node.op, dict(node.attrs)
    if isinstance(op, Elementwise):
        return _node(op, [_spread(v, node.shape, length) for v in inputs], attrs, node)
    if isinstance(op, Reduction):
        return _node(op, _plain(inputs), {**attrs, "axis": tuple([a + 1 for a in attrs["axis"]])}, node)
    if isinstance(op, Cumulative):
        operands = [stacked(v, length) for v in inputs]
        return _node(op, operands, {**attrs, "axis": attrs["axis"] + 1}, node)
    if isinstance(op, Ordering | Random):
        return _node(op, _plain(inputs), attrs, node)
    if isinstance(op, Contraction):
        (a, b), label = _labelled(attrs["spec"], inputs)
        return _node(op, _plain(inputs), {"spec": f"{a},{b}->{label}{attrs['spec'].split('->')[1]}"}, node)
    if isinstance(op, Convolution):
        return _convolved(node, inputs, length)
    if op in POOLING:
        return _node(op, [stacked(v, length) for v in inputs], attrs, node)
    return _node(op, _plain(inputs), VIEWS[op](attrs, length), node)


def _convolved(node: Node, inputs: list[Value], length: int) -> Node:
    """Return a convolution of all steps: more images where the weight is one, or else more groups."""
    op, attrs = node.op, dict(node.attrs)
    assert isinstance(op, Convolution)
    (first, _), (second, is_stepped) = inputs
    if op.role != "weight" and not is_stepped:
        merged = reshape(first, shape=(length * first.shape[1], *first.shape[2:]))
        return reshape(_node(op, (merged, second), attrs, node), shape=(length, *node.shape))
    operands = [stacked(v, length) for v in inputs]
    attrs["groups"] *= length
    if op.role == "weight":
        made = _node(op, [_channels_of_all(i) for i in operands], attrs, node)
        return reshape(made, shape=(length, *node.shape))
    weight = reshape(operands[1], shape=(length * second.shape[1], *second.shape[2:]))
    made = _node(op, (_channels_of_all(operands[0]), weight), attrs, node)
    images, channels, *spatial = node.shape
    return transpose(reshape(made, shape=(images, length, channels, *spatial)), axes=(1, 0, 2, 3, 4))


def _channels_of_all(node: Node) -> Node:
    """Return images [step, n, channel, ...] as [n, channel of each step, ...]."""
    turned = transpose(node, axes=(1, 0, 2, 3, 4))
    return reshape(turned, shape=(turned.shape[0], turned.shape[1] * turned.shape[2], *turned.shape[3:]))


def _spread(value: Value, shape: tuple[Any, ...], length: int) -> Node:
    """Return the operand of an elementwise op whose result has `shape` in each step."""
    node, has_steps = value
    if not has_steps:
        return node if not node.ndim else broadcast(node, shape=(length, *shape), axes=tuple(range(1, node.ndim + 1)))
    return node if node.ndim == len(shape) + 1 else broadcast(node, shape=(length, *shape), axes=(0,))


def _labelled(spec: str, inputs: list[Value]) -> tuple[list[str], str]:
    """Return the labels of both operands, with a new one in front where they have the axis of steps, and that one."""
    label = next(c for c in string.ascii_letters if c not in spec)
    parts = spec.split("->")[0].split(",")
    return [label * has_steps + part for part, (_, has_steps) in zip(parts, inputs, strict=True)], label


def _node(op: Op, inputs: Iterable[Node], attrs: dict[str, Any], of: Node) -> Node:
    inputs = tuple(inputs)
    return Node(op, inputs, attrs, op.infer(*[i.type for i in inputs], **attrs), of.location)


def summed_over_steps(node: Node, inputs: list[Value], length: int) -> Node:
    """Return the sum over all steps of a contraction, of a sum, or of the value itself given as `inputs`.

    What is summed in each step and what is then summed over steps is one contraction:

        sum over t of x[t].T @ g[t]    ->    contract(x, g, spec="tmk,tmn->kn")
    """
    if node.op is contract and all(has_steps for _, has_steps in inputs):
        (a, b), _ = _labelled(node.attrs["spec"], inputs)
        return _node(contract, _plain(inputs), {"spec": f"{a},{b}->{node.attrs['spec'].split('->')[1]}"}, node)
    if node.op is reduce_sum:
        axis = (0, *[a + 1 for a in node.attrs["axis"]])
        return _node(reduce_sum, [stacked(inputs[0], length)], {"axis": axis}, node)
    return _node(reduce_sum, [stacked(inputs[0], length)], {"axis": (0,)}, node)
