"""The route on what a server keeps, what people may keep and ask for, and how cases come in: for its admins."""

from __future__ import annotations

import shutil
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from sqlalchemy import make_url

from segmend.errors import SettingsError
from segmend.io.anonymise import check_installed
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import UsageJson
from segmend.server.state import Shared, SharedNow
from segmend.store.forgetting import count_expired
from segmend.store.quota import kept_by_person, kept_by_project

router = APIRouter(prefix="/api", tags=["server"], responses=PROBLEMS)


@router.get("/usage", response_model=UsageJson, summary="What is kept of what may be, by person and project")
def usage(here: SharedNow) -> Response:
    store, settings = here.store, here.settings
    by_person, by_project = kept_by_person(store.database), kept_by_project(store.database)
    connections = here.rates.connections()
    counts = store.case_counts()
    names = sorted({*by_person, *(one.name for one in store.accounts.everybody()), *filter(None, connections)})
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
                {"name": name, "bytes": by_person.get(name, 0), "connections": connections.get(name, 0)}
                for name in names
            ],
            "projects": [
                {
                    "name": one.name,
                    "cases": counts.get(one.name, 0),
                    "bytes": by_project.get(one.name, 0),
                    "retention_days": one.retention_days,
                    "expired": count_expired(store, one.name, one.retention_days),
                    "anonymise": settings.profile_of(one.name),
                }
                for one in store.projects()
            ],
        }
    )


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
