"""Derivatives against finite differences, for functions whose derivative a user doubts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import nest
from graphc.array.convert import as_node, asarray, function
from graphc.array.reduce import sum as reduce_sum
from graphc.errors import ArgumentError, GradientError, shown
from graphc.ir.graph import known_value
from graphc.tensor import Tensor
from graphc.transforms.functions import Call, grad, pushed
from graphc.transforms.tracing import Compiled, Function, tracing

Array = np.ndarray[Any, Any]

MODES = ("reverse", "forward")

MOST_ELEMENTS = 64
"""Elements of one argument that are varied one by one; of more, as many chosen at random (always the same)."""

_STEP, _RTOL = {1: 1e-5, 2: 1e-4}, {1: 1e-6, 2: 1e-5}


def check_gradients(
    fn: Function,
    *args: Any,
    order: int = 1,
    modes: str | Sequence[str] = MODES,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Compare the derivatives of `fn` at `args` with central differences; raise GradientError with the worst element.

    args    nests of arrays; the floating-point ones are varied, in float64 whatever their dtype
    order   1, or 2 to check the derivative of the derivative as well
    modes   "reverse", "forward", or both
    eps     the step, relative to an element's size where that is more than 1 (1e-5; 1e-4 for order 2)
    rtol, atol   the difference allowed, relative to the largest derivative (1e-6; 1e-5) and absolute (the same)

    What is compared are derivatives of a sum of fn's results with weights that are random but always the same. fn must
    be smooth around args. Computing in float64, it differs where fn itself fixes another dtype.

    >>> gx.check_gradients(lambda x: gx.sum(gx.sin(x) ** 2), np.array([0.5, 1.0]), order=2)
    """
    function("check_gradients", "fn", fn)
    chosen = (modes,) if isinstance(modes, str) else modes
    are_modes = isinstance(chosen, list | tuple) and chosen and all(isinstance(m, str) and m in MODES for m in chosen)
    if type(order) is not int or order not in (1, 2) or not are_modes:
        raise ArgumentError(
            f"check_gradients: order is 1 or 2, modes are of {MODES}; got {shown(order)} and {shown(modes)}"
        )
    leaves, structure = nest.flatten(args)
    values = [_widened(v) for v in leaves]
    varied = [k for k, v in enumerate(values) if v.dtype.kind == "f"]
    if not varied:
        raise ArgumentError("check_gradients: there is no floating-point argument to vary")
    for what, number in (("eps", eps), ("rtol", rtol), ("atol", atol)):
        if number is not None and not isinstance(number, int | float | np.number):
            raise ArgumentError(f"check_gradients: {what} must be a number, got {shown(number)}")
    places = nest.paths(args)
    check = _Check(eps or _STEP[order], rtol or _RTOL[order], _RTOL[order] if atol is None else atol)

    def scalar(*given: Any) -> Tensor:
        full = list(map(asarray, values))
        for k, value in zip(varied, given, strict=True):
            full[k] = value
        return _weighted(fn(*structure.unflatten(full)))

    points = [values[k] for k in varied]
    called = [f"args{places[k]}" for k in varied]
    check.run("first derivative", scalar, points, called, chosen)
    if order == 2:
        slopes = grad(scalar, argnums=tuple(range(len(points))))
        check.run("second derivative", lambda *g: _weighted(slopes(*g)), points, called, chosen)


def _widened(value: Any) -> Array:
    array = known_value(as_node("check_gradients", value))
    if array is None:
        raise ArgumentError(f"check_gradients: takes arrays and numbers, got {shown(value)}")
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _weighted(result: Any) -> Tensor:
    """Return a sum of all results with fixed random weights."""
    rng = np.random.default_rng(0)
    total = asarray(np.float64(0))
    for leaf in nest.flatten(result)[0]:
        tensor = asarray(leaf)
        if not tensor.node.tensor_type.is_static:
            raise ArgumentError(f"check_gradients: takes results of known sizes, got {tensor.node.type}; sum it")
        if tensor.dtype.kind == "f":
            weights = rng.uniform(0.5, 1.5, tuple(map(int, tensor.shape))) * rng.choice([-1, 1], tensor.shape)
            total = total + reduce_sum(tensor * weights)
    return total


class _Check:
    def __init__(self, eps: float, rtol: float, atol: float) -> None:
        self.eps, self.rtol, self.atol = eps, rtol, atol

    def run(
        self, what: str, scalar: Callable[..., Tensor], points: list[Array], called: list[str], modes: Sequence[str]
    ) -> None:
        value = Compiled("check_gradients", scalar, scalar)
        picked = [_picked(p) for p in points]
        expected = [self._differences(value, points, k, rows) for k, rows in enumerate(picked)]
        for mode in modes:
            found = _reverse(scalar, points) if mode == "reverse" else _forward(scalar, points, picked)
            for name, p, rows, got, wanted in zip(called, points, picked, found, expected, strict=True):
                chosen = got.reshape(-1)[rows] if mode == "reverse" else got
                self._compare(f"{what}, {mode} mode, {name}", p, rows, chosen, wanted)

    def _differences(self, value: Function, points: list[Array], k: int, rows: Array) -> Array:
        slopes = np.empty(len(rows))
        for row, place in enumerate(rows):
            step = self.eps * max(1.0, abs(float(points[k].flat[place])))
            ends = []
            for sign in (1, -1):
                moved = points[k].copy()
                moved.flat[place] += sign * step
                ends.append(float(value(*points[:k], moved, *points[k + 1 :])))
            slopes[row] = (ends[0] - ends[1]) / (2 * step)
        return slopes

    def _compare(self, what: str, point: Array, rows: Array, found: Array, expected: Array) -> None:
        if not rows.size:
            return
        with np.errstate(invalid="ignore"):
            apart = np.abs(found - expected)
        apart = np.where(np.isnan(apart), np.inf, apart)
        worst = int(np.argmax(apart))
        finite = np.abs(expected[np.isfinite(expected)])
        if apart[worst] <= self.atol + self.rtol * (float(finite.max()) if finite.size else 0.0):
            return
        place = [int(i) for i in np.unravel_index(int(rows[worst]), point.shape)]
        raise GradientError(
            f"check_gradients: {what}: element {place} is {found[worst]:.10g}, finite differences give "
            f"{expected[worst]:.10g} (apart by {apart[worst]:.3g})"
        )


def _picked(point: Array) -> Array:
    if point.size <= MOST_ELEMENTS:
        return np.arange(point.size)
    return np.sort(np.random.default_rng(1).choice(point.size, MOST_ELEMENTS, replace=False))


def _reverse(scalar: Callable[..., Tensor], points: list[Array]) -> Sequence[Array]:
    found: Sequence[Array] = grad(scalar, argnums=tuple(range(len(points))))(*points)
    return found


def _forward(scalar: Callable[..., Tensor], points: list[Array], picked: list[Array]) -> Sequence[Array]:
    """Return the derivatives in the directions of the picked elements."""

    def push(given: list[Tensor], directions: list[Tensor]) -> Any:
        call = Call("check_gradients", tuple(range(len(given))), tuple(given))
        with tracing():
            value = scalar(*call.args)
        return pushed(value, call, tuple(directions))

    run = Compiled("check_gradients", push, push)
    found = []
    for k, rows in enumerate(picked):
        slopes = np.empty(len(rows))
        for row, place in enumerate(rows):
            directions = [np.zeros_like(p) for p in points]
            directions[k].flat[place] = 1
            slopes[row] = run(list(points), directions)
        found.append(slopes)
    return found
