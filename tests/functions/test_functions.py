"""What holds for every public function, on every case: values, unknown sizes, derivatives, vmap, NumPy's protocols."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.dims import Dim
from graphc.ir.graph import Graph
from graphc.ir.text import to_text
from tests.functions.cases import Case, Input, families
from tests.functions.coverage import NO_CASE, PENDING, public_names, same_function

Array = np.ndarray[Any, Any]
Run = Callable[..., list[Array]]

CASES = [case for family in families().values() for case in family]
STEP = 1e-4


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Run a test on every case."""
    count: dict[str, Iterator[int]] = {}
    names = [f"{c}-{next(count.setdefault(str(c), itertools.count()))}" for c in cases]
    return pytest.mark.parametrize("case", cases, ids=names)


@pytest.fixture(autouse=True)
def _without_warnings():
    with np.errstate(all="ignore"):
        yield


def compiled(inputs: Sequence[gx.Tensor], outputs: Sequence[gx.Tensor], backend: str = "eager") -> Run:
    return gx.compile(list(inputs), list(outputs), backend=backend)


def assert_results(case: Case, found: Sequence[Any], expected: Sequence[Array]) -> None:
    """Require dtypes, shapes and values of the reference."""
    assert len(found) == len(expected)
    for result, wanted in zip(map(np.asarray, found), expected, strict=True):
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        if case.values:
            assert_close(result, wanted, case.tolerance)


def assert_close(result: Array, expected: Array, ulps: float) -> None:
    """Require values within rounding errors of the largest finite element, exactly the same if they are no floats."""
    if result.dtype.kind != "f" or ulps == 0:
        np.testing.assert_array_equal(result, expected)
        return
    info, finite = np.finfo(result.dtype), np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max(initial=0))
    np.testing.assert_allclose(result, expected, rtol=ulps * info.eps, atol=ulps * info.eps * scale)


def test_every_public_function_has_a_case():
    covered = {case.name for case in CASES}
    names = public_names()
    missing = [n for n in names if n not in {*NO_CASE, *PENDING} and not same_function(n, covered)]
    assert not missing, "add cases to a family in tests/functions"
    assert not [n for n in PENDING if same_function(n, covered)], "these have cases now: take them off the list"
    assert not [n for n in (*NO_CASE, *PENDING) if n not in names], "these are not public names"


# Values.


@each(CASES)
def test_value_dtype_and_shape(case: Case):
    inputs, arrays = case.placeholders(), case.arrays()
    outputs, expected = case.outputs(inputs), case.expected(arrays)
    for output, wanted in zip(outputs, expected, strict=True):
        assert output.dtype == wanted.dtype
        assert len(output.shape) == wanted.ndim
        # A size that only a call finds is a Dim also where all sizes of inputs are known.
        assert all(a == b or isinstance(a, Dim) for a, b in zip(output.shape, wanted.shape, strict=True))
    native = compiled(inputs, outputs, "llvm")(*arrays)
    assert_results(case, native, expected)
    eager = compiled(inputs, outputs)(*arrays)
    assert_results(case, eager, expected)
    if not case.values:
        for a, b in zip(native, eager, strict=True):
            assert_close(a, b, case.tolerance)


@each([c for c in CASES if c.inputs])
def test_arrays_in_place_of_tensors(case: Case):
    arrays = case.arrays()
    outputs = case.outputs(arrays)
    assert_results(case, compiled([], outputs)(), case.expected(arrays))


@each([c for c in CASES if c.protocol and c.inputs and c.numpy_function])
def test_the_function_of_numpy(case: Case):
    inputs = case.placeholders()
    own, through = case.outputs(inputs), flat_tensors(case.on(case.numpy_function, inputs))
    assert text_of(inputs, own) == text_of(inputs, through)


def flat_tensors(value: Any) -> list[gx.Tensor]:
    found = gx.nest.flatten(value)[0]
    assert all(isinstance(t, gx.Tensor) for t in found), "it was not called through the protocol"
    return found


def text_of(inputs: Sequence[gx.Tensor], outputs: Sequence[gx.Tensor]) -> str:
    return to_text(Graph(tuple([i.node for i in inputs]), tuple([o.node for o in outputs])))


# Unknown sizes.


@each([c for c in CASES if c.symbolic and any(s != 1 for i in c.inputs for s in i.shape)])
def test_unknown_sizes(case: Case):
    inputs = case.placeholders(symbolic=True)
    run = compiled(inputs, case.outputs(inputs))
    for now in (case, case.grown()):
        if now is not None:
            arrays = now.arrays()
            assert_results(case, run(*arrays), now.expected(arrays))


@each([c for c in CASES if not c.symbolic])
def test_a_size_that_must_be_known(case: Case):
    with pytest.raises(gx.GraphcError):
        case.outputs(case.placeholders(symbolic=True))


# Derivatives.


