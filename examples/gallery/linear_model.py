"""A linear model with binary cross-entropy: gradients by position, of a model's weights, with results besides the loss.

python examples/gallery/linear_model.py
"""

import numpy as np

import graphc as gx

x, y = np.ones(5, np.float32), np.zeros(3, np.float32)
rng = np.random.default_rng(0)
w, b = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)


def loss(x, y, w, b):
    return gx.nn.binary_cross_entropy_with_logits(x @ w + b, y)


dw, db = gx.grad(loss, argnums=(2, 3))(x, y, w, b)
print("gradient of b     ", db)
value, (dw_again, db_again) = gx.value_and_grad(loss, argnums=(2, 3))(x, y, w, b)
print("value             ", value, " the same gradients:", np.array_equal(dw, dw_again), np.array_equal(db, db_again))


# A second result that is added in changes the gradient; stop_gradient, or handing it on as aux, restores it.
def loss_and_logits(x, y, w, b):
    logits = x @ w + b
    return gx.nn.binary_cross_entropy_with_logits(logits, y), logits


def both(x, y, w, b):
    value, logits = loss_and_logits(x, y, w, b)
    return value + gx.sum(logits)


def stopped(x, y, w, b):
    value, logits = loss_and_logits(x, y, w, b)
    return value + gx.sum(gx.stop_gradient(logits))


print("logits added      ", gx.grad(both, argnums=3)(x, y, w, b))
print("stopped           ", gx.grad(stopped, argnums=3)(x, y, w, b))
db_aux, logits = gx.grad(loss_and_logits, argnums=3, has_aux=True)(x, y, w, b)
print("as aux            ", db_aux, " logits:", logits.shape)


# The same through a Module: the weights are its own.
class Net(gx.nn.Module):
    def __init__(self):
        self.w, self.b = gx.variable(w, name="w"), gx.variable(b, name="b")

    def forward(self, x):
        return x @ self.w + self.b


net = Net()
value, found = gx.value_and_grad(
    lambda x, y: gx.nn.binary_cross_entropy_with_logits(net(x), y), argnums=None, weights=net
)(x, y)
by_name = dict(zip([name for name, _ in net.named_parameters()], gx.nest.flatten(found)[0], strict=True))
print("of a Module       ", by_name["b"], " the same:", np.array_equal(by_name["w"], dw))
