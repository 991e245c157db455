"""COCO: pictures, and their objects in one JSON file a split.

    annotations/instances_train.json      or *.json in the folder, with images, annotations and categories
    images/0001.png                       or train/0001.png, or beside the JSON file

Objects are polygons or run lengths, packed or not; a label is a category. Where objects overlap the later one holds, so
things of one category are one label. A category's value is its id. A picture without annotations has no masks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend import io
from segmend.core.image import LabelMap, MaskArray, bounds
from segmend.core.marks import fill_polygon
from segmend.datasets.case import Case, Example, Found, found, plain_names
from segmend.datasets.generic import stem
from segmend.datasets.writing import Entry, FolderWriter
from segmend.errors import FileError

LAYOUT = "COCO (annotations/instances_*.json with images, annotations and categories)"
NEEDED = {"images", "annotations", "categories"}
SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test"}


@dataclass(frozen=True)
class CocoCase(Case):
    """A picture and its annotations."""

    image: str
    file: str  # of the annotations
    annotations: tuple[Mapping[str, Any], ...] = field(compare=False, repr=False)
    called: tuple[tuple[int, str], ...]

    @property
    def image_files(self) -> tuple[Path, ...]:
        return (self.folder / self.image,)

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    def read(self) -> Example:
        image = io.read(*self.image_files)
        _, rows, columns = image.shape
        labels = np.zeros(image.shape, np.uint16)
        for annotation in self.annotations:
            try:
                inside = mask_of(annotation["segmentation"], rows, columns)
                labels[0][inside] = int(annotation["category_id"])
            except (KeyError, TypeError, ValueError, IndexError, OverflowError):
                raise FileError(
                    f"An object of {self.name} in {self.file} is neither polygons nor run lengths of the picture."
                ) from None
        return Example(image, image, labels)


def _told(path: Path) -> dict[str, Any] | None:
    """Return the values of a COCO file, None for any other."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    lists = isinstance(values, dict) and all(isinstance(values.get(key), list) for key in NEEDED)
    return values if lists else None


def look(folder: Path) -> Found | None:
    """Return the pictures of a folder of this layout, None when it is none."""
    named = {stem(name) for name in plain_names(folder) if stem(name) != name}  # a JSON file each is of Labelme
    files = sorted(path for path in folder.glob("*.json") if path.stem not in named and path.name != "split.json")
    files += sorted([*folder.glob("annotations/*.json"), *folder.glob("*/_annotations.coco.json")])
    told = {path: values for path in files if (values := _told(path)) is not None}
    if not told:
        return None
    cases: dict[str, CocoCase] = {}
    splits: dict[str, list[str]] = {}
    lacking: list[CocoCase] = []
    for path, values in told.items():
        try:
            called = tuple(sorted((int(c["id"]), str(c["name"])) for c in values["categories"]))
            if any(not 0 < value < 2**16 for value, _ in called):
                raise FileError(f"{path.name} has a category whose id is not 1 to 65535, so it can be no label.")
            annotated: dict[int, list[Mapping[str, Any]]] = {}
            for one in values["annotations"]:
                annotated.setdefault(int(one["image_id"]), []).append(one)
            for image in values["images"]:
                where = _place(folder, path, str(image["file_name"]))
                name = stem(Path(image["file_name"]).name)
                drawn = tuple(annotated.get(int(image["id"]), ()))
                case = CocoCase(folder, name, where, path.relative_to(folder).as_posix(), drawn, called)
                if not drawn:
                    lacking.append(case)
                    continue
                cases[name] = case
                splits.setdefault(_split(path), []).append(name)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{path.name} needs images, annotations and categories as COCO has them.") from None
    if (folder / "split.json").is_file() or not all(splits):
        return found(folder, list(cases.values()), unlabelled=lacking)
    known = {split: tuple(cases[name] for name in dict.fromkeys(names)) for split, names in splits.items()}
    return Found(folder.resolve().name, known, tuple(lacking))


def _split(path: Path) -> str:
    """Return the split that a file of annotations is of, by its name or its folder's; "" where they do not say."""
    words = f"{path.parent.name} {path.stem}".lower().replace("_", " ").replace("-", " ").split()
    return next((split for word in words for start, split in SPLITS.items() if word.startswith(start)), "")


def _place(folder: Path, path: Path, name: str) -> str:
    """Return where a picture lies, from the folder on."""
    split = path.stem.removeprefix("instances_")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise FileError(f"{path.name} needs pictures in its own folder; got {name!r}.")
    below = path.parent.relative_to(folder).as_posix()
    places = [f"images/{name}", name, f"{split}/{name}", f"images/{split}/{name}", f"{below}/{name}"]
    return next((place for place in places if (folder / place).is_file()), places[0])


def mask_of(segmentation: Any, rows: int, columns: int) -> MaskArray:
    """Return the pixels of an object: polygons [x, y, x, y, ...] from pixels' corners, or run lengths down columns.

    >>> mask_of({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    >>> mask_of([[0, 0, 2, 0, 2, 1, 0, 1]], 2, 3).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
        if list(segmentation["size"]) != [rows, columns] or (runs < 0).any() or runs.sum() != rows * columns:
            raise ValueError(segmentation["size"])
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return np.asarray(inside.reshape(columns, rows).T)
    inside = np.zeros((rows, columns), bool)
    for polygon in segmentation:
        corners = np.array(polygon, float).reshape(-1, 2)[:, ::-1] - 0.5
        inside |= fill_polygon(corners, rows, columns)
    return inside


def _unpacked(text: str) -> list[int]:
    """Return run lengths from the text that COCO packs them in: five bits a letter, differences from the fourth on."""
    runs: list[int] = []
    number = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        number |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                number |= -1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    return runs


def run_lengths(mask: MaskArray) -> list[int]:
    """Return the lengths of runs down the columns of a plane, the first one of what is not in the mask.

    >>> run_lengths(np.array([[False, True, False], [True, False, False]]))
    [1, 2, 3]
    """
    flat: NDArray[np.bool_] = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
    ends = [0, *edges.tolist(), flat.size]
    runs = [end - begin for begin, end in pairwise(ends)]
    return [0, *runs] if flat[0] else runs


class Writer(FolderWriter):
    """Such a folder in the making: an object for each label of a picture, as run lengths, which lose no pixel."""

    flat = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._images: dict[str, list[dict[str, Any]]] = {}
        self._objects: dict[str, list[dict[str, Any]]] = {}
        self._count = 0

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        path = self.placed("images", f"{entry.name}.png")
        io.write_image(path, entry.image)
        _, rows, columns = entry.image.shape
        number = 1 + sum(map(len, self._images.values()))
        about = {"id": number, "file_name": path.name, "height": rows, "width": columns}
        self._images.setdefault(entry.split, []).append(about)
        for value in np.unique(values).tolist():
            if value:
                self._objects.setdefault(entry.split, []).append(self._object(number, value, values[0] == value))
        return [path]

    def _object(self, image: int, value: int, mask: MaskArray) -> dict[str, Any]:
        box = bounds(mask[None])
        assert box is not None
        self._count += 1
        _, height, width = box.shape
        return {
            "id": self._count,
            "image_id": image,
            "category_id": value,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "bbox": [box.low[2], box.low[1], width, height],
            "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        }

    def about(self) -> Mapping[Path, Any]:
        categories: Sequence[dict[str, Any]] = [{"id": v, "name": name} for v, name in self.labels.by_value.items()]
        return {
            self.folder / "annotations" / f"instances_{split}.json": {
                "images": images,
                "annotations": self._objects.get(split, []),
                "categories": categories,
            }
            for split, images in self._images.items()
        }
