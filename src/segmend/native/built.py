"""Where the library of inner loops lies, and whether it was compiled from the sources beside it.

`hatch_build.py` reads this file, too, where nothing is installed yet: it imports the standard library alone.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

LIBRARY = "loops.so"  # on every platform: it is opened by its whole name


def sources(folder: Path) -> list[Path]:
    """Return the C files; a checkout has them, an installed package does not."""
    return sorted(folder.glob("*.[ch]"))


def checksum(folder: Path) -> str:
    """Return what tells one state of the sources from another, whatever their line ends."""
    total = hashlib.sha256()
    for source in sources(folder):
        total.update(source.read_bytes().replace(b"\r\n", b"\n"))
    return total.hexdigest()[:16]


def is_current(folder: Path) -> bool:
    """Tell whether the library is there and holds the checksum of its sources (mark.c), where there are any."""
    library = folder / LIBRARY
    if not library.is_file():
        return False
    return not sources(folder) or f"segmend loops of {checksum(folder)}".encode() in library.read_bytes()
