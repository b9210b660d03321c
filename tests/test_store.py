"""The folder of entries: what is damaged is not returned, others cannot write, processes do not disturb each other."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graphc import store
from graphc.store import ABANDONED_SECONDS, SHARDS, Store, UnsafeFolderError, Use

LIMIT = 1 << 20
KEY, CONTENT = "a key", bytes(range(256)) * 8

POSIX = pytest.mark.skipif(os.name != "posix", reason="the system has other permissions")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "graphc"


@pytest.fixture
def kept(folder: Path) -> Store:
    """A store with one entry."""
    made = Store(folder, LIMIT)
    made.put(KEY, CONTENT)
    return made


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_what_is_kept_is_found(kept: Store, folder: Path) -> None:
    assert kept.get(KEY) == CONTENT
    assert Store(folder, LIMIT).get(KEY) == CONTENT
    assert kept.get("another key") is None
    kept.put(KEY, b"")
    assert kept.get(KEY) == b""
    assert kept.use() == Use(1, files(folder)[0].stat().st_size)


@POSIX
def test_folders_and_files_are_private(kept: Store, folder: Path) -> None:
    assert {p.stat().st_mode & 0o777 for p in (folder, *folder.iterdir())} == {0o700}
    assert [p.stat().st_mode & 0o777 for p in files(folder)] == [0o600]


def test_clear_removes_entries_and_nothing_else(kept: Store, folder: Path) -> None:
    other = files(folder)[0].parent / "notes.txt"
    other.write_text("mine")
    kept.clear()
    assert files(folder) == [other]
    assert kept.use() == Use(0, 0)


# Damage.

SIZE = len(store._entry("0" * 64, CONTENT))
HEADER = SIZE - len(CONTENT)


@pytest.mark.parametrize("place", [*range(HEADER), HEADER, HEADER + 100, SIZE - 1])
def test_a_changed_byte_is_noticed(kept: Store, folder: Path, place: int) -> None:
    (entry,) = files(folder)
    damaged = bytearray(entry.read_bytes())
    damaged[place] ^= 1 << place % 8
    entry.write_bytes(damaged)
    assert_rebuilt(kept, folder)


@pytest.mark.parametrize("length", [0, 1, HEADER - 1, HEADER, HEADER + 1, SIZE - 1, SIZE + 1, 2 * SIZE])
def test_another_length_is_noticed(kept: Store, folder: Path, length: int) -> None:
    (entry,) = files(folder)
    entry.write_bytes((entry.read_bytes() * 2)[:length])
    assert_rebuilt(kept, folder)


def test_an_entry_in_anothers_place_is_noticed(kept: Store, folder: Path) -> None:
    (first,) = files(folder)
    kept.put("another key", b"other code")
    (second,) = set(files(folder)) - {first}
    first.write_bytes(second.read_bytes())
    assert_rebuilt(kept, folder)
    assert kept.get("another key") == b"other code"


def test_an_entry_with_a_wrong_checksum_is_noticed(kept: Store, folder: Path) -> None:
    (entry,) = files(folder)
    name = entry.name
    entry.write_bytes(store.MAGIC + bytes.fromhex(name) + store._checksum("0" * 64, CONTENT) + CONTENT)
    assert_rebuilt(kept, folder)


def assert_rebuilt(kept: Store, folder: Path) -> None:
    """A read finds nothing and takes away what is unsound; what is kept then is found."""
    assert kept.get(KEY) is None
    assert store._name(KEY) not in [p.name for p in files(folder)]
    kept.put(KEY, CONTENT)
    assert kept.get(KEY) == CONTENT


# Strangers.


@POSIX
@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666, 0o777])
def test_an_entry_that_others_may_write_is_not_believed(kept: Store, folder: Path, mode: int) -> None:
    files(folder)[0].chmod(mode)
    assert_rebuilt(kept, folder)


@POSIX
@pytest.mark.parametrize("mode", [0o702, 0o720, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(UnsafeFolderError):
        Store(folder, LIMIT)


@POSIX
def test_what_belongs_to_another_user_is_refused(kept: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert kept.get(KEY) is None
    assert files(folder) == []
    with pytest.raises(UnsafeFolderError):
        Store(folder, LIMIT)


def link(entry: Path) -> None:
    entry.rename(entry.parent / "target")
    entry.symlink_to(entry.parent / "target")


def pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def directory(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()


@POSIX
@pytest.mark.parametrize("replace", [link, pipe, directory])
def test_only_files_are_entries(kept: Store, folder: Path, replace: Callable[[Path], None]) -> None:
    replace(files(folder)[0])
    assert kept.get(KEY) is None
    kept.put(KEY, CONTENT)
    assert kept.get(KEY) == (None if replace is directory else CONTENT)


# Room.


def test_what_was_not_used_for_longest_goes_first(folder: Path) -> None:
    limit = 40 * len(SHARDS) * SIZE // 10
    kept = Store(folder, limit)
    names = [f"key {k}" for k in range(200)]
    for k, name in enumerate(names):
        kept.put(name, CONTENT)
        kept.get(names[0])
        for path in files(folder):
            if path.name != store._name(names[0]):
                age = 1000 - names.index(next(n for n in names[: k + 1] if store._name(n) == path.name))
                os.utime(path, (time.time() - age, time.time() - age))
        assert kept.use().bytes <= limit
    found = [k for k, name in enumerate(names) if kept.get(name) is not None]
    assert found[0] == 0
    assert 30 < len(found) <= 64
    for shard in SHARDS:
        here = [k for k in range(1, 200) if store._name(names[k])[0] == shard]
        left = [k for k in here if k in found]
        assert left == here[len(here) - len(left) :]


def test_what_is_larger_than_its_part_is_not_kept(folder: Path) -> None:
    kept = Store(folder, 16 * SIZE)
    kept.put(KEY, CONTENT)
    kept.put("large", CONTENT * 2)
    assert kept.get(KEY) == CONTENT
    assert kept.get("large") is None


def test_what_writers_left_behind_goes_after_a_while(kept: Store, folder: Path) -> None:
    shard = files(folder)[0].parent
    for name, age in (("new", 0.0), ("old", ABANDONED_SECONDS + 10)):
        path = shard / f"{store._name(name)}.{'0' * 16}.new"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age, time.time() - age))
    kept.put(KEY, CONTENT)
    assert sorted(p.suffix for p in files(folder)) == ["", ".new"]
    assert (shard / f"{store._name('new')}.{'0' * 16}.new").exists()


# A system that refuses.


def test_no_room_on_the_disk(kept: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    kept.put("another key", CONTENT)
    assert kept.get("another key") is None
    assert len(files(folder)) == 1
    assert kept.get(KEY) == CONTENT


def test_a_folder_that_goes_away_is_made_again(kept: Store, folder: Path) -> None:
    for path in [*files(folder), *folder.iterdir(), folder]:
        path.unlink() if path.is_file() else path.rmdir()
    assert kept.get(KEY) is None
    assert kept.use() == Use(0, 0)
    kept.put(KEY, CONTENT)
    assert kept.get(KEY) == CONTENT


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Store(tmp_path / "file", LIMIT)


# Many processes.

WRITER = """
import random, sys
from pathlib import Path
from graphc.store import Store
random.seed(int(sys.argv[2]))
kept = Store(Path(sys.argv[1]), 1 << 19)
found = 0
for _ in range(300):
    k = random.randrange(12)
    content = bytes([k]) * (1000 * k + 1)
    if random.random() < 0.5:
        kept.put(f"key {k}", content)
    else:
        read = kept.get(f"key {k}")
        assert read in (None, content)
        found += read is not None
    if random.random() < 0.01:
        kept.clear()
print(found)
"""


def test_processes_do_not_disturb_each_other(folder: Path) -> None:
    """Whoever reads finds all of an entry or nothing, while others write, remove and damage."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    running = [subprocess.Popen([*command, str(k)], stdout=subprocess.PIPE, text=True) for k in range(6)]
    rng = random.Random(0)
    while any(p.poll() is None for p in running):
        for path in files(folder):
            if rng.random() < 0.1 and path.suffix != ".new":
                damage(path)
        time.sleep(0.01)
    results = [p.communicate()[0] for p in running]
    assert [p.returncode for p in running] == [0] * 6
    assert sum(map(int, results)) > 100
    assert [p for p in files(folder) if p.suffix == ".new"] == []


def damage(path: Path) -> None:
    try:
        with open(path, "r+b") as file:
            file.seek(50)
            file.write(b"\xff\x00\xff")
    except FileNotFoundError:
        pass
