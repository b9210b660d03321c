"""Tensor: the user's handle on a node, with operators, methods and NumPy's protocols; placeholders and variables."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from graphc.array import dot, elementwise, index, logic, reduce, shape, values
from graphc.array.convert import ArrayLike, as_device, as_node, asarray
from graphc.array.handle import Handle, handles, wrap
from graphc.array.methods import Methods
from graphc.errors import ArgumentError, DTypeError, ShapeError, SymbolicValueError, shown
from graphc.ir import graph
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, known_value
from graphc.ir.types import Shape, TensorType, as_dtype, as_shape
from graphc.runtime.inputs import may_cast
from graphc.runtime.state import Cell


def _is_operand(value: Any) -> bool:
    return isinstance(value, Handle | bool | int | float | complex | np.ndarray | np.generic | Dim | list | tuple)


_RUN = "use gx.compile, and call that with arrays"


@handles
class Tensor(Methods):
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

    def detach(self) -> Tensor:
        """Return `gx.stop_gradient` of it."""
        return elementwise.stop_gradient(self)

    # What needs the value now: a concrete Tensor, which depends on no placeholder, has one.

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return the value as a NumPy array of the caller's own, if the Tensor depends on no placeholder.

        It is compiled and run now (see `gx.evaluate`); variables count as they are now. Raises SymbolicValueError for a
        Tensor that depends on a placeholder.

        >>> (gx.asarray([1.0, 2.0]) * 3).numpy()
        array([3., 6.])
        """
        return np.array(values.value_of("numpy", self.node, _RUN), copy=True)

    def item(self, *index: Any) -> Any:
        """Return the one element, or the one at an index, as a Python number, if the value is known (see `numpy`)."""
        value = values.value_of("item", self.node, _RUN)
        try:
            return value.item(*index)
        except (ValueError, IndexError, TypeError) as error:
            raise ArgumentError(f"item: of {self.node.type} at {index}: {error}") from None

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers, if the value is known (see `numpy`)."""
        return values.value_of("tolist", self.node, _RUN).tolist()

    def __bool__(self) -> bool:
        return bool(self._number("bool", "use gx.where to choose elements, gx.cond to branch; & | ~ combine them"))

    def __int__(self) -> int:
        value = self._number("int", "use astype to convert it, gx.compile to run it")
        try:
            return int(value)
        except (ValueError, OverflowError) as error:
            raise ArgumentError(f"int: {error}") from None

    def __float__(self) -> float:
        return float(self._number("float", "use astype to convert it, gx.compile to run it"))

    def __complex__(self) -> complex:
        return complex(self._number("complex", "complex dtypes come later"))

    def __index__(self) -> int:
        found = self._number("index", "x[t] and gx.take read at an index found at run time; a size is known before")
        if self.dtype.kind not in "iu":
            raise DTypeError(f"index: takes an integer, got {self.node.type}")
        return int(found)

    def _number(self, what: str, remedy: str) -> Any:
        return values.number_of(what, self.node, remedy)

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self  # immutable; and a placeholder is known by identity

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        return asarray, (values.value_of("pickle", self.node, "save values, and build the graph again from code"),)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

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
        length = self.shape[0]
        if isinstance(length, Dim):
            raise _symbolic("iter", self, "use gx.scan for steps along an axis of unknown size")
        return (self[k] for k in range(length))

    def __contains__(self, value: Any) -> bool:
        return bool(values.value_of("in", reduce.any(logic.equal(self, value)).node, "use gx.any(x == value)"))

    # The array API's and NumPy's protocols.

    @property
    def device(self) -> str:
        """Where it is: always "cpu"."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """Return it: there is one device, "cpu". Raises ArgumentError for any other."""
        as_device("to_device", device)
        if stream is not None:
            raise ArgumentError(f"to_device: there are no streams on a CPU, got {stream!r}")
        return self

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise ArgumentError(f"__array_namespace__: the version is 2024.12, or an older one, got {api_version!r}")
        return sys.modules["graphc"]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        value = values.value_of("asarray", self.node, "use gx.compile to run it, or gx.asarray for a Tensor")
        if copy is False and dtype is not None and np.dtype(dtype) != value.dtype:
            raise ArgumentError(f"asarray: {self.node.type} as {np.dtype(dtype).name} needs a copy, and copy=False")
        return value.astype(dtype or value.dtype, copy=bool(copy))

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        value = values.value_of("dlpack", self.node, _RUN)
        is_read_only = not value.flags.writeable
        knows_read_only = (max_version or (0, 0))[0] >= 1
        if is_read_only and not knows_read_only and copy is not False:
            value = value.copy()  # the older form of the protocol can't say that it must not be written to
        return value.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    def __buffer__(self, flags: int) -> memoryview:
        return values.value_of("buffer", self.node, _RUN).data

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "outer" and len(inputs) == 2:
            return _called(f"np.{ufunc.__name__}.outer", ufunc, ufunc.__name__, _each_with_each(*inputs), kwargs)
        folding = _FOLDS.get(method, {}).get(ufunc.__name__)
        if folding is not None:
            return _called(f"np.{ufunc.__name__}.{method}", ufunc, folding, inputs, {"axis": 0, **kwargs})
        suffix = "" if method == "__call__" else f".{method}"
        return _called(f"np.{ufunc.__name__}{suffix}", ufunc, ufunc.__name__ + suffix, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ in ("shape", "ndim", "size") and len(args) == 1 and not kwargs:
            return getattr(self, function.__name__)
        module = function.__module__.replace("numpy", "np", 1)
        return _called(f"{module}.{function.__name__}", function, function.__name__, args, kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_described(self.node)}>"


def _symbolic(name: str, tensor: Tensor, remedy: str) -> SymbolicValueError:
    return SymbolicValueError(f"{name}: the value of {tensor!r} is not known before a call; {remedy}")


def _each_with_each(x: Any, y: Any) -> tuple[Any, Any]:
    """Return two operands that broadcast to all pairs of their elements, as ufunc.outer takes them."""
    a, b = as_node("outer", x), as_node("outer", y)
    return shape.reshape(wrap(a), (*a.shape, *[1] * b.ndim)), wrap(b)


def _called(numpy_name: str, numpy_function: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call our function in NumPy's place; arguments that it has not (out, where, order, ...) are refused."""
    function = _named(getattr(numpy_function, "__module__", None) or "numpy", name)
    if function is None:
        is_later = numpy_name.startswith(("np.linalg.", "np.fft."))
        reason = "comes in a later version of graphc" if is_later else "there is no such function on a Tensor"
        raise ArgumentError(f"{numpy_name}: {reason}; if its value is known, use np.asarray on it first")
    options = {k: v for k, v in kwargs.items() if not (k == "out" and v is None)}
    try:
        return function(*args, **options)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise ArgumentError(f"{numpy_name}: on a Tensor it is gx.{name}, and {error}") from None
        raise


