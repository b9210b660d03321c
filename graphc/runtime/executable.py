"""The compiled function as its user holds it: call it, look at what was made of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir.graph import Graph
from graphc.nest import Structure
from graphc.runtime.callpath import MAX_VALUES, Entry, Path
from graphc.runtime.inputs import InputSpec, arrange, check_shape, convert, is_ready, measure

if TYPE_CHECKING:
    from graphc.inspect.explain import Explanation
    from graphc.inspect.profile import Profile
    from graphc.lower.cost import Cost

Array = np.ndarray[Any, Any]

MAX_SPECIALIZATIONS = 64
"""Codes kept for different sizes; beyond it the one that was called longest ago goes."""


STAGES = ("graph", "optimized", "fused", "kernels", "llvm", "asm")
"""What a program can be shown as, from the user's graph to machine code."""


class Runner(Protocol):
    """Code for one set of sizes."""

    def run(self, arrays: Sequence[Array]) -> Sequence[Array]: ...

    def entry(self, shapes: Sequence[tuple[int, ...]]) -> Entry | None: ...


class HasAddress(Protocol):
    """Machine code: the address of its entry point, valid while this object lives."""

    @property
    def address(self) -> int: ...


class Specialization:
    """Code for one set of sizes, and what is known about how it was made."""

    def __init__(
        self, sizes: Mapping[str, int], runner: Runner, seconds: float, stages: Mapping[str, Callable[..., Any]]
    ):
        self.sizes = dict(sizes)
        self.runner = runner
        self.seconds = seconds
        self.stages = stages
        self.entry: Entry | None = None
        self._last_call = 0

    @property
    def last_call(self) -> int:
        """The clock of the function at the last call."""
        return self._last_call if self.entry is None else self.entry.last_call

    @last_call.setter
    def last_call(self, clock: int) -> None:
        self._last_call = clock
        if self.entry is not None:
            self.entry.last_call = clock

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"<Specialization {sizes or 'all sizes known'}: compiled in {self.seconds * 1e3:.0f} ms>"


