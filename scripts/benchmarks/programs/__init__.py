"""The programs that are measured, by suite."""

from __future__ import annotations

from scripts.benchmarks.library import Program
from scripts.benchmarks.programs import convolutions, dispatch, elementwise, products, science, training

SUITES = {
    "dispatch": dispatch.programs,
    "elementwise": elementwise.programs,
    "products": products.programs,
    "convolutions": convolutions.programs,
    "training": training.programs,
    "science": science.programs,
}


def programs_of(suite: str, is_quick: bool = False) -> list[Program]:
    """Return the programs of a suite, or only the small ones."""
    return [p for p in SUITES[suite]() if p.is_small or not is_quick]
