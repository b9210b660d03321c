"""Compiling graphs with sizes that only the data of a call tell: without such sizes where that can be, else in stages.

bind sizes -> replace found sizes by the most that they can be -> take apart into stages -> compile each, when its sizes
are first found
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.capture import bound, called
from graphc.errors import ArgumentError
from graphc.ir import dims
from graphc.ir.dims import Found, symbols_of
from graphc.ir.found import found_in
from graphc.ir.graph import Graph
from graphc.ir.text import to_text
from graphc.lower.cost import total_cost
from graphc.options import Options
from graphc.passes.padding import Padded, padded
from graphc.passes.stages import in_order, stages
from graphc.runtime.executable import Specialization
from graphc.runtime.staged import Codes, Result, StagedRunner

Make = Callable[[Graph, Mapping[str, int], Options], Specialization]
"""What compiles a graph for some sizes."""


class Parts(tuple[Any, ...]):
    """What there is of each stage, in their order; printed one after the other."""

    def __str__(self) -> str:
        return "\n".join(f"stage {k} of {len(self)}\n\n{part}" for k, part in enumerate(self, 1))


class StagedSpecialization(Specialization):
    """Code in stages, and the codes that stages have been made for by the sizes found."""

    runner: StagedRunner

    @property
    def seconds(self) -> float:
        return float(sum([code.seconds for codes in self.runner.codes for code in codes.made]))

    @seconds.setter
    def seconds(self, value: float) -> None:
        """It is the sum of what there is."""


def staged(
    make: Make,
    found: Mapping[str, Found],
    graph: Graph,
    sizes: Mapping[str, int],
    options: Options,
    *,
    is_reference: bool,
) -> Specialization:
    """Return code that finds sizes as it runs, with that of its first stage made; or code of no such size, where the
    most that they can be does."""
    whole = Graph(graph.inputs, (*graph.outputs, *[f.count for f in found.values()]), graph.updates, graph.name)
    known = bound(whole, sizes)
    plain = Graph(known.inputs, known.outputs[: len(graph.outputs)], known.updates, known.name)
    counts = dict(zip(found, known.outputs[len(graph.outputs) :], strict=True))
    order = in_order((*plain.results, *counts.values()), counts)
    # The reference is as written; and where NaNs are looked for, there is to be no element that means nothing.
    limits = {} if is_reference or options.check_nan else _most(found, sizes)
    static = padded(plain.results, order, counts, limits)
    if not static.nonempty and all(r.tensor_type.is_static for r in plain.results):
        prepared = plain.replace_results(static.results)
        if not any(found_in(n, counts) for n in prepared.nodes):
            return make(prepared, sizes, options)
    codes = _codes(make, plain, static, options)
    codes[0].code({})
    results = [Result(n, r.tensor_type) for n, r in zip(static.results, plain.results, strict=True)]
    runner = StagedRunner(plain, results, codes, static.nonempty, called)
    return StagedSpecialization(sizes, runner, 0.0, _shown(graph.name, runner))


def _most(found: Mapping[str, Found], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the most that found sizes can be, where that is known."""
    known: dict[str, int] = {}
    for _ in found:  # the most that one can be may be another
        limits = {name: dims.bind(f.most, {**sizes, **known}) for name, f in found.items() if f.most is not None}
        known = {name: most for name, most in limits.items() if isinstance(most, int)}
    return known


def _codes(make: Make, graph: Graph, static: Padded, options: Options) -> list[Codes]:
    """Return what makes the code of each stage."""
    shapes = [*[r.shape for r in graph.results], *[extents for _, extents in static.nonempty]]
    asked = symbols_of([size for shape in shapes for size in shape])
    return [
        Codes(stage, lambda stage_graph, found: make(stage_graph, found, options))
        for stage in stages(graph.name, static.results, static.counts, asked)
    ]


def _shown(name: str, runner: StagedRunner) -> dict[str, Callable[..., Any]]:
    """Return what can be shown of all stages: nothing on the eager backend."""
    if not runner.codes[0].made[0].stages:
        return {}

    def latest(what: str) -> list[Any]:
        made = [codes.made[-1] for codes in runner.codes if codes.made]
        missing = len(runner.codes) - len(made)
        if missing:
            raise ArgumentError(
                f"{name} runs in {len(runner.codes)} stages, of which {missing} depend on sizes that a call finds: "
                "call it first"
            )
        return [code.stages[what]() for code in made]

    def text(what: str) -> Callable[[], str]:
        return lambda: str(Parts([to_text(s) if isinstance(s, Graph) else s for s in latest(what)]))

    def profiled(arrays: Sequence[np.ndarray[Any, Any]]) -> Parts:
        found: list[Any] = []
        runner.visit(arrays, lambda code, given: found.append(code.stages["profile"](given)))
        return Parts(found)

    return {
        **{what: text(what) for what in ("optimized", "fused", "kernels", "llvm", "asm")},
        "cost": lambda: total_cost(latest("cost")),
        "explain": lambda: Parts(latest("explain")),
        "profile": profiled,
    }
