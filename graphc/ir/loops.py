"""The loop IR: kernels over flat memory, as small as it can be while a GEMM can still be written in it.

What a kernel means:

- `Expr` has no side effect. `Apply` names a scalar operation: one of PRIMITIVES, or a `Function` of the program.
  Integer arithmetic wraps; shifts take 0 <= amount < bits; float -> int casts of NaN or out-of-range values give some
  int and nothing worse; min and max return NaN if either operand is NaN. No float operation is contracted.
- `Apply("rarely", (condition, exact, common))` means select(condition, exact, common). Code computes `exact` only where
  the condition holds for something, so it must be rare.
- `Load(buffer, index)` reads the element at a multi-index, within bounds. With `mask`, it reads only where mask is true
  and is `fill` elsewhere; the index may then be outside.
- Statements run in order. `Let` names a value until the end of its block. `For` runs its body for var = 0 .. extent-1,
  in order unless its kind says otherwise:
      SERIAL    in order
      UNROLL    in order, repeated in the code with var a constant
      VECTOR    in any order, several at a time; no iteration reads what another wrote, except through Accumulate
      PARALLEL  in any order, on any thread; iterations write disjoint cache lines or at least disjoint elements
- `Accumulate(buffer, index, op, value)` is buffer[index] = op(buffer[index], value). In a VECTOR loop whose variable
  the index does not mention it is a reduction: the order of combination is fixed but not specified, and an add of a
  product is fused (one rounding).
- `Check(ok, site, value)` ends the kernel with a failure at `site` carrying the integer `value` where ok is false.
- A `Buffer` is row-major. Two ARGUMENT buffers of a kernel overlap only if they are the same pointer and every element
  is read before it is written, and read by the same iteration of every PARALLEL or VECTOR loop that writes it. REGISTER
  buffers are tiles of machine registers: indices are constants after unrolling, but for one that may be a VECTOR loop's
  variable plus a constant: the last, or in a Load any one. Reading across the rows so, a vector from each of n rows,
  costs log2(n) shuffles a vector if all columns are read.
- Bool is a byte, 0 or 1, in memory.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.errors import InternalError
from graphc.ir.types import BOOL, INT64, TensorType

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
PRIMITIVES = frozenset(
    (
        *COMPARISONS,
        "add", "sub", "mul", "div", "neg", "abs", "min", "max",      # div: floats only
        "quot", "rem",                                               # integers, toward zero; divisor not 0 nor MIN/-1
        "fma", "sqrt", "floor", "ceil", "trunc", "rint", "copysign",  # floats
        "and", "or", "xor", "not", "shl", "shr",                     # integers and bool; shr is arithmetic if signed
        "select", "rarely", "cast", "bitcast",
    )
)  # fmt: skip
"""Scalar operations that code generation emits as instructions. cast and bitcast convert to the dtype of the Apply."""

CHOICES = ("select", "rarely")
"""Scalar operations of a condition and two values of one dtype."""

LIBM = frozenset(
    (
        "pow", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh",
        "exp2", "log2", "log10", "log1p", "expm1", "cbrt", "hypot", "erf", "erfc", "tgamma", "lgamma", "fmod",
        "nextafter", "exp", "log", "tanh",
    )
)  # fmt: skip
"""Scalar operations that fall back to the C library, one element at a time, where no Function is given."""


CHEAP = frozenset(
    ("add", "sub", "mul", "neg", "abs", "max", "min", "select", "cast", "identity", "index", "lt", "le", "gt", "ge",
     "eq", "ne", "and", "or", "xor", "not", "relu")
)  # fmt: skip
"""Scalar operations that cost about as much as a load."""


@dataclass(frozen=True, eq=False, slots=True)
class Var:
    """A loop variable (i64) or the name of a Let. Compared by identity; the name is for people."""

    name: str
    dtype: np.dtype[Any] = INT64


@dataclass(frozen=True, slots=True)
class Const:
    """A number; bit patterns of NaN are not kept."""

    value: Any
    dtype: np.dtype[Any] = INT64


@dataclass(frozen=True, eq=False, slots=True)
class Load:
    """The element of `buffer` at `index`; where `mask` is given and false, `fill`."""

    buffer: Buffer
    index: tuple[Expr, ...]
    mask: Expr | None = None
    fill: Expr | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.buffer.type.dtype


@dataclass(frozen=True, eq=False, slots=True)
class Apply:
    """A scalar operation on arguments; `dtype` is that of the result."""

    op: str
    args: tuple[Expr, ...]
    dtype: np.dtype[Any]


Expr = Var | Const | Load | Apply


class Space(enum.Enum):
    """Where a buffer lives."""

    ARGUMENT = "argument"
    STACK = "stack"
    REGISTER = "register"


@dataclass(frozen=True, eq=False, slots=True)
class Buffer:
    """A row-major array of static shape. Compared by identity; the name is for people."""

    name: str
    type: TensorType
    space: Space = Space.ARGUMENT

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape  # type: ignore[return-value]

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements between neighbours along each axis."""
        strides = [1]
        for extent in reversed(self.shape[1:]):
            strides.append(strides[-1] * extent)
        return tuple(reversed(strides))[: len(self.shape)] if self.shape else ()


