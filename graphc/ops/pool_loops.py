"""The loops of pooling: one image of each channel at a time, which is what is shared out among threads.

Where a window may reach outside, reads are masked; along the last axis the ends, where that is so, are loops of their
own. `pool_put` goes over the elements of its result and asks each window that contains one whether it chose it, so that
two of its iterations never write to one place; only where strides are large it adds up, image by image, in order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.loops import (
    PARALLEL,
    SERIAL,
    UNROLL,
    VECTOR,
    Accumulate,
    Apply,
    Buffer,
    Const,
    Expr,
    For,
    If,
    Let,
    Load,
    Stmt,
    Store,
    Var,
    add,
    apply,
    block,
    const,
    linear,
)
from graphc.ir.types import BOOL, INT64, as_dtype
from graphc.ops.conv import valid

INDEX = as_dtype("int32")


def lowest(dtype: np.dtype[Any]) -> Any:
    """Return the identity of a maximum."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


MOST_RESIDUES = 16
"""Places within a stride up to which `pool_put` writes out the loops over the elements there."""


@dataclass(frozen=True)
class _Tap:
    """An element of the window along one axis: it meets place `var * step + shift` of an axis of `extent` elements."""

    number: int
    step: int
    shift: int
    extent: int

    def place(self, var: Expr, start: int = 0) -> Expr:
        return linear([(var, self.step)], start * self.step + self.shift)

    def inside(self, first: int, end: int) -> bool:
        """Whether it is inside for all values of the variable from first to end - 1."""
        return first * self.step + self.shift >= 0 and (end - 1) * self.step + self.shift < self.extent

    def is_inside(self, place: Expr) -> Expr:
        return apply("and", apply("ge", place, Const(0)), apply("lt", place, Const(self.extent)))


@dataclass(frozen=True)
class _Element:
    """An element of a window: its number there and its place.

    mask    whether it is inside along the last axis, None if it always is
    inside  the same along the axes before: a place outside is moved in, so that only what is read need be dropped
    """

    number: Const
    places: tuple[Expr, ...]
    mask: Expr | None
    inside: Expr | None

    @property
    def exists(self) -> Expr | None:
        return _both(self.mask, self.inside)

    def read(self, buffer: Buffer, lead: tuple[Expr, ...], fill: Const) -> Expr:
        """Return the element at this place, or `fill` where there is none."""
        value = Load(buffer, (*lead, *self.places), self.mask, fill if self.mask is not None else None)
        return value if self.inside is None else apply("select", self.inside, value, fill)


Visit = Callable[[_Element], list[Stmt]]


def _both(a: Expr | None, b: Expr | None) -> Expr | None:
    return b if a is None else a if b is None else apply("and", a, b)


def _taps(window: int, extent: int, stride: int, dilation: int, low: int) -> tuple[_Tap, ...]:
    return tuple([_Tap(k, stride, k * dilation - low, extent) for k in range(window)])


def _number(taps: tuple[_Tap, ...], window: Any) -> Const:
    number = 0
    for tap, extent in zip(taps, window, strict=True):
        number = number * extent + tap.number
    return const(number, INDEX)


def _lead(shape: tuple[int, ...], body: Callable[[tuple[Expr, ...]], Stmt]) -> Stmt:
    """Return a loop over all leading axes as one."""
    var, total = Var("image"), math.prod(shape)
    places: list[Expr] = []
    left: Expr = var
    for k, extent in reversed(list(enumerate(shape))):
        places.append(left if k == 0 else Apply("rem", (left, Const(extent)), INT64))
        left = Apply("quot", (left, Const(extent)), INT64)
    return For(var, total, body(tuple(reversed(places))), PARALLEL)


def _rows(counts: tuple[int, ...], body: Callable[[tuple[Var, ...]], Stmt]) -> Stmt:
    """Return loops over all spatial axes but the last."""
    variables = tuple([Var(f"p{k}") for k in range(len(counts))])
    stmt = body(variables)
    for var, count in zip(reversed(variables), reversed(counts), strict=True):
        stmt = For(var, count, stmt, SERIAL)
    return stmt


