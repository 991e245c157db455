"""Routes by which patients are forgotten, and on how long cases are kept.

A patient's name or id comes in a body and never in an address, which proxies keep. What would go is told first, and
nothing else is deleted: where another case came meanwhile, the request is refused.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response

from segmend.errors import ConflictError, NotFoundError, SettingsError
from segmend.server.access.rights import AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import ForgottenJson, MeantJson, NewRetentionJson, OfPatientJson, PatientJson, RetentionJson
from segmend.server.state import Shared, SharedNow
from segmend.store.audit import Deed
from segmend.store.forgetting import count_expired, forget, of_patient, patients_among
from segmend.store.pseudonyms import Pseudonym, Pseudonyms
from segmend.store.quota import kept_by_case
from segmend.store.records import CaseRecord
from segmend.store.store import MAX_RETENTION_DAYS

router = APIRouter(prefix="/api", tags=["patients"], responses=PROBLEMS, route_class=SmallBodyRoute)


@router.post(
    "/forgetting/search", response_model=OfPatientJson, summary="What there is of a patient; nothing is deleted"
)
def search(body: Annotated[PatientJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    names = Pseudonyms(here.settings.pseudonyms)
    try:
        cases, kept = _of_one(here, access.user, names, body.patient)
    finally:
        names.close()
    sizes = kept_by_case(here.store.database, [one.id for one in cases])
    told = [
        {
            "id": one.id,
            "name": one.name,
            "project": one.project,
            "patient": one.patient,
            "study_date": one.study_date,
            "status": one.status,
            "created": one.created.isoformat(),
            "bytes": sizes.get(one.id, 0),
        }
        for one in cases
    ]
    return JSONResponse({"cases": told, "pseudonyms": [one.pseudonym for one in kept]})


@router.post(
    "/forgetting",
    response_model=ForgottenJson,
    summary="Delete all cases of a patient for good, as the search told them, and whose pseudonym it is; the proof",
)
def forget_patient(body: Annotated[MeantJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    names, store = Pseudonyms(here.settings.pseudonyms), here.store.by(access.user)
    try:
        cases, kept = _of_one(here, access.user, names, body.patient)
        if {one.id for one in cases} != set(body.cases):
            raise ConflictError("There are other cases of this patient by now; search once more.")
        done = []
        for case in cases:
            done.append(forget(store, case))
            here.sessions.forget_case(case.id)
        for one in kept:
            names.forget(one.pseudonym)
    finally:
        names.close()
    compact = store.database.compact()
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return JSONResponse({"made": made, "forgotten": [asdict(one) for one in done], "compact": compact})


def _of_one(here: Shared, who: str, names: Pseudonyms, text: str) -> tuple[list[CaseRecord], list[Pseudonym]]:
    """Return what there is of one patient; that somebody learned of a pseudonym by it, the audit says."""
    cases, kept = of_patient(here.store, names, text)
    if kept:
        here.store.audit.add_where_possible(Deed(who, "opened", detail={"what": "pseudonyms"}))
    if len(patients := patients_among(cases)) > 1 or len(kept) > 1:
        told = [*patients, *(one.pseudonym for one in kept if one.pseudonym not in patients)]
        raise SettingsError(f"Several patients are called so; name one by the id or the pseudonym: {'; '.join(told)}.")
    if not cases and not kept:
        raise NotFoundError(f"There is no case of the patient {text.strip()[:80]!r}.")
    return cases, kept


@router.get(
    "/projects/{project}/retention",
    response_model=RetentionJson,
    summary="How long cases of a project are kept, and how many are older; with days, how many would be",
)
def retention(
    project: str, here: SharedNow, days: Annotated[int | None, Query(ge=1, le=MAX_RETENTION_DAYS)] = None
) -> Response:
    kept = here.store.project(project).retention_days if days is None else days
    return JSONResponse({"project": project, "days": kept, "expired": count_expired(here.store, project, kept)})


@router.put(
    "/projects/{project}/retention",
    response_model=RetentionJson,
    summary="Have cases of a project deleted for good when nobody has changed them for so many days; null: never",
)
def set_retention(
    project: str, body: Annotated[NewRetentionJson, Body()], here: SharedNow, access: AccessNow
) -> Response:
    here.store.by(access.user).set_retention(project, body.days)
    return retention(project, here)
