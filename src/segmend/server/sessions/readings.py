"""Routes on cases that are read by several people: who reads what, how they differ, and what is decided.

A blind reader is told of their own reading alone (`rights.Access`); what is shown here of others is for reviewers who
do not read the case themselves.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response

from segmend.core.edits import Draw
from segmend.core.image import Box, LabelMap, MaskArray, bounds, whole
from segmend.core.prompts import Drawn
from segmend.core.session import Edited, Event, Session
from segmend.errors import ConflictError, ForbiddenError, NotFoundError, SettingsError
from segmend.results.agreement import LabelDifference, agreed, differences
from segmend.server.access.rights import BLIND, Access, AccessNow
from segmend.server.bodies import SmallBodyRoute
from segmend.server.cases.cases import cases_to_json
from segmend.server.cases.judging import marks_of, sessions_of
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import (
    AdjudicationJson,
    AgreementJson,
    CaseJson,
    CommentJson,
    DifferenceJson,
    GivenJson,
    NewCommentJson,
    PlanJson,
    ReaderJson,
    ReadJson,
    StateJson,
    TakeJson,
    TakenJson,
)
from segmend.server.sessions.audience import Answer
from segmend.server.sessions.wire import EMPTY_BOX, pack
from segmend.server.state import Shared, SharedNow
from segmend.store import CaseRecord, records
from segmend.store.given import add_labels
from segmend.store.visitors import VIEWERS
from segmend.store.worklist import CaseFilter

router = APIRouter(prefix="/api", tags=["readings"], responses=PROBLEMS, route_class=SmallBodyRoute)


# Who reads what


@router.get("/projects/{project}/readers", response_model=list[ReaderJson], summary="Who can read cases of a project")
def readers(project: str, here: SharedNow) -> Response:
    found = [one for one in here.store.accounts.members(project) if not one.user.disabled]
    return JSONResponse([{"name": one.user.name, "role": one.role} for one in found])


@router.post("/projects/{project}/readings", status_code=201, response_model=GivenJson, summary="Give cases to readers")
def plan(project: str, body: Annotated[PlanJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    if project == VIEWERS:
        raise SettingsError("Images that viewers bring are not given to readers.")
    known = {one.user.name for one in here.store.accounts.members(project)}
    if strangers := [name for name in body.readers if name not in known]:
        raise SettingsError(f"A reader needs a role in the project {project!r}; {strangers[0][:80]} has none.")
    cases = body.cases if body.cases is not None else _untouched(here, project)
    for record in map(here.store.case, cases):
        if record.project != project:
            raise SettingsError(f"The cases need to be of the project {project!r}; another one came.")
        if record.slide:
            raise SettingsError("Slides are not given to readers, for all their fields of view share one mask.")
    given = here.store.readings.plan(
        cases, body.readers, each=body.each, how=body.how, blind=body.blind, by=access.user
    )
    counts = {name: sum(name in chosen for chosen in given.values()) for name in body.readers}
    return JSONResponse({"cases": len(given), "readers": counts}, 201)


def _untouched(here: Shared, project: str) -> list[str]:
    """Return the cases of a project that nobody has begun and that are given to nobody."""
    untouched = here.store.found_cases(CaseFilter(project=project, statuses=("untouched",)))
    found = [one.id for one in untouched if not one.slide]
    taken = here.store.readings.of_cases(found)
    return [case for case in found if case not in taken]


@router.post(
    "/projects/{project}/readings/next",
    response_model=CaseJson | None,
    summary="The next case to read, which is one's own from then on; null where none is left",
)
def pull(project: str, here: SharedNow, access: AccessNow) -> Response:
    if not access.user:
        raise SettingsError("Who takes the next case to read needs an account: segmend user add NAME.")
    reviews = access.roles.may("reviewer", project)  # who sees what other readers do until they read the case, too
    found = here.store.readings.pull(access.user, project, unseen=reviews)
    return JSONResponse(None if found is None else cases_to_json(access, [here.store.case(found)])[0])


@router.get("/cases/{case}/reading", response_model=ReadJson | None, summary="Who reads a case; of blind ones oneself")
def reading(case: str, here: SharedNow, access: AccessNow) -> Response:
    found = here.store.readings.of_case(case)
    return JSONResponse(None if found is None else read_to_json(access, found))


def read_to_json(access: Access, read: records.Read) -> dict[str, Any]:
    """Return who reads a case as plain JSON values; a blind reader is told of their own part alone."""
    blind = access.is_blind(read)
    shown = [one for one in read.readings if not blind or one.reader == access.user]
    return {
        "wanted": read.wanted,
        "blind": read.blind,
        "state": "open" if blind else read.state,
        "mine": next((one.state for one in read.readings if access.user and one.reader == access.user), None),
        "session": None if blind else read.session,
        "decided_by": read.decided_by,
        "decided": _iso(read.decided),
        "readings": [
            {
                "reader": one.reader,
                "session": one.session,
                "state": one.state,
                "interactions": one.interactions,
                "seconds": round(one.seconds, 3),
                "finished": _iso(one.finished),
            }
            for one in shown
        ],
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


@router.delete(
    "/cases/{case}/reading/{reader}", status_code=204, summary="Take a case from a reader who has not begun it"
)
def release(case: str, reader: str, here: SharedNow, access: AccessNow) -> Response:
    _judged(access, case)
    here.store.readings.release(case, reader, by=access.user)
    return Response(status_code=204)


# How they differ


def _judged(access: Access, case: str) -> records.Read:
    """Return the read of a case; ForbiddenError for who reads it blind."""
    found = access.store.readings.of_case(case)
    if found is None:
        raise NotFoundError("This case is given to no readers.")
    if access.is_blind(found):
        raise ForbiddenError(BLIND)
    return found


def _session_named(read: records.Read, name: str) -> str:
    found = sessions_of(read)
    if name not in found:
        raise NotFoundError(f"There are the masks of {', '.join(found) or 'nobody'}; got {name[:80]!r}.")
    return found[name]


@router.get(
    "/cases/{case}/differences",
    response_model=list[DifferenceJson],
    summary="How the labels of two readers differ, slice by slice; 'decision' is the mask that decides",
)
def differing(
    case: str,
    here: SharedNow,
    access: AccessNow,
    one: Annotated[str, Query(max_length=300)],
    other: Annotated[str, Query(max_length=300)],
) -> Response:
    read = _judged(access, case)
    found = [marks_of(here, _session_named(read, name)) for name in (one, other)]
    return JSONResponse([difference_to_json(d) for d in differences(*found)])


def difference_to_json(difference: LabelDifference) -> dict[str, Any]:
    """Return how a label differs as plain JSON values."""
    slices = [{"z": s.z, "only_one": s.only_one, "only_other": s.only_other} for s in difference.slices]
    counts = {"one": difference.one, "other": difference.other, "both": difference.both}
    return {"name": difference.name, "dice": round(difference.dice, 5), **counts, "slices": slices}


@router.post(
    "/cases/{case}/adjudication",
    status_code=201,
    response_model=StateJson,
    summary="Begin the mask that decides, with that of a reader, or with what all of them agree on",
)
def adjudicate(case: str, body: Annotated[AdjudicationJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    read = _judged(access, case)
    if read.state != "finished":
        raise ConflictError("Not all readers have finished this case." if read.state == "open" else "It was decided.")
    if read.session is not None:
        raise ConflictError("The mask that decides was begun already; open the case.")
    marked = {one.reader: marks_of(here, one.session) for one in read.readings if one.session is not None}
    if body.begin_with is not None and body.begin_with not in marked:
        raise NotFoundError(f"{body.begin_with[:80]} is no reader of this case.")
    given = agreed(list(marked.values()) if body.begin_with is None else [marked[body.begin_with]])
    record = add_labels(here.store, here.store.case(case), given, user=access.user)
    here.store.readings.decide_in(case, record.id)
    with here.sessions.open(record.id) as opened:
        return JSONResponse(opened.state(), 201)


@router.get(
    "/sessions/{session}/difference",
    summary="What a label of this session would be as a reader has it, as a patch frame",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def difference(
    session: str,
    here: SharedNow,
    access: AccessNow,
    reader: Annotated[str, Query(max_length=300)],
    label: Annotated[int, Query(ge=1, le=65535)],
) -> Response:
    read = _judged(access, here.store.session_record(session).case)
    with here.sessions.open(session) as opened:
        log, _, now = opened.look(_everywhere, label)
    name = _name_of(log, label)
    box, after = _replaced(now, marks_of(here, _session_named(read, reader)).mask(name), label)
    frame = pack(len(log.events), box, after, log.labels[label].layer)
    return Response(frame, media_type="application/octet-stream")


def _everywhere(session: Session) -> Box:
    return whole(session.shape)


def _name_of(session: Session, label: int) -> str:
    if label not in session.labels:
        raise NotFoundError(f"Label {label} is not defined here; there are {sorted(session.labels)}.")
    return session.labels[label].title


def _replaced(now: LabelMap, theirs: MaskArray, label: int) -> tuple[Box, LabelMap]:
    """Return a box round all that differs, and the map there with somebody else's mask of a label."""
    box = bounds((now == label) != theirs) or EMPTY_BOX
    after = now[box.slices].copy()
    after[after == label] = 0
    after[theirs[box.slices]] = label
    return box, after


