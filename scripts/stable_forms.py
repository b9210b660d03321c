"""Write docs/stable-forms.md: errors of the formulas of tests/stable_forms.py in graphc, and in jax and torch."""

from __future__ import annotations

import importlib
import math
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx
from tests.stable_forms import ALL, Form, Rows, arguments, errors, graph_of, weighed

PAGE = Path(__file__).parent.parent / "docs" / "stable-forms.md"
HEAD = """# Formulas as they stand in textbooks

`log(1 + exp(x))` overflows where the answer is plainly x, `exp(x) - 1` loses every digit near 0, and their derivatives
are 0 * inf or inf / inf. graphc recognises such formulas and computes what they mean. There is nothing to switch on:
the pass is called `stabilize` and runs in every compilation. What it did to a program stands in `step.explain()`, and
the graph that came out in `step.text("optimized")`. Derivatives are taken of the stable forms, so `backend="eager"` has
them too, apart from what cancels in a derivative itself (far out, those of tanh, sigmoid and log(erfc)); its values are
those of the formula as it is written.

Recognised are the formulas below, with their operands in any order, along any axes, with and without `keepdims`, and
inside larger formulas. They are not recognised across a value that one differentiates by, across the border of a
loop's body, or where a number is nearly but not exactly 1.

These stay as they are written, because what one would want is another function, or because it would take too long:
`x * log(x)` at 0 (NaN; use `gx.where`), `exp(-x * x)` and with it the derivative of erf (off by up to x * x / 2 ULP),
`sqrt(sum(x * x))` where x * x is out of range, three squares under a root, `log(cosh(x))`, and `0 * inf` outside a
`where`. The difference that log_softmax is cannot be exact in every digit where one element is nearly all of the sum.

A form may take longer than the formula did: `sqrt(x*x + y*y)` becomes `hypot`, about three times the time in cache;
`erfc` takes up to twice that of `erf`; `log(1 - exp(x))` has a form for each side of -log(2) and computes both.

"""
TABLE = """## Errors

The largest error among the points listed in `tests/stable_forms.py`, in units in the last place of the exact value, as
found with mpmath at 60 digits. f32 and f64 are values, f32' and f64' derivatives; those of rows are measured by the
size of the terms that are summed. `NaN` stands where a real number came out as NaN, and `wrong` where the error is more
than 2^20 ULP in float32 or 2^49 in float64: an overflow, or a number of which three digits are not right.
{versions}

"""
WRONG = {"float32": 2.0**20, "float64": 2.0**49}
"""Errors in ULP beyond which fewer than three digits are left."""

Runner = Callable[[Form, Sequence[np.ndarray]], Sequence[np.ndarray]]


def run_graphc(form: Form, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    names, wanted = graph_of(form, inputs)
    return gx.compile(names, wanted)(*inputs)


def jax_runner() -> Runner:
    jax = importlib.import_module("jax")
    special = importlib.import_module("jax.scipy.special")
    jax.config.update("jax_enable_x64", True)
    functions = Rows(jax.numpy, erf=special.erf, erfc=special.erfc, ndtr=special.ndtr, sigmoid=jax.nn.sigmoid)

    def run(form: Form, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        def total(*args: Any) -> Any:
            value = form.write(functions, *args)
            return weighed(form, value, lambda w: jax.numpy.asarray(w, inputs[0].dtype)).sum(), value

        places = tuple(range(len(inputs)))
        (_, value), slopes = jax.jit(jax.value_and_grad(total, argnums=places, has_aux=True))(*inputs)
        return [np.asarray(a) for a in (value, *slopes)]

    return run


def torch_runner() -> Runner:
    torch = importlib.import_module("torch")

    def along(f: Callable[..., Any]) -> Callable[[Any], Any]:
        return lambda x: f(x, dim=-1, keepdim=True)

    functions = Rows(
        torch, erf=torch.erf, erfc=torch.erfc, ndtr=torch.special.ndtr, sigmoid=torch.sigmoid,
        sum=along(torch.sum), mean=along(torch.mean), max=along(torch.amax),
    )  # fmt: skip

    def run(form: Form, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        args = [torch.tensor(x, requires_grad=True) for x in inputs]
        value = form.write(functions, *args)
        weighed(form, value, lambda w: torch.tensor(w, dtype=args[0].dtype)).sum().backward()
        return [a.detach().numpy() for a in (value, *[x.grad for x in args])]

    return run


PEERS: dict[str, Callable[[], Runner]] = {"jax": jax_runner, "torch": torch_runner}


def installed() -> dict[str, Runner]:
    """Return the libraries to measure, by their name and version."""
    found: dict[str, Runner] = {"graphc": run_graphc}
    for name, make in PEERS.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        found[f"{name} {module.__version__.partition('+')[0]}"] = make()
    return found


def worst(found: Sequence[float], dtype: str) -> str:
    if any(math.isnan(e) for e in found):
        return "NaN"
    largest = max(found)
    if largest > WRONG[dtype]:
        return "wrong"
    return f"{largest:.1f}" if largest < 100 else f"{largest:.0f}" if largest < 1e5 else f"{largest:.0e}"


def cells(form: Form, run: Runner) -> list[str]:
    """Return the errors of a form in a library: value and derivative, in float32 and float64."""
    row = []
    for dtype in WRONG:
        inputs = arguments(form, np.dtype(dtype))
        with np.errstate(all="ignore"):
            value, *slopes = run(form, inputs)
            row += [worst(e, dtype) for e in errors(form, inputs, value, slopes)]
    return row


def page() -> str:
    libraries = installed()
    names = list(libraries)
    head = [f"{n.split()[0]} {what}" for n in names for what in ("f32", "f32'", "f64", "f64'")]
    lines = [f"| formula | {' | '.join(head)} |", f"|---|{'--:|' * len(head)}"]
    for form in ALL:
        row = [cell for name in names for cell in cells(form, libraries[name])]
        lines.append(f"| `{form.name}` | {' | '.join(row)} |")
    versions = f"Measured on {platform.machine()}{' with ' if names[1:] else ''}{' and '.join(names[1:])}."
    return f"{HEAD}{TABLE.format(versions=versions)}{chr(10).join(lines)}\n\nWritten by `scripts/stable_forms`.\n"


if __name__ == "__main__":
    PAGE.write_text(page())
