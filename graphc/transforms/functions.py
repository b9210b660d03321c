"""Derivatives of functions: functions of nests of arrays or Tensors in, such functions out.

A function differentiates with respect to its own arguments: a Tensor that it also uses from outside is a constant to
it. Each result composes with every other transform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from graphc import nest
from graphc.array.convert import asarray, function
from graphc.array.handle import Handle, wrap
from graphc.errors import ArgumentError, GradientError, shown
from graphc.ir.graph import Node
from graphc.ops.elementwise import copy
from graphc.tensor import Tensor
from graphc.transforms.derivatives import gradients, pulled_back, pushed_forward
from graphc.transforms.tracing import Compiled, Function, float_leaf, is_array_like, is_building, tracing

Argnums = int | Sequence[int] | None


def fresh(leaves: Sequence[Any], name: str, places: Sequence[str]) -> list[Tensor]:
    """Return Tensors that stand for these values and nothing else, to be differentiated with respect to."""
    return [wrap(copy(_float(name, place, leaf, leaves))) for leaf, place in zip(leaves, places, strict=True)]


def _float(name: str, place: str, value: Any, beside: Sequence[Any]) -> Node:
    if not is_array_like(value):
        raise ArgumentError(f"{name}: {place} must be an array, a number or a Tensor, got {shown(value)}")
    node = asarray(float_leaf(value, beside)).node
    if node.dtype.kind != "f":
        raise GradientError(f"{name}: {place} must be floating-point, got {node.type}; convert it, or leave it out")
    return node


def checked_argnums(name: str, argnums: Any, count: int) -> tuple[int, ...]:
    """Return positions of arguments, counted from the front."""
    numbers = tuple(argnums) if isinstance(argnums, list | tuple) else (argnums,)
    for k in numbers:
        if isinstance(k, bool) or not isinstance(k, int):
            raise ArgumentError(f"{name}: argnums must be an int or ints, got {shown(argnums)}")
        if not -count <= k < count:
            raise ArgumentError(
                f"{name}: argnums has {k}, the function was called with {count} positional arguments; what is given by "
                "keyword is not differentiated"
            )
    found = tuple([k % count for k in numbers])
    if len(set(found)) != len(found):
        raise ArgumentError(f"{name}: argnums must be different, got {shown(argnums)}")
    return found


_Make = TypeVar("_Make", bound=Callable[..., Any])

CACHED = 256
"""Transformed functions that are remembered, so that transforming a function again finds what was compiled for it."""


def remembered(make: _Make) -> _Make:
    """Let `make`, given the same function and settings again, return the same transformed function."""
    cached = lru_cache(maxsize=CACHED)(make)

    @wraps(make)
    def made(*settings: Any) -> Any:
        try:
            return cached(*settings)
        except Exception:  # noqa: BLE001 - something among them is not hashable; a real mistake is made again
            return make(*settings)

    made.forget = cached.cache_clear  # type: ignore[attr-defined]
    return cast(_Make, made)


def named_after(fn: Function, build: Function) -> Function:
    """Return `build` with the name of the user's function."""
    build.__name__ = getattr(fn, "__name__", "function")
    return build


class Call:
    """A call of a function whose arguments at some positions are replaced by fresh Tensors.

    `wrt` are these, in the order of the leaves of `chosen`, the nest of them.
    """

    def __init__(self, name: str, argnums: Any, args: tuple[Any, ...]) -> None:
        self.name = name
        numbers = checked_argnums(name, argnums, len(args))
        self.chosen = args[numbers[0]] if isinstance(argnums, int) else tuple([args[k] for k in numbers])
        leaves, self.structure = nest.flatten(self.chosen)
        root = f"argument {numbers[0]}" if isinstance(argnums, int) else "arguments"
        self.wrt = fresh(leaves, name, [root + p for p in nest.paths(self.chosen)])
        new = self.structure.unflatten(self.wrt)
        replaced = dict(zip(numbers, [new] if isinstance(argnums, int) else new, strict=True))
        self.args = tuple([replaced.get(k, a) for k, a in enumerate(args)])


def _variables(name: str, weights: Any) -> tuple[list[Tensor], nest.Structure]:
    """Return the variables in a nest, or those of a Module, which are its parameters."""
    given = weights.parameters() if hasattr(weights, "parameters") else weights
    leaves, structure = nest.flatten(given)
    for leaf in leaves:
        if not isinstance(leaf, Handle):
            raise ArgumentError(f"{name}: weights must be variables or nests of them, got {shown(leaf)}")
    return leaves, structure


