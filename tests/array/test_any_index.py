"""Reading and writing by random index expressions, with every mix that NumPy takes, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx

UFUNCS = {
    "set": None, "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "min": np.minimum,
    "max": np.maximum, "divide": np.divide, "power": np.power,
}  # fmt: skip


class Given:
    """An index array that is an input of the graph rather than a constant."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return an index of an array of this shape: mostly one that fits, sometimes one out of bounds."""
    entries: list[Any] = []
    axis, has_dots = 0, False
    rows = draw(st.sampled_from([(), (2,), (1, 3), (3,), (0,)]))
    while axis < len(shape) and draw(st.integers(0, 5)):
        kind = draw(st.sampled_from(["int", "slice", "slice", "dots", "none", "array", "array", "mask", "flag"]))
        size = shape[axis]
        if kind == "int":
            entries.append(draw(st.integers(-size, size)))
        elif kind == "slice":
            bound = st.none() | st.integers(-size - 2, size + 2)
            entries.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "dots":
            if has_dots:
                continue
            has_dots = True
            entries.append(...)
            axis = draw(st.integers(axis, len(shape)))
            continue
        elif kind == "none":
            entries.append(None)
            continue
        elif kind == "flag":
            entries.append(draw(st.booleans()) if draw(st.integers(0, 3)) == 0 else slice(None))
            axis += not isinstance(entries[-1], bool)
            continue
        elif kind == "array":
            dims = draw(st.sampled_from([rows, rows[1:], (1,) * len(rows)]))
            count = int(np.prod(dims))
            limit = size + (draw(st.integers(0, 30)) == 0)
            values = draw(st.lists(st.integers(-limit, limit - 1), min_size=count, max_size=count)) if limit else []
            if len(values) != count:
                break
            array = np.array(values, np.int64).reshape(dims)
            entries.append(_as_given(draw, array))
        else:
            rank = draw(st.integers(1, min(2, len(shape) - axis)))
            covered = shape[axis : axis + rank]
            count = int(np.prod(covered))
            bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
            entries.append(_as_given(draw, np.array(bits, bool).reshape(covered)))
            axis += rank - 1
        axis += 1
    return tuple(entries)


def _as_given(draw: Any, array: np.ndarray) -> Any:
    how = draw(st.sampled_from(["constant", "list", "input", "input"]))
    return Given(array) if how == "input" else array.tolist() if how == "list" and array.size else array


CASES = (
    st.lists(st.integers(0, 4), min_size=1, max_size=3)
    .map(tuple)
    .flatmap(lambda shape: st.tuples(st.just(shape), indices(shape), st.booleans()))
)


def evaluated(make: Any, x: np.ndarray, index: tuple[Any, ...], symbolic: bool, backend: str, *more: Any) -> Any:
    """Return make(x, index, ...) computed by a graph whose inputs are x, what is Given in the index, and more."""
    arrays = [x, *[e.array for e in index if isinstance(e, Given)], *more]
    inputs = [
        # Only a size known to be 1 broadcasts.
        gx.placeholder([None if symbolic and (s != 1 or k == 0) else s for s in a.shape], a.dtype, name=f"a{k}")
        for k, a in enumerate(arrays)
    ]
    found = iter(inputs[1:])
    entries = tuple([next(found) if isinstance(e, Given) else e for e in index])
    return gx.compile(inputs, make(inputs[0], entries, *found), backend=backend)(*arrays)


def expected(make: Any, *args: Any) -> Any:
    try:
        with np.errstate(all="ignore"):
            return make(*args)
    except (IndexError, ValueError):
        return None


def plain(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([e.array if isinstance(e, Given) else e for e in index])


def may_differ(index: tuple[Any, ...], wanted: np.ndarray) -> bool:
    """Return whether we may refuse what NumPy takes: masks of a wrong size where nothing is read, and a mask with one
    true beside other index arrays, as a size that a call finds does not broadcast."""
    arrays = [e for e in plain(index) if isinstance(e, np.ndarray | list)]
    finds_one = [e for e in index if isinstance(e, Given) and e.array.dtype == bool and e.array.sum() == 1]
    return np.size(wanted) == 0 or bool(finds_one and len(arrays) > 1)


def assert_read(case: Any, backend: str) -> None:
    shape, index, symbolic = case
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape) / 7
    wanted = expected(lambda: x[plain(index)])
    try:
        found = evaluated(lambda t, i: t[i], x, index, symbolic, backend)
    except gx.GraphcError:
        assert wanted is None or may_differ(index, wanted)
        return
    if wanted is None:
        # NumPy also looks at indices which read nothing.
        assert np.size(found) == 0
        return
    np.testing.assert_array_equal(found, wanted)
    assert np.shape(found) == np.shape(wanted)


@settings(max_examples=200, deadline=None)
@given(CASES)
def test_reading(case: Any):
    assert_read(case, "eager")


@settings(max_examples=25, deadline=None)
@given(CASES)
def test_reading_natively(case: Any):
    assert_read(case, "llvm")


def assert_written(case: Any, method: str, how: str, backend: str) -> None:
    shape, index, symbolic = case
    x = 1 + np.arange(np.prod(shape, dtype=int)).reshape(shape) / 7
    place = expected(lambda: x[plain(index)])
    if place is None or np.size(place) == 0:
        return
    values = np.random.default_rng(0).uniform(0.5, 1.5, np.shape(place) if how == "full" else np.shape(place)[1:])
    values = np.asarray(values if how != "scalar" else 1.5)

    def written() -> np.ndarray:
        result = x.copy()
        ufunc = UFUNCS[method]
        if ufunc is None:
            result[plain(index)] = values
        else:
            ufunc.at(result, plain(index), values)
        return result

    try:
        found = evaluated(lambda t, i, v: getattr(t.at[i], method)(v), x, index, symbolic, backend, values)
    except gx.GraphcError:
        assert may_differ(index, place)
        return
    np.testing.assert_allclose(found, written(), rtol=1e-12)


@settings(max_examples=200, deadline=None)
@given(CASES, st.sampled_from(list(UFUNCS)), st.sampled_from(["full", "row", "scalar"]))
def test_writing(case: Any, method: str, how: str):
    assert_written(case, method, how, "eager")


@settings(max_examples=25, deadline=None)
@given(CASES, st.sampled_from(list(UFUNCS)), st.sampled_from(["full", "row", "scalar"]))
def test_writing_natively(case: Any, method: str, how: str):
    assert_written(case, method, how, "llvm")
