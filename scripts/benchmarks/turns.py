"""Runs the workers of all libraries in turn, checks that they agree, and times them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarks.library import OWN, Array, Program

ROOT = Path(__file__).parent.parent.parent
TOLERANCES = {"float32": 2e-4, "float64": 1e-8}
"""Largest difference from the reference, relative to the largest element, that rounding explains."""


LIMIT = 200
"""Seconds after which a library has failed to answer, and is started again."""

TOGETHER = 8
"""Programs that are prepared before the first of them is timed: compilers are done by then, and memory suffices."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds of one round of a library, of all rounds of a program, and how many rounds.

    Rounds end early where the spread (between quartiles, relative) of every ratio is below `spread`.
    """

    round_seconds: float = 0.01
    seconds: float = 1.5
    least: int = 5
    most: int = 40
    spread: float = 0.02


QUICK = Effort(0.002, 0.05, 3, 3)


class Worker:
    """A library in a process of its own."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self.cores = sorted(os.sched_getaffinity(0))[-threads:]
        self.version: str | None = None
        self.missing: str | None = None
        self.prepared: list[tuple[str, str]] = []
        self.start()

    def start(self) -> None:
        self.pipe, theirs = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benchmarks.worker", self.name, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, **environment(self.threads)},
            pass_fds=[theirs.fileno()],
            stdout=sys.stderr,
        )
        theirs.close()

    def greet(self) -> None:
        """Wait until the library is imported, or is known to be missing."""
        answer = self.receive()
        self.version = answer.get("version")
        self.missing = answer.get("missing") or answer.get("failed")

    def ask(self, *message: Any) -> dict[str, Any]:
        self.send(*message)
        return self.receive()

    def send(self, *message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # what is received then says that the process has ended
            self.pipe.send(message)

    def receive(self) -> dict[str, Any]:
        try:
            if not self.pipe.poll(LIMIT):
                self.start_again()
                return {"failed": f"took more than {LIMIT} s"}
            answer: dict[str, Any] = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            code = self.process.wait()
            self.start_again()
            return {"failed": f"the process ended with {code}"}
        return answer

    def start_again(self) -> None:
        """Start the library anew, as far as it was before it got stuck or died."""
        self.end(patience=0)
        lost, self.prepared = self.prepared, []
        self.start()
        self.greet()
        for suite, program in lost:
            self.ask("prepare", suite, program)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def pause(self) -> None:
        """Stop the process, so that no thread of it that waits actively takes time from the others."""
        if self.is_alive:
            self.process.send_signal(signal.SIGSTOP)

    def pin(self) -> None:
        """Keep all threads of the process on as many cores as it may use; compilers had all of them."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), self.cores)

    def go_on(self) -> None:
        if self.is_alive:
            self.process.send_signal(signal.SIGCONT)

    def end(self, patience: float = 2.0) -> None:
        self.pipe.close()
        self.go_on()
        try:
            self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment(threads: int) -> dict[str, str]:
    """Return what tells each library how many threads to use."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "GRAPHC_THREADS")
    flags = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()} intra_op_parallelism_threads={threads}"
    return {
        **dict.fromkeys((*names, "NPROC"), str(threads)),
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


@contextlib.contextmanager
def workers(names: Sequence[str], threads: int) -> Iterator[list[Worker]]:
    """Start the libraries, and end them whatever happens."""
    started = [Worker(name, threads) for name in names]
    try:
        for worker in started:
            worker.greet()
        yield started
    finally:
        for worker in started:
            worker.end()


Measured = dict[str, dict[str, Any]]
"""What is known of a program by library: samples and facts, or why it was not timed."""


def prepare(suite: str, program: Program, of: Sequence[Worker], reference: Worker) -> Measured:
    """Have all libraries compile a program; return those that agree with the reference, and why others do not."""
    asked = (reference, *of)
    for worker in asked:
        worker.go_on()
        worker.send("prepare", suite, program.name)
    answers = {}
    for worker in asked:
        answers[worker.name] = worker.receive()
        if "results" in answers[worker.name]:
            worker.prepared.append((suite, program.name))
    expected = answers.pop("reference")
    _drop(reference, suite, program)
    if "results" not in expected:
        return {worker.name: dict(expected) for worker in of}
    moving = program.state[: expected["facts"]["updates"]]
    return {name: judged(answer, expected["results"], moving) for name, answer in answers.items()}


def judged(answer: dict[str, Any], expected: Sequence[Array], moving: Sequence[Array]) -> dict[str, Any]:
    """Return the facts of an answer, without its results, and whether they agree with what is expected."""
    results = answer.pop("results", None)
    if results is None:
        return answer
    if len(results) != len(expected):
        return {"disagrees": f"{len(results)} results instead of {len(expected)}"}
    before = [*[None] * (len(expected) - len(moving)), *moving]
    worst = 0.0
    for k, (got, want, old) in enumerate(zip(results, expected, before, strict=True)):
        share = _difference(got, want, old) if got.shape == want.shape else float("inf")
        if not share <= 1:
            return {"disagrees": f"result {k}, {got.dtype}{list(got.shape)}: {share:.1e} times what is allowed"}
        worst = max(worst, share)
    return {**answer, "difference": worst}


def _difference(got: Array, want: Array, old: Array | None) -> float:
    """Return the largest difference as a share of what is allowed; of new state, relative to its change."""
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else float("inf")
    if got.size == 0:
        return 0.0
    tolerance = TOLERANCES[str(got.dtype)]
    scale = float(np.abs(want if old is None else want - old).max())
    rounding = 0.0 if old is None else 4 * float(np.finfo(got.dtype).eps) * float(np.abs(want).max())
    return float(np.abs(got.astype(np.float64) - want).max()) / max(tolerance * scale + rounding, 1e-30)


def measure(suite: str, program: Program, of: Sequence[Worker], effort: Effort, rng: random.Random) -> Measured:
    """Return seconds of a call of each library, one number a round, in an order that changes with every round."""
    for worker in of:
        worker.pin()
        worker.pause()
    found: Measured = {}
    for worker in of:
        with _alone(worker):
            answer = worker.ask("calls_for", suite, program.name, effort.round_seconds)
        found[worker.name] = answer if "failed" in answer else {"calls": answer["calls"], "seconds": []}
    running = [w for w in of if "calls" in found[w.name]]
    end = time.perf_counter() + effort.seconds
    for count in range(1, effort.most + 1):
        for worker in rng.sample(running, len(running)):
            with _alone(worker):
                answer = worker.ask("time", suite, program.name, found[worker.name]["calls"])
            if "failed" in answer:
                raise SystemExit(f"bench: {suite}, {program.name}: {worker.name}: {answer['failed']}")
            found[worker.name]["seconds"].append(answer["seconds"])
        is_late = time.perf_counter() > end
        if count >= effort.least and (is_late or _is_steady(found, effort.spread)):
            break
    for worker in of:
        worker.go_on()
        _drop(worker, suite, program)
    return found


def _drop(worker: Worker, suite: str, program: Program) -> None:
    """Have a worker forget a program."""
    worker.ask("drop", suite, program.name)
    with contextlib.suppress(ValueError):
        worker.prepared.remove((suite, program.name))


@contextlib.contextmanager
def _alone(worker: Worker) -> Iterator[None]:
    worker.go_on()
    yield
    worker.pause()


def _is_steady(found: Measured, spread: float) -> bool:
    samples = {name: of["seconds"] for name, of in found.items() if "seconds" in of}
    own = samples.pop(OWN[0], None)
    return own is not None and all(ratio(theirs, own).spread < spread for theirs in samples.values())


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the ratios of two libraries, taken round by round."""

    low: float
    median: float
    high: float

    @property
    def spread(self) -> float:
        return (self.high - self.low) / self.median


def ratio(theirs: Sequence[float], own: Sequence[float]) -> Ratio:
    """Return how many times as long the one takes as the other.

    >>> ratio([2.0, 4.0, 6.0], [2.0, 2.0, 2.0])
    Ratio(low=1.5, median=2.0, high=2.5)
    """
    ratios = [a / b for a, b in zip(theirs, own, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(low, median, high)


def measure_all(
    suite: str, prepared: Sequence[tuple[Program, Measured]], of: Sequence[Worker], effort: Effort, rng: random.Random
) -> Iterator[tuple[str, Measured]]:
    """Yield programs that are prepared, measured with the libraries that agree."""
    for program, found in prepared:
        agreeing = [w for w in of if "difference" in found[w.name]]
        for name, samples in measure(suite, program, agreeing, effort, rng).items():
            found[name].update(samples)
        yield program.name, found


def run(
    suite: str,
    programs: Sequence[Program],
    names: Sequence[str],
    threads: int,
    effort: Effort,
    versions: dict[str, str],
) -> Iterator[tuple[str, Measured]]:
    """Yield programs and what is known of each by library, as soon as it is; note the versions of libraries."""
    rng = random.Random(0)
    with workers(["reference", *names], threads) as (reference, *started):
        present = [w for w in started if w.missing is None]
        versions.update({w.name: w.version or "not installed" for w in started})
        for start in range(0, len(programs), TOGETHER):
            some = programs[start : start + TOGETHER]
            found = [prepare(suite, program, present, reference) for program in some]
            reference.pause()
            yield from measure_all(suite, list(zip(some, found, strict=True)), present, effort, rng)
            reference.go_on()
