"""Convolution and pooling against plain loops, PyTorch where it is installed, and finite differences."""

import itertools

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.ir.graph import Graph
from tests.native import TARGETS, NativeGraph
from tests.running import apply, check_gradients, run

try:
    import torch
except ImportError:
    torch = None

RNG = np.random.default_rng(11)

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def pairs(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def convolved(x, w, bias, stride, padding, dilation, groups):
    """The definition, one element at a time; padding is a pair (before, after) for each axis."""
    (n, _, _, _), (outputs, own, kh, kw) = x.shape, w.shape
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    (sh, sw), (dh, dw) = stride, dilation
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((n, outputs, height, width))
    for b, o, i, j in np.ndindex(y.shape):
        first = o // (outputs // groups) * own
        seen = padded[b, first : first + own, i * sh : i * sh + dh * kh : dh, j * sw : j * sw + dw * kw : dw]
        y[b, o, i, j] = np.sum(seen[:, :kh, :kw] * w[o]) + (0 if bias is None else bias[o])
    return y


CASES = [
    # x, w, stride, padding, dilation, groups
    ((2, 3, 6, 7), (4, 3, 3, 2), 1, 0, 1, 1),
    ((1, 2, 5, 5), (3, 2, 3, 3), 1, 1, 1, 1),
    ((2, 2, 7, 8), (2, 2, 3, 3), 2, 1, 1, 1),
    ((1, 4, 9, 6), (2, 2, 2, 3), (1, 2), ((1, 0), (1, 2)), (2, 1), 2),
    ((2, 3, 4, 5), (6, 1, 3, 3), 1, 1, 1, 3),
    ((1, 2, 8, 8), (2, 2, 2, 2), 3, 0, 1, 1),
    ((2, 4, 6, 6), (6, 2, 1, 1), 2, 0, 1, 2),
    ((2, 4, 6, 6), (5, 4, 1, 1), 1, 0, 1, 1),
    ((1, 1, 3, 9), (2, 1, 1, 5), 1, (0, 2), 1, 1),
    ((1, 2, 3, 3), (2, 2, 3, 3), 1, 2, 1, 1),
    ((1, 1, 9, 9), (1, 1, 3, 3), 2, 3, 3, 1),
]


def inputs_of(case, dtype=np.float64):
    x, w = (RNG.normal(size=s).astype(dtype) for s in case[:2])
    return x, w, RNG.normal(size=case[1][0]).astype(dtype)


def widths(padding):
    height, width = pairs(padding)
    return pairs(height), pairs(width)


@pytest.mark.parametrize("case", CASES)
def test_conv2d_is_its_definition(case):
    x, w, bias = inputs_of(case)
    _, _, stride, padding, dilation, groups = case
    expected = convolved(x, w, bias, pairs(stride), widths(padding), pairs(dilation), groups)

    def function(a, b, c):
        return gx.nn.conv2d(a, b, c, stride, padding, dilation, groups)

    np.testing.assert_allclose(apply(function, x, w, bias), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gx.jit(function)(x, w, bias), expected, rtol=1e-12, atol=1e-12)
    check_gradients(function, x, w, bias)


@pytest.mark.parametrize("case", CASES[:5])
def test_conv2d_of_unknown_sizes(case):
    x, w, bias = inputs_of(case)
    _, _, stride, padding, dilation, groups = case
    images = gx.placeholder(("n", case[0][1], "h", "v"), "float64", name="x")
    y = gx.nn.conv2d(images, w, bias, stride, padding, dilation, groups)
    dx = gx.gradients(gx.sum(y * y), images)
    step = gx.compile([images], [y, dx])
    for array in (x, x[:1, :, 1:, :-1]):
        found, gradient = step(array)
        expected = convolved(array, w, bias, pairs(stride), widths(padding), pairs(dilation), groups)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert gradient.shape == array.shape


def test_second_derivatives():
    x, w, _ = inputs_of(CASES[2])
    check_gradients(lambda a, b: gx.nn.conv2d(a, b, stride=2, padding=1), x[:1], w, order=2, tolerance=1e-5)


def test_same_and_valid():
    x, w = RNG.normal(size=(1, 1, 5, 6)), RNG.normal(size=(1, 1, 4, 3))
    same = convolved(x, w, None, (1, 1), ((1, 2), (1, 1)), (1, 1), 1)
    np.testing.assert_allclose(apply(lambda a, b: gx.nn.conv2d(a, b, padding="same"), x, w), same)
    valid = convolved(x, w, None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    np.testing.assert_allclose(apply(lambda a, b: gx.nn.conv2d(a, b, padding="valid"), x, w), valid)


def test_conv1d():
    x, w, bias = RNG.normal(size=(2, 4, 20)), RNG.normal(size=(6, 2, 3)), RNG.normal(size=6)
    expected = convolved(x[:, :, None], w[:, :, None], bias, (1, 2), ((0, 0), (1, 2)), (1, 2), 2)[:, :, 0]
    found = apply(lambda a, b, c: gx.nn.conv1d(a, b, c, 2, (1, 2), 2, 2), x, w, bias)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert gx.nn.conv1d(gx.placeholder(("n", 3, 100)), gx.placeholder((8, 3, 5)), padding="same").shape[2] == 100


def test_integers_wrap():
    x, w = np.full((1, 1, 3, 3), 100, np.int8), np.full((1, 1, 2, 2), 3, np.int8)
    found = gx.jit(gx.nn.conv2d)(x, w)
    assert found.dtype == np.int8
    assert found.ravel().tolist() == [np.int64(1200).astype(np.int8)] * 4


# Large enough for whole tiles, tails, images on the stack and in arrays of their own, many groups, long sums.
LARGE = [
    ((2, 20, 17, 33), (26, 20, 3, 3), 1, 1, 1, 1),
    ((1, 3, 40, 41), (16, 3, 7, 7), 2, 3, 1, 1),
    ((20, 5, 9, 9), (7, 5, 3, 3), 1, 1, 1, 1),
    ((3, 8, 7, 7), (30, 8, 5, 5), 1, 2, 1, 1),
    ((2, 32, 20, 21), (32, 1, 3, 3), 1, 1, 1, 32),
    ((2, 16, 13, 13), (32, 1, 3, 3), 2, 1, 1, 16),
    ((17, 4, 12, 12), (6, 2, 4, 4), 3, 1, 1, 2),
    ((1, 2, 24, 24), (3, 2, 12, 3), 1, 0, 1, 1),
    ((1, 2, 30, 9), (3, 2, 2, 9), 5, 0, 1, 1),
    ((1, 40, 14, 14), (40, 40, 3, 3), 1, 2, 2, 1),
    ((3, 4, 20, 30), (6, 2, 18, 25), 1, 0, 1, 2),
    ((2, 3, 40, 42), (2, 3, 17, 19), (1, 2), (3, 2), (2, 1), 1),
    ((1, 1, 60, 60), (2, 1, 25, 25), 1, 0, 1, 1),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", LARGE)
def test_kernels_compute_the_reference(case, target):
    """Each of the three convolutions with an epilogue, in native code for several machines, against the reference."""
    arrays = inputs_of(case, np.float32)
    _, _, stride, padding, dilation, groups = case
    a, b, c = (gx.placeholder(v.shape, v.dtype, name=n) for n, v in zip(("x", "w", "bias"), arrays, strict=True))
    y = gx.nn.relu(gx.nn.conv2d(a, b, c, stride, padding, dilation, groups))
    outputs = [y, *[g * 2.0 for g in gx.gradients(gx.sum(y * y), [a, b, c])]]
    graph = Graph((a.node, b.node, c.node), tuple([o.node for o in outputs]))
    for found, expected in zip(NativeGraph(graph, TARGETS[target])(arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", range(7))
def test_pooling_computes_the_reference(case, target):
    shape, *arguments = POOLS[case]
    x = RNG.normal(size=shape).astype(np.float32)
    images = gx.placeholder(shape, name="x")
    y = gx.nn.max_pool2d(images, *arguments)
    graph = Graph((images.node,), (y.node, gx.gradients(gx.sum(y * y), images).node))
    for found, expected in zip(NativeGraph(graph, TARGETS[target])([x]), evaluate(graph, [x]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


# Pooling.

POOLS = [
    # x, kernel, stride, padding, dilation
    ((2, 3, 4, 6), 2, None, 0, 1),
    ((2, 3, 5, 7), 2, None, 0, 1),
    ((1, 2, 7, 7), 3, 2, 1, 1),
    ((2, 2, 6, 20), 3, 1, 1, 1),
    ((1, 2, 9, 9), (3, 2), (2, 1), (1, 0), (2, 3)),
    ((1, 1, 11, 11), 6, 5, 0, 1),
    ((3, 2, 7, 7), 7, None, 0, 1),
]


def windows_of(x, kernel, stride, padding, dilation, fill):
    """Yield each position of the result and the window there."""
    (kh, kw), (dh, dw) = pairs(kernel), pairs(dilation)
    sh, sw = pairs(kernel if stride is None else stride)
    ph, pw = pairs(padding)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    for i, j in itertools.product(range(height), range(width)):
        yield (i, j), padded[:, :, i * sh : i * sh + dh * (kh - 1) + 1 : dh, j * sw : j * sw + dw * (kw - 1) + 1 : dw]


def pooled(fold, x, *arguments, fill):
    found = {at: fold(window, axis=(2, 3)) for at, window in windows_of(x, *arguments, fill)}
    height, width = (max(k) + 1 for k in zip(*found, strict=True))
    return np.stack([np.stack([found[i, j] for j in range(width)], -1) for i in range(height)], 2)


@pytest.mark.parametrize("case", POOLS)
def test_max_pool2d_is_its_definition(case):
    shape, *arguments = case
    x = RNG.permutation(np.prod(shape)).reshape(shape) / np.prod(shape)
    expected = pooled(np.max, x, *arguments, fill=-np.inf)
    np.testing.assert_array_equal(apply(lambda a: gx.nn.max_pool2d(a, *arguments), x), expected)
    np.testing.assert_array_equal(gx.jit(lambda a: gx.nn.max_pool2d(a, *arguments))(x), expected)
    check_gradients(lambda a: gx.nn.max_pool2d(a, *arguments), x)


@pytest.mark.parametrize("case", [c for c in POOLS if c[4] == 1])
def test_avg_pool2d_is_its_definition(case):
    shape, *arguments, _ = case
    x = RNG.normal(size=shape)
    including = pooled(np.mean, x, *arguments, 1, fill=0)
    np.testing.assert_allclose(gx.jit(lambda a: gx.nn.avg_pool2d(a, *arguments))(x), including, rtol=1e-12, atol=1e-15)
    excluding = pooled(np.nanmean, x, *arguments, 1, fill=np.nan)
    found = gx.jit(lambda a: gx.nn.avg_pool2d(a, *arguments, count_include_pad=False))(x)
    np.testing.assert_allclose(found, excluding, rtol=1e-12, atol=1e-15)
    check_gradients(lambda a: gx.nn.avg_pool2d(a, *arguments, count_include_pad=False), x)


def test_the_first_of_several_gets_the_gradient():
    x = gx.placeholder((1, 1, 2, 4), "float64", name="x")
    (gradient,) = gx.gradients(gx.sum(gx.nn.max_pool2d(x, 2)), [x])
    value = np.array([[[[1.0, 3.0, 0.0, 0.0], [3.0, 2.0, 0.0, 0.0]]]])
    expected = [[0, 1, 1, 0], [0, 0, 0, 0]]
    assert run(gradient, {x: value})[0, 0].tolist() == expected
    assert gx.compile([x], gradient)(value)[0, 0].tolist() == expected


def test_pooling_of_nan_and_infinity():
    x = np.array([[[[np.nan, 1.0, -np.inf, -np.inf], [2.0, np.nan, -np.inf, -np.inf]]]])
    images = gx.placeholder(x.shape, "float64", name="x")
    y = gx.nn.max_pool2d(images, 2)
    found, gradient = gx.compile([images], [y, gx.gradients(gx.sum(y), images)])(x)
    np.testing.assert_array_equal(found.ravel(), [np.nan, -np.inf])
    assert gradient[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("padding", [0, 1])
def test_padding_is_below_every_number(padding):
    x = np.full((1, 1, 4, 4), -np.inf)
    images = gx.placeholder(x.shape, "float64", name="x")
    y = gx.nn.max_pool2d(images, 2, padding=padding)
    gradient = gx.compile([images], gx.gradients(gx.sum(y), images))(x)
    assert gradient.sum() == y.shape[2] * y.shape[3]


@needs_torch
@pytest.mark.parametrize("case", [*CASES, *LARGE])
def test_conv2d_is_that_of_torch(case):
    x, w, bias = inputs_of(case)
    _, _, stride, padding, dilation, groups = case
    before, after = zip(*widths(padding), strict=True)
    inputs = [torch.tensor(v, requires_grad=True) for v in (x, w, bias)]
    padded = torch.nn.functional.pad(inputs[0], (before[1], after[1], before[0], after[0]))
    y = torch.nn.functional.conv2d(padded, *inputs[1:], stride, 0, dilation, groups)
    (y * y).sum().backward()
    a, b, c = (gx.placeholder(v.shape, v.dtype, name=n) for n, v in (("x", x), ("w", w), ("bias", bias)))
    ours = gx.nn.conv2d(a, b, c, stride, padding, dilation, groups)
    found = gx.compile([a, b, c], [ours, *gx.gradients(gx.sum(ours * ours), [a, b, c])])(x, w, bias)
    for result, expected in zip(found, [y, *[i.grad for i in inputs]], strict=True):
        expected = expected.detach().numpy()
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@needs_torch
@pytest.mark.parametrize("case", POOLS)
def test_pooling_is_that_of_torch(case):
    shape, kernel, stride, padding, dilation = case
    x = RNG.integers(0, 4, shape).astype(np.float64)  # many ties
    images = gx.placeholder(shape, "float64", name="x")
    pairs_of_functions = [(gx.nn.max_pool2d, torch.nn.functional.max_pool2d, (kernel, stride, padding, dilation))]
    if dilation == 1:
        for counts in (True, False):
            arguments = (kernel, stride, padding)
            theirs = torch.nn.functional.avg_pool2d
            pairs_of_functions.append(
                (
                    lambda v, *a, c=counts: gx.nn.avg_pool2d(v, *a, count_include_pad=c),
                    lambda v, *a, c=counts, f=theirs: f(v, *a, count_include_pad=c),
                    arguments,
                )
            )
    for ours, theirs, arguments in pairs_of_functions:
        given = torch.tensor(x, requires_grad=True)
        y = theirs(given, *arguments)
        (y * y).sum().backward()
        result = ours(images, *arguments)
        found, gradient = gx.compile([images], [result, gx.gradients(gx.sum(result * result), images)])(x)
        np.testing.assert_allclose(found, y.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(gradient, given.grad.numpy(), rtol=1e-12, atol=1e-12)


BATCHED = {
    "images": lambda x, w: (lambda a: gx.nn.max_pool2d(gx.nn.conv2d(a, w[0], padding=1), 2), (x,)),
    "kernels": lambda x, w: (lambda b: gx.nn.conv2d(x[0], b, stride=2), (w,)),
    "both": lambda x, w: (lambda a, b: gx.nn.conv2d(a, b, padding=1), (x, w)),
    "gradients": lambda x, w: (
        gx.grad(lambda a, b: gx.sum(gx.nn.max_pool2d(gx.nn.conv2d(a, b, stride=2, padding=1), 2) ** 2), (0, 1)),
        (x, w),
    ),
    "gradients by one kernel": lambda x, w: (
        gx.grad(lambda a: gx.sum(gx.nn.conv2d(a, w[0]) ** 2)),
        (x,),
    ),
}


@pytest.mark.parametrize("name", BATCHED)
def test_batched(name):
    """vmap computes what one call for each element does, at once."""
    x, w = RNG.normal(size=(3, 2, 2, 9, 9)), RNG.normal(size=(3, 4, 2, 3, 3))
    function, arguments = BATCHED[name](x, w)
    found = gx.vmap(function)(*arguments)
    each = [function(*a) if "gradients" in name else gx.jit(function)(*a) for a in zip(*arguments, strict=True)]
    if name != "gradients":
        found, each = (found,), [(e,) for e in each]
    for k, result in enumerate(found):
        np.testing.assert_allclose(result, np.stack([e[k] for e in each]), rtol=1e-12, atol=1e-12)


# A training step.


def lenet(x, labels, parameters):
    """Two convolutions with pooling, two dense layers, cross-entropy."""
    w1, b1, w2, b2, w3, b3, w4, b4 = parameters
    h = gx.nn.max_pool2d(gx.nn.relu(gx.nn.conv2d(x, w1, b1, padding=2)), 2)
    h = gx.nn.max_pool2d(gx.nn.relu(gx.nn.conv2d(h, w2, b2)), 2)
    h = gx.reshape(h, (h.shape[0], -1))
    return gx.nn.cross_entropy(gx.nn.relu(h @ w3 + b3) @ w4 + b4, labels)


LENET = [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (400, 120), (120,), (120, 10), (10,)]


def lenet_data():
    rng = np.random.default_rng(0)
    values = [(rng.normal(size=s) * (2 / np.prod(s[1:] or s)) ** 0.5).astype(np.float32) for s in LENET]
    values = [v if v.ndim > 1 else v * 0 for v in values]
    return values, rng.normal(size=(4, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 4)


def test_lenet_learns_as_in_the_eager_backend():
    values, images, labels = lenet_data()
    losses = []
    for backend in ("llvm", "eager"):
        x = gx.placeholder(("batch", 1, 28, 28), name="x")
        y = gx.placeholder(("batch",), "int64", name="y")
        variables = [gx.variable(v, name=f"p{k}") for k, v in enumerate(values)]
        loss = lenet(x, y, variables)
        gradients = gx.gradients(loss, variables)
        updates = {v: v - 0.05 * g for v, g in zip(variables, gradients, strict=True)}
        step = gx.compile([x, y], loss, updates=updates, backend=backend)
        losses.append([float(step(images, labels)) for _ in range(6)])
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-4)


@needs_torch
def test_lenet_learns_as_in_torch():
    values, images, labels = lenet_data()
    x, y = gx.placeholder(images.shape, name="x"), gx.placeholder((4,), "int64", name="y")
    variables = [gx.variable(v, name=f"p{k}") for k, v in enumerate(values)]
    loss = lenet(x, y, variables)
    found = gx.compile([x, y], [loss, *gx.gradients(loss, variables)])(images, labels)
    functional = torch.nn.functional
    p = [torch.tensor(v, requires_grad=True) for v in values]
    h = functional.max_pool2d(torch.relu(functional.conv2d(torch.tensor(images), p[0], p[1], padding=2)), 2)
    h = functional.max_pool2d(torch.relu(functional.conv2d(h, p[2], p[3])), 2)
    logits = torch.relu(h.reshape(4, -1) @ p[4] + p[5]) @ p[6] + p[7]
    theirs = functional.cross_entropy(logits, torch.tensor(labels))
    theirs.backward()
    for result, expected in zip(found, [theirs.detach(), *[v.grad for v in p]], strict=True):
        np.testing.assert_allclose(result, expected.numpy(), rtol=0, atol=1e-5 * float(expected.abs().max()))


# Errors.

IMAGES = gx.placeholder((2, 4, 5, 6), name="images")

WRONG = {
    "conv2d: x must be": lambda: gx.nn.conv2d(gx.placeholder((4, 5, 6)), gx.placeholder((1, 4, 3, 3))),
    "conv2d: w must be": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((4, 3, 3))),
    "4 != 3 * 1": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((1, 3, 3, 3))),
    "groups must divide": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 2, 3, 3)), groups=2),
    "groups must be at least 1": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), groups=0),
    "spans 7 elements of the height": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 7, 3))),
    "stride must be at least 1": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), stride=0),
    "stride must be an int or a pair": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), stride=(1, 2, 3)),
    "padding must be at least 0": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), padding=-1),
    "padding must be ints": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), padding="full"),
    "'same' needs stride 1": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), stride=2, padding="same"),
    "bias must have one element": lambda: gx.nn.conv2d(IMAGES, gx.placeholder((3, 4, 3, 3)), gx.placeholder((4,))),
    "conv2d: takes numbers": lambda: gx.nn.conv2d(*[gx.placeholder((1, 1, 3, 3), "bool")] * 2),
    "at most half of the window": lambda: gx.nn.max_pool2d(IMAGES, 2, padding=2),
    "max_pool2d: a window spans": lambda: gx.nn.max_pool2d(IMAGES, 6),
    "max_pool2d: x must be": lambda: gx.nn.max_pool2d(gx.placeholder((5, 6)), 2),
    "kernel_size must be at least 1": lambda: gx.nn.avg_pool2d(IMAGES, 0),
}


@pytest.mark.parametrize("text", WRONG)
def test_errors_say_what_is_wrong(text):
    with pytest.raises(gx.GraphcError) as error:
        WRONG[text]()
    assert text in str(error.value)
    assert "test_convolution.py" in str(error.value)


def test_a_kernel_larger_than_an_image_of_unknown_size():
    x = gx.placeholder(("n", 1, "h", "h"), name="x")
    step = gx.compile([x], gx.nn.conv2d(x, np.ones((1, 1, 3, 3), np.float32)))
    assert step(np.ones((1, 1, 3, 3), np.float32)).shape == (1, 1, 1, 1)
    with pytest.raises(gx.GraphcError, match="larger than the padded input"):
        step(np.ones((1, 1, 2, 2), np.float32))
