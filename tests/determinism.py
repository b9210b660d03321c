"""Print digests of the code of many programs, in a process in which no set has its usual order.

    python -m tests.determinism SALT

What is compared by identity is hashed by its address, and so ordered in a set by chance; here the salt decides.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator

from graphc.capture import capture
from graphc.codegen.module import emit_module
from graphc.compiler import prepare
from graphc.ir.graph import Graph, Node, Op
from graphc.ir.journal import Journal
from graphc.ir.loops import Apply, Buffer, Function, Kernel, Load, Var
from graphc.ir.program_key import program_key
from graphc.lower.memory import Storage
from graphc.lower.program import lower
from graphc.lower.work import Launch, Loop, Temporary
from graphc.options import Options
from graphc.passes.fusion.legality import Draft
from scripts.benchmarks.graphs import GRAPHS, layers
from scripts.benchmarks.peers.with_graphc import build
from scripts.benchmarks.programs import SUITES, programs_of
from tests.machine import MACHINE
from tests.random_graphs import RandomChoices, random_program

BY_IDENTITY = (
    Node, Op, Graph, Var, Buffer, Load, Apply, Function, Kernel, Launch, Loop, Temporary, Draft, Storage,
)  # fmt: skip
RANDOM_PROGRAMS = 60


def main() -> None:
    salt = sys.argv[1]
    for kind in BY_IDENTITY:
        kind.__hash__ = lambda self: hash((salt, id(self)))  # type: ignore[assignment,method-assign,misc]
    for name, graph in programs():
        _, prepared, groups = prepare(graph, Options(), Journal())
        program = lower(prepared, groups, MACHINE).program
        text = hashlib.sha256(emit_module(program, MACHINE).encode()).hexdigest()
        sys.stdout.write(f"{name}: {program_key(program)} {text}\n")


def programs() -> Iterator[tuple[str, Graph]]:
    built = [(p.name, build(p)) for suite in SUITES for p in programs_of(suite, is_quick=True)]
    built += [(name, of_size(40)) for name, of_size in GRAPHS.items()]
    built += [("layers", layers(3)), ("many layers", layers(40, 16, 4))]
    for name, (inputs, outputs, updates) in built:
        yield name, capture(inputs, outputs, updates, None, None).graph
    for seed in range(RANDOM_PROGRAMS):
        yield f"random {seed}", random_program(RandomChoices(seed)).graph


if __name__ == "__main__":
    main()
