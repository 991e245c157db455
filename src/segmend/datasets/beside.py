"""Masks beside their images, in one folder: x.nii.gz and x_seg.nii.gz.

    x.nii.gz   x_seg.nii.gz       or x_mask.nii.gz, x_segmentation.nii.gz, x.seg.nrrd
    y.png      y_mask.png

A picture's mask of which all pixels are 0 or 255 is one object. Other images in the folder have no masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmend import io
from segmend.core.image import LabelMap
from segmend.datasets.case import Case, Example, Found, found, plain_names, told_splits
from segmend.datasets.generic import named_labels, stem
from segmend.datasets.writing import ENDING, Entry, FolderWriter

LAYOUT = "x.nii.gz and x_seg.nii.gz (or _mask, _segmentation) in one folder"
ENDINGS = ("_seg", "_mask", "_segmentation")
SLICER = ".seg.nrrd"


@dataclass(frozen=True)
class BesideCase(Case):
    """An image and the mask beside it."""

    image: str
    mask: str
    called: tuple[tuple[int, str], ...] = ()  # the labels' names

    @property
    def image_files(self) -> tuple[Path, ...]:
        return (self.folder / self.image,)

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called) or io.mask_names(self.folder / self.mask)

    def read(self) -> Example:
        image = io.read(*self.image_files)
        labels = io.read_mask(self.folder / self.mask, image)
        drawn = image.flat and set(np.unique(labels).tolist()) <= {0, 255}
        return Example(image, image, np.minimum(labels, 1) if drawn else labels)

    def label_maps(self, example: Example) -> LabelMap:
        if not self.mask.lower().endswith(SLICER):
            return example.labels
        found = io.read_maps(self.folder / self.mask, example.image)
        return found if found.ndim == 4 else example.labels


def look(folder: Path) -> Found | None:
    """Return the images of a folder of this layout, None when it is none."""
    names = [name for name in plain_names(folder) if stem(name) != name and (folder / name).is_file()]
    masks = {stem(name): name for name in names if stem(name).endswith(ENDINGS) or name.lower().endswith(SLICER)}
    images = {stem(name): name for name in names if name not in masks.values()}
    pairs = {name: mask for name in images if (mask := _mask_of(name, masks)) is not None}
    if not pairs:
        return None
    called = named_labels(folder, told_splits(folder)) if (folder / "split.json").is_file() else ()
    cases = [BesideCase(folder, name, images[name], mask, called) for name, mask in pairs.items()]
    without = [BesideCase(folder, name, image, "", called) for name, image in images.items() if name not in pairs]
    return found(folder, cases, unlabelled=without)


def _mask_of(name: str, masks: Mapping[str, str]) -> str | None:
    return next((masks[f"{name}{ending}"] for ending in ("", *ENDINGS) if f"{name}{ending}" in masks), None)


class Writer(FolderWriter):
    """Such a folder in the making."""

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        files = [self.placed(f"{entry.name}{ENDING}"), self.placed(f"{entry.name}_seg{ENDING}")]
        io.write_image(files[0], entry.image)
        io.write_mask(files[1], values, entry.image, [])
        return files
