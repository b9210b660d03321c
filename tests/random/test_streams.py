"""Streams: other numbers in each run, draw and step, and a state that moves with the other variables or not at all."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, OutOfBoundsError


def distinct(*arrays) -> bool:
    flat = np.concatenate([np.ravel(a) for a in arrays])
    return len(set(flat.tolist())) == flat.size


@pytest.mark.parametrize("backend", ["llvm", "eager"])
def test_each_run_and_each_draw_is_another(backend):
    stream = gx.random.Stream(7)
    step = gx.compile([], [stream.normal((3,)), stream.normal((3,)), stream.uniform((3,))], backend=backend)
    assert distinct(*step(), *step(), *step())
    assert stream.state.value.tolist() == [7, 3]


def test_seeding_begins_again():
    stream = gx.random.Stream(7)
    step = gx.compile([], stream.normal((3,)))
    first = [step(), step()]
    stream.seed(7)
    np.testing.assert_array_equal([step(), step()], first)
    stream.seed(8)
    assert distinct(*first, step())
    before = stream.state.value
    third = step()
    stream.state.assign(before)
    np.testing.assert_array_equal(step(), third)


def test_streams_of_one_seed_give_the_same():
    one, two = (gx.compile([], gx.random.Stream(3).normal((5,)), backend=b) for b in ("llvm", "eager"))
    np.testing.assert_allclose(one(), two(), rtol=1e-6)


def test_executables_continue_each_other():
    stream = gx.random.Stream(0)
    noise = stream.normal((4,))
    a, b = gx.compile([], noise), gx.compile([], noise * 2)
    together = [a(), b() / 2, a(), b() / 2]
    stream.seed(0)
    np.testing.assert_array_equal(together, [a() for _ in range(4)])
    other = gx.compile([], stream.normal((4,)))
    assert distinct(a(), other(), a(), other())


def test_what_reads_no_draw_does_not_advance():
    stream = gx.random.Stream(5)
    look = gx.compile([], stream.state)
    assert look().tolist() == [5, 0]
    assert look().tolist() == [5, 0]
    gx.compile([], gx.asarray(1.0))()
    assert stream.state.value.tolist() == [5, 0]


def test_asking_for_values_is_a_run():
    stream = gx.random.Stream(5)
    noise = stream.normal((3,))
    assert distinct(noise.numpy(), noise.numpy(), (noise + 1).numpy() - 1)
    assert stream.state.value.tolist() == [5, 3]
    np.testing.assert_array_equal(stream.state.numpy(), [5, 3])
    assert stream.state.value.tolist() == [5, 3]


def test_sizes_that_a_run_finds():
    """What is counted, and what is then taken, are of one draw."""
    stream = gx.random.Stream(5)
    mask = stream.bernoulli(0.5, (50,))
    places = gx.nonzero(mask)[0]
    run = gx.compile([], [mask, places])
    for _ in range(4):
        found, where = run()
        np.testing.assert_array_equal(where, np.flatnonzero(found))
    assert stream.state.value.tolist() == [5, 4]


def test_given_updates_count():
    stream = gx.random.Stream(5)
    hold = gx.compile([], stream.normal((2,)), updates={stream.state: stream.state})
    np.testing.assert_array_equal(hold(), hold())


def test_a_run_that_raises_leaves_the_state():
    stream = gx.random.Stream(5)
    table, index = gx.placeholder((3,), name="table"), gx.placeholder((), "int64", name="index")
    step = gx.compile([table, index], gx.take(table, index[None], axis=0) + stream.normal(()))
    with pytest.raises(OutOfBoundsError):
        step(np.zeros(3, np.float32), 3)
    assert stream.state.value.tolist() == [5, 0]
    first = step(np.zeros(3, np.float32), 1)
    stream.seed(5)
    np.testing.assert_array_equal(step(np.zeros(3, np.float32), 1), first)


def test_traced_functions():
    stream = gx.random.Stream(1)
    drop = gx.jit(lambda x: x * stream.bernoulli(0.5, x.shape))
    masks = [drop(np.ones(64)) for _ in range(3)]
    assert len({m.tobytes() for m in masks}) == 3
    assert stream.state.value.tolist() == [1, 3]

    weight = gx.variable(np.ones(8), name="weight")
    noise = gx.random.Stream(2)
    loss_and_slope = gx.value_and_grad(lambda x: gx.sum(weight * x * noise.normal(x.shape, "float64")))
    (one, slope), (two, _) = loss_and_slope(np.ones(8)), loss_and_slope(np.ones(8))
    assert one != two
    np.testing.assert_allclose(slope.sum(), one)  # the noise of the value is that of the gradient


def test_each_step_of_a_loop_is_another():
    stream = gx.random.Stream(1)
    scanned = gx.scan(lambda c, _: (c, stream.uniform((2,))), 0, None, length=5)[1]
    mapped = gx.vmap(lambda x: x + stream.uniform((2,)))(gx.zeros((5,)))
    nested = gx.scan(lambda c, _: (c, gx.map(lambda x: x + stream.uniform(()), gx.zeros(4))), 0, None, length=3)[1]
    back = gx.scan(lambda c, _: (c, stream.uniform(())), 0, None, length=5, reverse=True)[1]

    def roll(carry):
        k, rolls = carry
        return k + 1, rolls.at[k].set(stream.uniform(()))

    rolled = gx.while_loop(lambda c: c[0] < 6, roll, (0, gx.zeros(6, "float32")))[1]
    counted = gx.fori_loop(0, 6, lambda k, rolls: rolls.at[k].set(stream.uniform(())), gx.zeros(6, "float32"))
    until = gx.fori_loop(
        0,
        stream.state[0].astype("int64") + 5,
        lambda k, rolls: rolls.at[k].set(stream.uniform(())),
        gx.zeros(6, "float32"),
    )
    draws = [scanned, mapped, nested, back, rolled, counted, until]
    for backend in ("llvm", "eager"):
        run = gx.compile([], draws, backend=backend)
        assert distinct(*run(), *run())


def test_a_loop_uses_the_draw_that_it_is_given():
    stream = gx.random.Stream(1)
    noise = stream.normal(())
    found = gx.compile([], gx.map(lambda x: x + noise, gx.zeros(4, "float32")))()
    assert len(set(found.tolist())) == 1


def test_a_loop_that_draws_has_derivatives():
    stream = gx.random.Stream(1)
    x = gx.placeholder((), "float64", name="x")
    total = gx.scan(lambda c, _: (c * x * stream.uniform((), "float64"), None), gx.ones((), "float64"), None, length=4)[
        0
    ]
    value, slope = gx.compile([x], [total, gx.gradients(total, x)])(2.0)
    np.testing.assert_allclose(slope, 4 * value / 2)
    power = gx.while_loop(
        lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * x * stream.uniform((), "float64")), (0, gx.ones((), "float64"))
    )[1]
    value, slope = gx.compile([x], [power, gx.gradients(power, x)])(2.0)
    np.testing.assert_allclose(slope, 4 * value / 2)


def test_branches():
    stream = gx.random.Stream(1)
    flag = gx.placeholder((), "bool", name="flag")
    chosen = gx.compile([flag], gx.cond(flag, lambda: stream.uniform(()), lambda: -stream.uniform(())))
    found = [float(chosen(k % 2 == 0)) for k in range(6)]
    assert [f > 0 for f in found] == [True, False] * 3
    assert len(set(map(abs, found))) == 6


def test_errors():
    for seed in (2**64, 1.5, True, "a"):
        with pytest.raises(ArgumentError, match="Stream: seed must be an int that fits 64 bits"):
            gx.random.Stream(seed)
    stream = gx.random.Stream(3)
    with pytest.raises(ArgumentError, match="Stream: seed"):
        stream.seed(-(2**64))
    assert repr(stream) == "Stream(seed=3) after 0 runs"
