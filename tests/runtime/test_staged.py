"""Sizes that a call finds: results against NumPy, stages and their codes, padded forms, updates, threads, errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.runtime import staged
from graphc.runtime.staged import StagedRunner

BACKENDS = ("llvm", "eager")
X = np.random.default_rng(0).normal(size=(6, 4))
V = X.reshape(-1)
WHICH = np.random.default_rng(1).integers(0, 5, 24)

ONE_PROGRAM: dict[str, Callable[..., Any]] = {
    "sum": lambda np, x, v, i: np.sum(x[x > 0]),
    "mean": lambda np, x, v, i: np.mean(x[x[:, 0] > 0], axis=0),
    "std": lambda np, x, v, i: np.std(v[v > 0]),
    "gram": lambda np, x, v, i: x[x[:, 0] > 0].T @ x[x[:, 0] > 0],
    "set": lambda np, x, v, i: written(np, x, x > 0, lambda y: np.exp(y)),
    "add": lambda np, x, v, i: np.bincount(i[v > 0], v[v > 0], **({"length": 5} if np is gx else {"minlength": 5})),
}  # fmt: skip
ONE_STAGE: dict[str, Callable[..., Any]] = {
    "read": lambda np, x, v, i: x[x > 0],
    "rows": lambda np, x, v, i: np.exp(x[x[:, 0] > 0]) * 2,
    "sort": lambda np, x, v, i: np.sort(v[v > 0]),
    "max": lambda np, x, v, i: np.max(x[x > 0]),
    "argmax": lambda np, x, v, i: np.argmax(v[v > 0]),
    "chain": lambda np, x, v, i: v[v > 0][v[v > 0] < 1],
    "cumsum": lambda np, x, v, i: np.cumsum(v[v > 0]),
    "diff": lambda np, x, v, i: np.diff(v[v > 0]),
    "unique": lambda np, x, v, i: np.unique(i[v > 0]),
    "setdiff": lambda np, x, v, i: np.setdiff1d(i, i[:3]),
    "tail": lambda np, x, v, i: np.append(v[:2], v[v > 0]),
    "flat": lambda np, x, v, i: np.ravel(x[x[:, 0] > 0]),
    "quotient": lambda np, x, v, i: np.sum(i) // i[i > 0] + i[i > 0] % i[i > 0],
    "table": lambda np, x, v, i: np.take(x, i[v > 0], axis=0),
}
STAGED: dict[str, Callable[..., Any]] = {
    "bincount": lambda np, x, v, i: np.bincount(i),
    "repeat": lambda np, x, v, i: np.repeat(v, i),
    "flip": lambda np, x, v, i: np.flip(v[v > 0]),
    "last": lambda np, x, v, i: v[v > 0][-1],
    "three": lambda np, x, v, i: np.bincount(np.repeat(i, i))[np.bincount(i) > 4],
}


def written(np_: Any, x: Any, mask: Any, function: Callable[[Any], Any]) -> Any:
    if np_ is gx:
        return x.at[mask].set(function(x[mask]))
    y = x.copy()
    y[mask] = function(x[mask])
    return y


def compiled(make: Callable[..., Any], backend: str = "llvm", symbolic: bool = False, **options: Any) -> gx.Executable:
    shapes = [("n", "m"), ("k",), ("k",)] if symbolic else [X.shape, V.shape, WHICH.shape]
    inputs = [
        gx.placeholder(s, d, name=n) for s, d, n in zip(shapes, ("float64", "float64", "int64"), "xvi", strict=True)
    ]
    return gx.compile(inputs, make(gx, *inputs), backend=backend, options=gx.Options(**options))


def stages(executable: gx.Executable) -> int:
    runner = executable.specializations[0].runner
    return len(runner.codes) if isinstance(runner, StagedRunner) else 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*ONE_PROGRAM, *ONE_STAGE, *STAGED])
def test_as_numpy(name: str, backend: str):
    make = {**ONE_PROGRAM, **ONE_STAGE, **STAGED}[name]
    for symbolic in (False, True):
        executable = compiled(make, backend, symbolic)
        for x in (X, np.abs(X), X + 1):
            arrays = (x, x.reshape(-1), WHICH)
            expected, found = make(np, *arrays), executable(*arrays)
            for a, b in zip(*[f if isinstance(f, tuple) else (f,) for f in (found, expected)], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)
                assert np.shape(a) == np.shape(b)


def test_what_needs_no_code_for_the_sizes_found():
    assert [n for n, make in ONE_PROGRAM.items() if stages(compiled(make))] == []
    assert [n for n, make in ONE_STAGE.items() if stages(compiled(make)) != 1] == []
    assert [n for n, make in STAGED.items() if stages(compiled(make)) < 2] == []


def test_codes_are_kept_and_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(staged, "MAX_CODES", 3)
    executable = compiled(lambda np, x, v, i: np.flip(v[v > 0]))
    codes = executable.specializations[0].runner.codes[1]
    for count in (1, 2, 3, 1, 4, 1):
        v = np.where(np.arange(24) < count, 1.0, -1.0)
        np.testing.assert_array_equal(executable(X, v, WHICH), np.ones(count))
    made = [next(iter(code.sizes.values())) for code in codes.made]
    assert made == [3, 4, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found(backend: str):
    for make, message in ((ONE_STAGE["max"], "max: an axis of size 0 has no max"), (STAGED["last"], "slice")):
        with pytest.raises(gx.GraphcError, match=f"(?s){message}.*test_staged.py"):
            compiled(make, backend)(-np.abs(X), -np.abs(V), WHICH)
    assert compiled(ONE_STAGE["read"], backend)(-np.abs(X), V, WHICH).shape == (0,)
    assert np.isnan(compiled(lambda np, x, v, i: np.mean(x[x > 9]), backend)(X, V, WHICH))


@pytest.mark.parametrize("backend", BACKENDS)
def test_updates_happen_together_or_not_at_all(backend: str):
    count, total = gx.variable(0, name="count"), gx.variable(np.zeros(3), name="total")
    v, i = gx.placeholder((6,), "float64", name="v"), gx.placeholder((2,), "int64", name="i")
    ordered = gx.flip(v[v > 0])
    new = {count: count + 1, total: total + ordered[i[0]]}
    step = gx.compile([v, i], [ordered, count], updates=new, backend=backend)
    values = np.array([1.0, -1.0, 2.0, -1.0, 3.0, -1.0])
    ordered_found, before = step(values, [2, 0])
    np.testing.assert_array_equal(ordered_found, [3.0, 2.0, 1.0])
    assert before == 0
    with pytest.raises(gx.OutOfBoundsError, match="index 3 is out of bounds for an axis of size 3"):
        step(values, [3, 0])
    assert count.value == 1
    np.testing.assert_array_equal(total.value, np.ones(3))
    rows = gx.variable(np.zeros(2), name="rows")
    set_rows = gx.compile([v], [], updates={rows: v[v > 0]}, backend=backend)
    set_rows([0, 1, 0, 0, 5, 0])
    np.testing.assert_array_equal(rows.value, [1.0, 5.0])
    with pytest.raises(gx.ShapeError, match=r"the update of variable rows must be f64\[2\], got shape \(3,\)"):
        set_rows(values)
    np.testing.assert_array_equal(rows.value, [1.0, 5.0])


def test_threads_call_at_once():
    total = gx.variable(0, name="total")
    v = gx.placeholder(("n",), "float64", name="v")
    executable = gx.compile([v], [gx.flip(v[v > 0]), gx.unique(v)], updates={total: total + 1})
    failures: list[Any] = []

    def call(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            given = rng.integers(-3, 3, rng.integers(3, 6)).astype(float)
            found, different = executable(given)
            if not np.array_equal(found, given[given > 0][::-1]) or not np.array_equal(different, np.unique(given)):
                failures.append(given)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert total.value == 80


def test_results_belong_to_the_caller():
    executable = compiled(lambda np, x, v, i: (v, v[v > 0], v[v > 0], v))
    found = executable(X, V, WHICH)
    for k, result in enumerate(found):
        assert result.flags.c_contiguous
        assert not any(np.shares_memory(result, other) for other in (V, *found[:k]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_sizes_are_compared(backend: str):
    v, w = gx.placeholder((24,), "float64", name="v"), gx.placeholder((None,), "float64", name="w")
    for output in (v[v > 0] + w, v.at[v > 0].set(w)):
        add = gx.compile([v, w], output, backend=backend)
        count = int((V > 0).sum())
        expected = V[V > 0] + 1 if output.shape != (24,) else np.where(V > 0, 1.0, V)
        np.testing.assert_array_equal(add(V, np.ones(count)), expected)
        for other in (1, count - 1, count + 1):
            with pytest.raises(gx.ShapeError):
                add(V, np.ones(other))
    n = gx.placeholder((None,), "bool", name="n")
    for output in (v[n], v.at[n].set(0.0)):
        with pytest.raises(gx.ShapeError):
            gx.compile([v, n], output, backend=backend)(V, np.ones(25, bool))


def test_what_a_staged_executable_shows():
    for make in (ONE_STAGE["read"], STAGED["flip"]):
        executable = compiled(make)
        found = executable(X, V, WHICH)
        count = stages(executable)
        for stage in ("optimized", "fused", "kernels", "llvm"):
            assert executable.text(stage).count("stage ") >= count
        assert executable.cost().flops > 0
        assert executable.cost().launches > 0
        assert f"stage 1 of {count}" in str(executable.explain())
        profile = executable.profile(X, V, WHICH)
        assert len(profile) == count
        assert "one call takes" in str(profile)
        np.testing.assert_array_equal(executable(X, V, WHICH), found)
        assert executable.compile_seconds > 0
    with pytest.raises(gx.ArgumentError, match="of which 1 depend on sizes that a call finds: call it first"):
        compiled(STAGED["flip"]).text("kernels")


@pytest.mark.parametrize("options", [{"check_nan": True}, {"verify": True}, {"threads": 2}], ids=str)
def test_options(options: dict[str, Any]):
    for make in (ONE_PROGRAM["sum"], ONE_STAGE["rows"], STAGED["flip"]):
        np.testing.assert_allclose(compiled(make, **options)(X, V, WHICH), make(np, X, V, WHICH))
    # What means nothing raises nothing: the logarithm is taken where the mask is true.
    log = compiled(lambda np, x, v, i: np.log(v[v > 0]), **options)
    np.testing.assert_allclose(log(X, V, WHICH), np.log(V[V > 0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_derivatives(backend: str):
    v = gx.placeholder((24,), "float64", name="v")
    weights = np.random.default_rng(2).uniform(0.5, 1.5, 24)
    for part, slope in (
        (lambda v: gx.sin(v[v > 0]), np.where(V > 0, np.cos(V), 0)),
        (lambda v: gx.flip(gx.sin(v[v > 0])), np.where(V > 0, np.cos(V), 0)),
        (lambda v: v.at[v > 0].set(gx.sin(v[v > 0])), np.where(V > 0, np.cos(V), 1)),
        (lambda v: gx.sort(v[v > 0]) ** 2, np.where(V > 0, 2 * V, 0)),
        (lambda v: gx.unique(v), np.ones(24)),
        (lambda v: gx.repeat(v, WHICH), WHICH),
    ):
        total = gx.sum(part(v))
        found = gx.compile(
            [v], [gx.gradients(total, v), gx.pushforward(total, v, gx.asarray(weights))], backend=backend
        )(V)
        np.testing.assert_allclose(found[0], slope, rtol=1e-12)
        np.testing.assert_allclose(np.ravel(found[1])[0], np.sum(weights * slope), rtol=1e-12)
    squares = gx.sum(gx.flip(v[v > 0]) ** 3)
    (first,) = gx.gradients(squares, [v])
    second = gx.gradients(gx.sum(first), v)
    np.testing.assert_allclose(gx.compile([v], second, backend=backend)(V), np.where(V > 0, 6 * V, 0), rtol=1e-12)


def test_bodies_have_no_sizes_of_their_own():
    x = gx.placeholder((3, 4), "float64", name="x")
    for make in (
        lambda: gx.vmap(lambda row: row[row > 0])(x),
        lambda: gx.scan(lambda c, row: (c, gx.sum(gx.unique(row))), 0.0, x),
        lambda: gx.cond(True, lambda y: gx.sum(y[y > 0]), lambda y: gx.sum(y), x),
        lambda: gx.while_loop(lambda y: gx.sum(y[y > 0]) > 0, lambda y: y - 1, x),
    ):
        with pytest.raises(gx.ArgumentError, match="a loop or branch cannot have a size that its own data tell"):
            make()
    # A size found outside is one of the call.
    kept = x[x[:, 0] > 0]
    _, sums = gx.scan(lambda c, row: (c, gx.sum(row)), 0.0, kept)
    found = gx.compile([x], sums)(X[:3])
    np.testing.assert_allclose(found, X[:3][X[:3, 0] > 0].sum(axis=1))


def test_sizes_that_constants_tell_are_numbers():
    t = gx.asarray([3.0, -1.0, 2.0])
    assert t[t > 0].shape == (2,)
    assert gx.exp(t)[gx.exp(t) > 1].shape == (2,)
    assert gx.unique(gx.asarray([1, 1, 2])).shape == (2,)
    assert gx.placeholder((5,))[gx.asarray(2) :: gx.asarray(2)].shape == (2,)
    v = gx.variable(np.array([3.0, -1.0, 2.0]))
    part = v[v > 0]
    np.testing.assert_array_equal(part.numpy(), [3.0, 2.0])
    v.assign([-1.0, -1.0, 7.0])
    np.testing.assert_array_equal(part.numpy(), [7.0])


def test_padding_changes_no_sign_of_zero():
    v, i = gx.placeholder((4,), "float64", name="v"), gx.placeholder((4,), "int64", name="i")
    added = gx.asarray(np.full(2, -0.0)).at[i[v > 0]].add(v[v > 0])
    found = gx.compile([v, i], added)([-1.0, 2.0, -1.0, -1.0], [0, 1, 0, 9])
    np.testing.assert_array_equal(found, [-0.0, 2.0])
    assert np.signbit(found[0])
