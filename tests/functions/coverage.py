"""Which public names need a case, which cannot have one and why, and which have none yet."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType

import graphc as gx
from tests.functions.cases import resolved

NO_CASE = {
    **dict.fromkeys(
        (
            "ArgumentError", "DTypeError", "GradientError", "GraphcError", "InputError", "InternalError",
            "MemoryBudgetError", "MiscompileError", "NaNError", "OutOfBoundsError", "ShapeError", "StepsError",
            "SymbolicValueError",
        ),
        "an error class",
    ),
    **dict.fromkeys(("Executable", "Options", "Tensor", "Variable", "cache.CacheInfo"), "a class, tested on its own"),
    **dict.fromkeys(
        (
            "check_gradients", "checkpoint", "custom_vjp",
            "grad", "gradients", "hessian", "hvp", "jacfwd", "jacrev", "jit", "jvp", "pullback",
            "pushforward", "value_and_grad", "vjp", "vmap",
        ),
        "takes functions or graphs: tests of transforms, and every test of derivatives here",
    ),
    **dict.fromkeys(("broadcast_shapes", "ndim", "shape", "size"), "gives a fact: tests/array/test_joining.py"),
    "einsum_path": "gives a fact: tests/array/test_dot.py",
    **dict.fromkeys(
        ("apply_along_axis", "apply_over_axes", "vectorize"), "takes functions: tests/transforms/test_along.py"
    ),
    **dict.fromkeys(("cache.clear", "cache.info", "get_threads", "set_threads"), "concerns the process, not arrays"),
    "array": "as asarray: tests/test_concrete.py",
    "evaluate": "tests/test_concrete.py",
    "from_dlpack": "takes objects of other libraries: tests/test_concrete.py",
    "random.Stream": "a class: tests/random/test_streams.py",
    "with_updates": "tests/test_own_updates.py",
    **dict.fromkeys(("compile", "placeholder", "variable", "no_grad"), "makes or runs graphs: every test here"),
    **dict.fromkeys(
        (
            "__array_namespace_info__", "can_cast", "finfo", "iinfo", "iscomplexobj", "isdtype", "isrealobj",
            "issubdtype", "promote_types", "result_type",
        ),
        "gives a fact about dtypes, no Tensor: tests/array/test_dtypes.py",
    ),
    **dict.fromkeys(
        (
            "nn.AvgPool2d", "nn.BatchNorm", "nn.CELU", "nn.Conv1d", "nn.Conv2d", "nn.ConvTranspose2d", "nn.Dropout",
            "nn.ELU", "nn.Embedding", "nn.Flatten", "nn.GELU", "nn.GLU", "nn.GRU", "nn.GroupNorm", "nn.Hardsigmoid",
            "nn.Hardswish", "nn.Hardtanh", "nn.Identity", "nn.LSTM", "nn.LayerNorm", "nn.LeakyReLU", "nn.Linear",
            "nn.LogSigmoid", "nn.LogSoftmax", "nn.MaxPool2d", "nn.Mish", "nn.Mismatch", "nn.Module", "nn.ModuleDict",
            "nn.ModuleList", "nn.MultiHeadAttention", "nn.PReLU", "nn.RMSNorm", "nn.RNN", "nn.ReLU", "nn.ReLU6",
            "nn.SELU", "nn.Sequential", "nn.SiLU", "nn.Sigmoid", "nn.Softmax", "nn.Softplus", "nn.Softsign",
            "nn.Tanh", "nn.TransformerEncoderLayer",
        ),
        "a module: tests/nn",
    ),
    **dict.fromkeys(("nn.load", "nn.save", "nn.seed", "nn.stream"), "tests/nn"),
    **dict.fromkeys(
        (
            "optim.Adagrad", "optim.Adam", "optim.AdamW", "optim.Optimizer", "optim.RMSProp", "optim.SGD",
            "optim.clip_by_global_norm", "optim.global_norm", "optim.constant", "optim.cosine_decay",
            "optim.exponential_decay", "optim.linear", "optim.piecewise",
        ),
        "tests/optim",
    ),
}  # fmt: skip
"""Public names that have no case, and where they are tested."""

PENDING = ("nn.Dropout",)
"""Public names that have no case yet. This list only shrinks: a name here that has a case is a failure."""


def public_names() -> list[str]:
    """Return the public functions and classes: those of `gx` and of the namespaces in it."""
    names = []
    for name in gx.__all__:
        value = getattr(gx, name)
        if isinstance(value, ModuleType):
            names += [f"{name}.{n}" for n in _names_of(value) if callable(getattr(value, n))]
        elif callable(value):
            names.append(name)
    return names


def _names_of(module: ModuleType) -> Collection[str]:
    return getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")])


def same_function(name: str, names: Collection[str]) -> bool:
    """Tell whether a name, or another name of the same function, is among `names`."""
    value = resolved(gx, name)
    return name in names or any(resolved(gx, n) is value for n in names)
