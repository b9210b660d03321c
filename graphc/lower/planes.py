"""Images laid out for convolution: padded, and taken apart by stride, so that what a tap meets is contiguous.

A tap of a kernel meets element (p * stride + offset) of an axis for p = 0, 1, ...: with offset = phase + shift *
stride, that is element p + shift of every stride-th element from `phase` on. An image so becomes stride x stride
planes, one for each pair of phases. In a plane, row u and column v (which may lie outside) are found at

    u * pitch + v + origin

with zeros where there is no element. The zeros after a row are also those before the next one: with that, positions
p * pitch + q of all rows together are one contiguous run for every tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.index import Index
from graphc.ir.loops import SERIAL, VECTOR, Apply, Buffer, Const, Expr, For, Load, Stmt, Store, Var, apply, block, const
from graphc.ir.types import BOOL
from graphc.lower.operands import Operands
from graphc.lower.strides import Strided

MOST_PHASES = 4
"""Phases, of both axes together, up to which each is copied by loops of its own."""


LOCAL_BYTES = 128 << 10
"""Planes of one iteration that lie on the stack, at most: in the second-level cache, and far from a stack's end."""

ALIGNED = 16
"""Planes take up a multiple of so many elements: a cache line of floats."""


@dataclass(frozen=True)
class Run:
    """Taps first, first + step, ... of one axis: all meet the plane of one phase, at shift, shift + move, ...

    weight  the number of the first tap in the kernel; weight_step from one to the next
    """

    weight: int
    weight_step: int
    count: int
    phase: int
    shift: int
    move: int

    @property
    def shifts(self) -> tuple[int, int]:
        """The least and the greatest shift."""
        last = self.shift + (self.count - 1) * self.move
        return min(self.shift, last), max(self.shift, last)


def runs(taps: Sequence[tuple[int, int, int]]) -> list[Run]:
    """Put taps, each a number in the kernel, a phase and a shift, into runs."""
    by_phase: dict[int, list[tuple[int, int]]] = {}
    for number, phase, shift in taps:
        by_phase.setdefault(phase, []).append((number, shift))
    found: list[Run] = []
    for phase, members in by_phase.items():
        # Within a phase taps and shifts are at equal distances: both are where k * dilation is a multiple of stride.
        (first, shift), count = members[0], len(members)
        step, move = (members[1][0] - first, members[1][1] - shift) if count > 1 else (0, 0)
        found.append(Run(first, step, count, phase, shift, move))
    return found