def value_and_grad(
    fn: Function, argnums: Argnums = 0, has_aux: bool = False, weights: Any = None
) -> Callable[..., tuple[Any, Any]]:
    """Return a function with the arguments of `fn` that returns its value and gradients, computed together.

    fn        returns a floating-point scalar, with has_aux a pair of it and a nest of anything, which is passed on
    argnums   the positional argument to differentiate with respect to, or several; None for none (with weights)
    weights   variables (a nest of them, or a Module) that fn closes over, to differentiate with respect to as well

    The result is (value, gradients), with has_aux ((value, aux), gradients). Gradients have the structure, shapes and
    dtypes of the argument (a tuple of these for several argnums); with weights they are a pair of those with respect to
    arguments and with respect to weights, or the latter alone if argnums is None. What the value does not depend on has
    gradient zero. Raises GradientError where the value is no floating-point scalar or an argument no float.

    >>> f = gx.value_and_grad(lambda p, x: gx.sum(p["w"] * x + p["b"]))
    >>> value, gradient = f({"w": np.array([1.0, 2.0]), "b": 0.5}, np.array([3.0, 4.0]))
    >>> float(value), gradient["w"], float(gradient["b"])
    (12.0, array([3., 4.]), 2.0)
    """
    return _gradient_function("value_and_grad", fn, _hashable(argnums), has_aux, weights, _value_and_gradients)


def grad(fn: Function, argnums: Argnums = 0, has_aux: bool = False, weights: Any = None) -> Function:
    """Return a function with the arguments of `fn` that returns its gradients; see `value_and_grad`.

    With has_aux the result is (gradients, aux).

    >>> [float(gx.grad(f)(2.0)) for f in (gx.sin, gx.grad(gx.sin), lambda x: x**3)]
    [-0.4161468365471424, -0.9092974268256817, 12.0]
    """
    return _gradient_function("grad", fn, _hashable(argnums), has_aux, weights, _gradients_alone)


def _value_and_gradients(value: Any, aux: Any, found: Any, has_aux: bool) -> Any:
    return ((value, aux) if has_aux else value), found


def _gradients_alone(value: Any, aux: Any, found: Any, has_aux: bool) -> Any:
    return (found, aux) if has_aux else found


def _hashable(argnums: Any) -> Any:
    return tuple(argnums) if isinstance(argnums, list) else argnums


@remembered
def _gradient_function(
    name: str, fn: Function, argnums: Argnums, has_aux: bool, weights: Any, result: Callable[..., Any]
) -> Function:
    if argnums is None and weights is None:
        raise ArgumentError(f"{name}: argnums=None needs weights= to differentiate with respect to")
    variables, of_weights = _variables(name, weights) if weights is not None else ([], nest.LEAF)

    def build(*args: Any, **kwargs: Any) -> Any:
        call = None if argnums is None else Call(name, argnums, args)
        with tracing():
            returned = fn(*(args if call is None else call.args), **kwargs)
        value, aux = _pair(name, returned) if has_aux else (returned, None)
        scalar = _scalar(name, value)
        wrt = [*(call.wrt if call else []), *variables]
        found = gradients(scalar, wrt, unconnected="zero") if wrt else []
        parts = []
        if call is not None:
            parts.append(call.structure.unflatten(found[: len(call.wrt)]))
        if weights is not None:
            parts.append(of_weights.unflatten(found[len(found) - len(variables) :]))
        return result(scalar, aux, parts[0] if len(parts) == 1 else tuple(parts), has_aux)

    return Compiled(name, fn, build)


def _pair(name: str, returned: Any) -> tuple[Any, Any]:
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise ArgumentError(f"{name}: with has_aux the function must return a pair (value, aux), got {shown(returned)}")
    return returned


def _scalar(name: str, value: Any) -> Tensor:
    if not is_array_like(value):
        raise GradientError(
            f"{name}: the function must return a scalar, got {type(value).__name__}; use has_aux for further results"
        )
    tensor = asarray(value)
    if tensor.ndim:
        raise GradientError(
            f"{name}: the function must return a scalar, got {tensor.node.type}; sum it, or use vjp or jacrev"
        )
    if tensor.dtype.kind != "f":
        raise GradientError(f"{name}: the function must return a floating-point scalar, got {tensor.node.type}")
    return tensor


# Products with the Jacobian.


