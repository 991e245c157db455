"""An image on its voxel grid, and boxes of that grid.

Axes are (z, y, x) from the file reader to the canvas; a photograph is one slice.
World positions are RAS millimetres and say so in their names. Boxes are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from html import escape
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmend.core.preview import picture
from segmend.errors import GeometryError, PromptError, ShapeError

Index = tuple[int, int, int]  # (z, y, x)
MaskArray = NDArray[np.bool_]  # [z y x]
LabelMap = NDArray[np.uint16]  # [z y x]
Real = NDArray[np.float32]
Space = Literal["RAS", "LPS"]  # what millimetres count towards: right, front and head, or left, back and head
SPACES: tuple[Space, ...] = get_args(Space)
# Of a voxel, by that of a box with the same sides: less is taken for a flat one.
LEAST_VOLUME = 1e-9


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
        return cls(index_of(low), index_of(high))

    @classmethod
    def at_mm(cls, low_mm: Sequence[float], high_mm: Sequence[float], image: Image, *, space: Space = "RAS") -> Self:
        """Return the smallest box of voxels round a box between two corners in millimetres, cut to the image.

        >>> Box.at_mm((0, 0, 3), (2, 1, 6), Image(np.zeros((1, 4, 5, 6)), scale_affine((3, 1, 1))))
        Box(low=(1, 0, 0), high=(3, 2, 3))
        """
        ends = np.stack([np.asarray(low_mm, float), np.asarray(high_mm, float)])
        corners = [image.to_index([ends[i, 0], ends[j, 1], ends[k, 2]], space=space) for i, j, k in np.ndindex(2, 2, 2)]
        low, high = np.floor(np.min(corners, axis=0) + 0.5), np.floor(np.max(corners, axis=0) + 0.5) + 1
        box = Box.of(low, high).clipped(image.shape)
        if box.size == 0:
            raise PromptError(f"The box from {low_mm} to {high_mm} mm ({space}) is outside the image.")
        return cls(box.low, box.high)

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
        return Box(index_of(map(min, self.low, other.low)), index_of(map(max, self.high, other.high)))

    def intersection(self, other: Box) -> Box:
        """Return what both share; `size` is 0 when that is nothing."""
        return Box(index_of(map(max, self.low, other.low)), index_of(map(min, self.high, other.high)))

    def grown(self, margin: int | Index) -> Box:
        """Return the box with `margin` voxels more on every side."""
        m = (margin,) * 3 if isinstance(margin, int) else margin
        return Box(
            index_of(l - d for l, d in zip(self.low, m, strict=True)),
            index_of(h + d for h, d in zip(self.high, m, strict=True)),
        )

    def clipped(self, shape: Sequence[int]) -> Box:
        """Return the part of the box inside a grid of this shape."""
        return self.intersection(whole(shape))


def index_of(values: Iterable[float]) -> Index:
    """Return three whole numbers, such as an array's, as an index."""
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
    return Box((0, 0, 0), index_of(shape))


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


def is_flat(affine: NDArray[np.float64]) -> bool:
    """Tell whether an affine, in whatever unit, spans no volume or is not finite.

    >>> is_flat(scale_affine((1e-6, 1e-6, 1e-6))), is_flat(np.diag([1.0, 1.0, 0.0, 1.0]))
    (False, True)
    """
    if not np.isfinite(affine).all():
        return True
    with np.errstate(over="ignore", under="ignore"):
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        sized = bool((steps > 0).all() and np.isfinite(steps).all())
        return not sized or bool(abs(np.linalg.det(affine[:3, :3] / steps)) < LEAST_VOLUME)


def check_space(space: str) -> None:
    """Raise GeometryError unless millimetres are said to be of a space that is known."""
    if space not in SPACES:
        raise GeometryError(f"Millimetres are of the space {' or '.join(SPACES)}; got {space!r}.")


def _signs(space: Space) -> NDArray[np.float64]:
    """Return what turns RAS millimetres to those of a space, and back."""
    check_space(space)
    return np.asarray((-1.0, -1.0, 1.0) if space == "LPS" else (1.0, 1.0, 1.0))


# Libraries whose images are objects with a geometry of their own.
FOREIGN = ("nibabel", "SimpleITK", "itk", "monai", "torchio")


def _counts_from_x(affine: NDArray[np.float64]) -> bool:
    """Tell whether an affine's first axis runs left or right, its second to front or back, its third up or down."""
    steps = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    return bool((steps.argmax(axis=0) == np.arange(3)).all())


