"""The compiled function as its user meets it: structure, names, conversions, errors, state, threads, forks."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import graphc as gx
from graphc.runtime import executable as executable_module

BACKENDS = ("llvm", "eager")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


def double(backend: str = "llvm", dtype: str = "float32") -> gx.Executable:
    x = gx.placeholder(("n",), dtype, name="x")
    return gx.compile([x], x * 2, backend=backend, name="double")


class TestStructure:
    def test_outputs_have_the_structure_given(self, backend: str) -> None:
        x = gx.placeholder((3,), name="x")
        f = gx.compile([x], {"b": [x + 1, (gx.sum(x), None)], "a": x}, backend=backend)
        result = f([1, 2, 3])
        assert list(result) == ["b", "a"]
        assert result["b"][1][1] is None
        np.testing.assert_array_equal(result["b"][0], [2, 3, 4])
        assert isinstance(result["b"][1][0], np.float32)
        assert result["b"][1][0] == 6
        np.testing.assert_array_equal(result["a"], [1, 2, 3])

    def test_outputs_that_are_no_computation(self, backend: str) -> None:
        x = gx.placeholder((2, 3), name="x")
        v = gx.variable(np.arange(3.0), name="v")
        f = gx.compile([x], [x, x.T, v, 7, x, np.ones(2), x + 1, x + 1], backend=backend)
        given = np.arange(6, dtype=np.float32).reshape(2, 3)
        found = f(given)
        for got, want in zip(
            found, [given, given.T, np.arange(3.0), 7, given, np.ones(2), given + 1, given + 1], strict=True
        ):
            np.testing.assert_array_equal(got, want)
        assert not any(np.shares_memory(got, given) for got in found)
        assert len({got.ctypes.data for got in map(np.asarray, found)}) == len(found)

    def test_no_input_and_no_output(self, backend: str) -> None:
        counter = gx.variable(0, name="counter")
        tick = gx.compile([], [], updates={counter: counter + 1}, backend=backend)
        assert tick() == []
        assert tick() == []
        assert counter.value == 2

    def test_positions_and_names(self, backend: str) -> None:
        a, b = gx.placeholder((), name="a"), gx.placeholder((), name="b")
        f = gx.compile([a, b], a - b, backend=backend)
        assert f(5, 3) == f(5, b=3) == f(b=3, a=5) == 2

    def test_a_result_is_not_overwritten_by_a_later_call(self, backend: str) -> None:
        f = double(backend)
        first = f(np.ones(4, np.float32))
        f(np.zeros(4, np.float32))
        np.testing.assert_array_equal(first, 2)
        assert first.flags.writeable
        assert first.flags.owndata


class TestConversion:
    @pytest.mark.parametrize(
        "value",
        [
            [1, 2, 3],
            (1.0, 2.0, 3.0),
            np.array([1, 2, 3], np.float32),
            np.array([1, 9, 2, 9, 3], np.float32)[::2],
            np.array([3, 2, 1], np.float32)[::-1],
            np.array([1, 2, 3], ">f4"),
            np.array([1, 2, 3], np.int8),
            np.frombuffer(b"\0" + np.array([1, 2, 3], np.float32).tobytes(), np.uint8)[1:].view(np.float32),
        ],
        ids=["ints", "floats", "plain", "strided", "reversed", "big-endian", "int8", "misaligned"],
    )
    def test_what_holds_the_numbers_does_not_matter(self, value: object, backend: str) -> None:
        np.testing.assert_array_equal(double(backend)(value), np.array([2, 4, 6], np.float32))

    def test_inputs_are_not_written(self, backend: str) -> None:
        given = np.arange(100, dtype=np.float32)
        given.flags.writeable = False
        double(backend)(given)
        np.testing.assert_array_equal(given, np.arange(100))

    @pytest.mark.parametrize(
        ("dtype", "value", "message"),
        [
            ("float32", np.ones(3), "cannot be cast to float32 safely"),
            ("float32", np.ones(3, np.int64), "cannot be cast to float32 safely"),
            ("int64", [1.5, 2.0], "cannot be cast to int64 safely"),
            ("int8", [1, 300], "cannot be cast to int8 safely"),
            ("float32", np.ones(3, complex), "got an object of type ndarray of dtype complex128"),
            ("float32", np.ones((3, 1), np.float32), "got rank 2"),
            ("float32", 1.0, "got rank 0"),
            ("float32", "text", "got an object of type str"),
            ("float32", None, "got an object of type NoneType"),
            ("float32", object(), "got an object of type object"),
            ("float32", [[1, 2], [3]], "input x: takes f32[n]"),
        ],
    )
    def test_what_does_not_fit_names_the_input(self, dtype: str, value: object, message: str) -> None:
        with pytest.raises(gx.InputError) as caught:
            double(dtype=dtype)(value)
        assert "input x: takes" in str(caught.value)
        assert message in str(caught.value)
        assert "test_executable.py" in str(caught.value)

    def test_a_symbolic_value_is_no_array(self) -> None:
        with pytest.raises(gx.InputError, match="got the symbolic"):
            double()(gx.placeholder((3,)))

    def test_names_missing_unknown_twice_and_too_many(self) -> None:
        a, b = gx.placeholder((), name="a"), gx.placeholder((2,), name="b")
        f = gx.compile([a, b], a * b, name="f")
        for args, kwargs, message in [
            ((1,), {}, "f: input b: f32[2] is missing"),
            ((), {"b": [1, 2]}, "f: input a: f32[] is missing"),
            ((1, [1, 2]), {"c": 3}, "f: has no input 'c'; its inputs are a, b"),
            ((1, [1, 2]), {"a": 3}, "f: input 'a' is given by position and by name"),
            ((1, [1, 2], 3), {}, "f: takes 2 inputs (a, b), got 3"),
            ((1, [1, 2, 3]), {}, "axis 0 is 3, not 2"),
        ]:
            with pytest.raises(gx.InputError) as caught:
                f(*args, **kwargs)
            assert message in str(caught.value)


class TestSizes:
    def test_one_compile_serves_every_size(self, backend: str) -> None:
        f = double(backend)
        for n in (1, 5, 0, 17, 5):
            np.testing.assert_array_equal(f(np.arange(n, dtype=np.float32)), 2 * np.arange(n))
        assert [s.sizes["n"] for s in f.specializations] == [1, 5, 0, 17]

    def test_a_named_size_is_one_size(self) -> None:
        x, y = gx.placeholder(("n", 3), name="x"), gx.placeholder((2, "n"), name="y")
        f = gx.compile([x, y], y @ x)
        assert f(np.ones((4, 3), np.float32), np.ones((2, 4), np.float32)).shape == (2, 3)
        with pytest.raises(gx.InputError) as caught:
            f(np.ones((4, 3), np.float32), np.ones((2, 5), np.float32))
        assert "dimension 'n' is 4 in input x (axis 0, shape (4, 3)) and 5 in input y (axis 1" in str(caught.value)

    def test_sizes_that_turn_out_to_differ_name_the_users_line(self) -> None:
        x, y = gx.placeholder((None,), name="x"), gx.placeholder((None,), name="y")
        f = gx.compile([x, y], x + y)
        assert f([1, 2], [3, 4]).tolist() == [4, 6]
        for other in ([1], [1, 2, 3]):
            with pytest.raises(gx.ShapeError) as caught:
                f([1, 2], other)
            assert "f = gx.compile([x, y], x + y)" in str(caught.value)

    def test_the_least_recently_used_code_goes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(executable_module, "MAX_SPECIALIZATIONS", 2)
        f = double()
        for n in (1, 2, 1, 3):
            f(np.ones(n, np.float32))
        assert sorted(s.sizes["n"] for s in f.specializations) == [1, 3]
        assert f(np.ones(2, np.float32)).tolist() == [2, 2]

    def test_specialize_makes_code_ahead(self) -> None:
        f = double()
        assert f.specialize(n=9).sizes == {"n": 9}
        with pytest.raises(gx.ArgumentError, match="has the sizes"):
            f.specialize(m=9)


class TestState:
    def test_updates_see_the_values_before_the_call(self, backend: str) -> None:
        a, b = gx.variable(np.arange(3.0), name="a"), gx.variable(np.ones(3), name="b")
        f = gx.compile([], [a, b], updates={a: b, b: a}, backend=backend)
        before = f()
        np.testing.assert_array_equal(before, [np.arange(3.0), np.ones(3)])
        np.testing.assert_array_equal([a.value, b.value], [np.ones(3), np.arange(3.0)])

    def test_an_update_that_others_still_read(self, backend: str) -> None:
        w, x = gx.variable(np.arange(4.0), name="w"), gx.placeholder((4,), "float64", name="x")
        grown = w + x
        f = gx.compile([x], [w * 10, gx.sum(w), grown[::-1]], updates={w: grown}, backend=backend)
        tenfold, total, turned = f(np.ones(4))
        np.testing.assert_array_equal(tenfold, 10 * np.arange(4.0))
        assert total == 6
        np.testing.assert_array_equal(turned, [4, 3, 2, 1])
        np.testing.assert_array_equal(w.value, [1, 2, 3, 4])

    def test_a_failing_call_changes_nothing(self, backend: str) -> None:
        labels = gx.placeholder(("n",), "int64", name="labels")
        v, w = gx.variable(np.zeros(3), name="v"), gx.variable(np.zeros(3), name="w")
        seen = gx.sum(gx.one_hot(labels, 3, dtype="float64"), axis=0)
        f = gx.compile([labels], seen, updates={v: v + 1, w: w + seen}, backend=backend)
        f([0, 1, 1])
        with pytest.raises(gx.OutOfBoundsError, match="index 3 is out of bounds for an axis of size 3"):
            f([0, 3])
        np.testing.assert_array_equal(v.value, [1, 1, 1])
        np.testing.assert_array_equal(w.value, [1, 2, 0])

    def test_two_functions_share_a_variable(self) -> None:
        v = gx.variable(np.zeros(2), name="v")
        add, read = gx.compile([], [], updates={v: v + 1}), gx.compile([], v)
        add()
        np.testing.assert_array_equal(read(), [1, 1])
        v.assign(np.array([5.0, 6.0]))
        add()
        np.testing.assert_array_equal(read(), [6, 7])

    def test_check_nan_names_the_operation_and_keeps_the_state(self, backend: str) -> None:
        x, v = gx.placeholder((2,), name="x"), gx.variable(np.zeros(2, np.float32), name="v")
        root = gx.sqrt(x)
        f = gx.compile([x], root, updates={v: v + root}, backend=backend, options=gx.Options(check_nan=True))
        np.testing.assert_array_equal(f([4, 9]), [2, 3])
        with pytest.raises(gx.NaNError) as caught:
            f([4, -9])
        assert "sqrt gave NaN" in str(caught.value)
        assert "root = gx.sqrt(x)" in str(caught.value)
        np.testing.assert_array_equal(v.value, [2, 3])


class TestThreads:
    def run(self, work: object, count: int = 8) -> None:
        errors: list[BaseException] = []

        def guarded(k: int) -> None:
            try:
                work(k)  # type: ignore[operator]
            except BaseException as error:  # noqa: BLE001  handed to the main thread
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(k,)) for k in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors

    @pytest.mark.parametrize("n", [8, 512])
    def test_calls_at_once_do_not_mix(self, n: int) -> None:
        x = gx.placeholder((None, None), name="x")
        f = gx.compile([x], gx.tanh(x @ x.T) @ x)
        inputs = [np.random.default_rng(k).normal(size=(n, n)).astype(np.float32) for k in range(8)]
        alone = [f(value) for value in inputs]

        def work(k: int) -> None:
            for _ in range(5):
                np.testing.assert_array_equal(f(inputs[k]), alone[k])

        self.run(work)

    def test_every_update_counts(self) -> None:
        v, w = gx.variable(np.zeros(1000), name="v"), gx.variable(np.zeros(1000), name="w")
        add = gx.compile([], [v, w], updates={v: v + 1, w: w - 1})

        def work(_: int) -> None:
            for _ in range(50):
                a, b = add()
                np.testing.assert_array_equal(a, -b)

        self.run(work)
        np.testing.assert_array_equal(v.value, 400)

    def test_the_first_calls_compile_once(self) -> None:
        f = double()
        self.run(lambda k: f(np.ones(33, np.float32)))
        assert len(f.specializations) == 1

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_forked_child_can_call(self) -> None:
        v = gx.variable(np.zeros(4), name="v")
        add = gx.compile([], v, updates={v: v + 1})
        add()
        child = os.fork()
        if child == 0:
            add()
            os._exit(0 if v.value.tolist() == [2, 2, 2, 2] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert v.value.tolist() == [1, 1, 1, 1]


class TestCompile:
    def test_givens_replace(self, backend: str) -> None:
        x, y = gx.placeholder((3,), name="x"), gx.placeholder((3,), name="y")
        f = gx.compile([y], gx.sum(x * x), givens={x: y + 1}, backend=backend)
        assert f([0, 1, 2]) == 14

    @pytest.mark.parametrize("name", ["k0", "exp", "sites0", "memcpy", "now", "a name, with signs"])
    def test_any_name_will_do(self, name: str) -> None:
        x = gx.placeholder((3,), name="x")
        assert gx.compile([x], gx.sum(gx.exp(x) ** 2.5), name=name)([0, 0, 0]) == 3

    def test_text_of_every_stage(self) -> None:
        f = double()
        assert "mul(x, 2.0)" in f.text("graph")
        with pytest.raises(gx.ArgumentError, match="no code has been made yet"):
            f.text("llvm")
        f([1, 2, 3])
        assert "f32[3]" in f.text("optimized")
        assert "for " in f.text("kernels")
        assert "define i32 @program.double" in f.text("llvm")
        assert "double" in f.text("asm")
        with pytest.raises(gx.ArgumentError, match="there is no stage 'asn'"):
            f.text("asn")

    @pytest.mark.parametrize(
        ("build", "error", "message"),
        [
            (lambda x, v: gx.compile(x, x), gx.ArgumentError, "inputs must be a list of placeholders"),
            (lambda x, v: gx.compile([x + 1], x), gx.ArgumentError, "input 0 must be a placeholder"),
            (lambda x, v: gx.compile([x, v], x), gx.ArgumentError, "a variable is state, not an input"),
            (lambda x, v: gx.compile([x, x], x), gx.ArgumentError, "input 1, x, is listed twice"),
            (lambda x, v: gx.compile([x, gx.placeholder((), name="x")], x), gx.ArgumentError, "the name of another"),
            (lambda x, v: gx.compile([], x + 1), gx.ArgumentError, "need placeholder x (f32[3])"),
            (lambda x, v: gx.compile([x], {"a": [object()]}), gx.ArgumentError, "must be a Tensor or an array"),
            (lambda x, v: gx.compile([x], x, backend="gpu"), gx.ArgumentError, "must be 'llvm' or 'eager'"),
            (lambda x, v: gx.compile([x], x, options={}), gx.ArgumentError, "options must be a gx.Options"),
            (lambda x, v: gx.compile([x], x, updates={x: x}), gx.ArgumentError, "updates maps variables"),
            (lambda x, v: gx.compile([x], x, updates={v: x[:2]}), gx.ShapeError, "update of variable v must be"),
            (lambda x, v: gx.compile([x], x, updates={v: x.astype("float64")}), gx.DTypeError, "be f32[3], got f64[3]"),
            (lambda x, v: gx.compile([x], x, givens={x: v[:2]}), gx.ShapeError, "the replacement of"),
            (lambda x, v: gx.Options(threads=0), gx.ArgumentError, "threads must be a positive int"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_compiled(self, build: object, error: type[Exception], message: str) -> None:
        x, v = gx.placeholder((3,), name="x"), gx.variable(np.zeros(3, np.float32), name="v")
        with pytest.raises(error) as caught:
            build(x, v)  # type: ignore[operator]
        assert message in str(caught.value)
        assert "test_executable.py" in str(caught.value)
