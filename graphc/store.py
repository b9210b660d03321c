"""A folder of entries, each bytes under a key, that many processes read and write at once: bounded, private, checked.

An entry is a file that appears whole, by renaming, and never changes. It holds its key and a checksum over key and
content: whatever is damaged, truncated or in another's place is not returned but removed. Nothing is locked, and
nothing is flushed to the disk: what a crash leaves half written fails its checksum.

The folder is the user's alone: entries are believed only if they belong to the user and nobody else may write them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"graphc entry 1\n"
"""The first bytes of an entry: the format."""

SHARDS = "0123456789abcdef"
"""Folders that entries are spread over by the first digit of their names, each with its part of the limit, so that
looking for what to remove means looking at few files."""

ABANDONED_SECONDS = 3600.0
"""Age from which a temporary file is one whose writer has died."""

_ENTRY = re.compile(r"[0-9a-f]{64}|[0-9a-f]{64}\.[0-9a-f]{16}\.new")
_DIGEST_BYTES = 32
_HEADER_BYTES = len(MAGIC) + 2 * _DIGEST_BYTES


class UnsafeFolderError(Exception):
    """The folder belongs to another user, or others may write to it."""


@dataclass(frozen=True)
class Use:
    """What a store holds."""

    entries: int
    bytes: int


class Store:
    """Entries in a folder of at most `limit` bytes, the least recently used going first.

    Raises UnsafeFolderError where others could have written what is in the folder, OSError where nothing can be
    written. Later on, an entry that cannot be read is missing, and one that cannot be written is not kept.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(folder.stat()):
            raise UnsafeFolderError(str(folder))
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(f"cannot write to {folder}")

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key, None where nothing sound is."""
        name = _name(key)
        try:
            content = _content(_read(self._path(name)), name)
        except FileNotFoundError:
            return None
        except OSError:
            content = None
        with contextlib.suppress(OSError):
            if content is None:
                self._path(name).unlink()
            else:
                os.utime(self._path(name))  # used just now
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep bytes under a key, if there is room and permission."""
        name = _name(key)
        entry = _entry(name, content)
        if len(entry) > self.limit // len(SHARDS):
            return
        with contextlib.suppress(OSError):
            shard = self._path(name).parent
            for folder in (self.folder, shard):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(shard, len(entry))
            self._write(name, entry)

    def clear(self) -> None:
        """Remove all entries, and nothing else that may lie in the folder."""
        for path, _ in self._files(SHARDS):
            path.unlink(missing_ok=True)

    def use(self) -> Use:
        """Return how much is kept."""
        sizes = [found.st_size for _, found in self._files(SHARDS)]
        return Use(len(sizes), sum(sizes))

    def _path(self, name: str) -> Path:
        return self.folder / name[0] / name

    def _write(self, name: str, entry: bytes) -> None:
        temporary = self._path(f"{name}.{secrets.token_hex(8)}.new")
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o600)
        try:
            with open(file, "wb") as out:
                out.write(entry)
            os.replace(temporary, self._path(name))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _make_room(self, shard: Path, needed: int) -> None:
        """Remove from a shard what was not used for longest until `needed` bytes fit, and what writers left behind."""
        files = sorted(self._files(shard.name), key=lambda f: f[1].st_mtime)
        total = sum(found.st_size for _, found in files) + needed
        oldest_in_use = time.time() - ABANDONED_SECONDS
        for path, found in files:
            is_abandoned = path.suffix == ".new" and found.st_mtime < oldest_in_use
            if is_abandoned or (total > self.limit // len(SHARDS) and path.suffix != ".new"):
                path.unlink(missing_ok=True)
                total -= found.st_size

    def _files(self, shards: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield entries and temporary files, with what the system knows of them; not what goes away meanwhile."""
        for shard in shards:
            with contextlib.suppress(OSError), os.scandir(self.folder / shard) as found:
                for item in found:
                    if _ENTRY.fullmatch(item.name):
                        with contextlib.suppress(OSError):
                            yield Path(item.path), item.stat(follow_symlinks=False)


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A link is not followed, and a pipe in an entry's place is not waited for."""


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _checksum(name: str, content: bytes) -> bytes:
    return hashlib.sha256(bytes.fromhex(name) + content).digest()


def _entry(name: str, content: bytes) -> bytes:
    return b"".join((MAGIC, bytes.fromhex(name), _checksum(name, content), content))


def _read(path: Path) -> bytes:
    """Return the bytes of a file that is the user's own. Raises OSError."""
    file = os.open(path, os.O_RDONLY | _NO_LINKS)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or not _is_private(found):
            raise PermissionError(f"{path} is not an entry")
        with open(file, "rb", closefd=False) as entry:
            return entry.read()
    finally:
        os.close(file)


def _content(entry: bytes, name: str) -> bytes | None:
    """Return the content of an entry; None if it is not what was put there under this name."""
    content = entry[_HEADER_BYTES:]
    return content if entry == _entry(name, content) else None


def _is_private(found: os.stat_result) -> bool:
    """Tell whether a file or folder is the user's and nobody else may write it."""
    if not hasattr(os, "geteuid"):
        return True  # the system has other means of keeping users apart
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