@dataclass(frozen=True, eq=False)
class Image:
    """A scan or photograph on its voxel grid.

    `voxels` keeps the numbers and the type of the file (real, finite); methods turn
    the crop they look at into float32. `affine` takes (z, y, x, 1) to RAS mm and may
    be oblique or sheared (a tilted gantry), never flat. `notes` are sentences on what
    the reader had to decide, such as slices it dropped.

    Other libraries count (x, y, z): `segmend.open_image` takes their images as they are. An affine whose z runs to
    the patient's side, y to the front or back and x to the head or feet is theirs for an axial scan, and hardly ever
    one of (z, y, x): it is refused unless `axes` says which one it is. With axes="xyz" the voxels are [c x y z] and
    turned; other affines of (x, y, z) cannot be told from ours and are taken as said, (z, y, x).

    >>> image = Image(np.zeros((1, 4, 5, 6), np.int16), scale_affine((3, 1, 1)))
    >>> image.shape, image.spacing.tolist(), image.flat
    ((4, 5, 6), [3.0, 1.0, 1.0], False)
    """

    voxels: NDArray[np.generic]  # [c z y x]
    affine: NDArray[np.float64] = field(default_factory=scale_affine)  # [4 4] (z, y, x, 1) -> RAS mm
    notes: tuple[str, ...] = ()
    axes: InitVar[str] = field(default="", kw_only=True)  # "zyx" or "xyz", of voxels and affine; "" is "zyx" unless odd

    def __post_init__(self, axes: str) -> None:
        if axes not in ("", "zyx", "xyz"):
            raise GeometryError(f"The axes of an image's voxels and affine need to be 'zyx' or 'xyz'; got {axes!r}.")
        if type(self.voxels).__module__.split(".")[0] in FOREIGN and not isinstance(self.voxels, np.ndarray):
            raise ShapeError(
                f"An image needs an array (c, z, y, x); got {type(self.voxels).__name__}: use segmend.open_image(...)."
            )
        voxels = np.asarray(self.voxels)
        own = isinstance(self.affine, np.ndarray) and not self.affine.flags.writeable  # another image's: (z, y, x)
        affine = np.asarray(self.affine, dtype=np.float64)
        if voxels.ndim != 4 or voxels.size == 0:
            hint = " segmend.open_image takes arrays of 2 and 3 axes." if voxels.ndim in (2, 3) else ""
            raise ShapeError(f"An image needs 4 axes (c, z, y, x), none empty; got shape {voxels.shape}.{hint}")
        if voxels.dtype.kind not in "uif":
            raise ShapeError(f"An image needs real numbers; got {voxels.dtype}.")
        if affine.shape != (4, 4):
            raise GeometryError(f"An affine needs shape (4, 4); got {affine.shape}.")
        if is_flat(affine):
            raise GeometryError("An affine needs finite numbers and a volume; this one is flat or not finite.")
        if axes == "xyz":
            voxels, affine = voxels.transpose(0, 3, 2, 1), affine[:, [2, 1, 0, 3]]
        elif not axes and not own and _counts_from_x(affine):
            raise GeometryError(
                "This affine looks like one of (x, y, z), as nibabel has them, and an image needs one of (z, y, x): "
                "use segmend.open_image(...), or say axes='xyz', or axes='zyx' if that is what it is."
            )
        voxels = voxels.view()
        voxels.flags.writeable = False
        affine = affine.copy()
        affine.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine", affine)

    def __repr__(self) -> str:
        sides, steps = " x ".join(map(str, self.shape)), " x ".join(f"{step:.3g}" for step in self.spacing)
        channels = f", {self.channels} channels" if self.channels > 1 else ""
        return f"<Image of {sides} voxels (z, y, x), {steps} mm each, {self.voxels.dtype}{channels}>"

    def _repr_html_(self) -> str:
        _, y, x = self.spacing.tolist()
        return f"{picture(self.voxels[:, self.shape[0] // 2], (y, x))}<br>{escape(repr(self))}"

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

    def to_mm(self, index: Sequence[float], *, space: Space = "RAS") -> NDArray[np.float64]:
        """Return the position of a voxel's centre, in mm.

        >>> image = Image(np.zeros((1, 4, 5, 6)), scale_affine((3, 1, 1)))
        >>> image.to_mm((2, 1, 0)).tolist(), image.to_mm((2, 1, 0), space="LPS").tolist()
        ([0.0, 1.0, 6.0], [-0.0, -1.0, 6.0])
        """
        return np.asarray((self.affine[:3, :3] @ np.asarray(index, float) + self.affine[:3, 3]) * _signs(space))

    def to_index(self, point_mm: Sequence[float], *, space: Space = "RAS") -> NDArray[np.float64]:
        """Return the (z, y, x) index, not rounded, of a position in mm."""
        offset = np.asarray(point_mm, float) * _signs(space) - self.affine[:3, 3]
        return np.asarray(np.linalg.solve(self.affine[:3, :3], offset))

    def voxel_at_mm(self, point_mm: Sequence[float], *, space: Space = "RAS") -> Index:
        """Return the index of the voxel that a position in mm lies in; PromptError when it is outside the image."""
        index = np.floor(self.to_index(point_mm, space=space) + 0.5)
        if not whole(self.shape).contains(index.tolist()):
            place = ", ".join(f"{value:g}" for value in point_mm)
            raise PromptError(f"The point ({place}) mm ({space}) is outside the image of shape {self.shape}.")
        return index_of(index)

    def voxel(self, *numbers: int) -> Index:
        """Return the index (z, y, x) of a voxel of the image; of a flat image (y, x) is enough.

        >>> Image(np.zeros((3, 1, 40, 60), np.uint8)).voxel(12, 30)
        (0, 12, 30)
        """
        needed = "(y, x)" if self.flat else "(z, y, x)"
        full = (0, *numbers) if self.flat and len(numbers) == 2 else numbers
        if len(full) != 3 or any(int(n) != n for n in full):
            raise PromptError(f"A voxel of an image of shape {self.shape} needs whole numbers {needed}; got {numbers}.")
        if not whole(self.shape).contains(full):
            raise PromptError(f"The voxel {numbers} is outside the image of shape {self.shape}.")
        return index_of(full)
