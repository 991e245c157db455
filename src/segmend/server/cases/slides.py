"""Routes on slides: what there is, tiles of the picture and of the mask, fields of view, and the mask as a file.

A *field of view* is a region at one level, small enough for a picture. Marking in it is a session like any other, which
begins with the labels and the mask that the slide has there; what its marks change is a part of the slide's mask
(`segmend.core.slidemask`). Tiles are made one or two at a time, so that a slide that is scrolled through leaves threads
to clicks.
"""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Body, Path, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.background import BackgroundTask

from segmend.core.image import bounds
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, Defined, Event, Label, Prompted
from segmend.core.slidemask import Labels, areas, flat_at, labels_at
from segmend.errors import LimitError, NotFoundError, PromptError
from segmend.io.slides import Slide
from segmend.results.kinds import file_name
from segmend.results.slide import write_geojson, write_label_tiff
from segmend.server.bodies import SmallBodyRoute
from segmend.server.cases.cases import NIFTI, FirstSlice, LastSlice, WantedRange, send_file, send_slices
from segmend.server.cases.scratch import scratch_folder
from segmend.server.cases.slide_files import FieldState, field_state, labels_of, marked_in, version_of
from segmend.server.cases.volumes import Volume
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import FieldOfViewJson, NewFieldJson, SlideJson
from segmend.server.state import Shared, SharedNow, UserNow
from segmend.store import SessionRecord
from segmend.store.records import Field

router = APIRouter(prefix="/api/cases", tags=["slides"], responses=PROBLEMS, route_class=SmallBodyRoute)
JPEG, PNG = "image/jpeg", "image/png"
# Pixels of a side of the tiles that are sent, and how well they are kept.
TILE, QUALITY = 512, 88
# Pixels round what is seen that a method gets to see as well.
MARGIN = 64
# Pixels of a side of a field of view: what is seen may be so large, and with its margin this much more.
MOST_SEEN = 1408
LEAST_SEEN = 16

Level = Annotated[int, Path(ge=0, le=30)]
Place = Annotated[int, Path(ge=0, le=1 << 20)]


@router.get(
    "/{case}/slide", response_model=SlideJson, summary="A whole-slide image: its levels, labels and fields of view"
)
async def slide(case: str, here: SharedNow) -> Response:
    async with here.measuring:
        return JSONResponse(await run_in_threadpool(_told, here, case))


def _told(here: Shared, case: str) -> dict[str, Any]:
    found, states = here.sessions.slides.get(case), here.sessions.slides.states(case)
    covered: Counter[int] = Counter()
    for changes in marked_in(states).values():
        covered.update(areas(changes, found.height, found.width))
    return {
        "case": case,
        "width": found.width,
        "height": found.height,
        "levels": found.levels,
        "tile": TILE,
        "most": MOST_SEEN,
        "um": None if found.um is None else list(found.um),
        "version": version_of(states),
        "labels": [_label_to_json(label, covered[value], found) for value, label in labels_of(states).items()],
        "fields": [_field_to_json(state, found) for state in states],
    }


def _label_to_json(label: Label, pixels: int, slide: Slide) -> dict[str, Any]:
    area = None if slide.um is None else pixels * slide.um[0] * slide.um[1] / 1e6
    return {
        "value": label.value,
        "name": label.name,
        "colour": list(label.colour),
        "pixels": pixels,
        "area_mm2": area,
    }


def _field_to_json(state: FieldState, slide: Slide) -> dict[str, Any]:
    record, field = state.record, state.record.field
    assert field is not None
    um = slide.um_at(field.level)
    return {
        "session": record.id,
        "case": record.case,
        "level": field.level,
        "low": list(field.low),
        "high": list(field.high),
        "um": None if um is None else list(um),
        "user": record.user,
        "created": record.created.isoformat(),
        "begun": field.begun,
        "marks": state.marks,
    }


@router.get(
    "/{case}/slide/tiles/{level}/{row}/{column}",
    summary="A tile of a level as a JPEG; those at the right and lower border are smaller",
    response_class=Response,
    responses={200: {"content": {JPEG: {}}}},
)
async def tile(case: str, level: Level, row: Place, column: Place, here: SharedNow) -> Response:
    async with here.tiling:
        return Response(await run_in_threadpool(_tile, here, case, level, row, column), media_type=JPEG)


