"""Routes on sessions: open, look at, and every event that the WebSocket takes too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend import methods
from segmend.core.prompts import to_json
from segmend.core.session import MAX_LABEL, Defined, Deleted, Event, Redone, Removed, Session, Undone
from segmend.errors import ConflictError
from segmend.server.access.rights import AccessNow
from segmend.server.bodies import Json, compared_of, event_of, game_of, json_body
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import (
    AnswerJson,
    CompareJson,
    EventJson,
    NewEditJson,
    NewLabelJson,
    NewPromptJson,
    RobotJson,
    RobotStepJson,
    SessionJson,
    StateJson,
    UncertainPlaceJson,
    body,
)
from segmend.server.sessions.audience import Answer
from segmend.server.sessions.first_masks import asked_first_masks, first_mask_events, first_method
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.previews import Preview
from segmend.server.sessions.robots import Game
from segmend.server.sessions.wire import pack
from segmend.server.state import Shared, SharedNow, UserNow

router = APIRouter(prefix="/api", tags=["sessions"], responses=PROBLEMS)
FRAME = "application/octet-stream"
Found = TypeVar("Found")
ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {FRAME: {}}, "model": AnswerJson}}
Position = Annotated[int, Path(ge=0, le=2**31 - 1)]
Layer = Annotated[int, Query(ge=0, le=MAX_LABEL, description="of a label")]
Rank = Annotated[int, Query(ge=0, le=2**31 - 1, description="0: the most uncertain place, 1: the next")]

# How often to look whether a client that waits for an answer has gone.
POLL_SECONDS = 0.25


@router.post(
    "/cases/{case}/sessions",
    status_code=201,
    response_model=StateJson,
    summary="Open a new session, with the labels that its project begins with",
)
def create(case: str, here: SharedNow, who: UserNow) -> Response:
    with here.sessions.open(begin(here, case, who)) as opened:
        return JSONResponse(opened.state(), 201)


def begin(here: Shared, case: str, who: str) -> str:
    """Return a new session of a case, with the labels that its project begins with; of a reader the one there is."""
    labels = here.store.project(here.store.case(case).project).template
    read = here.store.readings.of_case(case)
    own = read.of(who) if read is not None and not read.is_over else None
    if own is not None and own.session is not None:
        return own.session
    record = here.store.add_session(case, user=who)
    if own is not None and here.store.readings.session_of(case, who, record.id) != record.id:
        raise ConflictError("This reading was begun meanwhile; open the case again.")
    known = here.store.case(case)
    events: list[Event] = [Defined(label, joined=i > 0) for i, label in enumerate(labels)]
    card = first_method(here, known) if own is None else None  # who reads it again is not led
    if card is not None:
        events += first_mask_events(Session(known.shape, tuple(events)), card)
    for position, event in enumerate(events):
        here.store.append(record.id, position, event, user=who)
    return record.id


@router.get("/cases/{case}/sessions", response_model=list[SessionJson], summary="The sessions of a case")
def of_case(case: str, here: SharedNow, access: AccessNow) -> Response:
    project, read = here.store.case(case).project, here.store.readings.of_case(case)
    records = [record for record in here.store.sessions(case) if access.sees(read, project, record)]
    return JSONResponse(
        [{"id": r.id, "case": r.case, "user": r.user, "created": r.created.isoformat()} for r in records]
    )


@router.get("/sessions/{session}", response_model=StateJson, summary="A session's labels and log")
def state(session: str, here: SharedNow) -> Response:
    with here.sessions.open(session) as opened:
        return JSONResponse(opened.state())


@router.get(
    "/sessions/{session}/map",
    summary="The label map's bounding box as one patch frame; where labels may share voxels, each layer has a map",
    response_class=Response,
    responses={200: {"content": {FRAME: {}}}},
)
def label_map(session: str, here: SharedNow, layer: Layer = 0) -> Response:
    with here.sessions.open(session) as opened:
        return Response(opened.frame(layer), media_type=FRAME)


@router.get(
    "/sessions/{session}/uncertain",
    response_model=UncertainPlaceJson,
    summary="Where the last answer is uncertain, one place after the other",
)
def uncertain_place(session: str, here: SharedNow, rank: Rank = 0) -> Response:
    with here.sessions.open(session) as opened:
        uncertainty_map, place, inside = opened.uncertain_place(rank)
        found = {"position": uncertainty_map.position, "label": uncertainty_map.label, "rank": rank}
        return JSONResponse({**found, "place": place, "inside": inside})


@router.post(
    "/sessions/{session}/events",
    response_model=AnswerJson,
    responses=ANSWER,
    summary="Any event; waits for its answer",
    openapi_extra=body(EventJson),
)
async def event(session: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        values = await json_body(request, here.settings.max_body_bytes)
        given = await run_in_threadpool(event_of, values, opened.session.shape, method=here.settings.method)
        return await accept_and_wait(opened, given, request, who)


@router.post(
    "/sessions/{session}/preview",
    response_class=Response,
    responses={200: {"content": {FRAME: {}}}},
    summary="What an event would change, as a patch frame; nothing is stored",
    openapi_extra=body(EventJson),
)
async def preview(session: str, request: Request, here: SharedNow) -> Response:
    async with open_session(here, session) as opened:
        values = await json_body(request, here.settings.max_body_bytes)
        given = await run_in_threadpool(event_of, values, opened.session.shape, method=here.settings.method)
        return await looked_at(await run_in_threadpool(opened.preview, given), request)


@router.post(
    "/sessions/{session}/compare",
    response_class=Response,
    responses={200: {"content": {FRAME: {}}}},
    summary="What another method makes of a label's marks, as a patch frame; nothing is stored",
    openapi_extra=body(CompareJson),
)
async def compare(session: str, request: Request, here: SharedNow) -> Response:
    async with open_session(here, session) as opened:
        label, method = compared_of(await json_body(request, here.settings.max_body_bytes))
        return await looked_at(await run_in_threadpool(opened.compare, label, method), request)


@router.post(
    "/sessions/{session}/robot",
    response_model=RobotStepJson,
    summary="The next mark of a robot that knows a label's right mask, and what comes of it; nothing is stored",
    openapi_extra=body(RobotJson),
)
async def robot(session: str, request: Request, here: SharedNow) -> Response:
    async with open_session(here, session) as opened:
        values = await json_body(request, here.settings.max_body_bytes)
        label, method = compared_of({"method": here.settings.method, **values})
        prompts, mask = await run_in_threadpool(game_of, values, opened.session.shape)
        game = Game(label, methods.card(method), prompts, mask)
        step = await waited_for(await run_in_threadpool(opened.play, game), request)
        if step is None:
            return Response(status_code=204)
        told = {"prompt": None if step.prompt is None else to_json(step.prompt), "mask": to_json(step.mask)}
        return JSONResponse({**told, "dice": step.dice})


@router.put(
    "/sessions/{session}/labels/{value}",
    response_model=AnswerJson,
    responses=ANSWER,
    summary="Define, rename, recolour, lock or unlock a label",
    openapi_extra=body(NewLabelJson),
)
async def label(session: str, value: Position, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        values = await json_body(request, here.settings.max_body_bytes)
        defined = event_of({"event": "defined", "label": {**values, "value": value}}, opened.session.shape, method="")
        return await accept_and_wait(opened, defined, request, who)


@router.delete(
    "/sessions/{session}/labels/{value}",
    response_model=AnswerJson,
    responses=ANSWER,
    summary="Delete a label with its mask and its marks",
)
async def delete_label(session: str, value: Position, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        return await accept_and_wait(opened, Deleted(value), request, who)


@router.post(
    "/sessions/{session}/prompts",
    response_model=AnswerJson,
    responses=ANSWER,
    summary="Put down a prompt; waits for its answer",
    openapi_extra=body(NewPromptJson),
)
async def prompt(session: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        values: Json = {**await json_body(request, here.settings.max_body_bytes), "event": "prompted"}
        if not values.get("method"):
            values["method"] = here.settings.method
        given = await run_in_threadpool(event_of, values, opened.session.shape, method=here.settings.method)
        return await accept_and_wait(opened, given, request, who)


@router.post(
    "/sessions/{session}/edits",
    response_model=AnswerJson,
    responses=ANSWER,
    summary="Edit a label's mask by hand or by rule, without a method; waits for its answer",
    openapi_extra=body(NewEditJson),
)
async def edit(session: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        values: Json = {**await json_body(request, here.settings.max_body_bytes), "event": "edited"}
        given = await run_in_threadpool(event_of, values, opened.session.shape, method="")
        return await accept_and_wait(opened, given, request, who)


@router.post(
    "/sessions/{session}/first-masks",
    response_model=StateJson,
    summary="Ask the method that the case's project names for first masks; returns before they are there",
)
def first_masks(session: str, here: SharedNow, who: UserNow) -> Response:
    with here.sessions.open(session) as opened:
        opened.check_markable()
        for event in asked_first_masks(here, opened.session, here.store.case(opened.case)):
            opened.accept(event, user=who)
        return JSONResponse(opened.state())


@router.delete(
    "/sessions/{session}/prompts/{event}",
    response_model=AnswerJson,
    responses=ANSWER,
    summary="Take an earlier prompt or edit away; its label is worked out again without it",
)
async def remove(session: str, event: Position, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        return await accept_and_wait(opened, Removed(event), request, who)


@router.post("/sessions/{session}/undo", response_model=AnswerJson, responses=ANSWER, summary="Undo the last event")
async def undo(session: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        return await accept_and_wait(opened, Undone(), request, who)


@router.post("/sessions/{session}/redo", response_model=AnswerJson, responses=ANSWER, summary="Redo what was undone")
async def redo(session: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    async with open_session(here, session) as opened:
        return await accept_and_wait(opened, Redone(), request, who)


@asynccontextmanager
async def open_session(here: Shared, session: str) -> AsyncIterator[OpenSession]:
    """Lend an open session to a coroutine; opening it happens off the event loop."""
    manager = here.sessions.open(session)
    opened = await run_in_threadpool(manager.__enter__)
    try:
        yield opened
    finally:
        await run_in_threadpool(manager.__exit__, None, None, None)


async def looked_at(future: Future[Preview], request: Request) -> Response:
    """Return a preview as a patch frame."""
    found = await waited_for(future, request)
    if found is None:
        return Response(status_code=204)
    return Response(await run_in_threadpool(pack, found.events, found.box, found.values, found.layer), media_type=FRAME)


async def waited_for(future: Future[Found], request: Request) -> Found | None:
    """Return what comes of work; None where it had not begun when its client went, and was called off."""
    waiting = asyncio.wrap_future(future)
    while not (await asyncio.wait([waiting], timeout=POLL_SECONDS))[0]:
        if await request.is_disconnected():
            future.cancel()
    return None if waiting.cancelled() else await waiting


async def accept_and_wait(opened: OpenSession, event: Event, request: Request, who: str) -> Response:
    """Return what came of an event: JSON, or a patch frame for who asks for bytes."""
    position, future = await run_in_threadpool(opened.accept, event, user=who)
    waiting = asyncio.wrap_future(future)
    while not (await asyncio.wait([waiting], timeout=POLL_SECONDS))[0]:
        if await request.is_disconnected():
            opened.curtail(position)
    answer: Answer = await waiting
    if FRAME in request.headers.get("accept", ""):
        return Response(await run_in_threadpool(opened.frame_of, answer), media_type=FRAME)
    return JSONResponse(
        {
            "position": answer.position,
            "milliseconds": answer.milliseconds,
            "quality": answer.quality,
            "finetuned": answer.finetuned,
            "withdrawn": answer.withdrawn,
            "covered_by": answer.covered_by,
            "state": opened.light_state(),
        }
    )
