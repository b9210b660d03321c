"""What code follows from besides the program and the target: graphc's sources, and the versions of what it uses."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from graphc import llvm

_imported = time.time()
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@lru_cache(maxsize=1)
def toolchain() -> str | None:
    """Return what tells this compiler from others, None where that cannot be known.

    It cannot where the sources are not files, or were written after they had been read.
    """
    digest = hashlib.sha256()
    count = 0
    try:
        for path in sorted(_sources(_PACKAGE)):
            found = os.stat(path)
            if max(found.st_mtime, found.st_ctime) >= _imported:
                return None
            with open(path, "rb") as file:
                digest.update(f"{os.path.relpath(path, _PACKAGE)} {found.st_size}\n".encode() + file.read())
            count += 1
    except OSError:
        return None
    if not count:
        return None
    versions = ("numpy", np.__version__, "python", sys.version.replace("\n", " "))
    return " ".join(("graphc", digest.hexdigest(), llvm.version(), *versions))


def _sources(folder: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        for item in found:
            if item.is_dir():
                yield from _sources(item.path)
            elif item.name.endswith(".py"):
                yield item.path
