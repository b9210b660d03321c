"""Modules: what is found in them and by which name, modes, state, containers, text, first values, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx


class Block(gx.nn.Module):
    def __init__(self) -> None:
        self.norm = gx.nn.BatchNorm(3)
        self.heads = {"a": gx.nn.Linear(3, 2, bias=False), "b": [gx.nn.Linear(3, 2)]}
        self.scale = gx.variable(np.float32(2.0), name="scale")
        self.width = 3
        self.table = np.zeros(4)

    def forward(self, x: gx.Tensor) -> gx.Tensor:
        x = self.norm(x)
        return (self.heads["a"](x) + self.heads["b"][0](x)) * self.scale


class Net(gx.nn.Module):
    def __init__(self) -> None:
        self.blocks = [Block(), Block()]
        self.tied = self.blocks[0]
        self.weight = self.blocks[1].scale

    def forward(self, x: gx.Tensor) -> gx.Tensor:
        return self.blocks[0](x)


def test_what_is_found() -> None:
    net = Net()
    own = ["norm.weight", "norm.bias", "heads.a.weight", "heads.b.0.weight", "heads.b.0.bias"]
    assert [n for n, _ in net.named_modules()] == [
        "", "blocks.0", "blocks.0.norm", "blocks.0.heads.a", "blocks.0.heads.b.0",
        "blocks.1", "blocks.1.norm", "blocks.1.heads.a", "blocks.1.heads.b.0",
    ]  # fmt: skip
    names = [n for n, _ in net.named_parameters()]
    assert names == ["weight", "blocks.0.scale", *[f"blocks.{k}.{n}" for k in (0, 1) for n in own]]
    assert len(net.parameters()) == len(names)
    assert [b.name for b in net.buffers()] == ["running_mean", "running_var"] * 2
    assert [n for n, v in net.named_variables() if v is net.weight] == ["weight", "blocks.1.scale"]
    assert net.count_parameters() == sum(p.value.size for p in net.parameters())


def test_a_module_may_hold_one_that_holds_it() -> None:
    a, b = gx.nn.Module(), gx.nn.Linear(2, 2)
    a.inner, b.outer = b, a
    assert [n for n, _ in a.named_modules()] == ["", "inner"]


def test_modes() -> None:
    net = Net()
    assert net.train(False) is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    x = gx.placeholder((4, 3), name="x")
    before = net.blocks[0].norm.state_dict()
    gx.compile([x], net.eval()(x))(np.ones((4, 3), np.float32))
    assert (net.blocks[0].norm.running_mean.value == before["running_mean"]).all()
    gx.compile([x], net.train()(x))(np.ones((4, 3), np.float32))
    assert (net.blocks[0].norm.running_mean.value == np.float32(0.1)).all()


def test_freezing() -> None:
    net = gx.nn.Sequential(gx.nn.Linear(3, 3), gx.nn.BatchNorm(3), gx.nn.Linear(3, 1))
    assert net[0].freeze() is net[0]
    assert [n for n, _ in net.named_parameters()] == ["1.weight", "1.bias", "2.weight", "2.bias"]
    x = gx.placeholder((4, 3), name="x")
    before = net.state_dict()
    loss = gx.sum(net(x) ** 2)
    gx.compile([x], loss, updates=gx.optim.SGD(0.1).updates(loss, net))(np.eye(4, 3, dtype=np.float32))
    changed = [k for k, v in net.state_dict().items() if not (v == before[k]).all()]
    assert "0.weight" not in changed
    assert {"1.running_mean", "2.bias"} <= set(changed)
    net.freeze()
    assert net.parameters() == []
    assert len(net.buffers()) == 8
    assert len(net.unfreeze().parameters()) == 6
    assert len(net.buffers()) == 2


def test_state() -> None:
    a, b = Net(), Net()
    state = a.state_dict()
    assert list(state) == [n for n, _ in a.named_variables()]
    assert b.load_state_dict(state) == ([], [])
    assert all((v == state[k]).all() for k, v in b.state_dict().items())
    state["weight"][...] = 7  # a copy
    assert a.weight.value == 2
    part = {k: v for k, v in state.items() if k.startswith("blocks.0")}
    found = b.load_state_dict({**part, "more": 1}, strict=False)
    assert found.unexpected == ["more"]
    assert "weight" in found.missing


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: {"bias": s["bias"]}, gx.ArgumentError, r"missing \['weight'\], unexpected \[\]"),
        (lambda s: {**s, "b": 1}, gx.ArgumentError, r"missing \[\], unexpected \['b'\]"),
        (lambda s: {**s, "bias": np.zeros(4)}, gx.ShapeError, r"bias must be f32\[3\], got shape \(4,\)"),
        (lambda s: {**s, "bias": np.zeros(3)}, gx.DTypeError, r"bias must be f32\[3\], got float64"),
        (lambda s: {**s, "bias": gx.placeholder((3,))}, gx.ArgumentError, "bias must be an array"),
        (lambda s: [], gx.ArgumentError, "takes a dict of arrays"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: Callable[..., Any], error: Any, message: str) -> None:
    layer = gx.nn.Linear(2, 3)
    before = layer.state_dict()
    other = {k: v + 1 for k, v in before.items()}
    with pytest.raises(error, match=message):
        layer.load_state_dict(change(other))
    assert all((before[k] == v).all() for k, v in layer.state_dict().items())


def test_containers() -> None:
    net = gx.nn.Sequential(gx.nn.Linear(2, 4), gx.nn.relu).append(gx.nn.Linear(4, 1))
    assert len(net) == 3
    assert net[-1] is list(net)[2]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    modules = gx.nn.ModuleDict({"a": gx.nn.Linear(2, 2)})
    modules["b"] = gx.nn.ReLU()
    assert list(modules) == modules.keys() == ["a", "b"]
    assert "b" in modules
    assert [type(m) for m in modules.values()] == [gx.nn.Linear, gx.nn.ReLU]
    assert list(dict(modules.items())["a"].state_dict()) == ["weight", "bias"]
    blocks = gx.nn.ModuleList([gx.nn.Linear(2, 2)]).extend([gx.nn.ReLU()])
    assert [m.training for m in blocks.eval()] == [False, False]
    for run, message in [
        (lambda: gx.nn.Sequential(3), "takes modules and functions, got 3"),
        (lambda: net[5], "an int for one of 3, got 5"),
        (lambda: modules["c"], "there is no 'c'"),
        (lambda: gx.nn.ModuleDict({"a.b": net}), "a name is a string without a dot"),
        (lambda: gx.nn.ModuleDict({"forward": net}), "no attribute of a module"),
        (lambda: blocks(3), "says in forward what calling it does"),
    ]:
        with pytest.raises(gx.ArgumentError, match=message):
            run()


def test_text() -> None:
    net = gx.nn.Sequential(
        gx.nn.Conv2d(1, 4, 3, stride=2, bias=False), gx.nn.Sequential(gx.nn.GELU("tanh"), gx.nn.tanh), gx.nn.Flatten()
    )
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 4, 3, stride=2, bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): GELU(approximate='tanh')\n"
        "    (1): tanh\n"
        "  )\n"
        "  (2): Flatten()\n"
        ")"
    )
    assert repr(Block()).splitlines()[1:3] == ["  (norm): BatchNorm(3)", "  (heads.a): Linear(3, 2, bias=False)"]


def test_transforms_take_modules() -> None:
    net = gx.nn.Linear(2, 1)
    net.load_state_dict({"weight": np.float32([[1, 2]]), "bias": np.float32([3])})
    x = np.float32([[1, 1], [2, 0]])
    value, (weight, bias) = gx.value_and_grad(lambda x: gx.sum(net(x)), argnums=None, weights=net)(x)
    assert float(value) == 11
    assert weight.tolist() == [[3, 1]]
    assert bias.tolist() == [2]
    assert gx.jit(net)(x).tolist() == [[6], [5]]
    scaled = gx.jit(lambda module, x: module(x) * 2)
    assert scaled(net, x).tolist() == [[12], [10]]


def test_seeds() -> None:
    gx.nn.seed(3)
    a = gx.nn.Linear(3, 3).state_dict()
    b = gx.nn.Linear(3, 3).state_dict()
    gx.nn.seed(3)
    c = gx.nn.Linear(3, 3).state_dict()
    assert (a["weight"] == c["weight"]).all()
    assert (a["weight"] != b["weight"]).any()
    d, e = (gx.nn.Linear(3, 3, seed=(1, 2)).state_dict() for _ in range(2))
    assert (d["bias"] == e["bias"]).all()
    with pytest.raises(gx.ArgumentError, match="takes ints that are not negative"):
        gx.nn.Linear(3, 3, seed=-1)


INITIAL: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "xavier_uniform": (gx.nn.init.xavier_uniform, 2 / (80 * 9 + 60 * 9)),
    "xavier_normal": (gx.nn.init.xavier_normal, 2 / (80 * 9 + 60 * 9)),
    "kaiming_uniform": (gx.nn.init.kaiming_uniform, 2 / (80 * 9)),
    "kaiming_normal": (gx.nn.init.kaiming_normal, 2 / (80 * 9)),
    "normal": (lambda *a, **k: gx.nn.init.normal(*a, std=0.5, **k), 0.25),
    "uniform": (lambda *a, **k: gx.nn.init.uniform(*a, low=-1, high=2, **k) - 0.5, 9 / 12),
    "orthogonal": (gx.nn.init.orthogonal, 1 / 720),
    "truncated_normal": (gx.nn.init.truncated_normal, 0.7737),
}


@pytest.mark.parametrize("name", INITIAL)
def test_variance_of_first_values(name: str) -> None:
    make, variance = INITIAL[name]
    values = make((60, 80, 3, 3), dtype="float64", seed=0)
    assert values.dtype == np.float64
    assert values.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / values.size))
    assert values.var() == pytest.approx(variance, rel=0.03)
    assert (values == make((60, 80, 3, 3), dtype="float64", seed=0)).all()
    assert make((60, 80, 3, 3), seed=0).dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = gx.nn.init.orthogonal(shape, gain=2.0, dtype="float64", seed=1).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: gx.nn.init.xavier_uniform((3,)), gx.ShapeError, "rank 2 or more"),
        (lambda: gx.nn.init.orthogonal(3), gx.ShapeError, "rank 2 or more"),
        (lambda: gx.nn.init.normal((2,), dtype="int32"), gx.DTypeError, "must be floating-point"),
        (lambda: gx.nn.init.kaiming_normal((2, 2), mode="in"), gx.ArgumentError, "'fan_in' or 'fan_out'"),
        (lambda: gx.nn.init.zeros((-1,)), gx.ArgumentError, "at least 0"),
        (lambda: gx.nn.init.truncated_normal((2,), low=2, high=1), gx.ArgumentError, "low must be below high"),
        (lambda: gx.nn.Linear(2.5, 3), gx.ArgumentError, "in_features must be an int"),
        (lambda: gx.nn.Conv2d(3, 4, 3, groups=2), gx.ArgumentError, "groups must divide"),
        (lambda: gx.nn.Conv1d(3, 4, (3, 3)), gx.ArgumentError, "an int or 1 of them"),
        (lambda: gx.nn.GroupNorm(2, 3), gx.ArgumentError, "must divide num_channels"),
        (lambda: gx.nn.BatchNorm(3, momentum=2), gx.ArgumentError, "momentum must be a number from 0 to 1"),
        (lambda: gx.nn.BatchNorm(3)(gx.placeholder((1, 3))), gx.ShapeError, "two or more elements"),
        (lambda: gx.nn.BatchNorm(3)(gx.placeholder((5, 4))), gx.ShapeError, "running_mean must have the shape"),
        (lambda: gx.nn.Linear(3, 2)(gx.placeholder((5, 4))), gx.ShapeError, "x must be"),
        (lambda: gx.nn.Embedding(3, 2, 5), gx.ArgumentError, "axis must be in|must be one of"),
        (lambda: gx.nn.Embedding(3, 2)(gx.placeholder((5,))), gx.DTypeError, "indices must be integers"),
        (lambda: gx.nn.glu(gx.placeholder((5, 3))), gx.ShapeError, "must be even"),
        (lambda: gx.nn.group_norm(gx.placeholder((5, 3)), 2), gx.ShapeError, "num_groups must divide"),
        (lambda: gx.nn.batch_norm(gx.placeholder((5, 3)), np.zeros(3)), gx.ArgumentError, "given together"),
        (
            lambda: gx.nn.batch_norm(gx.placeholder((5, 3)), np.zeros(3), np.ones(3), training=True),
            gx.ArgumentError,
            "in training running_mean must be a variable",
        ),
        (lambda: gx.nn.hardtanh(gx.placeholder((5,)), 1, 1), gx.ArgumentError, "low must be less"),
        (lambda: gx.nn.prelu(gx.placeholder((5, 3)), np.ones(2)), gx.ShapeError, "an element for each channel"),
        (lambda: gx.nn.huber_loss(1.0, 2.0, delta=0), gx.ArgumentError, "delta must be positive"),
        (lambda: gx.nn.kl_div(1.0, 2.0, "batchmean"), gx.ShapeError, "needs rank 1"),
        (lambda: gx.nn.cross_entropy(np.zeros(3), 1, label_smoothing=2), gx.ArgumentError, r"in \[0, 1\]"),
        (lambda: gx.nn.cross_entropy(np.zeros(3), np.ones(3), ignore_index=1), gx.ArgumentError, "integer labels"),
        (lambda: gx.nn.cross_entropy(np.zeros(3), 1, weight=np.ones(2)), gx.ShapeError, "weight must have the shape"),
    ],
)  # fmt: skip
def test_errors(run: Callable[[], Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        run()
