"""no_grad and detach: parts of a formula that derivatives take for constants.

python examples/gallery/no_grad.py
"""

import numpy as np

import graphc as gx

x = gx.placeholder((3,), "float64", name="x")
y = x * x
detached = y.detach()
with gx.no_grad():
    inside = x * 10

values = np.array([1.0, 2.0, 3.0])
by = {
    "x*x + x": y + x,
    "detached(x*x) * x": detached * x,
    "x*x + inside": y + inside,
}
for name, formula in by.items():
    print(f"{name:18}", gx.compile([x], gx.gradients(gx.sum(formula), x))(values))
try:
    gx.gradients(gx.sum(inside), x)
except gx.GradientError as error:
    print("inside alone:", error.message)
