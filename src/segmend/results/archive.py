"""The results of many cases as one zip file, sent while it is made: one case lies on the disk at a time.

A folder a case; the measures of all cases are one table beside them, and folders to train on lie beside those. What of
a case could not be written is said in left-out.txt, and the rest goes on.
"""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segmend.errors import FileError, SegmendError, SettingsError
from segmend.results import kinds, table
from segmend.results.case_result import CaseResult, newest_result
from segmend.results.training import FOLDERS, Folder, folder_of, free_stem
from segmend.store import Store
from segmend.store.records import CaseRecord

PIECE = 1 << 20  # bytes sent at once
LEFT_OUT, MEASURES = "left-out.txt", "measures.csv"
# Files that are packed already.
PACKED = (".gz", ".png", ".pdf")


def check_kinds(wanted: Sequence[str]) -> None:
    """Raise SettingsError unless all kinds of results are known, and there is one."""
    known = [*kinds.KINDS, *FOLDERS]
    if not wanted or (wrong := [one for one in wanted if one not in known]):
        came = repr(wrong[0]) if wanted else "none"
        raise SettingsError(f"Results can be written as {', '.join(known)}; got {came}.")


@dataclass(eq=False)
class _Sent:
    """A file that hands on what is written to it, and cannot go back."""

    waiting: list[bytes] = field(default_factory=list)

    def write(self, data: bytes, /) -> int:
        self.waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written waits to be taken."""

    def close(self) -> None:
        """Do nothing, as for `flush`."""

    def take(self) -> bytes:
        data, self.waiting = b"".join(self.waiting), []
        return data


@dataclass(frozen=True)
class Wanted:
    """Which results of a case go into an archive."""

    kinds: Sequence[str]
    anonymous: bool = True
    weights: Mapping[str, Path] = field(default_factory=dict)


def archive(
    store: Store,
    cases: Iterable[CaseRecord],
    wanted: Wanted,
    scratch: Path,
    *,
    result_of: Callable[[Store, str], CaseResult | None] = newest_result,
) -> Iterator[bytes]:
    """Yield a zip file of the results of cases, piece by piece; `scratch` is an empty folder to work in.

    A case in which nothing was marked is left out unsaid.
    """
    check_kinds(wanted.kinds)
    sent = _Sent()
    work = _Work(wanted, scratch)
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for case in cases:
            for path in work.files_of(case, lambda case: result_of(store, case.id)):
                yield from _send(packed, sent, path, path.relative_to(scratch).as_posix())
                path.unlink()
        for path in work.finish():
            yield from _send(packed, sent, path, path.relative_to(scratch).as_posix())
    yield sent.take()


class _Work:
    """Writes what is wanted of one case after the other, and remembers what goes at the end."""

    def __init__(self, wanted: Wanted, scratch: Path) -> None:
        self._wanted = wanted
        self._scratch = scratch
        self._stems: set[str] = set()
        self._rows: list[table.Row] = []
        self._left_out: list[str] = []
        self._folders: dict[str, Folder] = {
            kind: folder_of(kind, scratch / kind) for kind in wanted.kinds if kind in FOLDERS
        }

    def files_of(self, case: CaseRecord, result_of: Callable[[CaseRecord], CaseResult | None]) -> Iterator[Path]:
        """Yield the files of a case as they are written."""
        stem = free_stem(kinds.file_name(case.name), self._stems | {*FOLDERS})
        try:
            result = result_of(case)
        except SegmendError as error:
            self._left_out.append(f"{case.name}: {error}")
            return
        if result is None:
            return
        self._stems.add(stem)
        for kind in self._wanted.kinds:
            try:
                yield from self._write(kind, stem, result)
            except SegmendError as error:
                self._left_out.append(f"{case.name}, {kind}: {error}")
        shutil.rmtree(self._scratch / stem, ignore_errors=True)

    def _write(self, kind: str, stem: str, result: CaseResult) -> list[Path]:
        if kind in FOLDERS:
            return self._folders[kind].add(stem, result)
        if kind == ".csv":
            self._rows += table.rows(result, anonymous=self._wanted.anonymous)
            return []
        if not kinds.KINDS[kind].fits(flat=result.image.flat):
            of = "picture" if result.image.flat else "volume"
            raise FileError(f"Of a {of} there is no such file.")
        folder = self._scratch / stem
        folder.mkdir(exist_ok=True)
        if kind == ".stl":
            return kinds.write_surface_of_each(folder, stem, result)
        path = folder / f"{stem}{kind}"
        kept = self._wanted.anonymous or not _names_patient(kind, result)
        kinds.write_result(path, result, kind, anonymous=kept, weights=self._wanted.weights)
        return [path]

    def finish(self) -> Iterator[Path]:
        """Yield the files that speak of all cases."""
        if ".csv" in self._wanted.kinds:
            path = self._scratch / MEASURES
            path.write_bytes(table.to_csv(self._rows))
            yield path
        for folder in self._folders.values():
            yield from folder.finish()
        if self._left_out:
            path = self._scratch / LEFT_OUT
            path.write_text("\n".join(self._left_out) + "\n", encoding="utf-8")
            yield path


def _names_patient(kind: str, result: CaseResult) -> bool:
    """Tell whether a file of this kind can say whose the image is."""
    if kind.endswith(".dcm"):
        return result.case.source
    return kinds.KINDS[kind].group == "reading"


def _send(packed: zipfile.ZipFile, sent: _Sent, path: Path, name: str) -> Iterator[bytes]:
    info = zipfile.ZipInfo(name, time.localtime()[:6])
    info.compress_type = zipfile.ZIP_STORED if path.suffix in PACKED else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with path.open("rb") as file, packed.open(info, "w", force_zip64=True) as target:
        while piece := file.read(PIECE):
            target.write(piece)
            yield sent.take()
    yield sent.take()
