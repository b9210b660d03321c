"""Writing a function in LLVM IR by hand, as structured code: blocks, conditions, loops, variables in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Writer:
    """A function under way. Values are the texts of their names or numbers; a `variable` is a place on the stack."""

    def __init__(self, head: str) -> None:
        self.lines = [f"define {head} {{", "entry:"]
        self.declarations: dict[str, None] = {}
        self._allocas: list[str] = []
        self._count = 0

    def text(self) -> str:
        """Return the function, whose last block has ended."""
        return "\n".join([*self.lines[:2], *self._allocas, *self.lines[2:], "}"])

    def name(self, prefix: str = "v") -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def set(self, text: str) -> str:
        """Return the value of an instruction."""
        name = f"%{self.name()}"
        self.line(f"{name} = {text}")
        return name

    # Memory.

    def variable(self, kind: str, count: int = 1) -> str:
        """Return the address of room on the stack, made on entry."""
        name = f"%{self.name('place')}"
        self._allocas.append(f"  {name} = alloca [{count} x {kind}], align 16")
        return name

    def array(self, kind: str, count: str) -> str:
        """Return the address of room on the stack for a number of elements that a call knows; only on entry."""
        return self.set(f"alloca {kind}, i64 {count}, align 16")

    def at(self, base: str, index: str | int, kind: str = "i64") -> str:
        """Return the address of an element."""
        return base if index == 0 else self.set(f"getelementptr {kind}, ptr {base}, i64 {index}")

    def load(self, base: str, index: str | int = 0, kind: str = "i64") -> str:
        return self.set(f"load {kind}, ptr {self.at(base, index, kind)}")

    def store(self, value: str | int, base: str, index: str | int = 0, kind: str = "i64") -> None:
        self.line(f"store {kind} {value}, ptr {self.at(base, index, kind)}")

    # Calls and conditions.

    def call(self, kind: str, function: str, *args: str) -> str:
        """Call a C function; args are "type value"."""
        types = ", ".join(a.rsplit(" ", 1)[0] for a in args)
        self.declarations[f"declare {kind} @{function}({types})"] = None
        text = f"call {kind} @{function}({', '.join(args)})"
        if kind != "void":
            return self.set(text)
        self.line(text)
        return ""

    def same(self, a: str, b: str | int, kind: str = "i64") -> str:
        return self.set(f"icmp eq {kind} {a}, {b}")

    def go(self, label: str) -> None:
        self.line(f"br label %{label}")

    def block(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def leave(self, condition: str, label: str) -> None:
        """Go to a label where the condition holds."""
        following = self.name("on")
        self.line(f"br i1 {condition}, label %{label}, label %{following}")
        self.block(following)

    def need(self, condition: str, label: str) -> None:
        """Go to a label where the condition does not hold."""
        following = self.name("on")
        self.line(f"br i1 {condition}, label %{following}, label %{label}")
        self.block(following)

    @contextmanager
    def where(self, condition: str) -> Iterator[None]:
        """Run the code within where the condition holds."""
        inside, after = self.name("if"), self.name("then")
        self.line(f"br i1 {condition}, label %{inside}, label %{after}")
        self.block(inside)
        yield
        self.go(after)
        self.block(after)

    def choose(self, condition: str, yes: Callable[[], None], no: Callable[[], None]) -> None:
        first, second, after = self.name("yes"), self.name("no"), self.name("then")
        self.line(f"br i1 {condition}, label %{first}, label %{second}")
        for label, run in ((first, yes), (second, no)):
            self.block(label)
            run()
            self.go(after)
        self.block(after)

    @contextmanager
    def each(self, count: str) -> Iterator[str]:
        """Run the code within for 0 .. count-1, whose counter is given."""
        counter = self.variable("i64")
        self.store(0, counter)
        head, body, after = self.name("head"), self.name("body"), self.name("after")
        self.go(head)
        self.block(head)
        k = self.load(counter)
        more = self.set(f"icmp slt i64 {k}, {count}")
        self.line(f"br i1 {more}, label %{body}, label %{after}")
        self.block(body)
        yield k
        self.store(self.set(f"add i64 {k}, 1"), counter)
        self.go(head)
        self.block(after)
