"""hoist: what a loop need not do step by step is done outside of it, once or for all steps at once.

- A loop of one step or none is no loop.
- What is the same in every step is computed before the loop.
- What depends on slices of xs alone is computed for all steps at once where that makes one large product of many small
  ones: x[t] @ w for all t is x @ w. What only ys need is computed after the loop in the same way.
- A carry that only adds up is a sum over steps: that of x[t].T @ g[t], the gradient of a weight, is one contraction.
- Walking an array that is turned round is walking the array the other way.
- A branch whose condition is known is the body that it takes.

All this trades memory for speed: arrays of all steps come into being. Each may be GROWTH times as large as the largest
that the loop walks along anyway. A value that costs about as much as reading it stays where it is. How often something
fails does not change: a loop whose length is not known, or is nought, may never have come to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps

from graphc.ir.graph import (
    Graph,
    Node,
    Region,
    item,
    items,
    substitute,
    toposort,
)
from graphc.ir.index import is_alias, source_of
from graphc.ir.rewrite import OnFire, into_bodies
from graphc.ir.types import TensorType
from graphc.ops.control import parameter, zeros
from graphc.ops.dot import contract, labels
from graphc.ops.elementwise import add
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import reshape, slice_
from graphc.passes.batching import Value, batched, can_batch, stacked, summed_over_steps
from graphc.passes.invariants import cone_of, decided, is_dear, is_worth_taking, without_invariants
from graphc.passes.loop_parts import SCAN, Loop, Operand

GROWTH = 4
"""How much larger than the largest array that a loop walks along one that it walks along from now on may be."""

SMALL_BYTES = 1 << 20
"""Arrays of all steps up to this size are always welcome."""

FEW_ROWS = 16
"""Rows of one step's product up to which that of all steps is quicker: a matrix is then read often for little work."""

ROUNDS = 16
"""Most turns for one graph; each takes something out of a loop."""

Results = Sequence[Node]
"""What stands for the results of a scan."""


