"""Control flow: operations with body graphs. A body has no variables; every outside value it uses is an input.

The facts of a region op that need to go into its bodies take a function that does so as their first argument:
reference(evaluate, *arrays, **attrs) with evaluate(body, arrays), and vjp(pullback, cotangents, masks, wanted, out,
*inputs) -> (cotangents of the inputs, their masks) with pullback as in parts.py, where a cotangent of None is zero,
`masks` are where cotangents may be other than zero, and `wanted` tells for which inputs one is asked.
"""

from graphc.ops.control.calls import CALLS, Rule, checkpoint, custom_vjp
from graphc.ops.control.conds import cond
from graphc.ops.control.parts import parameter, zeros
from graphc.ops.control.scans import scan, too_long
from graphc.ops.control.whiles import too_many_steps, while_loop

__all__ = [
    "CALLS",
    "Rule",
    "checkpoint",
    "cond",
    "custom_vjp",
    "parameter",
    "scan",
    "too_long",
    "too_many_steps",
    "while_loop",
    "zeros",
]
