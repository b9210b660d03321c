"""Rewrite rules, written with the IR's own operators, and the sweep that applies them.

    x, y = variables("x", "y")
    Rule("mul_one", x * 1, x)
    Rule("where_same", call("where", c, x, x), x)

A pattern is a variable, a number, a `constant`, or an op applied to patterns. A variable matches any node, and only the
same node where it stands again. A number matches a constant of rank 0 with just these bits: 0 does not match -0.0.
There is no general commutativity: constants stand to the right, where canonicalize puts them, and other orders are
other rules. The right side is a pattern or a function of the match; it is never more work than the left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from graphc.errors import InternalError, located_at
from graphc.ir.graph import OPS, Graph, Node, Op, Region, known_value, literal
from graphc.ir.graph import constant as constant_op
from graphc.ir.intern import Interner, is_interned, note_interned

FIRINGS = 64
"""The most rule firings for each node of a graph: more than any terminating set of rules needs."""

Number = bool | int | float


class Pattern:
    """What a node is compared with."""

    def __add__(self, other: Pattern | Number) -> Apply:
        return Apply("add", (self, other))

    def __radd__(self, other: Number) -> Apply:
        return Apply("add", (other, self))

    def __sub__(self, other: Pattern | Number) -> Apply:
        return Apply("sub", (self, other))

    def __rsub__(self, other: Number) -> Apply:
        return Apply("sub", (other, self))

    def __mul__(self, other: Pattern | Number) -> Apply:
        return Apply("mul", (self, other))

    def __rmul__(self, other: Number) -> Apply:
        return Apply("mul", (other, self))

    def __truediv__(self, other: Pattern | Number) -> Apply:
        return Apply("div", (self, other))

    def __rtruediv__(self, other: Number) -> Apply:
        return Apply("div", (other, self))

    def __pow__(self, other: Pattern | Number) -> Apply:
        return Apply("pow", (self, other))

    def __neg__(self) -> Apply:
        return Apply("neg", (self,))


@dataclass(frozen=True, eq=False)
class Variable(Pattern):
    """Matches any node; with `constant`, only constants of rank 0."""

    name: str
    constant: bool = False

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Apply(Pattern):
    """Matches an application of the op called `op`. Attributes that are not given match anything."""

    op: str
    args: tuple[Pattern | Number, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        parts = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.attrs.items()]
        return f"{self.op}({', '.join(parts)})"


@dataclass(frozen=True, eq=False)
class Each(Pattern):
    """Matches every node whose op is of this kind, and where `where(op, ops of the inputs)` holds, if it is given."""

    kind: type[Op]
    where: Callable[[Op, tuple[Op, ...]], bool] | None = None

    def __repr__(self) -> str:
        return f"each {self.kind.__name__}"


@dataclass(frozen=True, eq=False)
class Attr:
    """Stands for the value of an attribute: matches any on the left side, repeats it on the right."""

    name: str

    def __repr__(self) -> str:
        return self.name


def variables(*names: str) -> tuple[Variable, ...]:
    """Return pattern variables."""
    return tuple(Variable(n) for n in names)


def constant(name: str) -> Variable:
    """Return a pattern variable that matches constants of rank 0 only."""
    return Variable(name, constant=True)


def call(op: str, *args: Pattern | Number, **attrs: Any) -> Apply:
    """Return the pattern of an op applied to patterns; attributes are values or `Attr`."""
    return Apply(op, args, attrs)


class Match:
    """What the variables of a pattern stand for at one node: `match["x"]`, and `match.node` for the whole.

    is_alone(node)   tells whether nothing but the match reads a node: a rule that computes it in another way asks this,
                     as otherwise both would be computed
    """

    __slots__ = ("_found", "is_alone", "node")

    def __init__(self, node: Node, found: Mapping[str, Any], is_alone: Callable[[Node], bool]) -> None:
        self.node = node
        self._found = found
        self.is_alone = is_alone

    def __getitem__(self, name: str) -> Any:
        return self._found[name]


@dataclass(frozen=True, eq=False)
class Rule:
    """Replace what matches `lhs` by `rhs` when `when` holds.

    exact   the result has the same bits, NaN for NaN; where it is False the rule is for fast_math alone, or is stable
    ulps    where not 0: an exact rule but for rounding, by at most so many units in the last place, which is within
            the accuracy that the op promises
    stable  both sides are equal as real numbers, and the right one is within a few units in the last place of that
            number wherever it is in range; the left one is not, where it cancels, overflows or underflows. So the
            result may have other bits, and a number where the left side has an infinity, a zero or NaN
    """

    name: str
    lhs: Pattern
    rhs: Pattern | Number | Callable[[Match], Node | None]
    when: Callable[[Match], bool] | None = None
    exact: bool = True
    ulps: int = 0
    stable: bool = False

    def __repr__(self) -> str:
        return f"<rule {self.name}: {self.lhs} -> {self.rhs}>"

    @cached_property
    def _matches(self) -> Matcher:
        return _matcher(self.lhs)

    def apply(self, node: Node, is_alone: Callable[[Node], bool] = lambda node: True) -> Node | None:
        """Return what replaces `node`, of the same type; None where the rule does not apply."""
        found: dict[str, Any] = {}
        if not self._matches(node, found):
            return None
        match = Match(node, found, is_alone)
        if self.when is not None and not self.when(match):
            return None
        rhs = self.rhs
        result = rhs(match) if callable(rhs) else _build(rhs, match)
        return None if result is None or result is node else _fit(result, node)


OnFire = Callable[[str, Node, Node], None]
"""Told of every replacement: the name of the rule, the node before, the node after."""


Matcher = Callable[[Node, dict[str, Any]], bool]
"""Tells whether a node matches, and writes down what the variables stand for."""


def _matcher(pattern: Pattern | Number) -> Matcher:
    """Return the matcher of a pattern; functions inside of functions are faster than to look at the pattern again."""
    if isinstance(pattern, Apply):
        return _matcher_of_apply(pattern)
    if isinstance(pattern, Each):
        kind = pattern.kind
        return lambda node, found: isinstance(node.op, kind)
    if not isinstance(pattern, Variable):
        assert isinstance(pattern, bool | int | float)
        return lambda node, found: _is_number(node, pattern)
    name, is_constant = pattern.name, pattern.constant

    def variable(node: Node, found: dict[str, Any]) -> bool:
        if is_constant and (node.op is not constant_op or node.shape):
            return False
        return found.setdefault(name, node) is node

    return variable


def _matcher_of_apply(pattern: Apply) -> Matcher:
    op, count, attrs = pattern.op, len(pattern.args), tuple(pattern.attrs.items())
    args = tuple([_matcher(arg) for arg in pattern.args])

    def matches(node: Node, found: dict[str, Any]) -> bool:
        if node.op.name != op or len(node.inputs) != count:
            return False
        for name, wanted in attrs:
            given = node.attrs[name]
            if isinstance(wanted, Attr):
                wanted = found.setdefault(wanted.name, given)
            if wanted != given:
                return False
        return all(arg(source, found) for arg, source in zip(args, node.inputs, strict=True))

    return matches


def _is_number(node: Node, number: Number) -> bool:
    array = known_value(node)
    return array is not None and not array.ndim and array.tobytes() == _bits(repr(number), array.dtype)


@lru_cache(maxsize=1024)
def _bits(number: str, dtype: np.dtype[Any]) -> bytes | None:
    """Return the bytes of a number, written as by repr, in a dtype; None where the dtype does not have it."""
    is_bool = number in ("True", "False")
    if is_bool or dtype.kind == "b":
        return bytes([number == "True"]) if is_bool and dtype.kind == "b" else None
    value = float(number)
    if dtype.kind == "f":
        return np.asarray(value, dtype).tobytes()
    info = np.iinfo(dtype)
    return np.asarray(int(value), dtype).tobytes() if value.is_integer() and info.min <= value <= info.max else None


def _build(pattern: Pattern | Number, match: Match) -> Node:
    if isinstance(pattern, Variable):
        found: Node = match[pattern.name]
        return found
    if isinstance(pattern, Apply):
        args = [a if isinstance(a, bool | int | float) else _build(a, match) for a in pattern.args]
        attrs = {k: match[v.name] if isinstance(v, Attr) else v for k, v in pattern.attrs.items()}
        return OPS[pattern.op](*args, **attrs)
    assert isinstance(pattern, bool | int | float)
    return literal(pattern, match.node.dtype)


def _fit(result: Node, node: Node) -> Node | None:
    """Return `result` with the type of `node`: a scalar is repeated; None where unknown sizes only may be the same."""
    if result.type == node.type:
        return result
    wanted, given = node.tensor_type, result.tensor_type
    if wanted.dtype != given.dtype:
        raise InternalError(f"rewrite: {node!r} became {result!r}", node.location)
    return OPS["broadcast"](result, shape=wanted.shape, axes=()) if not given.shape else None


Index = dict[tuple[Op, tuple[Op, ...], bool], tuple[Rule, ...]]
"""Which rules can match a node: by its op, the ops of its inputs, and whether two of those are one node."""


def apply_rules(
    graph: Graph, rules: Iterable[Rule], on_fire: OnFire | None = None, index: Index | None = None
) -> Graph:
    """Return `graph` with every rule applied wherever it matches, also to what rules make; itself if nothing changed.

    One sweep, inputs before users; each node tries the rules for it in order. Nodes are interned on the way, and a
    new node has the location of the one it replaces. `on_fire` is told of every replacement. Where a rule asked for
    the readers of a node that the sweep may have changed, another sweep follows. Whoever applies the same rules to many
    graphs may pass an `index`, which fills itself.
    """
    rules, index = tuple(rules), {} if index is None else index
    if is_interned(graph) and not any(_rules_for(n, rules, index) for n in graph.nodes):
        return graph
    while True:
        sweep = _Sweep(graph, rules, on_fire, index)
        graph = sweep.run()
        if not sweep.is_unsure:
            return note_interned(graph)


class _Sweep:
    def __init__(self, graph: Graph, rules: Sequence[Rule], on_fire: OnFire | None, index: Index) -> None:
        self.graph = graph
        self.rules = rules
        self.index = index
        self.on_fire = on_fire
        self.firings = FIRINGS * (len(graph.nodes) + 16)
        self.table = Interner()
        self.final: dict[Node, Node] = {}
        self.replaced: dict[Node, tuple[Rule | None, Node]] = {}
        self.readings: Counter[Node] = Counter()
        self.settled = self.counted = 0
        self.has_changed = self.has_refused = False

    def run(self) -> Graph:
        for k, node in enumerate(self.graph.nodes):
            self.settled = k
            self.settle(node)
        return self.graph.replace_results([self.final[r] for r in self.graph.results])

    def is_alone(self, node: Node) -> bool:
        """Tell whether one node reads a final node, as far as is known: what rules made may be read by others."""
        for before in self.graph.nodes[self.counted : self.settled]:
            self.readings[self.final[before]] += self.graph.readings[before]
        self.counted = self.settled
        if self.readings[node] == 1:
            return True
        self.has_refused = True
        return False

    @property
    def is_unsure(self) -> bool:
        """Whether a node that had other readers may have none any more."""
        return self.has_refused and self.has_changed

    def settle(self, root: Node) -> None:
        """Find what `root` finally becomes, after everything that it needs."""
        final, stack = self.final, [root]
        while stack:
            node = stack[-1]
            if node in final:
                stack.pop()
                continue
            if node in self.replaced:
                result = self.replaced[node][1]
                if result in final:
                    final[node] = final[result]
                    continue
                self.push(stack, result)
                continue
            try:
                inputs = tuple([final[i] for i in node.inputs])
            except KeyError:
                for source in node.inputs:
                    if source not in final:
                        self.push(stack, source)
                continue
            same = self.table.intern(node.with_inputs(inputs))
            if same is not node:
                self.replaced[node] = (None, same)
                self.has_changed = True
            elif (replacement := self.fire(node)) is not None:
                self.replaced[node] = replacement
                self.has_changed = True
            else:
                final[node] = node

    def push(self, stack: list[Node], node: Node) -> None:
        if node in self.replaced and node not in self.final and node in stack:
            names = [rule.name for n in stack if n in self.replaced and (rule := self.replaced[n][0]) is not None]
            raise InternalError(f"rewrite: these rules undo each other: {', '.join(names)}", node.location)
        stack.append(node)

    def fire(self, node: Node) -> tuple[Rule, Node] | None:
        rules = _rules_for(node, self.rules, self.index)
        if not rules or self.firings <= 0:
            return None
        with located_at(node.location):
            for rule in rules:
                result = rule.apply(node, self.is_alone)
                if result is not None:
                    self.firings -= 1
                    if self.on_fire is not None:
                        self.on_fire(rule.name, node, result)
                    return rule, result
        return None


def _rules_for(node: Node, rules: Sequence[Rule], index: Index) -> tuple[Rule, ...]:
    """Return the rules that can match a node with these ops, of which there are few kinds."""
    inputs = node.inputs
    kind = (node.op, tuple([i.op for i in inputs]), len(inputs) > 1 and len(set(inputs)) < len(inputs))
    found = index.get(kind)
    if found is None:
        found = index[kind] = tuple([r for r in rules if _may_match(r.lhs, *kind)])
    return found


def _may_match(pattern: Pattern, op: Op, inputs: tuple[Op, ...], has_equal: bool) -> bool:
    """Tell whether a pattern can match a node with this op on inputs with these, some of them the same node or not."""
    if isinstance(pattern, Each):
        return isinstance(op, pattern.kind) and (pattern.where is None or pattern.where(op, inputs))
    if not isinstance(pattern, Apply):
        return True
    if pattern.op != op.name or len(pattern.args) != len(inputs):
        return False
    names = [a.name for a in pattern.args if isinstance(a, Variable)]
    return (has_equal or len(set(names)) == len(names)) and all(map(_may_be, pattern.args, inputs))


def _may_be(arg: Pattern | Number, op: Op) -> bool:
    if isinstance(arg, bool | int | float) or (isinstance(arg, Variable) and arg.constant):
        return op is constant_op
    return not isinstance(arg, Apply) or arg.op == op.name


def into_bodies(transform: Callable[[Graph], Graph]) -> Callable[[Graph], Graph]:
    """Return the pass that applies `transform` to a graph and to every body in it, inner ones first."""

    def everywhere(graph: Graph, done: dict[Graph, Graph] | None = None) -> Graph:
        done = {} if done is None else done

        def inner(value: Any) -> Any:
            if not isinstance(value, Graph):
                return value
            if value not in done:
                done[value] = everywhere(value, done)
            return done[value]

        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            new = node.with_inputs(inputs)
            return with_attrs(new, {k: inner(v) for k, v in new.attrs.items()}) if isinstance(new.op, Region) else new

        has_bodies = any(isinstance(n.op, Region) for n in graph.nodes)
        return transform(graph.rewrite(visit) if has_bodies else graph)

    return everywhere


def with_attrs(node: Node, attrs: Mapping[str, Any]) -> Node:
    """Return `node` with other attributes that leave its type as it is; itself when they are the same objects."""
    if all(attrs[k] is v for k, v in node.attrs.items()):
        return node
    return Node(node.op, node.inputs, attrs, node.type, node.location)
