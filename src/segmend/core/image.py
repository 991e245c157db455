"""An image on its voxel grid, and boxes of that grid.

Axes are (z, y, x) from the file reader to the canvas; a photograph is one slice.
World positions are RAS millimetres and say so in their names. Boxes are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmend.errors import GeometryError, ShapeError

Index = tuple[int, int, int]  # (z, y, x)
MaskArray = NDArray[np.bool_]  # [z y x]
LabelMap = NDArray[np.uint16]  # [z y x]
Real = NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """A block of voxels from `low` to just before `high`, as in a slice.

    Put down as a prompt it says: the object lies inside; in 2D it is one voxel thick.

    >>> Box((0, 2, 3), (1, 5, 9)).shape
    (1, 3, 6)
    """

    low: Index
    high: Index

    @classmethod
    def of(cls, low: Iterable[float], high: Iterable[float]) -> Self:
        """Return the box between two corners of any three whole numbers, such as an array's.

        >>> Box.of(np.array([0, 1, 2]), np.array([3, 4, 5]))
        Box(low=(0, 1, 2), high=(3, 4, 5))
        """
        return cls(_index(low), _index(high))

    def moved(self, by: Sequence[int]) -> Box:
        """Return the box moved by so many voxels along each axis.

        >>> Box((0, 1, 2), (1, 2, 3)).moved((1, 0, 2))
        Box(low=(1, 1, 4), high=(2, 2, 5))
        """
        return Box.of(np.add(self.low, by), np.add(self.high, by))

    @property
    def shape(self) -> Index:
        z, y, x = (max(0, h - l) for l, h in zip(self.low, self.high, strict=True))
        return z, y, x

    @property
    def size(self) -> int:
        z, y, x = self.shape
        return z * y * x

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index an array of the whole grid by this box.

        >>> np.ones((4, 5, 6))[Box((0, 1, 2), (4, 3, 6)).slices].shape
        (4, 2, 4)
        """
        z, y, x = (slice(l, h) for l, h in zip(self.low, self.high, strict=True))
        return z, y, x

    def within(self, outer: Box) -> tuple[slice, slice, slice]:
        """Index an array of an outer box by this one.

        >>> np.ones((3, 4, 5))[Box((1, 2, 3), (2, 3, 5)).within(Box((0, 1, 2), (3, 5, 7)))].shape
        (1, 1, 2)
        """
        z, y, x = (slice(l - o, h - o) for l, h, o in zip(self.low, self.high, outer.low, strict=True))
        return z, y, x

    def contains(self, index: Sequence[float]) -> bool:
        return all(l <= i < h for l, i, h in zip(self.low, index, self.high, strict=True))

    def union(self, other: Box) -> Box:
        """Return the smallest box that holds both; an empty box adds nothing."""
        if self.size == 0:
            return other
        if other.size == 0:
            return self
        return Box(_index(map(min, self.low, other.low)), _index(map(max, self.high, other.high)))

    def intersection(self, other: Box) -> Box:
        """Return what both share; `size` is 0 when that is nothing."""
        return Box(_index(map(max, self.low, other.low)), _index(map(min, self.high, other.high)))

    def grown(self, margin: int | Index) -> Box:
        """Return the box with `margin` voxels more on every side."""
        m = (margin,) * 3 if isinstance(margin, int) else margin
        return Box(
            _index(l - d for l, d in zip(self.low, m, strict=True)),
            _index(h + d for h, d in zip(self.high, m, strict=True)),
        )

    def clipped(self, shape: Sequence[int]) -> Box:
        """Return the part of the box inside a grid of this shape."""
        return self.intersection(whole(shape))


def _index(values: Iterable[float]) -> Index:
    z, y, x = (int(v) for v in values)
    return z, y, x


def three(values: Iterable[float]) -> tuple[float, float, float]:
    """Return three numbers, such as an array's, as a tuple.

    >>> three(np.array([1, 2.5, 3]))
    (1.0, 2.5, 3.0)
    """
    z, y, x = (float(v) for v in values)
    return z, y, x


def whole(shape: Sequence[int]) -> Box:
    """Return the box of a whole grid.

    >>> whole((2, 3, 4))
    Box(low=(0, 0, 0), high=(2, 3, 4))
    """
    return Box((0, 0, 0), _index(shape))


