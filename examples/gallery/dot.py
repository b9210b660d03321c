"""y = 2 * dot(x, x) and its gradient 4 * x.

python examples/gallery/dot.py
"""

import numpy as np

import graphc as gx

x = np.arange(4.0)


def y(x):
    return 2 * gx.vecdot(x, x)


value, gradient = gx.value_and_grad(y)(x)
print("y       ", value)
print("gradient", gradient)
