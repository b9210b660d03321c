"""custom_vjp: functions with a derivative rule of the user's."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc import nest
from graphc.array.control.tracing import closed_since
from graphc.array.convert import asarray, differ, promote
from graphc.array.handle import Handle, wrap
from graphc.errors import ArgumentError, DTypeError, GradientError, ShapeError
from graphc.ir.graph import Graph, Node, births
from graphc.ops import control as ops
from graphc.transforms.tracing import (
    Arguments,
    Compiled,
    Function,
    arguments_of,
    float_leaf,
    is_array_like,
    static_of,
    tracing,
)

_numbers = itertools.count(1)


@dataclass
class _Pending:
    """A rule under construction: a call of the function inside of its own rule refers to it."""

    rule: ops.Rule
    body: Graph
    outside: list[Node]
    structure: nest.Structure
    is_used: bool = field(default=False)


class _Active(threading.local):
    """The rules that this thread is tracing."""

    def __init__(self) -> None:
        self.rules: dict[Any, _Pending] = {}


_active = _Active()


class custom_vjp(Compiled):
    """A function `fn` whose derivative is the user's: `gx.custom_vjp(fn, forward, backward)`.

    forward(*arguments) -> (result, residuals)      with the result of fn, and a nest of what backward needs
    backward(residuals, cotangent) -> cotangents    a tuple with one for each argument: a nest of its structure, shapes
                                                    and dtypes, or None for zero

    cotangent has the structure of the result, with zeros for what nothing depends on. The value is always fn's. What is
    differentiated again is what backward computes, in residuals and the cotangent. Integer arguments take part in
    nothing. With `nondiff_argnums`, arguments at these positions are given to backward first, in front of the
    residuals, and have no cotangent. fn, forward and backward may use Tensors from outside, but backward gives them no
    cotangent: a derivative that would need one raises GradientError. Forward mode transposes the rule, for which
    backward must be linear in the cotangent; one that is not (it clips, say) raises GradientError there.

    As a decorator, the rule follows: `f.defvjp(forward, backward)`.

    >>> clip = gx.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, ct: (gx.clip(ct, -1, 1),))
    >>> gx.grad(lambda x: gx.sum(clip(x) ** 2))(np.array([0.25, 3.0]))
    array([0.5, 1. ])
    """

    def __init__(
        self,
        fn: Function,
        forward: Function | None = None,
        backward: Function | None = None,
        nondiff_argnums: int | Sequence[int] = (),
    ) -> None:
        super().__init__("custom_vjp", fn, self._call, static_argnums=nondiff_argnums)
        if (forward is None) != (backward is None):
            raise ArgumentError("custom_vjp: forward and backward come together")
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self._fixed = tuple(sorted(numbers))
        self._rule: tuple[Function, Function] | None = None
        if forward is not None and backward is not None:
            self.defvjp(forward, backward)

    def defvjp(self, forward: Function, backward: Function) -> None:
        """Give the function its derivative rule."""
        if not callable(forward) or not callable(backward):
            raise ArgumentError(f"custom_vjp: forward and backward must be functions, got {forward!r}, {backward!r}")
        self._rule = forward, backward

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if self._rule is None:
            raise ArgumentError("custom_vjp: the function has no derivative rule; give it one with defvjp")
        args = _positional(self._fn, args, kwargs)
        kept = [k for k in range(len(args)) if k not in self._fixed]
        given = arguments_of("custom_vjp", self._fn, tuple([args[k] for k in kept]), {}, static_of("", len, (), ()))
        values = [asarray(float_leaf(a, given.arrays)).node for a in given.arrays]
        key = (self, given.key, tuple([v.type for v in values]), tuple([_identity(args[k]) for k in self._fixed]))
        pending = _active.rules.get(key)
        if pending is not None:
            pending.is_used = True
            results = ops.custom_vjp(pending.body, pending.rule, [*values, *pending.outside])
            return pending.structure.unflatten([wrap(r) for r in results])
        traced = _Traced(self._fn, *self._rule, args, kept, given, values)
        pending = traced.of_fn()
        if _active.rules:
            pending.rule.trace = lambda: traced.late(key, pending)
        else:
            traced.now(key, pending)
        results = ops.custom_vjp(pending.body, pending.rule, [*values, *pending.outside])
        return traced.structure.unflatten([wrap(r) for r in results])


def _identity(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value


def _positional(fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of a call in the order of the function's parameters, defaults included."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        signature = None
    if signature is None:
        if kwargs:
            raise ArgumentError(f"custom_vjp: arguments must be positional, got {', '.join(kwargs)} by name")
        return args
    bound = signature.bind(*args, **kwargs)
    if bound.kwargs:
        raise ArgumentError(f"custom_vjp: arguments must be positional, got {', '.join(bound.kwargs)} by name alone")
    bound.apply_defaults()
    return bound.args


class _Traced:
    """The three functions traced on parameters for one call."""

    def __init__(
        self,
        fn: Function,
        forward: Function,
        backward: Function,
        args: tuple[Any, ...],
        kept: Sequence[int],
        given: Arguments,
        values: Sequence[Node],
    ) -> None:
        self.fn, self.forward, self.backward = fn, forward, backward
        self.args, self.kept, self.given = args, kept, given
        self.parameters = [ops.parameter(f"x{k}", v.tensor_type) for k, v in enumerate(values)]
        self.birth = births()
        own, _ = given.rebuilt([wrap(p) for p in self.parameters])
        self.own = dict(zip(kept, own, strict=True))
        with tracing():
            returned = fn(*self.arguments())
        self.results, self.structure = _nodes("fn", returned)
        self.returned = returned

    def arguments(self) -> list[Any]:
        return [self.own.get(k, a) for k, a in enumerate(self.args)]

    def of_fn(self) -> _Pending:
        (body,), outside = closed_since([("fn", self.results)], self.parameters, self.birth)
        rule = ops.Rule(f"{getattr(self.fn, '__name__', 'function')}_{next(_numbers)}")
        return _Pending(rule, body, outside, self.structure)

    def now(self, key: Any, pending: _Pending) -> None:
        """Complete the rule."""
        _active.rules[key] = pending
        try:
            # What the rule uses from outside, calls of the function inside of the rule must have as inputs too.
            if self.rule(pending) and pending.is_used:
                self.rule(pending)
        finally:
            del _active.rules[key]
        pending.rule.trace = None

    def late(self, key: Any, pending: _Pending) -> None:
        """Complete the rule of a call that stands in another rule, which may call on for ever; only now, as a
        derivative asks for it, all that it can use from outside is what fn does."""
        known = list(pending.outside)
        self.now(key, pending)
        more = [n for n in pending.outside if n not in known]
        if more:
            raise GradientError(
                f"custom_vjp: the rule of {pending.rule}, which another rule calls, uses {wrap(more[0])!r} from "
                "outside; pass it as an argument"
            )

    def rule(self, pending: _Pending) -> bool:
        """Trace forward and backward into the rule; tell whether they use more from outside than was known."""
        with tracing():
            made = self.forward(*self.arguments())
        if not isinstance(made, tuple) or len(made) != 2:
            raise ArgumentError(f"custom_vjp: forward must return a pair (result, residuals), got {made!r}")
        self._require_same_result(made[0])
        leaves, structure = nest.flatten(made[1])
        places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, Handle)]
        residuals = [leaves[k].node for k in places]
        kept = [ops.parameter(f"r{k}", r.tensor_type) for k, r in enumerate(residuals)]
        for k, parameter in zip(places, kept, strict=True):
            leaves[k] = wrap(parameter)
        seeds = [ops.parameter(f"ct{k}", r.tensor_type) for k, r in enumerate(self.results)]
        first = [a for k, a in enumerate(self.args) if k not in self.kept]
        with tracing():
            found = self.backward(*first, structure.unflatten(leaves), self.structure.unflatten(list(map(wrap, seeds))))
        cotangents = self._cotangents(found)

        parameters = [*self.parameters, *kept, *seeds]
        traced = [("fn", self.results), ("forward", residuals), ("backward", list(cotangents.values()))]
        (body, forward, backward), outside = closed_since(traced, parameters, self.birth)
        stand_ins = dict(zip(outside, body.inputs[len(parameters) :], strict=True))
        order = list(dict.fromkeys([*pending.outside, *outside]))
        places_outside = [stand_ins.get(o) or ops.parameter("unused", o.tensor_type) for o in order]
        pending.body = Graph((*self.parameters, *places_outside), body.outputs, name=body.name)
        rule = pending.rule
        rule.forward = Graph((*self.parameters, *places_outside), forward.outputs, name="forward")
        rule.backward = Graph((*kept, *seeds, *places_outside), backward.outputs, name="backward")
        rule.places, rule.arguments = tuple(cotangents), len(self.parameters)
        known, pending.outside = pending.outside, order
        return order != known

    def _require_same_result(self, result: Any) -> None:
        nodes, structure = _nodes("forward", result)
        if structure != self.structure:
            raise ArgumentError(
                f"custom_vjp: forward must return (result, residuals) with the result of fn, of the structure "
                f"{self.structure}, got {structure}"
            )
        for place, a, b in zip(nest.paths(self.returned), self.results, nodes, strict=True):
            if a.type != b.type:
                raise ShapeError(
                    f"custom_vjp: the result{place} of forward must be {a.type} as that of fn, got {b.type}"
                )

    def _cotangents(self, found: Any) -> dict[int, Node]:
        """Return the cotangents that backward gives, by the number of the parameter."""
        if len(self.kept) == 1 and not isinstance(found, tuple):
            found = (found,)
        if not isinstance(found, tuple | list) or len(found) != len(self.kept):
            raise ArgumentError(
                f"custom_vjp: backward must return a tuple with a cotangent for each of {len(self.kept)} arguments, "
                f"got {found!r}"
            )
        cotangents: dict[int, Node] = {}
        count = 0
        for number, value in zip(self.kept, found, strict=True):
            argument = self.own[number]
            leaves, structure = nest.flatten(argument)
            parts = [None] * len(leaves) if value is None else self._parts(number, value, structure)
            for place, leaf, part in zip(nest.paths(argument), leaves, parts, strict=True):
                if not isinstance(leaf, Handle):
                    continue
                if part is not None and leaf.node.dtype.kind == "f":
                    cotangents[count] = _checked(f"the cotangent of argument {number}{place}", part, leaf.node)
                count += 1
        return cotangents

    def _parts(self, number: int, value: Any, structure: nest.Structure) -> list[Any]:
        parts, other = nest.flatten(value)
        if other != structure:
            raise ArgumentError(
                f"custom_vjp: the cotangent of argument {number} must have its structure, {structure}, got {other}"
            )
        return parts


def _nodes(what: str, returned: Any) -> tuple[list[Node], nest.Structure]:
    leaves, structure = nest.flatten(returned)
    for leaf in leaves:
        if not is_array_like(leaf):
            raise ArgumentError(f"custom_vjp: {what} must return arrays and nests of them, got {leaf!r}")
    return [asarray(leaf).node for leaf in leaves], structure


def _checked(what: str, value: Any, like: Node) -> Node:
    """Return a cotangent as a node of the type of `like`; Python numbers take its dtype."""
    node = promote("custom_vjp", [value], least=like.dtype)[0]
    if node.dtype != like.dtype:
        raise DTypeError(f"custom_vjp: {what} must have the dtype of {like.type}, got {node.type}; use astype")
    if node.ndim != like.ndim or any(differ(a, b) for a, b in zip(node.shape, like.shape, strict=True)):
        raise ShapeError(f"custom_vjp: {what} must have the shape of {like.type}, got {node.type}")
    return node
