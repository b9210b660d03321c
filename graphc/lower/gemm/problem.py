"""What a contraction group computes: its labels by their part in the product, its factors, its epilogue."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.ir.graph import Contraction, Node
from graphc.ir.groups import Group
from graphc.ir.index import Index
from graphc.ir.loops import Apply, Expr, Kernel, Load, Stmt
from graphc.lower.epilogue import Epilogue
from graphc.lower.gemm.labels import Access, Label, Where, access_of, merged, row_major
from graphc.lower.operands import Operands
from graphc.lower.work import Launch, Operand, Temporary
from graphc.target import Target


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
        self.epilogue = Epilogue(problem.group, self.operands)

    def launch(self, body: Stmt, sums: Temporary | None = None, is_exact: bool = True) -> Launch:
        """Return the kernel's launch. `sums` is written besides the outputs; where not `is_exact`, outputs are written
        before all that belongs to their elements is read."""
        problem, operands = self.problem, self.operands
        written: frozenset[Operand] = frozenset([*problem.group.outputs, *([sums] if sums is not None else [])])
        return Launch(
            Kernel(problem.name, tuple(operands.buffers.values()), body),
            tuple(operands.buffers),
            written,
            self.epilogue.same_index() if is_exact else frozenset(),
            tuple(operands.sites.found),
        )

    def load(self, operand: Operand, index: Index) -> Load:
        return Load(self.operands.buffer(operand), (index.to_expr(),))

    def product(self, a: Expr, b: Expr) -> Expr:
        return Apply("mul", (a, b), self.problem.dtype)

    def finish(self, value: Expr, where: Where) -> list[Stmt]:
        """Return the statements that compute the epilogue for one element and store the outputs."""
        hero, labels = self.problem.hero, iter(self.problem.out)
        return self.epilogue.finish(value, tuple([Index({}) if s == 1 else where[next(labels)] for s in hero.shape]))
