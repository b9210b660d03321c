"""Each replacement of each pass: the node before and the node after must have the same value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError, MiscompileError
from graphc.inspect.formulas import formula
from graphc.ir.graph import Graph, Node, Region, constant
from graphc.ir.journal import PassRun, Replacement
from graphc.ir.rewrite import Rule
from graphc.ir.types import TensorType, TupleType
from graphc.proof import tolerance
from graphc.proof.tolerance import Difference
from graphc.proof.values import Values

Array = np.ndarray[Any, Any]

REACH = 5
"""Steps back from a node in which a rule may have changed something: more than any rule sees."""

STABLE_DIGITS = 1e-3
"""Where a stable rule is farther from the precise value than the original was, it must still agree to this."""

PRECISE_ULPS = 8 * float(np.finfo(np.float64).eps)
"""How precise the value in higher precision is itself, for each unit of the largest number on the way to it."""

RESULT_DIGITS = 1e-3
"""To what the results of the whole graph agree before and after a pass: a second look, for what no rule reported."""


def check_rewrites(runs: Sequence[PassRun], rules: Mapping[str, Rule], given: Mapping[Node, Array]) -> None:
    """Compare what each pass replaced, on values of the leaves. Raises MiscompileError for the first fault."""
    values = Values(given)
    for run in runs:
        if not run.changed and not run.replacements:
            continue
        values.enter(run.before)
        values.enter(run.after)
        for replacement in run.replacements:
            found = _difference(replacement, rules.get(replacement.rule), values)
            if found is not None:
                raise MiscompileError(_message(run, replacement, found), replacement.before.location)
        _check_results(run, values)
        values.forget(run.after)


def _message(run: PassRun, replacement: Replacement, found: Difference) -> str:
    before, after = replacement.before, replacement.after
    return (
        f"{run.name}: the rule {replacement.rule} changed a value ({before.type}): {found}\n"
        f"  before: {formula(before, REACH)}\n  after:  {formula(after, REACH)}"
    )


def _difference(replacement: Replacement, rule: Rule | None, values: Values) -> Difference | None:
    before, after = replacement.before, replacement.after
    if before is after or isinstance(before.op, Region):
        return None  # what is read of a loop is compared item by item
    old, new = values.of(before), values.of(after)
    if old is None or new is None or isinstance(before.type, TupleType):
        return None
    old, new = np.asarray(old), np.asarray(new)
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return Difference((), f"{old.dtype}{list(old.shape)}", f"{new.dtype}{list(new.shape)}")
    near_old, near_new = tolerance.near([before], REACH), tolerance.near([after], REACH)
    changed = [n for n in near_old if n not in near_new] + [n for n in near_new if n not in near_old]
    if rule is not None and rule.stable:
        return _unstable(before, old, new, values)
    if rule is not None and not rule.exact:
        return _far(old, new)
    if rule is not None and rule.ulps:
        apart = (rule.ulps + 2) * tolerance.epsilon(old.dtype)
        return tolerance.difference(old, new, apart * tolerance.scale([old]))
    adds_up = tolerance.adds_up(changed)
    if old.dtype.kind != "f" or not (adds_up or tolerance.has_functions(changed)):
        return tolerance.exact_difference(old, new, signs=not tolerance.chooses_zeros([*near_old, *near_new]))
    size = tolerance.scale([values.of(n) for n in (*near_old, *near_new) if isinstance(n.type, TensorType)])
    allowed = tolerance.SUM_ULPS * tolerance.epsilon(old.dtype) * size * tolerance.terms(changed) ** 0.5
    if adds_up:
        old, new = finite(old, new)
    return tolerance.difference(old, new, allowed)


def _far(old: Array, new: Array) -> Difference | None:
    """Return where finite numbers differ in the digits that fast_math keeps."""
    old, new = finite(old, new)
    return tolerance.difference(old, new, tolerance.FAST_DIGITS * max(tolerance.scale([old]), 1e-30))


def finite(old: Array, new: Array) -> tuple[Array, Array]:
    """Return two arrays with zeros where one of them is not finite."""
    if old.dtype.kind != "f":
        return old, new
    both, zero = np.isfinite(old) & np.isfinite(new), old.dtype.type(0)
    return np.where(both, old, zero), np.where(both, new, zero)


def _unstable(before: Node, old: Array, new: Array, values: Values) -> Difference | None:
    """Return where the result of a stable rule is farther than the original from the value in higher precision."""
    truth = precise(before, values.of)
    if truth is None:
        return None
    with np.errstate(all="ignore"):
        truth = np.asarray(truth)
        usual = np.abs(old.astype(truth.dtype) - truth)
        now = np.abs(new.astype(truth.dtype) - truth)
        largest = float(np.finfo(old.dtype).max)
        wrong = np.isfinite(truth) & (np.abs(truth) <= largest)
        wrong &= ~(now <= STABLE_DIGITS * np.abs(truth)) & ~(now <= 2 * usual) & ~np.isnan(usual)
        wrong &= ~(now <= float(np.finfo(old.dtype).tiny)) & ~(now <= PRECISE_ULPS * _size_inside(before, values))
    if not wrong.any():
        return None
    index = tuple(int(k) for k in np.argwhere(wrong)[0])
    return Difference(index, old[index].item(), new[index].item())


def _size_inside(root: Node, values: Values) -> Array:
    """Return, for each element, the largest number on the way to it: where it cancels, precision is lost with it."""
    size = np.zeros(root.shape)
    for node in tolerance.near([root], REACH):
        if isinstance(node.type, TensorType) and node.dtype.kind == "f" and node.shape in (root.shape, ()):
            value = np.abs(np.asarray(values.of(node), np.float64)) if values.of(node) is not None else 0.0
            size = np.maximum(size, np.where(np.isfinite(value), value, 0.0))
    return size


def precise(root: Node, of: Callable[[Node], Any], members: Sequence[Node] | None = None) -> Any:
    """Return the value of a node with its last steps, or `members`, computed in higher precision; None if that fails.

    The steps from float32 are done in float64, those from float64 in long double.
    """
    inside = set(tolerance.near([root], 2 * REACH) if members is None else members)
    wide = np.dtype(np.float64) if root.dtype == np.float32 else np.dtype(np.longdouble)
    known: dict[Node, Any] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        is_inside = node in inside and bool(node.inputs) and isinstance(node.type, TensorType)
        waiting = [i for i in node.inputs if i not in known] if is_inside else []
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if node in known:
            continue
        known[node] = _precise_step(node, [known[i] for i in node.inputs], wide) if is_inside else _wide(of(node), wide)
        if known[node] is None:
            return None
    return known[root]


def _precise_step(node: Node, inputs: Sequence[Any], wide: np.dtype[Any]) -> Any:
    if isinstance(node.op, Region):
        return None
    attrs = dict(node.attrs)
    if node.op.name == "cast" and attrs["dtype"].kind == "f":
        attrs["dtype"] = wide
    try:
        with np.errstate(all="ignore"):
            return node.op.reference(*inputs, **attrs)
    except (GraphcError, TypeError, ValueError):
        return None


def _wide(value: Any, wide: np.dtype[Any]) -> Any:
    if value is None or isinstance(value, tuple):
        return None
    array = np.asarray(value)
    return array.astype(wide) if array.dtype.kind == "f" else array


def _check_results(run: PassRun, values: Values) -> None:
    """Compare the results of the whole graph, more loosely: errors of all replacements add up there."""
    if not run.changed:
        return
    size = tolerance.scale([values.of(n) for n in run.before.nodes if isinstance(n.type, TensorType)])
    for k, (before, after) in enumerate(zip(run.before.results, run.after.results, strict=True)):
        old, new = values.of(before), values.of(after)
        if before is after or old is None or new is None or before.op is constant:
            continue
        old, new = np.asarray(old), np.asarray(new)
        allowed = RESULT_DIGITS * tolerance.scale([old]) + tolerance.KERNEL_ULPS * tolerance.epsilon(old.dtype) * size
        flips = old.size // tolerance.FLIPS if tolerance.has_jumps(run.before.nodes) else 0
        old, new = finite(old, new)
        found = tolerance.difference(old, new, allowed, flips)
        if found is not None:
            raise MiscompileError(
                f"{run.name}: the pass changed result {k} ({before.type}): {found}\n"
                f"  before: {formula(before, REACH)}\n  after:  {formula(after, REACH)}",
                before.location,
            )


def graph_values(graph: Graph, arrays: Sequence[Array], state: Mapping[Node, Array]) -> dict[Node, Array]:
    """Return the values of the leaves of a graph."""
    return {**dict(zip(graph.inputs, arrays, strict=True)), **state}
