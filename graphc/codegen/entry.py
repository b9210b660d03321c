"""The entry point of a program: the function that runs its steps.

    i32 NAME(ptr slots, ptr failure)

`slots` points to the addresses of the inputs, outputs, states, constants, the arena, and the header of the thread pool,
in this order. The result is 0, or 1 when a Check failed; then failure[0] is its site in the program and failure[1] the
value it carries.

Few steps in a row are straight code. Many would cost LLVM more time than all kernels: they become a loop over a table,
in which a row is a function and numbers for it. The numbers are where the step's sites begin in the table of sites,
then for each array its slot, its offset, and its bytes per iteration of each loop around the table; then the iterations
of a kernel that takes a range of them, and what the pool needs to divide them, or the bytes of a copy. The function
finds the addresses and calls the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, groupby

from graphc.codegen.division import divide_function, divided_call, share_function
from graphc.ir.loops import Branch, Call, Check, Clear, Copy, Kernel, Program, Region, Repeat, Slot, Step, While, walk

TABLE_STEPS = 24
"""Steps in a row from which on a table pays."""

MEMCPY = "@llvm.memcpy.p0.p0.i64"
MEMCPY_DECLARATION = f"declare void {MEMCPY}(ptr, ptr, i64, i1)"
MEMSET = "@llvm.memset.p0.i64"
MEMSET_DECLARATION = f"declare void {MEMSET}(ptr, i8, i64, i1)"


class EntryEmitter:
    """The entry point under way; `constants` and `declarations` are what it needs besides."""

    parameters = "ptr %slots, ptr %failure"
    table_steps = TABLE_STEPS

    def __init__(self, program: Program, symbols: dict[Kernel, str], name: str) -> None:
        self.program = program
        self.name = name
        self.symbols = symbols
        self.can_fail = {k: any(isinstance(s, Check) for s in walk(k.body)) for k in program.kernels}
        counts = (len(program.inputs), len(program.outputs), len(program.state), len(program.constants), 1)
        self.first_slot = dict(zip(Region, accumulate(counts, initial=0), strict=False))
        self.pool_slot = sum(counts)
        self.lines: list[str] = []
        self.bases: dict[int, str] = {}
        self.base_lines: list[str] = []
        self.constants: list[str] = []
        self.declarations: dict[str, None] = {}
        self.row_functions: dict[str, list[str]] = {}
        self.share_functions: dict[str, list[str]] = {}
        self.most_addresses = 0
        self.label = "entry"
        self._count = 0

    def emit(self) -> list[str]:
        """Return the lines of the entry point, and of the functions that its tables name."""
        self._steps(self.program.steps, ())
        self.lines.append("  ret i32 0")
        head = [f"define i32 {self.name}({self.parameters}) nounwind {{", "entry:"]
        if self.most_addresses:
            head.append(_room_for(self.most_addresses))
        functions = [*self.share_functions.values(), *self.row_functions.values()]
        if self.share_functions:
            functions.insert(0, divide_function(self.pool_slot))
        others = [line for lines in functions for line in lines]
        return [*others, *head, *self.base_lines, *self.lines, "}"]

    def _fresh(self) -> str:
        self._count += 1
        return f"e{self._count}"

    def _define(self, text: str) -> str:
        name = f"%{self._fresh()}"
        self.lines.append(f"  {name} = {text}")
        return name

    def _steps(self, steps: Sequence[Step], counters: tuple[str, ...]) -> None:
        for _, run in groupby(steps, lambda s: isinstance(s, Call | Copy)):
            together = list(run)
            straight = [s for s in together if isinstance(s, Call | Copy)]
            if len(straight) >= self.table_steps:
                self._table(straight, counters)
                continue
            for step in together:
                self._step(step, counters)

    def _step(self, step: Step, counters: tuple[str, ...]) -> None:
        match step:
            case Call():
                self._call(step, counters)
            case Copy():
                self._copy(step, counters)
            case Clear(target, nbytes):
                self.declarations[MEMSET_DECLARATION] = None
                address = self._address(target, counters)
                self.lines.append(f"  call void {MEMSET}(ptr {address}, i8 0, i64 {nbytes}, i1 false)")
            case Repeat():
                self._repeat(step, counters)
            case While():
                self._while(step, counters)
            case Branch():
                self._branch(step, counters)

    # Straight code.

    def _slot(self, slot: Slot) -> int:
        return self.first_slot[slot.region] + slot.index

    def _base(self, slot: int) -> str:
        """Return an address of `slots`, loaded once at the beginning."""
        if slot not in self.bases:
            place, name = f"%{self._fresh()}", f"%{self._fresh()}"
            self.base_lines += [
                f"  {place} = getelementptr ptr, ptr %slots, i64 {slot}",
                f"  {name} = load ptr, ptr {place}",
            ]
            self.bases[slot] = name
        return self.bases[slot]

    def _address(self, slot: Slot, counters: tuple[str, ...]) -> str:
        address = self._base(self._slot(slot))
        if slot.offset:
            address = self._define(f"getelementptr i8, ptr {address}, i64 {slot.offset}")
        for stride, counter in zip(slot.strides, counters, strict=False):
            if stride:
                scaled = self._define(f"mul i64 {counter}, {stride}")
                address = self._define(f"getelementptr i8, ptr {address}, i64 {scaled}")
        return address

    def _call(self, step: Call, counters: tuple[str, ...]) -> None:
        kernel, addresses = self.symbols[step.kernel], [self._address(slot, counters) for slot in step.args]
        if step.threads > 1:
            self.most_addresses = max(self.most_addresses, len(addresses))
            self._share(step)
            lines, call = divided_call(kernel, addresses, f"%{self._fresh()}", [str(n) for n in _size(step)])
            self.lines += lines
        else:
            args = [f"ptr {a}" for a in addresses]
            args += [] if step.kernel.ways is None else ["i64 0", f"i64 {step.kernel.ways}"]
            call = f"call i32 {kernel}({', '.join([*args, 'ptr %failure'])})"
        if not self.can_fail[step.kernel]:
            self.lines.append(f"  {call}")
            return
        table = self._numbers("sites", step.sites)
        self._leave_if(self._define(call), lambda: table)

    def _share(self, step: Call) -> None:
        kernel = self.symbols[step.kernel]
        if kernel not in self.share_functions:
            self.share_functions[kernel] = share_function(kernel, len(step.args))

    def _leave_if(self, failed: str, sites: Callable[[], str]) -> None:
        """Return 1 where a call failed; sites() is the address of the program's sites in the order of the kernel's."""
        bad = self._define(f"icmp ne i32 {failed}, 0")
        fail, proceed = self._fresh(), self._fresh()
        self.lines += [f"  br i1 {bad}, label %{fail}, label %{proceed}", f"{fail}:"]
        local = self._define("load i64, ptr %failure")
        place = self._define(f"getelementptr i64, ptr {sites()}, i64 {local}")
        site = self._define(f"load i64, ptr {place}")
        self.lines += [f"  store i64 {site}, ptr %failure", "  ret i32 1", f"{proceed}:"]
        self.label = proceed

    def _numbers(self, name: str, numbers: Sequence[int]) -> str:
        """Return the address of constant numbers."""
        return self._array(name, "i64", map(str, numbers))

    def _array(self, name: str, kind: str, elements: Iterable[str]) -> str:
        items = [f"{kind} {e}" for e in elements]
        table = f"@{name}{len(self.constants)}"
        self.constants.append(f"{table} = private constant [{len(items)} x {kind}] [{', '.join(items)}]")
        return table

    def _copy(self, step: Copy, counters: tuple[str, ...]) -> None:
        source, target = self._address(step.source, counters), self._address(step.target, counters)
        self.declarations[MEMCPY_DECLARATION] = None
        self.lines.append(f"  call void {MEMCPY}(ptr {target}, ptr {source}, i64 {step.nbytes}, i1 false)")

    # Loops and branches.

    def _label(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    def _loop(self, count: str, run: Callable[[str], None], *, may_be_none: bool = False) -> None:
        """Emit run(counter) as a loop."""
        loop, end, counter, following = (self._fresh() for _ in range(4))
        enter = f"br label %{loop}"
        if may_be_none:
            enter = f"br i1 {self._define(f'icmp sgt i64 {count}, 0')}, label %{loop}, label %{end}"
        before, at = self.label, len(self.lines)
        self.label = loop
        run(f"%{counter}")
        phi = f"  %{counter} = phi i64 [0, %{before}], [%{following}, %{self.label}]"
        self.lines[at:at] = [f"  {enter}", f"{loop}:", phi]
        self.lines.append(f"  %{following} = add nuw nsw i64 %{counter}, 1")
        more = self._define(f"icmp ult i64 %{following}, {count}")
        self.lines.append(f"  br i1 {more}, label %{loop}, label %{end}")
        self._label(end)

    def _repeat(self, step: Repeat, counters: tuple[str, ...]) -> None:
        count = str(step.extent)
        if step.count is not None:
            count = self._load(self._address(step.count, counters))
            self._fail_if(self._define(f"icmp sgt i64 {count}, {step.extent}"), step.site, count)
        last = self._define(f"sub i64 {count}, 1") if step.reverse else ""

        def run(counter: str) -> None:
            position = self._define(f"sub i64 {last}, {counter}") if step.reverse else counter
            self._steps(step.steps, (*counters, position))

        self._loop(count, run, may_be_none=step.count is not None)

    def _holds(self, flag: Slot, counters: tuple[str, ...]) -> str:
        return self._define(f"icmp ne i8 {self._load(self._address(flag, counters), 'i8')}, 0")

    def _while(self, step: While, counters: tuple[str, ...]) -> None:
        test, body, end, counter, following = (self._fresh() for _ in range(5))
        before, at = self.label, len(self.lines)
        self.label = test
        self._steps(step.test, counters)
        self.lines.append(f"  br i1 {self._holds(step.flag, counters)}, label %{body}, label %{end}")
        self._label(body)
        if step.most is not None:
            self._fail_if(self._define(f"icmp uge i64 %{counter}, {step.most}"), step.site, f"%{counter}")
        self._steps(step.steps, counters)
        phi = f"  %{counter} = phi i64 [0, %{before}], [%{following}, %{self.label}]"
        self.lines[at:at] = [f"  br label %{test}", f"{test}:", phi]
        self.lines += [f"  %{following} = add nuw nsw i64 %{counter}, 1", f"  br label %{test}"]
        self._label(end)
        self.lines.append(f"  store i64 %{counter}, ptr {self._address(step.count, counters)}")

    def _branch(self, step: Branch, counters: tuple[str, ...]) -> None:
        on_true, on_false, done = (self._fresh() for _ in range(3))
        self.lines.append(f"  br i1 {self._holds(step.flag, counters)}, label %{on_true}, label %{on_false}")
        for label, steps in ((on_true, step.on_true), (on_false, step.on_false)):
            self._label(label)
            self._steps(steps, counters)
            self.lines.append(f"  br label %{done}")
        self._label(done)

    def _fail_if(self, bad: str, site: int, value: str) -> None:
        """Return 1 where a loop takes more steps than it may."""
        fail, proceed = self._fresh(), self._fresh()
        self.lines += [f"  br i1 {bad}, label %{fail}, label %{proceed}", f"{fail}:"]
        place = self._define("getelementptr i64, ptr %failure, i64 1")
        self.lines += [f"  store i64 {site}, ptr %failure", f"  store i64 {value}, ptr {place}", "  ret i32 1"]
        self._label(proceed)

    # Tables.

    def _table(self, steps: Sequence[Call | Copy], counters: tuple[str, ...]) -> None:
        depth = len(counters)
        first: list[int] = []
        numbers: list[int] = []
        sites: list[int] = []
        for step in steps:
            first.append(len(numbers))
            numbers.append(len(sites))
            if isinstance(step, Call):
                sites += step.sites
            numbers += [n for slot in _slots(step) for n in self._row(slot, depth)]
            numbers += _size(step)
        codes = self._array("code", "ptr", [self._row_function(step, depth) for step in steps])
        rows, table, places = (self._numbers(*p) for p in (("first", first), ("row", numbers), ("sites", sites)))

        def run(counter: str) -> None:
            code = self._element("ptr", codes, counter)
            row = self._define(f"getelementptr i64, ptr {table}, i64 {self._element('i64', rows, counter)}")
            given = ", ".join(["ptr %slots", f"ptr {row}", *[f"i64 {c}" for c in counters], "ptr %failure"])
            failed = self._define(f"call i32 {code}({given})")
            if sites:
                self._leave_if(failed, lambda: self._define(f"getelementptr i64, ptr {places}, i64 {self._load(row)}"))

        self._loop(str(len(steps)), run)

    def _element(self, kind: str, table: str, index: str) -> str:
        return self._load(self._define(f"getelementptr {kind}, ptr {table}, i64 {index}"), kind)

    def _load(self, place: str, kind: str = "i64") -> str:
        return self._define(f"load {kind}, ptr {place}")

    def _row(self, slot: Slot, depth: int) -> list[int]:
        strides = (*slot.strides, *[0] * (depth - len(slot.strides)))
        return [self._slot(slot), slot.offset, *strides]

    def _row_function(self, step: Call | Copy, depth: int) -> str:
        """Return the function that runs steps like this one from rows of a table within `depth` loops."""
        kernel = self.symbols[step.kernel] if isinstance(step, Call) else "@copy"
        sizes = len(_size(step))
        name = f"{kernel}.row{depth}.{sizes}"
        if isinstance(step, Call) and step.threads > 1:
            self._share(step)
        if name not in self.row_functions:
            self.row_functions[name] = _row_function(name, kernel, len(_slots(step)), depth, sizes)
            self.declarations.update({MEMCPY_DECLARATION: None} if isinstance(step, Copy) else {})
        return name


def _slots(step: Call | Copy) -> tuple[Slot, ...]:
    return step.args if isinstance(step, Call) else (step.target, step.source)


def _size(step: Call | Copy) -> list[int]:
    """Return the iterations of a kernel that takes a range of them, and if they may be divided what the pool needs for
    it; or the bytes of a copy."""
    if isinstance(step, Copy):
        return [step.nbytes]
    if step.kernel.ways is None:
        return []
    return [step.kernel.ways, *([step.threads, step.nanoseconds] if step.threads > 1 else [])]


def _room_for(addresses: int) -> str:
    return f"  %args = alloca [{addresses} x ptr]"


def _row_function(name: str, kernel: str, arrays: int, depth: int, sizes: int) -> list[str]:
    """Return the lines of a function that finds addresses in a row and calls a kernel, or copies; `sizes` is how many
    numbers the row ends with."""
    counters = "".join(f", i64 %c{d}" for d in range(depth))
    lines = [f"define internal i32 {name}(ptr %slots, ptr %row{counters}, ptr %failure) nounwind {{"]

    def number(k: int) -> str:
        lines.extend([f"  %p{k} = getelementptr i64, ptr %row, i64 {k}", f"  %n{k} = load i64, ptr %p{k}"])
        return f"%n{k}"

    addresses = []
    for k in range(1, 1 + arrays * (2 + depth), 2 + depth):
        lines += [f"  %s{k} = getelementptr ptr, ptr %slots, i64 {number(k)}", f"  %b{k} = load ptr, ptr %s{k}"]
        lines += [f"  %a{k} = getelementptr i8, ptr %b{k}, i64 {number(k + 1)}"]
        address = f"%a{k}"
        for d, at in enumerate(range(k + 2, k + 2 + depth)):
            lines += [f"  %m{at} = mul i64 %c{d}, {number(at)}"]
            lines += [f"  %a{at} = getelementptr i8, ptr {address}, i64 %m{at}"]
            address = f"%a{at}"
        addresses.append(address)
    args = [f"ptr {a}" for a in addresses]
    ends = [number(k) for k in range(1 + arrays * (2 + depth), 1 + arrays * (2 + depth) + sizes)]
    if kernel == "@copy":
        return [*lines, f"  call void {MEMCPY}({', '.join(args)}, i64 {ends[0]}, i1 false)", "  ret i32 0", "}"]
    call = f"call i32 {kernel}({', '.join([*args, *[f'i64 0, i64 {n}' for n in ends], 'ptr %failure'])})"
    if sizes > 1:
        lines.insert(1, _room_for(arrays))
        stores, call = divided_call(kernel, addresses, "%t", ends)
        lines += stores
    return [*lines, f"  %failed = {call}", "  ret i32 %failed", "}"]
