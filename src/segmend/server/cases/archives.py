"""Routes on archives (PACS) that the server was started with: search them, fetch series as cases, send masks back.

A client names an archive, never an address. What an archive says is bounded and believed no further than
`segmend.io.dicomweb` does; a few requests wait for archives at a time.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend.errors import FileError
from segmend.io.dicomweb import Sent, Study
from segmend.results.kinds import write_result
from segmend.server.access.rights import Access, AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.cases.archived import LOOKING_SECONDS
from segmend.server.cases.exports import result_now
from segmend.server.cases.imports import Import
from segmend.server.cases.scratch import scratch_folder
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import (
    ArchivedSeriesJson,
    ArchiveJson,
    ImportJson,
    NewImportJson,
    SendJson,
    SentJson,
    StudyPageJson,
)
from segmend.server.state import Shared, SharedNow, UserNow

router = APIRouter(prefix="/api", tags=["archives"], responses=PROBLEMS, route_class=SmallBodyRoute)
# Studies of a page, and pages before it.
MAX_PAGE, MAX_OFFSET = 100, 100_000
Words = Annotated[str, Query(max_length=64)]


@router.get("/archives", response_model=list[ArchiveJson], summary="The archives that this server knows, by name")
async def archives(here: SharedNow) -> Response:
    return JSONResponse([{"name": name} for name in here.imports.archives])


@router.get("/archives/{archive}/studies", response_model=StudyPageJson, summary="Studies of an archive, page by page")
async def studies(
    archive: str,
    here: SharedNow,
    patient: Annotated[str, Query(max_length=64, description="how the name begins; * stands for anything")] = "",
    patient_id: Words = "",
    modality: Words = "",
    description: Annotated[str, Query(max_length=64, description="words in the study's description")] = "",
    since: Annotated[date | None, Query()] = None,
    until: Annotated[date | None, Query(description="that day included")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    asked = {
        "PatientName": wildcard(patient, f"{patient}*"),
        "PatientID": patient_id.strip(),
        "StudyDate": _days(since, until),
        "ModalitiesInStudy": modality.strip(),
        "StudyDescription": wildcard(description, f"*{description}*"),
    }
    wanted = {name: text for name, text in asked.items() if text}
    found = here.imports.archive(archive)
    async with here.asking:
        listed = await run_in_threadpool(lambda: found.studies(limit=limit + 1, offset=offset, **wanted))
    page, more = page_of(listed, offset, limit)
    return JSONResponse({"studies": [asdict(one) for one in page], "more": more})


def wildcard(text: str, usual: str) -> str:
    """Return what an archive is asked for: the text where it says itself what stands for anything.

    >>> wildcard("Doe", "Doe*"), wildcard("*jane*", "*jane**"), wildcard("", "*")
    ('Doe*', '*jane*', '')
    """
    text = text.strip()
    return text if not text or "*" in text or "?" in text else usual.strip()


def _days(since: date | None, until: date | None) -> str:
    if since is None and until is None:
        return ""
    low, high = (f"{day:%Y%m%d}" if day is not None else "" for day in (since, until))
    return f"{low}-{high}"


def page_of(listed: list[Study], offset: int, limit: int) -> tuple[list[Study], bool]:
    """Return a page of what an archive lists, which may be more than it was asked for, and whether there is more."""
    if len(listed) > limit + 1:  # it knows no pages
        return listed[offset : offset + limit], len(listed) > offset + limit
    return listed[:limit], len(listed) > limit


@router.get(
    "/archives/{archive}/studies/{study}/series",
    response_model=list[ArchivedSeriesJson],
    summary="The series of a study",
)
async def series(archive: str, study: str, here: SharedNow, access: AccessNow) -> Response:
    found = here.imports.archive(archive)
    async with here.asking:
        listed = await run_in_threadpool(found.series, study)
    await run_in_threadpool(here.archived.look_into_files, seconds=LOOKING_SECONDS)
    cases = await run_in_threadpool(_made, here, access, study)
    return JSONResponse([{**asdict(one), "cases": cases.get(one.uid, [])} for one in listed])


def _made(here: Shared, access: Access, study: str) -> dict[str, list[str]]:
    """Return the cases that were made of each series of a study, those that may be seen."""
    cases: dict[str, list[str]] = {}
    for known in here.store.originals.known(study):
        if access.visible is None or access.roles.may("annotator", here.store.case(known.case).project):
            cases.setdefault(known.series, []).append(known.case)
    return cases


@router.post(
    "/archives/{archive}/imports", status_code=202, response_model=ImportJson, summary="Have a series made a case"
)
def begin(archive: str, body: Annotated[NewImportJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    who = access.user
    access.check("reviewer", body.project)
    return JSONResponse(to_json(here.imports.begin(archive, body.study, body.series, body.project, who)), 202)


@router.get("/imports", response_model=list[ImportJson], summary="One's own imports, oldest first")
def imports(here: SharedNow, who: UserNow) -> Response:
    return JSONResponse([to_json(one) for one in here.imports.of(who)])


@router.get("/imports/{number}", response_model=ImportJson, summary="How far an import is")
def one_import(number: str, here: SharedNow, who: UserNow) -> Response:
    return JSONResponse(to_json(here.imports.one(number, who)))


@router.delete("/imports/{number}", status_code=204, summary="End an import; what has come of it goes")
def cancel(number: str, here: SharedNow, who: UserNow) -> Response:
    here.imports.cancel(number, who)
    return Response(status_code=204)


def to_json(one: Import) -> dict[str, Any]:
    """Return an import as plain JSON values."""
    return {name: value for name, value in asdict(one).items() if name not in ("user", "project")}


@router.post(
    "/archives/{archive}/results", response_model=SentJson, summary="Send a session's masks to the study of its image"
)
async def send(archive: str, body: Annotated[SendJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    await run_in_threadpool(access.check_session, "reviewer", body.session)
    here.imports.archive(archive)
    async with here.asking:
        sent = await run_in_threadpool(_send, here, archive, body.session, body.format, access.user)
    refused = [f"{reason:04X}h" for reason in sent.refused.values()]
    return JSONResponse({"stored": len(sent.stored), "refused": refused})


def _send(here: Shared, archive: str, session: str, suffix: str, who: str) -> Sent:
    result = result_now(here, session)
    if not result.case.source:
        raise FileError("This image came without DICOM files, so there is no study that an archive could file it in.")
    if not result.map.any():
        raise FileError("There is no mask to send yet.")
    here.looks.note_taken(who, "sent", result.case, session=session, kind=suffix, to=archive)
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        path = folder / f"mask{suffix}"
        write_result(path, result, suffix, anonymous=False)
        return here.imports.archive(archive).send([path])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
