"""The dialect of itksnap-dls, by which ITK-SNAP (4.4 and newer) asks a server for its answers.

ITK-SNAP asks for a session, uploads an image as float32 numbers packed by gzip, with the whole of its geometry, and
then prompts; every answer is the whole mask, a byte a voxel, packed by gzip and written in base64. Voxels that are 0
there are taken from the active label. It takes nothing but status 200 for success, shows no sentence of a refusal, and
never asks for another session: one that is known here lives through restarts of the server.

It says "reset" when another label becomes the active one. Its own undo says nothing: what is undone there comes back
with the next answer. It sends no token but one that is part of the address (`anybody:TOKEN@host`).

Prompts come as GET. A page of another site could have a browser ask for those, so requests of such pages are refused.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from segmend import methods
from segmend.core.geometry import mirrored, turned
from segmend.core.image import Image, Index, MaskArray, bounds
from segmend.core.prompts import Click, Drawn, Prompt
from segmend.errors import LimitError, NotFoundError
from segmend.io.intensities import check_finite
from segmend.io.sizes import FLOOR, Limits
from segmend.io.sparse import gzipped
from segmend.server.bodies import Json, json_object
from segmend.server.protocols.lassos import lasso_of
from segmend.server.protocols.requests import MOST_ALONG, index_in
from segmend.server.protocols.routes import ToldRoute
from segmend.server.protocols.whole_masks import form_of, inflated, mask_after, shape_of
from segmend.server.replies import UnreadableError, problem
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store.visitors import Lease

DIALECT = "itksnap"
# The version of itksnap-dls whose routes these are; ITK-SNAP refuses servers older than 0.1.2.
SPOKEN = "0.1.6"
# What ITK-SNAP may choose from, and for images of how many dimensions and channels each of it is.
MODELS = {"segmend": (3, [1]), "segmend-2d": (2, [1, 3])}
# Numbers of a voxel.
MOST_COMPONENTS = 1000
FLOAT = np.dtype("<f4")
Foreground = Annotated[bool, Query()]


class ItkSnapRoute(ToldRoute):
    """A route whose refusals are not 200, which is all that ITK-SNAP looks at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_for_itksnap(request: Request) -> Response:
            if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                return problem(403, "This request came from a page of another site.")
            return await handle(request)

        return handle_for_itksnap


router = APIRouter(include_in_schema=False, route_class=ItkSnapRoute)


# The connection


@router.get("/status")
async def status() -> Response:
    return JSONResponse({"status": "ok", "version": SPOKEN})


@router.get("/v2/models")
def models(here: SharedNow) -> Response:
    takes = methods.card(here.settings.method).prompts
    interactions = ["point"] if "click" in takes else []
    interactions += ["scribble"] if "drawn" in takes or "stroke" in takes else []
    interactions += ["lasso"] if "lasso" in takes else []
    return JSONResponse(
        {
            "models": [
                {"id": name, "channels": channels, "dimensions": dimensions, "interactions": interactions}
                for name, (dimensions, channels) in MODELS.items()
            ]
        }
    )


@router.get("/v2/start_session/{model}")
def start_session(model: str, here: SharedNow, who: UserNow) -> Response:
    if model not in MODELS:
        raise NotFoundError(f"There are the models {', '.join(MODELS)}; got {model[:40]!r}.")
    return JSONResponse({"session_id": here.visits.claim(DIALECT, who)})


@router.get("/v2/end_session/{session}")
@router.get("/end_session/{session}")
def end_session(session: str, here: SharedNow, who: UserNow) -> Response:
    here.visits.release(session, who)
    return JSONResponse({"message": "Session ended"})


@router.get("/v2/reset_interactions/{session}")
@router.get("/reset_interactions/{session}")
def reset_interactions(session: str, here: SharedNow, who: UserNow) -> Response:
    here.visits.next_object(here.visits.lease(session, who))
    return JSONResponse({"status": "success"})


# The image


