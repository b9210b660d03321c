"""Symbolic sizes behave as the integers that they stand for."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.errors import ShapeError, SymbolicValueError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.syntax import size_of, size_text

N, M = Dim.symbol("n"), Dim.symbol("m")
VALUES = {"n": 5, "m": 3}

Pair = tuple[Size, int]
"""A size, and what it is for n = 5, m = 3."""


def combined(children: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    operations: list[Callable[..., Size]] = [
        operator.add, operator.sub, operator.mul, dims.maximum, dims.minimum
    ]  # fmt: skip

    def apply(op: Callable[..., Size], a: Pair, b: Pair) -> Pair:
        return op(a[0], b[0]), op(a[1], b[1])  # type: ignore[return-value]

    def divide(a: Pair, divisor: int) -> Pair:
        return dims.floordiv(a[0], divisor), a[1] // divisor

    return st.builds(apply, st.sampled_from(operations), children, children) | st.builds(
        divide, children, st.integers(1, 4)
    )


sizes = st.recursive(
    st.sampled_from([(N, 5), (M, 3)]) | st.integers(-4, 4).map(lambda k: (k, k)), combined, max_leaves=8
)


@given(sizes)
def test_arithmetic_agrees_with_integers(pair: Pair) -> None:
    assert dims.bind(pair[0], VALUES) == pair[1]


@given(sizes)
def test_binding_one_symbol_after_the_other(pair: Pair) -> None:
    assert dims.bind(dims.bind(pair[0], {"n": 5}), {"m": 3}) == pair[1]


@given(sizes)
def test_text_reads_back_as_the_same_size(pair: Pair) -> None:
    assert size_of(ast.parse(size_text(pair[0]), mode="eval").body) == pair[0]


@given(sizes, sizes)
def test_equal_sizes_are_equal_numbers(a: Pair, b: Pair) -> None:
    if a[0] == b[0]:
        assert a[1] == b[1]
        assert hash(a[0]) == hash(b[0])


@given(sizes)
def test_differences_cancel(pair: Pair) -> None:
    size = pair[0]
    assert size - size == 0
    assert size + size == 2 * size
    assert (size * 6) // 6 == size


def test_known_numbers_are_ints() -> None:
    for size in (N - N, N * 0, (N * 784) // N, dims.product(()), (N + 2) - N, dims.maximum(N, N + 1) - N):
        assert type(size) is int


def test_division_by_zero_is_an_error_of_sizes() -> None:
    n, m = Dim.symbol("n"), Dim.symbol("m")
    with pytest.raises(ShapeError, match="n // 0"):
        n // 0
    with pytest.raises(ShapeError, match="3 // 0"):
        dims.bind(n // m, {"n": 3, "m": 0})


def test_normal_form() -> None:
    assert N * M + M == M * (N + 1)
    assert str(2 * N + 1 - N) == "n + 1"
    assert str(dims.ceildiv(N, 4)) == str(-((-N) // 4))
    assert dims.ceildiv(7, 4) == 2
    assert (N % 4) + 4 * (N // 4) == N
    assert dims.maximum(N, 0) == N
    assert dims.minimum(N, 0) == 0
    assert dims.maximum(N + 1, N) == N + 1


def test_anonymous_sizes_differ() -> None:
    assert Dim.anonymous() != Dim.anonymous()
    assert Dim.symbol("n") == N


def test_symbols() -> None:
    assert dims.symbols_of((N * M + 1, 3, dims.maximum(N, 7) // 2)) == {"n", "m"}


@pytest.mark.parametrize("use", [int, float, bool, range], ids=lambda f: f.__name__)
def test_an_unknown_size_is_no_number(use: Callable[[Dim], object]) -> None:
    with pytest.raises(SymbolicValueError, match="the size n is not known"):
        use(N)
