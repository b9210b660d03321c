"""The CPU that code is made for: name, features, vector lanes, registers, caches, cores.

Every decision about speed follows from these facts and from shapes, never from the name of a CPU.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from functools import lru_cache

from graphc import llvm
from graphc.cores import available_cores

LAUNCH_CYCLES = 60.0
"""Cycles to call a kernel, enter its loops and finish what does not fill a vector."""

FUNCTION_CYCLES = 15.0
"""Cycles of a polynomial of some 15 to 30 instructions on one vector: exp, log, tanh, ..."""

SHARE_CYCLES = 1500.0
"""The least work that is worth handing to another thread: it takes some 300 cycles, and as many cache lines to move."""

USUAL_CLOCK = 3e9
"""Cycles a second where the system does not say."""

BEYOND_CACHES = 8.0
"""Bytes a cycle that one core gets from memory or from the cache that all cores share."""


@dataclass(frozen=True)
class Target:
    """What code generation and scheduling need to know of a machine.

    Sizes are in bytes. `vector_bytes` is the widest vector register, `vector_registers` how many there are;
    `clock` is in cycles a second, `share_cycles` the least work for which a kernel takes one more thread.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    has_fma: bool
    l1_bytes: int
    l2_bytes: int
    cores: int
    clock: float = USUAL_CLOCK
    share_cycles: float = SHARE_CYCLES

    @property
    def row_bytes(self) -> int:
        """The longest row that is kept between sweeps over it: it must stay in the first cache along with operands."""
        return self.l1_bytes // 3

    def bytes_per_cycle(self, nbytes: int) -> float:
        """Return how fast one core streams through `nbytes`: a vector a cycle from the first cache, half of one from
        the second, and from beyond what all machines of the last ten years can do."""
        if nbytes <= self.l1_bytes // 2:
            return float(self.vector_bytes)
        return self.vector_bytes / 2 if nbytes <= self.l2_bytes // 2 else BEYOND_CACHES

    def lanes(self, itemsize: int) -> int:
        """Return how many elements of `itemsize` bytes one vector register holds."""
        return max(1, self.vector_bytes // itemsize)


@lru_cache(maxsize=1)
def host() -> Target:
    """Return the machine this process runs on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    has = dict(llvm.get_host_cpu_features())
    is_arm = triple.startswith(("aarch64", "arm64"))
    if has.get("avx512f") and has.get("avx512vl") and has.get("avx512bw") and has.get("avx512dq"):
        width, registers = 64, 32
    elif has.get("avx2") or has.get("avx"):
        width, registers = 32, 16
    else:
        width, registers = 16, 32 if is_arm else 16
    return Target(
        triple=triple,
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        vector_bytes=width,
        vector_registers=registers,
        has_fma=bool(has.get("fma")) or is_arm,
        l1_bytes=_cache_bytes(1, 32 << 10),
        l2_bytes=_cache_bytes(2, 512 << 10),
        cores=available_cores(),
        clock=_clock(),
    )


def _clock() -> float:
    """Return the cycles a second that the system reports: the most there can be, else about what they are now.

    What they are at the moment would make other code of the same program in every process.
    """
    try:
        return float(_read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")) * 1e3
    except (OSError, ValueError):
        pass
    try:
        lines = _read("/proc/cpuinfo").splitlines()
    except OSError:
        return USUAL_CLOCK
    found = next((line.split(":")[1] for line in lines if line.startswith("cpu MHz")), None)
    return round(float(found), -2) * 1e6 if found else USUAL_CLOCK


def _cache_bytes(level: int, default: int) -> int:
    """Return the size of the data cache of one core at `level`, as the kernel reports it."""
    for index in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*"):
        try:
            facts = {name: _read(f"{index}/{name}") for name in ("level", "type", "size")}
        except OSError:
            continue
        if facts["level"] == str(level) and facts["type"] in ("Data", "Unified"):
            unit = {"K": 1 << 10, "M": 1 << 20}.get(facts["size"][-1:], 1)
            return int(facts["size"].rstrip("KM")) * unit
    return default


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()
