"""simplify: the same values with less work, by rules that are exact unless `fast_math` asks for more.

Exact means the same bits for every input, NaN for NaN, infinities and signs of zero included. So x + 0 stays (it makes
0 of -0) but x - 0 goes, x * 0 stays, and x == x stays for floats (it is the test for NaN). Rules with `ulps` replace a
function by arithmetic that is at least as accurate as the function promises to be. FAST rules may change NaN, infinity,
signs of zero and rounding. The rules stand in rules/.
"""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.rewrite import Index, OnFire, apply_rules, into_bodies
from graphc.passes.canonicalize import canonical_rules
from graphc.passes.rules.arrays import ARRAY_RULES, FAST_ARRAY_RULES
from graphc.passes.rules.elements import ELEMENT_RULES, FAST_ELEMENT_RULES
from graphc.passes.rules.indices import FAST_INDEX_RULES, INDEX_RULES

RULES = (*ELEMENT_RULES, *ARRAY_RULES, *INDEX_RULES)
FAST = (*FAST_ELEMENT_RULES, *FAST_ARRAY_RULES, *FAST_INDEX_RULES)


def simplify(graph: Graph, on_fire: OnFire | None = None, *, fast_math: bool = False) -> Graph:
    """Return `graph` with RULES applied, and FAST too with fast_math; itself when none matches.

    The rules of canonicalize run along, so that what one rule makes is in the form that the next one expects.
    """
    rules, index = (*canonical_rules(), *RULES, *(FAST if fast_math else ())), Index()
    return into_bodies(lambda g: apply_rules(g, rules, on_fire, index))(graph)
