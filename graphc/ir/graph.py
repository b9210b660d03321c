"""The graph IR: operations, nodes and graphs.

What a program means:

- A `Node` applies an `Op` to the results of other nodes. It has no side effect and is evaluated at most once; its value
  is an array of exactly `node.type`. A node with several results has a `TupleType`, and `item` takes one out.
- Nodes are immutable and compared by identity. Their inputs exist before them, so a graph has no cycle; the order of
  evaluation is any order that respects inputs.
- Elementwise operands have the same shape, or rank 0 (a scalar meets every element). Nothing else broadcasts on its
  own, and nothing changes dtype on its own: `broadcast` and `cast` are nodes.
- Integers wrap. Floats follow IEEE 754 in the dtype of the node: no operation is contracted, reassociated or widened,
  except that sums and contractions may add in another order and keep more precision in between, and so may what several
  scatters add to zeros. Contractions, outer products and sums of one another are one sum of products, of which the
  factors may be multiplied in any order.
- A `placeholder` is fed by the call. A `variable` is read as it was when the call began; `Graph.updates` pairs
  variables with the values they have when it ends, all at once.
- A `Graph` is its inputs, outputs and updates. What they do not reach does not exist: dead code needs no pass.
- A region op (scan, cond, while_loop) holds bodies: Graphs without variables whose every outside value is an input.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, InternalError, Location, located_at, user_location
from graphc.ir import dims
from graphc.ir.dims import Dim
from graphc.ir.types import TensorType, TupleType, Type


class _Marker:
    """A fact about derivatives that is not a function."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


NOT_DIFFERENTIABLE = _Marker("NOT_DIFFERENTIABLE")
"""The derivative does not exist or is not known: asking for it raises."""

ZERO_DERIVATIVE = _Marker("ZERO_DERIVATIVE")
"""The derivative is zero wherever it exists: comparisons, floor, integer results."""

Cotangent = Callable[..., "Node"]
Vjp = tuple["Cotangent | None", ...] | Callable[..., Sequence[Any]] | _Marker

OPS: dict[str, Op] = {}
"""Every operation by name; defining an Op puts it here."""


@dataclass(frozen=True, eq=False)
class Op:
    """An operation with all its facts. The subclasses are the kinds that the lowering tells apart.

    infer(*types, **attrs) -> Type          raises ShapeError, DTypeError or ArgumentError
    reference(*arrays, **attrs) -> ndarray  the meaning, on NumPy; several results are a tuple
    vjp                                     one function (cotangent, out, *inputs) -> Node for each input, None for an
                                            input without derivative; or one function returning them all
    """

    name: str
    _: KW_ONLY
    infer: Callable[..., Type]
    reference: Callable[..., Any]
    vjp: Vjp
    doc: str = ""

    def __post_init__(self) -> None:
        if self.name in OPS:
            raise InternalError(f"op {self.name!r} is defined twice")
        OPS[self.name] = self

    def __call__(self, *inputs: Any, **attrs: Any) -> Node:
        """Return a node that applies this op; Python numbers take the dtype of the first node among the inputs."""
        nodes = tuple(inputs) if all(type(i) is Node for i in inputs) else _as_nodes(inputs)
        return Node(self, nodes, attrs, self.infer(*[n.type for n in nodes], **attrs))

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (OPS.__getitem__, (self.name,))


class Leaf(Op):
    """No computation: a placeholder, a variable, a constant, one item of a tuple, or a value as it is."""


@dataclass(frozen=True, eq=False)
class Elementwise(Op):
    """One scalar function at every index. `scalar` names it in the loop IR."""

    _: KW_ONLY
    scalar: str
    commutative: bool = False


@dataclass(frozen=True, eq=False)
class View(Op):
    """Elements of the input at other indices.

    index(position, source, result, **attrs) -> the position in the source of the element at `position` of the result,
    written with + - * // % only, so that it serves ints and loop expressions alike. Where `fill` is given, a position
    outside the source reads fill(**attrs) instead.
    """

    _: KW_ONLY
    index: Callable[..., tuple[Any, ...]]
    fill: Callable[..., Any] | None = None


@dataclass(frozen=True, eq=False)
class Gather(Op):
    """A view whose position depends on data: elements of the first input at the indices that the others hold.

    The k-th index array says where along axis `axes[k]` of the source. All have one shape, which is that of the first
    axes of the result; the axes of the source that are not indexed follow in their order. With `wrap`, an index below 0
    counts from the end; outside the axis the run fails.
    """


@dataclass(frozen=True, eq=False)
class Scatter(Op):
    """Stores at positions that depend on data: inputs are the target, the updates, and the index arrays of a gather.

    The result is the target with each update combined into the element that a gather would read in its place, in
    row-major order of the updates. `combine` is a scalar op, or "set".
    """


