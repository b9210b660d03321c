"""What functions tell about shapes, and how lists of blocks must be."""

import numpy as np
import pytest

import graphc as gx


def test_facts():
    x = gx.placeholder(("n", 3))
    assert gx.shape(x) == x.shape
    assert (gx.ndim(x), gx.size(x, 1), gx.size([[1, 2]])) == (2, 3, 2)
    assert gx.size(x) == x.size
    assert gx.broadcast_shapes((3, 1), 4, (2, 1, 1)) == np.broadcast_shapes((3, 1), 4, (2, 1, 1))
    assert gx.broadcast_shapes(x.shape, (1,)) == x.shape
    with pytest.raises(gx.ShapeError, match="broadcast_shapes"):
        gx.broadcast_shapes((2,), (3,))


def test_blocks_have_one_depth():
    with pytest.raises(gx.ArgumentError, match="depths"):
        gx.block([[1.0], 2.0])
    with pytest.raises(gx.ArgumentError, match="empty list"):
        gx.block([])
