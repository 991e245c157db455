"""What Segmend's own extension of OHIF asks before it works in an ordinary session: which case a displayed series is.

The extension is one file of the annotator's bundle, `/ohif/segmend.js`, which OHIF's page imports. A series that is not
here is fetched from the first of the server's archives that has it; then the extension follows the import. Everything
after that goes through the routes and the live connection that the annotator uses.

OHIF knows slices by their files, so the answer names the file and frame of each slice of the case, in the case's order.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from segmend import methods
from segmend.core.image import Image
from segmend.errors import ArchiveError, NotFoundError
from segmend.io.reference import find_reference
from segmend.server.access.rights import Access, AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.cases.archives import to_json
from segmend.server.cases.imports import OVER, Import
from segmend.server.sessions.sessions import begin
from segmend.server.state import Shared, SharedNow
from segmend.store.tables import DEFAULT_PROJECT

Uid = Annotated[str, Field(max_length=64, pattern=r"^[0-9.]+$")]

router = APIRouter(prefix="/ohif", include_in_schema=False, route_class=SmallBodyRoute)


class Displayed(BaseModel):
    """A series that a viewer shows, and one of its files."""

    study: Uid
    series: Uid
    instance: Uid


@router.post("/open")
async def open_series(displayed: Annotated[Displayed, Body()], here: SharedNow, access: AccessNow) -> Response:
    """Answer with a session of the series, which its person began last, or with the import that brings it (202)."""
    found = await run_in_threadpool(_opened, here, displayed, access)
    if found is not None:
        return JSONResponse(found)
    access.check("reviewer", DEFAULT_PROJECT)  # to which it would be added
    who = access.user
    async with here.asking:
        fetched = await run_in_threadpool(_fetched, here, displayed, who)
    return JSONResponse(to_json(fetched), 202)


def _opened(here: Shared, displayed: Displayed, access: Access) -> dict[str, Any] | None:
    for known in reversed(here.archived.cases_of(displayed.study, displayed.series)):
        project, read = here.store.case(known.case).project, here.store.readings.of_case(known.case)
        if not access.roles.may("annotator", project):
            continue
        image = here.sessions.images.get(known.case)
        slices = _slices(here, known.case, known.series, image)
        if displayed.instance not in {uid for uid, _ in slices}:
            continue  # the series is more than one image, and this is another
        who, there = access.user, here.store.sessions(known.case)
        own = [record.id for record in there if record.user == who and access.sees(read, project, record)]
        if not own:
            access.check_begins("annotator", known.case)
        card = methods.card(here.settings.method)
        return {
            "case": known.case,
            "session": own[-1] if own else begin(here, known.case, who),
            "shape": list(image.shape),
            "affine": image.affine.tolist(),
            "slices": slices,
            "method": card.id,
            "calibrated": (2 if image.flat else 3) in card.calibrated,
            "prompts": list(card.prompts),
            "archives": list(here.imports.archives),
        }
    return None


def _slices(here: Shared, case: str, series: str, image: Image) -> list[tuple[str, int]]:
    """Return the file of each slice, and which frame of it; no file where a slice was interpolated."""
    with here.store.source_of(case) as folder:
        planes = find_reference(image, folder, anonymous=True, series=series).planes
    return [("", 0) if plane is None else (plane.sop_uid, plane.frame + 1) for plane in planes]


def _fetched(here: Shared, displayed: Displayed, who: str) -> Import:
    """Return the import that fetches a series, a new one unless it is on its way."""
    for one in here.imports.of(who):
        if (one.study, one.series) == (displayed.study, displayed.series) and one.stage not in OVER:
            return one
    refused = ""
    for name, archive in here.imports.archives.items():
        try:
            listed = archive.series(displayed.study)
        except ArchiveError as error:
            refused = f" {name}: {error}"
            continue
        if any(one.uid == displayed.series for one in listed):
            return here.imports.begin(name, displayed.study, displayed.series, DEFAULT_PROJECT, who)
    known = "none of its archives has it" if here.imports.archives else "it knows no archive (--archives)"
    raise NotFoundError(f"Segmend does not have this series, and {known}.{refused}")
