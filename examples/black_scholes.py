"""The Greeks of an option by differentiation: the price is written down, its derivatives are not.

    python examples/black_scholes.py [--options 100000]

Prices of European options (Black and Scholes, 1973), and their sensitivities of first and second order, each compared
with the formula in textbooks. One call computes a whole book of options and all its Greeks.
"""

import argparse
import time

import numpy as np
from scipy.stats import norm

import graphc as gx


def normal_cdf(x: gx.Tensor) -> gx.Tensor:
    """Return the probability that a standard normal number is below x."""
    return 0.5 * gx.erfc(-x * np.sqrt(0.5))


def price(spot, strike, years, rate, sigma, sign) -> gx.Tensor:
    """Return the price of a call (sign 1) or a put (sign -1)."""
    spread = sigma * gx.sqrt(years)
    d1 = (gx.log(spot / strike) + (rate + 0.5 * sigma**2) * years) / spread
    discounted = strike * gx.exp(-rate * years)
    return sign * (spot * normal_cdf(sign * d1) - discounted * normal_cdf(sign * (d1 - spread)))


def greeks(spot, strike, years, rate, sigma, sign) -> dict[str, gx.Tensor]:
    """Return the price and its derivatives, for arrays of options."""
    inputs = (spot, strike, years, rate, sigma, sign)
    value = price(*inputs)
    # Each option depends on its own parameters alone, so the gradient of the sum has the derivative of each.
    slopes = gx.gradients(gx.sum(value), [spot, years, rate, sigma])
    delta, vega = slopes[0], slopes[3]
    gamma, vanna = gx.gradients(gx.sum(delta), [spot, sigma])
    return {
        "price": value, "delta": delta, "vega": vega, "theta": -slopes[1], "rho": slopes[2],
        "gamma": gamma, "vanna": vanna, "volga": gx.gradients(gx.sum(vega), sigma),
        "speed": gx.gradients(gx.sum(gamma), spot),
    }  # fmt: skip


def closed_forms(s, k, t, r, v, sign) -> dict[str, np.ndarray]:
    """Return the same from the formulas in textbooks."""
    root = v * np.sqrt(t)
    d1 = (np.log(s / k) + (r + v**2 / 2) * t) / root
    d2, density, discounted = d1 - root, norm.pdf(d1), k * np.exp(-r * t)
    gamma = density / (s * root)
    vega = s * density * np.sqrt(t)
    return {
        "price": sign * (s * norm.cdf(sign * d1) - discounted * norm.cdf(sign * d2)),
        "delta": sign * norm.cdf(sign * d1),
        "vega": vega,
        "theta": -s * density * v / (2 * np.sqrt(t)) - sign * r * discounted * norm.cdf(sign * d2),
        "rho": sign * t * discounted * norm.cdf(sign * d2),
        "gamma": gamma,
        "vanna": -density * d2 / v,
        "volga": vega * d1 * d2 / v,
        "speed": -gamma / s * (d1 / root + 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Price options and differentiate the prices.")
    parser.add_argument("--options", type=int, default=100_000, help="how many options (default: 100000)")
    count = parser.parse_args().options
    rng = np.random.default_rng(0)
    names = ("spot", "strike", "years", "rate", "sigma", "sign")
    spot = rng.uniform(50, 150, count)
    book = (
        spot, spot * rng.uniform(0.7, 1.4, count), rng.uniform(0.1, 3, count), rng.uniform(0, 0.08, count),
        rng.uniform(0.1, 0.6, count), rng.choice([-1.0, 1.0], count),
    )  # fmt: skip

    inputs = [gx.placeholder(("options",), "float64", name=name) for name in names]
    run = gx.compile(inputs, greeks(*inputs), name="greeks")
    found, expected = run(*book), closed_forms(*book)
    print("          largest value    largest difference from the textbook")
    for name, values in expected.items():
        print(f"{name:8s} {np.abs(values).max():14.6f}    {np.abs(found[name] - values).max():.1e}")
    ours, theirs = fastest(run, book), fastest(closed_forms, book)
    print(f"{count} options with 8 Greeks: {ours * 1e3:.1f} ms, the formulas in NumPy {theirs * 1e3:.1f} ms")


def fastest(function, arguments, rounds: int = 5) -> float:
    """Return the least seconds that a call took."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
