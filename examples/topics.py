"""A text to learn from that every Python has: the help on the language, as numbers, in windows."""

from collections.abc import Iterator
from pydoc_data.topics import topics

import numpy as np


class Text:
    """The help topics one after the other, as indices into the characters that occur; the last tenth is held out."""

    def __init__(self) -> None:
        text = "\n".join(topics[name] for name in sorted(topics))
        self.characters = sorted(set(text))
        indices = {c: k for k, c in enumerate(self.characters)}
        codes = np.array([indices[c] for c in text], np.int64)
        self.train, self.test = np.split(codes, [len(codes) * 9 // 10])

    def batches(self, count: int, batch: int, length: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield windows [batch, length + 1] from random places: each character and the one after it."""
        for _ in range(count):
            yield self._windows(self.train, rng.integers(0, len(self.train) - length, size=batch), length)

    def held_out(self, batch: int, length: int) -> np.ndarray:
        """Return windows [batch, length + 1] spread evenly over what is held out."""
        return self._windows(self.test, np.linspace(0, len(self.test) - length - 1, batch).astype(int), length)

    def decode(self, codes: np.ndarray) -> str:
        """Return the text of indices."""
        return "".join(self.characters[k] for k in codes)

    @staticmethod
    def _windows(codes: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        return codes[starts[:, None] + np.arange(length + 1)]
