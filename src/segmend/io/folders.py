"""A folder, a zip file or one file as a list of files; and what goes wrong in them in one sentence."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segmend.errors import FileError, SegmendError
from segmend.io.archive import MAX_FILES, unpack
from segmend.io.dicom import has_preamble

ZIP = b"PK\x03\x04"


@contextmanager
def open_files(path: Path) -> Iterator[list[Path]]:
    """Give the files of a folder, of a zip file (unpacked meanwhile in a folder of its own), or the one file."""
    if not path.exists():
        raise FileError(f"There is no file {path.name}.")
    if path.is_dir():
        yield list_files(path)
        return
    if not is_zip(path):
        yield [path]
        return
    with tempfile.TemporaryDirectory(prefix="segmend-") as folder:
        yield unpack(path, Path(folder))


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip file; a DICOM file may have the same first bytes in its preamble."""
    with path.open("rb") as file:
        head = file.read(132)
    return head.startswith(ZIP) and not has_preamble(head)


@contextmanager
def explain_errors(name: str) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one sentence.

    Readers check what they can name; the libraries below them raise almost anything else.
    """
    try:
        yield
    except SegmendError:
        raise
    except OSError as error:
        words = error.strerror or str(error).rstrip(".")
        named = "/" in words or "\\" in words  # where a file lies is nobody's business
        raise FileError(f"{name} could not be read: {'it is damaged' if named else words}.") from None
    except MemoryError:
        raise FileError(f"{name} needs more memory than there is.") from None
    except Exception as error:
        words = " ".join(f"{type(error).__name__} {error}".split())[:160].rstrip(".")
        raise FileError(f"{name} is damaged and could not be read: {words}.") from None


def list_files(folder: Path) -> list[Path]:
    """Return the files below a folder in order of name; links, pipes and devices are left out."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [
            p for n in sorted(names) if not n.startswith(".") and not (p := Path(root, n)).is_symlink() and p.is_file()
        ]
        if len(found) > MAX_FILES:
            raise FileError(f"{folder.name} holds more than {MAX_FILES} files.")
    return found