def hoist(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with work taken out of its loops, inner ones first; itself where there is none to take.

    for x in xs: h = tanh(x @ w + h @ u)    ->    a = xs @ w; for a in a: h = tanh(a + h @ u)
    """
    return into_bodies(lambda g: _hoisted(g, on_fire))(graph)


def _hoisted(graph: Graph, on_fire: OnFire | None) -> Graph:
    if not any(isinstance(n.op, Region) for n in graph.nodes):
        return graph
    for _ in range(ROUNDS):
        before = graph
        for rule in (_without_steps, _turned, _before, _after):
            graph = _apply(_of_scan(rule), graph, on_fire)
        for other in (decided, without_invariants):
            graph = _apply(other, graph, on_fire)
        if graph is before:
            break
    return graph


RegionRule = Callable[[Node], "Results | None"]


def _of_scan(rule: Callable[[Loop], Results | None]) -> RegionRule:
    """Return a rule for scans of known sizes as one for nodes; of counted ones, only `_before` knows."""

    @wraps(rule)
    def applied(node: Node) -> Results | None:
        if node.op is not SCAN:
            return None
        loop = Loop(node)
        return rule(loop) if _is_static(loop) and (loop.count is None or rule is _before) else None

    return applied


def _apply(rule: RegionRule, graph: Graph, on_fire: OnFire | None) -> Graph:
    """Replace every region to which a rule applies."""
    found: dict[Node, Results] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        kept = node.with_inputs(inputs)
        if isinstance(node.op, Region):
            results = rule(kept)
            if results is not None:
                found[node] = results
        elif node.op is item and node.inputs[0] in found:
            new: Node = found[node.inputs[0]][node.attrs["index"]]
            if on_fire is not None:
                on_fire(f"{rule.__name__.strip('_')}", node, new)
            return new
        return kept

    return graph.rewrite(visit)


def _is_static(loop: Loop) -> bool:
    """Whether all sizes are known."""
    nodes = [*loop.node.inputs, *loop.body.inputs, *loop.body.nodes]
    return isinstance(loop.length, int) and all(not isinstance(n.type, TensorType) or n.type.is_static for n in nodes)


# Loops that are none, or the wrong way round.


def _without_steps(loop: Loop) -> Results | None:
    """Inline a loop of one step; of one without, the carries are what they began as."""
    if loop.length > 1:
        return None
    if not loop.length:
        ys = [zeros(y.tensor_type.with_shape((0, *y.shape))) for y in loop.ys]
        return [*[value for value, _ in loop.init], *ys]
    slices = [reshape(x, shape=p.shape) for x, p in loop.xs]
    outputs = substitute(loop.body, [*[v for v, _ in loop.init], *slices, *[v for v, _ in loop.constants]])
    return [*outputs[: loop.carries], *[reshape(y, shape=(1, *y.shape)) for y in outputs[loop.carries :]]]


def _turned(loop: Loop) -> Results | None:
    """Walk backwards where all xs are arrays turned round; ys are turned round in their place."""
    if not loop.xs or not all(_is_turned(x) for x, _ in loop.xs):
        return None
    xs = [(x.inputs[0], p) for x, p in loop.xs]
    operands, attrs = loop.assembled(loop.init, xs, loop.constants, loop.body.outputs)
    results = items(loop.scan(operands, {**attrs, "reverse": not attrs["reverse"]}))
    return [*results[: loop.carries], *[_turn(y) for y in results[loop.carries :]]]


def _is_turned(x: Node) -> bool:
    return x.op is slice_ and x.shape == x.inputs[0].shape and x.attrs["step"] == (-1, *[1] * (x.ndim - 1))


def _turn(x: Node) -> Node:
    start, step = (x.shape[0] - 1, *[0] * (x.ndim - 1)), (-1, *[1] * (x.ndim - 1))
    return slice_(x, start=start, shape=x.shape, step=step)


# What a body's values depend on.

CONSTANT, SLICES, STEPS = range(3)
"""The same in every step; a function of the slices; anything else."""


class _Facts:
    """What each node of a body depends on, and who reads it."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.kinds = dict.fromkeys([p for _, p in loop.init], STEPS)
        self.kinds.update(dict.fromkeys([p for _, p in loop.xs], SLICES))
        self.readers: dict[Node, list[Node | None]] = {n: [] for n in (*loop.body.inputs, *loop.body.nodes)}
        for node in loop.body.nodes:
            if node not in self.kinds:
                kind = max([self.kinds[i] for i in node.inputs], default=CONSTANT)
                self.kinds[node] = STEPS if kind == SLICES and not can_batch(node) else kind
            for source in node.inputs:
                self.readers[source].append(node)
        for output in loop.body.outputs:
            self.readers[output].append(None)
        walked = [x.tensor_type.nbytes for x, _ in loop.xs] + [loop.length * y.tensor_type.nbytes for y in loop.ys]
        self.limit = max(SMALL_BYTES, GROWTH * max(walked, default=0))

    def frontier(self, kind: int) -> list[Node]:
        """Return the computed values of a kind, behind views, that values of later kinds read or that are results."""
        nodes = [n for n in self.loop.body.nodes if self.kinds[n] == kind]
        last = [n for n in nodes if any(r is None or self.kinds[r] > kind for r in self.readers[n])]
        return [n for n in dict.fromkeys(map(source_of, last)) if not n.is_leaf]

    def fits(self, node: Node) -> bool:
        """Whether the values of all steps may be an array."""
        return bool(self.loop.length * node.tensor_type.nbytes <= self.limit)


def _is_thin(node: Node, kinds: Mapping[Node, int]) -> bool:
    """Whether a value is a product of few rows with a matrix that is the same in all steps."""
    if node.op is not contract:
        return False
    fixed = [i for i in node.inputs if kinds[i] == CONSTANT]
    if len(fixed) != 1:
        return False
    columns = int(fixed[0].tensor_type.size) // max(1, _summed(node))
    return int(node.tensor_type.size) <= FEW_ROWS * columns


def _summed(node: Node) -> int:
    """Return how many products each element of a contraction adds."""
    a, b, out = labels(spec=node.attrs["spec"])
    sizes = dict(zip(a, node.inputs[0].shape, strict=True))
    return math.prod([int(sizes[c]) for c in a if c in b and c not in out])


# Before the loop.


def _before(loop: Loop) -> Results | None:
    """Compute before the loop what does not depend on carries, where that is worth an array."""
    facts = _Facts(loop)
    kinds = facts.kinds
    fixed = [n for n in facts.frontier(CONSTANT) if is_worth_taking(n, certain=loop.count is None)]
    if loop.count is not None:
        return _with_known(loop, fixed, [], []) if fixed else None
    cones = {n: cone_of(n, lambda i: kinds[i] == SLICES) for n in _asked(facts) if facts.fits(n)}
    products = [n for n, cone in cones.items() if any(_is_thin(n, kinds) for n in cone)]
    # What products are made of and the loop needs besides: it is there already.
    inside = {n for root in products for n in cones[root]}
    sliced = [*products, *[n for n in cones if n in inside and n not in products and is_dear(n)]]
    outside = [y for y in loop.ys if kinds[y] != STEPS]
    if not fixed and not sliced and not outside:
        return None
    return _with_known(loop, fixed, sliced, outside)


def _with_known(loop: Loop, fixed: Sequence[Node], sliced: Sequence[Node], outside: Sequence[Node]) -> Results:
    """Return the results of a loop that is given values of each step, and what is the same in all."""
    values = batched(loop.body, [*fixed, *sliced, *outside], _known(loop), loop.length)
    stand_ins = {n: parameter(f"{n.op.name}{k}", n.tensor_type) for k, n in enumerate((*fixed, *sliced))}
    xs = [*loop.xs, *[(stacked(values[n], loop.length), stand_ins[n]) for n in sliced]]
    constants = [*loop.constants, *[(values[n][0], stand_ins[n]) for n in fixed]]

    inner = dict(stand_ins)
    for node in loop.body.nodes:
        if node not in inner:
            inner[node] = node.with_inputs(tuple([inner[i] for i in node.inputs]))
    ys = [y for y in loop.ys if y not in outside]
    outputs = [inner[o] for o in (*loop.body.outputs[: loop.carries], *ys)]
    made = iter(_scan(loop, loop.init, xs, constants, outputs))
    finals = [next(made) for _ in loop.init]
    return [*finals, *[stacked(values[y], loop.length) if y in outside else next(made) for y in loop.ys]]


def _asked(facts: _Facts) -> list[Node]:
    """Return the functions of slices that the loop reads; of a product that a carry adds up, its factors."""
    later = _Later(facts)
    later.take_sums()
    terms = [t for found in later.sums.values() for t in found]
    factors = [source_of(i) for t in terms for i in t.operands]
    asked = dict.fromkeys([*facts.frontier(SLICES), *[n for n in factors if facts.kinds[n] == SLICES]])
    return [n for n in asked if not n.is_leaf and n not in {t.core for t in terms}]


def _known(loop: Loop) -> dict[Node, Value]:
    """Return what the parameters of a body, but for carries, are outside."""
    return {**{p: (v, False) for v, p in loop.constants}, **{p: (x, True) for x, p in loop.xs}}


def _scan(
    loop: Loop, init: Sequence[Operand], xs: Sequence[Operand], constants: Sequence[Operand], outputs: Sequence[Node]
) -> Sequence[Node]:
    """Return the results of a loop with other parts, of which it keeps the operands that it reads."""
    if not outputs:
        return ()
    used = set(toposort(outputs))
    xs, constants = ([o for o in group if o[1] in used] for group in (xs, constants))
    return items(loop.scan(*loop.assembled(init, xs, constants, outputs)))


# After the loop.


def _after(loop: Loop) -> Results | None:
    """Compute after the loop, from values of all steps, what carries only add up and what only ys need."""
    facts = _Facts(loop)
    plan = _Later(facts)
    plan.take_sums()
    plan.take_results()
    if not plan.sums and not plan.sunk:
        return None
    carried = [k for k in range(loop.carries) if k not in plan.sums]
    kept = dict.fromkeys([*[y for y in loop.ys if y not in plan.sunk], *plan.stacks])
    outputs = [*[loop.body.outputs[k] for k in carried], *kept]
    made = _scan(loop, [loop.init[k] for k in carried], loop.xs, loop.constants, outputs)
    finals = dict(zip(carried, made, strict=False))
    stacks = dict(zip(kept, made[len(carried) :], strict=True))

    known = {**_known(loop), **{n: (stack, True) for n, stack in stacks.items()}}
    terms = [t for found in plan.sums.values() for t in found]
    values = batched(loop.body, [*plan.sunk, *[i for t in terms for i in t.operands]], known, loop.length)
    for k, found in plan.sums.items():
        finals[k] = loop.init[k][0]
        for term in found:
            finals[k] = add(finals[k], term.total(values, loop.length))
    ys = [stacked(values[y], loop.length) if y in plan.sunk else stacks[y] for y in loop.ys]
    return [*[finals[k] for k in range(loop.carries)], *ys]


@dataclass(frozen=True)
class _Term:
    """What a step adds to a carry: views of `core`, a contraction or a sum of `operands`, or of itself alone."""

    value: Node
    core: Node
    operands: tuple[Node, ...]

    def total(self, values: Mapping[Node, Value], length: int) -> Node:
        """Return the sum over all steps."""
        total = summed_over_steps(self.core, [values[i] for i in self.operands], length)
        views: list[Node] = []
        node = self.value
        while node is not self.core:
            views.append(node)
            node = node.inputs[0]
        for view in reversed(views):
            total = view.with_inputs((total, *view.inputs[1:]))
        return total


class _Later:
    """What is done after a loop: sums by carry, results, and the values of all steps that this takes."""

    def __init__(self, facts: _Facts) -> None:
        self.facts = facts
        self.loop = facts.loop
        self.sums: dict[int, list[_Term]] = {}
        self.sunk: set[Node] = set()
        self.stacks: dict[Node, None] = {}

    # Carries that add up.

    def take_sums(self) -> None:
        """Find the carries that are sums: those of products first, then sums of what is there for them already."""
        found = {k: terms for k in range(self.loop.carries) if (terms := self.terms(k))}
        for k, terms in found.items():
            if all(t.core.op is contract and self.may_stack(t) for t in terms):
                self.sums[k] = terms
                self.stacks.update(dict.fromkeys(n for t in terms for n in self.needed(t)))
        for k, terms in found.items():
            if k not in self.sums and all(self.may_stack(t) and not self.new(t) for t in terms):
                self.sums[k] = terms
                self.stacks.update(dict.fromkeys(n for t in terms for n in self.needed(t)))

    def terms(self, k: int) -> list[_Term]:
        """Return what each step adds to a carry; nothing where it does more than add, or something else reads it."""
        _, node = self.loop.init[k]
        shape, final = node.shape, self.loop.body.outputs[k]
        terms: list[_Term] = []
        while node is not final:
            reader = self.only_reader(node)
            if reader is None or reader.op is not add:
                return []
            for addend in self.addends(reader.inputs[reader.inputs[0] is node]):
                term = self.term(addend)
                if addend.shape != shape or term is None:
                    return []
                terms.append(term)
            node = reader
        return terms if self.facts.readers[final] == [None] else []

    def addends(self, node: Node) -> list[Node]:
        """Return what a value that has one reader adds up."""
        found, stack = [], [node]
        while stack:
            node = stack.pop()
            if node.op is add and self.only_reader(node) is not None:
                stack += reversed(node.inputs)
            else:
                found.append(node)
        return found

    def only_reader(self, node: Node) -> Node | None:
        readers = self.facts.readers[node]
        return readers[0] if len(readers) == 1 else None

    def term(self, value: Node) -> _Term | None:
        """Return an addend taken apart, or None where a sum over steps would round differently, or is none."""
        core = value
        while is_alias(core) and len(core.inputs) == 1:
            core = core.inputs[0]
        kinds = self.facts.kinds
        if core.op is contract:
            alone = all(len(self.facts.readers[n]) == 1 for n in (value, core))
            pays = alone and CONSTANT not in map(kinds.get, core.inputs) and _summed(core) <= FEW_ROWS
            return _Term(value, core, core.inputs) if pays else None
        if kinds[core] == CONSTANT:
            return None
        if core.op is reduce_sum:
            return _Term(value, core, core.inputs)
        return _Term(value, core, (core,)) if core.dtype.kind in "iu" else None

    def needed(self, term: _Term) -> list[Node]:
        """Return the values that must be there for all steps to sum a term up."""
        sources = [source_of(i) for i in term.operands]
        return [s for s in sources if self.facts.kinds[s] == STEPS]

    def may_stack(self, term: _Term) -> bool:
        views = [n for i in term.operands for n in _views(i)]
        return all(map(self.facts.fits, self.needed(term))) and all(map(can_batch, views))

    def new(self, term: _Term) -> bool:
        return any(n not in self.stacks and n not in self.loop.ys for n in self.needed(term))

    # Results that no carry needs.

    def take_results(self) -> None:
        """Find the ys that are products of what the loop makes, and need not be made in it."""
        loop, kinds = self.loop, self.facts.kinds
        carried = [loop.body.outputs[k] for k in range(loop.carries) if k not in self.sums]
        inner = set(toposort([*carried, *self.stacks]))
        asked = [y for y in loop.ys if kinds[y] == STEPS and self.products(y, inner) is None]
        inner.update(toposort(asked))
        for y in loop.ys:
            edge = self.products(y, inner) if kinds[y] == STEPS else None
            if edge is not None and all(map(self.facts.fits, edge)):
                self.sunk.add(y)
                self.stacks.update(dict.fromkeys(edge))

    def products(self, y: Node, inner: set[Node]) -> list[Node] | None:
        """Return the values in the loop that a result is made of; None where it is no product that can move."""
        kinds = self.facts.kinds
        if y in inner or y.is_leaf:
            return None
        cone = cone_of(y, lambda n: n not in inner and kinds[n] == STEPS)
        if not any(_is_thin(n, kinds) for n in cone) or not all(map(can_batch, cone)):
            return None
        edge = dict.fromkeys(i for n in cone for i in n.inputs if kinds[i] == STEPS and (i in inner or i.is_leaf))
        return list(edge)


def _views(node: Node) -> list[Node]:
    found = []
    while is_alias(node):
        found.append(node)
        node = node.inputs[0]
    return found
