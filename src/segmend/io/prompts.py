"""Prompts from files: our JSON, markups of 3D Slicer (.mrk.json), and tables of points (.csv).

Positions in millimetres become voxels once there is an image: `placed`. A file says in which space they are: markups
count to the left, back and head (LPS) unless they say RAS; a table counts RAS unless a column `space` says LPS.

A table has a row a point and the columns `z,y,x` (voxels; `y,x` in a picture) or `x_mm,y_mm,z_mm`; `positive` and
`case` where they are needed. Of markups, a list of points becomes clicks, a line or an open curve a stroke, a closed
curve a lasso, a box (ROI) a box. What is not of the object is told by its name: a point's label, or else the file's
name, begins with "negative", "background" or "-".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from segmend.core.edits import EDITS, edit_from_json
from segmend.core.image import Box, Image, Space
from segmend.core.prompts import Click, Lasso, Prompt, Stroke, from_json
from segmend.editing.steps import Step
from segmend.errors import FileError, PromptError
from segmend.io.rows import Row, read_rows

Shape = Literal["click", "stroke", "lasso", "box"]
Point = tuple[float, float, float]
ENDINGS = (".mrk.json", ".json", ".csv")
# How the label of a point, or the name of a file, begins that is not of the object.
NEGATIVE = ("negative", "neg-", "neg_", "background", "-")
COLUMNS = "columns z,y,x (voxels; y,x in a picture) or x_mm,y_mm,z_mm"
SIGNS = {
    **dict.fromkeys(("", "1", "true", "yes", "+", "positive", "foreground"), True),
    **dict.fromkeys(("0", "false", "no", "-", "negative", "background"), False),
}
SHAPES: Mapping[str, Shape] = {
    "Fiducial": "click", "Line": "stroke", "Curve": "stroke", "ClosedCurve": "lasso", "ROI": "box",
}  # fmt: skip


@dataclass(frozen=True)
class InMm:
    """A prompt whose points are positions in millimetres; of a box, its eight corners."""

    shape: Shape
    points: tuple[Point, ...]
    space: Space
    positive: bool = True

    def on(self, image: Image) -> Prompt:
        """Return the prompt on the voxels of an image; PromptError where a point is outside."""
        match self.shape:
            case "click":
                return Click.at_mm(self.points[0], image, positive=self.positive, space=self.space)
            case "stroke":
                return Stroke.at_mm(self.points, image, positive=self.positive, space=self.space)
            case "lasso":
                voxels = [image.voxel_at_mm(point, space=self.space) for point in self.points]
                axis = next((a for a in range(3) if len({voxel[a] for voxel in voxels}) == 1), 0)
                return Lasso.at_mm(self.points, image, axis=axis, positive=self.positive, space=self.space)
            case "box":
                return _box(self.points, image, self.space)


@dataclass(frozen=True)
class InPicture:
    """A click whose voxel was written y,x, as only a picture's can be."""

    click: Click

    def on(self, image: Image) -> Prompt:
        """Return the click; PromptError in a volume."""
        _, y, x = self.click.index
        check_flat(image, f"{y},{x}")
        return self.click


Unplaced = Step | InMm | InPicture


def placed(steps: Sequence[Unplaced], image: Image) -> list[Step]:
    """Return prompts and edits as they are on an image."""
    return [step.on(image) if isinstance(step, InMm | InPicture) else step for step in steps]


def check_flat(image: Image, written: str) -> None:
    """Raise PromptError unless an image is flat, for a voxel that was written y,x."""
    if not image.flat:
        raise PromptError(f"In a volume of shape {image.shape} a voxel needs three numbers z,y,x; got {written!r}.")


def _box(corners: Sequence[Point], image: Image, space: Space) -> Box:
    """Return the voxels that have their middle in a box, at least one along each axis, cut off at the image's edge."""
    found = np.array([image.to_index(corner, space=space) for corner in corners])
    low = np.ceil(found.min(axis=0) - 1e-6).astype(int)
    high = np.maximum(np.floor(found.max(axis=0) + 1e-6).astype(int), low) + 1
    box = Box.of(low.tolist(), high.tolist()).clipped(image.shape)
    if box.size == 0:
        raise PromptError(f"The box of the markups lies outside the image of shape {image.shape}.")
    return box


