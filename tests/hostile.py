"""Public functions called with what nobody should pass: arguments as texts, so that a call that fails can be repeated.

`calls()` draws calls with hypothesis: a case of the database with some arguments replaced, or hostile ones throughout.
`fault_of(call)` makes one and says what is wrong with how it ended: an exception that is none of graphc's and neither
TypeError nor ValueError, or one of those from inside graphc, or a call that takes too long.
"""

from __future__ import annotations

import contextlib
import inspect
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import graphc as gx
from tests.functions.cases import Case, families, resolved
from tests.functions.coverage import public_names

PACKAGE = str(Path(gx.__file__).parent)
SECONDS = 5.0
"""For one call."""

ELEMENTS = 100_000
"""Results of more elements are not computed."""

NOT_CALLED = {
    "cache.clear": "removes the files of the run",
    "set_threads": "is for the process, and tested on its own",
    "Tensor": "is not made by users",
    "optim.Optimizer": "is abstract",
    "Variable": "is not made by users",
    "Executable": "is not made by users",
    "cache.CacheInfo": "is a record",
}

HOSTILE = (
    # numbers
    "0", "1", "-1", "2", "5", "-7", "True", "False", "0.5", "-1.5", "float('nan')", "float('inf')", "-0.0", "1e300",
    "10**30", "-10**30", "2**31", "2**63", "2**63 - 1", "-2**63", "2**64", "1j", "Fraction(1, 3)", "Decimal('1.5')",
    "np.int64(1)", "np.uint8(255)", "np.float32(1.5)", "np.bool_(True)", "np.float16(1)", "np.complex64(1j)",
    # no arrays at all
    "None", "...", "''", "'x'", "'float32'", "'constant'", "b'ab'", "object()", "int", "type", "np", "len",
    "lambda: 1", "lambda *a: a", "NotImplemented", "ValueError('x')", "{}", "{'a': 1}", "{1, 2}", "frozenset()",
    "iter([1, 2])", "(k for k in range(3))", "range(3)", "range(10**12)", "slice(None)", "slice(1, None, -1)",
    "memoryview(b'abcd')", "bytearray(4)", "np.dtype('float32')", "'float16'", "'complex64'", "np.float64", "Liar()",
    "Odd()", "np.nditer(np.zeros(3))",
    # sequences
    "[]", "()", "[[]]", "[1, 2]", "[1.0, 2.0]", "(0, 1)", "(1, 0)", "(0, 0)", "(-1, -2)", "(-1,)", "(2, 3)", "(3, 2)",
    "(0,)", "(9,)", "(None,)", "(None, None)", "('a', 'b')", "[None, 1]", "[[1, 2], [3]]", "[[1], 2]", "[x, x]",
    "[x, 1]", "[x, y]", "(x, n)", "[object()]", "cyclic()", "deep(50)", "deep(5000)", "(1,) * 64", "(0,) * 65",
    "(2**40, 2**40)", "(2**20, 2**20, 2**20)", "[2**62]", "(10**30,)", "(1.0, 2.0)", "(True, False)", "[1, 'x']",
    "[1, 2, 3, 10**30]", "[float('nan')]", "((1, 2), (3, 4))", "((1, 2, 3),)", "[np.zeros(2), np.zeros(3)]",
    "[(0, 1), (1,)]", "list(range(1000))", "[[[]]]", "[n.shape[0], 3]", "(n.shape[0],)", "(n.shape[0] // 2, -1)",
    # arrays
    "np.zeros(3)", "np.ones((2, 3))", "np.zeros((0,))", "np.zeros((0, 3), np.float32)", "np.zeros((2, 0, 3))",
    "np.array(1.5)", "np.array(3)", "np.array(True)", "np.full((2, 3), np.nan)", "np.full(2, np.inf)",
    "np.arange(6).reshape(2, 3)", "np.array([5, -9])", "np.array([2**63], np.uint64)", "np.array([0, 1], np.int8)",
    "np.array([True, False])", "np.ones((2, 3), bool)", "np.zeros(2, complex)", "np.zeros(2, np.float16)",
    "np.zeros(2, np.longdouble)", "np.array(['a', 'b'])", "np.array([b'a'])", "np.array([object(), None])",
    "np.array([1, 2], object)", "np.zeros(2, 'M8[s]')", "np.zeros(2, 'm8[s]')", "np.zeros(2, 'i4,f4')",
    "np.zeros(2, '>f4')", "np.ones((1,) * 64)", "np.broadcast_to(np.float32(1), (2**20, 2**20))", "np.ma.masked",
    "np.ma.array([1.0, 2.0], mask=[True, False])", "np.matrix([[1, 2]])", "np.zeros((2, 3))[::-1, ::2]",
    "np.zeros(3).view(np.recarray)", "np.void(b'abcd')", "np.str_('x')", "np.datetime64('2020')",
    # tensors
    "x", "x.T", "y", "n", "m", "i", "p", "s", "e", "u", "h", "v", "x[0]", "n[:, 0]", "x > 0", "n.shape", "x.shape",
    "n.shape[0]", "n.shape[0] - 5", "n.shape[0] // 2", "n.shape[0] * m.shape[0]", "gx.zeros((2**40,))",
    "gx.zeros((2**40, 2**30))", "gx.full((2, 3), np.nan)", "gx.ones((1,) * 40)", "gx.arange(n.shape[0])",
)  # fmt: skip


