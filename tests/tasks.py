"""A task for tests: in every picture or volume a bright square on the left and a dark disc on the right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from segmend import io
from segmend.core.image import Image, LabelMap, scale_affine
from segmend.core.session import PALETTE, Label

SQUARE, DISC = 3, 5


def drawn_picture(number: int, *, noise: float = 6.0) -> tuple[Image, LabelMap]:
    """Return a picture and its labels; the same number is the same picture."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:64, :72]
    labels = np.zeros((64, 72), np.uint16)
    top, left = int(rng.integers(6, 30)), int(rng.integers(3, 8))
    labels[top : top + 26, left : left + 26] = SQUARE
    labels[(y - int(rng.integers(16, 48))) ** 2 + (x - int(rng.integers(52, 56))) ** 2 < 13**2] = DISC
    return _toned(rng, labels[None], noise), labels[None]


def drawn_volume(number: int, *, noise: float = 6.0) -> tuple[Image, LabelMap]:
    """Return a volume of 16 slices, of which the first and the last hold nothing, with slices 2 mm apart."""
    rng = np.random.default_rng(number)
    z, y, x = np.mgrid[:16, :30, :34]
    labels = np.zeros((16, 30, 34), np.uint16)
    low = rng.integers(4, 10)
    labels[5:12, low : low + 10, 4:14] = SQUARE
    labels[(2 * (z - 8)) ** 2 + (y - int(rng.integers(10, 20))) ** 2 + (x - 24) ** 2 < 7**2] = DISC
    return _toned(rng, labels, noise, (2, 1, 1)), labels


def _toned(
    rng: np.random.Generator, labels: LabelMap, noise: float, spacing: tuple[int, int, int] = (1, 1, 1)
) -> Image:
    tones = np.where(labels == SQUARE, 200, np.where(labels == DISC, 20, 100)) + rng.normal(0, noise, labels.shape)
    return Image(np.clip(tones, 0, 255).astype(np.uint8)[None], scale_affine(spacing))


def write_folder(folder: Path, *, cases: int, lacking: int | None = None) -> Path:
    """Write pictures as a generic data set with named labels, one in four to check on; one case may lack the disc."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    names = [f"case{number:02}" for number in range(cases)]
    for number, name in enumerate(names):
        image, labels = drawn_picture(number)
        if number == lacking:
            labels[labels == DISC] = 0
        io.write_mask(folder / "images" / f"{name}.png", image.voxels[0].astype(np.uint16), image, [])
        kinds = [Label(SQUARE, "square", PALETTE[0]), Label(DISC, "disc", PALETTE[1])]
        io.write_mask(folder / "labels" / f"{name}.png", labels, image, kinds)
    split = {"train": [n for i, n in enumerate(names) if i % 4], "val": names[::4]}
    called = {"label_names": {str(SQUARE): "square", str(DISC): "disc"}}
    (folder / "split.json").write_text(json.dumps(split | called))
    return folder
