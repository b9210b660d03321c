"""Numbers that are proposed until they are accepted: gamma and what follows from it, and Poisson.

The elements of a block are proposed together, again and again, until none is left: a loop in native code whose arrays
stay in the cache. What an element becomes depends on the key, its place, and its own parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from graphc.array.control import map as map_blocks
from graphc.array.control import while_loop
from graphc.array.creation import arange, zeros
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.reduce import any as any_of
from graphc.ir import dims
from graphc.ir.types import Shape
from graphc.ops.shape import embed
from graphc.random.keys import fold_in

if TYPE_CHECKING:
    from graphc.tensor import Tensor

BLOCK = 4096
"""Elements of a block. Which numbers come out depends on it."""

MOST_ROUNDS = 1000
"""Proposals that no number that can occur needs: a bound for a loop that must end."""

Sampler = Callable[..., "Tensor"]
Proposal = Callable[["Tensor"], "tuple[Tensor, Tensor]"]


def in_blocks(key: Tensor, shape: Shape, parameters: Sequence[Tensor], sample: Sampler) -> Tensor:
    """Return sample(key, size, *parameters) of each block in turn, as an array of `shape`.

    Parameters have this shape or rank 0; `sample` gets those of its block in one axis.
    """
    count = dims.product(shape)
    flat = [p.reshape((count,)) if p.ndim else p for p in parameters]
    if isinstance(count, int) and count <= BLOCK:
        return sample(fold_in(key, 0), count, *flat).reshape(shape)
    blocks = dims.ceildiv(count, BLOCK)
    whole = [_filled_up(p, blocks) for p in flat if p.ndim]

    def one(block: tuple[Tensor, list[Tensor]]) -> Tensor:
        number, own = block
        rest = iter(own)
        return sample(fold_in(key, number), BLOCK, *[next(rest) if p.ndim else p for p in flat])

    found: Tensor = map_blocks(one, (arange(blocks), whole))
    return found.reshape((blocks * BLOCK,))[:count].reshape(shape)


def _filled_up(parameter: Tensor, blocks: Any) -> Tensor:
    """Return a parameter in blocks, of which the last has ones where nothing is left."""
    filled = embed(parameter.node, shape=(blocks * BLOCK,), start=(0,), step=(1,), value=1)
    return wrap(filled).reshape((blocks, BLOCK))


def accepted(key: Tensor, start: Tensor, waiting: Tensor, propose: Proposal) -> Tensor:
    """Return for each element the first proposal that is accepted; `start` where none is waited for.

    propose(key) gives a proposal for each element and whether it is accepted.
    """

    def is_open(carry: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return (carry[0] < MOST_ROUNDS) & any_of(carry[2])

    def next_round(carry: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        number, found, waits = carry
        proposal, is_right = propose(fold_in(key, number))
        return number + 1, where(waits & is_right, proposal, found), waits & ~is_right

    first = zeros((), "int64")
    return while_loop(is_open, next_round, (first, start, waiting))[1]  # type: ignore[no-any-return]


__all__ = ["BLOCK", "accepted", "in_blocks"]
