"""Pictures of graphs: an SVG file that any browser opens, with inputs above, results marked, bodies of loops beneath.

A box is a node, coloured by the kind of its op; hovering shows the attributes and the user's line. Scalar constants
stand in the label of the node that reads them (`mul × 0.1`) instead of in a box of their own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from graphc.inspect.layout import Point, layered
from graphc.ir import graph as ir
from graphc.ir.graph import Graph, Node
from graphc.ir.types import TupleType

MAX_NODES = 400


Labels = Mapping[tuple[Any, Any], str]
"""What is written beside the arrow from one node to another. Tensors stand for their nodes."""


def to_svg(
    graph: Graph, title: str | None = None, max_nodes: int = MAX_NODES, labels: Labels = MappingProxyType({})
) -> str:
    """Return a picture of `graph` as the text of an SVG document.

    A graph, or the body of a loop, with more than `max_nodes` nodes is not drawn but counted by operation. `labels` are
    written beside arrows: {(operand, reader): text}, of Tensors or nodes that are in the graph.

    >>> from graphc.ir.types import FLOAT32, TensorType
    >>> x = ir.placeholder(name="x", type=TensorType(FLOAT32, (2, 3)))
    >>> to_svg(Graph((x,), (x,)))[:5]
    '<svg '
    """
    heading = graph.name if title is None else title
    beside = {(getattr(a, "node", a), getattr(b, "node", b)): text for (a, b), text in labels.items()}
    panels = list(_panels(graph, heading, max_nodes, beside))
    legend = _legend({kind for panel in panels for kind in panel.kinds}, any(p.has_repeats for p in panels))
    width = max(legend.width, *(p.width for p in panels)) + 2 * MARGIN
    parts = ['<rect class="paper" width="100%" height="100%"/>\n', _group(MARGIN, MARGIN, legend.body)]
    y = MARGIN + legend.height + MARGIN
    for panel in panels:
        parts.append(_group(MARGIN, y, panel.body))
        y += panel.height + MARGIN
    size = f'width="{width:.0f}" height="{y:.0f}" viewBox="0 0 {width:.0f} {y:.0f}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graphc" {size} role="img">\n<title>{_text(heading)}</title>\n'
    )
    return f"{head}<style>\n{STYLE}</style>\n{ARROW}{''.join(parts)}</svg>\n"


def write_svg(
    graph: Graph,
    path: str | PathLike[str],
    title: str | None = None,
    max_nodes: int = MAX_NODES,
    labels: Labels = MappingProxyType({}),
) -> None:
    """Write the picture of `graph` that `to_svg` makes to a file."""
    Path(path).write_text(to_svg(graph, title, max_nodes, labels), encoding="utf-8")


# What a node looks like


class Kind(NamedTuple):
    """A class of ops that share a colour."""

    name: str
    fill: str
    line: str


INPUT = Kind("input", "#dbeafe", "#2563eb")
VARIABLE = Kind("variable", "#ede9fe", "#7c3aed")
CONSTANT = Kind("constant", "#f1f5f9", "#64748b")
ELEMENTWISE = Kind("elementwise", "#dcfce7", "#16a34a")
VIEW = Kind("view", "#fef9c3", "#ca8a04")
REDUCTION = Kind("reduction", "#ffedd5", "#ea580c")
CONTRACTION = Kind("contraction", "#fee2e2", "#dc2626")
OPAQUE = Kind("opaque", "#e7e5e4", "#57534e")
REGION = Kind("region", "#fce7f3", "#db2777")
KINDS = (INPUT, VARIABLE, CONSTANT, ELEMENTWISE, VIEW, REDUCTION, CONTRACTION, OPAQUE, REGION)

SYMBOLS = {
    "add": "+", "sub": "−", "mul": "×", "div": "÷", "pow": "^", "floor_divide": "//", "remainder": "%",
    "lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠",
}  # fmt: skip
HIDDEN_ATTRS = frozenset(("body", "dtype", "on_false", "on_true", "test", "name", "shape", "state", "type", "value"))
"""Attributes that the type or the name in the label already tells, and bodies, which are drawn."""


def _kind(node: Node) -> Kind:
    leaves = {ir.placeholder: INPUT, ir.variable: VARIABLE, ir.constant: CONSTANT}
    if node.op in leaves:
        return leaves[node.op]
    kinds = {
        ir.Elementwise: ELEMENTWISE, ir.Reduction: REDUCTION, ir.Contraction: CONTRACTION,
        ir.Convolution: CONTRACTION, ir.Opaque: OPAQUE, ir.Random: OPAQUE, ir.Scatter: OPAQUE, ir.Region: REGION,
    }  # fmt: skip
    return next((kind for cls, kind in kinds.items() if isinstance(node.op, cls)), VIEW)


def _label(node: Node, folded: set[Node]) -> str:
    """Return the name of an input or variable; of any other node the op with the scalar constants it reads."""
    if node.op in (ir.placeholder, ir.variable):
        return str(node.attrs["name"] or node.op.name)
    if node.op is ir.item:
        return f"item {node.attrs['index']}"
    if not any(i in folded for i in node.inputs):
        return node.op.name
    operands = [_value(i.attrs["value"]) if i in folded else "·" for i in node.inputs]
    if node.op.name in SYMBOLS and operands.count("·") == 1:
        constant_first = operands[1] == "·" and not getattr(node.op, "commutative", False)
        number, symbol = next(o for o in operands if o != "·"), SYMBOLS[node.op.name]
        return f"{node.op.name} {number} {symbol}" if constant_first else f"{node.op.name} {symbol} {number}"
    if len(operands) == 1:
        return f"{node.op.name} {operands[0]}"
    return f"{node.op.name}({', '.join(operands)})"


def _detail(node: Node) -> str:
    """Return the attributes that change what the node does, in short."""
    if node.op is ir.constant:
        return _contents(node.attrs["value"].array)
    if node.op is ir.item:
        return ""
    shown = {k: v for k, v in node.attrs.items() if k not in HIDDEN_ATTRS and v is not False}
    if list(shown) == ["spec"]:
        return str(shown["spec"]).replace("->", " → ")
    return " ".join(f"{k}={_value(v)}" for k, v in shown.items())


def _contents(array: np.ndarray[Any, Any]) -> str:
    if array.size <= 4:
        return np.array2string(array, precision=4, separator=", ")
    first = array.flat[0]
    return f"all {_value(first)}" if (array == first).all() else ""


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({','.join(_value(v) for v in value)})"
    if isinstance(value, ir.Literal):
        return _value(value.array)
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array{value.shape}"
    if isinstance(value, np.ndarray | np.generic):
        value = value.item()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _hover(node: Node) -> str:
    """Return everything that is known of a node, one fact a line."""
    hidden = {"state", "type", "value", *node.bodies}
    attrs = (f"{k} = {_value(v)}" for k, v in node.attrs.items() if k not in hidden)
    place = () if node.location is None else (f"at {node.location}",)
    return "\n".join((f"{node.op.name}: {node.type}", *attrs, *place))


# Panels: a graph, or the body of one of its nodes


@dataclass(frozen=True)
class Panel:
    """A finished part of the picture, with its upper left corner at the origin."""

    body: str
    width: float
    height: float
    kinds: tuple[Kind, ...] = ()
    has_repeats: bool = False


def _panels(graph: Graph, heading: str, max_nodes: int, labels: Labels) -> Iterator[Panel]:
    """Yield the picture of the graph, then of the bodies in it, then of the bodies in those."""
    queue = [(graph, heading, "")]
    numbers: dict[Graph, int] = {}
    for current, name, frame in queue:
        marks: dict[Node, list[str]] = {}
        for node in current.nodes if len(current.nodes) <= max_nodes else ():
            for key, body in _bodies(node):
                if body not in numbers:
                    numbers[body] = len(numbers) + 1
                    queue.append((body, f"{key} {numbers[body]} of {node.op.name}", "frame"))
                marks.setdefault(node, []).append(f"see {key} {numbers[body]}")
        yield _panel(current, name, frame, marks, max_nodes, labels)


def _bodies(node: Node) -> Iterator[tuple[str, Graph]]:
    for key, value in node.attrs.items():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Graph):
                yield key, item


def _panel(graph: Graph, name: str, frame: str, marks: dict[Node, list[str]], max_nodes: int, labels: Labels) -> Panel:
    drawn = len(graph.nodes) <= max_nodes
    content = _drawing(graph, marks, labels) if drawn else _summary(graph, max_nodes)
    facts = [
        _counted(len(graph.nodes), "node"), _counted(len(graph.inputs), "input"),
        _counted(len(graph.outputs), "output"), _counted(len(graph.updates), "update"),
    ]  # fmt: skip
    inset = MARGIN if frame else 0.0
    width = max(content.width, 12.0 * len(name), 360.0) + 2 * inset
    height = content.height + HEADING + 2 * inset
    border = f'<rect class="frame" width="{_n(width)}" height="{_n(height)}" rx="10"/>\n' if frame else ""
    caption = (
        f'<text class="title" y="16">{_text(name)}</text>\n'
        f'<text class="facts" y="36">{_text(", ".join(f for f in facts if not f.startswith("0 ")))}</text>\n'
    )
    body = border + _group(inset, inset, caption + _group((width - content.width) / 2 - inset, HEADING, content.body))
    return Panel(body, width, height, content.kinds, content.has_repeats)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Box:
    """What one node's box says: text and CSS class of each line, and of each strip at its foot."""

    node: Node
    kind: Kind
    lines: tuple[tuple[str, str], ...]
    strips: tuple[tuple[str, str], ...]
    repeated: bool = False

    @property
    def width(self) -> float:
        return max(64.0, *(len(text) * LETTER[css] + 2 * PADDING for css, text in (*self.lines, *self.strips)))

    @property
    def height(self) -> float:
        return 2 * INSET + sum(LINE[css] for css, _ in self.lines) + STRIP * len(self.strips)


