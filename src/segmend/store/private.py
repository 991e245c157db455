"""Folders and files that no other account of the machine may look into.

Windows has no such modes: there a folder has the permissions of the one it lies in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

# What only the owner may do: enter and change a folder, read and write a file.
FOLDER_MODE, FILE_MODE = 0o700, 0o600
# What every other account may do.
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """Open a file that, when it is made, is the owner's alone: an opener for `open`."""
    return os.open(path, flags, FILE_MODE)


def close_to_others(folder: Path, own: Iterable[str]) -> bool:
    """Take from the other accounts what a folder holds under our own names; True when they could look into any of it.

    `own` are patterns of names. The folder itself is taken from them too, unless something lies in it that is not
    ours. What was closed already is not searched. OSError when something is not ours to change.
    """
    if os.name == "nt":
        return False
    entries = list(folder.iterdir())
    ours = [path for path in entries if any(fnmatchcase(path.name, pattern) for pattern in own)]
    found = [_close(path) for path in ours]
    if len(ours) == len(entries) and not folder.stat().st_mode & stat.S_ISVTX:
        found.append(_close_one(folder, folder.stat().st_mode))
    return any(found)


def _close(path: Path) -> bool:
    """Take a file, or a folder and all that is in it, from the other accounts; True when they could look into it."""
    mode = path.lstat().st_mode
    was_open = _close_one(path, mode)
    if was_open and stat.S_ISDIR(mode):
        for inner in path.iterdir():
            _close(inner)
    return was_open


def _close_one(path: Path, mode: int) -> bool:
    if not mode & OTHERS or stat.S_ISLNK(mode):
        return False
    path.chmod(stat.S_IMODE(mode) & ~OTHERS)
    return True
