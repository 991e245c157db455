"""Blobs, the large things that SQL only names: in a local folder or, through fsspec, in a bucket.

A blob is written as a whole or not at all. In a folder it grows under a `.part` name, is
flushed to the disk and then renamed; in a bucket it appears with its last part. Keys are
relative, with slashes: `cases/1f…/image.npy`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from segmend.core.atomic import DISK_FULL, flush_folder
from segmend.errors import DiskFullError, ReadOnlyError, SettingsError, StoreError
from segmend.runtime.tracing import span
from segmend.store.private import make_folder, open_private

# Error numbers that say that a folder is there but may not be written.
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# Ending of a blob that is not complete.
PART = ".part"
# What a blob is called before it is complete, so that nobody else's file is ever taken for one.
PART_NAME = re.compile(r"[0-9a-f]{32}\.part")
# How often a place that could not be written is tried again.
RETRY_SECONDS = 2.0
# What is written to see whether there is room: a full disk takes an empty file.
PROBE = bytes(4096)


class Blobs:
    """The blobs under one URL: a folder's path, `file://…`, `s3://bucket/prefix` or another fsspec URL.

    The query of the URL and `options` go to fsspec: `s3://bucket?endpoint_url=…&key=…&secret=…`;
    for S3 `region` is understood too.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        protocol = url.partition("://")[0] if "://" in url else "file"
        self._local = protocol == "file"
        if self._local:
            self._root = str(Path(url.removeprefix("file://")).absolute())
            self._refusals: tuple[type[Exception], ...] = (OSError,)
        else:
            self._root = url.partition("?")[0].rstrip("/")
            self._files, self._refusals = _file_system(protocol, url, options or {})
        self._unwritable: StoreError | None = None  # why nothing can be written
        self._tried = 0.0
        self._try_writing()

    @property
    def name(self) -> str:
        """What to call this place in a sentence; never with its credentials."""
        return self._root

    @property
    def read_only(self) -> StoreError | None:
        """Why nothing can be written, None when all is well; it is looked at anew every few seconds."""
        if self._unwritable is not None and time.monotonic() - self._tried >= RETRY_SECONDS:
            self._try_writing()
        return self._unwritable

    def path(self, key: str) -> Path | None:
        """Return the blob's local path, None in a bucket."""
        return Path(self._root, key) if self._local else None

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        """Give a file to write; the blob is there, complete and durable, when this ends without an error."""
        with (
            span("blob write"),
            self._translate_errors(f"take {key}"),
            (self._local_writer if self._local else self._remote_writer)(key) as file,
        ):
            yield file

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Give a writer of many blobs, which are all durable when this ends without an error.

        Until then a crash may leave any of them damaged, so that nothing may name them yet. A disk is asked once for
        each file and folder instead of once for each folder of each file.
        """
        batch = Batch(self)
        yield batch
        with self._translate_errors("be kept"):
            batch.flush()

    @contextmanager
    def reader(self, key: str) -> Iterator[IO[bytes]]:
        """Give a file to read; StoreError when the blob is not there or does not come."""
        with span("blob read"), self._translate_errors(f"give {key}"):
            path = self.path(key)
            with path.open("rb") if path else self._files.open(self._remote(key), "rb") as file:
                yield file

    def size(self, key: str) -> int | None:
        """Return how many bytes a blob has, None where there is none."""
        with self._translate_errors(f"give {key}"), suppress(FileNotFoundError):
            path = self.path(key)
            return path.stat().st_size if path else int(self._files.info(self._remote(key))["size"])
        return None

    def keys(self, folder: str) -> list[str]:
        """Return the keys of all blobs in a folder and the folders in it, sorted."""
        with self._translate_errors(f"list {folder}"):
            path = self.path(folder)
            if path:
                found = [str(p.relative_to(path)) for p in path.rglob("*") if p.is_file() and p.suffix != PART]
            else:
                base = self._files._strip_protocol(self._remote(folder)) + "/"
                found = [name.removeprefix(base) for name in self._files.find(base)]
        return sorted(f"{folder}/{name}" for name in found)

    def remove(self, key: str) -> None:
        """Delete a blob, or a folder of blobs; nothing happens when there is none."""
        with self._translate_errors(f"delete {key}"), suppress(FileNotFoundError):
            path = self.path(key)
            if path is None:
                self._files.rm(self._remote(key), recursive=True)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def holds_any(self, folder: str) -> bool:
        """Tell whether there is a blob in a folder or the folders in it."""
        with self._translate_errors(f"list {folder}"):
            path = self.path(folder)
            if path:
                return any(p.is_file() and p.suffix != PART for p in path.rglob("*"))
            try:
                return bool(self._files.ls(self._remote(folder)))
            except FileNotFoundError:
                return False

    def parts(self, *, older_seconds: float) -> list[Path]:
        """Return what killed processes left of blobs that they were writing.

        Only files that are called as this class calls them, and that nobody has written to for so long.
        """
        if not self._local:
            return []  # a bucket shows no blob before it is complete
        found, limit = [], time.time() - older_seconds
        for path in Path(self._root).rglob(f"*{PART}"):
            with suppress(OSError):  # another server's, who has just completed it
                if PART_NAME.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < limit:
                    found.append(path)
        return found

    def sweep_parts(self, *, older_seconds: float) -> int:
        """Delete what killed processes left of blobs that they were writing; return how many."""
        count = 0
        for path in self.parts(older_seconds=older_seconds):
            with suppress(OSError):  # completed or swept by another server meanwhile, or not ours to delete
                path.unlink()
                count += 1
        return count

    def _try_writing(self) -> None:
        self._tried = time.monotonic()
        try:
            self._probe()
        except StoreError as refusal:
            if not isinstance(refusal, DiskFullError | ReadOnlyError):
                raise
            self._unwritable = refusal
        else:
            self._unwritable = None

    def _probe(self) -> None:
        """Write a blob and delete it again: better refused now than when something is to be kept."""
        probe = f"{uuid4().hex}{PART}"
        with self._translate_errors("be opened"):
            if not self._local:
                self._files.pipe_file(self._remote(probe), b"")
                self._files.rm_file(self._remote(probe))
                return
            make_folder(Path(self._root))
            with suppress(PermissionError):  # of a folder above ours, which may not be ours to read
                flush_folder(Path(self._root).parent)
            path = Path(self._root, probe)
            try:
                path.write_bytes(PROBE)
            finally:
                path.unlink(missing_ok=True)

    def _remote(self, key: str) -> str:
        return f"{self._root}/{key}"

    @contextmanager
    def _local_writer(self, key: str, *, flushed: bool = True) -> Iterator[IO[bytes]]:
        path = Path(self._root, key)
        make_folder(path.parent)
        part = path.with_name(f"{uuid4().hex}{PART}")
        try:
            with open(part, "xb", opener=open_private) as file:
                yield file
                if flushed:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if flushed:
            self._flush_folders([path])

    def _flush_folders(self, paths: Iterable[Path]) -> None:
        """Make the names of files durable, and those of the folders that they are in."""
        folders = {folder: None for path in paths for folder in path.relative_to(self._root).parents}
        for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
            flush_folder(Path(self._root, folder))

    @contextmanager
    def _remote_writer(self, key: str) -> Iterator[IO[bytes]]:
        file = self._files.open(self._remote(key), "wb", autocommit=False)
        try:
            yield file
            file.close()
        except BaseException:
            file.discard()
            file.closed = True  # or its destructor would upload what it has
            raise
        file.commit()

    @contextmanager
    def _translate_errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except self._refusals as error:
            if getattr(error, "errno", None) in DISK_FULL:
                raise DiskFullError(f"The disk of {self.name} is full; free some space and try again.") from error
            absent = "it is not there" if isinstance(error, FileNotFoundError) else error
            reason = getattr(error, "strerror", None) or absent
            kind = ReadOnlyError if self._local and getattr(error, "errno", None) in READ_ONLY else StoreError
            raise kind(f"The blobs at {self.name} could not {act}: {reason}.") from error


class Batch:
    """Blobs that become durable together; `Blobs.batch` gives one."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._paths: list[Path] = []

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        """Give a file to write; the blob is complete when this ends without an error, and durable with the batch."""
        path = self._blobs.path(key)
        if path is None:
            with self._blobs.writer(key) as file:
                yield file
            return
        with (
            span("blob write"),
            self._blobs._translate_errors(f"take {key}"),
            self._blobs._local_writer(key, flushed=False) as file,
        ):
            yield file
        self._paths.append(path)

    def flush(self) -> None:
        """Make all of them durable."""
        for path in self._paths:
            with path.open("r+b") as file:  # for writing, as Windows wants it
                os.fsync(file.fileno())
        self._blobs._flush_folders(self._paths)


