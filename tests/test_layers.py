"""Who may import whom: rooms import downward only, and every import stands at the top of its file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import graphc

PACKAGE = Path(graphc.__file__).parent

TENSOR = ("ir", "ops", "nest", "tensor", "array", "runtime.state", "runtime.inputs")
USER = (*TENSOR, "autodiff", "compiler", "options", "runtime.executable")
STAGES = ("options", "capture", "pipeline", "budget", "divisions", "guards", "inspect", "staging")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "nest": (),
    "cores": (),
    "llvm": (),
    "target": ("cores", "llvm"),
    "store": (),
    "cache": ("store",),
    "ir": (),
    "ops": ("ir",),
    "passes": ("ir", "ops", "target"),
    "autodiff": ("ir", "ops", "passes.stabilize"),
    "eager": ("ir",),
    "lower": ("ir", "ops", "target"),
    "codegen": ("ir", "target", "cores", "cache", "llvm"),
    "runtime": ("ir.types", "ir.dims", "ir.graph", "ir.calls", "nest", "cores", "options"),
    "tensor": TENSOR,
    "array": TENSOR,
    "options": (),
    "capture": TENSOR,
    "pipeline": ("ir", "passes", "options"),
    "budget": ("ir", "passes", "lower", "options", "pipeline", "target"),
    "divisions": ("ir", "ops"),
    "guards": ("ir", "capture", "divisions", "eager", "options", "runtime"),
    "inspect": ("ir", "lower.cost", "lower.library"),
    "peaks": ("ir", "codegen", "target"),
    "profiling": ("ir", "lower", "codegen", "runtime", "inspect", "peaks", "target"),
    "proof": ("ir", "eager", "inspect.formulas", "runtime.state"),
    "staging": ("ir", "passes", "lower.cost", "options", "capture", "runtime"),
    "compiler": (
        *TENSOR,
        *STAGES,
        "proof",
        "passes",
        "lower",
        "codegen",
        "runtime",
        "target",
        "peaks",
        "profiling",
    ),
    "transforms": USER,
    "concrete": (*USER, "eager", "transforms.tracing"),
}
"""What each room may import besides errors and itself. A room that is not listed is made of Tensors: see USER."""

OUTSIDE = {
    "numpy": None,
    "networkx": None,
}
"""The packages that graphc needs, and the rooms that may use them; None means all."""

LATE = ("graphc.inspect.draw", "graphc.inspect.layout", "importlib.metadata", "multiprocessing", "asyncio")
"""Modules that importing graphc does not import, besides packages: they take long and few need them."""

COMPOSITES = ("nn", "optim", "random", "linalg", "fft", "special")
"""Rooms of functions on Tensors, which may also use each other."""


class Import(NamedTuple):
    room: str
    where: str
    module: str
    is_nested: bool


def imports_of(file: Path) -> Iterator[Import]:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    room, where = parts[0], f"{'/'.join(parts)}.py"
    tree = ast.parse(file.read_text())
    top = {id(n) for n in tree.body}
    exempt = {id(n) for i in tree.body if isinstance(i, ast.If) and _is_type_checking(i) for n in ast.walk(i)}
    for node in ast.walk(tree):
        if id(node) in exempt:
            continue
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}: imports are absolute"
            module = node.module or ""
            names = [f"{module}.{a.name}" for a in node.names] if _is_package(module) else [module]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        for name in names:
            yield Import(room, f"{where}:{node.lineno}", name, id(node) not in top)


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_package(module: str) -> bool:
    """Tell whether what is imported from a module are modules themselves."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return module.split(".")[0] == "graphc" and path.is_dir()


IMPORTS = [i for file in sorted(PACKAGE.rglob("*.py")) for i in imports_of(file)]


def is_allowed(room: str, module: str) -> bool:
    target = module.removeprefix("graphc").removeprefix(".")
    own = target.split(".")[0]
    if room in ("__init__", "cli") or own in ("errors", room):
        return True
    allowed = MAY_IMPORT.get(room)
    if allowed is None:
        allowed = (*USER, "transforms", *COMPOSITES) if room in COMPOSITES else ()
    return any(f"{target}.".startswith(f"{a}.") for a in allowed)


def test_no_import_goes_upward() -> None:
    inside = [i for i in IMPORTS if i.module.split(".")[0] == "graphc"]
    assert len(inside) > 100
    assert [f"{i.where}: {i.module}" for i in inside if not is_allowed(i.room, i.module)] == []


def test_imports_stand_at_the_top() -> None:
    assert [f"{i.where}: {i.module}" for i in IMPORTS if i.is_nested] == []


def test_the_rooms_are_in_order() -> None:
    """There is an order of rooms in which each imports earlier ones only; tensor and array are one room."""
    order: list[str] = []
    waiting = set(MAY_IMPORT) - {"array"}
    while waiting:
        ready = {r for r in waiting if all(a.split(".")[0] in (r, "array", *order) for a in MAY_IMPORT[r])}
        assert ready, f"these rooms import each other: {sorted(waiting)}"
        order += sorted(ready)
        waiting -= ready


def test_packages_from_outside() -> None:
    installed = {"graphc", "__future__", *OUTSIDE}
    modules = {i.module.split(".")[0] for i in IMPORTS}
    assert {m for m in modules if m not in installed and not is_standard(m)} == set()
    for name, rooms in OUTSIDE.items():
        users = {i.room for i in IMPORTS if i.module.split(".")[0] == name}
        assert rooms is None or users <= set(rooms)


def test_what_importing_graphc_imports() -> None:
    """It starts quickly: what only some programs or questions need comes later."""
    program = "import sys; before = set(sys.modules); import graphc; print(*set(sys.modules) - before)"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    modules = run.stdout.split()
    packages = {m.split(".")[0] for m in modules}
    assert {p for p in packages if not is_standard(p)} == {"graphc", "numpy"}
    assert [m for m in modules if m in LATE] == []


def test_what_is_imported_late() -> None:
    """llvmlite, because it takes long, and safetensors, which is an extra."""
    users = {i.where.split(".")[0] for i in IMPORTS if i.module == "importlib"}
    assert users == {"llvm", "nn/files"}


def is_standard(module: str) -> bool:
    return module in sys.stdlib_module_names


def test_code_generation_knows_no_tensor_operation() -> None:
    graphs = ("graphc.ir.graph", "graphc.ir.rewrite", "graphc.ir.text")
    assert [i.where for i in IMPORTS if i.room == "codegen" and i.module.startswith(graphs)] == []


def test_operations_know_no_llvm() -> None:
    assert [i.where for i in IMPORTS if i.room in ("ir", "ops", "passes", "lower") and "llvm" in i.module] == []


@pytest.mark.parametrize(
    ("room", "module", "allowed"),
    [
        ("ir", "graphc.ops", False),
        ("ir", "graphc.errors", True),
        ("ops", "graphc.ir.graph", True),
        ("passes", "graphc.lower.gemm", False),
        ("codegen", "graphc.ops.dot", False),
        ("runtime", "graphc.ir.types", True),
        ("runtime", "graphc.ir.loops", False),
        ("tensor", "graphc.runtime.state", True),
        ("tensor", "graphc.runtime.executable", False),
        ("tensor", "graphc.compiler", False),
        ("nn", "graphc.compiler", True),
        ("nn", "graphc.optim", True),
        ("nn", "graphc.lower.gemm", False),
        ("inspect", "graphc.tensor", False),
        ("__init__", "graphc.compiler", True),
    ],
)
def test_the_rule_itself(room: str, module: str, allowed: bool) -> None:
    assert is_allowed(room, module) == allowed
