"""The dialect of MONAI Label 0.8, as 3D Slicer's module, OHIF's extension and `monailabel`'s own client speak it.

Its datastore is the worklist: an image's id is its case's, and the next sample the next case that is not done. An image
that a client brings, under a name or for a session, is a visitor's. Inference is asked of the model of clicks
("deepgrow") with all clicks of the object each time, and of the model of scribbles with all of them as a mask: what is
new and what is gone become events on the label of that name, in the session that its person began last (`listed`).

Values of a result are 1, whatever the label's own number: clients go by that. Voxels are counted (x, y, z). Answers
need a Content-Length, for the client reads the bare connection. A client logs in with a user's token as the password.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData

import segmend
from segmend import io, methods
from segmend.core.image import Image, LabelMap, bounds
from segmend.core.layers import stacked
from segmend.core.prompts import Click, Drawn, Mask, Prompt
from segmend.core.session import GIVEN, Prompted
from segmend.errors import LimitError, NotFoundError, SettingsError
from segmend.io.dicomweb import UID
from segmend.server.access.rights import Access, AccessNow
from segmend.server.bodies import MAX_NAME_LENGTH, MAX_SMALL_BYTES, Json, json_body
from segmend.server.cases.scratch import scratch_folder
from segmend.server.cases.uploads import case_name
from segmend.server.protocols.listed import label_named
from segmend.server.protocols.monai_forms import Form, both_reply, file_reply, mask_file, received_form
from segmend.server.protocols.requests import index_in, numbers
from segmend.server.protocols.routes import ToldRoute
from segmend.server.protocols.visits import IDLE, session_of
from segmend.server.protocols.whole_masks import WAIT_SECONDS, mask_of
from segmend.server.replies import UnreadableError, problem
from segmend.server.sessions.audience import Answer
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.sessions import open_session
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store.records import CaseRecord
from segmend.store.visitors import VIEWERS
from segmend.store.worklist import CaseFilter

DIALECT = "monai"
# The version of MONAI Label whose routes these are.
SPOKEN = "0.8.5"
CLICKS, SCRIBBLES = "segmend", "segmend-scribbles"
# The values of a mask of scribbles, as 3D Slicer's module draws them.
BACKGROUND, FOREGROUND = 2, 3
# What an object is called that has no name.
OBJECT = "object"
# Clicks of one object.
MOST_CLICKS = 1000
# The statuses of cases whose masks are final.
DONE = ("done", "accepted")
# Cases that the whole datastore lists.
MOST_CASES = 10_000
OPEN_CASES = CaseFilter(statuses=("untouched", "begun"))
NO_TRAINING = "This server learns from cases that are done by 'segmend adapt'; there is nothing to start or stop here."
Text = Annotated[str, Query(max_length=1000)]


router = APIRouter(include_in_schema=False, route_class=ToldRoute)


# Who asks, and what there is


@router.get("/auth/")
async def auth(here: SharedNow) -> Response:
    return JSONResponse({"enabled": here.settings.token is not None and not here.settings.own_account_enters})


@router.post("/auth/token")
async def auth_token(request: Request) -> Response:
    """Take a token, as the password of a form, and give it back for the header Authorization."""
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal() or int(announced) > MAX_SMALL_BYTES:
        raise LimitError(f"A form needs to say how long it is, and may have {MAX_SMALL_BYTES} bytes here.")
    async with request.form(max_files=0, max_fields=10) as form:
        password = _text(form, "password")
    if not password:
        raise UnreadableError("The form needs the token in the field 'password'.")
    check = request.scope["state"].get("check_token")
    refusal: Response | None = None if check is None else await check(password)
    return refusal or JSONResponse({"access_token": password, "token_type": "Bearer"})


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


@router.get("/auth/token/valid")
async def auth_token_valid(who: UserNow) -> Response:
    return JSONResponse({"username": who})


@router.get("/info")
@router.get("/info/")
def info(here: SharedNow) -> Response:
    card = methods.card(here.settings.method)
    names = list(here.store.choices().labels) or [OBJECT]
    models: Json = {}
    for name, kind, needed, description in (
        (CLICKS, "deepgrow", {"click"}, f"{card.title}: clicks on one object"),
        (SCRIBBLES, "scribbles", {"drawn", "stroke"}, f"{card.title}: scribbles on one object"),
    ):
        if needed & set(card.prompts):
            models[name] = {"type": kind, "labels": names, "dimension": 3, "description": description, "config": {}}
    return JSONResponse(
        {
            "name": "Segmend",
            "description": f"{card.title}, by Segmend; for research, not for clinical use",
            "version": SPOKEN,
            "segmend": segmend.__version__,
            "labels": names,  # a list: OHIF's page fails at anything else
            "models": models,
            "trainers": {},
            "strategies": {
                "next": {"description": "The next case that is not done"},
                "random": {"description": "Any case that is not done"},
            },
            "scoring": {},
            "train_stats": {},
            "datastore": _counts(here),
        }
    )


@router.post("/activelearning/{strategy}")
async def next_sample(strategy: str, request: Request, here: SharedNow) -> Response:
    await json_body(request, MAX_SMALL_BYTES, optional=True)
    if strategy not in ("next", "random"):
        raise NotFoundError(f"There are the strategies next and random; got {strategy[:40]!r}.")
    case = await run_in_threadpool(_next, here, at_random=strategy == "random")
    if case is None:
        return JSONResponse({})
    name = f"{case.id}.nrrd"  # also a path, which is on nobody's machine
    return JSONResponse({"id": case.id, "path": name, "name": name, "title": case.name})


def _next(here: Shared, *, at_random: bool) -> CaseRecord | None:
    total = here.store.case_page(OPEN_CASES, limit=1).total if at_random else 1
    page = here.store.case_page(OPEN_CASES, limit=1, offset=random.randrange(max(1, total)) if at_random else 0)
    return page.cases[0] if page.cases else None


@router.get("/train")
@router.get("/train/")
@router.post("/train/")
@router.delete("/train/")
@router.post("/train/{model}")
async def train(model: str = "") -> Response:
    return problem(404, NO_TRAINING)


# The datastore


@router.get("/datastore")
@router.get("/datastore/")
def datastore(here: SharedNow, output: Literal["stats", "all", "train"] = "stats") -> Response:
    if output == "stats":
        return JSONResponse(_counts(here))
    cases = here.store.found_cases(CaseFilter())[-MOST_CASES:]
    if output == "train":
        return JSONResponse([{"image": case.id, "label": case.id} for case in cases if case.status in DONE])
    objects = {case.id: _described(case) for case in cases}
    return JSONResponse({"name": "Segmend", "description": "The worklist", "objects": objects})


def _described(case: CaseRecord) -> Json:
    labels = {"final": {"ext": ".nrrd", "info": {}}} if case.status in DONE else {}
    return {"image": {"ext": ".nrrd", "info": {"name": case.name}}, "labels": labels}


def _counts(here: Shared) -> Json:
    page = here.store.case_page(limit=1)
    done = sum(number for status, number in page.totals.items() if status in DONE)
    return {"total": page.total, "completed": done, "label_tags": {"final": done} if done else {}}


@router.put("/datastore/image")
@router.put("/datastore/")
async def add_image(request: Request, here: SharedNow, who: UserNow, image: Text = "") -> Response:
    async with received_form(request, here.settings) as form, here.reading.turns:
        path = form.file("file")
        if path is None:
            raise UnreadableError("The form needs an image in the field 'file'.")
        name = image or case_name(path.name)
        await run_in_threadpool(_brought, here, path, name, who)
    return JSONResponse({"image": name})


@router.api_route("/datastore/image", methods=["GET", "HEAD"])
def get_image(image: Text, here: SharedNow, who: UserNow) -> Response:
    case = _case(here, image)
    here.looks.note_download(who, here.store.case(case), kind="image")
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        io.write_image(folder / f"{case}.nrrd", here.sessions.images.get(case))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return file_reply(folder / f"{case}.nrrd", folder)


@router.get("/datastore/image/info")
def image_info(image: Text, here: SharedNow) -> Response:
    return JSONResponse({"name": here.store.case(_case(here, image)).name})


@router.api_route("/datastore/label", methods=["GET", "HEAD"])
def get_label(label: Text, here: SharedNow, access: AccessNow, tag: Text = "final") -> Response:
    case, who = _case(here, label), access.user
    read, project = here.store.readings.of_case(case), here.store.case(case).project
    sessions = [record for record in here.store.sessions(case) if access.sees(read, project, record)]
    if not sessions:
        raise NotFoundError("There is no mask of this image yet.")
    here.looks.note_download(who, here.store.case(case), kind="mask")
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        own = [record.id for record in sessions if record.user == who]
        with here.sessions.open(own[-1] if own else sessions[-1].id) as opened:
            labels = [replace(label, name=label.title) for label in opened.session.labels.values()]
            maps = stacked(opened.layers())
        path = folder / f"{case}.seg.nrrd"
        io.write_mask(path, maps, here.sessions.images.get(case), labels)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return file_reply(path, folder)


@router.put("/datastore/label")
async def save_label(request: Request, image: Text, here: SharedNow, access: AccessNow, tag: Text = "") -> Response:
    """Take an image's mask as it is: each of its objects on the label of its name; with it the case is done."""
    async with received_form(request, here.settings) as form:
        path = form.file("label")
        if path is None:
            raise UnreadableError("The form needs a mask in the field 'label'.")
        case, who = await run_in_threadpool(_case, here, image), access.user
        await run_in_threadpool(access.check_begins, "annotator", case)
        names = _names_in(form.params)
        session = await run_in_threadpool(here.visits.session_at, case, who)
        async with open_session(here, session) as opened, here.reading.turns:
            found, said = await run_in_threadpool(here.reading.mask, path, here.sessions.images.get(case))
            await _wait(await run_in_threadpool(_save, opened, found, {**said, **names}, who))
    if tag in ("", "final"):
        await run_in_threadpool(here.store.set_status, case, "done", user=who)
    return JSONResponse({"image": image, "label": image})


