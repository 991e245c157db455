"""DICOMweb, to be asked: the cases that came from DICOM files as studies and series, for OHIF and other viewers.

Lists (QIDO-RS), what files say (metadata), files and frames (WADO-RS); nothing is taken. A frame is given as it is
stored where a client takes any transfer syntax, else unpacked. What was annotated is a series of segmentations beside
its images (`archived`). Cases that came from other files have no study and are left out: numbers of DICOM would be made
up, and so would their patient.

Filters that are not known are ignored, and a header says so, as the standard wants it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from segmend.errors import LimitError, NotFoundError
from segmend.io.originals import DicomJson, Instance, frame_of, pieces_of, to_text
from segmend.server.cases.archived import LOOKING_SECONDS, STUDY_TAGS, Archived, Segmentation, values_of
from segmend.server.protocols.routes import ToldRoute
from segmend.server.replies import UnreadableError
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store.originals import Known

ROOT = "/dicom-web"
JSON, DICOM, BYTES = "application/dicom+json", "application/dicom", "application/octet-stream"
# Studies or series of one list, and frames of one request.
MOST, MOST_FRAMES = 1000, 1000
# Attributes that lists can be filtered by, by their keywords; times are compared as they are written.
FILTERS = {
    "StudyInstanceUID": "0020000D", "StudyDate": "00080020", "AccessionNumber": "00080050", "PatientName": "00100010",
    "PatientID": "00100020", "PatientBirthDate": "00100030", "PatientSex": "00100040", "StudyID": "00200010",
    "StudyDescription": "00081030", "ModalitiesInStudy": "00080061", "Modality": "00080060",
    "SeriesInstanceUID": "0020000E", "SeriesDescription": "0008103E", "SeriesNumber": "00200011",
    "SOPInstanceUID": "00080018", "SOPClassUID": "00080016", "InstanceNumber": "00200013",
}  # fmt: skip
DATES, UIDS = ("00080020", "00100030"), ("0020000D", "0020000E", "00080018", "00080016")
CONTROLS = ("limit", "offset", "includefield", "fuzzymatching", "token")

router = APIRouter(prefix=ROOT, include_in_schema=False, route_class=ToldRoute)


# Lists


@router.get("/studies")
def studies(request: Request, here: SharedNow) -> Response:
    complete = here.archived.look_into_files(seconds=LOOKING_SECONDS)
    groups: dict[str, list[Known]] = {}
    for one in here.store.originals.known():
        groups.setdefault(one.study, []).append(one)
    found = [_study(own) for own in reversed(groups.values())]
    page, headers = _page(request, found, complete=complete)
    marked = here.store.originals.marked_sessions(
        [one.case for about in page for one in groups[str(about["0020000D"]["Value"][0])]]
    )
    for about in page:
        own = groups[str(about["0020000D"]["Value"][0])]
        sessions = sum(len(marked.get(one.case, ())) for one in own)
        if sessions:
            about["00080061"]["Value"] = [*about["00080061"]["Value"], "SEG"]
            for tag in ("00201206", "00201208"):
                about[tag] = _number(about[tag]["Value"][0] + sessions)
    return _json(page, headers)


def _study(own: Sequence[Known]) -> DicomJson:
    series = {one.series: one for one in own}
    modalities = {str(value) for one in own for value in values_of(one.about, "00080060")}
    return {
        **{tag: value for tag, value in own[-1].about.items() if tag in STUDY_TAGS},
        "0020000D": {"vr": "UI", "Value": [own[0].study]},
        "00080061": {"vr": "CS", "Value": sorted(modalities)},
        "00201206": _number(len(series)),
        "00201208": _number(sum(one.count for one in series.values())),
    }


@router.get("/series")
@router.get("/studies/{study}/series")
def series(request: Request, here: SharedNow, study: str = "") -> Response:
    complete = here.archived.look_into_files(seconds=LOOKING_SECONDS)
    found = _series(here.archived, study)
    if study and not found:
        raise _nothing("study")
    page, headers = _page(request, found, complete=complete)
    return _json(page, headers)


def _series(archived: Archived, study: str) -> list[DicomJson]:
    """Return the series of a study; of all studies those of images alone, for there may be very many sessions."""
    found = [_about(one) for one in archived.images_of(study)]
    for number, (session, known) in enumerate(archived.segmented(study) if study else ()):
        found.append({**archived.about(session, known, number), "00201209": _number(1)})
    return found


def _about(one: Known) -> DicomJson:
    series = {"0020000D": one.study, "0020000E": one.series}
    return {
        **one.about,
        **{tag: {"vr": "UI", "Value": [uid]} for tag, uid in series.items()},
        "00201209": _number(one.count),
    }


@router.get("/studies/{study}/instances")
@router.get("/studies/{study}/series/{series}/instances")
def instances(study: str, request: Request, here: SharedNow, series: str = "") -> Response:
    found = []
    for about in _series(here.archived, study):
        uid = str(about["0020000E"]["Value"][0])
        if series in ("", uid):
            holder = _Series(here, study, uid)
            found += [{**about, **one} for one in holder.listed()]
    if not found:
        raise _nothing("series")
    page, headers = _page(request, found)
    return _json(page, headers)


def _page(request: Request, found: list[DicomJson], *, complete: bool = True) -> tuple[list[DicomJson], dict[str, str]]:
    """Return what of a list a request asks for, and headers that say what it did not get."""
    fuzzy = request.query_params.get("fuzzymatching") == "true"
    unknown = []
    for name, wanted in request.query_params.multi_items():
        tag = FILTERS.get(name, name.upper())
        if name in CONTROLS or not wanted:
            continue
        if tag not in FILTERS.values():
            unknown.append(name)
            continue
        found = [one for one in found if _fits(values_of(one, tag), tag, wanted, fuzzy=fuzzy)]
    offset, limit = (_count(request, name, usual) for name, usual in (("offset", 0), ("limit", MOST)))
    page = found[offset : offset + min(limit, MOST)]
    said = []
    if unknown:
        said.append(f"The following parameters are not supported: {', '.join(unknown)[:200]}")
    if len(found) > offset + len(page):
        said.append(f"There are {len(found) - offset - len(page)} additional results that can be requested")
    if not complete:
        said.append("Some cases are being looked into and are not listed yet")
    plain = "; ".join(said).encode("ascii", "replace").decode().replace('"', "'")
    printable = "".join(character for character in plain if character.isprintable())
    return page, {"Warning": f'299 segmend "{printable}"'} if said else {}


def _count(request: Request, name: str, usual: int) -> int:
    said = request.query_params.get(name, str(usual))
    if not said.isdecimal() or len(said) > 9:
        raise UnreadableError(f"{name!r} needs a number of 0 or more; got {said[:40]!r}.")
    return int(said)


def _fits(values: Sequence[Any], tag: str, wanted: str, *, fuzzy: bool) -> bool:
    """Tell whether one of an attribute's values is what a filter asks for."""
    texts = [str(value) for value in values]
    if tag in UIDS:
        return any(text in re.split(r"[,\\]", wanted) for text in texts)
    if tag in DATES and "-" in wanted:
        low, _, high = wanted.partition("-")
        return any((not low or text >= low) and (not high or text <= high) for text in texts)
    if fuzzy and tag == "00100010":
        words = re.split(r"[\s^*]+", wanted.casefold().strip("*"))
        return any(all(word in text.casefold() for word in words) for text in texts)
    pattern = re.compile(translate(wanted.casefold().replace("[", "[[]")))
    return any(pattern.match(text.casefold()) for text in texts) or (wanted.strip("*") == "" and not texts)


