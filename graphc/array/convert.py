"""From what a user passes to nodes that fit together: conversion, promotion, broadcasting, and checks of arguments."""

from __future__ import annotations

import array as arrays
import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphc.array.handle import Handle, wrap
from graphc.array.values import value_of
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError, shown
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, known_value, literal
from graphc.ir.types import BOOL, FLOAT32, FLOAT64, INT64, MOST_AXES, MOST_ELEMENTS, Shape, as_dtype
from graphc.ops.elementwise import cast, ne, size
from graphc.ops.shape import broadcast, concat, reshape
from graphc.runtime.state import require_memory

if TYPE_CHECKING:
    from graphc.tensor import Tensor

ArrayLike: TypeAlias = "Handle | np.ndarray[Any, Any] | np.generic | Dim | bool | int | float | Sequence[Any]"
"""What a function takes where it says array: a Tensor, or anything that becomes a constant."""

DType = np.dtype[Any]

# Python's numbers are weak: they take the dtype of what they meet if its kind is at least theirs.
_TAKES: dict[type, str] = {bool: "biuf", int: "iuf", float: "f"}
_WEAK: dict[type, Any] = {bool: True, int: 0, Dim: 0, float: 0.0}


def asarray(value: ArrayLike, /, dtype: Any = None, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Return `value` as a Tensor; a Tensor of the same dtype comes back as it is.

    Arrays, nested sequences and numbers become constants (copied, so that later writes to the array have no effect),
    and so does what offers NumPy's `__array__`, DLPack or Python's buffer protocol; a symbolic dimension becomes its
    size, a sequence with Tensors in it is stacked. Numbers take NumPy's dtypes: int64, float64, bool. With `dtype`, the
    value is converted. The device is "cpu"; `copy=False` raises ArgumentError for all but Tensors of that dtype, as
    constants are copies.

    >>> gx.asarray([1.0, 2.0], dtype="float32")
    <Tensor f32[2] = constant([1.0, 2.0])>
    """
    as_device("asarray", device)
    if isinstance(value, Handle) and (dtype is None or value.node.dtype == as_dtype(dtype)):
        return value  # type: ignore[return-value]
    if copy is False:
        raise ArgumentError(f"asarray: {_described(value)} becomes a constant, which is a copy, and copy=False")
    return wrap(as_node("asarray", value, dtype))


def array(value: ArrayLike, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0) -> Tensor:
    """Return `value` as a Tensor of at least `ndmin` axes: NumPy's name for `asarray`. Tensors never change, so there
    is no difference whether one is copied.

    >>> gx.array([1, 2], ndmin=2)
    <Tensor i64[1, 2] = constant([[1, 2]])>
    """
    node = as_node("array", value, dtype)
    missing = count("array", "ndmin", ndmin) - node.ndim
    if missing <= 0:
        return wrap(node)
    known = known_value(node)
    shape = (*[1] * missing, *node.shape)
    return wrap(reshape(node, shape=shape) if known is None else literal(known.reshape(shape), node.dtype))


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Return the array of another library as a constant, through the DLPack protocol; its elements are copied.

    Raises ArgumentError for an object that does not export its elements to the CPU, and for `copy=False`.

    >>> gx.from_dlpack(np.arange(3.0))
    <Tensor f64[3] = constant([0.0, 1.0, 2.0])>
    """
    as_device("from_dlpack", device)
    if isinstance(x, Handle):
        return x  # type: ignore[return-value]
    if copy is False:
        raise ArgumentError("from_dlpack: elements become a constant, which is a copy, and copy=False")
    try:
        array = np.from_dlpack(x)
    except (AttributeError, TypeError, ValueError, BufferError, RuntimeError) as error:
        raise ArgumentError(f"from_dlpack: takes an array on the CPU, got {_described(x)}: {error}") from None
    return wrap(_literal("from_dlpack", array, None))


def constant(value: ArrayLike, dtype: Any = None) -> Tensor:
    """Return a literal: `value` as it is now, as `dtype` or NumPy's dtype for it.

    A Tensor that depends on no placeholder is computed now: `gx.constant(v)` is the value that a variable has at this
    moment. Raises SymbolicValueError for one that does.

    >>> gx.constant(2.5)
    <Tensor f64[] = 2.5>
    """
    if isinstance(value, Handle):
        value = value_of("constant", value.node, "a literal is known now; use the Tensor as it is")
    return wrap(as_node("constant", value, dtype))


def as_node(name: str, value: Any, dtype: Any = None) -> Node:
    """Return the node of a Tensor, or a node for a value, in the operation called `name`."""
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(value, Handle):
        return value.node if wanted is None else cast_to(value.node, wanted)
    if isinstance(value, Dim):
        return cast_to(size(value=value), wanted or INT64)
    if type(value) in _TAKES:
        return scalar(name, value, wanted or as_dtype(np.min_scalar_type(value) if _is_huge(value) else type(value)))
    if isinstance(value, list | tuple) and _has_symbols(name, value):
        return _stacked(name, value, wanted)
    return _literal(name, value, wanted)


def _is_huge(value: Any) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**63


def _has_symbols(name: str, value: Any, depth: int = 0) -> bool:
    if not isinstance(value, list | tuple):
        return isinstance(value, Handle | Dim)
    if depth == MOST_AXES:
        raise ArgumentError(f"{name}: sequences may stand in each other {MOST_AXES} deep, got {shown(value)}")
    return any(_has_symbols(name, v, depth + 1) for v in value)


def _stacked(name: str, values: Sequence[Any], dtype: DType | None) -> Node:
    nodes = promote(name, [v if type(v) in _WEAK else wrap(as_node(name, v)) for v in values])
    if any(n.ndim != nodes[0].ndim for n in nodes):
        raise ShapeError(f"{name}: the items of a sequence must have one shape, got {listed(nodes)}")
    rows = [reshape(n, shape=(1, *n.shape)) for n in nodes]
    stacked = concat(*rows, axis=0) if len(rows) > 1 else rows[0]
    return stacked if dtype is None else cast_to(stacked, dtype)


def _literal(name: str, value: Any, dtype: DType | None) -> Node:
    is_number = isinstance(value, np.ndarray | np.generic | Sequence | bool | int | float | complex)
    if not is_number and not is_exporter(value):
        raise ArgumentError(f"{name}: takes tensors, arrays, numbers and sequences of them, got {_described(value)}")
    try:
        array = np.from_dlpack(value) if _exports_dlpack_only(value) else np.asarray(value)
    except Exception as error:  # noqa: BLE001 - an object of the user's may raise anything here
        raise ArgumentError(f"{name}: {_described(value)} is not an array: {error}") from None
    if array.dtype.kind in "USO":
        raise ArgumentError(f"{name}: takes tensors, arrays, numbers and sequences of them, got {_described(value)}")
    require_memory(name, array.nbytes)
    given = as_dtype(array.dtype)
    return literal(array, given if dtype is None else _castable(name, array, dtype))


def is_exporter(value: Any) -> bool:
    """Tell whether an object offers its elements as an array, by one of the protocols for that."""
    protocols = ("__array__", "__array_interface__", "__dlpack__")
    return isinstance(value, _BUFFERS) or any(hasattr(value, p) for p in protocols)


_BUFFERS = (memoryview, bytearray, arrays.array)


def _exports_dlpack_only(value: Any) -> bool:
    return hasattr(value, "__dlpack__") and not hasattr(value, "__array__") and not isinstance(value, np.ndarray)


def _castable(name: str, array: np.ndarray[Any, Any], dtype: DType) -> DType:
    if dtype.kind in "iu" and array.dtype.kind in "iu" and array.size:
        info = np.iinfo(dtype)
        low, high = int(array.min()), int(array.max())
        if low < info.min or high > info.max:
            raise DTypeError(f"{name}: {low if low < info.min else high} does not fit {dtype.name}")
    return dtype


def _described(value: Any) -> str:
    text = shown(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"


def scalar(name: str, value: float, dtype: DType) -> Node:
    """Return a number as a constant of rank 0; equal numbers may be one node."""
    if value == 0 and type(value) is float:
        return literal(value, dtype)  # 0.0 and -0.0 are one key
    try:
        return _cached_scalar(value, dtype)
    except OverflowError:
        raise DTypeError(f"{name}: {value} does not fit {dtype.name}") from None


@lru_cache(maxsize=4096, typed=True)
def _cached_scalar(value: float, dtype: DType) -> Node:
    with np.errstate(over="ignore"):
        return literal(value, dtype)


def cast_to(node: Node, dtype: DType) -> Node:
    """Return the value as `dtype`; the same node if it has it."""
    if node.dtype == dtype:
        return node
    return ne(node, literal(0, node.dtype)) if dtype == BOOL else cast(node, dtype=dtype)


def listed(values: Iterable[Node]) -> str:
    """Return the types of operands for a message."""
    return " and ".join(str(v.type) for v in values)


# Promotion.


@lru_cache(maxsize=1024)
def _result_dtype(strong: tuple[DType, ...], weak: tuple[type, ...]) -> DType:
    return as_dtype(np.result_type(*strong, *[_WEAK[w] for w in weak]))


def result_type(*values: Any) -> DType:
    """Return the dtype that arrays and dtypes have together, by NumPy 2's rules (NEP 50): Python numbers are weak.

    >>> gx.result_type(gx.placeholder((3,), "float32"), 1.0), gx.result_type("int64", "float32")
    (dtype('float32'), dtype('float64'))
    """
    if not values:
        raise ArgumentError("result_type: takes at least one array, dtype or number")
    strong = tuple(_dtype_of(v) for v in values if type(v) not in _WEAK)
    return _result_dtype(strong, tuple({type(v) for v in values if type(v) in _WEAK}))


def _dtype_of(value: Any) -> DType:
    if isinstance(value, Handle):
        return value.node.dtype
    return as_dtype(value) if isinstance(value, str | type | np.dtype) else as_node("result_type", value).dtype


def promote(name: str, values: Sequence[Any], least: DType | None = None) -> list[Node]:
    """Return values as nodes of one dtype, NumPy 2's result type of them all and of `least`."""
    nodes = [v if type(v) in _WEAK else as_node(name, v) for v in values]
    strong = [n.dtype for n in nodes if isinstance(n, Node)]
    if least is not None:
        strong.append(least)
    dtype = _result_dtype(tuple(strong), tuple({type(n) for n in nodes if not isinstance(n, Node)}))
    return [cast_to(n, dtype) if isinstance(n, Node) else _weak(name, n, dtype) for n in nodes]


def _weak(name: str, value: Any, dtype: DType) -> Node:
    return cast_to(size(value=value), dtype) if isinstance(value, Dim) else scalar(name, value, dtype)


def floating(dtype: DType) -> DType:
    """Return the floating dtype that holds `dtype`: small integers fit float32, the others take float64."""
    if dtype.kind == "f":
        return dtype
    return FLOAT32 if dtype.itemsize <= 2 else FLOAT64


def as_float(name: str, value: Any) -> Node:
    """Return a value as a floating-point node."""
    node = as_node(name, value)
    return node if node.dtype.kind == "f" else cast_to(node, floating(node.dtype))


def promote_floats(name: str, values: Sequence[Any]) -> list[Node]:
    """Return values as nodes of one floating dtype, which follows from that of each."""
    floats = [v if type(v) in _WEAK else wrap(as_float(name, v)) for v in values]
    nodes = promote(name, floats)
    return nodes if nodes[0].dtype.kind == "f" else [cast_to(n, FLOAT64) for n in nodes]


# Broadcasting: a literal 1 repeats; a symbolic size must equal what it meets, which the call checks.


def pair(name: str, x: Any, y: Any) -> tuple[Node, Node]:
    """Return two operands as nodes of one dtype and of one shape or rank 0. The usual cases are decided first."""
    if isinstance(x, Handle):
        a = x.node
        if isinstance(y, Handle):
            if a.type is y.node.type:
                return a, y.node
        elif type(y) in _TAKES and a.dtype.kind in _TAKES[type(y)]:
            return a, scalar(name, y, a.dtype)
    elif isinstance(y, Handle) and type(x) in _TAKES and y.node.dtype.kind in _TAKES[type(x)]:
        return scalar(name, x, y.node.dtype), y.node
    a, b = promote(name, (x, y))
    return (a, b) if a.type == b.type else align(name, (a, b))  # type: ignore[return-value]


def operands(name: str, *values: Any) -> tuple[Node, ...]:
    """Return operands as nodes of one dtype and of one shape or rank 0."""
    return align(name, promote(name, values))


def align(name: str, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return nodes repeated to the shape they have together; those of rank 0 stay."""
    shape = common_shape(name, nodes)
    return tuple([_spread(n, shape, keep_scalar=True) for n in nodes])


def common_shape(name: str, nodes: Sequence[Node]) -> Shape:
    """Return the shape to which nodes broadcast."""
    shape: Shape = ()
    for node in nodes:
        shape = _common(name, nodes, shape, node.shape)
    return shape


def _common(name: str, nodes: Sequence[Node], a: Shape, b: Shape) -> Shape:
    if a == b or not b:
        return a
    if len(a) < len(b):
        a, b = b, a
    extra = len(a) - len(b)
    return a[:extra] + tuple(_common_size(name, nodes, m, n) for m, n in zip(a[extra:], b, strict=True))


def _common_size(name: str, nodes: Sequence[Node], a: Size, b: Size) -> Size:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if differ(a, b):
        raise ShapeError(f"{name}: operands must have shapes that broadcast, got {listed(nodes)}: {a} != {b}")
    return a if isinstance(a, int) else b


def differ(a: Size, b: Size) -> bool:
    """Return whether two sizes are known to be unequal."""
    difference = a - b
    return isinstance(difference, int) and difference != 0


def spread_to(node: Node, shape: Shape) -> Node:
    """Return a node repeated to `shape`, to which it must broadcast. Raises ShapeError for one of higher rank."""
    if node.ndim > len(shape):
        raise ShapeError(f"broadcast: must have rank {len(shape)} or less, got {node.type}")
    return _spread(node, shape, keep_scalar=False)


def _spread(node: Node, shape: Shape, keep_scalar: bool) -> Node:
    own = node.shape
    if own == shape or (keep_scalar and not own):
        return node
    first = len(shape) - len(own)
    kept = tuple(k for k, s in enumerate(own) if not (s == 1 and shape[first + k] != 1))
    if first == 0 and len(kept) == len(own) and keep_scalar:
        return node  # what takes it requires equal sizes
    if len(kept) < len(own):
        node = reshape(node, shape=tuple(own[k] for k in kept))
    if keep_scalar and not kept:
        return node
    return broadcast(node, shape=shape, axes=tuple(first + k for k in kept))


# Arguments.


def _int(value: Any) -> int | None:
    """Return a value that is an int of Python's or NumPy's; None for anything else."""
    try:
        return operator.index(value)
    except GraphcError:
        raise
    except Exception:  # noqa: BLE001 - whatever an object of the user's raises, it is no int
        return None


def choice(name: str, what: str, value: Any, options: Sequence[str]) -> Any:
    """Return an argument that is one of several words."""
    if not isinstance(value, str) or value not in options:
        words = ", ".join(map(repr, options[:-1])) + f" or {options[-1]!r}" if options[1:] else repr(options[0])
        raise ArgumentError(f"{name}: {what} must be {words}, got {shown(value)}")
    return value


def number(name: str, what: str, value: Any) -> Any:
    """Return an argument that is a known real number."""
    if not isinstance(value, int | float | np.integer | np.floating):
        raise ArgumentError(f"{name}: {what} must be a number, got {_described(value)}")
    return value


def listing(name: str, what: str, value: Any) -> Sequence[Any]:
    """Return an argument that is a list or tuple."""
    if not isinstance(value, list | tuple):
        raise ArgumentError(f"{name}: {what} must be a list or tuple, got {_described(value)}")
    return value


def flag(name: str, what: str, value: Any) -> bool:
    """Return an argument that is True or False, or a number that stands for them."""
    if not isinstance(value, bool | int | np.bool_):
        raise ArgumentError(f"{name}: {what} must be True or False, got {_described(value)}")
    return bool(value)


def function(name: str, what: str, value: Any) -> Any:
    """Return an argument that can be called."""
    if not callable(value):
        raise ArgumentError(f"{name}: {what} must be a function, got {_described(value)}")
    return value


def as_device(name: str, device: Any) -> str:
    """Return the device that an argument names: there is one, "cpu", which None means too."""
    if device is None or (isinstance(device, str) and device == "cpu"):
        return "cpu"
    raise ArgumentError(f"{name}: the device is 'cpu', there is no other, got {_described(device)}")


def axis_index(name: str, axis: Any, ndim: int) -> int:
    """Return an axis counted from the front."""
    index = _int(axis)
    if index is None:
        raise ArgumentError(f"{name}: an axis is an int, got {_described(axis)}")
    if not -ndim <= index < ndim:
        where = f"in [{-ndim}, {ndim})" if ndim else "absent for rank 0"
        raise ArgumentError(f"{name}: axis must be {where}, got {index}")
    return index + ndim if index < 0 else index


def axis_indices(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes (None: all, an int, or a sequence) counted from the front, in the order given."""
    if axis is None:
        return tuple(range(ndim))
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    indices = tuple(axis_index(name, a, ndim) for a in given)
    if len(set(indices)) != len(indices):
        raise ArgumentError(f"{name}: an axis must be given once, got {axis}")
    return indices


def count(name: str, what: str, value: Any, least: int = 0) -> int:
    """Return an argument that is a Python int of at least `least`."""
    number = _int(value)
    if number is None:
        raise ArgumentError(f"{name}: {what} must be an int, got {_described(value)}")
    if number < least:
        raise ArgumentError(f"{name}: {what} must be at least {least}, got {number}")
    if number > MOST_ELEMENTS:
        raise ArgumentError(f"{name}: {what} must be at most {MOST_ELEMENTS}, got {shown(number)}")
    return number