def _names_in(params: Json) -> dict[int, str]:
    """Return what a client says that the values of its mask are called."""
    listed = params.get("label_info") or []
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise UnreadableError("'label_info' needs a list of objects.")
    return {
        item["idx"]: item["name"].strip()[:MAX_NAME_LENGTH]
        for item in listed
        if isinstance(item.get("idx"), int) and isinstance(item.get("name"), str) and item["name"].strip()
    }


def _save(opened: OpenSession, found: LabelMap, names: dict[int, str], who: str) -> list[Future[Answer]]:
    answers = []
    values = [int(value) for value in np.unique(found) if value]
    if len(values) > MOST_CLICKS:
        raise LimitError(f"A mask may have {MOST_CLICKS} objects here; this one has {len(values)}.")
    for value in values:
        label = label_named(opened, names.get(value, f"Object {value}"), who)
        inside = found == value
        box = bounds(inside)
        if box is None or np.array_equal(mask_of(opened, label), inside):
            continue
        given = Prompted(Mask(inside[box.slices].copy(), box.low), label, GIVEN, overwrite=True)
        answers.append(opened.accept(given, user=who)[1])
    return answers


# Sessions


@router.put("/session/")
async def create_session(request: Request, here: SharedNow, who: UserNow) -> Response:
    async with received_form(request, here.settings) as form, here.reading.turns:
        files = form.files.get("files", [])
        if not files:
            raise UnreadableError("The form needs an image in the field 'files'.")
        image = await run_in_threadpool(_read, here, form.folder if len(files) > 1 else files[0])
        token = await run_in_threadpool(here.visits.claim, DIALECT, who)
        lease = await run_in_threadpool(here.visits.lease, token, who)
        await run_in_threadpool(here.visits.bring, lease, image, who)
    return JSONResponse({"session_id": token, "session_info": _session_info(token, files[0].name)})


