"""Arrays as sets: unique elements, membership, unions, intersections, differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, promote
from graphc.array.gathering import flattened
from graphc.array.handle import wrap
from graphc.ops.elementwise import bitwise_and, bitwise_not, eq, ne
from graphc.ops.ordering import searchsorted
from graphc.ops.ordering import sort as sorted_

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def isin(x1: ArrayLike, x2: ArrayLike, /, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return for each element of x1 whether it is among those of x2, or whether it is not with `invert`.

    NaN is equal to nothing. `assume_unique` is there for NumPy. Array API draft.

    >>> x = gx.placeholder((2, 3), "int64", name="x")
    >>> gx.isin(x, [1, 2]).shape
    (2, 3)
    """
    values, among = promote("isin", (x1, x2))
    table = flattened(among)
    in_order = sorted_(table, descending=False, count=table.shape[0])
    # As many elements are less as are not larger: none is equal.
    before, through = (searchsorted(in_order, values, right=r) for r in (False, True))
    found = bitwise_and(ne(before, through), eq(values, values))
    return wrap(bitwise_not(found) if invert else found)
