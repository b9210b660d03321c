"""Results element by element: products without a sum, and a dot product of its own for each element."""

from __future__ import annotations

from graphc.ir.loops import PARALLEL, SERIAL, VECTOR, Accumulate, Alloc, Buffer, Load, Space, Store, block, const
from graphc.ir.types import TensorType
from graphc.lower.gemm.labels import nested, positions_of
from graphc.lower.gemm.problem import Body, Problem
from graphc.lower.work import Launch


def lower_singles(problem: Problem) -> list[Launch]:
    """Return one loop nest over the result with a dot product (or a single product) for each element."""
    dtype, body = problem.dtype, Body(problem)
    a, b = problem.a, problem.b
    loops = problem.merged(problem.out, problem.result, a.spanning(problem.out), b.spanning(problem.out))
    summed = problem.merged(problem.summed, a, b)
    where, variables = positions_of(loops)
    if not summed:
        product = body.product(body.load(a.operand, a.index(where)), body.load(b.operand, b.index(where)))
        nest = nested(loops, variables, block(*body.finish(product, where)), PARALLEL, VECTOR)
        return [body.launch(nest)]
    found, inner = positions_of(summed)
    here = {**where, **found}
    product = body.product(body.load(a.operand, a.index(here)), body.load(b.operand, b.index(here)))
    acc = Buffer("acc", TensorType(dtype, ()), Space.REGISTER)
    total = nested(summed, inner, Accumulate(acc, (), "add", product), SERIAL, VECTOR)
    element = block(Alloc(acc), Store(acc, (), const(0, dtype)), total, *body.finish(Load(acc, ()), where))
    return [body.launch(nested(loops, variables, element))]
