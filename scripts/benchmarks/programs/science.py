"""Derivatives that science and engineering ask for, in float64 where that is usual."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

try:
    from scipy.special import erf
except ImportError:
    erf = None

from scripts.benchmarks.library import Array, Library, Program, Tensors, normal, uniform

Result = tuple[Any, Tensors]


def value_and_gradients(f: Callable[[Library, Tensors, Tensors], Any], wrt: int) -> Any:
    """Return the program of f(library, the first inputs, the others) and its gradients by the first."""

    def run(lib: Library, inputs: Tensors, state: Tensors) -> Result:
        value, gradients = lib.value_and_gradients(lambda x: f(lib, x, inputs[wrt:]), list(inputs[:wrt]))
        return [value, *gradients], []

    return run


# Black and Scholes: call options; the gradients of the sum of prices are delta, vega, theta and rho of each.


def _normal_cdf(lib: Library, x: Any) -> Any:
    return 0.5 * (1 + lib.nn.erf(x * math.sqrt(0.5)))


def black_scholes(lib: Library, x: Tensors, fixed: Tensors) -> Any:
    (spot, volatility, time, rate), (strike,) = x, fixed
    a = lib.array
    spread = volatility * a.sqrt(time)
    d1 = (a.log(spot / strike) + (rate + 0.5 * volatility * volatility) * time) / spread
    return a.sum(spot * _normal_cdf(lib, d1) - strike * a.exp(-rate * time) * _normal_cdf(lib, d1 - spread))


def black_scholes_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    spot, volatility, time, rate, strike = inputs
    root = np.sqrt(time)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * time) / (volatility * root)
    d2 = d1 - volatility * root
    n1, n2 = 0.5 * (1 + erf(d1 * math.sqrt(0.5))), 0.5 * (1 + erf(d2 * math.sqrt(0.5)))
    density = spot * np.exp(-0.5 * d1 * d1) * (1 / math.sqrt(2 * math.pi))
    discounted = strike * np.exp(-rate * time) * n2
    price = spot * n1 - discounted
    return [
        price.sum(),
        n1,
        density * root,
        density * volatility / (2 * root) + rate * discounted,
        time * discounted,
    ], []


def _options(count: int) -> Any:
    def make(rng: np.random.Generator) -> Any:
        ranges = ((50, 150), (0.1, 0.5), (0.1, 2), (0.01, 0.05), (50, 150))
        return [uniform(rng, low, high, count, dtype="float64") for low, high in ranges], []

    return make


# Mixture of Gaussians: log likelihood, by log weights, means, and a triangle for each inverse covariance.


def mixture(lib: Library, x: Tensors, fixed: Tensors) -> Any:
    (weights, means, logs, lower), (points, below, diagonal) = x, fixed
    a = lib.array
    factors = lower * below + a.expand_dims(a.exp(logs), 1) * diagonal
    centred = a.expand_dims(points, 0) - a.expand_dims(means, 1)
    scaled = centred @ a.permute_dims(factors, (0, 2, 1))
    terms = a.expand_dims(weights + a.sum(logs, axis=1), 1) - 0.5 * a.sum(scaled * scaled, axis=2)
    return a.sum(lib.nn.logsumexp(terms, axis=0)) - points.shape[0] * lib.nn.logsumexp(weights, axis=0)


def mixture_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    weights, means, logs, lower, points, below, diagonal = inputs
    factors = lower * below + np.exp(logs)[:, None] * diagonal
    centred = points - means[:, None]
    scaled = centred @ factors.transpose(0, 2, 1)
    terms = (weights + logs.sum(1))[:, None] - 0.5 * (scaled * scaled).sum(2)
    top = terms.max(0)
    share = np.exp(terms - top)
    total = share.sum(0)
    share /= total
    prior = np.exp(weights - weights.max())
    value = (np.log(total) + top).sum() - len(points) * (np.log(prior.sum()) + weights.max())
    count = share.sum(1)
    pulled = -share[:, :, None] * scaled
    by_factors = pulled.transpose(0, 2, 1) @ centred
    by_logs = np.exp(logs) * np.einsum("kii->ki", by_factors) + count[:, None]
    by_means = -(pulled @ factors).sum(1)
    return [value, count - len(points) * prior / prior.sum(), by_means, by_logs, by_factors * below], []


def _mixture_arrays(count: int, width: int, parts: int) -> Any:
    def make(rng: np.random.Generator) -> Any:
        free = [normal(rng, *s, dtype="float64") for s in ((parts,), (parts, width), (parts, width))]
        free.append(normal(rng, parts, width, width, scale=0.3, dtype="float64"))
        return [
            *free,
            normal(rng, count, width, dtype="float64"),
            np.tril(np.ones((width, width)), -1),
            np.eye(width),
        ], []

    return make


# N bodies: the potential energy and the forces.


def potential(lib: Library, x: Tensors, fixed: Tensors) -> Any:
    (places,), (masses,) = x, fixed
    a = lib.array
    apart = a.expand_dims(places, 0) - a.expand_dims(places, 1)
    distance = a.sqrt(a.sum(apart * apart, axis=2) + 1e-2)
    return -0.5 * a.sum(a.expand_dims(masses, 0) * a.expand_dims(masses, 1) / distance)


def potential_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    places, masses = inputs
    apart = places[None] - places[:, None]
    inverse = 1 / np.sqrt((apart * apart).sum(2) + 1e-2)
    products = masses[None] * masses[:, None] * inverse
    force = -((products * inverse * inverse)[:, :, None] * apart).sum(1)
    return [-0.5 * products.sum(), force], []


def _bodies(count: int) -> Any:
    def make(rng: np.random.Generator) -> Any:
        return [normal(rng, count, 3, dtype="float64"), uniform(rng, 0.5, 2, count, dtype="float64")], []

    return make


# Bundle adjustment: cameras are rotation (3), centre (3), focal length, two of distortion.


def residuals(lib: Library, x: Tensors, fixed: Tensors) -> Any:
    (cameras, points), (of_camera, of_point, seen) = x, fixed
    a = lib.array
    camera, point = lib.nn.gather(cameras, of_camera), lib.nn.gather(points, of_point)
    axis, moved = camera[:, 0:3], point - camera[:, 3:6]
    square = a.sum(axis * axis, axis=1, keepdims=True) + 1e-12
    angle = a.sqrt(square)
    unit = axis / angle
    cos, sin = a.cos(angle), a.sin(angle)
    along = a.sum(unit * moved, axis=1, keepdims=True)
    turned = moved * cos + _cross(lib, unit, moved) * sin + unit * along * (1 - cos)
    flat = turned[:, 0:2] / turned[:, 2:3]
    radius = a.sum(flat * flat, axis=1, keepdims=True)
    bent = 1 + camera[:, 7:8] * radius + camera[:, 8:9] * radius * radius
    return flat * bent * camera[:, 6:7] - seen


def _cross(lib: Library, u: Any, v: Any) -> Any:
    u0, u1, u2 = u[:, 0:1], u[:, 1:2], u[:, 2:3]
    v0, v1, v2 = v[:, 0:1], v[:, 1:2], v[:, 2:3]
    return lib.array.concat([u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0], axis=1)


def projection_error(lib: Library, x: Tensors, fixed: Tensors) -> Any:
    r = residuals(lib, x, fixed)
    return 0.5 * lib.array.sum(r * r)


def residual_change(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    """Return the Jacobian of the residuals times the last two inputs."""
    fixed = inputs[2:5]
    return [lib.pushforward(lambda x: residuals(lib, x, fixed), list(inputs[:2]), list(inputs[5:]))], []


def _views(cameras: int, points: int, views: int, tangents: bool = False) -> Any:
    def make(rng: np.random.Generator) -> Any:
        camera = normal(rng, cameras, 9, scale=0.1, dtype="float64")
        camera[:, 5] -= 5
        camera[:, 6] += 1
        free = [camera, normal(rng, points, 3, dtype="float64")]
        fixed = [
            rng.integers(0, cameras, views),
            rng.integers(0, points, views),
            normal(rng, views, 2, dtype="float64"),
        ]
        return [*free, *fixed, *([normal(rng, *a.shape, dtype="float64") for a in free] if tangents else [])], []

    return make


# Hessian-vector products.


def _logistic(lib: Library, w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return lib.array.mean(lib.array.log1p(lib.array.exp(-lib.array.abs(z))) + lib.array.maximum(z, 0.0) - y * z)


def logistic_hessian(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    w, v, x, y = inputs
    return list(lib.hessian_vector(lambda t: _logistic(lib, t[0], x, y), [w], [v])), []


def logistic_hessian_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    w, v, x, _ = inputs
    p = 1 / (1 + np.exp(-(x @ w)))
    return [x.T @ (p * (1 - p) * (x @ v)) / len(x)], []


def _logistic_arrays(rng: np.random.Generator) -> Any:
    vectors = [normal(rng, 200, scale=0.1, dtype="float64") for _ in range(2)]
    return [*vectors, normal(rng, 2000, 200, dtype="float64"), rng.integers(0, 2, 2000).astype("float64")], []


def _rosenbrock(lib: Library, x: Any) -> Any:
    return lib.array.sum(100 * lib.array.square(x[1:] - x[:-1] * x[:-1]) + lib.array.square(1 - x[:-1]))


def rosenbrock_hessian(lib: Library, inputs: Tensors, state: Tensors) -> Result:
    x, v = inputs
    return list(lib.hessian_vector(lambda t: _rosenbrock(lib, t[0]), [x], [v])), []


def rosenbrock_hessian_by_hand(inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Any, Sequence[Array]]:
    x, v = inputs
    out = np.zeros_like(x)
    out[:-1] = (1200 * x[:-1] ** 2 - 400 * x[1:] + 2) * v[:-1] - 400 * x[:-1] * v[1:]
    out[1:] += 200 * v[1:] - 400 * x[:-1] * v[:-1]
    return [out], []


def programs() -> list[Program]:
    """Return the programs of the suite."""
    prices = value_and_gradients(black_scholes, 4)
    made = []
    for count, words in ((1000, "1 K"), (100_000, "100 K")):
        name = f"Black-Scholes prices and Greeks, {words} options"
        made.append(
            Program(name, prices, _options(count), black_scholes_by_hand if erf else None, is_small=count == 1000)
        )
    for count, width, parts in ((1000, 4, 10), (2000, 16, 25)):
        name = f"Gaussian mixture gradient, {count} points, {width} wide, {parts} parts"
        run = value_and_gradients(mixture, 4)
        made.append(Program(name, run, _mixture_arrays(count, width, parts), mixture_by_hand))
    for count in (64, 512):
        name = f"{count} bodies, energy and forces"
        made.append(Program(name, value_and_gradients(potential, 1), _bodies(count), potential_by_hand))
    error = value_and_gradients(projection_error, 2)
    return [
        *made,
        Program("bundle adjustment gradient, 5000 views", error, _views(50, 1000, 5000)),
        Program(
            "bundle adjustment Jacobian times vector, 5000 views",
            residual_change,
            _views(50, 1000, 5000, tangents=True),
        ),
        Program(
            "logistic Hessian times vector, 2000 x 200",
            logistic_hessian,
            _logistic_arrays,
            logistic_hessian_by_hand,
        ),
        Program(
            "Rosenbrock Hessian times vector, 10 K",
            rosenbrock_hessian,
            lambda rng: ([normal(rng, 10_000, dtype="float64") for _ in range(2)], []),
            rosenbrock_hessian_by_hand,
            is_small=True,
        ),
    ]
