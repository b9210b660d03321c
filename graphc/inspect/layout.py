"""Layered layout: where the boxes and edges of a directed acyclic graph go when it is drawn from top to bottom.

The method is Sugiyama's, as refined by Gansner et al. (A technique for drawing directed graphs, 1993):

1. layers       edges as short as possible in total
2. bends        an edge across several layers passes an invisible box in each; edges from one box share them
3. order        barycentre sweeps and swaps of neighbours, keeping the order with the fewest crossings
4. coordinates  edges as vertical as possible in total, long ones first, under the order found

The first and the last step are one problem, solved exactly (see `_positions`). Boxes are numbered; nothing here knows
what is in them. The result depends on the arguments alone.

It is our own because no library fits: grandalf has had no release since 2023 and recurses along edges, igraph is under
the GPL and takes no box sizes, fast-sugiyama needs Python 3.11; on training graphs the first two leave 3 to 6 times as
many crossings.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import networkx as nx

Point = tuple[float, float]
Layers = list[list[int]]
Links = list[list[int]]
Segment = tuple[int, int]

SWEEPS = 24
PATIENCE = 6
"""Sweeps without a better order after which the search ends."""

SWAP_LIMIT = 4000
"""Segments above which swapping neighbours costs more time than it saves crossings."""


@dataclass(frozen=True)
class Layout:
    """Centres of the boxes, a path of points for every edge, and the size of the whole.

    A path leaves its source at the bottom and enters its target at the top. Consecutive points are joined in turn by a
    vertical line and by a curve that is vertical at both ends: line, curve, line, curve, line.
    """

    centres: tuple[Point, ...]
    paths: dict[tuple[int, int], tuple[Point, ...]]
    width: float
    height: float


def layered(
    sizes: Sequence[tuple[float, float]],
    edges: Iterable[tuple[int, int]],
    top: Collection[int] = (),
    gap: float = 24.0,
    layer_gap: float = 40.0,
) -> Layout:
    """Return a layout of boxes of the given (width, height), with the boxes in `top` in the first layer.

    >>> layout = layered([(10.0, 10.0)] * 3, [(0, 1), (1, 2), (0, 2)])
    >>> [y for _, y in layout.centres] == sorted(y for _, y in layout.centres)
    True
    """
    if not sizes:
        return Layout((), {}, 0.0, 0.0)
    edges = list(dict.fromkeys(edges))
    ranks = _positions(len(sizes), [Arc(u, v, 1, 1) for u, v in edges], top)
    layers, segments, routes = _with_bends(ranks, edges)
    widths = [w for w, _ in sizes] + [0.0] * (sum(map(len, layers)) - len(sizes))
    down, up = _links(len(widths), segments)
    layers = _ordered(layers, down, up)
    x = _coordinates(layers, down, up, widths, len(sizes), gap)
    return _placed(sizes, layers, routes, segments, up, x, layer_gap)


class Arc(NamedTuple):
    """position[v] - position[u] is at least `length`, and costs `weight` for each unit."""

    u: int
    v: int
    length: int
    weight: int = 0


def _positions(count: int, arcs: Iterable[Arc], pinned: Collection[int] = ()) -> list[int]:
    """Return integers >= 0, those of `pinned` 0, that satisfy all arcs at the least total cost.

    The dual of this linear program is a flow of least cost whose potentials are the positions: in the residual network
    a step along an arc gains its length, a step back along an arc that carries flow loses it.
    """
    root = count
    merged = {(root, v): Arc(root, v, 0) for v in range(count)} | {(v, root): Arc(v, root, 0) for v in pinned}
    for arc in arcs:
        known = merged.get((arc.u, arc.v), arc._replace(weight=0))
        merged[arc.u, arc.v] = Arc(arc.u, arc.v, max(arc.length, known.length), arc.weight + known.weight)
    network = nx.DiGraph()
    network.add_nodes_from(range(count + 1), demand=0)
    for u, v, length, weight in merged.values():
        network.add_edge(u, v, weight=-length)
        network.nodes[u]["demand"] -= weight
        network.nodes[v]["demand"] += weight
    _, flow = nx.network_simplex(network)
    residual = nx.DiGraph()
    residual.add_weighted_edges_from((u, v, -length) for u, v, length, _ in merged.values())
    residual.add_weighted_edges_from((v, u, length) for u, v, length, _ in merged.values() if flow[u][v])
    distance = nx.single_source_bellman_ford_path_length(residual, root)
    return [-distance[v] for v in range(count)]


# 2. Bends


def _with_bends(
    ranks: list[int], edges: list[tuple[int, int]]
) -> tuple[Layers, list[Segment], dict[tuple[int, int], list[int]]]:
    """Return layers with bends added, segments between neighbouring layers, and the stops of every edge."""
    layers: Layers = [[] for _ in range(max(ranks) + 1)]
    for box, rank in enumerate(ranks):
        layers[rank].append(box)
    trunks: dict[int, list[int]] = {u: [u] for u, _ in edges}
    segments: dict[Segment, None] = {}
    routes = {}
    count = len(ranks)
    for u, v in edges:
        trunk = trunks[u]
        while len(trunk) < ranks[v] - ranks[u]:
            layers[ranks[u] + len(trunk)].append(count)
            segments[trunk[-1], count] = None
            trunk.append(count)
            count += 1
        stops = [*trunk[: ranks[v] - ranks[u]], v]
        segments[stops[-2], v] = None
        routes[u, v] = stops
    return layers, list(segments), routes


def _links(count: int, segments: list[Segment]) -> tuple[Links, Links]:
    down: Links = [[] for _ in range(count)]
    up: Links = [[] for _ in range(count)]
    for u, v in segments:
        down[u].append(v)
        up[v].append(u)
    return down, up


# 3. Order


def _ordered(layers: Layers, down: Links, up: Links) -> Layers:
    """Return the layers reordered so that few segments cross."""
    starts = (_by_first_visit(layers[::-1], up)[::-1], _by_first_visit(layers, down))
    return min((_untangled(start, down, up) for start in starts), key=lambda found: _crossings(found, down))


def _untangled(layers: Layers, down: Links, up: Links) -> Layers:
    best, fewest, improved = layers, _crossings(layers, down), -1
    current = layers
    swaps = sum(map(len, down)) <= SWAP_LIMIT
    for sweep in range(SWEEPS):
        if fewest == 0 or sweep - improved > PATIENCE:
            break
        current = _swept(current, up, downwards=True) if sweep % 2 == 0 else _swept(current, down, downwards=False)
        if swaps:
            current = _swapped(current, down, up)
        crossings = _crossings(current, down)
        if crossings < fewest:
            best, fewest, improved = current, crossings, sweep
    return best


def _by_first_visit(layers: Layers, onward: Links) -> Layers:
    """Return the layers in the order in which a depth-first walk from the first one meets their boxes."""
    visited: dict[int, None] = {}
    for layer in layers:
        for start in layer:
            stack = [start]
            while stack:
                v = stack.pop()
                if v not in visited:
                    visited[v] = None
                    stack.extend(reversed(onward[v]))
    place = {v: k for k, v in enumerate(visited)}
    return [sorted(layer, key=place.__getitem__) for layer in layers]


def _swept(layers: Layers, links: Links, downwards: bool) -> Layers:
    """Order each layer in turn by the mean place of its neighbours in the layer before; boxes without any stay put."""
    result = list(layers)
    order = range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1)
    for k in order:
        place = {v: i for i, v in enumerate(result[k - 1 if downwards else k + 1])}
        wish = {v: sum(place[n] for n in links[v]) / len(links[v]) for v in result[k] if links[v]}
        sorted_movers = iter(sorted(wish, key=wish.__getitem__))
        result[k] = [next(sorted_movers) if v in wish else v for v in result[k]]
    return result


def _swapped(layers: Layers, down: Links, up: Links) -> Layers:
    """Exchange neighbours in a layer for as long as that removes crossings."""
    result = [list(layer) for layer in layers]
    place = {v: i for layer in result for i, v in enumerate(layer)}
    above = {v: sorted(place[n] for n in up[v]) for v in place}
    below = {v: sorted(place[n] for n in down[v]) for v in place}
    dirty = set(range(len(result)))
    while dirty:
        k = min(dirty)
        dirty.discard(k)
        layer, moved = result[k], False
        for i in range(len(layer) - 1):
            v, w = layer[i], layer[i + 1]
            before = _inversions(above[v], above[w]) + _inversions(below[v], below[w])
            after = _inversions(above[w], above[v]) + _inversions(below[w], below[v])
            if after < before:
                layer[i], layer[i + 1] = w, v
                place[w], place[v] = i, i + 1
                moved = True
        if moved:
            for v in result[k - 1] if k else ():
                below[v] = sorted(place[n] for n in down[v])
            for v in result[k + 1] if k + 1 < len(result) else ():
                above[v] = sorted(place[n] for n in up[v])
            dirty |= {k, *range(max(k - 1, 0), min(k + 2, len(result)))}
    return result


def _inversions(left: list[int], right: list[int]) -> int:
    """Count the pairs (a in left, b in right) with a > b, both sorted."""
    return sum(bisect_left(right, a) for a in left)


def _crossings(layers: Layers, down: Links) -> int:
    """Count the crossings of all segments, by inserting their lower ends in the order of their upper ends."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {v: i for i, v in enumerate(lower)}
        tree = [0] * (len(lower) + 1)
        seen = 0
        for u in upper:
            ends = sorted(place[v] for v in down[u])
            for end in ends:
                total += seen - _prefix(tree, end + 1)
            for end in ends:
                _increment(tree, end + 1)
            seen += len(ends)
    return total


