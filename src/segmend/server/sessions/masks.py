"""Masks from elsewhere: a file of another tool becomes the masks of labels, to be mended like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend.core.image import LabelMap, bounds
from segmend.core.layers import label_mask, map_with
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, MAX_LABEL, PALETTE, Defined, Label, Prompted, Session
from segmend.errors import FileError, LimitError
from segmend.server.cases import uploads
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import MAX_NAME, LoadedJson
from segmend.server.sessions.audience import Answer
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.sessions import open_session
from segmend.server.state import SharedNow, UserNow

# In one file.
MAX_OBJECTS = 255

router = APIRouter(prefix="/api", tags=["sessions"], responses=PROBLEMS)


@router.post(
    "/sessions/{session}/masks",
    status_code=201,
    response_model=LoadedJson,
    summary="Take the mask in a file of another tool as it is: one object for a label, several for labels of their own",
    openapi_extra=uploads.BODY,
)
async def load(
    session: str,
    request: Request,
    here: SharedNow,
    who: UserNow,
    label: Annotated[int, Query(ge=1, le=65535)] = 1,
    overwrite: Annotated[bool, Query(description="may it take voxels of other labels")] = False,
) -> Response:
    async with open_session(here, session) as opened, uploads.receive(request, here.settings) as upload:
        opened.check_markable()  # before a label is made for it
        async with here.reading.turns:
            found, names = await run_in_threadpool(_read, upload.files, here, opened)
        prompted = partial(_prompt_masks, opened, found, names, label, who, overwrite=overwrite)
        labels, answers = await run_in_threadpool(prompted)
        told = await asyncio.gather(*map(asyncio.wrap_future, answers))
        kept = next((answer.covered_by for answer in told if answer.covered_by is not None), None)
        return JSONResponse({"labels": labels, "covered_by": kept, "state": opened.light_state()}, 201)


def _read(files: Sequence[Path], here: SharedNow, session: OpenSession) -> tuple[LabelMap, dict[int, str]]:
    """Return the label map in a file and what its objects are called, as far as it says."""
    if len(files) != 1:
        raise FileError(f"A mask is read from one file; got {len(files)}.")
    found, names = here.reading.mask(files[0], here.sessions.images.of(session.record), layered=True)
    if not found.any():
        raise FileError(f"{files[0].name} has no object in it: all its voxels are 0.")
    return found, names


def _prompt_masks(
    session: OpenSession, found: LabelMap, names: Mapping[int, str], label: int, who: str, *, overwrite: bool
) -> tuple[list[int], list[Future[Answer]]]:
    """Give each object of a label map to a label, all checked before the first; return the labels and the answers.

    They are undone in one step. Objects that share voxels with others get layers of their own.
    """
    values = [int(value) for value in np.unique(found) if value]
    if len(values) > MAX_OBJECTS:
        raise LimitError(f"A mask may have {MAX_OBJECTS} objects here; this one has {len(values)}.")
    labels = assign_labels(session.session, values, label)
    trial = session.session
    events: list[Defined | Prompted] = []
    layers: dict[int, int] = {}  # of the labels that get them, by the number of the map
    for value, place in zip(values, labels, strict=True):
        inside = label_mask(found, value)
        number = map_with(found, value)
        known = trial.labels.get(place)
        if known is None:
            name = names.get(value, f"Object {place}")[:MAX_NAME]
            known = Label(place, name, PALETTE[(place - 1) % len(PALETTE)])
        if number and known.layer == 0:
            if number not in layers:
                used = {label.layer for label in trial.labels.values()}
                layers[number] = next(free for free in (place, *range(1, MAX_LABEL)) if free not in used)
            known = replace(known, layer=layers[number])
        if trial.labels.get(place) != known:
            events.append(Defined(known, joined=bool(events)))
            trial = trial.add(events[-1])
        box = bounds(inside)
        assert box is not None
        given = Mask(inside[box.slices], box.low)
        events.append(Prompted(given, place, GIVEN, overwrite=overwrite, joined=bool(events)))
        trial = trial.add(events[-1])
    return labels, [session.accept(event, user=who)[1] for event in events]


def assign_labels(session: Session, values: Sequence[int], label: int) -> list[int]:
    """Return the label for each value of a file: one object is for the label that was meant, several keep their
    values, where no label of the session has been marked yet under that value, or get free ones.

    >>> one = Session((1, 2, 2)).add(Defined(Label(1, "lesion", PALETTE[0])))
    >>> assign_labels(one, [7], 1), assign_labels(one, [1, 7], 1)
    ([1], [1, 7])
    >>> marked = one.add(Prompted(Mask(np.ones((1, 1, 1), bool)), 1, GIVEN))
    >>> assign_labels(marked, [1, 7], 1)
    [2, 7]
    """
    if len(values) == 1:
        return [label]
    taken = {value for value in session.labels if session.marked(value)}
    free = (value for value in range(1, 65536) if value not in {*session.labels, *values})
    return [next(free) if value in taken else value for value in values]
