"""Expressions to instructions: each is defined once, in the outermost scope where its operands are known.

A scope is a stretch of straight code: the kernel's body or that of a loop. Pure instructions are hash-consed within
their scope, so common subexpressions and loop-invariant code need no later pass. Inside a VECTOR loop a scalar with a
`step` stands for the lanes scalar + k * step, which is how contiguous, broadcast and strided access are told apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from graphc.codegen.values import (
    DType,
    Instruction,
    Value,
    arithmetic,
    constant,
    conversion,
    llvm_type,
    number,
    scalar_type,
    splat,
    vector_of,
)
from graphc.errors import InternalError
from graphc.ir.loops import LIBM, PRIMITIVES, Apply, Buffer, Const, Expr, Function, Load, Var
from graphc.ir.types import BOOL, INT64
from graphc.target import Target

SlotKey = tuple[Buffer, tuple[int, ...], int]


class Scope:
    """A stretch of code that is open for more: `label` names the basic block its last line is in."""

    __slots__ = ("guarded", "label", "level", "lines", "memo")

    def __init__(self, level: int, label: str, guarded: bool = False) -> None:
        self.level = level
        self.label = label
        self.guarded = guarded  # runs only under a condition: loads must stay inside
        self.lines: list[str] = []
        self.memo: dict[str, Value] = {}


class ExpressionEmitter(ABC):
    """The values of a kernel under way: scopes, names, register slots, and the lanes of the current VECTOR loop."""

    def __init__(self, functions: Mapping[tuple[str, DType], Function], target: Target) -> None:
        self.functions = functions
        self.has_fma = target.has_fma
        self.has_maximum = not target.triple.startswith(("x86_64", "i686"))
        self.scopes = [Scope(0, "entry")]
        self.env: dict[Var, Value] = {}
        self.slots: dict[SlotKey, Value] = {}
        self.pointers: dict[Buffer, str] = {}
        self.written: set[Buffer] = set()
        self.declarations: dict[str, None] = {}
        # Registers brought into being inside the current VECTOR loop: each lane has its own.
        self.lane_registers: set[Buffer] = set()
        self.lanes = 1
        # The level of the innermost scope that rarely runs: nothing is computed earlier for its sake.
        self.floor = 0
        # How many lanes of the current vector of a VECTOR loop run.
        self.active = 0
        # Which lanes run: all but those beyond the end of the loop, and those for which a condition holds.
        self.tail: Value | None = None
        self.condition: Value | None = None
        self._count = 0
        # By identity; the expression is kept so that its id stays its own.
        self._cache: dict[int, tuple[Expr, Value]] = {}

    # Instructions.

    @property
    def scope(self) -> Scope:
        return self.scopes[-1]

    def fresh(self, prefix: str = "v") -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def line(self, text: str) -> None:
        """Append an instruction without a result to the innermost scope."""
        self.scope.lines.append(f"  {text}")

    def define(self, text: str, dtype: DType, lanes: int, level: int) -> Value:
        """Return the value of a pure instruction, defined at `level` unless it already is."""
        scope = self.scopes[min(level, self.scope.level)]
        known = scope.memo.get(text)
        if known is None and scope.level < self.floor:
            scope = self.scopes[self.floor]
            known = scope.memo.get(text)
        if known is None or known.dtype != dtype:
            known = Value(f"%{self.fresh()}", dtype, lanes, scope.level)
            scope.memo[text] = known
            scope.lines.append(f"  {known.name} = {text}")
        return known

    def define_here(self, text: str, dtype: DType, lanes: int) -> Value:
        """Return the value of an instruction that must run in its place, every time."""
        value = Value(f"%{self.fresh()}", dtype, lanes, self.scope.level)
        self.line(f"{value.name} = {text}")
        return value

    def instruct(self, instruction: Instruction, dtype: DType, lanes: int, level: int) -> Value:
        if instruction.declaration:
            self.declarations[instruction.declaration] = None
        return self.define(instruction.text, dtype, lanes, level)

    # Lanes.

    def vector(self, value: Value, lanes: int) -> Value:
        """Return a value as a vector of `lanes`."""
        if lanes == 1 or value.lanes == lanes:
            return value
        if value.lanes != 1:
            raise InternalError(f"codegen: {value.lanes} lanes used as {lanes}")
        kind = scalar_type(value.dtype)
        whole = vector_of(kind, lanes)
        if value.known is not None:
            base = Value(splat(value.name, value.dtype, lanes), value.dtype, lanes)
        else:
            one = self.define(
                f"insertelement {whole} poison, {kind} {value.name}, i64 0", value.dtype, lanes, value.level
            )
            base = self.define(
                f"shufflevector {whole} {one.name}, {whole} poison, <{lanes} x i32> zeroinitializer",
                value.dtype, lanes, value.level,
            )  # fmt: skip
        if not value.step:
            return base
        steps = ", ".join(f"{kind} {k * value.step}" for k in range(lanes))
        return self.define(f"add {whole} {base.name}, <{steps}>", value.dtype, lanes, value.level)

    def tail_mask(self, active: int, lanes: int) -> Value:
        """Return the constant mask of the first `active` lanes."""
        bits = ", ".join("i1 true" if k < active else "i1 false" for k in range(lanes))
        return Value(f"<{bits}>", BOOL, lanes)

    @property
    def mask(self) -> Value | None:
        if self.tail is None or self.condition is None:
            return self.tail if self.condition is None else self.condition
        return self.apply("and", [self.tail, self.condition], BOOL)

    def full_mask(self, lanes: int) -> Value:
        mask = self.mask
        return mask if mask is not None else Value("splat (i1 true)", BOOL, lanes)

    # Expressions.

    def emit(self, expr: Expr) -> Value:
        """Return the value of an expression; parts shared within it are computed once."""
        self._cache = {}
        return self._emit(expr)

    def _emit(self, expr: Expr) -> Value:
        if isinstance(expr, Const):
            return constant(expr.value, expr.dtype)
        if isinstance(expr, Var):
            return self.env[expr]
        known = self._cache.get(id(expr))
        if known is not None:
            return known[1]
        value = self._load(expr) if isinstance(expr, Load) else self._apply(expr)
        self._cache[id(expr)] = (expr, value)
        return value

    def _apply(self, expr: Apply) -> Value:
        if expr.op == "rarely":
            return self._rarely(*expr.args)
        return self.apply(expr.op, [self._emit(a) for a in expr.args], expr.dtype)

    def apply(self, op: str, args: Sequence[Value], dtype: DType) -> Value:
        """Return a scalar operation on values, which may differ in lanes."""
        if op == "identity":
            return args[0]
        if op in ("add", "sub", "mul") and dtype == INT64:
            folded = self._index_arithmetic(op, args[0], args[1])
            if folded is not None:
                return folded
        function = self.functions.get((op, args[0].dtype))
        if function is not None:
            return self._inline(function, args)
        lanes = max(a.lanes for a in args)
        if any(a.step for a in args):
            lanes = self.lanes
        if op not in PRIMITIVES:
            return self._libm(op, [self.vector(a, lanes) for a in args], dtype, lanes)
        if op == "select":
            return self._select(args, lanes)
        numbers = [a.known is not None and a.known == a.known for a in args]
        args = [self.vector(a, lanes) for a in args]
        if op in ("cast", "bitcast"):
            return self._convert(op, args[0], dtype)
        if op == "fma" and not self.has_fma:
            return self._libm("fma", args, dtype, lanes)
        if op in ("min", "max") and dtype.kind == "f" and not self.has_maximum:
            a, b = args if numbers[0] else args[::-1]
            return self._extreme(op, a, b, any(numbers))
        level = max(a.level for a in args)
        if op in ("quot", "rem") and args[1].known is None:
            level = max(level, self._guard_level())  # may trap where a condition keeps it from running
        return self.instruct(arithmetic(op, args[0].dtype, lanes, [a.name for a in args]), dtype, lanes, level)

    def _extreme(self, op: str, a: Value, b: Value, is_number: bool) -> Value:
        """Return the greater or lesser of two floats, NaN if one is NaN. The instruction that CPUs have for the first
        select gives b if one is NaN, which is right where a is a number."""
        predicate, level = "gt" if op == "max" else "lt", max(a.level, b.level)
        is_a = self.instruct(arithmetic(predicate, a.dtype, a.lanes, [a.name, b.name]), BOOL, a.lanes, level)
        found = self._select([is_a, a, b], a.lanes)
        if is_number:
            return found
        is_nan = self.instruct(arithmetic("ne", a.dtype, a.lanes, [a.name, a.name]), BOOL, a.lanes, a.level)
        return self._select([is_nan, a, found], a.lanes)

    def _index_arithmetic(self, op: str, a: Value, b: Value) -> Value | None:
        """Fold numbers, and keep lane steps apart from scalars. None where lanes must be computed one by one."""
        if a.lanes != 1 or b.lanes != 1:
            return None
        if op == "mul":
            if a.known is not None and not a.step:
                a, b = b, a
            if (a.step or b.step) and (b.known is None or b.step):
                return None
            step = a.step * b.known if a.step else 0
        else:
            step = a.step + b.step if op == "add" else a.step - b.step
        if a.known is not None and b.known is not None:
            folded = {"add": a.known + b.known, "sub": a.known - b.known, "mul": a.known * b.known}[op]
            return Value(number(folded, INT64), INT64, step=step, known=folded)
        if (b.known == 0 and op != "mul") or (b.known == 1 and op == "mul"):
            return Value(a.name, INT64, 1, a.level, step, a.known)
        if op == "add" and a.known == 0:
            return Value(b.name, INT64, 1, b.level, step, b.known)
        if op == "mul" and b.known == 0:
            return constant(0, INT64)
        base = self.define(f"{op} i64 {a.name}, {b.name}", INT64, 1, max(a.level, b.level))
        return Value(base.name, INT64, 1, base.level, step)

    def _inline(self, function: Function, args: Sequence[Value]) -> Value:
        outer = self._cache
        self._cache = {}
        for param, arg in zip(function.params, args, strict=True):
            self.env[param] = self.vector(arg, self.lanes) if arg.step else arg
        result = self._emit(function.result)
        self._cache = outer
        return result

    def _select(self, args: Sequence[Value], lanes: int) -> Value:
        condition, a, b = args
        if condition.known is not None:
            return a if condition.known else b
        if condition.step or condition.lanes > 1:
            condition = self.vector(condition, lanes)
        a, b = self.vector(a, lanes), self.vector(b, lanes)
        text = f"select {llvm_type(condition)} {condition.name}, {llvm_type(a)} {a.name}, {llvm_type(b)} {b.name}"
        return self.define(text, a.dtype, lanes, max(condition.level, a.level, b.level))

    def _rarely(self, condition: Expr, exact: Expr, common: Expr) -> Value:
        """Compute `exact` behind a branch that is taken where the condition holds in any lane."""
        flag, usual = self._emit(condition), self._emit(common)
        if flag.known is not None:
            return self._emit(exact) if flag.known else usual
        lanes = self.lanes if flag.step or usual.step else max(flag.lanes, usual.lanes)
        flag, usual = self.vector(flag, lanes), self.vector(usual, lanes)
        taken = flag
        if lanes > 1:
            name, kind = f"llvm.vector.reduce.or.v{lanes}i1", f"<{lanes} x i1>"
            self.declarations[f"declare i1 @{name}({kind})"] = None
            taken = self.define(f"call i1 @{name}({kind} {flag.name})", BOOL, 1, flag.level)
        outer, cache = self.scope, dict(self._cache)
        rare, done = self.fresh("rare"), self.fresh("done")
        inner = Scope(outer.level + 1, rare, guarded=True)
        self.scopes.append(inner)
        floor, self.floor = self.floor, inner.level
        chosen = self._select([flag, self.vector(self._emit(exact), lanes), usual], lanes)
        self.line(f"br label %{done}")
        self.scopes.pop()
        self.floor = floor
        self._cache = cache  # what is computed behind the branch is not there elsewhere
        result = Value(f"%{self.fresh('phi')}", usual.dtype, lanes, outer.level)
        ways = f"[{chosen.name}, %{inner.label}], [{usual.name}, %{outer.label}]"
        outer.lines += [f"  br i1 {taken.name}, label %{rare}, label %{done}", f"{rare}:", *inner.lines, f"{done}:"]
        outer.lines.append(f"  {result.name} = phi {llvm_type(result)} {ways}")
        outer.label = done
        return result

    def _convert(self, op: str, value: Value, dtype: DType) -> Value:
        lanes, source = value.lanes, value.dtype
        kind = vector_of(scalar_type(dtype), lanes)
        if op == "bitcast":
            return self.define(f"bitcast {llvm_type(value)} {value.name} to {kind}", dtype, lanes, value.level)
        if value.known is not None:
            return constant(dtype.type(value.known).item(), dtype)
        if dtype == BOOL and source != BOOL:
            zero = splat(number(0, source), source, lanes)
            return self.instruct(arithmetic("ne", source, lanes, [value.name, zero]), BOOL, lanes, value.level)
        instruction = conversion(source, dtype)
        if instruction is None:
            return Value(value.name, dtype, lanes, value.level)
        if source.kind == "f" and dtype.kind in "iu" and dtype.itemsize < 8 and dtype != np.dtype("int32"):
            # Through a wider signed integer, so that small and negative values wrap as they do in NumPy.
            wide = np.dtype("int64" if dtype.itemsize == 4 else "int32")
            return self._convert("cast", self._convert("cast", value, wide), dtype)
        result = self.define(f"{instruction} {llvm_type(value)} {value.name} to {kind}", dtype, lanes, value.level)
        if source.kind == "f" and dtype.kind in "iu":
            return self.define(f"freeze {kind} {result.name}", dtype, lanes, value.level)  # out of range is poison
        return result

    def _libm(self, name: str, args: Sequence[Value], dtype: DType, lanes: int) -> Value:
        """Call the C library for each lane."""
        if name not in LIBM and name != "fma":
            raise InternalError(f"codegen: no meaning for {name} on {args[0].dtype}")
        kind = scalar_type(dtype)
        symbol = f"@{name}{'f' if dtype.itemsize == 4 else ''}"
        self.declarations[f"declare {kind} {symbol}({', '.join([kind] * len(args))})"] = None
        level = max(a.level for a in args)
        if lanes == 1:
            return self.define(f"call {kind} {symbol}({', '.join(f'{kind} {a.name}' for a in args)})", dtype, 1, level)
        whole = Value("poison", dtype, lanes)
        for k in range(lanes):
            parts = [self.define(f"extractelement {llvm_type(a)} {a.name}, i64 {k}", dtype, 1, level) for a in args]
            one = self.define(f"call {kind} {symbol}({', '.join(f'{kind} {p.name}' for p in parts)})", dtype, 1, level)
            text = f"insertelement {vector_of(kind, lanes)} {whole.name}, {kind} {one.name}, i64 {k}"
            whole = self.define(text, dtype, lanes, level)
        return whole

    # Memory: see codegen/memory.py.

    @abstractmethod
    def _load(self, expr: Load) -> Value: ...

    def _guard_level(self) -> int:
        """Return the innermost scope that runs only under a condition: what may trap must not leave it."""
        return max((s.level for s in self.scopes if s.guarded), default=0)
