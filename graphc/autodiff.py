"""Derivatives, graph to graph: a walk over each operation's vjp rule. No tape, no numbers, any order.

Where a value was not chosen, no derivative passes: `where` leaves a mask on what it hands to its alternatives, and what
a rule makes of a masked cotangent is zero again outside the mask, also where the rule is singular there (0 * inf).

Reverse mode is the pullback. Forward mode is the pullback of the pullback: the pullback is linear in its cotangent, so
transposing it gives the Jacobian-vector product, and what only the transposition needed is dead code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.errors import GradientError, located_at
from graphc.ir.graph import (
    NOT_DIFFERENTIABLE,
    ZERO_DERIVATIVE,
    Elementwise,
    Gather,
    Graph,
    Leaf,
    Node,
    Reduction,
    Region,
    View,
    births,
    item,
    toposort,
)
from graphc.ir.rewrite import into_bodies
from graphc.ir.types import FLOAT32, TensorType, TupleType
from graphc.ops.control import parameter
from graphc.ops.elementwise import (
    abs as abs_,
)
from graphc.ops.elementwise import (
    add,
    again,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    cast,
    choose,
    copysign,
    gt,
    le,
    lt,
    maximum,
    minimum,
    ne,
    neg,
    relu,
    sub,
    where,
)
from graphc.ops.reduce import any_, spread
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import concat
from graphc.passes.stabilize import stable_forms

_FINITE = frozenset((add, again, sub, neg, abs_, relu, maximum, minimum, copysign, cast, where))
"""Operations whose derivative is finite everywhere, so that it keeps zeros zero."""


def pullback(outputs: Sequence[Node], wrt: Sequence[Node], cotangents: Sequence[Node | None]) -> list[Node | None]:
    """Return, for each node of `wrt`, the sum over outputs of cotangent * d output / d node; None where it is zero.

    A cotangent has the type of its output; None is zero. Only floating-point values carry cotangents. What is written
    as in a textbook is differentiated in its stable form.
    """
    return _pulled(outputs, wrt, cotangents, [None] * len(outputs))[0]


def _pulled(
    outputs: Sequence[Node], wrt: Sequence[Node], cotangents: Sequence[Node | None], given: Sequence[Node | None]
) -> tuple[list[Node | None], list[Node | None]]:
    """Return the pullback of cotangents that are zero outside of `given` masks, and the masks of what it returns."""
    outputs, wrt = stable_forms(outputs, wrt)
    order = toposort(outputs)
    active = _active(order, wrt)
    # A node with several results has one list entry per result, any other a single entry.
    sums: dict[Node, list[Node | None]] = {}
    masks: dict[Node, Node | None] = {}
    for output, cotangent, mask in zip(outputs, cotangents, given, strict=True):
        if cotangent is not None and output in active:
            masks[output] = _either(masks[output], mask) if output in sums else mask
            _add(sums, output, cotangent)
    targets = set(wrt)
    of_items: dict[Node, dict[int, Node | None]] = {}
    for node in reversed(order):
        if node not in sums or node not in active or (node.is_leaf and node in targets):
            continue
        received = sums[node] if node in targets else sums.pop(node)
        with located_at(node.location):
            mask = masks.pop(node, None) if node not in targets else masks.get(node)
            if node.op is item:
                of_items.setdefault(node.inputs[0], {})[node.attrs["index"]] = mask
                continue  # what it received was handed to its source on arrival
            parts: Sequence[Node | None]
            if isinstance(node.op, Region):
                parts, passed_on = _through_region(node, received, of_items.pop(node, {}), active)
            else:
                parts, passed_on = _input_cotangents(node, received, active), []
            if mask is not None and isinstance(node.op, Elementwise) and node.op not in _FINITE:
                parts = [part if part is None else choose(mask, part, 0.0) for part in parts]
            for k, (source, part) in enumerate(zip(node.inputs, parts, strict=True)):
                if part is not None:
                    passed = passed_on[k] if passed_on else _passed_mask(node, k, mask)
                    masks[source] = _either(masks[source], passed) if source in sums else passed
                    _add(sums, source, _unbroadcast(part, source))
    return [sums[w][0] if w in sums else None for w in wrt], [masks.get(w) for w in wrt]


def _through_region(
    node: Node, received: list[Node | None], found: Mapping[int, Node | None], active: set[Node]
) -> tuple[list[Node | None], list[Node | None]]:
    """Return the cotangents of a region's inputs and their masks."""
    wanted = [i in active for i in node.inputs]
    masks = [found.get(k) for k in range(len(received))]
    assert callable(node.op.vjp)
    parts, passed = node.op.vjp(_pulled, received, masks, wanted, node, *node.inputs)
    return [p if i in active else None for p, i in zip(parts, node.inputs, strict=True)], list(passed)


