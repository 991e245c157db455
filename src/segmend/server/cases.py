"""Routes on cases: list, upload, link, look at, delete; and the voxels for the viewer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse

from segmend.errors import NotFoundError
from segmend.server import uploads
from segmend.server.bodies import SmallBodyRoute
from segmend.server.links import OutsideError
from segmend.server.replies import PROBLEMS, problem
from segmend.server.schemas import CaseJson, LinkJson
from segmend.server.state import SharedNow
from segmend.server.volumes import Volume
from segmend.store import CaseRecord

router = APIRouter(prefix="/api/cases", tags=["cases"], responses=PROBLEMS, route_class=SmallBodyRoute)
NIFTI = "application/octet-stream"


def case_to_json(case: CaseRecord) -> dict[str, Any]:
    """Return a case as plain JSON values."""
    return {
        "id": case.id,
        "name": case.name,
        "project": case.project,
        "shape": list(case.shape),
        "spacing": list(case.spacing),
        "channels": case.channels,
        "modality": case.modality,
        "notes": list(case.notes),
        "source": case.source,
        "created": case.created.isoformat(),
    }


@router.get("", response_model=list[CaseJson], summary="All cases, oldest first")
def cases(here: SharedNow, project: Annotated[str | None, Query()] = None) -> Response:
    return JSONResponse([case_to_json(case) for case in here.store.cases(project)])


@router.post(
    "",
    status_code=201,
    response_model=list[CaseJson],
    summary="Upload images: a NIfTI, a photo, a zip, or all files of a DICOM folder",
    openapi_extra=uploads.BODY,
)
async def upload(request: Request, here: SharedNow) -> Response:
    async with uploads.receive(request, here.settings) as upload, here.reading.turns:
        added = await run_in_threadpool(uploads.add_cases, here.store, here.reading, upload)
    return JSONResponse([case_to_json(case) for case in added], 201)


@router.post("/link", status_code=201, response_model=list[CaseJson], summary="Read images of the server's own machine")
async def link(body: Annotated[LinkJson, Body()], here: SharedNow) -> Response:
    if not here.settings.link_folders:
        detail = (
            "This server does not read folders of its machine (--link-folder names some); upload the files instead."
        )
        return problem(403, detail)
    try:
        async with here.reading.turns:
            added = await run_in_threadpool(
                uploads.add_linked, here.store, here.reading, body.path, body.project, here.settings
            )
    except OutsideError as error:
        return problem(403, str(error))
    return JSONResponse([case_to_json(case) for case in added], 201)


@router.get("/{case}", response_model=CaseJson, summary="One case")
def one(case: str, here: SharedNow) -> Response:
    return JSONResponse(case_to_json(here.store.case(case)))


@router.delete("/{case}", status_code=204, summary="Delete a case with its sessions and masks")
def delete(case: str, here: SharedNow) -> Response:
    here.store.delete_case(case)
    here.sessions.forget_case(case)
    return Response(status_code=204)


@router.get(
    "/{case}/volume.nii",
    summary="The voxels as an uncompressed NIfTI-1 file",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}},
)
def volume(case: str, here: SharedNow, channel: Annotated[int | None, Query(ge=0, le=65535)] = None) -> Response:
    here.store.case(case)  # another server may have deleted it
    try:
        file = Volume(here.sessions.images.get(case), channel)
    except NotFoundError:
        here.sessions.images.forget(case)
        raise
    headers = {"Content-Length": str(file.size_bytes)}
    return StreamingResponse(file.pieces(), media_type=NIFTI, headers=headers)