TENSORS = ("x", "y", "n", "m", "i", "p", "s", "e", "u", "h")


class Liar:
    """Something that says it is an array, and is none."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"shape": (2**40,), "typestr": "<f4", "data": (0, True), "version": 3}

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no array after all")

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any:
        raise BufferError("no buffer after all")


class Odd:
    """Something whose methods fail in ways of their own."""

    def __index__(self) -> int:
        raise OverflowError("no index after all")

    def __len__(self) -> int:
        raise AttributeError("no length after all")

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __repr__(self) -> str:
        return "Odd()"

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __hash__(self) -> int:
        raise RuntimeError("not hashable")


def cyclic() -> list[Any]:
    """Return a list that holds itself."""
    found: list[Any] = [1]
    found.append(found)
    return found


def deep(levels: int) -> list[Any]:
    """Return lists in lists."""
    found: list[Any] = [1.0]
    for _ in range(levels):
        found = [found]
    return found


@lru_cache(maxsize=1)
def names() -> dict[str, Any]:
    """Return what the texts may use."""
    from decimal import Decimal  # noqa: PLC0415
    from fractions import Fraction  # noqa: PLC0415

    return {
        "gx": gx, "np": np, "Liar": Liar, "Odd": Odd, "cyclic": cyclic, "deep": deep, "Decimal": Decimal,
        "Fraction": Fraction,
        "x": gx.placeholder((2, 3), name="x"),
        "y": gx.placeholder((4,), "float64", name="y"),
        "n": gx.placeholder(("n", 3), name="n"),
        "m": gx.placeholder((None, None), "float64", name="m"),
        "i": gx.placeholder((2,), "int64", name="i"),
        "u": gx.placeholder((3, 2), "uint8", name="u"),
        "p": gx.placeholder((2, 3), "bool", name="p"),
        "s": gx.placeholder((), name="s"),
        "e": gx.placeholder((0, 3), name="e"),
        "h": gx.placeholder((1,) * 8, name="h"),
        "v": gx.variable(np.ones(3, np.float32), name="v"),
    }  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A call as text: the function's name, its arguments, and the case whose other arguments they stand among."""

    name: str
    args: tuple[str, ...]
    named: tuple[tuple[str, str], ...] = ()
    case: int = -1

    def made(self) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
        """Return the function and the values of its arguments; an empty text is that of the case."""
        case = cases_of(self.name)[self.case] if self.case >= 0 else None
        own: list[Any] = []
        if case is not None:
            own, _ = case.on(lambda *a, **k: (list(a), k), case.placeholders())
        args = [own[k] if text == "" else evaluated(text) for k, text in enumerate(self.args)]
        named = dict(case.named) if case is not None else {}
        return function_of(self.name), args, {**named, **{k: evaluated(t) for k, t in self.named}}

    def __str__(self) -> str:
        args = [t or f"<argument {k} of case {self.case}>" for k, t in enumerate(self.args)]
        return f"gx.{self.name}({', '.join([*args, *[f'{k}={t}' for k, t in self.named]])})"


def evaluated(text: str) -> Any:
    return eval(text, dict(names()))


# Functions.

METHODS = ("__getitem__", "reshape", "transpose", "astype", "__add__", "__matmul__", "__pow__", "__rsub__", "sum")


def function_of(name: str) -> Callable[..., Any]:
    """Return what a name stands for: a public function, or a method of a Tensor as "Tensor.sum"."""
    if name.startswith("at."):
        return lambda t, key, *values: getattr(t.at[key], name[3:])(*values)
    return resolved(gx, name)  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def targets() -> tuple[str, ...]:
    """Return the names of what is called."""
    public = [n for n in public_names() if n not in NOT_CALLED and not _is_error(n)]
    methods = [f"Tensor.{m}" for m in METHODS] + [f"at.{m}" for m in ("set", "add", "multiply", "min", "max")]
    return (*public, *methods)


def _is_error(name: str) -> bool:
    value = resolved(gx, name)
    return isinstance(value, type) and issubclass(value, BaseException)


@lru_cache(maxsize=1)
def _cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for family in families().values():
        for case in family:
            found.setdefault(case.name, []).append(case)
    return found


def cases_of(name: str) -> list[Case]:
    return _cases().get(name, [])


@lru_cache(maxsize=1024)
def parameters_of(name: str) -> tuple[int, int, tuple[str, ...]]:
    """Return the least and largest number of positional arguments, and the names of the others."""
    try:
        found = list(inspect.signature(function_of(name)).parameters.values())
    except (TypeError, ValueError):
        return 0, 4, ()
    places = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = len([p for p in places if p.default is p.empty])
    most = len(places) + 2 * any(p.kind is p.VAR_POSITIONAL for p in found)
    return least, most, tuple([p.name for p in found if p.default is not p.empty and p.kind is not p.POSITIONAL_ONLY])


