"""What holds for every operation, on every sample: type, native code, derivatives, text, folding, fusion, errors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphc.autodiff import pullback, pushforward
from graphc.eager import evaluate
from graphc.errors import GraphcError
from graphc.ir.graph import (
    NOT_DIFFERENTIABLE,
    OPS,
    ZERO_DERIVATIVE,
    Contraction,
    Elementwise,
    Graph,
    Literal,
    Node,
    Reduction,
    Region,
    constant,
    items,
    literal,
    placeholder,
)
from graphc.ir.intern import same_graph
from graphc.ir.text import from_text, to_text
from graphc.ir.types import DTYPES, TensorType, TupleType
from graphc.ir.verify import verify
from graphc.passes.fold_constants import NEVER, fold_constants
from tests.agreement import BY_QUADRATURE, QUADRATURE_STEPS, assert_agrees, assert_identical, assert_near
from tests.native import NativeGraph
from tests.ops.samples import ALL, LEAVES, SAMPLES, Sample, Spec

Array = np.ndarray[Any, Any]


def each(samples: Sequence[Sample]) -> pytest.MarkDecorator:
    """Run a test on every sample."""
    count: dict[str, itertools.count[int]] = {}
    names = [f"{s}-{next(count.setdefault(str(s), itertools.count()))}" for s in samples]
    return pytest.mark.parametrize("sample", samples, ids=names)


def results_of(node: Node) -> tuple[Node, ...]:
    return items(node) if isinstance(node.type, TupleType) else (node,)


def graph_of(sample: Sample) -> Graph:
    inputs = sample.placeholders()
    return Graph(tuple(inputs), results_of(sample.node(inputs)))


def operation(graph: Graph) -> Node:
    """Return the node that a graph of `graph_of` is about."""
    result = graph.outputs[0]
    return result.inputs[0] if isinstance(result.inputs[:1] and result.inputs[0].op, Region) else result


def assert_results(graph: Graph, arrays: Sequence[Array], results: Sequence[Array]) -> None:
    """Require that `results` are those of the one operation in `graph`."""
    node = operation(graph)
    for result, expected in zip(results, evaluate(graph, arrays), strict=True):
        assert_agrees(node, arrays, result, expected)


def test_every_operation_has_a_sample():
    assert SAMPLES.keys() == OPS.keys() - LEAVES


@each(ALL)
def test_the_type_is_that_of_the_result(sample: Sample):
    graph = graph_of(sample)
    verify(graph)
    for output, result in zip(graph.outputs, evaluate(graph, sample.arrays()), strict=True):
        assert output.type == TensorType(result.dtype, result.shape)


# Native code.


@each(ALL)
def test_native_code_computes_the_reference(sample: Sample):
    graph, arrays = graph_of(sample), sample.arrays()
    assert_results(graph, arrays, NativeGraph(graph)(arrays))


def opposite(node: Node) -> Node:
    """Return an elementwise operation on a node that undoes itself."""
    return OPS["bitwise_not" if node.dtype.kind == "b" else "neg"](node)


def undone(array: Array) -> Array:
    return ~array if array.dtype.kind == "b" else -array


@each(ALL)
def test_fused_with_its_neighbours(sample: Sample):
    inputs = sample.placeholders()
    before = [opposite(opposite(x)) for x in inputs]
    plain = graph_of(sample)
    after = [opposite(r) for r in results_of(sample.node(before))]
    graph, arrays = Graph(tuple(inputs), tuple(after)), sample.arrays()
    native = NativeGraph(graph)
    assert_results(plain, arrays, [undone(r) for r in native(arrays)])
    loops = isinstance(OPS[sample.op], Elementwise | Reduction)
    if loops and all(i.tensor_type.size for i in (*inputs, *after)):
        assert len(native.groups) == 1
    if isinstance(OPS[sample.op], Contraction) and after[0].tensor_type.size and inputs[0].tensor_type.size:
        (group,) = [g for g in native.groups if g.hero is not None]
        assert len(group.nodes) == 2


@each([s for s in ALL if s.inputs])
def test_fused_with_neighbours_that_others_read(sample: Sample):
    """Operands and results are outputs too, and the result meets its operand again where shapes allow."""
    inputs = sample.placeholders()
    before = [opposite(x) for x in inputs]
    plain = graph_of(sample)
    results = results_of(sample.node([opposite(x) for x in before]))
    again = [opposite(x) for x in before]
    graph = Graph(tuple(inputs), (*results, *[opposite(r) for r in results], *before, *again))
    arrays, count = sample.arrays(), len(results)
    found = NativeGraph(graph)(arrays)
    assert_results(plain, arrays, found[:count])
    assert_results(plain, arrays, [undone(r) for r in found[count : 2 * count]])
    for result, array in zip(found[2 * count :], [*map(undone, arrays), *arrays], strict=True):
        assert_identical(result, array)


# Special values.

INF, NAN = np.inf, np.nan


def special_values(spec: Spec) -> Array:
    dtype = DTYPES[spec.dtype]
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        positive = [
            0.0, 1.0, 0.5, 1.5, 2.0, 2.5, 3.0, 88.0, 1 / info.eps, info.smallest_subnormal, 3 * info.smallest_subnormal,
            info.tiny, info.eps, 1 - info.epsneg, 1 + info.eps, float(info.max) / 2, info.max, INF, NAN,
        ]  # fmt: skip
        values = np.array([*positive, *[-p for p in positive[:-1]]], dtype)
    else:
        limits = np.iinfo(dtype)
        near = [v for v in (0, 1, 2, 3, 7, 100, -1, -2, -3, -7, -100) if limits.min <= v <= limits.max]
        values = np.array([*near, limits.min, limits.min + 1, limits.max, limits.max - 1], dtype)
    return values[(values >= spec.low) & (values <= spec.high)] if spec.strict else values


def _special_samples() -> list[Sample]:
    """Return one sample for each elementwise operation, dtype and set of attributes."""
    found: dict[Any, Sample] = {}
    for sample in ALL:
        if isinstance(OPS[sample.op], Elementwise) and sample.inputs:
            grid = np.meshgrid(*[special_values(s) for s in sample.inputs])
            specs = tuple([replace(s, shape=(grid[0].size,)) for s in sample.inputs])
            key = (sample.op, tuple([(s.dtype, s.strict and s.high) for s in specs]), tuple(sample.attrs.items()))
            found.setdefault(key, replace(sample, inputs=specs))
    return list(found.values())


@each(_special_samples())
def test_special_values(sample: Sample):
    arrays = [np.ascontiguousarray(a.ravel()) for a in np.meshgrid(*[special_values(s) for s in sample.inputs])]
    graph = graph_of(sample)
    assert_results(graph, arrays, NativeGraph(graph)(arrays))


# Derivatives.

TOLERANCE = 1e-7
STEP = 1e-4


OTHERWISE = ("gamma_path", "log_gamma_path")
"""The derivative of these is not that of their value: tests/random/test_distributions.py."""


def _is_differentiable(sample: Sample) -> bool:
    known = OPS[sample.op].vjp not in (NOT_DIFFERENTIABLE, ZERO_DERIVATIVE) and sample.op not in OTHERWISE
    graph = graph_of(sample)
    return known and any(i.dtype.kind == "f" for i in graph.inputs) and any(o.dtype.kind == "f" for o in graph.outputs)


DIFFERENTIABLE = [s for s in ALL if _is_differentiable(s)]
SMOOTH = list({str(w) + repr(w.attrs): w for s in DIFFERENTIABLE if (w := s.in_float64()) is not None}.values())


class Derivatives:
    """An operation at a point, with what its derivatives are asked along: tangents u and cotangents w.

    Inputs and outputs that are no floats have none.
    """

    def __init__(self, sample: Sample, shared: bool = False) -> None:
        inputs = sample.placeholders()
        self.arrays = sample.arrays()
        if shared:
            inputs, self.arrays = [inputs[0]] * len(inputs), self.arrays[:1]
        node = sample.node(inputs)
        self.inputs = list(dict.fromkeys(inputs))
        self.outputs = [r for r in results_of(node) if r.dtype.kind == "f"]
        self.wrt = [i for i in self.inputs if i.dtype.kind == "f"]
        self.u, self.v, self.w = _likes("u", self.wrt), _likes("v", self.wrt), _likes("w", self.outputs)
        self.feeds = {x: Spec(x.shape, "f64", 0.5, 1.5).array(k) for k, x in enumerate((*self.u, *self.v, *self.w))}

    def run(self, outputs: Sequence[Node | None], offset: float = 0.0, along: int | None = None) -> list[Array]:
        """Return values `offset` steps away along u, or along u of one input only; None stands for no value."""
        moved = {
            x: a + offset * self.feeds[self.u[self.wrt.index(x)]]
            if x in self.wrt and along in (None, self.wrt.index(x))
            else a
            for x, a in zip(self.inputs, self.arrays, strict=True)
        }
        given = {**moved, **self.feeds}
        found = iter(evaluate(Graph(tuple(given), tuple([o for o in outputs if o is not None])), list(given.values())))
        return [next(found) if o is not None else np.zeros(()) for o in outputs]

    def difference(self, outputs: Sequence[Node | None], along: int | None = None) -> list[Array]:
        """Return the derivatives of outputs along u, by central differences of fourth order."""
        ends = [self.run(outputs, k * STEP, along) for k in (-2, -1, 1, 2)]
        return [(8 * (c - b) - (d - a)) / (12 * STEP) for a, b, c, d in zip(*ends, strict=True)]

    def scalar(self, nodes: Sequence[Node | None], weights: Sequence[Node]) -> Node | None:
        """Return the sum of products with weights."""
        terms = [_total(n * w) for n, w in zip(nodes, weights, strict=True) if n is not None]
        return sum(terms[1:], terms[0]) if terms else None


def _likes(name: str, nodes: Sequence[Node]) -> list[Node]:
    return [placeholder(name=f"{name}{k}", type=n.tensor_type) for k, n in enumerate(nodes)]


def _total(node: Node) -> Node:
    return OPS["sum"](node, axis=tuple(range(node.ndim))) if node.ndim else node


def assert_derivative(found: Array, expected: Array, scale: float) -> None:
    found = np.broadcast_to(found, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * (scale + 1e-30))


@each(SMOOTH)
def test_reverse_mode(sample: Sample):
    case = Derivatives(sample)
    gradients = pullback(case.outputs, case.wrt, case.w)
    for k, (gradient, x) in enumerate(zip(gradients, case.wrt, strict=True)):
        assert gradient is None or gradient.type == x.type
        (found,) = case.run([gradient])
        expected = case.difference([case.scalar(case.outputs, case.w)], along=k)[0]
        u = case.feeds[case.u[k]]
        assert_derivative(np.sum(found * u), expected, np.sum(np.abs(found * u)))


@each(SMOOTH)
def test_forward_mode(sample: Sample):
    case = Derivatives(sample)
    tangents = pushforward(case.outputs, case.wrt, case.u)
    for tangent, output in zip(tangents, case.outputs, strict=True):
        assert tangent is None or tangent.type == output.type
    for found, expected in zip(case.run(tangents), case.difference(case.outputs), strict=True):
        assert_derivative(found, expected, float(np.max(np.abs(expected), initial=0)))


@each(SMOOTH)
def test_both_modes_are_adjoint(sample: Sample):
    case = Derivatives(sample)
    reverse = case.scalar(pullback(case.outputs, case.wrt, case.w), case.u)
    forward = case.scalar(pushforward(case.outputs, case.wrt, case.u), case.w)
    assert (reverse is None) == (forward is None)
    a, b = case.run([reverse, forward])
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@each(SMOOTH)
def test_second_derivative(sample: Sample):
    case = Derivatives(sample)
    first = case.scalar(pullback(case.outputs, case.wrt, case.w), case.v)
    if first is None:
        return
    second = case.run(pullback([first], case.wrt, [literal(1, first.dtype)]))
    terms = [np.sum(g * case.feeds[u]) for g, u in zip(second, case.u, strict=True)]
    (expected,) = case.difference([first])
    scale = sum([np.sum(np.abs(g * case.feeds[u])) for g, u in zip(second, case.u, strict=True)])
    assert_derivative(np.asarray(sum(terms)), expected, float(scale + np.abs(case.run([first])[0])))


@each([s for s in SMOOTH if len(s.inputs) == 2 and s.inputs[0].type == s.inputs[1].type and s.op != "atan2"])
def test_the_same_value_twice(sample: Sample):
    case = Derivatives(sample, shared=True)
    if sample.op in ("maximum", "minimum", "floor_divide", "remainder"):
        return  # ties and jumps everywhere
    (found,) = case.run(pullback(case.outputs, case.wrt, case.w))
    (expected,) = case.difference([case.scalar(case.outputs, case.w)])
    u = case.feeds[case.u[0]]
    assert_derivative(np.sum(found * u), expected, np.sum(np.abs(found * u)) + 1)


FLAT = [s for s in ALL if OPS[s.op].vjp is ZERO_DERIVATIVE and s.inputs and s.op != "stop_gradient"]


@each(FLAT)
def test_a_derivative_that_is_zero(sample: Sample):
    widened = sample.in_float64()
    assert widened is not None
    case = Derivatives(widened)
    assert pullback(case.outputs, case.wrt, case.w) == [None] * len(case.wrt)
    for difference in case.difference(case.outputs):
        assert not difference.any()


@each(DIFFERENTIABLE)
def test_native_derivatives(sample: Sample):
    inputs = sample.placeholders()
    outputs = [r for r in results_of(sample.node(inputs)) if r.dtype.kind == "f"]
    wrt = [i for i in inputs if i.dtype.kind == "f"]
    w, u = _likes("w", outputs), _likes("u", wrt)
    found = [*outputs, *pullback(outputs, wrt, w), *pushforward(outputs, wrt, u)]
    graph = Graph((*inputs, *w, *u), tuple([f for f in found if f is not None]))
    arrays = sample.arrays() + [Spec(n.shape, "f64", 0.5, 1.5).array(k).astype(n.dtype) for k, n in enumerate([*w, *u])]
    for result, expected in zip(NativeGraph(graph)(arrays), evaluate(graph, arrays), strict=True):
        assert_near(result, expected, QUADRATURE_STEPS if sample.op in BY_QUADRATURE else 64)


# Text and folding.


@each(ALL)
def test_text_reads_back(sample: Sample):
    graph = graph_of(sample)
    text = to_text(graph)
    again = from_text(text)
    assert same_graph(graph, again)
    assert to_text(again) == text
    for result, expected in zip(evaluate(again, sample.arrays()), evaluate(graph, sample.arrays()), strict=True):
        assert_identical(result, expected)


@each(ALL)
def test_folding_computes_the_reference(sample: Sample):
    arrays = sample.arrays()
    graph = Graph((), results_of(sample.node([constant(value=Literal(a)) for a in arrays])))
    folded = fold_constants(graph)
    verify(folded)
    op = OPS[sample.op]
    if arrays and op not in NEVER and not isinstance(op, Region):
        assert [o.op for o in folded.outputs] == [constant]
    for result, expected in zip(evaluate(folded, []), evaluate(graph_of(sample), arrays), strict=True):
        assert_identical(result, expected)


# Errors.

TAKE_ANYTHING = {"again", "cast", "copy", "stop_gradient"}
"""Operations of one operand of any dtype and shape."""


def _wrong_specs(sample: Sample) -> list[tuple[Spec, ...]]:
    """Return the inputs of a sample with one of another dtype, size or rank."""

    def changed(spec: Spec) -> list[Spec]:
        dtypes = [replace(spec, dtype=d, low=max(spec.low, 0) if d[0] == "u" else spec.low) for d in DTYPES]
        shapes = [(2, *spec.shape), spec.shape[1:], *[(*spec.shape[:-1], s + 1) for s in spec.shape[-1:]]]
        return [s for s in (*dtypes, *[replace(spec, shape=s) for s in shapes]) if s.type != spec.type]

    found = []
    for k, spec in enumerate(sample.inputs):
        found += [(*sample.inputs[:k], other, *sample.inputs[k + 1 :]) for other in changed(spec)]
    return found


@pytest.mark.parametrize("op", sorted(op for op, listed in SAMPLES.items() if any(s.inputs for s in listed)))
def test_operands_are_taken_or_refused(op: str):
    """A dtype or shape that an operation takes has a result of the inferred type; any other raises a graphc error."""
    sample = next(s for s in SAMPLES[op] if s.inputs and all(i.type.size for i in s.inputs))
    refused = 0
    for specs in _wrong_specs(sample):
        other = replace(sample, inputs=specs)
        try:
            graph = graph_of(other)
        except GraphcError as error:
            assert op in str(error)  # noqa: PT017  some of the specs are taken
            refused += 1
            continue
        for output, result in zip(graph.outputs, evaluate(graph, other.arrays()), strict=True):
            assert output.type == TensorType(result.dtype, result.shape), specs
    assert (refused == 0) == (op in TAKE_ANYTHING)
