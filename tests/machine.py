"""A machine for tests whose outcome must not depend on the one they run on: sixteen floats a vector, eight cores."""

from __future__ import annotations

from graphc.target import Target

MACHINE = Target(
    triple="x86_64-unknown-linux-gnu",
    cpu="x86-64-v4",
    features="",
    vector_bytes=64,
    vector_registers=32,
    has_fma=True,
    l1_bytes=48 << 10,
    l2_bytes=1 << 20,
    cores=8,
)
