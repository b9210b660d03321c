"""Tensor: the user's handle on a node, with operators, methods and NumPy's protocols; placeholders and variables."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from graphc.array import creation, cumulative, dot, elementwise, index, logic, ordering, reduce, shape
from graphc.array.convert import ArrayLike, as_node
from graphc.array.handle import Handle, handles, wrap
from graphc.array.shape import Axes
from graphc.errors import ArgumentError, DTypeError, ShapeError, SymbolicValueError
from graphc.ir import graph
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, known_value
from graphc.ir.types import Shape, TensorType, as_dtype, as_shape
from graphc.runtime.inputs import may_cast
from graphc.runtime.state import Cell


def _is_operand(value: Any) -> bool:
    return isinstance(value, Handle | bool | int | float | complex | np.ndarray | np.generic | Dim | list | tuple)


@handles
class Tensor(Handle):
    """A symbolic array: dtype and shape are known now, its elements when a compiled graph runs.

    Operators, methods and NumPy's functions on it build a graph. It is immutable, and equality builds a graph too:
    `is` tells whether two names mean one Tensor.

    >>> x = gx.placeholder(("batch", 4), name="x")
    >>> x * 2 + 1
    <Tensor f32[batch, 4] = add(mul(...), 1.0)>
    """

    __slots__ = ()
    __array_priority__ = 1000.0

    # Facts.

    @property
    def shape(self) -> Shape:
        """The sizes: an int where it is known, else a symbolic dimension."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype, as NumPy's."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.node.ndim

    @property
    def size(self) -> Size:
        """The number of elements: an int, or a symbolic dimension."""
        return self.node.tensor_type.size

    @property
    def name(self) -> str | None:
        """The name of a placeholder or variable, None for anything else."""
        return self.node.attrs.get("name")

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return shape.transpose(self)

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        return shape.matrix_transpose(self)

    # Operators.

    def __add__(self, other: ArrayLike) -> Tensor:
        return elementwise.add(self, other)

    def __radd__(self, other: ArrayLike) -> Tensor:
        return elementwise.add(other, self)

    def __sub__(self, other: ArrayLike) -> Tensor:
        return elementwise.subtract(self, other)

    def __rsub__(self, other: ArrayLike) -> Tensor:
        return elementwise.subtract(other, self)

    def __mul__(self, other: ArrayLike) -> Tensor:
        return elementwise.multiply(self, other)

    def __rmul__(self, other: ArrayLike) -> Tensor:
        return elementwise.multiply(other, self)

    def __truediv__(self, other: ArrayLike) -> Tensor:
        return elementwise.divide(self, other)

    def __rtruediv__(self, other: ArrayLike) -> Tensor:
        return elementwise.divide(other, self)

    def __floordiv__(self, other: ArrayLike) -> Tensor:
        return elementwise.floor_divide(self, other)

    def __rfloordiv__(self, other: ArrayLike) -> Tensor:
        return elementwise.floor_divide(other, self)

    def __mod__(self, other: ArrayLike) -> Tensor:
        return elementwise.remainder(self, other)

    def __rmod__(self, other: ArrayLike) -> Tensor:
        return elementwise.remainder(other, self)

    def __divmod__(self, other: ArrayLike) -> tuple[Tensor, Tensor]:
        return elementwise.floor_divide(self, other), elementwise.remainder(self, other)

    def __rdivmod__(self, other: ArrayLike) -> tuple[Tensor, Tensor]:
        return elementwise.floor_divide(other, self), elementwise.remainder(other, self)

    def __pow__(self, other: ArrayLike) -> Tensor:
        return elementwise.pow(self, other)

    def __rpow__(self, other: ArrayLike) -> Tensor:
        return elementwise.pow(other, self)

    def __matmul__(self, other: ArrayLike) -> Tensor:
        return dot.matmul(self, other)

    def __rmatmul__(self, other: ArrayLike) -> Tensor:
        return dot.matmul(other, self)

    def __and__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_and(self, other)

    def __rand__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_and(other, self)

    def __or__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_or(self, other)

    def __ror__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_or(other, self)

    def __xor__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_xor(self, other)

    def __rxor__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_xor(other, self)

    def __lshift__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_left_shift(self, other)

    def __rlshift__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_left_shift(other, self)

    def __rshift__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_right_shift(self, other)

    def __rrshift__(self, other: ArrayLike) -> Tensor:
        return logic.bitwise_right_shift(other, self)

    def __neg__(self) -> Tensor:
        return elementwise.negative(self)

    def __pos__(self) -> Tensor:
        return elementwise.positive(self)

    def __abs__(self) -> Tensor:
        return elementwise.abs(self)

    def __invert__(self) -> Tensor:
        return logic.bitwise_invert(self)

    def __round__(self) -> Tensor:
        return elementwise.round(self)

    # Comparisons. Equality with what is no operand (None, a string) is Python's own: false.

    def __lt__(self, other: ArrayLike) -> Tensor:
        return logic.less(self, other)

    def __le__(self, other: ArrayLike) -> Tensor:
        return logic.less_equal(self, other)

    def __gt__(self, other: ArrayLike) -> Tensor:
        return logic.greater(self, other)

    def __ge__(self, other: ArrayLike) -> Tensor:
        return logic.greater_equal(self, other)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return logic.equal(self, other) if _is_operand(other) else NotImplemented

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return logic.not_equal(self, other) if _is_operand(other) else NotImplemented

    __hash__ = object.__hash__

    # Indexing.

    def __getitem__(self, key: Any) -> Tensor:
        return wrap(index.read(self.node, key))

    @property
    def at(self) -> index.At:
        """Parts of this Tensor to be changed in a new one: `x.at[index].add(values)`, and set, multiply, min, max."""
        return index.At(self.node)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise SymbolicValueError(
            "index: a Tensor is immutable, so x[...] = value has no meaning; build a new one with "
            "x.at[...].set(value), and change a variable with updates= of gx.compile"
        )

    # Methods of NumPy's arrays.

    def sum(self, axis: reduce.Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """Return `gx.sum` of it."""
        return reduce.sum(self, axis, dtype=dtype, keepdims=keepdims)

    def prod(self, axis: reduce.Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """Return `gx.prod` of it."""
        return reduce.prod(self, axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: reduce.Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """Return `gx.mean` of it."""
        return reduce.mean(self, axis, dtype=dtype, keepdims=keepdims)

    def var(self, axis: reduce.Axis = None, *, correction: float = 0, keepdims: bool = False) -> Tensor:
        """Return `gx.var` of it."""
        return reduce.var(self, axis, correction=correction, keepdims=keepdims)

    def std(self, axis: reduce.Axis = None, *, correction: float = 0, keepdims: bool = False) -> Tensor:
        """Return `gx.std` of it."""
        return reduce.std(self, axis, correction=correction, keepdims=keepdims)

    def max(self, axis: reduce.Axis = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.max` of it."""
        return reduce.max(self, axis, keepdims=keepdims)

    def min(self, axis: reduce.Axis = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.min` of it."""
        return reduce.min(self, axis, keepdims=keepdims)

    def any(self, axis: reduce.Axis = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.any` of it."""
        return reduce.any(self, axis, keepdims=keepdims)

    def all(self, axis: reduce.Axis = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.all` of it."""
        return reduce.all(self, axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.argmax` of it."""
        return reduce.argmax(self, axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Return `gx.argmin` of it."""
        return reduce.argmin(self, axis, keepdims=keepdims)

    def argsort(self, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
        """Return `gx.argsort` of it."""
        return ordering.argsort(self, axis, descending=descending, stable=stable)

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

    def round(self) -> Tensor:
        """Return `gx.round` of it."""
        return elementwise.round(self)

    def astype(self, dtype: Any, *, copy: bool = True) -> Tensor:
        """Return `gx.astype` of it."""
        return elementwise.astype(self, dtype, copy=copy)

    def reshape(self, *shape_: Any, copy: bool | None = None) -> Tensor:
        """Return `gx.reshape` of it; the shape may be one tuple or several arguments."""
        return shape.reshape(self, _one_sequence(shape_), copy=copy)

    def transpose(self, *axes: Any) -> Tensor:
        """Return `gx.transpose` of it; the axes may be one tuple or several arguments."""
        return shape.transpose(self, None if axes in ((), (None,)) else _one_sequence(axes))

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Return `gx.swapaxes` of it."""
        return shape.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Axes | None = None) -> Tensor:
        """Return `gx.squeeze` of it."""
        return shape.squeeze(self, axis)

    def ravel(self) -> Tensor:
        """Return `gx.ravel` of it."""
        return shape.ravel(self)

    def flatten(self) -> Tensor:
        """Return `gx.ravel` of it."""
        return shape.ravel(self)

    def repeat(self, repeats: int, axis: int | None = None) -> Tensor:
        """Return `gx.repeat` of it."""
        return shape.repeat(self, repeats, axis=axis)

    def detach(self) -> Tensor:
        """Return `gx.stop_gradient` of it."""
        return elementwise.stop_gradient(self)

    # Python's protocols that need numbers.

    def __bool__(self) -> bool:
        raise _symbolic("bool", self, "use gx.where to choose elements, logical_and/or/not (& | ~) to combine them")

    def __int__(self) -> int:
        raise _symbolic("int", self, "use astype to convert it, gx.compile to run it")

    def __float__(self) -> float:
        raise _symbolic("float", self, "use astype to convert it, gx.compile to run it")

    def __complex__(self) -> complex:
        raise _symbolic("complex", self, "complex dtypes come later")

    def __index__(self) -> int:
        raise _symbolic("index", self, "an index or size by a Tensor comes later; now it is a Python int")

    def item(self) -> NoReturn:
        """Raise: the elements are not known before a call."""
        raise _symbolic("item", self, "use gx.compile to run it")

    def tolist(self) -> NoReturn:
        """Raise: the elements are not known before a call."""
        raise _symbolic("tolist", self, "use gx.compile to run it")

    def __len__(self) -> int:
        if not self.ndim:
            raise ShapeError(f"len: takes rank 1 or more, got {self.node.type}")
        length = self.shape[0]
        if isinstance(length, Dim):
            raise _symbolic("len", self, "use x.shape[0], which is a symbolic size")
        return length

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise ShapeError(f"iter: takes rank 1 or more, got {self.node.type}")
        if isinstance(self.shape[0], Dim):
            raise _symbolic("iter", self, "use gx.scan for steps along an axis of unknown size")
        return iter([self[k] for k in range(self.shape[0])])

    def __contains__(self, value: Any) -> bool:
        raise _symbolic("in", self, "use gx.any(x == value)")

    # NumPy's protocols.

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return sys.modules["graphc"]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise _symbolic("asarray", self, "use gx.compile to run it, or gx.asarray for a Tensor")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "reduce" and ufunc.__name__ in _REDUCING_UFUNCS:
            return _called(
                f"np.{ufunc.__name__}.reduce", _REDUCING_UFUNCS[ufunc.__name__], inputs, {"axis": 0, **kwargs}
            )
        suffix = "" if method == "__call__" else f".{method}"
        return _called(f"np.{ufunc.__name__}{suffix}", ufunc.__name__ + suffix, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ in ("shape", "ndim", "size") and len(args) == 1 and not kwargs:
            return getattr(self, function.__name__)
        return _called(f"np.{function.__name__}", function.__name__, args, kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_described(self.node)}>"


def _one_sequence(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if len(arguments) == 1 else arguments


def _symbolic(name: str, tensor: Tensor, remedy: str) -> SymbolicValueError:
    return SymbolicValueError(f"{name}: the value of {tensor!r} is not known before a call; {remedy}")


def _called(numpy_name: str, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call our function in NumPy's place; arguments that it has not (out, where, order, ...) are refused."""
    function = _named(name)
    if function is None:
        raise ArgumentError(f"{numpy_name}: there is no such function on a Tensor")
    options = {k: v for k, v in kwargs.items() if not (k == "out" and v is None)}
    try:
        return function(*args, **options)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise ArgumentError(f"{numpy_name}: on a Tensor it is gx.{name}, and {error}") from None
        raise


# NumPy's functions and ours have the same names, but for these.
_FAMILIES = (elementwise, logic, shape, reduce, cumulative, ordering, dot, creation, index)
_REDUCING_UFUNCS = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
}  # fmt: skip


def _named(name: str) -> Callable[..., Any] | None:
    """Return the function of that name."""
    for family in _FAMILIES:
        function = vars(family).get(name)
        if function is not None and getattr(function, "__module__", None) == family.__name__:
            return function  # type: ignore[no-any-return]
    return None


# repr


def _described(node: Node) -> str:
    value = known_value(node)
    if "name" in node.attrs:
        return f"{node.attrs['name']}: {node.type}"
    if value is not None:
        return f"{node.type} = {_value_text(value)}"
    options = f", spec={node.attrs['spec']!r}" if "spec" in node.attrs else ""
    return f"{node.type} = {node.op.name}({', '.join(_operand_text(i) for i in node.inputs)}{options})"


def _operand_text(node: Node) -> str:
    value = known_value(node)
    if "name" in node.attrs:
        return str(node.attrs["name"])
    if value is not None and not value.ndim:
        return _value_text(value)
    return f"{node.op.name}(...)" if node.inputs else node.op.name


def _value_text(value: np.ndarray[Any, Any]) -> str:
    if not value.ndim:
        return str(value.item())
    return f"constant({value.tolist()})" if value.size <= 6 else "constant(...)"


# Leaves.

_placeholder_numbers, _variable_numbers = itertools.count(), itertools.count()


def placeholder(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Return an input of a graph, fed by each call.

    A dimension of `shape` is an int, None (unknown), or a string: the same string is the same size in every input,
    which each call checks. Without a name it gets one of its own, such as x0.

    >>> gx.placeholder(("batch", 784), name="x")
    <Tensor x: f32[batch, 784]>
    """
    called = _checked_name("placeholder", name, f"x{next(_placeholder_numbers)}" if name is None else name)
    return Tensor(graph.placeholder(name=called, type=TensorType(as_dtype(dtype), as_shape(shape))))


def _checked_name(what: str, given: Any, name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise ArgumentError(f"{what}: name must be a Python identifier, got {given!r}")
    return name


class Variable(Tensor):
    """State that lives between calls: a Tensor that reads it, and the array that a compiled graph may update.

    Made by `gx.variable`.
    """

    __slots__ = ("trainable",)

    trainable: bool

    def __init__(self, node: Node, trainable: bool) -> None:
        super().__init__(node)
        self.trainable = trainable

    @property
    def cell(self) -> Cell:
        """The storage."""
        return self.node.attrs["state"]  # type: ignore[no-any-return]

    @property
    def value(self) -> np.ndarray[Any, Any]:
        """A copy of the value it has now.

        >>> gx.variable([1.0, 2.0], name="v").value
        array([1., 2.])
        """
        return self.cell.read()

    def assign(self, value: Any) -> None:
        """Set the value now: an array of the same shape, whose dtype casts safely to the variable's.

        Numbers and sequences of numbers take the variable's dtype if it is of their kind. Raises ShapeError, DTypeError
        or ArgumentError, and then nothing has changed.

        >>> v = gx.variable([1.0, 2.0], name="v")
        >>> v.assign([3, 4])
        >>> v.value
        array([3., 4.])
        """
        wanted = self.cell.type
        array = _value_array("assign", value)
        if array.shape != wanted.shape:
            raise ShapeError(f"assign: {self.name} takes {wanted}, got shape {array.shape}")
        if not may_cast(array, wanted.dtype, is_array=hasattr(value, "__array__")):
            raise DTypeError(f"assign: {self.name} takes {wanted}, got {array.dtype.name}, which does not cast safely")
        self.cell.write(array.astype(wanted.dtype))


def _value_array(what: str, value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    if isinstance(value, Handle):
        raise ArgumentError(f"{what}: takes a known value, got the symbolic {value!r}; use updates= of gx.compile")
    array = known_value(as_node(what, value, dtype))
    if array is None:
        raise ArgumentError(f"{what}: takes a known value, got one with symbolic parts")
    return array


def variable(value: Any, dtype: Any = None, name: str | None = None, trainable: bool = True) -> Variable:
    """Return state that lives between calls, now holding `value` as `dtype` (NumPy's dtype of it by default).

    `updates=` of `gx.compile` gives it new values, `assign` sets one, `value` reads it. Without a name it gets one of
    its own, such as v0. `trainable` is a mark for optimizers.

    >>> w = gx.variable(np.zeros((784, 10), np.float32), name="w")
    >>> w
    <Variable w: f32[784, 10]>
    """
    called = _checked_name("variable", name, f"v{next(_variable_numbers)}" if name is None else name)
    cell = Cell(_value_array("variable", value, dtype))
    return Variable(graph.variable(name=called, type=cell.type, state=cell), trainable)
