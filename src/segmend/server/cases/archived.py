"""What the store holds as an archive has it: studies, series of DICOM files, and what was annotated as more series.

Which series a case's files are is found out when it is asked for first, and kept (`segmend.store.originals`). Each
session with a mask is one more series of the study, with one segmentation: as long as its mask stays the same the same
file, with a number of its own; when it changes a new one, and the old one is given out as long as it is remembered.
"""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from threading import Event, Lock
from typing import Any

from segmend.core.layers import stacked
from segmend.core.session import label_to_json
from segmend.errors import NotFoundError, SegmendError, StoreError, UserError
from segmend.io.dicomseg import SERIES_NUMBER
from segmend.io.originals import DicomJson, described, json_of, original_of, to_text
from segmend.results.case_result import CaseResult
from segmend.results.kinds import write_result
from segmend.results.provenance import map_hash
from segmend.server.cases.scratch import scratch_folder
from segmend.server.sessions.open_sessions import OpenSessions
from segmend.server.settings import ServerSettings
from segmend.server.work import log_failure
from segmend.store import Store
from segmend.store.originals import Known

# Bytes of segmentations, and series whose metadata are remembered.
REMEMBERED_BYTES, REMEMBERED_SERIES = 256 << 20, 8
# Tags of a study and its patient.
STUDY_TAGS = (
    "0020000D", "00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100030", "00100040",
    "00200010", "00081030",
)  # fmt: skip
# Seconds that who asks for what is not known waits for files to be looked into.
LOOKING_SECONDS = 5.0
# How numbers of our own series begin, which are those of sessions.
OURS = "2.25."


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a session's mask is as a DICOM file."""

    uid: str
    sop_class: str
    content: bytes
    about: DicomJson


