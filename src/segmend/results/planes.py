"""Slices of an image as pictures, with masks over them: upright, in true proportions, in the labels' colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, Index, LabelMap, MaskArray, bounds
from segmend.core.session import Label
from segmend.io.thumbnail import upright

# Shares of the values round a label that are shown black and white.
BLACK, WHITE = 0.01, 0.99
# Of a mask's inside, over the image.
OPACITY = 0.3
# The axes of the plane across each axis, down and to the right.
ACROSS = ((1, 2), (0, 2), (0, 1))
# What lies on the left and on top of a plane across the patient's right, front or head, as `upright` turns it.
LEFT, TOP = ("A", "R", "R"), ("S", "S", "A")
NAMES = ("Sagittal", "Coronal", "Axial")

Pixels = NDArray[np.uint8]  # [y x 3]
Window = tuple[float, float]  # shown black, shown white


@dataclass(frozen=True, eq=False)
class Plane:
    """A picture of one slice."""

    pixels: Pixels
    title: str  # such as "Axial, slice 12 of 40"
    left: str  # which side of the patient is on the left; empty for a picture
    top: str


def planes(image: Image, label_map: LabelMap, labels: Sequence[Label], value: int, *, side: int) -> list[Plane]:
    """Return the three planes through a label where it is largest, the one plane of a picture; `side` is in pixels."""
    mask = np.asarray(label_map == value)
    place, window = _largest(mask), _window(image, mask)
    axes = (0,) if image.flat else (0, 1, 2)
    return [plane(image, label_map, labels, axis, place[axis], window, side=side) for axis in axes]


def overlay(image: Image, label_map: LabelMap, labels: Sequence[Label]) -> Pixels:
    """Return a picture with its masks over it, a pixel a pixel."""
    window = _window(image, np.asarray(label_map > 0))
    rgb = _shown(image.voxels[:, 0], window)
    return _coloured(rgb, label_map[0], labels)


def plane(
    image: Image, label_map: LabelMap, labels: Sequence[Label], axis: int, at: int, window: Window | None, *, side: int
) -> Plane:
    """Return a slice across an axis, scaled so that its longer side has so many pixels."""
    from PIL import Image as Pillow  # a tenth of a second

    down, right = ACROSS[axis]
    affine = image.affine[:, [axis, down, right, 3]]
    cut = (slice(None), *(at if one == axis else slice(None) for one in range(3)))
    rgb = _shown(image.voxels[cut], window)
    seen, (height_mm, width_mm) = upright(np.moveaxis(rgb, -1, 0), affine)
    values, _ = upright(label_map[cut[1:]][None], affine)
    height, width = seen.shape[1] * height_mm, seen.shape[2] * width_mm
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Pillow.fromarray(np.ascontiguousarray(np.moveaxis(seen, 0, -1)))
    larger = np.asarray(picture.resize(size, Pillow.Resampling.BILINEAR))
    rows = (np.arange(size[1]) * values.shape[1] / size[1]).astype(np.intp)
    columns = (np.arange(size[0]) * values.shape[2] / size[0]).astype(np.intp)
    drawn = _coloured(larger, values[0][np.ix_(rows, columns)], labels)
    if image.flat:
        return Plane(drawn, "", "", "")
    looked = int(np.abs(image.affine[:3, axis] / image.spacing[axis]).argmax())
    return Plane(drawn, f"{NAMES[looked]}, slice {at + 1} of {image.shape[axis]}", LEFT[looked], TOP[looked])


def _largest(mask: MaskArray) -> Index:
    """Return where a mask has the most voxels, along each axis: the middle one of several such planes."""
    counts = (np.count_nonzero(mask, axis=across) for across in ((1, 2), (0, 2), (0, 1)))
    z, y, x = (int(np.median(np.flatnonzero(count == count.max()))) for count in counts)
    return z, y, x


def _window(image: Image, mask: MaskArray) -> Window | None:
    """Return what shows the surroundings of a mask well; None where colours are shown as they are."""
    if image.voxels.dtype == np.uint8 and image.channels == 3:
        return None
    box = bounds(mask)
    where = (slice(None),) * 3
    if box is not None:
        z, y, x = (max(2, side // 2) for side in box.shape)
        where = box.grown((z, y, x)).clipped(image.shape).slices
    values = image.voxels[0][where]
    step = max(1, round((values.size / 500_000) ** (1 / 3)))
    low, high = np.quantile(values[::step, ::step, ::step].astype(np.float64), (BLACK, WHITE)).tolist()
    return (low, high) if high > low else (low - 1, low + 1)


def _shown(values: NDArray[np.generic], window: Window | None) -> Pixels:
    """Return a slice [c y x] in grey, or in its own colours."""
    if window is None:
        return np.ascontiguousarray(np.moveaxis(values, 0, -1)).astype(np.uint8)
    low, high = window
    grey = np.clip((values[0].astype(np.float64) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _coloured(rgb: Pixels, values: LabelMap, labels: Sequence[Label]) -> Pixels:
    """Return a picture with each label's inside tinted and its outline drawn."""
    drawn = rgb.astype(np.float64)
    for label in labels:
        inside = values == label.value
        if not inside.any():
            continue
        drawn[inside] += OPACITY * (np.asarray(label.colour) - drawn[inside])
        drawn[_outline(inside)] = label.colour
    return np.asarray(drawn.round().astype(np.uint8))


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels that have a neighbour outside; the picture's own border is no outside.

    >>> _outline(np.array([[True, True, False], [True, True, False]])).astype(int).tolist()
    [[0, 1, 0], [0, 1, 0]]
    """
    wide = np.pad(inside, 1, mode="edge")
    within = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return np.asarray(inside & ~within)