@router.get("/session/{session}")
def get_session(session: str, here: SharedNow, who: UserNow) -> Response:
    session_of(here.visits.lease(session, who))
    return JSONResponse(_session_info(session))


@router.delete("/session/{session}")
def remove_session(session: str, here: SharedNow, who: UserNow) -> Response:
    here.visits.lease(session, who)
    here.visits.release(session, who)
    return JSONResponse(_session_info(session))


def _session_info(token: str, image: str = "") -> Json:
    return {"name": token, "path": "", "image": image, "meta": {}, "expiry": int(IDLE.total_seconds())}


# Inference


@router.post("/infer/{model}")
async def infer(
    model: str,
    request: Request,
    here: SharedNow,
    access: AccessNow,
    image: Text = "",
    session_id: Text = "",
    output: Literal["image", "json", "all", "dicom_seg"] = "all",
) -> Response:
    if model not in (CLICKS, SCRIBBLES):
        raise NotFoundError(f"There are the models {CLICKS} and {SCRIBBLES}; got {model[:40]!r}.")
    if output == "dicom_seg":
        raise SettingsError("A result can be image, json or all; masks in DICOM come from the annotator.")
    async with received_form(request, here.settings) as form:
        name, who = _label_name(form.params), access.user
        case, session = await _place(here, form, image, session_id, access)
        await run_in_threadpool(partial(access.check_session, "annotator", session, marks=True))
        async with open_session(here, session) as opened:
            if model == CLICKS and not form.params.get("label"):
                name = _object_of(opened, _clicks(here, opened, 0, form))
            label = await run_in_threadpool(label_named, opened, name, who)
            async with here.reading.turns:
                read = _clicks if model == CLICKS else _scribbles
                wanted = await run_in_threadpool(read, here, opened, label, form)
            kind: type[Click | Drawn] = Click if model == CLICKS else Drawn
            follow = here.visits.listed.follow
            await _wait(await run_in_threadpool(follow, opened, label, kind, wanted, here.settings.method, who))
            told = {"label_names": {name: 1}, "image": case, "session": session, "label": label}
            return await run_in_threadpool(_result, here, opened, label, form.params, told, output)


