"""Cases of the functions in graphc/nn, against definitions written in NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from numpy.lib.stride_tricks import sliding_window_view

from tests.functions.cases import Case, f32, f64, given, i32, i64

Array = Any


def as_floats(x: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "none":
        return x * scipy.special.ndtr(x)
    return x / 2 * (1 + np.tanh(x.dtype.type(np.sqrt(2 / np.pi)) * (x + x.dtype.type(0.044715) * x**3)))


def glu(x: Array, axis: int = -1) -> Array:
    a, b = np.split(x, 2, axis)
    return a * scipy.special.expit(b)


def elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype)


def selu(x: Array) -> Array:
    return x.dtype.type(1.0507009873554805) * elu(x, x.dtype.type(1.6732632423543772))


def celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)).astype(x.dtype)


def prelu(x: Array, weight: Array) -> Array:
    slope = weight.reshape(-1, *[1] * (x.ndim - 2)) if weight.ndim else weight
    return np.where(x > 0, x, slope * x)


def normalize(x: Array, axis: int = -1) -> Array:
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def cosine_similarity(a: Array, b: Array, axis: int = -1) -> Array:
    return np.sum(normalize(*np.broadcast_arrays(a, b)[:1], axis) * normalize(np.broadcast_arrays(a, b)[1], axis), axis)


def reduced(losses: Array, reduction: str) -> Array:
    return losses if reduction == "none" else getattr(np, reduction)(losses)


def cross_entropy(logits: Array, labels: Array, reduction: str = "mean") -> Array:
    scores = scipy.special.log_softmax(logits, axis=-1)
    if labels.ndim == logits.ndim:
        return reduced(-np.sum(scores * labels, axis=-1), reduction)
    return reduced(-np.take_along_axis(scores, labels[..., None], -1)[..., 0], reduction)


def binary_cross_entropy(x: Array, t: Array, reduction: str = "mean") -> Array:
    return reduced(np.logaddexp(0, x).astype(x.dtype) - x * t, reduction)


def binary_cross_entropy_of_probabilities(p: Array, t: Array, reduction: str = "mean") -> Array:
    with np.errstate(divide="ignore"):
        return reduced(-(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log1p(-p), -100)), reduction)


def mse_loss(x: Array, t: Array, reduction: str = "mean") -> Array:
    return reduced((x - t) ** 2, reduction)


def nll_loss(log_p: Array, labels: Array, reduction: str = "mean") -> Array:
    return reduced(-np.take_along_axis(log_p, labels[..., None], -1)[..., 0], reduction)


def kl_div(x: Array, t: Array, reduction: str = "mean") -> Array:
    losses = t * (np.log(t) - x)
    return losses.sum() / len(x) if reduction == "batchmean" else reduced(losses, reduction)


def l1_loss(x: Array, t: Array, reduction: str = "mean") -> Array:
    return reduced(abs(x - t), reduction)


def huber_loss(x: Array, t: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    return reduced(scipy.special.huber(delta, x - t).astype(x.dtype), reduction)


def smooth_l1_loss(x: Array, t: Array, reduction: str = "mean", beta: float = 1.0) -> Array:
    return huber_loss(x, t, reduction, beta) / x.dtype.type(beta)


def rms_norm(x: Array, shape: Any = None, weight: Array = 1, eps: Any = None) -> Array:
    least = np.finfo(x.dtype).eps if eps is None else x.dtype.type(eps)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + least) * weight


def group_norm(x: Array, groups: int, weight: Any = None, bias: Any = None) -> Array:
    parts = x.reshape(len(x), groups, -1)
    y = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + x.dtype.type(1e-5))
    return per_channel(y.reshape(x.shape), weight, bias)


def batch_norm(x: Array, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None) -> Array:
    axes = (0, *range(2, x.ndim))
    mean, var = (x.mean(axes), x.var(axes)) if mean is None else (mean, var)
    return per_channel(per_channel(x, None, -mean) / np.sqrt(per_channel(x * 0, None, var) + x.dtype.type(1e-5)),
                       weight, bias)  # fmt: skip


def per_channel(x: Array, weight: Any, bias: Any) -> Array:
    spread = [None if v is None else v.reshape(-1, *[1] * (x.ndim - 2)) for v in (weight, bias)]
    x = x if spread[0] is None else x * spread[0]
    return x if spread[1] is None else x + spread[1]


def linear(x: Array, w: Array, bias: Array = 0) -> Array:
    return x @ w.T + bias


def layer_norm(x: Array, shape: Any = None, weight: Array = 1, bias: Array = 0, eps: float = 1e-5) -> Array:
    count = 1 if shape is None or isinstance(shape, int) else len(shape)
    axes = tuple(range(x.ndim - count, x.ndim))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + x.dtype.type(eps)) * weight + bias


def attention(q: Array, k: Array, v: Array, mask: Any = None, is_causal: bool = False, scale: Any = None) -> Array:
    scores = q @ k.swapaxes(-1, -2) * q.dtype.type(q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    seen = np.max(scores, axis=-1, keepdims=True) > -np.inf
    return np.where(seen, scipy.special.softmax(np.where(seen, scores, 0), axis=-1), 0) @ v


def pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)


def windows(x: Array, extent: Any, stride: Any, padding: Any, dilation: Any, fill: float) -> Array:
    """Return the windows of images: [N, C, height, width, kh, kw]."""
    before_after = [pair(p) for p in pair(padding)]
    padded = np.pad(x, ((0, 0), (0, 0), *before_after), constant_values=fill)
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    spans = [d * (k - 1) + 1 for k, d in zip(pair(extent), (dh, dw), strict=True)]
    return sliding_window_view(padded, spans, axis=(2, 3))[:, :, ::sh, ::sw, ::dh, ::dw]


def conv2d(
    x: Array, w: Array, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Array:
    if padding == "same":
        padding = tuple((d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2)
                        for k, d in zip(w.shape[2:], pair(dilation), strict=True))  # fmt: skip
    seen = windows(x, w.shape[2:], stride, padding, dilation, 0)
    seen = seen.reshape(len(x), groups, -1, *seen.shape[2:])
    kernels = w.reshape(groups, -1, *w.shape[1:])
    y = np.einsum("ngchwkl,gockl->ngohw", seen, kernels).reshape(len(x), len(w), *seen.shape[3:5])
    return y if bias is None else y + bias[:, None, None]


def conv_transpose2d(x: Array, w: Array, bias: Any = None, stride: Any = 1, padding: Any = 0) -> Array:
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    y = np.zeros((len(x), w.shape[1], (x.shape[2] - 1) * sh + kh, (x.shape[3] - 1) * sw + kw), x.dtype)
    for i, j in np.ndindex(kh, kw):
        part = y[:, :, i : i + x.shape[2] * sh : sh, j : j + x.shape[3] * sw : sw]
        part[:] += np.einsum("nchw,co->nohw", x, w[:, :, i, j])[:, :, : part.shape[2], : part.shape[3]]
    y = y[:, :, ph : y.shape[2] - ph, pw : y.shape[3] - pw]
    return y if bias is None else y + bias[:, None, None]


def conv1d(
    x: Array, w: Array, bias: Any = None, stride: int = 1, padding: Any = 0, dilation: int = 1, groups: int = 1
) -> Array:
    around = padding if isinstance(padding, str) else (0, pair(padding))
    return conv2d(x[:, :, None], w[:, :, None], bias, (1, stride), around, (1, dilation), groups)[:, :, 0]


def max_pool2d(x: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Array:
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return windows(x, kernel_size, kernel_size if stride is None else stride, padding, dilation, lowest).max((-2, -1))


def avg_pool2d(
    x: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> Array:
    step = kernel_size if stride is None else stride
    total = windows(as_floats(x), kernel_size, step, padding, 1, 0)
    inside = windows(np.ones_like(as_floats(x)), kernel_size, step, padding, 1, float(count_include_pad))
    return total.sum((-2, -1)) / inside.sum((-2, -1))


def each(name: str, reference: Callable[..., Array], *inputs: Any, **options: Any) -> list[Case]:
    return [Case(f"nn.{name}", *args, reference=reference, **options) for args in inputs]


ACTIVATIONS = [
    *each("relu", lambda x: np.maximum(as_floats(x), 0), (f64((3, 5)),), (f32((33,)),), (i32((4,)),), (f64(()),)),
    *each("sigmoid", scipy.special.expit, (f64((3, 5)),)),
    *each("softplus", lambda x: np.logaddexp(x, 0), (f64((3, 5)),)),
    *each("silu", lambda x: x * scipy.special.expit(x), (f64((3, 5)),), (f32((33,)),), (f32((0, 2)),)),
    *each("gelu", gelu, (f64((3, 5)),), (f32((33,)),), (f64((3, 5)), "tanh"), (f32((33,)), "tanh")),
    *each("softmax", scipy.special.softmax, (f64((3, 5)), -1), (f32((2, 3, 33)), 1), (f64((4,), -700, 700), 0)),
    *each("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, slope * x), (f64((3, 5)),), (f32((33,)), 0.25)),
    *each("prelu", prelu, (f64((2, "c3", 4)), f64("c3")), (f64((3, 5)), f64(()))),
    *each("elu", elu, (f64((3, 5)),), (f32((33,)), 0.5)),
    *each("celu", celu, (f64((3, 5)),), (f32((33,)), 0.5)),
    *each("selu", selu, (f64((3, 5)),), (f32((33,)),)),
    *each("hardtanh", lambda x, low=-1.0, high=1.0: np.clip(x, low, high), (f64((3, 5)),), (f32((33,)), -0.5, 1.0)),
    *each("relu6", lambda x: np.clip(as_floats(x), 0, 6), (f64((3, 5), -3, 9),), (i32((4,)),)),
    *each("hardsigmoid", lambda x: np.clip(x + 3, 0, 6) / 6, (f64((3, 5), -5, 5),)),
    *each("hardswish", lambda x: x * (np.clip(x + 3, 0, 6) / 6), (f64((3, 5), -5, 5),)),
    *each("mish", lambda x: x * np.tanh(np.logaddexp(x, 0)), (f64((3, 5)),)),
    *each("softsign", lambda x: x / (1 + abs(x)), (f64((3, 5)),), (f32((33,)),)),
    *each("log_sigmoid", scipy.special.log_expit, (f64((3, 5)),), (f64((5,), -800, 800),)),
    *each("tanh", np.tanh, (f64((3, 5)),)),
    *each("glu", glu, (f64((3, 4)),), (f32((2, 6)), 0), resize=False),
    *each("normalize", normalize, (f64((3, 5)),), (f32((2, 3, 4)), 1)),
    *each("cosine_similarity", cosine_similarity, (f64((3, "k5")), f64((3, "k5"))), (f32((4, "k5")), f32("k5"))),
    *each("log_softmax", scipy.special.log_softmax, (f64((3, 5)), -1), (f32((2, 3, 33)), 1), (f64((4,), -90, 90), 0)),
]

LABELS = given([[0, 4, 2], [1, 1, 3]], np.int64)
PROBABILITIES = f64(("n3", "c5"), 0.1, 0.3)
LOSSES = [
    *[case for reduction in ("mean", "sum", "none") for case in (
        *each("cross_entropy", cross_entropy, (f64((2, 3, 5)), LABELS, reduction)),
        *each("cross_entropy", cross_entropy, (f64(("n3", "c5")), PROBABILITIES, reduction)),
        *each("binary_cross_entropy_with_logits", binary_cross_entropy,
              (f64(("n3", "k4"), -5, 5), f64(("n3", "k4"), 0.1, 0.9), reduction)),
        *each("binary_cross_entropy", binary_cross_entropy_of_probabilities,
              (f64(("n3", "k4"), 0.1, 0.9), f64(("n3", "k4"), 0.1, 0.9), reduction)),
        *each("mse_loss", mse_loss, (f64(("n3", "k4")), f64(("n3", "k4")), reduction)),
        *each("l1_loss", l1_loss, (f64(("n3", "k4")), f64(("n3", "k4")), reduction)),
        *each("huber_loss", huber_loss, (f64(("n3", "k4")), f64(("n3", "k4")), reduction, 0.75)),
        *each("smooth_l1_loss", smooth_l1_loss, (f64(("n3", "k4")), f64(("n3", "k4")), reduction, 0.5)),
        *each("nll_loss", nll_loss, (f64((2, 3, 5)), LABELS, reduction)),
        *each("kl_div", kl_div, (f64(("n3", "k4"), -3, 0), f64(("n3", "k4"), 0.1, 0.5), reduction)),
    )],
    *each("cross_entropy", cross_entropy, (f32(("n7", 5)), i64("n7", 0, 4, strict=True))),
    *each("cross_entropy", cross_entropy, (f32((5,)), given(2))),
    *each("mse_loss", mse_loss, (f32("n9"), f32("n9"))),
    *each("kl_div", kl_div, (f32(("n3", "k4"), -3, 0), f32(("n3", "k4"), 0.1, 0.5), "batchmean")),
]  # fmt: skip

NORMALISATION = [
    *each("layer_norm", layer_norm, (f64((3, 5)),), (f32((3, 33)),),
          (f64((2, "n3", "k4")), None, f64("k4"), f64("k4"))),
    *each("layer_norm", layer_norm, (f64((3, 5)), 5), (f64((2, 3, 4)), (3, 4)), resize=False),
    *each("layer_norm", layer_norm, (f64((3, 5)), None, f64((5,))), eps=0.1),
    *each("rms_norm", rms_norm, (f64((3, "k5")), None, f64("k5")), (f32((3, 33)),),
          (f64((3, "k5")), None, f64("k5"), 0.1)),
    *each("group_norm", group_norm, (f64((2, 6, 3, 4)), 3, f64((6,)), f64((6,))), (f32((3, 4)), 2), resize=False,
          tolerance=64),
    *each("batch_norm", batch_norm, (f64((5, "c3")),), (f32((4, "c3", 5, 2)), None, None, f32("c3"), f32("c3")),
          (f64((4, "c3", 5)), f64("c3"), f64("c3", 0.5, 2), f64("c3"), f64("c3"))),
    *each("scaled_dot_product_attention", attention,
          (f64(("b2", "n3", "d4")), f64(("b2", "m5", "d4")), f64(("b2", "m5", 2))),
          (f32(("b2", "n5", "d4")), f32(("b2", "n5", "d4")), f32(("b2", "n5", "d4")), None, True),
          (f64(("n3", "d4")), f64(("m5", "d4")), f64(("m5", 2)), None, False, 0.3),
          (f64(("n3", "d4")), f64(("m5", "d4")), f64(("m5", 2)), f64(("n3", "m5"))),
          (f64((2, 1, "n3", "d4")), f64((3, "m5", "d4")), f64((3, "m5", 2)),
           given([[True, False, True, True, False], [True] * 5, [False, True, False, False, False]])),
          (f64(("n3", "d4")), f64(("m5", "d4")), f64(("m5", 2)), given([[False] * 5, [True] * 5, [False] * 5]))),
]  # fmt: skip

KEY = np.array([1, 2], np.uint32)
FEATURES = [
    *each("linear", linear, (f64((3, "k4")), f64(("o5", "k4")), f64("o5")), (f32((2, 3, "k4")), f32(("o5", "k4")))),
    *each("embedding", lambda i, w: w[i], (given([[0, 2], [1, 2]]), f64((3, 4))),
          (i64((5,), 0, 2, strict=True), f32((4, 3))), tolerance=0),
    *each("dropout", lambda x, p, key: x, (f64((3, 5)), 0.0), key=KEY),
    *each("dropout", lambda x, p, key: x, (f32((3, 5)), 0.5), key=KEY, values=False),
    *each("one_hot", lambda i, n: np.eye(n, dtype=np.float32)[i], (given([[0, 2], [1, 2]]), 3), tolerance=0),
]  # fmt: skip

CONVOLUTIONS = [
    *each("conv2d", conv2d,
          (f64((2, "c3", 6, 7)), f64((4, "c3", 3, 2))),
          (f32((2, "c3", 6, 7)), f32(("o4", "c3", 3, 3)), f32("o4"), 2, 1),
          (f64((1, "c2", 6, 5)), f64((3, "c2", 1, 1))),
          (i32((1, "c2", 6, 5)), i32((3, "c2", 2, 2)))),
    *each("conv2d", conv2d,
          (f64((1, 4, 9, 6)), f64((2, 2, 2, 3)), None, (1, 2), ((1, 0), (1, 2)), (2, 1), 2),
          (f64((2, 3, 4, 5)), f64((6, 1, 3, 3)), None, 1, 1, 1, 3), resize=False),
    *each("conv2d", conv2d,
          (f64((2, 2, 4, 5)), f64((3, 2, 2, 3)), f64((3,)), 1, "same"), symbolic=False),
    *each("conv_transpose2d", conv_transpose2d,
          (f64((2, "c3", 4, 5)), f64(("c3", 2, 3, 2))),
          (f32((1, "c2", 3, 4)), f32(("c2", 3, 4, 4)), f32((3,)), (2, 3), 1), resize=False),
    *each("conv1d", conv1d, (f64((2, "c3", 9)), f64((4, "c3", 3)), None, 2, 1),
          (f32((2, "c3", 9)), f32(("o4", "c3", 2)), f32("o4"), 1, (0, 2), 2)),
    *each("max_pool2d", max_pool2d, (f64((2, 3, 6, 7)), 2), (f32((1, 2, 7, 7)), (3, 2), 2, 1),
          (i32((1, 2, 5, 6)), 3, 1), (f64((1, 2, 9, 8)), 2, 1, 0, (2, 3))),
    *each("avg_pool2d", avg_pool2d, (f64((2, 3, 6, 7)), 2), (f32((1, 2, 7, 7)), (3, 2), 2, 1),
          (f64((1, 2, 7, 7)), 3, 2, 1, False), (f64((2, 2, 3, 3)), 3, 1)),
]  # fmt: skip

CASES = [*ACTIVATIONS, *LOSSES, *NORMALISATION, *FEATURES, *CONVOLUTIONS]
