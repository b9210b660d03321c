"""The text of graphs reads back as the same graph, to the last bit, and misprints are named with their line."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc.ops  # noqa: F401  (defines the operations that the texts name)
from graphc.eager import evaluate
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim
from graphc.ir.graph import OPS, Graph, Literal, Node, constant, items, literal, placeholder, variable
from graphc.ir.intern import same_graph
from graphc.ir.text import from_text, to_text
from graphc.ir.types import TensorType
from graphc.ops.control import parameter, scan
from tests.graphs import BOOL, F32, F64, I32, I64, U8, random_graph


def x_of(*shape: object, dtype: np.dtype = F32, name: object = "x") -> Node:
    return placeholder(name=name, type=TensorType(dtype, shape))


def round_trip(graph: Graph) -> Graph:
    text = to_text(graph)
    again = from_text(text)
    assert to_text(again) == text
    assert same_graph(graph, again)
    return again


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exact=st.booleans(), symbolic=st.booleans())
def test_random_graphs(seed: int, exact: bool, symbolic: bool) -> None:
    graph = random_graph(seed, exact, symbolic=symbolic)
    again = round_trip(graph)
    assert [n.type for n in again.results] == [n.type for n in graph.results]


def test_the_form() -> None:
    x, y = x_of(Dim.symbol("batch"), 64), x_of(Dim.symbol("batch"), dtype=I64, name="y")
    w = variable(name="w", type=TensorType(F32, (64, 10)), state=object())
    h = OPS["maximum"](OPS["contract"](x, w, spec="mk,kn->mn"), literal(0, F32))
    hit = OPS["eq"](OPS["broadcast"](y, shape=h.shape, axes=(0,)), literal(3, I64))
    graph = Graph((x, y), (OPS["where"](hit, h, literal(-0.0, F32)),), ((w, w * 0.5),), "loss")
    assert to_text(graph) == (
        "def loss(x: f32[batch, 64], y: i64[batch], *, w: f32[64, 10]):\n"
        "    v0 = broadcast(y, shape=(batch, 10), axes=(0,))\n"
        "    v1 = eq(v0, 3)\n"
        '    v2 = contract(x, w, spec="mk,kn->mn")\n'
        "    v3 = maximum(v2, 0.0)\n"
        "    v4 = where(v1, v3, f32(-0.0))\n"
        "    v5 = mul(w, 0.5)\n"
        "    return (v4,), {w: v5}\n"
    )
    round_trip(graph)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "i4", "i8", "u1", "u8", "?"])
def test_every_scalar_is_exact(dtype: str) -> None:
    if dtype in ("f4", "f8"):
        bits = np.random.default_rng(0).integers(0, 2**63, 500, dtype=np.uint64).astype(f"u{dtype[1]}")
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1e-40, 0.1, 1 / 3], dtype)
        values = np.concatenate([bits.view(dtype), special])
    else:
        info = np.iinfo(dtype) if dtype != "?" else None
        values = np.array([False, True] if info is None else [info.min, info.max, 0, 1], dtype)
    nodes = tuple(literal(v, np.dtype(dtype)) for v in values)
    again = round_trip(Graph((), nodes))
    assert [n.attrs["value"] for n in again.outputs] == [n.attrs["value"] for n in nodes]


@pytest.mark.parametrize("shape", [(0,), (2, 0), (3,), (2, 2, 2), (5, 7)])
def test_every_array_is_exact(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    for dtype in (F32, F64, I32, U8, BOOL):
        array = (rng.normal(size=shape) * 9).astype(dtype)
        if dtype.kind == "f" and array.size:
            array.flat[0] = np.copysign(np.nan, -1)  # a NaN with other bits
            array.flat[-1] = -0.0
        node = constant(value=Literal(array))
        (again,) = round_trip(Graph((), (node,))).outputs
        assert again.attrs["value"] == node.attrs["value"]


def test_long_constants_can_be_left_out_for_people() -> None:
    graph = Graph((), (constant(value=Literal(np.arange(100.0))),))
    text = to_text(graph, elide=True)
    assert "constant(f64[100], ...)" in text
    with pytest.raises(ArgumentError, match="line 2: this constant was left out"):
        from_text(text)


def test_names_that_are_no_identifiers() -> None:
    names = ["layer 1", "layer 1", "for", "v0", "nan", "", None, "f32", "é", 'quo"te']
    inputs = tuple(x_of(3, name=n) for n in names)
    graph = Graph(inputs, (inputs[0] + inputs[3],), name="my graph")
    again = round_trip(graph)
    assert [i.attrs["name"] for i in again.inputs] == names
    assert again.name == "my graph"


def test_sizes_of_every_form() -> None:
    n, m = Dim.symbol("n"), Dim.symbol("max")
    sizes = [n, m, n * 3 - 1, -n + 5, n * m, (n + 1) // 2, (n * n) // (m + 1) * 2, Dim.anonymous(), Dim.symbol("f32")]
    inputs = tuple(x_of(s, name=f"x{k}") for k, s in enumerate(sizes))
    outputs = tuple(OPS["broadcast"](i, shape=(s, s), axes=(0,)) for i, s in zip(inputs, sizes, strict=True))
    again = round_trip(Graph(inputs, outputs))
    assert [i.shape[0] for i in again.inputs] == sizes


def test_a_size_may_have_the_name_of_a_body() -> None:
    n = Dim.symbol("body")
    a, row = parameter("a", TensorType(F32, ())), parameter("x", TensorType(F32, ()))
    body = Graph((a, row), (a + row,), name="body")
    x = x_of(n)
    node = scan(body, [literal(0, F32)], [x], [], n)
    graph = Graph((x,), (items(node)[0],), name="f")
    assert 'length=Dim("body")' in to_text(graph)
    round_trip(graph)


def test_bodies_in_bodies_and_shared_ones() -> None:
    a, k = parameter("a", TensorType(F64, ())), parameter("k", TensorType(F64, ()))
    inner = Graph((a, k), (a * k,), name="inner")
    b, x = parameter("b", TensorType(F64, ())), parameter("x", TensorType(F64, ()))
    outer = Graph((b, x), (items(scan(inner, [b], [], [x], 2))[0],), name="outer")
    start, xs = x_of(dtype=F64, name="start"), x_of(3, dtype=F64, name="xs")
    twice = [items(scan(outer, [start], [xs], [], 3, reverse))[0] for reverse in (False, True)]
    graph = Graph((start, xs), tuple(twice), name="f")
    again = round_trip(graph)
    feed = [np.array(2.0), np.array([1.0, 2.0, 3.0])]
    assert [float(v) for v in evaluate(again, feed)] == [72.0, 72.0]


def test_variables_can_be_given() -> None:
    w = variable(name="w", type=TensorType(F32, (3,)), state=object())
    graph = Graph((), (w * 2.0,), ((w, w + 1.0),))
    again = from_text(to_text(graph), variables={"w": w})
    assert again.variables == (w,)
    assert again.updates[0][0] is w


def test_comments_types_and_continued_lines() -> None:
    x = x_of(3)
    graph = Graph((x,), (OPS["exp"](x) * 2.0,))
    text = to_text(graph, locations=True, types=True)
    assert re.search(r"    v0: f32\[3\] = exp\(x\)  # test_text.py:\d+\n", text)
    assert same_graph(from_text(text), graph)
    by_hand = from_text(
        """
