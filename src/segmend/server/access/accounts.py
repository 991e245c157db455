"""Routes on the people of a server, for admins of all projects: who may log in, how, and who is to do so no longer."""

from __future__ import annotations

import secrets
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse, Response

from segmend.errors import ForbiddenError
from segmend.server.access.auth import INVITATION_PAGE
from segmend.server.access.rights import AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import (
    EndedJson,
    InvitationJson,
    NewDisabledJson,
    NewPersonJson,
    NewRoleJson,
    PersonJson,
    RenewedInvitationJson,
    TokenJson,
)
from segmend.server.state import Shared, SharedNow
from segmend.store.records import Roles, User

router = APIRouter(prefix="/api/people", tags=["people"], responses=PROBLEMS, route_class=SmallBodyRoute)
# Bytes of a token that is drawn.
TOKEN_BYTES = 24


@router.get("", response_model=list[PersonJson], summary="Everybody who has an account")
def everybody(here: SharedNow) -> Response:
    roles, logins = here.store.accounts.roles_of_all(), here.logins.count()
    found = here.store.accounts.everybody()
    return JSONResponse([_to_json(one, roles.get(one.name, Roles(None, {})), logins[one.name]) for one in found])


@router.post(
    "",
    status_code=201,
    response_model=InvitationJson,
    summary="Add somebody, and tell the link, once, with which they choose a password",
)
def add(body: Annotated[NewPersonJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    accounts = here.store.by(access.user).accounts
    accounts.add(body.name, role=body.role, project=body.project)
    return _invitation(body.name, accounts.invite(body.name, days=body.days), body.days)


@router.post(
    "/{name}/invitation",
    status_code=201,
    response_model=InvitationJson,
    summary="Tell another link with which somebody chooses a password; the password that there is opens nothing then",
)
def invite_again(
    name: str, body: Annotated[RenewedInvitationJson, Body()], here: SharedNow, access: AccessNow
) -> Response:
    accounts = here.store.by(access.user).accounts
    if accounts.get(name).has_password:
        accounts.set_password(name, None)
    return _invitation(name, accounts.invite(name, days=body.days), body.days)


@router.put("/{name}/role", response_model=PersonJson, summary="Give somebody a role in all projects; null: none")
def set_role(name: str, body: Annotated[NewRoleJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    if name == access.user:
        raise ForbiddenError("One's own role is given by another admin.")
    here.store.by(access.user).accounts.set_role(name, body.role)
    return _person(here, name)


@router.put("/{name}/disabled", response_model=PersonJson, summary="Let somebody in no longer, or again")
def set_disabled(name: str, body: Annotated[NewDisabledJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    if name == access.user:
        raise ForbiddenError("One's own account is disabled by another admin.")
    here.store.by(access.user).accounts.disable(name, disabled=body.disabled)
    return _person(here, name)


@router.post(
    "/{name}/token",
    status_code=201,
    response_model=TokenJson,
    summary="Draw somebody a token for programs and viewers, and tell it, once; an older one opens nothing then",
)
def draw_token(name: str, here: SharedNow, access: AccessNow) -> Response:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    here.store.by(access.user).accounts.set_token(name, token)
    return JSONResponse({"name": name, "token": token}, 201)


@router.delete("/{name}/token", response_model=PersonJson, summary="Take somebody's token away")
def remove_token(name: str, here: SharedNow, access: AccessNow) -> Response:
    here.store.by(access.user).accounts.set_token(name, None)
    return _person(here, name)


@router.delete(
    "/{name}/logins",
    response_model=EndedJson,
    summary="End all logins of somebody's browsers, with their live connections; they may log in again",
)
def end_logins(name: str, here: SharedNow, access: AccessNow) -> Response:
    here.store.accounts.get(name)
    ended = here.logins.end_all_of(name)
    here.store.by(access.user).accounts.note_logins_ended(name, ended)
    return JSONResponse({"ended": ended})


def _person(here: Shared, name: str) -> Response:
    accounts = here.store.accounts
    return JSONResponse(_to_json(accounts.get(name), accounts.roles(name), here.logins.count()[name]))


def _to_json(user: User, roles: Roles, logins: int) -> dict[str, Any]:
    return {
        "name": user.name,
        "everywhere": roles.everywhere,
        "projects": dict(roles.projects),
        "disabled": user.disabled,
        "password": user.has_password,
        "token": user.has_token,
        "provider": user.linked,
        "logins": logins,
        "created": user.created.isoformat(),
    }


def _invitation(name: str, code: str, days: float) -> Response:
    return JSONResponse({"name": name, "path": f"{INVITATION_PAGE}?code={quote(code)}", "days": days}, 201)
