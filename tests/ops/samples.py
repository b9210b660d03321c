"""The op database: sample inputs of every operation. Tests that hold for all operations iterate over it.

A new operation needs one to three samples here and no test of its own: `test_ops.py` then compares native code,
folding, fusion, text and both derivative modes with the operation's reference. An operation without a sample
fails a test there.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.ir.graph import OPS, Graph, Node, placeholder
from graphc.ir.types import DTYPES, TensorType
from graphc.ops import shape
from graphc.ops.control import Rule, parameter

Array = np.ndarray[Any, Any]

LEAVES = frozenset(("placeholder", "variable", "constant", "item", "with_update"))
"""What computes nothing and needs no sample."""

F32, F64 = DTYPES["f32"], DTYPES["f64"]


@dataclass(frozen=True)
class Spec:
    """An input: its shape, its dtype, and the range its values are drawn from, away from kinks of the operation.

    `strict` says that the operation has no meaning outside the range (shifts, say), not that it is merely of less
    interest or singular there.
    """

    shape: tuple[int, ...] = ()
    dtype: str = "f32"
    low: float = -2
    high: float = 2
    strict: bool = False

    @property
    def type(self) -> TensorType:
        return TensorType(DTYPES[self.dtype], self.shape)

    def array(self, seed: int = 0) -> Array:
        """Return values at equal distances in random order, no two the same, none at an end or in the middle.

        Those of another seed lie between them, so that no two inputs of an operation tie.
        """
        dtype = DTYPES[self.dtype]
        rng = np.random.default_rng(zlib.crc32(repr((self.shape, self.dtype, seed)).encode()))
        count = int(np.prod(self.shape, dtype=np.int64))
        if dtype.kind == "b":
            return rng.random(self.shape) < 0.5
        if dtype.kind != "f":
            low = max(int(self.low), np.iinfo(dtype).min)
            return rng.integers(low, int(self.high), self.shape, endpoint=True).astype(dtype)
        place = (rng.permutation(count) + (0.29, 0.58, 0.83)[seed % 3]) / max(count, 1)
        return (self.low + (self.high - self.low) * place).reshape(self.shape).astype(dtype)


@dataclass(frozen=True)
class Sample:
    """One use of an operation."""

    op: str
    inputs: tuple[Spec, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def arrays(self) -> list[Array]:
        return [spec.array(k) for k, spec in enumerate(self.inputs)]

    def placeholders(self) -> list[Node]:
        return [placeholder(name=f"x{k}", type=spec.type) for k, spec in enumerate(self.inputs)]

    def node(self, inputs: list[Node]) -> Node:
        """Return the operation on these inputs."""
        return OPS[self.op](*inputs, **self.attrs)

    def in_float64(self) -> Sample | None:
        """Return this sample with floats of 64 bits; None where a body graph is of another dtype."""

        def widened(value: Any) -> Any:
            return F64 if isinstance(value, np.dtype) and value == F32 else value

        if any(isinstance(v, Graph) and any(i.dtype == F32 for i in v.inputs) for v in self.attrs.values()):
            return None
        inputs = tuple([replace(s, dtype="f64") if s.dtype == "f32" else s for s in self.inputs])
        return Sample(self.op, inputs, {k: widened(v) for k, v in self.attrs.items()})

    def __str__(self) -> str:
        types = " ".join([str(s.type).replace(" ", "") for s in self.inputs])
        return f"{self.op}({types})"


def samples(op: str) -> tuple[Sample, ...]:
    """Return the samples of an operation."""
    return SAMPLES[op]


# Elementwise: one line an operation. Shapes cover tails of vectors, rank 0, axes of size 1 and 0.

ARRAYS = ((33,), (3, 17), (), (0, 3), (5, 1, 3), (130,), (1,), (2, 2, 9))


def elementwise(op: str, arity: int, dtypes: str, *ranges: tuple[float, float], strict: bool = False) -> list[Sample]:
    """Return a sample in each dtype, and in the first one also with an operand of rank 0, of rank 0, and empty.

    `ranges` gives each operand its range; the last one serves for all that follow.
    """
    names = dtypes.split()
    spans = [ranges[min(k, len(ranges) - 1)] if ranges else (-2, 2) for k in range(arity)]

    def sample(dtype: str, *shapes: tuple[int, ...]) -> Sample:
        strictly = [strict and k == arity - 1 for k in range(arity)]
        specs = [Spec(s, dtype, *r, t) for s, r, t in zip(shapes, spans, strictly, strict=True)]
        return Sample(op, tuple(specs))

    found = [sample(d, *[ARRAYS[(k + len(op)) % 2]] * arity) for k, d in enumerate(names)]
    if arity == 2:
        found += [sample(names[-1], (2, 2, 9), ()), sample(names[0], (), (33,))]
    return [*found, sample(names[0], *[()] * arity), sample(names[0], *[(0, 3)] * arity)]


FLOATS = "f32 f64"
NUMBERS = "f32 f64 i8 i16 i32 i64 u8 u16 u32 u64"
INTEGERS = "i32 i8 i16 i64 u8 u16 u32 u64"
ANY = f"{NUMBERS} bool"

ELEMENTWISE = [
    *elementwise("add", 2, NUMBERS, (-9, 9)),
    *elementwise("sub", 2, NUMBERS, (-9, 9)),
    *elementwise("mul", 2, NUMBERS, (-9, 9)),
    *elementwise("div", 2, FLOATS, (-3, 3), (0.5, 3)),
    *elementwise("neg", 1, NUMBERS, (-9, 9)),
    *elementwise("pow", 2, FLOATS, (0.2, 3), (-2, 2)),
    *elementwise("abs", 1, NUMBERS, (-9, 9)),
    *elementwise("sign", 1, NUMBERS, (-9, 9)),
    *elementwise("maximum", 2, ANY, (-9, 9)),
    *elementwise("minimum", 2, ANY, (-9, 9)),
    *elementwise("floor_divide", 2, NUMBERS, (-90, 90), (3, 9)),
    *elementwise("remainder", 2, NUMBERS, (-90, 90), (3, 9)),
    *elementwise("floor", 1, FLOATS, (-9, 9)),
    *elementwise("ceil", 1, FLOATS, (-9, 9)),
    *elementwise("trunc", 1, FLOATS, (-9, 9)),
    *elementwise("rint", 1, FLOATS, (-9, 9)),
    *elementwise("copysign", 2, FLOATS),
    *elementwise("nextafter", 2, FLOATS),
    *elementwise("hypot", 2, FLOATS),
    *elementwise("sqrt", 1, FLOATS, (0.1, 4)),
    *elementwise("cbrt", 1, FLOATS, (0.1, 4)),
    *elementwise("exp", 1, FLOATS),
    *elementwise("expm1", 1, FLOATS),
    *elementwise("log", 1, FLOATS, (0.1, 4)),
    *elementwise("log1p", 1, FLOATS, (-0.9, 4)),
    *elementwise("exp2", 1, FLOATS),
    *elementwise("log2", 1, FLOATS, (0.1, 4)),
    *elementwise("log10", 1, FLOATS, (0.1, 4)),
    *elementwise("tanh", 1, FLOATS),
    *elementwise("sin", 1, FLOATS, (-4, 4)),
    *elementwise("cos", 1, FLOATS, (-4, 4)),
    *elementwise("tan", 1, FLOATS, (-1.3, 1.3)),
    *elementwise("asin", 1, FLOATS, (-0.9, 0.9)),
    *elementwise("acos", 1, FLOATS, (-0.9, 0.9)),
    *elementwise("atan", 1, FLOATS),
    *elementwise("sinh", 1, FLOATS),
    *elementwise("cosh", 1, FLOATS),
    *elementwise("asinh", 1, FLOATS),
    *elementwise("acosh", 1, FLOATS, (1.1, 4)),
    *elementwise("atanh", 1, FLOATS, (-0.9, 0.9)),
    *elementwise("atan2", 2, FLOATS),
    *elementwise("sigmoid", 1, FLOATS, (-6, 6)),
    *elementwise("softplus", 1, FLOATS, (-6, 6)),
    *elementwise("relu", 1, FLOATS),
    *elementwise("erf", 1, FLOATS),
    *elementwise("erfc", 1, FLOATS),
    *elementwise("erfcx", 1, FLOATS),
    *elementwise("erfinv", 1, FLOATS, (-0.95, 0.95)),
    *elementwise("erfcinv", 1, FLOATS, (0.05, 1.9)),
    *elementwise("ndtri", 1, FLOATS, (0.05, 0.95)),
    *elementwise("ndtr", 1, FLOATS),
    *elementwise("log_ndtr", 1, FLOATS, (-5, 3)),
    *elementwise("gammainc", 2, FLOATS, (0.3, 5), (0.3, 6)),
    *elementwise("gammaincc", 2, FLOATS, (0.3, 5), (0.3, 6)),
    *elementwise("sinc", 1, FLOATS, (-3, 3)),
    *elementwise("lgamma", 1, FLOATS, (0.2, 4)),
    *elementwise("digamma", 1, FLOATS, (0.2, 4)),
    *elementwise("trigamma", 1, FLOATS, (0.2, 4)),
    *[s for op in ("lt", "le", "gt", "ge", "eq", "ne") for s in elementwise(op, 2, ANY, (-3, 3))],
    *[
        s
        for op in ("bitwise_and", "bitwise_or", "bitwise_xor")
        for s in elementwise(op, 2, f"{INTEGERS} bool", (-99, 99))
    ],
    *elementwise("bitwise_not", 1, f"{INTEGERS} bool", (-99, 99)),
    *elementwise("left_shift", 2, INTEGERS, (-99, 99), (0, 7), strict=True),
    *elementwise("right_shift", 2, INTEGERS, (-99, 99), (0, 7), strict=True),
    *elementwise("stop_gradient", 1, ANY),
    *[replace(s, op="again", attrs={"turn": 1}) for s in elementwise("copy", 1, ANY)],
    *elementwise("copy", 1, ANY),
]  # fmt: skip

WITH_ATTRIBUTES = [
    Sample("hurwitz_zeta", (Spec((33,), "f32", 0.3, 12),), {"power": 3}),
    Sample("hurwitz_zeta", (Spec((3, 17), "f64", 0.3, 20),), {"power": 2}),
    Sample("hurwitz_zeta", (Spec((9,), "f64", 0.3, 2),), {"power": 13}),
    Sample("gamma_tail", (Spec((33,), "f32", 0.3, 5, True), Spec((33,), "f32", 0.2, 6, True)), {"order": 0}),
    Sample("gamma_tail", (Spec((33,), "f64", 4, 9, True), Spec((33,), "f64", 2, 12, True)), {"order": 1}),
    Sample("gamma_tail", (Spec((), "f64", 0.3, 0.8, True), Spec((9,), "f64", 0.1, 0.9, True)), {"order": 2}),
]

CHOICES = [
    Sample("where", (Spec((3, 17), "bool"), Spec((3, 17)), Spec((3, 17)))),
    Sample("where", (Spec((33,), "bool"), Spec((), "f64"), Spec((33,), "f64"))),
    Sample("where", (Spec((), "bool"), Spec((33,), "i64", -99, 99), Spec((33,), "i64", -99, 99))),
    Sample("where", (Spec((9,), "bool"), Spec((9,), "bool"), Spec((), "bool"))),
    Sample("where", (Spec((5, 1, 3), "bool"), Spec((5, 1, 3), "u8", 0, 99), Spec((5, 1, 3), "u8", 0, 99))),
    Sample("where", (Spec((), "bool"), Spec(()), Spec(()))),
]

# Floats that an integer dtype cannot hold become some integer; no two machines agree on which.
CASTS = [
    *[
        Sample(
            "cast",
            (Spec(ARRAYS[k % 6], source, -90 * (target[0] != "u"), 90, source[0] == "f" and target[0] in "iu"),),
            {"dtype": DTYPES[target]},
        )
        for k, (source, target) in enumerate((s, t) for s in DTYPES for t in DTYPES)
    ],
]  # fmt: skip

INDICES = [
    Sample("check_index", (Spec((33,), "i64", -5, 4, True),), {"size": 5, "wrap": True}),
    Sample("check_index", (Spec((3, 17), "u8", 0, 6, True),), {"size": 7, "wrap": False}),
    Sample("check_index", (Spec((), "i32", 0, 0, True),), {"size": 1, "wrap": False}),
    Sample("check_index", (Spec((0, 3), "i16", 0, 1, True),), {"size": 2, "wrap": True}),
    Sample("iota", (), {"shape": (17,), "axis": 0, "dtype": DTYPES["i64"]}),
    Sample("iota", (), {"shape": (3, 33), "axis": 1, "dtype": F32}),
    Sample("iota", (), {"shape": (33, 3, 1), "axis": 0, "dtype": DTYPES["u8"]}),
    Sample("iota", (), {"shape": (2, 1), "axis": 1, "dtype": F64}),
    Sample("size", (), {"value": 17}),
]

# Reductions.


def reduction(op: str, *specs: Spec) -> list[Sample]:
    """Return folds of the last, the first, several, no and only axes, in the dtypes and ranges of `specs` by turns."""
    where = (
        ((3, 33), (1,)), ((33, 3), (0,)), ((5, 7, 9), (0, 2)), ((130,), (0,)), ((17, 1), (1,)), ((2, 3), ()),
        ((3, 4, 17), (1, 2)), ((1, 5, 1), (0, 1, 2)), ((4, 2, 18), (1,)), ((), ()),
    )  # fmt: skip
    return [Sample(op, (replace(specs[k % len(specs)], shape=s),), {"axis": axis}) for k, (s, axis) in enumerate(where)]


def numbers(low: float, high: float) -> list[Spec]:
    return [Spec((), d, low, high) for d in ("f32", "f64", "i32", "u8", "f32", "i64", "f64")]


REDUCTIONS = [
    *reduction("sum", *numbers(-9, 9)),
    Sample("sum", (Spec((2, 8193 + 4096)),), {"axis": (1,)}),
    Sample("sum", (Spec((4, 0)),), {"axis": (1,)}),
    *reduction("prod", *numbers(0.6, 1.7)),
    Sample("prod", (Spec((4, 0), "f64"),), {"axis": (1,)}),
    *reduction("max", *numbers(-9, 9), Spec((), "bool")),
    *reduction("min", *numbers(-9, 9), Spec((), "bool")),
    Sample("max", (Spec((0, 4)),), {"axis": (1,)}),
    *reduction("any", Spec((), "bool")),
    *reduction("all", Spec((), "bool")),
    Sample("any", (Spec((3, 0), "bool"),), {"axis": (1,)}),
    Sample("all", (Spec((3, 0), "bool"),), {"axis": (0, 1)}),
]

# Views.

VIEWS = [
    Sample("broadcast", (Spec((17,)),), {"shape": (3, 17), "axes": (1,)}),
    Sample("broadcast", (Spec((17,), "i64", -9, 9),), {"shape": (17, 33), "axes": (0,)}),
    Sample("broadcast", (Spec((3, 1), "f64"),), {"shape": (3, 4, 1), "axes": (0, 2)}),
    Sample("broadcast", (Spec((), "bool"),), {"shape": (5,), "axes": ()}),
    Sample("broadcast", (Spec((3,)),), {"shape": (0, 3), "axes": (1,)}),
    Sample("reshape", (Spec((6, 17)),), {"shape": (2, 51)}),
    Sample("reshape", (Spec((2, 3, 4), "u8", 0, 9),), {"shape": (4, 6)}),
    Sample("reshape", (Spec((3, 1, 5), "f64"),), {"shape": (1, 3, 5)}),
    Sample("reshape", (Spec((1, 1)),), {"shape": ()}),
    Sample("reshape", (Spec((0, 3)),), {"shape": (6, 0)}),
    Sample("transpose", (Spec((17, 33)),), {"axes": (1, 0)}),
    Sample("transpose", (Spec((2, 3, 5), "f64"),), {"axes": (2, 0, 1)}),
    Sample("transpose", (Spec((4, 1, 3), "bool"),), {"axes": (1, 2, 0)}),
    Sample("transpose", (Spec(),), {"axes": ()}),
    Sample("slice", (Spec((33,)),), {"start": (2,), "shape": (15,), "step": (2,)}),
    Sample("slice", (Spec((5, 33), "f64"),), {"start": (4, 0), "shape": (3, 17), "step": (-2, 1)}),
    Sample("slice", (Spec((3, 9), "i16", -9, 9),), {"start": (0, 8), "shape": (3, 9), "step": (1, -1)}),
    Sample("slice", (Spec((4, 4)),), {"start": (1, 3), "shape": (1, 1), "step": (1, 1)}),
    Sample("slice", (Spec((4, 4)),), {"start": (1, 3), "shape": (2, 0), "step": (1, 1)}),
    Sample("embed", (Spec((17,)),), {"shape": (20,), "start": (2,), "step": (1,), "value": 0}),
    Sample("embed", (Spec((3, 5), "f64"),), {"shape": (7, 17), "start": (0, 1), "step": (2, 3), "value": -1}),
    Sample("embed", (Spec((4, 3), "i32", -9, 9),), {"shape": (4, 6), "start": (3, 5), "step": (-1, -2), "value": 7}),
    Sample("embed", (Spec((5,), "bool"),), {"shape": (3,), "start": (-1,), "step": (1,), "value": True}),
    Sample("embed", (Spec((0, 2)),), {"shape": (3, 2), "start": (1, 0), "step": (1, 1), "value": 1}),
    Sample("embed", (Spec(),), {"shape": (), "start": (), "step": (), "value": 0}),
    Sample("concat", (Spec((17,)), Spec((3,)), Spec((1,))), {"axis": 0}),
    Sample("concat", (Spec((3, 5), "f64"), Spec((3, 12), "f64")), {"axis": 1}),
    Sample("concat", (Spec((2, 3), "bool"), Spec((0, 3), "bool"), Spec((4, 3), "bool")), {"axis": 0}),
    Sample("concat", (Spec((2, 3, 4), "u16", 0, 9), Spec((2, 1, 4), "u16", 0, 9)), {"axis": 1}),
    Sample("concat", (Spec((5,)),), {"axis": 0}),
]

# Reading and writing at positions that data give.


def at(shape: tuple[int, ...], size: int, dtype: str = "i64", wrap: bool = False) -> Spec:
    """Return index arrays into an axis of `size`; in all but tiny ones some indices stand twice."""
    return Spec(shape, dtype, -size if wrap else 0, size - 1, strict=True)


def gather(source: Spec, *indices: Spec, axes: tuple[int, ...] = (0,), wrap: bool = False) -> Sample:
    return Sample("gather", (source, *indices), {"axes": axes, "wrap": wrap})


def scatter(
    combine: str, target: Spec, updates: Spec, *indices: Spec, axes: tuple[int, ...] = (0,), wrap: bool = False
) -> Sample:
    attrs = {"axes": axes, "wrap": wrap, "combine": combine}
    return Sample("scatter", (target, updates, *indices), attrs)


GATHERS = [
    gather(Spec((7, 9)), at((5, 3), 2, wrap=True), wrap=True),
    gather(Spec((7, 33), "f64"), at((20,), 7, "i32")),
    gather(Spec((40,)), at((3, 17), 40, "u8")),
    gather(Spec((5, 6, 17), "f64"), at((33,), 5, wrap=True), at((33,), 17, "i16", True), axes=(0, 2), wrap=True),
    gather(Spec((5, 6, 17)), at((4, 1), 6), axes=(1,)),
    gather(Spec((5, 6), "bool"), at((), 6), axes=(1,)),
    gather(Spec((9,), "i8", -99, 99), at((), 9)),
    gather(Spec((9, 3), "u16", 0, 99), at((0,), 9)),
    gather(Spec((3, 0), "f64"), at((4,), 3)),
    gather(Spec((1, 5)), at((6,), 1, wrap=True), wrap=True),
    gather(Spec((3, 4, 5)), at((130,), 3), at((130,), 4), at((130,), 5), axes=(0, 1, 2)),
]

SCATTERS = [
    scatter("add", Spec((7, 9)), Spec((5, 3, 9)), at((5, 3), 2, wrap=True), wrap=True),
    scatter("add", Spec((7, 33), "f64"), Spec((20, 33), "f64"), at((20,), 7, "i32")),
    scatter("add", Spec((40,), "i16", -9, 9), Spec((130,), "i16", -9, 9), at((130,), 40, "u8")),
    scatter("add", Spec((5, 6), "f64"), Spec((5,), "f64"), at((), 6), axes=(1,)),
    scatter("add", Spec((9, 3)), Spec((0, 3)), at((0,), 9)),
    scatter("add", Spec((0, 3)), Spec((0, 3)), at((0,), 9)),
    scatter("set", Spec((5, 6, 17), "f64"), Spec((33, 6), "f64"), at((33,), 5), at((33,), 17, "i16", True),
            axes=(0, 2), wrap=True),
    scatter("set", Spec((9,), "bool"), Spec((4, 3), "bool"), at((4, 3), 9)),
    scatter("set", Spec((1,), "u8", 0, 9), Spec((), "u8", 0, 9), at((), 1)),
    scatter("set", Spec((9, 18)), Spec((130, 18)), at((130,), 9)),
    scatter("mul", Spec((9,), "f64", 0.5, 2), Spec((20,), "f64", 0.5, 2), at((20,), 9)),
    scatter("mul", Spec((9, 4), "i32", -9, 9), Spec((5, 4), "i32", -9, 9), at((5,), 9)),
    scatter("max", Spec((9, 17), "f64"), Spec((30, 17), "f64"), at((30,), 9)),
    scatter("min", Spec((4, 9), "f64"), Spec((30, 4), "f64"), at((30,), 9), axes=(1,)),
    scatter("max", Spec((9,), "bool"), Spec((5,), "bool"), at((5,), 9)),
    scatter("min", Spec((9,), "u64", 0, 99), Spec((50,), "u64", 0, 99), at((50,), 9, "u64")),
]  # fmt: skip

# Running folds.


def cumulative(op: str, *specs: Spec, arity: int = 1) -> list[Sample]:
    """Return folds along the last, the first, a middle and only axes, both ways, in the dtypes of `specs` by turns."""
    where = (
        ((3, 33), 1, False), ((33, 3), 0, True), ((4, 5, 20), 1, False), ((130,), 0, True), ((19, 37), 1, True),
        ((1,), 0, False), ((2, 300), 1, False), ((17, 1), 1, False), ((40, 18), 1, False), ((3, 2, 130), 1, True),
        ((0, 4), 1, False), ((4, 0), 1, False), ((35, 2, 70), 2, False),
    )  # fmt: skip
    return [
        Sample(op, (replace(specs[k % len(specs)], shape=s),) * arity, {"axis": axis, "reverse": reverse})
        for k, (s, axis, reverse) in enumerate(where)
    ]


CUMULATIVE = [
    *cumulative("cumsum", *numbers(-9, 9)),
    *cumulative("cumprod", *numbers(0.6, 1.4)),
    *cumulative("cummax", *numbers(-9, 9), Spec((), "bool")),
    *cumulative("cummin", *numbers(-9, 9), Spec((), "bool")),
    *cumulative("recurrence", *numbers(-1, 1), arity=2),
]

# Order.


def ordering(op: str) -> list[Sample]:
    """Return rows to put in order: short and long ones, all of them or the first few, in all dtypes by turns."""
    cases = (
        ((33,), 33, "f32"), ((2, 3, 5), 5, "f64"), ((300,), 300, "f32"), ((4, 130), 7, "i32"), ((2, 530), 530, "i64"),
        ((17, 1), 1, "u8"), ((600,), 600, "bool"), ((9, 20), 20, "bool"), ((4, 0), 0, "f32"), ((0, 4), 2, "f32"),
        ((5, 12), 0, "i8"), ((1100,), 1100, "u64"), ((2, 200), 9, "f64"), ((1300,), 1300, "i16"), ((400,), 400, "u32"),
        ((70,), 70, "u16"), ((1025,), 1025, "i64"), ((3, 700), 5, "f32"), ((2, 1000), 17, "f64"), ((1200,), 150, "i8"),
        ((2, 600), 1, "bool"), ((1100,), 130, "f32"), ((2000,), 9, "i64"), ((3, 500), 500, "bool"),
    )  # fmt: skip
    return [
        Sample(op, (Spec(s, d, 0 if d[0] == "u" else -99, 99),), {"descending": k % 2 == 1, "count": count})
        for k, (s, count, d) in enumerate(cases)
    ]


def search(shape: tuple[int, ...], size: int, dtype: str, right: bool) -> Sample:
    return Sample("searchsorted", (Spec((size,), dtype, 5, 5), Spec(shape, dtype, 0, 9)), {"right": right})


ORDER = [
    *ordering("sort"),
    *ordering("argsort"),
    search((33,), 17, "f32", False),
    search((3, 5), 0, "f64", True),
    search((1030,), 1, "i32", True),
    search((), 8, "u64", False),
    search((0, 3), 4, "f32", True),
    search((7,), 5, "bool", True),
    search((40,), 33, "i8", False),
]

# Random numbers.

RANDOM = [
    *[s for k in range(4) for s in elementwise(f"philox{k}", 6, "u32", (0, 2**32 - 1))],
    *elementwise("gamma_path", 2, FLOATS),
    *elementwise("log_gamma_path", 2, FLOATS),
    *elementwise("normal_quantile", 1, "u32", (0, 2**32 - 1)),
    Sample("normal_quantile", (Spec((130,), "u64", 0, 2**63 - 1),)),
    *[
        Sample("random_bits", (Spec((*keys, 2), "u32", 0, 2**32 - 1),), {"shape": shape, "dtype": DTYPES[dtype]})
        for keys, shape, dtype in (
            ((), (), "u32"), ((), (3,), "u64"), ((), (5, 7), "u32"), ((), (300,), "u64"), ((), (2, 3, 100), "u32"),
            ((3,), (2,), "u32"), ((2, 2), (17,), "u64"), ((1,), (256,), "u32"), ((), (0, 3), "u32"),
            ((0,), (4,), "u64"),
        )
    ],
]  # fmt: skip

# Contractions.


def contraction(spec: str, dtype: str = "f32", **sizes: int) -> Sample:
    left, right = spec.split("->")[0].split(",")
    operands = [Spec(tuple([sizes[c] for c in part]), dtype) for part in (left, right)]
    return Sample("contract", tuple(operands), {"spec": spec})


CONTRACTIONS = [
    contraction("mk,kn->mn", m=17, k=33, n=40),
    contraction("mk,nk->mn", m=33, k=17, n=5),
    contraction("km,kn->mn", "f64", m=5, k=20, n=19),
    contraction("mk,kn->nm", "f64", m=9, k=5, n=3),
    contraction("bmk,bkn->bmn", b=2, m=3, k=5, n=18),
    contraction("mk,k->m", m=17, k=130),
    contraction("k,kn->n", k=7, n=33),
    contraction("k,k->", "f64", k=130),
    contraction("m,n->mn", m=3, n=17),
    contraction(",n->n", n=5),
    contraction(",->"),
    contraction("bm,b->bm", b=4, m=3),
    contraction("mk,kn->mn", "i32", m=3, k=17, n=5),
    contraction("mk,kn->mn", m=1, k=1, n=1),
    contraction("mk,kn->mn", m=2, k=0, n=3),
    contraction("mkl,lkn->mn", m=3, k=4, l=5, n=17),
    contraction("bk,bk->b", b=6, k=20),
    contraction("mbk,bkn->nbm", m=5, b=2, k=3, n=4),
]

# Convolutions and pooling.


def convolution(
    role: str, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], dtype: str = "f32",
    stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1), low: tuple[int, int] = (0, 0),
) -> Sample:  # fmt: skip
    """Return one of the three convolutions of an input, a weight and an output of these shapes."""
    op, operands, result = {
        "output": ("convolve", (x, w), y),
        "input": ("convolve_input", (y, w), x),
        "weight": ("convolve_weight", (x, y), w),
    }[role]
    attrs = {"shape": result[2:], "stride": stride, "dilation": dilation, "low": low, "groups": x[1] // w[1]}
    return Sample(op, tuple([Spec(s, dtype) for s in operands]), attrs)


def convolutions(role: str) -> list[Sample]:
    """Return samples of one of the three convolutions: plain, padded, with stride, dilation, groups, channel by
    channel, of images much larger and smaller than a vector, and of integers."""
    return [
        convolution(role, (2, 3, 6, 7), (4, 3, 3, 2), (2, 4, 4, 6)),
        convolution(role, (1, 2, 5, 5), (3, 2, 3, 3), (1, 3, 5, 5), "f64", low=(1, 1)),
        convolution(role, (2, 2, 7, 8), (2, 2, 3, 3), (2, 2, 4, 4), stride=(2, 2), low=(1, 1)),
        convolution(role, (1, 4, 9, 6), (2, 2, 2, 3), (1, 2, 8, 3), "f64", stride=(1, 2), dilation=(2, 1), low=(1, 1)),
        convolution(role, (2, 3, 4, 5), (3, 1, 3, 3), (2, 3, 4, 5), low=(1, 1)),
        convolution(role, (1, 1, 3, 35), (2, 1, 3, 4), (1, 2, 1, 34), low=(0, 1)),
        convolution(role, (1, 1, 8, 8), (1, 1, 2, 2), (1, 1, 3, 3), stride=(3, 3)),
        convolution(role, (2, 1, 3, 3), (2, 1, 2, 2), (2, 2, 5, 4), "i32", low=(2, 1)),
        convolution(role, (0, 2, 3, 3), (2, 2, 2, 2), (0, 2, 2, 2)),
    ]


def pooling(
    x: tuple[int, ...], y: tuple[int, ...], dtype: str = "f32", **attrs: tuple[int, ...]
) -> Mapping[str, Sample]:
    """Return a sample of each operation of pooling, by name."""
    rank = len(attrs["window"])
    ones, zeros = (1,) * rank, (0,) * rank
    attrs = {"stride": ones, "dilation": ones, "low": zeros, **attrs}
    forward, backward = {"shape": y[-rank:], **attrs}, {"shape": x[-rank:], **attrs}
    large, small = Spec(x, dtype), Spec(y, dtype)
    choice = Spec(y, "i32", 0, int(np.prod(attrs["window"])) - 1, True)
    return {
        "max_pool": Sample("max_pool", (large,), forward),
        "pool_index": Sample("pool_index", (large,), forward),
        "pool_take": Sample("pool_take", (large, choice), forward),
        "pool_put": Sample("pool_put", (small, choice), backward),
    }


POOLINGS = [
    pooling((2, 3, 4, 6), (2, 3, 2, 3), window=(2, 2), stride=(2, 2)),
    pooling((1, 2, 7, 7), (1, 2, 4, 4), "f64", window=(3, 3), stride=(2, 2), low=(1, 1)),
    pooling((2, 5, 20), (2, 5, 20), window=(2, 3), dilation=(1, 2), low=(1, 2)),
    pooling((3, 12), (3, 4), "i32", window=(2,), stride=(3,)),
    pooling((1, 11, 11), (1, 2, 2), window=(6, 6), stride=(5, 5)),
    pooling((2, 9, 18), (2, 8, 16), window=(2, 3)),
    pooling((2, 6, 4), (2, 3, 2), window=(1, 1), stride=(2, 2), dilation=(2, 2)),
]

# Loops.


def scan_sample(
    dtype: str, length: int, *, reverse: bool = False, width: int = 3, slices: int = 1, carried: bool = True
) -> Sample:
    """Return a loop that carries a row, reads slices and a constant, and stacks what each step yields."""
    row = TensorType(DTYPES[dtype], (width,))
    c, k = parameter("c", row), parameter("k", row)
    xs = [parameter(f"x{n}", row) for n in range(slices)]
    inside = OPS["tanh"](c + xs[0]) if xs else OPS["tanh"](c * k)
    new = inside * k + 0.25
    body = Graph((c, *xs, k) if carried else (*xs, k), (new, inside + k) if carried else (xs[0] * k,), name="step")
    operands = [Spec((width,), dtype)] * carried
    operands += [Spec((length, width), dtype)] * slices + [Spec((width,), dtype)]
    attrs = {"body": body, "carries": int(carried), "slices": slices, "length": length, "reverse": reverse}
    return Sample("scan", tuple(operands), attrs)


def _nested_scan() -> Sample:
    """Return a loop whose body is a loop, and sums what that yields."""
    inner = scan_sample("f64", 3)
    c, x, k = (parameter(n, TensorType(F64, s)) for n, s in (("c", (3,)), ("x", (3, 3)), ("k", (3,))))
    loop = inner.node([c, x, k])
    carry, stacked = (OPS["item"](loop, index=n) for n in range(2))
    body = Graph((c, x, k), (carry, OPS["sum"](stacked, axis=(0,))), name="outer")
    attrs = {"body": body, "carries": 1, "slices": 1, "length": 4, "reverse": True}
    return Sample("scan", (Spec((3,), "f64"), Spec((4, 3, 3), "f64"), Spec((3,), "f64")), attrs)


def counted_sample(count: int, length: int, *, reverse: bool = False) -> Sample:
    """Return a loop of as many steps as its last operand says."""
    sample = scan_sample("f64", length, reverse=reverse)
    return Sample("scan", (*sample.inputs, Spec((), "i64", count, count)), {**sample.attrs, "counted": True})


def while_sample(dtype: str, limit: float, max_steps: int | None = None, width: int = 3) -> Sample:
    """Return a loop that doubles a row, and counts, until its sum is above a limit."""
    row = TensorType(DTYPES[dtype], (width,))
    c, n, k = parameter("c", row), parameter("n", TensorType(DTYPES["i32"], ())), parameter("k", row)
    total = OPS["sum"](c * c, axis=(0,))
    test = Graph((c, n, k), (OPS["lt"](total, limit),), name="test")
    body = Graph((c, n, k), (c + c + k, n + 1), name="step")
    attrs = {"test": test, "body": body, "carries": 2, "max_steps": max_steps}
    return Sample("while_loop", (Spec((width,), dtype, 1, 2), Spec((), "i32", 0, 5), Spec((width,), dtype)), attrs)


def cond_sample(dtype: str, width: int = 3) -> Sample:
    """Return a choice between a function and a sum."""
    row = TensorType(DTYPES[dtype], (width,))
    a, b = parameter("a", row), parameter("b", row)
    on_true = Graph((a, b), (OPS["tanh"](a) * b, a), name="on_true")
    on_false = Graph((a, b), (a + b, b * 2.0), name="on_false")
    inputs = (Spec((), "bool"), Spec((width,), dtype), Spec((width,), dtype))
    return Sample("cond", inputs, {"on_true": on_true, "on_false": on_false})


def call_sample(op: str, dtype: str, width: int = 3) -> Sample:
    """Return a body on two rows as one node; of a custom_vjp, with its true derivative as the rule."""
    row = TensorType(DTYPES[dtype], (width,))
    a, b, ct, other = (parameter(n, row) for n in ("a", "b", "ct", "other"))
    attrs: dict[str, Any] = {"body": Graph((a, b), (OPS["tanh"](a) * b, a), name="body")}
    if op == "custom_vjp":
        rule = Rule("body_1")
        rule.places, rule.arguments = (0, 1), 2
        rule.forward = Graph((a, b), (OPS["tanh"](a), b), name="forward")
        grads = (ct * (1.0 - a * a) * b + other, ct * a)
        rule.backward = Graph((a, b, ct, other), grads, name="backward")
        attrs["rule"] = rule
    return Sample(op, (Spec((width,), dtype), Spec((width,), dtype)), attrs)


LOOPS = [
    scan_sample("f64", 5),
    scan_sample("f64", 4, reverse=True, width=1),
    scan_sample("f32", 7, width=17),
    scan_sample("f64", 0),
    scan_sample("f64", 3, slices=0),
    scan_sample("f64", 3, carried=False),
    _nested_scan(),
    counted_sample(2, 4),
    counted_sample(3, 4, reverse=True),
    counted_sample(0, 2),
    while_sample("f64", 50.0),
    while_sample("f64", 50.0, max_steps=9, width=1),
    while_sample("f32", 400.0, width=17),
    while_sample("f64", 0.0),
    cond_sample("f64"),
    cond_sample("f64", width=1),
    cond_sample("f32", width=17),
    *[call_sample(op, *rest) for op in ("checkpoint", "custom_vjp") for rest in (("f64",), ("f32", 17))],
]


def _by_op(*groups: list[Sample]) -> dict[str, tuple[Sample, ...]]:
    found: dict[str, list[Sample]] = {}
    for sample in [s for group in groups for s in group]:
        found.setdefault(sample.op, []).append(sample)
    return {op: tuple(listed) for op, listed in found.items()}


CONVOLUTIONS = [s for role in ("output", "input", "weight") for s in convolutions(role)]
POOLS = [s for name in ("max_pool", "pool_index", "pool_take", "pool_put") for s in [p[name] for p in POOLINGS]]

SAMPLES = _by_op(
    ELEMENTWISE,
    WITH_ATTRIBUTES,
    CHOICES,
    CASTS,
    INDICES,
    REDUCTIONS,
    VIEWS,
    GATHERS,
    SCATTERS,
    CUMULATIVE,
    ORDER,
    RANDOM,
    CONTRACTIONS,
    CONVOLUTIONS,
    POOLS,
    LOOPS,
)
ALL = tuple([s for listed in SAMPLES.values() for s in listed])

__all__ = ["ALL", "LEAVES", "SAMPLES", "Sample", "Spec", "samples", "shape"]
