"""Activations as modules, for a Sequential; each is the function of its name."""

from __future__ import annotations

from typing import Any, Literal

from graphc.array.convert import ArrayLike, count
from graphc.nn import activations, init
from graphc.nn.module import Module
from graphc.tensor import Tensor, variable


class ReLU(Module):
    """relu as a module.

    >>> gx.nn.ReLU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return relu(x)."""
        return activations.relu(x)


class ReLU6(Module):
    """relu6 as a module.

    >>> gx.nn.ReLU6()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return relu6(x)."""
        return activations.relu6(x)


class SiLU(Module):
    """silu as a module.

    >>> gx.nn.SiLU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return silu(x)."""
        return activations.silu(x)


class GELU(Module):
    """gelu as a module.

    >>> gx.nn.GELU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = approximate

    def forward(self, x: ArrayLike) -> Tensor:
        """Return gelu(x)."""
        return activations.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """sigmoid as a module.

    >>> gx.nn.Sigmoid()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return sigmoid(x)."""
        return activations.sigmoid(x)


class Tanh(Module):
    """tanh as a module.

    >>> gx.nn.Tanh()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return tanh(x)."""
        return activations.tanh(x)


class Softplus(Module):
    """softplus as a module.

    >>> gx.nn.Softplus()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return softplus(x)."""
        return activations.softplus(x)


class Softsign(Module):
    """softsign as a module.

    >>> gx.nn.Softsign()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return softsign(x)."""
        return activations.softsign(x)


class Mish(Module):
    """mish as a module.

    >>> gx.nn.Mish()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return mish(x)."""
        return activations.mish(x)


class LogSigmoid(Module):
    """log_sigmoid as a module.

    >>> gx.nn.LogSigmoid()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return log_sigmoid(x)."""
        return activations.log_sigmoid(x)


class Hardswish(Module):
    """hardswish as a module.

    >>> gx.nn.Hardswish()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return hardswish(x)."""
        return activations.hardswish(x)


class Hardsigmoid(Module):
    """hardsigmoid as a module.

    >>> gx.nn.Hardsigmoid()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return hardsigmoid(x)."""
        return activations.hardsigmoid(x)


class Hardtanh(Module):
    """hardtanh as a module.

    >>> gx.nn.Hardtanh()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        self.low = low
        self.high = high

    def forward(self, x: ArrayLike) -> Tensor:
        """Return hardtanh(x)."""
        return activations.hardtanh(x, self.low, self.high)

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}"


class ELU(Module):
    """elu as a module.

    >>> gx.nn.ELU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: ArrayLike) -> Tensor:
        """Return elu(x)."""
        return activations.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class CELU(Module):
    """celu as a module.

    >>> gx.nn.CELU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: ArrayLike) -> Tensor:
        """Return celu(x)."""
        return activations.celu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class SELU(Module):
    """selu as a module.

    >>> gx.nn.SELU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def forward(self, x: ArrayLike) -> Tensor:
        """Return selu(x)."""
        return activations.selu(x)


class LeakyReLU(Module):
    """leaky_relu as a module.

    >>> gx.nn.LeakyReLU()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: ArrayLike) -> Tensor:
        """Return leaky_relu(x)."""
        return activations.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class GLU(Module):
    """glu as a module.

    >>> gx.nn.GLU()(gx.placeholder(("batch", 4))).shape
    (batch, 2)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: ArrayLike) -> Tensor:
        """Return glu(x)."""
        return activations.glu(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Softmax(Module):
    """softmax as a module.

    >>> gx.nn.Softmax()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: ArrayLike) -> Tensor:
        """Return softmax(x)."""
        return activations.softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """log_softmax as a module.

    >>> gx.nn.LogSoftmax()(gx.placeholder(("batch", 4))).shape
    (batch, 4)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: ArrayLike) -> Tensor:
        """Return log_softmax(x)."""
        return activations.log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class PReLU(Module):
    """prelu with a learned slope for each of num_parameters channels, along axis 1, or one for all.

    >>> gx.nn.PReLU(3)(gx.placeholder(("batch", 3, 8))).shape
    (batch, 3, 8)
    """

    def __init__(self, num_parameters: int = 1, initial: float = 0.25, *, dtype: Any = "float32") -> None:
        self.num_parameters = count("PReLU", "num_parameters", num_parameters, 1)
        self.weight = variable(init.constant(self.num_parameters, initial, dtype), name="weight")

    def forward(self, x: ArrayLike) -> Tensor:
        """Return prelu(x)."""
        return activations.prelu(x, self.weight if self.num_parameters > 1 else self.weight[0])

    def extra_repr(self) -> str:
        return f"{self.num_parameters}"


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]  # fmt: skip
