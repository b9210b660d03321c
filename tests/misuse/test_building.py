"""Wrong programs: each line is an error that says what was wrong and where it was written."""

import linecache

import numpy as np
import pytest

import graphc as gx
from graphc import errors

NAMES = {
    "gx": gx,
    "np": np,
    "x": gx.placeholder((2, 3), name="x"),
    "y": gx.placeholder((4,), name="y"),
    "n": gx.placeholder(("n", 3), name="n"),
    "i": gx.placeholder((2,), "int64", name="i"),
    "p": gx.placeholder((2,), "bool", name="p"),
    "s": gx.placeholder((), name="s"),
    "v": gx.variable(np.zeros(3, np.float32), name="v"),
}

WRONG = [
    # shapes
    ("x + y", errors.ShapeError, "add: operands must have shapes that broadcast, got f32[2, 3] and f32[4]: 3 != 4"),
    ("n + gx.concat([n, x])", errors.ShapeError, "add: operands must have shapes that broadcast"),
    ("gx.where(p, x, y)", errors.ShapeError, "where: operands must have shapes that broadcast"),
    (
        "x @ y",
        errors.ShapeError,
        "matmul: the last dimension of a (f32[2, 3]) must equal the last dimension of b (f32[4]): 3 != 4",
    ),
    (
        "gx.placeholder((60, 784)) @ gx.placeholder((783, 64))",
        errors.ShapeError,
        "matmul: the last dimension of a (f32[60, 784]) must equal the second-to-last of b (f32[783, 64]): 784 != 783",
    ),
    ("x @ 2.0", errors.ShapeError, "matmul: operands must have rank 1 or more"),
    ("gx.ones((2, 4, 3)) @ gx.ones((5, 3, 2))", errors.ShapeError, "matmul: operands must have one size for"),
    ("gx.einsum('ij,jk', x, x)", errors.ShapeError, "einsum: operands must have one size for 'j'"),
    ("gx.einsum('ijk', x)", errors.ShapeError, "einsum: 'ijk' of 'ijk' does not fit the rank of f32[2, 3]"),
    ("gx.einsum('ij,jk', x)", errors.ArgumentError, "einsum: 'ij,jk' is for 2 operands, got 1"),
    ("gx.einsum('ij->k', x)", errors.ArgumentError, "'k' is in no operand"),
    ("gx.einsum('i1', x)", errors.ArgumentError, "einsum: labels are letters"),
    (
        "gx.tensordot(x, y, axes=1)",
        errors.ShapeError,
        "tensordot: axis 1 of a (f32[2, 3]) must equal axis 0 of b (f32[4]): 3 != 4",
    ),
    ("gx.tensordot(x, y, axes=3)", errors.ArgumentError, "tensordot: axes must be at most the rank"),
    ("x.reshape(4, 2)", errors.ShapeError, "reshape: f32[2, 3] has 6 elements, shape (4, 2) has 8"),
    ("x.reshape(4, -1)", errors.ShapeError, "reshape: f32[2, 3] has 6 elements, which 4 does not divide"),
    ("x.reshape(-1, -1)", errors.ArgumentError, "only one dimension can be -1"),
    ("x.reshape('n', 3)", errors.ArgumentError, "reshape: shape takes ints"),
    ("x.reshape(-2, 3)", errors.ArgumentError, "a dimension must not be negative"),
    ("gx.squeeze(x, axis=0)", errors.ShapeError, "squeeze: axis 0 of f32[2, 3] must have size 1, got 2"),
    ("gx.broadcast_to(x, (2, 4))", errors.ShapeError, "broadcast_to: f32[2, 3] does not broadcast to shape (2, 4)"),
    ("gx.concat([x, y])", errors.ShapeError, "concat: arrays must have one shape but for axis 0"),
    ("gx.stack([x, n[:, 0]])", errors.ShapeError, "stack: arrays must have one shape"),
    ("gx.concat([])", errors.ArgumentError, "concat: takes a list or tuple of at least one array"),
    ("gx.split(x, 2, axis=1)", errors.ShapeError, "split: axis 1 of f32[2, 3] must be divisible by 2"),
    ("gx.unstack(n)", errors.ShapeError, "unstack: axis 0 of f32[n, 3] must have a known size"),
    ("gx.matrix_transpose(y)", errors.ShapeError, "matrix_transpose: takes rank 2 or more"),
    ("gx.tril(y)", errors.ShapeError, "tril: takes rank 2 or more"),
    ("gx.max(gx.zeros((0, 2)))", errors.ShapeError, "max: axis 0 of f64[0, 2] has size 0"),
    ("gx.asarray([x, y])", errors.ShapeError, "asarray"),
    # axes and arguments
    ("x.sum(axis=2)", errors.ArgumentError, "sum: axis must be in [-2, 2), got 2"),
    ("x.sum(axis=(0, -2))", errors.ArgumentError, "sum: an axis must be given once, got (0, -2)"),
    ("x.sum(axis='rows')", errors.ArgumentError, "sum: an axis is an int, got 'rows' (str)"),
    ("s.argmax(axis=0)", errors.ArgumentError, "argmax: axis must be absent for rank 0"),
    ("gx.permute_dims(x, (0,))", errors.ArgumentError, "permute_dims: axes must name each of the 2 axes"),
    ("gx.repeat(x, -1)", errors.ArgumentError, "repeat: repeats must be at least 0, got -1"),
    ("gx.repeat(x, [1, 2])", errors.ShapeError, "repeat: repeats must be one number or as many as axis 0 of f32[6]"),
    ("gx.pad(x, (1, 2, 3))", errors.ArgumentError, "pad: pad_width"),
    ("gx.pad(x, 1, mode='mirror')", errors.ArgumentError, "pad: mode must be 'constant', 'edge'"),
    ("gx.pad(i, 1, constant_values=0.5)", errors.DTypeError, "pad: 0.5 is not a int64"),
    ("gx.arange(x)", errors.ArgumentError, "arange: takes known numbers and sizes"),
    ("gx.meshgrid(x)", errors.ShapeError, "meshgrid: takes vectors"),
    ("gx.full((2,), x)", errors.ShapeError, "full: f32[2, 3] does not broadcast to shape (2,)"),
    ("gx.one_hot(x, 3)", errors.DTypeError, "one_hot: takes integers, got f32[2, 3]"),
    # dtypes
    ("gx.placeholder((2,), 'float16')", errors.DTypeError, "float16 comes in a later version"),
    ("gx.placeholder((2,), 'complex64')", errors.DTypeError, "complex64 comes in a later version"),
    ("gx.placeholder((2,), 'nonsense')", errors.DTypeError, "'nonsense' is not a dtype"),
    ("x + 1j", errors.DTypeError, "complex128 comes in a later version"),
    ("x + np.float16(1)", errors.DTypeError, "float16 comes in a later version"),
    ("x.astype('datetime64[s]')", errors.DTypeError, "is not a tensor dtype"),
    ("p - p", errors.DTypeError, "subtract: takes numbers, got bool[2] and bool[2]"),
    ("-p", errors.DTypeError, "negative: takes numbers, got bool[2]"),
    ("x & 1", errors.DTypeError, "bitwise_and: takes integers and bools"),
    ("~x", errors.DTypeError, "bitwise_invert: takes integers and bools"),
    ("x << 1", errors.DTypeError, "bitwise_left_shift: takes integers"),
    ("i ** [-2]", errors.ArgumentError, "pow: an integer to a negative integer power"),
    ("i ** -1", errors.ArgumentError, "pow: an integer to a negative integer power"),
    ("i.astype('int8') + 300", errors.DTypeError, "add: 300 does not fit int8"),
    ("p @ p", errors.DTypeError, "matmul: takes numbers"),
    ("gx.mean(x, dtype='int32')", errors.DTypeError, "mean: dtype must be floating-point"),
    ("gx.asarray([300], dtype='int8')", errors.DTypeError, "asarray: 300 does not fit int8"),
    ("gx.constant(2**70)", errors.DTypeError, "object is not a tensor dtype"),
    # foreign objects
    ("x + 'a'", errors.ArgumentError, "add: takes tensors, arrays, numbers and sequences of them, got 'a' (str)"),
    (
        "x + None",
        errors.ArgumentError,
        "add: takes tensors, arrays, numbers and sequences of them, got None (NoneType)",
    ),
    ("gx.exp(object)", errors.ArgumentError, "exp: takes tensors"),
    ("gx.asarray([[1], [1, 2]])", errors.ArgumentError, "asarray"),
    ("gx.asarray({'a': 1})", errors.ArgumentError, "asarray: takes tensors"),
    ("gx.constant(x)", errors.SymbolicValueError, "constant: the value of x, f32[2, 3], is not known before a call"),
    ("gx.variable(x)", errors.SymbolicValueError, "variable: the value of x"),
    # indexing
    ("x[2]", errors.OutOfBoundsError, "index 2 is out of bounds for an axis of size 2: must be in [-2, 2), at axis 0"),
    ("x[0, 0, 0]", errors.OutOfBoundsError, "index: f32[2, 3] has 2 axes, got 3 indices"),
    ("x[[0, 5]]", errors.OutOfBoundsError, "index 5 is out of bounds for an axis of size 2: must be in [-2, 2), at ax"),
    (
        "x[x]",
        errors.ArgumentError,
        "index: an index is made of ints, slices, integer arrays, masks, ... and None, got f32[2, 3]",
    ),
    ("x[x[0] > 0]", errors.ShapeError, "index: a mask must have the sizes of the axes that it covers, bool[3]"),
    ("x[[True, False, True]]", errors.ShapeError, "axes 0 to 0 of f32[2, 3]: 3 != 2 at axis 0"),
    ("x[x > 0, 0]", errors.OutOfBoundsError, "index: f32[2, 3] has 2 axes, got 3 indices"),
    ("x.at[x > 0].set(np.ones((2, 2)))", errors.ShapeError, "values must broadcast to"),
    ("gx.map(lambda row: gx.sum(row[row > 0]), x)", errors.ArgumentError, "cannot have a size that its own data tell"),
    (
        "gx.compile([gx.placeholder(x[x > 0].shape)], x)",
        errors.ArgumentError,
        "a call finds this size, so it cannot be that of an input",
    ),
    ("gx.nonzero(s)", errors.ShapeError, "nonzero: takes an array of rank 1 or more"),
    ("gx.nonzero(x, size=-1)", errors.ArgumentError, "nonzero: size must be at least 0"),
    ("x[[0, 1], [0, 1, 2]]", errors.ShapeError, "index: operands must have shapes that broadcast"),
    (
        "x[1.5]",
        errors.ArgumentError,
        "index: an index is made of ints, slices, integer arrays, masks, ... and None, got 1.5",
    ),
    ("x.at[[0, 1]].set(gx.ones((3, 3)))", errors.ShapeError, "at[...].set: operands must have shapes that broadcast"),
    ("x.at[0].set(gx.ones((2, 3)))", errors.ShapeError, "at[...].set: values must broadcast to f32[3], got f64[2, 3]"),
    ("i.at[[0]].add(0.5)", errors.DTypeError, "at[...].add: values must have a dtype that casts to that of i64"),
    ("p.at[[0]].add(True)", errors.DTypeError, "at[...].add: does not take bools"),
    ("gx.take(x, [0.5], axis=0)", errors.DTypeError, "take: indices must be integers, got f64[1]"),
    ("gx.take(x, [0], axis=2)", errors.ArgumentError, "take: axis must be in [-2, 2), got 2"),
    ("gx.take_along_axis(x, [0])", errors.ShapeError, "take_along_axis: x and indices must have one rank"),
    ("x['a']", errors.ArgumentError, "index: an index is made of ints"),
    ("x[..., ...]", errors.ArgumentError, "'...' can stand only once"),
    ("x[::0]", errors.ArgumentError, "the step of a slice must not be 0"),
    ("x[s:]", errors.ArgumentError, "gx.dynamic_slice"),
    ("x.__setitem__(0, 1)", errors.SymbolicValueError, "a Tensor is immutable"),
    # values that are not known yet
    ("bool(x > 0)", errors.SymbolicValueError, "use gx.where"),
    ("1 if s > 0 else 2", errors.SymbolicValueError, "is not known before a call"),
    ("0 < s < 1", errors.SymbolicValueError, "is not known before a call"),
    ("s in [1, 2]", errors.SymbolicValueError, "is not known before a call"),
    ("1 in x", errors.SymbolicValueError, "use gx.any(x == value)"),
    ("float(s)", errors.SymbolicValueError, "float: the value of s, f32[], is not known before a call"),
    ("int(s)", errors.SymbolicValueError, "int: the value"),
    ("complex(s)", errors.SymbolicValueError, "complex"),
    ("range(s)", errors.SymbolicValueError, "index: the value"),
    ("[1, 2][s]", errors.SymbolicValueError, "index: the value"),
    ("s.item()", errors.SymbolicValueError, "item: the value"),
    ("np.asarray(x)", errors.SymbolicValueError, "asarray: the value"),
    ("list(n)", errors.SymbolicValueError, "use gx.scan"),
    ("len(n)", errors.SymbolicValueError, "use x.shape[0]"),
    ("len(s)", errors.ShapeError, "len: takes rank 1 or more"),
    ("iter(s)", errors.ShapeError, "iter: takes rank 1 or more"),
    ("range(n.shape[0])", errors.SymbolicValueError, "the size n is not known before the call"),
    # NumPy
    ("np.linalg.svd(x)", errors.ArgumentError, "np.linalg.svd: comes in a later version"),
    ("np.isnat(x)", errors.ArgumentError, "np.isnat: there is no such function on a Tensor"),
    ("np.add.reduceat(x, [0])", errors.ArgumentError, "np.add.reduceat: there is no such function"),
    ("np.add(x, 1, out=np.zeros((2, 3)))", errors.ArgumentError, "np.add: on a Tensor"),
    ("np.sum(x, out=np.zeros(()))", errors.ArgumentError, "np.sum: on a Tensor it is gx.sum"),
    # leaves
    ("gx.placeholder((2,), name='a b')", errors.ArgumentError, "placeholder: name must be a Python identifier"),
    ("gx.placeholder((2,), name=3)", errors.ArgumentError, "placeholder: name must be a Python identifier"),
    ("gx.placeholder((-1,))", errors.ArgumentError, "a dimension must not be negative"),
    ("gx.placeholder(('1n',))", errors.ArgumentError, "cannot name a dimension"),
    ("gx.placeholder((2.5,))", errors.ArgumentError, "a dimension is an int, a name or None"),
    ("gx.variable([1.0], name='')", errors.ArgumentError, "variable: name must be a Python identifier"),
    ("v.assign(np.zeros(4, np.float32))", errors.ShapeError, "assign: v takes f32[3], got shape (4,)"),
    ("v.assign(np.zeros(3))", errors.DTypeError, "assign: v takes f32[3], got float64, which does not cast safely"),
    ("v.assign(v + s)", errors.SymbolicValueError, "assign: the value of this f32[3] depends on s, which is not known"),
    # derivatives
    ("gx.gradients(x, x)", errors.GradientError, "gradients: y must be a scalar, got f32[2, 3]"),
    ("gx.gradients(gx.sum(x), y)", errors.GradientError, "y does not depend on <Tensor y: f32[4]>"),
    ("gx.gradients(gx.sum(i), i)", errors.GradientError, "gradients: y must be floating-point"),
    ("gx.gradients(gx.sum(x) + gx.sum(i), i)", errors.GradientError, "gradients: wrt must be floating-point"),
    ("gx.gradients(x, x, y)", errors.ShapeError, "gradients: the cotangent must have the shape of f32[2, 3]"),
    (
        "gx.gradients(x, x, y)",
        errors.ShapeError,
        "the cotangent must have the shape of f32[2, 3], got f32[4]; reshape or broadcast_to it",
    ),
    (
        "gx.gradients(gx.sum(gx.argmax(x) * 1.0), x)",
        errors.GradientError,
        "y does not depend on <Tensor x: f32[2, 3]> through differentiable values: eq cuts it off (at <the user's pro",
    ),
    (
        "gx.gradients(gx.sum(gx.stop_gradient(x) * 2), x)",
        errors.GradientError,
        "through differentiable values: stop_gradient cuts it off (at <the user's program>:3: gx.gradients(gx.sum(gx.s",
    ),
    (
        "gx.gradients(gx.sum(gx.astype(x, 'int32') * 1.0), x)",
        errors.GradientError,
        "through differentiable values: cast cuts it off (at <the user's program>:3: ",
    ),
    ("gx.grad(lambda x, y: x * y)(x=1.0, y=2.0)", errors.ArgumentError, "what is given by keyword is not differentiat"),
    ("gx.vjp(lambda x: x * x, x)[1](y)", errors.ShapeError, "vjp: cotangents[0] must have the shape of f32[2, 3], got"),
    (
        "gx.jvp(lambda x: x * x, (x,), (y,))",
        errors.ShapeError,
        "jvp: tangents[0] must have the shape of f32[2, 3], got",
    ),
    ("gx.hvp(lambda x: x * x, x, x)", errors.GradientError, "hvp: the function must return a scalar, got f32[2, 3]"),
    ("gx.gradients(x, x, np.ones((2, 3)))", errors.DTypeError, "gradients: the cotangent must have the dtype"),
    ("gx.gradients(3.0, x)", errors.ArgumentError, "gradients: y must be a Tensor, got 3.0 (float)"),
    ("gx.gradients(gx.sum(x), 'x')", errors.ArgumentError, "gradients: wrt must be a Tensor or a list"),
    ("gx.gradients(gx.sum(x), [x, 1])", errors.ArgumentError, "gradients: wrt must be a Tensor, got 1 (int)"),
    ("gx.gradients(gx.sum(x), x, unconnected='none')", errors.ArgumentError, "unconnected must be 'raise' or 'zero'"),
    ("gx.pullback([x], x, x)", errors.ArgumentError, "pullback: cotangents must have the structure of ys, [*], got *"),
    ("gx.pushforward(x, {'a': x}, {'a': y})", errors.ShapeError, "pushforward: tangents['a'] must have the shape"),
    ("gx.pushforward(x, i, i)", errors.GradientError, "pushforward: xs must be floating-point"),
    # scan
    ("gx.scan(lambda c, _: (c, c), 0.0)", errors.ArgumentError, "scan: without xs, length must say"),
    ("gx.scan(lambda c, a: c, 0.0, x)", errors.ArgumentError, "scan: the body must return (carry, y)"),
    (
        "gx.scan(lambda c, a: ((c, c), a), 0.0, x)",
        errors.ArgumentError,
        "scan: the body must return a carry of the structure *",
    ),
    (
        "gx.scan(lambda c, a: ({'h': c['h'][:2], 'k': c['k']}, a), {'h': y, 'k': s}, x)",
        errors.ShapeError,
        "scan: carry['h'] must be f32[4] in every step, the body returned f32[2]",
    ),
    (
        "gx.scan(lambda c, a: (c.astype('int32'), a), s, x)",
        errors.DTypeError,
        "scan: carry must be f32[] in every step",
    ),
    ("gx.scan(lambda c, a: (c, a), 0.0, s)", errors.ShapeError, "scan: xs must have a leading axis"),
    ("gx.scan(lambda c, a: (c, a), 0.0, {'a': x, 'b': y})", errors.ShapeError, "the leading size of xs['b'] must be 2"),
    ("gx.scan(lambda c, a: (c, a), 0.0, x, length=3)", errors.ShapeError, "the leading size of xs must be 3"),
    ("gx.scan(lambda c, a: (c, a), 0.0, length=-1)", errors.ArgumentError, "length must not be negative"),
    ("gx.scan(lambda c, a: (c, 'a'), 0.0, x)", errors.ArgumentError, "scan: takes tensors"),
    (
        "gx.fori_loop(0, 3, lambda k, c: c[0], y)",
        errors.ShapeError,
        "fori_loop: carry must be f32[4] in every step, the",
    ),
    ("gx.map(gx.sin, 1.0)", errors.ShapeError, "map: xs must have a leading axis to step along, got f64[]"),
    ("gx.vmap(lambda x: 'a')(x)", errors.ArgumentError, "vmap: takes tensors"),
    (
        "gx.while_loop(lambda c: c, lambda c: c, x)",
        errors.DTypeError,
        "while_loop: what cond_fn returns must be a bool",
    ),
    (
        "gx.while_loop(lambda c: c < 3, lambda c: x, s)",
        errors.ShapeError,
        "while_loop: carry must be f32[] in every ste",
    ),
    # cond
    ("gx.cond(s, gx.sin, gx.cos, x)", errors.DTypeError, "cond: pred must be a bool, got f32[]; compare, or use"),
    (
        "gx.cond(s > 0, lambda x: x, lambda x: x[0], x)",
        errors.ShapeError,
        "cond: both functions must return the same, but result is f32[2, 3] of true_fn, f32[3] of false_fn; broadcast_",
    ),
    (
        "gx.cond(s > 0, lambda x: {'a': x}, lambda x: {'a': x.astype('float64')}, x)",
        errors.DTypeError,
        "result['a'] is f32[2, 3] of true_fn, f64[2, 3] of false_fn; cast one with astype",
    ),
    (
        "gx.cond(s > 0, lambda x: (x, x), lambda x: x, x)",
        errors.ArgumentError,
        "both functions must return one structure",
    ),
    # neural networks
    (
        "gx.nn.cross_entropy(x, y)",
        errors.DTypeError,
        "cross_entropy: labels must be integers or have the rank of logits",
    ),
    ("gx.nn.cross_entropy(x.T, i)", errors.ShapeError, "cross_entropy: labels must have the shape of logits f32[3, 2]"),
    ("gx.nn.cross_entropy(x, x[:1])", errors.ShapeError, "cross_entropy: labels must have the shape of logits"),
    ("gx.nn.cross_entropy(x, i, 'max')", errors.ArgumentError, "reduction must be 'mean', 'sum' or 'none', got 'max'"),
    ("gx.nn.cross_entropy(s, s)", errors.ShapeError, "cross_entropy: logits must have rank 1 or more"),
    ("gx.nn.softmax(x, axis=2)", errors.ArgumentError, "softmax: axis must be in [-2, 2), got 2"),
    ("gx.nn.softmax(s)", errors.ShapeError, "softmax: takes rank 1 or more"),
    ("gx.nn.mse_loss(x, y)", errors.ShapeError, "mse_loss: targets must have the shape of predictions f32[2, 3]"),
    ("gx.nn.layer_norm(x, 4)", errors.ShapeError, "layer_norm: normalized_shape (4,) must be that of the last axes"),
    ("gx.nn.layer_norm(x, 3, weight=y)", errors.ShapeError, "layer_norm: weight must have the shape"),
    ("gx.nn.gelu(x, approximate='erf')", errors.ArgumentError, "gelu: approximate must be 'none' or 'tanh'"),
    (
        "gx.nn.scaled_dot_product_attention(y, x, x)",
        errors.ShapeError,
        "takes rank 2 or more",
    ),
    (
        "gx.nn.scaled_dot_product_attention(x, x, x, dropout_p=0.5)",
        errors.ArgumentError,
        "dropout_p needs a dropout_key",
    ),
    (
        "gx.vmap(lambda a: 2 * a, out_axes=None)(x)",
        errors.ArgumentError,
        "vmap: a result with None in out_axes must be the same for all",
    ),
    ("gx.grad(gx.sum, argnums=1.5)(x)", errors.ArgumentError, "grad: argnums must be an int or ints, got 1.5"),
]


@pytest.mark.parametrize(("code", "error", "text"), WRONG, ids=[w[0] for w in WRONG])
def test_wrong_program(code, error, text):
    source = f"first = None\nsecond = (\n    {code}\n)\n"
    file = "<the user's program>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    with pytest.raises(error) as raised:
        exec(compile(source, file, "exec"), dict(NAMES))
    assert text in raised.value.message
    assert raised.value.location == errors.Location(file, 3)
    assert str(raised.value).endswith(f"\n  at {file}:3: {code}")


def test_every_error_is_of_the_base_class_and_of_a_builtin():
    for error, builtin in (
        (errors.ShapeError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.OutOfBoundsError, IndexError),
    ):
        assert issubclass(error, gx.GraphcError)
        assert issubclass(error, builtin)


def test_errors_of_a_call_name_the_line_that_built_the_node():
    labels = gx.placeholder((2,), "int64")
    y = gx.one_hot(labels, 3)  # the line
    assert y.node.location.file == __file__
    assert linecache.getline(__file__, y.node.location.line).endswith("# the line\n")
