"""What it means that somebody says that a case is done, rejected, accepted or open again.

Of a case that is given to readers a reader says so of their own reading. When all have finished, a reviewer decides:
with a third mask where there were several. What is accepted, annotators change no longer.
"""

from __future__ import annotations

from typing import Literal

from segmend.errors import ConflictError, ForbiddenError
from segmend.results.agreement import Read, agreement
from segmend.server.access.rights import Access
from segmend.server.state import Shared
from segmend.store import CaseRecord, records
from segmend.store.records import Status

# What the mask that decides is called beside those of the readers.
DECISION = "decision"


def judge(here: Shared, access: Access, case: CaseRecord, status: Status | Literal["open"], comment: str) -> None:
    """Set the status of a case, or of somebody's own reading of it."""
    read = here.store.readings.of_case(case.id)
    if read is not None and not read.is_over:
        if read.of(access.user) is not None:
            _finish(here, access, case, read, status, comment)
            return
        access.check("reviewer", case.project)
        _decide(here, access, read, status)
    if "accepted" in (status, case.status):
        access.check("reviewer", case.project)
    here.store.set_status(case.id, status, comment, user=access.user)


def _finish(
    here: Shared,
    access: Access,
    case: CaseRecord,
    read: records.Read,
    status: Status | Literal["open"],
    comment: str,
) -> None:
    """Say that a reading is finished, or goes on; the case itself shows it where the readers are not blind."""
    if status not in ("done", "open"):
        raise ForbiddenError("Who reads a case finishes it or opens it again; a reviewer who does not read it decides.")
    now = here.store.readings.finish(case.id, access.user, finished=status == "done")
    if now.state == "finished":
        keep_agreement(here, case.id)
    if not read.blind and (now.state == "finished" or status == "open"):
        here.store.set_status(case.id, status, comment, user=access.user)


def _decide(here: Shared, access: Access, read: records.Read, status: str) -> None:
    if read.state != "finished":
        left = read.wanted - sum(one.state == "finished" for one in read.readings)
        raise ConflictError(f"{left} of {read.wanted} readers have not finished this case.")
    if status not in ("accepted", "rejected"):
        raise ConflictError("This case was read; it is accepted or rejected now.")
    if status == "accepted" and read.wanted > 1 and read.session is None:
        raise ConflictError("The readers' masks are compared first: begin the mask that decides.")
    keep_agreement(here, read.case)
    here.store.readings.decide(read.case, access.user)


def marks_of(here: Shared, session: str) -> Read:
    """Return what was marked in a session up to now."""
    with here.sessions.open(session) as opened:
        return Read.of(opened.layers(), opened.session.labels)


def sessions_of(read: records.Read) -> dict[str, str]:
    """Return the sessions of a read by who marked in them."""
    found = {one.reader: one.session for one in read.readings if one.session is not None}
    return found | ({DECISION: read.session} if read.session is not None else {})


def keep_agreement(here: Shared, case: str) -> None:
    """Work out how far the readers of a finished case agree with each other and with what was decided, and keep it."""
    read = here.store.readings.of_case(case)
    if read is not None and read.state != "open" and len(sessions_of(read)) > 1:
        found = {name: marks_of(here, session) for name, session in sessions_of(read).items()}
        here.store.readings.keep_agreement(case, agreement(found))
