"""Derivatives of Tensors with respect to Tensors: the results are Tensors too, so every order works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from graphc import autodiff, nest
from graphc.array.convert import ArrayLike, choice, differ, promote
from graphc.array.handle import Handle, wrap
from graphc.errors import ArgumentError, DTypeError, GradientError, ShapeError, shown
from graphc.ir.graph import Node, literal, toposort
from graphc.ir.types import TupleType
from graphc.ops.control import zeros
from graphc.ops.elementwise import stop_gradient

if TYPE_CHECKING:
    from graphc.tensor import Tensor


@overload
def gradients(
    y: Tensor, wrt: Tensor, cotangent: ArrayLike | None = None, unconnected: Literal["raise", "zero"] = "raise"
) -> Tensor: ...
@overload
def gradients(
    y: Tensor,
    wrt: Sequence[Tensor],
    cotangent: ArrayLike | None = None,
    unconnected: Literal["raise", "zero"] = "raise",
) -> list[Tensor]: ...
def gradients(
    y: Tensor,
    wrt: Tensor | Sequence[Tensor],
    cotangent: ArrayLike | None = None,
    unconnected: Literal["raise", "zero"] = "raise",
) -> Tensor | list[Tensor]:
    """Return the gradient of y with respect to one Tensor, or to each of a list of them, in reverse mode.

    y is a scalar, or `cotangent` has its shape and dtype, and the result is the sum of cotangent * dy/dwrt over the
    elements of y. Every Tensor that y is computed from may be in `wrt`, also one in between; each gradient has its
    shape and dtype. Where y does not depend on one, or only through stop_gradient or integers, GradientError is raised,
    or with unconnected="zero" the gradient is zeros.

    >>> x = gx.placeholder((3,), "float64", name="x")
    >>> gx.gradients(gx.sum(x * x), x).shape
    (3,)
    """
    choice("gradients", "unconnected", unconnected, ("raise", "zero"))
    output = _float_node("gradients", "y", y)
    sources = [_float_node("gradients", "wrt", w) for w in _listed("gradients", "wrt", wrt)]
    found = autodiff.pullback([output], sources, [_seed(output, cotangent)])
    if unconnected == "raise" and None in found:
        _require_connected(output, [s for s, g in zip(sources, found, strict=True) if g is None])
    results = [_wrapped(g, s) for g, s in zip(found, sources, strict=True)]
    return results[0] if isinstance(wrt, Handle) else results


def _wrapped(gradient: Node | None, like: Node) -> Tensor:
    return wrap(zeros(like.tensor_type) if gradient is None else gradient)


def _listed(name: str, what: str, values: Any) -> list[Any]:
    if isinstance(values, Handle):
        return [values]
    if not isinstance(values, list | tuple):
        raise ArgumentError(f"{name}: {what} must be a Tensor or a list of Tensors, got {shown(values)}")
    return list(values)


def _float_node(name: str, what: str, value: Any) -> Node:
    if not isinstance(value, Handle):
        raise ArgumentError(f"{name}: {what} must be a Tensor, got {shown(value)} ({type(value).__name__})")
    if value.node.dtype.kind != "f":
        raise GradientError(
            f"{name}: {what} must be floating-point, got {value!r}; convert it with astype, or leave it out"
        )
    return value.node


def _seed(output: Node, cotangent: Any) -> Node:
    if cotangent is not None:
        return _like("gradients", "the cotangent", cotangent, output)
    if output.ndim:
        raise GradientError(
            f"gradients: y must be a scalar, got {output.type}; sum it, or give a cotangent of its shape"
        )
    return literal(1, output.dtype)


def _like(name: str, what: str, value: Any, like: Node) -> Node:
    """Return a cotangent or tangent as a node of the type of `like`; Python numbers take its dtype."""
    node = promote(name, [value], least=like.dtype)[0]
    if node.dtype != like.dtype:
        raise DTypeError(
            f"{name}: {what} must have the dtype of {like.type}, got {node.type}; "
            f"convert it with astype({like.dtype.name!r})"
        )
    if node.ndim != like.ndim or any(differ(a, b) for a, b in zip(node.shape, like.shape, strict=True)):
        raise ShapeError(
            f"{name}: {what} must have the shape of {like.type}, got {node.type}; reshape or broadcast_to it"
        )
    return node


def _require_connected(output: Node, sources: list[Node]) -> None:
    """Raise for a source that no path of floating-point values without stop_gradient joins to y."""
    joined = _joined(output, _passes)
    for source in sources:
        if source not in joined:
            reason = f"y does not depend on {wrap(source)!r} through differentiable values{_cut(output, source)}"
            raise GradientError(f'gradients: {reason}; leave it out of wrt, or pass unconnected="zero" for zeros')


def _joined(output: Node, passes: Callable[[Node], bool]) -> set[Node]:
    """Return the nodes that paths of nodes that pass join to y."""
    joined = {output}
    stack = [output]
    while stack:
        node = stack.pop()
        for source in node.inputs if passes(node) else ():
            if source not in joined:
                joined.add(source)
                stack.append(source)
    return joined


def _passes(node: Node) -> bool:
    """Whether a derivative may pass through a node. A derivative that is zero passes, as zeros."""
    return node.op is not stop_gradient and (isinstance(node.type, TupleType) or node.dtype.kind == "f")


def _cut(output: Node, source: Node) -> str:
    """Tell where the paths from a source to y are cut, if there are any."""
    behind = _joined(output, lambda node: True)
    after = {source}
    for node in toposort([output]):
        if node not in behind or after.isdisjoint(node.inputs):
            continue
        if not _passes(node):
            return f": {node.op.name} cuts it off (at {node.location})"
        after.add(node)
    return ""


def pullback(ys: Any, xs: Any, cotangents: Any) -> Any:
    """Return the vector-Jacobian products: for each x, the sum over the ys of cotangent * dy/dx.

    ys, xs and cotangents are Tensors or nests of them; cotangents match ys in structure, shapes and dtypes. The result
    has the structure of xs, with zeros for an x on which nothing depends.

    >>> x = gx.placeholder((3,), "float64", name="x")
    >>> gx.pullback([gx.sin(x), gx.sum(x)], x, [x, 1.0]).shape
    (3,)
    """
    return pulled_back("pullback", ys, xs, cotangents)


def pulled_back(name: str, ys: Any, xs: Any, cotangents: Any) -> Any:
    """Return `pullback`, which the user calls by this name."""
    outputs, shape_of_ys = _nodes(name, "ys", ys)
    sources, shape_of_xs = _nodes(name, "xs", xs)
    seeds = _matching(name, "cotangents", cotangents, "ys", outputs, shape_of_ys)
    found = autodiff.pullback(outputs, sources, seeds)
    return shape_of_xs.unflatten([_wrapped(g, s) for g, s in zip(found, sources, strict=True)])


def pushforward(ys: Any, xs: Any, tangents: Any) -> Any:
    """Return the Jacobian-vector products: for each y, the sum over the xs of dy/dx * tangent.

    ys, xs and tangents are Tensors or nests of them; tangents match xs in structure, shapes and dtypes. The result has
    the structure of ys, with zeros for a y that depends on no x.

    >>> x = gx.placeholder((3,), "float64", name="x")
    >>> gx.pushforward({"s": gx.sum(x)}, x, gx.ones_like(x))["s"].shape
    ()
    """
    return pushed_forward("pushforward", ys, xs, tangents)


def pushed_forward(name: str, ys: Any, xs: Any, tangents: Any) -> Any:
    """Return `pushforward`, which the user calls by this name."""
    outputs, shape_of_ys = _nodes(name, "ys", ys)
    sources, shape_of_xs = _nodes(name, "xs", xs)
    directions = _matching(name, "tangents", tangents, "xs", sources, shape_of_xs)
    found = autodiff.pushforward(outputs, sources, directions)
    return shape_of_ys.unflatten([_wrapped(t, o) for t, o in zip(found, outputs, strict=True)])


def _nodes(name: str, what: str, values: Any) -> tuple[list[Node], nest.Structure]:
    leaves, structure = nest.flatten(values)
    return [_float_node(name, what + path, v) for v, path in zip(leaves, nest.paths(values), strict=True)], structure


def _matching(name: str, what: str, values: Any, of: str, nodes: list[Node], structure: nest.Structure) -> list[Node]:
    """Return the leaves of `values`, which must have that structure, as nodes of the types of `nodes`."""
    leaves, given = nest.flatten(values)
    if given != structure:
        raise ArgumentError(f"{name}: {what} must have the structure of {of}, {structure}, got {given}")
    places = nest.paths(values)
    return [_like(name, what + path, v, n) for v, path, n in zip(leaves, places, nodes, strict=True)]
