"""What is not native: `library_calls(tensor)`."""

from __future__ import annotations

from typing import Protocol

from graphc.ir.graph import Graph, Node
from graphc.lower.library import called_by_nodes


class HasNode(Protocol):
    """A Tensor."""

    @property
    def node(self) -> Node: ...


def library_calls(*tensors: HasNode) -> tuple[str, ...]:
    """Return the functions of the C library that computing Tensors calls for one element after the other.

    None means that vectors of elements are computed at a time. That is so on CPUs with a fused multiply-add; elsewhere
    "fma" stands in `Cost.library`, which is about compiled code.

    >>> from graphc.inspect.native import library_calls
    >>> library_calls(gx.asinh(gx.placeholder((3,))))
    ()
    """
    return called_by_nodes(Graph((), tuple([t.node for t in tensors]), ()).nodes)
