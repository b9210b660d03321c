"""The meaning of the loop IR, executed: a slow interpreter that compiled kernels are compared with.

`run_kernel` runs a kernel on NumPy arrays, one scalar operation after the other. `evaluate` computes one expression,
also on whole arrays bound to its variables: the same scalar operation then happens at every element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from graphc.errors import InternalError
from graphc.ir.loops import (
    Accumulate,
    Alloc,
    Apply,
    Block,
    Buffer,
    Check,
    Const,
    Expr,
    For,
    Function,
    If,
    Kernel,
    Let,
    Load,
    Stmt,
    Store,
    Var,
    children,
)

Environment = Mapping[Var | Buffer, Any]
"""What variables and buffers stand for: a scalar or an array for a Var, the elements for a Buffer."""

Functions = Mapping[tuple[str, np.dtype[Any]], Function]
"""Functions by name and dtype of their first argument."""


class Failure(NamedTuple):
    """A Check that did not hold."""

    site: int
    value: int


def run_kernel(kernel: Kernel, arrays: Sequence[Any], functions: Functions | None = None) -> Failure | None:
    """Run `kernel` on `arrays`, one per parameter, in place; return the first Check that failed, if one did.

    >>> from graphc.ir.loops import INT64, TensorType, Store, apply, const
    >>> x = Buffer("x", TensorType(INT64, (3,)))
    >>> i = Var("i")
    >>> double = Kernel("double", (x,), For(i, 3, Store(x, (i,), apply("add", Load(x, (i,)), Load(x, (i,))))))
    >>> array = np.array([1, 2, 3])
    >>> run_kernel(double, [array])
    >>> array
    array([2, 4, 6])
    """
    env: dict[Var | Buffer, Any] = {}
    for buffer, array in zip(kernel.params, arrays, strict=True):
        if array.shape != buffer.shape or array.dtype != buffer.type.dtype:
            raise InternalError(f"interpret: {buffer.name} is {buffer.type}, got {array.dtype}{list(array.shape)}")
        env[buffer] = array
    return _run(kernel.body, env, functions or {})


def evaluate(expr: Expr, env: Environment, functions: Functions | None = None) -> Any:
    """Return the value of `expr`; where variables are bound to arrays, its value at every element.

    >>> x = Var("x", np.dtype("float32"))
    >>> evaluate(Apply("add", (x, x), x.dtype), {x: np.array([1, 2], np.float32)})
    array([2., 4.], dtype=float32)
    """
    values: dict[int, Any] = {}
    stack = [expr]
    with np.errstate(all="ignore"):
        while stack:
            current = stack[-1]
            pending = [child for child in children(current) if id(child) not in values]
            if pending:
                stack.extend(pending)
                continue
            stack.pop()
            if id(current) not in values:
                values[id(current)] = _value(current, values, env, functions or {})
    return values[id(expr)]


# Statements.


def _run(stmt: Stmt, env: dict[Var | Buffer, Any], functions: Functions) -> Failure | None:
    match stmt:
        case Block(body):
            return _run_block(body, dict(env), functions)
        case For(var, extent, body, _):
            for i in range(extent):
                failure = _run(body, {**env, var: np.int64(i)}, functions)
                if failure is not None:
                    return failure
        case If(condition, body):
            return _run(body, env, functions) if evaluate(condition, env, functions) else None
        case Let(var, value):
            env[var] = evaluate(value, env, functions)
        case Alloc(buffer):
            env[buffer] = np.full(buffer.shape, _garbage(buffer.type.dtype), buffer.type.dtype)
        case Store(buffer, index, value):
            env[buffer][_position(buffer, index, env, functions)] = evaluate(value, env, functions)
        case Accumulate(buffer, index, op, value):
            position = _position(buffer, index, env, functions)
            env[buffer][position] = _accumulated(op, env[buffer][position], value, env, functions)
        case Check(ok, site, value):
            if not evaluate(ok, env, functions):
                return Failure(site, int(evaluate(value, env, functions)))
    return None


def _run_block(body: tuple[Stmt, ...], env: dict[Var | Buffer, Any], functions: Functions) -> Failure | None:
    for stmt in body:
        failure = _run(stmt, env, functions)
        if failure is not None:
            return failure
    return None


def _garbage(dtype: np.dtype[Any]) -> Any:
    """Return a value that shows when undefined memory is read."""
    if dtype.kind == "f":
        return np.nan
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def _position(buffer: Buffer, index: tuple[Expr, ...], env: Environment, functions: Functions) -> tuple[int, ...]:
    position = tuple(int(evaluate(i, env, functions)) for i in index)
    _require_within(buffer, position)
    return position


def _require_within(buffer: Buffer, index: Sequence[Any]) -> None:
    inside = len(index) == len(buffer.shape) and all(
        np.all((i >= 0) & (i < extent)) for i, extent in zip(index, buffer.shape, strict=True)
    )
    if not inside:
        raise InternalError(f"interpret: {buffer.name} is {buffer.type}, indexed at {tuple(index)}")


def _accumulated(op: str, total: Any, value: Expr, env: Environment, functions: Functions) -> Any:
    if op == "add" and isinstance(value, Apply) and value.op == "mul" and value.dtype.kind == "f":
        a, b = (evaluate(arg, env, functions) for arg in value.args)
        return fma(a, b, total)
    with np.errstate(all="ignore"):
        return _apply(op, [total, evaluate(value, env, functions)], value.dtype, functions)


# Expressions.


def _value(expr: Expr, values: dict[int, Any], env: Environment, functions: Functions) -> Any:
    match expr:
        case Var():
            return env[expr]
        case Const(value, dtype):
            return dtype.type(value)
        case Load(buffer, index, mask, fill):
            masked = None if mask is None or fill is None else (values[id(mask)], values[id(fill)])
            return _load(buffer, env[buffer], [values[id(i)] for i in index], masked)
        case Apply(op, args, dtype):
            return _apply(op, [values[id(arg)] for arg in args], dtype, functions)


def _load(buffer: Buffer, elements: Any, index: list[Any], masked: tuple[Any, Any] | None) -> Any:
    if masked is None:
        _require_within(buffer, index)
        return elements[tuple(index)]
    mask, fill = masked
    if not np.any(mask):
        return np.broadcast_arrays(fill, mask, *index)[0][()]
    index = [_select(mask, i, 0) for i in index]
    _require_within(buffer, index)
    return _select(mask, elements[tuple(index)], fill)


def _apply(op: str, args: list[Any], dtype: np.dtype[Any], functions: Functions) -> Any:
    function = functions.get((op, args[0].dtype))
    if function is not None:
        return evaluate(function.result, dict(zip(function.params, args, strict=True)), functions)
    if op == "cast":
        return args[0].astype(dtype)
    if op == "bitcast":
        return args[0].view(dtype)
    if op not in _OPERATIONS:
        raise InternalError(f"interpret: there is no scalar operation {op!r} for {args[0].dtype}")
    result = _OPERATIONS[op](*args)
    if result.dtype != dtype:
        raise InternalError(f"interpret: {op} of {', '.join(str(a.dtype) for a in args)} is not {dtype}")
    return result


def _quotient(a: Any, b: Any) -> Any:
    return np.floor_divide(a - np.fmod(a, b), b)


# Functions that Python's math module has and NumPy has not, with the values of C at poles and beyond the range.


def _c_function(function: Callable[[float], float], pole: Callable[[float], float]) -> Callable[[Any], Any]:
    def scalar(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return pole(x)

    return lambda x: np.vectorize(scalar, [np.float64])(x).astype(x.dtype)[()]


def _tgamma_at_pole(x: float) -> float:
    return math.copysign(math.inf, x) if x == 0 else math.nan


# The fused multiply-add, from operations that round separately.


def fma(a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c of one float dtype, rounded once.

    >>> fma(np.float32(1 + 2**-12), np.float32(1 - 2**-12), np.float32(-1)) == -(2**-24)
    np.True_
    """
    a, b, c = np.broadcast_arrays(a, b, c)
    with np.errstate(all="ignore"):
        if a.dtype == np.float32:
            # The product of two floats is a double; 53 bits rounded to odd are enough to round once more to 24.
            product = a.astype(np.float64) * b.astype(np.float64)
            return _sum_to_odd(product, c.astype(np.float64)).astype(np.float32)[()]
        return _fma64(a, b, c)[()]


