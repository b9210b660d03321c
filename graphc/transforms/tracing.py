"""Functions of nests of Tensors as compiled functions of nests of arrays: `jit`, and what all transforms share.

A transformed function builds a graph where it is given Tensors, or while another one is being traced. Given arrays, it
is traced with placeholders once for each signature, compiled, and run.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import nest
from graphc.array.handle import Handle
from graphc.compiler import compile as compile_graph
from graphc.errors import ArgumentError, shown
from graphc.options import Options
from graphc.runtime.executable import Executable
from graphc.tensor import placeholder

Function = Callable[..., Any]

MAX_SIGNATURES = 256
"""Compiled signatures that one function keeps; beyond it the one that was made first goes."""


class _State(threading.local):
    depth = 0


_state = _State()


@contextmanager
def tracing() -> Iterator[None]:
    """While inside, transformed functions of this thread build graphs, whatever they are given."""
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1


def is_building(leaves: Iterable[Any]) -> bool:
    """Tell whether a call with these values is to build a graph rather than to run."""
    return _state.depth > 0 or any(isinstance(v, Handle) for v in leaves)


def is_array_like(value: Any) -> bool:
    """Tell whether a value is an array, a number, or something that NumPy takes for an array."""
    return isinstance(value, Handle | np.ndarray | np.generic | bool | int | float | complex) or hasattr(
        value, "__array__"
    )


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call: the arrays in it, and how to put others in their place among all the rest.

    `key` is hashable, and equal for arguments that differ in the arrays alone. `fixed` are the leaves that are no
    arrays and where they stand among the leaves.
    """

    arrays: list[Any]
    key: Any
    structure: nest.Structure
    fixed: list[tuple[int, Any]]

    def rebuilt(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return args and kwargs with other values for the arrays."""
        args, kwargs = self.structure.unflatten(_with_fixed(arrays, self.fixed))
        return args, kwargs


def _with_fixed(values: Iterable[Any], fixed: Iterable[tuple[int, Any]]) -> list[Any]:
    leaves = list(values)
    for k, value in fixed:
        leaves.insert(k, value)
    return leaves


class _Fixed:
    """An argument that is not traced, as a leaf."""

    def __init__(self, value: Any) -> None:
        self.value = value


def arguments_of(name: str, fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any], static: Static) -> Arguments:
    """Take the arguments of a call apart. Raises ArgumentError for one that is neither array nor hashable."""
    args = tuple([_Fixed(a) if static.is_position(k, len(args)) else a for k, a in enumerate(args)])
    kwargs = {k: _Fixed(v) if k in static.names else v for k, v in kwargs.items()}
    leaves, structure = nest.flatten((args, kwargs))
    arrays, fixed = [], []
    for k, leaf in enumerate(leaves):
        if is_array_like(leaf):
            arrays.append(leaf)
        else:
            fixed.append((k, leaf.value if isinstance(leaf, _Fixed) else leaf))
    key = (structure, tuple([(k, type(v), v) for k, v in fixed]))
    try:
        hash(key)
    except TypeError:
        raise _not_hashable(name, fn, args, kwargs, fixed) from None
    return Arguments(arrays, key, structure, fixed)


def _not_hashable(
    name: str, fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any], fixed: list[tuple[int, Any]]
) -> ArgumentError:
    places = _places(fn, args, kwargs)
    for k, value in fixed:
        try:
            hash(value)
        except TypeError:
            return ArgumentError(
                f"{name}: takes arrays, numbers and nests of them, and hashable values that are static; got "
                f"{places[k]}, an object of type {type(value).__name__}"
            )
    return ArgumentError(f"{name}: the keys of dicts must be hashable")


def _places(fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    """Return what the leaves of arguments are called: by the parameter's name and the way into its nest."""
    names = [f"arg{k}" for k in range(len(args))]
    for k, parameter in enumerate(_parameters(fn)[: len(args)]):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names[k] = parameter.name
    given = [*zip(names, args, strict=True), *sorted(kwargs.items())]  # as the leaves of a nest
    return [name + path for name, value in given for path in nest.paths(value)]


def _parameters(fn: Function) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return []


def _input_names(places: Iterable[str]) -> list[str]:
    """Return a different identifier for each place: params_w for params['w']."""
    names: dict[str, None] = {}
    for place in places:
        base = re.sub(r"\W+", "_", place).strip("_")
        name = next(n for n in itertools.chain([base], (f"{base}_{k}" for k in itertools.count(2))) if n not in names)
        names[name] = None
    return list(names)


@dataclass(frozen=True)
class Static:
    """Which arguments are not traced: by position (from the end where negative) or by name."""

    positions: tuple[int, ...]
    names: tuple[str, ...]

    def is_position(self, k: int, count: int) -> bool:
        return k in self.positions or k - count in self.positions


def static_of(name: str, fn: Function, positions: Any, names: Any) -> Static:
    """Return the static arguments of a function, each by position and by name where it has both."""
    numbers = (positions,) if isinstance(positions, int) else tuple(positions or ())
    words = (names,) if isinstance(names, str) else tuple(names or ())
    if not all(isinstance(p, int) for p in numbers) or not all(isinstance(n, str) for n in words):
        raise ArgumentError(f"{name}: static arguments are ints and names, got {shown(positions)} and {shown(names)}")
    parameters = _parameters(fn)
    if not parameters:
        return Static(numbers, words)
    plain = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [w for w in words if w not in [p.name for p in parameters]]
    if unknown and not takes_any:
        raise ArgumentError(f"{name}: there is no argument {unknown[0]!r}; there are {', '.join(plain) or 'none'}")
    words += tuple([plain[p] for p in numbers if -len(plain) <= p < len(plain)])
    numbers += tuple([plain.index(w) for w in words if w in plain])
    return Static(tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(words)))


