"""Layered layout: what holds for every directed acyclic graph, and how good the pictures of known graphs are."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.inspect.layout import layered

Case = tuple[list[tuple[int, int]], list[tuple[int, int]], list[int]]
ROUNDING = 1e-6


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.integers(20, 200), st.integers(10, 60)), min_size=count, max_size=count))
    pairs = list(combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=25)) if pairs else []
    sources = [v for v in range(count) if all(target != v for _, target in edges)]
    return sizes, edges, draw(st.lists(st.sampled_from(sources), unique=True))


@given(cases())
@settings(deadline=None, max_examples=50)
def test_boxes_do_not_overlap_and_edges_lead_down_around_them(case: Case) -> None:
    sizes, edges, top = case
    layout = layered(sizes, edges, top)
    rectangles = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(layout.centres, sizes, strict=True)
    ]
    for a, b in combinations(rectangles, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    for left, upper, right, lower in rectangles:
        assert min(left, upper) > -ROUNDING
        assert right < layout.width + ROUNDING
        assert lower < layout.height + ROUNDING
    assert set(layout.paths) == set(edges)
    for (u, v), path in layout.paths.items():
        assert path[0] == pytest.approx((layout.centres[u][0], rectangles[u][3]))
        assert path[-1][1] == pytest.approx(rectangles[v][1])
        assert rectangles[v][0] <= path[-1][0] <= rectangles[v][2]
        assert all(y < below + ROUNDING for (_, y), (_, below) in pairwise(path))
        for k, (left, upper, right, lower) in enumerate(rectangles):
            vertical = [(x, y, below) for (x, y), (x_below, below) in pairwise(path) if x == x_below]
            assert k in (u, v) or not any(
                left < x < right and y < lower - ROUNDING and upper + ROUNDING < below for x, y, below in vertical
            )


@given(cases())
@settings(deadline=None, max_examples=50)
def test_boxes_on_top_are_in_the_first_layer(case: Case) -> None:
    sizes, edges, top = case
    centres = layered([(20.0, 20.0)] * len(sizes), edges, top).centres
    first = min(y for _, y in centres)
    assert all(centres[v][1] == first for v in top)


@given(cases())
@settings(deadline=None, max_examples=20)
def test_the_same_graph_has_the_same_layout(case: Case) -> None:
    assert layered(*case) == layered(*case)


def test_layers_keep_a_source_close_to_its_only_user() -> None:
    chain = [(k, k + 1) for k in range(5)]
    layout = layered([(20.0, 20.0)] * 7, [*chain, (6, 5)])
    assert layout.centres[6][1] == layout.centres[4][1]


def test_a_chain_is_a_straight_line() -> None:
    layout = layered([(20.0 + 7 * k, 20.0) for k in range(8)], [(k, k + 1) for k in range(7)])
    assert len({x for x, _ in layout.centres}) == 1


def test_a_tree_has_no_crossing() -> None:
    edges = [(k, c) for k in range(31) for c in (2 * k + 1, 2 * k + 2)]
    layout = layered([(20.0, 20.0)] * 63, edges[::-1])
    for (u, v), (s, t) in combinations(edges, 2):
        left_to_right = layout.centres[u][0] - layout.centres[s][0]
        same_layer = layout.centres[u][1] == layout.centres[s][1]
        assert not same_layer or u == s or left_to_right * (layout.centres[v][0] - layout.centres[t][0]) > 0


def test_nothing_at_all() -> None:
    assert layered([], []).centres == ()