@dataclass(frozen=True, eq=False)
class Reduction(Op):
    """A fold over `axis` (sorted ints, removed from the shape) with the scalar op `combine`.

    init(dtype) is the identity of `combine`, the value of an empty fold; None where an empty fold is an error.
    """

    _: KW_ONLY
    combine: str
    init: Callable[[np.dtype[Any]], Any]


@dataclass(frozen=True, eq=False)
class Tiled(Op):
    """An op made tile by tile near at hand: what is computed from a tile, element by element, can be finished there."""


@dataclass(frozen=True, eq=False)
class Product(Tiled):
    """A sum of products of elements of its two inputs."""


@dataclass(frozen=True, eq=False)
class Random(Tiled):
    """Bits made of counters, block by block, for each key of its input, whose last axis has the words of a key."""


@dataclass(frozen=True, eq=False)
class Contraction(Product):
    """A sum of products over shared labels. dims(**attrs) -> (labels of a, labels of b, labels of the result)."""

    _: KW_ONLY
    dims: Callable[..., tuple[str, str, str]]


@dataclass(frozen=True, eq=False)
class Convolution(Product):
    """One of the three linear maps of a convolution, by what `role` the result has in it: output, input or weight.

    With stride s, dilation d and low l, the element k of the weight takes position p of the output to p*s + k*d - l of
    the input, along every spatial axis. Layouts are [n, channel, ...] and [channel of the output, channel, ...].
    """

    _: KW_ONLY
    role: str

    def shapes(self, node: Node) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the input, the weight and the output of which the node is one."""
        first, second = (i.shape for i in node.inputs)
        by_role = {
            "output": (first, second, node.shape),
            "input": (node.shape, second, first),
            "weight": (first, node.shape, second),
        }
        return by_role[self.role]

    def multiply_adds(self, node: Node) -> int:
        """Return how many products a node adds up in all, those with padding included."""
        _, weight, output = self.shapes(node)
        return math.prod(output) * math.prod(weight[1:])


@dataclass(frozen=True, eq=False)
class Opaque(Op):
    """A loop nest of its own, fused with nothing: nest(inputs, output, **attrs) -> Stmt, on buffers of the loop IR,
    whose shapes are seen(type, **attrs): the same elements in the same order.

    The subclasses say what they compute instead, and have no `nest`.
    """

    _: KW_ONLY
    nest: Callable[..., Any] | None = None
    seen: Callable[..., tuple[int, ...]] = lambda type, **_: type.shape


@dataclass(frozen=True, eq=False)
class Cumulative(Opaque):
    """Running folds along `axis`, from its end with `reverse`.

    The first result is the first element of the last input. Each other one is step(the result before it, the element of
    each input), an expression of the loop IR. `combine` is the scalar op that step is, where it may be applied in any
    order: of integers always, of floats as a sum may.
    """

    _: KW_ONLY
    step: Callable[..., Any]
    combine: str | None = None


@dataclass(frozen=True, eq=False)
class Ordering(Opaque):
    """The first `count` elements along the last axis in stable order, or where they come from if it `gives_places`.

    NaN is larger than any number; all NaNs are equal, and so are zeros of both signs. With `descending` the larger come
    first, equal ones still in the order in which they stand.
    """

    _: KW_ONLY
    gives_places: bool


@dataclass(frozen=True, eq=False)
class Region(Op):
    """An op with bodies, graphs among its attributes, lowered to native control flow."""


class Literal:
    """A read-only array as an attribute: compared and hashed by dtype, shape and bits."""

    __slots__ = ("_key", "array")

    def __init__(self, value: Any) -> None:
        array = np.array(value, order="C", copy=True)
        array.flags.writeable = False
        self.array = array
        self._key = (array.dtype, array.shape, array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Literal({self.array!r})"


class Node:
    """One application of an op: immutable, compared by identity. `born` numbers nodes in the order they were made."""

    __slots__ = ("__weakref__", "attrs", "born", "inputs", "location", "op", "type")

    op: Op
    inputs: tuple[Node, ...]
    attrs: Mapping[str, Any]
    type: Type
    location: Location | None
    born: int

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        attrs: Mapping[str, Any],
        type: Type,
        location: Location | None = None,
    ) -> None:
        _set_op(self, op)
        _set_inputs(self, inputs)
        _set_attrs(self, attrs)
        _set_type(self, type)
        _set_location(self, location if location is not None else user_location())
        _set_born(self, next(_births))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Node is immutable")

    @property
    def tensor_type(self) -> TensorType:
        """The type of a node with one result."""
        if not isinstance(self.type, TensorType):
            raise InternalError(f"{self.op.name} has several results; take one with item")
        return self.type

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.tensor_type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.tensor_type.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_leaf(self) -> bool:
        """Whether nothing is computed here: a given value, or positions along an axis. A scan of nothing is no leaf."""
        return not self.inputs and not isinstance(self.op, Region)

    @property
    def bodies(self) -> Mapping[str, Graph]:
        """The bodies of a region node by the names of the attributes that hold them; none for other nodes."""
        if not isinstance(self.op, Region):
            return {}
        return {name: value for name, value in self.attrs.items() if isinstance(value, Graph)}

    def with_inputs(self, inputs: tuple[Node, ...]) -> Node:
        """Return this node on other inputs of the same types; itself when they are the same nodes."""
        # Nodes are equal when they are the same, so tuples of them are too.
        return self if inputs == self.inputs else Node(self.op, inputs, self.attrs, self.type, self.location)

    def __repr__(self) -> str:
        return f"<{self.op.name}: {self.type}>"

    def __add__(self, other: Any) -> Node:
        return OPS["add"](self, other)

    def __radd__(self, other: Any) -> Node:
        return OPS["add"](other, self)

    def __sub__(self, other: Any) -> Node:
        return OPS["sub"](self, other)

    def __rsub__(self, other: Any) -> Node:
        return OPS["sub"](other, self)

    def __mul__(self, other: Any) -> Node:
        return OPS["mul"](self, other)

    def __rmul__(self, other: Any) -> Node:
        return OPS["mul"](other, self)

    def __truediv__(self, other: Any) -> Node:
        return OPS["div"](self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return OPS["div"](other, self)

    def __pow__(self, other: Any) -> Node:
        return OPS["pow"](self, other)

    def __neg__(self) -> Node:
        return OPS["neg"](self)


# object.__setattr__ through the slots: the only writes a node ever sees.
_set_op, _set_inputs, _set_attrs, _set_type, _set_location, _set_born = (
    vars(Node)[slot].__set__ for slot in ("op", "inputs", "attrs", "type", "location", "born")
)
_births = count(1)


def births() -> int:
    """Return a number above that of every node made so far, and below that of every node made from now on."""
    return next(_births)


@dataclass(frozen=True, eq=False)
class Graph:
    """Inputs (placeholders), outputs, and updates of variables."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Node, Node], ...] = ()
    name: str = field(default="graph")

    @property
    def results(self) -> tuple[Node, ...]:
        """Outputs, then the new values of the updated variables."""
        return self.outputs + tuple(value for _, value in self.updates)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that the results need, inputs before users, in a fixed order."""
        return tuple(toposort(self.results))

    @cached_property
    def variables(self) -> tuple[Node, ...]:
        """Variables that are read or updated, in order of first use."""
        read = [n for n in self.nodes if n.op is variable]
        return tuple(dict.fromkeys(read + [v for v, _ in self.updates]))

    @cached_property
    def users(self) -> Mapping[Node, tuple[Node, ...]]:
        """For each node, the nodes that read it, each once."""
        users: dict[Node, dict[Node, None]] = {n: {} for n in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                users[source][node] = None
        return {n: tuple(u) for n, u in users.items()}

    @cached_property
    def readings(self) -> Mapping[Node, int]:
        """For each node, how many times others read it as an operand and the graph as a result."""
        found = Counter(self.results)
        for node in self.nodes:
            found.update(node.inputs)
        return found

    def replace_results(self, results: Sequence[Node]) -> Graph:
        """Return this graph computing other results; itself when they are the same nodes."""
        if all(a is b for a, b in zip(results, self.results, strict=True)):
            return self
        outputs = len(self.outputs)
        updates = tuple((v, r) for (v, _), r in zip(self.updates, results[outputs:], strict=True))
        return Graph(self.inputs, tuple(results[:outputs]), updates, self.name)

    def rewrite(self, visit: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
        """Return the graph in which every node is visit(node, its rewritten inputs); itself if nothing changed."""
        new: dict[Node, Node] = {}
        for node in self.nodes:
            new[node] = visit(node, tuple([new[i] for i in node.inputs]))
        return self.replace_results([new[r] for r in self.results])

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.inputs)} inputs, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"


def toposort(roots: Iterable[Node], needs: Callable[[Node], Iterable[Node]] = attrgetter("inputs")) -> list[Node]:
    """Return all nodes that `roots` need, by default their inputs, what is needed first.

    Iterative: a chain may be as long as memory allows.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack: list[tuple[Node, Iterator[Node]]] = [(root, iter(needs(root)))]
        while stack:
            node, rest = stack[-1]
            for source in rest:
                if source not in seen:
                    seen.add(source)
                    stack.append((source, iter(needs(source))))
                    break
            else:
                order.append(node)
                stack.pop()
    return order


