"""Routes on sessions: open, look at, and every event that the WebSocket takes too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend.core.session import Event, Redone, Removed, Undone
from segmend.server.audience import Answer
from segmend.server.bodies import Json, event_of, json_body
from segmend.server.open_session import OpenSession
from segmend.server.previews import Preview
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import (
    AnswerJson,
    CompareJson,
    EventJson,
    NewEditJson,
    NewLabelJson,
    NewPromptJson,
    SessionJson,
    StateJson,
    UncertainPlaceJson,
    body,
)
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.server.wire import pack

router = APIRouter(prefix="/api", tags=["sessions"], responses=PROBLEMS)
FRAME = "application/octet-stream"
ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {FRAME: {}}, "model": AnswerJson}}
Position = Annotated[int, Path(ge=0, le=2**31 - 1)]
Rank = Annotated[int, Query(ge=0, le=2**31 - 1, description="0: the most uncertain place, 1: the next")]

# How often to look whether a client that waits for an answer has gone.
POLL_SECONDS = 0.25


@router.post("/cases/{case}/sessions", status_code=201, response_model=StateJson, summary="Open a new session")
def create(case: str, here: SharedNow, who: UserNow) -> Response:
    record = here.store.add_session(case, user=who)
    with here.sessions.open(record.id) as opened:
        return JSONResponse(opened.state(), 201)


@router.get("/cases/{case}/sessions", response_model=list[SessionJson], summary="The sessions of a case")
def of_case(case: str, here: SharedNow) -> Response:
    records = here.store.sessions(case)
    return JSONResponse(
        [{"id": r.id, "case": r.case, "user": r.user, "created": r.created.isoformat()} for r in records]
    )


@router.get("/sessions/{session}", response_model=StateJson, summary="A session's labels and log")
def state(session: str, here: SharedNow) -> Response:
    with here.sessions.open(session) as opened:
        return JSONResponse(opened.state())


@router.get(
    "/sessions/{session}/map",
    summary="The label map's bounding box as one patch frame",
    response_class=Response,
    responses={200: {"content": {FRAME: {}}}},
)
def label_map(session: str, here: SharedNow) -> Response:
    with here.sessions.open(session) as opened:
        return Response(opened.frame(), media_type=FRAME)


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
)
async def compare(session: str, wanted: CompareJson, request: Request, here: SharedNow) -> Response:
    async with open_session(here, session) as opened:
        return await looked_at(await run_in_threadpool(opened.compare, wanted.label, wanted.method), request)


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
    """Return a preview as a patch frame; one that has not begun is called off when nobody waits for it."""
    waiting = asyncio.wrap_future(future)
    while not (await asyncio.wait([waiting], timeout=POLL_SECONDS))[0]:
        if await request.is_disconnected():
            future.cancel()
    if waiting.cancelled():
        return Response(status_code=204)
    found = await waiting
    return Response(await run_in_threadpool(pack, found.events, found.box, found.values), media_type=FRAME)


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
