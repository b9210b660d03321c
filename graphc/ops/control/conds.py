"""cond: one of two bodies, as a bool says. The other one does not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ShapeError
from graphc.ir.graph import Graph, Node, Region, items, substitute
from graphc.ir.types import TensorType, TupleType
from graphc.ops.control.parts import Parts, Pullback, parameter, require_count, require_flag, require_same, zeros

BODIES = ("on_true", "on_false")


def _infer_cond(pred: TensorType, *types: TensorType, on_true: Graph, on_false: Graph) -> TupleType:
    require_flag("cond", pred, "pred")
    for body in (on_true, on_false):
        expected = [i.tensor_type for i in body.inputs]
        require_count("cond", types, expected)
        for given, wanted in zip(types, expected, strict=True):
            require_same("cond", given, wanted, "an operand", "as the body has it")
    if len(on_true.outputs) != len(on_false.outputs):
        raise ShapeError(f"cond: one body has {len(on_true.outputs)} results, the other {len(on_false.outputs)}")
    for k, (one, other) in enumerate(zip(on_true.outputs, on_false.outputs, strict=True)):
        require_same("cond", other.tensor_type, one.tensor_type, f"result {k}", "in both bodies")
    return TupleType(tuple(o.tensor_type for o in on_true.outputs))


def _reference_cond(evaluate: Any, pred: Any, *arrays: Any, on_true: Graph, on_false: Graph) -> tuple[Any, ...]:
    return tuple(evaluate(on_true if bool(pred) else on_false, arrays))


def _vjp_cond(
    pullback: Pullback, cotangents: Parts, masks: Parts, wanted: Sequence[bool], out: Node, *inputs: Node
) -> tuple[Parts, Parts]:
    """Take the pullback of the body that ran."""
    pred, operands = inputs[0], inputs[1:]
    places = [k for k, asked in enumerate(wanted[1:]) if asked]
    seeds = [c for c in (*cotangents, *masks) if c is not None]
    found = [_pulled(pullback, out.attrs[name], cotangents, masks, places) for name in BODIES]
    used = [k for k in range(len(places)) if any(grads[k] is not None for _, grads in found)]
    bodies = [
        Graph(
            inputs,
            tuple([g if (g := grads[k]) is not None else zeros(operands[places[k]].tensor_type) for k in used]),
            name=f"{out.attrs[name].name}_vjp",
        )
        for name, (inputs, grads) in zip(BODIES, found, strict=True)
    ]
    results: list[Node | None] = [None] * len(inputs)
    for k, result in zip(used, cond(pred, bodies[0], bodies[1], [*operands, *seeds]), strict=True):
        results[1 + places[k]] = result
    return results, [None] * len(inputs)


def _pulled(
    pullback: Pullback, body: Graph, cotangents: Parts, masks: Parts, places: Sequence[int]
) -> tuple[tuple[Node, ...], list[Node | None]]:
    """Return the parameters of a body's pullback, and the cotangents of its operands at `places`."""
    primal = [parameter(f"p{k}", i.tensor_type) for k, i in enumerate(body.inputs)]
    seeds = [None if c is None else parameter(f"d{k}", c.tensor_type) for k, c in enumerate(cotangents)]
    inside = [None if m is None else parameter(f"m{k}", m.tensor_type) for k, m in enumerate(masks)]
    grads, _ = pullback(substitute(body, primal), [primal[k] for k in places], seeds, inside)
    return (*primal, *[s for s in (*seeds, *inside) if s is not None]), grads


_cond = Region(
    "cond",
    infer=_infer_cond,
    reference=_reference_cond,
    vjp=_vjp_cond,
    doc="The results of on_true where pred holds, else those of on_false: bodies on the same operands.",
)


def cond(pred: Node, on_true: Graph, on_false: Graph, operands: Sequence[Node]) -> tuple[Node, ...]:
    """Return the results of a cond node; of the operands, only those that a body reads become inputs."""
    bodies = (on_true, on_false)
    read = [set(body.nodes) for body in bodies]
    kept = [k for k in range(len(operands)) if any(b.inputs[k] in r for b, r in zip(bodies, read, strict=True))]
    chosen = [Graph(tuple([b.inputs[k] for k in kept]), b.outputs, name=b.name) for b in bodies]
    return items(_cond(pred, *[operands[k] for k in kept], on_true=chosen[0], on_false=chosen[1]))


__all__ = ["cond"]
