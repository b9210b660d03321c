"""Nests: apart and together again."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.errors import ArgumentError
from graphc.nest import flatten, map_leaves, paths

Point = namedtuple("Point", ["x", "y"])


@dataclass
class Layer:
    weight: object
    bias: object = None
    cache: object = field(default=0, init=False)


_nests = st.recursive(
    st.integers() | st.none() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(Layer, inner, inner)
    ),
    max_leaves=8,
)


@given(_nests)
def test_round_trip(nest):
    leaves, structure = flatten(nest)
    assert structure.unflatten(leaves) == nest
    assert structure.count == len(leaves) == len(paths(nest))
    assert flatten(map_leaves(lambda leaf: 7, nest)) == ([7] * len(leaves), structure)
    assert hash(structure) == hash(flatten(nest)[1])


def test_structures_compare():
    same = flatten({"a": 1, "b": (2, None)})[1]
    assert same == flatten({"b": (20, None), "a": 10})[1]
    for other in ({"a": 1, "b": [2, None]}, {"a": 1, "b": (2, 3)}, {"a": 1, "c": (2, None)}, Point(1, 2), 1):
        assert same != flatten(other)[1]
    assert flatten(OrderedDict(a=1))[1] != flatten({"a": 1})[1]


def test_dicts_keep_their_order():
    leaves, structure = flatten({"b": 1, "a": 2})
    assert leaves == [2, 1]
    assert list(structure.unflatten(leaves)) == ["b", "a"]


def test_paths():
    nest = {"p": Point([1, 2], None), "layer": Layer(3, {1: 4}), 0: 5}
    places = dict(zip(paths(nest), flatten(nest)[0], strict=True))
    assert {p: eval("nest" + p, {"nest": nest}) for p in places} == places


def test_text_and_errors():
    structure = flatten({"a": [1, None], "p": Point(1, 2)})[1]
    assert str(structure) == "{'a': [*, None], 'p': Point(x=*, y=*)}"
    with pytest.raises(ArgumentError, match="3 leaves, got 1"):
        structure.unflatten([1])
