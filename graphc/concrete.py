"""Concrete Tensors, which depend on no input of a call: compiled and run when their value is asked for.

Code is kept by how the graph is written: data, which are its constants, the variables it reads and values computed
before, are inputs of the code. Numbers such as 0, 1 and 2 are part of it, as rewrites look for them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from graphc.array.convert import asarray
from graphc.array.values import evaluates, values_of
from graphc.compiler import compile
from graphc.eager import apply_op
from graphc.eager import evaluate as evaluate_eagerly
from graphc.errors import GraphcError, SymbolicValueError
from graphc.ir.found import sizes_of
from graphc.ir.graph import Gather, Graph, Node, View, constant, known_value, placeholder, toposort, variable
from graphc.ir.intern import attr_key
from graphc.nest import flatten
from graphc.ops.shape import concat
from graphc.ops.state import with_update
from graphc.runtime.executable import Executable
from graphc.runtime.state import Cell, holding, share_lock
from graphc.tensor import Tensor
from graphc.transforms.tracing import is_building

Array = np.ndarray[Any, Any]

MAX_KEPT = 512
"""Codes kept; beyond it the one that was used longest ago goes."""

MOST_MOVED = 2**16
"""Elements up to which those of data are moved at once: far less time than code takes to make."""

_codes: OrderedDict[Hashable, Executable] = OrderedDict()
_values: WeakKeyDictionary[Node, Array] = WeakKeyDictionary()
_lock = threading.Lock()


def evaluate(tensors: Any) -> Any:
    """Return a nest of concrete Tensors as the same nest of NumPy arrays, computed by one program.

    A Tensor is concrete if it depends on no placeholder: it is made of constants, which include everything that
    `gx.asarray` was given, and of variables, whose values of this moment count. `t.numpy()` is the same for one Tensor.
    The program is compiled when it is first needed; one that is written alike with other data of the same shapes is
    the same program. What depends on no variable is computed once and kept as long as the Tensor lives.

    Asking is a call of that program: state that a value brings updates of (`gx.with_updates`: running statistics,
    streams of random numbers) moves on each time.

    Raises SymbolicValueError for a Tensor that depends on a placeholder.

    >>> x = gx.asarray([1.0, 2.0, 4.0])
    >>> gx.evaluate({"mean": gx.mean(x), "scaled": x / gx.max(x)})
    {'mean': np.float64(2.3333333333333335), 'scaled': array([0.25, 0.5 , 1.  ])}
    """
    leaves, structure = flatten(tensors)
    nodes = [asarray(leaf).node for leaf in leaves]
    found = values_of("evaluate", nodes, "compile it with gx.compile and call that with arrays")
    return structure.unflatten([a.copy() if a.ndim else a[()] for a in found])


@evaluates
def _evaluate(nodes: Sequence[Node]) -> list[Array]:
    found = [_values.get(n) for n in nodes]
    if all(v is not None for v in found):
        return found  # type: ignore[return-value]
    written = _Written(nodes)
    state = next((n for n in written.leaves if n.op is variable), None)
    if state is not None and is_building(()):
        raise SymbolicValueError(
            f"the value of variable {state.attrs['name']} changes between calls of the function that is being traced; "
            "use gx.cond and gx.where to decide by it"
        )
    results = _computed(written)
    if state is None:
        for node, result in zip(nodes, results, strict=True):
            result.flags.writeable = False
            _values[node] = result
    return results


def _computed(written: _Written) -> list[Array]:
    """Return the values of the results."""
    values = _leaf_values(written.leaves)
    for node in written.moved:
        values[node] = apply_op(node, [values[i] for i in node.inputs])
    if not written.inner:
        return [np.array(values[r], copy=True) for r in written.results]
    arrays = [values[n] for n in written.data]
    try:
        return [np.asarray(r) for r in _code(written)(*arrays)]
    except GraphcError:
        # The code may have been made for other lines of the user's program: the reference names the right ones.
        graph = written.graph()
        evaluate_eagerly(graph, arrays, {v: v.attrs["state"].read() for v in graph.variables})
        raise


class _Written:
    """A graph of concrete nodes from its data on: what is computed, without what it is computed from.

    `leaves` are where it begins, and `moved` what is a little of them in another place: x[k], whose k is no reason for
    other code. Those of both that results or `inner` nodes, the computation, read are `data`, which get their values
    put in. `key` is equal for graphs that are written alike. A graph that updates variables, or has sizes that they
    tell, is about these and no others, so they are no data.
    """

    def __init__(self, results: Sequence[Node]) -> None:
        self.results = tuple(results)
        order = toposort(results, lambda n: () if _is_leaf(n) else n.inputs)
        is_fixed = any(n.op is with_update or next(sizes_of(n), None) is not None for n in order)
        self.leaves = [n for n in order if _is_leaf(n)]
        given = {n for n in self.leaves if not (is_fixed and n.op is variable)}
        self.moved: list[Node] = []
        for node in order:
            if _only_moves(node) and all(i in given for i in node.inputs):
                self.moved.append(node)
                given.add(node)
        self.inner = [n for n in order if n not in given and not _is_leaf(n)]
        read = dict.fromkeys([*[i for n in self.inner for i in n.inputs], *results])
        self.data = [n for n in read if n in given]
        fixed = [n for n in read if n not in given and _is_leaf(n)]
        position = {node: k for k, node in enumerate([*self.data, *fixed, *self.inner])}
        rows = [(n.op, tuple([position[i] for i in n.inputs]), _attrs_key(n), n.type) for n in self.inner]
        types = tuple([n.type for n in self.data])
        self.key = (types, tuple(fixed), tuple(rows), tuple([position[r] for r in results]))

    def graph(self) -> Graph:
        """Return the graph with its data as inputs."""
        new: dict[Node, Node] = {n: n for n in self.leaves}
        new |= {n: placeholder(name=f"data{k}", type=n.tensor_type) for k, n in enumerate(self.data)}
        for node in self.inner:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
        return Graph(tuple([new[n] for n in self.data]), tuple([new[r] for r in self.results]), name="value")


def _attrs_key(node: Node) -> Hashable:
    return tuple([(k, attr_key(node.attrs[k])) for k in sorted(node.attrs)])


def _is_leaf(node: Node) -> bool:
    if node.op is constant:
        return not _is_part_of_code(known_value(node))
    return node.op is variable or node in _values


def _is_part_of_code(value: Any) -> bool:
    """Tell whether a constant is one of the few numbers that rewrites look for."""
    return value.ndim == 0 and (value.dtype.kind == "b" or abs(value.item()) in (0, 0.5, 1, 2, 3, 4))


def _only_moves(node: Node) -> bool:
    """Tell whether a node has elements of others in another place, and few: by any means they are the same bits."""
    moves = isinstance(node.op, View | Gather) or node.op is concat
    return moves and bool(node.inputs) and node.tensor_type.is_static and int(node.tensor_type.size) <= MOST_MOVED


def _leaf_values(leaves: Sequence[Node]) -> dict[Node, Array]:
    """Return the values of leaves, those of variables at one moment."""
    variables = [n for n in leaves if n.op is variable]
    cells: list[Cell] = [n.attrs["state"] for n in variables]
    share_lock(cells)
    with holding(cells):
        values = {n: np.array(c.array, copy=True) for n, c in zip(variables, cells, strict=True)}
    for node in leaves:
        if node.op is not variable:
            known = known_value(node)
            values[node] = _values[node] if known is None else known
    return values


def _code(written: _Written) -> Executable:
    """Return the code for a graph, made if there is none for one that is written alike."""
    with _lock:
        found = _codes.get(written.key)
        if found is not None:
            _codes.move_to_end(written.key)
            return found
    graph = written.graph()
    made = compile([Tensor(i) for i in graph.inputs], [Tensor(o) for o in graph.outputs], name="value")
    with _lock:
        _codes[written.key] = made
        while len(_codes) > MAX_KEPT:
            _codes.popitem(last=False)
    return made