def bounds(mask: ArrayLike) -> Box | None:
    """Return the smallest box that holds every true voxel, None when there is none.

    >>> mask = np.zeros((3, 4, 5), bool); mask[1, 2, 3:5] = True
    >>> bounds(mask)
    Box(low=(1, 2, 3), high=(2, 3, 5))
    """
    array: MaskArray = np.asarray(mask).astype(bool, copy=False)
    planes = np.asarray(array.any(axis=(1, 2)))
    if not planes.any():
        return None
    z0, z1 = _ends(planes)
    inner: MaskArray = np.asarray(array[z0:z1].any(axis=0))
    y0, y1 = _ends(np.asarray(inner.any(axis=1)))
    x0, x1 = _ends(np.asarray(inner.any(axis=0)))
    return Box((z0, y0, x0), (z1, y1, x1))


def _ends(line: NDArray[np.bool_]) -> tuple[int, int]:
    return int(line.argmax()), len(line) - int(line[::-1].argmax())


def scale_affine(spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> NDArray[np.float64]:
    """Return the affine of an axis-aligned grid: z up, y to anterior, x to right, in mm.

    >>> scale_affine((3, 2, 1)) @ (1, 1, 1, 1)
    array([1., 2., 3., 1.])
    """
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing
    affine[3, 3] = 1.0
    return affine


@dataclass(frozen=True, eq=False)
class Image:
    """A scan or photograph on its voxel grid.

    `voxels` keeps the numbers and the type of the file (real, finite); methods turn
    the crop they look at into float32. `affine` takes (z, y, x, 1) to RAS mm and may
    be oblique or sheared (a tilted gantry), never flat. `notes` are sentences on what
    the reader had to decide, such as slices it dropped.

    >>> image = Image(np.zeros((1, 4, 5, 6), np.int16), scale_affine((3, 1, 1)))
    >>> image.shape, image.spacing.tolist(), image.flat
    ((4, 5, 6), [3.0, 1.0, 1.0], False)
    """

    voxels: NDArray[np.generic]  # [c z y x]
    affine: NDArray[np.float64] = field(default_factory=scale_affine)  # [4 4] (z, y, x, 1) -> RAS mm
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        affine = np.asarray(self.affine, dtype=np.float64)
        if voxels.ndim != 4 or voxels.size == 0:
            raise ShapeError(f"An image needs 4 axes (c, z, y, x), none empty; got shape {voxels.shape}.")
        if voxels.dtype.kind not in "uif":
            raise ShapeError(f"An image needs real numbers; got {voxels.dtype}.")
        if affine.shape != (4, 4):
            raise GeometryError(f"An affine needs shape (4, 4); got {affine.shape}.")
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GeometryError("An affine needs finite numbers and a volume; this one is flat or not finite.")
        voxels = voxels.view()
        voxels.flags.writeable = False
        affine = affine.copy()
        affine.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> Index:
        _, z, y, x = self.voxels.shape
        return z, y, x

    @property
    def channels(self) -> int:
        return int(self.voxels.shape[0])

    @property
    def spacing(self) -> NDArray[np.float64]:  # [3] mm, (z, y, x)
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def flat(self) -> bool:
        """True for a photograph or a single slice."""
        return self.shape[0] == 1

    @property
    def thick_axis(self) -> int | None:
        """The axis across slices that are clearly thicker than the other sides of voxels; None where none are.

        >>> Image(np.zeros((1, 3, 4, 5)), scale_affine((1, 1, 6))).thick_axis
        2
        >>> Image(np.zeros((1, 3, 4, 5)), scale_affine((1.1, 1, 1))).thick_axis is None
        True
        """
        spacing = self.spacing
        thickest = int(np.argmax(spacing))
        return thickest if spacing[thickest] > 1.2 * float(np.median(spacing)) else None

    def to_mm(self, index: Sequence[float]) -> NDArray[np.float64]:
        """Return the RAS position of a voxel's centre, in mm.

        >>> Image(np.zeros((1, 4, 5, 6)), scale_affine((3, 1, 1))).to_mm((2, 1, 0))
        array([0., 1., 6.])
        """
        return np.asarray(self.affine[:3, :3] @ np.asarray(index, float) + self.affine[:3, 3])

    def to_index(self, point_mm: Sequence[float]) -> NDArray[np.float64]:
        """Return the (z, y, x) index, not rounded, of a RAS position in mm."""
        offset = np.asarray(point_mm, float) - self.affine[:3, 3]
        return np.asarray(np.linalg.solve(self.affine[:3, :3], offset))
