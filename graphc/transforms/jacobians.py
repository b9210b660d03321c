"""Jacobians and Hessians of functions, and functions mapped over an axis.

All are loops without a carry, which the compiler runs for all steps at once where it can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphc import nest
from graphc.array.control.scans import loop, scan
from graphc.array.control.tracing import steps_around
from graphc.array.convert import asarray
from graphc.array.handle import Handle
from graphc.array.shape import moveaxis, reshape
from graphc.errors import ArgumentError, GradientError, ShapeError, shown
from graphc.ir.dims import Size
from graphc.ir.graph import toposort
from graphc.tensor import Tensor
from graphc.transforms.derivatives import pullback, pushforward
from graphc.transforms.functions import Argnums, Call, remembered
from graphc.transforms.tracing import Compiled, Function, is_array_like, tracing


def jacrev(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function with the arguments of `fn` that returns its Jacobian, by reverse mode.

    For each array of fn's result and each of the arguments at argnums an array of both shapes in a row,
    result.shape + argument.shape; the nest of results on the outside, that of arguments inside. Costs a pass for each
    element of the result: for few results of many arguments. Raises GradientError for values that are no floats.

    >>> gx.jacrev(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    return _jacobian("jacrev", fn, _settings(argnums))


def jacfwd(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function with the arguments of `fn` that returns its Jacobian, by forward mode; as `jacrev` otherwise.

    Costs a pass for each element of the arguments: for many results of few arguments.

    >>> gx.jacfwd(lambda x: gx.stack([x[0] * x[1], x[0]]))(np.array([3.0, 4.0]))
    array([[4., 3.],
           [1., 0.]])
    """
    return _jacobian("jacfwd", fn, _settings(argnums))


