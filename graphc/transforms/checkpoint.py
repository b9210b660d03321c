"""checkpoint: memory for time, where the user says."""

from __future__ import annotations

from typing import Any

from graphc import nest
from graphc.array.control.tracing import closed_since
from graphc.array.convert import asarray
from graphc.array.handle import wrap
from graphc.errors import ArgumentError
from graphc.ir.graph import births
from graphc.ops import control as ops
from graphc.transforms.functions import named_after, remembered
from graphc.transforms.tracing import Compiled, Function, arguments_of, float_leaf, is_array_like, static_of, tracing


@remembered
def checkpoint(fn: Function) -> Function:
    """Return `fn` such that its derivative computes again what fn computed, instead of keeping it.

    Of a call, its arguments, what fn uses from outside, and its results are kept until the derivative is taken, and
    none of what lies between. Values and derivatives are the same to the last bit. fn takes and returns nests of
    Tensors; it may use Tensors and variables from outside, and checkpoints itself. Forward mode computes nothing again,
    as it keeps nothing. `exe.cost().arena_bytes` tells what was saved; `gx.Options(memory_budget=)` chooses by itself.

    >>> layer = gx.checkpoint(lambda w, x: gx.tanh(x @ w))
    >>> gx.grad(lambda w, x: gx.sum(layer(w, layer(w, x))))(np.eye(2), np.zeros((1, 2)))
    array([[0., 0.],
           [0., 0.]])
    """
    if not callable(fn):
        raise ArgumentError(f"checkpoint: takes a function, got {fn!r}")
    static = static_of("checkpoint", fn, None, None)

    def build(*args: Any, **kwargs: Any) -> Any:
        given = arguments_of("checkpoint", fn, args, kwargs, static)
        values = [asarray(float_leaf(a, given.arrays)).node for a in given.arrays]
        parameters = [ops.parameter(f"x{k}", v.tensor_type) for k, v in enumerate(values)]
        birth = births()
        own, named = given.rebuilt([wrap(p) for p in parameters])
        with tracing():
            returned = fn(*own, **named)
        leaves, structure = nest.flatten(returned)
        places = [k for k, leaf in enumerate(leaves) if is_array_like(leaf)]
        results = [asarray(leaves[k]).node for k in places]
        name = getattr(fn, "__name__", "function")
        (body,), outside = closed_since([(name if name.isidentifier() else "body", results)], parameters, birth)
        for k, found in zip(places, ops.checkpoint(body, [*values, *outside]), strict=True):
            leaves[k] = wrap(found)
        return structure.unflatten(leaves)

    return Compiled("checkpoint", fn, named_after(fn, build))
