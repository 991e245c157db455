"""Routes on people: who asks and what they may; for admins who is in a project, and invitations."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse, Response

from segmend.errors import ForbiddenError
from segmend.server.access.auth import INVITATION_PAGE
from segmend.server.access.rights import Access, AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import InvitationJson, MeJson, MemberJson, NewInvitationJson, NewRoleJson
from segmend.server.state import SharedNow
from segmend.store.records import Member

router = APIRouter(prefix="/api", tags=["people"], responses=PROBLEMS, route_class=SmallBodyRoute)


@router.get("/me", response_model=MeJson, summary="Who asks, and what they may")
def me(here: SharedNow, access: AccessNow) -> Response:
    roles = access.roles
    told = {"name": access.user, "everywhere": roles.everywhere, "projects": dict(roles.projects)}
    return JSONResponse({**told, "alone": not access.user and not here.store.accounts.are_there()})


@router.get("/projects/{project}/members", response_model=list[MemberJson], summary="Who has a role in a project")
def members(project: str, here: SharedNow) -> Response:
    return JSONResponse([member_to_json(one) for one in here.store.accounts.members(project)])


def member_to_json(member: Member) -> dict[str, Any]:
    """Return somebody with their role in a project as plain JSON values."""
    user = member.user
    return {
        "name": user.name,
        "role": member.role,
        "everywhere": user.role,
        "disabled": user.disabled,
        "invited": not user.has_password and not user.has_token and not user.linked,
    }


@router.put(
    "/projects/{project}/members/{name}",
    response_model=list[MemberJson],
    summary="Give somebody a role in a project; null takes it away",
)
def set_role(
    project: str, name: str, body: Annotated[NewRoleJson, Body()], here: SharedNow, access: AccessNow
) -> Response:
    if name == access.user and access.roles.everywhere != "admin":
        raise ForbiddenError("One's own role is given by another admin.")
    here.store.by(access.user).accounts.set_role(name, body.role, project=project)
    return members(project, here)


@router.post(
    "/projects/{project}/invitations",
    status_code=201,
    response_model=InvitationJson,
    summary="Invite somebody to a project: the link, once, with which they choose a password",
)
def invite(project: str, body: Annotated[NewInvitationJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    accounts = here.store.by(access.user).accounts
    known = next((user for user in accounts.everybody() if user.name == body.name), None)
    if known is None:
        accounts.add(body.name, role=body.role, project=project)
    else:
        _check_own(access, body.name)
        accounts.set_role(body.name, body.role, project=project)
    code = accounts.invite(body.name, days=body.days)
    return JSONResponse({"name": body.name, "path": f"{INVITATION_PAGE}?code={quote(code)}", "days": body.days}, 201)


def _check_own(access: Access, name: str) -> None:
    """Refuse to invite somebody again who has a role where this person is no admin: the link would open that, too."""
    roles = access.store.accounts.roles(name)
    elsewhere = [project for project in roles.projects if not access.roles.may("admin", project)]
    if access.roles.everywhere != "admin" and (roles.everywhere is not None or elsewhere):
        raise ForbiddenError(f"{name} has roles in other projects; an admin of all projects may invite them again.")