def pushforward(outputs: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Node]) -> list[Node | None]:
    """Return, for each output, the sum over `wrt` of d output / d node * tangent; None where it is zero."""
    start = births()
    seeds = [parameter(f"u{k}", o.tensor_type) if o.dtype.kind == "f" else None for k, o in enumerate(outputs)]
    cotangents = pullback(outputs, wrt, seeds)
    linear = [(c, t) for c, t in zip(cotangents, tangents, strict=True) if c is not None]
    places = [s for s in seeds if s is not None]
    pushed = pullback([c for c, _ in linear], places, [t for _, t in linear])
    order = toposort([p for p in pushed if p is not None])
    if not set(places).isdisjoint(order):
        raise GradientError(
            "pushforward: forward mode needs a backward that is linear in its cotangent, and that of a custom_vjp is "
            "not; use reverse mode, or a rule that is"
        )
    if any(n.op is again or isinstance(n.op, Region) for n in order):
        pushed = _merged(pushed, start)
    found = iter(pushed)
    return [next(found) if s is not None else None for s in seeds]


def _merged(tangents: Sequence[Node | None], start: int) -> list[Node | None]:
    """Return tangents with what was to be computed again since `start` taken for what is there: forward mode keeps
    nothing for later."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        return inputs[0] if node.op is again and node.attrs["turn"] >= start else node.with_inputs(inputs)

    given = [t for t in tangents if t is not None]
    found = iter(into_bodies(lambda graph: graph.rewrite(visit))(Graph((), tuple(given))).outputs)
    return [None if t is None else next(found) for t in tangents]


def _active(order: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """Return the nodes whose value depends on `wrt` through floating-point values."""
    active = {w for w in wrt if isinstance(w.type, TensorType) and w.dtype.kind == "f"}
    for node in order:
        if node.op.vjp is ZERO_DERIVATIVE or node in active:
            continue
        has_float = isinstance(node.type, TupleType) or node.dtype.kind == "f"
        if has_float and any(i in active for i in node.inputs):
            active.add(node)
    return active


def _add(sums: dict[Node, list[Node | None]], node: Node, cotangent: Node) -> None:
    if node.op is item:
        source, index = node.inputs[0], node.attrs["index"]
        assert isinstance(source.type, TupleType)
        entry = sums.setdefault(source, [None] * len(source.type.items))
        entry[index] = cotangent if entry[index] is None else entry[index] + cotangent
    entry = sums.setdefault(node, [None])
    entry[0] = cotangent if entry[0] is None else entry[0] + cotangent


def _input_cotangents(node: Node, received: list[Node | None], active: set[Node]) -> Sequence[Node | None]:
    vjp = node.op.vjp
    if vjp is NOT_DIFFERENTIABLE:
        raise GradientError(
            f"gradients: {node.op.name} has no derivative; use stop_gradient on its input if none is wanted"
        )
    cotangent = received[0]
    assert cotangent is not None
    if callable(vjp):
        parts = vjp(cotangent, node, *node.inputs)
        return [p if i in active else None for p, i in zip(parts, node.inputs, strict=True)]
    assert isinstance(vjp, tuple)
    return [
        rule(cotangent, node, *node.inputs) if rule is not None and source in active else None
        for rule, source in zip(vjp, node.inputs, strict=True)
    ]


def _passed_mask(node: Node, k: int, mask: Node | None) -> Node | None:
    """Return where the cotangent of input k may be other than zero: None is everywhere."""
    chosen = _chosen(node, k)
    if chosen is not None:
        mask = chosen if mask is None else bitwise_and(mask, chosen)
    if mask is None or isinstance(node.op, Leaf):
        return None
    source = node.inputs[k]
    if isinstance(node.op, Elementwise):
        return any_(mask, axis=tuple(range(mask.ndim))) if mask.ndim and not source.ndim else mask
    if isinstance(node.op, View | Reduction) and not mask.ndim:
        return mask
    if isinstance(node.op, Reduction):
        return spread(mask, source, node.attrs["axis"])
    if isinstance(node.op, View | Gather):
        return _seen_through(node, mask)
    if node.op is concat and callable(concat.vjp):
        return concat.vjp(mask, node, *node.inputs)[k] if mask.ndim else mask
    return None


def _chosen(node: Node, k: int) -> Node | None:
    """Return where the value of input k is what a node gave, of one that chooses between its inputs."""
    if node.op is where:
        return node.inputs[0] if k == 1 else bitwise_not(node.inputs[0])
    if node.op is relu:
        return bitwise_not(le(node.inputs[0], 0.0))
    if node.op is maximum or node.op is minimum:
        this, other = node.inputs if k == 0 else reversed(node.inputs)
        return bitwise_not((lt if node.op is maximum else gt)(this, other))
    return None


def _seen_through(view: Node, mask: Node) -> Node:
    """Return the mask of a view's source: an element is in it if one that shows it is."""
    vjp, shows = view.op.vjp, cast(mask, dtype=FLOAT32)
    if callable(vjp):
        shown = vjp(shows, view, *view.inputs)[0]
    else:
        assert isinstance(vjp, tuple)
        assert vjp[0] is not None
        shown = vjp[0](shows, view, *view.inputs)
    assert shown is not None
    return ne(shown, 0.0)


def _either(a: Node | None, b: Node | None) -> Node | None:
    return None if a is None or b is None else bitwise_or(a, b)


def _unbroadcast(cotangent: Node, source: Node) -> Node:
    """Sum the cotangent of a scalar operand that met every element."""
    if source.ndim or not cotangent.ndim:
        return cotangent
    return reduce_sum(cotangent, axis=tuple(range(cotangent.ndim)))
