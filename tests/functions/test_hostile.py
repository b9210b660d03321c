"""Hostile arguments end in an error that says what was wrong; the long form of this is `scripts/fuzz --hostile`."""

from __future__ import annotations

import sys
import warnings

import pytest
from hypothesis import HealthCheck, given, settings

import graphc as gx
from tests import hostile

EXAMPLES = 12
"""Calls of each function."""


@pytest.mark.parametrize("name", hostile.targets())
def test_hostile_arguments(name: str):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile.calls(name))
    def check(call: hostile.Call) -> None:
        fault = hostile.fault_of(call)
        assert fault is None, f"{call}: {fault}"

    check()


def programs() -> dict[str, gx.Executable]:
    """Return programs that take one input each."""
    x, n = gx.placeholder((2, 3), name="x"), gx.placeholder(("n", None), "int64", name="n")
    s, p = gx.placeholder((), "float64", name="s"), gx.placeholder((3,), "bool", name="p")
    return {
        "x": gx.compile([x], x + 1),
        "n": gx.compile([n], gx.sum(n, axis=0)),
        "s": gx.compile([s], s * 2),
        "p": gx.compile([p], {"a": ~p, "b": [p]}),
        "eager": gx.compile([x], x + 1, backend="eager"),
    }


def test_hostile_inputs_of_a_call():
    made = programs()
    for text in hostile.HOSTILE:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, call in made.items():
                fault = hostile.fault_of_input(call, text)
                assert fault is None, f"{name}({text}): {fault}"


def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["graphc.array.elementwise"], "as_node", {}.pop)
    found = hostile.fault_of(hostile.Call("round", ("1.5",)))
    assert found is not None
    assert found.startswith("AttributeError")
