"""Recurrent layers: RNN, GRU and LSTM over time, each a scan; names and order of parameters are PyTorch's."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from graphc.array.control import scan
from graphc.array.convert import ArrayLike, as_float, asarray, choice, count, differ
from graphc.array.creation import zeros
from graphc.array.elementwise import sigmoid, tanh
from graphc.array.handle import wrap
from graphc.array.shape import concat, expand_dims, part, squeeze, stack, swapaxes
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.dims import Size
from graphc.nn import init
from graphc.nn.activations import relu
from graphc.nn.dropout import Dropout
from graphc.nn.features import linear
from graphc.nn.init import Seed
from graphc.nn.layers import uniform_parameter
from graphc.nn.module import Module
from graphc.tensor import Tensor, Variable

State = tuple[Tensor, ...]


class _Recurrent(Module):
    """What the recurrent layers share: parameters by layer and direction, and the loops over time.

    `gates` is how many linear maps a step has, `parts` how many arrays its state.
    """

    gates: int
    parts = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        name = type(self).__name__
        self.input_size = count(name, "input_size", input_size, 1)
        self.hidden_size = count(name, "hidden_size", hidden_size, 1)
        self.num_layers = count(name, "num_layers", num_layers, 1)
        self.bias, self.batch_first, self.bidirectional = bool(bias), bool(batch_first), bool(bidirectional)
        self.dropout = Dropout(dropout)
        rng, rows = init.generator(seed), self.gates * self.hidden_size
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.hidden_size * (1 + self.bidirectional)
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, self.hidden_size)}
            if bias:
                shapes.update(bias_ih=(rows,), bias_hh=(rows,))
            for end in self._ends(layer):
                for what, shape in shapes.items():
                    called = f"{what}{end}"
                    setattr(self, called, uniform_parameter(called, shape, self.hidden_size, dtype, rng))

    def _ends(self, layer: int) -> list[str]:
        """Return how the names of a layer's parameters end, forward and, if it has that direction, backward."""
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    @abstractmethod
    def _step(self, projected: list[Tensor], recurrent: list[Tensor], state: State) -> State:
        """Return the next state, of which the first part is the output; each list has one Tensor for each gate."""

    def _run(self, x: ArrayLike, state: Any) -> tuple[Tensor, State]:
        """Return the outputs of the last layer, and the last states of all layers and directions."""
        name = type(self).__name__
        xs = wrap(as_float(name, x))
        if xs.ndim not in (2, 3) or differ(xs.shape[-1], self.input_size):
            layout = "[batch, time, input]" if self.batch_first else "[time, batch, input]"
            raise ShapeError(
                f"{name}: x must be {layout} or [time, input], input {self.input_size}; got {xs.node.type}"
            )
        is_batch = xs.ndim == 3
        if not is_batch:
            xs = expand_dims(xs, 1)
        elif self.batch_first:
            xs = swapaxes(xs, 0, 1)
        starts = self._starts(state, xs, is_batch)
        ends: list[State] = []
        for layer in range(self.num_layers):
            xs = self.dropout(xs) if layer else xs
            outputs = []
            for direction, end in enumerate(self._ends(layer)):
                start = tuple([s[len(ends)] for s in starts])
                last, found = self._over_time(xs, start, end, direction == 1)
                ends.append(last)
                outputs.append(found)
            xs = concat(outputs, -1) if len(outputs) > 1 else outputs[0]
        stacked = tuple([stack([e[k] for e in ends]) for k in range(self.parts)])
        if not is_batch:
            return squeeze(xs, 1), tuple([squeeze(s, 1) for s in stacked])
        return (swapaxes(xs, 0, 1) if self.batch_first else xs), stacked

    def _starts(self, state: Any, xs: Tensor, is_batch: bool) -> State:
        """Return the first states, [layers and directions, batch, hidden], zeros if none are given."""
        name = type(self).__name__
        shape: tuple[Size, ...] = (self.num_layers * (1 + self.bidirectional), xs.shape[1], self.hidden_size)
        if state is None:
            return (zeros(shape, xs.dtype),) * self.parts
        given = tuple(state) if self.parts > 1 and isinstance(state, tuple | list) else (state,)
        if len(given) != self.parts:
            raise ArgumentError(f"{name}: the state must be a pair (h, c), got {state!r}")
        found = [asarray(s) if is_batch else expand_dims(asarray(s), 1) for s in given]
        for s in found:
            if s.ndim != 3 or any(differ(a, b) for a, b in zip(s.shape, shape, strict=True)):
                raise ShapeError(f"{name}: the state must be [{', '.join(map(str, shape))}], got {s.node.type}")
        return tuple([s.astype(xs.dtype) for s in found])

    def _over_time(self, xs: Tensor, start: State, end: str, is_reverse: bool) -> tuple[State, Tensor]:
        """Return the last state and the outputs of one layer in one direction."""
        w_ih, w_hh = getattr(self, f"weight_ih{end}"), getattr(self, f"weight_hh{end}")
        b_ih: Variable | None = getattr(self, f"bias_ih{end}", None)
        b_hh: Variable | None = getattr(self, f"bias_hh{end}", None)

        def body(state: State, projected: Tensor) -> tuple[State, Tensor]:
            new = self._step(self._split(projected), self._split(linear(state[0], w_hh, b_hh)), state)
            return new, new[0]

        # What depends on the input alone is one product for all steps.
        last, outputs = scan(body, start, linear(xs, w_ih, b_ih), reverse=is_reverse)
        return last, outputs

    def _split(self, x: Tensor) -> list[Tensor]:
        return [wrap(part(x.node, x.ndim - 1, k * self.hidden_size, self.hidden_size)) for k in range(self.gates)]

    def __repr__(self) -> str:
        options: list[tuple[str, Any, Any]] = [("num_layers", self.num_layers, 1), ("bias", self.bias, True)]
        options += [("batch_first", self.batch_first, False), ("dropout", self.dropout.p, 0.0)]
        options += [("bidirectional", self.bidirectional, False)]
        further = "".join([f", {k}={v}" for k, v, default in options if v != default])
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size}{further})"


