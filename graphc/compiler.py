"""Compiling: the stages in order, from the user's Tensors to code that runs.

capture -> bind sizes -> optimise -> materialize -> fuse -> lower -> emit -> jit
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from graphc.array.convert import choice
from graphc.budget import within_budget
from graphc.capture import bound, capture
from graphc.codegen.callable import SYMBOL, emit_caller, symbols
from graphc.codegen.environment import can_flush
from graphc.codegen.jit import Machine, assembly
from graphc.codegen.module import emit_module, module_key
from graphc.codegen.pool import emit_pool
from graphc.codegen.profiled import ProfiledEntry
from graphc.divisions import DivisionGuard, integer_divisions, with_flag
from graphc.errors import ArgumentError
from graphc.guards import EagerRunner, NaNGuard, cells_of
from graphc.inspect.explain import Explanation
from graphc.inspect.profile import Profile
from graphc.ir.graph import Graph
from graphc.ir.groups import Group
from graphc.ir.journal import Journal
from graphc.ir.loop_text import program_text
from graphc.ir.text import to_text
from graphc.lower.cost import Cost, program_cost
from graphc.lower.library import called_by_group
from graphc.lower.program import Lowered, lower
from graphc.nest import flatten
from graphc.options import Options, checked_options, is_set
from graphc.passes.fuse import fuse
from graphc.passes.materialize import materialize
from graphc.passes.release import release
from graphc.passes.rematerialize import rematerialize
from graphc.peaks import peaks
from graphc.pipeline import RULES, optimize, print_if_asked, run_pass
from graphc.profiling import profile
from graphc.proof.kernels import Finish, ProvenRunner, exposed, spoiled
from graphc.runtime.callpath import MAX_VALUES, Path, reads_arrays, works
from graphc.runtime.executable import Executable, Runner, Specialization
from graphc.runtime.inputs import InputSpec
from graphc.runtime.native import NativeRunner, Signature
from graphc.runtime.pool import POOL
from graphc.runtime.state import Cell, aligned_empty, holding, require_memory, share_lock
from graphc.staging import staged
from graphc.target import host
from graphc.tensor import Tensor, Variable


def compile(
    inputs: Sequence[Tensor],
    outputs: Any,
    updates: Mapping[Variable, Any] | None = None,
    givens: Mapping[Tensor, Any] | None = None,
    *,
    name: str | None = None,
    backend: str = "llvm",
    options: Options | None = None,
) -> Executable:
    """Compile a graph to a function of arrays.

    inputs     placeholders, in the order of the function's arguments; by name they are keywords too
    outputs    a Tensor, or any nest of lists, tuples and dicts of Tensors: the function returns the same nest of arrays
    updates    {variable: its new value}: outputs and new values see the variables as they were before the call, then
               all are updated together
    givens     {tensor: replacement}: replaced wherever the outputs and updates use it
    backend    "llvm" (native code) or "eager" (node by node on NumPy, the meaning of every operation)

    Raises ArgumentError, ShapeError or DTypeError for what cannot be compiled.

    >>> x = gx.placeholder((2,), name="x")
    >>> total = gx.variable(0.0, dtype="float32", name="total")
    >>> add = gx.compile([x], total, updates={total: total + gx.sum(x)})
    >>> [float(add([1, 2])), float(add([3, 4])), float(total.value)]
    [0.0, 3.0, 10.0]
    """
    options = checked_options(options)
    choice("compile", "backend", backend, ("llvm", "eager"))
    if options.flush_denormals and backend == "llvm" and not can_flush(host()):
        raise ArgumentError(f"compile: flush_denormals is for x86-64 and AArch64, this machine is {host().triple}")
    captured = capture(inputs, outputs, updates, givens, name)
    graph = captured.graph
    share_lock(cells_of(graph))
    make = _eager if backend == "eager" else _native
    if captured.found:
        make = partial(staged, make, captured.found, is_reference=backend == "eager")
    return Executable(
        graph.name,
        [InputSpec(n.attrs["name"], n.tensor_type, n.location) for n in graph.inputs],
        captured.structure,
        lambda sizes: make(graph, sizes, options),
        {"graph": lambda: graph, "optimized": lambda: optimize(graph, options), "text": lambda: to_text},
        caller() if backend == "llvm" else None,
        checked=not captured.symbols,
    )


def prepare(graph: Graph, options: Options, journal: Journal) -> tuple[Graph, Graph, tuple[Group, ...]]:
    """Return a graph of known sizes as optimised, as prepared for lowering, and as groups, one kernel each."""
    optimized = optimize(graph, options, journal)
    # After the last cse, which would undo them.
    released = run_pass(release, optimized, options, journal)
    trimmed = run_pass(rematerialize, released, options, journal)
    fitting = run_pass(within_budget(options, host()), trimmed, options, journal)
    prepared = run_pass(materialize, fitting, options, journal)
    with journal.timed("fuse"):
        groups = fuse(prepared, host(), journal.decisions.append if journal.detailed else None)
    print_if_asked("fuse", lambda: "\n".join(map(str, groups)))
    return optimized, prepared, groups


@lru_cache(maxsize=1)
def caller() -> Machine | None:
    """Return the machine code that serves calls, made and tried once a process; None where it does not work."""
    for by_buffer in (False, True):
        if by_buffer or reads_arrays():
            machine = Machine(emit_caller(host(), by_buffer), SYMBOL, host(), symbols())
            if works(machine.address):
                return machine
    return None


# Code for one set of sizes.


@dataclass(frozen=True, eq=False)
class _Code:
    """Machine code, and what it was made of."""

    lowered: Lowered
    machine: Machine
    cost: Cost
    emit: Callable[[], str]

    @cached_property
    def llvm(self) -> str:
        """The LLVM IR, which was not written if the machine code was on disk."""
        return self.emit()

    def runner(
        self, arrays: Sequence[np.ndarray[Any, Any]], locked: Sequence[Cell] = (), **options: Any
    ) -> NativeRunner:
        """Return the code with the arrays of its variables; `options` are those of NativeRunner."""
        program = self.lowered.program
        signature = Signature(program.outputs, program.constants, program.arena_bytes, self.cost.seconds)
        sites, inputs = self.lowered.sites, len(program.inputs)
        return NativeRunner(self.machine, signature, arrays, sites, inputs, locked=locked, **options)


def _code(prepared: Graph, groups: Sequence[Group], options: Options, journal: Journal) -> _Code:
    with journal.timed("lower"):
        lowered = lower(prepared, groups, host(), options.threads)
    program = lowered.program
    require_memory(program.name, program.arena_bytes + sum([t.nbytes for t in program.outputs]))
    flush = options.flush_denormals and not options.verify

    def emit() -> str:
        with journal.timed("emit"):
            return emit_module(program, host(), flush_denormals=flush)

    with journal.timed("llvm"):
        machine = Machine(emit, program.symbol, host(), key=module_key(program, flush_denormals=flush))
        if lowered.threads > 1:
            POOL.prepare(lambda: Machine(emit_pool(host()), "pool", host(), level=0))
    return _Code(lowered, machine, program_cost(program, lowered.live_bytes, host()), emit)


def _native(graph: Graph, sizes: Mapping[str, int], options: Options) -> Specialization:
    journal, start = Journal(detailed=options.verify), time.perf_counter()
    with journal.timed("bind sizes"):
        known = bound(graph, sizes)
    # To look at new values before they count, compute them as outputs.
    source = Graph(known.inputs, known.results, (), known.name) if options.check_nan else known
    finish: Finish | None = NaNGuard(known) if options.check_nan else None
    divisions = integer_divisions(known)
    if divisions and finish is None and not options.verify:
        source, finish = with_flag(known, divisions), DivisionGuard(divisions)
    optimized, prepared, groups = prepare(source, options, journal)
    code = _code(prepared, groups, options, journal)
    runner: Runner
    if options.verify:
        runner = _proven(known, prepared, groups, options, journal, code, finish)
    else:
        locked = cells_of(known if options.check_nan else prepared)
        runner = code.runner([c.array for c in cells_of(prepared)], locked, finish=finish)
    seconds = dict(journal.seconds)
    if is_set("GRAPHC_TIME"):
        sys.stderr.write(_times(graph.name, journal))
    stages: dict[str, Callable[..., Any]] = {
        "optimized": lambda: optimized,
        "fused": lambda: "\n".join(map(str, groups)),
        "kernels": lambda: program_text(code.lowered.program),
        "llvm": lambda: code.llvm,
        "asm": lambda: assembly(code.llvm, host()),
        "cost": lambda: code.cost,
        "explain": lambda: _explained(source, sizes, options, code.cost, seconds),
        "profile": lambda arrays: _profiled(graph.name, sizes, prepared, options, code, arrays),
    }
    return Specialization(sizes, runner, time.perf_counter() - start, stages)


def _proven(
    known: Graph,
    prepared: Graph,
    groups: Sequence[Group],
    options: Options,
    journal: Journal,
    code: _Code,
    finish: Finish | None,
) -> ProvenRunner:
    """Return a runner that compares rewrites and kernels with the reference, on copies of the variables."""
    shown = exposed(prepared, groups)
    plain = _code(shown, groups, options, Journal())
    state = {v: aligned_empty(v.shape, v.dtype) for v in prepared.variables}
    program = code.runner(list(state.values()), allocate=spoiled)
    beside = plain.runner([state[v] for v in shown.variables], allocate=spoiled)
    return ProvenRunner(known, prepared, groups, journal.runs, RULES, shown, program, beside, state, finish)


def _explained(
    graph: Graph, sizes: Mapping[str, int], options: Options, cost: Cost, seconds: Mapping[str, float]
) -> Explanation:
    """Go through the stages that decide once more, writing everything down this time."""
    journal = Journal(detailed=True)
    optimized, prepared, groups = prepare(graph, options, journal)
    return Explanation(
        graph.name,
        sizes,
        graph,
        optimized,
        prepared,
        tuple(journal.runs),
        groups,
        tuple(journal.decisions),
        {g: called for g in groups if (called := called_by_group(g, host().has_fma))},
        cost,
        seconds,
    )


def _profiled(
    name: str,
    sizes: Mapping[str, int],
    prepared: Graph,
    options: Options,
    code: _Code,
    arrays: Sequence[np.ndarray[Any, Any]],
) -> Profile:
    """Measure the code on copies of its variables."""
    cells = cells_of(prepared)
    copies = [aligned_empty(c.array.shape, c.array.dtype) for c in cells]
    with holding(cells):
        values = [c.array.copy() for c in cells]

    def reset() -> None:
        for copy, value in zip(copies, values, strict=True):
            copy[...] = value

    program = code.lowered.program
    llvm = emit_module(program, host(), ProfiledEntry, flush_denormals=options.flush_denormals)
    machine = Machine(llvm, program.symbol, host())
    timed = replace(code, machine=machine).runner(copies, further=1)
    call = _direct(prepared, code.runner(copies), [a.shape for a in arrays])
    return profile(name, sizes, code.lowered, call, timed, reset, arrays, peaks())


def _direct(graph: Graph, runner: NativeRunner, shapes: Sequence[tuple[int, ...]]) -> Callable[..., Any]:
    """Return what calls code as users do."""
    served, entry = caller(), runner.entry(shapes)
    if served is None or entry is None or len(graph.inputs) + len(graph.outputs) > MAX_VALUES:
        return lambda *arrays: runner.run(arrays)
    specs = [InputSpec(n.attrs["name"], n.tensor_type, None) for n in graph.inputs]
    path = Path(specs, flatten([0] * len(graph.outputs))[1], lambda *arrays: runner.run(arrays))
    path.add(entry)
    return path.callable(served.address)


def _times(name: str, journal: Journal) -> str:
    total = sum(journal.seconds.values())
    lines = [f"# {name}: compiled in {total * 1e3:.1f} ms"]
    lines += [f"# {s * 1e3:10.1f} ms {s / total:5.0%}  {stage}" for stage, s in journal.seconds.items()]
    return "\n".join(lines) + "\n"


def _eager(graph: Graph, sizes: Mapping[str, int], options: Options) -> Specialization:
    start = time.perf_counter()
    known = bound(graph, sizes)
    return Specialization(sizes, EagerRunner(known, options), time.perf_counter() - start, {})
