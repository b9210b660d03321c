"""How to compile: the options of `compile`, and those of them that the environment sets.

    GRAPHC_VERIFY=1              as Options(verify=True)
    GRAPHC_PRINT=simplify,fuse   print the graph after each of these passes that changed it (all: after every pass)
    GRAPHC_TIME=1                print how long each stage of a compilation took

What is printed goes to the standard error stream.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from graphc.errors import ArgumentError, shown


@dataclass(frozen=True)
class Options:
    """How to compile. All off by default: results are then those of the eager backend up to rounding of sums.

    threads          at most this many threads for one call; None: as many as `gx.set_threads` allows. Results do not
                     depend on the number
    fast_math        allow rewrites that may change rounding, NaN, infinity or the sign of zero
    flush_denormals  let native code take numbers below the smallest normal one (1.2e-38 in float32, 2.2e-308 in
                     float64) for zero, in what it reads and in what it computes, also inside of functions: they can
                     make a loop 20 to 100 times slower. The rest of the process keeps them, and so do the eager
                     backend, constants that are computed in advance, and `verify`
    memory_budget    at most so many bytes for intermediate values (`exe.cost().arena_bytes`; inputs, outputs, variables
                     and constants do not count): where a program needs more, values are computed again instead of kept,
                     the cheapest that suffice. MemoryBudgetError, at the first call for a set of sizes, tells the least
                     that was found where nothing suffices (docs/memory.md)
    check_nan        raise, naming the operation and its line, when a call produces a NaN; variables keep their values
    verify           check the compiler on the data of the calls (also: GRAPHC_VERIFY=1): the invariants of the program
                     after every pass; at the first call for each set of sizes, the value of everything that a pass
                     replaced; at each call, what every kernel computes, and that arrays do not share memory that must
                     not. The first fault raises MiscompileError, and no variable has moved. A first call takes about
                     twice as long, later ones 50 times (docs/verification.md)
    """

    threads: int | None = None
    fast_math: bool = False
    flush_denormals: bool = False
    check_nan: bool = False
    verify: bool = False
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        checked_threads("Options: threads", self.threads)
        budget = self.memory_budget
        if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 0):
            raise ArgumentError(f"Options: memory_budget must be a number of bytes or None, got {budget!r}")


def checked_threads(what: str, count: int | None) -> int | None:
    """Return a number of threads, or None for as many as the process may use. Raises ArgumentError."""
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise ArgumentError(f"{what} must be a positive int or None, got {shown(count)}")
    return count


def checked_options(options: Options | None) -> Options:
    """Return the options to compile with: those given, and what the environment adds."""
    if options is None:
        options = Options()
    if not isinstance(options, Options):
        raise ArgumentError(f"compile: options must be a gx.Options, got {shown(options)}")
    return replace(options, verify=True) if is_set("GRAPHC_VERIFY") else options


def is_set(name: str) -> bool:
    """Tell whether an environment variable switches something on: it is there and neither empty nor 0."""
    return os.environ.get(name, "") not in ("", "0")


def printed_passes() -> frozenset[str]:
    """Return the names in GRAPHC_PRINT."""
    return frozenset(n.strip() for n in os.environ.get("GRAPHC_PRINT", "").split(",") if n.strip())
