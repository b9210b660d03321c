"""The command line of the benchmarks: see scripts/bench."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import graphc as gx
from scripts.benchmarks import machine, memory, report, startup, turns
from scripts.benchmarks.library import LIBRARIES, OWN
from scripts.benchmarks.programs import SUITES, programs_of
from scripts.benchmarks.record import Record

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

ROOT = turns.ROOT
QUICK_LIBRARIES = (*OWN, "numpy")
ALONE = ("startup", "memory")
"""Suites whose programs have a process each, one thread count, and few samples."""

BROKEN = ("failed", "disagrees")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure graphc beside its peers.")
    peers = [name for name in LIBRARIES if name not in OWN]
    parser.add_argument("--suite", nargs="+", choices=(*SUITES, *ALONE), help="only these suites")
    parser.add_argument("--only", metavar="TEXT", help="only programs whose name contains this")
    parser.add_argument("--quick", action="store_true", help="small programs, few rounds, NumPy as the only peer")
    parser.add_argument("--threads", nargs="+", type=int, help="numbers of threads (default: 1 and 2, quick: 1)")
    parser.add_argument("--peers", nargs="*", choices=peers, help="only these peers (default: all that are installed)")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for the results (default: build)")
    parser.add_argument("--resume", action="store_true", help="leave out programs that have results already")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report again")
    parser.add_argument("--list", action="store_true", help="print suites and programs, and stop")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the processes of libraries end with this one
    if options.list:
        sys.stdout.write("".join(f"{suite}: {name}\n" for suite, name in _names(options)))
        return 0
    record = Record.at(options.out / "benchmarks" / "results.json")
    broken: list[str] = []
    try:
        if not options.report:
            broken = measured(options, record)
    except KeyboardInterrupt:
        sys.stderr.write("\nbench: stopped; what was measured is kept, --resume goes on\n")
        return 130
    finally:
        if record.data["runs"]:
            report.write(record, options.out)
            sys.stderr.write(f"bench: {options.out / 'benchmarks.md'}\n")
    for line in broken:
        sys.stderr.write(f"bench: {line}\n")
    return 1 if broken else 0


def _names(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for suite in options.suite or (*SUITES, *ALONE):
        if suite in SUITES:
            names = [p.name for p in programs_of(suite, options.quick)]
        else:
            names = [p.name for p in startup.programs()] if suite == "startup" else [n for _, n in memory.PROGRAMS]
        yield from ((suite, name) for name in names if not options.only or options.only in name)


def _libraries(options: argparse.Namespace) -> list[str]:
    if options.peers is None:
        return list(QUICK_LIBRARIES if options.quick else LIBRARIES)
    return [*OWN, *[name for name in LIBRARIES if name in options.peers]]


def measured(options: argparse.Namespace, record: Record) -> list[str]:
    """Measure what was asked for; return what graphc or its oracle got wrong."""
    libraries = _libraries(options)
    threads = options.threads or ([1] if options.quick else [1, 2])
    if max(threads) > len(os.sched_getaffinity(0)):
        raise SystemExit(f"bench: {max(threads)} threads were asked for, the machine has fewer cores")
    facts = machine.facts()
    broken: list[str] = []
    for suite in options.suite or (*SUITES, *ALONE):
        for count in threads if suite in SUITES else [max(threads)]:
            run = record.run(suite, count)
            run["machine"], run["peaks"] = facts, machine.peaks(count)
            found = _programs(suite, count, libraries, options, record)
            for name, of in found:
                record.add(suite, count, name, of)
                broken += [
                    f"{suite}, {name}: {own}: {why}" for own in QUICK_LIBRARIES for why in _faults(of.get(own, {}))
                ]
    return broken


def _faults(found: dict[str, Any]) -> list[str]:
    return [str(found[key]) for key in BROKEN if key in found]


Found = tuple[str, dict[str, Any]]


def _programs(
    suite: str, threads: int, libraries: Sequence[str], options: argparse.Namespace, record: Record
) -> Iterable[Found]:
    """Yield what is found of each program of a suite, and show how it goes."""
    rounds = 1 if options.quick else 3
    done = record.run(suite, threads)["programs"]
    if suite == "startup":
        return _shown(suite, startup.measured(libraries, options.quick, rounds, options.only))
    if suite == "memory":
        return _shown(suite, memory.measured(libraries, options.quick, threads, options.only))
    programs = [p for p in programs_of(suite, options.quick) if not options.only or options.only in p.name]
    if options.resume:
        programs = [p for p in programs if p.name not in done]
    effort = turns.QUICK if options.quick else turns.Effort()
    versions = record.run(suite, threads)["versions"]
    found = turns.run(suite, programs, libraries, threads, effort, versions)
    return _shown(f"{suite}, {threads} thread{'s' * (threads > 1)}", found, len(programs))


def _shown(title: str, found: Iterable[Found], total: int | None = None) -> Iterator[Found]:
    """Yield what is found, with a bar where tqdm is installed and a line for every program."""
    bar = tqdm(found, title, total, unit=" programs", disable=None) if tqdm is not None else found
    for name, of in bar:
        line = f"{name}: {_line(of)}\n"
        if tqdm is not None:
            tqdm.write(line, end="")
        else:
            sys.stdout.write(line)
        yield name, of


def _line(found: dict[str, Any]) -> str:
    """Return the medians of a program in one line, and how many times as long as graphc each peer takes."""
    own = found.get(OWN[0], {}).get("seconds")
    words = []
    for name, of in found.items():
        seconds = of.get("seconds")
        if seconds is None:
            known = [key for key in (*BROKEN, "skipped", "bytes") if key in of]
            words.append(f"{name} {known[0]} {of[known[0]]}" if known else f"{name} -")
            continue
        times = f" x{turns.ratio(seconds, own).median:.2f}" if own and name != OWN[0] else ""
        words.append(f"{name} {report.duration(statistics.median(seconds))}{times}")
    return ", ".join(words)


if __name__ == "__main__":
    gx.compile([], gx.constant(1.0) + 1)  # LLVM is there, before others wait for it
    sys.exit(main())
