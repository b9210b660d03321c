"""What lowering a group gives: kernels with the nodes and temporary arrays they read and write."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.errors import Location
from graphc.ir.graph import Graph, Node
from graphc.ir.loops import Kernel
from graphc.ir.types import TensorType
from graphc.ops.elementwise import out_of_bounds


@dataclass(frozen=True, eq=False)
class Temporary:
    """An array that lives between the kernels of one group."""

    type: TensorType


@dataclass(frozen=True)
class Site:
    """A place where a run can fail: the user's line and how to say what was wrong."""

    location: Location | None
    size: int
    wrap: bool

    def message(self, value: int) -> str:
        """Return what was wrong with an index."""
        return out_of_bounds(value, self.size, self.wrap)


Operand = Node | Temporary


@dataclass(frozen=True, eq=False)
class Launch:
    """One kernel on operands. Those in `writes` are written, the rest are read.

    `same_index` are read only at the element that is written, or earlier by the code that writes it: a result of their
    size may take their memory. `sites` are what the kernel's checks refer to. `copied` are pairs of an array that is
    written and one whose elements it holds before the kernel runs.
    """

    kernel: Kernel
    operands: tuple[Operand, ...]
    writes: frozenset[Operand]
    same_index: frozenset[Operand] = frozenset()
    sites: tuple[Site, ...] = ()
    copied: tuple[tuple[Operand, Operand], ...] = ()


@dataclass(frozen=True, eq=False)
class Loop:
    """A scan: its body to be lowered in turn and repeated."""

    node: Node
    body: Graph


Work = Launch | Loop


@dataclass(eq=False)
class Sites:
    """The checks of a kernel under construction, numbered in order."""

    found: list[Site] = field(default_factory=list)

    def add(self, location: Location | None, size: int, wrap: bool) -> int:
        self.found.append(Site(location, size, wrap))
        return len(self.found) - 1