def _file_system(protocol: str, url: str, options: Mapping[str, Any]) -> tuple[Any, tuple[type[Exception], ...]]:
    """Return the fsspec file system of a URL, and the exceptions by which it refuses."""
    import fsspec  # a folder needs none of it

    settings: dict[str, Any] = {**dict(parse_qsl(urlsplit(url).query)), **options}
    refusals: tuple[type[Exception], ...] = (OSError,)
    if protocol in ("s3", "s3a"):
        region = settings.pop("region", None)
        settings.setdefault("use_listings_cache", False)
        settings.setdefault(
            "config_kwargs", {"connect_timeout": 5, "retries": {"max_attempts": 2}}
        )  # s3fs tries 5 times
        settings.setdefault("client_kwargs", {"region_name": region} if region else {})
    try:
        files = fsspec.filesystem(protocol, **settings)
        if protocol in ("s3", "s3a"):
            from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

            refusals = (OSError, BotoCoreError, ClientError)
    except ImportError as missing:
        raise SettingsError(f"Blobs at {protocol}:// need a package ({missing}): pip install 'segmend[s3]'.") from None
    except (TypeError, ValueError) as error:
        raise SettingsError(f"Blobs need a folder or a URL with known options; {protocol}:// said: {error}.") from None
    return files, refusals
