"""while_loop: a body as long as a test of what it carries holds.

The derivative must know every carry that there was. It runs the steps again, now that their number is known, as scans
that record: one of at most `max_steps` steps, or scans in scans of BLOCK steps each, of which the outer ones keep where
the inner ones begin. So the record of n steps takes the memory of a few times BLOCK carries, not of n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ShapeError, StepsError
from graphc.ir.graph import Graph, Node, Region, items, literal, substitute
from graphc.ir.types import INT64, TensorType, TupleType
from graphc.ops.control.parts import Parts, Pullback, parameter, require_count, require_flag, require_same
from graphc.ops.control.scans import scan
from graphc.ops.elementwise import floor_divide, iota, minimum

BLOCK = 128
"""Steps of each of the nested scans that a loop without `max_steps` is differentiated as."""

NESTING = 3
"""How many of them are nested: BLOCK**NESTING steps are the most that can be differentiated without `max_steps`. Where
there are more, the run fails, as the outermost scan does not take as many."""

STRAIGHT = 1024
"""`max_steps` up to which one scan records them all."""

COUNT = TensorType(INT64, ())


def _infer_while(*types: TensorType, test: Graph, body: Graph, carries: int, max_steps: int | None) -> TupleType:
    for graph in (test, body):
        expected = [i.tensor_type for i in graph.inputs]
        require_count("while_loop", types, expected)
        for k, (given, wanted) in enumerate(zip(types, expected, strict=True)):
            require_same("while_loop", given, wanted, "an input" if k >= carries else "the initial carry")
    if len(test.outputs) != 1 or len(body.outputs) != carries:
        raise ShapeError(f"while_loop: the test gives {len(test.outputs)} values, the body {len(body.outputs)}")
    require_flag("while_loop", test.outputs[0].tensor_type, "the test")
    kept = [i.tensor_type for i in body.inputs[:carries]]
    for result, wanted in zip(body.outputs, kept, strict=True):
        require_same("while_loop", result.tensor_type, wanted, "the new carry")
    return TupleType((*kept, COUNT))


def _reference_while(
    evaluate: Any, *arrays: Any, test: Graph, body: Graph, carries: int, max_steps: int | None
) -> tuple[Any, ...]:
    carry, constants = arrays[:carries], arrays[carries:]
    steps = 0
    while bool(evaluate(test, (*carry, *constants))[0]):
        if steps == max_steps:
            raise StepsError(too_many_steps(max_steps))
        carry = evaluate(body, (*carry, *constants))
        steps += 1
    return (*carry, np.asarray(steps, np.int64))


def too_many_steps(max_steps: int) -> str:
    """Return the message about a loop that does not end in time."""
    return f"while_loop: the test still holds after max_steps = {max_steps} steps; give a larger max_steps, or none"


def _vjp_while(
    pullback: Pullback, cotangents: Parts, masks: Parts, wanted: Sequence[bool], out: Node, *inputs: Node
) -> tuple[Parts, Parts]:
    """Take the pullback of the same steps as scans, as many as there were."""
    attrs = out.attrs
    carries, max_steps = attrs["carries"], attrs["max_steps"]
    steps = items(out)[-1]
    primal = [parameter(f"p{k}", i.tensor_type) for k, i in enumerate(inputs)]
    count = parameter("steps", COUNT)
    finals = _repeated(attrs["body"], primal[:carries], primal[carries:], count, _blocks(max_steps))
    seeds = [None if c is None else parameter(f"d{k}", c.tensor_type) for k, c in enumerate(cotangents[:carries])]
    places = [k for k, asked in enumerate(wanted) if asked]
    inside = [None if m is None else parameter(f"m{k}", m.tensor_type) for k, m in enumerate(masks[:carries])]
    pulled = pullback(finals, [primal[k] for k in places], seeds, inside)
    given = [
        (p, n) for p, n in zip((*seeds, *inside), (*cotangents[:carries], *masks[:carries]), strict=True)
        if p is not None and n is not None
    ]  # fmt: skip
    closed = Graph(
        (*primal, count, *[p for p, _ in given]), tuple([n for part in pulled for n in part if n is not None])
    )
    values = iter(substitute(closed, [*inputs, steps, *[n for _, n in given]]))
    parts, passed = (
        [next(values) if found.get(k) is not None else None for k in range(len(inputs))]
        for found in [dict(zip(places, part, strict=True)) for part in pulled]
    )
    return parts, passed


def _blocks(max_steps: int | None) -> tuple[int, ...]:
    """Return the lengths of the nested scans that stand for a loop, outermost first."""
    if max_steps is None:
        return (BLOCK,) * NESTING
    levels = 1
    while STRAIGHT**levels < max_steps:
        levels += 1
    if levels == 1:
        return (max_steps,)
    side = math.ceil(max_steps ** (1 / levels))
    while side**levels < max_steps:  # the root is rounded
        side += 1
    return (side,) * levels


def _repeated(
    body: Graph, init: Sequence[Node], constants: Sequence[Node], count: Node, blocks: Sequence[int]
) -> Sequence[Node]:
    """Return the carries after `count` steps of nested scans.

    count steps    ->    for k in range(ceil(count / block)): min(block, count - k * block) steps
    """
    length, inner = blocks[0], blocks[1:]
    if not inner:
        return items(scan(body, init, (), constants, length, count=count))[: len(init)]
    block = literal(math.prod(inner), INT64)
    one = literal(1, INT64)
    carry = [parameter(f"c{k}", n.tensor_type) for k, n in enumerate(init)]
    outside = [parameter(f"k{k}", n.tensor_type) for k, n in enumerate(constants)]
    position, total = parameter("position", COUNT), parameter("count", COUNT)
    left = minimum(block, total - position * block)
    finals = _repeated(body, carry, outside, left, inner)
    outer = Graph((*carry, position, *outside, total), tuple(finals), name=f"{body.name}_block")
    positions = iota(shape=(length,), axis=0, dtype=INT64)
    whole = floor_divide(count + (block - one), block)
    return items(scan(outer, init, (positions,), (*constants, count), length, count=whole))[: len(init)]


_while = Region(
    "while_loop",
    infer=_infer_while,
    reference=_reference_while,
    vjp=_vjp_while,
    doc="A loop that carries values as long as a test of them holds; its last result is the number of steps.",
)


def while_loop(
    test: Graph, body: Graph, init: Sequence[Node], constants: Sequence[Node], max_steps: int | None = None
) -> Node:
    """Return a while_loop node: its results are the final carries and the number of steps.

    test and body take the carries and the constants, of which those that neither reads are left out.
    """
    carries = len(init)
    read = {*test.nodes, *body.nodes}
    kept = [
        k for k in range(len(constants)) if test.inputs[carries + k] in read or body.inputs[carries + k] in read
    ]  # fmt: skip
    closed = [
        Graph((*g.inputs[:carries], *[g.inputs[carries + k] for k in kept]), g.outputs, name=g.name)
        for g in (test, body)
    ]
    attrs = {"test": closed[0], "body": closed[1], "carries": carries, "max_steps": max_steps}
    return _while(*init, *[constants[k] for k in kept], **attrs)


__all__ = ["too_many_steps", "while_loop"]