def _segments(taps: tuple[_Tap, ...], count: int) -> list[tuple[int, int]]:
    """Cut an axis where the first of the taps becomes masked or the last one stops to be."""
    ends = [valid(t.extent, count, t.shift, t.step) for t in taps]
    first, last = max([0, *[a for a, _ in ends]]), min([count, *[b for _, b in ends]])
    cuts = sorted({0, first, last, count}) if first < last else [0, count]
    return [(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def _over_windows(
    taps: tuple[tuple[_Tap, ...], ...], window: Any, counts: tuple[int, ...],
    element: Callable[[tuple[Expr, ...], Callable[[Visit], list[Stmt]]], list[Stmt]],
) -> Stmt:  # fmt: skip
    """Return loops over `counts` with `element` for each, which is given where it is and how to visit the taps."""

    def row(outer: tuple[Var, ...]) -> Stmt:
        return block(*[segment(outer, a, b) for a, b in _segments(taps[-1], counts[-1])])

    def segment(outer: tuple[Var, ...], first: int, end: int) -> Stmt:
        var = Var("q")
        starts = (*[0] * len(outer), first)
        ranges = [*[(0, c) for c in counts[:-1]], (first, end)]
        variables = (*outer, var)

        def visit_all(visit: Visit) -> list[Stmt]:
            code: list[Stmt] = []
            for chosen in itertools.product(*taps):
                places = [t.place(v, s) for t, v, s in zip(chosen, variables, starts, strict=True)]
                inside: Expr | None = None
                for k, tap in enumerate(chosen[:-1]):
                    if not tap.inside(*ranges[k]):
                        inside = _both(inside, tap.is_inside(places[k]))
                        places[k] = apply("min", apply("max", places[k], Const(0)), Const(tap.extent - 1))
                last = chosen[-1]
                mask = None if last.inside(*ranges[-1]) else last.is_inside(places[-1])
                code += visit(_Element(_number(chosen, window), tuple(places), mask, inside))
            return code

        position = (*outer, add(var, Const(first)))
        return For(var, end - first, block(*element(position, visit_all)), VECTOR)

    return _rows(counts[:-1], row)


def _forward_taps(x: Buffer, window: Any, stride: Any, dilation: Any, low: Any) -> tuple[tuple[_Tap, ...], ...]:
    extents = x.shape[len(x.shape) - len(window) :]
    return tuple([_taps(*each) for each in zip(window, extents, stride, dilation, low, strict=True)])


def nest_max(inputs: tuple[Buffer, ...], output: Buffer, *, window: Any, shape: Any, **attrs: Any) -> Stmt:
    (x,) = inputs
    taps, dtype = _forward_taps(x, window, **attrs), x.type.dtype
    start = const(lowest(dtype), dtype)

    def image(lead: tuple[Expr, ...]) -> Stmt:
        def element(position: tuple[Expr, ...], visit_all: Callable[[Visit], list[Stmt]]) -> list[Stmt]:
            best: list[Expr] = []

            def visit(seen: _Element) -> list[Stmt]:
                value = seen.read(x, lead, start)
                largest = Var(f"best{len(best)}", dtype)
                best.append(largest)
                return [Let(largest, apply("max", best[-2], value) if len(best) > 1 else value)]

            code = visit_all(visit)
            return [*code, Store(output, (*lead, *position), best[-1])]

        return _over_windows(taps, window, shape, element)

    return _lead(x.shape[: len(x.shape) - len(window)], image)


def nest_index(inputs: tuple[Buffer, ...], output: Buffer, *, window: Any, shape: Any, **attrs: Any) -> Stmt:
    (x,) = inputs
    taps, dtype = _forward_taps(x, window, **attrs), x.type.dtype
    start = const(lowest(dtype), dtype)

    def image(lead: tuple[Expr, ...]) -> Stmt:
        def element(position: tuple[Expr, ...], visit_all: Callable[[Visit], list[Stmt]]) -> list[Stmt]:
            at: list[Expr] = []
            best: list[Expr] = []
            doubt: list[bool] = []  # whether no element may have been found yet

            def visit(seen: _Element) -> list[Stmt]:
                number, exists = seen.number, seen.exists
                value = Var(f"x{len(at)}", dtype)
                code: list[Stmt] = [Let(value, seen.read(x, lead, start))]
                if not at:
                    none = const(-1, INDEX)
                    at.append(number if exists is None else apply("select", exists, number, none))
                    best.append(value)
                    doubt.append(exists is not None)
                    return code
                better: Expr = apply("gt", value, best[-1])
                if dtype.kind == "f":
                    first_nan = apply("and", apply("ne", value, value), apply("eq", best[-1], best[-1]))
                    better = apply("or", better, first_nan)
                if doubt[-1]:
                    better = apply("or", better, apply("lt", at[-1], const(0, INDEX)))
                if exists is not None:
                    better = apply("and", better, exists)
                index, largest = Var(f"at{len(at)}", INDEX), Var(f"best{len(at)}", dtype)
                code += [Let(index, apply("select", better, number, at[-1]))]
                code += [Let(largest, apply("select", better, value, best[-1]))]
                at.append(index)
                best.append(largest)
                doubt.append(doubt[-1] and exists is not None)
                return code

            code = visit_all(visit)
            result = apply("max", at[-1], const(0, INDEX)) if doubt[-1] else at[-1]
            return [*code, Store(output, (*lead, *position), result)]

        return _over_windows(taps, window, shape, element)

    return _lead(x.shape[: len(x.shape) - len(window)], image)


def nest_take(inputs: tuple[Buffer, ...], output: Buffer, *, window: Any, shape: Any, **attrs: Any) -> Stmt:
    x, index = inputs
    taps, dtype = _forward_taps(x, window, **attrs), x.type.dtype
    zero = const(0, dtype)

    def image(lead: tuple[Expr, ...]) -> Stmt:
        def element(position: tuple[Expr, ...], visit_all: Callable[[Visit], list[Stmt]]) -> list[Stmt]:
            taken: list[Expr] = [zero]
            at = Var("at", INDEX)

            def visit(seen: _Element) -> list[Stmt]:
                found = Var(f"taken{len(taken)}", dtype)
                taken.append(found)
                is_chosen = apply("eq", at, seen.number)
                return [Let(found, apply("select", is_chosen, seen.read(x, lead, zero), taken[-2]))]

            code: list[Stmt] = [Let(at, Load(index, (*lead, *position))), *visit_all(visit)]
            return [*code, Store(output, (*lead, *position), taken[-1])]

        return _over_windows(taps, window, shape, element)

    return _lead(x.shape[: len(x.shape) - len(window)], image)


def nest_put(inputs: tuple[Buffer, ...], output: Buffer, *, window: Any, shape: Any, **attrs: Any) -> Stmt:
    y, index = inputs
    counts = y.shape[len(y.shape) - len(window) :]
    stride, dilation, low = attrs["stride"], attrs["dilation"], attrs["low"]
    lead = y.shape[: len(y.shape) - len(window)]
    if _is_apart(window, shape, counts, stride, dilation, low):
        return _lead(lead, lambda at: _put_apart(y, index, output, at, window, counts, stride, dilation))
    if math.prod(stride) > MOST_RESIDUES:
        return _lead(lead, lambda at: _put_each(y, index, output, at, window, shape, counts, stride, dilation, low))
    residues = itertools.product(*map(range, stride))
    nests = [(r, tuple([max(0, -(-(n - k) // s)) for n, k, s in zip(shape, r, stride, strict=True)])) for r in residues]
    return _lead(
        lead,
        lambda at: block(
            *[
                _put_residue(y, index, output, at, window, r, n, counts, stride, dilation, low)
                for r, n in nests
                if math.prod(n)
            ]
        ),
    )


def _put_residue(
    y: Buffer, index: Buffer, output: Buffer, lead: tuple[Expr, ...], window: Any, residue: tuple[int, ...],
    extents: tuple[int, ...], counts: tuple[int, ...], stride: Any, dilation: Any, low: Any,
) -> Stmt:  # fmt: skip
    """Return loops over the elements i * stride + residue of the result, which only some of the taps can choose."""
    dtype = y.type.dtype
    zero, none = const(0, dtype), const(-1, INDEX)
    taps = tuple(
        [
            tuple([_Tap(k, 1, (r + b - k * d) // s, n) for k in range(w) if (r + b - k * d) % s == 0])
            for w, r, n, s, d, b in zip(window, residue, counts, stride, dilation, low, strict=True)
        ]
    )

    def element(position: tuple[Expr, ...], visit_all: Callable[[Visit], list[Stmt]]) -> list[Stmt]:
        totals: list[Expr] = [zero]

        def visit(seen: _Element) -> list[Stmt]:
            is_chosen = apply("eq", seen.read(index, lead, none), seen.number)
            part = apply("select", is_chosen, seen.read(y, lead, zero), zero)
            total = Var(f"total{len(totals)}", dtype)
            totals.append(total)
            return [Let(total, apply("add", totals[-2], part) if len(totals) > 2 else part)]

        code = visit_all(visit)
        place = [linear([(p, s)], r) for p, s, r in zip(position, stride, residue, strict=True)]
        return [*code, Store(output, (*lead, *place), totals[-1])]

    return _over_windows(taps, window, extents, element)


def _is_apart(window: Any, shape: Any, counts: Any, stride: Any, dilation: Any, low: Any) -> bool:
    """Whether no two windows share an element and all lie inside."""
    return all(
        s > (w - 1) * d and not before and (n - 1) * s + (w - 1) * d < extent
        for w, extent, n, s, d, before in zip(window, shape, counts, stride, dilation, low, strict=True)
    )


def _put_apart(
    y: Buffer, index: Buffer, output: Buffer, lead: tuple[Expr, ...], window: Any, counts: Any, stride: Any,
    dilation: Any,
) -> Stmt:  # fmt: skip
    """Return loops over windows: each writes all of its elements."""
    dtype = y.type.dtype
    extents = output.shape[len(lead) :]
    taps = [Var(f"k{k}") for k in range(len(window))]
    code: list[Stmt] = []
    # Every element is in a window where windows are as long as strides, without holes, and the last one ends the axis.
    is_covered = all(
        n * s == e and w == s and (d == 1 or w == 1)
        for n, s, e, w, d in zip(counts, stride, extents, window, dilation, strict=True)
    )
    if not is_covered:
        code.append(_zeros(output, lead, extents))

    def row(outer: tuple[Var, ...]) -> Stmt:
        position = (*outer, Var("q"))
        number = Apply("cast", (linear(zip(taps, _strides(window), strict=True)),), INDEX)
        place = [linear([(p, s), (k, d)]) for p, s, k, d in zip(position, stride, taps, dilation, strict=True)]
        where = (*lead, *position)
        chosen = apply("eq", Load(index, where), number)
        store: Stmt = Store(output, (*lead, *place), apply("select", chosen, Load(y, where), const(0, dtype)))
        is_short = math.prod(window) <= MOST_RESIDUES
        if not is_short:
            store = For(position[-1], counts[-1], store, VECTOR)
        for var, extent in zip(reversed(taps), reversed(window), strict=True):
            store = For(var, extent, store, UNROLL if is_short else SERIAL)
        return For(position[-1], counts[-1], store, VECTOR) if is_short else store

    return block(*code, _rows(tuple(counts[:-1]), row))


def _put_each(
    y: Buffer, index: Buffer, output: Buffer, lead: tuple[Expr, ...], window: Any, shape: Any, counts: Any,
    stride: Any, dilation: Any, low: Any,
) -> Stmt:  # fmt: skip
    """Return loops over windows that add to the one element each has chosen: for large strides, where to ask each
    window would take more code than it saves time."""

    def row(outer: tuple[Var, ...]) -> Stmt:
        position = (*outer, Var("q"))
        where = (*lead, *position)
        chosen = Var("at")
        left: Expr = chosen
        first = Let(chosen, Apply("cast", (Load(index, where),), INT64))
        place: list[Expr] = []
        inside: Expr = Const(True, BOOL)
        for k in reversed(range(len(window))):
            tap = Apply("rem", (left, Const(window[k])), INT64) if k else left
            left = Apply("quot", (left, Const(window[k])), INT64)
            at = linear([(position[k], stride[k]), (tap, dilation[k])], -low[k])
            place.append(at)
            ok = apply("and", apply("ge", at, Const(0)), apply("lt", at, Const(shape[k])))
            inside = ok if isinstance(inside, Const) else apply("and", inside, ok)
        put = Accumulate(output, (*lead, *reversed(place)), "add", Load(y, where))
        return For(position[-1], counts[-1], block(first, If(inside, put)), SERIAL)

    return block(_zeros(output, lead, output.shape[len(lead) :]), _rows(tuple(counts[:-1]), row))


def _zeros(output: Buffer, lead: tuple[Expr, ...], extents: tuple[int, ...]) -> Stmt:
    def row(outer: tuple[Var, ...]) -> Stmt:
        var = Var("q")
        return For(var, extents[-1], Store(output, (*lead, *outer, var), const(0, output.type.dtype)), VECTOR)

    return _rows(extents[:-1], row)


def _strides(extents: Any) -> tuple[int, ...]:
    return tuple([math.prod(extents[k + 1 :]) for k in range(len(extents))])