def _prefix(tree: list[int], index: int) -> int:
    """Sum of the first `index` entries of a Fenwick tree."""
    total = 0
    while index:
        total += tree[index]
        index &= index - 1
    return total


def _increment(tree: list[int], index: int) -> None:
    while index < len(tree):
        tree[index] += 1
        index += index & -index


# 4. Coordinates


def _coordinates(layers: Layers, down: Links, up: Links, widths: list[float], boxes: int, gap: float) -> list[float]:
    """Return x of every box and bend: the sum of all horizontal steps is least, those of long edges weighing more."""
    block = _blocks(layers, down, up, boxes)
    arcs = []
    for layer in layers:
        for v, w in pairwise(layer):
            between = gap if v < boxes or w < boxes else gap / 2
            arcs.append(Arc(block[v], block[w], math.ceil((widths[v] + widths[w]) / 2 + between)))
    count = max(block) + 1
    for u, targets in enumerate(down):
        for v in targets:
            if block[u] != block[v]:
                # |x[u] - x[v]| is the least x[u] - p + x[v] - p over all p to the left of both.
                weight = _straightness(u, v, down, up, boxes)
                arcs += [Arc(count, block[u], 0, weight), Arc(count, block[v], 0, weight)]
                count += 1
    x = _positions(count, arcs)
    return [float(x[b]) for b in block]


