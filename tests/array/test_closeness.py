"""Equality of arrays of unequal shapes, which is known while building."""

import graphc as gx
from tests.running import run


def test_arrays_of_other_shapes_are_not_equal():
    x, y, column = gx.placeholder((3,)), gx.placeholder((4,)), gx.placeholder((3, 1))
    assert not run(gx.array_equal(x, y))
    assert not run(gx.array_equal(x, column))
    assert not run(gx.array_equiv(x, y))
    assert run(gx.array_equiv(gx.ones((3, 1)), gx.ones((2, 3, 4))))
