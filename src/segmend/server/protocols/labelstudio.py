"""Label Studio's ML backend, for pictures: smart keypoints, rectangles and brushes become marks, masks come as brushes.

Its server asks with each step: all marks of the object that is drawn, in percent of the picture, under the names that
the project's labels have. What is new and what is gone of them become events on the label of that name, in a session of
a visitor's image (`listed`, `visits`). A picture is in the request, or it is fetched from the Label Studio that the
server was started with and from nowhere else: addresses in tasks may lead anywhere.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

import segmend
from segmend import methods
from segmend.core.image import Box, Index
from segmend.core.prompts import Click, Drawn, Prompt
from segmend.errors import SettingsError
from segmend.server.bodies import MAX_NAME_LENGTH, Json, json_body
from segmend.server.protocols import brush
from segmend.server.protocols.listed import label_named
from segmend.server.protocols.routes import ToldRoute
from segmend.server.protocols.whole_masks import WAIT_SECONDS, mask_of
from segmend.server.replies import UnreadableError
from segmend.server.sessions.sessions import open_session
from segmend.server.state import Shared, SharedNow, UserNow

ROOT = "/label-studio"
# Characters of a project's labelling interface; marks of one object; tasks of one request.
MOST_CONFIG, MOST_MARKS, MOST_TASKS = 200_000, 1000, 100
MARKS = ("keypointlabels", "rectanglelabels", "brushlabels")

router = APIRouter(prefix=ROOT, include_in_schema=False, route_class=ToldRoute)


@router.get("")
@router.get("/")
@router.get("/health")
async def health(here: SharedNow) -> Response:
    return JSONResponse({"status": "UP", "model_class": "Segmend", "model_version": _version(here)})


@router.post("/setup")
async def setup(request: Request, here: SharedNow) -> Response:
    """Remember by what token Label Studio gives out pictures; it goes nowhere but there."""
    said = await json_body(request, here.settings.max_body_bytes)
    token = said.get("access_token")
    if isinstance(token, str) and token.isascii() and token.isprintable() and len(token) <= MOST_MARKS:
        here.pictures.token = token
    return JSONResponse({"model_version": _version(here)})


@router.post("/webhook")
async def webhook(request: Request, here: SharedNow) -> Response:
    """Take what Label Studio tells of annotations: nothing is trained by them here."""
    await json_body(request, here.settings.max_body_bytes, optional=True)
    return JSONResponse({"status": "ok"}, 201)


@router.post("/predict")
async def predict(request: Request, here: SharedNow, who: UserNow) -> Response:
    said = await json_body(request, here.settings.max_body_bytes)
    tasks, params = said.get("tasks"), said.get("params") or {}
    if not isinstance(tasks, list) or len(tasks) > MOST_TASKS or not isinstance(params, dict):
        raise UnreadableError(f"A prediction needs a list of at most {MOST_TASKS} tasks.")
    context = params.get("context") or {}
    marks = context.get("result") if isinstance(context, dict) else None
    if not marks:  # nobody marks anything: there is nothing to say before
        return _replied(here, [[] for _ in tasks])
    if len(tasks) != 1 or not isinstance(tasks[0], dict) or not isinstance(marks, list) or len(marks) > MOST_MARKS:
        raise UnreadableError(f"Marks need one task, and a list of at most {MOST_MARKS}.")
    interface = Interface(said.get("label_config"))
    address = _address(tasks[0], interface.variable)
    case = await run_in_threadpool(here.pictures.case_of, address, who)
    session = await run_in_threadpool(here.visits.session_at, case, who)
    async with open_session(here, session) as opened:
        shape, name = opened.session.shape, _label_of(marks)
        wanted = [mark for one in marks if (mark := _mark(one, shape, name)) is not None]
        label = await run_in_threadpool(label_named, opened, name, who)
        kinds, follow = (Click, Box, Drawn), here.visits.listed.follow
        answers = await run_in_threadpool(follow, opened, label, kinds, wanted, here.settings.method, who)
        waiting = [asyncio.wrap_future(answer) for answer in answers]
        if waiting:
            for one in (await asyncio.wait(waiting, timeout=WAIT_SECONDS))[0]:
                one.result()
        inside = await run_in_threadpool(mask_of, opened, label)
    found = await run_in_threadpool(_region, inside[0], name, interface)
    return _replied(here, [found])


def _replied(here: Shared, results: Sequence[list[Json]]) -> Response:
    version = _version(here)
    told = [{"result": result, "score": 1.0 if result else 0.0, "model_version": version} for result in results]
    return JSONResponse({"results": told, "model_version": version})


def _version(here: Shared) -> str:
    return f"{methods.card(here.settings.method).id} of Segmend {segmend.__version__}"


def _region(inside: np.ndarray[Any, np.dtype[np.bool_]], name: str, interface: Interface) -> list[Json]:
    """Return a mask as a region of Label Studio's; nothing where it is empty."""
    if not inside.any():
        return []
    height, width = inside.shape
    value = {"format": "rle", "rle": brush.pack(inside), "brushlabels": [name]}
    return [
        {
            "from_name": interface.brush, "to_name": interface.image, "type": "brushlabels", "value": value,
            "original_width": width, "original_height": height, "image_rotation": 0, "readonly": False,
        }
    ]  # fmt: skip


