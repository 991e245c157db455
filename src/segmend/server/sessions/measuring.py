"""Routes on what is measured of masks: volume, diameters and values of every label, and a label's surface.

Measuring happens on one thread at a time, which holds no session's lock while it works, so clicks do not wait for it.
A client that names the version of the map it knows is not told the same again.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend.core.image import Image, MaskArray
from segmend.core.measures import unit_of
from segmend.core.session import Session
from segmend.core.surface import surface
from segmend.errors import NotFoundError
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import MeasuresJson
from segmend.server.sessions.kept_measures import LiveMeasures, cropped_image, masks_in, tag_of
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.sessions import open_session
from segmend.server.sessions.wire import EMPTY_BOX
from segmend.server.state import Shared, SharedNow

router = APIRouter(prefix="/api", tags=["measures"], responses=PROBLEMS)
BYTES = "application/octet-stream"
# Voxels of a label's box above which its surface is made of a coarser mask, which a browser can turn.
MOST_SURFACE_VOXELS = 8_000_000

NOTHING = EMPTY_BOX, np.zeros((0, 0, 0), np.uint16)  # what is painted in a layer that nobody has marked yet

Since = Annotated[str, Query(max_length=80, description="the version that the client has")]
Value = Annotated[int, Path(ge=1, le=65535)]


def version_of(session: Session) -> str:
    """Return what names the state of a map: another one after every event and every answer."""
    return f"{len(session.events)}.{len(session.pending)}"


def _as_json(label: int, found: LiveMeasures) -> dict[str, Any]:
    at = found.axes
    return {
        "value": label,
        "voxels": found.voxels,
        "volume_ml": found.volume_ml,
        "area_mm2": found.area_mm2,
        "long_axis": None if at is None else at.long_axis,
        "short_axis": None if at is None else at.short_axis,
        "slice": None if at is None else at.slice,
        "means": found.means,
        "deviations": found.deviations,
    }


@router.get(
    "/sessions/{session}/measures",
    response_model=MeasuresJson,
    summary="Volume, diameters and values of every label; a version that is named and still holds is 204",
    responses={204: {"description": "Nothing has changed since that version."}},
)
async def measures(session: str, here: SharedNow, since: Since = "") -> Response:
    async with open_session(here, session) as opened:
        if since == version_of(opened.session):
            return Response(status_code=204)
        async with here.measuring:
            return JSONResponse(await run_in_threadpool(_measured, here, opened))


def _measured(here: Shared, opened: OpenSession) -> dict[str, Any]:
    session, painted = opened.painted()
    image = here.sessions.images.of(opened.record)
    kept = opened.case if opened.record.field is None else opened.id
    found: dict[int, LiveMeasures] = {}
    for layer in {label.layer for label in session.labels.values()}:
        values = [value for value, label in session.labels.items() if label.layer == layer]
        box, label_map = painted.get(layer, NOTHING)
        found |= here.kept_measures.of(kept, values, label_map, box, image)
    return {
        "version": version_of(session),
        "unit": unit_of(image),
        "labels": [_as_json(label, found[label]) for label in session.labels],
    }


@router.get(
    "/sessions/{session}/surfaces/{label}",
    summary="A label's surface: u32 vertices, u32 triangles, then f32 RAS mm and u32 corners, little endian",
    response_class=Response,
    responses={200: {"content": {BYTES: {}}}, 204: {"description": "Its voxels are those that are named."}},
)
async def surface_of(session: str, label: Value, here: SharedNow, since: Since = "") -> Response:
    async with open_session(here, session) as opened, here.measuring:
        found = await run_in_threadpool(_surface, here, opened, label, since)
    if found is None:
        return Response(status_code=204)
    tag, body = found
    return Response(body, media_type=BYTES, headers={"ETag": f'"{tag}"'})


def _surface(here: Shared, opened: OpenSession, label: int, known: str) -> tuple[str, bytes] | None:
    """Return the name of a label's voxels and their surface as bytes; None where the client has it."""
    session, painted = opened.painted()
    if label not in session.labels:
        raise NotFoundError(f"This session has no label {label}.")
    image = here.sessions.images.of(opened.record)
    box, label_map = painted.get(session.labels[label].layer, NOTHING)
    where, mask = masks_in(label_map, box, [label], image.shape)[label]
    tag = tag_of(where, mask)
    return None if tag == known else (tag, packed_surface(mask, cropped_image(image, where)))


def packed_surface(mask: MaskArray, image: Image) -> bytes:
    """Return the surface of a mask on its image's grid as bytes."""
    step = max(1, int(np.ceil((mask.size / MOST_SURFACE_VOXELS) ** (1 / 3))))
    found = surface(*coarser(mask, image, step))
    counts = np.array([len(found.vertices), len(found.triangles)], "<u4")
    return counts.tobytes() + found.vertices.astype("<f4").tobytes() + found.triangles.astype("<u4").tobytes()


def coarser(mask: MaskArray, image: Image, step: int) -> tuple[MaskArray, Image]:
    """Return every `step`-th voxel of a mask, with the grid that these make, which is smooth enough for a picture."""
    if step == 1:
        return mask, image
    affine = image.affine.copy()
    affine[:3, :3] *= step
    return mask[::step, ::step, ::step], Image(image.voxels[:, ::step, ::step, ::step], affine, axes="zyx")
