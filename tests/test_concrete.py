"""Tensors that depend on no placeholder: they have a value, which is computed when it is asked for."""

from __future__ import annotations

import array
import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import concrete
from tests.agreement import assert_identical

X = np.array([[1.5, -2.0, 3.0], [0.25, 8.0, -1.0]])


def count_codes() -> int:
    return len(concrete._codes)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x: x, X),
        (lambda x: x * 2 + 1, X * 2 + 1),
        (lambda x: gx.sum(x, axis=0), X.sum(0)),
        (lambda x: x.T @ x, X.T @ X),
        (lambda x: x > 0, X > 0),
        (lambda x: gx.argsort(x), X.argsort()),
        (lambda x: x[1, ::-1], X[1, ::-1]),
        (lambda x: gx.scan(lambda c, row: (c + row, c), gx.zeros(3), x)[1], np.array([np.zeros(3), X[0]])),
        (lambda x: gx.gradients(gx.sum(x**3), x), 3 * X**2),
        (lambda x: gx.arange(4), np.arange(4)),
        (lambda x: gx.zeros((0, 3)), np.zeros((0, 3))),
    ],
)
def test_the_value_is_that_of_a_compiled_graph(build: Callable[[Any], Any], expected: Any) -> None:
    found = build(gx.asarray(X)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert found.dtype == expected.dtype
    found[...] = 0  # the caller's own
    np.testing.assert_allclose(build(gx.asarray(X)).numpy(), expected, rtol=1e-15)


def test_python_numbers() -> None:
    x = gx.asarray(X)
    assert float(gx.sum(x)) == X.sum()
    assert int(gx.asarray(3.7) * 2) == 7
    assert bool(gx.all(x < 9))
    assert not gx.any(x > 9)
    assert complex(gx.asarray(1.5)) == 1.5
    assert list(range(gx.asarray([2, 3])[1])) == [0, 1, 2]
    assert [10, 20, 30][gx.asarray(1)] == 20
    assert x[0, 1].item() == -2.0
    assert (x * 2).item(1, 2) == -2.0
    assert (x * 2).tolist() == (X * 2).tolist()
    assert 8.0 in x
    assert 9.0 not in x
    assert f"{x[0, 0] * 2:.2f}" == "3.00"
    assert f"{x * 2}" == repr(x * 2)
    assert gx.reshape(x, (gx.asarray(3), -1)).shape == (3, 2)
    assert sum(1 for row in x if row[0] > 1) == 1


def test_variables_count_as_they_are_now() -> None:
    v = gx.variable([1.0, 2.0], name="v")
    doubled = v * 2
    assert doubled.tolist() == [2.0, 4.0]
    v.assign(doubled)
    assert doubled.tolist() == [4.0, 8.0]
    assert gx.constant(v).tolist() == [2.0, 4.0]
    assert gx.variable(v + 1).value.tolist() == [3.0, 5.0]


def test_what_is_asked_together_is_one_program() -> None:
    v = gx.variable(0.0)
    step = gx.compile([], [], updates={v: v + 1})
    stop = threading.Event()
    thread = threading.Thread(target=lambda: [step() for _ in iter(stop.is_set, True)])
    thread.start()
    try:
        for _ in range(200):
            a, b = gx.evaluate([v * 1.5, v * 3])
            assert 2 * a == b
    finally:
        stop.set()
        thread.join()


def test_asking_makes_the_updates_that_a_value_brings() -> None:
    n, m = gx.variable(0, name="n"), gx.variable(0, name="m")
    drawn = {v: gx.with_updates(gx.asarray([1.0, 2.0]) * v, {v: v + 1}) for v in (n, m)}
    assert [drawn[n].tolist() for _ in range(3)] == [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]
    assert drawn[m].tolist() == [0.0, 0.0]
    assert (int(n), int(m)) == (3, 1)


def test_nests_keep_their_structure() -> None:
    found = gx.evaluate({"a": gx.asarray([1, 2]) + 1, "b": (3, [gx.asarray(2.0) * 2])})
    assert found["a"].tolist() == [2, 3]
    assert found["b"][0] == 3
    assert found["b"][1] == [4.0]


def test_code_is_kept_for_other_data_of_the_same_form() -> None:
    def form(k: int) -> Any:
        return gx.sum(gx.cos(gx.asarray([1.0, 2.0 + k, 3.0])) * (0.31 + k) + gx.asarray(k + 7))

    form(0).numpy()
    before = count_codes()
    for k in range(1, 5):
        np.testing.assert_allclose(float(form(k)), np.sum(np.cos([1, 2 + k, 3]) * (0.31 + k) + k + 7), rtol=1e-14)
    assert count_codes() == before


def test_other_forms_are_other_code() -> None:
    x = gx.asarray([4.0, 9.0])
    assert (x**2).tolist() == [16.0, 81.0]
    assert (x**0.5).tolist() == [2.0, 3.0]
    assert (x + 2).tolist() == [6.0, 11.0]
    assert (x[::-1] + x).tolist() == [13.0, 13.0]
    assert (x + x[::-1]).tolist() == [13.0, 13.0]
    assert (gx.asarray([4, 9]) ** 2).tolist() == [16, 81]
    assert gx.stack([x, x * 1.0, gx.asarray([0.0, -0.0])]).numpy()[2].tobytes() == np.array([0.0, -0.0]).tobytes()


def test_values_are_computed_once_and_live_as_long_as_the_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.asarray(X)
    y = gx.exp(x)
    first = y.numpy()
    monkeypatch.setattr(concrete, "_code", lambda written: pytest.fail("computed again"))
    assert_identical(y.numpy(), first)
    kept = weakref.ref(concrete._values[y.node])
    del y
    gc.collect()
    assert kept() is None


def test_a_loop_starts_from_the_values_it_asked_for() -> None:
    x = gx.asarray(10.0)
    x = (x + 2 / x) / 2
    float(x)
    before = None
    for _ in range(10):
        x = (x + 2 / x) / 2
        float(x)
        before = before or count_codes()
    assert float(x) == pytest.approx(2**0.5)
    assert count_codes() == before


def test_errors_name_the_line_of_this_program_not_of_one_alike() -> None:
    x = gx.asarray([1.0, 2.0])
    assert x[gx.asarray([1, 0])].tolist() == [2.0, 1.0]
    with pytest.raises(gx.OutOfBoundsError, match=r"index 7 is out of bounds(.|\n)*x\[gx.asarray\(\[1, 7\]\)\]"):
        x[gx.asarray([1, 7])].numpy()


class TestWhatIsNotKnown:
    def test_an_input_is_named(self) -> None:
        x = gx.placeholder((3,), name="speed")
        with pytest.raises(gx.SymbolicValueError, match="depends on speed, which is not known before a call"):
            float(gx.sum(x * gx.asarray([1.0, 2.0, 3.0])))

    def test_a_size_is_named(self) -> None:
        n = gx.placeholder(("n",)).shape[0]
        with pytest.raises(gx.SymbolicValueError, match="not known before a call"):
            int(gx.asarray(n) + 1)

    def test_a_variable_has_no_value_while_a_function_is_traced(self) -> None:
        v = gx.variable(1.0, name="v")
        assert v > 0
        f = gx.jit(lambda x: x if v > 0 else -x)
        with pytest.raises(gx.SymbolicValueError, match=r"variable v changes between calls(.|\n)*use gx.cond"):
            f(np.ones(3))

    def test_ranks(self) -> None:
        with pytest.raises(gx.ShapeError, match=r"bool: takes rank 0, got f64\[2\]; use gx.any or gx.all"):
            bool(gx.asarray([1.0, 2.0]))
        with pytest.raises(gx.ShapeError, match="float: takes rank 0"):
            float(gx.asarray([1.0]))
        with pytest.raises(gx.DTypeError, match="index: takes an integer"):
            range(gx.asarray(1.0))
        with pytest.raises(gx.ArgumentError, match="int: cannot convert float NaN"):
            int(gx.asarray(np.nan))
        with pytest.raises(gx.ArgumentError, match="item"):
            gx.asarray([1.0, 2.0]).item()


class TestExchange:
    def test_numpy(self) -> None:
        x = gx.asarray(X) * 1
        assert_identical(np.asarray(x), X)
        assert np.asarray(x, dtype=np.float32).dtype == np.float32
        np.array(x, copy=True)[...] = 0
        assert_identical(np.asarray(x), X)
        with pytest.raises(gx.ArgumentError, match="needs a copy"):
            np.asarray(x, dtype=np.float32, copy=False)

    def test_dlpack(self) -> None:
        x = gx.asarray(X) * 1
        assert x.__dlpack_device__() == (1, 0)
        np.from_dlpack(x)
        assert_identical(np.from_dlpack(x), X)
        assert_identical(gx.from_dlpack(X).numpy(), X)
        assert gx.from_dlpack(x) is x
        with pytest.raises(gx.ArgumentError, match="from_dlpack: takes an array on the CPU, got 3"):
            gx.from_dlpack(3)
        with pytest.raises(gx.ArgumentError, match="copy=False"):
            gx.from_dlpack(X, copy=False)

    def test_what_comes_in(self) -> None:
        class Exports:
            def __init__(self, value: Any) -> None:
                self.__dlpack__, self.__dlpack_device__ = value.__dlpack__, value.__dlpack_device__

        assert_identical(gx.asarray(array.array("d", [1.0, 2.0])).numpy(), np.array([1.0, 2.0]))
        assert_identical(gx.asarray(memoryview(X)).numpy(), X)
        assert_identical(gx.asarray(Exports(X)).numpy(), X)
        assert_identical(gx.compile([x := gx.placeholder((2, 3), "float64")], x + 1)(gx.asarray(X) * 2), X * 2 + 1)

    def test_the_name_that_numpy_has(self) -> None:
        assert_identical(gx.array([1, 2]).numpy(), np.array([1, 2]))
        assert gx.array(gx.placeholder((2, 3)), ndmin=4).shape == (1, 1, 2, 3)
        assert_identical(gx.array(3, "float32", ndmin=1).numpy(), np.array([3], np.float32))

    def test_devices(self) -> None:
        x = gx.asarray(X, device="cpu")
        assert x.device == "cpu"
        assert x.to_device("cpu") is x
        for wrong in (lambda: x.to_device("gpu"), lambda: gx.asarray(X, device="gpu"), lambda: x.to_device(0)):
            with pytest.raises(gx.ArgumentError, match="the device is 'cpu'"):
                wrong()
        with pytest.raises(gx.ArgumentError, match="copy=False"):
            gx.asarray(X, copy=False)

    def test_copies_and_pickles(self) -> None:
        x, v = gx.asarray(X) * 2, gx.variable(X, name="v", trainable=False)
        assert copy.copy(x) is x
        assert copy.deepcopy(x) is x
        again = pickle.loads(pickle.dumps(x))
        assert_identical(again.numpy(), x.numpy())
        for twin in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
            twin.assign(X + 1)
            assert (twin.name, twin.trainable) == ("v", False)
            assert_identical(v.value, X)
        one, two = copy.deepcopy([v, v])
        assert one is two
        assert one is not v
        placeholder = gx.placeholder((2,), name="p")
        assert copy.deepcopy(placeholder) is placeholder
        with pytest.raises(gx.SymbolicValueError, match=r"pickle: the value of p, .* build the graph again"):
            pickle.dumps(placeholder)

    def test_names_that_come_later_say_so(self) -> None:
        for name in ("linalg", "fft", "complex64", "float16"):
            with pytest.raises(AttributeError, match=f"gx.{name} comes in a later version"):
                getattr(gx, name)
        with pytest.raises(gx.DTypeError, match="bfloat16' comes in a later version"):
            gx.asarray(X, dtype="bfloat16")
        assert not hasattr(gx, "nothing")

    def test_ufuncs_and_their_methods(self) -> None:
        x = gx.asarray([1.0, 2.0, 3.0])
        assert np.add.outer(x, [10.0, 20.0]).tolist() == [[11.0, 21.0], [12.0, 22.0], [13.0, 23.0]]
        assert np.add.accumulate(x).tolist() == [1.0, 3.0, 6.0]
        assert np.multiply.reduce(x).item() == 6.0
        with pytest.raises(gx.ArgumentError, match=r"np.linalg.svd: comes in a later version(.|\n)*use np.asarray"):
            np.linalg.svd(x)


def test_sizes_may_be_concrete_tensors() -> None:
    assert gx.zeros(gx.asarray(3)).shape == (3,)
    assert gx.zeros(gx.asarray([2, 3]) + 1).shape == (3, 4)
    with pytest.raises(gx.SymbolicValueError, match="the value of n"):
        gx.zeros((2, gx.placeholder((), "int64", name="n")))


def test_elements_of_data_need_no_code_of_their_own() -> None:
    x = gx.asarray(X)
    assert bool(x[0, 0] * 3 > 1)
    before = count_codes()
    assert [float(v) for row in x for v in row] == X.ravel().tolist()
    assert x[::-1, [2, 0]].T.tolist() == X[::-1, [2, 0]].T.tolist()
    assert gx.concat([x[0], x[1]]).tolist() == X.ravel().tolist()
    assert [bool(x[i, j] * 3 > 1) for i in range(2) for j in range(3)] == [bool(v * 3 > 1) for v in X.ravel()]
    assert count_codes() == before
    with pytest.raises(gx.OutOfBoundsError, match=r"index 9 is out of bounds(.|\n)*x\[gx.asarray\(\[0, 9\]\)\]"):
        x[gx.asarray([0, 9])].numpy()
    found = x[1].numpy()
    found[...] = 0
    assert x[1].tolist() == X[1].tolist()