class LoopKind(enum.Enum):
    """What is promised about the iterations of a loop."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    VECTOR = "vector"
    UNROLL = "unroll"


SERIAL, PARALLEL, VECTOR, UNROLL = LoopKind


@dataclass(frozen=True, eq=False, slots=True)
class For:
    var: Var
    extent: int
    body: Stmt
    kind: LoopKind = SERIAL


@dataclass(frozen=True, eq=False, slots=True)
class Let:
    var: Var
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Store:
    buffer: Buffer
    index: tuple[Expr, ...]
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Accumulate:
    buffer: Buffer
    index: tuple[Expr, ...]
    op: str
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Alloc:
    """Bring a STACK or REGISTER buffer into being, its contents undefined, until the end of the block."""

    buffer: Buffer


@dataclass(frozen=True, eq=False, slots=True)
class If:
    condition: Expr
    body: Stmt


@dataclass(frozen=True, eq=False, slots=True)
class Check:
    ok: Expr
    site: int
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    body: tuple[Stmt, ...]


Stmt = For | Let | Store | Accumulate | Alloc | If | Check | Block


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """A scalar function that Apply can name: `result` in terms of `params`, inlined where it is used."""

    name: str
    params: tuple[Var, ...]
    result: Expr

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.result.dtype


@dataclass(frozen=True, eq=False)
class Kernel:
    """A loop nest over buffers passed as pointers, in the order of `params`."""

    name: str
    params: tuple[Buffer, ...]
    body: Stmt

    @property
    def ways(self) -> int | None:
        """The iterations that may be shared out, if the kernel is one PARALLEL loop: its code takes a range of them."""
        return self.body.extent if isinstance(self.body, For) and self.body.kind is PARALLEL else None


class Region(enum.Enum):
    """Whose memory an argument of a kernel call lies in."""

    INPUT = "input"
    OUTPUT = "output"
    STATE = "state"
    CONSTANT = "constant"
    ARENA = "arena"


@dataclass(frozen=True, slots=True)
class Slot:
    """An address: `index` of input, output, state or constant (0 for the arena) plus a byte offset.

    `strides` adds bytes * iteration for each enclosing Repeat, outermost first; a While has no iterations to count by.
    """

    region: Region
    index: int
    offset: int = 0
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """Run a kernel on memory. `sites` translates the kernel's Check sites to the program's.

    `threads` is the most threads that pay for a kernel that takes a range, `nanoseconds` an estimate for one.
    """

    kernel: Kernel
    args: tuple[Slot, ...]
    sites: tuple[int, ...] = ()
    threads: int = 1
    nanoseconds: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Copy:
    """Copy `nbytes` from source to target, which do not overlap."""

    source: Slot
    target: Slot
    nbytes: int


@dataclass(frozen=True, eq=False, slots=True)
class Clear:
    """Set `nbytes` from target on to zero."""

    target: Slot
    nbytes: int


@dataclass(frozen=True, eq=False, slots=True)
class Repeat:
    """Run `steps` `extent` times; their Slots have one stride more than this step's surroundings.

    With `reverse`, the iterations count down. With `count`, there are as many as the i64 that lies there says: none
    below 0, and a failure at `site`, carrying it, above `extent`.
    """

    extent: int
    steps: tuple[Step, ...]
    reverse: bool = False
    count: Slot | None = None
    site: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class While:
    """Run `test`, and as long as the bool at `flag` then holds, `steps` and `test` again.

    How often the steps ran goes to `count`, an i64. Where they were to run more than `most` times there is a failure at
    `site`.
    """

    test: tuple[Step, ...]
    flag: Slot
    steps: tuple[Step, ...]
    count: Slot
    most: int | None = None
    site: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Branch:
    """Run one of two rows of steps, as the bool at `flag` says."""

    flag: Slot
    on_true: tuple[Step, ...]
    on_false: tuple[Step, ...]


Step = Call | Copy | Clear | Repeat | While | Branch


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """Everything one call runs. Kernels appear once however often they are called."""

    name: str
    kernels: tuple[Kernel, ...]
    steps: tuple[Step, ...]
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    state: tuple[TensorType, ...]
    constants: tuple[np.ndarray[Any, Any], ...]
    arena_bytes: int
    functions: Mapping[tuple[str, np.dtype[Any]], Function] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """What the entry point is called in machine code: nothing else has such a name, whatever users call it."""
        return f"program.{self.name}"


def leaf_steps(steps: Iterable[Step]) -> Iterator[Call | Copy | Clear]:
    """Yield what steps are made of, in order."""
    for step in steps:
        match step:
            case Repeat():
                yield from leaf_steps(step.steps)
            case While():
                yield from leaf_steps((*step.test, *step.steps))
            case Branch():
                yield from leaf_steps((*step.on_true, *step.on_false))
            case _:
                yield step


def const(value: Any, dtype: np.dtype[Any] = INT64) -> Const:
    return Const(dtype.type(value).item(), dtype)


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct parts of an expression."""
    if isinstance(expr, Apply):
        return expr.args
    if isinstance(expr, Load):
        return expr.index + tuple(e for e in (expr.mask, expr.fill) if e is not None)
    return ()


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """Return the expressions directly in a statement."""
    match stmt:
        case Let(_, value):
            return (value,)
        case Store(_, index, value):
            return (*index, value)
        case Accumulate(_, index, _, value):
            return (*index, value)
        case If(condition, _):
            return (condition,)
        case Check(ok, _, value):
            return (ok, value)
    return ()


