"""Calls of kernels that the thread pool divides: the function a thread runs, and the way to the pool.

The header of the pool begins with the address of the function that divides a loop (codegen/pool.py), or 0 while there
is no pool; the loop is then run as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

DIVIDE = "@loop.divide"


def divide_function(slot: int) -> list[str]:
    """Return the lines of DIVIDE, which runs a kernel on all of its ways; the pool's header is in `slot`."""
    parameters = "ptr %share, ptr %args, i64 %ways, i64 %threads, i64 %nanoseconds, ptr %failure"
    return f"""define internal i32 {DIVIDE}(ptr %slots, {parameters}) nounwind {{
  %place = getelementptr ptr, ptr %slots, i64 {slot}
  %pool = load ptr, ptr %place
  %divide = load atomic ptr, ptr %pool monotonic, align 8
  %absent = icmp eq ptr %divide, null
  br i1 %absent, label %alone, label %together
alone:
  %whole = call i32 %share(ptr %args, i64 0, i64 %ways, ptr %failure)
  ret i32 %whole
together:
  %all = call i32 %divide(ptr %pool, {parameters})
  ret i32 %all
}}""".splitlines()


def share_name(kernel: str) -> str:
    """Return the name of the function that runs a part of a kernel."""
    return f"{kernel}.share"


def share_function(kernel: str, arrays: int) -> list[str]:
    """Return the lines of a function that calls a kernel with the addresses in a table, for a range of iterations."""
    lines = [f"define internal i32 {share_name(kernel)}(ptr %args, i64 %begin, i64 %end, ptr %failure) nounwind {{"]
    for k in range(arrays):
        lines += [f"  %p{k} = getelementptr ptr, ptr %args, i64 {k}", f"  %a{k} = load ptr, ptr %p{k}"]
    given = ", ".join([*[f"ptr %a{k}" for k in range(arrays)], "i64 %begin", "i64 %end", "ptr %failure"])
    return [*lines, f"  %failed = call i32 {kernel}({given})", "  ret i32 %failed", "}"]


def divided_call(kernel: str, addresses: Sequence[str], table: str, numbers: Sequence[str]) -> tuple[list[str], str]:
    """Return the lines that put addresses in the memory at `table`, and the call of a kernel that is divided.

    `numbers` are its ways, the most threads for it and its nanoseconds.
    """
    lines = []
    for k, address in enumerate(addresses):
        lines += [
            f"  {table}.{k} = getelementptr ptr, ptr %args, i64 {k}",
            f"  store ptr {address}, ptr {table}.{k}",
        ]
    given = ", ".join([f"ptr {share_name(kernel)}", "ptr %args", *[f"i64 {n}" for n in numbers], "ptr %failure"])
    return lines, f"call i32 {DIVIDE}(ptr %slots, {given})"
