"""contraction_order: products of several arrays are multiplied in the order that costs least.

    (A @ B) @ v  ->  A @ (B @ v)
    sum(A @ B)   ->  sum of (sum of A's columns) * (sum of B's rows)

A tree of contractions, outer products and sums over them is one sum of products, whatever order it is written in. Such
trees are taken apart into their operands and put together along the cheapest path (graphc/passes/contraction_path.py),
if that is cheaper than the tree was. A result with other readers is an operand, unless computing it anew inside of
them costs less in all. Factors are exchanged and sums are moved into products, which floats round differently; see
docs/design/0008-contraction-order.md. Trees with unknown sizes stay until the sizes are known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from graphc.errors import located_at
from graphc.ir.graph import Graph, Node
from graphc.ir.intern import Interner
from graphc.ir.rewrite import OnFire, into_bodies
from graphc.ops.dot import contract
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, inverse, reshape, transpose
from graphc.passes.canonicalize import moves_ones, squeezed
from graphc.passes.contraction_path import EXACT, LONGEST_CHAIN, Network, Path, contraction_cost, find_path
from graphc.passes.rules.contractions import is_outer, product


def contraction_order(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with products of several arrays in their cheapest order; itself when they already are."""
    return into_bodies(lambda g: _until_cheapest(g, on_fire))(graph)


def _until_cheapest(graph: Graph, on_fire: OnFire | None) -> Graph:
    # Each turn makes the graph cheaper, so this ends.
    while True:
        before, graph = graph, _Products(graph).reordered(on_fire)
        if graph is before:
            return graph


ONE = -1
"""Stands for the label of an axis of size 1, of which there is no need to speak."""


