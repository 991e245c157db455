"""Cases written as a data set in a folder: what all layouts have in common.

A label has one value in all cases: labels are the same where their names are, but for capitals. Every folder gets a
split.json, which keeps its cases' splits whatever the layout itself can say. What a layout cannot hold is refused case
by case, with FileError, and the others go on.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segmend.core.image import Image, LabelMap
from segmend.datasets.case import SHARES
from segmend.errors import FileError

ENDING = ".nii.gz"


@dataclass(frozen=True, eq=False)
class Entry:
    """A case to write."""

    name: str  # a safe stem of a file, which no other case has
    image: Image
    map: LabelMap  # [z y x]
    names: Mapping[int, str]  # of the labels
    split: str = "train"
    modality: str = ""


class CommonLabels:
    """The values that labels have in all cases, by name, in the order in which they first come.

    One without a name keeps its value where that is free, but where values need to follow each other (`in_a_row`).
    """

    def __init__(self, *, in_a_row: bool = False) -> None:
        self._in_a_row = in_a_row
        self._named: dict[str, tuple[int, str]] = {}  # value and name as it was first written, by it in small letters

    @property
    def by_value(self) -> dict[int, str]:
        return dict(sorted(self._named.values()))

    def value_of(self, name: str, wanted: int = 0) -> int:
        key = " ".join(name.casefold().split())
        if key not in self._named:
            taken = {value for value, _ in self._named.values()}
            free = next(value for value in range(1, len(taken) + 2) if value not in taken)
            value = free if self._in_a_row or not wanted or wanted in taken else wanted
            self._named[key] = value, " ".join(name.split())
        return self._named[key][0]

    def mapped(self, entry: Entry) -> LabelMap:
        """Return a case's label map with the common values."""
        present = np.flatnonzero(np.bincount(entry.map.ravel())).tolist()
        values = np.zeros(int(entry.map.max()) + 1, np.uint16)
        for value in present:
            if value:
                name = entry.names.get(value, "")
                values[value] = self.value_of(name) if name.strip() else self.value_of(f"label {value}", value)
        return np.asarray(values[entry.map])


class FolderWriter(ABC):
    """A data set in the making."""

    flat: bool | None = None  # True: of pictures alone, False: of volumes alone
    in_a_row = False  # the values of labels need to follow each other

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = CommonLabels(in_a_row=self.in_a_row)
        self.splits: dict[str, list[str]] = {split: [] for split, _ in SHARES}

    def add(self, entry: Entry) -> list[Path]:
        """Write a case, and return its files."""
        if not entry.map.any():
            raise FileError("A case to train on needs a label with voxels; this one is empty.")
        if self.flat is not None and entry.image.flat != self.flat:
            needed, came = ("pictures", "volume") if self.flat else ("volumes", "picture")
            raise FileError(f"This layout is for {needed}; this is a {came}.")
        self.check(entry)
        files = self.write(entry, self.labels.mapped(entry))
        self.splits.setdefault(entry.split or "train", []).append(self.name_of(entry))
        return files

    def check(self, entry: Entry) -> None:  # noqa: B027 - most layouts take any
        """Raise FileError when a case cannot stand beside those before it."""

    def name_of(self, entry: Entry) -> str:
        """Return what the case is called where the folder is read again."""
        return entry.name

    @abstractmethod
    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        """Write a case whose label map has the common values."""

    def about(self) -> Mapping[Path, Any]:
        """Return the files that speak of all cases: JSON values, or text."""
        return {}

    def finish(self) -> list[Path]:
        """Write what the folder says of itself; nothing where no case came."""
        if not any(self.splits.values()):
            return []
        told: dict[Path, Any] = {**self.about(), self.split_file: self.split_values()}
        for path, values in told.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            text = values if isinstance(values, str) else json.dumps(values, indent=1) + "\n"
            path.write_text(text, encoding="utf-8")
        return list(told)

    @property
    def split_file(self) -> Path:
        return self.folder / "split.json"

    def split_values(self) -> dict[str, Any]:
        return {**self.splits, "label_names": {str(value): name for value, name in self.labels.by_value.items()}}

    def placed(self, *parts: str) -> Path:
        """Return a path in the folder, whose own folder is there."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def kind_of(image: Image) -> str:
    """Return what people call images like this one.

    >>> kind_of(Image(np.zeros((3, 1, 4, 5))))
    'pictures of 3 channels'
    """
    return f"{'pictures' if image.flat else 'volumes'} of {image.channels} channel{'s' if image.channels > 1 else ''}"
