"""Settings of all tests: a cache of their own, and the names that examples in docstrings use without importing them."""

import os
import shutil
import tempfile
from typing import Any

import numpy as np
import pytest

import graphc


@pytest.fixture(scope="session", autouse=True)
def _names_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(gx=graphc, np=np)


def pytest_configure(config: pytest.Config) -> None:
    """Keep machine code for the length of the run, for all its processes, and away from the user's."""
    if not hasattr(config, "workerinput"):  # workers have the folder of who started them
        os.environ["GRAPHC_CACHE_DIR"] = tempfile.mkdtemp(prefix="graphc-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["GRAPHC_CACHE_DIR"], ignore_errors=True)
