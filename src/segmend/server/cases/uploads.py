"""Files that come in: streamed to the disk as they arrive, counted, and read as images.

Nothing of an upload is believed. Its names lose every folder and odd character, its bytes
are counted while they come, its archives are unpacked by `segmend.io.archive`, and what the
files are, `segmend.io` says by looking into them. The folder an upload lies in is deleted
when its images are in the store (or when they are not).
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import IO, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from segmend.core.image import Image
from segmend.errors import DiskFullError, FileError, LimitError, UserError
from segmend.io.apart import Found
from segmend.io.dicomslides import SlideSeries
from segmend.io.folders import is_zip
from segmend.server.cases.links import copy_linked
from segmend.server.cases.reading import Reading
from segmend.server.cases.scratch import scratch_folder
from segmend.server.replies import UnreadableError
from segmend.server.settings import ServerSettings
from segmend.store import CaseRecord, Store
from segmend.store.pseudonyms import Cleaned
from segmend.store.records import SeriesRecord
from segmend.store.slides import MODALITY, add_slide

log = logging.getLogger("segmend.server")
# Bytes gathered before a thread writes them.
PIECE_BYTES = 1 << 20
# Of a form field that is no file.
MAX_FIELD_BYTES = 1000
# Characters of a file's or a case's name.
MAX_NAME_LENGTH = 150
# Endings that are no part of a case's name, the longer before the shorter.
IMAGE_ENDINGS = (
    ".nii.gz", ".hdr.gz", ".img.gz", ".seg.nrrd", ".zip", ".nii", ".hdr", ".img", ".mgz", ".mgh", ".nrrd", ".nhdr",
    ".mha", ".mhd", ".dcm", ".png", ".jpg", ".jpeg", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs", ".bmp", ".gz",
)  # fmt: skip
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
                        "project": {"type": "string", "maxLength": 200},
                    },
                }
            }
        },
    }
}


@dataclass
class Upload:
    """Files that came together, in one folder."""

    folder: Path
    files: list[Path] = field(default_factory=list)
    project: str = "default"


@asynccontextmanager
async def receive(request: Request, settings: ServerSettings) -> AsyncIterator[Upload]:
    """Give the files of a multipart body, written to a folder that is gone afterwards."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UnreadableError("An upload needs a multipart/form-data body with the files in it.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > settings.max_upload_bytes:
        raise _too_large(settings)
    folder = scratch_folder(settings.data, "upload-")
    try:
        incoming = Incoming(folder, options[b"boundary"], settings)
        try:
            await _drain(request, incoming)
        finally:
            incoming.close()
        if not incoming.upload.files:
            raise FileError("An upload needs at least one file in the field 'files'; got none.")
        yield incoming.upload
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


async def _drain(request: Request, incoming: Incoming) -> None:
    pieces, size = [], 0
    async for piece in request.stream():
        pieces.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            await run_in_threadpool(incoming.take, b"".join(pieces))
            pieces, size = [], 0
    await run_in_threadpool(incoming.take, b"".join(pieces), last=True)


class Incoming:
    """A multipart body being written to a folder, piece by piece."""

    def __init__(self, folder: Path, boundary: bytes, settings: ServerSettings) -> None:
        self.upload = Upload(folder / "files")
        self.upload.folder.mkdir()
        self._settings = settings
        self._received = 0
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._field, self._text = "", b""
        self._file: IO[bytes] | None = None
        self._names = Names()
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._note_end,
            },
        )

    def take(self, piece: bytes, *, last: bool = False) -> None:
        """Write the next bytes of the body."""
        self._received += len(piece)
        if self._received > self._settings.max_upload_bytes:
            raise _too_large(self._settings)
        try:
            self._parser.write(piece)
            if last:
                self._parser.finalize()
        except MultipartParseError:
            raise UnreadableError("The multipart body is damaged.") from None
        except OSError as error:
            raise DiskFullError(f"The upload could not be written: {error.strerror or 'the disk refused'}.") from None
        if last and not self._complete:
            raise UnreadableError("The multipart body ends too early.")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._headers, self._name, self._value = {}, b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field, self._text = options.get(b"name", b"").decode("utf-8", "replace"), b""
        if b"filename" not in options:
            return
        if len(self.upload.files) >= self._settings.max_upload_files:
            raise LimitError(f"At most {self._settings.max_upload_files} files are taken at once; send them zipped.")
        name = self._names.give(safe_name(options[b"filename"].decode("utf-8", "replace")))
        path = self.upload.folder / name
        self._file = path.open("xb")
        self.upload.files.append(path)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        else:
            self._text += data[start:end]
            if len(self._text) > MAX_FIELD_BYTES:
                raise LimitError(f"A field of an upload may have {MAX_FIELD_BYTES} bytes; send files with a file name.")

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._field == "project":
            self.upload.project = self._text.decode("utf-8", "replace")

    def _note_end(self) -> None:
        self._complete = True