async def _place(here: Shared, form: Form, image: str, session_id: str, access: Access) -> tuple[str, str]:
    """Return the case and the session that are meant: by a session, by a file in the form, or by the image's id."""
    who = access.user
    if session_id:
        lease = await run_in_threadpool(here.visits.lease, session_id, who)
        session = session_of(lease)
        return (await run_in_threadpool(here.store.session_record, session)).case, session
    if (path := form.file("file")) is not None:
        async with here.reading.turns:
            case = await run_in_threadpool(_brought, here, path, image, who)
    elif image:
        case = await run_in_threadpool(_case, here, image)
    else:
        raise UnreadableError("An inference needs an image, a file or a session.")
    await run_in_threadpool(access.check_begins, "annotator", case)
    return case, await run_in_threadpool(here.visits.session_at, case, who)


def _result(here: Shared, opened: OpenSession, label: int, params: Json, told: Json, output: str) -> Response:
    if output == "json":
        return JSONResponse(told)
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        affine = here.sessions.images.get(opened.case).affine
        path = mask_file(folder, mask_of(opened, label), affine, params)
        if output == "image":
            return file_reply(path, folder)
        reply = both_reply(path, told)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return reply


def _label_name(params: Json) -> str:
    """Return what the object is called; a list of one name is a name."""
    said = params.get("label") or OBJECT
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if not isinstance(said, str) or not said.strip() or not said.isprintable() or len(said) > MAX_NAME_LENGTH:
        raise UnreadableError(f"'label' needs a name of at most {MAX_NAME_LENGTH} characters; got {str(said)[:40]!r}.")
    return said


def _object_of(opened: OpenSession, wanted: Sequence[Prompt]) -> str:
    """Return which object clicks are for whose client does not say: one that has some of them, or else the next one.

    OHIF sends all clicks of one of its segments, and not which one.
    """
    session = opened.session
    objects = [label for label in session.labels.values() if re.fullmatch(rf"{OBJECT}( \d+)?", label.name)]
    for label in reversed(objects):
        events = [session.events[i] for i in session.prompted(label.value)]
        marks = [event.prompt for event in events if isinstance(event, Prompted)]
        if not wanted or not marks or any(prompt in marks for prompt in wanted):
            return label.name
    return f"{OBJECT} {len(objects) + 1}" if objects else OBJECT


def _clicks(here: Shared, opened: OpenSession, label: int, form: Form) -> list[Prompt]:
    """Return the clicks that a client lists; those beside the image are left out."""
    shape, wanted = opened.session.shape, list[Prompt]()
    for name, positive in (("foreground", True), ("background", False)):
        listed = form.params.get(name) or []
        if not isinstance(listed, list) or len(listed) > MOST_CLICKS:
            raise UnreadableError(f"{name!r} needs a list of at most {MOST_CLICKS} points.")
        for point in listed:
            x, y, z = numbers(point, name)
            index = index_in((z, y, x), shape)
            if index is not None:
                wanted.append(Click(index, positive))
    return wanted


def _scribbles(here: Shared, opened: OpenSession, label: int, form: Form) -> list[Prompt]:
    """Return the drawings that a client's mask of scribbles is."""
    path = form.file("label")
    if path is None:
        raise UnreadableError("Scribbles need a mask in the field 'label'.")
    found, _ = here.reading.mask(path, here.sessions.images.get(opened.case))
    drawings = here.visits.listed.drawings
    wanted = drawings(opened.session, label, found == FOREGROUND, positive=True)
    return wanted + drawings(opened.session, label, found == BACKGROUND, positive=False)


# Images and answers


def _case(here: Shared, image: str) -> str:
    """Return the case of an id or a DICOM series, or the newest of a visitor's images that is called so."""
    try:
        return here.store.case(image).id
    except NotFoundError:
        if UID.fullmatch(image) and (case_id := here.archived.case_of(image)) is not None:
            return case_id  # OHIF names an image by its series
        named = [case.id for case in _visitors(here) if case.name == image]
        if not named:
            raise NotFoundError(f"There is no image {image[:100]!r}.") from None
        return named[-1]


def _visitors(here: Shared) -> list[CaseRecord]:
    if VIEWERS not in {project.name for project in here.store.projects()}:
        return []
    return here.store.cases(VIEWERS)


def _brought(here: Shared, path: Path, name: str, who: str) -> str:
    return here.visits.case_of(_read(here, path), name, who=who)


def _read(here: Shared, path: Path) -> Image:
    """Return the one image in a file or folder."""
    for found in here.reading.images(path):
        return found.image()
    raise UnreadableError(f"There is no image in {path.name}.")


async def _wait(answers: Sequence[Future[Answer]]) -> None:
    """Wait for answers; what went wrong with one is raised."""
    waiting = [asyncio.wrap_future(answer) for answer in answers]
    if waiting:
        done, _ = await asyncio.wait(waiting, timeout=WAIT_SECONDS)
        for one in done:
            one.result()
