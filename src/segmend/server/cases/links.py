"""Files and folders of the server's own machine, taken in as if they had been uploaded.

Only what lies in the folders that the server was started with, and only regular files and folders of
them: a link in them may lead anywhere, and who opens a pipe waits until somebody writes into it. Everything
is copied first, from descriptors that follow no link and never wait, so what was checked is what is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from segmend.errors import DiskFullError, FileError, LimitError, NotFoundError

# Bytes that are copied at once.
PIECE_BYTES = 1 << 20
# How a file is opened: without following a link, without waiting for a pipe's other end.
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Are files opened by their name in an open folder, so that no folder on the way can be exchanged?
BY_FOLDER = os.open in os.supports_dir_fd
NOT_THERE = "There is no such file or folder on the server's machine."


class OutsideError(FileError):
    """A path that leads out of the folders that may be read."""


@dataclass
class Room:
    """What may still be copied."""

    size_bytes: int
    files: int
    limits: str  # for a sentence


@dataclass(frozen=True)
class Folder:
    """A folder that is being read; `handle` is None where folders cannot be opened."""

    path: Path
    handle: int | None

    def about(self, name: str) -> os.stat_result:
        if self.handle is None:
            return os.lstat(self.path / name)
        return os.stat(name, dir_fd=self.handle, follow_symlinks=False)

    def open(self, name: str, flags: int = FLAGS) -> int:
        if self.handle is None:
            return os.open(self.path / name, flags)
        return os.open(name, flags, dir_fd=self.handle)

    def folder(self, name: str) -> Folder:
        """Return a folder in this one; whoever asks closes it."""
        handle = self.open(name, FLAGS | os.O_DIRECTORY) if BY_FOLDER else None
        return Folder(self.path / name, handle)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path if self.handle is None else self.handle))

    def close(self) -> None:
        if self.handle is not None:
            os.close(self.handle)


def copy_linked(path: str, folders: Sequence[Path], target: Path, *, max_bytes: int, max_files: int) -> Path:
    """Return the copy, in the folder `target`, of a file or folder that lies in one of these folders.

    A path that is not absolute is one in these folders. OutsideError for one that lies in none of them;
    FileError where anything in it is neither a regular file nor a folder.
    """
    root, parts = _find(path, folders)
    room = Room(max_bytes, max_files, f"{max_bytes} bytes and {max_files} files")
    copy = target / (parts[-1] if parts else root.name or "folder")
    opened: list[Folder] = []
    try:
        opened.append(Folder(root, os.open(root, os.O_RDONLY | os.O_DIRECTORY) if BY_FOLDER else None))
        for part in parts[:-1]:
            opened.append(opened[-1].folder(part))
        if parts:
            _copy(opened[-1], parts[-1], copy, room)
        else:
            _copy_folder(opened[-1], copy, room)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(NOT_THERE) from None
    except OSError as error:
        raise FileError(f"The linked files cannot be read: {error.strerror}.") from None
    finally:
        for folder in opened:
            folder.close()
    return copy


def _find(path: str, folders: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """Return the folder that a path lies in, and the rest of the path, without links."""
    place = Path.home() / path[2:] if path.startswith("~/") else Path(path)
    inside = False
    for folder in folders:
        with suppress(OSError, ValueError):  # what is no path at all is not there, either
            root = folder.expanduser().resolve()
            found = (root / place).resolve()
            if found.is_relative_to(root):
                inside = True
                if found.exists():
                    return root, found.relative_to(root).parts
    if inside or not place.is_absolute():
        raise NotFoundError(NOT_THERE)
    raise OutsideError(
        "This server reads only those folders of its machine that --link-folder names; upload the files instead."
    )


def _copy(folder: Folder, name: str, target: Path, room: Room) -> None:
    mode = folder.about(name).st_mode
    if stat.S_ISDIR(mode):
        inner = folder.folder(name)
        try:
            _copy_folder(inner, target, room)
        finally:
            inner.close()
    elif stat.S_ISREG(mode):
        _copy_file(folder, name, target, room)
    else:
        raise _irregular(name)


def _copy_folder(folder: Folder, target: Path, room: Room) -> None:
    target.mkdir()
    for name in folder.names():
        _copy(folder, name, target / name, room)


def _copy_file(folder: Folder, name: str, target: Path, room: Room) -> None:
    with open(folder.open(name), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was exchanged a moment ago
            raise _irregular(name)
        room.files -= 1
        room.size_bytes -= os.fstat(file.fileno()).st_size
        if room.files < 0 or room.size_bytes < 0:
            raise LimitError(f"At most {room.limits} are linked at once; these are more.")
        left = os.fstat(file.fileno()).st_size
        try:
            with target.open("xb") as copy:
                while left > 0 and (piece := file.read(min(PIECE_BYTES, left))):
                    copy.write(piece)
                    left -= len(piece)
        except OSError as error:
            raise DiskFullError(
                f"The linked files could not be copied: {error.strerror or 'the disk refused'}."
            ) from None


def _irregular(name: str) -> FileError:
    return FileError(f"A linked folder needs regular files and folders alone; {name!r} is something else.")