def hessian(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function with the arguments of `fn` that returns its second derivatives: `jacfwd` of `jacrev`.

    >>> gx.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacfwd(jacrev(fn, argnums), argnums)


def _settings(argnums: Any) -> Any:
    return tuple(argnums) if isinstance(argnums, list) else argnums


@remembered
def _jacobian(name: str, fn: Function, argnums: Argnums) -> Function:
    if argnums is None:
        raise ArgumentError(f"{name}: argnums must be an int or ints, got None")
    rows = _by_reverse if name == "jacrev" else _by_forward

    def build(*args: Any, **kwargs: Any) -> Any:
        call = Call(name, argnums, args)
        with tracing():
            returned = fn(*call.args, **kwargs)
        leaves, structure = nest.flatten(returned)
        outputs = [asarray(v) if is_array_like(v) else _refuse(name, v) for v in leaves]
        for y in outputs:
            if y.dtype.kind != "f":
                raise GradientError(f"{name}: the function must return floats, got {y.node.type}")
        table = rows(outputs, call.wrt)
        return structure.unflatten([call.structure.unflatten(row) for row in table])

    return Compiled(name, fn, build)


def _refuse(name: str, value: Any) -> Tensor:
    raise GradientError(f"{name}: the function must return arrays and nests of them, got {shown(value)}")


def _basis(like: Tensor, name: str) -> Tensor:
    """Return the arrays of the shape of `like` that are 1 at one element each, stacked."""
    size = like.size
    if not isinstance(size, int):
        raise ShapeError(f"{name}: sizes must be known, got {like.node.type}")
    return reshape(asarray(np.eye(size, dtype=like.dtype)), (size, *like.shape))


def _by_reverse(outputs: Sequence[Tensor], wrt: Sequence[Tensor]) -> list[list[Tensor]]:
    table = []
    for y in outputs:
        found = mapped(partial(pullback, [y], list(wrt)), _basis(y, "jacrev"))
        table.append([reshape(f, (*y.shape, *x.shape)) for f, x in zip(found, wrt, strict=True)])
    return table


def _by_forward(outputs: Sequence[Tensor], wrt: Sequence[Tensor]) -> list[list[Tensor]]:
    columns = []
    for x in wrt:
        found = mapped(partial(pushforward, list(outputs), [x]), _basis(x, "jacfwd"))
        columns.append([_last(f, x, y) for f, y in zip(found, outputs, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in outputs]


def mapped(product: Callable[[list[Tensor]], list[Tensor]], rows: Tensor) -> list[Tensor]:
    """Return what `product` makes of each row, stacked."""
    found: list[Tensor] = scan(lambda _, row: (None, product([row])), None, rows)[1]
    return found


def _last(stacked: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Move the axis of directions behind those of the result, in the shape of x."""
    return reshape(moveaxis(stacked, 0, -1), (*y.shape, *x.shape))


# Mapping over an axis.


def vmap(fn: Function, in_axes: Any = 0, out_axes: Any = 0, axis_size: int | None = None) -> Function:
    """Return `fn` mapped over an axis of its arguments: what it does to one, done to all, the results stacked.

    in_axes    which axis of each argument: an int for all, or a tuple with an entry for each positional argument: an
               int, None for an argument that all calls share, or a nest of these that matches the argument (or the top
               of it). Keyword arguments are mapped along axis 0
    out_axes   where the new axis is in the results: an int, or a nest of ints that matches the result (or the top of
               it), with None for what does not depend on the mapped arguments, which gets no axis
    axis_size  how many, needed only where no argument is mapped

    Every mapped axis must have one size. fn may use variables and Tensors from outside, and derivatives: vmap(grad(f)).
    It is a loop without a carry; the compiler runs its operations for all elements at once where it has a form for it
    (elementwise, sums, products, views), else one after the other in native code.

    >>> dots = gx.vmap(lambda a, b: a @ b, in_axes=(0, None))
    >>> dots(np.arange(6.0).reshape(3, 2), np.array([1.0, 10.0]))
    array([10., 32., 54.])
    """
    _check_axes("in_axes", in_axes)
    _check_axes("out_axes", out_axes)

    def build(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_axes, tuple | list) and len(in_axes) != len(args):
            raise ArgumentError(f"vmap: in_axes has {len(in_axes)} entries, the call {len(args)} positional arguments")
        leaves, structure = nest.flatten((args, kwargs))
        axes = [*_spread_axes("in_axes", in_axes, args), *([0] * len(nest.flatten(kwargs)[0]))]
        count, moved = _mapped(leaves, axes, axis_size)

        shared: dict[int, Tensor] = {}
        shape = nest.LEAF
        places: list[int | None] = []

        def one(_: None, slices: list[Tensor]) -> tuple[None, list[Any]]:
            nonlocal shape, places
            rest = iter(slices)
            here = [leaf if axis is None else next(rest) for leaf, axis in zip(leaves, axes, strict=True)]
            own, named = structure.unflatten(here)
            results = fn(*own, **named)
            found, shape = nest.flatten(results)
            places = _spread_axes("out_axes", out_axes, results)
            shared.update({k: _alike(found[k], slices) for k, place in enumerate(places) if place is None})
            return None, [f for f, place in zip(found, places, strict=True) if place is not None]

        with tracing():
            _, stacked = loop("vmap", one, None, moved, length=count)
        found = iter(stacked)
        return shape.unflatten(
            [shared[k] if place is None else moveaxis(next(found), 0, place) for k, place in enumerate(places)]
        )

    return Compiled("vmap", fn, build)


def _alike(result: Any, slices: Sequence[Tensor]) -> Tensor:
    """Return a result that has None in out_axes. Raises ArgumentError where it depends on what is mapped."""
    tensor = asarray(result)
    inside = {*[s.node for s in slices], *steps_around()}
    if not inside.isdisjoint(toposort([tensor.node])):
        raise ArgumentError(
            f"vmap: a result with None in out_axes must be the same for all, but {tensor.node.type} depends on what is "
            "mapped; give it an axis"
        )
    return tensor


def _check_axes(what: str, axes: Any) -> None:
    for leaf in nest.flatten(axes)[0]:
        if isinstance(leaf, bool) or not isinstance(leaf, int):
            raise ArgumentError(f"vmap: {what} must be ints, None, or nests of them, got {shown(axes)}")


def _spread_axes(what: str, axes: Any, values: Any) -> list[int | None]:
    """Return an axis for each leaf of values: one in `axes` holds for all that is below its place."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(nest.flatten(values)[0])
    if isinstance(axes, list) and isinstance(values, tuple):
        axes = tuple(axes)
    parts = _parts(what, axes, values)
    return [axis for a, v in parts for axis in _spread_axes(what, a, v)]


def _parts(what: str, axes: Any, values: Any) -> list[tuple[Any, Any]]:
    if isinstance(axes, dict) and isinstance(values, dict) and axes.keys() == values.keys():
        return [(axes[k], values[k]) for k in sorted(values)]
    if isinstance(axes, tuple | list) and isinstance(values, type(axes)) and len(axes) == len(values):
        return list(zip(axes, values, strict=True))
    raise ArgumentError(f"vmap: {what} {shown(axes)} does not match the structure {nest.flatten(values)[1]}")


def _mapped(leaves: Sequence[Any], axes: Sequence[int | None], axis_size: int | None) -> tuple[Size, list[Tensor]]:
    """Return the size of the mapped axes, and the mapped arguments with that axis in front."""
    count: Size | None = axis_size
    moved = []
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is None:
            continue
        if not is_array_like(leaf) and not isinstance(leaf, Handle):
            raise ArgumentError(f"vmap: {shown(leaf)} cannot be mapped; give it None in in_axes")
        tensor = asarray(leaf)
        if not -tensor.ndim <= axis < tensor.ndim:
            raise ShapeError(f"vmap: an argument of type {tensor.node.type} has no axis {axis} to map over")
        size = tensor.shape[axis]
        if count is not None and isinstance(count, int) and isinstance(size, int) and size != count:
            raise ShapeError(f"vmap: mapped axes must have one size, got {count} and {size} in {tensor.node.type}")
        count = size if count is None or isinstance(size, int) else count
        moved.append(moveaxis(tensor, axis, 0))
    if count is None:
        raise ArgumentError("vmap: no argument is mapped, so axis_size must say how many results there are")
    return count, moved
