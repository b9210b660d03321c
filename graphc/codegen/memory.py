"""Loads and stores: addresses, registers of tiles, their columns, contiguous, strided and masked access."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphc.codegen.expressions import SlotKey
from graphc.codegen.shuffles import BYTE, ShuffleEmitter
from graphc.codegen.values import DType, Value, arithmetic, constant, llvm_type, mangled, memory_type, splat, vector_of
from graphc.errors import InternalError
from graphc.ir.loops import Buffer, Expr, Load, Space, linear
from graphc.ir.types import BOOL, INT64

MOST_STRIDE = 8
"""Greatest distance of elements that are read by rows and shuffles, instead of one by one."""


class MemoryEmitter(ShuffleEmitter):
    """Expressions with memory behind them."""

    # Addresses and loads.

    def flat_index(self, buffer: Buffer, index: Sequence[Expr]) -> Value:
        return self._emit(linear(zip(index, buffer.strides, strict=True)))

    def address(self, buffer: Buffer, flat: Value) -> Value:
        kind = memory_type(buffer.type.dtype)
        pointer = self.pointers[buffer]
        text = f"getelementptr {kind}, ptr {pointer}, i64 {flat.name}"
        return self.define(text, INT64, 1, flat.level)

    def addresses(self, buffer: Buffer, flat: Value) -> Value:
        """Return a vector of addresses."""
        flat = self.vector(flat, self.lanes)
        kind, pointer = memory_type(buffer.type.dtype), self.pointers[buffer]
        text = f"getelementptr {kind}, ptr {pointer}, {llvm_type(flat)} {flat.name}"
        return self.define(text, INT64, flat.lanes, flat.level)

    def slot_key(self, buffer: Buffer, index: Sequence[Expr]) -> SlotKey:
        """Return which register of a tile an index means."""
        return self._key(buffer, [self._emit(i) for i in index])

    def _key(self, buffer: Buffer, index: Sequence[Value]) -> SlotKey:
        lanes = 1
        starts = []
        for k, value in enumerate(index):
            if value.step:
                if value.step != 1 or k != len(index) - 1:
                    raise InternalError(f"codegen: register tile {buffer.name} is indexed across its rows")
                lanes = self.lanes
            if value.known is None:
                raise InternalError(f"codegen: register tile {buffer.name} needs constant indices")
            starts.append(value.known)
        return buffer, tuple(starts), lanes

    def _load(self, expr: Load) -> Value:
        buffer = expr.buffer
        if buffer.space is Space.REGISTER:
            return self._register(buffer, [self._emit(i) for i in expr.index])
        flat = self.flat_index(buffer, expr.index)
        if expr.mask is not None:
            assert expr.fill is not None
            return self._masked_load(buffer, flat, self._emit(expr.mask), self._emit(expr.fill))
        return self._plain_load(buffer, flat)

    def _register(self, buffer: Buffer, index: Sequence[Value]) -> Value:
        """Return an element of a tile, or what lies along the lanes of a VECTOR loop: part of a row, or of a column."""
        across = next((k for k, value in enumerate(index[:-1]) if value.step), None)
        if across is None:
            key = self._key(buffer, index)
            if key in self.slots:
                return self.slots[key]
            if key[2] > 1 or not index:
                raise InternalError(f"codegen: register {buffer.name}{list(key[1])} is read before it is written")
        lanes = 1 if across is None else self.lanes
        if any(v.known is None or v.step not in (0, k == across) for k, v in enumerate(index)):
            raise InternalError(f"codegen: register tile {buffer.name} needs constant indices")
        starts = [v.known for v in index]
        rows: list[tuple[Value, int]] = []
        for k in range(min(lanes, self.active) if across is not None else 1):
            place = [s + k if axis == across else s for axis, s in enumerate(starts)]
            rows.append(self._around(buffer, tuple(place)))
        (first, lane), *others = rows
        if any(r.lanes != first.lanes or at != lane for r, at in others):
            raise InternalError(f"codegen: rows of register tile {buffer.name} differ in lanes")
        beyond = [Value("poison", first.dtype, first.lanes)] * (lanes - len(rows))
        return self.column([*[r for r, _ in rows], *beyond], lane)

    def _around(self, buffer: Buffer, place: tuple[int, ...]) -> tuple[Value, int]:
        """Return the register that holds an element of a tile, and its lane."""
        *row, last = place
        width = 1 << 6
        while width:
            start = last // width * width
            found = self.slots.get((buffer, (*row, start), width))
            if found is not None and buffer not in self.lane_registers:
                return found, last - start
            width //= 2
        raise InternalError(f"codegen: register {buffer.name}{list(place)} is read before it is written")

    def _masked_load(self, buffer: Buffer, flat: Value, mask: Value, fill: Value) -> Value:
        if mask.known is not None:
            return self._plain_load(buffer, flat) if mask.known else fill
        if mask.lanes == 1 and mask.step == 0 and flat.lanes == 1 and flat.step == 0:
            # Read element 0 instead: it exists, and the select below drops it.
            safe = self.define(f"select i1 {mask.name}, i64 {flat.name}, i64 0", INT64, 1, max(mask.level, flat.level))
            address = self.address(buffer, safe)
            loaded = self._loaded(f"load {memory_type(buffer.type.dtype)}, ptr {address.name}", buffer, 1, safe.level)
            return self._select([mask, loaded, fill], 1)
        mask = self.vector(mask, self.lanes)
        running = self.mask
        both = mask if running is None else self.apply("and", [running, mask], BOOL)
        loaded = self._vector_load(buffer, flat, both)
        return self._select([mask, loaded, self.vector(fill, self.lanes)], self.lanes)

    def _plain_load(self, buffer: Buffer, flat: Value) -> Value:
        if flat.lanes == 1 and flat.step == 0:
            address = self.address(buffer, flat)
            return self._loaded(f"load {memory_type(buffer.type.dtype)}, ptr {address.name}", buffer, 1, flat.level)
        return self._vector_load(buffer, flat, self.mask)

    def _vector_load(self, buffer: Buffer, flat: Value, mask: Value | None) -> Value:
        dtype, lanes = buffer.type.dtype, self.lanes
        kind = memory_type(dtype)
        whole = vector_of(kind, lanes)
        level = max(flat.level, mask.level if mask is not None else 0)
        if flat.lanes == 1 and flat.step == 1:
            return self._truth(buffer, self._row(buffer, flat, level, None if mask is None else mask.name))
        if flat.lanes == 1 and mask is self.tail and (flat.step == -1 or 2 <= flat.step <= MOST_STRIDE):
            return self._truth(buffer, self._strided(buffer, flat))
        addresses = self.addresses(buffer, flat)
        mask = mask if mask is not None else self.full_mask(lanes)
        pointers = f"<{lanes} x ptr>"
        suffix = f"{_memory_suffix(dtype, lanes)}.v{lanes}p0"
        self.declarations[f"declare {whole} @llvm.masked.gather.{suffix}({pointers}, i32, <{lanes} x i1>, {whole})"] = (
            None
        )
        text = (
            f"call {whole} @llvm.masked.gather.{suffix}({pointers} {addresses.name}, i32 {dtype.itemsize}, "
            f"<{lanes} x i1> {mask.name}, {whole} zeroinitializer)"
        )
        return self._loaded(text, buffer, lanes, level)

    def _row(self, buffer: Buffer, flat: Value, level: int, mask: str | None) -> Value:
        """Return neighbours in memory as they are, where a mask is given those it names."""
        dtype, lanes = buffer.type.dtype, self.lanes
        whole = vector_of(memory_type(dtype), lanes)
        address = self.address(buffer, flat)
        if mask is None:
            return self._raw(f"load {whole}, ptr {address.name}, align {dtype.itemsize}", buffer, lanes, level)
        suffix = f"{_memory_suffix(dtype, lanes)}.p0"
        self.declarations[f"declare {whole} @llvm.masked.load.{suffix}(ptr, i32, <{lanes} x i1>, {whole})"] = None
        text = (
            f"call {whole} @llvm.masked.load.{suffix}(ptr {address.name}, i32 {dtype.itemsize}, "
            f"<{lanes} x i1> {mask}, {whole} zeroinitializer)"
        )
        return self._raw(text, buffer, lanes, level)

    def _strided(self, buffer: Buffer, flat: Value) -> Value:
        """Return elements at a constant distance: the rows that they lie in, shuffled."""
        dtype = BYTE if buffer.type.dtype == BOOL else buffer.type.dtype
        found, taken = Value("poison", dtype, self.lanes), set[int]()
        for at, inside, chosen in self._rows_of(flat):
            mask = None if inside == self.lanes else self.tail_mask(inside, self.lanes).name
            row = self._row(buffer, at, at.level, mask)
            order = [self.lanes + chosen[k] if k in chosen else k if k in taken else -1 for k in range(self.lanes)]
            found = self._shuffle(found, row, order)
            taken |= set(chosen)
        return found

    def _rows_of(self, flat: Value) -> Iterator[tuple[Value, int, dict[int, int]]]:
        """Yield the rows in which the lanes' elements lie at a constant distance: where in memory a row begins, how
        many of its elements may be touched, and for each lane that has its element there, which one that is.

        From the first element to the last one and no further: where it must, a row begins in the one before."""
        lanes, step = self.lanes, flat.step
        lowest, span = min(0, (self.active - 1) * step), (self.active - 1) * abs(step) + 1
        base = Value(flat.name, INT64, 1, flat.level, 0, flat.known)
        for first in range(0, span, lanes):
            start = max(0, min(first, span - lanes))
            places = {k: k * step - lowest for k in range(self.active)}
            chosen = {k: p - start for k, p in places.items() if first <= p < start + lanes}
            if chosen:
                at = self.apply("add", [base, constant(lowest + start, INT64)], INT64)
                yield at, min(lanes, span - start), chosen

    def _loaded(self, text: str, buffer: Buffer, lanes: int, level: int) -> Value:
        return self._truth(buffer, self._raw(text, buffer, lanes, level))

    def _truth(self, buffer: Buffer, loaded: Value) -> Value:
        """Return what bytes say that were read from a buffer of bools; from others, what was read."""
        if buffer.type.dtype != BOOL:
            return loaded
        in_memory, lanes = BYTE, loaded.lanes
        zero = splat("0", in_memory, lanes)
        instruction = arithmetic("ne", in_memory, lanes, [loaded.name, zero])
        return self.instruct(instruction, BOOL, lanes, loaded.level)

    def _raw(self, text: str, buffer: Buffer, lanes: int, level: int) -> Value:
        """Define a load where the buffer's contents allow: anywhere if the kernel never writes it, else in place."""
        dtype = buffer.type.dtype
        in_memory = BYTE if dtype == BOOL else dtype
        if buffer in self.written:
            return self.define_here(text, in_memory, lanes)
        return self.define(text, in_memory, lanes, max(level, self._guard_level()))

    # Stores.

    def write(self, buffer: Buffer, flat: Value, value: Value) -> None:
        dtype = buffer.type.dtype
        kind = memory_type(dtype)
        uniform = flat.lanes == 1 and flat.step == 0
        if uniform and value.lanes != 1:
            raise InternalError(f"codegen: lanes of {buffer.name} are stored at one index")
        value = value if uniform else self.vector(value, self.lanes)
        text = value.name
        if dtype == BOOL:
            source = llvm_type(value)
            byte = vector_of("i8", value.lanes)
            text = self.define(f"zext {source} {value.name} to {byte}", BOOL, value.lanes, value.level).name
        if uniform:
            self.line(f"store {kind} {text}, ptr {self.address(buffer, flat).name}")
            return
        lanes = self.lanes
        whole = vector_of(kind, lanes)
        suffix = _memory_suffix(dtype, lanes)
        if flat.lanes == 1 and flat.step == 1:
            address = self.address(buffer, flat)
            mask = self.mask
            if mask is None:
                self.line(f"store {whole} {text}, ptr {address.name}, align {dtype.itemsize}")
                return
            if self.active == 1 and self.condition is None:
                # LLVM makes a masked store of one known lane a store of the element before truncation (#179489).
                one = self.define(f"extractelement {whole} {text}, i64 0", dtype, 1, value.level)
                self.line(f"store {kind} {one.name}, ptr {address.name}")
                return
            self.declarations[f"declare void @llvm.masked.store.{suffix}.p0({whole}, ptr, i32, <{lanes} x i1>)"] = None
            self.line(
                f"call void @llvm.masked.store.{suffix}.p0({whole} {text}, ptr {address.name}, i32 {dtype.itemsize}, "
                f"<{lanes} x i1> {mask.name})"
            )
            return
        if flat.lanes == 1 and self.mask is self.tail and (flat.step == -1 or self.scatters(flat)):
            self._write_strided(buffer, flat, Value(text, BYTE if dtype == BOOL else dtype, lanes, value.level))
            return
        addresses = self.addresses(buffer, flat)
        full = f"{suffix}.v{lanes}p0"
        self.declarations[
            f"declare void @llvm.masked.scatter.{full}({whole}, <{lanes} x ptr>, i32, <{lanes} x i1>)"
        ] = None
        self.line(
            f"call void @llvm.masked.scatter.{full}({whole} {text}, <{lanes} x ptr> {addresses.name}, "
            f"i32 {dtype.itemsize}, <{lanes} x i1> {self.full_mask(lanes).name})"
        )

    def scatters(self, flat: Value) -> bool:
        """Whether to write elements at this distance by masked stores of the rows in which they lie."""
        return self.has_masks and 2 <= flat.step <= MOST_STRIDE

    def _write_strided(self, buffer: Buffer, flat: Value, value: Value) -> None:
        lanes, dtype = self.lanes, buffer.type.dtype
        whole, suffix = vector_of(memory_type(dtype), lanes), _memory_suffix(dtype, lanes)
        for at, _, chosen in self._rows_of(flat):
            lane_of = {place: k for k, place in chosen.items()}
            row = self._shuffle(value, value, [lane_of.get(p, -1) for p in range(lanes)])
            address = self.address(buffer, at)
            if len(lane_of) == lanes:
                self.line(f"store {whole} {row.name}, ptr {address.name}, align {dtype.itemsize}")
                continue
            bits = ", ".join("i1 true" if p in lane_of else "i1 false" for p in range(lanes))
            self.declarations[f"declare void @llvm.masked.store.{suffix}.p0({whole}, ptr, i32, <{lanes} x i1>)"] = None
            self.line(
                f"call void @llvm.masked.store.{suffix}.p0({whole} {row.name}, ptr {address.name}, "
                f"i32 {dtype.itemsize}, <{lanes} x i1> <{bits}>)"
            )


def _memory_suffix(dtype: DType, lanes: int) -> str:
    return f"v{lanes}i8" if dtype == BOOL else mangled(dtype, lanes)