def _fma64(a: Any, b: Any, c: Any) -> Any:
    product = a * b
    finite = np.isfinite(a) & np.isfinite(b)
    result = np.where(finite & ~np.isfinite(c), c, product + c)
    inexact = finite & np.isfinite(c) & (a != 0) & (b != 0)
    moderate = inexact & (np.maximum(np.abs(a), np.abs(b)) < 2.0**900)
    moderate &= (np.abs(product) > 2.0**-900) & (np.abs(product) < 2.0**900)
    moderate &= (c == 0) | ((np.abs(c) > 2.0**-900) & (np.abs(c) < 2.0**900))
    result = np.where(moderate, _fma64_moderate(a, b, c, product), result)
    for i in np.flatnonzero(inexact & ~moderate):
        result.flat[i] = _fma64_exact(float(a.flat[i]), float(b.flat[i]), float(c.flat[i]))
    return result


def _fma64_exact(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _fma64_moderate(a: Any, b: Any, c: Any, product: Any) -> Any:
    """Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008; no operation may over- or underflow."""
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    product_error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    low, low_error = _two_sum(c, product_error)
    high, high_error = _two_sum(product, low)
    return high + _sum_to_odd(low_error, high_error)


def _halves(x: Any) -> tuple[Any, Any]:
    """Return two floats of 26 bits whose sum is x (Veltkamp)."""
    scaled = x * 134217729.0
    high = scaled - (scaled - x)
    return high, x - high


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the rounded sum and its error (Knuth)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def _sum_to_odd(a: Any, b: Any) -> Any:
    """Return a + b where exact or not finite, else the neighbour of a + b whose last bit is 1."""
    total, error = _two_sum(a, b)
    inexact = np.isfinite(total) & (error != 0)
    truncated = total.view(np.int64) - (np.signbit(error) != np.signbit(total))
    return np.where(inexact, (truncated | 1).view(np.float64), total)


# The table.


def _select(condition: Any, a: Any, b: Any) -> Any:
    chosen: Any = np.where(condition, a, b)
    return chosen[()]


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs,
    "min": np.minimum, "max": np.maximum, "quot": _quotient, "rem": np.fmod, "fma": fma,
    "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint, "copysign": np.copysign,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
    "shl": np.left_shift, "shr": np.right_shift, "select": _select, "rarely": _select,
    "pow": np.power, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "exp2": np.exp2, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "expm1": np.expm1, "cbrt": np.cbrt, "hypot": np.hypot, "fmod": np.fmod, "nextafter": np.nextafter,
    "exp": np.exp, "log": np.log, "tanh": np.tanh,
    "erf": _c_function(math.erf, math.erf), "erfc": _c_function(math.erfc, math.erfc),
    "tgamma": _c_function(math.gamma, _tgamma_at_pole), "lgamma": _c_function(math.lgamma, lambda x: math.inf),
}  # fmt: skip
