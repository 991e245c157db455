"""The surfaces of two masks and how far apart they are, in millimetres.

What a surface is here: every corner where 2 x 2 x 2 voxels meet (2 x 2 in a flat image), not all
inside and not all outside, holds one piece of the surface. The piece's position is that corner, its
area (length) is that of marching cubes between the voxels' centres, at the image's spacing. Beyond
the image is outside, so a mask cut by the border has a surface there. This is the definition of
DeepMind's `surface-distance`, which the CVPR 2025 challenge uses; the tests hold us equal to it.
MONAI counts the mask's outermost voxels instead, all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import MaskArray, bounds
from segmend.errors import GeometryError, ShapeError
from segmend.evaluation import distance_loops

Reals = NDArray[np.float64]
Corner = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Each surface piece's distance to the other mask's surface (mm), and its area (mm^2; mm if flat).

    Where the other mask is empty, distances are infinite.
    """

    truth_distances: Reals
    truth_areas: Reals
    mask_distances: Reals
    mask_areas: Reals

    def hausdorff(self, percent: float = 100.0) -> float:
        """Return the distance that `percent` of the area lies within, the larger of both ways.

        0 when both masks are empty, infinite when one is.
        """
        if not 0 < percent <= 100:
            raise GeometryError(f"A percentile needs to lie above 0 and up to 100; got {percent}.")
        both = ((self.truth_distances, self.truth_areas), (self.mask_distances, self.mask_areas))
        return max(_percentile(distances, areas, percent) for distances, areas in both)

    def assd(self) -> float:
        """Return the mean distance over the area of both surfaces; 0 when both are empty, infinite when one is."""
        area = self.truth_areas.sum() + self.mask_areas.sum()
        if area == 0:
            return 0.0
        return float((self.truth_distances @ self.truth_areas + self.mask_distances @ self.mask_areas) / area)

    def nsd(self, tolerance_mm: float) -> float:
        """Return the share of both surfaces' area within the tolerance of the other; 1 when both are empty."""
        if not tolerance_mm >= 0:
            raise GeometryError(f"A tolerance needs 0 mm or more; got {tolerance_mm}.")
        area = self.truth_areas.sum() + self.mask_areas.sum()
        if area == 0:
            return 1.0
        near = self.truth_areas[self.truth_distances <= tolerance_mm].sum()
        near += self.mask_areas[self.mask_distances <= tolerance_mm].sum()
        return float(near / area)


def surfaces(truth: MaskArray, mask: MaskArray, spacing: Sequence[float] | Reals = (1.0, 1.0, 1.0)) -> Surfaces:
    """Return how the surfaces of two masks [z y x] lie to each other; spacing is (z, y, x) in mm.

    >>> truth = np.zeros((1, 8, 9), bool); truth[0, 2:6, 2:6] = True
    >>> apart = surfaces(truth, np.roll(truth, 2, axis=2), (1, 1, 0.5))
    >>> apart.hausdorff(), apart.nsd(tolerance_mm=1)
    (1.0, 1.0)
    """
    if truth.shape != mask.shape or truth.ndim != 3:
        raise ShapeError(f"A comparison needs two masks [z y x] of one shape; got {truth.shape} and {mask.shape}.")
    steps = np.asarray(spacing, np.float64)
    if steps.shape != (3,) or not (np.isfinite(steps) & (steps > 0)).all():
        raise GeometryError(f"A spacing needs three lengths above 0 mm, (z, y, x); got {tuple(spacing)}.")
    box = bounds(truth | mask)
    if box is None:
        nothing = np.zeros(0)
        return Surfaces(nothing, nothing, nothing, nothing)
    flat = truth.shape[0] == 1
    areas = _areas(*(float(s) for s in steps), flat=flat)
    codes = [_codes(m[box.slices], flat=flat) for m in (truth, mask)]
    found = [(code - np.uint8(1)) < np.uint8(254 if not flat else 14) for code in codes]
    places = [np.flatnonzero(f) for f in found]
    there = _distances(places[0], found[1], steps)
    back = _distances(places[1], found[0], steps)
    return Surfaces(there, areas[codes[0].ravel()[places[0]]], back, areas[codes[1].ravel()[places[1]]])


def _distances(asking: NDArray[np.intp], surface: MaskArray, spacing: Reals) -> Reals:
    """Return the distance of each place (flat index) to the surface, in mm."""
    if len(asking) == 0:
        return np.zeros(0)
    if not surface.any():
        return np.full(len(asking), np.inf)
    near = distance_loops.rows(surface)
    squares = np.empty(len(asking))
    # A step of the search costs about 2 ns, a voxel of the transform 10 to 30 (bench/metrics.py).
    done = distance_loops.search(asking, near, spacing, 5 * surface.size, squares)
    if done < len(asking):
        squares[done:] = distance_loops.transform(near, spacing).ravel()[asking[done:]]
    return np.sqrt(squares)


