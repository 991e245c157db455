"""Folders for what is on its way: uploads that come in, exports that go out."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

from segmend.core.atomic import DISK_FULL
from segmend.errors import DiskFullError, ReadOnlyError


def scratch_folder(data: Path, prefix: str, *, elsewhere: bool = False) -> Path:
    """Return a new folder in the data folder; with `elsewhere` among the system's own where that may not be written.

    DiskFullError and ReadOnlyError where there is none to be had.
    """
    try:
        return Path(mkdtemp(prefix=prefix, dir=data))
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError("The disk of the data folder is full; free some space and try again.") from error
        if elsewhere:
            return Path(mkdtemp(prefix=f"segmend-{prefix}"))
        raise ReadOnlyError("The data folder cannot be written; what is there can be seen and exported.") from error
