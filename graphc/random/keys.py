"""Keys, and bits made of them: two words of uint32 from which any number of others follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, asarray, cast_to, operands
from graphc.array.handle import Handle, wrap
from graphc.array.shape import shape_of, stack
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim
from graphc.ir.graph import Node, literal
from graphc.ir.types import DTYPE_NAMES, as_dtype
from graphc.ops.elementwise import iota, right_shift
from graphc.ops.random import philox_words, random_bits

if TYPE_CHECKING:
    from graphc.tensor import Tensor

ShapeArgument = int | Dim | Sequence[int | Dim]

UINT32, UINT64 = np.dtype(np.uint32), np.dtype(np.uint64)

SPLIT, FOLD = 1, 2
"""The last word of the counters of derived keys. It is 0 for numbers that are drawn, so they never meet."""


def key(seed: ArrayLike) -> Tensor:
    """Return the key of a seed: uint32[2], its lower and its upper 32 bits.

    `seed` is an int that fits 64 bits (a negative one stands for its two's complement), or a Tensor of rank 0 and any
    integer dtype. Different seeds give numbers that have nothing to do with each other.

    Raises ArgumentError for an int that does not fit, DTypeError or ShapeError for what is no integer.

    >>> gx.random.key(7)
    <Tensor u32[2] = constant([7, 0])>
    """
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool | np.bool):
        if not -(2**63) <= seed < 2**64:
            raise ArgumentError(f"key: a seed must fit 64 bits, got {seed}")
        number = int(seed) % 2**64
        return asarray(np.array([number % 2**32, number >> 32], np.uint32))
    low, high = _halves("key", "a seed", seed)
    return stack([wrap(low), wrap(high)])


def split(key: ArrayLike, num: ShapeArgument = 2) -> Tensor:
    """Return new keys made of one: uint32[num, 2], or of a shape in `num` and 2.

    Use each key once: to draw numbers from, to fold something in, or to split it.

    >>> model, data = gx.random.split(gx.random.key(0))
    >>> gx.random.split(gx.random.key(0), 10).shape
    (10, 2)
    """
    words = words_of("split", key)
    shape = shape_of("split", num)
    count: Any = 1
    for size in shape:
        count = count * size
    low, high = _split_words(iota(shape=(count,), axis=0, dtype=UINT64))
    return _block(words, (low, high, _word(0), _word(SPLIT)), 2).reshape((*shape, 2))


def fold_in(key: ArrayLike, data: ArrayLike) -> Tensor:
    """Return a new key made of one and of a number, such as that of a step: uint32[2].

    `data` is an int that fits 64 bits, or a Tensor of rank 0 and any integer dtype.

    >>> step = gx.placeholder((), "int64", name="step")
    >>> gx.random.fold_in(gx.random.key(0), step).shape
    (2,)
    """
    words = words_of("fold_in", key)
    if isinstance(data, int) and not isinstance(data, bool):
        if not -(2**63) <= data < 2**64:
            raise ArgumentError(f"fold_in: data must fit 64 bits, got {data}")
        data = np.uint64(data % 2**64)
    low, high = _halves("fold_in", "data", data)
    return _block(words, (low, high, _word(0), _word(FOLD)), 2)


def bits(key: ArrayLike, shape: ShapeArgument = (), dtype: Any = "uint32") -> Tensor:
    """Return random bits as unsigned integers of `dtype`, of 8 to 64 bits; all are equally likely.

    They are the words of the Philox 4x32-10 blocks of the counters 0, 1, 2, ... under the key, in row-major order: two
    words, the lower first, make one element of uint64; one of uint8 or uint16 takes the lower bits of a word. So a
    longer array begins with a shorter one of the same key. Zero derivative.

    >>> draw = gx.compile([], gx.random.bits(gx.random.key(0), (4,)))
    >>> [hex(word) for word in draw()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    wanted = as_dtype(dtype)
    if wanted.kind != "u":
        allowed = ", ".join(d.name for d in DTYPE_NAMES if d.kind == "u")
        raise DTypeError(f"bits: dtype must be one of {allowed}, got {wanted.name}")
    return wrap(cast_to(draw("bits", key, shape_of("bits", shape), UINT64 if wanted == UINT64 else UINT32), wanted))


def philox4x32(counter: ArrayLike, key: ArrayLike) -> Tensor:
    """Return the Philox 4x32-10 blocks of counters under keys: four words of uint32 in the last axis.

    `counter` is uint32[..., 4] and `key` uint32[..., 2]; their other axes broadcast. This is the function that all
    random numbers are made of (Salmon, Moraes, Dror and Shaw, SC 2011), as in the library Random123.

    >>> block = gx.random.philox4x32(np.zeros(4, np.uint32), np.zeros(2, np.uint32))
    >>> [hex(word) for word in gx.compile([], block)()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    found = []
    for what, value, count in (("counter", counter, 4), ("key", key, 2)):
        node = as_node("philox4x32", value)
        if node.dtype != UINT32 or not node.ndim or node.shape[-1] != count:
            raise DTypeError(f"philox4x32: {what} must be uint32 with {count} words in the last axis, got {node.type}")
        words = wrap(node)
        found += [words[..., k] for k in range(count)]
    nodes = operands("philox4x32", *found)
    return stack([wrap(op(*nodes)) for op in philox_words], axis=-1)


# What the distributions use.


def draw(name: str, key: ArrayLike, shape: Any, dtype: np.dtype[Any]) -> Node:
    """Return bits as uint32 or uint64 for the function called `name`."""
    return random_bits(as_key(name, key), shape=shape, dtype=dtype)


def as_key(name: str, key: ArrayLike) -> Node:
    """Return the node of one key."""
    node = as_node(name, key) if isinstance(key, Handle | np.ndarray) else None
    if node is None or node.dtype != UINT32 or node.shape != (2,):
        got = repr(key) if node is None else str(node.type)
        hint = "; map over several keys with gx.vmap" if node is not None and node.ndim > 1 else ""
        raise ArgumentError(f"{name}: takes a key, uint32[2], made by gx.random.key, got {got}{hint}")
    return node


def words_of(name: str, key: ArrayLike) -> tuple[Node, Node]:
    """Return the two words of a key."""
    words = wrap(as_key(name, key))
    return words[0].node, words[1].node


def _word(value: int) -> Node:
    return literal(value, UINT32)


def _halves(name: str, what: str, value: ArrayLike) -> tuple[Node, Node]:
    node = as_node(name, value)
    if node.dtype.kind not in "iu":
        raise DTypeError(f"{name}: {what} must be an integer, got {node.type}")
    if node.ndim:
        raise ShapeError(f"{name}: {what} must be one integer, got {node.type}; map over several with gx.vmap")
    return _split_words(cast_to(node, UINT64))


def upper(number: Tensor, width: int) -> Tensor:
    """Return the bits of unsigned integers but for the lowest `width` of them."""
    return wrap(right_shift(number.node, literal(width, number.dtype)))


def _split_words(number: Node) -> tuple[Node, Node]:
    """Return the lower and the upper half of 64 bits."""
    return cast_to(number, UINT32), cast_to(upper(wrap(number), 32).node, UINT32)


def _block(key: tuple[Node, Node], counter: tuple[Node, ...], count: int) -> Tensor:
    """Return the first words of the blocks of counters, in a new last axis."""
    return stack([wrap(op(*counter, *key)) for op in philox_words[:count]], axis=-1)


__all__ = ["bits", "fold_in", "key", "philox4x32", "split"]
