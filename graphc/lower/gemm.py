"""Contractions with their epilogue to loop nests.

The result is computed in tiles that stay in vector registers:

    for each tile of MR rows and NR columns:
        acc[MR, NR] = 0
        for k: for m (unrolled): for n (vectors): acc[m, n] += a[m, k] * b[k, n]
        for m, n: store epilogue(acc[m, n], ...)

Vectors run along the last label of the result, which must have stride 1 in b; if it has not, b is first copied so that
it has, unless so few rows would use the copy that a dot product for each element is cheaper. Everything else is a
matter of strides: transposed, batched and sliced operands need no copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.ir.graph import Contraction, Elementwise, Node
from graphc.ir.groups import Group
from graphc.ir.index import Index, Position, flatten, operands_met, source_of, trace
from graphc.ir.loops import (
    CHEAP,
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Expr,
    For,
    Kernel,
    Let,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.operands import Operands
from graphc.lower.work import Launch, Operand, Temporary
from graphc.target import Target

STEP_MULTIPLICATIONS = 16
"""Vector multiply-adds in a row at least, by writing out steps of the summation: then the loop itself costs little."""

MAX_UNROLL_K = 4
"""Steps of the summation written out in a row at most."""

MIN_ROWS_TO_COPY = 4
"""Rows that must share a copy of b for the copy to pay."""

CODE_SLACK = 1.03
"""How much longer a tile may take than the best one, estimated, if it needs less code: code takes time to compile."""

MAX_VECTORS = 8
"""Widest tile, in vectors: wide ones serve results of one or few rows."""

EPILOGUE_IN_REGISTERS = 12
"""Cheap operations up to which an epilogue is written out for each register of a tile."""


@dataclass(frozen=True)
class _Label:
    """One or several merged labels of a contraction, as one loop."""

    names: str
    extents: tuple[int, ...]

    @property
    def extent(self) -> int:
        total = 1
        for extent in self.extents:
            total *= extent
        return total

    def positions(self, index: Index) -> dict[str, Index]:
        found = {}
        for name, extent in zip(reversed(self.names), reversed(self.extents), strict=True):
            found[name] = index if name == self.names[0] else index % extent
            index = index // extent
        return found


@dataclass(frozen=True)
class _Access:
    """An operand in memory: which labels its dimensions (in order) run along, and its stride along each."""

    operand: Operand
    labels: str
    strides: dict[str, int]
    offset: int

    def index(self, positions: dict[str, Index]) -> Index:
        flat = Index({}, self.offset)
        for label in self.labels:
            flat = flat + positions[label] * self.strides[label]
        return flat


@dataclass(frozen=True)
class Tile:
    """Rows and vectors of a register tile."""

    rows: int
    vectors: int


def choose_tile(rows: int, columns: int, depth: int, lanes: int, target: Target) -> Tile:
    """Return a register tile for a result of rows x columns summed over depth: of those that cost least, to within
    CODE_SLACK, the one with the least code.

    Accumulators and the vectors of b must leave some registers free for a's elements.
    """
    free = target.vector_registers - (4 if target.vector_registers > 16 else 2)
    vectors = -(-columns // lanes)
    is_small = depth * vectors * target.vector_bytes <= target.l1_bytes
    found: list[tuple[float, int, Tile]] = []
    for v in range(1, min(MAX_VECTORS, vectors) + 1):
        in_cache = is_small or v == vectors  # whole rows of b are read in order, and so fetched ahead
        most = min(rows, (free - v) // v)
        if most < 1:
            continue
        equal_shares = -(-rows // -(-rows // most))  # no tiny tile at the end
        for m in {equal_shares, next(d for d in range(most, 0, -1) if rows % d == 0)}:
            parts = _parts(rows, vectors, Tile(m, v))
            cost = sum(count * _cycles(tile, depth, in_cache) for tile, count in parts)
            found.append((cost, sum(max(t.rows * t.vectors, STEP_MULTIPLICATIONS) for t, _ in parts), Tile(m, v)))
    least = min(cost for cost, _, _ in found)
    return min((code, cost, tile.vectors, tile) for cost, code, tile in found if cost <= CODE_SLACK * least)[-1]


def _parts(rows: int, vectors: int, tile: Tile) -> list[tuple[Tile, int]]:
    """Return the tiles that a result is made of, those at its ends included, and how many of each there are."""
    return [
        (Tile(height, width), down * across)
        for height, down in ((tile.rows, rows // tile.rows), (rows % tile.rows, 1))
        for width, across in ((tile.vectors, vectors // tile.vectors), (vectors % tile.vectors, 1))
        if height and width and down and across
    ]


def _cycles(tile: Tile, depth: int, in_cache: bool) -> float:
    """Estimate the cycles that a tile takes.

    A step issues rows * vectors multiply-adds and rows + vectors loads, two of either in a cycle, and takes no less
    than a multiply-add. Part of the loads is not hidden behind the rest; vectors that come from the second-level cache
    take a cycle more each. Starting and ending a tile costs about as much as a few steps.
    """
    registers, loads = tile.rows * tile.vectors, tile.rows + tile.vectors
    step = max(registers / 2, loads / 2, 4.0) + 0.15 * loads + (0 if in_cache else tile.vectors)
    return depth * step + 2 * registers + 8


def lower_contraction(group: Group, name: str, target: Target) -> list[Launch]:
    """Return the kernels of a contraction group."""
    return _Contraction(group, name, target).launches()


class _Contraction:
    def __init__(self, group: Group, name: str, target: Target) -> None:
        assert group.hero is not None
        self.group = group
        self.hero = group.hero
        self.name = name
        self.target = target
        self.operands = Operands()
        self.before: list[Launch] = []
        self.stored: dict[Node, set[Index]] = {}
        self._read_labels()

    def _read_labels(self) -> None:
        op = self.hero.op
        assert isinstance(op, Contraction)
        in_a, in_b, self.out = op.dims(**self.hero.attrs)
        a, b = self.hero.inputs
        self.sizes: dict[str, int] = dict(zip(in_a + in_b, a.shape + b.shape, strict=True))
        self.a, self.b = _access(a, in_a), _access(b, in_b)
        if self.out and self.out[-1] in in_a and self.out[-1] not in in_b:
            self.a, self.b = self.b, self.a
        strides = _row_major(self.out, self.sizes)
        self.result = _Access(self.hero, self.out, strides, 0)
        self.summed = [c for c in self.a.labels if c in self.b.labels and c not in self.out]
        self.rows = [c for c in self.out if c in self.a.labels and c not in self.b.labels]
        self.columns = [c for c in self.out if c in self.b.labels and c not in self.a.labels]

    def launches(self) -> list[Launch]:
        """Return the kernels, copies of operands first."""
        tiled = bool(self.out) and self.out[-1] in self.columns and bool(self.summed)
        if tiled and self.b.strides[self.out[-1]] != 1:
            if self._extent(self.rows) < MIN_ROWS_TO_COPY:
                tiled = False
            else:
                self._copy_b()
        body = self._tiles() if tiled else self._dots()
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), body)
        launch = Launch(
            kernel,
            tuple(self.operands.buffers),
            frozenset(self.group.outputs),
            self._same_index(),
            tuple(self.operands.sites.found),
        )
        return [*self.before, launch]

    def _extent(self, labels: Sequence[str]) -> int:
        total = 1
        for label in labels:
            total *= self.sizes[label]
        return total

    def _same_index(self) -> frozenset[Operand]:
        """Return arrays that only the epilogue reads, and only at the element it writes."""
        shape = self.hero.shape
        factors = {source_of(i) for i in self.hero.inputs}
        written = {i for o in self.group.outputs for i in self.stored.get(o, ()) if o.shape == shape}
        return frozenset(n for n, found in self.operands.read_exactly.items() if n not in factors and found == written)

    # Operands.

    def _copy_b(self) -> None:
        """Copy b so that the last label of the result has stride 1, summed labels next to it."""
        last = self.out[-1]
        order = [c for c in self.b.labels if c != last and c not in self.summed] + self.summed + [last]
        source = self.b
        extents = tuple(self.sizes[c] for c in order)
        copy = Temporary(TensorType(self.hero.inputs[0].dtype, extents))
        operands = Operands()
        variables = [Var(c) for c in order]
        positions = {c: Index.axis(v, self.sizes[c]) for c, v in zip(order, variables, strict=True)}
        element = Load(operands.buffer(source.operand), (source.index(positions).to_expr(),))
        body: Stmt = operands.store(copy, tuple(positions[c] for c in order), element)
        for k, (var, extent) in reversed(list(enumerate(zip(variables, extents, strict=True)))):
            body = For(var, extent, body, VECTOR if k == len(order) - 1 else PARALLEL if k == 0 else SERIAL)
        kernel = Kernel(f"{self.name}_pack", tuple(operands.buffers.values()), body)
        self.before.append(Launch(kernel, tuple(operands.buffers), frozenset((copy,))))
        self.b = _Access(copy, "".join(order), _row_major("".join(order), self.sizes), 0)

    def _factor(self, access: _Access, positions: dict[str, Index]) -> Expr:
        return Load(self.operands.buffer(access.operand), (access.index(positions).to_expr(),))

    def _merged(self, labels: Sequence[str], *accesses: _Access) -> list[_Label]:
        """Merge neighbouring labels that all accesses walk through as if they were one."""
        merged: list[_Label] = []
        for label in labels:
            size = self.sizes[label]
            if merged and all(a.strides[merged[-1].names[-1]] == a.strides[label] * size for a in accesses):
                merged[-1] = _Label(merged[-1].names + label, (*merged[-1].extents, size))
            else:
                merged.append(_Label(label, (size,)))
        return merged

    # Tiles.

    def _tiles(self) -> Stmt:
        batch = [c for c in self.out if c in self.a.labels and c in self.b.labels]
        rows = self._merged(self.rows, self.a, self.result)
        columns = self._merged(self.columns, self.b, self.result)
        summed = self._merged(self.summed, self.a, self.b)
        m = rows.pop() if rows else _Label("", ())
        n = columns.pop()
        loops = [*self._merged(batch, self.a, self.b, self.result), *rows, *columns]
        lanes = self.target.lanes(self.hero.dtype.itemsize)
        tile = choose_tile(m.extent, n.extent, self._extent(self.summed), lanes, self.target)
        positions, variables = _loop_positions(loops)
        body = block(*self._over_rows(m, n, summed, tile, tile.vectors * lanes, positions))
        return _nested(loops, variables, body)

    def _over_rows(
        self, m: _Label, n: _Label, summed: list[_Label], tile: Tile, width: int, positions: dict[str, Index]
    ) -> list[Stmt]:
        whole, rest = divmod(m.extent, tile.rows)
        code: list[Stmt] = []
        if whole:
            var = Var("mt")
            start = Index.axis(var, whole) * tile.rows
            body = block(*self._over_columns(m, start, tile.rows, n, summed, width, positions))
            code.append(For(var, whole, body, PARALLEL))
        if rest:
            start = Index({}, whole * tile.rows)
            code += self._over_columns(m, start, rest, n, summed, width, positions)
        return code

    def _over_columns(
        self, m: _Label, row: Index, height: int, n: _Label, summed: list[_Label], width: int,
        positions: dict[str, Index],
    ) -> list[Stmt]:  # fmt: skip
        whole, rest = divmod(n.extent, width)
        code: list[Stmt] = []
        if whole:
            var = Var("nt")
            column = Index.axis(var, whole) * width
            code.append(For(var, whole, self._tile(m, row, height, n, column, width, summed, positions)))
        if rest:
            code.append(self._tile(m, row, height, n, Index({}, whole * width), rest, summed, positions))
        return code

    def _tile(
        self, m: _Label, row: Index, height: int, n: _Label, column: Index, width: int, summed: list[_Label],
        positions: dict[str, Index],
    ) -> Stmt:  # fmt: skip
        dtype = self.hero.dtype
        acc = Buffer("acc", TensorType(dtype, (height, width)), Space.REGISTER)

        def each(kind: object, body: object) -> Stmt:
            i, j = Var("m"), Var("n")
            where = dict(positions)
            if m.names:
                where.update(m.positions(row + Index.axis(i, height)))
            where.update(n.positions(column + Index.axis(j, width)))
            inner = For(j, width, block(*body(i, j, where)), VECTOR)  # type: ignore[operator]
            return For(i, height, inner, kind)  # type: ignore[arg-type]

        clear = each(UNROLL, lambda i, j, where: [Store(acc, (i, j), const(0, dtype))])

        def multiply(where_k: dict[str, Index]) -> Stmt:
            def term(i: Var, j: Var, where: dict[str, Index]) -> list[Stmt]:
                where = {**where, **where_k}
                product = Apply("mul", (self._factor(self.a, where), self._factor(self.b, where)), dtype)
                return [Accumulate(acc, (i, j), "add", product)]

            return each(UNROLL, term)

        multiplications = height * -(-width // self.target.lanes(dtype.itemsize))
        unroll = min(MAX_UNROLL_K, -(-STEP_MULTIPLICATIONS // multiplications))
        body = self._sum(summed, unroll, multiply)
        if self._epilogue_cost() <= EPILOGUE_IN_REGISTERS:
            finish = [each(UNROLL, lambda i, j, where: self._finish(Load(acc, (i, j)), where))]
        else:
            # Too much code to repeat for each register: by way of a small array in the first-level cache.
            spill = Buffer("tile", TensorType(dtype, (height, width)), Space.STACK)
            finish = [
                Alloc(spill),
                each(UNROLL, lambda i, j, where: [Store(spill, (i, j), Load(acc, (i, j)))]),
                each(SERIAL, lambda i, j, where: self._finish(Load(spill, (i, j)), where)),
            ]
        return block(Alloc(acc), clear, body, *finish)

    def _sum(self, summed: list[_Label], unroll: int, multiply: object) -> Stmt:
        """Return the loops over summed labels, of the innermost one `unroll` steps in a row."""
        *outer, last = summed
        positions, variables = _loop_positions(outer)
        whole, rest = divmod(last.extent, unroll)
        code: list[Stmt] = []

        def unrolled(start: Index, count: int) -> Stmt:
            step = Var("ks")
            where = {**positions, **last.positions(start + Index.axis(step, count))}
            return For(step, count, multiply(where), UNROLL)  # type: ignore[operator]

        if whole:
            var = Var("k")
            code.append(For(var, whole, unrolled(Index.axis(var, whole) * unroll, unroll), SERIAL))
        if rest:
            code.append(unrolled(Index({}, whole * unroll), rest))
        return _nested(outer, variables, block(*code), SERIAL)

    # Dot products.

    def _dots(self) -> Stmt:
        """Return one loop nest over the result with a dot product (or a single product) for each element."""
        dtype = self.hero.dtype
        loops = self._merged(list(self.out), self.result, *self._spanning(self.out))
        summed = self._merged(self.summed, self.a, self.b)
        positions, variables = _loop_positions(loops)
        if not summed:
            product = Apply("mul", (self._factor(self.a, positions), self._factor(self.b, positions)), dtype)
            return _nested(loops, variables, block(*self._finish(product, positions)), innermost=VECTOR)
        found, inner = _loop_positions(summed)
        where = {**positions, **found}
        product = Apply("mul", (self._factor(self.a, where), self._factor(self.b, where)), dtype)
        acc = Buffer("acc", TensorType(dtype, ()), Space.REGISTER)
        total = _nested(summed, inner, Accumulate(acc, (), "add", product), SERIAL, VECTOR)
        body = block(Alloc(acc), Store(acc, (), const(0, dtype)), total, *self._finish(Load(acc, ()), positions))
        return _nested(loops, variables, body)

    def _spanning(self, labels: str) -> list[_Access]:
        """Return both factors as if they had every label, with stride 0 along those they lack."""
        return [replace(access, strides={c: access.strides.get(c, 0) for c in labels}) for access in (self.a, self.b)]

    # Epilogue.

    def _epilogue_cost(self) -> int:
        cost = 0
        for node in self.group.nodes:
            if isinstance(node.op, Elementwise):
                cost += 1 if node.op.scalar in CHEAP or node.op.scalar in ("div", "sqrt") else EPILOGUE_IN_REGISTERS
            elif node is not self.hero:
                cost += 2  # a padding or a gather: an address and a load
        return cost

    def _finish(self, value: Expr, positions: dict[str, Index]) -> list[Stmt]:
        """Return the statements that compute the epilogue for one element and store the outputs."""
        group = self.group
        here = {k: positions[label] for k, label in enumerate(c for c in self.out if self.sizes[c] != 1)}
        code: list[Stmt] = []
        stores: list[Stmt] = []
        values: dict[Node, Expr] = {}
        for node in group.nodes:
            position = tuple(Index({}) if a is None else here[a] for a in group.axes[node])
            if node is self.hero:
                result = value
            else:
                args = tuple(
                    values[source_of(i)] if source_of(i) in values else self.operands.read(i, position[: i.ndim])
                    for i in operands_met(node)
                )
                checks, result = self.operands.compute(node, args, position)
                code += checks
            var = Var(f"{node.op.name}{len(values)}", node.dtype)
            code.append(Let(var, result))
            values[node] = var
            if node in group.outputs:
                self.stored.setdefault(node, set()).add(flatten(position, node.shape))
                stores.append(self.operands.store(node, position, var))
        # Last: what is written may be the memory of what is read, at this very element.
        return [*code, *stores]


def _access(node: Node, labels: str) -> _Access:
    """Return how an operand's elements lie in the memory behind its views."""
    variables = [Var(c) for c in labels]
    position: Position = tuple(Index.axis(v, s) for v, s in zip(variables, node.shape, strict=True))
    source, found = trace(node, position)
    flat = flatten(found, source.shape)
    return _Access(source, labels, {c: flat.stride(v) for c, v in zip(labels, variables, strict=True)}, flat.offset)


def _row_major(labels: str, sizes: dict[str, int]) -> dict[str, int]:
    strides, step = {}, 1
    for label in reversed(labels):
        strides[label] = step
        step *= sizes[label]
    return strides


def _loop_positions(loops: Sequence[_Label]) -> tuple[dict[str, Index], list[Var]]:
    variables = [Var(loop.names) for loop in loops]
    positions: dict[str, Index] = {}
    for loop, var in zip(loops, variables, strict=True):
        positions.update(loop.positions(Index.axis(var, loop.extent)))
    return positions, variables


def _nested(
    loops: Sequence[_Label], variables: Sequence[Var], body: Stmt, kind: object = PARALLEL, innermost: object = None
) -> Stmt:
    """Wrap a statement in loops, all of one kind but perhaps the innermost."""
    for k, (loop, var) in reversed(list(enumerate(zip(loops, variables, strict=True)))):
        own = innermost if innermost is not None and k == len(loops) - 1 else kind
        body = For(var, loop.extent, body, own)  # type: ignore[arg-type]
    return body
