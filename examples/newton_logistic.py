"""Logistic regression by Newton's method, with no Hessian: conjugate gradients on Hessian-vector products.

    python examples/newton_logistic.py [--penalty 1.0]

The breast-cancer data of scikit-learn, 569 samples of 30 features. A step solves H d = -g in a native loop whose body
has the product of the Hessian with a vector, which the compiler made of the loss; then it halves the step while the
loss does not fall. The result is compared with scikit-learn's own fit.
"""

import argparse

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import graphc as gx


def loss_of(weights: gx.Tensor, x: gx.Tensor, y: gx.Tensor, penalty: float) -> gx.Tensor:
    """Return the negative logarithm of the likelihood, with a penalty on all weights but the last, the offset."""
    logits = x @ weights[:-1] + weights[-1]
    fit = gx.nn.binary_cross_entropy_with_logits(logits, y, "sum")
    return fit + 0.5 * penalty * gx.sum(weights[:-1] ** 2)


def conjugate_gradients(product, b: gx.Tensor, tolerance: float, max_steps: int) -> tuple[gx.Tensor, gx.Tensor]:
    """Return the solution of product(x) = b for a positive definite linear map, and the number of steps."""

    def goes_on(state: dict[str, gx.Tensor]) -> gx.Tensor:
        return (state["rr"] > tolerance**2 * gx.sum(b * b)) & (state["steps"] < max_steps)

    def advance(state: dict[str, gx.Tensor]) -> dict[str, gx.Tensor]:
        mapped = product(state["p"])
        rate = state["rr"] / gx.sum(state["p"] * mapped)
        r = state["r"] - rate * mapped
        rr = gx.sum(r * r)
        p = r + (rr / state["rr"]) * state["p"]
        return {"x": state["x"] + rate * state["p"], "r": r, "p": p, "rr": rr, "steps": state["steps"] + 1}

    start = {"x": gx.zeros_like(b), "r": b, "p": b, "rr": gx.sum(b * b), "steps": 0}
    found = gx.while_loop(goes_on, advance, start)
    return found["x"], found["steps"]


def newton_step(weights: gx.Variable, x: gx.Tensor, y: gx.Tensor, penalty: float) -> dict[str, gx.Tensor]:
    """Return new weights, and the loss and the size of its gradient before."""

    def loss(w: gx.Tensor) -> gx.Tensor:
        return loss_of(w, x, y, penalty)

    value, slope = gx.value_and_grad(loss)(weights)
    direction, inner = conjugate_gradients(lambda v: gx.hvp(loss, weights, v), -slope, 1e-8, 200)
    # Half as far until the loss has fallen by a ten-thousandth of what the slope promises.
    promised = 1e-4 * gx.sum(slope * direction)
    rate = gx.while_loop(
        lambda t: (loss(weights + t * direction) > value + t * promised) & (t > 1e-8), lambda t: t * 0.5, 1.0
    )
    size = gx.max(gx.abs(slope))
    return {"weights": weights + rate * direction, "loss": value, "slope": size, "rate": rate, "inner": inner}


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit a logistic regression by Newton's method without a Hessian.")
    parser.add_argument("--penalty", type=float, default=1.0, help="weight of the sum of squares (default: 1)")
    options = parser.parse_args()
    features, labels = load_breast_cancer(return_X_y=True)
    features = StandardScaler().fit_transform(features)

    weights = gx.variable(np.zeros(features.shape[1] + 1), name="weights")
    x = gx.placeholder(("samples", features.shape[1]), "float64", name="x")
    y = gx.placeholder(("samples",), "float64", name="y")
    made = newton_step(weights, x, y, options.penalty)
    step = gx.compile([x, y], made, updates={weights: made["weights"]}, name="newton")

    for k in range(50):
        done = step(features, labels.astype(np.float64))
        print(f"{k:2d}  loss {done['loss']:.12f}  gradient {done['slope']:.1e}  {int(done['inner']):3d} products")
        if done["slope"] < 1e-8:
            break

    theirs = LogisticRegression(C=1 / options.penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    theirs.fit(features, labels)
    expected = np.append(theirs.coef_[0], theirs.intercept_)
    print(f"largest difference from scikit-learn's weights: {np.abs(weights.value - expected).max():.1e}")
    chosen = features @ weights.value[:-1] + weights.value[-1] > 0
    print(f"accuracy {np.mean(chosen == labels):.4f}, scikit-learn's {theirs.score(features, labels):.4f}")


if __name__ == "__main__":
    main()
