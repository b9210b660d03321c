"""canonicalize: one way to write each thing, so that later passes need to know only that one.

- stop_gradient is gone (differentiation has happened), and so are views and casts that change nothing.
- A chain of views of one kind is one view. Views that only insert or remove axes of size 1 are reshapes, below them a
  broadcast is one broadcast, and reshapes of this kind move towards the results. A transpose of elementwise work on
  arrays that are turned the other way is none.
- Constants stand to the right of commutative ops and comparisons; other operands in an order given by structure alone.
- A scalar meets an array as it is, without a broadcast. A broadcast happens after elementwise work, not before.
- Labels of contractions are named by what they do: mk,kn->mn is a matrix product, and a vector stands right.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from graphc.ir.dims import Dim
from graphc.ir.graph import OPS, Elementwise, Graph, Literal, Node, Op, View, known_value, literal
from graphc.ir.graph import constant as constant_op
from graphc.ir.rewrite import Attr, Each, Index, Match, OnFire, Rule, apply_rules, call, into_bodies, variables
from graphc.ir.types import Shape, TensorType
from graphc.ops.dot import contract
from graphc.ops.elementwise import check_index
from graphc.ops.shape import broadcast, inverse, reshape, slice_, transpose

FLIPPED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
"""Comparisons that hold for (a, b) exactly when the other one holds for (b, a)."""

x, y = variables("x", "y")


def canonicalize(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` in the form described in this module; itself when it already is."""
    rules, index = canonical_rules(), Index()
    return into_bodies(lambda g: apply_rules(g, rules, on_fire, index))(graph)


def canonical_rules() -> tuple[Rule, ...]:
    """Return the rules of this pass, for passes whose own rules make what must be canonical again."""
    order = _Order()
    factors = Rule("factor_order", call("contract", x, y, spec=Attr("spec")), order.of_factors)
    return (*RULES, Rule("operand_order", Each(Elementwise, _has_order), order.sorted), factors)


# Views.


def without_ones(shape: Shape) -> Shape:
    """Return the sizes other than 1."""
    return tuple([s for s in shape if s != 1])


def moves_ones(node: Node) -> bool:
    """Tell whether a reshape only inserts and removes axes of size 1."""
    return node.op is reshape and without_ones(node.shape) == without_ones(node.inputs[0].shape)


def squeezed(node: Node) -> Node:
    """Return `node` without its axes of size 1."""
    shape = without_ones(node.shape)
    return node if shape == node.shape else reshape(node, shape=shape)


def _is_same_type(m: Match) -> bool:
    return bool(m.node.type == m["x"].type)


def _is_identity(axes: tuple[int, ...]) -> bool:
    return axes == tuple(range(len(axes)))


def _is_whole(m: Match) -> bool:
    return _is_same_type(m) and all(s == 0 for s in m["start"]) and all(k == 1 for k in m["step"])


def _inserted(source: Shape, target: Shape) -> tuple[int, ...] | None:
    """Return which axes of `target` those of `source` become if the others are inserted ones; None if not so."""
    axes: list[int] = []
    for k, size in enumerate(target):
        if len(axes) < len(source) and size == source[len(axes)]:
            axes.append(k)
        elif size != 1:
            return None
    return tuple(axes) if len(axes) == len(source) else None


def _broadcast_of_reshape(m: Match) -> Node | None:
    source, inner = m["x"], m.node.inputs[0]
    axes = _inserted(source.shape, inner.shape)
    if axes is None:
        return None
    return broadcast(source, shape=m.node.shape, axes=tuple([m["axes"][a] for a in axes]))


def _reshape_of_broadcast(m: Match) -> Node | None:
    """Repeat straight into the new shape: the k-th axis of size other than 1 stays the k-th."""
    source, inner, shape = m["x"], m.node.inputs[0], m.node.shape
    if not source.shape:
        return broadcast(source, shape=shape, axes=()) if shape else source
    if not moves_ones(m.node):
        return None
    places = [k for k, size in enumerate(shape) if size != 1]
    rank = {a: k for k, a in enumerate([a for a, size in enumerate(inner.shape) if size != 1])}
    axes = tuple([places[rank[a]] for a in m["axes"] if a in rank])
    source = squeezed(source)
    return broadcast(source, shape=shape, axes=axes) if len(axes) == source.ndim else None


