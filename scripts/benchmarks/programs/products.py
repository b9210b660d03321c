"""Matrix products: square and odd, transposed, with epilogues, with vectors, batched, in chains."""

from __future__ import annotations

from typing import Any

from scripts.benchmarks.library import Library, Program, normal
from scripts.benchmarks.programs.elementwise import of

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048)


def _plain(lib: Library, a: Any, b: Any) -> Any:
    return a @ b


def _left_transposed(lib: Library, a: Any, b: Any) -> Any:
    return lib.array.permute_dims(a, (1, 0)) @ b


def _right_transposed(lib: Library, a: Any, b: Any) -> Any:
    return a @ lib.array.permute_dims(b, (1, 0))


def _relu_layer(lib: Library, x: Any, w: Any, b: Any) -> Any:
    return lib.nn.relu(x @ w + b)


def _gelu_layer(lib: Library, x: Any, w: Any, b: Any) -> Any:
    return lib.nn.gelu(x @ w + b)


def _arrays(*shapes: tuple[int, ...], dtype: str = "float32") -> Any:
    return lambda rng: ([normal(rng, *s, scale=s[0] ** -0.25, dtype=dtype) for s in shapes], [])


def programs() -> list[Program]:
    """Return the programs of the suite."""
    square = [Program(f"A B, {n}", of(_plain), _arrays((n, n), (n, n)), is_small=n in (16, 128)) for n in SIZES]
    turned = [Program(f"A^T B, {n}", of(_left_transposed), _arrays((n, n), (n, n))) for n in (64, 256, 512, 1024)]
    turned += [Program(f"A B^T, {n}", of(_right_transposed), _arrays((n, n), (n, n))) for n in (64, 256, 512, 1024)]
    double = [
        Program(f"A B, {n}, float64", of(_plain), _arrays((n, n), (n, n), dtype="float64"))
        for n in (32, 128, 512, 1024)
    ]
    return [*square, *turned, *double, *_odd(), *_layers(), *_vectors(), *_batched()]


def _odd() -> list[Program]:
    shapes = ((100, 100, 100), (333, 333, 333), (64, 784, 10), (512, 784, 10), (784, 128, 10), (1000, 1000, 17))
    shapes += ((7, 1024, 1024), (2048, 64, 64), (64, 64, 4096), (32, 4096, 32))
    return [Program(f"A B, {m} x {k} x {n}", of(_plain), _arrays((m, k), (k, n))) for m, k, n in shapes]


def _layers() -> list[Program]:
    made = []
    for m, k, n in ((64, 784, 256), (512, 512, 512)):
        arrays = _arrays((m, k), (k, n), (n,))
        made.append(Program(f"relu(x W + b), {m} x {k} x {n}", of(_relu_layer), arrays))
        made.append(Program(f"gelu(x W + b), {m} x {k} x {n}", of(_gelu_layer), arrays))
    return made


def _vectors() -> list[Program]:
    def transposed(lib: Library, a: Any, v: Any) -> Any:
        return lib.array.permute_dims(a, (1, 0)) @ v

    def outer(lib: Library, u: Any, v: Any) -> Any:
        return lib.array.outer(u, v)

    return [
        Program("A v, 128", of(_plain), _arrays((128, 128), (128,)), is_small=True),
        Program("A v, 1024", of(_plain), _arrays((1024, 1024), (1024,))),
        Program("A v, 4096", of(_plain), _arrays((4096, 4096), (4096,))),
        Program("A^T v, 1024", of(transposed), _arrays((1024, 1024), (1024,))),
        Program("u . v, 1 M", of(_plain), _arrays((1 << 20,), (1 << 20,))),
        Program("u v^T, 1024", of(outer), _arrays((1024,), (1024,))),
    ]


def _batched() -> list[Program]:
    def scores(lib: Library, q: Any, k: Any) -> Any:
        return q @ lib.array.permute_dims(k, (0, 1, 3, 2))

    def chain(lib: Library, a: Any, b: Any, v: Any) -> Any:
        return (a @ b) @ v

    def contraction(lib: Library, a: Any, b: Any) -> Any:
        return lib.array.einsum("bij,bjk->ik", a, b)

    return [
        Program("64 products of 64", of(_plain), _arrays((64, 64, 64), (64, 64, 64))),
        Program("1000 products of 4", of(_plain), _arrays((1000, 4, 4), (1000, 4, 4))),
        Program("Q K^T, 8 x 8 heads, 128 x 64", of(scores), _arrays((8, 8, 128, 64), (8, 8, 128, 64))),
        Program("(A B) v, 512", of(chain), _arrays((512, 512), (512, 512), (512,))),
        Program("einsum bij,bjk->ik, 16 x 128", of(contraction), _arrays((16, 128, 128), (16, 128, 128))),
    ]