@router.post("/v2/upload_raw/{session}")
@router.post("/upload_raw/{session}")
async def upload_raw(session: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    lease = await run_in_threadpool(here.visits.lease, session, who)
    packed, fields = await form_of(request, here)
    async with here.reading.turns:
        image = await run_in_threadpool(_image, packed, _metadata(fields), here.reading.limits())
        await run_in_threadpool(here.visits.bring, lease, image, who)
    return JSONResponse({"message": "The image is here."})


# Prompts


@router.get("/v2/process_point_interaction/{session}")
async def process_point(
    session: str,
    point: Annotated[list[int], Query(min_length=2, max_length=3)],
    here: SharedNow,
    who: UserNow,
    foreground: Foreground = False,
) -> Response:
    lease = await run_in_threadpool(here.visits.lease, session, who)

    def prompt(shape: Index) -> Prompt | None:
        if len(point) == 2 and shape[0] > 1:
            raise UnreadableError("A point of an image of 3 dimensions needs 3 numbers; got 2.")
        x, y, z = (*point, 0)[:3]
        index = index_in((z, y, x), shape)
        return None if index is None else Click(index, foreground)

    return await _answer(here, lease, who, prompt)


@router.post("/process_scribble_interaction/{session}")
async def process_scribble(
    session: str, request: Request, here: SharedNow, who: UserNow, foreground: Foreground = False
) -> Response:
    def scribble(inside: MaskArray, low: Index) -> Prompt:
        return Drawn(inside, low, foreground)

    return await _answer_voxels(session, request, here, who, scribble)


@router.post("/process_lasso_interaction/{session}")
async def process_lasso(
    session: str, request: Request, here: SharedNow, who: UserNow, foreground: Foreground = False
) -> Response:
    def lasso(inside: MaskArray, low: Index) -> Prompt:
        return lasso_of(inside, low, positive=foreground)

    return await _answer_voxels(session, request, here, who, lasso)


async def _answer_voxels(
    session: str, request: Request, here: Shared, who: str, made: Callable[[MaskArray, Index], Prompt]
) -> Response:
    """Answer a prompt that comes as the voxels it covers, in a volume like the image."""
    lease = await run_in_threadpool(here.visits.lease, session, who)
    shape = await run_in_threadpool(shape_of, here, lease)
    packed, fields = await form_of(request, here)
    inside = await run_in_threadpool(_inside, packed, _metadata(fields), shape)
    drawn = bounds(inside)

    def prompt(_: Index) -> Prompt | None:
        return None if drawn is None else made(inside[drawn.slices], drawn.low)

    return await _answer(here, lease, who, prompt)


async def _answer(here: Shared, lease: Lease, who: str, made: Callable[[Index], Prompt | None]) -> Response:
    _, mask = await mask_after(here, lease, who, made)
    return await run_in_threadpool(_reply, mask)


def _reply(mask: MaskArray) -> Response:
    return JSONResponse({"status": "success", "result": base64.b64encode(gzipped(mask)).decode()})


# What forms carry


def _metadata(fields: dict[str, str]) -> Json:
    if "metadata" not in fields:
        raise UnreadableError("The form needs a field 'metadata'.")
    return json_object(fields["metadata"])


def _shape(metadata: Json) -> Index:
    """Return the sides (z, y, x) that metadata say, which has them as (x, y) or (x, y, z)."""
    sides = metadata.get("dimensions")
    if (
        not isinstance(sides, list)
        or len(sides) not in (2, 3)
        or not all(_is_count(side, MOST_ALONG) for side in sides)
    ):
        raise UnreadableError(f"'dimensions' needs 2 or 3 whole numbers of 1 to {MOST_ALONG}; got {str(sides)[:100]}.")
    x, y, z = (*sides, 1)[:3]
    return z, y, x


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _image(packed: bytes, metadata: Json, limits: Limits) -> Image:
    """Return an uploaded image on its own grid."""
    shape, components = _shape(metadata), metadata.get("components_per_pixel", 1)
    if not _is_count(components, MOST_COMPONENTS):
        said = str(components)[:40]
        raise UnreadableError(f"'components_per_pixel' needs a whole number of 1 to {MOST_COMPONENTS}; got {said}.")
    size = math.prod(shape) * components * FLOAT.itemsize
    room = min(limits.max_bytes, max(FLOOR, limits.max_ratio * len(packed)))
    if size > room:
        raise LimitError(f"An image may have {room} bytes here, as packed as this one; it has {size}.")
    flat = np.empty(size, np.uint8)
    place = 0
    for piece in inflated(packed, size):
        flat[place : place + len(piece)] = np.frombuffer(piece, np.uint8)
        place += len(piece)
    voxels = flat.view(FLOAT).astype("=f4", copy=False).reshape(*shape, components)
    channels = voxels[None, ..., 0] if components == 1 else np.ascontiguousarray(np.moveaxis(voxels, -1, 0))
    return Image(check_finite(channels, "The image"), _affine(metadata), axes="zyx")


def _affine(metadata: Json) -> NDArray[np.float64]:
    """Return how voxels (z, y, x) lie in RAS mm; ITK has them (x, y, z), in LPS."""
    count = len(metadata["dimensions"])
    affine = np.eye(4)
    affine[:count, :count] = np.reshape(_numbers(metadata, "direction", count * count, np.eye(count)), (count, count))
    affine[:count, :count] *= _numbers(metadata, "spacing", count, np.ones(count))
    affine[:count, 3] = _numbers(metadata, "origin", count, np.zeros(count))
    return mirrored(turned(affine))


def _numbers(metadata: Json, name: str, count: int, usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return so many numbers of metadata; the usual ones where they are not said."""
    said = metadata.get(name)
    if said is None:
        return usual
    right = isinstance(said, list) and len(said) == count
    if not right or not all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e15 for n in said):
        raise UnreadableError(f"{name!r} needs {count} numbers; got {str(said)[:100]}.")
    return np.array(said, np.float64)


def _inside(packed: bytes, metadata: Json, shape: Index) -> MaskArray:
    """Return where an uploaded volume, which needs this shape, is not 0."""
    if _shape(metadata) != shape:
        raise UnreadableError(f"A mask here needs shape {list(shape)}; got {list(_shape(metadata))}.")
    inside = np.zeros(math.prod(shape), bool)
    place, rest = 0, b""
    for piece in inflated(packed, math.prod(shape) * FLOAT.itemsize):
        rest += piece
        count = len(rest) // FLOAT.itemsize
        inside[place : place + count] = np.frombuffer(rest, FLOAT, count) != 0
        place, rest = place + count, rest[count * FLOAT.itemsize :]
    return inside.reshape(shape)
