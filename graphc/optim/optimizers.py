"""Optimisers: from a loss and its parameters to the `updates` of a compiled step.

    optimizer = gx.optim.Adam(1e-3)
    step = gx.compile([x, y], loss, updates=optimizer.updates(loss, parameters))

An optimiser's own state (the number of steps, moments) is made of variables, which the same updates move. Formulas are
those of PyTorch's optimisers of the same names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc import nest
from graphc.array.convert import asarray
from graphc.array.elementwise import minimum, sqrt
from graphc.array.handle import Handle
from graphc.array.reduce import sum as reduce_sum
from graphc.errors import ArgumentError, shown
from graphc.optim.schedules import Schedule
from graphc.tensor import Tensor, Variable, variable
from graphc.transforms.derivatives import gradients as gradients_of

Updates = dict[Variable, Tensor]
Slots = dict[str, Variable]


def global_norm(gradients: Any) -> Tensor:
    """Return the square root of the sum of all squares in a nest of gradients, as a scalar of their dtype.

    >>> float(gx.jit(gx.optim.global_norm)([np.array([3.0]), np.array([[4.0]])]))
    5.0
    """
    leaves = [asarray(g) for g in nest.flatten(gradients)[0]]
    if not leaves:
        raise ArgumentError("global_norm: there are no gradients")
    total = reduce_sum(leaves[0] * leaves[0])
    for g in leaves[1:]:
        total = total + reduce_sum(g * g)
    return sqrt(total)


def clip_by_global_norm(gradients: Any, max_norm: float) -> Any:
    """Return a nest of gradients scaled so that their `global_norm` is at most `max_norm`; smaller ones as they are.

    >>> gx.jit(lambda g: gx.optim.clip_by_global_norm(g, 1.0))([np.array([3.0, 4.0])])
    [array([0.6, 0.8])]
    """
    if isinstance(max_norm, int | float) and max_norm <= 0:
        raise ArgumentError(f"clip_by_global_norm: max_norm must be positive, got {shown(max_norm)}")
    leaves, structure = nest.flatten(gradients)
    norm = global_norm(gradients)
    # 1 where the norm is small, also where it is 0.
    tiny = float(np.finfo(norm.dtype).tiny)
    scale = minimum(max_norm / (norm + tiny), 1.0)
    return structure.unflatten([asarray(g) * scale.astype(asarray(g).dtype) for g in leaves])


class Optimizer(ABC):
    """What all optimisers share: the rate, the steps taken, and slots of state for each parameter.

    learning_rate   a number, a Tensor or variable, or a schedule: a function from the steps taken to a rate. A number
                    becomes the variable `learning_rate`, which can be assigned to at any time
    steps           a variable: the steps taken so far
    slots           {parameter: {name: variable}}, made when `updates` first sees the parameter
    """

    def __init__(self, learning_rate: float | Tensor | Schedule, *, weight_decay: float = 0.0) -> None:
        name = type(self).__name__
        self.schedule: Schedule | None = None
        self.learning_rate: Tensor | None = None
        if isinstance(learning_rate, Handle):
            self.learning_rate = asarray(learning_rate)
        elif callable(learning_rate):
            self.schedule = learning_rate
        else:
            self.learning_rate = variable(
                _number(name, "learning_rate", learning_rate), "float64", "learning_rate", False
            )
        self.weight_decay = _number(name, "weight_decay", weight_decay)
        self.steps = variable(0, "int64", "steps", trainable=False)
        self.slots: dict[Variable, Slots] = {}

    def updates(self, loss: Tensor, parameters: Any, *, max_norm: float | None = None) -> Updates:
        """Return {variable: new value} for `compile`: one step down the gradient of `loss`, a floating-point scalar.

        parameters   variables, a nest of them, or a Module; those with trainable=False are left out
        max_norm     clip the gradients by their global norm first

        Raises GradientError where the loss does not depend on a parameter.

        >>> w = gx.variable(np.array([1.0, -2.0]), name="w")
        >>> step = gx.compile([], gx.sum(w**2), updates=gx.optim.SGD(0.25).updates(gx.sum(w**2), [w]))
        >>> [float(step()) for _ in range(3)]
        [5.0, 1.25, 0.3125]
        """
        wrt = parameters_in(type(self).__name__, parameters)
        return self.updates_from(gradients_of(loss, list(wrt)), wrt, max_norm=max_norm)

    def updates_from(self, gradients: Any, parameters: Any, *, max_norm: float | None = None) -> Updates:
        """Return {variable: new value} for a step along given gradients, which match the parameters in order.

        >>> w = gx.variable(1.0, name="w")
        >>> gx.compile([], [], updates=gx.optim.SGD(0.5).updates_from([w * 2], [w]))()
        []
        >>> float(w.value)
        0.0
        """
        name = type(self).__name__
        wrt = parameters_in(name, parameters)
        given = [asarray(g) for g in nest.flatten(gradients)[0]]
        if len(given) != len(wrt):
            raise ArgumentError(f"{name}: takes a gradient for each of {len(wrt)} parameters, got {len(given)}")
        for g, p in zip(given, wrt, strict=True):
            if g.dtype != p.dtype or g.shape != p.shape:
                raise ArgumentError(f"{name}: the gradient of {p.name} must be {p.node.type}, got {g.node.type}")
        if max_norm is not None:
            given = clip_by_global_norm(given, max_norm)
        found: Updates = {self.steps: self.steps + 1}
        rate = self._rate()
        for g, p in zip(given, wrt, strict=True):
            if p not in self.slots:
                self.slots[p] = {s: _like(p, s) for s in self._slot_names()}
            new, slots = self._step(p, g, rate.astype(p.dtype), self.slots[p])
            found[p] = new
            found.update({self.slots[p][s]: v for s, v in slots.items()})
        return found

    def _rate(self) -> Tensor:
        if self.schedule is not None:
            return asarray(self.schedule(self.steps))
        assert self.learning_rate is not None
        return self.learning_rate

    def _count(self, like: Tensor) -> Tensor:
        """Return the number of this step, from 1, as a float."""
        return (self.steps + 1).astype(like.dtype)

    def _decayed(self, p: Tensor, g: Tensor) -> Tensor:
        """Return the gradient of the loss and of weight_decay / 2 times the sum of squares."""
        return g + self.weight_decay * p if self.weight_decay else g

    @abstractmethod
    def _slot_names(self) -> Sequence[str]: ...

    @abstractmethod
    def _step(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new value of a parameter and those of its slots."""

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state as arrays: `steps`, the rate where it is a number, `slots.K.NAME` of the K-th parameter."""
        return {name: v.value for name, v in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the state as `state_dict` gave it; parameters must have been seen by `updates` in the same order.

        Raises ArgumentError for missing or unknown names, ShapeError or DTypeError for arrays that do not fit, with
        nothing changed.
        """
        own = self._state()
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise ArgumentError(f"load_state_dict: missing {missing}, unknown {unknown}")
        arrays = {name: np.asarray(state[name]) for name in own}
        for name, v in own.items():
            if arrays[name].shape != v.shape or arrays[name].dtype != v.dtype:
                raise ArgumentError(
                    f"load_state_dict: {name} must be {v.node.type}, got {arrays[name].dtype}{list(arrays[name].shape)}"
                )
        for name, v in own.items():
            v.assign(arrays[name])

    def _state(self) -> dict[str, Variable]:
        found = {"steps": self.steps}
        if isinstance(self.learning_rate, Variable):
            found["learning_rate"] = self.learning_rate
        for k, slots in enumerate(self.slots.values()):
            found.update({f"slots.{k}.{name}": v for name, v in slots.items()})
        return found


