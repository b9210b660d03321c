"""What a contraction group computes: its labels by their part in the product, its factors, its epilogue."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.ir.graph import Contraction, Elementwise, Node
from graphc.ir.groups import Group
from graphc.ir.index import Index, flatten, operands_met, source_of
from graphc.ir.loops import CHEAP, Apply, Expr, Kernel, Let, Load, Stmt, Var
from graphc.lower.gemm.labels import Access, Label, Where, access_of, merged, row_major
from graphc.lower.operands import Operands
from graphc.lower.work import Launch, Operand, Temporary
from graphc.target import Target

EPILOGUE_IN_REGISTERS = 12
"""Cheap operations up to which an epilogue is written out for each register of a tile."""


class Problem:
    """A contraction with its epilogue: out[batch, rows, columns] = epilogue(sum of a[batch, rows, k] * b[batch, k,
    columns]). Each of the four stands for any number of labels, those of size 1 left out. The last label of the result,
    if it is one of a factor alone, is one of b: the factors are exchanged if need be.
    """

    def __init__(self, group: Group, name: str, target: Target) -> None:
        assert group.hero is not None
        self.group = group
        self.hero: Node = group.hero
        self.name = name
        self.target = target
        self.dtype = self.hero.dtype
        self.lanes = target.lanes(self.dtype.itemsize)
        op = self.hero.op
        assert isinstance(op, Contraction)
        all_a, all_b, out = op.dims(**self.hero.attrs)
        a, b = self.hero.inputs
        self.sizes: dict[str, int] = dict(zip(all_a + all_b, a.shape + b.shape, strict=True))
        in_a, in_b, self.out = (self._long(part) for part in (all_a, all_b, out))
        self.a, self.b = (access_of(x, part).along(kept) for x, part, kept in ((a, all_a, in_a), (b, all_b, in_b)))
        if self.out and self.out[-1] in in_a and self.out[-1] not in in_b:
            self.a, self.b = self.b, self.a
        self.result = Access(self.hero, self.out, row_major(self.out, self.sizes), 0)
        both = [c for c in self.a.labels if c in self.b.labels]
        self.batch = [c for c in self.out if c in both]
        self.summed = [c for c in both if c not in self.out]
        self.rows = [c for c in self.out if c not in self.b.labels]
        self.columns = [c for c in self.out if c not in self.a.labels]

    def exchange(self) -> None:
        """Let a and b take each other's part."""
        self.a, self.b = self.b, self.a
        self.rows, self.columns = self.columns, self.rows

    def _long(self, labels: str) -> str:
        return "".join([c for c in labels if self.sizes[c] != 1])

    def extent(self, labels: Sequence[str]) -> int:
        return math.prod([self.sizes[c] for c in labels])

    def merged(self, labels: Sequence[str], *accesses: Access) -> list[Label]:
        return merged(labels, self.sizes, *accesses)


class Body:
    """A kernel under construction: its arrays, the product of two elements, and the epilogue of one element."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.operands = Operands()
        self.stored: dict[Node, set[Index]] = {}

    def launch(self, body: Stmt, sums: Temporary | None = None, is_exact: bool = True) -> Launch:
        """Return the kernel's launch. `sums` is written besides the outputs; where not `is_exact`, outputs are written
        before all that belongs to their elements is read."""
        problem, operands = self.problem, self.operands
        written: frozenset[Operand] = frozenset([*problem.group.outputs, *([sums] if sums is not None else [])])
        return Launch(
            Kernel(problem.name, tuple(operands.buffers.values()), body),
            tuple(operands.buffers),
            written,
            self._same_index() if is_exact else frozenset(),
            tuple(operands.sites.found),
        )

    def _same_index(self) -> frozenset[Operand]:
        """Return arrays that only the epilogue reads, and only at the element it writes."""
        group, hero = self.problem.group, self.problem.hero
        factors = {source_of(i) for i in hero.inputs}
        written = {i for o in group.outputs for i in self.stored.get(o, ()) if o.shape == hero.shape}
        read = self.operands.read_exactly
        return frozenset([n for n, found in read.items() if n not in factors and found == written])

    def load(self, operand: Operand, index: Index) -> Load:
        return Load(self.operands.buffer(operand), (index.to_expr(),))

    def product(self, a: Expr, b: Expr) -> Expr:
        return Apply("mul", (a, b), self.problem.dtype)

    def epilogue_is_long(self) -> bool:
        """Whether the epilogue is too much code to repeat for each register of a tile."""
        cost = 0
        for node in self.problem.group.nodes:
            if isinstance(node.op, Elementwise):
                cost += 1 if node.op.scalar in CHEAP or node.op.scalar in ("div", "sqrt") else EPILOGUE_IN_REGISTERS
            elif node is not self.problem.hero:
                cost += 2  # a padding or a gather: an address and a load
        return cost > EPILOGUE_IN_REGISTERS

    def finish(self, value: Expr, where: Where) -> list[Stmt]:
        """Return the statements that compute the epilogue for one element and store the outputs."""
        problem = self.problem
        group, out = problem.group, problem.out
        here = {k: where[label] for k, label in enumerate(out)}
        code: list[Stmt] = []
        stores: list[Stmt] = []
        values: dict[Node, Expr] = {}
        for node in group.nodes:
            position = tuple(Index({}) if a is None else here[a] for a in group.axes[node])
            if node is problem.hero:
                result = value
            else:
                args = tuple(
                    values[source_of(i)] if source_of(i) in values else self.operands.read(i, position[: i.ndim])
                    for i in operands_met(node)
                )
                checks, result = self.operands.compute(node, args, position)
                code += checks
            var = Var(f"{node.op.name}{len(values)}", node.dtype)
            code.append(Let(var, result))
            values[node] = var
            if node in group.outputs:
                self.stored.setdefault(node, set()).add(flatten(position, node.shape))
                stores.append(self.operands.store(node, position, var))
        # Last: what is written may be the memory of what is read, at this very element.
        return [*code, *stores]
