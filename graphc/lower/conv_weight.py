"""Gradients of convolutions with respect to the weight, to loop nests.

Each element is a dot product over all positions of all images: of a channel of the cotangent and a channel of the
image seen through one tap. Both are laid out in rows of one pitch, the cotangent with zeros between its rows, so that
for every tap the positions of an image are one contiguous run of both:

    for each group, tile of channels of the cotangent, range of channels of the image:
        sums[o, c, tap, lane] = 0
        for each chunk of the positions: for each tile of channels of the image and taps:
            acc = sums[o, c, tap]
            for each run, a vector at a time: acc[o, c, tap] += cotangent[o] * plane[c][... + offset of tap]
            sums[o, c, tap] = acc
        store epilogue(sums, added up over lanes)

A chunk is as much as keeps what a tile reads in the first cache: several images, or part of one. The order of the sum
follows from the shapes and the target alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Convolution
from graphc.ir.groups import Group
from graphc.ir.index import Index
from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Buffer,
    Const,
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
from graphc.lower.conv import WAYS, axis_of, lower_convolution, parts_of_output
from graphc.lower.epilogue import Epilogue
from graphc.lower.operands import Operands
from graphc.lower.planes import LOCAL_BYTES, Axis, Planes, Run
from graphc.lower.strides import Strided, strided
from graphc.lower.work import Launch, Temporary
from graphc.target import Target

SUMS_BYTES = 128 << 10
"""Sums of one iteration at most, as vectors: they lie on the stack and stay in the second-level cache."""

MOST_SUMS = 512
"""Elements of a kernel up to which there is a vector of sums for each."""

MOST_LANES = 16
"""Lanes of sums at most: they are added up by squares of vectors."""

MOST_TAPS = 8
"""Taps in a row of one tile at most."""

CARRY = 2.0
"""Cycles to load and to store a sum."""


@dataclass(frozen=True)
class Tile:
    """Channels of the cotangent; channels of the image for each run of taps across; kernel rows taken together."""

    outputs: int
    inputs: tuple[int, ...]
    rows: bool


def lower_convolution_weight(group: Group, name: str, target: Target) -> list[Launch]:
    """Return the kernels of a group around the gradient of a convolution with respect to the weight."""
    assert group.hero is not None
    kernel, positions = math.prod(group.hero.shape[2:]), math.prod(group.hero.inputs[1].shape[2:])
    if kernel > positions or kernel > MOST_SUMS:
        return lower_convolution(group, name, target)
    return _Weight(group, name, target).launches()


class _Weight:
    def __init__(self, group: Group, name: str, target: Target) -> None:
        hero = group.hero
        assert hero is not None
        assert isinstance(hero.op, Convolution)
        self.hero, self.name, self.target, self.group = hero, name, target, group
        self.operands = Operands()
        self.epilogue = Epilogue(group, self.operands)
        self.dtype = hero.dtype
        self.lanes = min(MOST_LANES, target.lanes(self.dtype.itemsize))
        self.vector_bytes = self.lanes * self.dtype.itemsize
        self.before: list[Launch] = []
        image, cotangent = hero.inputs
        self.sources = strided(image), strided(cotangent)
        self.images, self.groups = image.shape[0], hero.attrs["groups"]
        self.channels, self.depth = hero.shape[0] // self.groups, hero.shape[1]
        self.kernel: tuple[int, ...] = hero.shape[2:]
        rows, columns = cotangent.shape[2:]
        stride = hero.attrs["stride"]
        parts = parts_of_output(cotangent.shape, self.kernel, dict(hero.attrs))
        axes = [axis_of(parts, k, image.shape[2 + k], stride[k]) for k in range(2)]
        plain = Planes(axes[0], axes[1])
        pitch = max(plain.pitch, columns)
        down, across = parts[0].runs
        self.down, self.across = down, [piece for run in across for piece in _pieces(run)]
        # Whole vectors of a run, the last of which may go on behind the last row, in equal chunks.
        run = (rows - 1) * pitch + columns
        self.steps = -(-run // self.lanes)
        self.range = self._range()
        self.tile = self._tile(self.range)
        most = max(
            1, self.target.l1_bytes * 3 // 4 // ((self.tile.outputs + max(self.tile.inputs)) * self.vector_bytes)
        )
        self.together = next(
            d for d in range(self.images, 0, -1) if self.images % d == 0 and d * self.steps <= max(most, self.steps)
        )
        self.blocks = -(-self.steps // most) if self.together == 1 else 1
        self.steps = -(-self.steps // self.blocks)
        slack = self.steps * self.blocks * self.lanes - run
        self.planes = Planes(axes[0], axes[1], slack, pitch)
        self.cotangents = Planes(Axis(rows, 1, 0, rows - 1), Axis(columns, 1, 0, columns - 1), slack, pitch)

    def launches(self) -> list[Launch]:
        """Return the kernels, those that lay the operands out first."""
        body = self._each_group() if self._is_local() else self._shared_out()
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), body)
        launch = Launch(
            kernel,
            tuple(self.operands.buffers),
            frozenset(self.group.outputs),
            self.epilogue.same_index(),
            tuple(self.operands.sites.found),
        )
        return [*self.before, launch]

    @property
    def _taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def _is_one_chunk(self) -> bool:
        """Whether every sum is made at once."""
        return self.blocks == 1 and self.images == (1 if self._is_local() else self.together)

    # What is shared out, and where the operands lie.

    def _is_local(self) -> bool:
        size = self.depth * self.planes.count * self.planes.size + self.channels * self.cotangents.size
        sums = self.channels * self.depth * self._taps * self.vector_bytes
        fits = size * self.dtype.itemsize <= LOCAL_BYTES and sums <= SUMS_BYTES
        return bool(self.groups >= WAYS and fits and self.range == self.depth)

    def _each_group(self) -> Stmt:
        """Share out groups: each lays out one image after the other and adds up."""
        tile = self.tile
        var, image = Var("g"), Var("n")
        g, n = Index.axis(var, self.groups), Index.axis(image, self.images)
        code: list[Stmt] = []
        fills: list[Stmt] = []
        places: list[_Place] = []
        layouts = ((self.planes, self.depth, "image"), (self.cotangents, self.channels, "cotangent"))
        for (planes, count, name), source in zip(layouts, self.sources, strict=True):
            channel, step = Var("c"), planes.count * planes.size
            buffer = Buffer(name, TensorType(self.dtype, (count * step,)), Space.STACK)
            c = Index.axis(channel, count)
            fill = planes.fill(buffer, c * step, source, (n, g * count + c), self.operands)
            code.append(Alloc(buffer))
            fills.append(For(channel, count, fill, SERIAL))
            places.append(_Place(buffer, 0, step, Index({})))
        sums = self._sums(self.channels)
        stack, chunk = Var("stack"), Var("block")
        stacks = self.channels // tile.outputs
        m = Index.axis(stack, stacks) * tile.outputs
        add = self._add_chunk(places, m, Index({}), (n, Index.axis(chunk, self.blocks)), 1, sums, m)
        tiles = For(chunk, self.blocks, For(stack, stacks, add, SERIAL), SERIAL)
        code += [Alloc(sums), self._clear(sums, self.channels), For(image, self.images, block(*fills, tiles), SERIAL)]
        return For(var, self.groups, block(*code, self._finish(sums, g, Index({}), Index({}), self.channels)), PARALLEL)

    def _shared_out(self) -> Stmt:
        """Share out groups, tiles of channels of the cotangent and ranges of channels of the image."""
        depth, tile = self.range, self.tile
        ranges, stacks = self.depth // depth, self.channels // tile.outputs
        var, total = Var("part"), self.groups * stacks * ranges
        each = Index.axis(var, total)
        g, m, c = each // (stacks * ranges), each // ranges % stacks * tile.outputs, each % ranges * depth
        places = [
            self._lay_out(source, planes, count, base)
            for source, planes, count, base in (
                (self.sources[0], self.planes, self.depth * self.groups, g * self.depth),
                (self.sources[1], self.cotangents, self.channels * self.groups, g * self.channels),
            )
        ]
        sums = self._sums(tile.outputs)
        chunk, chunks = Var("chunk"), self.images // self.together * self.blocks
        at = Index.axis(chunk, chunks)
        start = (at // self.blocks * self.together, at % self.blocks)
        add = self._add_chunk(places, m, c, start, self.together, sums, Index({}))
        code = block(Alloc(sums), self._clear(sums, tile.outputs), For(chunk, chunks, add, SERIAL))
        return For(var, total, block(code, self._finish(sums, g, m, c, tile.outputs)), PARALLEL)

    def _sums(self, outputs: int) -> Buffer:
        """Return an array of one vector for each sum, and some more to fill squares of vectors."""
        lines = -(-outputs * self.range * self._taps // self.lanes) * self.lanes
        return Buffer("sums", TensorType(self.dtype, (lines, self.lanes)), Space.STACK)

    def _clear(self, sums: Buffer, outputs: int) -> Stmt:
        """Return the loop that clears the sums of some channels; of those that are made at once, what is left over."""
        first = outputs * self.range * self._taps if self._is_one_chunk else 0
        line, lane = Var("line"), Var("lane")
        count = sums.shape[0] - first
        if not count:
            return block()
        at = (Index.axis(line, count) + first).to_expr()
        return For(line, count, For(lane, self.lanes, Store(sums, (at, lane), const(0, self.dtype)), VECTOR), SERIAL)

    def _lay_out(self, source: Strided, planes: Planes, channels: int, base: Index) -> _Place:
        """Lay an operand out in an array of its own."""
        step = planes.count * planes.size
        total = self.images * channels
        copy = Temporary(TensorType(self.dtype, (total * step,)))
        operands = Operands()
        var = Var("plane")
        each = Index.axis(var, total)
        buffer = operands.buffer(copy)
        fill = planes.fill(buffer, each * step, source, (each // channels, each % channels), operands)
        kernel = Kernel(f"{self.name}_planes", tuple(operands.buffers.values()), For(var, total, fill, PARALLEL))
        self.before.append(Launch(kernel, tuple(operands.buffers), frozenset((copy,))))
        return _Place(self.operands.buffer(copy), channels * step, step, base * step)

    def _range(self) -> int:
        """Return how many channels of the image one iteration covers: few enough for its sums to lie on the stack and
        for WAYS iterations, if there are so many."""
        fitting = [
            d for d in range(self.depth, 0, -1)
            if self.depth % d == 0 and d * self._taps * 4 * self.vector_bytes <= SUMS_BYTES
        ] or [1]  # fmt: skip
        ways = self.groups * max(1, self.channels // 4)
        return next((d for d in fitting if ways * (self.depth // d) >= WAYS), fitting[-1])

    # Tiles.

    def _tile(self, depth: int) -> Tile:
        """Return the tile that costs least."""
        free = self.target.vector_registers - 2
        most_taps = max([run.count for run in self.across], default=1)
        best: tuple[float, Tile] | None = None
        for outputs in [d for d in range(1, 9) if self.channels % d == 0]:
            most = (free - outputs) // outputs
            if most < most_taps and outputs > 1:
                continue
            inputs = [
                next((d for d in range(depth, 0, -1) if depth % d == 0 and d * run.count <= most), 1)
                for run in self.across
            ]
            rows = all(
                c * run.count * down.count <= most
                for c, run in zip(inputs, self.across, strict=True)
                for down in self.down
            )
            cost = 0.0
            for (c, run), down in itertools.product(zip(inputs, self.across, strict=True), self.down):
                columns = c * run.count * (down.count if rows else 1)
                step = max(outputs * columns / 2, (outputs + columns) / 2, 4.0) + 0.15 * (outputs + columns)
                tiles = depth / c * (1 if rows else down.count) / outputs
                cost += tiles * (self.images * self.steps * step + CARRY * outputs * columns)
            if best is None or cost < best[0]:
                best = cost, Tile(outputs, tuple(inputs), rows)
        assert best is not None
        return best[1]

    def _add_chunk(
        self, places: Sequence[_Place], m: Index, c: Index, start: tuple[Index, Index], images: int, sums: Buffer,
        row: Index,
    ) -> Stmt:  # fmt: skip
        """Return the loops that add what a chunk, which begins at an image and a block of it, gives to all sums."""
        code: list[Stmt] = []
        for (inputs, across), down in itertools.product(zip(self.tile.inputs, self.across, strict=True), self.down):
            channel, y = Var("c"), Var("y")
            tiles = self.range // inputs
            own = Index.axis(channel, tiles) * inputs
            rows, outer = (down.count, 1) if self.tile.rows else (1, down.count)
            a = Index.axis(y, outer)
            dots = self._dots(inputs, rows, a, down, across, places, m, c, own, start, images, sums, row)
            code.append(For(channel, tiles, For(y, outer, dots, SERIAL), SERIAL))
        return block(*code)

    def _dots(
        self, inputs: int, rows: int, a: Index, down: Run, across: Run, places: Sequence[_Place], m: Index, c: Index,
        own: Index, start: tuple[Index, Index], images: int, sums: Buffer, row: Index,
    ) -> Stmt:  # fmt: skip
        """Return one tile of dot products: a tile's channels by `inputs` channels and some taps."""
        planes, lanes, outputs = self.planes, self.lanes, self.tile.outputs
        columns = inputs * rows * across.count
        acc = Buffer("acc", TensorType(self.dtype, (outputs * columns, lanes)), Space.REGISTER)
        image, step = Var("n"), Var("f")
        n = start[0] + Index.axis(image, images)
        first = (start[1] * self.steps + Index.axis(step, self.steps)) * lanes
        plane = planes.plane(down.phase, across.phase)

        def each(body: Callable[[Var, Var, Var, Var, Var], Stmt]) -> Stmt:
            o, i, r, x, j = (Var(name) for name in ("o", "i", "r", "x", "j"))
            inner: Stmt = For(j, lanes, body(o, i, r, x, j), VECTOR)
            for var, count in ((o, outputs), (x, across.count), (r, rows), (i, inputs)):
                inner = For(var, count, inner, UNROLL)
            return inner

        def register(o: Var, i: Var, r: Var, x: Var) -> Expr:
            column = (Index.axis(i, inputs) * rows + Index.axis(r, rows)) * across.count + Index.axis(x, across.count)
            return (Index.axis(o, outputs) * columns + column).to_expr()

        def sum_of(o: Var, i: Var, r: Var, x: Var) -> Expr:
            tap_row = (a + Index.axis(r, rows)) * down.weight_step + down.weight
            tap = tap_row * self.kernel[1] + Index.axis(x, across.count) * across.weight_step + across.weight
            channel = (row + Index.axis(o, outputs)) * self.range + own + Index.axis(i, inputs)
            return (channel * self._taps + tap).to_expr()

        def before(o: Var, i: Var, r: Var, x: Var, j: Var) -> Expr:
            return const(0, self.dtype) if self._is_one_chunk else Load(sums, (sum_of(o, i, r, x), j))

        def multiply(o: Var, i: Var, r: Var, x: Var, j: Var) -> Stmt:
            lane = first + Index.axis(j, lanes)
            tap_row = a + Index.axis(r, rows)
            offset = (tap_row * down.move + down.shift) * planes.pitch + Index.axis(x, across.count) * across.move
            seen = offset + lane + (across.shift + planes.origin + plane * planes.size)
            left = places[1].load(n, m + Index.axis(o, outputs), lane)
            right = places[0].load(n, c + own + Index.axis(i, inputs), seen)
            return Accumulate(acc, (register(o, i, r, x), j), "add", Apply("mul", (left, right), self.dtype))

        return block(
            Alloc(acc),
            each(lambda o, i, r, x, j: Store(acc, (register(o, i, r, x), j), before(o, i, r, x, j))),
            For(image, images, For(step, self.steps, each(multiply), SERIAL), SERIAL),
            each(lambda o, i, r, x, j: Store(sums, (sum_of(o, i, r, x), j), Load(acc, (register(o, i, r, x), j)))),
        )

    def _finish(self, sums: Buffer, g: Index, m: Index, c: Index, outputs: int) -> Stmt:
        """Return the loops that add up lanes and finish some channels."""
        lines, lanes, count = sums.shape[0], self.lanes, self.range * self._taps
        height, width = self.kernel
        totals = Buffer("totals", TensorType(self.dtype, (lines,)), Space.STACK)
        square = Buffer("square", TensorType(self.dtype, (lanes, lanes)), Space.REGISTER)
        k, r, lane, o, j = (Var(name) for name in ("k", "r", "lane", "o", "j"))
        first = Index.axis(k, lines // lanes) * lanes
        load = Store(square, (r, lane), Load(sums, ((first + Index.axis(r, lanes)).to_expr(), lane)))
        # A vector of sums is the sum of the columns of a square of lines.
        columns: list[Expr] = [Load(square, (r, Const(c))) for c in range(lanes)]
        while len(columns) > 1:
            columns = [Apply("add", (a, b), self.dtype) for a, b in zip(columns[::2], columns[1::2], strict=True)]
        fold = block(
            Alloc(square),
            For(r, lanes, For(lane, lanes, load, VECTOR), UNROLL),
            For(r, lanes, Store(totals, ((first + Index.axis(r, lanes)).to_expr(),), columns[0]), VECTOR),
        )
        along, output = Index.axis(j, count), Index.axis(o, outputs)
        place = (
            g * self.channels + m + output,
            c + along // width // height,
            along // width % height,
            along % width,
        )
        total = Load(totals, ((output * count + along).to_expr(),))
        finish = For(o, outputs, For(j, count, block(*self.epilogue.finish(total, place)), VECTOR), SERIAL)
        return block(Alloc(totals), For(k, lines // lanes, fold, SERIAL), finish)


@dataclass(frozen=True)
class _Place:
    """Where an operand lies: element `at` of channel c of image n is at n * image + c * channel + base + at."""

    buffer: Buffer
    image: int
    channel: int
    base: Index

    def load(self, n: Index, c: Index, at: Index) -> Expr:
        return Load(self.buffer, ((n * self.image + c * self.channel + self.base + at).to_expr(),))


def _pieces(run: Run) -> list[Run]:
    """Cut a long run of taps into equal ones."""
    count = -(-run.count // MOST_TAPS)
    length = -(-run.count // count)
    return [
        Run(run.weight + k * run.weight_step, run.weight_step, min(length, run.count - k), run.phase,
            run.shift + k * run.move, run.move)
        for k in range(0, run.count, length)
    ]  # fmt: skip
