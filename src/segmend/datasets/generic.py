"""Data sets as folders: `images/`, `labels/` and `split.json`.

A case is named in `split.json` under its split ("train", "val", "test", or any other name). Its image
is `images/NAME.suffix`, in any format that `segmend.io` reads, a folder of DICOM files included; its
label map is `labels/NAME.suffix`. Three more entries of `split.json` are understood:

    "images_per_case": ["{id}_flair", "{id}_t1c"]   several images a case, which become channels
    "labels": "16-bit instance ids"                 any text with the word "instance": labels number
                                                    single things, not kinds of things

Where there is a folder `scribbles/`, a person drew on the images: `scribbles/NAME.suffix` has the values of the
label map where they drew on that object, 0 where they drew on the background, and one other value, the most
frequent one, where they did not draw.

Every value of a label map is one object either way. A split called "all" is every case there is.
Without split.json the cases are those of `labels/`, split by a hash of their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmend import io
from segmend.core.image import Image, LabelMap, MaskArray
from segmend.datasets.case import (
    Case,
    Example,
    Found,
    are_names,
    found,
    names_by_split,
    plain_names,
    scribbled,
    stacked,
    told_splits,
)
from segmend.datasets.writing import ENDING, Entry, FolderWriter
from segmend.errors import FileError

LAYOUT = "images/ and labels/ with split.json"
SUFFIXES = frozenset(["", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".seg.nrrd", ".mha", ".mhd", ".mgh", ".mgz", ".img"])
SUFFIXES |= {".dcm", ".zip", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True)
class NamedCase(Case):
    """A case of such a folder."""

    images: tuple[str, ...]  # file names without suffix
    things: bool = False  # labels number single things
    called: tuple[tuple[int, str], ...] = ()  # the labels' names

    @property
    def image_files(self) -> tuple[Path, ...]:
        return tuple(file_of(self.folder / "images", name) for name in self.images)

    @property
    def instances(self) -> bool:
        return self.things

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    def read(self) -> Example:
        parts = [io.read(file_of(self.folder / "images", name)) for name in self.images]
        image = stacked(parts)
        return Example(image, parts[0], io.read_mask(file_of(self.folder / "labels", self.name), image))

    def scribbles(self, image: Image) -> Mapping[int, MaskArray] | None:
        if not (self.folder / "scribbles").is_dir():
            return None
        return scribbled(io.read_mask(file_of(self.folder / "scribbles", self.name), image))


def look(folder: Path) -> Found | None:
    """Return the cases of a folder of this layout, None when it is none."""
    if not (folder / "images").is_dir() or not ((folder / "labels").is_dir() or (folder / "split.json").is_file()):
        return None
    if not (folder / "labels").is_dir() and any((folder / other).is_dir() for other in ("masks", "annotations")):
        return None  # of another layout, whose splits are told
    if not (folder / "split.json").is_file():
        names = [stem(name) for name in plain_names(folder / "labels")]
        return found(folder, [NamedCase(folder, name, (name,)) for name in dict.fromkeys(names)])
    values = told_splits(folder)
    templates = values.get("images_per_case", ["{id}"])
    if not are_names(templates) or not templates or any("{id}" not in t for t in templates):
        raise FileError(
            f"The split.json of {folder.name} needs images_per_case with {{id}} in each; got {templates!r}."
        )
    things = "instance" in str(values.get("labels", ""))
    called = named_labels(folder, values)
    splits = {
        split: tuple(
            NamedCase(folder, name, tuple(t.replace("{id}", name) for t in templates), things, called) for name in names
        )
        for split, names in names_by_split(folder).items()
    }
    return Found(folder.resolve().name, splits)


def named_labels(folder: Path, values: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    """Return the names of labels that a split.json tells, by their values; nothing where it tells none."""
    told = values.get("label_names", {})
    if not isinstance(told, dict) or not all(key.isdecimal() and isinstance(name, str) for key, name in told.items()):
        raise FileError(f'The split.json of {folder.name} needs label_names such as {{"1": "liver"}}; got {told!r}.')
    return tuple((int(key), name) for key, name in told.items())


def stem(name: str) -> str:
    """Return a file's name without the suffix of an image.

    >>> stem("liver.v2.nii.gz"), stem("IMD001.bmp"), stem("notes.txt")
    ('liver.v2', 'IMD001', 'notes.txt')
    """
    fitting = [suffix for suffix in SUFFIXES if suffix and name.lower().endswith(suffix)]
    return name[: -len(max(fitting, key=len))] if fitting else name


def file_of(folder: Path, name: str) -> Path:
    """Return the one file (or DICOM folder) of this name, whatever its suffix."""
    fitting = sorted(
        path for path in folder.glob("*") if path.name.startswith(name) and path.name[len(name) :].lower() in SUFFIXES
    )
    if len(fitting) != 1:
        shown = ", ".join(path.name for path in fitting) or "none"
        raise FileError(f"The case needs one file {folder.name}/{name} with a suffix that can be read; found {shown}.")
    return fitting[0]


class Writer(FolderWriter):
    """Such a folder in the making."""

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        files = [self.placed(part, f"{entry.name}{ENDING}") for part in ("images", "labels")]
        io.write_image(files[0], entry.image)
        io.write_mask(files[1], values, entry.image, [])
        return files
