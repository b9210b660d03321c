"""Graphs and kernels run as machine code, for any target that this CPU can run, on guarded memory.

Every array ends where a page ends that nobody may touch, and the bytes before it must stay as they are: an access out
of bounds ends the process or fails the test, and never passes unseen. Memory not yet written is full of NaN.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.codegen.jit import Machine
from graphc.codegen.module import emit_module
from graphc.ir.graph import Graph, Node
from graphc.ir.interpret import Failure
from graphc.ir.loops import Call, Check, Function, Kernel, Program, Region, Slot, walk
from graphc.lower.program import lower
from graphc.ops.elementwise import size
from graphc.passes.canonicalize import canonicalize
from graphc.passes.empty import replace_empty
from graphc.passes.fuse import fuse
from graphc.passes.inline import inline
from graphc.passes.materialize import materialize
from graphc.passes.release import release
from graphc.runtime.pool import POOL
from graphc.target import Target, host

Array = np.ndarray[Any, Any]

PAGE = mmap.PAGESIZE
UNTOUCHED, UNDEFINED = 0xA5, 0xFF


def _targets() -> dict[str, Target]:
    """Return the host, and what else its code can be made for such that it still runs here."""
    here = host()
    found = {"host": here}
    if here.triple.startswith("x86_64"):
        found["sse2"] = replace(here, cpu="x86-64", features="", vector_bytes=16, vector_registers=16, has_fma=False)
        if here.vector_bytes >= 32 and here.has_fma:
            found["avx2"] = replace(here, cpu="x86-64-v3", features="", vector_bytes=32, vector_registers=16)
    return found


TARGETS = _targets()


class _Memory:
    """Pages that end with one that cannot be touched, and an array that ends just before it."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        pages = -(-nbytes // PAGE) + 1
        self.before = pages * PAGE - nbytes
        self.bytes = np.frombuffer(mmap.mmap(-1, (pages + 1) * PAGE), np.uint8)
        self.address = self.bytes.ctypes.data + self.before
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(self.bytes.ctypes.data + pages * PAGE), PAGE, 0):
            raise OSError("mprotect failed")
        self.bytes[: self.before] = UNTOUCHED
        inside = self.bytes[self.before : self.before + nbytes]
        inside[:] = UNDEFINED
        self.array = inside.view(dtype).reshape(shape)

    def check(self, what: str) -> None:
        assert (self.bytes[: self.before] == UNTOUCHED).all(), f"bytes before {what} were written"


def _holding(array: Array) -> _Memory:
    memory = _Memory(array.shape, array.dtype)
    memory.array[...] = array
    return memory


class LoweredGraph:
    """A graph of static shapes as a program. Passes are up to the caller, but for those that lowering needs."""

    def __init__(self, graph: Graph, target: Target) -> None:
        if any(n.op is size for n in graph.nodes):
            graph = canonicalize(graph)  # makes sizes the constants that lowering takes them to be
        self.graph = materialize(replace_empty(release(inline(graph))))
        self.groups = fuse(self.graph, target)
        self.lowered = lower(self.graph, self.groups, target)
        self.program = self.lowered.program


class NativeGraph(LoweredGraph):
    """A graph of static shapes as machine code."""

    def __init__(self, graph: Graph, target: Target | None = None, pool: int = POOL.address) -> None:
        """`pool` is the address of the header of the thread pool to use."""
        target = target or host()
        super().__init__(graph, target)
        self.pool = pool
        self.machine = Machine(emit_module(self.program, target), self.program.symbol, target)

    def __call__(self, inputs: Sequence[Array], variables: Mapping[Node, Array] | None = None) -> tuple[Array, ...]:
        """Return outputs, then new values of the updated variables; raise the error of a check that fails."""
        variables = variables or {}
        program, states = self.program, self.graph.variables
        given = [_holding(np.asarray(a, t.dtype)) for a, t in zip(inputs, program.inputs, strict=True)]
        outputs = [_Memory(t.shape, t.dtype) for t in program.outputs]
        state = {v: _holding(variables[v]) for v in states}
        constants = [_holding(c) for c in program.constants]
        arena = _Memory((-(-program.arena_bytes // 64) * 64,), np.dtype(np.uint8))
        memories = [*given, *outputs, *state.values(), *constants, arena]
        failure = _run(self.machine, memories, self.pool)
        for memory, before in zip([*given, *constants], [*inputs, *program.constants], strict=True):
            assert memory.array.tobytes() == np.asarray(before, memory.array.dtype).tobytes(), "an operand was written"
        if failure is not None:
            for v, memory in state.items():
                assert memory.array.tobytes() == variables[v].tobytes(), "a run that failed moved a variable"
            site = self.lowered.sites[failure.site]
            raise site.error(failure.value)
        updated = {v for v, _ in self.graph.updates}
        for v, memory in state.items():
            kept = v in updated or memory.array.tobytes() == variables[v].tobytes()
            assert kept, "a variable without an update moved"
        return (*[m.array for m in outputs], *[state[v].array for v, _ in self.graph.updates])


Functions = Mapping[tuple[str, np.dtype[Any]], Function]


def program_of(kernel: Kernel, functions: Functions) -> Program:
    """Return a program that runs one kernel on its state."""
    slots = tuple([Slot(Region.STATE, k) for k in range(len(kernel.params))])
    sites = 1 + max([s.site for s in walk(kernel.body) if isinstance(s, Check)], default=-1)
    return Program(
        name="program",
        kernels=(kernel,),
        steps=(Call(kernel, slots, tuple(range(sites))),),
        inputs=(),
        outputs=(),
        state=tuple([b.type for b in kernel.params]),
        constants=(),
        arena_bytes=0,
        functions=functions,
    )


def run_natively(kernel: Kernel, arrays: Sequence[Array], functions: Functions, target: Target) -> Failure | None:
    """Run a kernel as machine code on `arrays`, one per parameter, in place, as `interpret.run_kernel` does.

    The same array given twice is the same memory.
    """
    program = program_of(kernel, functions)
    machine = Machine(emit_module(program, target), program.symbol, target)
    by_array = {id(a): _holding(a) for a in arrays}
    failure = _run(machine, [*[by_array[id(a)] for a in arrays], _Memory((0,), np.dtype(np.uint8))])
    for array in arrays:
        array[...] = by_array[id(array)].array
    return failure


def _run(machine: Machine, memories: Sequence[_Memory], pool: int = POOL.address) -> Failure | None:
    slots = (ctypes.c_void_p * (len(memories) + 1))(*[m.address for m in memories], pool)
    failure = (ctypes.c_int64 * 2)()
    entry: Callable[..., int] = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(machine.address)
    failed = entry(slots, failure)
    for k, memory in enumerate(memories):
        memory.check(f"array {k}")
    return Failure(failure[0], failure[1]) if failed else None
