"""The rounds of Philox 4x32-10 as loop IR, on words that lie in the lower halves of 64 bits.

What is in the upper halves does not matter: multiplying drops it. So a round is two products of 32 by 32 bits, which
vectors have as one instruction, two shifts and four exclusive ors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.ir.loops import Expr, Let, Stmt, Var
from graphc.lower.math.terms import Term
from graphc.ops.random import MULTIPLIERS, ROUNDS, WEYL

UINT32, UINT64 = np.dtype(np.uint32), np.dtype(np.uint64)

Words = tuple[Term, Term, Term, Term]


def rounds(counter: Sequence[Term], key: Sequence[Term], keep: Callable[[Term], Term] = lambda term: term) -> Words:
    """Return the four words of a block; `keep` may give a value that is read more than once a name."""
    a, b, c, d = counter
    low = 0xFFFFFFFF
    for r in range(ROUNDS):
        k0, k1 = (k + r * w if r else k for k, w in zip(key, WEYL, strict=True))
        x, y = keep((a & low) * MULTIPLIERS[0]), keep((c & low) * MULTIPLIERS[1])
        a, b, c, d = (y >> 32) ^ (b ^ k0), y, (x >> 32) ^ (d ^ k1), x
    return a, b, c, d


def named(code: list[Stmt]) -> Callable[[Term], Term]:
    """Return what names values by Lets that it appends to `code`."""

    def keep(term: Term) -> Term:
        var = Var(f"w{len(code)}", term.dtype)
        code.append(Let(var, term.expr))
        return Term(var)

    return keep


def word(k: int) -> Callable[..., Expr]:
    """Return word k of the block as a scalar operation on the words of a counter and a key."""

    def definition(*words: Expr) -> Expr:
        terms = [Term(w).cast(UINT64) for w in words]
        return rounds(terms[:4], terms[4:])[k].cast(UINT32).expr

    return definition
