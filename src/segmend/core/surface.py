"""The surface of a mask as triangles: surface nets (Gibson 1998), which are closed and follow the mask within a voxel.

Each cell between eight voxel centres that are not all in the mask or all out of it has one vertex; each face between a
voxel in the mask and one outside it becomes two triangles between the vertices of the four cells round it. Smoothing
moves a vertex towards its neighbours, but never out of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segmend.core.geometry import Affine
from segmend.core.image import Image, MaskArray, bounds
from segmend.errors import ShapeError

# Rounds of smoothing, and how far a vertex goes towards its neighbours and back again in each (Taubin 1995): the steps
# between slices are gone, and a ball keeps its volume.
ROUNDS, TOWARDS, BACK = 10, 0.6, -0.63
CORNERS = np.array(list(product((0, 1), repeat=3)))  # [8 3] of a cell
EDGES = [(i, j) for i in range(8) for j in range(i) if np.abs(CORNERS[i] - CORNERS[j]).sum() == 1]
# Of the four cells round an edge along an axis, where they lie along the next two axes, anticlockwise.
AROUND = ((-1, -1), (0, -1), (0, 0), (-1, 0))


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles whose corners go anticlockwise seen from outside."""

    vertices: NDArray[np.float64]  # [n 3] RAS mm
    triangles: NDArray[np.int32]  # [m 3] of vertices

    @property
    def volume_ml(self) -> float:
        """What the surface encloses.

        >>> cube = np.zeros((6, 6, 6), bool); cube[1:5, 1:5, 1:5] = True
        >>> surface(cube, Image(np.zeros((1, 6, 6, 6))), rounds=0).volume_ml > 0.05
        True
        """
        a, b, c = (self.vertices[self.triangles[:, i]] for i in range(3))
        return float((a * np.cross(b, c)).sum()) / 6000


def surface(mask: MaskArray, image: Image, *, rounds: int = ROUNDS) -> Surface:
    """Return the surface of a mask on its image's grid, which an empty mask does not have: it has no triangles."""
    if mask.shape != image.shape:
        raise ShapeError(f"A mask needs its image's shape {image.shape}; got {mask.shape}.")
    if image.flat:
        raise ShapeError("A surface needs a volume; this image is a single slice.")
    box = bounds(mask)
    if box is None:
        return Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    inside = np.pad(mask[box.slices], 1)
    cells = _mixed(inside)
    quads = _quads(inside, cells)
    corners = _smooth(_vertices(inside, cells), cells, quads, rounds) + np.asarray(box.low) - 1
    return Surface(_in_mm(corners, image.affine), _triangles(quads, image.affine))


def _mixed(inside: MaskArray) -> NDArray[np.intp]:  # [n 3] the low corner of each cell that has a vertex
    sides = [slice(0, -1), slice(1, None)]
    parts = [inside[sides[z], sides[y], sides[x]] for z, y, x in CORNERS.tolist()]
    some, every = parts[0].copy(), parts[0].copy()
    for part in parts[1:]:
        some |= part
        every &= part
    return np.argwhere(some & ~every)


def _vertices(inside: MaskArray, cells: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of the places where a cell's edges cross from inside to outside."""
    values = np.stack([inside[tuple((cells + corner).T)] for corner in CORNERS], axis=1)  # [n 8]
    total, count = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for i, j in EDGES:
        crosses = values[:, i] != values[:, j]
        total[crosses] += (CORNERS[i] + CORNERS[j]) / 2
        count += crosses
    return cells + total / count[:, None]


def _quads(inside: MaskArray, cells: NDArray[np.intp]) -> NDArray[np.int32]:  # [m 4]
    number = np.full(np.subtract(inside.shape, 1), -1, np.int32)
    number[tuple(cells.T)] = np.arange(len(cells), dtype=np.int32)
    found = []
    for axis in range(3):
        before = np.moveaxis(inside, axis, 0)[:-1]
        crossing = before != np.moveaxis(inside, axis, 0)[1:]
        at = np.moveaxis(np.argwhere(crossing), 1, 0)  # along the axis, then the two others in their order
        outwards = before[tuple(at)]
        places = np.empty((3, at.shape[1]), np.intp)
        places[[axis, *(other for other in range(3) if other != axis)]] = at
        quads = np.empty((at.shape[1], 4), np.int32)
        for k, (second, third) in enumerate(AROUND):
            cell = places.copy()
            cell[(axis + 1) % 3] += second
            cell[(axis + 2) % 3] += third
            quads[:, k] = number[tuple(cell)]
        quads[~outwards] = quads[~outwards, ::-1]
        found.append(quads)
    return np.concatenate(found)


def _smooth(
    vertices: NDArray[np.float64], cells: NDArray[np.intp], quads: NDArray[np.int32], rounds: int
) -> NDArray[np.float64]:
    if rounds == 0:
        return vertices
    one, other = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    ones = np.ones(2 * len(one), np.float32)
    pairs = sparse.coo_matrix((ones, (np.r_[one, other], np.r_[other, one])), (len(cells), len(cells))).tocsr()
    pairs.data[:] = 1  # an edge counts once, however many faces share it
    neighbours = np.asarray(pairs.sum(axis=1))
    for share in (TOWARDS, BACK) * rounds:
        vertices = vertices + share * (pairs @ vertices / neighbours - vertices)
        vertices = np.clip(vertices, cells, cells + 1)
    return vertices


def _in_mm(corners: NDArray[np.float64], affine: Affine) -> NDArray[np.float64]:
    return np.asarray(corners @ affine[:3, :3].T + affine[:3, 3])


def _triangles(quads: NDArray[np.int32], affine: Affine) -> NDArray[np.int32]:
    if np.linalg.det(affine[:3, :3]) < 0:  # of an index to mm that mirrors, so that outside stays outside
        quads = quads[:, ::-1]
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
