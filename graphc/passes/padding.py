"""Found sizes replaced by the most that they can be, so that no code depends on them.

x[mask] has as many elements as the mask has trues. Where what is computed from it goes element by element, it can be
computed for as many elements as the mask has, and the first ones of it are the result; the others mean nothing. Where
elements are added up, those are replaced by 0 before. There are two such forms of a value with a found size:

    compact    the elements stand in front, in their order:     gather(x, argsort(mask))[i] for i < count
    in place   the elements stand where the mask is true:       x[i] where mask[i]

What does not depend on the order of its elements, a sum or a scatter, takes the second, for which nothing is sorted.

    sum(exp(gather(x, slice(argsort(mask)))))    ->    sum(where(mask, exp(x), 0))

What has neither form (a convolution, a slice from the end) stays as it is, and its code is made for the sizes found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import located_at
from graphc.ir import dims
from graphc.ir.dims import Dim, Size, symbols_of
from graphc.ir.found import found_in
from graphc.ir.graph import (
    Contraction,
    Cumulative,
    Elementwise,
    Gather,
    Node,
    Ordering,
    Reduction,
    Scatter,
    View,
    literal,
    toposort,
)
from graphc.ir.types import BOOL, INT64, Shape, TensorType
from graphc.ops.elementwise import cast, check_index, floor_divide, iota, lt, maximum, minimum, remainder, where
from graphc.ops.elementwise import size as size_op
from graphc.ops.index import ELEMENTWISE, are_distinct, gather, in_range
from graphc.ops.ordering import argsort, searchsorted
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, concat, embed, reshape, slice_, transpose

Names = Mapping[str, Node]


@dataclass(frozen=True)
class Padded:
    """Results of which the first elements along each axis are those wanted, as many as those given had.

    counts     the nodes that say the found sizes
    nonempty   reductions that have no value for nothing: each as it was, and the sizes that must not be 0
    """

    results: tuple[Node, ...]
    counts: Names
    nonempty: tuple[tuple[Node, tuple[Size, ...]], ...]


def padded(results: Sequence[Node], order: Sequence[Node], counts: Names, most: Mapping[str, int]) -> Padded:
    """Return results in which found sizes are replaced by the most that they can be, where there is such a form.

    `order` has the nodes that the results need, inputs and counts first; `counts` says the found sizes, and `most` how
    large those can be of which it is known.
    """
    forms = _Forms(counts, most)
    for node in order:
        forms.add(node)
    made = tuple([forms.result(r) for r in results])
    needed = set(toposort(made))
    nonempty = tuple([what for result, what in forms.nonempty.items() if result in needed])
    return Padded(made, {s: forms.plain[c] for s, c in counts.items()}, nonempty)


class _Unpaddable(Exception):
    """There is no such form of a node."""


class _Forms:
    """For each node its value without found sizes among its inputs where that can be, and both padded forms."""

    def __init__(self, counts: Names, most: Mapping[str, int]) -> None:
        self.counts, self.most = counts, most
        self.plain: dict[Node, Node] = {}
        self.compact = _Layout(self, in_place=False)
        self.in_place = _Layout(self, in_place=True)
        self.nonempty: dict[Node, tuple[Node, tuple[Size, ...]]] = {}

    def add(self, node: Node) -> None:
        """Find the forms of a node whose inputs have been added."""
        inputs = tuple([self.plain[i] for i in node.inputs])
        symbols = found_in(node, self.counts)
        involved = symbols.union(*[symbols_of(i.shape) & self.counts.keys() for i in _tensors(inputs)])
        plain = node.with_inputs(inputs)
        if not involved:
            self.plain[node] = plain
            return
        found = {}
        if involved <= self.most.keys() and isinstance(node.op, _PADDABLE):
            for layout in (self.in_place, self.compact):
                with located_at(node.location):
                    made = layout.form(node, involved)
                if made is not None:
                    found[layout] = layout.made[node] = made
        has_found_shape = bool(symbols_of(node.shape) & self.counts.keys()) if _tensors((node,)) else True
        if not has_found_shape:
            plain = next(iter(found.values()), plain)
        self.plain[node] = plain

    def result(self, node: Node) -> Node:
        """Return a result without found sizes if there is a form, padded if it has them itself."""
        return self.compact.made.get(node, self.plain[node]) if symbols_of(node.shape) else self.plain[node]

    def number(self, size: Size) -> Node:
        """Return a size as the value that counts say."""
        if isinstance(size, int):
            return literal(size, INT64)
        total: Node | None = None
        for monomial, coefficient in size.terms:
            product = literal(coefficient, INT64)
            for atom in monomial:
                product = product * self._atom(atom)
            total = product if total is None else total + product
        assert total is not None
        return total

    def _atom(self, atom: dims.Atom) -> Node:
        if not atom.args:
            return self.plain[self.counts[atom.name]]
        a, b = (self.number(arg) for arg in atom.args)
        return {"floordiv": floor_divide, "max": maximum, "min": minimum}[atom.name](a, b)


def _tensors(nodes: Sequence[Node]) -> list[Node]:
    return [n for n in nodes if isinstance(n.type, TensorType)]


def _grows(size: Size) -> bool:
    """Return whether a size is never smaller for larger found sizes, so that the most of them gives the most of it."""
    if isinstance(size, int):
        return True
    return all(
        not monomial or (coefficient > 0 and all(_atom_grows(atom) for atom in monomial))
        for monomial, coefficient in size.terms
    )


def _atom_grows(atom: dims.Atom) -> bool:
    if atom.name == "floordiv" and atom.args:
        return isinstance(atom.args[1], int) and atom.args[1] > 0 and _grows(atom.args[0])
    return all(_grows(arg) for arg in atom.args)


class _Layout:
    """One of the two forms: where the elements of a found axis stand among the most that there can be."""

    def __init__(self, forms: _Forms, *, in_place: bool) -> None:
        self.forms, self.is_in_place = forms, in_place
        self.made: dict[Node, Node] = {}

    def form(self, node: Node, involved: set[str]) -> Node | None:
        """Return the form of a node; None where it has none."""
        if self.is_in_place and (len(involved) != 1 or self._mask(next(iter(involved))) is None):
            return None
        try:
            for each in (node, *node.inputs):
                self.found_axes(each)
            if self.is_in_place and self.is_places(node):
                return iota(shape=self.shape(node.shape), axis=0, dtype=INT64)
            made = _rule(node.op)(self, node, [self.input(i) for i in node.inputs])
        except _Unpaddable:
            return None
        return None if found_in(made, self.forms.counts) else made

    def input(self, node: Node) -> Node:
        """Return the form of an input, which has no found size in it any more."""
        found = self.made.get(node)
        if found is None:
            if symbols_of(node.shape) & self.forms.counts.keys():
                raise _Unpaddable
            found = self.forms.plain[node]
        return found

    def shape(self, shape: Shape) -> Shape:
        """Return a shape with found sizes as the most that they can be."""
        return tuple([dims.bind(s, self.forms.most) for s in shape])

    def is_found(self, size: Size) -> bool:
        """Return whether a size of an axis is one that a call finds. Raises where it may not be padded."""
        if isinstance(size, int) or not size.symbols() & self.forms.counts.keys():
            return False
        if not _grows(size) or not size.symbols() <= self.forms.most.keys():
            raise _Unpaddable
        if self.is_in_place and str(size) not in self.forms.most:
            raise _Unpaddable
        return True

    def most(self, size: Size) -> int:
        """Return the most that a size can be."""
        bound = dims.bind(size, self.forms.most)
        if not isinstance(bound, int):
            raise _Unpaddable
        return bound

    def found_axes(self, node: Node) -> list[int]:
        return [k for k, s in enumerate(node.shape) if self.is_found(s)]

    def _mask(self, symbol: str) -> Node | None:
        """Return the mask whose trues a size counts, if it does."""
        count = self.forms.counts[symbol]
        if count.op is not reduce_sum or count.inputs[0].op is not cast or count.inputs[0].inputs[0].dtype != BOOL:
            return None
        mask = count.inputs[0].inputs[0]
        return mask if mask.ndim == 1 else None

    def is_places(self, node: Node) -> bool:
        """Return whether a node is where a mask is true: the first of the order of the mask, as many as are true."""
        if node.op is not slice_ or node.inputs[0].op is not argsort:
            return False
        (size,), (start,) = node.shape, node.attrs["start"]
        if not isinstance(size, Dim) or start != 0 or str(size) not in self.forms.counts:
            return False
        return node.inputs[0].inputs[0] is self._mask(str(size)) and node.inputs[0].attrs["descending"]

    def valid(self, size: Size) -> Node:
        """Return where along an axis of this found size there are elements, as a mask."""
        mask = self._mask(str(size)) if self.is_in_place else None
        if mask is not None:
            return self.forms.plain[mask]
        return lt(iota(shape=(self.most(size),), axis=0, dtype=INT64), self.forms.number(size))

    def cleared(self, node: Node, made: Node, axes: Sequence[int], value: Any) -> Node:
        """Return a form with `value`, a number or a node, in place of what means nothing along these axes."""
        other = value if isinstance(value, Node) else literal(value, made.dtype)
        for axis in axes:
            if self.is_found(node.shape[axis]):
                valid = self.valid(node.shape[axis])
                spread = broadcast(valid, shape=made.shape, axes=(axis,)) if made.ndim > 1 else valid
                made = where(spread, made, other)
        return made

    def require_order(self, node: Node, axes: Sequence[int]) -> None:
        """Raise if a found axis among these has its elements elsewhere than in front."""
        if self.is_in_place and any(self.is_found(node.shape[k]) for k in axes):
            raise _Unpaddable


Rule = Callable[[_Layout, Node, list[Node]], Node]


def _elementwise(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    if node.op is size_op:
        return layout.forms.number(node.attrs["value"])
    if node.op is iota:
        layout.require_order(node, (node.attrs["axis"],))
        return iota(**{**node.attrs, "shape": layout.shape(node.shape)})
    if any(i.ndim and i.shape != node.shape for i in node.inputs):
        raise _Unpaddable  # the call has to compare sizes
    attrs = dict(node.attrs)
    if node.op is check_index:
        if isinstance(attrs["size"], Dim) or attrs["size"] == 0:
            raise _Unpaddable
        inputs = [layout.cleared(node, inputs[0], range(node.ndim), 0)]
    if node.op in (floor_divide, remainder) and node.dtype.kind in "iu" and inputs[1].ndim:
        # What means nothing is not to warn of a division by zero.
        inputs[1] = layout.cleared(node, inputs[1], range(node.ndim), 1)
    return node.op(*inputs, **attrs)


def _view(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    (made,), (source,) = inputs, node.inputs
    attrs = node.attrs
    shape = layout.shape(node.shape)
    if node.op is broadcast:
        if any(s != node.shape[a] for s, a in zip(source.shape, attrs["axes"], strict=True)):
            raise _Unpaddable
        return broadcast(made, shape=shape, axes=attrs["axes"])
    if node.op is transpose:
        return transpose(made, **attrs)
    if node.op is reshape:
        _require_same_rows(layout, source.shape, node.shape)
        return reshape(made, shape=shape)
    if node.op is slice_:
        return _sliced(layout, node, made, shape)
    if node.op is embed:
        return _embedded(layout, node, made, shape)
    raise _Unpaddable


def _require_same_rows(layout: _Layout, before: Shape, after: Shape) -> None:
    """Raise unless every found axis stays an axis of its own, where the sizes before it and behind it only regroup, or
    the only one is in front, where the first rows are the first elements."""

    def parts(shape: Shape) -> list[Size]:
        """Return found sizes, and the products of those between them."""
        found: list[Size] = [1]
        for size in shape:
            if layout.is_found(size):
                found += [size, 1]
            else:
                found[-1] = found[-1] * size
        return found

    def is_in_front(shape: Shape) -> bool:
        return bool(shape) and [k for k, s in enumerate(shape) if layout.is_found(s)] == [0]

    if parts(before) == parts(after):
        return
    if layout.is_in_place or not is_in_front(before) or not is_in_front(after):
        raise _Unpaddable


def _sliced(layout: _Layout, node: Node, made: Node, shape: Shape) -> Node:
    start, step = node.attrs["start"], node.attrs["step"]
    for axis, (size, whole) in enumerate(zip(node.shape, node.inputs[0].shape, strict=True)):
        if not layout.is_found(size) and not layout.is_found(whole):
            continue
        _require_forward(layout, start[axis], step[axis], size, whole)
        if layout.most(size) and start[axis] + (layout.most(size) - 1) * step[axis] >= layout.most(whole):
            raise _Unpaddable
    if any(isinstance(s, Dim) for s in start):
        raise _Unpaddable
    return made if made.shape == shape else slice_(made, start=start, shape=shape, step=step)


def _require_forward(layout: _Layout, start: Size, step: int, size: Size, whole: Size) -> None:
    """Raise unless a found axis is read, or written, from a known place on; in place, unless it is all of it."""
    if isinstance(start, Dim) or start < 0 or step < 1:
        raise _Unpaddable
    if layout.is_in_place and (start != 0 or step != 1 or size != whole):
        raise _Unpaddable


def _embedded(layout: _Layout, node: Node, made: Node, shape: Shape) -> Node:
    (source,) = node.inputs
    start, step, value = node.attrs["start"], node.attrs["step"], node.attrs["value"]
    for axis, (size, whole) in enumerate(zip(source.shape, node.shape, strict=True)):
        if layout.is_found(size) or layout.is_found(whole):
            _require_forward(layout, start[axis], step[axis], size, whole)
        if size != whole:
            made = layout.cleared(source, made, (axis,), value)
    if any(isinstance(s, Dim) for s in start):
        raise _Unpaddable
    # What is embedded may be longer than there is room: that has been cleared, and is dropped.
    return embed(made, shape=shape, start=start, step=step, value=value)


def _reduction(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    (source,), (made,) = node.inputs, inputs
    axes = node.attrs["axis"]
    folded = [k for k in axes if layout.is_found(source.shape[k])]
    initial = node.op.init(made.dtype)  # type: ignore[attr-defined]
    neutral = _extreme(made.dtype, is_top=node.op.combine == "min") if initial is None else initial  # type: ignore[attr-defined]
    result = node.op(layout.cleared(source, made, folded, neutral), **node.attrs)
    if initial is None and folded:
        if any(s == 0 for k, s in enumerate(result.shape)) or any(made.shape[k] == 0 for k in axes):
            raise _Unpaddable
        layout.forms.nonempty[result] = (node, tuple([source.shape[k] for k in folded]))
    return result


def _extreme(dtype: np.dtype[Any], *, is_top: bool) -> Any:
    """Return the largest or the smallest value of a dtype."""
    if dtype.kind == "b":
        return is_top
    if dtype.kind == "f":
        return np.inf if is_top else -np.inf
    return np.iinfo(dtype).max if is_top else np.iinfo(dtype).min


def _contraction(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    *parts, out = node.op.dims(**node.attrs)  # type: ignore[attr-defined]
    cleared = []
    for labels, source, made in zip(parts, node.inputs, inputs, strict=True):
        summed = [k for k, label in enumerate(labels) if label not in out]
        cleared.append(layout.cleared(source, made, summed, 0))
    sizes: dict[str, Size] = {}
    for labels, source in zip(parts, node.inputs, strict=True):
        for label, size in zip(labels, source.shape, strict=True):
            if sizes.setdefault(label, size) != size:
                raise _Unpaddable
    return node.op(*cleared, **node.attrs)


def _cumulative(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    axis = node.attrs["axis"]
    layout.require_order(node, (axis,))
    if any(i.shape != node.shape for i in node.inputs) or (node.attrs["reverse"] and layout.is_found(node.shape[axis])):
        raise _Unpaddable
    return node.op(*inputs, **node.attrs)


def _ordering(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    (source,), (made,) = node.inputs, inputs
    last, count = source.ndim - 1, node.attrs["count"]
    if layout.is_found(source.shape[last]):
        layout.require_order(source, (last,))
        if count != source.shape[last]:
            raise _Unpaddable
        # What means nothing comes last: it is at least as large as any, and stands behind its equals.
        descending = node.attrs["descending"]
        fill = np.nan if source.dtype.kind == "f" else _extreme(source.dtype, is_top=True)
        made = layout.cleared(source, made, (last,), _extreme(source.dtype, is_top=False) if descending else fill)
    elif symbols_of((count,)):
        raise _Unpaddable
    return node.op(made, **{**node.attrs, "count": dims.bind(count, layout.forms.most)})


def _positions(layout: _Layout, node: Node, source: Node, indices: list[Node], originals: Sequence[Node]) -> list[Node]:
    """Return index arrays in which what means nothing reads somewhere inside."""
    found = []
    for made, original, axis in zip(indices, originals, node.attrs["axes"], strict=True):
        extent = source.shape[axis]
        if any(a != b for a, b in zip(original.shape, originals[0].shape, strict=True)):
            raise _Unpaddable
        if in_range(original, extent):
            found.append(made)
            continue
        if not isinstance(extent, int) or extent == 0:
            raise _Unpaddable
        found.append(layout.cleared(original, made, range(original.ndim), 0))
    return found


def _gathered(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    source = node.inputs[0]
    layout.require_order(source, node.attrs["axes"])
    return node.op(inputs[0], *_positions(layout, node, source, inputs[1:], node.inputs[1:]), **node.attrs)


def _scattered(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    target, updates, *indices = node.inputs
    made_target, made, *positions = inputs
    combine, axes = node.attrs["combine"], node.attrs["axes"]
    layout.require_order(target, axes)
    rows = range(indices[0].ndim)
    wanted = (*indices[0].shape, *[s for k, s in enumerate(target.shape) if k not in axes])
    if updates.shape != wanted:
        raise _Unpaddable
    found = [k for k in rows if layout.is_found(updates.shape[k])]
    if layout.is_in_place and len(indices) == 1 and layout.is_places(indices[0]):
        return _merged(layout, node, made_target, made)
    places = _positions(layout, node, target, positions, indices)
    if combine == "set" and found:
        if not are_distinct(places):
            raise _Unpaddable
        neutral: Any = gather(made_target, *places, axes=axes, wrap=node.attrs["wrap"])
    else:
        neutral = _neutral(combine, made.dtype)
    return node.op(made_target, layout.cleared(updates, made, found, neutral), *places, **node.attrs)


def _merged(layout: _Layout, node: Node, target: Node, updates: Node) -> Node:
    """Return the target combined with updates that stand where they belong."""
    axis, combine = node.attrs["axes"][0], node.attrs["combine"]
    if updates.shape[0] != target.shape[axis]:
        raise _Unpaddable
    turn = [k + 1 if k < axis else k for k in range(target.ndim)]
    turn[axis] = 0
    turned = updates if axis == 0 else transpose(updates, axes=tuple(turn))
    valid = layout.valid(node.inputs[1].shape[0])
    spread = broadcast(valid, shape=target.shape, axes=(axis,)) if target.ndim > 1 else valid
    return where(spread, turned if combine == "set" else ELEMENTWISE[combine](target, turned), target)


def _neutral(combine: str, dtype: np.dtype[Any]) -> Any:
    """Return the number that changes nothing it is combined with; -0.0 is the one that leaves the sign of a zero."""
    if combine == "add":
        return -0.0 if dtype.kind == "f" else 0
    return 1 if combine == "mul" else _extreme(dtype, is_top=combine == "min")


def _searched(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    if layout.found_axes(node.inputs[0]):
        raise _Unpaddable
    return node.op(*inputs, **node.attrs)


def _joined(layout: _Layout, node: Node, inputs: list[Node]) -> Node:
    axis = node.attrs["axis"]
    for k, source in enumerate(node.inputs):
        same = all(k == axis or a == b for k, (a, b) in enumerate(zip(source.shape, node.shape, strict=True)))
        is_behind = k == len(node.inputs) - 1 and not layout.is_in_place
        if not same or (layout.is_found(source.shape[axis]) and not is_behind):
            raise _Unpaddable
    return node.op(*inputs, **node.attrs)


_KINDS: dict[type, Rule] = {
    Elementwise: _elementwise,
    View: _view,
    Reduction: _reduction,
    Contraction: _contraction,
    Cumulative: _cumulative,
    Ordering: _ordering,
    Gather: _gathered,
    Scatter: _scattered,
}
_PADDABLE = (*_KINDS, type(concat))


def _rule(op: Any) -> Rule:
    if op is concat:
        return _joined
    if op is searchsorted:
        return _searched
    rule = _KINDS.get(type(op))
    if rule is None:
        raise _Unpaddable
    return rule


__all__ = ["Padded", "padded"]