def _tile(here: Shared, case: str, level: int, row: int, column: int) -> bytes:
    from PIL import Image as Pillow

    found = _slide_now(here, case)
    y, x, height, width = _box_of_tile(found, level, row, column)
    file = io.BytesIO()
    Pillow.fromarray(found.read(level, y, x, height, width)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _slide_now(here: Shared, case: str) -> Slide:
    here.store.case(case)  # another server may have deleted it
    return here.sessions.slides.get(case)


def _box_of_tile(slide: Slide, level: int, row: int, column: int) -> tuple[int, int, int, int]:
    """Return where a tile begins and how large it is; NotFoundError where there is none."""
    if level >= slide.levels:
        raise NotFoundError(f"This slide has levels 0 to {slide.levels - 1}; there is no {level}.")
    height, width = slide.shape(level)
    rows, columns = -(-height // TILE), -(-width // TILE)
    if row >= rows or column >= columns:
        raise NotFoundError(f"Level {level} of this slide has {rows} x {columns} tiles; there is no ({row}, {column}).")
    y, x = row * TILE, column * TILE
    return y, x, min(TILE, height - y), min(TILE, width - x)


@router.get(
    "/{case}/slide/mask/{level}/{row}/{column}",
    summary="A tile of the slide's mask as a PNG in the labels' colours; 204 where nothing is marked",
    response_class=Response,
    responses={200: {"content": {PNG: {}}}, 204: {"description": "Nothing is marked there."}},
)
async def mask_tile(case: str, level: Level, row: Place, column: Place, here: SharedNow) -> Response:
    async with here.tiling:
        content = await run_in_threadpool(_mask_tile, here, case, level, row, column)
    return Response(status_code=204) if content is None else Response(content, media_type=PNG)


def _mask_tile(here: Shared, case: str, level: int, row: int, column: int) -> bytes | None:
    found, states = here.sessions.slides.get(case), here.sessions.slides.states(case)
    y, x, height, width = _box_of_tile(found, level, row, column)
    labels = flat_at(marked_in(states), level, (y, x), (y + height, x + width))
    return coloured(labels, labels_of(states)) if labels.any() else None


def coloured(labels: Labels, known: Mapping[int, Label]) -> bytes:
    """Return labels as a PNG with a palette of their colours, in which 0 is transparent; 255 labels at most."""
    from PIL import Image as Pillow

    values, places = np.unique(labels, return_inverse=True)
    values = values[:256]
    indices = np.minimum(places, len(values) - 1).reshape(labels.shape).astype(np.uint8)
    picture = Pillow.fromarray(indices)
    colours = [known[value].colour if value in known else (128, 128, 128) for value in values.tolist()]
    picture.putpalette([part for colour in colours for part in colour])
    file = io.BytesIO()
    shown = bytes(0 if value == 0 else 255 for value in values.tolist())
    picture.save(file, "PNG", transparency=shown, compress_level=1)
    return file.getvalue()


# Fields of view


@router.post(
    "/{case}/fields",
    status_code=201,
    response_model=FieldOfViewJson,
    summary="A field of view to mark in, round what is seen: a new one, or the last one there if it holds it",
)
def add_field(case: str, body: Annotated[NewFieldJson, Body()], here: SharedNow, who: UserNow) -> Response:
    found, states = _slide_now(here, case), here.sessions.slides.states(case)
    seen = _seen(found, body)
    state = _last_one_round(states, seen) or _new_field(here, case, found, states, seen, who)
    return JSONResponse(_field_to_json(state, found), 201)


def _seen(slide: Slide, body: NewFieldJson) -> Field:
    """Return what is seen, cut to the slide; PromptError where that is none, LimitError where it is too large."""
    if body.level >= slide.levels:
        raise PromptError(f"This slide has levels 0 to {slide.levels - 1}; got {body.level}.")
    height, width = slide.shape(body.level)
    low = max(0, body.low[0]), max(0, body.low[1])
    high = min(height, body.high[0]), min(width, body.high[1])
    if high[0] - low[0] < min(LEAST_SEEN, height) or high[1] - low[1] < min(LEAST_SEEN, width):
        raise PromptError(
            f"A field of view needs at least {LEAST_SEEN} pixels of the slide a side; level {body.level} has "
            f"{height} x {width}, got {body.low} to {body.high}."
        )
    if max(high[0] - low[0], high[1] - low[1]) > MOST_SEEN:
        raise LimitError(
            f"A field of view has at most {MOST_SEEN} pixels a side; got {high[0] - low[0]} x {high[1] - low[1]}: "
            "look closer, or ask for a coarser level."
        )
    return Field(body.level, low, high)


def _last_one_round(states: list[FieldState], seen: Field) -> FieldState | None:
    """Return the newest field of view that reaches into what is seen, where it holds all of it at this level."""
    k = seen.level
    box = seen.low[0] << k, seen.low[1] << k, seen.high[0] << k, seen.high[1] << k
    for state in reversed(states):
        field = state.record.field
        assert field is not None
        j = field.level
        y0, x0, y1, x1 = field.low[0] << j, field.low[1] << j, field.high[0] << j, field.high[1] << j
        if y0 < box[2] and box[0] < y1 and x0 < box[3] and box[1] < x1:
            holds = y0 <= box[0] and x0 <= box[1] and box[2] <= y1 and box[3] <= x1
            return state if j == k and holds else None
    return None


def _new_field(here: Shared, case: str, slide: Slide, states: list[FieldState], seen: Field, who: str) -> FieldState:
    height, width = slide.shape(seen.level)
    low = max(0, seen.low[0] - MARGIN), max(0, seen.low[1] - MARGIN)
    high = min(height, seen.high[0] + MARGIN), min(width, seen.high[1] + MARGIN)
    there = [labels_at(changes, seen.level, low, high) for changes in marked_in(states).values()]
    template = here.store.project(here.store.case(case).project).template
    labels = labels_of(states) or {label.value: label for label in template}
    record = here.store.add_field(case, Field(seen.level, low, high), begin(labels, there), user=who)
    with here.sessions.open(record.id) as opened:
        session = opened.session
    return field_state(record, session, (len(session.events), len(session.answers)))


def begin(labels: Mapping[int, Label], there: Sequence[Labels]) -> list[Event]:
    """Return the events that a field of view begins with: the slide's labels, and its mask there, of each layer."""
    events: list[Event] = [Defined(label, joined=place > 0) for place, label in enumerate(labels.values())]
    for found in there:
        for value in np.unique(found).tolist():
            if value and value in labels:
                inside = (found == value)[None]
                box = bounds(inside)
                assert box is not None
                events.append(Prompted(Mask(inside[box.slices], box.low), value, GIVEN, joined=True))
    return events


@router.get("/{case}/fields/{session}", response_model=FieldOfViewJson, summary="A field of view")
def one_field(case: str, session: str, here: SharedNow) -> Response:
    _field_of(here, case, session)
    found, states = _slide_now(here, case), here.sessions.slides.states(case)
    state = next(state for state in states if state.record.id == session)
    return JSONResponse(_field_to_json(state, found))


def _field_of(here: Shared, case: str, session: str) -> SessionRecord:
    record = here.store.session_record(session)
    if record.case != case or record.field is None:
        raise NotFoundError(f"There is no field of view {session!r} of this slide.")
    return record


@router.get(
    "/{case}/fields/{session}/volume.nii",
    summary="A field of view as an uncompressed NIfTI-1 file, or a range of its bytes",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}, 206: {"content": {NIFTI: {}}}},
)
def field_volume(case: str, session: str, here: SharedNow, wanted: WantedRange = "") -> Response:
    return send_file(Volume(here.sessions.images.of(_field_of(here, case, session)), None), wanted)


