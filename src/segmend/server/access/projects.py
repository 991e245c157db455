"""Routes on projects, the labels that their sessions begin with, and structures that a label may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from segmend import methods
from segmend.core.codes import codes_to_json
from segmend.core.session import Label, label_from_json
from segmend.errors import PromptError
from segmend.io.segmentcodes import structures as found_structures
from segmend.runtime.versions import in_use
from segmend.server.access.rights import AccessNow
from segmend.server.bodies import MAX_SMALL_BYTES, Json, check_label, json_body
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import NewFirstMasksJson, NewTemplateJson, ProjectJson, StructureJson, body
from segmend.server.state import SharedNow, UserNow
from segmend.store.records import FirstMasks, Project

router = APIRouter(prefix="/api", tags=["projects"], responses=PROBLEMS)


def project_to_json(project: Project) -> dict[str, Any]:
    """Return a project as plain JSON values."""
    first = None if project.first is None else {"method": project.first.method, "dice": project.first.dice}
    return {"name": project.name, "template": [_label_to_json(label) for label in project.template], "first": first}


def _label_to_json(label: Label) -> dict[str, Any]:
    codes = None if label.codes is None else codes_to_json(label.codes)
    return {"name": label.name, "colour": list(label.colour), "codes": codes, "overlaps": label.layer != 0}


@router.get("/projects", response_model=list[ProjectJson], summary="Projects, and what their sessions begin with")
def projects(here: SharedNow, access: AccessNow) -> Response:
    seen = access.visible
    found = [project for project in here.store.projects() if seen is None or project.name in seen]
    return JSONResponse([project_to_json(project) for project in found])


@router.put(
    "/projects/{project}/template",
    response_model=ProjectJson,
    summary="Say which labels new sessions of a project begin with",
    openapi_extra=body(NewTemplateJson),
)
async def set_template(project: str, request: Request, here: SharedNow, who: UserNow) -> Response:
    labels = template_of(await json_body(request, 4 * MAX_SMALL_BYTES))
    changed = await run_in_threadpool(here.store.by(who).set_template, project, labels)
    return JSONResponse(project_to_json(changed))


@router.put(
    "/projects/{project}/first-masks",
    response_model=ProjectJson,
    summary="Say which method makes the first masks of a project's cases when they are first opened; null: none",
    openapi_extra=body(NewFirstMasksJson),
)
async def set_first_masks(project: str, request: Request, here: SharedNow) -> Response:
    first = first_masks_of(await json_body(request, MAX_SMALL_BYTES), here.settings.weights)
    changed = await run_in_threadpool(here.store.set_first_masks, project, first)
    return JSONResponse(project_to_json(changed))


def first_masks_of(values: Json, weights: Mapping[str, Path]) -> FirstMasks | None:
    """Return the method in a JSON object with its measured Dice: as said, or as its weights were validated."""
    method, dice = values.get("method"), values.get("dice")
    if method is None:
        return None
    if not isinstance(method, str):
        raise PromptError(f"First masks need the id of a method, or null; got {method!r}.")
    folder = weights.get(methods.family_of(method))
    card = methods.card(method, folder)
    if not card.guesses and not card.labels:
        raise PromptError(f"{card.title} finds nothing without a mark; first masks need a method that does.")
    dice = _validated(folder) if dice is None else dice
    if isinstance(dice, bool) or not isinstance(dice, int | float):
        raise PromptError(
            "First masks need the Dice that was measured for the method on cases that it did not learn from."
        )
    return FirstMasks(card.id, float(dice))


def _validated(folder: Path | None) -> float | None:
    """Return the Dice that a training measured on its validation cases; None where the folder does not say."""
    if folder is None:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads((in_use(folder) / "run.json").read_text(encoding="utf-8"))["scores"]["dice"])
    return None


def template_of(values: Json) -> list[Label]:
    """Return the labels of a template in a JSON object.

    >>> template_of({"labels": [{"name": "liver", "colour": [230, 75, 60]}]})
    [Label(value=1, name='liver', colour=(230, 75, 60), locked=False, opacity=1.0, codes=None, layer=0, instance=None)]
    """
    listed = values.get("labels")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise PromptError("A template needs a list of labels.")
    labels: list[Label] = []
    for one in listed:
        missing = {"name", "colour"} - one.keys()
        if missing:
            raise PromptError(f"A label of a template needs a name and a colour; one lacks its {min(missing)}.")
        try:
            label = label_from_json({"value": 1, **one})
        except (TypeError, ValueError) as error:
            if isinstance(error, PromptError):
                raise
            raise PromptError("A colour needs three whole numbers of 0 to 255.") from None
        check_label(label)
        overlaps = one.get("overlaps", False)
        if not isinstance(overlaps, bool):
            raise PromptError(f"'overlaps' needs true or false; got {overlaps!r}.")
        value = len(labels) + 1
        labels.append(replace(label, value=value, layer=value if overlaps else 0))
    return labels


@router.get(
    "/structures",
    response_model=list[StructureJson],
    summary="Organs, tissues and lesions with their SNOMED CT codes, as a search finds them",
)
def structures(
    q: Annotated[str, Query(max_length=100, description="beginnings of words; left, right or both say a side")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    found = found_structures(q, limit)
    return JSONResponse([{"name": one.name, "codes": codes_to_json(one.codes)} for one in found])
