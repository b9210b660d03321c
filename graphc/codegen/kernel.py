"""A kernel to an LLVM function: statements, loops, lanes and register tiles, in final form.

The code is emitted as it shall run: loops with their phis, VECTOR loops as vectors with a masked tail, register tiles
as SSA values. No LLVM optimisation pass is needed after it, only instruction selection.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

from graphc.codegen.expressions import Scope
from graphc.codegen.facts import LoopFacts, base_lanes, loop_facts
from graphc.codegen.memory import MemoryEmitter
from graphc.codegen.values import (
    DType,
    Value,
    constant,
    identity,
    llvm_type,
    memory_type,
    number,
    scalar_type,
)
from graphc.ir.loops import (
    UNROLL,
    VECTOR,
    Accumulate,
    Alloc,
    Apply,
    Block,
    Buffer,
    Check,
    For,
    Function,
    If,
    Kernel,
    Let,
    Space,
    Stmt,
    Store,
    walk,
)
from graphc.ir.types import BOOL, INT64
from graphc.target import Target

STRAIGHT_CHUNKS = 4
"""A VECTOR loop of at most this many vectors becomes straight code."""

REDUCTION_PARTIALS = 4
"""Vector accumulators of a reduction: enough independent additions to hide their latency."""


def emit_kernel(
    kernel: Kernel, symbol: str, target: Target, functions: Mapping[tuple[str, DType], Function]
) -> tuple[list[str], Iterable[str]]:
    """Return the lines of the function `symbol` and the declarations it needs.

    i32 symbol(ptr param..., ptr failure): 0, or 1 after storing the failed site and its value at failure. A kernel
    that is one PARALLEL loop takes the range of iterations to run, which is not empty, before failure: i64, i64.
    """
    emitter = _KernelEmitter(kernel, target, functions)
    body = kernel.body
    bounds = []
    if kernel.ways is None:
        emitter.statement(body)
    else:
        assert isinstance(body, For)
        bounds = ["i64 %begin", "i64 %end"]
        emitter.share(body)
    emitter.line("ret i32 0")
    params = ", ".join(["ptr " + emitter.pointers[b] for b in kernel.params] + bounds + ["ptr %failure"])
    head = [f"define internal i32 {symbol}({params}) nounwind {{", "entry:"]
    return [*head, *emitter.allocas, *emitter.scopes[0].lines, "}"], emitter.declarations


class _KernelEmitter(MemoryEmitter):
    def __init__(self, kernel: Kernel, target: Target, functions: Mapping[tuple[str, DType], Function]) -> None:
        super().__init__(functions, target)
        self.full_lanes = base_lanes(kernel, target)
        self.allocas: list[str] = []
        self.pointers = {buffer: f"%p{k}" for k, buffer in enumerate(kernel.params)}
        self.written = {s.buffer for s in walk(kernel.body) if isinstance(s, Store | Accumulate)}
        # Which copy of a reduction's accumulators the current part of an unrolled VECTOR loop adds to.
        self.partial = 0
        self.reductions: Mapping[Buffer, str] = {}
        self._facts: dict[For, LoopFacts] = {}

    def statement(self, stmt: Stmt) -> None:
        match stmt:
            case Block(body):
                for part in body:
                    self.statement(part)
            case Let(var, value):
                self.env[var] = self.emit(value)
            case For():
                self._for(stmt)
            case Store():
                self._store(stmt)
            case Accumulate():
                self._accumulate(stmt)
            case Alloc(buffer):
                self._alloc(buffer)
            case If():
                self._if(stmt)
            case Check():
                self._check(stmt)

    # Loops.

    def _for(self, stmt: For) -> None:
        if stmt.kind is VECTOR and self.lanes == 1:
            self._vector_loop(stmt)
        elif stmt.kind is UNROLL:
            for k in range(stmt.extent):
                self.env[stmt.var] = constant(k, INT64)
                self.statement(stmt.body)
        else:
            self._loop(stmt.extent, stmt.body, lambda k: self._iteration(stmt, k))

    def share(self, stmt: For) -> None:
        """Emit a loop over the range of iterations that the caller gives."""
        self._loop(None, stmt.body, lambda k: self._iteration(stmt, k))

    def _iteration(self, stmt: For, k: Value) -> None:
        self.env[stmt.var] = k
        self.statement(stmt.body)

    def _loop(self, count: int | None, body: Stmt, run: Callable[[Value], None]) -> None:
        """Emit run(k) for k in 0 .. count-1 as a loop, by default for the range given by the caller; `body` tells which
        register tiles it changes."""
        if count == 1:
            run(constant(0, INT64))
            return
        outer = self.scope
        label, end = self.fresh("loop"), self.fresh("end")
        inner = Scope(outer.level + 1, label)
        self.scopes.append(inner)
        changed = {s.buffer for s in walk(body) if isinstance(s, Store | Accumulate)}
        changed -= {s.buffer for s in walk(body) if isinstance(s, Alloc)}
        carried = {key: value for key, value in self.slots.items() if key[0] in changed}
        phis = {key: self._phi(value, inner.level) for key, value in carried.items()}
        self.slots.update(phis)
        k = Value(f"%{self.fresh('i')}", INT64, 1, inner.level)
        run(k)
        following = self.fresh("n")
        self.line(f"%{following} = add nuw nsw i64 {k.name}, 1")
        first, bound = ("%begin", "%end") if count is None else ("0", str(count))
        more = self.define_here(f"icmp ult i64 %{following}, {bound}", BOOL, 1)
        self.line(f"br i1 {more.name}, label %{label}, label %{end}")
        self.scopes.pop()
        outer.lines.append(f"  br label %{label}")
        outer.lines.append(f"{label}:")
        outer.lines.append(f"  {k.name} = phi i64 [{first}, %{outer.label}], [%{following}, %{inner.label}]")
        for key, phi in phis.items():
            before, after = carried[key], self.slots[key]
            kind = llvm_type(before)
            text = f"phi {kind} [{before.name}, %{outer.label}], [{after.name}, %{inner.label}]"
            outer.lines.append(f"  {phi.name} = {text}")
        outer.lines.extend(inner.lines)
        outer.lines.append(f"{end}:")
        outer.label = end
        self._lower_slots(outer.level)

    def _phi(self, value: Value, level: int) -> Value:
        return Value(f"%{self.fresh('phi')}", value.dtype, value.lanes, level)

    def _lower_slots(self, level: int) -> None:
        """Values left in registers by a closed scope belong to the one around it."""
        for key, value in self.slots.items():
            if value.level > level:
                self.slots[key] = Value(value.name, value.dtype, value.lanes, level)

    def _vector_loop(self, stmt: For) -> None:
        facts = self._facts.get(stmt)
        if facts is None:
            facts = self._facts[stmt] = loop_facts(stmt, self.functions)
        lanes = min(self.full_lanes, 1 << max(0, stmt.extent - 1).bit_length())
        full, tail = divmod(stmt.extent, lanes)
        reductions = facts.reductions
        chunks = full + bool(tail)
        straight = facts.uses_tile or chunks <= STRAIGHT_CHUNKS
        parts = 2 if facts.is_small else 1
        if reductions:
            parts = min(REDUCTION_PARTIALS if facts.is_small else 2, chunks)

        outer_reductions, self.reductions = self.reductions, reductions
        self.lanes = lanes
        self._open_partials(reductions, parts)
        start = 0
        if not straight and full // parts > 1:
            self._loop(full // parts, stmt.body, lambda k: self._chunks(stmt, k, parts))
            start = full // parts * parts
        for chunk in range(start, chunks):
            self._chunk(stmt, constant(chunk * lanes, INT64), chunk % parts, tail if chunk == full else lanes)
        self._close_partials(reductions, parts)
        self.lanes = 1
        self.reductions = outer_reductions

    def _chunks(self, stmt: For, k: Value, parts: int) -> None:
        """Emit `parts` vectors in a row, from element k * parts * lanes."""
        start = self.apply("mul", [k, constant(parts * self.lanes, INT64)], INT64)
        for part in range(parts):
            offset = self.apply("add", [start, constant(part * self.lanes, INT64)], INT64)
            self._chunk(stmt, offset, part, self.lanes)

    def _chunk(self, stmt: For, start: Value, partial: int, active: int) -> None:
        """Emit the body for one vector of iterations from `start`, the first `active` lanes of it."""
        self.partial = partial
        self.active = active
        self.tail = self.tail_mask(active, self.lanes) if active < self.lanes else None
        self.env[stmt.var] = (
            Value(start.name, INT64, 1, start.level, step=1, known=start.known) if self.lanes > 1 else start
        )
        self.statement(stmt.body)
        self.tail = None

    # Reductions in VECTOR loops: vectors of partial results, folded in a fixed order at the end.

    def _open_partials(self, reductions: Mapping[Buffer, str], parts: int) -> None:
        for buffer, op in reductions.items():
            start = self.vector(constant(identity(op, buffer.type.dtype), buffer.type.dtype), self.lanes)
            for index, part in itertools.product(_indices(buffer), range(parts)):
                self.slots[buffer, (*index, part), -1] = start

    def _close_partials(self, reductions: Mapping[Buffer, str], parts: int) -> None:
        for buffer, op in reductions.items():
            dtype = buffer.type.dtype
            for index in _indices(buffer):
                values = [self.slots.pop((buffer, (*index, part), -1)) for part in range(parts)]
                while len(values) > 1:
                    half = (len(values) + 1) // 2
                    folded = [self._fold(op, a, b, dtype) for a, b in zip(values, values[half:], strict=False)]
                    values = folded + values[len(folded) : half]
                total = self._across(op, values[0])
                before = self.slots[buffer, index, 1]
                self.slots[buffer, index, 1] = self._fold(op, before, total, dtype)

    def _fold(self, op: str, a: Value, b: Value, dtype: DType) -> Value:
        return self.apply(op, [a, b], dtype)

    def _across(self, op: str, value: Value) -> Value:
        """Fold the lanes of a vector: halves onto halves."""
        dtype, kind = value.dtype, scalar_type(value.dtype)
        while value.lanes > 1:
            half = value.lanes // 2
            sides = []
            for start in (0, half):
                order = ", ".join(f"i32 {start + k}" for k in range(half))
                whole = llvm_type(value)
                text = f"shufflevector {whole} {value.name}, {whole} poison, <{half} x i32> <{order}>"
                side = self.define(text, dtype, half, value.level)
                if half == 1:
                    side = self.define(f"extractelement <1 x {kind}> {side.name}, i64 0", dtype, 1, value.level)
                sides.append(side)
            value = self._fold(op, sides[0], sides[1], dtype)
        return value

    # Memory.

    def _alloc(self, buffer: Buffer) -> None:
        if buffer.space is Space.REGISTER:
            for key in [k for k in self.slots if k[0] is buffer]:
                del self.slots[key]
            if self.lanes > 1:
                self.lane_registers.add(buffer)
            return
        count = 1
        for extent in buffer.shape:
            count *= extent
        name = f"%{self.fresh('stack')}"
        self.allocas.append(f"  {name} = alloca [{count} x {memory_type(buffer.type.dtype)}], align 64")
        self.pointers[buffer] = name

    def _store(self, stmt: Store) -> None:
        value = self.emit(stmt.value)
        if value.step:
            value = self.vector(value, self.lanes)
        if stmt.buffer.space is Space.REGISTER:
            key = self.slot_key(stmt.buffer, stmt.index)
            value = self.vector(value, self.lanes if stmt.buffer in self.lane_registers else key[2])
            self.slots[key] = self._conditional(value, self.slots.get(key))
            return
        self.write(stmt.buffer, self.flat_index(stmt.buffer, stmt.index), value)

    def _conditional(self, value: Value, before: Value | None) -> Value:
        """Keep the old value of a register in lanes that a condition excludes; lanes beyond the end do not matter."""
        if self.condition is None or before is None:
            return value
        return self.apply("select", [self.condition, value, before], value.dtype)

    def _accumulate(self, stmt: Accumulate) -> None:
        buffer, dtype = stmt.buffer, stmt.buffer.type.dtype
        if buffer.space is not Space.REGISTER:
            value = self.emit(stmt.value)
            flat = self.flat_index(buffer, stmt.index)
            self.write(buffer, flat, self.apply(stmt.op, [self._plain_load(buffer, flat), value], dtype))
            return
        if buffer in self.reductions:
            index = tuple(self.emit(i).known for i in stmt.index)
            key = (buffer, (*index, self.partial), -1)
        else:
            key = self.slot_key(buffer, stmt.index)
        before = self.slots[key]
        after = self._combined(stmt, before, dtype)
        mask = self.mask if key[2] == -1 else self.condition
        if mask is not None:
            after = self.apply("select", [mask, after, before], dtype)
        self.slots[key] = after

    def _combined(self, stmt: Accumulate, before: Value, dtype: DType) -> Value:
        """Return op(before, value); an add of a product rounds once."""
        value = stmt.value
        is_product = isinstance(value, Apply) and value.op == "mul" and dtype.kind == "f"
        if stmt.op == "add" and is_product and self.has_fma:
            assert isinstance(value, Apply)
            self._cache = {}
            a, b = (self._emit(arg) for arg in value.args)
            return self.apply("fma", [a, b, before], dtype)
        return self.apply(stmt.op, [before, self.emit(value)], dtype)

    # Conditions.

    def _if(self, stmt: If) -> None:
        condition = self.emit(stmt.condition)
        if condition.known is not None:
            if condition.known:
                self.statement(stmt.body)
            return
        if condition.lanes > 1:
            outer = self.condition
            self.condition = condition if outer is None else self.apply("and", [outer, condition], BOOL)
            self.statement(stmt.body)
            self.condition = outer
            return
        outer_scope = self.scope
        then, done = self.fresh("then"), self.fresh("done")
        before = dict(self.slots)
        inner = Scope(outer_scope.level + 1, then, guarded=True)
        self.scopes.append(inner)
        self.statement(stmt.body)
        self.line(f"br label %{done}")
        self.scopes.pop()
        outer_scope.lines.append(f"  br i1 {condition.name}, label %{then}, label %{done}")
        outer_scope.lines.append(f"{then}:")
        outer_scope.lines.extend(inner.lines)
        outer_scope.lines.append(f"{done}:")
        for key, old in before.items():
            new = self.slots.get(key, old)
            if new is not old:
                phi = self._phi(old, outer_scope.level)
                text = f"phi {llvm_type(old)} [{new.name}, %{inner.label}], [{old.name}, %{outer_scope.label}]"
                outer_scope.lines.append(f"  {phi.name} = {text}")
                self.slots[key] = phi
        outer_scope.label = done
        self._lower_slots(outer_scope.level)

    def _check(self, stmt: Check) -> None:
        """Check where the operands are known: what a passed check makes safe may be defined as far out, after it."""
        ok, value = self.emit(stmt.ok), self.emit(stmt.value)
        if ok.known is True:
            return
        bad = self.apply("not", [ok], BOOL)
        mask = self.mask
        if bad.lanes > 1 and mask is not None:
            bad = self.apply("and", [bad, mask], BOOL)
        level = max(bad.level, value.level, self._guard_level())
        if f"check {bad.name}" in self.scopes[level].memo:
            return
        inner = self.scopes[level + 1 :]
        del self.scopes[level + 1 :]
        self._check_here(stmt.site, bad, value)
        self.scope.memo[f"check {bad.name}"] = bad
        self.scopes.extend(inner)

    def _check_here(self, site: int, bad: Value, value: Value) -> None:
        proceed, fail = self.fresh("ok"), self.fresh("fail")
        lanes = bad.lanes
        if lanes == 1:
            self.line(f"br i1 {bad.name}, label %{fail}, label %{proceed}")
            self._block(fail)
            bad_value = value.name
        else:
            kind = f"<{lanes} x i1>"
            self.declarations[f"declare i1 @llvm.vector.reduce.or.v{lanes}i1({kind})"] = None
            any_bad = self.define_here(f"call i1 @llvm.vector.reduce.or.v{lanes}i1({kind} {bad.name})", BOOL, 1)
            value = self.vector(value, lanes)
            self.line(f"br i1 {any_bad.name}, label %{fail}, label %{proceed}")
            self._block(fail)
            bits = self.fresh("bits")
            self.line(f"%{bits} = bitcast {kind} {bad.name} to i{lanes}")
            self.declarations[f"declare i{lanes} @llvm.cttz.i{lanes}(i{lanes}, i1)"] = None
            self.line(f"%{bits}.first = call i{lanes} @llvm.cttz.i{lanes}(i{lanes} %{bits}, i1 true)")
            self.line(f"%{bits}.value = extractelement {llvm_type(value)} {value.name}, i{lanes} %{bits}.first")
            bad_value = f"%{bits}.value"
        self.line(f"store i64 {number(site, INT64)}, ptr %failure")
        second = self.fresh("place")
        self.line(f"%{second} = getelementptr i64, ptr %failure, i64 1")
        self.line(f"store i64 {bad_value}, ptr %{second}")
        self.line("ret i32 1")
        self._block(proceed)

    def _block(self, label: str) -> None:
        self.scope.lines.append(f"{label}:")
        self.scope.label = label


def _indices(buffer: Buffer) -> Iterable[tuple[int, ...]]:
    return itertools.product(*(range(n) for n in buffer.shape))
