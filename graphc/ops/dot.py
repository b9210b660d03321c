"""Contractions: sums of products over shared labels, which is every matrix product, transposed and batched.

`spec` is einsum's notation for two operands: "mk,kn->mn". Each label stands in at least two of the three parts and at
most once in each, so the derivative with respect to one operand is again a contraction: the same labels, turned round.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.graph import Contraction
from graphc.ir.types import TensorType
from graphc.ops.elementwise import NUMBERS


def labels(*, spec: str) -> tuple[str, str, str]:
    """Return the labels of both operands and of the result."""
    operands, result = spec.split("->")
    a, b = operands.split(",")
    return a, b, result


@lru_cache(maxsize=4096)
def _checked_labels(spec: str) -> tuple[str, str, str]:
    parts = labels(spec=spec)
    if any(len(set(p)) != len(p) for p in parts) or any(sum(c in p for p in parts) < 2 for c in set("".join(parts))):
        raise ArgumentError(f"contract: {spec!r} must have each label in two or three parts, once in each")
    return parts


def _infer(a: TensorType, b: TensorType, *, spec: str) -> TensorType:
    parts = _checked_labels(spec)
    if a.dtype != b.dtype or a.dtype.kind not in NUMBERS:
        raise DTypeError(f"contract: operands must have one numeric dtype, got {a} and {b}")
    sizes: dict[str, Size] = {}
    for part, operand in zip(parts, (a, b), strict=False):
        if len(part) != operand.ndim:
            raise ShapeError(f"contract: {part!r} of {spec!r} does not fit the rank of {operand}")
        for label, size in zip(part, operand.shape, strict=True):
            known = sizes.setdefault(label, size)
            if isinstance(known, int) and isinstance(size, int) and known != size:
                raise ShapeError(f"contract: {label!r} of {spec!r} is {known} in {a} and {size} in {b}")
            if isinstance(size, int):
                sizes[label] = size
    return TensorType(a.dtype, tuple(sizes[c] for c in parts[2]))


def _reference(a: Any, b: Any, *, spec: str) -> Any:
    """Contract as one batched matrix product [batch, m, k] @ [batch, k, n], which NumPy hands to BLAS."""
    in_a, in_b, in_out = labels(spec=spec)
    size = dict(zip(in_a + in_b, a.shape + b.shape, strict=True))
    batch = [c for c in in_out if c in in_a and c in in_b]
    rows = [c for c in in_out if c in in_a and c not in in_b]
    columns = [c for c in in_out if c in in_b and c not in in_a]
    summed = [c for c in in_a if c in in_b and c not in in_out]

    def arrange(array: Any, part: str, *groups: list[str]) -> Any:
        order = [part.index(c) for group in groups for c in group]
        return np.transpose(array, order).reshape([math.prod(size[c] for c in group) for group in groups])

    product = arrange(a, in_a, batch, rows, summed) @ arrange(b, in_b, batch, summed, columns)
    full = product.reshape([size[c] for c in batch + rows + columns])
    return np.transpose(full, [(batch + rows + columns).index(c) for c in in_out])


def spec_for_a(spec: str) -> str:
    """Return the spec of the cotangent of a: contract(ct, b)."""
    a, b, out = labels(spec=spec)
    return f"{out},{b}->{a}"


def spec_for_b(spec: str) -> str:
    """Return the spec of the cotangent of b: contract(a, ct)."""
    a, b, out = labels(spec=spec)
    return f"{a},{out}->{b}"


contract: Contraction = Contraction(
    "contract",
    infer=_infer,
    reference=_reference,
    vjp=(
        lambda ct, out, a, b: contract(ct, b, spec=spec_for_a(out.attrs["spec"])),
        lambda ct, out, a, b: contract(a, ct, spec=spec_for_b(out.attrs["spec"])),
    ),
    dims=labels,
    doc="Sum of products over the labels that the result does not have.",
)
