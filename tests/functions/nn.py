"""Cases of graphc/nn/functional.py and convolution.py, against definitions written in NumPy and SciPy."""

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


def reduced(losses: Array, reduction: str) -> Array:
    return losses if reduction == "none" else getattr(np, reduction)(losses)


def cross_entropy(logits: Array, labels: Array, reduction: str = "mean") -> Array:
    scores = scipy.special.log_softmax(logits, axis=-1)
    if labels.ndim == logits.ndim:
        return reduced(-np.sum(scores * labels, axis=-1), reduction)
    return reduced(-np.take_along_axis(scores, labels[..., None], -1)[..., 0], reduction)


def binary_cross_entropy(x: Array, t: Array, reduction: str = "mean") -> Array:
    return reduced(np.logaddexp(0, x).astype(x.dtype) - x * t, reduction)


def mse_loss(x: Array, t: Array, reduction: str = "mean") -> Array:
    return reduced((x - t) ** 2, reduction)


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
    return scipy.special.softmax(scores, axis=-1) @ v


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
        *each("mse_loss", mse_loss, (f64(("n3", "k4")), f64(("n3", "k4")), reduction)),
    )],
    *each("cross_entropy", cross_entropy, (f32(("n7", 5)), i64("n7", 0, 4, strict=True))),
    *each("cross_entropy", cross_entropy, (f32((5,)), given(2))),
    *each("mse_loss", mse_loss, (f32("n9"), f32("n9"))),
]  # fmt: skip

NORMALISATION = [
    *each("layer_norm", layer_norm, (f64((3, 5)),), (f32((3, 33)),),
          (f64((2, "n3", "k4")), None, f64("k4"), f64("k4"))),
    *each("layer_norm", layer_norm, (f64((3, 5)), 5), (f64((2, 3, 4)), (3, 4)), resize=False),
    *each("layer_norm", layer_norm, (f64((3, 5)), None, f64((5,))), eps=0.1),
    *each("scaled_dot_product_attention", attention,
          (f64(("b2", "n3", "d4")), f64(("b2", "m5", "d4")), f64(("b2", "m5", 2))),
          (f32(("b2", "n5", "d4")), f32(("b2", "n5", "d4")), f32(("b2", "n5", "d4")), None, True),
          (f64(("n3", "d4")), f64(("m5", "d4")), f64(("m5", 2)), None, False, 0.3),
          (f64(("n3", "d4")), f64(("m5", "d4")), f64(("m5", 2)), f64(("n3", "m5"))),
          (f64((2, 1, "n3", "d4")), f64((3, "m5", "d4")), f64((3, "m5", 2)),
           given([[True, False, True, True, False], [True] * 5, [False, True, False, False, False]]))),
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
    *each("conv1d", conv1d, (f64((2, "c3", 9)), f64((4, "c3", 3)), None, 2, 1),
          (f32((2, "c3", 9)), f32(("o4", "c3", 2)), f32("o4"), 1, (0, 2), 2)),
    *each("max_pool2d", max_pool2d, (f64((2, 3, 6, 7)), 2), (f32((1, 2, 7, 7)), (3, 2), 2, 1),
          (i32((1, 2, 5, 6)), 3, 1), (f64((1, 2, 9, 8)), 2, 1, 0, (2, 3))),
    *each("avg_pool2d", avg_pool2d, (f64((2, 3, 6, 7)), 2), (f32((1, 2, 7, 7)), (3, 2), 2, 1),
          (f64((1, 2, 7, 7)), 3, 2, 1, False), (f64((2, 2, 3, 3)), 3, 1)),
]  # fmt: skip

CASES = [*ACTIVATIONS, *LOSSES, *NORMALISATION, *CONVOLUTIONS]
