"""Scans whose body is pointwise to one kernel: the loop over steps inside, the carries in registers.

Each element goes its own way through all steps, so a strip of elements a few vectors wide is taken from the first step
to the last before the next one begins:

    for each strip of elements:
        c[width] = init
        for t in steps: for j in strip (vectors): new = f(c[j], x[t, j]); y[t, j] = g(c[j], x[t, j]); c[j] = new
        final = c[width]

A carry that is read at other elements than it is written at, as in a product or a sum, needs all of the step before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from graphc.ir.graph import Elementwise, Node, items
from graphc.ir.groups import Group, GroupKind
from graphc.ir.index import Index, Position, flatten, source_of
from graphc.ir.loops import (
    CHEAP,
    PARALLEL,
    SERIAL,
    VECTOR,
    Alloc,
    Buffer,
    Expr,
    For,
    Kernel,
    Load,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.aliasing import reads_of
from graphc.lower.axes import Around, LoopAxis, axis_variables, pieces
from graphc.lower.nest import Nest
from graphc.lower.operands import Operands, is_number, number_of, place
from graphc.lower.work import Launch, Operand
from graphc.target import Target

REGISTER = Space.REGISTER

VECTORS = 4
"""Widest strip, in vectors: enough independent chains of operations to hide their latency."""

CODE = 512
"""Most operations on vectors in a step, which is straight code: more take longer to compile than they save."""

ROW_VECTORS = 8
"""A row of at most so many vectors is one strip where only arithmetic is done, which hides less latency."""


def lower_steps(group: Group, target: Target) -> Launch | None:
    """Return the kernel of a scan; None where its body is not one set of loops over elements."""
    scan = group.hero
    assert scan is not None
    if scan.op.name != "scan" or scan.attrs.get("counted") or scan.attrs["length"] < 2:
        return None
    body = _as_one(scan, group.bodies["body"])
    if body is None or not _pays(scan, body, target):
        return None
    names = list(dict.fromkeys(n.op.name for n in body.nodes))
    name = "_".join(["scan", *names[:3]]) + ("_etc" if len(names) > 3 else "")
    return _Steps(scan, body, name, target).launch()


def _pays(scan: Node, body: Group, target: Target) -> bool:
    """Whether strips are quicker than rows: where a step reads or stacks rows, a strip must be a row, as wide ones are
    walked faster one after the other."""
    attrs = scan.attrs
    first, last = attrs["carries"], attrs["carries"] + attrs["slices"]
    streamed = [n for n in (*attrs["body"].inputs[first:last], *attrs["body"].outputs[first:]) if n.ndim]
    return not streamed or _size(body.space) <= _row_vectors(body) * _lanes(body, target)


def _lanes(body: Group, target: Target) -> int:
    return target.lanes(max([n.dtype.itemsize for n in body.nodes]))


def _row_vectors(body: Group) -> int:
    """Return how many vectors a row that is one strip may have."""
    is_dear = any(isinstance(n.op, Elementwise) and n.op.scalar not in CHEAP for n in body.nodes)
    return VECTORS if is_dear else ROW_VECTORS


def _as_one(scan: Node, groups: Sequence[Group]) -> Group | None:
    """Return the groups of a body as one, if they are pointwise in the same loops and each element stays by itself."""
    space = groups[0].space if groups else ()
    if not groups or any(g.kind is not GroupKind.POINTWISE or g.space != space for g in groups):
        return None
    axes: dict[Node, tuple[int | None, ...]] = {}
    for each in groups:
        if any(axes.setdefault(n, each.axes[n]) != each.axes[n] for n in each.nodes):
            return None
    body = scan.attrs["body"]
    results = tuple(map(source_of, body.outputs))
    _, variables = axis_variables(space)
    own = {n: flatten(place(axes[n], variables), n.shape) for n in axes}
    if any(r not in axes or r.tensor_type.size != _size(space) for r in results):
        return None
    home = {n: each for each in groups for n in each.nodes}
    written = {p: own[r] for p, r in zip(body.inputs, results[: scan.attrs["carries"]], strict=False)}
    for each in groups:
        for node in each.nodes:
            for source, index in reads_of(each, node, variables):
                other = written.get(source, own.get(source) if home.get(source) is not each else None)
                if other is not None and other != index:
                    return None
    nodes = tuple([n for n in body.nodes if n in axes])
    return Group(GroupKind.POINTWISE, nodes, results, None, space, axes)


def _size(space: Iterable[int]) -> int:
    size = 1
    for extent in space:
        size *= extent
    return size


class _StepOperands(Operands):
    """The arrays outside that stand for the parameters of a body: carries lie in registers, slices move with steps."""

    def __init__(self, scan: Node) -> None:
        super().__init__()
        attrs, body = scan.attrs, scan.attrs["body"]
        first = attrs["carries"]
        self.carries = body.inputs[:first]
        self.slices = set(body.inputs[first : first + attrs["slices"]])
        self.outside = dict(zip(body.inputs, map(source_of, scan.inputs), strict=True))
        self.stacks = dict(zip(map(source_of, body.outputs[first:]), items(scan)[first:], strict=True))
        self.tiles: dict[Node, Buffer] = {}
        self.lane: tuple[Expr, ...] = ()
        self.step = Index({})

    def load(self, source: Node, position: Position) -> Expr:
        if source in self.tiles:
            return Load(self.tiles[source], self.lane)
        if source not in self.outside:
            return super().load(source, position)
        flat = flatten(position, source.shape)
        if source in self.slices:
            flat = flat + self.step * int(source.tensor_type.size)
        return Load(self.buffer(self.outside[source]), (flat.to_expr(),))

    def store(self, node: Operand, position: Position, value: Expr) -> Stmt:
        """Return the statement that writes an element of what is stacked."""
        assert isinstance(node, Node)
        flat = flatten(position, node.shape) + self.step * int(node.tensor_type.size)
        return Store(self.buffer(self.stacks[node]), (flat.to_expr(),), value)


class _Steps(Nest):
    operands: _StepOperands

    def __init__(self, scan: Node, body: Group, name: str, target: Target) -> None:
        super().__init__(body, name)
        self.scan, self.target = scan, target
        self.operands = _StepOperands(scan)
        self.starts = dict(zip(self.operands.carries, map(source_of, scan.inputs), strict=False))
        self.news = dict(zip(self.operands.carries, body.outputs, strict=False))
        self.finals = dict(zip(self.operands.carries, items(scan), strict=False))
        self.start, self.width = Index({}), 1
        self.along: LoopAxis | None = None

    def launch(self) -> Launch:
        """Return the kernel."""
        loops = [*self.outer, *self.inner]
        self.along = loops.pop() if loops else None
        around = Around([loop.extent for loop in loops])
        for loop, index in zip(loops, around.indices, strict=True):
            self.positions.update(loop.positions(index))
        buffers = self.operands.buffers
        body = around.body(block(*self._strips()))
        kernel = Kernel(self.name, tuple(buffers.values()), body)
        given = [source_of(i) for i in self.scan.inputs]
        replaced = frozenset([n for n in self.starts.values() if given.count(n) == 1])
        writes = frozenset([*self.finals.values(), *self.operands.stacks.values()])
        return Launch(kernel, tuple(buffers), writes, replaced, tuple(self.operands.sites.found))

    def _strips(self) -> list[Stmt]:
        if self.along is None:
            return [self._strip()]
        strips: list[Stmt] = []
        for start, loops, width in pieces(self.along.extent, self._strip_width(self.along.extent), "strip"):
            self.start, self.width = start, width
            strip = self._strip()
            for var, count in loops:
                strip = For(var, count, strip, PARALLEL)
            strips.append(strip)
        return strips

    def _strip_width(self, extent: int) -> int:
        """Return the elements of a strip: a short row, or as many vectors as divide a long one and leave one strip for
        each core."""
        lanes = _lanes(self.group, self.target)
        registers = self.target.vector_registers // 2 // max(1, len(self.starts))
        vectors = -(-extent // lanes)
        most = vectors if vectors <= _row_vectors(self.group) else min(VECTORS, vectors // self.target.cores)
        most = max(1, min(most, registers, CODE // len(self.group.nodes)))
        return lanes * next((n for n in range(most, 0, -1) if extent % (n * lanes) == 0), most)

    def _strip(self) -> Stmt:
        """Return all steps of the elements from `start`."""
        shape = (self.width,) if self.along is not None else ()
        tiles = {c: Buffer(f"carry{k}", TensorType(c.dtype, shape), REGISTER) for k, c in enumerate(self.starts)}
        self.operands.tiles = tiles
        step, length = Var("step"), self.scan.attrs["length"]
        index = Index.axis(step, length)
        self.operands.step = Index({}, length - 1) - index if self.scan.attrs["reverse"] else index
        return block(
            *[Alloc(tile) for tile in tiles.values()],
            *self._across(lambda: [Store(t, self.lane, self._element(self.starts[c], c)) for c, t in tiles.items()]),
            For(step, length, block(*self._across(self._step)), SERIAL),
            *self._across(lambda: [self._final(c, t) for c, t in tiles.items()]),
        )

    def _across(self, build: Callable[[], list[Stmt]]) -> list[Stmt]:
        """Return statements for each element of a strip."""
        self.values = {}
        if self.along is None:
            return build()
        var = Var("j")
        self.lane = self.operands.lane = (var,)
        self.positions.update(self.along.positions(self.start + Index.axis(var, self.width)))
        code = build()
        return [For(var, self.width, block(*code), VECTOR)] if code else []

    def _place(self, carry: Node) -> tuple[Expr, ...]:
        """Return where the current element of a carry lies in an array of carries."""
        new = self.news[carry]
        return (flatten(place(self.group.axes[new], self.positions), carry.shape).to_expr(),)

    def _element(self, array: Node, carry: Node) -> Expr:
        if is_number(array):
            return const(number_of(array), array.dtype)
        return Load(self.operands.buffer(array), self._place(carry))

    def _final(self, carry: Node, tile: Buffer) -> Stmt:
        return Store(self.operands.buffer(self.finals[carry]), self._place(carry), Load(tile, self.lane))

    def _step(self) -> list[Stmt]:
        """Return one step of an element: what it carries on is stored when all has been read."""
        code = [s for node in self.group.nodes for s in self._compute(node)]
        code += [self._store(n) for n in self.operands.stacks]
        return [*code, *[Store(tile, self.lane, self.values[self.news[c]]) for c, tile in self.operands.tiles.items()]]
