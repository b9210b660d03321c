"""Pictures of graphs: valid XML that shows every node, the same each time, for any name and any size."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from graphc.errors import Location, located_at
from graphc.inspect.draw import to_svg, write_svg
from graphc.ir.graph import Graph, Literal, Node, constant, items, literal, placeholder, variable
from graphc.ir.types import FLOAT32, TensorType
from graphc.ops import dot, elementwise, reduce, shape
from graphc.ops.control import scan

SVG = "{http://www.w3.org/2000/svg}"


def array(name: str, *sizes: int) -> Node:
    return placeholder(name=name, type=TensorType(FLOAT32, sizes))


def state(name: str, *sizes: int) -> Node:
    return variable(name=name, type=TensorType(FLOAT32, sizes), state=object())


def perceptron() -> Graph:
    x, w, b = array("x", 32, 4), state("w", 4, 8), state("b", 8)
    product = dot.contract(x, w, spec="mk,kn->mn")
    hidden = elementwise.tanh(product + shape.broadcast(b, shape=(32, 8), axes=(1,)))
    gradient = reduce.sum(1.0 - hidden * hidden, axis=(0,))
    return Graph((x,), (hidden,), ((b, b - gradient * 0.1),), name="perceptron")


def chain(length: int) -> Graph:
    x = node = array("x", 3)
    for _ in range(length):
        node = elementwise.exp(node)
    return Graph((x,), (node,), name="chain")


def boxes(svg: str) -> list[list[str]]:
    """Return the texts in each node's box."""
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return [[t.text or "" for t in g.iter(f"{SVG}text")] for g in groups if g.get("class") == "node"]


def hovers(svg: str) -> list[str]:
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return [g.findtext(f"{SVG}title") or "" for g in groups if g.get("class") == "node"]


def test_every_node_is_shown_with_its_name_attributes_and_type() -> None:
    assert sorted(boxes(to_svg(perceptron()))) == sorted(
        [
            ["x", "f32[32, 4]"],
            ["w", "f32[4, 8]"],
            ["b", "f32[8]"],
            ["b", "f32[8]"],  # again, beside the update
            ["contract", "mk,kn → mn", "f32[32, 8]"],
            ["broadcast", "axes=(1)", "f32[32, 8]"],
            ["add", "f32[32, 8]"],
            ["tanh", "f32[32, 8]", "output"],
            ["mul", "f32[32, 8]"],
            ["sub 1 −", "f32[32, 8]"],
            ["sum", "axis=(0)", "f32[8]"],
            ["mul × 0.1", "f32[8]"],
            ["sub", "f32[8]", "new b"],
        ]
    )


def test_hovering_tells_the_users_line() -> None:
    with located_at(Location("/somewhere/train.py", 12)):
        graph = chain(1)
    assert hovers(to_svg(graph)) == ["placeholder: f32[3]\nname = x\nat train.py:12", "exp: f32[3]\nat train.py:12"]


@pytest.mark.parametrize(
    ("build", "label"),
    [
        (lambda x: x * 0.5, "mul × 0.5"),
        (lambda x: 0.5 * x, "mul × 0.5"),
        (lambda x: x - 1.0, "sub − 1"),
        (lambda x: 1.0 - x, "sub 1 −"),
        (lambda x: x / 3.0, "div ÷ 3"),
        (lambda x: elementwise.maximum(x, 0.0), "maximum(·, 0)"),
        (lambda x: elementwise.where(elementwise.gt(x, 0.0), x, literal(np.inf, FLOAT32)), "where(·, ·, inf)"),
        (lambda x: elementwise.exp(literal(2.0, FLOAT32)) + x, "exp 2"),
    ],
)
def test_scalar_constants_stand_in_the_label_of_their_reader(build: Callable[[Node], Node], label: str) -> None:
    x = array("x", 3)
    svg = to_svg(Graph((x,), (build(x),)))
    assert label in [texts[0] for texts in boxes(svg)]
    assert "constant" not in [texts[0] for texts in boxes(svg)]


