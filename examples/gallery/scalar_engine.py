"""A scalar engine: numbers that remember how they were made, and hand derivatives back to what made them.

python examples/gallery/scalar_engine.py [--out FOLDER]     with a folder, pictures of both graphs go there
"""

import argparse
from pathlib import Path

import numpy as np

import graphc as gx
from graphc.inspect import draw


def value(name):
    """Return a scalar variable of a formula; every operator on it makes a node of the graph."""
    return gx.placeholder((), "float64", name=name)


a, b, c, f = (value(name) for name in "abcf")
z = a * b + c + f**2
gradients = gx.gradients(z, [a, b, c, f])
engine = gx.compile([a, b, c, f], {"z": z, "gradients": gradients}, name="engine")
found = engine(2.0, -3.0, 10.0, 2.0)
print("z =", found["z"])
print("dz/da, dz/db, dz/dc, dz/df =", *found["gradients"])


# Reflected operators, powers and relu, in one formula; the derivative is checked against finite differences.
def formula(a, b, c, f):
    return 1 - a / 2 + 3 / (b * b) + gx.nn.relu(c) * 2**a + (-f) ** 3


g = formula(a, b, c, f)
slopes = gx.compile([a, b, c, f], gx.gradients(g, [a, b, c, f]))(2.0, -3.0, 10.0, 2.0)
print("dg/da, dg/db, dg/dc, dg/df =", *np.round(slopes, 6))
gx.check_gradients(formula, 2.0, -3.0, 10.0, 2.0, order=2)

arguments = argparse.ArgumentParser()
arguments.add_argument("--out", type=Path)
out = arguments.parse_args().out
if out is not None:
    out.mkdir(parents=True, exist_ok=True)
    forward = gx.compile([a, b, c, f], z, name="forward")
    draw.write_svg(forward.graph("graph"), out / "forward.svg", "z = a*b + c + f**2")
    draw.write_svg(engine.graph("graph"), out / "backward.svg", "z and its derivatives")
    print("pictures:", *sorted(p.name for p in out.iterdir()))
