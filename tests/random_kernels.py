"""Random kernels of the loop IR, for comparing machine code with the interpreter.

Every kernel has one meaning: what is folded in any order consists of numbers whose sums and products are exact, no two
iterations of a loop write one element, and an int is never made of a float that it cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.loops import (
    CHOICES,
    COMPARISONS,
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Check,
    Const,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Load,
    LoopKind,
    Space,
    Stmt,
    Store,
    Var,
    add,
    apply,
    block,
    const,
    linear,
    mul,
)
from graphc.ir.types import BOOL, DTYPES, INT64, TensorType
from tests.random_graphs import Choices

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

F32, F64 = DTYPES["f32"], DTYPES["f64"]
EXTENTS = (3, 1, 2, 4, 5, 7, 8, 9, 15, 16, 17, 18, 33, 40, 70, 130, 300)
MOST_ITERATIONS = 320
EDGES = (0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-40, 3e38, -2.5)
FUNCTIONS = ("exp", "tanh", "log1p", "sigmoid")


@dataclass(frozen=True)
class Case:
    """A kernel with arrays for its parameters. The same array twice is the same memory."""

    kernel: Kernel
    arrays: tuple[Array, ...]


def random_kernel(choices: Choices) -> Case:
    """Return a kernel of one or two loop nests, each a map, a fold, a register tile or one with checks."""
    builder = _Builder(choices)
    nests = [
        builder.map_nest, builder.fold_nest, builder.tile_nest, builder.column_nest, builder.row_nest, builder.turn_nest
    ]  # fmt: skip
    body = [builder.one_of(nests)() for _ in range(choices.integer(1, 2))]
    if builder.chance(5):
        body.append(builder.checked_nest())
    params = tuple(builder.arrays)
    return Case(Kernel("random", params, block(*body)), tuple([builder.arrays[b] for b in params]))


@dataclass(frozen=True)
class _Axis:
    var: Var
    extent: int


class _Builder:
    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.rng = np.random.default_rng(choices.integer(0, 1000))
        self.arrays: dict[Buffer, Array] = {}
        self.written: set[Buffer] = set()
        names = ("f32", "f64", "i64", "i32", "u8", "i16", "u32")
        self.dtypes = [DTYPES[self.one_of(names)], DTYPES[self.one_of(names)]]
        self.lets: list[Var] = []

    # Choices.

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[self.choices.integer(0, len(values) - 1)]

    def chance(self, one_in: int) -> bool:
        return self.choices.integer(0, one_in - 1) == one_in - 1

    def dtype(self) -> DType:
        return self.one_of(self.dtypes)

    def axes(self, most: int, budget: int = MOST_ITERATIONS) -> list[_Axis]:
        found = []
        for k in range(self.choices.integer(1, most)):
            extent = self.one_of([e for e in EXTENTS if e <= budget])
            budget //= extent
            found.append(_Axis(Var(f"i{k}"), extent))
        return found

    # Memory.

    def parameter(self, array: Array) -> Buffer:
        buffer = Buffer(f"p{len(self.arrays)}", TensorType(array.dtype, array.shape))
        self.arrays[buffer] = array
        return buffer

    def data(self, shape: tuple[int, ...], dtype: DType, kind: str = "") -> Array:
        """Return numbers whose sums are exact, with `kind` "factors" whose products are, or "edges"."""
        if dtype.kind == "b":
            return self.rng.random(shape) < 0.5
        if dtype.kind != "f":
            low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if kind == "edges" else (0, 9)
            return self.rng.integers(low, high, shape, dtype, endpoint=True)
        if kind == "factors":
            return self.rng.choice(np.array([1, -1, 2, 0.5], dtype), shape)
        if kind == "edges":
            return self.rng.choice(np.array(EDGES).astype(dtype), shape)
        return (self.rng.integers(-31, 32, shape) / 4).astype(dtype)

    def load(self, axes: Sequence[_Axis], dtype: DType, kind: str = "") -> Load:
        """Return an element of an input at an affine index of some axes: in order, strided, reversed, or repeated."""
        offset, size, terms = 0, 1, []
        for axis in self.shuffled(axes):
            if self.chance(4):
                continue
            stride = size * self.one_of((1, 1, 1, 2, 3))
            size = stride * axis.extent
            if self.chance(5):
                offset += stride * (axis.extent - 1)
                stride = -stride
            terms.append((axis.var, stride))
        if axes and self.chance(8):
            axis = self.one_of(axes)
            divisor = self.one_of((2, 3, 7))
            part = Apply(self.one_of(("quot", "rem")), (axis.var, Const(divisor)), INT64)
            return Load(self.parameter(self.data((max(divisor, axis.extent),), dtype, kind)), (part,))
        if axes and self.chance(8):
            return self.looked_up(axes, dtype, kind)
        if len(terms) == 2 and self.chance(4):
            shape = tuple([a.extent for a in axes[:2]])
            return Load(self.parameter(self.data(shape, dtype, kind)), tuple([a.var for a in axes[:2]]))
        index = linear(terms, offset)
        if self.chance(5):
            return self.masked(index, size, dtype, kind)
        return Load(self.parameter(self.data((size,), dtype, kind)), (index,))

    def looked_up(self, axes: Sequence[_Axis], dtype: DType, kind: str) -> Load:
        """Return a load whose index is read from an array, perhaps with the last axis added: a row of a table."""
        rows, columns = self.choices.integer(1, 9), axes[-1].extent if self.chance(2) else 1
        axis = axes[0] if columns > 1 else self.one_of(axes)
        numbers = self.parameter(self.rng.integers(0, rows, axis.extent))
        index = mul(Load(numbers, (axis.var,)), Const(columns))
        if columns > 1:
            index = add(index, axes[-1].var)
        return Load(self.parameter(self.data((rows * columns,), dtype, kind)), (index,))

    def masked(self, index: Expr, size: int, dtype: DType, kind: str) -> Load:
        """Return a load whose index, moved, may lie outside of a smaller array."""
        moved = add(index, Const(self.choices.integer(-2, 2)))
        extent = max(1, size - self.choices.integer(0, 2))
        inside = apply("and", apply("ge", moved, Const(0)), apply("lt", moved, Const(extent)))
        fill = const(self.one_of((1, 0, 2)), dtype)
        return Load(self.parameter(self.data((extent,), dtype, kind)), (moved,), inside, fill)

    def shuffled(self, axes: Sequence[_Axis]) -> list[_Axis]:
        left, order = list(axes), []
        while left:
            order.append(left.pop(0 if self.chance(4) else -1))
        return order

    def output(self, axes: Sequence[_Axis], dtype: DType) -> tuple[Buffer, tuple[Expr, ...]]:
        """Return an array to write, and an index into it that differs in every iteration."""
        size, offset, terms = 1, 0, []
        for axis in self.shuffled(axes):
            stride = size * (2 if self.chance(6) else 1)
            size = stride * axis.extent
            if self.chance(6):
                offset += stride * (axis.extent - 1)
                stride = -stride
            terms.append((axis.var, stride))
        buffer = self.parameter(self.data((size,), dtype))
        self.written.add(buffer)
        return buffer, (linear(terms, offset),)

    # Expressions.

    def expr(self, axes: Sequence[_Axis], dtype: DType, depth: int) -> Expr:
        if dtype == BOOL:
            return self.truth(axes, depth)
        lets = [v for v in self.lets if v.dtype == dtype]
        if depth == 0 or self.chance(4):
            if lets and not self.chance(2):
                return self.one_of(lets)
            return self.leaf(axes, dtype)
        if self.chance(5):
            choice = self.one_of(CHOICES)
            return apply(choice, self.truth(axes, depth - 1), *[self.expr(axes, dtype, depth - 1) for _ in "ab"])
        if self.chance(5):
            return self.cast(axes, dtype, depth - 1)
        return self.floats(axes, dtype, depth - 1) if dtype.kind == "f" else self.integers(axes, dtype, depth - 1)

    def leaf(self, axes: Sequence[_Axis], dtype: DType) -> Expr:
        if self.chance(5):
            return const(self.one_of((1, 2, 0, 3)), dtype)
        if axes and self.chance(5):
            var = self.one_of(axes).var
            return var if dtype == INT64 else Apply("cast", (var,), dtype)
        return self.load(axes, dtype, "edges" if self.chance(4) else "")

    def cast(self, axes: Sequence[_Axis], dtype: DType, depth: int) -> Expr:
        source = self.one_of((BOOL, *self.dtypes))
        if source.kind == "f" and dtype.kind != "f":
            return Apply("cast", (apply("abs", self.load(axes, source)),), dtype)
        value = self.expr(axes, source, depth)
        return value if source == dtype else Apply("cast", (value,), dtype)

    def floats(self, axes: Sequence[_Axis], dtype: DType, depth: int) -> Expr:
        x = self.expr(axes, dtype, depth)
        binary = ("add", "mul", "sub", "min", "max")
        unary = ("neg", "abs", "floor", "ceil", "trunc", "rint", "sqrt")
        kind = self.choices.integer(0, 7)
        if kind < 4:
            return apply(self.one_of(binary), x, self.expr(axes, dtype, depth))
        if kind == 4:
            return apply(self.one_of(unary), x)
        if kind == 5:
            # Never 0: which of 0 and -0 a minimum is, is open.
            return apply("div", x, apply("add", apply("abs", self.expr(axes, dtype, 0)), const(1, dtype)))
        if kind == 6:
            return apply("fma", x, self.expr(axes, dtype, 0), self.expr(axes, dtype, 0))
        return apply(self.one_of(FUNCTIONS), x) if self.chance(3) else apply("copysign", x, self.load(axes, dtype))

    def integers(self, axes: Sequence[_Axis], dtype: DType, depth: int) -> Expr:
        x = self.expr(axes, dtype, depth)
        kind = self.choices.integer(0, 6)
        if kind < 4:
            op = self.one_of(("add", "mul", "sub", "and", "or", "xor", "min", "max"))
            return apply(op, x, self.expr(axes, dtype, depth))
        if kind == 4:
            return apply(self.one_of(("neg", "not", "abs")), x)
        if kind == 5:
            return apply(self.one_of(("shl", "shr")), x, const(self.choices.integer(0, 7), dtype))
        y = self.expr(axes, dtype, 0)
        positive = apply("select", apply("gt", y, const(0, dtype)), y, const(3, dtype))
        return apply(self.one_of(("quot", "rem")), x, positive)

    def truth(self, axes: Sequence[_Axis], depth: int) -> Expr:
        if depth > 0 and self.chance(4):
            pair = [self.truth(axes, depth - 1) for _ in "ab"]
            return apply(self.one_of(("and", "or", "xor")), *pair) if self.chance(2) else apply("not", pair[0])
        if self.chance(5):
            return self.load(axes, BOOL)
        dtype = self.dtype()
        return apply(self.one_of(COMPARISONS), self.load(axes, dtype), self.expr(axes, dtype, max(0, depth - 1)))

    # Nests.

    def kind(self, innermost: bool) -> LoopKind:
        if innermost:
            return self.one_of((VECTOR, VECTOR, VECTOR, SERIAL, UNROLL))
        return self.one_of((PARALLEL, SERIAL, SERIAL))

    def nested(self, axes: Sequence[_Axis], body: Stmt, kinds: Sequence[LoopKind] = ()) -> Stmt:
        kinds = kinds or [self.kind(k == len(axes) - 1) for k in range(len(axes))]
        for axis, kind in zip(reversed(axes), reversed(kinds), strict=True):
            shown = SERIAL if kind is UNROLL and axis.extent > 20 else kind
            body = For(axis.var, axis.extent, body, shown)
        return body

    def scoped(self, build: Callable[[], list[Stmt]]) -> Stmt:
        """Return a block of statements; names of its Lets end with it."""
        outside, self.lets = self.lets, list(self.lets)
        stmts = build()
        self.lets = outside
        return block(*stmts)

    def map_nest(self) -> Stmt:
        """Return loops in which each iteration writes its own elements."""
        axes = self.axes(3)
        body = self.scoped(lambda: [s for _ in range(self.choices.integer(1, 3)) for s in self.own(axes, 2)])
        return self.nested(axes, body)

    def own(self, axes: Sequence[_Axis], depth: int) -> list[Stmt]:
        """Return statements that write elements that belong to this iteration."""
        dtype = self.one_of((*self.dtypes, BOOL)) if self.chance(4) else self.dtype()
        kind = self.choices.integer(0, 5)
        if kind == 0:
            var = Var(f"t{len(self.lets)}", dtype)
            let = Let(var, self.expr(axes, dtype, depth))
            self.lets.append(var)
            return [let, *self.own(axes, depth)]
        if kind == 1:
            return [If(self.truth(axes, 1), self.scoped(lambda: self.own(axes, 1)))]
        if kind == 2 and dtype != BOOL:
            buffer, index = self.output(axes, dtype)
            return [Accumulate(buffer, index, self.one_of(("add", "mul", "max", "min")), self.expr(axes, dtype, 1))]
        if kind == 3 and dtype != BOOL:
            return self.in_place(axes, dtype)
        buffer, index = self.output(axes, dtype)
        return [Store(buffer, index, self.expr(axes, dtype, depth))]

    def in_place(self, axes: Sequence[_Axis], dtype: DType) -> list[Stmt]:
        """Return a store to the memory that is read, at the same element."""
        buffer, index = self.output(axes, dtype)
        same = Buffer(f"p{len(self.arrays)}", buffer.type)
        self.arrays[same] = self.arrays[buffer]
        old = Var(f"old{len(self.arrays)}", dtype)
        return [Let(old, Load(same, index)), Store(buffer, index, apply("add", old, self.expr(axes, dtype, 1)))]

    def folding(self, axes: Sequence[_Axis], acc: Buffer, index: tuple[Expr, ...], op: str) -> Stmt:
        """Return an accumulation of numbers for which the order does not matter, at times under a condition."""
        dtype = acc.type.dtype
        if op == "mul":
            value: Expr = self.load(axes, dtype, "factors")
        elif op == "add" and self.chance(2):
            value = apply("mul", self.load(axes, dtype), self.load(axes, dtype))
        else:
            value = self.load(axes, dtype)
        step = Accumulate(acc, index, op, value)
        return If(self.truth(axes, 1), step) if self.chance(4) else step

    def accumulator(self, space: Space = Space.REGISTER) -> tuple[Buffer, str, list[Stmt]]:
        """Return a scalar on its way to a fold, the operation, and the statements that begin it."""
        dtype = self.one_of((*self.dtypes, BOOL)) if self.chance(6) else self.dtype()
        ops = {"b": ("and", "or"), "f": ("add", "max", "min", "mul")}
        op = self.one_of(ops.get(dtype.kind, ("add", "max", "min", "mul", "and", "or")))
        acc = Buffer("acc", TensorType(dtype, ()), space)
        return acc, op, [Alloc(acc), Store(acc, (), const(self.one_of((0, 1)), dtype))]

    def fold_nest(self) -> Stmt:
        """Return loops that fold into registers, memory of the stack, or an output."""
        outer = self.axes(1, 12) if not self.chance(3) else []
        inner = [
            _Axis(Var(f"r{k}"), a.extent)
            for k, a in enumerate(self.axes(2, 320 // max([1, *[a.extent for a in outer]])))
        ]
        kinds = [*[SERIAL] * (len(inner) - 1), self.one_of((VECTOR, VECTOR, SERIAL, UNROLL))]
        space = (
            self.one_of((Space.REGISTER, Space.REGISTER, Space.STACK)) if kinds[-1] is not VECTOR else Space.REGISTER
        )
        accs = [self.accumulator(space) for _ in range(self.choices.integer(1, 2))]
        body = block(*[self.folding([*outer, *inner], acc, (), op) for acc, op, _ in accs])
        finish = []
        for acc, _, _ in accs:
            buffer, index = self.output(outer, acc.type.dtype)
            total = Var("total", acc.type.dtype)
            finish += [Let(total, Load(acc, ())), Store(buffer, index, total)]
        begin = [s for _, _, begin in accs for s in begin]
        # Lanes share the stack, so there only registers may be folded into.
        around = [] if space is Space.REGISTER else [self.one_of((PARALLEL, SERIAL)) for _ in outer]
        return self.nested(outer, block(*begin, self.nested(inner, body, kinds), *finish), around)

    def column_nest(self) -> Stmt:
        """Return a VECTOR loop in which each lane folds its own column, in a register of its own or in memory."""
        outer = self.axes(2, 40)
        inner = _Axis(Var("k"), self.one_of((3, 1, 2, 5, 8)))
        acc, op, begin = self.accumulator(self.one_of((Space.REGISTER, Space.REGISTER, Space.STACK)))
        buffer, index = self.output(outer, acc.type.dtype)
        if acc.space is Space.STACK:
            # Each lane needs an element of its own.
            acc, place = buffer, index
            begin, finish = [Store(buffer, index, const(1, acc.type.dtype))], []
        else:
            place = ()
            finish = [Store(buffer, index, Load(acc, ()))]
        loop = self.nested([inner], self.folding([*outer, inner], acc, place, op), [self.one_of((SERIAL, UNROLL))])
        kinds = [*[self.one_of((PARALLEL, SERIAL)) for _ in outer[1:]], VECTOR]
        return self.nested(outer, block(*begin, loop, *finish), kinds)

    def row_nest(self) -> Stmt:
        """Return loops that keep a row on the stack and read it again, also backwards."""
        outer = self.axes(1, 9)
        row = self.one_of((3, 1, 8, 17, 33))
        i, j = _Axis(Var("i"), row), _Axis(Var("j"), row)
        dtype = self.dtype()
        kept = Buffer("row", TensorType(dtype, (row,)), Space.STACK)
        fill = For(i.var, row, Store(kept, (i.var,), self.expr([*outer, i], dtype, 1)), self.one_of((VECTOR, SERIAL)))
        buffer, index = self.output([*outer, j], dtype)
        place = linear([(j.var, -1)], row - 1) if self.chance(2) else j.var
        value = apply("add", Load(kept, (place,)), self.expr([*outer, j], dtype, 1))
        drain = For(j.var, row, Store(buffer, index, value), self.one_of((VECTOR, SERIAL)))
        return self.nested(outer, block(Alloc(kept), fill, drain), [self.one_of((PARALLEL, SERIAL)) for _ in outer])

    def tile_nest(self) -> Stmt:
        """Return a product of matrices, a tile of registers at a time, as contractions are lowered."""
        dtype = self.dtype()
        height, width, depth = self.one_of((2, 1, 3)), self.one_of((8, 1, 3, 16, 17, 40)), self.one_of((3, 1, 6))
        tiles = _Axis(Var("t"), self.one_of((1, 2)))
        a, b = (self.parameter(self.data(s, dtype)) for s in ((height * tiles.extent, depth), (depth, width)))
        acc = Buffer("acc", TensorType(dtype, (height, width)), Space.REGISTER)

        def each(kind: LoopKind, build: Callable[[Var, Var], Stmt]) -> Stmt:
            m, n = Var("m"), Var("n")
            return For(m, height, For(n, width, build(m, n), VECTOR), kind)

        def start(m: Var, n: Var) -> Stmt:
            return Store(acc, (m, n), const(1, dtype))

        k = Var("k")

        def row(m: Var) -> Expr:
            return linear([(tiles.var, height), (m, 1)])

        def term(m: Var, n: Var) -> Stmt:
            return Accumulate(acc, (m, n), "add", apply("mul", Load(a, (row(m), k)), Load(b, (k, n))))

        c = self.parameter(self.data((height * tiles.extent, width), dtype))
        self.written.add(c)

        def finish(m: Var, n: Var) -> Stmt:
            old = Load(acc, (m, n))
            value = apply("max", old, const(0, dtype)) if self.chance(2) else old
            return Store(c, (row(m), n), value)

        begin = each(UNROLL, start)
        loop = For(k, depth, each(UNROLL, term), self.one_of((SERIAL, UNROLL)))
        if self.chance(3):
            spill = Buffer("spill", TensorType(dtype, (height, width)), Space.STACK)
            leave = each(UNROLL, lambda m, n: Store(spill, (m, n), Load(acc, (m, n))))
            again = each(SERIAL, lambda m, n: Store(c, (row(m), n), Load(spill, (m, n))))
            body = block(Alloc(acc), begin, loop, Alloc(spill), leave, again)
        else:
            body = block(Alloc(acc), begin, loop, each(UNROLL, finish))
        return For(tiles.var, tiles.extent, body, self.one_of((SERIAL, PARALLEL)))

    def turn_nest(self) -> Stmt:
        """Return loops that write rows into a tile of registers and read its columns."""
        dtype = self.one_of((*self.dtypes, BOOL))
        rows, columns = (self.one_of((4, 8, 16, 1, 2, 3, 5, 11, 17)) for _ in "ab")
        outer = _Axis(Var("t"), self.one_of((1, 2)))
        tile = Buffer("tile", TensorType(dtype, (rows, columns)), Space.REGISTER)
        i, j, k, c = _Axis(Var("i"), rows), _Axis(Var("j"), columns), _Axis(Var("k"), rows), _Axis(Var("c"), columns)
        fill = self.nested([i, j], Store(tile, (i.var, j.var), self.expr([outer, i, j], dtype, 1)), [UNROLL, VECTOR])
        column: Expr = Load(tile, (k.var, c.var))
        if self.chance(3):
            column = apply("xor" if dtype.kind != "f" else "add", column, self.expr([outer, k, c], dtype, 1))
        buffer, index = self.output([outer, c, k], dtype)
        read = self.nested([c, k], Store(buffer, index, column), [UNROLL, self.one_of((VECTOR, VECTOR, UNROLL))])
        return For(outer.var, outer.extent, block(Alloc(tile), fill, read), self.one_of((SERIAL, PARALLEL)))

    def checked_nest(self) -> Stmt:
        """Return loops that end the kernel where an element is too large, if one is."""
        axes = self.axes(2)
        limit = self.one_of((10, 10, 9, 5))
        element = Var("element", INT64)
        load = self.load(axes, INT64)
        check = Check(apply("lt", element, Const(limit)), self.choices.integer(0, 3), element)
        buffer, index = self.output(axes, INT64)
        return self.nested(axes, block(Let(element, load), check, Store(buffer, index, element)))
