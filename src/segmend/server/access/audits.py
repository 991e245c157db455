"""The audit, for administrators of all projects: pages of it, all of it as a table, and whether it is sound."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse

from segmend.server.replies import PROBLEMS
from segmend.server.schemas import AuditCheckJson, AuditJson
from segmend.server.state import SharedNow
from segmend.store import Store
from segmend.store.audit import COLUMNS, Action, AuditFilter, entry_row, entry_to_json, head_of
from segmend.store.forgetting import cases_of

router = APIRouter(prefix="/api/audit", tags=["audit"], responses=PROBLEMS)
# Entries of one page.
MAX_PAGE = 1000
Text = Annotated[str | None, Query(max_length=300)]


def audit_filter(
    here: SharedNow,
    person: Text = None,
    action: Annotated[Action | None, Query()] = None,
    project: Text = None,
    case: Text = None,
    patient: Annotated[
        str | None, Query(max_length=300, description="of the cases that are there: name, id, or a pseudonym")
    ] = None,
    since: Annotated[datetime | None, Query(description="included")] = None,
    until: Annotated[datetime | None, Query(description="not included")] = None,
) -> AuditFilter:
    """Return what an address asks for."""
    since, until = (one if one is None or one.tzinfo else one.replace(tzinfo=UTC) for one in (since, until))
    cases = None if not patient else [one.id for one in cases_of(here.store, patient)]
    return AuditFilter(person, action, project, case, since, until, cases)


FilterNow = Annotated[AuditFilter, Depends(audit_filter)]


@router.get("", response_model=AuditJson, summary="Who did what: the last entries first")
def entries(
    here: SharedNow,
    wanted: FilterNow,
    before: Annotated[int | None, Query(ge=1, le=1 << 53, description="entries before this number")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> Response:
    found = here.store.audit.newest(wanted, before=before, limit=limit)
    return JSONResponse({"entries": [entry_to_json(entry) for entry in found]})


@router.get(
    ".csv",
    summary="The same as a table, all of it and oldest first",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
def table(here: SharedNow, wanted: FilterNow) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    lines = _lines(here.store, wanted)
    first = next(lines)  # what cannot be searched for is refused before the answer begins
    return StreamingResponse(chain([first], lines), media_type="text/csv", headers=headers)


def _lines(store: Store, wanted: AuditFilter) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for entry in store.audit.entries(wanted):
        writer.writerow(entry_row(entry))
        if text.tell() > 1 << 16:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


@router.get("/check", response_model=AuditCheckJson, summary="Whether an entry was changed or taken away")
def check(
    here: SharedNow, head: Annotated[str | None, Query(max_length=100, description="as it was told before")] = None
) -> Response:
    found = here.store.audit.verify(head_of(head) if head else None)
    head = f"{found.entries}:{found.head}"
    return JSONResponse({"entries": found.entries, "head": head, "damage": list(found.damage)})