def vjp(fn: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Return fn(*primals) and the function that takes a cotangent of it to the cotangents of the primals.

    The result is (out, pull), with has_aux, when fn returns a pair, (out, pull, aux). `pull` takes a nest of the
    structure, shapes and dtypes of out and returns a tuple with one nest for each primal. Given arrays, both are
    compiled; pull computes again what it needs of fn.

    >>> out, pull = gx.vjp(lambda x, y: gx.sin(x) * y, 0.5, 2.0)
    >>> [float(v.round(4)) for v in (out, *pull(1.0))]
    [0.9589, 1.7552, 0.4794]
    """
    function("vjp", "fn", fn)
    leaves, _ = nest.flatten(primals)
    if is_building(leaves):
        call = Call("vjp", tuple(range(len(primals))), primals)
        with tracing():
            returned = fn(*call.args)
        out, aux = _pair("vjp", returned) if has_aux else (returned, None)
        return (out, lambda cotangent: _pulled(out, call, cotangent), *([aux] if has_aux else []))
    forward, pull = _vjp_functions(fn, has_aux)
    result = forward(*primals)
    out, aux = _pair("vjp", result) if has_aux else (result, None)
    return (out, lambda cotangent: pull(_like_results(cotangent, out), primals), *([aux] if has_aux else []))


@remembered
def _vjp_functions(fn: Function, has_aux: bool) -> tuple[Compiled, Compiled]:
    """Return fn, and its pullback as a function of a cotangent and the primals, to be called with arrays."""

    def pull(cotangent: Any, primals: tuple[Any, ...]) -> Any:
        call = Call("vjp", tuple(range(len(primals))), primals)
        with tracing():
            returned = fn(*call.args)
        out = _pair("vjp", returned)[0] if has_aux else returned
        return _pulled(out, call, cotangent)

    return Compiled("vjp", fn, fn), Compiled("vjp", pull, named_after(fn, pull))


def _like_results(values: Any, results: Any) -> Any:
    """Return values with Python numbers in the dtype of the result in their place."""
    given, structure = nest.flatten(values)
    wanted, other = nest.flatten(results)
    if structure != other:
        return values  # an error to be raised with the nodes at hand
    cast = [
        w.dtype.type(g) if type(g) in (int, float) else g  # an array's own dtype is checked
        for g, w in zip(given, wanted, strict=True)
    ]
    return structure.unflatten(cast)


def _pulled(out: Any, call: Call, cotangent: Any) -> Any:
    """Return the cotangents of the primals; results that are no floats take part in none."""
    leaves, structure = nest.flatten(out)
    tensors = [asarray(v) for v in leaves]
    given, other = nest.flatten(cotangent)
    if structure != other:
        raise ArgumentError(f"vjp: the cotangent must have the structure of the result, {structure}, got {other}")
    floats = [k for k, t in enumerate(tensors) if t.dtype.kind == "f"]
    found = pulled_back(call.name, [tensors[k] for k in floats], call.wrt, [given[k] for k in floats])
    return call.structure.unflatten(found)


def jvp(fn: Function, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """Return fn(*primals) and its derivative in the direction of tangents, which match primals; forward mode.

    primals and tangents are tuples with an entry for each argument. The result is (out, tangent), both of the structure
    of fn's result, with has_aux, when fn returns a pair, (out, tangent, aux). Integer results have tangents of zeros.

    >>> out, tangent = gx.jvp(lambda x: x * gx.exp(x), (1.0,), (2.0,))
    >>> float(out.round(4)), float(tangent.round(4))
    (2.7183, 10.8731)
    """
    function("jvp", "fn", fn)
    primals, tangents = _as_arguments("jvp", "primals", primals), _as_arguments("jvp", "tangents", tangents)
    return _jvp_function(fn, has_aux)(primals, _like_results(tangents, _typed(primals)))


@remembered
def _jvp_function(fn: Function, has_aux: bool) -> Compiled:
    def push(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        call = Call("jvp", tuple(range(len(primals))), primals)
        with tracing():
            returned = fn(*call.args)
        out, aux = _pair("jvp", returned) if has_aux else (returned, None)
        tangent = pushed(out, call, tangents)
        return (out, tangent, *([aux] if has_aux else []))

    return Compiled("jvp", push, named_after(fn, push))


def _typed(values: Any) -> Any:
    leaves, structure = nest.flatten(values)
    return structure.unflatten([v if hasattr(v, "dtype") else asarray(float_leaf(v, leaves)) for v in leaves])


def _as_arguments(name: str, what: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, tuple | list):
        raise ArgumentError(f"{name}: {what} must be a tuple with an entry for each argument, got {shown(values)}")
    return tuple(values)


def pushed(out: Any, call: Call, directions: Any) -> Any:
    """Return the tangents of what a call returned; zeros for what is no float."""
    leaves, structure = nest.flatten(out)
    given, other = nest.flatten(directions)
    if other != call.structure:
        raise ArgumentError(f"{call.name}: tangents must have the structure of primals, {call.structure}, got {other}")
    tensors = [asarray(v) for v in leaves]
    floats = [k for k, t in enumerate(tensors) if t.dtype.kind == "f"]
    found = dict(zip(floats, pushed_forward(call.name, [tensors[k] for k in floats], call.wrt, given), strict=True))
    return structure.unflatten([found.get(k, t * 0) for k, t in enumerate(tensors)])


def hvp(fn: Function, primals: Any, tangents: Any) -> Any:
    """Return the product of fn's Hessian at primals with tangents: forward mode over reverse, no Hessian is formed.

    fn returns a scalar. primals and tangents are tuples with an entry for each argument, and so is the result; for a
    function of one argument they may be that argument itself.

    >>> gx.hvp(lambda x: gx.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])
    """
    is_single = not isinstance(primals, tuple | list)
    points, directions = ((primals,), (tangents,)) if is_single else (primals, tangents)
    slopes = _gradient_function("hvp", fn, tuple(range(len(points))), False, None, _gradients_alone)
    found = jvp(slopes, points, directions)[1]
    return found[0] if is_single else found
