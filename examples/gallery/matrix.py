"""A cotangent for a result that is no scalar: (eye + 1)**2, backward once, twice with accumulation, and after zeroing.

python examples/gallery/matrix.py
"""

import numpy as np

import graphc as gx

x = gx.placeholder((5, 5), "float64", name="x")
grad = gx.variable(np.zeros((5, 5)), name="grad")
y = (x + 1) ** 2

# The gradient is added to what is there already, as some frameworks do by themselves.
backward = gx.compile([x], [], updates={grad: grad + gx.gradients(y, x, np.ones((5, 5)))})
for title in ("once", "twice"):
    backward(np.eye(5))
    print(f"{title:6} diagonal {grad.value[0, 0]}, off the diagonal {grad.value[0, 1]}")
grad.assign(np.zeros((5, 5)))
backward(np.eye(5))
print(f"zeroed diagonal {grad.value[0, 0]}, off the diagonal {grad.value[0, 1]}")
