"""Files that appear whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from segmend.errors import DiskFullError, FileError

# Error numbers that say that the disk is full.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a file is called before it is whole, so that nobody else's file is ever taken for one.
PART_NAME = re.compile(r"\.[0-9a-f]{12}\.part")
# Age at which such a file is taken for a killed process's: no writing pauses for so long.
ABANDONED_SECONDS = 3600.0

# Folders that this process has swept.
_swept: set[Path] = set()


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a name beside `path`, and rename what it wrote to `path` once it is on disk.

    FileError when the folder or the disk refuses, DiskFullError when there is no room; then nothing is left behind
    and an older file of that name is untouched. What a killed process left of such a file is swept on the way.
    """
    folder = path.absolute().parent
    if folder not in _swept:
        _swept.add(folder)
        sweep_parts(folder)
    part = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
        with suppress(PermissionError):  # of a folder that may be written but not read
            flush_folder(folder)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(f"{path.name} could not be written: {error.strerror}; free some space.") from None
        raise FileError(f"{path.name} could not be written: {error.strerror or error}.") from None
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file of bytes, or nothing."""

    def write(part: Path) -> None:
        part.write_bytes(data)

    write_atomically(path, write)


def sweep_parts(folder: Path, *, older_seconds: float = ABANDONED_SECONDS) -> int:
    """Delete what killed processes left of files in a folder, not in the folders in it; return how many.

    Only files that are called as `write_atomically` calls them, and that nobody has written to for so long.
    """
    count, limit = 0, time.time() - older_seconds
    with suppress(OSError):  # a folder that may not be listed is nothing to sweep
        for entry in os.scandir(folder):
            if PART_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # another process's, who has just completed it, or not ours to delete
                    if entry.stat(follow_symlinks=False).st_mtime < limit:
                        os.unlink(entry.path)
                        count += 1
    return count


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name == "nt":  # Windows cannot open a folder; it flushes names with the file
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
