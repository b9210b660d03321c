"""Elementwise chains, reductions, rows of softmax and norms, moved and indexed arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scripts.benchmarks.library import Array, Library, Program, Tensors, normal

Result = tuple[Any, Tensors]
EPS = 1e-5


def of(f: Callable[..., Any]) -> Callable[[Library, Tensors, Tensors], Result]:
    """Return the program that computes f(library, *inputs)."""
    return lambda lib, inputs, state: (f(lib, *inputs), [])


def gradient_of(f: Callable[..., Any], wrt: int) -> Callable[[Library, Tensors, Tensors], Result]:
    """Return the program of sum(f(library, *inputs) * the last input) and its gradients by the first inputs."""

    def run(lib: Library, inputs: Tensors, state: Tensors) -> Result:
        *fixed, weights = inputs[wrt:]
        total, gradients = lib.value_and_gradients(
            lambda x: lib.array.sum(f(lib, *x, *fixed) * weights), list(inputs[:wrt])
        )
        return [total, *gradients], []

    return run


def polynomial(lib: Library, x: Any) -> Any:
    return ((0.3 * x - 0.7) * x + 0.2) * x + 1.1


def mixture(lib: Library, x: Any, y: Any) -> Any:
    a = lib.array
    return a.exp(-x * x) * a.sin(y) + a.tanh(x * y) / (1 + a.square(y))


def layer_norm(lib: Library, x: Any, weight: Any, bias: Any) -> Any:
    centred = x - lib.array.mean(x, axis=-1, keepdims=True)
    variance = lib.array.mean(centred * centred, axis=-1, keepdims=True)
    return centred / lib.array.sqrt(variance + EPS) * weight + bias


def own_layer_norm(lib: Library, x: Any, weight: Any, bias: Any) -> Any:
    """Return what the library has for it, if anything."""
    own = getattr(lib.nn, "layer_norm", None)
    is_torch = own is not None and not hasattr(lib.array, "gradients")
    return own(x, weight, bias, EPS) if is_torch else layer_norm(lib, x, weight, bias)


def batch_norm(lib: Library, x: Any, weight: Any, bias: Any) -> Any:
    centred = x - lib.array.mean(x, axis=0, keepdims=True)
    variance = lib.array.mean(centred * centred, axis=0, keepdims=True)
    return centred / lib.array.sqrt(variance + EPS) * weight + bias


def cross_entropy(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    scores, labels = inputs
    value, (gradient,) = lib.value_and_gradients(lambda s: lib.nn.cross_entropy(s[0], labels), [scores])
    return [value, gradient], []


def cross_entropy_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    scores, labels = inputs
    rows = np.arange(len(labels))
    e = np.exp(scores - scores.max(1, keepdims=True))
    total = e.sum(1, keepdims=True)
    e /= total
    value = -np.mean(np.log(e[rows, labels]))
    e[rows, labels] -= 1
    e /= np.float32(len(labels))
    return [value, e], []


def softmax_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    x, d = inputs
    y = np.exp(x - x.max(-1, keepdims=True))
    y /= y.sum(-1, keepdims=True)
    dy = d * y
    return [dy.sum(), dy - y * dy.sum(-1, keepdims=True)], []


def layer_norm_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    x, weight, bias, d = inputs
    centred = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(EPS))
    n = centred * scale
    dn = d * weight
    dx = (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True)) * scale
    return [((n * weight + bias) * d).sum(), dx, (d * n).sum(0), d.sum(0)], []


def programs() -> list[Program]:
    """Return the programs of the suite."""
    return [*_chains(), *_reductions(), *_rows(), *_moves()]


def _chains() -> list[Program]:
    def flat(size: int, count: int, dtype: str = "float32") -> Any:
        return lambda rng: ([normal(rng, size, dtype=dtype) for _ in range(count)], [])

    m = 1 << 20
    return [
        Program("x + 2 y, 64", of(lambda lib, x, y: x + 2 * y), flat(64, 2), is_small=True),
        Program("x + 2 y, 1 M", of(lambda lib, x, y: x + 2 * y), flat(m, 2)),
        Program("x + 2 y, 16 M", of(lambda lib, x, y: x + 2 * y), flat(16 * m, 2)),
        Program("cubic polynomial, 1 M", of(polynomial), flat(m, 1)),
        Program("exp, 1 M", of(lambda lib, x: lib.array.exp(x)), flat(m, 1)),
        Program("tanh, 1 M", of(lambda lib, x: lib.array.tanh(x)), flat(m, 1)),
        Program("sin, 1 M", of(lambda lib, x: lib.array.sin(x)), flat(m, 1)),
        Program("exp, sin, tanh mixed, 1 K", of(mixture), flat(1024, 2), is_small=True),
        Program("exp, sin, tanh mixed, 1 M", of(mixture), flat(m, 2)),
        Program("exp, sin, tanh mixed, 1 M, float64", of(mixture), flat(m, 2, "float64")),
        Program("gelu, 1 M", of(lambda lib, x: lib.nn.gelu(x)), flat(m, 1)),
        Program("gelu with gradient, 1 M", gradient_of(lambda lib, x: lib.nn.gelu(x), 1), flat(m, 2)),
        Program("where(x > 0, x, 0.1 y), 1 M", of(lambda lib, x, y: lib.array.where(x > 0, x, 0.1 * y)), flat(m, 2)),
    ]


def _reductions() -> list[Program]:
    def matrix(*shape: int) -> Any:
        return lambda rng: ([normal(rng, *shape)], [])

    def two(*shape: int) -> Any:
        return lambda rng: ([normal(rng, *shape), normal(rng, *shape)], [])

    def variance(lib: Library, x: Any) -> Any:
        centred = x - lib.array.mean(x, axis=-1, keepdims=True)
        return lib.array.mean(centred * centred, axis=-1)

    return [
        Program("sum of 4 M", of(lambda lib, x: lib.array.sum(x)), matrix(1 << 22)),
        Program("sum of 64 x 64", of(lambda lib, x: lib.array.sum(x)), matrix(64, 64), is_small=True),
        Program("sum of rows, 4096 x 1024", of(lambda lib, x: lib.array.sum(x, axis=1)), matrix(4096, 1024)),
        Program("sum of columns, 4096 x 1024", of(lambda lib, x: lib.array.sum(x, axis=0)), matrix(4096, 1024)),
        Program("sum of rows, 262144 x 8", of(lambda lib, x: lib.array.sum(x, axis=1)), matrix(1 << 18, 8)),
        Program("sum of columns, 262144 x 8", of(lambda lib, x: lib.array.sum(x, axis=0)), matrix(1 << 18, 8)),
        Program("sum of the middle, 64 x 256 x 64", of(lambda lib, x: lib.array.sum(x, axis=1)), matrix(64, 256, 64)),
        Program("max of rows, 4096 x 1024", of(lambda lib, x: lib.array.max(x, axis=1)), matrix(4096, 1024)),
        Program("argmax of rows, 4096 x 1024", of(lambda lib, x: lib.array.argmax(x, axis=1)), matrix(4096, 1024)),
        Program("variance of rows, 4096 x 1024", of(variance), matrix(4096, 1024)),
        Program("sum(2 exp(x)), 1 M", of(lambda lib, x: lib.array.sum(lib.array.exp(x) * 2)), matrix(1 << 20)),
        Program("mean((x - y)^2), 1 M", of(lambda lib, x, y: lib.array.mean(lib.array.square(x - y))), two(1 << 20)),
        Program("logsumexp of rows, 2048 x 1000", of(lambda lib, x: lib.nn.logsumexp(x, axis=-1)), matrix(2048, 1000)),
        Program(
            "cumulative sum of rows, 1024 x 1024",
            of(lambda lib, x: lib.array.cumulative_sum(x, axis=1)),
            matrix(1024, 1024),
            needs=("array.cumulative_sum",),
        ),
        Program(
            "sort of rows, 1024 x 256",
            of(lambda lib, x: lib.array.sort(x, axis=1)),
            matrix(1024, 256),
            needs=("array.sort",),
        ),
    ]


def _rows() -> list[Program]:
    def matrix(*shape: int, copies: int = 1) -> Any:
        return lambda rng: ([normal(rng, *shape) for _ in range(copies)], [])

    def normed(n: int, m: int, copies: int) -> Any:
        def make(rng: np.random.Generator) -> Any:
            x, w, b, *rest = normal(rng, n, m), normal(rng, m), normal(rng, m), normal(rng, n, m)
            return [x, w, b, *rest[: copies - 1]], []

        return make

    def scores(n: int, m: int) -> Any:
        return lambda rng: ([normal(rng, n, m), rng.integers(0, m, n)], [])

    softmax = of(lambda lib, x: lib.nn.softmax(x))
    softmax_gradient = gradient_of(lambda lib, x: lib.nn.softmax(x), 1)
    programs = [Program(f"softmax {n} x {m}", softmax, matrix(n, m)) for n, m in ((1024, 1024), (8192, 10))]
    programs += [
        Program("softmax 64 x 10", softmax, matrix(64, 10), is_small=True),
        Program("softmax with gradient, 1024 x 1024", softmax_gradient, matrix(1024, 1024, copies=2), softmax_by_hand),
        Program("softmax with gradient, 64 x 10", softmax_gradient, matrix(64, 10, copies=2), softmax_by_hand),
        Program("layer norm 1024 x 768", of(own_layer_norm), normed(1024, 768, 1)),
        Program("layer norm 64 x 32", of(own_layer_norm), normed(64, 32, 1)),
        Program(
            "layer norm with gradients, 1024 x 768",
            gradient_of(own_layer_norm, 3),
            normed(1024, 768, 2),
            layer_norm_by_hand,
        ),
        Program(
            "layer norm with gradients, 64 x 32", gradient_of(own_layer_norm, 3), normed(64, 32, 2), layer_norm_by_hand
        ),
        Program("batch norm 1024 x 256", of(batch_norm), normed(1024, 256, 1)),
        Program("batch norm with gradients, 1024 x 256", gradient_of(batch_norm, 3), normed(1024, 256, 2)),
    ]
    for n, m in ((64, 10), (512, 1000), (8192, 10)):
        name = f"cross-entropy with gradient, {n} x {m}"
        programs.append(Program(name, cross_entropy, scores(n, m), cross_entropy_by_hand, is_small=n == 64))
    return programs


def _moves() -> list[Program]:
    def matrix(*shape: int) -> Any:
        return lambda rng: ([normal(rng, *shape)], [])

    def indexed(rng: np.random.Generator) -> Any:
        return [normal(rng, 50_000, 64), rng.integers(0, 50_000, 8192)], []

    def scattered(rng: np.random.Generator) -> Any:
        return [normal(rng, 50_000, 64), rng.integers(0, 50_000, 8192), normal(rng, 8192, 64)], []

    def along(rng: np.random.Generator) -> Any:
        return [normal(rng, 4096, 1000), rng.integers(0, 1000, (4096, 1))], []

    def heads(lib: Library, x: Any) -> Any:
        return lib.array.reshape(lib.array.permute_dims(x, (0, 2, 1, 3)), (8, 128, 512))

    def added(rng: np.random.Generator) -> Any:
        return [normal(rng, 1024, 1024), normal(rng, 1024), normal(rng, 1024, 1)], []

    def turned(lib: Library, x: Any, y: Any) -> Any:
        return lib.array.permute_dims(x, (1, 0)) + y

    def turning(n: int, m: int) -> Any:
        return lambda rng: ([normal(rng, n, m), normal(rng, m, n)], [])

    return [
        Program("x^T + y, 2048 x 2048", of(turned), turning(2048, 2048)),
        Program("x^T + y, 100 x 60", of(turned), turning(100, 60)),
        Program("x + x^T, 1024 x 1024", of(lambda lib, x: x + lib.array.permute_dims(x, (1, 0))), matrix(1024, 1024)),
        Program("heads merged, 8 x 8 x 128 x 64", of(heads), matrix(8, 8, 128, 64)),
        Program("x + row + column, 1024 x 1024", of(lambda lib, x, r, c: x + r + c), added),
        Program("every second column, 1024 x 2048", of(lambda lib, x: x[:, ::2] * 2), matrix(1024, 2048)),
        Program("concat and shift, 1 M", of(_shifted), matrix(1 << 20)),
        Program("gather 8192 rows of 64", of(lambda lib, x, i: lib.nn.gather(x, i)), indexed),
        Program("scatter-add 8192 rows of 64", of(lambda lib, x, i, u: lib.nn.scatter_add(x, i, u)), scattered),
        Program(
            "take one of each row, 4096 x 1000",
            of(lambda lib, x, i: lib.array.take_along_axis(x, i, axis=1)),
            along,
        ),
    ]


def _shifted(lib: Library, x: Any) -> Any:
    return lib.array.concat([x[1:], x[:1]], axis=0) - x
