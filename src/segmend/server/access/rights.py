"""Who may do what: for every route, and every kind of message of a live connection, the role that it needs and where.

This is the one place where roles are enforced. `check_right` runs before every route, looks the route up in `RIGHTS`
and refuses with 403 and a sentence; a route that is not in the table is refused to everybody who has a name. What is
refused to somebody, here or in a route, the gate has the audit say (`auth`). Whoever uses the server without an
account, by its own token or as the account that runs it, may do everything.

Where a request names its project only in its body or its query, the table says `asked`: the route is for who has the
role in any project, and the route itself asks `Access.check` about the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple, cast

from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from segmend.errors import ForbiddenError
from segmend.server.access.looks import OPENING, key_in
from segmend.server.state import Shared, shared, user
from segmend.store import CaseRecord, SessionRecord, Store
from segmend.store.records import EVERYTHING_ALLOWED, Read, Role, Roles, is_at_least
from segmend.store.visitors import VIEWERS

# Where a role is needed: nowhere (whoever is let in), in the project of what the address names, in the project that
# the request names otherwise, in that of the images that viewers bring, or in all projects. `marks` is a session
# that is changed, and `begins` a case that gets one: an accepted case and one that others read are then refused.
Where = Literal["nowhere", "project", "case", "session", "marks", "begins", "asked", "viewers", "everywhere"]
BLIND = "This case is read blind: what the other readers do is shown when it has been decided."


class Right(NamedTuple):
    """The role that something needs, and where."""

    role: Role | None
    where: Where


LET_IN = Right(None, "nowhere")
VISIT, ARCHIVE, DATASTORE = (
    Right("annotator", "viewers"),
    Right("reviewer", "everywhere"),
    Right("annotator", "everywhere"),
)


def _all(right: Right, *routes: str) -> dict[str, Right]:
    return dict.fromkeys(routes, right)


RIGHTS: Mapping[str, Right] = {
    # what tells nothing of anybody, and one's own
    **_all(
        LET_IN,
        "GET /api/health", "GET /readyz", "GET /metrics", "GET /login", "POST /login", "GET /invitation",
        "GET /login/oidc", "GET /login/oidc/back",
        "POST /invitation", "GET /api/methods", "GET /api/formats", "GET /api/structures", "POST /api/logout",
        "GET /api/me", "GET /api/archives", "GET /api/imports", "GET /api/imports/{number}",
        "DELETE /api/imports/{number}",
    ),
    # lists, of the projects that somebody is in
    **_all(Right("annotator", "asked"), "GET /api/cases", "GET /api/cases/choices", "GET /api/projects"),
    # cases
    **_all(
        Right("annotator", "case"),
        "GET /api/cases/{case}", "GET /api/cases/{case}/next", "GET /api/cases/{case}/thumbnail",
        "GET /api/cases/{case}/volume.nii", "GET /api/cases/{case}/slices", "GET /api/cases/{case}/series",
        "GET /api/cases/{case}/series/{series}/volume.nii", "GET /api/cases/{case}/series/{series}/slices",
        "PUT /api/cases/{case}/status", "GET /api/cases/{case}/sessions", "GET /api/cases/{case}/reading",
        "GET /api/cases/{case}/comments", "POST /api/cases/{case}/comments",
        "DELETE /api/cases/{case}/comments/{comment}", "GET /api/cases/{case}/slide",
        "GET /api/cases/{case}/slide/tiles/{level}/{row}/{column}", "GET /api/cases/{case}/slide/export",
        "GET /api/cases/{case}/slide/mask/{level}/{row}/{column}",
    ),
    **_all(Right("annotator", "begins"), "POST /api/cases/{case}/sessions", "POST /api/cases/{case}/fields"),
    # reading by several
    **_all(Right("annotator", "project"), "POST /api/projects/{project}/readings/next"),
    **_all(
        Right("reviewer", "project"),
        "POST /api/projects/{project}/readings", "GET /api/projects/{project}/agreement",
        "GET /api/projects/{project}/agreement.csv", "GET /api/projects/{project}/readers",
    ),
    **_all(
        Right("reviewer", "case"),
        "DELETE /api/cases/{case}/reading/{reader}", "POST /api/cases/{case}/adjudication",
        "GET /api/cases/{case}/differences",
    ),
    **_all(Right("reviewer", "session"), "GET /api/sessions/{session}/difference"),
    **_all(Right("reviewer", "marks"), "POST /api/sessions/{session}/take"),
    **_all(
        Right("reviewer", "case"),
        "POST /api/cases/{case}/series", "DELETE /api/cases/{case}/series/{series}",
        "POST /api/cases/{case}/frames/{frame}",
    ),
    **_all(Right("admin", "case"), "DELETE /api/cases/{case}"),
    **_all(Right("reviewer", "asked"), "POST /api/cases", "POST /api/cases/link", "GET /api/results.zip"),
    # sessions
    **_all(
        Right("annotator", "session"),
        "GET /api/sessions/{session}", "GET /api/sessions/{session}/map", "GET /api/sessions/{session}/uncertain",
        "GET /api/sessions/{session}/measures", "GET /api/sessions/{session}/surfaces/{label}",
        "GET /api/sessions/{session}/export", "POST /api/sessions/{session}/preview",
        "POST /api/sessions/{session}/compare", "POST /api/sessions/{session}/robot",
        "GET /api/cases/{case}/fields/{session}", "GET /api/cases/{case}/fields/{session}/slices",
        "GET /api/cases/{case}/fields/{session}/volume.nii",
        "WS /api/sessions/{session}/live",
    ),
    **_all(
        Right("annotator", "marks"),
        "POST /api/sessions/{session}/events", "PUT /api/sessions/{session}/labels/{value}",
        "DELETE /api/sessions/{session}/labels/{value}", "POST /api/sessions/{session}/prompts",
        "POST /api/sessions/{session}/edits", "DELETE /api/sessions/{session}/prompts/{event}",
        "POST /api/sessions/{session}/undo", "POST /api/sessions/{session}/redo",
        "POST /api/sessions/{session}/masks", "POST /api/sessions/{session}/first-masks",
    ),
    # projects and people
    **_all(
        Right("admin", "project"),
        "PUT /api/projects/{project}/template", "PUT /api/projects/{project}/first-masks",
        "GET /api/projects/{project}/members",
        "PUT /api/projects/{project}/members/{name}", "POST /api/projects/{project}/invitations",
    ),
    **_all(
        Right("admin", "project"),
        "GET /api/projects/{project}/retention", "PUT /api/projects/{project}/retention",
    ),
    # who did what, who may log in, patients in all projects, and what the server keeps; not for who reads blind, who
    # would learn there what others do, or get in as they do
    **_all(
        Right("admin", "everywhere"),
        "GET /api/audit", "GET /api/audit.csv", "GET /api/audit/check",
        "GET /api/people", "POST /api/people", "POST /api/people/{name}/invitation", "PUT /api/people/{name}/role",
        "PUT /api/people/{name}/disabled", "POST /api/people/{name}/token", "DELETE /api/people/{name}/token",
        "DELETE /api/people/{name}/logins", "PUT /api/people/{name}/limit",
        "PUT /api/projects/{project}/limit", "PUT /api/projects/{project}/anonymise",
        "POST /api/forgetting/search", "POST /api/forgetting", "GET /api/usage",
    ),
    # archives
    **_all(
        Right("reviewer", "asked"),
        "GET /api/archives/{archive}/studies", "GET /api/archives/{archive}/studies/{study}/series",
        "POST /api/archives/{archive}/imports", "POST /api/archives/{archive}/results",
    ),
    # the panel in OHIF, which then works in sessions as the annotator does
    **_all(Right("annotator", "asked"), "POST /ohif/open"),
    # nnInteractive and the older plug-in of 3D Slicer: what a viewer brought itself
    **_all(
        VISIT,
        "POST /upload_image", "POST /upload_segment", "POST /add_point_interaction", "POST /add_bbox_interaction",
        "POST /add_scribble_interaction", "POST /add_lasso_interaction", "POST /claim", "POST /release",
        "POST /heartbeat", "GET /lease_status", "POST /set_image", "POST /set_target_buffer", "POST /set_do_autozoom",
        "POST /reset_interactions", "POST /add_initial_seg_interaction", "POST /undo", "POST /predict",
    ),
    **_all(LET_IN, "GET /healthz", "GET /capabilities", "GET /status", "GET /v2/models"),
    # Label Studio, whose pictures are cases of viewers
    **_all(VISIT, "POST /label-studio/setup", "POST /label-studio/predict"),
    **_all(
        LET_IN,
        "GET /label-studio", "GET /label-studio/", "GET /label-studio/health", "POST /label-studio/webhook",
    ),
    # ITK-SNAP
    **_all(
        VISIT,
        "GET /v2/start_session/{model}", "GET /end_session/{session}", "GET /v2/end_session/{session}",
        "GET /reset_interactions/{session}", "GET /v2/reset_interactions/{session}", "POST /upload_raw/{session}",
        "POST /v2/upload_raw/{session}", "GET /v2/process_point_interaction/{session}",
        "POST /process_scribble_interaction/{session}", "POST /process_lasso_interaction/{session}",
    ),
    # MONAI Label, which knows one list of all cases
    **_all(LET_IN, "GET /auth/", "POST /auth/token", "GET /auth/token/valid", "POST /train/{model}", "GET /train"),
    **_all(LET_IN, "DELETE /train/", "POST /train/", "GET /train/"),
    **_all(
        DATASTORE,
        "GET /info", "GET /info/", "POST /activelearning/{strategy}", "GET /datastore", "GET /datastore/",
        "PUT /datastore/", "PUT /datastore/image", "GET /datastore/image", "HEAD /datastore/image",
        "GET /datastore/image/info", "GET /datastore/label", "HEAD /datastore/label", "PUT /datastore/label",
        "PUT /session/", "GET /session/{session}", "DELETE /session/{session}", "POST /infer/{model}",
    ),
    # DICOMweb: all cases and everybody's masks
    **_all(
        ARCHIVE,
        "GET /dicom-web/studies", "GET /dicom-web/series", "GET /dicom-web/studies/{study}/series",
        "GET /dicom-web/studies/{study}/instances", "GET /dicom-web/studies/{study}/series/{series}/instances",
        "GET /dicom-web/studies/{study}/metadata", "GET /dicom-web/studies/{study}/series/{series}/metadata",
        "GET /dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata",
        "GET /dicom-web/studies/{study}/series/{series}",
        "GET /dicom-web/studies/{study}/series/{series}/instances/{instance}",
        "GET /dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}",
    ),
}  # fmt: skip
# What each message of a live connection needs in the project of its session, by the key that says what it is.
MESSAGES: Mapping[str, Right] = {
    "event": Right("annotator", "marks"),
    "cancel": Right("annotator", "marks"),
    "here": Right("annotator", "session"),
}


@dataclass(frozen=True)
class Access:
    """Somebody who asks, and what they may."""

    user: str  # empty: without an account
    roles: Roles
    store: Store
    refused: list[str] = field(default_factory=list)  # projects in which a role was lacking, for the audit

    def check(self, role: Role, project: str) -> None:
        """Raise ForbiddenError unless this is that role in a project, or a higher one."""
        has = self.roles.at(project)
        if not is_at_least(has, role):
            self.refused.append(project)
            raise ForbiddenError(f"This needs the role {role} in the project {project!r}; {self._said(has)} there.")

    def check_anywhere(self, role: Role) -> None:
        """Raise ForbiddenError unless this is that role, or a higher one, in some project."""
        held = [self.roles.everywhere, *self.roles.projects.values()]
        if not any(is_at_least(one, role) for one in held):
            raise ForbiddenError(f"This needs the role {role} in a project; {self.user} has it in none.")

    def check_everywhere(self, role: Role) -> None:
        """Raise ForbiddenError unless this is that role, or a higher one, in all projects."""
        has = self.roles.everywhere
        if not is_at_least(has, role):
            raise ForbiddenError(f"This needs the role {role} in all projects; {self._said(has)} in all of them.")
        if self.user and self.store.readings.reads_blind(self.user):
            raise ForbiddenError(f"{self.user} reads cases blind, and would see here what the other readers do.")

    def check_case(self, role: Role, case: str) -> None:
        """Raise ForbiddenError unless this is that role in the project of a case; NotFoundError without the case."""
        self.check(role, self.store.case(case).project)

    def check_session(self, role: Role, session: str, *, marks: bool = False) -> None:
        """Raise ForbiddenError unless this is that role in the project of a session's case, and may see the session.

        With `marks` it must be one that this person may change, too.
        """
        record = self.store.session_record(session)
        case = self.store.case(record.case)
        self.check(role, case.project)
        read = self.store.readings.of_case(case.id)
        if not self.sees(read, case.project, record):
            raise ForbiddenError(BLIND)
        if marks:
            self._check_marks(case, read, record)

    def check_begins(self, role: Role, case_id: str) -> None:
        """Raise ForbiddenError unless this is that role in the project of a case, and may begin to mark it."""
        case = self.store.case(case_id)
        self.check(role, case.project)
        self._check_marks(case, self.store.readings.of_case(case_id), None)

    def sees(self, read: Read | None, project: str, session: SessionRecord) -> bool:
        """Tell whether somebody may see a session of a case: blind readers their own, reviewers who do not read all."""
        if not self.user or read is None or not read.blind or read.is_over:
            return True
        if (own := read.of(self.user)) is not None:
            return own.session == session.id
        return self.roles.may("reviewer", project)

    def is_blind(self, read: Read | None) -> bool:
        """Tell whether somebody reads a case blind, and it is not decided."""
        return read is not None and read.blind and not read.is_over and read.of(self.user) is not None

    def _check_marks(self, case: CaseRecord, read: Read | None, session: SessionRecord | None) -> None:
        """Refuse to change a case that is accepted, or that others read; one without a session is to get one."""
        reviews = self.roles.may("reviewer", case.project)
        if case.status == "accepted" and not reviews:
            raise ForbiddenError("This case is accepted; a reviewer may open it again.")
        if read is None or read.is_over or not self.user:
            return
        own = read.of(self.user)
        if own is not None and (session is None or session.id == own.session):
            if own.state == "finished":
                raise ForbiddenError("This reading is finished; reopen it to change it.")
        elif not reviews or session is None or any(one.session == session.id for one in read.readings):
            raise ForbiddenError("This case is given to other readers.")

    @property
    def visible(self) -> tuple[str, ...] | None:
        """The projects that somebody sees; None: all."""
        return None if self.roles.everywhere is not None else tuple(sorted(self.roles.projects))

    def _said(self, role: Role | None) -> str:
        return f"{self.user} has none" if role is None else f"{self.user} is {role}"


async def check_right(connection: HTTPConnection) -> None:
    """Refuse who may not do what a request asks for, and note what they may; before every route."""
    who, here = user(connection), shared(connection)
    here.rates.check(who)
    state = connection.scope.setdefault("state", {})
    refused: list[str] = state.setdefault("refused", [])
    if not who:
        state["access"] = Access("", EVERYTHING_ALLOWED, here.store)
    else:
        state["access"] = await run_in_threadpool(_checked, connection, here, who, refused)
    if (route := key_of(connection)) in OPENING:
        await run_in_threadpool(here.looks.note_route, who, route, connection.path_params)


def _checked(connection: HTTPConnection, here: Shared, who: str, refused: list[str]) -> Access:
    found = Access(who, here.store.accounts.roles(who), here.store, refused)
    right = RIGHTS.get(key_of(connection))
    if right is None:
        raise ForbiddenError("Nobody may do this yet; say so to who wrote this server.")
    if right.role is not None:
        _check(found, right.role, right.where, connection.path_params)
    return found


def key_of(connection: HTTPConnection) -> str:
    """Return the name of a request's route in the table."""
    return key_in(connection.scope)


def _check(access: Access, role: Role, where: Where, named: Mapping[str, str]) -> None:
    match where:
        case "project":
            access.store.project(named["project"])
            access.check(role, named["project"])
        case "case":
            access.check_case(role, named["case"])
        case "session" | "marks":
            access.check_session(role, named["session"], marks=where == "marks")
        case "begins":
            access.check_begins(role, named["case"])
        case "asked":
            access.check_anywhere(role)
        case "viewers":
            access.check(role, VIEWERS)
        case "everywhere":
            access.check_everywhere(role)


def check_message(here: Shared, who: str, session: str, kind: str) -> None:
    """Refuse who may not send a message of a live connection, by the key that says what it is."""
    if kind != "here":  # which goes with every move of a mouse
        here.rates.check(who)
    if who:
        role, where = MESSAGES[kind]
        assert role is not None
        _check(Access(who, here.store.accounts.roles(who), here.store), role, where, {"session": session})


def access(connection: HTTPConnection) -> Access:
    return cast(Access, connection.scope["state"]["access"])


AccessNow = Annotated[Access, Depends(access)]
