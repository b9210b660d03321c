"""The same program is the same code in every process: neither hashes of strings nor addresses of objects count."""

from __future__ import annotations

import os
import subprocess
import sys


def test_the_same_code_in_every_process() -> None:
    running = []
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "tests.determinism", seed]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    first, *others = [p.communicate()[0] for p in running]
    assert [p.returncode for p in running] == [0, 0, 0]
    assert len(first.splitlines()) > 70
    for other in others:
        assert other.splitlines() == first.splitlines()