def substatements(stmt: Stmt) -> tuple[Stmt, ...]:
    """Return the statements directly in a statement."""
    match stmt:
        case For(_, _, body, _) | If(_, body):
            return (body,)
        case Block(body):
            return body
    return ()


def walk(stmt: Stmt) -> Iterator[Stmt]:
    """Yield a statement and all statements in it, outside first."""
    stack = [stmt]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(substatements(current)))


def walk_expressions(exprs: Iterable[Expr]) -> Iterator[Expr]:
    """Yield every expression in `exprs`, shared ones once."""
    seen: set[int] = set()
    stack = list(exprs)
    while stack:
        expr = stack.pop()
        if id(expr) in seen:
            continue
        seen.add(id(expr))
        yield expr
        stack.extend(children(expr))


# Integer expressions for indices, folded as they are built.


def add(a: Expr, b: Expr) -> Expr:
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value + b.value)
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(b, Const) and b.value == 0:
        return a
    return Apply("add", (a, b), INT64)


def mul(a: Expr, b: Expr) -> Expr:
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value * b.value)
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(b, Const) and b.value in (0, 1):
        return a if b.value == 1 else b
    return Apply("mul", (a, b), INT64)


def linear(terms: Iterable[tuple[Expr, int]], offset: int = 0) -> Expr:
    """Return offset + sum of expr * factor."""
    result: Expr = Const(0)
    for expr, factor in terms:
        result = add(result, mul(expr, Const(factor)))
    return add(result, Const(offset))


def apply(op: str, *args: Expr) -> Apply:
    """Return a scalar operation whose dtype follows from the op and its first data argument."""
    if op in ("cast", "bitcast"):
        raise InternalError("cast needs a dtype: build Apply directly")
    if op in COMPARISONS:
        return Apply(op, args, BOOL)
    return Apply(op, args, args[1].dtype if op in CHOICES else args[0].dtype)


def block(*stmts: Stmt) -> Stmt:
    """Return statements in a row, flattened; a single one as itself."""
    flat: list[Stmt] = []
    for stmt in stmts:
        flat.extend(stmt.body if isinstance(stmt, Block) else (stmt,))
    return flat[0] if len(flat) == 1 else Block(tuple(flat))
