"""An image's planes as people look at them: the patient's right at the left of the picture, the head and the front up.

The slices of each axis of voxels are one plane. It is called after the direction it is most nearly square to, and
turned and mirrored by whole voxels alone, so that a pixel is a voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image

NAMES = ("sagittal", "coronal", "axial")
ENDS = ("RL", "AP", "SI")  # of the directions right, front and head: where they lead, and where they come from
SIDE = 1536  # pixels of a picture's longer side, above which only every second one is shown, or fewer


@dataclass(frozen=True)
class Plane:
    """How the slices along one axis of voxels are shown."""

    axis: int  # of the voxels, which its slices are counted along
    rows: int  # axis that runs down in the picture
    columns: int  # axis that runs to its right
    flip_rows: bool  # the picture's first row is the axis' last voxel
    flip_columns: bool
    name: str
    ends: str  # letters of the patient's sides: left, right, top and bottom of the picture
    step: int = 1  # of the voxels of a slice one in so many is shown, along each axis

    def cut(self, volume: NDArray[np.generic], index: int) -> NDArray[np.generic]:
        """Return a slice of an array whose last axes are (z, y, x), as it lies in the picture.

        >>> plane = planes(Image(np.zeros((1, 2, 3, 4))))[1]
        >>> plane.name, plane.cut(np.arange(24).reshape(2, 3, 4), 1).tolist()
        ('coronal', [[19, 18, 17, 16], [7, 6, 5, 4]])
        """
        first = volume.ndim - 3
        taken = np.take(volume, index, axis=first + self.axis)
        if self.rows > self.columns:
            taken = taken.swapaxes(-1, -2)
        taken = taken[..., ::-1, :] if self.flip_rows else taken
        taken = taken[..., ::-1] if self.flip_columns else taken
        return np.asarray(taken[..., :: self.step, :: self.step])


def planes(image: Image) -> tuple[Plane, ...]:
    """Return the planes of an image by axis (z, y, x); a flat image has one."""
    toward, sign = _directions(image)
    count = 1 if image.flat else 3
    return tuple(_plane(image, axis, toward, sign) for axis in range(count))


def _directions(image: Image) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return the direction (right, front, head) that each axis is nearest to, each but once; and if it leads there."""
    steps = image.affine[:3, :3] / image.spacing
    toward = max(permutations(range(3)), key=lambda order: sum(abs(steps[order[axis], axis]) for axis in range(3)))
    return toward, tuple(bool(steps[toward[axis], axis] > 0) for axis in range(3))


def _plane(image: Image, axis: int, toward: tuple[int, ...], sign: tuple[bool, ...]) -> Plane:
    rows, columns = sorted((other for other in range(3) if other != axis), key=lambda other: -toward[other])
    left_right, top_bottom = (ENDS[toward[other]] for other in (columns, rows))
    longest = max(image.shape[rows], image.shape[columns])
    return Plane(
        axis,
        rows,
        columns,
        sign[rows],
        sign[columns],
        NAMES[toward[axis]],
        left_right + top_bottom,
        -(-longest // SIDE),
    )