class Derivatives:
    """A case in float64 with what its derivatives are asked along: tangents u, v of the inputs and cotangents w."""

    def __init__(self, case: Case, second: bool) -> None:
        self.case = case.in_float64()
        inputs = self.case.placeholders()
        outputs = [o for o in self.case.outputs(inputs) if o.dtype.kind == "f"]
        self.wrt = [x for x in inputs if x.dtype.kind == "f"]
        self.is_float = bool(outputs and self.wrt)
        if not self.is_float:
            return
        self.count, self.second = len(outputs), second
        u, v, w = like("u", self.wrt), like("v", self.wrt), like("w", outputs)
        gradients = gx.pullback(outputs, self.wrt, w)
        self.found = [*outputs, *gradients, *gx.pushforward(outputs, self.wrt, u)]
        if second:
            self.found += gx.pushforward(gradients, self.wrt, u)
        self.fed = [*inputs, *u, *v, *w]
        self.inputs = inputs
        rest = [*u, *v, *w]
        self.arrays = self.case.arrays()
        self.feeds = [Input(t.shape, "f64", 0.5, 1.5).array(k) for k, t in enumerate(rest, len(inputs))]
        self.u, self.w = self.feeds[: len(u)], self.feeds[len(u) + len(v) :]
        self.eager = compiled(self.fed, self.found)

    def run(self, offset: float = 0.0, run: Run | None = None) -> tuple[list[Array], ...]:
        """Return values, gradients, tangents and second derivatives `offset` steps away along u."""
        along = iter(self.u)
        moved = [
            a + offset * next(along) if x.dtype.kind == "f" else a
            for x, a in zip(self.inputs, self.arrays, strict=True)
        ]
        found = [np.asarray(f) for f in (run or self.eager)(*moved, *self.feeds)]
        ends = np.cumsum([0, self.count, len(self.wrt), self.count])
        parts = [found[a:b] for a, b in itertools.pairwise(ends)]
        return (*parts, found[ends[-1] :])

    def differences(self) -> tuple[list[Array], list[Array]]:
        """Return derivatives of values and gradients along u, by central differences of fourth order."""
        ends = [self.run(k * STEP) for k in (-2, -1, 1, 2)]

        def slope(part: int) -> list[Array]:
            values = [end[part] for end in ends]
            return [(8 * (c - b) - (d - a)) / (12 * STEP) for a, b, c, d in zip(*values, strict=True)]

        return slope(0), slope(1)


def like(name: str, tensors: Sequence[gx.Tensor]) -> list[gx.Tensor]:
    return [gx.placeholder(t.shape, t.dtype, name=f"{name}{k}") for k, t in enumerate(tensors)]


def assert_slopes(found: Sequence[Array], expected: Sequence[Array], beside: Sequence[Array], tolerance: float) -> None:
    """Require derivatives near differences; errors are relative to the largest of them and of the values."""
    for a, b, value in zip(found, expected, beside, strict=True):
        scale = max(float(np.max(np.abs(x), initial=0)) for x in (b, value))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@each([c for c in CASES if c.derivative and any(i.dtype[0] == "f" for i in c.inputs)])
def test_derivatives_in_both_modes(case: Case):
    at = Derivatives(case, case.second)
    if not at.is_float:
        return
    values, gradients, tangents, seconds = at.run()
    slopes, curvature = at.differences()
    assert_slopes(tangents, slopes, values, case.smoothness)
    reverse = sum([float(np.sum(g * u)) for g, u in zip(gradients, at.u, strict=True)])
    terms = [t * w for t, w in zip(tangents, at.w, strict=True)]
    scale = sum([float(np.sum(np.abs(t))) for t in terms])
    np.testing.assert_allclose(reverse, sum([float(np.sum(t)) for t in terms]), rtol=1e-10, atol=1e-10 * scale + 1e-100)
    if at.second:
        assert_slopes(seconds, curvature, gradients, case.smoothness)
    native = at.run(run=compiled(at.fed, at.found, "llvm"))
    for mine, eager in zip(
        itertools.chain(*native), itertools.chain(values, gradients, tangents, seconds), strict=True
    ):
        np.testing.assert_allclose(mine, eager, rtol=1e-11, atol=1e-11 * float(np.max(np.abs(eager), initial=0)))


# Mapped.


@each([c for c in CASES if c.batched and c.inputs and c.values])
def test_mapped_over_a_new_axis(case: Case):
    rows = [case.arrays(seed) for seed in (0, len(case.inputs))]
    wanted = [case.expected(arrays) for arrays in rows]
    stacked = [np.stack(pair) for pair in zip(*rows, strict=True)]
    inputs = [gx.placeholder(a.shape, a.dtype, name=f"x{k}") for k, a in enumerate(stacked)]
    mapped = gx.vmap(lambda *tensors: case.outputs(tensors))(*inputs)
    found = compiled(inputs, mapped)(*stacked)
    assert_results(case, found, [np.stack(pair) for pair in zip(*wanted, strict=True)])
