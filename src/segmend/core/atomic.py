"""Files that appear whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from segmend.errors import FileError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a name beside `path`, and rename what it wrote to `path` once it is on disk.

    FileError when the folder or the disk refuses; then nothing is left behind and an
    older file of that name is untouched.
    """
    part = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path.name} could not be written: {error.strerror or error}.") from None
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file of bytes, or nothing."""

    def write(part: Path) -> None:
        part.write_bytes(data)

    write_atomically(path, write)
