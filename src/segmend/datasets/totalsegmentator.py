"""TotalSegmentator's data set: a folder a subject, a file a structure.

    s0001/ct.nii.gz                          or mri.nii.gz
    s0001/segmentations/liver.nii.gz ...     each structure by itself, 1 where it is
    meta.csv                                 image_id;split, where it is there

A structure's value is its place in the order of all names that occur. Where structures overlap the later one holds.
Subjects without structures have no masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segmend import io
from segmend.core.image import LabelMap
from segmend.datasets.case import Case, Example, Found, found, plain_names
from segmend.datasets.generic import stem
from segmend.datasets.writing import ENDING, Entry, FolderWriter
from segmend.errors import FileError
from segmend.io.rows import read_rows

LAYOUT = "TotalSegmentator (s0001/ct.nii.gz or mri.nii.gz, and s0001/segmentations/liver.nii.gz ...)"
IMAGES = ("ct.nii.gz", "mri.nii.gz", "ct.nii", "mri.nii")
MASKS = "segmentations"


@dataclass(frozen=True)
class Subject(Case):
    """A subject's folder."""

    image: str
    called: tuple[tuple[int, str], ...]  # all structures of the set

    @property
    def image_files(self) -> tuple[Path, ...]:
        return (self.folder / self.name / self.image,)

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    def read(self) -> Example:
        image = io.read(*self.image_files)
        labels = np.zeros(image.shape, np.uint16)
        for value, name in self.called:
            path = next((p for p in (self._mask(name, ENDING), self._mask(name, ".nii")) if p.is_file()), None)
            if path is not None:
                labels[io.read_mask(path, image) > 0] = value
        return Example(image, image, labels)

    def _mask(self, name: str, ending: str) -> Path:
        return self.folder / self.name / MASKS / f"{name}{ending}"


def look(folder: Path) -> Found | None:
    """Return the subjects in a folder of this layout, None when it is none."""
    subjects = {
        path.name: next((name for name in IMAGES if (path / name).is_file()), "")
        for path in sorted(folder.glob("*"))
        if path.is_dir() and not path.name.startswith(".")
    }
    structures = {name: plain_names(folder / name / MASKS) for name, image in subjects.items() if image}
    if not any(structures.values()):
        return None
    names = sorted({stem(file) for files in structures.values() for file in files if stem(file) != file})
    called = tuple(enumerate(names, 1))
    cases = [Subject(folder, name, subjects[name], called) for name, files in structures.items() if files]
    without = [Subject(folder, name, subjects[name], called) for name, files in structures.items() if not files]
    known = found(folder, cases, unlabelled=without)
    told = {} if (folder / "split.json").is_file() else _splits(folder / "meta.csv")
    if not told:
        return known
    splits = {
        split: tuple(case for case in cases if told.get(case.name) == split) for split in ("train", "val", "test")
    }
    return replace(known, splits=splits)


def _splits(path: Path) -> dict[str, str]:
    """Return the split of each subject that a meta.csv tells."""
    if not path.is_file():
        return {}
    return {
        row.text("image_id"): row.text("split") for row in read_rows(path, "image_id and split") if row.text("split")
    }


class Writer(FolderWriter):
    """Such a folder in the making, of volumes of one channel."""

    flat = False

    def check(self, entry: Entry) -> None:
        if entry.image.channels != 1:
            raise FileError(f"TotalSegmentator has volumes of 1 channel; this one has {entry.image.channels}.")

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        image = "mri.nii.gz" if entry.modality.upper() == "MR" else "ct.nii.gz"
        files = [self.placed(entry.name, image)]
        io.write_image(files[0], entry.image)
        for value in np.unique(values).tolist():
            if value:
                path = self.placed(entry.name, MASKS, f"{self._file_name(value)}{ENDING}")
                io.write_mask(path, (values == value).astype(np.uint16), entry.image, [])
                files.append(path)
        return files

    def _file_name(self, value: int) -> str:
        """Return the name of a structure as the data set has them: small letters and underscores."""
        plain = {n: "".join(c if c.isalnum() else "_" for c in name) for n, name in self.labels.by_value.items()}
        name = plain[value].strip("_") or f"label_{value}"
        twins = [n for n, other in plain.items() if other.strip("_").casefold() == name.casefold()]
        return name if len(twins) < 2 else f"{name}_{value}"

    def about(self) -> Mapping[Path, Any]:
        rows = sorted((name, split) for split, names in self.splits.items() for name in names)
        return {self.folder / "meta.csv": "image_id;split\n" + "".join(f"{name};{split}\n" for name, split in rows)}
