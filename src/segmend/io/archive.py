"""Unpack a zip file that nobody vouches for: no bombs, no way out of the folder, no links."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from segmend.errors import FileError, LimitError
from segmend.io.sizes import MAX_BYTES, unpacked_room

MAX_FILES = 100_000
# Bytes unpacked at once.
PIECE = 2**20
# Names that operating systems add to archives.
SKIPPED = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


def unpack(path: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> list[Path]:
    """Unpack a zip file into an existing folder and return the files it made, in the archive's order.

    What comes out is counted while it comes, so an archive that lies about its sizes is
    stopped at `max_bytes` too (LimitError). Names that leave the folder, links, passwords
    and damaged members are refused (FileError); the caller deletes the folder then.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member for member in archive.infolist() if not member.is_dir() and not _is_skipped(member.filename)
            ]
            most = min(max_bytes, unpacked_room(path.stat().st_size))
            _check(members, path.name, most, max_files)
            _check_disk(members, path.name, folder)
            room, made = most, []
            for member in members:
                target = folder.joinpath(*PurePosixPath(member.filename).parts)
                room -= _unpack_one(archive, member, target, room, path.name, most)
                made.append(target)
            return made
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise FileError(f"{path.name} is not a sound zip file: {error}.") from None
    except OSError as error:
        raise FileError(f"{path.name} could not be unpacked: {error.strerror or error}.") from None


def _is_skipped(name: str) -> bool:
    return any(part in SKIPPED for part in PurePosixPath(name).parts)


def _check(members: list[zipfile.ZipInfo], name: str, max_bytes: int, max_files: int) -> None:
    if len(members) > max_files:
        raise LimitError(f"{name} holds {len(members)} files; at most {max_files} are unpacked.")
    if sum(member.file_size for member in members) > max_bytes:
        raise LimitError(f"{name} unpacks to more than {max_bytes} bytes.")
    seen = set()
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if not parts or ".." in parts or parts[0] == "/" or any(c in member.filename for c in "\\:\0"):
            raise FileError(f"{name} holds the path {member.filename[:80]!r}, which leaves the folder.")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise FileError(f"{name} holds {member.filename[:80]!r}, which is a link or a device.")
        if member.flag_bits & 1:
            raise FileError(f"{name} needs a password; unpack it first.")
        if member.filename in seen:
            raise FileError(f"{name} holds {member.filename[:80]!r} twice.")
        seen.add(member.filename)


def _check_disk(members: list[zipfile.ZipInfo], name: str, folder: Path) -> None:
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise LimitError(f"{name} unpacks to {needed} bytes; {free} are free on the disk.")


def _unpack_one(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, room: int, name: str, max_bytes: int
) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with archive.open(member) as source, target.open("xb") as file:
        while piece := source.read(PIECE):
            done += len(piece)
            if done > room:
                raise LimitError(f"{name} unpacks to more than {max_bytes} bytes.")
            file.write(piece)
    return done
