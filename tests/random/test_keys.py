"""Keys and bits: the published answers of Philox on every target, and what keys promise."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.eager import evaluate
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.graph import Graph, placeholder
from graphc.ir.loop_text import program_text
from graphc.ir.types import TensorType
from graphc.ops.random import elements_of_block, philox, philox_words, random_bits
from tests.machine import MACHINE
from tests.native import TARGETS, LoweredGraph, NativeGraph

U32, U64 = np.dtype(np.uint32), np.dtype(np.uint64)

# Counter, key and block, from the file kat_vectors of Random123.
ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> np.ndarray:
    return np.array([int(word, 16) for word in text.split()], np.uint32)


COUNTERS, KEYS, BLOCKS = (np.stack([words(row[k]) for row in ANSWERS]) for k in range(3))


def test_known_answers_of_the_reference():
    found = philox(COUNTERS.T, KEYS.T)
    np.testing.assert_array_equal(np.stack(found, axis=-1), BLOCKS)


@pytest.mark.parametrize("target", TARGETS)
def test_known_answers_natively(target):
    inputs = [placeholder(name=f"w{k}", type=TensorType(U32, (3,))) for k in range(6)]
    graph = Graph(tuple(inputs), tuple([op(*inputs) for op in philox_words]))
    found = NativeGraph(graph, TARGETS[target])([*COUNTERS.T, *KEYS.T])
    np.testing.assert_array_equal(np.stack(found, axis=-1), BLOCKS)


@pytest.mark.parametrize("backend", ["llvm", "eager"])
def test_known_answers_of_the_public_functions(backend):
    found = gx.compile([], gx.random.philox4x32(COUNTERS, KEYS), backend=backend)()
    np.testing.assert_array_equal(found, BLOCKS)
    first = gx.compile([], gx.random.bits(gx.random.key(0), (4,)), backend=backend)()
    np.testing.assert_array_equal(first, BLOCKS[0])


def expected_bits(key: np.ndarray, count: int, dtype: np.dtype) -> np.ndarray:
    """Return the words of counters 0, 1, ... one after the other, two as one number of 64 bits."""
    counters = range(-(-count // elements_of_block(dtype)))
    stream = np.array([np.stack(philox((c, 0, 0, 0), key)) for c in counters], np.uint32).reshape(-1)
    return np.ascontiguousarray(stream).view(dtype)[:count]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [U32, U64], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4, 4), (5, 13), (256,), (257,), (2, 3, 171)], ids=str)
def test_bits_are_the_words_of_counters_in_order(target, dtype, shape):
    key = np.array([7, 0xDEADBEEF], np.uint32)
    given = placeholder(name="key", type=TensorType(U32, (2,)))
    graph = Graph((given,), (random_bits(given, shape=shape, dtype=dtype),))
    (found,) = NativeGraph(graph, TARGETS[target])([key])
    expected = expected_bits(key, int(np.prod(shape)), dtype).reshape(shape)
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(evaluate(graph, [key])[0], expected, strict=True)


@pytest.mark.parametrize("target", TARGETS)
def test_what_follows_bits_is_computed_with_them(target):
    """Readers in other dtypes, several results, broadcast operands, a bool."""
    given = placeholder(name="key", type=TensorType(U32, (2,)))
    row = gx.placeholder((33,), "float64", name="row")
    bits = gx.Tensor(random_bits(given, shape=(9, 33), dtype=U32))
    shifted = bits >> 8
    results = [shifted, shifted.astype("float32") * 2.0, shifted.astype("float64") + row, shifted < 2**22]
    graph = Graph((given, row.node), tuple([r.node for r in results]))
    native = NativeGraph(graph, TARGETS[target])
    assert all(g.hero is None or len(g.nodes) > 3 for g in native.groups)
    arrays = [np.array([1, 2], np.uint32), np.arange(33.0)]
    for found, expected in zip(native(arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)


def test_more_elements_than_a_word_counts():
    """The upper word of the counter is computed where it is needed, and only there."""
    key = placeholder(name="key", type=TensorType(U32, (2,)))
    shifts = []
    for count in (2**34, 2**34 + 1):
        program = LoweredGraph(Graph((key,), (random_bits(key, shape=(count,), dtype=U32),)), MACHINE).program
        shifts.append(program_text(program).count(" >> 32"))
    assert shifts[0] < shifts[1]


def test_threads_do_not_matter():
    key = gx.random.key(3)
    draws = [
        gx.random.bits(key, (70_001,)),
        gx.random.normal(key, (33, 1111)),
        gx.random.uniform(key, (9999,), "float64"),
    ]
    one, two = (gx.compile([], draws, options=gx.Options(threads=n))() for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_longer_array_begins_with_a_shorter_one():
    key = gx.random.key(5)
    for dtype in ("uint8", "uint16", "uint32", "uint64"):
        short, long = gx.compile([], [gx.random.bits(key, (n,), dtype) for n in (37, 1000)])()
        assert short.dtype == dtype
        np.testing.assert_array_equal(short, long[:37])


# Keys.


def run(*tensors, backend="llvm"):
    return gx.compile([], list(tensors), backend=backend)()


def test_a_key_is_its_seed():
    for seed in (0, 1, 2**32, 2**63 + 5, 2**64 - 1, -1, -(2**63), np.int32(-7), np.uint8(9)):
        (found,) = run(gx.random.key(seed))
        np.testing.assert_array_equal(found, np.array([int(seed) % 2**64], np.uint64).view(np.uint32), strict=True)


@pytest.mark.parametrize(("dtype", "value"), [("int64", -5), ("uint64", 2**63 + 1), ("int8", -1), ("uint32", 2**31)])
def test_a_seed_can_be_a_tensor(dtype, value):
    seed = gx.placeholder((), dtype, name="seed")
    found = gx.compile([seed], gx.random.key(seed))(value)
    np.testing.assert_array_equal(found, np.array([value % 2**64], np.uint64).view(np.uint32))


def test_derived_keys_differ_from_each_other_and_from_draws():
    key = gx.random.key(11)
    data = gx.placeholder((), "int64", name="data")
    folded = gx.compile([data], gx.random.fold_in(key, data))
    children, grid, draws = run(gx.random.split(key, 50), gx.random.split(key, (5, 10)), gx.random.bits(key, (400,)))
    assert children.dtype == np.uint32
    np.testing.assert_array_equal(children.reshape(5, 10, 2), grid)
    numbers = [*children.view(np.uint64).ravel(), *[folded(k).view(np.uint64)[0] for k in range(-25, 25)]]
    assert len(set(numbers)) == 100
    assert not set(numbers) & set(draws.view(np.uint64))


def test_fold_in_of_numbers_and_tensors_agree():
    key, data = gx.random.key(1), gx.placeholder((), "int64", name="data")
    folded = gx.compile([data], gx.random.fold_in(key, data))
    for number in (0, 3, -1, 2**62):
        np.testing.assert_array_equal(folded(number), run(gx.random.fold_in(key, number))[0])
    assert (folded(-1) == run(gx.random.fold_in(key, 2**64 - 1))[0]).all()


def test_split_streams_are_uncorrelated():
    keys = gx.random.split(gx.random.key(2), 64)
    draws = gx.vmap(lambda key: gx.random.normal(key, (4096,)))(keys)
    (found,) = run(draws)
    correlation = np.corrcoef(found) - np.eye(64)
    assert np.abs(correlation).max() < 5.5 / np.sqrt(4096)


def test_mapped_over_keys():
    keys = gx.random.split(gx.random.key(2), 5)
    for shape in ((), (3,), (17,), (300,)):
        mapped = gx.vmap(lambda key, s=shape: gx.random.normal(key, s))(keys)
        again = gx.stack([gx.random.normal(keys[k], shape) for k in range(5)])
        scanned = gx.scan(lambda c, key, s=shape: (c, gx.random.normal(key, s)), 0, keys)[1]
        one, two, three = run(mapped, again, scanned)
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_a_key_as_an_argument():
    draw = gx.jit(lambda key, n: gx.random.uniform(key, (2, 3)) * n)
    key = run(gx.random.key(4))[0]
    np.testing.assert_array_equal(draw(key, np.float32(2)), 2 * run(gx.random.uniform(gx.random.key(4), (2, 3)))[0])


def test_unknown_sizes():
    x = gx.placeholder(("n", 3), name="x")
    draw = gx.compile([x], [gx.random.bits(gx.random.key(1), x.shape), gx.random.split(gx.random.key(1), x.shape[0])])
    for n in (0, 1, 7, 200):
        bits, keys = draw(np.zeros((n, 3), np.float32))
        expected = run(gx.random.bits(gx.random.key(1), (n, 3)), gx.random.split(gx.random.key(1), n))
        np.testing.assert_array_equal(bits, expected[0])
        np.testing.assert_array_equal(keys, expected[1])


KEY = np.zeros(2, np.uint32)


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (lambda: gx.random.key(2**64), ArgumentError, "key: a seed must fit 64 bits, got 18446744073709551616"),
        (lambda: gx.random.key(1.5), DTypeError, "key: a seed must be an integer, got f64[]"),
        (lambda: gx.random.key(np.zeros(3, int)), ShapeError, "key: a seed must be one integer, got i64[3]"),
        (lambda: gx.random.fold_in(KEY, 2.0), DTypeError, "fold_in: data must be an integer, got f64[]"),
        (lambda: gx.random.fold_in(KEY, -(2**63) - 1), ArgumentError, "fold_in: data must fit 64 bits"),
        (lambda: gx.random.bits(0, (3,)), ArgumentError, "bits: takes a key, uint32[2], made by gx.random.key, got 0"),
        (lambda: gx.random.normal(np.zeros(2), (3,)), ArgumentError, "normal: takes a key, uint32[2]"),
        (lambda: gx.random.normal(np.zeros((5, 2), np.uint32)), ArgumentError, "map over several keys with gx.vmap"),
        (lambda: gx.random.bits(KEY, (3,), "int32"), DTypeError, "bits: dtype must be one of uint8"),
        (lambda: gx.random.bits(KEY, (-1,)), ArgumentError, "a dimension must not be negative, got -1"),
        (lambda: gx.random.bits(KEY, "n"), ArgumentError, "bits: shape takes ints and dimensions of tensors"),
        (lambda: gx.random.split(KEY, 1.5), ArgumentError, "a dimension is an int"),
        (lambda: gx.random.philox4x32(KEY, KEY), DTypeError, "philox4x32: counter must be uint32 with 4 words"),
    ],
)
def test_errors(function, error, text):
    with pytest.raises(error) as raised:
        function()
    assert text in str(raised.value)