# What there is of a series


class _Series:
    """A series that is asked for: of images, or of a session's mask."""

    def __init__(self, here: Shared, study: str, series: str) -> None:
        self._here = here
        self.known = here.archived.image_series(study, series)
        self._session = None if self.known is not None else here.archived.session_of(study, series)
        if self.known is None and self._session is None:
            raise _nothing("series")

    @property
    def files(self) -> Sequence[Instance]:
        return self._here.store.originals.instances(self.known.case) if self.known is not None else ()

    def mask(self) -> Segmentation | None:
        """Return the mask of a session as it is now."""
        assert self._session is not None
        session, known = self._session
        sessions = [name for name, _ in self._here.archived.segmented(known.study)]
        number = sessions.index(session) if session in sessions else 0
        return self._here.archived.segmentation(session, number)

    def note(self, who: str) -> None:
        """Note that somebody fetches it, or what its files say."""
        known = self.known if self.known is not None else self._session[1] if self._session is not None else None
        assert known is not None
        kind = "DICOM" if self.known is not None else "DICOM mask"
        self._here.looks.note_download(who, self._here.store.case(known.case), kind=kind)

    def listed(self) -> list[DicomJson]:
        if self.known is not None:
            return [_listed(one.sop_class, one.uid, one.number, one.frames) for one in self.files]
        mask = self.mask()
        return [] if mask is None else [_listed(mask.sop_class, mask.uid, 1, 1)]

    def metadata(self) -> bytes:
        if self.known is not None:
            return self._here.archived.metadata(self.known)
        mask = self.mask()
        if mask is None:
            raise _nothing("segmentation")
        return to_text([mask.about])

    def instance(self, uid: str) -> Instance:
        found = next((one for one in self.files if one.uid == uid), None)
        if found is None:
            raise _nothing("instance")
        return found

    def pieces(self, uid: str) -> Iterator[bytes]:
        """Yield the file of an instance."""
        if self.known is None:
            assert self._session is not None
            made = self._here.archived.made(self._session[0], uid)
            if made is None:
                raise _nothing("instance")
            return iter([made.content])
        return self._pieces(self.known.case, self.instance(uid).name)

    def _pieces(self, case: str, name: str) -> Iterator[bytes]:
        with self._here.store.source_file(case, name) as path:
            yield from pieces_of(path)


