"""What happened to a graph on its way to code: what each pass replaced, and how long each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from graphc.ir.graph import Graph, Node
from graphc.ir.groups import Decision


@dataclass(frozen=True, eq=False)
class Replacement:
    """One firing of a rule: `before` was replaced by `after`, which has the same value."""

    rule: str
    before: Node
    after: Node


@dataclass(frozen=True, eq=False)
class PassRun:
    """One application of a pass. `round` counts the turns of the pipeline from 1; `purpose` is what it is for."""

    name: str
    round: int
    seconds: float
    before: Graph
    after: Graph
    replacements: tuple[Replacement, ...]
    purpose: str = ""

    @property
    def changed(self) -> bool:
        return self.after is not self.before


@dataclass(eq=False)
class Journal:
    """Seconds of each stage in the order in which they first ran; with `detailed` also passes and fusion decisions.

    Details keep every graph in between alive, so they are recorded only for who asks.
    """

    detailed: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    runs: list[PassRun] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    _within: float = 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to the seconds of a stage, without that of stages within it."""
        start, before = time.perf_counter(), self._within
        self._within = 0.0
        try:
            yield
        finally:
            taken = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + taken - self._within
            self._within = before + taken
