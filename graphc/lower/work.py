"""What lowering a group gives: kernels with the nodes and temporary arrays they read and write."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.errors import GraphcError, Location, OutOfBoundsError, StepsError
from graphc.ir.graph import Node
from graphc.ir.loops import Kernel
from graphc.ir.types import TensorType
from graphc.ops.elementwise import out_of_bounds


@dataclass(frozen=True, eq=False)
class Temporary:
    """An array that lives between the kernels of one group."""

    type: TensorType


@dataclass(frozen=True)
class Site:
    """A place where a run can fail for an index: the user's line and how to say what was wrong."""

    location: Location | None
    size: int
    wrap: bool

    def error(self, value: int) -> GraphcError:
        """Return what to raise for an index."""
        return OutOfBoundsError(out_of_bounds(value, self.size, self.wrap), self.location)


@dataclass(frozen=True)
class LoopSite:
    """A loop that may take too many steps: the user's line and what to say."""

    location: Location | None
    message: str

    def error(self, value: int) -> GraphcError:
        return StepsError(self.message, self.location)


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
    """A region: its bodies are lowered in turn, to be repeated or chosen from."""

    node: Node


Work = Launch | Loop


@dataclass(eq=False)
class Sites:
    """The checks of a kernel under construction, numbered in order."""

    found: list[Site] = field(default_factory=list)

    def add(self, location: Location | None, size: int, wrap: bool) -> int:
        self.found.append(Site(location, size, wrap))
        return len(self.found) - 1