def read_prompts(path: Path, *, case: str | None = None) -> list[Unplaced]:
    """Return the prompts in a file, oldest first; of a table with a column `case`, those of one case."""
    name = path.name.lower()
    if name.endswith(".csv"):
        by_case = read_points(path)
        if "" in by_case or case is None:
            return [point for points in by_case.values() for point in points]
        return by_case.get(case, [])
    values = _json(path)
    if isinstance(values, dict) and "markups" in values:
        return read_markups(values, path.name)
    if not isinstance(values, list):
        raise FileError(f"The prompts in {path} need to be a JSON list; got {type(values).__name__}.")
    return [_step(value if isinstance(value, dict) else {}) for value in values]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FileError(f"The prompts in {path} could not be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise FileError(f"The prompts in {path} need to be a JSON list; this is not JSON.") from None


def _step(value: dict[str, Any]) -> Step:
    return edit_from_json(value) if value.get("kind") in EDITS else from_json(value)


def read_points(path: Path) -> dict[str, list[Unplaced]]:
    """Return the points of a table by case; all of them under "" where there is no column `case`."""
    found: dict[str, list[Unplaced]] = {}
    for row in read_rows(path, COLUMNS):
        found.setdefault(row.text("case"), []).append(_point(row, path.name))
    return found


def _point(row: Row, name: str) -> Unplaced:
    sign = row.text("positive", "sign").casefold()
    if sign not in SIGNS:
        raise PromptError(f"Line {row.line} of {name} needs true or false as positive; got {sign!r}.")
    if row.text("x_mm"):
        space = row.text("space").upper() or "RAS"
        if space not in ("RAS", "LPS"):
            raise PromptError(f"Line {row.line} of {name} needs RAS or LPS as space; got {space!r}.")
        numbers = [_number(row, column, name) for column in ("x_mm", "y_mm", "z_mm")]
        return InMm("click", ((numbers[0], numbers[1], numbers[2]),), cast(Space, space), SIGNS[sign])
    columns = ("z", "y", "x") if row.text("z") else ("y", "x")
    voxel = [_number(row, column, name) for column in columns]
    if any(number != int(number) for number in voxel):
        raise PromptError(f"Line {row.line} of {name} needs whole numbers for a voxel; got {row.texts}.")
    z, y, x = [0, *map(int, voxel)][-3:]
    click = Click((z, y, x), positive=SIGNS[sign])
    return click if len(columns) == 3 else InPicture(click)


def _number(row: Row, column: str, name: str) -> float:
    text = row.text(column)
    try:
        number = float(text.replace(",", "."))
        if math.isfinite(number):
            return number
    except ValueError:
        pass
    came = f"{column} {text!r}" if text else f"no {column}"
    raise PromptError(f"Line {row.line} of {name} needs {COLUMNS} with numbers; got {came}.")


def read_markups(values: Mapping[str, Any], name: str) -> list[Unplaced]:
    """Return the markups of 3D Slicer in a file as prompts."""
    try:
        return [prompt for markup in values["markups"] for prompt in _markup(markup, name)]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, PromptError):
            raise
        raise FileError(f"{name} holds no markups as 3D Slicer writes them: {error!r}.") from None


def _markup(markup: Mapping[str, Any], name: str) -> list[InMm]:
    kind = markup["type"]
    if kind not in SHAPES:
        raise PromptError(f"Markups can be {', '.join(SHAPES)}; {name} has {kind}.")
    space = markup.get("coordinateSystem", "LPS")
    if space not in ("RAS", "LPS") or markup.get("coordinateUnits", "mm") != "mm":
        raise PromptError(f"Markups need positions in mm, RAS or LPS; {name} has {space} in other units or none.")
    shape = SHAPES[kind]
    if shape == "box":
        return [InMm("box", _corners(markup), space)]
    points = [point for point in markup["controlPoints"] if point.get("positionStatus", "defined") == "defined"]
    found = [(_position(point["position"]), _is_positive(point, name)) for point in points]
    if shape == "click":
        return [InMm("click", (position,), space, positive) for position, positive in found]
    positions = tuple(position for position, _ in found)
    return [InMm(shape, positions, space, all(positive for _, positive in found))] if positions else []


def _position(values: Sequence[float]) -> Point:
    x, y, z = (float(value) for value in values)
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(values)
    return x, y, z


def _is_positive(point: Mapping[str, Any], name: str) -> bool:
    stem = name.lower().removesuffix(".json").removesuffix(".mrk")
    words = (str(point.get("label") or "").casefold(), str(point.get("description") or "").casefold())
    return not (any(word.startswith(NEGATIVE) for word in words) or stem.endswith((".negative", "_negative")))


def _corners(markup: Mapping[str, Any]) -> tuple[Point, ...]:
    """Return the corners of a box that may be turned: `orientation` has its axes as columns."""
    middle, size = np.array(_position(markup["center"])), np.array(_position(markup["size"]))
    axes = np.array(markup.get("orientation", np.eye(3).ravel().tolist()), float).reshape(3, 3)
    halves = [(i, j, k) for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)]
    return tuple(_position((middle + axes @ (size * half)).tolist()) for half in halves)
