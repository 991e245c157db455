"""Seed points as RefineNet's paper makes them: skeletons of errors, or those that one slice gives the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.prompts import Mask, Stroke
from segmend.core.seeds import seeds_of_errors
from segmend.core.thinning import RING, Plane
from segmend.errors import SettingsError
from segmend.users.error_region import error_region
from segmend.users.play import Marks, User
from segmend.users.skeleton import corners


def strokes(pixels: Plane, plane: int, *, positive: bool) -> tuple[Stroke, ...]:
    """Return strokes that run through just these pixels of an axial plane, each pixel once.

    A stroke begins at an end of a line where there is one, and goes on to the next pixel as long as there is one.

    >>> [stroke.points for stroke in strokes(np.array([[1, 1, 1, 0, 1]], bool), 4, positive=True)]
    [((4, 0, 0), (4, 0, 2)), ((4, 0, 4),)]
    """
    left = {(int(y), int(x)) for y, x in np.argwhere(pixels)}
    steps = RING[::2] + RING[1::2]  # sides before corners

    def following(y: int, x: int) -> list[tuple[int, int]]:
        return [(y + dy, x + dx) for dy, dx in steps if (y + dy, x + dx) in left]

    found = []
    for start in sorted(left, key=lambda pixel: (len(following(*pixel)) > 1, pixel)):
        if start not in left:
            continue
        path = [start]
        left.remove(start)
        while ahead := following(*path[-1]):
            path.append(ahead[0])
            left.remove(ahead[0])
        voxels = np.column_stack([np.full(len(path), plane), path]).astype(np.intp)
        points = tuple((int(z), int(y), int(x)) for z, y, x in corners(voxels))
        found.append(Stroke(points, positive, radius=0.5))
    return tuple(found)


@dataclass(frozen=True)
class SkeletonErrors:
    """Draw the skeletons of all errors of a plane at once: missed ones positive, those too many negative.

    In a volume the plane is the axial one with the most errors; the seed decides between equal ones.

    >>> truth = np.zeros((1, 5, 9), bool); truth[0, 1:4, 1:8] = True
    >>> SkeletonErrors()(truth, np.zeros_like(truth))
    (Stroke(points=((0, 2, 2), (0, 2, 6)), positive=True, radius=0.5),)
    """

    kinds: ClassVar[tuple[str, ...]] = ("stroke",)
    seed: int = 0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> tuple[Stroke, ...] | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        areas = found.wrong.sum(axis=(1, 2))
        planes = np.flatnonzero(areas == areas.max())
        plane = planes[0] if len(planes) == 1 else planes[found.generator(self.seed).integers(len(planes))]
        return on_plane(truth, mask, int(plane) + found.box.low[0])


def on_plane(truth: MaskArray, mask: MaskArray, plane: int) -> tuple[Stroke, ...]:
    """Return the skeletons of all errors of one axial plane as strokes."""
    seeds = seeds_of_errors(truth[plane], mask[plane])
    return (
        *strokes(seeds.foreground, plane, positive=True),
        *strokes(seeds.background, plane, positive=False),
    )


@dataclass(frozen=True)
class GivenSlice:
    """Open with the truth of one slice, the largest or the middle one, as a mask; then let `then` correct.

    In a flat image there is no slice to give: `then` opens.

    >>> truth = np.zeros((3, 4, 5), bool); truth[1, 1:3, 1:4] = truth[2, 1, 1] = True
    >>> given = GivenSlice().opening(truth, np.zeros_like(truth))
    >>> given.low, given.inside.astype(int).tolist()
    ((1, 1, 1), [[[1, 1, 1], [1, 1, 1]]])
    """

    seed: int = 0
    which: str = "largest"  # or "middle"
    then: User | None = None  # SkeletonErrors with the same seed

    def __post_init__(self) -> None:
        if self.which not in ("largest", "middle"):
            raise SettingsError(f"A given slice needs to be the largest or the middle one; got {self.which!r}.")

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("mask", *getattr(self._corrector, "kinds", ()))

    def opening(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        """Return the given slice."""
        if truth.shape[0] == 1 or not truth.any() or error_region(truth, mask) is None:
            return self(truth, mask)
        areas = truth.sum(axis=(1, 2))
        filled = np.flatnonzero(areas)
        plane = int(areas.argmax()) if self.which == "largest" else int(filled[len(filled) // 2])
        ys, xs = np.nonzero(truth[plane])
        top, left = int(ys.min()), int(xs.min())
        return Mask(truth[plane : plane + 1, top : ys.max() + 1, left : xs.max() + 1].copy(), (plane, top, left))

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        return self._corrector(truth, mask)

    @property
    def _corrector(self) -> User:
        return self.then or SkeletonErrors(self.seed)
