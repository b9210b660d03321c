"""Solve a differential equation with a network: Burgers' equation, with derivatives of first and second order.

    python examples/physics_informed.py [--steps 4000] [--seed 0]

u_t + u u_x = nu u_xx on -1 <= x <= 1, 0 <= t <= 1 has a solution in closed form, a front that moves to the right:
u = 1 - tanh((x + 1/2 - t) / (2 nu)). The network sees the equation, the values at t = 0 and at both ends, and no
value inside (Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378, 2019). It is compared with the exact solution.
"""

import argparse
import time
from itertools import pairwise

import numpy as np
from tqdm import tqdm

import graphc as gx

NU = 0.1
INSIDE, EDGE = 1000, 100


class Field(gx.nn.Module):
    """A network from places and times to the value of a smooth function."""

    def __init__(self, width: int, layers: int) -> None:
        sizes = [2] + [width] * layers
        self.hidden = [gx.nn.Linear(a, b, dtype="float64") for a, b in pairwise(sizes)]
        self.last = gx.nn.Linear(width, 1, dtype="float64")

    def forward(self, x: gx.Tensor, t: gx.Tensor) -> gx.Tensor:
        """Return u at each pair of x[n] and t[n]."""
        y = gx.stack([x, t], axis=1)
        for layer in self.hidden:
            y = gx.tanh(layer(y))
        return self.last(y)[:, 0]


def exact(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the solution: a front of speed 1 from 2 to 0."""
    return 1 - np.tanh((x + 0.5 - t) / (2 * NU))


def residual(field: Field, x: gx.Tensor, t: gx.Tensor) -> gx.Tensor:
    """Return u_t + u u_x - nu u_xx at each point; the gradient of a sum over points has the derivative at each."""
    u = field(x, t)
    u_x, u_t = gx.gradients(gx.sum(u), [x, t])
    u_xx = gx.gradients(gx.sum(u_x), x)
    return u_t + u * u_x - NU * u_xx


def points(rng: np.random.Generator) -> list[np.ndarray]:
    """Return places and times inside, then on the edges where the solution is given, and its values there."""
    x, t = rng.uniform(-1, 1, INSIDE), rng.uniform(0, 1, INSIDE)
    on_start = np.stack([rng.uniform(-1, 1, EDGE), np.zeros(EDGE)])
    on_ends = np.stack([rng.choice([-1.0, 1.0], EDGE), rng.uniform(0, 1, EDGE)])
    edge_x, edge_t = np.concatenate([on_start, on_ends], axis=1)
    return [x, t, edge_x, edge_t, exact(edge_x, edge_t)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Solve Burgers' equation with a network.")
    parser.add_argument("--steps", type=int, default=4000, help="training steps (default: 4000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and points (default: 0)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    gx.nn.seed(options.seed)
    field = Field(width=32, layers=3)

    sizes = {"x": "inside", "t": "inside", "edge_x": "edge", "edge_t": "edge", "edge_u": "edge"}
    x, t, edge_x, edge_t, edge_u = inputs = [gx.placeholder((n,), "float64", name=k) for k, n in sizes.items()]
    equation = gx.mean(residual(field, x, t) ** 2)
    edges = gx.nn.mse_loss(field(edge_x, edge_t), edge_u)
    loss = equation + 10.0 * edges
    optimizer = gx.optim.Adam(gx.optim.cosine_decay(5e-3, options.steps, warmup=options.steps // 20))
    outputs = {"equation": equation, "edges": edges}
    step = gx.compile(inputs, outputs, updates=optimizer.updates(loss, field), name="step")
    evaluate = gx.compile([x, t], field(x, t), name="field")

    start = time.perf_counter()
    progress = tqdm(range(options.steps), desc="training", disable=None)
    for k in progress:
        found = step(*points(rng))
        if k % 100 == 0:
            progress.set_postfix(equation=f"{found['equation']:.1e}", edges=f"{found['edges']:.1e}")
    seconds = time.perf_counter() - start
    grid_x, grid_t = (a.ravel() for a in np.meshgrid(np.linspace(-1, 1, 201), np.linspace(0, 1, 101)))
    error = evaluate(grid_x, grid_t) - exact(grid_x, grid_t)
    relative = np.sqrt(np.mean(error**2) / np.mean(exact(grid_x, grid_t) ** 2))
    print(f"mean squared residual {found['equation']:.2e}, error on the edges {np.sqrt(found['edges']):.2e}")
    print(f"relative error {relative:.2e}, largest {np.abs(error).max():.2e}, after {seconds:.1f} s")


if __name__ == "__main__":
    main()
