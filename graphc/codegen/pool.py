"""The thread pool, as a module of machine code of its own: workers, and the division of one parallel loop among them.

    i32 pool(ptr header)

prepares the pool when it is called first in a process, which has no workers even if the one it was forked from had; and
lets idle workers end when it is called again. `header` is two words: the address of `divide`, which is written here,
and the number of threads that a loop may use, the caller's among them, which is read whenever a loop is divided.

    i32 divide(ptr header, ptr share, ptr args, i64 ways, i64 threads, i64 nanoseconds, ptr failure)

runs i32 share(ptr args, i64 begin, i64 end, ptr failure) on all of [0, ways), in contiguous parts of nearly equal
length, each on a thread; `threads` is the most that pays for this loop, `nanoseconds` what it takes on one. The result
is that of the first part that is not 0, and `failure` holds what that part wrote: the same as that of one thread.

Each worker has a cache line with the part it is given and the word that both sides wait on:

    IDLE -> POSTED -> RUNNING -> IDLE     IDLE -> ASLEEP: the worker must be woken to see what is posted
    POSTED -> IDLE: taken back            RUNNING -> WAITED: the caller must be woken when the part is done

- Waiting is a loop of loads for SPIN_NANOSECONDS, then a futex (elsewhere than on Linux a condition variable).
- The caller runs the first part and then takes back what no worker has begun: a late worker costs no more than waking.
- Workers that sleep are woken only for work that makes up for it, in one loop or in many in a row.
- Linux likes to run a thread where the one that woke it runs, which has not finished: for the time of waking, a worker
  is kept from that CPU.
- A loop that is to be divided while another one is, by another thread, runs in its caller alone.
- Workers take up the caller's floating-point environment; no signal is handled in them.
"""

from __future__ import annotations

from string import Template

from graphc.codegen.environment import environment_of
from graphc.codegen.waiting import MAIL, SPIN_NANOSECONDS, emit_waiting
from graphc.cores import MAX_THREADS
from graphc.target import Target

WAKE_NANOSECONDS = 100_000
"""The work in loops, less than SPIN_NANOSECONDS apart, from which on workers that sleep are woken: waking one takes 3
to 10 us of the caller's time, and it comes 10 to 50 us later. What a loop takes is an estimate, and may be half."""

STACK_BYTES = 8 << 20
"""The stack of a worker, which is taken from memory as it is used."""

_NUMBERS = {
    "MAX_THREADS": MAX_THREADS,
    "SPIN_NANOSECONDS": SPIN_NANOSECONDS,
    "STACK_BYTES": STACK_BYTES,
    **{name: k for k, name in enumerate(("IDLE", "ASLEEP", "POSTED", "RUNNING", "WAITED", "QUIT"))},
}


def emit_pool(target: Target, *, wake_nanoseconds: int = WAKE_NANOSECONDS, futex: bool | None = None) -> str:
    """Return the LLVM IR of the pool; `futex` is whether threads wait for one, None if the system has it."""
    environment = environment_of(target)
    values = {
        **_NUMBERS,
        "MAIL": MAIL,
        "WAKE_NANOSECONDS": wake_nanoseconds,
        "SETMASK": 3 if "darwin" in target.triple else 2,
        "GET": "\n  ".join(environment.get),
        "PUT": "\n  ".join(environment.put),
    }
    body, waiting = Template(_TEXT).substitute(values), emit_waiting(target, futex)
    return "\n".join([f'target triple = "{target.triple}"', body, *environment.declarations, waiting])


