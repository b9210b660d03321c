"""Linear regression by gradient descent: parameters live in variables, and one compiled call is one training step.

python examples/linear_regression.py
"""

import numpy as np

import graphc as gx

# Noisy measurements of a plane in three dimensions.
rng = np.random.default_rng(0)
true_weights, true_offset = np.array([2.0, -1.0, 0.5]), 3.0
features = rng.normal(size=(200, 3))
targets = features @ true_weights + true_offset + 0.05 * rng.normal(size=200)

# The model and its loss. "samples" is one size, the same in both inputs; each call may choose it.
x = gx.placeholder(("samples", 3), "float64", name="x")
y = gx.placeholder(("samples",), "float64", name="y")
weights = gx.variable(np.zeros(3), name="weights")
offset = gx.variable(0.0, "float64", name="offset")
loss = gx.mean((x @ weights + offset - y) ** 2)

# A step returns the loss and moves both variables at once, each along its own gradient.
d_weights, d_offset = gx.gradients(loss, [weights, offset])
step = gx.compile([x, y], loss, updates={weights: weights - 0.1 * d_weights, offset: offset - 0.1 * d_offset})

for k in range(100):
    value = step(features, targets)
    if k % 20 == 0:
        print(f"step {k:3d}   loss {value:.6f}")

print("fitted weights", np.round(weights.value, 3), "offset", np.round(offset.value, 3))

# The exact least-squares solution, for comparison.
columns = np.column_stack([features, np.ones(len(features))])
exact = np.linalg.lstsq(columns, targets, rcond=None)[0]
print("least squares ", np.round(exact[:3], 3), "offset", np.round(exact[3], 3))
