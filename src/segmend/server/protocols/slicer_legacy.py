"""The dialect of SlicerNNInteractive 0.x, 3D Slicer's extension before it spoke nnInteractive's own.

The extension uploads an image and the mask of the segment that is worked on, each as a NumPy file in a form, and then
prompts; every answer is the whole mask, a bit a voxel, packed by gzip. It names no connection, so its user, or else its
address, stands for one. It shows its person the sentence of an answer `{"status": "error"}`, and sends image and
segment again after "No image uploaded"; of any status but 200 it shows the number.

Forms come with `Content-Encoding: gzip`, which they are not. Corners of a box come in any order and may lie outside the
image; both are part of the box. Four addresses are those of nnInteractive's own dialect, whose viewers name a lease.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Coroutine
from io import BytesIO
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from segmend.core.image import Box, Image, Index, MaskArray, bounds, whole
from segmend.core.prompts import Click, Drawn, Prompt
from segmend.errors import ForbiddenError, LimitError, NotFoundError, UserError
from segmend.io.intensities import check_finite, to_native
from segmend.server.bodies import json_body
from segmend.server.protocols.lassos import lasso_of
from segmend.server.protocols.requests import MOST_ALONG, box_prompt, flag, index_in, numbers
from segmend.server.protocols.visits import LeaseError, session_of
from segmend.server.protocols.whole_masks import WAIT_SECONDS, form_of, mask_after, shape_of
from segmend.server.replies import UnreadableError, problem
from segmend.server.sessions.sessions import open_session
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store.visitors import Lease
from segmend.store.voxels import DAMAGED

DIALECT = "slicer-legacy"
LEASE = b"x-lease-token"
# What makes the extension send the image and the segment again.
NO_IMAGE = "No image uploaded"
# Bytes of a NumPy file before its numbers.
HEADER_BYTES = 10_000


class LegacyRoute(APIRoute):
    """A route for requests that name no lease; refusals are told as the extension shows them."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and any(name == LEASE for name, _ in scope["headers"]):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_for_extension(request: Request) -> Response:
            told = request.app.state.shared.told
            try:
                return await handle(request)
            except (LeaseError, NotFoundError):
                return _refusal(NO_IMAGE)
            except UserError as error:
                if isinstance(error, ForbiddenError):
                    request.scope["state"]["forbidden"] = True  # for the audit, which no status tells it
                return _refusal(told(error))
            except UnreadableError as error:
                return _refusal(str(error))
            except HTTPException:  # a form that is damaged
                return _refusal("The form could not be read.")

        return handle_for_extension


router = APIRouter(include_in_schema=False, route_class=LegacyRoute)


def _refusal(sentence: str) -> Response:
    return JSONResponse({"status": "error", "message": sentence})


@router.post("/upload_image")
async def upload_image(request: Request, here: SharedNow, who: UserNow) -> Response:
    content, _ = await form_of(request, here)
    async with here.reading.turns:
        image = await run_in_threadpool(_image, content, here)
        lease = await run_in_threadpool(here.visits.lease_named, DIALECT, _name(request, who), who)
        await run_in_threadpool(here.visits.bring, lease, image, who)
    return JSONResponse({"status": "ok"})


@router.post("/upload_segment")
async def upload_segment(request: Request, here: SharedNow, who: UserNow) -> Response:
    content, _ = await form_of(request, here)
    lease = await run_in_threadpool(_lease, request, here, who)
    inside = await run_in_threadpool(_mask, content, await run_in_threadpool(shape_of, here, lease))
    lease, seed = await run_in_threadpool(here.visits.begin_with, lease, inside, who)
    if seed is not None:
        async with open_session(here, session_of(lease)) as opened:
            method = here.visits.seed_method(predict=False)
            _, future = await run_in_threadpool(here.visits.put, opened, lease, seed, method, who)
            await asyncio.wait([asyncio.wrap_future(future)], timeout=WAIT_SECONDS)
    return JSONResponse({"status": "ok"})


@router.post("/add_point_interaction")
async def add_point(request: Request, here: SharedNow, who: UserNow) -> Response:
    values = await json_body(request, here.settings.max_body_bytes)
    if "voxel_coord" not in values:
        return _of_the_other_dialect()
    point, positive = numbers(values["voxel_coord"], "voxel_coord"), flag(values, "positive_click")

    def prompt(shape: Index) -> Prompt | None:
        index = index_in(point, shape)
        return None if index is None else Click(index, positive)

    return await _interact(request, here, who, prompt)