def float_leaf(value: Any, arrays: Sequence[Any]) -> Any:
    """Return a Python float as it is traced: in the widest floating dtype among the arrays it comes with, else as
    float64, so that a learning rate next to float32 arrays does not widen them."""
    if type(value) is not float:
        return value
    floats = [a.dtype for a in arrays if getattr(getattr(a, "dtype", None), "kind", "") == "f"]
    return np.asarray(value, np.result_type(*floats) if floats else np.float64)


@dataclass(frozen=True)
class _Made:
    """Code for one signature; `result` puts what the function returned besides arrays back among its results."""

    executable: Executable
    result: tuple[nest.Structure, list[tuple[int, Any]]] | None

    def finish(self, outputs: Any) -> Any:
        if self.result is None:
            return outputs
        structure, fixed = self.result
        return structure.unflatten(_with_fixed(outputs, fixed))


class Compiled:
    """A function of nests of Tensors that also takes nests of arrays, for which it is compiled.

    `build` makes the result of Tensors; `fn` is the user's function, whose name and arguments it has.
    """

    def __init__(
        self,
        name: str,
        fn: Function,
        build: Function,
        *,
        static_argnums: Any = None,
        static_argnames: Any = None,
        options: Options | None = None,
        backend: str = "llvm",
    ) -> None:
        if not callable(fn):
            raise ArgumentError(f"{name}: takes a function, got {shown(fn)}")
        functools.update_wrapper(self, fn)
        self._name, self._fn, self._build = name, fn, build
        self._static = static_of(name, fn, static_argnums, static_argnames)
        self._options, self._backend = options, backend
        self._made: dict[Any, _Made] = {}
        self._plain: dict[Any, Executable] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and not _state.depth:
            shapes = tuple([(a.dtype, a.shape) for a in args if type(a) is np.ndarray])
            plain = self._plain.get(shapes) if len(shapes) == len(args) else None
            if plain is not None:
                return plain(*args)
        given = arguments_of(self._name, self._fn, args, kwargs, self._static)
        if is_building(given.arrays):
            return self._build(*args, **kwargs)
        arrays = self._as_arrays(given)
        made = self._for(given, arrays, args, kwargs)
        return made.finish(made.executable(*arrays))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A decorated method: the instance is the first argument."""
        return self if instance is None else functools.partial(self, instance)

    def compiled(self, *args: Any, **kwargs: Any) -> Executable:
        """Return the Executable that a call with these arrays runs, to look at: its text, explain(), cost(), ...

        Its inputs are the arrays among the arguments in order, its outputs those of the result.

        >>> double = gx.jit(lambda x: 2 * x)
        >>> double.compiled(np.ones(3)).cost().flops
        3
        """
        given = arguments_of(self._name, self._fn, args, kwargs, self._static)
        if any(isinstance(a, Handle) for a in given.arrays):
            raise ArgumentError(f"{self._name}: compiled takes arrays, got a Tensor")
        return self._for(given, self._as_arrays(given), args, kwargs).executable

    def _as_arrays(self, given: Arguments) -> list[np.ndarray[Any, Any]]:
        return [a if isinstance(a, np.ndarray) else np.asarray(float_leaf(a, given.arrays)) for a in given.arrays]

    def _for(
        self,
        given: Arguments,
        arrays: Sequence[np.ndarray[Any, Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Made:
        shapes = tuple([(a.dtype, a.shape) for a in arrays])
        key = (given.key, shapes)
        made = self._made.get(key)
        if made is not None:
            return made
        with self._lock:
            made = self._made.get(key) or self._make(given, arrays, args, kwargs)
            self._made[key] = made
            if made.result is None and not kwargs and all(type(a) is np.ndarray for a in args):
                self._plain[shapes] = made.executable
            while len(self._made) > MAX_SIGNATURES:
                self._made.pop(next(iter(self._made)))
                self._plain.clear()
        return made

    def _make(
        self,
        given: Arguments,
        arrays: Sequence[np.ndarray[Any, Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Made:
        held = {k for k, _ in given.fixed}
        names = _input_names([p for k, p in enumerate(_places(self._fn, args, kwargs)) if k not in held])
        inputs = [placeholder(a.shape, a.dtype, name=n) for a, n in zip(arrays, names, strict=True)]
        args, kwargs = given.rebuilt(inputs)
        with tracing():
            result = self._build(*args, **kwargs)
        leaves, structure = nest.flatten(result)
        fixed = [(k, v) for k, v in enumerate(leaves) if not is_array_like(v)]
        called = getattr(self._fn, "__name__", "function")

        def compiled(outputs: Any) -> Executable:
            return compile_graph(inputs, outputs, name=called, options=self._options, backend=self._backend)

        if not fixed:
            return _Made(compiled(result), None)
        return _Made(compiled([v for v in leaves if is_array_like(v)]), (structure, fixed))

    def __repr__(self) -> str:
        return f"<{self._name}({getattr(self._fn, '__name__', self._fn)!s}), {len(self._made)} signatures>"


def jit(
    fn: Function | None = None,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Sequence[str] | None = None,
    options: Options | None = None,
    backend: str = "llvm",
) -> Any:
    """Return `fn` compiled: traced once for each signature of its arguments, then run natively.

    Arguments and results are nests (lists, tuples, dicts, dataclasses, None) of arrays and numbers. A signature is the
    nests' structure and each array's dtype and shape. Python numbers are traced: an int as int64, a float in the
    floating dtype of the arrays beside it, alone as float64. Whatever cannot be an array (a string, a function, a
    Module) is static: for each value of it `fn` is traced anew, as for the arguments that static_argnums and
    static_argnames name. Variables that `fn` uses are read at each call. Called with Tensors, or inside of another
    function that is being traced, it builds the graph of `fn` in place.

    Works as a decorator, with or without options, and on methods. Raises what tracing `fn` raises; bool(), float() or
    iteration of a traced value raise SymbolicValueError, which tells what to use instead.

    >>> @gx.jit
    ... def normalize(x, eps=1e-6):
    ...     return (x - gx.mean(x)) / (gx.std(x) + eps)
    >>> normalize(np.array([1.0, 2.0, 3.0])).round(3)
    array([-1.225,  0.   ,  1.225])
    """
    if fn is None:
        return functools.partial(
            jit, static_argnums=static_argnums, static_argnames=static_argnames, options=options, backend=backend
        )
    return Compiled(
        "jit", fn, fn, static_argnums=static_argnums, static_argnames=static_argnames, options=options, backend=backend
    )
