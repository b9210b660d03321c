"""An entry point that takes the time of every step: see `EntryEmitter` for the plain one.

    i32 NAME(ptr slots, ptr failure, ptr times)

`times` is a row of numbers: how many events there were, how many there is room for, then for each step of the program
in order (`leaf_steps`), and once more for nothing at all, its runs, their nanoseconds and the shortest of them; then
for each event its step, when it began and when it ended.
"""

from __future__ import annotations

from graphc.codegen.entry import EntryEmitter
from graphc.ir.loops import Kernel, Program, Step, leaf_steps

EVENTS, ROOM, FIRST = 0, 1, 2
STEP_WORDS = 3
"""Where numbers stand in `times`, and how many belong to a step or an event."""

NOW = """
define internal i64 @now() noinline nounwind {
  %place = alloca [2 x i64], align 16
  %status = call i32 @clock_gettime(i32 1, ptr %place)
  %rest = getelementptr i64, ptr %place, i64 1
  %s = load i64, ptr %place
  %ns = load i64, ptr %rest
  %scaled = mul i64 %s, 1000000000
  %sum = add i64 %scaled, %ns
  ret i64 %sum
}
""".strip()

NOTE = """
define internal void @note(ptr %times, i64 %step, i64 %from, i64 %to, i64 %first_event) noinline nounwind {
entry:
  %took = sub i64 %to, %from
  %offset = mul i64 %step, 3
  %place = add i64 %offset, 2
  %runs = getelementptr i64, ptr %times, i64 %place
  %total = getelementptr i64, ptr %runs, i64 1
  %least = getelementptr i64, ptr %runs, i64 2
  %r0 = load i64, ptr %runs
  %r1 = add i64 %r0, 1
  store i64 %r1, ptr %runs
  %t0 = load i64, ptr %total
  %t1 = add i64 %t0, %took
  store i64 %t1, ptr %total
  %l0 = load i64, ptr %least
  %is_first = icmp eq i64 %r0, 0
  %is_less = icmp slt i64 %took, %l0
  %is_least = or i1 %is_first, %is_less
  %l1 = select i1 %is_least, i64 %took, i64 %l0
  store i64 %l1, ptr %least
  %e0 = load i64, ptr %times
  %e1 = add i64 %e0, 1
  store i64 %e1, ptr %times
  %room_at = getelementptr i64, ptr %times, i64 1
  %room = load i64, ptr %room_at
  %fits = icmp slt i64 %e0, %room
  br i1 %fits, label %keep, label %done
keep:
  %scaled = mul i64 %e0, 3
  %at = add i64 %scaled, %first_event
  %event = getelementptr i64, ptr %times, i64 %at
  store i64 %step, ptr %event
  %began = getelementptr i64, ptr %event, i64 1
  store i64 %from, ptr %began
  %ended = getelementptr i64, ptr %event, i64 2
  store i64 %to, ptr %ended
  br label %done
done:
  ret void
}
""".strip()


class ProfiledEntry(EntryEmitter):
    """The entry point under way. Every step is straight code: a table of steps would be one event."""

    parameters = "ptr %slots, ptr %failure, ptr %times"
    table_steps = 1 << 60

    def __init__(self, program: Program, symbols: dict[Kernel, str], name: str) -> None:
        super().__init__(program, symbols, name)
        self.numbers: dict[Step, int] = {step: k for k, step in enumerate(leaf_steps(program.steps))}
        self.first_event = FIRST + STEP_WORDS * (len(self.numbers) + 1)

    def emit(self) -> list[str]:
        self.declarations["declare i32 @clock_gettime(i32, ptr)"] = None
        self._note(len(self.numbers), self._now())
        return [*NOW.splitlines(), *NOTE.splitlines(), *super().emit()]

    def _now(self) -> str:
        return self._define("call i64 @now()")

    def _note(self, number: int, start: str) -> None:
        end = self._now()
        given = f"ptr %times, i64 {number}, i64 {start}, i64 {end}, i64 {self.first_event}"
        self.lines.append(f"  call void @note({given})")

    def _step(self, step: Step, counters: tuple[str, ...]) -> None:
        if step not in self.numbers:
            super()._step(step, counters)
            return
        start = self._now()
        super()._step(step, counters)
        self._note(self.numbers[step], start)
