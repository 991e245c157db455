"""The dialect of nnInteractive 2.5 and 2.6, as 3D Slicer's extension, napari's plugin and `nninteractive-client` speak
it.

A viewer claims a lease, sends an image and the type of its mask, and then one prompt after the other; each is answered
with the box of the mask that changed. Axes come in the order of the viewer's array and are taken for (z, y, x): nobody
says which is which. Arrays travel as `nnia` has them, and what belongs to them as JSON in the header X-Meta.

A viewer shows its user hardly anything of a refusal but its status, and takes each for something else: 404 for no such
server, 410 for a connection that has ended, 503 for a server that is full (the one whose sentence is shown). So what is
wrong with a request is 400, whatever it is elsewhere, and what a person can do by chance, such as a click beside the
image, is no error: nothing changes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from segmend import methods
from segmend.core.image import Box, Index, MaskArray, bounds, whole
from segmend.core.prompts import Click, Drawn, Prompt
from segmend.errors import ForbiddenError, LimitError, NotFoundError, PromptError, SettingsError, UserError
from segmend.server.bodies import Json, json_body
from segmend.server.protocols import nnia
from segmend.server.protocols.bodies import received
from segmend.server.protocols.lassos import lasso_of
from segmend.server.protocols.requests import (
    META,
    box_of,
    box_prompt,
    ends_of,
    flag,
    image_of,
    index_in,
    inside_of,
    mask_type,
    meta_of,
    numbers,
    sides,
    spacing_of,
)
from segmend.server.protocols.visits import IDLE, SILENT, FullError, LeaseError, Unseen, session_of
from segmend.server.replies import UnreadableError, problem
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.sessions import POLL_SECONDS, open_session
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store.visitors import Lease

DIALECT = "nninteractive"
# The version of nnInteractive whose routes these are.
SPOKEN = "2.6.0"
LEASE = "X-Lease-Token"
PACKED = "application/octet-stream"
# A viewer waits 60 seconds: before that an answer ends with its first part, and then with what there is.
CURTAIL_SECONDS, GIVE_UP_SECONDS = 45.0, 55.0
# How often to look whether prompts that were only put down are answered.
LOOK_SECONDS = 0.02
Token = Annotated[str | None, Header(alias=LEASE)]
NOTHING = Unseen(Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), bool), changed=False)


class ViewersRoute(APIRoute):
    """A route whose refusals have the statuses that viewers understand."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_for_viewer(request: Request) -> Response:
            told = request.app.state.shared.told
            try:
                return await handle(request)
            except (LeaseError, NotFoundError) as error:  # the image or its session was deleted
                return problem(410, told(error))
            except FullError as error:
                return JSONResponse({"detail": told(error)}, 503, {"Retry-After": "10"})
            except SettingsError as error:
                return problem(503, told(error))
            except LimitError as error:
                return problem(413, told(error))
            except ForbiddenError as error:
                return problem(403, told(error))
            except UserError as error:
                return problem(400, told(error))

        return handle_for_viewer


router = APIRouter(include_in_schema=False, route_class=ViewersRoute)


# The connection


@router.get("/healthz")
async def healthz() -> Response:
    return JSONResponse({"ok": True})


@router.get("/capabilities")
def capabilities(here: SharedNow) -> Response:
    card = methods.card(here.settings.method)
    takes = {
        "points": "click" in card.prompts,
        "bbox2d": "box" in card.prompts,
        "bbox3d": "box" in card.prompts,
        "scribble": "drawn" in card.prompts or "stroke" in card.prompts,
        "lasso": "lasso" in card.prompts,
    }
    return JSONResponse(
        {
            "supported_interactions": takes,
            "channel_mapping": {"prev_seg": 0, **{name: [2 * i + 1, 2 * i + 2] for i, name in enumerate(takes)}},
            "num_interaction_channels": 1 + 2 * len(takes),
            "supports_initial_label": True,
            "supports_zero_shot_label_refinement": card.refines,
            "preferred_scribble_thickness": [1, 1, 1],
            "interaction_decay": None,  # no mark is ever forgotten
            "patch_size": [192, 192, 192],
            "do_autozoom": True,
            "inference_session_version": SPOKEN,
            "license": f"{card.title}, by Segmend; for research, not for clinical use",
            "supports_undo": True,
        }
    )


@router.post("/claim")
def claim(here: SharedNow, who: UserNow) -> Response:
    nnia.blosc2()
    return JSONResponse(
        {
            "lease_token": here.visits.claim(DIALECT, who),
            "idle_timeout_seconds": IDLE.total_seconds(),
            "liveness_timeout_seconds": SILENT.total_seconds(),
            "max_sessions": here.settings.viewers_at_once,
        }
    )


@router.post("/release")
def release(here: SharedNow, who: UserNow, token: Token = None) -> Response:
    here.visits.release(token, who)
    return JSONResponse({"released": True})


