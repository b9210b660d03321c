"""Pointwise and reduction groups to loop nests.

A group's loops are its kept axes outside and its reduced axes inside, swept over once for each phase.

A full value that a later phase needs is read back where it was stored, kept in a row on the stack where it was dear,
or computed again where it is cheap. The innermost axis of memory is the vector axis. Where it is not among the reduced
ones, `columns` makes the loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphc.errors import InternalError
from graphc.ir.graph import Elementwise, Node, Reduction
from graphc.ir.groups import Group, GroupKind
from graphc.ir.index import Index, Position, divisions, flatten, operands_met, source_of
from graphc.ir.loops import (
    CHEAP,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Buffer,
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
    apply,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.aliasing import same_index
from graphc.lower.axes import (
    EVEN,
    Around,
    Cut,
    LoopAxis,
    Positions,
    accesses,
    axis_variables,
    block_of,
    merged,
    pieces,
)
from graphc.lower.operands import Operands, place
from graphc.lower.phases import Phase, plan
from graphc.lower.work import Launch, Operand

ROW_BYTES = 16 << 10
"""Longest row kept on the stack between phases: it must stay in the first-level cache along with its operands."""

SUM_CHUNK = 2048
"""Elements folded into one partial sum; what adding these up rounds away is kept for the next (Kahan, 1965)."""


def folds_columns(group: Group) -> bool:
    """Whether memory is contiguous along an axis that is kept while others are folded."""
    axis = _vector_axis(group)
    return bool(group.reduced) and axis is not None and axis not in group.reduced


def _vector_axis(group: Group) -> int | None:
    """Return the axis along which most of the memory is contiguous: the last that is read, or else written. A narrow
    one does not fill a vector: then it is a long one that is folded."""
    for node in group.nodes:
        if node in group.domain:
            present = [a for a in group.domain[node] if a is not None]
            long = [a for a in present if a in group.reduced and group.space[a] >= MANY]
            narrow = NARROW // 2 if _dear(group) else NARROW // 4
            if long and present[-1] not in group.reduced and group.space[present[-1]] <= narrow:
                return long[-1]
            if present:
                return present[-1]
    return len(group.space) - 1 if group.space else None


NARROW = 8
"""Extent of an axis up to which vectors run along another one, if much is computed: elements so far apart are read by
rows and shuffles, about as many of each as they are apart."""

MANY = 64
"""Extent from which an axis can be that other one."""

LEAST_PART = 256
"""Elements of a row up from which rows that are summed together have partial sums of their own."""

LEAST_SIDE = 8
"""Elements of a block at least that is worth a loop of its own."""

WRITTEN_OUT = 16
"""Dear operations in a row up to which they are written out for each of its elements."""

Chunk = tuple[Index, list[tuple[Var, int]], int, "Expr | None"]
"""Part of a loop: where it starts, the loops over others like it, its extent, and under what condition it is there."""


def _dear(group: Group) -> list[Node]:
    """Return the nodes that cost more than what they read."""
    return [n for n in group.nodes if isinstance(n.op, Elementwise) and n.op.scalar not in CHEAP]


class Nest:
    def __init__(self, group: Group, name: str) -> None:
        self.group = group
        self.name = name
        self.operands = Operands()
        self.members = set(group.nodes)
        self.vector_axis = _vector_axis(group)
        self.outer, self.inner = self._loops()
        # Rows that do not fill a vector are folded in lanes of their own, many rows at a time.
        self.is_narrow = self._is_narrow()
        # Cut into blocks is the loop over such rows, and that of a pointwise group if the others are short.
        few = int(np.prod([loop.extent for loop in self.outer])) < EVEN
        self.is_cut = self.is_narrow or (group.kind is GroupKind.POINTWISE and bool(self.inner) and few)
        extent = self.outer[-1].extent if self.is_narrow else self.inner[-1].extent if self.inner else 1
        side = self._undivided()
        self.is_cut = self.is_cut or side is not None
        self.cut = Cut(extent, side or block_of(extent))
        self.positions: dict[int, Index] = {}
        self.values: dict[Node, Expr] = {}
        self.saved: dict[Node, Buffer] = {}
        self.lane: tuple[Expr, ...] = ()

    # Choosing loops.

    def _loops(self) -> tuple[list[LoopAxis], list[LoopAxis]]:
        group = self.group
        kept = [a for a in range(len(group.space)) if a not in group.reduced]
        folded = sorted(group.reduced)
        if group.reduced and self.vector_axis in group.reduced:
            folded = [a for a in folded if a != self.vector_axis] + [self.vector_axis]
        elif group.reduced and self.vector_axis is not None:
            kept = [a for a in kept if a != self.vector_axis] + [self.vector_axis]
        if not group.reduced:
            loops = self._merge(kept)
            return loops[:-1], loops[-1:]
        return self._merge(kept), self._merge(folded)

    def _is_narrow(self) -> bool:
        group = self.group
        if group.kind is not GroupKind.REDUCTION or not self.outer or self.vector_axis not in group.reduced:
            return False
        width = int(np.prod([loop.extent for loop in self.inner]))
        dear = _dear(group)
        functions = [n for n in dear if n.op.scalar not in ("div", "sqrt")]  # type: ignore[attr-defined]
        narrow = NARROW if functions else NARROW // 2
        return width <= narrow and self.outer[-1].extent >= MANY and width * len(dear) <= WRITTEN_OUT

    def _undivided(self) -> int | None:
        """Return the side of blocks in which no index along the vector loop of a pointwise group is divided: elements
        that lie next to each other are then known to, as in rows of heads that are joined."""
        if self.group.kind is not GroupKind.POINTWISE or not self.inner or len(self.inner[-1].axes) != 1:
            return None
        (axis,), extent = self.inner[-1].axes, self.inner[-1].extent
        variables, positions = axis_variables(self.group.space)
        found = [index for _, index in accesses(self.group, positions, self._written)]
        divisors = [d.divisor for index in found for d in divisions(index) if d.source.along(variables[axis]) != 0]
        side = math.gcd(*divisors)
        return side if LEAST_SIDE <= side < extent and extent % side == 0 else None

    def _merge(self, axes: Sequence[int]) -> list[LoopAxis]:
        variables, positions = axis_variables(self.group.space)
        found = [index for _, index in accesses(self.group, positions, self._written)]
        return merged(axes, self.group.space, variables, found)

    def _written(self, node: Node, positions: Positions) -> Index:
        """Return where an output is written."""
        return flatten(place(self.group.axes[node], positions), node.shape)

    def _keep(self, node: Node) -> bool:
        """Whether to read a full value back rather than compute it again; makes room for it if so."""
        if node in self.group.outputs or node in self.saved:
            return True
        size = int(np.prod([loop.extent for loop in self.inner]))
        columns = self.vector_axis not in self.group.reduced
        is_cheap = not isinstance(node.op, Elementwise) or node.op.scalar in CHEAP
        if columns or is_cheap or size * node.dtype.itemsize > ROW_BYTES:
            return False
        space = Space.REGISTER if self.is_narrow else Space.STACK
        self.saved[node] = Buffer(f"row{len(self.saved)}", TensorType(node.dtype, (size,)), space)
        return True

    # Generating code.

    def launch(self) -> Launch:
        """Return the kernel."""
        group = self.group
        phases = plan(group, self._keep)
        loops = self.outer[:-1] if self.is_narrow else self.outer
        around = Around([*[loop.extent for loop in loops], *[self.cut.count] * self.is_cut], most=self._shareable())
        for loop, index in zip(loops, around.indices, strict=False):
            self.positions.update(loop.positions(index))
        self.cut.number = around.indices[-1] if self.is_cut else Index({})
        body = self._of_rows(phases) if self.is_narrow else self._of_row(phases)
        body = block(*self._before(), around.body(body))
        operands = tuple(self.operands.buffers)
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), body)
        sites = tuple(self.operands.sites.found)
        return Launch(kernel, operands, frozenset(group.outputs), self._same_index(phases), sites, self._copied())

    def _of_row(self, phases: Sequence[Phase]) -> Stmt:
        code = [s for k, phase in enumerate(phases) for s in self._phase(k, phase)]
        return block(*[Alloc(b) for b in self.saved.values()], *code)

    def _of_rows(self, phases: Sequence[Phase]) -> Stmt:
        """Return the loop over a block of rows, one in each lane."""
        blocks: list[Stmt] = []
        for size, here in self.cut.parts():
            row = Var("r")
            self.positions.update(self.outer[-1].positions(self.cut.start + Index.axis(row, size)))
            self.values = {}
            self.saved = {n: Buffer(b.name, b.type, b.space) for n, b in self.saved.items()}
            rows = For(row, size, self._of_row(phases), VECTOR)
            blocks.append(rows if here is None else If(here, rows))
        return block(*blocks)

    def _before(self) -> list[Stmt]:
        """Return what comes before the loops."""
        return []

    def _copied(self) -> tuple[tuple[Operand, Operand], ...]:
        """Return what is in written arrays before the kernel runs."""
        return ()

    def _inner_kind(self, loop: LoopAxis) -> LoopKind:
        return UNROLL if self.is_narrow else VECTOR

    def _shareable(self) -> int | None:
        """Return how many of the outer loops may run in any order, None for all."""
        return None

    def _same_index(self, phases: Sequence[Phase]) -> frozenset[Operand]:
        """Return the operands that a result may replace."""
        stored = {n: k for k, phase in enumerate(phases) for n in phase.stored}
        return same_index(self.group, stored, self.operands.last_read)

    def _phase(self, k: int, phase: Phase) -> list[Stmt]:
        self.operands.phase = k
        code: list[Stmt] = []
        for node in phase.rows:
            if node not in self.group.domain:
                code += self._compute(node)
            if node in self.group.outputs:
                code.append(self._store(node))
        if not phase.reductions and not phase.stored:
            return code
        accumulators: dict[Node, Buffer] = {}
        for node in phase.reductions:
            assert isinstance(node.op, Reduction)
            acc = Buffer(f"{node.op.name}_{len(self.values)}", TensorType(node.dtype, ()), Space.REGISTER)
            accumulators[node] = acc
            code += [Alloc(acc), Store(acc, (), const(start_of(node), node.dtype))]
        code += self._sweeps(phase, accumulators)
        for node, acc in accumulators.items():
            result = Var(f"{node.op.name}{len(self.values)}", node.dtype)
            code.append(Let(result, Load(acc, ())))
            self.values[node] = result
        return code

    def _sweeps(self, phase: Phase, accumulators: dict[Node, Buffer]) -> list[Stmt]:
        """Return the loops over the reduced axes (of a pointwise group: the vector loop)."""
        if not self.inner:
            return self._sweep(phase, accumulators, {}, Index({}))
        *before, last = self.inner
        outer_vars = [Var(f"r{k}") for k in range(len(before))]
        positions: dict[int, Index] = {}
        row = Index({})
        for loop, var in zip(before, outer_vars, strict=True):
            index = Index.axis(var, loop.extent)
            positions.update(loop.positions(index))
            row = row * loop.extent + index
        body: list[Stmt] = []
        parts = self._partial_sums(accumulators)
        totals = {n: (accumulators[n], Buffer(f"{p.name}_lost", p.type, Space.REGISTER)) for n, p in parts.items()}
        for start, chunk_loops, extent, here in self._chunks(last, accumulators):
            var = Var("j")
            index = start + Index.axis(var, extent)
            found = {**positions, **last.positions(index)}
            folds = {n: parts.get(n, acc) for n, acc in accumulators.items()}
            sweep = block(*self._sweep(phase, folds, found, row * last.extent + index))
            inner: Stmt = For(var, extent, sweep, self._inner_kind(last))
            inner = block(*[_cleared(parts[n]) for n in parts], inner, *[_added(parts[n], *totals[n]) for n in parts])
            for chunk_var, count in chunk_loops:
                inner = For(chunk_var, count, inner, SERIAL)
            body.append(inner if here is None else If(here, inner))
        nest = block(*body)
        for loop, var in reversed(list(zip(before, outer_vars, strict=True))):
            nest = For(var, loop.extent, nest, UNROLL if self.is_narrow else SERIAL)
        return [*[_cleared(lost) for _, lost in totals.values()], nest]

    def _partial_sums(self, accumulators: dict[Node, Buffer]) -> dict[Node, Buffer]:
        """Return, for each sum of floats that is added up of many parts, a register for a part."""
        *before, last = self.inner
        is_long = last.extent >= 2 * SUM_CHUNK or (bool(before) and last.extent >= LEAST_PART)
        if not is_long or self.is_cut:
            return {}
        sums = [(n, acc) for n, acc in accumulators.items() if n.op.name == "sum" and n.dtype.kind == "f"]
        return {n: Buffer(f"{acc.name}_part", acc.type, Space.REGISTER) for n, acc in sums}

    def _chunks(
        self, loop: LoopAxis, accumulators: dict[Node, Buffer]
    ) -> list[tuple[Index, list[tuple[Var, int]], int, Expr | None]]:
        """Return the chunks of a long sum, the block of a pointwise loop, and under what condition each is there."""
        if self.is_cut and not self.is_narrow:
            return [(self.cut.start, [], size, here) for size, here in self.cut.parts()]
        sums = any(n.op.name == "sum" and n.dtype.kind == "f" for n in accumulators)
        if not sums or loop.extent < 2 * SUM_CHUNK:
            return [(Index({}), [], loop.extent, None)]
        return [(*piece, None) for piece in pieces(loop.extent, SUM_CHUNK, "chunk")]

    def _sweep(
        self, phase: Phase, accumulators: dict[Node, Buffer], positions: dict[int, Index], row: Index
    ) -> list[Stmt]:
        """Return the statements for one element of a row."""
        outside, self.values = self.values, dict(self.values)
        self.positions.update(positions)
        code: list[Stmt] = []
        for node in phase.reloaded:
            value = Var(f"{node.op.name}{len(self.values)}", node.dtype)
            code.append(Let(value, self._reload(node, row)))
            self.values[node] = value
        for node in phase.computed:
            code += self._compute(node)
            if node in self.saved:
                code.append(Store(self.saved[node], (row.to_expr(),), self.values[node]))
        for node, acc in accumulators.items():
            assert isinstance(node.op, Reduction)
            position = place(self.group.domain[node], self.positions)
            code.append(Accumulate(acc, self.lane, node.op.combine, self._operand(node.inputs[0], position)))
        # Last: what is written may be the memory of what is read, at this very element.
        code += [self._store(n) for n in phase.computed if n in phase.stored]
        self.values = outside
        return code

    def _reload(self, node: Node, row: Index) -> Expr:
        if node in self.saved:
            return Load(self.saved[node], (row.to_expr(),))
        flat = flatten(place(self.group.axes[node], self.positions), node.shape)
        return Load(self.operands.buffer(node), (flat.to_expr(),))

    def _compute(self, node: Node) -> list[Stmt]:
        position = place(self.group.axes[node], self.positions)
        args = tuple(self._operand(i, position[: i.ndim]) for i in operands_met(node))
        checks, value = self.operands.compute(node, args, position)
        var = Var(f"{node.op.name}{len(self.values)}", node.dtype)
        self.values[node] = var
        return [*checks, Let(var, value)]

    def _operand(self, operand: Node, position: Position) -> Expr:
        source = source_of(operand)
        if source in self.members:
            if source not in self.values:
                raise InternalError(f"lower: {source.op.name} is read before it is computed")
            return self.values[source]
        return self.operands.read(operand, position)

    def _store(self, node: Node) -> Stmt:
        position = place(self.group.axes[node], self.positions)
        return self.operands.store(node, position, self.values[node])


def _cleared(register: Buffer) -> Stmt:
    return block(Alloc(register), Store(register, (), const(0, register.type.dtype)))


def _added(part: Buffer, total: Buffer, lost: Buffer) -> Stmt:
    """Return total += part, where `lost` is what such additions have added too much, 0 where that is not finite."""
    dtype = part.type.dtype
    new, before, after = (Var(f"{part.name}_{what}", dtype) for what in ("new", "before", "after"))
    excess = Var(f"{part.name}_excess", dtype)
    finite = apply("eq", excess, excess)
    return block(
        Let(new, apply("sub", Load(part, ()), Load(lost, ()))),
        Let(before, Load(total, ())),
        Let(after, apply("add", before, new)),
        Let(excess, apply("sub", apply("sub", after, before), new)),
        Store(total, (), after),
        Store(lost, (), apply("select", finite, excess, const(0, dtype))),
    )


def start_of(node: Node) -> object:
    """Return the value a fold starts from: the identity of its operation."""
    assert isinstance(node.op, Reduction)
    start = node.op.init(node.dtype)
    if start is not None:
        return start
    dtype, largest = node.dtype, node.op.combine == "min"
    if dtype.kind == "f":
        return np.inf if largest else -np.inf
    if dtype.kind == "b":
        return largest
    return np.iinfo(dtype).max if largest else np.iinfo(dtype).min
