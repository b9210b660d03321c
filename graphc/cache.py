"""The machine code that is kept on disk between processes: look at it with info(), empty it with clear().

It lies in the folder that GRAPHC_CACHE_DIR names, else in graphc in the user's folder for caches. GRAPHC_CACHE_DIR set
to nothing switches it off; so does a folder that cannot be written, or that is not the user's alone.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from graphc.store import Store, UnsafeFolderError, Use

__all__ = ["CacheInfo", "clear", "info"]

LIMIT_BYTES = 512 << 20
"""Bytes kept on disk; beyond them, what was not used for longest goes."""


@dataclass(frozen=True)
class CacheInfo:
    """What is known of the cache.

    folder     where it lies; None while it is off
    entries    pieces of machine code, of all processes and programs
    bytes      their size on disk
    limit      bytes beyond which those go that were not used for longest
    hits       pieces that this process took from the disk instead of compiling
    misses     pieces that this process looked for in vain
    """

    folder: str | None
    entries: int
    bytes: int
    limit: int
    hits: int
    misses: int


def info() -> CacheInfo:
    """Return where the cache lies, how much it holds and what this process had of it.

    >>> gx.cache.info().limit
    536870912
    """
    store = _opened()
    use = Use(0, 0) if store is None else store.use()
    folder = None if store is None else str(store.folder)
    return CacheInfo(folder, use.entries, use.bytes, LIMIT_BYTES, _counts["hits"], _counts["misses"])


def clear() -> None:
    """Remove all machine code from the disk. Programs that are compiled already keep theirs."""
    store = _opened()
    if store is not None:
        store.clear()


def find(key: str) -> bytes | None:
    """Return what was kept under a key, None where nothing is or the cache is off."""
    store = _opened()
    if store is None:
        return None
    found = store.get(key)
    _counts["misses" if found is None else "hits"] += 1
    return found


def keep(key: str, content: bytes) -> None:
    """Keep bytes under a key, if the cache is on."""
    store = _opened()
    if store is not None:
        store.put(key, content)


_counts = {"hits": 0, "misses": 0}
_stores: dict[str, Store | None] = {}


def _opened() -> Store | None:
    """Return the cache that the environment asks for now, None if it is off."""
    folder = _folder()
    if not folder:
        return None
    if folder not in _stores:
        _stores[folder] = _open(folder)
    return _stores[folder]


def _open(folder: str) -> Store | None:
    try:
        return Store(Path(folder), LIMIT_BYTES)
    except UnsafeFolderError:
        warnings.warn(
            f"graphc keeps no machine code in {folder}, because other users can write there; "
            "make the folder yours alone (chmod 700) or set GRAPHC_CACHE_DIR",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    except (OSError, ValueError):
        return None


def _folder() -> str:
    """Return the folder that the environment asks for; nothing where it asks for none or there is no home."""
    named = os.environ.get("GRAPHC_CACHE_DIR")
    if named is not None:
        return os.path.abspath(named) if named else ""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):  # so the XDG specification has it
        caches = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(caches, "graphc") if os.path.isabs(caches) else ""
