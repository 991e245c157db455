"""Routes on cases: list, upload, link, look at, mark as done, delete; thumbnails, and the voxels for the viewer."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse

from segmend.core.image import Image
from segmend.errors import LimitError, NotFoundError
from segmend.io.axes import is_timed
from segmend.server.access.rights import Access, AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.cases import uploads
from segmend.server.cases.judging import judge
from segmend.server.cases.links import OutsideError
from segmend.server.cases.volumes import SeriesVolume, Volume
from segmend.server.replies import PROBLEMS, problem
from segmend.server.schemas import (
    CaseJson,
    CasePageJson,
    ChoicesJson,
    LinkJson,
    NewStatusJson,
    SeriesJson,
    UploadedJson,
)
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store import CaseRecord
from segmend.store.readings import ReadFilter
from segmend.store.records import Read, SeriesRecord, Status
from segmend.store.worklist import MAX_PAGE, CaseFilter, CaseOrder, DateKey, SortKey

router = APIRouter(prefix="/api/cases", tags=["cases"], responses=PROBLEMS, route_class=SmallBodyRoute)
NIFTI, PNG = "application/octet-stream", "image/png"
# Of a page in a list: more cases than any store has.
MAX_OFFSET = 2**31 - 1
# Files that were left out of an upload and are told by name.
MAX_LEFT_OUT = 100
# Of slices that are sent at once: a viewer asks for a few megabytes, and each request holds what it sends in memory.
MAX_SLICES_BYTES = 64 << 20
Report = Annotated[bool, Query(description="also say which files were left out, and why")]


def case_to_json(case: CaseRecord) -> dict[str, Any]:
    """Return a case as plain JSON values, without how far its readers are."""
    return {
        "id": case.id,
        "name": case.name,
        "project": case.project,
        "shape": list(case.shape),
        "spacing": list(case.spacing),
        "channels": case.channels,
        "timed": case.timed,
        "modality": case.modality,
        "notes": list(case.notes),
        "source": case.source,
        "created": case.created.isoformat(),
        "patient": case.patient,
        "study_date": case.study_date,
        "description": case.description,
        "status": case.status,
        "comment": case.comment,
        "status_by": case.status_by,
        "status_at": case.status_at.isoformat() if case.status_at is not None else None,
        "changed": (case.changed or case.created).isoformat(),
        "interactions": case.interactions,
        "seconds": round(case.seconds, 3),
        "slide": case.slide,
        "doubt": round(case.doubt, 5) if case.doubt >= 0 else None,
        "reading": None,
    }


def cases_to_json(access: Access, cases: Sequence[CaseRecord]) -> list[dict[str, Any]]:
    """Return cases as plain JSON values for somebody: blind readers are told how far they are themselves."""
    reads = access.store.readings.of_cases([case.id for case in cases]) if cases else {}
    told = []
    for case in cases:
        read, values = reads.get(case.id), case_to_json(case)
        if read is not None:
            values |= _reading_of(access, read)
        told.append(values)
    return told


def _reading_of(access: Access, read: Read) -> dict[str, Any]:
    own, blind = read.of(access.user), access.is_blind(read)
    finished = None if blind else sum(one.state == "finished" for one in read.readings)
    state = "open" if blind else read.state
    mine = own.state if own is not None and not read.is_over else None
    told = {"state": state, "blind": read.blind, "wanted": read.wanted, "mine": mine, "finished": finished}
    if own is None or not blind:
        return {"reading": told}
    status = {"assigned": "untouched", "begun": "begun", "finished": "done"}[own.state]
    work = {"interactions": own.interactions, "seconds": round(own.seconds, 3)}
    return {"reading": told, "status": status, **work}


def case_filter(
    access: AccessNow,
    q: Annotated[str, Query(max_length=200, description="words in the name, patient, description or comment")] = "",
    status: Annotated[list[Status] | None, Query()] = None,
    project: Annotated[str | None, Query(max_length=300)] = None,
    modality: Annotated[str | None, Query(max_length=300)] = None,
    label: Annotated[str | None, Query(max_length=300, description="what a label of the case is called")] = None,
    date_of: Annotated[DateKey, Query(description="which date `since` and `until` are about")] = "added",
    since: Annotated[date | None, Query()] = None,
    until: Annotated[date | None, Query(description="that day included")] = None,
    reading: Annotated[
        ReadFilter | None, Query(description="what one has to read, or how far the readers of cases are")
    ] = None,
) -> CaseFilter:
    """Return the filter in a request's query, for the projects that may be seen."""
    if project is not None:
        access.check("annotator", project)
    wanted = (q, tuple(status or ()), project, modality, label, date_of, since, until)
    return CaseFilter(*wanted, access.visible, reading, access.user)


