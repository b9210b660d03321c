"""Rules about contractions: views absorbed into them, products that sum nothing, sums that are contractions.

Part of simplify; which of several contractions is done first, contraction_order decides.
"""

from __future__ import annotations

import string
from collections.abc import Hashable, Sequence

import numpy as np

from graphc.ir.graph import Node, known_value, literal
from graphc.ir.rewrite import Attr, Match, Rule, call, variables
from graphc.ops.dot import contract
from graphc.ops.elementwise import cast, eq, iota, mul
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, transpose
from graphc.passes.canonicalize import canonical_spec

a, b = variables("a", "b")


def is_outer(node: Node) -> bool:
    """Tell whether a product has more elements than each of its factors, which are repeated along different axes."""
    if node.op is not mul or any(i.op is not broadcast for i in node.inputs):
        return False
    return all(any(size != 1 and k not in i.attrs["axes"] for k, size in enumerate(node.shape)) for i in node.inputs)


def product(a: Node, in_a: Sequence[Hashable], b: Node, in_b: Sequence[Hashable], out: Sequence[Hashable]) -> Node:
    """Return the product of two arrays with these labels, summed over the labels that `out` has not.

    Each label stands in two or three of the parts. A product that sums nothing is no contraction.
    """
    names = dict(zip(dict.fromkeys((*in_a, *in_b)), string.ascii_letters, strict=False))
    left, right, result = ("".join([names[c] for c in part]) for part in (in_a, in_b, out))
    if len(names) > len(result):
        return contract(a, b, spec=canonical_spec(f"{left},{right}->{result}"))
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    shape = tuple([sizes[c] for c in result])
    return mul(_spread(a, left, result, shape), _spread(b, right, result, shape))


def _spread(operand: Node, part: str, out: str, shape: Sequence[object]) -> Node:
    """Return an array with labels `part`, turned and repeated so that it has the labels `out`; a scalar as it is."""
    order = sorted(range(len(part)), key=lambda k: out.index(part[k]))
    turned = operand if order == list(range(len(part))) else transpose(operand, axes=tuple(order))
    if not part or len(part) == len(out):
        return turned
    return broadcast(turned, shape=shape, axes=tuple([out.index(part[k]) for k in order]))


def _relabelled(view: Node, part: str) -> str:
    """Return the labels of the source of a transpose whose result has the labels `part`."""
    labels = [""] * len(part)
    for label, axis in zip(part, view.attrs["axes"], strict=True):
        labels[axis] = label
    return "".join(labels)


def _contract_transpose(m: Match) -> Node | None:
    left, right, out = contract.dims(spec=m["spec"])
    p, q = m["a"], m["b"]
    if p.op is not transpose and q.op is not transpose:
        return None
    if p.op is transpose:
        p, left = p.inputs[0], _relabelled(p, left)
    if q.op is transpose:
        q, right = q.inputs[0], _relabelled(q, right)
    return contract(p, q, spec=canonical_spec(f"{left},{right}->{out}"))


def _transpose_contract(m: Match) -> Node | None:
    if not m.is_alone(m.node.inputs[0]):
        return None
    left, right, out = contract.dims(spec=m["spec"])
    turned = "".join([out[k] for k in m["axes"]])
    return contract(m["a"], m["b"], spec=canonical_spec(f"{left},{right}->{turned}"))


def _contract_product(m: Match) -> Node | None:
    """A contraction that sums nothing is a product."""
    left, right, out = contract.dims(spec=m["spec"])
    return None if any(c not in out for c in left) else product(m["a"], left, m["b"], right, out)


def _contract_broadcast(m: Match, distribute: bool = False) -> Node | None:
    """Repeat the result instead of an operand; sum the other operand where one is ones.

    A label along which an operand only repeats is dropped from it. Where that label is summed, the other operand is
    summed first: sum(a * b) = a * sum(b), which may be finite where the left is not, unless a is 1 or an integer.
    """
    left, right, out = contract.dims(spec=m["spec"])
    for view, part, other, other_part in ((m["a"], left, m["b"], right), (m["b"], right, m["a"], left)):
        if view.op is not broadcast:
            continue
        distributes = distribute or _is_integer(m) or _is_one(view.inputs[0])
        repeated = [c for k, c in enumerate(part) if k not in view.attrs["axes"] and (c in out or distributes)]
        if repeated:
            return _without(repeated, view, part, other, other_part, out, m.node)
    return None


def _is_integer(m: Match) -> bool:
    return bool(m.node.dtype.kind in "iu")


def _is_one(node: Node) -> bool:
    value = known_value(node)
    return value is not None and not value.ndim and bool(value == 1)


