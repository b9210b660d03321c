"""LLVM's spelling of types, numbers and scalar operations."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.errors import InternalError
from graphc.ir.types import BOOL, INT64

DType = np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Value:
    """An SSA value or a number.

    lanes   1 for a scalar, else the width of the vector
    level   the depth of the scope that defines it; 0 for numbers
    step    of a scalar that stands for a vector: lane k is the scalar + k * step
    known   the number, where it is one
    """

    name: str
    dtype: DType
    lanes: int = 1
    level: int = 0
    step: int = 0
    known: Any = None


def scalar_type(dtype: DType) -> str:
    """Return the type in a register."""
    if dtype == BOOL:
        return "i1"
    if dtype.kind == "f":
        return "float" if dtype.itemsize == 4 else "double"
    return f"i{dtype.itemsize * 8}"


def memory_type(dtype: DType) -> str:
    """Return the type in memory: bool is a byte there."""
    return "i8" if dtype == BOOL else scalar_type(dtype)


def vector_of(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


def llvm_type(value: Value) -> str:
    return vector_of(scalar_type(value.dtype), value.lanes)


def number(value: Any, dtype: DType) -> str:
    """Return the spelling of a number."""
    if dtype == BOOL:
        return "true" if value else "false"
    if dtype.kind == "f":
        bits = struct.unpack("<Q", struct.pack("<d", float(dtype.type(value))))[0]
        return f"0x{bits:016X}"
    return str(int(value))


def constant(value: Any, dtype: DType) -> Value:
    return _index(value) if dtype is INT64 else Value(number(value, dtype), dtype, known=value)


@lru_cache(maxsize=4096)
def _index(value: int) -> Value:
    return Value(str(int(value)), INT64, known=int(value))


def mangled(dtype: DType, lanes: int) -> str:
    """Return the suffix of an overloaded intrinsic."""
    element = f"f{dtype.itemsize * 8}" if dtype.kind == "f" else scalar_type(dtype)
    return element if lanes == 1 else f"v{lanes}{element}"


_FLOAT_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INT_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "shl": "shl", "and": "and", "or": "or", "xor": "xor"}
_FLOAT_INTRINSICS = {
    "abs": "fabs", "min": "minimum", "max": "maximum", "fma": "fma", "sqrt": "sqrt", "floor": "floor",
    "ceil": "ceil", "trunc": "trunc", "rint": "rint", "copysign": "copysign",
}  # fmt: skip
_FLOAT_PREDICATES = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_INT_PREDICATES = {"lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """The right-hand side of an SSA definition and the declaration it needs, if any."""

    text: str
    declaration: str = ""


def call_intrinsic(name: str, dtype: DType, lanes: int, args: list[str], extra: str = "") -> Instruction:
    """Return a call of an intrinsic whose operands all have the type of its result."""
    kind = vector_of(scalar_type(dtype), lanes)
    full = f"@llvm.{name}.{mangled(dtype, lanes)}"
    operands = ", ".join(f"{kind} {a}" for a in args)
    kinds = ", ".join([kind] * len(args))
    tail = f", {extra}" if extra else ""
    tail_type = f", {extra.split()[0]}" if extra else ""
    return Instruction(f"call {kind} {full}({operands}{tail})", f"declare {kind} {full}({kinds}{tail_type})")


def arithmetic(op: str, dtype: DType, lanes: int, args: list[str]) -> Instruction:
    """Return the instruction of a primitive whose operands have the dtype `dtype`."""
    kind = vector_of(scalar_type(dtype), lanes)
    if dtype.kind == "f":
        if op in _FLOAT_BINARY:
            return Instruction(f"{_FLOAT_BINARY[op]} {kind} {args[0]}, {args[1]}")
        if op == "neg":
            return Instruction(f"fneg {kind} {args[0]}")
        if op in _FLOAT_PREDICATES:
            return Instruction(f"fcmp {_FLOAT_PREDICATES[op]} {kind} {args[0]}, {args[1]}")
        if op in _FLOAT_INTRINSICS:
            return call_intrinsic(_FLOAT_INTRINSICS[op], dtype, lanes, args)
        raise InternalError(f"codegen: no instruction for {op} on {dtype}")
    return _integer(op, dtype, lanes, args, kind)


def _integer(op: str, dtype: DType, lanes: int, args: list[str], kind: str) -> Instruction:
    signed = dtype.kind == "i"
    if dtype == BOOL:
        op = {"min": "and", "max": "or", "mul": "and", "add": "or"}.get(op, op)
    if op in _INT_BINARY:
        return Instruction(f"{_INT_BINARY[op]} {kind} {args[0]}, {args[1]}")
    if op in _INT_PREDICATES:
        sign = "" if op in ("eq", "ne") else ("s" if signed else "u")
        return Instruction(f"icmp {sign}{_INT_PREDICATES[op]} {kind} {args[0]}, {args[1]}")
    if op in ("quot", "rem"):
        return Instruction(f"{'s' if signed else 'u'}{'div' if op == 'quot' else 'rem'} {kind} {args[0]}, {args[1]}")
    if op == "shr":
        return Instruction(f"{'ashr' if signed else 'lshr'} {kind} {args[0]}, {args[1]}")
    if op == "neg":
        return Instruction(f"sub {kind} {splat('0', dtype, lanes)}, {args[0]}")
    if op == "not":
        ones = "true" if dtype == BOOL else "-1"
        return Instruction(f"xor {kind} {args[0]}, {splat(ones, dtype, lanes)}")
    if op in ("min", "max"):
        return call_intrinsic(f"{'s' if signed else 'u'}{op}", dtype, lanes, args)
    if op == "abs":
        if not signed:
            return Instruction(f"or {kind} {args[0]}, {splat('0', dtype, lanes)}")
        return call_intrinsic("abs", dtype, lanes, args, "i1 false")
    raise InternalError(f"codegen: no instruction for {op} on {dtype}")


def splat(text: str, dtype: DType, lanes: int) -> str:
    """Return a number as a vector of `lanes` copies."""
    return text if lanes == 1 else f"splat ({scalar_type(dtype)} {text})"


def conversion(source: DType, target: DType) -> str | None:
    """Return the one instruction that converts, or None where there is none to do in registers."""
    if scalar_type(source) == scalar_type(target):
        return None
    if source.kind == "f":
        if target.kind == "f":
            return "fpext" if target.itemsize > source.itemsize else "fptrunc"
        return "fptosi" if target.kind == "i" else "fptoui"
    unsigned = source.kind in "ub"
    if target.kind == "f":
        return "uitofp" if unsigned else "sitofp"
    if source == BOOL or target.itemsize > source.itemsize:
        return "zext" if unsigned else "sext"
    return "trunc"


def identity(op: str, dtype: DType) -> Any:
    """Return the value that a fold with `op` starts from."""
    if op == "add":
        return 0
    if op == "mul":
        return 1
    if op in ("and", "or"):
        return op == "and" if dtype == BOOL else (-1 if op == "and" else 0)
    if op not in ("min", "max"):
        raise InternalError(f"codegen: {op} has no identity")
    if dtype == BOOL:
        return op == "min"
    if dtype.kind == "f":
        return np.inf if op == "min" else -np.inf
    limits = np.iinfo(dtype)
    return limits.max if op == "min" else limits.min