@router.get(
    "/{case}/fields/{session}/slices",
    summary="The pixels of a field of view, as those of a case come",
    response_class=Response,
    responses={200: {"content": {NIFTI: {}}}},
)
def field_slices(
    case: str, session: str, here: SharedNow, low: FirstSlice, high: LastSlice, packed: bool = False
) -> Response:
    return send_slices(Volume(here.sessions.images.of(_field_of(here, case, session)), None), low, high, packed)


# The mask as a file


@router.get(
    "/{case}/slide/export",
    summary="The slide's mask: outlines for QuPath (GeoJSON), or a label map in tiles with a pyramid (TIFF)",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def export(
    case: str,
    here: SharedNow,
    who: UserNow,
    suffix: Annotated[Literal[".geojson", ".tif"], Query(alias="format")] = ".geojson",
) -> Response:
    here.looks.note_taken(who, "exported", here.store.case(case), kind=suffix)
    found, states = _slide_now(here, case), here.sessions.slides.states(case)
    marked, labels = marked_in(states), labels_of(states)
    folder = scratch_folder(here.settings.data, "export-", elsewhere=True)
    try:
        path = folder / f"{file_name(here.store.case(case).name)}-mask{suffix}"
        write = write_geojson if suffix == ".geojson" else write_label_tiff
        write(path, marked, labels, found.height, found.width, found.um)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        path,
        filename=path.name,
        media_type="application/octet-stream",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )
