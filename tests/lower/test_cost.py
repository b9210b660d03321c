"""Costs of programs whose operations one can count by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx


def test_a_matrix_product_and_its_epilogue() -> None:
    x, w = gx.placeholder((64, 32), name="x"), gx.placeholder((32, 16), name="w")
    cost = gx.compile([x, w], gx.tanh(x @ w + 1)).cost()
    assert cost.flops == 64 * 16 * (2 * 32 + 1)
    assert cost.transcendentals == 64 * 16
    assert cost.bytes == 4 * (64 * 32 + 32 * 16 + 64 * 16)
    assert (cost.kernels, cost.launches, cost.arena_bytes, cost.live_bytes) == (1, 1, 0, 0)


def test_a_softmax_moves_its_input_and_its_output_once() -> None:
    x = gx.placeholder((50, 30), name="x")
    cost = gx.compile([x], gx.nn.softmax(x)).cost()
    assert cost.kernels == 1
    assert cost.bytes == 2 * 4 * 50 * 30
    assert cost.transcendentals == 50 * 30


def test_the_estimate_of_time_grows_with_work_and_with_traffic() -> None:
    def seconds(n: int, function: Callable[[gx.Tensor], gx.Tensor]) -> float:
        x = gx.placeholder((n, n), name="x")
        return gx.compile([x], function(x)).cost().seconds

    assert 0 < seconds(16, lambda x: x + 1) < seconds(256, lambda x: x + 1) < seconds(1024, lambda x: x + 1)
    assert seconds(256, lambda x: x @ x) > 4 * seconds(256, lambda x: x + x.T)


def test_steps_of_a_scan_count_each() -> None:
    xs = gx.placeholder((7, 10), "float64", name="xs")
    w = np.eye(10)
    total, _ = gx.scan(lambda c, x: (c @ w + x, None), gx.zeros(10), xs)
    cost = gx.compile([xs], total).cost()
    assert cost.flops >= 7 * 2 * 10 * 10
    assert cost.launches >= 7


def test_intermediate_values_are_in_the_arena() -> None:
    x = gx.placeholder((64, 64), name="x")
    cost = gx.compile([x], gx.exp(x) @ gx.exp(x.T + 1)).cost()
    assert cost.arena_bytes == cost.live_bytes == 2 * 4 * 64 * 64


def test_threads_that_pay() -> None:
    def cost(n: int, threads: int | None = None) -> int:
        x = gx.placeholder((n, 1024), name="x")
        return gx.compile([x], gx.exp(gx.tanh(x)), options=gx.Options(threads=threads)).cost().threads

    assert cost(1) == 1 < cost(64) < cost(512)
    assert (cost(512, 1), cost(512, 2)) == (1, 2)


def test_there_is_no_cost_before_there_is_code() -> None:
    x = gx.placeholder(("n",), name="x")
    f = gx.compile([x], x + 1, name="f")
    with pytest.raises(gx.ArgumentError, match="no code has been made yet"):
        f.cost()
    f(np.ones(3, np.float32))
    assert f.cost().flops == 3
