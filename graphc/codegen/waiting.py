"""How the threads of the pool wait for a word to change, and how a thread is woken, in LLVM IR.

    i32 spin(ptr word, i32 state)      look at a word, for a while, as long as it is `state` or the next; return it
    void wait(ptr mail, i32 state)     sleep while the word of a mail is `state`
    void wake(ptr mail)                wake the thread that sleeps so, if any, after the word has changed
    void furnish(ptr mail)             prepare a mail, before its worker starts
    void arrive(ptr mail)              what a worker does first
    void send_away(ptr mail)           before waking a worker: keep it from the CPU of the caller
    void come_back(ptr mail)           the worker, awake: run on any CPU again

On Linux waiting is a futex, elsewhere a mutex and a condition variable, and CPUs are left to the system.
"""

from __future__ import annotations

from string import Template

from graphc.target import Target

SPIN_NANOSECONDS = 30_000
"""How long a thread looks for work, or for the end of it, before it sleeps."""

SPINS = 32
"""Looks at a word between two looks at the clock, at which the CPU is offered to others."""

MAIL = "%mail = type { i32, i32, ptr, ptr, i64, i64, i64, [2 x i64], [64 x i8], [64 x i8], i64, i64, [112 x i8] }"
"""Word, result, share, args, begin, end, environment, failure: for the pool. Mutex, condition; the system's name of the
worker, the length of the set of CPUs to return to or 0, that set: for waiting."""

_X86 = {"FUTEX": 202, "GETTID": 186, "SETAFFINITY": 203, "GETAFFINITY": 204}
_ARM = {"FUTEX": 98, "GETTID": 178, "SETAFFINITY": 122, "GETAFFINITY": 123}
"""Numbers of system calls of Linux, for the second also on RISC-V."""

_KNOWN = ("x86_64", "aarch64", "riscv64")


def emit_waiting(target: Target, futex: bool | None = None) -> str:
    """Return the LLVM IR of the functions that wait; `futex` is whether for a futex, None if the system has it."""
    is_x86 = target.triple.startswith("x86_64")
    pause = _PAUSE_X86 if is_x86 else _PAUSE_ARM if target.triple.startswith("aarch64") else ("", "")
    values = {
        "SPINS": SPINS,
        "SPIN_NANOSECONDS": SPIN_NANOSECONDS,
        "PAUSE": pause[0],
        "MONOTONIC": 6 if "darwin" in target.triple else 1,
    }
    has_futex = target.triple.startswith(_KNOWN) and "linux" in target.triple if futex is None else futex
    text = _SPIN + (_FUTEX if has_futex else _CONDITION)
    return Template(text).substitute(values, **(_X86 if is_x86 else _ARM)) + pause[1] + "\n"


_PAUSE_X86 = ("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()")
_PAUSE_ARM = ("call void @llvm.aarch64.isb(i32 15)", "declare void @llvm.aarch64.isb(i32)")

_SPIN = """
define internal i32 @spin(ptr %word, i32 %state) nounwind {
entry:
  %early = load atomic i32, ptr %word acquire, align 4
  %early.above = sub i32 %early, %state
  %early.same = icmp ult i32 %early.above, 2
  br i1 %early.same, label %begin, label %now.done
now.done:
  ret i32 %early
begin:
  %start = call i64 @now()
  %deadline = add i64 %start, $SPIN_NANOSECONDS
  br label %look
look:
  %k = phi i32 [0, %begin], [%k.next, %again], [0, %clock]
  $PAUSE
  %seen = load atomic i32, ptr %word acquire, align 4
  %above = sub i32 %seen, %state
  %same = icmp ult i32 %above, 2
  br i1 %same, label %again, label %done
again:
  %k.next = add i32 %k, 1
  %soon = icmp ult i32 %k.next, $SPINS
  br i1 %soon, label %look, label %clock
clock:
  %ignored = call i32 @sched_yield()
  %time = call i64 @now()
  %early.still = icmp ult i64 %time, %deadline
  br i1 %early.still, label %look, label %done
done:
  ret i32 %seen
}

define internal i64 @now() nounwind {
  %time = alloca [2 x i64]
  %ignored = call i32 @clock_gettime(i32 $MONOTONIC, ptr %time)
  %seconds = load i64, ptr %time
  %place = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %place
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %nanoseconds
  ret i64 %sum
}

declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
"""

