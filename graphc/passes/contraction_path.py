"""In which order to multiply arrays whose product is summed over labels. Labels are bits; no node is seen here.

A path pairs operands up: each step names two of the arrays that there are, and adds their product, summed over the
labels that nothing else needs, at the end of the list. A product of n arrays takes n - 1 steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import numpy as np

FLOPS_PER_ELEMENT = 4
"""What moving an element to or from memory costs, in arithmetic operations."""

EXACT = 10
"""Operands up to which every order is tried: 3 to this power pairs."""

LONGEST_CHAIN = 300
"""Matrices up to which the best order of a chain is found: the time grows with the third power."""

Path = list[tuple[int, int]]
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Network:
    """A sum of products: the labels of the operands and of the result, a bit for each, and the sizes of the labels."""

    operands: tuple[int, ...]
    out: int
    sizes: tuple[int, ...]

    @cached_property
    def _volumes(self) -> dict[int, int]:
        return {0: 1}

    def volume(self, labels: int) -> int:
        """Return the number of elements of an array with these labels."""
        known = self._volumes.get(labels)
        if known is None:
            lowest = labels & -labels
            known = self._volumes[labels] = self.sizes[lowest.bit_length() - 1] * self.volume(labels ^ lowest)
        return known

    def cost(self, path: Path) -> int:
        """Return what the steps of a path cost together."""
        arrays: dict[int, int] = dict(enumerate(self.operands))
        readers = _readers([*self.operands, self.out])
        total = 0
        for k, (i, j) in enumerate(path, start=len(self.operands)):
            a, b = arrays.pop(i), arrays.pop(j)
            arrays[k] = _merge(a, b, readers)
            total += self.pair_cost(a, b, arrays[k])
        return total

    def pair_cost(self, a: int, b: int, result: int) -> int:
        """Return the cost of multiplying two arrays and summing down to the labels of the result."""
        both = a | b
        return contraction_cost(self.volume(both), both != result, [self.volume(x) for x in (a, b, result)])


def contraction_cost(products: int, is_summed: bool, elements: Iterable[int]) -> int:
    """Return the cost of so many products, added up or not, of arrays with so many elements.

    >>> contraction_cost(2 * 3 * 4, True, (2 * 3, 3 * 4, 2 * 4)) == 2 * 24 + FLOPS_PER_ELEMENT * 26
    True
    """
    return products * (2 if is_summed else 1) + FLOPS_PER_ELEMENT * sum(elements)


def find_path(network: Network) -> Path:
    """Return the cheapest path, or for more than EXACT operands that are no chain a cheap one."""
    count = len(network.operands)
    if count < 3:
        return [(0, 1)] if count == 2 else []
    chain = _chain(network) if 5 <= count <= LONGEST_CHAIN else None
    if chain is not None:
        return _best_of_chain(network, chain)
    return _best_of_all(network) if count <= EXACT else _greedy(network)


def _readers(arrays: Iterable[int]) -> dict[int, int]:
    """Count for each label, as a bit, the arrays that have it."""
    readers: dict[int, int] = {}
    for labels in arrays:
        for bit in _bits(labels):
            readers[bit] = readers.get(bit, 0) + 1
    return readers


def _bits(labels: int) -> Iterable[int]:
    while labels:
        lowest = labels & -labels
        yield lowest
        labels ^= lowest


def _product(a: int, b: int, readers: dict[int, int]) -> int:
    """Return the labels of a product: those of its factors that something else needs too."""
    result = a | b
    for bit in _bits(a & b):
        if readers[bit] == 2:
            result ^= bit
    return result


def _merge(a: int, b: int, readers: dict[int, int]) -> int:
    """Return the labels of a product, and count it in place of its factors."""
    result = _product(a, b, readers)
    for bit in _bits(a & b):
        readers[bit] -= 1
    return result


# Every order: the best for a set of operands is the best split of it into two sets.


def _best_of_all(network: Network) -> Path:
    count = len(network.operands)
    everything = (1 << count) - 1
    union = [0] * (everything + 1)
    for s in range(1, everything + 1):
        lowest = s & -s
        union[s] = union[s ^ lowest] | network.operands[lowest.bit_length() - 1]
    kept = [union[s] & (network.out | union[everything ^ s]) for s in range(everything + 1)]
    best, split = [0] * (everything + 1), [0] * (everything + 1)
    for s in range(1, everything + 1):
        if s & (s - 1):
            best[s], split[s] = _best_split(network, s, kept, best)
    return _steps(count, lambda s: (split[s], s ^ split[s]), {1 << k: k for k in range(count)}, everything)


def _best_split(network: Network, s: int, kept: Sequence[int], best: Sequence[int]) -> tuple[int, int]:
    found: tuple[int, int] | None = None
    # Each split once: the part with the lowest operand comes first.
    lowest = s & -s
    part = (s - 1) & s
    while part:
        if part & lowest:
            below = best[part] + best[s ^ part]
            if found is None or below < found[0]:
                cost = below + network.pair_cost(kept[part], kept[s ^ part], kept[s])
                found = (cost, part) if found is None else min(found, (cost, part))
        part = (part - 1) & s
    assert found is not None
    return found


def _steps(count: int, split: Callable[[T], tuple[T, T]], place: dict[T, int], whole: T) -> Path:
    """Return the path that makes `whole` of the parts it splits into; `place` is where the operands are."""
    path: Path = []
    stack = [whole]
    while stack:
        parts = split(stack[-1])
        waiting = [part for part in parts if part not in place]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        path.append((place[parts[0]], place[parts[1]]))
        place[stack.pop()] = count + len(path) - 1
    return path


# Chains of matrices.


def _chain(network: Network) -> tuple[list[int], list[int], int] | None:
    """Return the order of the matrices of a chain, its sizes from end to end, and the size of the batch; None if none.

    In a chain each link is shared by two operands and by nothing else, and the ends alone have labels of the result.
    """
    operands = network.operands
    batch = network.out
    for labels in operands:
        batch &= labels
    holders: dict[int, list[int]] = {}
    for k, labels in enumerate(operands):
        for bit in _bits(labels ^ batch):
            holders.setdefault(bit, []).append(k)
    links: dict[int, dict[int, int]] = {k: {} for k in range(len(operands))}
    free = [0] * len(operands)
    for bit, found in holders.items():
        if len(found) == 1 and bit & network.out:
            free[found[0]] |= bit
        elif len(found) == 2 and not bit & network.out:
            a, b = found
            links[a][b] = links[b][a] = links[a].get(b, 0) | bit
        else:
            return None
    ends = [k for k, near in links.items() if len(near) == 1]
    if len(ends) != 2 or any(free[k] for k in links if k not in ends) or any(len(n) > 2 for n in links.values()):
        return None
    order, sizes = [min(ends)], [network.volume(free[min(ends)])]
    while len(order) < len(operands):
        following = [k for k in links[order[-1]] if len(order) < 2 or k != order[-2]]
        if not following:
            return None
        sizes.append(network.volume(links[order[-1]][following[0]]))
        order.append(following[0])
    return order, [*sizes, network.volume(free[order[-1]])], network.volume(batch)


def _best_of_chain(network: Network, chain: tuple[list[int], list[int], int]) -> Path:
    """Find the best split of every run of matrices, shorter runs first, all runs of a length at once."""
    order, sizes, batch = chain
    count = len(order)
    d = np.array(sizes, np.float64)
    # from_left[i, l] and from_right[j, l] are the costs of the runs of l + 1 matrices that begin at i and end at j.
    from_left, from_right = np.zeros((count, count)), np.zeros((count, count))
    splits = np.zeros((count, count), np.int64)
    for length in range(1, count):
        starts = np.arange(count - length)
        steps = np.arange(length)
        left, right = d[starts][:, None], d[starts + length + 1][:, None]
        middle = d[starts[:, None] + steps + 1]
        moved = left * middle + middle * right + left * right
        cost = batch * (2 * left * middle * right + FLOPS_PER_ELEMENT * moved)
        cost += from_left[starts, :length] + from_right[starts + length, :length][:, ::-1]
        splits[starts, length] = cost.argmin(axis=1)
        from_left[starts, length] = from_right[starts + length, length] = cost.min(axis=1)

    def split(run: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        start, length = run
        at = int(splits[start, length])
        return (start, at), (start + at + 1, length - at - 1)

    return _steps(count, split, {(k, 0): order[k] for k in range(count)}, (0, count - 1))


# Many operands.


def _greedy(network: Network) -> Path:
    """Multiply, again and again, the pair whose product saves most memory, of those that share a label."""
    arrays: dict[int, int] = dict(enumerate(network.operands))
    readers = _readers([*network.operands, network.out])
    holders: dict[int, dict[int, None]] = {}
    for k, labels in arrays.items():
        for bit in _bits(labels):
            holders.setdefault(bit, {})[k] = None
    heap: list[tuple[int, int, int]] = []

    def offer(k: int, earlier_only: bool) -> None:
        near = dict.fromkeys(j for bit in _bits(arrays[k]) for j in islice(holders[bit], EXACT) if j != k)
        for j in near:
            if j < k or not earlier_only:
                a, b = arrays[j], arrays[k]
                grown = network.volume(_product(a, b, readers)) - network.volume(a) - network.volume(b)
                heapq.heappush(heap, (grown, min(j, k), max(j, k)))

    for k in arrays:
        offer(k, earlier_only=True)
    path: Path = []
    while len(arrays) > 1:
        i, j = _next_pair(heap, arrays, network)
        a, b = arrays.pop(i), arrays.pop(j)
        for k, labels in ((i, a), (j, b)):
            for bit in _bits(labels):
                del holders[bit][k]
        new = len(network.operands) + len(path)
        path.append((i, j))
        arrays[new] = _merge(a, b, readers)
        for bit in _bits(arrays[new]):
            holders[bit][new] = None
        offer(new, earlier_only=False)
    return path


def _next_pair(heap: list[tuple[int, int, int]], arrays: dict[int, int], network: Network) -> tuple[int, int]:
    while heap:
        _, i, j = heapq.heappop(heap)
        if i in arrays and j in arrays:
            return i, j
    # Nothing shares a label any more: the smallest two.
    i, j = sorted(heapq.nsmallest(2, arrays, key=lambda k: (network.volume(arrays[k]), k)))
    return i, j
