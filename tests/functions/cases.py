"""The database of public functions: what a use of one is, and how it is built over known, unknown and mapped sizes.

A family is a file beside this one with a list CASES, owned by whoever adds its functions. A line is one use:

    Case("median", f64((5, 4)), axis=0)                      gx.median against np.median
    Case("special.xlogy", f64((7,), 0.1, 3), f64((7,)), reference=scipy.special.xlogy)
    Case("concat", [f32((2, 3)), f32((1, 3))], reference=np.concatenate)
    Case("matmul", f64((3, "k4")), f64(("k4", 5)))           k is one unknown size, here 4

`test_functions.py` takes it from there: value, dtype and shape in native code and on the eager backend, unknown sizes,
derivatives in both modes, vmap, NumPy's protocols, arrays in place of Tensors.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx
from graphc.ir.types import DTYPES
from graphc.nest import flatten
from tests.ops.samples import Spec

Array = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Input(Spec):
    """An input of a case: a Spec, the names of its sizes where inputs share them, and its values where they are given.

    An entry of a shape such as "n3" is a size called n, 3 in this case.
    """

    names: tuple[str | None, ...] = ()
    values: Array | None = field(default=None, compare=False)

    def array(self, seed: int = 0) -> Array:
        return super().array(seed) if self.values is None else self.values

    def grown(self) -> Input:
        """Return the input with every size above 1 larger by 1: equal sizes stay equal, 1 still broadcasts."""
        return replace(self, shape=tuple([s + (s > 1) for s in self.shape]))

    def placeholder(self, name: str, symbolic: bool = False) -> gx.Tensor:
        shape: tuple[Any, ...] = self.shape
        if symbolic:
            names = self.names or (None,) * len(shape)
            shape = tuple([1 if s == 1 else n for s, n in zip(shape, names, strict=True)])
        return gx.placeholder(shape, DTYPES[self.dtype], name=name)


Shape = int | tuple[int | str, ...]


def _input(dtype: str, shape: Shape, low: float, high: float, strict: bool) -> Input:
    entries = shape if isinstance(shape, tuple) else (shape,)
    names: list[str | None] = []
    sizes: list[int] = []
    for entry in entries:
        name, size = re.fullmatch(r"([a-z]*)(\d+)", str(entry)).groups()  # type: ignore[union-attr]
        names.append(name or None)
        sizes.append(int(size))
    return Input(tuple(sizes), dtype, low, high, strict, tuple(names))


def _shorthand(dtype: str, low: float = -2, high: float = 2) -> Callable[..., Input]:
    """Return what makes inputs of a dtype: values between `low` and `high`, no two floats the same."""

    def make(shape: Shape = (), low: float = low, high: float = high, strict: bool = False) -> Input:
        return _input(dtype, shape, low, high, strict)

    return make


f32, f64 = _shorthand("f32"), _shorthand("f64")
i8, i16, i32, i64 = [_shorthand(f"i{bits}", -9, 9) for bits in (8, 16, 32, 64)]
u8, u16, u32, u64 = [_shorthand(f"u{bits}", 0, 9) for bits in (8, 16, 32, 64)]
bools = _shorthand("bool")


def given(values: Any, dtype: Any = None) -> Input:
    """Return an input of these values: sorted ones, ties, infinities, indices. Its case runs at its own sizes only."""
    array = np.asarray(values, dtype)
    name = next(n for n, d in DTYPES.items() if d == array.dtype)
    return Input(array.shape, name, names=(None,) * array.ndim, values=array)


class Case:
    """One use of a public function.

    name         as after `gx.`: "median", "special.xlogy"
    args         what it is called with; inputs may stand anywhere in lists, tuples and dicts
    reference    what gives the expected result from the same arguments: NumPy's function of that name by default
    derivative   whether derivatives are checked, where inputs and outputs are floats: False at kinks and jumps
    second       whether that of second order is
    symbolic     whether sizes may be unknown; False says that then an error of graphc's must be raised
    resize       whether the graph over unknown sizes also runs at others; False where other arguments fix the sizes
    batched      whether vmap over a new first axis is checked
    protocol     whether NumPy's function of that name, called with Tensors, must build the same graph
    values       whether values are compared with the reference, and not just dtypes and shapes (random numbers)
    tolerance    rounding errors of a float result, relative to the largest element; 0 where data is only moved
    smoothness   error that the differences for a derivative may have, relative
    options      keyword arguments that are called as one of the above
    named        keyword arguments
    """

    def __init__(
        self,
        name: str,
        *args: Any,
        reference: Callable[..., Any] | None = None,
        derivative: bool = True,
        second: bool = True,
        symbolic: bool = True,
        resize: bool = True,
        batched: bool = True,
        protocol: bool = True,
        values: bool = True,
        tolerance: float = 32,
        smoothness: float = 1e-6,
        options: dict[str, Any] | None = None,
        **named: Any,
    ) -> None:
        self.name, self.args, self.named = name, args, {**(options or {}), **named}
        self._reference = reference
        self.derivative, self.second = derivative, second
        self.symbolic, self.resize, self.batched, self.protocol = symbolic, resize, batched, protocol
        self.values, self.tolerance, self.smoothness = values, tolerance, smoothness
        self.inputs: list[Input] = list(_inputs((args, self.named)))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(str(i.type).replace(' ', '') for i in self.inputs)})"

    # What is called.

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The public function."""
        return resolved(gx, self.name)  # type: ignore[no-any-return]

    @cached_property
    def numpy_function(self) -> Callable[..., Any] | None:
        """NumPy's function of the same name, if there is one."""
        found = resolved(np, self.name)
        return found if callable(found) else None

    def expected(self, arrays: Sequence[Array]) -> list[Array]:
        """Return what the reference gives: the leaves of its result."""
        reference = self._reference or self.numpy_function
        assert reference is not None, f"NumPy has no {self.name}: the case needs reference="
        with np.errstate(all="ignore"):
            return [np.asarray(leaf) for leaf in leaves(self.on(reference, arrays))]

    def on(self, function: Callable[..., Any], values: Sequence[Any]) -> Any:
        """Return `function` called with these values in place of the inputs."""
        rest = iter(values)
        args, named = _filled((self.args, self.named), rest)
        return function(*args, **named)

    def outputs(self, tensors: Sequence[Any]) -> list[gx.Tensor]:
        """Return the Tensors that the function makes of these."""
        return leaves(self.on(self.function, tensors))

    # Inputs.

    def arrays(self, seed: int = 0) -> list[Array]:
        """Return values for the inputs."""
        return [s.array(k + seed) for k, s in enumerate(self.inputs)]

    def placeholders(self, symbolic: bool = False) -> list[gx.Tensor]:
        """Return placeholders for the inputs; with `symbolic`, every size but 1 is unknown."""
        return [s.placeholder(f"x{k}", symbolic) for k, s in enumerate(self.inputs)]

    def with_inputs(self, inputs: Sequence[Input]) -> Case:
        """Return the same use of other inputs."""
        case = object.__new__(Case)
        rest = iter(inputs)
        case.__dict__.update(self.__dict__)
        case.args, case.named = _filled((self.args, self.named), rest)
        case.inputs = list(inputs)
        return case

    def grown(self) -> Case | None:
        """Return the case at other sizes; None where there are none."""
        can_grow = self.resize and all(s.values is None for s in self.inputs)
        other = [s.grown() for s in self.inputs]
        return self.with_inputs(other) if can_grow and other != self.inputs else None

    def in_float64(self) -> Case:
        """Return the case with floats of 64 bits."""

        def widened(spec: Input) -> Input:
            if spec.dtype != "f32":
                return spec
            values = None if spec.values is None else spec.values.astype(np.float64)
            return replace(spec, dtype="f64", values=values)

        return self.with_inputs([widened(s) for s in self.inputs])


