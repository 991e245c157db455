"""Mends what `verify` finds: from what else the store keeps, from a backup, or by deleting what is nobody's.

Nothing is made up. A blob is put back only where it comes out as its checksum says, from a backup, from a case's
original files, or for a saved mask from the log of its session; an answer likewise. What has no checksum, of an older
Segmend, is taken from a backup alone. Each step is one that servers take themselves, so they may work meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmend import io
from segmend.core.layers import flattened
from segmend.core.session import Canvas, Session
from segmend.errors import NotFoundError, SegmendError, SettingsError, StoreError
from segmend.store import voxels
from segmend.store.backup import MARK
from segmend.store.blobs import Blobs
from segmend.store.checksums import PIECE, Checksum, Summed
from segmend.store.store import Store
from segmend.store.verify import Finding

# Works out anew the damaged answers of a session, bit for bit; StoreError where it cannot.
Answers = Callable[[str], None]


@dataclass(frozen=True)
class Mended:
    """What became of a finding, in a sentence."""

    said: str
    lost: bool = False


class Mending:
    """Mends one finding after the other."""

    def __init__(
        self, store: Store, *, answers: Answers, backup: Path | None = None, delete_unreferenced: bool = False
    ) -> None:
        """`backup` is a folder that `segmend backup` made; SettingsError where it is none."""
        self._store = store
        self._answers = answers
        self._copies = None if backup is None else _blobs_of(backup)
        self._delete = delete_unreferenced

    def mend(self, finding: Finding) -> Mended | None:
        """Mend a finding as far as can be, and say what became of it; None where there is nothing to mend."""
        try:
            return self._mended(finding)
        except NotFoundError:  # deleted meanwhile
            return None
        except SegmendError as error:
            what = finding.damage or finding.name
            return Mended(f"Lost: {what.rstrip('.')}. {error}", lost=finding.damage is not None)

    def _mended(self, finding: Finding) -> Mended | None:
        store, name = self._store, finding.name
        match finding.cure:
            case "parts":
                store.sweep()
                return Mended(f"Deleted what a killed process left half written: {Path(name).name}.")
            case "unreferenced":
                if not self._delete:
                    return None
                keys = store.blobs.keys(name) if finding.what == "leftover" else [name]
                for key in keys:
                    store.discard(key)
                return Mended(f"Deleted, for nothing in the database speaks for it: {name}.")
            case "thumbnail":
                store.thumbnail(name.split("/")[1] if "/" in name else name)
                return Mended(f"Made the thumbnail of the case {name.split('/')[1] if '/' in name else name}.")
            case "counts":
                store.count_anew(name)
                return Mended(f"Counted the work in the case {name} anew from its events.")
            case "indexes":
                if left := store.rebuild_indexes():
                    raise StoreError("; ".join(left))
                return Mended("Built the indexes of the database anew.")
            case "answers":
                self._answers(name)
                return Mended(f"Worked the damaged answers of session {name} out anew, the same bit for bit.")
            case "blob":
                return Mended(f"Put back {name}, {self._put_back(name)}.")
        if finding.damage is None:
            return None
        raise StoreError("Only a backup of the whole store has it (`segmend restore`).")

    def _put_back(self, key: str) -> str:
        """Write a blob again as it was, and return where it was from."""
        wanted = self._store.checksum(key)
        ways: list[tuple[str, Callable[[str, Checksum | None], None]]] = [("from the backup", self._copy)]
        if wanted is not None and key.endswith("/image.npy"):
            ways.append(("from the case's original files", self._read_again))
        elif wanted is not None and "/masks/" in key:
            ways.append(("from the log of its session", self._mask_again))
        for origin, write in ways:
            try:
                write(key, wanted)
            except SegmendError:
                continue
            return origin
        tried = "the backup has none, either" if self._copies is not None else "name a backup with --from to look there"
        raise StoreError(f"Nothing else that is kept tells it; {tried}.")

    def _copy(self, key: str, wanted: Checksum | None) -> None:
        if self._copies is None:
            raise NotFoundError("There is no backup.")
        with self._copies.reader(key) as origin:

            def write(file: Summed) -> None:
                while piece := origin.read(PIECE):
                    file.write(piece)

            self._store.put_back(key, wanted, write)

    def _read_again(self, key: str, wanted: Checksum | None) -> None:
        with self._store.source_of(key.split("/")[1]) as folder:
            array = io.read(folder).voxels
        self._store.put_back(key, wanted, lambda file: voxels.write(file, array))

    def _mask_again(self, key: str, wanted: Checksum | None) -> None:
        """Draw a saved mask as its session was when it was saved."""
        mask = self._store.saved_mask(Path(key).name.partition(".")[0])
        log, now = self._store.history(mask.session), self._store.session(mask.session)
        length = sum(record.created <= mask.created for record in log)
        then = Session(now.shape, now.events[:length], {i: p for i, p in now.answers.items() if i < length})
        canvas = Canvas(then.shape)
        canvas.follow(then)
        drawn = np.asarray(flattened(canvas.layers, then.labels), np.uint16)

        self._store.put_back(key, wanted, lambda file: voxels.write_packed(file, drawn))


def _blobs_of(backup: Path) -> Blobs:
    if not (backup / MARK).is_file():
        raise SettingsError(f"{backup} is no backup: `segmend backup` makes one, with a file {MARK} in it.")
    return Blobs(str(backup / "blobs"))
