"""Convolutions, and their gradients with respect to the input, to loop nests.

Both are sums over taps of a moved image times a weight. With the image laid out in `planes`, what a tap meets is one
contiguous run, so the result is made in tiles that stay in vector registers, whatever the stride or dilation:

    for each image and group: for each tile of channels, rows and columns:
        acc[channel, row, column] = 0
        for each channel c of the image, for each tap t:
            acc += weight[channel, c, t] * plane[c][start of the tile + offset of t, ...]
        store epilogue(acc)

The gradient with respect to the input is the same over the cotangent, in stride x stride parts: elements of one phase
of the input meet the taps of their own. So is the gradient with respect to a weight that is larger than the result: its
elements are positions, positions of the cotangent are taps, stride and dilation trade places, and images are summed.
Images without padding and stride are read where they are; small ones are laid out on the stack, by who reads them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    Expr,
    For,
    Kernel,
    Load,
    LoopKind,
    Space,
    Stmt,
    Store,
    Var,
    block,
    const,
)
from graphc.ir.types import TensorType
from graphc.lower.conv_tiles import Shape, Tile, choose_tile
from graphc.lower.epilogue import Epilogue
from graphc.lower.operands import Operands
from graphc.lower.planes import LOCAL_BYTES, Axis, Planes, Run, runs
from graphc.lower.strides import Strided, strided
from graphc.lower.work import Launch, Temporary
from graphc.target import Target

STEP_MULTIPLICATIONS = 16
"""Vector multiply-adds in a row at least, by writing out taps: then the loops themselves cost little."""

MOST_MULTIPLICATIONS = 160
"""Vector multiply-adds in a row at most: code takes time to compile."""

WAYS = 16
"""Iterations to share out that are enough for an even split."""


@dataclass(frozen=True)
class Part:
    """Elements start + step * p of the result along both spatial axes, p < count, and the taps that they meet."""

    start: tuple[int, int]
    step: tuple[int, int]
    count: tuple[int, int]
    runs: tuple[list[Run], list[Run]]

    @property
    def taps(self) -> int:
        return math.prod([sum([r.count for r in along]) for along in self.runs])


def parts_of_output(node_shape: Sequence[int], kernel: Sequence[int], attrs: dict[str, tuple[int, ...]]) -> list[Part]:
    """Return the one part of a convolution's result."""
    along = [
        runs([(k, (k * d - low) % s, (k * d - low) // s) for k in range(extent)])
        for extent, s, d, low in zip(kernel, attrs["stride"], attrs["dilation"], attrs["low"], strict=True)
    ]
    return [Part((0, 0), (1, 1), (node_shape[2], node_shape[3]), (along[0], along[1]))]


def parts_of_input(node_shape: Sequence[int], kernel: Sequence[int], attrs: dict[str, tuple[int, ...]]) -> list[Part]:
    """Return the parts of the gradient with respect to the input: one for each phase of the stride."""
    stride, dilation, low = attrs["stride"], attrs["dilation"], attrs["low"]
    parts: list[Part] = []
    for phases in itertools.product(*map(range, stride)):
        along = [
            runs([(k, 0, (r + before - k * d) // s) for k in range(extent) if (r + before - k * d) % s == 0])
            for extent, r, s, d, before in zip(kernel, phases, stride, dilation, low, strict=True)
        ]
        count = [-(-(n - r) // s) for n, r, s in zip(node_shape[2:], phases, stride, strict=True)]
        if min(count) > 0:
            start, step = (phases[0], phases[1]), (stride[0], stride[1])
            parts.append(Part(start, step, (count[0], count[1]), (along[0], along[1])))
    return parts


def axis_of(parts: Sequence[Part], axis: int, extent: int, stride: int) -> Axis:
    """Return what all parts together need of an axis of the moved image."""
    shifts = [(r.shifts, part.count[axis]) for part in parts for r in part.runs[axis]]
    low = min([first for (first, _), _ in shifts], default=0)
    return Axis(extent, stride, low, max([last + count - 1 for (_, last), count in shifts], default=0))


def lower_convolution(group: Group, name: str, target: Target) -> list[Launch]:
    """Return the kernels of a group around a convolution of any role."""
    return _Convolution(group, name, target).launches()


class _Convolution:
    def __init__(self, group: Group, name: str, target: Target) -> None:
        hero = group.hero
        assert hero is not None
        assert isinstance(hero.op, Convolution)
        self.hero, self.name, self.target = hero, name, target
        self.operands = Operands()
        self.epilogue = Epilogue(group, self.operands)
        self.group = group
        self.dtype = hero.dtype
        self.lanes = target.lanes(self.dtype.itemsize)
        self.before: list[Launch] = []
        self.role = hero.op.role
        moved, weight = hero.inputs
        self.moved, self.weight = strided(moved), strided(weight)
        self.groups, attrs, stride = hero.attrs["groups"], dict(hero.attrs), hero.attrs["stride"]
        if self.role == "weight":
            self.images, self.depth, self.channels = hero.shape[1], moved.shape[0], hero.shape[0] // self.groups
            attrs["stride"], attrs["dilation"] = attrs["dilation"], attrs["stride"]
            stride = attrs["stride"]
        else:
            self.images = hero.shape[0]
            self.depth, self.channels = moved.shape[1] // self.groups, hero.shape[1] // self.groups
        if self.role == "input":
            self.parts, stride = parts_of_input(hero.shape, weight.shape[2:], attrs), (1, 1)
        else:
            self.parts = parts_of_output(hero.shape, weight.shape[2:], attrs)
        axes = [axis_of(self.parts, k, moved.shape[2 + k], stride[k]) for k in range(2)]
        self.planes = Planes(axes[0], axes[1])
        self.local: Buffer | None = None
        self.arranged: Strided | None = None

    def launches(self) -> list[Launch]:
        """Return the kernels, the one that lays the image out first if there is one."""
        body = self._arrange()
        kernel = Kernel(self.name, tuple(self.operands.buffers.values()), body)
        launch = Launch(
            kernel,
            tuple(self.operands.buffers),
            frozenset(self.group.outputs),
            self.epilogue.same_index(),
            tuple(self.operands.sites.found),
        )
        return [*self.before, launch]

    # Where the image lies, and what is shared out.

    def _arrange(self) -> Stmt:
        planes = self.planes
        is_plain = planes.count == 1 and planes.rows.is_inside and planes.columns.is_inside
        if is_plain and self.moved.strides[3] == 1:
            return self._shared_out()
        size = self.depth * planes.count * planes.size
        if size * self.dtype.itemsize <= LOCAL_BYTES and self.images * self.groups >= WAYS:
            self.local = Buffer("image", TensorType(self.dtype, (size,)), Space.STACK)
            return self._each_image()
        self._copy()
        return self._shared_out()

    def _copy(self) -> None:
        """Lay all images out in an array of their own."""
        planes = self.planes
        images, channels = self.hero.inputs[0].shape[:2]
        total = images * channels
        copy = Temporary(TensorType(self.dtype, (total * planes.count * planes.size,)))
        operands = Operands()
        var = Var("plane")
        each = Index.axis(var, total)
        target = operands.buffer(copy)
        start = each * (planes.count * planes.size)
        fill = planes.fill(target, start, self.moved, (each // channels, each % channels), operands)
        kernel = Kernel(f"{self.name}_planes", tuple(operands.buffers.values()), For(var, total, fill, PARALLEL))
        self.before.append(Launch(kernel, tuple(operands.buffers), frozenset((copy,))))
        step = planes.count * planes.size
        self.arranged = Strided(copy, (channels * step, step, planes.pitch, 1), planes.origin)

    def _each_image(self) -> Stmt:
        """Share out images and groups; each iteration lays its own out first."""
        assert self.local is not None
        var, channel = Var("image"), Var("c")
        each = Index.axis(var, self.images * self.groups)
        n, g = each // self.groups, each % self.groups
        c = Index.axis(channel, self.depth)
        step = self.planes.count * self.planes.size
        fill = self.planes.fill(self.local, c * step, self.moved, self._seen(n, g, c), self.operands)
        code: list[Stmt] = [Alloc(self.local), For(channel, self.depth, fill, SERIAL)]
        code += [self._whole(part, n, g) for part in self.parts]
        return For(var, self.images * self.groups, block(*code), PARALLEL)

    def _shared_out(self) -> Stmt:
        """Share out images, groups, rows of tiles, and where those are few or weights many, tiles of channels too."""
        weights = int(self.hero.inputs[1].tensor_type.nbytes)
        is_heavy = weights > self.target.l2_bytes // 2
        first = self._tile_for(self.parts[0], divides=False)
        rows = self.parts[0].count[0] // first.lines if len(self.parts) == 1 else 1
        if self.images * self.groups * rows >= WAYS and not is_heavy:
            return self._by_rows(first, rows)
        tiles = [self._tile_for(part, divides=True) for part in self.parts]
        if len({t.channels for t in tiles}) > 1:
            least = min(t.channels for t in tiles)
            tiles = [replace(t, channels=least) for t in tiles]
        return self._by_channels(tiles)

    def _by_rows(self, tile: Tile, rows: int) -> Stmt:
        var, total = Var("tiles"), self.images * self.groups * rows
        each = Index.axis(var, total)
        n, g, p = each // (self.groups * rows), each // rows % self.groups, each % rows * tile.lines
        if len(self.parts) == 1:
            return For(var, total, self._over_channels(self.parts[0], tile, n, g, p), PARALLEL)
        return For(var, total, block(*[self._whole(part, n, g) for part in self.parts]), PARALLEL)

    def _by_channels(self, tiles: list[Tile]) -> Stmt:
        """Share out tiles of channels as well, those that use the same weights next to each other."""
        stacks = self.channels // tiles[0].channels
        rows = self.parts[0].count[0] // tiles[0].lines if len(self.parts) == 1 else 1
        total = stacks * self.groups * self.images * rows
        var, down = Var("tiles"), Var("p")
        each = Index.axis(var, total)
        m = each // (rows * self.images * self.groups) * tiles[0].channels
        g, n, p = each // (rows * self.images) % self.groups, each // rows % self.images, each % rows
        if len(self.parts) == 1:
            return For(var, total, self._row(self.parts[0], tiles[0], (n, g, m, p * tiles[0].lines)), PARALLEL)
        code: list[Stmt] = []
        for part, tile in zip(self.parts, tiles, strict=True):
            count = part.count[0] // tile.lines
            row = self._row(part, tile, (n, g, m, Index.axis(down, count) * tile.lines))
            code.append(For(down, count, row, SERIAL))
        return For(var, total, block(*code), PARALLEL)

    # Tiles.

    def _tile_for(self, part: Part, *, divides: bool) -> Tile:
        pitch: int | None
        if self.local is not None or self.arranged is not None:
            pitch = self.planes.pitch
        elif self.planes.count == 1 and self.moved.strides[3] == 1 and self.planes.rows.is_inside:
            pitch = self.moved.strides[2]
        else:
            pitch = self.planes.pitch
        if pitch < part.count[1]:
            pitch = None  # an image that lies in memory in another way
        depth = self.depth * part.taps
        shape = Shape(self.channels, part.count[0], part.count[1], depth, pitch)
        return choose_tile(shape, self.lanes, self.target, divides=divides)

    def _whole(self, part: Part, n: Index, g: Index) -> Stmt:
        """Return all tiles of a part for one image and group."""
        tile = self._tile_for(part, divides=False)
        var, count = Var("p"), part.count[0] // tile.lines
        return For(var, count, self._over_channels(part, tile, n, g, Index.axis(var, count) * tile.lines), SERIAL)

    def _over_channels(self, part: Part, tile: Tile, n: Index, g: Index, p: Index) -> Stmt:
        """Return the tiles of some rows, with all channels of a group."""
        whole, rest = divmod(self.channels, tile.channels)
        var = Var("stack")
        code: list[Stmt] = []
        if whole:
            m = Index.axis(var, whole) * tile.channels
            code.append(For(var, whole, self._row(part, tile, (n, g, m, p)), SERIAL))
        if rest:
            code.append(self._row(part, replace(tile, channels=rest), (n, g, Index({}, whole * tile.channels), p)))
        return block(*code)

    def _row(self, part: Part, tile: Tile, at: tuple[Index, Index, Index, Index]) -> Stmt:
        """Return the tiles next to each other from one row on."""
        whole, rest = (1, 0) if tile.runs_on else divmod(part.count[1], tile.width)
        code: list[Stmt] = []
        if whole:
            var = Var("column")
            tiles = self._tile(part, tile, (*at, Index.axis(var, whole) * tile.width))
            code.append(For(var, whole, tiles, SERIAL))
        if rest:
            code.append(self._tile(part, replace(tile, width=rest), (*at, Index({}, whole * tile.width))))
        return block(*code)

    def _tile(self, part: Part, tile: Tile, at: tuple[Index, Index, Index, Index, Index]) -> Stmt:
        lines = 1 if tile.runs_on else tile.lines
        acc = Buffer("acc", TensorType(self.dtype, (tile.channels, lines, tile.width)), Space.REGISTER)
        zero = const(0, self.dtype)

        def each(body: Callable[[Var, Var, Var], list[Stmt]], kind: LoopKind = UNROLL) -> Stmt:
            m, r, j = Var("m"), Var("r"), Var("j")
            inner = For(j, tile.width, block(*body(m, r, j)), VECTOR)
            return For(m, tile.channels, For(r, lines, inner, kind), kind)

        clear = each(lambda m, r, j: [Store(acc, (m, r, j), zero)])
        total = self._sum(
            part,
            tile,
            at,
            lambda factors: each(
                lambda m, r, j: [Accumulate(acc, (m, r, j), "add", Apply("mul", factors(m, r, j), self.dtype))]
            ),
        )
        return block(Alloc(acc), clear, total, *self._finish(part, tile, at, acc, each))

    def _sum(
        self, part: Part, tile: Tile, at: tuple[Index, ...],
        multiply: Callable[[Callable[[Var, Var, Var], tuple[Expr, Expr]]], Stmt],
    ) -> Stmt:  # fmt: skip
        """Return the loops over channels of the image and taps."""
        n, g, m0, p, q = at
        channel = Var("c")
        c = Index.axis(channel, self.depth)
        registers = tile.channels * tile.vectors(self.lanes)
        taps_across = sum([r.count for r in part.runs[1]])
        unroll_across = taps_across * registers <= MOST_MULTIPLICATIONS
        unroll_down = unroll_across and taps_across * registers < STEP_MULTIPLICATIONS * 2
        code: list[Stmt] = []
        for down, across in itertools.product(*part.runs):
            y, x = Var("y"), Var("x")
            a, b = Index.axis(y, down.count), Index.axis(x, across.count)
            tap = (a * down.weight_step + down.weight, b * across.weight_step + across.weight)
            row, column = p + a * down.move + down.shift, q + b * across.move + across.shift
            plane = self.planes.plane(down.phase, across.phase)

            def factors(
                m: Var, r: Var, j: Var, tap: tuple[Index, Index] = tap, row: Index = row, column: Index = column,
                plane: int = plane,
            ) -> tuple[Expr, Expr]:  # fmt: skip
                height = row if tile.runs_on else row + Index.axis(r, tile.lines)
                width = column + Index.axis(j, tile.width)
                return self._weight(g, m0 + Index.axis(m, tile.channels), c, tap), self._image(
                    n, g, c, plane, height, width
                )

            step = For(x, across.count, multiply(factors), UNROLL if unroll_across else SERIAL)
            is_short = unroll_down and down.count * taps_across * registers <= MOST_MULTIPLICATIONS
            code.append(For(y, down.count, step, UNROLL if is_short else SERIAL))
        return For(channel, self.depth, block(*code), SERIAL)

    def _weight(self, g: Index, m: Index, c: Index, tap: tuple[Index, Index]) -> Expr:
        channels = {
            "output": (g * self.channels + m, c),
            "input": (g * self.depth + c, m),
            "weight": (c, g * self.channels + m),
        }
        return self.weight.load(self.operands, (*channels[self.role], *tap))

    def _seen(self, n: Index, g: Index, c: Index) -> tuple[Index, Index]:
        """Return the image and the channel that are read for summand c of image n of the result."""
        return (c, g * self.images + n) if self.role == "weight" else (n, g * self.depth + c)

    def _image(self, n: Index, g: Index, c: Index, plane: int, row: Index, column: Index) -> Expr:
        planes = self.planes
        if self.local is not None:
            start = c * (planes.count * planes.size) + plane * planes.size + planes.origin
            return Load(self.local, ((start + row * planes.pitch + column).to_expr(),))
        seen = self._seen(n, g, c)
        if self.arranged is None:
            return self.moved.load(self.operands, (*seen, row, column))
        place = self.arranged.index((*seen, row, column)) + plane * planes.size
        return Load(self.operands.buffer(self.arranged.operand), (place.to_expr(),))

    def _finish(
        self, part: Part, tile: Tile, at: tuple[Index, ...], acc: Buffer,
        each: Callable[..., Stmt],
    ) -> list[Stmt]:  # fmt: skip
        n, g, m0, p, q = at

        def place(m: Index, row: Index, column: Index) -> tuple[Index, ...]:
            rows, columns = (
                i * step + start for i, step, start in zip((p + row, q + column), part.step, part.start, strict=True)
            )
            channel = g * self.channels + m0 + m
            return (channel, n, rows, columns) if self.role == "weight" else (n, channel, rows, columns)

        if not tile.runs_on and self.epilogue.is_short:
            return [
                each(
                    lambda m, r, j: self.epilogue.finish(
                        Load(acc, (m, r, j)),
                        place(Index.axis(m, tile.channels), Index.axis(r, tile.lines), Index.axis(j, tile.width)),
                    )
                )
            ]
        # By way of a small array in the first-level cache: to leave out what lies between rows, or as it is much code.
        spill = Buffer("tile", acc.type, Space.STACK)
        store = each(lambda m, r, j: [Store(spill, (m, r, j), Load(acc, (m, r, j)))])
        width = part.count[1] if tile.runs_on else tile.width
        pitch = (tile.width - part.count[1]) // (tile.lines - 1) if tile.runs_on else 0
        m, r, j = Var("m"), Var("r"), Var("j")
        channel, line, column = Index.axis(m, tile.channels), Index.axis(r, tile.lines), Index.axis(j, width)
        where = (m, Index({}).to_expr(), (line * pitch + column).to_expr()) if tile.runs_on else (m, r, j)
        inner = For(j, width, block(*self.epilogue.finish(Load(spill, where), place(channel, line, column))), VECTOR)
        return [Alloc(spill), store, For(m, tile.channels, For(r, tile.lines, inner, SERIAL), SERIAL)]
