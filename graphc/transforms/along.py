"""Functions of vectors and of elements, done to all of an array: along an axis, over axes, element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import nest
from graphc.array.convert import ArrayLike, as_node, axis_index, axis_indices
from graphc.array.handle import wrap
from graphc.array.shape import broadcast_arrays, expand_dims, moveaxis, reshape
from graphc.errors import ArgumentError, ShapeError
from graphc.ir import dims
from graphc.tensor import Tensor
from graphc.transforms.jacobians import vmap


def apply_along_axis(func1d: Callable[..., Any], axis: int, x: ArrayLike, /, *args: Any, **kwargs: Any) -> Tensor:
    """Return func1d(vector, *args, **kwargs) of all vectors along an axis; its axes stand in the place of that axis.

    func1d takes and returns a Tensor; it is traced once. Derivatives pass through.

    >>> gx.apply_along_axis(lambda v: gx.sort(v)[:2], 0, gx.ones((4, 3))).shape
    (2, 3)
    """
    node = as_node("apply_along_axis", x)
    if not node.ndim:
        raise ShapeError(f"apply_along_axis: takes rank 1 or more, got {node.type}")
    place = axis_index("apply_along_axis", axis, node.ndim)
    moved = moveaxis(wrap(node), place, -1)
    rest = moved.shape[:-1]
    rows = reshape(moved, (dims.product(rest), moved.shape[-1]))

    def one(row: Tensor) -> Tensor:
        return wrap(as_node("apply_along_axis", func1d(row, *args, **kwargs)))

    found: Tensor = vmap(one)(rows)
    own = found.shape[1:]
    spread = reshape(found, (*rest, *own))
    return moveaxis(spread, tuple(range(len(rest), spread.ndim)), tuple(range(place, place + len(own))))


def apply_over_axes(func: Callable[..., Any], x: ArrayLike, axes: int | Sequence[int], /) -> Tensor:
    """Return x with func(x, axis) done to it for one axis after the other, each of which stays, if only with size 1.

    >>> gx.apply_over_axes(gx.sum, gx.ones((2, 3, 4)), [0, 2]).shape
    (1, 3, 1)
    """
    found = wrap(as_node("apply_over_axes", x))
    rank = found.ndim
    for axis in axis_indices("apply_over_axes", axes, rank):
        result = wrap(as_node("apply_over_axes", func(found, axis)))
        found = expand_dims(result, axis) if result.ndim == rank - 1 else result
        if found.ndim != rank:
            raise ShapeError(f"apply_over_axes: func must return rank {rank}, or one less, got {result.node.type}")
    return found


def vectorize(pyfunc: Callable[..., Any], /, *, excluded: Sequence[int | str] = ()) -> Callable[..., Any]:
    """Return a function that does to all elements of arrays, which broadcast, what pyfunc does to numbers.

    pyfunc takes Tensors of rank 0, `excluded` arguments (by position or name) as they are, and returns one Tensor of
    rank 0, or a nest of them. It is traced once, not called for each element.

    >>> f = gx.vectorize(lambda a, b: gx.where(a > b, a - b, a + b))
    >>> f(gx.placeholder((4, 1)), gx.placeholder((3,))).shape
    (4, 3)
    """
    if not callable(pyfunc):
        raise ArgumentError(f"vectorize: takes a function, got {pyfunc!r}")
    kept = set(excluded)

    def call(*args: Any, **kwargs: Any) -> Any:
        keys: list[Any] = [k for k in (*range(len(args)), *kwargs) if k not in kept]
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        arrays = broadcast_arrays(*[wrap(as_node("vectorize", given[k])) for k in keys])
        if not arrays:
            raise ArgumentError("vectorize: at least one argument must not be excluded")
        shape = arrays[0].shape

        def one(*elements: Tensor) -> Any:
            new: dict[Any, Any] = {**given, **dict(zip(keys, elements, strict=True))}
            return pyfunc(*[new[k] for k in range(len(args))], **{k: new[k] for k in kwargs})

        flat = [reshape(a, (-1,)) for a in arrays]
        leaves, structure = nest.flatten(vmap(one)(*flat))
        for leaf in leaves:
            if leaf.ndim != 1:
                raise ShapeError(f"vectorize: the function must return rank 0, got {leaf.node.type} for all elements")
        return structure.unflatten([reshape(leaf, shape) for leaf in leaves])

    return call