@dataclass(eq=False)
class _Tree:
    """A sum of products: operands with a label for each axis, labels of the result, and what lies in between.

    `inner` are the contractions, outer products and sums, the root first; `pairs` those that are computed inside of
    others, each with its reader.
    """

    root: Node
    out: tuple[int, ...] = ()
    operands: list[tuple[Node, tuple[int, ...]]] = field(default_factory=list)
    inner: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def new_labels(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return labels of their own for axes of these sizes."""
        return tuple([self._new_label(size) for size in shape])

    def _new_label(self, size: int) -> int:
        if size == 1:
            return ONE
        self.sizes.append(size)
        return len(self.sizes) - 1

    def factors(self, node: Node, labels: tuple[int, ...]) -> list[tuple[Node, tuple[int, ...]]]:
        """Return what a product with these labels multiplies, with its labels."""
        if node.op is reduce_sum:
            source, axis = node.inputs[0], node.attrs["axis"]
            kept = iter(labels)
            return [
                (source, tuple([self._new_label(s) if k in axis else next(kept) for k, s in enumerate(source.shape)]))
            ]
        if node.op is not contract:
            return [(i.inputs[0], tuple([labels[k] for k in i.attrs["axes"]])) for i in node.inputs]
        parts = contract.dims(**node.attrs)
        names = dict(zip(parts[2], labels, strict=True))
        for part, operand in zip(parts, node.inputs, strict=False):
            for letter, size in zip(part, operand.shape, strict=True):
                if letter not in names:
                    names[letter] = self._new_label(size)
        return [(i, tuple([names[c] for c in part])) for i, part in zip(node.inputs, parts, strict=False)]

    @property
    def is_complete(self) -> bool:
        """Whether an operand has each label that is summed; a sum of equal terms is none of products."""
        found = {c for _, labels in self.operands for c in labels}
        return found.issuperset(set(range(len(self.sizes))).difference(self.out))

    @property
    def cost(self) -> int:
        """What the tree costs as it is written."""
        return sum([_cost_of(node) for node in set(self.inner)])

    @cached_property
    def lone(self) -> Set[int]:
        """The labels that one operand alone has, which is summed over them first."""
        count = Counter([c for _, labels in self.operands for c in labels])
        return {c for c, times in count.items() if times == 1} - {*self.out, ONE}

    @cached_property
    def network(self) -> Network:
        def bits(labels: Sequence[int]) -> int:
            return sum([1 << c for c in labels if c != ONE and c not in self.lone])

        return Network(tuple([bits(labels) for _, labels in self.operands]), bits(self.out), tuple(self.sizes))

    @cached_property
    def path(self) -> Path:
        return find_path(self.network)

    @cached_property
    def least_cost(self) -> int:
        """What the best path costs, with the sums before it."""
        sums = [labels for _, labels in self.operands if not self.lone.isdisjoint(labels)]
        return self.network.cost(self.path) + sum([self._cost_of_sum(labels) for labels in sums])

    @property
    def final_cost(self) -> int:
        """What the tree will cost, after it is put in a better order if there is one."""
        return min(self.cost, self.least_cost)

    def _cost_of_sum(self, labels: Sequence[int]) -> int:
        before, after = 1, 1
        for c in labels:
            size = 1 if c == ONE else self.sizes[c]
            before, after = before * size, after * (1 if c in self.lone else size)
        return contraction_cost(before, False, (before, after))


def _cost_of(node: Node) -> int:
    """Return the cost of a contraction, an outer product or a sum by itself."""
    operands = [i.inputs[0] for i in node.inputs] if is_outer(node) else node.inputs
    elements = [int(n.tensor_type.size) for n in (node, *operands)]
    if node.op is not contract:
        return contraction_cost(max(elements[:2]), False, elements)
    left, right, out = contract.dims(**node.attrs)
    sizes = dict(zip(left + right, node.inputs[0].shape + node.inputs[1].shape, strict=True))
    is_summed = any(size != 1 and c not in out for c, size in sizes.items())
    return contraction_cost(math.prod(sizes.values()), is_summed, elements)


class _Products:
    """The products of a graph, and which of them are computed inside of which others."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.results = set(graph.results)
        self.products: dict[Node, None] = {}
        for node in graph.nodes:
            if self.is_product(node):
                self.products[node] = None
        self.inside: set[tuple[Node, Node]] = set()
        self.only_reader: dict[Node, Node] = {}
        self.read: dict[Node, tuple[list[Node], bool]] = {}

    def is_product(self, node: Node) -> bool:
        is_product = node.op is contract or is_outer(node)
        if node.op is reduce_sum:
            is_product = _below_views(node.inputs[0]) in self.products
        return is_product and all(n.tensor_type.is_static and 0 not in n.shape for n in (node, *node.inputs))

    def reordered(self, on_fire: OnFire | None) -> Graph:
        if len(self.products) < 2:
            return self.graph
        shared = {}
        for node in self.products:
            readers, is_needed = self.read[node] = self.readers(node)
            if len(readers) == 1 and not is_needed:
                self.only_reader[node] = readers[0]
                self.inside.add((readers[0], node))
            elif readers:
                shared[node] = readers, is_needed
        for node, (readers, is_needed) in shared.items():
            self.decide(node, readers, is_needed)
        better = {t.root: t for t in self.trees() if t.is_complete and t.least_cost < t.cost}
        return _rebuilt(self.graph, better, on_fire) if better else self.graph

    def readers(self, node: Node) -> tuple[list[Node], bool]:
        """Return each reading of a product by another, through views, and whether anything else needs it."""
        found: list[Node] = []
        is_needed = node in self.results
        stack = [node]
        while stack:
            view = stack.pop()
            for user in self.graph.users[view]:
                if user in self.products:
                    found += [user] * user.inputs.count(view)
                elif _is_transparent(user):
                    is_needed |= user in self.results
                    stack.append(user)
                else:
                    is_needed = True
        return found, is_needed

    def decide(self, node: Node, readers: Sequence[Node], is_needed: bool) -> None:
        """Compute a product that several read anew inside of those trees where that costs less in all."""
        roots: dict[Node, list[tuple[Node, Node]]] = {}
        for reader in readers:
            root = reader
            while root in self.only_reader:
                root = self.only_reader[root]
            roots.setdefault(root, []).append((reader, node))
        changes = {root: self.change(root, pairs) for root, pairs in roots.items()}
        known = {root: change for root, change in changes.items() if change is not None}
        chosen = [root for root, change in known.items() if change < 0]
        if not is_needed and len(known) == len(roots):
            saved = self.tree(node).final_cost - sum(known.values())
            if saved > -sum([known[root] for root in chosen]):
                chosen = list(roots)
        for root in chosen:
            self.inside.update(roots[root])

    def change(self, root: Node, pairs: Sequence[tuple[Node, Node]]) -> int | None:
        """Return how much more a tree costs with these products inside; None where it would be large or incomplete."""
        before = self.tree(root)
        if len(before.operands) >= EXACT:
            return None
        self.inside.update(pairs)
        after = self.tree(root)
        self.inside.difference_update(pairs)
        if len(after.operands) > EXACT or not (before.is_complete and after.is_complete):
            return None
        return after.final_cost - before.final_cost

    def trees(self) -> Iterator[_Tree]:
        """Yield the tree of every product that has others inside and is not inside of others only."""
        done: set[tuple[Node, Node]] = set()
        composed = {reader for reader, _ in self.inside}
        for node in reversed(self.products):
            readers, is_needed = self.read[node]
            if node in composed and (is_needed or not readers or any((r, node) not in done for r in readers)):
                tree = self.tree(node)
                done.update(tree.pairs)
                yield tree

    def tree(self, root: Node) -> _Tree:
        tree = _Tree(root)
        tree.out = tree.new_labels(root.shape)
        stack: list[tuple[Node, tuple[int, ...], Node | None]] = [(root, tree.out, None)]
        while stack:
            node, labels, reader = stack.pop()
            inner = _below_views(node) if reader is not None else root
            if reader is not None:
                is_inside = (reader, inner) in self.inside and len(tree.operands) + len(stack) < LONGEST_CHAIN
                if not is_inside:
                    tree.operands.append((node, labels))
                    continue
                tree.pairs.append((reader, inner))
                labels = _through_views(node, inner, labels)
            tree.inner.append(inner)
            stack.extend([(factor, part, inner) for factor, part in reversed(tree.factors(inner, labels))])
        return tree


# Views between products: axes in another order, repeated, or of size 1.


def _is_transparent(node: Node) -> bool:
    return node.op is transpose or node.op is broadcast or moves_ones(node)


def _below_views(node: Node) -> Node:
    while _is_transparent(node):
        node = node.inputs[0]
    return node


def _through_views(view: Node, source: Node, labels: tuple[int, ...]) -> tuple[int, ...]:
    """Return the labels of the source of some views whose result has `labels`."""
    while view is not source:
        below = view.inputs[0]
        if view.op is transpose:
            labels = tuple([labels[k] for k in inverse(view.attrs["axes"])])
        elif view.op is broadcast:
            labels = tuple([labels[k] for k in view.attrs["axes"]])
        else:
            rest = iter([label for label in labels if label != ONE])
            labels = tuple([ONE if size == 1 else next(rest) for size in below.shape])
        view = below
    return labels


# What replaces a tree.


def _rebuilt(graph: Graph, better: Mapping[Node, _Tree], on_fire: OnFire | None) -> Graph:
    table = Interner()
    new: dict[Node, Node] = {}
    interned: set[Node] = set()

    def intern(root: Node) -> Node:
        """Return a node like `root`, of which the nodes that are new are interned too."""
        same: dict[Node, Node] = {}
        stack = [root]
        while stack:
            node = stack[-1]
            waiting = [i for i in node.inputs if i not in same and i not in interned]
            if waiting:
                stack.extend(waiting)
                continue
            same[node] = table.intern(node.with_inputs(tuple([same.get(i, i) for i in node.inputs])))
            interned.add(same[stack.pop()])
        return same[root]

    for node in graph.nodes:
        if node not in better:
            new[node] = intern(node.with_inputs(tuple([new[i] for i in node.inputs])))
            continue
        with located_at(node.location):
            new[node] = intern(_along_path(better[node], new))
        if on_fire is not None:
            on_fire("reorder", node, new[node])
    return graph.replace_results([new[r] for r in graph.results])


Array = tuple[Node, tuple[int, ...]]


def _along_path(tree: _Tree, new: Mapping[Node, Node]) -> Node:
    """Return the tree's value, its operands multiplied along its best path."""
    arrays = {k: _summed(new[node], labels, tree.lone) for k, (node, labels) in enumerate(tree.operands)}
    first = {k: k for k in arrays}
    readers = Counter([c for part in (tree.out, *[labels for _, labels in arrays.values()]) for c in part])
    for k, pair in enumerate(tree.path, start=len(arrays)):
        i, j = sorted(pair, key=first.__getitem__)
        is_last = len(arrays) == 2
        (a, in_a), (b, in_b) = arrays.pop(i), arrays.pop(j)
        shared = [c for c in in_a if c in in_b]
        kept = [c for c in shared if readers[c] > 2]
        kept += [c for c in in_a if c not in in_b] + [c for c in in_b if c not in in_a]
        readers.subtract(shared)
        result = tuple([c for c in tree.out if c in kept] if is_last else kept)
        arrays[k], first[k] = (product(a, in_a, b, in_b, result), result), first[i]
    (array,) = arrays.values()
    return _shaped(array, tree)


def _summed(node: Node, labels: tuple[int, ...], lone: Set[int]) -> Array:
    """Return an operand without axes of size 1 and summed over labels that it alone has."""
    labels = tuple([c for c in labels if c != ONE])
    node = squeezed(node)
    axis = tuple([k for k, c in enumerate(labels) if c in lone])
    return (reduce_sum(node, axis=axis), tuple([c for c in labels if c not in lone])) if axis else (node, labels)


def _shaped(array: Array, tree: _Tree) -> Node:
    """Return the array with all axes of the root: those of size 1, and those along which it repeats."""
    (node, labels), root = array, tree.root
    order = sorted(range(len(labels)), key=lambda k: tree.out.index(labels[k]))
    if order != list(range(len(order))):
        node = transpose(node, axes=tuple(order))
    axes = tuple([k for k, c in enumerate(tree.out) if c in labels])
    if len(axes) < sum([c != ONE for c in tree.out]) or not labels:
        return broadcast(node, shape=root.shape, axes=axes) if root.shape else node
    return node if node.shape == root.shape else reshape(node, shape=root.shape)
