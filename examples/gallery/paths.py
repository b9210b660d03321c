"""Six scalar examples, and why derivatives are not summed over paths: of those there can be more than atoms.

python examples/gallery/paths.py
"""

import graphc as gx

EXAMPLES = {
    "x + 2*y": lambda x, y: x + 2 * y,
    "x*x": lambda x, y: x * x,
    "x*(x + 1)": lambda x, y: x * (x + 1),
    "x/y": lambda x, y: x / y,
    "1/(x*x + 1)": lambda x, y: 1 / (x * x + 1),
    "(x*x + 1)/(y*y - 1)": lambda x, y: (x * x + 1) / (y * y - 1),
}
for name, formula in EXAMPLES.items():
    dx, dy = gx.grad(formula, argnums=(0, 1))(3.0, 2.0)
    print(f"{name:20} at (3, 2): d/dx = {dx:8.4f}, d/dy = {dy:8.4f}")

# c = a + b, d = b + 1, e = c * d. The derivative by b is the sum over both paths from b to e, of the product of what
# stands at the arrows on the way.
a, b = gx.placeholder((), "float64", name="a"), gx.placeholder((), "float64", name="b")
c = a + b
d = b + 1
e = c * d
paths = {
    "b -> c -> e": gx.gradients(e, c) * gx.gradients(c, b),
    "b -> d -> e": gx.gradients(e, d) * gx.gradients(d, b),
}
found = gx.compile([a, b], {"paths": paths, "de/db": gx.gradients(e, b), "de/da": gx.gradients(e, a)})(2.0, 1.0)
for name, value in found["paths"].items():
    print(name, "=", value)
print("de/db =", found["de/db"], " de/da =", found["de/da"])


# 200 sums of an expression with itself, each shared by the next: two arrows a step, so twice the paths.
def doubled(x):
    for _ in range(200):
        x = (x + x) * 0.5
    return x


x = gx.placeholder((), "float64", name="x")
y = doubled(x)
slope = gx.gradients(y, x)
ways = {x.node: 1}
graph = gx.compile([x], y).graph("graph")
for node in graph.nodes:
    if node not in ways:
        ways[node] = sum(ways[i] for i in node.inputs)
backward = gx.compile([x], slope).graph("graph")
print(f"paths from x to y: {ways[y.node]} = 2**{ways[y.node].bit_length() - 1}")
print("nodes of value and of derivative:", len(graph.nodes), len(backward.nodes))
print("derivative:", gx.compile([x], slope)(3.0))
