"""Cases as a folder to train on: one for `segmend train`, and nnU-Net's raw one.

In both a label has one value in all cases: labels are the same where their names are, but for capitals. What cannot
stand beside the cases before it is refused: in nnU-Net's folder all images have as many channels, and all are volumes
or all are pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segmend import io
from segmend.core.image import Image, LabelMap
from segmend.core.session import Label
from segmend.datasets.case import split_of
from segmend.errors import FileError
from segmend.results.case_result import CaseResult

TRAINING, NNUNET = "training", "nnunet"
FOLDERS = {TRAINING: "Folder for segmend train", NNUNET: "Folder for nnU-Net (raw)"}
NNUNET_SET = "Dataset001_Segmend"
ENDING = ".nii.gz"


class CommonLabels:
    """The values that labels have in all cases, by name, in the order in which they first come."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # as it was first written, by the name in small letters

    def value_of(self, label: Label) -> int:
        key = " ".join(label.name.casefold().split())
        self.names.setdefault(key, " ".join(label.name.split()))
        return list(self.names).index(key) + 1

    def mapped(self, result: CaseResult) -> LabelMap:
        """Return a case's label map with the common values."""
        values = np.zeros(int(result.map.max()) + 1, np.uint16)
        for label in result.labels:
            if label.value < len(values) and (result.map == label.value).any():
                values[label.value] = self.value_of(label)
        return np.asarray(values[result.map])


class TrainingFolder:
    """images/, labels/ and split.json, as `segmend train --data` takes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._labels = CommonLabels()
        self._splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}

    def add(self, name: str, result: CaseResult) -> list[Path]:
        """Write a case, and return its files."""
        _check_marked(result)
        files = [self._folder / part / f"{name}{ENDING}" for part in ("images", "labels")]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        io.write_image(files[0], result.image)
        io.write_mask(files[1], self._labels.mapped(result), result.image, [])
        self._splits[split_of(result.case.patient or result.case.id)].append(name)
        return files

    def finish(self) -> list[Path]:
        """Write what the folder says of itself; nothing where no case came."""
        names = {str(i + 1): name for i, name in enumerate(self._labels.names.values())}
        return _say(self._folder / "split.json", {**self._splits, "label_names": names}, any(self._splits.values()))


class NnunetFolder:
    """imagesTr/, labelsTr/ and dataset.json, as nnU-Net takes them in nnUNet_raw."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / NNUNET_SET
        self._labels = CommonLabels()
        self._first: CaseResult | None = None
        self._count = 0

    def add(self, name: str, result: CaseResult) -> list[Path]:
        """Write a case, a file a channel, and return its files."""
        _check_marked(result)
        first = self._first or result
        if first.image.flat != result.image.flat or first.image.channels != result.image.channels:
            raise FileError(
                f"nnU-Net needs images of one kind: {_kind(first.image)}, as the first one; this is "
                f"{_kind(result.image)}."
            )
        self._first = first
        files = [self._folder / "imagesTr" / f"{name}_{c:04d}{ENDING}" for c in range(result.image.channels)]
        files.append(self._folder / "labelsTr" / f"{name}{ENDING}")
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        for c, path in enumerate(files[:-1]):
            io.write_image(path, Image(result.image.voxels[c : c + 1], result.image.affine))
        io.write_mask(files[-1], self._labels.mapped(result), result.image, [])
        self._count += 1
        return files

    def finish(self) -> list[Path]:
        """Write dataset.json; nothing where no case came."""
        if self._first is None:
            return []
        channels = self._first.image.channels
        names = (
            [self._first.case.modality or "image"] if channels == 1 else [f"channel {c + 1}" for c in range(channels)]
        )
        values = {
            "channel_names": {str(c): name for c, name in enumerate(names)},
            "labels": {"background": 0, **{name: i + 1 for i, name in enumerate(self._labels.names.values())}},
            "numTraining": self._count,
            "file_ending": ENDING,
        }
        return _say(self._folder / "dataset.json", values, True)


Folder = TrainingFolder | NnunetFolder


def folder_of(kind: str, folder: Path) -> Folder:
    """Return a folder to train on, in the making."""
    return TrainingFolder(folder) if kind == TRAINING else NnunetFolder(folder)


def _check_marked(result: CaseResult) -> None:
    if not result.map.any():
        raise FileError("A case to train on needs a label with voxels; this one is empty.")


def _kind(image: Image) -> str:
    return f"{'pictures' if image.flat else 'volumes'} of {image.channels} channel{'s' if image.channels > 1 else ''}"


def _say(path: Path, values: dict[str, object], wanted: bool) -> list[Path]:
    if not wanted:
        return []
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return [path]


def free_stem(stem: str, taken: Sequence[str] | set[str]) -> str:
    """Return a stem of file names that no case has yet: with a number behind it where one has.

    >>> free_stem("CT", {"CT", "CT-2"})
    'CT-3'
    """
    number, free = 1, stem
    while free in taken:
        number += 1
        free = f"{stem}-{number}"
    return free
