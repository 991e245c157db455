"""Medical Segmentation Decathlon: any of its tasks, as its dataset.json says.

    Task09_Spleen/dataset.json   "training": [{"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/..."}]

Several modalities of a task are the fourth axis of its images and become channels. The task's own test images have
no public labels, so the labelled ones are split here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmend import io
from segmend.core.image import LabelMap
from segmend.datasets import nnunet
from segmend.datasets.case import FileCase, Found, found
from segmend.datasets.generic import stem
from segmend.datasets.writing import ENDING, Entry, FolderWriter, kind_of
from segmend.errors import FileError

LAYOUT = "a Medical Segmentation Decathlon task (dataset.json, imagesTr/, labelsTr/)"


def look(folder: Path) -> Found | None:
    """Return the labelled cases of a task, None when the folder is none."""
    if not (folder / "dataset.json").is_file() or (folder / "images").is_dir() or nnunet.told(folder) is not None:
        return None
    try:
        values = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
        pairs = [_pair(entry) for entry in values["training"]]
    except (ValueError, KeyError, TypeError):
        raise FileError(
            f'The dataset.json of {folder.name} needs a list "training" of {{image, label}}; this one has none.'
        ) from None
    called = _called(values)
    cases = [FileCase(folder, stem(Path(image).name), (image,), label, called=called) for image, label in pairs]
    return found(folder, cases, unlabelled=_tests(folder, values.get("test")))


def _called(values: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    """Return the labels' names, nothing where they are not said as the tasks do."""
    labels = values.get("labels")
    if not isinstance(labels, dict) or not all(str(key).isdecimal() for key in labels):
        return ()
    return tuple((int(key), str(name)) for key, name in labels.items() if int(key))


def _tests(folder: Path, listed: Any) -> list[FileCase]:
    """Return the images without labels that are there."""
    paths = [Path(path) for path in listed if isinstance(path, str)] if isinstance(listed, list) else []
    inside = [path.as_posix() for path in paths if not path.is_absolute() and ".." not in path.parts]
    return [FileCase(folder, stem(Path(name).name), (name,), "") for name in inside if (folder / name).is_file()]


def _pair(entry: Any) -> tuple[str, str]:
    """Return the paths of an image and its label; ValueError when they lead out of the task's folder."""
    pair = str(entry["image"]), str(entry["label"])
    for path in map(Path, pair):
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(path)
    return Path(pair[0]).as_posix(), Path(pair[1]).as_posix()


class Writer(FolderWriter):
    """Such a folder in the making."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._first: Entry | None = None

    def check(self, entry: Entry) -> None:
        first = self._first or entry
        if first.image.channels != entry.image.channels:
            raise FileError(f"A task has images of one kind: {kind_of(first.image)}; this is {kind_of(entry.image)}.")
        self._first = first

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        files = [self.placed(part, f"{entry.name}{ENDING}") for part in ("imagesTr", "labelsTr")]
        io.write_image(files[0], entry.image)
        io.write_mask(files[1], values, entry.image, [])
        return files

    def about(self) -> Mapping[Path, Any]:
        assert self._first is not None
        names = sorted(name for listed in self.splits.values() for name in listed)
        channels = self._first.image.channels
        modality = self._first.modality or "image"
        values = {
            "name": self.folder.name,
            "tensorImageSize": "3D" if channels == 1 else "4D",
            "modality": {str(c): modality if channels == 1 else f"channel {c + 1}" for c in range(channels)},
            "labels": {"0": "background", **{str(value): name for value, name in self.labels.by_value.items()}},
            "numTraining": len(names),
            "numTest": 0,
            "training": [
                {"image": f"./imagesTr/{name}{ENDING}", "label": f"./labelsTr/{name}{ENDING}"} for name in names
            ],
            "test": [],
        }
        return {self.folder / "dataset.json": values}
