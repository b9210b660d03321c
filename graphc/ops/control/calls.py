"""Calls: a body as one node, for what the derivative pass could not see otherwise. Compiling puts bodies in place.

checkpoint   what the body computes is not kept for the derivative but computed again, from copies of the inputs that no
             pass takes for them
custom_vjp   the derivative is what the user's rule makes of the inputs and the cotangents
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.errors import GradientError
from graphc.ir.graph import Graph, Node, Region, births, items, substitute
from graphc.ir.types import TensorType, TupleType
from graphc.ops.control.parts import Parts, Pullback, require_count, require_same, zeros
from graphc.ops.elementwise import again


class Rule(str):
    """A name, unlike that of any other rule, that stands for a derivative rule. Traced, the rule is found in it.

    trace      completes the rule that is not traced yet

    forward    from inputs to residuals
    backward   from residuals, cotangents of the results and those inputs that are no arguments, to cotangents
    places     the inputs whose cotangents these are
    arguments  how many inputs there are that may have one; the others are what the functions use from outside
    """

    trace: Callable[[], object] | None = None
    forward: Graph
    backward: Graph
    places: Sequence[int]
    arguments: int


def _results_of(op: str, body: Graph, types: Sequence[TensorType]) -> TupleType:
    expected = [i.tensor_type for i in body.inputs]
    require_count(op, types, expected)
    for given, wanted in zip(types, expected, strict=True):
        require_same(op, given, wanted, "an input", "as the body has it")
    return TupleType(tuple(o.tensor_type for o in body.outputs))


def _vjp_checkpoint(
    pullback: Pullback, cotangents: Parts, masks: Parts, wanted: Sequence[bool], out: Node, *inputs: Node
) -> tuple[Parts, Parts]:
    """Take the pullback of the body on inputs from which everything is computed again."""
    turn = births()
    copies = [again(i, turn=turn) for i in inputs]
    places = [k for k, asked in enumerate(wanted) if asked]
    found = pullback(substitute(out.attrs["body"], copies), [copies[k] for k in places], cotangents, masks)
    parts, passed = (dict(zip(places, f, strict=True)) for f in found)
    return [parts.get(k) for k in range(len(inputs))], [passed.get(k) for k in range(len(inputs))]


def _vjp_custom(
    pullback: Pullback, cotangents: Parts, masks: Parts, wanted: Sequence[bool], out: Node, *inputs: Node
) -> tuple[Parts, Parts]:
    rule = out.attrs["rule"]
    if not isinstance(rule, Rule):
        raise GradientError("custom_vjp: a graph that was read from text has no derivative rules")
    if rule.trace is not None:
        rule.trace()
    if any(wanted[rule.arguments :]):
        raise GradientError(
            f"custom_vjp: {rule} uses a Tensor or variable from outside that a derivative is asked for, but its "
            "backward gives cotangents of arguments alone; pass it as an argument, or use stop_gradient on it"
        )
    types = [o.tensor_type for o in out.attrs["body"].outputs]
    seeds = [zeros(t) if c is None else c for c, t in zip(cotangents, types, strict=True)]
    residuals = substitute(rule.forward, inputs)
    found = substitute(rule.backward, [*residuals, *seeds, *inputs[rule.arguments :]])
    by_place = dict(zip(rule.places, found, strict=True))
    return [by_place.get(k) for k in range(len(inputs))], [None] * len(inputs)


_checkpoint = Region(
    "checkpoint",
    infer=lambda *types, body: _results_of("checkpoint", body, types),
    reference=lambda evaluate, *arrays, body: tuple(evaluate(body, arrays)),
    vjp=_vjp_checkpoint,
    doc="The results of the body; its derivative computes again what the body computed.",
)
_custom_vjp = Region(
    "custom_vjp",
    infer=lambda *types, body, rule: _results_of("custom_vjp", body, types),
    reference=lambda evaluate, *arrays, body, rule: tuple(evaluate(body, arrays)),
    vjp=_vjp_custom,
    doc="The results of the body; its derivative is the rule of that name.",
)
CALLS = (_checkpoint, _custom_vjp)


def checkpoint(body: Graph, inputs: Sequence[Node]) -> tuple[Node, ...]:
    """Return the results of a checkpoint node; of the inputs, only those that the body reads become its own."""
    read = set(body.nodes)
    kept = [k for k, i in enumerate(body.inputs) if i in read]
    closed = Graph(tuple([body.inputs[k] for k in kept]), body.outputs, name=body.name)
    return items(_checkpoint(*[inputs[k] for k in kept], body=closed))


def custom_vjp(body: Graph, rule: Rule, inputs: Sequence[Node]) -> tuple[Node, ...]:
    """Return the results of a custom_vjp node."""
    return items(_custom_vjp(*inputs, body=body, rule=rule))


__all__ = ["CALLS", "Rule", "checkpoint", "custom_vjp"]
