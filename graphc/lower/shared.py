"""Kernels that groups share: groups that are alike but for the nodes they read and write are lowered once.

The second of two equal layers costs no more than finding out that it is one. What lowering may look at is in a group's
outline; two groups of one outline are therefore lowered to the same kernels, on other operands.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, replace

from graphc.errors import InternalError
from graphc.ir.graph import Elementwise, Gather, Node
from graphc.ir.groups import Group, GroupKind
from graphc.ir.index import is_alias
from graphc.ir.intern import Key, attr_key, kernel_key
from graphc.ir.loops import Kernel
from graphc.lower.operands import is_number
from graphc.lower.work import Launch, Operand, Temporary
from graphc.ops.index import in_range


class SharedKernels:
    """The launches of groups, in which no two kernels are the same."""

    def __init__(self, lower: Callable[[Group], list[Launch]]) -> None:
        self._lower = lower
        self._by_outline: dict[Key, tuple[tuple[Node, ...], list[Launch]]] = {}
        self._kernels: dict[str, Kernel] = {}

    def launches(self, group: Group) -> list[Launch]:
        """Return what runs a group of any kind but a region."""
        key, nodes = outline(group)
        known = self._by_outline.get(key)
        if known is not None:
            return _on_other_nodes(known[1], known[0], nodes)
        launches = [self.known(each) for each in self._lower(group)]
        if not any(each.sites for each in launches):  # a site is a line of the user's, another one in each group
            self._by_outline[key] = nodes, launches
        return launches

    def known(self, launch: Launch) -> Launch:
        """Return a launch of a kernel like this, of which there is one."""
        return replace(launch, kernel=self._unique(launch.kernel))

    def _unique(self, kernel: Kernel) -> Kernel:
        return self._kernels.setdefault(kernel_key(kernel), kernel)


def _on_other_nodes(launches: list[Launch], before: tuple[Node, ...], after: tuple[Node, ...]) -> list[Launch]:
    """Return launches on `after` instead of `before`, with temporary arrays of their own."""
    other: dict[Operand, Operand] = dict(zip(before, after, strict=True))
    for launch in launches:
        other.update((o, Temporary(o.type)) for o in launch.writes if isinstance(o, Temporary))
    return [
        Launch(
            each.kernel,
            tuple([other[o] for o in each.operands]),
            frozenset([other[o] for o in each.writes]),
            frozenset([other[o] for o in each.same_index]),
            copied=tuple([(other[target], other[source]) for target, source in each.copied]),
        )
        for each in launches
    ]


def outline(group: Group) -> tuple[Key, tuple[Node, ...]]:
    """Return all that the lowering of a group may depend on, with nodes as numbers, and the nodes by number."""
    found = _Outline(group)
    facts = tuple([_encoded(getattr(group, field.name), found.numbers) for field in fields(group)])
    return (facts, tuple(found.rows)), tuple(found.numbers)


class _Outline:
    """The nodes of a group, the views through which they read, and what is behind those, each before its users.

    Of what is behind them only the type counts, unless kernels contain it: a number, or positions along an axis.
    """

    def __init__(self, group: Group) -> None:
        self.numbers: dict[Node, int] = {}
        self.rows: list[Key] = []
        self.members = set(group.nodes)
        for member in group.nodes:
            for operand in member.inputs:
                self._see_operand(operand)
            self._see_whole(member)

    def _see_operand(self, operand: Node) -> None:
        views = []
        while operand not in self.members and is_alias(operand):
            views.append(operand)
            operand = operand.inputs[0]
        if is_number(operand) or (operand.is_leaf and isinstance(operand.op, Elementwise)):
            self._see_whole(operand)
        else:
            self._see(operand, (operand.type,))
        for view in reversed(views):
            self._see_whole(view)

    def _see_whole(self, node: Node) -> None:
        if node not in self.numbers:
            inputs = tuple([self.numbers[i] for i in node.inputs])
            attrs = [(name, attr_key(node.attrs[name])) for name in sorted(node.attrs)]
            self._see(node, (node.op, inputs, *attrs, node.type, _unchecked(node)))

    def _see(self, node: Node, row: Key) -> None:
        if node not in self.numbers:
            self.numbers[node] = len(self.numbers)
            self.rows.append(row)


def _unchecked(node: Node) -> tuple[bool, ...]:
    """Return which indices of a gather are to be checked by its kernel: that depends on what is behind them."""
    if not isinstance(node.op, Gather):
        return ()
    sizes = [node.inputs[0].shape[axis] for axis in node.attrs["axes"]]
    return tuple([not in_range(index, size) for index, size in zip(node.inputs[1:], sizes, strict=True)])


def _encoded(value: object, numbers: Mapping[Node, int]) -> Hashable:
    """Return a fact of a group with numbers for nodes."""
    if isinstance(value, Node):
        return "node", numbers[value]
    if value is None or isinstance(value, int | str | GroupKind):
        return value
    if isinstance(value, tuple | list):
        return tuple([v if type(v) is int else _encoded(v, numbers) for v in value])
    if isinstance(value, Mapping):
        return frozenset([(_encoded(k, numbers), _encoded(v, numbers)) for k, v in value.items()])
    if isinstance(value, set | frozenset):
        return frozenset([_encoded(v, numbers) for v in value])
    raise InternalError(f"lower: a group says {value!r}, which an outline does not know")