def parameters_in(name: str, parameters: Any) -> list[Variable]:
    """Return the trainable variables of a variable, a nest or a Module, each once."""
    given = parameters.parameters() if hasattr(parameters, "parameters") else parameters
    leaves = nest.flatten(given)[0]
    for leaf in leaves:
        if not isinstance(leaf, Variable):
            raise ArgumentError(f"{name}: parameters must be variables, got {shown(leaf)}")
    found = list({id(v): v for v in leaves if v.trainable}.values())
    if not found:
        raise ArgumentError(f"{name}: there are no trainable variables among the parameters")
    return found


def _number(name: str, what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer) or not value >= 0:
        raise ArgumentError(f"{name}: {what} must be a number of at least 0, got {shown(value)}")
    return float(value)


def _share(name: str, what: str, value: Any) -> float:
    if not _number(name, what, value) < 1:
        raise ArgumentError(f"{name}: {what} must be less than 1, got {shown(value)}")
    return float(value)


def _like(p: Variable, slot: str) -> Variable:
    return variable(np.zeros(p.shape, p.dtype), name=f"{p.name}_{slot}", trainable=False)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum: buffer = momentum * buffer + g, p = p - rate * buffer.

    With nesterov, p = p - rate * (g + momentum * buffer). weight_decay adds weight_decay * p to the gradient.
    Source: PyTorch's SGD without dampening; Sutskever and others, ICML 2013.

    >>> gx.optim.SGD(0.1, momentum=0.9, nesterov=True).momentum
    0.9
    """

    def __init__(
        self,
        learning_rate: float | Tensor | Schedule,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay)
        self.momentum, self.nesterov = _number("SGD", "momentum", momentum), bool(nesterov)
        if nesterov and not momentum:
            raise ArgumentError("SGD: nesterov needs a momentum")

    def _slot_names(self) -> Sequence[str]:
        return ("momentum",) if self.momentum else ()

    def _step(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        g = self._decayed(p, g)
        if not self.momentum:
            return p - rate * g, {}
        buffer = self.momentum * slots["momentum"] + g
        return p - rate * (g + self.momentum * buffer if self.nesterov else buffer), {"momentum": buffer}


class Adam(Optimizer):
    """Adam: steps of about `learning_rate` in the direction of a running mean of the gradient.

    m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g**2; p = p - rate * (m / c1) / (sqrt(v / c2) + eps) with the
    corrections c = 1 - b**steps. weight_decay adds weight_decay * p to the gradient; see AdamW for the decay that does
    not pass through the moments. Source: Kingma and Ba, arXiv:1412.6980.

    >>> gx.optim.Adam(1e-3).betas
    (0.9, 0.999)
    """

    def __init__(
        self,
        learning_rate: float | Tensor | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay)
        name = type(self).__name__
        if not isinstance(betas, list | tuple) or len(betas) != 2:
            raise ArgumentError(f"{name}: betas must be a pair of numbers, got {shown(betas)}")
        self.betas = (_share(name, "betas[0]", betas[0]), _share(name, "betas[1]", betas[1]))
        self.eps = _number(name, "eps", eps)

    def _slot_names(self) -> Sequence[str]:
        return ("first", "second")

    def _step(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        return self._moved(p, self._decayed(p, g), rate, slots)

    def _moved(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        (b1, b2), count = self.betas, self._count(p)
        first = b1 * slots["first"] + (1 - b1) * g
        second = b2 * slots["second"] + (1 - b2) * g * g
        c1, c2 = 1 - b1**count, 1 - b2**count
        return p - (rate / c1) * first / (sqrt(second) / sqrt(c2) + self.eps), {"first": first, "second": second}


class AdamW(Adam):
    """Adam with weight decay that does not pass through the moments: p = p - rate * weight_decay * p, then Adam's step.

    Source: Loshchilov and Hutter, arXiv:1711.05101, as PyTorch has it.

    >>> gx.optim.AdamW(1e-3).weight_decay
    0.01
    """

    def __init__(
        self,
        learning_rate: float | Tensor | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, betas, eps, weight_decay)

    def _step(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        return self._moved(p - rate * self.weight_decay * p if self.weight_decay else p, g, rate, slots)


class RMSProp(Optimizer):
    """RMSProp: the gradient over a running root mean square of it.

    s = alpha * s + (1 - alpha) * g**2; p = p - rate * g / (sqrt(s) + eps). `centered` subtracts the square of a running
    mean of the gradient from s; with momentum, buffer = momentum * buffer + the quotient, p = p - rate * buffer.
    Source: Tieleman and Hinton, 2012; Graves, arXiv:1308.0850; as PyTorch has it.

    >>> gx.optim.RMSProp().alpha
    0.99
    """

    def __init__(
        self,
        learning_rate: float | Tensor | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay)
        self.alpha, self.eps = _share("RMSProp", "alpha", alpha), _number("RMSProp", "eps", eps)
        self.momentum, self.centered = _number("RMSProp", "momentum", momentum), bool(centered)

    def _slot_names(self) -> Sequence[str]:
        return ("square", *(["mean"] if self.centered else []), *(["momentum"] if self.momentum else []))

    def _step(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        g = self._decayed(p, g)
        new = {"square": self.alpha * slots["square"] + (1 - self.alpha) * g * g}
        spread = new["square"]
        if self.centered:
            new["mean"] = self.alpha * slots["mean"] + (1 - self.alpha) * g
            spread = spread - new["mean"] * new["mean"]
        move = g / (sqrt(spread) + self.eps)
        if self.momentum:
            new["momentum"] = move = self.momentum * slots["momentum"] + move
        return p - rate * move, new


class Adagrad(Optimizer):
    """Adagrad: the gradient over the root of the sum of its squares so far.

    s = s + g**2; p = p - rate / (1 + (steps - 1) * decay) * g / (sqrt(s) + eps).
    Source: Duchi, Hazan and Singer, JMLR 2011, as PyTorch has it.

    >>> gx.optim.Adagrad(0.1).eps
    1e-10
    """

    def __init__(
        self,
        learning_rate: float | Tensor | Schedule = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay)
        self.eps, self.decay = _number("Adagrad", "eps", eps), _number("Adagrad", "decay", decay)

    def _slot_names(self) -> Sequence[str]:
        return ("square",)

    def _step(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots) -> tuple[Tensor, dict[str, Tensor]]:
        g = self._decayed(p, g)
        square = slots["square"] + g * g
        if self.decay:
            rate = rate / (1 + (self._count(p) - 1) * self.decay)
        return p - rate * g / (sqrt(square) + self.eps), {"square": square}