def safe_name(name: str) -> str:
    """Return the last part of a path as a name that means nothing to any file system.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\\\scans\\\\Knie links.nii.gz"), safe_name("..")
    ('passwd', 'Knie links.nii.gz', 'file')
    """
    last = PureWindowsPath(name.replace("\0", "")).name
    kept = re.sub(r"[^\w .()+-]", "_", last).lstrip(". ").rstrip(". ")
    return kept[-MAX_NAME_LENGTH:] or "file"


class Names:
    """Names that have been given: each only once, in any case of letters.

    >>> names = Names()
    >>> names.give("a.nii"), names.give("A.nii"), names.give("2-a.nii")
    ('a.nii', '2-A.nii', '2-2-a.nii')
    """

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._last: dict[str, int] = {}  # the number of the last one of a name: thousands may have the same

    def give(self, name: str) -> str:
        """Return the name, numbered when it was given before."""
        number, candidate = self._last.get(name.lower(), 1), name
        while candidate.lower() in self._given:
            number += 1
            candidate = f"{number}-{name}"
        self._last[name.lower()] = number
        self._given.add(candidate.lower())
        return candidate


@dataclass(frozen=True)
class LeftOut:
    """A file that came and is no case, and the sentence that says why."""

    name: str
    why: str


@dataclass(frozen=True)
class Added:
    """What became of files that came in."""

    cases: list[CaseRecord]
    left_out: list[LeftOut]
    copies: list[str]  # sentences on cases whose voxels were there already, and on what to look for


def add_cases(store: Store, reading: Reading, upload: Upload) -> Added:
    """Return the new cases of an upload, and which of its files are none; FileError when all are."""
    return _add(store, reading, unpacked(reading, upload), upload.project)


def unpacked(reading: Reading, upload: Upload) -> list[Path]:
    """Return the files and folders of an upload to be read one by one, its archives unpacked."""
    loose = [path for path in upload.files if not is_zip(path)]
    places: list[Path] = [upload.folder] if len(loose) > 1 else loose
    for number, path in enumerate(path for path in upload.files if is_zip(path)):
        target = upload.folder.parent / f"{number}-{case_name(path.name)}"
        target.mkdir()
        reading.unpack(path, target)
        path.unlink()
        places.append(target)
    return places


def add_linked(store: Store, reading: Reading, path: str, project: str, settings: ServerSettings) -> Added:
    """Return the new cases of a file or folder of this machine."""
    with _linked(path, settings) as place:
        return _add(store, reading, [place], project)


@contextmanager
def _linked(path: str, settings: ServerSettings) -> Iterator[Path]:
    """Give a copy of a file or folder of this machine."""
    folder = scratch_folder(settings.data, "upload-")
    limits = {"max_bytes": settings.max_upload_bytes, "max_files": settings.max_upload_files}
    try:
        yield copy_linked(path, settings.link_folders, folder, **limits)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _add(store: Store, reading: Reading, places: list[Path], project: str) -> Added:
    added = Added([], [], [])
    refused: list[UserError] = []

    def add(name: str, place: Path, take: Callable[[], CaseRecord]) -> None:
        try:
            case = take()
            added.cases.append(case)
            if (twin := store.twin_of(case.id)) is not None:
                added.copies.append(f"{case.name} has the same voxels as {twin.name}, which was there already.")
        except UserError as error:
            refused.append(_without_place(error, place))
            added.left_out.append(LeftOut(name, str(refused[-1])))

    def take_all(cleaned: Cleaned) -> None:
        place = cleaned.place
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        several = reading.slide_series(files)
        for series in several:
            add(series.name, place, partial(_add_slide_series, store, reading, series, project, cleaned))
            for path in series.paths:
                path.unlink()
        slides = _slides_in(files, reading)
        for path in slides:
            add(path.name, place, partial(_add_slide, store, reading, path, project, cleaned))
            path.unlink()
        if (slides or several) and not any(path.is_file() for path in (place, *place.rglob("*"))):
            return
        for found in reading.images(place):
            add(found.info.name, place, partial(_add_case, store, found, cleaned, project))

    for origin in places:
        try:
            with reading.cleaned(origin, store.project(project)) as cleaned:
                take_all(cleaned)
                added.copies.extend(cleaned.warnings)
        except UserError as error:  # of the place as a whole
            refused.append(_without_place(error, origin))
            added.left_out.append(LeftOut(origin.name, str(refused[-1])))
    if not added.cases:
        raise refused[0]  # a place without an image is refused, so there is one
    if refused:
        log.warning("An upload of %d images left out %d that could not be read.", len(added.cases), len(refused))
    return added