@st.composite
def calls(draw: Any, name: str) -> Call:
    """Draw a call of a function."""
    hostile = st.sampled_from(HOSTILE)
    cases = cases_of(name)
    if cases and draw(st.booleans()):
        case = draw(st.integers(0, len(cases) - 1))
        count = len(cases[case].args)
        texts = [""] * count
        for place in draw(st.sets(st.integers(0, max(count - 1, 0)), min_size=1, max_size=2)):
            if count:
                texts[place] = draw(hostile)
        extra = _options(draw, name, hostile, skipped=count)
        return Call(name, tuple(texts), extra, case)
    least, most, _ = parameters_of(name)
    args = tuple(draw(st.lists(hostile, min_size=least, max_size=most)))
    if name.startswith(("Tensor.", "at.")):
        args = (draw(st.sampled_from(TENSORS)), *args[1:])
    return Call(name, args, _options(draw, name, hostile, skipped=len(args)))


def _options(draw: Any, name: str, hostile: Any, skipped: int) -> tuple[tuple[str, str], ...]:
    least, _, options = parameters_of(name)
    free = options[max(0, skipped - least) :]
    chosen = draw(st.lists(st.sampled_from(free), max_size=2, unique=True)) if free else []
    return tuple([(option, draw(hostile)) for option in chosen])


# What may come of a call.


class TooLong(BaseException):
    """The time is up."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooLong where what is inside takes longer; again and again, as some callbacks swallow it."""

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault_of(call: Call, run: bool = True) -> str | None:
    """Make a call, and run what it built; return what went wrong beyond an error that says so, if anything."""
    try:
        function, args, named = call.made()
    except Exception:  # noqa: BLE001 - some texts are errors themselves, such as a negative size
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"), limited(SECONDS):
        warnings.simplefilter("ignore")
        return _fault(lambda: function(*args, **named), run)


def fault_of_input(program: gx.Executable, text: str) -> str | None:
    """Call a program of one input with what a text says; return what went wrong, as `fault_of` does."""
    try:
        value = evaluated(text)
    except gx.GraphcError:  # some texts are errors themselves
        return None
    with limited(SECONDS):
        return _fault(lambda: program(value), run=False)


def _fault(make: Callable[[], Any], run: bool) -> str | None:
    try:
        found = make()
        if run:
            _run(found)
    except gx.InternalError as error:
        return _told(error)
    except gx.GraphcError:
        return None
    except (Exception, TooLong) as error:  # noqa: BLE001 - that is what is looked for
        return _told(error) if _is_ours(error) else None
    return None


def _is_ours(error: BaseException) -> bool:
    """Tell whether an error is graphc's: not where Python binds arguments, nor within a function of the user's."""
    files = [f.filename for f in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, TypeError) and (
        "positional argument" in str(error) or not any(f.startswith(PACKAGE) for f in files)
    ):
        return False
    return isinstance(error, TooLong) or _is_inside(files[-1])


def _is_inside(file: str) -> bool:
    """Tell whether a file is of graphc, of NumPy, or this one, whose hostile objects no function may let through."""
    return file.startswith(PACKAGE) or "numpy" in file or file == __file__


def _told(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE)]
    place = f"{frames[-1].filename[len(PACKAGE) + 1 :]}:{frames[-1].lineno}" if frames else "outside"
    return f"{type(error).__name__} at {place}: {str(error)[:200]}"


def _run(found: Any) -> None:
    """Compute what a call built, if that is small and its inputs are known."""
    tensors = [t for t in gx.nest.flatten(found)[0] if isinstance(t, gx.Tensor)]
    given = [names()[k] for k in "xynmiupseh"]
    feeds = [np.ones([3 if not isinstance(s, int) else s for s in t.shape], t.dtype) for t in given]
    small = [t for t in tensors if isinstance(t.size, int) and t.size <= ELEMENTS and _is_small(t)]
    if small:
        gx.compile(given, small, backend="eager")(*feeds)


def _is_small(tensor: gx.Tensor) -> bool:
    """Tell whether everything that a Tensor is computed from is small, of known size, and fed."""
    graph = gx.ir.graph
    own = {names()[k].node for k in "xynmiupseh"}
    for node in graph.toposort([tensor.node]):
        if node.op is graph.placeholder and node not in own:
            return False
        sizes = [t.size for t in (node.type.items if isinstance(node.type, gx.ir.types.TupleType) else (node.type,))]
        if any(not isinstance(s, int) or s > ELEMENTS for s in sizes):
            return False
    return True


def main(name: str, start: str) -> int:
    """Call one function some hundred times; print every fault."""
    faults: dict[str, str] = {}

    @seed(int(start))
    @settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(calls(name))
    def check(call: Call) -> None:
        found = fault_of(call)
        if found is not None:
            faults.setdefault(found.split(":")[0], f"{call}: {found}")

    check()
    sys.stdout.write("".join([f"{fault}\n" for fault in faults.values()]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
