"""Nanoseconds that a step of a loop takes: small bodies, recurrent networks, and JAX's scan beside them where it is
installed. In one run, in turn, the least of several.

    scripts/measure_scan [--steps 1000] [--only gru]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphc as gx

try:
    import jax
    from jax import lax
    from jax import numpy as jnp
except ImportError:
    jax = lax = jnp = None

ROUNDS = 7
Case = tuple[str, Callable[..., Any], Callable[..., Any], tuple[np.ndarray, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/measure_scan", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    sys.stdout.write(f"{'nanoseconds a step':24s} {'graphc':>10s} {'jax':>10s} {'ratio':>6s}\n")
    for name, ours, theirs, arrays in cases(options.steps):
        if options.only in name:
            report(name, ours, theirs, arrays, options.steps)


def report(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[np.ndarray], steps: int
) -> None:
    inputs = [gx.placeholder(a.shape, a.dtype) for a in arrays]
    compiled = gx.compile(inputs, ours(*inputs), options=gx.Options(threads=1))
    calls = [lambda: compiled(*arrays)]
    if jax is not None:
        jitted = jax.jit(theirs)
        calls.append(lambda: jax.block_until_ready(jitted(*arrays)))
    best = [1e9] * len(calls)
    for call in calls:
        call()
    for _ in range(ROUNDS):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(3):
                call()
            best[k] = min(best[k], (time.perf_counter() - start) / 3)
    times = [b / steps * 1e9 for b in best]
    other = f"{times[1]:10.1f} {times[1] / times[0]:6.2f}" if len(times) > 1 else ""
    sys.stdout.write(f"{name:24s} {times[0]:10.1f} {other}\n")
    sys.stdout.flush()


def cases(steps: int) -> list[Case]:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    found: list[Case] = [
        ("scalar", decay(gx.scan), decay(lax and lax.scan), (normal(steps), normal(1)[0])),
        ("vector 4", decay(gx.scan), decay(lax and lax.scan), (normal(steps, 4), normal(4))),
    ]
    for width in (64, 1024):
        found.append(
            (f"running sum {width}", total(gx.scan), total(lax and lax.scan), (normal(steps, width), normal(width)))
        )
    for width in (4, 1024):
        args = (np.abs(normal(width)) + 1,)
        found.append((f"newton {width}", newton(gx.scan, steps), newton(lax and lax.scan, steps), args))
    found.append(("softmax 8", softmax(gx.scan, gx.nn.softmax, steps),
                  softmax(lax and lax.scan, jax and jax.nn.softmax, steps), (normal(8),)))  # fmt: skip
    found.append(("while newton 4", while_newton(gx, gx.while_loop, steps),
                  while_newton(jnp, lax and lax.while_loop, steps), (np.abs(normal(4)) + 1,)))  # fmt: skip
    for width in (16, 64, 256):
        args = (normal(steps, width), normal(width) * 0, normal(width, width) * 0.05, normal(width, width) * 0.05)
        found.append((f"rnn {width}", rnn(gx), rnn(jnp), args))
        args = (*args[:2], normal(width, 3 * width) * 0.05, normal(width, 3 * width) * 0.05)
        found.append((f"gru {width}", gru(gx, gx.scan), gru(jnp, lax and lax.scan), args))
        found.append((f"gru gradient {width}", our_gradient, their_gradient, args))
    return found


def decay(scan: Any) -> Callable[..., Any]:
    return lambda xs, start: scan(lambda c, x: (c * 0.9 + x, c), start, xs)


def total(scan: Any) -> Callable[..., Any]:
    return lambda xs, start: scan(lambda c, x: (c + x, c + x), start, xs)


def newton(scan: Any, steps: int) -> Callable[..., Any]:
    return lambda a: scan(lambda c, _: (0.5 * (c + a / c), None), a, None, length=steps)[0]


def softmax(scan: Any, function: Any, steps: int) -> Callable[..., Any]:
    return lambda a: scan(lambda c, _: (function(c * 1.1), None), a, None, length=steps)[0]


def while_newton(np_like: Any, while_loop: Any, steps: int) -> Callable[..., Any]:
    def call(a: Any) -> Any:
        return while_loop(lambda c: c[0] < steps, lambda c: (c[0] + 1, 0.5 * (c[1] + a / c[1])), (0, a))[1]

    return call


def rnn(np_like: Any) -> Callable[..., Any]:
    def call(xs: Any, h: Any, w: Any, u: Any) -> Any:
        def body(h: Any, x: Any) -> Any:
            h = np_like.tanh(x @ w + h @ u)
            return h, h

        return (gx.scan if np_like is gx else lax.scan)(body, h, xs)

    return call


def gru(np_like: Any, scan: Any) -> Callable[..., Any]:
    def sigmoid(x: Any) -> Any:
        return gx.nn.sigmoid(x) if np_like is gx else jax.nn.sigmoid(x)

    def call(xs: Any, h: Any, w: Any, u: Any) -> Any:
        n = h.shape[0]

        def body(h: Any, x: Any) -> Any:
            a, b = x @ w, h @ u
            z, r = sigmoid(a[:n] + b[:n]), sigmoid(a[n : 2 * n] + b[n : 2 * n])
            h = (1 - z) * h + z * np_like.tanh(a[2 * n :] + r * b[2 * n :])
            return h, h

        return scan(body, h, xs)

    return call


def our_gradient(xs: Any, h: Any, w: Any, u: Any) -> Any:
    return gx.gradients(gx.sum(gru(gx, gx.scan)(xs, h, w, u)[1]), [w, u])


def their_gradient(xs: Any, h: Any, w: Any, u: Any) -> Any:
    return jax.grad(lambda w, u: gru(jnp, lax.scan)(xs, h, w, u)[1].sum(), (0, 1))(w, u)


if __name__ == "__main__":
    main()
