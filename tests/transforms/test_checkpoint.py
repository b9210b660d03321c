"""checkpoint: the same numbers, computed again instead of kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

RNG = np.random.default_rng(0)
W, X = RNG.normal(size=(4, 4)) / 2, RNG.normal(size=(3, 4))
SCALE = gx.variable(np.array(0.5), name="scale")


def block(w: Any, x: Any) -> Any:
    return gx.tanh(x @ w) * SCALE


def network(layer: Callable[..., Any]) -> Callable[..., Any]:
    return lambda w, x: gx.sum(layer(w, layer(w, layer(w, x))) ** 2)


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f(W, X),
    "grad": lambda f: gx.grad(f, argnums=(0, 1))(W, X),
    "weights": lambda f: gx.grad(f, weights=SCALE)(W, X),
    "jit of grad": lambda f: gx.jit(gx.grad(f))(W, X),
    "jvp": lambda f: gx.jvp(f, (W, X), (X.T @ X, X)),
    "hessian": lambda f: gx.hessian(f)(W, X),
    "reverse over reverse": lambda f: gx.jacrev(gx.grad(f))(W, X),
    "third order": lambda f: gx.grad(lambda w: gx.sum(gx.hessian(f)(w, X[:1])))(W),
    "hvp": lambda f: gx.hvp(f, (W, X), (W, X)),
    "vmap of grad": lambda f: gx.vmap(gx.grad(f), in_axes=(None, 0))(W, X),
    "grad of vmap": lambda f: gx.grad(lambda w: gx.sum(gx.vmap(f, in_axes=(None, 0))(w, X)))(W),
    "in a scan": lambda f: gx.grad(lambda w: gx.scan(lambda c, x: (c * f(w, x), None), 1.0, X)[0])(W),
    "in a branch": lambda f: gx.grad(lambda w: gx.cond(gx.sum(w) > 9.0, lambda w: gx.sum(w), lambda w: f(w, X), w))(W),
    "in a while_loop": lambda f: gx.grad(
        lambda w: gx.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] * f(w, X)), (0, 1.0))[1]
    )(W),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_derivatives_are_the_same(name: str) -> None:
    run = TRANSFORMS[name]
    expected = gx.nest.flatten(run(network(block)))[0]
    for layer in (gx.checkpoint(block), gx.checkpoint(gx.checkpoint(block))):
        for found in (run(network(layer)), run(gx.checkpoint(network(layer)))):
            for a, b in zip(gx.nest.flatten(found)[0], expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def count(executable: gx.Executable, op: str) -> int:
    return Counter(n.op.name for n in executable.graph("optimized").nodes)[op]


def test_what_is_computed_again_is_computed_twice_and_no_pass_undoes_it() -> None:
    plain = gx.grad(network(block)).compiled(W, X)
    layered = gx.grad(network(gx.checkpoint(block))).compiled(W, X)
    assert count(layered, "contract") == count(plain, "contract") + 3
    whole = gx.grad(gx.checkpoint(network(block))).compiled(W, X)
    assert count(whole, "contract") == count(plain, "contract")  # nobody asks for the value
    both = gx.value_and_grad(gx.checkpoint(network(block))).compiled(W, X)
    assert count(both, "contract") == count(plain, "contract") + 3


def test_forward_mode_computes_nothing_again() -> None:
    def pushed(layer: Any) -> Any:
        return gx.jit(lambda w, x: gx.jvp(network(layer), (w, x), (w, x))).compiled(W, X)

    assert count(pushed(gx.checkpoint(block)), "contract") == count(pushed(block), "contract")


def test_nests_names_and_what_is_no_array() -> None:
    @gx.checkpoint
    def step(state: dict[str, Any], *, scale: Any = 2.0, how: str = "sin") -> Any:
        return {"x": getattr(gx, how)(state["x"]) * scale, "how": how, "none": None, "int": state["k"] + 1}

    found = step({"x": X, "k": np.array(3)}, scale=np.float64(3), how="cos")
    assert (found["how"], found["none"], found["int"]) == ("cos", None, 4)
    np.testing.assert_allclose(found["x"], 3 * np.cos(X))
    slope = gx.grad(lambda x: gx.sum(step({"x": x, "k": np.array(3)})["x"]))(X)
    np.testing.assert_allclose(slope, 2 * np.cos(X))


def test_tensors_from_outside_have_derivatives() -> None:
    def f(w: Any, x: Any) -> Any:
        inner = gx.checkpoint(lambda x: gx.sum(gx.sin(w * x)))
        return inner(x)

    np.testing.assert_allclose(gx.grad(f)(2.0, 3.0), 3 * np.cos(6.0))
    np.testing.assert_allclose(gx.hessian(f)(2.0, 3.0), -9 * np.sin(6.0))


def layers(depth: int, layer: Callable[..., Any], every: int = 1) -> Any:
    """Return the compiled gradient of a chain of layers, checkpointed in pieces of `every`."""

    def piece(weights: Any, x: Any) -> Any:
        for w in weights:
            x = gx.nn.gelu(x @ w) + x
        return x

    def loss(weights: list[Any], x: Any) -> Any:
        for k in range(0, depth, every):
            x = layer(piece)(weights[k : k + every], x)
        return gx.mean(x**2)

    weights = [np.zeros((32, 32), np.float32) for _ in range(depth)]
    return gx.value_and_grad(loss).compiled(weights, np.zeros((512, 32), np.float32))


def test_memory_is_saved() -> None:
    plain, again = layers(50, lambda fn: fn), layers(50, gx.checkpoint, every=7)
    kept = 512 * 32 * 4  # bytes of one layer's values
    assert plain.cost().arena_bytes > 50 * kept
    assert again.cost().arena_bytes < 30 * kept


def test_errors() -> None:
    with pytest.raises(gx.ArgumentError, match="checkpoint: takes a function, got 3"):
        gx.checkpoint(3)  # type: ignore[arg-type]
    with pytest.raises(gx.ShapeError, match="matmul"):
        gx.checkpoint(block)(W, X.T)