@dataclass(frozen=True)
class Axis:
    """What is needed of one axis of an image: elements low .. high (which may lie outside) of each phase."""

    extent: int
    stride: int
    low: int
    high: int

    @property
    def span(self) -> int:
        return self.high - self.low + 1

    def elements(self, phase: int) -> tuple[int, int]:
        """Return the first element that is needed of those that exist, and the end of them."""
        count = max(0, -(-(self.extent - phase) // self.stride))
        first = max(0, self.low)
        return first, max(first, min(count, self.high + 1))

    @property
    def before(self) -> int:
        """How many zeros come before the first element."""
        return max(0, -self.low)

    @property
    def after(self) -> int:
        """How many zeros come after the last element, of phase 0, which has the most."""
        return max(0, self.high + 1 - self.elements(0)[1]) if self.high >= 0 else 0

    @property
    def is_inside(self) -> bool:
        return self.low >= 0 and self.high * self.stride + self.stride <= self.extent + self.stride - 1


@dataclass(frozen=True)
class Planes:
    """The layout of one channel of one image; `slack` zeros follow, and rows are at least `least_pitch` apart."""

    rows: Axis
    columns: Axis
    slack: int = 0
    least_pitch: int = 1

    @property
    def pitch(self) -> int:
        first, end = self.columns.elements(0)
        return max(self.least_pitch, end - first + max(self.columns.before, self.columns.after))

    @property
    def origin(self) -> int:
        first, _ = self.columns.elements(0)
        return self.columns.before - first - self.rows.low * self.pitch

    @property
    def size(self) -> int:
        """Elements of one plane."""
        last = max(self.columns.before, self.columns.span - self.pitch)
        return -(-(self.rows.span * self.pitch + last + self.slack) // ALIGNED) * ALIGNED

    @property
    def count(self) -> int:
        return self.rows.stride * self.columns.stride

    def plane(self, row_phase: int, column_phase: int) -> int:
        """Return which of the planes has these phases."""
        return row_phase * self.columns.stride + column_phase

    def fill(
        self, target: Buffer, start: Index, source: Strided, image: tuple[Index, Index], operands: Operands
    ) -> Stmt:
        """Return the statements that lay out channel `image` = (n, c) of a source, from element `start` of target."""
        if self.count > MOST_PHASES:
            return self._fill_any(target, start, source, image, operands)
        code: list[Stmt] = []
        for rows in range(self.rows.stride):
            for columns in range(self.columns.stride):
                begin = start + self.plane(rows, columns) * self.size
                code += self._fill_plane(target, begin, source, image, operands, rows, columns)
        return block(*code)

    def _fill_plane(
        self, target: Buffer, start: Index, source: Strided, image: tuple[Index, Index], operands: Operands,
        row_phase: int, column_phase: int,
    ) -> list[Stmt]:  # fmt: skip
        zero = const(0, target.type.dtype)

        def zeros(first: Index, count: int) -> list[Stmt]:
            var = Var("z")
            at = (first + Index.axis(var, count)).to_expr()
            return [For(var, count, Store(target, (at,), zero), VECTOR)] if count > 0 else []

        (top, bottom), (left, right) = self.rows.elements(row_phase), self.columns.elements(column_phase)
        height, width = bottom - top, right - left
        if not height or not width:
            return zeros(start, self.size)
        u, v = Var("u"), Var("v")
        row, column = Index.axis(u, height) + top, Index.axis(v, width) + left
        place = start + self.origin + row * self.pitch
        element = source.load(
            operands, (*image, row * self.rows.stride + row_phase, column * self.columns.stride + column_phase)
        )
        copy = For(v, width, Store(target, ((place + column).to_expr(),), element), VECTOR)
        first = self.origin + top * self.pitch + left
        end = self.origin + bottom * self.pitch + left
        gap = zeros(place + right, self.pitch - width)
        return [*zeros(start, first), For(u, height, block(copy, *gap), SERIAL), *zeros(start + end, self.size - end)]

    def _fill_any(
        self, target: Buffer, start: Index, source: Strided, image: tuple[Index, Index], operands: Operands
    ) -> Stmt:
        """Return loops over all elements of all planes, for strides with many phases."""
        dtype = target.type.dtype
        rows, columns, height, width = (Var(n) for n in ("rows", "columns", "u", "v"))
        row_phase, column_phase = Index.axis(rows, self.rows.stride), Index.axis(columns, self.columns.stride)
        begin = start + (row_phase * self.columns.stride + column_phase) * self.size
        z = Var("z")
        clear = For(
            z, self.size, Store(target, ((begin + Index.axis(z, self.size)).to_expr(),), const(0, dtype)), VECTOR
        )
        row = Index.axis(height, self.rows.span) + self.rows.low
        column = Index.axis(width, self.columns.span) + self.columns.low
        place = (row * self.rows.stride + row_phase, column * self.columns.stride + column_phase)
        inside: Expr = Const(True, BOOL)
        for at, axis in zip(place, (self.rows, self.columns), strict=True):
            at_expr = at.to_expr()
            ok = apply("and", apply("ge", at_expr, Const(0)), apply("lt", at_expr, Const(axis.extent)))
            inside = ok if isinstance(inside, Const) else Apply("and", (inside, ok), BOOL)
        element = source.load(operands, (*image, *place))
        if isinstance(element, Load):
            element = Load(element.buffer, element.index, inside, const(0, dtype))
        else:
            element = apply("select", inside, element, const(0, dtype))
        store = Store(target, ((begin + self.origin + row * self.pitch + column).to_expr(),), element)
        body: Stmt = For(height, self.rows.span, For(width, self.columns.span, store, VECTOR), SERIAL)
        body = block(clear, body)
        for var, extent in ((columns, self.columns.stride), (rows, self.rows.stride)):
            body = For(var, extent, body, SERIAL)
        return body
