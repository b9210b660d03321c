"""How far two computations of one value may be apart.

- Work that only moves, compares or does arithmetic element by element is the same to the bit, NaN for NaN and each
  zero with its sign (after a maximum of zeros, either), unless a rule promises less.
- Sums and products of many terms may be added up in another order: SUM_ULPS units in the last place of the largest
  number in play, times the square root of the number of terms, which is how rounding errors that are independent grow.
  Where one side is not finite they are not compared: which of inf - inf and overflow comes about depends on the order.
- NumPy's functions round otherwise for arrays that lie otherwise in memory: SUM_ULPS for what contains exp, cosh, ...
- A rule with `ulps` may be off by so many, and each side by the accuracy of one function more.
- A stable rule is right where it is not farther than the original from the value in higher precision.
- Rules for fast_math must agree to FAST_DIGITS where both sides are finite.
- Native functions differ from NumPy's in the last places, and what follows magnifies it: KERNEL_ULPS of the largest
  number in play. An element that decides (a comparison, a rounding) may then fall on the other side: one in FLIPS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.graph import (
    Contraction,
    Convolution,
    Cumulative,
    Elementwise,
    Node,
    Product,
    Reduction,
    Region,
    Scatter,
)
from graphc.ir.loops import CHEAP, COMPARISONS, PRIMITIVES
from graphc.ir.types import TensorType

Array = np.ndarray[Any, Any]

SUM_ULPS = 32
KERNEL_ULPS = 1024
FLIPS = 500
FAST_DIGITS = 1e-3

EXACT = PRIMITIVES | CHEAP

JUMPS = (*COMPARISONS, "floor", "ceil", "trunc", "rint", "sign", "floor_divide", "remainder")


@dataclass(frozen=True)
class Difference:
    """The element at which two arrays differ most for what is allowed."""

    index: tuple[int, ...]
    before: Any
    after: Any

    def __str__(self) -> str:
        place = f" at {list(self.index)}" if self.index else ""
        return f"{self.before!r} before and {self.after!r} after{place}"


UNKNOWN_STEPS = 1024
"""Steps that a loop is taken to have where nothing says how many it has."""


def terms(nodes: Iterable[Node]) -> int:
    """Return how many numbers the longest sum or product among nodes has."""
    most = 1
    for node in nodes:
        if isinstance(node.op, Reduction):
            most = max(most, math.prod([node.inputs[0].shape[a] for a in node.attrs["axis"]]))
        elif isinstance(node.op, Contraction):
            a, _, out = node.op.dims(**node.attrs)
            most = max(most, math.prod([s for c, s in zip(a, node.inputs[0].shape, strict=True) if c not in out]))
        elif isinstance(node.op, Cumulative):
            most = max(most, node.shape[node.attrs["axis"]])
        elif isinstance(node.op, Convolution):
            most = max(most, node.op.multiply_adds(node) // max(1, int(node.tensor_type.size)))
        elif isinstance(node.op, Scatter):
            most = max(most, int(node.inputs[1].tensor_type.size))
        elif isinstance(node.op, Region):
            steps = node.attrs.get("length") or node.attrs.get("max_steps") or UNKNOWN_STEPS
            inside = max([terms(body.nodes) for body in node.bodies.values()])
            most = max(most, inside * (1 if node.op.name == "cond" else steps) ** 2)
    return most


def adds_up(nodes: Iterable[Node]) -> bool:
    """Tell whether the order of additions may matter to some of these nodes."""
    return any(isinstance(n.op, Reduction | Product | Cumulative | Scatter | Region) for n in nodes)


def has_functions(nodes: Iterable[Node]) -> bool:
    """Tell whether one of these nodes is a function such as exp, rather than arithmetic."""
    return any(isinstance(n.op, Elementwise) and n.op.scalar not in EXACT for n in nodes if n.inputs)


def has_jumps(nodes: Iterable[Node]) -> bool:
    """Tell whether a small change of a value may change the result much."""
    found = False
    for node in nodes:
        if isinstance(node.op, Region):
            found = found or bool(node.attrs.get("test")) or any(has_jumps(b.nodes) for b in node.bodies.values())
        elif isinstance(node.op, Elementwise):
            is_cut = node.op.name == "cast" and node.dtype.kind != "f" and node.inputs[0].dtype.kind == "f"
            found = found or node.op.scalar in JUMPS or is_cut
        elif isinstance(node.op, Reduction):
            found = found or node.op.combine in ("and", "or")
    return found


def scale(values: Iterable[Any]) -> float:
    """Return the largest finite magnitude among arrays of floats."""
    most = 0.0
    for value in values:
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.size:
            finite = np.abs(array[np.isfinite(array)])
            most = max(most, float(finite.max(initial=0.0)))
    return most


def chooses_zeros(nodes: Iterable[Node]) -> bool:
    """Tell whether which of two zeros comes out may depend on the order of operands."""
    return any(n.op.name in ("maximum", "minimum", "max", "min", "relu") for n in nodes)


def exact_difference(before: Array, after: Array, *, signs: bool = True) -> Difference | None:
    """Return where two arrays do not have the same bits, NaN for NaN; without `signs`, -0 for 0 too."""
    if before.dtype.kind != "f":
        return _first(before != after, before, after)
    same = (before == after) & ((np.signbit(before) == np.signbit(after)) | (not signs))
    return _first(~(same | (np.isnan(before) & np.isnan(after))), before, after)


def difference(before: Array, after: Array, allowed: float, flips: int = 0) -> Difference | None:
    """Return where two arrays of floats are farther apart than `allowed`, if at more than `flips` elements."""
    if before.dtype.kind != "f":
        wrong = np.asarray(before != after)
        return _first(wrong, before, after) if np.count_nonzero(wrong) > flips else None
    with np.errstate(all="ignore"):
        apart = np.abs(before.astype(np.float64) - after.astype(np.float64))
        same = (before == after) | (np.isnan(before) & np.isnan(after)) | (apart <= allowed)
    wrong = ~same
    return _worst(wrong, apart, before, after) if np.count_nonzero(wrong) > flips else None


def epsilon(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def is_comparable(type: object) -> bool:
    return isinstance(type, TensorType)


def _first(wrong: Array, before: Array, after: Array) -> Difference | None:
    wrong = np.asarray(wrong)
    if not wrong.any():
        return None
    index = tuple(int(k) for k in np.argwhere(wrong)[0])
    return Difference(index, before[index].item(), after[index].item())


def _worst(wrong: Array, apart: Array, before: Array, after: Array) -> Difference | None:
    weight = np.where(wrong, np.where(np.isnan(apart), np.inf, apart), -1.0)
    index = tuple(int(k) for k in np.unravel_index(int(np.argmax(weight)), weight.shape))
    return Difference(index, before[index].item(), after[index].item())


def near(nodes: Sequence[Node], depth: int) -> list[Node]:
    """Return nodes and what they are computed from, so many steps back."""
    found, layer = dict.fromkeys(nodes), list(nodes)
    for _ in range(depth):
        layer = [i for n in layer for i in n.inputs if i not in found]
        found.update(dict.fromkeys(layer))
    return list(found)