class Interface:
    """What a project's labelling interface calls its picture and its brush."""

    def __init__(self, config: Any) -> None:
        if not isinstance(config, str) or len(config) > MOST_CONFIG or "<!" in config:
            raise UnreadableError("A prediction needs the project's labelling interface, as Label Studio sends it.")
        try:
            tags = list(ElementTree.fromstring(config).iter())  # noqa: S314 - short, and without entities
        except ElementTree.ParseError:
            raise UnreadableError("The project's labelling interface is no XML.") from None
        images = {tag.get("name"): tag for tag in tags if tag.tag == "Image"}
        brushes = [tag for tag in tags if tag.tag == "BrushLabels" and tag.get("toName") in images]
        if not brushes:
            raise SettingsError("The project needs <BrushLabels> for an <Image> in its labelling interface: for masks.")
        self.brush, self.image = brushes[0].get("name", ""), brushes[0].get("toName", "")
        self.variable = images[self.image].get("value", "").lstrip("$")


def _address(task: Mapping[str, Any], variable: str) -> str:
    data = task.get("data")
    found = data.get(variable) if isinstance(data, dict) else None
    if not isinstance(found, str) or not found:
        raise UnreadableError(f"The task has no picture in {variable[:60]!r}.")
    return found


# Marks


def _label_of(marks: Sequence[Any]) -> str:
    """Return which label the marks are for: that of the last."""
    for one in reversed(marks):
        value = one.get("value") if isinstance(one, dict) else None
        if not isinstance(value, dict):
            continue
        for kind in MARKS:
            names = value.get(kind)
            if isinstance(names, list) and names and isinstance(names[0], str):
                name = names[0].strip()
                if name and name.isprintable() and len(name) <= MAX_NAME_LENGTH:
                    return name
    raise UnreadableError("A mark needs the name of a label.")


def _mark(one: Any, shape: Index, name: str) -> Prompt | None:
    """Return a mark on this picture; None for one of another label, beside the picture, or of another kind."""
    value = one.get("value") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(value, dict):
        return None
    kind = next((kind for kind in MARKS if isinstance(value.get(kind), list)), None)
    if kind is None or value[kind][:1] != [name]:
        return None
    positive = one.get("is_positive", True) not in (False, 0)
    if kind == "keypointlabels":
        row, column = (_part(value, key, size) for key, size in (("y", shape[1]), ("x", shape[2])))
        index = (0, math.floor(row), math.floor(column))
        return Click(index, positive) if 0 <= index[1] < shape[1] and 0 <= index[2] < shape[2] else None
    if kind == "rectanglelabels":
        return _box(value, shape)
    rle = value.get("rle")
    if value.get("format", "rle") != "rle" or not isinstance(rle, list):
        raise UnreadableError("A brush needs its mask as a list 'rle'.")
    inside = brush.unpack(rle, (shape[1], shape[2]))
    if not inside.any():
        return None
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    low, high = (int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1)
    return Drawn(inside[None, low[0] : high[0], low[1] : high[1]].copy(), (0, *low), positive)


def _box(value: Mapping[str, Any], shape: Index) -> Box | None:
    """Return the upright box round a rectangle, which may be turned round its upper left corner."""
    left, top = _part(value, "x", shape[2]), _part(value, "y", shape[1])
    width, height = _part(value, "width", shape[2]), _part(value, "height", shape[1])
    turn = math.radians(_part({"r": value.get("rotation") or 0}, "r", 100))
    across, down = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    corners = [
        (left + u * width * across[0] + v * height * down[0], top + u * width * across[1] + v * height * down[1])
        for u in (0, 1)
        for v in (0, 1)
    ]
    low = [max(0, math.floor(min(corner[i] for corner in corners) + 1e-6)) for i in (1, 0)]
    sides = shape[1:]
    high = [min(sides[i], math.ceil(max(corner[1 - i] for corner in corners) - 1e-6)) for i in (0, 1)]
    return Box((0, low[0], low[1]), (1, high[0], high[1])) if low[0] < high[0] and low[1] < high[1] else None


def _part(value: Mapping[str, Any], name: str, size: int) -> float:
    """Return a number of percent as pixels."""
    said = value.get(name)
    if isinstance(said, bool) or not isinstance(said, int | float) or not abs(said) < 1e6:
        raise UnreadableError(f"A mark needs a number {name!r}, in percent; got {str(said)[:40]!r}.")
    return said * size / 100
