"""Programs of one key are programs of one code: whatever changes the code changes the key."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from random import Random
from typing import Any, get_args

import numpy as np
import pytest

from graphc.codegen.module import emit_module
from graphc.errors import GraphcError, InternalError
from graphc.ir.loop_parse import kernel_from_text
from graphc.ir.loop_text import kernel_text
from graphc.ir.loops import (
    Branch,
    Call,
    Clear,
    Copy,
    Function,
    Kernel,
    Program,
    Region,
    Repeat,
    Slot,
    Step,
    Var,
    While,
    apply,
    const,
)
from graphc.ir.program_key import program_key
from graphc.ir.types import FLOAT32, FLOAT64, TensorType
from graphc.ir.verify import verify_kernel
from graphc.lower.math import FUNCTIONS
from tests.machine import MACHINE
from tests.native import program_of
from tests.random_graphs import RandomChoices
from tests.random_kernels import random_kernel

X, Y = Var("x", FLOAT32), Var("y", FLOAT32)
DOUBLED = Function("twice", (X,), apply("add", X, X))
SQUARED = Function("twice", (X,), apply("mul", X, X))
RENAMED = Function("double", (Y,), apply("add", Y, Y))

KERNEL = kernel_from_text("def f(a: f32[8], b: f32[8]):\n    for i in parallel(8):\n        b[i] = exp(a[i])\n")
LONGER = kernel_from_text("def f(a: f32[9], b: f32[9]):\n    for i in parallel(9):\n        b[i] = exp(a[i])\n")
OTHER = kernel_from_text("def f(a: f32[8], b: f32[8]):\n    for i in parallel(8):\n        b[i] = log(a[i])\n")
ARGS = (Slot(Region.INPUT, 0), Slot(Region.OUTPUT, 0))
F8 = TensorType(FLOAT32, (8,))

STEPS: dict[type, Any] = {
    Call: Call(KERNEL, ARGS, (0,)),
    Copy: Copy(Slot(Region.INPUT, 0), Slot(Region.OUTPUT, 0), 32),
    Clear: Clear(Slot(Region.OUTPUT, 0), 32),
    Repeat: Repeat(3, (Call(KERNEL, ARGS),)),
    While: While((Call(KERNEL, ARGS),), Slot(Region.ARENA, 0), (), Slot(Region.ARENA, 0, 8)),
    Branch: Branch(Slot(Region.ARENA, 0), (Call(KERNEL, ARGS),), ()),
    Slot: Slot(Region.ARENA, 0, 64, (8,)),
}
CHANGES: dict[type, dict[str, Any]] = {
    Call: {"kernel": LONGER, "args": ARGS[::-1], "sites": (1,), "threads": 2, "nanoseconds": 7},
    Copy: {"source": Slot(Region.INPUT, 1), "target": Slot(Region.ARENA, 0), "nbytes": 36},
    Clear: {"target": Slot(Region.ARENA, 0), "nbytes": 36},
    Repeat: {
        "extent": 4,
        "steps": (Call(KERNEL, ARGS), Call(KERNEL, ARGS)),
        "reverse": True,
        "count": Slot(Region.ARENA, 0),
        "site": 1,
    },
    While: {
        "test": (),
        "flag": Slot(Region.ARENA, 1),
        "steps": (Call(KERNEL, ARGS),),
        "count": Slot(Region.ARENA, 0),
        "most": 5,
        "site": 1,
    },
    Branch: {"flag": Slot(Region.ARENA, 1), "on_true": (), "on_false": (Call(KERNEL, ARGS),)},
    Slot: {"region": Region.OUTPUT, "index": 1, "offset": 0, "strides": (8, 8)},
}
PROGRAM = Program("p", (KERNEL,), (STEPS[Call],), (F8,), (F8,), (), (), 0, FUNCTIONS)
PROGRAM_CHANGES: dict[str, Any] = {
    "name": "q",
    "kernels": (OTHER, KERNEL),
    "steps": (),
    "inputs": (F8, F8),
    "outputs": (F8, F8),
    "state": (F8,),
    "constants": (np.zeros(3),),
    "arena_bytes": 64,
    "functions": {("exp", FLOAT32): DOUBLED},
}


def holding(step: Any) -> Program:
    """Return a program with a step, or with a call of an address."""
    step = Call(KERNEL, (step, step)) if isinstance(step, Slot) else step
    return replace(PROGRAM, kernels=(KERNEL, LONGER), steps=(step,))


def test_the_steps_are_all_here() -> None:
    assert set(CHANGES) == {Slot, *get_args(Step)}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_field_of_a_step_counts(kind: type) -> None:
    assert list(CHANGES[kind]) == [f.name for f in fields(kind)], "say here how a new field changes"
    before = program_key(holding(STEPS[kind]))
    for name, value in CHANGES[kind].items():
        assert program_key(holding(replace(STEPS[kind], **{name: value}))) != before, name


def test_each_field_of_a_program_counts() -> None:
    assert list(PROGRAM_CHANGES) == [f.name for f in fields(Program)], "say here how a new field changes"
    for name, value in PROGRAM_CHANGES.items():
        assert program_key(replace(PROGRAM, **{name: value})) != program_key(PROGRAM), name


def test_what_the_code_does_not_hold_does_not_count() -> None:
    constants = replace(PROGRAM, constants=(np.zeros(3),))
    assert program_key(constants) == program_key(replace(PROGRAM, constants=(np.ones(3),)))
    renamed = kernel_from_text(kernel_text(KERNEL).replace("def f", "def g"))
    again = replace(PROGRAM, kernels=(renamed,), steps=(Call(renamed, ARGS, (0,)),))
    assert program_key(again) == program_key(PROGRAM)


def test_functions_count_where_they_are_used() -> None:
    def key(text: str, **functions: Function) -> str:
        kernel = kernel_from_text(f"def f(a: f32[8]):\n    for i in parallel(8):\n        a[i] = {text}\n")
        return program_key(program_of(kernel, {(name, FLOAT32): f for name, f in functions.items()}))

    within = Function("exp", (X,), apply("log", X))
    assert key("exp(a[i])", exp=DOUBLED) == key("exp(a[i])", exp=RENAMED)
    assert key("exp(a[i])", exp=DOUBLED) != key("exp(a[i])", exp=SQUARED)
    assert key("exp(a[i])", exp=DOUBLED) != key("exp(a[i])")
    assert key("abs(a[i])", exp=DOUBLED) == key("abs(a[i])", exp=SQUARED)
    assert key("exp(a[i])", exp=within, log=DOUBLED) != key("exp(a[i])", exp=within, log=SQUARED)
    numbers = [Function("f", (X,), apply("add", X, const(n, FLOAT32))) for n in (0.0, -0.0, 1.0)]
    assert len({key("exp(a[i])", exp=f) for f in numbers}) == 3


def test_what_nobody_knows_to_tell_apart_raises() -> None:
    with pytest.raises(InternalError, match="nothing tells one object from another"):
        program_key(replace(PROGRAM, steps=(Call(KERNEL, ARGS, (object(),)),)))  # type: ignore[arg-type]


# Random kernels.

WORDS = [
    ("u8", "u16", "i32", "f32", "f64", "i64"),
    ("add", "sub", "mul", "min", "max"),
    ("lt", "le", "gt", "eq", "ne"),
    ("exp", "log", "tanh", "sqrt"),
    ("vector", "unroll", "serial", "range", "parallel"),
    ("register", "stack"),
    ("+=", "min=", "max="),
    ("+", "-", "*"),
]
TOKEN = re.compile(r"\b\d+\b|[a-z]+\d*=?|[+*-]=?")


def changed(text: str, rng: Random) -> str:
    """Return the text of a kernel with one number or word replaced."""
    found = rng.choice(list(TOKEN.finditer(text)))
    word = found.group()
    if word.isdigit():
        new = str(int(word) + rng.choice((-1, 1)))
    else:
        new = rng.choice(next((group for group in WORDS if word in group), (word,)))
    return text[: found.start()] + new + text[found.end() :]


def readable(text: str) -> Kernel | None:
    """Return the kernel that a text describes, if it is one."""
    try:
        kernel = kernel_from_text(text)
        verify_kernel(kernel, FUNCTIONS)
    except (GraphcError, OverflowError, TypeError):
        return None
    return kernel


def code_of(kernel: Kernel) -> str:
    """Return the code of a kernel, whose name it holds in a comment."""
    text = emit_module(program_of(kernel, FUNCTIONS), MACHINE)
    return "\n".join([line for line in text.splitlines() if not line.startswith(";")])


def code_if_any(kernel: Kernel) -> str | None:
    """Return the code of a kernel that may break a promise no verifier sees."""
    try:
        return code_of(kernel)
    except (InternalError, AssertionError, KeyError, IndexError, OverflowError):
        return None


def key_of(kernel: Kernel) -> str:
    return program_key(program_of(kernel, FUNCTIONS))


def test_kernels_of_one_key_have_one_code() -> None:
    rng = Random(0)
    alike = others = 0
    for seed in range(150):
        kernel = random_kernel(RandomChoices(seed)).kernel
        text = kernel_text(kernel)
        again = readable(text)
        if again is None:
            continue
        assert key_of(again) == key_of(kernel)
        assert unnamed(code_of(again)) == unnamed(code_of(kernel))
        for _ in range(8):
            variant = readable(changed(text, rng))
            code = None if variant is None else code_if_any(variant)
            if variant is None or code is None:
                continue
            same = key_of(variant) == key_of(kernel)
            assert not same or unnamed(code) == unnamed(code_of(kernel)), kernel_text(variant)
            alike += same
            others += not same
    assert alike > 50
    assert others > 200


def unnamed(code: str) -> str:
    """Return code with its names numbered in order."""
    numbers: dict[str, str] = {}
    return re.sub(r"%[\w.]+|^[\w.]+(?=:)", lambda m: numbers.setdefault(m[0].strip("%"), f"%{len(numbers)}"), code)


def test_kernels_of_two_dtypes_differ() -> None:
    def copy(dtype: np.dtype[Any]) -> Kernel:
        name = "f32" if dtype == FLOAT32 else "f64"
        text = f"def f(a: {name}[8], b: {name}[8]):\n    for i in parallel(8):\n        b[i] = a[i]\n"
        return kernel_from_text(text)

    assert key_of(copy(FLOAT32)) != key_of(copy(FLOAT64))
