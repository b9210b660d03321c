"""How many cores this process may keep busy: what it is bound to, and the quota of its control groups.

Two CPUs of one core count once: kernels that keep its arithmetic or its path to memory busy gain nothing from both.

A quota is time per period: 150 ms in every 100 ms are one core and a half. Threads that wait for each other all stop
when the quota of a period is used up, so the half is left to others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_THREADS = 256
"""The most threads that one call uses."""


def available_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use, at least one; `root` holds the system's proc and sys."""
    return max(1, min([_bound_cores(root), *_quotas(root)]))


def _bound_cores(root: Path) -> int:
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    places = [root / f"sys/devices/system/cpu/cpu{cpu}/topology" for cpu in os.sched_getaffinity(0)]
    return len({" ".join(_words(p / "thread_siblings_list")) or str(p) for p in places})


def _quotas(root: Path) -> Iterator[int]:
    """Yield the whole cores that each control group around this process allows, where it has a limit."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    for folder, is_second in _folders(groups, mounts):
        for place in _upwards(root, folder):
            quota = _second(place) if is_second else _first(place)
            if quota is not None:
                yield int(quota)


def _folders(groups: list[str], mounts: list[str]) -> Iterator[tuple[tuple[PurePosixPath, PurePosixPath], bool]]:
    """Yield where the files of this process's groups are: a mount point and the path below it; and the version.

    A line of cgroup is `id:controllers:path`, with no controllers in version 2; one of mountinfo has the path that is
    mounted, where, and after a dash the type and the controllers.
    """
    lines = [g.split(":", 2) for g in groups if g.count(":") >= 2]
    paths = {controller: path for _, names, path in lines for controller in names.split(",")}
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        is_second = kinds[0] == "cgroup2"
        is_first = kinds[0] == "cgroup" and "cpu" in kinds[2].split(",")
        path = paths.get("" if is_second else "cpu")
        if not (is_second or is_first) or path is None:
            continue
        mounted, point = PurePosixPath(fields[3]), PurePosixPath(fields[4])
        inside = PurePosixPath(path)
        # A container may see its own group mounted as the root, by a path that is not its own.
        below = inside.relative_to(mounted) if inside.is_relative_to(mounted) else PurePosixPath()
        yield (point, below), is_second


def _upwards(root: Path, folder: tuple[PurePosixPath, PurePosixPath]) -> Iterator[Path]:
    """Yield the folder of a group and those of the groups around it, as far as they are mounted."""
    point, below = folder
    base = root / point.relative_to("/")
    for inside in (below, *below.parents):
        if ".." not in inside.parts:
            yield base / inside


def _second(place: Path) -> float | None:
    """Return the cores of `cpu.max`: "max 100000", or microseconds in each period."""
    quota, period = [*_words(place / "cpu.max"), "", ""][:2]
    return _ratio(quota, period)


def _first(place: Path) -> float | None:
    """Return the cores of the files of version 1, where -1 is no limit."""
    quota, period = ([*_words(place / f"cpu.cfs_{what}_us"), ""][0] for what in ("quota", "period"))
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