def _transpose_of_broadcast(m: Match) -> Node:
    to = {axis: k for k, axis in enumerate(m["permutation"])}
    places = [to[a] for a in m["axes"]]
    order = tuple(sorted(range(len(places)), key=places.__getitem__))
    return broadcast(transpose(m["x"], axes=order), shape=m.node.shape, axes=tuple(sorted(places)))


def _moves_only_ones(m: Match) -> bool:
    kept = [a for a in m["axes"] if m["x"].shape[a] != 1]
    return kept == sorted(kept)


def _slice_of_slice(m: Match) -> Node:
    start = tuple([a + b * k for a, b, k in zip(m["inner_start"], m["start"], m["inner_step"], strict=True)])
    step = tuple([a * b for a, b in zip(m["inner_step"], m["step"], strict=True)])
    return slice_(m["x"], start=start, shape=m.node.shape, step=step)


_inner_slice = call("slice", x, start=Attr("inner_start"), step=Attr("inner_step"))
VIEW_RULES = (
    Rule("stop_gradient", call("stop_gradient", x), x),
    Rule("cast_same", call("cast", x), x, when=_is_same_type),
    Rule("reshape_same", call("reshape", x), x, when=_is_same_type),
    Rule("broadcast_same", call("broadcast", x), x, when=_is_same_type),
    Rule("transpose_same", call("transpose", x, axes=Attr("axes")), x, when=lambda m: _is_identity(m["axes"])),
    Rule("slice_whole", call("slice", x, start=Attr("start"), step=Attr("step")), x, when=_is_whole),
    Rule("embed_whole", call("embed", x, start=Attr("start"), step=Attr("step")), x, when=_is_whole),
    Rule("concat_one", call("concat", x), x),
    Rule("reshape_reshape", call("reshape", call("reshape", x)), lambda m: reshape(m["x"], shape=m.node.shape)),
    Rule(
        "transpose_transpose",
        call("transpose", call("transpose", x, axes=Attr("inner")), axes=Attr("outer")),
        lambda m: transpose(m["x"], axes=tuple([m["inner"][a] for a in m["outer"]])),
    ),
    Rule(
        "broadcast_broadcast",
        call("broadcast", call("broadcast", x, axes=Attr("inner")), axes=Attr("outer")),
        lambda m: broadcast(m["x"], shape=m.node.shape, axes=tuple([m["outer"][a] for a in m["inner"]])),
    ),
    Rule(
        "slice_slice",
        call("slice", _inner_slice, start=Attr("start"), step=Attr("step")),
        _slice_of_slice,
    ),
    # One way to write axes of size 1: a reshape, but for a scalar a broadcast, where the rules on scalars see it.
    Rule(
        "reshape_scalar",
        call("reshape", x, shape=Attr("shape")),
        lambda m: broadcast(m["x"], shape=m["shape"], axes=()),
        when=lambda m: not m["x"].shape,
    ),
    Rule(
        "broadcast_ones",
        call("broadcast", x, shape=Attr("shape")),
        call("reshape", x, shape=Attr("shape")),
        when=lambda m: bool(m["x"].shape) and without_ones(m["x"].shape) == without_ones(m["shape"]),
    ),
    Rule(
        "transpose_ones",
        call("transpose", x, axes=Attr("axes")),
        lambda m: reshape(m["x"], shape=m.node.shape),
        when=_moves_only_ones,
    ),
    Rule("broadcast_reshape", call("broadcast", call("reshape", x), axes=Attr("axes")), _broadcast_of_reshape),
    Rule("reshape_broadcast", call("reshape", call("broadcast", x, axes=Attr("axes"))), _reshape_of_broadcast),
    Rule(
        "transpose_broadcast",
        call("transpose", call("broadcast", x, axes=Attr("axes")), axes=Attr("permutation")),
        _transpose_of_broadcast,
    ),
)  # fmt: skip


# Constants.


def _uniform(m: Match) -> Node | None:
    """Write an array of one repeated number as that number, broadcast."""
    array = known_value(m.node)
    if array is None or not array.ndim or not array.size:
        return None
    bits = array.reshape(-1).view(f"u{array.itemsize}")
    if bits[0] != bits[-1] or not (bits == bits[0]).all():
        return None
    return broadcast(literal(array.flat[0], array.dtype), shape=array.shape, axes=())


def _known_size(m: Match) -> Node | None:
    return literal(m["value"], m.node.dtype) if isinstance(m["value"], int) else None


# Elementwise ops and views.


