"""Masks to take away, in every format that can be written."""

from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from segmend import io
from segmend.errors import SettingsError
from segmend.server.replies import PROBLEMS
from segmend.server.scratch import scratch_folder
from segmend.server.state import SharedNow

router = APIRouter(prefix="/api", tags=["exports"], responses=PROBLEMS)


@router.get(
    "/sessions/{session}/export",
    summary="The label map as a file",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def export(
    session: str,
    here: SharedNow,
    suffix: Annotated[str, Query(alias="format", json_schema_extra={"enum": list(io.MASK_FORMATS)})] = ".nii.gz",
    patient: Annotated[
        Literal["anonymous", "keep"], Query(description="whether a DICOM mask leaves out whose it is, or keeps it")
    ] = "anonymous",
) -> Response:
    if suffix not in io.MASK_FORMATS:
        raise SettingsError(f"A mask can be written as {', '.join(io.MASK_FORMATS)}; got {suffix!r}.")
    with here.sessions.open(session) as opened:
        labels, label_map = list(opened.session.labels.values()), opened.map()
        case = here.store.case(opened.case)
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        with here.store.source_of(case.id) if case.source else nullcontext() as source:
            path = folder / f"mask{suffix}"
            image = here.sessions.images.get(case.id)
            write = io.mask_writer(
                path, image, source=source, series=case.name, anonymous=patient == "anonymous"
            )  # a case of a series is called what the series is called
            write(label_map, labels)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        path,
        filename=f"{file_name(case.name)}-mask{suffix}",
        media_type="application/octet-stream",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def file_name(name: str) -> str:
    """Return a name as the safe stem of a file.

    >>> file_name("../Lung, left (2)")
    'Lung-left-2'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "case"
