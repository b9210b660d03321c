"""A first graph: build an expression, differentiate it, compile both, and look at what was made of it.

python examples/first_graph.py
"""

import numpy as np

import graphc as gx

# Building: x has no numbers yet, and a length that each call may choose. Every line below only adds nodes to a graph;
# a wrong shape or dtype would be reported here, with this file and line.
x = gx.placeholder(("n",), "float64", name="x")
energy = gx.sum(gx.exp(-x * x) * gx.sin(3.0 * x))

# Differentiating gives one more graph of the same operations.
slope = gx.gradients(energy, x)

# Compiling turns both into one native function; a result has the structure of the outputs asked for.
wave = gx.compile([x], {"energy": energy, "slope": slope})

points = np.linspace(-1.0, 2.0, 7)
result = wave(points)
print("energy", result["energy"])
print("slope ", result["slope"])

# The same derivative by hand, and by finite differences of the compiled function.
by_hand = np.exp(-(points**2)) * (3.0 * np.cos(3.0 * points) - 2.0 * points * np.sin(3.0 * points))
nudge = 1e-6 * np.eye(len(points))
by_differences = [(wave(points + d)["energy"] - wave(points - d)["energy"]) / 2e-6 for d in nudge]
print("largest difference from the derivative by hand:", np.abs(result["slope"] - by_hand).max())
print("largest difference from finite differences:    ", np.abs(result["slope"] - by_differences).max())

# What the compiler did: the graph as built, and as it runs.
print("\nAs built:\n" + wave.text("graph"))
print("\nAs optimised:\n" + wave.text("optimized"))
