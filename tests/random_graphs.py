"""Random programs over all operations, for comparing ways to run them.

What an operation takes is read off the op database, so that a new elementwise operation or reduction appears here on
its own. Choices come from outside: from a random generator, or from hypothesis, which then can shrink a program that
fails. Values are `exact` while only operations with one right result are behind them; where a rounding error could
jump (a comparison, floor, a cast to int) only exact values are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import (
    OPS,
    Elementwise,
    Graph,
    Literal,
    Node,
    Reduction,
    constant,
    items,
    literal,
    placeholder,
    variable,
)
from graphc.ir.types import BOOL, DTYPES, INT64, TensorType
from graphc.ops.control import cond, parameter, scan, while_loop
from graphc.ops.index import COMBINE
from tests.agreement import is_exact
from tests.ops.samples import SAMPLES

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

SIZES = (3, 1, 2, 4, 5, 7, 8, 9, 16, 17, 18, 31, 33, 40, 64, 65, 130)
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-40, 1e18, -2.5)
MOST_ELEMENTS = 6000
MOST_AXES = 4

ROUNDING = {"floor", "ceil", "trunc", "rint", "sign", "floor_divide", "remainder", "copysign", "nextafter", "cast"}
"""Operations, besides comparisons, that make much of a small difference."""


class Choices(Protocol):
    """Where decisions come from: a whole number between two others, the first the simplest."""

    def integer(self, low: int, high: int) -> int: ...


class RandomChoices:
    """Decisions at random, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)


@dataclass(frozen=True)
class Program:
    """A graph with values for its inputs and variables; `exact` are the nodes that have one right value."""

    graph: Graph
    inputs: tuple[Array, ...]
    variables: dict[Node, Array]
    exact: frozenset[Node]


def random_program(choices: Choices, most_steps: int = 40) -> Program:
    """Return a program of up to `most_steps` operations."""
    builder = _Builder(choices)
    for _ in range(choices.integer(1, 3)):
        builder.fresh(builder.shape(), builder.dtype())
    for _ in range(choices.integer(1, most_steps)):
        builder.step()
    updates = builder.updates()
    outputs = builder.outputs()
    graph = Graph(tuple(builder.inputs), tuple(outputs), tuple(updates), "random")
    rng = np.random.default_rng(choices.integer(0, 1000))
    edges = choices.integer(0, 2) == 2
    inputs = tuple([random_array(rng, n.tensor_type, edges) for n in builder.inputs])
    variables = {n: random_array(rng, n.tensor_type, edges) for n in builder.variables}
    return Program(graph, inputs, variables, frozenset(builder.exact))


def random_array(rng: np.random.Generator, type: TensorType, edges: bool) -> Array:
    """Return values of moderate size; with `edges`, a quarter of floats is special and ints are anything."""
    dtype, shape = type.dtype, type.shape
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind != "f":
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if edges else (0 if dtype.kind == "u" else -9, 9)
        return np.asarray(rng.integers(low, high, shape, dtype, endpoint=True))
    values = np.asarray(rng.uniform(-2, 2, shape), dtype)
    if not edges:
        return values
    with np.errstate(over="ignore"):
        special = rng.choice(np.array(EDGES).astype(dtype), size=shape)
    return np.asarray(np.where(rng.random(shape) < 0.25, special, values), dtype)


def _signatures() -> dict[str, list[tuple[DType, ...]]]:
    """Return the dtypes that each elementwise operation without attributes takes."""
    found: dict[str, list[tuple[DType, ...]]] = {}
    for op, samples in SAMPLES.items():
        if isinstance(OPS[op], Elementwise) and not samples[0].attrs:
            found[op] = list(dict.fromkeys([tuple([DTYPES[i.dtype] for i in s.inputs]) for s in samples]))
    return found


ELEMENTWISE = _signatures()
REDUCTIONS = {
    op: sorted({DTYPES[s.inputs[0].dtype] for s in listed}, key=str)
    for op, listed in SAMPLES.items()
    if isinstance(OPS[op], Reduction)
}


