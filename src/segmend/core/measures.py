"""What can be measured of one mask: its size, its diameters, and the image's values in it.

Lengths are in millimetres. A picture that says nothing of how large its pixels are is read with a spacing of exactly
one: its lengths are in pixels, and `unit` says so. Diameters reach to the outer faces of voxels: a row of four voxels
of 2 mm is 8 mm long. The longest one counts the thickness of slices, those in a slice do not.

>>> mask = np.zeros((1, 5, 9), bool); mask[0, 2, 1:5] = True
>>> found = measure(mask, Image(np.full((1, 1, 5, 9), 7.0)))
>>> found.voxels, found.diameters.longest, found.diameters.unit, found.means
(4, 4.0, 'px', (7.0,))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from segmend.core.image import Box, Image, MaskArray, bounds
from segmend.errors import ShapeError

Unit = Literal["mm", "px"]
Points = NDArray[np.float64]  # [n 3] mm
# Voxels beside a mask's middle at which its faces lie: three along each axis in turn.
FACES = np.concatenate([np.eye(3), -np.eye(3)]) * 0.5


@dataclass(frozen=True)
class Diameters:
    """How long a mask is: anywhere, and a part of it in the slice where that is longest, with its width (RECIST)."""

    longest: float
    long_axis: float
    short_axis: float  # the longest line across the long axis, in the same slice
    slice: int  # z of that slice
    unit: Unit


@dataclass(frozen=True)
class SliceAxes:
    """The diameters of a mask in the slice where a connected part of it is longest (RECIST)."""

    long_axis: float
    short_axis: float  # the longest line across the long axis, in the same slice
    slice: int  # z of that slice


@dataclass(frozen=True)
class Measures:
    """All that is measured of one mask."""

    voxels: int
    volume_ml: float | None  # None: a picture
    area_mm2: float | None  # None: a volume, or a picture that does not say how large its pixels are
    diameters: Diameters | None  # None: an empty mask
    means: tuple[float, ...]  # of the image's values in the mask, by channel; none where the mask is empty
    deviations: tuple[float, ...]  # their standard deviations
    lows: tuple[float, ...]
    highs: tuple[float, ...]


def measure(mask: MaskArray, image: Image) -> Measures:
    """Return all measures of a mask on its image's grid."""
    if mask.shape != image.shape:
        raise ShapeError(f"A mask needs its image's shape {image.shape}; got {mask.shape}.")
    voxels = int(np.count_nonzero(mask))
    box = bounds(mask)
    return Measures(
        voxels,
        volume_ml(voxels, image),
        area_mm2(voxels, image),
        None if box is None else _diameters(mask[box.slices], box, image),
        *(_statistics(mask[box.slices], box, image) if box is not None else ((), (), (), ())),
    )


def volume_ml(voxels: int, image: Image) -> float | None:
    """Return the volume of so many voxels, None of a picture.

    >>> volume_ml(2000, Image(np.zeros((1, 40, 50, 60))))
    2.0
    """
    return None if image.flat else voxels * float(abs(np.linalg.det(image.affine[:3, :3]))) / 1000


def area_mm2(voxels: int, image: Image) -> float | None:
    """Return the area of so many pixels, None of a volume and of a picture that does not say how large they are."""
    if not image.flat or unit_of(image) == "px":
        return None
    return voxels * float(np.linalg.norm(np.cross(image.affine[:3, 1], image.affine[:3, 2])))


def unit_of(image: Image) -> Unit:
    """Return what lengths in an image are in: pixels where a picture does not say how large they are."""
    _, y, x = image.spacing.tolist()
    return "px" if image.flat and (y, x) == (1.0, 1.0) else "mm"


def diameters(mask: MaskArray, image: Image) -> Diameters | None:
    """Return the diameters of a mask, None where it is empty."""
    box = bounds(mask)
    return None if box is None else _diameters(mask[box.slices], box, image)


def slice_axes(mask: MaskArray, image: Image) -> SliceAxes | None:
    """Return how long a part of a mask is in the slice where it is longest, and its width across that; None of nothing.

    These are the diameters of RECIST alone, which cost much less than the longest line through space.
    """
    box = bounds(mask)
    return None if box is None else _slice_axes(mask[box.slices], box, image)


def _diameters(inside: MaskArray, box: Box, image: Image) -> Diameters:
    turn = image.affine[:3, :3]
    axes = _slice_axes(inside, box, image)
    longest = axes.long_axis
    if not image.flat:
        outer = [_corners(_faces(plane, z, flat=False) @ turn.T) for z, plane in _planes(inside)]
        longest = max(longest, _farthest(_corners(np.concatenate(outer)))[0])
    return Diameters(longest, axes.long_axis, axes.short_axis, axes.slice, unit_of(image))


