"""stabilize: formulas written as in a textbook, in the form that does not cancel, overflow or underflow.

    log(1 + exp(x)) -> softplus(x)      1 - sigmoid(x) -> sigmoid(-x)      log(sum(exp(x))) -> shifted by the largest x

Every rule here is `stable` (graphc/ir/rewrite.py): the real number is the same, and what is computed is close to it.
That is worth computing something twice: exp(x) - 1 becomes expm1(x) also where exp(x) is needed for itself. Nothing is
recomputed in a loop that was not there: a rule replaces elementwise work by elementwise work, and a reduction by
reductions over the same axes.

FORMS are what people write. The derivative pass differentiates their right sides (see `stable_forms`), so that the
derivative of log(1 + exp(x)) is sigmoid(x) from the start, in every order, on both backends. SLOPES are what makes
derivatives lose digits, like s * (1 - s); they come after differentiation, being cheaper, but not as smooth or not as
good to differentiate themselves. stable_sums.py holds the FORMS on reductions, stable_slopes.py the SLOPES.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.graph import Graph, Node, toposort
from graphc.ir.rewrite import Index, Match, OnFire, apply_rules, call, into_bodies, variables
from graphc.ops.compositions import is_one_side, log_add_exp, log_exp_minus_one, log_one_minus_exp
from graphc.ops.elementwise import cast, erfc, exp, log1p, mul, sigmoid, softplus
from graphc.ops.special.normal import ndtr
from graphc.passes.canonicalize import RULES as CANONICAL
from graphc.passes.rules.stable_slopes import SLOPES
from graphc.passes.rules.stable_sums import CONSTANT_SHIFTS, SUMS
from graphc.passes.rules.stable_terms import negated, number, stable

a, b, x, y = variables("a", "b", "x", "y")
_exp, _expm1, _sigmoid, _tanh = call("exp", x), call("expm1", x), call("sigmoid", x), call("tanh", x)
_erf, _erfc, _ndtr = call("erf", x), call("erfc", x), call("ndtr", x)


def stabilize(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with FORMS and SLOPES in their stable form; itself when it has none."""
    return into_bodies(lambda g: apply_rules(g, RULES, on_fire, _INDEX))(graph)


def stable_forms(outputs: Sequence[Node], wrt: Sequence[Node]) -> tuple[Sequence[Node], Sequence[Node]]:
    """Return outputs of the same values made of stable forms, and what the nodes of `wrt` are in them.

    No form reaches across a node of `wrt`: others see it behind a cast that changes nothing.
    """
    if not any(n.op.name in _SIGNS for n in toposort(outputs)):
        return outputs, wrt
    hidden = {w for w in wrt if w.inputs or w.op.name == "constant"}
    seen: dict[Node, Node] = {}
    for node in toposort((*outputs, *wrt)) if hidden else ():
        new = node.with_inputs(tuple([seen[i] for i in node.inputs]))
        seen[node] = cast(new, dtype=new.dtype) if node in hidden else new
    fired: list[str] = []
    graph = Graph((), tuple([seen.get(n, n) for n in (*outputs, *wrt)]))
    # Views may move below the casts, which then would not be where `wrt` is.
    rules, index = (FORMS, _FORMS_INDEX) if hidden else (_SEEN_FORMS, _SEEN_INDEX)
    result = apply_rules(graph, rules, lambda name, *_: fired.append(name), index)
    if _NAMES.isdisjoint(fired) or len(set(result.outputs[len(outputs) :])) < len(set(wrt)):
        return outputs, wrt
    return result.outputs[: len(outputs)], result.outputs[len(outputs) :]


def _is_whole(m: Match) -> bool:
    return not is_one_side(m["x"])


def _over_one_plus_exp(m: Match) -> Node:
    """a / (1 + exp(x)) is a * sigmoid(-x), and sigmoid(x) for a = exp(x)."""
    above: Node = m["a"]
    x: Node = m["x"]
    if above.op is exp and above.inputs[0] is x:
        return sigmoid(x)
    if above.op is mul:
        for factor, power in (above.inputs, above.inputs[::-1]):
            if power.op is exp and power.inputs[0] is x:
                return factor * sigmoid(x)
    low = sigmoid(negated(x))
    return low if number(above) == 1.0 else above * low