def _slides_in(files: Sequence[Path], reading: Reading) -> list[Path]:
    """Return the whole-slide images among files, which are never read as a whole."""
    files = [path for path in files if path.exists()]
    return [path for path, found in zip(files, reading.are_slides(files), strict=True) if found]


def _add_slide_series(
    store: Store, reading: Reading, series: SlideSeries, project: str, cleaned: Cleaned
) -> CaseRecord:
    with TemporaryDirectory(dir=series.paths[0].parent) as folder:
        path = Path(folder, "slide.tif")
        reading.write_slide(series, path)
        name = f"{series.patient} {MODALITY}" if cleaned.anonymous else series.name
        about = {"patient": series.patient, "study_date": series.study_date}
        return _add_slide(store, reading, path, project, cleaned, name, **about)


def _add_slide(
    store: Store, reading: Reading, path: Path, project: str, cleaned: Cleaned, name: str = "", **about: str
) -> CaseRecord:
    named = name or ("" if cleaned.anonymous else path.name)
    name = store.free_name(case_name(named) or "slide", project=project)
    read = partial(reading.whole_slide, plain=cleaned.anonymous)
    return add_slide(store, path, name, project=project, scratch=path.parent, read=read, **about)


def _add_case(store: Store, found: Found, cleaned: Cleaned, project: str) -> CaseRecord:
    return add_found(store, found, found.image(), cleaned, project)


def add_found(store: Store, found: Found, image: Image, cleaned: Cleaned, project: str) -> CaseRecord:
    """Return the new case of an image that was read from a path."""
    info = found.info
    name = cleaned.name(info, case_name(info.name) or info.modality or "case")
    return store.add_case(
        store.free_name(name, project=project),
        cleaned.noted(image),
        project=project,
        modality=info.modality,
        source=cleaned.place if info.modality else None,
        patient=info.patient,
        study_date=info.study_date,
        description=info.study,
        frame=info.frame,
    )


def add_series(store: Store, reading: Reading, upload: Upload, case: str) -> list[SeriesRecord]:
    """Return the images of an upload as series beside a case's own image; none where one of them cannot be one."""
    return _series(store, reading, unpacked(reading, upload), case)


def add_linked_series(
    store: Store, reading: Reading, path: str, case: str, settings: ServerSettings
) -> list[SeriesRecord]:
    """Return the images of a file or folder of this machine as series beside a case's own image."""
    with _linked(path, settings) as place:
        return _series(store, reading, [place], case)


def _series(store: Store, reading: Reading, places: list[Path], case: str) -> list[SeriesRecord]:
    added: list[SeriesRecord] = []
    project = store.project(store.case(case).project)
    try:
        for place in places:
            with reading.cleaned(place, project) as cleaned:
                for found in reading.images(cleaned.place):
                    image, info = cleaned.noted(found.image()), found.info
                    name = cleaned.name(info, case_name(info.name) or info.modality or "series")
                    added.append(store.add_series(case, name, image, modality=info.modality, frame=info.frame))
    except UserError as error:
        for one in added:
            store.delete_series(one.id)
        raise _without_place(error, place) from None
    return added


def _without_place(error: UserError, place: Path) -> UserError:
    """Return the error without the folder in which an upload happens to lie."""
    return type(error)(str(error).replace(f"{place}/", "").replace(f"{place.parent}/", ""))


def case_name(name: str) -> str:
    """Return a file's name without what says its format.

    >>> case_name("knee.nii.gz"), case_name("Abdomen 5.0")
    ('knee', 'Abdomen 5.0')
    """
    ending = next((ending for ending in IMAGE_ENDINGS if name.lower().endswith(ending)), "")
    plain = "".join(c for c in name[: len(name) - len(ending)] if c.isprintable()).strip()
    return plain[:MAX_NAME_LENGTH]


def _too_large(settings: ServerSettings) -> LimitError:
    return LimitError(f"An upload may have {settings.max_upload_bytes} bytes here; this one is larger.")
