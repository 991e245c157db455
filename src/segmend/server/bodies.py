"""Reading what a client sends as JSON, with limits and one sentence when it is no such thing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from segmend.core.edits import Cut, Edit, Paint, Threshold
from segmend.core.image import Index
from segmend.core.prompts import MAX_POINTS, Click, Lasso, Mask, Prompt, Stroke, from_json
from segmend.core.session import Defined, Edited, Event, Label, Prompted, event_from_json
from segmend.errors import LimitError, PromptError
from segmend.server.replies import UnreadableError

MAX_NAME_LENGTH = 200  # characters of a label's name
MAX_LINE_VOXELS = 1_000_000  # length of a stroke or lasso
MAX_ROBOT_MARKS = 200  # of one game
# Values in one body: of a point three, and a list that holds them.
MAX_VALUES = 4 * MAX_POINTS + 1000
# Bytes of a body that FastAPI parses.
MAX_SMALL_BYTES = 64 << 10
Json = dict[str, Any]


async def json_body(request: Request, limit_bytes: int, *, optional: bool = False) -> Json:
    """Return the JSON object that is a request's body; it is parsed in a thread, and others go on meanwhile."""
    body = await limited_body(request, limit_bytes)
    return {} if optional and not body else await run_in_threadpool(json_object, body)


async def limited_body(request: Request, limit_bytes: int) -> bytes:
    """Return a request's body; LimitError as soon as it is too long."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit_bytes:
            raise LimitError(f"A body of JSON may have {limit_bytes} bytes here; this one is larger.")
        pieces.append(piece)
    return b"".join(pieces)


class SmallBodyRoute(APIRoute):
    """A route whose body FastAPI parses, as the event loop may: with a limit of its size, which FastAPI has not."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_small(request: Request) -> Response:
            request._body = await limited_body(request, MAX_SMALL_BYTES)
            return await handle(request)

        return handle_small


def json_object(text: str | bytes) -> Json:
    """Return a JSON object; UnreadableError when the text is none, LimitError when it has too many values.

    They are counted before it is parsed: Python's parser lets nobody else work until it is done, and makes lists of
    gigabytes of a few megabytes.

    >>> json_object('{"event": "undone"}')
    {'event': 'undone'}
    """
    values = text.count(b",") + text.count(b"[") if isinstance(text, bytes) else text.count(",") + text.count("[")
    if values > MAX_VALUES:
        raise LimitError(f"A body of JSON may have {MAX_VALUES} values, enough for {MAX_POINTS} points; it has more.")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("The body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise UnreadableError(f"The body needs a JSON object; got {type(parsed).__name__}.")
    return parsed


def event_of(values: Json, shape: Sequence[int], *, method: str) -> Event:
    """Return the event in a JSON object, for an image of this shape; a prompt without a method gets the usual one.

    >>> event_of({"event": "removed", "of": 3}, (1, 5, 5), method="mend")
    Removed(event=3)
    """
    if values.get("event") == "prompted":
        values = {"method": method, "overwrite": False, **values}
    _check_mask(values.get("prompt"), shape)
    edit = values.get("edit")
    _check_mask(edit.get("drawn") if isinstance(edit, dict) else None, shape)
    event = event_from_json(values)
    if isinstance(event, Prompted | Edited):
        _check_length(_line_of(event.prompt if isinstance(event, Prompted) else event.edit))
    if isinstance(event, Defined):
        check_label(event.label)
    return event


def compared_of(values: Json) -> tuple[int, str]:
    """Return the label and the method of a comparison in a JSON object.

    >>> compared_of({"label": 1, "method": "graphcut"})
    (1, 'graphcut')
    """
    label, method = values.get("label"), values.get("method")
    if not isinstance(label, int) or isinstance(label, bool) or not isinstance(method, str):
        raise PromptError(f"A label's number and a method's name are needed; got {label!r} and {str(method)[:40]!r}.")
    return label, method


def game_of(values: Json, shape: Sequence[int]) -> tuple[list[Prompt], Mask | None]:
    """Return a robot's marks and mask so far in a JSON object, for an image of this shape."""
    listed, mask = values.get("prompts", []), values.get("mask")
    if not isinstance(listed, list) or len(listed) > MAX_ROBOT_MARKS:
        raise PromptError(f"A game has a list of at most {MAX_ROBOT_MARKS} marks so far.")
    prompts = [from_json(one) for one in listed]
    if not all(isinstance(prompt, Click) for prompt in prompts):
        raise PromptError("A robot's marks are clicks.")
    _check_mask(mask, shape)
    packed = None if mask is None else from_json(mask)
    if packed is not None and not isinstance(packed, Mask):
        raise PromptError("The mask so far of a game is a prompt of kind mask.")
    return prompts, packed


def check_label(label: Label) -> None:
    """Raise PromptError for a name or colour that cannot be shown."""
    if len(label.name) > MAX_NAME_LENGTH or not label.name.isprintable():
        raise PromptError(f"A label needs a name of at most {MAX_NAME_LENGTH} printable characters.")
    if not all(0 <= part <= 255 for part in label.colour):
        raise PromptError(f"A colour needs three numbers of 0 to 255; got {list(label.colour)}.")


def _check_mask(prompt: Any, shape: Sequence[int]) -> None:
    """Refuse a mask or a drawing that unpacks to more than the image before it is unpacked."""
    claimed = prompt.get("shape") if isinstance(prompt, dict) and prompt.get("kind") in ("mask", "drawn") else None
    if isinstance(claimed, list) and all(isinstance(n, int) for n in claimed) and math.prod(claimed) > math.prod(shape):
        what = "drawing" if prompt["kind"] == "drawn" else "mask"
        raise PromptError(f"A {what} of shape {tuple(claimed)[:3]} does not fit the image of shape {tuple(shape)}.")


def _line_of(thing: Prompt | Edit) -> Sequence[Index]:
    """Return the points of what is drawn as a line; none of what is not."""
    if isinstance(thing, Threshold):
        return thing.region.points if isinstance(thing.region, Lasso) else ()
    return thing.points if isinstance(thing, Stroke | Lasso | Paint | Cut) else ()


def _check_length(points: Sequence[Index]) -> None:
    """Refuse a line that leads to and fro so often that drawing it would hold up everybody."""
    length = sum(max(abs(b - a) for a, b in zip(*pair, strict=True)) for pair in pairwise(points))
    if length > MAX_LINE_VOXELS:
        raise LimitError(f"A line may be {MAX_LINE_VOXELS} voxels long; this one has {length}.")
