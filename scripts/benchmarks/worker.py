"""The process of one library: prepares programs, calls them, and tells how long that took.

Started by turns.py with the name of the library and the number of a pipe; threads are set by its environment.
"""

from __future__ import annotations

import gc
import importlib
import signal
import sys
import time
import timeit
import traceback
from multiprocessing.connection import Connection
from typing import Any

from scripts.benchmarks.library import Peer, Prepared
from scripts.benchmarks.programs import programs_of

PEERS = {
    "graphc": ("with_graphc", "Graphc", ()),
    "eager": ("with_graphc", "Graphc", ("eager",)),
    "reference": ("with_graphc", "Graphc", ("eager", True)),
    "numpy": ("with_numpy", "NumPy", ()),
    "torch": ("with_torch", "Torch", (False,)),
    "compile": ("with_torch", "Torch", (True,)),
    "jax": ("with_jax", "Jax", ()),
    "pytensor": ("with_pytensor", "PyTensor", ()),
}
"""Module, class and arguments of each library; the reference is the eager backend in float64."""


def peer_named(name: str) -> Peer:
    """Return a library, imported only here: no process holds two of them."""
    module, kind, arguments = PEERS[name]
    peer: Peer = getattr(importlib.import_module(f"scripts.benchmarks.peers.{module}"), kind)(*arguments)
    return peer


class Worker:
    """Answers to the messages of turns.py, by name."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.prepared: dict[tuple[str, str], tuple[Prepared, timeit.Timer]] = {}

    def prepare(self, suite: str, name: str) -> dict[str, Any]:
        """Compile a program and call it once; return its results, or why there are none."""
        program = next(p for p in programs_of(suite) if p.name == name)
        lacking = self.peer.library.lacks(program.needs)
        if lacking:
            return {"skipped": f"has no {', '.join(lacking)}"}
        try:
            start = time.perf_counter()
            prepared = self.peer.prepare(program)
            result = prepared.call(*prepared.args, **prepared.keywords)
            seconds = time.perf_counter() - start
            self.prepared[suite, name] = prepared, _timer(prepared)
            return {"results": prepared.read(result), "facts": {**prepared.facts, "first call": seconds}}
        except NotImplementedError as error:
            return {"skipped": str(error)}
        except Exception as error:  # noqa: BLE001, what a peer cannot do is reported
            return failure(error)

    def calls_for(self, suite: str, name: str, seconds: float) -> dict[str, Any]:
        """Return how many calls take about so long."""
        timer, count = self.prepared[suite, name][1], 1
        timer.timeit(1)
        while True:
            taken = timer.timeit(count)
            if taken >= seconds / 4:
                return {"calls": max(1, round(count * seconds / taken))}
            count *= 4

    def time(self, suite: str, name: str, calls: int) -> dict[str, Any]:
        """Return the seconds of one call, the mean of so many."""
        return {"seconds": self.prepared[suite, name][1].timeit(calls) / calls}

    def drop(self, suite: str, name: str) -> dict[str, Any]:
        self.prepared.pop((suite, name), None)
        gc.collect()
        return {}


def failure(error: Exception) -> dict[str, str]:
    """Return what results keep of an error; all of it goes to the standard error stream."""
    traceback.print_exception(error)
    return {"failed": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}


def _timer(prepared: Prepared) -> timeit.Timer:
    """Return a timer of the call as a user writes it: arguments are names, not unpacked from a tuple."""
    names = {f"a{k}": value for k, value in enumerate(prepared.args)}
    words = [*names, *[f"{key}={key}" for key in prepared.keywords]]
    return timeit.Timer(f"call({', '.join(words)})", globals={"call": prepared.call, **names, **prepared.keywords})


def main(name: str, pipe: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks; it ends this one
    connection = Connection(pipe)
    try:
        peer = peer_named(name)
    except Exception as error:  # noqa: BLE001, a library that is not installed, or broken, is reported
        connection.send({"missing": str(error)})
        return
    connection.send({"version": peer.version})
    worker = Worker(peer)
    while True:
        try:
            order, *arguments = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            connection.send(getattr(worker, order)(*arguments))
        except Exception as error:  # noqa: BLE001, and so is one that breaks when it is called again
            connection.send(failure(error))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