class RNN(_Recurrent):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh) over time, or relu in place of tanh (Elman, 1990).

    Calling it with x[time, batch, input_size] and, if wanted, a first state returns (output, h): output[time, batch,
    hidden_size], twice as wide if it is bidirectional, is that of the last layer in every step; h[layers * directions,
    batch, hidden_size] are the states of all layers in the end. With batch_first, batch and time change places in x and
    output; without a batch, x is [time, input_size]. `dropout` is the probability to leave out, in training, an output
    of any layer but the last. Parameters start between -1/sqrt(hidden_size) and 1/sqrt(hidden_size).

    >>> output, h = gx.nn.RNN(4, 8, num_layers=2)(gx.placeholder(("time", "batch", 4)))
    >>> output.shape, h.shape
    ((time, batch, 8), (2, batch, 8))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, seed=seed
        )
        self.nonlinearity = nonlinearity

    def _step(self, projected: list[Tensor], recurrent: list[Tensor], state: State) -> State:
        return ((tanh if self.nonlinearity == "tanh" else relu)(projected[0] + recurrent[0]),)

    def forward(self, x: ArrayLike, state: ArrayLike | None = None) -> tuple[Tensor, Tensor]:
        """Return the outputs of all steps, and the last state."""
        output, (last,) = self._run(x, state)
        return output, last


class GRU(_Recurrent):
    """Gated recurrent units over time (Cho et al., arXiv:1406.1078), as PyTorch has them; see RNN for the arguments.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr); z likewise; n = tanh(W_in x + b_in + r * (W_hn h + b_hn));
    h = (1 - z) * n + z * h. The weights of r, z and n lie one after the other in weight_ih_l0 and weight_hh_l0.

    >>> output, h = gx.nn.GRU(4, 8, batch_first=True)(gx.placeholder(("batch", "time", 4)))
    >>> output.shape, h.shape
    ((batch, time, 8), (1, batch, 8))
    """

    gates = 3

    def _step(self, projected: list[Tensor], recurrent: list[Tensor], state: State) -> State:
        r, z = (sigmoid(projected[k] + recurrent[k]) for k in (0, 1))
        n = tanh(projected[2] + r * recurrent[2])
        return (n + z * (state[0] - n),)

    def forward(self, x: ArrayLike, state: ArrayLike | None = None) -> tuple[Tensor, Tensor]:
        """Return the outputs of all steps, and the last state."""
        output, (last,) = self._run(x, state)
        return output, last


class LSTM(_Recurrent):
    """Long short-term memory over time (Hochreiter and Schmidhuber, 1997), as PyTorch has it.

    i, f and o are sigmoid(W_i x + b_i + W_h h + b_h), each with its own weights, and g is tanh of such a sum; then
    c = f * c + i * g and h = o * tanh(c). The weights of i, f, g and o lie one after the other. A state is the pair
    (h, c). See RNN for the arguments.

    >>> output, (h, c) = gx.nn.LSTM(4, 8)(gx.placeholder(("time", "batch", 4)))
    >>> output.shape, c.shape
    ((time, batch, 8), (1, batch, 8))
    """

    gates, parts = 4, 2

    def _step(self, projected: list[Tensor], recurrent: list[Tensor], state: State) -> State:
        i, f, g, o = (p + r for p, r in zip(projected, recurrent, strict=True))
        c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def forward(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the outputs of all steps, and the last state."""
        output, (h, c) = self._run(x, state)
        return output, (h, c)


__all__ = ["GRU", "LSTM", "RNN"]
