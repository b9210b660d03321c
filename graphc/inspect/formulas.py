"""Nodes written as formulas, for people: `relu(x @ w + b)`, with ... where it gets too deep.

A formula leaves out what only repeats a value or adds axes of size 1, as NumPy's broadcasting does.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.ir.graph import OPS, Contraction, Node, Reduction, item, known_value, placeholder, variable

_SIGNS = (
    (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")),
    (("bitwise_or", "|"),),
    (("bitwise_xor", "^"),),
    (("bitwise_and", "&"),),
    (("add", "+"), ("sub", "-")),
    (("mul", "*"), ("div", "/")),
)
INFIX = {op: (f" {sign} ", level) for level, signs in enumerate(_SIGNS, 1) for op, sign in signs} | {"pow": ("**", 8)}
"""Sign and precedence of operations between two operands."""

PREFIX = {"neg": ("-", 7), "bitwise_not": ("~", 7)}
MATMUL, ATOM = 6, 9
SILENT = ("broadcast", "copy", "stop_gradient", "check_index")
"""Operations that a formula shows by their operand alone."""

DEPTH = 4
"""Operations inside one another that a formula shows."""


def formula(node: Node, depth: int = DEPTH, names: Mapping[Node, str] | None = None) -> str:
    """Return a node as a formula. Nodes in `names` are written as their name, inputs and variables by their own.

    >>> x, y = gx.placeholder((3,), name="x"), gx.placeholder((3,), name="y")
    >>> formula((gx.exp(x) * (y + 1)).node)
    'exp(x) * (y + 1)'
    """
    return _written(node, depth, names or {}, is_root=True)[0]


def _written(node: Node, depth: int, names: Mapping[Node, str], is_root: bool = False) -> tuple[str, int]:
    """Return the text and how tightly it binds."""
    if not is_root and node in names:
        return names[node], ATOM
    if node.op in (placeholder, variable):
        return str(node.attrs["name"]), ATOM
    value = known_value(node)
    if value is not None:
        return (f"{value.item():.6g}" if not value.ndim else f"<{node.type}>"), ATOM
    if node.op is item or node.op.name in SILENT or _moves_ones(node):
        return _written(node.inputs[0], depth, names)
    if not depth:
        return "...", ATOM
    if node.op.name in INFIX:
        sign, level = INFIX[node.op.name]
        left, right = (_operand(x, level + k, depth, names) for k, x in enumerate(node.inputs))
        return f"{left}{sign}{right}", level
    if node.op.name in PREFIX:
        sign, level = PREFIX[node.op.name]
        return f"{sign}{_operand(node.inputs[0], level, depth, names)}", level
    if isinstance(node.op, Contraction):
        return _contraction(node, depth, names)
    if node.op.name == "transpose" and node.ndim == 2:
        return f"{_operand(node.inputs[0], ATOM, depth, names)}.T", ATOM
    return _call(node, depth, names), ATOM


def _moves_ones(node: Node) -> bool:
    if node.op is not OPS.get("reshape"):
        return False
    before, after = ([s for s in n.shape if s != 1] for n in (node.inputs[0], node))
    return before == after


def _operand(node: Node, level: int, depth: int, names: Mapping[Node, str]) -> str:
    text, binds = _written(node, depth - 1, names)
    return text if binds >= level else f"({text})"


def _contraction(node: Node, depth: int, names: Mapping[Node, str]) -> tuple[str, int]:
    """Write a @ b, with .T where one is read the other way round, or else einsum."""
    assert isinstance(node.op, Contraction)
    left, right, out = node.op.dims(**node.attrs)
    a, b = node.inputs
    for turned_a in (False, True):
        for turned_b in (False, True):
            if not _is_product(left[::-1] if turned_a else left, right[::-1] if turned_b else right, out):
                continue
            if (turned_a or turned_b) and (a.ndim != 2 or b.ndim != 2):
                continue
            left_text = f"{_operand(a, ATOM, depth, names)}.T" if turned_a else _operand(a, MATMUL, depth, names)
            right_text = f"{_operand(b, ATOM, depth, names)}.T" if turned_b else _operand(b, MATMUL + 1, depth, names)
            return f"{left_text} @ {right_text}", MATMUL
    operands = ", ".join(_operand(i, 0, depth, names) for i in node.inputs)
    return f'einsum("{left},{right}->{out}", {operands})', ATOM


def _is_product(left: str, right: str, out: str) -> bool:
    """Tell whether labels are those of NumPy's matmul."""
    if not left or not right or left[-1] != right[-2:][0]:
        return False
    batch, is_vector = right[:-2], len(right) == 1
    fits = left[:-2] == batch or not batch
    return fits and out == left[:-1] + ("" if is_vector else right[-1])


def _call(node: Node, depth: int, names: Mapping[Node, str]) -> str:
    parts = [_operand(i, 0, depth, names) for i in node.inputs]
    if isinstance(node.op, Reduction) and len(node.attrs["axis"]) < node.inputs[0].ndim:
        parts.append(f"axis={', '.join(map(str, node.attrs['axis']))}")
    parts += [f"{k}={v}" for k, v in node.attrs.items() if k in ("shape", "dtype", "start", "length")]
    if node.op.name == "iota":
        parts = [f"axis={node.attrs['axis']}"]
    return f"{node.op.name}({', '.join(parts)})"
