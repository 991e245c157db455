"""Routes on the server itself: health, methods, formats."""

from __future__ import annotations

import importlib.metadata

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend import methods
from segmend.results.kinds import KINDS
from segmend.results.training import FOLDERS
from segmend.runtime.budget import resident_bytes
from segmend.server.access.auth import cookie_name
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import FormatJson, HealthJson, MethodJson
from segmend.server.state import SharedNow, UserNow, shared

router = APIRouter(prefix="/api", tags=["server"], responses=PROBLEMS)


@router.get("/health", response_model=HealthJson, summary="Is the server there; the one route that needs no token")
async def health(request: Request) -> Response:
    here = shared(request)
    read_only = await run_in_threadpool(lambda: here.store.read_only is not None)
    memory = here.sessions.memory
    return JSONResponse(
        {
            "status": "ok",
            "version": importlib.metadata.version("segmend"),
            "ready": here.ready.is_set(),
            "read_only": read_only,
            "memory": {
                "limit_bytes": memory.limit_bytes,
                "kept_bytes": memory.size_bytes,
                "resident_bytes": resident_bytes(),
            },
        }
    )


@router.get("/methods", response_model=list[MethodJson], summary="The installed methods")
def installed(here: SharedNow) -> Response:
    weights = here.settings.weights
    method, offered = here.settings.method, methods.cards()
    if methods.family_of(method) != method:  # a variant: the menu has it beside its method
        offered = tuple(sorted((*offered, methods.card(method)), key=lambda one: one.id))
    return JSONResponse(
        [
            {
                "id": card.id,
                "title": card.title,
                "paper": card.paper,
                "good_for": card.good_for,
                "prompts": list(card.prompts),
                "dimensions": list(card.dimensions),
                "weights": card.weights,
                "refines": card.refines,
                "guesses": card.guesses,
                "finetunes": card.finetunes,
                "calibrated": list(card.calibrated),
                "intervals": {
                    str(dimensions): [{"expected": at, "low": low, "high": high} for at, low, high in found]
                    for dimensions, found in card.intervals
                },
                "labels": [{"value": value, "name": name} for value, name in card.labels],
            }
            for card in (methods.card(one.id, weights.get(methods.family_of(one.id))) for one in offered)
        ]
    )


@router.get("/formats", response_model=list[FormatJson], summary="What results can be written as")
def formats() -> Response:
    found = [
        {"suffix": kind.suffix, "title": kind.title, "group": kind.group, "of": kind.of, "flat": kind.of == "picture"}
        for kind in KINDS.values()
    ]
    folders = [
        {"suffix": name, "title": title, "group": "training", "of": "any", "flat": False}
        for name, title in FOLDERS.items()
    ]
    return JSONResponse([*found, *folders])


@router.post("/logout", status_code=204, summary="End this browser's login; the token opens the server again")
def logout(request: Request, here: SharedNow, who: UserNow) -> Response:
    login = request.scope["state"].get("login")
    if login is not None:
        here.logins.end(login)
        here.looks.note_logout(who)
    response = Response(status_code=204)
    path = f"{here.settings.root_path}/"
    response.delete_cookie(cookie_name(here.settings), path=path, httponly=True, samesite="strict")
    return response
