"""Keys: signed integers in the order of the elements that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.graph import Node, Ordering
from graphc.ir.loops import Apply, Expr, apply, const


def gives_places(node: Node) -> bool:
    """Tell whether a node asks where elements come from, not for themselves."""
    return isinstance(node.op, Ordering) and node.op.gives_places


def word_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the signed integers of the size of a dtype."""
    return np.dtype(f"int{8 * dtype.itemsize}")


def bits_of(value: Expr) -> Expr:
    """Return an element as a signed integer of its size."""
    dtype = word_type(value.dtype)
    if value.dtype == dtype:
        return value
    return Apply("bitcast" if value.dtype.kind == "f" else "cast", (value,), dtype)


def element_of(bits: Expr, dtype: np.dtype[Any]) -> Expr:
    """Return the element that `bits_of` gave these bits."""
    if bits.dtype == dtype:
        return bits
    return Apply("bitcast" if dtype.kind == "f" else "cast", (bits,), dtype)


def key_of(bits: Expr, dtype: np.dtype[Any], descending: bool) -> Expr:
    """Return a signed integer that is less where an element comes before; equal elements have equal keys.

    A float of magnitude m has the key m or -m, so that zeros have the same; NaN has that of a magnitude beyond
    infinity. Unsigned integers are moved down by half their range. Descending keys are -1 - key, which is ~key.
    """
    word = bits.dtype
    key = bits
    if dtype.kind == "f":
        width = 8 * word.itemsize
        infinity = int(np.array(np.inf, dtype).view(word))
        magnitude = apply("and", bits, const(np.iinfo(word).max, word))
        sign = apply("shr", bits, const(width - 1, word))
        signed = apply("sub", apply("xor", magnitude, sign), sign)
        is_nan = apply("gt", magnitude, const(infinity, word))
        key = apply("select", is_nan, const(infinity + 1, word), signed)
    elif dtype.kind == "u":
        key = apply("xor", bits, const(np.iinfo(word).min, word))
    return apply("xor", key, const(-1, word)) if descending else key