def _drawing(graph: Graph, marks: dict[Node, list[str]], labels: Labels) -> Panel:
    nodes = tuple(dict.fromkeys((*graph.inputs, *graph.nodes)))
    results = set(graph.results)
    folded = {n for n in nodes if n.op is ir.constant and n.ndim == 0 and n not in results}
    folded &= {i for n in nodes for i in n.inputs}
    strips = _result_strips(graph)
    boxes = [_box(n, folded, strips.get(n, []), marks.get(n, [])) for n in nodes if n not in folded]
    index = {box.node: k for k, box in enumerate(boxes)}
    edges = [(index[i], index[n]) for n in index for i in dict.fromkeys(n.inputs) if i in index]
    boxes, edges = _with_repeats(boxes, edges)
    top = [index[i] for i in graph.inputs]
    layout = layered([(b.width, b.height) for b in boxes], edges, top, gap=18.0, layer_gap=34.0)
    parts = [_edge(boxes[u], boxes[v], path) for (u, v), path in layout.paths.items()]
    parts += [_drawn_box(box, centre) for box, centre in zip(boxes, layout.centres, strict=True)]
    parts += [_operand_numbers(boxes[u], boxes[v], path[-1]) for (u, v), path in layout.paths.items()]
    parts += [
        _beside(labels[boxes[u].node, boxes[v].node], path)
        for (u, v), path in layout.paths.items()
        if (boxes[u].node, boxes[v].node) in labels
    ]
    repeats = any(b.repeated for b in boxes)
    return Panel("".join(parts), layout.width, layout.height, tuple(b.kind for b in boxes), repeats)


