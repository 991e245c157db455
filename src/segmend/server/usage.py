"""What a server keeps, what people and projects may keep, and how cases come in: told to its admins, and set by them.

What is set lies in the store and holds at every server on it: for a single person or project, in place of what the
server was started with for all. Anonymisation that the server was started with is not for its admins to end.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse, Response
from sqlalchemy import make_url

from segmend.errors import ConflictError, SettingsError
from segmend.io.anonymise import check_installed
from segmend.server.access.rights import AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import NewAnonymiseJson, NewLimitJson, UsageJson
from segmend.server.state import Shared, SharedNow
from segmend.store.forgetting import count_expired
from segmend.store.quota import kept_by_person, kept_by_project

router = APIRouter(prefix="/api", tags=["server"], responses=PROBLEMS, route_class=SmallBodyRoute)


@router.get("/usage", response_model=UsageJson, summary="What is kept of what may be, by person and project")
def usage(here: SharedNow) -> Response:
    store, settings = here.store, here.settings
    by_person, by_project = kept_by_person(store.database), kept_by_project(store.database)
    connections = here.rates.connections()
    counts = store.case_counts()
    set_for = {one.name: one.max_bytes for one in store.accounts.everybody()}
    names = sorted({*by_person, *set_for, *filter(None, connections)})
    return JSONResponse(
        {
            "limits": {
                "bytes_per_person": settings.bytes_per_person,
                "bytes_per_project": settings.bytes_per_project,
                "requests_per_second": settings.requests_per_second,
                "connections_per_person": settings.connections_per_person,
            },
            "storage": _storage(here, sum(by_project.values()), sum(counts.values())),
            "anonymises": _can_anonymise(),
            "people": [
                {
                    "name": name,
                    "bytes": by_person.get(name, 0),
                    "connections": connections.get(name, 0),
                    "account": name in set_for,
                    "max_bytes": set_for.get(name),
                }
                for name in names
            ],
            "projects": [
                {
                    "name": one.name,
                    "cases": counts.get(one.name, 0),
                    "bytes": by_project.get(one.name, 0),
                    "max_bytes": one.max_bytes,
                    "retention_days": one.retention_days,
                    "expired": count_expired(store, one.name, one.retention_days),
                    "anonymise": settings.profile_of(one),
                    "anonymise_at_start": settings.profile_at_start(one.name) is not None,
                }
                for one in store.projects()
            ],
        }
    )


@router.put(
    "/people/{name}/limit",
    response_model=UsageJson,
    summary="Say how many bytes the cases may have that somebody adds; 0: any number, null: as everybody's",
)
def set_limit_of_person(
    name: str, body: Annotated[NewLimitJson, Body()], here: SharedNow, access: AccessNow
) -> Response:
    here.store.by(access.user).accounts.set_max_bytes(name, body.bytes)
    return usage(here)


@router.put(
    "/projects/{project}/limit",
    response_model=UsageJson,
    summary="Say how many bytes the cases of a project may have; 0: any number, null: as those of all projects",
)
def set_limit_of_project(
    project: str, body: Annotated[NewLimitJson, Body()], here: SharedNow, access: AccessNow
) -> Response:
    here.store.by(access.user).set_max_bytes(project, body.bytes)
    return usage(here)


@router.put(
    "/projects/{project}/anonymise",
    response_model=UsageJson,
    summary="Have what comes into a project anonymised by a profile; null: not. 409 where the server was started so",
)
def set_anonymise(
    project: str, body: Annotated[NewAnonymiseJson, Body()], here: SharedNow, access: AccessNow
) -> Response:
    if (profile := here.settings.profile_at_start(project)) is not None:
        raise ConflictError(
            f"This server was started so that cases of {project!r} are anonymised by the profile {profile}; only who "
            "starts it can change that."
        )
    if body.profile is not None:
        check_installed()
    here.store.by(access.user).set_anonymise(project, body.profile)
    return usage(here)


def _storage(here: Shared, kept: int, cases: int) -> dict[str, int | None]:
    """Return how much is kept, and how much room there is where that can be told: on disks of this machine."""
    url, blobs = make_url(here.settings.database), here.settings.blobs.removeprefix("file://")
    own = [Path(f"{url.database}{end}") for end in ("", "-wal")] if url.get_backend_name() == "sqlite" else []
    return {
        "cases": cases,
        "bytes": kept,
        "database_bytes": sum(path.stat().st_size for path in own if path.is_file()) if own else None,
        "free_bytes": None if "://" in blobs else shutil.disk_usage(here.settings.data).free,
    }


def _can_anonymise() -> bool:
    try:
        check_installed()
    except SettingsError:
        return False
    return True