def substitute(graph: Graph, values: Sequence[Node]) -> tuple[Node, ...]:
    """Return the outputs of `graph` with its inputs replaced by `values` (inlining a body)."""
    new = dict(zip(graph.inputs, values, strict=True))
    for node in graph.nodes:
        if node not in new:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    return tuple(new[o] for o in graph.outputs)


def bind_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Return `graph` with the symbolic sizes in `sizes` known; types are inferred anew, so contradictions raise."""
    if not sizes:
        return graph
    new: dict[Node, Node] = {}
    for node in toposort((*graph.inputs, *graph.results)):
        new[node] = _bind_node(node, tuple([new[i] for i in node.inputs]), sizes)
    updates = tuple((v, new[r]) for v, r in graph.updates)
    return Graph(tuple(new[i] for i in graph.inputs), tuple(new[o] for o in graph.outputs), updates, graph.name)


def _bind_node(node: Node, inputs: tuple[Node, ...], sizes: Mapping[str, int]) -> Node:
    attrs = {k: bind_attr(v, sizes) for k, v in node.attrs.items()}
    same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
    is_bound = bool(node.inputs) or (isinstance(node.type, TensorType) and node.type.is_static)
    if same and is_bound and all(attrs[k] is v for k, v in node.attrs.items()):
        return node
    if node.op is placeholder:
        return Node(placeholder, (), attrs, node.type.bind(sizes), node.location)
    with located_at(node.location):
        type = node.op.infer(*[i.type for i in inputs], **attrs)
    return Node(node.op, inputs, attrs, type, node.location)


def bind_attr(value: Any, sizes: Mapping[str, int]) -> Any:
    """Return an attribute with known sizes filled in; the same object when nothing changed."""
    if isinstance(value, Dim):
        return value.bind(sizes)
    if isinstance(value, TensorType | TupleType):
        return value.bind(sizes)
    if isinstance(value, Graph):
        return bind_sizes(value, sizes)
    if isinstance(value, tuple):
        bound = tuple([bind_attr(v, sizes) for v in value])
        return value if all(a is b for a, b in zip(bound, value, strict=True)) else bound
    return value


def _as_nodes(inputs: tuple[Any, ...]) -> tuple[Node, ...]:
    dtype = next((i.dtype for i in inputs if isinstance(i, Node)), None)
    if dtype is None:
        raise ArgumentError("an operation needs at least one node among its inputs")
    return tuple([i if isinstance(i, Node) else literal(i, dtype) for i in inputs])


def literal(value: Any, dtype: np.dtype[Any]) -> Node:
    """Return a constant node holding `value` as `dtype`."""
    return constant(value=Literal(np.asarray(value, dtype)))


def known_value(node: Node) -> np.ndarray[Any, Any] | None:
    """Return the array of a constant node, None for any other."""
    return node.attrs["value"].array if node.op is constant else None


def _infer_item(source: Type, *, index: int) -> TensorType:
    if not isinstance(source, TupleType) or not 0 <= index < len(source.items):
        raise InternalError(f"item: {index} is not in {source}")
    return source.items[index]


def _fed(*_: Any, **__: Any) -> Any:
    raise InternalError("a placeholder or variable has no value of its own; it must be fed")


placeholder = Leaf(
    "placeholder",
    infer=lambda *, name, type: type,
    reference=_fed,
    vjp=(),
    doc="An input, fed by each call.",
)
variable = Leaf(
    "variable",
    infer=lambda *, name, type, state: type,
    reference=_fed,
    vjp=(),
    doc="State that lives between calls; `state` identifies it.",
)
constant = Leaf(
    "constant",
    infer=lambda *, value: TensorType(value.array.dtype, value.array.shape),
    reference=lambda *, value: value.array,
    vjp=(),
    doc="A literal array.",
)
item = Leaf(
    "item",
    infer=_infer_item,
    reference=lambda source, *, index: source[index],
    vjp=NOT_DIFFERENTIABLE,
    doc="One result of a node that has several; the derivative pass sees through it.",
)


def items(node: Node) -> tuple[Node, ...]:
    """Return the results of a node with a tuple type."""
    assert isinstance(node.type, TupleType)
    return tuple(Node(item, (node,), {"index": k}, t, node.location) for k, t in enumerate(node.type.items))


__all__ = [
    "NOT_DIFFERENTIABLE", "OPS", "ZERO_DERIVATIVE", "Contraction", "Convolution", "Cumulative", "Elementwise", "Gather",
    "Graph", "Leaf", "Literal", "Node", "Op", "Opaque", "Ordering", "Product", "Random", "Reduction", "Region",
    "Scatter", "Tiled", "View", "bind_attr", "bind_sizes", "births", "constant", "dims", "item", "items", "known_value",
    "literal", "placeholder", "substitute", "toposort", "variable",
]  # fmt: skip
