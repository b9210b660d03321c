"""Index arithmetic computes what arithmetic on ints does, however it is simplified, and its loop expressions too."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from graphc.ir.index import Index, flatten
from graphc.ir.interpret import evaluate
from graphc.ir.loops import Var
from tests.random_graphs import RandomChoices


def random_index(choices: RandomChoices, depth: int, leaves: list[tuple[Index, Any]]) -> tuple[Index, Any]:
    """Return an index and a function of the loop variables' values that does the same on ints."""
    if depth == 0:
        return leaves[choices.integer(0, len(leaves) - 1)]
    (a, f), (b, g) = (random_index(choices, depth - 1, leaves) for _ in range(2))
    number = choices.integer(1, 9)
    kind = choices.integer(0, 5)
    if kind == 0:
        return a + b * number, lambda *v: f(*v) + g(*v) * number
    if kind == 1:
        return a * -number + 5, lambda *v: f(*v) * -number + 5
    if kind == 2:
        return a - b, lambda *v: f(*v) - g(*v)
    if kind == 3:
        return a // number, lambda *v: f(*v) // number
    if kind == 4:
        return a % number, lambda *v: f(*v) % number
    # As a reshape does: down to a flat offset and up again, which mostly cancels.
    return (a % number) + (a // number) * number, f


@pytest.mark.parametrize("seed", range(200))
def test_random_indices(seed: int):
    choices = RandomChoices(seed)
    extents = [choices.integer(1, 6) for _ in range(3)]
    variables = [Var(f"i{k}") for k in range(3)]
    leaves: list[tuple[Index, Any]] = [
        (Index.axis(v, e), lambda *values, k=k: values[k])
        for k, (v, e) in enumerate(zip(variables, extents, strict=True))
    ]
    index, on_ints = random_index(choices, 4, leaves)
    low, high = index.range()
    expr = index.to_expr()
    for values in itertools.product(*[range(e) for e in extents]):
        expected = on_ints(*values)
        assert low <= expected <= high
        assert evaluate(expr, dict(zip(variables, map(np.int64, values), strict=True))) == expected
        if index.is_affine:
            steps = sum(index.stride(v) * x for v, x in zip(variables, values, strict=True))
            assert index.offset + steps == expected


@pytest.mark.parametrize("seed", range(50))
def test_reshapes_cancel(seed: int):
    """Going through any shape of the same size and back leaves the index as it was."""
    choices = RandomChoices(seed)
    shape = tuple([choices.integer(1, 5) for _ in range(3)])
    position = tuple([Index.axis(Var(f"i{k}"), e) for k, e in enumerate(shape)])
    flat = flatten(position, shape)
    count = int(np.prod(shape))
    rows = [d for d in range(1, count + 1) if count % d == 0]
    rows_of = rows[choices.integer(0, len(rows) - 1)]
    columns = count // rows_of
    assert flatten((flat // columns, flat % columns), (rows_of, columns)) == flat