class Archived:
    """The archive of one server; every method may be called from any thread."""

    def __init__(self, store: Store, sessions: OpenSessions, settings: ServerSettings) -> None:
        self._store = store
        self._sessions = sessions
        self._settings = settings
        self._failed = set[str]()  # cases whose files could not be had
        self._looking = Lock()  # held to look into files
        self._making = Lock()  # held to make a segmentation
        self._telling = Lock()  # held to remember metadata
        self._made: OrderedDict[str, Segmentation] = OrderedDict()  # by what they are of
        self._told: OrderedDict[str, bytes] = OrderedDict()  # metadata by case

    # Which series there are

    def look_into_files(self, *, seconds: float = float("inf"), ending: Event | None = None) -> bool:
        """Find out which series the files of new cases are; False when time was up before all were looked into."""
        end = time.monotonic() + seconds
        if not self._looking.acquire(timeout=min(seconds, 1e6)):
            return False
        try:
            unknown = [] if self._store.read_only is not None else self._store.originals.unknown()
            for case_id in unknown:
                if case_id in self._failed:
                    continue
                if time.monotonic() > end or (ending is not None and ending.is_set()):
                    return False
                self._look_into(case_id)
            return True
        finally:
            self._looking.release()

    def _look_into(self, case_id: str) -> None:
        original = None
        try:
            image = self._store.image(case_id)
            with self._store.source_of(case_id) as folder:
                original = original_of(folder, image)
        except NotFoundError:  # it was deleted meanwhile
            return
        except StoreError as error:  # the next start tries again
            self._failed.add(case_id)
            log_failure(f"Which series the files of case {case_id} are could not be found out", error)
            return
        except UserError:  # they are of a kind that is read no longer
            pass
        self._store.originals.keep(case_id, original)

    def _known(self, study: str, series: str = "") -> list[Known]:
        """Return the cases of a study or a series; new ones are looked into when none is known."""
        found = self._store.originals.known(study, series)
        if not found and self.look_into_files(seconds=LOOKING_SECONDS):
            found = self._store.originals.known(study, series)
        return found

    def images_of(self, study: str) -> list[Known]:
        """Return the series of a study from which cases were made, the newest case of each."""
        return list({one.series: one for one in self._known(study)}.values())

    def image_series(self, study: str, series: str) -> Known | None:
        """Return the newest case of a series."""
        found = self._known(study, series)
        return found[-1] if found else None

    def cases_of(self, study: str, series: str) -> list[Known]:
        """Return the cases of a series, oldest first: it may be several images, or have been fetched again."""
        return self._known(study, series)

    def case_of(self, series: str) -> str | None:
        """Return the newest case of a series, of whatever study."""
        found = self.image_series("", series)
        return None if found is None else found.case

    # What the files say

    def metadata(self, known: Known) -> bytes:
        """Return what all files of a series say, as DICOM's JSON."""
        content = self._told.get(known.case)
        if content is None:
            instances = self._store.originals.instances(known.case)
            content = to_text([self.described(known.case, one.name) for one in instances])
            with self._telling:
                self._told[known.case] = content
                while len(self._told) > REMEMBERED_SERIES:
                    self._told.popitem(last=False)
        return content

    def described(self, case_id: str, name: str) -> DicomJson:
        """Return what one file says."""
        with self._store.source_file(case_id, name) as path:
            return described(path)

    # What was annotated

    def segmented(self, study: str) -> list[tuple[str, Known]]:
        """Return the sessions of a study's cases in which something is marked now, each with its case."""
        cases = {one.case: one for one in self._store.originals.known(study)}
        return [
            (session, cases[case])
            for case, sessions in self._store.originals.marked_sessions(cases).items()
            for session in sessions
            if self._is_marked(session)
        ]

    def _is_marked(self, session: str) -> bool:
        with self._sessions.open(session) as opened:
            return any(bool(label_map.any()) for _, label_map in opened.painted()[1].values())

    def session_of(self, study: str, series: str) -> tuple[str, Known] | None:
        """Return the session that a series of our own is of, with its case."""
        number = series.removeprefix(OURS)
        if not series.startswith(OURS) or not number.isdecimal() or len(number) > 39:
            return None
        session = f"{int(number):032x}"
        try:
            case = self._store.session_record(session).case
        except NotFoundError:
            return None
        return next(((session, one) for one in self._store.originals.known(study) if one.case == case), None)

    def about(self, session: str, known: Known, number: int) -> DicomJson:
        """Return what lists say of a session's series."""
        kept = {tag: value for tag, value in known.about.items() if tag in STUDY_TAGS}
        return {
            **kept,
            "00080060": {"vr": "CS", "Value": ["SEG"]},
            "0008103E": {"vr": "LO", "Value": [self._title(session)]},
            "0020000E": {"vr": "UI", "Value": [series_of(session)]},
            "00200011": {"vr": "IS", "Value": [SERIES_NUMBER + number]},
        }

    def _title(self, session: str) -> str:
        user = self._store.session_record(session).user
        return f"Segmentation by {user}"[:64] if user else "Segmentation"

    def segmentation(self, session: str, number: int = 0) -> Segmentation | None:
        """Return the segmentation of a session as it is now; None where nothing is marked."""
        with self._sessions.open(session) as opened:
            log, layers, case_id = opened.session, opened.layers(), opened.case
        maps = stacked(layers)
        if not maps.any():
            return None
        labels = [label_to_json(log.labels[value]) for value in sorted(log.labels)]
        key = f"{session} {map_hash(maps)} {labels}"
        with self._making:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            case = self._store.case(case_id)
            image, record = self._sessions.images.get(case_id), self._store.session_record(session)
            made = self._make(CaseResult(self._store, case, record, log, image, layers), number)
            self._made[key] = made
            while sum(len(one.content) for one in self._made.values()) > REMEMBERED_BYTES and len(self._made) > 1:
                self._made.popitem(last=False)
        return made

    def made(self, session: str, uid: str) -> Segmentation | None:
        """Return a segmentation of a session that is remembered, or is the one it has now."""
        with self._making:
            found = [one for key, one in self._made.items() if one.uid == uid and key.startswith(f"{session} ")]
        if found:
            return found[0]
        now = self.segmentation(session)
        return now if now is not None and now.uid == uid else None

    def _make(self, result: CaseResult, number: int) -> Segmentation:
        from pydicom import dcmread

        folder = scratch_folder(self._settings.data, "export-", elsewhere=True)
        try:
            write_result(folder / "mask.dcm", result, ".dcm", anonymous=False)
            data = dcmread(BytesIO((folder / "mask.dcm").read_bytes()))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        data.SeriesInstanceUID = series_of(result.record.id)
        data.SeriesDescription = self._title(result.record.id)
        data.SeriesNumber = SERIES_NUMBER + number
        out = BytesIO()
        data.save_as(out, enforce_file_format=True)
        return Segmentation(str(data.SOPInstanceUID), str(data.SOPClassUID), out.getvalue(), json_of(data))


def series_of(session: str) -> str:
    """Return the number of the series that a session is.

    >>> series_of("0" * 31 + "b")
    '2.25.11'
    """
    return f"{OURS}{int(session, 16)}"


def look_quietly(archived: Archived, ending: Event) -> None:
    """Look into the files of older cases when a server starts; what goes wrong is for the log."""
    try:
        archived.look_into_files(ending=ending)
    except SegmendError as error:
        log_failure("Which series the files of cases are could not be found out", error)


def values_of(about: DicomJson, tag: str) -> Sequence[Any]:
    """Return the values of a tag, names of people as their letters."""
    found = about.get(tag, {}).get("Value", [])
    return [value.get("Alphabetic", "") if isinstance(value, dict) else value for value in found if value is not None]
