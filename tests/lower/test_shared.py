"""Groups that are alike share kernels, and a shared kernel is the one that the group alone would get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import entry
from graphc.errors import InternalError
from graphc.ir.graph import OPS, Graph, Literal, Node, Op, constant, placeholder, substitute
from graphc.ir.groups import Group, GroupKind
from graphc.ir.intern import kernel_key
from graphc.ir.types import TensorType
from graphc.lower.program import _Lowering
from graphc.lower.shared import SharedKernels, outline
from graphc.lower.work import Launch, Temporary
from graphc.passes.canonicalize import canonicalize
from graphc.passes.empty import replace_empty
from graphc.passes.fuse import fuse
from graphc.passes.materialize import materialize
from graphc.target import host
from tests.native import NativeGraph
from tests.random_graphs import RandomChoices, random_program
from tests.test_compiled_equals_eager import Oracle

F32 = np.dtype("f4")


def repeated(graph: Graph, times: int) -> Graph:
    """Return a graph that computes the results of `graph` several times, each for inputs of its own."""
    inputs: list[Node] = []
    outputs: list[Node] = []
    results = Graph(graph.inputs, graph.results)
    for _ in range(times):
        own = [placeholder(name=f"x{len(inputs) + k}", type=i.tensor_type) for k, i in enumerate(graph.inputs)]
        inputs += own
        outputs += substitute(results, own)
    return Graph(tuple(inputs), tuple(outputs), name="repeated")


def prepared(graph: Graph) -> Graph:
    return materialize(canonicalize(replace_empty(graph)))


def groups_of(groups: Sequence[Group]) -> Iterator[Group]:
    """Yield the groups that become kernels, also those in bodies of loops."""
    for group in groups:
        if group.kind is GroupKind.REGION:
            for body in group.bodies.values():
                yield from groups_of(body)
        elif all(o.tensor_type.size for o in group.outputs):
            yield group


def operands(launches: list[Launch]) -> list[list[object]]:
    """Return what launches read and write; a temporary array is its number and type."""
    temporaries: dict[object, object] = {}
    found: list[list[object]] = []
    for launch in launches:
        for operand in launch.operands:
            if isinstance(operand, Temporary):
                temporaries.setdefault(operand, (len(temporaries), operand.type))
        row = [temporaries.get(o, o) for o in launch.operands]
        found.append([*row, {temporaries.get(o, o) for o in launch.writes}, launch.same_index, launch.sites])
    return found


@pytest.mark.parametrize("seed", range(60))
def test_a_shared_kernel_is_what_the_group_alone_gets(seed: int) -> None:
    graph = prepared(repeated(random_program(RandomChoices(seed)).graph, 3))
    lower_group = _Lowering(graph, host())._group
    shared = SharedKernels(lower_group)
    kernels = set()
    for group in groups_of(fuse(graph)):
        expected, found = lower_group(group), shared.launches(group)
        assert [kernel_key(e.kernel) for e in found] == [kernel_key(e.kernel) for e in expected]
        assert operands(found) == operands(expected)
        kernels |= {e.kernel for e in found}
    assert len({kernel_key(k) for k in kernels}) == len(kernels)


@pytest.mark.parametrize("seed", range(40))
def test_tables_run_what_straight_code_runs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = random_program(RandomChoices(1000 + seed))
    runs = []
    for steps in (1, 1 << 30):
        monkeypatch.setattr(entry, "TABLE_STEPS", steps)
        runs.append(outcome(NativeGraph(program.graph), program.inputs, program.variables))
    assert runs[0] == runs[1]


def outcome(native: NativeGraph, inputs: Sequence[np.ndarray], variables: dict[Node, np.ndarray]) -> object:
    try:
        return [a.tobytes() for a in native(inputs, variables)]
    except gx.OutOfBoundsError as error:
        return str(error)


def test_a_failure_in_a_table_names_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "TABLE_STEPS", 1)
    given = [placeholder(name=f"i{k}", type=TensorType(np.dtype("i8"), (3,))) for k in range(4)]
    checked = [OPS["check_index"](i, size=2 + k, wrap=False) for k, i in enumerate(given)]
    native = NativeGraph(Graph(tuple(given), tuple(checked), name="checks"))
    inputs = [np.zeros(3, np.int64) for _ in given]
    inputs[2][1] = 7
    with pytest.raises(gx.OutOfBoundsError, match=r"index 7 .* size 4"):
        native(inputs)


def layers(count: int) -> gx.Executable:
    """Return a training step of a network of equal layers."""
    x = h = gx.placeholder((5, 8))
    parameters = []
    for _ in range(count):
        parameters += [gx.variable(np.full((8, 8), 0.1, np.float32)), gx.variable(np.zeros(8, np.float32))]
        h = gx.nn.relu(h @ parameters[-2] + parameters[-1])
    gradients = gx.gradients(gx.sum(h * h), parameters)
    return gx.compile([x], h, updates={p: p - 0.1 * g for p, g in zip(parameters, gradients, strict=True)})


def test_equal_layers_have_the_same_kernels() -> None:
    few, many = layers(4).cost(), layers(30).cost()
    assert many.kernels == few.kernels
    assert many.launches > 5 * few.launches


def test_many_layers_compute_what_the_reference_does() -> None:
    graph = layers(30).graph()
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(-1, 1, (5, 8)).astype(F32)]
    variables = {v: rng.uniform(-0.5, 0.5, v.shape).astype(F32) for v in graph.variables}
    expected = Oracle(frozenset()).results(graph, inputs, variables)
    for ours, theirs in zip(NativeGraph(graph)(inputs, variables), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# What an outline must tell apart.

X, Y = (placeholder(name=n, type=TensorType(F32, (4, 6))) for n in "xy")


def number(value: float) -> Node:
    return constant(value=Literal(np.float32(value)))


def transposed(x: Node) -> Node:
    return OPS["transpose"](OPS["reshape"](x, shape=(6, 4)), axes=(1, 0))


ALIKE = {
    "equal numbers": (X * number(2), Y * number(2)),
    "equal views": (transposed(X) + Y, transposed(Y) + X),
}
DIFFERENT = {
    "operation": (X + Y, X - Y),
    "order": (X - Y - X, X - (Y - X)),
    "same operand": (X + Y, X + X),
    "number": (X * number(2), X * number(3)),
    "sign of zero": (X * number(0.0), X * number(-0.0)),
    "view": (transposed(X) + Y, X + Y),
    "attribute": (OPS["sum"](X, axis=(0,)), OPS["sum"](X, axis=(1,))),
    "dtype": (OPS["cast"](X, dtype=np.dtype("f8")), OPS["cast"](X, dtype=np.dtype("i8"))),
}


def key(root: Node) -> object:
    graph = materialize(Graph((X, Y), (root,)))
    return [outline(g)[0] for g in fuse(graph)][-1]


@pytest.mark.parametrize("case", ALIKE)
def test_alike(case: str) -> None:
    a, b = ALIKE[case]
    assert key(a) == key(b)


@pytest.mark.parametrize("case", DIFFERENT)
def test_different(case: str) -> None:
    a, b = DIFFERENT[case]
    assert key(a) != key(b)


def test_a_fact_that_is_not_known_is_refused() -> None:
    group = Group(GroupKind.POINTWISE, (X,), (X,), space=(4.5,))  # type: ignore[arg-type]
    with pytest.raises(InternalError, match=r"4\.5"):
        outline(group)


def test_every_kind_of_operation_was_shared_somewhere() -> None:
    kinds: set[type[Op]] = set()
    for seed in range(60):
        graph = prepared(random_program(RandomChoices(seed)).graph)
        kinds |= {type(n.op) for g in groups_of(fuse(graph)) for n in g.nodes}
    assert {k.__name__ for k in kinds} >= {"Elementwise", "Reduction", "Contraction", "View"}