LOGARITHMS = (
    *stable("log_one_plus_exp", (call("log", 1 + _exp), call("log1p", _exp)), call("softplus", x)),
    *stable("log_sigmoid", call("log", _sigmoid), lambda m: -softplus(negated(m["x"]))),
    *stable(
        "log_one_minus_exp",
        (call("log", -_expm1), call("log1p", -_exp)),
        lambda m: log_one_minus_exp(m["x"]),
        _is_whole,
    ),
    *stable("log_exp_minus_one", call("log", _expm1), lambda m: log_exp_minus_one(m["x"]), _is_whole),
    *stable("log_add_exp", call("log", call("exp", a) + call("exp", b)), lambda m: log_add_exp(m["a"], m["b"])),
    *stable("log_ndtr", call("log", _ndtr), call("log_ndtr", x)),
    *stable("log_one_plus", call("log", 1 + x), call("log1p", x)),
    *stable("log_one_minus", call("log", 1 - x), lambda m: log1p(negated(m["x"]))),
)

COMPLEMENTS = (
    *stable("exp_minus_one", (_exp - 1, _exp + -1), call("expm1", x)),
    *stable("one_minus_exp", (1 - _exp, -_exp + 1), -call("expm1", x)),
    *stable("over_one_plus_exp", a / (1 + _exp), _over_one_plus_exp),
    *stable("one_minus_sigmoid", (1 - _sigmoid, -_sigmoid + 1), lambda m: sigmoid(negated(m["x"]))),
    *stable("sigmoid_minus_one", (_sigmoid - 1, _sigmoid + -1), lambda m: -sigmoid(negated(m["x"]))),
    *stable("one_plus_tanh", (1 + _tanh, _tanh - -1), lambda m: sigmoid(m["x"] * 2.0) * 2.0),
    *stable("one_minus_tanh", (1 - _tanh, -_tanh + 1), lambda m: sigmoid(m["x"] * -2.0) * 2.0),
    *stable("tanh_minus_one", (_tanh - 1, _tanh + -1), lambda m: sigmoid(m["x"] * -2.0) * -2.0),
    *stable("one_plus_erf", (1 + _erf, _erf - -1), lambda m: erfc(negated(m["x"]))),
    *stable("one_minus_erf", (1 - _erf, -_erf + 1), call("erfc", x)),
    *stable("erf_minus_one", (_erf - 1, _erf + -1), -call("erfc", x)),
    *stable("one_minus_ndtr", (1 - _ndtr, -_ndtr + 1), lambda m: ndtr(negated(m["x"]))),
    *stable("one_minus_erfc", (1 - _erfc, -_erfc + 1), _erf),
    *stable("erfc_minus_one", (_erfc - 1, _erfc + -1), -_erf),
)

ROOTS = (
    *stable("root_of_square", (call("sqrt", x * x), call("sqrt", x**2)), call("abs", x)),
    *stable(
        "root_of_squares",
        [call("sqrt", p + q) for p in (x * x, x**2) for q in (y * y, y**2)],
        call("hypot", x, y),
    ),
    *stable("root_of_square_plus_one", (call("sqrt", x * x + 1), call("sqrt", x**2 + 1)), call("hypot", x, 1)),
)

FORMS = (*LOGARITHMS, *COMPLEMENTS, *ROOTS, *SUMS)
RULES = (*FORMS, *SLOPES)

_NAMES = frozenset(r.name for r in (*FORMS, *CONSTANT_SHIFTS))
_SIGNS = frozenset(("log", "log1p", "exp", "sigmoid", "tanh", "erf", "erfc", "ndtr", "sqrt", "sum"))
"""Some op of a form is one of these."""
_SEEN_FORMS = (*[r for r in CANONICAL if r.name not in ("stop_gradient", "contract_labels")], *CONSTANT_SHIFTS, *FORMS)
"""With views in one form, so that forms on reductions are seen."""
_INDEX: Index = {}
_FORMS_INDEX: Index = {}
_SEEN_INDEX: Index = {}
