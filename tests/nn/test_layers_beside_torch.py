"""Layers against PyTorch's: values, and gradients of inputs and parameters; training of all of them together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.nn.torch_peer import assert_close, compare_layers, needs_torch, torch

pytestmark = needs_torch
RNG = np.random.default_rng(3)
nn: Any = None if torch is None else torch.nn
F64: dict[str, Any] = {"dtype": "float64"}


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def indices(high: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, high, size=shape)


Pair = tuple[Callable[[], gx.nn.Module], Callable[[], Any], tuple[np.ndarray, ...]]

LAYERS: dict[str, Pair] = {
    "linear": (lambda: gx.nn.Linear(4, 3, **F64), lambda: nn.Linear(4, 3), (values(5, 4),)),
    "linear, no bias": (lambda: gx.nn.Linear(4, 3, False, **F64), lambda: nn.Linear(4, 3, False), (values(2, 5, 4),)),
    "embedding": (lambda: gx.nn.Embedding(7, 3, **F64), lambda: nn.Embedding(7, 3), (indices(7, 4, 5),)),
    "embedding, padded": (
        lambda: gx.nn.Embedding(7, 3, 2, **F64),
        lambda: nn.Embedding(7, 3, padding_idx=2),
        (indices(7, 4, 5),),
    ),
    "conv2d": (lambda: gx.nn.Conv2d(3, 4, 3, **F64), lambda: nn.Conv2d(3, 4, 3), (values(2, 3, 6, 7),)),
    "conv2d, all": (
        lambda: gx.nn.Conv2d(4, 6, (2, 3), (2, 1), (1, 2), (1, 2), 2, False, **F64),
        lambda: nn.Conv2d(4, 6, (2, 3), (2, 1), (1, 2), (1, 2), 2, False),
        (values(2, 4, 7, 8),),
    ),
    "conv2d, same": (
        lambda: gx.nn.Conv2d(3, 4, 3, padding="same", **F64),
        lambda: nn.Conv2d(3, 4, 3, padding="same"),
        (values(2, 3, 6, 7),),
    ),
    "conv1d": (
        lambda: gx.nn.Conv1d(4, 6, 3, 2, 1, 1, 2, **F64),
        lambda: nn.Conv1d(4, 6, 3, 2, 1, 1, 2),
        (values(2, 4, 9),),
    ),
    "conv_transpose2d": (
        lambda: gx.nn.ConvTranspose2d(3, 4, 4, 2, 1, **F64),
        lambda: nn.ConvTranspose2d(3, 4, 4, 2, 1),
        (values(2, 3, 5, 6),),
    ),
    "conv_transpose2d, all": (
        lambda: gx.nn.ConvTranspose2d(4, 6, (2, 3), (3, 2), (1, 2), (2, 1), 2, False, (1, 2), **F64),
        lambda: nn.ConvTranspose2d(4, 6, (2, 3), (3, 2), (1, 2), (2, 1), 2, False, (1, 2)),
        (values(2, 4, 5, 6),),
    ),
    "max_pool2d": (lambda: gx.nn.MaxPool2d(3, 2, 1), lambda: nn.MaxPool2d(3, 2, 1), (values(2, 3, 7, 8),)),
    "avg_pool2d": (
        lambda: gx.nn.AvgPool2d(3, 2, 1, False),
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        (values(2, 3, 7, 8),),
    ),
    "layer_norm": (lambda: gx.nn.LayerNorm((3, 4), **F64), lambda: nn.LayerNorm((3, 4)), (values(5, 3, 4),)),
    "layer_norm, no bias": (
        lambda: gx.nn.LayerNorm(4, bias=False, **F64),
        lambda: nn.LayerNorm(4, bias=False),
        (values(5, 3, 4),),
    ),
    "rms_norm": (lambda: gx.nn.RMSNorm(4, **F64), lambda: nn.RMSNorm(4), (values(5, 3, 4),)),
    "group_norm": (lambda: gx.nn.GroupNorm(2, 4, **F64), lambda: nn.GroupNorm(2, 4), (values(3, 4, 5),)),
    "batch_norm": (lambda: gx.nn.BatchNorm(4, **F64), lambda: nn.BatchNorm1d(4), (values(6, 4),)),
    "batch_norm of images": (lambda: gx.nn.BatchNorm(4, **F64), lambda: nn.BatchNorm2d(4), (values(3, 4, 5, 2),)),
    "batch_norm, plain": (
        lambda: gx.nn.BatchNorm(4, affine=False, track_running_stats=False, **F64),
        lambda: nn.BatchNorm1d(4, affine=False, track_running_stats=False),
        (values(6, 4),),
    ),
    "prelu": (lambda: gx.nn.PReLU(4, **F64), lambda: nn.PReLU(4), (values(3, 4, 5),)),
    "prelu, one": (lambda: gx.nn.PReLU(**F64), lambda: nn.PReLU(), (values(3, 4, 5),)),
    "flatten": (lambda: gx.nn.Flatten(), lambda: nn.Flatten(), (values(3, 4, 5),)),
}  # fmt: skip


@pytest.mark.parametrize("is_symbolic", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, is_symbolic: bool) -> None:
    make, peer, arrays = LAYERS[name]
    compare_layers(make(), peer(), *arrays, is_symbolic=is_symbolic)


@pytest.mark.parametrize(
    ("shape", "peer"), [((6, 4), "BatchNorm1d"), ((3, 4, 5), "BatchNorm1d"), ((3, 4, 5, 2), "BatchNorm2d")]
)
def test_batch_norm_in_training_and_evaluation(shape: tuple[int, ...], peer: str) -> None:
    layer, theirs = gx.nn.BatchNorm(4, momentum=0.3, **F64), getattr(nn, peer)(4, momentum=0.3).double()
    x = gx.placeholder(("batch", *shape[1:]), "float64", name="x")
    step = gx.compile([x], layer(x))
    for _ in range(3):
        batch = values(*shape)
        assert_close(step(batch), theirs(torch.tensor(batch)))
        assert_close(layer.running_mean.value, theirs.running_mean)
        assert_close(layer.running_var.value, theirs.running_var)
    evaluate = gx.compile([x], layer.eval()(x))
    batch = values(*shape)
    assert_close(evaluate(batch), theirs.eval()(torch.tensor(batch)))
    before = layer.state_dict()
    evaluate(batch)
    assert all((before[k] == v).all() for k, v in layer.state_dict().items())


def test_a_network_trains_as_in_pytorch() -> None:
    """Ten steps of Adam on a network with convolutions and batch normalisation, seen twice in each step."""
    ours = gx.nn.Sequential(
        gx.nn.Conv2d(1, 4, 3, padding=1, **F64), gx.nn.BatchNorm(4, **F64), gx.nn.ReLU(), gx.nn.MaxPool2d(2),
        gx.nn.Flatten(), gx.nn.Linear(36, 10, **F64),
    )  # fmt: skip
    theirs = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10)
    ).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items() if "num_batches" not in k})
    x, y = gx.placeholder(("batch", 1, 6, 6), "float64", name="x"), gx.placeholder(("batch",), "int64", name="y")
    loss = gx.nn.cross_entropy(ours(x), y) + gx.nn.cross_entropy(ours(2 * x + 1), y)
    step = gx.compile([x, y], loss, updates=gx.optim.Adam(0.01).updates(loss, ours))
    optimizer = torch.optim.Adam(theirs.parameters(), 0.01)
    for _ in range(10):
        images, labels = values(7, 1, 6, 6), indices(10, 7)
        a, b = torch.tensor(images), torch.tensor(labels)
        value = nn.functional.cross_entropy(theirs(a), b) + nn.functional.cross_entropy(theirs(2 * a + 1), b)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        np.testing.assert_allclose(step(images, labels), value.item(), rtol=1e-9)
    for name, value in theirs.state_dict().items():
        if "num_batches" not in name:
            np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-7, atol=1e-9)


def test_initial_values_are_spread_as_in_pytorch() -> None:
    pairs = [
        (gx.nn.Linear(100, 400), nn.Linear(100, 400)),
        (gx.nn.Conv2d(8, 64, 5, groups=2), nn.Conv2d(8, 64, 5, groups=2)),
        (gx.nn.ConvTranspose2d(64, 8, 5), nn.ConvTranspose2d(64, 8, 5)),
        (gx.nn.Embedding(50, 20), nn.Embedding(50, 20)),
    ]
    for layer, theirs in pairs:
        for name, value in layer.named_parameters():
            wanted = dict(theirs.named_parameters())[name].detach().numpy()
            if wanted.size < 50:
                continue  # too few to tell
            assert value.value.std() == pytest.approx(wanted.std(), rel=0.2)
            assert abs(value.value).max() == pytest.approx(abs(wanted).max(), rel=0.5)