@router.post("/heartbeat")
def heartbeat(here: SharedNow, who: UserNow, token: Token = None) -> Response:
    return JSONResponse({"remaining_seconds": _remaining(here.visits.lease(token, who, used=False))})


@router.get("/lease_status")
def lease_status(here: SharedNow, who: UserNow, token: Token = None) -> Response:
    remaining = _remaining(here.visits.lease(token, who, used=False))
    return JSONResponse({"remaining_seconds": remaining, "idle_timeout_seconds": IDLE.total_seconds()})


def _remaining(lease: Lease) -> float:
    return max(0.0, IDLE.total_seconds() - (time.time() - lease.used.timestamp()))


# The image and its mask


@router.post("/set_image")
async def set_image(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    spacing = spacing_of(meta_of(request))
    most = here.settings.max_upload_bytes
    async with received(request, most_bytes=most, folder=here.settings.data) as body, here.reading.turns:
        image = await run_in_threadpool(image_of, body, spacing, here.reading.limits())
        await run_in_threadpool(here.visits.bring, lease, image, who)
    return JSONResponse({"original_image_shape": list(image.voxels.shape)})


@router.post("/set_target_buffer")
async def set_target_buffer(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    values = await json_body(request, here.settings.max_body_bytes)
    shape, name = sides(values.get("shape")), mask_type(values.get("dtype"))
    if lease.session is not None and shape != (own := await run_in_threadpool(_shape, here, lease)):
        raise UnreadableError(f"The mask of an image of shape {list(own)} needs that shape; got {list(shape)}.")
    await run_in_threadpool(here.visits.send_as, lease, name)
    return JSONResponse({})


def _shape(here: Shared, lease: Lease) -> Index:
    with here.sessions.open(session_of(lease)) as opened:
        return opened.session.shape


@router.post("/set_do_autozoom")
async def set_do_autozoom(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    """Take note of nothing: an answer reaches as far as the object does, whatever this says."""
    await run_in_threadpool(here.visits.lease, token, who)
    flag(await json_body(request, here.settings.max_body_bytes), "do_autozoom")
    return JSONResponse({})


@router.post("/reset_interactions")
def reset_interactions(here: SharedNow, who: UserNow, token: Token = None) -> Response:
    here.visits.next_object(here.visits.lease(token, who))
    return JSONResponse({})


# Prompts


@router.post("/add_point_interaction")
async def add_point(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    values = await json_body(request, here.settings.max_body_bytes)
    point = numbers(values.get("coordinates"), "coordinates")
    positive, run = flag(values, "include_interaction"), flag(values, "run_prediction", default=True)

    def prompt(shape: Index) -> Prompt | None:
        index = index_in(point, shape)
        return None if index is None else Click(index, positive)

    return await _interact(request, here, lease, who, prompt, run=run)


@router.post("/add_bbox_interaction")
async def add_bbox(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    values = await json_body(request, here.settings.max_body_bytes)
    ends = ends_of(values.get("bbox_coords"), "bbox_coords")
    positive, run = flag(values, "include_interaction"), flag(values, "run_prediction", default=True)
    if any(low == high for low, high in ends):
        raise PromptError(f"'bbox_coords' needs a box that is not empty; got {[list(pair) for pair in ends]}.")

    def prompt(shape: Index) -> Prompt | None:
        box = box_of(ends, shape)
        return None if box is None else box_prompt(box, positive=positive)

    return await _interact(request, here, lease, who, prompt, run=run)


@router.post("/add_scribble_interaction")
async def add_scribble(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    return await _interact_by_voxels(request, here, lease, who, _scribble)


@router.post("/add_lasso_interaction")
async def add_lasso(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    return await _interact_by_voxels(request, here, lease, who, lasso_of)


def _scribble(inside: MaskArray, low: Index, *, positive: bool) -> Prompt:
    return Drawn(inside, low, positive)


async def _interact_by_voxels(
    request: Request, here: Shared, lease: Lease, who: str, made: Callable[..., Prompt]
) -> Response:
    """Answer a prompt that comes as the voxels it covers, of the whole image or of a box of it."""
    meta = meta_of(request)
    positive, run = flag(meta, "include_interaction"), flag(meta, "run_prediction", default=True)
    place = None if meta.get("interaction_bbox") is None else ends_of(meta["interaction_bbox"], "interaction_bbox")
    shape = await run_in_threadpool(_shape, here, lease)
    box = whole(shape) if place is None else Box.of(*zip(*([round(a), round(b)] for a, b in place), strict=True))
    if box.size == 0 or box.clipped(shape) != box:
        raise PromptError(f"'interaction_bbox' needs a box inside the image of shape {shape}; got {box}.")
    async with received(request, most_bytes=here.settings.max_body_bytes, folder=here.settings.data) as body:
        inside = await run_in_threadpool(inside_of, body, box.shape)
    drawn = bounds(inside)

    def prompt(_: Index) -> Prompt | None:
        if drawn is None:
            return None
        return made(inside[drawn.slices], drawn.moved(box.low).low, positive=positive)

    return await _interact(request, here, lease, who, prompt, run=run)


@router.post("/add_initial_seg_interaction")
async def add_initial_seg(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    run = flag(meta_of(request), "run_prediction", default=False)
    shape = await run_in_threadpool(_shape, here, lease)
    async with received(request, most_bytes=here.settings.max_body_bytes, folder=here.settings.data) as body:
        inside = await run_in_threadpool(inside_of, body, shape)
    lease, seed = await run_in_threadpool(here.visits.begin_with, lease, inside, who)
    if seed is None:
        return _reply(NOTHING, lease, ran=False)
    async with _opened(here, lease) as opened:
        method = here.visits.seed_method(predict=run)
        _, future = await run_in_threadpool(here.visits.put, opened, lease, seed, method, who)
        await _answered(opened, future, request)
        if not run:
            return _reply(NOTHING, lease, ran=False)
        return await run_in_threadpool(_reply_with, here, opened, lease)


@router.post("/undo")
async def undo(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    lease = await run_in_threadpool(here.visits.lease, token, who)
    if lease.session is None:
        return _reply(NOTHING, lease, ran=False)
    async with _opened(here, lease) as opened:
        taken = await run_in_threadpool(here.visits.undo, opened, lease, who)
        if taken is None:
            return _reply(NOTHING, lease, ran=False)
        await _answered(opened, taken[1], request, taken[0])
        return await run_in_threadpool(_reply_with, here, opened, lease)


@router.post("/predict")
async def predict(request: Request, here: SharedNow, who: UserNow, token: Token = None) -> Response:
    """Wait for the answers to what was put down without being waited for."""
    lease = await run_in_threadpool(here.visits.lease, token, who)
    flag(await json_body(request, here.settings.max_body_bytes, optional=True), "force_full_refine", default=False)
    if lease.session is None:
        return _reply(NOTHING, lease, ran=False)
    async with _opened(here, lease) as opened:
        end = time.monotonic() + GIVE_UP_SECONDS
        while opened.session.pending and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        unseen = await run_in_threadpool(here.visits.unseen, opened, lease)
        return await run_in_threadpool(_reply, unseen if unseen.changed else NOTHING, lease, ran=unseen.changed)


async def _interact(
    request: Request, here: Shared, lease: Lease, who: str, made: Callable[[Index], Prompt | None], *, run: bool
) -> Response:
    """Put down the prompt that is made for the image's shape, and answer it; None lies outside and changes nothing."""
    prompt = made(await run_in_threadpool(_shape, here, lease))
    if prompt is None:
        return _reply(NOTHING, lease, ran=run)
    lease = await run_in_threadpool(here.visits.place, lease, prompt, who)
    async with _opened(here, lease) as opened:
        method = here.settings.method
        position, future = await run_in_threadpool(here.visits.put, opened, lease, prompt, method, who)
        if not run:
            return _reply(NOTHING, lease, ran=False)
        await _answered(opened, future, request, position)
        return await run_in_threadpool(_reply_with, here, opened, lease)


def _opened(here: Shared, lease: Lease) -> AbstractAsyncContextManager[OpenSession]:
    return open_session(here, session_of(lease))


async def _answered(opened: OpenSession, future: Future[Any], request: Request, position: int | None = None) -> None:
    """Wait for an answer, for as long as the viewer does."""
    waiting = asyncio.wrap_future(future)
    begun = time.monotonic()
    while not (await asyncio.wait([waiting], timeout=POLL_SECONDS))[0]:
        waited = time.monotonic() - begun
        if position is not None and (waited > CURTAIL_SECONDS or await request.is_disconnected()):
            opened.curtail(position)
        if waited > GIVE_UP_SECONDS:
            return
    await waiting


# Replies and what they are made of


def _reply_with(here: Shared, opened: OpenSession, lease: Lease) -> Response:
    return _reply(here.visits.unseen(opened, lease), lease, ran=True)


def _reply(unseen: Unseen, lease: Lease, *, ran: bool) -> Response:
    """Return the part of the mask that changed; nothing where it is empty, which viewers cannot unpack."""
    meta: Json = {"ran_prediction": ran, "bbox": None}
    body = b""
    if unseen.box.size:
        numbers = unseen.mask.astype(lease.buffer)
        ends = zip(unseen.box.low, unseen.box.high, strict=True)
        meta = {
            "ran_prediction": ran,
            "bbox": [list(pair) for pair in ends],
            "dtype": lease.buffer,
            "shape": list(numbers.shape),
        }
        body = nnia.pack(numbers)
    return Response(body, media_type=PACKED, headers={META: json.dumps(meta, separators=(",", ":"))})
