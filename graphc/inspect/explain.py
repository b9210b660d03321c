"""What the compiler did to a program and why, for people who need not know compilers: `Executable.explain()`.

print(step.explain())                    the whole story
step.explain().passes                    every application of a pass: seconds, nodes, rules that fired
print(step.explain().diff("simplify"))   the graph before and after a pass, as a diff of their texts
step.explain().decisions                 every pair of operations that was put together, or not, and the reason
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphc.errors import ArgumentError, Location
from graphc.inspect.formulas import formula
from graphc.ir.graph import Graph, Node
from graphc.ir.groups import Decision, Group
from graphc.ir.index import source_of
from graphc.ir.journal import PassRun, Replacement
from graphc.ir.text import to_text
from graphc.lower.cost import Cost

RULE_DEPTH, KERNEL_DEPTH = 3, 6
"""Operations inside one another that the formulas of rules and of kernels show."""

MAX_KERNELS = 100
"""Kernels that the report lists."""

EXAMPLES = 8
"""Rules of one pass, and decisions against fusing, that the report shows before it counts the rest."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The story of one compilation; printing it tells it.

    name, sizes   of the program, and the sizes it was compiled for
    before        the graph as the user built it, of known sizes
    after         the graph as it was optimised; `prepared` is it with memory for each result
    passes        every application of a pass, in order
    groups        what became one kernel each
    decisions     pairs of operations that were put together, or not, and why
    library       functions of the C library that a group calls for one element at a time, where it does
    cost          what one call does
    seconds       of each stage of the compilation
    """

    name: str
    sizes: Mapping[str, int]
    before: Graph
    after: Graph
    prepared: Graph
    passes: tuple[PassRun, ...]
    groups: tuple[Group, ...]
    decisions: tuple[Decision, ...]
    library: Mapping[Group, tuple[str, ...]]
    cost: Cost
    seconds: Mapping[str, float]

    def diff(self, name: str, turn: int | None = None) -> str:
        """Return what a pass changed as a unified diff of the graph's text before and after it.

        turn: of the pipeline, from 1; None for the first in which the pass changed something.
        Raises ArgumentError for a pass that did not run.
        """
        runs = [r for r in self.passes if r.name == name and (turn is None or r.round == turn)]
        if not runs:
            ran = sorted({r.name for r in self.passes})
            raise ArgumentError(f"diff: no pass {name!r} ran in turn {turn or 'any'}; these did: {', '.join(ran)}")
        run = next((r for r in runs if r.changed), runs[0])
        before, after = to_text(run.before).splitlines(), to_text(run.after).splitlines()
        return "\n".join(difflib.unified_diff(before, after, f"before {name}", f"after {name}", lineterm="", n=1))

    def __str__(self) -> str:
        parts = [self._summary(), self._rewrites(), self._kernels(), self._memory(), self._times()]
        return "\n\n".join(parts) + "\n"

    __repr__ = __str__

    # The parts of the report.

    def _summary(self) -> str:
        sizes = ", ".join(f"{k}={v}" for k, v in self.sizes.items())
        head = f"{self.name}{f' for {sizes}' if sizes else ''}: {_count(len(self.groups), 'kernel')} for "
        head += (
            f"{_count(_operations(self.before), 'operation')}, compiled in {sum(self.seconds.values()) * 1e3:.0f} ms"
        )
        return f"{head}\n{'=' * len(head)}\n{_ABOUT}"

    def _rewrites(self) -> str:
        before, after = _operations(self.before), _operations(self.after)
        lines = [_heading(f"Rewriting: {before} -> {after} operations"), _REWRITING]
        idle = []
        for name in dict.fromkeys(r.name for r in self.passes):
            runs = [r for r in self.passes if r.name == name]
            if any(r.changed for r in runs):
                lines += self._pass(name, runs)
            else:
                idle.append(name)
        return "\n".join([*lines, *([f"\nnothing to do: {', '.join(idle)}"] if idle else [])])

    def _pass(self, name: str, runs: Sequence[PassRun]) -> list[str]:
        changing = [r for r in runs if r.changed]
        milliseconds = sum(r.seconds for r in runs) * 1e3
        difference = sum(_operations(r.after) - _operations(r.before) for r in changing)
        replacements = [p for r in changing for p in r.replacements]
        what = f"{_count(len(replacements), 'replacement')}, {difference:+d} operations"
        lines = [f"\n{name}: {runs[0].purpose}", f"    ({what}, {milliseconds:.1f} ms)"]
        fired = Counter(p.rule for p in replacements)
        for rule, count in fired.most_common(EXAMPLES):
            lines += _example(rule, count, next(p for p in replacements if p.rule == rule))
        if len(fired) > EXAMPLES:
            lines.append(f"    and {_count(len(fired) - EXAMPLES, 'more rule')}: {', '.join(list(fired)[EXAMPLES:])}")
        return lines

    def _kernels(self) -> str:
        lines = [_heading(f"Kernels: {_operations(self.after)} operations in {_count(len(self.groups), 'kernel')}")]
        lines.append(_KERNELS)
        names = _value_names(self.prepared, self.groups)
        together = _reasons(self.groups, self.decisions)
        for k, group in enumerate(self.groups[:MAX_KERNELS], 1):
            lines += [*_kernel(k, group, names), *together[group], *_slow(self.library.get(group, ()))]
        if len(self.groups) > MAX_KERNELS:
            lines.append(f"     and {_count(len(self.groups) - MAX_KERNELS, 'kernel')} more, in `groups`")
        apart = _apart([d for d in self.decisions if not d.fused], self.groups, names)
        if apart:
            lines += ["\nWhat stayed apart, though one is computed from the other, or both read the same:", *apart]
        return "\n".join(lines)

    def _memory(self) -> str:
        cost = self.cost
        flops, functions = _quantity(cost.flops, "operation"), _quantity(cost.transcendentals, "function value")
        runs, bound = _count(cost.launches, "kernel run"), _bytes(cost.live_bytes)
        lines = [
            _heading("One call"),
            f"computes   {flops} on numbers and {functions} (exp, log, ...)",
            f"moves      {_bytes(cost.bytes)} in {runs} of {_count(cost.kernels, 'different kernel')}",
            f"takes      about {_duration(cost.seconds)} on one core, by estimate{_divided(cost.threads)}",
            f"keeps      {_bytes(cost.arena_bytes)} for values in between; {bound} is the least possible",
        ]
        if cost.library:
            lines.append(f"calls      {_listed(cost.library)} of the C library one element at a time")
        updated = [v.attrs["name"] for v, _ in self.before.updates]
        if updated:
            lines.append(f"updates    {_count(len(updated), 'variable')}: {_listed(updated)}")
        return "\n".join(lines)

    def _times(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        lines = [_heading(f"Compiling took {total * 1e3:.0f} ms")]
        for stage, seconds in sorted(self.seconds.items(), key=lambda s: -s[1]):
            if seconds > 0.005 * total:
                lines.append(f"{stage:<18} {seconds * 1e3:8.1f} ms {seconds / total:5.0%}")
        return "\n".join(lines)


_ABOUT = (
    "The program as it was written became a shorter one with the same results, and that became native loops\n"
    "(kernels). Each `at` names the line of your program that an operation comes from."
)
_REWRITING = (
    "Each pass replaces operations by cheaper or more accurate ones with the same value. Under a pass: its rules,\n"
    "how often each was used, and the first use."
)
_KERNELS = (
    "A kernel computes its operations together, element by element, so that only the results (t1, t2, ...) go to\n"
    "memory; a, b, ... are values inside a kernel that it uses more than once.\n"
)


def _heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _quantity(number: int, noun: str) -> str:
    for unit, word in ((10**9, "billion"), (10**6, "million")):
        if number >= unit:
            return f"{number / unit:.1f} {word} {noun}s"
    return _count(number, noun)


def _bytes(number: int) -> str:
    for unit, word in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if number >= unit:
            return f"{number / unit:.1f} {word}"
    return _count(number, "byte")


def _divided(threads: int) -> str:
    return "" if threads == 1 else f"; up to {threads} threads pay for its largest kernel"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _operations(graph: Graph) -> int:
    """Return how many nodes compute something, bodies of loops included once."""
    bodies = [b for n in graph.nodes for b in n.attrs.values() if isinstance(b, Graph)]
    return sum(not n.is_leaf for n in graph.nodes) + sum(map(_operations, bodies))


def _at(location: Location | None) -> str:
    return f"    at {location}" if location is not None else ""


def _example(rule: str, count: int, first: Replacement) -> list[str]:
    times = f" ({count} times)" if count > 1 else ""
    before, after = (formula(n, RULE_DEPTH) for n in (first.before, first.after))
    change = f"{before}  ->  {after}" if before != after else f"{before}, written in another way"
    return [f"    {rule}{times}: {change}", *([f"        at {first.before.location}"] if first.before.location else [])]


def _value_names(graph: Graph, groups: Sequence[Group]) -> dict[Node, str]:
    """Return what the values in memory are called in the report: results by where they go, others t1, t2, ..."""
    names: dict[Node, str] = {}
    for k, output in enumerate(graph.outputs):
        names.setdefault(output, "output" if len(graph.outputs) == 1 else f"output[{k}]")
    for variable, value in graph.updates:
        names.setdefault(value, f"new {variable.attrs['name']}")
    inner = [value for group in groups for value in group.outputs if value not in names]
    names.update({value: f"t{k}" for k, value in enumerate(inner, 1)})
    return names


def _kernel(number: int, group: Group, names: Mapping[Node, str]) -> list[str]:
    local = _shared(group, names)
    known = {**names, **local}
    lines: list[str] = []
    for node in group.nodes:
        if node in local or node in group.outputs:
            head = f"{'' if lines else f'{number}.':>4} {known[node]} = {formula(node, KERNEL_DEPTH, known)}"
            lines.append(head if node in local else f"{head}    {node.type}")
    lines += [f"       at {place}" for place in _places(group.nodes)]
    if group.bodies:
        lines += [f"     {line}" for line in _body(group)]
    return lines


def _slow(library: Sequence[str]) -> list[str]:
    return [f"       slow: calls {', '.join(library)} of the C library one element at a time"] if library else []


def _shared(group: Group, names: Mapping[Node, str]) -> dict[Node, str]:
    """Name the values that a kernel uses more than once and does not store."""
    readers = Counter(source_of(i) for n in group.nodes for i in n.inputs)
    shared = [n for n in group.nodes if readers[n] > 1 and n not in names and n.op.name != "check_index"]
    letters = "abcdefghijklmnopqrs"
    return {n: letters[k] if k < len(letters) else f"a{k - len(letters) + 1}" for k, n in enumerate(shared)}


def _body(group: Group) -> list[str]:
    """Return the kernels that each step of a loop, or a branch, runs."""
    assert group.hero is not None
    heads = {
        "body": f"in each of {group.hero.attrs['length']} steps:" if "length" in group.hero.attrs else "in each step:",
        "test": "before each step, whether there is one:",
        "on_true": "if it holds:",
        "on_false": "else:",
    }
    lines: list[str] = []
    for name, body in group.hero.bodies.items():
        names = _value_names(body, group.bodies[name])
        lines.append(heads[name])
        for k, inner in enumerate(group.bodies[name], 1):
            lines += _kernel(k, inner, names)
    return lines


def _places(nodes: Iterable[Node]) -> list[str]:
    """Return the user's lines that nodes come from, each once, at most three."""
    found = list(dict.fromkeys(str(n.location) for n in nodes if n.location is not None))
    return found[:3] + ([f"{_count(len(found) - 3, 'more line')}"] if len(found) > 3 else [])