def case_order(sort: Annotated[SortKey, Query()] = "added", descending: Annotated[bool, Query()] = False) -> CaseOrder:
    """Return the order in a request's query."""
    return CaseOrder(sort, descending)


FilterNow = Annotated[CaseFilter, Depends(case_filter)]
OrderNow = Annotated[CaseOrder, Depends(case_order)]


@router.get(
    "",
    response_model=list[CaseJson] | CasePageJson,
    summary="Cases that a filter finds: with a limit a page of them and totals, without one the list of all",
)
def cases(
    here: SharedNow,
    access: AccessNow,
    wanted: FilterNow,
    order: OrderNow,
    limit: Annotated[int | None, Query(ge=0, le=MAX_PAGE)] = None,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    around: Annotated[str | None, Query(max_length=64, description="a case that the page is to hold")] = None,
) -> Response:
    if wanted.project is not None:
        here.store.project(wanted.project)
    if limit is None:
        return JSONResponse(cases_to_json(access, here.store.found_cases(wanted, order)))
    page = here.store.case_page(wanted, order, offset=offset, limit=limit, around=around)
    found = cases_to_json(access, page.cases)
    return JSONResponse({"cases": found, "offset": page.offset, "total": page.total, "totals": dict(page.totals)})


@router.get("/choices", response_model=ChoicesJson, summary="What the list of cases can be filtered by")
def choices(here: SharedNow, access: AccessNow) -> Response:
    return JSONResponse(asdict(here.store.choices(access.visible)))


@router.post(
    "",
    status_code=201,
    response_model=list[CaseJson] | UploadedJson,
    summary="Upload images: a NIfTI, a photo, a zip, or all files of a DICOM folder",
    openapi_extra=uploads.BODY,
)
async def upload(request: Request, here: SharedNow, access: AccessNow, report: Report = False) -> Response:
    async with uploads.receive(request, here.settings) as upload, here.reading.turns:
        access.check("reviewer", upload.project)
        added = await run_in_threadpool(uploads.add_cases, here.store.by(access.user), here.reading, upload)
    return JSONResponse(added_to_json(added, report=report), 201)


@router.post(
    "/link",
    status_code=201,
    response_model=list[CaseJson] | UploadedJson,
    summary="Read images of the server's own machine",
)
async def link(
    body: Annotated[LinkJson, Body()], here: SharedNow, access: AccessNow, report: Report = False
) -> Response:
    access.check("reviewer", body.project)
    if not here.settings.link_folders:
        detail = (
            "This server does not read folders of its machine (--link-folder names some); upload the files instead."
        )
        return problem(403, detail)
    try:
        async with here.reading.turns:
            store = here.store.by(access.user)
            added = await run_in_threadpool(
                uploads.add_linked, store, here.reading, body.path, body.project, here.settings
            )
    except OutsideError as error:
        return problem(403, str(error))
    return JSONResponse(added_to_json(added, report=report), 201)


def added_to_json(added: uploads.Added, *, report: bool) -> Any:
    """Return what became of files that came in: the cases, or with them what was left out."""
    found = [case_to_json(case) for case in added.cases]
    if not report:
        return found
    left_out = [asdict(one) for one in added.left_out[:MAX_LEFT_OUT]]
    return {"cases": found, "left_out": left_out, "left_out_count": len(added.left_out), "copies": added.copies}


@router.get("/{case}", response_model=CaseJson, summary="One case")
def one(case: str, here: SharedNow, access: AccessNow) -> Response:
    return JSONResponse(cases_to_json(access, [here.store.case(case)])[0])