_FOLDS = {
    "reduce": {
        "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
    },
    "accumulate": {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin"},
}  # fmt: skip
"""What the methods of NumPy's ufuncs are called as functions."""


def _named(module: str, name: str) -> Callable[..., Any] | None:
    """Return our function of the name that one of NumPy's (or SciPy's, for ufuncs) has in its module."""
    public = sys.modules["graphc"]
    inner = module.partition("numpy.")[2]
    for space in (vars(public).get(inner),) if inner in _SPACES else (public, vars(public).get("special")):
        function = getattr(space, name, None)
        if callable(function) and not isinstance(function, type):
            return function  # type: ignore[no-any-return]
    return None


_SPACES = ("linalg", "fft", "random")
"""The namespaces that NumPy and graphc have both."""


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
        raise ArgumentError(f"{what}: name must be a Python identifier, got {shown(given)}")
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

    def __deepcopy__(self, memo: Any) -> Variable:
        return variable(self.value, name=self.name, trainable=self.trainable)

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        return variable, (self.value, None, self.name, self.trainable)

    @property
    def value(self) -> np.ndarray[Any, Any]:
        """A copy of the value it has now.

        >>> gx.variable([1.0, 2.0], name="v").value
        array([1., 2.])
        """
        return self.cell.read()

    def assign(self, value: Any) -> None:
        """Set the value now: an array of the same shape, whose dtype casts safely to the variable's.

        Numbers and sequences of numbers take the variable's dtype if it is of their kind; a Tensor that depends on no
        placeholder is computed. Raises ShapeError, DTypeError
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
        value = values.value_of(what, value.node, "use updates= of gx.compile")
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