@router.post("/add_bbox_interaction")
async def add_bbox(request: Request, here: SharedNow, who: UserNow) -> Response:
    values = await json_body(request, here.settings.max_body_bytes)
    if "outer_point_one" not in values:
        return _of_the_other_dialect()
    corners = [numbers(values.get(name), name) for name in ("outer_point_one", "outer_point_two")]
    positive = flag(values, "positive_click")

    def prompt(shape: Index) -> Prompt | None:
        ends = [sorted((round(one), round(other))) for one, other in zip(*corners, strict=True)]
        box = Box.of([low for low, _ in ends], [high + 1 for _, high in ends]).clipped(shape)
        return box_prompt(box, positive=positive) if box.size else None

    return await _interact(request, here, who, prompt)


@router.post("/add_scribble_interaction")
async def add_scribble(request: Request, here: SharedNow, who: UserNow) -> Response:
    return await _interact_by_voxels(
        request, here, who, lambda inside, low, positive: Drawn(inside, low, positive=positive)
    )


@router.post("/add_lasso_interaction")
async def add_lasso(request: Request, here: SharedNow, who: UserNow) -> Response:
    return await _interact_by_voxels(
        request, here, who, lambda inside, low, positive: lasso_of(inside, low, positive=positive)
    )


def _of_the_other_dialect() -> Response:
    return problem(410, "This connection has ended; connect again.")


async def _interact_by_voxels(
    request: Request, here: Shared, who: str, made: Callable[[MaskArray, Index, bool], Prompt]
) -> Response:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return _of_the_other_dialect()
    content, fields = await form_of(request, here)
    if fields.get("positive_click") not in ("True", "False", "true", "false"):
        raise UnreadableError("'positive_click' needs True or False.")
    positive = fields["positive_click"].lower() == "true"
    lease = await run_in_threadpool(_lease, request, here, who)
    inside = await run_in_threadpool(_mask, content, await run_in_threadpool(shape_of, here, lease))
    drawn = bounds(inside)

    def prompt(_: Index) -> Prompt | None:
        return None if drawn is None else made(inside[drawn.slices], drawn.low, positive)

    return await _interact(request, here, who, prompt)


async def _interact(request: Request, here: Shared, who: str, made: Callable[[Index], Prompt | None]) -> Response:
    """Put down the prompt that is made for the image's shape, and return the mask; None changes nothing."""
    _, mask = await mask_after(here, await run_in_threadpool(_lease, request, here, who), who, made)
    return await run_in_threadpool(_reply, mask)


def _reply(mask: MaskArray) -> Response:
    """Return the whole mask of the object."""
    body = gzip.compress(np.packbits(mask).tobytes(), 1)
    return Response(body, media_type="application/octet-stream", headers={"Content-Encoding": "gzip"})


# Who asks, and what came


def _name(request: Request, who: str) -> str:
    """Return what stands for a connection: its user, or its address."""
    return f"user {who}" if who else f"at {request.client.host if request.client is not None else 'unknown'}"


def _lease(request: Request, here: Shared, who: str) -> Lease:
    lease = here.visits.lease(f"{DIALECT} {_name(request, who)}", who)
    session_of(lease)
    return lease


def _image(content: bytes, here: Shared) -> Image:
    limits = here.reading.limits()
    voxels = _array(content)
    if voxels.ndim != 3 or voxels.size == 0 or max(voxels.shape) > MOST_ALONG:
        raise UnreadableError(f"An image needs 3 axes of 1 to {MOST_ALONG} voxels; got shape {voxels.shape}.")
    if voxels.nbytes > limits.max_bytes:
        raise LimitError(f"An image may have {limits.max_bytes} bytes here; this one has {voxels.nbytes}.")
    return Image(check_finite(to_native(voxels[None]), "The image"), axes="zyx")


def _mask(content: bytes, shape: Index) -> MaskArray:
    """Return a mask in a NumPy file that gzip has packed, which needs this shape."""
    room = HEADER_BYTES + 8 * whole(shape).size
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(content, room + 1)
    except zlib.error:
        raise UnreadableError("The mask is not packed by gzip.") from None
    if len(unpacked) > room:
        raise LimitError(f"A mask here may unpack to {room} bytes; this one is larger.")
    inside = _array(unpacked)
    if inside.shape != shape:
        raise UnreadableError(f"A mask here needs shape {list(shape)}; got {list(inside.shape)}.")
    return np.asarray(inside != 0)


def _array(content: bytes) -> NDArray[Any]:
    """Return the array in a NumPy file, which lies in the content itself: a file that claims more is damaged."""
    file = BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_columns, kind = read(file, max_header_size=HEADER_BYTES)
        if kind.kind not in "biuf" or kind.itemsize > 8 or min(shape, default=1) < 0:
            raise UnreadableError(f"A NumPy file needs numbers; got {kind}.")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if count * kind.itemsize != len(content) - file.tell():
            raise UnreadableError(f"A NumPy file of shape {list(shape)} needs another length than it has.")
        flat = np.frombuffer(content, kind, count, file.tell())
        return flat.reshape(shape, order="F" if by_columns else "C")
    except DAMAGED:
        raise UnreadableError("The file is no NumPy file, or damaged.") from None