def _listed(sop_class: str, uid: str, number: int, frames: int) -> DicomJson:
    return {
        "00080016": {"vr": "UI", "Value": [sop_class]},
        "00080018": {"vr": "UI", "Value": [uid]},
        "00200013": _number(number),
        "00280008": _number(frames),
    }


@router.get("/studies/{study}/metadata")
def study_metadata(study: str, here: SharedNow, who: UserNow) -> Response:
    found = [str(about["0020000E"]["Value"][0]) for about in _series(here.archived, study)]
    if not found:
        raise _nothing("study")
    holders = [_Series(here, study, series) for series in found]
    for holder in holders:
        holder.note(who)
    lists = [holder.metadata()[1:-1] for holder in holders]
    return Response(b"[" + b",".join(lists) + b"]", media_type=JSON)


@router.get("/studies/{study}/series/{series}/metadata")
def series_metadata(study: str, series: str, here: SharedNow, who: UserNow) -> Response:
    holder = _Series(here, study, series)
    holder.note(who)
    return Response(holder.metadata(), media_type=JSON)


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata")
def instance_metadata(study: str, series: str, instance: str, here: SharedNow, who: UserNow) -> Response:
    holder = _Series(here, study, series)
    holder.note(who)
    if holder.known is None:
        made = holder.mask()
        if made is None or made.uid != instance:
            raise _nothing("instance")
        return _json([made.about], {})
    return _json([here.archived.described(holder.known.case, holder.instance(instance).name)], {})


@router.get("/studies/{study}/series/{series}")
def series_files(study: str, series: str, here: SharedNow, who: UserNow) -> Response:
    holder = _Series(here, study, series)
    holder.note(who)
    uids = [str(one["00080018"]["Value"][0]) for one in holder.listed()]
    return _parts([(DICOM, partial(holder.pieces, uid)) for uid in uids], DICOM)


@router.get("/studies/{study}/series/{series}/instances/{instance}")
def instance_file(study: str, series: str, instance: str, here: SharedNow, who: UserNow) -> Response:
    holder = _Series(here, study, series)
    holder.note(who)
    pieces = holder.pieces(instance)  # refuses what is not there before anything is sent
    return _parts([(DICOM, lambda: pieces)], DICOM)


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}")
def frames(
    study: str, series: str, instance: str, numbers: str, request: Request, here: SharedNow, who: UserNow
) -> Response:
    holder = _Series(here, study, series)
    holder.note(who)
    if holder.known is None:
        raise NotFoundError("A segmentation is given as a whole file, not by frames.")
    case, name = holder.known.case, holder.instance(instance).name
    wanted = [int(one) for one in numbers.split(",") if one.isdecimal() and len(one) < 9]
    if len(wanted) != numbers.count(",") + 1:
        raise UnreadableError(f"Frames are numbers from 1 with commas between them; got {numbers[:40]!r}.")
    if len(wanted) > MOST_FRAMES:
        raise LimitError(f"At most {MOST_FRAMES} frames are sent at once.")
    unpacked = "transfer-syntax=*" not in request.headers.get("accept", "").replace('"', "").replace(" ", "")
    with here.store.source_file(case, name) as path:
        found = [frame_of(path, number - 1, unpacked=unpacked) for number in wanted]
    parts = [(f"{BYTES}; transfer-syntax={syntax}", partial(iter, [content])) for content, syntax in found]
    return _parts(parts, BYTES)


# Answers


def _parts(parts: Sequence[tuple[str, Callable[[], Iterator[bytes]]]], kind: str) -> Response:
    """Return a reply of several parts, each with its type and what yields it."""
    limit = secrets.token_hex(16)

    def body() -> Iterator[bytes]:
        for type_of_part, pieces in parts:
            yield f"--{limit}\r\nContent-Type: {type_of_part}\r\n\r\n".encode()
            yield from pieces()
            yield b"\r\n"
        yield f"--{limit}--\r\n".encode()

    return StreamingResponse(body(), media_type=f'multipart/related; type="{kind}"; boundary={limit}')


def _json(found: Sequence[DicomJson], headers: dict[str, str]) -> Response:
    return Response(to_text(list(found)), media_type=JSON, headers=headers)


def _number(value: int) -> DicomJson:
    return {"vr": "IS", "Value": [value]}


def _nothing(what: str) -> NotFoundError:
    return NotFoundError(f"There is no such {what} here.")