_TEXT = """
$MAIL

@busy = internal global i32 0, align 64
@last = internal global i64 0 ; when a loop was last not divided because workers slept
@burst = internal global i64 0 ; the time of such loops one after the other
@owner = internal global i32 0
@started = internal global i32 0
@most = internal global i32 $MAX_THREADS
@names = internal global [$MAX_THREADS x i64] zeroinitializer
@mails = internal global [$MAX_THREADS x %mail] zeroinitializer, align 64

define i32 @pool(ptr %header) nounwind {
entry:
  %process = call i32 @getpid()
  %owner = load i32, ptr @owner
  %known = icmp eq i32 %process, %owner
  br i1 %known, label %stop, label %start
start:
  store i32 %process, ptr @owner
  store i32 0, ptr @started
  store i32 $MAX_THREADS, ptr @most
  store atomic i32 0, ptr @busy release, align 4
  store atomic ptr @divide, ptr %header release, align 8
  ret i32 0
stop:
  %before = atomicrmw xchg ptr @busy, i32 1 acquire
  %taken = icmp ne i32 %before, 0
  br i1 %taken, label %leave, label %each
leave:
  ret i32 1
each:
  %k = phi i64 [0, %stop], [%k.next, %joined]
  %count = load i32, ptr @started
  %count.wide = zext i32 %count to i64
  %more = icmp ult i64 %k, %count.wide
  br i1 %more, label %end, label %none
end:
  %mail = getelementptr %mail, ptr @mails, i64 %k
  %state = atomicrmw xchg ptr %mail, i32 $QUIT acq_rel
  %sleeps = icmp eq i32 %state, $ASLEEP
  br i1 %sleeps, label %rouse, label %join
rouse:
  call void @wake(ptr %mail)
  br label %join
join:
  %place = getelementptr i64, ptr @names, i64 %k
  %name = load i64, ptr %place
  %ignored = call i32 @pthread_join(i64 %name, ptr null)
  br label %joined
joined:
  %k.next = add i64 %k, 1
  br label %each
none:
  store i32 0, ptr @started
  store atomic i32 0, ptr @busy release, align 4
  ret i32 0
}

define internal i32 @divide(
  ptr %header, ptr %share, ptr %args, i64 %ways, i64 %threads, i64 %nanoseconds, ptr %failure
) nounwind {
entry:
  $GET
  %place = getelementptr i64, ptr %header, i64 1
  %allowed = load atomic i64, ptr %place monotonic, align 8
  %fewer = call i64 @llvm.umin.i64(i64 %allowed, i64 %threads)
  %wanted = call i64 @llvm.umin.i64(i64 %fewer, i64 %ways)
  %divide = icmp ugt i64 %wanted, 1
  br i1 %divide, label %acquire, label %alone
acquire:
  %before = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {i32, i1} %before, 1
  br i1 %mine, label %staff, label %alone
alone:
  %whole = call i32 %share(ptr %args, i64 0, i64 %ways, ptr %failure)
  ret i32 %whole
staff:
  %helpers.wanted = add i64 %wanted, -1
  %helpers = call i64 @grow(i64 %helpers.wanted)
  %n = add i64 %helpers, 1
  %first.end = udiv i64 %ways, %n
  %any = icmp ne i64 %helpers, 0
  br i1 %any, label %look, label %own

look:
  %l = phi i64 [0, %staff], [%l.next, %awake]
  %l.next = add i64 %l, 1
  %l.mail = getelementptr %mail, ptr @mails, i64 %l
  %l.state = load atomic i32, ptr %l.mail monotonic, align 4
  %l.sleeps = icmp eq i32 %l.state, $ASLEEP
  br i1 %l.sleeps, label %weigh, label %awake
awake:
  %l.more = icmp ult i64 %l.next, %helpers
  br i1 %l.more, label %look, label %post
weigh:
  %start = call i64 @now()
  %last = load i64, ptr @last
  %gap = sub i64 %start, %last
  %goes.on = icmp ult i64 %gap, $SPIN_NANOSECONDS
  %burst = load i64, ptr @burst
  %kept = select i1 %goes.on, i64 %burst, i64 0
  %sum = add i64 %kept, %nanoseconds
  store i64 %sum, ptr @burst
  %pays = icmp uge i64 %sum, $WAKE_NANOSECONDS
  br i1 %pays, label %post, label %forgo
forgo:
  %forgone = call i32 %share(ptr %args, i64 0, i64 %ways, ptr %failure)
  %stop = call i64 @now()
  store i64 %stop, ptr @last
  store atomic i32 0, ptr @busy release, align 4
  ret i32 %forgone

post:
  %p = phi i64 [0, %weigh], [0, %awake], [%p1, %posted]
  %p.begin = phi i64 [%first.end, %weigh], [%first.end, %awake], [%p.end, %posted]
  %p1 = add i64 %p, 1
  %p2 = add i64 %p, 2
  %scaled = mul i64 %ways, %p2
  %p.end = udiv i64 %scaled, %n
  %p.mail = getelementptr %mail, ptr @mails, i64 %p
  %p.share = getelementptr %mail, ptr %p.mail, i64 0, i32 2
  store ptr %share, ptr %p.share
  %p.args = getelementptr %mail, ptr %p.mail, i64 0, i32 3
  store ptr %args, ptr %p.args
  %p.from = getelementptr %mail, ptr %p.mail, i64 0, i32 4
  store i64 %p.begin, ptr %p.from
  %p.to = getelementptr %mail, ptr %p.mail, i64 0, i32 5
  store i64 %p.end, ptr %p.to
  %p.environment = getelementptr %mail, ptr %p.mail, i64 0, i32 6
  store i64 %environment, ptr %p.environment
  %p.seen = load atomic i32, ptr %p.mail monotonic, align 4
  %p.sleeps = icmp eq i32 %p.seen, $ASLEEP
  br i1 %p.sleeps, label %away, label %hand
away:
  call void @send_away(ptr %p.mail)
  br label %hand
hand:
  %p.state = atomicrmw xchg ptr %p.mail, i32 $POSTED acq_rel
  %sleeps = icmp eq i32 %p.state, $ASLEEP
  br i1 %sleeps, label %rouse, label %posted
rouse:
  call void @wake(ptr %p.mail)
  br label %posted
posted:
  %p.more = icmp ult i64 %p1, %helpers
  br i1 %p.more, label %post, label %own

own:
  %own.result = call i32 %share(ptr %args, i64 0, i64 %first.end, ptr %failure)
  br i1 %any, label %take, label %done

take:
  %t = phi i64 [%helpers, %own], [%t.next, %taken]
  %t.next = add i64 %t, -1
  %t.mail = getelementptr %mail, ptr @mails, i64 %t.next
  %t.pair = cmpxchg ptr %t.mail, i32 $POSTED, i32 $IDLE acquire monotonic
  %t.back = extractvalue {i32, i1} %t.pair, 1
  br i1 %t.back, label %instead, label %taken
instead:
  call void @run(ptr %t.mail)
  br label %taken
taken:
  %t.more = icmp ne i64 %t.next, 0
  br i1 %t.more, label %take, label %join

join:
  %j = phi i64 [0, %taken], [%j.next, %joined]
  %j.result = phi i32 [%own.result, %taken], [%j.after, %joined]
  %j.mail = getelementptr %mail, ptr @mails, i64 %j
  %j.seen = call i32 @spin(ptr %j.mail, i32 $RUNNING)
  %j.late = icmp eq i32 %j.seen, $RUNNING
  br i1 %j.late, label %sleep, label %finished
sleep:
  %j.pair = cmpxchg ptr %j.mail, i32 $RUNNING, i32 $WAITED acq_rel acquire
  %j.waits = extractvalue {i32, i1} %j.pair, 1
  br i1 %j.waits, label %wait, label %finished
wait:
  call void @wait(ptr %j.mail, i32 $WAITED)
  %j.state = load atomic i32, ptr %j.mail acquire, align 4
  %j.again = icmp eq i32 %j.state, $WAITED
  br i1 %j.again, label %wait, label %finished
finished:
  %j.place = getelementptr %mail, ptr %j.mail, i64 0, i32 1
  %j.own = load i32, ptr %j.place
  %j.bad = icmp ne i32 %j.own, 0
  %j.good.before = icmp eq i32 %j.result, 0
  %j.first = and i1 %j.bad, %j.good.before
  br i1 %j.first, label %fail, label %joined
fail:
  %j.failure = getelementptr %mail, ptr %j.mail, i64 0, i32 7
  %j.pair.of = load [2 x i64], ptr %j.failure
  store [2 x i64] %j.pair.of, ptr %failure
  br label %joined
joined:
  %j.after = phi i32 [%j.result, %finished], [%j.own, %fail]
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, %helpers
  br i1 %j.more, label %join, label %done

done:
  %result = phi i32 [%own.result, %own], [%j.after, %joined]
  store atomic i32 0, ptr @busy release, align 4
  ret i32 %result
}

; Run the part in a mail.
define internal void @run(ptr %mail) nounwind {
  %at.share = getelementptr %mail, ptr %mail, i64 0, i32 2
  %share = load ptr, ptr %at.share
  %at.args = getelementptr %mail, ptr %mail, i64 0, i32 3
  %args = load ptr, ptr %at.args
  %at.begin = getelementptr %mail, ptr %mail, i64 0, i32 4
  %begin = load i64, ptr %at.begin
  %at.end = getelementptr %mail, ptr %mail, i64 0, i32 5
  %end = load i64, ptr %at.end
  %failure = getelementptr %mail, ptr %mail, i64 0, i32 7
  %result = call i32 %share(ptr %args, i64 %begin, i64 %end, ptr %failure)
  %at.result = getelementptr %mail, ptr %mail, i64 0, i32 1
  store i32 %result, ptr %at.result
  ret void
}

; What a worker does until it is told to quit.
define internal ptr @work(ptr %mail) nounwind {
entry:
  call void @arrive(ptr %mail)
  br label %sleep
idle:
  %seen = call i32 @spin(ptr %mail, i32 $IDLE)
  %empty = icmp eq i32 %seen, $IDLE
  br i1 %empty, label %sleep, label %take
sleep:
  %pair = cmpxchg ptr %mail, i32 $IDLE, i32 $ASLEEP acq_rel monotonic
  %sleeps = extractvalue {i32, i1} %pair, 1
  br i1 %sleeps, label %wait, label %take
wait:
  call void @wait(ptr %mail, i32 $ASLEEP)
  %state = load atomic i32, ptr %mail monotonic, align 4
  %again = icmp eq i32 %state, $ASLEEP
  br i1 %again, label %wait, label %up
up:
  call void @come_back(ptr %mail)
  br label %take
take:
  %taken.pair = cmpxchg ptr %mail, i32 $POSTED, i32 $RUNNING acquire monotonic
  %found = extractvalue {i32, i1} %taken.pair, 0
  switch i32 %found, label %idle [ i32 $POSTED, label %run  i32 $QUIT, label %quit ]
run:
  %at.environment = getelementptr %mail, ptr %mail, i64 0, i32 6
  %environment = load i64, ptr %at.environment
  call void @adopt(i64 %environment)
  call void @run(ptr %mail)
  %before = atomicrmw xchg ptr %mail, i32 $IDLE acq_rel
  %waited = icmp eq i32 %before, $WAITED
  br i1 %waited, label %rouse, label %idle
rouse:
  call void @wake(ptr %mail)
  br label %idle
quit:
  ret ptr null
}

define internal void @adopt(i64 %environment) nounwind noinline {
  $PUT
  ret void
}

; Start workers until there are `wanted`; return how many there are to use.
define internal i64 @grow(i64 %wanted) nounwind {
entry:
  %count = load i32, ptr @started
  %most = load i32, ptr @most
  %count.wide = zext i32 %count to i64
  %most.wide = zext i32 %most to i64
  %usable = call i64 @llvm.umin.i64(i64 %wanted, i64 %most.wide)
  %enough = icmp uge i64 %count.wide, %usable
  br i1 %enough, label %full, label %hire
full:
  ret i64 %usable
hire:
  %hired = call i64 @hire(i64 %count.wide, i64 %usable)
  ret i64 %hired
}

define internal i64 @hire(i64 %from, i64 %to) nounwind noinline {
entry:
  %attributes = alloca [128 x i8], align 16
  %all = alloca [128 x i8], align 16
  %mask = alloca [128 x i8], align 16
  %i0 = call i32 @pthread_attr_init(ptr %attributes)
  %i1 = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 $STACK_BYTES)
  %i2 = call i32 @sigfillset(ptr %all)
  %i3 = call i32 @pthread_sigmask(i32 $SETMASK, ptr %all, ptr %mask)
  br label %each
each:
  %k = phi i64 [%from, %entry], [%k.next, %hired]
  %mail = getelementptr %mail, ptr @mails, i64 %k
  store i32 $IDLE, ptr %mail
  call void @furnish(ptr %mail)
  %place = getelementptr i64, ptr @names, i64 %k
  %failed = call i32 @pthread_create(ptr %place, ptr %attributes, ptr @work, ptr %mail)
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %refused, label %hired
refused:
  %k.most = trunc i64 %k to i32
  store i32 %k.most, ptr @most
  br label %done
hired:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %to
  br i1 %more, label %each, label %done
done:
  %count = phi i64 [%k, %refused], [%k.next, %hired]
  %count.low = trunc i64 %count to i32
  store i32 %count.low, ptr @started
  %i4 = call i32 @pthread_sigmask(i32 $SETMASK, ptr %mask, ptr null)
  %i5 = call i32 @pthread_attr_destroy(ptr %attributes)
  ret i64 %count
}

declare i64 @llvm.umin.i64(i64, i64)
declare i32 @getpid()
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_attr_destroy(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)
"""