@router.post(
    "/sessions/{session}/take",
    response_model=TakenJson,
    summary="Take a label over as a reader has it, in some slices or in all: undone in one step",
)
def take(session: str, body: Annotated[TakeJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    read = _judged(access, here.store.session_record(session).case)
    if read.session != session:
        raise ConflictError("Masks of readers are taken over into the mask that decides alone.")
    theirs = marks_of(here, _session_named(read, body.reader))
    with here.sessions.open(session) as opened:
        value = body.label
        log, _, now = opened.look(_everywhere, value)
        wanted = theirs.mask(_name_of(log, value))
        events: list[Event] = []
        chosen = np.zeros(now.shape, bool)
        chosen[slice(body.low, body.high)] = True
        for positive, voxels in ((False, (now == value) & ~wanted), (True, (now != value) & wanted)):
            if (box := bounds(voxels & chosen)) is not None:
                drawn = Drawn((voxels & chosen)[box.slices], box.low, positive)
                events.append(Edited(Draw(drawn), value, overwrite=True, joined=bool(events)))
        waiting: list[Future[Answer]] = [opened.accept(event, user=access.user)[1] for event in events]
        for answer in waiting:
            answer.result()
        return JSONResponse({"events": len(events), "state": opened.light_state()})


# How far they agree


def _rows(here: Shared, access: Access, project: str) -> list[dict[str, Any]]:
    found = [read for read in here.store.readings.finished(project) if not access.is_blind(read)]
    names = {case.id: case.name for case in (here.store.case(read.case) for read in found)}
    return [
        {
            "case": read.case,
            "name": names[read.case],
            "state": read.state,
            "decided_by": read.decided_by,
            "readings": read_to_json(access, read)["readings"],
            "pairs": read.agreement or [],
        }
        for read in found
    ]


@router.get(
    "/projects/{project}/agreement",
    response_model=list[AgreementJson],
    summary="How far the readers of a project agree, and what it took them, case by case",
)
def agreement_of(project: str, here: SharedNow, access: AccessNow) -> Response:
    return JSONResponse(_rows(here, access, project))


@router.get(
    "/projects/{project}/agreement.csv",
    summary="The same as a table: a row for every label of every pair of readers",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
def agreement_table(project: str, here: SharedNow, access: AccessNow) -> Response:
    here.looks.note_list(access.user, project, kind="agreement")
    out = io.StringIO()
    writer = csv.writer(out)
    head = ("case", "name", "state", "one", "other", "label", "dice", "seconds_one", "seconds_other")
    writer.writerow([*head, "interactions_one", "interactions_other"])
    for line in table_of(_rows(here, access, project)):
        writer.writerow([_plain(value) for value in line])
    headers = {"Content-Disposition": 'attachment; filename="agreement.csv"'}
    return Response(out.getvalue(), media_type="text/csv", headers=headers)


def table_of(rows: Iterable[dict[str, Any]]) -> Iterable[Sequence[Any]]:
    """Yield a line of the table for every label of every pair."""
    for row in rows:
        work = {one["reader"]: (one["seconds"], one["interactions"]) for one in row["readings"]}
        for pair in row["pairs"]:
            (seconds, marks), (other_seconds, other_marks) = (
                work.get(pair[name], ("", "")) for name in ("one", "other")
            )
            for label in pair["labels"]:
                about = (row["case"], row["name"], row["state"], pair["one"], pair["other"], label["name"])
                yield (*about, label["dice"], seconds, other_seconds, marks, other_marks)


def _plain(value: Any) -> Any:
    """Return a value as a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


# Comments


@router.get("/cases/{case}/comments", response_model=list[CommentJson], summary="What was said of a case, oldest first")
def comments(case: str, here: SharedNow, access: AccessNow) -> Response:
    read = here.store.readings.of_case(case)
    others = {one.reader for one in read.readings} - {access.user} if read and access.is_blind(read) else set()
    found = [one for one in here.store.comments.of_case(case) if one.user not in others]
    return JSONResponse([comment_to_json(one) for one in found])


def comment_to_json(comment: records.Comment) -> dict[str, Any]:
    """Return a comment as plain JSON values."""
    place = None if comment.place is None else list(comment.place)
    told = {"id": comment.id, "user": comment.user, "at": comment.at.isoformat()}
    return {**told, "text": comment.text, "place": place}


@router.post(
    "/cases/{case}/comments", status_code=201, response_model=CommentJson, summary="Say something of a case or a place"
)
def comment(case: str, body: Annotated[NewCommentJson, Body()], here: SharedNow, access: AccessNow) -> Response:
    record: CaseRecord = here.store.case(case)
    place = None if body.place is None else (body.place[0], body.place[1], body.place[2])
    added = here.store.comments.add(record, body.text, user=access.user, place=place)
    return JSONResponse(comment_to_json(added), 201)


@router.delete("/cases/{case}/comments/{comment}", status_code=204, summary="Take one's own comment away")
def uncomment(case: str, comment: str, here: SharedNow, access: AccessNow) -> Response:
    found = next((one for one in here.store.comments.of_case(case) if one.id == comment), None)
    if found is None:
        raise NotFoundError("There is no such comment on this case.")
    if found.user != access.user:
        access.check("admin", here.store.case(case).project)
    here.store.comments.delete(comment, user=access.user)
    return Response(status_code=204)
