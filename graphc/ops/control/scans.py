"""scan: a body for each slice of arrays, with values carried from step to step.

With `counted`, the last input says how many steps there are: none below 0; above `length`, the run fails. They take
the first slices, in reverse from the last of these on; what is stacked is zero where no step was. Only derivatives make
such scans, of a while_loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError, StepsError
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node, Region, items, substitute
from graphc.ir.types import BOOL, INT64, Shape, TensorType, TupleType
from graphc.ops.control.parts import Parts, Pullback, may_equal, parameter, require_count, require_same, zeros
from graphc.ops.elementwise import bitwise_or
from graphc.ops.shape import broadcast


def _infer_scan(
    *types: TensorType, body: Graph, carries: int, slices: int, length: Size, reverse: bool, counted: bool = False
) -> TupleType:
    expected = [i.tensor_type for i in body.inputs]
    results = [o.tensor_type for o in body.outputs]
    if counted:
        _require_steps(types[-1])
        types = types[:-1]
    require_count("scan", types, expected)
    for k, (given, wanted) in enumerate(zip(types, expected, strict=True)):
        is_slice = carries <= k < carries + slices
        if is_slice and not (given.ndim and may_equal(given.shape[0], length)):
            raise ShapeError(f"scan: xs must have leading size {length}, got {given}")
        one = given.with_shape(given.shape[1:]) if is_slice else given
        require_same("scan", one, wanted, "an input" if k >= carries else "the initial carry")
    for given, wanted in zip(results, expected[:carries], strict=False):
        require_same("scan", given, wanted, "the new carry")
    stacked = [r.with_shape((length, *r.shape)) for r in results[carries:]]
    return TupleType((*expected[:carries], *stacked))


def _require_steps(type: TensorType) -> None:
    if type != TensorType(INT64, ()):
        raise DTypeError(f"scan: the number of steps must be one int64, got {type}")


def _reference_scan(
    evaluate: Any,
    *arrays: Any,
    body: Graph,
    carries: int,
    slices: int,
    length: int,
    reverse: bool,
    counted: bool = False,
) -> tuple[Any, ...]:
    steps = length
    if counted:
        arrays, steps = arrays[:-1], max(0, int(arrays[-1]))
        if steps > length:
            raise StepsError(too_long(length))
    carry, xs, constants = arrays[:carries], arrays[carries : carries + slices], arrays[carries + slices :]
    stacks = [np.zeros((length, *o.shape), o.dtype) for o in body.outputs[carries:]]
    for step in reversed(range(steps)) if reverse else range(steps):
        results = evaluate(body, (*carry, *[x[step] for x in xs], *constants))
        carry = results[:carries]
        for stack, y in zip(stacks, results[carries:], strict=True):
            stack[step] = y
    return (*carry, *stacks)


def too_long(length: int) -> str:
    """Return the message about more steps than a scan has."""
    return f"while_loop: more steps than its derivative has room for, {length} or blocks of them; give max_steps"


def _vjp_scan(
    pullback: Pullback, cotangents: Parts, masks: Parts, wanted: Sequence[bool], out: Node, *inputs: Node
) -> tuple[Parts, Parts]:
    """Walk the steps the other way, with the carry of each step as it was recorded.

    The reverse scan carries the cotangents of the carry and the sums of those of the constants, and emits those of xs.
    Only what is wanted is in it: the pullback of a pullback would otherwise read the seeds that it must not depend on.
    """
    body, carries, slices = out.attrs["body"], out.attrs["carries"], out.attrs["slices"]
    out = _with_record(out, inputs)
    inputs, count = _parted(out, inputs)
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
    given = [_whole(m, (length, *r.shape)) for m, r in zip(masks[carries:], results[carries:], strict=False)]
    mask_ys = [
        None if m is None else parameter(f"m{k}", m.tensor_type.with_shape(m.shape[1:])) for k, m in enumerate(given)
    ]
    needed = [k for k in range(len(primal)) if k < carries or wanted[k]]
    end_masks = _masks_at_end(cotangents, masks, results[:carries])
    mask_carry = [None if m is None else parameter(f"mc{k}", m.tensor_type) for k, m in enumerate(end_masks)]
    found, passed, new_masks = _settled(pullback, results, primal, needed, ct_results, mask_carry, mask_ys)
    grads = [found.get(k) for k in range(len(primal))]

    ct_new = [g if g is not None else zeros(p.tensor_type) for g, p in zip(grads, primal[:carries], strict=False)]
    x_grads = grads[carries : carries + slices]
    x_masks = [
        _whole(passed.get(k), primal[k].shape) if grads[k] is not None else None
        for k in range(carries, carries + slices)
    ]
    sums = [(k, g) for k, g in enumerate(grads[carries + slices :]) if g is not None]
    totals = [parameter(f"sum{k}", constants[k].tensor_type) for k, _ in sums]
    reverse_body = Graph(
        (*ct_carry, *totals, *primal[: carries + slices], *ct_ys, *_there(mask_ys), *_there(mask_carry),
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
    # Masks depend on no cotangent, so they come from a loop that reads none.
    held = [k for k, m in enumerate(new_masks) if m is not None]
    of_constants = list(_constant_masks(constants, grads, passed, carries + slices))
    so_far = [parameter(f"mk{k}", m.tensor_type) for k, m in of_constants]
    mask_body = Graph(
        (*_there(mask_carry), *so_far, *primal[: carries + slices], *_there(mask_ys), *primal[carries + slices :]),
        (*_there(new_masks), *[bitwise_or(a, m) for a, (_, m) in zip(so_far, of_constants, strict=True)],
         *_there(x_masks)),
        name=f"{body.name}_masks",
    )  # fmt: skip
    first = [*_there([end_masks[k] for k in held]), *[zeros(a.tensor_type) for a in so_far]]
    of_steps = [*records, *xs, *_there(given)]
    backwards = not out.attrs["reverse"]
    found_masks = (
        items(scan(mask_body, first, of_steps, constants, length, backwards, count)) if mask_body.outputs else ()
    )
    held_masks = found_masks[-len(first) :][: len(held)] if first else ()

    steps = [*records, *xs, *_there(cotangents[carries : len(results)]), *_there(given), *held_masks]
    back = items(scan(reverse_body, start, steps, constants, length, backwards, count))

    ct_consts: list[Node | None] = [None] * len(constants)
    for (k, _), total in zip(sums, back[carries:], strict=False):
        ct_consts[k] = total
    stacked = iter(back[carries + len(sums) :])
    ct_xs = [next(stacked) if g is not None else None for g in x_grads]
    parts = [*back[:carries], *ct_xs, *ct_consts, *([] if count is None else [None])]

    masks_in: list[Node | None] = [None] * len(parts)
    for k, m in zip([*held, *[carries + slices + k for k, _ in of_constants]], found_masks, strict=False):
        masks_in[k] = m
    for k, m in zip([k for k, m in enumerate(x_masks) if m is not None], found_masks[len(first) :], strict=False):
        masks_in[carries + k] = m
    return parts, masks_in


def _there(nodes: Parts) -> list[Node]:
    return [n for n in nodes if n is not None]


def _masks_at_end(cotangents: Parts, masks: Parts, finals: Sequence[Node]) -> list[Node | None]:
    """Return where the cotangents of the last carries may be other than zero: none where nothing came with a mask."""
    if all(m is None for m in masks):
        return [None] * len(finals)
    ends: list[Node | None] = []
    for cotangent, mask, final in zip(cotangents, masks, finals, strict=False):
        flags = final.tensor_type.with_dtype(BOOL)
        is_float = final.dtype.kind == "f"
        ends.append((zeros(flags) if cotangent is None else _whole(mask, final.shape)) if is_float else None)
    return ends


def _settled(
    pullback: Pullback,
    results: Sequence[Node],
    primal: Sequence[Node],
    needed: Sequence[int],
    ct_results: Parts,
    mask_carry: list[Node | None],
    mask_ys: Parts,
) -> tuple[dict[int, Node | None], dict[int, Node | None], list[Node | None]]:
    """Return the cotangents of what a step takes, their masks, and the masks that it hands to the step before.

    Where a step lets a carry's cotangent pass everywhere, steps before may not count on a mask: mask_carry loses it.
    """
    while True:
        pulled = pullback(results, [primal[k] for k in needed], ct_results, [*mask_carry, *mask_ys])
        found, passed = (dict(zip(needed, p, strict=True)) for p in pulled)
        news = [
            None if m is None else _mask_before(found[k], passed[k], primal[k].tensor_type)
            for k, m in enumerate(mask_carry)
        ]
        if all(m is None or new is not None for m, new in zip(mask_carry, news, strict=True)):
            return found, passed, news
        mask_carry[:] = [None if new is None else m for m, new in zip(mask_carry, news, strict=True)]


def _mask_before(cotangent: Node | None, mask: Node | None, type: TensorType) -> Node | None:
    """Return the mask that a step hands to the step before it."""
    return zeros(type.with_dtype(BOOL)) if cotangent is None else _whole(mask, type.shape)


def _constant_masks(
    constants: Sequence[Node], grads: Parts, passed: Mapping[int, Node | None], first: int
) -> Iterator[tuple[int, Node]]:
    """Give the masks that a step leaves on the cotangents of constants, which all steps add to."""
    for k, constant in enumerate(constants):
        mask = _whole(passed.get(first + k), constant.shape)
        if grads[first + k] is not None and mask is not None:
            yield k, mask


def _whole(mask: Node | None, shape: Shape) -> Node | None:
    """Return a mask with an entry for each element."""
    if mask is None or mask.ndim == len(shape):
        return mask
    return broadcast(mask, shape=shape, axes=()) if not mask.ndim else None


def _with_record(out: Node, inputs: tuple[Node, ...]) -> Node:
    """Return `out` if its last results are the stacked old carries, else the same scan with them."""
    body, carries, slices = out.attrs["body"], out.attrs["carries"], out.attrs["slices"]
    recorded = body.outputs[-carries:] if len(body.outputs) >= 2 * carries else ()
    if recorded == body.inputs[:carries]:
        return out
    inputs, count = _parted(out, inputs)
    xs, constants = inputs[carries : carries + slices], inputs[carries + slices :]
    return scan(body, inputs[:carries], xs, constants, out.attrs["length"], out.attrs["reverse"], count)


def _parted(out: Node, inputs: tuple[Node, ...]) -> tuple[tuple[Node, ...], Node | None]:
    """Return the inputs that the body reads, and the number of steps if that is one."""
    return (inputs[:-1], inputs[-1]) if out.attrs.get("counted") else (inputs, None)


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
    count: Node | None = None,
) -> Node:
    """Return a scan node: results are the final carries, the stacked ys, and the stacked carries before each step.

    The last group is the record that the derivative reads; where nothing reads it, the compiler drops it. Of xs and
    constants, only those that the body reads become inputs. `count` is how many of `length` steps there are.
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
    operands = [*init, *[xs[k] for k in kept_xs], *[constants[k] for k in kept_constants]]
    if count is not None:
        operands, attrs = [*operands, count], {**attrs, "counted": True}
    return _scan(*operands, **attrs)


__all__ = ["scan", "too_long"]