def graph(
    x: f32[3],
):
    # the exponential

    v0 = exp(
        x
    )
    return (
        mul(v0, 2.0),
    )
"""
    )
    assert same_graph(by_hand, graph)


def test_locations_are_lines_of_the_text() -> None:
    graph = from_text("def f(x: f32[3]):\n    a = exp(x)\n    return (neg(a),)")
    assert [n.location.line for n in graph.nodes] == [1, 2, 3]


def test_equal_numbers_are_one_node() -> None:
    graph = from_text("def f(x: f32[3]): return (add(x, 1.0), mul(x, 1.0), add(x, -0.0), add(x, 0.0))")
    ones = [o.inputs[1] for o in graph.outputs]
    assert ones[0] is ones[1]
    assert ones[2] is not ones[3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "line 1: the text must be one def"),
        ("def f(x: f32[3]):\n    y = exp(x", "line 2: '\\(' was never closed"),
        ("def f(x): return (x,)", "line 1: x needs a type"),
        ("def f(x: 3): return (x,)", "line 1: 3 is not a type"),
        ("def f(x: f32[3]):\n    y = exq(x)\n    return (y,)", "line 2: there is no operation 'exq'"),
        ("def f(x: f32[3]):\n    y = exp(z)\n    return (y,)", "line 2: z is not defined"),
        ("def f(x: f32[3]):\n    y = exp(x, shape=3)\n    return (y,)", "line 2: exp\\(x, shape=3\\)"),
        ("def f(x: f32[3]):\n    y = exp(1.0)\n    return (y,)", "line 2: one operand must have a dtype"),
        ("def f(x: f32[3]):\n    y = exp(x, x)\n    return (y,)", "line 2: exp takes 1 operands, not 2"),
        ("def f(x: f32[3]):\n    return x", "line 2: return a tuple"),
        ("def f(x: f32[3]):\n    return (1.0,)", "line 2: 1.0 is not a node"),
        ("def f(x: f32[3]):\n    y = exp(x)", "line 1: f does not return"),
        ("def f(x: f32[3]):\n    while x: pass", "line 2: expected an assignment"),
        ("def f(x: f32[3]):\n    y: f32[4] = exp(x)\n    return (y,)", "line 2: y is f32\\[3\\], not f32\\[4\\]"),
        ("def f():\n    y = constant(f32[3], [1.0])\n    return (y,)", "line 2: a constant f32\\[3\\] has 3 elements"),
        ('def f():\n    y = constant(f32[3], "AAAA")\n    return (y,)', "line 2: a constant f32\\[3\\] has 12 bytes"),
        ("def f():\n    y = constant(u8[1], [300])\n    return (y,)", "line 2: \\[300\\] is out of the range of uint8"),
    ],
)
def test_misprints(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        from_text(text)


def test_graphs_that_do_not_type_raise_as_when_built_by_hand() -> None:
    with pytest.raises(ShapeError, match="add"):
        from_text("def f(x: f32[3], y: f32[4]): return (add(x, y),)")
    with pytest.raises(DTypeError, match="add"):
        from_text("def f(x: f32[3], y: f64[3]): return (add(x, y),)")


def test_nothing_is_executed() -> None:
    with pytest.raises(ArgumentError, match="is not an attribute"):
        from_text("def f(x: f32[3]): return (reshape(x, shape=(lambda: 3)()),)")
    with pytest.raises(ArgumentError, match="is not a node"):
        from_text("def f(x: f32[3]): return (x.__class__,)")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("def f(x: f32[3]): return (exp(x),)", "def f(x: f32[3]): return (log(x),)"),
        ("def f(x: f32[3]): return (exp(x),)", "def f(x: f32[4]): return (exp(x),)"),
        ("def f(x: f32[3]): return (exp(x),)", "def f(y: f32[3]): return (exp(y),)"),
        ("def f(x: f32[3]): return (add(x, 0.0),)", "def f(x: f32[3]): return (add(x, -0.0),)"),
        (
            "def f(x: f32[3]): return (add(exp(x), exp(x)),)",
            "def f(x: f32[3]):\n    a = exp(x)\n    return (add(a, a),)",
        ),
        ("def f(x: f32[3], y: f32[3]): return (add(x, y),)", "def f(x: f32[3], y: f32[3]): return (add(y, x),)"),
        ("def f(*, w: f32[3]): return (w,)", "def f(*, w: f32[3]): return (w,), {w: w}"),
    ],
)
def test_graphs_that_differ(a: str, b: str) -> None:
    assert same_graph(from_text(a), from_text(a))
    assert not same_graph(from_text(a), from_text(b))


def test_chain_of_100_000_nodes() -> None:
    x = x_of(3)
    node, two = x, literal(2, F32)
    for _ in range(100_000):
        node = node * two
    start = time.process_time()
    graph = Graph((x,), (node,))
    assert len(from_text(to_text(graph)).nodes) == len(graph.nodes)
    assert time.process_time() - start < 20
