"""Settings of all tests: the names that examples in docstrings use without importing them."""

from typing import Any

import numpy as np
import pytest

import graphc


@pytest.fixture(scope="session", autouse=True)
def _names_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(gx=graphc, np=np)