class Executable:
    """A compiled graph. Call it with arrays, by position or by the names of its inputs.

    The result has the structure that was given to `compile`, as NumPy arrays (a NumPy scalar where the rank is 0) that
    belong to the caller. Code is made for each set of sizes when it is first seen. Calls from several threads at once
    are fine; if a call raises, no variable has changed.

    A call raises InputError for inputs that do not fit, OutOfBoundsError for an index outside its axis.

    >>> x = gx.placeholder(("n",), name="x")
    >>> double = gx.compile([x], {"twice": 2 * x, "sum": gx.sum(x)})
    >>> double(np.array([1, 2, 3], np.float32))
    {'twice': array([2., 4., 6.], dtype=float32), 'sum': np.float32(6.0)}
    >>> double.specializations  # doctest: +ELLIPSIS
    [<Specialization n=3: compiled in ... ms>]
    """

    # A call finds __call__ in the class, and there a slot that gives what is in the instance: machine code that Python
    # enters with no Python function in between.
    __slots__ = (
        "__call__",
        "__weakref__",
        "_by_shapes",
        "_by_sizes",
        "_inputs",
        "_lock",
        "_make",
        "_path",
        "_stages",
        "_structure",
        "name",
    )
    __call__: Callable[..., Any]

    def __init__(
        self,
        name: str,
        inputs: Sequence[InputSpec],
        structure: Structure,
        make: Callable[[Mapping[str, int]], Specialization],
        stages: Mapping[str, Callable[[], Any]],
        caller: HasAddress | None,
        *,
        checked: bool,
    ) -> None:
        self.name = name
        self._inputs = tuple(inputs)
        self._structure = structure
        self._make = make
        self._stages = dict(stages)
        self._by_shapes: dict[tuple[tuple[int, ...], ...], Specialization] = {}
        self._by_sizes: dict[tuple[tuple[str, int], ...], Specialization] = {}
        self._lock = threading.Lock()
        self._path = Path(inputs, structure, self._call)
        is_small = len(self._inputs) + structure.count <= MAX_VALUES
        self.__call__ = self._call if caller is None or not is_small else self._path.callable(caller.address)
        if checked:
            self.specialize()

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Serve a call that the machine code does not: convert arguments, make code for new sizes, wait, or raise."""
        arrays, found = self._prepared(args, kwargs)
        found.last_call = self._path.tick()
        outputs = found.runner.run(arrays)
        return self._structure.unflatten([a if a.ndim else a[()] for a in outputs])

    def _prepared(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Array], Specialization]:
        """Return the arguments as arrays that code can take, and the code for their sizes."""
        specs = self._inputs
        if kwargs or len(args) != len(specs):
            args = tuple(arrange(specs, args, kwargs, self.name))
        arrays = [a if is_ready(spec, a) else convert(spec, a) for spec, a in zip(specs, args, strict=True)]
        shapes = tuple([a.shape for a in arrays])
        found = self._by_shapes.get(shapes)
        if found is None:
            for spec, array in zip(specs, arrays, strict=True):
                check_shape(spec, array)
            found = self._specialization(measure(specs, arrays), shapes)
        return arrays, found

    def specialize(self, **sizes: int) -> Specialization:
        """Make the code for these sizes of the symbolic dimensions now, rather than at the first call.

        >>> x = gx.placeholder(("n", 3), name="x")
        >>> gx.compile([x], gx.sum(x)).specialize(n=100).sizes
        {'n': 100}
        """
        symbols = sorted(
            {s for spec in self._inputs for d in spec.type.shape if not isinstance(d, int) for s in d.symbols()}
        )
        if sorted(sizes) != symbols:
            raise ArgumentError(f"specialize: {self.name} has the sizes {symbols}, got {sorted(sizes)}")
        return self._specialization(
            sizes, tuple([tuple(map(int, spec.type.bind(sizes).shape)) for spec in self._inputs])
        )

    def _specialization(self, sizes: Mapping[str, int], shapes: tuple[tuple[int, ...], ...]) -> Specialization:
        """Return the code for these sizes, with which the inputs have these shapes; made if it is not there."""
        key = tuple(sorted(sizes.items()))
        with self._lock:
            found = self._by_sizes.get(key)
            if found is None:
                found = self._make(sizes)
                found.entry = found.runner.entry(shapes)
                found.last_call = self._path.tick()
                self._by_sizes[key] = found
                self._by_shapes[shapes] = found
                self._drop_oldest()
                if found.entry is not None:
                    self._path.add(found.entry)
            return found

    def _drop_oldest(self) -> None:
        if len(self._by_sizes) <= MAX_SPECIALIZATIONS:
            return
        key = min(self._by_sizes, key=lambda k: self._by_sizes[k].last_call)
        dropped = self._by_sizes.pop(key)
        if dropped.entry is not None:
            self._path.remove(dropped.entry)
        self._by_shapes = {k: s for k, s in self._by_shapes.items() if s is not dropped}

    @property
    def specializations(self) -> list[Specialization]:
        """The codes made so far, one for each set of sizes."""
        return list(self._by_sizes.values())

    @property
    def compile_seconds(self) -> float:
        """Seconds spent making code so far."""
        return sum(s.seconds for s in self.specializations)

    def graph(self, stage: str = "graph") -> Graph:
        """Return the graph as captured ("graph") or as optimised for the sizes last compiled ("optimized")."""
        found = self._stage(stage)
        if not isinstance(found, Graph):
            raise ArgumentError(f"graph: the stage {stage!r} is text; use text({stage!r})")
        return found

    def text(self, stage: str = "optimized") -> str:
        """Return the program as text at a stage: "graph", "optimized", "fused", "kernels", "llvm" or "asm".

        All but the first show the code for the sizes that were called last.
        """
        found = self._stage(stage)
        return found if isinstance(found, str) else self._stages["text"]()(found)

    def cost(self) -> Cost:
        """Return what a call does: flops, transcendentals, bytes, arena_bytes, live_bytes, kernels and launches.

        Counted, not measured, for the sizes that were called last.

        >>> x = gx.placeholder((100,), name="x")
        >>> gx.compile([x], gx.sum(x * x)).cost().flops
        200
        """
        found: Cost = self._stage("cost")
        return found

    def explain(self) -> Explanation:
        """Return what the compiler did for the sizes called last, and why; print it to read it.

        It tells which rules rewrote what and where in the user's program, which operations became one kernel, what
        one call costs and where the time of compiling went. Its attributes hold all of that as data, and
        `explain().diff("simplify")` shows the graph before and after a pass.

        >>> x = gx.placeholder((3,), name="x")
        >>> print(gx.compile([x], gx.log(1 + x * 1), name="f").explain())  # doctest: +ELLIPSIS
        f: 1 kernel for ... operations, compiled in ... ms
        ...
        """
        found: Explanation = self._stage("explain")
        return found

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Measure where the time of a call with these arguments goes: print it, or see `kernels` and `save_trace`.

        Calls are repeated for about half a second on copies of the variables, which keep their values. For each kernel
        it tells the time, its share, operations and bytes a second, how near that is to what the machine can do, and
        the lines of the program that it comes from. Raises as a call does.

        >>> x = gx.placeholder((1000,), name="x")
        >>> print(gx.compile([x], gx.sum(gx.exp(x)), name="f").profile(np.ones(1000, np.float32)))  # doctest: +ELLIPSIS
        f: one call takes ... us
        ...
        """
        arrays, found = self._prepared(args, kwargs)
        if "profile" not in found.stages:
            raise ArgumentError(f"profile: {self.name} runs on the eager backend, which has no kernels to time")
        made: Profile = found.stages["profile"](arrays)
        return made

    def _stage(self, stage: str) -> Any:
        latest = max(self.specializations, key=lambda s: s.last_call, default=None)
        for stages in (latest.stages if latest is not None else {}, self._stages):
            if stage in stages and stage != "text":
                return stages[stage]()
        if stage in (*STAGES, "cost", "explain") and latest is not None:
            raise ArgumentError(f"{self.name} runs on the eager backend, which makes nothing to show as {stage!r}")
        if stage in (*STAGES, "cost", "explain"):
            raise ArgumentError(
                f"text: no code has been made yet to show at stage {stage!r}; call {self.name} or use specialize(...)"
            )
        raise ArgumentError(f"text: there is no stage {stage!r}; there are {', '.join(STAGES)}")

    def __repr__(self) -> str:
        inputs = ", ".join(f"{s.name}: {s.type}" for s in self._inputs)
        return f"<Executable {self.name}({inputs}), {len(self._by_sizes)} specializations>"