def _with_repeats(boxes: list[Box], edges: list[tuple[int, int]]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Show a leaf again beside users far below the first, in place of a line across the picture."""
    boxes, result = list(boxes), []
    depth = [0] * len(boxes)
    for u, v in edges:
        depth[v] = max(depth[v], depth[u] + 1)
    shown: dict[int, tuple[int, int]] = {}
    for u, v in sorted(edges, key=lambda edge: depth[edge[1]]):
        box, first = shown.get(u, (u, depth[v]))
        if not boxes[u].node.inputs and depth[v] - first > FAR:
            box, first = len(boxes), depth[v]
            boxes.append(replace(boxes[u], strips=(), repeated=True))
        shown[u] = box, first
        result.append((box, v))
    return boxes, result


def _result_strips(graph: Graph) -> dict[Node, list[tuple[str, str]]]:
    """Return for each result what it is: which output, the new value of which variable."""
    strips: dict[Node, list[tuple[str, str]]] = {}
    for k, node in enumerate(graph.outputs):
        strips.setdefault(node, []).append(("output", f"output {k}" if len(graph.outputs) > 1 else "output"))
    for variable, node in graph.updates:
        strips.setdefault(node, []).append(("update", f"new {variable.attrs['name'] or 'variable'}"))
    reached = set(graph.nodes)
    for node in graph.inputs:
        if node not in reached:
            strips.setdefault(node, []).append(("unused", "unused"))
    return strips


def _box(node: Node, folded: set[Node], strips: list[tuple[str, str]], marks: list[str]) -> Box:
    type_text = f"{len(node.type.items)} results" if isinstance(node.type, TupleType) else str(node.type)
    lines = (("name", _label(node, folded)), ("detail", _detail(node)), ("type", type_text))
    shown = tuple((css, _shortened(text)) for css, text in lines if text)
    foot = (*(("inner", mark) for mark in marks), *strips)
    return Box(node, _kind(node), shown, tuple((css, _shortened(text)) for css, text in foot))


def _drawn_box(box: Box, centre: Point) -> str:
    width, height = box.width, box.height
    x, y = centre[0] - width / 2, centre[1] - height / 2
    radius = 7.0 if box.node.inputs or box.strips else 16.0
    frame = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}"'
    css = f"{box.kind.name} repeated" if box.repeated else box.kind.name
    parts = [f'<rect class="{css}" {frame}/>\n']
    line_y = y + INSET
    for css, text in box.lines:
        line_y += LINE[css]
        parts.append(f'<text class="{css}" x="{_n(centre[0])}" y="{_n(line_y - 4)}">{_text(text)}</text>\n')
    strip_y = y + height - STRIP * len(box.strips) - 2
    for css, text in box.strips:
        place = f'x="{_n(x + 3)}" y="{_n(strip_y)}" width="{_n(width - 6)}" height="{_n(STRIP - 1)}"'
        parts.append(f'<rect class="{css}" {place} rx="4"/>\n')
        parts.append(f'<text class="strip" x="{_n(centre[0])}" y="{_n(strip_y + STRIP - 5)}">{_text(text)}</text>\n')
        strip_y += STRIP
    return f'<g class="node">\n<title>{_text(_hover(box.node))}</title>\n{"".join(parts)}</g>\n'


def _edge(source: Box, target: Box, path: tuple[Point, ...]) -> str:
    """Return a path of vertical lines and curves with vertical ends."""
    (x, y), *rest = path
    steps = [f"M{_n(x)} {_n(y)}"]
    for to_x, to_y in rest:
        if to_x != x:
            middle = (y + to_y) / 2
            steps.append(f"C{_n(x)} {_n(middle)} {_n(to_x)} {_n(middle)} {_n(to_x)} {_n(to_y)}")
        elif to_y != y:
            steps.append(f"V{_n(to_y)}")
        x, y = to_x, to_y
    operands = ", ".join(str(k + 1) for k, i in enumerate(target.node.inputs) if i is source.node)
    hover = f"{source.node.type}\nfrom {source.lines[0][1]} to operand {operands} of {target.lines[0][1]}"
    return f'<path class="edge from-{source.kind.name}" d="{"".join(steps)}"><title>{_text(hover)}</title></path>\n'


def _operand_numbers(source: Box, target: Box, end: Point) -> str:
    """Number the arrow into a node whose operands cannot be exchanged."""
    operands = target.node.inputs
    drawn = {i for i in operands if i.op is not ir.constant or i.ndim}
    if len(drawn) < 2 or getattr(target.node.op, "commutative", False):
        return ""
    numbers = ",".join(str(k + 1) for k, i in enumerate(operands) if i is source.node)
    return f'<text class="operand" x="{_n(end[0] + 6)}" y="{_n(end[1] - 3)}">{numbers}</text>\n'


def _beside(label: str, path: tuple[Point, ...]) -> str:
    """Return a label beside the middle of an arrow."""
    (x, y), (to_x, to_y) = path[(len(path) - 1) // 2], path[(len(path) - 1) // 2 + 1]
    return f'<text class="label" x="{_n((x + to_x) / 2 + 6)}" y="{_n((y + to_y) / 2 + 4)}">{_text(label)}</text>\n'


def _summary(graph: Graph, max_nodes: int) -> Panel:
    """Return a bar chart of the operations of a graph too large to draw."""
    counts = Counter((_kind(n), n.op.name) for n in graph.nodes)
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0][1]))
    note = f"Not drawn: more than {max_nodes:,} nodes. Its operations by number:"
    parts = [f'<text class="facts" y="12">{note}</text>\n']
    for k, ((kind, name), count) in enumerate(rows):
        y, length = 28 + 20 * k, max(300 * count / rows[0][1], 2)
        parts.append(f'<text class="bar-name" x="150" y="{y + 11}">{_text(name)}</text>\n')
        parts.append(f'<rect class="{kind.name}" x="160" y="{y}" width="{_n(length)}" height="14" rx="3"/>\n')
        parts.append(f'<text class="facts" x="{_n(168 + length)}" y="{y + 11}">{count:,}</text>\n')
    return Panel("".join(parts), 540.0, 28.0 + 20 * len(rows), tuple(kind for kind, _ in counts))


def _legend(kinds: set[Kind], has_repeats: bool) -> Panel:
    entries = [(kind.name, kind.name) for kind in KINDS if kind in kinds]
    if has_repeats:
        entries.append(("variable repeated", "shown again"))
    parts, x = [], 0.0
    for css, text in entries:
        parts.append(f'<rect class="{css}" x="{_n(x)}" y="0.5" width="20" height="14" rx="4"/>\n')
        parts.append(f'<text class="facts" x="{_n(x + 27)}" y="12">{text}</text>\n')
        x += 46 + 7.2 * len(text)
    return Panel("".join(parts), x, 15.0)


# SVG

MARGIN = 24.0
HEADING = 56.0
PADDING = 10.0
INSET = 4.0
STRIP = 16.0
LINE = {"name": 17.0, "detail": 14.0, "type": 14.0}
# The width of a letter, generous for the widest of the fonts in STYLE, since the browser's choice is not known.
LETTER = {"name": 9.2, "detail": 6.1, "type": 6.4, "output": 6.8, "update": 6.8, "unused": 6.8, "inner": 6.8}
LONGEST = 40
FAR = 2
"""Layers between two users of a leaf above which the leaf is shown again."""

SANS = 'ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif'
MONO = 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace'
RULES = {
    "text": f"font-family: {SANS}; fill: #0f172a",
    ".paper": "fill: #ffffff",
    ".frame": "fill: #fdf2f8; fill-opacity: .5; stroke: #db2777; stroke-dasharray: 6 4",
    ".title": "font-size: 18px; font-weight: 600",
    ".facts": "font-size: 12px; fill: #475569",
    ".bar-name": "font-size: 12px; text-anchor: end",
    ".node text": "text-anchor: middle",
    ".name": "font-size: 13px; font-weight: 600",
    ".detail": f"font-size: 10px; fill: #475569; font-family: {MONO}",
    ".type": f"font-size: 10.5px; fill: #334155; font-family: {MONO}",
    ".operand": "font-size: 9px; fill: #64748b; text-anchor: middle",
    ".label": "font-size: 11px; fill: #b91c1c; text-anchor: start",
    ".node .strip": "font-size: 10px; font-weight: 600; fill: #ffffff",
    ".output": "fill: #0f172a",
    ".update": "fill: #7c3aed",
    ".unused": "fill: #64748b",
    ".inner": "fill: #db2777",
    **{f".{k.name}": f"fill: {k.fill}; stroke: {k.line}; stroke-width: 1.2" for k in KINDS},
    ".repeated": "stroke-dasharray: 4 3; fill-opacity: .5",
    ".edge": "fill: none; stroke: #94a3b8; stroke-width: 1.4; marker-end: url(#graphc-arrow)",
    ".from-input": "stroke: #60a5fa",
    ".from-variable": "stroke: #a78bfa",
    ".edge:hover": "stroke: #0f172a; stroke-width: 3",
    ".node:hover > rect:first-of-type": "stroke-width: 2.6",
}
STYLE = "".join(f".graphc {selector} {{ {rules} }}\n" for selector, rules in RULES.items())
ARROW = (
    '<defs><marker id="graphc-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" '
    'orient="auto"><path d="M0 .5L8 4L0 7.5z" fill="#64748b"/></marker></defs>\n'
)


def _group(x: float, y: float, body: str) -> str:
    return f'<g transform="translate({_n(x)} {_n(y)})">\n{body}</g>\n'


def _text(text: str) -> str:
    """Return `text` as XML character data; characters that XML does not have become a question mark."""
    return escape(re.sub("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
