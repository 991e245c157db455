"""nnU-Net's raw data sets: a file a channel.

    Dataset001_Spleen/dataset.json             "channel_names": {"0": "CT"}, "labels": {"background": 0, "spleen": 1},
                                               "file_ending": ".nii.gz"
    Dataset001_Spleen/imagesTr/spleen_2_0000.nii.gz        _0001 ... are further channels
    Dataset001_Spleen/labelsTr/spleen_2.nii.gz
    Dataset001_Spleen/imagesTs/ ...            and labelsTs/ where they are known

Cases of imagesTs with a label are in the split `test`, all others without one have no masks; those of the split `test`
are written there, for nnU-Net learns from all that is in imagesTr. A picture of several channels may be one file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segmend import io
from segmend.core.image import Image, LabelMap
from segmend.datasets.case import FileCase, Found, found, plain_names
from segmend.datasets.writing import ENDING, Entry, FolderWriter, kind_of
from segmend.errors import FileError

LAYOUT = "nnU-Net's raw data set (dataset.json with channel_names, imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz)"
SET = "Dataset001_Segmend"
PICTURES = (".png", ".bmp", ".tif")  # of which one file may hold all channels
THICKNESS = 999.0  # mm, which nnU-Net's own reader of pictures gives their slice


def told(folder: Path) -> dict[str, Any] | None:
    """Return what a dataset.json says where it is one of nnU-Net's."""
    try:
        values = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and {"channel_names", "file_ending"} <= values.keys() else None


def look(folder: Path) -> Found | None:
    """Return the cases of a folder of this layout, None when it is none."""
    values = told(folder)
    if values is None:
        return None
    try:
        ending, channels = str(values["file_ending"]), len(values["channel_names"])
        labels = {int(value): str(name) for name, value in values["labels"].items() if isinstance(value, int)}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FileError(
            f"The dataset.json of {folder.name} needs channel_names, labels and file_ending as nnU-Net has them."
        ) from None
    called = tuple((value, name) for value, name in sorted(labels.items()) if value)
    by_part = {
        part: [_case(folder, part, name, channels, ending, called) for name in _cases(folder / f"images{part}", ending)]
        for part in ("Tr", "Ts")
    }
    labelled = {part: [case for case in cases if _labelled(case)] for part, cases in by_part.items()}
    without = [case for cases in by_part.values() for case in cases if not _labelled(case)]
    if (folder / "split.json").is_file():
        return found(folder, [*labelled["Tr"], *labelled["Ts"]], unlabelled=without)
    known = found(folder, labelled["Tr"], unlabelled=without)
    test = (*known.splits.get("test", ()), *labelled["Ts"])
    return replace(known, splits={**known.splits, "test": test})


def _cases(images: Path, ending: str) -> list[str]:
    first = f"_0000{ending}"
    return [name.removesuffix(first) for name in plain_names(images) if name.endswith(first)]


def _case(
    folder: Path, part: str, name: str, channels: int, ending: str, called: tuple[tuple[int, str], ...]
) -> FileCase:
    images = tuple(f"images{part}/{name}_{channel:04d}{ending}" for channel in range(channels))
    if ending.lower() in PICTURES and not any((folder / image).exists() for image in images[1:]):
        images = images[:1]
    return FileCase(folder, name, images, f"labels{part}/{name}{ending}", called=called)


def _labelled(case: FileCase) -> bool:
    return (case.folder / case.truth).is_file()


class Writer(FolderWriter):
    """Such a folder in the making."""

    in_a_row = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / SET)
        self._first: Entry | None = None

    def check(self, entry: Entry) -> None:
        first = self._first or entry
        if first.image.flat != entry.image.flat or first.image.channels != entry.image.channels:
            raise FileError(
                f"nnU-Net needs images of one kind: {kind_of(first.image)}, as the first one; this is "
                f"{kind_of(entry.image)}."
            )
        self._first = first

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        part = "Ts" if entry.split == "test" else "Tr"
        image = _thick(entry.image) if entry.image.flat else entry.image
        files = [self.placed(f"images{part}", f"{entry.name}_{c:04d}{ENDING}") for c in range(image.channels)]
        for c, path in enumerate(files):
            io.write_image(path, Image(image.voxels[c : c + 1], image.affine))
        files.append(self.placed(f"labels{part}", f"{entry.name}{ENDING}"))
        io.write_mask(files[-1], values, image, [])
        return files

    def about(self) -> Mapping[Path, Any]:
        assert self._first is not None
        channels = self._first.image.channels
        names = [self._first.modality or "image"] if channels == 1 else [f"channel {c + 1}" for c in range(channels)]
        values = {
            "channel_names": {str(c): name for c, name in enumerate(names)},
            "labels": _told_labels(self.labels.by_value),
            "numTraining": sum(len(names) for split, names in self.splits.items() if split != "test"),
            "file_ending": ENDING,
        }
        return {self.folder / "dataset.json": values}


def _thick(image: Image) -> Image:
    """Return a picture as one thick slice: nnU-Net takes slices along the longest side of a voxel."""
    if image.spacing[0] > image.spacing[1:].max():
        return image
    affine = image.affine.copy()
    affine[:, 0] *= THICKNESS / image.spacing[0]
    return Image(image.voxels, affine, image.notes, axes="zyx")


def _told_labels(by_value: Mapping[int, str]) -> dict[str, int]:
    """Return labels as nnU-Net has them, where background is 0 and what is called ignore needs to be the last one.

    >>> _told_labels({1: "ignore", 2: "background", 3: "liver"})
    {'background': 0, 'ignore 1': 1, 'background 2': 2, 'liver': 3}
    """
    last = max(by_value, default=0)
    names = {"background": 0}
    for value, name in by_value.items():
        reserved = name == "background" or (name == "ignore" and value != last)
        names[f"{name} {value}" if reserved else name] = value
    return names