@router.get(
    "/{case}/next",
    response_model=CaseJson | None,
    summary="The case behind this one in a list, or before it; null at its end",
)
def following(
    case: str,
    here: SharedNow,
    access: AccessNow,
    wanted: FilterNow,
    order: OrderNow,
    back: Annotated[bool, Query()] = False,
) -> Response:
    found = here.store.neighbour(case, wanted, order, back=back)
    return JSONResponse(None if found is None else cases_to_json(access, [found])[0])


@router.put(
    "/{case}/status",
    response_model=CaseJson,
    summary="Say that a case, or one's own reading of it, is done, rejected or accepted, or open it again",
)
def set_status(case: str, body: Annotated[NewStatusJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    judge(here, access, here.store.case(case), body.status, body.comment)
    return JSONResponse(cases_to_json(access, [here.store.case(case)])[0])


@router.get(
    "/{case}/thumbnail",
    summary="The middle slice as a small PNG",
    response_class=Response,
    responses={200: {"content": {PNG: {}}}, 304: {"description": "It is as it was."}},
)
async def thumbnail(
    case: str, here: SharedNow, if_none_match: Annotated[str | None, Header(max_length=1000)] = None
) -> Response:
    async with here.drawing:
        content, etag = await run_in_threadpool(_thumbnail, here, case, if_none_match or "")
    if content is None:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(content, media_type=PNG, headers={"ETag": etag})


def _thumbnail(here: Shared, case: str, known: str) -> tuple[bytes | None, str]:
    """Return a thumbnail and its ETag; no thumbnail where the client has it."""
    kept = here.store.thumbnail_checksum(case)
    if kept is not None and (etag := f'"{kept.crc32:08x}"') in known:
        return None, etag
    content = here.store.thumbnail(case)
    return content, f'"{zlib.crc32(content):08x}"'


@router.delete("/{case}", status_code=204, summary="Delete a case with its sessions and masks")
def delete(case: str, here: SharedNow, who: UserNow) -> Response:
    here.store.by(who).delete_case(case)
    here.sessions.forget_case(case)
    return Response(status_code=204)


WantedRange = Annotated[str, Header(alias="Range")]
Channel = Annotated[int | None, Query(ge=0, le=65535)]
FirstSlice = Annotated[int, Query(ge=0, le=32767, description="the first slice")]
LastSlice = Annotated[int, Query(ge=1, le=32768, description="just behind the last slice")]


@router.get(
    "/{case}/volume.nii",
    summary="The voxels as an uncompressed NIfTI-1 file, or a range of its bytes",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}, 206: {"content": {NIFTI: {}}}},
)
def volume(case: str, here: SharedNow, channel: Channel = None, wanted: WantedRange = "") -> Response:
    return send_file(_volume_of(here, case, channel), wanted)


def send_file(file: Volume, wanted: str) -> Response:
    size = file.size_bytes
    part = byte_range(wanted, size)
    headers = {"Accept-Ranges": "bytes"}
    if part is None:
        return StreamingResponse(file.pieces(), media_type=NIFTI, headers={**headers, "Content-Length": str(size)})
    if len(part) == 0:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {part.start}-{part.stop - 1}/{size}"}
    return StreamingResponse(file.pieces(part.start, part.stop), 206, media_type=NIFTI, headers=headers)


@router.get(
    "/{case}/slices",
    summary="The voxels of some slices, x fastest and little endian; packed: by byte of the numbers, as zlib",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}},
)
def slices(
    case: str, here: SharedNow, low: FirstSlice, high: LastSlice, channel: Channel = None, packed: bool = False
) -> Response:
    return send_slices(_volume_of(here, case, channel), low, high, packed)


def send_slices(file: Volume, low: int, high: int, packed: bool) -> Response:
    if (high - low) * file.slice_bytes > MAX_SLICES_BYTES and high - low > 1:
        raise LimitError(f"At most {MAX_SLICES_BYTES >> 20} MB of slices are sent at once.")
    content = file.packed(low, high) if packed else bytes(file.slices(low, high))
    return Response(content, media_type=NIFTI)


def _volume_of(here: Shared, case: str, channel: int | None) -> Volume:
    here.store.case(case)  # another server may have deleted it
    try:
        return Volume(here.sessions.images.get(case), channel)
    except NotFoundError:
        here.sessions.images.forget(case)
        raise


