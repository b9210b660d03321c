"""The methods of NumPy's arrays: each is the function of its name on the array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from graphc.array import (
    cumulative,
    dot,
    editing,
    elementwise,
    found,
    gathering,
    matrices,
    ordering,
    parts,
    reduce,
    shape,
)
from graphc.array.convert import ArrayLike
from graphc.array.handle import Handle
from graphc.array.reduce import Axis
from graphc.array.shape import Axes
from graphc.errors import SymbolicValueError
from graphc.ir.dims import Size

if TYPE_CHECKING:
    from graphc.tensor import Tensor


class Methods(Handle):
    """What NumPy's arrays can be asked to do; what they do in place, a Tensor returns, or refuses."""

    __slots__ = ()

    def sum(
        self,
        axis: Axis = None,
        dtype: Any = None,
        *,
        keepdims: bool = False,
        initial: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Tensor:
        """Return `gx.sum` of it."""
        return reduce.sum(self, axis, dtype, keepdims=keepdims, initial=initial, where=where)

    def prod(
        self,
        axis: Axis = None,
        dtype: Any = None,
        *,
        keepdims: bool = False,
        initial: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Tensor:
        """Return `gx.prod` of it."""
        return reduce.prod(self, axis, dtype, keepdims=keepdims, initial=initial, where=where)

    def mean(
        self, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False, where: ArrayLike | None = None
    ) -> Tensor:
        """Return `gx.mean` of it."""
        return reduce.mean(self, axis, dtype, keepdims=keepdims, where=where)

    def var(
        self,
        axis: Axis = None,
        dtype: Any = None,
        *,
        correction: float = 0,
        ddof: float | None = None,
        keepdims: bool = False,
        mean: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Tensor:
        """Return `gx.var` of it."""
        return reduce.var(
            self, axis, dtype, correction=correction, ddof=ddof, keepdims=keepdims, mean=mean, where=where
        )

    def std(
        self,
        axis: Axis = None,
        dtype: Any = None,
        *,
        correction: float = 0,
        ddof: float | None = None,
        keepdims: bool = False,
        mean: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Tensor:
        """Return `gx.std` of it."""
        return reduce.std(
            self, axis, dtype, correction=correction, ddof=ddof, keepdims=keepdims, mean=mean, where=where
        )

    def max(
        self,
        axis: Axis = None,
        *,
        keepdims: bool = False,
        initial: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Tensor:
        """Return `gx.max` of it."""
        return reduce.max(self, axis, keepdims=keepdims, initial=initial, where=where)

    def min(
        self,
        axis: Axis = None,
        *,
        keepdims: bool = False,
        initial: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Tensor:
        """Return `gx.min` of it."""
        return reduce.min(self, axis, keepdims=keepdims, initial=initial, where=where)

    def any(self, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike | None = None) -> Tensor:
        """Return `gx.any` of it."""
        return reduce.any(self, axis, keepdims=keepdims, where=where)

    def all(self, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike | None = None) -> Tensor:
        """Return `gx.all` of it."""
        return reduce.all(self, axis, keepdims=keepdims, where=where)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.argmax` of it."""
        return reduce.argmax(self, axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.argmin` of it."""
        return reduce.argmin(self, axis, keepdims=keepdims)

    def sort(self, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
        """Return `gx.sort` of it; NumPy's array sorts itself."""
        return ordering.sort(self, axis, descending=descending, stable=stable)

    def argsort(self, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
        """Return `gx.argsort` of it."""
        return ordering.argsort(self, axis, descending=descending, stable=stable)

    def partition(self, kth: int | Sequence[int], axis: int | None = -1) -> Tensor:
        """Return `gx.partition` of it; NumPy's array partitions itself."""
        return ordering.partition(self, kth, axis)

    def argpartition(self, kth: int | Sequence[int], axis: int | None = -1) -> Tensor:
        """Return `gx.argpartition` of it."""
        return ordering.argpartition(self, kth, axis)

    def searchsorted(self, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None) -> Tensor:
        """Return `gx.searchsorted` of values among it."""
        return ordering.searchsorted(self, v, side=side, sorter=sorter)

    def cumsum(self, axis: int | None = None, dtype: Any = None) -> Tensor:
        """Return `gx.cumsum` of it."""
        return cumulative.cumsum(self, axis, dtype)

    def cumprod(self, axis: int | None = None, dtype: Any = None) -> Tensor:
        """Return `gx.cumprod` of it."""
        return cumulative.cumprod(self, axis, dtype)

    def dot(self, other: ArrayLike) -> Tensor:
        """Return `gx.dot` with another."""
        return dot.dot(self, other)

    def clip(self, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
        """Return `gx.clip` of it."""
        return elementwise.clip(self, min, max)

    def round(self, decimals: int = 0) -> Tensor:
        """Return `gx.round` of it."""
        return elementwise.round(self, decimals)

    def conj(self) -> Tensor:
        """Return `gx.conj` of it."""
        return parts.conj(self)

    def conjugate(self) -> Tensor:
        """Return `gx.conj` of it."""
        return parts.conj(self)

    def astype(self, dtype: Any, *, copy: bool = True, device: str | None = None) -> Tensor:
        """Return `gx.astype` of it."""
        return elementwise.astype(self, dtype, copy=copy, device=device)

    def reshape(self, *shape_: Any, order: str = "C", copy: bool | None = None) -> Tensor:
        """Return `gx.reshape` of it; the shape may be one tuple or several arguments."""
        return shape.reshape(self, _one_sequence(shape_), order, copy=copy)

    def transpose(self, *axes: Any) -> Tensor:
        """Return `gx.transpose` of it; the axes may be one tuple or several arguments."""
        return shape.transpose(self, None if not axes or axes[0] is None else _one_sequence(axes))

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Return `gx.swapaxes` of it."""
        return shape.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Axes | None = None) -> Tensor:
        """Return `gx.squeeze` of it."""
        return shape.squeeze(self, axis)

    def ravel(self, order: str = "C") -> Tensor:
        """Return `gx.ravel` of it."""
        return shape.ravel(self, order)

    def flatten(self, order: str = "C") -> Tensor:
        """Return `gx.ravel` of it."""
        return shape.ravel(self, order)

    def repeat(self, repeats: ArrayLike, axis: int | None = None) -> Tensor:
        """Return `gx.repeat` of it."""
        return editing.repeat(self, repeats, axis=axis)

    def take(self, indices: ArrayLike, axis: int | None = None) -> Tensor:
        """Return `gx.take` of it."""
        return gathering.take(self, indices, axis=axis)

    def compress(self, condition: ArrayLike, axis: int | None = None) -> Tensor:
        """Return `gx.compress` of it."""
        return editing.compress(condition, self, axis)

    def choose(self, choices: ArrayLike | Sequence[ArrayLike], *, mode: str = "raise") -> Tensor:
        """Return `gx.choose` of choices by it."""
        return gathering.choose(self, choices, mode=mode)

    def nonzero(self) -> tuple[Tensor, ...]:
        """Return `gx.nonzero` of it."""
        return found.nonzero(self)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
        """Return `gx.trace` of it."""
        return matrices.trace(self, offset, axis1, axis2, dtype)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """Return `gx.diagonal` of it."""
        return matrices.diagonal(self, offset, axis1, axis2)

    def copy(self) -> Tensor:
        """Return it: a Tensor is immutable."""
        return parts.real(self)

    # Facts.

    @property
    def real(self) -> Tensor:
        """The real part: itself."""
        return parts.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary part: zeros."""
        return parts.imag(self)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.node.dtype.itemsize

    @property
    def nbytes(self) -> Size:
        """Bytes of all elements: an int, or a symbolic size."""
        return self.node.tensor_type.size * self.node.dtype.itemsize

    # What changes an array in place.

    def fill(self, value: ArrayLike) -> NoReturn:
        """Raise: a Tensor is immutable."""
        raise _immutable("fill", "gx.full_like makes a new one")

    def put(self, indices: ArrayLike, values: ArrayLike) -> NoReturn:
        """Raise: a Tensor is immutable."""
        raise _immutable("put", "x.at[indices].set(values) makes a new one")

    def resize(self, *new_shape: Any) -> NoReturn:
        """Raise: a Tensor is immutable."""
        raise _immutable("resize", "gx.resize makes a new one")


def _immutable(name: str, remedy: str) -> SymbolicValueError:
    return SymbolicValueError(f"{name}: a Tensor is immutable; {remedy}")


def _one_sequence(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if len(arguments) == 1 else arguments
