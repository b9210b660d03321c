"""Cases of graphc/array/control: loops and branches, against plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from tests.functions.cases import Case, bools, f32, f64, i32, leaves

Function = Callable[..., Any]


def stacked(results: list[Any]) -> Any:
    """Return arrays stacked leaf by leaf."""
    return [np.stack(parts) for parts in zip(*map(leaves, results), strict=True)]


def scan(body: Function, carry: Any, xs: Any = None, length: int | None = None, reverse: bool = False) -> Any:
    count = length if xs is None else len(leaves(xs)[0])
    ys: list[Any] = [None] * count
    for k in reversed(range(count)) if reverse else range(count):
        carry, ys[k] = body(carry, None if xs is None else gx.nest.map_leaves(lambda x, k=k: x[k], xs))
    return carry, stacked(ys)


def fori_loop(lo: int, hi: int, body: Function, carry: Any) -> Any:
    for i in range(lo, hi):
        carry = body(np.int64(i), carry)
    return carry


def while_loop(test: Function, body: Function, carry: Any, max_steps: int | None = None) -> Any:
    while test(carry):
        carry = body(carry)
    return carry


def cond(chosen: Any, one: Function, other: Function, *operands: Any) -> Any:
    return (one if chosen else other)(*operands)


def mapped(function: Function, xs: Any) -> Any:
    return scan(lambda _, x: (None, function(x)), None, xs)[1]


def decayed(carry: Any, x: Any) -> Any:
    """Return a recurrence that works on arrays and Tensors alike."""
    new = carry * 0.5 + x * x
    return new, (new * x, new)


def doubled(carry: tuple[Any, Any]) -> tuple[Any, Any]:
    return carry[0] + 1, carry[1] * 1.5


CASES = [
    Case("scan", decayed, f64("n3"), f64(("k5", "n3")), reference=scan),
    Case("scan", decayed, f32("n3"), f32(("k5", "n3")), reverse=True, reference=scan),
    Case("scan", lambda c, x: (c + x["a"], c * x["b"]), f64(()), {"a": f64("k5"), "b": f64("k5")}, reference=scan),
    Case("scan", lambda c, _: (c * 1.5, c), f64("n3"), length=4, reference=scan),
    Case("map", lambda x: x * x + 1, f64((4, 3)), reference=mapped),
    Case("map", lambda x: (x[0] * x[1], -x[1]), (f64(("n4", 3)), f64(("n4", 3))), reference=mapped),
    Case("map", lambda x: x + x, i32((4, 3)), reference=mapped),
    Case("fori_loop", 0, 5, lambda i, c: c * 0.5 + 1, f64((3,)), reference=fori_loop),
    Case("fori_loop", 2, 2, lambda i, c: c * 0.5, f64((3,)), reference=fori_loop),
    Case("while_loop", lambda c: c[0] < 4, doubled, (0, f64((3,))), reference=while_loop),
    Case("while_loop", lambda c: c[0] < 4, doubled, (0, f64((3,))), max_steps=9, reference=while_loop, second=False),
    Case("cond", True, lambda x: x * x, lambda x: -x, f64((3,)), reference=cond),
    Case("cond", bools(()), lambda x: x * x, lambda x: -x, f64((3,)), reference=cond),
    Case("cond", bools(()), lambda x, y: [x, y], lambda x, y: [y, x], f64("n3"), f64("n3"), reference=cond),
]
