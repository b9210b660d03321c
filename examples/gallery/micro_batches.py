"""Accumulation over micro-batches: four quarters of a batch, then one step, equal to a step on the whole batch.

python examples/gallery/micro_batches.py
"""

import numpy as np

import graphc as gx

rng = np.random.default_rng(0)
data, target = rng.normal(size=(32, 6)), rng.normal(size=32)
x, y = gx.placeholder(("batch", 6), "float64", name="x"), gx.placeholder(("batch",), "float64", name="y")

w = gx.variable(np.zeros(6), name="w")
loss = gx.mean((x @ w - y) ** 2)
gradient = gx.gradients(loss, w)
whole = gx.compile([x, y], loss, updates={w: w - 0.1 * gradient})

# The same in two programs: one adds up gradients in a variable, the other takes the step and clears it.
total, count = gx.variable(np.zeros(6), name="total"), gx.variable(0.0, dtype="float64", name="count")
accumulate = gx.compile([x, y], loss, updates={total: total + gradient, count: count + 1})
step = gx.compile([], [], updates={w: w - 0.1 * total / count, total: gx.zeros_like(total), count: count * 0})

whole(data, target)
expected = w.value
w.assign(np.zeros(6))
for rows in np.split(np.arange(32), 4):
    accumulate(data[rows], target[rows])
step()
print("the whole batch ", expected.round(6))
print("four quarters   ", w.value.round(6))
print("largest difference", np.abs(w.value - expected).max())
