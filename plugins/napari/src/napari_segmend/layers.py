"""A layer of napari as an image of Segmend, and what napari draws as prompts.

napari counts axes as its arrays do, (z, y, x) or (y, x), and a layer says how its voxels lie in the world: by scale,
translation, rotation, shear, an affine and units. All of it goes into the image's affine, in millimetres; the world's
axes are taken for left, back and head, as of any array of which nothing else is said. Where units are pixels, one
pixel is one millimetre: what matters is how the axes compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend import Box, Image, Lasso, Prompt, Stroke, UserError, open_image
from segmend.core.image import Index

TO_RAS = np.array([[0, 0, -1.0], [0, -1, 0], [1, 0, 0]])  # of (z, y, x) to head, back and left


def image_of(layer: Any) -> Image:
    """Return the voxels of a layer and where they lie; UserError says which layers cannot be segmented."""
    if layer.ndim not in (2, 3):
        raise UserError(
            f"Segmend takes images of 2 or 3 axes; {layer.name} has {layer.ndim}: split it into layers first "
            "(the layer's menu, Split Stack)."
        )
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    axes = "zyx"[3 - layer.ndim :]
    if layer.rgb:
        data, axes = data[..., :3], axes + "c"
    return open_image(data, axes=axes, affine=affine_of(layer))


def affine_of(layer: Any) -> NDArray[np.float64]:
    """Return the affine (z, y, x, 1) -> RAS mm of a layer; of a picture one slice, as thick as its pixels are wide."""
    count = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(count)), float)[-count:]
    steps = np.stack([np.asarray(layer.data_to_world(unit), float)[-count:] - origin for unit in np.eye(count)], axis=1)
    millimetres = np.array([_millimetres(unit) for unit in layer.units[-count:]])
    world = np.eye(4)
    world[3 - count : 3, 3 - count : 3] = steps * millimetres[:, None]
    world[3 - count : 3, 3] = origin * millimetres
    if count == 2:
        world[0, 0] = float(np.linalg.norm(world[:3, 1:3], axis=0).mean())
    world[:3] = TO_RAS @ world[:3]
    return world


def _millimetres(unit: Any) -> float:
    try:
        return float((1 * unit).to("millimeter").magnitude)
    except Exception:  # pixels, or what is no length
        return 1.0


def place_of(layer: Any) -> dict[str, Any]:
    """Return what makes another layer lie where this one does."""
    names = ("scale", "translate", "rotate", "shear", "affine", "units")
    return {name: getattr(layer, name) for name in names}


def voxel_of(position: Sequence[float], shape: Index) -> Index:
    """Return the voxel of the image in which a position of a layer's data lies, at its border if it lies outside."""
    full = [0.0] * (3 - len(position)) + [float(value) for value in position]
    z, y, x = (min(max(int(np.floor(value + 0.5)), 0), side - 1) for value, side in zip(full, shape, strict=True))
    return z, y, x


def on_layer(index: Sequence[float], ndim: int) -> list[float]:
    """Return a voxel of the image as a position of the layer's data."""
    return [float(value) for value in index][3 - ndim :]


def is_inside(position: Sequence[float], shape: Index) -> bool:
    """Tell whether a position of a layer's data lies in the image."""
    sides = shape[3 - len(position) :]
    return all(-0.5 <= value < side - 0.5 for value, side in zip(position, sides, strict=True))


def prompt_of(kind: str, corners: NDArray[np.floating], shape: Index, *, positive: bool) -> Prompt:
    """Return what a drawn shape means: a rectangle is a box, a path a stroke, a polygon a lasso.

    A rectangle that says what is not the object is a lasso: a box always has the object in it.
    """
    voxels = [voxel_of(corner, shape) for corner in corners]
    if kind in ("rectangle", "ellipse"):
        if positive:
            return Box.of(np.min(voxels, axis=0), np.max(voxels, axis=0) + 1)
        kind = "polygon"
    if kind in ("path", "line"):
        kept = [voxel for i, voxel in enumerate(voxels) if i == 0 or voxel != voxels[i - 1]]
        return Stroke(tuple(kept), positive)
    flat = np.flatnonzero(np.ptp(voxels, axis=0) == 0)
    if not len(flat):
        raise UserError("A lasso lies in one slice; draw it again where only one is shown.")
    return Lasso(tuple(voxels), int(flat[0]), positive)