def test_constants_that_are_arrays_or_results_have_a_box() -> None:
    few, many = (constant(value=Literal(np.full(n, 2, np.float32))) for n in (3, 50))
    graph = Graph((), (few, many, literal(7, FLOAT32)))
    assert [texts[1] for texts in boxes(to_svg(graph))] == ["[2., 2., 2.]", "all 2", "7."]


def test_inputs_that_nothing_reads_are_shown() -> None:
    x, y = array("x", 3), array("y", 3)
    assert ["y", "f32[3]", "unused"] in boxes(to_svg(Graph((x, y), (x,))))


def test_a_leaf_is_repeated_only_far_from_its_first_user() -> None:
    x, w = array("x", 3), array("w", 3)
    near = (x + w) * w
    far = elementwise.exp(elementwise.exp(elementwise.exp(near))) + w
    assert [texts[0] for texts in boxes(to_svg(Graph((x, w), (near,))))].count("w") == 1
    assert [texts[0] for texts in boxes(to_svg(Graph((x, w), (far,))))].count("w") == 2


def test_operands_are_numbered_where_their_order_counts() -> None:
    x, y = array("x", 3), array("y", 3)
    numbers = {
        op.name: [t.text for t in ElementTree.fromstring(to_svg(Graph((x, y), (op(x, y),)))).iter(f"{SVG}text")
                  if t.get("class") == "operand"]
        for op in (elementwise.add, elementwise.sub)
    }  # fmt: skip
    assert numbers == {"add": [], "sub": ["1", "2"]}


def test_bodies_are_drawn_beneath() -> None:
    carry, step = array("carry", 2), array("step", 2)
    cell = Graph((carry, step), (elementwise.tanh(carry + step),), name="cell")
    start, steps = array("start", 2), array("steps", 5, 2)
    loops = [scan(cell, [start], [steps], [], 5, reverse) for reverse in (False, True)]
    svg = to_svg(Graph((start, steps), tuple(items(loop)[0] for loop in loops)))
    texts = boxes(svg)
    assert ["carry", "f32[2]", "output 1"] in texts
    assert next(t for t in texts if t[0] == "scan")[-1] == "see body 1"
    headings = [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}text") if t.get("class") == "title"]
    assert headings == ["graph", "body 1 of scan", "body 2 of scan"]


@pytest.mark.parametrize("name", ["<script>&\"'</script>", "]]>", "ünïcode ∂", "nul\x00bell\x07", "\ud800", "a\nb"])
def test_any_name_gives_valid_xml(name: str) -> None:
    x = array(name, 3)
    svg = to_svg(Graph((x,), (elementwise.exp(x),), name=name), title=name)
    shown = {text[0] for text in boxes(svg)}
    assert "exp" in shown
    svg.encode("utf-8")
    if name.isprintable() and "\ud800" not in name:
        assert shown == {name, "exp"}


def test_the_same_graph_gives_the_same_text() -> None:
    assert to_svg(perceptron()) == to_svg(perceptron())


def test_a_long_chain_is_drawn_without_recursion() -> None:
    assert len(boxes(to_svg(chain(2000), max_nodes=3000))) == 2001


def test_a_graph_that_is_too_large_is_counted() -> None:
    svg = to_svg(chain(100_000))
    texts = [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert len(svg) < 10_000
    assert "100,001 nodes, 1 input, 1 output" in texts
    assert "Not drawn: more than 400 nodes. Its operations by number:" in texts
    assert texts[-4:] == ["exp", "100,000", "placeholder", "1"]


def test_write_svg_writes_the_picture(tmp_path: Path) -> None:
    write_svg(perceptron(), tmp_path / "graph.svg", title="A title")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == to_svg(perceptron(), title="A title")


def test_a_graph_without_nodes() -> None:
    assert boxes(to_svg(Graph((), ()))) == []


def test_labels_stand_beside_arrows() -> None:
    x = array("x", 3)
    inside = elementwise.exp(x)
    text = to_svg(Graph((x,), (elementwise.tanh(inside),)), labels={(x, inside): "slope < 2", (inside, x): "no arrow"})
    shown = [t.text for t in ElementTree.fromstring(text).iter(f"{SVG}text") if t.get("class") == "label"]
    assert shown == ["slope < 2"]
