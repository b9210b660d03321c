"""Control flow: operations with a body graph. A body has no variables; every outside value it uses is an input.

The facts of a region op that need to go into the body take a function that does so as their first argument:
reference(evaluate, *arrays, **attrs) with evaluate(body, arrays), and vjp(pullback, cotangents, wanted, out, *inputs)
with pullback(outputs, wrt, cotangents), where a cotangent of None is zero and `wanted` tells for which inputs a
cotangent is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Graph, Node, Region, item, items, literal, placeholder, substitute
from graphc.ir.types import TensorType, TupleType
from graphc.ops.shape import broadcast

Pullback = Callable[[Sequence[Node], Sequence[Node], Sequence[Node | None]], list[Node | None]]


def zeros(type: TensorType) -> Node:
    """Return an array of zeros."""
    scalar = literal(0, type.dtype)
    return broadcast(scalar, shape=type.shape, axes=()) if type.shape else scalar


def parameter(name: str, type: TensorType) -> Node:
    """Return an input of a body."""
    return placeholder(name=name, type=type)


# scan: carry, y = body(carry, x, constants...) for each x along the leading axis of xs.


def _infer_scan(*types: TensorType, body: Graph, carries: int, slices: int, length: Size, reverse: bool) -> TupleType:
    expected = [i.tensor_type for i in body.inputs]
    results = [o.tensor_type for o in body.outputs]
    if len(types) != len(expected):
        raise ShapeError(f"scan: the body takes {len(expected)} values, got {len(types)}")
    for k, (given, wanted) in enumerate(zip(types, expected, strict=True)):
        is_slice = carries <= k < carries + slices
        if is_slice and not (given.ndim and _may_equal(given.shape[0], length)):
            raise ShapeError(f"scan: xs must have leading size {length}, got {given}")
        one = given.with_shape(given.shape[1:]) if is_slice else given
        _require_same(one, wanted, "an input" if k >= carries else "the initial carry")
    for given, wanted in zip(results, expected[:carries], strict=False):
        _require_same(given, wanted, "the new carry")
    stacked = [r.with_shape((length, *r.shape)) for r in results[carries:]]
    return TupleType((*expected[:carries], *stacked))


def _may_equal(a: Size, b: Size) -> bool:
    return a == b or isinstance(a, Dim) or isinstance(b, Dim)


def _require_same(given: TensorType, wanted: TensorType, what: str) -> None:
    if given.dtype != wanted.dtype:
        raise DTypeError(f"scan: {what} must be {wanted} in every step, got {given}")
    fits = given.ndim == wanted.ndim and all(_may_equal(a, b) for a, b in zip(given.shape, wanted.shape, strict=True))
    if not fits:
        raise ShapeError(f"scan: {what} must be {wanted} in every step, got {given}")


def _reference_scan(
    evaluate: Any, *arrays: Any, body: Graph, carries: int, slices: int, length: int, reverse: bool
) -> tuple[Any, ...]:
    carry, xs, constants = arrays[:carries], arrays[carries : carries + slices], arrays[carries + slices :]
    stacks = [np.empty((length, *o.shape), o.dtype) for o in body.outputs[carries:]]
    for step in reversed(range(length)) if reverse else range(length):
        results = evaluate(body, (*carry, *[x[step] for x in xs], *constants))
        carry = results[:carries]
        for stack, y in zip(stacks, results[carries:], strict=True):
            stack[step] = y
    return (*carry, *stacks)


def _vjp_scan(
    pullback: Pullback, cotangents: Sequence[Node | None], wanted: Sequence[bool], out: Node, *inputs: Node
) -> tuple[Node | None, ...]:
    """Walk the steps the other way, with the carry of each step as it was recorded.

    The reverse scan carries the cotangents of the carry and the sums of those of the constants, and emits those of xs.
    Only what is wanted is in it: the pullback of a pullback would otherwise read the seeds that it must not depend on.
    """
    body, carries, slices = out.attrs["body"], out.attrs["carries"], out.attrs["slices"]
    out = _with_record(out, inputs)
    records = items(out)[-carries:] if carries else ()
    length, xs, constants = out.attrs["length"], inputs[carries : carries + slices], inputs[carries + slices :]

    primal = [parameter(f"p{k}", i.tensor_type) for k, i in enumerate(body.inputs)]
    results = substitute(body, primal)
    in_steps = [c is not None for c in cotangents[carries : len(results)]]
    ct_carry = [parameter(f"dc{k}", r.tensor_type) for k, r in enumerate(results[:carries])]
    ct_ys = [parameter(f"dy{k}", r.tensor_type) for k, r in enumerate(results[carries:]) if in_steps[k]]
    rest = iter(ct_ys)
    ct_results: list[Node | None] = [c if c.dtype.kind == "f" else None for c in ct_carry]
    ct_results += [next(rest) if used else None for used in in_steps]
    needed = [k for k in range(len(primal)) if k < carries or wanted[k]]
    found = dict(zip(needed, pullback(results, [primal[k] for k in needed], ct_results), strict=True))
    grads = [found.get(k) for k in range(len(primal))]

    ct_new = [g if g is not None else zeros(p.tensor_type) for g, p in zip(grads, primal[:carries], strict=False)]
    x_grads = grads[carries : carries + slices]
    sums = [(k, g) for k, g in enumerate(grads[carries + slices :]) if g is not None]
    totals = [parameter(f"sum{k}", constants[k].tensor_type) for k, _ in sums]
    reverse_body = Graph(
        (*ct_carry, *totals, *primal[:carries], *primal[carries : carries + slices], *ct_ys,
         *primal[carries + slices :]),
        (*ct_new, *[total + g for total, (_, g) in zip(totals, sums, strict=True)],
         *[g for g in x_grads if g is not None]),
        name=f"{body.name}_vjp",
    )  # fmt: skip
    start = [
        c if c is not None else zeros(t)
        for c, t in zip(cotangents[:carries], [p.tensor_type for p in primal], strict=False)
    ]
    start += [zeros(t.tensor_type) for t in totals]
    steps = [*records, *xs, *[c for c in cotangents[carries : len(results)] if c is not None]]
    back = items(scan(reverse_body, start, steps, constants, length, not out.attrs["reverse"]))

    ct_consts: list[Node | None] = [None] * len(constants)
    for (k, _), total in zip(sums, back[carries:], strict=False):
        ct_consts[k] = total
    stacked = iter(back[carries + len(sums) :])
    ct_xs = [next(stacked) if g is not None else None for g in x_grads]
    return (*back[:carries], *ct_xs, *ct_consts)


def _with_record(out: Node, inputs: tuple[Node, ...]) -> Node:
    """Return `out` if its last results are the stacked old carries, else the same scan with them."""
    body, carries, slices = out.attrs["body"], out.attrs["carries"], out.attrs["slices"]
    recorded = body.outputs[-carries:] if len(body.outputs) >= 2 * carries else ()
    if recorded == body.inputs[:carries]:
        return out
    xs, constants = inputs[carries : carries + slices], inputs[carries + slices :]
    return scan(body, inputs[:carries], xs, constants, out.attrs["length"], out.attrs["reverse"])


_scan = Region(
    "scan",
    infer=_infer_scan,
    reference=_reference_scan,
    vjp=_vjp_scan,
    doc="A loop that carries values from step to step, reads slices of xs and stacks what each step yields.",
)


def scan(
    body: Graph,
    init: Sequence[Node],
    xs: Sequence[Node],
    constants: Sequence[Node],
    length: Size,
    reverse: bool = False,
) -> Node:
    """Return a scan node: results are the final carries, the stacked ys, and the stacked carries before each step.

    The last group is the record that the derivative reads; where nothing reads it, the compiler drops it. Of xs and
    constants, only those that the body reads become inputs.
    """
    carries = len(init)
    recorded = Graph(body.inputs, body.outputs + body.inputs[:carries], name=body.name)
    read = set(recorded.nodes)
    kept_xs = [k for k in range(len(xs)) if body.inputs[carries + k] in read]
    kept_constants = [k for k in range(len(constants)) if body.inputs[carries + len(xs) + k] in read]
    inputs = (
        *body.inputs[:carries],
        *[body.inputs[carries + k] for k in kept_xs],
        *[body.inputs[carries + len(xs) + k] for k in kept_constants],
    )
    attrs = {
        "body": Graph(inputs, recorded.outputs, name=body.name),
        "carries": carries,
        "slices": len(kept_xs),
        "length": length,
        "reverse": reverse,
    }
    return _scan(*init, *[xs[k] for k in kept_xs], *[constants[k] for k in kept_constants], **attrs)


__all__ = ["item", "parameter", "scan", "zeros"]
