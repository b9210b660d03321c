"""How many cores a process may use, from files as systems have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphc import cores

SECOND = "30 23 0:26 {mounted} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
FIRST = "31 23 0:27 {mounted} /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """Write what the system says about a process's control groups."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


CASES = {
    "no limit": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "max 100000"}, 64),
    "four cores": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
    "a core and a half": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "150000 100000"}, 1),
    "half a core": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
    "another period": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "60000 20000"}, 3),
    "a group inside": (
        "0::/user/app",
        SECOND,
        {"sys/fs/cgroup/user/app/cpu.max": "max 100000", "sys/fs/cgroup/user/cpu.max": "200000 100000"},
        2,
    ),
    "the least of two": (
        "0::/user/app",
        SECOND,
        {"sys/fs/cgroup/user/app/cpu.max": "300000 100000", "sys/fs/cgroup/user/cpu.max": "800000 100000"},
        3,
    ),
    "only a part is mounted": (
        "0::/docker/1f/app",
        SECOND.replace("{mounted}", "/docker/1f"),
        {"sys/fs/cgroup/app/cpu.max": "500000 100000"},
        5,
    ),
    "a container sees itself as the root": (
        "0::/docker/1f",
        SECOND,
        {"sys/fs/cgroup/cpu.max": "700000 100000"},
        7,
    ),
    "outside of the namespace": ("0::/../other", SECOND, {"sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
    "first version": (
        "4:memory:/\n3:cpu,cpuacct:/app",
        f"{MEMORY}\n{FIRST}",
        {
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000",
        },
        2,
    ),
    "first version, no limit": (
        "3:cpu,cpuacct:/",
        FIRST,
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
        64,
    ),
    "both versions": (
        "3:cpu,cpuacct:/\n0::/",
        f"{SECOND}\n{FIRST}",
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
        3,
    ),
    "nonsense": ("what is this", "nor this - \n1 2", {"sys/fs/cgroup/cpu.max": "1 0"}, 64),
    "nonsense in a quota": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "many 0"}, 64),
    "a period of nothing": ("0::/", SECOND, {"sys/fs/cgroup/cpu.max": "1000 0"}, 64),
}


@pytest.mark.parametrize("name", CASES)
def test_quotas(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups, mounts, files, expected = CASES[name]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert cores.available_cores(system(tmp_path, groups, mounts.replace("{mounted}", "/"), files)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds no process to CPUs")
def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert cores.available_cores(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds no process to CPUs")
def test_two_cpus_of_one_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{k}/topology/thread_siblings_list": f"{k % 4},{k % 4 + 4}" for k in range(8)
    }
    root = system(tmp_path, "", "", siblings)
    for bound, expected in [(range(8), 4), (range(4), 4), ((0, 4), 1), ((1, 2, 6), 2), ((3,), 1)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, bound=bound: set(bound))
        assert cores.available_cores(root) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to CPUs")
def test_a_process_bound_to_one_core() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores.available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
