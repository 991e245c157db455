"""Data sets as folders: `images/`, `labels/` and `split.json`, or a folder of such folders.

A case is named in `split.json` under its split ("train", "val", "test", or any other name). Its image
is `images/NAME.suffix`, in any format that `segmend.io` reads, a folder of DICOM files included; its
label map is `labels/NAME.suffix`. Two more entries of `split.json` are understood:

    "images_per_case": ["{id}_flair", "{id}_t1c"]   several images a case, which become channels
    "labels": "16-bit instance ids"                 any text with the word "instance": labels number
                                                    single things, not kinds of things

Every value of a label map is one object either way. A split called "all" is every case there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segmend import io
from segmend.errors import FileError, GeometryError, SettingsError
from segmend.image import Image, LabelMap, MaskArray

SUFFIXES = frozenset(["", ".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha", ".mhd", ".dcm", ".zip"])
SUFFIXES |= {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
EVERY = "all"
LEAST_PIXELS, LEAST_VOXELS = 20, 50  # of an object, in a flat image and in a volume


@dataclass(frozen=True)
class Case:
    """One annotated case; its files are opened only by `read`."""

    folder: Path
    name: str
    images: tuple[str, ...]  # file names without suffix
    instances: bool = False

    def read(self) -> Example:
        """Return the images, as channels of one, and the label map."""
        parts = [io.read(_file(self.folder / "images", name)) for name in self.images]
        image = stacked(parts)
        return Example(image, parts[0], io.read_mask(_file(self.folder / "labels", self.name), image))


@dataclass(frozen=True, eq=False)
class Example:
    """A case in memory."""

    image: Image  # all images of the case, as channels
    first: Image  # the first of them alone
    labels: LabelMap  # [z y x]

    def objects(self) -> Iterator[tuple[int, MaskArray]]:
        """Yield each label value with its mask, those too small to measure left out."""
        least = LEAST_PIXELS if self.image.flat else LEAST_VOXELS
        values, sizes = np.unique(self.labels, return_counts=True)
        for value, size in zip(values.tolist(), sizes.tolist(), strict=True):
            if value != 0 and size >= least:
                yield value, np.asarray(self.labels == value)


@dataclass(frozen=True)
class DataSet:
    """The cases of one split of one folder."""

    name: str
    cases: tuple[Case, ...]


def sets(path: Path, split: str, *, limit: int | None = None) -> tuple[DataSet, ...]:
    """Return the data sets in a folder that have cases in this split, at most `limit` cases each."""
    if limit is not None and limit < 1:
        raise SettingsError(f"A limit needs to be 1 case or more; got {limit}.")
    if not path.is_dir():
        raise FileError(f"There is no folder {path}.")
    folders = [path] if (path / "images").is_dir() else sorted(f for f in path.iterdir() if (f / "images").is_dir())
    if not folders:
        raise FileError(f"A data set needs images/, labels/ and split.json, or folders with them; {path} has none.")
    splits = {folder: _splits(folder) for folder in folders}
    known = sorted({name for found in splits.values() for name in found.names} | {EVERY})
    if split not in known:
        raise SettingsError(f"There is no split {split!r} in {path}; there are {', '.join(known)}.")
    found = [DataSet(folder.resolve().name, splits[folder].cases(split)[:limit]) for folder in folders]
    chosen = tuple(one for one in found if one.cases)
    if not chosen:
        raise SettingsError(f"The split {split!r} of {path} has no cases.")
    return chosen


def stacked(images: list[Image]) -> Image:
    """Return images of one grid as the channels of one image.

    >>> stacked([Image(np.zeros((1, 2, 3, 4))), Image(np.zeros((1, 2, 3, 4)))]).channels
    2
    """
    first = images[0]
    if len(images) == 1:
        return first
    for other in images[1:]:
        if other.shape != first.shape or not np.allclose(other.affine, first.affine, atol=1e-3):
            raise GeometryError(
                f"The images of one case need one grid; got shapes {first.shape} and {other.shape}"
                f" with spacings {first.spacing.round(3).tolist()} and {other.spacing.round(3).tolist()}."
            )
    notes = tuple(note for image in images for note in image.notes)
    return Image(np.concatenate([image.voxels for image in images]), first.affine, notes)


@dataclass(frozen=True)
class _Splits:
    folder: Path
    names: dict[str, tuple[str, ...]]
    templates: tuple[str, ...]
    instances: bool

    def cases(self, split: str) -> tuple[Case, ...]:
        names = self.names.get(split, ())
        if split == EVERY and EVERY not in self.names:
            names = tuple(name for listed in self.names.values() for name in listed)
        return tuple(
            Case(self.folder, name, tuple(t.replace("{id}", name) for t in self.templates), self.instances)
            for name in names
        )


def _splits(folder: Path) -> _Splits:
    told = f"The split.json of {folder.name}"
    try:
        values = json.loads((folder / "split.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{told} could not be read: {error.strerror}.") from None
    except ValueError:
        raise FileError(f"{told} needs to be JSON; this is not.") from None
    if not isinstance(values, dict):
        raise FileError(f"{told} needs names of splits; got {type(values).__name__}.")
    templates = values.get("images_per_case", ["{id}"])
    if not _names(templates) or not templates or any("{id}" not in t for t in templates):
        raise FileError(f"{told} needs images_per_case with {{id}} in each; got {templates!r}.")
    names = {key: tuple(value) for key, value in values.items() if _names(value) and key != "images_per_case"}
    for name in (name for listed in names.values() for name in listed):
        if Path(name).name != name:
            raise FileError(f"{told} needs plain names of cases; got {name!r}.")
    return _Splits(folder, names, tuple(templates), "instance" in str(values.get("labels", "")))


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _file(folder: Path, name: str) -> Path:
    """Return the one file (or DICOM folder) of this name, whatever its suffix."""
    found = sorted(
        path for path in folder.glob("*") if path.name.startswith(name) and path.name[len(name) :].lower() in SUFFIXES
    )
    if len(found) != 1:
        shown = ", ".join(path.name for path in found) or "none"
        raise FileError(f"The case needs one file {folder.name}/{name} with a suffix that can be read; found {shown}.")
    return found[0]