def leaves(value: Any) -> list[Any]:
    """Return the leaves of a nest; an object with named results (NumPy's are tuples) counts as one."""
    return flatten(value)[0]


def resolved(root: Any, name: str) -> Any:
    """Return root.a.b for "a.b"; None if there is no such thing."""
    for part in name.split("."):
        root = getattr(root, part, None)
    return root


def _inputs(nest: Any) -> Iterator[Input]:
    if isinstance(nest, Input):
        yield nest
    elif isinstance(nest, list | tuple):
        for part in nest:
            yield from _inputs(part)
    elif isinstance(nest, dict):
        for part in nest.values():
            yield from _inputs(part)


def _filled(nest: Any, values: Iterator[Any]) -> Any:
    if isinstance(nest, Input):
        return next(values)
    if type(nest) in (list, tuple):
        return type(nest)([_filled(part, values) for part in nest])
    if type(nest) is dict:
        return {key: _filled(part, values) for key, part in nest.items()}
    return nest


@lru_cache(maxsize=1)
def families() -> dict[str, list[Case]]:
    """Return the cases of every file in this folder that has a list CASES."""
    found = {}
    for file in sorted(FOLDER.glob("*.py")):
        if file.stem not in ("cases", "coverage") and not file.stem.startswith("test_"):
            found[file.stem] = list(importlib.import_module(f"tests.functions.{file.stem}").CASES)
    return found