def _reasons(groups: Sequence[Group], decisions: Iterable[Decision]) -> dict[Group, list[str]]:
    """Return, for each kernel, a line that tells why its operations are together; none where there is one alone."""
    home = {n: g for g in groups for n in g.nodes}
    found: dict[Group, Counter[str]] = {g: Counter() for g in groups}
    for decision in decisions:
        group = home.get(decision.consumer)
        if decision.fused and group is not None and decision.producer in group.axes:
            found[group][decision.reason] += 1
    lines = {g: "; ".join([reason for reason, _ in reasons.most_common(2)]) for g, reasons in found.items()}
    return {g: [f"       together: {line}"] if line else [] for g, line in lines.items()}


def _apart(refused: Iterable[Decision], groups: Sequence[Group], names: Mapping[Node, str]) -> list[str]:
    """Return, by reason, which values in memory are not computed together with those that need them."""
    home = {n: g for g in groups for n in g.nodes}
    pairs: dict[str, dict[str, None]] = {}
    for decision in refused:
        producer, group = names.get(decision.producer), home.get(decision.consumer)
        if producer is None or group is None:
            continue
        reader = names[decision.consumer] if decision.consumer in names else names[group.outputs[0]]
        if producer != reader:
            pairs.setdefault(decision.reason, {})[f"{producer} and {reader}"] = None
    lines = []
    for reason, found in list(pairs.items())[:EXAMPLES]:
        shown, more = list(found)[:4], len(found) - 4
        lines.append(f"    {', '.join(shown)}{f' and {more} more' if more > 0 else ''}: {reason}")
    return lines