_FUTEX = """
define internal void @furnish(ptr %mail) nounwind {
  ret void
}

define internal void @arrive(ptr %mail) nounwind {
  %name = call i64 (i64, ...) @syscall(i64 $GETTID)
  %place = getelementptr %mail, ptr %mail, i64 0, i32 10
  store i64 %name, ptr %place
  ret void
}

; Keep a worker that is about to wake from the CPU of its caller, where it would wait or, worse, make the caller wait.
define internal void @send_away(ptr %mail) nounwind noinline {
entry:
  %at.name = getelementptr %mail, ptr %mail, i64 0, i32 10
  %name = load i64, ptr %at.name
  %name.low = trunc i64 %name to i32
  %at.size = getelementptr %mail, ptr %mail, i64 0, i32 11
  %at.home = getelementptr %mail, ptr %mail, i64 0, i32 12
  %size = call i64 (i64, ...) @syscall(i64 $GETAFFINITY, i32 %name.low, i64 112, ptr %at.home)
  %known = icmp sgt i64 %size, 0
  br i1 %known, label %copy, label %leave
copy:
  %away = alloca [112 x i8], align 8
  call void @llvm.memcpy.p0.p0.i64(ptr %away, ptr %at.home, i64 112, i1 false)
  %cpu = call i32 @sched_getcpu()
  %cpu.wide = sext i32 %cpu to i64
  %byte = lshr i64 %cpu.wide, 3
  %inside = icmp ult i64 %byte, %size
  br i1 %inside, label %clear, label %leave
clear:
  %place = getelementptr i8, ptr %away, i64 %byte
  %bits = load i8, ptr %place
  %low = and i32 %cpu, 7
  %low.byte = trunc i32 %low to i8
  %bit = shl i8 1, %low.byte
  %others = xor i8 %bit, -1
  %left = and i8 %bits, %others
  store i8 %left, ptr %place
  %failed = call i64 (i64, ...) @syscall(i64 $SETAFFINITY, i32 %name.low, i64 %size, ptr %away)
  %moved = icmp eq i64 %failed, 0
  %kept = select i1 %moved, i64 %size, i64 0
  store i64 %kept, ptr %at.size
  ret void
leave:
  store i64 0, ptr %at.size
  ret void
}

; Let a worker run on any of its CPUs again.
define internal void @come_back(ptr %mail) nounwind {
entry:
  %at.size = getelementptr %mail, ptr %mail, i64 0, i32 11
  %size = load i64, ptr %at.size
  %moved = icmp ne i64 %size, 0
  br i1 %moved, label %restore, label %done
restore:
  %at.home = getelementptr %mail, ptr %mail, i64 0, i32 12
  %ignored = call i64 (i64, ...) @syscall(i64 $SETAFFINITY, i32 0, i64 %size, ptr %at.home)
  store i64 0, ptr %at.size
  br label %done
done:
  ret void
}

; Sleep while a word has a value; it may end early. 128 and 129 are WAIT and WAKE within this process.
define internal void @wait(ptr %word, i32 %value) nounwind noinline {
  %ignored = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i32 128, i32 %value, ptr null)
  ret void
}

define internal void @wake(ptr %word) nounwind noinline {
  %ignored = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i32 129, i32 1)
  ret void
}

declare i64 @syscall(i64, ...)
declare i32 @sched_getcpu()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

_CONDITION = """
define internal void @arrive(ptr %mail) nounwind {
  ret void
}

define internal void @send_away(ptr %mail) nounwind {
  ret void
}

define internal void @come_back(ptr %mail) nounwind {
  ret void
}

define internal void @furnish(ptr %mail) nounwind {
  %mutex = getelementptr %mail, ptr %mail, i64 0, i32 9
  %condition = getelementptr %mail, ptr %mail, i64 0, i32 10
  %i0 = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %i1 = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}

; Sleep while a word has a value: the one who changes it takes the mutex before it signals.
define internal void @wait(ptr %mail, i32 %value) nounwind noinline {
entry:
  %mutex = getelementptr %mail, ptr %mail, i64 0, i32 9
  %condition = getelementptr %mail, ptr %mail, i64 0, i32 10
  %i0 = call i32 @pthread_mutex_lock(ptr %mutex)
  br label %look
look:
  %seen = load atomic i32, ptr %mail acquire, align 4
  %same = icmp eq i32 %seen, %value
  br i1 %same, label %sleep, label %done
sleep:
  %i1 = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %look
done:
  %i2 = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}

define internal void @wake(ptr %mail) nounwind noinline {
  %mutex = getelementptr %mail, ptr %mail, i64 0, i32 9
  %condition = getelementptr %mail, ptr %mail, i64 0, i32 10
  %i0 = call i32 @pthread_mutex_lock(ptr %mutex)
  %i1 = call i32 @pthread_cond_signal(ptr %condition)
  %i2 = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}

declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
"""