def is_scalar(node: Node) -> bool:
    """Tell whether a node is one number for every element: of rank 0, or such a one repeated."""
    return not node.shape or (node.op is broadcast and not node.inputs[0].shape)


def _on_views(m: Match) -> Node | None:
    """Do elementwise work on as little as possible, and on what views read rather than on the views."""
    node = m.node
    if _must_run(node):
        return None
    return _scalars_as_such(node) or _broadcast_later(node) or _reshape_later(node)


def _reads_views(op: Op, inputs: tuple[Op, ...]) -> bool:
    return broadcast in inputs or reshape in inputs


def _scalars_as_such(node: Node) -> Node | None:
    """Let scalars meet arrays without a broadcast; of scalars alone, compute one element and repeat that."""
    if not any(i.shape and is_scalar(i) for i in node.inputs):
        return None
    return node.op(*[i.inputs[0] if i.shape and is_scalar(i) else i for i in node.inputs], **node.attrs)


def _broadcast_later(node: Node) -> Node | None:
    """Compute before repeating: along the axes that some operand really has."""
    arrays = [i for i in node.inputs if i.shape]
    if any(i.op is not broadcast for i in arrays):
        return None
    axes = sorted({a for i in arrays for a in i.attrs["axes"]})
    if len(axes) == node.ndim:
        return None
    shape = tuple([node.shape[a] for a in axes])

    def before(operand: Node) -> Node:
        if not operand.shape:
            return operand
        source, places = operand.inputs[0], tuple([axes.index(a) for a in operand.attrs["axes"]])
        return source if source.shape == shape else broadcast(source, shape=shape, axes=places)

    result = node.op(*[before(i) for i in node.inputs], **node.attrs)
    return broadcast(result, shape=node.shape, axes=tuple(axes))


def _reshape_later(node: Node) -> Node | None:
    """Compute before inserting or removing axes of size 1."""
    arrays = [i for i in node.inputs if i.shape]
    if not arrays or not all(moves_ones(i) for i in arrays):
        return None
    shape = arrays[0].inputs[0].shape
    if not shape or any(i.inputs[0].shape != shape for i in arrays):
        return None
    return reshape(node.op(*[i.inputs[0] if i.shape else i for i in node.inputs], **node.attrs), shape=node.shape)


def _must_run(node: Node) -> bool:
    """Tell whether computing one element where there were none could raise an error."""
    return node.op is check_index and not all(isinstance(s, int) and s > 0 for s in node.shape)


MOST_TURNED = 64
"""Elementwise operations between two transposes that are looked at."""


def _turned_back(m: Match) -> Node | None:
    """Compute on what is turned, where all arrays are turned so that the transpose of the result turns them back."""
    inside: dict[Node, None] = {}
    stack = [m.node.inputs[0]]
    while stack:
        node = stack.pop()
        if not node.shape or node in inside or _turns_back(node, m["axes"]):
            continue
        if not isinstance(node.op, Elementwise) or not node.inputs or len(inside) == MOST_TURNED:
            return None
        if not m.is_alone(node):
            return None
        inside[node] = None
        stack += node.inputs
    new: dict[Node, Node] = {}
    stack = [m.node.inputs[0]]
    while stack:
        node = stack[-1]
        waiting = [i for i in node.inputs if i in inside and i not in new]
        if waiting:
            stack += waiting
            continue
        operands = [new[i] if i in inside else i.inputs[0] if i.shape else i for i in node.inputs]
        new[stack.pop()] = node.op(*operands, **node.attrs)
    return new[m.node.inputs[0]]


def _turns_back(node: Node, axes: tuple[int, ...]) -> bool:
    return node.op is transpose and node.attrs["axes"] == inverse(axes)


def _is_of_elementwise(m: Match) -> bool:
    return isinstance(m["x"].op, Elementwise) and bool(m["x"].inputs)


# Contractions.


@lru_cache(maxsize=4096)
def canonical_spec(spec: str) -> str:
    """Name the labels of a contraction by what they do: b batch, m rows, n columns, k summed, and others after them.

    >>> canonical_spec("ij,kj->ik")
    'mk,nk->mn'
    """
    a, b, out = contract.dims(spec=spec)
    groups = (
        ("bcdefghij", [c for c in a if c in b and c in out]),
        ("mxyzuvw", [c for c in a if c not in b]),
        ("nopqrst", [c for c in b if c not in a]),
        ("kl", [c for c in a if c not in out]),
    )
    if any(len(labels) > len(names) for names, labels in groups):
        return spec
    name = {label: new for names, labels in groups for label, new in zip(labels, names, strict=False)}
    return "{},{}->{}".format(*["".join([name[c] for c in part]) for part in (a, b, out)])