def _codes(mask: MaskArray, *, flat: bool) -> NDArray[np.uint8]:
    """Return for each corner of the grid which of the voxels that meet there are inside, as bits.

    Bits 0 and 1 are two neighbours along x, doubled along y, doubled again along z.
    """
    inside = np.pad(mask, ((0, 0), (1, 1), (1, 1)) if flat else 1).view(np.uint8)
    code = inside[:, :, :-1] | inside[:, :, 1:] << 1
    code = code[:, :-1] | code[:, 1:] << 2
    return np.asarray(code if flat else code[:-1] | code[1:] << 4, np.uint8)


@lru_cache(maxsize=64)
def _areas(z: float, y: float, x: float, *, flat: bool) -> Reals:
    """Return the area of the surface piece of every code, at this spacing."""
    if flat:
        corners = list(product((0, 1), repeat=2))
        return np.array([_length(_inside(code, corners), y, x) for code in range(16)])
    corners = list(product((0, 1), repeat=3))
    faces = (y * x, z * x, z * y)  # normal to z, y, x
    return np.array([_area(_inside(code, corners), faces) for code in range(256)])


def _inside(code: int, corners: list[Corner]) -> list[Corner]:
    """Return a code's corners inside or, where they are fewer, those outside: the surface is the same."""
    inside = [corner for bit, corner in enumerate(corners) if code >> bit & 1]
    return inside if 2 * len(inside) <= len(corners) else [corner for corner in corners if corner not in inside]


def _length(corners: list[Corner], y: float, x: float) -> float:
    parts = _parts(corners)
    if len(parts) == 1 and len(parts[0]) == 2:
        return y if parts[0][0][0] != parts[0][1][0] else x
    return len(parts) * hypot(y, x) / 2


def _area(corners: list[Corner], faces: tuple[float, float, float]) -> float:
    return sum(_part_area(part, faces) for part in _parts(corners))


def _parts(corners: list[Corner]) -> list[list[Corner]]:
    """Return the corners grouped by edges of the cube: marching cubes cuts off each group by itself."""
    parts: list[list[Corner]] = []
    for corner in corners:
        joined = [part for part in parts if any(_axis(corner, other) is not None for other in part)]
        parts = [part for part in parts if part not in joined] + [[corner, *(c for part in joined for c in part)]]
    return parts


def _axis(a: Corner, b: Corner) -> int | None:
    """Return the axis of the edge between two corners, None when there is no edge."""
    differing = [axis for axis, (i, j) in enumerate(zip(a, b, strict=True)) if i != j]
    return differing[0] if len(differing) == 1 else None


def _part_area(part: list[Corner], faces: tuple[float, float, float]) -> float:
    """Return the area that cuts one to four joined corners off a box with these faces.

    Cut edges are cut in the middle. The first three cuts and that of three edges from one corner are
    flat but for the bend along the face's diagonal; the twisted row of four has one facet at either
    end and one in its middle.
    """
    slant = sqrt(sum(face * face for face in faces))
    edges = [axis for a, b in combinations(part, 2) if (axis := _axis(a, b)) is not None]
    match len(part), len(edges):
        case 1, _:
            return slant / 8
        case 2, _:
            return hypot(*(face for axis, face in enumerate(faces) if axis != edges[0])) / 2
        case 3, _:
            (normal,) = {0, 1, 2} - set(edges)
            return faces[normal] / 2 + slant * 3 / 8
        case 4, 4:
            (normal,) = {0, 1, 2} - set(edges)
            return faces[normal]
        case _:
            degree = {corner: sum(_axis(corner, other) is not None for other in part) for corner in part}
            if max(degree.values()) == 3:
                return slant * 6 / 8
            middle = _axis(*(corner for corner in part if degree[corner] == 2))
            assert middle is not None
            ends = (hypot(faces[middle], faces[axis]) for axis in range(3) if axis != middle)
            return slant / 2 + sum(ends) / 4


def _percentile(distances: Reals, areas: Reals, percent: float) -> float:
    """Return the least distance that holds `percent` of the area; 0 when there is none.

    Only the bin of distances in which the percentile falls is sorted.
    """
    if len(distances) == 0:
        return 0.0
    largest = float(distances.max())
    if percent == 100 or largest == 0 or np.isinf(largest):
        return largest
    bins = (distances * (1000 / largest)).astype(np.intp)
    held = np.cumsum(np.bincount(bins, areas))
    wanted = percent / 100 * held[-1]
    crossing = int(np.searchsorted(held, wanted))
    members = np.flatnonzero(bins == min(crossing, len(held) - 1))
    order = np.argsort(distances[members], kind="stable")
    before = held[crossing - 1] if crossing > 0 else 0.0
    reached = int(np.searchsorted(before + np.cumsum(areas[members][order]), wanted))
    return float(distances[members][order][min(reached, len(members) - 1)])
