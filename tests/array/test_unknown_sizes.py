"""Sizes that contradict each other: told while building where they are known, else by the call, with both sizes."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import placeholder, toposort

NAMES = {
    "gx": gx,
    "a": gx.placeholder(("n", 3), name="a"),
    "b": gx.placeholder(("n",), name="b"),
    "b2": gx.placeholder(("n",), name="b2"),
    "c": gx.placeholder(("m",), name="c"),
    "d": gx.placeholder((None, 4), name="d"),
    "e": gx.placeholder(("n", "m"), name="e"),
    "k": gx.placeholder(("k", "m"), name="k"),
    "i": gx.placeholder(("m",), "int64", name="i"),
    "p": gx.placeholder(("m",), "bool", name="p"),
}
HERE = "here n = 4 (input b, axis 0), m = 5 (input c, axis 0)"

AT_THE_CALL = [
    # program, shapes of inputs, error, parts of its text
    ("b + c", {"b": (4,), "c": (5,)}, gx.ShapeError, ("add", "4 != 5", HERE)),
    ("b + c", {"b": (4,), "c": (1,)}, gx.ShapeError, ("add", "4 != 1", "m = 1 (input c, axis 0)")),
    ("b + b2", {"b": (4,), "b2": (5,)}, gx.InputError, ("dimension 'n' is 4 in input b", "5 in input b2")),
    ("gx.where(p, b, c)", {"p": (5,), "b": (4,), "c": (5,)}, gx.ShapeError, ("where", "n = 4 (input b, axis 0)")),
    ("gx.stack([b, c])", {"b": (4,), "c": (5,)}, gx.ShapeError, (HERE,)),
    ("gx.concat([e, d])", {"e": (2, 3), "d": (2, 4)}, gx.ShapeError, ("concat", "m = 3 (input e, axis 1)")),
    ("k @ a", {"k": (2, 5), "a": (4, 3)}, gx.ShapeError, ("is 5", "4 in f32[4, 3]", "n = 4 (input a, axis 0)")),
    ("gx.vecdot(b, c)", {"b": (4,), "c": (5,)}, gx.ShapeError, (HERE,)),
    ("gx.einsum('ij,j->i', e, b)", {"e": (4, 5), "b": (4,)}, gx.ShapeError, ("'j'", "m = 5 (input e, axis 1)")),
    ("gx.einsum('ii->i', e)", {"e": (4, 5)}, gx.ShapeError, ("n = 4 (input e, axis 0), m = 5 (input e, axis 1)",)),
    ("gx.reshape(b, (2, 3))", {"b": (7,)}, gx.ShapeError, ("f32[7] has 7 elements, shape (2, 3) has 6", "n = 7")),
    ("gx.reshape(b, (-1, 4))", {"b": (6,)}, gx.ShapeError, ("reshape", "n = 6 (input b, axis 0)")),
    ("gx.squeeze(d, 0)", {"d": (2, 4)}, gx.ShapeError, ("reshape", "(input d, axis 0)")),
    ("gx.broadcast_to(b, (5,))", {"b": (4,)}, gx.ShapeError, ("f32[4] does not fit", "n = 4 (input b, axis 0)")),
    (
        "gx.broadcast_to(e, k.shape)",
        {"e": (2, 3), "k": (4, 3)},
        gx.ShapeError,
        ("f32[2, 3]", "k = 4 (input k, axis 0)"),
    ),
    ("gx.broadcast_to(b, c.shape)", {"b": (4,), "c": (5,)}, gx.ShapeError, (HERE,)),
    ("gx.tile(b, 2) + c", {"b": (4,), "c": (5,)}, gx.ShapeError, ("8 != 5", HERE)),
    ("b[p]", {"b": (4,), "p": (5,)}, gx.ShapeError, ("n = 4 (input b, axis 0), m = 5 (input p, axis 0)",)),
    ("b[5]", {"b": (4,)}, gx.OutOfBoundsError, ("element 5", "size 4")),
    ("b[c.shape[0]]", {"b": (4,), "c": (5,)}, gx.OutOfBoundsError, ("element 5", "size 4")),
    ("b.at[i].add(b2)", {"b": (4,), "b2": (4,), "i": (5,)}, gx.ShapeError, ("m = 5 (input i, axis 0)",)),
    ("gx.zeros((b.shape[0] - 5,)) + gx.sum(b)", {"b": (4,)}, gx.ShapeError, ("must not be negative", "n = 4")),
    ("gx.max(b)", {"b": (0,)}, gx.ShapeError, ("max: an axis of size 0", "n = 0 (input b, axis 0)")),
    ("gx.vmap(lambda x, y: x + y)(b, c)", {"b": (4,), "c": (5,)}, gx.ShapeError, (HERE,)),
    ("gx.nn.mse_loss(b, c)", {"b": (4,), "c": (5,)}, gx.ShapeError, (HERE,)),
]


def inputs_of(output: gx.Tensor, shapes: dict[str, tuple[int, ...]]) -> list[gx.Tensor]:
    used = {n.attrs["name"] for n in toposort([output.node]) if n.op is placeholder}
    return [NAMES[name] for name in {**dict.fromkeys(shapes), **dict.fromkeys(sorted(used))}]


@pytest.mark.parametrize(("program", "shapes", "kind", "parts"), AT_THE_CALL, ids=[p for p, *_ in AT_THE_CALL])
@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_what_the_call_tells(program: str, shapes: dict[str, tuple[int, ...]], kind: type, parts: tuple[str], backend):
    output = eval(program, dict(NAMES))
    run = gx.compile(inputs_of(output, shapes), output, backend=backend)
    feeds = {name: np.ones(shape, NAMES[name].dtype) for name, shape in shapes.items()}
    with pytest.raises(kind) as raised:
        run(**feeds)
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("a + gx.ones((4, 2))", "add: operands must have shapes that broadcast, got f64[n, 3] and f64[4, 2]: 3 != 2"),
        ("a @ gx.ones((4, 5))", "must equal the second-to-last of b (f64[4, 5]): 3 != 4"),
        ("gx.concat([a, d])", "concat: arrays must have one shape but for axis 0, got f32[n, 3] and f32["),
        ("gx.reshape(b, (0, -1))", "reshape: -1 has no value where the other sizes have product 0, got f32[n]"),
        ("gx.broadcast_to(a, (2, 4))", "broadcast_to: f32[n, 3] does not broadcast to shape (2, 4)"),
        ("gx.split(b, 2)", "split: axis 0 of f32[n] must have a known size"),
        ("gx.nn.layer_norm(a, 4)", "layer_norm"),
    ],
)
def test_what_building_tells(program: str, text: str):
    with pytest.raises(gx.ShapeError) as raised:
        eval(program, dict(NAMES))
    assert text in str(raised.value)


def test_repeating_to_a_size_that_is_checked_has_a_gradient():
    b, c = NAMES["b"], NAMES["c"]
    slope = gx.gradients(gx.sum(gx.broadcast_to(b, c.shape) * c), b)
    run = gx.compile([b, c], slope)
    np.testing.assert_array_equal(run([1, 2, 3], [4, 5, 6]), [4, 5, 6])
    with pytest.raises(gx.ShapeError):
        run([1, 2, 3], [4, 5])