def _slice_axes(inside: MaskArray, box: Box, image: Image) -> SliceAxes:
    turn = image.affine[:3, :3]
    most = _diagonals(inside, image)
    long_axis, ends, at, longest = 0.0, np.zeros((2, 3)), 0, inside[0]
    for z in np.argsort(-most, kind="stable").tolist():
        if most[z] <= long_axis:
            break  # no slice behind this one can hold a longer line
        numbers, _ = ndimage.label(inside[z], np.ones((3, 3)))  # pixels that touch at a corner are of one part
        boxes = ndimage.find_objects(numbers)
        sides = np.array([(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in boxes])
        most_of = _diagonal(sides[:, 0], sides[:, 1], image)
        for number in np.argsort(-most_of, kind="stable").tolist():
            if most_of[number] <= long_axis:
                break
            part = np.zeros_like(inside[z])
            part[boxes[number]] = numbers[boxes[number]] == number + 1
            faces = _faces(part, z, flat=True)
            length, pair = _farthest(faces[ConvexHull(faces[:, 1:]).vertices] @ turn.T)
            if length > long_axis:
                long_axis, ends, at, longest = length, pair, z, part
    across = _across(_faces(longest, at, flat=True) @ turn.T, ends, float(image.spacing[1:].min()))
    return SliceAxes(long_axis, across, box.low[0] + at)


def _diagonals(inside: MaskArray, image: Image) -> NDArray[np.float64]:  # [z]
    """Return for each slice the longer diagonal of the box round its voxels, 0 where it has none."""
    return _diagonal(_extents(np.asarray(inside.any(axis=2))), _extents(np.asarray(inside.any(axis=1))), image)


def _diagonal(rows: NDArray[np.intp], columns: NDArray[np.intp], image: Image) -> NDArray[np.float64]:
    """Return the longer diagonal of boxes of so many rows and columns."""
    one = np.multiply.outer(rows, image.affine[:3, 1])
    other = np.multiply.outer(columns, image.affine[:3, 2])
    return np.asarray(np.maximum(np.linalg.norm(one + other, axis=-1), np.linalg.norm(one - other, axis=-1)))


def _extents(there: NDArray[np.bool_]) -> NDArray[np.intp]:  # [z n] -> [z]
    """Return for each line how far it is from its first true to behind its last one, 0 without any."""
    last = there.shape[1] - there[:, ::-1].argmax(axis=1)
    return np.where(there.any(axis=1), last - there.argmax(axis=1), 0)


def _planes(inside: MaskArray) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    return ((z, plane) for z, plane in enumerate(inside) if plane.any())


def _faces(plane: NDArray[np.bool_], z: int, *, flat: bool) -> Points:  # [n 3] voxels
    """Return the middles of the outer faces of a plane's first and last voxel in each row and column."""
    columns = plane.shape[1] - 1 - plane[:, ::-1].argmax(axis=1)
    rows = plane.shape[0] - 1 - plane[::-1].argmax(axis=0)
    y, x = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    pairs = [
        np.stack([np.concatenate([y, y]), np.concatenate([plane[y].argmax(axis=1), columns[y]])], axis=1),
        np.stack([np.concatenate([plane[:, x].argmax(axis=0), rows[x]]), np.concatenate([x, x])], axis=1),
    ]
    ends = np.unique(np.concatenate(pairs), axis=0)
    voxels = np.column_stack([np.full(len(ends), z), ends]).astype(np.float64)
    faces = FACES[FACES[:, 0] == 0] if flat else FACES
    return (voxels[:, None] + faces).reshape(-1, 3)


def _corners(points: Points) -> Points:
    """Return the corners of the convex hull of points in space, in a plane or on a line, or all of few."""
    if len(points) <= 16:
        return points
    middle = points - points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(middle, full_matrices=False)
    kept = axes[sizes > 1e-9 * max(float(sizes[0]), 1.0)]
    if len(kept) < 2:
        along = middle @ axes[0]
        return points[[int(along.argmin()), int(along.argmax())]]
    try:
        return np.asarray(points[ConvexHull(middle @ kept.T).vertices])
    except QhullError:  # numerically flat
        return points


def _farthest(points: Points) -> tuple[float, Points]:
    """Return how far the two points are apart that are farthest from each other, and the two."""
    best, pair = -1.0, points[[0, 0]]
    for i, point in enumerate(points):
        apart = np.linalg.norm(points[i:] - point, axis=1)
        j = int(apart.argmax())
        if apart[j] > best:
            best, pair = float(apart[j]), points[[i, i + j]]
    return best, pair


def _across(points: Points, ends: Points, step: float) -> float:
    """Return the longest line through a plane's mask at right angles to the line between two of its points."""
    way = ends[1] - ends[0]
    length = float(np.linalg.norm(way))
    if length == 0:
        return 0.0
    along = (points - ends[0]) @ (way / length)
    beside = points - ends[0] - along[:, None] * (way / length)
    side = beside[int(np.linalg.norm(beside, axis=1).argmax())]
    width = float(np.linalg.norm(side))
    if width == 0:
        return 0.0
    offset = beside @ (side / width)
    place = np.floor(along / step).astype(np.int64)
    place -= place.min()
    highest, lowest = np.full(int(place.max()) + 1, -np.inf), np.full(int(place.max()) + 1, np.inf)
    np.maximum.at(highest, place, offset)
    np.minimum.at(lowest, place, offset)
    there = np.isfinite(highest)
    return float((highest[there] - lowest[there]).max())


def statistics(mask: MaskArray, image: Image) -> tuple[tuple[float, ...], ...]:
    """Return the means, standard deviations, lowest and highest values in a mask, by channel; none of an empty one."""
    box = bounds(mask)
    return ((), (), (), ()) if box is None else _statistics(mask[box.slices], box, image)


def _statistics(inside: MaskArray, box: Box, image: Image) -> tuple[tuple[float, ...], ...]:
    there = image.voxels[(slice(None), *box.slices)]
    channels: list[NDArray[Any]] = [channel[inside].astype(np.float64) for channel in there]
    return (
        tuple(float(values.mean()) for values in channels),
        tuple(float(values.std()) for values in channels),
        tuple(float(values.min()) for values in channels),
        tuple(float(values.max()) for values in channels),
    )
