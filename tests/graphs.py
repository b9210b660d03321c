"""Random graphs for tests: every kind of operation, on shapes with axes of size 1 and sometimes 0, from a seed.

With `exact`, a graph has only operations whose result does not depend on the order of evaluation, so that two
evaluations agree bit for bit; without, it has sums, contractions and scans, but nothing that magnifies rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import OPS, Graph, Literal, Node, constant, items, literal, placeholder, variable
from graphc.ir.types import Shape, TensorType
from graphc.ops.control import parameter, scan
from graphc.ops.index import COMBINE

F32, F64, I32, I64, U8, BOOL = (np.dtype(n) for n in ("f4", "f8", "i4", "i8", "u1", "?"))
EDGES = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, np.inf, -np.inf, np.nan, 1e-40, 1e38, 3.7)


def random_graph(seed: int, exact: bool = True, size: int = 16, symbolic: bool = False) -> Graph:
    """Return a graph of about `size` operations; with `symbolic`, some sizes are n and m."""
    return _Builder(np.random.default_rng(seed), exact, symbolic).graph(size)


def feeds(graph: Graph, seed: int = 0, edges: bool = False) -> tuple[list[np.ndarray], dict[Node, np.ndarray]]:
    """Return random values for the inputs and the variables of a graph, with `edges` also special floats."""
    rng = np.random.default_rng(seed)
    inputs = [random_array(rng, n.tensor_type, edges) for n in graph.inputs]
    return inputs, {n: random_array(rng, n.tensor_type, edges) for n in graph.variables}


def random_array(rng: np.random.Generator, type: TensorType, edges: bool = False) -> np.ndarray:
    """Return a random array; with `edges`, a third of a float array is special values."""
    if type.dtype.kind == "b":
        return rng.random(type.shape) < 0.5
    if type.dtype.kind != "f":
        return rng.integers(0 if type.dtype.kind == "u" else -5, 6, type.shape).astype(type.dtype)
    array = np.asarray(rng.normal(size=type.shape)).astype(type.dtype)
    if edges:
        with np.errstate(over="ignore"):
            special = rng.choice(np.array(EDGES).astype(type.dtype), size=type.shape)
        array = np.where(rng.random(type.shape) < 1 / 3, special, array)
    return np.asarray(array, type.dtype)


class _Builder:
    def __init__(self, rng: np.random.Generator, exact: bool, symbolic: bool) -> None:
        self.rng = rng
        self.exact = exact
        self.symbolic = symbolic
        self.inputs: list[Node] = []
        self.variables: list[Node] = []
        self.pool: list[Node] = []
        self.sizes: tuple[Size, ...] = (0, 1, 2, 3) if exact and rng.random() < 0.2 else (1, 1, 2, 3, 4)
        if symbolic:
            self.sizes = (1, 3, Dim.symbol("n"), Dim.symbol("m"))
        self.dtypes = (F32, F64, I32, I64, U8, BOOL) if exact else (F64,)

    def graph(self, size: int) -> Graph:
        for _ in range(3):
            self.fresh(self.shape(), self.one_of(self.dtypes))
        steps: list[Callable[[], object]] = [
            self.unary, self.binary, self.binary, self.binary, self.with_number, self.with_number, self.choice,
            self.compare, self.cast, self.transpose, self.broadcast, self.broadcast, self.ones, self.concat,
            self.extreme, self.repeat, self.iota, self.gather, self.scatter,
        ]  # fmt: skip
        if not self.symbolic:
            steps += [self.reshape, self.slice, self.embed, self.constant, self.pieces]
        if not self.exact:
            steps += [self.sum, self.sum, self.contract, self.contract, self.contract, self.scan]
        for _ in range(size):
            try:
                self.one_of(steps)()
            except GraphcError:
                continue  # shapes that do not go together
        read = {source for node in self.pool for source in node.inputs}
        results = [n for n in self.pool if n not in read] + [self.node() for _ in range(2)]
        variables = [(v, self.like(v)) for v in self.variables[:1]]
        return Graph(tuple(self.inputs), tuple(results), tuple(variables))

    # Choices.

    def one_of(self, values: Sequence):
        return values[int(self.rng.integers(len(values)))]

    def shape(self) -> Shape:
        return tuple(self.one_of(self.sizes) for _ in range(int(self.rng.integers(4))))

    def node(self, kinds: str = "fiub") -> Node:
        fitting = [n for n in self.pool if n.dtype.kind in kinds]
        if fitting and self.rng.random() < 0.4:
            return fitting[-1]  # so that chains of operations arise
        return self.one_of(fitting) if fitting else self.fresh(self.shape(), {"b": BOOL, "i": I64}.get(kinds[0], F64))

    def like(self, node: Node) -> Node:
        """Return a node of this type: one there is, a scalar repeated, or a new input."""
        same = [n for n in self.pool if n.type == node.type and n is not node]
        if same and self.rng.random() < 0.8:
            return self.one_of(same)
        return self.array(node.shape, node.dtype)

    def partner(self, node: Node) -> Node:
        """Return a node that an elementwise op can combine with `node`."""
        scalars = [n for n in self.pool if not n.shape and n.dtype == node.dtype]
        return self.one_of(scalars) if scalars and self.rng.random() < 0.3 else self.like(node)

    def add(self, node: Node) -> Node:
        self.pool.append(node)
        return node

    def fresh(self, shape: Shape, dtype: np.dtype) -> Node:
        type = TensorType(dtype, shape)
        if type.is_static and self.rng.random() < 0.2:
            node = variable(name=f"w{len(self.variables)}", type=type, state=object())
            self.variables.append(node)
        else:
            node = placeholder(name=f"x{len(self.inputs)}", type=type)
            self.inputs.append(node)
        return self.add(node)

    def array(self, shape: Shape, dtype: np.dtype) -> Node:
        """Return an array that is new, or repeats, or is turned."""
        kind = self.rng.random()
        if kind < 0.4 or not shape:
            return self.fresh(shape, dtype)
        if kind < 0.5:
            return OPS["broadcast"](literal(self.one_of((0, 1, 2)), dtype), shape=shape, axes=())
        if kind < 0.8:
            axes = tuple(k for k in range(len(shape)) if self.rng.random() < 0.5)
            source = self.array(tuple(shape[k] for k in axes), dtype)
            return OPS["broadcast"](source, shape=shape, axes=axes)
        axes = tuple(int(k) for k in self.rng.permutation(len(shape)))
        return OPS["transpose"](self.array(tuple(shape[axes.index(k)] for k in range(len(shape))), dtype), axes=axes)

    # Elementwise.

    def unary(self) -> None:
        x = self.node()
        names = {
            "f": ["neg", "abs", "relu", "floor", "rint", "sqrt", "stop_gradient", "sign", "neg"],
            "b": ["bitwise_not"],
        }
        smooth = ["neg", "tanh", "sigmoid", "stop_gradient", "sin"]
        integer = ["neg", "bitwise_not", "stop_gradient", "abs"]
        choices = names.get(x.dtype.kind, integer) if self.exact else smooth
        self.add(OPS[self.one_of(choices)](x))

    def binary(self) -> None:
        x = self.node()
        names = {
            # Which zero maximum returns for 0 and -0 is not specified.
            "f": ["add", "sub", "mul", "div"] if self.exact else ["add", "sub", "mul", "maximum"],
            "b": ["bitwise_and", "bitwise_or", "bitwise_xor", "maximum"],
        }.get(x.dtype.kind, ["add", "sub", "mul", "bitwise_and", "bitwise_xor", "floor_divide", "remainder", "minimum"])
        y = x if self.rng.random() < 0.1 else self.partner(x)
        pair = (x, y) if self.rng.random() < 0.5 else (y, x)
        self.add(OPS[self.one_of(names)](*pair))

    def with_number(self) -> None:
        x = self.node()
        if x.dtype.kind == "b":
            return self.binary()
        number = self.one_of((0, 1, 2, 3) if x.dtype.kind == "u" else (0, 1, -1, 2, 3))
        if x.dtype.kind == "f" and self.exact:
            number = self.one_of(EDGES)
        y = literal(number, x.dtype)
        if x.shape and self.rng.random() < 0.3:
            y = OPS["broadcast"](y, shape=x.shape, axes=())
        pair = (x, y) if self.rng.random() < 0.7 else (y, x)
        names = ["add", "sub", "mul"]
        if x.dtype.kind == "f" and (self.exact or number):
            names += ["div"] if self.exact or pair[1] is y else []
        self.add(OPS[self.one_of(names)](*pair))
        return None

    def choice(self) -> None:
        x = self.node()
        shape = () if self.rng.random() < 0.3 else x.shape
        condition = self.like(literal(False, BOOL) if not shape else self.array(shape, BOOL))
        self.add(OPS["where"](condition, x, self.partner(x)))

    def compare(self) -> None:
        x = self.node() if self.exact else self.one_of(self.inputs or [self.node()])
        y = self.partner(x) if self.exact else literal(0.5, x.dtype)
        self.add(OPS[self.one_of(["lt", "le", "gt", "ge", "eq", "ne"])](x, y))

    def cast(self) -> None:
        x = self.node()
        if x.dtype.kind != "f":  # a float out of range has no defined integer
            self.add(OPS["cast"](x, dtype=self.one_of(self.dtypes)))
        elif self.exact:
            self.add(OPS["cast"](x, dtype=self.one_of((F32, F64, BOOL))))

    # Views.

    def transpose(self) -> None:
        x = self.node()
        self.add(OPS["transpose"](x, axes=tuple(int(k) for k in self.rng.permutation(x.ndim))))

    def broadcast(self) -> None:
        x = self.node()
        shape, axes = list(x.shape), list(range(x.ndim))
        for _ in range(int(self.rng.integers(1, 3))):
            place = int(self.rng.integers(len(shape) + 1))
            shape.insert(place, self.one_of(self.sizes))
            axes = [a + (a >= place) for a in axes]
        if len(shape) <= 4:
            self.add(OPS["broadcast"](x, shape=tuple(shape), axes=tuple(axes)))

    def ones(self) -> None:
        x = self.node()
        shape = [s for s in x.shape if s != 1 or self.rng.random() < 0.5]
        for _ in range(int(self.rng.integers(3))):
            shape.insert(int(self.rng.integers(len(shape) + 1)), 1)
        if len(shape) <= 4:
            self.add(OPS["reshape"](x, shape=tuple(shape)))

    def reshape(self) -> None:
        x = self.node()
        count = int(np.prod(x.shape))
        divisors = [d for d in range(1, count + 1) if count % d == 0] or [0]
        rows = self.one_of(divisors)
        self.add(OPS["reshape"](x, shape=(rows, count // rows) if rows else (0,)))

    def slice(self) -> None:
        x = self.node()
        start, shape, step = [], [], []
        for size in x.shape:
            count = int(self.rng.integers(0 if 0 in self.sizes else 1, size + 1)) if size else 0
            stride = int(self.rng.integers(1, (size - 1) // (count - 1) + 1)) if count > 1 else 1
            first = int(self.rng.integers(size - (count - 1) * stride)) if count else 0
            backwards = count > 0 and self.rng.random() < 0.3
            start.append(first + (count - 1) * stride if backwards else first)
            step.append(-stride if backwards else stride)
            shape.append(count)
        self.add(OPS["slice"](x, start=tuple(start), shape=tuple(shape), step=tuple(step)))

    def embed(self) -> None:
        x = self.node()
        step = tuple(int(self.one_of((1, 1, 2))) for _ in x.shape)
        start = tuple(int(self.one_of((0, 0, 1))) for _ in x.shape)
        shape = tuple(a + (n - 1) * k + 1 if n else a for a, n, k in zip(start, x.shape, step, strict=True))
        y = self.add(OPS["embed"](x, shape=shape, start=start, step=step, value=self.one_of((0, 1))))
        if self.rng.random() < 0.5:
            self.add(OPS["slice"](y, start=start, shape=x.shape, step=step))

    def concat(self) -> None:
        x = self.node()
        if x.ndim:
            axis = int(self.rng.integers(x.ndim))
            y = self.add(OPS["concat"](x, self.like(x), axis=axis))
            start = tuple(x.shape[axis] if k == axis else 0 for k in range(x.ndim))
            self.add(OPS["slice"](y, start=start, shape=x.shape, step=(1,) * x.ndim))

    def pieces(self) -> None:
        """Cut an array in two; put the pieces side by side again, also as a sum of padded ones, and reduce that."""
        x = self.node()
        if not x.ndim:
            return
        axis = int(self.rng.integers(x.ndim))
        at = int(self.rng.integers(x.shape[axis] + 1))
        parts, padded = [], []
        for begin, count in ((0, at), (at, x.shape[axis] - at)):
            start = tuple(begin if k == axis else 0 for k in range(x.ndim))
            shape = tuple(count if k == axis else s for k, s in enumerate(x.shape))
            ones = (1,) * x.ndim
            parts.append(OPS["slice"](x, start=start, shape=shape, step=ones))
            if self.rng.random() < 0.5:
                parts[-1] = OPS["neg"](parts[-1]) if x.dtype.kind != "b" else parts[-1]
            padded.append(OPS["embed"](parts[-1], shape=x.shape, start=start, step=ones, value=0))
        joined = self.add(OPS["concat"](*parts, axis=axis))
        if x.dtype.kind != "b":
            self.add(OPS["add"](*(padded if self.rng.random() < 0.5 else padded[::-1])))
        if x.dtype.kind in "iu" or not self.exact:
            self.add(OPS["sum"](self.one_of([joined, padded[0]]), axis=(axis,)))

    # Other sources.

    def constant(self) -> None:
        type = TensorType(self.one_of(self.dtypes), self.shape())
        array = random_array(self.rng, type, edges=self.exact)
        if self.rng.random() < 0.5 and array.size:
            array = np.full(type.shape, array.flat[0])
        self.add(constant(value=Literal(array)))

    def iota(self) -> None:
        shape = (*self.shape()[:2], 3)
        self.add(OPS["iota"](shape=shape, axis=len(shape) - 1, dtype=self.one_of(self.dtypes[-2:-1] or (F64,))))

    def repeat(self) -> None:
        """Build some node a second time, with commutative operands the other way round."""
        nodes = [n for n in self.pool if n.inputs]
        if nodes:
            node = self.one_of(nodes)
            turned = node.inputs[::-1] if getattr(node.op, "commutative", False) else node.inputs
            self.add(node.op(*turned, **node.attrs))

    # Reading and writing at positions that data give.

    def places(self, source: Node) -> tuple[list[Node], dict]:
        """Return index arrays into some axes of a node, and the attributes that go with them."""
        axes = tuple(k for k in range(source.ndim) if self.rng.random() < 0.5) or (0,)
        rows = self.shape()[:2]
        return [self.index(rows, source.shape[a]) for a in axes], {"axes": axes, "wrap": bool(self.rng.random() < 0.5)}

    def index(self, rows: Shape, size: Size) -> Node:
        """Return indices in range: of an axis, a number, constants, or computed ones."""
        kind = self.rng.random()
        known = size if isinstance(size, int) else 1
        if kind < 0.2 and size in rows:
            return self.add(OPS["iota"](shape=rows, axis=rows.index(size), dtype=I64))
        if kind < 0.4:
            number = literal(int(self.rng.integers(max(known, 1))), I32)
            return OPS["broadcast"](number, shape=rows, axes=()) if rows else number
        if kind < 0.6 and all(isinstance(s, int) for s in rows):
            return self.add(constant(value=Literal(self.rng.integers(0, max(known, 1), rows))))
        return self.add(OPS["remainder"](self.array(rows, I64), max(known, 1)))

    def gather(self) -> None:
        x = self.node()
        if x.ndim and 0 not in x.shape:
            indices, attrs = self.places(x)
            self.add(OPS["gather"](x, *indices, **attrs))

    def scatter(self) -> None:
        x = self.node()
        if not x.ndim or 0 in x.shape:
            return
        indices, attrs = self.places(x)
        updates = self.array(OPS["gather"](x, *indices, **attrs).shape, x.dtype)
        combine = self.one_of([c for c, kinds in COMBINE.items() if x.dtype.kind in kinds])
        self.add(OPS["scatter"](x, updates, *indices, **attrs, combine=combine))

    # Reductions, contractions, loops.

    def axis(self, x: Node) -> tuple[int, ...]:
        return tuple(k for k in range(x.ndim) if self.rng.random() < 0.5)

    def extreme(self) -> None:
        x = self.node("iub" if self.exact else "fiub")
        names = ["any", "all"] if x.dtype.kind == "b" else ["max", "min"]
        self.add(OPS[self.one_of(names)](x, axis=self.axis(x)))

    def sum(self) -> None:
        x = self.node("f")
        self.add(OPS["sum"](x, axis=self.axis(x)))

    def contract(self) -> None:
        size = {"b": 2, "m": self.one_of(self.sizes), "n": 4, "k": self.one_of(self.sizes), "l": 1}
        parts: list[list[str]] = [[], [], []]
        for label in size:
            places = self.one_of([(0, 1, 2), (0, 2), (1, 2), (0, 1), ()])
            for place in places:
                parts[place].append(label)
        a, b, out = ["".join(self.rng.permutation(p)) if p else "" for p in parts]
        operands = [self.array(tuple(size[c] for c in part), F64) for part in (a, b)]
        node = self.add(OPS["contract"](*operands, spec=f"{a},{b}->{out}"))
        if out and self.rng.random() < 0.5:
            self.add(OPS["transpose"](node, axes=tuple(int(k) for k in self.rng.permutation(len(out)))))

    def scan(self) -> None:
        """A loop some of whose carries, slices, constants and results are of no use."""
        length = int(self.rng.integers(0, 4))
        scalar, row = TensorType(F64, ()), TensorType(F64, (3,))
        a, fixed, lost = parameter("a", scalar), parameter("fixed", row), parameter("lost", row)
        x, spare, c, number = parameter("x", row), parameter("spare", row), parameter("c", row), parameter("n", scalar)
        new = OPS["tanh"](a + OPS["sum"](x * c, axis=(0,)) * 0.1)
        body = Graph(
            (a, fixed, lost, x, spare, c, number),
            (new, fixed, lost * 0.5, x * new + fixed, OPS["tanh"](spare), x * number, fixed + c),
        )
        rows = TensorType(F64, (length, 3))
        init = [self.array((), F64), self.array((3,), F64), self.array((3,), F64)]
        xs = [self.array(rows.shape, F64), self.array(rows.shape, F64)]
        node = scan(body, init, xs, [self.array((3,), F64), literal(0.5, F64)], length, self.rng.random() < 0.5)
        for result in items(node):
            if self.rng.random() < 0.3:
                self.add(result)
