"""Random programs through the whole compiler with verification on: see scripts/fuzz."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import graphc as gx
from graphc.array.handle import wrap
from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Node, placeholder
from graphc.ir.text import to_text
from graphc.ir.types import TensorType
from graphc.proof.values import Values
from tests import hostile
from tests.graphs import feeds, random_graph
from tests.random_graphs import Program, RandomChoices, random_program

Array = np.ndarray[Any, Any]

CUTS = 200
"""Tries to make a faulty program smaller."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the first program; each next is one more"
    )
    parser.add_argument("--hostile", action="store_true", help="call public functions with hostile arguments instead")
    options = parser.parse_args()
    if options.hostile:
        return attack(options.minutes, options.seed)
    end, seed, faults = time.monotonic() + 60 * options.minutes, options.seed, 0
    while time.monotonic() < end:
        for program in programs(seed):
            faults += report(program, seed)
        seed += 1
        if seed % 100 == 0:
            sys.stderr.write(f"\r{seed - options.seed} seeds, {faults} faults ")
    sys.stdout.write(f"{seed - options.seed} seeds from {options.seed}, {faults} faults\n")
    return 1 if faults else 0


def attack(minutes: float, seed: int) -> int:
    """Call every public function with hostile arguments, each in a process of its own, until the time is up."""
    end, faults, rounds = time.monotonic() + 60 * minutes, 0, 0
    while time.monotonic() < end:
        for name in hostile.targets():
            if time.monotonic() >= end:
                break
            faults += attacked(name, seed + rounds)
        rounds += 1
    sys.stdout.write(f"hostile arguments: {rounds} rounds from {seed}, {faults} faults\n")
    return 1 if faults else 0


def attacked(name: str, seed: int) -> int:
    """Call one function in another process; print what went wrong, a crash or a hang included."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.hostile", name, str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        found, code = done.stdout + done.stderr * (done.returncode < 0), done.returncode
    except subprocess.TimeoutExpired:
        found, code = "no end within 300 s\n", 1
    if code:
        sys.stdout.write(f"gx.{name}, seed {seed}, exit code {code}:\n{found}")
        sys.stdout.flush()
    return int(code != 0)


def programs(seed: int) -> Sequence[Program]:
    """Return the programs of a seed, from both generators of the tests."""
    graph = random_graph(seed, exact=bool(seed % 2), size=30)
    inputs, variables = feeds(graph, seed, edges=seed % 3 == 0)
    return random_program(RandomChoices(seed)), Program(graph, tuple(inputs), variables, frozenset())


def report(program: Program, seed: int) -> int:
    """Run a program; print the least program that shows its fault, if it has one. Return the number of faults."""
    fault = fault_of(program)
    if fault is None:
        return 0
    program = least(program)
    lines = [f"seed {seed}: {fault_of(program) or fault}", "", to_text(program.graph)]
    lines += [f"# {n.attrs['name']} = {a!r}" for n, a in zip(program.graph.inputs, program.inputs, strict=True)]
    sys.stdout.write("\n".join([*lines, "===", ""]))
    sys.stdout.flush()
    return 1


def fault_of(program: Program) -> str | None:
    """Return what goes wrong in a run with verification, if something does: not an error that the program means."""
    state = {n: gx.variable(a, name=n.attrs["name"]) for n, a in program.variables.items()}
    graph = program.graph.rewrite(lambda n, inputs: state[n].node if n in state else n.with_inputs(inputs))
    try:
        run = gx.compile(
            [wrap(i) for i in graph.inputs],
            [wrap(o) for o in graph.outputs],
            updates={state[v]: wrap(value) for v, value in graph.updates},
            options=gx.Options(verify=True),
        )
        run(*program.inputs)
    except gx.InternalError as error:
        return str(error)
    except GraphcError:
        return None
    except Exception as error:  # noqa: BLE001  (any other error is a fault too)
        return f"{type(error).__name__}: {error}"
    return None


def least(program: Program) -> Program:
    """Return a program that still has a fault, with fewer results and with values fed where they were computed."""
    for _ in range(CUTS):
        smaller = next((p for p in smaller_programs(program) if fault_of(p) is not None), None)
        if smaller is None:
            return program
        program = smaller
    return program


def smaller_programs(program: Program) -> Sequence[Program]:
    graph = program.graph
    found = []
    if len(graph.results) > 1:
        found += [replace(program, graph=Graph(graph.inputs, (r,), (), graph.name)) for r in graph.results]
    values = Values({**dict(zip(graph.inputs, program.inputs, strict=True)), **program.variables})
    for node in graph.nodes:
        value = values.of(node) if node.inputs and isinstance(node.type, TensorType) else None
        if value is not None and node not in graph.results:
            found.append(fed(program, node, np.asarray(value)))
    return found


def fed(program: Program, node: Node, value: Array) -> Program:
    """Return the program in which the value of a node is an input."""
    given = placeholder(name=f"given{len(program.inputs)}", type=node.type)
    graph = program.graph.rewrite(lambda n, inputs: given if n is node else n.with_inputs(inputs))
    pairs = [*zip(program.graph.inputs, program.inputs, strict=True), (given, value)]
    read = set(graph.nodes)
    kept = [(n, a) for n, a in pairs if n in read]
    inputs, arrays = tuple([n for n, _ in kept]), tuple([a for _, a in kept])
    return replace(program, graph=Graph(inputs, graph.outputs, graph.updates, graph.name), inputs=arrays)


if __name__ == "__main__":
    sys.exit(main())
