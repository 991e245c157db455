"""Medical Segmentation Decathlon: any of its tasks, as its dataset.json says.

    Task09_Spleen/dataset.json   "training": [{"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/..."}]

Several modalities of a task are the fourth axis of its images and become channels. The task's own test images have
no public labels, so the labelled ones are split here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segmend.datasets.case import FileCase, Found, found
from segmend.datasets.generic import stem
from segmend.errors import FileError

LAYOUT = "a Medical Segmentation Decathlon task (dataset.json, imagesTr/, labelsTr/)"


def look(folder: Path) -> Found | None:
    """Return the labelled cases of a task, None when the folder is none."""
    if not (folder / "dataset.json").is_file() or (folder / "images").is_dir():
        return None
    try:
        values = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
        pairs = [_pair(entry) for entry in values["training"]]
    except (ValueError, KeyError, TypeError):
        raise FileError(
            f'The dataset.json of {folder.name} needs a list "training" of {{image, label}}; this one has none.'
        ) from None
    cases = [FileCase(folder, stem(Path(image).name), (image,), label) for image, label in pairs]
    return found(folder, cases)


def _pair(entry: Any) -> tuple[str, str]:
    """Return the paths of an image and its label; ValueError when they lead out of the task's folder."""
    pair = str(entry["image"]), str(entry["label"])
    for path in map(Path, pair):
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(path)
    return Path(pair[0]).as_posix(), Path(pair[1]).as_posix()
