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
from graphc.eager import evaluate as evaluate_eagerly
from graphc.errors import GraphcError, SymbolicValueError
from graphc.ir.found import sizes_of
from graphc.ir.graph import Graph, Node, constant, known_value, placeholder, toposort, variable
from graphc.ir.intern import attr_key
from graphc.nest import flatten
from graphc.ops.state import with_update
from graphc.runtime.executable import Executable
from graphc.runtime.state import Cell, holding, share_lock
from graphc.tensor import Tensor
from graphc.transforms.tracing import is_building

Array = np.ndarray[Any, Any]

MAX_KEPT = 512
"""Codes kept; beyond it the one that was used longest ago goes."""

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
    arrays = _arrays(written.data)
    executable = _code(written)
    try:
        results = executable(*arrays)
    except GraphcError:
        # The code may have been made for other lines of the user's program: the reference names the right ones.
        graph = written.graph()
        evaluate_eagerly(graph, arrays, {v: v.attrs["state"].read() for v in graph.variables})
        raise
    results = [np.asarray(r) for r in results]
    if state is None:
        for node, result in zip(nodes, results, strict=True):
            result.flags.writeable = False
            _values[node] = result
    return results


class _Written:
    """A graph of concrete nodes from its data on: what is computed, without what it is computed from.

    `leaves` are where it begins; those that are `data` get their values put in. `key` is equal for graphs that are
    written alike. A graph that updates variables, or has sizes that they tell, is about these
    and no others, so they are no data.
    """

    def __init__(self, results: Sequence[Node]) -> None:
        self.results = tuple(results)
        self.leaves: list[Node] = []
        self.inner: list[Node] = []
        order = toposort(results, lambda n: () if _is_leaf(n) else n.inputs)
        is_fixed = any(n.op is with_update or next(sizes_of(n), None) is not None for n in order)
        position = {node: k for k, node in enumerate(order)}
        rows: list[Hashable] = []
        for node in order:
            if _is_leaf(node):
                self.leaves.append(node)
                rows.append(node if is_fixed and node.op is variable else node.type)
                continue
            self.inner.append(node)
            attrs = tuple([(k, attr_key(node.attrs[k])) for k in sorted(node.attrs)])
            rows.append((node.op, tuple([position[i] for i in node.inputs]), attrs, node.type))
        self.data = [n for n in self.leaves if not (is_fixed and n.op is variable)]
        self.key = (tuple(rows), tuple([position[r] for r in results]))

    def graph(self) -> Graph:
        """Return the graph with its data as inputs."""
        new: dict[Node, Node] = {n: n for n in self.leaves}
        new |= {n: placeholder(name=f"data{k}", type=n.tensor_type) for k, n in enumerate(self.data)}
        for node in self.inner:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
        return Graph(tuple([new[n] for n in self.data]), tuple([new[r] for r in self.results]), name="value")


def _is_leaf(node: Node) -> bool:
    if node.op is constant:
        return not _is_part_of_code(known_value(node))
    return node.op is variable or node in _values


def _is_part_of_code(value: Any) -> bool:
    """Tell whether a constant is one of the few numbers that rewrites look for."""
    return value.ndim == 0 and (value.dtype.kind == "b" or abs(value.item()) in (0, 0.5, 1, 2, 3, 4))


def _arrays(data: Sequence[Node]) -> list[Array]:
    """Return the values of data, those of variables at one moment."""
    cells: list[Cell] = [n.attrs["state"] for n in data if n.op is variable]
    share_lock(cells)
    with holding(cells):
        copies = {c: np.array(c.array, copy=True) for c in cells}
    return [_array(n, copies) for n in data]


def _array(node: Node, copies: dict[Cell, Array]) -> Array:
    if node.op is variable:
        return copies[node.attrs["state"]]
    known = known_value(node)
    return _values[node] if known is None else known


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
