"""Placement of arrays in the arena: never two at once in one place, and close to the least memory possible."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.lower import memory
from graphc.lower.memory import ALIGNMENT, Storage, assign_offsets, live_bytes


def lifetimes(seed: int, count: int) -> list[Storage]:
    """Return storages as programs have them: short chains, and activations kept until the backward pass."""
    rng = np.random.default_rng(seed)
    storages = []
    for k in range(count):
        kept = rng.random() < 0.4
        last = 2 * count - k if kept else k + int(rng.integers(0, 6))
        storages.append(Storage(int(rng.choice([0, 4, 100, 4096, 5000, 65536])), first=k, last=last))
    return storages


def assert_apart(storages: list[Storage]) -> None:
    placed = [s for s in storages if s.nbytes]
    first, last, start = (np.array([getattr(s, name) for s in placed]) for name in ("first", "last", "offset"))
    end = start + np.array([s.nbytes for s in placed])
    at_once = (first[:, None] <= last) & (last[:, None] >= first)
    overlap = (start[:, None] < end) & (end[:, None] > start)
    np.fill_diagonal(overlap, False)
    assert not (at_once & overlap).any()
    assert (start % ALIGNMENT == 0).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("limit", [0, 10_000], ids=["as they come", "compared"])
def test_placement(seed: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BEST_ORDER_LIMIT", limit)
    storages = lifetimes(seed, 1 + 60 * seed)
    total = assign_offsets(storages)
    assert_apart(storages)
    assert all(s.offset + s.nbytes <= total for s in storages)
    assert live_bytes(storages) <= total <= 1.15 * live_bytes(storages)


def test_several_orders_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    storages = []
    for _ in range(60):
        first = int(rng.integers(0, 60))
        storages.append(Storage(int(rng.integers(1, 9999)), first=first, last=first + int(rng.integers(0, 20))))
    total = assign_offsets(storages)
    assert_apart(storages)
    singles = []
    for order in memory.ORDERS:
        monkeypatch.setattr(memory, "ORDERS", (order,))
        singles.append(assign_offsets(storages))
    assert total == min(singles) < max(singles)


def test_the_memory_of_a_loop_counts_by_what_its_body_needs() -> None:
    body = Storage(6400, needed=640, first=0, last=0)
    assert live_bytes([body, Storage(64, first=0, last=1)]) == 704
    assert assign_offsets([body, Storage(64, first=0, last=1)]) == 6464


def test_nothing_to_place() -> None:
    assert assign_offsets([]) == live_bytes([]) == 0
