"""Neural networks: activations, losses and normalisation, convolutions as functions of Tensors."""

from graphc.nn.convolution import avg_pool2d, conv1d, conv2d, max_pool2d
from graphc.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    gelu,
    layer_norm,
    log_softmax,
    mse_loss,
    relu,
    scaled_dot_product_attention,
    sigmoid,
    silu,
    softmax,
    softplus,
)

__all__ = [
    "avg_pool2d",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "gelu",
    "layer_norm",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "relu",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]
