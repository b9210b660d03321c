"""The text of the loop IR: kernels as Python syntax that `kernel_from_text` reads back, functions and programs alike.

    def row_sum(x: f32[64, 32], y: f32[64]):
        for i in parallel(64):
            acc: register(f32[()])
            acc[()] = 0.0
            for j in vector(32):
                s0 = x[i, j] + 1.0
                acc[()] += s0 * s0
            t: f32 = acc[()] if i < 60 else 0.0
            y[i] = t

- Loops are `for` over range, parallel, vector or unroll; `acc: register(...)` is an Alloc, `t: f32 = ...` a Let; `+=`
  accumulates, `acc[i].max(...)` with an operation that Python has no sign for; `with block():` is a block in a block.
- A Load with a mask is `x[i] if mask else fill`.
- `s0 = ...` without a type is no statement of the IR but an abbreviation: what the following statement has twice, or
  what is too deep for one line.
- A bare number takes the dtype of the first operand that is not a bare number (of a stored value: that of the buffer),
  and is i64 where there is none; otherwise it is written f32(1.0). `cast(x, dtype=f32)` names the dtype of its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.loops import (
    CHOICES,
    COMPARISONS,
    Accumulate,
    Alloc,
    Apply,
    Block,
    Branch,
    Buffer,
    Call,
    Check,
    Clear,
    Const,
    Copy,
    Expr,
    For,
    Function,
    If,
    Kernel,
    Let,
    Load,
    LoopKind,
    Program,
    Repeat,
    Slot,
    Space,
    Step,
    Stmt,
    Store,
    Var,
    While,
    children,
    expressions,
    walk,
    walk_expressions,
)
from graphc.ir.syntax import Names, number_text, quoted, type_text
from graphc.ir.types import BOOL, DTYPE_NAMES, INT64

CONDITIONAL, COMPARISON, UNARY_SIGN, ATOM = 0, 1, 8, 9
"""How tightly expressions bind, binary signs between the second and the third."""

SIGNS = {
    "or": ("|", 2), "xor": ("^", 3), "and": ("&", 4), "shl": ("<<", 5), "shr": (">>", 5),
    "add": ("+", 6), "sub": ("-", 6), "mul": ("*", 7), "div": ("/", 7),
}  # fmt: skip
"""Binary operations with a sign, and how tightly it binds."""

COMPARED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
UNARY = {"neg": "-", "not": "~"}
LOOPS = {"range": LoopKind.SERIAL} | {k.value: k for k in LoopKind if k is not LoopKind.SERIAL}
LOOP_NAMES = {kind: name for name, kind in LOOPS.items()}

WIDE, DEEP = 90, 12
"""An expression longer or deeper than this is abbreviated."""


def result_dtype(op: str, args: Sequence[np.dtype[Any]]) -> np.dtype[Any] | None:
    """Return the dtype that a scalar operation has unless it says otherwise; None where it has to."""
    if op in COMPARISONS:
        return BOOL
    if op in ("cast", "bitcast") or not args:
        return None
    return args[1] if op in CHOICES and len(args) > 1 else args[0]


def leading_dtype(op: str, args: Sequence[np.dtype[Any] | None]) -> np.dtype[Any]:
    """Return the dtype of bare numbers among operands of these dtypes, None being that of a bare number.

    The condition of a select is not asked: there a bare number is bool.
    """
    return next((d for d in args[op in CHOICES :] if d is not None), INT64)


# Writing.


def kernel_text(kernel: Kernel) -> str:
    """Return a kernel as Python source that `kernel_from_text` reads.

    >>> from graphc.ir.types import TensorType
    >>> x, i = Buffer("x", TensorType(INT64, (3,))), Var("i")
    >>> print(kernel_text(Kernel("double", (x,), For(i, 3, Store(x, (i,), Apply("add", (i, i), INT64))))))
    def double(x: i64[3]):
        for i in range(3):
            x[i] = i + i
    """
    writer = _Writer()
    params = [writer.parameter(p) for p in kernel.params]
    writer.head(kernel.name, f"({', '.join(params)})")
    writer.block(kernel.body)
    return writer.text()


def function_text(function: Function) -> str:
    """Return a scalar function as Python source."""
    writer = _Writer()
    params = [f"{writer.name(p)}: {DTYPE_NAMES[p.dtype]}" for p in function.params]
    writer.head(function.name, f"({', '.join(params)}) -> {DTYPE_NAMES[function.dtype]}")
    (result,) = writer.expressions([function.result])
    writer.line(f"return {result}")
    return writer.text()


class _Writer:
    def __init__(self) -> None:
        self.names = Names(("range", "check", "block", *LOOPS, *[s.value for s in Space]))
        self.called: dict[Var | Buffer, str] = {}
        self.lines: list[str] = []
        self.indent = 1

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def head(self, name: str, signature: str) -> None:
        self.indent = 0
        plain = Names().take(name)
        if plain != name:
            self.line(f"@named({quoted(name)})")
        self.line(f"def {plain}{signature}:")
        self.indent = 1

    def name(self, thing: Var | Buffer) -> str:
        if thing not in self.called:
            self.called[thing] = self.names.take(thing.name)
        return self.called[thing]

    def release(self, things: Iterable[Var | Buffer]) -> None:
        for thing in things:
            self.names.release(self.called.pop(thing, ""))

    def parameter(self, buffer: Buffer) -> str:
        name, text = self.name(buffer), type_text(buffer.type)
        return f"{name}: {text}" if name == buffer.name else f"{name}: named({quoted(buffer.name)}, {text})"

    def block(self, stmt: Stmt) -> None:
        """Write the statements of a body; what they bring into being ends with them."""
        body = stmt.body if isinstance(stmt, Block) else (stmt,)
        if not body:
            self.line("pass")
        for part in body:
            self.statement(part)
        self.release([s.var if isinstance(s, Let) else s.buffer for s in body if isinstance(s, Let | Alloc)])

    def nested(self, head: str, body: Stmt) -> None:
        self.line(head)
        self.indent += 1
        self.block(body)
        self.indent -= 1

    def statement(self, stmt: Stmt) -> None:
        match stmt:
            case For(var, extent, body, kind):
                self.nested(f"for {self.name(var)} in {LOOP_NAMES[kind]}({extent}):", body)
                self.release([var])
            case Block():
                self.nested("with block():", stmt)
            case Alloc(buffer):
                self.line(f"{self.name(buffer)}: {buffer.space.value}({type_text(buffer.type)})")
            case _:
                self.simple(stmt)

    def simple(self, stmt: Stmt) -> None:
        texts = self.expressions(expressions(stmt), _stored_dtype(stmt))
        match stmt:
            case If(_, body):
                self.nested(f"if {texts[0]}:", body)
            case Let(var, _):
                self.line(f"{self.name(var)}: {DTYPE_NAMES[var.dtype]} = {texts[0]}")
            case Store(buffer, _, _):
                self.line(f"{self.element(buffer, texts[:-1])} = {texts[-1]}")
            case Accumulate(buffer, _, op, _):
                target = self.element(buffer, texts[:-1])
                self.line(f"{target} {SIGNS[op][0]}= {texts[-1]}" if op in SIGNS else f"{target}.{op}({texts[-1]})")
            case Check(_, site, _):
                self.line(f"check({texts[0]}, site={site}, value={texts[1]})")

    def element(self, buffer: Buffer, index: Sequence[str]) -> str:
        return f"{self.name(buffer)}[{', '.join(index) or '()'}]"

    def expressions(self, roots: Sequence[Expr], last: np.dtype[Any] | None = None) -> list[str]:
        """Return the text of expressions, after lines that abbreviate what they share."""
        uses: dict[int, int] = {}
        for expr in walk_expressions(roots):
            for part in children(expr):
                uses[id(part)] = uses.get(id(part), 0) + 1
        for root in roots:
            uses[id(root)] = uses.get(id(root), 0) + 1
        done: dict[int, tuple[str, int, int]] = {}  # text, how tightly it binds, depth
        made: list[str] = []
        for expr in postorder(roots):
            text, binds = self.one(expr, done)
            depth = 1 + max([done[id(c)][2] for c in children(expr)], default=0)
            is_shared = uses[id(expr)] > 1 and isinstance(expr, Load | Apply)
            if is_shared or len(text) > WIDE or depth > DEEP:
                made.append(self.names.take("s0" if not made else f"s{len(made)}"))
                self.line(f"{made[-1]} = {text}")
                text, binds, depth = made[-1], ATOM, 0
            done[id(expr)] = (text, binds, depth)
        for name in made:
            self.names.release(name)
        texts = [self.bare(e) if isinstance(e, Const) and e.dtype == INT64 else done[id(e)][0] for e in roots]
        if last is not None and isinstance(roots[-1], Const) and roots[-1].dtype == last:
            texts[-1] = self.bare(roots[-1])
        return texts

    def bare(self, number: Const) -> str:
        return number_text(number.value, number.dtype)

    def one(self, expr: Expr, done: Mapping[int, tuple[str, int, int]]) -> tuple[str, int]:
        match expr:
            case Var():
                return self.name(expr), ATOM
            case Const(_, dtype):
                return f"{DTYPE_NAMES[dtype]}({self.bare(expr)})", ATOM
            case Load():
                return self.load(expr, done)
        return self.apply(expr, done)

    def load(self, load: Load, done: Mapping[int, tuple[str, int, int]]) -> tuple[str, int]:
        index = [self.operand(i, INT64, CONDITIONAL, done) for i in load.index]
        text = self.element(load.buffer, index)
        if load.mask is None:
            return text, ATOM
        mask = self.operand(load.mask, BOOL, COMPARISON, done)
        fill = "None" if load.fill is None else self.operand(load.fill, load.dtype, COMPARISON, done)
        return f"{text} if {mask} else {fill}", CONDITIONAL

    def operand(
        self, expr: Expr, dtype: np.dtype[Any] | None, least: int, done: Mapping[int, tuple[str, int, int]]
    ) -> str:
        """Return the text of an operand where bare numbers have this dtype and looser signs need parentheses."""
        text, binds, _ = done[id(expr)]
        if isinstance(expr, Const) and dtype is not None and expr.dtype == dtype:
            text = self.bare(expr)
            binds = UNARY_SIGN if text.startswith("-") else ATOM
        return f"({text})" if binds < least else text

    def apply(self, expr: Apply, done: Mapping[int, tuple[str, int, int]]) -> tuple[str, int]:
        op, args = expr.op, expr.args
        dtype = _bare_dtype(op, args)
        if result_dtype(op, [a.dtype for a in args]) != expr.dtype:
            parts = [self.operand(a, dtype, CONDITIONAL, done) for a in args]
            return f"{op}({', '.join([*parts, f'dtype={DTYPE_NAMES[expr.dtype]}'])})", ATOM
        if len(args) == 2 and (op in SIGNS or op in COMPARED):
            sign, level = SIGNS.get(op) or (COMPARED[op], COMPARISON)
            left = self.operand(args[0], dtype, level + (op in COMPARED), done)
            return f"{left} {sign} {self.operand(args[1], dtype, level + 1, done)}", level
        if len(args) == 1 and op in UNARY and not isinstance(args[0], Const):
            return f"{UNARY[op]}{self.operand(args[0], dtype, UNARY_SIGN, done)}", UNARY_SIGN
        dtypes = [BOOL if op in CHOICES and k == 0 else dtype for k in range(len(args))]
        parts = [self.operand(a, d, CONDITIONAL, done) for a, d in zip(args, dtypes, strict=True)]
        return f"{op}({', '.join(parts)})", ATOM


def _bare_dtype(op: str, args: Sequence[Expr]) -> np.dtype[Any] | None:
    """Return the dtype in which constants among operands are bare numbers; None where all are written with theirs."""
    dtype = leading_dtype(op, [None if isinstance(a, Const) else a.dtype for a in args])
    constants = [a for a in args[op in CHOICES :] if isinstance(a, Const)]
    return dtype if all(c.dtype == dtype for c in constants) else None


def _stored_dtype(stmt: Stmt) -> np.dtype[Any] | None:
    return stmt.buffer.type.dtype if isinstance(stmt, Store | Accumulate) else None


def postorder(roots: Iterable[Expr]) -> list[Expr]:
    """Return all expressions in `roots`, parts first, shared ones once."""
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(list(roots))]
    while stack:
        expr, is_ready = stack.pop()
        if is_ready:
            order.append(expr)
        elif id(expr) not in seen:
            seen.add(id(expr))
            stack.append((expr, True))
            stack.extend([(c, False) for c in reversed(children(expr))])
    return order


# Programs.


def program_text(program: Program) -> str:
    """Return a program as Python source: the functions that its kernels use, its kernels, and the steps of one call."""
    parts = [function_text(f) for f in _used_functions(program)]
    parts += [kernel_text(k) for k in program.kernels]
    groups = {"input": program.inputs, "output": program.outputs, "state": program.state}
    comments = [f"    # {name}{k}: {t}" for name, types in groups.items() for k, t in enumerate(types)]
    comments += [f"    # constant{k}: {DTYPE_NAMES[c.dtype]}{list(c.shape)}" for k, c in enumerate(program.constants)]
    head = [f"def {Names().take(program.name)}():", *comments, f"    # arena: {program.arena_bytes} bytes"]
    return "\n".join([*parts, "\n".join([*head, *_steps(program.steps, 0)]) + "\n"])


def _used_functions(program: Program) -> list[Function]:
    """Return the functions that kernels use, those that they use themselves first."""
    found: dict[tuple[str, np.dtype[Any]], Function] = {}
    waiting = [e for k in program.kernels for s in walk(k.body) for e in expressions(s)]
    while waiting:
        more: list[Expr] = []
        for expr in walk_expressions(waiting):
            if not isinstance(expr, Apply) or not expr.args:
                continue
            key = (expr.op, expr.args[0].dtype)
            if key in program.functions and key not in found:
                found[key] = program.functions[key]
                more.append(found[key].result)
        waiting = more
    return list(reversed(found.values()))


def _steps(steps: Sequence[Step], loops: int) -> list[str]:
    """Return the lines of steps inside so many loops that count."""
    lines: list[str] = []
    for step in steps:
        match step:
            case Call(kernel, args, _, threads):
                parts = [*map(_slot_text, args), *([f"threads={threads}"] if threads > 1 else [])]
                lines.append(f"{kernel.name}({', '.join(parts)})")
            case Copy(source, target, nbytes):
                lines.append(f"copy({_slot_text(target)}, {_slot_text(source)}, {nbytes})")
            case Clear(target, nbytes):
                lines.append(f"clear({_slot_text(target)}, {nbytes})")
            case Repeat(extent, inner, reverse, count):
                bound = str(extent) if count is None else f"load({_slot_text(count)})"
                order = f"reversed(range({bound}))" if reverse else f"range({bound})"
                lines += [f"for i{loops} in {order}:", *_steps(inner, loops + 1)]
            case While(test, flag, inner, count, most):
                limit = "" if most is None else f"  # at most {most} times"
                lines += [f"while True:{limit}", *_steps(test, loops)]
                lines += [f"    if not load({_slot_text(flag)}):", "        break", *_steps(inner, loops)]
                lines += [f"store({_slot_text(count)}, the number of steps)"]
            case Branch(flag, on_true, on_false):
                lines += [f"if load({_slot_text(flag)}):", *_steps(on_true, loops)]
                lines += ["else:", *_steps(on_false, loops)]
    return ["    " + line for line in lines or ["pass"]]


def _slot_text(slot: Slot) -> str:
    text = slot.region.value + ("" if slot.region.value == "arena" else str(slot.index))
    if slot.offset:
        text += f" + {slot.offset}"
    return text + "".join([f" + {stride} * i{k}" for k, stride in enumerate(slot.strides) if stride])
