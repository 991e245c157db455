"""What was annotated, to take away: one session as one file, or many cases as a zip that is sent while it is made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from segmend.errors import ForbiddenError
from segmend.results.archive import Wanted, archive, check_kinds
from segmend.results.case_result import CaseResult
from segmend.results.kinds import KINDS, file_name, kind_of, write_result
from segmend.results.training import FOLDERS
from segmend.server.access.rights import BLIND, AccessNow
from segmend.server.cases.cases import FilterNow
from segmend.server.cases.scratch import scratch_folder
from segmend.server.replies import PROBLEMS
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store.records import CaseRecord
from segmend.store.worklist import OLDEST_FIRST

router = APIRouter(prefix="/api", tags=["exports"], responses=PROBLEMS)
Patient = Annotated[
    Literal["anonymous", "keep"],
    Query(description="whether a DICOM mask, a table, a report and a log leave out whose it is, or keep it"),
]
# Kinds that one archive may hold, and cases that it may name.
MAX_KINDS, MAX_NAMED = 40, 1000


@router.get(
    "/sessions/{session}/export",
    summary="What came of a session as one file: masks, surfaces, measures, a report, or a log to replay",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def export(
    session: str,
    here: SharedNow,
    who: UserNow,
    suffix: Annotated[str, Query(alias="format", json_schema_extra={"enum": list(KINDS)})] = ".nii.gz",
    patient: Patient = "anonymous",
) -> Response:
    kind_of(suffix)
    result = result_now(here, session)
    case = result.case
    here.looks.note_taken(who, "exported", case, session=session, kind=suffix, patient=patient)
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        path = folder / f"{file_name(case.name)}{suffix}"
        write_result(path, result, suffix, anonymous=patient == "anonymous", weights=here.settings.weights)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        path,
        filename=f"{file_name(case.name)}-mask{suffix}" if KINDS[suffix].group == "masks" else path.name,
        media_type="application/octet-stream",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def result_now(here: Shared, session: str) -> CaseResult:
    """Return what came of a session up to now."""
    with here.sessions.open(session) as opened:
        log, layers = opened.session, opened.layers()
        case, record = here.store.case(opened.case), opened.record
        image = here.sessions.images.of(record)
    if record.field is not None:
        affine = tuple(tuple(float(v) for v in row) for row in image.affine)
        case = replace(case, shape=image.shape, channels=image.channels, affine=affine)
    return CaseResult(here.store, case, record, log, image, layers)


@router.get(
    "/results.zip",
    summary="The results of all cases that a filter finds, or of those that are named, as one zip",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
)
def results(
    here: SharedNow,
    access: AccessNow,
    wanted: FilterNow,
    kinds: Annotated[
        list[str],
        Query(alias="kind", max_length=MAX_KINDS, json_schema_extra={"items": {"enum": [*KINDS, *FOLDERS]}}),
    ],
    cases: Annotated[list[str] | None, Query(alias="case", max_length=MAX_NAMED, description="by id")] = None,
    patient: Patient = "anonymous",
) -> Response:
    check_kinds(kinds)
    if wanted.project is not None:
        here.store.project(wanted.project)
    found = [here.store.case(case) for case in cases] if cases else here.store.found_cases(wanted, OLDEST_FIRST)
    for project in {case.project for case in found}:
        access.check("reviewer", project)
    if any(access.is_blind(read) for read in here.store.readings.of_cases([case.id for case in found]).values()):
        raise ForbiddenError(BLIND)
    here.looks.note_taken(access.user, "exported", *found, kinds=kinds, patient=patient)
    asked = Wanted(list(dict.fromkeys(kinds)), patient == "anonymous", here.settings.weights)
    name = file_name(found[0].name) if len(found) == 1 else file_name(wanted.project or "results")
    headers = {"Content-Disposition": f'attachment; filename="{_ascii(name)}.zip"'}
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    return StreamingResponse(_pieces(here, found, asked, folder), media_type="application/zip", headers=headers)


def _pieces(here: SharedNow, found: list[CaseRecord], asked: Wanted, folder: Path) -> Iterator[bytes]:
    try:
        yield from archive(here.store, found, asked, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode().replace("?", "-")
