"""What a call from Python and the machine code that serves it agree on: tables of 64-bit words, by the names of words.

One function of machine code serves every compiled function (`codegen.callable` makes it). What it must know of the one
that is called stands in tables that `runtime.callpath` fills:

    DISPATCH                  what holds for every set of sizes, and the first of the CODEs
      INPUT, INPUT, ...       what each argument must be
      PART, PART, ...         how results become the nest that the user wants: a program in postfix order
    CODE -> CODE -> ...       code for one set of sizes each, a linked list
      OUTPUT, OUTPUT, ...     what each result is
      LOCK                    of the state that it updates

Words are numbers, addresses, or addresses of Python objects that the owner of the table keeps alive.
"""

from __future__ import annotations

from enum import IntEnum


class Dispatch(IntEnum):
    """A compiled function.

    CODE      the first CODE, 0 if none
    CLOCK     counts the calls
    SLOW      a callable that takes the arguments of a call that this path cannot serve
    INPUTS    how many, and INPUT, where the first stands; RESULTS: how many results
    PARTS     how many, and PART, where the first stands; no parts: the one result is returned as it is
    """

    CODE = 0
    CLOCK = 1
    SLOW = 2
    INPUTS = 3
    INPUT = 4
    RESULTS = 5
    PARTS = 6
    PART = 7


class Input(IntEnum):
    """An argument: an array of DTYPE (a dtype object; FORMAT: its letter in buffers) and RANK, or, where the rank is 0,
    a NumPy scalar of type SCALAR or, if FLOAT bytes are not 0, a Python float. NAME is its (interned) name."""

    DTYPE = 0
    RANK = 1
    SCALAR = 2
    FLOAT = 3
    FORMAT = 4
    NAME = 5


class Code(IntEnum):
    """Code for one set of sizes.

    NEXT       the next CODE, 0 if none
    LAST_CALL  the CLOCK at the last call
    OWNER      the object that keeps this table and all it points to alive
    ENTRY      i32 entry(ptr slots, ptr failure), see `codegen.entry`
    SHAPES     the sizes of all inputs in a row
    OUTPUT     where the first OUTPUT stands
    SLOTS      the slots: inputs and outputs come first, and are filled by the call
    BUSY       1 while a call uses the slots that lets other threads run
    RELEASES   1 if calls take so long that other threads should run
    LOCK       where the LOCK of the state stands, 0 if there is no state
    FAIL       a callable of a failure's site and value that raises
    """

    NEXT = 0
    LAST_CALL = 1
    OWNER = 2
    ENTRY = 3
    SHAPES = 4
    OUTPUT = 5
    SLOTS = 6
    BUSY = 7
    RELEASES = 8
    LOCK = 9
    FAIL = 10


class Output(IntEnum):
    """A result: its dtype object, RANK, and where its sizes stand. Of rank 0 it becomes a NumPy scalar."""

    DTYPE = 0
    RANK = 1
    SIZES = 2


class Lock(IntEnum):
    """HELD is where a word stands that is 1 while the lock is held; it changes only while the GIL is held. ACQUIRE and
    RELEASE are the methods of the lock that those wait for who find it held."""

    HELD = 0
    ACQUIRE = 1
    RELEASE = 2


class Part(IntEnum):
    """A step in building the nest of results on a stack: what to do, with how many of the last parts, and with what."""

    KIND = 0
    COUNT = 1
    OBJECT = 2


class Build(IntEnum):
    """Kinds of PART: push result COUNT; push OBJECT; replace the last COUNT parts by their tuple, list or what OBJECT,
    called with them, returns; or by a dict whose keys OBJECT, a tuple, holds."""

    RESULT = 0
    PUSH = 1
    TUPLE = 2
    LIST = 3
    CALL = 4
    DICT = 5