def _without(repeated: list[str], view: Node, part: str, other: Node, other_part: str, out: str, node: Node) -> Node:
    """Contract without these labels of a broadcast."""
    summed = tuple([k for k, c in enumerate(other_part) if c in repeated and c not in out])
    if summed:
        other = reduce_sum(other, axis=summed)
        other_part = "".join([c for k, c in enumerate(other_part) if k not in summed])
    kept = [k for k, c in enumerate(part) if c not in repeated]
    source, part = view.inputs[0], "".join([part[k] for k in kept])
    if part:
        places = tuple([kept.index(k) for k in view.attrs["axes"]])
        source = broadcast(source, shape=tuple([view.shape[k] for k in kept]), axes=places)
    small = "".join([c for c in out if c in part or c in other_part])
    if part and other_part:
        is_left = view is node.inputs[0]
        operands = (source, other) if is_left else (other, source)
        spec = f"{part},{other_part}->{small}" if is_left else f"{other_part},{part}->{small}"
        result = contract(*operands, spec=canonical_spec(spec))
    else:
        array, labels, scalar = (source, part, other) if part else (other, other_part, source)
        result = mul(transpose(array, axes=tuple([labels.index(c) for c in small])), scalar)
    return broadcast(result, shape=node.shape, axes=tuple([out.index(c) for c in small])) if out else result


# Identities and diagonals: 0 times the other elements is left out, which is exact for integers.


def _diagonal(node: Node) -> Node | None:
    """Return the diagonal, one number or a row of them, of a square matrix that is zero elsewhere by construction."""
    if _is_identity(node):
        return literal(1, node.dtype)
    if node.op is not mul:
        return None
    for identity, factor in (node.inputs, node.inputs[::-1]):
        if not _is_identity(identity):
            continue
        diagonal = factor.inputs[0] if factor.op is broadcast else factor
        return diagonal if diagonal.ndim < 2 else None
    return None


def _is_identity(node: Node) -> bool:
    value = known_value(node)
    if value is not None:
        return node.ndim == 2 and node.shape[0] == node.shape[1] and np.array_equal(value, np.eye(len(value)))
    if node.op is not cast or node.inputs[0].op is not eq or node.ndim != 2 or node.shape[0] != node.shape[1]:
        return False
    a, b = node.inputs[0].inputs
    are_positions = a.op is iota and b.op is iota and a.shape == b.shape == node.shape
    return are_positions and {a.attrs["axis"], b.attrs["axis"]} == {0, 1}


def _contract_diagonal(m: Match) -> Node | None:
    """Scale by the diagonal: the sum over k of d[k] * (k == n) * x[m, k] is d[n] * x[m, n]."""
    left, right, out = contract.dims(spec=m["spec"])
    for matrix, part, other, other_part in ((m["a"], left, m["b"], right), (m["b"], right, m["a"], left)):
        if len(part) != 2 or (diagonal := _diagonal(matrix)) is None:
            continue
        for summed, kept in ((part[0], part[1]), (part[1], part[0])):
            if summed in out or kept in other_part:
                continue
            renamed = other_part.replace(summed, kept)
            if _is_one(diagonal):
                return transpose(other, axes=tuple([renamed.index(c) for c in out]))
            return product(diagonal, kept if diagonal.shape else "", other, renamed, out)
    return None


def _contract_scaled(m: Match) -> Node | None:
    """Scale the result instead of a larger operand."""
    for k, scaled in enumerate(m.node.inputs):
        if scaled.op is not mul or not m.is_alone(scaled) or not _is_smaller(m.node, scaled):
            continue
        for term, factor in (scaled.inputs, scaled.inputs[::-1]):
            if term.shape and not factor.shape:
                operands = (term, m["b"]) if k == 0 else (m["a"], term)
                return mul(contract(*operands, spec=m["spec"]), factor)
    return None


def _is_smaller(a: Node, b: Node) -> bool:
    return a.tensor_type.is_static and b.tensor_type.is_static and int(a.tensor_type.size) <= int(b.tensor_type.size)


_contraction = call("contract", a, b, spec=Attr("spec"))

CONTRACTION_RULES = (
    Rule("contract_transpose", _contraction, _contract_transpose),
    Rule("transpose_contract", call("transpose", _contraction, axes=Attr("axes")), _transpose_contract),
    Rule("contract_broadcast", _contraction, _contract_broadcast),
    Rule("contract_product", _contraction, _contract_product),
    Rule("contract_diagonal", _contraction, _contract_diagonal, when=_is_integer),
)

FAST_CONTRACTION_RULES = (
    Rule("contract_diagonal_of_floats", _contraction, _contract_diagonal, exact=False),
    Rule("contract_scaled", _contraction, _contract_scaled, exact=False),
    Rule("contract_distribute", _contraction, lambda m: _contract_broadcast(m, distribute=True), exact=False),
)