def _named_labels(m: Match) -> Node | None:
    spec = canonical_spec(m["spec"])
    return None if spec == m["spec"] else contract(m["x"], m["y"], spec=spec)


RULES = (
    *VIEW_RULES,
    Rule("uniform_constant", call("constant"), _uniform),
    Rule("known_size", call("size", value=Attr("value")), _known_size),
    Rule("elementwise_on_views", Each(Elementwise, _reads_views), _on_views),
    Rule("transpose_back", call("transpose", x, axes=Attr("axes")), _turned_back, when=_is_of_elementwise),
    Rule("contract_labels", call("contract", x, y, spec=Attr("spec")), _named_labels),
)


# Order of operands.


def _has_order(op: Op, inputs: tuple[Op, ...]) -> bool:
    """Tell whether operands may be exchanged, and are not in order already, being a constant on the right."""
    may_turn = op.name in FLIPPED or (isinstance(op, Elementwise) and op.commutative)
    return may_turn and (inputs[1] is not constant_op or inputs[0] is constant_op)


_Rank = tuple[bool, int, bytes, bytes]


class _Order:
    """An order of nodes that depends on what they compute alone, not on addresses or the order of visits.

    Constants come last, and what takes more steps, not counting views, comes first; between equals decides a digest of
    the operations, so that the same formula on other arrays has the same order and becomes the same code, then one of
    names and shapes too. Where that fails (variables of one name and type), the order stays as it is.
    """

    def __init__(self) -> None:
        self.ranks: dict[Node, _Rank] = {}

    def sorted(self, m: Match) -> Node | None:
        node = m.node
        flipped = OPS[FLIPPED.get(node.op.name, node.op.name)]
        a, b = node.inputs
        a_last, b_last = a.op is constant_op, b.op is constant_op
        wrong = a_last if a_last != b_last else self.rank(b) < self.rank(a)
        return flipped(b, a) if wrong else None

    def of_factors(self, m: Match) -> Node | None:
        """The factor with the last row or column of the result stands right, one with none does; else as `sorted`."""
        a, b, out = contract.dims(spec=m["spec"])
        free = [c for c in out if (c in a) != (c in b)]
        if not free:
            wrong = self.rank(m["y"]) < self.rank(m["x"])
        else:
            wrong = (free[-1] in a) == all(any(c in part for c in free) for part in (a, b))
        return contract(m["y"], m["x"], spec=canonical_spec(f"{b},{a}->{out}")) if wrong else None

    def rank(self, root: Node) -> _Rank:
        ranks, stack = self.ranks, [root] if root not in self.ranks else []
        while stack:
            node = stack[-1]
            waiting = [i for i in node.inputs if i not in ranks]
            if node not in ranks and not waiting:
                ranks[node] = self.of_inputs(node, [ranks[i] for i in node.inputs])
            if waiting:
                stack.extend(waiting)
            else:
                stack.pop()
        return ranks[root]

    def of_inputs(self, node: Node, inputs: Sequence[_Rank]) -> _Rank:
        value = known_value(node)
        attrs = ";".join([f"{k}={_stable_text(v)}" for k, v in node.attrs.items()])
        formula = _digest(
            f"{node.op.name} {value if value is not None and value.size == 1 else ''}", [i[2] for i in inputs]
        )
        details = _digest(attrs, [formula, *[i[3] for i in inputs]])
        steps = min([i[1] for i in inputs], default=0) - (bool(inputs) and not isinstance(node.op, View))
        return node.op is constant_op, steps, formula, details


def _digest(text: str, parts: Sequence[bytes]) -> bytes:
    digest = hashlib.blake2b(text.encode(), digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _stable_text(value: object) -> str:
    """Return a text for an attribute that is the same in every run."""
    if isinstance(value, Literal):
        head = value.array.reshape(-1)[:1024]
        return f"{value.array.dtype}{value.array.shape}{zlib.crc32(np.ascontiguousarray(head).tobytes())}"
    if isinstance(value, str | int | float | tuple | np.dtype | Dim | TensorType):
        return str(value)
    return ""
