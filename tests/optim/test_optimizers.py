"""Optimisers: the same steps as PyTorch's, state that can be saved, schedules, clipping, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

try:
    import torch
except ImportError:
    torch = None

OPTIMIZERS: dict[str, tuple[Callable[[], gx.optim.Optimizer], str, dict[str, Any]]] = {
    "sgd": (lambda: gx.optim.SGD(0.1), "SGD", {"lr": 0.1}),
    "sgd with momentum": (
        lambda: gx.optim.SGD(0.1, momentum=0.9, weight_decay=0.01),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    ),
    "sgd, nesterov": (
        lambda: gx.optim.SGD(0.1, momentum=0.9, nesterov=True),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (lambda: gx.optim.Adam(0.05), "Adam", {"lr": 0.05}),
    "adam, decayed": (
        lambda: gx.optim.Adam(0.05, (0.8, 0.95), 1e-6, 0.1),
        "Adam",
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    ),
    "adamw": (lambda: gx.optim.AdamW(0.05, weight_decay=0.2), "AdamW", {"lr": 0.05, "weight_decay": 0.2}),
    "rmsprop": (lambda: gx.optim.RMSProp(0.02), "RMSprop", {"lr": 0.02}),
    "rmsprop, all": (
        lambda: gx.optim.RMSProp(0.02, 0.9, 1e-6, 0.1, 0.5, centered=True),
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1, "momentum": 0.5, "centered": True},
    ),
    "adagrad": (lambda: gx.optim.Adagrad(0.1), "Adagrad", {"lr": 0.1}),
    "adagrad, decayed": (
        lambda: gx.optim.Adagrad(0.1, weight_decay=0.1, decay=0.2),
        "Adagrad",
        {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.2},
    ),
}
START = np.array([[1.0, -2.0, 0.5], [3.0, 0.1, -0.7]])
SCALE = np.array([1.0, 10.0, 0.3])


def loss_of(w: Any, b: Any, t: Any) -> Any:
    return t.sum((w * SCALE) ** 2) + t.sum(t.cos(b) * b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_pytorch(name: str) -> None:
    if torch is None:
        pytest.skip("torch is not installed (extra: bench)")
    make, theirs, settings = OPTIMIZERS[name]
    w, b = gx.variable(START, name="w"), gx.variable(0.4, name="b")
    loss = loss_of(w, b, gx)
    step = gx.compile([], loss, updates=make().updates(loss, {"w": w, "b": b}))
    tw, tb = (torch.tensor(v, requires_grad=True, dtype=torch.float64) for v in (START, 0.4))
    optimizer = getattr(torch.optim, theirs)([tb, tw], **settings)
    scale = torch.tensor(SCALE)
    for _ in range(7):
        optimizer.zero_grad()
        value = torch.sum((tw * scale) ** 2) + torch.cos(tb) * tb
        value.backward()
        assert float(step()) == pytest.approx(value.item(), rel=1e-12)
        optimizer.step()
        np.testing.assert_allclose(w.value, tw.detach().numpy(), rtol=1e-11)
        np.testing.assert_allclose(b.value, tb.item(), rtol=1e-11)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_falls_and_state_can_be_saved(name: str, dtype: str) -> None:
    def training() -> tuple[Any, gx.optim.Optimizer, list[gx.Tensor]]:
        w, b = gx.variable(START.astype(dtype), name="w"), gx.variable(np.asarray(0.4, dtype), name="b")
        loss = gx.sum(w * w) + b * b
        optimizer = OPTIMIZERS[name][0]()
        return gx.compile([], loss, updates=optimizer.updates(loss, [w, b])), optimizer, [w, b]

    step, optimizer, parameters = training()
    losses = [float(step()) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert all(p.dtype == dtype for p in parameters)
    saved, weights = optimizer.state_dict(), [p.value for p in parameters]
    assert saved["steps"] == 5
    expected = [float(step()) for _ in range(3)]
    again, other, fresh = training()
    other.load_state_dict(saved)
    for p, value in zip(fresh, weights, strict=True):
        p.assign(value)
    assert [float(again()) for _ in range(3)] == expected
    with pytest.raises(gx.ArgumentError, match=r"missing \['steps'\]"):
        other.load_state_dict({k: a for k, a in saved.items() if k != "steps"})
    with pytest.raises(gx.ArgumentError, match="steps must be i64"):
        other.load_state_dict({**saved, "steps": np.zeros(2)})


def test_the_rate_can_be_changed_and_scheduled() -> None:
    w = gx.variable(1.0, name="w")
    optimizer = gx.optim.SGD(0.5)
    step = gx.compile([], w, updates=optimizer.updates_from([gx.ones_like(w)], [w]))
    step()
    optimizer.learning_rate.assign(0.25)
    step()
    assert w.value == 0.25
    v = gx.variable(0.0, name="v")
    scheduled = gx.optim.SGD(gx.optim.piecewise([1.0, 10.0], [2]))
    step = gx.compile([], v, updates=scheduled.updates_from([-gx.ones_like(v)], [v]))
    assert [float(step()) for _ in range(5)] == [0, 1, 2, 12, 22]


SCHEDULES = {
    "constant": (gx.optim.constant(0.5, warmup=4), lambda k: 0.5 * min((k + 1) / 4, 1)),
    "linear": (gx.optim.linear(1.0, 0.2, 10), lambda k: 1 - 0.8 * min(k / 10, 1)),
    "cosine": (
        gx.optim.cosine_decay(1.0, 10, 0.1, warmup=3),
        lambda k: (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(k / 10, 1)))) * min((k + 1) / 3, 1),
    ),
    "exponential": (gx.optim.exponential_decay(2.0, 5, 0.5), lambda k: 2 * 0.5 ** (k / 5)),
    "staircase": (gx.optim.exponential_decay(2.0, 5, 0.5, staircase=True), lambda k: 2 * 0.5 ** (k // 5)),
    "piecewise": (gx.optim.piecewise([3, 2, 1], [2, 7]), lambda k: 3 if k < 2 else 2 if k < 7 else 1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    schedule, expected = SCHEDULES[name]
    run = gx.jit(schedule)
    for k in (0, 1, 2, 5, 7, 10, 20):
        assert float(run(k)) == pytest.approx(expected(k))


def test_clipping() -> None:
    clip = gx.jit(lambda g: gx.optim.clip_by_global_norm(g, 5.0))
    big, small = {"a": np.array([30.0]), "b": np.float64(40.0)}, {"a": np.array([0.3]), "b": np.float64(0.0)}
    assert [float(np.sum(v)) for v in clip(big).values()] == pytest.approx([3, 4])
    assert clip(small)["a"] == small["a"]
    assert clip({"a": np.zeros(2)})["a"].tolist() == [0, 0]
    w = gx.variable(np.array([3.0, 4.0]), name="w")
    step = gx.compile([], [], updates=gx.optim.SGD(1.0).updates(gx.sum(w * w) / 2, [w], max_norm=1.0))
    step()
    np.testing.assert_allclose(w.value, [2.4, 3.2])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda w: gx.optim.SGD(-1.0), "learning_rate must be a number of at least 0"),
        (lambda w: gx.optim.SGD("fast"), "learning_rate must be"),
        (lambda w: gx.optim.SGD(1.0, nesterov=True), "nesterov needs a momentum"),
        (lambda w: gx.optim.Adam(betas=(0.9, 1.0)), r"betas\[1\] must be less than 1"),
        (lambda w: gx.optim.SGD(1.0).updates(gx.sum(w), []), "no trainable variables"),
        (lambda w: gx.optim.SGD(1.0).updates(gx.sum(w), [w * 2]), "parameters must be variables"),
        (lambda w: gx.optim.SGD(1.0).updates_from([], [w]), "a gradient for each of 1 parameters"),
        (lambda w: gx.optim.SGD(1.0).updates_from([gx.sum(w)], [w]), r"gradient of w must be f64\[2\]"),
        (lambda w: gx.optim.SGD(1.0).updates(gx.asarray(1.0), [w]), "does not depend on"),
        (lambda w: gx.optim.piecewise([1.0], [3]), "one rate more"),
        (lambda w: gx.optim.clip_by_global_norm([w], 0), "max_norm must be positive"),
    ],
)
def test_errors(run: Callable[[gx.Tensor], Any], message: str) -> None:
    with pytest.raises((gx.ArgumentError, gx.GradientError), match=message):
        run(gx.variable(np.ones(2), name="w"))
