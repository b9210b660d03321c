"""The sigmoid 1 / (exp(-(w*x + b)) + 1) step by step: the local derivative of every arrow, and both derivative modes.

python examples/gallery/sigmoid.py [--out FOLDER]     with a folder, the picture goes there
"""

import argparse
from pathlib import Path

import graphc as gx
from graphc.inspect import draw

x, w, b = (gx.placeholder((), "float64", name=name) for name in "xwb")
product = w * x
total = product + b
minus = -total
power = gx.exp(minus)
below = power + 1
y = 1 / below

# Each arrow has a derivative of its own: of what it leads to, by what it comes from.
arrows = {
    "product by w": (w, product), "product by x": (x, product), "total by product": (product, total),
    "total by b": (b, total), "minus by total": (total, minus), "power by minus": (minus, power),
    "below by power": (power, below), "y by below": (below, y),
}  # fmt: skip
local = {name: gx.gradients(reader, operand) for name, (operand, reader) in arrows.items()}
at = {"x": 1.0, "w": 0.0, "b": 0.0}
slopes = gx.compile([x, w, b], local)(**at)
for name, slope in slopes.items():
    print(f"{name:17}{slope:6.2f}")

# Reverse mode multiplies them from y back to all inputs in one pass; forward mode needs a pass for each input.
reverse = gx.compile([x, w, b], gx.gradients(y, [w, x, b]), name="reverse")
forward = [gx.compile([x, w, b], gx.pushforward(y, i, 1.0), name=f"forward_{i.name}") for i in (w, x, b)]
dw, dx, db = reverse(**at)
tangents = [f(**at) for f in forward]
print("reverse mode: dw, dx, db =", dw, dx, db)
print("forward mode: dw, dx, db =", *tangents)


def operations(executable):
    return sum(1 for n in executable.graph("optimized").nodes if n.inputs)


print("operations in reverse mode, one pass:    ", operations(reverse))
print("operations in forward mode, three passes:", sum(map(operations, forward)))

arguments = argparse.ArgumentParser()
arguments.add_argument("--out", type=Path)
out = arguments.parse_args().out
if out is not None:
    out.mkdir(parents=True, exist_ok=True)
    labels = {arrow: f"{slopes[name]:.2f}" for name, arrow in arrows.items()}
    program = gx.compile([x, w, b], y, name="sigmoid")
    draw.write_svg(program.graph("graph"), out / "sigmoid.svg", "sigmoid at x=1, w=0, b=0", labels=labels)
    print("picture:", out / "sigmoid.svg")
