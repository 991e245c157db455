"""Files that appear whole or not at all."""

import os
import stat
import time

import pytest

from segmend.core import atomic
from segmend.core.atomic import sweep_parts, write_bytes
from segmend.errors import DiskFullError
from tests.store.places import small_disk

OLD = time.time() - 2 * atomic.ABANDONED_SECONDS


def part(folder, letter, *, old=True):
    path = folder / f".{letter * 12}.part"
    path.write_bytes(b"half")
    if old:
        os.utime(path, (OLD, OLD))
    return path


def test_the_folder_is_on_the_disk_too_after_the_rename(tmp_path, monkeypatch):
    flushed, real = [], os.fsync

    def flush(handle):
        mode = os.fstat(handle).st_mode
        flushed.append(("folder" if stat.S_ISDIR(mode) else "file", (tmp_path / "mask.nii").exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", flush)
    write_bytes(tmp_path / "mask.nii", b"mask")
    assert flushed == [("file", False), ("folder", True)]


def test_a_full_disk_is_told_as_one_and_leaves_nothing(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        write_bytes(disk / "mask.nii", b"old")
        with pytest.raises(DiskFullError, match=r"mask\.nii could not be written: No space left on device; free some"):
            write_bytes(disk / "mask.nii", bytes(1 << 20))
        assert [(path.name, path.read_bytes()) for path in disk.iterdir()] == [("mask.nii", b"old")]


def test_what_killed_commands_left_is_swept_and_nothing_else(tmp_path):
    old, young = part(tmp_path, "a"), part(tmp_path, "b", old=False)
    (tmp_path / "below").mkdir()
    below = part(tmp_path / "below", "c")
    others = [tmp_path / name for name in ("a film.part", ".cafe.part", f".{'a' * 12}.part.txt", f".{'g' * 12}.part")]
    for path in others:
        path.write_bytes(b"not ours")
        os.utime(path, (OLD, OLD))

    write_bytes(tmp_path / "mask.nii", b"mask")

    assert not old.exists()
    assert all(path.exists() for path in (young, below, *others))


def test_a_folder_is_swept_once(tmp_path):
    write_bytes(tmp_path / "a.nii", b"a")
    later = part(tmp_path, "a")
    write_bytes(tmp_path / "b.nii", b"b")
    assert later.exists()
    assert sweep_parts(tmp_path) == 1 and sweep_parts(tmp_path / "gone") == 0
