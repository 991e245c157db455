"""Labelme: a JSON file beside each picture.

    0001.png   0001.json      "shapes": [{"label": "nevus", "shape_type": "polygon", "points": [[x, y], ...]}, ...]

Polygons, rectangles, circles and masks are read; lines and points say nothing of an area and are left out. A label's
value is its place in the order of all names that occur. Where shapes overlap the later one holds. Pictures without a
JSON file have no masks.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from segmend import io
from segmend.core.image import LabelMap, MaskArray, bounds
from segmend.core.marks import fill_polygon
from segmend.datasets.case import Case, Example, Found, found, plain_names
from segmend.datasets.generic import stem
from segmend.datasets.writing import Entry, FolderWriter
from segmend.errors import FileError

LAYOUT = "Labelme (NAME.json with shapes beside NAME.png)"
VERSION = "5.4.1"  # the first with all that is written here, and some time behind it
AREAS = ("polygon", "rectangle", "circle", "mask")


@dataclass(frozen=True)
class LabelmeCase(Case):
    """A picture and its shapes."""

    image: str
    called: tuple[tuple[int, str], ...]

    @property
    def image_files(self) -> tuple[Path, ...]:
        return (self.folder / self.image,)

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    def read(self) -> Example:
        image = io.read(*self.image_files)
        values = {name: value for value, name in self.called}
        labels = np.zeros(image.shape, np.uint16)
        for shape in _shapes(self.folder / f"{self.name}.json") or ():
            try:
                labels[0][area_of(shape, *image.shape[1:])] = values[shape["label"]]
            except (KeyError, TypeError, ValueError, IndexError, OSError, binascii.Error):
                raise FileError(f"A shape in {self.name}.json is not as Labelme writes them.") from None
        return Example(image, image, labels)


def _told(path: Path) -> dict[str, Any] | None:
    """Return the values of a file of Labelme, None for any other."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(values, dict) and isinstance(values.get("shapes"), list) and "imagePath" in values
    return values if known else None


def _shapes(path: Path) -> list[dict[str, Any]] | None:
    """Return the shapes of a file that have an area, None where it is no file of Labelme."""
    values = _told(path)
    if values is None:
        return None
    return [one for one in values["shapes"] if isinstance(one, dict) and one.get("shape_type", "polygon") in AREAS]


def look(folder: Path) -> Found | None:
    """Return the pictures of a folder of this layout, None when it is none."""
    files = [path for path in sorted(folder.glob("*.json")) if path.name != "split.json"]
    told = {path.stem: values for path in files if (values := _told(path)) is not None}
    if not told:
        return None
    shapes = [one for values in told.values() for one in values["shapes"] if isinstance(one, dict)]
    names = sorted({str(one.get("label", "")) for one in shapes if one.get("shape_type", "polygon") in AREAS})
    called = tuple(enumerate(names, 1))
    pictures = {stem(name): name for name in plain_names(folder) if stem(name) != name}
    cases = [
        LabelmeCase(folder, name, pictures.get(name) or Path(str(values["imagePath"])).name, called)
        for name, values in told.items()
    ]
    without = [LabelmeCase(folder, name, picture, called) for name, picture in pictures.items() if name not in told]
    return found(folder, cases, unlabelled=without)


def area_of(shape: Mapping[str, Any], rows: int, columns: int) -> MaskArray:
    """Return the pixels of a shape; its points are (x, y) from the corner of the picture.

    >>> square = {"shape_type": "rectangle", "points": [[0, 0], [2, 1]]}
    >>> area_of(square, 2, 3).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    points = np.array(shape["points"], float).reshape(-1, 2)[:, ::-1]
    kind = shape.get("shape_type", "polygon")
    if kind == "mask":
        return _crop(shape["mask"], points, rows, columns)
    if kind == "rectangle":
        (top, left), (bottom, right) = points
        points = np.array([(top, left), (top, right), (bottom, right), (bottom, left)])
    if kind == "circle":
        middle, edge = points
        y, x = np.mgrid[:rows, :columns] + 0.5
        return np.asarray(np.hypot(y - middle[0], x - middle[1]) <= np.hypot(*(edge - middle)))
    return fill_polygon(points - 0.5, rows, columns)


def _crop(packed: str, points: np.ndarray, rows: int, columns: int) -> MaskArray:
    with Pillow.open(BytesIO(base64.b64decode(packed, validate=True))) as file:
        crop = np.asarray(file).astype(bool)
    top, left = points[0].astype(int).tolist()
    if top < 0 or left < 0 or crop.ndim != 2 or top + crop.shape[0] > rows or left + crop.shape[1] > columns:
        raise ValueError(points)
    inside = np.zeros((rows, columns), bool)
    inside[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return inside


class Writer(FolderWriter):
    """Such a folder in the making: a shape for each label of a picture, as a mask, which loses no pixel."""

    flat = True

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        files = [self.placed(f"{entry.name}.png"), self.placed(f"{entry.name}.json")]
        io.write_image(files[0], entry.image)
        _, rows, columns = entry.image.shape
        names = self.labels.by_value
        told: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": [self._shape(names[v], values[0] == v) for v in np.unique(values).tolist() if v],
            "imagePath": files[0].name,
            "imageData": None,
            "imageHeight": rows,
            "imageWidth": columns,
        }
        files[1].write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        return files

    def _shape(self, name: str, mask: MaskArray) -> dict[str, Any]:
        box = bounds(mask[None])
        assert box is not None
        (_, top, left), (_, bottom, right) = box.low, box.high
        packed = BytesIO()
        Pillow.fromarray(mask[top:bottom, left:right]).save(packed, "PNG")
        return {
            "label": name,
            "points": [[left, top], [right - 1, bottom - 1]],
            "group_id": None,
            "description": "",
            "shape_type": "mask",
            "flags": {},
            "mask": base64.b64encode(packed.getvalue()).decode(),
        }