# Series beside a case's image


@router.get("/{case}/series", response_model=list[SeriesJson], summary="Series that are shown beside a case's image")
def series(case: str, here: SharedNow) -> Response:
    return JSONResponse([series_to_json(one) for one in here.store.series(case)])


@router.post(
    "/{case}/series",
    status_code=201,
    response_model=list[SeriesJson],
    summary="Upload images to be shown beside a case's own, by where both lie in the patient",
    openapi_extra=uploads.BODY,
)
async def upload_series(case: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    await run_in_threadpool(here.store.case, case)
    async with uploads.receive(request, here.settings) as upload, here.reading.turns:
        added = await run_in_threadpool(uploads.add_series, here.store.by(who), here.reading, upload, case)
    return JSONResponse([series_to_json(one) for one in added], 201)


@router.delete("/{case}/series/{series}", status_code=204, summary="Take a series away from a case")
def delete_series(case: str, series: str, here: SharedNow, who: UserNow) -> Response:
    here.store.by(who).delete_series(_series_of(here, case, series).id)
    return Response(status_code=204)


@router.get(
    "/{case}/series/{series}/volume.nii",
    summary="A series on the grid of the case's image, as an uncompressed NIfTI-1 file, or a range of its bytes",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}, 206: {"content": {NIFTI: {}}}},
)
def series_volume(case: str, series: str, here: SharedNow, wanted: WantedRange = "") -> Response:
    return send_file(_series_volume(here, case, series), wanted)


@router.get(
    "/{case}/series/{series}/slices",
    summary="A series on the grid of the case's image: the voxels of some slices, as those of the case come",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}},
)
def series_slices(
    case: str, series: str, here: SharedNow, low: FirstSlice, high: LastSlice, packed: bool = False
) -> Response:
    return send_slices(_series_volume(here, case, series), low, high, packed)


def _series_of(here: Shared, case: str, series: str) -> SeriesRecord:
    found = here.store.one_series(series)
    if found.case != case:
        raise NotFoundError(f"There is no series {series!r} beside this case's image.")
    return found


def _series_volume(here: Shared, case: str, series: str) -> Volume:
    found, main = _series_of(here, case, series), here.store.case(case)
    return SeriesVolume(here.sessions.images.series(found), main.affine, main.shape, found.lowest)


def series_to_json(series: SeriesRecord) -> dict[str, Any]:
    """Return a series as plain JSON values."""
    return {
        "id": series.id,
        "name": series.name,
        "modality": series.modality,
        "shape": list(series.shape),
        "notes": list(series.notes),
    }


@router.post(
    "/{case}/frames/{frame}",
    status_code=201,
    response_model=CaseJson,
    summary="Make one time point, or one channel, of a case a case of its own",
)
def add_frame(case: str, frame: Annotated[int, Path(ge=0, le=65535)], here: SharedNow, who: UserNow) -> Response:
    known, image = here.store.case(case), here.sessions.images.get(case)
    if frame >= image.channels:
        raise NotFoundError(f"This image has channels 0 to {image.channels - 1}; there is no {frame}.")
    one = Image(
        image.voxels[frame : frame + 1], image.affine, tuple(note for note in image.notes if not is_timed([note]))
    )
    added = here.store.by(who).add_case(
        here.store.free_name(f"{known.name}, time {frame + 1}", project=known.project),
        one,
        project=known.project,
        modality=known.modality,
        patient=known.patient,
        study_date=known.study_date,
        description=known.description,
        frame=known.frame,
    )
    return JSONResponse(case_to_json(added), 201)


def byte_range(wanted: str, size: int) -> range | None:
    """Return the bytes of a file that a Range header asks for; None: all, and an empty one: none that there are.

    >>> byte_range("bytes=0-99", 500), byte_range("bytes=-100", 500), byte_range("bytes=400-", 500)
    (range(0, 100), range(400, 500), range(400, 500))
    >>> byte_range("", 500), byte_range("bytes=1-2,5-6", 500), byte_range("bytes=500-", 500)
    (None, None, range(0, 0))
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", wanted.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    return range(start, stop) if start < stop else range(0)