class _Builder:
    def __init__(self, choices: Choices, depth: int = 0, sizes: Sequence[int] = ()) -> None:
        self.choices = choices
        self.depth = depth
        self.inputs: list[Node] = []
        self.variables: list[Node] = []
        self.pool: list[Node] = []
        self.exact: set[Node] = set()
        self.sizes = sizes or [self.one_of(SIZES) for _ in range(3)]
        # Few dtypes in one program, or no two values would ever meet.
        names = ("f32", "f64", "i64", "i32", "bool", "u8", "i8", "i16", "u16", "u32", "u64")
        self.dtypes = [DTYPES["f32"], DTYPES[self.one_of(names)], DTYPES[self.one_of(names)]]
        self.steps: list[Callable[[], Node | None]] = [
            self.elementwise, self.elementwise, self.elementwise, self.elementwise, self.elementwise, self.with_number,
            self.choice, self.compare, self.cast, self.transpose, self.broadcast, self.broadcast, self.reshape,
            self.slice, self.embed, self.concat, self.constant, self.iota, self.reduction, self.reduction,
            self.reduction, self.contraction, self.contraction, self.softmax, self.check_index, self.size, self.scan,
            self.gather, self.scatter, self.cumulative, self.ordering, self.cond, self.while_loop, self.random_bits,
        ]  # fmt: skip

    # Choices.

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[self.choices.integer(0, len(values) - 1)]

    def chance(self, one_in: int) -> bool:
        return self.choices.integer(0, one_in - 1) == one_in - 1

    def shape(self) -> tuple[int, ...]:
        shape = tuple([self.one_of(self.sizes) for _ in range(self.choices.integer(0, 3))])
        return shape if math.prod(shape) <= MOST_ELEMENTS else shape[:1]

    def dtype(self) -> DType:
        return self.one_of(self.dtypes)

    def node(self, fits: Callable[[Node], bool] = lambda n: True) -> Node:
        """Return a node there is, a recent one more likely, or a new input."""
        fitting = [n for n in self.pool if fits(n)]
        if not fitting:
            dtype = next((d for d in (*self.dtypes, BOOL, INT64, *DTYPES.values()) if fits(_probe(d))), self.dtype())
            return self.fresh(self.shape() or (self.one_of(self.sizes),), dtype)
        recent = fitting[-4:]
        return self.one_of(recent[::-1]) if not self.chance(3) else self.one_of(fitting)

    def array(self, shape: tuple[int, ...], dtype: DType, exact: bool = False) -> Node:
        """Return a node of this type: one there is, a view of one, one cast, or a new input."""
        fitting = [n for n in self.pool if n.dtype == dtype and (not exact or n in self.exact)]
        same = [n for n in fitting if n.shape == shape]
        if same and not self.chance(4):
            return self.one_of(same[::-1])
        turned = [n for n in fitting if sorted(n.shape) == sorted(shape) and n.shape != shape]
        if turned and not self.chance(3):
            return self.turned(self.one_of(turned), shape)
        parts = [n for n in fitting if n.ndim < len(shape) and _subsequence(n.shape, shape) is not None]
        if parts and not self.chance(2):
            part = self.one_of(parts[::-1])
            return self.add(OPS["broadcast"](part, shape=shape, axes=_subsequence(part.shape, shape)))
        equal = [n for n in fitting if math.prod(n.shape) == math.prod(shape) and n.shape != shape]
        if equal and not self.chance(3):
            return self.add(OPS["reshape"](self.one_of(equal), shape=shape))
        return self.fresh(shape, dtype)

    def turned(self, node: Node, shape: tuple[int, ...]) -> Node:
        left, axes = list(range(node.ndim)), []
        for size in shape:
            axes.append(next(k for k in left if node.shape[k] == size))
            left.remove(axes[-1])
        return self.add(OPS["transpose"](node, axes=tuple(axes)))

    def partner(self, shape: tuple[int, ...], dtype: DType, exact: bool) -> Node:
        """Return what can meet an array of this shape: another one or a scalar."""
        return self.array(() if self.chance(4) else shape, dtype, exact)

    # Growing the pool.

    def add(self, node: Node) -> Node:
        self.pool.append(node)
        if is_exact(node) and all(i in self.exact for i in node.inputs):
            self.exact.add(node)
        return node

    def fresh(self, shape: tuple[int, ...], dtype: DType) -> Node:
        type = TensorType(dtype, shape)
        if self.depth:
            node = parameter(f"p{self.depth}_{len(self.inputs)}", type)
            self.inputs.append(node)
        elif self.chance(4):
            node = variable(name=f"w{len(self.variables)}", type=type, state=f"w{len(self.variables)}")
            self.variables.append(node)
        else:
            node = placeholder(name=f"x{len(self.inputs)}", type=type)
            self.inputs.append(node)
        self.exact.add(node)
        self.pool.append(node)
        return node

    def step(self) -> None:
        """Add an operation; where shapes do not go together, nothing."""
        try:
            node = self.one_of(self.steps)()
        except GraphcError:
            return
        if node is not None and node.tensor_type.size <= MOST_ELEMENTS and node.ndim <= MOST_AXES:
            self.add(node)

    def updates(self) -> list[tuple[Node, Node]]:
        """Return new values for some variables: computed ones, other variables, each other's."""
        pairs: list[tuple[Node, Node]] = []
        left = list(self.variables)
        while left:
            v = left.pop(0)
            twins = [w for w in left if w.type == v.type]
            if twins and self.chance(2):
                left.remove(twins[0])
                pairs += [(v, twins[0]), (twins[0], v)]
            elif not self.chance(3):
                same = [n for n in self.pool if n.type == v.type]
                pairs.append((v, self.one_of(same[::-1])))
        return pairs

    def outputs(self) -> list[Node]:
        """Return the last node, some of those that nothing reads, and some of any kind, perhaps again."""
        read = {i for n in self.pool for i in n.inputs}
        loose = [n for n in self.pool[::-1] if n not in read]
        found = [self.pool[-1], *loose[: self.choices.integer(0, 5)]]
        return found + [self.one_of(self.pool) for _ in range(self.choices.integer(0, 2))]

    # Elementwise.

    def elementwise(self) -> Node:
        op = self.one_of(("add", "mul", "sub", "div")) if self.chance(2) else self.one_of(sorted(ELEMENTWISE))
        here = [s for s in ELEMENTWISE[op] if any(n.dtype == s[-1] for n in self.pool)] or ELEMENTWISE[op]
        signature = self.one_of(here)
        exact = op in ROUNDING or (signature[-1].kind == "f" and OPS[op].infer(
            *[TensorType(d, ()) for d in signature]
        ).dtype.kind != "f")  # fmt: skip
        last = self.node(lambda n: n.dtype == signature[-1] and (not exact or n in self.exact))
        operands = [*[self.partner(last.shape, d, exact) for d in signature[:-1]], last]
        if op in ("left_shift", "right_shift"):
            bits = literal(8 * last.dtype.itemsize - 1, last.dtype)
            operands[-1] = OPS["bitwise_and"](last, bits)
        elif len(operands) == 2 and signature[0] == signature[1] and self.chance(2):
            operands.reverse()
        return OPS[op](*operands)

    def with_number(self) -> Node:
        x = self.node(lambda n: n.dtype.kind != "b")
        number = literal(self.one_of((1, 0, 2, 3, -1, 0.5) if x.dtype.kind != "u" else (1, 0, 2, 3)), x.dtype)
        pair = (x, number) if self.chance(2) else (number, x)
        return OPS[self.one_of(("add", "sub", "mul", "maximum", "minimum"))](*pair)

    def compare(self) -> Node:
        x = self.node(lambda n: n in self.exact)
        return OPS[self.one_of(("lt", "le", "gt", "ge", "eq", "ne"))](x, self.partner(x.shape, x.dtype, exact=True))

    def choice(self) -> Node:
        x = self.node()
        condition = self.array(x.shape if not self.chance(3) else (), BOOL)
        return OPS["where"](condition, x, self.partner(x.shape, x.dtype, exact=False))

    def cast(self) -> Node:
        x = self.node(lambda n: n in self.exact)
        target = self.one_of((*self.dtypes, *DTYPES.values()))
        if x.dtype.kind == "f" and target.kind in "iu":
            x = self.within(x, 0 if target.kind == "u" else -100, 100)
        return OPS["cast"](x, dtype=target)

    def within(self, x: Node, low: int, high: int) -> Node:
        """Return floats of this range, 0 in place of others: only they have a meaning as ints."""
        inside = OPS["bitwise_and"](OPS["ge"](x, float(low)), OPS["le"](x, float(high)))
        return OPS["where"](inside, x, literal(0, x.dtype))

    def check_index(self) -> Node:
        x = self.node(lambda n: n.dtype.kind in "iu" and n.dtype.itemsize > 1)
        size = self.one_of(self.sizes)
        return OPS["check_index"](OPS["remainder"](x, size), size=size, wrap=self.chance(2))

    # Reading and writing at positions that data give.

    def places(self, source: Node) -> tuple[list[Node], dict[str, Any]]:
        """Return index arrays into some axes of a node, and the attributes that go with them."""
        axes = [a for a in range(source.ndim) if self.chance(2)] or [self.choices.integer(0, source.ndim - 1)]
        rows = self.shape()[:2]
        wrap = self.chance(2)
        return [self.index(rows, source.shape[a], wrap) for a in axes], {"axes": tuple(axes), "wrap": wrap}

    def index(self, rows: tuple[int, ...], size: int, wrap: bool) -> Node:
        fitting = [k for k, extent in enumerate(rows) if extent <= size]
        if fitting and self.chance(4):
            return self.add(OPS["iota"](shape=rows, axis=self.one_of(fitting), dtype=INT64))
        if self.chance(4):
            rng = np.random.default_rng(self.choices.integer(0, 100))
            return self.add(constant(value=Literal(rng.integers(-size if wrap else 0, size, rows))))
        index = OPS["remainder"](self.array(rows, INT64), size)
        return self.add(OPS["sub"](index, size) if wrap and self.chance(2) else index)

    def gather(self) -> Node:
        x = self.node(lambda n: n.ndim > 0)
        indices, attrs = self.places(x)
        return OPS["gather"](x, *indices, **attrs)

    def scatter(self) -> Node | None:
        x = self.node(lambda n: n.ndim > 0)
        indices, attrs = self.places(x)
        shape = OPS["gather"](x, *indices, **attrs).shape
        combine = self.one_of([c for c, kinds in COMBINE.items() if x.dtype.kind in kinds])
        if math.prod(shape) > MOST_ELEMENTS or (combine == "mul" and math.prod(shape) > 16):
            return None
        return OPS["scatter"](x, self.array(shape, x.dtype), *indices, **attrs, combine=combine)

    def softmax(self) -> Node:
        """Return a chain in which rows are folded twice and met by what they were."""
        x = self.node(lambda n: n.dtype.kind == "f" and n.ndim > 0)
        axis = (self.choices.integer(0, x.ndim - 1),)
        kept = tuple([k for k in range(x.ndim) if k not in axis])
        high = OPS["broadcast"](OPS["max"](x, axis=axis), shape=x.shape, axes=kept)
        e = OPS["exp"](x - high)
        total = OPS["sum"](e, axis=axis)
        if self.chance(2):
            self.add(e)
        return e / OPS["broadcast"](total, shape=x.shape, axes=kept)

    # Views.

    def transpose(self) -> Node:
        x = self.node(lambda n: n.ndim > 1)
        order, left = [], list(range(x.ndim))
        while left:
            order.append(left.pop(self.choices.integer(0, len(left) - 1)))
        return OPS["transpose"](x, axes=tuple(order[::-1]))

    def broadcast(self) -> Node:
        x = self.node()
        shape, axes = list(x.shape), list(range(x.ndim))
        for _ in range(self.choices.integer(1, 2)):
            place = self.choices.integer(0, len(shape))
            shape.insert(place, self.one_of(self.sizes))
            axes = [a + (a >= place) for a in axes]
        return OPS["broadcast"](x, shape=tuple(shape), axes=tuple(axes))

    def reshape(self) -> Node:
        x = self.node()
        if self.chance(2):
            shape = [s for s in x.shape if s != 1]
            shape.insert(self.choices.integer(0, len(shape)), 1)
            return OPS["reshape"](x, shape=tuple(shape))
        count = math.prod(x.shape)
        rows = self.one_of([d for d in range(1, count + 1) if count % d == 0])
        return OPS["reshape"](x, shape=(count,) if rows == 1 else (rows, count // rows))

    def slice(self) -> Node:
        x = self.node(lambda n: n.ndim > 0)
        start, shape, step = [], [], []
        for size in x.shape:
            count = size - self.choices.integer(0, size - 1) if self.chance(2) else size
            most = (size - 1) // (count - 1) if count > 1 else 1
            stride = self.choices.integer(1, most)
            first = self.choices.integer(0, size - 1 - (count - 1) * stride)
            backwards = self.chance(4)
            start.append(first + (count - 1) * stride if backwards else first)
            step.append(-stride if backwards else stride)
            shape.append(count)
        return OPS["slice"](x, start=tuple(start), shape=tuple(shape), step=tuple(step))

    def embed(self) -> Node:
        x = self.node(lambda n: n.ndim > 0)
        step = tuple([self.one_of((1, 1, 2, -1, 3)) for _ in x.shape])
        start = tuple([self.choices.integer(0, 3) if k > 0 else s + 1 for s, k in zip(x.shape, step, strict=True)])
        shape = tuple([max(1, self.choices.integer(0, 4) + s * max(k, 1)) for s, k in zip(x.shape, step, strict=True)])
        return OPS["embed"](x, shape=shape, start=start, step=step, value=self.one_of((0, 1)))

    def concat(self) -> Node:
        x = self.node(lambda n: n.ndim > 0)
        axis = self.choices.integer(0, x.ndim - 1)
        others = [self.array(x.shape, x.dtype) for _ in range(self.choices.integer(0, 2))]
        return OPS["concat"](x, *others, axis=axis)

    # Other sources.

    def constant(self) -> Node:
        type = TensorType(self.dtype(), self.shape())
        rng = np.random.default_rng(self.choices.integer(0, 100))
        return constant(value=Literal(random_array(rng, type, self.chance(3))))

    def iota(self) -> Node:
        shape = (*self.shape()[:2], self.one_of([s for s in self.sizes if s < 100] or (5,)))
        return OPS["iota"](shape=shape, axis=self.choices.integer(0, len(shape) - 1), dtype=self.one_of(
            [d for d in self.dtypes if d != BOOL]
        ))  # fmt: skip

    def size(self) -> Node:
        return OPS["size"](value=self.one_of(self.sizes))

    def random_bits(self) -> Node:
        key = self.array((2,), DTYPES["u32"])
        return OPS["random_bits"](key, shape=self.shape(), dtype=DTYPES[self.one_of(("u32", "u64"))])

    # Reductions, contractions, loops.

    def reduction(self) -> Node:
        op = self.one_of(sorted(REDUCTIONS))
        x = self.node(lambda n: n.dtype in REDUCTIONS[op])
        axis = tuple([k for k in range(x.ndim) if self.chance(2)]) or tuple(range(x.ndim)[-1:])
        if self.chance(4):
            axis = tuple(range(x.ndim))
        if op == "prod" and math.prod([x.shape[k] for k in axis]) > 16:
            op = "sum"  # whether a long product overflows on its way depends on the order
        return OPS[op](x, axis=axis)

    def cumulative(self) -> Node:
        op = self.one_of(("cumsum", "cummax", "cummin", "cumprod", "recurrence"))
        x = self.node(lambda n: n.ndim > 0 and (n.dtype.kind != "b" or op in ("cummax", "cummin")))
        attrs = {"axis": self.choices.integer(0, x.ndim - 1), "reverse": self.chance(2)}
        if op in ("cumprod", "recurrence") and x.shape[attrs["axis"]] > 16:
            op = "cumsum"  # whether a long product overflows on its way depends on the order
        if op == "recurrence":
            return OPS[op](self.array(x.shape, x.dtype), x, **attrs)
        return OPS[op](x, **attrs)

    def ordering(self) -> Node:
        x = self.node(lambda n: n.ndim > 0 and n in self.exact)
        count = x.shape[-1] if not self.chance(3) else self.choices.integer(1, x.shape[-1])
        if self.chance(4):
            table = self.array((self.one_of(self.sizes),), x.dtype, exact=True)
            table = OPS["sort"](table, descending=False, count=table.shape[0])
            return OPS["searchsorted"](table, x, right=self.chance(2))
        return OPS[self.one_of(("sort", "argsort"))](x, descending=self.chance(2), count=count)

    def contraction(self) -> Node:
        """Contract a node with one that shares some of its axes and may have one of its own."""
        a = self.node(lambda n: n.dtype.kind != "b" and 0 < n.ndim <= 4)
        labels = "abcd"[: a.ndim]
        roles = [self.one_of(("summed", "row", "batch")) for _ in labels]
        summed = [c for c, r in zip(labels, roles, strict=True) if r == "summed"]
        batch = [c for c, r in zip(labels, roles, strict=True) if r == "batch"]
        sizes = dict(zip(labels, a.shape, strict=True))
        own = "n" * self.choices.integer(0, 1)
        sizes["n"] = self.one_of(self.sizes)
        right = self.shuffled([*batch, *summed, *own])
        out = self.shuffled([c for c in labels if c not in summed] + list(own))
        shape = tuple([sizes[c] for c in right])
        if math.prod(shape) > MOST_ELEMENTS:
            return a
        b = self.array(shape, a.dtype)
        if self.chance(3):
            return OPS["contract"](b, a, spec=f"{right},{labels}->{out}")
        return OPS["contract"](a, b, spec=f"{labels},{right}->{out}")

    def shuffled(self, labels: Sequence[str]) -> str:
        left, order = list(labels), ""
        while left:
            order += left.pop(self.choices.integer(0, len(left) - 1))
        return order

    def scan(self) -> Node | None:
        """Run a random body over the rows of some node, with what it needs besides as constants."""
        if self.depth == 2:
            return None
        xs = [self.node(lambda n: n.ndim > 0 and n.shape[0] <= 9)] if not self.chance(4) else []
        if xs and not (xs[0].ndim and xs[0].shape[0] <= 9):
            return None
        length = xs[0].shape[0] if xs else self.choices.integer(1, 4)
        carried = [self.node() for _ in range(self.choices.integer(0, 2))]
        inner = _Builder(self.choices, self.depth + 1, self.sizes)
        inner.dtypes = self.dtypes
        carries = [inner.fresh(c.shape, c.dtype) for c in carried]
        slices = [inner.fresh(x.shape[1:], x.dtype) for x in xs]
        for node, param in zip([*carried, *xs], [*carries, *slices], strict=True):
            if node not in self.exact:
                inner.exact.discard(param)
        if not inner.pool:
            inner.fresh((), self.dtype())
        for _ in range(self.choices.integer(1, 5)):
            inner.step()
        new = [inner.one_of([n for n in inner.pool if n.type == c.type][::-1]) for c in carries]
        # A carry is exact only if it stays so: what the body makes of it may feed a comparison in the next step.
        if any(c in inner.exact and n not in inner.exact for c, n in zip(carries, new, strict=True)):
            new = carries
        ys = [inner.node() for _ in range(inner.choices.integer(0 if new else 1, 2))]
        parameters = [*carries, *slices, *[p for p in inner.inputs if p not in (*carries, *slices)]]
        constants = [self.array(p.shape, p.dtype, exact=True) for p in parameters[len(carries) + len(slices) :]]
        body = Graph(tuple(parameters), (*new, *ys), name="body")
        if any(o.tensor_type.size * length > MOST_ELEMENTS for o in ys):
            return None
        loop = scan(body, carried, xs, constants, length, reverse=self.chance(2))
        self.exact |= inner.exact
        results = items(loop)
        for result, inside in zip(results, [*new, *ys, *carries], strict=True):
            if result.ndim <= MOST_AXES:
                self.pool.append(result)
                sources = [*carried, *xs, *constants]
                if inside in inner.exact and all(s in self.exact for s in sources):
                    self.exact.add(result)
        return None

    def inside(self, carried: Sequence[Node]) -> tuple[_Builder, list[Node]]:
        """Return a builder of a body with parameters for these nodes, and the parameters."""
        inner = _Builder(self.choices, self.depth + 1, self.sizes)
        inner.dtypes = self.dtypes
        params = [inner.fresh(c.shape, c.dtype) for c in carried]
        inner.exact -= {p for c, p in zip(carried, params, strict=True) if c not in self.exact}
        if not inner.pool:
            inner.fresh((), self.dtype())
        for _ in range(self.choices.integer(1, 4)):
            inner.step()
        return inner, params

    def cond(self) -> Node | None:
        """Let a bool choose between random bodies on some nodes."""
        if self.depth == 2:
            return None
        pred = self.array((), BOOL, exact=True)
        if pred not in self.exact:
            return None
        given = [self.node() for _ in range(self.choices.integer(1, 2))]
        (one, params), (other, others) = self.inside(given), self.inside(given)
        results = [one.node() for _ in range(self.choices.integer(1, 2))]
        alike = [other.array(r.shape, r.dtype) for r in results]
        extras = [p for p in one.inputs if p not in params]
        other_extras = [p for p in other.inputs if p not in others]
        operands = [*given, *[self.array(p.shape, p.dtype, exact=True) for p in (*extras, *other_extras)]]
        fill = [parameter(f"q{k}", p.tensor_type) for k, p in enumerate(extras)]
        on_true = Graph((*params, *extras, *[parameter("r", p.tensor_type) for p in other_extras]), tuple(results))
        on_false = Graph((*others, *fill, *other_extras), tuple(alike))
        found = cond(pred, on_true, on_false, operands)
        for result, a, b in zip(found, results, alike, strict=True):
            self.pool.append(result)
            if a in one.exact and b in other.exact and all(o in self.exact for o in operands):
                self.exact.add(result)
        return None

    def while_loop(self) -> Node | None:
        """Run a random body a few times, as a counter says that starts somewhere."""
        if self.depth == 2:
            return None
        start = self.array((), INT64, exact=True)
        if start not in self.exact:
            return None
        start = OPS["remainder"](start, literal(4, INT64))
        carried = [self.node() for _ in range(self.choices.integer(0, 2))]
        inner, carries = self.inside(carried)
        counter = parameter("counter", start.tensor_type)
        new = [inner.one_of([n for n in inner.pool if n.type == c.type][::-1]) for c in carries]
        if any(c in inner.exact and n not in inner.exact for c, n in zip(carries, new, strict=True)):
            new = carries
        extras = [p for p in inner.inputs if p not in carries]
        constants = [self.array(p.shape, p.dtype, exact=True) for p in extras]
        params = (counter, *carries, *extras)
        test = Graph(params, (OPS["lt"](counter, literal(self.choices.integer(0, 4), INT64)),), name="test")
        body = Graph(params, (OPS["add"](counter, literal(1, INT64)), *new), name="body")
        loop = while_loop(test, body, [start, *carried], constants, self.one_of((4, 9)))
        exact = all(s in self.exact for s in (*carried, *constants))
        for k, result in enumerate(items(loop)):
            self.pool.append(result)
            is_counted = k in (0, len(carried) + 1)
            if is_counted or (exact and new[k - 1] in inner.exact):
                self.exact.add(result)
        return None


def _probe(dtype: DType) -> Node:
    return placeholder(name="probe", type=TensorType(dtype, (1,)))


def _subsequence(part: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return axes of `shape` with the sizes of `part`, in order."""
    axes: list[int] = []
    for k, size in enumerate(shape):
        if len(axes) < len(part) and size == part[len(axes)]:
            axes.append(k)
    return tuple(axes) if len(axes) == len(part) else None