def _blocks(layers: Layers, down: Links, up: Links, boxes: int) -> list[int]:
    """Return a number for each box and bend: the same for a run of bends, or of boxes, that is to be vertical.

    A run ends where it would cross another one to its left.
    """
    root = list(range(len(up)))
    for upper, lower in pairwise(layers):
        place = {v: i for i, v in enumerate(upper)}
        rightmost = -1
        for v in lower:
            u = up[v][0] if len(up[v]) == 1 else v
            is_run = (u >= boxes) if v >= boxes else (u < boxes and len(down[u]) == 1)
            if u != v and is_run and place[u] > rightmost:
                root[v] = root[u]
                rightmost = place[u]
    number = {r: k for k, r in enumerate(dict.fromkeys(root))}
    return [number[r] for r in root]


def _straightness(u: int, v: int, down: Links, up: Links, boxes: int) -> int:
    """Return what a horizontal step from u to v costs."""
    if u >= boxes and v >= boxes:
        return 8
    if u >= boxes or v >= boxes or len(down[u]) == len(up[v]) == 1:
        return 2
    return 1


# Geometry


def _placed(
    sizes: Sequence[tuple[float, float]],
    layers: Layers,
    routes: dict[tuple[int, int], list[int]],
    segments: list[Segment],
    up: Links,
    x: list[float],
    layer_gap: float,
) -> Layout:
    """Return the layout with its upper left corner at the origin; bends pass straight through their layer."""
    count = len(sizes)
    left = min(x[v] - (sizes[v][0] / 2 if v < count else 0.0) for v in range(len(x)))
    x = [value - left for value in x]
    layer_of = {v: k for k, layer in enumerate(layers) for v in layer}
    reach = [0.0] * len(layers)
    for u, v in segments:
        reach[layer_of[v]] = max(reach[layer_of[v]], abs(x[u] - x[v]))
    tops, bottoms, y = [], [], 0.0
    for k, layer in enumerate(layers):
        # A wide step needs height, or its curve lies almost flat.
        y += min(max(layer_gap, 0.12 * reach[k]), 3 * layer_gap) if k else 0.0
        tops.append(y)
        y += max((sizes[v][1] for v in layer if v < count), default=0.0)
        bottoms.append(y)
    centre_y = [(tops[layer_of[v]] + bottoms[layer_of[v]]) / 2 for v in range(count)]
    entry = {v: _entries(v, up[v], x, sizes[v][0]) for v in range(count)}
    paths: dict[tuple[int, int], tuple[Point, ...]] = {}
    for (u, v), stops in routes.items():
        points = [(x[u], centre_y[u] + sizes[u][1] / 2), (x[u], bottoms[layer_of[u]])]
        for bend in stops[1:-1]:
            points += [(x[bend], tops[layer_of[bend]]), (x[bend], bottoms[layer_of[bend]])]
        port = entry[v][stops[-2]]
        points += [(port, tops[layer_of[v]]), (port, centre_y[v] - sizes[v][1] / 2)]
        paths[u, v] = tuple(points)
    width = max(x[v] + (sizes[v][0] / 2 if v < count else 0.0) for v in range(len(x)))
    return Layout(tuple(zip(x[:count], centre_y, strict=True)), paths, width, y)


def _entries(box: int, sources: list[int], x: list[float], width: float) -> dict[int, float]:
    """Return where on the top of `box` the segment from each source enters, from left to right without crossing."""
    step = min(width * 0.7 / max(len(sources), 1), 22.0)
    ordered = sorted(sources, key=lambda u: x[u])
    first = x[box] - step * (len(ordered) - 1) / 2
    return {u: first + step * k for k, u in enumerate(ordered)}
