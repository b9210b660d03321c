"""Functions of networks against PyTorch's of the same names: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.nn.torch_peer import compare_functions, needs_torch, torch

RNG = np.random.default_rng(7)
X = RNG.normal(size=(3, 4)) * 2
F: Any = None if torch is None else torch.nn.functional
pytestmark = [needs_torch, pytest.mark.filterwarnings("ignore:reduction")]

ACTIVATIONS: dict[str, dict[str, Any]] = {
    "relu": {}, "relu6": {}, "silu": {}, "gelu": {}, "sigmoid": {}, "tanh": {}, "softplus": {}, "softsign": {},
    "mish": {}, "hardswish": {}, "hardtanh": {}, "elu": {"alpha": 0.7}, "celu": {"alpha": 0.5},
    "selu": {}, "leaky_relu": {"negative_slope": 0.2}, "glu": {},
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    options = ACTIVATIONS[name]
    compare_functions(lambda x: getattr(gx.nn, name)(x, **options), lambda x: getattr(F, name)(x, **options), X * 2)


def test_activations_with_other_names() -> None:
    # PyTorch's own derivative has 1/6 in 32 bits, as its celu has 1/alpha.
    compare_functions(gx.nn.hardsigmoid, lambda x: F.relu6(x + 3) / 6, X * 2)
    compare_functions(gx.nn.log_sigmoid, lambda x: F.logsigmoid(x), X * 10)
    compare_functions(lambda x: gx.nn.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh"), X)
    compare_functions(lambda x: gx.nn.hardtanh(x, -0.3, 2), lambda x: F.hardtanh(x, -0.3, 2.0), X)
    compare_functions(lambda x: gx.nn.softmax(x, 0), lambda x: F.softmax(x, dim=0), X)
    compare_functions(lambda x: gx.nn.log_softmax(x, 0), lambda x: F.log_softmax(x, dim=0), X)
    compare_functions(lambda x: gx.nn.normalize(x, 0), lambda x: F.normalize(x, dim=0), X)
    compare_functions(lambda x: gx.nn.glu(x, 0), lambda x: F.glu(x, dim=0), X.T, is_symbolic=True)
    compare_functions(gx.nn.prelu, lambda x, w: F.prelu(x, w), RNG.normal(size=(2, 3, 4)), RNG.normal(size=3))


KINKS = {
    "relu": [0.0], "relu6": [0.0, 6.0], "hardtanh": [-1.0, 1.0], "elu": [0.0], "celu": [0.0], "selu": [0.0],
    "leaky_relu": [0.0], "hardsigmoid": [-3.0, 3.0], "softsign": [0.0],
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_gradients_at_kinks(name: str) -> None:
    compare_functions(getattr(gx.nn, name), lambda x: getattr(F, name)(x), np.array(KINKS[name]))


def test_special_values() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30])
    for name in [*ACTIVATIONS, "hardsigmoid"]:
        if name not in ("glu", "softsign", "mish"):
            ours = gx.jit(getattr(gx.nn, name))(x)
            np.testing.assert_allclose(ours, getattr(F, name)(torch.tensor(x)).numpy(), err_msg=name)


def test_cosine_similarity() -> None:
    y = RNG.normal(size=(3, 4))
    y[1] = 0
    for axis in (0, 1):
        compare_functions(
            lambda a, b, k=axis: gx.nn.cosine_similarity(a, b, k),
            lambda a, b, k=axis: F.cosine_similarity(a, b, dim=k),
            X,
            y,
        )


LABELS = np.array([4, 0, 2, 4])
SCORES = RNG.normal(size=(4, 5))
WEIGHT = RNG.uniform(0.5, 2, size=5)
PROBABILITIES = RNG.dirichlet(np.ones(5), size=4)


LONG_LABELS = np.array([[4, 0, 2], [1, 4, 4]])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
WEIGHTED = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
SMOOTHED = pytest.mark.parametrize("smoothing", [0.0, 0.2])


def as_torch(array: Any) -> Any:
    return None if array is None else torch.tensor(array)


@REDUCTIONS
@WEIGHTED
@SMOOTHED
@pytest.mark.parametrize("ignored", [None, 4])
def test_cross_entropy_of_labels(reduction: Any, weight: Any, smoothing: float, ignored: int | None) -> None:
    def ours(x: gx.Tensor, y: gx.Tensor) -> gx.Tensor:
        options = {"weight": weight, "label_smoothing": smoothing, "ignore_index": ignored}
        return gx.nn.cross_entropy(x, y, reduction, **options)

    def theirs(x: Any, y: Any) -> Any:
        ignore_index = -100 if ignored is None else ignored
        options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignore_index}
        return F.cross_entropy(x, y, as_torch(weight), **options)

    compare_functions(ours, theirs, SCORES, LABELS)
    compare_functions(ours, theirs, SCORES, LABELS, is_symbolic=weight is None)
    compare_functions(ours, theirs, SCORES[0], LABELS[0])
    # Ours has the classes along the last axis.
    x = RNG.normal(size=(2, 3, 5))
    compare_functions(ours, lambda a, y: theirs(a.movedim(-1, 1), y), x, LONG_LABELS)


@REDUCTIONS
@WEIGHTED
@SMOOTHED
def test_cross_entropy_of_probabilities(reduction: Any, weight: Any, smoothing: float) -> None:
    compare_functions(
        lambda x, y: gx.nn.cross_entropy(x, y, reduction, weight=weight, label_smoothing=smoothing),
        lambda x, y: F.cross_entropy(x, y, as_torch(weight), reduction=reduction, label_smoothing=smoothing),
        SCORES,
        PROBABILITIES,
    )


@REDUCTIONS
@WEIGHTED
def test_nll_loss(reduction: Any, weight: Any) -> None:
    compare_functions(
        lambda x, y: gx.nn.nll_loss(x, y, reduction, weight=weight, ignore_index=0),
        lambda x, y: F.nll_loss(x, y, as_torch(weight), reduction=reduction, ignore_index=0),
        SCORES,
        LABELS,
    )


def test_an_ignored_label_that_the_dtype_does_not_have() -> None:
    labels = LABELS.astype(np.uint8)
    ours = gx.jit(lambda x, y: gx.nn.cross_entropy(x, y, ignore_index=-100))(SCORES, labels)
    assert ours == gx.jit(gx.nn.cross_entropy)(SCORES, labels)


@REDUCTIONS
@pytest.mark.parametrize("pos_weight", [None, 3.0, WEIGHT])
@WEIGHTED
def test_binary_cross_entropy(reduction: Any, pos_weight: Any, weight: Any) -> None:
    compare_functions(
        lambda x, t: gx.nn.binary_cross_entropy_with_logits(x, t, reduction, weight=weight, pos_weight=pos_weight),
        lambda x, t: F.binary_cross_entropy_with_logits(
            x, t, as_torch(weight), reduction=reduction, pos_weight=as_torch(pos_weight)
        ),
        SCORES * 3,
        RNG.uniform(size=SCORES.shape),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
def test_kl_div(reduction: Any) -> None:
    log_p, q = np.log(PROBABILITIES), RNG.dirichlet(np.ones(5), size=4)
    compare_functions(
        lambda x, t: gx.nn.kl_div(x, t, reduction), lambda x, t: F.kl_div(x, t, reduction=reduction), log_p, q
    )
    compare_functions(
        lambda x, t: gx.nn.kl_div(x, t, reduction, log_target=True),
        lambda x, t: F.kl_div(x, t, reduction=reduction, log_target=True),
        log_p,
        np.log(q),
        is_symbolic=True,
    )
    q[0, 1] = 0
    compare_functions(
        lambda x: gx.nn.kl_div(x, q, reduction), lambda x: F.kl_div(x, torch.tensor(q), reduction=reduction), log_p
    )


@REDUCTIONS
@pytest.mark.parametrize(
    ("name", "options"),
    [("mse_loss", {}), ("l1_loss", {}), ("huber_loss", {"delta": 0.7}), ("smooth_l1_loss", {"beta": 0.7})],
)
def test_losses_of_numbers(name: str, options: dict[str, float], reduction: Any) -> None:
    ours, theirs = getattr(gx.nn, name), getattr(F, name)
    x, y = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5))
    x[0, 0] = y[0, 0]
    for is_symbolic in (False, True):
        compare_functions(
            lambda a, b: ours(a, b, reduction, **options),
            lambda a, b: theirs(a, b, reduction=reduction, **options),
            x,
            y,
            is_symbolic=is_symbolic,
        )


@pytest.mark.parametrize("is_symbolic", [False, True])
def test_normalisation(is_symbolic: bool) -> None:
    x, w, b = RNG.normal(size=(2, 6, 4)), RNG.normal(size=6), RNG.normal(size=6)
    compare_functions(
        lambda *t: gx.nn.group_norm(t[0], 3, w, b),
        lambda *t: F.group_norm(t[0], 3, torch.tensor(w), torch.tensor(b)),
        RNG.normal(size=(2, 6, 4, 3)),
    )
    compare_functions(
        lambda t: gx.nn.rms_norm(t, weight=w[:4]), lambda t: F.rms_norm(t, (4,), torch.tensor(w[:4])), x,
        is_symbolic=is_symbolic,
    )  # fmt: skip
    compare_functions(lambda t: gx.nn.rms_norm(t, (6, 4), eps=1e-3), lambda t: F.rms_norm(t, (6, 4), eps=1e-3), x)
    compare_functions(
        lambda t: gx.nn.batch_norm(t, weight=w, bias=b),
        lambda t: F.batch_norm(t, None, None, torch.tensor(w), torch.tensor(b), training=True),
        x.transpose(0, 1, 2),
    )


def test_attention_with_grouped_heads() -> None:
    q, k, v = RNG.normal(size=(2, 6, 3, 4)), RNG.normal(size=(2, 2, 5, 4)), RNG.normal(size=(2, 2, 5, 7))
    mask = RNG.uniform(size=(3, 5)) > 0.3
    mask[:, 0] = True
    attention, theirs = gx.nn.scaled_dot_product_attention, F.scaled_dot_product_attention
    compare_functions(attention, lambda *t: theirs(*t, enable_gqa=True), q, k, v)
    compare_functions(
        lambda *t: attention(*t, mask=mask), lambda *t: theirs(*t, torch.tensor(mask), enable_gqa=True), q, k, v
    )
    compare_functions(
        lambda *t: attention(*t, is_causal=True, scale=0.3),
        lambda *t: theirs(*t, is_causal=True, scale=0.3, enable_gqa=True),
        q,
        k,
        v,
    )
    with pytest.raises(gx.ShapeError, match="heads of query must be a multiple"):
        attention(q[:, :5], k, v)


def test_attention_where_a_query_sees_no_key() -> None:
    q, k, v = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 7))
    mask = RNG.uniform(size=(3, 5)) > 0.3
    mask[1] = False
    for given in (mask, np.where(mask, 0.5, -np.inf)):
        compare_functions(
            lambda *t, m=given: gx.nn.scaled_dot_product_attention(*t, mask=m),
            lambda *t, m=given: F.scaled_dot_product_attention(*t, torch.tensor(m)), q, k, v,
        )  # fmt: skip


def test_features() -> None:
    x, w, b = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(5, 4)), RNG.normal(size=5)
    compare_functions(gx.nn.linear, lambda *t: F.linear(*t), x, w, b)
    compare_functions(lambda t: gx.nn.linear(t, w), lambda t: F.linear(t, torch.tensor(w)), x, is_symbolic=True)
    places = np.array([[0, 3, 3], [4, 0, 1]])
    compare_functions(gx.nn.embedding, lambda *t: F.embedding(*t), places, w)
    compare_functions(
        lambda i, t: gx.nn.embedding(i, t, padding_idx=3), lambda i, t: F.embedding(i, t, padding_idx=3), places, w,
        is_symbolic=True,
    )  # fmt: skip
