"""The JSON of results: all samples, what was measured on which machine; results of several runs merge.

    {"format": 1, "runs": {suite: {threads: run}}}
    run = {"machine", "peaks", "versions", "programs": {program: {library: found}}}

found has "seconds" (samples, one a round; each round timed all libraries in turn) or "bytes", "facts", "difference"
(from the reference, at most, as a share of what is allowed); or one of "skipped", "failed", "disagrees".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass
class Record:
    """Results on disk, written anew after every program."""

    path: Path
    data: dict[str, Any]

    @classmethod
    def at(cls, path: Path) -> Record:
        """Return what a file holds, or an empty record where there is none."""
        if not path.exists():
            return cls(path, {"format": FORMAT, "runs": {}})
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FORMAT:
            raise SystemExit(f"bench: {path} was written by another version; remove it, or name another --out")
        return cls(path, data)

    def run(self, suite: str, threads: int) -> dict[str, Any]:
        """Return the run of a suite on so many threads, empty if there was none."""
        empty: dict[str, Any] = {"machine": {}, "peaks": {}, "versions": {}, "programs": {}}
        return self.data["runs"].setdefault(suite, {}).setdefault(str(threads), empty)

    def runs(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield suites, threads and what was measured."""
        for suite, by_threads in self.data["runs"].items():
            for threads in sorted(by_threads, key=int):
                yield suite, int(threads), by_threads[threads]

    def add(self, suite: str, threads: int, program: str, found: dict[str, Any]) -> None:
        """Keep what was found of a program, in place of what was known: ratios are of samples taken together."""
        programs = self.run(suite, threads)["programs"]
        programs[program] = {name: _rounded(of) for name, of in found.items()}
        self.save()

    def save(self) -> None:
        """Write the file in one step, one line for each program."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        runs = []
        for suite, threads, run in self.runs():
            head = {key: run[key] for key in ("machine", "peaks", "versions")}
            lines = [f"   {json.dumps(name)}: {json.dumps(found)}" for name, found in run["programs"].items()]
            programs = ",\n".join(lines)
            runs.append((suite, f'  "{threads}": {json.dumps(head)[:-1]}, "programs": {{\n{programs}\n  }}}}'))
        suites = [
            f' "{suite}": {{\n' + ",\n".join(text for of, text in runs if of == suite) + "\n }"
            for suite in dict.fromkeys(of for of, _ in runs)
        ]
        text = f'{{"format": {FORMAT}, "runs": {{\n' + ",\n".join(suites) + "\n}}\n"
        part = self.path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self.path)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
